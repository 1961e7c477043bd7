"""WebSockets of the clients 0.5 to 0.9: a frame may hold several packets."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ProtocolError
from ..evented.wire import Wire
from ..protocol.revisions import Revision
from ..protocol.websocket import TEXT, FrameParser
from ..settings import Settings
from .base import SessionCallbacks
from .websocket import Parser, WebSocketTransport

__all__ = ["ClassicWebSocketTransport", "PacketParser"]


class PacketParser:
    """Cuts what a client sends into frames, and the text in them into packets, which look as if each had its frame.

    Args:
        frames: cuts the frames.
        split: ``revision.engine.split``.
        max_packets: in one message.
    """

    __slots__ = ("_frames", "_max_packets", "_split", "error")

    def __init__(self, frames: Parser, split: Callable[[str, int], list[str]], max_packets: int) -> None:
        self._frames = frames
        self._split = split
        self._max_packets = max_packets
        #: What was wrong behind the last good packet; whatever follows it is ignored.
        self.error: ProtocolError | None = None

    def feed(self, data: bytes) -> list[tuple[int, str | bytes]]:
        """Take what the socket gave; see :meth:`~pyramid_socketio.protocol.websocket.FrameParser.feed`."""
        packets: list[tuple[int, str | bytes]] = []
        if self.error is not None:
            return packets
        for opcode, payload in self._frames.feed(data):
            if isinstance(payload, str):
                try:
                    for packet in self._split(payload, self._max_packets):
                        packets.append((TEXT, packet))
                except ProtocolError as error:
                    # Kept for the life of the connection: without what the traceback holds on to.
                    self.error = error.without_frames()
                    return packets
            else:
                packets.append((opcode, payload))
        self.error = self._frames.error
        return packets


class ClassicWebSocketTransport(WebSocketTransport):
    """A WebSocket with the frames of RFC 6455.

    Args:
        name: of the transport, as in the URL: ``websocket``, or ``flashsocket`` where Flash makes the WebSocket.
    """

    __slots__ = ("name",)

    def __init__(
        self,
        wire: Wire,
        name: str,
        revision: Revision,
        settings: Settings,
        session: SessionCallbacks,
        early: bytes = b"",
        frames: Parser | None = None,
    ) -> None:
        frames = frames or FrameParser(settings.max_message_size, settings.max_fragments)
        parser = PacketParser(frames, revision.engine.split, settings.max_payload_packets)
        super().__init__(wire, revision, settings, session, early, parser)
        self.name = name
