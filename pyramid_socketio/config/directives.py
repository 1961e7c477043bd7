"""How an application says which context answers which namespace."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import venusian
from pyramid.config.actions import action_method
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE2_CONFIG, IRouteRequest
from pyramid.renderers import null_renderer
from pyramid.request import route_request_iface
from pyramid.urldispatch import Route

from ..context import SocketIOContext
from ..interfaces import ISocketIONamespaces
from .router import connect_view

if TYPE_CHECKING:
    from pyramid.config import Configurator

__all__ = ["add_socketio_context", "answer_namespace", "route_name", "socketio_context"]

Context = TypeVar("Context", bound=type[SocketIOContext])


def add_socketio_context(
    config: Configurator,
    context: type[SocketIOContext] | str,
    pattern: str = "/",
    permission: str | None = None,
    factory: Callable[[Any], Any] | str | None = None,
    **predicates: Any,
) -> None:
    """Let a context class answer the clients that connect to a namespace (a directive of the configurator).

    Connecting is a Pyramid request: predicates, root factory, security policy and tweens decide whether the client
    gets in. A namespace is a name in the client's ``io("/chat/blue")``, not a URL of the application: no HTTP request
    reaches it, no HTTP route hides it, and the ``route_prefix`` of an include does not change it.

    Args:
        context: a subclass of :class:`~pyramid_socketio.context.SocketIOContext`, or its dotted name.
        pattern: a route pattern that starts with ``/``. What it matches is ``request.matchdict``.
        permission: what the security policy must permit on the resource that ``factory`` and traversal find; the
            application's default permission where it is not given.
        factory: the root factory for this namespace, or its dotted name; by default the application's.
        predicates: view predicates of ``config.add_view``.

    Raises:
        ConfigurationError: no such class, or a bad pattern; at commit, an unknown predicate.
        ConfigurationConflictError: at commit, where two contexts answer one namespace.
    """
    context_class = config.maybe_dotted(context)
    if not (isinstance(context_class, type) and issubclass(context_class, SocketIOContext)):
        raise ConfigurationError(f"add_socketio_context: {context!r} must be a subclass of SocketIOContext")
    if not (isinstance(pattern, str) and pattern.startswith("/")):
        raise ConfigurationError(
            f"add_socketio_context: the namespace {pattern!r} of {context_class.__name__} must start with '/', "
            "as in '/' or '/chat/{room}'"
        )
    factory = config.maybe_dotted(factory)
    try:
        Route(route_name(pattern), pattern, factory)
    except re.error as error:
        raise ConfigurationError(f"add_socketio_context: the namespace {pattern!r} is no pattern: {error}") from error

    config.action(
        ("socketio context", _normalised(pattern)),
        action_method(answer_namespace),  # so that the actions in it, too, tell the line that calls the directive
        args=(config, context_class, pattern, permission, factory, predicates, PHASE2_CONFIG),
        kw={"_info": config.action_info},
        order=PHASE2_CONFIG,
    )


def route_name(pattern: str) -> str:
    """The name of a namespace's route."""
    return f"socketio:{pattern}"


def answer_namespace(
    config: Configurator,
    context: type[SocketIOContext],
    pattern: str,
    permission: str | None,
    factory: Callable[[Any], Any] | None,
    predicates: dict[str, Any],
    order: int,
) -> None:
    """Register a namespace's route and view, and what introspection shows of them.

    Called by an action, not by a directive: a registration that another one overrides must not leave its view behind.

    Args:
        order: the phase of that action.
    """
    name = route_name(pattern)
    intr = config.introspectable("socketio contexts", pattern, f"{context.__name__} at {pattern}", "context")
    intr.update(context=context, pattern=pattern, permission=permission, factory=factory, predicates=predicates)
    route_intr = config.introspectable("routes", name, f"{name} (a Socket.IO namespace)", "socketio namespace")
    route_intr.update(name=name, pattern=pattern, factory=factory)
    intr.relate("routes", name)

    def register_route() -> None:
        config.registry.registerUtility(route_request_iface(name), IRouteRequest, name=name)
        config.registry.getUtility(ISocketIONamespaces).connect(name, pattern, factory)

    config.action(None, register_route, order=order, introspectables=(route_intr, intr))
    config.add_view(connect_view(context), route_name=name, permission=permission, renderer=null_renderer, **predicates)


def _normalised(pattern: str) -> str:
    """The pattern without the names of its placeholders: equal for patterns that match the same namespaces."""
    return re.sub(r"\*\w*$", "*", re.sub(r"\{[_a-zA-Z]\w*", "{", pattern))


def socketio_context(pattern: str = "/", **arguments: Any) -> Callable[[Context], Context]:
    """Class decorator: let a context answer a namespace; found by ``config.scan()``.

    Args:
        pattern: see :func:`add_socketio_context`, as for all other arguments.
        arguments: ``permission``, ``factory`` and predicates.

    Raises:
        TypeError: it stands there without its parentheses.
    """
    if isinstance(pattern, type):
        # Without this the class would become a function, and no scan would find it.
        raise TypeError(f'write @socketio_context("/pattern") above {pattern.__name__}: it needs its parentheses')

    def decorate(context: Context) -> Context:
        def register(scanner: Any, _name: str, _context: Any) -> None:
            config = scanner.config.with_package(info.module)
            if not hasattr(config, "add_socketio_context"):
                raise ConfigurationError(
                    f"@socketio_context({pattern!r}): config.include('pyramid_socketio') must come before config.scan()"
                )
            config.add_socketio_context(context, pattern, _info=info.codeinfo, **arguments)

        # depth 1: the module that holds the class, not this one.
        info = venusian.attach(context, register, category="pyramid", depth=1)
        return context

    return decorate
