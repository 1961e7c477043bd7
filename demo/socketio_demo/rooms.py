"""Rooms that people make: a room is a channel, and is there as long as somebody is in it.

A page connects with its reader's name, ``io("/rooms", {auth: {name}})``, enters rooms by ``socket.subscribe(room)``, as
many as it likes, and leaves them by ``socket.unsubscribe(room)``. The server says, in messages ``{"type": ...}``:

- ``welcome``, to who comes: ``name``
- ``rooms``, to everybody, whenever it changes: ``rooms`` (a list of ``{name, count}``)
- ``joined`` and ``left``, to a room and who it is about: ``room``, ``name``, ``people`` (names)
- ``said``, to a room: ``room``, ``name``, ``text``, ``time_ms`` (since 1970)
- ``error``: ``error``, ``msg`` (to show)
"""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

from pyramid.config import Configurator

from pyramid_socketio import ConnectRefused, socketio_context
from pyramid_socketio.channels import ChannelContext

from .chat import NAME_LIMIT, TEXT_LIMIT, text_of

#: Characters.
ROOM_LIMIT = 24
ROOM_NAME = re.compile(rf"[\w-]{{1,{ROOM_LIMIT}}}")


def includeme(config: Configurator) -> None:
    # Who is here: name, without regard to capitals, to context.
    config.registry["people"] = {}
    config.add_route("rooms", "/rooms")


@socketio_context("/rooms")
class Rooms(ChannelContext):
    """One window. The channels that it is in are its rooms."""

    name: str
    people: dict[str, Rooms]

    def connect(self) -> None:
        """Who has no name of its own does not get in; the page shows why."""
        self.people = self.request.registry["people"]
        self.name = text_of(self.request.environ["pyramid_socketio.auth"], "name", NAME_LIMIT)
        if not self.name:
            raise ConnectRefused("Please choose a name.")
        if self.name.casefold() in self.people:
            raise ConnectRefused(f"Somebody here is called {self.name} already. Please choose another name.")
        self.people[self.name.casefold()] = self
        self.msg("welcome", name=self.name)
        self.send(self.rooms_message())

    def subscribing(self, channel: str) -> None:
        """Before this window enters a room: an exception keeps it out, and its page shows why."""
        if not ROOM_NAME.fullmatch(channel):
            raise ConnectRefused(f"A room's name is 1 to {ROOM_LIMIT} letters, digits, - and _, without blanks.")

    def subscribe(self, channel: str) -> bool:
        if entered := super().subscribe(channel):
            self.announce("joined", channel)
        return entered

    def unsubscribed(self, channel: str) -> None:
        """After this window has left a room; when it is closed, that is every room that it was in."""
        self.announce("left", channel)

    def disconnect(self) -> None:
        del self.people[self.name.casefold()]
        super().disconnect()

    def announce(self, what: str, room: str) -> None:
        """Tell this window and the room who came or went, and everybody how many are in which room."""
        people = [person.name for person in self.people.values() if room in person.channels]
        self.send_and_broadcast_channel({"type": what, "room": room, "name": self.name, "people": people}, room)
        self.send_and_broadcast(self.rooms_message())

    def rooms_message(self) -> dict[str, Any]:
        counts = Counter(room for person in self.people.values() for room in person.channels)
        return {"type": "rooms", "rooms": [{"name": room, "count": counts[room]} for room in sorted(counts)]}

    def msg_say(self, msg: Any) -> dict[str, Any]:
        """``emit("say", {room, text}, ack)``: everybody in the room gets it, the sender too."""
        room, text = text_of(msg, "room", ROOM_LIMIT), text_of(msg, "text", TEXT_LIMIT)
        if room not in self.channels:
            return self.error("not_here", "Please enter the room first.")
        if not text:
            return self.error("no_text", "Please say something.")
        said = {"type": "said", "room": room, "name": self.name, "text": text, "time_ms": int(time.time() * 1000)}
        self.send_and_broadcast_channel(said, room)
        return {"ok": True}
