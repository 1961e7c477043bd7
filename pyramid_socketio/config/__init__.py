"""Pyramid's side of the package: directives, views, and the router that connects clients to namespaces."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE1_CONFIG
from pyramid.response import Response
from pyramid.viewderivers import VIEW

from ..addressing import Server, pyramid_json
from ..interfaces import ANSWERED, SOCKET, ISocketIO, ISocketIONamespaces, socketio_for
from ..settings import parse_settings
from ..socketio import SocketIO
from .directives import add_socketio_context, socketio_context
from .events import add_socketio_handler
from .router import NamespacesMapper, connector
from .scripts import socketio_scripts
from .views import add_resource
from .websockets import add_websockets

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

    from ..blocking import BlockingSocket

__all__ = ["ISocketIO", "ISocketIONamespaces", "socketio_for", "includeme", "socketio_context"]


def includeme(config: Configurator) -> None:
    """Make a Pyramid application answer Socket.IO clients: ``config.include('pyramid_socketio')``.

    Adds:

    - the directive ``config.add_socketio_context``, and with it the decorator ``socketio_context`` for
      ``config.scan()``;
    - the directive ``config.add_socketio_handler``, for the decorators of :mod:`pyramid_socketio.events`;
    - the view predicate ``websocket``, ``request.websocket_url`` and ``request.websocket_path``, for
      :mod:`pyramid_socketio.websocket`;
    - the Socket.IO server, made from the ``socketio.*`` settings, as the utility :class:`ISocketIO`;
    - the namespaces, as the utility :class:`ISocketIONamespaces`;
    - the routes ``pyramid_socketio.resource`` and ``pyramid_socketio.client``, with their views, below the setting
      ``socketio.resource`` and the ``route_prefix`` of the include;
    - ``request.socketio``, which sends from anywhere: :class:`~pyramid_socketio.addressing.Server`;
    - ``request.socketio_socket``, the client of a view that blocks: :class:`~pyramid_socketio.blocking.BlockingSocket`;
    - ``request.socketio_scripts()``, the script tags of a page.

    Nothing is started. The settings are read when the configuration is committed, so the application may still change
    them after the include.

    Raises:
        ConfigurationError: at commit, for a bad or unknown ``socketio.*`` setting.
    """
    config.add_directive("add_socketio_context", add_socketio_context)
    config.add_directive("add_socketio_handler", add_socketio_handler)
    config.add_request_method(socketio_of, "socketio", property=True)
    # A property: Pyramid binds methods into each request, which then only the garbage collector frees.
    config.add_request_method(lambda request: partial(socketio_scripts, request), "socketio_scripts", property=True)
    config.add_request_method(socketio_socket, property=True)
    config.add_view_deriver(answered_view, "pyramid_socketio.answered", under="rendered_view", over=VIEW)
    add_websockets(config)
    config.action(ISocketIO, _register, args=(config,), order=PHASE1_CONFIG)


def socketio_of(request: Request) -> Server:
    """The clients of the application: ``request.socketio``."""
    socketio = socketio_for(request.registry)
    assert socketio is not None  # registered when the configuration was committed
    return Server(socketio, partial(pyramid_json, request))


def socketio_socket(request: Request) -> BlockingSocket | None:
    """The client of a view that blocks; ``None`` where the server cannot hold it."""
    socket: BlockingSocket | None = request.environ.get(SOCKET)
    return socket


def answered_view(view: Any, _info: Any) -> Any:
    """View deriver: what a view returns after its client has been answered goes nowhere."""

    def derived(context: Any, request: Request) -> Any:
        result = view(context, request)
        return Response() if ANSWERED in request.environ else result

    return derived


def _register(config: Configurator) -> None:
    registry = config.registry
    if socketio_for(registry) is not None:
        return  # included before an earlier commit
    try:
        settings = parse_settings(registry.settings)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    socketio = SocketIO(settings, connector(registry))
    registry.registerUtility(NamespacesMapper(), ISocketIONamespaces)
    registry.registerUtility(socketio, ISocketIO)
    add_resource(config, socketio)
