"""The object that a WebSocket view has: its methods, its limits, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from pyramid.config import Configurator

from pyramid_socketio.evented.readiness import Readiness
from pyramid_socketio.websocket import IWebSockets, WebSocketClosed, websocket
from tests.conftest import DEADLINE, wait_for
from tests.functional.raw import BINARY, CLOSE, PING, PONG, TEXT, WebSocket, frame
from tests.functional.serving import ThreadServer


class Script:
    """The view of this module does what the test says."""

    run: Callable[[Any], object] = staticmethod(lambda websocket: None)


@websocket
def scripted(request: Any, websocket: Any) -> None:
    Script.run(websocket)


def application(**settings: str) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_view(scripted)
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def running() -> Iterator[ThreadServer]:
    settings = {"max_inbox_packets": "20", "write_timeout": "1", "close_timeout": "0.2", "max_queue_bytes": "100000"}
    with ThreadServer(application(**settings)) as server:
        yield server


def open_websockets(server: ThreadServer) -> int:
    websockets = server.application.registry.queryUtility(IWebSockets)
    return 0 if websockets is None else len(websockets.open)


@pytest.fixture
def server(running: ThreadServer) -> Iterator[ThreadServer]:
    running.forget()
    yield running
    wait_for(lambda: open_websockets(running) == 0)
    assert running.failures == []


@pytest.fixture
def play(server: ThreadServer) -> Iterator[Callable[..., WebSocket]]:
    """``play(view, **options) -> client``: opens a WebSocket with this view."""
    clients: list[WebSocket] = []

    def play(view: Callable[[Any], object], **options: Any) -> WebSocket:
        Script.run = staticmethod(view)
        clients.append(WebSocket(server.port, "/", **options))
        return clients[-1]

    yield play
    for client in clients:
        client.close()


Play = Callable[..., WebSocket]


def echo(websocket: Any) -> None:
    while (message := websocket.receive()) is not None:
        websocket.send(message)


# Sending


def test_what_is_text_and_what_is_binary(play: Play) -> None:
    def view(websocket: Any) -> None:
        for message, binary in [
            ("é", None),
            (b"\xff", None),
            (bytearray(b"ba"), None),
            (memoryview(b"mv"), None),
            ("é", True),
            (b"text", False),
            ("", None),
        ]:
            websocket.send(message, binary)

    client = play(view)
    assert [client.receive() for _ in range(7)] == [
        (TEXT, "é".encode()),
        (BINARY, b"\xff"),
        (BINARY, b"ba"),
        (BINARY, b"mv"),
        (BINARY, "é".encode()),
        (TEXT, b"text"),
        (TEXT, b""),
    ]
    assert client.close_code() == 1000


def test_what_cannot_be_sent(play: Play) -> None:
    def view(websocket: Any) -> None:
        for message in (None, 1, ["a"]):
            with pytest.raises(TypeError, match="str or bytes"):
                websocket.send(message)
        for message in (b"\xff", "\ud800"):
            with pytest.raises(ValueError):
                websocket.send(message, binary=False)
        websocket.send("done")

    assert play(view).receive_text() == "done"


def test_a_consumer_that_is_too_slow(play: Play) -> None:
    ended = Event()

    def view(websocket: Any) -> None:
        try:
            while True:
                websocket.send("x" * 10_000)
        finally:
            ended.set()

    client = play(view, receive_buffer=4096)
    wait_for(ended.is_set)
    assert client.close_code() == 1008


def test_drain_waits_for_the_client(play: Play) -> None:
    """A view can send more than the queue holds."""

    def view(websocket: Any) -> None:
        for _ in range(200):
            websocket.send(b"x" * 50_000)
            websocket.drain()

    client = play(view, receive_buffer=4096)
    for _ in range(200):
        assert client.receive() == (BINARY, b"x" * 50_000)
    assert client.close_code() == 1000


def test_several_greenlets_may_drain(play: Play) -> None:
    def view(websocket: Any) -> None:
        def pour() -> None:
            for _ in range(200):
                websocket.send(b"x" * 20_000)
                websocket.drain()

        gevent.joinall([gevent.spawn(pour) for _ in range(3)], raise_error=True)

    client = play(view, receive_buffer=4096)
    for _ in range(600):
        assert client.receive() == (BINARY, b"x" * 20_000)
    assert client.close_code() == 1000


def test_drain_ends_when_the_client_is_gone(play: Play) -> None:
    ended = Event()

    def view(websocket: Any) -> None:
        websocket.send("begun")
        try:
            while True:
                websocket.send(b"x" * 50_000)
                websocket.drain()
        except WebSocketClosed:
            ended.set()
            raise

    client = play(view, receive_buffer=4096)
    assert client.receive_text() == "begun"
    client.reset()
    wait_for(ended.is_set)


# Receiving


def test_order_and_fragments_and_pings_between(play: Play) -> None:
    client = play(echo)
    client.send(
        frame(TEXT, b"one ", fin=False)
        + frame(PING, b"1")
        + frame(0, b"\xc3", fin=False)
        + frame(0, b"\xa9")
        + frame(BINARY, b"two")
    )
    received = [client.receive() for _ in range(3)]
    assert received.count((PONG, b"1")) == 1
    assert [message for message in received if message[0] != PONG] == [(TEXT, "one é".encode()), (BINARY, b"two")]


def test_what_came_with_the_handshake(play: Play) -> None:
    client = play(echo, early=frame(TEXT, b"early"))
    assert client.receive_text() == "early"


def test_a_view_that_does_not_receive_stops_the_client(play: Play, server: ThreadServer) -> None:
    go = Event()
    sockets: list[Any] = []

    def view(websocket: Any) -> None:
        sockets.append(websocket)
        go.wait()
        echo(websocket)

    client = play(view)
    client.sock.settimeout(1)
    sent = 0
    with pytest.raises(TimeoutError):
        for sent in range(100_000):
            client.send(frame(TEXT, b"%06d" % sent + b"x" * 10_000))
    client.sock.settimeout(DEADLINE)
    held = server.call(lambda: len(sockets[0]._messages))
    assert 20 <= held < 40, "the limit, and what one read of 64 KiB had in it"
    server.call(go.set)
    for number in range(sent):
        opcode, payload = client.receive()
        assert (opcode, payload[:6]) == (TEXT, b"%06d" % number)


def test_a_flood_does_not_keep_others_waiting(play: Play, server: ThreadServer) -> None:
    """A view that always finds something takes turns all the same."""
    turns: list[int] = []

    def view(websocket: Any) -> None:
        def count() -> None:
            while True:
                gevent.sleep(0)
                turns.append(1)

        counter = gevent.spawn(count)
        websocket.send("ready")
        websocket.select([])
        before = len(turns)
        for _ in range(5000):
            websocket.receive()
        taken = len(turns) - before
        counter.kill()
        websocket.send(str(taken))

    client = play(view)
    assert client.receive_text() == "ready"
    client.send(frame(TEXT, b"") * 5000)
    assert int(client.receive_text()) >= 5000 // 64 - 2


# Selecting


def test_select(play: Play) -> None:
    def view(websocket: Any) -> None:
        other = Readiness()
        fd = websocket.handler.socket.fileno()
        assert fd == websocket.fileno() == websocket.handler.socket.fileno()
        assert fd != websocket._wire.fd
        assert websocket.select([other], 0) == []
        websocket.send("nothing yet")
        assert websocket.select([other]) == [websocket]
        assert websocket.receive() == "a"
        # Two came at once: it stays readable without another byte on the wire.
        assert websocket.select([other], 0) == [websocket]
        assert websocket.receive() == "b"
        assert websocket.select([other], 0) == []
        gevent.spawn_later(0.01, other.set, True)
        assert websocket.select([other]) == [other]
        other.close()
        websocket.send("now close")
        assert websocket.select([]) == [websocket]
        assert websocket.closed
        assert websocket.receive() is None
        assert websocket.select([], 0) == [websocket]

    client = play(view)
    assert client.receive_text() == "nothing yet"
    client.send(frame(TEXT, b"a") + frame(TEXT, b"b"))
    assert client.receive_text() == "now close"
    client.send_frame(CLOSE, b"\x03\xe8")
    assert client.close_code() == 1000


def test_a_client_that_vanishes_wakes_a_view_that_selects(play: Play) -> None:
    woken = Event()

    def view(websocket: Any) -> None:
        websocket.fileno()
        websocket.send("ready")
        websocket.select([])
        assert websocket.receive() is None
        woken.set()

    client = play(view)
    assert client.receive_text() == "ready"
    client.reset()
    wait_for(woken.is_set)


def test_the_descriptor_ends_with_the_view(play: Play, server: ThreadServer) -> None:
    kept: list[Any] = []
    client = play(lambda websocket: kept.append((websocket, websocket.fileno())))
    assert client.close_code() == 1000
    wait_for(lambda: open_websockets(server) == 0)
    assert kept[0][1] >= 0
    assert kept[0][0].fileno() == -1

    never = play(lambda websocket: kept.append(websocket))
    assert never.close_code() == 1000
    wait_for(lambda: open_websockets(server) == 0)
    assert kept[1].fileno() == kept[1].handler.socket.fileno() == -1


# The end


def test_closed_is_a_property_and_a_function(play: Play) -> None:
    said: list[Any] = []

    def view(websocket: Any) -> None:
        said.append((bool(websocket.closed), websocket.closed(), repr(websocket.closed)))
        websocket.close()
        said.append((bool(websocket.closed), websocket.closed(), repr(websocket.closed)))
        websocket.close(1001)
        assert websocket.receive() is None

    assert play(view).close_code() == 1000
    wait_for(lambda: said == [(False, False, "False"), (True, True, "True")])


@pytest.mark.parametrize(
    "arguments, payload",
    [
        ((), b"\x03\xe8"),
        ((3999, "bye"), b"\x0f\x9fbye"),
        ((1001, b"bye"), b"\x03\xe9bye"),
        ((1000, "é" * 100), b"\x03\xe8" + "é".encode() * 61),
    ],
)
def test_close(play: Play, arguments: Any, payload: bytes) -> None:
    client = play(lambda websocket: websocket.close(*arguments))
    assert client.receive() == (CLOSE, payload)
    assert client.read_to_end() == b""


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 5000, 65536, -1])
def test_codes_that_may_not_be_sent(play: Play, code: int) -> None:
    def view(websocket: Any) -> None:
        with pytest.raises(ValueError, match=str(code)):
            websocket.close(code)

    assert play(view).close_code() == 1000


def test_sending_when_it_is_closed(play: Play) -> None:
    errors: list[BaseException] = []

    def view(websocket: Any) -> None:
        websocket.close()
        for call in (lambda: websocket.send("x"), lambda: websocket.send(None), websocket.drain):
            with pytest.raises(WebSocketError) as caught:
                call()
            errors.append(caught.value)

    assert play(view).close_code() == 1000
    wait_for(lambda: [type(error) for error in errors] == [WebSocketClosed] * 3)


@pytest.mark.parametrize(
    "payload, code, reason, answer",
    [
        (b"", None, "", b""),
        (b"\x03\xe8bye", 1000, "bye", b"\x03\xe8"),
        (b"\x0f\xa0\xc3\xa9", 4000, "é", b"\x0f\xa0"),
    ],
)
def test_the_clients_goodbye(play: Play, payload: bytes, code: int | None, reason: str, answer: bytes) -> None:
    said: list[Any] = []

    def view(websocket: Any) -> None:
        assert websocket.close_code is None
        assert websocket.receive() is None
        said.append((websocket.close_code, websocket.close_reason))

    client = play(view)
    client.send_frame(CLOSE, payload)
    client.send_text("ignored")
    assert client.receive() == (CLOSE, answer)
    assert client.read_to_end() == b""
    wait_for(lambda: said == [(code, reason)])


@pytest.mark.parametrize(
    "data, code",
    [
        (b"\xc1\x82\0\0\0\0hi", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (frame(TEXT, b"hi", mask=None), 1002),
        (b"\x09\x80\0\0\0\0", 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(TEXT, b"\xe2\x82"), 1007),
        (frame(CLOSE, b"\x03\xed"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(BINARY, b"x" * 1_000_001), 1009),
        (frame(TEXT, b"", fin=False) + frame(0, b"", fin=False) * 4096, 1008),
    ],
)
def test_what_the_protocol_does_not_allow(play: Play, data: bytes, code: int) -> None:
    """What came before is still received and answered."""
    client = play(echo)
    client.send(frame(TEXT, b"good") + data[:200_000])
    assert client.receive_text() == "good"
    assert client.close_code() == code


def test_half_a_frame_and_the_end(play: Play) -> None:
    ended = Event()

    def view(websocket: Any) -> None:
        assert websocket.receive() is None
        ended.set()

    client = play(view)
    client.send(frame(TEXT, b"half")[:5])
    client.close()
    wait_for(ended.is_set)


def test_a_client_that_answers_no_ping() -> None:
    ended = Event()

    def view(websocket: Any) -> None:
        assert websocket.receive() is None
        ended.set()

    Script.run = staticmethod(view)
    with ThreadServer(application(ping_interval="0.05", ping_timeout="0.2")) as server:
        with WebSocket(server.port, "/") as client:
            assert client.receive() == (PING, b"")
            assert client.close_code() == 1011
        wait_for(ended.is_set)


def test_a_client_that_answers_pings_stays() -> None:
    Script.run = staticmethod(echo)
    with ThreadServer(application(ping_interval="0.02", ping_timeout="0.02")) as server:
        with WebSocket(server.port, "/") as client:
            for _ in range(10):
                assert client.receive() == (PING, b"")
                client.send_frame(PONG)
            client.send_text("still here")
            while (message := client.receive())[0] == PING:
                client.send_frame(PONG)
            assert message == (TEXT, b"still here")
