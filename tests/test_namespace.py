"""Socket.IO on a session that writes down what it is asked for; the handlers run in real workers."""

from __future__ import annotations

import contextvars
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event

from pyramid_socketio.connection import Connection
from pyramid_socketio.errors import (
    AckTimeout,
    AttachmentError,
    CloseReason,
    ConnectRefused,
    LimitExceeded,
    PacketError,
    PayloadTooLarge,
    SessionClosed,
)
from pyramid_socketio.namespace import NamespaceSocket
from pyramid_socketio.protocol.revisions import EIO4
from pyramid_socketio.settings import Settings
from pyramid_socketio.socketio import SocketIO
from tests.conftest import DEADLINE

INTERNAL_ERROR = {"type": "error", "error": "internal_error"}


class RecordingTransport:
    """Keeps what is sent in ``packets``, as a polling client would read it; ``calls`` are the other calls."""

    name = "recording"

    def __init__(self) -> None:
        self.packets: list[str] = []
        self.messages: list[Any] = []
        self.calls: list[str] = []
        #: Called with every message, before it is kept.
        self.on_send: Callable[[], None] = lambda: None

    def send(self, message: Any) -> None:
        self.on_send()
        self.messages.append(message)
        self.packets += [packet.decode() for packet in message.packets()]

    def cork(self) -> None:
        self.calls.append("cork")

    def uncork(self) -> None:
        self.calls.append("uncork")


class RecordingSession:
    def __init__(self, settings: Settings) -> None:
        self.sid = "secret of session and server"
        self.revision = EIO4
        self.settings = settings
        self.transport = RecordingTransport()
        self.closed_with: tuple[str, int] | None = None
        self.flow: list[str] = []

    def pause(self) -> None:
        self.flow.append("pause")

    def resume(self) -> None:
        self.flow.append("resume")

    def close(self, reason: str, code: int = 1000) -> None:
        self.closed_with = (reason, code)


class RecordingContext:
    """Notes what the socket tells it; ``handler`` is called with each event."""

    def __init__(self, socket: NamespaceSocket) -> None:
        self.io = socket
        self.events: list[list[Any]] = []
        self.told: list[Any] = []
        self.handler: Callable[[list[Any]], Any] = lambda data: None

    def handle_event(self, data: list[Any], wants_ack: bool) -> list[Any] | None:
        self.events.append(data)
        return self.handler(data)

    def fail(self, what: str, error: BaseException) -> list[Any]:
        self.told.append((what, type(error)))
        return [INTERNAL_ERROR]

    def stop(self) -> None:
        self.told.append("stop")

    def finish(self, reason: str) -> None:
        self.told.append(f"finish: {reason}")


class Client:
    """One client of an application; ``receive`` is what it sends."""

    def __init__(self, owner: SocketIO) -> None:
        self.session = RecordingSession(owner.settings)
        self.transport = self.session.transport
        self.closed = 0
        self.connection = Connection(owner, self.session, owner.connect, self._count_closed)

    def _count_closed(self) -> None:
        self.closed += 1

    def receive(self, *messages: str | bytes) -> Any:
        """The error, if any; the handlers have run as far as they get without waiting."""
        return in_hub(lambda: self.connection.messages(list(messages)))

    def join(self, namespace: str = "/") -> RecordingContext:
        assert self.receive("0" if namespace == "/" else f"0{namespace},") is None
        context = self.connection.sockets[namespace].context
        self.transport.packets.clear()
        return context

    def end(self, reason: str = CloseReason.TRANSPORT_CLOSE) -> None:
        in_hub(lambda: self.connection.closed(reason))

    @property
    def packets(self) -> list[str]:
        """What was sent since the last look."""
        packets, self.transport.packets = self.transport.packets, []
        return packets


def in_hub(function: Callable[[], Any]) -> Any:
    """Call it as a session does; its result."""
    results: list[Any] = []
    gevent.get_hub().loop.run_callback(lambda: results.append(function()))
    turns()
    return results[0]


