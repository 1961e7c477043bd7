"""WebSockets without Socket.IO: a view that has one to itself. It may block; only its own greenlet waits.

A client may send anything, and goes away at any time; the views end then, and so does what belongs to them.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.view import view_config

from pyramid_socketio.websocket import WebSocket, WebSocketClosed, websocket, websocket_loop

from .chat import NAME_LIMIT, TEXT_LIMIT, text_of

COLOUR = re.compile("#[0-9a-f]{6}")


def includeme(config: Configurator) -> None:
    # The open chats.
    config.registry["windows"] = set()
    config.add_route("websockets", "/websockets")
    config.add_route("echo", "/websockets/echo")
    config.add_route("ping", "/websockets/ping")


@view_config(route_name="echo")
@websocket
def echo(request: Request, websocket: WebSocket) -> None:
    """Send everything back."""
    while (message := websocket.receive()) is not None:
        websocket.send(message)


@view_config(route_name="ping")
@websocket_loop
def ping(request: Request, websocket: WebSocket, message: str | bytes) -> None:
    """Called for each message: one answers the other, and nothing answers anything else."""
    if message == "ping":
        websocket.send("pong")
    elif message == "pong":
        websocket.send("ping")


@view_config(route_name="websockets", renderer="templates/websockets.jinja2")
def page(request: Request) -> dict[str, Any]:
    return {}


@view_config(route_name="websockets", websocket=True)
@websocket
def chat(request: Request, websocket: WebSocket) -> None:
    """The chat, on the URL of its page: a predicate tells who asks for a WebSocket."""
    windows: set[WebSocket] = request.registry["windows"]
    windows.add(websocket)
    try:
        while (message := websocket.receive()) is not None:
            if said := read(message):
                for window in tuple(windows):
                    with suppress(WebSocketClosed):  # its own greenlet takes it out
                        window.send(said)
    finally:
        windows.discard(websocket)


def read(message: str | bytes) -> str | None:
    """What all windows get for ``{"name", "colour", "text"}`` of one, with ``time_ms``; ``None`` for anything else."""
    try:
        given = json.loads(message)
    except (ValueError, RecursionError):
        return None
    name, text = text_of(given, "name", NAME_LIMIT), text_of(given, "text", TEXT_LIMIT)
    colour = text_of(given, "colour", NAME_LIMIT)
    if not (name and text and COLOUR.fullmatch(colour)):
        return None
    return json.dumps({"name": name, "colour": colour, "text": text, "time_ms": int(time.time() * 1000)})
