"""Engine.IO 3: the vectors of the parsers of clients 1.x and 2.x, and where we refuse what they let through."""

from __future__ import annotations

import binascii
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import LimitExceeded, PacketError, ProtocolError, TextError
from pyramid_socketio.protocol.engineio_v3 import Codec, kind_of
from pyramid_socketio.protocol.packets import MESSAGE, PING, PONG, EnginePacket
from pyramid_socketio.protocol.websocket import BINARY, TEXT, encode_frame
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load, value

TYPES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")

#: Clients 1.4 to 2.5; those that take no bytes; browsers up to 1.3; Node up to 1.3.
NEW = Codec(base64=False, old=False)
NEW_BASE64 = Codec(base64=True, old=False)
OLD = Codec(base64=False, old=True)
OLD_BASE64 = Codec(base64=True, old=True)
CODECS = [NEW, NEW_BASE64, OLD, OLD_BASE64]

TEXT_TYPE = "text/plain; charset=UTF-8"
BINARY_TYPE = "application/octet-stream"

#: Vectors that the reference decodes and we refuse.
STRICTER = {
    "decode: b without type": "a packet without a type",
    "decode: b9 unknown inner type": "a packet without a type",
    "decode: b with bad base64": "characters that are no base64",
    "decode: binary empty": "a packet without a type",
    "decode: binary type 7": "a packet without a type",
    "decode: binary 0x34 (ascii 4)": "a packet without a type",
    "plus sign": "a length is digits",
    "space in length": "a length is digits",
    "float": "a length is digits",
    "hex": "a length is digits",
    "exponent": "a length is digits",
    "astral counted as 1": "half a character is none",
    "flag 2 is treated as binary": "0 is text, 1 is binary",
    "short body": "a packet that is cut off",
    "unknown binary type": "a packet without a type",
}

#: Bad text is told apart, because a WebSocket says so when it closes.
NOT_UTF8 = {"text with bad UTF-8"}

PACKETS = load("eio3-packet")
MALFORMED_PACKETS = load("eio3-packet", "malformed")
TEXT_PAYLOADS = load("eio3-payload-text")
MALFORMED_TEXT = load("eio3-payload-text", "malformed")
BINARY_PAYLOADS = load("eio3-payload-binary")
MALFORMED_BINARY = load("eio3-payload-binary", "malformed")


