"""Engine.IO 4: the vectors of engine.io-parser, and where we refuse what it lets through."""

from __future__ import annotations

import binascii
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import LimitExceeded, PacketError, ProtocolError, TextError
from pyramid_socketio.protocol.engineio_v4 import (
    Message,
    decode_packet,
    decode_payload,
    encode_open,
    encode_packet,
    encode_payload,
)
from pyramid_socketio.protocol.packets import MESSAGE, NOOP, PING, PONG, EnginePacket
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load, value

TYPES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")

#: Vectors that the reference decodes and we refuse. Base64: "a server may be strict, no shipped client depends on it".
STRICTER = {
    "decode: b with invalid base64": "characters that are no base64",
    "decode: b with unpadded base64": "padding is missing",
    "decode: b with url-safe base64": "the other alphabet",
    "decode: b with embedded newline": "characters that are no base64",
    "decode: b with extra padding": "too much padding",
    "decode: separator inside a JSON string (not escaped)": "characters that are no base64, behind the separator",
}

PACKETS = load("eio4-packet")
PAYLOADS = load("eio4-payload")


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def select(vectors: list[dict[str, Any]], op: str) -> pytest.MarkDecorator:
    chosen = [vector for vector in vectors if vector["op"] == op]
    return pytest.mark.parametrize("vector", chosen, ids=names(chosen))


def expected(packet: dict[str, Any]) -> EnginePacket:
    """A packet of the vectors as ours; text as it comes out of UTF-8."""
    data = value(packet.get("data", ""))
    if isinstance(data, str):
        data = data.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return TYPES.index(packet["type"]), data


def encode(packet: dict[str, Any], binary: bool = False) -> list[bytes]:
    """As the transports do it: messages by :class:`Message`, the rest by :func:`encode_packet`."""
    type, data = expected(packet)
    if isinstance(data, bytes):
        return [data] if binary else Message((b"", [data])).packets()[1:]
    if type == MESSAGE:
        return Message((data.encode(), ())).packets()
    return [encode_packet(type, data.encode())]


class TestPacketVectors:
    @select(PACKETS, "encode")
    def test_encode(self, vector: dict[str, Any]) -> None:
        wanted = frame(vector["encoded"])
        (encoded,) = encode(vector["packet"], vector["supportsBinary"])
        assert encoded == (wanted if isinstance(wanted, bytes) else wanted.encode())

    @select(PACKETS, "decode")
    def test_decode(self, vector: dict[str, Any]) -> None:
        received = frame(vector["encoded"])
        if vector["verdict"] == "error" or vector["name"] in STRICTER:
            with pytest.raises(PacketError):
                decode_packet(received)
        else:
            assert decode_packet(received) == expected(vector["packet"])

    def test_the_exceptions_are_vectors(self) -> None:
        assert set(STRICTER) <= set(names(PACKETS + PAYLOADS))


class TestPayloadVectors:
    @select(PAYLOADS, "encode")
    def test_encode(self, vector: dict[str, Any]) -> None:
        wanted = frame(vector["encoded"])
        assert isinstance(wanted, str)
        packets = [part for packet in vector["packets"] for part in encode(packet)]
        assert encode_payload(packets) == ("text/plain; charset=UTF-8", wanted.encode())

    @select(PAYLOADS, "decode")
    def test_decode(self, vector: dict[str, Any]) -> None:
        received = frame(vector["encoded"])
        assert isinstance(received, str)
        packets = decode_payload(received.encode(), 100)
        good = [expected(packet) for packet in vector["packets"] if packet["type"] != "error"]
        bad = vector["verdict"] == "error"
        if vector["name"] in STRICTER:
            good.pop()
            bad = True
        assert packets[: len(good)] == good
        # What came before a bad packet still counts; nothing behind it does.
        assert [type(packet) for packet in packets[len(good) :]] == [PacketError] * bad


@pytest.mark.parametrize(
    "text",
    ["9abc", "x", "-1", "\xb2", "\u0662", "", " 4x", "\uff14x"],
    ids=["E4-15 9", "E4-15 letter", "E4-15 sign", "E4-15 superscript", "E4-15 Arabic", "E4-13", "blank", "full width"],
)
def test_what_is_no_packet(text: str) -> None:
    with pytest.raises(PacketError):
        decode_packet(text)


@pytest.mark.parametrize(
    "text",
    ["!!!notbase64", "AAA", "A", "A===", "====", "AQ==AQ==", "AQID\n", "AR==", "AQI\u00e9", "\u0410QID", "AQ ID"],
)
def test_bad_base64_e4_16(text: str) -> None:
    with pytest.raises(PacketError, match="bad base64"):
        decode_packet("b" + text)


