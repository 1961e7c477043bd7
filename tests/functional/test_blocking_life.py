"""Beginning and end of a blocking view and of its client, whoever is first."""

from __future__ import annotations

import gc
import logging
import time
from collections import Counter
from typing import Any

import gevent
import pytest
from gevent.event import Event
from pyramid.request import Request
from pyramid.response import Response

from pyramid_socketio.interfaces import ISocketIO
from tests.conftest import DEADLINE, wait_for
from tests.functional.blocking_views import PollingToday, Views, echo, serve
from tests.functional.classic import Polling09
from tests.functional.events import ALL, Six, Today
from tests.functional.raw import POLLING, UPGRADE, WEBSOCKET, Connection, EngineSocket, request


def test_requests_that_open_nothing(enter: Any) -> None:
    view = Views(echo)
    server = enter(serve(view))
    assert request(server.port, "GET", "/socket.io/").json["code"] == 0
    assert request(server.port, "GET", POLLING + "&sid=unknown").json["code"] == 1
    assert request(server.port, "POST", POLLING, body=b"").json["code"] == 2
    wait_for(lambda: (view.begun, view.over) == (3, 3))
    assert request(server.port, "GET", "/").text == "home"
    assert server.failures == []


def test_a_socket_that_is_not_used_answers_nothing(enter: Any) -> None:
    def view(request: Any) -> Response:
        return Response(type(request.environ["socketio"]).__name__)

    server = enter(serve(view))
    assert request(server.port, "GET", POLLING).text == "BlockingSocket"
    assert server.application.registry.queryUtility(ISocketIO) is None
    assert server.failures == []


def test_a_socket_serves_its_own_view_only(enter: Any) -> None:
    kept: list[Any] = []
    said: list[str] = []

    def view(request: Any) -> Response:
        for socketio in kept:
            with pytest.raises(RuntimeError) as caught:
                socketio.connected()
            said.append(str(caught.value))
        kept.append(request.environ["socketio"])
        return Response()

    server = enter(serve(view))
    for _ in range(2):
        request(server.port, "GET", POLLING)
    assert said == ["the view that this client belongs to is over"]


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("join", [True, False])
def test_a_client_that_leaves_abruptly(enter: Any, join: bool, end: str) -> None:
    view = Views(echo)
    server = enter(serve(view))
    client = EngineSocket(server.port, namespace="/" if join else None)
    wait_for(lambda: view.begun == 1)
    getattr(client, end)()
    wait_for(view.all_over)
    wait_for(server.has_settled)
    assert server.failures == []


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_client_that_is_gone_before_the_view_answers(enter: Any, end: str) -> None:
    def slow(request: Any) -> Response:
        wire = request.environ["pyramid_socketio.connection"].wire
        while not wire.closed:
            gevent.sleep(0.001)
        return echo(request)

    view = Views(slow)
    server = enter(serve(view))
    client = Connection(server.port)
    client.ask("GET", WEBSOCKET, UPGRADE)
    getattr(client, end)()
    wait_for(lambda: view.begun and view.all_over())
    wait_for(server.has_settled)
    assert server.failures == []


# The end of the view


def one_word(request: Any) -> Response:
    socketio = request.environ["socketio"]
    socketio.send(socketio.receive())
    return Response()


@pytest.mark.parametrize("kind", ALL)
def test_the_end_of_the_view_ends_the_session(enter: Any, kind: Any) -> None:
    server = enter(serve(one_word))
    client = enter(kind(server.port))
    client.say("bye")
    assert client.hear() == "bye"
    if kind is Today:
        assert client.receive_text() == "41", "told so, the client does not come back"
    assert client.close_code() == 1000
    wait_for(server.has_settled)
    assert server.failures == []


def test_the_end_of_the_view_ends_polling(enter: Any) -> None:
    server = enter(serve(one_word))
    client = enter(PollingToday(server.port))
    client.emit("message", "bye")
    packets: list[str] = []
    while "1" not in packets:
        packets += client.poll().split("\x1e")
    assert [packet for packet in packets if packet != "6"] == ['42["message","bye"]', "41", "1"]
    old = enter(Polling09(server.port).open())
    old.post("3:::bye")
    assert old.receive(2) == ["3:::bye", "0::"]
    wait_for(server.has_settled)
    assert server.failures == []


