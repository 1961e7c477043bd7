"""The events of a connection on a real server: their order, their arguments, and what happens when they fail."""

from __future__ import annotations

import gc
import json
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pyramid.httpexceptions import HTTPForbidden
from pyramid.security import Denied

from pyramid_socketio import ConnectRefused
from pyramid_socketio.events import EVENTS
from tests.conftest import wait_for
from tests.functional.events import Today, call, happened, note, notes, serve, shout, socketio_server
from tests.functional.raw import EngineSocket, PollingSession


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """Ends servers and clients with the test, the latest first."""
    with ExitStack() as stack:
        yield stack.enter_context


def test_the_events_of_a_connection_and_its_context(enter: Any) -> None:
    contexts = []

    def connect(request: Any, socket: Any, context: dict[str, Any]) -> None:
        context["visits"] = 1
        contexts.append(context)

    def finish(request: Any, socket: Any, context: dict[str, Any]) -> None:
        happened.append((context, context is contexts[0], socket.channels, socket.disconnect_reason))

    server = enter(serve(("on_connect", connect), ("on_finish", finish), *notes(), unbound_handlers="always"))
    with PollingSession(server.port) as client:
        client.join()
        for number in range(20):
            client.emit("message", number)
        for channel in ("b", "a", "c"):
            client.emit("subscribe", channel)
        client.emit("unsubscribe", "b")
        client.emit("unsubscribe", "never entered")
        client.post("1")
    wait_for(server.has_settled)
    assert happened == [
        ("on_connect",),
        *(("on_message", number) for number in range(20)),
        *(("on_subscribe", channel) for channel in ("b", "a", "c")),
        ("on_unsubscribe", "b"),
        ("on_disconnect",),
        ("on_unsubscribe", "a"),
        ("on_unsubscribe", "c"),
        ({"visits": 1}, True, ("a", "c"), "client"),
        ("on_finish",),
    ]
    assert server.failures == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["message","text"]', "text"),
        ('["message",["a",1]]', ["a", 1]),
        ('["message",{"a":null}]', {"a": None}),
        ('["message",{"type":"said","text":"hi"}]', {"type": "said", "text": "hi"}),
        ('["message",{"type":7}]', {"type": 7}),
        ('["message",1.5]', 1.5),
        ('["message",true]', True),
        ('["message",null]', None),
        ('["message"]', {"type": "message"}),
        ('["message",1,2]', {"type": "message", "args": [1, 2]}),
        ('["said"]', {"type": "said"}),
        ('["said",{"text":"hi"}]', {"type": "said", "text": "hi"}),
        ('["said",{"type":"other"}]', {"type": "said"}),
        ('["said","a",2]', {"type": "said", "args": ["a", 2]}),
    ],
)
def test_a_message_keeps_its_type(enter: Any, text: str, value: Any) -> None:
    server = enter(serve(*notes()))
    client = enter(EngineSocket(server.port))
    client.send_text(f"42{text}")
    wait_for(lambda: len(happened) == 2)
    assert happened[1] == ("on_message", value)
    assert type(happened[1][1]) is type(value)


def test_bytes_and_acknowledgements(enter: Any) -> None:
    def size(request: Any, socket: Any, context: Any, message: Any) -> Any:
        return len(message)

    server = enter(serve(*notes(), ("on_message", size), ("on_message", lambda *args: "too late")))
    client = enter(EngineSocket(server.port))
    client.send_text('451-7["message",{"_placeholder":true,"num":0}]')
    client.send_frame(2, b"\x00\xff")
    assert client.receive_text() == "437[2]"
    assert happened[1] == ("on_message", b"\x00\xff")


REFUSED = ConnectRefused("Not tonight", 8)
FORBIDDEN = HTTPForbidden()


@pytest.mark.parametrize(
    ("raised", "answer", "told"),
    [
        (False, False, {"message": "Connection refused"}),
        (False, Denied("no"), {"message": "Connection refused"}),
        *((raised, REFUSED, {"message": "Not tonight", "data": 8}) for raised in (True, False)),
        *((raised, FORBIDDEN, {"message": "Forbidden", "data": {"status": 403}}) for raised in (True, False)),
        (True, KeyError("secret"), {"message": "Internal server error", "data": {"status": 500}}),
    ],
)
def test_who_is_not_let_in(enter: Any, raised: bool, answer: Any, told: Any) -> None:
    def connect(request: Any, socket: Any, context: Any) -> Any:
        if raised:
            raise answer
        return answer

    server = enter(serve(("on_connect", connect), *notes()))
    client = enter(EngineSocket(server.port, None))
    client.send_text("40")
    assert client.receive_text() == "44" + json.dumps(told, separators=(",", ":"))
    client.close()
    wait_for(server.has_settled)
    assert happened == ([("on_error", answer)] if isinstance(answer, KeyError) else [])


