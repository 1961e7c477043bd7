"""The functions of the original for sending from anywhere, for code that has no request at hand."""

from __future__ import annotations

from functools import partial
from typing import Any

from pyramid.config import global_registries
from pyramid.request import Request
from pyramid.threadlocal import get_current_request

from .addressing import Server, pyramid_json
from .interfaces import socketio_for

__all__ = ["broadcast", "broadcast_channel", "send"]


def _server(registry: Any) -> Server:
    request = get_current_request()
    if registry is None:
        registry = global_registries.last if request is None else request.registry
    socketio = None if registry is None else socketio_for(registry)
    if socketio is None:
        raise RuntimeError("no application with Socket.IO is active here: give its registry, or use request.socketio")
    if request is None:
        request = Request.blank("/")
        request.registry = registry
    return Server(socketio, partial(pyramid_json, request))


def broadcast(message: Any, registry: Any = None) -> None:
    """Send a message to everybody in ``/``.

    Args:
        registry: of the application; where it is not given, that of the current request, or without one that of the
            application which this process has made last.

    Raises:
        NoSocket: nobody is there (setting ``raise_no_socket``).
        RuntimeError: there is no such application, or it does not include the package.
    """
    _server(registry).broadcast(message)


def broadcast_channel(message: Any, channel: str, registry: Any = None) -> None:
    """Send a message to everybody in a channel of ``/``; see :func:`broadcast`."""
    _server(registry).broadcast_channel(message, channel)


def send(session_id: str, message: Any, registry: Any = None) -> None:
    """Send a message to one client in ``/``, by its public id; see :func:`broadcast`."""
    _server(registry).send(session_id, message)
