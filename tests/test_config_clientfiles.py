"""What pages load from below the resource: the browser client, our script, Flash's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from webtest import TestApp

import pyramid_socketio
from pyramid_socketio.config.clientfiles import NAMES, SWF_NAMES

SCRIPT = "application/javascript; charset=utf-8"

#: As it lies in the package.
STATIC = Path(pyramid_socketio.__file__).parent / "static"
COMPAT = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("mend.js", "compat.js"))


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


@pytest.fixture
def swf(tmp_path: Path) -> Path:
    path = tmp_path / "MyFlash.swf"
    path.write_bytes(b"FWS\x0a\xff")
    return path


def test_compat() -> None:
    response = make_app().get("/socket.io/compat.js")
    assert response.text == COMPAT
    assert response.headers["Content-Type"] == SCRIPT
    assert response.headers["Cache-Control"] == "public, max-age=0"
    assert response.headers["Content-Length"] == str(len(COMPAT.encode()))


def test_compat_not_modified(swf: Path) -> None:
    app = make_app()
    etag = app.get("/socket.io/compat.js").headers["ETag"]
    assert app.get("/socket.io/compat.js", headers={"If-None-Match": etag}, status=304).body == b""
    with_swf = make_app(**{"socketio.swf": str(swf)})
    with_swf.get("/socket.io/compat.js", headers={"If-None-Match": etag}, status=200)


@pytest.mark.parametrize(
    ("prefix", "resource", "script_name", "location"),
    [
        (None, "socket.io", "", "/socket.io/WebSocketMain.swf"),
        ("app", "live", "", "/app/live/WebSocketMain.swf"),
        (None, "socket.io", "/mounted", "/mounted/socket.io/WebSocketMain.swf"),
        (None, "socket.io", '/a"b', "/a%22b/socket.io/WebSocketMain.swf"),
    ],
)
def test_compat_says_where_the_flash_file_is(
    swf: Path, prefix: str | None, resource: str, script_name: str, location: str
) -> None:
    config = Configurator(settings={"socketio.swf": str(swf), "socketio.resource": resource})
    config.include("pyramid_socketio", route_prefix=prefix)
    app = TestApp(config.make_wsgi_app(), extra_environ={"SCRIPT_NAME": script_name})
    path = f"/{prefix}/{resource}" if prefix else f"/{resource}"
    script = app.get(f"{path}/compat.js").text
    assert script == f'WEB_SOCKET_SWF_LOCATION = "{location}";\n{COMPAT}'
    app.get(f"{path}/WebSocketMain.swf", status=200)


@pytest.mark.parametrize("name", SWF_NAMES)
def test_flash_file(swf: Path, name: str) -> None:
    app = make_app(**{"socketio.swf": str(swf)})
    response = app.get(f"/socket.io/{name}")
    assert response.body == b"FWS\x0a\xff"
    assert response.headers["Content-Type"] == "application/x-shockwave-flash"
    app.get(f"/socket.io/{name}", headers={"If-None-Match": response.headers["ETag"]}, status=304)


def test_flash_file_by_asset_specification() -> None:
    app = make_app(**{"socketio.swf": "pyramid_socketio:py.typed"})
    assert app.get("/socket.io/WebSocketMain.swf").body == b""


@pytest.mark.parametrize("name", ["WebSocketMainInsecure.swf", "x/WebSocketMain.swf", "static/WebSocketMainxswf"])
def test_no_other_flash_file(swf: Path, name: str) -> None:
    response = make_app(**{"socketio.swf": str(swf)}).get(f"/socket.io/{name}", status=501)
    assert response.content_type == "text/plain"


def test_flash_file_without_the_setting() -> None:
    response = make_app().get("/socket.io/WebSocketMain.swf", status=404)
    assert response.text == (
        "No Flash file is served here: set socketio.swf to the file WebSocketMain.swf of web-socket-js."
    )


def test_flash_file_that_has_gone(swf: Path) -> None:
    app = make_app(**{"socketio.swf": str(swf)})
    swf.unlink()
    assert str(swf) not in app.get("/socket.io/WebSocketMain.swf", status=404).text


@pytest.mark.parametrize(
    ("swf", "why"),
    [
        ("/does/not/exist.swf", "there is no such file"),
        ("pyramid_socketio:config", "there is no such file"),
        ("no_such_package:x.swf", "the package 'no_such_package' cannot be imported"),
    ],
)
def test_a_flash_file_that_is_not_there(swf: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        make_app(**{"socketio.swf": swf})
    assert f": socketio.swf = {swf}: {why}" in str(info.value)
    assert "; it must be the file WebSocketMain.swf of web-socket-js\n" in str(info.value)
