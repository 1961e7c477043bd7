"""Decorators, directive and table of event handlers: what is checked, found, shown, and chosen to run."""

from __future__ import annotations

import functools
import logging
import re
import sys
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError

from pyramid_socketio import SocketIOContext
from pyramid_socketio.channels import ChannelContext
from pyramid_socketio.config import ISocketIONamespaces
from pyramid_socketio.events import (
    EVENTS,
    EventHandlers,
    EventsContext,
    Handler,
    on_connect,
    on_message,
)
from pyramid_socketio.interfaces import IEventHandlers
from tests.conftest import ROOT


@on_message(channel="^room-")
@on_message(channel="dashboard")
def decorated(request: Any, socket: Any, context: Any, message: Any) -> None: ...


@on_message
def plain(request: Any, socket: Any, context: Any, message: Any) -> None: ...


def handler(request: Any, socket: Any, context: Any, *args: Any) -> None: ...


class Own(SocketIOContext):
    pass


class OwnEvents(EventsContext):
    pass


def app() -> Configurator:
    config = Configurator(settings={})
    config.include("pyramid_socketio")
    return config


@pytest.fixture
def config() -> Configurator:
    return app()


def handlers(config: Configurator) -> dict[str, list[tuple[str, str | None]]]:
    """event -> name of the function and its channel, of what is committed."""
    found = config.registry.queryUtility(IEventHandlers) or {}
    return {
        event: [(function.__name__, pattern and pattern.pattern) for function, pattern in rows]
        for event, rows in found.items()
    }


def main_context(config: Configurator) -> type | None:
    intr = config.introspector.get("socketio contexts", "/")
    return None if intr is None else intr["context"]


# The table


def chosen(channels: tuple[str, ...], always: bool = False) -> list[Any]:
    table = EventHandlers()
    for number, pattern in enumerate((None, "room-(?P<id>[0-9]+)", "dash", "^oom")):
        table.add("on_message", Handler(lambda number=number: number, None if pattern is None else re.compile(pattern)))
    found = table.matching("on_message", channels, always)
    return [(function(), match and match.group()) for function, match in found]


@pytest.mark.parametrize(
    ("channels", "numbers"),
    [
        ((), [(0, None)]),
        (("lobby",), []),
        (("room-1",), [(1, "room-1")]),
        (("the room-1",), []),
        (("lobby", "room-2", "room-1"), [(1, "room-2")]),
        (("room-1", "dashboard"), [(1, "room-1"), (2, "dash")]),
    ],
)
def test_who_is_bound_to_what(channels: tuple[str, ...], numbers: list[Any]) -> None:
    assert chosen(channels) == numbers
    assert chosen(channels, always=True) == [(0, None), *(row for row in numbers if row[0])]


def test_other_events_have_other_handlers() -> None:
    assert EventHandlers().matching("on_finish", (), True) == []


# Decorators


def test_scan_finds_decorated_functions(config: Configurator) -> None:
    config.scan(sys.modules[__name__])
    config.commit()
    assert sorted(handlers(config)["on_message"], key=str) == [
        ("decorated", "^room-"),
        ("decorated", "dashboard"),
        ("plain", None),
    ]
    assert decorated.__name__ == "decorated"
    intr = config.introspector.get("socketio handlers", ("on_message", decorated, "^room-"))
    assert dict(intr) == {"event": "on_message", "handler": decorated, "channel": "^room-"}
    assert intr.title == "decorated for on_message"
    assert intr.action_info.file == __file__
    assert "on_message" in intr.action_info.src or "decorated" in intr.action_info.src


def test_two_applications_do_not_share() -> None:
    first, second = app(), app()
    first.scan(sys.modules[__name__])
    second.add_socketio_handler("on_finish", handler)
    for config in (first, second):
        config.commit()
    assert set(handlers(first)) == {"on_message"}
    assert handlers(second) == {"on_finish": [("handler", None)]}


def test_a_scan_needs_the_include() -> None:
    config = Configurator()
    with pytest.raises(ConfigurationError, match=r"config.include\('pyramid_socketio'\) must come before"):
        config.scan(sys.modules[__name__])


def test_what_a_decorator_is_not_for() -> None:
    with pytest.raises(TypeError, match=r"@on_message: it takes one argument, channel='\^room-', which needs its name"):
        on_message("^room-")  # type: ignore[type-var]
    with pytest.raises(TypeError, match="handlers are functions, and .*Methods.said is a method"):

        class Methods:
            @on_message
            def said(self, request: Any, socket: Any, context: Any, message: Any) -> None: ...


