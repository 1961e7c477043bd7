"""A connected socket, watched and written to from the hub."""

from __future__ import annotations

import errno
import logging
import os
import socket as _names
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final

from gevent import get_hub

from .timers import Timer, Timers

__all__ = ["Wire", "send_to_all"]

log = logging.getLogger(__name__)

READ: Final = 1
WRITE: Final = 2

#: Bytes read at a time. More would let one client keep the others waiting.
READ_SIZE: Final = 65536

#: What the kernel's ``send`` says when it can take nothing now.
_FULL: Final = (-errno.EAGAIN, -errno.EWOULDBLOCK)

#: What a peer may still send after the connection was closed for it, before it is reset.
LINGER_BYTES: Final = 65536


def _send_all_in_python(fds: list[int], data: bytes, /) -> list[tuple[int, int]]:
    """As ``_speedups.send_all``, where that was not built."""
    size = len(data)
    rest: list[tuple[int, int]] = []
    for position, fd in enumerate(fds):
        try:
            taken = os.write(fd, data)
        except OSError as error:
            taken = -(error.errno or errno.EIO)
        if taken != size:
            rest.append((position, taken))
    return rest


try:
    # One call for a whole room: between the sends nothing of Python runs, nor is found in the processor's caches.
    from .._speedups import send_all
except ImportError:
    send_all = _send_all_in_python


def send_to_all(wires: Iterable[Wire], data: bytes) -> None:
    """The same as :meth:`Wire.send` of each wire, each of them once, at a fraction of the cost."""
    ready, fds, waiting = [], [], []
    for wire in wires:
        if wire._outbox is None:
            ready.append(wire)
            fds.append(wire.fd)
        else:
            waiting.append(wire)
    broken = []
    for position, taken in send_all(fds, data):
        if taken >= 0 or taken in _FULL:
            ready[position]._wait_with(data, max(taken, 0))
        else:
            broken.append((ready[position], OSError(-taken, os.strerror(-taken))))
    for wire in waiting:
        if not wire.closing:
            wire._append(data)
    # From here on somebody may be told of an end, and send something: on every other wire that goes behind `data`.
    for wire in waiting:
        wire._judge()
    for wire, error in broken:
        wire._lose(error)


def _ignore(_: Any) -> None:
    """What a closed wire tells."""


