"""Socket.IO 4 and 3: the vectors of the parsers of clients 1.x and 2.x, and where we refuse what they let through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import AttachmentError, LimitExceeded, PacketError, ProtocolError
from pyramid_socketio.protocol.packets import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    RESERVED_EVENTS,
    EncodedPacket,
)
from pyramid_socketio.protocol.socketio_v4 import NEW, OLD, Codec
from tests.codecs import LIMIT, Decoder, Fields, fields
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load, value

#: The parser whose verdict counts: the newest one of these protocols.
NEWEST = "3.4.5"

#: Where an older one counts, because the newest refuses what clients do send.
OLDER = {
    "BINARY_EVENT without binary (client flag binary(true))": "3.1.3",
    "BINARY_EVENT zero attachments": "3.1.3",
    "ACK in the 1.0.0-1.0.2 form (attachment count)": "2.1.4",
    "ACK with binary in the 1.0.0-1.0.2 form": "2.1.4",
}

#: Malformed vectors that the parser takes and we refuse.
STRICTER = {
    "empty string": "Number('') is 0, so JavaScript reads CONNECT",
    "EVENT without payload": "an event without a name",
    "EVENT namespace without comma": "all of it is the namespace, so an event without a name",
}

VECTORS = load("sio4-packet")
MALFORMED = load("sio4-packet", "malformed")
ACKS_1_0 = load("sio4-packet", "ack_for_1_0_clients")


def vectors(chosen: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", chosen, ids=[vector["name"] for vector in chosen])


def by_version(results: dict[str, Any], version: str) -> Any:
    """What a parser did: a version in the place of a result means "the same as that one"."""
    result = results[version]
    return by_version(results, result) if isinstance(result, str) else result


def expected(packet: dict[str, Any]) -> Fields:
    type, (namespace, _, query) = packet["type"], packet["nsp"].partition("?")
    if type == CONNECT:
        # The only query of the vectors; JSON that came with the packet means nothing.
        return type, namespace, {"token": "a b"} if query == "token=a%20b" else None, None
    return {5: EVENT, 6: ACK}.get(type, type), namespace, value(packet.get("data")), packet.get("id")


def decode_all(codec: Codec, frames: list[dict[str, str]]) -> list[Fields]:
    decoder = Decoder(codec.decode_packet)
    for encoded in frames:
        decoder.feed(frame(encoded))
    assert decoder.pending is None
    return decoder.packets


@pytest.mark.parametrize("codec", [NEW, OLD], ids=["new", "old"])
class TestDecodeVectors:
    @vectors(VECTORS)
    def test_what_any_version_sends(self, codec: Codec, vector: dict[str, Any]) -> None:
        for version in vector["frames_by"]:
            frames = by_version(vector["frames_by"], version)
            assert decode_all(codec, frames) == [expected(vector["packet"])]

    @vectors(MALFORMED)
    def test_malformed(self, codec: Codec, vector: dict[str, Any]) -> None:
        reference = by_version(vector["by"], OLDER.get(vector["name"], NEWEST))
        assert reference["verdict"] in ("ok", "error", "throws")
        if vector["name"] in STRICTER:
            assert reference["verdict"] == "ok"
        elif reference["verdict"] == "ok":
            assert decode_all(codec, vector["frames"]) == [expected(packet) for packet in reference["packets"]]
            return
        with pytest.raises(ProtocolError):
            decode_all(codec, vector["frames"])


def test_the_exceptions_are_vectors() -> None:
    assert STRICTER.keys() | OLDER.keys() <= {vector["name"] for vector in VECTORS + MALFORMED}


def encode(packet: dict[str, Any]) -> EncodedPacket:
    type, namespace, data, id = expected(packet)
    if type == EVENT:
        return NEW.encode_event(namespace, data, id)
    if type == ACK:
        (encoded,) = NEW.encode_ack(namespace, id, data)
        return encoded
    if type == CONNECT_ERROR:
        return NEW.encode_connect_error(namespace, "text", data)
    return NEW.encode_connect(namespace, "sid") if type == CONNECT else NEW.encode_disconnect(namespace)


#: What we never send: a query, and a binary event without anything binary.
SENT = [vector for vector in VECTORS if "query" not in vector["name"] and vector["name"] not in OLDER]


@vectors(SENT)
def test_encode(vector: dict[str, Any]) -> None:
    text, attachments = encode(vector["packet"])
    wanted = [frame(encoded) for encoded in by_version(vector["frames_by"], NEWEST)]
    first = wanted[0]
    assert isinstance(first, str)
    assert list(attachments) == wanted[1:]
    if first.isascii():
        assert text.decode() == first
    else:
        assert text.isascii() and text[:2] == b"2["
        assert json.loads(text[1:]) == json.loads(first[1:])


class TestAcksForClients1_0:
    """Clients 1.0.0 to 1.0.2 hang on the plain form."""

    def test_the_two_forms(self) -> None:
        first, second = OLD.encode_ack("/", 0, ["x"])
        sent = {frame(vector["frame"]) for vector in ACKS_1_0}
        assert {first[0].decode(), second[0].decode()} == sent
        assert not first[1] and not second[1]
        # The older form is first: where both came to nothing the client would have waited for it only.
        assert first[0] == b'30-0["x"]'

    def test_each_parser_takes_one_of_them(self) -> None:
        delivered = [vector["parser"] for vector in ACKS_1_0 if vector["verdict"] == "ack delivered"]
        assert len(delivered) == len(set(delivered))
        # 2.1.1 is that of 1.0.0-pre, which nobody has.
        assert {vector["parser"] for vector in ACKS_1_0} - set(delivered) == {"2.1.1"}

    def test_with_binary_there_is_one(self) -> None:
        assert OLD.encode_ack("/a", 3, [b"x"]) == [(b'61-/a,3[{"_placeholder":true,"num":0}]', [b"x"])]

    def test_newer_clients_get_the_plain_form(self) -> None:
        assert NEW.encode_ack("/a", 3, ["x"]) == [(b'3/a,3["x"]', ())]

    def test_in_a_namespace(self) -> None:
        assert OLD.encode_ack("/a", 3, ["\u00e9"]) == [
            (b'30-/a,3["\\u00e9"]', ()),
            (b'60-/a,3["\\u00e9"]', ()),
        ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("9", PacketError),
        ('7["a"]', PacketError),
        ("x", PacketError),
        ("0{", PacketError),
        ("0[", PacketError),
        ("1/admin,{}", PacketError),
        ("1null", PacketError),
        ("3", PacketError),
        ("3{}", PacketError),
        ("31", PacketError),
        ("2", PacketError),
        ("2[]", PacketError),
        ("2{}", PacketError),
        ("2[true]", PacketError),
        ("2[[]]", PacketError),
        ('2/a,["a"', PacketError),
        ('2/a,[{"a":1}]', PacketError),
        ("2" + "1" * 400 + '["a"]', PacketError),
        ('29007199254740992["a"]', PacketError),
        ('2\xb2["a"]', PacketError),
        ('2\u0662["a"]', PacketError),
        ('2["a",NaN]', PacketError),
        ('2["a",' + "[" * 100_000, PacketError),
        ('22-["a"]', PacketError),
        ("00-", PacketError),
        ('40-"x"', PacketError),
        ('4"x', PacketError),
        ('51["x"]', AttachmentError),
        ('5["x"]', AttachmentError),
        ('6["x"]', AttachmentError),
        ('5\xb2-["a"]', AttachmentError),
        ('511-["x"]', LimitExceeded),
        ('611-1["x"]', LimitExceeded),
        ('311-1["x"]', LimitExceeded),
        ("5" + "9" * 5000 + '-["x"]', AttachmentError),
        ("0/a?" + "x" * 10_000, LimitExceeded),
    ],
    ids=lambda item: item[:20] if isinstance(item, str) else None,
)
def test_what_is_refused(text: str, error: type[ProtocolError]) -> None:
    for codec in (NEW, OLD):
        with pytest.raises(error) as caught:
            codec.decode_packet(text, LIMIT)
        assert type(caught.value) is error


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", (CONNECT, "/", None, None)),
        ("0/", (CONNECT, "/", None, None)),
        ("0/,", (CONNECT, "/", None, None)),
        ("0/chat", (CONNECT, "/chat", None, None)),
        ("0/chat,", (CONNECT, "/chat", None, None)),
        ("0/chat?", (CONNECT, "/chat", None, None)),
        ("0/chat?token=x", (CONNECT, "/chat", {"token": "x"}, None)),
        ("0/chat?a=1&a=2&b=,", (CONNECT, "/chat", {"a": "2", "b": ""}, None)),
        ("0/chat?a=%C3%A9+%2C%26?b=c,", (CONNECT, "/chat", {"a": "\u00e9 ,&?b=c"}, None)),
        ("0/chat?a=%ff%", (CONNECT, "/chat", {"a": "\ufffd%"}, None)),
        ("0/?token=x,", (CONNECT, "/", {"token": "x"}, None)),
        ('0/chat,{"token":"x"}', (CONNECT, "/chat", None, None)),
        ("1", (DISCONNECT, "/", None, None)),
        ("1/chat", (DISCONNECT, "/chat", None, None)),
        ("1/chat?token=x,", (DISCONNECT, "/chat", None, None)),
        ('2/chat?token=x,7["a"]', (EVENT, "/chat", ["a"], 7)),
        ('50-["b",1]', (EVENT, "/", ["b", 1], None)),
        ('50-/a,3["b",1]', (EVENT, "/a", ["b", 1], 3)),
        ("2[5.5]", (EVENT, "/", [5.5], None)),
        ("20[5]", (EVENT, "/", [5], 0)),
        ('30-0["x"]', (ACK, "/", ["x"], 0)),
        ('30-/chat,5["y"]', (ACK, "/chat", ["y"], 5)),
        ('60-7["x"]', (ACK, "/", ["x"], 7)),
        ('3["x"]', (ACK, "/", ["x"], None)),
        ("3/a,9007199254740991[]", (ACK, "/a", [], 2**53 - 1)),
        ('4/a,"x"', (CONNECT_ERROR, "/a", "x", None)),
        ('2["\\ud83d"]', (EVENT, "/", ["\ud83d"], None)),
        *((f'2["{name}"]', (EVENT, "/", [name], None)) for name in sorted(RESERVED_EVENTS)),
        *((f'2/a,["{name}"]', (EVENT, "/a", [name], None)) for name in sorted(RESERVED_EVENTS)),
    ],
)
def test_what_is_taken(text: str, packet: Fields) -> None:
    for codec in (NEW, OLD):
        decoded = codec.decode_packet(text, LIMIT)
        assert fields(decoded) == packet
        assert (decoded.size, decoded.attachments) == (len(text), 0)


def test_the_number_of_attachments() -> None:
    packet = NEW.decode_packet('52-/a,3["x",{"_placeholder":true,"num":1}]', 2)
    assert (packet.attachments, packet.id, packet.type) == (2, 3, EVENT)
    with pytest.raises(LimitExceeded):
        NEW.decode_packet("53-[]", 2)


def test_the_packets_of_a_namespace() -> None:
    assert NEW.encode_connect("/", "sid") == (b"0", ())
    assert NEW.encode_connect("/chat", "sid") == (b"0/chat,", ())
    assert NEW.encode_disconnect("/") == (b"1", ())
    assert NEW.encode_disconnect("/chat") == (b"1/chat,", ())


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (None, b'4/a,"Nicht f\\u00fcr dich"'),
        ({"code": "\u20ac"}, b'4/a,{"code":"\\u20ac"}'),
        (0, b"4/a,0"),
        ("", b'4/a,""'),
    ],
)
def test_data_of_an_error_is_in_the_place_of_its_text(data: Any, encoded: bytes) -> None:
    assert NEW.encode_connect_error("/a", "Nicht f\u00fcr dich", data) == (encoded, ())


def test_encode_with_a_default() -> None:
    class Custom:
        pass

    def default(item: object) -> Any:
        assert isinstance(item, Custom)
        return {"\u00e9": b"\x01"}

    assert NEW.encode_event("/a", ["x", Custom(), b"\x02"], 4, default) == (
        b'52-/a,4["x",{"\\u00e9":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]',
        [b"\x01", b"\x02"],
    )
    with pytest.raises(TypeError):
        NEW.encode_event("/", ["x", Custom()])
    with pytest.raises(TypeError):
        NEW.encode_ack("/", 1, [Custom()])


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("h\u00e9llo \u20ac", b"h\\u00e9llo \\u20ac"),
        ("\U0001f600", b"\\ud83d\\ude00"),
        ("x\ud83dy\u00e9", b"x\\ud83dy\\u00e9"),
        ('\u00e9"\u00e9\\\u00e9\n\u00e9\x00', b'\\u00e9\\"\\u00e9\\\\\\u00e9\\n\\u00e9\\u0000'),
        ("\u2028\uffff", b"\\u2028\\uffff"),
    ],
)
def test_json_is_written_in_ascii(text: str, escaped: bytes) -> None:
    assert NEW.encode_event("/", [text, {text: text}]) == (b'2["%b",{"%b":"%b"}]' % (escaped, escaped, escaped), ())
    assert NEW.encode_ack("/", 1, [text]) == [(b'31["%b"]' % escaped, ())]


PIECES = st.sampled_from([*'0123456-/,?=[]{}"', '"a"', "null", "\u0662", "\\ud800"])


@given(st.text() | st.lists(PIECES).map("".join))
@example("0/?%")
@example("2[1" + "0" * 400 + "]")
def test_any_text_is_a_packet_or_an_error(text: str) -> None:
    try:
        packet = NEW.decode_packet(text, LIMIT)
    except ProtocolError:
        return
    assert packet.type in range(5)
    assert packet.namespace[0] == "/" and "?" not in packet.namespace
    assert 0 <= packet.attachments <= LIMIT
    assert packet.id is None or 0 <= packet.id < 2**53
    assert type(packet.data) is list or packet.type not in (EVENT, ACK)
    assert packet.type != CONNECT or packet.data is None or type(packet.data) is dict


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.binary()
    | st.text()
    | st.text(st.characters(codec="ascii")),
    lambda children: st.lists(children) | st.dictionaries(st.sampled_from(["a", "\u00e9", "\ud800"]), children),
    max_leaves=10,
)


@given(st.sampled_from(["/", "/a"]), st.text(), st.lists(VALUES), st.none() | st.integers(0, 2**53 - 1))
def test_what_was_sent_is_received(namespace: str, name: str, args: list[Any], id: int | None) -> None:
    text, attachments = NEW.encode_event(namespace, [name, *args], id)
    assert text.isascii()
    if len(attachments) > LIMIT:
        return
    decoder = Decoder(NEW.decode_packet)
    for part in (text.decode(), *attachments):
        assert not decoder.packets
        decoder.feed(part)
    assert decoder.packets == [(EVENT, namespace, [name, *args], id)]


@pytest.mark.parametrize("first", ["", "0", "0/?", "2", "2/", "3", "30-", "5", "51-", '2["', '2["a",', '2["a","'])
@pytest.mark.parametrize("filler", ["[", "{", "9", '"', "\\", "/", ",", "-", "&", "&a=", "%e9", "%", "x", "\\ud800"])
def test_a_megabyte_takes_no_time(first: str, filler: str) -> None:
    text = first + filler * (MEGABYTE // len(filler))

    assert cpu_seconds(lambda: NEW.decode_packet(text, LIMIT), ProtocolError) < 50 * MS


@pytest.mark.parametrize(
    "text", ["\u00e9" * MEGABYTE, "\U0001f600" * MEGABYTE, "a\u00e9" * MEGABYTE, "a" * MEGABYTE + "\u00e9"]
)
def test_a_megabyte_is_escaped_in_no_time(text: str) -> None:
    assert cpu_seconds(lambda: NEW.encode_event("/", ["x", text])) < 100 * MS
