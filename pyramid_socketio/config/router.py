"""Connecting to a namespace is a Pyramid request of its own; its view makes the context."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPException, HTTPNotFound, status_map
from pyramid.interfaces import IRequestExtensions, IRequestFactory
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router
from pyramid.urldispatch import RoutesMapper
from pyramid.util import InstancePropertyHelper

from ..context import let_in
from ..errors import ConnectRefused, NoNamespace
from ..interfaces import AUTH, SOCKET, ISocketIONamespaces

if TYPE_CHECKING:
    from pyramid.registry import Registry

    from ..context import SocketIOContext
    from ..namespace import NamespaceSocket

__all__ = ["ConnectRouter", "NamespacesMapper", "connect_view", "connector"]

log = logging.getLogger(__name__)

_ATTEMPT = "pyramid_socketio.attempt"

#: What WSGI asks for and no handshake tells; only while a client connects.
_WSGI = {
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


class NamespacesMapper(RoutesMapper):  # type: ignore[misc]
    """The namespaces of an application as routes; apart from its HTTP routes, so that neither hides the other."""

    def __call__(self, request: Request) -> dict[str, Any]:
        """Find the route of the namespace that the request's path names.

        Raises:
            HTTPNotFound: there is none. Pyramid would go on to traversal, and from there to a view made for HTTP.
        """
        info: dict[str, Any] = super().__call__(request)
        if info["route"] is None:
            raise HTTPNotFound
        return info


class Attempt:
    """One client's way to one namespace, from CONNECT to the answer; in the environ while it lasts."""

    __slots__ = ("connected", "context", "failure", "request")

    def __init__(self) -> None:
        self.request: Request | None = None
        #: What went wrong in the view or on the way to it, and the exception during whose handling it did.
        self.failure: tuple[Exception | None, BaseException | None] = None, None
        #: Made by the view; ``None`` as long as the request has not got there.
        self.context: SocketIOContext | None = None
        #: Whether the context's ``connect()`` has let the client in.
        self.connected = False

    def begin(self, request: Request) -> None:
        """Start with a request; start again where an execution policy tries anew."""
        if self.request is not None:
            self.abandon()
            self.release()
            request.environ[SOCKET].forget()
        self.request = request
        self.connected = False

    @property
    def handled(self) -> Exception | None:
        """The exception that an exception view has answered."""
        error: Exception | None = getattr(self.request, "exception", None)
        return error

    def abandon(self) -> None:
        """End a context that shall not be used."""
        context, self.context = self.context, None
        if context is not None:
            context.stop()  # not kill(): that would end the socket, which has yet to tell the client

    def release(self) -> None:
        """Let go of the request and of what went wrong: both lead back here, and the circles end here."""
        request, self.request = self.request, None
        if request is not None:
            vars(request).pop("exc_info", None)
        (error, _), self.failure = self.failure, (None, None)
        _cut_off(error)


def connect_view(context_class: type[SocketIOContext]) -> Callable[[Any, Request], Response]:
    """The view of a namespace: makes the context and asks it to let the client in."""

    def connect(_resource: Any, request: Request) -> Response:
        attempt: Attempt = request.environ[_ATTEMPT]
        request.environ[SOCKET].userid = request.authenticated_userid
        attempt.context = context = context_class(request)
        if context.io is None:
            name = context_class.__qualname__
            raise TypeError(f"{name}.__init__ must take the request and call super().__init__(request)")
        let_in(context.connect())
        attempt.connected = True
        return Response(headerlist=[], app_iter=())

    return connect


class RequestFactory:
    """Makes requests that have the methods and properties of ``config.add_request_method``.

    Pyramid makes a class for every request where there are properties. That takes time, and memory for as long as a
    context keeps its request; here one class does for all, and it also carries what is the same in each.
    """

    def __init__(self, registry: Registry, invoke_subrequest: Callable[..., Response]) -> None:
        self._make: Callable[[dict[str, Any]], Request] = registry.queryUtility(IRequestFactory, default=Request)
        self._attributes: dict[str, Any] = {"registry": registry, "invoke_subrequest": invoke_subrequest}
        extensions = registry.queryUtility(IRequestExtensions)
        if extensions is not None:
            self._attributes |= {**extensions.methods, **extensions.descriptors}
        #: class of request that the application's factory made -> ours.
        self._classes: dict[type, type] = {}

    def __call__(self, environ: dict[str, Any]) -> Request:
        request = self._make(environ)
        made = request.__class__
        extended = self._classes.get(made)
        if extended is None:
            InstancePropertyHelper.apply_properties(request, self._attributes)
            self._classes[made] = request.__class__
        else:
            request.__class__ = extended
        return request


