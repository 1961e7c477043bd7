"""What the scripts of clients 0.5 to 0.6.3 have sent in a browser, sent to our server; and what it answers.

Clients 0.1 to 0.2.4 are left out: they frame messages in another way, which is not served. So is what the file calls
"hybrid_first_message", a first message in both framings: ours comes in one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pyramid_socketio import SocketIOContext, message
from pyramid_socketio.protocol import payload_v0
from tests.conftest import wait_for
from tests.functional.browsers import Document, Hixie, Keys, Multipart06
from tests.functional.classic_app import application, for_one_test
from tests.functional.raw import Connection, WebSocket
from tests.functional.serving import ThreadServer
from tests.vectorfiles import load

CLIENTS = ["0.5", "0.5.1", "0.5.2", "0.5.3", "0.6", "0.6.1", "0.6.2", "0.6.3"]

QUEUED, TEXT, ARRAY, OBJECT = (
    'send("queued"), send({q:2}), connect()',
    'send("h\\u00e9llo \\ud83d\\ude00")',
    "send([1,2])",
    "send({a:1})",
)

#: What the page did -> the messages that the application is to see.
SEEN = {QUEUED: ["queued", {"q": 2}], TEXT: ["héllo 😀"], ARRAY: ["1", "2"], OBJECT: [{"a": 1}]}
#: These clients have no JSON.
SEEN_OF_0_5 = {**SEEN, QUEUED: ["queued", "[object Object]"], OBJECT: ["[object Object]"]}


def seen(client: str, transport: str) -> dict[str, list[Any]]:
    """As ``SEEN``, of one client."""
    if client in ("0.5", "0.5.1"):
        # What was sent too early comes as one text; and so does an array by POST.
        array = SEEN[ARRAY] if transport == "websocket" else ["1,2"]
        return {**SEEN_OF_0_5, QUEUED: ['["queued",{"q":2}]'], ARRAY: array}
    return SEEN if client >= "0.6" else SEEN_OF_0_5


class Recorder(SocketIOContext):
    """Hears, and says nothing by itself."""

    contexts: list[Recorder] = []

    def connect(self) -> None:
        self.heard: list[Any] = []
        self.contexts.append(self)

    @message("message")
    def hear(self, value: Any) -> None:
        self.heard.append(value)


class Polls(Connection):
    """The GETs of xhr-polling."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(port)
        self.get(path)

    def get(self, path: str) -> None:
        self.ask("GET", path)

    def receive_text(self) -> str:
        answer = self.response()
        assert answer.status == 200, answer
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        return answer.text


class Parts(Multipart06):
    """The GET of xhr-multipart, to the path that was recorded."""

    def __init__(self, port: int, path: str) -> None:
        Document.__init__(self, port, path)
        assert self.status == 200
        assert self.headers["content-type"] == self.content_type

    receive_text = Multipart06.message


Open = Callable[[int, str], Any]

#: Transport -> how its first request is sent. Browsers changed their WebSockets, clients did not.
OPEN: dict[str, dict[str, Open]] = {
    "websocket": {
        "websocket": WebSocket,
        "hixie-76": lambda port, path: Hixie(port, path, Keys()).open(),
        "hixie-75": lambda port, path: Hixie(port, path, None).open(),
    },
    "xhr-polling": {"xhr-polling": Polls},
    "xhr-multipart": {"xhr-multipart": Parts},
}

RECORDED = [recorded for recorded in load("sio01-06-clients", "exchanges") if recorded["client"] >= "0.5"]


def sid_in(text: str) -> str:
    """The session id, which is the first message."""
    match = re.fullmatch("~m~27~m~([A-Za-z0-9_-]{27})", text)
    assert match is not None, text
    return match[1]


