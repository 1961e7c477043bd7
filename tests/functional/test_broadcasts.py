"""One message to many clients: each gets it in its own framing, in order, whatever happens to the others meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext
from pyramid_socketio.evented import wire
from pyramid_socketio.interfaces import ISocketIO
from pyramid_socketio.socketio import SocketIO
from tests.conftest import wait_for
from tests.functional.browsers import Hixie, HTMLFile06, HTMLFile09, Keys, Multipart06, handshake_0_9, unframe_0_6
from tests.functional.classic import Polling06, Polling09, Socket06, Socket09
from tests.functional.raw import TEXT, EngineSocket, PollingSession, frame
from tests.functional.serving import ThreadServer
from tests.functional.test_eio3 import OldPolling, OldSocket

#: What ``disconnect`` broadcasts: more than the kernel takes at a time.
FAREWELL = "x" * 6_000_000


class SlowToWrite:
    """Lets others run while it becomes JSON, each time that it does."""

    def __init__(self) -> None:
        self.times = 0
        self.written: list[int] = []

    def __json__(self, request: Any) -> int:
        self.times += 1
        self.written.append(self.times)
        gevent.sleep(0.2)
        return 1


class Room(SocketIOContext):
    news = SlowToWrite()
    left: list[str | None] = []

    def msg_all(self, msg: Any) -> None:
        self.broadcast({"n": 1})

    def msg_three(self, number: int) -> None:
        self.emit("own", number, 1)
        self.emit("own", number, 2)
        self.broadcast_event("others", number)
        self.send_and_broadcast({"n": number})
        self.emit("own", number, 3)

    def msg_object(self, msg: Any) -> None:
        try:
            self.broadcast_event("say", {"type": object()})
        except TypeError as error:
            self.emit("refused", str(error))
        self.broadcast_event("after", {})

    def msg_news(self, msg: Any) -> None:
        self.broadcast_event("news", self.news)

    def disconnect(self) -> None:
        if self.disconnect_reason == "slow consumer":
            self.left.append(self.disconnect_reason)
            self.broadcast_event("farewell", FAREWELL)


@pytest.fixture
def server() -> Iterator[ThreadServer]:
    settings = {"hixie": "true", "allowed_origins": "http://example.com", "max_queue_bytes": "8000000"}
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Room, "/")
    Room.news = SlowToWrite()
    Room.left = []
    with ThreadServer(config.make_wsgi_app()) as server:
        yield server
    assert server.failures == []


@pytest.fixture
def socketio(server: ThreadServer) -> SocketIO:
    found: SocketIO = server.application.registry.getUtility(ISocketIO)
    return found


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


def hixie(port: int, path: str, keys: Keys | None) -> Hixie:
    return Hixie(port, path, keys).open()


def hixie_0_6(port: int, keys: Keys | None) -> Hixie:
    client = hixie(port, "/socket.io/websocket", keys)
    client.receive_text()  # the session id
    return client


def hixie_0_9(port: int, keys: Keys | None) -> Hixie:
    client = hixie(port, f"/socket.io/1/websocket/{handshake_0_9(port)[0]}", keys)
    assert client.receive_text() == "1::"
    return client


def test_each_gets_its_own_framing(server: ThreadServer, enter: Any) -> None:
    port = server.port
    message = {"n": 1}
    of_0_6, of_0_9 = f"~j~{json.dumps(message, separators=(',', ':'))}", '4:::{"n":1}'
    today = [enter(EngineSocket(port)) for _ in range(3)]
    polling = enter(PollingSession(port))
    polling.join()
    old, old_polling = enter(OldSocket(port)), OldPolling(port)
    assert b"40" in old_polling.poll().body
    drafts_0_6 = [enter(hixie_0_6(port, keys)) for keys in (Keys(), None)]
    drafts_0_9 = [enter(hixie_0_9(port, keys)) for keys in (Keys(), None)]
    socket_0_6, socket_0_9 = enter(Socket06(port)), enter(Socket09(port))
    polling_0_6, polling_0_9 = enter(Polling06(port)), enter(Polling09(port)).open()
    documents = [enter(document(port)) for document in (HTMLFile06, Multipart06, HTMLFile09)]
    caller = today[0]
    caller.emit("all", {})
    for client in today[1:]:
        assert client.event() == ["message", message]
    assert polling.poll() == '42["message",{"n":1}]'
    assert old.receive_text() == '42["message",{"n":1}]'
    assert old_polling.poll().body.endswith(b'42["message",{"n":1}]')
    for draft in drafts_0_6:
        assert unframe_0_6(draft.receive_text()) == of_0_6
    for draft in drafts_0_9:
        assert draft.receive_text() == of_0_9
    assert socket_0_6.hear() == of_0_6
    assert socket_0_9.receive_text() == of_0_9
    assert polling_0_6.receive() == [of_0_6]
    assert polling_0_9.receive() == [of_0_9]
    for document in documents:
        assert document.receive() == message


def test_a_client_that_is_corked_gets_everything_in_order(server: ThreadServer, enter: Any) -> None:
    """Answers to messages that came together go out together, and so does what the others send them."""
    caller, other = enter(EngineSocket(server.port)), enter(EngineSocket(server.port))
    caller.send(b"".join(frame(TEXT, f'42["three",{number}]'.encode()) for number in range(10)))
    for number in range(10):
        own = [["own", number, 1], ["own", number, 2], ["message", {"n": number}], ["own", number, 3]]
        assert [caller.event() for _ in own] == own
        others = [["others", number], ["message", {"n": number}]]
        assert [other.event() for _ in others] == others


def test_who_upgrades_while_it_is_written_for_others(server: ThreadServer, enter: Any) -> None:
    polling = enter(PollingSession(server.port))
    polling.join()
    enter(OldSocket(server.port))
    caller = enter(EngineSocket(server.port))
    caller.emit("news", {})
    wait_for(lambda: Room.news.written == [1, 2])
    candidate = enter(polling.candidate())
    candidate.send_text("2probe")
    assert candidate.receive_text() == "3probe"
    candidate.send_text("5")
    assert candidate.receive_text() == '42["news",1]'


def test_what_cannot_be_written_for_some_reaches_nobody(server: ThreadServer, enter: Any) -> None:
    """For 0.6 the name of an event takes the place of ``type``, so that only others would get the value."""
    six, today = enter(Socket06(server.port)), enter(EngineSocket(server.port))
    caller = enter(EngineSocket(server.port))
    caller.emit("object", {})
    assert caller.event()[0] == "refused"
    assert six.hear() == '~j~{"type":"after"}'
    assert today.event() == ["after", {}]


def test_a_slow_client_whose_end_is_told_to_all(server: ThreadServer, socketio: SocketIO, enter: Any) -> None:
    """A native thread sends, and that finds a client to be slow: what its ``disconnect`` sends disturbs no frame."""
    quick = enter(EngineSocket(server.port))
    slow = enter(EngineSocket(server.port, receive_buffer=4096))
    member = socketio.members["/"][slow.id]
    socketio.run_in_loop(partial(member.send_event, ["big", "y" * 14_000_000]))
    wait_for(lambda: not member.writable)
    socketio.run_in_loop(partial(socketio.broadcast, "/", ["small", 1]))
    assert quick.event() == ["small", 1]
    assert quick.event() == ["farewell", FAREWELL]
    assert Room.left == ["slow consumer"]


def test_without_the_extension(server: ThreadServer, enter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "send_all", wire._send_all_in_python)
    clients = [enter(EngineSocket(server.port)) for _ in range(10)]
    clients[0].emit("all", {})
    for client in clients[1:]:
        assert client.event() == ["message", {"n": 1}]
