"""WebSocket views: Pyramid views whose answer is an open WebSocket, without Socket.IO.

``@websocket`` makes a view of a function ``(request, websocket, **matchdict)``. It works with and without
``config.include("pyramid_socketio")``, which adds the view predicate ``websocket=True``, ``request.websocket_url`` and
``request.websocket_path``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial, wraps
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from pyramid.httpexceptions import HTTPInternalServerError
from pyramid.paster import get_app
from pyramid.request import Request
from pyramid.response import Response
from zope.interface import Interface

from .context import is_lazy
from .errors import HandshakeError
from .handshake import UPGRADE_KEY
from .interfaces import CANNOT_SERVE, CONNECTION, socketio_for
from .origins import check_origin
from .protocol.http import escape
from .protocol.websocket import HandshakeRefused, check_handshake
from .rawsocket import WebSocket, WebSocketClosed
from .settings import Settings, parse_settings
from .transports.base import Exchange

if TYPE_CHECKING:
    from pyramid.registry import Registry

__all__ = ["WebSocket", "WebSocketClosed", "asks_for_websocket", "get_websocket_app", "websocket", "websocket_loop"]

log = logging.getLogger(__name__)

#: WSGI environ: gevent-websocket's name for the open WebSocket, while its view runs.
ENVIRON_KEY = "wsgi.websocket"


def websocket(view: Callable[..., Any] | None = None, *, subprotocols: Sequence[str] = ()) -> Any:
    """Decorator: serve a WebSocket with ``view(request, websocket, **matchdict)``, or with a method of a view class.

    The result is a view for ``add_view`` and ``view_config``. By the time it is called, tweens, predicates and
    permission have let the request pass; then the client gets its WebSocket, and the function runs in the request's
    greenlet. When it returns, which it should soon after ``receive()`` has given ``None``, the WebSocket is closed with
    1000. What it returns is ignored; an exception is logged, and closes with 1011.

    A request that cannot become a WebSocket gets an ordinary answer: 426 where it does not ask for one, 403 for a page
    of another origin (``socketio.allowed_origins``), 503 with ``socketio.max_sessions`` open, 501 with another server.

    Args:
        view: given where the decorator stands without parentheses.
        subprotocols: those that the view speaks; the first of the client's offers that is among them is agreed upon,
            and is ``websocket.protocol``.

    Raises:
        TypeError: the view is a coroutine or a generator, or ``subprotocols`` a text.
    """
    if isinstance(subprotocols, str):
        raise TypeError(f"subprotocols must be a sequence of names, ({subprotocols!r},), not a text")

    def decorate(view: Callable[..., Any]) -> Callable[[Any], Response]:
        _check_view(view)

        @wraps(view)
        def answer(target: Any) -> Response:
            request = target if hasattr(target, "environ") else target.request
            return _answer(request, subprotocols, partial(view, target))

        return answer

    return decorate if view is None else decorate(view)


def websocket_loop(view: Callable[..., Any] | None = None, *, subprotocols: Sequence[str] = ()) -> Any:
    """Decorator: call ``view(request, websocket, message, **matchdict)`` for each message; see :func:`websocket`."""

    def decorate(view: Callable[..., Any]) -> Any:
        _check_view(view)

        @wraps(view)
        def loop(target: Any, websocket: WebSocket, **matchdict: Any) -> None:
            while (message := websocket.receive()) is not None:
                view(target, websocket, message, **matchdict)

        return websocket(loop, subprotocols=subprotocols)

    return decorate if view is None else decorate(view)


def _check_view(view: Callable[..., Any]) -> None:
    # Calling one of these runs nothing of it: the client would lose its WebSocket at once.
    if is_lazy(view):
        raise TypeError(
            f"{view.__qualname__} must not be `async def` nor contain `yield`: WebSocket views are plain functions;"
            " they may block"
        )


def asks_for_websocket(request: Request) -> bool:
    """Whether a request says ``Upgrade: websocket``."""
    return bool(request.environ.get("HTTP_UPGRADE", "").lower() == "websocket")


def get_websocket_app(config_uri: str, name: str | None = None, options: dict[str, str] | None = None) -> Any:
    """The application of an ``.ini`` file for a server of its own that serves WebSocket views alone.

    What asks for no WebSocket is answered 426 with ``Upgrade: websocket``, and does not reach the application.
    ``socketio.websocket_server`` tells the pages of another server where this one is.

    Args:
        config_uri, name, options: as of ``pyramid.paster.get_app``.

    Returns:
        A WSGI application, for :class:`~pyramid_socketio.SocketIOServer`.
    """
    application = get_app(config_uri, name, options)

    def websockets_only(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ)
        answer = application if asks_for_websocket(request) else _refuse(request, _upgrade_required())
        return answer(environ, start_response)

    return websockets_only


class IWebSockets(Interface):  # type: ignore[misc]
    """Utility: the :class:`WebSockets` of the application."""


class WebSockets:
    """The open WebSockets of one application, each with the greenlet of its view."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.open: dict[WebSocket, gevent.Greenlet] = {}
        self.closing = False

    def handle(self, exchange: Exchange, scheme: str) -> bool:
        """For the server that this is mounted in: no request belongs to a WebSocket that is open."""
        return False

    handle_unknown = handle

    def shutdown(self) -> None:
        """Close all with 1001 and wait for their views; one that takes longer than ``close_timeout`` is killed."""
        self.closing = True
        for websocket in tuple(self.open):
            websocket.close(1001)
        self._wait()
        for greenlet in tuple(self.open.values()):
            greenlet.kill(block=False)
        self._wait()

    def _wait(self) -> None:
        patience = monotonic() + self.settings.close_timeout
        while self.open and monotonic() < patience:
            gevent.sleep(0.005)


