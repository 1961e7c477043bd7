"""The browser client below the resource."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from webtest import TestApp

from pyramid_socketio.config.clientfiles import NAMES

SCRIPT = "application/javascript; charset=utf-8"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """As npm installs it."""
    dist = tmp_path / "socket.io-client" / "dist"
    dist.mkdir(parents=True)
    for name in NAMES:
        (dist / name).write_text(f"// {name}")
    (dist / "secret.js").write_text("secret")
    (dist.parent / "package.json").write_text('{"name": "socket.io-client", "version": "4.8.4"}')
    return dist


def make_app(client: Any = None, **settings: Any) -> TestApp:
    if client is not None:
        settings["socketio.client"] = str(client)
    config = Configurator(settings=settings)
    config.include("pyramid_socketio")
    return TestApp(config.make_wsgi_app())


@pytest.mark.parametrize("name", sorted(NAMES))
def test_file(dist: Path, name: str) -> None:
    response = make_app(dist).get(f"/socket.io/{name}")
    assert response.text == f"// {name}"
    assert response.headers["Content-Type"] == ("application/json" if name.endswith(".map") else SCRIPT)
    assert response.headers["Cache-Control"] == "public, max-age=0"
    assert response.headers["ETag"] == '"4.8.4"'
    assert response.headers["Content-Length"] == str(len(f"// {name}"))


@pytest.mark.parametrize("etag", ['"4.8.4"', 'W/"4.8.4"', '"1", W/"4.8.4"'])
def test_not_modified(dist: Path, etag: str) -> None:
    response = make_app(dist).get("/socket.io/socket.io.js", headers={"If-None-Match": etag}, status=304)
    assert response.body == b""
    assert response.headers["ETag"] == '"4.8.4"'
    assert response.headers["Cache-Control"] == "public, max-age=0"


def test_modified(dist: Path) -> None:
    response = make_app(dist).get("/socket.io/socket.io.js", headers={"If-None-Match": '"4.8.3"'}, status=200)
    assert response.text == "// socket.io.js"


def test_head(dist: Path) -> None:
    response = make_app(dist).head("/socket.io/socket.io.js")
    assert response.body == b""
    assert response.headers["Content-Length"] == str(len("// socket.io.js"))


@pytest.mark.parametrize("package", [None, "nonsense", "[]", "{}", '{"name": "my-app", "version": "1"}'])
def test_without_the_package_the_content_counts(dist: Path, package: str | None) -> None:
    if package is None:
        (dist.parent / "package.json").unlink()
    else:
        (dist.parent / "package.json").write_text(package)
    app = make_app(dist)
    etag = app.get("/socket.io/socket.io.js").headers["ETag"]
    assert len(etag) == 34
    assert app.get("/socket.io/socket.io.min.js").headers["ETag"] != etag
    app.get("/socket.io/socket.io.js", headers={"If-None-Match": etag}, status=304)
    (dist / "socket.io.js").write_text("changed")
    assert app.get("/socket.io/socket.io.js", headers={"If-None-Match": etag}, status=200).text == "changed"


@pytest.mark.parametrize(
    "path",
    [
        "/socket.io/secret.js",
        "/socket.io/../../etc/passwd",
        "/socket.io/%2e%2e/%2e%2e/etc/passwd",
        "/socket.io/..%2f..%2fetc%2fpasswd",
        "/socket.io/socket.io.other.js",
        "/socket.io/socket.io...js",
        "/socket.io/socket.io.js/",
        "/socket.io/socket.io.js/secret.js",
        "/socket.io/socket.io.js%00",
        "/socket.io/SOCKET.IO.JS",
    ],
)
def test_nothing_but_the_table(dist: Path, path: str) -> None:
    response = make_app(dist).get(path, expect_errors=True)
    assert response.status_int in (404, 501)
    assert "secret" not in response.text and str(dist) not in response.text


def test_a_file_that_is_missing(dist: Path) -> None:
    (dist / "socket.io.msgpack.min.js").unlink()
    response = make_app(dist).get("/socket.io/socket.io.msgpack.min.js", status=404)
    assert str(dist) not in response.text


def test_without_the_setting() -> None:
    response = make_app().get("/socket.io/socket.io.js", status=404)
    assert response.content_type == "text/plain"
    assert "set socketio.client to the directory dist of the npm package socket.io-client" in response.text


def test_asset_specification(dist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = dist.parent / "assets_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    dist.rename(package / "dist")
    monkeypatch.syspath_prepend(dist.parent)
    response = make_app("assets_of_a_test:dist").get("/socket.io/socket.io.js")
    assert response.text == "// socket.io.js"


def test_other_resource_and_route_prefix(dist: Path) -> None:
    settings = {"socketio.client": str(dist), "socketio.resource": "live"}
    config = Configurator(settings=settings)
    config.include("pyramid_socketio", route_prefix="app")
    app = TestApp(config.make_wsgi_app())
    assert app.get("/app/live/socket.io.js").text == "// socket.io.js"


@pytest.mark.parametrize(
    ("client", "why"),
    [
        ("/does/not/exist", "there is no socket.io.js"),
        ("does/not/exist", "there is no socket.io.js"),
        ("pyramid_socketio:config", "there is no socket.io.js"),
        ("no_such_package:x", "the package 'no_such_package' cannot be imported"),
        (":x", "the package '' cannot be imported"),
    ],
)
def test_a_directory_without_a_client(client: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        make_app(client)
    # Pyramid adds the line that configured it.
    assert info.value.etype is ConfigurationError
    assert f": socketio.client = {client}: {why}" in str(info.value)
    assert "; it must be the directory dist of the npm package socket.io-client\n" in str(info.value)
