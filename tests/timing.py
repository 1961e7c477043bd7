"""Waiting on gevent's loop, and measuring what a call costs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import suppress

import gevent

from tests.conftest import DEADLINE

__all__ = ["MEGABYTE", "MS", "cpu_seconds", "turn_until"]

#: What the limits of the package let through at a time.
MEGABYTE = 1_000_000

#: A millisecond, longer on a slow machine.
MS = 0.001 * DEADLINE / 10.0


def cpu_seconds(call: Callable[[], object], *refusals: type[Exception]) -> float:
    """CPU time of the fastest of five calls; the others were disturbed by something else.

    Without the garbage collector, which goes through whatever else the process has.

    Args:
        refusals: errors with which a call may end as well.
    """

    def once() -> float:
        start = time.process_time()
        with suppress(*refusals):
            call()
        return time.process_time() - start

    gc.disable()
    try:
        return min(once() for _ in range(5))
    finally:
        gc.enable()


def turn_until(condition: Callable[[], object]) -> None:
    """Let the event loop of this thread turn until the condition is true."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"not so within {DEADLINE:g} s"
        gevent.sleep(0.001)
