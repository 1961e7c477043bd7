"""``socketio-serve-reload`` as a user runs it: changes, mistakes, signals, and no connection refused meanwhile."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import DEADLINE, ROOT
from tests.functional.raw import EngineSocket, PollingSession

# The name of a view's answer has another length each time: Python's own cache of compiled modules looks at that too.
APPLICATION = """\
import os
from gevent.monkey import get_original
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid_socketio import SocketIOContext

class Chat(SocketIOContext):
    def disconnect(self):
        with open("left", "a") as file:
            file.write(self.disconnect_reason + "\\n")

class Clinging(SocketIOContext):
    def disconnect(self):
        # Not even greenlets run meanwhile.
        get_original("time", "sleep")(3600)

def main(global_conf, **settings):
    config = Configurator(settings=settings)
    config.include("pyramid_socketio")
    config.add_socketio_context(Chat, "/")
    config.add_socketio_context(Clinging, "/clinging")
    config.add_route("home", "/")
    config.add_view(lambda request: Response("%s " + str(os.getpid())), route_name="home")
    return config.make_wsgi_app()
"""

INI = """\
[app:main]
use = call:shop:main
[server:main]
use = egg:pyramid_socketio#main
port = 0
watch_files = *.yaml
"""


class Reloader:
    """A process of the command, and the application that it serves."""

    def __init__(self, directory: Path, *command: str) -> None:
        self.directory = directory
        self.write("one")
        (directory / "development.ini").write_text(INI)
        (directory / "texts.yaml").write_text("a")
        self.output_path = directory / "output"
        with self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "development.ini", "--reload-interval", "0.1"],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # So that a signal can be sent to the whole group, as a terminal does.
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.output_path.read_text()

    def write(self, answer: str) -> None:
        self.replace("shop.py", APPLICATION % answer)

    def replace(self, name: str, text: str) -> None:
        """Save as editors do: whoever reads has the old text or the new one."""
        path = self.directory / f".{name}"
        path.write_text(text)
        path.replace(self.directory / name)

    @property
    def port(self) -> int:
        (port,) = set(re.findall(r"\(http://127\.0\.0\.1:(\d+)\) \.\.\.$", self.output, re.M))
        return int(port)

    def get(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=2 * DEADLINE) as response:
            text: str = response.read().decode()
            return text

    def served(self) -> int:
        """How often a server has begun to serve."""
        return self.output.count("Serving on ")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Reloader]]:
    started: list[Reloader] = []

    def start(*command: str) -> Reloader:
        started.append(Reloader(tmp_path, *(command or ["pyramid_socketio.server.reload"])))
        return started[-1]

    yield start
    for reloader in started:
        # The server ends with its monitor.
        reloader.process.kill()
        reloader.process.wait(DEADLINE)


@pytest.fixture
def reloader(start: Callable[..., Reloader], eventually: Callable[..., object]) -> Reloader:
    reloader = start()
    eventually(reloader.served)
    return reloader


def gone(pid: int) -> bool:
    try:
        # A zombie that nobody has waited for yet is gone as well.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_no_connection_is_refused_while_the_server_restarts(
    reloader: Reloader, eventually: Callable[..., object]
) -> None:
    failures: list[Exception] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                reloader.get()
            except ConnectionResetError:
                # It was being answered when the server left; a client asks again.
                pass
            except Exception as error:
                if not isinstance(getattr(error, "reason", None), ConnectionResetError):
                    failures.append(error)

    pids = {reloader.get().split()[1]}
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for number, answer in enumerate(["two!", "three", "fourth"], 2):
            reloader.write(answer)
            eventually(lambda number=number: reloader.served() == number)
            text, pid = reloader.get().split()
            assert text == answer
            pids.add(pid)
    finally:
        done.set()
        thread.join(2 * DEADLINE)
    assert failures == []
    assert len(pids) == 4


def test_clients_are_told_before_the_server_restarts(reloader: Reloader, eventually: Callable[..., object]) -> None:
    with EngineSocket(reloader.port) as websocket, PollingSession(reloader.port) as polling:
        polling.join()
        polling.start_poll()
        reloader.write("two!")
        assert websocket.close_code() == 1001
        assert polling.finish_poll() == "1"
    eventually(lambda: reloader.served() == 2)
    assert (reloader.directory / "left").read_text().splitlines() == ["shutdown"] * 2
    assert reloader.get().startswith("two! ")


def test_a_disconnect_that_does_not_return_holds_nothing_up(
    reloader: Reloader, eventually: Callable[..., object]
) -> None:
    with EngineSocket(reloader.port, "/clinging"):
        reloader.write("two!")
        eventually(lambda: reloader.served() == 2)


def test_other_files_that_are_watched(reloader: Reloader, eventually: Callable[..., object]) -> None:
    reloader.replace("texts.yaml", "b")
    eventually(lambda: reloader.served() == 2)
    reloader.replace("development.ini", INI + "\n")
    eventually(lambda: reloader.served() == 3)


@pytest.mark.parametrize("mistake", ["def main(:\n", "import no_such_module\n"])
def test_a_mistake_waits_for_the_next_change(
    reloader: Reloader, eventually: Callable[..., object], mistake: str
) -> None:
    reloader.replace("shop.py", mistake)
    eventually(lambda: "exit code 1; waiting for a change" in reloader.output)
    assert "shop.py" in reloader.output
    assert reloader.process.poll() is None
    reloader.write("mended")
    eventually(lambda: reloader.served() == 2)
    assert reloader.get().startswith("mended ")


@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both(reloader: Reloader, number: signal.Signals, whole_group: bool) -> None:
    server = int(reloader.get().split()[1])
    if whole_group:
        os.killpg(reloader.process.pid, number)
    else:
        reloader.process.send_signal(number)
    assert reloader.process.wait(DEADLINE) == 0, reloader.output
    assert gone(server)
    assert "Traceback" not in reloader.output


def test_the_server_ends_when_the_monitor_is_killed(reloader: Reloader, eventually: Callable[..., object]) -> None:
    server = int(reloader.get().split()[1])
    reloader.process.kill()
    eventually(lambda: gone(server), 2.0)


def test_the_option_of_socketio_serve_is_the_same(
    start: Callable[..., Reloader], eventually: Callable[..., object]
) -> None:
    reloader = start("pyramid_socketio.server.serve", "--reload")
    eventually(reloader.served)
    assert int(reloader.get().split()[1]) != reloader.process.pid
    # What patches is not even loaded.
    assert "gevent" not in Path(f"/proc/{reloader.process.pid}/maps").read_text()
    reloader.write("two!")
    eventually(lambda: reloader.served() == 2)


def test_watching_without_a_monitor(start: Callable[..., Reloader], eventually: Callable[..., object]) -> None:
    reloader = start("pyramid_socketio.server.serve", "--watch")
    eventually(reloader.served)
    reloader.write("two!")
    assert reloader.process.wait(DEADLINE) == 3
