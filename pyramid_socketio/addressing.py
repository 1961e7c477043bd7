"""Sending to many clients, and from anywhere: targets, and ``request.socketio``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pyramid.interfaces import IJSONAdapter, IRendererFactory
from zope.interface import providedBy

from .adapters import Answers, Audience
from .errors import AckTimeout, CloseReason, NoSocket, SessionClosed
from .namespace import NamespaceSocket, user_room
from .protocol.jsontext import Default, native

if TYPE_CHECKING:
    from .socketio import SocketIO

__all__ = ["Server", "Target", "named_rooms", "pyramid_json"]


def pyramid_json(request: Any, value: Any) -> Any:
    """JSON for a value that has none: by ``__json__`` or an adapter of Pyramid's renderer, else its own form."""
    if hasattr(value, "__json__"):
        return value.__json__(request)
    renderer = request.registry.queryUtility(IRendererFactory, name="json")
    if renderer is not None and hasattr(renderer, "components"):
        adapter = renderer.components.adapters.lookup((providedBy(value),), IJSONAdapter)
        if adapter is not None:
            return adapter(value, request)
    return native(value)


def named_rooms(socket: NamespaceSocket) -> set[str]:
    """The rooms of a client that have a name for applications: its own, and those that it has joined."""
    return {socket.id, *(room for room in socket.rooms or () if room[:1] != "\x1f")}


