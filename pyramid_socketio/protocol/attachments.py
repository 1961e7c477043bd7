"""Binary data out of an event, and back into it (Socket.IO protocol 5, "Binary")."""

from __future__ import annotations

from typing import Any

from ..errors import AttachmentError, NotCarried
from .jsontext import Default, dumps, native, plain_dumps
from .packets import SocketPacket

__all__ = ["PendingPacket", "extract", "text_only"]


def extract(value: Any, default: Default | None) -> tuple[bytes, list[bytes]]:
    """Write ``value`` as JSON with placeholders for its binary parts.

    Returns:
        The JSON, and the binary parts in the order of their placeholders.
    """
    attachments: list[bytes] = []

    # The JSON encoder asks for every value that it cannot write, depth first: that finds the binary parts without a
    # walk of our own over every message.
    def replace(item: Any) -> Any:
        if isinstance(item, (bytes, bytearray, memoryview)):
            attachments.append(bytes(item))
            return {"_placeholder": True, "num": len(attachments) - 1}
        return (default or native)(item)

    return dumps(value, replace, attachments.clear), attachments


def text_only(value: Any, default: Default | None, clients: str) -> bytes:
    """Write ``value`` as JSON for clients that have no binary data.

    Args:
        clients: which ones, for the error.

    Raises:
        TypeError, ValueError: the value cannot be JSON.
        NotCarried: there is binary data in it.
    """
    json = plain_dumps(value)
    if json is not None:
        return json
    json, attachments = extract(value, default)
    if attachments:
        raise NotCarried(f"clients {clients} have no binary data")
    return json


class PendingPacket:
    """A packet whose attachments are still to come."""

    __slots__ = ("buffers", "packet", "size")

    def __init__(self, packet: SocketPacket) -> None:
        self.packet = packet
        self.buffers: list[bytes] = []
        #: Bytes and characters received for it so far.
        self.size = packet.size

    def add(self, data: bytes) -> SocketPacket | None:
        """Take the next attachment.

        Returns:
            The whole packet after the last one, else ``None``.

        Raises:
            AttachmentError: a placeholder refers to no attachment.
        """
        self.buffers.append(data)
        self.size += len(data)
        if len(self.buffers) < self.packet.attachments:
            return None
        packet = self.packet
        packet.data = self._restore(packet.data)
        packet.size = self.size
        packet.attachments = 0
        return packet

    def _restore(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._restore(item) for item in value]
        if isinstance(value, dict):
            if value.get("_placeholder") is True:
                return self._attachment(value.get("num"))
            return {key: self._restore(item) for key, item in value.items()}
        return value

    def _attachment(self, number: Any) -> bytes:
        # `type`, because True is an int and 0.0 equals 0 in Python.
        if type(number) is not int or not 0 <= number < len(self.buffers):
            raise AttachmentError(f"illegal attachments: there is no number {number!r}")
        return self.buffers[number]
