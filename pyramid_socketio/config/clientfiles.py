"""What pages load, served below the resource: the client ``socket.io-client`` from npm, our script, Flash's file."""

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

__all__ = ["COMPAT", "NAMES", "SWF_NAMES", "ClientFiles"]

_SCRIPT = "application/javascript; charset=utf-8"
_HELP = "the directory dist of the npm package socket.io-client"
_SWF_HELP = "the file WebSocketMain.swf of web-socket-js"
_STATIC = os.path.join(os.path.dirname(os.path.dirname(__file__)), "static")

#: Our script for pages of every age.
COMPAT: Final = "compat.js"

#: The files that it is made of.
_COMPAT_PARTS: Final = ("mend.js", "compat.js")

#: Name -> content type. The fixed table of what is served; a name from a URL never becomes a path.
NAMES: Final = {
    name + suffix: content_type
    for name in ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
    for suffix, content_type in (("", _SCRIPT), (".map", "application/json"))
}

#: Where clients look for Flash's file by themselves: 0.5 and 0.6 (Socket.IO 0.6, "Files"), and 0.7 to 0.9.
SWF_NAMES: Final = (
    "WebSocketMain.swf",
    "lib/vendor/web-socket-js/WebSocketMain.swf",
    "static/flashsocket/WebSocketMain.swf",
)


class ClientFiles:
    """View of ``/socket.io/socket.io.js`` and its relatives, of ``compat.js`` and of ``WebSocketMain.swf``.

    Engine.IO 4 / Socket.IO 5, "Client files": ``Cache-Control: public, max-age=0``, the version as ``ETag``, and 304
    for a matching ``If-None-Match``, strong or weak. The files are read anew for each request.

    Args:
        client: the setting ``socketio.client``: a directory or an asset specification; ``None``: no client is served.
        swf: the setting ``socketio.swf``: a file or an asset specification; ``None``: none is served.

    Raises:
        ConfigurationError: there is no client in that directory, or no such file.
    """

    def __init__(self, client: str | None, swf: str | None = None) -> None:
        self._directory = None if client is None else _directory(client)
        self._version = None if self._directory is None else _version(self._directory)
        self._swf = None if swf is None else _swf(swf)

    def __call__(self, _context: object, request: Request) -> Response:
        name = request.matchdict["name"]
        if name == COMPAT:
            return self._compat(request)
        if name in SWF_NAMES:
            return self._flash_file()
        return self._client_file(name)

    def _compat(self, request: Request) -> Response:
        body = b"".join(_read(name) for name in _COMPAT_PARTS)
        if self._swf is not None:
            # The page knows this script's URL, and with it the file's: also below a prefix.
            location = request.path.removesuffix(COMPAT) + SWF_NAMES[0]
            body = f"WEB_SOCKET_SWF_LOCATION = {json.dumps(location)};\n".encode() + body
        return _file(body, _SCRIPT)

    def _flash_file(self) -> Response:
        if self._swf is None:
            return _not_found(f"No Flash file is served here: set socketio.swf to {_SWF_HELP}.")
        try:
            with open(self._swf, "rb") as file:
                return _file(file.read(), "application/x-shockwave-flash")
        except FileNotFoundError:
            return _not_found("The file that socketio.swf names is not there.")

    def _client_file(self, name: str) -> Response:
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
        return _file(body, content_type, self._version)


def _read(name: str) -> bytes:
    with open(os.path.join(_STATIC, name), "rb") as file:
        return file.read()


def _file(body: bytes, content_type: str, version: str | None = None) -> Response:
    """The answer with a file; its hash is the ``ETag`` of one that has no version."""
    etag = version or hashlib.sha256(body).hexdigest()[:32]
    headers = [
        ("Content-Type", content_type),
        ("Cache-Control", "public, max-age=0"),
        ("ETag", f'"{etag}"'),
        ("Content-Length", str(len(body))),
    ]
    return Response(app_iter=[body], headerlist=headers, conditional_response=True)


def _path(setting: str, value: str, what: str) -> str:
    """Absolute path of what a setting names: a path, or an asset specification."""
    if ":" not in value or os.path.isabs(value):
        return os.path.abspath(value)
    try:
        return str(AssetResolver(None).resolve(value).abspath())
    except (ImportError, ValueError) as error:
        package = value.partition(":")[0]
        raise ConfigurationError(
            f"{setting} = {value}: the package {package!r} cannot be imported ({error}); it must be {what}"
        ) from error


def _directory(client: str) -> str:
    directory = _path("socketio.client", client, _HELP)
    if not os.path.isfile(os.path.join(directory, "socket.io.js")):
        raise ConfigurationError(f"socketio.client = {client}: there is no socket.io.js; it must be {_HELP}")
    return directory


def _swf(swf: str) -> str:
    path = _path("socketio.swf", swf, _SWF_HELP)
    if not os.path.isfile(path):
        raise ConfigurationError(f"socketio.swf = {swf}: there is no such file; it must be {_SWF_HELP}")
    return path


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
