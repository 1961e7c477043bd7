"""``compat.js`` in a page with the browser build of each generation of clients; see ``compat_checks.cjs``.

All checks of one client run in one process, at the first of their tests.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyramid_socketio

if TYPE_CHECKING:
    from conftest import ServerProcess

HERE = Path(__file__).parent
CHECKS = HERE / "compat_checks.cjs"
SCRIPT = Path(pyramid_socketio.__file__).parent / "static" / "compat.js"

OLD_VERSIONS = ("0.6.18", "0.7.11", "0.8.7", "0.9.17")
NEW_VERSIONS = ("1.0.6", "1.7.4", "2.0.4", "2.5.0", "3.1.3", "4.8.4")

#: Seconds for all checks of one client.
TIMEOUT = 100

pytestmark = pytest.mark.peer


def check_names(table: str) -> list[str]:
    """The checks of one table of the script, in their order."""
    found = re.search(
        rf"^const {table} = \{{\n(.*?)^\}};", CHECKS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None, table
    return re.findall(r"^  async (\w+)\(", found[1], re.MULTILINE)


CHANNELS = check_names("CHANNELS")
OF_ALL = [*CHANNELS, *check_names("WITHOUT_CLIENT")]
OF_NAMESPACES = check_names("NAMESPACES")
OF_NEW = [*check_names("SHIM"), *(f"shim_{name}" for name in CHANNELS)]

CASES = [
    *((version, check) for version in (*OLD_VERSIONS, *NEW_VERSIONS) for check in OF_ALL),
    *((version, check) for version in (*OLD_VERSIONS[1:], *NEW_VERSIONS) for check in OF_NAMESPACES),
    *((version, check) for version in NEW_VERSIONS for check in OF_NEW),
]


@cache
def reports(version: str, *url: str) -> dict[str, dict[str, Any]]:
    """Name of the check -> its report; ``""``: why a check may have none."""
    try:
        done = subprocess.run(
            ["node", str(CHECKS), version, str(SCRIPT), *url], capture_output=True, text=True, timeout=TIMEOUT
        )
        output, problem = done.stdout, f"exit code {done.returncode}\n{done.stderr}"
    except subprocess.TimeoutExpired as late:
        output, problem = (late.stdout or b"").decode(), f"not done within {TIMEOUT} s"
    # Clients print, too.
    found = [json.loads(line) for line in output.splitlines() if line.startswith('{"check"')]
    return {"": {"ok": False, "error": f"the check did not run: {problem}"}} | {each["check"]: each for each in found}


def must_be_ok(found: dict[str, dict[str, Any]], check: str) -> None:
    report = found.get(check, found[""])
    if not report["ok"]:
        pytest.fail(report["error"], pytrace=False)


@pytest.mark.parametrize(("version", "check"), CASES)
def test_compat(version: str, check: str) -> None:
    must_be_ok(reports(version), check)


@pytest.mark.parametrize("version", ["3.1.3", "4.8.4"])
def test_seed_page_and_real_server(server: Callable[..., ServerProcess], version: str) -> None:
    dist = HERE / "node_modules" / f"socket.io-client-{version}" / "dist"
    process = server("seed_app", socketio_client=dist)
    must_be_ok(reports(version, process.url), "seed_page_and_real_server")


def test_all_checks_are_found() -> None:
    assert (len(CHANNELS), len(OF_ALL), len(OF_NAMESPACES), len(OF_NEW)) == (6, 7, 1, 16)
