"""Rooms, and sending from anywhere, on a real server: clients of all ages, views, users, native threads."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

import pyramid_socketio
from pyramid_socketio import NoSocket, socketio_context
from pyramid_socketio.channels import ChannelContext
from pyramid_socketio.config import socketio_of
from pyramid_socketio.namespace import user_room
from tests.conftest import ROOT, wait_for
from tests.functional.browsers import frame_0_6, unframe_0_6
from tests.functional.classic import Polling09, Socket06, Socket09
from tests.functional.raw import EngineSocket, PollingSession, Response, WebSocket, request
from tests.functional.serving import ThreadServer

MESSAGE = {"type": "said", "text": "hi"}


@socketio_context("/")
class Room(ChannelContext):
    def connect(self) -> None:
        lobby = self.request.headers.get("X-Lobby")
        if lobby is not None:
            self.join(lobby)
            self.to(lobby).msg("came", id=self.id)

    def msg_enter(self, msg: dict[str, Any]) -> list[str]:
        self.join(*msg["rooms"])
        self.msg("entered")
        return sorted(self.rooms - {self.id})

    def msg_leave(self, *rooms: str) -> list[str]:
        self.leave(*rooms)
        return sorted(self.rooms - {self.id})

    def msg_say(self, *rooms: str) -> None:
        self.to(*rooms).msg("said", text="hi")

    def msg_say_except(self, room: str, *others: str) -> None:
        self.to(room).except_(*others).msg("said", text="hi")

    def msg_say_all(self) -> None:
        self.except_("deaf").emit("said", "to the others")
        self.volatile.emit("said", "now")
        self.local.emit("said", "here")
        self.to_user("anna").emit("said", "to anna's others")

    def msg_ask(self, room: str, timeout: float) -> list[Any]:
        answers, missing = self.to(room).call("question", b"\1", timeout=timeout)
        return [answers, sorted(missing)]

    def msg_block(self) -> None:
        self.to("block").call("question", timeout=1000)


class Policy:
    """Who says who it is, is it."""

    def identity(self, request: Request) -> str | None:
        name: str | None = request.headers.get("X-User")
        return name

    authenticated_userid = identity

    def permits(self, request: Request, context: object, permission: str) -> bool:
        return True


def emit(request: Request) -> str:
    everywhere = request.socketio
    for room in request.params.getall("to"):
        everywhere = everywhere.to(room)
    everywhere.msg("said", text="hi")
    return "sent"


def send(request: Request) -> str:
    try:
        pyramid_socketio.send(request.matchdict["id"], MESSAGE)
        request.socketio.send(request.matchdict["id"], MESSAGE)
        pyramid_socketio.broadcast(MESSAGE)
        pyramid_socketio.broadcast_channel(MESSAGE, "blue")
    except NoSocket as error:
        raise HTTPNotFound(str(error)) from None
    return "sent"


def call(request: Request) -> Any:
    return request.socketio.call(request.matchdict["id"], "question", timeout=5)


def user(request: Request) -> str:
    request.socketio.emit("said", "to a user", user=request.matchdict["name"])
    return "sent"


def look(request: Request) -> Any:
    socketio = request.socketio
    return {"members": sorted(socketio.members("blue")), "rooms": socketio.rooms, "count": len(socketio.members())}


def close(request: Request) -> str:
    request.socketio.close_room(request.matchdict["room"])
    return "closed"


def disconnect(request: Request) -> str:
    request.socketio.disconnect(request.matchdict["id"])
    return "gone"


def thread(request: Request) -> str:
    """A thread of the operating system: nothing is patched here."""
    socketio = request.socketio
    worker = threading.Thread(target=lambda: [socketio.to("blue").emit("count", number) for number in range(100)])
    worker.start()
    worker.join()
    return "sent"


VIEWS: dict[str, Callable[[Request], Any]] = {
    "/emit": emit,
    "/send/{id}": send,
    "/call/{id}": call,
    "/user/{name}": user,
    "/look": look,
    "/close/{room}": close,
    "/disconnect/{id}": disconnect,
    "/thread": thread,
}


@pytest.fixture(scope="module")
def shared() -> Iterator[ThreadServer]:
    with Configurator(settings={}) as config:
        config.set_security_policy(Policy())
        config.include("pyramid_socketio")
        config.scan(__name__)
        for path, view in VIEWS.items():
            config.add_route(path, path)
            config.add_view(view, route_name=path, renderer="json")
    with ThreadServer(config.make_wsgi_app()) as server:
        yield server


@pytest.fixture
def server(shared: ThreadServer) -> ThreadServer:
    """Without the clients of other tests."""
    shared.call(lambda: [session.close("server") for session in list(shared.sessions.values())])
    wait_for(lambda: shared.socketio.members == {} and not shared.socketio.ending)
    shared.forget()
    return shared


def get(server: ThreadServer, path: str) -> Response:
    return request(server.port, "GET", path)


class Client(EngineSocket):
    """A client that enters rooms."""

    def __init__(self, port: int, *rooms: str, user: str | None = None, **headers: str) -> None:
        fields = {f"X-{name}": value for name, value in {"User": user, **headers}.items() if value is not None}
        super().__init__(port, headers=fields)
        if rooms:
            self.emit("enter", {"rooms": rooms})
            assert self.event() == ["message", {"type": "entered"}]

    def ask(self, *data: Any) -> Any:  # type: ignore[override]
        """Emit, and wait for the acknowledgement, which has to be the next packet."""
        self.emit(*data, ack=7)
        text = self.receive_text()
        assert text.startswith("437["), text
        return json.loads(text[3:])

    def has_nothing(self) -> bool:
        """Whether nothing has come that was sent before now."""
        return self.ask("leave") is not None


def rooms_of(server: ThreadServer) -> dict[str, int]:
    rooms: dict[str, int] = server.call(lambda: server.socketio.adapter.rooms("/"))
    return rooms


# Rooms


def test_clients_of_all_ages_in_one_room(server: ThreadServer, enter: Any) -> None:
    port = server.port
    wants = {"type": "enter", "rooms": ["blue"]}
    new = enter(Client(port, "blue"))
    outside = enter(Client(port, "red"))

    polling = enter(PollingSession(port))
    polling.join()
    polling.emit("message", wants)
    assert polling.packets(1) == ['42["message",{"type":"entered"}]']

    second = enter(WebSocket(port, "/socket.io/?EIO=3&transport=websocket"))
    assert second.receive_text()[0] == "0" and second.receive_text() == "40"
    second.send_text(f"42{json.dumps(['message', wants])}")
    assert second.receive_text() == '42["message",{"type":"entered"}]'

    ninth = enter(Socket09(port))
    assert json.loads(ninth.ask(f"4:::{json.dumps(wants)}").removeprefix("4:::")) == {"type": "entered"}

    ninth_polling = enter(Polling09(port).open())
    ninth_polling.post(f"4:::{json.dumps(wants)}")
    assert json.loads(ninth_polling.receive()[0].removeprefix("4:::")) == {"type": "entered"}

    sixth = enter(Socket06(port))
    sixth.send_text(frame_0_6(f"~j~{json.dumps(wants)}"))
    assert json.loads(unframe_0_6(sixth.receive_text()).removeprefix("~j~")) == {"type": "entered"}

    wait_for(lambda: rooms_of(server) == {"blue": 6, "red": 1})
    assert get(server, "/emit?to=blue&to=nobodys").json == "sent"
    assert new.event() == ["message", MESSAGE]
    assert polling.packets(1) == [f"42{json.dumps(['message', MESSAGE], separators=(',', ':'))}"]
    assert json.loads(second.receive_text().removeprefix("42")) == ["message", MESSAGE]
    assert json.loads(ninth.receive_text().removeprefix("4:::")) == MESSAGE
    assert json.loads(ninth_polling.receive()[0].removeprefix("4:::")) == MESSAGE
    assert json.loads(unframe_0_6(sixth.receive_text()).removeprefix("~j~")) == MESSAGE
    assert outside.has_nothing()


def test_entering_and_leaving(server: ThreadServer, enter: Any) -> None:
    anna, ben = enter(Client(server.port, "red", "blue")), enter(Client(server.port, "blue"))
    assert anna.ask("leave", "red", "green") == [["blue"]]
    ben.emit("say", "red")
    ben.emit("say", "blue", "red", anna.id)
    assert ben.has_nothing()
    assert anna.event() == ["message", MESSAGE]
    assert anna.has_nothing(), "once, though it was named twice"
    anna.close()
    wait_for(lambda: get(server, "/look").json == {"members": [ben.id], "rooms": {"blue": 1}, "count": 1})


def test_the_others(server: ThreadServer, enter: Any) -> None:
    anna, tab = (enter(Client(server.port, "blue", user="anna")) for _ in range(2))
    deaf = enter(Client(server.port, "blue", "deaf"))
    anna.emit("say_all")
    assert [tab.event() for _ in range(4)] == [
        ["said", "to the others"],
        ["said", "now"],
        ["said", "here"],
        ["said", "to anna's others"],
    ]
    assert [deaf.event() for _ in range(2)] == [["said", "now"], ["said", "here"]]
    anna.emit("say_except", "blue", "deaf")
    assert tab.event() == ["message", MESSAGE]
    assert anna.has_nothing() and deaf.has_nothing()


def test_who_joins_while_it_connects_does_not_hear_itself(server: ThreadServer, enter: Any) -> None:
    anna = enter(Client(server.port, Lobby="lobby"))
    ben = enter(Client(server.port, Lobby="lobby"))
    assert anna.event() == ["message", {"type": "came", "id": ben.id}]
    assert ben.has_nothing()


def test_a_client_cannot_enter_the_room_of_a_user(server: ThreadServer, enter: Any) -> None:
    anna, thief = enter(Client(server.port, user="anna")), enter(Client(server.port))
    thief.emit("enter", {"rooms": [user_room("anna")]})
    assert thief.event()[1]["error"] == "internal_error"
    get(server, "/user/anna")
    assert anna.event() == ["said", "to a user"]
    assert thief.has_nothing()


def test_asking_a_room(server: ThreadServer, enter: Any) -> None:
    anna, ben, silent = (enter(Client(server.port, "blue")) for _ in range(3))
    old = enter(Socket06(server.port))
    old.send_text(frame_0_6('~j~{"type":"enter","rooms":["blue"]}'))
    old.receive_text()
    anna.emit("ask", "blue", 0.3, ack=1)
    for client in (ben, silent):
        assert client.receive_text() == '451-0["question",{"_placeholder":true,"num":0}]'
        assert client.receive() == (2, b"\1")
    ben.send_text('430["yes",1]')
    answer = json.loads(anna.receive_text().removeprefix("431"))
    ((answers, missing),) = answer
    assert answers == {ben.id: ["yes", 1]}
    assert silent.id in missing and len(missing) == 2, "and the old client, which has no acknowledgements"


# From anywhere


def test_views_send(server: ThreadServer, enter: Any) -> None:
    anna, ben = enter(Client(server.port)), enter(Client(server.port, "blue"))
    assert anna.ask("subscribe", "blue") == []
    assert get(server, f"/send/{anna.id}").json == "sent"
    assert [anna.event() for _ in range(4)] == [["message", MESSAGE]] * 4
    assert ben.event() == ["message", MESSAGE]
    assert ben.has_nothing()
    assert get(server, "/send/somebody").status == 404


def test_nobody_is_there(server: ThreadServer) -> None:
    answer = get(server, "/send/somebody")
    assert answer.status == 404
    assert "nobody is there to receive this" in answer.text
    assert get(server, "/emit").json == "sent", "as broadcasts of contexts, which may be alone"


def test_a_view_asks(server: ThreadServer, enter: Any) -> None:
    anna = enter(Client(server.port))
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(get(server, f"/call/{anna.id}").json))
    asking.start()
    assert anna.receive_text() == '420["question"]'
    anna.send_text('430[{"a":1}]')
    asking.join()
    assert answers == [{"a": 1}]


def test_a_user_has_it_in_each_tab(server: ThreadServer, enter: Any) -> None:
    tabs = [enter(Client(server.port, user="anna")) for _ in range(3)]
    ben, anonymous = enter(Client(server.port, user="ben")), enter(Client(server.port))
    assert get(server, "/user/anna").json == "sent"
    assert [tab.event() for tab in tabs] == [["said", "to a user"]] * 3
    assert all(client.has_nothing() for client in (*tabs, ben, anonymous))
    assert get(server, "/look").json["rooms"] == {}


def test_closing_a_room(server: ThreadServer, enter: Any) -> None:
    anna, ben = enter(Client(server.port, "red", "blue")), enter(Client(server.port, "red"))
    assert get(server, "/close/red").json == "closed"
    assert get(server, "/look").json == {"members": [anna.id], "rooms": {"blue": 1}, "count": 2}
    get(server, "/emit?to=red")
    assert anna.ask("leave") == [["blue"]]
    assert ben.ask("leave") == [[]]


def test_sending_a_client_away(server: ThreadServer, enter: Any) -> None:
    anna, ben = enter(Client(server.port, "blue")), enter(Client(server.port, "blue"))
    get(server, f"/disconnect/{anna.id}")
    assert anna.receive_text() == "41"
    assert get(server, "/look").json["members"] == [ben.id]


def test_a_native_thread_sends(server: ThreadServer, enter: Any) -> None:
    clients = [enter(Client(server.port, "blue")) for _ in range(5)]
    assert get(server, "/thread").json == "sent"
    for client in clients:
        assert [client.event() for _ in range(100)] == [["count", number] for number in range(100)]
    assert server.failures == []


def test_volatile_messages_do_not_wait(server: ThreadServer, enter: Any) -> None:
    reading = enter(Client(server.port, "blue"))
    polling = enter(PollingSession(server.port))
    polling.join()
    polling.emit("enter", {"rooms": ["blue"]})
    assert polling.packets(1) == ['42["message",{"type":"entered"}]']
    slow = enter(EngineSocket(server.port, receive_buffer=4096))
    slow.emit("enter", {"rooms": ["blue"]})
    slow.event()
    socket = server.socketio.members["/"][slow.id]
    filled = 0
    while server.call(lambda: socket.writable):
        server.call(lambda: socket.send(100_000 * "x"))
        filled += 1
    server.call(lambda: socket_server(server).to("blue").volatile.emit("volatile"))
    assert reading.event() == ["volatile"]
    server.call(lambda: socket_server(server).to("blue").emit("lasting"))
    assert [slow.event()[0] for _ in range(filled + 1)] == ["message"] * filled + ["lasting"]
    assert polling.packets(1) == ['42["lasting"]']
    wait_for(lambda: server.call(lambda: socket.writable))
    polling.start_poll()
    wait_for(lambda: len(server.call(lambda: socket_server(server).to("blue").volatile.members())) == 3)
    server.call(lambda: socket_server(server).to("blue").volatile.emit("volatile"))
    assert slow.event() == ["volatile"]
    assert polling.finish_poll() == '42["volatile"]'


def socket_server(server: ThreadServer) -> Any:
    """``request.socketio`` of a request that nobody has made."""
    blank = Request.blank("/")
    blank.registry = server.application.registry
    return socketio_of(blank)


# The end


def test_nothing_is_left_of_clients_that_vanish(server: ThreadServer) -> None:
    adapter = server.socketio.adapter
    for _ in range(5):
        clients = [Client(server.port, "blue", "block", f"own {n}", user=f"user {n % 7}") for n in range(30)]
        sockets = list(server.socketio.members["/"].values())
        clients[0].emit("block")
        for client in clients[1:]:
            assert client.receive_text() == '420["question"]'
        for client in clients:
            client.reset()
        wait_for(lambda: server.socketio.members == {} and not server.socketio.ending)
        assert adapter._rooms == {}
        assert {socket.rooms for socket in sockets} == {None}
        assert {id(socket._acks) for socket in sockets} == {id(None)}
    assert server.failures == []


def test_clients_that_vanish_during_messages_to_their_room(server: ThreadServer, enter: Any) -> None:
    staying = enter(Client(server.port, "blue"))
    sender = enter(Client(server.port, "blue"))
    leaving = [Client(server.port, "blue") for _ in range(40)]
    for client in leaving:
        sender.emit("say", "blue")
        client.reset()
    assert [staying.event() for _ in leaving] == [["message", MESSAGE]] * 40
    wait_for(lambda: get(server, "/look").json["rooms"] == {"blue": 2})
    assert server.failures == []


def test_in_a_shell() -> None:
    """What is sent there reaches the clients of that process, which has none."""
    lines = [
        "print(request.socketio.members(), request.socketio.rooms)",
        "request.socketio.to('room').emit('moved')",
        "request.socketio.broadcast('hello')",
    ]
    shell = subprocess.run(
        [str(Path(sys.executable).parent / "pshell"), "-p", "python", "demo/development.ini"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert "set() {}" in shell.stdout, shell.stderr
    assert shell.stderr.count("Traceback") == 1
    assert "pyramid_socketio.errors.NoSocket: nobody is there to receive this" in shell.stderr
