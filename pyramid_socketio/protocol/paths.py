"""What the clients 0.5 to 0.9 ask for: their revision, transport and session are in the path, not in the query.

A path is read from its end, because resource and prefix are the application's.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .revisions import V0, V1, Revision

__all__ = ["TRANSPORTS", "ClassicRequest", "recognise"]

TRANSPORTS: Final = ("websocket", "flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling")

_TRANSPORT: Final = "|".join(TRANSPORTS)

# Socket.IO 0.7 to 0.9, section 3: /1/<transport>/<sid>; sections 1 and 6.2: /1/, /1//<sid>/, /1/<sid>.
_V1_TRANSPORT: Final = re.compile(rf"/([0-9])/({_TRANSPORT})/([^/]+)/?\Z")
_V1: Final = re.compile(r"(?<!/)/([0-9])(?:/(/?[^/]+)?/?)?\Z")

# Socket.IO 0.5 and 0.6, sections 1 and 4: /<transport>, /<transport>//<time>, /<transport>/<sid>/<time or "send">, and
# a number behind that for JSONP.
_V0: Final = re.compile(rf"(?<!/[0-9])/({_TRANSPORT})(?:/([^/]*)(?:/([^/]*)(?:/([^/]*))?)?)?\Z")

#: The protocol number of 0.7 to 0.9.
_PROTOCOL: Final = "1"

#: Proxies make one slash of two: then the time stands where the session is. No session id looks like that.
_TIME: Final = re.compile("[0-9]{13}")


class ClassicRequest(NamedTuple):
    """What a path asks for.

    Attributes:
        revision: ``None`` for a protocol number that never was.
        transport: its name; empty where the request opens or ends a session without one.
        sid: empty where the request opens a session.
        callback: the number of the client's callback, where it is in the path; as it came.
    """

    revision: Revision | None
    transport: str
    sid: str
    callback: str


def recognise(path: str) -> ClassicRequest | None:
    """The request of a path; ``None`` where no such client asks for that."""
    match = _V1_TRANSPORT.search(path)
    if match is not None:
        protocol, transport, sid = match.groups()
        return ClassicRequest(_v1(protocol), transport, sid, "")
    match = _V0.search(path)
    if match is not None:
        transport, sid, last, callback = match.groups(default="")
        if _TIME.fullmatch(sid):
            sid, callback = "", last
        return ClassicRequest(V0, transport, sid, callback)
    match = _V1.search(path)
    if match is not None:
        protocol, sid = match.groups(default="")
        return ClassicRequest(_v1(protocol), "", sid.lstrip("/"), "")
    return None


def _v1(protocol: str) -> Revision | None:
    return V1 if protocol == _PROTOCOL else None
