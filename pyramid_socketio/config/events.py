"""How an application says which functions handle the events of its clients."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE3_CONFIG

from ..context import is_lazy
from ..events import EVENTS, EventHandlers, EventsContext, Handler
from ..interfaces import IEventHandlers, ISocketIONamespaces
from .directives import answer_namespace, route_name

if TYPE_CHECKING:
    from pyramid.config import Configurator

__all__ = ["add_socketio_handler"]

log = logging.getLogger(__name__)


def add_socketio_handler(
    config: Configurator, event: str, handler: Callable[..., Any] | str, channel: str | None = None
) -> None:
    """Let a function handle an event of clients (a directive of the configurator); see :mod:`pyramid_socketio.events`.

    Where the application has no context for ``/``, an :class:`~pyramid_socketio.events.EventsContext` answers there,
    with the application's root factory and default permission.

    Args:
        event: one of :data:`~pyramid_socketio.events.EVENTS`, such as ``on_message``.
        handler: the function, or its dotted name.
        channel: a regular expression that the name of a channel has to match, from its beginning.

    Raises:
        ConfigurationError: no such event, no function, no regular expression, or ``on_connect`` with a channel.
        ConfigurationConflictError: at commit, where a function is registered twice for the same.
    """
    function = config.maybe_dotted(handler)
    if event not in EVENTS:
        raise ConfigurationError(f"add_socketio_handler: {event!r} is none of the events {', '.join(EVENTS)}")
    if not callable(function):
        raise ConfigurationError(f"add_socketio_handler: {function!r} for {event} is no function")
    name = getattr(function, "__qualname__", repr(function))
    if is_lazy(function):
        raise ConfigurationError(
            f"{event}: {name} must not be `async def` nor contain `yield`: handlers are plain functions; they may block"
        )
    if channel is not None and event == "on_connect":
        raise ConfigurationError(
            f"on_connect: {name} cannot be bound to the channel {channel!r}: who connects is in no channel yet"
        )
    try:
        pattern = None if channel is None else re.compile(channel)
    except (TypeError, re.error) as error:
        raise ConfigurationError(f"{event}: the channel {channel!r} of {name} is no pattern: {error}") from error
    if pattern is not None and not isinstance(pattern.pattern, str):
        raise ConfigurationError(f"{event}: the channel {channel!r} of {name} is no pattern: it has to be text")

    intr = config.introspectable("socketio handlers", (event, function, channel), f"{name} for {event}", "handler")
    intr.update(event=event, handler=function, channel=channel)

    def register() -> None:
        handlers = config.registry.queryUtility(IEventHandlers)
        if handlers is None:
            handlers = EventHandlers()
            config.registry.registerUtility(handlers, IEventHandlers)
            _answer_main(config)
        handlers.add(event, Handler(function, pattern))

    config.action(
        ("socketio handler", event, function, channel),
        register,
        order=PHASE3_CONFIG,  # by then the namespaces are known
        introspectables=(intr,),
    )


def _answer_main(config: Configurator) -> None:
    """Let :class:`EventsContext` answer ``/``, unless the application's own context does."""
    namespaces = config.registry.getUtility(ISocketIONamespaces)
    if namespaces.get_route(route_name("/")) is not None:
        own = config.introspector.get("socketio contexts", "/")
        if own is not None and not issubclass(own["context"], EventsContext):
            log.warning(
                "event handlers do not run for clients of %s, which answers '/' and is no subclass of EventsContext",
                own["context"].__qualname__,
            )
        return
    answer_namespace(config, EventsContext, "/", None, None, {}, PHASE3_CONFIG)
