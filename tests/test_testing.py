"""The clients that applications test themselves with."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import unittest
import weakref
from typing import Any

import gevent.event
import pytest
import webtest
from pyramid import testing
from pyramid.authorization import Allow
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

from pyramid_socketio import AckTimeout, ConnectRefused, SessionClosed, SocketIOContext, message
from pyramid_socketio.errors import PacketError
from pyramid_socketio.interfaces import AUTH, socketio_for
from pyramid_socketio.testing import TestClient
from tests.conftest import ROOT


class Chat(SocketIOContext):
    """Answers, asks, and notes in ``seen`` what a test has no other way to find out."""

    seen: list[Any]

    def connect(self) -> None:
        if self.request.environ[AUTH] == {"token": "bad"}:
            raise ConnectRefused("Not tonight", {"until": 8})
        self.join("everybody")

    def msg_who(self, *_args: Any) -> Any:
        request = self.request
        who = request.authenticated_userid, request.remote_addr
        return *who, request.matchdict["name"], request.environ[AUTH], request.path_qs

    def msg_add(self, *numbers: int) -> int:
        return sum(numbers)

    def msg_typed(self, msg: Any) -> None:
        self.msg("answer", to=msg)

    def msg_say(self, *args: Any) -> None:
        self.send_event("said", *args)
        self.to("everybody").emit("heard", *args)

    @message("ask")
    def ask(self, *args: Any) -> None:
        self.seen.append(self.call("question", *args, timeout=5))
        self.send_event("thanks")

    def msg_poll(self) -> Any:
        return self.request.socketio.of(self.io.namespace).everybody.call("vote", timeout=5).answers

    def msg_block(self) -> None:
        gevent.sleep(1000)

    def msg_fail(self) -> None:
        raise ValueError("a secret")

    def msg_go(self) -> None:
        self.io.disconnect()

    def msg_switch(self) -> SocketIOContext:
        return self.switch(Other)

    def disconnect(self) -> None:
        gevent.sleep(0.01)
        self.seen.append(self.disconnect_reason)


class Other(SocketIOContext):
    pass


class Policy:
    def identity(self, request: Request) -> str | None:
        return request.headers.get("User")

    authenticated_userid = identity

    def permits(self, request: Request, context: Any, permission: str) -> bool:
        return self.identity(request) in context.allowed


class Room:
    allowed = ("anna", "ben")
    __acl__ = [(Allow, "anna", "chat")]

    def __init__(self, request: Request) -> None:
        if request.matchdict["name"] == "red":
            raise HTTPForbidden


def tween_factory(handler: Any, registry: Any) -> Any:
    def tween(request: Request) -> Response:
        return Response(status=429) if request.headers.get("User-Agent") == "bot" else handler(request)

    return tween


@pytest.fixture
def chat() -> type[Chat]:
    class Fresh(Chat):
        seen = []

    return Fresh


@pytest.fixture
def app(chat: type[Chat]) -> Router:
    config = Configurator(settings={"socketio.close_timeout": "0.05"})
    config.include("pyramid_socketio")
    config.set_security_policy(Policy())
    config.add_tween(f"{__name__}.tween_factory")
    config.add_socketio_context(chat, "/chat/{name}", permission="chat", factory=Room)
    return config.make_wsgi_app()


def client(app: Any, user: str = "anna", **options: Any) -> TestClient:
    return TestClient(app, "/chat/blue", headers={"User": user}, **options)


# Connecting


def test_connect_is_a_request_of_the_application(app: Router) -> None:
    with client(app, auth={"token": "x"}) as anna:
        path = "/chat/blue?EIO=4&transport=websocket"
        assert anna.call("who") == ["anna", "127.0.0.1", "blue", {"token": "x"}, path]


def test_a_registry_will_do(app: Router) -> None:
    with client(app.registry) as anna:
        assert anna.call("add", 1, 2) == 3


@pytest.mark.parametrize(
    ("namespace", "headers", "auth", "refusal"),
    [
        ("/chat/blue", {"User": "anna"}, {"token": "bad"}, ("Not tonight", {"until": 8})),
        ("/chat/blue", {"User": "eve"}, None, ("Forbidden", {"status": 403})),
        ("/chat/blue", {}, None, ("Forbidden", {"status": 403})),
        ("/chat/red", {"User": "anna"}, None, ("Forbidden", {"status": 403})),
        ("/chat/blue", {"User": "anna", "User-Agent": "bot"}, None, ("Too Many Requests", {"status": 429})),
        ("/nowhere", {"User": "anna"}, None, ("Invalid namespace", None)),
    ],
)
def test_who_is_not_let_in(app: Router, namespace: str, headers: Any, auth: Any, refusal: Any) -> None:
    entering = TestClient(app, namespace, auth, headers)
    with pytest.raises(ConnectRefused) as info, entering:
        raise AssertionError("nobody comes here")
    assert (info.value.message, info.value.data) == refusal
    assert entering.context is None
    assert not socketio_for(app.registry).engine.sessions


@pytest.mark.parametrize(("namespace", "auth"), [("/chat/blue", ["no object"]), ("chat", None)])
def test_what_no_client_may_send(app: Router, namespace: str, auth: Any) -> None:
    with pytest.raises(PacketError) as info, TestClient(app, namespace, auth, {"User": "anna"}):
        raise AssertionError("nobody comes here")
    assert isinstance(info.value.__context__, SessionClosed)  # told at once, and not after a time-out


def test_connect_that_goes_on(app: Router, chat: type[Chat]) -> None:
    chat.connect = lambda self: gevent.sleep(1000)  # type: ignore[method-assign]
    with pytest.raises(TimeoutError, match=r"connect\(\) goes on after 0.01 s"), client(app, timeout=0.01):
        raise AssertionError("nobody comes here")


@pytest.mark.parametrize("app", [None, "app", Configurator().make_wsgi_app(), Configurator()])
def test_what_is_no_application(app: Any) -> None:
    with pytest.raises(TypeError, match=r"give what config.make_wsgi_app\(\) returns"):
        TestClient(app)


def test_a_client_connects_once(app: Router) -> None:
    with client(app) as anna, pytest.raises(RuntimeError, match="make another one"):
        anna.connect()


def test_another_thread(app: Router) -> None:
    with client(app):
        raised: list[BaseException] = []

        def connect() -> None:
            try:
                client(app).connect()
            except RuntimeError as error:
                raised.append(error)

        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
    (error,) = raised
    assert "another thread serves" in str(error)


# Messages


def test_events_in_their_order(app: Router) -> None:
    with client(app) as anna:
        anna.emit("say", "one")
        anna.emit("say", {"text": "two"}, [3], None)
        anna.send({"type": "typed", "text": "hello"})
        assert anna.events == []
        assert anna.receive() == ["said", "one"]
        assert anna.receive() == ["said", {"text": "two"}, [3], None]
        assert anna.receive() == ["message", {"type": "answer", "to": {"type": "typed", "text": "hello"}}]
        anna.emit("say", 1)
        anna.emit("say", 2)
        assert anna.call("add") == 0
        assert anna.events == [["said", 1], ["said", 2]]


def test_binary_both_ways(app: Router) -> None:
    with client(app) as anna:
        anna.emit("say", b"\x00\xff", {"more": [b"", "text", b"b"]})
        assert anna.receive() == ["said", b"\x00\xff", {"more": [b"", "text", b"b"]}]
        anna.answers["question"] = lambda data: (data, b"too")
        anna.emit("ask", b"1")
        assert anna.receive() == ["question", b"1"]
        assert anna.receive() == ["thanks"]
        assert anna.context.seen == [[b"1", b"too"]]


def test_what_is_no_json_is_told_at_once(app: Router) -> None:
    with client(app) as anna, pytest.raises(TypeError):
        anna.emit("say", object())


def test_nothing_comes(app: Router) -> None:
    with client(app) as anna:
        with pytest.raises(TimeoutError, match="no event came to this client of /chat/blue within 0.01 s"):
            anna.receive(timeout=0.01)
        with pytest.raises(AckTimeout, match="no acknowledgement of 'block' within 0.01 s"):
            anna.call("block", timeout=0.01)


@pytest.mark.parametrize(("answer", "seen"), [(None, None), (1, 1), ([1], [1]), ((1, 2), [1, 2]), ((), None)])
def test_the_application_asks(app: Router, answer: Any, seen: Any) -> None:
    with client(app) as anna:
        anna.answers["question"] = lambda *args: answer
        anna.call("ask", "why")
        assert anna.context.seen == [seen]
        assert anna.events == [["question", "why"], ["thanks"]]


def test_nobody_asked(app: Router) -> None:
    with client(app) as anna:
        anna.answers["said"] = lambda text: 1 / 0
        anna.call("say", "hello")
        assert anna.receive() == ["said", "hello"]


def test_answers_that_come_too_late(app: Router) -> None:
    with client(app) as anna:
        go_on = gevent.event.Event()
        anna.answers["question"] = go_on.wait
        with pytest.raises(AckTimeout):
            anna.call("ask", timeout=0.01)
        go_on.set()
        assert anna.call("add", 1) == 1


def test_an_answer_fails(app: Router) -> None:
    anna = client(app).connect()
    anna.answers["question"] = lambda: 1 / 0
    with pytest.raises(AckTimeout):
        anna.call("ask", timeout=0.01)
    with pytest.raises(ZeroDivisionError):
        anna.close()
    anna.close()


def test_the_application_sends_what_clients_do_not_take(app: Router) -> None:
    anna = client(app).connect()
    anna.context.io.send_event(["connect", "no event"])  # past what checks names
    anna.context.emit("fine")
    assert anna.receive() == ["fine"]
    with pytest.raises(PacketError):
        anna.close()


def test_a_native_thread_sends(app: Router, chat: type[Chat]) -> None:
    with client(app) as anna:
        threads = []
        chat.json_default = lambda self, value: threads.append(threading.get_ident()) or "made"  # type: ignore[func-returns-value]
        gevent.get_hub().threadpool.apply(anna.context.emit, ("said", object()))
        assert anna.receive() == ["said", "made"]
        assert threads != [threading.get_ident()]


def test_a_view_sends() -> None:
    config = Configurator(settings={})
    config.include("pyramid_socketio")
    config.add_socketio_context(Other, "/")
    config.add_route("announce", "/announce")
    config.add_view(lambda request: request.socketio.emit("news", 1), route_name="announce", renderer="json")
    app = config.make_wsgi_app()
    with TestClient(app) as one, TestClient(app) as two:
        webtest.TestApp(app).get("/announce")
        assert one.receive() == two.receive() == ["news", 1]


def test_a_handler_fails(app: Router) -> None:
    with client(app) as anna:
        assert anna.call("fail")["error"] == "internal_error"
        assert anna.receive()[1]["error"] == "internal_error"


def test_clients_hear_each_other(app: Router) -> None:
    with client(app) as anna, client(app, "ben") as ben:
        assert anna.id != ben.id
        anna.emit("say", "hello")
        assert ben.receive() == ["heard", "hello"]
        assert anna.receive() == ["said", "hello"]
        assert ben.events == []
        anna.answers["vote"] = lambda: "yes"
        ben.answers["vote"] = lambda: "no"
        assert anna.call("poll") == {anna.id: ["yes"], ben.id: ["no"]}


def test_handlers_of_events() -> None:
    """An application of functions, which the original tested with a mock socket."""

    def said(request: Request, socket: Any, context: dict[str, Any], message: Any) -> None:
        context["said"] = context.get("said", 0) + 1
        socket.send_and_broadcast_channel({"text": message, "number": context["said"]})

    config = Configurator(settings={})
    config.include("pyramid_socketio")
    config.add_socketio_handler("on_message", said, channel="^room-")
    app = config.make_wsgi_app()
    with TestClient(app) as anna, TestClient(app) as ben, TestClient(app) as carla:
        for member in (anna, ben):
            member.call("subscribe", "room-1")
        for number in (1, 2):
            anna.send("hello")
            assert anna.receive() == ben.receive() == ["message", {"text": "hello", "number": number}]
        assert anna.context.context == {"said": 2}
        assert carla.events == []


def test_heartbeats_are_answered() -> None:
    config = Configurator(settings={"socketio.ping_interval": "0.02", "socketio.ping_timeout": "0.1"})
    config.include("pyramid_socketio")
    config.add_socketio_context(Other, "/")
    with TestClient(config.make_wsgi_app()) as other:
        with pytest.raises(TimeoutError):
            other.receive(timeout=0.3)
        assert other.disconnect_reason is None


# The end


def test_leaving(app: Router, chat: type[Chat]) -> None:
    anna = client(app)
    assert (anna.context, anna.id, anna.disconnect_reason) == (None, None, None)
    for send in (anna.emit, anna.call, anna.send):
        with pytest.raises(RuntimeError, match=r"call connect\(\) first"):
            send("add")
    anna.close()
    with anna:
        assert isinstance(anna.context, chat)
        assert anna.context.id == anna.id
        assert anna.disconnect_reason is None
        anna.emit("say", "hello")
        anna.call("switch")
        assert isinstance(anna.context, Other)
    assert chat.seen == ["client"]
    assert (anna.context, anna.disconnect_reason) == (None, "client")
    assert anna.receive() == ["said", "hello"]
    for _ in range(5):
        with pytest.raises(SessionClosed, match="client"):
            anna.receive()
    for send in (anna.emit, anna.call, anna.send):
        with pytest.raises(SessionClosed, match="client"):
            send("add")
    anna.close()
    anna.lose()
    assert chat.seen == ["client"]
    assert not socketio_for(app.registry).engine.sessions
    assert not socketio_for(app.registry).members


def test_what_was_sent_is_handled_before_the_end(app: Router, chat: type[Chat]) -> None:
    with client(app) as anna, client(app, "ben") as ben:
        anna.emit("say", "goodbye")
        anna.close()
        assert ben.events == [["heard", "goodbye"]]


def test_the_connection_breaks(app: Router, chat: type[Chat]) -> None:
    with client(app) as anna:
        anna.lose()
        assert chat.seen == ["transport error"]
        assert (anna.context, anna.disconnect_reason) == (None, "transport error")
        with pytest.raises(SessionClosed, match="transport error"):
            anna.receive()
    assert chat.seen == ["transport error"]


@pytest.mark.parametrize("wait", ["call", "receive"])
def test_the_application_sends_the_client_away(app: Router, chat: type[Chat], wait: str) -> None:
    with client(app) as anna:
        if wait == "receive":
            anna.emit("go")
        with pytest.raises(SessionClosed, match="server"):
            anna.call("go") if wait == "call" else anna.receive()
        assert anna.disconnect_reason == "server"
    assert chat.seen == ["server"]
    assert not socketio_for(app.registry).engine.sessions


def test_the_server_ends(app: Router, chat: type[Chat]) -> None:
    with client(app) as anna:
        socketio_for(app.registry).shutdown()
        with pytest.raises(SessionClosed, match="shutdown"):
            anna.receive()
    assert chat.seen == ["shutdown"]


def test_a_handler_that_blocks_does_not_keep_its_client(app: Router, chat: type[Chat]) -> None:
    with client(app) as anna:
        anna.emit("block")
    assert chat.seen == ["client"]


def test_disconnect_that_goes_on(app: Router, chat: type[Chat]) -> None:
    chat.disconnect = lambda self: gevent.sleep(1000)  # type: ignore[method-assign]
    anna = client(app).connect()
    anna.timeout = 0.01
    with pytest.raises(TimeoutError, match=r"disconnect\(\) goes on after 0.06 s"):
        anna.close()


def test_nothing_is_left(app: Router) -> None:
    with client(app) as anna:
        context = weakref.ref(anna.context)
    gc.collect()
    assert context() is None


class TestWithUnittest(unittest.TestCase):
    """As Pyramid's documentation writes tests, with a configuration that is committed as it goes."""

    def setUp(self) -> None:
        config = testing.setUp()
        config.include("pyramid_socketio")
        config.add_socketio_context(Echo, "/")
        self.client = TestClient(config.registry).connect()

    def tearDown(self) -> None:
        self.client.close()
        testing.tearDown()

    def test_echo(self) -> None:
        self.assertEqual(self.client.call("echo", 1), 1)


class Echo(SocketIOContext):
    def msg_echo(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_in_a_plain_process_and_in_a_patched_one(patch: str) -> None:
    script = f"""{patch}
import time
from pyramid.config import Configurator
from pyramid_socketio import SocketIOContext
from pyramid_socketio.testing import TestClient

class Slow(SocketIOContext):
    def msg_wait(self, seconds):
        time.sleep(seconds)
        return "done"

config = Configurator()
config.include("pyramid_socketio")
config.add_socketio_context(Slow, "/")
app = config.make_wsgi_app()
with TestClient(app) as client:
    print(client.call("wait", 0.01))
client = TestClient(app).connect()  # and is not closed
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
