"""The Django article's way: a view whose loop reads the client's messages, by ``request.environ["socketio"]``."""

from __future__ import annotations

import gc
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from gevent.event import Event
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from pyramid_socketio import SocketIOContext
from pyramid_socketio.interfaces import ISocketIO
from tests.conftest import DEADLINE, ServerProcess, wait_for
from tests.functional.browsers import frame_0_6, unframe_0_6
from tests.functional.classic import Polling06, Polling09, Socket06, Socket09
from tests.functional.raw import POLLING, UPGRADE, WEBSOCKET, Connection, EngineSocket, PollingSession, request
from tests.functional.serving import ThreadServer
from tests.functional.test_eio3 import OldSocket

View = Callable[[Any], Any]


class Elsewhere(SocketIOContext):
    def msg_echo(self, *args: Any) -> Any:
        return args


def application(view: View, include: bool = False, **settings: Any) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        if include:
            config.include("pyramid_socketio")
            config.add_socketio_context(Elsewhere, "/elsewhere")
        config.add_route("home", "/")
        config.add_view(lambda request: Response("home"), route_name="home")
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(view, route_name="socket_io")
    return config.make_wsgi_app()


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """Closes what a test has opened."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def serve(enter: Any) -> Callable[..., ThreadServer]:
    """``serve(view, **options_of_application)``: the server."""

    def start(view: View, **options: Any) -> ThreadServer:
        server: ThreadServer = enter(ThreadServer(application(view, **options)))
        return server

    return start


class Views:
    """Counts the runs of a view, and how many of them are over."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.begun = self.over = 0

    def __call__(self, request: Any) -> Any:
        self.begun += 1
        try:
            return self._view(request)
        finally:
            self.over += 1

    def all_over(self) -> bool:
        return self.begun == self.over


def echo(request: Any) -> Response:
    """Sends back what it reads, until the client is gone."""
    socketio = request.environ["socketio"]
    for message in socketio:
        socketio.send(message)
    return Response("nobody reads this")


# The article


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
def test_a_loop_without_an_end_ends_with_the_client(serve: Any, enter: Any, include: bool) -> None:
    view = Views(article)
    server = serve(view, include=include)
    first, second = enter(EngineSocket(server.port)), enter(EngineSocket(server.port))
    assert [client.event() for client in (first, second)] == [["message", {"buffer": []}]] * 2
    assert first.event() == ["message", {"announcement": f"{second.id} connected"}]
    first.emit("message", "hello")
    first.close()
    second.reset()
    wait_for(lambda: (view.begun, view.over) == (2, 2))
    wait_for(server.has_settled)
    assert server.failures == []


# Clients of every revision


class Talker4(EngineSocket):
    def say(self, value: Any) -> None:
        self.emit("message", value)

    def hear(self) -> Any:
        name, value = self.event()
        assert name == "message"
        return value


class Talker2(OldSocket):
    def say(self, value: Any) -> None:
        self.send_text(f"42{json.dumps(['message', value])}")

    hear = Talker4.hear
    event = EngineSocket.event


class PollingTalker4(PollingSession):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.id = self.join()

    def say(self, value: Any) -> None:
        self.emit("message", value)

    def hear(self) -> Any:
        (packet,) = self.packets(1)
        name, value = json.loads(packet.removeprefix("42"))
        assert name == "message"
        return value


class Talker09(Socket09):
    def say(self, value: Any) -> None:
        self.send_text(f"3:::{value}" if isinstance(value, str) else f"4:::{json.dumps(value)}")

    def hear(self) -> Any:
        return read_0_9(self.receive_text())


class PollingTalker09(Polling09):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.open()

    def say(self, value: Any) -> None:
        self.post(f"3:::{value}" if isinstance(value, str) else f"4:::{json.dumps(value)}")

    def hear(self) -> Any:
        return read_0_9(*self.receive())


class Talker06(Socket06):
    def say(self, value: Any) -> None:  # type: ignore[override]
        self.send_text(frame_0_6(value if isinstance(value, str) else f"~j~{json.dumps(value)}"))

    def hear(self) -> Any:
        return read_0_6(unframe_0_6(self.receive_text()))


class PollingTalker06(Polling06):
    def say(self, value: Any) -> None:
        self.post(value if isinstance(value, str) else f"~j~{json.dumps(value)}")

    def hear(self) -> Any:
        return read_0_6(*self.receive())


def read_0_9(packet: str) -> Any:
    kind, _, data = packet.partition(":::")
    return data if kind == "3" else json.loads(data)


def read_0_6(message: str) -> Any:
    return json.loads(message[3:]) if message.startswith("~j~") else message


TALKERS = [Talker4, PollingTalker4, Talker2, Talker09, PollingTalker09, Talker06, PollingTalker06]


@pytest.mark.parametrize("kind", TALKERS)
def test_values_travel_as_they_are(serve: Any, enter: Any, kind: Any) -> None:
    view = Views(echo)
    server = serve(view)
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


def test_events_are_messages_with_a_type(serve: Any, enter: Any) -> None:
    client = enter(EngineSocket(serve(echo).port))
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


