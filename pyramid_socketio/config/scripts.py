"""The script tags of a page: where the client is, and what the page gives to it."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Final

from ..interfaces import ISocketIO
from .clientfiles import COMPAT
from .views import CLIENT_ROUTE, RESOURCE_ROUTE

if TYPE_CHECKING:
    from pyramid.request import Request

__all__ = ["Markup", "socketio_scripts"]

#: The transports of clients from 1.0 on.
_TODAYS: Final = ("polling", "websocket")


class Markup(str):
    """HTML that templates take as it is: Chameleon, Jinja2 and Mako ask a value for ``__html__``."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def socketio_scripts(request: Request, compat: bool = False) -> Markup:
    """The tags that load the client (a method of the request).

    The first has the id ``socketio`` and the client's options, as JSON, in ``data-options``, so that a page needs no
    script inside its HTML, which a Content-Security-Policy would forbid::

        const socket = io(JSON.parse(document.getElementById("socketio").dataset.options));

    The options are ``path`` (for clients from 1.0 on), ``resource`` (the same for older ones) and ``transports``, with
    those of today's clients first. URLs start at the root of the page's own origin.

    Args:
        compat: whether ``compat.js`` is loaded, too. Where Flash's file is served it always is: it tells clients where.
    """
    settings = request.registry.getUtility(ISocketIO).settings
    path = request.route_path(RESOURCE_ROUTE, path="/")
    # Clients from 1.0 on fail where the first transport is one that they do not know; all others skip those.
    transports = sorted(settings.transports, key=lambda name: name not in _TODAYS)
    options = {"path": path, "resource": path.strip("/"), "transports": transports}
    client = request.route_path(CLIENT_ROUTE, name="socket.io.js")
    tags = [f'<script id="socketio" src="{escape(client)}" data-options="{escape(json.dumps(options))}"></script>']
    if compat or settings.swf is not None:
        tags.append(f'<script src="{escape(request.route_path(CLIENT_ROUTE, name=COMPAT))}"></script>')
    return Markup("\n".join(tags))
