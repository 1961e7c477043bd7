"""How what is sent to rooms finds its clients, in this process and in others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from ..namespace import NamespaceSocket
from ..protocol.jsontext import Default

__all__ = ["Adapter", "Answers", "Audience", "Deliver"]


class Audience(NamedTuple):
    """Who is addressed in a namespace.

    Attributes:
        rooms: who is in one of them; ``None``: everybody. Nobody is in one of no rooms: a list of recipients that
            turns out to be empty must not reach all.
        without: who is in one of these is not; a client's id is a room of its own.
        volatile: only who can be sent something right now.
        local: only clients of this process.
    """

    rooms: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    volatile: bool = False
    local: bool = False


class Answers(NamedTuple):
    """What came of asking several clients.

    Attributes:
        answers: client id to the arguments of its acknowledgement.
        missing: ids of those who did not answer: too slow, gone, or without acknowledgements.
    """

    answers: dict[str, list[Any]]
    missing: set[str]


#: Sends an event to clients of this process, encoded once per revision: ``deliver(namespace, sockets, data, default)``.
Deliver = Callable[[str, Iterable[NamespaceSocket], "list[Any]", "Default | None"], None]


class Adapter(Protocol):
    """Keeps rooms and delivers to them. Nothing in here runs application code, and only :meth:`call` blocks.

    Called in the thread that serves the clients; :meth:`members` and :meth:`rooms` in others too.

    Every adapter passes ``tests/adapters.py``.
    """

    def join(self, socket: NamespaceSocket, rooms: Iterable[str]) -> None:
        """Nothing happens for rooms that the client is in, or when it is gone."""

    def leave(self, socket: NamespaceSocket, rooms: Iterable[str]) -> None:
        """Nothing happens for rooms that the client is not in."""

    def leave_all(self, socket: NamespaceSocket) -> None:
        """The client leaves all its rooms: it is gone, or its CONNECT begins anew."""

    def close_room(self, namespace: str, room: str) -> None:
        """Everybody leaves it."""

    def broadcast(self, namespace: str, audience: Audience, data: list[Any], default: Default | None) -> None:
        """Send the event ``[name, *args]``; a client that is addressed several times gets it once."""

    def members(self, namespace: str, audience: Audience) -> set[str]:
        """The ids of who is addressed."""

    def call(
        self, namespace: str, audience: Audience, data: list[Any], timeout: float, default: Default | None
    ) -> Answers:
        """Send an event that asks everybody for an acknowledgement; blocks for at most ``timeout`` seconds."""

    def disconnect(self, namespace: str, audience: Audience) -> None:
        """End the namespace for who is addressed."""

    def rooms(self, namespace: str) -> Mapping[str, int]:
        """The rooms and how many clients are in each; rooms of single clients are left out."""
