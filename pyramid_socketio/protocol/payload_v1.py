"""What carries the packets of clients 0.7 to 0.9: frames in HTTP bodies, the handshake's answer, and scripts.

There is no layer of its own below Socket.IO here: heartbeats, the end and noops are packets like all others. Sections
are those of the protocol reference for Socket.IO 0.7 to 0.9.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ..errors import BinaryRefused, LimitExceeded, PacketError, TextError
from .forms import form_field
from .jsontext import loads
from .packets import CLOSE, MESSAGE, NOOP, PING, PONG, EncodedPacket, EnginePacket
from .scripts import encode_script, encode_script_error, markup_literal
from .streams import Framing, encode_chunk
from .websocket import TEXT, encode_frame

__all__ = [
    "HEARTBEAT_INTERVAL",
    "HEARTBEAT_TIMEOUT",
    "BROKEN_POLL_IS_THE_END",
    "CLOSE_MARGIN",
    "CLOSE_TIMEOUT",
    "FIRST_PACKET_ALONE",
    "HTMLFILE_HEAD",
    "OPENS_WITH_PACKET",
    "POLL_DURATION",
    "POST_ANSWER",
    "TRANSPORTS",
    "STREAMS",
    "UNKNOWN_SESSION",
    "Message",
    "count_units",
    "cut_units",
    "decode_field",
    "decode_form",
    "decode_packet",
    "decode_payload",
    "encode_handshake",
    "encode_htmlfile",
    "encode_packet",
    "encode_payload",
    "encode_ping",
    "encode_poll_script",
    "encode_script",
    "encode_script_error",
    "split",
]

#: Seconds (section 6.1); the settings may ask for less.
HEARTBEAT_INTERVAL: Final = 20.0
HEARTBEAT_TIMEOUT: Final = 60.0
#: Seconds for which a GET is held.
POLL_DURATION: Final = 20.0
#: Seconds from one GET to the next.
CLOSE_TIMEOUT: Final = 25.0
#: Seconds that a client waits longer than a heartbeat's interval before it takes the connection for lost; and clients
#: up to 0.8 wait for so long before they connect anew.
CLOSE_MARGIN: Final = 5.0

#: In the order in which clients try them.
TRANSPORTS: Final = ("websocket", "flashsocket", "htmlfile", "xhr-polling", "jsonp-polling")

#: The body of the answer to a POST.
POST_ANSWER: Final = b"1"

#: Section 3: client not handshaken; it shall connect anew.
UNKNOWN_SESSION: Final = b"7:::1+0"

#: Whether a client whose GET breaks off is gone: it may come again at once, with another transport, or because Internet
#: Explorer's XDomainRequest failed.
BROKEN_POLL_IS_THE_END: Final = False

#: Section 6, step 3: the first poll is answered with the first packet alone; some clients look at no other.
FIRST_PACKET_ALONE: Final = True

#: Whether the server tells the session id in a packet: it has been told in the handshake.
OPENS_WITH_PACKET: Final = False

#: Section 5: frames start with it and a single packet never does.
_MARKER: Final = "\ufffd"

# [0-9], because \d and int() take the digits of every script; at most 10, because int() takes long for thousands.
_FRAME_HEAD: Final = re.compile(f"{_MARKER}([0-9]{{1,10}}){_MARKER}")

_HEADS: Final = {CLOSE: b"0::", PING: b"2::", MESSAGE: b"", NOOP: b"8::"}

#: By the first three characters. Clients answer heartbeats with the same packet.
_TYPES: Final = {"0": CLOSE, "0::": CLOSE, "2::": PONG, "8::": NOOP}

#: Section 7.3. Internet Explorer shows nothing of a document to its scripts before it has 256 bytes.
HTMLFILE_HEAD: Final = b"<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>".ljust(256)


def encode_packet(type: int, data: bytes = b"") -> bytes:
    """A packet: the end of the connection, a heartbeat, a noop; a message is its ``data``."""
    return _HEADS[type] + data


def encode_ping(count: int) -> tuple[bytes, str]:
    """The ``count``-th heartbeat, and the data of the client's answer."""
    return encode_packet(PING), ""


def encode_poll_script(index: str, text: str) -> bytes:
    """The answer of jsonp-polling; the index is digits, which has been checked."""
    return encode_script(f"io.j[{index}]", text)


def decode_packet(data: str | bytes) -> EnginePacket:
    """Tell the packets of the connection from those of Socket.IO, which stay whole: ``(MESSAGE, text)``.

    Raises:
        PacketError: an empty packet.
        BinaryRefused: binary data.
    """
    if isinstance(data, bytes):
        raise BinaryRefused("binary data, which this revision does not have")
    type = _TYPES.get(data[:3])
    # "0::/chat" leaves a namespace.
    if type is None or (type == CLOSE and data[3:4] not in ("", ":")):
        if not data:
            raise PacketError("empty packet")
        return (MESSAGE, data)
    return (type, "")


def encode_payload(packets: list[bytes]) -> tuple[str, bytes]:
    """Content type and body of one polling answer: one packet as it is, more of them framed (section 5)."""
    body = packets[0] if len(packets) == 1 else b"".join([_encode_payload_frame(packet) for packet in packets])
    return "text/plain; charset=UTF-8", body


def _encode_payload_frame(packet: bytes) -> bytes:
    return f"{_MARKER}{count_units(packet)}{_MARKER}".encode() + packet


def count_units(packet: bytes) -> int:
    """The length of UTF-8 as JavaScript counts it: in UTF-16 code units."""
    return len(packet) if packet.isascii() else len(packet.decode().encode("utf-16-le")) // 2


