"""The whole life of a context on a real server: what its methods do, as clients on plain sockets see it."""

from __future__ import annotations

import contextvars
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator

from pyramid_socketio import AckTimeout, SessionClosed, SocketIOContext, message, require_connection, socketio_context
from tests.conftest import DEADLINE, ServerProcess, wait_for
from tests.functional.raw import BINARY, EngineSocket, PollingSession, WebSocket
from tests.functional.serving import ThreadServer

INTERNAL_ERROR = {"type": "error", "error": "internal_error", "msg": "The server could not handle this message"}

#: Context id to the reasons of its ends.
ENDED: dict[str, list[str | None]] = {}
#: Context id to what its handlers have seen.
SEEN: dict[str, list[Any]] = {}

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


class Ending(SocketIOContext):
    def connect(self) -> None:
        self.seen: list[Any] = SEEN.setdefault(self.id or "", [])

    def disconnect(self) -> None:
        ENDED.setdefault(self.id or "", []).append(self.disconnect_reason)


@socketio_context("/")
class Everything(Ending):
    def msg_say(self, msg: dict[str, Any]) -> None:
        self.msg("said", {"a": 1}, text=msg["text"])

    def msg_error(self, msg: Any) -> None:
        self.error("my_code", "my text")

    def msg_send_event(self, *args: Any) -> None:
        self.send_event("event", *args)

    def msg_echo(self, *args: Any) -> Any:
        self.emit("echo", *args)
        return args

    def msg_keys(self, msg: Any) -> None:
        self.assert_keys(msg, ["a", "b"])

    @message("cursor:move")
    def move(self, x: int, y: int) -> list[int]:
        return [x, y]

    # Others

    def msg_others(self, value: Any) -> None:
        self.broadcast(value)
        self.io.broadcast("by io")
        self.broadcast_event("event", value)

    def msg_all(self, value: Any) -> None:
        self.send_and_broadcast(value)

    # Answers of the client

    def msg_call(self, timeout: float) -> None:
        try:
            self.emit("called", self.call("question", b"\1", timeout=timeout))
        except AckTimeout:
            self.emit("no answer")
        except SessionClosed as closed:
            self.seen.append(closed.reason)
            raise

    def msg_ask(self) -> None:
        self.emit("question", ack=lambda *args: self.emit("answered", *args))

    # Errors

    def msg_fail(self) -> None:
        raise ValueError("a secret")

    def msg_fail_later(self) -> None:
        self.spawn(self.msg_fail)

    def msg_unwritable(self) -> object:
        return object()

    def msg_ask_and_fail(self) -> None:
        self.emit("question", ack=self.msg_fail)

    # Greenlets and order

    def msg_tick(self) -> None:
        self.spawn(self._tick).link(lambda greenlet: self.seen.append("tick ended"))

    @require_connection
    def _beat(self, number: int) -> None:
        self.emit("tick", number)

    def _tick(self) -> None:
        for number in range(10**9):
            self._beat(number)
            gevent.sleep(0.001)

    def msg_wait(self, seconds: float) -> str:
        self.emit("waiting")
        gevent.sleep(seconds)
        return "done"

    def msg_number(self, number: int, most: float = 0.001, padding: str = "") -> None:
        gevent.sleep(random.random() * most)
        self.seen.append(number)

    def msg_variable(self, value: str) -> None:
        before = variable.get()
        variable.set(value)
        gevent.sleep(0)
        self.emit("variable", before, variable.get())

    # Contexts and the end

    def msg_switch(self) -> SocketIOContext:
        return self.switch(Inner, "inner")

    def msg_kill(self) -> str:
        self.on_disconnect(self.seen.append, "callback")
        self.kill()
        return "never sent"

    def msg_leave(self) -> None:
        self.io.disconnect()

    def msg_about(self) -> list[Any]:
        return [self.id, self.io.session.session_id, self.io.connected(), self.io.transport, self.io.revision]

    def msg_flood(self, count: int) -> None:
        for _ in range(count):
            self.emit("flood", 10_000 * "x")


class Inner(Ending):
    def __init__(self, request: Any, name: str) -> None:
        super().__init__(request)
        self.name = name

    def msg_name(self) -> str:
        return self.name

    def msg_back(self) -> SocketIOContext | None:
        return self.kill(recursive=False)


@socketio_context("/other")
class Other(Ending):
    def msg_echo(self, *args: Any) -> Any:
        return args