def test_an_ack_says_that_the_message_was_taken(serve: Any, enter: Any) -> None:
    taking = Event()

    def view(request: Any) -> None:
        socketio = request.environ["socketio"]
        socketio.on_connect()
        taking.wait()
        return echo(request)

    server = serve(view)
    client = enter(EngineSocket(server.port))
    client.emit("message", 1, ack=7)
    client.send_frame(9, b"are you there")
    assert client.receive() == (10, b"are you there")
    server.call(taking.set)
    assert {client.receive_text(), client.receive_text()} == {"437[]", '42["message",1]'}


# What the socket offers


def test_the_socket(serve: Any, enter: Any) -> None:
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

    server = serve(view)
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


def test_receive_gives_none_at_the_end_and_then_ends_the_view(serve: Any) -> None:
    seen: list[Any] = []

    def view(request: Any) -> None:
        socketio = request.environ["socketio"]
        while True:
            seen.append(socketio.receive())

    watched = Views(view)
    server = serve(watched)
    with EngineSocket(server.port) as client:
        client.emit("message", 5)
    wait_for(lambda: watched.begun and watched.all_over())
    assert seen == [5, None]
    assert server.failures == []


def test_broadcast_leaves_out_the_sender_and_exceptions(serve: Any, enter: Any) -> None:
    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        for message in socketio:
            socketio.broadcast(message["text"], exceptions=message["without"])
        return Response()

    server = serve(view)
    first, second, third = (enter(Talker4(server.port)) for _ in range(3))
    first.say({"text": "a", "without": [second.id]})
    first.say({"text": "b", "without": []})
    third.say({"text": "c", "without": [second.id]})
    assert [third.hear(), third.hear()] == ["a", "b"]
    assert second.hear() == "b"
    assert first.hear() == "c"


def test_what_has_json_of_its_own(serve: Any, enter: Any) -> None:
    class Point:
        def __json__(self, request: Any) -> Any:
            return [request.path, 1]

    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        socketio.send(Point())
        for _ in socketio:
            socketio.broadcast({"at": Point()})
        return Response()

    server = serve(view)
    first, second = enter(Talker4(server.port)), enter(Talker4(server.port))
    assert first.hear() == second.hear() == ["/socket.io/", 1]
    first.say(None)
    assert second.hear() == {"at": ["/socket.io/", 1]}


def test_the_view_runs_once_although_polling_makes_many_requests(serve: Any, enter: Any) -> None:
    view = Views(echo)
    server = serve(view)
    client = enter(PollingTalker4(server.port))
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


def test_messages_are_logged(serve: Any, enter: Any) -> None:
    server = serve(echo, message_log_format="%(TYPE)s %(MESSAGE)s %(REQUEST_METHOD)s")
    client = enter(Talker4(server.port))
    client.say({"type": "greeting"})
    client.hear()
    lines = server.log_lines("pyramid_socketio.messages")
    assert lines == ['greeting {"type": "greeting"} GET']


def test_other_namespaces(serve: Any, enter: Any) -> None:
    for include in (False, True):
        client = enter(EngineSocket(serve(echo, include=include).port))
        client.send_text("40/elsewhere,")
        answer = client.receive_text()
        if include:
            assert answer.startswith('40/elsewhere,{"sid":')
            client.send_text('42/elsewhere,1["echo",5]')
            assert client.receive_text() == "43/elsewhere,1[5]"
        else:
            assert answer == '44/elsewhere,{"message":"Invalid namespace"}'


# Beginning and end


def test_requests_that_open_nothing(serve: Any) -> None:
    view = Views(echo)
    server = serve(view)
    assert request(server.port, "GET", "/socket.io/").json["code"] == 0
    assert request(server.port, "GET", POLLING + "&sid=unknown").json["code"] == 1
    assert request(server.port, "POST", POLLING, body=b"").json["code"] == 2
    wait_for(lambda: (view.begun, view.over) == (3, 3))
    assert request(server.port, "GET", "/").text == "home"
    assert server.failures == []


def test_a_socket_that_is_not_used_answers_nothing(serve: Any) -> None:
    def view(request: Any) -> Response:
        return Response(type(request.environ["socketio"]).__name__)

    server = serve(view)
    assert request(server.port, "GET", POLLING).text == "BlockingSocket"
    assert server.application.registry.queryUtility(ISocketIO) is None
    assert server.failures == []


def test_a_socket_serves_its_own_view_only(serve: Any) -> None:
    kept: list[Any] = []
    said: list[str] = []

    def view(request: Any) -> Response:
        for socketio in kept:
            with pytest.raises(RuntimeError) as caught:
                socketio.connected()
            said.append(str(caught.value))
        kept.append(request.environ["socketio"])
        return Response()

    server = serve(view)
    for _ in range(2):
        request(server.port, "GET", POLLING)
    assert said == ["the view that this client belongs to is over"]


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("join", [True, False])
def test_a_client_that_leaves_abruptly(serve: Any, join: bool, end: str) -> None:
    view = Views(echo)
    server = serve(view)
    client = EngineSocket(server.port, namespace="/" if join else None)
    wait_for(lambda: view.begun == 1)
    getattr(client, end)()
    wait_for(view.all_over)
    wait_for(server.has_settled)
    assert server.failures == []


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_client_that_is_gone_before_the_view_answers(serve: Any, end: str) -> None:
    def slow(request: Any) -> Response:
        wire = request.environ["pyramid_socketio.connection"].wire
        while not wire.closed:
            gevent.sleep(0.001)
        return echo(request)

    view = Views(slow)
    server = serve(view)
    client = Connection(server.port)
    client.ask("GET", WEBSOCKET, UPGRADE)
    getattr(client, end)()
    wait_for(lambda: view.begun and view.all_over())
    wait_for(server.has_settled)
    assert server.failures == []


