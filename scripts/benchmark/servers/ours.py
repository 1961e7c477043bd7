"""Under test: an ordinary Pyramid application with one context, served by our server."""

from gevent import monkey

monkey.patch_all()

from itertools import count  # noqa: E402
from typing import Any  # noqa: E402

from pyramid.config import Configurator  # noqa: E402

from pyramid_socketio import SocketIOContext, SocketIOServer  # noqa: E402

#: As in load/websocket_load.c.
ROOM_SIZE = 10


class Bench(SocketIOContext):
    """Answers an echo to its sender, a shout to everybody, and what is said to those in a room."""

    entered = count()

    def msg_echo(self, msg: dict[str, Any]) -> None:
        self.emit("message", msg)

    def msg_shout(self, msg: dict[str, Any]) -> None:
        self.send_and_broadcast(msg)

    def msg_enter(self, msg: dict[str, Any]) -> None:
        room = f"room {next(self.entered) // ROOM_SIZE}"
        self.join(room)
        self.room = self.request.socketio.to(room)
        self.emit("message", msg)

    def msg_say(self, msg: dict[str, Any]) -> None:
        self.room.send(msg)


with Configurator(settings={"socketio.max_sessions": "100000"}) as config:
    config.include("pyramid_socketio")
    config.add_socketio_context(Bench, "/")

server = SocketIOServer(("127.0.0.1", 0), config.make_wsgi_app(), log=None, backlog=4096)
server.start()
print("listening on", server.server_port, flush=True)
server.serve_forever()
