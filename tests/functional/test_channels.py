"""Channels on a real server: who may enter, who gets what, and which handlers run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from gevent.event import Event
from pyramid.httpexceptions import HTTPForbidden
from pyramid.security import Denied

from pyramid_socketio import ConnectRefused, SocketIOContext
from pyramid_socketio.channels import ChannelContext
from pyramid_socketio.events import EventsContext
from tests.conftest import DEADLINE, ROOT, wait_for
from tests.functional.events import (
    Nine,
    Six,
    Today,
    Two,
    call,
    channels,
    happened,
    note,
    notes,
    serve,
    shout,
    socketio_server,
)
from tests.functional.raw import EngineSocket


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """Ends servers and clients with the test, the latest first."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.mark.parametrize("always", [False, True])
def test_who_handles_what(enter: Any, always: bool) -> None:
    def matched(request: Any, socket: Any, context: Any, message: Any) -> None:
        happened.append(("room", socket.channel_match["id"], message))
        socket.unsubscribe("room-7")
        happened.append(("again", socket.channel_match["id"]))

    def left(request: Any, socket: Any, context: Any, channel: str) -> None:
        happened.append(("left", socket.channel_match["letter"]))

    server = enter(
        serve(
            ("on_message", note("unbound")),
            ("on_message", note("dashboard"), "dashboard"),
            ("on_message", matched, "^room-(?P<id>[0-9]+)$"),
            ("on_unsubscribe", left, "(?P<letter>.)oom"),
            ("on_unsubscribe", note("left at the end"), "dashboard"),
            ("on_finish", note("unbound finish")),
            ("on_finish", note("finish"), "dash"),
            unbound_handlers="always" if always else "outside",
        )
    )
    unbound = [("unbound", "two"), ("unbound", "three")] if always else []
    with Today(server.port) as client:
        client.say("one")
        client.subscribe("room-7")
        client.subscribe("dashboard")
        client.say("two")
        client.say("three")
        client.subscribe("dashboard")
        client.send_text("1")
    wait_for(server.has_settled)
    assert happened == [
        ("unbound", "one"),
        *unbound[:1],
        ("dashboard", "two"),
        ("room", "7", "two"),
        ("left", "r"),
        ("again", "7"),
        *unbound[1:],
        ("dashboard", "three"),
        ("left at the end", "dashboard"),
        *([("unbound finish",)] if always else []),
        ("finish",),
    ]
    assert server.failures == []


def test_who_gets_what(enter: Any) -> None:
    server = enter(serve(("on_message", shout), unbound_handlers="always"))
    sender, both, red, none = clients = [enter(kind(server.port)) for kind in (Today, Two, Nine, Six)]
    for client, entered in ((sender, ("red", "blue")), (both, ("red", "blue")), (red, ("red",))):
        for channel in entered:
            client.subscribe(channel)
    wait_for(lambda: channels(server) == {"red": 3, "blue": 2})
    names = ("sender", "both", "red", "none")
    expected = {
        ("send",): {"sender"},
        ("broadcast",): {"both", "red", "none"},
        ("send_and_broadcast",): {"sender", "both", "red", "none"},
        ("broadcast_channel",): {"both", "red"},
        ("broadcast_channel", "blue"): {"both"},
        ("broadcast_channel", "green"): set(),
        ("send_and_broadcast_channel",): {"sender", "both", "red"},
        ("send_and_broadcast_channel", "blue"): {"sender", "both"},
    }
    for number, ((method, *channel), heard) in enumerate(expected.items()):
        sender.say(call(method, number, *channel))
        sender.say(call("send_and_broadcast", "end"))
        for name, client in zip(names, clients, strict=True):
            messages = []
            while (message := client.hear()) != "end":
                messages.append(int(message))
            assert messages == ([number] if name in heard else []), (method, channel, name)
    none.say(call("broadcast_channel", "to nobody"))
    none.say(call("send_and_broadcast", "end"))
    assert [client.hear() for client in clients] == ["end"] * 4