def application(**settings: Any) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.scan(__name__)
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def shared() -> Iterator[ThreadServer]:
    with ThreadServer(application(max_inbox_packets=50)) as server:
        yield server


@pytest.fixture
def server(shared: ThreadServer) -> ThreadServer:
    """Its log is the test's own."""
    shared.records.clear()
    return shared


class PollingClient(PollingSession):
    """The methods of an :class:`EngineSocket` that tests of both transports use."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._waiting: list[str] = []
        self.id = self.join()

    def send_text(self, text: str) -> None:
        self.post(text)

    def receive_text(self) -> str:
        while not self._waiting:
            self._waiting = [packet for packet in self.poll().split("\x1e") if packet != "6"]
        return self._waiting.pop(0)

    def event(self) -> list[Any]:
        text = self.receive_text()
        assert text.startswith("42["), text
        data: list[Any] = json.loads(text[2:])
        return data


class UpgradedClient(WebSocket):
    """A session that began with polling and goes on over a WebSocket."""

    def __init__(self, port: int) -> None:
        with PollingSession(port) as polling:
            self.id = polling.join()
            super().__init__(port, polling.websocket_path)
            self.send_text("2probe")
            assert self.receive_text() == "3probe"
            self.send_text("5")

    emit = EngineSocket.emit
    event = EngineSocket.event


Client = Any


@pytest.fixture(params=[EngineSocket, PollingClient, UpgradedClient])
def client(request: pytest.FixtureRequest, server: ThreadServer, enter: Any) -> Client:
    return enter(request.param(server.port))


def reasons(id: str) -> list[str | None]:
    """Why a context has ended; waits until it has."""
    return wait_for(lambda: ENDED.get(id, []))


# Messages


def test_messages_and_events(client: Client) -> None:
    client.emit("message", {"type": "say", "text": "hi"})
    assert client.event() == ["message", {"type": "said", "a": 1, "text": "hi"}]
    client.emit("message", {"type": "error"})
    assert client.event() == ["message", {"type": "error", "error": "my_code", "msg": "my text"}]
    client.emit("send_event", 1, [2], {"three": None}, "\u20ac\U0001f600")
    assert client.event() == ["event", 1, [2], {"three": None}, "\u20ac\U0001f600"]
    client.emit("say", {"text": "hi"})
    assert client.event()[1]["text"] == "hi"
    client.emit("nobody")
    assert client.event() == [
        "message",
        {"type": "error", "error": "unknown_command", "msg": "Command unknown: nobody"},
    ]
    client.emit("message", "text")
    assert client.event()[1]["error"] == "bad_request"
    client.emit("message", {"type": "keys", "a": 1})
    assert client.event()[1]["msg"] == "Msg type 'keys' should include all those keys: a, b"


def test_acks_both_ways(client: Client) -> None:
    client.emit("cursor:move", 3, 4, ack=7)
    assert client.receive_text() == "437[[3,4]]"
    client.emit("echo", ack=8)
    assert [client.receive_text(), client.receive_text()] == ['42["echo"]', "438[]"]
    client.emit("nobody", ack=9)
    client.event()
    assert client.receive_text().startswith('439[{"type":"error","error":"unknown_command"')
    client.emit("ask")
    assert client.receive_text() == '420["question"]'
    client.send_text('430["yes",{"a":1}]')
    assert client.event() == ["answered", "yes", {"a": 1}]
    client.send_text('430["again"]')
    client.emit("echo", "still there")
    assert client.event() == ["echo", "still there"]


def test_call_with_answer_and_without(client: Client) -> None:
    for ack, arguments, value in ((0, "[]", None), (1, "[5]", 5), (2, "[5,6]", [5, 6])):
        client.emit("call", DEADLINE)
        assert client.receive_text() == f'451-{ack}["question",{{"_placeholder":true,"num":0}}]'
        assert client.receive()[1] == b"\1" if isinstance(client, WebSocket) else client.receive_text() == "bAQ=="
        client.send_text(f"43{ack}{arguments}")
        assert client.event() == ["called", value]
    client.emit("call", 0.01)
    client.receive_text()
    assert client.receive()[1] == b"\1" if isinstance(client, WebSocket) else client.receive_text() == "bAQ=="
    assert client.event() == ["no answer"]
    client.send_text("433[1]")
    client.emit("echo")
    assert client.event() == ["echo"]


def test_call_of_a_client_that_goes_away(server: ThreadServer) -> None:
    client = EngineSocket(server.port)
    client.emit("call", DEADLINE)
    client.receive()
    client.close()
    assert reasons(client.id) == ["transport close"]
    assert SEEN[client.id] == ["transport close"]
    assert server.failures == []


def test_binary_both_ways(server: ThreadServer, enter: Any) -> None:
    client = enter(EngineSocket(server.port))
    client.send_text('452-5["echo",{"a":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]')
    client.send_frame(BINARY, b"zero")
    client.send_frame(BINARY, b"")
    parts = [client.receive() for _ in range(6)]
    arguments = b'{"a":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]'
    assert parts[0][1] == b'452-["echo",' + arguments
    assert parts[3][1] == b"462-5[" + arguments
    assert [data for _, data in parts[1:3]] == [data for _, data in parts[4:]] == [b"", b"zero"]
    polling = enter(PollingClient(server.port))
    polling.post('451-["echo",{"_placeholder":true,"num":0}]', "bAAEC")
    assert [polling.receive_text(), polling.receive_text()] == ['451-["echo",{"_placeholder":true,"num":0}]', "bAAEC"]


def test_errors_are_told_as_a_fixed_text_and_logged_once(client: Client, server: ThreadServer) -> None:
    for event in ("fail", "fail_later"):
        client.emit(event)
        assert client.event() == ["message", INTERNAL_ERROR]
    client.emit("fail", "one argument too many", ack=1)
    assert client.event() == ["message", INTERNAL_ERROR]
    assert json.loads(client.receive_text()[3:]) == [INTERNAL_ERROR]
    client.emit("unwritable", ack=2)
    assert client.event() == ["message", INTERNAL_ERROR]
    assert json.loads(client.receive_text()[3:]) == [INTERNAL_ERROR]
    client.emit("ask_and_fail")
    client.receive_text()
    client.send_text("430[]")
    assert client.event() == ["message", INTERNAL_ERROR]
    client.emit("echo", "it lives")
    assert client.event() == ["echo", "it lives"]
    assert server.failures == [
        f"{what} failed in Everything, client {client.id}, namespace /"
        for what in (
            "the handler of 'fail'",
            "a greenlet",
            "the handler of 'fail'",
            "the acknowledgement of 'unwritable'",
            "the callback of an acknowledgement",
        )
    ]


def test_broadcast(server: ThreadServer, enter: Any) -> None:
    clients = [enter(kind(server.port)) for kind in (EngineSocket, PollingClient, UpgradedClient)]
    elsewhere = enter(EngineSocket(server.port, "/other"))
    for sender in clients:
        sender.emit("others", "hi")
        sender.emit("all", 1)
        assert sender.event() == ["message", 1], "the sender hears what is for all, and nothing else"
        for other in clients:
            if other is not sender:
                assert [other.event() for _ in range(4)] == [
                    ["message", "hi"],
                    ["message", "by io"],
                    ["event", "hi"],
                    ["message", 1],
                ]
    elsewhere.send_text('42/other,1["echo"]')
    assert elsewhere.receive_text() == "43/other,1[]"


def test_who_and_what(client: Client) -> None:
    client.emit("about", ack=1)
    about = json.loads(client.receive_text()[3:])[0]
    transport = "polling" if isinstance(client, PollingClient) else "websocket"
    assert about == [client.id, client.id, True, transport, "4"]


def test_switch_and_back(client: Client) -> None:
    client.emit("switch", ack=1)
    assert client.receive_text() == "431[]"
    client.emit("name", ack=2)
    assert client.receive_text() == '432["inner"]'
    client.emit("back", ack=3)
    assert client.receive_text() == "433[]"
    assert ENDED[client.id] == [None]
    client.emit("echo", ack=4)
    assert client.event() == ["echo"]
    client.receive_text()
    client.emit("switch")
    client.emit("nobody")
    client.event()
    client.send_text("1")
    wait_for(lambda: len(ENDED[client.id]) == 3)
    assert ENDED[client.id] == [None, "client", "client"]


# Order, blocking, flow


def test_numbered_messages_stay_in_order(client: Client) -> None:
    if isinstance(client, PollingClient):
        client.post(*(f'42["number",{number}]' for number in range(1000)))
    else:
        for number in range(1000):
            client.emit("number", number)
    wait_for(lambda: len(SEEN[client.id]) == 1000, 3 * DEADLINE)
    assert SEEN[client.id] == list(range(1000))


def test_a_full_inbox_stops_reading_and_nothing_is_lost(enter: Any) -> None:
    options = {"max_inbox_packets": 10, "ping_interval": 0.2, "ping_timeout": 0.4}

    def send() -> None:
        for number in range(500):
            client.emit("number", number, 0, "x" * 1000)
        client.send_text("3")  # there as soon as the server reads again

    with ThreadServer(application(**options)) as server:
        client = enter(EngineSocket(server.port))
        client.emit("wait", 1.6)
        while client.receive_text() != '42["waiting"]':
            pass
        session = server.sessions[client.sid]
        # In a thread: what is not read may fill the buffers of the kernel.
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        wait_for(lambda: session.transport.paused)
        assert len(session.listener.sockets["/"]._inbox) < 100, "the limit, and what one read of 64 KiB had in it"
        # Longer than it takes to find a client dead: it is not read from, so it is not taken for dead.
        wait_for(lambda: len(SEEN[client.id]) == 500)
        assert SEEN[client.id] == list(range(500))
        sender.join(DEADLINE)
        wait_for(lambda: not session.transport.paused)
        assert client.id not in ENDED
        client.send_text("3")
        client.emit("echo", "still there")
        while client.receive_text() != '42["echo","still there"]':
            client.send_text("3")


def test_a_full_inbox_holds_the_post_back(server: ThreadServer, enter: Any) -> None:
    client = enter(PollingClient(server.port))
    began = time.monotonic()
    client.emit("wait", 0.3)
    assert client.event() == ["waiting"]
    client.post(*(f'42["number",{number},0]' for number in range(100)))
    assert time.monotonic() - began >= 0.3, "answered when the handler was done"
    wait_for(lambda: len(SEEN[client.id]) == 100)
    client.emit("echo", 1)
    assert client.event() == ["echo", 1]


@pytest.mark.parametrize("how", ["sleep", "subprocess"])
def test_a_blocking_handler_delays_nobody(server_process: ServerProcess, enter: Any, how: str) -> None:
    blocked, other = enter(EngineSocket(server_process.port)), enter(EngineSocket(server_process.port))
    blocked.emit(how, 60)
    assert blocked.event() == ["blocked"]
    pings = 0
    while pings < 8:
        # For longer than ping interval and time-out together: its heartbeat goes on while the handler blocks.
        assert blocked.receive_text() == "2"
        blocked.send_text("3")
        pings += 1
        began = time.monotonic()
        other.emit("echo", pings)
        while (text := other.receive_text()) == "2":
            other.send_text("3")
        assert text == f'42["echo",{pings}]'
        assert time.monotonic() - began < DEADLINE / 2
    blocked.close()
    wait_for(lambda: f"disconnect {blocked.id}: transport close" in server_process.log)


@pytest.fixture(scope="module")
def server_process(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    """Subprocesses are watched by the main thread's event loop only."""
    return start_server("contexts_app", socketio_ping_interval=0.3, socketio_ping_timeout=1, socketio_close_timeout=0.2)


