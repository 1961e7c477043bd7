"""The chat: one namespace per room, names, the last messages for a newcomer, and who is here.

All that the server says are messages ``{"type": ...}``, which is what clients of every age understand:

- ``welcome``, to who joins: ``member`` (the own number), ``people``, ``history`` (a list of ``said``)
- ``joined`` and ``left``, to the others: ``name``, ``people``
- ``said``, to everybody: ``member``, ``name``, ``text``, ``time_ms`` (since 1970)
- ``error``: ``error``, ``msg`` (to show)
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPNotFound
from pyramid.request import Request
from pyramid.view import view_config

from pyramid_socketio import SocketIOContext, socketio_context

ROOMS = ("lobby", "pyramid", "gevent")

#: Clients of former years, by the version that their pages have in their names.
OLD_CLIENTS = ("2", "0.9", "0.6")

#: How many messages a newcomer gets to see.
HISTORY = 15

#: Characters; what is longer is cut.
NAME_LIMIT, TEXT_LIMIT = 24, 1000


class Room:
    """What the people in one room share. It outlives them, so that a newcomer finds the last messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        #: Member number to context. A number says who is who where two people chose one name; unlike the id of a
        #: connection, it may be shown to everybody.
        self.members: dict[int, Chat] = {}
        self.numbers = itertools.count(1)

    def people(self) -> list[dict[str, Any]]:
        return [{"member": member, "name": chat.name} for member, chat in self.members.items()]

    def tell(self, msg_type: str, **kwargs: Any) -> None:
        """Send a message to everybody who is here; sending never blocks.

        ``SocketIOContext.broadcast`` would reach one namespace, and the members come by two.
        """
        for chat in self.members.values():
            chat.msg(msg_type, kwargs)


def includeme(config: Configurator) -> None:
    config.registry["rooms"] = {name: Room(name) for name in ROOMS}
    clients = "|".join(map(re.escape, OLD_CLIENTS))
    config.add_route("chat", "/chat")
    config.add_route("room", "/chat/{room}", factory=find_room)
    config.add_route("old_chat", f"/old/{{client:{clients}}}")
    config.add_route("old_room", f"/old/{{client:{clients}}}/{{room}}", factory=find_room)


def find_room(request: Request) -> Room:
    """Root factory of the pages and of the namespace: all refuse a room that does not exist."""
    try:
        room: Room = request.registry["rooms"][request.matchdict["room"]]
    except KeyError:
        raise HTTPNotFound() from None
    return room


@view_config(route_name="chat")
def chat(request: Request) -> HTTPFound:
    return HTTPFound(request.route_path("room", room=ROOMS[0]))


@view_config(route_name="old_chat")
def old_chat(request: Request) -> HTTPFound:
    return HTTPFound(request.route_path("old_room", client=request.matchdict["client"], room=ROOMS[0]))


@view_config(route_name="room", renderer="templates/chat.jinja2")
@view_config(route_name="old_room", renderer="templates/chat.jinja2")
def room(request: Request) -> dict[str, Any]:
    """The page of one room; ``client``: the old client that speaks for it, ``None`` for today's."""
    return {
        "room": request.context.name,
        "rooms": ROOMS,
        "client": request.matchdict.get("client"),
        "old_clients": OLD_CLIENTS,
    }


@socketio_context("/chat/{room}", factory=find_room)
class Chat(SocketIOContext):
    """One window in one room."""

    room: Room
    name = ""
    #: Set by ``join``; 0 before that.
    member = 0

    def connect(self) -> None:
        self.room = self.request.context

    def msg_join(self, msg: Any) -> dict[str, Any]:
        """``emit("join", {name}, ack)``: who joins gets ``welcome``, the others ``joined``."""
        name = text_of(msg, "name", NAME_LIMIT)
        if not name:
            return self.error("no_name", "Please choose a name.")
        if self.member:
            return self.error("here_already", "You are here already.")
        room, member = self.room, next(self.room.numbers)
        people = [*room.people(), {"member": member, "name": name}]
        room.tell("joined", name=name, people=people)
        self.name, self.member, room.members[member] = name, member, self
        self.msg("welcome", member=member, people=people, history=list(room.history))
        return {"ok": True}

    def msg_say(self, msg: Any) -> dict[str, Any]:
        """``emit("say", {text}, ack)``: everybody gets it, the sender too, so all windows show one order."""
        text = text_of(msg, "text", TEXT_LIMIT)
        if not self.member:
            return self.error("not_here", "Please join first.")
        if not text:
            return self.error("no_text", "Please say something.")
        said = {"member": self.member, "name": self.name, "text": text, "time_ms": int(time.time() * 1000)}
        self.room.history.append(said)
        self.room.tell("said", **said)
        return {"ok": True}

    def disconnect(self) -> None:
        """Runs once, however the connection ended: a closed tab, a lost network, a server that stops."""
        if self.member:
            del self.room.members[self.member]
            self.room.tell("left", name=self.name, people=self.room.people())


@socketio_context("/")
class ChatWithoutNamespaces(Chat):
    """The same for clients that know no namespaces, as those of 0.6: they name the room when they join."""

    def connect(self) -> None:
        """Everybody may be here; the room is not known yet."""

    def msg_join(self, msg: Any) -> dict[str, Any]:
        """``send({type: "join", room, name})``."""
        if not self.member:
            room = self.request.registry["rooms"].get(text_of(msg, "room", NAME_LIMIT))
            if room is None:
                return self.error("no_room", "There is no such room.")
            self.room = room
        return super().msg_join(msg)


def text_of(msg: Any, key: str, limit: int) -> str:
    """The text under a key of a message, trimmed and cut; empty if there is none. Clients may send anything."""
    value = msg.get(key) if isinstance(msg, dict) else None
    return value.strip()[:limit].rstrip() if isinstance(value, str) else ""
