"""Serves one of these applications until SIGTERM or Ctrl-C: ``python -m tests.apps NAME [KEY=VALUE ...]``.

``NAME`` is a module with ``main(global_config, **settings)``; ``host`` and ``port`` say where (127.0.0.1, and any free
port), every other key is a setting of the application. Prints ``port N`` once the socket listens.
"""

from gevent import monkey

monkey.patch_all()

import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from importlib import import_module  # noqa: E402

from gevent import signal_handler  # noqa: E402
from gevent.event import Event  # noqa: E402

from pyramid_socketio import SocketIOServer  # noqa: E402


def run(name: str, *pairs: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = dict(pair.split("=", 1) for pair in pairs)
    address = settings.pop("host", "127.0.0.1"), int(settings.pop("port", 0))
    application = import_module(f"tests.apps.{name}").main({}, **settings)
    server = SocketIOServer(address, application)
    server.start()
    print(f"port {server.server_port}", flush=True)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal_handler(number, stop.set)
    stop.wait()
    server.shutdown()


if __name__ == "__main__":
    run(*sys.argv[1:])
