"""Clients of other projects against our server: each check of each client in each mode is a test of its own.

All checks of one client in one mode run in one process, at the first of their tests; see ``checks.cjs`` and
``python_checks.py``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import ServerProcess

HERE = Path(__file__).parent
NODE_CHECKS = HERE / "checks.cjs"
PYTHON_CHECKS = HERE / "python_checks.py"

NODE_VERSIONS = ("3.1.3", "4.0.2", "4.8.4")
MODES = ("polling", "websocket", "upgrade")

#: Seconds for all checks of one client in one mode.
TIMEOUT = 100

pytestmark = pytest.mark.peer

Report = dict[str, Any]


def check_names(path: Path, pattern: str) -> list[str]:
    """The checks that a script defines, in their order."""
    return re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)


# Of the first table; the second one holds the check with the restart.
NODE_NAMES = [name for name in check_names(NODE_CHECKS, r"^  async (\w+)\(\) \{$") if name != "reconnect_after_restart"]
PYTHON_NAMES = check_names(PYTHON_CHECKS, r"^    (\w+),$")


def run_checks(*argv: str) -> dict[str, Report]:
    """Run a script with all its checks: name of the check -> its report."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
        output, problem = done.stdout, f"exit code {done.returncode}\n{done.stderr}"
    except subprocess.TimeoutExpired as late:
        output, problem = (late.stdout or b"").decode(), f"not done within {TIMEOUT} s"
    reports = [json.loads(line) for line in output.splitlines()]
    return {"": {"error": f"the check did not run: {problem}"}} | {report["check"]: report for report in reports}


def must_be_ok(reports: dict[str, Report], check: str) -> None:
    report = reports.get(check, {}) or {"ok": False, "error": reports[""]["error"]}
    if not report["ok"]:
        pytest.fail(report["error"], pytrace=False)


@pytest.fixture(scope="module")
def peer_server(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    # Heartbeats often enough to see some of them, the time-out long enough for a busy machine.
    return start_server("echo_app", socketio_ping_interval=0.5, socketio_ping_timeout=10)


@pytest.fixture(scope="module")
def reports(peer_server: ServerProcess) -> Callable[..., dict[str, Report]]:
    """Runs each client once in each mode."""
    known: dict[tuple[str, ...], dict[str, Report]] = {}

    def reports(*argv: str) -> dict[str, Report]:
        if argv not in known:
            known[argv] = run_checks(*argv, peer_server.url)
        return known[argv]

    return reports


@pytest.mark.parametrize("check", NODE_NAMES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", NODE_VERSIONS)
def test_official_client(reports: Callable[..., dict[str, Report]], version: str, mode: str, check: str) -> None:
    must_be_ok(reports("node", str(NODE_CHECKS), version, mode), check)


@pytest.mark.parametrize("check", PYTHON_NAMES)
@pytest.mark.parametrize("mode", MODES)
def test_python_client(reports: Callable[..., dict[str, Report]], mode: str, check: str) -> None:
    must_be_ok(reports(sys.executable, str(PYTHON_CHECKS), mode), check)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", NODE_VERSIONS)
def test_official_client_reconnects(server: Callable[..., ServerProcess], version: str, mode: str) -> None:
    process = server("echo_app")
    argv = ["node", str(NODE_CHECKS), version, mode, process.url, "restart"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        try:
            first = node.stdout.readline()
            if json.loads(first) == {"waiting": True}:
                process.restart()
                first = node.stdout.readline()
            must_be_ok({"reconnect_after_restart": json.loads(first)}, "reconnect_after_restart")
        finally:
            node.kill()


def test_all_checks_are_found() -> None:
    assert len(NODE_NAMES) > 20
    assert len(PYTHON_NAMES) > 10
