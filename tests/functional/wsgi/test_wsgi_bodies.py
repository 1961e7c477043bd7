"""Bodies of requests, by their length and in chunks, read or not."""

from __future__ import annotations

import hashlib

import pytest

from tests.functional.raw import Connection, encode_request
from tests.functional.serving import ThreadServer
from tests.functional.wsgi_app import BIG

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
