"""What the .ini file and the command line say about serving, and what is served then."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.scripts.common import get_config_loader
from pyramid.scripts.pserve import PServeCommand

from pyramid_socketio.errors import BindError
from pyramid_socketio.server import paste

ROOT = Path(__file__).parent.parent


# The server section


@pytest.mark.parametrize(
    ("values", "overrides", "addresses"),
    [
        ({}, {}, [("127.0.0.1", 6543)]),
        ({"use": "egg:waitress#main", "host": "0.0.0.0", "port": "80"}, {}, [("0.0.0.0", 80)]),
        ({"host": "*", "port": "80"}, {}, [("0.0.0.0", 80)]),
        ({"listen": "127.0.0.1:80 [::1]:81"}, {}, [("127.0.0.1", 80), ("::1", 81)]),
        ({"host": "a", "port": "80"}, {"port": "81"}, [("a", 81)]),
        ({"host": "a", "port": "80"}, {"host": "b"}, [("b", 80)]),
        ({"listen": "a:80 b:80"}, {"port": "81"}, [("a", 81)]),
    ],
)
def test_addresses(values: dict[str, str], overrides: dict[str, str], addresses: list[tuple[str, int]]) -> None:
    assert paste.parse_section(values, overrides).addresses == tuple(addresses)


def test_options_are_converted() -> None:
    section = paste.parse_section(
        {
            "resource": "socket.io",
            "transports": "websocket, xhr-polling",
            "heartbeat_interval": "5",
            "policy_server": "true",
            "policy_listener_port": "10843",
            "watch_files": "a b.txt\n*.yaml",
        }
    )
    assert section.options == {
        "resource": "socket.io",
        "transports": ["websocket", "xhr-polling"],
        "heartbeat_interval": 5.0,
        "policy_server": True,
        "policy_listener_port": 10843,
    }
    assert section.watch_files == ("a b.txt", "*.yaml")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prot": "1"}, "'prot'"),
        ({"port": "http"}, "port http"),
        ({"port": "65536"}, "port 65536"),
        ({"listen": "8080"}, "listen = 8080"),
        ({"listen": "a:1", "port": "2"}, "listen beside"),
        ({"policy_listener_port": "x"}, "policy_listener_port = x"),
    ],
)
def test_bad_values(values: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        paste.parse_section(values)


@pytest.fixture
def ini(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "development.ini"
        path.write_text(text)
        return str(path)

    return write


def test_command_line_before_environment_before_section(
    ini: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = ini("[server:main]\nhost = a\nport = 1\n[pserve]\nwatch_files = %(here)s/x.yaml\n")
    section = paste.read_section(uri, None, {})
    assert section.addresses == (("a", 1),)
    assert section.watch_files == (str(Path(uri).with_name("x.yaml")),)
    monkeypatch.setenv("SOCKETIO_PORT", "2")
    assert paste.read_section(uri, None, {}).addresses == (("a", 2),)
    monkeypatch.setenv("SOCKETIO_HOST", "b")
    assert paste.read_section(uri, None, {"port": "3"}).addresses == (("b", 3),)


def test_named_section_and_variables(ini: Callable[[str], str]) -> None:
    uri = ini("[server:main]\n[server:other]\nport = %(http_port)s\n")
    assert paste.read_section(f"{uri}#any", "other", {"http_port": "7"}).addresses == (("127.0.0.1", 7),)
    with pytest.raises(ConfigurationError, match=r"\[server:missing\]"):
        paste.read_section(uri, "missing", {})


# The command line


def test_options_of_pserve_are_taken() -> None:
    argv = ["a.ini#x", "k=v", "-n", "app", "--server-name", "s", "-b", "--reload", "--reload-interval", "2", "-v"]
    ours = vars(paste.parse_arguments("socketio-serve", argv))
    theirs = vars(PServeCommand(["pserve", *argv]).args)
    for name in ("config_uri", "config_vars", "app_name", "server_name", "browser", "reload", "verbose"):
        assert ours[name] == theirs[name]
    assert ours["variables"] == {"k": "v"}
    assert paste.parse_arguments("socketio-serve", ["a.ini", "-q", "k=v"]).verbose == 0
    assert paste.parse_arguments("socketio-serve", ["a.ini"]).verbose == 1


@pytest.mark.parametrize("argv", [[], ["a.ini", "novalue"], ["a.ini", "--nonsense"]])
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        paste.parse_arguments("socketio-serve", argv)
    assert caught.value.code == 2
    assert "usage: socketio-serve" in capsys.readouterr().err


def test_internal_options_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        paste.parse_arguments("socketio-serve", ["--help"])
    text = capsys.readouterr().out
    assert "--browser" in text
    assert not any(option in text for option in ("--watch", "--fd", "--monitor"))


# Errors


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An importable module ``shop`` with right and wrong application factories."""
    (tmp_path / "shop.py").write_text(
        "from pyramid.config import Configurator\n"
        "from pyramid.exceptions import ConfigurationError\n"
        "def main(global_conf, **settings):\n"
        "    return Configurator(settings=settings).make_wsgi_app()\n"
        "def misconfigured(global_conf, **settings):\n"
        "    raise ConfigurationError('socketio.ping_interval = x: no number')\n"
        "def late(global_conf, **settings):\n"
        "    config = Configurator()\n"
        "    config.action('x', misconfigured, ({},))\n"
        "    return config.make_wsgi_app()\n"
        "def broken(global_conf, **settings):\n"
        "    import no_such_module\n"
    )
    (tmp_path / "typo.py").write_text("def main(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("shop", "typo"):
        sys.modules.pop(name, None)


def load_error(uri: str, name: str | None = None) -> BaseException:
    with pytest.raises(Exception) as caught:
        get_config_loader(uri).get_wsgi_app(name, {})
    # Without this function, which is none of the frames that loading has.
    return caught.value.with_traceback(caught.tb.tb_next)


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("egg:no_such_distribution", "cannot be imported"),
        ("call:no_such_module:main", "cannot be imported"),
        ("call:shop:missing", "cannot be imported"),
        ("egg:pyramid#missing", "Entry point 'missing'"),
        ("call:shop:misconfigured", "socketio.ping_interval"),
        ("call:shop:late", "socketio.ping_interval"),
        ("call:shop:broken", None),
        ("call:typo:main", None),
    ],
)
def test_what_cannot_be_loaded_is_explained(ini: Callable[[str], str], use: str, words: str | None) -> None:
    uri = ini(f"[app:main]\nuse = {use}\n")
    sentence = paste.explain(load_error(uri), uri)
    if words is None:
        assert sentence is None
    else:
        assert sentence is not None and words in sentence and "\n" not in sentence


