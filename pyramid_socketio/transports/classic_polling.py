"""Long-polling of the clients 0.5 to 0.9: ``xhr-polling`` and ``jsonp-polling``, and the POSTs of their streams."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from ..errors import BadRequest, CloseReason, PacketError
from ..protocol.packets import NOOP, EnginePacket
from ..protocol.revisions import Revision
from ..settings import Settings
from .base import Exchange, Outgoing, SessionCallbacks
from .polling import NO_STORE, Headers, PollingTransport
from .repairs import repairs_for

__all__ = ["ClassicPollingTransport", "PollingCallbacks", "parse_callback", "script_headers"]

_TEXT: Final = ("Content-Type", "text/plain; charset=UTF-8")

# fullmatch, because $ also matches before a newline; [0-9], because \d takes the digits of every script.
_CALLBACK: Final = re.compile("[0-9]{1,10}")


#: Seconds for which an answer waits behind a POST. Who sends and leaves in one breath does not say so, but breaks the
#: GET off, which an answer that came first would hide. It takes 2 ms on one machine, and hardly more from afar: both
#: travel together.
_LEAVING: Final = 0.01


def parse_callback(value: str) -> str:
    """The number of the client's callback; 0 where there is none.

    Raises:
        BadRequest: anything but digits, so that nothing from the URL gets into a script.
    """
    if value and not _CALLBACK.fullmatch(value):
        raise BadRequest("the number of a callback is not a number")
    return value or "0"


def script_headers(headers: Headers) -> Headers:
    """The headers of an answer that is a script."""
    return [
        ("Content-Type", "text/javascript; charset=UTF-8"),
        ("X-Content-Type-Options", "nosniff"),
        # Internet Explorer takes what it is sent back for an attack.
        ("X-XSS-Protection", "0"),
        *headers,
        NO_STORE,
    ]


class PollingCallbacks(SessionCallbacks, Protocol):
    """What this transport tells its session besides."""

    def poll_began(self) -> None:
        """A GET waits."""

    def poll_ended(self) -> None:
        """No GET waits any more."""

    def poll_broken(self) -> None:
        """No GET waits any more, and the connection of the last one is closed: the client is probably gone."""

    def later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` in ``delay`` seconds."""