class Replay:
    """The way through one transcript."""

    def __init__(self, server: ThreadServer, recorded: dict[str, Any], open_: Open) -> None:
        self.server = server
        self.recorded = recorded
        self.open = open_
        self.sid = ""
        #: The client's connection for what it receives, and perhaps for all.
        self.stream: Any = None
        self.posts = Connection(server.port)
        #: What has come and was not expected yet, without and with heartbeats: these have a time of their own.
        self.unread = {False: "", True: ""}
        #: What the application is to hear.
        self.meant: list[Any] = []

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *args: object) -> None:
        self.posts.close()
        if self.stream is not None:
            self.stream.close()

    @property
    def context(self) -> Recorder:
        (context,) = wait_for(lambda: Recorder.contexts)
        return context

    def run(self) -> None:
        means = seen(self.recorded["client"], self.recorded["transport"])
        for step in self.recorded["exchange"]:
            if "action" in step:
                self.meant += means[step["action"]]
                self.send(step)
            elif not self.sid:
                # Where there is an "exception", the client had it with this message.
                self.expect_sid(step.get("server_sends", "~m~3~m~123"))
                self.send(step)
            elif "~h~" in step["server_sends"]:
                self.beat(step)
            else:
                self.say(step["server_sends"])
                self.send(step)
            if "exception" in step:
                self.meant.clear()  # before it could send them
            elif self.sid:
                wait_for(lambda: self.context.heard == self.meant)
        assert self.context.heard == self.meant

    def send(self, step: dict[str, Any]) -> None:
        """Send what the client has sent, byte by byte; only the session id is ours."""
        for line in step["client_sends"]:
            kind, _, rest = line.partition(" ")
            if kind == "frame":
                self.stream.send_text(rest)
                continue
            path, _, rest = rest.partition(" ")
            path = path.replace("/123/", f"/{self.sid}/")
            if kind == "POST":
                headers, _, body = rest.partition(" BODY ")
                answer = self.posts.request("POST", path, json.loads(headers), body.encode())
                assert (answer.status, answer.body) == (200, b"ok"), answer
                assert answer.headers["content-type"].startswith("text/plain")
            elif self.stream is None:
                assert kind == ("WS" if self.recorded["transport"] == "websocket" else "GET")
                self.stream = self.open(self.server.port, path)
            else:
                self.stream.get(path)

    def expect_sid(self, text: str) -> None:
        assert text == "~m~3~m~123"
        self.sid = sid_in(self.stream.receive_text())

    def expect(self, text: str) -> None:
        """In one answer, where they are answers; in a frame, or part, for each message otherwise."""
        beats = "~h~" in text
        while len(self.unread[beats]) < len(text):
            received = self.stream.receive_text()
            self.unread["~h~" in received] += received
        assert self.unread[beats] == text
        self.unread[beats] = ""

    def say(self, text: str) -> None:
        """The application sends what the client's page has seen: text to 0.5, which has no JSON."""
        connected, *messages = self.recorded["application_sees"]
        assert connected == "connect"
        context = self.context

        def say() -> None:
            for name, value in messages:
                assert name == "message"
                context.send(value)

        self.server.call(say)
        self.expect(text)

    def beat(self, step: dict[str, Any]) -> None:
        """A heartbeat, whose answer counts."""
        self.expect(step["server_sends"])
        heartbeat = self.server.sessions[self.sid]._heartbeat
        answer_by = heartbeat.next_deadline()
        self.send(step)
        wait_for(lambda: heartbeat.next_deadline() != answer_by)


@contextmanager
def serving(**settings: str) -> Iterator[ThreadServer]:
    Recorder.contexts.clear()
    with ThreadServer(application(Recorder, **settings)) as server:
        yield from for_one_test(server)


@pytest.mark.parametrize(
    "recorded, open_",
    [
        pytest.param(recorded, open_, id=f"{recorded['client']}-{name}")
        for recorded in RECORDED
        for name, open_ in OPEN[recorded["transport"]].items()
    ],
)
def test_transcript(recorded: dict[str, Any], open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"hixie": "true"}
    if recorded["transport"] != "xhr-polling":
        # The heartbeat that was recorded comes at once, and has its number.
        settings["ping_interval"] = "0.01"
        encode_ping = payload_v0.encode_ping
        monkeypatch.setattr(payload_v0, "encode_ping", lambda count: encode_ping(6 + count))
    with serving(**settings) as server, Replay(server, recorded, open_) as replay:
        replay.run()


def test_every_client_is_there() -> None:
    assert [(recorded["client"], recorded["transport"]) for recorded in RECORDED] == [
        (client, transport) for client in CLIENTS for transport in OPEN
    ]


@pytest.mark.parametrize(
    "recorded",
    [
        pytest.param(recorded, id=recorded["client"])
        for recorded in load("sio01-06-clients", "wrong_framing_on_polling")
        if recorded["client"] in CLIENTS
    ],
)
def test_a_client_that_asks_anew(recorded: dict[str, Any]) -> None:
    """As it does after an answer that it does not understand; ours it understands, each time."""
    first, again, poll = (line.removeprefix("GET ") for line in recorded["client_requests"])
    with serving() as server, Polls(server.port, first) as polls:
        first_sid = sid_in(polls.receive_text())
        polls.get(again)
        sid = sid_in(polls.receive_text())
        assert sid != first_sid
        polls.get(poll.replace("/123/", f"/{sid}/"))
        _, newest = wait_for(lambda: len(Recorder.contexts) == 2 and Recorder.contexts)
        server.call(lambda: newest.send("x"))
        assert polls.receive_text() == "~m~1~m~x"
