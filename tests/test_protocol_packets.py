"""Packets as data."""

from __future__ import annotations

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


def test_the_public_names() -> None:
    assert all(hasattr(packets, name) for name in packets.__all__)
