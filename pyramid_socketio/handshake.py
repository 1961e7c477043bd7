"""What a handshake of any revision consists of: a request that the application lets pass, and its answer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

from .errors import BadRequest

__all__ = ["UPGRADE_KEY", "Answer", "kept_environ", "parse_query"]

#: WSGI environ: what the server calls, as ``upgrade(exchange, head)``, when the application has let the answer pass
#: that gives the connection away: a 101 for a WebSocket, an empty 200 for a stream.
UPGRADE_KEY: Final = "pyramid_socketio.upgrade"

#: Query parameters that mean something here; given twice they mean nothing.
_OURS: Final = frozenset({"EIO", "transport", "sid", "j"})

#: Of the handshake's environ a session keeps the headers and these.
_KEPT: Final = frozenset(
    {
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "REMOTE_USER",
        "wsgi.url_scheme",
        "wsgi.version",
    }
)
_HOP_BY_HOP: Final = frozenset({"HTTP_CONNECTION", "HTTP_UPGRADE"})
_NO_INPUT: Final = io.BytesIO()


class Answer(NamedTuple):
    """What a handshake request is to be answered with.

    ``status`` 101 means: the application lets the client have its WebSocket; the server makes it one. ``opens`` tells
    whether there is a session as soon as the answer is out.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    opens: bool = False

    @property
    def reason(self) -> str:
        return HTTPStatus(self.status).phrase


def parse_query(query: str) -> dict[str, str]:
    """The query string as a dict; of a repeated key that is not ours the last value counts.

    Raises:
        BadRequest: one of our own parameters is repeated.
    """
    values: dict[str, str] = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key in values and key in _OURS:
            raise BadRequest(f"{key} is given twice")
        values[key] = unquote_plus(value) if "%" in value or "+" in value else value
    return values


def kept_environ(environ: Mapping[str, Any]) -> dict[str, Any]:
    """What a session keeps of the WSGI environ of its handshake."""
    kept = {
        key: value
        for key, value in environ.items()
        if key in _KEPT or (key[:5] == "HTTP_" and key not in _HOP_BY_HOP and key[:14] != "HTTP_SEC_WEBSO")
    }
    kept["wsgi.input"] = _NO_INPUT
    return kept
