"""The framing of clients 0.5 and 0.6: the vectors of server 0.6.18, and where we refuse what it lets through."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import BinaryRefused, LimitExceeded, PacketError, ProtocolError
from pyramid_socketio.protocol.packets import CLOSE, MESSAGE, NOOP, OPEN, PING, PONG, EnginePacket
from pyramid_socketio.protocol.payload_v0 import (
    HTMLFILE_HEAD,
    MULTIPART_HEAD,
    Message,
    decode_form,
    decode_packet,
    decode_payload,
    encode_htmlfile,
    encode_multipart,
    encode_open,
    encode_packet,
    encode_payload,
    encode_ping,
    encode_poll_script,
    split,
)
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load

VECTORS = load("sio06-frames")
MALFORMED = load("sio06-frames", "malformed")

#: Vectors that the reference decodes somehow and we refuse: the messages before the bad frame, and why.
STRICTER: dict[str, tuple[list[str], str]] = {
    "no frame": ([], "P02: no marker"),
    "marker only": ([], "P02: no length"),
    "marker and number only": ([], "P02: no second marker"),
    "marker number marker": ([], "P01: more than there is"),
    "short body": ([], "P01: more than there is"),
    "long body": (["abc"], "what is left is no frame"),
    "long body then frame": (["abc"], "what is left is no frame"),
    "good then garbage": (["abcde"], "what is left is no frame"),
    "good then broken frame": (["abcde"], "what is left is no frame"),
    "length empty": ([], "P02: no number"),
    "negative length": ([], "P02: no number"),
    "space in length": ([], "P02: no number"),
    "float length": ([], "P02: no number"),
    "wrong middle marker": ([], "P02: no second marker"),
    "single character middle marker is skipped as three characters": ([], "P02: no second marker"),
    "bare JSON flag": ([], "P02: no marker"),
    "bare heartbeat": ([], "P02: no marker"),
    "byte length for e acute": ([], "P01: more than there is"),
    "code point length for astral": ([], "half a character"),
    "lowercase marker": ([], "P02: no marker"),
    "newline before": ([], "P02: no marker"),
}


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def text_of(vector: dict[str, Any]) -> str:
    text = frame(vector["encoded"])
    assert isinstance(text, str)
    return text


def messages_of(vector: dict[str, Any]) -> list[str]:
    """What is in the frames; UTF-8 has no lone surrogates."""
    return [message.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for message in vector["raw_messages"]]


def form(text: str) -> bytes:
    """As JavaScript's ``encodeURIComponent`` writes it."""
    return b"data=" + quote(text, safe="~!*'()").encode()


GOOD = VECTORS + [vector for vector in MALFORMED if vector["name"] not in STRICTER]
BAD = [vector for vector in MALFORMED if vector["name"] in STRICTER]


class TestVectors:
    @pytest.mark.parametrize("vector", VECTORS, ids=names(VECTORS))
    def test_encode(self, vector: dict[str, Any]) -> None:
        messages = [Message((message.encode(), ())) for message in messages_of(vector)]
        packets = [packet for message in messages for packet in message.packets()]
        assert encode_payload(packets) == ("text/plain; charset=UTF-8", text_of(vector).encode())

    @pytest.mark.parametrize("vector", GOOD, ids=names(GOOD))
    def test_decode(self, vector: dict[str, Any]) -> None:
        text, messages = text_of(vector), messages_of(vector)
        assert split(text) == messages
        assert decode_payload(form(text), 10) == [decode_packet(message) for message in messages]

    @pytest.mark.parametrize("vector", GOOD, ids=names(GOOD))
    def test_the_kinds(self, vector: dict[str, Any]) -> None:
        kinds = [PONG if part["kind"] == "heartbeat" else MESSAGE for part in vector["interpreted"]]
        assert [type for type, _ in map(decode_packet, messages_of(vector))] == kinds

    @pytest.mark.parametrize("tail", ["x", "~", "~m~", "~m~1~m~", "\n"])
    @pytest.mark.parametrize("vector", GOOD, ids=names(GOOD))
    def test_something_behind_the_last_frame(self, vector: dict[str, Any], tail: str) -> None:
        with pytest.raises(PacketError):
            split(text_of(vector) + tail)

    @pytest.mark.parametrize("vector", BAD, ids=names(BAD))
    def test_malformed(self, vector: dict[str, Any]) -> None:
        with pytest.raises(PacketError):
            split(text_of(vector))
        # What came before a bad frame still counts; nothing behind it does.
        *good, error = decode_payload(form(text_of(vector)), 10)
        assert good == [(MESSAGE, message) for message in STRICTER[vector["name"]][0]]
        assert isinstance(error, PacketError)

    def test_the_exceptions_are_vectors(self) -> None:
        assert len(BAD) == len(STRICTER)


