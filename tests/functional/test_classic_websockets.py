"""WebSockets before RFC 6455: Flash with its policy, Safari 5 and Chrome 6, byte by byte (rows V12 and P11)."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden

from pyramid_socketio import SocketIOContext, message
from pyramid_socketio.transports import hixie
from tests.conftest import wait_for
from tests.functional.browsers import Hixie, Keys, frame_0_6, handshake_0_9, unframe_0_6
from tests.functional.raw import UPGRADE, Connection, EngineSocket, WebSocket, encode_request, request
from tests.functional.serving import ThreadServer
from tests.vectorfiles import load

#: Why contexts have ended; the transports of clients.
ENDED: list[str | None] = []
NAMES: list[str] = []


class Context(SocketIOContext):
    def connect(self) -> None:
        NAMES.append(self.io.transport)
        self.send("wörld 😀")

    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    @message("message")
    def echo(self, value: Any) -> None:
        self.send(f"re:{value}")

    def msg_leave(self, msg: dict[str, Any]) -> None:
        self.send("bye")
        self.io.disconnect()


def gate_factory(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween that sets a cookie, and lets nobody in who says so himself."""

    def gate(request: Any) -> Any:
        response = handler(request)
        if "X-Forbidden" in request.headers:
            return HTTPForbidden("not you")
        if "X-Cookie" in request.headers:
            response.headers["Set-Cookie"] = "a=b"
        return response

    return gate


def application(**settings: str) -> Any:
    settings = {"hixie": "true", "allowed_origins": "http://example.com", **settings}
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Context, "/")
        config.add_tween(f"{__name__}.gate_factory")
    return config.make_wsgi_app()


POLICY = {"policy_server": True, "policy_listener_host": "127.0.0.1", "policy_listener_port": 0}


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(application(), **POLICY) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    ENDED.clear()
    NAMES.clear()
    serving.forget()
    yield serving
    wait_for(serving.has_settled)
    assert serving.failures == []


#: Both drafts, by what a client sends.
DRAFTS = pytest.mark.parametrize("keys", [Keys(), None], ids=["hixie-76", "hixie-75"])


def open_0_6(port: int, keys: Keys | None = Keys(), path: str = "/socket.io/websocket", **options: Any) -> Hixie:  # noqa: B008
    """A client of 0.6 that has its session id."""
    client = Hixie(port, path, keys, **options).open()
    assert unframe_0_6(client.receive_text())
    return client


def path_of(server: ThreadServer, version: str) -> str:
    """Where a client opens its WebSocket; those of 0.9 have shaken hands by then."""
    return f"/socket.io/1/websocket/{handshake_0_9(server.port)[0]}" if version == "0.9" else "/socket.io/websocket"


def forget(server: ThreadServer, path: str) -> None:
    """End a session of 0.9 that has no transport."""
    if path.startswith("/socket.io/1/"):
        sid = path.rpartition("/")[2]
        assert sid in server.sessions, "it might come with another transport"
        assert request(server.port, "GET", f"/socket.io/1//{sid}/?disconnect=1").status == 200


