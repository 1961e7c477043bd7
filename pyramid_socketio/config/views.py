"""The views of the resource, ``/socket.io/``: where an HTTP request becomes a session, and what pages load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE3_CONFIG, IRoutesMapper
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from ..interfaces import CONNECTION, ISocketIONamespaces
from ..manage import cannot_serve
from .clientfiles import COMPAT, SWF_NAMES, ClientFiles

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

    from ..socketio import SocketIO

__all__ = ["CLIENT_ROUTE", "RESOURCE_ROUTE", "Handshake", "add_resource"]

RESOURCE_ROUTE = "pyramid_socketio.resource"
CLIENT_ROUTE = "pyramid_socketio.client"

#: Names that are left to the view of files, which has a table of its own for those of the client.
_FILES = "|".join((r"socket\.io[.\w]*\.js(?:\.map)?", *map(re.escape, (COMPAT, *SWF_NAMES))))

#: After all routes of the application, wherever it adds them.
_LAST = PHASE3_CONFIG + 1


class Handshake:
    """View of the resource: asks for an answer to a request that belongs to no session yet."""

    def __init__(self, socketio: SocketIO) -> None:
        self._answer = socketio.answer

    def __call__(self, _context: object, request: Request) -> Response:
        environ = request.environ
        if CONNECTION not in environ:
            return cannot_serve(request.registry)
        answer = self._answer(environ)
        headers = answer.headers
        if answer.status not in (101, 204):  # these have no body, and RFC 9110 section 8.6 forbids to state its length
            headers = [*headers, ("Content-Length", str(len(answer.body)))]
        return Response(app_iter=[answer.body], status=f"{answer.status} {answer.reason}", headerlist=headers)


def add_resource(config: Configurator, socketio: SocketIO) -> None:
    """Add routes and views of the resource; they answer before any other route of the application that matches.

    Not before one that the application has for the resource itself, such as ``socket.io/*remaining`` with a view that
    calls ``socketio_manage``; nor, in an application without contexts, before any other, such as ``*remaining``.
    """
    settings = socketio.settings
    if not settings.resource:
        raise ConfigurationError("socketio.resource must not be empty")
    base = f"/{settings.resource}"
    config.add_route(CLIENT_ROUTE, f"{base}/{{name:{_FILES}}}", request_method=("GET", "HEAD"))
    config.add_route(RESOURCE_ROUTE, base + "{path:(?:/.*)?}")
    files = ClientFiles(settings.client, settings.swf)
    for route, view in ((CLIENT_ROUTE, files), (RESOURCE_ROUTE, Handshake(socketio))):
        # Sessions have origin checks of their own; a CSRF token is nothing that a Socket.IO client could send.
        config.add_view(view, route_name=route, permission=NO_PERMISSION_REQUIRED, require_csrf=False)
    config.action(None, _arrange, args=(config,), order=_LAST)


def _arrange(config: Configurator) -> None:
    mapper = config.registry.getUtility(IRoutesMapper)
    routes, client, resource = mapper.routelist, mapper.get_route(CLIENT_ROUTE), mapper.get_route(RESOURCE_ROUTE)
    routes.remove(client)
    routes.remove(resource)
    # The application's own routes of the resource: "/socket.io/*remaining", but not "/socket.iox".
    base = resource.pattern.partition("{")[0].lstrip("/")
    own = [n for n, route in enumerate(routes, 1) if f"{route.pattern.lstrip('/')}/".startswith(f"{base}/")]
    if not config.registry.getUtility(ISocketIONamespaces).get_routes():
        own.append(len(routes))
    routes.insert(own[-1] if own else 0, resource)
    routes.insert(0, client)