def test_what_cannot_be_read_is_explained(ini: Callable[[str], str]) -> None:
    uri = ini("no section\n")
    assert "is not a correct .ini file" in str(paste.explain(load_error(uri), uri))
    uri = ini("[app:main]\nuse = egg:pyramid\n")
    assert "--app-name" in str(paste.explain(load_error(uri, "other"), uri))
    missing = str(Path(uri).with_name("missing.ini"))
    assert "missing.ini: no such file" in str(paste.explain(load_error(missing), missing))
    assert "x.yaml" in str(paste.explain(load_error("x.yaml"), "x.yaml"))


# Listening and serving


def test_bind_and_its_errors() -> None:
    with paste.bind(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listener.gettimeout() == 0.0
        assert paste.url_of(listener) == f"http://127.0.0.1:{port}"
        with pytest.raises(BindError, match=f"127.0.0.1:{port}: .*stop the program"):
            paste.bind(("127.0.0.1", port))
    with pytest.raises(BindError, match="correct host and port"):
        paste.bind(("host.invalid", 0))
    with paste.bind(("0.0.0.0", 0)) as listener:
        assert paste.url_of(listener).startswith("http://127.0.0.1:")


def test_url_of_an_ipv6_socket() -> None:
    class Listener:
        def getsockname(self) -> tuple[str, int, int, int]:
            return ("::1", 80, 0, 0)

    assert paste.url_of(Listener()) == "http://[::1]:80"  # type: ignore[arg-type]


def test_stop_signals_put_the_old_handlers_back() -> None:
    earlier = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stopped: list[bool] = []
    with paste.stop_signals(lambda: stopped.append(True)):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped == [True]
        # The next one ends the process at once.
        assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == earlier


def test_stop_signals_below_a_monitor() -> None:
    earlier = signal.getsignal(signal.SIGINT)
    stopped: list[bool] = []
    with paste.stop_signals(lambda: stopped.append(True), monitored=True):
        assert signal.getsignal(signal.SIGINT) is earlier
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
    assert stopped == [True]


class RecordingServer:
    """In place of ``SocketIOServer``; the first one asks the process to end, as soon as all have started."""

    made: list[RecordingServer] = []

    def __init__(self, listener: socket.socket, application: object, **options: object) -> None:
        assert options.pop("backlog") is None
        self.listener, self.application, self.options = listener, application, options
        self.calls: list[str] = []
        self.policy_listener = types.SimpleNamespace(started=True, server_host="0.0.0.0", server_port=843)
        self.made.append(self)

    def start(self) -> None:
        self.calls.append("start")
        if self is self.made[0]:
            gevent.get_hub().loop.run_callback(os.kill, os.getpid(), signal.SIGTERM)

    def shutdown(self) -> None:
        self.calls.append("shutdown")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RecordingServer]]:
    module: Any = types.ModuleType("pyramid_socketio.server.server")
    module.SocketIOServer = RecordingServer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield RecordingServer.made
    RecordingServer.made.clear()


