"""What the two official test suites of the current protocols check, with their timing.

Engine.IO 4 and Socket.IO 5, "What the official test suites check"; the numbers are those of its list.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext, message
from pyramid_socketio.protocol.websocket import encode_frame
from tests.conftest import DEADLINE
from tests.functional.raw import (
    BINARY,
    UPGRADE,
    EngineSocket,
    PollingSession,
    WebSocket,
    request,
)
from tests.functional.serving import ThreadServer

SETTINGS = {"socketio.ping_interval": "0.3", "socketio.ping_timeout": "0.2", "socketio.connect_timeout": "1"}


class Suite(SocketIOContext):
    def connect(self) -> None:
        self.emit("auth", self.request.environ["pyramid_socketio.auth"] or {})

    @message("message")
    def answer(self, *args: Any) -> None:
        self.emit("message-back", *args)

    @message("message-with-ack")
    def acknowledge(self, *args: Any) -> tuple[Any, ...]:
        return args


class EngineEcho:
    """The Engine.IO suite's server in place of Socket.IO: every message comes back, text as text, binary as binary."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def opened(self) -> None: ...

    def messages(self, messages: list[str | bytes]) -> None:
        # Text comes without the type of Socket.IO here; what is sent gets the 4 of a message in front.
        for data in messages:
            if isinstance(data, str):
                self.session.transport.send(self.session.revision.engine.Message((data.encode(), ())))
            else:
                self.session.transport.send(BinaryMessage(data))

    def closed(self, reason: str) -> None: ...


class BinaryMessage:
    """A binary message that no text goes before, which Socket.IO has not."""

    def __init__(self, data: bytes) -> None:
        self.frames = encode_frame(BINARY, data)
        self._packet = b"b" + b64encode(data)

    def packets(self) -> list[bytes]:
        return [self._packet]


@pytest.fixture(scope="module")
def socketio() -> Iterator[int]:
    with Configurator(settings=SETTINGS) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Suite, "/")
        config.add_socketio_context(Suite, "/custom")
    with ThreadServer(config.make_wsgi_app()) as server:
        yield server.port
        assert server.failures == []


@pytest.fixture(scope="module")
def engineio() -> Iterator[int]:
    with Configurator(settings=SETTINGS) as config:
        config.include("pyramid_socketio")
    application = config.make_wsgi_app()
    with ThreadServer(application) as server:
        server.engine._accept = lambda session, hint: EngineEcho(session)
        yield server.port
        assert server.failures == []


# Engine.IO


def test_1_handshake(engineio: int) -> None:
    with PollingSession(engineio) as session:
        opened = session.opened
    assert opened == {
        "sid": session.sid,
        "upgrades": ["websocket"],
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }
    with EngineSocket(engineio, None) as websocket:
        assert websocket.opened == {**opened, "sid": websocket.sid, "upgrades": []}


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "transport=polling"),
        ("GET", "EIO=abc&transport=polling"),
        ("GET", "EIO=4"),
        ("GET", "EIO=4&transport=abc"),
        ("POST", "EIO=4&transport=polling"),
        ("PUT", "EIO=4&transport=polling"),
        ("GET", "transport=websocket"),
        ("GET", "EIO=abc&transport=websocket"),
    ],
)
@pytest.mark.parametrize("headers", [{}, UPGRADE], ids=["polling", "websocket"])
def test_2_bad_handshakes(engineio: int, method: str, query: str, headers: dict[str, str]) -> None:
    assert request(engineio, method, f"/socket.io/?{query}", headers).status == 400


def test_3_echo_by_polling(engineio: int) -> None:
    with PollingSession(engineio) as session:
        session.post("4hello")
        assert session.poll() == "4hello"
        session.post("4test1", "4test2", "4test3")
        assert session.poll() == "4test1\x1e4test2\x1e4test3"
        session.post("4hello", "bAQIDBA==")
        assert session.poll() == "4hello\x1ebAQIDBA=="


