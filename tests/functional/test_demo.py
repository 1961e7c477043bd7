"""The demo's pages, and its parts that need no browser."""

from __future__ import annotations

import json
import logging.config
import re
import shutil
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import socketio_demo
import webtest
from gevent import Timeout
from pyramid.exceptions import ConfigurationError
from pyramid.paster import get_appsettings
from pyramid.router import Router
from socketio_demo import cpu
from socketio_demo.chat import text_of
from socketio_demo.video import SCENES, FfmpegError, Studio

from pyramid_socketio import ConnectRefused
from pyramid_socketio.testing import TestClient
from pyramid_socketio.websocket import WebSocketClosed
from tests.functional.raw import BINARY, EngineSocket, WebSocket, request
from tests.functional.serving import ThreadServer

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Those of the ini file, with a stand-in for what npm brings."""
    modules = tmp_path / "node_modules"
    for file in (
        "uplot/dist/uPlot.min.css",
        "uplot/dist/uPlot.iife.min.js",
        "socket.io-client/dist/socket.io.js",
        "socket.io-client-2/dist/socket.io.js",
        "socket.io-client-0.9/dist/socket.io.js",
        "socket.io-client-0.9/dist/WebSocketMain.swf",
        "socket.io-0.6/support/socket.io-client/socket.io.js",
    ):
        (modules / file).parent.mkdir(parents=True, exist_ok=True)
        (modules / file).write_text(f"/* {file} */")
    return {
        **get_appsettings(str(DEMO / "development.ini")),
        "demo.node_modules": str(modules),
        "socketio.client": str(modules / "socket.io-client/dist"),
        "socketio.swf": str(modules / "socket.io-client-0.9/dist/WebSocketMain.swf"),
    }


@pytest.fixture
def app(settings: dict[str, str]) -> webtest.TestApp:
    return webtest.TestApp(socketio_demo.main({}, **settings))


def test_the_ini_file_is_whole() -> None:
    ini = RawConfigParser()
    assert ini.read(DEMO / "development.ini")
    server = dict(ini["server:main"])
    assert server == {"use": "egg:pyramid_socketio#main", "host": "127.0.0.1", "port": "6543"}
    loggers = {name.strip() for name in ini["loggers"]["keys"].split(",")}
    assert loggers == {name.removeprefix("logger_") for name in ini.sections() if name.startswith("logger_")}
    assert logging.getLevelName(ini["logger_root"]["level"]) == logging.INFO


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/", "ordinary Pyramid"),
        ("/chat/lobby", "Chat in #lobby"),
        ("/chat/pyramid", "Chat in #pyramid"),
        ("/old/2/lobby", "Chat in #lobby"),
        ("/old/0.9/pyramid", "Chat in #pyramid"),
        ("/old/0.6/gevent", "Chat in #gevent"),
        ("/rooms", "No room yet"),
        ("/cpu", "Live CPU graph"),
        ("/video", "Video ready"),
        ("/websockets", "Everything comes back."),
        ("/announce", "What shall everybody know?"),
    ],
)
def test_pages(app: webtest.TestApp, path: str, expected: str) -> None:
    page = app.get(path)
    assert expected in page
    # Everything that the page names is there, and comes from this server alone.
    for link in re.findall(r'(?:href|src)="([^"]*)"', page.text):
        assert link.startswith(("/", "#")), link
        if link.startswith("/"):
            app.get(link, status=(200, 302))


@pytest.mark.parametrize("path", ["/chat", "/old/2", "/old/0.9", "/old/0.6"])
def test_chat_leads_to_a_room(app: webtest.TestApp, path: str) -> None:
    assert app.get(path, status=302).location.endswith(f"{path}/lobby")


@pytest.mark.parametrize(
    "version, source",
    [
        ("2", "socket.io-client-2/dist/socket.io.js"),
        ("0.9", "socket.io-client-0.9/dist/socket.io.js"),
        ("0.6", "socket.io-0.6/support/socket.io-client/socket.io.js"),
    ],
)
def test_an_old_page_loads_its_client(app: webtest.TestApp, version: str, source: str) -> None:
    page = app.get(f"/old/{version}/lobby")
    scripts = re.findall(r'<script[^>]* src="([^"]*)"', page.text)
    assert scripts == [f"/static/clients/{version}.js", "/socket.io/compat.js", f"/static/js/chat-{version}.js"]
    assert app.get(scripts[0]).text == f"/* {source} */"
    assert 'WEB_SOCKET_SWF_LOCATION = "/socket.io/WebSocketMain.swf"' in app.get(scripts[1])
    # Elsewhere in the same room, with the same client; and to the other clients' pages of the room.
    for link in (f"/old/{version}/gevent", "/chat/lobby", "/old/2/lobby", "/old/0.9/lobby", "/old/0.6/lobby"):
        assert f'href="{link}"' in page


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/chat/nowhere",
        "/old/0.6/nowhere",
        "/old/0.7/lobby",
        "/old/006/lobby",
        "/static/clients/3.js",
        "/films/nothing.webm",
        "/films/...webm",
        "/static/uplot/nothing.js",
        "/static/uplot/../setup.py",
    ],
)
def test_what_does_not_exist(app: webtest.TestApp, path: str) -> None:
    assert "Nothing here" in app.get(path, status=404)


def test_the_modules_of_the_pages_name_files_that_exist() -> None:
    scripts = list((DEMO / "socketio_demo/static/js").glob("*.js"))
    assert scripts
    for script in scripts:
        for name in re.findall(r'from "(.+?)"', script.read_text()):
            assert (script.parent / name).is_file(), f"{script.name} imports {name}"


def test_a_film_is_served_in_parts(app: webtest.TestApp) -> None:
    studio = app.app.registry["studio"]
    studio.path("f").write_bytes(b"0123456789")
    whole = app.get("/films/f.webm")
    assert (whole.content_type, whole.body) == ("video/webm", b"0123456789")
    # Without this, browsers cannot wind it.
    part = app.get("/films/f.webm", headers={"Range": "bytes=2-4"}, status=206)
    assert part.body == b"234"
    studio.path("f").unlink()
    app.get("/films/f.webm", status=404)


def test_without_ffmpeg_the_page_says_so(settings: dict[str, str]) -> None:
    note = 'id="no-ffmpeg"'
    there = webtest.TestApp(socketio_demo.main({}, **{**settings, "demo.ffmpeg": "true"}))
    assert note not in there.get("/video")
    missing = webtest.TestApp(socketio_demo.main({}, **{**settings, "demo.ffmpeg": "no-such-program"}))
    assert note in missing.get("/video")


def test_without_npm_the_error_says_what_to_do(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="run `npm install`"):
        socketio_demo.main({}, **{**settings, "demo.node_modules": "/nowhere"})
    # As it is after an update, when npm has not run again.
    client = Path(settings["demo.node_modules"], "socket.io-0.6/support/socket.io-client/socket.io.js")
    client.unlink()
    with pytest.raises(ConfigurationError, match=f"{client} is missing: run `npm install`"):
        socketio_demo.main({}, **settings)


@pytest.fixture
def demo(settings: dict[str, str], caplog: pytest.LogCaptureFixture) -> Iterator[Router]:
    """Without a server; nothing may go wrong in it."""
    yield socketio_demo.main({}, **settings)
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


class Window(TestClient):
    """A window of one of the demo's pages, as the server sees it."""

    def told(self) -> dict[str, Any]:
        event, message = self.receive()
        assert event == "message"
        return message


