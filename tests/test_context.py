"""The class that applications subclass, on a socket that writes down what it is asked for."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from datetime import date
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event
from pyramid import testing
from pyramid.httpexceptions import HTTPForbidden
from pyramid.interfaces import IRendererFactory
from pyramid.renderers import JSON
from pyramid.testing import DummyRequest

import pyramid_socketio
from pyramid_socketio import SocketIOContext, message, require_connection
from pyramid_socketio.context import KeyAssertError, refusal
from pyramid_socketio.errors import AckTimeout, CloseReason, SessionClosed
from pyramid_socketio.interfaces import CANNOT_SERVE
from pyramid_socketio.manage import socketio_manage
from pyramid_socketio.protocol.jsontext import dumps
from pyramid_socketio.protocol.socketio_v5 import encode_event
from pyramid_socketio.settings import Settings
from tests.conftest import DEADLINE

INTERNAL_ERROR = {"type": "error", "error": "internal_error", "msg": "The server could not handle this message"}


class RecordingSocket:
    """What a context needs of its socket; ``sent`` and ``broadcasts`` hold what the clients would read."""

    id = "me"
    namespace = "/room"

    def __init__(self) -> None:
        self.reason: str | None = None
        self.context: Any = None
        self.sent: list[Any] = []
        self.broadcasts: list[Any] = []
        self.asked: list[tuple[Any, Callable[..., None]]] = []
        self.answer: list[Any] | Exception = []
        self.connection = SimpleNamespace(owner=self)
        self.settings = Settings(close_timeout=0.2)

    def connected(self) -> bool:
        return self.reason is None

    def send_event(self, data: list[Any], default: Any = None) -> None:
        self.sent.append(json.loads(dumps(data, default)))

    def send_with_ack(self, data: list[Any], answered: Any, default: Any = None) -> None:
        self.asked.append((json.loads(dumps(data, default)), answered))

    def call(self, data: list[Any], timeout: float, default: Any = None) -> list[Any]:
        self.send_event(data, default)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def broadcast(self, namespace: str, data: list[Any], skip: Any, default: Any) -> None:
        assert namespace == self.namespace
        assert skip in (None, self)
        self.broadcasts.append(("others" if skip else "all", json.loads(dumps(data, default))))

    def end(self, reason: str = CloseReason.CLIENT) -> None:
        """The client goes away; :meth:`finish` is what comes after it in the inbox."""
        if self.reason is None:
            self.reason = reason
            self.context.stop()

    def finish(self) -> None:
        self.context.finish(self.reason)

    def disconnect(self) -> None:
        self.end(CloseReason.SERVER)


def connected(context_class: type[SocketIOContext], **options: Any) -> tuple[Any, RecordingSocket]:
    socket = RecordingSocket()
    request = DummyRequest(environ={"socketio": socket})
    context = context_class(request, **options)
    socket.context = context
    return context, socket


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Errors in the log; each has to have its traceback."""
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert all(record.exc_info for record in records)
    return [record.getMessage() for record in records]


class Chat(SocketIOContext):
    """Handlers return what they were called with."""

    color = "red"

    def msg_say(self, *args: Any) -> Any:
        return "say", *args

    def msg_cursor_move(self, *args: Any) -> Any:
        return "cursor_move", *args

    def event_paint(self, *args: Any) -> Any:
        return "paint", *args

    @message("a b")
    @message("c/d")
    def exact(self, *args: Any) -> Any:
        return "exact", *args

    def msg_nothing(self) -> None:
        pass

    def msg_list(self) -> list[int]:
        return [1, 2]

    def msg_fail(self) -> None:
        raise ValueError("a secret")

    def msg_two(self, a: Any, b: Any) -> None: ...

    msg_color = "no method"

    def helper(self) -> None:
        raise AssertionError("not a handler")

    @property
    def msg_property(self) -> Any:
        raise AssertionError("nobody may look at it")


# From the wire to a handler


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