def one_word(request: Any) -> Response:
    socketio = request.environ["socketio"]
    socketio.send(socketio.receive())
    return Response()


@pytest.mark.parametrize("kind", [Talker4, Talker2, Talker09, Talker06])
def test_the_end_of_the_view_ends_the_session(serve: Any, enter: Any, kind: Any) -> None:
    server = serve(one_word)
    client = enter(kind(server.port))
    client.say("bye")
    assert client.hear() == "bye"
    if kind is Talker4:
        assert client.receive_text() == "41", "told so, the client does not come back"
    assert client.close_code() == 1000
    wait_for(server.has_settled)
    assert server.failures == []


def test_the_end_of_the_view_ends_polling(serve: Any, enter: Any) -> None:
    server = serve(one_word)
    client = enter(PollingTalker4(server.port))
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


def test_what_the_view_has_not_read_at_its_end_is_dropped(serve: Any) -> None:
    ending = Event()

    def view(request: Any) -> Response:
        request.environ["socketio"].on_connect()
        ending.wait()
        return Response()

    server = serve(view, close_timeout=1000)
    with EngineSocket(server.port) as client:
        client.emit("message", "nobody reads this")
        client.send_frame(9)
        assert client.receive() == (10, b""), "the message has come before"
        server.call(ending.set)
        assert client.close_code() == 1000
    wait_for(server.has_settled)
    assert server.failures == []


def test_an_error_in_the_view_ends_the_session_and_is_logged(serve: Any) -> None:
    def view(request: Any) -> Response:
        for message in request.environ["socketio"]:
            raise ValueError(message)
        return Response()

    server = serve(view)
    with Talker4(server.port) as client:
        client.say("a reason")
        assert client.receive_text() == "41"
        assert client.close_code() == 1000
    wait_for(server.has_settled)
    (failure,) = [record for record in server.records if record.exc_info]
    assert failure.levelno == logging.ERROR
    assert str(failure.exc_info[1]) == "a reason"


def test_what_a_slow_view_has_not_read_waits_with_the_client(serve: Any, enter: Any) -> None:
    reading = Event()
    read: list[Any] = []

    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        socketio.on_connect()
        reading.wait()
        read.extend(socketio)
        return Response()

    server = serve(view, max_inbox_packets=5)
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


def test_last_words_at_the_end_of_the_server(serve: Any) -> None:
    words: list[str] = []

    def view(request: Any) -> Response:
        socketio = request.environ["socketio"]
        for _ in socketio:
            pass
        gevent.sleep(0.05)
        words.append(socketio.session.session_id)
        return Response()

    with ThreadServer(application(view)) as server:
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

    with ThreadServer(application(view, close_timeout=0.1)) as server:
        enter(EngineSocket(server.port))
        begin = time.monotonic()
    assert time.monotonic() - begin < DEADLINE


def test_200_blocked_loops_and_a_get(serve: Any, enter: Any) -> None:
    view = Views(echo)
    server = serve(view)
    clients = [enter(Talker4(server.port)) for _ in range(200)]
    assert (view.begun, view.over) == (200, 0)
    begin = time.monotonic()
    assert request(server.port, "GET", "/").text == "home"
    assert time.monotonic() - begin < 0.01 * DEADLINE
    for client in clients:
        client.say("x")
        assert client.hear() == "x"
        client.close()
    wait_for(view.all_over)


def test_nothing_is_left(serve: Any) -> None:
    """References alone bring everything down: memory does not wait for the garbage collector."""
    server = serve(echo)

    def lives() -> None:
        with Talker4(server.port) as client:
            client.say(1)
            client.hear()
            client.reset()
        EngineSocket(server.port, namespace=None).reset()
        with PollingTalker4(server.port) as polling:
            polling.say(1)
            polling.hear()
            polling.end()
        with Talker06(server.port) as old:
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


def test_what_a_view_returns_goes_nowhere() -> None:
    """Row S077: `None` is no response, and nobody waits for one."""

    def view(request: Request) -> None:
        socket = request.socketio_socket
        assert socket is request.environ["socketio"]
        socket.send({"type": "bye"})

    with Configurator() as config:
        config.include("pyramid_socketio")
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(view, route_name="socket_io")
    with ThreadServer(config.make_wsgi_app()) as server, EngineSocket(server.port) as client:
        assert client.event() == ["message", {"type": "bye"}]
        assert client.close_code() is not None
        assert server.failures == []
