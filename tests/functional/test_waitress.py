"""An application with contexts on a server that cannot hold connections open: it says what to run instead."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from waitress import wasyncore
from waitress.server import create_server

from pyramid_socketio import SocketIOContext, manage
from pyramid_socketio.interfaces import CANNOT_SERVE
from pyramid_socketio.io import socketio_manage
from tests.conftest import DEADLINE
from tests.functional.raw import POLLING, UPGRADE, WEBSOCKET, request

COMMAND = "socketio-serve development.ini"


@pytest.fixture
def serve() -> Iterator[Callable[[Configurator], int]]:
    stops: list[Callable[[], None]] = []

    def start(config: Configurator) -> int:
        server = create_server(config.make_wsgi_app(), host="127.0.0.1", port=0, threads=2)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()

        def stop() -> None:
            # In waitress's own thread: its loop may be looking at the sockets. It ends when there are none.
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
            thread.join(DEADLINE)
            assert not thread.is_alive()
            server.task_dispatcher.shutdown()

        stops.append(stop)
        return int(server.effective_port)

    yield start
    for stop in stops:
        stop()


def home(request: object) -> Response:
    return Response("home")


@pytest.fixture
def config() -> Configurator:
    config = Configurator(settings={})
    config.include("pyramid_socketio")
    config.add_socketio_context(SocketIOContext, "/")
    config.add_route("home", "/")
    config.add_view(home, route_name="home")
    return config


def test_socketio_requests_are_told_what_to_do(
    serve: Callable[[Configurator], int], config: Configurator, caplog: pytest.LogCaptureFixture
) -> None:
    port = serve(config)
    for path, headers in ((POLLING, {}), (WEBSOCKET, UPGRADE)):
        answer = request(port, "GET", path, headers)
        assert answer.status == 501
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert COMMAND in answer.text
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("pyramid_socketio")]
    assert len(warnings) == 1 and COMMAND in warnings[0], "once, however often clients try"


def test_everything_else_works(serve: Callable[[Configurator], int], config: Configurator) -> None:
    answer = request(serve(config), "GET", "/")
    assert (answer.status, answer.text) == (200, "home")


@pytest.mark.parametrize("include", [False, True])
def test_a_view_of_the_application_that_manages_is_told_too(
    serve: Callable[[Configurator], int], include: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def view(request: object) -> Response:
        retval = socketio_manage(SocketIOContext(request))
        return Response(retval)

    config = Configurator(settings={})
    if include:
        config.include("pyramid_socketio")
    config.add_route("socket_io", "socket.io/*remaining")
    config.add_view(view, route_name="socket_io")
    port = serve(config)
    for path, headers in ((POLLING, {"Accept": "text/html"}), (WEBSOCKET, UPGRADE)):
        answer = request(port, "GET", path, headers)
        assert answer.status == 501
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text == f"{CANNOT_SERVE}\n"
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == [manage.__name__]
