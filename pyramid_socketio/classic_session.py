"""The session of a client 0.5 to 0.9, which changes its transport as it likes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from .errors import CloseReason, ProtocolError
from .evented.wire import Wire
from .protocol.lifecycle import CLOSED, CLOSING, Heartbeat
from .protocol.packets import CLOSE, MESSAGE, PONG, EnginePacket
from .session import BaseSession
from .transports.base import Exchange, Transport
from .transports.classic_polling import ClassicPollingTransport
from .transports.polling import Headers

__all__ = ["ClassicSession"]

log = logging.getLogger(__name__)

#: Seconds from the handshake of 0.7 to 0.9 to the first transport ("not followed by a transport within 30 s").
_HANDSHAKE_TIMEOUT: Final = 30.0

#: Seconds for which a client may stay away that has closed the connection of its poll. Those that come again with the
#: same session do so at once; the others are gone, and most of them do not say so.
_RETRY_TIMEOUT: Final = 2.0

#: Seconds after a POST in which the next one may follow.
_LAST_WORDS: Final = 1.0

#: Ends that the client is told in a packet, after which it does not come back; after others it does.
_TOLD: Final = frozenset({CloseReason.SERVER, CloseReason.PING_TIMEOUT, CloseReason.CONNECT_TIMEOUT})


class _Connected(Transport, Protocol):
    """A transport that keeps a connection to itself."""

    wire: Wire


class ClassicSession(BaseSession):
    """A session whose transport is that of the client's newest request.

    There are no upgrades: what waits for the client goes over to each new transport. POSTs come beside a stream, so
    that the polling transport lasts as long as the session. Heartbeats are for transports that keep a connection; a
    client that polls is gone when it does not come again.
    """

    __slots__ = ("_awaited", "_beats", "_begun", "_heartbeat", "_polling")

    transport: Any

    def _set_up(self) -> None:
        self._polling = ClassicPollingTransport(self.revision, self.settings, self)
        self.transport = self._polling
        self._heartbeat: Heartbeat | None = None
        #: How many heartbeats went out, and the data of the answer to the last one.
        self._beats = 0
        self._awaited = ""
        self._begun = False
        self._timer = self._schedule(_HANDSHAKE_TIMEOUT, self._never_came)

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        self._timer.cancel()
        self._timer = self._schedule(delay, callback)

    def _never_came(self) -> None:
        log.info("session %s: no transport within %g s", self.sid[:6], _HANDSHAKE_TIMEOUT)
        self._finish(CloseReason.TRANSPORT_CLOSE)

    def open_packet(self) -> bytes:
        """The packet that tells the client about the session, where there was no handshake."""
        settings = self.settings
        packet: bytes = self.revision.engine.encode_open(
            self.sid, [], settings.ping_interval, settings.ping_timeout, settings.max_message_size
        )
        return packet

    def open_by_poll(
        self, exchange: Exchange, headers: Headers, name: str, callback: str | None
    ) -> tuple[Headers, bytes]:
        """Headers and body of the answer to the first poll; the next one is awaited."""
        answer = self._polling.answer_first(exchange, headers, name, callback, self.open_packet())
        self.poll_ended()
        self.begin()
        return answer

    def never_opened(self) -> None:
        """The client was gone before its WebSocket was open. One of 0.7 to 0.9 may try another transport."""
        if not self._begun and self.revision.engine.OPENS_WITH_PACKET:
            self._finish(CloseReason.TRANSPORT_ERROR)

    def begin(self) -> None:
        """The client has a transport: it can be sent packets."""
        if not self._begun:
            self._begun = True
            self.opened()

    # Requests

    def poll(self, exchange: Exchange, headers: Headers, name: str, callback: str | None) -> None:
        """A GET of xhr-polling or jsonp-polling; see :meth:`ClassicPollingTransport.poll`."""
        polling = self._polling
        if self.state is CLOSING:
            polling.last_words(exchange, headers, callback)
            self._finish(CloseReason.TRANSPORT_CLOSE)
            return
        if self.transport is not polling:
            previous, self.transport = self.transport, polling
            previous.close(1000)
        polling.poll(exchange, headers, name, callback)
        self.begin()

    def poll_began(self) -> None:
        duration = min(self.revision.engine.POLL_DURATION, self.settings.ping_interval)
        self._set_timer(duration, self._polling.answer_noop)

    def poll_ended(self) -> None:
        if self.connected and self.transport is self._polling:
            self._set_timer(self.revision.engine.CLOSE_TIMEOUT, self._stayed_away)

    def poll_broken(self) -> None:
        if self.connected and self.transport is self._polling:
            self._set_timer(_RETRY_TIMEOUT, self._left)

    def later(self, delay: float, callback: Callable[[], None]) -> None:
        self._schedule(delay, callback)

    def _left(self) -> None:
        polling = self._polling
        if polling.receiving or monotonic() - polling.posted < _LAST_WORDS:
            self.poll_ended()  # it may have more to say
        else:
            self._stayed_away()

    def _stayed_away(self) -> None:
        log.info("session %s: no further poll", self.sid[:6])
        self._finish(CloseReason.TRANSPORT_CLOSE)

    def post(self, exchange: Exchange, headers: Headers, form: bool) -> None:
        """Packets by POST, for any transport; see :meth:`ClassicPollingTransport.post`."""
        self._polling.post(exchange, headers, form)

    def attach(self, transport: _Connected) -> None:
        """The client has opened a WebSocket or a stream."""
        if self.state is CLOSED:  # while the client was at it
            transport.close(1000)
            return
        previous, self.transport = self.transport, transport
        if previous is not self._polling:
            previous.close(1000)
        queue = self._polling.take_over()
        if transport.wire.closed:
            # It has told its earlier owner, and tells nobody again.
            self._finish(CloseReason.TRANSPORT_ERROR)
            return
        if self._polling.paused:
            transport.pause()
        if self.connected:
            self._start_heartbeat()
        if not self._begun and self.revision.engine.OPENS_WITH_PACKET:
            transport.send_packet(self.open_packet())
        for item in queue:
            if isinstance(item, bytes):
                transport.send_packet(item)
            else:
                transport.send(item)
        if self.connected:
            self.begin()
        else:  # those were its last words
            self._finish(CloseReason.TRANSPORT_CLOSE)

    # Heartbeat

    def _start_heartbeat(self) -> None:
        now = monotonic()
        engine, settings = self.revision.engine, self.settings
        self._heartbeat = Heartbeat(
            min(engine.HEARTBEAT_INTERVAL, settings.ping_interval),
            min(engine.HEARTBEAT_TIMEOUT, settings.ping_timeout),
            now,
        )
        self._set_timer(self._heartbeat.next_deadline() - now, self._beat)

    def _beat(self) -> None:
        heartbeat = self._heartbeat
        assert heartbeat is not None
        now = monotonic()
        action = heartbeat.on_deadline(now, self.transport.paused)
        if action == "ping":
            self._beats += 1
            packet, self._awaited = self.revision.engine.encode_ping(self._beats)
            self.transport.send_packet(packet)
            if not self.connected:
                return
        elif action == "timeout":
            log.info("session %s: ping timeout", self.sid[:6])
            self._end(CloseReason.PING_TIMEOUT, 1011)
            return
        self._timer = self._schedule(max(heartbeat.next_deadline() - now, 0.001), self._beat)

    def _heard_beat(self) -> None:
        heartbeat = self._heartbeat
        if heartbeat is not None:
            now = monotonic()
            heartbeat.on_pong(now)
            if heartbeat.interval < heartbeat.timeout and self.transport is not self._polling:
                # The timer stands at the end of the time-out, and the next heartbeat is due before.
                self._set_timer(heartbeat.next_deadline() - now, self._beat)

    # What the transports tell

    def received(self, transport: Any, packets: Sequence[EnginePacket]) -> ProtocolError | None:
        if (transport is not self.transport and transport is not self._polling) or not self.connected:
            return None
        messages: list[str | bytes] = []
        closed = False
        for type, data in packets:
            if type == MESSAGE:
                messages.append(data)
            elif type == PONG:
                if data == self._awaited:
                    self._heard_beat()
            elif type == CLOSE:
                closed = True
                break
        error = None
        if messages:
            if self._heartbeat is not None:
                self._heartbeat.heard = True
            error = self.listener.messages(messages)
        if error is None and closed and self.connected:
            self.transport.client_closed()
            self._end(CloseReason.CLIENT, 1000)
        return error

    def failed(self, transport: Any, error: ProtocolError) -> None:
        if transport is self.transport or transport is self._polling:
            self._fail(error)

    def gone(self, transport: Any, reason: str) -> None:
        if transport is self.transport or transport is self._polling:
            self._finish(reason)

    # Flow control: what a stream's client sends comes by POST

    def pause(self) -> None:
        self.transport.pause()
        self._polling.pause()

    def resume(self) -> None:
        self.transport.resume()
        self._polling.resume()

    # The end

    def _end(self, reason: str, code: int) -> None:
        if self.connected and reason in _TOLD:
            farewell = self.revision.engine.encode_packet(CLOSE)
            if farewell:
                self.transport.send_packet(farewell)
        super()._end(reason, code)

    def end_by_client(self) -> None:
        """The client's page goes away and says so in a request of its own."""
        if self.connected:
            self.transport.client_closed()
            self._end(CloseReason.CLIENT, 1000)

    def _finish(self, reason: str) -> None:
        polling, transport = self._polling, self.transport
        super()._finish(reason)
        if transport is not polling:
            transport.close(1000)  # unless that was how it ended
        polling.end()
