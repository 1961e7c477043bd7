"""What browsers before WebSocket did, on plain sockets: endless documents, and the WebSockets of the first drafts.

Nothing here comes from the package under test. They read as strictly as the originals: what these did not
understand, or what came where it would not have been seen, fails.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.functional.raw import Connection, Response, encode_request, request

#: Internet Explorer runs nothing of a document before it has so many bytes.
IE_BUFFER = 256


class Document(Connection):
    """A GET whose answer does not end.

    Args:
        version: ``HTTP/1.0`` for what a proxy in front makes of it.
    """

    def __init__(
        self, port: int, path: str, headers: Mapping[str, str] | None = None, version: str = "HTTP/1.1"
    ) -> None:
        super().__init__(port)
        self.port = port
        self.send(encode_request("GET", path, headers).replace(b"HTTP/1.1", version.encode(), 1))
        self.status = int(self.read_line().split(b" ")[1])
        self.headers: dict[str, str] = {}
        while line := self.read_line():
            name, _, value = line.decode("latin-1").partition(": ")
            self.headers[name.lower()] = value
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        #: The document so far, and how much of it the page has taken.
        self.text = ""
        self.taken = 0

    @property
    def chunked(self) -> bool:
        return self.headers.get("transfer-encoding") == "chunked"

    def grow(self) -> bool:
        """Read a piece of the document; ``False`` at its end. EOFError where a chunked one breaks off."""
        if self.chunked:
            piece = self.read(int(self.read_line(), 16))
            assert self.read(2) == b"\r\n"
        else:
            if not self.buffer:
                self._more()
            piece, self.buffer = self.buffer, b""
        self.text += self._decode(piece)
        return bool(piece)

    def end(self) -> str:
        """Wait for the end of the document and of the connection; what came before that was not taken yet."""
        while self.grow():
            pass
        assert self.read_to_end() == b""
        return self.text[self.taken :]


class HTMLFile(Document):
    """The document in Internet Explorer's ActiveX object: a script that is complete runs, and calls its client."""

    transport = "htmlfile"
    #: The call in a script.
    call: str
    #: What the first bytes are, which fill the browser's buffer.
    beginning: str

    def message(self) -> str:
        """The argument of the next call."""
        if not self.taken:
            while len(self.text) < IE_BUFFER:
                assert self.grow(), self.text
            assert self.text[:IE_BUFFER] == self.beginning.ljust(IE_BUFFER)
            self.taken = IE_BUFFER
        while "</script>" not in self.text[self.taken :]:
            assert self.grow(), self.text
        script = re.compile(re.escape(f"<script>{self.call}</script>").replace("MESSAGE", "(.*?)"))
        match = script.match(self.text, self.taken)
        assert match is not None, self.text[self.taken :]
        self.taken = match.end()
        assert not set(match[1]) & set("<>&\u2028\u2029\n"), match[1]
        argument: str = json.loads(match[1])
        return argument


class Page09:
    """A client 0.7 to 0.9 with such a document."""

    transport: str
    sid: str
    port: int

    message: Callable[[], str]

    def receive(self) -> Any:
        """The next message: text, or what was sent as JSON."""
        packet = self.message()
        if packet.startswith("4:::"):
            return json.loads(packet[4:])
        assert packet[:4] in ("3:::", "3::"), packet
        return packet[4:]

    def say(self, *values: Any) -> None:
        """Send messages, with one POST."""
        packets = [f"3:::{value}" if isinstance(value, str) else f"4:::{json.dumps(value)}" for value in values]
        answer = self.post(*packets)
        assert (answer.status, answer.body) == (200, b"1"), answer
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"

    def post(self, *packets: str) -> Response:
        body = packets[0] if len(packets) == 1 else "".join(f"\ufffd{len(text)}\ufffd{text}" for text in packets)
        return request(self.port, "POST", self.path, {"Content-Type": "text/plain;charset=UTF-8"}, body.encode())

    @property
    def path(self) -> str:
        """Where POSTs go."""
        return f"/socket.io/1/{self.transport}/{self.sid}?t=1290000000001"


class HTMLFile09(Page09, HTMLFile):
    """Internet Explorer with client 0.9 (section 7.3 of the reference for 0.7 to 0.9)."""

    call = "_(MESSAGE);"
    beginning = "<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>"
    content_type = "text/html; charset=UTF-8"

    def __init__(self, port: int, headers: Mapping[str, str] | None = None, version: str = "HTTP/1.1") -> None:
        self.sid, transports = handshake_0_9(port, headers)
        assert "htmlfile" in transports
        super().__init__(port, f"/socket.io/1/htmlfile/{self.sid}?t=1290000000000", headers, version)
        assert self.message() == "1::"


class Page06:
    """A client 0.5 or 0.6 with such a document."""

    transport: str
    sid: str
    port: int

    message: Callable[[], str]

    def receive(self) -> Any:
        """The next message: text, or what was sent as JSON."""
        text = unframe_0_6(self.message())
        return json.loads(text[3:]) if text.startswith("~j~") else text

    def say(self, *values: Any) -> None:
        """Send messages, with one POST."""
        answer = self.post(*(value if isinstance(value, str) else f"~j~{json.dumps(value)}" for value in values))
        assert (answer.status, answer.body) == (200, b"ok"), answer
        assert answer.headers["content-type"].startswith("text/plain")

    def post(self, *messages: str) -> Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        # As `encodeURIComponent` does it.
        body = "data=" + quote(frame_0_6(*messages), safe="~!*'()")
        return request(self.port, "POST", self.path, headers, body.encode())

    @property
    def path(self) -> str:
        """Where POSTs go."""
        return f"/socket.io/{self.transport}/{self.sid}/send"