def test_context_variables_do_not_leak(client: Client) -> None:
    if isinstance(client, PollingClient):
        client.post('42["variable","a"]', '42["variable","b"]')
    else:
        client.emit("variable", "a")
        client.emit("variable", "b")
    assert client.event() == ["variable", "nothing", "a"]
    assert client.event() == ["variable", "nothing", "b"]


# The end


def test_greenlets_end_at_once(server: ThreadServer, enter: Any) -> None:
    client = EngineSocket(server.port)
    client.emit("tick")
    assert [client.event() for _ in range(3)] == [["tick", 0], ["tick", 1], ["tick", 2]]
    client.reset()
    wait_for(lambda: SEEN[client.id] == ["tick ended"], 1.0)
    assert len(reasons(client.id)) == 1
    assert server.failures == []


@pytest.mark.parametrize("how", ["kill", "leave"])
def test_the_server_ends_a_client(client: Client, how: str) -> None:
    client.emit(how, ack=1)
    assert client.receive_text() == "41"
    assert reasons(client.id) == ["server"]
    assert SEEN[client.id] == (["callback"] if how == "kill" else [])
    # The session lives, and with it the other namespaces.
    client.send_text("40/other,")
    assert client.receive_text().startswith('40/other,{"sid":')


def test_the_client_leaves_a_namespace(client: Client) -> None:
    client.send_text("41")
    assert reasons(client.id) == ["client"]
    client.send_text("40")
    assert client.receive_text().startswith('40{"sid":')
    assert ENDED[client.id] == ["client"]


