"""Clients 0.5 to 0.9 that poll, or open WebSockets as of today; streams and older WebSockets are in ``browsers``.

Nothing here comes from the package under test. They read as strictly as the originals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.functional.browsers import frame_0_6, unframe_0_6
from tests.functional.raw import Connection, Response, WebSocket, request

_MS = "1290000000000"


class Handshake(NamedTuple):
    """The answer to the handshake of 0.7 to 0.9 (section 2)."""

    sid: str
    heartbeat_timeout: int
    close_timeout: int
    transports: list[str]


def read_handshake(text: str) -> Handshake:
    sid, heartbeat_timeout, close_timeout, transports = text.split(":")
    return Handshake(sid, int(heartbeat_timeout), int(close_timeout), transports.split(","))


def handshake(port: int, resource: str = "/socket.io", headers: Mapping[str, str] | None = None) -> Handshake:
    answer = request(port, "GET", f"{resource}/1/?t={_MS}", headers)
    assert answer.status == 200, answer
    return read_handshake(answer.text)


class Polling:
    """What polling clients have in common: a connection for GETs and one for POSTs, as in a browser."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.gets = Connection(port)
        self.posts = Connection(port)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        self.gets.close()
        self.posts.close()

    @property
    def get_path(self) -> str:
        raise NotImplementedError

    @property
    def post_path(self) -> str:
        return self.get_path

    def start_poll(self) -> None:
        """Send a GET; :meth:`finish_poll` reads its answer."""
        self.gets.ask("GET", self.get_path)

    def finish_poll(self) -> list[str]:
        """The packets of the answer."""
        answer = self.gets.response()
        assert answer.status == 200, answer
        return self.read(answer)

    def break_off(self) -> None:
        """Break a GET off while it waits; the next one has a connection of its own."""
        self.start_poll()
        assert self.gets.is_silent(0.05)
        self.gets.reset()
        self.gets = Connection(self.port)

    def poll(self) -> list[str]:
        self.start_poll()
        return self.finish_poll()

    def receive(self, count: int = 1) -> list[str]:
        """Poll until so many packets have come, noops aside."""
        packets: list[str] = []
        while len(packets) < count:
            packets += [packet for packet in self.poll() if packet != "8::"]
        assert len(packets) == count, packets
        return packets

    def read(self, answer: Response) -> list[str]:
        raise NotImplementedError


class Polling09(Polling):
    """xhr-polling of 0.7 to 0.9 (sections 5 and 7.1), after its handshake."""

    def __init__(self, port: int, resource: str = "/socket.io", sid: str | None = None) -> None:
        super().__init__(port)
        self.resource = resource
        self.sid = sid or handshake(port, resource).sid

    @property
    def get_path(self) -> str:
        return f"{self.resource}/1/xhr-polling/{self.sid}?t={_MS}"

    def read(self, answer: Response) -> list[str]:
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        return split_0_9(answer.text)

    def try_post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        return self.posts.request(
            "POST", self.post_path, {"Content-Type": "text/plain;charset=UTF-8", **(headers or {})}, body
        )

    def post(self, *packets: str) -> None:
        answer = self.try_post(join_0_9(*packets).encode())
        assert (answer.status, answer.body) == (200, b"1"), answer

    def open(self) -> Any:
        """Poll for the packet that lets the client in."""
        assert self.poll() == ["1::"]
        return self

    def leave(self) -> None:
        """What a page says when it goes away (section 6.2)."""
        answer = self.posts.request("GET", f"{self.resource}/1//{self.sid}/?disconnect=1")
        assert (answer.status, answer.body) == (200, b"")


class JSONP09(Polling09):
    """jsonp-polling of 0.8.6 to 0.9 (section 7.2)."""

    index = 0

    @property
    def get_path(self) -> str:
        return f"{self.resource}/1/jsonp-polling/{self.sid}?t={_MS}&i={self.index}"

    def read(self, answer: Response) -> list[str]:
        text = unscript(answer, rf"io\.j\[{self.index}\]\((.*)\);")
        self.index += 1
        return split_0_9(text)

    def try_post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        form = "d=" + quote(json.dumps(body.decode(), ensure_ascii=False), safe="")
        headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.posts.request("POST", self.post_path, headers, form.encode())


