"""WebSockets before RFC 6455: drafts hixie-76 and hixie-75, of Flash and the browsers of 2010.

Text only, in frames of a byte 00, UTF-8 and a byte ff. (Protocol reference for Socket.IO 0.5 and 0.6, section 8.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..errors import PacketError, PayloadTooLarge, ProtocolError, TextError
from .websocket import CLOSE, TEXT, HandshakeRefused

__all__ = ["KEY3_SIZE", "Handshake", "HixieParser", "check_handshake", "encode_close", "encode_frame"]

#: Bytes that a client of hixie-76 sends behind its request.
KEY3_SIZE: Final = 8

_BEGIN: Final = b"\x00"
_END: Final = b"\xff"
_CLOSE: Final = b"\xff\x00"

#: The digits of a key, joined, are a product of its number, which has 32 bits, and at most 12 spaces.
_MAX_DIGITS: Final = 12

_LINE_BREAK: Final = re.compile("[\r\n]")


class Handshake(NamedTuple):
    """What a client is to be answered with.

    Attributes:
        head: of the answer; of hixie-76 it goes out before the key is there, because some proxies hold the key back
            until they see an answer.
        keys: the numbers of the first two keys; ``None`` for hixie-75, whose answer is the head alone.
    """

    head: bytes
    keys: tuple[int, int] | None

    def digest(self, key3: bytes) -> bytes:
        """What follows the head: the proof that the three keys were understood."""
        assert self.keys is not None and len(key3) == KEY3_SIZE
        numbers = b"".join([number.to_bytes(4, "big") for number in self.keys])
        return hashlib.md5(numbers + key3, usedforsecurity=False).digest()


def check_handshake(headers: Mapping[str, str], location: str) -> Handshake:
    """Judge a request to open such a WebSocket; method, origin and path are the caller's to judge.

    Args:
        headers: lower-case name to value.
        location: what the client has in its address bar, as ``ws://host/path``. Clients compare.

    Raises:
        HandshakeRefused: 400 for another ``Upgrade``, bad keys, or a value that cannot be repeated in a header.
    """
    if headers.get("upgrade", "").lower() != "websocket":
        raise HandshakeRefused(400, "the Upgrade header does not say WebSocket")
    keys = [headers.get(f"sec-websocket-key{number}") for number in (1, 2)]
    is_76 = keys != [None, None]
    prefix = "Sec-" if is_76 else ""
    origin = headers.get("origin", "null")
    protocol = headers.get(f"{prefix}WebSocket-Protocol".lower())
    if any(_LINE_BREAK.search(value) for value in (origin, location, protocol or "")):
        raise HandshakeRefused(400, "a line break in a header")
    lines = [
        f"HTTP/1.1 101 {'WebSocket' if is_76 else 'Web Socket'} Protocol Handshake",
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        f"{prefix}WebSocket-Origin: {origin}",
        f"{prefix}WebSocket-Location: {location}",
    ]
    if protocol is not None:
        lines.append(f"{prefix}WebSocket-Protocol: {protocol}")
    try:
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        raise HandshakeRefused(400, "a header that is not Latin-1") from None
    if not is_76:
        return Handshake(head, None)
    return Handshake(head, (_number(keys[0] or ""), _number(keys[1] or "")))


def _number(key: str) -> int:
    """All digits joined, divided by the count of the spaces."""
    digits = "".join([character for character in key if "0" <= character <= "9"])
    spaces = key.count(" ")
    if not spaces or not digits or len(digits) > _MAX_DIGITS:
        raise HandshakeRefused(400, "a bad Sec-WebSocket-Key1 or -Key2")
    number, rest = divmod(int(digits), spaces)
    if rest or number >= 2**32:
        raise HandshakeRefused(400, "a bad Sec-WebSocket-Key1 or -Key2")
    return number


def encode_frame(text: bytes) -> bytes:
    """A frame with a text in UTF-8, in which there is no byte ff."""
    return _BEGIN + text + _END


def encode_close() -> bytes:
    """The end (hixie-76)."""
    return _CLOSE


class HixieParser:
    """Cuts what a client sends into texts; see :class:`~pyramid_socketio.protocol.websocket.FrameParser`.

    Args:
        max_message_size: bytes that a text may have.
    """

    __slots__ = ("_buffer", "_max_message_size", "_searched", "closed", "error")

    def __init__(self, max_message_size: int) -> None:
        self._max_message_size = max_message_size
        self._buffer = bytearray()
        #: So much of the buffer has no end of a frame in it.
        self._searched = 0
        #: The end has come; whatever follows it is ignored.
        self.closed = False
        #: What was wrong behind the last good frame; whatever follows it is ignored.
        self.error: ProtocolError | None = None

    def feed(self, data: bytes) -> list[tuple[int, str | bytes]]:
        """Take what the socket gave.

        Returns:
            What is complete now, in the order of arrival: ``(TEXT, str)``, ``(CLOSE, b"")``.
        """
        frames: list[tuple[int, str | bytes]] = []
        if self.closed or self.error is not None:
            return frames
        self._buffer += data
        position = 0
        try:
            while position < len(self._buffer):
                end = self._find_end(position)
                if end < 0:
                    break
                frames.append(self._take(position, end))
                position = end + 1
                if self.closed:
                    break
        except ProtocolError as error:
            # Kept for the life of the connection: without what the traceback holds on to.
            self.error = error.without_frames()
        if self.closed or self.error is not None:
            self._buffer.clear()
        else:
            del self._buffer[:position]
            self._searched = max(0, self._searched - position)
        return frames

    def _find_end(self, position: int) -> int:
        """The last byte of the frame that begins there; -1 if it has not come yet."""
        buffer = self._buffer
        first = buffer[position]
        if first == 0xFF:
            return position + 1 if len(buffer) > position + 1 else -1
        if first != 0:
            raise PacketError(f"a frame that begins with {first:#04x}")
        end = buffer.find(_END, max(position + 1, self._searched))
        if (len(buffer) if end < 0 else end) - position - 1 > self._max_message_size:
            raise PayloadTooLarge(f"a message over socketio.max_message_size = {self._max_message_size}")
        if end < 0:
            self._searched = len(buffer)
        return end

    def _take(self, position: int, end: int) -> tuple[int, str | bytes]:
        if self._buffer[position] == 0xFF:
            if self._buffer[end] != 0:
                raise PacketError("a frame with a length, which no client sends")
            self.closed = True
            return (CLOSE, b"")
        try:
            return (TEXT, self._buffer[position + 1 : end].decode())
        except UnicodeDecodeError:
            raise TextError("a text that is not UTF-8") from None
