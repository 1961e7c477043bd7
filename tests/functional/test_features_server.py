"""What webpy-socketio and gevent-socketio say of their server and its sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from tests.functional.classic import handshake
from tests.functional.raw import POLLING, WEBSOCKET, EngineSocket, request
from tests.functional.serving import ThreadServer


def echo(request: Any) -> Response:
    socketio = request.environ["socketio"]
    for message in socketio:
        socketio.send([socketio.session.session_id, message])
    return Response()


@pytest.fixture
def application() -> Any:
    """An application that does not include the package, so that all is up to the server."""
    with Configurator() as config:
        config.add_route("socket_io", "live/*remaining")
        config.add_view(echo, route_name="socket_io")
    return config.make_wsgi_app()


@pytest.mark.parametrize("resource", ["resource", "namespace"])
def test_the_arguments_of_gevent_socketio(application: Any, tmp_path: Path, resource: str) -> None:
    log_file = tmp_path / "access.log"
    options = {
        resource: "live",
        "log_file": str(log_file),
        "transports": ["xhr-polling", "jsonp-polling"],
        "heartbeat_interval": 7,
        "heartbeat_timeout": 3,
        "close_timeout": 9,
        "policy_server": True,
        "policy_listener": ("127.0.0.1", 0),
    }
    with ThreadServer(application, **options) as server:
        opened = request(server.port, "GET", "/live/?EIO=4&transport=polling").text
        assert '"pingInterval":7000' in opened and '"pingTimeout":3000' in opened and '"upgrades":[]' in opened
        assert handshake(server.port, "/live").transports == ["xhr-polling", "jsonp-polling"]
        assert request(server.port, "GET", "/live/?EIO=4&transport=websocket").json["code"] == 0
        (engine,) = server.server.engines
        assert engine.settings.close_timeout == 9
        assert server.server.policy_listener.server_host == "127.0.0.1"
    assert '127.0.0.1 "GET /live/" 400 ' in log_file.read_text()


def test_the_session_id_that_others_see_opens_nothing(application: Any) -> None:
    path = POLLING.replace("socket.io", "live")
    websocket = WEBSOCKET.replace("socket.io", "live")
    with ThreadServer(application) as server, EngineSocket(server.port, path=websocket) as client:
        client.emit("message", "hello")
        session_id, _ = client.event()[1]
        assert session_id == client.id
        answer = request(server.port, "GET", f"{path}&sid={session_id}")
        assert (answer.status, answer.json["message"]) == (400, "Session ID unknown")
        assert request(server.port, "POST", f"{path}&sid={session_id}", body=b"41").status == 400
        client.emit("message", "still here")
        assert client.event() == ["message", [session_id, "still here"]]