def vectors(chosen: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", chosen, ids=[vector["name"] for vector in chosen])


def expected(packet: dict[str, Any]) -> EnginePacket:
    """A packet of the vectors as ours; half a surrogate pair is U+FFFD, as it is where UTF-8 has none."""
    data = value(packet.get("data", ""))
    if isinstance(data, str):
        data = data.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return TYPES.index(packet["type"]), data


def encode(codec: Codec, packet: dict[str, Any]) -> list[bytes]:
    """As the transports do it: messages by ``Message``, the rest by ``encode_packet``."""
    type, data = expected(packet)
    if isinstance(data, bytes):
        binary = codec.Message((b"", [data])) if type == MESSAGE else codec.BinaryPacket(type, data)
        return binary.packets()[-1:]
    if type == MESSAGE:
        return codec.Message((data.encode(), ())).packets()
    return [codec.encode_packet(type, data.encode())]


def body(encoded: dict[str, str]) -> bytes:
    received = frame(encoded)
    return received if isinstance(received, bytes) else received.encode()


def check(decoded: list[EnginePacket | PacketError], packets: list[dict[str, Any]], vector: dict[str, Any]) -> None:
    """``packets``: what the reference read. What came before a bad packet still counts, nothing behind it does."""
    good = [expected(packet) for packet in packets if "type" in packet and packet["type"] != "error"]
    if vector["name"] in STRICTER:
        assert decoded[:-1] == good[:-1]
        assert type(decoded[-1]) is PacketError
    else:
        assert decoded[: len(good)] == good
        assert [type(error) for error in decoded[len(good) :]] == [PacketError] * (len(packets) - len(good))


class TestPacketVectors:
    @vectors([vector for vector in PACKETS if vector["name"] not in STRICTER])
    def test_encode(self, vector: dict[str, Any]) -> None:
        codec = NEW if vector["supportsBinary"] else NEW_BASE64
        wanted = frame(vector["websocket_frame"])
        opcode = BINARY if isinstance(wanted, bytes) else TEXT
        (packet,) = encode(codec, vector["packet"])
        assert packet == body(vector["websocket_frame"])
        type, data = expected(vector["packet"])
        if isinstance(data, bytes) and type == MESSAGE:
            assert codec.Message((b"", [data])).frames == encode_frame(TEXT, b"4") + encode_frame(opcode, packet)
        elif isinstance(data, bytes):
            assert codec.BinaryPacket(type, data).frames == encode_frame(opcode, packet)
        elif type == MESSAGE:
            assert codec.Message((data.encode(), ())).frames == encode_frame(opcode, packet)

    @vectors([vector for vector in PACKETS if vector["name"] not in STRICTER])
    def test_decode(self, vector: dict[str, Any]) -> None:
        for codec in CODECS:
            assert codec.decode_packet(frame(vector["websocket_frame"])) == expected(vector["packet"])

    @vectors([vector for vector in PACKETS if "websocket_frame_1_0" in vector])
    def test_decode_what_clients_1_0_sent(self, vector: dict[str, Any]) -> None:
        received = frame(vector["websocket_frame_1_0"])
        assert OLD.decode_packet(received) == expected(vector["packet"])
        # From 1.1 on WebSocket text is encoded once: what looks otherwise is meant so.
        if "decoded_by_2x_from_1_0_frame" in vector:
            assert NEW.decode_packet(received) == expected(vector["decoded_by_2x_from_1_0_frame"])

    @vectors(MALFORMED_PACKETS)
    def test_decode_malformed(self, vector: dict[str, Any]) -> None:
        received = frame(vector["encoded"])
        for codec in CODECS:
            if vector["verdict"] == "error" or vector["name"] in STRICTER:
                with pytest.raises(PacketError):
                    codec.decode_packet(received)
            else:
                assert codec.decode_packet(received) == expected(vector["packet"])


class TestTextPayloadVectors:
    @vectors([vector for vector in TEXT_PAYLOADS if vector["packets"]])
    def test_encode(self, vector: dict[str, Any]) -> None:
        packets = [part for packet in vector["packets"] for part in encode(NEW_BASE64, packet)]
        assert NEW_BASE64.encode_payload(packets) == (TEXT_TYPE, body(vector["body_2x"]))
        if vector["same_bytes"]:
            assert OLD_BASE64.encode_payload(packets) == (TEXT_TYPE, body(vector["body_1x"]))

    @vectors(TEXT_PAYLOADS)
    def test_decode_either_generation(self, vector: dict[str, Any]) -> None:
        for codec in CODECS:
            check(codec.decode_payload(body(vector["body_2x"]), 100), vector["packets"], vector)
            check(codec.decode_payload(body(vector["body_1x"]), 100), vector["packets"], vector)

    @vectors(MALFORMED_TEXT)
    def test_decode_malformed(self, vector: dict[str, Any]) -> None:
        check(NEW.decode_payload(body(vector["body"]), 100), vector["by_2x"]["packets"], vector)


class TestBinaryPayloadVectors:
    @vectors([vector for vector in BINARY_PAYLOADS if vector["packets"]])
    def test_encode(self, vector: dict[str, Any]) -> None:
        packets = [part for packet in vector["packets"] for part in encode(OLD, packet)]
        assert OLD.encode_payload(packets) == (BINARY_TYPE, body(vector["body"]))

    @vectors(BINARY_PAYLOADS)
    def test_decode(self, vector: dict[str, Any]) -> None:
        for codec in CODECS:
            check(codec.decode_payload(body(vector["body"]), 100, binary=True), vector["packets"], vector)

    @vectors([vector for vector in MALFORMED_BINARY if vector["name"] not in NOT_UTF8])
    def test_decode_malformed(self, vector: dict[str, Any]) -> None:
        check(NEW.decode_payload(body(vector["body"]), 100, binary=True), vector["packets"], vector)

    @vectors([vector for vector in MALFORMED_BINARY if vector["name"] in NOT_UTF8])
    def test_decode_what_is_not_utf8(self, vector: dict[str, Any]) -> None:
        assert isinstance(NEW.decode_payload(body(vector["body"]), 100, binary=True)[-1], PacketError)

    def test_what_comes_before_bytes_that_are_not_utf8_counts(self) -> None:
        good, bad = NEW.decode_payload(b"\x00\x02\xff4a\x00\x02\xff4\xff\x00\x02\xff4b", 100, binary=True)
        assert good == (MESSAGE, "a")
        assert isinstance(bad, PacketError)


def test_the_exceptions_are_vectors() -> None:
    known = [*PACKETS, *MALFORMED_PACKETS, *MALFORMED_TEXT, *MALFORMED_BINARY]
    assert STRICTER.keys() | NOT_UTF8 <= {vector["name"] for vector in known}


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("EIO=2&transport=polling&t=1795226034745-0", (False, True)),
        ("EIO=2&transport=polling", (False, True)),
        ("EIO=3&transport=polling&t=1795226034745-0&b64=1", (True, True)),
        ("EIO=3&transport=polling&t=1795226034745-0", (False, True)),
        ("EIO=3&transport=polling&t=Q7xpgzi", (False, False)),
        ("EIO=3&transport=polling&t=Q7xpg-1", (False, False)),
        ("EIO=3&transport=polling&t=Q7xpgzi&b64=1", (True, False)),
        ("EIO=3&transport=polling&j=0&t=Q7xpgzi", (True, False)),
        ("EIO=3&transport=websocket", (False, False)),
        ("EIO=3&transport=polling&t=\u0661-\u0661", (False, False)),
        ("EIO=3&transport=polling&t=1795226034745-0\n", (False, False)),
    ],
)
def test_what_a_client_takes_by_its_first_request(query: str, kind: tuple[bool, bool]) -> None:
    assert kind_of(dict(field.split("=") for field in query.split("&"))) == kind


