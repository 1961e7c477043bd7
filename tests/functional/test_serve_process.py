"""``socketio-serve`` as a user runs it: a process, an .ini file, signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import DEADLINE, ROOT

APPLICATION = """\
from pyramid.config import Configurator
from pyramid.response import Response

def main(global_conf, **settings):
    config = Configurator(settings=settings)
    config.add_route("home", "/")
    config.add_view(lambda request: Response(settings.get("answer", "plain")), route_name="home")
    return config.make_wsgi_app()

def broken(global_conf, **settings):
    raise RuntimeError("of the application")
"""

INI = """\
[app:main]
use = call:shop:main

[app:named]
use = call:shop:main
answer = %(name)s

[app:broken]
use = call:shop:broken

[server:main]
use = egg:pyramid_socketio#main
host = 127.0.0.1
port = 0

[server:policy]
port = 0
policy_server = true
policy_listener_host = 127.0.0.1
policy_listener_port = 0

[server:two]
listen = 127.0.0.1:0 127.0.0.1:0
"""


class Command:
    """A process of the command, in a directory of its own."""

    def __init__(self, directory: Path, *argv: str) -> None:
        self.output_path = directory / "output"
        with self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pyramid_socketio.server.serve", *argv],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self.output_path.read_text()

    def urls(self) -> list[str]:
        return re.findall(r"^Serving on 127\.0\.0\.1:\d+ \((http://127\.0\.0\.1:\d+)\) \.\.\.$", self.output, re.M)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    (tmp_path / "shop.py").write_text(APPLICATION)
    (tmp_path / "development.ini").write_text(INI)
    commands: list[Command] = []

    def start(*argv: str) -> Command:
        commands.append(Command(tmp_path, *argv))
        return commands[-1]

    yield start
    for command in commands:
        command.process.kill()
        command.process.wait(DEADLINE)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE) as response:
        text: str = response.read().decode()
        return text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_a_signal(
    start: Callable[..., Command], eventually: Callable[..., list[str]], number: signal.Signals
) -> None:
    command = start("development.ini")
    (url,) = eventually(command.urls)
    assert get(url) == "plain"
    command.process.send_signal(number)
    assert command.process.wait(DEADLINE) == 0, command.output
    assert "Traceback" not in command.output


def test_named_application_and_variables(start: Callable[..., Command], eventually: Callable[..., list[str]]) -> None:
    for argv in (["development.ini#named", "name=of the fragment"], ["development.ini", "name=x", "-n", "named"]):
        command = start(*argv)
        (url,) = eventually(command.urls)
        assert get(url) == argv[1].partition("=")[2]


def test_several_addresses(start: Callable[..., Command], eventually: Callable[..., list[str]]) -> None:
    command = start("development.ini", "--server-name", "two")
    urls = eventually(lambda: len(found := command.urls()) == 2 and found)
    assert [get(url) for url in urls] == ["plain", "plain"]
    command.process.terminate()
    assert command.process.wait(DEADLINE) == 0, command.output


def test_a_taken_port(start: Callable[..., Command]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = start("development.ini", f"port={port}")
        assert command.process.wait(DEADLINE) == 1
    # A warning of Pyramid's own imports may come first.
    assert command.output.splitlines()[-1].startswith(f"socketio-serve: cannot listen on 127.0.0.1:{port}: ")
    assert command.output.count("socketio-serve: ") == 1


def test_an_error_of_the_application_has_its_traceback(start: Callable[..., Command]) -> None:
    command = start("development.ini#broken")
    assert command.process.wait(DEADLINE) == 1
    assert command.output.endswith("RuntimeError: of the application\n")
    assert "shop.py" in command.output


def test_flash_policy_on_both_ports(start: Callable[..., Command], eventually: Callable[..., list[str]]) -> None:
    command = start("development.ini", "--server-name", "policy")
    (policy_port,) = eventually(
        lambda: re.findall(r"^Flash policy server on 127\.0\.0\.1:(\d+)$", command.output, re.M)
    )
    (url,) = command.urls()
    main_port = url.rpartition(":")[2]
    for port in (policy_port, main_port):
        with socket.create_connection(("127.0.0.1", int(port)), timeout=DEADLINE) as sock:
            sock.sendall(b"<policy-file-request/>\0")
            with sock.makefile("rb") as reader:
                answer = reader.read()
        assert answer.endswith(b"</cross-domain-policy>\0")
        # No origin is allowed, so nobody is.
        assert b"allow-access-from" not in answer
    assert get(url) == "plain"


def test_quiet(start: Callable[..., Command], eventually: Callable[..., bool]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    command = start("development.ini", "-q", f"port={port}")

    def answers() -> bool:
        try:
            return get(f"http://127.0.0.1:{port}") == "plain"
        except OSError:
            return False

    eventually(answers)
    command.process.terminate()
    assert command.process.wait(DEADLINE) == 0
    # Nothing of ours; a warning of Pyramid's own imports may be there.
    assert "Serving" not in command.output
    assert "pyramid_socketio" not in command.output
