"""The demo in Chromium, served by ``socketio-serve`` from its ini file, with several windows."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.conftest import DEADLINE, wait_for

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
    """The demo in a process of its own.

    Args:
        command: the module that serves it, and its options.
    """

    def __init__(self, directory: Path, ffmpeg: str, *command: str) -> None:
        if not (DEMO / "node_modules").is_dir():
            pytest.skip("what the demo gets from npm is not installed: run scripts/test")
        self.ini = directory / "demo.ini"
        self.ini.write_text(INI.format(ffmpeg=ffmpeg))
        self.log_path = directory / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(command or ["pyramid_socketio.server.serve"]), str(self.ini)],
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

    def served(self) -> int:
        """How often a server has begun to serve."""
        return self.log.count("Serving on ")

    def restart(self) -> None:
        """Save the ini file, which the reloader watches, as editors do; done when another server serves."""
        before = self.served()
        changed = self.ini.with_suffix(".new")
        changed.write_text(self.ini.read_text() + "\n")
        changed.replace(self.ini)
        wait_for(lambda: self.served() > before, LONG)

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
    running = Demo(tmp_path_factory.mktemp("demo"), "ffmpeg")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def reloading_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Served by ``socketio-serve-reload``."""
    directory = tmp_path_factory.mktemp("reloading")
    running = Demo(directory, "ffmpeg", "pyramid_socketio.server.reload", "--reload-interval", "0.1")
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

    def open(self, url: str, width: int = 1280, height: int = 800, before: str = "") -> Window:
        self.driver.switch_to.window(self.first)
        self.driver.switch_to.new_window("window")
        window = Window(self.driver, self.driver.current_window_handle)
        self.driver.set_window_size(width, height)
        if before:
            self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": before})
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


def join(browser: Browser, url: str, name: str, before: str = "") -> Window:
    """A window of the chat whose reader has chosen a name and is in the room.

    Args:
        before: a script that runs before those of the page.
    """
    window = browser.open(url, before=before)
    window.wait(lambda: window["name"].is_displayed(), LONG)
    assert window["status"].text == "not joined yet"
    window.type("name", name)
    window.wait(lambda: window["text"].is_enabled())
    return window
