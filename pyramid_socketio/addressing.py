"""Sending to many clients, and from anywhere: targets, and ``request.socketio``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pyramid.interfaces import IJSONAdapter, IRendererFactory
from zope.interface import providedBy

from .adapters import Answers, Audience
from .errors import AckTimeout, CloseReason, NoSocket, SessionClosed
from .namespace import CHANNEL, RESERVED, NamespaceSocket, channel_room, user_room
from .protocol.jsontext import Default, native
from .protocol.packets import RESERVED_EVENTS

if TYPE_CHECKING:
    from .socketio import SocketIO

__all__ = [
    "Server",
    "Target",
    "channel_rooms",
    "checked_rooms",
    "event_data",
    "named_rooms",
    "plain_json",
    "pyramid_json",
    "send_event",
]

#: ``emit(user=None)`` is for nobody: who is not logged in has no other clients.
_EVERYBODY: Final = object()


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


def checked_rooms(rooms: tuple[str, ...]) -> tuple[str, ...]:
    """Rooms that an application names, perhaps because a client says so.

    Raises:
        TypeError: one is no text; several are several arguments, not a list.
        ValueError: one is the package's: whoever could join that would read what is for a user or a channel.
    """
    for room in rooms:
        if not isinstance(room, str):
            raise TypeError(f"the name of a room is a text, not {room!r}")
        if room[:1] == RESERVED:
            raise ValueError(f"the name of a room must not begin with {RESERVED!r}: {room[:100]!r}")
    return rooms


def channel_rooms(channels: tuple[str, ...]) -> tuple[str, ...]:
    """The rooms of channels that an application names.

    Raises:
        TypeError: one is no text; several are several arguments, not a list.
    """
    for channel in channels:
        if not isinstance(channel, str):
            raise TypeError(f"the name of a channel is a text, not {channel!r}")
    return tuple(map(channel_room, channels))


def named_rooms(socket: NamespaceSocket) -> set[str]:
    """The rooms of a client that have a name for applications: its own, and those that it has joined."""
    return {socket.id, *(room for room in socket.rooms or () if room[:1] != RESERVED)}


def event_data(name: str, args: Iterable[Any], json_dumps: Callable[[Any], str | bytes] | None = None) -> list[Any]:
    """The event ``[name, *args]``; with ``json_dumps``, as what that makes of the arguments.

    Raises:
        TypeError: the name is no text.
        ValueError: it is one of those that clients take for something else, or for an error: some end the connection.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an event must be text, not {type(name).__name__}; send(value) needs no name")
    if name in RESERVED_EVENTS:
        raise ValueError(f"{name!r} means something inside of the clients: give the event another name")
    if json_dumps is not None:
        args = [json.loads(json_dumps(value)) for value in args]
    return [name, *args]


def plain_json(value: Any, default: Default) -> Any:
    """A copy that is JSON, or binary, all through: for what a native thread hands over.

    What the thread does with the value afterwards is not to be seen, and its ``__json__`` not to run in the loop.

    Raises:
        TypeError: ``default`` knows no JSON for something in it.
    """
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, dict):
        return {key: plain_json(item, default) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item, default) for item in value]
    return plain_json(default(value), default)


def send_event(socket: NamespaceSocket, data: list[Any], default: Default) -> None:
    """Send the event ``[name, *args]`` to one client; may be called in native threads.

    Raises:
        TypeError, ValueError: data that cannot be JSON.
    """
    owner = socket.connection.owner
    if owner.in_loop:
        owner.catch_up()
        socket.send_event(data, default)
    else:
        owner.run_in_loop(partial(socket.send_event, plain_json(data, default), default))