def _websockets_of(registry: Registry, defaults: dict[str, Any]) -> WebSockets:
    websockets: WebSockets | None = registry.queryUtility(IWebSockets)
    if websockets is None:
        socketio = socketio_for(registry)
        # The settings count where the package is not included, too.
        settings = socketio.settings if socketio else parse_settings(registry.settings or {}, defaults)
        websockets = WebSockets(settings)
        registry.registerUtility(websockets, IWebSockets)
    return websockets


def _answer(request: Request, subprotocols: Sequence[str], view: Callable[..., Any]) -> Response:
    """Answer a request with a WebSocket and let the view have it, or say why not."""
    environ = request.environ
    try:
        websockets = _check(request)
        opened = _open(environ, websockets.settings, subprotocols)
    except HandshakeRefused as refused:
        return _refuse(request, refused)
    except HandshakeError as error:
        return _refusal(request, error.http_status, error.message, str(error))
    environ[ENVIRON_KEY] = opened
    websockets.open[opened] = gevent.getcurrent()
    code = 1011
    try:
        view(opened, **(request.matchdict or {}))
        code = 1000
    except Exception as error:
        if isinstance(error, WebSocketClosed) and opened.closed:
            code = 1000  # how a view finds out that its client is gone
        else:
            log.exception("the WebSocket view of %s failed", escape(environ.get("PATH_INFO", "")))
            # For the tweens: a transaction must not be committed, and nothing can be tried again. No one else logs it.
            raise HTTPInternalServerError from error
    finally:
        opened.release(code)
        del websockets.open[opened], environ[ENVIRON_KEY]
    return Response(status=101, headerlist=[], app_iter=())


def _check(request: Request) -> WebSockets:
    """What decides before anything is opened; raises HandshakeRefused and HandshakeError."""
    environ = request.environ
    exchange: Exchange | None = environ.get(CONNECTION)
    if exchange is None:
        raise HandshakeRefused(501, CANNOT_SERVE)
    if not asks_for_websocket(request):
        raise _upgrade_required()
    websockets = _websockets_of(request.registry, environ[CONNECTION].defaults)
    settings = websockets.settings
    check_origin(settings, environ.get("HTTP_ORIGIN"), environ["wsgi.url_scheme"], environ.get("HTTP_HOST", ""))
    if websockets.closing or len(websockets.open) >= settings.max_sessions:
        raise HandshakeRefused(503, "Too many clients", (("Retry-After", "5"),))
    exchange.mount(websockets, websockets.shutdown)
    return websockets


def _open(environ: dict[str, Any], settings: Settings, subprotocols: Sequence[str]) -> WebSocket:
    exchange = environ[CONNECTION]
    head = exchange.head
    accept = check_handshake(head.method, head.version, head.headers)
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
    offered = [name.strip(" \t") for name in head.headers.get("sec-websocket-protocol", "").split(",")]
    protocol = next((name for name in offered if name in subprotocols), None)
    if protocol is not None:
        fields.append(("Sec-WebSocket-Protocol", protocol))
    opened: list[WebSocket] = []

    def upgrade(exchange: Exchange, head: bytes) -> None:
        wire, early = exchange.take_over()
        wire.send(head)
        opened.append(WebSocket(wire, early, settings, environ, protocol))

    environ[UPGRADE_KEY] = upgrade
    exchange.answer_early(environ, 101, fields, b"")
    return opened[0]


def _upgrade_required() -> HandshakeRefused:
    # RFC 9110, 15.5.22: the answer names what to upgrade to.
    upgrade = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13, 8, 7"))
    return HandshakeRefused(426, "this is for WebSockets; a proxy in front has to pass Upgrade and Connection", upgrade)


def _refuse(request: Request, refused: HandshakeRefused) -> Response:
    return _refusal(request, refused.status, str(refused), str(refused), refused.headers)


def _refusal(request: Request, status: int, text: str, why: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
    peer = request.environ.get("REMOTE_ADDR", "a local client")
    log.info("refused a WebSocket of %s with %d: %s", peer, status, escape(why))
    response = Response(f"{text}\n", status=status, content_type="text/plain", charset="utf-8")
    response.headers.extend(headers)
    return response