def turns() -> None:
    """Let everything run that is ready."""
    for _ in range(5):
        gevent.sleep(0)


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        gevent.sleep(0.001)


@pytest.fixture
def owner() -> SocketIO:
    return make_owner()


def make_owner(connect: Any = lambda socket, auth: RecordingContext(socket), **settings: Any) -> SocketIO:
    return SocketIO(Settings(**{"close_timeout": 0.05, **settings}), connect)


@pytest.fixture
def client(owner: SocketIO) -> Client:
    return Client(owner)


# Joining


def test_join_and_leave(owner: SocketIO, client: Client) -> None:
    assert client.receive("0") is None
    socket = owner.members["/"].popitem()[1]
    owner.members["/"][socket.id] = socket
    assert client.packets == ["40" + json.dumps({"sid": socket.id}, separators=(",", ":"))]
    assert len(socket.id) == 20
    assert (socket.connected(), socket.reason, socket.namespace) == (True, None, "/")
    assert socket.session_id == socket.session.session_id == socket.id
    assert (socket.revision, socket.transport) == ("4", "recording")
    context = socket.context
    assert client.receive("1") is None
    assert context.told == ["stop", "finish: client"]
    assert (socket.connected(), socket.reason) == (False, "client")
    assert owner.members == {} and client.connection.sockets == {} and owner.ending == 0
    assert client.packets == []


def test_every_connect_has_a_new_id(client: Client) -> None:
    first = client.join().io.id
    client.receive("1")
    assert client.join().io.id != first
    assert client.join("/other").io.id not in (first, client.connection.sockets["/"].id)


def test_auth_reaches_the_connector() -> None:
    seen: list[Any] = []

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        seen.append((socket.namespace, auth))
        return RecordingContext(socket)

    client = Client(make_owner(connect))
    client.receive("0", '0/a,{"token":1}')
    assert seen == [("/", None), ("/a", {"token": 1})]


