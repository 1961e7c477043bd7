"""The functions of the original for sending from anywhere, for code that has no request at hand."""

from __future__ import annotations

from functools import partial
from typing import Any

from pyramid.request import Request
from pyramid.threadlocal import get_current_registry, get_current_request

from .addressing import Server, pyramid_json
from .interfaces import socketio_for

__all__ = ["broadcast", "broadcast_channel", "send"]


def _server(registry: Any) -> Server:
    registry = registry if registry is not None else get_current_registry()
    socketio = socketio_for(registry)
    if socketio is None:
        raise RuntimeError("no application with Socket.IO is active here: give its registry, or use request.socketio")
    request = get_current_request()
    if request is None:
        request = Request.blank("/")
        request.registry = registry
    return Server(socketio, partial(pyramid_json, request))


def broadcast(message: Any, registry: Any = None) -> None:
    """Send a message to everybody in ``/``.

    Args:
        registry: of the application; that of the current request where it is not given.

    Raises:
        NoSocket: nobody is there (setting ``raise_no_socket``).
        RuntimeError: there is no current request, and no registry was given.
    """
    _server(registry).broadcast(message)


def broadcast_channel(message: Any, channel: str, registry: Any = None) -> None:
    """Send a message to everybody in a channel of ``/``; see :func:`broadcast`."""
    _server(registry).broadcast_channel(message, channel)


def send(session_id: str, message: Any, registry: Any = None) -> None:
    """Send a message to one client in ``/``, by its public id; see :func:`broadcast`."""
    _server(registry).send(session_id, message)