def test_the_name_of_an_unknown_command_is_cut_and_escaped() -> None:
    context, socket = connected(Chat)
    context.handle_event(["\x1b[31m" + 10_000 * "a"], False)
    text = socket.sent[0][1]["msg"]
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
    told = {"type": "error", "error": "bad_request", "msg": "Your message needs to be JSON-formatted"}
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


# Errors


def test_an_error_is_logged_once_and_told_with_a_fixed_text(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    assert context.handle_event(["fail"], True) == [INTERNAL_ERROR]
    assert socket.sent == [["message", INTERNAL_ERROR]]
    assert logged(caplog) == ["the handler of 'fail' failed in Chat, client me, namespace /room"]
    assert context.handle_event(["say"], True) == ["say"]


def test_another_signature_is_an_error_of_the_message_alone(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    assert context.handle_event(["two", 1], True) == [INTERNAL_ERROR]
    assert len(logged(caplog)) == 1


def test_a_timeout_that_leaves_a_handler_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(SocketIOContext):
        def msg_wait(self) -> None:
            with gevent.Timeout(0.001):
                gevent.sleep(DEADLINE)

    context, _ = connected(Slow)
    assert context.handle_event(["wait"], True) == [INTERNAL_ERROR]
    assert len(logged(caplog)) == 1


def test_a_handler_that_cannot_even_tell(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(Chat):
        def send(self, msg: Any) -> None:
            raise OSError("no")

    context, _ = connected(Mute)
    assert context.handle_event(["fail"], True) == []
    assert context.handle_event(["nobody"], True) == []
    assert len(logged(caplog)) == 4


def test_what_waits_for_a_client_that_goes_away_ends_silently(caplog: pytest.LogCaptureFixture) -> None:
    class Asking(SocketIOContext):
        def msg_ask(self) -> None:
            self.io.reason = CloseReason.CLIENT
            raise SessionClosed(CloseReason.CLIENT)

        def msg_other(self) -> None:
            raise SessionClosed("somebody else is gone")

    context, socket = connected(Asking)
    assert context.handle_event(["other"], True) == [INTERNAL_ERROR]
    assert len(logged(caplog)) == 1
    caplog.clear()
    assert context.handle_event(["ask"], True) == []
    assert logged(caplog) == []
    assert len(socket.sent) == 1


def test_an_error_after_the_end_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    socket.end()
    assert context.handle_event(["fail"], True) == []
    assert socket.sent == []
    assert len(logged(caplog)) == 1


def test_greenlet_exit_ends_the_message(caplog: pytest.LogCaptureFixture) -> None:
    class Leaving(SocketIOContext):
        def msg_leave(self) -> None:
            raise gevent.GreenletExit

    context, socket = connected(Leaving)
    assert context.handle_event(["leave"], True) is None
    assert logged(caplog) == [] and socket.sent == []


def test_system_exit_goes_through() -> None:
    class Exiting(SocketIOContext):
        def msg_exit(self) -> None:
            raise SystemExit

    with pytest.raises(SystemExit):
        connected(Exiting)[0].handle_event(["exit"], False)


@pytest.mark.parametrize("elements", ["a", ("a",), ["a", "b"], iter(["b", "a"])])
def test_assert_keys(elements: Any) -> None:
    class Careful(SocketIOContext):
        def msg_do(self, msg: Any) -> str:
            self.assert_keys(msg, elements)
            return "done"

    context, socket = connected(Careful)
    names = list(elements) if isinstance(elements, (str, list, tuple)) else None
    told = context.handle_event(["message", {"type": "do", "c": 1}], True)[0]
    assert told["error"] == "bad_request"
    assert told["msg"].startswith("Msg type 'do' should include all those keys: ")
    assert socket.sent == [["message", told]]
    if names:
        assert told["msg"].endswith(", ".join(names))
        assert context.handle_event(["message", {"type": "do", "a": 1, "b": None}], True) == ["done"]
        assert context.handle_event(["do", "no dict"], True)[0]["error"] == "bad_request"


def test_assert_keys_in_a_greenlet_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    context.spawn(context.assert_keys, {}, "a").join(DEADLINE)
    assert [sent[1]["error"] for sent in socket.sent] == ["bad_request"]
    assert logged(caplog) == []


def test_assert_keys_names_the_event() -> None:
    class Careful(SocketIOContext):
        def msg_keys(self, msg: Any) -> None:
            self.assert_keys(msg, "a")

        def msg_later(self, msg: Any) -> None:
            self.spawn(self.assert_keys, msg, "a").join(DEADLINE)

    context, socket = connected(Careful)
    for data in (["keys", {}], ["keys", "text"], ["later", {}], ["keys", {"type": "own"}]):
        context.handle_event(data, False)
    assert [sent[1]["msg"] for sent in socket.sent] == [
        "Msg type 'keys' should include all those keys: a",
        "Msg type 'keys' should include all those keys: a",
        # By the time that it runs, another event may be handled.
        "The message should include all those keys: a",
        "Msg type 'own' should include all those keys: a",
    ]


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


def test_key_assert_error_has_a_text() -> None:
    with pytest.raises(KeyAssertError, match="should include all those keys: a"):
        connected(Chat)[0].assert_keys({}, "a")


# From a handler to the wire


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


def test_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    connected(Chat)[0].debug("silent")
    context, _ = connected(Chat, debug=True)
    context.debug("50% of %s")
    context.debug("%d of %s", 1, "a")
    assert [record.getMessage() for record in caplog.records] == ["me: 50% of %s", "me: 1 of a"]


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


def forever(done: Event | None = None) -> None:
    try:
        gevent.sleep(1000)
    finally:
        if done is not None:
            done.set()


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


@pytest.mark.parametrize("error", [ValueError("a secret"), gevent.Timeout(1)])
def test_an_error_in_a_greenlet_is_logged_and_told(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise error

    context, socket = connected(Chat)
    context.spawn(fail).join(DEADLINE)
    assert socket.sent == [["message", INTERNAL_ERROR]]
    assert logged(caplog) == ["a greenlet failed in Chat, client me, namespace /room"]


class Ending(SocketIOContext):
    """Notes its end in a list that its class, or its parent, has."""

    notes: list[Any]

    def __init__(self, request: Any, name: str = "a", **options: Any) -> None:
        super().__init__(request, **options)
        self.name = name

    def disconnect(self) -> None:
        self.notes.append((self.name, self.disconnect_reason))

    def msg_name(self) -> str:
        return self.name

    def msg_switch(self, name: str) -> SocketIOContext:
        return self.switch(type(self), name)

    def msg_back(self) -> SocketIOContext | None:
        return self.kill(recursive=False)

    def msg_kill(self) -> None:
        self.kill()


@pytest.fixture
def ending() -> Iterator[type[Ending]]:
    class Fresh(Ending):
        notes = []

    yield Fresh


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


# Switching


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


# The rest


def test_refusal_tells_the_status_and_nothing_else() -> None:
    refused = refusal(HTTPForbidden("a secret"))
    assert (refused.message, refused.data) == ("Forbidden", {"status": 403})


def test_managing_needs_our_server() -> None:
    with pytest.raises(RuntimeError) as raised:
        socketio_manage(Chat(DummyRequest()))
    assert str(raised.value) == CANNOT_SERVE


def test_the_original_import_path() -> None:
    from pyramid_socketio import io

    assert io.SocketIOContext is SocketIOContext
    assert io.socketio_manage is pyramid_socketio.socketio_manage
    assert io.require_connection is require_connection
    assert issubclass(io.SocketIOKeyAssertError, io.SocketIOError)


def test_the_top_level_has_what_it_says() -> None:
    assert all(getattr(pyramid_socketio, name) for name in pyramid_socketio.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pyramid_socketio.nonsense


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
