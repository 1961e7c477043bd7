"""HTTP exchanges recorded with the reference server, against ours; a table says what differs on purpose, and why."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext
from tests.functional.raw import ACCEPT, CLOSE, Connection, Response, WebSocket
from tests.functional.serving import ThreadServer

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "http-eio4.json").read_text(encoding="utf-8"))


class Recorded(SocketIOContext):
    """Does what the server did with which the exchanges were recorded."""

    def connect(self) -> None:
        self.emit("hello", "wörld 😀", {"a": [1, None, True]})
        self.emit("bin", base64.b64decode("AAEC/w=="), {"n": b"x"})
        self.emit("needack", "q", ack=print)

    def msg_echo(self, value: Any) -> Any:
        self.emit("back", value)
        return value


class Different(NamedTuple):
    """How our answer differs from the recorded one; ``None`` is "as recorded"."""

    why: str
    status: int | None = None
    body: str | None = None
    #: Added to the recorded headers; ``None`` takes one away.
    headers: dict[str, str | None] = {}  # noqa: RUF012


BAD_REQUEST = '{"code":3,"message":"Bad request"}'
JSON = "application/json"

_UNDECODABLE = Different(
    "the reference answers ok to a body that it cannot decode only on newer versions of Node; the suites ask for 400",
    400,
    BAD_REQUEST,
    {"content-type": JSON, "content-length": str(len(BAD_REQUEST)), "cache-control": None},
)
_FORBIDDEN = Different(
    "contract T03: a page of an origin that is not allowed is refused, not only kept from reading the answer",
    403,
    '{"code":4,"message":"Forbidden"}',
    dict.fromkeys(
        ("set-cookie", "cache-control", "vary", "access-control-allow-credentials", "access-control-allow-methods")
    )
    | {"content-type": JSON, "content-length": "32"},
)

DIFFERENT = {
    "empty POST body (decodes to a parse error; session is closed, answer still 200 ok on Node 20)": _UNDECODABLE,
    "garbage body": _UNDECODABLE,
    "path without trailing slash": Different(
        "clients may be told to leave the slash out, so both are served",
        200,
        VECTORS["exchanges"][0]["response"]["body"],
        {"content-length": "122", "content-type": "text/plain; charset=UTF-8", "cache-control": "no-store"},
    ),
    "websocket with an unsupported version number": Different(
        "RFC 6455 section 4.4: 426 and the versions that are spoken",
        426,
        "unknown WebSocket version",
        {"sec-websocket-version": "13, 8, 7", "content-length": "25"},
    ),
    "OPTIONS handshake without CORS configured": Different(
        "contract T03: the foreign origin is refused before the method is looked at",
        403,
        '{"code":4,"message":"Forbidden"}',
    ),
    "JSONP handshake": Different(
        "a script is sent as a script, and browsers are told not to guess (contract T30)",
        None,
        None,
        {"content-type": "text/javascript; charset=UTF-8", "x-content-type-options": "nosniff"},
    ),
    # Engine.IO 3, section 3.4: escaped, clients that decode text twice and clients that do not read the same.
    "first poll: CONNECT without data, then events": Different(
        "written in ASCII",
        None,
        '2:4057:42["hello","w\\u00f6rld \\ud83d\\ude00",{"a":[1,null,true]}]'
        '77:452-["bin",{"_placeholder":true,"num":0},{"n":{"_placeholder":true,"num":1}}]'
        '10:b4AAEC/w==6:b4eA==18:420["needack","q"]',
        {"content-length": "186"},
    ),
    "answer": Different(
        "written in ASCII",
        None,
        '8:40/chat,63:42/chat,["hello","w\\u00f6rld \\ud83d\\ude00",{"a":[1,null,true]}]'
        '83:452-/chat,["bin",{"_placeholder":true,"num":0},{"n":{"_placeholder":true,"num":1}}]'
        '10:b4AAEC/w==6:b4eA==24:42/chat,0["needack","q"]',
        {"content-length": "210"},
    ),
    "ERROR packet": Different(
        "a text, as clients of that time know it (section 8.1)",
        None,
        '27:44/nope,"Invalid namespace"',
        {"content-length": "30"},
    ),
    "handshake, other origin (works, but the header is missing)": _FORBIDDEN,
    "preflight, other origin": _FORBIDDEN,
}

#: The reference gives credentials to every origin, ours to those that are allowed.
_NO_CREDENTIALS = {"handshake, no Origin"}

#: Ours have 27 characters of base64, for 160 bits; the reference's have 20.
_SID_LENGTHS = {"sid": 7, "sidj": 7, "sio_sid": 0}

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def _longer(body: str) -> str:
    """A body with the length that Engine.IO 3 gives the packet that opens a session; our ids are longer."""
    return re.sub(r"^(\d+)(?=:0\{)", lambda match: str(int(match[1]) + _SID_LENGTHS["sid"]), body)


class Run:
    """A run through exchanges in their order: what was found for ``${...}`` is used in later requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.found: dict[str, str] = {}

    def fill(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self.found[match[1]], text)

    def expect(self, recorded: str, seen: str) -> None:
        """``seen`` is ``recorded``, with any id in the place of a placeholder."""
        pattern = re.escape(_PLACEHOLDER.sub(lambda match: f"<{match[1]}>", recorded))
        match = re.fullmatch(re.sub("<(sid|sidj|sio_sid)>", r"(?P<\1>[A-Za-z0-9_-]{20,27})", pattern), seen)
        assert match is not None, f"{seen!r} is not {recorded!r}"
        self.found.update(match.groupdict())

    def ask(self, exchange: dict[str, Any]) -> Connection:
        wanted = exchange["request"]
        body = None
        if "body" in wanted:
            body = wanted["body"].encode()
        elif "body_base64" in wanted:
            body = base64.b64decode(wanted["body_base64"])
        connection = Connection(self.port)
        connection.ask(wanted["method"], self.fill(wanted["path"]), wanted.get("headers"), body)
        return connection

    def check(self, exchange: dict[str, Any], connection: Connection) -> None:
        recorded = exchange["response"]
        different = DIFFERENT.get(exchange["name"], Different(""))
        with connection:
            answer = connection.response(exchange["request"]["method"])
            assert answer.status == (different.status or recorded["status"])
            if answer.status == 101:
                self.check_frames(recorded["frames_within_250_ms"], connection)
            else:
                self.expect(different.body if different.body is not None else _longer(recorded["body"]), answer.text)
            self.check_headers(exchange, answer, different)

    def check_headers(self, exchange: dict[str, Any], answer: Response, different: Different) -> None:
        recorded = {name.lower(): value for name, value in exchange["response"]["headers"].items()}
        if exchange["name"] in _NO_CREDENTIALS:
            del recorded["access-control-allow-credentials"]
        for placeholder in set(_PLACEHOLDER.findall(exchange["response"].get("body", ""))):
            recorded["content-length"] = str(int(recorded["content-length"]) + _SID_LENGTHS[placeholder])
        ignored = {"date", "connection", "keep-alive", "transfer-encoding"}
        ours = {name: value for name, value in answer.headers.items() if name not in ignored}
        if answer.status == 101:
            assert ours.pop("sec-websocket-accept") == ACCEPT
            assert ours.pop("upgrade") == "websocket"
        if answer.status == 204:
            # RFC 9110 section 8.6: "A server MUST NOT send a Content-Length header field in any response with a
            # status code of 1xx (Informational) or 204 (No Content)."
            recorded.pop("content-length", None)
        elif "content-length" not in recorded:
            ours.pop("content-length", None)
        expected = {name: value for name, value in (recorded | different.headers).items() if value is not None}
        for name, value in expected.items():
            self.expect(value, ours.get(name, "<missing>"))
        assert ours.keys() == expected.keys()

    def check_frames(self, recorded: list[dict[str, Any]], connection: Connection) -> None:
        websocket = object.__new__(WebSocket)
        websocket.__dict__ = connection.__dict__
        for expected in recorded:
            opcode, payload = websocket.receive()
            if "close" in expected:
                # The reference closes without a code; ours says why (contract section 7).
                assert (opcode, payload) == (CLOSE, b"\x03\xea")
            else:
                self.expect(expected["text"], payload.decode())


