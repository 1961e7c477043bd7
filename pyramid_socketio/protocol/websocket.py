"""The WebSocket protocol, RFC 6455: the opening handshake and frames, seen from a server. Versions 13, 8 and 7.

Pure: bytes in, messages out. Sizes are bytes. No extension (compression) is negotiated, so the reserved bits are 0.
"""

from __future__ import annotations

import binascii
import codecs
import hashlib
import re
import struct
from collections.abc import Mapping
from typing import Final

from ..errors import HTTPError, LimitExceeded, PacketError, PayloadTooLarge, ProtocolError, TextError

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "FrameParser",
    "HandshakeRefused",
    "accept_key",
    "check_handshake",
    "encode_close",
    "encode_frame",
    "parse_close",
    "unmask",
]

# Section 5.2, "Opcode".
CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_FIN: Final = 0x80
_FINAL_TEXT: Final = _FIN | TEXT
_FINAL_BINARY: Final = _FIN | BINARY
#: Among the first bytes that are allowed, those of control frames are the biggest.
_FIRST_CONTROL: Final = _FIN | CLOSE
#: Every first byte that is allowed: control frames cannot be fragmented (section 5.5).
_FIRST_BYTES: Final = frozenset(
    [CONTINUATION, TEXT, BINARY] + [_FIN | opcode for opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)]
)

#: Section 5.5: "All control frames MUST have a payload length of 125 bytes or less".
_MAX_CONTROL_SIZE: Final = 125

#: Looking two bytes up is twice as fast as making them.
_SMALL_HEADERS: Final = {
    opcode: tuple(bytes((_FIN | opcode, size)) for size in range(126))
    for opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
}
_MEDIUM_HEADER: Final = struct.Struct("!BBH").pack
_LARGE_HEADER: Final = struct.Struct("!BBQ").pack


# Frames that the server sends


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """One whole message as one unmasked frame, section 5.2. A control frame's payload has at most 125 bytes."""
    size = len(payload)
    if size < 126:
        return _SMALL_HEADERS[opcode][size] + payload
    if size < 65536:
        return _MEDIUM_HEADER(_FIN | opcode, 126, size) + payload
    return _LARGE_HEADER(_FIN | opcode, 127, size) + payload


def encode_close(code: int | None, reason: str = "") -> bytes:
    """The close frame, section 5.5.1.

    Args:
        code: a code that may be sent (section 7.4.1), or ``None`` for a frame without code and reason.
        reason: cut to the 123 bytes of UTF-8 that fit, never inside of a character.
    """
    if code is None:
        return encode_frame(CLOSE, b"")
    text = reason.encode("utf-8", "replace")[: _MAX_CONTROL_SIZE - 2]
    return encode_frame(CLOSE, code.to_bytes(2, "big") + text.decode("utf-8", "ignore").encode())


# Frames that clients send


