"""Socket.IO 5: the vectors of socket.io-parser 4.2.7, and where we refuse what it lets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import AttachmentError, LimitExceeded, PacketError, ProtocolError
from pyramid_socketio.protocol.attachments import PendingPacket
from pyramid_socketio.protocol.packets import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    RESERVED_EVENTS,
    EncodedPacket,
)
from pyramid_socketio.protocol.socketio_v5 import (
    decode_packet,
    encode_ack,
    encode_connect,
    encode_connect_error,
    encode_disconnect,
    encode_event,
)
from tests.codecs import LIMIT, Decoder, Fields, fields
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load, value

#: Malformed vectors that parser 4.2.7 takes or waits for, and that we refuse.
STRICTER: dict[str, tuple[type[ProtocolError], str]] = {
    "empty string": (PacketError, "Number('') is 0, so JavaScript reads CONNECT; the documentation says error"),
    'space (Number(" ") is 0, so read as CONNECT)': (PacketError, "as above"),
    "EVENT without payload": (PacketError, "an event without a name; the documentation says error"),
    "EVENT ack id without payload": (PacketError, "an event without a name"),
    "EVENT namespace without comma": (PacketError, "all of it is the namespace, so an event without a name"),
    "EVENT ack id with spaces": (PacketError, "the id would be NaN"),
    "EVENT huge ack id": (PacketError, "ids over 2**53-1 are not exact in JavaScript"),
    "ACK without payload": (PacketError, "an ack without its arguments"),
    "BINARY_EVENT exponent": (AttachmentError, "a count is digits"),
    "BINARY_EVENT placeholder index float": (AttachmentError, "JavaScript reads undefined"),
}

#: What is equal JSON and not the same bytes.
OTHER_BYTES = {"EVENT large and small numbers": "the exponent's sign and where it starts are a matter of taste"}

VECTORS = load("sio5-packet")
MALFORMED = load("sio5-packet", "malformed")


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def expected(packet: dict[str, Any]) -> Fields:
    return packet["type"], packet["nsp"], value(packet.get("data")), packet.get("id")


def check(frames: list[dict[str, str]], verdict: str, packets: list[dict[str, Any]]) -> None:
    """Decode and compare; ``verdict`` is ok, throws or incomplete."""
    decoder = Decoder(decode_packet)
    received = [frame(encoded) for encoded in frames]
    if verdict == "throws":
        with pytest.raises(ProtocolError):
            for item in received:
                decoder.feed(item)
    else:
        for item in received:
            decoder.feed(item)
        assert (decoder.pending is not None) == (verdict == "incomplete")
    assert decoder.packets == [expected(packet) for packet in packets]


@pytest.mark.parametrize("vector", VECTORS, ids=names(VECTORS))
def test_decode(vector: dict[str, Any]) -> None:
    check(vector["frames"], vector["decoded"]["verdict"], vector["decoded"]["packets"])


@pytest.mark.parametrize("vector", MALFORMED, ids=names(MALFORMED))
def test_decode_malformed(vector: dict[str, Any]) -> None:
    reference = vector["by"]["4.2.7"]
    if vector["name"] in STRICTER:
        assert reference["verdict"] != "throws"
        decoder = Decoder(decode_packet)
        error, _ = STRICTER[vector["name"]]
        with pytest.raises(error):
            for encoded in vector["frames"]:
                decoder.feed(frame(encoded))
    else:
        check(vector["frames"], reference["verdict"], reference["packets"])


def encode(packet: dict[str, Any]) -> EncodedPacket:
    type, namespace, data, id = expected(packet)
    if type == EVENT:
        return encode_event(namespace, data, id)
    if type == ACK:
        return encode_ack(namespace, id, data)[0]
    if type == CONNECT:
        return encode_connect(namespace, data["sid"])
    if type == CONNECT_ERROR:
        return encode_connect_error(namespace, data["message"], data.get("data"))
    assert type == DISCONNECT
    return encode_disconnect(namespace)


#: Only clients send CONNECT with something else than the id.
SENT = [
    vector
    for vector in VECTORS
    if vector["packet"]["type"] != CONNECT or set(vector["packet"].get("data", ())) == {"sid"}
]


@pytest.mark.parametrize("vector", SENT, ids=names(SENT))
def test_encode(vector: dict[str, Any]) -> None:
    text, attachments = encode(vector["packet"])
    wanted = [frame(encoded) for encoded in vector["frames"]]
    if vector["name"] in OTHER_BYTES:
        assert isinstance(wanted[0], str)
        assert json.loads(text[1:], parse_int=float) == json.loads(wanted[0][1:], parse_int=float)
    else:
        assert [text.decode(), *attachments] == wanted


def test_the_exceptions_are_vectors() -> None:
    assert set(STRICTER) <= set(names(MALFORMED))
    assert set(OTHER_BYTES) <= set(names(VECTORS))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(text, error, id=f"{row} {text[:25]}")
        for row, text, error in [
            ("S5-02", "9", PacketError),
            ("S5-02", '7["a"]', PacketError),
            ("S5-02", "x", PacketError),
            ("S5-05", '0/admin,"invalid"', PacketError),
            ("S5-05", "0[]", PacketError),
            ("S5-05", "0{", PacketError),
            ("S5-05", "0null", PacketError),
            ("S5-09", "1/admin,{}", PacketError),
            ("S5-09", "1null", PacketError),
            *(("S5-11", f'2["{name}"]', PacketError) for name in sorted(RESERVED_EVENTS)),
            *(("S5-11", f'2/a,["{name}"]', PacketError) for name in sorted(RESERVED_EVENTS)),
            ("S5-11", '2["disconnect","123"]', PacketError),
            ("S5-14", "3{}", PacketError),
            ("S5-17", "2" + "1" * 400 + '["a"]', PacketError),
            ("S5-17", '29007199254740992["a"]', PacketError),
            ("S5-17", '29007199254740993["a"]', PacketError),
            ("S5-18", '2\xb2["a"]', PacketError),
            ("S5-18", '2\u0662["a"]', PacketError),
            ("S5-20", '511-["x"]', LimitExceeded),
            ("S5-21", '5999999999999-["x"]', LimitExceeded),
            ("S5-21", "5" + "9" * 5000 + '-["x"]', AttachmentError),
            ("S5-24", '50-["x"]', AttachmentError),
            ("S5-29", '2["a",' + "[" * 100_000, PacketError),
            ("S5-29", '2["a",' + "[" * 100_000 + "]" * 100_001, PacketError),
            ("S5-30", '2["a",NaN]', PacketError),
            ("S5-30", '2["a",Infinity]', PacketError),
            ("S5-30", '2["a",-Infinity]', PacketError),
            ("S5-30", '2["a",1e999]', PacketError),
            ("S5-32", '2["a",' + "9" * 5000 + "]", PacketError),
            ("", "2[]", PacketError),
            ("", "2[true]", PacketError),
            ("", "2[[]]", PacketError),
            ("", '22-["a"]', PacketError),
            ("", '5\xb2-["a"]', AttachmentError),
            ("", '4["a"]', PacketError),
            ("", "4", PacketError),
        ]
    ],
)
def test_what_is_refused(text: str, error: type[ProtocolError]) -> None:
    with pytest.raises(error) as caught:
        decode_packet(text, LIMIT)
    assert type(caught.value) is error


@pytest.mark.parametrize("number", [-1, 1, 2**70, "0", "splice", 0.5, True, None])
def test_a_placeholder_without_its_attachment_s5_23(number: object) -> None:
    pending = PendingPacket(decode_packet('51-["x",{"_placeholder":true,"num":' + json.dumps(number) + "}]", LIMIT))
    with pytest.raises(AttachmentError):
        pending.add(b"data")


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", (CONNECT, "/", None, None)),
        ("0/admin", (CONNECT, "/admin", None, None)),
        ("0/,", (CONNECT, "/", None, None)),
        ("0/", (CONNECT, "/", None, None)),
        ("0/chat?token=x", (CONNECT, "/chat?token=x", None, None)),
        ("1/admin", (DISCONNECT, "/admin", None, None)),
        ('2["__proto__"]', (EVENT, "/", ["__proto__"], None)),
        ('2["error","x"]', (EVENT, "/", ["error", "x"], None)),
        ("2[5.5]", (EVENT, "/", [5.5], None)),
        ("20[5]", (EVENT, "/", [5], 0)),
        ('2/a\nb,7["x"]', (EVENT, "/a\nb", ["x"], 7)),
        ('2 [ "a" ] ', (EVENT, "/", ["a"], None)),
        ('3["x"]', (ACK, "/", ["x"], None)),
        ("3/a,9007199254740991[]", (ACK, "/a", [], 2**53 - 1)),
    ],
)
def test_what_is_taken(text: str, packet: Fields) -> None:
    decoded = decode_packet(text, LIMIT)
    assert fields(decoded) == packet
    assert decoded.size == len(text)


def test_size_and_number_of_attachments() -> None:
    text = '52-/a,3["x",{"_placeholder":true,"num":1}]'
    packet = decode_packet(text, 2)
    assert (packet.attachments, packet.size, packet.id, packet.type) == (2, len(text), 3, EVENT)
    with pytest.raises(LimitExceeded):
        decode_packet(text, 1)


def test_encode_with_a_default() -> None:
    class Custom:
        pass

    def default(item: object) -> Any:
        assert isinstance(item, Custom)
        return {"custom": b"\x01"}

    assert encode_event("/a", ["x", Custom(), b"\x02"], 4, default) == (
        b'52-/a,4["x",{"custom":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]',
        [b"\x01", b"\x02"],
    )
    with pytest.raises(TypeError):
        encode_event("/", ["x", Custom()])
    with pytest.raises(TypeError):
        encode_ack("/", 1, [Custom()])


def test_encode_in_a_namespace() -> None:
    assert encode_event("/\u00e9", ["x"]) == ('2/\u00e9,["x"]'.encode(), ())
    assert encode_disconnect("/a") == (b"1/a,", ())
    assert encode_disconnect("/") == (b"1", ())
    assert encode_connect("/a", "id") == (b'0/a,{"sid":"id"}', ())
    assert encode_connect_error("/nope", "Invalid namespace") == (b'4/nope,{"message":"Invalid namespace"}', ())
    assert encode_connect_error("/", "x", 0) == (b'4{"message":"x","data":0}', ())


PIECES = st.sampled_from([*'0123456-/,[]{}"', '"a"', "null", "1e9", "\u0662", "\\ud800"])


@given(st.text() | st.lists(PIECES).map("".join))
@example('2["\\ud800"]')
@example("2[1" + "0" * 400 + "]")
def test_any_text_is_a_packet_or_an_error(text: str) -> None:
    try:
        packet = decode_packet(text, LIMIT)
    except ProtocolError:
        return
    assert packet.type in range(5)
    assert packet.namespace[0] == "/"
    assert 0 <= packet.attachments <= LIMIT
    assert packet.id is None or 0 <= packet.id < 2**53
    assert type(packet.data) is list or packet.type not in (EVENT, ACK)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
#: A dict with this key may be a placeholder.
WITH_BINARY = st.recursive(
    st.binary() | st.integers(0, 9) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.sampled_from(["a", "b", "\ud800"]), children),
    max_leaves=8,
)


@given(
    st.sampled_from(["/", "/a", "/\u00e9?x=1"]),
    st.text().filter(lambda name: name not in RESERVED_EVENTS),
    st.lists(JSON),
    st.none() | st.integers(0, 2**53 - 1),
)
def test_what_was_sent_is_received(namespace: str, name: str, args: list[Any], id: int | None) -> None:
    text, attachments = encode_event(namespace, [name, *args], id)
    assert not attachments
    assert fields(decode_packet(text.decode(), LIMIT)) == (EVENT, namespace, [name, *args], id)


@given(st.lists(WITH_BINARY))
def test_what_was_sent_with_attachments_is_received(args: list[Any]) -> None:
    decoder = Decoder(decode_packet)
    ((text, attachments),) = encode_ack("/", 7, args)
    if len(attachments) > LIMIT:
        return
    decoder.feed(text.decode())
    for data in attachments:
        assert not decoder.packets
        decoder.feed(data)
    assert decoder.packets == [(ACK, "/", args, 7)]


@pytest.mark.parametrize("first", ["", "0", "2", "21", "2/", "5", "51-", "2[", '2["', '2["a",', '2["a","'])
@pytest.mark.parametrize("filler", ["[", "{", "9", '"', "\\", '\\"', "/", ",", "-", " ", "x", '{"a":', "\\ud800", "0."])
def test_a_megabyte_takes_no_time(first: str, filler: str) -> None:
    text = first + filler * (MEGABYTE // len(filler))

    assert cpu_seconds(lambda: decode_packet(text, LIMIT), ProtocolError) < 50 * MS
