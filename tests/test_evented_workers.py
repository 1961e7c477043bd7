"""Pooled greenlets: who runs where, and what a job leaves behind."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterator
from functools import partial

import gevent
import pytest
from gevent.event import Event

from pyramid_socketio.evented.workers import MAX_IDLE, Workers
from tests.timing import turn_until


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.close()
    turn_until(lambda: not workers.idle)


def in_hub(call: Callable[[], object]) -> None:
    """Make a call in the hub; returns when it is over."""
    done: list[object] = []

    def run() -> None:
        try:
            call()
        finally:
            done.append(None)

    gevent.get_hub().loop.run_callback(run)
    turn_until(lambda: done)


def idle(workers: Workers, count: int = 1) -> None:
    """Let there be idle workers."""
    go = Event()
    for _ in range(count):
        workers.run(go.wait)
    gevent.sleep(0)
    go.set()
    turn_until(lambda: len(workers.idle) == count)


def test_a_job_runs_in_a_greenlet_of_its_own(workers: Workers) -> None:
    where: list[object] = []
    workers.run(lambda: where.append(gevent.getcurrent()))
    assert where == []
    turn_until(lambda: where)
    assert where[0] not in (gevent.getcurrent(), gevent.get_hub())


def test_an_idle_worker_runs_at_once_for_the_hub(workers: Workers) -> None:
    idle(workers)
    events: list[str] = []

    def call() -> None:
        workers.run(lambda: events.append("job"))
        workers.run_from_hub(lambda: events.append("job"))
        events.append("back")

    in_hub(call)
    assert events == ["job", "job", "back"]
    assert len(workers.idle) == 1


def test_an_idle_worker_runs_soon_for_a_greenlet(workers: Workers) -> None:
    idle(workers)
    events: list[str] = []
    workers.run(lambda: events.append("job"))
    assert events == []
    turn_until(lambda: events)


def test_a_blocked_worker_holds_up_nobody(workers: Workers) -> None:
    idle(workers)
    go, events = Event(), []

    def slow() -> None:
        go.wait()
        events.append("slow")

    def call() -> None:
        workers.run(slow)
        workers.run(lambda: events.append("quick"))

    in_hub(call)
    turn_until(lambda: events)
    assert events == ["quick"]
    go.set()
    turn_until(lambda: len(events) == 2)


def test_a_job_may_start_another(workers: Workers) -> None:
    events: list[int] = []

    def count(number: int) -> None:
        events.append(number)
        if number:
            workers.run(lambda: count(number - 1))

    workers.run(lambda: count(5))
    turn_until(lambda: len(events) == 6)
    assert events == [5, 4, 3, 2, 1, 0]


def test_workers_are_used_again(workers: Workers) -> None:
    seen = set()

    def all_done(done: list[None]) -> bool:
        return bool(done and workers.idle)

    for _ in range(20):
        done: list[None] = []

        def job(done: list[None] = done) -> None:
            seen.add(gevent.getcurrent())
            done.append(None)

        workers.run(job)
        turn_until(partial(all_done, done))
    assert len(seen) == 1


def test_a_crowd_leaves_again(workers: Workers) -> None:
    go = Event()
    done: list[None] = []

    def job() -> None:
        go.wait()
        done.append(None)

    for _ in range(3 * MAX_IDLE):
        workers.run(job)
    gevent.sleep(0)
    go.set()
    turn_until(lambda: len(done) == 3 * MAX_IDLE)
    turn_until(lambda: len(workers.idle) == MAX_IDLE)


def test_an_error_is_logged_once_and_the_worker_goes_on(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    idle(workers)
    (worker,) = workers.idle
    workers.run(lambda: 1 / 0)  # type: ignore[arg-type]
    turn_until(lambda: caplog.records and workers.idle)
    assert workers.idle == [worker]
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "unexpected error in a worker")


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="nothing")


def test_nothing_is_carried_from_one_job_to_the_next(workers: Workers) -> None:
    seen: list[str] = []

    def job() -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set("something")
        workers.run(lambda: seen.append(VARIABLE.get()))
        gevent.sleep(0)
        assert VARIABLE.get() == "something"

    workers.run(job)
    turn_until(lambda: len(seen) == 2 and len(workers.idle) == 2)
    in_hub(lambda: workers.run(lambda: seen.append(VARIABLE.get())))
    in_hub(lambda: workers.run(lambda: seen.append(VARIABLE.get())))
    assert seen == ["nothing"] * 4


class TestKilled:
    """The application can get hold of the greenlet that its handler runs in."""

    def test_at_work(self, workers: Workers) -> None:
        running: list[gevent.Greenlet] = []

        def job() -> None:
            running.append(gevent.getcurrent())
            Event().wait()

        workers.run(job)
        turn_until(lambda: running)
        # Whoever waits for the end sees it.
        running[0].kill()
        assert running[0].ready()
        assert workers.idle == []

    def test_idle(self, workers: Workers) -> None:
        idle(workers)
        (worker,) = workers.idle
        worker.kill()
        assert workers.idle == []
        done: list[None] = []
        workers.run(lambda: done.append(None))
        turn_until(lambda: done)

    def test_with_a_job_in_hand(self, workers: Workers) -> None:
        idle(workers)
        (worker,) = workers.idle
        done: list[None] = []
        worker.kill(block=False)
        workers.run(lambda: done.append(None))
        turn_until(lambda: done)
        turn_until(worker.ready)


def test_close(workers: Workers) -> None:
    idle(workers, 3)
    (first, *_) = pool = list(workers.idle)
    done: list[None] = []
    go = Event()

    def job() -> None:
        go.wait()
        done.append(None)

    workers.run(job)
    gevent.sleep(0)
    workers.close()
    turn_until(lambda: sum(worker.ready() for worker in pool) == 2)
    assert done == []
    go.set()
    turn_until(lambda: all(worker.ready() for worker in pool))
    assert done == [None]
    workers.run(lambda: done.append(None))
    turn_until(lambda: len(done) == 2)
    assert workers.idle == []
