"""WebSocket views as django-gevent-websocket offers them: an application of them alone, forms, any decorator."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import colander
import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from pyramid_socketio.websocket import get_websocket_app, websocket, websocket_loop
from tests.functional.raw import POLLING, UPGRADE, WEBSOCKET, EngineSocket, WebSocket, request
from tests.functional.serving import ThreadServer

INI = """
[app:main]
use = call:tests.apps.websockets_app:main

[app:other]
use = call:tests.apps.%(app)s:main
"""


def test_an_application_of_websockets_alone(tmp_path: Path) -> None:
    """``websocket = get_websocket_app("development.ini")``, beside the server of the pages."""
    ini = tmp_path / "development.ini"
    ini.write_text(INI)
    with ThreadServer(get_websocket_app(str(ini))) as server:
        for path in ("/chat/", "/echo/", "/nowhere", POLLING):
            answer = request(server.port, "GET", path)
            assert answer.status == 426
            assert answer.headers["upgrade"] == "websocket"
            assert answer.headers["connection"] == "Upgrade"
            assert answer.headers["sec-websocket-version"] == "13, 8, 7"
        assert request(server.port, "GET", "/nowhere", UPGRADE).status == 404
        with WebSocket(server.port, "/echo/") as client:
            client.send_text("hello")
            assert client.receive_text() == "hello"


def test_a_named_application_with_variables(tmp_path: Path) -> None:
    ini = tmp_path / "development.ini"
    ini.write_text(INI)
    with ThreadServer(get_websocket_app(str(ini), "other", {"app": "echo_app"})) as server:
        assert request(server.port, "GET", POLLING).status == 426
        with EngineSocket(server.port) as client:  # Socket.IO, by its WebSocket, is one
            client.emit("echo", "hello")
            assert client.event() == ["echo", "hello"]
        assert request(server.port, "GET", WEBSOCKET).status == 426


# A framework's forms


class ChatForm(colander.Schema):
    user = colander.SchemaNode(colander.String(), validator=colander.Length(max=20))
    colour = colander.SchemaNode(colander.String(), validator=colander.Regex("^#[0-9a-f]{6}$", "Not a colour"))


@websocket_loop
def rename(request: Any, websocket: Any, message: str) -> None:
    try:
        form = ChatForm().deserialize(json.loads(message))
    except colander.Invalid as invalid:
        websocket.send(json.dumps({"errors": invalid.asdict()}))
    else:
        websocket.send(json.dumps({"hello": form["user"]}))


# A framework's decorators


def not_on_sundays(view: Callable[..., Any]) -> Callable[..., Any]:
    """Knows requests and responses, and nothing of WebSockets."""

    @wraps(view)
    def guarded(request: Any) -> Any:
        if request.params.get("day") == "sunday":
            raise HTTPForbidden("not on sundays")
        response = view(request)
        assert isinstance(response, Response)
        return response

    return guarded


@not_on_sundays
@websocket
def view_function(request: Any, websocket: Any, *args: Any, **kwargs: Any) -> None:
    """As the document has it."""
    websocket.send(json.dumps([request.params["day"], args, kwargs]))


@pytest.fixture(scope="module")
def server() -> Any:
    with Configurator() as config:
        config.include("pyramid_socketio")
        config.add_route("rename", "/rename")
        config.add_view(rename, route_name="rename")
        config.add_route("room", "/room/{name}")
        config.add_view(view_function, route_name="room")
    with ThreadServer(config.make_wsgi_app()) as running:
        yield running


def test_a_form_judges_each_message(server: ThreadServer) -> None:
    with WebSocket(server.port, "/rename") as client:
        client.send_text(json.dumps({"user": "Anna", "colour": "red"}))
        assert json.loads(client.receive_text()) == {"errors": {"colour": "Not a colour"}}
        client.send_text(json.dumps({"user": "A" * 21, "colour": "#ff0000"}))
        assert json.loads(client.receive_text()) == {"errors": {"user": "Longer than maximum length 20"}}
        client.send_text(json.dumps({"user": "Anna", "colour": "#ff0000"}))
        assert json.loads(client.receive_text()) == {"hello": "Anna"}


def test_the_arguments_of_a_view_behind_any_decorator(server: ThreadServer) -> None:
    with WebSocket(server.port, "/room/blue?day=monday") as client:
        assert json.loads(client.receive_text()) == ["monday", [], {"name": "blue"}]
        assert client.close_code() == 1000
    refused = request(server.port, "GET", "/room/blue?day=sunday", UPGRADE)
    assert (refused.status, "upgrade" in refused.headers) == (403, False)
    assert server.failures == []