def test_a_refused_subscription_gets_nothing(enter: Any) -> None:
    def refuse(request: Any, socket: Any, context: Any, channel: str) -> None:
        # What is said while it is being decided is not for the client either.
        request.socketio.broadcast_channel("while deciding", channel)
        raise {"a": HTTPForbidden(), "b": ConnectRefused("Never"), "c": LookupError("secret")}[channel]

    handlers = ("on_subscribe", refuse), ("on_message", shout), ("on_error", note("on_error"))
    server = enter(serve(*handlers, raise_no_socket=False))
    client, other = enter(Today(server.port)), enter(Today(server.port))
    for channel, told in (
        ("a", ("subscription_refused", "Forbidden")),
        ("b", ("subscription_refused", "Never")),
        ("c", ("internal_error", "The server could not handle this message")),
    ):
        client.subscribe(channel)
        message = client.hear()
        assert (message["error"], message["msg"]) == told
        other.say(call("broadcast_channel", "for members", channel))
        other.say(call("broadcast", "for all"))
        assert client.hear() == "for all"
    assert [type(error) for _, error in happened] == [LookupError]
    assert server.socketio.adapter.rooms("/") == {}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (False, "Subscription refused"),
        (Denied("no"), "Subscription refused"),
        (HTTPForbidden(), "Forbidden"),
        (ConnectRefused("Never"), "Never"),
    ],
)
def test_a_refusal_may_be_returned(enter: Any, answer: Any, told: str) -> None:
    """As in ``on_connect``: a guard must not be overlooked."""

    class Guarded(ChannelContext):
        def subscribing(self, channel: str) -> Any:
            return answer

    server = enter(serve(("on_subscribe", lambda *args: answer), contexts=[(Guarded, "/guarded")]))
    client = enter(Today(server.port))
    client.subscribe("staff")
    assert client.hear() == {"type": "error", "error": "subscription_refused", "msg": told, "channel": "staff"}
    client.join("/guarded")
    client.send_text('42/guarded,1["subscribe","staff"]')
    assert told in client.receive_text()
    assert server.socketio.adapter._rooms == {}


def test_a_client_that_goes_while_it_is_decided(enter: Any) -> None:
    """What ``on_subscribe`` has done is undone by ``on_unsubscribe``, behind it, however long it takes."""
    deciding: list[Event] = []

    def decide(request: Any, socket: Any, context: Any, channel: str) -> None:
        if channel == "quick":
            return
        deciding.append(Event())
        deciding[-1].wait()
        happened.append(("decided", channel))
        if channel == "refused":
            raise ConnectRefused

    server = enter(
        serve(
            ("on_subscribe", decide),
            ("on_unsubscribe", note("left")),
            ("on_finish", note("finish")),
            unbound_handlers="always",
            close_timeout=0.01,
        )
    )
    for channel, left in (("slow", [("left", "slow")]), ("refused", [])):
        with Today(server.port) as client:
            client.subscribe("quick")
            client.subscribe(channel)
            wait_for(lambda: deciding)
        wait_for(lambda: ("finish",) in happened)
        server.call(deciding.pop().set)
        wait_for(partial(happened.count, ("decided", channel)))
        server.call(lambda: None)  # the handler's greenlet has run as far as it can
        assert happened == [("left", "quick"), ("finish",), ("decided", channel), *left]
        assert server.socketio.adapter._rooms == {}
        happened.clear()
    assert server.failures == []


def test_who_leaves_other_channels_at_the_end_is_told_once(enter: Any) -> None:
    def leave(request: Any, socket: Any, context: Any, channel: str) -> None:
        happened.append(channel)
        socket.unsubscribe("b")

    server = enter(serve(("on_unsubscribe", leave)))
    with Today(server.port) as client:
        for channel in ("a", "b", "c"):
            client.subscribe(channel)
        wait_for(lambda: len(channels(server)) == 3)
    wait_for(lambda: "c" in happened)
    assert happened == ["a", "b", "c"]


def test_the_server_subscribes(enter: Any) -> None:
    def connect(request: Any, socket: Any, context: Any) -> None:
        happened.append((socket.subscribe("all"), socket.subscribe("all"), socket.channels))

    def decide(request: Any, socket: Any, context: Any, channel: str) -> None:
        happened.append((channel, socket.channels))
        if channel == "undone":
            socket.unsubscribe(channel)

    server = enter(serve(("on_connect", connect), ("on_subscribe", decide), ("on_message", shout, "all")))
    client, other = enter(Today(server.port)), enter(Six(server.port))
    client.say(call("subscribe", "undone"))
    client.say(call("send_and_broadcast_channel", "hi"))
    assert client.hear() == other.hear() == "hi"
    assert happened[:2] == [("all", ("all",)), (True, False, ("all",))]
    assert happened[4:] == [("undone", ("all", "undone"))]
    assert channels(server) == {"all": 2}


