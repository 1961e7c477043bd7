"""One timer structure for every heartbeat and time-out of a process."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from gevent import get_hub

__all__ = ["Timer", "Timers"]

log = logging.getLogger(__name__)

#: Cancelled timers stay in the heap until they are due; when they are more than this and more than half, it is rebuilt.
_REBUILD_ABOVE: Final = 1000


class Timer:
    """A call that is to happen; made by :meth:`Timers.schedule`."""

    __slots__ = ("_timers", "callback")

    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self._timers = timers
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Let it not happen. Harmless when it has happened."""
        if self.callback is not None:
            self.callback = None
            self._timers._cancelled += 1


class Timers:
    """A heap of deadlines on the monotonic clock, with one timer of the event loop for the earliest.

    Callbacks run in the hub: they must not block, and must not run application code.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._cancelled = 0
        self._armed_for: float | None = None
        self._watcher: Any = None

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def schedule(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` in ``delay`` seconds."""
        timer = Timer(self, callback)
        when = monotonic() + delay
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, timer))
        if self._armed_for is None or when < self._armed_for:
            self._arm(when, delay)
        elif self._cancelled > _REBUILD_ABOVE and self._cancelled * 2 > len(self._heap):
            # In place: `_expired` may be at work on it.
            self._heap[:] = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
        return timer

    def close(self) -> None:
        """Forget everything."""
        self._disarm()
        for _, _, timer in self._heap:
            timer.callback = None
        self._heap.clear()
        self._cancelled = 0

    def _arm(self, when: float, delay: float) -> None:
        self._disarm()
        self._armed_for = when
        self._watcher = get_hub().loop.timer(max(delay, 0.0))
        # `update`: libev's idea of now is that of the last poll, which a long callback makes old.
        self._watcher.start(self._expired, update=True)

    def _disarm(self) -> None:
        self._armed_for = None
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def _expired(self) -> None:
        self._disarm()
        heap = self._heap
        now = monotonic()
        try:
            while heap and (heap[0][0] <= now or heap[0][2].callback is None):
                timer = heapq.heappop(heap)[2]
                callback = timer.callback
                if callback is None:
                    self._cancelled -= 1
                    continue
                timer.callback = None
                try:
                    callback()
                except Exception:
                    log.exception("a timer's callback failed")
        finally:
            # Also after a KeyboardInterrupt: a shutdown needs the time-outs.
            if heap and (self._armed_for is None or heap[0][0] < self._armed_for):
                self._arm(heap[0][0], heap[0][0] - monotonic())