class Wire:
    """A non-blocking socket: a read watcher, direct sends, and a bounded outbox for what the kernel does not take.

    Everything here runs in the hub or in whichever greenlet sends, and never blocks.

    Args:
        sock: a raw socket (``_socket.socket``); the wire owns it from now on.
        receive: called with each piece of data that arrives, at most 64 KiB.
        lost: called once, with an exception or ``None``, when the peer closed or broke the connection, or when it did
            not read for ``write_timeout`` or more than ``max_outbox_bytes`` wait for it (``BufferError``). The socket
            is closed by then; but when too much waits, it is closed unless ``lost`` calls :meth:`close`. Not called
            after :meth:`close` or :meth:`abort`.
    """

    __slots__ = (
        "_draining",
        "_linger",
        "_lingered",
        "_outbox",
        "_progress",
        "_reader",
        "_timer",
        "_writer",
        "closing",
        "fd",
        "lost",
        "max_outbox_bytes",
        "outbox_bytes",
        "paused",
        "receive",
        "sock",
        "timers",
        "write_timeout",
    )

    def __init__(
        self,
        sock: Any,
        timers: Timers,
        receive: Callable[[bytes], None],
        lost: Callable[[BaseException | None], None],
        max_outbox_bytes: int = 1_048_576,
        write_timeout: float = 10.0,
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd: int = sock.fileno()
        self.timers = timers
        self.receive = receive
        self.lost = lost
        self.max_outbox_bytes = max_outbox_bytes
        self.write_timeout = write_timeout
        self.outbox_bytes = 0
        #: Whether reading is stopped; what the peer sends stays in the kernel, and TCP slows the peer down.
        self.paused = False
        #: Nothing is sent or received any more; what is in the outbox still goes out.
        self.closing = False
        self._outbox: deque[bytes | memoryview] | None = None
        self._writer: Any = None
        self._timer: Timer | None = None
        self._progress = 0.0
        self._linger = 0.0
        self._lingered = 0
        self._draining: Callable[[], None] | None = None
        self._reader = get_hub().loop.io(self.fd, READ)
        self._reader.start(self._readable)

    @property
    def closed(self) -> bool:
        """Whether the socket is closed."""
        return self.sock is None

    # Reading

    def pause(self) -> None:
        """Stop reading."""
        if not self.paused and self.sock is not None:
            self.paused = True
            self._reader.stop()

    def resume(self) -> None:
        """Read again."""
        if self.paused and self.sock is not None:
            self.paused = False
            self._reader.start(self._readable)

    def _readable(self) -> None:
        try:
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if self.closing:
            self._swallow(data)
        elif data:
            try:
                self.receive(data)
            except Exception as error:
                # Whatever goes wrong here ends this connection, never the loop.
                log.exception("unexpected error while receiving")
                self._lose(error)
        else:
            self._lose(None)

    def defer(self, callback: Callable[..., None], *args: Any) -> None:
        """Call ``callback`` at the next turn of the loop; an error in it ends this connection, as in ``receive``."""
        get_hub().loop.run_callback(self._run_deferred, callback, args)

    def _run_deferred(self, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        try:
            callback(*args)
        except Exception as error:
            log.exception("unexpected error in a deferred call")
            self._lose(error)

    def _lose(self, error: BaseException | None) -> None:
        if self.sock is None:
            return
        lost = self.lost
        closing = self.closing
        self.abort()
        if not closing:
            lost(error)

    # Writing

    def send(self, data: bytes) -> None:
        """Send ``data`` now, or as soon as the peer reads. Never blocks, never raises.

        A frame is never interleaved with another: what is sent while the outbox has something goes behind it.
        """
        if self._outbox is None:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._lose(error)
                return
            except AttributeError:  # closed: cheaper than a look before every send
                return
            if sent != len(data):
                self._wait_with(data, sent)
        elif not self.closing:
            self._keep(data)

    def _wait_with(self, data: bytes, sent: int) -> None:
        """The kernel has taken so many bytes of it: the outbox begins with the rest."""
        self._outbox = deque()
        self._progress = monotonic()
        self._keep(memoryview(data)[sent:])
        if self._writer is None:
            self._writer = get_hub().loop.io(self.fd, WRITE)
        self._writer.start(self._writable)
        self._timer = self.timers.schedule(self.write_timeout, self._stalled)

    def _keep(self, data: bytes | memoryview) -> None:
        self._append(data)
        self._judge()

    def _append(self, data: bytes | memoryview) -> None:
        assert self._outbox is not None
        self._outbox.append(data)
        self.outbox_bytes += len(data)

    def _judge(self) -> None:
        if self._outbox is None or self.closing:
            return
        # One message of any allowed size may wait; it is the next one that makes a slow consumer.
        if self.outbox_bytes > self.max_outbox_bytes and len(self._outbox) > 1:
            lost, self.lost = self.lost, _ignore
            lost(BufferError("too much is waiting for the peer"))
            if not self.closing:
                self.abort()

    def _writable(self) -> None:
        outbox = self._outbox
        if outbox is None:
            return
        try:
            while outbox:
                data = outbox[0]
                sent = self.sock.send(data)
                self.outbox_bytes -= sent
                self._progress = monotonic()
                if sent < len(data):
                    outbox[0] = memoryview(data)[sent:]
                    return
                outbox.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        self._writer.stop()
        self._cancel_timer()
        if self.closing:
            self._shut()
        else:
            self._outbox = None
        self._drained()

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, in the hub, when nothing waits to be sent any more; at once when nothing does.

        Called as well when the wire is closed before; see :attr:`closed`.
        """
        if self.outbox_bytes:
            self._draining = callback
        else:
            callback()

    def _drained(self) -> None:
        if self._draining is not None:
            drained, self._draining = self._draining, None
            drained()

    def _stalled(self) -> None:
        waited = monotonic() - self._progress
        if waited < self.write_timeout:
            self._timer = self.timers.schedule(self.write_timeout - waited, self._stalled)
        else:
            self._timer = None
            self._lose(BufferError("the peer does not read"))

    # The end

    def close(self, linger: float = 5.0, last_words: bytes = b"") -> None:
        """Close in order: send what is waiting, then say goodbye, and drop what still comes for ``linger`` seconds.

        ``last_words`` go out behind what is waiting, however much that is.

        Without this, data that the peer has under way makes the kernel answer with a reset, which can destroy the
        last words that we sent.
        """
        if self.sock is None or self.closing:
            return
        if last_words and self._outbox is not None:
            self._outbox.append(last_words)
            self.outbox_bytes += len(last_words)
        elif last_words:
            self.send(last_words)
            if self.sock is None:  # that broke it
                return
        self.closing = True
        self._linger = linger
        if self._outbox is None:
            # As if something waited: `send` does not reach for the socket any more. An error there would reset it.
            self._outbox = deque()
            self._shut()

    def _shut(self) -> None:
        try:
            self.sock.shutdown(_names.SHUT_WR)
        except OSError:
            self.abort()
            return
        self._cancel_timer()
        self._timer = self.timers.schedule(self._linger, self.abort)
        self.resume()

    def _swallow(self, data: bytes) -> None:
        self._lingered += len(data)
        if data and self._lingered <= LINGER_BYTES:
            return
        if self.outbox_bytes:
            # A peer that has said all it has to say, or too much, still gets to read what was sent before.
            self.pause()
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once; what is in the outbox is lost."""
        sock = self.sock
        if sock is None:
            return
        self.sock = None
        self.fd = -1  # the number may be somebody else's soon
        self.closing = True
        self.paused = False
        # Watchers first: an event loop must not watch a descriptor that is closed, and may be somebody else's soon.
        self._reader.stop()
        self._reader.close()
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
        self._cancel_timer()
        self._outbox = None
        self.outbox_bytes = 0
        # Whoever these belong to holds this wire: the circle ends here.
        self.receive = self.lost = _ignore
        sock.close()
        self._drained()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