@pytest.mark.parametrize(
    "error, packet",
    [
        (ConnectRefused("no"), '44{"message":"no"}'),
        (ConnectRefused("no", {"code": 1}), '44{"message":"no","data":{"code":1}}'),
        (ConnectRefused("no", object()), '44{"message":"no"}'),
        (gevent.GreenletExit(), '44{"message":"Connection refused"}'),
        (ValueError("a secret"), '44{"message":"Internal server error","data":{"status":500}}'),
        (gevent.Timeout(1), '44{"message":"Internal server error","data":{"status":500}}'),
    ],
)
def test_refusals(error: BaseException, packet: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    allowed = False

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        if not allowed:
            raise error
        return RecordingContext(socket)

    owner = make_owner(connect)
    client = Client(owner)
    assert client.receive("0") is None
    assert client.packets == [packet]
    assert owner.members == {} and client.connection.sockets == {}
    data = getattr(error, "data", None)
    foreseen = isinstance(error, (ConnectRefused, gevent.GreenletExit)) and type(data) is not object
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == (0 if foreseen else 1)
    (line,) = [text for text in caplog.messages if text.startswith("session secret: refused client ")]
    assert line.endswith(f" in namespace /: {json.loads(packet[2:])['message']}")
    allowed = True
    assert client.join().io.connected()


def test_unknown_namespaces(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client = Client(make_owner(connect=None))
    assert client.receive("0", "0/nope,") is None
    assert client.packets == ['44{"message":"Invalid namespace"}', '44/nope,{"message":"Invalid namespace"}']
    client = Client(make_owner())
    name = "/" + 300 * "a"
    client.receive(f"0{name},")
    assert client.packets == ["44" + name + ',{"message":"Invalid namespace"}']
    assert caplog.messages == [
        "session secret: refused client - in namespace /: Invalid namespace",
        "session secret: refused client - in namespace /nope: Invalid namespace",
        f"session secret: refused client - in namespace {name[:97]}...: Invalid namespace",
    ]


def test_too_many_namespaces_or_refusals() -> None:
    client = Client(make_owner(max_namespaces=2))
    assert client.receive("0/a,", "0/b,") is None
    assert isinstance(client.receive("0/c,"), LimitExceeded)
    client = Client(make_owner(connect=None, max_namespaces=2))
    assert client.receive("0/a,", "0/a,") is None
    assert isinstance(client.receive("0/a,"), LimitExceeded)


def test_a_client_that_gets_in_starts_anew_with_its_refusals() -> None:
    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        if socket.namespace == "/closed":
            raise ConnectRefused
        return RecordingContext(socket)

    client = Client(make_owner(connect, max_namespaces=2))
    for _ in range(3):
        for packet in ("0/closed,", "0/open,", "1/open,"):
            assert client.receive(packet) is None


@pytest.mark.parametrize("name", ["/\n", "/room\n", "/a\0b", "/\x1f", "/\x7f"])
def test_names_with_control_characters(client: Client, name: str) -> None:
    assert client.receive(f"0{name},") is None
    assert client.packets == [f'44{name},{{"message":"Invalid namespace"}}']


@pytest.mark.parametrize("verdict", ["in", "out"])
def test_what_still_runs_for_namespaces_that_the_client_has_left_counts(verdict: str) -> None:
    """Otherwise joining and leaving makes as many greenlets as the client likes."""
    decided = Event()
    running = 0

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        nonlocal running
        running += 1
        decided.wait(DEADLINE)
        if verdict == "out":
            raise ConnectRefused
        return RecordingContext(socket)

    client = Client(make_owner(connect, max_namespaces=3))
    assert client.receive(*3 * ("0/slow,", "1/slow,")) is None
    assert isinstance(client.receive("0/slow,"), LimitExceeded)
    assert running == 3
    decided.set()
    turns()
    assert client.connection.leaving == 0
    assert client.receive("0/slow,") is None


@pytest.mark.parametrize("what", ["handler", "disconnect"])
def test_slow_ends_count_as_namespaces(what: str) -> None:
    release = Event()

    class Slow(RecordingContext):
        def handle_event(self, data: list[Any], wants_ack: bool) -> list[Any] | None:
            if what == "handler":
                release.wait(DEADLINE)
            return None

        def finish(self, reason: str) -> None:
            if what == "disconnect":
                release.wait(DEADLINE)

    owner = make_owner(lambda socket, auth: Slow(socket), max_namespaces=3)
    client = Client(owner)
    for _ in range(3):
        assert client.receive("0/slow,") is None
        assert client.receive('2/slow,["a"]', "1/slow,") is None
    wait_until(lambda: what == "disconnect" or owner.ending == 0)
    assert isinstance(client.receive("0/slow,"), LimitExceeded)
    release.set()
    turns()
    assert client.connection.leaving == 0
    assert client.receive("0/slow,") is None


@pytest.mark.parametrize("packet", ["0", '4{"message":"x"}', '2/other,["a"]', "1/other,", "3/other,1[]"])
def test_packets_that_are_not_allowed(client: Client, packet: str) -> None:
    client.join()
    assert isinstance(client.receive(packet), PacketError)


@pytest.mark.parametrize("packet", ['2["a"]', "31[]", "1", '51-["a",{"_placeholder":true,"num":0}]'])
def test_packets_before_connect(client: Client, packet: str) -> None:
    assert isinstance(client.receive(packet), PacketError)


def test_packets_while_the_application_decides() -> None:
    decided = Event()

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        decided.wait(DEADLINE)
        return RecordingContext(socket)

    client = Client(make_owner(connect))
    assert client.receive("0") is None
    assert isinstance(client.receive('2["a"]'), PacketError)
    assert isinstance(client.receive("0"), PacketError)
    decided.set()
    turns()
    assert len(client.packets) == 1


@pytest.mark.parametrize("leave", ["packet", "session"])
@pytest.mark.parametrize("verdict", ["in", "out"])
def test_a_client_that_goes_away_while_the_application_decides(leave: str, verdict: str) -> None:
    decided = Event()
    contexts: list[RecordingContext] = []

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        decided.wait(DEADLINE)
        if verdict == "out":
            raise ConnectRefused
        contexts.append(RecordingContext(socket))
        return contexts[-1]

    owner = make_owner(connect)
    client = Client(owner)
    client.receive("0")
    if leave == "packet":
        assert client.receive("1") is None
    else:
        client.end()
    decided.set()
    turns()
    assert client.packets == []
    assert owner.members == {} and owner.ending == 0
    reason = "client" if leave == "packet" else "transport close"
    assert [context.told for context in contexts] == ([["stop", f"finish: {reason}"]] if verdict == "in" else [])


def test_the_application_ends_a_client_that_is_not_in_yet() -> None:
    contexts: list[RecordingContext] = []

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        socket.disconnect()
        socket.disconnect()
        contexts.append(RecordingContext(socket))
        return contexts[-1]

    client = Client(make_owner(connect))
    client.receive("0")
    assert client.packets == ['44{"message":"Connection refused"}']
    assert contexts[0].told == ["stop", "finish: server"]


def test_the_first_namespace_stops_the_connect_timer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    owner = make_owner(connect_timeout=0.01)
    idle, joined = Client(owner), Client(owner)
    joined.join()
    wait_until(lambda: idle.session.closed_with)
    assert idle.session.closed_with == ("connect timeout", 1008)
    assert joined.session.closed_with is None
    assert len(owner.timers) == 0
    assert caplog.messages == ["session secret: connected to no namespace within socketio.connect_timeout = 0.01 s"]


def test_events_that_are_sent_before_the_answer_come_after_it() -> None:
    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        socket.send_event(["early", 1])
        socket.request_ack(["asked"], lambda: None)
        return RecordingContext(socket)

    client = Client(make_owner(connect))
    client.receive("0")
    assert [packet[:12] for packet in client.packets] == ['40{"sid":"' + client.connection.sockets["/"].id[:2]] + [
        '42["early",1',
        '420["asked"]',
    ]


def test_what_is_sent_before_the_answer_has_a_bound() -> None:
    errors: list[type[BaseException]] = []

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        socket.send_event(["a"])
        socket.send_event(["b"])
        for send in (lambda: socket.send_event(["c"]), lambda: socket.request_ack(["c"], print)):
            with pytest.raises(LimitExceeded, match="socketio.max_queue_packets") as caught:
                send()
            errors.append(caught.type)
        assert socket._acks == {}
        return RecordingContext(socket)

    client = Client(make_owner(connect, max_queue_packets=2))
    client.receive("0")
    assert errors == 2 * [LimitExceeded]
    assert client.packets[1:] == ['42["a"]', '42["b"]']


def test_call_while_the_application_decides_fails_at_once() -> None:
    later: list[Any] = []

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        later.append(gevent.spawn(socket.call, ["q"], DEADLINE))
        with pytest.raises(RuntimeError, match="inside connect"):
            socket.call(["q"], DEADLINE)
        return RecordingContext(socket)

    client = Client(make_owner(connect))
    client.receive("0")
    client.receive("30[1]")
    assert later[0].get(timeout=DEADLINE) == [1], "a greenlet may wait"


# Events


def test_events_arrive_in_order_and_are_acknowledged(client: Client) -> None:
    context = client.join()
    context.handler = lambda data: [data[0], b"\1"] if data[0] == "b" else None
    assert client.receive('2["a",1]', '27["b"]', '28["c"]') is None
    assert context.events == [["a", 1], ["b"], ["c"]]
    assert client.packets == ['461-7["b",{"_placeholder":true,"num":0}]', "bAQ==", "438[]"]


def test_answers_to_messages_that_came_together_go_out_together(client: Client) -> None:
    client.join()
    client.transport.calls.clear()
    client.receive('2["a"]')
    assert "cork" not in client.transport.calls
    client.transport.calls.clear()
    client.receive('2["a"]', '2["b"]')
    assert client.transport.calls == ["cork", "uncork"]


@pytest.mark.parametrize("answer", [[object()], [1j], [{1, 2}]])
def test_an_ack_that_cannot_be_sent(client: Client, answer: list[Any]) -> None:
    context = client.join()
    context.handler = lambda data: answer if data == ["a"] else ["fine"]
    assert client.receive('21["a"]', '22["b"]') is None
    assert context.told == [("the acknowledgement of 'a'", TypeError)]
    assert client.packets == ['431[{"type":"error","error":"internal_error"}]', '432["fine"]']


def test_attachments(client: Client) -> None:
    context = client.join()
    parts = '52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]'
    assert client.receive(parts, b"0") is None
    assert context.events == []
    assert client.receive(b"1", '2["b"]') is None
    assert context.events == [["a", b"1", b"0"], ["b"]]


@pytest.mark.parametrize(
    "messages, error",
    [
        ([b"unannounced"], AttachmentError),
        (['51-["a",{"_placeholder":true,"num":0}]', '2["b"]'], AttachmentError),
        (['51-["a",{"_placeholder":true,"num":1}]', b"0"], AttachmentError),
        (['51-/other,["a",{"_placeholder":true,"num":0}]'], PacketError),
        (['511-["a"]'], LimitExceeded),
        (['52-["a"]', 60 * b"a", 60 * b"b"], PayloadTooLarge),
    ],
)
def test_bad_attachments(messages: list[str | bytes], error: type[Exception]) -> None:
    client = Client(make_owner(max_message_size=100))
    context = client.join()
    assert type(client.receive('2["before"]', *messages)) is error
    assert context.events == [["before"]]


def test_attachments_that_never_come_are_forgotten_at_the_end(client: Client) -> None:
    client.join()
    client.receive('52-["a"]', b"0")
    client.end()
    assert client.connection._pending is None


def test_an_event_of_a_namespace_that_ended_while_its_attachments_came(client: Client) -> None:
    context = client.join()
    client.receive('51-["a",{"_placeholder":true,"num":0}]')
    context.io.disconnect()
    assert isinstance(client.receive(b"0"), PacketError)


def test_one_message_at_a_time_and_other_clients_do_not_wait(owner: SocketIO) -> None:
    slow, other = Client(owner), Client(owner)
    context, context2 = slow.join(), other.join()
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    slow.receive('2["a"]', '2["b"]')
    slow.receive('2["c"]')
    assert context.events == [["a"]]
    other.receive('2["d"]')
    assert context2.events == [["d"]]
    release.set()
    turns()
    assert context.events == [["a"], ["b"], ["c"]]


def test_context_variables_do_not_last_from_one_message_to_the_next(client: Client) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []

    def handler(data: list[Any]) -> None:
        seen.append(variable.get())
        variable.set(data[0])
        gevent.sleep(0)
        seen.append(variable.get())

    client.join().handler = handler
    client.receive('2["a"]', '2["b"]')
    wait_until(lambda: len(seen) == 4)
    client.receive('2["c"]')
    wait_until(lambda: len(seen) == 6)
    assert seen == ["nothing", "a", "nothing", "b", "nothing", "c"]


# Acknowledgements of the client


def test_acks_of_the_client(client: Client) -> None:
    context = client.join()
    answers: list[Any] = []
    context.io.request_ack(["a"], lambda *args: answers.append(args))
    result = AsyncResult()
    context.io.request_ack(["b"], result)
    assert client.packets == ['420["a"]', '421["b"]']
    client.receive("31[1,2]", "30[]", "30[3]", '39["unknown"]')
    assert answers == [()]
    assert result.get(block=False) == [1, 2]


def test_an_ack_comes_in_its_turn(client: Client) -> None:
    context = client.join()
    release = Event()
    order: list[str] = []

    def handler(data: list[Any]) -> None:
        release.wait(DEADLINE)
        order.append(data[0])

    context.handler = handler
    context.io.request_ack(["q"], lambda: order.append("ack"))
    client.receive('2["a"]', "30[]", '2["b"]')
    assert order == []
    release.set()
    turns()
    assert order == ["a", "ack", "b"]


def test_a_failing_callback(client: Client) -> None:
    def fail() -> None:
        raise ValueError

    def leave() -> None:
        raise gevent.GreenletExit

    context = client.join()
    for callback in (fail, leave):
        context.io.request_ack(["q"], callback)
    client.receive("30[]", "31[]", '2["a"]')
    assert context.told == [("the callback of an acknowledgement", ValueError)]
    assert context.events == [["a"]]


def test_call(client: Client) -> None:
    context = client.join()
    answer = gevent.spawn(context.io.call, ["q"], DEADLINE)
    turns()
    client.receive("30[1,2]")
    assert answer.get(timeout=DEADLINE) == [1, 2]
    with pytest.raises(AckTimeout, match="no acknowledgement of 'q' within 0.001 s"):
        context.io.call(["q"], 0.001)
    assert context.io._acks == {}
    with gevent.Timeout(0.001, False):
        context.io.call(["q"], DEADLINE)
        raise AssertionError("the timeout around it was not let through")
    assert context.io._acks == {}


def test_calls_fail_when_the_client_goes_away(client: Client) -> None:
    context = client.join()
    called: list[Any] = []
    context.io.request_ack(["q"], called.append)
    answer = gevent.spawn(context.io.call, ["q"], DEADLINE)
    turns()
    client.end("transport error")
    answer.join(DEADLINE)
    assert isinstance(answer.exception, SessionClosed)
    assert answer.exception.reason == "transport error"
    with pytest.raises(SessionClosed):
        context.io.request_ack(["q"], called.append)
    assert called == []
    context.io.forget_ack(0)


def test_too_many_acks() -> None:
    client = Client(make_owner(max_pending_acks=2))
    socket = client.join().io
    first = socket.request_ack(["a"], print)
    socket.request_ack(["a"], print)
    with pytest.raises(LimitExceeded, match="socketio.max_pending_acks"):
        socket.request_ack(["a"], print)
    socket.forget_ack(first)
    socket.request_ack(["a"], print)
    with pytest.raises(TypeError):
        socket.forget_ack(1)
        socket.request_ack([object()], print)
    assert list(socket._acks) == [2]


# Broadcasting


def test_broadcast_encodes_once(owner: SocketIO) -> None:
    clients = [Client(owner) for _ in range(3)]
    contexts = [client.join() for client in clients]
    elsewhere = Client(owner)
    elsewhere.join("/other")
    owner.broadcast("/", ["a", b"\1"])
    assert [client.packets for client in clients] == 3 * [['451-["a",{"_placeholder":true,"num":0}]', "bAQ=="]]
    assert len({id(client.transport.messages[-1]) for client in clients}) == 1
    contexts[0].io.broadcast("hi")
    assert [client.packets for client in clients] == [[], ['42["message","hi"]'], ['42["message","hi"]']]
    contexts[0].io.send("me")
    assert [client.packets for client in clients] == [['42["message","me"]'], [], []]
    assert elsewhere.packets == []
    owner.broadcast("/nobody", ["a"])
    with pytest.raises(TypeError):
        owner.broadcast("/", ["a", object()])


def test_a_client_that_is_lost_during_a_broadcast(owner: SocketIO) -> None:
    clients = [Client(owner) for _ in range(3)]
    contexts = [client.join() for client in clients]
    clients[0].transport.on_send = lambda: clients[1].connection.closed(CloseReason.SLOW_CONSUMER)
    owner.broadcast("/", ["a"])
    turns()
    assert clients[2].packets == ['42["a"]']
    assert contexts[1].told == ["stop", "finish: slow consumer"]


# Flow control


def test_a_full_inbox_stops_reading_until_it_is_empty() -> None:
    client = Client(make_owner(max_inbox_packets=3))
    context = client.join()
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["m",0]')
    client.receive(*(f'2["m",{n}]' for n in range(1, 4)))
    assert client.session.flow == []
    client.receive('2["m",4]')
    client.receive('2["m",5]')
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]
    assert [data[1] for data in context.events] == [0, 1, 2, 3, 4, 5]
    client.receive('2["m",6]')
    assert client.session.flow == ["pause", "resume"]


def test_bytes_fill_an_inbox_too() -> None:
    client = Client(make_owner(max_inbox_bytes=1000))
    release = Event()
    client.join().handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["small"]')
    client.receive(f'2["{2000 * "a"}"]')
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]


