"""Rooms of one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import gevent
from gevent.event import AsyncResult

from ..errors import LimitExceeded, NotCarried, SessionClosed
from ..namespace import NamespaceSocket
from ..protocol.jsontext import Default
from ..rooms import Rooms
from . import Answers, Audience, Deliver

__all__ = ["MemoryAdapter"]


class MemoryAdapter:
    """See :class:`pyramid_socketio.adapters.Adapter`.

    Args:
        sockets: namespace to the connected clients in it, by id.
        deliver: sends to some of them.
    """

    def __init__(self, sockets: Mapping[str, Mapping[str, NamespaceSocket]], deliver: Deliver) -> None:
        self._sockets = sockets
        self._deliver = deliver
        self._rooms: dict[str, Rooms[NamespaceSocket]] = {}

    def join(self, socket: NamespaceSocket, rooms: Iterable[str]) -> None:
        if socket.reason is not None:
            return
        for room in rooms:
            if socket.rooms is None:
                socket.rooms = set()
            socket.rooms.add(room)
            self._rooms.setdefault(socket.namespace, Rooms()).join(room, socket.id, socket)

    def leave(self, socket: NamespaceSocket, rooms: Iterable[str]) -> None:
        mine = socket.rooms
        if mine is None:
            return
        namespace = self._rooms[socket.namespace]
        for room in rooms:
            if room in mine:
                mine.remove(room)
                namespace.leave(room, socket.id)
        if not mine:
            socket.rooms = None
        if not namespace:
            del self._rooms[socket.namespace]

    def leave_all(self, socket: NamespaceSocket) -> None:
        self.leave(socket, tuple(socket.rooms or ()))

    def close_room(self, namespace: str, room: str) -> None:
        rooms = self._rooms.get(namespace)
        if rooms is not None:
            for socket in tuple(rooms.members(room).values()):
                self.leave(socket, (room,))

    def select(self, namespace: str, audience: Audience) -> list[NamespaceSocket]:
        """The clients of this process that are addressed."""
        everybody = self._sockets.get(namespace, {})
        rooms = self._rooms.get(namespace) or Rooms[NamespaceSocket]()
        found = rooms.find(everybody, audience.rooms, audience.without)
        if audience.volatile:
            found = [socket for socket in found if socket.writable]
        return found

    def broadcast(self, namespace: str, audience: Audience, data: list[Any], default: Default | None) -> None:
        self._deliver(namespace, self.select(namespace, audience), data, default)

    def members(self, namespace: str, audience: Audience) -> set[str]:
        return {socket.id for socket in self.select(namespace, audience) if socket.connected()}

    def call(
        self, namespace: str, audience: Audience, data: list[Any], timeout: float, default: Default | None
    ) -> Answers:
        asked: list[tuple[NamespaceSocket, int, AsyncResult]] = []
        answers: dict[str, list[Any]] = {}
        missing: set[str] = set()
        try:
            for socket in self.select(namespace, audience):
                missing.add(socket.id)
                result = AsyncResult()
                # Who cannot be asked is missing.
                with suppress(SessionClosed, LimitExceeded, NotCarried):
                    asked.append((socket, socket.request_ack(data, result, default), result))
            gevent.wait([result for _, _, result in asked], timeout)
        finally:
            for socket, ack, _ in asked:
                socket.forget_ack(ack)
        for socket, _, result in asked:
            if result.value is not None:  # of a client that has gone away it is
                answers[socket.id] = result.value
                missing.remove(socket.id)
        return Answers(answers, missing)

    def disconnect(self, namespace: str, audience: Audience) -> None:
        for socket in self.select(namespace, audience):
            socket.disconnect()

    def rooms(self, namespace: str) -> Mapping[str, int]:
        rooms = self._rooms.get(namespace)
        return {} if rooms is None else rooms.sizes()
