"""Imports go down only: the layers of the package as a table, and a check of every import against it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_socketio.protocol.revisions import NAMES

PACKAGE = Path(__file__).parent.parent / "pyramid_socketio"

#: From top to bottom; a module may import from its own row and from the rows below. A name stands for a module or for
#: everything in a sub-package.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("server",),
    ("config",),
    ("blocking", "testing"),
    ("events", "manage", "websocket"),
    ("channels",),
    ("context", "everywhere"),
    ("messagelog",),
    ("addressing",),
    ("socketio",),
    ("connection", "adapters"),
    ("namespace",),
    ("engine", "classic"),
    ("handshake",),
    ("session", "classic_session", "rawsocket"),
    ("transports",),
    ("evented",),
    ("origins",),
    ("settings",),
    ("protocol",),
    ("interfaces", "rooms"),
    ("errors", "_speedups"),
)
#: The faces of the package: they import from all layers and no layer imports from them.
FACES = ("", "io")

LEVEL = {name: len(LAYERS) - row for row, names in enumerate(LAYERS) for name in names}

#: What the pure core may not know: clocks, sockets, greenlets, WSGI and Pyramid.
IMPURE = {"gevent", "greenlet", "geventwebsocket", "pyramid", "webob", "socket", "select", "ssl", "time", "threading"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(dotted: str) -> str:
    """``"pyramid_socketio.server.paste"`` -> ``"server"``; the package itself -> ``""``."""
    return dotted.split(".")[1] if "." in dotted else ""


def dotted_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, without what only type checkers read."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from executed(child)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module imports when it runs, wherever in it."""
    here = dotted_name(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *(node.module.split(".") if node.module else [])])
            # In `from pyramid_socketio import errors` the name is a module, and elsewhere something in a module.
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def test_every_module_has_a_layer() -> None:
    found = {layer_of(dotted_name(path)) for path in modules()}
    assert found <= {*LEVEL, *FACES}, "a new module needs a row in LAYERS"


@pytest.mark.parametrize("path", modules(), ids=lambda path: dotted_name(path))
def test_imports_go_down_only(path: Path) -> None:
    own = layer_of(dotted_name(path))
    if own in FACES:
        return
    for line, name in imports(path):
        if not name.startswith("pyramid_socketio."):
            continue
        other = layer_of(name)
        assert other in LEVEL, f"{path.name}:{line} imports {name}, which is a face of the package"
        assert LEVEL[other] <= LEVEL[own], f"{path.name}:{line}: {own} may not import {name}, which is above it"


@pytest.mark.parametrize("path", sorted((PACKAGE / "protocol").rglob("*.py")), ids=lambda path: dotted_name(path))
def test_protocol_is_pure(path: Path) -> None:
    for line, name in imports(path):
        assert name.split(".")[0] not in IMPURE, f"{path.name}:{line} imports {name}"


#: Words that only a revision's own modules and the table of revisions may say.
VERSIONED = re.compile(r"\b(engineio_v\d|socketio_v\d|payload_v\d|EIO\d|V[01])\b")


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_nobody_above_protocol_asks_for_a_version(path: Path) -> None:
    if layer_of(dotted_name(path)) == "protocol":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Name, ast.Attribute, ast.alias)):
            name = (
                node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else node.name
            )
            assert not VERSIONED.fullmatch(name), f"{path.name} names {name}"
            assert name != "clients" or not isinstance(node, ast.Attribute), f"{path.name} asks whom a revision serves"
        elif isinstance(node, ast.Constant):
            # However it would be compared.
            assert node.value not in NAMES, f"{path.name}:{node.lineno} names revision {node.value}"