def test_events_have_names() -> None:
    assert EVENTS[0] == "on_connect" and EVENTS[-1] == "on_finish" and len(EVENTS) == 7
    assert repr(on_connect) == "<event on_connect>"


# The directive


async def coroutine(*args: Any) -> None: ...


def generator(*args: Any) -> Any:
    yield


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("message", handler), "'message' is none of the events on_connect, on_message, "),
        (("on_message", 5), "5 for on_message is no function"),
        (("on_message", None), "None for on_message is no function"),
        (("on_message", coroutine), "coroutine must not be `async def` nor contain `yield`"),
        (("on_message", generator), "generator must not be"),
        (("on_message", handler, "room-("), r"the channel 'room-\(' of handler is no pattern"),
        (("on_message", handler, 5), "the channel 5 of handler is no pattern"),
        (("on_message", handler, b"room-"), "the channel b'room-' of handler is no pattern: it has to be text"),
        (("on_connect", handler, "room"), "on_connect: handler cannot be bound to the channel 'room'"),
    ],
)
def test_bad_arguments(config: Configurator, arguments: tuple[Any, ...], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        config.add_socketio_handler(*arguments)


def test_a_dotted_name_and_an_object_that_can_be_called(config: Configurator) -> None:
    config.add_socketio_handler("on_message", f"{__name__}.plain")
    config.add_socketio_handler("on_message", functools.partial(plain), "a")
    config.commit()
    table = config.registry.getUtility(IEventHandlers)
    assert [row.function for row in table["on_message"]][0] is plain
    assert len(table["on_message"]) == 2


def test_the_same_twice_is_a_conflict(config: Configurator) -> None:
    config.add_socketio_handler("on_message", plain)
    config.add_socketio_handler("on_message", plain, "a")
    config.add_socketio_handler("on_finish", plain)
    config.commit()
    config.add_socketio_handler("on_error", plain)
    config.add_socketio_handler("on_error", plain)
    with pytest.raises(ConfigurationConflictError):
        config.commit()


# Who answers "/"


def test_an_application_without_handlers_gets_no_context(config: Configurator) -> None:
    config.commit()
    assert main_context(config) is None
    assert config.registry.getUtility(ISocketIONamespaces).get_routes() == []


@pytest.mark.parametrize("autocommit", [True, False])
def test_handlers_alone_are_enough(autocommit: bool) -> None:
    config = Configurator(settings={}, autocommit=autocommit)
    config.include("pyramid_socketio")
    config.add_socketio_context(Own, "/chat")
    config.add_socketio_handler("on_message", plain)
    config.add_socketio_handler("on_finish", plain)
    config.commit()
    assert main_context(config) is EventsContext
    patterns = [route.pattern for route in config.registry.getUtility(ISocketIONamespaces).get_routes()]
    assert patterns == ["/chat", "/"]
    intr = config.introspector.get("socketio contexts", "/")
    (route,) = config.introspector.related(intr)
    assert route["pattern"] == "/"
    assert "views" in {related.category_name for related in config.introspector.related(route)}


@pytest.mark.parametrize("context", [OwnEvents, Own])
@pytest.mark.parametrize("context_first", [True, False])
def test_an_own_context_is_left_alone(
    config: Configurator, context: type, context_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    steps = [
        lambda: config.include(lambda config: config.add_socketio_context(context, "/")),
        lambda: config.add_socketio_handler("on_message", plain),
    ]
    for step in steps if context_first else reversed(steps):
        step()
    with caplog.at_level(logging.WARNING):
        config.commit()
    assert main_context(config) is context
    assert handlers(config) == {"on_message": [("plain", None)]}
    said = (
        [] if context is OwnEvents else ["event handlers do not run for clients of Own, which answers '/' and is no "]
    )
    assert [text[: len(start)] for text, start in zip(caplog.messages, said, strict=True)] == said


def test_a_context_that_comes_in_a_later_commit_takes_over(config: Configurator) -> None:
    config.add_socketio_handler("on_message", plain)
    config.commit()
    config.add_socketio_context(OwnEvents, "/")
    config.commit()
    assert main_context(config) is OwnEvents
    assert len(config.registry.getUtility(ISocketIONamespaces).get_routes()) == 1


# What the classes promise


def test_a_client_can_call_nothing_but_these() -> None:
    assert set(ChannelContext._handlers) == {"subscribe", "unsubscribe"}
    assert set(EventsContext._handlers) == {"subscribe", "unsubscribe", "message"}


def test_the_guide_names_each_event() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    section = guide[guide.index("## Channels and events") :]
    for event in EVENTS:
        assert f"`{event}(" in section, event
