"""Listening, and serving until a signal comes.

Nothing here imports gevent before something is served: the monitor of ``socketio-serve-reload`` stays unpatched, and
``pserve`` may still patch.
"""

from __future__ import annotations

import errno
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..errors import BindError
from .section import Address

__all__ = ["bind", "open_browser", "run", "stop_signals", "url_of"]

#: Connections wait here while the server restarts.
BACKLOG: Final = 4096


def bind(address: Address) -> socket.socket:
    """Listen on an address.

    Raises:
        BindError: with what to do about it.
    """
    host, port = address
    try:
        family, kind, protocol, _, resolved = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(resolved)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        advice = {
            errno.EADDRINUSE: "stop the program that uses the port, or give another port",
            errno.EACCES: "a port below 1024 needs privileges; give another port",
        }.get(error.errno or 0, "correct host and port")
        raise BindError(f"cannot listen on {host}:{port}: {error.strerror or error}; {advice}") from error
    # gevent's accept loop is woken by the hub and must never wait.
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL under which a browser on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def open_browser(url: str) -> None:
    """Open a page without waiting for the browser."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


@contextmanager
def stop_signals(stop: Callable[[], object], *, monitored: bool = False) -> Iterator[None]:
    """Call ``stop`` at SIGINT or SIGTERM, and let a second one end the process at once; the earlier handlers come back.

    Args:
        stop: runs wherever the main thread happens to be, so that also a busy process hears it; may only leave a note.
        monitored: this is a server below a monitor. A signal to the whole group of processes reaches both, and the
            monitor passes it on: so SIGINT is left to the monitor, and a second SIGTERM changes nothing. The monitor's
            own end is what ends such a process at once.

    Raises:
        ValueError: not in the main thread.
    """

    numbers = (signal.SIGTERM,) if monitored else (signal.SIGINT, signal.SIGTERM)

    def on_signal(number: int, frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN if monitored else signal.SIG_DFL)
        stop()

    earlier = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def run(
    app: Any,
    listeners: Sequence[socket.socket],
    options: Mapping[str, Any],
    *,
    quiet: bool = False,
    monitored: bool = False,
    on_start: Callable[[Callable[[], None]], object] | None = None,
) -> None:
    """Serve an application until a signal comes, then end every connection in an orderly way.

    Args:
        app: the WSGI application.
        listeners: sockets that listen already; closed in the end.
        options: keywords of ``SocketIOServer``. The Flash policy port, if any, belongs to the first listener.
        quiet: print nothing.
        monitored: see :func:`stop_signals`.
        on_start: called once when all listeners are served, with a function that does what a signal does; any thread
            may call that.
    """
    # Not at the top: see the module's docstring.
    import gevent
    from gevent.event import Event

    from .server import SocketIOServer

    stop = Event()
    loop = gevent.get_hub().loop

    def end() -> None:
        loop.run_callback_threadsafe(stop.set)

    without_policy = {key: value for key, value in options.items() if key != "policy_server"}
    # gevent takes no backlog beside a socket that listens already.
    servers = [SocketIOServer(listeners[0], app, backlog=None, **options)]
    servers += [SocketIOServer(listener, app, backlog=None, **without_policy) for listener in listeners[1:]]
    try:
        with stop_signals(end, monitored=monitored):
            for server in servers:
                server.start()
            if on_start is not None:
                on_start(end)
            if not quiet:
                for listener in listeners:
                    host, port = listener.getsockname()[:2]
                    print(f"Serving on {host}:{port} ({url_of(listener)}) ...", flush=True)
                policy = getattr(servers[0], "policy_listener", None)
                if policy is not None and policy.started:
                    print(f"Flash policy server on {policy.server_host}:{policy.server_port}", flush=True)
            # A signal between two looks of the event loop is seen at the next one, so there is one every second.
            while not stop.wait(1.0):
                pass
            if monitored:
                # Who comes now waits for the next server.
                for server in servers:
                    server.stop_accepting()
            gevent.joinall([gevent.spawn(server.shutdown) for server in servers], raise_error=True)
    finally:
        for listener in listeners:
            listener.close()
