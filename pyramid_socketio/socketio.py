"""The Socket.IO server of one application: its clients, broadcasts to them, and their common end."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import gevent

from .connection import Connection
from .engine import Answer, Engine
from .errors import CloseReason
from .evented.timers import Timers
from .evented.workers import Workers
from .interfaces import CONNECTION
from .namespace import Connector, NamespaceSocket
from .protocol.jsontext import Default
from .protocol.revisions import Revision
from .session import Session
from .settings import Settings

__all__ = ["SocketIO"]


#: Seconds for the next poll of a client that does not know of the shutdown yet. Clients poll again at once.
_LAST_POLL: Final = 1.0


class SocketIO:
    """The Socket.IO server of one application.

    Args:
        connect: decides about each CONNECT.
    """

    def __init__(self, settings: Settings, connect: Connector | None = None) -> None:
        self.settings = settings
        self.connect = connect
        self.timers = Timers()
        self.workers = Workers()
        self.engine = Engine(settings, self.timers, self._accept)
        #: Namespace to the connected clients in it, by id.
        self.members: dict[str, dict[str, NamespaceSocket]] = {}
        #: Sockets whose end has not been told to the application yet.
        self.ending = 0

    def answer(
        self, environ: dict[str, Any], connect: Connector | None = None, closed: Callable[[], None] | None = None
    ) -> Answer:
        """Answer a handshake; see :meth:`Engine.answer`.

        Args:
            connect: decides about this client instead of the application's connector.
            closed: called in the hub when the session is over.
        """
        environ[CONNECTION].mount(self.engine, self.shutdown)
        return self.engine.answer(environ, (connect or self.connect, closed))

    def _accept(self, session: Session, hint: tuple[Connector | None, Callable[[], None] | None]) -> Connection:
        return Connection(self, session, *hint)

    def broadcast(
        self, namespace: str, data: list[Any], skip: NamespaceSocket | None = None, default: Default | None = None
    ) -> None:
        """Send an event to every client of a namespace but ``skip``.

        Encoded once per revision, framed once per kind of transport. No application code runs in here.
        """
        members = self.members.get(namespace)
        if not members:
            return
        messages: dict[str, Any] = {}
        last: Revision | None = None
        message: Any = None
        # A copy, because a client that turns out to be gone leaves the dict.
        for socket in tuple(members.values()):
            if socket is skip:
                continue
            session = socket.engine_session
            revision = session.revision
            if revision is not last:
                last = revision
                message = messages.get(revision.name)
                if message is None:
                    encoded = revision.socket.encode_event(namespace, data, None, default)
                    message = messages[revision.name] = revision.engine.Message(encoded)
            session.transport.send(message)

    def shutdown(self) -> None:
        """Tell every client that the server goes away, and run every ``disconnect``; returns when all have run.

        Bounded by ``drain_timeout``. A client between two polls has a moment for the next one, which tells it.
        """
        self.engine.closing = True
        with gevent.Timeout(self.settings.drain_timeout, False):
            for count, session in enumerate(tuple(self.engine.sessions.values())):
                session.close(CloseReason.SHUTDOWN, 1001)
                if count % 100 == 99:
                    gevent.sleep(0)  # in batches: the loop writes, and handlers run
            patience = monotonic() + _LAST_POLL
            # What is left of the sessions are those that have last words to be fetched.
            while self.ending or (self.engine.sessions and monotonic() < patience):
                gevent.sleep(0.005)
        self.workers.close()
