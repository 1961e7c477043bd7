"""The section of the guide about proxies: with its filter, scheme, host and address are those that browsers see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyramid.config import Configurator
from pyramid.paster import get_app
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

from pyramid_socketio import SocketIOContext
from tests.functional.raw import EngineSocket, request
from tests.functional.serving import ThreadServer

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
SECTION = GUIDE[GUIDE.index("## Behind a proxy") :]
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example", "X-Forwarded-For": "192.0.2.7"}
POLLING = "/socket.io/?EIO=4&transport=polling"


class Who(SocketIOContext):
    def msg_who(self) -> str:
        return f"{self.request.remote_addr} {self.request.route_url('page')}"


def page(request: Request) -> Response:
    return Response(request.websocket_url("page"))


def main(global_config: dict[str, str], **settings: str) -> Router:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Who, "/")
        config.add_route("page", "/")
        config.add_view(page, route_name="page")
        return config.make_wsgi_app()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadServer]:
    sample = re.search(r"```ini\n(.*?)```", SECTION, re.DOTALL)
    assert sample is not None
    ini = tmp_path / "production.ini"
    ini.write_text(sample[1].replace("egg:yourapp", f"call:{__name__}:main"))
    with ThreadServer(get_app(str(ini))) as server:
        yield server


def test_urls(server: ThreadServer) -> None:
    assert request(server.port, "GET", "/", FORWARDED).text == "wss://chat.example/"


def test_the_origin_of_the_pages_is_the_servers_own(server: ThreadServer) -> None:
    headers = {**FORWARDED, "Origin": "https://chat.example"}
    sid = json.loads(request(server.port, "GET", POLLING, headers).text[1:])["sid"]
    assert request(server.port, "POST", f"{POLLING}&sid={sid}", headers, b"40").text == "ok"
    assert request(server.port, "GET", f"{POLLING}&sid={sid}", headers).text.startswith("40{")
    assert request(server.port, "GET", POLLING, {**headers, "Origin": "http://chat.example"}).status == 403
    with EngineSocket(server.port, headers=headers) as client:
        client.emit("who", ack=1)
        assert client.receive_text() == '431["192.0.2.7 https://chat.example/"]'
