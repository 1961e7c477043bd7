"""What a blocking view and its clients say to each other, by the methods of its socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gevent.event import Event
from pyramid.response import Response

from tests.conftest import wait_for
from tests.functional.blocking_views import POLLERS, PollingToday, Views, echo, serve
from tests.functional.events import ALL, Today
from tests.functional.raw import EngineSocket


@pytest.mark.parametrize("kind", ALL + POLLERS)
def test_values_travel_as_they_are(enter: Any, kind: Any) -> None:
    view = Views(echo)
    server = enter(serve(view))
    client = enter(kind(server.port))
    for value in ("text", "zażółć", {"type": "x", "list": [1, None, True]}, ["a", {}]):
        client.say(value)
        assert client.hear() == value
    assert view.begun == 1, "once for each client"
    client.close() if hasattr(client, "close") else client.__exit__()
    server.call(lambda: [session.gone(session.transport, "gone") for session in list(server.sessions.values())])
    wait_for(view.all_over)
    wait_for(server.has_settled)
    assert server.failures == []


def test_events_are_messages_with_a_type(enter: Any) -> None:
    client = enter(EngineSocket(enter(serve(echo)).port))
    for event, message in [
        (["move", {"x": 1, "type": "other"}], {"type": "move", "x": 1}),
        (["move", 1], {"type": "move", "args": [1]}),
        (["move", {}, 2], {"type": "move", "args": [{}, 2]}),
        (["move"], {"type": "move"}),
        (["message"], {"type": "message"}),
        (["message", 1, 2], {"type": "message", "args": [1, 2]}),
        (["message", None], None),
    ]:
        client.emit(*event)
        assert client.event() == ["message", message]


def test_an_ack_says_that_the_message_was_taken(enter: Any) -> None:
    taking = Event()

    def view(request: Any) -> None:
        socketio = request.environ["socketio"]
        socketio.on_connect()
        taking.wait()
        return echo(request)

    server = enter(serve(view))
    client = enter(EngineSocket(server.port))
    client.emit("message", 1, ack=7)
    client.send_frame(9, b"are you there")
    assert client.receive() == (10, b"are you there")
    server.call(taking.set)
    assert {client.receive_text(), client.receive_text()} == {"437[]", '42["message",1]'}


def test_the_socket(enter: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        seen.append((socketio.on_connect(), socketio.on_connect()))
        seen.append((socketio.connected(), bool(socketio.connected)))
        seen.append(socketio.session.session_id)
        seen.append(request.environ["pyramid_socketio.auth"])
        seen.append(socketio.recv())
        seen.append(socketio.receive())
        seen.append(list(socketio))
        seen.append((socketio.connected(), bool(socketio.connected), socketio.on_connect()))
        seen.append(socketio.session.session_id)
        socketio.send("nobody gets this")
        return Response()

    server = enter(serve(view))
    client = EngineSocket(server.port, namespace=None)
    client.send_text('40{"token":1}')
    id = json.loads(client.receive_text()[2:])["sid"]
    for number in range(4):
        client.emit("message", number)
    client.send_text("41")
    wait_for(lambda: len(seen) == 9)
    assert seen == [(True, False), (True, True), id, {"token": 1}, [0], 1, [2, 3], (False, False, False), id]
    # The end of the view is the end of the session.
    assert client.close_code() == 1000
    client.close()
    assert server.failures == []


def test_receive_gives_none_at_the_end_and_then_ends_the_view(enter: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> None:
        socketio = request.environ["socketio"]
        while True:
            seen.append(socketio.receive())

    watched = Views(view)
    server = enter(serve(watched))
    with EngineSocket(server.port) as client:
        client.emit("message", 5)
    wait_for(lambda: watched.begun and watched.all_over())
    assert seen == [5, None]
    assert server.failures == []


def test_broadcast_leaves_out_the_sender_and_exceptions(enter: Any) -> None:
    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        for message in socketio:
            socketio.broadcast(message["text"], exceptions=message["without"])
        return Response()

    server = enter(serve(view))
    first, second, third = (enter(Today(server.port)) for _ in range(3))
    first.say({"text": "a", "without": [second.id]})
    first.say({"text": "b", "without": []})
    third.say({"text": "c", "without": [second.id]})
    assert [third.hear(), third.hear()] == ["a", "b"]
    assert second.hear() == "b"
    assert first.hear() == "c"


def test_what_has_json_of_its_own(enter: Any) -> None:
    class Point:
        def __json__(self, request: Any) -> Any:
            return [request.path, 1]

    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        socketio.send(Point())
        for _ in socketio:
            socketio.broadcast({"at": Point()})
        return Response()

    server = enter(serve(view))
    first, second = enter(Today(server.port)), enter(Today(server.port))
    assert first.hear() == second.hear() == ["/socket.io/", 1]
    first.say(None)
    assert second.hear() == {"at": ["/socket.io/", 1]}


def test_the_view_runs_once_although_polling_makes_many_requests(enter: Any) -> None:
    view = Views(echo)
    server = enter(serve(view))
    client = enter(PollingToday(server.port))
    for number in range(20):
        client.say(number)
        assert client.hear() == number
    with client.candidate() as socket:
        socket.send_text("2probe")
        assert socket.receive_text() == "3probe"
        socket.send_text("5")
        socket.send_text('42["message",20]')
        assert socket.receive_text() == '42["message",20]'
        assert view.begun == 1
    wait_for(view.all_over)


def test_messages_are_logged(enter: Any) -> None:
    server = enter(serve(echo, message_log_format="%(TYPE)s %(MESSAGE)s %(REQUEST_METHOD)s"))
    client = enter(Today(server.port))
    client.say({"type": "greeting"})
    client.hear()
    lines = server.log_lines("pyramid_socketio.messages")
    assert lines == ['greeting {"type": "greeting"} GET']


def test_other_namespaces(enter: Any) -> None:
    for include in (False, True):
        client = enter(EngineSocket(enter(serve(echo, include=include)).port))
        client.send_text("40/elsewhere,")
        answer = client.receive_text()
        if include:
            assert answer.startswith('40/elsewhere,{"sid":')
            client.send_text('42/elsewhere,1["echo",5]')
            assert client.receive_text() == "43/elsewhere,1[5]"
        else:
            assert answer == '44/elsewhere,{"message":"Invalid namespace"}'
