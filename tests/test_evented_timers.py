"""One heap of deadlines for everything."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from time import monotonic

import gevent
import pytest

from pyramid_socketio.evented import timers as module
from pyramid_socketio.evented.timers import Timer, Timers
from tests.timing import MS, turn_until


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers()
    yield timers
    timers.close()


def test_callbacks_run_in_the_order_of_their_deadlines(timers: Timers) -> None:
    ran: list[int] = []
    for number in (3, 1, 2):
        timers.schedule(number * 50 * MS, partial(ran.append, number))
    assert len(timers) == 3
    turn_until(lambda: len(ran) == 3)
    assert ran == [1, 2, 3]
    assert len(timers) == 0


def test_equal_deadlines_run_in_the_order_of_their_making(timers: Timers, monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()
    monkeypatch.setattr(module, "monotonic", lambda: now)
    ran: list[int] = []
    for number in range(10):
        timers.schedule(0.0, partial(ran.append, number))
    turn_until(lambda: len(ran) == 10)
    assert ran == list(range(10))


def test_callbacks_run_in_the_hub_and_not_at_once(timers: Timers) -> None:
    where: list[object] = []
    timers.schedule(0.0, lambda: where.append(gevent.getcurrent()))
    timers.schedule(-1.0, lambda: where.append(gevent.getcurrent()))
    assert where == []
    turn_until(lambda: len(where) == 2)
    assert where == [gevent.get_hub()] * 2


def test_not_before_its_time(timers: Timers) -> None:
    ran: list[float] = []
    due = monotonic() + 20 * MS
    timers.schedule(20 * MS, lambda: ran.append(monotonic()))
    turn_until(lambda: ran)
    assert ran[0] >= due


def test_a_long_callback_before_does_not_make_a_timer_early(timers: Timers) -> None:
    # libev's idea of now would be that of the last poll.
    end = monotonic() + 20 * MS
    while monotonic() < end:
        pass
    test_not_before_its_time(timers)


def test_cancel(timers: Timers) -> None:
    ran: list[str] = []
    first = timers.schedule(MS, lambda: ran.append("first"))
    timers.schedule(2 * MS, lambda: ran.append("second"))
    first.cancel()
    first.cancel()
    assert len(timers) == 1
    turn_until(lambda: ran)
    assert ran == ["second"]
    assert len(timers) == 0


def test_cancel_after_the_call_is_harmless(timers: Timers) -> None:
    ran: list[int] = []
    timer = timers.schedule(0.0, lambda: ran.append(1))
    turn_until(lambda: ran)
    timer.cancel()
    assert len(timers) == 0


def test_a_callback_may_cancel_one_that_is_due(timers: Timers) -> None:
    ran: list[str] = []
    later: list[Timer] = []

    def first() -> None:
        ran.append("first")
        later[0].cancel()

    timers.schedule(0.0, first)
    later.append(timers.schedule(0.0, lambda: ran.append("second")))
    timers.schedule(0.0, lambda: ran.append("third"))
    turn_until(lambda: "third" in ran)
    assert ran == ["first", "third"]


def test_a_callback_may_schedule(timers: Timers) -> None:
    ran: list[int] = []

    def again() -> None:
        ran.append(len(ran))
        if len(ran) < 5:
            timers.schedule(0.0, again)

    timers.schedule(0.0, again)
    timers.schedule(5 * MS, lambda: ran.append(99))
    turn_until(lambda: 99 in ran and len(ran) == 6)


def test_an_earlier_one_does_not_wait_for_a_later_one(timers: Timers) -> None:
    ran: list[str] = []
    timers.schedule(3600.0, lambda: ran.append("late"))
    timers.schedule(MS, lambda: ran.append("early"))
    turn_until(lambda: ran)
    assert ran == ["early"]
    assert len(timers) == 1


def test_an_error_is_logged_and_stops_nothing(timers: Timers, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []
    timers.schedule(0.0, lambda: 1 / 0)  # type: ignore[arg-type]
    timers.schedule(0.0, lambda: ran.append(1))
    timers.schedule(MS, lambda: ran.append(2))
    turn_until(lambda: ran == [1, 2])
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "a timer's callback failed")


def test_other_timers_survive_an_interrupt(timers: Timers) -> None:
    ran: list[int] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    timers.schedule(0.0, interrupt)
    timers.schedule(MS, lambda: ran.append(1))
    with pytest.raises(KeyboardInterrupt):
        turn_until(lambda: ran)
    turn_until(lambda: ran)


def test_cancelled_timers_do_not_pile_up(timers: Timers) -> None:
    kept = [timers.schedule(60.0, lambda: None)]
    for _ in range(10):
        batch = [timers.schedule(100.0, lambda: None) for _ in range(1000)]
        kept.append(batch.pop())
        for timer in batch:
            timer.cancel()
        assert len(timers) == len(kept)
    timers.schedule(100.0, lambda: None)
    assert len(timers._heap) < 3000


def test_a_callback_may_bring_the_heap_to_be_rebuilt(timers: Timers) -> None:
    ran: list[str] = []

    def crowd() -> None:
        ran.append("crowd")
        timers.schedule(MS, lambda: ran.append("soon"))
        for timer in [timers.schedule(100.0, lambda: None) for _ in range(3000)]:
            timer.cancel()
        timers.schedule(100.0, lambda: None)

    timers.schedule(0.0, crowd)
    timers.schedule(0.0, lambda: ran.append("next"))
    timers.schedule(2 * MS, lambda: ran.append("last"))
    turn_until(lambda: "last" in ran)
    assert ran == ["crowd", "next", "soon", "last"]
    assert len(timers) == 1


def test_close_forgets_everything(timers: Timers) -> None:
    ran: list[int] = []
    timer = timers.schedule(0.0, lambda: ran.append(1))
    timers.close()
    timer.cancel()
    assert len(timers) == 0
    timers.schedule(MS, lambda: ran.append(2))
    turn_until(lambda: ran)
    assert ran == [2]