def test_the_client_closes_the_session(server: ThreadServer, enter: Any) -> None:
    for kind in (EngineSocket, PollingClient, UpgradedClient):
        client = enter(kind(server.port))
        client.send_text("1")
        assert reasons(client.id) == ["client"]


def test_the_client_closes_the_connection(server: ThreadServer, enter: Any) -> None:
    client = EngineSocket(server.port)
    client.close()
    assert reasons(client.id) == ["transport close"]
    polite = enter(EngineSocket(server.port))
    polite.send_frame(8, b"\x03\xe8")
    assert polite.close_code() == 1000
    assert reasons(polite.id) == ["transport close"]


def test_the_connection_breaks(server: ThreadServer, enter: Any) -> None:
    client = EngineSocket(server.port)
    client.reset()
    assert reasons(client.id) == ["transport error"]
    polling = PollingClient(server.port)
    polling.start_poll()
    polling.gets.reset()
    polling.posts.close()
    assert reasons(polling.id) == ["transport error"]


@pytest.mark.parametrize("kind", [EngineSocket, PollingClient, UpgradedClient])
def test_a_client_that_is_silent(enter: Any, kind: Callable[[int], Client]) -> None:
    with ThreadServer(application(ping_interval=0.3, ping_timeout=0.3)) as server:
        client = enter(kind(server.port))
        assert reasons(client.id) == ["ping timeout"]