class TestClient06:
    @DRAFTS
    @pytest.mark.parametrize("path", ["/socket.io/websocket", "/socket.io/flashsocket"])
    def test_messages_both_ways(self, server: ThreadServer, keys: Keys | None, path: str) -> None:
        with open_0_6(server.port, keys, path) as client:
            assert client.receive_text() == frame_0_6("wörld 😀")
            client.send_text(frame_0_6("héllo 😀"))
            assert client.receive_text() == frame_0_6("re:héllo 😀")
            client.send_text(frame_0_6("a", "b"))
            assert [client.receive_text() for _ in range(2)] == [frame_0_6("re:a"), frame_0_6("re:b")]
        assert NAMES == [path.rpartition("/")[2]]
        assert wait_for(lambda: ENDED) == ["transport close"]

    def test_in_the_same_packet_as_the_handshake(self, server: ThreadServer) -> None:
        client = Hixie(server.port, "/socket.io/websocket")
        client.handshake += Keys().key3 + b"\x00" + frame_0_6("early").encode() + b"\xff"
        with client:
            client.send(client.handshake)
            assert client.read_head() == client.expected_head
            assert client.read(16) == Keys().digest
            client.receive_text()
            assert {client.receive_text(), client.receive_text()} == {frame_0_6("wörld 😀"), frame_0_6("re:early")}

    @DRAFTS
    def test_the_client_closes(self, server: ThreadServer, keys: Keys | None) -> None:
        with open_0_6(server.port, keys) as client:
            client.receive_text()
            client.send(b"\xff\x00")
            assert client.read_to_end() == b"\xff\x00"
        assert wait_for(lambda: ENDED) == ["transport close"]

    def test_the_server_closes(self, server: ThreadServer) -> None:
        with open_0_6(server.port) as client:
            client.receive_text()
            client.send_text(frame_0_6('~j~{"type":"leave"}'))
            assert client.receive_text() == frame_0_6("bye")
            assert client.read_to_end() == b"\xff\x00"
        assert wait_for(lambda: ENDED) == ["server"]

    def test_the_applications_headers_go_behind_those_of_the_draft(self, server: ThreadServer) -> None:
        with Hixie(server.port, "/socket.io/websocket", headers={"X-Cookie": "yes"}) as client:
            client.send(client.handshake + Keys().key3)
            head = client.read_head()
            assert head.startswith(client.expected_head[:-2])
            assert b"\r\nSet-Cookie: a=b\r\n" in head
            assert client.read(16) == Keys().digest

    def test_the_application_refuses(self, server: ThreadServer) -> None:
        with Hixie(server.port, "/socket.io/websocket", headers={"X-Forbidden": "yes"}) as client:
            client.send(client.handshake + Keys().key3)
            assert client.response().status == 403

    def test_a_foreign_page_p14(self, server: ThreadServer) -> None:
        with Hixie(server.port, "/socket.io/websocket", origin="http://evil.example") as client:
            client.send(client.handshake + Keys().key3)
            assert client.response().status == 403

    @pytest.mark.parametrize("data", [b"\x81\x85", b"\x00\x80\xff", b"\x00~m~9~m~x\xff", b"\x00x\xff", b"\x00" * 3])
    def test_bad_frames(self, server: ThreadServer, data: bytes) -> None:
        with open_0_6(server.port) as client:
            client.receive_text()
            client.send(data + b"\xff")
            assert client.read_to_end() == b"\xff\x00"
        assert wait_for(lambda: ENDED) == ["protocol error"]

    def test_a_message_that_is_too_long(self, server: ThreadServer) -> None:
        with open_0_6(server.port) as client:
            client.receive_text()
            client.send(b"\x00" + b"x" * 1_000_001)
            assert client.read_to_end() == b"\xff\x00"
        assert wait_for(lambda: ENDED) == ["payload too large"]


class TestFlash:
    """Policy first, on a connection of its own; then hixie-76 as web-socket-js writes it."""

    def test_client_0_9(self, server: ThreadServer) -> None:
        with Connection(server.port) as player:
            player.send(b"<policy-file-request/>\0")
            policy = player.read_to_end()
            assert b'domain="example.com" to-ports="%d"' % server.port in policy
        sid, transports = handshake_0_9(server.port)
        assert "flashsocket" in transports
        path = f"/socket.io/1/flashsocket/{sid}"
        with Hixie(server.port, path, headers={"Cookie": "a=b"}).open() as client:
            assert client.receive_text() == "1::"
            assert client.receive_text() == "3:::wörld 😀"
            client.send_text("3:::é")
            assert client.receive_text() == "3:::re:é"
            client.send_text("\ufffd5\ufffd3:::a\ufffd5\ufffd3:::b")
            assert [client.receive_text() for _ in range(2)] == ["3:::re:a", "3:::re:b"]
            client.send_text('4:::{"type":"leave"}')
            assert [client.receive_text() for _ in range(2)] == ["3:::bye", "0::"]
            assert client.read_to_end() == b"\xff\x00"
        assert NAMES == ["flashsocket"]

    def test_with_a_handshake_of_today(self) -> None:
        """Whatever makes the connection: that needs no setting."""
        ENDED.clear()
        with ThreadServer(application(hixie="false"), **POLICY) as server:
            with WebSocket(server.port, "/socket.io/flashsocket") as client:
                assert unframe_0_6(client.receive_text())
            sid, _ = handshake_0_9(server.port)
            with WebSocket(server.port, f"/socket.io/1/flashsocket/{sid}") as client:
                assert client.receive_text() == "1::"
            wait_for(server.has_settled)

    def test_not_offered_without_a_policy(self) -> None:
        with ThreadServer(application()) as server:
            assert "flashsocket" not in handshake_0_9(server.port)[1]


