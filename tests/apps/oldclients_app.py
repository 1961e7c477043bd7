"""One room for clients of all ages, and the pages that hold those of them which need a browser.

``/peers/page/<version>`` is a page with the client of that version and ``tests/peers/page.js``, and with ``?compat`` it
has ``compat.js``, too; ``/peers/`` is empty, for frames.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

from pyramid_socketio import SocketIOContext, socketio_context

PEERS = Path(__file__).parents[1] / "peers"

PAGE = """<!DOCTYPE html>
<html data-version="{version}">
<head><meta charset="utf-8"><title>Socket.IO {version}</title></head>
<body>
<script src="/peers/node_modules/{build}"></script>
{compat}
<script src="/peers/page.js"></script>
</body>
</html>
"""

COMPAT = '<script src="/socket.io/compat.js"></script>'

#: Names of clients that are gone, with the reasons.
ENDED: list[list[str | None]] = []


@socketio_context("/")
@socketio_context("/room")
class Room(SocketIOContext):
    name: str | None = None

    def msg_name(self, msg: dict[str, Any]) -> None:
        """Who the client says that it is."""
        self.name = msg["value"]

    def disconnect(self) -> None:
        ENDED.append([self.name, self.disconnect_reason])

    def msg_say(self, msg: dict[str, Any]) -> None:
        """A message or an event; everybody gets a message."""
        self.send_and_broadcast({"type": "said", "value": msg["value"]})

    def msg_shout(self, *args: Any) -> None:
        """Everybody gets an event."""
        self._to_all("shouted", *args)

    def msg_blob(self, data: bytes) -> None:
        """Everybody gets the bytes, whose client can take bytes."""
        self._to_all("blob", data)

    def msg_ask(self, *args: Any) -> tuple[Any, ...]:
        return args

    def msg_quiz(self, question: Any) -> None:
        """The server asks the client that sent this, and tells it its answer."""
        self.emit("answered", self.call("question", question, timeout=5))

    def _to_all(self, name: str, *args: Any) -> None:
        self.emit(name, *args)
        self.broadcast_event(name, *args)


def build_of(version: str) -> str:
    """Path of a client's browser build in ``node_modules``; until 0.6 it is a part of the server's package."""
    if version.startswith("0.6."):
        return f"socket.io-{version}/support/socket.io-client/socket.io.js"
    return f"socket.io-client-{version}/{'' if version.startswith('1.0.') else 'dist/'}socket.io.js"


def page(request: Request) -> Response:
    version = request.matchdict["version"]
    build = build_of(version)
    if not re.fullmatch(r"[\d.]+", version) or not (PEERS / "node_modules" / build).is_file():
        raise HTTPNotFound()
    return Response(PAGE.format(version=version, build=build, compat=COMPAT if "compat" in request.GET else ""))


def ended(request: Request) -> list[list[str | None]]:
    return ENDED


def frames(request: Request) -> Response:
    return Response("<!DOCTYPE html><title>Clients of all ages</title>")


def main(global_config: dict[str, str], **settings: str) -> Router:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.add_route("frames", "/peers/")
        config.add_view(frames, route_name="frames")
        config.add_route("ended", "/peers/ended")
        config.add_view(ended, route_name="ended", renderer="json")
        config.add_route("page", "/peers/page/{version}")
        config.add_view(page, route_name="page")
        config.add_static_view("peers", str(PEERS))
        config.scan(__name__)
    return config.make_wsgi_app()
