"""Pyramid's side of the package: directives, views, and the router that connects clients to namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE1_CONFIG

from ..interfaces import ISocketIO, ISocketIONamespaces, socketio_for
from ..settings import parse_settings
from ..socketio import SocketIO
from .directives import add_socketio_context, socketio_context
from .router import NamespacesMapper, connector
from .views import add_resource

if TYPE_CHECKING:
    from pyramid.config import Configurator

__all__ = ["ISocketIO", "ISocketIONamespaces", "socketio_for", "includeme", "socketio_context"]


def includeme(config: Configurator) -> None:
    """Make a Pyramid application answer Socket.IO clients: ``config.include('pyramid_socketio')``.

    Adds:

    - the directive ``config.add_socketio_context``, and with it the decorator ``socketio_context`` for
      ``config.scan()``;
    - the Socket.IO server, made from the ``socketio.*`` settings, as the utility :class:`ISocketIO`;
    - the namespaces, as the utility :class:`ISocketIONamespaces`;
    - the routes ``pyramid_socketio.resource`` and ``pyramid_socketio.client``, with their views, below the setting
      ``socketio.resource`` and the ``route_prefix`` of the include.

    Nothing is started. The settings are read when the configuration is committed, so the application may still change
    them after the include.

    Raises:
        ConfigurationError: at commit, for a bad or unknown ``socketio.*`` setting.
    """
    config.add_directive("add_socketio_context", add_socketio_context)
    config.action(ISocketIO, _register, args=(config,), order=PHASE1_CONFIG)


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