class TestHandshake:
    def test_the_vector_of_a_late_key(self, server: ThreadServer) -> None:
        (vector,) = load("hixie76-handshake", "late_key3")
        with Hixie(server.port, "/socket.io/websocket") as client:
            client.send(client.handshake)
            assert client.read_head().decode() == vector["reply_headers"]
            assert client.is_silent(0.05), "the digest needs the whole key"
            client.send(Keys().key3[:5])
            assert client.is_silent(0.05)
            client.send(Keys().key3[5:])
            assert client.read(16) == base64.b64decode(vector["digest_base64"])
            assert unframe_0_6(client.receive_text())

    @pytest.mark.parametrize("vector", load("hixie76-handshake")[:5], ids=lambda vector: vector["digest_base64"])
    def test_vectors(self, server: ThreadServer, vector: dict[str, Any]) -> None:
        keys = Keys(vector["key1"], vector["key2"], base64.b64decode(vector["key3_base64"]))
        assert keys.digest == base64.b64decode(vector["digest_base64"])
        open_0_6(server.port, keys).close()

    def test_the_vector_of_hixie_75(self, server: ThreadServer) -> None:
        (vector,) = load("hixie76-handshake", "hixie75")
        with Connection(server.port) as client:
            client.send(vector["request"].encode())
            head, _, _ = vector["reply_latin1"].partition("\x00")
            assert client.read(len(head)).decode() == head
            assert client.read(4) == b"\x00~m~"

    # Not those of the vectors: 1 1  1 is 111 / 3, which can be divided.
    @pytest.mark.parametrize("key1", ["12345", "1 1  2", "abc def", "1" * 11 + " "])
    @pytest.mark.parametrize("version", ["0.6", "0.9"])
    def test_bad_keys_p11(self, server: ThreadServer, key1: str, version: str) -> None:
        """The bytes behind the request are no next one."""
        path = path_of(server, version)
        with Hixie(server.port, path, Keys(key1, "1 2")) as client:
            client.send(client.handshake + b"GET / HT")
            assert client.response().status == 400
            assert client.read_to_end() == b""
        forget(server, path)

    @DRAFTS
    @pytest.mark.parametrize("version", ["0.6", "0.9"])
    def test_switched_off_v12(self, keys: Keys | None, version: str) -> None:
        with ThreadServer(application(hixie="false")) as server:
            path = path_of(server, version)
            with Hixie(server.port, path, keys) as client:
                client.send(client.handshake + Keys().key3)
                answer = client.response()
                assert answer.status == 400
                assert "socketio.hixie" in answer.text
                assert client.read_to_end() == b""

    @DRAFTS
    @pytest.mark.parametrize("path", ["/socket.io/?EIO=4&transport=websocket", "/socket.io/nope"])
    def test_other_paths_v12(self, server: ThreadServer, keys: Keys | None, path: str) -> None:
        with Hixie(server.port, path, keys) as client:
            client.send(client.handshake + Keys().key3)
            assert client.response().status in (400, 404)

    def test_an_open_session_of_0_9(self, server: ThreadServer) -> None:
        sid, _ = handshake_0_9(server.port)
        with Hixie(server.port, f"/socket.io/1/websocket/{sid}?tok=a%20b").open() as client:
            assert client.receive_text() == "1::"


class TestMissingKey:
    """P11: closed at 10 s, and nobody waits for it."""

    @pytest.fixture
    def short(self, monkeypatch: pytest.MonkeyPatch) -> float:
        assert hixie.KEY_TIMEOUT == 10.0
        monkeypatch.setattr(hixie, "KEY_TIMEOUT", 0.2)
        return 0.2

    def begin(self, server: ThreadServer, version: str) -> Hixie:
        client = Hixie(server.port, path_of(server, version))
        client.send(client.handshake + Keys().key3[:7])
        assert client.read_head() == client.expected_head
        return client

    @pytest.mark.parametrize("version", ["0.6", "0.9"])
    def test_closed_in_time(self, server: ThreadServer, short: float, version: str) -> None:
        start = time.monotonic()
        with self.begin(server, version) as client:
            with EngineSocket(server.port) as today:
                today.event()
                today.emit("message", "x")
                assert today.event() == ["message", "re:x"]
            assert client.read_to_end() == b""
        assert time.monotonic() - start >= short
        forget(server, client.path)
        assert wait_for(lambda: ENDED) == ["transport close"], "only the other one was ever connected"

    @pytest.mark.parametrize("version", ["0.6", "0.9"])
    def test_the_client_goes_before(self, server: ThreadServer, version: str) -> None:
        client = self.begin(server, version)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.read_to_end() == b""
        client.close()
        forget(server, client.path)

    def test_many(self, server: ThreadServer, short: float) -> None:
        clients = [self.begin(server, "0.6") for _ in range(20)]
        for client in clients:
            assert client.read_to_end() == b""
            client.close()
        assert ENDED == []

    def test_shutdown(self) -> None:
        with ThreadServer(application()) as server:
            with self.begin(server, "0.6"):
                assert len(server.sessions) == 1


def test_rfc_6455_is_judged_by_its_own_rules(server: ThreadServer) -> None:
    with Connection(server.port) as client:
        client.send(encode_request("GET", "/socket.io/websocket", {**UPGRADE, "Sec-WebSocket-Version": "99"}))
        assert client.response().status == 426
