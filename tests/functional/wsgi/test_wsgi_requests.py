"""Ordinary requests through the port that Socket.IO shares: HTTP/1.1 as any WSGI server speaks it."""

from __future__ import annotations

import logging

from tests.conftest import wait_for
from tests.functional.raw import Connection, encode_request, request
from tests.functional.serving import ThreadServer
from tests.functional.wsgi_app import Views


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


# What views and the log are told


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
