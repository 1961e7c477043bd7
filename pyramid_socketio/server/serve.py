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

from pyramid.scripts.common import get_config_loader  # noqa: E402

from . import paste, reload  # noqa: E402

__all__ = ["main", "serve"]

log = logging.getLogger(__name__)


def serve(app: Any, host: str = paste.DEFAULT_HOST, port: int = paste.DEFAULT_PORT, **options: Any) -> None:
    """Serve a WSGI application until SIGINT or SIGTERM; for scripts, in the main thread.

    Importing this module patches the standard library, so import it first.

    Args:
        app: the WSGI application.
        host, port: where to listen; port 0 lets the system choose.
        options: keywords of ``SocketIOServer``.

    Raises:
        BindError: the address cannot be listened on.
    """
    paste.run(app, [paste.bind((host, port))], options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code.

    Args:
        argv: without the program's name; by default that of the process.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments = paste.parse_arguments("socketio-serve", argv)
    if arguments.reload and not arguments.watch:
        # The monitor must not be patched, and this process is.
        os.execv(sys.executable, [sys.executable, "-m", "pyramid_socketio.server.reload", *argv])
    monitor = reload.MonitorLink(*arguments.monitor) if arguments.monitor else None
    try:
        app, listeners, section = _load(arguments)
    except KeyboardInterrupt:
        # Nothing is served yet, so nobody has to be told.
        return 130
    except Exception as error:
        if monitor:
            monitor.report(error)
        sentence = paste.explain(error, arguments.config_uri)
        if sentence is None or arguments.verbose > 1:
            raise
        print(f"socketio-serve: {sentence}", file=sys.stderr)
        return 1
    if arguments.watch:
        reload.note_loaded()
    if monitor:
        monitor.report()
    elif arguments.browser:
        paste.open_browser(paste.url_of(listeners[0]))
    paste.run(app, listeners, section.options, quiet=arguments.verbose == 0, monitored=monitor is not None)
    return 0


def _load(arguments: Namespace) -> tuple[Any, list[socket.socket], paste.ServerSection]:
    """The application, the sockets to serve it on, and what its server section says."""
    uri, variables = arguments.config_uri, arguments.variables
    section = paste.read_section(uri, arguments.server_name, variables)
    if arguments.watch:
        reload.watch(uri, section.watch_files, arguments.reload_interval)
    loader = get_config_loader(uri)
    # Stays only where the file says nothing about logging.
    logging.basicConfig(level={0: logging.WARNING, 1: logging.INFO}.get(arguments.verbose, logging.DEBUG))
    loader.setup_logging(variables)
    if early := paste.imported_too_early():
        log.warning("imported before the standard library was patched, and blocking therefore: %s", ", ".join(early))
    listeners = [_adopt(fd) for fd in arguments.fd] or [paste.bind(address) for address in section.addresses]
    try:
        return loader.get_wsgi_app(arguments.app_name, variables), listeners, section
    except BaseException:
        for listener in listeners:
            listener.close()
        raise


def _adopt(fd: int) -> socket.socket:
    """A listening socket that the parent process holds, kept from the application's own children."""
    os.set_inheritable(fd, False)
    listener = socket.socket(fileno=fd)
    listener.setblocking(False)
    return listener


if __name__ == "__main__":
    sys.exit(main())