def test_3_echo_by_websocket(engineio: int) -> None:
    with EngineSocket(engineio, None) as websocket:
        websocket.send_text("4hello")
        assert websocket.receive_text() == "4hello"
        websocket.send_frame(BINARY, b"\1\2\3\4")
        assert websocket.receive() == (BINARY, b"\1\2\3\4")
        websocket.send_text("bAQIDBA==")
        assert websocket.receive() == (BINARY, b"\1\2\3\4")


def test_4_invalid_body(engineio: int) -> None:
    with PollingSession(engineio) as session:
        assert session.try_post(b"abc").status == 400
        assert request(engineio, "GET", session.path).status == 400


def test_4_invalid_frame(engineio: int) -> None:
    with EngineSocket(engineio, None) as websocket:
        websocket.send_text("abc")
        assert websocket.close_code() == 1002


def test_5_two_polls(engineio: int) -> None:
    with PollingSession(engineio) as session:
        session.start_poll()
        assert session.gets.is_silent(0.005)
        assert request(engineio, "GET", session.path).status == 400
        assert session.finish_poll() == "1"
        assert request(engineio, "GET", session.path).status == 400


def test_6_aborted_poll(engineio: int) -> None:
    with PollingSession(engineio) as session:
        session.start_poll()
        assert session.gets.is_silent(0.01)
        session.gets.close()
        # "The server must notice the closed connection within milliseconds."
        assert session.posts.is_silent(0.02)
        assert request(engineio, "GET", session.path).status == 400


def test_7_heartbeat_by_polling(engineio: int) -> None:
    with PollingSession(engineio) as session:
        for _ in range(3):
            assert session.poll() == "2"
            session.post("3")


def test_7_heartbeat_by_websocket(engineio: int) -> None:
    with EngineSocket(engineio, None) as websocket:
        for _ in range(3):
            assert websocket.receive_text() == "2"
            websocket.send_text("3")


def test_7_no_pong_by_polling(engineio: int) -> None:
    began = time.monotonic()
    with PollingSession(engineio) as session:
        assert session.poll() == "2"
        session.start_poll()
        assert session.gets.response().text == "1"
        assert 0.45 < time.monotonic() - began < DEADLINE / 2
        assert request(engineio, "GET", session.path).status == 400


def test_7_no_pong_by_websocket(engineio: int) -> None:
    began = time.monotonic()
    with EngineSocket(engineio, None) as websocket:
        assert websocket.receive_text() == "2"
        assert websocket.close_code() == 1011
        assert 0.45 < time.monotonic() - began < DEADLINE / 2


def test_8_close_by_polling(engineio: int) -> None:
    with PollingSession(engineio) as session:
        session.start_poll()
        assert session.gets.is_silent(0.01)
        session.post("1")
        assert session.finish_poll() == "6"
        assert request(engineio, "GET", session.path).status == 400


def test_8_close_by_websocket(engineio: int) -> None:
    with EngineSocket(engineio, None) as websocket:
        websocket.send_text("1")
        assert websocket.close_code() == 1000


def test_9_upgrade(engineio: int) -> None:
    with PollingSession(engineio) as session, session.candidate() as websocket:
        websocket.send_text("2probe")
        assert websocket.receive_text() == "3probe"
        assert session.poll() == "6"
        websocket.send_text("5")
        websocket.send_text("4hello")
        assert websocket.receive_text() == "4hello"


def test_10_after_the_upgrade(engineio: int) -> None:
    with PollingSession(engineio) as session, session.candidate() as websocket:
        websocket.send_text("2probe")
        assert websocket.receive_text() == "3probe"
        websocket.send_text("5")
        websocket.send_text("4hello")
        assert websocket.receive_text() == "4hello"
        assert request(engineio, "GET", session.path).status == 400
        with session.candidate() as another:
            assert another.close_code() == 1002
        websocket.send_text("4hello")
        assert websocket.receive_text() == "4hello"


