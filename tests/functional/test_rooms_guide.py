"""The section of the guide about rooms: its sample runs, and every call that it names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from pyramid_socketio import SocketIOContext
from pyramid_socketio.addressing import Server, Target
from tests.functional.raw import EngineSocket, request
from tests.functional.serving import ThreadServer

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
SECTION = GUIDE[GUIDE.index("## Rooms, and sending from anywhere") :].split("\n## ")[0]


class Policy:
    def authenticated_userid(self, request: Request) -> str | None:
        name: str | None = request.headers.get("X-User")
        return name

    identity = authenticated_userid

    def permits(self, request: Request, context: object, permission: str) -> bool:
        return True


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadServer]:
    sample = re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)
    assert sample is not None
    (tmp_path / "rooms_sample.py").write_text(sample[1])
    monkeypatch.syspath_prepend(tmp_path)
    with Configurator() as config:
        config.set_security_policy(Policy())
        config.include("pyramid_socketio")
        config.add_route("publish", "/publish")
        config.scan("rooms_sample")
    with ThreadServer(config.make_wsgi_app()) as server:
        yield server


def test_the_sample(server: ThreadServer) -> None:
    with (
        EngineSocket(server.port, headers={"X-User": "anna"}) as anna,
        EngineSocket(server.port) as ben,
        EngineSocket(server.port) as carla,
    ):
        anna.emit("enter", {"room": "news"}, ack=1)
        assert anna.receive_text() == "431[]"
        ben.emit("message", {"type": "enter", "room": "news"})
        assert anna.event() == ["message", {"type": "came", "id": ben.id}]
        ben.emit("say", {"room": "news", "text": "hi"})
        assert anna.event() == ["message", {"type": "said", "text": "hi"}]
        assert request(server.port, "GET", "/publish?text=read").json == {"readers": 2}
        assert ben.event() == ["message", {"type": "said", "text": "read"}]
        assert anna.event() == ["message", {"type": "said", "text": "read"}]
        assert anna.event() == ["mail", 1]
        carla.emit("enter", {"room": "news"})
        assert ben.event() == anna.event() == ["message", {"type": "came", "id": carla.id}]
    assert server.failures == []


def test_the_calls_exist() -> None:
    def named(pattern: str) -> set[str]:
        return set(re.findall(pattern, SECTION))

    of_context, of_target, of_server = named(r"`self\.(\w+)"), named(r"`\.(\w+)"), named(r"`s\.(\w+)")
    assert len(of_context) > 5 and len(of_target) > 8 and len(of_server) > 3
    assert {name for name in of_context if not hasattr(SocketIOContext, name)} == set()
    assert {name for name in of_target if not hasattr(Target, name)} == set()
    assert {name for name in of_server if not hasattr(Server, name)} == set()
