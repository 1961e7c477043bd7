"""Under test: an ordinary Pyramid application with one context, served by our server."""

from gevent import monkey

monkey.patch_all()

from typing import Any  # noqa: E402

from pyramid.config import Configurator  # noqa: E402

from pyramid_socketio import SocketIOContext, SocketIOServer  # noqa: E402


class Bench(SocketIOContext):
    """Answers an echo to its sender and a shout to everybody."""

    def msg_echo(self, msg: dict[str, Any]) -> None:
        self.emit("message", msg)

    def msg_shout(self, msg: dict[str, Any]) -> None:
        self.send_and_broadcast(msg)


with Configurator(settings={"socketio.max_sessions": "100000"}) as config:
    config.include("pyramid_socketio")
    config.add_socketio_context(Bench, "/")

server = SocketIOServer(("127.0.0.1", 0), config.make_wsgi_app(), log=None, backlog=4096)
server.start()
print("listening on", server.server_port, flush=True)
server.serve_forever()
