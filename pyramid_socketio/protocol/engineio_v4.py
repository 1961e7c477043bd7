"""Engine.IO protocol 4: what clients 3.x and 4.x speak.

Text is ``str`` when it was received and UTF-8 ``bytes`` when it is to be sent, because that is what JSON is read from
and written to.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any, Final

from ..errors import LimitExceeded, PacketError, TextError
from .jsontext import dumps
from .packets import MESSAGE, OPEN, EncodedPacket, EnginePacket
from .websocket import BINARY, TEXT, encode_frame

__all__ = [
    "Message",
    "decode_base64",
    "decode_packet",
    "decode_payload",
    "encode_open",
    "encode_packet",
    "encode_payload",
]

#: Between two packets of a payload. JSON escapes control characters, so it is never part of a packet.
SEPARATOR: Final = b"\x1e"

_TYPES: Final = {str(number): number for number in range(7)}


def encode_packet(type: int, data: bytes = b"") -> bytes:
    """A text packet: its type as one digit, then its data."""
    return b"%d%b" % (type, data)


def decode_packet(data: str | bytes) -> EnginePacket:
    """Read the packet in one WebSocket message, or in one element of a payload.

    Binary is a message, without a type ("WebSocket framing"). Text that starts with ``b`` is base64 of one.

    Raises:
        PacketError: an empty packet, an unknown type, bad base64.
    """
    if data.__class__ is bytes:
        return (MESSAGE, data)
    try:
        return (_TYPES[data[0]], data[1:])  # type: ignore[index]
    except IndexError:
        raise PacketError("empty packet") from None
    except KeyError:
        pass
    if data[0] == "b":
        return (MESSAGE, decode_base64(data[1:]))  # type: ignore[arg-type]
    raise PacketError("unknown packet type")


def decode_base64(text: str) -> bytes:
    """Binary data that came as text. Raises PacketError."""
    try:
        raw = text.encode("ascii")
        data = a2b_base64(raw)
    except ValueError:
        raise PacketError("bad base64") from None
    # Python's decoder skips rubbish (its strict mode is new in 3.11); what is written otherwise again was not base64.
    if b2a_base64(data, newline=False) != raw:
        raise PacketError("bad base64")
    return data


def encode_payload(packets: list[bytes]) -> tuple[str, bytes]:
    """Content type and body of one polling answer: at least one packet, in sending order."""
    return "text/plain; charset=UTF-8", SEPARATOR.join(packets)


def decode_payload(body: bytes, max_packets: int) -> list[EnginePacket | PacketError]:
    """Split the body of one POST into packets ("HTTP long-polling": ``packet *( 0x1e packet )``, UTF-8).

    Decoding stops at the first bad packet: what came before it still counts.

    Args:
        body: at most ``max_message_size`` long; the transport has checked that before reading it.
        max_packets: more than these are refused as a whole.

    Returns:
        At least one element, in sending order; the last one is an error where a packet was bad.

    Raises:
        TextError: not UTF-8.
        LimitExceeded: too many packets.
    """
    if body.count(SEPARATOR) >= max_packets:
        raise LimitExceeded(f"more than {max_packets} packets in one payload (socketio.max_payload_packets)")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise TextError("a payload that is not UTF-8") from None
    packets: list[EnginePacket | PacketError] = []
    for part in text.split("\x1e"):
        try:
            packets.append(decode_packet(part))
        except PacketError as error:
            packets.append(error.without_frames())
            break
    return packets


def encode_open(sid: str, upgrades: list[str], ping_interval: float, ping_timeout: float, max_payload: int) -> bytes:
    """The packet that opens a session. Clients and suites compare its keys: nothing may be added.

    Args:
        ping_interval, ping_timeout: seconds; milliseconds on the wire.
        max_payload: bytes.
    """
    handshake: dict[str, Any] = {
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": round(ping_timeout * 1000),
        "maxPayload": max_payload,
    }
    return encode_packet(OPEN, dumps(handshake))


class Message:
    """A Socket.IO packet as it goes out; framed once for each kind of transport, however many clients get it.

    Attributes:
        frames: for WebSocket: a text frame, then a binary frame for each attachment ("No type byte"). Made at once, and
            no method, because a broadcast asks for it a thousand times.
    """

    __slots__ = ("_encoded", "_packets", "frames")

    def __init__(self, encoded: EncodedPacket) -> None:
        self._encoded = encoded
        self._packets: list[bytes] | None = None
        text, attachments = encoded
        self.frames = encode_frame(TEXT, b"4" + text)
        if attachments:
            self.frames += b"".join([encode_frame(BINARY, data) for data in attachments])

    def packets(self) -> list[bytes]:
        """Polling: a text packet, then ``b`` and base64 for each attachment."""
        packets = self._packets
        if packets is None:
            text, attachments = self._encoded
            packets = self._packets = [b"4" + text, *(b"b" + b2a_base64(data, newline=False) for data in attachments)]
        return packets
