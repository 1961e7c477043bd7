"""An ordinary form whose view speaks to everybody: ``request.socketio`` is there in every view.

Each page's script listens on the namespace ``/`` for ``{"type": "announcement", "text"}``.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.request import Request
from pyramid.view import view_config

from pyramid_socketio import NoSocket

from .chat import text_of

#: Characters; what is longer is cut.
LIMIT = 200


def includeme(config: Configurator) -> None:
    config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
    config.add_route("announce", "/announce")


@view_config(route_name="announce", request_method="GET", renderer="templates/announce.jinja2")
def form(request: Request) -> dict[str, Any]:
    return {"limit": LIMIT}


@view_config(route_name="announce", request_method="POST", require_csrf=True, renderer="templates/announce.jinja2")
def announce(request: Request) -> dict[str, Any]:
    text = text_of(dict(request.POST), "text", LIMIT)
    if not text:
        return {"problem": "Please write something.", "limit": LIMIT}
    try:
        request.socketio.broadcast({"type": "announcement", "text": text})
    except NoSocket:
        problem = "Nobody is here to read it. Join the chat in another window, and try again."
        return {"problem": problem, "text": text, "limit": LIMIT}
    return {"sent": text, "readers": len(request.socketio.members()), "limit": LIMIT}
