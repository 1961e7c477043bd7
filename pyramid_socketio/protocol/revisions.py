"""The revisions that are served: one record each, chosen once at the handshake.

A record holds everything that differs from one revision to the next, so that nobody above asks for a version number. A
new revision is a module or two in this package and one row here.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final, NamedTuple

from . import engineio_v4, socketio_v5

__all__ = ["BY_EIO", "Revision"]


class Revision(NamedTuple):
    """What differs from one revision of the protocols to the next.

    Attributes:
        name: what ``context.io.revision`` and the logs say.
        engine: the Engine.IO codec: ``encode_packet``, ``decode_packet``, ``encode_payload``, ``decode_payload``,
            ``encode_open`` and the class ``Message``.
        socket: the Socket.IO codec: ``decode_packet`` and the ``encode_*`` functions.
    """

    name: str
    engine: ModuleType
    socket: ModuleType


#: Engine.IO 4 with Socket.IO 5: clients 3.x and 4.x.
EIO4: Final = Revision("engine.io 4, socket.io 5", engineio_v4, socketio_v5)

#: The value of the query parameter ``EIO`` to the revision.
BY_EIO: Final[dict[str, Revision]] = {"4": EIO4}