BAD_NAMES = ["", "a" * 257, "a\nb", "\x1fuser:anna", "a\x00", "\x85", "\ud800", None, 5, ["a"], {"a": 1}]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_no_channel_has(enter: Any, name: Any) -> None:
    server = enter(serve(*notes()))
    client = enter(Today(server.port))
    client.say({"type": "subscribe", "channel": name})
    told = client.hear()
    assert told["error"] == "bad_request"
    assert told["msg"].startswith("The name of a channel is a text of 1 to 256 characters")
    client.say({"type": "unsubscribe", "channel": name})
    client.say({"type": "unsubscribe"})
    client.emit("subscribe", ack=1)
    assert client.hear() == told
    assert client.receive_text().startswith('431[{"type":"error"')
    assert happened == [("on_connect",)]
    assert server.failures == []


@pytest.mark.parametrize("name", ["a" * 256, " ", "__proto__", "gr\u00fc\u00df\U0001f600", "0123456789abcdefghij"])
def test_a_name_that_a_channel_may_have(enter: Any, name: str) -> None:
    server = enter(serve(("on_subscribe", note("on_subscribe"))))
    client = enter(Today(server.port))
    client.subscribe(name)
    wait_for(lambda: happened == [("on_subscribe", name)])


def test_no_channel_is_a_room(enter: Any) -> None:
    """Whatever a client subscribes to, it gets nothing that is sent to a room, to a client or to a user."""
    deciding: list[tuple[str, Event]] = []

    def connect(request: Any, socket: Any, context: Any) -> None:
        socket.join("lobby")
        if request.environ["pyramid_socketio.auth"]:
            socket.join("admins")
            go_on = Event()
            deciding.append((socket.id, go_on))
            go_on.wait(DEADLINE)

    def private(request: Any, socket: Any, context: Any, message: Any) -> None:
        names = message["names"]
        for target in (request.socketio.to(*names), socket.to(*names)):
            target.emit("private", sorted(target.members()))
        for name in names:
            request.socketio.to_user(name).emit("private", name)
            request.socketio.of("/").send(name, "private")

    handlers = ("on_connect", connect), ("on_message", private), ("on_subscribe", note("on_subscribe"))
    server = enter(serve(*handlers, unbound_handlers="always", raise_no_socket=False))
    thief, sender, victim = (enter(Today(server.port)) for _ in range(3))
    admin = enter(EngineSocket(server.port, None))
    admin.send_text('40{"wait":true}')
    wait_for(lambda: deciding)
    admin_id, go_on = deciding[0]
    names = [victim.id, admin_id, "admins"]
    for name in names:
        thief.subscribe(name)
    wait_for(lambda: happened == [("on_subscribe", name) for name in names])
    server.call(go_on.set)
    assert admin.receive_text().startswith("40")
    sender.say({"names": names})
    members = sorted((victim.id, admin_id))
    for client in (victim, admin):
        told = [client.event() for _ in range(3)]
        assert told == [["private", members]] * 2 + [["message", "private"]]
    everywhere = socketio_server(server)
    assert everywhere.rooms == {"lobby": 4, "admins": 1}
    assert everywhere.channels == dict.fromkeys(names, 1)
    for name in names:
        assert everywhere.to_channel(name).members() == {thief.id}
        server.call(partial(everywhere.close_room, name))
        server.call(partial(everywhere.broadcast_channel, name, name))
    assert [thief.hear() for _ in names] == names, "and nothing before: what was sent to rooms was not for it"
    server.call(partial(everywhere.except_(*names).send, "for the others"))
    assert thief.hear() == "for the others", "nor is it left out where those are"


def test_a_context_hands_the_client_back_without_its_channels(enter: Any) -> None:
    class Below(ChannelContext):
        def msg_game(self, msg: Any) -> Any:
            return self.switch(Game)

    class Game(ChannelContext):
        def unsubscribed(self, channel: str) -> None:
            happened.append(channel)

        def msg_over(self, msg: Any) -> None:
            self.kill(recursive=False)

    server = enter(serve(contexts=[(Below, "/")]))
    client = enter(Today(server.port))
    client.subscribe("lobby")
    client.say({"type": "game"})
    client.subscribe("game")
    wait_for(lambda: channels(server) == {"lobby": 1, "game": 1})
    client.say({"type": "over"})
    wait_for(lambda: channels(server) == {"lobby": 1})
    assert happened == ["game"]


def test_contexts_of_a_client_in_the_same_channel(enter: Any) -> None:
    class Below(ChannelContext):
        def msg_game(self, msg: Any) -> Any:
            return self.switch(Game)

    class Game(ChannelContext):
        def msg_over(self, msg: Any) -> None:
            self.kill(recursive=False)

    server = enter(serve(contexts=[(Below, "/")]))
    client = enter(Today(server.port))

    def asked(name: str) -> dict[str, int]:
        client.emit(name, {"channel": "lobby"}, ack=1)
        assert client.receive_text() == "431[]"
        return channels(server)

    assert asked("subscribe") == {"lobby": 1}
    for _ in range(2):
        asked("game")
        assert asked("subscribe") == {"lobby": 1}
        assert asked("unsubscribe") == {"lobby": 1}, "the context below is still in it"
        assert asked("subscribe") == {"lobby": 1}
        assert asked("over") == {"lobby": 1}
    assert asked("unsubscribe") == {}


