"""Binary data out of events and back into them."""

from __future__ import annotations

from typing import Any

import pytest

from pyramid_socketio.errors import AttachmentError, NotCarried
from pyramid_socketio.protocol.attachments import PendingPacket, extract, text_only
from pyramid_socketio.protocol.packets import EVENT, SocketPacket


def placeholder(number: object) -> dict[str, object]:
    return {"_placeholder": True, "num": number}


def pending(data: Any, attachments: int) -> PendingPacket:
    return PendingPacket(SocketPacket(EVENT, "/", data, None, attachments, 100))


class TestExtract:
    def test_depth_first_in_the_order_of_the_text(self) -> None:
        value = ["n", {"a": [b"0", {"b": b"1"}], "c": b"2"}, b"3"]
        assert extract(value, None) == (
            b'["n",{"a":[{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}],'
            b'"c":{"_placeholder":true,"num":2}},{"_placeholder":true,"num":3}]',
            [b"0", b"1", b"2", b"3"],
        )
        assert value == ["n", {"a": [b"0", {"b": b"1"}], "c": b"2"}, b"3"]

    @pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(b"axbxc")[::2]])
    def test_kinds_of_binary(self, data: Any) -> None:
        json, attachments = extract([data], None)
        assert (json, attachments) == (b'[{"_placeholder":true,"num":0}]', [b"abc"])
        assert type(attachments[0]) is bytes

    def test_what_is_sent_does_not_change_any_more(self) -> None:
        data = bytearray(b"abc")
        _, attachments = extract([data], None)
        data[0] = 0
        assert attachments == [b"abc"]

    def test_text_that_has_to_be_written_twice(self) -> None:
        assert extract([b"0", "\ud800", b"1"], None) == (
            b'[{"_placeholder":true,"num":0},"\\ud800",{"_placeholder":true,"num":1}]',
            [b"0", b"1"],
        )

    def test_binary_that_the_default_makes(self) -> None:
        assert extract([1j, b"1"], lambda item: {"x": b"0"}) == (
            b'[{"x":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]',
            [b"0", b"1"],
        )

    def test_without_a_default(self) -> None:
        with pytest.raises(TypeError, match="complex is not JSON serializable; give it a __json__ method"):
            extract([1j], None)


class TestPendingPacket:
    def test_is_complete_with_the_last_attachment(self) -> None:
        waiting = pending(["x", placeholder(1), {"a": [placeholder(0)]}], 2)
        assert waiting.add(b"zero") is None
        packet = waiting.add(b"one")
        assert packet is not None
        assert packet.data == ["x", b"one", {"a": [b"zero"]}]
        assert (packet.attachments, packet.size) == (0, 107)

    def test_counts_what_has_come(self) -> None:
        waiting = pending(["x", placeholder(0)], 3)
        waiting.add(b"12345")
        assert waiting.size == 105

    def test_an_attachment_may_be_used_twice_or_not_at_all(self) -> None:
        packet = pending(["x", placeholder(0), placeholder(0)], 1).add(b"a")
        assert packet is not None and packet.data == ["x", b"a", b"a"]
        packet = pending(["x"], 1).add(b"a")
        assert packet is not None and packet.data == ["x"]

    @pytest.mark.parametrize("flag", [1, "true", None, False, [], 1.0])
    def test_what_only_looks_like_a_placeholder(self, flag: object) -> None:
        data = ["x", {"_placeholder": flag, "num": 7}]
        packet = pending(data, 1).add(b"a")
        assert packet is not None and packet.data == data

    @pytest.mark.parametrize("number", [-1, 1, 2**70, "0", "splice", 0.5, 0.0, True, False, None, [], {}])
    def test_placeholders_without_an_attachment_s5_23(self, number: object) -> None:
        with pytest.raises(AttachmentError, match="illegal attachments"):
            pending(["x", placeholder(number)], 1).add(b"a")

    def test_a_placeholder_without_a_number(self) -> None:
        with pytest.raises(AttachmentError):
            pending(["x", {"_placeholder": True}], 1).add(b"a")


class TestTextOnly:
    def test_what_is_json(self) -> None:
        assert text_only({"a": [1, None]}, None, "of old") == b'{"a":[1,null]}'
        assert text_only([{1}], list, "of old") == b"[[1]]"

    @pytest.mark.parametrize("data", [b"x", bytearray(b"x"), memoryview(b"x")])
    def test_what_is_not(self, data: Any) -> None:
        with pytest.raises(NotCarried, match="^clients of old have no binary data$"):
            text_only(["x", {"a": data}], None, "of old")
