"""What the include adds for WebSocket views, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response
from webtest import TestApp

from pyramid_socketio.websocket import websocket, websocket_loop


def config(**settings: str) -> Configurator:
    config = Configurator(settings=settings)
    config.include("pyramid_socketio")
    return config


def url_view(request: Request) -> Response:
    return Response(request.websocket_url("room", "extra", name="blue", _query={"a": "ü"}))


@pytest.mark.parametrize(
    "environ, url",
    [
        ({}, "ws://example.com/room/blue/extra?a=%C3%BC"),
        ({"HTTP_HOST": "example.com:8080"}, "ws://example.com:8080/room/blue/extra?a=%C3%BC"),
        ({"wsgi.url_scheme": "https"}, "wss://example.com/room/blue/extra?a=%C3%BC"),
        ({"SCRIPT_NAME": "/app"}, "ws://example.com/app/room/blue/extra?a=%C3%BC"),
    ],
)
def test_websocket_url(environ: dict[str, str], url: str) -> None:
    configurator = config()
    configurator.add_route("room", "/room/{name}")
    configurator.add_route("url", "/url")
    configurator.add_view(url_view, route_name="url")
    environ = {"HTTP_HOST": "example.com", "wsgi.url_scheme": "http", **environ}
    app = TestApp(configurator.make_wsgi_app())
    assert app.get("/url", extra_environ=environ).text == url


@pytest.mark.parametrize("server", ["wss://ws.example.org", "wss://ws.example.org/", "ws://example.org:81/sockets"])
def test_a_server_of_their_own(server: str) -> None:
    configurator = config(**{"socketio.websocket_server": server})
    configurator.add_route("room", "/room/{name}")
    configurator.add_route("url", "/url")
    configurator.add_view(url_view, route_name="url")
    app = TestApp(configurator.make_wsgi_app())
    url = f"{server.rstrip('/')}/room/blue/extra?a=%C3%BC"
    assert app.get("/url", extra_environ={"SCRIPT_NAME": "/app"}).text == url


@pytest.mark.parametrize(
    ("server", "path"),
    [
        (None, "/app/room/blue/extra?a=%C3%BC#top"),
        ("wss://ws.example.org", "/room/blue/extra?a=%C3%BC#top"),
        ("ws://example.org:81/sockets", "/sockets/room/blue/extra?a=%C3%BC#top"),
    ],
)
def test_websocket_path(server: str | None, path: str) -> None:
    configurator = config(**({"socketio.websocket_server": server} if server else {}))
    configurator.add_route("room", "/room/{name}")
    configurator.add_view(
        lambda request: Response(
            request.websocket_path("room", "extra", name="blue", _query={"a": "ü"}, _anchor="top"),
        ),
    )
    assert TestApp(configurator.make_wsgi_app()).get("/", extra_environ={"SCRIPT_NAME": "/app"}).text == path


@pytest.mark.parametrize("server", ["https://ws.example.org", "ws.example.org", "wss://", "wss://a/?b"])
def test_what_is_no_server(server: str) -> None:
    with pytest.raises(ConfigurationError, match="socketio.websocket_server"):
        config(**{"socketio.websocket_server": server}).commit()


def test_websocket_url_of_an_unknown_route() -> None:
    configurator = config()
    configurator.add_route("url", "/url")
    configurator.add_view(url_view, route_name="url")
    with pytest.raises(KeyError, match="room"):
        TestApp(configurator.make_wsgi_app()).get("/url")


def test_the_predicate_chooses_between_two_views_of_one_url() -> None:
    configurator = config()
    configurator.add_route("both", "/")
    configurator.add_view(lambda request: Response("page"), route_name="both", websocket=False)
    configurator.add_view(lambda request: Response("socket"), route_name="both", websocket=True)
    app = TestApp(configurator.make_wsgi_app())
    assert app.get("/").text == "page"
    assert app.get("/", headers={"Upgrade": "WebSocket"}).text == "socket"
    assert app.get("/", headers={"Upgrade": "h2c"}).text == "page"


def test_two_views_with_the_same_predicate_conflict() -> None:
    configurator = config()
    configurator.add_view(lambda request: None, websocket=True)
    configurator.add_view(lambda request: None, websocket=True)
    with pytest.raises(ConfigurationError, match="Conflicting"):
        configurator.commit()


@pytest.mark.parametrize("value", ["true", 1])
def test_the_predicate_is_true_or_false(value: Any) -> None:
    configurator = config()
    configurator.add_view(lambda request: None, websocket=value)
    with pytest.raises(ConfigurationError, match="websocket must be True or False"):
        configurator.commit()


@pytest.mark.parametrize("headers", [{}, {"Upgrade": "websocket", "Connection": "Upgrade"}])
def test_another_server(headers: dict[str, str]) -> None:
    """WebTest is as little able to hold a connection as waitress."""

    @websocket
    def view(request: Request, websocket: Any) -> None:
        raise AssertionError("it cannot be called")

    configurator = config()
    configurator.add_view(view)
    answer = TestApp(configurator.make_wsgi_app()).get("/", headers=headers, status=501)
    assert "socketio-serve" in answer.text


@pytest.mark.parametrize("decorator", [websocket, websocket_loop, websocket(subprotocols=["chat.v1"])])
def test_a_view_that_a_call_does_not_run(decorator: Any) -> None:
    """A call of it runs nothing: the client would get its WebSocket, and lose it at once."""

    async def coroutine(request: Request, websocket: Any) -> None: ...

    def generator(request: Request, websocket: Any) -> Any:
        yield

    for view in (coroutine, generator):
        with pytest.raises(TypeError, match=f"{view.__name__} must not be `async def` nor contain `yield`"):
            decorator(view)