@pytest.mark.parametrize("body", [b"4\xff", b"4\xc0\xaf", b"4\xed\xa0\xbd", b"4a\x1e4\xe2\x82"])
def test_a_payload_that_is_not_utf8_e4_18(body: bytes) -> None:
    with pytest.raises(TextError):
        decode_payload(body, 10)


@pytest.mark.parametrize("body", [b"", b"\x1e", b"\x1e4a"])
def test_a_payload_that_starts_with_nothing_e4_13(body: bytes) -> None:
    (error,) = decode_payload(body, 10)
    assert isinstance(error, PacketError)


def test_the_number_of_packets_is_limited() -> None:
    assert decode_payload(b"\x1e".join([b"3"] * 10), 10) == [(PONG, "")] * 10
    with pytest.raises(LimitExceeded):
        decode_payload(b"\x1e".join([b"3"] * 11), 10)


def test_too_many_packets_are_refused_before_they_are_read() -> None:
    body = b"\x1e" * MEGABYTE
    assert cpu_seconds(lambda: pytest.raises(LimitExceeded, decode_payload, body, 1000)) < 50 * MS


def test_the_open_packet_has_these_keys_in_this_order() -> None:
    packet = encode_open("lv_VI97HAXpY6yYWAAAC", ["websocket"], 25.0, 20.0, 1_000_000)
    assert packet == (
        b'0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
        b'"maxPayload":1000000}'
    )


def test_times_of_the_open_packet_are_rounded() -> None:
    handshake = json.loads(encode_open("x", [], 1.001, 0.29, 1)[1:])
    assert (handshake["pingInterval"], handshake["pingTimeout"]) == (1001, 290)


class TestMessage:
    def test_text(self) -> None:
        message = Message((b'2["a"]', ()))
        assert message.frames == b'\x81\x0742["a"]'
        assert message.packets() == [b'42["a"]']

    def test_attachments_follow_in_order(self) -> None:
        message = Message((b"52-[]", [b"\x01", b""]))
        assert message.frames == b"\x81\x06452-[]" + b"\x82\x01\x01" + b"\x82\x00"
        assert message.packets() == [b"452-[]", b"bAQ==", b"b"]

    def test_base64_is_written_once(self) -> None:
        message = Message((b"2[]", [b"x"]))
        assert message.packets() is message.packets()


@given(st.text() | st.binary())
@example("b")
@example("b=")
@example("4\ud800")
def test_anything_is_a_packet_or_an_error(data: str | bytes) -> None:
    try:
        type, decoded = decode_packet(data)
    except ProtocolError:
        assert isinstance(data, str)
        return
    assert type in range(7)
    if isinstance(data, bytes):
        assert (type, decoded) == (MESSAGE, data)
    elif isinstance(decoded, str):
        assert f"{type}{decoded}" == data
    else:
        assert b"b" + binascii.b2a_base64(decoded, newline=False) == data.encode()


@given(st.binary())
@example(b"4\x1e\x1e4")
def test_any_body_is_packets_or_an_error(body: bytes) -> None:
    try:
        packets = decode_payload(body, 5)
    except (TextError, LimitExceeded):
        return
    assert packets
    assert not any(isinstance(packet, PacketError) for packet in packets[:-1])


@given(st.lists(st.text(st.characters(exclude_characters="\x1e", codec="utf-8")) | st.binary(), min_size=1))
def test_what_was_sent_is_received(messages: list[str | bytes]) -> None:
    packets: list[bytes] = []
    for message in messages:
        if isinstance(message, bytes):
            packets += Message((b"", [message])).packets()[1:]
        else:
            packets += Message((message.encode(), ())).packets()
    assert decode_payload(encode_payload(packets)[1], len(packets)) == [(MESSAGE, message) for message in messages]


def test_packets_without_data() -> None:
    assert [encode_packet(type) for type in (PING, NOOP)] == [b"2", b"6"]
    assert encode_packet(PONG, b"probe") == b"3probe"


@pytest.mark.parametrize(
    "text", ["4" * MEGABYTE, "b" * MEGABYTE, "b" + "A" * MEGABYTE, "b" + "=" * MEGABYTE, "b" + "\u00e9" * MEGABYTE]
)
def test_a_megabyte_takes_no_time(text: str) -> None:
    assert cpu_seconds(lambda: decode_packet(text), PacketError) < 50 * MS
