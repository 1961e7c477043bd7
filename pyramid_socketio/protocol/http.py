"""HTTP/1.1 messages, RFC 9112, read strictly: what two programs could understand in two ways is refused.

Pure: bytes in, records out. Bytes outside of ASCII are decoded as latin-1, as WSGI wants them. Sizes are bytes.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from ..errors import HTTPError

__all__ = [
    "MAX_HEAD_SIZE",
    "MAX_HEADERS",
    "MAX_REQUEST_LINE",
    "REASONS",
    "ChunkedDecoder",
    "Head",
    "encode_head",
    "encode_response",
    "escape",
    "find_head_end",
    "parse_head",
]

#: Without line ending; longer is answered 414. URLs of browsers stay far below.
MAX_REQUEST_LINE: Final = 8 * 1024
#: Request line and all headers together; more is answered 431. A proxy in front adds headers to a browser's cookies.
MAX_HEAD_SIZE: Final = 64 * 1024
#: Lines of headers; more is answered 431.
MAX_HEADERS: Final = 100

# RFC 9110 section 5.6.2 "token"; section 5.5 "field-value": no control character but TAB. Every character class ends
# where the next one begins, so the expressions never go back: their time is linear.
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE: Final = r"[^\x00-\x08\x0a-\x1f\x7f]*"

#: A whole head. One empty line before it is skipped (RFC 9112 section 2.2: "SHOULD ignore at least one empty line").
_HEAD: Final = re.compile(
    rf"(?:\r\n)?({_TOKEN}) ([!\"$-~]+) (HTTP/1\.[01])\r\n((?:{_TOKEN}:{_VALUE}\r\n)*)\r\n",
)
_VERSION: Final = re.compile(r"(?:\r\n)?[^ \r\n]+ [^ \r\n]+ HTTP/([0-9])\.[0-9]\r\n")
#: ``http://host/path``, RFC 9112 section 3.2.2.
_ABSOLUTE: Final = re.compile(r"https?://([^/?]+)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)
#: RFC 9110 section 7.2: ``uri-host [ ":" port ]``; RFC 3986 section 3.2.2.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9\-._~%!$&'()*+;=]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
#: RFC 9112 section 6.1: codings with their parameters.
_CODINGS: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z,;=\" \t]+")
#: Blanks behind the digits are refused too: other programs read them in different ways. 18 digits fit in 64 bits.
_LENGTH: Final = re.compile(r"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_MAX_LENGTH_DIGITS: Final = 18

#: Headers with one value, which decides about framing, routing or trust: two of them are an attack or a mistake.
_SINGLE: Final = frozenset(("authorization", "content-length", "content-type", "host", "origin"))


class Head:
    """The request line and the headers of one request; see :func:`parse_head`."""

    __slots__ = (
        "chunked",
        "content_length",
        "expect_continue",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query",
        "target",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        query: str,
        version: str,
        headers: dict[str, str],
        content_length: int | None,
        chunked: bool,
        keep_alive: bool,
        expect_continue: bool,
    ) -> None:
        #: As sent; methods are case-sensitive, and not checked against a list.
        self.method = method
        #: As sent: ``/path?query``, ``http://host/path?query`` or ``*``.
        self.target = target
        #: Still percent-encoded; begins with ``/``, but for ``OPTIONS *``.
        self.path = path
        #: Behind the first ``?``; empty without one.
        self.query = query
        #: ``HTTP/1.1`` or ``HTTP/1.0``.
        self.version = version
        #: Lower-case name to value, repeated ones joined by ``", "`` (Cookie by ``"; "``). Names with an underscore are
        #: dropped: in a WSGI environ they could not be told from those with a hyphen.
        self.headers = headers
        #: ``None`` without a Content-Length: then the body is chunked or empty.
        self.content_length = content_length
        self.chunked = chunked
        #: Whether the client lets the connection be used again.
        self.keep_alive = keep_alive
        #: Whether the client waits for ``100 Continue`` before it sends the body.
        self.expect_continue = expect_continue


def find_head_end(buffer: bytes | bytearray, searched: int = 0) -> int:
    """Where the body begins: the index behind the empty line that ends a request's head, or -1 until that has come.

    To be called after every read while it returns -1, with all the bytes so far; then :func:`parse_head` gets
    ``buffer[:end]``.

    Args:
        searched: length of the buffer at the call before, so that a head in many pieces takes linear time.

    Raises:
        HTTPError: 414 and 431 as soon as a limit is passed, 400 for a line that ends with a bare LF.
    """
    end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0) + 4
    if 4 <= end <= MAX_HEAD_SIZE:
        return end
    _check_size(buffer)
    new_lines = buffer.count(b"\n", searched)
    if new_lines:
        if new_lines != buffer.count(b"\r\n", max(0, searched - 1)):
            raise HTTPError(400, "a line does not end with CR LF")
        # Besides the headers: an empty line before the request line, which parse_head skips, and the request line.
        if buffer.count(b"\n") > MAX_HEADERS + 2:
            raise HTTPError(431, "too many headers")
    return -1


def parse_head(head: bytes | bytearray) -> Head:
    """Read the head of a request, RFC 9112 sections 2 to 6, from the request line to the empty line behind the headers.

    Raises:
        HTTPError: 400 for what is malformed or ambiguous, 413 for a length beyond 18 digits, 414 and 431 for the
            limits above, 501 for a transfer coding other than ``chunked``, 505 for a version other than 1.x. Its text
            is fixed: it holds nothing of what the client sent. The connection must be closed after the answer.
    """
    text = head.decode("latin-1")
    match = _HEAD.fullmatch(text)
    if match is None:
        _check_size(head)
        other = _VERSION.match(text)
        if other is not None and other[1] >= "2":
            raise HTTPError(505, "only HTTP/1.1 is spoken here")
        raise HTTPError(400, "not an HTTP/1.1 request")
    if len(text) > MAX_REQUEST_LINE:
        _check_size(head)
    method, target, version, lines = match.groups()
    headers = _headers(lines)

    host = headers.get("host")
    if host is None:
        # RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request
        # message that lacks a Host header field".
        if version == "HTTP/1.1":
            raise HTTPError(400, "no Host header")
    elif not _HOST.fullmatch(host):
        raise HTTPError(400, "bad Host header")

    if target[0] == "/":
        path, _, query = target.partition("?")
    else:
        path, query = _unusual_target(method, target, headers)

    content_length: int | None = None
    chunked = False
    if "content-length" in headers or "transfer-encoding" in headers:
        content_length, chunked = _framing(text, version, headers)

    keep_alive = version == "HTTP/1.1"
    connection = headers.get("connection")
    if connection is not None:
        options = [option.strip(" \t") for option in connection.lower().split(",")]
        keep_alive = "close" not in options and (keep_alive or "keep-alive" in options)
    # RFC 9110 section 10.1.1: "MUST ignore that expectation" in an HTTP/1.0 request.
    expect_continue = "expect" in headers and version == "HTTP/1.1" and headers["expect"].lower() == "100-continue"
    return Head(method, target, path, query, version, headers, content_length, chunked, keep_alive, expect_continue)


def _headers(lines: str) -> dict[str, str]:
    """The well-formed header lines as a dict; raises HTTPError for too many lines and for a repeated single header."""
    if lines.count("\n") > MAX_HEADERS:
        raise HTTPError(431, "too many headers")
    fields = [line.partition(":") for line in lines.split("\r\n")[:-1]]
    headers = {name.lower(): value.strip(" \t") for name, _, value in fields}
    if len(headers) == len(fields) and ("_" not in lines or not any("_" in name for name in headers)):
        return headers
    headers = {}
    for name, _, value in fields:
        name = name.lower()
        if "_" in name:
            continue
        value = value.strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in _SINGLE:
            raise HTTPError(400, "a header came twice that may come once")
        else:
            # RFC 9113 section 8.2.3 says how to join cookies; RFC 9110 section 5.3 the others.
            headers[name] += ("; " if name == "cookie" else ", ") + value
    return headers


def _unusual_target(method: str, target: str, headers: dict[str, str]) -> tuple[str, str]:
    """Path and query of a target that is no path, RFC 9112 sections 3.2.2 to 3.2.4; may set the header Host."""
    if target == "*" and method == "OPTIONS":
        return target, ""
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not _HOST.fullmatch(match[1]):
        raise HTTPError(400, "bad request target")
    # Section 3.2.2: "an origin server MUST ignore the received Host header field (if any) and instead use the host
    # information of the request-target".
    headers["host"] = match[1]
    return match[2] or "/", match[3] or ""


def _framing(text: str, version: str, headers: dict[str, str]) -> tuple[int | None, bool]:
    """How the body ends, RFC 9112 section 6.3: its length, or whether it is chunked."""
    coding = headers.get("transfer-encoding")
    if coding is None:
        match = _LENGTH.search(text)
        if match is None:
            raise HTTPError(400, "bad Content-Length header")
        if len(match[1]) > _MAX_LENGTH_DIGITS:
            raise HTTPError(413, "the body is too long")
        return int(match[1]), False
    if not _CODINGS.fullmatch(coding):
        raise HTTPError(400, "bad Transfer-Encoding header")
    if coding.lower() != "chunked":
        raise HTTPError(501, "a Transfer-Encoding that is not spoken here")
    # Section 6.1: both headers "ought to be handled as an error"; in HTTP/1.0 "the message framing is faulty".
    if "content-length" in headers or version == "HTTP/1.0":
        raise HTTPError(400, "Transfer-Encoding and Content-Length, or HTTP/1.0")
    return None, True


def _check_size(head: bytes | bytearray) -> None:
    """Raises HTTPError for a request line or a whole head, complete or not, that is too long already."""
    start = 2 if head.startswith(b"\r\n") else 0
    end_of_longest = start + MAX_REQUEST_LINE + 2
    if len(head) >= end_of_longest and head.find(b"\r\n", start, end_of_longest) < 0:
        raise HTTPError(414, "the request line is too long")
    if len(head) > MAX_HEAD_SIZE:
        raise HTTPError(431, "the headers are too long")


#: Beside the size of a chunk, extensions; nobody uses them, so a line needs little room (RFC 9112 section 7.1.1:
#: "ought to limit the total length of chunk extensions received in a request").
_MAX_CHUNK_LINE: Final = 1024
_MAX_EXTENSIONS: Final = 16 * 1024
#: All trailers of a body together. They are checked and dropped.
_MAX_TRAILERS: Final = 8 * 1024

#: RFC 9112 section 7.1; 15 digits fit in 64 bits.
_CHUNK_LINE: Final = re.compile(rf"([0-9A-Fa-f]{{1,15}})([ \t]*;{_VALUE})?\r\n".encode())
_TRAILER_LINE: Final = re.compile(rf"{_TOKEN}:{_VALUE}\r\n".encode())


# What the next line of a chunked body is.
_SIZE: Final = 0
_END_OF_CHUNK: Final = 1
_TRAILER: Final = 2


class ChunkedDecoder:
    """Takes a chunked body apart, RFC 9112 section 7.1. The caller counts the bytes that come out.

    What it holds between two calls is less than one line: 1 KiB in the body, 8 KiB in the trailers.
    """

    __slots__ = ("_expected", "_extensions_left", "_left", "_line", "_longest_line", "done")

    def __init__(self) -> None:
        #: The body and its trailers are complete.
        self.done = False
        #: Bytes of the chunk still to come; 0 between chunks.
        self._left = 0
        #: The beginning of a line.
        self._line = b""
        self._expected = _SIZE
        self._longest_line = _MAX_CHUNK_LINE
        self._extensions_left = _MAX_EXTENSIONS

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Decode the next bytes of the connection.

        Returns:
            The decoded bytes; the bytes behind the end of the body, with which the next request begins; :attr:`done`.

        Raises:
            HTTPError: 400 for a malformed or too long line. The decoder is of no use after that.
        """
        chunks = []
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                chunk = data[at : at + self._left]
                chunks.append(chunk)
                at += len(chunk)
                self._left -= len(chunk)
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or len(data)]
            if len(self._line) > self._longest_line:
                raise HTTPError(400, "a line of a chunked body is too long")
            at = end or len(data)
            if end:
                line, self._line = self._line, b""
                self._take_line(line)
        return b"".join(chunks), data[at:], self.done

    def _take_line(self, line: bytes) -> None:
        if self._expected == _SIZE:
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise HTTPError(400, "bad chunk size")
            self._extensions_left -= len(match[2] or b"")
            if self._extensions_left < 0:
                raise HTTPError(400, "too many chunk extensions")
            self._left = int(match[1], 16)
            if self._left:
                self._expected, self._longest_line = _END_OF_CHUNK, len(b"\r\n")
            else:
                self._expected, self._longest_line = _TRAILER, _MAX_TRAILERS
        elif self._expected == _END_OF_CHUNK:
            if line != b"\r\n":
                raise HTTPError(400, "a chunk is longer than its size")
            self._expected, self._longest_line = _SIZE, _MAX_CHUNK_LINE
        elif line == b"\r\n":
            self.done = True
        elif _TRAILER_LINE.fullmatch(line):
            self._longest_line -= len(line)
        else:
            raise HTTPError(400, "bad trailer")


