"""The revisions of the protocols: a record for each, chosen once when a session opens, holds what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from . import (
    engineio_v3,
    engineio_v4,
    payload_v0,
    payload_v1,
    socketio_v0,
    socketio_v1,
    socketio_v4,
    socketio_v5,
)

__all__ = ["ALL", "EIO4", "NAMES", "V0", "V1", "Revision", "by_query"]


class Revision(NamedTuple):
    """A wire format.

    Attributes:
        name: for people to read, and for the setting ``socketio.revisions``: the last clients that speak it.
        clients: the versions of those that do, for the documentation.
        engine: the Engine.IO codec, a module or an object: ``encode_packet``, ``decode_packet``, ``encode_payload``,
            ``decode_payload``, ``Message``; ``encode_open`` where a packet opens the session, and ``BinaryPacket``
            where the client pings.
        socket: the Socket.IO codec: ``decode_packet`` and the ``encode_*`` functions.
        client_pings: the heartbeat is the client's.
        binary_payloads: the bodies of polling requests may be bytes, and say so in their content type.
        sends_credentials: pages of other origins always send their cookies along.
        joins_main: the server lets every client into ``/`` by itself, and does not mind packets for a namespace that
            the client is not in.
        main_is_connection: who leaves ``/``, or is not let in, has no connection any more.
        refusal_delay: seconds for which a client keeps its connection that is not let in. Those that cannot be told
            come again, and ever more often where the connection ended at once.
        has_repairs: ``static/mend.js`` mends some of its clients.
    """

    name: str
    clients: str
    engine: Any
    socket: Any
    client_pings: bool = False
    binary_payloads: bool = False
    sends_credentials: bool = False
    joins_main: bool = False
    main_is_connection: bool = False
    refusal_delay: float = 0.0
    has_repairs: bool = False

    def __str__(self) -> str:
        """For the log."""
        return f"revision {self.name} (clients {self.clients})"


#: Engine.IO 4 with Socket.IO 5: clients 3.x and 4.x.
EIO4: Final = Revision("4", "3.x and 4.x", engineio_v4, socketio_v5)

#: Engine.IO 3 with Socket.IO 4: clients 1.x and 2.x, by what they take (``engineio_v3.kind_of``).
_EIO3: Final = {
    (base64, old): Revision(
        "2",
        "1.x and 2.x",
        engineio_v3.Codec(base64, old),
        socketio_v4.OLD if old else socketio_v4.NEW,
        client_pings=True,
        binary_payloads=True,
        sends_credentials=True,
        joins_main=True,
        has_repairs=True,
    )
    for base64 in (False, True)
    for old in (False, True)
}

#: Clients 0.7 to 0.9.
V1: Final = Revision(
    "0.9",
    "0.7 to 0.9",
    payload_v1,
    socketio_v1,
    sends_credentials=True,
    joins_main=True,
    main_is_connection=True,
    has_repairs=True,
)

#: Clients 0.5 and 0.6.
V0: Final = Revision(
    "0.6",
    "0.5 and 0.6",
    payload_v0,
    socketio_v0,
    sends_credentials=True,
    joins_main=True,
    main_is_connection=True,
    refusal_delay=3.0,
    has_repairs=True,
)

#: For whom a table of all is of use.
ALL: Final = (EIO4, *_EIO3.values(), V1, V0)

#: Names, the oldest first, and whom they stand for.
NAMES: Final = {revision.name: revision.clients for revision in reversed(ALL)}


def by_query(query: Mapping[str, str]) -> Revision | None:
    """The revision that a client asks for with the query of its first request; ``None`` where there is none such.

    Servers of Engine.IO 3 and 2 do not look at ``EIO``, so that a client may leave it out; what else it writes tells
    what it is. The suite of Engine.IO 4 wants the bare ``transport=polling`` refused.
    """
    eio = query.get("EIO")
    if eio == "4":
        return EIO4
    kind = engineio_v3.kind_of(query)
    if eio in ("2", "3") or (eio is None and any(kind)):
        return _EIO3[kind]
    return None
