"""The demo's WebSockets without Socket.IO, in Chromium with several windows."""

from __future__ import annotations

import pytest

from tests.browser.conftest import LONG, Browser, Demo, Window

pytestmark = pytest.mark.browser


def opened(browser: Browser, demo: Demo) -> Window:
    window = browser.open(f"{demo.url}/websockets")
    window.wait(lambda: states(window) == ["connected"] * 3, LONG)
    return window


def states(window: Window) -> list[str]:
    return window.texts(".status")


def press(window: Window, value: str) -> None:
    window.run(f"document.querySelector('#ping [value={value}]').click()")


def call_oneself(window: Window, name: str, colour: str) -> None:
    window["name"].clear()
    window["name"].send_keys(name)
    window.run(f"document.getElementById('colour').value = '{colour}'")


def said(window: Window) -> list[list[str]]:
    """Name, colour and text of each message."""
    script = """[...document.querySelectorAll('#messages .row')].map(row => {
        const name = row.querySelector('b');
        return [name.textContent, name.style.getPropertyValue('--colour'), row.querySelector('.text').textContent];
    })"""
    return list(window.run(script))


def test_echo(browser: Browser, demo: Demo) -> None:
    window = opened(browser, demo)
    for text in ("hello", "<b>日本</b>"):
        window["echo-text"].clear()
        window.type("echo-text", text)
        window.wait(lambda t=text: window.texts("#echo .came")[-1] == t)
    assert window.texts("#echo .log li") == ["hello", "hello", "<b>日本</b>", "<b>日本</b>"]
    assert window.texts("#echo .log b") == []


def test_ping(browser: Browser, demo: Demo) -> None:
    window = opened(browser, demo)
    press(window, "ping")
    window.wait(lambda: window.texts("#ping .log li") == ["ping", "pong"])
    press(window, "hello")  # answered by nothing, or it would stand before the next answer
    press(window, "pong")
    window.wait(lambda: window.texts("#ping .log li") == ["ping", "pong", "hello", "pong", "ping"])


def test_chat_in_two_windows_and_a_new_name(browser: Browser, demo: Demo) -> None:
    ada, grace = opened(browser, demo), opened(browser, demo)
    expected = []
    for window, name, colour, text in (
        (ada, "Ada", "#ff0000", "hello"),
        (grace, "Grace", "#0000ff", "<i>hello</i> & 日本"),
        (ada, "Countess", "#00ff00", "I have a new name"),
        (ada, "Countess", "#00ff00", "and colour"),
    ):
        call_oneself(window, name, colour)
        window.type("text", text)
        expected.append([name, colour, text])
        for reader in (ada, grace):
            reader.wait(lambda r=reader: said(r) == expected)
    assert ada.texts("#messages i") == []
    grace.close()
    ada.type("text", "still here")
    ada.wait(lambda: said(ada)[-1] == ["Countess", "#00ff00", "still here"])


def test_a_page_survives_a_restart(browser: Browser, reloading_demo: Demo) -> None:
    ada, grace = opened(browser, reloading_demo), opened(browser, reloading_demo)
    for window in (ada, grace):
        window.run(
            "[...document.querySelectorAll('.status')].forEach(state => "
            "new MutationObserver(() => state.classList.add(state.textContent)).observe(state, {childList: true}))"
        )
    reloading_demo.restart()
    for window in (ada, grace):
        # All three were lost, and are back.
        window.wait(lambda w=window: len(w.texts(".status.reconnecting")) == 3 and states(w) == ["connected"] * 3, LONG)
    ada.type("text", "after")
    grace.wait(lambda: [text for _, _, text in said(grace)] == ["after"])
    press(ada, "ping")
    ada.wait(lambda: ada.texts("#ping .came") == ["pong"])
    # None but of connections, while the server was away.
    assert all("net::" in error or "WebSocket connection" in error for error in browser.errors())
