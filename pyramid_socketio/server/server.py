"""The server: accepts connections and ends them in an orderly way."""

from __future__ import annotations

import _socket
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import gevent
from gevent import monkey
from gevent.pywsgi import WSGIServer

from ..engine import Engine
from ..evented.timers import Timers
from ..evented.workers import Workers
from ..interfaces import socketio_for
from ..settings import Settings
from .connection import HTTPConnection
from .flash_policy import PolicyListener, policy_file
from .handler import SocketIOHandler, access_log

__all__ = ["SocketIOServer"]

log = logging.getLogger(__name__)

#: Connections waiting to be accepted; the kernel may cut it (net.core.somaxconn).
BACKLOG: Final = 4096

#: Connections that speak HTTP, unless the server is told another number: a polling client has two.
MAX_CONNECTIONS: Final = 20_000
#: Seconds between two warnings about that; a crowd at the door must not fill the log as well.
_WARN_INTERVAL: Final = 60.0

_TOO_MANY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

#: gevent-socketio knew transports by the names of clients 0.6 to 0.9; what clients from 1.0 on call the same.
_TODAYS: Final = {"xhr-polling": "polling", "jsonp-polling": "polling", "flashsocket": "websocket"}

#: The handlers of signals that nobody has set.
_UNHANDLED: Final[dict[int, Any]] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

#: Seconds for requests that are being answered when the server stops.
STOP_TIMEOUT: Final = 5.0


