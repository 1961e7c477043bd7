"""One client in one namespace: events and acknowledgements, its inbox, its beginning and its end."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import gevent
from gevent import GreenletExit, getcurrent
from gevent.event import AsyncResult

from .errors import (
    AckTimeout,
    CloseReason,
    ConnectRefused,
    LimitExceeded,
    NotCarried,
    SessionClosed,
)
from .evented.timers import Timer
from .protocol.http import escape
from .protocol.jsontext import Default
from .protocol.packets import ACK, EVENT, EncodedPacket, SocketPacket

if TYPE_CHECKING:
    from .connection import Connection

__all__ = [
    "CHANNEL",
    "CONNECTED",
    "FAILURES",
    "RESERVED",
    "Connector",
    "Context",
    "NamespaceSocket",
    "channel_room",
    "user_room",
]

log = logging.getLogger(__name__)

# States of a socket.
_CONNECTING: Final = "connecting"
CONNECTED: Final = "connected"
_ENDED: Final = "ended"

#: ``gevent.Timeout`` is no ``Exception``, but one that leaves the application's code is an error of that code.
FAILURES: Final = (Exception, gevent.Timeout)

#: In an inbox: the end, behind everything that the client sent before.
_END: Final = SocketPacket(-1)


class Context(Protocol):
    """What a socket needs of the application's object (:class:`~pyramid_socketio.context.SocketIOContext`)."""

    def handle_event(self, data: list[Any], wants_ack: bool) -> list[Any] | None:
        """Run the handler of an event, in a worker. Never raises.

        Returns:
            The arguments of the ack.
        """

    def fail(self, what: str, error: BaseException) -> list[Any]:
        """Log an error of the application, and tell the client with a fixed text. Never raises.

        Returns:
            The arguments of the ack, where one was asked for.
        """

    def stop(self) -> None:
        """The client is gone: kill what was spawned, without waiting. Called in the hub or anywhere."""

    def finish(self, reason: str) -> None:
        """Run the application's ``disconnect``, in a worker. Never raises."""


#: How the names of rooms begin that applications cannot join, because a client may say which room that is.
RESERVED: Final = "\x1f"


def user_room(userid: Any) -> str:
    """The room of all clients of one user."""
    return f"{RESERVED}user:{userid}"


#: How the rooms of channels begin: the rest is the channel's name, which a client may choose.
CHANNEL: Final = f"{RESERVED}channel:"


def channel_room(name: str) -> str:
    """The room of a channel; whatever its name, it is no named room, no client's and no user's."""
    return CHANNEL + name


#: Lets a client into a namespace, in a worker: ``connector(socket, auth)`` gives the context or raises ConnectRefused.
Connector = Callable[["NamespaceSocket", Any], Context]


