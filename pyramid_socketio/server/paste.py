"""What an ``.ini`` file and a command line say about serving, and the runners that ``pserve`` finds by entry point.

Nothing here imports gevent before something is served: the monitor of ``socketio-serve-reload`` stays unpatched, and
``pserve`` may still patch.
"""

from __future__ import annotations

import argparse
import configparser
import errno
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NamedTuple

from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError
from pyramid.scripts.common import get_config_loader, parse_vars
from pyramid.settings import asbool, aslist

from ..errors import BindError

__all__ = [
    "Address",
    "ServerSection",
    "bind",
    "explain",
    "imported_too_early",
    "main",
    "open_browser",
    "parse_arguments",
    "parse_section",
    "read_section",
    "run",
    "sioserver",
    "sioserver_patched",
    "stop_signals",
    "url_of",
]

log = logging.getLogger(__name__)

Address = tuple[str, int]
"""Host and port to listen on; port 0 lets the system choose."""

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 6543

#: Connections wait here while the server restarts.
BACKLOG: Final = 4096

#: Keys of a server section that go to ``SocketIOServer``, with their conversion; gevent-socketio's names.
OPTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "resource": str,
    "transports": lambda value: aslist(str(value).replace(",", " ")),
    "heartbeat_interval": float,
    "heartbeat_timeout": float,
    "close_timeout": float,
    "policy_server": asbool,
    "policy_listener_host": str,
    "policy_listener_port": int,
}


class ServerSection(NamedTuple):
    """What ``[server:main]`` says."""

    #: At least one.
    addresses: tuple[Address, ...]
    #: Keywords of ``SocketIOServer``.
    options: dict[str, Any]
    #: Patterns, relative to the ``.ini`` file; a change of such a file restarts ``socketio-serve-reload``.
    watch_files: tuple[str, ...]


# The .ini file


def parse_section(values: Mapping[str, Any], overrides: Mapping[str, str] | None = None) -> ServerSection:
    """Convert and check a server section.

    Args:
        values: ``host`` and ``port``, or ``listen = host:port host:port``; ``watch_files``; ``use``, which has no
            meaning here; and the keys of :data:`OPTIONS`.
        overrides: ``host`` and ``port`` that win over the section's.

    Raises:
        ConfigurationError: an unknown key, or a value that cannot be.
    """
    overrides = overrides or {}
    known = {"use", "host", "port", "listen", "watch_files", *OPTIONS}
    if unknown := sorted(set(values) - known):
        raise ConfigurationError(
            f"unknown key {unknown[0]!r} in the server section: remove or correct it;"
            f" known are {', '.join(sorted(known))}"
        )
    if "listen" in values and ("host" in values or "port" in values):
        raise ConfigurationError("the server section has listen beside host or port: use one of the two forms")
    addresses = [_parse_address(text) for text in aslist(values.get("listen", ""))]
    if not addresses or overrides:
        host, port = addresses[0] if addresses else (values.get("host", DEFAULT_HOST), values.get("port", DEFAULT_PORT))
        addresses = [(_host(overrides.get("host", host)), _port(overrides.get("port", port)))]
    options = {}
    for key in OPTIONS.keys() & values.keys():
        try:
            options[key] = OPTIONS[key](values[key])
        except ValueError as error:
            raise ConfigurationError(f"{key} = {values[key]} in the server section: {error}") from None
    return ServerSection(tuple(addresses), options, tuple(aslist(values.get("watch_files", ""), flatten=False)))


def read_section(uri: str, name: str | None, variables: Mapping[str, str]) -> ServerSection:
    """Read ``[server:<name>]``, by default ``[server:main]``, of an ``.ini`` file.

    Host and port come from ``host=`` and ``port=`` on the command line, or else from the environment
    (``SOCKETIO_HOST``, ``SOCKETIO_PORT``), or else from the section.

    Raises:
        ConfigurationError: no such section, or see :func:`parse_section`.
        OSError, configparser.Error: the file cannot be read; :func:`explain` has the words.
    """
    loader = get_config_loader(uri)
    section = f"server:{name or 'main'}"
    sections = loader.get_sections()
    # An `egg:` has no sections: it is served with the defaults.
    if sections and section not in sections:
        raise ConfigurationError(
            f"{uri} has no section [{section}]: add it, with the lines `use = egg:pyramid_socketio#main`,"
            f" `host = {DEFAULT_HOST}` and `port = {DEFAULT_PORT}`"
        )
    environment = {key: os.environ.get(f"SOCKETIO_{key.upper()}") for key in ("host", "port")}
    overrides = {key: value for key in environment if (value := variables.get(key) or environment[key])}
    values = loader.get_settings(section, dict(variables))
    parsed = parse_section(values, overrides)
    pserve_files = aslist(loader.get_settings("pserve", dict(variables)).get("watch_files", ""), flatten=False)
    return parsed._replace(watch_files=(*parsed.watch_files, *pserve_files))