class Polling06(Polling):
    """xhr-polling of 0.5 and 0.6 (sections 2, 4 and 5.1), after its first poll."""

    def __init__(self, port: int, resource: str = "/socket.io") -> None:
        super().__init__(port)
        self.resource = resource
        self.sid = ""
        (self.sid,) = self.poll()

    @property
    def get_path(self) -> str:
        return f"{self.resource}/xhr-polling/{self.sid}/{_MS}"

    @property
    def post_path(self) -> str:
        return f"{self.resource}/xhr-polling/{self.sid}/send"

    def read(self, answer: Response) -> list[str]:
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        return split_0_6(answer.text)

    def try_post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", **(headers or {})}
        return self.posts.request("POST", self.post_path, headers, body)

    def post(self, *messages: str) -> None:
        # As `encodeURIComponent` does it.
        answer = self.try_post(("data=" + quote(frame_0_6(*messages), safe="~!*'()")).encode())
        assert (answer.status, answer.body) == (200, b"ok"), answer
        assert answer.headers["content-type"].startswith("text/plain")


class JSONP06(Polling06):
    """jsonp-polling of 0.6 (section 5.2)."""

    index = 0

    @property
    def get_path(self) -> str:
        return f"{self.resource}/jsonp-polling/{self.sid}/{_MS}/{self.index}"

    post_path = get_path

    def read(self, answer: Response) -> list[str]:
        text = unscript(answer, rf"io\.JSONP\[{self.index}\]\._\((.*)\);")
        self.index += 1
        return split_0_6(text)


class Socket09(WebSocket):
    """A WebSocket of 0.7 to 0.9 that the server has let in."""

    def __init__(self, port: int, sid: str | None = None, resource: str = "/socket.io", **options: Any) -> None:
        self.sid = sid or handshake(port, resource).sid
        super().__init__(port, f"{resource}/1/websocket/{self.sid}", **options)
        assert self.receive_text() == "1::"

    def ask(self, packet: str) -> str:  # type: ignore[override]
        self.send_text(packet)
        return self.receive_text()


class Socket06(WebSocket):
    """A WebSocket of 0.5 and 0.6 that has its session id."""

    def __init__(self, port: int, resource: str = "/socket.io", **options: Any) -> None:
        super().__init__(port, f"{resource}/websocket", **options)
        self.sid = unframe_0_6(self.receive_text())

    def say(self, *messages: str) -> None:
        self.send_text(frame_0_6(*messages))

    def hear(self) -> str:
        return unframe_0_6(self.receive_text())

    def ask(self, message: str) -> str:  # type: ignore[override]
        self.say(message)
        return self.hear()


def unscript(answer: Response, pattern: str) -> str:
    """What an answer hands to the client's function."""
    assert answer.headers["content-type"] == "text/javascript; charset=UTF-8"
    match = re.fullmatch(pattern, answer.text)
    assert match is not None, answer.text
    text: str = json.loads(match[1])
    return text


def join_0_9(*packets: str) -> str:
    """One packet as it is, more of them framed; lengths are of UTF-16 code units."""
    if len(packets) == 1:
        return packets[0]
    return "".join(f"\ufffd{len(packet.encode('utf-16-le')) // 2}\ufffd{packet}" for packet in packets)


def split_0_9(text: str) -> list[str]:
    packets = [text]
    if text.startswith("\ufffd"):
        packets = text.split("\ufffd")[2::2]
        assert join_0_9(*packets) == text, text
        assert len(packets) > 1, "a single packet is not framed"
    return packets


def split_0_6(text: str) -> list[str]:
    """The messages of an answer, none of which looks like a frame."""
    messages = re.split("~m~[0-9]+~m~", text)
    assert messages.pop(0) == ""
    assert frame_0_6(*messages) == text, text
    return messages