def test_a_client_that_joins_nothing(enter: Any) -> None:
    with ThreadServer(application(connect_timeout=0.1)) as server:
        client = enter(EngineSocket(server.port, namespace=None))
        assert client.close_code() == 1008
        wait_for(lambda: not server.sessions)


def test_a_client_that_does_not_read(enter: Any) -> None:
    with ThreadServer(application(max_queue_bytes=100_000, write_timeout=0.2)) as server:
        client = enter(EngineSocket(server.port, receive_buffer=4096))
        client.emit("flood", 2000)
        assert reasons(client.id) == ["slow consumer"]
        polling = enter(PollingClient(server.port))
        polling.emit("flood", 2000)
        assert reasons(polling.id) == ["slow consumer"]


def test_a_client_that_reads_too_late_finds_out_why(enter: Any) -> None:
    with ThreadServer(application(max_queue_bytes=100_000)) as server:
        client = enter(EngineSocket(server.port, receive_buffer=4096))
        client.emit("flood", 2000)
        assert reasons(client.id) == ["slow consumer"]
        assert client.close_code() == 1008


def test_a_client_that_breaks_the_rules(server: ThreadServer, enter: Any) -> None:
    for packet, code, reason in (("4{", 1002, "protocol error"), ("4" + 2_000_000 * "x", 1009, "payload too large")):
        client = enter(EngineSocket(server.port))
        client.emit("echo")
        client.event()
        client.send_text(packet)
        assert client.close_code() == code
        assert reasons(client.id) == [reason]


def test_the_server_shuts_down(enter: Any) -> None:
    with ThreadServer(application()) as server:
        websocket, polling = enter(EngineSocket(server.port)), enter(PollingClient(server.port))
        polling.start_poll()
        wait_for(lambda: server.sessions[polling.sid].transport.reachable)
    assert websocket.close_code() == 1001
    assert polling.finish_poll() == "1"
    assert reasons(websocket.id) == reasons(polling.id) == ["shutdown"]


def test_disconnect_runs_once_whatever_happens_at_the_same_time(server: ThreadServer) -> None:
    clients = []
    for number in range(60):
        client = EngineSocket(server.port)
        clients.append(client.id)
        ends = [
            partial(client.send_text, "41"),
            partial(client.emit, "kill"),
            partial(client.send_text, "1"),
            client.reset,
        ]
        random.Random(number).shuffle(ends)
        with suppress(OSError):
            for end in ends[:3]:
                end()
        client.close()
    for id in clients:
        assert len(reasons(id)) == 1
    wait_for(lambda: not any(id in server.sessions for id in clients))
    assert {len(ENDED[id]) for id in clients} == {1}
    assert server.failures == []
