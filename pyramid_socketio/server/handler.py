"""One request to the WSGI application."""

from __future__ import annotations

import logging
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from gevent import GreenletExit
from geventwebsocket.handler import WebSocketHandler

from ..blocking import BlockingSocket
from ..engine import UPGRADE_KEY
from ..errors import HTTPError
from ..interfaces import ANSWERED, CONNECTION, SOCKET
from ..protocol.http import escape
from .body import ClientGone, RequestBody

if TYPE_CHECKING:
    from .connection import HTTPConnection

__all__ = ["SocketIOHandler"]

log = logging.getLogger(__name__)
access_log = logging.getLogger("pyramid_socketio.access")

#: Header name to environ key. The names are the clients' choice, so only the usual ones are kept.
_KEYS: Final[dict[str, str]] = {}
_MAX_KEYS: Final = 500

#: An answer up to this goes out in one piece with its head.
_JOIN_BELOW: Final = 65_536


def _environ_key(name: str) -> str:
    key = _KEYS.get(name)
    if key is None:
        key = sys.intern("HTTP_" + name.upper().replace("-", "_"))
        if len(_KEYS) < _MAX_KEYS:
            _KEYS[name] = key
    return key


class SocketIOHandler(WebSocketHandler):  # type: ignore[misc]
    """gevent-websocket's handler without the parts of HTTP that :class:`HTTPConnection` does in the hub.

    A request becomes a WebSocket after the application has said so with status 101, and a stream after the status 200
    that it was given for it; not before.
    """

    # Of gevent's handler, which has no type hints.
    environ: Any
    code: int
    response_headers: list[tuple[bytes, bytes]]
    provided_content_length: str | None

    #: Every error comes to :meth:`handle_error`: these are as often the application's own connections to a database.
    ignored_socket_errors = ()

    def __init__(self, connection: HTTPConnection, body: RequestBody) -> None:
        # Not the inherited one, which would open files on the socket.
        head = connection.head
        self.connection = connection
        self.server = connection.server
        self.client_address = connection.address
        self.wsgi_input = body
        self.command = head.method
        self.path = head.target
        self.request_version = head.version
        self.requestline = f"{head.method} {head.target} {head.version}"
        self.close_connection = not head.keep_alive

    def run(self) -> None:
        """Run the application and send its answer. Runs in a worker."""
        self.environ = self.get_environ()
        # Any route may be the one on which a view talks to its client; until it does, this costs next to nothing.
        socket = self.environ[SOCKET] = BlockingSocket(self.environ)
        self.application = self.server.application
        try:
            self.handle_one_response()
        finally:
            socket.end()
            environ, self.environ = self.environ, None
            if ANSWERED not in environ:
                # Behind a 101 that is not ours the client expects something else than HTTP.
                self.connection.finished(not self.close_connection and self.code != 101)

    def get_environ(self) -> dict[str, Any]:
        head = self.connection.head
        environ: dict[str, Any] = self.server.get_environ()
        environ["REQUEST_METHOD"] = head.method
        environ["SCRIPT_NAME"] = ""
        path = head.path
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        environ["QUERY_STRING"] = head.query
        environ["SERVER_PROTOCOL"] = head.version
        environ["GATEWAY_INTERFACE"] = "CGI/1.1"
        if isinstance(self.client_address, tuple):
            environ["REMOTE_ADDR"] = self.client_address[0]
            environ["REMOTE_PORT"] = str(self.client_address[1])
        for name, value in head.headers.items():
            environ[_environ_key(name)] = value
        # CGI's exceptions.
        environ.pop("HTTP_PROXY", None)
        if (content_type := environ.pop("HTTP_CONTENT_TYPE", None)) is not None:
            environ["CONTENT_TYPE"] = content_type
        if (length := environ.pop("HTTP_CONTENT_LENGTH", None)) is not None:
            environ["CONTENT_LENGTH"] = length
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        environ[CONNECTION] = self.connection
        return environ

    def run_application(self) -> None:
        # The inherited one upgrades before the application is asked.
        try:
            self.result = self.application(self.environ, self.start_response)
            if ANSWERED in self.environ:
                return
            if self._hands_over:
                self._hand_over()
            else:
                self.process_result()
        finally:
            result, self.result = self.result, None
            close = getattr(result, "close", None)
            if close is not None:
                close()

    @property
    def _hands_over(self) -> bool:
        """Whether the connection becomes a WebSocket or a stream, because the application has let the answer pass."""
        if UPGRADE_KEY not in self.environ:
            return False
        # The answer that begins a stream has no content of its own: a page is what the application put in its place.
        return self.code == 101 or (self.code == 200 and self.provided_content_length == "0")

    def _hand_over(self) -> None:
        # What the application's framework says about the content that a 101 does not have and a stream has not yet.
        skip = (b"content-length", b"content-type") if self.code == 101 else (b"content-length",)
        lines = [b"HTTP/1.1 " + self.status]
        lines += [name + b": " + value for name, value in self.response_headers if name.lower() not in skip]
        self.environ.pop(UPGRADE_KEY)(self.connection, b"\r\n".join([*lines, b"", b""]))
        self.environ[ANSWERED] = self.code

    # Sending

    def _sendall(self, data: bytes | bytearray) -> None:
        self.connection.wire.send(bytes(data))
        self.connection.wait_until_sent()
        self.response_length += len(data)

    def _write_with_headers(self, data: bytes) -> None:
        self.headers_sent = True
        self.finalize_headers()
        head = bytearray(b"HTTP/1.1 " + self.status + b"\r\n")
        for name, value in self.response_headers:
            head += name + b": " + value + b"\r\n"
        head += b"\r\n"
        if self.response_use_chunked or len(data) > _JOIN_BELOW or self.command == "HEAD":
            self._sendall(head)
            self._write(data)
        else:
            # One segment: two sends make Nagle's algorithm and delayed acknowledgements wait for each other.
            self._sendall(head + data)

    def _write(self, data: bytes) -> None:
        # RFC 9110, 9.3.2: the answer to HEAD has the headers of a GET, and no content.
        if self.command != "HEAD":
            super()._write(data)

    def finalize_headers(self) -> None:
        super().finalize_headers()
        if self.command == "HEAD":
            self.response_use_chunked = False
        elif self.request_version == "HTTP/1.0" and not self._has_length:
            # Only its end tells the client where the content ends.
            self.close_connection = True
        if not self.wsgi_input.skippable or self.server.stopping:
            self.close_connection = True
        if self.close_connection:
            self.response_headers = [header for header in self.response_headers if header[0].lower() != b"connection"]
            self.response_headers.append((b"Connection", b"close"))

    @property
    def _has_length(self) -> bool:
        return self.code in (204, 304) or any(name.lower() == b"content-length" for name, _ in self.response_headers)

    # Errors and logs

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        # The client must be able to tell that an answer is not whole.
        self.close_connection = True
        if isinstance(v, HTTPError):
            # The body could not be read; the application let the error pass.
            self._answer_error(v.status)
        elif not isinstance(v, ClientGone):
            self._log_error(t, v, tb)
            self._answer_error(500)

    def _answer_error(self, status: int) -> None:
        if self.headers_sent or ANSWERED in self.environ:
            return
        reason = HTTPStatus(status).phrase
        body = f"{reason}\n".encode()
        self.start_response(f"{status} {reason}", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        try:
            self.write(body)
        except ClientGone:
            pass  # nobody needs it

    def _log_error(self, t: Any, v: Any, tb: Any) -> None:
        if not issubclass(t, GreenletExit):
            path = escape(self.path.partition("?")[0])
            log.error("unexpected error in %s %s", self.command, path, exc_info=(t, v, tb))

    def log_request(self) -> None:
        if access_log.isEnabledFor(logging.INFO):
            client = self.client_address[0] if isinstance(self.client_address, tuple) and self.client_address else "-"
            # Without the query: it may hold a session id or a token.
            access_log.info(
                '%s "%s %s" %s %s %.3fs',
                client,
                escape(self.command, 20),
                escape(self.path.partition("?")[0]),
                # What was sent, whatever the application said later.
                self.environ.get(ANSWERED) or self.code or "-",
                self.response_length,
                self.time_finish - self.time_start,
            )
