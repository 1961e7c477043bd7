"""Contexts on a socket that writes down what it is asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event
from pyramid.testing import DummyRequest

from pyramid_socketio import SocketIOContext, message
from pyramid_socketio.errors import CloseReason
from pyramid_socketio.protocol.jsontext import dumps
from pyramid_socketio.settings import Settings

INTERNAL_ERROR = {"type": "error", "error": "internal_error", "msg": "The server could not handle this message"}


class RecordingSocket:
    """What a context needs of its socket; ``sent`` and ``broadcasts`` hold what the clients would read."""

    id = "me"
    namespace = "/room"
    in_loop = True

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

    def run_in_loop(self, send: Callable[[], None]) -> None:
        send()

    def require_loop(self) -> None:
        """It is."""

    def catch_up(self) -> None:
        """Nothing has been handed over."""

    def is_news(self, subject: Any, name: Any) -> bool:
        return True

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


def forever(done: Event | None = None) -> None:
    try:
        gevent.sleep(1000)
    finally:
        if done is not None:
            done.set()


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


def new_ending() -> type[Ending]:
    class Fresh(Ending):
        notes = []

    return Fresh
