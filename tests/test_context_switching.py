"""Contexts that lie above each other: one takes over from another, and gives back."""

from __future__ import annotations

import gevent
import pytest

from pyramid_socketio import SocketIOContext
from tests.conftest import DEADLINE
from tests.contexts import INTERNAL_ERROR, Ending, connected, forever, new_ending


@pytest.fixture
def ending() -> type[Ending]:
    return new_ending()


def test_switch_and_back(ending: type[Ending]) -> None:
    first, socket = connected(ending, in_type="cmd")
    assert first.handle_event(["switch", "b"], True) is None
    second = socket.context
    assert second is not first and second.io is socket
    assert second.handle_event(["message", {"cmd": "name"}], True) == [INTERNAL_ERROR]  # in_type came along
    assert second.handle_event(["name"], True) == ["b"]
    greenlet = second.spawn(forever)
    gevent.sleep(0)
    assert second.handle_event(["back"], True) is None
    assert greenlet.dead
    assert socket.context is first
    assert ending.notes == [("b", None)]
    assert first.handle_event(["name"], True) == ["a"]
    assert first.kill(recursive=False) is None
    socket.finish()
    assert ending.notes == [("b", None), ("a", "server")]


def test_kill_returns_to_the_parent_from_a_greenlet_too(ending: type[Ending]) -> None:
    first, socket = connected(ending)
    first.handle_event(["switch", "b"], False)
    socket.context.spawn(socket.context.kill, recursive=False).join(DEADLINE)
    assert socket.context is first
    assert ending.notes == [("b", None)]


def test_the_end_reaches_every_context_below(ending: type[Ending]) -> None:
    first, socket = connected(ending)
    greenlets = [first.spawn(forever)]
    for name in "bc":
        socket.context.handle_event(["switch", name], False)
        greenlets.append(socket.context.spawn(forever))
    gevent.sleep(0)
    socket.end()
    socket.finish()
    assert ending.notes == [("c", "client"), ("b", "client"), ("a", "client")]
    assert all(greenlet.dead for greenlet in greenlets)


def test_killing_one_in_the_middle_ends_those_above_it(ending: type[Ending]) -> None:
    first, socket = connected(ending)
    first.handle_event(["switch", "b"], False)
    middle = socket.context
    middle.handle_event(["switch", "c"], False)
    assert middle.kill(recursive=False) is first
    assert middle.kill(recursive=False) is first
    assert socket.context is first
    assert ending.notes == [("c", None), ("b", None)]
    socket.end()
    socket.finish()
    assert ending.notes[2:] == [("a", "client")]


def test_a_context_made_by_hand_lies_above_too(ending: type[Ending]) -> None:
    class Making(ending):  # type: ignore[misc, valid-type]
        def msg_make(self) -> SocketIOContext:
            return ending(self.request, "b")

        def msg_root(self) -> SocketIOContext:
            return self

    first, socket = connected(Making)
    first.handle_event(["root"], False)
    assert socket.context is first
    first.handle_event(["make"], False)
    assert socket.context.name == "b"
    socket.end()
    socket.finish()
    assert ending.notes == [("b", "client"), ("a", "client")]


def test_returning_to_an_earlier_context_ends_those_above_it(ending: type[Ending]) -> None:
    class Root(ending):  # type: ignore[misc, valid-type]
        def msg_root(self) -> SocketIOContext:
            return next(context for context in self._chain() if context.name == "a")

    first, socket = connected(Root)
    first.handle_event(["switch", "b"], False)
    socket.context.handle_event(["switch", "c"], False)
    socket.context.handle_event(["root"], False)
    assert socket.context is first
    assert ending.notes == [("c", None), ("b", None)]


@pytest.mark.parametrize("finished", [False, True])
def test_switching_after_the_client_has_gone(ending: type[Ending], finished: bool) -> None:
    class Late(ending):  # type: ignore[misc, valid-type]
        def msg_switch(self, name: str) -> SocketIOContext:
            new = self.switch(type(self), name)
            self.greenlet = new.spawn(forever)
            gevent.sleep(0)
            self.io.end()
            if finished:  # the handler took longer than close_timeout
                self.io.finish()
            return new

    first, socket = connected(Late)
    first.handle_event(["switch", "b"], False)
    if not finished:
        socket.finish()
    first.greenlet.join(DEADLINE)
    assert first.greenlet.dead
    assert sorted(ending.notes) == [("a", "client"), ("b", "client")]


def test_options_given_to_the_new_context_count(ending: type[Ending]) -> None:
    first, _ = connected(ending, in_type="cmd", debug=True)
    assert first.switch(ending, in_type="kind")._in_type == "kind"
    assert first.switch(ending)._in_type == "cmd"
    assert first.switch(ending)._debug is True
