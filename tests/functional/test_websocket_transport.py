"""WebSockets with a real application behind them: order, size, flow in both directions, and the end."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext, message
from pyramid_socketio.transports.websocket import BUDGET, WebSocketTransport
from tests.conftest import DEADLINE, wait_for
from tests.functional.raw import BINARY, CLOSE, TEXT, EngineSocket, frame
from tests.functional.serving import ThreadServer

ENDED: list[str | None] = []
SEEN: list[Any] = []


class Context(SocketIOContext):
    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)

    @message("ack")
    def ack(self, *args: Any) -> Any:
        return args

    def msg_slow_echo(self, number: int) -> None:
        gevent.sleep(random.random() / 500)
        self.emit("echo", number)

    def msg_see(self, value: Any) -> None:
        gevent.sleep(0.002)
        SEEN.append(value)

    def msg_block(self, seconds: float) -> None:
        gevent.sleep(seconds)

    def msg_burst(self, size: int, count: int) -> None:
        for number in range(count):
            self.emit("burst", number, "x" * size)

    def msg_letters(self) -> None:
        """Two greenlets that send at the same time (K10)."""
        for letter in "ab":
            self.spawn(self._letters, letter)

    def _letters(self, letter: str) -> None:
        for _ in range(10):
            self.emit("letters", letter * 30_000)
            gevent.sleep(0)

    def msg_shout(self, *args: Any) -> None:
        self.broadcast_event("shouted", *args)

    def msg_end_session(self) -> None:
        self.emit("bye")
        self.io.connection.session.close("server")

    def msg_leave_me(self) -> None:
        self.io.disconnect()


def application(**settings: str) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Context, "/")
        config.add_socketio_context(Context, "/other")
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer(application(max_inbox_packets="20", write_timeout="1")) as server:
        yield server


@pytest.fixture
def websocket(server: ThreadServer) -> Iterator[EngineSocket]:
    ENDED.clear()
    SEEN.clear()
    server.forget()
    with EngineSocket(server.port) as websocket:
        yield websocket
    wait_for(server.has_settled)
    assert server.failures == []


@pytest.mark.parametrize("size", [0, 1, 110, 111, 112, 113, 114, 115, 116, 65_520, 65_530, 70_000, 999_980])
def test_texts_of_every_size(websocket: EngineSocket, size: int) -> None:
    text = ("é" * (size // 2)) + "x" * (size % 2)
    websocket.emit("echo", "x" * size)
    assert websocket.event() == ["echo", "x" * size]
    websocket.send_text(f'42["echo","{text}"]')
    assert websocket.receive_text() == f'42["echo","{text}"]'


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 900_000])
def test_binary_of_every_size(websocket: EngineSocket, size: int) -> None:
    data = random.Random(size).randbytes(size)
    websocket.send_text('451-3["ack",{"_placeholder":true,"num":0}]')
    websocket.send_frame(BINARY, data)
    assert websocket.receive_text() == '461-3[{"_placeholder":true,"num":0}]'
    assert websocket.receive() == (BINARY, data)


def test_a_message_of_the_biggest_size(websocket: EngineSocket) -> None:
    text = f'42["echo","{"x" * 999_987}"]'
    assert len(text) == 1_000_000
    websocket.send_text(text)
    assert websocket.receive_text() == text


def test_fragments_of_the_biggest_size(websocket: EngineSocket) -> None:
    text = f'42["echo","{"x" * 999_987}"]'.encode()
    pieces = [text[at : at + 1000] for at in range(0, len(text), 1000)]
    websocket.send_frame(TEXT, pieces[0], fin=False)
    for piece in pieces[1:-1]:
        websocket.send_frame(0, piece, fin=False)
    websocket.send_frame(0, pieces[-1])
    assert websocket.receive_text() == text.decode()


@pytest.mark.parametrize("seed", range(5))
def test_frames_cut_anywhere(websocket: EngineSocket, seed: int) -> None:
    source = random.Random(seed)
    texts = [f'42["echo","{"x" * source.choice([0, 5, 120, 300])}"]' for _ in range(50)]
    data = b"".join(frame(TEXT, text.encode(), mask=source.randbytes(4)) for text in texts)
    while data:
        at = source.choice([1, 2, 3, 7, 50, 500])
        websocket.send(data[:at])
        data = data[at:]
    assert [websocket.receive_text() for _ in texts] == texts


def test_messages_stay_in_order_however_long_their_handlers_take(websocket: EngineSocket) -> None:
    websocket.send(b"".join(frame(TEXT, b'42["slow_echo",%d]' % number) for number in range(1000)))
    assert [websocket.event()[1] for _ in range(1000)] == list(range(1000))


def test_many_messages_in_one_read(websocket: EngineSocket) -> None:
    websocket.send(b"".join(frame(TEXT, b'42["echo",%d]' % number) for number in range(3000)))
    assert [websocket.event()[1] for _ in range(3000)] == list(range(3000))


def test_two_namespaces(websocket: EngineSocket) -> None:
    assert websocket.join("/other") != websocket.id
    websocket.emit("block", 0.2)
    websocket.emit("echo", 1)
    websocket.send_text('42/other,["echo",2]')
    assert websocket.receive_text() == '42/other,["echo",2]', "one does not wait for the other"
    assert websocket.event() == ["echo", 1]
    websocket.send_text("41")
    websocket.send_text('42/other,["echo",3]')
    assert websocket.receive_text() == '42/other,["echo",3]'
    assert wait_for(lambda: ENDED) == ["client"]


def test_a_full_inbox_stops_reading(server: ThreadServer, websocket: EngineSocket) -> None:
    websocket.emit("block", 0.3)
    flood = b"".join(frame(TEXT, b'42["see",%d]' % number) for number in range(200))
    websocket.send(flood)
    (session,) = server.sessions.values()
    wait_for(lambda: session.transport.paused)
    with EngineSocket(server.port) as other:
        other.emit("echo", 1)
        assert other.event() == ["echo", 1]
    wait_for(lambda: len(SEEN) == 200)
    assert list(range(200)) == SEEN
    wait_for(lambda: not session.transport.paused)
    websocket.emit("echo", 1)
    assert websocket.event() == ["echo", 1]


def narrow(server: ThreadServer) -> Any:
    """Let the kernel keep next to nothing of what is sent in the only session; its wire."""
    (session,) = server.sessions.values()
    session.transport.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return session.transport.wire


def test_frames_are_never_interleaved(server: ThreadServer) -> None:
    """K10."""
    with EngineSocket(server.port, receive_buffer=4096) as websocket:
        wire = narrow(server)
        websocket.emit("letters")
        wait_for(lambda: wire.outbox_bytes)
        texts = [websocket.event()[1] for _ in range(20)]
    assert sorted(text[0] for text in texts) == ["a"] * 10 + ["b"] * 10
    assert all(text == text[0] * 30_000 for text in texts)
    wait_for(server.has_settled)


def test_a_slow_consumer(server: ThreadServer, websocket: EngineSocket) -> None:
    """K4: who does not read is dropped; the others get everything, in order."""
    slow = EngineSocket(server.port, receive_buffer=4096)
    quick = EngineSocket(server.port)
    received: list[int] = []

    def read() -> None:
        while len(received) < 3000:
            received.append(quick.event()[1])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    padding = "x" * 2000
    for number in range(3000):
        websocket.emit("shout", number, padding)
    reader.join(2 * DEADLINE)
    assert received == list(range(3000))
    assert wait_for(lambda: ENDED) == ["slow consumer"]
    quick.close()
    slow.close()


def test_a_client_that_stops_reading(server: ThreadServer) -> None:
    """Less waits for it than is allowed, but for too long."""
    ENDED.clear()
    with EngineSocket(server.port, receive_buffer=4096) as websocket:
        wire = narrow(server)
        websocket.emit("burst", 300_000, 3)
        wait_for(lambda: wire.outbox_bytes)
        began = time.monotonic()
        assert wait_for(lambda: ENDED) == ["slow consumer"]
        assert time.monotonic() - began < 5
    wait_for(server.has_settled)


def test_one_message_of_any_size_may_wait(server: ThreadServer) -> None:
    with EngineSocket(server.port, receive_buffer=4096) as websocket:
        websocket.emit("burst", 5_000_000, 1)
        assert len(websocket.event()[2]) == 5_000_000
    wait_for(server.has_settled)


# The end


def test_the_client_closes(websocket: EngineSocket) -> None:
    websocket.send_frame(CLOSE, b"\x03\xe9going")
    assert websocket.close_code() == 1001
    assert wait_for(lambda: ENDED) == ["transport close"]


def test_the_client_sends_the_close_packet(websocket: EngineSocket) -> None:
    websocket.send_text("1")
    assert websocket.close_code() == 1000
    assert wait_for(lambda: ENDED) == ["client"]


def test_messages_before_the_end_are_handled(websocket: EngineSocket) -> None:
    websocket.send(b"".join(frame(TEXT, b'42["see",%d]' % number) for number in range(10)) + frame(CLOSE))
    wait_for(lambda: ENDED)
    assert list(range(10)) == SEEN


def test_the_server_closes(websocket: EngineSocket) -> None:
    websocket.emit("end_session")
    assert websocket.event() == ["bye"]
    assert websocket.receive() == (CLOSE, b"\x03\xe8")
    # Whatever still comes is dropped; the client's close ends the connection.
    websocket.emit("echo", 1)
    websocket.send_frame(CLOSE, b"\x03\xe8")
    assert websocket.read_to_end() == b""
    assert wait_for(lambda: ENDED) == ["server"]


def test_a_client_that_never_answers_the_close(websocket: EngineSocket) -> None:
    websocket.emit("end_session")
    assert websocket.close_code() == 1000
    try:
        for _ in range(1000):
            websocket.send(b"x" * 10_000)
    except OSError:
        pass
    else:
        pytest.fail("the server reads for ever")


def test_leaving_the_namespace(websocket: EngineSocket) -> None:
    websocket.emit("leave_me")
    assert websocket.receive_text() == "41"
    assert wait_for(lambda: ENDED) == ["server"]
    websocket.join()


def test_shutdown() -> None:
    ENDED.clear()
    with ThreadServer(application()) as server:
        websockets = [EngineSocket(server.port) for _ in range(20)]
    for websocket in websockets:
        assert websocket.close_code() == 1001
        websocket.close()
    assert ENDED == ["shutdown"] * 20


def test_abrupt_ends_leave_nothing(server: ThreadServer) -> None:
    """K5: a reset at every step, many times."""
    server.forget()
    for _ in range(50):
        for sent in (
            b"",
            frame(TEXT, b'42["echo",1]'),
            frame(TEXT, b'42["block",0.01]'),
            b"\x81",
            frame(TEXT, b"42[")[:-1],
        ):
            websocket = EngineSocket(server.port, random.choice(["/", None]))
            websocket.send(sent)
            websocket.reset()
    wait_for(server.has_settled)
    wait_for(lambda: not server.server.connections)
    assert server.failures == []


@pytest.mark.parametrize("how", ["early", "backlog", "uncork", "heartbeat"])
def test_an_error_inside_ends_the_session(server: ThreadServer, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def fail(*args: Any) -> None:
        raise ValueError("a mistake")

    event = frame(TEXT, b'42["echo",1]')
    if how == "early":
        monkeypatch.setattr(WebSocketTransport, "_handle", fail)
        client = EngineSocket(server.port, namespace=None, early=event)
    else:
        client = EngineSocket(server.port)
        if how == "backlog":
            handle = WebSocketTransport._handle

            def fail_at_the_rest(transport: WebSocketTransport, frames: list[Any]) -> None:
                (handle if len(frames) == BUDGET else fail)(transport, frames)

            monkeypatch.setattr(WebSocketTransport, "_handle", fail_at_the_rest)
        elif how == "uncork":
            # The error is that of the deferred call: the handler blocks.
            monkeypatch.setattr(WebSocketTransport, "uncork", fail)
        if how == "heartbeat":
            (session,) = server.sessions.values()
            server.call(lambda: session._schedule(0.0, fail))
        elif how == "uncork":
            client.send(2 * frame(TEXT, b'42["block",0.2]'))
        else:
            client.send(100 * event)
    client.read_to_end()
    client.close()
    wait_for(server.has_settled)
    assert any(record.exc_info for record in server.records)
    assert server.loop_errors == []
    server.forget()
