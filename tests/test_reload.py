"""What the monitor of ``socketio-serve-reload`` decides, without servers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pyramid_socketio.server import reload, watch
from pyramid_socketio.server.command import parse_arguments


class ScriptedMonitor(reload.Monitor):
    """Instead of running servers it takes their exit codes, or calls what stands for a server, from a list."""

    def __init__(self, config: Path, servers: list[int | Callable[[], int]]) -> None:
        argv = [str(config), "--reload-interval", "0.001"]
        super().__init__(parse_arguments("socketio-serve-reload", argv), argv)
        self.servers = servers
        self.seen: list[list[socket.socket]] = []

    def _run_server(self) -> int:
        self.seen.append(list(self.listeners.values()))
        server = self.servers.pop(0)
        return server if isinstance(server, int) else server()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "development.ini"
    path.write_text("[server:main]\nport = 0\n")
    return path


def test_a_change_restarts_on_the_same_socket(config: Path) -> None:
    monitor = ScriptedMonitor(config, [3, 3, 0])
    assert monitor.run() == 0
    assert len(monitor.seen) == 3
    assert monitor.seen[0] == monitor.seen[1] == monitor.seen[2]
    assert monitor.seen[0][0].fileno() == -1


def test_a_crash_waits_for_a_change(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            (config.parent / "views.py").write_text("x = 1\n")

    monkeypatch.setattr(reload.time, "sleep", sleep)
    assert ScriptedMonitor(config, [1, 0]).run() == 0
    assert waits == 3
    assert "exit code 1; waiting for a change" in capsys.readouterr().err


def test_a_change_while_the_server_crashes_counts(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = config.parent / "views.py"
    source.write_text("x = (\n")

    def server() -> int:
        source.write_text("x = ()\n")
        return -signal.SIGSEGV

    monkeypatch.setattr(reload.time, "sleep", lambda seconds: pytest.fail("waits for what has happened"))
    assert ScriptedMonitor(config, [server, 0]).run() == 0
    assert "SIGSEGV" in capsys.readouterr().err


def test_another_port_in_the_file_is_taken(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

    def server() -> int:
        config.write_text(f"[server:main]\nport = {port}\n")
        return 3

    def second() -> int:
        with socket.create_connection(("127.0.0.1", port)):
            return 0

    assert ScriptedMonitor(config, [server, second]).run() == 0


def test_a_wrong_file_ends_the_first_start_only(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def server() -> int:
        config.write_text("[server:main]\nprot = 0\n")
        return 3

    monkeypatch.setattr(reload.time, "sleep", lambda seconds: config.write_text("[server:main]\nport = 0\n"))
    assert ScriptedMonitor(config, [server, 0]).run() == 0
    assert "'prot'" in capsys.readouterr().err
    config.write_text("[server:main]\nprot = 0\n")
    assert ScriptedMonitor(config, []).run() == 1


@pytest.mark.parametrize(("code", "result"), [(0, 0), (-signal.SIGTERM, 0), (3, 0), (1, 1)])
def test_a_signal_ends_it(config: Path, code: int, result: int) -> None:
    def server() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return code

    assert ScriptedMonitor(config, [server]).run() == result


def test_a_signal_ends_the_waiting(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload.time, "sleep", lambda seconds: os.kill(os.getpid(), signal.SIGINT))
    assert ScriptedMonitor(config, [1, 1]).run() == 0


def test_files_of_others_are_not_watched(tmp_path: Path) -> None:
    for name in ("app/a.py", "app/a.txt", ".git/b.py", "node_modules/c.py", "env/pyvenv.cfg", "env/d.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert set(watch.sources(tmp_path)) == {str(tmp_path / "app/a.py")}


@pytest.mark.parametrize("uri", ["dev.ini", "dev.ini#name"])
def test_path_of_the_file(uri: str) -> None:
    assert watch.config_path(uri) == Path.cwd() / "dev.ini"


def test_the_browser_opens_what_the_file_says(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(reload, "open_browser", opened.append)
    for more in ("", "[pserve]\nopen_url = https://shop.example/\n"):
        config.write_text(f"[server:main]\nport = 0\n{more}")
        monitor = ScriptedMonitor(config, [0])
        monitor.arguments.browser = True
        assert monitor.run() == 0
    assert opened[0].startswith("http://127.0.0.1:")
    assert opened[1:] == ["https://shop.example/"]
