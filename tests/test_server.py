"""The server's own arguments; what it serves is tested through real connections, in ``tests/functional``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket as cooperative
from pyramid.config import Configurator

from pyramid_socketio import SocketIOServer
from pyramid_socketio.server.handler import SocketIOHandler
from tests.conftest import DEADLINE

Start = Callable[..., SocketIOServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, on a free port unless told where, and ends them."""
    servers: list[SocketIOServer] = []

    def start(application: Any, listener: Any = ("127.0.0.1", 0), **options: Any) -> SocketIOServer:
        server = SocketIOServer(listener, application, **options)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.shutdown()


def ask(port: int) -> bytes:
    """The answer to a request, while this thread's own loop serves it."""
    with gevent.Timeout(DEADLINE), cooperative.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(4096), b""))


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def test_a_socket_that_listens_already(start: Start) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    server = start(hello, listener)
    assert server.server_port == listener.getsockname()[1]
    assert ask(server.server_port).endswith(b"hello")


def test_a_handler_of_the_callers(start: Start) -> None:
    class Handler(SocketIOHandler):
        def get_environ(self) -> dict[str, Any]:
            return {**super().get_environ(), "mine": "yes"}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["mine"].encode()]

    assert ask(start(application, handler_class=Handler).server_port).endswith(b"yes")


def pyramid_application(included: bool, **settings: str) -> Any:
    with Configurator(settings=settings) as config:
        if included:
            config.include("pyramid_socketio")
    return config.make_wsgi_app()


def test_options_that_do_not_count(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    application = pyramid_application(True, **{"socketio.resource": "rt", "socketio.ping_interval": "7"})
    start(application, heartbeat_interval=7.0)
    start(hello, resource="ws")
    assert caplog.messages == []
    start(application, resource="ws", heartbeat_interval=8.0)
    assert caplog.messages == [
        "resource = 'ws' of the server does not count: the application's setting is socketio.resource = 'rt'",
        "ping_interval = 8.0 of the server does not count: the application's setting is socketio.ping_interval = 7.0",
    ]


def test_a_flash_policy_for_no_origin(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    server = start(pyramid_application(True), **WITH_POLICY)
    assert server.policy is not None and b"allow-access" not in server.policy
    assert caplog.messages == ["the Flash policy allows nobody: socketio.allowed_origins names no origin"]


WITH_POLICY = {"policy_server": True, "policy_listener_host": "127.0.0.1", "policy_listener_port": 0}


@pytest.mark.parametrize(
    ("application", "why"),
    [(hello, "the application is wrapped"), (pyramid_application(False), "the application does not include")],
)
def test_a_flash_policy_without_settings(
    start: Start, caplog: pytest.LogCaptureFixture, application: Any, why: str
) -> None:
    server = start(application, **WITH_POLICY)
    assert server.policy is not None and b"allow-access" not in server.policy
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the Flash policy allows nobody" in record.getMessage() and why in record.getMessage()


def test_a_flash_policy_by_the_settings(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    application = pyramid_application(True, **{"socketio.allowed_origins": "https://example.com"})
    server = start(application, **WITH_POLICY)
    assert server.policy is not None and b'domain="example.com"' in server.policy
    assert caplog.records == []