def test_acknowledgements_fill_an_inbox_too() -> None:
    client = Client(make_owner(max_inbox_packets=2, max_inbox_bytes=1000))
    context = client.join()
    release = Event()

    def handler(data: list[Any]) -> None:
        release.wait(DEADLINE)

    context.handler = handler
    called: list[Any] = []
    for _ in range(4):
        context.io.request_ack(["q"], lambda *args: called.append(args))
    client.receive('2["a"]')
    client.receive("30[]", "31[]", "32[]")
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert len(called) == 3
    assert client.session.flow == ["pause", "resume"]
    release.clear()
    client.receive('2["a"]')
    client.receive(f'33["{2000 * "a"}"]')
    assert client.session.flow == ["pause", "resume", "pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume", "pause", "resume"]


def test_a_call_reads_on_behind_a_full_inbox() -> None:
    client = Client(make_owner(max_inbox_packets=2))
    context = client.join()
    release = Event()
    answers: list[Any] = []

    def handler(data: list[Any]) -> None:
        if data == ["ask"]:
            release.wait(DEADLINE)
            answers.append(context.io.call(["q"], DEADLINE))

    context.handler = handler
    client.receive('2["ask"]', *3 * ('2["m"]',))
    client.receive('2["m"]')
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"], "the answer is behind what waits"
    client.receive('2["m"]')
    assert client.session.flow == ["pause", "resume", "pause"], "twice the limit is the end of it"
    with pytest.raises(AckTimeout):
        context.io.call(["again"], 0.001)
    assert client.session.flow == ["pause", "resume", "pause"]
    client.receive("30[1]")
    assert answers == [[1]]
    assert client.session.flow == ["pause", "resume", "pause", "resume"]


