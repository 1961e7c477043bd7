"""The chat: one namespace per room, names, the last messages for a newcomer, and who is here."""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPNotFound
from pyramid.request import Request
from pyramid.view import view_config

from pyramid_socketio import SocketIOContext, socketio_context

ROOMS = ("lobby", "pyramid", "gevent")

#: How many messages a newcomer gets to see.
HISTORY = 15

#: Characters; what is longer is cut.
NAME_LIMIT, TEXT_LIMIT = 24, 1000


class Room:
    """What the people in one room share. It outlives them, so that a newcomer finds the last messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        #: Member number to name. A number says who is who where two people chose one name; unlike the id of a
        #: connection, it may be shown to everybody.
        self.members: dict[int, str] = {}
        self.numbers = itertools.count(1)

    def people(self) -> list[dict[str, Any]]:
        return [{"member": member, "name": name} for member, name in self.members.items()]


def includeme(config: Configurator) -> None:
    config.registry["rooms"] = {name: Room(name) for name in ROOMS}
    config.add_route("chat", "/chat")
    config.add_route("room", "/chat/{room}", factory=find_room)


def find_room(request: Request) -> Room:
    """Root factory of the page and of the namespace: both refuse a room that does not exist."""
    try:
        room: Room = request.registry["rooms"][request.matchdict["room"]]
    except KeyError:
        raise HTTPNotFound() from None
    return room


@view_config(route_name="chat")
def chat(request: Request) -> HTTPFound:
    return HTTPFound(request.route_path("room", room=ROOMS[0]))


@view_config(route_name="room", renderer="templates/chat.jinja2")
def room(request: Request) -> dict[str, Any]:
    return {"room": request.context.name, "rooms": ROOMS}


@socketio_context("/chat/{room}", factory=find_room)
class Chat(SocketIOContext):
    """One window in one room. A broadcast reaches everybody in the same namespace, which is the room."""

    #: Set by ``join``; 0 before that.
    member = 0

    def connect(self) -> None:
        self.room: Room = self.request.context

    def msg_join(self, msg: Any) -> dict[str, Any]:
        """``emit("join", {name}, ack)``: the ack says who is here and what was said last."""
        name = text_of(msg, "name", NAME_LIMIT)
        if not name:
            return self.error("no_name", "Please choose a name.")
        if self.member:
            return self.error("here_already", "You are here already.")
        self.member = next(self.room.numbers)
        self.room.members[self.member] = name
        people = self.room.people()
        self.broadcast({"type": "joined", "name": name, "people": people})
        return {"member": self.member, "people": people, "history": list(self.room.history)}

    def msg_say(self, msg: Any) -> dict[str, Any]:
        """``emit("say", {text}, ack)``: everybody gets it, the sender too, so all windows show one order."""
        text = text_of(msg, "text", TEXT_LIMIT)
        if not self.member:
            return self.error("not_here", "Please join first.")
        if not text:
            return self.error("no_text", "Please say something.")
        said = {
            "type": "said",
            "member": self.member,
            "name": self.room.members[self.member],
            "text": text,
            "time_ms": int(time.time() * 1000),
        }
        self.room.history.append(said)
        self.send_and_broadcast(said)
        return {"ok": True}

    def disconnect(self) -> None:
        """Runs once, however the connection ended: a closed tab, a lost network, a server that stops."""
        name = self.room.members.pop(self.member, None)
        if name is not None:
            self.broadcast({"type": "left", "name": name, "people": self.room.people()})


def text_of(msg: Any, key: str, limit: int) -> str:
    """The text under a key of a message, trimmed and cut; empty if there is none. Clients may send anything."""
    value = msg.get(key) if isinstance(msg, dict) else None
    return value.strip()[:limit].rstrip() if isinstance(value, str) else ""