@pytest.mark.parametrize(
    ("codec", "packet", "answer"),
    [
        (NEW, b'42["a"]', (TEXT_TYPE, b'7:42["a"]')),
        (NEW, b"\x04\x01", (BINARY_TYPE, b"\x01\x02\xff\x04\x01")),
        (NEW, "40/\u00e9,".encode(), (BINARY_TYPE, b"\x00\x06\xff40/\xc3\xa9,")),
        (NEW_BASE64, b"b4AQ==", (TEXT_TYPE, b"6:b4AQ==")),
        (NEW_BASE64, "40/\U0001f600,".encode(), (TEXT_TYPE, "6:40/\U0001f600,".encode())),
        (OLD, b'42["a"]', (BINARY_TYPE, b'\x00\x07\xff42["a"]')),
        (OLD, b"4" * 115, (BINARY_TYPE, b"\x00\x01\x01\x05\xff" + b"4" * 115)),
        (OLD_BASE64, b'42["a"]', (TEXT_TYPE, b'7:42["a"]')),
    ],
)
def test_the_form_of_a_payload(codec: Codec, packet: bytes, answer: tuple[str, bytes]) -> None:
    assert codec.encode_payload([packet]) == answer


def test_one_binary_packet_makes_the_whole_payload_binary() -> None:
    assert NEW.encode_payload([b"4hello", b"\x04\x01\x02\x03\x04"]) == (
        BINARY_TYPE,
        b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04",
    )


class TestMessage:
    def test_attachments_follow_in_order(self) -> None:
        message = NEW.Message((b"52-[]", [b"\x01", b""]))
        assert message.frames == b"\x81\x06452-[]" + b"\x82\x02\x04\x01" + b"\x82\x01\x04"
        assert message.packets() == [b"452-[]", b"\x04\x01", b"\x04"]

    def test_attachments_for_who_takes_no_bytes(self) -> None:
        message = NEW_BASE64.Message((b"52-[]", [b"\x01", b""]))
        assert message.frames == b"\x81\x06452-[]" + b"\x81\x06b4AQ==" + b"\x81\x02b4"
        assert message.packets() == [b"452-[]", b"b4AQ==", b"b4"]

    def test_packets_are_made_once(self) -> None:
        message = NEW_BASE64.Message((b"2[]", [b"x"]))
        assert message.packets() is message.packets()


def decode(text: str) -> list[EnginePacket | PacketError]:
    return NEW.decode_payload(text.encode(), 100)


