"""Clients that are too slow for an ordinary request, or leave before it is over."""

from __future__ import annotations

import _socket
import logging
import socket
import time

import pytest

from pyramid_socketio.protocol.http import parse_head
from pyramid_socketio.server import connection as server_connection
from pyramid_socketio.server.connection import HTTPConnection
from tests.conftest import DEADLINE, wait_for
from tests.functional.raw import Connection
from tests.functional.serving import ThreadServer
from tests.functional.wsgi_app import SEEN

# Too slow


def test_408_head(client: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.request("GET", "/hello").status == 200
    monkeypatch.setattr(server_connection, "HEADER_TIMEOUT", 0.1)
    client.send(b"GET /hello HTTP/1.1\r\n")
    answer = client.response()
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert client.read_to_end() == b""


def test_408_drops_do_not_make_it_longer(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_connection, "HEADER_TIMEOUT", 0.2)
    began = time.monotonic()
    with Connection(server.port) as client:
        try:
            while time.monotonic() < began + DEADLINE:
                client.send(b"x")
                if not client.is_silent(0.02):
                    break
        except OSError:
            pass
        assert time.monotonic() - began < DEADLINE / 2


def test_a_connection_that_never_asks(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_connection, "HEADER_TIMEOUT", 0.1)
    with Connection(server.port) as client:
        assert client.read_to_end() == b""


def test_keep_alive_ends(client: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_connection, "KEEPALIVE_TIMEOUT", 0.1)
    assert client.request("GET", "/hello").status == 200
    assert client.read_to_end() == b""


@pytest.mark.parametrize("sent", [b"", b"x"])
def test_408_body(client: Connection, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server_connection, "BODY_GRACE", 0.1)
    client.ask("POST", "/echo", {"Content-Length": "10000"})
    client.send(sent)
    answer = client.response()
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert client.read_to_end() == b""


# Gone


def test_client_gone_in_the_body(server: ThreadServer) -> None:
    for reset in (False, True):
        SEEN.clear()
        client = Connection(server.port)
        client.ask("POST", "/catches", {"Content-Length": "10"})
        client.send(b"abc")
        assert client.is_silent(0.05)
        if reset:
            client.reset()
        else:
            client.close()
        (error,) = wait_for(lambda: SEEN)
        assert isinstance(error, OSError)


def leave(server: ThreadServer, method: str, path: str, body: bytes | None = None, **headers: str) -> list[str]:
    """Ask, leave before the answer, and wait until the request is over; the errors that were logged."""
    client = Connection(server.port)
    client.ask(method, path, {name.replace("_", "-"): value for name, value in headers.items()}, body)
    wait_for(lambda: server.call(lambda: any(c._state != "head" for c in server.server.connections)))
    client.close()
    wait_for(lambda: server.log_lines("pyramid_socketio.access"))
    server.call(lambda: None)  # whatever the worker had to say, it has said when others have their turn
    return [record.getMessage() for record in server.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("path", ["/late", "/late_stream", "/late_second_piece", "/late_refusal"])
def test_client_gone_before_the_answer(server: ThreadServer, path: str) -> None:
    assert leave(server, "GET", path) == []


@pytest.mark.parametrize("path", ["/echo", "/echo_by_length", "/pieces", "/digest"])
def test_client_gone_in_the_body_of_any_view(server: ThreadServer, path: str) -> None:
    assert leave(server, "POST", path, b"abc", Content_Length="10") == []


def test_client_gone_and_the_view_fails(server: ThreadServer) -> None:
    """That is the application's error as ever, and only that."""
    assert leave(server, "GET", "/late_failure?token=x") == ["unexpected error in GET /late_failure"]
    server.forget()


@pytest.mark.parametrize("body", [None, b"abc"])
def test_client_gone_before_its_body_is_asked_for(server: ThreadServer, body: bytes | None) -> None:
    assert leave(server, "POST", "/late_read", body, Content_Length="10") == []
    (error,) = SEEN
    assert isinstance(error, ConnectionResetError)


def test_a_body_that_came_before_its_client_left(server: ThreadServer) -> None:
    """Some post and do not wait for an answer."""
    assert leave(server, "POST", "/late_read", b"abc") == []
    assert SEEN == [b"abc"]


def test_client_gone_while_it_is_told_to_continue(server: ThreadServer) -> None:
    """Sending the 100 is what finds out."""
    lost = []

    def start_body() -> None:
        ours, theirs = socket.socketpair()
        connection = HTTPConnection(server.server, _socket.socket(fileno=ours.detach()), "")
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        connection._set_timer(None)
        connection.head = parse_head(head)
        connection._left = 3
        theirs.close()

        class Body:
            def fail(self, status: int) -> None:
                lost.append((status, connection._timer))

        connection.start_body(Body())
        lost.append(connection._timer)

    server.call(start_body)
    assert lost == [(0, None), None], "a timer would wait for a body that is nobody's"


def test_client_gone_in_the_head(server: ThreadServer) -> None:
    for data in (b"", b"GET /hel", b"GET /hello HTTP/1.1\r\nHo"):
        client = Connection(server.port)
        client.send(data)
        client.reset()
    wait_for(lambda: not server.server.connections)
    assert server.log_lines() == []
