"""The examples of WebSocket views, served by a process of their own and used over real sockets."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import DEADLINE, ServerProcess, wait_for
from tests.functional.raw import BINARY, CLOSE, PING, PONG, TEXT, WebSocket, frame, request


@pytest.fixture(scope="module")
def process(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server("websockets_app", socketio_close_timeout=0.3)


def test_echo(process: ServerProcess) -> None:
    with WebSocket(process.port, "/echo/") as client:
        for text in ("hello", "", "grüße", "x" * 70_000):
            client.send_text(text)
            assert client.receive_text() == text
        client.send_frame(BINARY, bytes(range(256)))
        assert client.receive() == (BINARY, bytes(range(256)))
        client.send_frame(PING, b"there?")
        assert client.receive() == (PONG, b"there?")
        client.send_frame(CLOSE, (3000).to_bytes(2, "big") + b"enough")
        assert client.close_code() == 3000
    assert "Traceback" not in process.log


def test_everything_sent_before_the_close_is_answered(process: ServerProcess) -> None:
    with WebSocket(process.port, "/echo/") as client:
        client.send(b"".join(frame(TEXT, b"%d" % number) for number in range(500)) + frame(CLOSE, b"\x03\xe8"))
        assert [client.receive_text() for _ in range(500)] == [str(number) for number in range(500)]
        assert client.close_code() == 1000


def test_ping(process: ServerProcess) -> None:
    with WebSocket(process.port, "/ping/") as client:
        for text in ("ping", "pong", "something else", "ping"):
            client.send_text(text)
        assert [client.receive_text() for _ in range(3)] == ["pong", "ping", "pong"]
        assert client.is_silent(0.05)


def test_chat_with_name_and_colour(process: ServerProcess, enter: Any) -> None:
    page = request(process.port, "GET", "/chat/")
    assert page.status == 200
    assert 'new WebSocket("ws://127.0.0.1/chat/")' in page.text
    anna, ben = (enter(WebSocket(process.port, "/chat/")) for _ in range(2))
    for name, colour in (("Anna", "#ff0000"), ("Anne", "#00ff00")):
        message = json.dumps({"user": name, "colour": colour, "text": "hello"})
        anna.send_text(message)
        assert anna.receive_text() == ben.receive_text() == message
    ben.send_frame(CLOSE, b"\x03\xe8")
    assert ben.close_code() == 1000
    anna.send_text("alone")
    assert anna.receive_text() == "alone"


def test_a_view_that_selects_gets_what_was_already_there(process: ServerProcess) -> None:
    """The server reads all of it at once: only what is left of it in memory can wake the view."""
    early = b"".join(frame(TEXT, letter) for letter in (b"a", b"b", b"c"))
    with WebSocket(process.port, "/two_sources/", early=early) as client:
        assert [client.receive_text() for _ in range(3)] == ["A", "B", "C"]
        client.send_text("d")
        assert client.receive_text() == "D"
        client.send_frame(CLOSE, b"\x03\xe8")
        assert client.close_code() == 1000


def test_a_view_that_only_sends_finds_out_that_its_client_is_gone(process: ServerProcess) -> None:
    with WebSocket(process.port, "/endless/") as client:
        assert client.receive_text() == "tick"
        client.reset()
    wait_for(lambda: "endless is over" in process.log)
    assert "Traceback" not in process.log


def test_a_client_that_says_goodbye_to_a_view_that_only_sends(process: ServerProcess) -> None:
    """The view has `close_timeout` to ask; then the goodbye is returned without it."""
    with WebSocket(process.port, "/endless/") as client:
        client.send_frame(CLOSE, b"\x03\xe8")
        assert client.close_code() == 1000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_shutdown(server: Callable[..., ServerProcess], enter: Any, number: signal.Signals) -> None:
    process = server("websockets_app", socketio_close_timeout=0.3)
    clients = [enter(WebSocket(process.port, path)) for path in ("/echo/", "/chat/", "/two_sources/", "/stubborn/")]
    assert clients[-1].receive_text() == "here"
    process.process.send_signal(number)
    for client in clients:
        assert client.close_code() == 1001
    assert process.process.wait(DEADLINE) == 0, process.log
    assert "stubborn is over" in process.log
    assert "Traceback" not in process.log
