"""The handlers that the original's documentation shows, filled with the chat that it comes with.

What happens is said on the log, one line per event.
"""

from __future__ import annotations

import logging
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.router import Router

import pyramid_socketio
from pyramid_socketio.events import (
    on_connect,
    on_disconnect,
    on_error,
    on_finish,
    on_message,
    on_subscribe,
    on_unsubscribe,
)

log = logging.getLogger(__name__)


@on_connect
def my_connect_handler(request: Request, socket: Any, context: dict[str, Any]) -> None:
    context["name"] = "somebody"


@on_message
def my_message_handler(request: Request, socket: Any, context: dict[str, Any], message: Any) -> None:
    """Of clients that are in no channel."""
    if message == "error":
        raise ValueError(message)
    socket.send_and_broadcast(message)


@on_message(channel="dashboard")
def my_dashboard_handler(request: Request, socket: Any, context: dict[str, Any], message: Any) -> None:
    socket.send({"dashboard": message})


@on_message(channel="^room-")
def my_chat_handler(request: Request, socket: Any, context: dict[str, Any], message: Any) -> None:
    if isinstance(message, dict) and message.get("action") == "start":
        context["name"] = message["name"]
        socket.send({"action": "started", "id": socket.session.session_id})
        socket.send_and_broadcast_channel({"action": "join", "name": context["name"]})
    else:
        socket.broadcast_channel(message)


@on_subscribe
def my_subscribe_handler(request: Request, socket: Any, context: dict[str, Any], channel: str) -> None:
    log.info("%s enters %s", context["name"], channel)
    socket.send({"subscribed": channel})


@on_subscribe(channel="^private-")
def my_guard(request: Request, socket: Any, context: dict[str, Any], channel: str) -> None:
    raise pyramid_socketio.ConnectRefused("Private")


@on_unsubscribe
def my_unsubscribe_handler(request: Request, socket: Any, context: dict[str, Any], channel: str) -> None:
    log.info("%s leaves %s", context["name"], channel)
    if socket.connected():
        socket.send({"unsubscribed": channel})


@on_error
def my_error_handler(request: Request, socket: Any, context: dict[str, Any], exception: BaseException) -> None:
    socket.send({"failed": str(exception)})


@on_disconnect(channel="^room-")
def my_disconnect_handler(request: Request, socket: Any, context: dict[str, Any]) -> None:
    log.info("%s has gone: %s", context["name"], socket.disconnect_reason)


@on_finish(channel="^room-")
def my_finish_handler(request: Request, socket: Any, context: dict[str, Any]) -> None:
    socket.broadcast_channel({"action": "leave", "name": context["name"]})
    log.info("%s is finished", context["name"])


def broadcast(request: Request) -> str:
    pyramid_socketio.broadcast("my message")
    return "sent"


def broadcast_channel(request: Request) -> str:
    pyramid_socketio.broadcast_channel("my message", request.matchdict["name"])
    return "sent"


def send(request: Request) -> str:
    pyramid_socketio.send(request.matchdict["name"], "my message")
    return "sent"


def main(global_config: dict[str, str], **settings: Any) -> Router:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.scan(__name__)
        for view in (broadcast, broadcast_channel, send):
            config.add_route(view.__name__, f"/{view.__name__}/{{name}}")
            config.add_view(view, route_name=view.__name__, renderer="string")
    return config.make_wsgi_app()