class NamespaceSocket:
    """One client in one namespace; an application knows it as ``context.io``.

    ``id`` is new for each namespace and unrelated to the session's id, which is a secret between server and client.
    """

    __slots__ = (
        "_acks",
        "_backlog_bytes",
        "_busy",
        "_calls",
        "_deadline",
        "_decider",
        "_early",
        "_finished",
        "_full",
        "_inbox",
        "_next_ack",
        "connection",
        "context",
        "engine_session",
        "id",
        "namespace",
        "reason",
        "rooms",
        "state",
        "userid",
    )

    def __init__(self, connection: Connection, namespace: str) -> None:
        self.connection = connection
        self.engine_session = connection.session
        self.namespace = namespace
        self.id = secrets.token_urlsafe(15)
        self.state = _CONNECTING
        #: Why it ended, one of :class:`~pyramid_socketio.errors.CloseReason`.
        self.reason: str | None = None
        self.context: Context | None = None
        #: The rooms that it is in besides its own; the adapter's to change. ``None``: none.
        self.rooms: set[str] | None = None
        #: Who the security policy says that it is.
        self.userid: str | None = None
        self._inbox: deque[SocketPacket] | None = None
        self._backlog_bytes = 0
        #: A worker runs :meth:`connect` or :meth:`drain`, which comes to everything that is in the inbox.
        self._busy = True
        #: How many :meth:`call` wait.
        self._calls = 0
        #: The greenlet that runs the application's ``connect``, while it does.
        self._decider: Any = None
        self._full = False
        self._finished = False
        self._deadline: Timer | None = None
        self._early: list[EncodedPacket] | None = None
        self._acks: dict[int, AsyncResult | Callable[..., None]] | None = None
        self._next_ack = 0

    # What the original's `context.io` offered

    def connected(self) -> bool:
        """Whether the client is there."""
        return self.state is CONNECTED

    @property
    def session(self) -> NamespaceSocket:
        """For ``io.session.session_id``; what the original had a session for is in the socket itself."""
        return self

    @property
    def session_id(self) -> str:
        """The public id of the client (never the secret id of its transport)."""
        return self.id

    @property
    def revision(self) -> str:
        """Which protocol the client speaks, for people to read."""
        return self.engine_session.revision.name

    @property
    def transport(self) -> str:
        """``"polling"`` or ``"websocket"``, at this moment."""
        return self.engine_session.transport.name

    @property
    def writable(self) -> bool:
        """Whether the client can be sent something right now: nothing waits before it but what goes out with it."""
        return self.state is CONNECTED and self.engine_session.transport.writable

    def send(self, message: Any) -> None:
        """Send ``message`` as the event ``message``."""
        self.send_event(["message", message])

    def broadcast(self, message: Any) -> None:
        """Send ``message`` to all other clients of the namespace."""
        self.connection.owner.broadcast(self.namespace, ["message", message], skip=self)

    def disconnect(self) -> None:
        """End the namespace for this client, which does not come back by itself; other namespaces live on."""
        if self.state is CONNECTED:
            revision = self.engine_session.revision
            if self.namespace == "/" and revision.main_is_connection:
                self.engine_session.close(CloseReason.SERVER)
                return
            self.connection.send(revision.socket.encode_disconnect(self.namespace))
            self.end(CloseReason.SERVER)
        else:
            self._refuse(ConnectRefused())

    # Sending

    def send_event(self, data: list[Any], default: Default | None = None) -> None:
        """Send the event ``[name, *args]``. Never blocks; nothing happens when the client is gone.

        What the client's revision cannot carry is logged and not sent.

        Raises:
            TypeError, ValueError: the data cannot be JSON.
            LimitExceeded: the client is not in yet, and ``max_queue_packets`` wait for that.
        """
        session = self.engine_session
        revision = session.revision
        try:
            encoded = revision.socket.encode_event(self.namespace, data, None, default)
        except NotCarried as error:
            self.connection.owner.not_carried(revision, data[0], error)
            return
        if self.state is CONNECTED:
            session.transport.send(revision.engine.Message(encoded))
        else:
            self._send(encoded)

    def _send(self, encoded: EncodedPacket) -> None:
        if self.state is CONNECTED:
            self.connection.send(encoded)
        elif self.state is _CONNECTING:
            # "The server may send events only after its own CONNECT answer."
            if self._early is None:
                self._early = []
            limit = self.engine_session.settings.max_queue_packets
            if len(self._early) >= limit:
                raise LimitExceeded(f"{limit} packets wait for the end of connect() (socketio.max_queue_packets)")
            self._early.append(encoded)

    def request_ack(
        self, data: list[Any], answered: AsyncResult | Callable[..., None], default: Default | None = None
    ) -> int:
        """Send an event that asks for an acknowledgement.

        Args:
            answered: gets the list of arguments (``AsyncResult``), or is called with them in a worker. Never called
                when the client goes away before; an ``AsyncResult`` gets ``None`` then.

        Returns:
            The id, for :meth:`forget_ack`.

        Raises:
            SessionClosed: the client is gone.
            NotCarried: the client's revision has no acknowledgements, or cannot carry the data.
            LimitExceeded: ``max_pending_acks`` are waiting; or as in :meth:`send_event`.
        """
        if self.state is _ENDED:
            raise SessionClosed(self.reason or CloseReason.CLIENT)
        if self._acks is None:
            self._acks = {}
        limit = self.connection.owner.settings.max_pending_acks
        if len(self._acks) >= limit:
            raise LimitExceeded(f"{limit} acknowledgements of this client are waited for (socketio.max_pending_acks)")
        id = self._next_ack
        self._next_ack = id + 1
        encoded = self.engine_session.revision.socket.encode_event(self.namespace, data, id, default)
        self._acks[id] = answered
        try:
            self._send(encoded)
        except LimitExceeded:
            self.forget_ack(id)
            raise
        return id

    def send_with_ack(self, data: list[Any], answered: Callable[..., None], default: Default | None = None) -> None:
        """Send an event that asks for an acknowledgement, where the client's revision has such; else without.

        Raises:
            SessionClosed, LimitExceeded: as in :meth:`request_ack`.
        """
        try:
            self.request_ack(data, answered, default)
        except NotCarried as error:
            self.connection.owner.not_carried(self.engine_session.revision, data[0], error)
            self.send_event(data, default)

    def forget_ack(self, id: int) -> None:
        """Do not wait for it any longer; when it comes, it is ignored."""
        if self._acks is not None:
            self._acks.pop(id, None)

    def call(self, data: list[Any], timeout: float, default: Default | None = None) -> list[Any]:
        """Send an event and wait for its acknowledgement.

        While it waits, the inbox may grow to twice its limits: the answer comes behind what the client sent before.

        Returns:
            The arguments of the acknowledgement.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds.
            SessionClosed: the client is gone.
            NotCarried: see :meth:`request_ack`.
            RuntimeError: called by the application's ``connect``.
        """
        if self._decider is getcurrent():
            raise RuntimeError("call() inside connect() would wait for ever: the client can answer when it is in")
        result = AsyncResult()
        id = self.request_ack(data, result, default)
        self._calls += 1
        if self._full and not self._over_limits():
            self._read_on()
        timer = gevent.Timeout.start_new(timeout)
        try:
            answer: list[Any] | None = result.get()
        except gevent.Timeout as expired:
            if expired is not timer:  # one that the application has set around this call
                raise
            raise AckTimeout(f"no acknowledgement of {data[0]!r} within {timeout} s") from None
        finally:
            timer.close()
            self._calls -= 1
            self.forget_ack(id)
        if answer is None:
            raise SessionClosed(self.reason or CloseReason.CLIENT)
        return answer

    # Receiving

    def put(self, packet: SocketPacket) -> bool:
        """Queue a packet for the handlers.

        Returns:
            Whether :meth:`drain` has to be run in a worker.
        """
        # Made when needed: an idle client has no inbox.
        inbox = self._inbox
        if inbox is None:
            inbox = self._inbox = deque()
        inbox.append(packet)
        if not self._busy:
            self._busy = True
            return True
        # The handler is slow. What it has not come to is limited by letting the client wait.
        self._backlog_bytes += packet.size
        if not self._full and self._over_limits():
            self._full = True
            self.connection.pause()
        return False

    def _over_limits(self) -> bool:
        settings = self.engine_session.settings
        factor = 2 if self._calls else 1
        return (
            len(self._inbox or ()) > factor * settings.max_inbox_packets
            or self._backlog_bytes > factor * settings.max_inbox_bytes
        )

    def _make_room(self) -> None:
        self._backlog_bytes = 0
        if self._full:
            self._read_on()

    def _read_on(self) -> None:
        self._full = False
        self.connection.resume()

    def drain(self) -> None:
        """Handle what is in the inbox, one packet at a time, in order. Runs in a worker."""
        inbox = self._inbox
        transport = self.engine_session.transport
        worker = getcurrent()
        if inbox is not None and len(inbox) > 1:
            # The answers to messages that came together go out together.
            transport.cork()
        try:
            while inbox:
                packet = inbox.popleft()
                if packet.type == EVENT:
                    if not self._finished:
                        answer = self.context.handle_event(packet.data, packet.id is not None)  # type: ignore[union-attr]
                        if packet.id is not None and self.state is CONNECTED:
                            self._acknowledge(packet.id, packet.data[0], answer)
                elif packet is _END:
                    self._finish()
                elif not self._finished:
                    packet.data()
                if worker.gr_context is not None:
                    worker.gr_context = None  # context variables do not last from one message to the next
                if not inbox:
                    # Here, because sending may find out that the client is gone, which puts the end into the inbox.
                    transport.uncork()
        finally:
            self._inbox = None
            self._busy = False
            if self.state is _ENDED:
                self.connection.leaving -= 1
            if self._full or self._backlog_bytes:
                self._make_room()

    def _acknowledge(self, id: Any, event: Any, answer: list[Any] | None) -> None:
        self.connection.owner.catch_up()
        context = self.context
        encode = self.engine_session.revision.socket.encode_ack
        try:
            packets = encode(self.namespace, id, answer or [], getattr(context, "json_default", None))
        except NotCarried as error:
            self.connection.owner.not_carried(self.engine_session.revision, f"the answer to {event}", error)
            packets = encode(self.namespace, id, [{"type": "error", "error": "not_carried", "msg": str(error)}])
        except FAILURES as error:
            assert context is not None
            what = f"the acknowledgement of {escape(repr(event), 100)}"
            packets = encode(self.namespace, id, context.fail(what, error))
        for encoded in packets:
            self.connection.send(encoded)

    def acknowledged(self, packet: SocketPacket) -> bool:
        """The client acknowledged; unknown and repeated ids are ignored.

        Returns:
            Whether :meth:`drain` has to be run in a worker.
        """
        answered = self._acks.pop(packet.id, None) if self._acks and packet.id is not None else None
        if answered is None:
            return False
        if isinstance(answered, AsyncResult):
            # Past the inbox: the handler that waits for it may be the one that the inbox waits for.
            answered.set(packet.data)
            return False
        call_back = partial(self._call_back, answered, packet.data)
        return self.put(SocketPacket(ACK, self.namespace, call_back, size=packet.size))

    def _call_back(self, answered: Callable[..., None], arguments: list[Any]) -> None:
        context = self.context
        assert context is not None
        try:
            answered(*arguments)
        except GreenletExit:
            pass
        except FAILURES as error:
            context.fail("the callback of an acknowledgement", error)

    # Beginning and end

    def connect(self, connect: Connector, auth: Any) -> None:
        """Ask the application whether the client may come in. Runs in a worker."""
        connection = self.connection
        self._decider = getcurrent()
        try:
            context = connect(self, auth)
        except ConnectRefused as refused:
            self._turn_away(refused)
            return
        except GreenletExit:
            self._turn_away(ConnectRefused())
            return
        except FAILURES:
            log.exception("unexpected error while connecting to %s", self.namespace)
            self._turn_away(ConnectRefused("Internal server error", {"status": 500}))
            return
        finally:
            self._decider = None
        self.context = context
        if self.state is _ENDED:
            # The client went away while the application was still deciding.
            connection.owner.ending += 1
            context.stop()
            try:
                self._finish()
            finally:
                connection.leaving -= 1
            return
        self.state = CONNECTED
        connection.owner.members.setdefault(self.namespace, {})[self.id] = self
        if self.userid is not None:
            connection.owner.adapter.join(self, (user_room(self.userid),))
        connection.send(self.engine_session.revision.socket.encode_connect(self.namespace, self.id))
        if self._early is not None:
            early, self._early = self._early, None
            for encoded in early:
                connection.send(encoded)
        connection.joined()
        self.drain()

    def forget(self) -> None:
        """Leave all rooms, do not wait for acknowledgements, drop what waits for the end of ``connect``.

        For a ``connect`` that is called again, because what it did does not count; and at the end.
        """
        self._early = None
        if self.rooms is not None:
            self.connection.owner.adapter.leave_all(self)
        acks, self._acks = self._acks, None
        for answered in (acks or {}).values():
            if isinstance(answered, AsyncResult):
                answered.set(None)

    def _turn_away(self, refused: ConnectRefused) -> None:
        """The application has decided: no."""
        self._refuse(refused)
        self.connection.leaving -= 1

    def _refuse(self, refused: ConnectRefused) -> None:
        if self.state is _CONNECTING:
            self.end(CloseReason.SERVER)
            self.connection.refuse(self.namespace, refused, self.id)

    def end(self, reason: str) -> None:
        """The client leaves the namespace, for whatever reason. Runs no application code; called anywhere."""
        state, self.state = self.state, _ENDED
        if state is _ENDED:
            return
        self.reason = reason
        connection = self.connection
        connection.sockets.pop(self.namespace, None)
        connection.leaving += 1  # until `connect`, or the `drain` that comes to the end, is over
        self.forget()
        if state is _CONNECTING:
            self._inbox = None
            if self._full:
                self._read_on()
            return
        owner = connection.owner
        members = owner.members.get(self.namespace)
        if members is not None:
            members.pop(self.id, None)
            if not members:
                del owner.members[self.namespace]
        if self.context is not None:
            self.context.stop()
        owner.ending += 1
        if self.put(_END):
            owner.workers.run(self.drain)
        else:
            # What the client sent before comes first; but a handler that blocks does not keep the end away for long.
            self._deadline = owner.timers.schedule(
                owner.settings.close_timeout, partial(owner.workers.run, self._finish_early)
            )
            self._make_room()  # the other namespaces need not wait for that handler

    def _finish_early(self) -> None:
        """The end, while a handler still blocks."""
        self.connection.leaving += 1
        try:
            self._finish()
        finally:
            self.connection.leaving -= 1

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        try:
            if self.context is not None:
                self.context.finish(self.reason or CloseReason.CLIENT)
        finally:
            self.context = None  # it holds this socket: the circle ends here
            self.connection.owner.ending -= 1
