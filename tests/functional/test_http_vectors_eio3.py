"""HTTP exchanges of Engine.IO 3, recorded with a 2.5.1 server, against ours.

Cookies and CORS are those of the newer revision (``test_http_vectors.py``), so headers are compared only where they say
what a body is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext
from tests.functional.raw import Connection, WebSocket
from tests.functional.serving import ThreadServer

EXCHANGES = json.loads((Path(__file__).parents[1] / "vectors" / "http-eio3.json").read_text(encoding="utf-8"))[
    "exchanges"
]

#: Recorded ids have 20 characters, which the lengths of packets count.
_IDS = {"${sid}": "sid".ljust(20, "."), "${sidj}": "sidj".ljust(20, ".")}

_BAD = (400, '{"code":3,"message":"Bad request"}')
_FORBIDDEN = (403, '{"code":4,"message":"Forbidden"}')

#: Name of an exchange -> status and body of ours, with the reason.
DIFFERENT = {
    # The reference says ok on newer versions of Node only; the suite wants 400.
    "length one too large": _BAD,
    "garbage body": _BAD,
    # Two polls at once are the client's error.
    "second": (400, ""),
    # Contract T03: a page of an origin that is not allowed is refused.
    "unknown sid with Origin": _FORBIDDEN,
    "handshake with Origin": _FORBIDDEN,
    "OPTIONS without sid": _FORBIDDEN,
    "OPTIONS with sid": _FORBIDDEN,
}


class Recorded(SocketIOContext):
    """Does what the server did with which the exchanges were recorded."""

    def connect(self) -> None:
        self.emit("hello", "wörld 😀", {"a": [1, None, True]})
        self.emit("bin", base64.b64decode("AAEC/w=="), {"n": b"x"})
        self.emit("needack", "q", ack=print)

    def msg_echo(self, value: Any) -> Any:
        self.emit("back", value)
        return value


def packets(body: bytes, binary: bool) -> list[str | bytes]:
    """The packets of a payload, in either form; text is read as clients read it."""
    found: list[str | bytes] = []
    if binary:
        while body:
            kind, body = body[0], body[1:]
            digits, body = body[: body.index(0xFF)], body[body.index(0xFF) + 1 :]
            size = int("".join(map(str, digits)))
            found.append(body[:size] if kind else _meaning(body[:size].decode()))
            body = body[size:]
        return found
    units = body.decode().encode("utf-16-le")
    while units:
        text = units.decode("utf-16-le", "surrogatepass")
        size, colon = int(text.partition(":")[0]), text.index(":") + 1
        found.append(_meaning(units[2 * colon : 2 * (colon + size)].decode("utf-16-le")))
        units = units[2 * (colon + size) :]
    return found


def _meaning(packet: str) -> str:
    """The packet with its JSON as the reference writes it: ours escapes what is not ASCII.

    The reference counts acks for all clients together.
    """
    match = re.match(r"([0-9]+-?(?:/[^,]*,)?[0-9]*)([\[{\"].*)", packet, re.DOTALL)
    if match is None:
        return packet
    head = re.sub("^42[0-9]+$", "420", match[1])
    return head + json.dumps(json.loads(match[2]), ensure_ascii=False, separators=(",", ":"))


def _with_ids(body: str) -> str:
    for placeholder, id in _IDS.items():
        body = body.replace(placeholder, id)
    return body


class Run:
    """A run through exchanges in their order: what was found for ``${...}`` is used in later requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.found: dict[str, str] = {}
        #: Ours sends the CONNECT packet as the first thing of the next poll, as 1.x servers do.
        self.connect_is_due = False

    def ask(self, exchange: dict[str, Any]) -> Connection:
        wanted = exchange["request"]
        body = wanted["body"].encode() if "body" in wanted else None
        if "body_base64" in wanted:
            body = base64.b64decode(wanted["body_base64"])
        connection = Connection(self.port)
        path = re.sub(r"\$\{(\w+)\}", lambda match: self.found[match[1]], wanted["path"])
        connection.ask(wanted["method"], path, wanted.get("headers"), body)
        return connection

    def check(self, exchange: dict[str, Any], connection: Connection) -> None:
        recorded = exchange["response"]
        with connection:
            answer = connection.response(exchange["request"]["method"])
            if exchange["name"] in DIFFERENT:
                assert (answer.status, answer.text) == DIFFERENT[exchange["name"]]
                return
            assert answer.status == recorded["status"]
            if answer.status == 101:
                self.check_frames(connection)
                return
            if answer.status != 200 or exchange["request"]["method"] != "GET":
                assert answer.text == recorded.get("body", "")
                return
            if "j=" in exchange["request"]["path"]:
                assert answer.headers["content-type"] == "text/javascript; charset=UTF-8"
                ours, theirs = self._unscript(answer.text), self._unscript(_with_ids(recorded["body"]))
                self.check_packets(packets(ours.encode(), False), packets(theirs.encode(), False))
                return
            # Section 3.3: a client with EIO=2 reads nothing else; the reference does not know that.
            binary = "body_base64" in recorded or "EIO=2" in exchange["request"]["path"]
            kind = "application/octet-stream" if binary else "text/plain; charset=UTF-8"
            assert answer.headers["content-type"] == kind
            if "body_base64" in recorded:
                theirs = packets(base64.b64decode(recorded["body_base64"]), True)
            else:
                theirs = packets(_with_ids(recorded["body"]).encode(), False)
            self.check_packets(packets(answer.body, binary), theirs)

    def _unscript(self, body: str) -> str:
        match = re.fullmatch(r"___eio\[3\]\((.*)\);", body)
        assert match is not None
        text: str = json.loads(match[1])
        return text

    def check_packets(self, ours: list[str | bytes], theirs: list[str | bytes]) -> None:
        first = theirs[0]
        if isinstance(first, str) and first.startswith("0{"):
            recorded = json.loads(first[1:])
            assert isinstance(ours[0], str)
            opened = json.loads(ours[0][1:])
            self.found[recorded["sid"].rstrip(".")] = opened["sid"]
            assert opened == recorded | {"sid": opened["sid"], "maxPayload": 1_000_000}
            assert theirs[1:] == ["40"]
            self.connect_is_due = True
            assert ours[1:] in ([], ["40"])
            return
        if self.connect_is_due:
            self.connect_is_due = False
            assert ours.pop(0) == "40"
        assert ours == theirs

    def check_frames(self, connection: Connection) -> None:
        websocket = object.__new__(WebSocket)
        websocket.__dict__ = connection.__dict__
        opened = json.loads(websocket.receive_text()[1:])
        assert opened.keys() == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
        assert opened["upgrades"] == []
        assert websocket.receive_text() == "40"


@pytest.fixture
def server() -> Iterator[ThreadServer]:
    with Configurator(settings={}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Recorded, "/")
        config.add_socketio_context(Recorded, "/chat")
    with ThreadServer(config.make_wsgi_app()) as server:
        yield server


def test_every_exchange(server: ThreadServer) -> None:
    run = Run(server.port)
    wrong = []
    waiting: tuple[dict[str, Any], Connection] | None = None
    for exchange, following in zip(EXCHANGES, [*EXCHANGES[1:], {}], strict=True):
        connection = run.ask(exchange)
        if following.get("concurrent_with_previous"):
            # The next one has to meet this one waiting.
            assert connection.is_silent(0.1)
            waiting = exchange, connection
            continue
        pairs = [(exchange, connection), *([waiting] if waiting else [])]
        waiting = None
        for pair in pairs:
            try:
                run.check(*pair)
            except AssertionError as error:
                wrong.append(f"{pair[0]['name']}: {error}")
    assert not wrong, "\n\n".join(wrong)
    assert server.failures == []


def test_every_difference_is_of_an_exchange() -> None:
    assert DIFFERENT.keys() <= {exchange["name"] for exchange in EXCHANGES}
