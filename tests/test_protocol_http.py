"""HTTP heads, chunked bodies, responses. H01, Q1, ... name rows of the list of bad inputs."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_socketio.errors import HTTPError
from pyramid_socketio.protocol.http import (
    MAX_HEAD_SIZE,
    MAX_HEADERS,
    MAX_REQUEST_LINE,
    REASONS,
    ChunkedDecoder,
    Head,
    encode_response,
    escape,
    find_head_end,
    parse_head,
)
from tests.timing import MS, cpu_seconds

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\n"


def attributes(head: Head) -> dict[str, object]:
    return {name: getattr(head, name) for name in Head.__slots__}


def refused(head: bytes) -> int:
    """The status of the refusal, once the whole head has come."""
    with pytest.raises(HTTPError) as caught:
        parse_head(head)
    assert str(caught.value).isascii()
    return caught.value.status


# Heads


def test_request_of_a_browser() -> None:
    head = parse_head(
        b"GET /socket.io/?EIO=4&transport=polling&t=a?b HTTP/1.1\r\n"
        b"Host: localhost:6543\r\n"
        b"Connection: keep-alive\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
        b"Accept:*/*\r\n"
        b"X-Blanks: \t a b \t \r\n"
        b"X-Empty:\r\n"
        b"X-Latin: caf\xe9\r\n"
        b"Accept-Encoding: gzip, deflate, br\r\n"
        b"Cookie: a_b=c_d\r\n"
        b"\r\n"
    )
    assert attributes(head) == {
        "method": "GET",
        "target": "/socket.io/?EIO=4&transport=polling&t=a?b",
        "path": "/socket.io/",
        "query": "EIO=4&transport=polling&t=a?b",
        "version": "HTTP/1.1",
        "headers": {
            "host": "localhost:6543",
            "connection": "keep-alive",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64)",
            "accept": "*/*",
            "x-blanks": "a b",
            "x-empty": "",
            "x-latin": "caf\xe9",
            "accept-encoding": "gzip, deflate, br",
            "cookie": "a_b=c_d",
        },
        "content_length": None,
        "chunked": False,
        "keep_alive": True,
        "expect_continue": False,
    }


def test_bytearray_and_one_empty_line_before() -> None:
    assert parse_head(bytearray(b"\r\n" + GET + b"\r\n")).path == "/a"
    assert refused(b"\r\n\r\n" + GET + b"\r\n") == 400
    assert refused(b"\r\n\r\n") == 400


def test_repeated_headers_are_joined() -> None:
    head = parse_head(GET + b"X-A: 1\r\nCookie: a=1\r\nx-a: \t2 \r\nCOOKIE: b=2\r\nX-A:\r\n\r\n")
    assert head.headers == {"host": "x", "x-a": "1, 2, ", "cookie": "a=1; b=2"}


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Content-Type", "Origin", "Authorization"])
def test_single_headers_must_not_be_repeated(name: str) -> None:  # H01, H14, V19, Q1
    for values in (("3", "5"), ("3", "3")):
        lines = "".join(f"{name}: {value}\r\n" for value in values)
        assert refused(f"POST /a HTTP/1.0\r\n{lines}\r\n".encode()) == 400
        assert refused(f"POST /a HTTP/1.0\r\n{lines.lower()}X-A: b\r\n\r\n".encode()) == 400


def test_names_with_an_underscore_are_dropped() -> None:
    head = parse_head(GET + b"Content_Length: 3\r\nContent-Length: 5\r\nX_A: 1\r\nX_A: 2\r\nX-B: a_b\r\n\r\n")
    assert head.headers == {"host": "x", "content-length": "5", "x-b": "a_b"}
    assert head.content_length == 5


@pytest.mark.parametrize(
    ("first", "target", "path", "query", "host"),
    [
        ("GET /", "/", "/", "", "x"),
        ("GET //a//b", "//a//b", "//a//b", "", "x"),
        ("GET /%2e%2e/a%20b?", "/%2e%2e/a%20b?", "/%2e%2e/a%20b", "", "x"),
        ("GET /a%0d%0aX-Evil:1", "/a%0d%0aX-Evil:1", "/a%0d%0aX-Evil:1", "", "x"),  # H29
        ("GET http://y:80/a?b=http://z/", "http://y:80/a?b=http://z/", "/a", "b=http://z/", "y:80"),
        ("GET HTTPS://y", "HTTPS://y", "/", "", "y"),
        ("GET http://y?b", "http://y?b", "/", "b", "y"),
        ("OPTIONS *", "*", "*", "", "x"),
        ("M-SEARCH /", "/", "/", "", "x"),
    ],
)
def test_targets(first: str, target: str, path: str, query: str, host: str) -> None:
    head = parse_head(f"{first} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (head.target, head.path, head.query, head.headers["host"]) == (target, path, query, host)


@pytest.mark.parametrize(
    "line",
    [
        "GET * HTTP/1.1",
        "GET a HTTP/1.1",
        "CONNECT x:80 HTTP/1.1",
        "GET ftp://x/a HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u:p@x/a HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /caf\xe9 HTTP/1.1",
        "GET /\x1b[31m HTTP/1.1",  # H29
        "GET /\x7f HTTP/1.1",
        "GET\x0b/a\x0bHTTP/1.1",  # H16
        "GET /a\xa0HTTP/1.1",  # H17
        "GET\xa0/a HTTP/1.1",
        "GET\t/a HTTP/1.1",
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a b HTTP/1.1",
        " GET /a HTTP/1.1",
        "GET /a HTTP/1.1 ",
        "GET /a HTTP/1.1\r",
        "G\0T /a HTTP/1.1",
        "G(T /a HTTP/1.1",
        "GET /a",  # HTTP/0.9
        "GET /a ",
        "GET /a HTTP/0.9",
        "GET /a HTTP/1",  # H19, Q10
        "GET /a HTTP/1.9",
        "GET /a HTTP/1.10",
        "GET /a HTTP/01.1",
        "GET /a HTTP/1.\u00b9",
        "GET /a http/1.1",
        "GET /a HTTPS/1.1",
        "<policy-file-request/>\0",  # H31
        "",
    ],
)
def test_bad_request_lines(line: str) -> None:
    assert refused(f"{line}\r\nHost: x\r\n\r\n".encode("latin-1")) == 400


@pytest.mark.parametrize("line", ["GET /a HTTP/2.0", "PRI * HTTP/2.0", "GET /a HTTP/9.9"])
def test_other_versions(line: str) -> None:  # H19
    assert refused(f"{line}\r\nHost: x\r\n\r\n".encode()) == 505
    assert refused(f"{line}\r\n\r\n".encode()) == 505


@pytest.mark.parametrize(
    "lines",
    [
        b"X-B: q\rX-A: injected\r\n",  # H10, Q6
        b"X-A: a\x00b\r\n",  # H11, Q8
        b"X-A: a\x0bb\r\n",
        b"X-A: a\x1cb\r\n",
        b"X-A: a\x7fb\r\n",
        b"X-A: a\nX-B: b\r\n",
        b"X-A: a\r\n folded\r\n",
        b"X-A: a\r\n\tfolded\r\n",
        b" X-A: a\r\n",
        b"X-A : a\r\n",  # Q7
        b"Transfer-Encoding : chunked\r\n",
        b"X A: a\r\n",
        b"X\xe9: a\r\n",
        b"X(A): a\r\n",
        b": a\r\n",
        b"no colon\r\n",
        b"X-A: a\r\r\n",
    ],
)
def test_bad_header_lines(lines: bytes) -> None:
    assert refused(GET + lines + b"\r\n") == 400
    assert refused(GET + b"X-Good: a\r\n" + lines + b"X-Good: b\r\n\r\n") == 400


def test_bare_line_feeds() -> None:  # H13
    assert refused(b"GET /a HTTP/1.1\nHost: x\n\n") == 400
    assert refused(b"GET /a HTTP/1.1\nHost: x\r\n\r\n") == 400
    assert refused(GET + b"\n") == 400


@pytest.mark.parametrize("host", ["x", "x:80", "127.0.0.1:", "[::1]:6543", "a_b.example.com", ""])
def test_hosts(host: str) -> None:
    assert parse_head(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).headers["host"] == host


@pytest.mark.parametrize(
    "host", ["x, y", "x y", "u@x", "x/a", "x:80:80", "x:a", "[::1", "http://x", "x\xe9", "x\\y", "x?"]
)
def test_bad_hosts(host: str) -> None:
    assert refused(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")) == 400


def test_host_is_needed_in_1_1_only() -> None:  # H14, Q9
    assert refused(b"GET /a HTTP/1.1\r\n\r\n") == 400
    assert refused(b"GET http://x/a HTTP/1.1\r\n\r\n") == 400
    assert parse_head(b"GET /a HTTP/1.0\r\n\r\n").headers == {}


# How the body ends


def test_content_length() -> None:
    for text, length in (("0", 0), ("5", 5), ("007", 7), ("1000000000000", 10**12), ("9" * 18, 10**18 - 1)):
        head = parse_head(POST + f"content-LENGTH:\t {text}\r\n\r\n".encode())
        assert (head.content_length, head.chunked) == (length, False)
    # RFC 9112 section 6.3, rule 6.
    assert parse_head(POST + b"\r\n").content_length is None


@pytest.mark.parametrize(
    "value", ["", "+3", "-1", "0_3", "3,3", "3, 3", "0x3", "3.0", "3 3", "3 ", "3\t", "\u00b2", "3\xa0", "3\x85"]
)
def test_bad_content_lengths(value: str) -> None:  # H02, Q2
    assert refused(POST + f"Content-Length: {value}\r\n\r\n".encode("latin-1")) == 400
    assert refused(POST + f"Content-Length: {value}\r\nX-Content-Length: 3\r\n\r\n".encode("latin-1")) == 400


def test_a_length_beyond_64_bits_is_too_large() -> None:
    assert refused(POST + b"Content-Length: " + b"1" * 5000 + b"\r\n\r\n") == 413


def test_chunked() -> None:
    for coding in (b"chunked", b"Chunked", b" \tchunked \t"):
        head = parse_head(POST + b"Transfer-Encoding:" + coding + b"\r\n\r\n")
        assert (head.content_length, head.chunked) == (None, True)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Content-Length: 30\r\nTransfer-Encoding: chunked\r\n", 400),  # H04, Q3
        (b"Transfer-Encoding: chunked\r\nContent-Length: 30\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n", 501),  # H05, Q4
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: chunked,\r\n", 501),
        (b"Transfer-Encoding: xchunked\r\n", 501),
        (b"Transfer-Encoding: identity\r\n", 501),
        (b"Transfer-Encoding: chunked;q=1\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"Transfer-Encoding:\r\n", 400),
        (b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5\r\n", 400),  # H07, Q5
        (b"Transfer-Encoding: chunked\x85\r\nContent-Length: 5\r\n", 400),  # H08
        (b"Transfer-Encoding: chunked\xa0\r\n", 400),
    ],
)
def test_bad_codings(lines: bytes, status: int) -> None:
    assert refused(POST + lines + b"\r\n") == status


def test_chunked_in_1_0() -> None:
    assert refused(b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400


def test_upgrade_changes_nothing() -> None:  # H28
    head = parse_head(POST + b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\n")
    assert (head.content_length, head.keep_alive) == (5, True)


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "Upgrade", True),
        ("1.1", "close", False),
        ("1.1", "Keep-Alive, CLOSE", False),
        ("1.1", "closed", True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "x,\tkeep-alive ", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_keep_alive(version: str, connection: str | None, keep_alive: bool) -> None:
    line = "" if connection is None else f"Connection: {connection}\r\n"
    assert parse_head(f"GET / HTTP/{version}\r\nHost: x\r\n{line}\r\n".encode()).keep_alive is keep_alive


def test_expect_continue() -> None:
    assert parse_head(POST + b"Expect: 100-Continue\r\n\r\n").expect_continue
    assert not parse_head(POST + b"Expect: something\r\n\r\n").expect_continue
    assert not parse_head(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expect_continue


# Limits


def refused_early(data: bytes, size: int = 1000) -> int:
    """The status of the refusal while the head is coming in, or of the whole head; both must agree."""
    status = None
    for end in [*range(size, len(data), size), len(data)]:
        try:
            found = find_head_end(data[:end], max(0, end - size))
        except HTTPError as error:
            status = error.status
            break
        if found >= 0:
            break
    whole = refused(data)
    assert status in (None, whole)
    return whole


def request_line(size: int) -> bytes:
    return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1"


@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_request_line_limit(before: bytes) -> None:  # H20, Q12
    good = before + request_line(MAX_REQUEST_LINE) + b"\r\nHost: x\r\n\r\n"
    assert find_head_end(good) == len(good)
    assert len(parse_head(good).path) == MAX_REQUEST_LINE - 13
    for size in (MAX_REQUEST_LINE + 1, MAX_REQUEST_LINE + 2, 9000):
        assert refused_early(before + request_line(size) + b"\r\nHost: x\r\n\r\n") == 414
    assert find_head_end(good[: MAX_REQUEST_LINE + 1]) == -1
    with pytest.raises(HTTPError, match="line is too long") as caught:
        find_head_end(before + b"a" * (MAX_REQUEST_LINE + 2))
    assert caught.value.status == 414


def test_head_size_limit() -> None:  # H22, H23, Q11, Q12
    def head(size: int) -> bytes:
        return GET + b"X-A: " + b"a" * (size - len(GET) - 9) + b"\r\n\r\n"

    good = head(MAX_HEAD_SIZE)
    assert len(good) == MAX_HEAD_SIZE
    assert find_head_end(good) == MAX_HEAD_SIZE
    parse_head(good)
    assert refused_early(head(MAX_HEAD_SIZE + 1)) == 431
    assert refused_early(head(70_000)) == 431
    assert (
        refused_early(GET + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 65_000) for n in range(99)) + b"\r\n", 16_384) == 431
    )
    with pytest.raises(HTTPError) as caught:
        find_head_end(GET + b"X-A: " + b"a" * MAX_HEAD_SIZE)
    assert caught.value.status == 431


def test_header_count_limit() -> None:  # Q12
    lines = [b"X-%d: a\r\n" % number for number in range(MAX_HEADERS)]
    assert len(parse_head(GET + b"".join(lines[1:]) + b"\r\n").headers) == MAX_HEADERS
    assert refused_early(GET + b"".join(lines) + b"\r\n", 16) == 431
    assert refused(GET + b"a:\r\n" * MAX_HEADERS + b"\r\n") == 431
    with pytest.raises(HTTPError) as caught:
        find_head_end(GET + b"".join(lines) * 2)
    assert caught.value.status == 431


@pytest.mark.parametrize(
    "head",
    [
        GET + b"a:\r\n" * 15_000 + b"\r\n",
        GET + b"a:\r\n" * 15_000 + b"\0\r\n\r\n",
        GET + b"a: " + b" " * 65_000 + b"\0\r\n\r\n",
        GET + b"a" * 65_000 + b"\r\n\r\n",
        GET + b"Connection: " + b"a," * 32_000 + b"\r\n\r\n",
        GET + b"Transfer-Encoding: " + b", " * 32_000 + b"\x80\r\n\r\n",
        GET + b"Content-Length: " + b"1" * 65_000 + b"\r\n\r\n",
        b"a" * 65_000 + b"\r\n\r\n",
        b"\r\n" * 32_000,
    ],
)
def test_no_head_takes_long(head: bytes) -> None:
    # About a millisecond; an expression that goes back would need seconds.
    assert cpu_seconds(lambda: parse_head(head), HTTPError) < 50 * MS


# Where the head ends


def test_find_head_end() -> None:
    head = GET + b"\r\n"
    for end in range(len(head)):
        assert find_head_end(head[:end]) == -1
        assert find_head_end(bytearray(head[:end]), max(0, end - 1)) == -1
    assert find_head_end(head) == len(head)
    for searched in range(len(head)):
        assert find_head_end(bytearray(head + b"body\r\n\r\n"), searched) == len(head)


@pytest.mark.parametrize("data", [b"GET /a HTTP/1.1\nHost: x\n\n", b"GET /a HTTP/1.1\n", b"\n", GET + b"\n"])
def test_bare_line_feeds_are_found_early(data: bytes) -> None:  # H13
    with pytest.raises(HTTPError) as caught:
        find_head_end(data)
    assert caught.value.status == 400
    with pytest.raises(HTTPError):
        find_head_end(data, len(data) - 1)


# Chunked bodies


def decode(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    decoder = ChunkedDecoder()
    body = rest = b""
    for piece in pieces:
        decoded, left, done = decoder.feed(piece)
        body += decoded
        rest += left
        assert done is decoder.done
    return body, rest, decoder.done


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"0\r\n\r\n", (b"", b"", True)),
        (b"5\r\nhello\r\n0\r\n\r\nGET /", (b"hello", b"GET /", True)),
        (b"a\r\n0123456789\r\nB\r\n0123456789a\r\n000\r\n\r\n", (b"01234567890123456789a", b"", True)),
        (b'2;name=value;\tx="y"\r\nhi\r\n0 ;last\r\n\r\n', (b"hi", b"", True)),
        (b"2\r\n\r\n\r\n0\r\nX-A: b\r\nX-B:\r\n\r\nrest", (b"\r\n", b"rest", True)),
        (b"5\r\nhel", (b"hel", b"", False)),
        (b"5", (b"", b"", False)),
        (b"0\r\n", (b"", b"", False)),
    ],
)
def test_chunked_bodies(data: bytes, expected: tuple[bytes, bytes, bool]) -> None:
    assert decode([data]) == expected
    assert decode(bytewise(data)) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"5_0\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5\n",
        b"5\r\r\n",
        b"5 x\r\n",
        b";a\r\n",
        b"5;a\x00\r\n",
        b"5;a\rb\r\n",
        b"1" * 16 + b"\r\n",
        b"0" * 17 + b"\r\n",
        b"2\r\nhi\n",
        b"2\r\nhix\r\n",
        b"2\r\nhi0\r\n\r\n",
        b"2\r\nhi\r\r\n",
        b"0\r\n\n",
        b"0\r\nno colon\r\n",
        b"0\r\nX-A : b\r\n",
        b"0\r\n folded\r\n",
        b"0\r\nX-A: b\x00\r\n",
        # Without an end, within the first bytes beyond the limit.
        b"5;" + b"a" * 1100,
        b"1" * 1100,
        b"0\r\nX-A: " + b"a" * 8200,
        b"0\r\n" + b"X-A: aaaaaaaaaaaa\r\n" * 500,
        (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 20,
    ],
)
def test_bad_chunked_bodies(data: bytes) -> None:
    for pieces in ([data], bytewise(data)):
        with pytest.raises(HTTPError) as caught:
            decode(pieces)
        assert caught.value.status == 400


def test_chunked_rest_after_the_end() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"0\r\n\r\nnext") == (b"", b"next", True)
    assert decoder.feed(b"more") == (b"", b"more", True)


# Responses


def test_encode_response() -> None:
    assert encode_response(200, [("Content-Type", "text/plain"), ("X-A", "caf\xe9")], b"hello") == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: caf\xe9\r\n"
        b"Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"
    )
    assert encode_response(400, [], b"", keep_alive=False) == (
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


def test_encode_response_without_a_body() -> None:
    assert encode_response(304, [("ETag", '"a"')], b"") == (
        b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nConnection: keep-alive\r\n\r\n'
    )
    assert encode_response(204, [], b"") == b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
    assert encode_response(100, [], b"") == b"HTTP/1.1 100 Continue\r\n\r\n"
    # The answer to HEAD.
    assert encode_response(200, [("content-length", "7")], b"") == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nConnection: keep-alive\r\n\r\n"
    )


@pytest.mark.parametrize("value", ["a\r\nX-B: b", "a\nb", "a\rb", "\u20ac"])
def test_encode_response_refuses_bad_headers(value: str) -> None:
    with pytest.raises(ValueError):
        encode_response(200, [("X-A", value)], b"")
    with pytest.raises(ValueError):
        encode_response(200, [(value, "a")], b"")


def test_reasons() -> None:
    for status in (101, 200, 400, 403, 404, 405, 408, 413, 414, 415, 426, 431, 500, 501, 503, 505):
        assert REASONS[status]


# Log lines


def test_escape() -> None:
    assert escape("GET /a?b=c") == "GET /a?b=c"
    assert escape("\x1b[31m\r\n\x00\x7f\x85\u2028\ud800\U0001f600") == (
        "\\x1b[31m\\r\\n\\x00\\x7f\\x85\\u2028\\ud800\\U0001f600"
    )
    assert escape("\\n") == "\\\\n"
    assert escape("a" * 200) == "a" * 200
    assert escape("a" * 201) == "a" * 197 + "..."
    assert escape("\n" * 200) == "\\n" * 98 + "\\..."
    assert escape("a" * 20, limit=10) == "a" * 7 + "..."


@given(st.text(max_size=300))
def test_escape_gives_one_printable_line(text: str) -> None:
    escaped = escape(text)
    assert escaped.isascii()
    assert escaped.isprintable()
    assert len(escaped) <= 200


# Any input


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip(places, places[1:], strict=False)]


HEAD_PARTS = [
    *(bytes((byte,)) for byte in b"\r\n: \t/?*\0\x0b\x85\xa0"),
    *(b"\r\n", b"\r\n\r\n", b"GET ", b"/a", b" HTTP/1.1\r\n", b"Host: x\r\n", b"Content-Length: ", b"5", b"a_b: c\r\n"),
    *(b"Transfer-Encoding: ", b"chunked\r\n", b"Connection: close\r\n", b"HTTP/2.0", GET, POST),
]
STATUSES = (400, 413, 414, 431, 501, 505)


@given(st.one_of(st.lists(st.sampled_from(HEAD_PARTS), max_size=12).map(b"".join), st.binary(max_size=200)))
@example(GET + b"\r\n")
def test_random_heads_give_a_head_or_a_documented_error(data: bytes) -> None:
    try:
        head = parse_head(data)
    except HTTPError as error:
        assert error.status in STATUSES
    else:
        assert find_head_end(data) in (len(data), -1)
        assert data.endswith(b"\r\n\r\n")
        assert head.path.startswith("/") or head.path == "*"
        assert not (head.chunked and head.content_length is not None)


@given(st.lists(st.sampled_from(HEAD_PARTS), max_size=12).map(b"".join), st.lists(st.integers(0), max_size=5))
def test_the_end_is_found_however_the_head_is_split(data: bytes, cuts: list[int]) -> None:
    def find(pieces: list[bytes]) -> int:
        buffer = bytearray()
        for piece in pieces:
            searched = len(buffer)
            buffer += piece
            try:
                end = find_head_end(buffer, searched)
            except HTTPError as error:
                return error.status
            if end >= 0:
                return end
        return -1

    whole = find([data])
    # A bare line feed in front of an empty line is seen at once only where the line feed comes alone; else parse_head
    # sees it.
    for pieces in (split(data, cuts), bytewise(data)):
        assert find(pieces) == whole or (find(pieces) == 400 and refused(data[:whole]) == 400)


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=6),
    st.lists(st.integers(0), max_size=6),
    st.binary(max_size=9),
)
def test_chunked_round_trip(chunks: list[bytes], cuts: list[int], rest: bytes) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + rest
    expected = b"".join(chunks), rest, True
    assert decode(split(data, cuts)) == expected
    assert decode(bytewise(data)) == expected


CHUNK_PARTS = [b"\r\n", b"\n", b"\r", b"0", b"1", b"f", b";a", b"x", b"1\r\nx\r\n", b"0\r\n", b"a: b\r\n"]


@given(
    st.one_of(st.lists(st.sampled_from(CHUNK_PARTS), max_size=12).map(b"".join), st.binary(max_size=60)),
    st.lists(st.integers(0), max_size=6),
)
def test_random_chunked_bodies_give_the_same_however_split(data: bytes, cuts: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> object:
        try:
            return decode(pieces)
        except HTTPError as error:
            return error.status

    whole = outcome([data])
    assert outcome(split(data, cuts)) == whole
    assert outcome(bytewise(data)) == whole
