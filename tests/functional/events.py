"""Clients of all ages that say what `compat.js` says, and servers whose handlers write down what happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator

from pyramid_socketio.addressing import Server
from pyramid_socketio.events import EVENTS
from tests.functional.classic import Socket06, Socket09
from tests.functional.raw import EngineSocket
from tests.functional.serving import ThreadServer
from tests.functional.test_eio3 import OldSocket


class Today(EngineSocket):
    def say(self, value: Any) -> None:
        self.emit("message", value)

    def hear(self) -> Any:
        name, value = self.event()
        assert name == "message"
        return value

    def subscribe(self, channel: str) -> None:
        self.say({"type": "subscribe", "channel": channel})


class Two(OldSocket):
    subscribe = Today.subscribe

    def say(self, value: Any) -> None:
        self.send_text(f"42{json.dumps(['message', value])}")

    def hear(self) -> Any:
        text = self.receive_text()
        assert text.startswith('42["message",'), text
        return json.loads(text[2:])[1]


def encode_0_9(value: Any) -> str:
    return f"3:::{value}" if isinstance(value, str) else f"4:::{json.dumps(value)}"


def decode_0_9(packet: str) -> Any:
    return packet[4:] if packet.startswith("3:::") else json.loads(packet.removeprefix("4:::"))


class Nine(Socket09):
    subscribe = Today.subscribe

    def say(self, value: Any) -> None:
        self.send_text(encode_0_9(value))

    def hear(self) -> Any:
        return decode_0_9(self.receive_text())


def encode_0_6(value: Any) -> str:
    return value if isinstance(value, str) else f"~j~{json.dumps(value)}"


def decode_0_6(message: str) -> Any:
    return json.loads(message[3:]) if message.startswith("~j~") else message


class Six(Socket06):
    subscribe = Today.subscribe

    def say(self, *values: Any) -> None:  # type: ignore[override]
        super().say(*map(encode_0_6, values))

    def hear(self) -> Any:
        return decode_0_6(super().hear())


ALL = (Today, Two, Nine, Six)

#: What happened in the handlers of the running server.
happened: list[Any] = []


def serve(*handlers: Any, contexts: Any = (), execution_policy: Any = None, **settings: Any) -> ThreadServer:
    """A server with handlers ``(event, function)`` or ``(event, function, channel)``; ``happened`` starts anew."""
    happened.clear()
    with Configurator(settings={f"socketio.{key}": value for key, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        if execution_policy is not None:
            config.set_execution_policy(execution_policy)
        for context, pattern in contexts:
            config.add_socketio_context(context, pattern)
        for row in handlers:
            config.add_socketio_handler(*row)
    return ThreadServer(config.make_wsgi_app())


def socketio_server(server: ThreadServer) -> Server:
    """``request.socketio``, of no request."""
    return Server(server.socketio, None)


def channels(server: ThreadServer) -> dict[str, int]:
    """The channels in ``/``, and how many clients are in each."""
    return server.call(lambda: socketio_server(server).channels)


def note(event: str, *tags: str) -> Callable[..., None]:
    """A handler that writes down what it is called with."""

    def handler(request: Any, socket: Any, context: dict[str, Any], *args: Any) -> None:
        happened.append((event, *tags, *args))

    return handler


def notes() -> list[tuple[str, Callable[..., None]]]:
    return [(event, note(event)) for event in EVENTS]


def shout(request: Any, socket: Any, context: dict[str, Any], message: Any) -> None:
    """A message ``{call: method, args: [...]}`` calls a method of the socket."""
    getattr(socket, message["call"])(*message["args"])


def call(method: str, *args: Any) -> dict[str, Any]:
    return {"call": method, "args": args}
