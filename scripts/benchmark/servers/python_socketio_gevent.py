"""Peer: python-socketio on gevent's WSGI server with gevent-websocket."""

from gevent import monkey

monkey.patch_all()

from typing import Any  # noqa: E402

import socketio  # noqa: E402
from gevent import pywsgi  # noqa: E402
from geventwebsocket.handler import WebSocketHandler  # noqa: E402

# Handlers run in the client's own greenlet, in order, as ours do; a greenlet per message is slower still.
sio = socketio.Server(async_mode="gevent", async_handlers=False)


@sio.on("message")
def message(sid: str, msg: dict[str, Any]) -> None:
    if msg["type"] == "echo":
        sio.emit("message", msg, to=sid)
    elif msg["type"] == "shout":
        sio.emit("message", msg)


server = pywsgi.WSGIServer(
    ("127.0.0.1", 0), socketio.WSGIApp(sio), log=None, backlog=4096, handler_class=WebSocketHandler
)
server.start()
print("listening on", server.server_port, flush=True)
server.serve_forever()
