"""The answer to a GET that never ends, for browsers without WebSocket: a document that grows by what is sent.

What the client sends comes by POST on other connections.
"""

from __future__ import annotations

from typing import Any, Final

from ..errors import PacketError
from ..evented.wire import Wire
from ..protocol.streams import Framing, encode_chunk
from ..settings import Settings
from .base import SessionCallbacks
from .connected import ConnectedTransport

__all__ = ["StreamTransport"]

#: RFC 9112, section 7.1: the chunk that ends a body.
_LAST_CHUNK: Final = b"0\r\n\r\n"


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
            begin = encode_chunk(begin)
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