class SocketIOServer(WSGIServer):  # type: ignore[misc]
    """Serves a WSGI application and the Socket.IO clients of the Pyramid application in it, on one port.

    Args:
        listener: ``(host, port)`` or a listening socket.
        application: the WSGI application.
        resource: the first segment of the clients' path, for applications that do not include this package.
        policy_server: whether to answer Flash policy requests, on the main port and on a port of their own.
        policy_listener_host, policy_listener_port: where the latter is.
        policy_listener: the same as ``(host, port)``, as gevent-socketio has it; it counts where it is given.
        transports, heartbeat_interval, heartbeat_timeout, close_timeout: settings for applications that do not include
            this package, by gevent-socketio's names.
        max_request_body_size: bytes of the body of any request; Socket.IO has a smaller limit of its own.
        max_connections: those that speak HTTP, idle or not; a further one is answered 503. WebSockets are not among
            them: ``socketio.max_sessions`` limits these.
        log_file: path of a file that the access log is added to, besides where logging sends it.
        namespace: the name that old versions of gevent-socketio have for ``resource``.
        options: keywords of :class:`gevent.pywsgi.WSGIServer`.
    """

    handler_class = SocketIOHandler
    #: ``None`` where the caller sets it later.
    application: Any = None

    def __init__(
        self,
        listener: Any,
        application: Any = None,
        resource: str = "socket.io",
        policy_server: bool = False,
        policy_listener_host: str = "0.0.0.0",
        policy_listener_port: int = 843,
        transports: Sequence[str] = (),
        heartbeat_interval: float | None = None,
        heartbeat_timeout: float | None = None,
        close_timeout: float | None = None,
        max_request_body_size: int = 1_073_741_824,
        max_connections: int = MAX_CONNECTIONS,
        policy_listener: tuple[str, int] | None = None,
        log_file: str | None = None,
        namespace: str | None = None,
        **options: Any,
    ) -> None:
        if not hasattr(listener, "accept"):  # gevent takes none beside a socket, which listens already
            options.setdefault("backlog", BACKLOG)
        options.setdefault("log", None)
        super().__init__(listener, application, spawn=None, **options)
        names = [*transports, *(_TODAYS.get(name, name) for name in transports)]
        defaults = {
            "resource": resource if namespace is None else namespace,
            "transports": tuple(dict.fromkeys(names)) or None,
            "ping_interval": heartbeat_interval,
            "ping_timeout": heartbeat_timeout,
            "close_timeout": close_timeout,
        }
        self.defaults = {name: value for name, value in defaults.items() if value is not None}
        Settings(**self.defaults)  # a bad value is the caller's error now, not the first client's
        self.max_request_body_size = max_request_body_size
        self.max_connections = max_connections
        self.scheme = "http"
        self.timers = Timers()
        self.workers = Workers()
        #: The engines whose handshakes this server has served, each with what ends its clients.
        self.engines: dict[Engine, Callable[[], None]] = {}
        self.connections: set[HTTPConnection] = set()
        self._warn_again = 0.0
        self.stopping = False
        #: What a signal has started.
        self._shutting_down: gevent.Greenlet | None = None
        self.policy: bytes | None = None
        self.policy_listener: PolicyListener | None = None
        address = policy_listener or (policy_listener_host, policy_listener_port)
        self._policy_address = address if policy_server else None
        self._log_file: logging.FileHandler | None = None
        if log_file is not None:
            self._log_file = logging.FileHandler(log_file, delay=True)
            self._log_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Serve until the server is stopped; for scripts, which patch the standard library before they import.

        SIGINT and SIGTERM stop it, too, in order as by :meth:`shutdown`, and this returns; a second one ends the
        process at once. But a signal for which the script has its own handler is left alone, and so are both where this
        runs in another thread or greenlet than the script's main one.
        """
        if not monkey.is_module_patched("socket"):
            log.warning(
                "the standard library is not patched: what blocks in the application blocks every client;"
                " begin the script with `from gevent import monkey; monkey.patch_all()`"
            )
        if not self.started:
            self.start()
        with self._shutdown_at_signals():
            try:
                self._stop_event.wait()
            finally:
                if self._shutting_down is not None:
                    self._shutting_down.join()
                gevent.spawn(self.stop, timeout=stop_timeout).join()

    @contextmanager
    def _shutdown_at_signals(self) -> Iterator[None]:
        in_main = gevent.getcurrent().parent is None and threading.current_thread() is threading.main_thread()
        numbers = [number for number, default in _UNHANDLED.items() if in_main and signal.getsignal(number) is default]
        # The loop's watchers, because these leave room for others: of the script's own gevent.signal_handler().
        watchers = [gevent.get_hub().loop.signal(number, ref=False) for number in numbers]

        def end() -> None:
            for watcher in watchers:
                watcher.stop()
            self._shutting_down = gevent.spawn(self.shutdown)

        for watcher in watchers:
            watcher.start(end)
        try:
            yield
        finally:
            for watcher in watchers:
                watcher.stop()
                watcher.close()
            for number in numbers:
                signal.signal(number, _UNHANDLED[number])  # which the loop has replaced

    def start(self) -> None:
        super().start()
        self.stopping = False
        self._warn_of_idle_options()
        if self._log_file is not None:
            access_log.addHandler(self._log_file)
            access_log.setLevel(logging.INFO)
        if self._policy_address is not None and self.policy is None:
            self.policy = policy_file(self._allowed_origins(), [self.server_port])
            self.policy_listener = PolicyListener(self._policy_address, self.policy)
            self.policy_listener.try_start()

    def _settings(self) -> Settings | None:
        """The application's own, where it has some and is not wrapped."""
        registry = getattr(self.application, "registry", None)
        socketio = None if registry is None else socketio_for(registry)
        return None if socketio is None else socketio.settings

    def _warn_of_idle_options(self) -> None:
        """Say which options of the server do not count, because the application has settings."""
        settings, normal = self._settings(), Settings()
        if settings is None:
            return
        for name, value in self.defaults.items():
            theirs = getattr(settings, name)
            if value not in (theirs, getattr(normal, name)):
                log.warning(
                    "%s = %r of the server does not count: the application's setting is socketio.%s = %r",
                    *(name, value, name, theirs),
                )

    def _allowed_origins(self) -> tuple[str, ...]:
        settings = self._settings()
        if settings is None:
            registry = getattr(self.application, "registry", None)
            why = "does not include pyramid_socketio" if registry is not None else "is wrapped, by a filter perhaps"
            log.warning(
                "the Flash policy allows nobody: socketio.allowed_origins is not known, as the application %s", why
            )
            return ()
        if not settings.allowed_origins:
            log.warning("the Flash policy allows nobody: socketio.allowed_origins names no origin")
        return settings.allowed_origins

    # Connections stay in the hub: no greenlet, and no socket object of gevent's.

    def do_read(self) -> tuple[Any, Any] | None:
        listener = self.socket
        try:
            fd, address = listener._accept()
        except BlockingIOError:
            return None
        return _socket.socket(listener.family, listener.type, listener.proto, fileno=fd), address

    def handle(self, sock: Any, address: Any) -> None:
        if len(self.connections) >= self.max_connections:
            self._turn_away(sock)
            return
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.add(HTTPConnection(self, sock, address))
        except OSError as error:  # gone before it began
            log.debug("%s: %s", address, error)
            sock.close()

    def _turn_away(self, sock: Any) -> None:
        """Answer 503 without waiting for anything: what would wait is what there is too much of."""
        now = monotonic()
        if now >= self._warn_again:
            self._warn_again = now + _WARN_INTERVAL
            log.warning("refused a connection with 503: there are max_connections = %d already", self.max_connections)
        sock.setblocking(False)
        try:
            sock.send(_TOO_MANY)
        except OSError as error:
            log.debug("gone before it was refused: %s", error)
        sock.close()

    def do_close(self, *args: Any) -> None:
        """gevent would close the connection as soon as :meth:`handle` returns."""

    def shutdown(self) -> None:
        """Stop in order: every client told, every ``disconnect`` run, no new connections, then the rest closed.

        Takes at most ``socketio.drain_timeout`` and a little more.
        """
        if self.stopping:
            return
        self.stopping = True
        if self.policy_listener is not None:
            self.policy_listener.stop()
        # There are clients that come for their last words on new connections; new clients get a 503.
        gevent.joinall([gevent.spawn(shutdown) for shutdown in self.engines.values()])
        # Closed, because who is only not accepted would wait. A monitor keeps it open for the next server.
        self.stop_accepting()
        self.socket.close()
        for connection in tuple(self.connections):
            connection.close_idle()
        with gevent.Timeout(STOP_TIMEOUT, False):
            while self.connections:
                gevent.sleep(0.01)
        if self._log_file is not None:
            access_log.removeHandler(self._log_file)
            self._log_file.close()
        for connection in tuple(self.connections):
            connection.abort()
        self.workers.close()
        self.stop()
