"""The original's module of this name: ``from pyramid_socketio.io import SocketIOContext, socketio_manage``."""

from .context import KeyAssertError as SocketIOKeyAssertError
from .context import SocketIOContext, require_connection
from .errors import SocketIOError
from .manage import socketio_manage

__all__ = ["SocketIOContext", "SocketIOError", "SocketIOKeyAssertError", "require_connection", "socketio_manage"]
