"""Bad input of clients 0.5 to 0.9: sections 9.7 and 9.8 of the contract, a test for each row.

Elsewhere: L22 (``test_classic_09_sessions``), P11 (``test_classic_websockets``), P14 (``test_classic_06``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import wait_for
from tests.functional.browsers import frame_0_6
from tests.functional.classic import JSONP06, JSONP09, Polling06, Polling09, Socket06, Socket09, join_0_9
from tests.functional.classic_app import ENDED, application, for_one_test
from tests.functional.raw import BINARY, CLOSE, TEXT, WebSocket, request
from tests.functional.serving import ThreadServer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(application()) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


def gone(client: Polling09 | Polling06) -> bool:
    """Whether the server does not know the session any more."""
    answer = client.gets.request("GET", client.get_path)
    return answer.status == 404 if isinstance(client, Polling06) else "7:::1+0" in answer.text


def refused(server: ThreadServer, client: Any, body: bytes) -> None:
    """The POST is answered 400, and the session is over."""
    with client:
        answer = client.posts.request("POST", client.post_path, FORM, body)
        assert answer.status == 400
        assert gone(client)
    assert wait_for(lambda: ENDED) == ["protocol error"]


def ended(socket: WebSocket, text: str, code: int, reason: str = "protocol error") -> None:
    """The message ends the session, with this code."""
    with socket:
        socket.send_text(text)
        assert socket.close_code() == code
    assert wait_for(lambda: ENDED) == [reason]


# 9.7 Socket.IO 0.7 to 0.9


@pytest.mark.parametrize("path", ["/socket.io/2/", "/socket.io/2", "/socket.io/0/xhr-polling/nosuch"])
def test_L01_protocols_that_never_were(server: ThreadServer, path: str) -> None:
    answer = request(server.port, "GET", path)
    assert (answer.status, answer.text) == (400, "Protocol version not supported.")


def test_L03_a_poll_of_nobody(server: ThreadServer) -> None:
    answer = request(server.port, "GET", "/socket.io/1/xhr-polling/nosuch")
    assert (answer.status, answer.text) == (200, "7:::1+0")


def test_L04_a_websocket_of_nobody(server: ThreadServer) -> None:
    with WebSocket(server.port, "/socket.io/1/websocket/nosuch") as socket:
        assert socket.receive() == (TEXT, b"7:::1+0")
        assert socket.close_code() == 1000


@pytest.mark.parametrize("index", ["0];alert(1)//", "0%5D;alert(1)//", "1.5", "-1", "%D9%A1", "1%0A", "9" * 11])
@pytest.mark.parametrize("known", [True, False])
def test_L06_a_callback_that_is_no_number(server: ThreadServer, index: str, known: bool) -> None:
    with Polling09(server.port).open() as client:
        sid = client.sid if known else "nosuch"
        answer = request(server.port, "GET", f"/socket.io/1/jsonp-polling/{sid}?i={index}")
        assert answer.status == 400
        assert "alert" not in answer.text
        client.post("3:::x")
        assert client.receive() == ["3:::re:x"]


@pytest.mark.parametrize(
    "body", ["abc", "9:::x", ":::", "3", "", "\ufffd3\ufffd", "\ufffd-4\ufffd", "\ufffd1\ufffd2::"]
)
@pytest.mark.parametrize("waits", [True, False])
def test_L07_no_packet(server: ThreadServer, body: str, waits: bool) -> None:
    client = Polling09(server.port).open()
    if waits:
        client.start_poll()
        assert client.gets.is_silent(0.05)
    with client:
        assert client.try_post(body.encode()).status == 400
        if waits:
            assert client.finish_poll() == ["8::"]
        assert gone(client)
    assert wait_for(lambda: ENDED) == ["protocol error"]


@pytest.mark.parametrize("text", ["abc", "9:::x", ":::", "3", ""])
def test_L07_on_a_websocket(server: ThreadServer, text: str) -> None:
    ended(Socket09(server.port), text, 1002)


def test_L07_what_came_before_it_counts(server: ThreadServer) -> None:
    with Socket09(server.port) as other, Polling09(server.port).open() as client:
        good = '5:::{"name":"shout","args":[{"value":1}]}'
        assert client.try_post(join_0_9(good, "abc").encode()).status == 400
        assert other.receive_text() == '4:::{"type":"heard","value":1}'
        assert gone(client)
    assert wait_for(lambda: ENDED)[0] == "protocol error"


def test_L09_lengths_are_of_utf_16(server: ThreadServer) -> None:
    with Polling09(server.port).open() as client:
        answer = client.try_post("\ufffd6\ufffd3:::\U0001f600\ufffd5\ufffd3:::a".encode())
        assert (answer.status, answer.body) == (200, b"1")
        assert client.receive(2) == ["3:::re:\U0001f600", "3:::re:a"]


@pytest.mark.parametrize("data", ["{bad", "[]", '{"args":[]}', '{"name":{}}', '{"name":"x","args":{}}', "", "null"])
def test_L10_no_event(server: ThreadServer, data: str) -> None:
    ended(Socket09(server.port), f"5:::{data}", 1002)


@pytest.mark.parametrize("text", ["6:::abc", "6:::1+notjson", "6:::", "6:::1+{}"])
def test_L12_no_ack(server: ThreadServer, text: str) -> None:
    ended(Socket09(server.port), text, 1002)


@pytest.mark.parametrize("text", ["6:::99999999999999999999", "6:::7", "6:::7+[1]"])
def test_L12_an_ack_that_nobody_waits_for(server: ThreadServer, text: str) -> None:
    with Socket09(server.port) as socket:
        socket.send_text(text)
        assert socket.ask("3:::x") == "3:::re:x"


@pytest.mark.parametrize("text", ['5:1e9+::{"name":"a"}', '5:-1::{"name":"a"}', f'5:{"1" * 5000}::{{"name":"a"}}'])
def test_L13_bad_ids(server: ThreadServer, text: str) -> None:
    ended(Socket09(server.port), text, 1002)


def test_L15_a_long_endpoint(server: ThreadServer) -> None:
    ended(Socket09(server.port), f"1::/{'a' * 10_000}", 1008, "limit exceeded")


@pytest.mark.parametrize("text", ["8::", "7:::", "0::/never", "2::", "1::", "1::/chat", "1::nope"])
def test_L16_what_says_nothing(server: ThreadServer, text: str) -> None:
    with Socket09(server.port) as socket:
        socket.send_text(text)
        socket.send_text("3:::x")
        while socket.receive_text() != "3:::re:x":
            pass
        assert ENDED == []


def test_L18_nobody_is_disconnected(server: ThreadServer) -> None:
    with Polling09(server.port).open() as client:
        assert request(server.port, "GET", "/socket.io/1/xhr-polling/OTHER?disconnect=1").status == 200
        assert request(server.port, "GET", f"/socket.io/1//{client.sid[:-1]}/?disconnect=1").status == 200
        client.post("3:::x")
        assert client.receive() == ["3:::re:x"]


@pytest.mark.parametrize("kind", [Socket09, Socket06])
def test_L19_a_binary_frame(server: ThreadServer, kind: Any) -> None:
    with kind(server.port) as socket:
        socket.send_frame(BINARY, b"3:::x")
        assert socket.close_code() == 1003
    assert wait_for(lambda: ENDED) == ["protocol error"]


@pytest.mark.parametrize("field", ["{}", "1", '"3:::a', '"3:::a"b', "", '"\\ud83d'])
def test_L21_no_field_of_jsonp(server: ThreadServer, field: str) -> None:
    refused(server, JSONP09(server.port).open(), b"d=" + quote(field).encode())


@pytest.mark.parametrize("body", [b"", b"d", b"x=1", b"d=2::&d=2::", b"d=2::&x=1", b"d=%ff", b"d=%zz", b"\xff"])
def test_L21_no_form_of_jsonp(server: ThreadServer, body: bytes) -> None:
    refused(server, JSONP09(server.port).open(), body)


# 9.8 Socket.IO 0.5 and 0.6

BAD_FRAMES = [
    "~m~5~m~abc",
    "~m~abc~m~x",
    "~m~-1~m~x",
    "~m~~m~x",
    "~m~3",
    "~m~99999999999~m~x",
    "x~m~1~m~a",
    "~m~\u0661~m~x",
    "~m~1~m~a~m~",
    "~m~1~m~\U0001f600",
]


@pytest.mark.parametrize("text", BAD_FRAMES)
class TestBadFrames:
    """P01 and P02."""

    def test_on_a_websocket(self, server: ThreadServer, text: str) -> None:
        ended(Socket06(server.port), text, 1002)

    @pytest.mark.parametrize("kind", [Polling06, JSONP06])
    def test_by_post(self, server: ThreadServer, kind: Any, text: str) -> None:
        refused(server, kind(server.port), b"data=" + quote(text).encode())


@pytest.mark.parametrize("message", ["~h~99", f"~h~{'9' * 10_000}", "~h~", "~h~\u0661", "~h~-1"])
def test_P04_and_P05_heartbeats_with_the_wrong_number(message: str) -> None:
    ENDED.clear()
    with ThreadServer(application(ping_interval="0.1", ping_timeout="0.3")) as server:
        with Socket06(server.port) as socket:
            assert socket.hear() == "~h~1"
            socket.say(message)
            assert socket.receive() == (CLOSE, b"\x03\xf3"), "no further heartbeat"
        assert wait_for(lambda: ENDED) == ["ping timeout"]
        wait_for(server.has_settled)
        assert server.failures == []


def test_P07_a_frame_as_data(server: ThreadServer) -> None:
    with Socket06(server.port) as socket:
        socket.send_text("~m~10~m~~m~3~m~abc")
        assert socket.receive_text() == frame_0_6("re:~m~3~m~abc")


@pytest.mark.parametrize(
    "body", [b"", b"x=1", b"data", b"data=&data=", b"data=%ff", b"data=%zz", b"\xff", b"data=&x=1"]
)
@pytest.mark.parametrize("kind", [Polling06, JSONP06])
def test_P08_no_form(server: ThreadServer, kind: Any, body: bytes) -> None:
    refused(server, kind(server.port), body)


@pytest.mark.parametrize("kind", [Polling06, JSONP06])
def test_P08_an_empty_form_is_one(server: ThreadServer, kind: Any) -> None:
    with kind(server.port) as client:
        assert client.try_post(b"data=").body == b"ok"
        client.post("x")
        assert client.receive() == ["re:x"]


@pytest.mark.parametrize("index", ["abc", "0];alert(1)//", "0];alert(1)", "1.5", "%D9%A1", "9" * 11])
@pytest.mark.parametrize("known", [True, False])
def test_P10_a_callback_that_is_no_number(server: ThreadServer, index: str, known: bool) -> None:
    with Polling06(server.port) as client:
        sid = client.sid if known else ""
        answer = request(server.port, "GET", f"/socket.io/jsonp-polling/{sid}/123/{index}")
        assert answer.status == 400
        assert "alert" not in answer.text
        client.post("x")
        assert client.receive() == ["re:x"]


def test_P13_lengths_are_of_utf_16(server: ThreadServer) -> None:
    with Socket06(server.port) as socket:
        socket.send_text("~m~2~m~\U0001f600~m~1~m~a")
        assert [socket.hear(), socket.hear()] == ["re:\U0001f600", "re:a"]
