"""The browser client, ``socket.io-client`` from npm, served below the resource."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Final

from pyramid.exceptions import ConfigurationError
from pyramid.path import AssetResolver
from pyramid.response import Response

if TYPE_CHECKING:
    from pyramid.request import Request

__all__ = ["NAMES", "ClientFiles"]

_SCRIPT = "application/javascript; charset=utf-8"
_HELP = "the directory dist of the npm package socket.io-client"

#: Name -> content type. The fixed table of what is served; a name from a URL never becomes a path.
NAMES: Final = {
    name + suffix: content_type
    for name in ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
    for suffix, content_type in (("", _SCRIPT), (".map", "application/json"))
}


class ClientFiles:
    """View of ``/socket.io/socket.io.js`` and its relatives.

    Engine.IO 4 / Socket.IO 5, "Client files": ``Cache-Control: public, max-age=0``, the version as ``ETag``, and 304
    for a matching ``If-None-Match``, strong or weak. The files are read anew for each request.

    Args:
        client: the setting ``socketio.client``: a directory or an asset specification; ``None``: nothing is served.

    Raises:
        ConfigurationError: there is no client in that directory.
    """

    def __init__(self, client: str | None) -> None:
        self._directory = None if client is None else _directory(client)
        self._version = None if self._directory is None else _version(self._directory)

    def __call__(self, _context: object, request: Request) -> Response:
        name = request.matchdict["name"]
        if self._directory is None:
            return _not_found(f"No client is served here: set socketio.client to {_HELP}.")
        content_type = NAMES.get(name)
        if content_type is None:
            return _not_found("The client has no such file.")
        try:
            with open(os.path.join(self._directory, name), "rb") as file:
                body = file.read()
        except FileNotFoundError:
            return _not_found("The directory that socketio.client names has no such file.")
        etag = self._version or hashlib.sha256(body).hexdigest()[:32]
        headers = [
            ("Content-Type", content_type),
            ("Cache-Control", "public, max-age=0"),
            ("ETag", f'"{etag}"'),
            ("Content-Length", str(len(body))),
        ]
        return Response(app_iter=[body], headerlist=headers, conditional_response=True)


def _directory(client: str) -> str:
    is_asset = ":" in client and not os.path.isabs(client)
    try:
        directory = AssetResolver(None).resolve(client).abspath() if is_asset else os.path.abspath(client)
    except (ImportError, ValueError) as error:
        package = client.partition(":")[0]
        raise ConfigurationError(
            f"socketio.client = {client}: the package {package!r} cannot be imported ({error}); it must be {_HELP}"
        ) from error
    if not os.path.isfile(os.path.join(directory, "socket.io.js")):
        raise ConfigurationError(f"socketio.client = {client}: there is no socket.io.js; it must be {_HELP}")
    return directory


def _version(directory: str) -> str | None:
    """The version from the package that the directory is part of; ``None`` where the files were copied elsewhere."""
    try:
        with open(os.path.join(os.path.dirname(directory), "package.json"), "rb") as file:
            package = json.load(file)
        return str(package["version"]) if package["name"] == "socket.io-client" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _not_found(text: str) -> Response:
    return Response(text, status=404, content_type="text/plain", charset="utf-8")