class HTMLFile06(Page06, HTMLFile):
    """Internet Explorer with client 0.6 (section 5.4 of the reference for 0.6)."""

    call = "parent.s._(MESSAGE, document);"
    beginning = "<html><body>"
    content_type = "text/html; charset=UTF-8"

    def __init__(self, port: int, headers: Mapping[str, str] | None = None, version: str = "HTTP/1.1") -> None:
        super().__init__(port, "/socket.io/htmlfile//1290000000000", headers, version)
        self.sid = unframe_0_6(self.message())


class Multipart06(Page06, Document):
    """``multipart/x-mixed-replace`` in old Firefox: a part is complete with the boundary behind it (section 5.3)."""

    transport = "xhr-multipart"
    content_type = 'multipart/x-mixed-replace;boundary="socketio"'

    def __init__(self, port: int, headers: Mapping[str, str] | None = None, version: str = "HTTP/1.1") -> None:
        super().__init__(port, "/socket.io/xhr-multipart/", headers, version)
        self.sid = unframe_0_6(self.message())

    def message(self) -> str:
        """The text of the next part, as the client of 0.6.2 and later takes it."""
        boundary = "--socketio\n"
        if not self.taken:
            while len(self.text) < len(boundary):
                assert self.grow(), self.text
            assert self.text.startswith(boundary)
            self.taken = len(boundary)
        while (end := self.text.find(f"\n{boundary}", self.taken)) < 0:
            assert self.grow(), self.text
        head, _, text = self.text[self.taken : end].partition("\n\n")
        self.taken = end + 1 + len(boundary)
        assert head == "Content-Type: text/plain"
        return text


def frame_0_6(*messages: str) -> str:
    """Section 2 of the reference for 0.6: "The length counts UTF-16 code units"."""
    return "".join(f"~m~{len(message.encode('utf-16-le')) // 2}~m~{message}" for message in messages)


def unframe_0_6(text: str) -> str:
    """The message in a text that has exactly one."""
    head = re.match("~m~[0-9]+~m~", text)
    assert head is not None, text
    message = text[head.end() :]
    assert frame_0_6(message) == text
    return message


def handshake_0_9(port: int, headers: Mapping[str, str] | None = None) -> tuple[str, list[str]]:
    """Session id and transports."""
    answer = request(port, "GET", "/socket.io/1/?t=1290000000000", headers)
    assert answer.status == 200, answer
    sid, _, _, transports = answer.text.split(":")
    return sid, transports.split(",")


# WebSockets of the first drafts


class Keys(NamedTuple):
    """The three parts of a hixie-76 client's key."""

    key1: str = "18x 6]8vM;54 *(5:  {   U1]8  z [  8"
    key2: str = "1_ tx7X d  <  nw  334J702) 7]o}` 0"
    key3: bytes = b"Tm[K T2u"

    @property
    def digest(self) -> bytes:
        numbers = b"".join(
            (int(re.sub("[^0-9]", "", key)) // key.count(" ")).to_bytes(4, "big") for key in (self.key1, self.key2)
        )
        return hashlib.md5(numbers + self.key3, usedforsecurity=False).digest()


class Hixie(Connection):
    """A WebSocket of hixie-76, or of hixie-75 where ``keys`` is ``None``; open once :meth:`open` returns."""

    def __init__(
        self,
        port: int,
        path: str,
        keys: Keys | None = Keys(),  # noqa: B008 - it cannot be changed
        origin: str = "http://example.com",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(port)
        self.keys = keys
        self.path = path
        self.origin = origin
        fields = {
            "Upgrade": "WebSocket",
            "Connection": "Upgrade",
            "Host": "example.com",
            "Origin": origin,
            **(headers or {}),
        }
        if keys is not None:
            fields |= {"Sec-WebSocket-Key1": keys.key1, "Sec-WebSocket-Key2": keys.key2}
        self.handshake = encode_request("GET", path, fields)

    @property
    def expected_head(self) -> bytes:
        """The answer's head, which WebKit compared byte by byte."""
        prefix, words = ("Sec-", "WebSocket") if self.keys is not None else ("", "Web Socket")
        lines = [
            f"HTTP/1.1 101 {words} Protocol Handshake",
            "Upgrade: WebSocket",
            "Connection: Upgrade",
            f"{prefix}WebSocket-Origin: {self.origin}",
            f"{prefix}WebSocket-Location: ws://example.com{self.path}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def read_head(self) -> bytes:
        """The head of the answer, as it came."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read_line() + b"\r\n"
        return head

    def open(self) -> Hixie:
        """Shake hands as the browser: everything at once."""
        self.send(self.handshake + (self.keys.key3 if self.keys is not None else b""))
        assert self.read_head() == self.expected_head
        if self.keys is not None:
            assert self.read(16) == self.keys.digest
        return self

    def send_text(self, text: str) -> None:
        self.send(b"\x00" + text.encode() + b"\xff")

    def receive_text(self) -> str:
        assert self.read(1) == b"\x00"
        text = b""
        while (byte := self.read(1)) != b"\xff":
            text += byte
        return text.decode()
