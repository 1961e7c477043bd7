"""Engine.IO protocols 3 and 2: what clients 1.x and 2.x speak.

Packets are those of Engine.IO 4, but polling has two forms of payload, binary packets have a type, and what a client
takes depends on its age and its first request: a :class:`Codec` for each kind. Sections are those of the protocol
reference for Engine.IO 3.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterator, Mapping
from typing import Final

from ..errors import LimitExceeded, PacketError, TextError
from . import engineio_v4
from .packets import MESSAGE, EncodedPacket, EnginePacket
from .websocket import BINARY, TEXT, encode_frame

__all__ = ["BinaryPacket", "Codec", "Message", "kind_of"]

#: A binary packet: its type as a byte. (Text packets start with their type as a digit.)
_BINARY_MESSAGE: Final = b"\x04"
_BINARY_TYPES: Final = bytes(range(7))

# [0-9], because \d and int() take the digits of every script; at most 10, because int() takes long for thousands.
_TEXT_HEAD: Final = re.compile("([0-9]{1,10}):")
_BINARY_HEAD: Final = re.compile(b"([\x00\x01])([\x00-\x09]{1,10})\xff")

#: What the characters outside of the basic plane start with in UTF-8; they are two UTF-16 code units each.
_ASTRAL_LEADS: Final = b"\xf0\xf1\xf2\xf3\xf4"

#: As UTF-8 that should not be: ``JSON.stringify`` of old browsers does not escape it.
_LONE_SURROGATE: Final = re.compile(b"\xed[\xa0-\xbf][\x80-\xbf]")

#: Clients up to 1.3 write the time of a request like this.
_OLD_TIMESTAMP: Final = re.compile("[0-9]+-[0-9]+")

_DIGITS: Final = bytes.maketrans(bytes(range(10)), b"0123456789")
_VALUES: Final = bytes.maketrans(b"0123456789", bytes(range(10)))


class Message:
    """A Socket.IO packet as it goes out; framed once for each kind of transport, however many clients get it.

    Args:
        base64: the client takes no bytes.

    Attributes:
        frames: for WebSocket; see :class:`pyramid_socketio.protocol.engineio_v4.Message`.
    """

    __slots__ = ("_base64", "_encoded", "_packets", "frames")

    def __init__(self, encoded: EncodedPacket, base64: bool) -> None:
        self._encoded = encoded
        self._base64 = base64
        self._packets: list[bytes] | None = None
        text, attachments = encoded
        self.frames = encode_frame(TEXT, b"4" + text)
        if attachments:
            opcode = TEXT if base64 else BINARY
            self.frames += b"".join([encode_frame(opcode, packet) for packet in self.packets()[1:]])

    def packets(self) -> list[bytes]:
        """A text packet, then one for each attachment."""
        packets = self._packets
        if packets is None:
            text, attachments = self._encoded
            packets = self._packets = [b"4" + text]
            for data in attachments:
                packets.append(b"b4" + b2a_base64(data, newline=False) if self._base64 else _BINARY_MESSAGE + data)
        return packets


class BinaryPacket:
    """A packet with binary data that is no message, which goes out as one: the answer to a ping that had some."""

    __slots__ = ("_packet", "frames")

    def __init__(self, type: int, data: bytes, base64: bool) -> None:
        self._packet = b"b%d%b" % (type, b2a_base64(data, newline=False)) if base64 else bytes([type]) + data
        self.frames = encode_frame(TEXT if base64 else BINARY, self._packet)

    def packets(self) -> list[bytes]:
        return [self._packet]


class Codec:
    """The codec of one kind of client.

    Args:
        base64: the client takes no bytes (``b64=1``, JSONP).
        old: a client up to 1.3, which takes polls as bytes only, and up to 1.0 encodes text as UTF-8 twice.
    """

    encode_open = staticmethod(engineio_v4.encode_open)
    encode_packet = staticmethod(engineio_v4.encode_packet)

    def __init__(self, base64: bool, old: bool) -> None:
        self._base64 = base64
        self._old = old

    def Message(self, encoded: EncodedPacket) -> Message:  # noqa: N802, as in the other revisions
        return Message(encoded, self._base64)

    def BinaryPacket(self, type: int, data: bytes) -> BinaryPacket:  # noqa: N802, as Message
        return BinaryPacket(type, data, self._base64)

    def decode_packet(self, data: str | bytes) -> EnginePacket:
        """Read the packet in one WebSocket message.

        Raises:
            PacketError: an empty packet, an unknown type, bad base64.
        """
        if isinstance(data, bytes):
            return _decode_binary(data)
        return _decode_text(_undouble(data) if self._old else data)

    def encode_payload(self, packets: list[bytes]) -> tuple[str, bytes]:
        """Content type and body of one polling answer, in the form that the client reads (section 3.3)."""
        if not self._base64 and (self._old or any(_needs_bytes(packet) for packet in packets)):
            # Exactly this: with a parameter, clients up to 1.3 and 2.1 to 2.4 take it for text.
            return "application/octet-stream", b"".join([_encode_binary_element(packet) for packet in packets])
        return "text/plain; charset=UTF-8", b"".join([_encode_text_element(packet) for packet in packets])

    def decode_payload(self, body: bytes, max_packets: int, binary: bool = False) -> list[EnginePacket | PacketError]:
        """Split the body of one POST into packets. Decoding stops at the first bad one: what came before it counts.

        Args:
            body: at most ``max_message_size`` long; the transport has checked that before reading it.
            max_packets: more than these are refused as a whole.
            binary: it came as ``application/octet-stream``.

        Returns:
            The packets in sending order; the last one is an error where one was bad.

        Raises:
            TextError: text that is not UTF-8.
            LimitExceeded: too many packets.
        """
        packets: list[EnginePacket | PacketError] = []
        try:
            elements = _binary_elements(body) if binary else _text_elements(body)
            for count, packet in enumerate(elements):
                if count == max_packets:
                    raise LimitExceeded(
                        f"more than {max_packets} packets in one payload (socketio.max_payload_packets)"
                    )
                if packet is not None:
                    packets.append(packet)
        except PacketError as error:
            packets.append(error.without_frames())
        return packets


def kind_of(query: Mapping[str, str]) -> tuple[bool, bool]:
    """Which :class:`Codec` a client needs, by the query of its first request: later ones may leave ``b64`` out.

    Returns:
        ``base64`` and ``old`` (sections 1, 3.3 and 10).
    """
    old = query.get("EIO") == "2" or _OLD_TIMESTAMP.fullmatch(query.get("t", "")) is not None
    return ("b64" in query or "j" in query, old)


def _needs_bytes(packet: bytes) -> bool:
    # Clients 1.4 to 2.0 read a text answer as Latin-1 where they asked for bytes.
    return packet[:1] in _BINARY_TYPES or not packet.isascii()


def _encode_text_element(packet: bytes) -> bytes:
    # "The length counts UTF-16 code units."
    units = len(packet) if packet.isascii() else len(packet.decode().encode("utf-16-le")) // 2
    return b"%d:%b" % (units, packet)


def _encode_binary_element(packet: bytes) -> bytes:
    kind = b"\x01" if packet[:1] in _BINARY_TYPES else b"\x00"
    return kind + (b"%d" % len(packet)).translate(_VALUES) + b"\xff" + packet


def _decode_text(text: str) -> EnginePacket:
    if text[:1] == "b":
        if text[1:2] != "4":
            raise PacketError("a binary packet that is no message")
        return (MESSAGE, engineio_v4.decode_base64(text[2:]))
    return engineio_v4.decode_packet(text)


def _decode_binary(data: bytes) -> EnginePacket:
    if not data or data[0] not in _BINARY_TYPES:
        raise PacketError("a binary packet without a type")
    return (data[0], data[1:])


def _text_elements(body: bytes) -> Iterator[EnginePacket | None]:
    """The packets of a text payload (section 3.1); ``None`` for one of length 0, which is no packet."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise TextError("a payload that is not UTF-8") from None
    if not text:
        raise PacketError("empty payload")
    # Lengths are in UTF-16 code units: those are characters, unless there are some outside of the basic plane.
    units = text.encode("utf-16-le") if any(lead in body for lead in _ASTRAL_LEADS) else None
    position = unit = 0
    while position < len(text):
        head = _TEXT_HEAD.match(text, position)
        if head is None:
            raise PacketError("a packet without its length")
        size = int(head[1])
        unit += head.end() - position
        packet = text[head.end() : head.end() + size] if units is None else _cut(units, unit, size)
        position = head.end() + len(packet)
        unit += size
        if units is None and len(packet) < size:
            raise PacketError("a packet that is shorter than its length")
        yield _decode_text(_undouble(packet)) if packet else None


