"""The chat that webpy-socketio comes with: all that its users and its staff can do, with clients of all ages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conftest import ServerProcess
from tests.functional.events import ALL, Today
from tests.functional.raw import Response, request

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """Closes the clients of a test."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(scope="module")
def chat(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server("rooms_chat_app")


def post(port: int, path: str, user: str = "", **values: str) -> Response:
    return request(port, "POST", path, {"User": user, **FORM}, urlencode(values).encode())


def start(client: Any, name: str) -> Any:
    client.say({"action": "start", "name": name})
    return client.hear()


@pytest.mark.parametrize("kind", ALL)
def test_users_of_a_room(chat: ServerProcess, enter: Any, kind: Any) -> None:
    name = f"tea {kind.__name__}"
    assert name in post(chat.port, "/create", name=name).json["rooms"]
    anna, ben = enter(kind(chat.port)), enter(kind(chat.port))
    anna.subscribe(f"room-{name}")
    assert start(anna, "Anna") == {"action": "started", "users": []}
    assert anna.hear() == {"action": "join", "name": "Anna"}
    ben.subscribe(f"room-{name}")
    ben.say({"action": "message", "message": "nobody hears who has not started"})
    assert start(ben, "Anna") == {"action": "in-use"}
    assert start(ben, "Ben") == {"action": "started", "users": ["Anna"]}
    assert anna.hear() == ben.hear() == {"action": "join", "name": "Ben"}
    anna.say({"action": "message", "message": "<b>hello</b>"})
    for client in (anna, ben):
        assert client.hear() == {"action": "message", "message": "<b>hello</b>", "name": "Anna"}
    anna.close()
    assert ben.hear() == {"action": "leave", "name": "Anna"}
    again = enter(kind(chat.port))
    again.subscribe(f"room-{name}")
    assert start(again, "Anna") == {"action": "started", "users": ["Ben"]}


def test_a_room_that_nobody_has_made(chat: ServerProcess, enter: Any) -> None:
    client = enter(Today(chat.port))
    client.subscribe("room-nowhere")
    told = {"type": "error", "error": "subscription_refused", "msg": "No such room", "channel": "room-nowhere"}
    assert client.hear() == told


def test_messages_of_the_staff(server: Callable[..., ServerProcess], enter: Any) -> None:
    port = server("rooms_chat_app").port
    post(port, "/create", name="red")
    post(port, "/create", name="blue")
    assert post(port, "/system_message", "admin", room="", message="hello").json["message"] != "Message sent"
    red, blue = enter(Today(port)), enter(Today(port))
    for client, room in ((red, "room-red"), (blue, "room-blue")):
        client.subscribe(room)
        assert start(client, "Anna")["action"] == "started"
        assert client.hear()["action"] == "join"
    assert post(port, "/system_message", "anna", room="", message="hello").status == 403
    assert post(port, "/system_message", "admin", room="red", message="only red").json == {"message": "Message sent"}
    assert post(port, "/system_message", "admin", room="", message="to all").json == {"message": "Message sent"}
    assert [red.hear() for _ in range(2)] == [{"action": "system", "message": text} for text in ("only red", "to all")]
    assert blue.hear() == {"action": "system", "message": "to all"}
    assert post(port, "/system_message", "admin", room="green", message="hello").json["message"] != "Message sent"
