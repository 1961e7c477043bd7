"""The states of a session, pair by pair, and the heartbeat on a clock of its own."""

from __future__ import annotations

import itertools

import pytest

from pyramid_socketio.protocol.lifecycle import (
    CLOSED,
    CLOSING,
    OPEN,
    UPGRADING,
    ClientHeartbeat,
    Heartbeat,
    transition,
)

STATES = (OPEN, UPGRADING, CLOSING, CLOSED)
EVENTS = ("probe", "upgrade", "abandon", "close", "lost")

ALLOWED = {
    (OPEN, "probe"): UPGRADING,
    (OPEN, "close"): CLOSING,
    (OPEN, "lost"): CLOSED,
    (UPGRADING, "upgrade"): OPEN,
    (UPGRADING, "abandon"): OPEN,
    (UPGRADING, "close"): CLOSING,
    (UPGRADING, "lost"): CLOSED,
    (CLOSING, "lost"): CLOSED,
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(STATES, EVENTS)))
def test_transition(state: str, event: str) -> None:
    assert transition(state, event) == ALLOWED.get((state, event))


INTERVAL, TIMEOUT = 25.0, 20.0


def heartbeat() -> Heartbeat:
    return Heartbeat(INTERVAL, TIMEOUT, 100.0)


def pinged() -> Heartbeat:
    """Pinged at 125; the pong is due at 145."""
    beat = heartbeat()
    assert beat.on_deadline(125.0) == "ping"
    return beat


def test_pings_after_the_interval() -> None:
    beat = heartbeat()
    assert beat.next_deadline() == 125.0
    assert beat.on_deadline(124.9) == "wait"
    assert beat.next_deadline() == 125.0
    assert beat.on_deadline(125.0) == "ping"
    assert beat.next_deadline() == 145.0


def test_a_late_ping_leaves_the_client_all_its_time() -> None:
    beat = heartbeat()
    assert beat.on_deadline(130.0) == "ping"
    assert beat.next_deadline() == 150.0


def test_the_next_ping_is_counted_from_the_pong() -> None:
    beat = pinged()
    beat.on_pong(126.5)
    assert beat.next_deadline() == 151.5
    assert beat.on_deadline(145.0) == "wait"
    assert beat.on_deadline(151.5) == "ping"


def test_no_pong() -> None:
    beat = pinged()
    assert beat.on_deadline(144.9) == "wait"
    assert beat.on_deadline(145.0) == "timeout"


def test_a_pong_that_nobody_asked_for_changes_nothing() -> None:
    beat = heartbeat()
    beat.on_pong(120.0)
    assert beat.next_deadline() == 125.0


def test_a_client_that_was_heard_of_gets_the_time_once_more() -> None:
    beat = pinged()
    beat.heard = True
    assert beat.on_deadline(145.0) == "wait"
    assert beat.next_deadline() == 165.0
    assert beat.on_deadline(165.0) == "timeout"


def test_what_was_heard_before_the_ping_does_not_count() -> None:
    beat = heartbeat()
    beat.heard = True
    assert beat.on_deadline(125.0) == "ping"
    assert beat.on_deadline(145.0) == "timeout"


def test_a_server_that_does_not_read_expects_no_pong() -> None:
    beat = pinged()
    assert beat.on_deadline(145.0, deaf=True) == "wait"
    assert beat.on_deadline(165.0, deaf=True) == "wait"
    assert beat.on_deadline(185.0) == "timeout"


def test_a_client_that_pings_lives_on() -> None:
    beat = ClientHeartbeat(25, 20, now=0)
    assert beat.next_deadline() == 45
    beat.on_ping(25)
    assert beat.on_deadline(45) == "wait"
    assert beat.next_deadline() == 70


def test_a_client_that_should_ping_and_is_silent() -> None:
    beat = ClientHeartbeat(25, 20, now=0)
    assert beat.on_deadline(44.9) == "wait"
    assert beat.on_deadline(45) == "timeout"


@pytest.mark.parametrize("deaf", [False, True])
def test_anything_that_was_heard_counts_once(deaf: bool) -> None:
    beat = ClientHeartbeat(25, 20, now=0)
    beat.heard = not deaf
    assert beat.on_deadline(45, deaf) == "wait"
    assert beat.next_deadline() == 90
    assert beat.on_deadline(90) == "timeout"