class Target:
    """Some clients of a namespace. Each step gives a new target; nothing is sent before the last one.

    What sends never blocks, runs no handler, and may be called in native threads. A client that is addressed by several
    rooms gets it once.

    Raises:
        TypeError, ValueError: from each step, a name that no room can have; from what sends, data that cannot be JSON.
    """

    __slots__ = ("_audience", "_default", "_json_dumps", "_namespace", "_out_type", "_owner")

    def __init__(
        self,
        owner: SocketIO,
        namespace: str,
        audience: Audience,
        default: Default | None,
        out_type: str = "type",
        json_dumps: Callable[[Any], str | bytes] | None = None,
    ) -> None:
        self._owner = owner
        self._namespace = namespace
        self._audience = audience
        self._default = default
        self._out_type = out_type
        self._json_dumps = json_dumps

    # Who

    def _with(self, **changes: Any) -> Target:
        audience = self._audience._replace(**changes)
        return Target(self._owner, self._namespace, audience, self._default, self._out_type, self._json_dumps)

    def _to(self, *rooms: str) -> Target:
        return self._with(rooms=(*(self._audience.rooms or ()), *rooms))

    def to(self, *rooms: str) -> Target:
        """Who is in one of these rooms, or of those that were named before; with none at all, nobody.

        A client's id is a room of its own.
        """
        return self._to(*checked_rooms(rooms))

    def to_user(self, userid: Any) -> Target:
        """All clients of a user, as the security policy knew it when they connected; nobody for ``None``."""
        return self._to() if userid is None else self._to(user_room(userid))

    def to_channel(self, *channels: str) -> Target:
        """Who is in one of these channels, or of the rooms and channels that were named before; see :mod:`.channels`.

        A channel is not the room of the same name.

        Raises:
            TypeError: a channel's name is no text; several are several arguments, not a list.
        """
        return self._to(*channel_rooms(channels))

    def except_(self, *rooms: str) -> Target:
        """Without who is in one of these rooms."""
        return self._with(without=(*self._audience.without, *checked_rooms(rooms)))

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
        owner = self._owner
        data = event_data(event, args, self._json_dumps)
        if not owner.in_loop:
            data = plain_json(data, self._default or native)
        owner.run_in_loop(partial(owner.adapter.broadcast, self._namespace, self._audience, data, self._default))

    def send(self, message: Any) -> None:
        """Send ``message`` as the event ``message``."""
        self.emit("message", message)

    def msg(self, msg_type: str, dictobj: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Send ``{"type": msg_type, ...}``; see :meth:`SocketIOContext.msg <.context.SocketIOContext.msg>`."""
        self.send({self._out_type: msg_type, **(dictobj or {}), **kwargs})

    def call(self, event: str, *args: Any, timeout: float = 60.0) -> Answers:
        """Send an event and wait for the acknowledgements, for at most ``timeout`` seconds.

        Raises:
            RuntimeError: called in a native thread.
        """
        owner = self._owner
        owner.require_loop()
        data = event_data(event, args, self._json_dumps)
        return owner.adapter.call(self._namespace, self._audience, data, timeout, self._default)

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
        """The clients of another namespace, such as ``/chat/blue``.

        Raises:
            ValueError: it does not begin with a slash.
        """
        if not namespace.startswith("/"):
            raise ValueError(f"the namespace {namespace!r} must begin with '/'")
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

    def to_user(self, userid: Any) -> Target:
        """See :meth:`Target.to_user`."""
        return self.everybody.to_user(userid)

    def to_channel(self, *channels: str) -> Target:
        """See :meth:`Target.to_channel`."""
        return self.everybody.to_channel(*channels)

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

    def emit(self, event: str, *args: Any, user: Any = _EVERYBODY) -> None:
        """Send an event to everybody, or to all clients of one user; see :meth:`Target.to_user`."""
        (self.everybody if user is _EVERYBODY else self.to_user(user)).emit(event, *args)

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
        self._reach(self.to_channel(channel)).send(message)

    def send(self, session_id: str, message: Any) -> None:
        """Send a message to one client, by its public id.

        Raises:
            NoSocket: it is not there (setting ``raise_no_socket``).
        """
        self._reach(self._client(session_id)).send(message)

    def _client(self, session_id: str) -> Target:
        """One client; nobody where that is only the name of a room, which whoever says the id must not choose."""
        target = self.to(session_id)
        return target if session_id in target.members() else self.to()

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
            NotCarried: it is so old that it has no acks, or no binary data.
            RuntimeError: called in a native thread.
        """
        self._owner.require_loop()
        socket = self._owner.members.get(self.namespace, {}).get(session_id)
        if socket is not None:
            answer = socket.call(event_data(event, args), timeout, self._default)
        else:
            answer = self._call_elsewhere(session_id, event, args, timeout)
        return answer[0] if len(answer) == 1 else (answer or None)

    def _call_elsewhere(self, session_id: str, event: str, args: tuple[Any, ...], timeout: float) -> list[Any]:
        """Ask a client of another process, of which less is known."""
        target = self.to(session_id)
        if session_id not in target.members():
            raise NoSocket(f"there is no client {session_id}")
        answers, _ = target.call(event, *args, timeout=timeout)
        if session_id in answers:
            return answers[session_id]
        if session_id not in target.members():
            raise SessionClosed(CloseReason.CLIENT)
        raise AckTimeout(f"no acknowledgement of {event!r} within {timeout} s")

    def disconnect(self, session_id: str) -> None:
        """End the namespace for one client, by its public id; nothing happens when it is gone."""
        owner = self._owner
        socket = owner.members.get(self.namespace, {}).get(session_id)
        if socket is not None:
            owner.run_in_loop(socket.disconnect)
        else:
            self._client(session_id).disconnect()

    def members(self, room: str | None = None) -> set[str]:
        """The ids of everybody, or of who is in a room."""
        return (self.everybody if room is None else self.to(room)).members()

    @property
    def rooms(self) -> dict[str, int]:
        """The rooms that somebody is in, and how many; not those of single clients, users and channels."""
        rooms = self._owner.adapter.rooms(self.namespace)
        return {room: count for room, count in rooms.items() if room[:1] != RESERVED}

    @property
    def channels(self) -> dict[str, int]:
        """The channels that somebody is in, and how many."""
        rooms = self._owner.adapter.rooms(self.namespace)
        return {room.removeprefix(CHANNEL): count for room, count in rooms.items() if room.startswith(CHANNEL)}

    def close_room(self, room: str) -> None:
        """Everybody leaves the room."""
        owner = self._owner
        checked_rooms((room,))
        owner.run_in_loop(partial(owner.adapter.close_room, self.namespace, room))