def test_a_client_may_ask_for_so_many(enter: Any) -> None:
    def more(request: Any, socket: Any, context: Any, message: Any) -> None:
        socket.subscribe("the server's")
        socket.send(len(socket.channels))

    server = enter(serve(("on_message", more), max_channels=2, unbound_handlers="always"))
    client = enter(Today(server.port))
    for channel in ("a", "b", "a"):
        client.subscribe(channel)
    client.subscribe("c")
    told = {"type": "error", "error": "limit_exceeded", "msg": "You are in 2 channels", "channel": "c"}
    assert client.hear() == told
    client.say("more")
    assert client.hear() == 3


# Beside contexts


class Room(EventsContext):
    def connect(self) -> None:
        happened.append("Room.connect")
        super().connect()

    def msg_said(self, msg: Any) -> None:
        happened.append(("Room", msg["text"]))

    def disconnect(self) -> None:
        happened.append("Room.disconnect")
        super().disconnect()


class Plain(SocketIOContext):
    def msg_said(self, msg: Any) -> None:
        self.send("plain")


class Channels(ChannelContext):
    def subscribing(self, channel: str) -> None:
        if channel == "private":
            raise ConnectRefused("Private")
        self.broadcast_channel(f"{channel} is entered", channel)

    def unsubscribed(self, channel: str) -> None:
        self.broadcast_channel(f"{channel} is left", channel)


def test_beside_contexts(enter: Any) -> None:
    server = enter(serve(*notes(), contexts=[(Room, "/room"), (Plain, "/plain")]))
    with EngineSocket(server.port, None) as client:
        client.join("/plain")
        client.send_text('42/plain,["said",{}]')
        assert client.receive_text() == '42/plain,["message","plain"]'
        client.join("/room")
        client.send_text('42/room,["said",{"text":"a method"}]')
        client.send_text('42/room,["shouted",{"text":"a handler"}]')
        client.send_text("41/room,")
        wait_for(lambda: not server.socketio.ending and len(happened) > 6)
        client.join("/")
        client.send_text('42["said",{"text":"a handler"}]')
        wait_for(lambda: len(happened) > 8)
    assert happened[:9] == [
        "Room.connect",
        ("on_connect",),
        ("Room", "a method"),
        ("on_message", {"type": "shouted", "text": "a handler"}),
        "Room.disconnect",
        ("on_disconnect",),
        ("on_finish",),
        ("on_connect",),
        ("on_message", {"type": "said", "text": "a handler"}),
    ]


def test_channels_of_a_context_without_handlers(enter: Any) -> None:
    server = enter(serve(contexts=[(Channels, "/")]))
    first, second = enter(Today(server.port)), enter(Nine(server.port))
    first.subscribe("blue")
    wait_for(lambda: channels(server) == {"blue": 1})
    second.subscribe("private")
    assert second.hear()["msg"] == "Private"
    second.subscribe("blue")
    assert first.hear() == "blue is entered"
    second.say({"type": "unsubscribe", "channel": "blue"})
    assert first.hear() == "blue is left"
    second.subscribe("blue")
    assert first.hear() == "blue is entered"
    second.close()
    assert first.hear() == "blue is left"
    first.say("text")
    assert (
        first.hear()["msg"] == "Your message needs to be JSON-formatted: send an object, or handle it with msg_message"
    )


# The guide


def test_the_guide(enter: Any) -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    section = guide[guide.index("## Channels and events") :]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    sample = SimpleNamespace()
    exec(textwrap.dedent(found[1]), vars(sample))
    server = enter(
        serve(
            ("on_message", sample.said, "^room-"),
            ("on_subscribe", sample.guard, "^staff-"),
            ("on_finish", sample.left, "^room-(?P<number>[0-9]+)$"),
        )
    )
    anna, ben = enter(Today(server.port)), enter(Six(server.port))
    for client in (anna, ben):
        client.subscribe("room-42")
    wait_for(lambda: channels(server) == {"room-42": 2})
    anna.say({"text": "hi"})
    assert anna.hear() == ben.hear() == {"text": "hi", "by": anna.id}
    ben.subscribe("staff-1")
    assert ben.hear()["msg"] == "Forbidden"
    anna.close()
    assert ben.hear() == {"text": "left room 42"}
    assert server.failures == []