def test_another_namespace_does_not_open_what_a_full_inbox_has_closed() -> None:
    client = Client(make_owner(max_inbox_packets=1))
    slow, fast = client.join(), client.join("/fast")
    release, tick = Event(), Event()
    slow.handler = lambda data: release.wait(DEADLINE) and None
    fast.handler = lambda data: tick.wait(DEADLINE) and None
    client.receive('2["a"]', '2["b"]', '2["c"]', '2/fast,["a"]')
    client.receive('2/fast,["b"]')
    tick.set()
    turns()
    assert len(fast.events) == 2
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]


def test_a_namespace_that_ended_does_not_keep_the_others_waiting() -> None:
    client = Client(make_owner(max_inbox_packets=1))
    slow, fast = client.join(), client.join("/fast")
    release = Event()
    slow.handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["a"]', '2["b"]', '2["c"]')
    slow.io.disconnect()
    assert client.session.flow == ["pause", "resume"]
    client.receive('2/fast,["a"]')
    assert fast.events == [["a"]]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]


# The end


def test_the_end_comes_behind_what_the_client_sent_before(client: Client) -> None:
    context = client.join()
    context.handler = lambda data: context.told.append(data[0])
    client.receive('2["a"]', '2["b"]', "1")
    assert context.told == ["stop", "a", "b", "finish: client"]