def test_errors(enter: Any) -> None:
    error = ValueError("a secret")

    def fail(request: Any, socket: Any, context: Any, *args: Any) -> None:
        raise error

    failing = [(event, fail) for event in EVENTS[1:]]
    server = enter(serve(*failing, ("on_error", note("on_error")), ("on_finish", note("on_finish"))))
    client = enter(Today(server.port))
    for _ in range(2):
        client.say("hello")
        assert client.hear()["error"] == "internal_error"
    client.subscribe("blue")
    assert client.hear()["error"] == "internal_error"
    client.send_text("41")
    wait_for(lambda: happened[-1:] == [("on_finish",)])
    assert happened == [("on_error", error)] * 5 + [("on_finish",)]
    told = [record.getMessage().split(" in ")[0] for record in server.records if record.exc_info]
    assert [text for text in told if "on_error" not in text] == [
        "the handler of 'message' failed",
        "the handler of 'message' failed",
        "the handler of 'message' failed",
        "a handler of on_disconnect failed",
        "a handler of on_finish failed",
    ]
    assert len(told) == 10


def test_a_handler_ends_the_connection(enter: Any) -> None:
    def finish(request: Any, socket: Any, context: Any) -> None:
        socket.disconnect()
        happened.append(socket.disconnect_reason)

    server = enter(serve(("on_message", shout), ("on_disconnect", finish), ("on_finish", note("on_finish"))))
    client = enter(Today(server.port))
    client.say(call("disconnect"))
    assert client.receive_text() == "41"
    wait_for(lambda: happened[-1:] == [("on_finish",)])
    assert happened == ["server", ("on_finish",)]


def test_a_handler_that_waits_for_a_client_which_leaves_is_no_error(enter: Any) -> None:
    def wait(request: Any, socket: Any, context: Any, message: Any) -> None:
        happened.append("waits")
        socket.call("question")

    server = enter(serve(("on_message", wait), ("on_error", note("on_error"))))
    with Today(server.port) as client:
        client.say("go")
        wait_for(lambda: happened)
    wait_for(server.has_settled)
    assert happened == ["waits"]
    assert server.failures == []


def test_nothing_is_left_behind(enter: Any) -> None:
    def connect(request: Any, socket: Any, context: Any) -> None:
        happened.append(weakref.ref(socket))

    server = enter(serve(("on_connect", connect), ("on_message", lambda *args: None), *notes()))
    gc.disable()
    try:
        with Today(server.port) as client:
            client.say("hello")
            client.emit("subscribe", "a", ack=1)
            assert client.receive_text() == "431[]"
        wait_for(lambda: happened[0]() is None)
    finally:
        gc.enable()
    assert happened[-1] == ("on_unsubscribe", "a")  # the others are not bound, and it was in a channel


@pytest.mark.parametrize("error", [ConnectRefused, HTTPForbidden, LookupError])
def test_nothing_is_left_of_who_is_refused(enter: Any, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps what is logged, and so the traceback.
    monkeypatch.setattr(logging.getLogger("pyramid_socketio.config.router"), "disabled", True)

    def connect(request: Any, socket: Any, context: Any) -> None:
        socket.join("blue")
        socket.subscribe("red")
        socket.emit("question", ack=print)
        happened.extend((weakref.ref(socket), weakref.ref(request), socket.io))
        raise error

    server = enter(serve(("on_connect", connect)))
    gc.disable()
    try:
        with EngineSocket(server.port, None) as client:
            client.send_text("40")
            assert client.receive_text().startswith("44")
            io = happened.pop()
            assert (io.rooms, io._acks, io._early, server.socketio.adapter._rooms) == (None, None, None, {})
            wait_for(lambda: [reference() for reference in happened] == [None] * 2)
    finally:
        gc.enable()
    wait_for(server.has_settled)


def test_nothing_is_left_of_a_subscription_that_is_refused(enter: Any) -> None:
    def refuse(request: Any, socket: Any, context: Any, channel: str) -> Any:
        happened.append(weakref.ref(socket))
        if channel == "raised":
            raise HTTPForbidden
        return HTTPForbidden()

    server = enter(serve(("on_subscribe", refuse)))
    gc.disable()
    try:
        with Today(server.port) as client:
            for channel in ("raised", "returned"):
                client.subscribe(channel)
                assert client.hear()["msg"] == "Forbidden"
        wait_for(lambda: [reference() for reference in happened] == [None] * 2)
    finally:
        gc.enable()


def test_what_a_connect_did_that_is_tried_again_does_not_count(enter: Any) -> None:
    def connect(request: Any, socket: Any, context: Any) -> None:
        number = len(happened)
        happened.append(socket.io)
        socket.join(f"room {number}")
        socket.subscribe(f"channel {number}")
        socket.emit("question", number, ack=print)
        if number == 0:
            raise LookupError

    def retry(environ: dict[str, Any], router: Any) -> Any:
        """What `pyramid_retry` does."""
        with router.request_context(environ) as request:
            try:
                return router.invoke_request(request)
            except LookupError:
                pass
        with router.request_context(environ) as request:
            return router.invoke_request(request)

    server = enter(serve(("on_connect", connect), execution_policy=retry))
    client = enter(EngineSocket(server.port, None))
    client.send_text("40")
    assert client.receive_text().startswith("40")
    assert client.receive_text() == '421["question",1]'
    first, second = happened
    assert first is second and len(first._acks) == 1
    everywhere = socketio_server(server)
    assert everywhere.rooms == {"room 1": 1}
    assert everywhere.channels == {"channel 1": 1}
    client.close()
    wait_for(server.has_settled)
    assert server.socketio.adapter._rooms == {}
    assert (first.rooms, first._acks) == (None, None)
