"""The chat that webpy-socketio comes with: rooms, their users, names in use, and a page for the staff.

Rooms and users are in memory instead of a database. ``POST /create`` makes a room; ``POST /system_message`` is for who
has the permission ``admin``: here, who says ``User: admin``.
"""

from __future__ import annotations

from typing import Any

from pyramid.authorization import Allow
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.router import Router

from pyramid_socketio import ConnectRefused, NoSocket, broadcast, broadcast_channel
from pyramid_socketio.events import on_finish, on_message, on_subscribe

#: Room -> names of its users.
rooms: dict[str, list[str]] = {}


@on_subscribe(channel="^room-")
def enter(request: Request, socket: Any, context: dict[str, Any], channel: str) -> None:
    if channel.removeprefix("room-") not in rooms:
        raise ConnectRefused("No such room")
    context["users"] = rooms[channel.removeprefix("room-")]


@on_message(channel="^room-")
def message(request: Request, socket: Any, context: dict[str, Any], message: Any) -> None:
    users = context["users"]
    if message["action"] == "start":
        name = message["name"]
        if name in users:
            socket.send({"action": "in-use"})
        else:
            context["name"] = name
            socket.send({"action": "started", "users": users})
            users.append(name)
            socket.send_and_broadcast_channel({"action": "join", "name": name})
    elif "name" in context:
        socket.send_and_broadcast_channel({**message, "name": context["name"]})


@on_finish(channel="^room-")
def finish(request: Request, socket: Any, context: dict[str, Any]) -> None:
    if "name" in context:
        socket.broadcast_channel({"action": "leave", "name": context["name"]})
        context["users"].remove(context["name"])


def create(request: Request) -> Any:
    rooms[request.params["name"]] = []
    return {"rooms": list(rooms)}


def system_message(request: Request) -> Any:
    room = request.params["room"]
    data = {"action": "system", "message": request.params["message"]}
    try:
        if room:
            broadcast_channel(data, channel="room-" + room)
        else:
            broadcast(data)
    except NoSocket as error:
        return {"message": str(error)}
    return {"message": "Message sent"}


class Staff:
    """A root that the staff may use, and a policy for which who a user is stands in a header."""

    __acl__ = [(Allow, "admin", "admin")]

    def __init__(self, request: Any = None) -> None:
        """As Pyramid calls a root factory."""

    def authenticated_userid(self, request: Request) -> str | None:
        name: str | None = request.headers.get("User")
        return name

    def permits(self, request: Request, context: Any, permission: str) -> bool:
        return (Allow, self.authenticated_userid(request), permission) in self.__acl__


def main(global_config: dict[str, str], **settings: Any) -> Router:
    with Configurator(settings=settings, root_factory=Staff, security_policy=Staff()) as config:
        config.include("pyramid_socketio")
        config.scan(__name__)
        for view, permission in ((create, None), (system_message, "admin")):
            config.add_route(view.__name__, f"/{view.__name__}", request_method="POST")
            config.add_view(view, route_name=view.__name__, renderer="json", permission=permission)
    return config.make_wsgi_app()
