"""The benchmark runs: a short measurement of our own server, which needs neither npm nor the peers."""

from __future__ import annotations

import json
import shutil
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
    done = bench("--quick", "--servers", "ours", "--rows", "echo1,broadcast,churn,memory,polling", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())
    assert list(rows) == ["echo1", "broadcast", "churn", "memory", "polling"]
    for row in rows.values():
        (measurement,) = row["measurements"]["ours"]
        assert measurement["cost"] > 0
        assert not row["failures"]
    assert rows["broadcast"]["floor"] > 0
    assert rows["echo1"]["floor"] is None
    assert "echo, 100 clients, 1 in flight" in done.stdout
    assert "the kernel's send alone: " in done.stdout
    assert "memory of 1,000 idle WebSocket clients" in done.stdout, "as many as --quick allows"


@pytest.mark.slow
def test_15000_idle_clients_have_a_broadcast_within_2_seconds() -> None:
    """One process; the driver's ``--check`` holds the limit."""
    done = bench("--quick", "--check", "--servers", "ours", "--idle", "15000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15,000 clients" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["2", "0.9", "0.6"])
def test_compares_an_older_revision_with_todays(tmp_path: Path, revision: str) -> None:
    file = tmp_path / "figures.json"
    names = [f"{load}-{revision}" for load in ("echo", "broadcast", "polling")]
    done = bench("--quick", "--rows", ",".join(names), "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())
    assert list(rows) == names
    for row in rows.values():
        assert list(row["measurements"]) == ["ours", "today"]
        assert row["ratios"]["today"]["cost"] > 0


@pytest.mark.slow
def test_compares_many_rooms_with_fewer(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = bench("--quick", "--rows", "rooms", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    row = json.loads(file.read_text())["rooms"]
    assert list(row["measurements"]) == ["ours", "fewer"]
    assert row["ratios"]["fewer"]["cost"] > 0
    assert "1,000 clients" in done.stdout


def test_help_installs_nothing(tmp_path: Path) -> None:
    for name in ("bench", "lib.sh"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    shutil.copytree(ROOT / "scripts/benchmark", tmp_path / "scripts/benchmark", ignore=shutil.ignore_patterns("node_*"))
    done = subprocess.run(["scripts/bench", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "--revisions" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["scripts"]


def test_the_rows_of_the_older_revisions_have_an_option() -> None:
    done = bench("--rows", "echo1", "--revisions")
    assert done.returncode == 2
    assert "argument --revisions: not allowed with argument --rows" in done.stderr


def test_an_unknown_row_is_refused() -> None:
    done = bench("--rows", "echo1,nonsense")
    assert done.returncode == 2
    assert "'nonsense' is none of: echo1" in done.stderr
