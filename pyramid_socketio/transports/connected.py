"""What transports have in common that keep a connection to themselves: what is sent goes straight out on its wire."""

from __future__ import annotations

from typing import Final

from ..errors import CloseReason
from ..evented.wire import Wire
from ..settings import Settings
from .base import SessionCallbacks

__all__ = ["BUDGET", "CORKED_SIZE", "ConnectedTransport"]

#: Messages handled, or gathered to be sent, before others get their turn. A read of 64 KiB may hold ten thousand.
BUDGET: Final = 64

#: A message above this goes out at once.
CORKED_SIZE: Final = 16_384


class ConnectedTransport:
    """The half of a :class:`~pyramid_socketio.transports.base.Transport` that the wire decides about.

    A subclass receives in ``_receive`` and says in ``_last_words`` how its framing says goodbye.

    Args:
        wire: of the connection; from now on the transport's.
        early: bytes that the client sent behind its request; handled at the next turn of the loop.
    """

    __slots__ = ("_closed", "_corked", "_session", "_stopped", "wire")

    reachable = True

    def __init__(self, wire: Wire, settings: Settings, session: SessionCallbacks, early: bytes = b"") -> None:
        self.wire = wire
        self._session = session
        self._closed = False
        self._stopped = False
        self._corked: list[bytes] | None = None
        if wire.closed:  # it tells nobody, and would hold what is told
            return
        wire.receive = self._receive
        wire.lost = self._lost
        wire.max_outbox_bytes = settings.max_queue_bytes
        wire.write_timeout = settings.write_timeout
        wire.resume()
        if early:
            wire.defer(self._receive, early)

    # Sending

    @property
    def direct_wire(self) -> Wire | None:
        return None

    @property
    def writable(self) -> bool:
        return not self.wire.outbox_bytes

    def _send(self, frames: bytes) -> None:
        corked = self._corked
        if corked is None:
            self.wire.send(frames)
        else:
            corked.append(frames)
            # More in one go saves nothing, and what is corked is not counted as waiting for the client.
            if len(corked) == BUDGET or len(frames) > CORKED_SIZE:
                self.uncork()

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
        """Bytes of the client, none of them empty; see :class:`~pyramid_socketio.evented.wire.Wire`."""
        raise NotImplementedError

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
            self.wire.close(last_words=self._last_words(1008))
        self._session.gone(self, reason)

    # The end

    def _last_words(self, code: int | None) -> bytes:
        """The end of what is sent, for a WebSocket close code or for none."""
        raise NotImplementedError

    def client_closed(self) -> None:
        """Nobody waits for an answer."""

    def close(self, code: int) -> None:
        if not self._closed:
            self._close(code)

    def _close(self, code: int | None) -> None:
        self._closed = True
        self.uncork()
        self.wire.close(last_words=self._last_words(code))

    def abort(self) -> None:
        self._closed = True
        self.wire.abort()
