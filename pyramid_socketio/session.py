"""One Engine.IO session: its current transport, its heartbeat, its change from polling to WebSocket, its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from .errors import CloseReason, PacketError, ProtocolError
from .evented.timers import Timer, Timers
from .evented.wire import Wire
from .protocol.lifecycle import CLOSED, CLOSING, OPEN, UPGRADING, ClientHeartbeat, Heartbeat, transition
from .protocol.packets import CLOSE, MESSAGE, PING, PONG, UPGRADE, EnginePacket
from .protocol.revisions import Revision
from .settings import Settings
from .transports.base import CLOSED_TRANSPORT, Exchange, Transport
from .transports.polling import Headers, PollingTransport
from .transports.websocket import WebSocketTransport

__all__ = ["BaseSession", "Session", "SessionListener"]

log = logging.getLogger(__name__)

#: While a WebSocket is being probed, a waiting poll is answered this often: "a single noop can be lost".
_NOOP_INTERVAL: Final = 0.1

#: A polling client fetches the close packet with its next GET; it has this long for it (the reference's time).
_LINGER: Final = 30.0


class SessionListener(Protocol):
    """Who is told what a session receives. Called in the hub; must not block and must not raise."""

    def opened(self) -> None:
        """The client has been told of the session; called once, before anything else."""

    def messages(self, messages: list[str | bytes]) -> ProtocolError | None:
        """Messages in order, text as ``str``. An error that is returned ends the session."""

    def closed(self, reason: str) -> None:
        """The session is over; called once."""


class BaseSession:
    """What the sessions of all revisions have in common: an identity, timers, flow control, and one end.

    To send, give ``transport.send`` a message; that never blocks, and does nothing when the session is over.

    Args:
        sid: known to the server and this client alone.
        environ: what is kept of the WSGI environ of the handshake.
        forget: called once when no request can belong to the session any more.
    """

    __slots__ = (
        "_forget",
        "_timer",
        "environ",
        "listener",
        "revision",
        "settings",
        "sid",
        "state",
        "timers",
        "transport",
    )

    listener: SessionListener
    transport: Transport
    #: The next thing to happen: a heartbeat, or the end.
    _timer: Timer

    def __init__(
        self,
        sid: str,
        revision: Revision,
        settings: Settings,
        timers: Timers,
        environ: dict[str, Any],
        forget: Callable[[BaseSession], None],
    ) -> None:
        self.sid = sid
        self.revision = revision
        self.settings = settings
        self.timers = timers
        self.environ = environ
        self._forget = forget
        self.state = OPEN
        self._set_up()

    def _set_up(self) -> None:
        """Set up what only this kind of session has, and the first timer."""
        raise NotImplementedError

    @property
    def connected(self) -> bool:
        """Whether packets can be exchanged."""
        return self.state is OPEN or self.state is UPGRADING

    def opened(self) -> None:
        """The client has been told of the session, so that it can be sent more."""
        if self.connected:
            self.listener.opened()

    # Flow control

    def pause(self) -> None:
        """Take nothing more from the client, which is not taken for dead meanwhile."""
        self.transport.pause()

    def resume(self) -> None:
        self.transport.resume()

    # Timers

    def _schedule(self, delay: float, callback: Callable[[], None]) -> Timer:
        """A timer of this session: an error in its callback ends the session, which nothing else might do."""
        return self.timers.schedule(delay, partial(self._run_timer, callback))

    def _run_timer(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("session %s: unexpected error in a timer", self.sid[:6])
            try:
                self.transport.abort()
            finally:
                self._finish(CloseReason.TRANSPORT_ERROR)

    # What the transport tells

    def received(self, transport: Transport, packets: Sequence[EnginePacket]) -> ProtocolError | None:
        raise NotImplementedError

    def failed(self, transport: Transport, error: ProtocolError) -> None:
        if transport is self.transport:
            self._fail(error)

    def _fail(self, error: ProtocolError) -> None:
        """End the session at once for what the client did.

        A client that can be told is told. One that polls, and has no GET waiting, is told by the answer to its POST, so
        that nothing is kept for a further GET.
        """
        error = error.without_frames()  # records of the log may keep it
        if not self.connected:
            return
        log.info("session %s: %s", self.sid[:6], error)
        if self.transport.reachable:
            self._end(error.reason, error.close_code)
        else:
            self.transport.abort()
            self._finish(error.reason)

    def gone(self, transport: Transport, reason: str) -> None:
        if transport is self.transport:
            self._finish(reason)

    # The end

    def close(self, reason: str, code: int = 1000) -> None:
        """End the session: what was sent goes out, then the client is told."""
        self._end(reason, code)

    def _end(self, reason: str, code: int) -> None:
        if not self.connected:
            return
        transport = self.transport
        if not transport.reachable and reason != CloseReason.CLIENT:
            self.state = CLOSING
            self._timer.cancel()
            self._timer = self._schedule(_LINGER, self._lingered)
            transport.resume()
            self.listener.closed(reason)
            return
        transport.close(code)
        self._finish(reason)

    def _lingered(self) -> None:
        self.transport.abort()
        self._finish(CloseReason.TRANSPORT_CLOSE)

    def _finish(self, reason: str) -> None:
        state, self.state = self.state, CLOSED
        if state is CLOSED:
            return
        if reason == CloseReason.SLOW_CONSUMER:
            settings = self.settings
            log.info(
                "session %s: slow consumer: more than socketio.max_queue_bytes = %d waited for it, or took longer than"
                " socketio.write_timeout = %g, or it polls and more than socketio.max_queue_packets = %d did",
                *(self.sid[:6], settings.max_queue_bytes, settings.write_timeout, settings.max_queue_packets),
            )
        self._timer.cancel()
        self.transport = CLOSED_TRANSPORT
        self._forget(self)
        listener = self.listener
        del self.listener  # it holds this session: the circle ends here
        if state is not CLOSING:
            listener.closed(reason)


class Session(BaseSession):
    """An Engine.IO session: its heartbeat, and its change from polling to WebSocket."""

    __slots__ = ("_candidate", "_heartbeat", "_noops", "_upgrade_timer")

    def _set_up(self) -> None:
        now = monotonic()
        settings = self.settings
        heartbeat = ClientHeartbeat if self.revision.client_pings else Heartbeat
        self._heartbeat: Any = heartbeat(settings.ping_interval, settings.ping_timeout, now)
        self._timer = self._schedule(self._heartbeat.next_deadline() - now, self._beat)
        self._candidate: WebSocketTransport | None = None
        self._upgrade_timer: Timer | None = None
        self._noops: Timer | None = None

    def open_packet(self, upgrades: list[str]) -> bytes:
        """The packet that tells the client about the session."""
        settings = self.settings
        packet: bytes = self.revision.engine.encode_open(
            self.sid, upgrades, settings.ping_interval, settings.ping_timeout, settings.max_message_size
        )
        return packet

    # Heartbeat

    def _beat(self) -> None:
        now = monotonic()
        action = self._heartbeat.on_deadline(now, self.transport.paused)
        if action == "ping":
            self.transport.send_packet(self._packet(PING))
            if not self.connected:  # the ping was one packet too many for a slow client
                return
        elif action == "timeout":
            log.info("session %s: ping timeout", self.sid[:6])
            self._end(CloseReason.PING_TIMEOUT, 1011)
            return
        self._timer = self._schedule(max(self._heartbeat.next_deadline() - now, 0.001), self._beat)

    def _packet(self, type: int, data: bytes = b"") -> bytes:
        packet: bytes = self.revision.engine.encode_packet(type, data)
        return packet

    # What the transport tells

    def received(self, transport: Transport, packets: Sequence[EnginePacket]) -> ProtocolError | None:
        if transport is not self.transport:
            if transport is not self._candidate:
                return None
            packets = self._probed(packets)
        if not packets or not self.connected:
            return None
        messages = [data for type, data in packets if type == MESSAGE]
        if len(messages) != len(packets):
            return self._control(packets)
        self._heartbeat.heard = True
        return self.listener.messages(messages)

    def _control(self, packets: Sequence[EnginePacket]) -> ProtocolError | None:
        """Packets that are not all messages."""
        messages: list[str | bytes] = []
        error: ProtocolError | None = None
        pinged = closed = False
        for type, data in packets:
            if type == MESSAGE:
                messages.append(data)
            elif type == PING and not self.revision.client_pings:
                pinged = True
                break
            elif type == PONG or type == PING:
                error = self._heard_beat(type, data)
                if error is not None:
                    break
            elif type == CLOSE:
                closed = True
                break
            # OPEN, UPGRADE and NOOP are ignored, as by the reference.
        if messages and self.connected:
            self._heartbeat.heard = True
            error = self.listener.messages(messages) or error
        if error is not None:
            return error
        if pinged:
            # As recorded with the reference: the session is gone, and the POST is answered like a good one.
            self._fail(PacketError("a ping from the client: in this revision the server pings"))
        elif closed and self.connected:
            self.transport.client_closed()
            self._end(CloseReason.CLIENT, 1000)
        return None

    def _heard_beat(self, type: int, data: str | bytes) -> ProtocolError | None:
        """A ping or a pong of the client, which may be an error."""
        now = monotonic()
        if self.revision.client_pings:
            if type == PONG:
                return PacketError("a pong from the client: in this revision the client pings")
            self._heartbeat.on_ping(now)
            # "The server answers at once, with the same data."
            if isinstance(data, str):
                self.transport.send_packet(self._packet(PONG, data.encode()))
            else:
                self.transport.send(self.revision.engine.BinaryPacket(PONG, data))
            return None
        self._heartbeat.on_pong(now)
        if self.settings.ping_interval < self.settings.ping_timeout:
            # The timer stands at the end of the time-out, and the next ping is due before.
            self._timer.cancel()
            self._timer = self._schedule(self._heartbeat.next_deadline() - now, self._beat)
        return None

    def failed(self, transport: Transport, error: ProtocolError) -> None:
        if transport is self._candidate and transport is not self.transport:
            self._abandon(error.close_code, str(error))
        else:
            super().failed(transport, error)

    def gone(self, transport: Transport, reason: str) -> None:
        if transport is self._candidate and transport is not self.transport:
            self._abandon(1000, reason)
        else:
            super().gone(transport, reason)

    # Requests of a polling session

    def handle_get(self, exchange: Exchange, headers: Headers) -> None:
        """A poll."""
        transport = self.transport
        assert isinstance(transport, PollingTransport)
        if self.state is CLOSING:
            transport.last_words(exchange, headers)
            self._finish(CloseReason.TRANSPORT_CLOSE)
        else:
            transport.handle_get(exchange, headers, noop=self._noops is not None)

    def handle_post(self, exchange: Exchange, headers: Headers, content_type: str) -> None:
        """Packets by POST."""
        transport = self.transport
        assert isinstance(transport, PollingTransport)
        transport.handle_post(exchange, headers, content_type)

    # Engine.IO 4, "WebSocket upgrade of a polling session"

    def upgrade(self, wire: Wire, early: bytes) -> None:
        """A WebSocket was accepted for this session: "remember it as candidate, start a timer"."""
        candidate = WebSocketTransport(wire, self.revision, self.settings, self, early)
        if self.state is not OPEN or not isinstance(self.transport, PollingTransport):
            # "is accepted (101) and closed at once"
            candidate.close(1002)
            return
        self.state = UPGRADING
        self._candidate = candidate
        self._time_upgrade()

    def _time_upgrade(self) -> None:
        """Give the client ``upgrade_timeout`` from now on.

        No time runs while its POST is held back: the client waits for the answer before it sends the upgrade packet.
        """
        if self._upgrade_timer is not None:
            self._upgrade_timer.cancel()
            self._upgrade_timer = None
        if self._candidate is not None and not self.transport.paused:
            self._upgrade_timer = self._schedule(self.settings.upgrade_timeout, self._upgrade_timed_out)

    def _upgrade_timed_out(self) -> None:
        self._abandon(1008, "upgrade timeout")

    def pause(self) -> None:
        super().pause()
        self._time_upgrade()

    def resume(self) -> None:
        super().resume()
        self._time_upgrade()

    def _probed(self, packets: Sequence[EnginePacket]) -> Sequence[EnginePacket]:
        """Packets of the candidate.

        Returns:
            Those that follow the upgrade packet; they belong to the session already.
        """
        candidate = self._candidate
        assert candidate is not None
        for index, packet in enumerate(packets):
            if packet == (PING, "probe"):
                candidate.send_packet(self._packet(PONG, b"probe"))
                if self._noops is None and self._candidate is candidate:
                    self._send_noops()
            elif packet[0] == UPGRADE and self._noops is not None:
                self._switch(candidate)
                return packets[index + 1 :]
            else:
                self._abandon(1002, "neither probe nor upgrade")
                break
        return ()

    def _send_noops(self) -> None:
        """End the waiting poll, again and again, so that the client can finish polling."""
        if isinstance(self.transport, PollingTransport):
            self.transport.answer_noop()
        self._noops = self._schedule(_NOOP_INTERVAL, self._send_noops)

    def _switch(self, candidate: WebSocketTransport) -> None:
        """The client has stopped polling: what is queued goes over the WebSocket, in order."""
        polling = self.transport
        assert isinstance(polling, PollingTransport)
        self._stop_upgrade("upgrade")
        paused = polling.paused
        queue = polling.take_queue()
        polling.resume()
        self.transport = candidate
        for item in queue:
            if isinstance(item, bytes):
                candidate.send_packet(item)
            else:
                candidate.send(item)
        if paused:
            candidate.pause()

    def _abandon(self, code: int, why: str) -> None:
        """The candidate failed; "session stays on polling"."""
        candidate = self._candidate
        if candidate is not None:
            log.info("session %s: no upgrade: %s", self.sid[:6], why)
            self._stop_upgrade("abandon")
            candidate.close(code)

    def _stop_upgrade(self, event: str) -> None:
        self._candidate = None
        for timer in (self._upgrade_timer, self._noops):
            if timer is not None:
                timer.cancel()
        self._upgrade_timer = self._noops = None
        self.state = transition(self.state, event) or self.state

    # The end

    def _end(self, reason: str, code: int) -> None:
        if self.connected:
            self._abandon(1000, reason)
        super()._end(reason, code)

    def _finish(self, reason: str) -> None:
        candidate = self._candidate
        super()._finish(reason)
        if candidate is not None:
            self._stop_upgrade("lost")
            candidate.abort()
