"""Targets and ``request.socketio``, on clients that write down what they get."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import partial
from typing import Any

import gevent
import pytest
from gevent import get_hub
from pyramid.config import Configurator
from pyramid.renderers import JSON
from pyramid.request import Request
from pyramid.threadlocal import RequestContext

from pyramid_socketio import everywhere
from pyramid_socketio.adapters import Answers, Audience
from pyramid_socketio.addressing import Server, Target, checked_rooms, named_rooms, pyramid_json
from pyramid_socketio.errors import AckTimeout, NoSocket, NotCarried, SessionClosed
from pyramid_socketio.interfaces import socketio_for
from pyramid_socketio.namespace import channel_room, user_room
from pyramid_socketio.protocol.revisions import V0
from pyramid_socketio.socketio import SocketIO, get_ident
from tests.adapters import Member, make_node
from tests.clients import turns
from tests.timing import turn_until


@pytest.fixture
def node() -> SocketIO:
    return make_node()


@pytest.fixture
def server(node: SocketIO) -> Server:
    return Server(node, None)


def member(node: SocketIO, *rooms: str, **options: Any) -> Member:
    new = Member(node, **options)
    new.enter(*rooms)
    return new


# Targets


def test_steps_add_up_and_change_nothing(node: SocketIO, server: Server) -> None:
    anna, ben, carla = member(node, "red"), member(node, "blue"), member(node, "red", "blue")
    red = server.to("red")
    both = red.to("blue").except_(anna.id).except_(carla.id)
    assert red.members() == {anna.id, carla.id}
    assert both.members() == {ben.id}
    assert red.local.members() == red.members()
    anna.transport.writable = False
    assert red.volatile.members() == {carla.id}
    assert server.except_("red").members() == {ben.id}
    assert server.volatile.members() == {ben.id, carla.id}
    assert server.local.members() == server.everybody.members() == {anna.id, ben.id, carla.id}


def test_what_is_sent(node: SocketIO, server: Server) -> None:
    anna = member(node, "red")
    red = server.to("red")
    red.emit("moved", 1, b"\2")
    red.send(["anything"])
    red.msg("said", {"text": "no", "a": 1}, text="yes")
    Target(node, "/", Audience(), None, "kind").msg("said")
    server.msg("said", {"a": 1})
    server.emit("to all")
    assert anna.packets == [
        '451-["moved",1,{"_placeholder":true,"num":0}]',
        "bAg==",
        '42["message",["anything"]]',
        '42["message",{"type":"said","text":"yes","a":1}]',
        '42["message",{"kind":"said"}]',
        '42["message",{"type":"said","a":1}]',
        '42["to all"]',
    ]


def test_arguments_may_be_written_by_the_applications_own_encoder(node: SocketIO) -> None:
    anna = member(node)
    target = Target(node, "/", Audience(), None, json_dumps=lambda value: f'"<{value}>"')
    target.to(anna.id).emit("event", 1, {2})
    assert anna.packets == ['42["event","<1>","<{2}>"]']


def test_names_that_no_event_can_have(node: SocketIO, server: Server) -> None:
    anna = member(node)
    for send in (server.emit, server.to_user(1).emit, lambda name: server.call(anna.id, name)):
        with pytest.raises(ValueError, match="give the event another name"):
            send("disconnect")
    assert anna.packets == []


def test_a_namespace_without_its_slash(server: Server) -> None:
    with pytest.raises(ValueError, match="'chat' must begin with '/'"):
        server.of("chat")


def test_no_rooms_are_nobody(node: SocketIO, server: Server) -> None:
    anna = member(node)
    nobody: list[str] = []
    server.to(*nobody).emit("private")
    assert server.to(*nobody).members() == set()
    assert server.to(*nobody).to(anna.id).members() == {anna.id}
    assert anna.packets == []


@pytest.mark.parametrize("bad, error", [(5, TypeError), (["red"], TypeError), (user_room("anna"), ValueError)])
def test_names_that_no_room_can_have(server: Server, bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="the name of a room"):
        server.to("red", bad)
    with pytest.raises(error, match="the name of a room"):
        server.except_(bad)
    with pytest.raises(error, match="the name of a room"):
        server.close_room(bad)


def test_rooms_of_the_package_cannot_be_asked_for_and_are_not_shown(node: SocketIO, server: Server) -> None:
    anna = member(node, "red", user_room("anna"), channel_room("red"))
    assert named_rooms(anna.socket) == {anna.id, "red"}
    assert server.rooms == {"red": 1}
    for room in (user_room("anna"), channel_room("red")):
        with pytest.raises(ValueError, match="must not begin"):
            checked_rooms(("red", room))
    assert checked_rooms(("", "red", "a\x1fb")) == ("", "red", "a\x1fb")


# Users


def test_users(node: SocketIO, server: Server) -> None:
    tabs = [member(node, user_room(7)) for _ in range(3)]
    others = [member(node, user_room("8")), member(node)]
    server.to_user(7).emit("hi", 1)
    server.emit("hi", 2, user="7")
    assert [tab.packets for tab in tabs] == [['42["hi",1]', '42["hi",2]']] * 3
    assert [other.packets for other in others] == [[], []]


def test_nobody_is_not_everybody(node: SocketIO, server: Server) -> None:
    """``request.authenticated_userid`` is ``None`` for who is not logged in."""
    anonymous, odd = member(node), member(node, user_room("None"))
    server.emit("private", user=None)
    server.to_user(None).emit("private")
    assert anonymous.packets == odd.packets == []


# Channels


def test_channels_are_apart_from_rooms(node: SocketIO, server: Server) -> None:
    anna, ben, carla = member(node, "red"), member(node, channel_room("red")), member(node, channel_room("a:\x1f"))
    other = member(node, channel_room("red"), namespace="/chat")
    assert server.rooms == {"red": 1}
    assert server.channels == {"red": 1, "a:\x1f": 1}
    assert server.to_channel("red").members() == {ben.id}
    assert server.to_channel("red", "a:\x1f").members() == {ben.id, carla.id}
    assert server.to("red").to_channel("red").members() == {anna.id, ben.id}
    assert server.to_channel(ben.id).members() == server.to_channel().members() == set()
    assert server.of("/chat").to_channel("red").members() == {other.id}
    server.close_room("red")
    server.to_channel("red").emit("hi")
    assert [one.packets for one in (anna, ben, carla, other)] == [[], ['42["hi"]'], [], []]


def test_names_that_no_channel_can_have(server: Server) -> None:
    for bad in (5, None, ["red"]):
        with pytest.raises(TypeError, match="the name of a channel is a text"):
            server.to_channel("red", bad)  # type: ignore[arg-type]


# From anywhere


def test_one_client_a_channel_and_everybody(node: SocketIO, server: Server) -> None:
    anna, ben = member(node, channel_room("red")), member(node, "red")
    server.send(anna.id, 1)
    server.broadcast_channel(2, "red")
    server.broadcast(3)
    assert anna.packets == ['42["message",1]', '42["message",2]', '42["message",3]']
    assert ben.packets == ['42["message",3]']


SENDERS: list[Callable[[Server], None]] = [
    lambda server: server.send("unknown id", "message"),
    lambda server: server.send("red", "message"),  # a room, which whoever says the id must not choose
    lambda server: server.broadcast_channel("message", "nobody's"),
    lambda server: server.of("/chat").broadcast("message"),
]


@pytest.mark.parametrize("send", SENDERS)
def test_nobody_is_there(node: SocketIO, server: Server, send: Callable[[Server], None]) -> None:
    anna = member(node, "red")
    with pytest.raises(NoSocket):
        send(server)
    quiet = make_node(raise_no_socket=False)
    send(Server(quiet, None))
    assert anna.packets == []


def test_looking_around(node: SocketIO, server: Server) -> None:
    anna, ben, chat = member(node, "red"), member(node, "red", "blue"), member(node, namespace="/chat")
    assert server.members() == {anna.id, ben.id}
    assert server.members("blue") == {ben.id}
    assert server.members("nobody's") == set()
    assert server.rooms == {"red": 2, "blue": 1}
    assert server.namespaces == ["/", "/chat"]
    assert server.of("/chat").members() == {chat.id}
    assert server.of("/chat").rooms == {}
    server.close_room("red")
    assert server.rooms == {"blue": 1}


def test_sending_somebody_away(node: SocketIO, server: Server) -> None:
    anna, ben = member(node), member(node, "red")
    carla = member(node, "red", anna.id)
    server.disconnect(anna.id)
    server.disconnect("unknown id")
    server.disconnect("red")
    server.disconnect(anna.id)  # carla is in the room that anna had
    assert server.members() == {ben.id, carla.id}
    server.to("red").except_(carla.id).disconnect()
    assert server.members() == {carla.id}
    assert anna.packets == ben.packets == ["41"]


# Asking


def test_asking_some(node: SocketIO, server: Server) -> None:
    anna, ben = member(node, "red"), member(node, "red")
    asking = gevent.spawn(lambda: server.to("red").call("question", 1, timeout=0.5))
    gevent.sleep(0)
    assert anna.packets == ben.packets == ['420["question",1]']
    anna.receive("30[1,2]")
    assert asking.get() == Answers({anna.id: [1, 2]}, {ben.id})


@pytest.mark.parametrize("answer, value", [("[]", None), ("[null]", None), ("[1]", 1), ("[1,2]", [1, 2])])
def test_asking_one(node: SocketIO, server: Server, answer: str, value: Any) -> None:
    anna = member(node)
    asking = gevent.spawn(server.call, anna.id, "question", 1)
    gevent.sleep(0)
    assert anna.packets == ['420["question",1]']
    anna.receive(f"30{answer}")
    assert asking.get() == value


def test_asking_in_vain(node: SocketIO, server: Server) -> None:
    anna, ben, old = member(node, "ben's fan club"), member(node), member(node, revision=V0)
    with pytest.raises(AckTimeout):
        server.call(anna.id, "question", timeout=0.01)
    with pytest.raises(NoSocket):
        server.call("ben's fan club", "question")
    with pytest.raises(NotCarried):
        server.call(old.id, "question")
    asking = gevent.spawn(server.call, ben.id, "question")
    gevent.sleep(0)
    ben.end("ping timeout")
    with pytest.raises(SessionClosed, match="ping timeout"):
        asking.get()


class Elsewhere:
    """An adapter of which all clients are in other processes; ``answers`` is called for the answers to a question."""

    def __init__(self, *members: str) -> None:
        self.there = set(members)
        self.answers: Callable[[], Answers] = lambda: Answers({}, set(self.there))

    def members(self, namespace: str, audience: Audience) -> set[str]:
        return self.there & set(audience.rooms or ())

    def call(self, namespace: str, audience: Audience, *args: Any) -> Answers:
        assert set(audience.rooms or ()) <= self.there
        return self.answers()


def test_asking_one_in_another_process(node: SocketIO, server: Server) -> None:
    elsewhere = Elsewhere("ben")
    node.adapter = elsewhere  # type: ignore[assignment]
    with pytest.raises(NoSocket):
        server.call("anna", "question")
    with pytest.raises(AckTimeout):
        server.call("ben", "question")
    elsewhere.answers = lambda: Answers({"ben": ["yes"]}, set())
    assert server.call("ben", "question") == "yes"

    def go() -> Answers:
        elsewhere.there.clear()
        return Answers({}, {"ben"})

    elsewhere.answers = go
    with pytest.raises(SessionClosed):
        server.call("ben", "question")


# Native threads


def in_thread(function: Callable[[], Any]) -> Any:
    """What it gives, or raises, in a native thread, while the loop goes on here."""
    errors: list[BaseException] = []

    def run() -> Any:
        try:
            return function()
        except Exception as error:
            errors.append(error)

    result = get_hub().threadpool.apply(run)
    if errors:
        raise errors[0]
    return result


@pytest.fixture
def serving(node: SocketIO) -> SocketIO:
    """As after the first handshake."""
    node._hub, node._thread = get_hub(), get_ident()
    return node


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    where: Any = None

    def __json__(self, request: Any) -> dict[str, Any]:
        return {"x": self.x, "where": self.where, "thread": threading.get_native_id()}


def test_a_native_thread_hands_over(serving: SocketIO, server: Server) -> None:
    anna, ben = member(serving, "red"), member(serving, "red")
    value = {"list": [1, (2, None)], "bytes": bytearray(b"\1"), "colour": Colour.RED}
    senders: list[int] = []
    anna.transport.on_send = lambda: senders.append(threading.get_native_id())

    def emit() -> None:
        server.to("red").emit("first", value)
        value["list"] = "changed afterwards"
        server.send(anna.id, "second")
        server.close_room("red")
        server.disconnect(ben.id)

    in_thread(emit)
    turn_until(lambda: ben.socket.reason == "server")
    assert anna.packets == [
        '451-["first",{"list":[1,[2,null]],"bytes":{"_placeholder":true,"num":0},"colour":"red"}]',
        "bAQ==",
        '42["message","second"]',
    ]
    assert ben.packets[2:] == ["41"]
    assert set(senders) == {threading.get_native_id()}, "the loop sends"
    assert server.rooms == {}


def test_a_native_thread_writes_its_own_json(serving: SocketIO) -> None:
    anna = member(serving)
    request = Request.blank("/")
    request.registry = Configurator().registry
    server = Server(serving, partial(pyramid_json, request))
    thread = in_thread(lambda: server.emit("point", Point(1, [Point(2)])) or threading.get_native_id())
    turns()
    inner = f'{{"x":2,"where":null,"thread":{thread}}}'
    assert anna.packets == [f'42["point",{{"x":1,"where":[{inner}],"thread":{thread}}}]']
    with pytest.raises(TypeError, match="not JSON"):
        in_thread(lambda: server.emit("wrong", object()))


def test_what_fails_later_is_logged(serving: SocketIO, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    serving.adapter = None  # type: ignore[assignment]
    in_thread(lambda: serving.run_in_loop(lambda: server.members() and None))
    turns()
    assert [record.getMessage() for record in caplog.records] == ["what a native thread has sent failed"]


def test_a_native_thread_cannot_wait_for_clients(serving: SocketIO, server: Server) -> None:
    anna = member(serving)
    for call in (lambda: server.call(anna.id, "question"), lambda: server.to(anna.id).call("question")):
        with pytest.raises(RuntimeError, match="native thread"):
            in_thread(call)
    assert anna.packets == []


# JSON by Pyramid


def test_values_are_written_as_pyramids_renderer_writes_them() -> None:
    with Configurator() as config:
        renderer = JSON()
        renderer.add_adapter(date, lambda value, request: [value.year, request.path])
        config.add_renderer("json", renderer)
    request = Request.blank("/path")
    request.registry = config.registry
    assert pyramid_json(request, date(2020, 1, 2)) == [2020, "/path"]
    assert pyramid_json(request, Point(3))["x"] == 3
    assert pyramid_json(request, Colour.RED) == "red"
    with pytest.raises(TypeError):
        pyramid_json(request, object())


# Without a request


@pytest.fixture
def application() -> Any:
    with Configurator() as config:
        config.include("pyramid_socketio")
    return config.make_wsgi_app()


def test_functions_of_the_module(application: Any) -> None:
    socketio = socketio_for(application.registry)
    assert socketio is not None
    # Contexts are the connector's affair, which is not asked here.
    socketio.connect = make_node().connect
    anna, ben = member(socketio, channel_room("red")), member(socketio, "red")
    everywhere.send(anna.id, 1)
    everywhere.broadcast_channel(2, "red")
    everywhere.broadcast(Point(3), registry=application.registry)
    assert anna.packets[:2] == ['42["message",1]', '42["message",2]']
    (packet,) = ben.packets
    assert packet.startswith('42["message",{"x":3,')
    with pytest.raises(NoSocket):
        everywhere.send("unknown id", 1)


def test_the_current_request_says_which_application(application: Any) -> None:
    with Configurator() as config:
        config.include("pyramid_socketio")
    later = config.make_wsgi_app()
    socketio = socketio_for(application.registry)
    assert socketio is not None
    socketio.connect = make_node().connect
    anna = member(socketio)
    with pytest.raises(NoSocket):
        everywhere.broadcast("to the application that was made last")
    request = Request.blank("/")
    request.registry = application.registry
    with RequestContext(request):
        everywhere.broadcast("here")
    everywhere.broadcast("there", application.registry)
    assert anna.packets == ['42["message","here"]', '42["message","there"]']
    assert later is not None


def test_without_an_application() -> None:
    with pytest.raises(RuntimeError, match="no application with Socket.IO"):
        everywhere.broadcast("hi", registry=Configurator().registry)
