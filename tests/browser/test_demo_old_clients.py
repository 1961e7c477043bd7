"""The demo's chat in Chromium with the official clients of former years, as npm has them, beside today's."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from socketio_demo.chat import OLD_CLIENTS

from tests.browser.conftest import Browser, Demo, Window, join

pytestmark = pytest.mark.browser

#: What each page's script says of itself.
VERSIONS = {"2": ("io.protocol", 4), "0.9": ("io.version", "0.9.17"), "0.6": ("io.version", "0.6.3")}

#: What the clients call the transport that needs no WebSocket.
POLLING = {"2": "polling", "0.9": "xhr-polling", "0.6": "xhr-polling"}

#: One is for clients that poll: the server learns late that such a window was closed.
ROOM, POLLING_ROOM, LEAVING_ROOM = "pyramid", "gevent", "lobby"


def people(window: Window) -> list[str]:
    return window.texts("#people span:last-child")


def last(window: Window) -> str:
    """The text of the last message, empty while there is none."""
    return ["", *window.texts(".text")][-1]


def forget_transport(browser: Browser) -> None:
    """0.6 keeps in a cookie which transport worked last, and tries no other."""
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


@pytest.mark.parametrize("client", OLD_CLIENTS)
def test_an_old_client_and_todays(browser: Browser, demo: Demo, client: str) -> None:
    ada = join(browser, f"{demo.url}/chat/{ROOM}", "Ada")
    old = join(browser, f"{demo.url}/old/{client}/{ROOM}", "Grace")
    expression, version = VERSIONS[client]
    assert old.run(expression) == version
    old.wait(lambda: old["status"].text == "websocket")
    ada.wait(lambda: "Grace joined" in ada.texts(".announcement"))
    assert people(ada) == people(old) == ["Ada", "Grace"]
    assert old.texts("#people .me span:last-child") == ["Grace"]

    ada.type("text", f"is that {client}?")
    old.wait(lambda: last(old) == f"is that {client}?")
    old.type("text", "yes, <b>me</b> & 日本 😀")
    for window in (ada, old):
        window.wait(lambda w=window: last(w) == "yes, <b>me</b> & 日本 😀")
        assert window.texts(".text b") == []
    assert old.texts(".mine .text") == ["yes, <b>me</b> & 日本 😀"]

    ada.close()
    old.wait(lambda: "Ada left" in old.texts(".announcement"))
    assert people(old) == ["Grace"]
    eve = join(browser, f"{demo.url}/chat/{ROOM}", "Eve")
    assert last(eve) == "yes, <b>me</b> & 日本 😀"  # said before she came
    old.close()
    eve.wait(lambda: "Grace left" in eve.texts(".announcement"))
    assert people(eve) == ["Eve"]


@pytest.mark.parametrize("client", OLD_CLIENTS)
def test_who_goes_on_to_another_page_has_left(browser: Browser, demo: Demo, client: str) -> None:
    forget_transport(browser)
    ada = join(browser, f"{demo.url}/chat/{LEAVING_ROOM}", "Ada")
    old = join(browser, f"{demo.url}/old/{client}/{LEAVING_ROOM}", "Grace")
    ada.wait(lambda: people(ada) == ["Ada", "Grace"])
    old.driver.find_element(By.LINK_TEXT, "CPU").click()
    ada.wait(lambda: people(ada) == ["Ada"])
    old.driver.back()
    ada.wait(lambda: people(ada) == ["Ada", "Grace"])
    # Chromium minds that there was a WebSocket, and says so in the console.
    assert [error for error in browser.errors() if "Back-Forward Cache" not in error] == []


@pytest.mark.parametrize("client", OLD_CLIENTS)
def test_an_old_client_without_websocket(browser: Browser, demo: Demo, client: str) -> None:
    forget_transport(browser)
    ada = join(browser, f"{demo.url}/chat/{POLLING_ROOM}", "Ada")
    old = join(browser, f"{demo.url}/old/{client}/{POLLING_ROOM}", "Grace", before="delete window.WebSocket")
    assert old["status"].text == POLLING[client]
    for window, text in ((ada, "polling?"), (old, "polling.")):
        window.type("text", text)
        for reader in (ada, old):
            reader.wait(lambda r=reader, t=text: last(r) == t)
    ada.close()
    old.wait(lambda: "Ada left" in old.texts(".announcement"))
    # Without WebSocket, the old clients look for Flash first, and 0.9 says that it is not there.
    assert [error for error in browser.errors() if "Flash Player" not in error] == []


def test_all_ages_in_one_room(browser: Browser, demo: Demo) -> None:
    names = {"/chat": "today", **{f"/old/{client}": client for client in OLD_CLIENTS}}
    windows = [join(browser, f"{demo.url}{path}/{ROOM}", name) for path, name in names.items()]
    for window in windows:
        window.wait(lambda w=window: people(w) == list(names.values()))
    for window, name in zip(windows, names.values(), strict=True):
        window.type("text", f"I am {name}")
        for reader in windows:
            reader.wait(lambda r=reader, n=name: last(r) == f"I am {n}")


@pytest.mark.parametrize("transport", ["", "websocket", "xhr-polling", "jsonp-polling"])
def test_a_page_as_it_was_written_in_2011(browser: Browser, demo: Demo, transport: str) -> None:
    forget_transport(browser)
    window = browser.open(f"{demo.url}/old/0.6/{ROOM}")
    options = {"port": demo.url.rpartition(":")[2], "transports": [transport]} if transport else {}
    window.driver.execute_script(
        """
        log = [];
        socket = new io.Socket(null, arguments[0]);
        socket.on('connect', function() {
          log.push(socket.transport.type);
          socket.send({type: "connect", userid: 123});
        });
        socket.on('message', function(obj) {
          log.push(obj.type + " " + obj.error);
        });
        socket.on('error', function(obj) {
          log.push("error");
        });
        socket.on('disconnect', function() {
          log.push("disconnect");
        });
        socket.connect();
        """,
        options,
    )
    # The demo's context has no `msg_connect`; its answer shows that the message came to a context, and how.
    expected = [transport or "websocket", "error unknown_command"]
    window.wait(lambda: window.run("log") == expected)
    window.run("void socket.disconnect()")
    window.wait(lambda: window.run("log") == [*expected, "disconnect"])