class ClassicPollingTransport(PollingTransport):
    """The polling side of a session of such a client; it lasts as long as the session, whatever else carries it.

    A GET is held until there is something to send; how long at most is the session's to say.
    """

    __slots__ = ("_alone", "_callback", "_closes", "_ended_polls", "_form", "_may_break", "_repairs", "name", "posted")

    _session: PollingCallbacks

    def __init__(self, revision: Revision, settings: Settings, session: PollingCallbacks) -> None:
        super().__init__(revision, settings, session)
        self.name = "xhr-polling"
        #: Of the waiting GET; ``None`` where that wants no script.
        self._callback: str | None = None
        #: Script in front of the next answer that is one; ``None`` before the first. See :mod:`.repairs`.
        self._repairs: bytes | None = None
        #: Whether the POST under way is a form of jsonp-polling.
        self._form = False
        #: Whether the next answer has to carry one packet only.
        self._alone: bool = revision.engine.FIRST_PACKET_ALONE
        #: When the last POST was answered.
        self.posted = 0.0
        self._ended_polls = 0
        #: Whether the client has broken a GET off before, and come again.
        self._may_break = False
        #: Whether a connection has been closed behind an answer before. There are proxies that do that each time, while
        #: the client may still be reading.
        self._closes = False

    # Sending

    def _flush_gathered(self) -> None:
        wait = self.posted + _LEAVING - monotonic()
        if wait > 0.0 and self._callback is None:
            self._session.later(wait, self._flush)
        else:
            self._flush()

    def _take_packets(self) -> list[bytes]:
        if not self._alone:
            return super()._take_packets()
        self._alone = False
        queue, self._queue = self._queue[1:], self._queue[:1]
        packets = super()._take_packets()
        for item in queue:
            self._put_back(item)
        return packets

    def _put_back(self, item: Outgoing | bytes) -> None:
        self._queue.append(item)
        self._queue_bytes += len(item) if isinstance(item, bytes) else sum(map(len, item.packets()))

    def take_over(self) -> list[Outgoing | bytes]:
        """What was not sent, for another transport. A waiting GET is answered with a noop."""
        queue, self._queue = self._queue, []
        self._queue_bytes = 0
        self._alone = False
        self.answer_noop()
        return queue

    def _answer_poll(self, packets: list[bytes]) -> None:
        poll = self._poll
        assert poll is not None
        self._ended_polls += 1
        # Who breaks the GET off just now does so before the answer is there.
        poll.on_leave = partial(self._left, self._ended_polls)
        self._session.poll_ended()
        super()._answer_poll(packets or [self._packet(NOOP)])

    def wrap(self, packets: list[bytes], headers: Headers) -> tuple[Headers, bytes]:
        engine = self._revision.engine
        content_type, body = engine.encode_payload(packets)
        if self._callback is None:
            return [("Content-Type", content_type), *headers, NO_STORE], body
        repairs, self._repairs = self._repairs or b"", b""
        return script_headers(headers), repairs + engine.encode_poll_script(self._callback, body.decode())

    # Receiving

    @property
    def receiving(self) -> bool:
        """Whether a POST has not been answered."""
        return self._post is not None

    def poll(self, exchange: Exchange, headers: Headers, name: str, callback: str | None) -> None:
        """A GET; one that waits already is answered with a noop.

        Args:
            name: of the transport, as in the URL.
            callback: digits, for jsonp-polling.
        """
        self.answer_noop()
        self.name = name
        self._answer_as(callback, exchange)
        self._poll = exchange
        self._poll_headers = headers
        exchange.on_abort = self._poll_aborted
        self._session.poll_began()
        if self._queue and not self._flushing:
            self._flush()

    def answer_first(
        self, exchange: Exchange, headers: Headers, name: str, callback: str | None, packet: bytes
    ) -> tuple[Headers, bytes]:
        """The answer to the GET that has opened the session; see :meth:`poll`."""
        self.name = name
        self._answer_as(callback, exchange)
        return self.wrap([packet], headers)

    def _answer_as(self, callback: str | None, exchange: Exchange) -> None:
        self._callback = callback
        if callback is not None and self._repairs is None:
            self._repairs = repairs_for(self._revision, exchange.head.headers)

    def post(self, exchange: Exchange, headers: Headers, form: bool) -> None:
        """A POST; ``form``: of jsonp-polling."""
        self._form = form
        self.handle_post(exchange, headers, "")

    def _answer_post(self, exchange: Exchange, headers: Headers) -> None:
        answer: bytes = self._revision.engine.POST_ANSWER
        exchange.respond(200, [_TEXT, *headers, NO_STORE], answer)
        self.posted = monotonic()

    def _decode(self, body: bytes, binary: bool) -> list[EnginePacket | PacketError]:
        if self._form:
            body = self._revision.engine.decode_form(body)
        return super()._decode(body, binary)

    def _poll_aborted(self) -> None:
        self._poll = None
        self._ended_polls += 1
        if self._revision.engine.BROKEN_POLL_IS_THE_END:
            self._drop(CloseReason.TRANSPORT_CLOSE)
        elif self._may_break:
            self._session.poll_ended()
        else:
            self._may_break = True
            self._session.poll_broken()

    def _left(self, ended_polls: int) -> None:
        """The connection of an answered GET is closed."""
        if ended_polls == self._ended_polls:  # else a browser has closed one that it did not need any more
            closes, self._closes = self._closes, True
            if not closes and ended_polls > 1 and self._poll is None:
                self._session.poll_broken()

    # The end

    def close(self, code: int) -> None:
        self._alone = False
        super().close(code)

    def last_words(self, exchange: Exchange, headers: Headers, callback: str | None = None) -> None:
        self._answer_as(callback, exchange)
        self._alone = False
        self._poll = exchange
        self._poll_headers = headers
        self._answer_poll(self._take_packets())
        self._finish()

    def _goodbye(self) -> list[bytes]:
        # The session has sent the packet that ends the connection, where there is one to be sent.
        return []

    def end(self) -> None:
        """The session is over."""
        if not self._closed:
            self.abort()
        self._session = _NOBODY


class _Nobody:
    """The session of a transport that outlives it in a request that is still under way."""

    sid = "over"

    def received(self, transport: Any, packets: Any) -> None: ...

    def failed(self, transport: Any, error: Any) -> None: ...

    def gone(self, transport: Any, reason: str) -> None: ...

    def poll_began(self) -> None: ...

    def poll_ended(self) -> None: ...

    def poll_broken(self) -> None: ...

    def later(self, delay: float, callback: Callable[[], None]) -> None: ...


_NOBODY: Final = _Nobody()