def test_a_handler_that_blocks_delays_the_end_for_a_while_only(owner: SocketIO, client: Client) -> None:
    context = client.join()
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    context.io.request_ack(["q"], lambda: context.told.append("ack"))
    client.receive('21["a"]', "30[]", '2["b"]')
    client.packets  # noqa: B018
    client.end("transport close")
    assert context.told == ["stop"] and owner.ending == 1
    wait_until(lambda: "finish: transport close" in context.told)
    assert owner.ending == 0
    release.set()
    turns()
    assert context.events == [["a"]]
    assert context.told == ["stop", "finish: transport close"]
    assert client.packets == []


def test_disconnect_by_the_server(owner: SocketIO, client: Client) -> None:
    context, other = client.join(), client.join("/other")
    context.io.disconnect()
    context.io.disconnect()
    turns()
    assert client.packets == ["41"]
    assert context.told == ["stop", "finish: server"]
    other.io.disconnect()
    assert client.packets == ["41/other,"]
    assert client.closed == 0 and client.session.closed_with is None
    context.io.send_event(["too late"])
    assert client.packets == []


def test_the_application_ends_the_client_from_a_handler(client: Client) -> None:
    context = client.join()

    def handler(data: list[Any]) -> list[Any]:
        context.io.disconnect()
        return ["an ack"]

    context.handler = handler
    assert client.receive('21["a"]', '22["b"]') is None
    assert client.packets == ["41"]
    assert context.events == [["a"], ["b"]]
    assert len(client.connection.owner.timers) == 0, "nothing waits for a handler that has returned"
    assert context.told == ["stop", "finish: server"]