def test_a_client_without_namespaces_is_in_the_room(demo: Router) -> None:
    """With messages alone, as a client of 0.6 has them; a client of today is in the room's namespace."""

    def said(message: dict[str, Any]) -> tuple[str, int, str, str]:
        return message["type"], message["member"], message["name"], message["text"]

    with Window(demo, "/chat/lobby") as ada, Window(demo) as old:
        assert ada.call("join", {"name": "Ada"}) == {"ok": True}
        assert ada.told() == {
            "type": "welcome",
            "member": 1,
            "people": [{"member": 1, "name": "Ada"}],
            "history": [],
        }
        ada.emit("say", {"text": "early"})
        assert said(ada.told()) == ("said", 1, "Ada", "early")

        old.send({"type": "say", "text": "hello?"})
        assert old.told()["error"] == "not_here"
        for room in ("nowhere", "", None):
            old.send({"type": "join", "name": "Grace", "room": room})
            assert old.told()["error"] == "no_room"
        old.send({"type": "join", "name": " ", "room": "lobby"})
        assert old.told()["error"] == "no_name"
        old.send({"type": "join", "name": "Grace", "room": "lobby"})
        people = [{"member": 1, "name": "Ada"}, {"member": 2, "name": "Grace"}]
        welcome = old.told()
        assert (welcome["member"], welcome["people"]) == (2, people)
        assert [message["text"] for message in welcome["history"]] == ["early"]
        assert ada.told() == {"type": "joined", "name": "Grace", "people": people}
        # Nobody changes rooms in a connection, nor is there twice.
        old.send({"type": "join", "name": "Eve", "room": "gevent"})
        assert old.told()["error"] == "here_already"

        old.send({"type": "say", "text": "hello"})
        assert said(old.told()) == said(ada.told()) == ("said", 2, "Grace", "hello")
        old.close()
        assert ada.told() == {"type": "left", "name": "Grace", "people": people[:1]}
        # Who never joined leaves without a word.
        with Window(demo):
            pass
        ada.emit("say", {"text": "still here"})
        assert said(ada.told()) == ("said", 1, "Ada", "still here")


