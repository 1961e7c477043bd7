"""The application that the original's documentation shows, served by a process of its own, with clients of all ages."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import DEADLINE, ROOT, ServerProcess
from tests.functional.events import ALL, Nine, Six, Today
from tests.functional.raw import request


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """Ends servers and clients with the test, the latest first."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(scope="module")
def original(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server("events_app")


@pytest.mark.parametrize("client", ALL)
def test_the_chat_of_the_original(original: ServerProcess, enter: Any, client: type) -> None:
    room = f"room-{client.__name__}"
    anna, ben, clara = (enter(client(original.port)) for _ in range(3))
    for one in (anna, ben):
        one.subscribe(room)
        assert one.hear() == {"subscribed": room}
    anna.say({"action": "start", "name": "Anna"})
    assert anna.hear()["action"] == "started"
    assert anna.hear() == ben.hear() == {"action": "join", "name": "Anna"}
    ben.say("my message")
    assert anna.hear() == "my message"
    clara.subscribe("dashboard")
    assert clara.hear() == {"subscribed": "dashboard"}
    clara.say([1, "two"])
    assert clara.hear() == {"dashboard": [1, "two"]}
    anna.close()
    assert ben.hear() == {"action": "leave", "name": "Anna"}
    ben.say({"type": "unsubscribe", "channel": room})
    assert ben.hear() == {"unsubscribed": room}
    assert request(original.port, "GET", f"/broadcast_channel/{room}").status == 500  # NoSocket
    ben.say("error")
    assert ben.hear()["error"] == "internal_error"
    assert ben.hear() == {"failed": "error"}


def test_sending_from_anywhere(original: ServerProcess, enter: Any) -> None:
    inside, outside = enter(Today(original.port)), enter(Six(original.port))
    inside.subscribe("my channel")
    assert inside.hear() == {"subscribed": "my channel"}
    for path in ("broadcast_channel/my%20channel", f"send/{inside.id}", "broadcast/all"):
        assert request(original.port, "GET", f"/{path}").body == b"sent"
        assert inside.hear() == "my message"
    assert outside.hear() == "my message"


def test_the_script_of_the_original(original: ServerProcess, enter: Any) -> None:
    """0.6 sends an array as that many messages; from 0.7 on it is one."""
    six, nine = enter(Six(original.port)), enter(Nine(original.port))
    six.say("__subscribe__", "dashboard")
    nine.say(["__subscribe__", "dashboard"])
    assert six.hear() == nine.hear() == {"subscribed": "dashboard"}
    six.say("__array__", ["__subscribe__", 2])
    nine.say(["__array__", [1, 2]])
    assert six.hear() == {"dashboard": ["__subscribe__", 2]}
    assert nine.hear() == {"dashboard": [1, 2]}
    six.say("__unsubscribe__", "dashboard")
    nine.say(["__unsubscribe__", "dashboard"])
    assert six.hear() == nine.hear() == {"unsubscribed": "dashboard"}


def test_a_word_of_the_script_is_about_the_next_message_only(original: ServerProcess, enter: Any) -> None:
    six = enter(Six(original.port))
    six.say("__subscribe__", "dashboard")
    assert six.hear() == {"subscribed": "dashboard"}
    for message in ({"type": "typed"}, "text"):
        six.say("__array__", message)
        assert six.hear() == {"dashboard": message}
        six.say("__subscribe__", f"my {message}")
        assert six.hear() == {"subscribed": f"my {message}"}


def test_a_subscription_as_an_event(original: ServerProcess, enter: Any) -> None:
    client = enter(Today(original.port))
    client.emit("subscribe", "my channel", ack=1)
    assert client.hear() == {"subscribed": "my channel"}
    assert client.receive_text() == "431[]"
    client.emit("subscribe", "private-1", ack=2)
    told = {"channel": "private-1", "type": "error", "error": "subscription_refused", "msg": "Private"}
    assert client.hear() == told
    assert client.receive_text() == f"432[{json.dumps(told, separators=(',', ':'))}]"
    client.emit("unsubscribe", "my channel", ack=3)
    assert client.hear() == {"unsubscribed": "my channel"}
    assert client.receive_text() == "433[]"


def test_sigterm_finishes_everybody(server: Callable[..., ServerProcess], enter: Any) -> None:
    process = server("events_app")
    for client in (enter(kind(process.port)) for kind in ALL):
        client.subscribe("room-1")
        assert client.hear() == {"subscribed": "room-1"}
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(DEADLINE) == 0
    for line in ("somebody has gone: shutdown", "somebody leaves room-1", "somebody is finished"):
        assert process.log.count(line) == 4, process.log


#: A page with a client and `compat.js`, which does what the original's documentation shows; prints what it hears.
PAGE = """
const fs = require("node:fs"), vm = require("node:vm");
const [url, client, compat] = process.argv.slice(1);
const { protocol, host, hostname, port } = new URL(url);
const location = { protocol, host, hostname, port, href: url };
const element = () => ({ style: {}, setAttribute() {}, appendChild() {} });
const document = { domain: hostname, location, cookie: "", readyState: "complete", documentElement: { style: {} } };
Object.assign(document, { createElement: element, getElementsByTagName: () => [element()], addEventListener() {} });
const navigator = { userAgent: "", platform: "", plugins: {}, mimeTypes: {} };
const window = { location, document, navigator, addEventListener() {}, removeEventListener() {} };
const WebSocket = require("ws");
WebSocket.prototype.send.toString = () => "native"; // else 0.6 takes it for the one that Flash brings
Object.assign(window, { WebSocket, setTimeout, clearTimeout, setInterval, clearInterval, console });
window.window = window.self = window;
vm.createContext(window);
for (const script of [client, compat]) vm.runInContext(fs.readFileSync(script, "utf8"), window, script);
vm.runInContext(`
  var socket = new io.Socket(null, {transports: ['websocket']});
  var roomID = 42;
  socket.on('connect', function() {
    socket.subscribe('my channel');
    socket.subscribe('room-' + roomID);
    socket.unsubscribe('my channel');
  });
  socket.on('message', function(message) {
    console.log(JSON.stringify(message));
    if (message.unsubscribed) socket.send({action: "start", name: "Anna"});
  });
  socket.connect();
`, window);
"""


@pytest.mark.peer
@pytest.mark.parametrize(
    "build", ["socket.io-0.6.18/support/socket.io-client/socket.io.js", "socket.io-client-4.8.4/dist/socket.io.js"]
)
def test_the_page_of_the_original(original: ServerProcess, enter: Any, build: str) -> None:
    peers = ROOT / "tests" / "peers"
    scripts = str(peers / "node_modules" / build), str(ROOT / "pyramid_socketio" / "static" / "compat.js")
    ben = enter(Today(original.port))
    ben.subscribe("room-42")
    assert ben.hear() == {"subscribed": "room-42"}
    page = subprocess.Popen(["node", "-e", PAGE, original.url, *scripts], cwd=peers, stdout=subprocess.PIPE, text=True)
    try:
        assert ben.hear() == {"action": "join", "name": "Anna"}
        assert page.stdout is not None
        heard = [json.loads(page.stdout.readline()) for _ in range(5)]
    finally:
        page.kill()
        page.communicate()
    assert heard[:3] == [{"subscribed": "my channel"}, {"subscribed": "room-42"}, {"unsubscribed": "my channel"}]
    assert heard[3]["action"] == "started"
    assert heard[4] == {"action": "join", "name": "Anna"}
    assert ben.hear() == {"action": "leave", "name": "Anna"}
