"""What carries the messages of clients 0.5 and 0.6: ``~m~<length>~m~<message>``, the same on every transport.

The first message of the server is the session id. Heartbeats are messages that start with ``~h~``; there is no message
for the end, nor for nothing. Sections are those of the protocol reference for Socket.IO 0.5 and 0.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..errors import BinaryRefused, LimitExceeded, PacketError
from . import payload_v1
from .forms import form_field
from .jsontext import dumps
from .packets import MESSAGE, OPEN, PING, PONG, EncodedPacket, EnginePacket
from .payload_v1 import count_units, cut_units
from .scripts import markup_literal, script_literal
from .streams import Framing, encode_chunk

__all__ = [
    "BROKEN_POLL_IS_THE_END",
    "CLOSE_TIMEOUT",
    "FIRST_PACKET_ALONE",
    "HEARTBEAT_INTERVAL",
    "HEARTBEAT_TIMEOUT",
    "HTMLFILE_HEAD",
    "MULTIPART_HEAD",
    "OPENS_WITH_PACKET",
    "POLL_DURATION",
    "POST_ANSWER",
    "STREAMS",
    "TRANSPORTS",
    "UNKNOWN_SESSION",
    "Message",
    "decode_form",
    "decode_packet",
    "decode_payload",
    "encode_htmlfile",
    "encode_multipart",
    "encode_open",
    "encode_packet",
    "encode_payload",
    "encode_ping",
    "encode_poll_script",
    "split",
]

_HEARTBEAT: Final = "~h~"

# [0-9], because \d and int() take the digits of every script; at most 10, because int() takes long for thousands.
_FRAME_HEAD: Final = re.compile("~m~([0-9]{1,10})~m~")

#: Seconds (section 3): clients close when nothing comes for 15 s, and for 25 s while they poll.
HEARTBEAT_INTERVAL: Final = 10.0
HEARTBEAT_TIMEOUT: Final = 8.0
#: Seconds for which a GET is held.
POLL_DURATION: Final = 20.0
#: Seconds from one GET to the next.
CLOSE_TIMEOUT: Final = 8.0

#: In the order in which clients try them.
TRANSPORTS: Final = ("websocket", "flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling")

#: There is no packet that says so.
UNKNOWN_SESSION: Final = None

#: The body of the answer to a POST.
POST_ANSWER: Final = b"ok"

#: Whether a client whose GET breaks off is gone: it says nothing when it goes.
BROKEN_POLL_IS_THE_END: Final = True

#: Whether the server tells the session id in a packet, the first one.
OPENS_WITH_PACKET: Final = True

#: The first poll has been answered with the session id.
FIRST_PACKET_ALONE: Final = False

#: Section 5.4. Internet Explorer shows nothing of a document to its scripts before it has 256 bytes.
HTMLFILE_HEAD: Final = b"<html><body>" + 244 * b" "

#: Section 5.3: what a multipart document begins with; each part ends with the boundary of the next.
MULTIPART_HEAD: Final = b"--socketio\n"


#: Looking it up is five times as fast as making it.
_SHORT_HEADS: Final = tuple(b"~m~%d~m~" % size for size in range(256))


def _frame(message: bytes) -> bytes:
    size = count_units(message)
    return (_SHORT_HEADS[size] if size < 256 else b"~m~%d~m~" % size) + message


def encode_packet(type: int, data: bytes = b"") -> bytes:
    """A framed heartbeat (``data`` is its number), session id or message; nothing for what has no form here."""
    if type == PING:
        return _frame(b"~h~" + data)
    return _frame(data) if type == OPEN or type == MESSAGE else b""


def encode_ping(count: int) -> tuple[bytes, str]:
    """The ``count``-th heartbeat, and the data of the client's answer."""
    number = str(count)
    return encode_packet(PING, number.encode()), number


def encode_open(sid: str, upgrades: list[str], ping_interval: float, ping_timeout: float, max_payload: int) -> bytes:
    """The first message, which is the session id; clients know all else by themselves."""
    return encode_packet(OPEN, sid.encode())


def decode_packet(data: str | bytes) -> EnginePacket:
    """Tell heartbeats, whose data is their number, from messages.

    Raises:
        BinaryRefused: binary data.
    """
    if isinstance(data, bytes):
        raise BinaryRefused("binary data, which this revision does not have")
    return (PONG, data[3:]) if data[:3] == _HEARTBEAT else (MESSAGE, data)


