"""The demo's pages, and its parts that need no browser."""

from __future__ import annotations

import logging.config
import re
import shutil
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

import pytest
import socketio_demo
import webtest
from gevent import Timeout
from pyramid.exceptions import ConfigurationError
from pyramid.paster import get_appsettings
from socketio_demo import cpu
from socketio_demo.chat import text_of
from socketio_demo.video import SCENES, FfmpegError, Studio

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Those of the ini file, with a stand-in for what npm brings."""
    modules = tmp_path / "node_modules"
    for file in ("uplot/dist/uPlot.min.css", "uplot/dist/uPlot.iife.min.js", "socket.io-client/dist/socket.io.js"):
        (modules / file).parent.mkdir(parents=True, exist_ok=True)
        (modules / file).write_text(f"/* {file} */")
    return {
        **get_appsettings(str(DEMO / "development.ini")),
        "demo.node_modules": str(modules),
        "socketio.client": str(modules / "socket.io-client/dist"),
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
        ("/cpu", "Live CPU graph"),
        ("/video", "Video ready"),
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


def test_chat_leads_to_a_room(app: webtest.TestApp) -> None:
    assert app.get("/chat", status=302).location.endswith("/chat/lobby")


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/chat/nowhere",
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
