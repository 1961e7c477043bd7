"""Rooms as plain data: who is in which, and who is addressed by some of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

__all__ = ["Rooms"]

Member = TypeVar("Member")


class Rooms(Generic[Member]):
    """The rooms of one namespace.

    A room is there as long as somebody is in it. Joining and leaving take the same time whatever the number of rooms
    and members; finding takes time for those who are found. Only one thread changes it; others may look, because
    dictionaries are copied before they are gone through. (As dictionaries: the pairs of a list are made one by one, and
    that may start the garbage collector, which lets other threads go on.)
    """

    __slots__ = ("_rooms",)

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Member]] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def join(self, room: str, id: str, member: Member) -> None:
        self._rooms.setdefault(room, {})[id] = member

    def leave(self, room: str, id: str) -> None:
        """Nothing happens to who is not in it."""
        members = self._rooms.get(room)
        if members is not None:
            members.pop(id, None)
            if not members:
                del self._rooms[room]

    def members(self, room: str) -> Mapping[str, Member]:
        return self._rooms.get(room, {})

    def sizes(self) -> dict[str, int]:
        """Room to the number of its members."""
        return {room: len(members) for room, members in self._rooms.copy().items()}

    def find(
        self, everybody: Mapping[str, Member], rooms: Collection[str] | None, without: Collection[str] = ()
    ) -> list[Member]:
        """Who is in one of ``rooms`` and in none of ``without``; each once.

        Args:
            everybody: the namespace; each of its members is in a room of its own, which its id names. In a room there
                may be others, who are not in the namespace yet.
            rooms: ``None`` for everybody; of no rooms nobody is found.
        """
        if rooms is None:
            chosen = everybody
        elif len(rooms) == 1:
            (room,) = rooms
            chosen = self._named(everybody, room)
        else:
            union: dict[str, Member] = {}
            for room in rooms:
                union.update(self._named(everybody, room))
            chosen = union
        if not without:
            return list(chosen.values())
        excluded = set(without)  # as ids: also of those who are not in the namespace yet
        for room in without:
            # Python goes through the smaller one: a room of thousands that is left out does not cost thousands.
            excluded |= chosen.keys() & self.members(room).keys()
        rest = dict(chosen)
        for id in excluded:
            rest.pop(id, None)
        return list(rest.values())

    def _named(self, everybody: Mapping[str, Member], room: str) -> Mapping[str, Member]:
        members = self._rooms.get(room)
        own = everybody.get(room)
        if own is None:
            return members or {}
        return {room: own} if members is None else {**members, room: own}
