"""The Django article's way: a view whose loop reads the client's messages, by ``request.environ["socketio"]``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from pyramid.response import Response

from tests.conftest import DEADLINE, ServerProcess, wait_for
from tests.functional.blocking_views import Views, echo, serve
from tests.functional.classic import Socket06
from tests.functional.events import Today
from tests.functional.raw import EngineSocket, request


def test_the_chat_of_the_article(server: Callable[..., ServerProcess], enter: Any) -> None:
    port = server("buffer_chat_app").port
    first = enter(EngineSocket(port))
    assert first.event() == ["message", {"buffer": []}]
    second = enter(EngineSocket(port))
    assert second.event() == ["message", {"buffer": []}]
    assert first.event() == ["message", {"announcement": f"{second.id} connected"}]
    said = [{"message": [first.id, {"text": str(number)}]} for number in range(20)]
    for message in said:
        first.emit("message", message["message"][1])
    assert [second.event()[1] for _ in said] == said
    third = enter(Socket06(port))
    assert json.loads(third.hear().removeprefix("~j~")) == {"buffer": said[-15:]}
    third_id = first.event()[1]["announcement"].removesuffix(" connected")
    assert second.event() == ["message", {"announcement": f"{third_id} connected"}]
    third.say("hello")
    for other in (first, second):
        assert other.event() == ["message", {"message": [third_id, "hello"]}]
    # However they leave.
    second.reset()
    assert first.event() == ["message", {"announcement": f"{second.id} disconnected"}]
    third.send_frame(8, b"\x03\xe8")
    assert first.event() == ["message", {"announcement": f"{third_id} disconnected"}]


buffer: list[Any] = []


def article(request: Any) -> Response:
    """The view as the article has it, letter by letter, where some of its lines have got lost."""
    socketio = request.environ["socketio"]
    if socketio.on_connect():
        socketio.send({"buffer": buffer})
        socketio.broadcast({"announcement": socketio.session.session_id + " connected"})

    while True:
        message = socketio.recv()

        if len(message) == 1:
            message = message[0]
            message = {"message": [socketio.session.session_id, message]}
            if len(buffer) > 15:
                del buffer[0]
            if not socketio.connected():
                socketio.broadcast({"announcement": socketio.session.session_id + " disconnected"})

    return Response()


@pytest.mark.parametrize("include", [False, True])
def test_a_loop_without_an_end_ends_with_the_client(enter: Any, include: bool) -> None:
    view = Views(article)
    server = enter(serve(view, include=include))
    first, second = enter(EngineSocket(server.port)), enter(EngineSocket(server.port))
    assert [client.event() for client in (first, second)] == [["message", {"buffer": []}]] * 2
    assert first.event() == ["message", {"announcement": f"{second.id} connected"}]
    first.emit("message", "hello")
    first.close()
    second.reset()
    wait_for(lambda: (view.begun, view.over) == (2, 2))
    wait_for(server.has_settled)
    assert server.failures == []


def test_200_blocked_loops_and_a_get(enter: Any) -> None:
    view = Views(echo)
    server = enter(serve(view))
    clients = [enter(Today(server.port)) for _ in range(200)]
    assert (view.begun, view.over) == (200, 0)
    begin = time.monotonic()
    assert request(server.port, "GET", "/").text == "home"
    assert time.monotonic() - begin < 0.1 * DEADLINE
    for client in clients:
        client.say("x")
        assert client.hear() == "x"
        client.close()
    wait_for(view.all_over)
