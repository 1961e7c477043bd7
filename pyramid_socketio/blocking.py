"""The blocking way: a view that reads its client's messages in a loop, by ``request.environ["socketio"]``."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from gevent import GreenletExit
from gevent.event import Event
from pyramid.threadlocal import get_current_request

from .adapters import Audience
from .addressing import Target, pyramid_json, send_event
from .errors import CloseReason, ConnectRefused, NoNamespace
from .interfaces import AUTH, CONNECTION, SOCKET
from .manage import obtain_socketio
from .messagelog import log_message
from .namespace import Context, NamespaceSocket
from .protocol.packets import as_message

__all__ = ["BlockingSocket"]

log = logging.getLogger(__name__)


class BlockingSocket:
    """The client whose request a view answers, for as long as the view runs.

    Every request has one in its WSGI environ under ``"socketio"``, which does nothing until it is used. The first use
    of any method answers the request, in place of what the view will return, and waits until the client is in the
    namespace ``/``. Then the view has the client to itself, in its own greenlet; its end is the end of the session.

    Where no client comes in, because the request opens no session or the client leaves before, the first use ends the
    view with ``GreenletExit``.

    Args:
        environ: the WSGI environ that the server made.
    """

    __slots__ = ("_client", "_environ", "_told")

    def __init__(self, environ: dict[str, Any]) -> None:
        self._environ: dict[str, Any] | None = environ
        self._client: _Client | None = None
        #: Whether :meth:`on_connect` has said so.
        self._told = False

    # The client

    def on_connect(self) -> bool:
        """``True`` the first time, ``False`` ever after."""
        self._enter()
        told, self._told = self._told, True
        return not told

    @property
    def connected(self) -> Connected:
        """Whether the client is there: ``connected`` and ``connected()`` are the same.

        When it is gone there may still be messages of it to :meth:`recv`.
        """
        return Connected(self._enter().socket.connected())

    @property
    def session(self) -> NamespaceSocket:
        """For ``session.session_id``, the public id of the client, also when it is gone."""
        return self._enter().socket.session

    # Sending

    def send(self, message: Any) -> None:
        """Send ``message``, any JSON value, as the event ``message``. Never blocks once the client is in.

        Nothing happens when the client is gone.

        Raises:
            TypeError, ValueError: the message cannot be JSON.
        """
        self._enter().send(message)

    def broadcast(self, message: Any, exceptions: Collection[str] = ()) -> None:
        """Send ``message`` to all other clients in ``/``, also when this one is gone.

        Args:
            exceptions: public ids of clients that do not get it.

        Raises:
            TypeError, ValueError: the message cannot be JSON.
        """
        self._enter().broadcast(message, exceptions)

    # Receiving

    def recv(self) -> list[Any]:
        """Wait for a message of the client; other greenlets go on.

        One at a time, in the order in which the client sent them, and acknowledged, where the client asked for that,
        when it is taken. ``send(value)`` of the client gives ``value``; its event ``name`` is the message
        ``{"type": name, **arg}`` with one object as argument, ``{"type": name, "args": [...]}`` with others.

        Returns:
            A list of one message; ``[]``, once, when the client is gone and everything that it sent was taken, or
            ``close_timeout`` has passed since: what is left then is dropped.

        Raises:
            GreenletExit: asked again after that; it ends a view that never asks whether the client is there.
        """
        return self._enter().take()

    def receive(self) -> Any:
        """As :meth:`recv`: the message itself; ``None`` when the client is gone."""
        messages = self.recv()
        return messages[0] if messages else None

    def __iter__(self) -> Iterator[Any]:
        """The messages of the client until it is gone."""
        while messages := self.recv():
            yield messages[0]

    # Beginning and end

    def _enter(self) -> _Client:
        """The client, which is let in where it is not yet.

        Raises:
            GreenletExit: there is none.
            RuntimeError: called outside of a view, or after its end.
        """
        client = self._client
        if client is None:
            if self._environ is None:
                raise RuntimeError("the view that this client belongs to is over")
            client = self._client = _Client(self._environ)
        client.wait()
        return client

    def end(self) -> None:
        """The view is over, and with it the session; called by the server."""
        # Both lead back here: the circle ends here.
        client, self._client, self._environ = self._client, None, None
        if client is not None:
            client.end()


class Connected(int):
    """A truth value that may be called, because the original had ``connected()``."""

    def __call__(self) -> bool:
        return bool(self)


class _Client:
    """What connects a client for a view, and takes its messages; see :class:`pyramid_socketio.namespace.Context`.

    Made by answering the request, as :func:`~pyramid_socketio.manage.socketio_manage` does.

    Raises:
        RuntimeError: no view of the request runs in this greenlet.
    """

    #: The client in "/", once it is there.
    socket: NamespaceSocket

    def __init__(self, environ: dict[str, Any]) -> None:
        exchange = environ[CONNECTION]
        request = get_current_request()
        if request is None or request.environ.get(CONNECTION) is not exchange:
            # Without the standard library patched, Pyramid confuses the requests of greenlets that wait.
            raise RuntimeError(f'the first use of environ["{SOCKET}"] has to be in a view, before anything waits')
        self._request = request
        self._userid = request.authenticated_userid
        self._json_default = partial(pyramid_json, request)
        self._entered = False
        #: Whether there will be a client is known.
        self._decided = Event()
        #: What the view takes next, as a list of one; the rest waits in the inbox of the socket, which has limits.
        self._next: list[Any] = []
        self._arrived = Event()
        self._taken = Event()
        #: Nothing more will arrive.
        self._gone = False
        #: The view knows that.
        self._told = False
        #: The view is over.
        self._over = Event()
        socketio = obtain_socketio(request.registry, exchange.defaults)
        self._elsewhere = socketio.connect
        answer = socketio.answer(environ, self.connect, self.closed)
        exchange.answer_early(environ, answer.status, answer.headers, answer.body)
        if not answer.opens:
            self._decided.set()

    # In the view's greenlet

    def wait(self) -> None:
        """Wait for the client to come in.

        Raises:
            GreenletExit: it does not.
        """
        if not self._entered:  # else native threads may send: they must not wait for an event of the loop
            self._decided.wait()
            if not self._entered:
                raise GreenletExit

    def send(self, message: Any) -> None:
        send_event(self.socket, ["message", message], self._json_default)

    def broadcast(self, message: Any, exceptions: Collection[str]) -> None:
        socket = self.socket
        audience = Audience(without=(socket.id, *exceptions))
        Target(socket.connection.owner, socket.namespace, audience, self._json_default).send(message)

    def take(self) -> list[Any]:
        """See :meth:`BlockingSocket.recv`."""
        while not self._next:
            if self._gone:
                if self._told:
                    raise GreenletExit
                self._told = True
                return []
            self._arrived.wait()
            self._arrived.clear()
        taken, self._next = self._next, []
        self._taken.set()
        return taken

    def end(self) -> None:
        """The view is over."""
        self._over.set()
        self._taken.set()
        if self._entered:
            # Two steps: told that it is sent away, the client does not come back by itself.
            self.socket.disconnect()
            self.socket.engine_session.close(CloseReason.SERVER)

    # What the session tells

    def connect(self, socket: NamespaceSocket, auth: Any) -> Context:
        """The connector: the main namespace is the view's, others are where they always are."""
        if socket.namespace != "/" or self._entered:
            if self._elsewhere is None:
                raise NoNamespace
            return self._elsewhere(socket, auth)
        if self._over.is_set():
            raise ConnectRefused
        self._request.environ[AUTH] = auth
        socket.userid = self._userid
        self.socket = socket
        self._entered = True
        self._decided.set()
        return self

    def closed(self) -> None:
        """The session is over."""
        self._decided.set()

    # What the socket tells

    def handle_event(self, data: list[Any], wants_ack: bool) -> list[Any] | None:
        """Hand a message to the view, and wait until it has taken it: what the client sends meanwhile is limited."""
        if self._over.is_set():
            return None
        log_format = self.socket.connection.owner.settings.message_log_format
        if log_format is not None:
            log_message(log_format, self._request.environ, data, "type")
        self._taken.clear()
        self._next = [as_message(data)]
        self._arrived.set()
        self._taken.wait()
        return None

    def fail(self, what: str, error: BaseException) -> list[Any]:
        log.error("%s failed in a view", what, exc_info=error)
        return []

    def stop(self) -> None:
        """Nothing was spawned."""

    def finish(self, reason: str) -> None:
        """Tell the view, and wait a moment for its end: a shutdown lets it say its last words to others."""
        self._gone = True
        self._arrived.set()
        self._over.wait(self.socket.connection.owner.settings.close_timeout)