def _host(text: str) -> str:
    """``*`` is every interface, and the brackets around an IPv6 address go."""
    host = text.strip().strip("[]")
    return "0.0.0.0" if host in ("", "*") else host


def _port(value: Any) -> int:
    try:
        port = int(value)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port {value} in the server section: must be a whole number from 0 to 65535")
    return port


def _parse_address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ConfigurationError(f"listen = {text} in the server section: must look like {DEFAULT_HOST}:{DEFAULT_PORT}")
    return _host(host), _port(port)


# The command line


def parse_arguments(prog: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options of both commands, which are those of ``pserve``; ``variables`` holds the ``key=value`` pairs.

    Raises:
        SystemExit: with 2 for wrong usage, with 0 after ``--help`` and ``--version``.
    """
    parser = argparse.ArgumentParser(prog, description="Serve a Pyramid application with Socket.IO from its .ini file.")
    add = parser.add_argument
    add("config_uri", metavar="file.ini[#name]", help="the configuration file, and the name of the application in it")
    add("config_vars", metavar="key=value", nargs="*", help="variables of the file; host= and port= win over its own")
    add("-n", "--app-name", metavar="NAME", help="load the application of this name (default: main)")
    add("--server-name", metavar="NAME", help="read the section [server:NAME] (default: main)")
    add("-q", "--quiet", dest="verbose", action="store_const", const=0, default=1, help="print errors only")
    add("-v", "--verbose", action="count", default=1, help="print more, with a traceback for every error")
    add("-b", "--browser", action="store_true", help="open the application in a browser")
    add("--reload", action="store_true", help="restart at every change, as socketio-serve-reload does")
    add("--reload-interval", metavar="SECONDS", type=float, default=1.0, help="time between two looks at the files")
    add("--version", action="version", version=f"%(prog)s {_version()}")
    # What the monitor of `socketio-serve-reload` tells the server that it starts.
    add("--watch", action="store_true", help=argparse.SUPPRESS)
    add("--fd", type=int, action="append", default=[], help=argparse.SUPPRESS)
    add("--monitor", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_intermixed_args(argv)
    try:
        arguments.variables = parse_vars(arguments.config_vars)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _version() -> str:
    try:
        return version("pyramid_socketio")
    except PackageNotFoundError:
        return "(not installed)"


def explain(error: BaseException, uri: str) -> str | None:
    """Put an error of reading, loading or listening into a sentence that says what to do.

    Returns:
        One line; ``None`` where the application's own code is wrong and its traceback says more.
    """
    if isinstance(error, ConfigurationExecutionError):
        error = error.evalue
    if isinstance(error, ConfigurationError | BindError):
        return str(error)
    if isinstance(error, SyntaxError) or _in_application(error):
        return None
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or uri}: no such file; give the path of the application's .ini file"
    if isinstance(error, OSError):
        return f"{uri} cannot be read: {error.strerror or reason}"
    if isinstance(error, configparser.Error):
        return f"{uri} is not a correct .ini file; correct it: {reason}"
    if isinstance(error, ImportError | AttributeError):
        return f"{uri}: the application cannot be imported: {reason}; install it, or correct the line `use = ...`"
    if isinstance(error, LookupError):
        return f"{uri}: {reason}; correct the file, or give the name of an application in it with --app-name"
    return f"{uri}: {reason}; correct the file, or give the path of another .ini file"


#: Packages through which an application is loaded; every other one is part of the application.
LOADERS: Final = {
    *("__main__", "pyramid_socketio", "pyramid", "paste", "plaster", "plaster_pastedeploy"),
    *sys.stdlib_module_names,
}


def _in_application(error: BaseException) -> bool:
    """Whether the error comes out of code that is neither ours nor that of what loads applications."""
    traceback = error.__traceback__
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0] not in LOADERS:
            return True
        traceback = traceback.tb_next
    return False


# Listening and serving


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
            errno.EADDRINUSE: "stop the program that uses the port, or take another one",
            errno.EACCES: "a port below 1024 needs privileges; take another one",
        }.get(error.errno or 0, "correct host and port")
        raise BindError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; {advice}, in [server:main] or with port=NUMBER"
        ) from error
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
) -> None:
    """Serve an application until a signal comes, then end every connection in an orderly way.

    Args:
        app: the WSGI application.
        listeners: sockets that listen already; closed in the end.
        options: keywords of ``SocketIOServer``. The Flash policy port, if any, belongs to the first listener.
        quiet: print nothing.
        monitored: see :func:`stop_signals`.
    """
    # Not at the top: see the module's docstring.
    import gevent
    from gevent.event import Event

    from .server import SocketIOServer

    stop = Event()
    loop = gevent.get_hub().loop
    without_policy = {key: value for key, value in options.items() if key != "policy_server"}
    # gevent takes no backlog beside a socket that listens already.
    servers = [SocketIOServer(listeners[0], app, backlog=None, **options)]
    servers += [SocketIOServer(listener, app, backlog=None, **without_policy) for listener in listeners[1:]]
    try:
        with stop_signals(lambda: loop.run_callback_threadsafe(stop.set), monitored=monitored):
            for server in servers:
                server.start()
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
            gevent.joinall([gevent.spawn(server.shutdown) for server in servers], raise_error=True)
    finally:
        for listener in listeners:
            listener.close()


# The runners of pserve


def sioserver(app: Any, global_conf: Mapping[str, str] | None = None, **values: Any) -> None:
    """Serve for ``pserve``; entry points ``main`` and ``sioserver`` of ``paste.server_runner``.

    Nothing is patched: what blocks in the application (``time.sleep``, a database driver) blocks every client.

    Raises:
        ConfigurationError, BindError: see :func:`parse_section` and :func:`bind`.
    """
    from gevent import monkey

    if not monkey.is_module_patched("socket"):
        log.warning(
            "the standard library is not patched: what blocks in the application blocks every client;"
            " socketio-serve patches before it loads the application"
        )
    _serve_section(app, values)


main = sioserver


def sioserver_patched(app: Any, global_conf: Mapping[str, str] | None = None, **values: Any) -> None:
    """As :func:`sioserver`, with the standard library patched first; entry point ``sioserver_patched``."""
    from gevent import monkey

    monkey.patch_all()
    if early := imported_too_early():
        log.warning(
            "imported before the standard library was patched, and blocking therefore: %s;"
            " socketio-serve patches before it loads the application",
            ", ".join(early),
        )
    _serve_section(app, values)


def _serve_section(app: Any, values: Mapping[str, Any]) -> None:
    section = parse_section(values)
    run(app, [bind(address) for address in section.addresses], section.options)


#: What blocks a process when it is called unpatched.
BLOCKING: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("sleep",),
    "socket": ("socket", "create_connection", "getaddrinfo"),
    "ssl": ("SSLContext", "SSLSocket"),
    "select": ("select", "poll", "epoll"),
    "subprocess": ("Popen", "run", "call", "check_call", "check_output"),
    "threading": ("Lock", "RLock", "Event", "Condition"),
    "_thread": ("start_new_thread", "allocate_lock"),
}


def imported_too_early() -> list[str]:
    """Name the modules that hold something of the standard library from before it was patched, sorted.

    ``import time`` does no harm, whenever it came; ``from time import sleep`` does when it came before.
    """
    from gevent import monkey

    originals = {
        id(original): original
        for module, names in BLOCKING.items()
        for name in names
        if hasattr(sys.modules.get(module), name)
        and (original := monkey.get_original(module, name)) is not getattr(sys.modules[module], name)
    }
    # These patch, or are what is patched.
    exempt = {"gevent", "greenlet", *sys.stdlib_module_names}
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in exempt
        and any(id(value) in originals for value in list(getattr(module, "__dict__", {}).values()))
    )