class InRooms(Window):
    """A window of the rooms.

    Args:
        auth: where the client gives its name.
    """

    def __init__(self, demo: Router, auth: dict[str, Any] | None) -> None:
        super().__init__(demo, "/rooms", auth)

    def told_rooms(self) -> list[tuple[str, int]]:
        message = self.told()
        assert message["type"] == "rooms", message
        return [(room["name"], room["count"]) for room in message["rooms"]]


@pytest.fixture
def server(settings: dict[str, str]) -> Iterator[ThreadServer]:
    with ThreadServer(socketio_demo.main({}, **settings)) as running:
        yield running
    assert not running.failures


def test_rooms(demo: Router) -> None:
    with InRooms(demo, {"name": " Ada "}) as ada, InRooms(demo, {"name": "Grace"}) as grace:
        for window, name in ((ada, "Ada"), (grace, "Grace")):
            assert window.told() == {"type": "welcome", "name": name}
            assert window.told_rooms() == []

        ada.send({"type": "subscribe", "channel": "tea"})
        assert ada.told() == {"type": "joined", "room": "tea", "name": "Ada", "people": ["Ada"]}
        assert ada.told_rooms() == grace.told_rooms() == [("tea", 1)]
        ada.send({"type": "subscribe", "channel": "tea"})  # again, as after a reconnect: nothing new
        ada.send({"type": "subscribe", "channel": "coffee"})
        assert ada.told()["room"] == "coffee"
        assert ada.told_rooms() == grace.told_rooms() == [("coffee", 1), ("tea", 1)]

        # Who is not in a room neither hears nor speaks there.
        grace.send({"type": "say", "room": "tea", "text": "hello?"})
        assert grace.told()["error"] == "not_here"
        grace.send({"type": "subscribe", "channel": "tea"})
        joined = {"type": "joined", "room": "tea", "name": "Grace", "people": ["Ada", "Grace"]}
        assert ada.told() == grace.told() == joined
        assert ada.told_rooms() == grace.told_rooms() == [("coffee", 1), ("tea", 2)]
        ada.send({"type": "say", "room": "coffee", "text": "only me"})
        ada.send({"type": "say", "room": "tea", "text": " both "})
        assert [ada.told()["text"], ada.told()["text"]] == ["only me", "both"]
        said = grace.told()
        assert (said["type"], said["room"], said["name"], said["text"]) == ("said", "tea", "Ada", "both")

        grace.send({"type": "unsubscribe", "channel": "tea"})
        left = {"type": "left", "room": "tea", "name": "Grace", "people": ["Ada"]}
        assert ada.told() == grace.told() == left
        assert ada.told_rooms() == grace.told_rooms() == [("coffee", 1), ("tea", 1)]
        ada.send({"type": "say", "room": "tea", "text": "gone?"})
        assert ada.told()["text"] == "gone?"
        for text in (" ", None):
            ada.send({"type": "say", "room": "tea", "text": text})
            assert ada.told()["error"] == "no_text"

        ada.close()  # the rooms go with the last one who is in them
        assert grace.told_rooms() == grace.told_rooms() == []
        with InRooms(demo, {"name": "Ada"}) as again:  # the name is free
            assert again.told()["type"] == "welcome"


@pytest.mark.parametrize("auth", [{"name": "  "}, {"name": 5}, {}, None])
def test_rooms_need_a_name(demo: Router, auth: dict[str, Any] | None) -> None:
    with pytest.raises(ConnectRefused, match=r"^Please choose a name\.$"):
        InRooms(demo, auth).connect()


def test_a_name_in_use_is_refused(demo: Router) -> None:
    with InRooms(demo, {"name": "Ada"}) as ada:
        assert ada.told()["type"] == "welcome"
        with pytest.raises(ConnectRefused, match=r"^Somebody here is called aDA already\. Please choose an"):
            InRooms(demo, {"name": "aDA"}).connect()
        # Whoever was refused takes nobody's name along.
        with pytest.raises(ConnectRefused, match="^Somebody"):
            InRooms(demo, {"name": "ada"}).connect()


