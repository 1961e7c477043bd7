"""Packets of Engine.IO and Socket.IO, as every revision of the protocols has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

__all__ = [
    "ACK",
    "BINARY_ACK",
    "BINARY_EVENT",
    "CLOSE",
    "CONNECT",
    "CONNECT_ERROR",
    "DISCONNECT",
    "EVENT",
    "MAX_ACK_ID",
    "MESSAGE",
    "NOOP",
    "OPEN",
    "PING",
    "PONG",
    "RESERVED_EVENTS",
    "UPGRADE",
    "EncodedPacket",
    "EnginePacket",
    "SocketPacket",
    "as_message",
]

# Engine.IO packet types (Engine.IO protocol 4, "Packet types"; the same digits in 3).
OPEN: Final = 0
CLOSE: Final = 1
PING: Final = 2
PONG: Final = 3
MESSAGE: Final = 4
UPGRADE: Final = 5
NOOP: Final = 6

#: An Engine.IO packet: its type and its data, text as ``str`` and binary as ``bytes``. A plain tuple, because one is
#: made for every message that arrives.
EnginePacket = tuple[int, "str | bytes"]

# Socket.IO packet types (Socket.IO protocol 5, "Packet types").
CONNECT: Final = 0
DISCONNECT: Final = 1
EVENT: Final = 2
ACK: Final = 3
CONNECT_ERROR: Final = 4
#: The next two exist on the wire only: once decoded they are EVENT and ACK.
BINARY_EVENT: Final = 5
BINARY_ACK: Final = 6

#: Event names that no peer may send: they mean something inside the clients (Socket.IO parser 4.2.4 and later).
RESERVED_EVENTS: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

#: The biggest integer that a JavaScript number holds exactly.
MAX_ACK_ID: Final = 2**53 - 1


class SocketPacket:
    """A Socket.IO packet as it was received.

    Attributes:
        type: CONNECT to CONNECT_ERROR.
        namespace: starts with ``/``.
        data: EVENT: ``[name, *args]``; ACK: the list of arguments; CONNECT: the auth object or ``None``.
        id: of the acknowledgement that is asked for (EVENT; opaque, for ``encode_ack``) or given (ACK; the number that
            ``encode_event`` was told), else ``None``.
        attachments: how many binary messages still belong to it.
        size: of its text, in characters.
    """

    __slots__ = ("attachments", "data", "id", "namespace", "size", "type")

    def __init__(
        self,
        type: int,
        namespace: str = "/",
        data: Any = None,
        id: Any = None,
        attachments: int = 0,
        size: int = 0,
    ) -> None:
        self.type = type
        self.namespace = namespace
        self.data = data
        self.id = id
        self.attachments = attachments
        self.size = size

    def __repr__(self) -> str:
        return (
            f"SocketPacket({self.type}, {self.namespace!r}, {self.data!r}, "
            f"id={self.id}, attachments={self.attachments})"
        )


def as_message(data: Sequence[Any]) -> Any:
    """An event ``[name, *args]`` as one value, for those who know messages only.

    Returns:
        For ``message`` with one argument that argument; for others ``{"type": name, **arg}`` with one object as
        argument, else ``{"type": name, "args": [...]}``, without ``args`` where there are none.
    """
    if len(data) == 2 and data[0] == "message":
        return data[1]
    name, *args = data
    if len(args) == 1 and isinstance(args[0], dict):
        # First and last: nothing in the argument may take its place.
        return {"type": name} | args[0] | {"type": name}
    return {"type": name, "args": args} if args else {"type": name}


#: A Socket.IO packet ready for Engine.IO: its text in UTF-8, and the binary messages that follow it, in order.
EncodedPacket = tuple[bytes, Sequence[bytes]]
