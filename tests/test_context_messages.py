"""From the wire to a handler: which one is called, with what, and what its answer is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyramid_socketio import SocketIOContext, message
from tests.contexts import Chat, connected


@pytest.mark.parametrize(
    "data, answer",
    [
        (["say", 1, "two"], ["say", 1, "two"]),
        (["say"], ["say"]),
        (["message", {"type": "say", "text": "hi"}], ["say", {"type": "say", "text": "hi"}]),
        (["cursor_move", 1], ["cursor_move", 1]),
        *([[name, 1], ["cursor_move", 1]] for name in ("cursor:move", "cursor-move", "cursor.move", "cursor/move")),
        (["cursor move", 1], ["cursor_move", 1]),
        (["message", {"type": "cursor:move"}], ["cursor_move", {"type": "cursor:move"}]),
        (["paint", 1], ["paint", 1]),
        (["a b", 1], ["exact", 1]),
        (["c/d", 1], ["exact", 1]),
        (["message", {"type": "a b"}], ["exact", {"type": "a b"}]),
        (["list"], [[1, 2]]),
        (["nothing"], None),
    ],
)
def test_dispatch(data: list[Any], answer: list[Any] | None) -> None:
    context, socket = connected(Chat)
    assert context.handle_event(data, True) == answer
    assert context.handle_event(data, False) is None
    assert socket.sent == []


@pytest.mark.parametrize(
    "name",
    [
        *("nobody", "", "msg_say", "exact", "helper", "color", "property", "a_b", "c_d", "say ", "Say", "_say"),
        *("__init__", "__class__", "__call__", "__delattr__", "__reduce__", "__dir__", "__proto__"),
        *("request", "io", "session", "id", "disconnect_reason", "kill", "handle_event", "connect", "\0", "s\u00e4y"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda name: [name, "io"], lambda name: ["message", {"type": name, "self": 1}]])
def test_nothing_else_can_be_called(name: str, wrap: Callable[[str], list[Any]]) -> None:
    context, socket = connected(Chat)
    told = context.handle_event(wrap(name), True)
    assert told == [{"type": "error", "error": "unknown_command", "msg": f"Command unknown: {told[0]['msg'][17:]}"}]
    assert socket.sent == [["message", told[0]]]


def test_the_name_of_an_unknown_command_is_cut_and_escaped(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    context.handle_event(["\x1b[31m" + 10_000 * "a"], False)
    for text in (socket.sent[0][1]["msg"], caplog.messages[0]):
        assert len(text) < 200
        assert text.isprintable()


@pytest.mark.parametrize("kind", [None, 1, True, [], {}])
def test_a_type_that_is_no_text(kind: Any) -> None:
    context, socket = connected(Chat)
    told = {"type": "error", "error": "bad_request", "msg": "You need a 'type' attribute in your message"}
    assert context.handle_event(["message", {"type": kind}], True) == [told]
    assert socket.sent == [["message", told]]


@pytest.mark.parametrize("args", [[], [{}, {}], [[1]], ["text"], [1], [None], [b"bytes"]])
def test_a_message_that_is_no_dict(args: list[Any]) -> None:
    context, socket = connected(Chat)
    told = {
        "type": "error",
        "error": "bad_request",
        "msg": "Your message needs to be JSON-formatted: send an object, or handle it with msg_message",
    }
    assert context.handle_event(["message", *args], True) == [told]
    assert context.handle_event(["message", {"text": "no type"}], False) is None
    assert socket.sent[1][1]["error"] == "bad_request"


def test_an_event_whose_name_is_a_number() -> None:
    context, _ = connected(Chat)
    assert context.handle_event([1, "say"], True)[0]["error"] == "bad_request"


def test_a_context_may_take_messages_of_any_shape() -> None:
    class Plain(Chat):
        def msg_message(self, *args: Any) -> Any:
            return "message", *args

    context, _ = connected(Plain)
    assert context.handle_event(["message", "text"], True) == ["message", "text"]
    assert context.handle_event(["message", {"no": "type"}], True) == ["message", {"no": "type"}]
    assert context.handle_event(["message", {"type": "say"}], True) == ["say", {"type": "say"}]


def test_unknown_can_be_handled() -> None:
    class Open(SocketIOContext):
        def unknown(self, name: str, *args: Any) -> Any:
            return name, *args

    context, socket = connected(Open)
    assert context.handle_event(["x:y", 1, 2], True) == ["x:y", 1, 2]
    assert context.handle_event(["message", {"type": "z"}], True) == ["z", {"type": "z"}]
    assert socket.sent == []


def test_handlers_are_inherited_and_can_be_taken_back() -> None:
    class Mixin:
        def msg_mixed(self) -> str:
            return "mixed"

    class Quiet(Mixin, Chat):
        msg_say = None

        def exact(self, *args: Any) -> str:
            return "overridden"

    context, _ = connected(Quiet)
    assert context.handle_event(["mixed"], True) == ["mixed"]
    assert context.handle_event(["a b"], True) == ["overridden"]
    assert context.handle_event(["say"], True)[0]["error"] == "unknown_command"
    assert connected(Chat)[0].handle_event(["mixed"], True)[0]["error"] == "unknown_command"


def test_msg_wins_over_event() -> None:
    class Both(SocketIOContext):
        def msg_a(self) -> str:
            return "msg"

        def event_a(self) -> str:
            return "event"

    class Below(Both):
        def event_a(self) -> str:
            return "below"

    assert connected(Both)[0].handle_event(["a"], True) == ["msg"]
    assert connected(Below)[0].handle_event(["a"], True) == ["below"]


def test_other_keys_for_the_type() -> None:
    context, socket = connected(Chat, in_type="cmd", out_type="what")
    assert context.handle_event(["message", {"cmd": "say"}], True) == ["say", {"cmd": "say"}]
    context.handle_event(["message", {"type": "say"}], False)
    assert socket.sent[0][1] == {
        "what": "error",
        "error": "bad_request",
        "msg": "You need a 'cmd' attribute in your message",
    }
    context.msg("x", a=1)
    assert socket.sent[1] == ["message", {"what": "x", "a": 1}]


# One method for a name


def named(answer: str, *names: str) -> Any:
    """A method, with ``@message`` above it for each of the names."""

    def method(self: Any) -> str:
        return answer

    for name in names:
        message(name)(method)
    return method


@pytest.mark.parametrize(
    "methods",
    [
        {"one": named("1", "a"), "two": named("2", "a")},
        {"one": named("1", "a", "b"), "two": named("2", "c", "a")},
        {"msg_a": named("1"), "two": named("2", "a")},
        {"two": named("2", "a"), "msg_a": named("1")},
        {"event_a": named("1"), "two": named("2", "a")},
    ],
)
@pytest.mark.parametrize("mixin", [False, True])
def test_two_methods_of_a_class_for_one_name(methods: dict[str, Any], mixin: bool) -> None:
    with pytest.raises(TypeError, match=r"are both for the message 'a': remove one of them") as raised:
        if mixin:
            type("Below", (type("Twice", (), methods), SocketIOContext), {})
        else:
            type("Twice", (SocketIOContext,), methods)
    assert all(f"Twice.{name} " in str(raised.value) for name in methods)


def test_a_name_may_move_to_another_method_in_a_subclass() -> None:
    first = named("first", "a", "a")
    above = type("Above", (SocketIOContext,), {"first": first, "msg_a": first, "msg_b": named("b")})
    assert connected(above)[0].handle_event(["a"], True) == ["first"], "one function by two names is one"
    methods = {"second": named("second", "a"), "third": named("third", "b"), "msg_b": None}
    below = connected(type("Below", (above,), methods))[0]
    assert below.handle_event(["a"], True) == ["second"]
    assert below.handle_event(["b"], True) == ["third"]
    assert connected(type("Same", (above,), {"first": named("again", "a")}))[0].handle_event(["a"], True) == ["again"]


# What a handler may be


def test_message_needs_its_parentheses() -> None:
    def move(self: Any) -> None: ...

    with pytest.raises(TypeError, match=r'write @message\("name"\) above .*move'):
        message(move)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r'write @message\("name"\) above 5'):
        message(5)  # type: ignore[arg-type]


def lazy_functions() -> dict[str, Any]:
    """Functions of which a call runs nothing; new ones, because ``message`` marks them."""

    async def coroutine(self: Any) -> None: ...

    def generator(self: Any) -> Iterator[int]:
        yield 1

    async def asynchronous_generator(self: Any) -> Any:
        yield 1

    return {function.__name__: function for function in (coroutine, generator, asynchronous_generator)}


@pytest.mark.parametrize("kind", lazy_functions())
@pytest.mark.parametrize("name", ["msg_x", "event_x", "exact", "connect", "disconnect", "unknown"])
def test_handlers_are_plain_functions(name: str, kind: str) -> None:
    function = lazy_functions()[kind]
    method = message("x y")(function) if name == "exact" else function
    with pytest.raises(
        TypeError, match=rf"^Wrong\.{name} must not be .*: handlers are plain functions; they may block$"
    ):
        type("Wrong", (SocketIOContext,), {name: method})


def test_other_methods_may_be_anything() -> None:
    assert type("Right", (SocketIOContext,), lazy_functions())


def test_one_handler_that_is_wrapped_may_have_two_names() -> None:
    class Chat(SocketIOContext):
        @message("a")
        def first(self, msg: Any) -> str:
            return "a"

        @functools.wraps(first)
        def second(self, msg: Any) -> str:
            return self.first(msg)

    assert Chat._handlers["a"] == "second"
