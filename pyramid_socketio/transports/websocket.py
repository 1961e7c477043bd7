"""The WebSocket transport: one frame is one packet."""

from __future__ import annotations

from typing import Protocol

from ..errors import CloseReason, PacketError, ProtocolError
from ..evented.wire import Wire
from ..protocol.packets import EnginePacket
from ..protocol.revisions import Revision
from ..protocol.websocket import BINARY, CLOSE, PING, PONG, TEXT, FrameParser, encode_close, encode_frame, parse_close
from ..settings import Settings
from .base import Outgoing, SessionCallbacks
from .connected import BUDGET, ConnectedTransport

__all__ = ["Parser", "WebSocketTransport"]


class Parser(Protocol):
    """What cuts the bytes of a client into frames: :class:`~pyramid_socketio.protocol.websocket.FrameParser`."""

    error: ProtocolError | None

    def feed(self, data: bytes) -> list[tuple[int, str | bytes]]: ...


class WebSocketTransport(ConnectedTransport):
    """An open WebSocket, from the answer to the handshake on.

    Args:
        wire: of the connection; from now on the transport's.
        early: bytes that the client sent behind its handshake; handled at the next turn of the loop.
        parser: for other frames than those of RFC 6455, or for frames with more in them than one packet.
    """

    __slots__ = ("_backlog", "_decode", "_parser")

    name = "websocket"

    def __init__(
        self,
        wire: Wire,
        revision: Revision,
        settings: Settings,
        session: SessionCallbacks,
        early: bytes = b"",
        parser: Parser | None = None,
    ) -> None:
        super().__init__(wire, settings, session, early)
        self._decode = revision.engine.decode_packet
        self._parser = parser or FrameParser(settings.max_message_size, settings.max_fragments)
        self._backlog: list[tuple[int, str | bytes]] | None = None

    @property
    def direct_wire(self) -> Wire | None:
        return self.wire if self._corked is None else None

    def send(self, message: Outgoing) -> None:
        self._send(message.frames)

    def send_packet(self, packet: bytes) -> None:
        self.uncork()
        self.wire.send(encode_frame(TEXT, packet))

    # Receiving

    def _receive(self, data: bytes) -> None:
        if self._closed:
            return
        frames = self._parser.feed(data)
        if self._backlog is not None:
            self._backlog += frames
        elif len(frames) > BUDGET:
            self._backlog = frames
            self.wire.pause()
            self._next_turn()
        else:
            self._handle(frames)
            if self._parser.error is not None:
                self._fail(self._parser.error)

    def _next_turn(self) -> None:
        """Handle a part of the backlog, and the rest after everybody else had their turn."""
        backlog = self._backlog
        if self._closed or backlog is None:
            return
        self._handle(backlog[:BUDGET])
        del backlog[:BUDGET]
        if self._closed:
            return
        if backlog:
            self.wire.defer(self._next_turn)
            return
        self._backlog = None
        if self._parser.error is not None:
            self._fail(self._parser.error)
        elif not self._stopped:
            self.wire.resume()

    def _handle(self, frames: list[tuple[int, str | bytes]]) -> None:
        packets: list[EnginePacket] = []
        decode = self._decode
        error: ProtocolError | None = None
        ping: bytes | None = None
        close: bytes | None = None
        for opcode, payload in frames:
            if opcode <= BINARY:
                try:
                    packets.append(decode(payload))
                except PacketError as bad:
                    error = bad.without_frames()
                    break
            elif opcode == PING:
                ping = payload  # type: ignore[assignment]
            elif opcode == CLOSE:
                close = payload  # type: ignore[assignment]
        if packets:
            error = self._session.received(self, packets) or error
        if self._closed:
            return
        if ping is not None and not self.wire.outbox_bytes:
            # RFC 6455, 5.5.3: of several pings the last one may be answered alone; to a client that does not read, none
            # needs to be. So a flood of pings fills nothing.
            self.wire.send(encode_frame(PONG, ping))
        if error is not None:
            self._fail(error)
        elif close is not None:
            self._close(parse_close(close)[0])
            self._session.gone(self, CloseReason.TRANSPORT_CLOSE)

    def _fail(self, error: ProtocolError) -> None:
        if not self._closed:
            self._session.failed(self, error)

    # Flow control. A backlog pauses the wire too, so what the session wants is kept apart.

    @property
    def paused(self) -> bool:
        return self._stopped

    def pause(self) -> None:
        self._stopped = True
        self.wire.pause()

    def resume(self) -> None:
        self._stopped = False
        if self._backlog is None:
            self.wire.resume()

    # The end

    def _last_words(self, code: int | None) -> bytes:
        return encode_close(code)
