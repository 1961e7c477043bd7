"""Clients that send exactly what a test says: HTTP/1.1, RFC 6455 and Engine.IO 4 on plain sockets.

Nothing here comes from the package under test. Every wait has a deadline.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.conftest import DEADLINE

#: RFC 6455 section 1.3: the sample key and its answer.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


class Response(NamedTuple):
    """One HTTP answer; names of headers in lower case, repeated ones joined by ``", "``."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def encode_request(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """The bytes of a request; Host and, where there is a body, Content-Length are added."""
    lines = [f"{method} {path} HTTP/1.1"]
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if body is not None and "Transfer-Encoding" not in fields:
        fields.setdefault("Content-Length", str(len(body)))
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


class Connection:
    """A TCP connection.

    Args:
        receive_buffer: bytes that the kernel keeps for a client that does not read; ``None`` for its usual.
    """

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Break the connection: the peer sees ECONNRESET."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def _more(self) -> bool:
        """Read once; whether something came before the end."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            return False
        self.buffer += data
        return bool(data)

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; EOFError where the server ends before."""
        while len(self.buffer) < size:
            if not self._more():
                raise EOFError(f"ended after {self.buffer!r}")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            if not self._more():
                raise EOFError(f"ended after {self.buffer!r}")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def read_to_end(self) -> bytes:
        """Everything until the server closes the connection."""
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def is_silent(self, seconds: float) -> bool:
        """Whether the server neither sends nor closes for so long."""
        if self.buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            self._more()
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(DEADLINE)
        return False

    # HTTP

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> None:
        """Send a request without waiting for its answer."""
        self.send(encode_request(method, path, headers, body))

    def response(self, method: str = "GET") -> Response:
        """Read one answer; interim ones (1xx but 101) too."""
        status = int(self.read_line().split(b" ")[1])
        headers: dict[str, str] = {}
        while line := self.read_line():
            name, _, value = line.decode("latin-1").partition(": ")
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = b""
        if status >= 200 and status not in (204, 304) and method != "HEAD":
            if headers.get("transfer-encoding") == "chunked":
                while size := int(self.read_line(), 16):
                    body += self.read(size)
                    assert self.read(2) == b"\r\n"
                assert self.read_line() == b""
            elif "content-length" in headers:
                body = self.read(int(headers["content-length"]))
            else:
                body = self.read_to_end()
        return Response(status, headers, body)

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        self.ask(method, path, headers, body)
        return self.response(method)


def request(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Response:
    """One request on a connection of its own."""
    with Connection(port) as connection:
        return connection.request(method, path, headers, body)


# RFC 6455


def frame(opcode: int, payload: bytes = b"", fin: bool = True, mask: bytes | None = b"\x5a\x01\xfe\x33") -> bytes:
    """A client's frame; without a mask, what no client may send."""
    size = len(payload)
    masked = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 65536:
        head += bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    repeated = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


