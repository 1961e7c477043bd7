"""Pooled greenlets for application code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from gevent import Greenlet, GreenletExit, get_hub, getcurrent
from greenlet import greenlet

__all__ = ["Workers"]

log = logging.getLogger(__name__)

#: Idle workers above this end: a burst of blocked handlers leaves no crowd behind.
MAX_IDLE: Final = 64


class _Worker(Greenlet):  # type: ignore[misc]
    gr_context: Any

    def __init__(self, pool: Workers, job: Callable[[], None]) -> None:
        super().__init__()
        self.pool = pool
        self.job: Callable[[], None] | None = job

    def _run(self) -> None:
        pool = self.pool
        idle = pool.idle
        hub = get_hub()
        _switch = greenlet.switch
        while True:
            job = self.job
            self.job = None
            if job is not None:
                try:
                    job()
                except GreenletExit:
                    # Whoever killed it may wait until it has ended.
                    return
                except Exception:
                    log.exception("unexpected error in a worker")
                # A worker carries nothing from one message to the next: neither what the job held on to, nor context
                # variables.
                job = None
                if self.gr_context is not None:
                    self.gr_context = None
            if len(idle) >= MAX_IDLE or pool.closed:
                return
            idle.append(self)
            try:
                # greenlet's own: gevent's asks for a hook that a worker does not have
                _switch(hub)
            except BaseException:
                if self in idle:
                    idle.remove(self)
                elif self.job is not None:
                    pool.run(self.job)  # killed with a job in hand
                raise


class Workers:
    """A pool of greenlets that grows as handlers block.

    A worker that is idle is switched to at once, which costs about as much as a function call; a new one is started
    where none is idle.
    """

    def __init__(self) -> None:
        self.idle: list[_Worker] = []
        self.closed = False

    def run(self, job: Callable[[], None]) -> None:
        """Run ``job`` in a worker: now when called in the hub, otherwise soon.

        ``job`` logs its own errors.
        """
        if getcurrent() is get_hub():
            self.run_from_hub(job)
        elif self.idle:
            worker = self.idle.pop()
            worker.job = job
            # Only the hub may switch to it: it gives control back to whoever comes after the hub.
            get_hub().loop.run_callback(worker.switch)
        else:
            _Worker(self, job).start()

    def run_from_hub(self, job: Callable[[], None]) -> None:
        """As :meth:`run`, for callers that are in the hub and in a hurry."""
        if self.idle:
            worker = self.idle.pop()
            worker.job = job
            worker.switch()
        else:
            _Worker(self, job).start()

    def close(self) -> None:
        """End the idle workers; busy ones end after their job."""
        self.closed = True
        idle: list[Any] = self.idle[:]
        self.idle.clear()
        for worker in idle:
            worker.kill(block=False)
