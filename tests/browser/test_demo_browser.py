"""The demo in Chromium, served by ``socketio-serve`` from its ini file, with several windows."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.conftest import DEADLINE, wait_for

pytestmark = pytest.mark.browser

DEMO = Path(__file__).parents[2] / "demo"

#: Making a video, and a page's start on a busy machine.
LONG = 6 * DEADLINE

INI = f"""
[app:main]
use = config:{DEMO}/development.ini
demo.ffmpeg = {{ffmpeg}}
demo.video_jobs = 1

[server:main]
use = egg:pyramid_socketio#main
host = 127.0.0.1
port = 0
"""


class Demo:
    """The demo in a process of its own."""

    def __init__(self, directory: Path, ffmpeg: str) -> None:
        ini = directory / "demo.ini"
        ini.write_text(INI.format(ffmpeg=ffmpeg))
        self.log_path = directory / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pyramid_socketio.server.serve", str(ini)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.url: str = wait_for(self._url, LONG)
        except BaseException:
            self.process.kill()
            self.process.wait(DEADLINE)
            raise

    def _url(self) -> str | None:
        if self.process.poll() is not None:
            pytest.fail(f"the demo ended with {self.process.returncode}:\n{self.log}")
        found = re.search(r"Serving on .* \((http://.*)\)", self.log)
        return found[1] if found else None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def children(self) -> list[str]:
        """Process ids: the ffmpegs that run."""
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(DEADLINE) == 0, self.log
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(DEADLINE)
        assert "Traceback" not in self.log, self.log


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    if not (DEMO / "node_modules").is_dir():
        pytest.skip("what the demo gets from npm is not installed: run scripts/test")
    running = Demo(tmp_path_factory.mktemp("demo"), "ffmpeg")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def slow_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """With a stand-in for ffmpeg that never ends."""
    if not (DEMO / "node_modules").is_dir():
        pytest.skip("what the demo gets from npm is not installed: run scripts/test")
    directory = tmp_path_factory.mktemp("slow")
    program = directory / "ffmpeg"
    program.write_text("#!/bin/sh\necho out_time_us=4000000\nexec sleep 1000\n")
    program.chmod(0o755)
    running = Demo(directory, str(program))
    yield running
    running.stop()


class Browser:
    """Chromium with several windows, by names."""

    def __init__(self, profile: Path) -> None:
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "disable-dev-shm-usage",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "autoplay-policy=no-user-gesture-required",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{argument}")
        self.driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
        self.first = self.driver.current_window_handle

    def open(self, url: str, width: int = 1280, height: int = 800) -> Window:
        self.driver.switch_to.window(self.first)
        self.driver.switch_to.new_window("window")
        window = Window(self.driver, self.driver.current_window_handle)
        self.driver.set_window_size(width, height)
        self.driver.get(url)
        return window

    def close_windows(self) -> None:
        for handle in self.driver.window_handles:
            if handle != self.first:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self.first)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


class Window:
    """One window: what its reader sees and does."""

    def __init__(self, driver: Chrome, handle: str) -> None:
        self._driver = driver
        self._handle = handle

    @property
    def driver(self) -> Chrome:
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def __getitem__(self, name: str) -> Any:
        return self.driver.find_element(By.ID, name)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map(node => node.textContent)"
        return list(self.driver.execute_script(script, selector))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    def type(self, name: str, text: str) -> None:
        self[name].send_keys(text, Keys.ENTER)

    def wait(self, condition: Callable[[], object], timeout: float = DEADLINE) -> None:
        def quietly() -> object:
            try:
                return condition()
            except WebDriverException:  # not on the page yet, or just replaced
                return False

        wait_for(quietly, timeout)

    def close(self) -> None:
        self.driver.close()
        # Whatever is asked next needs a window that exists.
        self._driver.switch_to.window(self._driver.window_handles[0])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    yield chromium
    errors = chromium.errors()
    chromium.close_windows()
    assert errors == []


def join(browser: Browser, demo: Demo, room: str, name: str) -> Window:
    window = browser.open(f"{demo.url}/chat/{room}")
    window.wait(lambda: window["name"].is_displayed(), LONG)
    assert window["status"].text == "not joined yet"
    window.type("name", name)
    window.wait(lambda: window["text"].is_enabled())
    return window


def test_chat_in_two_windows(browser: Browser, demo: Demo) -> None:
    ada = join(browser, demo, "lobby", "Ada")
    assert ada.texts("#people span:last-child") == ["Ada"]
    ada.type("text", "anybody here?")
    ada.wait(lambda: ada.texts(".text") == ["anybody here?"])

    grace = join(browser, demo, "lobby", "Grace")
    assert grace.texts(".text") == ["anybody here?"]  # said before she came
    assert grace.texts("#people span:last-child") == ["Ada", "Grace"]
    ada.wait(lambda: "Grace joined" in ada.texts(".announcement"))
    assert ada.texts("#people span:last-child") == ["Ada", "Grace"]
    assert ada.texts("#people .me span:last-child") == ["Ada"]

    grace.type("text", "yes, <b>me</b> & 日本")
    for window in (ada, grace):
        window.wait(lambda w=window: w.texts(".text") == ["anybody here?", "yes, <b>me</b> & 日本"])
        assert window.texts(".text b") == []  # text stays text
    assert ada.texts(".mine .text") == ["anybody here?"]
    assert grace.texts(".mine .text") == ["yes, <b>me</b> & 日本"]
    ada.wait(lambda: ada["status"].text == "websocket")

    grace.close()
    ada.wait(lambda: "Grace left" in ada.texts(".announcement"))
    assert ada.texts("#people span:last-child") == ["Ada"]


def test_a_newcomer_gets_the_last_15_messages(browser: Browser, demo: Demo) -> None:
    ada = join(browser, demo, "gevent", "Ada")
    for number in range(20):
        ada.type("text", f"message {number}")
    ada.wait(lambda: len(ada.texts(".text")) == 20)
    grace = join(browser, demo, "gevent", "Grace")
    assert grace.texts(".text") == [f"message {number}" for number in range(5, 20)]


def test_rooms_are_apart(browser: Browser, demo: Demo) -> None:
    ada = join(browser, demo, "pyramid", "Ada")
    grace = join(browser, demo, "lobby", "Grace")
    ada.type("text", "only here")
    ada.wait(lambda: ada.texts(".text") == ["only here"])
    grace.type("text", "only there")
    grace.wait(lambda: "only there" in grace.texts(".text"))
    assert "only here" not in grace.texts(".text")
    assert ada.texts(".text") == ["only here"]


def test_the_cpu_graph_draws_itself(browser: Browser, demo: Demo) -> None:
    window = browser.open(f"{demo.url}/cpu")
    window.wait(lambda: int(window["graph"].get_attribute("data-points") or 0) >= 3, LONG)
    assert window.run("document.querySelector('#graph canvas').width") > 0
    for name in ("now", "peak", "average"):
        assert 0 <= int(window[name].text.removesuffix(" %")) <= 100
    assert int(window["cores"].text) >= 1


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_video_is_made_and_plays(browser: Browser, demo: Demo) -> None:
    window = browser.open(f"{demo.url}/video")
    window.wait(lambda: window["start"].is_enabled(), LONG)
    window["start"].click()
    window.wait(lambda: window["screen"].get_attribute("data-state") == "ready", LONG)
    window.wait(lambda: window.run("document.getElementById('video').currentTime") > 0.2, LONG)
    assert window.run("document.getElementById('video').videoWidth") == 960
    assert window["note"].text.startswith("Ready: Aurora")
    url = window.run("document.getElementById('video').currentSrc")
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Content-Type"] == "video/webm"

    window.close()  # and the file goes with the page

    def gone() -> bool:
        try:
            urllib.request.urlopen(url).close()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 404
        return False

    wait_for(gone)


@pytest.mark.parametrize("leave", ["cancel", "close"])
def test_ffmpeg_ends_with_its_page(browser: Browser, slow_demo: Demo, leave: str) -> None:
    window = browser.open(f"{slow_demo.url}/video")
    window.wait(lambda: window["start"].is_enabled(), LONG)
    window["start"].click()
    window.wait(lambda: window["percent"].text == "50 %")
    assert len(slow_demo.children()) == 1

    # One at a time; and the server answers others while ffmpeg runs.
    other = browser.open(f"{slow_demo.url}/video")
    other.wait(lambda: other["start"].is_enabled(), LONG)
    other["start"].click()
    other.wait(lambda: "All cameras are rolling" in other["problem"].text)
    other.close()

    if leave == "cancel":
        window["cancel"].click()
        window.wait(lambda: window["note"].text == "Cancelled.")
        assert window["start"].is_enabled()
    else:
        window.close()
    wait_for(lambda: not slow_demo.children())


@pytest.mark.parametrize("path", ["/", "/chat/lobby", "/cpu", "/video"])
def test_nothing_sticks_out_on_a_phone(browser: Browser, demo: Demo, path: str) -> None:
    window = browser.open(demo.url + path)
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    window.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert window.run("innerWidth") == 360
    assert window.run("document.documentElement.scrollWidth") == 360