@pytest.mark.parametrize(
    "name", ["", "two words", "<b>", "x" * 25, "x" * 1000, "new\nline", "tea\n", "\ud800", 5, None]
)
def test_a_bad_name_of_a_room_is_refused(demo: Router, name: Any) -> None:
    with InRooms(demo, {"name": "Ada"}) as ada:
        assert (ada.told()["type"], ada.told_rooms()) == ("welcome", [])
        ada.send({"type": "subscribe", "channel": name})
        answer = ada.told()
        assert answer["type"] == "error"
        assert answer["msg"].startswith(("A room's name is", "The name of a channel is"))
        ada.send({"type": "subscribe", "channel": "Größe-2_日本"})
        assert ada.told()["people"] == ["Ada"]
        assert ada.told_rooms() == [("Größe-2_日本", 1)]


def test_the_page_and_the_socket_have_one_url(server: ThreadServer) -> None:
    page = request(server.port, "GET", "/websockets", {"Host": "example.com"})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=UTF-8")
    urls = re.findall(r'data-url="([^"]*)"', page.text)
    assert urls == [f"ws://example.com/websockets{path}" for path in ("", "/echo", "/ping")]
    with WebSocket(server.port, "/websockets"):
        pass
    for path in ("/websockets/echo", "/websockets/ping"):
        assert request(server.port, "GET", path).status == 426


def test_echo_and_ping(server: ThreadServer) -> None:
    with WebSocket(server.port, "/websockets/echo") as echo, WebSocket(server.port, "/websockets/ping") as ping:
        for text in ("hello", "", "日本"):
            echo.send_text(text)
            assert echo.receive_text() == text
        echo.send_frame(BINARY, b"\x00\xff")
        assert echo.receive() == (BINARY, b"\x00\xff")
        for text in ("ping", "hello", "", "pong"):
            ping.send_text(text)
        ping.send_frame(BINARY, b"ping")
        ping.send_text("ping")
        assert [ping.receive_text() for _ in range(3)] == ["pong", "ping", "pong"]


class Gone:
    """A window that has left, and whose view has not run yet."""

    def send(self, data: str) -> None:
        raise WebSocketClosed("transport close")


def test_the_chat_on_a_websocket(server: ThreadServer) -> None:
    def hears(window: WebSocket) -> tuple[str, str, str]:
        message = json.loads(window.receive_text())
        assert message["time_ms"] > 0
        return message["name"], message["colour"], message["text"]

    with WebSocket(server.port, "/websockets") as ada, WebSocket(server.port, "/websockets") as grace:
        good = {"name": "Ada", "colour": "#0000ff", "text": "hello"}
        for bad in ({"name": " "}, {"text": None}, {"colour": "red"}, {"colour": "#0000ff;"}, {"colour": 5}):
            ada.send_text(json.dumps(good | bad))
        for bad in ("", "hello", "[]", "5", "[" * 60_000):
            ada.send_text(bad)
        ada.send_frame(BINARY, b"\xff\x00")
        ada.send_text(json.dumps(good))
        assert hears(ada) == hears(grace) == ("Ada", "#0000ff", "hello")
        ada.send_text(json.dumps({"name": "Countess", "colour": "#00ff00", "text": "<b>"}))
        assert hears(ada) == hears(grace) == ("Countess", "#00ff00", "<b>")
        grace.reset()
        server.application.registry["windows"].add(Gone())
        for _ in range(3):
            ada.send_text(json.dumps(good))
            assert hears(ada) == ("Ada", "#0000ff", "hello")


def test_nobody_hears_an_announcement(app: webtest.TestApp) -> None:
    form = app.get("/announce").form
    form["text"] = "<b>anybody?"
    answer = form.submit()
    assert "Nobody is here to read it." in answer
    assert answer.form["text"].value == "<b>anybody?"  # to be sent again
    assert "<b>" not in answer
    answer.form["text"] = "  "
    assert "Please write something." in answer.form.submit()


def test_an_announcement_needs_the_token(app: webtest.TestApp) -> None:
    app.get("/announce")
    app.post("/announce", {"text": "hello"}, status=400)
    app.post("/announce", {"text": "hello", "csrf_token": "x" * 32}, status=400)
    app.post("/announce", status=400)


