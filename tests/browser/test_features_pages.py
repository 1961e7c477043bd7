"""What the predecessors' documents show of pages, in Chromium, with the client of that time and with today's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import Browser, Window
from tests.conftest import ROOT, ServerProcess
from tests.functional.events import Today

pytestmark = [pytest.mark.browser, pytest.mark.peer]

MODULES = ROOT / "tests" / "peers" / "node_modules"
CLIENTS = {
    "0.6": MODULES / "socket.io-0.6.18" / "support" / "socket.io-client",
    "today": MODULES / "socket.io-client-4.8.4" / "dist",
}

PAGES = {
    # webpy-socketio; compat.js has what its own second script had.
    "channel.mako": """<!doctype html><link rel="icon" href="data:,">
    <%include file="pyramid_socketio:templates/socketio_scripts.mako"/>
    <script src="/socket.io/compat.js"></script>
    <script>
        var socket = new io.Socket();
        socket.connect();
        socket.on('connect', function() {
            socket.subscribe('my channel');
        });

        var heard = [];
        socket.on('message', function(message) { heard.push(message); });
    </script>
    """,
    "room.mako": """<!doctype html><link rel="icon" href="data:,">
    <%include file="pyramid_socketio:templates/socketio_scripts.mako"/>
    <script src="/socket.io/compat.js"></script>
    <script>
        var socket = new io.Socket();
        var roomID = ${number};
        socket.connect();
        socket.on('connect', function() {
            socket.subscribe('room-' + roomID);
        });

        var heard = [];
        socket.on('message', function(message) { heard.push(message); });
    </script>
    """,
    # django-gevent-websocket
    "websocket.mako": """<!doctype html><link rel="icon" href="data:,">
    <script>
      var ws = new WebSocket("${request.websocket_url('urlname')}");

      // Do something with your shiny new WebSocket!
      // ws.send('foo');

      var heard = [];
      ws.onopen = function() { ws.send('foo'); };
      ws.onmessage = function(event) { heard.push(event.data); };
    </script>
    """,
    "path.mako": """<!doctype html><link rel="icon" href="data:,">
    <script>
      var ws = new WebSocket("${request.websocket_path('urlname')}");

      var heard = [];
      ws.onopen = function() { ws.send('foo'); };
      ws.onmessage = function(event) { heard.push(event.data); };
    </script>
    """,
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the templates."""
    directory = tmp_path_factory.mktemp("pages")
    for name, text in PAGES.items():
        (directory / name).write_text(text)
    return directory


@pytest.fixture(scope="module", params=CLIENTS)
def server(request: pytest.FixtureRequest, start_server: Callable[..., ServerProcess], pages: Path) -> ServerProcess:
    return start_server("pages_app", socketio_client=CLIENTS[request.param], **{"mako.directories": pages})


def hears(window: Window, *messages: object) -> None:
    window.wait(lambda: window.run("heard") == list(messages))


def test_a_page_subscribes_to_a_channel(browser: Browser, server: ServerProcess) -> None:
    window = browser.open(f"{server.url}/page/channel.mako")
    hears(window, {"subscribed": "my channel"})


def test_a_page_subscribes_to_its_room(browser: Browser, server: ServerProcess) -> None:
    with Today(server.port) as ben:
        ben.subscribe("room-42")
        assert ben.hear() == {"subscribed": "room-42"}
        window = browser.open(f"{server.url}/page/room.mako")
        hears(window, {"subscribed": "room-42"})
        ben.say("my message")
        hears(window, {"subscribed": "room-42"}, "my message")
        window.driver.execute_script("socket.send('hello'); socket.unsubscribe('room-' + roomID)")
        assert ben.hear() == "hello"
        hears(window, {"subscribed": "room-42"}, "my message", {"unsubscribed": "room-42"})


@pytest.mark.parametrize("name", ["websocket.mako", "path.mako"])
def test_a_page_opens_a_websocket(browser: Browser, server: ServerProcess, name: str) -> None:
    window = browser.open(f"{server.url}/page/{name}")
    hears(window, "foo")


def test_a_chat_in_many_windows(browser: Browser, start_server: Callable[..., ServerProcess]) -> None:
    url = start_server("websockets_app").url
    anna, ben, clara = windows = [browser.open(f"{url}/chat/") for _ in range(3)]
    for window in windows:
        window.wait(lambda w=window: w.run("ws.readyState") == 1)

    def say(window: Window, text: str) -> None:
        window.driver.find_element(By.NAME, "text").send_keys(text, Keys.ENTER)

    def all_see(*lines: str) -> None:
        for window in windows:
            window.wait(lambda w=window: w.texts("p") == list(lines))

    say(anna, "hello")
    all_see("Guest: hello")
    name = ben.driver.find_element(By.NAME, "user")
    name.clear()
    name.send_keys("Ben")
    ben.driver.execute_script("form.colour.value = '#00ff00'")
    say(ben, "<i>hi</i>")
    all_see("Guest: hello", "Ben: <i>hi</i>")
    for window in windows:
        assert window.run("[...document.querySelectorAll('b')].map(name => name.style.color)") == [
            "rgb(0, 0, 255)",
            "rgb(0, 255, 0)",
        ]
