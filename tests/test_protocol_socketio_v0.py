"""The messages of clients 0.5 and 0.6: the vectors of server 0.6.18, and what becomes of events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import NotCarried, PacketError
from pyramid_socketio.protocol.packets import EVENT
from pyramid_socketio.protocol.payload_v0 import Message, encode_payload
from pyramid_socketio.protocol.socketio_v0 import (
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

VECTORS = load("sio06-frames")
MALFORMED = load("sio06-frames", "malformed")

#: What the reference sends as it is although clients take it for something else; in JSON it arrives.
OTHERWISE = {
    "heartbeat 1": b'~m~9~m~~j~"~h~1"',
    "heartbeat 27": b'~m~10~m~~j~"~h~27"',
    "text that looks like JSON flag": b'~m~12~m~~j~"~j~nope"',
    "array inside a list is stringified": b"~m~8~m~~j~[1,2]",
}

#: Name of the vector, what is in the frame, and what it is; heartbeats never come here.
MESSAGES = [
    (vector["name"], message, part)
    for vector in VECTORS + MALFORMED
    for message, part in zip(vector["raw_messages"], vector["interpreted"], strict=True)
    if part["kind"] != "heartbeat"
]


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def encode(message: Any) -> bytes:
    text, attachments = encode_event("/", ["message", message])
    assert not attachments
    return text


def decode(text: str) -> Any:
    """The value of the message in ``text``."""
    packet = decode_packet(text, 0)
    assert (packet.type, packet.namespace, packet.id, packet.attachments) == (EVENT, "/", None, 0)
    assert packet.size == len(text)
    name, value = packet.data
    assert name == "message"
    return value


class TestVectors:
    @pytest.mark.parametrize("vector", VECTORS, ids=names(VECTORS))
    def test_encode(self, vector: dict[str, Any]) -> None:
        messages = [Message(encode_event("/", ["message", message])) for message in vector["messages"]]
        _, body = encode_payload([packet for message in messages for packet in message.packets()])
        text = frame(vector["encoded"])
        assert isinstance(text, str)
        assert body == OTHERWISE.get(vector["name"], text.encode())

    @pytest.mark.parametrize(
        ("message", "part"), [(message, part) for _, message, part in MESSAGES], ids=[name for name, _, _ in MESSAGES]
    )
    def test_decode(self, message: str, part: dict[str, Any]) -> None:
        if "error" in part:
            with pytest.raises(PacketError):
                decode_packet(message, 0)
        else:
            assert decode(message) == part["value"]

    def test_the_exceptions_are_vectors(self) -> None:
        assert set(OTHERWISE) <= set(names(VECTORS))


class TestDecode:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("", ""),
            ("hello", "hello"),
            ("5", "5"),
            ("~m~3~m~abc", "~m~3~m~abc"),  # P07
            (" ~j~1", " ~j~1"),
            ("~J~1", "~J~1"),
            ('~j~"~h~1"', "~h~1"),
            ("~j~5", 5),
            ('~j~{"type":"message"}', {"type": "message"}),
            ('~j~{"__proto__":1}', {"__proto__": 1}),
        ],
    )
    def test_values(self, text: str, value: Any) -> None:
        assert decode(text) == value

    @pytest.mark.parametrize(
        "json", ["", "{a:", "nope", "NaN", "1e999", "[1,]", '"a', "1 2", "'a'", "[" * 100_000, "[" * 100 + "]" * 100]
    )
    def test_bad_json(self, json: str) -> None:
        with pytest.raises(PacketError):
            decode_packet("~j~" + json, 0)


class TestEncodeMessage:
    @pytest.mark.parametrize(
        ("message", "text"),
        [
            ("hello", b"hello"),
            ("", b""),
            ("~m~3~m~abc", b"~m~3~m~abc"),
            ("~h", b"~h"),
            (" ~h~1", b" ~h~1"),
            ("~h~", b'~j~"~h~"'),
            ('~j~"', rb'~j~"~j~\""'),
            ("x\ud83dy", "x\ufffdy".encode()),
            ("~h~\ud83d", rb'~j~"~h~\ud83d"'),
            (0, b"0"),
            (1, b"1"),
            (-1.5, b"-1.5"),
            (2**53, b"9007199254740992"),
            (True, b"true"),
            (False, b"false"),
            (None, b""),
            ({}, b"~j~{}"),
            ([], b"~j~[]"),
            (("a", None), b'~j~["a",null]'),
            ({"type": "x", "\u00e9": "\U0001f600"}, '~j~{"type":"x","\u00e9":"\U0001f600"}'.encode()),
        ],
    )
    def test_by_its_type(self, message: Any, text: bytes) -> None:
        assert encode(message) == text


class TestEncodeEvent:
    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (["said"], b'~j~{"type":"said"}'),
            (["said", {"text": "x"}], b'~j~{"type":"said","text":"x"}'),
            (["said", {}], b'~j~{"type":"said"}'),
            (["said", {"text": "x", "type": "other"}], b'~j~{"type":"said","text":"x"}'),
            (["said", "x"], b'~j~{"type":"said","args":["x"]}'),
            (["said", None], b'~j~{"type":"said","args":[null]}'),
            (["said", [1]], b'~j~{"type":"said","args":[[1]]}'),
            (["said", {"a": 1}, 2], b'~j~{"type":"said","args":[{"a":1},2]}'),
            (["message"], b'~j~{"type":"message"}'),
            (["message", "a", "b"], b'~j~{"type":"message","args":["a","b"]}'),
        ],
    )
    def test_an_event_becomes_a_message_with_a_type(self, data: list[Any], text: bytes) -> None:
        assert encode_event("/", data) == (text, ())

    def test_the_data_stay_as_they_were(self) -> None:
        argument = {"type": "other"}
        encode_event("/", ["said", argument])
        assert argument == {"type": "other"}

    @pytest.mark.parametrize("name", ["message", "said"])
    def test_no_acks_and_no_namespaces(self, name: str) -> None:
        for namespace, id in (("/", 0), ("/", 1), ("/chat", None)):
            with pytest.raises(NotCarried):
                encode_event(namespace, [name, "x"], id)

    @pytest.mark.parametrize("binary", [b"x", bytearray(b"x"), memoryview(b"x")], ids=["bytes", "bytearray", "view"])
    @pytest.mark.parametrize("name", ["message", "said"])
    def test_binary_is_not_carried(self, name: str, binary: object) -> None:
        for data in ([name, binary], [name, {"a": [binary]}], [name, 1, binary]):
            with pytest.raises(NotCarried):
                encode_event("/", data)

    def test_a_default(self) -> None:
        class Custom:
            pass

        assert encode_event("/", ["message", Custom()], None, lambda item: "text") == (b'~j~"text"', ())
        assert encode_event("/", ["message", [Custom()]], None, lambda item: {"a": 1}) == (b'~j~[{"a":1}]', ())
        assert encode_event("/", ["said", Custom()], None, lambda item: 5) == (b'~j~{"type":"said","args":[5]}', ())
        with pytest.raises(NotCarried):
            encode_event("/", ["message", Custom()], None, lambda item: b"binary")
        with pytest.raises(TypeError):
            encode_event("/", ["message", Custom()])

    def test_a_part_of_itself_is_no_json(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(ValueError):
            encode_event("/", ["message", circle])


@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_there_is_nothing_but_messages(namespace: str) -> None:
    assert encode_ack(namespace, 1, ["x"]) == []
    assert encode_connect(namespace, "id") is None
    assert encode_connect_error(namespace, "Invalid namespace", {"more": 1}) is None
    assert encode_disconnect(namespace) is None


@given(st.text() | st.lists(JSON) | st.dictionaries(st.text(), JSON))
@example("~h~1")
@example("~j~{}")
def test_texts_and_objects_come_back(message: Any) -> None:
    assert decode(encode(message).decode()) == message


@given(st.text() | st.text().map("~j~".__add__))
@example('~j~"\\ud800"')
def test_any_text_is_a_message_or_an_error(text: str) -> None:
    try:
        value = decode(text)
    except PacketError:
        assert text.startswith("~j~")
        return
    assert text.startswith("~j~") or value == text


@pytest.mark.parametrize("first", ["", "~j~", '~j~"', "~j~{"])
@pytest.mark.parametrize("filler", ["[", "{", "9", '"', "\\", "~j~", '{"a":', "\\ud800", "[],"])
def test_a_megabyte_takes_no_time(first: str, filler: str) -> None:
    text = first + filler * (MEGABYTE // len(filler))

    assert cpu_seconds(lambda: decode_packet(text, 0), PacketError) < 50 * MS
