"""However a client ends: what still runs, what is told, and what is left."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from pyramid_socketio.errors import CloseReason
from pyramid_socketio.socketio import SocketIO
from tests.clients import Client, RecordingContext, make_owner, turns
from tests.conftest import DEADLINE
from tests.timing import turn_until


@pytest.fixture
def owner() -> SocketIO:
    return make_owner()


@pytest.fixture
def client(owner: SocketIO) -> Client:
    return Client(owner)


def test_the_end_comes_behind_what_the_client_sent_before(client: Client) -> None:
    context = client.join()
    context.handler = lambda data: context.told.append(data[0])
    client.receive('2["a"]', '2["b"]', "1")
    assert context.told == ["stop", "a", "b", "finish: client"]


def test_a_handler_that_blocks_delays_the_end_for_a_while_only() -> None:
    owner = make_owner(close_timeout=0.3)
    client = Client(owner)
    context = client.join()
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    context.io.request_ack(["q"], lambda: context.told.append("ack"))
    client.receive('21["a"]', "30[]", '2["b"]')
    client.packets  # noqa: B018
    client.end("transport close")
    assert context.told == ["stop"] and owner.ending == 1
    turn_until(lambda: "finish: transport close" in context.told)
    assert owner.ending == 0
    release.set()
    turns()
    assert context.events == [["a"]]
    assert context.told == ["stop", "finish: transport close"]
    assert client.packets == []


def test_disconnect_by_the_server(owner: SocketIO, client: Client) -> None:
    context, other = client.join(), client.join("/other")
    context.io.disconnect()
    context.io.disconnect()
    turns()
    assert client.packets == ["41"]
    assert context.told == ["stop", "finish: server"]
    other.io.disconnect()
    assert client.packets == ["41/other,"]
    assert client.closed == 0 and client.session.closed_with is None
    context.io.send_event(["too late"])
    assert client.packets == []


def test_the_application_ends_the_client_from_a_handler(client: Client) -> None:
    context = client.join()

    def handler(data: list[Any]) -> list[Any]:
        context.io.disconnect()
        return ["an ack"]

    context.handler = handler
    assert client.receive('21["a"]', '22["b"]') is None
    assert client.packets == ["41"]
    assert context.events == [["a"], ["b"]]
    assert len(client.connection.owner.timers) == 0, "nothing waits for a handler that has returned"
    assert context.told == ["stop", "finish: server"]


def test_a_session_that_ends(owner: SocketIO, client: Client) -> None:
    contexts = [client.join(), client.join("/b")]
    client.end("ping timeout")
    client.end("ping timeout")
    assert [context.told for context in contexts] == 2 * [["stop", "finish: ping timeout"]]
    assert client.closed == 1
    assert owner.members == {} and owner.ending == 0 and len(owner.timers) == 0


def test_sending_finds_out_that_the_client_is_gone(owner: SocketIO, client: Client) -> None:
    context = client.join()
    client.transport.on_send = lambda: client.connection.closed(CloseReason.TRANSPORT_ERROR)
    context.handler = lambda data: context.io.send_event(["a"])
    client.receive('2["a"]')
    assert context.told == ["stop", "finish: transport error"]


def test_uncorking_finds_out_that_the_client_is_gone(owner: SocketIO, client: Client) -> None:
    context = client.join()
    client.transport.uncork = lambda: client.connection.closed(CloseReason.TRANSPORT_ERROR)  # type: ignore[method-assign]
    client.receive('2["a"]', '2["b"]')
    assert context.told == ["stop", "finish: transport error"], "at once, not after close_timeout"


def test_an_end_that_fails_is_counted() -> None:
    class Failing(RecordingContext):
        def finish(self, reason: str) -> None:
            raise gevent.GreenletExit

    owner = make_owner(lambda socket, auth: Failing(socket))
    client = Client(owner)
    client.join()
    client.end()
    assert owner.ending == 0


def test_nothing_is_left_for_the_garbage_collector_to_find(owner: SocketIO, client: Client) -> None:
    context = client.join()
    socket = context.io
    client.receive('2["a"]')
    client.end()
    assert socket.context is None
    assert client.connection._closed is None and client.connection._connect is None


def test_shutdown_tells_every_client_and_waits_for_the_ends() -> None:
    owner = make_owner(drain_timeout=DEADLINE)
    client = Client(owner)
    context = client.join()
    session: Any = client.session
    session.close = lambda reason, code: client.connection.closed(f"{reason} {code}")
    owner.engine.sessions["sid"] = session
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["a"]')
    owner.shutdown()
    assert context.told == ["stop", "finish: shutdown 1001"]
    assert owner.engine.closing
    release.set()


def test_shutdown_does_not_wait_for_ever(owner: SocketIO) -> None:
    owner = make_owner(drain_timeout=0.01)
    owner.ending = 1
    owner.shutdown()