#: Integers of this size stay in the processor's fastest cache: a megabyte takes less than half the time in such pieces.
_PIECE: Final = 4096
#: Times a mask as an integer: the mask repeated all over a piece.
_REPEAT: Final = int.from_bytes(b"\x01\x00\x00\x00" * (_PIECE // 4), "little")


def _unmask_in_python(data: bytes | bytearray, mask: bytes | bytearray, /) -> bytes:
    """As ``_speedups.unmask``, where that was not built: XOR of integers is a loop in C, too (section 5.3)."""
    size = len(data)
    if size <= _PIECE:
        repeated = (mask * ((size + 3) // 4))[:size]
        return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")
    key = int.from_bytes(mask, "little") * _REPEAT
    whole = size - size % _PIECE
    pieces = [
        (int.from_bytes(data[at : at + _PIECE], "little") ^ key).to_bytes(_PIECE, "little")
        for at in range(0, whole, _PIECE)
    ]
    pieces.append(_unmask_in_python(data[whole:], mask))
    return b"".join(pieces)


try:
    # 10 times as fast at 20 bytes, 25 at 10 kB.
    from .._speedups import unmask
except ImportError:
    unmask = _unmask_in_python


def _is_close_code(code: int) -> bool:
    """Whether a close frame may carry it: section 7.4 and the IANA registry (1012 to 1014 were added there)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def parse_close(payload: bytes) -> tuple[int | None, str]:
    """Code and reason of a close frame, section 5.5.1; the code is ``None`` where the frame is empty.

    Raises:
        PacketError: one byte only, or a code that must not be sent.
        TextError: the reason is not UTF-8.
    """
    if not payload:
        return None, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _is_close_code(code):
        raise PacketError("bad close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise TextError("the close reason is not UTF-8") from None


class _Message:
    """What has come so far of a message in several frames, section 5.4."""

    __slots__ = ("_decoder", "data", "frames", "opcode")

    def __init__(self, opcode: int) -> None:
        self.opcode = opcode
        self.frames = 0
        self.data = bytearray()
        # Section 8.1 lets bad text fail before it is complete; a character may be split between two frames.
        self._decoder = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT else None

    def add(self, payload: bytes, final: bool) -> None:
        """Take the payload of the next frame; raises UnicodeDecodeError."""
        if self._decoder is not None:
            self._decoder.decode(payload, final)
        self.frames += 1
        self.data += payload

    def content(self) -> str | bytes:
        return self.data.decode() if self.opcode == TEXT else bytes(self.data)


def _check_start(first: int, length: int, message: _Message | None, max_fragments: int) -> None:
    """Judge the first two bytes of a frame by sections 5.1, 5.2, 5.4 and 5.5; ``length`` is below 0 without a mask."""
    if first not in _FIRST_BYTES:
        raise PacketError("reserved bits, a reserved opcode, or a control frame in pieces")
    if length < 0:
        # "a server MUST close the connection upon receiving a frame that is not masked"
        raise PacketError("a frame without a mask")
    if first >= _FIRST_CONTROL:
        if length > _MAX_CONTROL_SIZE:
            raise PacketError("a control frame is too long")
    elif first & 0x0F == CONTINUATION:
        if message is None:
            raise PacketError("a continuation of nothing")
        if message.frames >= max_fragments:
            raise LimitExceeded("a message has too many frames")
    elif message is not None:
        raise PacketError("a new message before the end of the one before")


def _long_length(field: bytes | bytearray) -> int:
    """The length in 2 or 8 bytes; section 5.2: "the minimal number of bytes MUST be used", the highest bit is 0."""
    length = int.from_bytes(field, "big")
    if length < (126 if len(field) == 2 else 65536) or length >> 63:
        raise PacketError("a bad frame length")
    return length


class FrameParser:
    """Cuts what a client sends into messages and control frames, RFC 6455 sections 5 and 7.

    Between two messages it keeps no buffer and no decoder, so that thousands of idle clients cost next to nothing.
    The time it takes is proportional to the bytes and pieces given, however they are split.

    Args:
        max_message_size: bytes that a message may have, all its frames together. Decided on the header, before the
            payload has come; so at most this and one read are ever held for a frame, and this for the frames before.
        max_fragments: frames that one message may come in; empty ones count.
    """

    __slots__ = (
        "_buffer",
        "_max_fragments",
        "_max_message_size",
        "_max_short_frame",
        "_message",
        "_missing",
        "closed",
        "error",
    )

    def __init__(self, max_message_size: int, max_fragments: int) -> None:
        #: A close frame has come; whatever follows it is ignored (section 5.5.1).
        self.closed = False
        #: What was wrong with the frame after the last good one; whatever follows it is ignored. Its ``close_code`` is
        #: to be sent to the client, after the messages before it have been handled.
        self.error: ProtocolError | None = None
        self._max_message_size = max_message_size
        #: Bytes of a whole frame whose length is in its second byte; 6 of them are not payload.
        self._max_short_frame = 6 + min(125, max_message_size)
        self._max_fragments = max_fragments
        #: The beginning of a frame, from the first byte of its header.
        self._buffer: bytes | bytearray = b""
        #: Bytes that this frame still lacks; 0 while its header does not say so yet.
        self._missing = 0
        self._message: _Message | None = None

    def feed(self, data: bytes) -> list[tuple[int, str | bytes]]:
        """Take what the socket gave; look at ``error`` and ``closed`` after handling the result.

        Returns:
            What is complete now, in the order of arrival: ``(TEXT, str)``, ``(BINARY, bytes)``, ``(PING, bytes)``,
            ``(PONG, bytes)``, ``(CLOSE, bytes)``; the last one has passed :func:`parse_close`.
        """
        messages: list[tuple[int, str | bytes]] = []
        try:
            if (
                5 < (size := len(data)) <= self._max_short_frame
                and data[0] == _FINAL_TEXT
                and data[1] == size + 0x7A
                and not self._buffer
                and self._message is None
                and not self.closed
                and self.error is None
            ):
                # One short text message and nothing else: most of what arrives at most servers.
                messages.append((TEXT, unmask(data[6:], data[2:6]).decode()))
            elif self._buffer:
                # A bytearray grows in place: a frame in many pieces is not copied for each of them.
                self._buffer += data
                if len(data) < self._missing:
                    self._missing -= len(data)
                else:
                    whole, self._buffer, self._missing = self._buffer, b"", 0
                    self._cut(whole, messages)
            elif not self.closed and self.error is None:
                self._cut(data, messages)
        except ProtocolError as error:
            self._fail(error)
        except UnicodeDecodeError:
            self._fail(TextError("a text message is not UTF-8"))
        return messages

    def _fail(self, error: ProtocolError) -> None:
        # Kept for the life of the connection: without what the traceback holds on to.
        self.error = error.without_frames()
        self._message = None

    def _cut(self, data: bytes | bytearray, messages: list[tuple[int, str | bytes]]) -> None:
        """Append the whole frames to ``messages`` and keep the rest; raises ProtocolError and UnicodeDecodeError."""
        at = 0
        size = len(data)
        message = self._message
        while size - at > 1:
            first = data[at]
            length = data[at + 1] - 0x80
            if first != _FINAL_TEXT or length < 0 or message is not None:
                _check_start(first, length, message, self._max_fragments)
            start = at + 6
            if length > 125:
                start += 2 if length == 126 else 8
                if size < start - 4:
                    break
                length = _long_length(data[at + 2 : start - 4])
            if first < _FIRST_CONTROL:
                held = 0 if message is None else len(message.data)
                if held + length > self._max_message_size:
                    raise PayloadTooLarge(
                        f"a message of {held + length} bytes, over socketio.max_message_size = {self._max_message_size}"
                    )
            end = start + length
            if end > size:
                self._missing = end - size
                break
            payload = unmask(data[start:end], data[start - 4 : start])
            at = end
            if first == _FINAL_TEXT:
                messages.append((TEXT, payload.decode()))
            elif first == _FINAL_BINARY:
                messages.append((BINARY, payload))
            elif first < _FIRST_CONTROL:
                if message is None:
                    message = self._message = _Message(first)
                message.add(payload, final=first >= _FIN)
                if first >= _FIN:
                    messages.append((message.opcode, message.content()))
                    message = self._message = None
            elif first == _FIN | CLOSE:
                parse_close(payload)
                messages.append((CLOSE, payload))
                self.closed = True
                self._message = None
                return
            else:
                messages.append((first - _FIN, payload))
        if at < size:
            self._buffer = bytearray(data[at:]) if self._missing else data[at:]


# The opening handshake


class HandshakeRefused(HTTPError):
    """The request cannot become a WebSocket; to be answered with ``status`` and these further ``headers``."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(status, message)
        self.headers = headers


#: Section 1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: 16 bytes in base64. The reference server (ws) looks at no more than this either.
_KEY: Final = re.compile("[A-Za-z0-9+/]{22}==")
_VERSIONS: Final = ("13", "8", "7")


def accept_key(key: str) -> str:
    """The value of ``Sec-WebSocket-Accept`` for an ASCII ``Sec-WebSocket-Key``, section 4.2.2, step 5.4."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def _has_token(value: str, token: str) -> bool:
    return token in [part.strip(" \t") for part in value.lower().split(",")]


def check_handshake(method: str, http_version: str, headers: Mapping[str, str]) -> str:
    """Judge the client's opening handshake, section 4.2.1; origin and path are the caller's to judge.

    Args:
        http_version: ``"HTTP/1.1"``.
        headers: lower-case name to value; the values of a repeated header joined by ``", "``.

    Returns:
        The value of ``Sec-WebSocket-Accept``.

    Raises:
        HandshakeRefused: 405 for another method than GET, 426 for a version that is not spoken here, 400 for the rest.
    """
    if method != "GET":
        raise HandshakeRefused(405, "a WebSocket handshake must be a GET", (("Allow", "GET"),))
    if http_version != "HTTP/1.1":
        raise HandshakeRefused(400, "a WebSocket handshake needs HTTP/1.1")
    if not _has_token(headers.get("upgrade", ""), "websocket"):
        raise HandshakeRefused(400, "the Upgrade header does not say websocket")
    if not _has_token(headers.get("connection", ""), "upgrade"):
        raise HandshakeRefused(400, "the Connection header does not say Upgrade")
    # Before the version: the drafts before version 4 (hixie-76) had neither, and no version can be offered to them.
    key = headers.get("sec-websocket-key", "")
    if not _KEY.fullmatch(key):
        raise HandshakeRefused(400, "bad or missing Sec-WebSocket-Key")
    if headers.get("sec-websocket-version") not in _VERSIONS:
        # Section 4.4: "an appropriate HTTP error code (such as 426 Upgrade Required)", and the versions understood.
        raise HandshakeRefused(426, "unknown WebSocket version", (("Sec-WebSocket-Version", ", ".join(_VERSIONS)),))
    return accept_key(key)