@pytest.fixture(
    params=[
        ("exchanges", {"revisions": "4"}),
        (
            "exchanges_cors_and_cookie",
            {"cookie": "io", "allowed_origins": "http://a.example", "cors_credentials": "true"},
        ),
        ("exchanges_allow_eio3", {}),
    ],
    ids=lambda group: group[0],
)
def group(request: pytest.FixtureRequest) -> Iterator[tuple[list[dict[str, Any]], ThreadServer]]:
    name, options = request.param
    settings = {"socketio.max_message_size": "2000"}
    settings |= {f"socketio.{key}": value for key, value in options.items()}
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Recorded, "/")
        config.add_socketio_context(Recorded, "/chat")
    with ThreadServer(config.make_wsgi_app()) as server:
        yield VECTORS[name], server


def test_every_exchange(group: tuple[list[dict[str, Any]], ThreadServer]) -> None:
    exchanges, server = group
    run = Run(server.port)
    wrong = []
    waiting: tuple[dict[str, Any], Connection] | None = None
    for number, exchange in enumerate(exchanges):
        following = exchanges[number + 1] if number + 1 < len(exchanges) else {}
        connection = run.ask(exchange)
        if following.get("concurrent_with_previous"):
            # The next one has to meet this one waiting.
            assert connection.is_silent(0.1)
            waiting = exchange, connection
            continue
        pairs = [(exchange, connection)]
        if waiting is not None:
            pairs.append(waiting)
            waiting = None
        for pair in pairs:
            try:
                run.check(*pair)
            except AssertionError as error:
                wrong.append(f"{pair[0]['name']}: {error}")
    assert not wrong, "\n\n".join(wrong)
    assert server.failures == []


def test_every_difference_is_of_an_exchange() -> None:
    names = {exchange["name"] for key in VECTORS if key.startswith("exchanges") for exchange in VECTORS[key]}
    assert DIFFERENT.keys() | _NO_CREDENTIALS <= names
