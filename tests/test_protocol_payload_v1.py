"""The payloads of clients 0.7 to 0.9: the vectors of server 0.9.19, and where we refuse what it lets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import LimitExceeded, PacketError, TextError
from pyramid_socketio.protocol.packets import CLOSE, MESSAGE, NOOP, PING, PONG, EnginePacket
from pyramid_socketio.protocol.payload_v1 import (
    HTMLFILE_HEAD,
    Message,
    decode_field,
    decode_packet,
    decode_payload,
    encode_handshake,
    encode_htmlfile,
    encode_packet,
    encode_payload,
    encode_script,
    encode_script_error,
    split,
)
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load

#: Vectors that the reference decodes somehow and we refuse: the packets before the bad one, and why.
STRICTER: dict[str, tuple[list[str], str]] = {
    "empty list": ([], "L07: an empty body"),
    "single packet beginning with U+FFFD": ([], "no packet begins so, and no frame"),
    "empty": ([], "L07: an empty body"),
    "marker only": ([], "no length"),
    "two markers": ([], "no length"),
    "length zero": ([], "an empty packet"),
    "length zero then packet": ([], "an empty packet"),
    "too long length": ([], "more than there is"),
    "too short length": (["3::"], "what is left is no frame"),
    "letters as length": ([], "no number"),
    "byte count for e acute (7 instead of 5)": (["3:::\u00e9\ufffd"], "what is left is no frame"),
    "code point count for an astral character": ([], "half a character"),
    "missing terminator": ([], "no packet"),
    "garbage between": (["2::"], "no frame"),
    "negative length": ([], "no number"),
}

VECTORS = load("sio1-payload")
MALFORMED = load("sio1-payload", "malformed")

#: What the good ones of the malformed vectors hold.
GOOD = {
    "UTF-16 count for e acute": ["3:::\u00e9", "2::"],
    "UTF-16 count for an astral character": ["3:::\U0001f600", "2::"],
    "leading space": [" \ufffd3\ufffd2::"],
    "U+FFFD inside data": ["3:::\ufffdx", "2::"],
    "two packets concatenated without framing": ["2::2::"],
}


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


def body_of(vector: dict[str, Any]) -> bytes:
    text = frame(vector["body"])
    assert isinstance(text, str)
    return text.encode()


def in_utf8(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check(vector: dict[str, Any], packets: list[str]) -> None:
    bad = vector["name"] in STRICTER
    if bad:
        packets, _ = STRICTER[vector["name"]]
    decoded = decode_payload(body_of(vector), 10)
    assert decoded[: len(packets)] == [decode_packet(packet) for packet in packets]
    # What came before a bad packet still counts; nothing behind it does.
    assert [type(packet) for packet in decoded[len(packets) :]] == [PacketError] * bad


class TestVectors:
    @pytest.mark.parametrize("vector", VECTORS, ids=names(VECTORS))
    def test_encode(self, vector: dict[str, Any]) -> None:
        packets = [in_utf8(packet).encode() for packet in vector["packets"]]
        assert encode_payload(packets) == ("text/plain; charset=UTF-8", body_of(vector))

    @pytest.mark.parametrize("vector", VECTORS, ids=names(VECTORS))
    def test_decode(self, vector: dict[str, Any]) -> None:
        check(vector, [in_utf8(packet) for packet in vector["packets"]])

    @pytest.mark.parametrize("vector", MALFORMED, ids=names(MALFORMED))
    def test_decode_malformed(self, vector: dict[str, Any]) -> None:
        check(vector, GOOD.get(vector["name"], []))

    def test_the_tables_are_vectors(self) -> None:
        assert set(STRICTER) <= set(names(VECTORS + MALFORMED))
        assert set(names(MALFORMED)) - set(STRICTER) == set(GOOD)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0::", (CLOSE, "")),
        ("0", (CLOSE, "")),
        ("0:::x", (CLOSE, "")),
        ("2::", (PONG, "")),
        ("2:::", (PONG, "")),
        ("8::", (NOOP, "")),
        ("0::/chat", (MESSAGE, "0::/chat")),
        ("1::", (MESSAGE, "1::")),
        ("3:::2::", (MESSAGE, "3:::2::")),
        ("20::", (MESSAGE, "20::")),
        ("abc", (MESSAGE, "abc")),
    ],
)
def test_decode_packet(text: str, packet: EnginePacket) -> None:
    assert decode_packet(text) == packet


@pytest.mark.parametrize("data", ["", b"", b"3:::x"])
def test_what_is_no_packet(data: str | bytes) -> None:
    with pytest.raises(PacketError):
        decode_packet(data)


def test_encode_packet() -> None:
    assert [encode_packet(type) for type in (CLOSE, PING, NOOP)] == [b"0::", b"2::", b"8::"]
    assert encode_packet(MESSAGE, b"3:::x") == b"3:::x"


class TestSplit:
    def test_one_packet_is_bare(self) -> None:
        assert split("3:::a\ufffdb") == ["3:::a\ufffdb"]
        assert split("") == [""]

    def test_frames(self) -> None:
        assert split("\ufffd3\ufffd1::\ufffd6\ufffd3:::\U0001f600\ufffd5\ufffd3:::x") == [
            "1::",
            "3:::\U0001f600",
            "3:::x",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "\ufffd",
            "\ufffd\ufffd3:::x",
            "\ufffd-1\ufffd3:::x",
            "\ufffd+5\ufffd3:::x",
            "\ufffd5 \ufffd3:::x",
            "\ufffd\u0665\ufffd3:::x",
            "\ufffd6\ufffd3:::x",
            "\ufffd4\ufffd3:::x",
            "\ufffd5\ufffd3:::xx",
            "\ufffd5\ufffd3:::x\ufffd",
            "\ufffd5\ufffd3:::x2::",
            "\ufffd5\ufffd3:::\U0001f600",
            "\ufffd7\ufffd3:::\U0001f600",
            "\ufffd99999999999\ufffd3:::x",
            "\ufffd" + "9" * 5000 + "\ufffd3:::x",
        ],
    )
    def test_bad_frames(self, text: str) -> None:
        with pytest.raises(PacketError):
            split(text)

    def test_the_number_of_packets_is_limited(self) -> None:
        text = "\ufffd3\ufffd8::" * 4
        assert split(text, 4) == ["8::"] * 4
        with pytest.raises(LimitExceeded):
            split(text, 3)


class TestDecodePayload:
    def test_the_number_of_packets_is_limited(self) -> None:
        body = "\ufffd3\ufffd8::".encode() * 4
        assert decode_payload(body, 4) == [(NOOP, "")] * 4
        with pytest.raises(LimitExceeded):
            decode_payload(body, 3)

    @pytest.mark.parametrize("body", [b"3:::\xff", b"3:::\xed\xa0\xbd", "\ufffd5\ufffd3:::".encode() + b"\xc3"])
    def test_not_utf8(self, body: bytes) -> None:
        with pytest.raises(TextError):
            decode_payload(body, 10)

    def test_the_content_type_is_of_no_meaning(self) -> None:
        assert decode_payload(b"3:::x", 10, True) == [(MESSAGE, "3:::x")]


@given(st.text() | st.lists(st.sampled_from(["\ufffd", "0", "3", "5", "-", "2::", "\U0001f600"])).map("".join))
@example("\ufffd2\ufffd\U0001f600")
def test_any_text_is_packets_or_an_error(text: str) -> None:
    try:
        packets = split(text)
    except PacketError:
        assert text[0] == "\ufffd"
        return
    framed = "".join(f"\ufffd{len(packet.encode('utf-16-le')) // 2}\ufffd{packet}" for packet in packets)
    assert packets == [text] or len(framed) <= len(text)


@given(st.lists(st.text(min_size=1).filter(lambda text: text[0] != "\ufffd"), min_size=1))
def test_what_was_sent_is_received(packets: list[str]) -> None:
    _, body = encode_payload([packet.encode() for packet in packets])
    assert split(body.decode()) == packets
    assert decode_payload(body, len(packets)) == [decode_packet(packet) for packet in packets]


@pytest.mark.parametrize("filler", ["\ufffd", "9", "\ufffd0\ufffd", "\ufffd3\ufffd8::", "\ufffd2\ufffd\U0001f600"])
@pytest.mark.parametrize("first", ["", "\ufffd", "\ufffd9999999999\ufffd", "\ufffd1000\ufffd"])
def test_a_megabyte_takes_no_time(first: str, filler: str) -> None:
    body = (first + filler * (MEGABYTE // len(filler.encode()))).encode()

    assert cpu_seconds(lambda: decode_payload(body, 1000), LimitExceeded) < 50 * MS


def test_a_thousand_frames_take_no_time() -> None:
    body = ("\ufffd500\ufffd" + "\U0001f600" * 250).encode() * 1000
    assert len(decode_payload(body, 1000)) == 1000
    assert cpu_seconds(lambda: decode_payload(body, 1000)) < 50 * MS


class TestMessage:
    def test_text(self) -> None:
        message = Message((b"3:::x", ()))
        assert message.frames == b"\x81\x053:::x"
        assert message.packets() == [b"3:::x"]
        assert message.packets() is message.packets()

    def test_other_forms_are_made_once(self) -> None:
        calls: list[list[bytes]] = []

        def encode(packets: list[bytes]) -> bytes:
            calls.append(packets)
            return b"encoded"

        message = Message((b"3:::x", ()))
        assert [message.form(encode), message.form(encode)] == [b"encoded"] * 2
        assert calls == [[b"3:::x"]]
        assert message.form(encode_htmlfile) == b'<script>_("3:::x");</script>'


class TestHandshake:
    def test_fields(self) -> None:
        assert encode_handshake("U-epa", 60.0, 25.0, ["websocket", "xhr-polling"]) == (
            "U-epa:60:25:websocket,xhr-polling"
        )

    def test_times_are_whole_and_never_empty(self) -> None:
        assert encode_handshake("x", 0.2, 15.1, ["htmlfile"]) == "x:1:16:htmlfile"
        assert encode_handshake("x", 0, 0, ["htmlfile"]) == "x:1:1:htmlfile"


class TestScript:
    def test_as_the_reference(self) -> None:
        assert encode_script("io.j[2]", '5:::{"name":"back","args":[1]}') == (
            rb'io.j[2]("5:::{\"name\":\"back\",\"args\":[1]}");'
        )
        assert encode_script_error("io.j[5]", "handshake unauthorized") == (
            b'io.j[5](new Error("handshake unauthorized"));'
        )

    @pytest.mark.parametrize("encode", [encode_script, encode_script_error])
    def test_nothing_ends_the_script(self, encode: Any) -> None:
        script = encode("io.j[0]", "</script><!--\u2028\u2029\n\u00e9").decode()
        assert '"\\u003c/script>\\u003c!--\\u2028\\u2029\\n\u00e9"' in script

    @given(st.text())
    def test_the_text_comes_back(self, text: str) -> None:
        script = encode_script("io.j[0]", text).decode()
        assert json.loads(script.removeprefix("io.j[0](").removesuffix(");")) == text


class TestHTMLFile:
    def test_the_head_fills_the_buffer_of_internet_explorer(self) -> None:
        start = b"<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>"
        assert start + b" " * 173 == HTMLFILE_HEAD
        assert len(HTMLFILE_HEAD) == 256

    def test_one_element_for_each_packet(self) -> None:
        assert encode_htmlfile([b"1::", b'5:::{"name":"x"}']) == (
            rb'<script>_("1::");</script><script>_("5:::{\"name\":\"x\"}");</script>'
        )

    def test_nothing_ends_the_element_l20(self) -> None:
        assert encode_htmlfile(["3:::</script>&\u2028\u2029".encode()]) == (
            rb'<script>_("3:::\u003c\/script\u003e\u0026\u2028\u2029");</script>'
        )

    @given(st.text())
    def test_the_text_comes_back(self, text: str) -> None:
        element = encode_htmlfile([text.encode()]).decode()
        assert json.loads(element.removeprefix("<script>_(").removesuffix(");</script>")) == text


class TestField:
    @pytest.mark.parametrize(
        ("text", "body"),
        [
            ('5:::{"name":"echo"}', b'5:::{"name":"echo"}'),
            (r'"5:::{\"name\":\"echo\"}"', b'5:::{"name":"echo"}'),
            (r'"3:::a\nb"', b"3:::a\nb"),
            (r"3:::a\nb", rb"3:::a\nb"),
            ("\ufffd3\ufffd2::", "\ufffd3\ufffd2::".encode()),
            ('"\ufffd6\ufffd3:::\\ud83d\\ude00"', "\ufffd6\ufffd3:::\U0001f600".encode()),
            (r'"3:::x\ud83dy"', "3:::x\ufffdy".encode()),
        ],
    )
    def test_raw_or_json(self, text: str, body: bytes) -> None:
        assert decode_field(text) == body

    @pytest.mark.parametrize("text", ['"3:::a', '"', '"a"b', '"a\nb"'])
    def test_a_quote_begins_json_l21(self, text: str) -> None:
        with pytest.raises(PacketError):
            decode_field(text)

    @pytest.mark.parametrize("text", ["", '""'])
    def test_an_empty_field_has_no_packet(self, text: str) -> None:
        (error,) = decode_payload(decode_field(text), 10)
        assert isinstance(error, PacketError)