class WebSocket(Connection):
    """A WebSocket that is open; raises AssertionError where the server does not accept it."""

    def __init__(
        self,
        port: int,
        path: str = WEBSOCKET,
        headers: Mapping[str, str] | None = None,
        receive_buffer: int | None = None,
        early: bytes = b"",
    ) -> None:
        super().__init__(port, receive_buffer)
        self.send(encode_request("GET", path, {**UPGRADE, **(headers or {})}) + early)
        self.handshake = self.response()
        assert self.handshake.status == 101, self.handshake
        assert self.handshake.headers["sec-websocket-accept"] == ACCEPT

    def send_frame(self, opcode: int, payload: bytes = b"", fin: bool = True, mask: bytes | None = b"\1\2\3\4") -> None:
        self.send(frame(opcode, payload, fin, mask))

    def send_text(self, text: str) -> None:
        self.send_frame(TEXT, text.encode())

    def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Servers neither mask nor fragment here."""
        first, size = self.read(2)
        assert first & 0xF0 == 0x80, f"fragmented, or reserved bits: {first:#x}"
        assert size < 128, "a server must not mask"
        if size == 126:
            size = int.from_bytes(self.read(2), "big")
        elif size == 127:
            size = int.from_bytes(self.read(8), "big")
        return first & 0x0F, self.read(size)

    def receive_text(self) -> str:
        opcode, payload = self.receive()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def close_code(self) -> int | None:
        """Wait until the server has closed, skipping messages; its code, ``None`` for a close frame without one.

        Raises:
            EOFError: it closed without a close frame.
        """
        while True:
            opcode, payload = self.receive()
            if opcode == CLOSE:
                assert len(payload) <= 125
                assert self.read_to_end() == b"", "something came behind the close frame"
                return int.from_bytes(payload[:2], "big") if payload else None


# Engine.IO 4 and Socket.IO 5


class EngineSocket(WebSocket):
    """An Engine.IO session on a WebSocket, after its open packet; with ``namespace``, connected to it."""

    def __init__(self, port: int, namespace: str | None = "/", **options: Any) -> None:
        super().__init__(port, **options)
        packet = self.receive_text()
        assert packet[0] == "0", packet
        self.opened: dict[str, Any] = json.loads(packet[1:])
        self.sid: str = self.opened["sid"]
        if namespace is not None:
            self.id = self.join(namespace)

    def join(self, namespace: str = "/") -> str:
        """Connect to a namespace; the id there."""
        prefix = "40" if namespace == "/" else f"40{namespace},"
        self.send_text(prefix)
        answer = self.receive_text()
        assert answer.startswith(prefix), answer
        sid: str = json.loads(answer[len(prefix) :])["sid"]
        return sid

    def emit(self, *data: Any, ack: int | str = "") -> None:
        self.send_text(f"42{ack}{json.dumps(data)}")

    def event(self) -> list[Any]:
        """The next packet, which has to be an event of the main namespace without attachments."""
        text = self.receive_text()
        assert text.startswith("42["), text
        data: list[Any] = json.loads(text[2:])
        return data


class PollingSession:
    """An Engine.IO session by long-polling. POSTs and GETs have a connection each, as in a browser."""

    def __init__(self, port: int, path: str = POLLING) -> None:
        self.port = port
        self.gets = Connection(port)
        self.posts = Connection(port)
        answer = self.gets.request("GET", path)
        assert answer.status == 200, answer
        assert answer.text[0] == "0", answer
        self.opened: dict[str, Any] = json.loads(answer.text[1:])
        self.sid: str = self.opened["sid"]
        self.path = f"{path}&sid={self.sid}"
        self.websocket_path = self.path.replace("transport=polling", "transport=websocket")

    def __enter__(self) -> PollingSession:
        return self

    def __exit__(self, *args: object) -> None:
        self.gets.close()
        self.posts.close()

    def start_poll(self) -> None:
        """Send a GET; :meth:`finish_poll` reads its answer."""
        self.gets.ask("GET", self.path)

    def finish_poll(self) -> str:
        answer = self.gets.response()
        assert answer.status == 200, answer
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        return answer.text

    def poll(self) -> str:
        self.start_poll()
        return self.finish_poll()

    def packets(self, count: int) -> list[str]:
        """Poll until so many packets have come."""
        packets: list[str] = []
        while len(packets) < count:
            packets += self.poll().split("\x1e")
        assert len(packets) == count, packets
        return packets

    def post(self, *packets: str) -> None:
        answer = self.try_post("\x1e".join(packets).encode())
        assert (answer.status, answer.body) == (200, b"ok"), answer

    def try_post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        return self.posts.request(
            "POST", self.path, {"Content-Type": "text/plain;charset=UTF-8", **(headers or {})}, body
        )

    def join(self, namespace: str = "/") -> str:
        """Connect to a namespace; the id there."""
        prefix = "40" if namespace == "/" else f"40{namespace},"
        self.post(prefix)
        answer = self.poll()
        assert answer.startswith(prefix), answer
        sid: str = json.loads(answer[len(prefix) :])["sid"]
        return sid

    def emit(self, *data: Any, ack: int | str = "") -> None:
        self.post(f"42{ack}{json.dumps(data)}")

    def candidate(self) -> WebSocket:
        """A WebSocket for the session, before its probe."""
        return WebSocket(self.port, self.websocket_path)

    def end(self) -> None:
        """Send the close packet."""
        self.post("1")
        assert self.is_gone

    @property
    def is_gone(self) -> bool:
        """Whether the server does not know the session any more."""
        answer = request(self.port, "POST", self.path, None, b"6")
        return answer.status == 400 and answer.json == {"code": 1, "message": "Session ID unknown"}
