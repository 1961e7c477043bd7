"""WebSockets before RFC 6455: the handshakes of server 0.6.18, and frames."""

from __future__ import annotations

import base64
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_socketio.errors import ProtocolError
from pyramid_socketio.protocol.hixie import (
    KEY3_SIZE,
    Handshake,
    HixieParser,
    check_handshake,
    encode_close,
    encode_frame,
)
from pyramid_socketio.protocol.websocket import CLOSE, TEXT, HandshakeRefused
from tests.vectorfiles import load

VECTORS = load("hixie76-handshake")
NO_SPACES, MISNAMED = load("hixie76-handshake", "invalid")
(LATE,) = load("hixie76-handshake", "late_key3")
(HIXIE75,) = load("hixie76-handshake", "hixie75")

LOCATION = "ws://example.com/socket.io/websocket"
KEYS: dict[str, Any] = {
    "sec_websocket_key1": VECTORS[0]["key1"],
    "sec_websocket_key2": VECTORS[0]["key2"],
}

Messages = list[tuple[int, str | bytes]]


# The handshake


def shake_hands(location: str = LOCATION, **headers: str | None) -> Handshake:
    fields = {"upgrade": "WebSocket", "connection": "Upgrade", "origin": "http://example.com", **headers}
    return check_handshake(
        {name.replace("_", "-"): value for name, value in fields.items() if value is not None}, location
    )


def refused(location: str = LOCATION, **headers: str | None) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as caught:
        shake_hands(location, **headers)
    return caught.value


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["key1"] for vector in VECTORS])
def test_digests(vector: dict[str, Any]) -> None:
    handshake = shake_hands(sec_websocket_key1=vector["key1"], sec_websocket_key2=vector["key2"])
    assert handshake.head.startswith(vector["status_line"].encode() + b"\r\n")
    assert handshake.keys == (vector["part1"]["number"], vector["part2"]["number"])
    key3 = base64.b64decode(vector["key3_base64"])
    assert len(key3) == KEY3_SIZE
    assert handshake.digest(key3) == base64.b64decode(vector["digest_base64"])


def test_a_key_without_spaces() -> None:  # P11
    assert refused(sec_websocket_key1=NO_SPACES["key1"], sec_websocket_key2=NO_SPACES["key2"]).status == 400


def test_a_vector_with_a_wrong_name() -> None:
    # 111 can be divided by 3 spaces. The digest in the reply is the right one, so the reference took the key, too.
    assert MISNAMED["name"] == "not divisible"
    handshake = shake_hands(sec_websocket_key1=MISNAMED["key1"], sec_websocket_key2=MISNAMED["key2"])
    _, _, reply = base64.b64decode(MISNAMED["reply_base64"]).partition(b"\r\n\r\n")
    assert handshake.keys == (37, 12)
    assert handshake.digest(b"12345678") == reply[:16]


def test_the_head_is_ready_before_the_third_key() -> None:
    handshake = shake_hands(**KEYS)
    assert handshake.head == LATE["reply_headers"].encode()
    assert handshake.digest(b"Tm[K T2u") == b"fQJ,fN/4F4!~K~MH" == base64.b64decode(LATE["digest_base64"])


def test_hixie_75() -> None:
    handshake = shake_hands()
    reply = base64.b64decode(HIXIE75["reply_base64"])
    assert handshake.keys is None
    # What follows the head in the vector are frames.
    assert handshake.head == reply[: reply.index(b"\x00")]
    assert handshake.head.endswith(b"\r\n\r\n")


def test_the_head_has_what_clients_compare() -> None:
    location = "wss://example.com:8443/chat/socket.io/flashsocket"
    for keys, prefix in ((KEYS, b"Sec-"), ({}, b"")):
        lines = shake_hands(location, origin="https://other.example", **keys).head.split(b"\r\n")
        assert lines[1:] == [
            b"Upgrade: WebSocket",
            b"Connection: Upgrade",
            prefix + b"WebSocket-Origin: https://other.example",
            prefix + b"WebSocket-Location: " + location.encode(),
            b"",
            b"",
        ]


def test_without_an_origin_it_is_null() -> None:
    assert b"\r\nSec-WebSocket-Origin: null\r\n" in shake_hands(origin=None, **KEYS).head
    assert b"\r\nWebSocket-Origin: null\r\n" in shake_hands(origin=None).head


