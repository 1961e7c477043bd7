"""The Socket.IO server of one application: its clients, broadcasts to them, and their common end."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final

import gevent
from gevent import get_hub, monkey

from .adapters import Adapter, Audience
from .adapters.memory import MemoryAdapter
from .connection import Connection
from .engine import Answer, Engine
from .errors import CloseReason, LimitExceeded, NotCarried
from .evented.timers import Timers
from .evented.wire import Wire, send_to_all
from .evented.workers import Workers
from .interfaces import CONNECTION
from .namespace import CONNECTED, Connector, NamespaceSocket
from .protocol.jsontext import Default
from .protocol.packets import EncodedPacket
from .protocol.revisions import Revision
from .session import BaseSession, Session
from .settings import Settings

__all__ = ["SocketIO"]

log = logging.getLogger(__name__)

#: Of the operating system's thread; gevent's tells greenlets apart.
get_ident: Final = monkey.get_original("_thread", "get_ident")

#: Seconds for the next poll of a client that does not know of the shutdown yet. Clients poll again at once.
_LAST_POLL: Final = 1.0

#: Warnings that are said once, at most: clients choose the names in them.
_MAX_SAID: Final = 100


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
        #: Where rooms are kept.
        self.adapter: Adapter = MemoryAdapter(self.members, self.deliver)
        #: The event loop that serves the clients, and its thread.
        self._hub: Any = None
        self._thread = 0
        #: What native threads have asked for, in order, and the greenlet that is at it.
        self._handed_over: deque[Callable[[], None]] = deque()
        self._sender: gevent.Greenlet | None = None
        #: Sockets whose end has not been told to the application yet.
        self.ending = 0
        self._said: set[tuple[Any, str]] = set()

    def answer(
        self, environ: dict[str, Any], connect: Connector | None = None, closed: Callable[[], None] | None = None
    ) -> Answer:
        """Answer a handshake; see :meth:`Engine.answer`.

        Args:
            connect: decides about this client instead of the application's connector.
            closed: called in the hub when the session is over.
        """
        environ[CONNECTION].mount(self.engine, self.shutdown)
        self._serve_here()
        return self.engine.answer(environ, (connect or self.connect, closed))

    def open_session(self, environ: Mapping[str, Any], revision: Revision) -> Session:
        """A session without a handshake, for a client in this process. Its transport is the caller's to set.

        Args:
            environ: what the handshake's would be.
        """
        self._serve_here()
        return self.engine.open_session(Session, environ, revision, (self.connect, None))

    def _serve_here(self) -> None:
        """This thread serves the clients, unless another one does already."""
        if self._hub is None:
            self._hub, self._thread = get_hub(), get_ident()

    def _accept(self, session: BaseSession, hint: tuple[Connector | None, Callable[[], None] | None]) -> Connection:
        return Connection(self, session, *hint)

    def broadcast(
        self, namespace: str, data: list[Any], skip: NamespaceSocket | None = None, default: Default | None = None
    ) -> None:
        """Send an event to every client of a namespace but ``skip``, in whichever process. Runs no application code."""
        audience = Audience(without=() if skip is None else (skip.id,))
        self.adapter.broadcast(namespace, audience, data, default)

    def deliver(
        self, namespace: str, sockets: Iterable[NamespaceSocket], data: list[Any], default: Default | None
    ) -> None:
        """Send an event to some clients of a namespace; a client that is not in yet gets it when it is.

        Encoded once per revision, framed once per kind of transport. No application code runs in here.

        Args:
            sockets: not a view of what changes while it is sent: a client that turns out to be gone leaves its rooms.
        """
        groups: dict[int, tuple[Revision, list[NamespaceSocket]]] = {}
        last: Revision | None = None
        group: list[NamespaceSocket] = []
        for socket in sockets:
            if socket.state is not CONNECTED:
                try:
                    socket.send_event(data, default)
                except LimitExceeded:
                    log.info("client %s has missed too much before it was let in", socket.id)
                    socket.disconnect()  # which is no reason to keep it from the others
                continue
            revision = socket.engine_session.revision
            if revision is not last:
                last = revision
                group = groups.setdefault(id(revision), (revision, []))[1]
            group.append(socket)
        # All of it before anything is sent: what cannot be JSON reaches nobody. By name, because the kinds of clients
        # that share one write the same event, and frame it in different ways.
        events: dict[str, EncodedPacket | None] = {}
        for revision, _ in groups.values():
            if revision.name not in events:
                events[revision.name] = self._encode(revision, namespace, data, default)
        for revision, group in groups.values():
            event = events[revision.name]
            if event is not None:
                self._send_to_all(group, revision.engine.Message(event))

    @staticmethod
    def _send_to_all(group: list[NamespaceSocket], message: Any) -> None:
        """Send what has been encoded to clients of one revision, unless they went away meanwhile."""
        wires: list[Wire] = []
        others: list[NamespaceSocket] = []
        for socket in group:
            if socket.state is CONNECTED:
                wire = socket.engine_session.transport.direct_wire
                if wire is None:
                    others.append(socket)
                else:
                    wires.append(wire)
        if wires:
            send_to_all(wires, message.frames)
        # Afterwards, because each of these may find a client gone, and wires are not looked at twice.
        for socket in others:
            if socket.state is CONNECTED:
                socket.engine_session.transport.send(message)

    @property
    def in_loop(self) -> bool:
        """Whether this is the thread that serves the clients. Others, native ones, can only hand things over to it."""
        return self._hub is None or get_ident() == self._thread

    def require_loop(self) -> None:
        """For what waits for clients.

        Raises:
            RuntimeError: this is a native thread.
        """
        if not self.in_loop:
            raise RuntimeError("call() cannot wait for clients in a native thread")
        self.catch_up()

    def run_in_loop(self, send: Callable[[], None]) -> None:
        """Run something that sends: at once, or in its turn where a native thread asks for it."""
        if self.in_loop:
            self.catch_up()
            send()
        else:
            self._handed_over.append(send)
            self._hub.loop.run_callback_threadsafe(self._take_over)

    def catch_up(self) -> None:
        """Send what native threads have handed over before: who sends now may have waited for one of them."""
        if self._handed_over and gevent.getcurrent() is not self._hub:
            self._send_handed_over()

    def _take_over(self) -> None:
        # In a greenlet, because of what is found out while it sends: from the hub, the end of a client would be told to
        # the application in the middle of a broadcast.
        if not self._sender:  # a greenlet is true from its start to its end
            self._sender = gevent.spawn(self._send_handed_over)

    def _send_handed_over(self) -> None:
        while self._handed_over:
            try:
                self._handed_over.popleft()()
            except Exception:
                log.exception("what a native thread has sent failed")

    def _encode(
        self, revision: Revision, namespace: str, data: list[Any], default: Default | None
    ) -> EncodedPacket | None:
        """The event as clients of a revision read it; ``None`` where that cannot carry it."""
        try:
            encoded: EncodedPacket = revision.socket.encode_event(namespace, data, None, default)
            return encoded
        except NotCarried as error:
            self.not_carried(revision, data[0], error)
            return None

    def not_carried(self, revision: Revision, event: Any, error: NotCarried) -> None:
        """Log, once for each event and revision, that some clients do not get an event."""
        if self.is_news(revision.name, event):
            log.warning("clients of revision %s do not get %r: %s (said once)", revision.name, str(event)[:100], error)

    def is_news(self, subject: Any, name: Any) -> bool:
        """Whether this has not been asked before, and the log is to say it: for what clients could repeat for ever."""
        what = (subject, str(name)[:100])
        if what in self._said or len(self._said) == _MAX_SAID:
            return False
        self._said.add(what)
        return True

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
