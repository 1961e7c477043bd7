"""What the registry holds, under which interface; and the names of our keys in the WSGI environ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zope.interface import Interface

if TYPE_CHECKING:
    from pyramid.registry import Registry

    from .socketio import SocketIO

__all__ = [
    "ANSWERED",
    "AUTH",
    "CANNOT_SERVE",
    "CONNECTION",
    "SOCKET",
    "IEventHandlers",
    "ISocketIO",
    "ISocketIONamespaces",
    "socketio_for",
]

#: The server's connection, which a handshake may take over; missing where the server cannot do that.
CONNECTION: Final = "pyramid_socketio.connection"
#: The status of an answer that went out before the application returned.
ANSWERED: Final = "pyramid_socketio.answered"
#: While a client connects to a namespace: the client's socket of that namespace.
SOCKET: Final = "socketio"
#: While a client connects to a namespace: what the client gave as ``auth``, any JSON value; ``None`` without.
AUTH: Final = "pyramid_socketio.auth"

#: What somebody reads who serves the application with another server.
CANNOT_SERVE: Final = (
    "Socket.IO needs a server that can hold connections open: run `socketio-serve development.ini` instead."
)


class IEventHandlers(Interface):  # type: ignore[misc]
    """Utility: the :class:`~pyramid_socketio.events.EventHandlers` of the application, where it has some."""


class ISocketIO(Interface):  # type: ignore[misc]
    """Utility: the :class:`~pyramid_socketio.socketio.SocketIO` of the application."""


class ISocketIONamespaces(Interface):  # type: ignore[misc]
    """Utility: the :class:`~pyramid_socketio.config.router.NamespacesMapper`, which finds a namespace's context."""


def socketio_for(registry: Registry) -> SocketIO | None:
    """What answers the clients of an application; ``None`` where ``pyramid_socketio`` is not included."""
    engine: SocketIO | None = registry.queryUtility(ISocketIO)
    return engine