def test_an_announcement_reaches_everybody(server: ThreadServer) -> None:
    page = request(server.port, "GET", "/announce")
    token = re.findall(r'name="csrf_token" value="(\w+)"', page.text)[0]
    cookie = page.headers["set-cookie"].partition(";")[0]
    with EngineSocket(server.port) as ada, EngineSocket(server.port) as grace:
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        answer = request(
            server.port, "POST", "/announce", headers, f"csrf_token={token}&text=%3Cb%3Etea%3C%2Fb%3E".encode()
        )
        assert answer.status == 200
        assert "Told 2 pages: &lt;b&gt;tea&lt;/b&gt;" in answer.text
        for window in (ada, grace):
            assert window.event() == ["message", {"type": "announcement", "text": "<b>tea</b>"}]


@pytest.mark.parametrize(
    "message, text",
    [
        ({"text": "  hello "}, "hello"),
        ({"text": "x" * 20}, "x" * 10),
        ({"text": "  "}, ""),
        ({"text": 5}, ""),
        ({"text": None}, ""),
        ({}, ""),
        (None, ""),
        (["text"], ""),
    ],
)
def test_text_of_takes_anything(message: object, text: str) -> None:
    assert text_of(message, "text", 10) == text


def test_cpu_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 2 5 70 8 1 2 2 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    monkeypatch.setattr(cpu, "STAT", stat)
    assert cpu.read_ticks() == (22, 8, 100)


class FakeFfmpeg:
    """A program that says what ffmpeg would say."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def does(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\n{script}\n")
        self.path.chmod(0o755)


@pytest.fixture
def ffmpeg(tmp_path: Path) -> FakeFfmpeg:
    return FakeFfmpeg(tmp_path / "ffmpeg")


@pytest.fixture
def studio(ffmpeg: FakeFfmpeg) -> Iterator[Studio]:
    made = Studio(str(ffmpeg.path), jobs=1)
    yield made
    shutil.rmtree(made.directory)


def test_progress(studio: Studio, ffmpeg: FakeFfmpeg, tmp_path: Path) -> None:
    ffmpeg.does("echo out_time_us=N/A; echo frame=7; echo out_time_us=2000000; echo out_time_us=9000000")
    assert list(studio.make("testsrc2", tmp_path / "out")) == [0.25, 1.0]


def test_a_failure_carries_the_last_complaint(studio: Studio, ffmpeg: FakeFfmpeg, tmp_path: Path) -> None:
    ffmpeg.does("echo first >&2; echo \"Error in filter 'a=b'\" >&2; echo progress=end; exit 1")
    with pytest.raises(FfmpegError, match="Error in filter 'a=b'"):
        list(studio.make("testsrc2", tmp_path / "out"))


def test_a_silent_failure(studio: Studio, ffmpeg: FakeFfmpeg, tmp_path: Path) -> None:
    ffmpeg.does("exit 3")
    with pytest.raises(FfmpegError, match="ended with 3"):
        list(studio.make("testsrc2", tmp_path / "out"))


def test_the_process_ends_with_its_reader(studio: Studio, ffmpeg: FakeFfmpeg, tmp_path: Path) -> None:
    ffmpeg.does(f"echo $$ > {tmp_path}/pid; echo out_time_us=1; exec sleep 1000")
    shares = studio.make("testsrc2", tmp_path / "out")
    next(shares)
    process = Path("/proc", (tmp_path / "pid").read_text().strip())
    assert process.exists()
    shares.close()
    assert not process.exists()


def test_a_time_limit_ends_the_process(studio: Studio, ffmpeg: FakeFfmpeg, tmp_path: Path) -> None:
    ffmpeg.does(f"echo $$ > {tmp_path}/pid; echo out_time_us=1; exec sleep 1000")
    with pytest.raises(FfmpegError, match="too slow"), Timeout(0.5, FfmpegError("too slow")):
        list(studio.make("testsrc2", tmp_path / "out"))
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_is_one_that_ffmpeg_knows(scene: str, studio: Studio, tmp_path: Path) -> None:
    studio.program = "ffmpeg"
    target = tmp_path / "out.webm"
    shares = studio.make(SCENES[scene][1], target)
    assert next(shares) >= 0
    shares.close()
    assert target.exists()


def test_the_directory_goes_with_the_studio(ffmpeg: FakeFfmpeg) -> None:
    studio = Studio(str(ffmpeg.path), jobs=1)
    directory = studio.directory
    assert directory.is_dir()
    del studio
    assert not directory.exists()
