"""JSONP: scripts that carry payloads, and forms that bring them (rows T30, E3-11 to E3-14)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import BadRequest, PacketError, ProtocolError
from pyramid_socketio.protocol.packets import MESSAGE, EnginePacket
from pyramid_socketio.protocol.revisions import EIO4
from pyramid_socketio.settings import Settings
from pyramid_socketio.transports.jsonp import JSONPTransport, parse_index
from tests.timing import MEGABYTE, MS, cpu_seconds
from tests.vectorfiles import frame, load


class Session:
    """Remembers what a transport told."""

    def __init__(self) -> None:
        self.packets: list[EnginePacket] = []
        self.errors: list[ProtocolError] = []

    def received(self, transport: Any, packets: Any) -> None:
        self.packets += packets

    def failed(self, transport: Any, error: ProtocolError) -> None:
        self.errors.append(error)

    def gone(self, transport: Any, reason: str) -> None:
        raise AssertionError(reason)


class Exchange:
    """A POST whose body is there already."""

    head: Any = None
    wants_websocket = False
    on_abort: Any = None

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status = 0

    def read_body(self, limit: int, done: Any) -> None:
        done(self.body)

    def respond(self, status: int, headers: Any, body: bytes = b"", close: bool = False) -> None:
        self.status = status

    def take_over(self) -> Any:
        raise AssertionError("no WebSocket")

    def mount(self, engine: Any, shutdown: Any) -> None:
        raise AssertionError("no handshake")


def transport(index: str = "0", session: Session | None = None) -> JSONPTransport:
    return JSONPTransport(EIO4, Settings(), session or Session(), index)


def post(body: bytes) -> tuple[int, list[EnginePacket], list[ProtocolError]]:
    session, exchange = Session(), Exchange(body)
    transport("0", session).handle_post(exchange, [], "application/x-www-form-urlencoded")
    return exchange.status, session.packets, session.errors


class TestIndex:
    @pytest.mark.parametrize("text", ["0", "12", "0123456789"])
    def test_digits(self, text: str) -> None:
        assert parse_index(text) == text

    @pytest.mark.parametrize(
        "text", ["", "0];alert(1)//", "1\n", "-1", "1e3", "12345678901", "\u0661", "\xb2", " 1", "+1"]
    )
    def test_everything_else_e3_11_e3_12(self, text: str) -> None:
        with pytest.raises(BadRequest) as caught:
            parse_index(text)
        assert not text.strip() or text not in str(caught.value)


#: Where we write more escapes than the reference, or take no such index.
OTHER_SCRIPT = {
    "closing script tag is left as is": "no text of a client can end a script element",
    "index with junk is reduced to its digits": "refused by parse_index",
    "index empty": "refused by parse_index",
}

RESPONSES = load("eio3-jsonp", "responses")
REQUESTS = load("eio3-jsonp", "requests")
ODD_REQUESTS = load("eio3-jsonp", "odd_requests")


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


class TestScript:
    @pytest.mark.parametrize("vector", RESPONSES, ids=names(RESPONSES))
    def test_vectors(self, vector: dict[str, Any]) -> None:
        payload, body = frame(vector["payload"]), frame(vector["body"])
        assert isinstance(payload, str) and isinstance(body, str)
        if OTHER_SCRIPT.get(vector["name"]) == "refused by parse_index":
            with pytest.raises(BadRequest):
                parse_index(vector["j"])
            return
        script = transport(parse_index(vector["j"])).wrap([payload.encode()], [])[1].decode()
        if vector["name"] in OTHER_SCRIPT:
            body = body.replace("<", "\\u003c")
        assert script == body

    def test_the_exceptions_are_vectors(self) -> None:
        assert set(OTHER_SCRIPT) <= set(names(RESPONSES))

    @given(st.text(st.characters(codec="utf-8")))
    def test_a_script_is_a_call_with_one_text_e3_14(self, text: str) -> None:
        script = transport("7").wrap([text.encode()], [])[1].decode()
        assert script.startswith("___eio[7](") and script.endswith(");")
        assert json.loads(script[len("___eio[7](") : -2]) == text
        assert not set(script) & set("<\u2028\u2029\r\n")

    def test_the_headers_let_no_browser_guess(self) -> None:
        headers = dict(transport().wrap([], [("X", "y")])[0])
        assert headers["Content-Type"] == "text/javascript; charset=UTF-8"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X"] == "y"


class TestForm:
    @pytest.mark.parametrize("vector", REQUESTS, ids=names(REQUESTS))
    def test_vectors(self, vector: dict[str, Any]) -> None:
        # The payloads are those of the older revision: here each is the text of one message.
        recovered = frame(vector["server_recovers"])
        body = vector["body"].replace("d=", "d=4", 1)
        assert post(body.encode()) == (200, [(MESSAGE, recovered)], [])

    @pytest.mark.parametrize("vector", ODD_REQUESTS, ids=names(ODD_REQUESTS))
    def test_vectors_of_odd_forms(self, vector: dict[str, Any]) -> None:
        body = vector["body"].replace("d=", "d=4")
        recovered = vector["server_recovers"]
        packets = [] if "$undefined" in recovered else [(MESSAGE, frame(recovered))]
        assert post(body.encode()) == (200, packets, [])

    @pytest.mark.parametrize(
        ("body", "text"),
        [(b"d=4a&x=1", "a"), (b"x=1&d=4a", "a"), (b"d=4%", "%"), (b"d=4%4&", "%4"), (b"d=4%x0", "%x0")],
    )
    def test_forms_as_node_reads_them(self, body: bytes, text: str) -> None:
        assert post(body) == (200, [(MESSAGE, text)], [])

    @pytest.mark.parametrize("body", [b"", b"4hello", b"e=4hello", b"d=4a&d=4b", b"d", b"&", b"xd=4a"])
    def test_forms_that_are_ignored(self, body: bytes) -> None:
        assert post(body) == (200, [], [])

    def test_many_bad_escapes(self) -> None:
        assert post(b"d=4" + b"%x" * 1000)[0] == 200
        assert post(b"d=4" + b"%x" * 1001)[0] == 400
        body = b"d=4" + b"%" * MEGABYTE
        assert cpu_seconds(lambda: post(body)) < 50 * MS

    @pytest.mark.parametrize("body", [b"d=4%ff", b"d=4\xff", b"d=", b"d=9x", b"d=4a%1e9"])
    def test_bad_forms(self, body: bytes) -> None:
        status, _, errors = post(body)
        assert status == 400
        assert [type(error) for error in errors] == [PacketError]

    def test_several_packets(self) -> None:
        assert post(b"d=4a%1EbAQ%3D%3D%1E4c")[1] == [(MESSAGE, "a"), (MESSAGE, b"\x01"), (MESSAGE, "c")]

    # A backslash before a newline, which no JSON has, is written as the client writes a backslash and n.
    @given(st.text(st.characters(codec="utf-8", exclude_characters="\x1e\r")).filter(lambda text: "\\\n" not in text))
    @example("\\n\n\\\\n")
    def test_what_the_client_writes_is_read(self, text: str) -> None:
        # The client: first backslash and n, then the newlines.
        field = ("4" + text).replace("\\n", "\\\\n").replace("\n", "\\n")
        assert post(b"d=" + quote_plus(field).encode())[1] == [(MESSAGE, text)]

    @given(st.binary())
    def test_any_body_is_answered(self, body: bytes) -> None:
        assert post(b"d=4" + body)[0] in (200, 400)

    @pytest.mark.parametrize("filler", ["\\", "\\n", "\n", "%", "&", "=", "a", "%5C"])
    def test_a_megabyte_takes_no_time(self, filler: str) -> None:
        body = ("d=4" + filler * ((MEGABYTE - 3) // len(filler))).encode()
        # Python's own decoder takes its time over many escapes, which grows with the size alone.
        assert cpu_seconds(lambda: post(body)) < 250 * MS

    def test_a_form_as_browsers_write_it(self) -> None:
        assert post(urlencode({"d": '42["\u00e9 +&=%"]'}).encode())[1] == [(MESSAGE, '2["\u00e9 +&=%"]')]
