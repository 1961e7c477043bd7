"""Views of the blocking style, servers of them, and clients that talk with them by polling."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_socketio import SocketIOContext
from tests.functional.classic import Polling06, Polling09
from tests.functional.events import decode_0_6, decode_0_9, encode_0_6, encode_0_9
from tests.functional.raw import PollingSession
from tests.functional.serving import ThreadServer

View = Callable[[Any], Any]


class Elsewhere(SocketIOContext):
    def msg_echo(self, *args: Any) -> Any:
        return args


def serve(view: View, include: bool = False, **settings: Any) -> ThreadServer:
    """A server whose ``/socket.io/`` is the view; with ``include`` the add-on is there too, with a context."""
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        if include:
            config.include("pyramid_socketio")
            config.add_socketio_context(Elsewhere, "/elsewhere")
        config.add_route("home", "/")
        config.add_view(lambda request: Response("home"), route_name="home")
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(view, route_name="socket_io")
    return ThreadServer(config.make_wsgi_app())


class Views:
    """Counts the runs of a view, and how many of them are over."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.begun = self.over = 0

    def __call__(self, request: Any) -> Any:
        self.begun += 1
        try:
            return self._view(request)
        finally:
            self.over += 1

    def all_over(self) -> bool:
        return self.begun == self.over


def echo(request: Any) -> Response:
    """Sends back what it reads, until the client is gone."""
    socketio = request.environ["socketio"]
    for message in socketio:
        socketio.send(message)
    return Response("nobody reads this")


class PollingToday(PollingSession):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.id = self.join()

    def say(self, value: Any) -> None:
        self.emit("message", value)

    def hear(self) -> Any:
        (packet,) = self.packets(1)
        name, value = json.loads(packet.removeprefix("42"))
        assert name == "message"
        return value


class PollingNine(Polling09):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.open()

    def say(self, value: Any) -> None:
        self.post(encode_0_9(value))

    def hear(self) -> Any:
        return decode_0_9(*self.receive())


class PollingSix(Polling06):
    def say(self, value: Any) -> None:
        self.post(encode_0_6(value))

    def hear(self) -> Any:
        return decode_0_6(*self.receive())


POLLERS = (PollingToday, PollingNine, PollingSix)
