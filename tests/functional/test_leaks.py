"""Clients that come, say something and vanish, thousands of times: everything is as it was before."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.core import io as io_watcher  # type: ignore[import-untyped]
from gevent.core import timer as timer_watcher
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_socketio import SocketIOContext
from pyramid_socketio.channels import ChannelContext
from pyramid_socketio.connection import Connection
from pyramid_socketio.evented.wire import Wire
from pyramid_socketio.interfaces import socketio_for
from pyramid_socketio.io import socketio_manage
from pyramid_socketio.namespace import NamespaceSocket
from pyramid_socketio.server.connection import HTTPConnection
from pyramid_socketio.session import BaseSession
from pyramid_socketio.socketio import SocketIO
from pyramid_socketio.transports.connected import ConnectedTransport
from pyramid_socketio.transports.polling import PollingTransport
from tests.conftest import wait_for
from tests.functional.browsers import HTMLFile06, HTMLFile09
from tests.functional.classic import JSONP06, JSONP09, Polling06, Polling09, Socket06, Socket09, handshake
from tests.functional.raw import UPGRADE as UPGRADE_HEADERS
from tests.functional.raw import WEBSOCKET, EngineSocket, PollingSession, WebSocket, encode_request, request
from tests.functional.raw import Connection as Client
from tests.functional.serving import ThreadServer

WATCHED = (
    gevent.Greenlet,
    io_watcher,
    timer_watcher,
    BaseSession,
    Connection,
    NamespaceSocket,
    SocketIOContext,
    ConnectedTransport,
    PollingTransport,
    Wire,
    HTTPConnection,
)


class Busy(ChannelContext):
    """Has everything that may be left behind: a room, a channel, a greenlet, a callback, an ack, a switch."""

    def connect(self) -> None:
        self.join("room", f"room of {self.id}")
        self.subscribe("channel")
        self.spawn(gevent.sleep, 1000)
        self.on_disconnect(lambda: None)

    def msg_echo(self, value: Any) -> Any:
        self.emit("question", ack=self.msg_echo)
        self.emit("echo", value)
        return self.switch(Busy)

    def msg_block(self) -> None:
        self.call("question", timeout=1000)


def with_contexts() -> Any:
    with Configurator(settings={}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Busy, "/")
    return config.make_wsgi_app()


def with_a_view() -> Any:
    def view(request: Any) -> Response:
        context = Busy(request)
        return Response(socketio_manage(context))

    with Configurator(settings={}) as config:
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(view, route_name="socket_io")
    return config.make_wsgi_app()


@pytest.fixture(scope="module", params=[with_contexts, with_a_view])
def server(request: pytest.FixtureRequest) -> Iterator[ThreadServer]:
    with ThreadServer(request.param()) as server:
        yield server


class Census:
    """What is there: objects by class, descriptors of this process, timers and sessions of the server."""

    def __init__(self, server: ThreadServer) -> None:
        self.server = server

    def _count(self, socketio: SocketIO) -> dict[str, int]:
        found: Counter[str] = Counter()
        for thing in gc.get_objects():
            kind = type(thing)
            for watched in WATCHED:
                if issubclass(kind, watched):
                    # Idle workers are kept, and closed ones of them come and go.
                    if kind.__name__ != "_Worker":
                        found[watched.__name__] += 1
                    break
        found["descriptors"] = len(os.listdir("/proc/self/fd"))
        found["sessions"] = len(socketio.engine.sessions)
        found["timers"] = len(socketio.timers)
        found["server timers"] = len(self.server.server.timers)
        found["members"] = len(socketio.members)
        found["rooms"] = len(socketio.adapter.rooms("/"))
        found["ending"] = socketio.ending
        found["connections"] = len(self.server.server.connections)
        return dict(found)

    def __call__(self, collect: bool = True) -> dict[str, int]:
        if collect:
            gc.collect()
        socketio = socketio_for(self.server.application.registry)
        assert isinstance(socketio, SocketIO), "the first client has not come yet"
        # All in one turn of the server's loop: counted apart, what was there a moment ago seems to be left.
        counts: dict[str, int] = self.server.call(lambda: self._count(socketio))
        return counts


def websocket(port: int) -> None:
    client = EngineSocket(port)
    client.emit("echo", 1)
    assert client.receive_text() == '420["question"]'
    client.reset()


def websocket_with_a_blocked_handler(port: int) -> None:
    client = EngineSocket(port)
    client.emit("block")
    assert client.receive_text() == '420["question"]'
    client.reset()


def websocket_gone_before_the_answer(port: int) -> None:
    client = Client(port)
    client.send(encode_request("GET", WEBSOCKET, UPGRADE_HEADERS))
    client.reset()


def websocket_closed_in_order(port: int) -> None:
    with EngineSocket(port) as client:
        client.emit("echo", 1)
        client.send_frame(8, b"\x03\xe8")
        assert client.close_code() == 1000


def polling(port: int) -> None:
    client = PollingSession(port)
    client.join()
    client.emit("echo", 1)
    assert client.packets(2) == ['420["question"]', '42["echo",1]']
    client.start_poll()
    # The poll has reached the server when the next request on another connection has.
    client.post("6")
    client.gets.reset()
    client.posts.reset()


def upgrade(port: int) -> None:
    with PollingSession(port) as client:
        client.join()
        with WebSocket(port, client.websocket_path) as socket:
            socket.send_text("2probe")
            assert socket.receive_text() == "3probe"
            socket.send_text("5")
            socket.send_text('42["echo",1]')
            assert socket.receive_text() == '420["question"]'
            socket.reset()


def upgrade_that_fails(port: int) -> None:
    client = PollingSession(port)
    client.join()
    socket = WebSocket(port, client.websocket_path)
    socket.send_text("2probe")
    assert socket.receive_text() == "3probe"
    socket.reset()
    client.post("1")
    client.__exit__()


#: Wrong in the ways of each decoder: JSON, base64, UTF-8.
BAD_PACKETS = ('42["echo",NaN]', '42{"', '42["echo","\\ud800"', "b!!!", "x")


def bad_packets(port: int) -> None:
    for packet in BAD_PACKETS:
        with EngineSocket(port) as socket:
            socket.send_text(packet)
            assert socket.close_code() == 1002
        with PollingSession(port) as client:
            client.join()
            assert client.try_post(packet.encode()).status == 400
    for body in (b"4\xff", b"4x\x1e9"):
        with PollingSession(port) as client:
            client.join()
            assert client.try_post(body).status == 400


def bad_frames(port: int) -> None:
    for opcode, payload in ((1, b"\xff"), (8, b"\x03\xe8\xff")):
        with EngineSocket(port) as socket:
            socket.send_frame(opcode, payload)
            assert socket.close_code() == 1007


def bad_candidate(port: int) -> None:
    with PollingSession(port) as client:
        with client.candidate() as candidate:
            candidate.send_text("b!!!")
            assert candidate.close_code() == 1002
        client.post("1")


ECHO_09 = '5:::{"name":"echo","args":[1]}'
QUESTION_09 = '5:0+::{"name":"question"}'


def classic_handshake(port: int) -> None:
    """Nothing follows but the word that the page goes away."""
    assert request(port, "GET", f"/socket.io/1//{handshake(port).sid}/?disconnect=1").status == 200


def classic_polling(port: int) -> None:
    for kind in (Polling09, JSONP09):
        client = kind(port).open()
        client.post(ECHO_09)
        assert client.receive(2) == [QUESTION_09, '5:::{"name":"echo","args":[1]}']
        client.start_poll()
        client.leave()
        assert client.finish_poll() == ["8::"] or client.poll() == ["7:::1+0"]
        client.__exit__()


def classic_bad_post(port: int) -> None:
    with Polling09(port).open() as client:
        assert client.try_post(b"abc").status == 400
    with Polling06(port) as older:
        assert older.try_post(b"abc").status == 400


def classic_websocket(port: int) -> None:
    client = Socket09(port)
    assert client.ask(ECHO_09) == QUESTION_09
    client.reset()


def classic_change_of_transport(port: int) -> None:
    """Polling, a WebSocket beside a poll that waits, a stream instead, and back."""
    with Polling09(port).open() as client:
        client.start_poll()
        with WebSocket(port, f"/socket.io/1/websocket/{client.sid}") as socket:
            client.finish_poll()
            socket.send_text(ECHO_09)
            assert socket.receive_text() == QUESTION_09
            with Client(port) as stream:
                stream.ask("GET", f"/socket.io/1/htmlfile/{client.sid}")
                assert socket.close_code() == 1000
                client.start_poll()
                stream.read_to_end()
        client.leave()
        client.finish_poll()


def classic_stream(port: int) -> None:
    client = HTMLFile09(port)
    client.post(ECHO_09)
    assert client.message() == QUESTION_09
    client.reset()


def oldest_polling(port: int) -> None:
    for kind in (Polling06, JSONP06):
        client = kind(port)
        client.start_poll()
        client.post("x")  # once that is answered, the poll has arrived
        client.gets.reset()
        client.posts.reset()


def oldest_websocket(port: int) -> None:
    client = Socket06(port)
    client.say("x")
    client.reset()


def oldest_websocket_gone_before_the_answer(port: int) -> None:
    client = Client(port)
    client.send(encode_request("GET", "/socket.io/websocket", UPGRADE_HEADERS))
    client.reset()


def oldest_stream(port: int) -> None:
    HTMLFile06(port).reset()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted by /proc")
@pytest.mark.parametrize(
    "life, times",
    [
        (websocket, 2000),
        (websocket_with_a_blocked_handler, 100),
        (websocket_gone_before_the_answer, 200),
        (websocket_closed_in_order, 200),
        (polling, 200),
        (upgrade, 200),
        (upgrade_that_fails, 100),
        (bad_packets, 20),
        (bad_frames, 100),
        (bad_candidate, 100),
        (classic_handshake, 200),
        (classic_polling, 100),
        (classic_bad_post, 100),
        (classic_websocket, 200),
        (classic_change_of_transport, 100),
        (classic_stream, 200),
        (oldest_polling, 100),
        (oldest_websocket, 200),
        (oldest_websocket_gone_before_the_answer, 200),
        (oldest_stream, 200),
    ],
)
def test_nothing_is_left(server: ThreadServer, life: Callable[[int], None], times: int) -> None:
    census = Census(server)
    for _ in range(5):
        life(server.port)

    def settled() -> dict[str, int]:
        counts = census()
        assert counts["sessions"] == counts["ending"] == counts["members"] == counts["rooms"] == 0
        assert counts["timers"] == counts["server timers"] == counts["connections"] == 0
        return counts

    before = wait_for(settled)
    gc.disable()
    try:
        for _ in range(times):
            life(server.port)

        def ended() -> bool:
            """References alone bring everything down: memory does not wait for the garbage collector."""
            counts = census(collect=False)
            assert counts["sessions"] == counts["ending"] == counts["connections"] == counts["timers"] == 0
            assert counts["rooms"] == 0
            more = {name: count - before.get(name, 0) for name, count in counts.items()}
            assert {name: count for name, count in more.items() if count > 5} == {}
            return True

        wait_for(ended)
    finally:
        gc.enable()

    def as_before() -> bool:
        assert {name: count for name, count in settled().items() if count > before.get(name, 0)} == {}
        return True

    wait_for(as_before)
    assert server.failures == []
