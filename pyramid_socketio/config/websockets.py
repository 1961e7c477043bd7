"""What the configurator adds for WebSocket views: the view predicate ``websocket``, and their URLs."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pyramid.exceptions import ConfigurationError

from ..interfaces import ISocketIO
from ..websocket import asks_for_websocket

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

__all__ = ["add_websockets", "websocket_path", "websocket_url"]


class WebSocketPredicate:
    """``websocket=True``: the request asks for a WebSocket. So one URL can serve a page and a socket."""

    def __init__(self, wanted: bool, _info: object) -> None:
        if not isinstance(wanted, bool):
            raise ConfigurationError(f"the view predicate websocket must be True or False, not {wanted!r}")
        self._wanted = wanted

    def text(self) -> str:
        return f"websocket = {self._wanted}"

    phash = text

    def __call__(self, _context: object, request: Request) -> bool:
        return asks_for_websocket(request) is self._wanted


def websocket_url(request: Request, route_name: str, *elements: Any, **arguments: Any) -> str:
    """The URL of a route for ``new WebSocket(url)``: ``wss`` where the request's scheme is ``https``, else ``ws``.

    Below ``socketio.websocket_server`` where that is set.

    Args:
        elements, arguments: as of ``request.route_url``.
    """
    server = request.registry.getUtility(ISocketIO).settings.websocket_server
    if server is not None:
        arguments.setdefault("_app_url", server)
    url: str = request.route_url(route_name, *elements, **arguments)
    return re.sub("^http", "ws", url)


def websocket_path(request: Request, route_name: str, *elements: Any, **arguments: Any) -> str:
    """:func:`websocket_url` without scheme and host: ``/chat/``, which browsers take since 2024."""
    return urlunsplit(("", "", *urlsplit(websocket_url(request, route_name, *elements, **arguments))[2:]))


def add_websockets(config: Configurator) -> None:
    config.add_view_predicate("websocket", WebSocketPredicate)
    # As properties: a method Pyramid binds into the request itself, and then only the garbage collector frees the
    # request, and the connection that its environ leads to.
    config.add_request_method(lambda request: partial(websocket_url, request), "websocket_url", property=True)
    config.add_request_method(lambda request: partial(websocket_path, request), "websocket_path", property=True)
