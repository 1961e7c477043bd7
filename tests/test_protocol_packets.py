"""Packets as data."""

from __future__ import annotations

from typing import Any

import pytest

from pyramid_socketio.protocol import packets
from pyramid_socketio.protocol.packets import EVENT, SocketPacket


def test_the_numbers_of_the_wire() -> None:
    engine = [packets.OPEN, packets.CLOSE, packets.PING, packets.PONG, packets.MESSAGE, packets.UPGRADE, packets.NOOP]
    assert engine == list(range(7))
    socket = [
        packets.CONNECT,
        packets.DISCONNECT,
        packets.EVENT,
        packets.ACK,
        packets.CONNECT_ERROR,
        packets.BINARY_EVENT,
        packets.BINARY_ACK,
    ]
    assert socket == list(range(7))


def test_a_packet_shows_what_it_is() -> None:
    packet = SocketPacket(EVENT, "/a", ["x"], 7, 1, 20)
    assert repr(packet) == "SocketPacket(2, '/a', ['x'], id=7, attachments=1)"
    assert not hasattr(packet, "__dict__")


def test_the_biggest_ack_id_is_exact_in_javascript() -> None:
    assert float(packets.MAX_ACK_ID) == packets.MAX_ACK_ID
    assert float(packets.MAX_ACK_ID + 2) != packets.MAX_ACK_ID + 2


@pytest.mark.parametrize(
    "event, message",
    [
        (["message", "text"], "text"),
        (["message", None], None),
        (["message", {"type": "other"}], {"type": "other"}),
        (["message"], {"type": "message"}),
        (["message", 1, 2], {"type": "message", "args": [1, 2]}),
        (["said"], {"type": "said"}),
        (["said", {"a": 1}], {"type": "said", "a": 1}),
        (["said", {"a": 1, "type": "other"}], {"type": "said", "a": 1}),
        (["said", "a"], {"type": "said", "args": ["a"]}),
        (("said", {}, {}), {"type": "said", "args": [{}, {}]}),
        ([{"odd": 1}, 2], {"type": {"odd": 1}, "args": [2]}),
    ],
)
def test_an_event_as_a_message(event: Any, message: Any) -> None:
    assert packets.as_message(event) == message


def test_the_type_comes_first() -> None:
    assert list(packets.as_message(["said", {"a": 1, "type": "other"}])) == ["type", "a"]