def test_run_until_a_signal_comes(servers: list[RecordingServer], capsys: pytest.CaptureFixture[str]) -> None:
    listeners = [paste.bind(("127.0.0.1", 0)), paste.bind(("127.0.0.1", 0))]
    ports = [listener.getsockname()[1] for listener in listeners]
    paste.run("app", listeners, {"resource": "x", "policy_server": True})
    assert [server.calls for server in servers] == [["start", "shutdown"]] * 2
    assert [server.options for server in servers] == [{"resource": "x", "policy_server": True}, {"resource": "x"}]
    assert all(listener.fileno() == -1 for listener in listeners)
    assert capsys.readouterr().out.splitlines() == [
        *(f"Serving on 127.0.0.1:{port} (http://127.0.0.1:{port}) ..." for port in ports),
        "Flash policy server on 0.0.0.0:843",
    ]


def test_runner_of_pserve(
    servers: list[RecordingServer], caplog: pytest.LogCaptureFixture, ini: Callable[[str], str]
) -> None:
    assert paste.main is paste.sioserver
    paste.sioserver("app", {"here": "/"}, host="127.0.0.1", port="0", resource="socket.io", policy_server="false")
    (server,) = servers
    assert server.application == "app"
    assert server.options == {"resource": "socket.io", "policy_server": False}
    assert "socketio-serve" in caplog.text
    with pytest.raises(ConfigurationError, match="'prot'"):
        paste.sioserver("app", {}, prot="80")


def test_patching_late_names_what_came_earlier(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text("from time import sleep\n")
    (tmp_path / "harmless.py").write_text("import time, socket\n")
    script = (
        "import logging, early, harmless, time\n"
        "from gevent import monkey\n"
        "from pyramid_socketio.server import paste\n"
        "logging.basicConfig(format='%(message)s')\n"
        "paste.run = lambda app, listeners, options: print(app, monkey.is_module_patched('socket'))\n"
        "assert paste.imported_too_early() == []\n"
        "paste.sioserver_patched('app', {}, port='0')\n"
        "assert 'early' in paste.imported_too_early()\n"
        "assert 'harmless' not in paste.imported_too_early()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "app True\n"
    assert "early" in done.stderr and "socketio-serve" in done.stderr
