"""HTTP exchanges recorded with the servers 0.9.19 and 0.6.18, against ours; a table says what differs, and why.

Headers are compared where they say what a body is. CORS is our own (``origins.py``): the page's origin, and credentials
for those that are allowed by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden

from pyramid_socketio import ConnectRefused, SocketIOContext, message
from tests.functional.browsers import Document
from tests.functional.classic import Polling06, Polling09, split_0_6, split_0_9
from tests.functional.raw import Response, request
from tests.functional.serving import ThreadServer
from tests.vectorfiles import load


class Recorded09(SocketIOContext):
    """Does what the server did with which the exchanges were recorded."""

    def connect(self) -> None:
        self.emit("hello", "wörld 😀", {"a": [1, None, True]})
        self.send("plain é")
        self.send({"j": 1})
        self.emit("needack", "q", ack=print)

    @message("message")
    def heard(self, value: str) -> None:
        self.send(f"re:{value}")

    def msg_echo(self, value: Any) -> Any:
        self.emit("back", value)
        return value, 2


class Deny(SocketIOContext):
    def connect(self) -> None:
        raise HTTPForbidden


class Err(SocketIOContext):
    def connect(self) -> None:
        raise ConnectRefused("a text")


class Recorded06(SocketIOContext):
    def connect(self) -> None:
        for value in ("wörld 😀", {"a": [1, None, True]}, [1, 2], None):
            self.send(value)

    @message("message")
    def heard(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        self.send(f"re:{text}")


_BAD = (400, '{"code":3,"message":"Bad request"}')
_UNKNOWN_TRANSPORT = (400, "Transport unknown")

#: Name of an exchange -> status and body of ours. Body ``None``: as recorded.
DIFFERENT_09: dict[str, tuple[int, str | None]] = {
    # Contract L07: what is no packet ends the session.
    "POST without Content-type and empty body": _BAD,
    "POST garbage": _BAD,
    # The reference answers with a number only where it knows one, and not at all where there is no such namespace:
    # "sending 7::/nope:2 is kinder" (section 10).
    "poll: connect, error packets, automatic ack; nothing for an unknown namespace": (
        200,
        "\ufffd8\ufffd1::/chat"
        '\ufffd65\ufffd5::/chat:{"name":"hello","args":["w\u00f6rld \U0001f600",{"a":[1,null,true]}]}'
        '\ufffd16\ufffd3::/chat:plain é\ufffd16\ufffd4::/chat:{"j":1}'
        '\ufffd42\ufffd5:0+:/chat:{"name":"needack","args":["q"]}'
        "\ufffd10\ufffd7::/deny:2\ufffd9\ufffd7::/err:2\ufffd10\ufffd7::/nope:2\ufffd5\ufffd6:::7\ufffd7\ufffd3:::re:",
    ),
    # "Ending it always is better" (section 6.2).
    "after the forced disconnect": (200, "7:::1+0"),
    # The reference closes the connection.
    "unknown transport": _UNKNOWN_TRANSPORT,
    "websocket path without upgrade": (400, "the Upgrade header does not say websocket"),
    # Contract L01.
    "protocol 2": (400, None),
    # That is what clients of today are answered.
    "bare resource": (400, '{"code":0,"message":"Transport unknown"}'),
}

DIFFERENT_06: dict[str, tuple[int, str | None]] = {
    # Contract P02 and P08.
    "POST without data field": _BAD,
    "POST garbage": _BAD,
    # The reference closes the connection.
    "unknown session: connection is closed without an answer": (404, "Session ID unknown"),
    "unknown session POST": (404, "Session ID unknown"),
    # Not a name that could be allowed here.
    "GET with Origin null": (403, "handshake bad origin"),
    "unknown transport falls through to the application": (400, '{"code":0,"message":"Transport unknown"}'),
}

#: Exchanges that are about something else.
NOT_RUN = {"client script"}


class Exchange:
    """One of the recorded ones, with what ours answers."""

    def __init__(self, recorded: dict[str, Any], different: dict[str, tuple[int, str | None]]) -> None:
        self.name: str = recorded["name"]
        self.request: dict[str, Any] = recorded["request"]
        self.headers: dict[str, str] = self.request.get("headers", {})
        answer = recorded["response"]
        self.recorded_headers: dict[str, str] = answer.get("headers", {})
        self.is_stream = "stream_left_open" in answer
        self.is_different = self.name in different
        status, body = different.get(self.name, (None, None))
        self.status: int = status or answer["status"]
        self.body: str = _as_ours(answer["body"]) if body is None else body


def _as_ours(body: str) -> str:
    # Our session ids have 27 characters, and our times are others; acks are counted from 0.
    body = re.sub(r"~m~\d+~m~\$\{sid\}", "~m~27~m~${sid}", body).replace(":5:5:", ":21:6:").replace("5:1+:", "5:0+:")
    # An array is one message: "a server that wants to send an array must write ~j~[1,2]" (0.6, section 2).
    return body.replace("~m~3~m~1,2", "~m~8~m~~j~[1,2]").replace("~m~1~m~1~m~1~m~2", "~m~8~m~~j~[1,2]")


class Run:
    """A run through exchanges in their order: the session id that was found is used in later requests."""

    def __init__(self, port: int, open_session: Callable[[int], Any], split: Callable[[str], list[str]]) -> None:
        self.port = port
        self.sid = ""
        self.open_session = open_session
        self.split = split
        self.streams: list[Document] = []

    def expect(self, expected: str, seen: str) -> None:
        """``seen`` is ``expected``, with any id in the place of its placeholder."""
        match = re.fullmatch(re.escape(expected).replace(r"\$\{sid\}", "([A-Za-z0-9_-]{27})"), seen)
        assert match is not None, f"{seen!r} is not {expected!r}"
        self.sid = (*match.groups(), self.sid)[0]

    def check(self, exchange: Exchange) -> None:
        sid = self.sid
        if exchange.is_different and exchange.status == 400 and "POST" in exchange.name:
            # That ends the session, which is needed further on.
            with self.open_session(self.port) as client:
                sid = client.sid
        path = exchange.request["path"].replace("${sid}", sid)
        if exchange.is_stream:
            self.check_stream(exchange, path)
            return
        body = exchange.request["body"].encode() if "body" in exchange.request else None
        answer = request(self.port, exchange.request["method"], path, exchange.headers, body)
        assert answer.status == exchange.status
        self.check_headers(exchange, answer.headers)
        if answer.body != exchange.body.encode() and self.is_poll(exchange):
            self.check_packets(exchange, path, answer)
        else:
            self.expect(exchange.body, answer.text)

    def is_poll(self, exchange: Exchange) -> bool:
        return exchange.request["method"] == "GET" and exchange.body[:1] in ("\ufffd", "~") and "$" not in exchange.body

    def check_packets(self, exchange: Exchange, path: str, answer: Response) -> None:
        """Ours may come in several answers; handlers of several messages and namespaces run side by side."""
        expected, seen = self.split(exchange.body), self.split(answer.text)
        while len(seen) < len(expected):
            seen += self.split(request(self.port, "GET", path).text)
        assert sorted(seen) == sorted(expected)

    def check_stream(self, exchange: Exchange, path: str) -> None:
        document = Document(self.port, path, exchange.headers)
        self.streams.append(document)
        assert document.status == exchange.status
        self.check_headers(exchange, document.headers)
        size = len(exchange.body.replace("${sid}", "x" * 27))
        while len(document.text) < size:
            assert document.grow()
        self.expect(exchange.body, document.text[:size])

    def check_headers(self, exchange: Exchange, ours: dict[str, str]) -> None:
        if exchange.is_different:
            return
        kind = exchange.recorded_headers.get("content-type", "")
        kind = kind.replace("application/javascript", "text/javascript").partition(";")[0]
        assert ours["content-type"].startswith(kind)
        if kind == "text/javascript":
            assert ours["x-xss-protection"] == "0"
        if "Origin" in exchange.headers:
            assert ours["access-control-allow-origin"] == exchange.headers["Origin"]
            assert ours["access-control-allow-credentials"] == "true"
        else:
            assert "access-control-allow-origin" not in ours


POLICY = {"policy_server": True, "policy_listener_host": "127.0.0.1", "policy_listener_port": 0}


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[ThreadServer]:
    # Polls are held for a second: that is waited for.
    settings = {"socketio.allowed_origins": "http://a.example", "socketio.ping_interval": "1"}
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(request.param, "/")
        for context, namespace in ((Recorded09, "/chat"), (Deny, "/deny"), (Err, "/err")):
            config.add_socketio_context(context, namespace)
    with ThreadServer(config.make_wsgi_app(), **POLICY) as server:
        yield server


@pytest.mark.parametrize(
    "server, file, different, client, split",
    [
        (Recorded09, "http-sio1", DIFFERENT_09, Polling09, split_0_9),
        (Recorded06, "http-sio06", DIFFERENT_06, Polling06, split_0_6),
    ],
    indirect=["server"],
)
def test_every_exchange(
    server: ThreadServer,
    file: str,
    different: dict[str, tuple[int, str | None]],
    client: Any,
    split: Callable[[str], list[str]],
) -> None:
    run = Run(server.port, client, split)
    wrong = []
    names = set()
    for recorded in load(file, "exchanges"):
        names.add(recorded["name"])
        if recorded["name"] in NOT_RUN:
            continue
        try:
            run.check(Exchange(recorded, different))
        except AssertionError as error:
            wrong.append(f"{recorded['name']}: {error}")
    for stream in run.streams:
        stream.close()
    assert not wrong, "\n\n".join(wrong)
    assert different.keys() <= names
    assert server.failures == []
