"""How clients get into a namespace, or do not, and what may happen before they are in."""

from __future__ import annotations

import json
import logging
from typing import Any

import gevent
import pytest
from gevent.event import Event

from pyramid_socketio.errors import ConnectRefused, LimitExceeded, NoNamespace
from pyramid_socketio.namespace import NamespaceSocket
from pyramid_socketio.socketio import SocketIO
from tests.clients import VIOLATION, Client, RecordingContext, make_owner, turns
from tests.conftest import DEADLINE
from tests.timing import turn_until


@pytest.fixture
def owner() -> SocketIO:
    return make_owner()


@pytest.fixture
def client(owner: SocketIO) -> Client:
    return Client(owner)


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
    hint = ", no context answers it: config.add_socketio_context and config.scan() register contexts"
    assert caplog.messages == [
        f"session secret: refused client - in namespace /: Invalid namespace{hint}",
        f"session secret: refused client - in namespace /nope: Invalid namespace{hint}",
        f"session secret: refused client - in namespace {name[:97]}...: Invalid namespace{hint}",
    ]


def test_the_log_says_which_namespaces_there_are(caplog: pytest.LogCaptureFixture) -> None:
    def connect(*_: Any) -> Any:
        raise NoNamespace(("/", "/room/{name}"))

    caplog.set_level(logging.INFO)
    client = Client(make_owner(connect=connect))
    client.receive("0/rooms/1,")
    turn_until(lambda: client.packets == ['44/rooms/1,{"message":"Invalid namespace"}'])
    (line,) = caplog.messages
    assert line.endswith("in namespace /rooms/1: Invalid namespace, no context answers it; there are / /room/{name}")


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
    turn_until(lambda: what == "disconnect" or owner.ending == 0)
    assert isinstance(client.receive("0/slow,"), LimitExceeded)
    release.set()
    turns()
    assert client.connection.leaving == 0
    assert client.receive("0/slow,") is None


@pytest.mark.parametrize("packet", ["0", '4{"message":"x"}', '2/other,["a"]', "1/other,", "3/other,1[]"])
def test_packets_that_are_not_allowed(client: Client, packet: str) -> None:
    client.join()
    assert client.receive(packet) is None
    assert client.session.closed_with == VIOLATION


@pytest.mark.parametrize("packet", ['2["a"]', "31[]", "1", '51-["a",{"_placeholder":true,"num":0}]'])
def test_packets_before_connect(client: Client, packet: str) -> None:
    assert client.receive(packet) is None
    assert client.session.closed_with == VIOLATION


# While the application decides


def test_packets_while_the_application_decides() -> None:
    decided = Event()

    def connect(socket: NamespaceSocket, auth: Any) -> Any:
        decided.wait(DEADLINE)
        return RecordingContext(socket)

    client = Client(make_owner(connect))
    assert client.receive("0") is None
    for packet in ('2["a"]', "0"):
        client.session.closed_with = None
        assert client.receive(packet) is None
        assert client.session.closed_with == VIOLATION
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
    turn_until(lambda: idle.session.closed_with)
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