def split(text: str, max_packets: int = 1000) -> list[str]:
    """The messages in a text of any transport.

    Raises:
        PacketError: a bad frame. The reference takes what it can get; no client depends on it.
        LimitExceeded: too many messages.
    """
    head = _FRAME_HEAD.match(text)
    if head is not None and head.end() + int(head[1]) == len(text) and text.isascii():
        return [text[head.end() :]]  # nearly every message of a WebSocket
    return list(_messages(text, max_packets))


def _messages(text: str, max_packets: int) -> Iterator[str]:
    count = position = 0
    while position < len(text):
        if count == max_packets:
            raise LimitExceeded(f"more than {max_packets} packets in one payload (socketio.max_payload_packets)")
        head = _FRAME_HEAD.match(text, position)
        if head is None:
            raise PacketError("no framed message")
        message = cut_units(text, head.end(), int(head[1]))
        position = head.end() + len(message)
        count += 1
        yield message


def encode_payload(packets: list[bytes]) -> tuple[str, bytes]:
    """Content type and body of one polling answer; the packets are framed already."""
    return "text/plain; charset=UTF-8", b"".join(packets)


def decode_payload(body: bytes, max_packets: int, binary: bool = False) -> list[EnginePacket | PacketError]:
    """The packets in a form with the one field ``data`` (section 4). What came before a bad frame still counts.

    Args:
        body: at most ``max_message_size`` long; the transport has checked that before reading it.
        max_packets: more than these are refused as a whole.
        binary: of no meaning; every client sends forms.

    Returns:
        Packets in sending order, perhaps none; the last one is an error where a frame was bad.

    Raises:
        PacketError: no such form, or not UTF-8.
        LimitExceeded: too many packets.
    """
    text = form_field(body, "data")
    packets: list[EnginePacket | PacketError] = []
    try:
        for message in _messages(text, max_packets):
            packets.append(decode_packet(message))
    except PacketError as error:
        packets.append(error.without_frames())
    return packets


def decode_form(body: bytes) -> bytes:
    """The body of a form of jsonp-polling, for :func:`decode_payload`.

    Browsers send every newline of a text area as CR LF, which the length in the frame knows nothing of.
    """
    return body.replace(b"%0D%0A", b"%0A")


def encode_poll_script(index: str, text: str) -> bytes:
    """The answer of jsonp-polling (section 5.2).

    Args:
        index: digits, which has been checked.
    """
    return f"io.JSONP[{index}]._({script_literal(text)});".encode()


def encode_htmlfile(packets: list[bytes]) -> bytes:
    """Script elements for the endless document of the htmlfile transport, one for each packet (section 5.4)."""
    return b"".join([_encode_element(packet) for packet in packets])


def _encode_element(packet: bytes) -> bytes:
    return f"<script>parent.s._({markup_literal(packet.decode())}, document);</script>".encode()


def encode_multipart(packets: list[bytes]) -> bytes:
    """Parts of a multipart document, one for each packet (section 5.3); a boundary makes the browser deliver one."""
    return b"".join([b"Content-Type: text/plain\n\n%b\n--socketio\n" % _without_boundary(packet) for packet in packets])


def _without_boundary(packet: bytes) -> bytes:
    """A packet without the boundary in it, which JSON can write otherwise: no text of a client ends a part."""
    if b"--socketio" not in packet:
        return packet
    (message,) = split(packet.decode())
    json = message[3:] if message.startswith("~j~") else dumps(message).decode()
    return _frame(b"~j~" + json.replace("--socketio", "-\\u002dsocketio").encode())


def _encode_htmlfile_chunk(packets: list[bytes]) -> bytes:
    return encode_chunk(encode_htmlfile(packets))


#: Transports that are documents, by name: for Internet Explorer, and for Firefox.
STREAMS: Final = {
    "htmlfile": Framing("htmlfile", "text/html; charset=UTF-8", HTMLFILE_HEAD, encode_htmlfile, _encode_htmlfile_chunk),
    "xhr-multipart": Framing(
        "xhr-multipart", 'multipart/x-mixed-replace;boundary="socketio"', MULTIPART_HEAD, encode_multipart
    ),
}


class Message(payload_v1.Message):
    """A message as it goes out; framed once for each kind of transport, however many clients get it."""

    __slots__ = ()

    def __init__(self, encoded: EncodedPacket) -> None:
        text, _ = encoded  # this revision has no attachments
        super().__init__((_frame(text), ()))
