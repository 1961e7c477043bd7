"""Rooms as plain data: who is in which, and who is addressed by some of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

__all__ = ["Rooms"]

Member = TypeVar("Member")


class Rooms(Generic[Member]):
    """The rooms of one namespace.

    A room is there as long as somebody is in it. Joining and leaving take the same time whatever the number of rooms
    and members; finding takes time for those who are found.
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
        if members is not None and members.pop(id, None) is not None and not members:
            del self._rooms[room]

    def members(self, room: str) -> Mapping[str, Member]:
        return self._rooms.get(room, {})

    def sizes(self) -> dict[str, int]:
        """Room to the number of its members."""
        return {room: len(members) for room, members in self._rooms.items()}

    def find(
        self, everybody: Mapping[str, Member], rooms: Collection[str], without: Collection[str] = ()
    ) -> list[Member]:
        """Who is in one of ``rooms`` (none: in the namespace) and in none of ``without``; each once.

        Args:
            everybody: the namespace; each of its members is in a room of its own, which its id names.
        """
        if not rooms:
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
        excluded = {id for room in without for id in self._named(everybody, room)}
        return [member for id, member in chosen.items() if id not in excluded]

    def _named(self, everybody: Mapping[str, Member], room: str) -> Mapping[str, Member]:
        members = self._rooms.get(room)
        own = everybody.get(room)
        if own is None:
            return members or {}
        return {room: own} if members is None else {**members, room: own}
