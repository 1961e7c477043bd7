"""The body of a request, as ``wsgi.input``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from gevent.event import Event

from ..errors import HTTPError

if TYPE_CHECKING:
    from .connection import HTTPConnection

__all__ = ["BodyCollector", "BodyReceiver", "ClientGone", "RequestBody"]

#: Bytes that wait for the application, above which reading stops.
_BUFFER_SIZE: Final = 262_144

#: Of a body that the application did not read, as much is read to keep the connection; more costs more than it saves.
_DISCARD_SIZE: Final = 65_536


class ClientGone(ConnectionResetError):
    """The client went away before its request was answered. Of no interest in a log."""


class BodyReceiver(Protocol):
    """Whom the connection tells about the body of a request."""

    def feed(self, data: bytes) -> None:
        """A piece arrived."""

    def end(self) -> None:
        """All has arrived."""

    def fail(self, status: int) -> None:
        """It will not come; ``status`` is what to answer, 0 where the client is gone."""


class BodyCollector:
    """A body that is wanted whole.

    Args:
        limit: bytes; with more, ``done`` gets ``None``.
        failed: called with the status to answer instead of ``done``. Neither is called where the client is gone.
    """

    __slots__ = ("_done", "_failed", "_limit", "_pieces", "_size")

    def __init__(self, limit: int, done: Callable[[bytes | None], None], failed: Callable[[int], None]) -> None:
        self._limit = limit
        self._failed = failed
        self._done: Callable[[bytes | None], None] | None = done
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            self._finish(None)
        else:
            self._pieces.append(data)

    def end(self) -> None:
        self._finish(b"".join(self._pieces))

    def fail(self, status: int) -> None:
        if status and self._done is not None:
            self._done = None
            self._failed(status)

    def _finish(self, body: bytes | None) -> None:
        done, self._done = self._done, None
        self._pieces.clear()
        if done is not None:
            done(body)


class RequestBody(io.RawIOBase):
    """Reads block the greenlet of the application, never the hub. The body is asked for at the first read.

    Args:
        limit: bytes, above which reading fails with 413.
    """

    def __init__(self, connection: HTTPConnection, limit: int, empty: bool) -> None:
        super().__init__()
        self._connection = connection
        self._limit = limit
        self._size = 0
        self._pieces = bytearray()
        self._complete = empty
        self._started = empty
        self._failed: int | None = None
        self._changed = Event()

    # What the connection tells

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            self._failed = 413
        else:
            self._pieces += data
        if len(self._pieces) > _BUFFER_SIZE:
            self._connection.wire.pause()
        self._changed.set()

    def end(self) -> None:
        self._complete = True
        self._changed.set()

    def fail(self, status: int) -> None:
        self._failed = status
        self._changed.set()

    # What the application calls

    def readable(self) -> bool:
        return True

    def _wait(self, more_than: int = 0) -> None:
        """Until more than so many bytes are there, or the end."""
        if not self._started:
            self._started = True
            self._connection.start_body(self)
        while len(self._pieces) <= more_than and not self._complete and self._failed is None:
            self._changed.clear()
            self._connection.wire.resume()
            self._changed.wait()
        if self._failed is None:
            return
        if self._failed:
            raise HTTPError(self._failed, "the body cannot be read")
        raise ClientGone("the client is gone")

    def _take(self, size: int) -> bytes:
        data = bytes(self._pieces[:size])
        del self._pieces[:size]
        return data

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes; fewer only at the end of the body."""
        pieces = []
        left = self._limit + 1 if size is None or size < 0 else size
        while left and not (self._complete and not self._pieces):
            self._wait()
            piece = self._take(left)
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        """One line with its end, at most ``size`` bytes of it."""
        limit = self._limit if size is None or size < 0 else size
        searched = 0
        while limit:
            end = self._pieces.find(b"\n", searched) + 1
            if end or len(self._pieces) >= limit:
                return self._take(min(end or limit, limit))
            if self._complete:
                break
            searched = len(self._pieces)
            self._wait(searched)
        return self._take(limit)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    @property
    def skippable(self) -> bool:
        """Whether what the application has not read is so little that the connection can be kept for it."""
        if self._complete:
            return True
        head = self._connection.head
        asked = self._started or not head.expect_continue
        return self._failed is None and asked and not head.chunked and (head.content_length or 0) <= _DISCARD_SIZE

    def _discard(self) -> None:
        """Skip what the application did not read, where that is little (called by gevent's handler)."""
        if not self._complete and self.skippable:
            self.read()
        self._pieces.clear()
