"""Answers of ordinary views: lengths, streams, slow readers, and views that fail."""

from __future__ import annotations

import pytest

from tests.conftest import wait_for
from tests.functional.raw import UPGRADE, WEBSOCKET, Connection
from tests.functional.serving import ThreadServer
from tests.functional.wsgi_app import BIG, GO_ON, SEEN


@pytest.mark.parametrize(
    ("path", "length"),
    [("/hello", "6"), ("/big", str(len(BIG))), ("/no_length", "6"), ("/write", "6"), ("/closes", "2")],
)
def test_head(client: Connection, path: str, length: str) -> None:
    client.ask("HEAD", path)
    answer = client.response("HEAD")
    assert (answer.status, answer.headers["content-length"]) == (200, length)
    assert client.request("GET", "/hello?behind").body == b"hello behind"


def test_head_of_a_stream(client: Connection) -> None:
    client.ask("HEAD", "/stream")
    assert client.response("HEAD").status == 200
    assert client.request("GET", "/hello?behind").body == b"hello behind"


@pytest.mark.parametrize(("path", "status"), [("/empty", 204), ("/not_modified", 304)])
def test_no_body(client: Connection, path: str, status: int) -> None:
    answer = client.request("GET", path)
    assert answer.status == status
    assert not {"content-length", "transfer-encoding"} & answer.headers.keys()
    assert client.request("GET", "/hello").body == b"hello "


def test_no_length(client: Connection) -> None:
    answer = client.request("GET", "/no_length")
    assert (answer.body, answer.headers["content-length"]) == (b"onetwo", "6")


def test_stream(server: ThreadServer, client: Connection) -> None:
    GO_ON.clear()
    client.ask("GET", "/stream")
    assert client.read_line() == b"HTTP/1.1 200 OK"
    while client.read_line():
        pass
    assert (client.read_line(), client.read_line()) == (b"5", b"first")
    server.call(GO_ON.set)
    assert (client.read_line(), client.read_line()) == (b"6", b"second")
    assert (client.read_line(), client.read_line()) == (b"0", b"")
    assert client.request("GET", "/write").body == b"abcdef"


@pytest.mark.parametrize("path", ["/big", "/big_stream"])
def test_a_slow_reader(server: ThreadServer, path: str) -> None:
    with Connection(server.port, receive_buffer=4096) as slow, Connection(server.port) as quick:
        slow.ask("GET", path)
        slow.sock.settimeout(5)
        assert slow.read_line() == b"HTTP/1.1 200 OK"
        assert quick.request("GET", path).body == BIG
        while slow.read_line():
            pass
        assert slow.read(len(BIG)) == BIG
        assert slow.request("GET", "/hello").body == b"hello "


def test_a_reader_that_goes_away(server: ThreadServer) -> None:
    client = Connection(server.port)
    client.ask("GET", "/endless")
    client.read(1_000_000)
    client.close()
    assert wait_for(lambda: SEEN) == ["closed"]


def test_close_is_called_once(client: Connection) -> None:
    assert client.request("GET", "/closes").body == b"ok"
    assert wait_for(lambda: SEEN) == ["closed"]


# Views that fail


def test_exception(server: ThreadServer, client: Connection) -> None:
    answer = client.request("GET", "/fails?token=x")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert wait_for(lambda: server.failures) == ["unexpected error in GET /fails"]
    server.forget()


def test_errors_of_the_applications_own_connections_are_logged(server: ThreadServer, client: Connection) -> None:
    assert client.request("GET", "/refused").status == 500
    assert wait_for(lambda: server.failures) == ["unexpected error in GET /refused"]
    server.forget()


def test_a_lost_connection_of_the_application_is_its_error(server: ThreadServer, client: Connection) -> None:
    """An errno alone does not tell whose connection it was."""
    assert client.request("GET", "/loses_its_database").status == 500
    assert wait_for(lambda: server.failures) == ["unexpected error in GET /loses_its_database"]
    server.forget()


def test_exception_behind_an_early_answer(server: ThreadServer, client: Connection) -> None:
    assert client.request("GET", "/fails_behind_its_answer?token=x").body == b"early"
    assert wait_for(lambda: server.failures) == ["unexpected error in GET /fails_behind_its_answer"]
    assert client.request("GET", "/hello").body == b"hello "
    server.forget()


def test_exception_in_the_middle(server: ThreadServer, client: Connection) -> None:
    """The client must be able to tell that the answer is not whole."""
    client.ask("GET", "/fails_late")
    data = client.read_to_end()
    assert data.endswith(b"5\r\nfirst\r\n")
    assert wait_for(lambda: server.failures) == ["unexpected error in GET /fails_late"]
    server.forget()


# Upgrades that are not Socket.IO's


def test_a_view_switches_to_what_the_server_does_not_speak(client: Connection) -> None:
    client.ask("GET", "/switch")
    assert client.read_line() == b"HTTP/1.1 101 Switching Protocols"
    assert client.read_to_end().endswith(b"\r\n\r\n")


@pytest.mark.parametrize("query", ["", "?early"])
def test_an_upgrade_that_fails(server: ThreadServer, client: Connection, query: str) -> None:
    assert client.request("GET", f"/failing_upgrade{query}", UPGRADE).status == 500
    assert wait_for(lambda: server.failures) == ["unexpected error in GET /failing_upgrade"]
    server.forget()


def test_an_upgrade_with_a_body(client: Connection) -> None:
    """Its bytes would be read as frames by one program, and not by another."""
    for headers in ({"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}):
        with Connection(client.sock.getpeername()[1]) as other:
            answer = other.request("GET", WEBSOCKET, {**UPGRADE, **headers}, b"abc")
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert other.read_to_end() == b""
    assert client.request("GET", "/hello", {**UPGRADE, "Content-Length": "0"}).status == 200
