"""What python-socketio's client must find: ``python python_checks.py MODE URL``.

``MODE`` and the lines that it prints are those of ``checks.cjs``.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import socketio
import socketio.exceptions
from engineio.payload import Payload

DEADLINE = 8.0 * float(os.environ.get("TEST_TIME_SCALE", "1"))
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
MODE, URL = sys.argv[1:3]

# A client that is slower than the server finds more than the 16 packets in a polling answer that it takes by default.
Payload.max_decode_packets = 1000


class Client:
    """A connected client that keeps what it receives."""

    def __init__(self, namespace: str = "/", auth: object = None) -> None:
        self.namespace = namespace
        self.received: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue()
        self.io = socketio.Client(reconnection=False)
        self.io.on("question", lambda question: {"you": question}, namespace=namespace)
        self.io.on("*", self._note, namespace=namespace)
        for event in ("disconnect", "connect_error"):
            self.io.on(event, lambda *args, event=event: self._note(event, *args), namespace=namespace)
        self.io.connect(URL, namespaces=[namespace], auth=auth, transports=TRANSPORTS[MODE], wait_timeout=DEADLINE)

    def _note(self, event: str, *args: Any) -> None:
        self.received.put((event, args))

    def emit(self, event: str, *args: Any) -> None:
        self.io.emit(event, args, namespace=self.namespace)

    def ask(self, event: str, *args: Any) -> Any:
        return self.io.call(event, args, namespace=self.namespace, timeout=DEADLINE)

    def next(self, event: str) -> tuple[Any, ...]:
        """The arguments of the next event, which has to be of that name."""
        name, args = self.received.get(timeout=DEADLINE)
        assert name == event, (name, args)
        return args

    def echoes(self, *args: Any) -> None:
        self.emit("echo", *args)
        assert self.next("echo") == args

    def close(self) -> None:
        self.io.disconnect()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "too late"
        time.sleep(0.01)


def connect() -> None:
    client = Client()
    assert client.io.get_sid("/") not in (None, client.io.eio.sid)
    assert client.io.transport() == TRANSPORTS[MODE][-1]
    client.close()


def text_and_json() -> None:
    client = Client()
    client.echoes("hello")
    client.echoes("Grüße, 漢字, 👩‍👩‍👧, 𝄞, 😀 \u2028 \x00 \x1e")
    client.echoes({"a": [1, {"b": [[], [{"c": None}]]}], "😀": 1.5}, True, [])
    client.echoes("x" * 200_000)
    client.close()


def binary() -> None:
    client = Client()
    client.echoes(b"")
    client.echoes(bytes(range(256)))
    client.echoes("head", {"a": b"1", "b": [b"22", {"c": b"333"}]}, b"4444")
    client.echoes(bytes(range(256)) * 1000)
    client.close()


def acks() -> None:
    client = Client()
    assert client.ask("echo:ack", "value 😀") == "value 😀"
    assert client.ask("echo:ack", {"a": [b"1", b"22"]}) == {"a": [b"1", b"22"]}
    client.emit("ask", "how?")
    assert client.next("answered") == ({"you": "how?"},)
    client.emit("ask", b"bytes")
    assert client.next("answered") == ({"you": b"bytes"},)
    client.close()


def ack_too_late_for_the_client() -> None:
    client = Client()
    try:
        client.io.call("slow", 0.3, timeout=0.05)
    except socketio.exceptions.TimeoutError:
        pass
    else:
        raise AssertionError("no time-out")
    assert client.ask("echo:ack", "still here") == "still here"
    client.close()


def namespaces() -> None:
    client = Client("/chat/red")
    assert client.ask("where") == {"room": "red"}
    client.emit("say", "hi", b"123")
    assert client.next("said") == ("red", "hi", b"123")
    client.close()


def auth() -> None:
    client = Client("/members", auth={"token": "open sesame"})
    assert client.ask("whoami") == "a member"
    client.close()


def refused(namespace: str, auth: object, *expected: object) -> None:
    client = Client.__new__(Client)
    try:
        client.__init__(namespace, auth)  # type: ignore[misc]
    except socketio.exceptions.ConnectionError:
        assert client.next("connect_error") == expected
    else:
        raise AssertionError("not refused")


def refusals() -> None:
    refused("/members", {"token": "x"}, {"message": "Not a member", "data": {"code": "E1", "seen": {"token": "x"}}})
    refused("/forbidden", None, {"message": "Forbidden", "data": {"status": 403}})
    refused("/nowhere", None, {"message": "Invalid namespace"})


def broadcast() -> None:
    speaker, listener = Client(), Client()
    speaker.emit("to_others", "others")
    assert listener.next("heard") == ("others",)
    speaker.emit("to_all", b"all")
    for client in (speaker, listener):
        assert client.next("message") == ({"type": "heard", "value": b"all"},)
        client.close()


def disconnects() -> None:
    leaver, left, witness = Client(), Client(), Client()
    ids = leaver.io.get_sid("/"), left.io.get_sid("/")
    leaver.close()
    left.emit("leave_me")
    assert left.next("disconnect") == (left.io.reason.SERVER_DISCONNECT,)
    # On polling its last packets may not make it, and then only the end of the connection is seen.
    until(lambda: witness.ask("why_ended", ids[0]) is not None)
    until(lambda: witness.ask("why_ended", ids[1]) == "server")
    left.close()
    witness.close()


def numbered_both_ways() -> None:
    count = 200
    client = Client()
    client.emit("count_to", count, 0.001)
    for number in range(count):
        client.emit("number", number)
    assert [client.next("number")[0] for _ in range(count)] == list(range(count))
    assert client.ask("numbers_seen") == list(range(count))
    client.close()


CHECKS = (
    connect,
    text_and_json,
    binary,
    acks,
    ack_too_late_for_the_client,
    namespaces,
    auth,
    refusals,
    broadcast,
    disconnects,
    numbered_both_ways,
)


def main() -> None:
    for check in CHECKS:
        report: dict[str, object] = {"check": check.__name__, "ok": True}
        try:
            check()
        except Exception:
            report.update(ok=False, error=traceback.format_exc())
        print(json.dumps(report), flush=True)
    sys.stdout.flush()
    os._exit(0)  # Threads of a client that a failed check left behind would keep the process alive.


if __name__ == "__main__":
    main()
