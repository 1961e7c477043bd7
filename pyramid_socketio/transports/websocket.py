"""The WebSocket transport: one frame is one packet."""

from __future__ import annotations

from typing import Final

from ..errors import CloseReason, PacketError, ProtocolError
from ..evented.wire import Wire
from ..protocol.packets import EnginePacket
from ..protocol.revisions import Revision
from ..protocol.websocket import BINARY, CLOSE, PING, PONG, TEXT, FrameParser, encode_close, encode_frame, parse_close
from ..settings import Settings
from .base import Outgoing, SessionCallbacks

__all__ = ["WebSocketTransport"]

#: Messages handled before the other connections get their turn. A read of 64 KiB may hold ten thousand.
BUDGET: Final = 64

#: A message above this goes out at once.
_CORKED_SIZE: Final = 16_384


class WebSocketTransport:
    """An open WebSocket, from the answer to the handshake on.

    Args:
        wire: of the connection; from now on the transport's.
        early: bytes that the client sent behind its handshake; handled at the next turn of the loop.
    """

    __slots__ = ("_backlog", "_closed", "_corked", "_decode", "_parser", "_session", "_stopped", "wire")

    name = "websocket"

    def __init__(
        self, wire: Wire, revision: Revision, settings: Settings, session: SessionCallbacks, early: bytes = b""
    ) -> None:
        self.wire = wire
        self._session = session
        self._decode = revision.engine.decode_packet
        self._parser = FrameParser(settings.max_message_size, settings.max_fragments)
        self._backlog: list[tuple[int, str | bytes]] | None = None
        self._closed = False
        self._stopped = False
        self._corked: list[bytes] | None = None
        wire.receive = self._receive
        wire.lost = self._lost
        wire.max_outbox_bytes = settings.max_queue_bytes
        wire.write_timeout = settings.write_timeout
        wire.resume()
        if early:
            wire.defer(self._receive, early)

    def send(self, message: Outgoing) -> None:
        frames = message.frames
        corked = self._corked
        if corked is None:
            self.wire.send(frames)
        else:
            corked.append(frames)
            # More in one go saves nothing, and what is corked is not counted as waiting for the client.
            if len(corked) == BUDGET or len(frames) > _CORKED_SIZE:
                self.uncork()

    def send_packet(self, packet: bytes) -> None:
        self.uncork()
        self.wire.send(encode_frame(TEXT, packet))

    def cork(self) -> None:
        if self._corked is None:
            self._corked = []
            # Should the handler block, what it has sent goes out at the next turn of the loop.
            self.wire.defer(self.uncork)

    def uncork(self) -> None:
        corked, self._corked = self._corked, None
        if corked:
            self.wire.send(b"".join(corked))

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
        error: PacketError | None = None
        ping: bytes | None = None
        close: bytes | None = None
        for opcode, payload in frames:
            if opcode <= BINARY:
                try:
                    packets.append(decode(payload))
                except PacketError as bad:
                    error = bad
                    break
            elif opcode == PING:
                ping = payload  # type: ignore[assignment]
            elif opcode == CLOSE:
                close = payload  # type: ignore[assignment]
        if packets:
            self._session.received(self, packets)
        if self._closed:
            return
        if ping is not None and not self.wire.outbox_bytes:
            # RFC 6455, 5.5.3: of several pings the last one may be answered alone; to a client that does not read, none
            # needs to be. So a flood of pings fills nothing.
            self.wire.send(encode_frame(PONG, ping))
        if error is not None:
            self._fail(error)
        elif close is not None:
            code = parse_close(close)[0]
            self._end(encode_close(code), CloseReason.TRANSPORT_CLOSE)

    def _fail(self, error: ProtocolError) -> None:
        if not self._closed:
            self._session.failed(self, error)

    def _lost(self, error: BaseException | None) -> None:
        if isinstance(error, BufferError):
            reason = CloseReason.SLOW_CONSUMER
        elif error is None:
            reason = CloseReason.TRANSPORT_CLOSE
        else:
            reason = CloseReason.TRANSPORT_ERROR
        self._closed = True
        # A client that reads again within `write_timeout` finds out why; otherwise the wire resets it.
        if reason == CloseReason.SLOW_CONSUMER and not self.wire.closed:
            self.wire.close(last_words=encode_close(1008))
        self._session.gone(self, reason)

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

    def close(self, code: int) -> None:
        if not self._closed:
            self._close(encode_close(code))

    def _close(self, frame: bytes) -> None:
        self._closed = True
        self.uncork()
        self.wire.close(last_words=frame)

    def _end(self, frame: bytes, reason: str) -> None:
        self._close(frame)
        self._session.gone(self, reason)

    def abort(self) -> None:
        self._closed = True
        self.wire.abort()