@pytest.mark.parametrize(
    "text",
    [
        "5:4abc",
        ":4a",
        "-1:4a",
        "1e1:4aaaaaaaaa",
        " 2:4a",
        "2 :4a",
        "0x2:4a",
        "\u0662:4a",
        "\xb2:4a",
        "5:b4!!!",
        "4:b4==",
    ]
    + ["4:4\U0001f600", "2:4\U0001f600x", "00000000002:4a", "6:b2AQID", "1:b", "1:7", "2:\xb24"],
)
def test_a_bad_first_packet_e3_02_e3_03_e3_08(text: str) -> None:
    (error,) = decode(text)
    assert type(error) is PacketError


@pytest.mark.parametrize("text", ["2:4abc", "2:4a2", "2:4a\n", "3:4\U0001f600x", "1:4\U0001f600"])
def test_what_comes_before_a_bad_packet_counts(text: str) -> None:
    packet, error = decode(text)
    assert isinstance(packet, tuple) and packet[0] == MESSAGE
    assert type(error) is PacketError


def test_lengths_are_utf16_units_e3_06() -> None:
    assert decode("4:4\U0001f600x") == [(MESSAGE, "\U0001f600x")]
    assert decode("4:4\U0001f600x3:4\u20ac\u00e91:23:4\U0001f600") == [
        (MESSAGE, "\U0001f600x"),
        (MESSAGE, "\u20ac\u00e9"),
        (PING, ""),
        (MESSAGE, "\U0001f600"),
    ]


def test_the_pong_of_a_client_is_the_sessions_to_judge_e3_09() -> None:
    assert decode("1:3") == [(PONG, "")]
    assert NEW.decode_packet("3probe") == (PONG, "probe")


@pytest.mark.parametrize("encoded", [b"\xff", b"\xc0\xaf", b"\xed\xa0\xbd"])
def test_a_text_payload_that_is_not_utf8(encoded: bytes) -> None:
    with pytest.raises(TextError):
        NEW.decode_payload(b"2:4" + encoded, 10)


def test_browsers_1_x_write_half_a_character_in_bytes() -> None:
    text = b"4x\xed\xa0\xbdy"
    assert OLD.decode_payload(b"\x00\x06\xff" + text, 10, binary=True) == [(MESSAGE, "x\ufffdy")]
    (error,) = OLD.decode_payload(b"\x00\x07\xff" + text + b"\xff", 10, binary=True)
    assert isinstance(error, PacketError)


@pytest.mark.parametrize(
    "encoded",
    [b"\x00\x02\xff4", b"\x02\x01\xff4", b"\x00\xff4", b"\x00" + b"\x00" * 10 + b"\x01\xff4", b"\x00\x0a\xff4"]
    + [b"\x01\x01\xff4", b"\x01\x00\xff", b"\x00\x00\xff", b"\x00\x01\xff\x04", b"\x00" + b"\x09" * 5000 + b"\xff4"],
)
def test_bytes_that_are_no_packet(encoded: bytes) -> None:
    (error,) = NEW.decode_payload(encoded, 10, binary=True)
    assert type(error) is PacketError


def test_the_form_of_a_body_is_said_by_its_content_type() -> None:
    assert [type(error) for error in NEW.decode_payload(b"2:4a", 10, binary=True)] == [PacketError]
    assert [type(error) for error in NEW.decode_payload(b"\x00\x02\xff4a".replace(b"\xff", b":"), 10)] == [PacketError]


@pytest.mark.parametrize(
    ("part", "binary", "packet"), [(b"1:3", False, 1), (b"\x00\x01\xff3", True, 1), (b"0:", False, 0)]
)
def test_the_number_of_packets_is_limited_e3_05(part: bytes, binary: bool, packet: int) -> None:
    assert NEW.decode_payload(part * 10, 10, binary) == [(PONG, "")] * 10 * packet
    with pytest.raises(LimitExceeded):
        NEW.decode_payload(part * 11, 10, binary)


