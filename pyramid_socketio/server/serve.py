"""``socketio-serve development.ini``: a Pyramid application and its Socket.IO clients on one port."""

# Before anything else is imported: whoever takes `from time import sleep` now has to get gevent's.
from gevent import monkey

monkey.patch_all()

import logging  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
from argparse import Namespace  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

from pyramid.exceptions import ConfigurationError  # noqa: E402
from pyramid.scripts.common import get_config_loader  # noqa: E402

from .command import explain, parse_arguments  # noqa: E402
from .patching import imported_too_early  # noqa: E402
from .run import bind, open_browser, run, url_of  # noqa: E402
from .section import DEFAULT_HOST, DEFAULT_PORT, ServerSection, read_section  # noqa: E402
from .watch import CHANGED, ChangeWatch, MonitorLink  # noqa: E402

__all__ = ["main", "serve"]

log = logging.getLogger(__name__)


def serve(app: Any, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, **options: Any) -> None:
    """Serve a WSGI application until SIGINT or SIGTERM; for scripts, in the main thread.

    Importing this module patches the standard library, so import it first. Where the script has not configured logging,
    what is logged from INFO on goes to standard error.

    Args:
        app: the WSGI application.
        host, port: where to listen; port 0 lets the system choose.
        options: keywords of ``SocketIOServer``.

    Raises:
        BindError: the address cannot be listened on.
    """
    # Who is refused, and why, is logged; without a handler nobody would see it.
    logging.basicConfig(level=logging.INFO)
    if early := imported_too_early():
        log.warning(
            "imported before the standard library was patched, and blocking therefore: %s;"
            " import pyramid_socketio.server.serve first",
            ", ".join(early),
        )
    run(app, [bind((host, port))], options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code.

    Args:
        argv: without the program's name; by default that of the process.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments = parse_arguments("socketio-serve", argv)
    if arguments.reload and not arguments.watch:
        # The monitor must not be patched, and this process is.
        os.execv(sys.executable, [sys.executable, "-m", "pyramid_socketio.server.reload", *argv])
    monitor = MonitorLink(*arguments.monitor) if arguments.monitor else None
    watch = None
    try:
        section = read_section(arguments.config_uri, arguments.server_name, arguments.variables)
        if arguments.watch:
            watch = ChangeWatch(arguments.config_uri, section.watch_files, arguments.reload_interval)
            watch.start()
        app, listeners = _load(arguments, section)
    except KeyboardInterrupt:
        # Nothing is served yet, so nobody has to be told.
        return 130
    except Exception as error:
        if monitor:
            monitor.report(error)
        sentence = explain(error, arguments.config_uri)
        if sentence is None or arguments.verbose > 1:
            raise
        print(f"socketio-serve: {sentence}", file=sys.stderr)
        return 1
    if watch:
        watch.note_loaded()
    if monitor:
        monitor.report()
    elif arguments.browser:
        open_browser(section.open_url or url_of(listeners[0]))
    run(
        app,
        listeners,
        section.options,
        quiet=arguments.verbose == 0,
        monitored=monitor is not None,
        on_start=watch.serving if watch else None,
    )
    return CHANGED if watch and watch.changed else 0


def _load(arguments: Namespace, section: ServerSection) -> tuple[Any, list[socket.socket]]:
    """The application, and the sockets to serve it on."""
    variables = arguments.variables
    loader = get_config_loader(arguments.config_uri)
    _set_up_logging(loader, arguments)
    if arguments.server:
        log.warning("--server %s is ignored: socketio-serve always serves with its own server", arguments.server)
    if early := imported_too_early():
        log.warning("imported before the standard library was patched, and blocking therefore: %s", ", ".join(early))
    listeners = [_adopt(fd) for fd in arguments.fd] or [bind(address) for address in section.addresses]
    try:
        return loader.get_wsgi_app(arguments.app_name, variables), listeners
    except BaseException:
        for listener in listeners:
            listener.close()
        raise


def _set_up_logging(loader: Any, arguments: Namespace) -> None:
    """Log as the file says, or else to standard error.

    Raises:
        ConfigurationError: what the file says about logging cannot be done.
    """
    # Stays only where the file says nothing about logging.
    logging.basicConfig(level={0: logging.WARNING, 1: logging.INFO}.get(arguments.verbose, logging.DEBUG))
    try:
        loader.setup_logging(arguments.variables)
    except Exception as error:
        # fileConfig runs code that the file names, so anything may come; it looks names up as they stand there.
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ConfigurationError(
            f"{arguments.config_uri}: logging cannot be set up: {' '.join(reason.split())};"
            " correct [loggers], [handlers], [formatters] and the sections that they name"
        ) from error
    root = logging.getLogger()
    if arguments.verbose == 0:
        root.setLevel(max(root.level, logging.WARNING))


def _adopt(fd: int) -> socket.socket:
    """A listening socket that the parent process holds, kept from the application's own children."""
    os.set_inheritable(fd, False)
    listener = socket.socket(fileno=fd)
    listener.setblocking(False)
    return listener


if __name__ == "__main__":
    sys.exit(main())
