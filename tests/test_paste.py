"""The runners that ``pserve`` finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_socketio.server import paste

ROOT = Path(__file__).parent.parent


def test_runner_of_pserve(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    runs: list[tuple[Any, ...]] = []

    def run(*arguments: Any) -> None:
        runs.append(arguments)
        for listener in arguments[1]:
            listener.close()

    monkeypatch.setattr(paste, "run", run)
    assert paste.main is paste.sioserver
    paste.sioserver("app", {"here": "/"}, host="127.0.0.1", port="0", resource="socket.io", policy_server="false")
    ((app, listeners, options),) = runs
    assert app == "app"
    assert len(listeners) == 1
    assert options == {"resource": "socket.io", "policy_server": False}
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
        "from pyramid_socketio.server.patching import imported_too_early\n"
        "logging.basicConfig(format='%(message)s')\n"
        "paste.run = lambda app, listeners, options: print(app, monkey.is_module_patched('socket'))\n"
        "assert imported_too_early() == []\n"
        "paste.sioserver_patched('app', {}, port='0')\n"
        "assert 'early' in imported_too_early()\n"
        "assert 'harmless' not in imported_too_early()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "app True\n"
    assert "early" in done.stderr and "socketio-serve" in done.stderr