class ConnectRouter(Router):  # type: ignore[misc]
    """Pyramid's router, over the namespaces of the application instead of its HTTP routes.

    Root factories, security policy, predicates, tweens, exception views, events and the execution policy work as for
    any request. One router serves a registry; made after the configuration is committed.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.routes_mapper = registry.getUtility(ISocketIONamespaces)
        self.request_factory = RequestFactory(registry, self.invoke_subrequest)
        self.request_extensions = None  # the factory has applied them

    @cached_property
    def _http_router(self) -> Router:
        return Router(self.registry)

    def invoke_subrequest(self, request: Request, use_tweens: bool = False) -> Response:
        """Subrequests are for the application's HTTP views."""
        return self._http_router.invoke_subrequest(request, use_tweens)

    def request_context(self, environ: dict[str, Any]) -> Any:
        request_context = super().request_context(environ)
        environ[_ATTEMPT].begin(request_context.request)
        return request_context

    def handle_request(self, request: Request) -> Response:
        """What the tweens are around."""
        try:
            return super().handle_request(request)
        except Exception as error:
            request.environ[_ATTEMPT].failure = error, error.__context__
            raise

    def connect(self, socket: NamespaceSocket, auth: Any) -> SocketIOContext:
        """Run the request that connects a client to a namespace. Call it in a greenlet: application code may block.

        Args:
            socket: the client's socket of the namespace, which need not exist in the application.
            auth: what the client sent with its CONNECT, any JSON value.

        Returns:
            The context, connected. Its ``request`` is a slim copy without what ends with a request: transaction,
            root, traversed context, body.

        Raises:
            ConnectRefused: the client may not enter. The context, if one was made, has been ended.
        """
        handshake = socket.engine_session.environ
        # PEP 3333: paths in an environ are UTF-8 bytes, each as one character.
        path = socket.namespace.encode().decode("latin-1")
        attempt = Attempt()
        environ = {
            **_WSGI,
            **handshake,
            "wsgi.input": io.BytesIO(),
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            SOCKET: socket,
            AUTH: auth,
            _ATTEMPT: attempt,
        }
        try:
            context = self._context(environ, attempt)
            context.request = self._slim(attempt.request, handshake, path)
        except BaseException:
            attempt.abandon()
            raise
        finally:
            attempt.release()
        return context

    def _context(self, environ: dict[str, Any], attempt: Attempt) -> SocketIOContext:
        """Run the application; the context if it lets the client in, :class:`ConnectRefused` in every other case."""
        try:
            response = self.execution_policy(environ, self)
        except (ConnectRefused, HTTPException) as error:
            _cut_off(error)
            raise self._refusal(error, 500, attempt) from None
        except Exception as error:
            failure, context = attempt.failure
            if error is failure:
                # Pyramid's tween has looked for an exception view and raised the error again while it handled the
                # HTTPNotFound that says there is none.
                error.__context__ = context
            log.exception("connecting a client to %r failed", environ[SOCKET].namespace)
            _cut_off(error)
            raise ConnectRefused("Internal server error", {"status": 500}) from None
        # An exception view has answered where there is an exception, a tween where the view was not reached.
        unharmed = attempt.handled is None and response.status_int < 300
        if unharmed and attempt.connected and attempt.context is not None:
            return attempt.context
        _cut_off(attempt.handled)
        raise self._refusal(attempt.handled, response.status_int, attempt)

    def _refusal(self, error: Exception | None, status: int, attempt: Attempt) -> ConnectRefused:
        """What the client is told: the application's own refusal, or a fixed text for a status; never what went wrong.

        Args:
            error: the exception that ended the request, if one did.
            status: of the response; what counts where the exception has none of its own.
            attempt: without a context in it, a 404 says that no view was found.
        """
        if isinstance(error, ConnectRefused):
            return error
        if isinstance(error, HTTPException):
            status = error.status_int
        elif error is not None and status < 400:
            status = 500  # the exception view's friendly page is still no success
        if status == 404 and attempt.context is None:
            matched = getattr(attempt.request, "matched_route", None) is not None
            return NoNamespace(() if matched else tuple(route.pattern for route in self.routes_mapper.get_routes()))
        known = status_map.get(status)
        return ConnectRefused(known.title if known and status >= 300 else "Connection refused", {"status": status})

    def _slim(self, request: Any, handshake: dict[str, Any], path: str) -> Request:
        """A request for the life of the context: what the client asked for, without what Pyramid and tweens added."""
        environ = {key: value for key, value in handshake.items() if value.__class__ is str}
        environ["REQUEST_METHOD"] = "GET"
        environ["PATH_INFO"] = path
        auth = request.environ.get(AUTH)
        if auth is not None:  # who the client is may depend on it
            environ[AUTH] = auth
        slim = self.request_factory(environ)
        slim.matchdict = request.matchdict
        slim.matched_route = request.matched_route
        return slim


def _cut_off(error: Exception | None) -> None:
    """Make an error forget the frames that it came through.

    Frames of Pyramid's exception view tween, and of applications, hold the error: else only the garbage collector would
    free it, and with it the context and the request.
    """
    if error is not None:
        error.__traceback__ = error.__context__ = None


def connector(registry: Registry) -> Callable[[NamespaceSocket, Any], SocketIOContext]:
    """:meth:`ConnectRouter.connect` for the engine, with a router made when the first client needs one.

    Earlier is too early: tweens, request factory and the like are known when the configuration is committed.
    """
    router: ConnectRouter | None = None

    def connect(socket: NamespaceSocket, auth: Any) -> SocketIOContext:
        nonlocal router
        if router is None:
            router = ConnectRouter(registry)
        return router.connect(socket, auth)

    return connect
