"""WebSocket views whose clients come and vanish, hundreds of times: everything is as it was before."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.core import io as io_watcher  # type: ignore[import-untyped]
from gevent.core import timer as timer_watcher
from pyramid.config import Configurator

from pyramid_socketio.evented.readiness import Readiness
from pyramid_socketio.evented.wire import Wire
from pyramid_socketio.rawsocket import WebSocket as Socket
from pyramid_socketio.server.connection import HTTPConnection
from pyramid_socketio.websocket import IWebSockets, websocket
from tests.conftest import wait_for
from tests.functional.raw import CLOSE, UPGRADE, WebSocket, encode_request
from tests.functional.raw import Connection as Client
from tests.functional.serving import ThreadServer


@websocket
def receives(request: Any, websocket: Any) -> None:
    while (message := websocket.receive()) is not None:
        websocket.send(message)


@websocket
def selects(request: Any, websocket: Any) -> None:
    while not websocket.closed:
        websocket.select([])
        message = websocket.receive()
        if message is not None:
            websocket.send(message)


def application(view: Any) -> Any:
    with Configurator(settings={"socketio.close_timeout": "0.2"}) as config:
        config.include("pyramid_socketio")
        config.add_view(view)
    return config.make_wsgi_app()


@pytest.fixture(params=[receives, selects])
def server(request: pytest.FixtureRequest) -> Iterator[ThreadServer]:
    with ThreadServer(application(request.param)) as server:
        yield server
    assert server.failures == []


WATCHED = (gevent.Greenlet, io_watcher, timer_watcher, Wire, HTTPConnection, Socket, Readiness)


def census(server: ThreadServer) -> dict[str, int]:
    """Objects by class, descriptors, timers and connections, in one turn of the server's loop."""

    def count() -> dict[str, int]:
        found: Counter[str] = Counter()
        for thing in gc.get_objects():
            kind = type(thing)
            # Idle workers are kept, and come and go.
            if issubclass(kind, WATCHED) and kind.__name__ != "_Worker":
                found[kind.__name__] += 1
        found["descriptors"] = len(os.listdir("/proc/self/fd"))
        found["timers"] = len(server.server.timers)
        found["connections"] = len(server.server.connections)
        # There is none before the first client has got as far as the view.
        owner = server.application.registry.queryUtility(IWebSockets)
        found["open"] = 0 if owner is None else len(owner.open)
        return dict(found)

    counts: dict[str, int] = server.call(count)
    return counts


def closed_in_order(port: int) -> None:
    with WebSocket(port, "/") as client:
        client.send_text("x")
        assert client.receive_text() == "x"
        client.send_frame(CLOSE, b"\x03\xe8")
        assert client.close_code() == 1000


def reset(port: int) -> None:
    client = WebSocket(port, "/")
    client.send_text("x")
    assert client.receive_text() == "x"
    client.reset()


def gone_at_once(port: int) -> None:
    client = Client(port)
    client.send(encode_request("GET", "/", UPGRADE))
    client.reset()


def broken(port: int) -> None:
    with WebSocket(port, "/") as client:
        client.send(b"\xff" * 10)
        assert client.close_code() == 1002


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted by /proc")
@pytest.mark.parametrize("life", [closed_in_order, reset, gone_at_once, broken])
def test_nothing_is_left(server: ThreadServer, life: Callable[[int], None]) -> None:
    for _ in range(5):
        life(server.port)

    def settled() -> dict[str, int]:
        counts = census(server)
        assert counts["open"] == counts["timers"] == counts["connections"] == 0
        return counts

    gc.collect()
    before = wait_for(settled)
    gc.disable()
    try:
        for _ in range(200):
            life(server.port)

        def as_before() -> bool:
            """References alone bring everything down: memory does not wait for the garbage collector."""
            more = {name: count - before.get(name, 0) for name, count in settled().items()}
            assert {name: count for name, count in more.items() if count > 0} == {}
            return True

        wait_for(as_before)
    finally:
        gc.enable()