def decode_payload(body: bytes, max_packets: int, binary: bool = False) -> list[EnginePacket | PacketError]:
    """Split the body of one POST into packets. Decoding stops at the first bad one: what came before it still counts.

    Args:
        body: at most ``max_message_size`` long; the transport has checked that before reading it.
        max_packets: more than these are refused as a whole.
        binary: of no meaning; "content type must not be checked" (section 7.1).

    Returns:
        At least one element, in sending order; the last one is an error where a frame or a packet was bad.

    Raises:
        TextError: not UTF-8.
        LimitExceeded: too many packets.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise TextError("a payload that is not UTF-8") from None
    packets: list[EnginePacket | PacketError] = []
    try:
        for packet in _limited(text, max_packets):
            packets.append(decode_packet(packet))
    except PacketError as error:
        packets.append(error.without_frames())
    return packets


def split(text: str, max_packets: int = 1000) -> list[str]:
    """The packets in one WebSocket message; clients send one, "but the server accepts the frame form there as well".

    Raises:
        PacketError: a bad frame. The reference takes what it can get; no client depends on it.
        LimitExceeded: too many packets.
    """
    if text[:1] != _MARKER:  # nearly every message
        return [text]
    return list(_limited(text, max_packets))


def _limited(text: str, max_packets: int) -> Iterator[str]:
    for number, packet in enumerate(_packets(text)):
        if number == max_packets:
            raise LimitExceeded(f"more than {max_packets} packets in one payload (socketio.max_payload_packets)")
        yield packet


def _packets(text: str) -> Iterator[str]:
    if text[:1] != _MARKER:
        yield text
        return
    position = 0
    while position < len(text):
        head = _FRAME_HEAD.match(text, position)
        if head is None:
            raise PacketError("no frame of a payload")
        position = head.end()
        packet = cut_units(text, position, int(head[1]))
        position += len(packet)
        yield packet


def cut_units(text: str, start: int, units: int) -> str:
    """The part of ``text`` that has so many UTF-16 code units, which is how JavaScript counts. Raises PacketError."""
    # It has no more characters than units, and at least half as many: all frames together take linear time.
    part = text[start : start + units]
    if len(part) == units and part.isascii():
        return part
    encoded = part.encode("utf-16-le")[: 2 * units]
    if len(encoded) != 2 * units:
        raise PacketError("a frame that is longer than its payload")
    try:
        return encoded.decode("utf-16-le")
    except UnicodeDecodeError:
        raise PacketError("a frame that ends inside of a character") from None


def encode_handshake(sid: str, heartbeat_timeout: float, close_timeout: float, transports: Sequence[str]) -> str:
    """The answer to the handshake (section 2).

    Args:
        sid: has neither ``:`` nor ``/``.
        heartbeat_timeout, close_timeout: seconds; whole ones on the wire, rounded up and at least 1, because clients
            from 0.9.1 on take an empty field or 0 as a time that is over at once.
        transports: their names in the order in which the client shall try them.
    """
    times = [max(1, math.ceil(timeout)) for timeout in (heartbeat_timeout, close_timeout)]
    return f"{sid}:{times[0]}:{times[1]}:{','.join(transports)}"


def encode_htmlfile(packets: list[bytes]) -> bytes:
    """Script elements for the endless document of the htmlfile transport, one for each packet (section 7.3)."""
    return b"".join([_encode_element(packet) for packet in packets])


def _encode_element(packet: bytes) -> bytes:
    return f"<script>_({markup_literal(packet.decode())});</script>".encode()


def _encode_htmlfile_chunk(packets: list[bytes]) -> bytes:
    return encode_chunk(encode_htmlfile(packets))


#: Transports that are documents, by name; this one is for Internet Explorer.
STREAMS: Final = {
    "htmlfile": Framing("htmlfile", "text/html; charset=UTF-8", HTMLFILE_HEAD, encode_htmlfile, _encode_htmlfile_chunk)
}


def decode_form(body: bytes) -> bytes:
    """The body that is in field ``d`` of a form of jsonp-polling (section 7.2), for :func:`decode_payload`.

    Raises:
        PacketError: no such form.
    """
    return decode_field(form_field(body, "d"))


def decode_field(text: str) -> bytes:
    """The body that is in the value of that field.

    Clients from 0.8.6 on send it as a JSON string, which keeps newlines; those before send it as it is, and "a raw
    packet never starts with a quote".

    Raises:
        PacketError: a quote that begins no JSON string.
    """
    if text[:1] == '"':
        # JSON may have halves of surrogate pairs as escapes; in UTF-8 they are U+FFFD, on the other transports, too.
        text = loads(text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.encode()


class Message:
    """A Socket.IO packet as it goes out; framed once for each kind of transport, however many clients get it.

    Attributes:
        frames: for WebSocket: a text frame. Made at once, and no method, because a broadcast asks for it a thousand
            times.
    """

    __slots__ = ("_forms", "_packets", "frames")

    def __init__(self, encoded: EncodedPacket) -> None:
        text, _ = encoded  # this revision has no attachments
        self._packets = [text]
        self._forms: dict[Callable[[list[bytes]], bytes], bytes] = {}
        self.frames = encode_frame(TEXT, text)

    def packets(self) -> list[bytes]:
        """Polling: the packet."""
        return self._packets

    def form(self, encode: Callable[[list[bytes]], bytes]) -> bytes:
        """``encode(self.packets())``, for other framings; made once for each ``encode``."""
        form = self._forms.get(encode)
        if form is None:
            form = self._forms[encode] = encode(self._packets)
        return form
