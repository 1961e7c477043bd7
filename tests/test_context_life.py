"""What a context knows of its client, its greenlets, and its end."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event
from pyramid.httpexceptions import HTTPNotImplemented
from pyramid.testing import DummyRequest

from pyramid_socketio import SocketIOContext, require_connection
from pyramid_socketio.errors import SessionClosed
from pyramid_socketio.interfaces import CANNOT_SERVE
from pyramid_socketio.manage import socketio_manage
from tests.conftest import DEADLINE
from tests.contexts import Chat, Ending, connected, forever, logged, new_ending


@pytest.fixture
def ending() -> type[Ending]:
    return new_ending()


def test_managing_needs_our_server() -> None:
    with pytest.raises(HTTPNotImplemented) as raised:
        socketio_manage(Chat(DummyRequest()))
    assert str(raised.value) == CANNOT_SERVE


def test_id_and_reason() -> None:
    context, socket = connected(Chat)
    assert (context.id, context.disconnect_reason) == ("me", None)
    socket.end("ping timeout")
    assert context.disconnect_reason == "ping timeout"
    alone = Chat(DummyRequest())
    assert (alone.id, alone.disconnect_reason) == (None, None)


def test_require_connection() -> None:
    class Guarded(SocketIOContext):
        @require_connection
        def push(self, value: int) -> int:
            """Documented."""
            return value

    assert Guarded.push.__doc__ == "Documented."
    context, socket = connected(Guarded)
    assert context.push(1) == 1
    socket.end()
    with pytest.raises(gevent.GreenletExit):
        context.push(2)
    with pytest.raises(gevent.GreenletExit):
        Guarded(DummyRequest()).push(3)


# Greenlets


def test_a_greenlet_ends_with_the_client() -> None:
    context, socket = connected(Chat)
    done = Event()
    greenlet = context.spawn(forever, done=done)
    gevent.sleep(0)
    socket.end()
    assert done.wait(DEADLINE)
    greenlet.join(DEADLINE)
    assert greenlet.dead
    gevent.sleep(0)
    assert not context._greenlets
    with pytest.raises(SessionClosed):
        context.spawn(forever)


def test_a_greenlet_gives_its_value_and_is_forgotten() -> None:
    context, _ = connected(Chat)
    assert context.spawn(lambda a, b: a + b, 1, b=2).get(timeout=DEADLINE) == 3
    gevent.sleep(0)
    assert not context._greenlets


# The end


def test_the_end_runs_everything_once_and_in_order(ending: type[Ending], caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(ending)

    def fail() -> None:
        raise ValueError

    context.spawn(forever).link(lambda greenlet: ending.notes.append("greenlet"))
    gevent.sleep(0)
    context.on_disconnect(ending.notes.append, "callback")
    context.on_disconnect(fail)
    context.on_disconnect(lambda **named: ending.notes.append(named), x=1)
    socket.end("transport error")
    for _ in range(2):
        socket.finish()
    assert ending.notes[-3:] == [("a", "transport error"), "callback", {"x": 1}]
    gevent.sleep(0)
    assert sorted(map(str, ending.notes)) == sorted(["('a', 'transport error')", "callback", "greenlet", "{'x': 1}"])
    assert logged(caplog) == ["Fresh failed while ending, client me"]


def test_a_callback_that_comes_after_the_end_is_called_at_once() -> None:
    called: list[str] = []

    class Late(SocketIOContext):
        def disconnect(self) -> None:
            self.on_disconnect(called.append, "from disconnect")
            called.append("disconnect")

    context, socket = connected(Late)
    context.on_disconnect(context.on_disconnect, called.append, "from a callback")
    socket.end()
    socket.finish()
    assert called == ["disconnect", "from a callback", "from disconnect"]
    context.on_disconnect(called.append, "too late")
    assert called[-1] == "too late"


@pytest.mark.parametrize("error", [gevent.Timeout(1), ValueError(), gevent.GreenletExit()])
def test_a_failing_disconnect_does_not_keep_the_callbacks_away(error: BaseException) -> None:
    class Failing(SocketIOContext):
        def disconnect(self) -> None:
            raise error

    context, socket = connected(Failing)
    called: list[int] = []
    context.on_disconnect(called.append, 1)
    socket.end()
    socket.finish()
    assert called == [1]


def test_a_greenlet_that_does_not_end_does_not_keep_disconnect_away(ending: type[Ending]) -> None:
    over = Event()

    def stubborn() -> None:
        while not over.is_set():
            try:
                over.wait()
            except gevent.GreenletExit:
                pass

    context, socket = connected(ending)
    greenlet = context.spawn(stubborn)
    gevent.sleep(0)
    socket.end()
    socket.finish()  # after close_timeout
    assert ending.notes == [("a", "client")]
    over.set()
    greenlet.join(DEADLINE)


def test_a_greenlet_may_clean_up_in_peace(ending: type[Ending]) -> None:
    def careful() -> None:
        try:
            gevent.sleep(1000)
        finally:
            gevent.sleep(0.01)
            ending.notes.append("cleaned up")

    context, socket = connected(ending)
    context.spawn(careful)
    gevent.sleep(0)
    socket.end()
    socket.finish()
    assert ending.notes == ["cleaned up", ("a", "client")]


def test_kill_from_a_greenlet_of_its_own(ending: type[Ending]) -> None:
    context, socket = connected(ending)

    def suicide() -> None:
        context.kill()
        ending.notes.append("still here")
        forever()

    greenlet = context.spawn(suicide)
    other = context.spawn(forever)
    gevent.sleep(0)
    gevent.sleep(0)
    assert socket.reason == "server"
    socket.finish()
    assert ending.notes == ["still here", ("a", "server")]
    assert greenlet.dead and other.dead


def test_kill_before_the_client_is_in(ending: type[Ending]) -> None:
    context = ending(DummyRequest())
    greenlet = context.spawn(forever)
    gevent.sleep(0)
    assert context.kill() is None
    greenlet.join(DEADLINE)
    assert greenlet.dead
    assert ending.notes == []


def test_kill_from_a_handler(ending: type[Ending]) -> None:
    context, socket = connected(ending)
    assert context.handle_event(["kill"], True) is None
    assert socket.reason == "server"
    socket.finish()
    assert ending.notes == [("a", "server")]
