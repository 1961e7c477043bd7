"""Which requests take the express lane, and by whose word about scheme and host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext
from tests.functional.classic import Polling06, Polling09, Socket06, Socket09
from tests.functional.raw import POLLING, PollingSession, request
from tests.functional.serving import ThreadServer


def application(**settings: Any) -> Any:
    with Configurator(settings={f"socketio.{key}": value for key, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(SocketIOContext, "/")
        return config.make_wsgi_app()


def behind_tls(app: Any) -> Any:
    """What a filter does that trusts the proxy in front."""

    def filtered(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.url_scheme"] = "https"
        environ["HTTP_HOST"] = "chat.example"
        return app(environ, start_response)

    return filtered


@pytest.mark.parametrize(
    ("prefix", "resource"),
    [
        ("websocket", "socket.io"),
        ("xhr-polling/x", "socket.io"),
        ("1", "socket.io"),
        ("socket.io", "socket.io"),
        ("jsonp-polling", "websocket"),
        ("x", "1"),
    ],
)
def test_names_that_old_clients_use_themselves(prefix: str, resource: str) -> None:
    below = f"/{prefix}/{resource}"

    def mounted(environ: dict[str, Any], start_response: Any) -> Any:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = f"/{prefix}", environ["PATH_INFO"].removeprefix(f"/{prefix}")
        return app(environ, start_response)

    app = application(resource=resource)
    with ThreadServer(mounted) as server:
        with Polling09(server.port, resource=below) as client:
            assert client.poll() == ["1::"]
        with Socket09(server.port, resource=below):
            pass
        with Polling06(server.port, resource=below), Socket06(server.port, resource=below):
            pass
        with PollingSession(server.port, f"{below}/?EIO=4&transport=polling") as today:
            today.join()


def test_junk_paths_leave_nothing_behind() -> None:
    with ThreadServer(application()) as server:
        for number in range(300):
            assert request(server.port, "GET", f"/socket.io/{number}?EIO=9&transport=polling").status >= 400
        (engine,) = server.server.engines
        assert engine.paths == set()
        for number in range(300):
            request(server.port, "GET", f"/socket.io/{number}?EIO=4&transport=polling")
        assert len(engine.paths) <= 100


def test_an_unknown_session_is_answered_without_the_application() -> None:
    asked: list[str] = []
    app = application()

    def counted(environ: dict[str, Any], start_response: Any) -> Any:
        asked.append(environ["QUERY_STRING"])
        return app(environ, start_response)

    with ThreadServer(counted) as server:
        with PollingSession(server.port):
            pass
        before = len(asked)
        response = request(server.port, "GET", "/socket.io/?EIO=4&transport=polling&sid=nobody")
        assert (response.status, response.body) == (400, b'{"code":1,"message":"Session ID unknown"}')
        assert len(asked) == before


def test_two_applications_on_the_same_path() -> None:
    """A dispatcher gives each host its application, and each has its own sessions."""
    apps = {f"{name}.example": application() for name in "ab"}

    def by_host(environ: dict[str, Any], start_response: Any) -> Any:
        return apps[environ["HTTP_HOST"]](environ, start_response)

    with ThreadServer(by_host) as server:
        paths = {}
        for host in apps:
            opened = request(server.port, "GET", POLLING, {"Host": host})
            paths[host] = f"{POLLING}&sid={json.loads(opened.text[1:])['sid']}"
        for host, path in paths.items():
            assert request(server.port, "POST", path, {"Host": host}, b"40").status == 200
            assert request(server.port, "GET", path, {"Host": host}).text.startswith("40{")
            unknown = request(server.port, "GET", f"{POLLING}&sid=nobody", {"Host": host})
            assert (unknown.status, unknown.json["code"]) == (400, 1)


def test_the_origin_is_judged_as_at_the_handshake() -> None:
    """A filter in front of the application knows scheme and host; the server itself does not."""
    own, other = {"Origin": "https://chat.example"}, {"Origin": "http://127.0.0.1"}
    with ThreadServer(behind_tls(application())) as server:
        opened = request(server.port, "GET", "/socket.io/?EIO=4&transport=polling", own)
        assert opened.status == 200
        sid = opened.body.split(b'"sid":"')[1].split(b'"')[0].decode()
        path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        assert request(server.port, "POST", path, own, b"40").status == 200
        assert request(server.port, "POST", path, other, b"40").status == 403