# Socket.IO


def receive(websocket: WebSocket) -> str:
    """The next packet but for a ping, which is answered."""
    while (text := websocket.receive_text()) == "2":
        websocket.send_text("3")
    return text


def connect(port: int, namespace: str = "/") -> EngineSocket:
    websocket = EngineSocket(port, namespace)
    prefix = "42" if namespace == "/" else f"42{namespace},"
    assert receive(websocket) == f'{prefix}["auth",{{}}]'
    return websocket


@pytest.mark.parametrize("prefix", ["", "/custom,"])
@pytest.mark.parametrize("auth", [None, {"token": "123"}])
def test_11_connect(socketio: int, prefix: str, auth: Any) -> None:
    with EngineSocket(socketio, None) as websocket:
        websocket.send_text(f"40{prefix}{'' if auth is None else json.dumps(auth)}")
        answer = receive(websocket)
        assert answer.startswith(f"40{prefix}")
        assert json.loads(answer[len(f"40{prefix}") :]).keys() == {"sid"}
        assert receive(websocket) == f"42{prefix}" + json.dumps(["auth", auth or {}], separators=(",", ":"))


def test_11_unknown_namespace(socketio: int) -> None:
    with EngineSocket(socketio, None) as websocket:
        websocket.send_text("40/random")
        assert receive(websocket) == '44/random,{"message":"Invalid namespace"}'


def test_11_invalid_handshake(socketio: int) -> None:
    with EngineSocket(socketio, None) as websocket:
        websocket.send_text("4abc")
        assert websocket.close_code() == 1002


def test_11_no_connect(socketio: int) -> None:
    with EngineSocket(socketio, None) as websocket:
        assert websocket.close_code() == 1011  # the pong that did not come is earlier
    with EngineSocket(socketio, None) as websocket:
        with pytest.raises(AssertionError, match=r"\(8, b'\\x03\\xf0'\)"):  # 1008: the connect time-out
            while True:
                receive(websocket)


def test_11_disconnect(socketio: int) -> None:
    with connect(socketio) as websocket:
        websocket.send_text("41")
        assert websocket.receive_text() == "2"


def test_11_disconnect_of_one_namespace(socketio: int) -> None:
    with connect(socketio) as websocket:
        websocket.send_text("40/custom")
        assert receive(websocket).startswith('40/custom,{"sid":"')
        assert receive(websocket) == '42/custom,["auth",{}]'
        websocket.send_text("41/custom")
        websocket.send_text('42["message","message to main namespace"]')
        assert receive(websocket) == '42["message-back","message to main namespace"]'


@pytest.mark.parametrize("packet", ["4abc", "42{}", '42abc["message-with-ack",1]', '42/custom,["message"]'])
def test_11_invalid_packets(socketio: int, packet: str) -> None:
    with connect(socketio) as websocket:
        websocket.send_text(packet)
        assert websocket.close_code() == 1002


def test_11_messages(socketio: int) -> None:
    with connect(socketio) as websocket:
        websocket.send_text('42["message",1,"2",{"3":[true]}]')
        assert receive(websocket) == '42["message-back",1,"2",{"3":[true]}]'
        websocket.send_text('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert receive(websocket) == '43456[1,"2",{"3":[false]}]'


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (
            '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
            '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        ),
        (
            '452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
            '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        ),
    ],
)
def test_11_binary(socketio: int, sent: str, answered: str) -> None:
    with connect(socketio) as websocket:
        websocket.send_text(sent)
        websocket.send_frame(BINARY, b"\1\2\3")
        websocket.send_frame(BINARY, b"\4\5\6")
        assert receive(websocket) == answered
        assert websocket.receive() == (BINARY, b"\1\2\3")
        assert websocket.receive() == (BINARY, b"\4\5\6")