def test_what_the_view_has_not_read_at_its_end_is_dropped(enter: Any) -> None:
    ending = Event()

    def view(request: Any) -> Response:
        request.environ["socketio"].on_connect()
        ending.wait()
        return Response()

    server = enter(serve(view, close_timeout=1000))
    with EngineSocket(server.port) as client:
        client.emit("message", "nobody reads this")
        client.send_frame(9)
        assert client.receive() == (10, b""), "the message has come before"
        server.call(ending.set)
        assert client.close_code() == 1000
    wait_for(server.has_settled)
    assert server.failures == []


def test_an_error_in_the_view_ends_the_session_and_is_logged(enter: Any) -> None:
    def view(request: Any) -> Response:
        for message in request.environ["socketio"]:
            raise ValueError(message)
        return Response()

    server = enter(serve(view))
    with Today(server.port) as client:
        client.say("a reason")
        assert client.receive_text() == "41"
        assert client.close_code() == 1000
    wait_for(server.has_settled)
    (failure,) = [record for record in server.records if record.exc_info]
    assert failure.levelno == logging.ERROR
    assert str(failure.exc_info[1]) == "a reason"


def test_what_a_view_returns_goes_nowhere() -> None:
    """`None` is no response, and nobody waits for one."""

    def view(request: Request) -> None:
        socket = request.socketio_socket
        assert socket is request.environ["socketio"]
        socket.send({"type": "bye"})

    with serve(view, include=True) as server, EngineSocket(server.port) as client:
        assert client.event() == ["message", {"type": "bye"}]
        assert client.close_code() is not None
        assert server.failures == []


def test_what_a_slow_view_has_not_read_waits_with_the_client(enter: Any) -> None:
    reading = Event()
    read: list[Any] = []

    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        socketio.on_connect()
        reading.wait()
        read.extend(socketio)
        return Response()

    server = enter(serve(view, max_inbox_packets=5))
    client = enter(EngineSocket(server.port))
    for number in range(50):
        client.emit("message", number)

    def paused() -> bool:
        (session,) = server.sessions.values()
        return bool(session.transport.paused)

    wait_for(lambda: server.call(paused))
    server.call(reading.set)
    wait_for(lambda: len(read) == 50)
    assert read == list(range(50))
    client.close()
    wait_for(server.has_settled)


# The end of the server


def test_last_words_at_the_end_of_the_server(enter: Any) -> None:
    words: list[str] = []

    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        for _ in socketio:
            pass
        gevent.sleep(0.05)
        words.append(socketio.session.session_id)
        return Response()

    with serve(view) as server:
        clients = [EngineSocket(server.port) for _ in range(3)]
    assert sorted(words) == sorted(client.id for client in clients)
    for client in clients:
        client.close()


def test_a_view_that_does_not_end_holds_no_shutdown_up(enter: Any) -> None:
    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        socketio.on_connect()
        gevent.sleep(1000)
        return Response()

    with serve(view, close_timeout=0.1) as server:
        enter(EngineSocket(server.port))
        begin = time.monotonic()
    assert time.monotonic() - begin < DEADLINE


# What is left


def test_nothing_is_left(enter: Any) -> None:
    """References alone bring everything down: memory does not wait for the garbage collector."""
    server = enter(serve(echo))

    def lives() -> None:
        with Today(server.port) as client:
            client.say(1)
            client.hear()
            client.reset()
        EngineSocket(server.port, namespace=None).reset()
        with PollingToday(server.port) as polling:
            polling.say(1)
            polling.hear()
            polling.end()
        with Six(server.port) as old:
            old.say("x")
            old.hear()
        request(server.port, "GET", "/")
        request(server.port, "GET", "/socket.io/")

    def count() -> Counter[str]:
        names = ("BlockingSocket", "_Client", "NamespaceSocket", "Request", "SocketIOHandler")
        return Counter(name for thing in gc.get_objects() if (name := type(thing).__name__) in names)

    lives()
    wait_for(server.has_settled)
    gc.collect()
    before = server.call(count)
    gc.disable()
    try:
        for _ in range(20):
            lives()
        wait_for(lambda: server.has_settled() and server.call(count) - before == Counter())
    finally:
        gc.enable()
    assert server.failures == []