class TestSplit:
    @pytest.mark.parametrize(
        ("text", "messages"),
        [
            ("", []),
            ("~m~10~m~~m~3~m~abc", ["~m~3~m~abc"]),  # P07
            ("~m~2~m~\U0001f600", ["\U0001f600"]),  # P13
            ("~m~3~m~a\U0001f600~m~1~m~\u00e9~m~0~m~", ["a\U0001f600", "\u00e9", ""]),
            ("~m~10003~m~~h~" + "9" * 10_000, ["~h~" + "9" * 10_000]),  # P05
        ],
    )
    def test_good_frames(self, text: str, messages: list[str]) -> None:
        assert split(text) == messages

    @pytest.mark.parametrize(
        "text",
        [
            "~m~5~m~abc",  # P01
            "~m~abc~m~x",  # P02, to its end
            "~m~-1~m~x",
            "~m~~m~x",
            "~m~3",
            "~m~99999999999~m~x",
            "x~m~1~m~a",
            "~m~\u0661~m~x",
            "~m~+1~m~x",
            "~m~1_0~m~0123456789",
            "~m~1\n~m~x",
            "~m~" + "9" * 5000 + "~m~x",
            "~m~1~m~\U0001f600",
            "~m~3~m~\U0001f600\U0001f600",
        ],
    )
    def test_bad_frames(self, text: str) -> None:
        with pytest.raises(PacketError):
            split(text)

    def test_the_number_of_messages_is_limited(self) -> None:
        text = "~m~1~m~x" * 4
        assert split(text, 4) == ["x"] * 4
        with pytest.raises(LimitExceeded):
            split(text, 3)


class TestPackets:
    @pytest.mark.parametrize(
        ("text", "packet"),
        [
            ("~h~7", (PONG, "7")),
            ("~h~", (PONG, "")),
            ("~h~" + "9" * 10_000, (PONG, "9" * 10_000)),
            ("~h", (MESSAGE, "~h")),
            ("x~h~7", (MESSAGE, "x~h~7")),
            ('~j~{"a":1}', (MESSAGE, '~j~{"a":1}')),
            ("", (MESSAGE, "")),
        ],
    )
    def test_decode(self, text: str, packet: EnginePacket) -> None:
        assert decode_packet(text) == packet

    def test_binary_is_refused(self) -> None:
        with pytest.raises(BinaryRefused):
            decode_packet(b"~h~7")

    def test_encode(self) -> None:
        assert encode_packet(PING, b"7") == b"~m~4~m~~h~7"
        assert encode_ping(7) == (b"~m~4~m~~h~7", "7")
        assert encode_packet(OPEN, b"abc") == b"~m~3~m~abc"
        assert encode_packet(MESSAGE, "\U0001f600".encode()) == "~m~2~m~\U0001f600".encode()

    @pytest.mark.parametrize("type", [CLOSE, NOOP])
    def test_what_has_no_form(self, type: int) -> None:
        assert encode_packet(type) == b""

    def test_the_session_id_comes_first(self) -> None:
        assert encode_open("9515816729986402", [], 10.0, 8.0, 1000) == b"~m~16~m~9515816729986402"


