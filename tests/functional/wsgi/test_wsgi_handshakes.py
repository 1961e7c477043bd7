"""Handshakes are ordinary requests: what Pyramid does for one, and one connection for everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound
from pyramid.response import Response

from pyramid_socketio import SocketIOContext
from tests.conftest import wait_for
from tests.functional.raw import (
    POLLING,
    TEXT,
    UPGRADE,
    WEBSOCKET,
    Connection,
    EngineSocket,
    PollingSession,
    encode_request,
    request,
)
from tests.functional.serving import ThreadServer
from tests.functional.wsgi_app import for_one_test


class Plain(SocketIOContext):
    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)


def cookies(handler: Any, registry: Any) -> Any:
    """A tween that does what session and authentication policies do."""

    def tween(request: Any) -> Any:
        if request.params.get("user") == "nobody":
            return HTTPForbidden("not you")
        if request.params.get("user") == "elsewhere":
            return HTTPFound("/login")
        if request.params.get("user") == "broken":
            raise RuntimeError("a secret detail")
        request.add_response_callback(lambda request, response: response.set_cookie("session", "abc"))
        return handler(request)

    return tween


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with Configurator() as config:
        config.include("pyramid_socketio")
        config.add_tween(f"{__name__}.cookies")
        config.add_socketio_context(Plain, "/")
        config.add_route("page", "/")
        config.add_view(lambda request: Response("a page"), route_name="page")
    with ThreadServer(config.make_wsgi_app()) as serving:
        yield serving


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


def test_cookies_of_the_application(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        assert websocket.handshake.headers["set-cookie"] == "session=abc; Path=/"
    answer = request(server.port, "GET", POLLING)
    assert (answer.status, answer.headers["set-cookie"]) == (200, "session=abc; Path=/")
    # Not on the express lane: the application is not asked there.
    with PollingSession(server.port) as session:
        session.start_poll()
        session.post("40")
        assert "set-cookie" not in session.gets.response().headers


@pytest.mark.parametrize(("user", "status"), [("nobody", 403), ("elsewhere", 302)])
@pytest.mark.parametrize("path", [POLLING, WEBSOCKET])
def test_a_tween_refuses(server: ThreadServer, path: str, user: str, status: int) -> None:
    with Connection(server.port) as client:
        answer = client.request("GET", f"{path}&user={user}", UPGRADE if path == WEBSOCKET else None)
        assert answer.status == status
        assert answer.headers.get("location", "").endswith("/login" if status == 302 else "")
        assert "upgrade" not in answer.headers
        # It is still HTTP on this connection.
        assert client.request("GET", "/").body == b"a page"


def test_a_tween_fails(server: ThreadServer) -> None:
    answer = request(server.port, "GET", f"{WEBSOCKET}&user=broken", UPGRADE)
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert len(wait_for(lambda: server.failures)) == 1
    server.forget()


def test_one_connection_for_everything(server: ThreadServer) -> None:
    with Connection(server.port) as client:
        assert client.request("GET", "/").body == b"a page"
        opened = client.request("GET", POLLING).text
        path = f"{POLLING}&sid={opened.split(chr(34))[3]}"
        assert client.request("POST", path, None, b"40").body == b"ok"
        assert client.request("GET", path).text.startswith("40{")
        assert client.request("GET", "/").body == b"a page"
        client.ask("GET", WEBSOCKET, UPGRADE)
        assert client.response().status == 101
        assert client.read(1)[0] == 0x80 | TEXT


def test_requests_in_advance_on_the_express_lane(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        session.posts.send(
            b"".join(
                encode_request("POST", session.path, None, b"4" + body)
                for body in (b"0", b'2["echo",1]', b'2["echo",2]')
            )
            + encode_request("GET", "/")
        )
        assert [session.posts.response().body for _ in range(4)] == [b"ok", b"ok", b"ok", b"a page"]
        packets: list[str] = []
        while len(packets) < 3:
            packets += session.poll().split("\x1e")
        assert packets[1:] == ['42["echo",1]', '42["echo",2]']
