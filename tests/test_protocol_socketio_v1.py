"""Socket.IO 0.7 to 0.9: the vectors of server 0.9.19, and where we refuse what it lets through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import LimitExceeded, NotCarried, PacketError, ProtocolError
from pyramid_socketio.protocol.packets import ACK, CONNECT, DISCONNECT, EVENT, RESERVED_EVENTS, SocketPacket
from pyramid_socketio.protocol.payload_v1 import encode_packet
from pyramid_socketio.protocol.socketio_v1 import (
    decode_packet,
    encode_ack,
    encode_connect,
    encode_connect_error,
    encode_disconnect,
    encode_event,
)
from tests.codecs import JSON
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load

#: Vectors that the reference ignores, or hands on without what is bad, and that end the session here. (What the
#: reference reads as no packet, or as one without a type, ends it, too.)
STRICTER = {
    "event bad JSON": "L10",
    "event JSON null": "L10: no object",
    "event JSON number": "L10: no object",
    "event without name": "L10",
    "event args not a list": "L10",
    "event args object": "L10",
    "event empty data": "L10: no JSON",
    "json bad": "as events",
    "json empty": "as events",
    "ack no id": "L12",
    "ack letters": "L12",
    "ack id plus bad JSON": "L12",
    "ack id plus object": "L12: arguments are an array",
}

#: What the reference takes otherwise; ``None`` is ignored.
OTHERWISE: dict[str, tuple[Any, ...] | None] = {
    # Namespaces start with a slash here, and one that is unknown gets no answer there.
    "endpoint without slash": None,
    # The regular expression of the reference stops at the newline, and so loses the arguments.
    "ack with newline in JSON": (ACK, "/", ["a", "b"], 1),
}

#: What only clients send.
FROM_CLIENTS = {
    "connect endpoint with query string": "servers answer without a query",
    "message with id": "we always ask for an ack with arguments",
    "message endpoint empty with id": "as above",
    "event id auto ack": "as above",
    "json string": "a text goes as a message",
    "error empty": "reason 2 is the only one for a namespace",
    "error reason 0": "as above",
    "error reason 1 advice 0": "the answer to unknown sessions, which is no answer of a namespace",
    "error advice only": "as above",
    "error with a reason outside the list": "nothing but undefined would get through",
}

VECTORS = load("sio1-packet")
DECODE_ONLY = load("sio1-packet", "decode_only")
CONTROL = {"heartbeat": 2, "noop": 6}


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def text_of(vector: dict[str, Any]) -> str:
    text = frame(vector["encoded"])
    assert isinstance(text, str)
    return text


def fields(packet: SocketPacket | None) -> tuple[Any, ...] | None:
    return None if packet is None else (packet.type, packet.namespace, packet.data, packet.id)


def expected(decoded: dict[str, Any]) -> tuple[Any, ...] | None:
    """What the reference decoded, as ours."""
    kind = decoded["type"]
    namespace = decoded["endpoint"] or "/"
    id = decoded["id"] + "+" * (decoded["ack"] == "data") if "id" in decoded else None
    if kind == "disconnect":
        return DISCONNECT, namespace, None, None
    if kind == "connect":
        return CONNECT, namespace, {"my": "param"} if decoded["qs"] == "?my=param" else None, None
    if kind == "message":
        # UTF-8 has no lone surrogates.
        data = decoded["data"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return EVENT, namespace, ["message", data], id
    if kind == "json":
        return EVENT, namespace, ["message", decoded["data"]], id
    if kind == "event":
        return EVENT, namespace, [decoded["name"], *decoded["args"]], id
    if kind == "ack":
        return ACK, namespace, decoded["args"], int(decoded["ackId"])
    assert kind in ("heartbeat", "noop", "error")
    return None


@pytest.mark.parametrize("vector", VECTORS, ids=names(VECTORS))
def test_decode(vector: dict[str, Any]) -> None:
    assert fields(decode_packet(text_of(vector), 0)) == expected(vector["decoded"])


@pytest.mark.parametrize("vector", DECODE_ONLY, ids=names(DECODE_ONLY))
def test_decode_only(vector: dict[str, Any]) -> None:
    text = text_of(vector)
    reference = vector["server_0.9.19"]
    if "type" not in reference or vector["name"] in STRICTER:
        with pytest.raises(PacketError):
            decode_packet(text, 0)
    elif vector["name"] in OTHERWISE:
        assert fields(decode_packet(text, 0)) == OTHERWISE[vector["name"]] != expected(reference)
    else:
        assert fields(decode_packet(text, 0)) == expected(reference)


SENT = [vector for vector in VECTORS if vector["name"] not in FROM_CLIENTS]


@pytest.mark.parametrize("vector", SENT, ids=names(SENT))
def test_encode(vector: dict[str, Any]) -> None:
    assert encode(vector["packet"]) == text_of(vector).encode()


def encode(packet: dict[str, Any]) -> bytes:
    kind = packet["type"]
    namespace = packet.get("endpoint", "/")
    id = int(packet["id"]) if "id" in packet else None
    if kind in CONTROL:
        return encode_packet(CONTROL[kind])
    if kind == "ack":
        ((text, attachments),) = encode_ack(namespace, packet["ackId"] + "+", packet.get("args", []))
    else:
        text, attachments = {
            "disconnect": lambda: encode_disconnect(namespace),
            "connect": lambda: encode_connect(namespace, "the id"),
            "message": lambda: encode_event(namespace, ["message", packet["data"]], id),
            "json": lambda: encode_event(namespace, ["message", packet["data"]], id),
            "event": lambda: encode_event(namespace, [packet["name"], *packet.get("args", [])], id),
            "error": lambda: encode_connect_error(namespace, "no", {"more": 1}),
        }[kind]()
    assert not attachments
    return text


def test_the_exceptions_are_vectors() -> None:
    assert set(STRICTER) | set(OTHERWISE) <= set(names(DECODE_ONLY))
    assert set(FROM_CLIENTS) <= set(names(VECTORS))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=f"{row} {text[:30]}")
        for row, text in [
            ("L07", "abc"),
            ("L07", "9:::x"),
            ("L07", ":::"),
            ("L07", "3"),
            ("L07", ""),
            ("L10", "5:::{bad"),
            ("L10", "5:::[]"),
            ("L10", '5:::{"args":[]}'),
            ("L10", '5:::{"name":{}}'),
            ("L10", '5:::{"name":5}'),
            ("L10", '5:::{"name":"x","args":{}}'),
            ("L10", '5:::{"name":"x","args":0}'),
            ("L10", '5:::{"name":"disconnect","args":{}}'),
            ("L12", "6:::abc"),
            ("L12", "6:::1+notjson"),
            ("L12", "6:::+1"),
            ("L12", "6:::1+null"),
            ("L12", "6:::\u0661"),
            ("L13", '5:1e9+::{"name":"a"}'),
            ("L13", '5:-1::{"name":"a"}'),
            ("L13", '5:\u0661::{"name":"a"}'),
            ("L13", "3:" + "1" * 17 + "::x"),
            ("L13", "3:1++::x"),
            ("S5-29", "4:::" + "[" * 100_000),
            ("S5-30", "4:::NaN"),
            ("S5-30", "4:::1e999"),
            ("", "\uff13:::x"),
            ("", "3:1"),
            ("L21", "{}"),
            ("L21", "1"),
        ]
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(PacketError):
        decode_packet(text, 0)


@pytest.mark.parametrize(
    "text",
    [
        "2::",
        "8::",
        "7:::",
        "7:::1+0",
        "6:::99999999999999999999",
        "6:::" + "9" * 5000 + "+[1]",
        "1::chat",
        "3::hello",
        *(f'5:::{{"name":"{name}"}}' for name in sorted(RESERVED_EVENTS)),
        '5:1+:/chat:{"name":"disconnect","args":[1]}',
    ],
)
def test_what_is_ignored_l12_l16(text: str) -> None:
    assert decode_packet(text, 0) is None


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("1::", (CONNECT, "/", None, None)),
        ("1::/", (CONNECT, "/", None, None)),
        ("1::/chat:", (CONNECT, "/chat", None, None)),
        ("1::/chat:?", (CONNECT, "/chat", None, None)),
        ("1::/chat:?my=param", (CONNECT, "/chat", {"my": "param"}, None)),
        ("1::/chat:?a=1&b=%C3%A9+x&c&a=2", (CONNECT, "/chat", {"a": "2", "b": "\u00e9 x", "c": ""}, None)),
        ("1::/chat:?t=a:b", (CONNECT, "/chat", {"t": "a:b"}, None)),
        ("0::/never", (DISCONNECT, "/never", None, None)),
        ("3:1::hello", (EVENT, "/", ["message", "hello"], "1")),
        ("3:1+::hello", (EVENT, "/", ["message", "hello"], "1+")),
        ("4:7+:/e:null", (EVENT, "/e", ["message", None], "7+")),
        ("5:9999999999999999::" + '{"name":"x"}', (EVENT, "/", ["x"], "9999999999999999")),
        ('5:::{"name":"x","args":null}', (EVENT, "/", ["x"], None)),
        ('5:::{"name":"error","args":[[]]}', (EVENT, "/", ["error", []], None)),
        ('5:::{"name":"message","args":["x"]}', (EVENT, "/", ["message", "x"], None)),
        ('5:::{"name":"__proto__"}', (EVENT, "/", ["__proto__"], None)),
        ("6:::1+[]", (ACK, "/", [], 1)),
        ("6::/chat:0", (ACK, "/chat", [], 0)),
    ],
)
def test_what_is_taken(text: str, packet: tuple[Any, ...]) -> None:
    decoded = decode_packet(text, 0)
    assert decoded is not None
    assert fields(decoded) == packet
    assert (decoded.size, decoded.attachments) == (len(text), 0)


def test_a_query_has_a_limit() -> None:
    assert decode_packet("1::/chat:?a=" + "x" * 8189, 0) is not None
    with pytest.raises(LimitExceeded):
        decode_packet("1::/chat:?a=" + "x" * 8190, 0)


class TestEncodeEvent:
    @pytest.mark.parametrize(
        ("data", "id", "text"),
        [
            (["message", "x"], 3, b"3:3+:/chat:x"),
            (["message", ""], None, b"3::/chat"),
            (["message", {"a": [1]}], None, b'4::/chat:{"a":[1]}'),
            (["message", {"a": 1}], 3, b'4:3+:/chat:{"a":1}'),
            (["message", None], None, b"4::/chat:null"),
            (["message"], None, b'5::/chat:{"name":"message"}'),
            (["message", "a", "b"], None, b'5::/chat:{"name":"message","args":["a","b"]}'),
            (["say", "x"], 3, b'5:3+:/chat:{"name":"say","args":["x"]}'),
        ],
    )
    def test_the_type_follows_from_the_data(self, data: list[Any], id: int | None, text: bytes) -> None:
        assert encode_event("/chat", data, id) == (text, ())

    def test_a_namespace_in_utf8(self) -> None:
        assert encode_event("/\u00e9", ["x"]) == ('5::/\u00e9:{"name":"x"}'.encode(), ())

    @pytest.mark.parametrize("binary", [b"x", bytearray(b"x"), memoryview(b"x")], ids=["bytes", "bytearray", "view"])
    @pytest.mark.parametrize("name", ["message", "say"])
    def test_binary_is_not_carried(self, name: str, binary: object) -> None:
        for data in ([name, binary], [name, {"a": [binary]}], [name, 1, binary]):
            with pytest.raises(NotCarried):
                encode_event("/", data)
        with pytest.raises(NotCarried):
            encode_ack("/", "1+", [[binary]])

    def test_a_default(self) -> None:
        class Custom:
            pass

        assert encode_event("/", ["x", Custom()], None, lambda item: "custom") == (
            b'5:::{"name":"x","args":["custom"]}',
            (),
        )
        assert encode_event("/", ["message", Custom()], None, lambda item: "custom") == (b'4:::"custom"', ())
        with pytest.raises(NotCarried):
            encode_event("/", ["x", Custom()], None, lambda item: b"binary")
        with pytest.raises(TypeError):
            encode_event("/", ["x", Custom()])

    def test_a_part_of_itself_is_no_json(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(ValueError):
            encode_event("/", ["x", circle])


@pytest.mark.parametrize(
    ("namespace", "id", "data", "text"),
    [
        ("/", "1", [], b"6:::1"),
        ("/", "1", ["dropped"], b"6:::1"),
        ("/", "1+", [], b"6:::1"),
        ("/", "1+", ["a", None], b'6:::1+["a",null]'),
        ("/chat", "007+", [{}], b"6::/chat:007+[{}]"),
    ],
)
def test_encode_ack(namespace: str, id: str, data: list[Any], text: bytes) -> None:
    assert encode_ack(namespace, id, data) == [(text, ())]


def test_an_ack_with_a_default() -> None:
    assert encode_ack("/", "1+", [{1}], lambda item: sorted(item)) == [(b"6:::1+[[1]]", ())]


@pytest.mark.parametrize(("namespace", "endpoint"), [("/", b""), ("/chat", b"/chat")])
def test_connect_and_disconnect(namespace: str, endpoint: bytes) -> None:
    assert encode_connect(namespace, "id") == (b"1::" + endpoint, ())
    assert encode_disconnect(namespace) == (b"0::" + endpoint, ())
    assert encode_connect_error(namespace, "Invalid namespace") == (b"7::" + endpoint + b":2", ())


PIECES = st.sampled_from([*"0123456789:+/?&=%[]{},", '"', '"name"', '"args"', '{"name":"a"}', "null", "\u0662", "::"])


@given(st.text() | st.lists(PIECES).map("".join))
@example('5:::{"name":"\\ud800"}')
@example("6:::1+[]")
def test_any_text_is_a_packet_or_ignored_or_an_error(text: str) -> None:
    try:
        packet = decode_packet(text, 0)
    except ProtocolError:
        return
    if packet is not None:
        assert packet.namespace[0] == "/"
        assert type(packet.data) is list or packet.type in (CONNECT, DISCONNECT)
        assert (type(packet.id) is int) == (packet.type == ACK)


@given(
    st.sampled_from(["/", "/a", "/\u00e9?x=1"]),
    st.text().filter(lambda name: name not in RESERVED_EVENTS) | st.just("message"),
    st.lists(JSON),
    st.none() | st.integers(0, 2**53 - 1),
)
def test_what_was_sent_is_received(namespace: str, name: str, args: list[Any], id: int | None) -> None:
    text, _ = encode_event(namespace, [name, *args], id)
    wanted = None if id is None else f"{id}+"
    assert fields(decode_packet(text.decode(), 0)) == (EVENT, namespace, [name, *args], wanted)
    ((text, _),) = encode_ack(namespace, f"{id or 0}+", args)
    assert fields(decode_packet(text.decode(), 0)) == (ACK, namespace, args, id or 0)


@pytest.mark.parametrize("first", ["", "0::/", "1::/", "1::/:?", "3:", "3:::", "4:::", "5:::", "6:::", "6:::1+"])
@pytest.mark.parametrize("filler", ["[", "{", "9", '"', "\\", ":", "+", "/", "%", "&", "a=1&", '{"a":', "\\ud800"])
def test_a_megabyte_takes_no_time(first: str, filler: str) -> None:
    text = first + filler * (MEGABYTE // len(filler))

    assert cpu_seconds(lambda: decode_packet(text, 0), ProtocolError) < 50 * MS
