"""Real-time Pyramid: any Socket.IO client on one port, answered by class-based contexts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyramid.config import Configurator

    from .config.directives import socketio_context
    from .context import SocketIOContext, message, require_connection
    from .errors import (
        AckTimeout,
        CloseReason,
        ConnectRefused,
        NoSocket,
        NotCarried,
        SessionClosed,
        SocketIOError,
    )
    from .everywhere import broadcast, broadcast_channel, send
    from .manage import socketio_manage
    from .server.server import SocketIOServer

__all__ = [
    "AckTimeout",
    "CloseReason",
    "ConnectRefused",
    "NoSocket",
    "NotCarried",
    "SessionClosed",
    "SocketIOContext",
    "SocketIOError",
    "SocketIOServer",
    "broadcast",
    "broadcast_channel",
    "includeme",
    "message",
    "require_connection",
    "send",
    "socketio_context",
    "socketio_manage",
]

# Imported when first asked for: `socketio-serve` patches the standard library before anything takes parts of it, and
# importing its module imports this one.
_HOMES = {
    "AckTimeout": "errors",
    "CloseReason": "errors",
    "ConnectRefused": "errors",
    "NoSocket": "errors",
    "NotCarried": "errors",
    "SessionClosed": "errors",
    "SocketIOContext": "context",
    "SocketIOError": "errors",
    "SocketIOServer": "server.server",
    "broadcast": "everywhere",
    "broadcast_channel": "everywhere",
    "message": "context",
    "require_connection": "context",
    "send": "everywhere",
    "socketio_context": "config.directives",
    "socketio_manage": "manage",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def includeme(config: Configurator) -> None:
    """``config.include("pyramid_socketio")``: see :func:`pyramid_socketio.config.includeme`."""
    from .config import includeme as include

    include(config)
