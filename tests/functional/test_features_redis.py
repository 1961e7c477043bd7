"""The chat of django-gevent-websocket, whose messages go through a Redis server, in two processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.conftest import DEADLINE, ServerProcess, wait_for
from tests.functional.raw import CLOSE, WebSocket

pytestmark = pytest.mark.redis


@pytest.fixture
def redis_socket(tmp_path: Path) -> Iterator[str]:
    """The socket of a Redis server that lives as long as the test."""
    path = tmp_path / "redis.sock"
    argv = ["redis-server", "--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path), "--save", ""]
    with (tmp_path / "redis.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: path.is_socket() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "redis.log").read_text()
        yield str(path)
    finally:
        process.terminate()
        process.wait(DEADLINE)


def test_the_chat_in_two_processes(server: Callable[..., ServerProcess], redis_socket: str) -> None:
    processes = [server("redis_chat_app", redis=redis_socket) for _ in range(2)]
    with redis.Redis(unix_socket_path=redis_socket) as observer, ExitStack() as stack:

        def readers(count: int) -> None:
            wait_for(lambda: observer.pubsub_numsub("CHAT") == [(b"CHAT", count)])

        anna, ben, clara = (
            stack.enter_context(WebSocket(process.port, "/chat/")) for process in (*processes, processes[0])
        )
        readers(3)
        for user, colour in (("Anna", "#ff0000"), ("Anne", "#00ff00"), ("Änne", "#0000ff")):
            message: Any = json.dumps({"user": user, "colour": colour, "text": "hello"}, ensure_ascii=False)
            anna.send_text(message)
            for reader in (anna, ben, clara):
                assert reader.receive_text() == message
        for number in range(100):
            ben.send_text(str(number))
        assert [[reader.receive_text() for _ in range(100)] for reader in (anna, ben, clara)] == [
            [str(number) for number in range(100)]
        ] * 3
        clara.send_frame(CLOSE, b"\x03\xe8")
        assert clara.close_code() == 1000
        readers(2)
        observer.publish("CHAT", "from elsewhere")
        assert anna.receive_text() == ben.receive_text() == "from elsewhere"
        ben.reset()
        readers(1)
    for process in processes:
        assert "Traceback" not in process.log
