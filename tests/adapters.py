"""What every adapter has to pass: subclass :class:`AdapterConformance` with a fixture ``nodes``; see test_adapters.py.

Clients are Socket.IO on sessions that write down what is sent. They are spread over the nodes, and the last node sends,
so that with two of them everything crosses from one to the other.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from pyramid_socketio.adapters import Adapter, Answers, Audience
from pyramid_socketio.namespace import NamespaceSocket
from pyramid_socketio.protocol.revisions import V0
from pyramid_socketio.socketio import SocketIO
from tests.clients import Client, RecordingContext, make_owner
from tests.timing import turn_until

__all__ = ["AdapterConformance", "Member", "make_node"]


def make_node(**settings: Any) -> SocketIO:
    """A server as in one process; its adapter is for the fixture ``nodes`` to set."""
    return make_owner(**settings)


class Member(Client):
    """A client in a namespace."""

    def __init__(self, node: SocketIO, namespace: str = "/", revision: Any = None) -> None:
        super().__init__(node)
        self.node = node
        self.transport.writable = True
        self.events: list[Any] = []
        if revision is None:
            self.context = self.join(namespace)
        else:
            self.session.revision = revision
            self.connection.opened()
            turn_until(lambda: self.connection.sockets["/"].context)
            self.context = self.connection.sockets["/"].context
            self.transport.packets.clear()
        self.socket: NamespaceSocket = self.context.io
        self.id = self.socket.id

    def enter(self, *rooms: str) -> None:
        self.node.adapter.join(self.socket, rooms)

    def leave(self, *rooms: str) -> None:
        self.node.adapter.leave(self.socket, rooms)

    def has(self, event: list[Any]) -> bool:
        """Whether an event has come; those before it are in ``events`` then."""
        self.events += [self._event(packet) for packet in self.packets]
        return event in self.events

    def _event(self, packet: str) -> Any:
        event = re.fullmatch(r"42(?:/[^,]*,)?\d*(\[.*)", packet)
        return packet if event is None else json.loads(event[1])


class AdapterConformance:
    """The tests. A subclass has a fixture ``nodes``: the servers, each with its adapter, that hear of each other."""

    @pytest.fixture(autouse=True)
    def _cluster(self, nodes: list[SocketIO]) -> Iterator[None]:
        self.nodes = nodes
        self.fences = itertools.count()
        self.members: list[Member] = []
        self.places = itertools.cycle(nodes)
        yield
        for member in self.members:
            member.end()
        for node in nodes:
            assert node.adapter.rooms("/") == node.adapter.rooms("/chat") == {}
            assert node.members == {} and node.ending == 0

    @property
    def sender(self) -> Adapter:
        return self.nodes[-1].adapter

    def new(self, *rooms: str, node: SocketIO | None = None, namespace: str = "/", revision: Any = None) -> Member:
        member = Member(node or next(self.places), namespace, revision)
        self.members.append(member)
        member.enter(*rooms)
        return member

    def send(self, *data: Any, namespace: str = "/", **audience: Any) -> None:
        self.sender.broadcast(namespace, Audience(**audience), list(data), None)

    def heard(self, *members: Member) -> list[Any]:
        """What each has got since the last time; known to be all, because what is sent last has come."""
        fence = ["fence", next(self.fences)]
        for namespace in {member.socket.namespace for member in members}:
            self.send(*fence, namespace=namespace)
        heard = []
        for member in members:
            turn_until(lambda member=member: member.has(fence))
            events, member.events = member.events, []
            heard.append([event for event in events if event[0] != "fence"])
        return heard

    def eventually(self, function: Callable[[], Any], expected: Any) -> None:
        turn_until(lambda: function() == expected)

    def call(self, *data: Any, timeout: float = 5.0, **audience: Any) -> gevent.Greenlet:
        """Ask in a greenlet; its value are the answers."""
        return gevent.spawn(self.sender.call, "/", Audience(**audience), list(data), timeout, None)

    # Who gets it

    def test_everybody_in_a_namespace(self) -> None:
        anna, ben = self.new(), self.new("blue")
        chat = self.new(namespace="/chat")
        self.send("hi", {"a": 1})
        self.send("hello", namespace="/chat")
        self.send("nothing", namespace="/where/nobody/is")
        assert self.heard(anna, ben, chat) == [[["hi", {"a": 1}]], [["hi", {"a": 1}]], [["hello"]]]

    def test_a_room_is_of_one_namespace(self) -> None:
        anna, chat = self.new("blue"), self.new("blue", namespace="/chat")
        self.send("hi", rooms=("blue",))
        assert self.heard(anna, chat) == [[["hi"]], []]

    def test_two_rooms_give_one_message(self) -> None:
        anna, ben, carla, dora = self.new("red"), self.new("red", "blue"), self.new("blue"), self.new("green")
        self.send("hi", rooms=("red", "blue", "nobody's"))
        assert self.heard(anna, ben, carla, dora) == [[["hi"]], [["hi"]], [["hi"]], []]

    def test_a_client_is_a_room(self) -> None:
        anna, ben, carla = self.new("blue"), self.new("blue"), self.new()
        self.send("hi", rooms=(anna.id,))
        self.send("both", rooms=(anna.id, "blue"))
        assert self.heard(anna, ben, carla) == [[["hi"], ["both"]], [["both"]], []]

    def test_those_in_some_rooms_are_left_out(self) -> None:
        anna, ben, carla = self.new("red"), self.new("red", "blue"), self.new()
        self.send("not blue", without=("blue",))
        self.send("red, not blue", rooms=("red",), without=("blue", "nobody's"))
        self.send("red, not anna", rooms=("red",), without=(anna.id,))
        assert self.heard(anna, ben, carla) == [
            [["not blue"], ["red, not blue"]],
            [["red, not anna"]],
            [["not blue"]],
        ]

    def test_no_rooms_are_nobody(self) -> None:
        anna = self.new("blue")
        self.send("hi", rooms=())
        assert self.heard(anna) == [[]]
        assert self.sender.members("/", Audience(rooms=())) == set()

    def test_volatile_is_for_who_can_be_sent_something_now(self) -> None:
        anna, ben = self.new("blue"), self.new("blue")
        ben.transport.writable = False
        self.send("now", volatile=True)
        self.send("now in blue", rooms=("blue",), volatile=True)
        assert self.heard(anna, ben) == [[["now"], ["now in blue"]], []]

    def test_local_is_for_this_process(self) -> None:
        here = [self.new("blue", node=self.nodes[-1]) for _ in range(2)]
        there = [self.new("blue", node=node) for node in self.nodes[:-1]]
        self.send("local", local=True)
        self.send("local blue", rooms=("blue",), local=True)
        assert self.heard(*here, *there) == [[["local"], ["local blue"]]] * 2 + [[]] * len(there)
        assert self.sender.members("/", Audience(local=True)) == {member.id for member in here}

    def test_messages_keep_their_order(self) -> None:
        anna, ben = self.new("blue"), self.new("blue", "red")
        for number in range(100):
            self.send(number, rooms=(("blue",), ("red", "blue"), (anna.id, ben.id))[number % 3])
        assert self.heard(anna, ben) == [[[number] for number in range(100)]] * 2

    def test_values_that_have_no_json(self) -> None:
        anna = self.new()
        self.sender.broadcast("/", Audience(), ["hi", {1, 2}], sorted)
        assert self.heard(anna) == [[["hi", [1, 2]]]]
        with pytest.raises(TypeError):
            self.send("hi", object())

    # Coming and going

    def test_joining_and_leaving(self) -> None:
        anna, ben = self.new(), self.new("red")
        assert anna.socket.rooms is None
        anna.enter("red", "blue")
        anna.enter("blue")
        assert anna.socket.rooms == {"red", "blue"}
        assert self.nodes[0].adapter.rooms("/")["blue"] == 1
        anna.leave("blue", "green")
        anna.leave("blue")
        self.send("to blue", rooms=("blue",))
        self.send("to red", rooms=("red",))
        assert self.heard(anna, ben) == [[["to red"]]] * 2
        anna.leave("red")
        anna.leave("red")
        assert anna.socket.rooms is None
        self.eventually(lambda: self.sender.members("/", Audience(rooms=("red",))), {ben.id})
        anna.enter()
        assert anna.socket.rooms is None, "no room costs nothing"

    def test_members_and_rooms(self) -> None:
        anna, ben, carla = self.new("red"), self.new("red", "blue"), self.new()
        self.eventually(lambda: self.sender.members("/", Audience()), {anna.id, ben.id, carla.id})
        self.eventually(lambda: self.sender.members("/", Audience(rooms=("red",))), {anna.id, ben.id})
        members = self.sender.members("/", Audience(rooms=("red",), without=("blue",)))
        assert members == {anna.id}
        assert self.sender.members("/", Audience(rooms=(carla.id,))) == {carla.id}
        assert self.sender.members("/chat", Audience()) == set()
        self.eventually(lambda: self.sender.rooms("/"), {"red": 2, "blue": 1})
        assert self.sender.rooms("/chat") == {}

    def test_closing_a_room(self) -> None:
        anna, ben = self.new("red"), self.new("red", "blue")
        self.sender.close_room("/", "red")
        self.sender.close_room("/", "nobody's")
        self.sender.close_room("/chat", "red")
        self.send("to red", rooms=("red",))
        self.send("to blue", rooms=("blue",))
        assert self.heard(anna, ben) == [[], [["to blue"]]]
        assert (anna.socket.rooms, ben.socket.rooms) == (None, {"blue"})
        anna.enter("red")
        self.send("to red", rooms=("red",))
        assert self.heard(anna) == [[["to red"]]], "there is one of that name again"

    def test_who_is_gone_is_in_no_room(self) -> None:
        anna, ben = self.new("red", "blue"), self.new("red")
        anna.end()
        assert anna.socket.rooms is None
        anna.enter("red")
        assert anna.socket.rooms is None, "too late"
        self.eventually(lambda: self.sender.members("/", Audience(rooms=("red", "blue"))), {ben.id})
        self.eventually(lambda: self.sender.rooms("/"), {"red": 1})

    def test_disconnecting(self) -> None:
        anna, ben, carla = self.new("red"), self.new("blue"), self.new("red")
        self.sender.disconnect("/", Audience(rooms=("red",), without=(carla.id,)))
        self.eventually(lambda: anna.socket.reason, "server")
        assert anna.packets == ["41"]
        assert self.heard(ben, carla) == [[], []]
        turn_until(lambda: anna.context.told == ["stop", "finish: server"])

    def test_a_client_that_goes_away_in_the_middle_harms_nobody(self) -> None:
        node = self.nodes[-1]
        first, second, third, fourth = (self.new("blue", node=node) for _ in range(4))

        def break_down() -> None:
            first.connection.closed("transport error")
            second.connection.closed("transport error")
            third.leave("blue")

        first.transport.on_send = break_down
        self.send("hi", rooms=("blue",))
        assert self.heard(third, fourth) == [[["hi"]]] * 2, "who was in it when it was sent"
        assert second.packets == []
        assert self.sender.members("/", Audience(rooms=("blue",))) == {fourth.id}

    def test_no_application_code_runs_while_it_sends(self) -> None:
        anna = self.new("blue", node=self.nodes[-1])
        anna.transport.on_send = lambda: anna.connection.closed("transport error")
        self.send("hi", rooms=("blue",))
        assert anna.context.told == ["stop"], "to which applications cannot add anything"
        turn_until(lambda: anna.context.told == ["stop", "finish: transport error"])
        assert anna.context.events == []

    # Who is about to come

    def test_who_is_not_in_yet_gets_it_then(self) -> None:
        goes_on = gevent.event.Event()
        node = self.nodes[0]
        sockets: list[NamespaceSocket] = []

        def connect(socket: NamespaceSocket, auth: Any) -> RecordingContext:
            sockets.append(socket)
            node.adapter.join(socket, ("blue",))
            goes_on.wait()
            return RecordingContext(socket)

        anna = self.new("blue")
        node.connect = connect
        late = Client(node)
        self.members.append(late)  # type: ignore[arg-type]
        late.receive("0")
        self.send("hi", rooms=("blue",))
        self.send("not to the late one", rooms=("blue",), without=(sockets[0].id,))
        self.send("to who is in")
        assert self.heard(anna) == [[["hi"], ["not to the late one"], ["to who is in"]]]
        assert late.packets == []
        assert self.sender.members("/", Audience(rooms=("blue",))) == {anna.id}
        goes_on.set()
        turn_until(lambda: late.transport.packets[1:] == ['42["hi"]'])

    def test_who_never_gets_in_keeps_nothing_from_others(self) -> None:
        node = self.nodes[0]
        sockets: list[NamespaceSocket] = []

        def connect(socket: NamespaceSocket, auth: Any) -> RecordingContext:
            sockets.append(socket)
            node.adapter.join(socket, ("blue",))
            gevent.event.Event().wait(timeout=5)
            return RecordingContext(socket)

        limit = node.settings.max_queue_packets
        node.connect = connect
        late = Client(node)
        self.members.append(late)  # type: ignore[arg-type]
        late.receive("0")
        node.connect = lambda socket, auth: RecordingContext(socket)
        anna = self.new("blue")
        for number in range(limit + 2):
            self.send(number, rooms=("blue",))
        assert self.heard(anna) == [[[number] for number in range(limit + 2)]]
        assert sockets[0].reason == "server"
        assert late.packets == ['44{"message":"Connection refused"}'], "a client must not miss a part of what was sent"

    # Asking

    def test_answers(self) -> None:
        anna, ben, carla = self.new("blue"), self.new("blue"), self.new()
        asking = self.call("question", 1, rooms=("blue",))
        turn_until(lambda: anna.transport.packets and ben.transport.packets)
        assert anna.packets == ben.packets == ['420["question",1]']
        assert carla.packets == []
        anna.receive("30[1,2]")
        assert not asking.ready()
        ben.receive("30[]")
        assert asking.get() == Answers({anna.id: [1, 2], ben.id: []}, set())

    def test_nobody_to_ask(self) -> None:
        assert self.call("question", rooms=("blue",)).get() == Answers({}, set())

    def test_who_does_not_answer_is_missing(self) -> None:
        anna, silent, leaving, old = self.new(), self.new(), self.new(), self.new(revision=V0)
        asking = self.call("question", timeout=0.5)
        turn_until(lambda: anna.transport.packets and silent.transport.packets and leaving.transport.packets)
        leaving.end()
        anna.receive('30["yes"]')
        assert asking.get() == Answers({anna.id: ["yes"]}, {silent.id, leaving.id, old.id})
        silent.receive('30["too late"]')
        assert silent.context.told == []

    def test_nothing_waits_any_longer_for_who_was_asked(self) -> None:
        anna = self.new(node=self.nodes[-1])
        limit = self.nodes[-1].settings.max_pending_acks
        for _ in range(2):  # the limit would be passed if anything were left
            for asking in [self.call("question", timeout=0.05) for _ in range(limit)]:
                assert asking.get() == Answers({}, {anna.id})
        asking = self.call("question")
        gevent.sleep(0)
        asking.kill()
        more = [self.call("question") for _ in range(limit)]
        gevent.sleep(0)
        assert [asking.ready() for asking in more] == [False] * limit, "who was killed does not wait"
        gevent.killall(more)

    def test_no_more_is_asked_than_the_limit_allows(self) -> None:
        anna = self.new(node=self.nodes[-1])
        limit = self.nodes[-1].settings.max_pending_acks
        waiting = [self.call("question") for _ in range(limit)]
        gevent.sleep(0)
        assert self.call("question").get() == Answers({}, {anna.id})
        gevent.killall(waiting)

    def test_a_question_that_cannot_be_json(self) -> None:
        anna = self.new(node=self.nodes[-1])
        with pytest.raises(TypeError):
            self.sender.call("/", Audience(), ["question", object()], 5.0, None)
        assert anna.packets == []