class TestDecodePayload:
    def test_as_a_browser_posts(self) -> None:
        body = b"data=~m~5~m~h%C3%A9llo~m~10~m~~j~%7B%22a%22%3A1%7D~m~4~m~~h~3"
        assert decode_payload(body, 3) == [(MESSAGE, "h\u00e9llo"), (MESSAGE, '~j~{"a":1}'), (PONG, "3")]

    def test_a_form_writes_a_blank_as_plus(self) -> None:
        assert decode_payload(b"data=~m~3~m~a+b~m~3~m~a%2Bb", 2) == [(MESSAGE, "a b"), (MESSAGE, "a+b")]

    def test_nothing_in_it(self) -> None:
        assert decode_payload(b"data=", 10) == []

    def test_the_content_type_is_of_no_meaning(self) -> None:
        assert decode_payload(b"data=~m~1~m~x", 10, True) == [(MESSAGE, "x")]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"data",
            b"x=1",
            b"=~m~1~m~x",
            b"Data=~m~1~m~x",
            b"~m~1~m~x",
            b"data=~m~1~m~x&data=~m~1~m~y",
            b"data=~m~1~m~x&x=1",
            b"data=~m~1~m~x&",
            b"data=%ff",
            b"data=~m~1~m~%C3",
            b"data=~m~1~m~%ED%A0%BD",
            b"data=\xff",
            b"data=~m~1~m~%",
            b"data=~m~3~m~%zz",
            b"data=~m~2~m~%+1",
        ],
    )
    def test_what_is_no_form_p08(self, body: bytes) -> None:
        with pytest.raises(PacketError):
            decode_payload(body, 10)

    def test_a_text_area_has_other_newlines(self) -> None:
        body = b"data=%7Em%7E3%7Em%7Ea%0D%0Ab%7Em%7E2%7Em%7E%0D%0A%0D%0A"
        assert decode_payload(decode_form(body), 2) == [(MESSAGE, "a\nb"), (MESSAGE, "\n\n")]
        # XMLHttpRequest sends what it is given.
        assert decode_payload(b"data=~m~4~m~a%0D%0Ab", 2) == [(MESSAGE, "a\r\nb")]

    def test_the_number_of_messages_is_limited(self) -> None:
        body = b"data=" + b"~m~1~m~x" * 4
        assert decode_payload(body, 4) == [(MESSAGE, "x")] * 4
        with pytest.raises(LimitExceeded):
            decode_payload(body, 3)


@given(st.text() | st.lists(st.sampled_from(["~m~", "~", "0", "1", "2", "-", "a", "\U0001f600"])).map("".join))
@example("~m~1~m~\U0001f600")
def test_any_text_is_messages_or_an_error(text: str) -> None:
    try:
        messages = split(text)
    except PacketError:
        return
    position = 0
    for message in messages:
        head = re.compile("~m~([0-9]+)~m~").match(text, position)
        assert head is not None
        assert int(head[1]) == len(message.encode("utf-16-le")) // 2
        position = head.end() + len(message)
        assert text[head.end() : position] == message
    assert position == len(text)


@given(st.binary() | st.text().map(form))
@example(b"data=%")
def test_any_body_is_packets_or_an_error(body: bytes) -> None:
    try:
        packets = decode_payload(body, 10)
    except ProtocolError:
        return
    assert body.startswith(b"data=")
    assert all(isinstance(packet, tuple) for packet in packets[:-1])


@given(st.lists(st.text()))
def test_what_was_sent_is_received(messages: list[str]) -> None:
    _, body = encode_payload([encode_packet(MESSAGE, message.encode()) for message in messages])
    assert split(body.decode()) == messages
    assert decode_payload(form(body.decode()), len(messages)) == [decode_packet(message) for message in messages]


