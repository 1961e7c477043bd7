"""Ordinary views through the port that Socket.IO shares: HTTP/1.1 as any WSGI server speaks it."""

from __future__ import annotations

import _socket
import errno
import hashlib
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound
from pyramid.response import Response

from pyramid_socketio import SocketIOContext
from pyramid_socketio.engine import UPGRADE_KEY
from pyramid_socketio.errors import HTTPError
from pyramid_socketio.interfaces import CONNECTION
from pyramid_socketio.protocol.http import parse_head
from pyramid_socketio.server import connection as server_connection
from pyramid_socketio.server.connection import HTTPConnection
from tests.conftest import DEADLINE, wait_for
from tests.functional.raw import (
    POLLING,
    TEXT,
    UPGRADE,
    WEBSOCKET,
    Connection,
    EngineSocket,
    PollingSession,
    encode_request,
    request,
)
from tests.functional.serving import ThreadServer

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

BIG = bytes(range(256)) * 40_000  # 10 MB: more than the kernel takes at once

#: What applications have seen.
SEEN: list[Any] = []


class Views:
    """A WSGI application: ``/name`` is answered by the method ``name``."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        name = environ["PATH_INFO"].strip("/")
        return getattr(self, name)(environ, start_response)  # type: ignore[no-any-return]

    @staticmethod
    def _answer(start_response: StartResponse, body: bytes, status: str = "200 OK") -> list[bytes]:
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def hello(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, b"hello " + environ["QUERY_STRING"].encode())

    def no_length(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [b"one", b"", b"two"]

    def echo(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, environ["wsgi.input"].read())

    def echo_by_length(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))

    def pieces(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        stream = environ["wsgi.input"]
        parts = [stream.read(0), stream.read(3), stream.readline(), stream.readline(2), stream.readline(), *stream]
        parts += [stream.read(), stream.readline(), stream.read(5)]
        return self._answer(start_response, repr(parts).encode())

    def lines(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, repr(environ["wsgi.input"].readlines()).encode())

    def digest(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        digest = hashlib.sha256()
        stream = environ["wsgi.input"]
        while piece := stream.read(10_000):
            digest.update(piece)
        return self._answer(start_response, digest.hexdigest().encode())

    def catches(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            SEEN.append(error)
            raise
        return []

    @staticmethod
    def _until_gone(environ: Environ) -> None:
        with gevent.Timeout(DEADLINE):
            while not environ[CONNECTION].wire.closed:
                gevent.sleep(0.001)

    def late(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        return self._answer(start_response, b"too late")

    def late_stream(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        self._until_gone(environ)
        yield b"too late"

    def late_second_piece(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        self._until_gone(environ)
        yield b"too late"

    def late_failure(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        raise RuntimeError("a secret detail")

    def late_refusal(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        raise HTTPError(413, "the body is too long")

    def late_read(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        try:
            with gevent.Timeout(DEADLINE / 4):
                SEEN.append(environ["wsgi.input"].read())
        except OSError as error:
            SEEN.append(error)
            raise
        return self._answer(start_response, b"too late")

    def switch(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "chat")])
        return []

    def failing_upgrade(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        def upgrade(exchange: Any, head: bytes) -> None:
            raise RuntimeError("a secret detail")

        environ[UPGRADE_KEY] = upgrade
        if "early" in environ["QUERY_STRING"]:
            environ[CONNECTION].answer_early(environ, 101, [], b"")
        return self.switch(environ, start_response)

    def fails_behind_its_answer(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ[CONNECTION].answer_early(environ, 200, [], b"early")
        raise RuntimeError("a secret detail")

    def loses_its_database(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise BrokenPipeError(errno.EPIPE, "the database")

    def empty(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("204 No Content", [])
        return []

    def not_modified(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("304 Not Modified", [("ETag", '"x"')])
        return [b""]

    def stream(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        gevent.sleep(0.05)
        yield b"second"

    def big(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, BIG)

    def big_stream(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(len(BIG)))])
        for at in range(0, len(BIG), 100_000):
            yield BIG[at : at + 100_000]

    def endless(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 100_000
        finally:
            SEEN.append("closed")

    def write(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"abc")
        return [b"def"]

    def fails(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise RuntimeError("a secret detail")

    def refused(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise ConnectionRefusedError("the database")

    def fails_late(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        raise RuntimeError("a secret detail")

    def closes(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])

        class Body:
            def __iter__(self) -> Iterator[bytes]:
                yield b"ok"

            def close(self) -> None:
                SEEN.append("closed")

        return Body()

    def environ(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        wanted = {key: value for key, value in environ.items() if isinstance(value, str)}
        return self._answer(start_response, repr(wanted).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer(Views(), max_request_body_size=1_000_000) as server:
        yield server


@pytest.fixture(autouse=True)
def no_failures(server: ThreadServer) -> Iterator[None]:
    server.call(lambda: None)  # an answer is out before its line is in the log
    server.forget()
    SEEN.clear()
    yield
    assert server.failures == []


@pytest.fixture
def client(server: ThreadServer) -> Iterator[Connection]:
    with Connection(server.port) as connection:
        yield connection


def test_keep_alive(client: Connection) -> None:
    for number in range(3):
        answer = client.request("GET", f"/hello?{number}")
        assert (answer.status, answer.body) == (200, b"hello %d" % number)
        assert "date" in answer.headers


def test_connection_close(client: Connection) -> None:
    assert client.request("GET", "/hello", {"Connection": "close"}).headers["connection"] == "close"
    assert client.read_to_end() == b""


def test_http_1_0(server: ThreadServer) -> None:
    with Connection(server.port) as client:
        client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        answer = client.response()
        assert (answer.body, "transfer-encoding" in answer.headers) == (b"firstsecond", False)
    with Connection(server.port) as client:
        for _ in range(2):
            client.send(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            assert (answer.body, answer.headers["connection"]) == (b"hello ", "keep-alive")
        client.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = client.response()
        assert (answer.body, answer.headers["connection"]) == (b"firstsecond", "close")


def test_pipelining(client: Connection) -> None:
    client.send(b"".join(encode_request("GET", f"/hello?{number}") for number in range(50)))
    client.send(encode_request("POST", "/echo", None, b"body") + encode_request("GET", "/hello?last"))
    assert [client.response().body for _ in range(52)] == [b"hello %d" % n for n in range(50)] + [
        b"body",
        b"hello last",
    ]


def test_pipelining_more_than_is_read_in_advance(client: Connection) -> None:
    one = encode_request("GET", "/hello", {"X-Padding": "x" * 8000})
    client.send(one * 30)
    assert {client.response().body for _ in range(30)} == {b"hello "}


def test_a_head_byte_by_byte(client: Connection) -> None:
    for byte in encode_request("GET", "/hello?slow"):
        client.send(bytes([byte]))
    assert client.response().body == b"hello slow"


def test_an_empty_line_before_a_request(client: Connection) -> None:
    client.send(b"\r\n" + encode_request("GET", "/hello"))
    assert client.response().body == b"hello "


# Bodies

CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize("path", ["/echo", "/echo_by_length"])
@pytest.mark.parametrize("body", [b"", b"x", b"x" * 300_000])
def test_body_by_length(client: Connection, path: str, body: bytes) -> None:
    for _ in range(2):
        assert client.request("POST", path, None, body).body == body


def test_body_in_chunks(client: Connection) -> None:
    for _ in range(2):
        client.ask("POST", "/echo", CHUNKED, b"3;ext=1\r\nabc\r\n4\r\ndefg\r\n")
        client.send(b"0\r\nTrailer: x\r\n\r\n")
        assert client.response().body == b"abcdefg"


def test_body_byte_by_byte(client: Connection) -> None:
    for byte in encode_request("POST", "/echo", CHUNKED, b"3\r\nabc\r\n0\r\n\r\n") + encode_request("GET", "/hello"):
        client.send(bytes([byte]))
    assert client.response().body == b"abc"
    assert client.response().body == b"hello "


def test_body_in_pieces(client: Connection) -> None:
    body = b"0123456\nabcdef\nline\nmore\nlast"
    expected = [b"", b"012", b"3456\n", b"ab", b"cdef\n", b"line\n", b"more\n", b"last", b"", b"", b""]
    assert client.request("POST", "/pieces", None, body).body == repr(expected).encode()
    assert client.request("POST", "/lines", None, b"a\nb\nc").body == repr([b"a\n", b"b\n", b"c"]).encode()
    assert client.request("GET", "/pieces").body == repr([b""] * 8).encode()


def test_a_big_body_that_is_read_slowly(client: Connection) -> None:
    body = BIG[:1_000_000]
    assert client.request("POST", "/digest", None, body).text == hashlib.sha256(body).hexdigest()
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[n : n + 7777] for n in range(0, len(body), 7777)))
    assert client.request("POST", "/digest", CHUNKED, chunked + b"0\r\n\r\n").text == hashlib.sha256(body).hexdigest()


def test_expect_continue(client: Connection) -> None:
    client.ask("POST", "/echo", {"Expect": "100-continue", "Content-Length": "3"})
    assert client.read_line() == b"HTTP/1.1 100 Continue"
    assert client.read_line() == b""
    client.send(b"abc")
    assert client.response().body == b"abc"
    assert client.request("GET", "/hello").status == 200


def test_expect_continue_without_interest(client: Connection) -> None:
    """The view does not read: the client is told so before it sends."""
    answer = client.request("POST", "/hello", {"Expect": "100-continue", "Content-Length": "300000"})
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert client.read_to_end() == b""


def test_a_short_body_that_is_not_read(client: Connection) -> None:
    for body in (b"x" * 10, b"x" * 60_000):
        assert client.request("POST", "/hello", None, body).body == b"hello "
    assert client.request("GET", "/hello").body == b"hello "


def test_a_long_body_that_is_not_read(client: Connection) -> None:
    client.ask("POST", "/hello", {"Content-Length": "900000"})
    answer = client.response()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    client.sock.settimeout(0.5)
    try:
        client.send(b"x" * 30_000)
    except OSError:
        pass


@pytest.mark.parametrize(
    "body", [b"GET /hello HTTP/1.1\r\n", b"zz\r\n", b"-1\r\n", b"\r\n", b"3\r\nabcd\r\n", b"3\nabc\n"]
)
def test_bad_chunks(client: Connection, body: bytes) -> None:
    answer = client.request("POST", "/echo", CHUNKED, body)
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert client.read_to_end() == b""


def test_413(server: ThreadServer) -> None:
    with Connection(server.port) as client:
        client.ask("POST", "/echo", {"Content-Length": "1000001"})
        assert client.response().status == 413
        assert client.read_to_end() == b""
    with Connection(server.port) as client:
        piece = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        try:
            client.ask("POST", "/echo", CHUNKED, piece * 11)
        except OSError:
            pass
        answer = client.response()
        assert (answer.status, answer.headers["connection"]) == (413, "close")


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
            while time.monotonic() < began + 5:
                client.send(b"x")
                if not client.is_silent(0.02):
                    break
        except OSError:
            pass
        assert time.monotonic() - began < 2


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


# Answers


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


def test_stream(client: Connection) -> None:
    client.ask("GET", "/stream")
    assert client.read_line() == b"HTTP/1.1 200 OK"
    while client.read_line():
        pass
    assert (client.read_line(), client.read_line()) == (b"5", b"first")
    assert client.is_silent(0.01), "the second piece is not waited for"
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


def test_too_many_connections() -> None:
    with ThreadServer(Views(), max_connections=3) as server:
        with Connection(server.port) as idle, Connection(server.port) as half, Connection(server.port) as silent:
            assert idle.request("GET", "/hello").status == 200
            half.send(b"GET /hello HTTP/1.1\r\n")
            wait_for(lambda: len(server.server.connections) == 3)
            for _ in range(3):
                with Connection(server.port) as refused:
                    answer = refused.response()
                    assert (answer.status, answer.headers["connection"]) == (503, "close")
                    assert int(answer.headers["retry-after"]) > 0
                    assert refused.read_to_end() == b""
            assert idle.request("GET", "/hello").status == 200, "who is in stays in"
            silent.close()
            wait_for(lambda: len(server.server.connections) == 2)
            assert request(server.port, "GET", "/hello").status == 200
        warnings = [record.getMessage() for record in server.records if record.levelno >= logging.WARNING]
        assert warnings == ["refused a connection with 503: there are max_connections = 3 already"]


def test_exception_in_the_middle(server: ThreadServer, client: Connection) -> None:
    """The client must be able to tell that the answer is not whole."""
    client.ask("GET", "/fails_late")
    data = client.read_to_end()
    assert data.endswith(b"5\r\nfirst\r\n")
    assert wait_for(lambda: server.failures) == ["unexpected error in GET /fails_late"]
    server.forget()


def test_environ(client: Connection) -> None:
    headers = {
        "X-Multi": "a",
        "x_multi": "b",
        "Proxy": "http://evil",
        "Content-Type": "a/b",
        "Cookie": "a=1\r\nCookie: b=2",
    }
    answer = client.request("GET", "/environ/?a=%20b", headers)
    environ = eval(answer.text)
    assert environ["PATH_INFO"] == "/environ/"
    assert environ["QUERY_STRING"] == "a=%20b"
    assert (environ["HTTP_X_MULTI"], environ["CONTENT_TYPE"]) == ("a", "a/b")
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["SERVER_PORT"].isdigit()
    assert not {"HTTP_PROXY", "HTTP_CONTENT_TYPE"} & environ.keys()


def test_percent_encoding(server: ThreadServer, client: Connection) -> None:
    environ = eval(client.request("GET", "/%65nviron/?x").text)
    assert environ["PATH_INFO"] == "/environ/"
    absolute = eval(client.request("GET", "http://example.com:81/environ?x", {"Host": "other"}).text)
    assert (absolute["PATH_INFO"], absolute["HTTP_HOST"]) == ("/environ", "example.com:81")


def test_access_log(server: ThreadServer, client: Connection) -> None:
    client.request("GET", "/hello?token=secret")
    client.request("GET", "/hello/%1b[31m%0a".replace("%1b[31m%0a", ""), {"User-Agent": "\x9b31m"})
    for line in wait_for(lambda: server.log_lines("pyramid_socketio.access")):
        assert line.startswith('127.0.0.1 "GET /hello') and " 200 " in line
        assert line.isprintable() and "secret" not in line


# Handshakes are ordinary requests


class Plain(SocketIOContext):
    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)


def cookies(handler: Any, registry: Any) -> Any:
    """A tween that does what session and authentication policies do."""

    def tween(request: Any) -> Any:
        if request.params.get("user") == "nobody":
            return HTTPForbidden("not you")
        if request.params.get("user") == "elsewhere":
            return HTTPFound("/login")
        if request.params.get("user") == "broken":
            raise RuntimeError("a secret detail")
        request.add_response_callback(lambda request, response: response.set_cookie("session", "abc"))
        return handler(request)

    return tween


@pytest.fixture(scope="module")
def pyramid_server() -> Iterator[ThreadServer]:
    with Configurator() as config:
        config.include("pyramid_socketio")
        config.add_tween(f"{__name__}.cookies")
        config.add_socketio_context(Plain, "/")
        config.add_route("page", "/")
        config.add_view(lambda request: Response("a page"), route_name="page")
    with ThreadServer(config.make_wsgi_app()) as server:
        yield server


def test_cookies_of_the_application(pyramid_server: ThreadServer) -> None:
    with EngineSocket(pyramid_server.port) as websocket:
        assert websocket.handshake.headers["set-cookie"] == "session=abc; Path=/"
    answer = request(pyramid_server.port, "GET", POLLING)
    assert (answer.status, answer.headers["set-cookie"]) == (200, "session=abc; Path=/")
    # Not on the express lane: the application is not asked there.
    with PollingSession(pyramid_server.port) as session:
        session.start_poll()
        session.post("40")
        assert "set-cookie" not in session.gets.response().headers


@pytest.mark.parametrize(("user", "status"), [("nobody", 403), ("elsewhere", 302)])
@pytest.mark.parametrize("path", [POLLING, WEBSOCKET])
def test_a_tween_refuses(pyramid_server: ThreadServer, path: str, user: str, status: int) -> None:
    with Connection(pyramid_server.port) as client:
        answer = client.request("GET", f"{path}&user={user}", UPGRADE if path == WEBSOCKET else None)
        assert answer.status == status
        assert answer.headers.get("location", "").endswith("/login" if status == 302 else "")
        assert "upgrade" not in answer.headers
        # It is still HTTP on this connection.
        assert client.request("GET", "/").body == b"a page"


def test_a_tween_fails(server: ThreadServer, pyramid_server: ThreadServer) -> None:
    pyramid_server.forget()
    answer = request(pyramid_server.port, "GET", f"{WEBSOCKET}&user=broken", UPGRADE)
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert len(wait_for(lambda: pyramid_server.failures)) == 1
    server.forget()


def test_one_connection_for_everything(pyramid_server: ThreadServer) -> None:
    with Connection(pyramid_server.port) as client:
        assert client.request("GET", "/").body == b"a page"
        opened = client.request("GET", POLLING).text
        path = f"{POLLING}&sid={opened.split(chr(34))[3]}"
        assert client.request("POST", path, None, b"40").body == b"ok"
        assert client.request("GET", path).text.startswith("40{")
        assert client.request("GET", "/").body == b"a page"
        client.ask("GET", WEBSOCKET, UPGRADE)
        assert client.response().status == 101
        assert client.read(1)[0] == 0x80 | TEXT


def test_requests_in_advance_on_the_express_lane(pyramid_server: ThreadServer) -> None:
    with PollingSession(pyramid_server.port) as session:
        session.posts.send(
            b"".join(
                encode_request("POST", session.path, None, b"4" + body)
                for body in (b"0", b'2["echo",1]', b'2["echo",2]')
            )
            + encode_request("GET", "/")
        )
        assert [session.posts.response().body for _ in range(4)] == [b"ok", b"ok", b"ok", b"a page"]
        packets: list[str] = []
        while len(packets) < 3:
            packets += session.poll().split("\x1e")
        assert packets[1:] == ['42["echo",1]', '42["echo",2]']