@pytest.mark.parametrize(("part", "binary"), [(b"1:3", False), (b"\x00\x01\xff3", True), (b"0:", False)])
def test_too_many_packets_take_no_time(part: bytes, binary: bool) -> None:
    payload = part * (MEGABYTE // len(part))
    assert cpu_seconds(lambda: pytest.raises(LimitExceeded, NEW.decode_payload, payload, 1000, binary)) < 50 * MS


@pytest.mark.parametrize(
    "text",
    [
        "4" + "\u00e9" * (MEGABYTE // 2),
        "4" + "\u00e9".encode().decode("latin-1") * (MEGABYTE // 4),
        "4" + "\u00ed\u00a0\u00bd" * (MEGABYTE // 6),
        "4" + "\u20ac" * (MEGABYTE // 3),
        "4" + "\U0001f600" * (MEGABYTE // 4),
        "b4" + "A" * MEGABYTE,
        "9" * MEGABYTE,
    ],
    ids=["latin", "doubled", "halves", "euro", "astral", "base64", "digits"],
)
def test_a_megabyte_takes_no_time(text: str) -> None:
    payload = f"{len(text.encode('utf-16-le')) // 2}:{text}".encode()
    assert cpu_seconds(lambda: NEW.decode_payload(payload, 10)) < 50 * MS
    encoded = text.encode()
    digits = bytes(int(digit) for digit in str(len(encoded)))
    assert cpu_seconds(lambda: NEW.decode_payload(b"\x00" + digits + b"\xff" + encoded, 10, binary=True)) < 50 * MS


def test_many_packets_of_two_units_take_no_time() -> None:
    payload = ("1000:4" + "\U0001f600" * 499 + "x") * 400
    assert cpu_seconds(lambda: NEW.decode_payload(payload.encode(), 1000)) < 50 * MS
    assert decode(payload[: 1000 - 499 + 5]) == [(MESSAGE, "\U0001f600" * 499 + "x")]


def test_the_open_packet() -> None:
    handshake = NEW.encode_open("abc", ["websocket"], 25.0, 60.0, 1_000_000)
    assert handshake[:1] == b"0"
    assert json.loads(handshake[1:]) == {
        "sid": "abc",
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 60000,
        "maxPayload": 1_000_000,
    }


@given(st.text() | st.binary(), st.sampled_from(CODECS))
@example("b4", NEW)
@example("4\ud800", OLD)
@example("4\u00ed\u00a0\u00bd", OLD)
def test_anything_is_a_packet_or_an_error(data: str | bytes, codec: Codec) -> None:
    try:
        type, decoded = codec.decode_packet(data)
    except ProtocolError:
        return
    assert type in range(7)
    if isinstance(data, bytes):
        assert (type, b"\x04" + decoded) == (MESSAGE, data)  # type: ignore[operator]
    elif isinstance(decoded, bytes):
        assert b"b4" + binascii.b2a_base64(decoded, newline=False) == data.encode()
    elif codec in (NEW, NEW_BASE64):
        assert f"{type}{decoded}" == data


PARTS = st.sampled_from(["0", "1", "2", "3", "4", "9", ":", "a", "b", "=", "\u00c3", "\u00a9", "\u20ac", "\U0001f600"])
BYTES = st.sampled_from([b"\x00", b"\x01", b"\x02", b"\x04", b"\xff", b"4", b"b", b"\xc3", b"\xa9", b"\xed\xa0\xbd"])


@given(st.binary() | st.lists(PARTS).map("".join).map(str.encode) | st.lists(BYTES).map(b"".join), st.booleans())
@example("3:4\U0001f600".encode(), False)
def test_any_body_is_packets_or_an_error(payload: bytes, binary: bool) -> None:
    try:
        packets = NEW.decode_payload(payload, 5, binary)
    except (TextError, LimitExceeded):
        return
    assert not any(isinstance(packet, PacketError) for packet in packets[:-1])


@given(
    st.lists(st.text(st.characters(codec="ascii")) | st.binary(), min_size=1)
    | st.lists(st.text(st.characters(codec="utf-8", min_codepoint=0x100)) | st.binary(), min_size=1),
    st.sampled_from(CODECS),
)
def test_what_was_sent_is_received(messages: list[str | bytes], codec: Codec) -> None:
    packets: list[bytes] = []
    for message in messages:
        if isinstance(message, bytes):
            packets += codec.Message((b"", [message])).packets()[1:]
        else:
            packets += codec.Message((message.encode(), ())).packets()
    content_type, payload = codec.encode_payload(packets)
    decoded = codec.decode_payload(payload, len(packets), content_type == BINARY_TYPE)
    assert decoded == [(MESSAGE, message) for message in messages]
