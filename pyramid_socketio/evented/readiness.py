"""A descriptor for code that waits with ``select`` for something that is in memory."""

from __future__ import annotations

import _socket

__all__ = ["Readiness"]


class Readiness:
    """A descriptor of its own that is readable exactly while it is set. It has nothing to be read by anybody else."""

    __slots__ = ("_is_set", "_reader", "_writer")

    def __init__(self) -> None:
        self._reader, self._writer = _socket.socketpair()
        self._reader.setblocking(False)
        self._is_set = False

    def fileno(self) -> int:
        """The descriptor; -1 when it is closed."""
        return self._reader.fileno()

    def set(self, ready: bool) -> None:
        """Make the descriptor readable, or not."""
        if ready == self._is_set or self._reader.fileno() < 0:
            return
        self._is_set = ready
        if ready:
            self._writer.send(b"!")
        else:
            self._reader.recv(1)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
