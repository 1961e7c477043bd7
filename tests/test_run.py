"""Listening, signals, and what is served until one comes."""

from __future__ import annotations

import os
import signal
import socket
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from pyramid_socketio.errors import BindError
from pyramid_socketio.server import run


def test_bind_and_its_errors() -> None:
    with run.bind(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listener.gettimeout() == 0.0
        assert run.url_of(listener) == f"http://127.0.0.1:{port}"
        with pytest.raises(
            BindError, match=f"127.0.0.1:{port}: .*stop the program that uses the port, or give another port$"
        ):
            run.bind(("127.0.0.1", port))
    with pytest.raises(BindError, match="correct host and port"):
        run.bind(("host.invalid", 0))
    with run.bind(("0.0.0.0", 0)) as listener:
        assert run.url_of(listener).startswith("http://127.0.0.1:")


def test_url_of_an_ipv6_socket() -> None:
    class Listener:
        def getsockname(self) -> tuple[str, int, int, int]:
            return ("::1", 80, 0, 0)

    assert run.url_of(Listener()) == "http://[::1]:80"  # type: ignore[arg-type]


def test_stop_signals_put_the_old_handlers_back() -> None:
    earlier = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stopped: list[bool] = []
    with run.stop_signals(lambda: stopped.append(True)):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped == [True]
        # The next one ends the process at once.
        assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == earlier


def test_stop_signals_below_a_monitor() -> None:
    earlier = signal.getsignal(signal.SIGINT)
    stopped: list[bool] = []
    with run.stop_signals(lambda: stopped.append(True), monitored=True):
        assert signal.getsignal(signal.SIGINT) is earlier
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
    assert stopped == [True]


class RecordingServer:
    """In place of ``SocketIOServer``."""

    made: list[RecordingServer] = []

    def __init__(self, listener: socket.socket, application: object, **options: object) -> None:
        assert options.pop("backlog") is None
        self.listener, self.application, self.options = listener, application, options
        self.calls: list[str] = []
        self.policy_listener = types.SimpleNamespace(started=True, server_host="0.0.0.0", server_port=843)
        self.made.append(self)

    def start(self) -> None:
        self.calls.append("start")

    def shutdown(self) -> None:
        self.calls.append("shutdown")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RecordingServer]]:
    module: Any = types.ModuleType("pyramid_socketio.server.server")
    module.SocketIOServer = RecordingServer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield RecordingServer.made
    RecordingServer.made.clear()


def signal_myself(end: Callable[[], None]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def end_from_a_thread(end: Callable[[], None]) -> None:
    gevent.get_hub().threadpool.spawn(end)


@pytest.mark.parametrize("told", [signal_myself, end_from_a_thread])
def test_run_until_it_is_told(
    servers: list[RecordingServer], capsys: pytest.CaptureFixture[str], told: Callable[[Callable[[], None]], None]
) -> None:
    def on_start(end: Callable[[], None]) -> None:
        assert [server.calls for server in servers] == [["start"]] * 2
        told(end)

    listeners = [run.bind(("127.0.0.1", 0)), run.bind(("127.0.0.1", 0))]
    ports = [listener.getsockname()[1] for listener in listeners]
    run.run("app", listeners, {"resource": "x", "policy_server": True}, on_start=on_start)
    assert [server.calls for server in servers] == [["start", "shutdown"]] * 2
    assert [server.options for server in servers] == [{"resource": "x", "policy_server": True}, {"resource": "x"}]
    assert all(listener.fileno() == -1 for listener in listeners)
    assert capsys.readouterr().out.splitlines() == [
        *(f"Serving on 127.0.0.1:{port} (http://127.0.0.1:{port}) ..." for port in ports),
        "Flash policy server on 0.0.0.0:843",
    ]
