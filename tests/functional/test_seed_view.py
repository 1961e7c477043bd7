"""The original's way: a route and a view of the application's own, whose greenlet stays with the client.

After "New and hot, part 4: Pyramid, Socket.IO and Gevent" (2011); only ``print`` and the client are today's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from pyramid_socketio import ConnectRefused
from pyramid_socketio.io import SocketIOContext, socketio_manage
from tests.conftest import DEADLINE, ROOT, wait_for
from tests.functional.raw import (
    POLLING,
    UPGRADE,
    WEBSOCKET,
    Connection,
    EngineSocket,
    PollingSession,
    WebSocket,
    request,
)
from tests.functional.serving import ThreadServer

pytestmark = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the seed's handler reads /proc/stat")


class ConnectIOContext(SocketIOContext):
    # self.io is the Socket.IO socket
    # self.request is the request
    def msg_connect(self, msg: dict[str, Any]) -> None:
        self.msg("connected", hello="world", userid=msg["userid"])

        def sendcpu() -> None:
            """Calculate CPU utilization"""
            prev = None
            while True:
                with open("/proc/stat") as stat:
                    vals = list(map(int, [x for x in stat.readlines() if x.startswith("cpu ")][0].split()[1:5]))
                if prev:
                    percent = 100.0 * (sum(vals[:3]) - sum(prev[:3])) / ((sum(vals) - sum(prev)) or 1)
                    self.msg("showdata", point=percent)
                prev = vals
                gevent.sleep(0.01)

        self.spawn(sendcpu)

    def msg_wrong(self, msg: Any) -> None:
        self.error("my_code", "something is wrong")

    def msg_login(self, msg: Any) -> SocketIOContext:
        return self.switch(LoggedInContext)


class LoggedInContext(SocketIOContext):
    def msg_whoami(self, msg: Any) -> None:
        self.msg("you", path=self.request.path, remaining=self.request.matchdict["remaining"])

    def msg_logout(self, msg: Any) -> SocketIOContext | None:
        return self.kill(recursive=False)


class PickyContext(SocketIOContext):
    def connect(self) -> None:
        self.spawn(gevent.sleep, 1000)
        auth = self.request.environ["pyramid_socketio.auth"]
        if auth is None:
            raise HTTPForbidden("a secret")
        if auth["token"] != "open sesame":
            raise ConnectRefused("Wrong token")

    def msg_echo(self, msg: Any) -> None:
        self.send(msg)


#: Where each view has got to: "running", then what socketio_manage returned.
VIEWS: list[str] = []


def manage(context: SocketIOContext) -> Response:
    number = len(VIEWS)
    VIEWS.append("running")
    retval = socketio_manage(context)
    VIEWS[number] = retval
    return Response(retval)


# Socket.IO implementation
def socketio_service(request: Any) -> Response:
    return manage(ConnectIOContext(request))


def picky_service(request: Any) -> Response:
    return manage(PickyContext(request))


class Elsewhere(SocketIOContext):
    def msg_echo(self, *args: Any) -> Any:
        return args


def application(pattern: str, include: bool, view: Any = socketio_service, elsewhere: bool = False) -> Any:
    with Configurator(settings={}) as config:
        if include:
            config.include("pyramid_socketio")
        config.add_route("home", "/")
        config.add_route("socket_io", pattern)
        config.add_view(lambda request: Response("home"), route_name="home")
        config.add_view(view, route_name="socket_io")
        if elsewhere:
            config.add_socketio_context(Elsewhere, "/elsewhere")
    return config.make_wsgi_app()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((pattern, include), id=f"{pattern} {'with' if include else 'without'} include")
        for pattern in ("socket.io/*remaining", "*remaining")
        for include in (False, True)
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[ThreadServer]:
    with ThreadServer(application(*request.param)) as server:
        yield server


@pytest.fixture(autouse=True)
def views() -> list[str]:
    """Every view that an earlier test has called has ended."""
    wait_for(lambda: "running" not in VIEWS)
    VIEWS.clear()
    return VIEWS


class Upgraded(WebSocket):
    """A session that began with polling and goes on over a WebSocket."""

    def __init__(self, port: int) -> None:
        with PollingSession(port) as polling:
            self.id = polling.join()
            super().__init__(port, polling.websocket_path)
            self.send_text("2probe")
            assert self.receive_text() == "3probe"
            self.send_text("5")

    emit = EngineSocket.emit
    event = EngineSocket.event


@pytest.mark.parametrize("kind", [EngineSocket, Upgraded])
def test_the_client_of_the_article(server: ThreadServer, views: list[str], kind: Any, enter: Any) -> None:
    client = enter(kind(server.port))
    client.emit("message", {"type": "connect", "userid": 123})
    assert client.event() == ["message", {"type": "connected", "hello": "world", "userid": 123}]
    for _ in range(3):
        name, shown = client.event()
        assert (name, shown["type"]) == ("message", "showdata")
        assert 0 <= shown["point"] <= 100
    assert views == ["running"], "once for each client"
    client.send_text("41")
    wait_for(lambda: views == ["done"])
    assert server.failures == []


def test_polling(server: ThreadServer, views: list[str], enter: Any) -> None:
    client = enter(PollingSession(server.port))
    client.join()
    client.emit("message", {"type": "connect", "userid": 5})
    packets = client.poll().split("\x1e")
    assert json.loads(packets[0][2:]) == ["message", {"type": "connected", "hello": "world", "userid": 5}]
    assert "showdata" in client.poll()
    assert views == ["running"]
    client.post("1")
    wait_for(lambda: views == ["done"])


def test_error_and_switch(server: ThreadServer, enter: Any) -> None:
    client = enter(EngineSocket(server.port))
    client.emit("message", {"type": "wrong"})
    assert client.event()[1] == {"type": "error", "error": "my_code", "msg": "something is wrong"}
    client.emit("message", {"type": "whoami"})
    assert client.event()[1]["error"] == "unknown_command"
    client.emit("message", {"type": "login"})
    client.emit("message", {"type": "whoami"})
    said = client.event()[1]
    assert (said["type"], said["path"]) == ("you", "/socket.io/")
    client.emit("message", {"type": "logout"})
    client.emit("message", {"type": "whoami"})
    assert client.event()[1]["error"] == "unknown_command"


@pytest.mark.parametrize("join", [True, False])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_the_view_ends_with_the_client(server: ThreadServer, views: list[str], join: bool, end: str) -> None:
    client = EngineSocket(server.port, namespace="/" if join else None)
    assert views == ["running"]
    getattr(client, end)()
    wait_for(lambda: views == ["done"])
    with PollingSession(server.port) as polling:
        if join:
            polling.join()
        assert views == ["done", "running"]
        polling.post("1")
        wait_for(lambda: views == ["done", "done"])


def test_requests_that_open_nothing(server: ThreadServer, views: list[str]) -> None:
    assert request(server.port, "GET", "/socket.io/?EIO=4&transport=tobi").json["code"] == 0
    assert request(server.port, "GET", POLLING + "&sid=unknown").json["code"] == 1
    assert request(server.port, "POST", POLLING, body=b"").json["code"] == 2
    # A WebSocket that asks for polling is accepted, and closed at once.
    with WebSocket(server.port, POLLING) as client:
        assert client.close_code() == 1002
    assert (
        request(server.port, "GET", "/socket.io/?EIO=4&transport=polling", {**UPGRADE, "Upgrade": "h2c"}).status == 200
    )
    wait_for(lambda: views.count("running") == 1)
    server.call(lambda: [session.close("server") for session in tuple(server.sessions.values())])
    wait_for(lambda: "running" not in views)
    assert request(server.port, "GET", "/").text == "home"


def test_other_namespaces(enter: Any) -> None:
    for include in (False, True):
        with ThreadServer(application("socket.io/*remaining", include, elsewhere=include)) as server:
            client = enter(EngineSocket(server.port))
            client.send_text("40/elsewhere,")
            answer = client.receive_text()
            if include:
                assert answer.startswith('40/elsewhere,{"sid":')
                client.send_text('42/elsewhere,1["echo",5]')
                assert client.receive_text() == "43/elsewhere,1[5]"
            else:
                assert answer == '44/elsewhere,{"message":"Invalid namespace"}'
            # The view's context is taken once.
            client.send_text("41")
            client.send_text("40")
            assert client.receive_text() == '44{"message":"Invalid namespace"}'


def test_refusals_and_another_try(enter: Any, views: list[str]) -> None:
    with ThreadServer(application("socket.io/*remaining", False, view=picky_service)) as server:
        client = enter(EngineSocket(server.port, namespace=None))
        client.send_text("40")
        assert client.receive_text() == '44{"message":"Forbidden","data":{"status":403}}'
        client.send_text('40{"token":"x"}')
        assert client.receive_text() == '44{"message":"Wrong token"}'
        client.send_text('40{"token":"open sesame"}')
        assert client.receive_text().startswith('40{"sid":')
        client.emit("message", {"type": "echo"})
        assert client.event() == ["message", {"type": "echo"}]
        refused = EngineSocket(server.port, namespace=None)
        refused.send_text("40")
        refused.receive_text()
        refused.close()
        wait_for(lambda: views == ["running", "done"])
    assert views == ["done", "done"]


def test_false_is_a_refusal(views: list[str]) -> None:
    class Refusing(SocketIOContext):
        def connect(self) -> Any:
            return False

    def service(request: Any) -> Response:
        return manage(Refusing(request))

    with ThreadServer(application("socket.io/*remaining", False, view=service)) as server:
        with EngineSocket(server.port, namespace=None) as client:
            client.send_text("40")
            assert client.receive_text() == '44{"message":"Connection refused"}'


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_client_that_is_gone_before_the_view_answers(views: list[str], end: str) -> None:
    """Its session ends at once, not with the heartbeat."""

    def slow_service(request: Any) -> Response:
        wire = request.environ["pyramid_socketio.connection"].wire
        with gevent.Timeout(DEADLINE):
            while not wire.closed:
                gevent.sleep(0.001)
        return manage(ConnectIOContext(request))

    with ThreadServer(application("socket.io/*remaining", False, view=slow_service)) as server:
        client = Connection(server.port)
        client.ask("GET", WEBSOCKET, UPGRADE)
        getattr(client, end)()
        wait_for(lambda: views == ["done"])
        assert server.has_settled()
        assert server.failures == []


SCRIPT = """
from gevent import monkey
monkey.patch_all()

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid_socketio import SocketIOServer
from pyramid_socketio.io import SocketIOContext, socketio_manage

class ConnectIOContext(SocketIOContext):
    def msg_connect(self, msg):
        self.msg("connected", hello="world")

def socketio_service(request):
    retval = socketio_manage(ConnectIOContext(request))
    return Response(retval)

config = Configurator()
config.add_route("socket_io", "socket.io/*remaining")
config.add_view(socketio_service, route_name="socket_io")
application = config.make_wsgi_app()

if __name__ == "__main__":
    server = SocketIOServer(("127.0.0.1", 0), application, resource="socket.io")
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()
"""


def test_the_script_of_the_article(tmp_path: Path, enter: Any) -> None:
    script = tmp_path / "serve.py"
    script.write_text(SCRIPT)
    argv = [sys.executable, str(script)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}) as process:
        try:
            assert process.stdout is not None
            client = enter(EngineSocket(int(process.stdout.readline())))
            client.emit("message", {"type": "connect", "userid": 123})
            assert client.event() == ["message", {"type": "connected", "hello": "world"}]
        finally:
            process.kill()
            process.wait(DEADLINE)