class Target:
    """Some clients of a namespace. Each step gives a new target; nothing is sent before the last one.

    What sends never blocks, runs no application code, and may be called in native threads. A client that is addressed
    by several rooms gets it once.
    """

    __slots__ = ("_audience", "_default", "_namespace", "_out_type", "_owner")

    def __init__(
        self,
        owner: SocketIO,
        namespace: str,
        audience: Audience,
        default: Default | None,
        out_type: str = "type",
    ) -> None:
        self._owner = owner
        self._namespace = namespace
        self._audience = audience
        self._default = default
        self._out_type = out_type

    # Who

    def _with(self, **changes: Any) -> Target:
        return Target(self._owner, self._namespace, self._audience._replace(**changes), self._default, self._out_type)

    def to(self, *rooms: str) -> Target:
        """Who is in one of these rooms, or of those that were named before. A client's id is a room of its own."""
        return self._with(rooms=(*self._audience.rooms, *rooms))

    def to_user(self, userid: str) -> Target:
        """All clients of a user, as the security policy knew it when they connected."""
        return self.to(user_room(userid))

    def except_(self, *rooms: str) -> Target:
        """Without who is in one of these rooms."""
        return self._with(without=(*self._audience.without, *rooms))

    @property
    def volatile(self) -> Target:
        """Only who can be sent something right now: for what is worth nothing a moment later."""
        return self._with(volatile=True)

    @property
    def local(self) -> Target:
        """Only clients of this process."""
        return self._with(local=True)

    # What

    def emit(self, event: str, *args: Any) -> None:
        """Send an event."""
        self._send([event, *args])

    def send(self, message: Any) -> None:
        """Send ``message`` as the event ``message``."""
        self._send(["message", message])

    def msg(self, msg_type: str, dictobj: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Send ``{"type": msg_type, ...}``; see :meth:`SocketIOContext.msg <.context.SocketIOContext.msg>`."""
        self.send({self._out_type: msg_type, **(dictobj or {}), **kwargs})

    def _send(self, data: list[Any]) -> None:
        owner = self._owner
        owner.run_in_loop(partial(owner.adapter.broadcast, self._namespace, self._audience, data, self._default))

    def call(self, event: str, *args: Any, timeout: float = 60.0) -> Answers:
        """Send an event and wait for the acknowledgements, for at most ``timeout`` seconds; not in native threads."""
        adapter = self._owner.adapter
        return adapter.call(self._namespace, self._audience, [event, *args], timeout, self._default)

    def members(self) -> set[str]:
        """The ids of the clients."""
        return self._owner.adapter.members(self._namespace, self._audience)

    def disconnect(self) -> None:
        """End the namespace for these clients."""
        owner = self._owner
        owner.run_in_loop(partial(owner.adapter.disconnect, self._namespace, self._audience))


class Server:
    """The clients of one namespace, from anywhere: ``request.socketio``.

    Args:
        namespace: ``/`` unless :meth:`of` asks for another.
    """

    __slots__ = ("_default", "_owner", "namespace")

    def __init__(self, owner: SocketIO, default: Default | None, namespace: str = "/") -> None:
        self._owner = owner
        self._default = default
        self.namespace = namespace

    def of(self, namespace: str) -> Server:
        """The clients of another namespace, such as ``/chat/blue``."""
        return Server(self._owner, self._default, namespace)

    @property
    def namespaces(self) -> list[str]:
        """Those that somebody is in, in this process."""
        return sorted(self._owner.members)

    @property
    def everybody(self) -> Target:
        """All clients of the namespace."""
        return Target(self._owner, self.namespace, Audience(), self._default)

    def to(self, *rooms: str) -> Target:
        """See :meth:`Target.to`."""
        return self.everybody.to(*rooms)

    def to_user(self, userid: str) -> Target:
        """See :meth:`Target.to_user`."""
        return self.everybody.to_user(userid)

    def except_(self, *rooms: str) -> Target:
        """See :meth:`Target.except_`."""
        return self.everybody.except_(*rooms)

    @property
    def volatile(self) -> Target:
        """See :attr:`Target.volatile`."""
        return self.everybody.volatile

    @property
    def local(self) -> Target:
        """See :attr:`Target.local`."""
        return self.everybody.local

    def emit(self, event: str, *args: Any, user: str | None = None) -> None:
        """Send an event to everybody, or to all clients of one user."""
        (self.everybody if user is None else self.to_user(user)).emit(event, *args)

    def msg(self, msg_type: str, dictobj: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Send ``{"type": msg_type, ...}`` to everybody."""
        self.everybody.msg(msg_type, dictobj, **kwargs)

    def broadcast(self, message: Any) -> None:
        """Send a message to everybody.

        Raises:
            NoSocket: nobody is there (setting ``raise_no_socket``).
        """
        self._reach(self.everybody).send(message)

    def broadcast_channel(self, message: Any, channel: str) -> None:
        """Send a message to everybody in a channel.

        Raises:
            NoSocket: nobody is there (setting ``raise_no_socket``).
        """
        self._reach(self.to(channel)).send(message)

    def send(self, session_id: str, message: Any) -> None:
        """Send a message to one client, by its public id.

        Raises:
            NoSocket: it is not there (setting ``raise_no_socket``).
        """
        self._reach(self.to(session_id)).send(message)

    def _reach(self, target: Target) -> Target:
        if self._owner.settings.raise_no_socket and not target.members():
            raise NoSocket("nobody is there to receive this")
        return target

    def call(self, session_id: str, event: str, *args: Any, timeout: float = 60.0) -> Any:
        """Send an event to one client and wait for its acknowledgement.

        Returns:
            ``None`` where the answer has no argument, the argument itself where it has one, else a list.

        Raises:
            NoSocket: it is not there.
            AckTimeout: no answer within ``timeout`` seconds.
            SessionClosed: it went away meanwhile.
        """
        target = self.to(session_id)
        if not target.members():
            raise NoSocket(f"there is no client {session_id}")
        answers, _ = target.call(event, *args, timeout=timeout)
        if session_id not in answers:
            if not target.members():
                raise SessionClosed(CloseReason.CLIENT)
            raise AckTimeout(f"no acknowledgement of {event!r} within {timeout} s")
        answer = answers[session_id]
        return answer[0] if len(answer) == 1 else (answer or None)

    def disconnect(self, session_id: str) -> None:
        """End the namespace for one client; nothing happens when it is gone."""
        self.to(session_id).disconnect()

    def members(self, room: str | None = None) -> set[str]:
        """The ids of everybody, or of who is in a room."""
        return (self.everybody if room is None else self.to(room)).members()

    @property
    def rooms(self) -> dict[str, int]:
        """The rooms that somebody is in, and how many; a client's own is not among them."""
        rooms = self._owner.adapter.rooms(self.namespace)
        return {room: count for room, count in rooms.items() if room[:1] != "\x1f"}

    def close_room(self, room: str) -> None:
        """Everybody leaves the room."""
        owner = self._owner
        owner.run_in_loop(partial(owner.adapter.close_room, self.namespace, room))
