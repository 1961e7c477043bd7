"""The benchmark runs: a short measurement of our own server, which needs neither npm nor the peers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the driver as scripts/bench does."""
    return subprocess.run(
        [sys.executable, "scripts/benchmark", *options], cwd=ROOT, capture_output=True, text=True, timeout=100
    )


@pytest.mark.slow
def test_measures_our_server(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = bench("--quick", "--servers", "ours", "--rows", "echo1,churn,memory,polling", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())
    assert list(rows) == ["echo1", "churn", "memory", "polling"]
    for row in rows.values():
        (measurement,) = row["measurements"]["ours"]
        assert measurement["cost"] > 0
        assert not row["failures"]
    assert "echo, 100 clients, 1 in flight" in done.stdout
    assert "memory of 1,000 idle WebSocket clients" in done.stdout, "as many as --quick allows"


@pytest.mark.slow
def test_15000_idle_clients_have_a_broadcast_within_2_seconds() -> None:
    """One process; the driver's ``--check`` holds the limit."""
    done = bench("--quick", "--check", "--servers", "ours", "--idle", "15000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15,000 clients" in done.stdout


def test_an_unknown_row_is_refused() -> None:
    done = bench("--rows", "echo1,nonsense")
    assert done.returncode == 2
    assert "'nonsense' is none of: echo1" in done.stderr
