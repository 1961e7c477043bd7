"""Peer: python-socketio's asynchronous server on uvicorn with uvloop."""

import socket
from typing import Any

import socketio
import uvicorn

# Handlers run in order, as ours do; a task per message is slower still.
sio = socketio.AsyncServer(async_mode="asgi", async_handlers=False)


@sio.on("message")
async def message(sid: str, msg: dict[str, Any]) -> None:
    if msg["type"] == "echo":
        await sio.emit("message", msg, to=sid)
    elif msg["type"] == "shout":
        await sio.emit("message", msg)


listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
print("listening on", listener.getsockname()[1], flush=True)
config = uvicorn.Config(socketio.ASGIApp(sio), log_level="error", loop="uvloop", backlog=4096)
uvicorn.Server(config).run(sockets=[listener])
