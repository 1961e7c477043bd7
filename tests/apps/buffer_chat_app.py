"""The chat of "Django, gevent and Socket.IO" (2011): one blocking view, a buffer of 15 messages, announcements.

As it stands there, its loop has no end of its own.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

buffer: list[dict[str, Any]] = []


def socketio(request: Request) -> Response:
    socketio = request.environ["socketio"]
    if socketio.on_connect():
        socketio.send({"buffer": buffer})
        socketio.broadcast({"announcement": socketio.session.session_id + " connected"})

    while True:
        message = socketio.recv()

        if len(message) == 1:
            message = message[0]
            message = {"message": [socketio.session.session_id, message]}
            buffer.append(message)
            if len(buffer) > 15:
                del buffer[0]
            socketio.broadcast(message)
        else:
            if not socketio.connected():
                socketio.broadcast({"announcement": socketio.session.session_id + " disconnected"})

    return Response()


def main(global_config: dict[str, str], **settings: str) -> Router:
    buffer.clear()
    with Configurator(settings=settings) as config:
        config.add_route("home", "/")
        config.add_view(lambda request: Response("home"), route_name="home")
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(socketio, route_name="socket_io")
    return config.make_wsgi_app()
