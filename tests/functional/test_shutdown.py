"""SIGTERM: every client is told, every ``disconnect`` runs, and the process ends with 0."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.conftest import DEADLINE, ServerProcess, wait_for
from tests.functional.raw import Connection, EngineSocket, PollingSession, request
from tests.functional.serving import ThreadServer


def ends(server: ServerProcess) -> dict[str, str]:
    """Context id to reason, of the lines that the application prints."""
    lines = [line for line in server.log.splitlines() if line.startswith("disconnect ")]
    found = dict(line.removeprefix("disconnect ").split(": ") for line in lines)
    assert len(found) == len(lines), "a disconnect ran twice"
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_everybody_is_told(server: Callable[..., ServerProcess], enter: Any, number: signal.Signals) -> None:
    process = server("contexts_app", socketio_close_timeout=0.2)
    websockets = [enter(EngineSocket(process.port)) for _ in range(3)]
    slow = enter(EngineSocket(process.port, "/slow"))
    slow.send_text('42/slow,["spawn"]')
    assert slow.receive_text() == '42/slow,["working"]'
    blocked = enter(EngineSocket(process.port))
    blocked.emit("sleep", 60)
    assert blocked.event() == ["blocked"]
    poll = enter(PollingSession(process.port))
    ids = [websocket.id for websocket in [*websockets, slow, blocked]] + [poll.join()]
    poll.start_poll()
    undecided = enter(EngineSocket(process.port, namespace=None))
    idle = enter(Connection(process.port))

    process.process.send_signal(number)
    for websocket in [*websockets, slow, blocked, undecided]:
        assert websocket.close_code() == 1001
    assert poll.finish_poll() == "1"
    assert idle.read_to_end() == b""
    assert process.process.wait(DEADLINE) == 0, process.log
    assert ends(process) == dict.fromkeys(ids, "shutdown")
    assert f"greenlet ended {slow.id}" in process.log
    assert "Traceback" not in process.log


def test_what_was_sent_before_still_arrives(server: Callable[..., ServerProcess], enter: Any) -> None:
    process = server("contexts_app")
    client = enter(EngineSocket(process.port))
    for number in range(100):
        client.emit("echo", number)
    assert client.event() == ["echo", 0]
    process.process.send_signal(signal.SIGTERM)
    received = 1
    while True:
        opcode, payload = client.receive()
        if opcode == 8:
            break
        assert payload == b'42["echo",%d]' % received
        received += 1
    assert payload[:2] == (1001).to_bytes(2, "big")
    assert process.process.wait(DEADLINE) == 0, process.log


@pytest.mark.parametrize("sent", [0, 3])
def test_a_client_between_two_polls(server: Callable[..., ServerProcess], enter: Any, sent: int) -> None:
    """Its next poll fetches what is left for it, and the close packet."""
    process = server("contexts_app")
    poll = enter(PollingSession(process.port))
    id = poll.join()
    for number in range(sent):
        poll.emit("echo", number)
    process.process.send_signal(signal.SIGTERM)
    wait_for(lambda: ends(process) == {id: "shutdown"})
    assert poll.poll().split("\x1e") == [f'42["echo",{number}]' for number in range(sent)] + ["6", "1"]
    assert process.process.wait(DEADLINE) == 0, process.log


def test_a_client_that_does_not_poll_again_is_not_waited_for_long(
    server: Callable[..., ServerProcess], enter: Any
) -> None:
    process = server("contexts_app")
    enter(PollingSession(process.port)).join()
    began = time.monotonic()
    assert process.stop() == 0, process.log
    assert time.monotonic() - began < DEADLINE / 2


def test_a_request_that_meets_the_end() -> None:
    """An idle connection is closed, not reset: a request that is under way to it does not break anything."""
    with ThreadServer(lambda environ, start_response: []) as server, Connection(server.port) as idle:
        (connection,) = wait_for(lambda: tuple(server.server.connections))
        server.call(connection.close_idle)
        for _ in range(3):
            idle.ask("GET", "/")
        assert idle.read_to_end() == b""


def test_clients_that_come_while_the_others_are_told(server: Callable[..., ServerProcess], enter: Any) -> None:
    """Last words are fetched on a new connection, and who is new is sent away at once, and not left to wait."""
    process = server("contexts_app", socketio_close_timeout=2)
    blocked = enter(EngineSocket(process.port))
    blocked.emit("sleep", 60)
    assert blocked.event() == ["blocked"]
    poll = enter(PollingSession(process.port))
    poll.join()
    poll.emit("echo", 1)
    process.process.send_signal(signal.SIGTERM)
    assert blocked.close_code() == 1001
    with Connection(process.port) as anew:
        assert anew.request("GET", poll.path).text.split("\x1e") == ['42["echo",1]', "6", "1"]
    answer = request(process.port, "GET", "/socket.io/?EIO=4&transport=polling")
    assert (answer.status, answer.text) == (503, "The server is shutting down")
    assert answer.headers["retry-after"] == "5"
    assert process.process.wait(DEADLINE) == 0, process.log
    assert "WARNING" not in process.log


def test_who_comes_after_that_is_refused_while_requests_end() -> None:
    release = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        release.wait()
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    with ThreadServer(application) as server, Connection(server.port) as slow:
        slow.ask("GET", "/")
        wait_for(lambda: server.server.connections)
        ending = server.call(lambda: gevent.spawn(server.server.shutdown))
        wait_for(lambda: refuses(server.port))
        server.call(release.set)
        assert slow.response().text == "done"
        wait_for(lambda: ending.ready())


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), DEADLINE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_nobody_new_gets_in_while_the_server_stops(server: Callable[..., ServerProcess], enter: Any) -> None:
    process = server("contexts_app")
    client = enter(EngineSocket(process.port, "/slow"))
    process.process.send_signal(signal.SIGTERM)
    assert client.close_code() == 1001
    wait_for(lambda: refuses(process.port))
    assert process.process.wait(DEADLINE) == 0, process.log
    assert ends(process) == {client.id: "shutdown"}
