"""The application of the tests with clients 0.5 to 0.9."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden

from pyramid_socketio import SocketIOContext, message
from tests.conftest import wait_for
from tests.functional.serving import ThreadServer

#: Why contexts have ended, in order.
ENDED: list[str | None] = []


class Main(SocketIOContext):
    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    @message("message")
    def heard(self, value: Any) -> None:
        self.send(f"re:{value}")

    def msg_echo(self, *args: Any) -> Any:
        self.emit("back", *args)
        return args

    def msg_about(self, *args: Any) -> Any:
        self.emit("about", self.io.revision, self.io.transport)

    def msg_ask(self) -> None:
        self.emit("answered", self.call("question"))

    def msg_shout(self, msg: Any) -> None:
        self.send_and_broadcast({"type": "heard", "value": msg["value"]})

    def msg_flood(self, msg: Any) -> None:
        for _ in range(msg["count"]):
            self.send("x")

    def msg_bye(self, *args: Any) -> None:
        self.send("bye")
        self.io.disconnect()


class Chat(Main):
    def connect(self) -> None:
        self.emit("auth", self.request.environ["pyramid_socketio.auth"])


class Closed(SocketIOContext):
    def connect(self) -> None:
        raise HTTPForbidden


def application(main: type[SocketIOContext] = Main, prefix: str | None = None, **settings: Any) -> Any:
    """Serves ``main`` in ``/``, and all that is above in a namespace of its name."""

    def included(config: Configurator) -> None:
        config.include("pyramid_socketio")
        for context, namespace in ((main, "/"), (Chat, "/chat"), (Closed, "/closed")):
            config.add_socketio_context(context, namespace)
        config.add_tween(f"{__name__}.gate_factory")

    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include(included, route_prefix=prefix)
    return config.make_wsgi_app()


def gate_factory(handler: Any, registry: Any) -> Any:
    """A tween that lets nobody in who says so himself."""

    def gate(request: Any) -> Any:
        if "X-Forbidden" in request.headers:
            return HTTPForbidden("not you")
        return handler(request)

    return gate


def for_one_test(serving: ThreadServer) -> Iterator[ThreadServer]:
    """The body of a fixture: a server without clients, before and after."""
    ENDED.clear()
    serving.forget()
    yield serving
    for session in list(serving.sessions.values()):
        serving.call(lambda session=session: session.gone(session.transport, "transport close"))
    wait_for(serving.has_settled)
    assert serving.failures == []
