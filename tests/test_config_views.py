"""The include, its settings, and the view that asks the engine."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request
from pyramid.response import Response
from pyramid.testing import DummySecurityPolicy
from webtest import TestApp

from pyramid_socketio import SocketIOContext
from pyramid_socketio.config import socketio_for, views
from pyramid_socketio.engine import Answer
from pyramid_socketio.socketio import SocketIO

CONNECTION = {"pyramid_socketio.connection": "a connection"}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the engine is asked; it answers with the method."""
    asked: list[dict[str, Any]] = []

    def answer(socketio: SocketIO, environ: dict[str, Any]) -> Answer:
        asked.append(environ)
        return Answer(200, [("Content-Type", "text/plain"), ("X-Engine", "ours")], environ["REQUEST_METHOD"].encode())

    monkeypatch.setattr(SocketIO, "answer", answer)
    return asked


def configure(**settings: Any) -> Configurator:
    config = Configurator(settings={key.replace("__", "."): value for key, value in settings.items()})
    config.include("pyramid_socketio")
    return config


def make_app(config: Configurator) -> TestApp:
    return TestApp(config.make_wsgi_app(), extra_environ=CONNECTION)


# Settings


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("ping_intervall", "25", "unknown setting socketio.ping_intervall: remove or correct it; known are: "),
        ("ping_interval", "soon", "socketio.ping_interval = soon: "),
        ("ping_interval", "0", "must be a number of seconds greater than 0"),
        ("max_sessions", "-1", "must be a whole number of at least 1"),
        ("allow_upgrades", "perhaps", "must be true or false"),
        ("transports", "flash", "must be some of: polling websocket"),
        ("allowed_origins", "example.com", "must look like https://example.com"),
        ("resource", "/", "socketio.resource must not be empty"),
    ],
)
def test_bad_setting(name: str, value: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        configure(**{f"socketio__{name}": value}).make_wsgi_app()
    assert text in str(info.value)


def test_settings_may_change_until_the_commit() -> None:
    config = configure()
    config.add_settings({"socketio.ping_interval": "7"})
    assert socketio_for(config.registry) is None
    config.commit()
    engine = socketio_for(config.registry)
    assert isinstance(engine, SocketIO)
    assert engine.settings.ping_interval == 7


def test_included_twice() -> None:
    config = configure()
    config.include("pyramid_socketio")
    config.commit()
    engine = socketio_for(config.registry)
    config.include("pyramid_socketio")
    config.commit()
    assert socketio_for(config.registry) is engine
    assert len(config.get_routes_mapper().get_routes()) == 2


def test_without_the_include() -> None:
    assert socketio_for(Configurator().registry) is None


# The resource


@pytest.mark.parametrize("path", ["/socket.io", "/socket.io/", "/socket.io/?EIO=4", "/socket.io/1/websocket/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_every_request_goes_to_the_engine(requests: list[dict[str, Any]], path: str, method: str) -> None:
    response = make_app(configure()).request(path, method=method)
    assert response.text == method
    assert response.headers["X-Engine"] == "ours"
    assert response.headers["Content-Length"] == str(len(method))
    (environ,) = requests
    assert environ["pyramid_socketio.connection"] == "a connection"


def test_a_websocket_handshake_has_neither_body_nor_length() -> None:
    class FakeEngine:
        def answer(self, environ: dict[str, Any]) -> Answer:
            return Answer(101, [("Upgrade", "websocket")], b"")

    request = Request.blank("/socket.io/", environ=dict(CONNECTION))
    response = views.Handshake(FakeEngine())(None, request)
    assert response.status == "101 Switching Protocols"
    assert response.headerlist == [("Upgrade", "websocket")]
    assert response.body == b""


@pytest.mark.parametrize("path", ["/", "/socket.iox", "/socket.i", "/socket_io/", "/x/socket.io/", "/socketxio/"])
def test_other_paths(requests: list[dict[str, Any]], path: str) -> None:
    make_app(configure()).get(path, status=404)
    assert requests == []


def test_resource_and_route_prefix(requests: list[dict[str, Any]]) -> None:
    config = Configurator(settings={"socketio.resource": "/real/time/"})
    config.include("pyramid_socketio", route_prefix="/app")
    app = make_app(config)
    assert app.get("/app/real/time/").text == "GET"
    app.get("/real/time/", status=404)
    request = Request.blank("/")
    request.registry = config.registry
    assert request.route_path("pyramid_socketio.resource", path="/") == "/app/real/time/"


def test_default_permission_and_csrf_do_not_shut_it(requests: list[dict[str, Any]]) -> None:
    config = configure()
    config.set_security_policy(DummySecurityPolicy(permissive=False))
    config.set_default_permission("view")
    config.set_default_csrf_options(require_csrf=True)
    config.add_route("page", "/page")
    config.add_view(lambda request: Response("page"), route_name="page")
    app = make_app(config)
    app.get("/page", status=403)
    assert app.post("/socket.io/").text == "POST"
    app.get("/socket.io/socket.io.js", status=404)


def closing_tween(handler: Any, registry: Any) -> Any:
    return lambda request: HTTPForbidden()


def test_the_application_may_refuse_before_the_engine_is_asked(requests: list[dict[str, Any]]) -> None:
    config = configure()
    config.add_tween(f"{__name__}.closing_tween")
    make_app(config).get("/socket.io/", status=403)
    assert requests == []


def add_page(config: Configurator, name: str, pattern: str, **kw: Any) -> None:
    config.add_route(name, pattern, **kw)
    config.add_view(lambda request: Response(name), route_name=name)


@pytest.mark.parametrize("include_first", [True, False])
@pytest.mark.parametrize("pattern", ["*remaining", "/{a}/*remaining"])
def test_a_catch_all_route_does_not_swallow_it(
    requests: list[dict[str, Any]], include_first: bool, pattern: str
) -> None:
    config = Configurator()
    if not include_first:
        add_page(config, "page", pattern)
    config.include("pyramid_socketio")
    if include_first:
        add_page(config, "page", pattern)
    config.add_socketio_context(SocketIOContext, "/")
    app = make_app(config)
    assert app.get("/socket.io/").text == "GET"
    assert app.get("/other/").text == "page"


@pytest.mark.parametrize("pattern", ["*remaining", "/{a}/*remaining"])
def test_without_contexts_the_applications_own_routes_come_first(pattern: str) -> None:
    # As in the original's first documentation: a view behind such a route calls socketio_manage.
    config = configure()
    add_page(config, "page", pattern)
    assert make_app(config).get("/socket.io/").text == "page"


@pytest.mark.parametrize("include_first", [True, False])
def test_the_applications_own_route_of_the_resource_comes_first(
    requests: list[dict[str, Any]], include_first: bool
) -> None:
    config = Configurator()
    add_page(config, "before", "/before")
    if not include_first:
        add_page(config, "own", "socket.io/*remaining", request_param="EIO=3")
    config.include("pyramid_socketio")
    if include_first:
        add_page(config, "own", "socket.io/*remaining", request_param="EIO=3")
    add_page(config, "after", "/*remaining")
    config.add_socketio_context(SocketIOContext, "/")
    app = make_app(config)
    assert app.get("/socket.io/?EIO=3").text == "own"
    assert app.get("/socket.io/?EIO=4").text == "GET", "what the own route does not take"
    app.get("/socket.io/socket.io.js", status=404)
    assert app.get("/before").text == "before"
    assert app.get("/socket.iox").text == "after"


# Under a server that cannot hold connections


def test_a_server_that_cannot(caplog: pytest.LogCaptureFixture) -> None:
    app = TestApp(configure().make_wsgi_app())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            response = app.get("/socket.io/?EIO=4&transport=polling", status=501)
    assert response.content_type == "text/plain"
    assert response.text == (
        "Socket.IO needs a server that can hold connections open: run `socketio-serve development.ini` instead.\n"
    )
    assert len(caplog.records) == 1
    assert "socketio-serve" in caplog.records[0].getMessage()