@pytest.mark.parametrize("filler", ["~", "9", "~m~", "~m~0~m~", "~m~2~m~\U0001f600", "&", "&data=", "%", "+", "%zz"])
@pytest.mark.parametrize("first", ["", "data=", "data=~m~", "data=~m~9999999999~m~", "data=~m~1000~m~"])
def test_a_megabyte_takes_no_time(first: str, filler: str) -> None:
    text = first + filler * (MEGABYTE // len(filler.encode()))

    assert cpu_seconds(lambda: decode_payload(text.encode(), 1000), ProtocolError) < 50 * MS
    assert cpu_seconds(lambda: split(text.removeprefix("data=")), ProtocolError) < 50 * MS


@pytest.mark.parametrize("escape", ["%41", "%C3%A9", "%F0%9F%98%80", "a%20"])
def test_a_megabyte_of_escapes_takes_no_longer_than_reading_it(escape: str) -> None:
    def seconds(size: int) -> float:
        body = b"data=~m~9999999999~m~" + escape.encode() * (size // len(escape))
        return cpu_seconds(lambda: decode_payload(body, 1000))

    # 10 times for 10 times the bytes; 100 times if each escape looked at all others.
    assert seconds(MEGABYTE) < 40 * max(seconds(MEGABYTE // 10), MS)


def test_a_thousand_frames_take_no_time() -> None:
    text = ("~m~500~m~" + "\U0001f600" * 250) * 1000
    assert len(split(text)) == 1000
    assert cpu_seconds(lambda: split(text)) < 50 * MS


class TestMessage:
    def test_text(self) -> None:
        message = Message(("\u00e9\U0001f600".encode(), ()))
        framed = "~m~3~m~\u00e9\U0001f600".encode()
        assert message.frames == b"\x81\x0d" + framed
        assert message.packets() == [framed]
        assert message.packets() is message.packets()

    def test_other_forms_are_made_once(self) -> None:
        calls: list[list[bytes]] = []

        def encode(packets: list[bytes]) -> bytes:
            calls.append(packets)
            return b"encoded"

        message = Message((b"x", ()))
        assert [message.form(encode), message.form(encode)] == [b"encoded"] * 2
        assert calls == [[b"~m~1~m~x"]]
        assert message.form(encode_htmlfile) == b'<script>parent.s._("~m~1~m~x", document);</script>'
        assert message.form(encode_multipart) == b"Content-Type: text/plain\n\n~m~1~m~x\n--socketio\n"


class TestScript:
    def test_as_the_reference(self) -> None:
        assert encode_poll_script("0", '~m~10~m~~j~{"a":1}') == rb'io.JSONP[0]._("~m~10~m~~j~{\"a\":1}");'

    def test_nothing_ends_the_script(self) -> None:
        script = encode_poll_script("12", "</script><!--\u2028\u2029\n\u00e9").decode()
        assert script == 'io.JSONP[12]._("\\u003c/script>\\u003c!--\\u2028\\u2029\\n\u00e9");'

    @given(st.text())
    def test_the_text_comes_back(self, text: str) -> None:
        script = encode_poll_script("0", text).decode()
        assert json.loads(script.removeprefix("io.JSONP[0]._(").removesuffix(");")) == text


class TestHTMLFile:
    def test_the_head_fills_the_buffer_of_internet_explorer(self) -> None:
        assert HTMLFILE_HEAD == b"<html><body>" + b" " * 244
        assert len(HTMLFILE_HEAD) == 256

    def test_one_element_for_each_packet(self) -> None:
        assert encode_htmlfile([b"~m~1~m~x", "~m~3~m~w\u00f6\n".encode()]) == (
            '<script>parent.s._("~m~1~m~x", document);</script>'
            '<script>parent.s._("~m~3~m~w\u00f6\\n", document);</script>'.encode()
        )

    def test_nothing_ends_the_element(self) -> None:
        assert encode_htmlfile(["~m~12~m~</script>&\u2028\u2029".encode()]) == (
            rb'<script>parent.s._("~m~12~m~\u003c\/script\u003e\u0026\u2028\u2029", document);</script>'
        )

    @given(st.text())
    def test_the_text_comes_back(self, text: str) -> None:
        element = encode_htmlfile([text.encode()]).decode()
        literal = element.removeprefix("<script>parent.s._(").removesuffix(", document);</script>")
        assert json.loads(literal) == text


def test_multipart_as_the_reference() -> None:
    document = MULTIPART_HEAD + encode_multipart([b"~m~2~m~ab"]) + encode_multipart([b"~m~1~m~x", b"~m~0~m~"])
    assert document == (
        b"--socketio\nContent-Type: text/plain\n\n~m~2~m~ab\n"
        b"--socketio\nContent-Type: text/plain\n\n~m~1~m~x\n"
        b"--socketio\nContent-Type: text/plain\n\n~m~0~m~\n"
        b"--socketio\n"
    )


@pytest.mark.parametrize("text", ["--socketio\nContent-Type: text/plain\n\n~m~4~m~evil", '~j~{"a":"--socketio"}'])
def test_no_text_ends_its_part_of_a_multipart_document(text: str) -> None:
    (packet,) = Message((text.encode(), ())).packets()
    part = encode_multipart([packet])
    assert part.count(b"--socketio") == 1
    (message,) = split(part.removeprefix(b"Content-Type: text/plain\n\n").removesuffix(b"\n--socketio\n").decode())
    assert json.loads(message.removeprefix("~j~")) == (json.loads(text[3:]) if text.startswith("~j~") else text)
