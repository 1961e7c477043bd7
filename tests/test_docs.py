"""What the documentation says is what runs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyramid_socketio.settings import settings_page
from pyramid_socketio.testing import TestClient

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "guide.md").read_text()


def block(language: str, text: str = README) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_settings_page_is_the_table() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), (
        "run: python -m pyramid_socketio.settings > docs/settings.md"
    )


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_exist() -> None:
    for command in re.findall(r"`?(scripts/\w+)`?", README):
        assert os.access(ROOT / command, os.X_OK), command


def collected(path: Path) -> Iterator[str]:
    """The tests of a module, as their ids have them behind the path."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from (f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef))


def test_the_tables_of_features_name_tests_that_exist() -> None:
    text = (ROOT / "docs" / "features.md").read_text()
    rows = [row for row in re.findall(r"^\| (.*) \| (.*) \| (.*)\|$", text, re.MULTILINE) if row[2] != "test "]
    assert len(rows) > 100
    for offered, here, column in rows:
        tests = re.findall(r"`([\w/]+\.py)::([\w:]+)`", column)
        assert tests or "not built yet" in here or "deployment" in here, offered
        assert column.strip() == ", ".join(f"`{path}::{name}`" for path, name in tests), offered
        assert len(tests) == len(set(tests)), f"a test twice: {offered}"
        for path, name in tests:
            assert name in collected(ROOT / "tests" / path), f"{offered}: {path}::{name}"
    for table in text.split("\n## ")[1:]:
        offers = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
        assert len(offers) == len(set(offers)), "a row twice"


#: What the guide leaves out of the application that it tests.
MAIN = """

from pyramid.config import Configurator


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.add_route("publish", "/publish")
        config.scan(__name__)
        return config.make_wsgi_app()
"""


def test_the_guide_tests_its_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = {section.split("\n")[0]: section for section in GUIDE.split("\n## ")}
    (tmp_path / "yourapp.py").write_text(block("python", sections["Rooms, and sending from anywhere"]) + MAIN)
    monkeypatch.syspath_prepend(tmp_path)
    sample: dict[str, Any] = {}
    exec(block("python", sections["Testing"]), sample)
    try:
        sample["test_who_hears_whom"]()
        client = TestClient(sample["main"]({}))
    finally:
        del sys.modules["yourapp"]
    calls = set(re.findall(r"`\.(\w+)", sections["Testing"]))
    assert len(calls) > 8
    assert {name for name in calls if not hasattr(client, name)} == set()


@pytest.mark.peer
def test_the_ten_and_the_five_lines_run_as_printed(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "node is missing: install Node.js"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # The port is the only thing that is changed: 6543 may be somebody's.
    (tmp_path / "app.py").write_text(block("python").replace("6543", port))
    (tmp_path / "client.js").write_text(block("js").replace("6543", port))
    modules = ROOT / "tests" / "peers" / "node_modules"
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "socket.io-client").symlink_to(modules / "socket.io-client-4.8.4")
    server = subprocess.Popen([sys.executable, "app.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    client = None
    try:
        assert server.stdout is not None
        assert "Serving on" in server.stdout.readline()
        environment = {**os.environ, "NODE_PATH": str(modules)}
        client = subprocess.Popen([node, "client.js"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment)
        assert client.stdout is not None
        assert client.stdout.readline() == "said hello\n"
    finally:
        if client is not None:
            client.kill()
            client.wait(5)
        server.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        server.kill()
        assert server.wait(5) == 0
        for process in (client, server):
            if process is not None and process.stdout is not None:
                process.stdout.close()
