"""The scripts of the predecessors' documents, run as they stand there; only the port is another one.

What is changed is what Python 3 and Pyramid want: ``print``, and where an application comes from.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DEADLINE, ROOT, wait_for
from tests.functional.events import Six, Today
from tests.functional.raw import EngineSocket, request

#: webpy-socketio: ``main_app.py``.
MAIN_APP = """\
from pyramid.config import Configurator
from pyramid_socketio import SocketIOServer
from gevent import monkey
monkey.patch_all()
from pyramid_socketio import *

config = Configurator()
config.include("pyramid_socketio")
config.scan("handlers")

SOCKETIO_HOST = "127.0.0.1"
SOCKETIO_PORT = 8000


def announce(request):
    broadcast("my message")
    broadcast_channel("my message", request.params["channel"])
    send(request.params["session_id"], "my message")
    return {}


def nobody(request):
    try:
        broadcast_channel("my message", "room-without-anybody")
    except NoSocket as error:
        return {"nobody": str(error)}


for view in (announce, nobody):
    config.add_route(view.__name__, view.__name__)
    config.add_view(view, route_name=view.__name__, renderer="json")

application = config.make_wsgi_app()

if __name__ == "__main__":
    SocketIOServer((SOCKETIO_HOST, SOCKETIO_PORT), application, resource="socket.io").serve_forever()
"""

#: webpy-socketio: the handlers, which "can go anywhere".
HANDLERS = """\
from pyramid_socketio.events import on_message


@on_message
def my_message_handler(request, socket, context, message):
    socket.send({"nowhere": message})


@on_message(channel="dashboard")
def my_dashboard_handler(request, socket, context, message):
    socket.send_and_broadcast(message)


@on_message(channel="^room-")
def my_chat_handler(request, socket, context, message):
    socket.broadcast_channel("my message")
"""

#: The Django article: the runner.
RUNNER = """\
#!/usr/bin/env python

PORT = 9000

import os

os.environ['PYRAMID_SETTINGS'] = 'settings.ini'

from pyramid.paster import get_app
application = get_app(os.environ['PYRAMID_SETTINGS'])

from pyramid_socketio import SocketIOServer

if __name__ == '__main__':
    print('Listening on port %s and on port 843 (flash policy server)' % PORT)
    SocketIOServer(('', PORT), application, resource="").serve_forever()
"""


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """Closes the clients of a test."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """The scripts that run; killed in the end."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(DEADLINE)


@pytest.fixture
def run(tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> Callable[[str, str], tuple[int, Path]]:
    """``run(script, port)``: runs it on a free port instead of its own; that port, once it listens, and its output."""

    def start(script: str, own_port: str) -> tuple[int, Path]:
        assert script.count(own_port) == 1
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        (tmp_path / "script.py").write_text(script.replace(own_port, str(port)))
        output = tmp_path / "output"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "script.py"], cwd=tmp_path, env=environment, stdout=file, stderr=file
            )
        processes.append(process)

        def listens() -> bool:
            if process.poll() is not None:
                pytest.fail(f"the script ended with {process.returncode}:\n{output.read_text()}")
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens)
        return port, output

    return start


def test_the_main_script_of_webpy_socketio(run: Any, enter: Any, tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    port, output = run(MAIN_APP, "8000")
    six, today, admin = (enter(kind(port)) for kind in (Six, Today, Today))
    six.say({"hello": 1})
    assert six.hear() == {"nowhere": {"hello": 1}}
    today.emit("subscribe", "room-42", ack=1)
    assert today.receive_text() == "431[]"
    six.subscribe("room-42")
    six.say("knock")
    assert today.hear() == "my message"
    today.say("knock")
    assert six.hear() == "my message"
    admin.subscribe("dashboard")
    admin.say({"type": "cpu", "load": 0.5})
    for one in (six, today, admin):
        assert one.hear() == {"type": "cpu", "load": 0.5}
    assert request(port, "GET", f"/announce?channel=room-42&session_id={today.id}").json == {}
    assert [today.hear() for _ in range(3)] == ["my message"] * 3
    assert [six.hear() for _ in range(2)] == ["my message"] * 2
    assert admin.hear() == "my message"
    assert request(port, "GET", "/nobody").json.keys() == {"nobody"}
    assert "Traceback" not in output.read_text()


def test_the_runner_of_the_django_article(run: Any, enter: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text("[app:main]\nuse = call:tests.apps.buffer_chat_app:main\n")
    port, output = run(RUNNER, "9000")
    assert f"Listening on port {port} and on port 843 (flash policy server)\n" in output.read_text()
    first, second = enter(Today(port)), enter(Six(port))
    assert first.hear() == second.hear() == {"buffer": []}
    second_id = first.hear()["announcement"].removesuffix(" connected")
    second.say("hello")
    assert first.hear() == {"message": [second_id, "hello"]}
    assert request(port, "GET", "/").text == "home"
    second.close()
    assert first.hear() == {"announcement": f"{second_id} disconnected"}
    assert "Traceback" not in output.read_text()


#: A script of today, whose clients shall be told when it ends.
SERVES_FOREVER = """\
from gevent import monkey
monkey.patch_all()
import signal, sys
from pyramid.config import Configurator
from pyramid_socketio import SocketIOContext, SocketIOServer

class Chat(SocketIOContext):
    def disconnect(self):
        print("left:", self.disconnect_reason)

config = Configurator()
config.include("pyramid_socketio")
config.add_socketio_context(Chat, "/")
OWN
server = SocketIOServer(("127.0.0.1", 8000), config.make_wsgi_app())
SERVE
print("served")
"""


def serving_script(own: str = "", serve: str = "server.serve_forever()") -> str:
    return SERVES_FOREVER.replace("OWN", own).replace("SERVE", serve)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_ends_in_order(run: Any, enter: Any, processes: Any, number: int) -> None:
    port, output = run(serving_script(), "8000")
    client = enter(EngineSocket(port))
    (process,) = processes
    process.send_signal(number)
    assert client.close_code() == 1001
    assert process.wait(DEADLINE) == 0
    assert output.read_text().endswith("left: shutdown\nserved\n")


def test_a_script_with_a_handler_of_its_own_keeps_it(run: Any, enter: Any, processes: Any) -> None:
    port, output = run(serving_script("signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"), "8000")
    enter(EngineSocket(port))  # it serves
    (process,) = processes
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 3
    assert "served" not in output.read_text()


def test_a_handler_by_gevent_runs_besides(run: Any, enter: Any, processes: Any) -> None:
    own = "import gevent; gevent.signal_handler(signal.SIGTERM, print, 'own')"
    port, output = run(serving_script(own), "8000")
    client = enter(EngineSocket(port))
    (process,) = processes
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0
    assert client.close_code() == 1001
    lines = output.read_text().splitlines()  # behind warnings of others
    assert sorted(lines[-3:]) == ["left: shutdown", "own", "served"]


def test_a_signal_ends_a_script_that_serves_beside_its_main_part(run: Any, enter: Any, processes: Any) -> None:
    port, _ = run(serving_script(serve="import gevent; gevent.spawn(server.serve_forever); gevent.sleep(100)"), "8000")
    enter(EngineSocket(port))
    (process,) = processes
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == -signal.SIGTERM
