"""The answer to a GET that never ends, for browsers without WebSocket: a document that grows by what is sent.

What the client sends comes by POST on other connections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ..errors import PacketError
from ..evented.wire import Wire
from ..protocol import payload_v0, payload_v1
from ..settings import Settings
from .base import SessionCallbacks
from .connected import ConnectedTransport

__all__ = ["FRAMINGS", "HTMLFILE_V0", "HTMLFILE_V1", "MULTIPART_V0", "Framing", "StreamTransport"]

#: RFC 9112, section 7.1: the chunk that ends a body.
_LAST_CHUNK: Final = b"0\r\n\r\n"

Encode = Callable[[list[bytes]], bytes]


class Framing(NamedTuple):
    """How packets become parts of a document.

    Attributes:
        name: of the transport, as in the URL.
        begin: what the document begins with.
        encode: packets to parts. Always the same function: a message is encoded once for all clients of a framing.
        encode_chunk: the same, as one chunk of HTTP; ``None`` where the end of the connection ends the document.
    """

    name: str
    content_type: str
    begin: bytes
    encode: Encode
    encode_chunk: Encode | None = None

    def headers(self, http_version: str) -> list[tuple[str, str]]:
        """Headers of the answer to a request of this version."""
        if http_version == "HTTP/1.0":
            return [("Content-Type", self.content_type), _NO_STORE, ("Connection", "close")]
        headers = [("Content-Type", self.content_type), _NO_STORE, ("Connection", "keep-alive")]
        if self.encode_chunk is not None:
            headers.append(("Transfer-Encoding", "chunked"))
        return headers


_NO_STORE: Final = ("Cache-Control", "no-store")


def _chunk(data: bytes) -> bytes:
    """RFC 9112, section 7.1; ``data`` is not empty, which would be the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _encode_htmlfile_v1(packets: list[bytes]) -> bytes:
    return _chunk(payload_v1.encode_htmlfile(packets))


def _encode_htmlfile_v0(packets: list[bytes]) -> bytes:
    return _chunk(payload_v0.encode_htmlfile(packets))


#: Clients 0.7 to 0.9 in Internet Explorer: a script element for each packet.
HTMLFILE_V1: Final = Framing(
    "htmlfile",
    "text/html; charset=UTF-8",
    payload_v1.HTMLFILE_HEAD,
    payload_v1.encode_htmlfile,
    _encode_htmlfile_v1,
)

#: The same of clients 0.5 and 0.6.
HTMLFILE_V0: Final = Framing(
    "htmlfile",
    "text/html; charset=UTF-8",
    payload_v0.HTMLFILE_HEAD,
    payload_v0.encode_htmlfile,
    _encode_htmlfile_v0,
)

#: Clients 0.5 and 0.6 in Firefox: the document is replaced by each packet.
MULTIPART_V0: Final = Framing(
    "xhr-multipart",
    'multipart/x-mixed-replace;boundary="socketio"',
    payload_v0.MULTIPART_HEAD,
    payload_v0.encode_multipart,
)


#: By codec and name of the transport.
FRAMINGS: Final[dict[tuple[Any, str], Framing]] = {
    (payload_v1, "htmlfile"): HTMLFILE_V1,
    (payload_v0, "htmlfile"): HTMLFILE_V0,
    (payload_v0, "xhr-multipart"): MULTIPART_V0,
}


class StreamTransport(ConnectedTransport):
    """The sending side of a session whose client reads an endless document.

    Args:
        wire: of the connection; from now on the transport's.
        http_version: of the request.
        head: of the answer, with the headers of the framing; goes out together with the first packets.
        early: bytes that the client sent behind its request.
    """

    __slots__ = ("_encode", "_end", "name")

    def __init__(
        self,
        wire: Wire,
        framing: Framing,
        settings: Settings,
        session: SessionCallbacks,
        http_version: str,
        head: bytes,
        early: bytes = b"",
    ) -> None:
        super().__init__(wire, settings, session, early)
        self.name = framing.name
        begin = framing.begin
        if framing.encode_chunk is None or http_version == "HTTP/1.0":
            self._encode = framing.encode
            self._end = b""
        else:
            self._encode = framing.encode_chunk
            self._end = _LAST_CHUNK
            begin = _chunk(begin)
        self.cork()
        self._send(head + begin)

    # Sending

    def send(self, message: Any) -> None:
        """Send a message, which has ``form(encode)``: what its packets look like in this framing."""
        self._send(message.form(self._encode))

    def send_packet(self, packet: bytes) -> None:
        self._send(self._encode([packet]))

    # Receiving

    def _receive(self, data: bytes) -> None:
        if not self._closed:
            # Requests in advance would never be answered.
            self._session.failed(self, PacketError("data behind the request of a stream"))

    # Flow control: it is the answers to POSTs that are held back. The wire is read on, for its end.

    @property
    def paused(self) -> bool:
        return self._stopped

    def pause(self) -> None:
        self._stopped = True

    def resume(self) -> None:
        self._stopped = False

    # The end

    def _last_words(self, code: int | None) -> bytes:
        return self._end
