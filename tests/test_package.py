"""What is promised to those who install and import the package."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pyramid_socketio

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pyramid_socketio"

#: What an application may import from the top level, as the README and the documentation write it.
TOP_LEVEL = {
    "AckTimeout",
    "ConnectRefused",
    "SocketIOContext",
    "SocketIOServer",
    "includeme",
    "message",
    "require_connection",
    "socketio_context",
    "socketio_manage",
}


def setup_arguments() -> dict[str, ast.expr]:
    """The keywords of the ``setup()`` call; read, not run: that would build something."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setup"
    )
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def literal(name: str) -> object:
    return ast.literal_eval(setup_arguments()[name])


def test_python_floor_is_the_one_that_the_tools_check_against() -> None:
    assert literal("python_requires") == ">=3.10"
    tools = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'target-version = "py310"' in tools
    assert 'python_version = "3.10"' in tools


def test_dependencies() -> None:
    requirements = literal("install_requires")
    assert isinstance(requirements, list)
    names = {requirement.split(";")[0].split(">")[0].strip() for requirement in requirements}
    assert names == {"pyramid", "gevent", "gevent-websocket", "paste", "pastedeploy", "orjson"}


def test_entry_points_lead_to_callables() -> None:
    # In a process of its own: importing `serve` patches the standard library.
    groups = literal("entry_points")
    assert isinstance(groups, dict)
    targets = [line.split("=")[1].strip() for lines in groups.values() for line in lines]
    assert len(targets) == 5
    script = """
import sys
from importlib import import_module
for target in sys.argv[1:]:
    module, name = target.split(":")
    assert callable(getattr(import_module(module), name)), target
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *targets], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_wheel_holds_the_package_and_nothing_else() -> None:
    packages = setup_arguments()["packages"]
    assert ast.unparse(packages) == "find_packages(include=['pyramid_socketio', 'pyramid_socketio.*'])"
    # A directory without __init__.py would be missing in the wheel without a word.
    for module in PACKAGE.rglob("*.py"):
        assert (module.parent / "__init__.py").is_file(), f"{module.parent} has no __init__.py"


def test_type_hints_are_announced() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert literal("package_data") == {"pyramid_socketio": ["py.typed", "*.pyi", "static/*.js", "templates/*"]}


def test_top_level_exports() -> None:
    exported = set(pyramid_socketio.__all__)
    assert TOP_LEVEL <= exported
    assert len(pyramid_socketio.__all__) == len(exported)
    for name in exported:
        assert getattr(pyramid_socketio, name) is not None
    assert exported <= set(dir(pyramid_socketio))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pyramid_socketio.nonsense


def test_old_import_path() -> None:
    old = import_module("pyramid_socketio.io")
    for name in ("SocketIOContext", "require_connection", "socketio_manage"):
        assert getattr(old, name) is getattr(pyramid_socketio, name)
    assert issubclass(old.SocketIOKeyAssertError, old.SocketIOError)


def test_import_patches_nothing() -> None:
    script = """
import socket, threading, pyramid_socketio
for name in pyramid_socketio.__all__:
    getattr(pyramid_socketio, name)
from gevent import monkey
assert not monkey.is_module_patched("socket") and not monkey.is_module_patched("threading")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_public_modules_say_what_they_export() -> None:
    """Whoever reads a module sees at its top what others may use."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        public = [
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        ]
        lists = [
            node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        assert lists or not public, f"{path.relative_to(ROOT)} defines {public} and has no __all__"


# Only these: to import others is to patch the standard library.
@pytest.mark.parametrize("module", sorted(path.stem for path in (PACKAGE / "protocol").glob("*.py")))
def test_the_public_names_exist(module: str) -> None:
    found = import_module(f"pyramid_socketio.protocol.{module}".removesuffix(".__init__"))
    assert all(hasattr(found, name) for name in getattr(found, "__all__", ()))


def test_the_extension_is_built() -> None:
    try:
        import_module("pyramid_socketio._speedups")
    except ImportError as error:
        pytest.fail(f"{error}: apt-get install gcc python3-dev, then remove .venv and run scripts/test again")


def test_without_a_compiler_it_installs(tmp_path: Path) -> None:
    for name in ("setup.py", "README.md", "pyproject.toml", "LICENSE.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "pyramid_socketio", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tmp_path,
        env={**os.environ, "CC": "no-such-compiler"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert built.returncode == 0, built.stderr
    assert "no-such-compiler" in built.stderr
    assert not list((tmp_path / "pyramid_socketio").glob("*.so"))


@pytest.mark.slow
def test_without_the_extension_it_serves() -> None:
    run = """if True:
        import sys
        sys.modules["pyramid_socketio._speedups"] = None
        import pytest, pyramid_socketio.evented.wire as wire, pyramid_socketio.protocol.websocket as websocket
        assert wire.send_all is wire._send_all_in_python
        assert websocket.unmask is websocket._unmask_in_python
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
    """
    modules = ["tests/functional/test_websocket_transport.py", "tests/functional/test_mixed_revisions.py"]
    done = subprocess.run([sys.executable, "-c", run, *modules], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
