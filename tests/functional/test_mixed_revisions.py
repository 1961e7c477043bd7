"""Clients of all revisions in one namespace: what one cannot carry harms nobody, and nothing is encoded twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from gevent.event import Event
from pyramid.config import Configurator

from pyramid_socketio import ConnectRefused, NotCarried, SocketIOContext
from pyramid_socketio.interfaces import ISocketIO
from pyramid_socketio.protocol import payload_v0, payload_v1, socketio_v0, socketio_v1, socketio_v5
from pyramid_socketio.protocol.socketio_v4 import Codec
from tests.conftest import wait_for
from tests.functional.classic import Polling06, Polling09, Socket06, Socket09, handshake
from tests.functional.raw import EngineSocket, PollingSession, WebSocket, request
from tests.functional.serving import ThreadServer
from tests.functional.test_eio3 import PATH, OldPolling, OldSocket


class Room(SocketIOContext):
    def msg_blob(self, msg: Any) -> None:
        self.broadcast_event("blob", b"\x00\xff")
        self.broadcast_event("after", 1)

    def msg_own_blob(self, msg: Any) -> None:
        self.emit("blob", b"\x00")
        self.emit("after", 2)

    def msg_give_blob(self, *args: Any) -> bytes:
        return b"\x00"

    def msg_asked(self, msg: Any) -> None:
        self.emit("asked", 3, ack=print)

    def msg_called(self, msg: Any) -> None:
        try:
            self.call("question")
        except NotCarried as error:
            self.send(str(error))

    def msg_all(self, msg: Any) -> None:
        self.broadcast({"n": 1})


@pytest.fixture
def server() -> Iterator[ThreadServer]:
    with Configurator() as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Room, "/")
    with ThreadServer(config.make_wsgi_app()) as server:
        yield server
    assert server.failures == []


def warnings(server: ThreadServer) -> list[str]:
    return [record.getMessage() for record in server.records if record.levelname == "WARNING"]


def test_binary_passes_old_clients_by(server: ThreadServer) -> None:
    with (
        EngineSocket(server.port) as today,
        OldSocket(server.port) as two,
        Socket09(server.port) as nine,
        Socket06(server.port) as six,
    ):
        wait_for(lambda: len(server.application.registry.getUtility(ISocketIO).members["/"]) == 4)
        for _ in range(2):
            today.emit("blob", {})
            assert two.receive_text() == '451-["blob",{"_placeholder":true,"num":0}]'
            two.receive()
            assert two.receive_text() == '42["after",1]'
            assert nine.receive_text() == '5:::{"name":"after","args":[1]}'
            assert six.receive_text() == '~m~30~m~~j~{"type":"after","args":[1]}'
        six.send_text('~m~22~m~~j~{"type":"own_blob"}')
        assert six.receive_text() == '~m~30~m~~j~{"type":"after","args":[2]}'
    said = warnings(server)
    assert sorted(said) == [
        "clients of revision 0.6 do not get 'blob': clients 0.5 and 0.6 have no binary data (said once)",
        "clients of revision 0.9 do not get 'blob': clients 0.7 to 0.9 have no binary data (said once)",
    ]


def test_an_acknowledgement_that_cannot_be_carried(server: ThreadServer) -> None:
    """It is one all the same; and the client cannot fill the log by asking."""
    with Socket09(server.port) as nine:
        for number in range(2):
            nine.send_text(f'5:{number}+::{{"name":"give_blob"}}')
            kind, _, answer = nine.receive_text().partition("+")
            assert kind == f"6:::{number}"
            (error,) = json.loads(answer)
            assert (error["type"], error["error"]) == ("error", "not_carried")
            assert "binary" in error["msg"]
    (warning,) = warnings(server)
    assert "'the answer to give_blob'" in warning


def test_acks_of_a_client_that_has_none(server: ThreadServer) -> None:
    with Socket06(server.port) as six:
        six.send_text('~m~19~m~~j~{"type":"asked"}')
        assert six.receive_text() == '~m~30~m~~j~{"type":"asked","args":[3]}'
        six.send_text('~m~20~m~~j~{"type":"called"}')
        assert six.receive_text() == "~m~44~m~clients 0.5 and 0.6 have no acknowledgements"
    assert warnings(server) == [
        "clients of revision 0.6 do not get 'asked': clients 0.5 and 0.6 have no acknowledgements (said once)"
    ]


def test_a_broadcast_encodes_once_for_each_revision_and_framing(
    server: ThreadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def counted(name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return function(*args, **kwargs)

        return call

    today: list[Any] = []
    older: list[Any] = []
    classic: list[Any] = []
    pollers: list[Polling06] = []
    # In turns, so that clients of one kind do not stand together; and all kinds of clients 1.x and 2.x.
    for kind in ("", "&b64=1", "&t=1795226034745-0", "&b64=1&t=1795226034745-0"):
        today += [EngineSocket(server.port), PollingSession(server.port)]
        today[-1].join()
        older += [OldSocket(server.port, f"EIO=3{kind}"), OldPolling(server.port, f"{PATH}{kind}")]
        classic += [Socket09(server.port), Socket06(server.port)]
        pollers += [Polling06(server.port)]
    members = server.application.registry.getUtility(ISocketIO).members
    wait_for(lambda: len(members["/"]) == 28)
    for module, name in ((socketio_v5, "today"), (socketio_v1, "0.9"), (socketio_v0, "0.6")):
        monkeypatch.setattr(module, "encode_event", counted(name, module.encode_event))
    monkeypatch.setattr(Codec, "encode_event", counted("2", Codec.encode_event))
    for module, name in ((payload_v1, "frames 0.9"), (payload_v0, "frames 0.6")):
        monkeypatch.setattr(module, "Message", counted(name, module.Message))
    today[0].emit("all", {})
    assert [client.event() for client in today[2::2]] == [["message", {"n": 1}]] * 3
    assert {client.receive_text() for client in older[::2]} == {'42["message",{"n":1}]'}
    assert {client.receive_text() for client in classic[::2]} == {'4:::{"n":1}'}
    assert {client.receive_text() for client in classic[1::2]} == {'~m~10~m~~j~{"n":1}'}
    assert [client.poll() for client in pollers] == [['~j~{"n":1}']] * 4
    assert calls == {"today": 1, "2": 1, "0.9": 1, "0.6": 1, "frames 0.9": 1, "frames 0.6": 1}
    for client in (*today, *older[::2], *classic, *pollers):
        client.__exit__()


@pytest.mark.parametrize(
    "path", ["/socket.io/?EIO=3&transport=polling&j=0", "/socket.io/jsonp-polling//1290000000000/0"]
)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Referer": "http://evil.example/page"}, 403),
        ({"Referer": "http://localhost/page", "Host": "localhost"}, 200),
    ],
)
def test_no_foreign_page_gets_a_script(server: ThreadServer, path: str, headers: dict[str, str], status: int) -> None:
    assert request(server.port, "GET", path, headers).status == status


def test_a_handshake_by_script_for_a_foreign_page(server: ThreadServer) -> None:
    answer = request(server.port, "GET", "/socket.io/1/?jsonp=0", {"Referer": "http://evil.example/"})
    assert answer.text == 'io.j[0](new Error("handshake bad origin"));'


def test_leaving_the_main_namespace_is_the_end_however_it_is_written(server: ThreadServer) -> None:
    with Socket09(server.port) as nine:
        nine.send_text("0:1:")
        assert nine.close_code() == 1000


def test_what_comes_before_the_first_transport_waits(server: ThreadServer) -> None:
    with Polling09(server.port) as nine:
        nine.post(*[f"1::/nope{number}" for number in range(31)])
        assert nine.receive() == ["1::"]
        assert len(nine.receive(31)) == 31


def test_what_waits_for_a_client_that_is_refused() -> None:
    """It gets in nowhere."""
    asked = []
    decided = Event()

    class Refusing(SocketIOContext):
        def connect(self) -> None:
            asked.append("/")
            decided.wait()
            raise ConnectRefused("no")

    class Chat(SocketIOContext):
        def connect(self) -> None:
            asked.append("/chat")

    with Configurator() as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Refusing, "/")
        config.add_socketio_context(Chat, "/chat")
    with ThreadServer(config.make_wsgi_app()) as server:
        with WebSocket(server.port, f"/socket.io/1/websocket/{handshake(server.port).sid}") as client:
            client.send_text("1::/chat")
            (session,) = server.sessions.values()
            wait_for(lambda: session.listener._waiting)
            server.call(decided.set)
            assert client.receive_text().startswith("7:::")
        wait_for(server.has_settled)
        assert asked == ["/"]
        assert server.failures == []


def test_long_namespaces_do_not_wait(server: ThreadServer) -> None:
    with OldSocket(server.port) as two:
        two.send_text(f"40/{300 * 'a'},")
        assert two.close_code() == 1008


def test_packets_in_one_frame_are_limited() -> None:
    with Configurator(settings={"socketio.max_payload_packets": "5"}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Room, "/")
    with ThreadServer(config.make_wsgi_app()) as server, Socket06(server.port) as six:
        six.send_text(6 * "~m~1~m~x")
        assert six.close_code() == 1008
