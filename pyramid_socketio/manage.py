"""The way of the original: a view of the application's own that serves its client with a context."""

from __future__ import annotations

import logging
from typing import Any, Final

from gevent.event import Event
from pyramid.httpexceptions import HTTPException, HTTPNotImplemented

from .context import SocketIOContext, let_in, refusal
from .errors import NoNamespace
from .interfaces import AUTH, CANNOT_SERVE, CONNECTION, SOCKET, ISocketIO
from .namespace import Connector, Context, NamespaceSocket
from .settings import parse_settings
from .socketio import SocketIO

__all__ = ["cannot_serve", "obtain_socketio", "socketio_manage"]

log = logging.getLogger(__name__)

#: In the registry of an application that has logged why it cannot serve.
_WARNED: Final = "pyramid_socketio.warned"


def socketio_manage(context: SocketIOContext) -> str:
    """Serve a client with ``context``, from within a view of the application's own; returns when it is gone.

    The answer to the client goes out here, so what the view returns is not sent. The client connects to the namespace
    ``/`` with this context; to other namespaces as they are registered, where the package is included.

    Args:
        context: made by the view with its request.

    Returns:
        A text for the view to return, as the original did.

    Raises:
        HTTPNotImplemented: this is another server, and the client gets a 501 that says what to run instead.
    """
    environ = context.request.environ
    exchange = environ.get(CONNECTION)
    if exchange is None:
        raise cannot_serve(context.request.registry)
    socketio = obtain_socketio(context.request.registry, exchange.defaults)
    context.io = None  # the environ's is for views that serve their client without a context
    managed = _Managed(context, socketio.connect)
    answer = socketio.answer(environ, managed.connect, managed.closed)
    exchange.answer_early(environ, answer.status, answer.headers, answer.body)
    if answer.opens:
        managed.over.wait()
    environ.pop(SOCKET, None)  # it leads back to the context: the circle ends here
    return "done"


class _Managed:
    """A client that a view serves with a context of its own."""

    def __init__(self, context: SocketIOContext, elsewhere: Connector | None) -> None:
        self.context = context
        self.over = Event()
        self._elsewhere = elsewhere
        self._taken = False
        self._closed = False

    def connect(self, socket: NamespaceSocket, auth: Any) -> Context:
        """The connector: the main namespace is the view's, others are where they always are."""
        if socket.namespace != "/" or self._taken:
            if self._elsewhere is None:
                raise NoNamespace
            return self._elsewhere(socket, auth)
        self._taken = True
        context = self.context
        context.request.environ.update({SOCKET: socket, AUTH: auth})
        socket.userid = context.request.authenticated_userid
        context.io = socket
        context._over = False
        try:
            let_in(context.connect())
        except BaseException as error:
            context.stop()
            self._taken = False  # the client may try again, with something else as its `auth`
            if self._closed:
                self.over.set()
            if isinstance(error, HTTPException):
                raise refusal(error) from None
            raise
        context.on_disconnect(self.over.set)
        return context

    def closed(self) -> None:
        """The session is over; the context, where there is one, may still be running its ``disconnect``."""
        self._closed = True
        if not self._taken:
            self.over.set()


def cannot_serve(registry: Any) -> HTTPNotImplemented:
    """The answer where another server runs the application; logged once, however often clients try."""
    if _WARNED not in registry:
        registry[_WARNED] = True
        log.warning("A Socket.IO client cannot be served. %s", CANNOT_SERVE)
    # The body is given here, because Pyramid's own would be a page around the text.
    return HTTPNotImplemented(CANNOT_SERVE, text=f"{CANNOT_SERVE}\n", content_type="text/plain", charset="utf-8")


def obtain_socketio(registry: Any, defaults: dict[str, Any]) -> SocketIO:
    """What answers the clients of an application.

    Args:
        defaults: settings of the server, for an application that does not include the package.
    """
    socketio: SocketIO | None = registry.queryUtility(ISocketIO)
    if socketio is None:
        # The package is not included: the settings count all the same.
        socketio = SocketIO(parse_settings(registry.settings or {}, defaults))
        registry.registerUtility(socketio, ISocketIO)
    return socketio