def test_a_session_that_ends(owner: SocketIO, client: Client) -> None:
    contexts = [client.join(), client.join("/b")]
    client.end("ping timeout")
    client.end("ping timeout")
    assert [context.told for context in contexts] == 2 * [["stop", "finish: ping timeout"]]
    assert client.closed == 1
    assert owner.members == {} and owner.ending == 0 and len(owner.timers) == 0


def test_sending_finds_out_that_the_client_is_gone(owner: SocketIO, client: Client) -> None:
    context = client.join()
    client.transport.on_send = lambda: client.connection.closed(CloseReason.TRANSPORT_ERROR)
    context.handler = lambda data: context.io.send_event(["a"])
    client.receive('2["a"]')
    assert context.told == ["stop", "finish: transport error"]


def test_uncorking_finds_out_that_the_client_is_gone(owner: SocketIO, client: Client) -> None:
    context = client.join()
    client.transport.uncork = lambda: client.connection.closed(CloseReason.TRANSPORT_ERROR)  # type: ignore[method-assign]
    client.receive('2["a"]', '2["b"]')
    assert context.told == ["stop", "finish: transport error"], "at once, not after close_timeout"


def test_an_end_that_fails_is_counted() -> None:
    class Failing(RecordingContext):
        def finish(self, reason: str) -> None:
            raise gevent.GreenletExit

    owner = make_owner(lambda socket, auth: Failing(socket))
    client = Client(owner)
    client.join()
    client.end()
    assert owner.ending == 0


def test_nothing_is_left_for_the_garbage_collector_to_find(owner: SocketIO, client: Client) -> None:
    context = client.join()
    socket = context.io
    client.receive('2["a"]')
    client.end()
    assert socket.context is None
    assert client.connection._closed is None and client.connection._connect is None


def test_shutdown_tells_every_client_and_waits_for_the_ends() -> None:
    owner = make_owner(drain_timeout=DEADLINE)
    client = Client(owner)
    context = client.join()
    session: Any = client.session
    session.close = lambda reason, code: client.connection.closed(f"{reason} {code}")
    owner.engine.sessions["sid"] = session
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["a"]')
    owner.shutdown()
    assert context.told == ["stop", "finish: shutdown 1001"]
    assert owner.engine.closing
    release.set()


def test_shutdown_does_not_wait_for_ever(owner: SocketIO) -> None:
    owner = make_owner(drain_timeout=0.01)
    owner.ending = 1
    owner.shutdown()