def test_the_protocol_is_repeated() -> None:
    assert shake_hands(sec_websocket_protocol="sample", **KEYS).head.endswith(
        b"websocket\r\nSec-WebSocket-Protocol: sample\r\n\r\n"
    )
    assert shake_hands(websocket_protocol="sample").head.endswith(b"websocket\r\nWebSocket-Protocol: sample\r\n\r\n")
    # Each draft has its own name for it.
    assert b"sample" not in shake_hands(websocket_protocol="sample", **KEYS).head
    assert b"sample" not in shake_hands(sec_websocket_protocol="sample").head


@pytest.mark.parametrize("keys", [KEYS, {}], ids=["76", "75"])
@pytest.mark.parametrize("bad", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "\u20ac"])
def test_nothing_can_be_put_into_the_head(keys: dict[str, Any], bad: str) -> None:
    assert refused(bad, **keys).status == 400
    assert refused(origin=bad, **keys).status == 400
    name = "sec_websocket_protocol" if keys else "websocket_protocol"
    assert refused(**{name: bad}, **keys).status == 400


@pytest.mark.parametrize("keys", [KEYS, {}], ids=["76", "75"])
@pytest.mark.parametrize("upgrade", [None, "", "h2c", "websockets", "TLS/1.0"])
def test_another_upgrade(keys: dict[str, Any], upgrade: str | None) -> None:
    assert refused(upgrade=upgrade, **keys).status == 400


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        " ",
        "no digits",
        "12345",  # P11: no spaces
        "1 1  2",  # P11: not divisible
        "1\t2",
        "1\u00a02",
        "\u0661 \u0662",
        "4294967296 ",  # over 32 bits
        "9999999999999 ",
        " " + "9" * 5000,
    ],
)
def test_bad_keys(key: str | None) -> None:
    assert refused(sec_websocket_key1=key, sec_websocket_key2="1 2").status == 400
    assert refused(sec_websocket_key1="1 2", sec_websocket_key2=key).status == 400


def test_the_biggest_number() -> None:
    assert shake_hands(sec_websocket_key1="4294967295 ", sec_websocket_key2="0 ").keys == (2**32 - 1, 0)


@given(st.text(), st.text())
def test_any_keys_are_numbers_or_refused(key1: str, key2: str) -> None:
    try:
        handshake = shake_hands(sec_websocket_key1=key1, sec_websocket_key2=key2)
    except HandshakeRefused as error:
        assert error.status == 400
        return
    assert len(handshake.digest(bytes(KEY3_SIZE))) == 16


# Frames


def parse(pieces: list[bytes], max_message_size: int = 1000) -> tuple[Messages, int | None, bool]:
    """Messages, close code of the error, whether the end has come."""
    parser = HixieParser(max_message_size)
    messages = [message for piece in pieces for message in parser.feed(piece)]
    return messages, parser.error and parser.error.close_code, parser.closed


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


GOOD: list[tuple[bytes, Messages]] = [
    (b"\x00\xff", [(TEXT, "")]),
    (b"\x00hello\xff", [(TEXT, "hello")]),
    (b"\x00~m~2~m~\xf0\x9f\x98\x80\xff", [(TEXT, "~m~2~m~\U0001f600")]),
    (b"\x00a\x00b\xff", [(TEXT, "a\x00b")]),
    (b"\x00a\xff\x00b\xff\x00\xff", [(TEXT, "a"), (TEXT, "b"), (TEXT, "")]),
]

BAD: list[tuple[bytes, int]] = [
    (b"\x01a\xff", 1002),
    (b"\x81\x05hello", 1002),
    (b"\x80\x01a", 1002),
    (b"\xfe", 1002),
    (b"a", 1002),
    (b"\xff\x01a", 1002),
    (b"\xff\xff", 1002),
    (b"\x00\xc3\xff", 1007),
    (b"\x00\xed\xa0\xbd\xff", 1007),
    (b"\x00\xfe\xff", 1007),
    (b"\x00" + b"a" * 1001 + b"\xff", 1009),
    (b"\x00" + b"a" * 1001, 1009),
    (b"\x00" + b"\xc3" * 1001 + b"\xff", 1009),
]


def test_encode() -> None:
    assert encode_frame("~m~1~m~\u00e9".encode()) == b"\x00~m~1~m~\xc3\xa9\xff"
    assert encode_frame(b"") == b"\x00\xff"
    assert encode_close() == b"\xff\x00"


