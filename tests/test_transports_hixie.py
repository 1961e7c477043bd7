"""WebSockets before RFC 6455: the handshake in its pieces, and frames on a wire (rows V12 and P11)."""

from __future__ import annotations

import _socket
import base64
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from pyramid_socketio.errors import CloseReason, PacketError, PayloadTooLarge, ProtocolError, TextError
from pyramid_socketio.evented.timers import Timers
from pyramid_socketio.evented.wire import Wire
from pyramid_socketio.protocol import payload_v0, socketio_v0
from pyramid_socketio.protocol.hixie import Handshake
from pyramid_socketio.protocol.http import encode_head, parse_head
from pyramid_socketio.protocol.packets import MESSAGE, PONG, EnginePacket
from pyramid_socketio.protocol.revisions import Revision
from pyramid_socketio.protocol.websocket import HandshakeRefused
from pyramid_socketio.settings import Settings
from pyramid_socketio.transports import hixie
from pyramid_socketio.transports.hixie import HixieTransport, PendingHandshake, recognise
from tests.timing import MS, turn_until
from tests.vectorfiles import load

V0 = Revision("0.6", "0.5 and 0.6", payload_v0, socketio_v0)

KEYS = (
    "Sec-WebSocket-Key1: 18x 6]8vM;54 *(5:  {   U1]8  z [  8\r\n"
    "Sec-WebSocket-Key2: 1_ tx7X d  <  nw  334J702) 7]o}` 0\r\n"
)
KEY3, DIGEST = b"Tm[K T2u", b"fQJ,fN/4F4!~K~MH"

ANSWER = encode_head(101, [("Set-Cookie", "a=b")])


def judge(fields: str, scheme: str = "http", path: str = "/socket.io/websocket", **values: Any) -> Handshake | None:
    """What becomes of a request with these lines of headers."""
    request = f"GET {path} HTTP/1.1\r\nHost: example.com\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n{fields}\r\n"
    return recognise(parse_head(request.encode("latin-1")), scheme, Settings(**{"hixie": True, **values}))


class TestRecognise:
    def test_hixie_76(self) -> None:
        handshake = judge(KEYS)
        assert handshake is not None
        assert handshake.digest(KEY3) == DIGEST

    def test_hixie_75(self) -> None:
        handshake = judge("Origin: http://a.example\r\n")
        assert handshake is not None and handshake.keys is None
        assert b"\r\nWebSocket-Origin: http://a.example\r\n" in handshake.head

    @pytest.mark.parametrize(
        "fields",
        [
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Version: 99\r\n",
            "Sec-WebSocket-Key: x\r\n",
        ],
    )
    def test_rfc_6455_good_or_bad_is_not_judged_here(self, fields: str) -> None:
        assert judge(fields, hixie=False) is None

    @pytest.mark.parametrize("fields", [KEYS, ""])
    def test_the_setting_is_off_unless_somebody_needs_it_v12(self, fields: str) -> None:
        with pytest.raises(HandshakeRefused, match=r"socketio\.hixie") as caught:
            judge(fields, hixie=Settings().hixie)
        assert caught.value.status == 400

    @pytest.mark.parametrize(
        ("scheme", "path", "location"),
        [
            ("http", "/socket.io/websocket", "ws://example.com/socket.io/websocket"),
            (
                "https",
                "/p/socket.io/1/flashsocket/x?tok=a%20b",
                "wss://example.com/p/socket.io/1/flashsocket/x?tok=a%20b",
            ),
        ],
    )
    def test_the_location_is_what_the_client_has_opened(self, scheme: str, path: str, location: str) -> None:
        handshake = judge(KEYS, scheme, path)
        assert handshake is not None
        assert f"\r\nSec-WebSocket-Location: {location}\r\n".encode() in handshake.head

    @pytest.mark.parametrize(
        "fields",
        [
            "Sec-WebSocket-Key1: 123\r\nSec-WebSocket-Key2: 1 2\r\n",
            "Sec-WebSocket-Key1: 1 2\r\nSec-WebSocket-Key2: 1 2 3\r\n",
            "Sec-WebSocket-Key1: 1 2\r\n",
            "Sec-WebSocket-Key2: 1 2\r\n",
            "Sec-WebSocket-Key1: a b\r\nSec-WebSocket-Key2: 1 2\r\n",
        ],
    )
    def test_bad_keys_p11(self, fields: str) -> None:
        with pytest.raises(HandshakeRefused) as caught:
            judge(fields)
        assert caught.value.status == 400

    def test_http_1_0(self) -> None:
        with pytest.raises(HandshakeRefused, match=r"HTTP/1\.1"):
            recognise(parse_head(b"GET / HTTP/1.0\r\nUpgrade: WebSocket\r\n\r\n"), "http", Settings(hixie=True))


