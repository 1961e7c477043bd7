"""From a handler to the wire: messages, questions, and how values are written."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import date
from typing import Any

import pytest
from pyramid import testing
from pyramid.interfaces import IRendererFactory
from pyramid.renderers import JSON

from pyramid_socketio import SocketIOContext
from pyramid_socketio.errors import AckTimeout
from pyramid_socketio.protocol.packets import RESERVED_EVENTS
from pyramid_socketio.protocol.socketio_v5 import encode_event
from tests.contexts import Chat, connected


def test_sending() -> None:
    context, socket = connected(Chat)
    context.msg("a")
    context.msg("b", {"x": 1, "y": 2}, y=3)
    context.send([1])
    context.send_event("c", 1, 2)
    context.emit("d")
    assert context.error("code", "text") == {"type": "error", "error": "code", "msg": "text"}
    assert socket.sent == [
        ["message", {"type": "a"}],
        ["message", {"type": "b", "x": 1, "y": 3}],
        ["message", [1]],
        ["c", 1, 2],
        ["d"],
        ["message", {"type": "error", "error": "code", "msg": "text"}],
    ]
    context.broadcast({"x": 1})
    context.broadcast_event("e", 1)
    context.send_and_broadcast("all")
    assert socket.broadcasts == [
        ("others", ["message", {"x": 1}]),
        ("others", ["e", 1]),
        ("all", ["message", "all"]),
    ]


@pytest.mark.parametrize(
    ("name", "error"),
    [*((name, ValueError) for name in sorted(RESERVED_EVENTS)), *((name, TypeError) for name in (1, None, {}, b"a"))],
)
def test_names_that_no_event_can_have(name: Any, error: type[Exception]) -> None:
    context, socket = connected(Chat)
    for send in (
        context.emit,
        lambda name: context.emit(name, ack=print),
        context.send_event,
        context.broadcast_event,
        context.call,
        context.to("room").emit,
        context.to("room").call,
    ):
        with pytest.raises(error, match=r"the name of an event must be text|give the event another name"):
            send(name)
    assert socket.sent == socket.broadcasts == socket.asked == []


def test_asking() -> None:
    context, socket = connected(Chat)
    answers: list[Any] = []
    context.emit("question", 1, ack=answers.append)
    ((data, answered),) = socket.asked
    assert data == ["question", 1]
    answered("yes")
    assert answers == ["yes"]
    for socket.answer, expected in (([], None), ([1], 1), ([[]], []), ([1, 2], [1, 2])):  # noqa: B007
        assert context.call("question", 2, timeout=1) == expected
    socket.answer = AckTimeout("too late")
    with pytest.raises(TimeoutError):
        context.call("question")


def test_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    connected(Chat)[0].debug("silent")
    context, _ = connected(Chat, debug=True)
    context.debug("50% of %s")
    context.debug("%d of %s", 1, "a")
    assert [record.getMessage() for record in caplog.records] == ["me: 50% of %s", "me: 1 of a"]


# JSON


def test_json_functions_of_the_application() -> None:
    written: list[Any] = []

    def write(value: Any) -> str:
        written.append(value)
        return json.dumps({"wrapped": value})

    context, socket = connected(Chat, json_dumps=write, json_loads=lambda text: ("read", json.loads(text)))
    context.emit("a", 1, 2)
    context.send("b")
    context.broadcast("c")
    context.emit("d", 3, ack=print)
    context.call("e", 4)
    assert written == [1, 2, "b", "c", 3, 4]
    assert socket.sent == [
        ["a", {"wrapped": 1}, {"wrapped": 2}],
        ["message", {"wrapped": "b"}],
        ["e", {"wrapped": 4}],
    ]
    assert context.handle_event(["say", 5], True) == [{"wrapped": "say"}, {"wrapped": ["read", 5]}]


def test_json_of_values() -> None:
    class Money:
        def __json__(self, request: Any) -> Any:
            return {"amount": 5, "path": request.path}

    with testing.testConfig() as config:
        renderer = JSON()
        renderer.add_adapter(date, lambda value, request: value.year)
        config.registry.registerUtility(renderer, IRendererFactory, name="json")
        context, socket = connected(Chat)
        context.request.registry = config.registry
        context.emit("a", Money(), {"set": [Money()]})
        assert socket.sent == [["a", {"amount": 5, "path": "/"}, {"set": [{"amount": 5, "path": "/"}]}]]
        assert context.json_default(date(2020, 1, 2)) == 2020
        with pytest.raises(TypeError, match="complex is not JSON serializable"):
            context.emit("c", 1j)
    with testing.testConfig() as config:
        context.request.registry = config.registry
        with pytest.raises(TypeError, match="complex"):
            context.emit("c", 1j)


@dataclasses.dataclass
class Account:
    name: str
    secret: str

    def __json__(self, request: Any) -> dict[str, str]:
        return {"name": self.name}


@dataclasses.dataclass
class Point:
    x: int


def test_what_an_application_says_about_a_class_comes_before_its_obvious_form() -> None:
    default = connected(SocketIOContext)[0].json_default
    assert encode_event("/", ["a", Account("ada", "hunter2")], None, default)[0] == b'2["a",{"name":"ada"}]'
    mixed = ["a", Point(1), date(2026, 1, 2), b"x", Account("ada", "hunter2")]
    assert encode_event("/", mixed, None, default)[0] == (
        b'51-["a",{"x":1},"2026-01-02",{"_placeholder":true,"num":0},{"name":"ada"}]'
    )
    # 2**70 is beyond orjson: everything is written the slow way.
    assert encode_event("/", [2**70, Account("ada", "hunter2")], None, default)[0] == (
        b'2[1180591620717411303424,{"name":"ada"}]'
    )