#: Status to reason phrase.
REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES: Final = {status: f"HTTP/1.1 {status} {reason}\r\n" for status, reason in REASONS.items()}


def encode_head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """Status line and headers of a response, RFC 9112 section 4, to the empty line behind them. Nothing is added.

    Args:
        status: one of :data:`REASONS`.
        headers: latin-1; in this order. Never with text that came from a client.

    Raises:
        ValueError: a line break in a header, or a character beyond latin-1.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if text.count("\r") != len(headers) or text.count("\n") != len(headers):
        raise ValueError("a line break in a response header")
    return f"{_STATUS_LINES[status]}{text}\r\n".encode("latin-1")


def encode_response(status: int, headers: list[tuple[str, str]], body: bytes, keep_alive: bool = True) -> bytes:
    """One whole response, RFC 9112 section 4, to be sent at once.

    Content-Length and Connection are added, but for 1xx; a 204 or 304 has no Content-Length. The answer to HEAD gives
    its own Content-Length and no body.

    Args:
        status, headers: see :func:`encode_head`.
        keep_alive: ``False`` where the connection is closed after this.

    Raises:
        ValueError: see :func:`encode_head`.
    """
    if status >= 200:
        headers = [*headers, ("Connection", "keep-alive" if keep_alive else "close")]
        if status not in (204, 304) and (body or not any(name.lower() == "content-length" for name, _ in headers)):
            headers.insert(-1, ("Content-Length", str(len(body))))
    return encode_head(status, headers) + body


def escape(text: str, limit: int = 200) -> str:
    """Client text for a log line: one line of printable ASCII, at most ``limit`` characters, cut ends with ``...``.

    Backslashes are doubled, so that nothing can look like what was escaped here.
    """
    escaped = text[: limit + 1].encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."
