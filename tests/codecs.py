"""What the tests of more than one Socket.IO codec need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from pyramid_socketio.errors import AttachmentError
from pyramid_socketio.protocol.attachments import PendingPacket
from pyramid_socketio.protocol.packets import SocketPacket

__all__ = ["JSON", "LIMIT", "Decoder", "Fields", "fields"]

#: The most attachments of a packet.
LIMIT = 10

#: Type, namespace, data and id of a packet.
Fields = tuple[int, str, Any, Any]

#: Values that are the same in every JSON library.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


def fields(packet: SocketPacket) -> Fields:
    return packet.type, packet.namespace, packet.data, packet.id


class Decoder:
    """Puts packets together, as a connection does; ``decode_packet`` is the codec's."""

    def __init__(self, decode_packet: Callable[[str, int], SocketPacket]) -> None:
        self.decode_packet = decode_packet
        self.pending: PendingPacket | None = None
        self.packets: list[Fields] = []

    def feed(self, received: str | bytes) -> None:
        if isinstance(received, str):
            if self.pending is not None:
                raise AttachmentError("got plaintext data when reconstructing a packet")
            packet: SocketPacket | None = self.decode_packet(received, LIMIT)
            assert packet is not None
            if packet.attachments:
                self.pending = PendingPacket(packet)
                return
        else:
            if self.pending is None:
                raise AttachmentError("got binary data when not reconstructing a packet")
            packet = self.pending.add(received)
            if packet is None:
                return
            self.pending = None
        assert packet.attachments == 0
        self.packets.append(fields(packet))
