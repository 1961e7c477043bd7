"""Pings, pongs, and clients that fall silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext
from tests.conftest import DEADLINE, wait_for
from tests.functional.raw import PING, PONG, EngineSocket, PollingSession
from tests.functional.serving import ThreadServer

INTERVAL, TIMEOUT = 0.2, 0.5

ENDED: list[str | None] = []


class Context(SocketIOContext):
    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)

    def msg_block(self, seconds: float) -> None:
        gevent.sleep(seconds)
        self.emit("unblocked")


def application(**settings: str) -> Any:
    settings = {"ping_interval": str(INTERVAL), "ping_timeout": str(TIMEOUT), **settings}
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Context, "/")
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer(application(max_inbox_packets="10")) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: ThreadServer) -> Iterator[None]:
    ENDED.clear()
    server.forget()
    yield
    wait_for(server.has_settled)
    assert server.failures == []


def test_pings_come_in_their_interval(server: ThreadServer) -> None:
    began = time.monotonic()
    with EngineSocket(server.port) as websocket:
        for number in range(1, 6):
            assert websocket.receive_text() == "2"
            assert time.monotonic() - began > 0.9 * number * INTERVAL
            websocket.send_text("3")
    assert time.monotonic() - began < 9 * INTERVAL


def test_messages_do_not_put_the_ping_off(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        began = time.monotonic()
        pings = 0
        while pings < 3:
            assert time.monotonic() - began < DEADLINE
            websocket.emit("echo", 1)
            while (text := websocket.receive_text()) == "2":
                pings += 1
                websocket.send_text("3")
            assert text == '42["echo",1]'


@pytest.mark.parametrize("joined", ["/", None])
def test_silence_ends_a_websocket(server: ThreadServer, joined: str | None) -> None:
    began = time.monotonic()
    with EngineSocket(server.port, joined) as websocket:
        assert websocket.receive_text() == "2"
        assert websocket.close_code() == 1011
    assert INTERVAL + TIMEOUT - 0.05 < time.monotonic() - began < DEADLINE / 2
    if joined:
        assert wait_for(lambda: ENDED) == ["ping timeout"]


def test_silence_ends_a_polling_session(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        session.join()
        began = time.monotonic()
        assert wait_for(lambda: ENDED) == ["ping timeout"]
        assert time.monotonic() - began < DEADLINE / 2
        # Whoever comes back is told, once.
        assert session.poll() == "2\x1e6\x1e1"
        assert session.is_gone


def test_a_client_that_sends_gets_more_time(server: ThreadServer) -> None:
    """Engine.IO 6.6: other packets count where the pong is late."""
    with EngineSocket(server.port) as websocket:
        assert websocket.receive_text() == "2"
        for _ in range(3):
            assert websocket.is_silent(TIMEOUT / 2)
            websocket.emit("echo", 1)
            assert websocket.event() == ["echo", 1]
        websocket.send_text("3")
        assert websocket.receive_text() == "2"
        assert websocket.close_code() == 1011


def test_websocket_pings_of_the_client(server: ThreadServer) -> None:
    """RFC 6455 pings are none of Engine.IO's: they are answered, and keep nobody alive."""
    with EngineSocket(server.port) as websocket:
        websocket.send_frame(PING, b"x")
        assert websocket.receive() == (PONG, b"x")
        assert websocket.receive_text() == "2"
        websocket.send_frame(PONG)
        websocket.send_frame(PING)
        assert websocket.receive() == (PONG, b"")
        assert websocket.close_code() == 1011


def test_a_handler_that_blocks_delays_no_heartbeat(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.emit("block", 4 * (INTERVAL + TIMEOUT))
        pings = 0
        while (text := websocket.receive_text()) == "2":
            pings += 1
            websocket.send_text("3")
        assert text == '42["unblocked"]'
        assert pings > 4


@pytest.mark.parametrize("polling", [False, True])
def test_a_client_that_is_paused_is_not_taken_for_dead(server: ThreadServer, polling: bool) -> None:
    """Its inbox is full, so nothing is read from it, its pong neither."""
    seconds = 3 * (INTERVAL + TIMEOUT)
    packets = [f'42["block",{seconds}]', *(f'42["echo",{number}]' for number in range(30))]
    expected = ['42["unblocked"]', *packets[1:]]
    received: list[str] = []
    if polling:
        with PollingSession(server.port) as session:
            session.join()
            session.posts.ask("POST", session.path, None, "\x1e".join(packets).encode())
            while len(received) < len(expected):
                received += [packet for packet in session.poll().split("\x1e") if packet != "2"]
            assert session.posts.response().body == b"ok"
            session.end()
    else:
        with EngineSocket(server.port) as websocket:
            for packet in packets:
                websocket.send_text(packet)
            while len(received) < len(expected):
                if (text := websocket.receive_text()) == "2":
                    websocket.send_text("3")
                else:
                    received.append(text)
    assert received == expected


@pytest.mark.parametrize("offset", [86_400, -86_400])
def test_the_wall_clock_does_not_matter(server: ThreadServer, monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    real = time.time
    with EngineSocket(server.port) as websocket:
        assert websocket.receive_text() == "2"
        monkeypatch.setattr(time, "time", lambda: real() + offset)
        for _ in range(3):
            websocket.send_text("3")
            assert websocket.receive_text() == "2"
        assert websocket.close_code() == 1011


def test_an_interval_shorter_than_the_timeout_and_the_other_way_round() -> None:
    for interval, timeout in (("0.05", "5"), ("0.6", "0.3")):
        with (
            ThreadServer(application(ping_interval=interval, ping_timeout=timeout)) as server,
            EngineSocket(server.port) as websocket,
        ):
            began = time.monotonic()
            for _ in range(3):
                assert websocket.receive_text() == "2"
                websocket.send_text("3")
            assert time.monotonic() - began < DEADLINE / 2


def test_connect_timeout() -> None:
    with (
        ThreadServer(application(connect_timeout="0.1")) as server,
        EngineSocket(server.port, None) as idle,
        EngineSocket(server.port) as joined,
    ):
        assert idle.close_code() == 1008
        assert joined.receive_text() == "2"
