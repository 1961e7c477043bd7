"""HTTP long-polling: a GET that waits for packets, and POSTs that bring some (Engine.IO 4, "Polling in detail")."""

from __future__ import annotations

import logging
from typing import Any, Final

from gevent import get_hub

from ..errors import BadRequest, CloseReason, PacketError, PayloadTooLarge, ProtocolError
from ..protocol.packets import CLOSE, NOOP, EnginePacket
from ..protocol.revisions import Revision
from ..settings import Settings
from .base import Exchange, Outgoing, SessionCallbacks

__all__ = ["NO_STORE", "Headers", "PollingTransport"]

log = logging.getLogger(__name__)

Headers = list[tuple[str, str]]

_HTML: Final = ("Content-Type", "text/html")
NO_STORE: Final = ("Cache-Control", "no-store")


class PollingTransport:
    """The polling side of a session.

    A GET is answered as soon as there is something to send, and then with everything that is there. There is no poll
    time-out: the next ping ends the longest wait.
    """

    __slots__ = (
        "_closed",
        "_flushing",
        "_held",
        "_poll",
        "_poll_headers",
        "_post",
        "_queue",
        "_queue_bytes",
        "_revision",
        "_session",
        "_settings",
        "_stopped",
    )

    name = "polling"

    def __init__(self, revision: Revision, settings: Settings, session: SessionCallbacks) -> None:
        self._revision = revision
        self._settings = settings
        self._session = session
        self._queue: list[Outgoing | bytes] = []
        self._queue_bytes = 0
        self._flushing = False
        self._closed = False
        self._stopped = False
        #: The GET that waits.
        self._poll: Exchange | None = None
        self._poll_headers: Headers = []
        #: The POST whose body is on its way, and the answer that is held back while the session is paused.
        self._post: Exchange | None = None
        self._held: Any = None

    # Sending

    direct_wire = None

    @property
    def writable(self) -> bool:
        # Whatever waits goes out with it.
        return self._poll is not None

    def send(self, message: Outgoing) -> None:
        for packet in message.packets():
            self._queue_bytes += len(packet)
        self._put(message)

    def send_packet(self, packet: bytes) -> None:
        self._queue_bytes += len(packet)
        self._put(packet)

    def cork(self) -> None:
        """Packets are gathered in any case."""

    def uncork(self) -> None:
        """See :meth:`cork`."""

    def _put(self, item: Outgoing | bytes) -> None:
        if self._closed:
            return
        self._queue.append(item)
        if len(self._queue) > self._settings.max_queue_packets or (
            self._queue_bytes > self._settings.max_queue_bytes and len(self._queue) > 1
        ):
            if self._poll is None:
                self._drop(CloseReason.SLOW_CONSUMER)
            else:
                self._flush()
        elif self._poll is not None and not self._flushing:
            # At the next turn of the loop: packets that are ready together go out together.
            self._flushing = True
            get_hub().loop.run_callback(self._flush_gathered)

    def _flush_gathered(self) -> None:
        self._flush()

    def _flush(self) -> None:
        self._flushing = False
        if self._poll is not None and self._queue:
            try:
                self._answer_poll(self._take_packets())
            except Exception:
                # Whatever goes wrong here ends this session, never the loop.
                log.exception("unexpected error while answering a poll")
                self._fail()

    def _take_packets(self) -> list[bytes]:
        packets: list[bytes] = []
        for item in self._queue:
            if isinstance(item, bytes):
                packets.append(item)
            else:
                packets += item.packets()
        self._queue.clear()
        self._queue_bytes = 0
        return packets

    def _answer_poll(self, packets: list[bytes]) -> None:
        poll = self._poll
        assert poll is not None
        headers, body = self.wrap(packets, self._poll_headers)
        self._poll = poll.on_abort = None
        poll.respond(200, headers, body)

    def wrap(self, packets: list[bytes], headers: Headers) -> tuple[Headers, bytes]:
        """Headers and body of an answer that carries packets."""
        content_type, body = self._revision.engine.encode_payload(packets)
        return [("Content-Type", content_type), *headers, NO_STORE], body

    def take_queue(self) -> list[Outgoing | bytes]:
        """What was not sent; the transport is over. A waiting GET is answered with a noop."""
        self._closed = True
        queue, self._queue = self._queue, []
        self.answer_noop()
        return queue

    def answer_noop(self) -> None:
        """End a waiting GET without a packet for the application."""
        if self._poll is not None:
            self._answer_poll([self._packet(NOOP)])

    def _packet(self, type: int) -> bytes:
        packet: bytes = self._revision.engine.encode_packet(type)
        return packet

    # Receiving

    def handle_get(self, exchange: Exchange, headers: Headers, noop: bool = False) -> None:
        """A poll.

        Args:
            headers: that the answer is to have besides its own.
            noop: answer at once, with a noop where nothing is queued (the session is being upgraded).
        """
        if self._poll is not None:
            # "first is answered with body 1 (close packet), second with 400 and an empty body, session closed"
            self._answer_poll([self._packet(CLOSE)])
            exchange.respond(400, headers)
            self._drop(CloseReason.TRANSPORT_ERROR)
            return
        self._poll = exchange
        self._poll_headers = headers
        exchange.on_abort = self._poll_aborted
        if self._queue and not self._flushing:
            self._flush()
        elif noop:
            self.answer_noop()

    def handle_post(self, exchange: Exchange, headers: Headers, content_type: str) -> None:
        """Packets from the client."""
        binary = content_type.startswith("application/octet-stream")
        if self._post is not None or (binary and not self._revision.binary_payloads):
            # Two at once, or bytes, which this revision does not have over HTTP.
            exchange.respond(400, headers)
            self._drop(CloseReason.TRANSPORT_ERROR)
            return
        self._post = exchange
        exchange.on_abort = self._post_aborted

        def done(body: bytes | None) -> None:
            self._posted(exchange, headers, body, binary)

        exchange.read_body(self._settings.max_message_size, done)

    def _posted(self, exchange: Exchange, headers: Headers, body: bytes | None, binary: bool) -> None:
        exchange.on_abort = None
        self._post = None
        if body is None:
            # In chunks, its size is not known before its end.
            size = exchange.head.content_length or "too many"
            log.info(
                "session %s: refused a POST of %s bytes, over socketio.max_message_size = %d",
                self._session.sid[:6],
                size,
                self._settings.max_message_size,
            )
            # The session lives on: the reference's way.
            exchange.respond(413, headers, close=True)
            return
        if self._closed:
            exchange.respond(400, headers)
            return
        try:
            packets = self._decode(body, binary)
        except ProtocolError as wrong:
            self._refuse(exchange, headers, wrong)
            return
        good: list[EnginePacket] = [packet for packet in packets if not isinstance(packet, PacketError)]
        error = self._session.received(self, good) if good else None
        if error is None and packets and isinstance(packets[-1], PacketError):
            error = packets[-1]
        if error is not None:
            self._refuse(exchange, headers, error)
        elif self._stopped and not self._closed:
            # The inbox is full: the client sends its next POST when this one is answered.
            self._post = exchange
            exchange.on_abort = self._post_aborted
            self._held = (exchange, headers)
        else:
            self._answer_post(exchange, headers)

    def _answer_post(self, exchange: Exchange, headers: Headers) -> None:
        exchange.respond(200, [_HTML, *headers, NO_STORE], b"ok")

    def _decode(self, body: bytes, binary: bool) -> list[EnginePacket | PacketError]:
        """The packets of a body.

        Args:
            binary: it came as bytes, in a revision that has such payloads.
        """
        decode, limit = self._revision.engine.decode_payload, self._settings.max_payload_packets
        packets: list[EnginePacket | PacketError] = decode(body, limit, True) if binary else decode(body, limit)
        return packets

    def _refuse(self, exchange: Exchange, headers: Headers, error: ProtocolError) -> None:
        """Answer a POST that has brought something wrong, and end the session."""
        status = 413 if isinstance(error, PayloadTooLarge) else 400
        body = b'{"code":%d,"message":"%b"}' % (BadRequest.code, BadRequest.message.encode())
        exchange.respond(status, [("Content-Type", "application/json"), *headers], body)
        if not self._closed:
            self._session.failed(self, error)

    def _poll_aborted(self) -> None:
        """The client broke its GET off, or the network did."""
        self._poll = None
        self._drop(CloseReason.TRANSPORT_ERROR)

    def _post_aborted(self) -> None:
        """The rest of a POST does not come, or nobody is there for the answer that was held back."""
        self._post = self._held = None
        self._drop(CloseReason.TRANSPORT_ERROR)

    # Flow control

    @property
    def paused(self) -> bool:
        return self._stopped

    def pause(self) -> None:
        self._stopped = True

    def resume(self) -> None:
        self._stopped = False
        if self._held is not None:
            (exchange, headers), self._held = self._held, None
            self._post = exchange.on_abort = None
            self._answer_post(exchange, headers)

    # The end

    @property
    def reachable(self) -> bool:
        """Whether a GET waits."""
        return self._poll is not None

    def client_closed(self) -> None:
        """The client sent its close packet: "a waiting GET is answered with 6 (noop), the POST with ok"."""
        self.answer_noop()
        self._finish()

    def close(self, code: int) -> None:
        """Answer the waiting GET with the close packet; without one, :meth:`last_words` answers the next."""
        if self._poll is not None and not self._closed:
            self._answer_poll(self._take_packets() + self._goodbye())
            self._finish()

    def last_words(self, exchange: Exchange, headers: Headers) -> None:
        """The GET of a session that is over: what was queued, a noop as from the reference, and the close packet."""
        self._poll = exchange
        self._poll_headers = headers
        self._answer_poll([*self._take_packets(), self._packet(NOOP), *self._goodbye()])
        self._finish()

    def abort(self) -> None:
        if self._poll is not None:
            self._answer_poll(self._goodbye())
        self._finish()

    def _goodbye(self) -> list[bytes]:
        """The last packets."""
        return [self._packet(CLOSE)]

    def _fail(self) -> None:
        """End the session after an error of our own, which may strike again while the client is told."""
        try:
            self.abort()
        except Exception:
            poll, self._poll = self._poll, None
            if poll is not None:
                poll.respond(500, self._poll_headers, close=True)
            self._finish()
        self._session.gone(self, CloseReason.TRANSPORT_ERROR)

    def _drop(self, reason: str) -> None:
        if not self._closed:
            self.abort()
            self._session.gone(self, reason)

    def _finish(self) -> None:
        self._closed = True
        self.resume()
        self._queue.clear()
        self._queue_bytes = 0
        if self._post is not None:
            self._post.on_abort = None
            self._post = None
