"""One HTTP connection, watched in the hub: heads are parsed here, and each request goes where it belongs.

Requests of Socket.IO sessions take the express lane: their engine answers them right in the hub. All others run the
WSGI application in a worker greenlet. An idle connection has no greenlet, and every wait for a client has a time-out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from gevent.event import Event

from ..engine import UPGRADE_KEY
from ..errors import HTTPError
from ..evented.timers import Timer
from ..evented.wire import Wire
from ..interfaces import ANSWERED
from ..protocol.http import (
    MAX_HEAD_SIZE,
    ChunkedDecoder,
    Head,
    encode_head,
    encode_response,
    escape,
    find_head_end,
    parse_head,
)
from .body import BodyCollector, BodyReceiver, ClientGone, RequestBody
from .flash_policy import TIME_LIMIT, is_policy_request

if TYPE_CHECKING:
    from ..engine import Engine
    from .server import SocketIOServer

__all__ = ["HTTPConnection"]

log = logging.getLogger(__name__)

#: Seconds for the whole head of a request, from its first byte (or from the connection's beginning).
HEADER_TIMEOUT: Final = 10.0
#: Seconds between two requests.
KEEPALIVE_TIMEOUT: Final = 75.0
#: Seconds after which a body must have come at BODY_RATE bytes a second on average.
BODY_GRACE: Final = 5.0
BODY_RATE: Final = 1024

# What the bytes that arrive are part of.
_HEAD: Final = "head"
_BODY: Final = "body"
#: An answer is under way; whatever arrives is the next request's.
_ANSWER: Final = "answer"
_POLICY: Final = "policy"


class HTTPConnection:
    """The server's end of a connection; see :class:`pyramid_socketio.transports.base.Exchange`.

    Args:
        address: of the client, as the socket gives it.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_decoder",
        "_left",
        "_received",
        "_searched",
        "_sent",
        "_since",
        "_state",
        "_timer",
        "address",
        "head",
        "on_abort",
        "on_leave",
        "server",
        "wire",
    )

    head: Head

    def __init__(self, server: SocketIOServer, sock: Any, address: Any) -> None:
        self.server = server
        self.address = address
        self.on_abort: Callable[[], None] | None = None
        self.on_leave: Callable[[], None] | None = None
        self._state = _HEAD
        self._buffer = b""
        self._searched = 0
        #: Takes the body of the request.
        self._body: BodyReceiver | None = None
        self._decoder: ChunkedDecoder | None = None
        self._left = 0
        self._received = 0
        self._since = 0.0
        self._sent: Event | None = None
        self.wire = Wire(sock, server.timers, self._receive, self._lost)
        self._timer: Timer | None = server.timers.schedule(HEADER_TIMEOUT, self._head_timed_out)

    @property
    def defaults(self) -> dict[str, Any]:
        """Settings for an application that has none of its own."""
        return self.server.defaults

    @property
    def wants_websocket(self) -> bool:
        headers = self.head.headers
        return self.head.method == "GET" and headers.get("upgrade", "").lower() == "websocket"

    @property
    def serves_flash_policy(self) -> bool:
        return self.server.policy is not None

    # Reading

    def _receive(self, data: bytes) -> None:
        state = self._state
        if state is _BODY:
            self._take_body(data)
            return
        self._buffer += data
        if state is _HEAD:
            self._take_head()
        elif state is _POLICY:
            self._take_policy()
        elif len(self._buffer) > MAX_HEAD_SIZE:
            # Requests in advance: the rest waits in the kernel until this one is answered.
            self.wire.pause()

    def _take_head(self) -> None:
        buffer = self._buffer
        try:
            if buffer[:1] == b"<":  # no HTTP request starts so
                self._state = _POLICY
                self._set_timer(TIME_LIMIT, self.abort)
                self._take_policy()
                return
            end = find_head_end(buffer, self._searched)
            if end < 0:
                if not self._searched:
                    self._set_timer(HEADER_TIMEOUT, self._head_timed_out)
                self._searched = len(buffer)
                return
            head = self.head = parse_head(buffer[:end])
        except HTTPError as error:
            self._refuse(error.status, str(error))
            return
        self._searched = 0
        self._buffer = buffer[end:]
        self._set_timer(None)
        self._dispatch(head)

    def _take_policy(self) -> None:
        asked = is_policy_request(self._buffer)
        if asked is None:
            return
        policy = self.server.policy
        if asked and policy is not None:
            self.wire.send(policy)
            self._close()
        else:
            self.abort()

    def _dispatch(self, head: Head) -> None:
        """Express lane or application."""
        self._state = _ANSWER
        self.on_leave = None
        self._decoder = ChunkedDecoder() if head.chunked else None
        self._left = head.content_length or 0
        if self.body_pending and self.wants_websocket:
            # Who does not see a body there would read it as frames, or as the next request.
            self._refuse(400, "a WebSocket's handshake has no body")
            return
        for engine in self.server.engines:
            if engine.handle(self, self.server.scheme):
                return
        for engine in self.server.engines:
            if engine.handle_unknown(self, self.server.scheme):
                return
        self._run_application()

    def _run_application(self) -> None:
        limit = self.server.max_request_body_size
        if self._left > limit:
            self._refuse(413, "the body is too long")
            return
        body = RequestBody(self, limit, empty=not self._left and self._decoder is None)
        self.server.workers.run(self.server.handler_class(self, body).run)

    # Bodies

    @property
    def body_pending(self) -> bool:
        """Whether a part of the request's body has not come yet."""
        return self._left > 0 or self._decoder is not None

    def read_body(self, limit: int, done: Callable[[bytes | None], None]) -> None:
        if self._left > limit:
            done(None)
            return
        collector = BodyCollector(limit, done, self._body_failed)
        if self.body_pending:
            self.start_body(collector)
        else:
            collector.end()

    def start_body(self, body: BodyReceiver) -> None:
        """Let the request's body come."""
        self._body = body
        self._state = _BODY
        self._received = 0
        self._since = monotonic()
        self._set_timer(BODY_GRACE, self._body_timed_out)
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self._take_body(data)
        elif self.head.expect_continue:
            # Behind the timer, which ends where this finds out that the client is gone.
            self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.wire.closing and self._body is not None:
            # The client left before: what had come until then was not all.
            self._end_body()
            body.fail(0)

    def _take_body(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        self._received += len(data)
        if self._decoder is not None:
            try:
                data, rest, done = self._decoder.feed(data)
            except HTTPError as error:
                self._end_body()
                body.fail(error.status)
                return
        else:
            data, rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            done = not self._left
        if done:
            self._buffer = rest
            self._end_body()
        if data:
            body.feed(data)
        if done:
            body.end()

    def _body_failed(self, status: int) -> None:
        on_abort, self.on_abort = self.on_abort, None
        self._refuse(status, "the body cannot be read")
        if on_abort is not None:
            on_abort()

    def _end_body(self) -> None:
        self._state = _ANSWER
        self._body = self._decoder = None
        self._left = 0
        self._set_timer(None)

    def _body_timed_out(self) -> None:
        waited = monotonic() - self._since
        if self.wire.paused or self._received >= (waited - BODY_GRACE) * BODY_RATE and self._received:
            self._set_timer(BODY_GRACE, self._body_timed_out)
            return
        body = self._body
        assert body is not None
        self._end_body()
        body.fail(408)

    # Answering

    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes = b"", close: bool = False) -> None:
        keep = self.head.keep_alive and not close and not self.body_pending and not self.server.stopping
        self.on_abort = None
        self.wire.send(encode_response(status, headers, body, keep))
        self.finished(keep)

    def finished(self, keep_alive: bool) -> None:
        """The answer is out: the next request, or the end."""
        if self.wire.closing:
            return
        if not keep_alive or self.body_pending or self.server.stopping:
            self._close()
            return
        self._state = _HEAD
        self._set_timer(KEEPALIVE_TIMEOUT, self.abort)
        self.wire.resume()
        if self._buffer:
            # At the next turn of the loop: requests in advance must not make this recurse.
            self.wire.defer(self._next_head)

    def _next_head(self) -> None:
        if self._state is _HEAD and self._buffer and not self.wire.closing:
            self._take_head()

    def wait_until_sent(self) -> None:
        """Block the greenlet until the client has taken what was sent.

        Raises:
            ClientGone: there is nobody who could.
        """
        if self.wire.outbox_bytes:
            self._sent = Event()
            self.wire.when_drained(self._sent.set)
            self._sent.wait()
            self._sent = None
        if self.wire.closed:
            raise ClientGone("the client is gone")

    def answer_early(self, environ: dict[str, Any], status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer for a view that goes on running; what it returns later goes nowhere."""
        if UPGRADE_KEY in environ:
            environ.pop(UPGRADE_KEY)(self, encode_head(status, headers))
        else:
            self.respond(status, headers, body, close=("Connection", "close") in headers)
        # Not before: where that failed, the client has no answer yet.
        environ[ANSWERED] = status

    def _refuse(self, status: int, why: str) -> None:
        """Answer a request that is not HTTP as it should be, and close."""
        self._set_timer(None)
        log.info("%s: refused a request with %d: %s", self._peer(), status, escape(why))
        headers = [("Content-Type", "text/plain")]
        self.wire.send(encode_response(status, headers, f"{why}\n".encode("latin-1", "replace"), keep_alive=False))
        self._close()

    def _peer(self) -> str:
        return str(self.address[0]) if isinstance(self.address, tuple) and self.address else "a local client"

    def _head_timed_out(self) -> None:
        self._timer = None
        if self._buffer:
            self._refuse(408, "the head of the request did not come in time")
        else:
            self.abort()

    # The end

    def take_over(self) -> tuple[Wire, bytes]:
        self._set_timer(None)
        self.server.connections.discard(self)
        early, self._buffer = self._buffer, b""
        self._state = _ANSWER
        return self.wire, early

    def mount(self, engine: Engine, shutdown: Callable[[], None]) -> None:
        self.server.engines[engine] = shutdown

    def close_idle(self) -> None:
        """The server is stopping: close unless a request is being answered."""
        if self._state is _HEAD:
            self._close()

    def _close(self) -> None:
        self._set_timer(None)
        self.server.connections.discard(self)
        self._body = None
        self.wire.close()

    def abort(self) -> None:
        """Close at once."""
        self._set_timer(None)
        self.server.connections.discard(self)
        self.wire.abort()

    def _lost(self, error: BaseException | None) -> None:
        self._set_timer(None)
        self.server.connections.discard(self)
        body, self._body = self._body, None
        if body is not None:
            body.fail(0)
        sent, self._sent = self._sent, None
        if sent is not None:
            sent.set()
        on_abort, self.on_abort = self.on_abort, None
        on_leave, self.on_leave = self.on_leave, None
        if on_abort is not None:
            on_abort()
        elif on_leave is not None:
            on_leave()

    def _set_timer(self, delay: float | None, callback: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay is not None and callback is not None:
            self._timer = self.server.timers.schedule(delay, callback)