@pytest.mark.parametrize("behind", [b"", b"\x00", b"\x00half", b"\xff"])
@pytest.mark.parametrize(("data", "messages"), GOOD)
def test_good_frames(data: bytes, messages: Messages, behind: bytes) -> None:
    for pieces in ([data + behind], bytewise(data + behind), [data, behind]):
        assert parse(pieces) == (messages, None, False)


def test_a_half_frame_is_kept() -> None:
    assert parse([b"\x00a\xff\x00ha", b"", b"lf\xff\x00"]) == ([(TEXT, "a"), (TEXT, "half")], None, False)


@pytest.mark.parametrize(("data", "code"), BAD)
def test_bad_frames(data: bytes, code: int) -> None:
    good = b"\x00good\xff"
    # What came before still counts; nothing behind it does.
    for pieces in ([good + data + good], bytewise(good + data + good), [good, data, good]):
        assert parse(pieces) == ([(TEXT, "good")], code, False)


def test_the_end() -> None:
    data = b"\x00a\xff\xff\x00"
    for behind in (b"", b"\x00b\xff", b"\x81", b"\xff\x00"):
        for pieces in ([data + behind], bytewise(data + behind), [data, behind]):
            assert parse(pieces) == ([(TEXT, "a"), (CLOSE, b"")], None, True)


def test_the_size_limit_is_inclusive() -> None:
    assert parse([b"\x00" + b"a" * 1000 + b"\xff"]) == ([(TEXT, "a" * 1000)], None, False)
    # Bytes, not characters.
    assert parse([b"\x00" + "\u00e9".encode() * 501 + b"\xff"]) == ([], 1009, False)


def test_a_message_without_an_end_is_not_collected() -> None:
    parser = HixieParser(1000)
    parser.feed(b"\x00")
    for _ in range(100):
        parser.feed(b"a" * 100)
    assert parser.error is not None
    assert parser.error.close_code == 1009
    assert parser._buffer == b""


def test_an_error_keeps_nothing_alive() -> None:
    parser = HixieParser(1000)
    parser.feed(b"\x00\xc3\xff")
    assert parser.error is not None
    assert parser.error.__traceback__ is None
    assert parser.error.__cause__ is None


def test_idle_parser_holds_nothing() -> None:
    parser = HixieParser(10_000)
    data = b"\x00" + b"a" * 5000 + b"\xff"
    parser.feed(data[:3000])
    parser.feed(data[3000:])
    assert parser._buffer == b""
    assert not hasattr(parser, "__dict__")
    assert sys.getsizeof(parser) + sys.getsizeof(parser._buffer) <= 200


@pytest.mark.parametrize("frame", [None, b"", b"a" * 8], ids=["one frame", "empty frames", "small frames"])
@pytest.mark.parametrize("piece", [10, 1 << 30])
def test_time_is_linear(frame: bytes | None, piece: int) -> None:
    def seconds(size: int) -> float:
        data = encode_frame(b"a" * size) if frame is None else encode_frame(frame) * (size // (len(frame) + 2))
        pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        start = time.process_time()
        assert parse(pieces, size)[1] is None
        return time.process_time() - start

    small = min(seconds(50_000) for _ in range(5))
    # 20 times for 20 times the bytes; 400 times if every piece looked again at what came before.
    assert min(seconds(1_000_000) for _ in range(3)) < 60 * max(small, 0.001)


FRAMES = st.sampled_from([b"\x00", b"\xff", b"\xff\x00", b"\x80", b"\xc3", b"\xc3\xa9"]) | st.text(max_size=20).map(
    lambda text: b"\x00" + text.encode() + b"\xff"
)


@given(st.lists(FRAMES | st.binary(max_size=5)), st.lists(st.integers(0), max_size=8))
def test_any_split_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in zip(places, places[1:], strict=False)]
    whole = parse([data], 10)
    assert parse(pieces, 10) == whole
    assert parse(bytewise(data), 10) == whole


@given(st.lists(st.text()))
def test_what_was_sent_is_received(texts: list[str]) -> None:
    data = b"".join(encode_frame(text.encode()) for text in texts) + encode_close()
    assert parse([data], 10_000) == ([*((TEXT, text) for text in texts), (CLOSE, b"")], None, True)


@given(st.binary())
def test_any_bytes_are_messages_or_a_documented_error(data: bytes) -> None:
    parser = HixieParser(50)
    for opcode, content in parser.feed(data):
        assert isinstance(content, str) if opcode == TEXT else (opcode, content) == (CLOSE, b"")
    assert parser.error is None or isinstance(parser.error, ProtocolError)