def _cut(units: bytes, start: int, size: int) -> str:
    if 2 * (start + size) > len(units):
        raise PacketError("a packet that is shorter than its length")
    try:
        return units[2 * start : 2 * (start + size)].decode("utf-16-le")
    except UnicodeDecodeError:
        raise PacketError("a packet that ends within a character") from None


def _binary_elements(body: bytes) -> Iterator[EnginePacket]:
    """The packets of a payload of bytes (section 3.2); unlike text it may have none."""
    position = 0
    while position < len(body):
        head = _BINARY_HEAD.match(body, position)
        if head is None:
            raise PacketError("a packet without its length")
        start, size = head.end(), int(head[2].translate(_DIGITS))
        packet = body[start : start + size]
        if len(packet) < size:
            raise PacketError("a packet that is shorter than its length")
        position = start + size
        if head[1] == b"\x01":
            yield _decode_binary(packet)
            continue
        try:
            text = _decode_wtf8(packet)
        except UnicodeDecodeError:
            raise PacketError("a packet that is not UTF-8") from None
        yield _decode_text(text)


def _undouble(text: str) -> str:
    """Undo the second UTF-8 encoding of clients up to 1.7, where there is one (section 3.4, rule 2)."""
    if text.isascii():
        return text
    try:
        return _decode_wtf8(text.encode("latin-1"))
    except UnicodeError:
        return text


def _decode_wtf8(data: bytes) -> str:
    """Read UTF-8 as clients up to 1.7 write it: with surrogates that are alone, which become U+FFFD.

    Raises:
        UnicodeDecodeError: not even that.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _LONE_SURROGATE.sub("\ufffd".encode(), data).decode()
