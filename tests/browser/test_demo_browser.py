"""The demo of today: what its pages do in Chromium, in several windows."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By

from tests.browser.conftest import LONG, Browser, Demo, join
from tests.conftest import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def slow_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """With a stand-in for ffmpeg that never ends."""
    directory = tmp_path_factory.mktemp("slow")
    program = directory / "ffmpeg"
    program.write_text("#!/bin/sh\necho out_time_us=4000000\nexec sleep 1000\n")
    program.chmod(0o755)
    running = Demo(directory, str(program))
    yield running
    running.stop()


def test_chat_in_two_windows(browser: Browser, demo: Demo) -> None:
    ada = join(browser, f"{demo.url}/chat/lobby", "Ada")
    assert ada.texts("#people span:last-child") == ["Ada"]
    ada.type("text", "anybody here?")
    ada.wait(lambda: ada.texts(".text") == ["anybody here?"])

    grace = join(browser, f"{demo.url}/chat/lobby", "Grace")
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


def test_who_goes_on_to_another_page_has_left(browser: Browser, demo: Demo) -> None:
    """Browsers keep the page for the way back, with its connections; and then it is as it was."""
    ada = join(browser, f"{demo.url}/chat/lobby", "Ada")
    grace = join(browser, f"{demo.url}/chat/lobby", "Grace")
    ada.wait(lambda: "Grace joined" in ada.texts(".announcement"))
    grace.driver.find_element(By.LINK_TEXT, "CPU").click()
    grace.wait(lambda: grace["status"].text == "websocket")
    ada.wait(lambda: "Grace left" in ada.texts(".announcement"))
    ada.type("text", "gone?")
    ada.wait(lambda: "gone?" in ada.texts(".text"))
    grace.driver.back()
    grace.wait(lambda: "gone?" in grace.texts(".text"))
    ada.wait(lambda: ada.texts("#people span:last-child") == ["Ada", "Grace"])


def test_a_newcomer_gets_the_last_15_messages(browser: Browser, demo: Demo) -> None:
    ada = join(browser, f"{demo.url}/chat/gevent", "Ada")
    for number in range(20):
        ada.type("text", f"message {number}")
    ada.wait(lambda: len(ada.texts(".text")) == 20)
    grace = join(browser, f"{demo.url}/chat/gevent", "Grace")
    assert grace.texts(".text") == [f"message {number}" for number in range(5, 20)]


def test_rooms_are_apart(browser: Browser, demo: Demo) -> None:
    ada = join(browser, f"{demo.url}/chat/pyramid", "Ada")
    grace = join(browser, f"{demo.url}/chat/lobby", "Grace")
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


@pytest.mark.parametrize(
    "path", ["/", "/chat/lobby", "/old/0.6/lobby", "/rooms", "/cpu", "/video", "/websockets", "/announce"]
)
def test_nothing_sticks_out_on_a_phone(browser: Browser, demo: Demo, path: str) -> None:
    window = browser.open(demo.url + path)
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    window.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert window.run("innerWidth") == 360
    assert window.run("document.documentElement.scrollWidth") == 360