class Ends:
    """A wire, and the socket of its client."""

    def __init__(self, timers: Timers) -> None:
        ours, self.client = socket.socketpair()
        self.client.setblocking(False)
        self.wire = Wire(_socket.socket(fileno=ours.detach()), timers, lambda data: None, lambda error: None)
        #: The bytes behind the key, once the handshake is done.
        self.ready: list[bytes] = []
        self.lost = 0

    def shake_hands(self, handshake: Handshake | None, early: bytes = b"") -> None:
        def lost() -> None:
            self.lost += 1

        assert handshake is not None
        PendingHandshake(self.wire, handshake, ANSWER, early, self.ready.append, lost)

    def read(self) -> bytes:
        """What is there for the client now."""
        try:
            return self.client.recv(65536)
        except BlockingIOError:
            return b""

    def at_end(self) -> bool:
        try:
            return self.client.recv(1) == b""
        except BlockingIOError:
            return False


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers()
    yield timers
    timers.close()


@pytest.fixture
def ends(timers: Timers) -> Iterator[Ends]:
    ends = Ends(timers)
    yield ends
    ends.wire.abort()
    ends.client.close()


class TestPendingHandshake:
    def test_the_whole_key_at_once(self, ends: Ends) -> None:
        ends.shake_hands(judge(KEYS), KEY3 + b"\x00early\xff")
        assert ends.ready == [b"\x00early\xff"]
        answer = ends.read()
        assert answer.startswith(
            b"HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        )
        assert answer.endswith(b"\r\nSet-Cookie: a=b\r\n\r\n" + DIGEST)
        assert answer.count(b"\r\n\r\n") == 1

    def test_the_head_does_not_wait_for_the_key(self, ends: Ends) -> None:
        ends.shake_hands(judge(KEYS), KEY3[:3])
        assert ends.read().endswith(b"\r\n\r\n")
        for byte in KEY3[3:-1]:
            ends.client.send(bytes([byte]))
        assert ends.ready == []
        ends.client.send(KEY3[-1:] + b"\x00")
        turn_until(lambda: ends.ready)
        assert ends.read() == DIGEST
        assert ends.ready == [b"\x00"]

    def test_hixie_75_has_no_key(self, ends: Ends) -> None:
        ends.shake_hands(judge(""), b"\x00early\xff")
        assert ends.ready == [b"\x00early\xff"]
        assert ends.read().startswith(b"HTTP/1.1 101 Web Socket Protocol Handshake\r\n")

    def test_no_key_p11(self, ends: Ends, timers: Timers, monkeypatch: pytest.MonkeyPatch) -> None:
        assert hixie.KEY_TIMEOUT == 10.0
        monkeypatch.setattr(hixie, "KEY_TIMEOUT", 5 * MS)
        ends.shake_hands(judge(KEYS), KEY3[:7])
        turn_until(lambda: ends.lost)
        ends.read()
        assert ends.at_end()
        assert (ends.ready, ends.lost, len(timers)) == ([], 1, 0)

    @pytest.mark.parametrize("early", [b"", KEY3[:7]])
    def test_the_client_goes_before(self, ends: Ends, timers: Timers, early: bytes) -> None:
        ends.shake_hands(judge(KEYS), early)
        ends.client.close()
        turn_until(lambda: ends.lost)
        assert (ends.ready, ends.lost, len(timers)) == ([], 1, 0)

    def test_the_client_goes_behind_its_key(self, ends: Ends, timers: Timers) -> None:
        ends.shake_hands(judge(KEYS))
        ends.client.send(KEY3)
        ends.client.close()
        turn_until(lambda: ends.lost)
        assert (ends.ready, ends.lost, len(timers)) == ([], 1, 0)

    @pytest.mark.parametrize("early", [b"", KEY3])
    def test_the_client_has_gone_already(self, ends: Ends, timers: Timers, early: bytes) -> None:
        ends.client.close()
        ends.shake_hands(judge(KEYS), early)
        assert (ends.ready, ends.lost, len(timers)) == ([], 1, 0)

    def test_the_client_went_while_the_application_was_deciding(self, ends: Ends, timers: Timers) -> None:
        ends.wire.abort()
        ends.shake_hands(judge(KEYS), KEY3)
        assert (ends.ready, ends.lost, len(timers)) == ([], 1, 0)

    def test_the_time_ends_with_the_handshake(self, ends: Ends, timers: Timers) -> None:
        ends.shake_hands(judge(KEYS), KEY3)
        assert len(timers) == 0


class Session:
    """Remembers what a transport told."""

    sid = "the sid"

    def __init__(self) -> None:
        self.packets: list[EnginePacket] = []
        self.errors: list[ProtocolError] = []
        self.reasons: list[str] = []

    def received(self, transport: Any, packets: Any) -> None:
        self.packets += packets

    def failed(self, transport: Any, error: ProtocolError) -> None:
        self.errors.append(error)

    def gone(self, transport: Any, reason: str) -> None:
        self.reasons.append(reason)


class TestTransport:
    @pytest.fixture
    def session(self) -> Session:
        return Session()

    @pytest.fixture
    def transport(self, ends: Ends, session: Session) -> HixieTransport:
        return HixieTransport(
            ends.wire, "flashsocket", V0, Settings(max_message_size=1000), session, b"\x00~m~1~m~0\xff"
        )

    def test_sending(self, ends: Ends, transport: HixieTransport) -> None:
        transport.send(payload_v0.Message(("é".encode(), [])))
        transport.send_packet(b"~m~4~m~~h~1")
        assert ends.read() == b"\x00~m~1~m~\xc3\xa9\xff\x00~m~4~m~~h~1\xff"

    def test_what_is_corked_goes_out_in_order(self, ends: Ends, transport: HixieTransport) -> None:
        transport.cork()
        transport.send(payload_v0.Message((b"a", [])))
        transport.send_packet(b"~m~1~m~b")
        assert ends.read() == b""
        transport.uncork()
        assert ends.read() == b"\x00~m~1~m~a\xff\x00~m~1~m~b\xff"

    def test_receiving(self, ends: Ends, transport: HixieTransport, session: Session) -> None:
        for byte in b"\x00~m~1~m~a~m~4~m~~h~1\xff\x00~m~1~m~b\xff":
            ends.client.send(bytes([byte]))
        turn_until(lambda: len(session.packets) == 4)
        assert session.packets == [(MESSAGE, "0"), (MESSAGE, "a"), (PONG, "1"), (MESSAGE, "b")]
        assert transport.name == "flashsocket"

    def test_the_client_closes(self, ends: Ends, transport: HixieTransport, session: Session) -> None:
        ends.client.send(b"\x00~m~1~m~a\xff\xff\x00\x00~m~1~m~b\xff")
        turn_until(lambda: session.reasons)
        assert session.packets == [(MESSAGE, "0"), (MESSAGE, "a")]
        assert session.reasons == [CloseReason.TRANSPORT_CLOSE]
        assert ends.read() == b"\xff\x00"
        assert ends.at_end()

    def test_the_server_closes(self, ends: Ends, transport: HixieTransport, session: Session) -> None:
        transport.close(1001)
        assert ends.read() == b"\xff\x00"
        assert ends.at_end()
        assert session.reasons == []

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (b"\x81\x00", PacketError),
            (b"GET / HTTP/1.1\r\n\r\n", PacketError),
            (b"\x00\x80\xff", TextError),
            (b"\x00" + b"x" * 1001, PayloadTooLarge),
            (b"\x00~m~5~m~abc\xff", PacketError),
        ],
    )
    def test_bad_input(
        self, ends: Ends, transport: HixieTransport, session: Session, data: bytes, kind: type[ProtocolError]
    ) -> None:
        ends.client.send(b"\x00~m~1~m~a\xff" + data)
        turn_until(lambda: session.errors)
        assert session.packets == [(MESSAGE, "0"), (MESSAGE, "a")]
        assert [type(error) for error in session.errors] == [kind]


VECTORS = load("hixie76-handshake")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["digest_base64"])
def test_vectors(ends: Ends, vector: dict[str, Any]) -> None:
    fields = f"Sec-WebSocket-Key1: {vector['key1']}\r\nSec-WebSocket-Key2: {vector['key2']}\r\n"
    ends.shake_hands(judge(fields), base64.b64decode(vector["key3_base64"]))
    head, _, digest = ends.read().partition(b"\r\n\r\n")
    assert head.startswith(vector["status_line"].encode() + b"\r\n")
    assert digest == base64.b64decode(vector["digest_base64"])
