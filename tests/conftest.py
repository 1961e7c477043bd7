"""What tests of real servers share: waiting with a deadline, and servers in a process of their own.

Under ``CI=true`` a test that is skipped fails the run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

# Not the name of a test: without this, what fails there would not say which values it has compared.
pytest.register_assert_rewrite("tests.adapters")

ROOT = Path(__file__).parent.parent

#: Every deadline of the tests in seconds, for a machine of ordinary speed; ``TEST_TIME_SCALE`` stretches it.
DEADLINE = 10.0 * float(os.environ.get("TEST_TIME_SCALE", "1"))

T = TypeVar("T")


def wait_for(condition: Callable[[], T], timeout: float = DEADLINE) -> T:
    """Call ``condition`` until its result is true; that result.

    Args:
        timeout: seconds, after which the test fails. ``AssertionError`` in ``condition`` counts as not yet.
    """
    end = time.monotonic() + timeout
    while True:
        late = time.monotonic() > end
        try:
            if result := condition():
                return result
        except AssertionError:
            if late:
                raise
        if late:
            raise AssertionError(f"not so within {timeout:g} s: {getattr(condition, '__qualname__', condition)}")
        time.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[..., object]:
    """``eventually(condition, timeout=...)``: waits until the condition is true, and gives its result."""
    return wait_for


class ServerProcess:
    """One of ``tests/apps``, served by a process of its own on 127.0.0.1.

    Args:
        app: name of the module.
        log_path: where everything goes that the process prints.
        settings: of the application, or ``port``; ``socketio_ping_interval=1`` is ``socketio.ping_interval = 1``.
    """

    def __init__(self, app: str, log_path: Path, **settings: object) -> None:
        self.app = app
        self.log_path = log_path
        self.settings = {re.sub("^socketio_", "socketio.", key): str(value) for key, value in settings.items()}
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start the process; done when its socket listens."""
        earlier = self.log_path.stat().st_size if self.log_path.exists() else 0
        argv = [
            sys.executable,
            "-m",
            "tests.apps",
            self.app,
            *(f"{key}={value}" for key, value in self.settings.items()),
        ]
        with self.log_path.open("ab") as output:
            self.process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

        def listening() -> re.Match[str] | None:
            if self.process.poll() is not None:
                pytest.fail(f"the server ended with {self.process.returncode}:\n{self.log}")
            return re.compile(r"^port (\d+)$", re.MULTILINE).search(self.log, earlier)

        try:
            self.port = int(wait_for(listening)[1])
        except BaseException:
            self.kill()
            raise

    def stop(self) -> int:
        """Ask the process to end, as an operator would; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the server did not end within {DEADLINE:g} s of SIGTERM:\n{self.log}")

    def kill(self) -> None:
        """End the process at once: its clients hear nothing."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def restart(self) -> None:
        """Kill the process and start another one on the same port."""
        self.kill()
        self.settings["port"] = str(self.port)
        self.start()


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """As ``server``, for fixtures that live longer than one test."""
    running: list[ServerProcess] = []

    def start(app: str = "echo_app", **settings: object) -> ServerProcess:
        process = ServerProcess(app, tmp_path_factory.mktemp("server") / "log", **settings)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()


@pytest.fixture
def server(start_server: Callable[..., ServerProcess]) -> Iterator[Callable[..., ServerProcess]]:
    """``server(app="echo_app", **settings) -> ServerProcess``; asked to end after the test, and has to do so with 0."""
    mine: list[ServerProcess] = []

    def start(app: str = "echo_app", **settings: object) -> ServerProcess:
        mine.append(start_server(app, **settings))
        return mine[-1]

    yield start
    for process in mine:
        # One that the test has stopped itself has its exit code already looked at.
        if process.process.poll() is None:
            assert process.stop() == 0, process.log


NEEDS = {
    "peer": lambda: shutil.which("node") and (ROOT / "tests/peers/node_modules").is_dir(),
    "browser": lambda: shutil.which("chromium") and shutil.which("chromedriver"),
    "redis": lambda: shutil.which("redis-server"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here; `scripts/test` installs it."""
    missing = [marker for marker, there in NEEDS.items() if not there()]
    for item in items:
        for marker in missing:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"what {marker} tests need is not installed: run scripts/test"))


class NoSkips:
    """Fails a run in which something was skipped: continuous integration has to have everything."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which fails the run because of CI=true", red=True)
            for nodeid in self.skipped:
                terminalreporter.line(nodeid)


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI") == "true":
        config.pluginmanager.register(NoSkips())
