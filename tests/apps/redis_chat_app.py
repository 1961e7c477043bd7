"""The chat of django-gevent-websocket: what one client sends goes to Redis, and from there to all, in any process.

The setting ``redis`` is the path of the socket that the Redis server listens on.
"""

from __future__ import annotations

from functools import partial
from select import select
from typing import Any

import redis
from pyramid.config import Configurator

from pyramid_socketio.websocket import websocket


@websocket
def chat(request: Any, websocket: Any, *args: Any, **kwargs: Any) -> None:
    conn = redis.StrictRedis()
    subs = conn.pubsub()
    subs.subscribe("CHAT")

    def incoming() -> None:
        data = websocket.receive()
        if data:
            conn.publish("CHAT", data)

    def outgoing() -> None:
        msg_type, channel, message = subs.parse_response()
        if msg_type == "message":
            websocket.send(message)

    sockets = {
        websocket.handler.socket.fileno(): incoming,
        subs.connection._sock.fileno(): outgoing,
    }

    while not websocket.closed:
        fd = select(sockets.keys(), [], [])[0][0]
        sockets[fd]()


def main(global_config: dict[str, str], **settings: str) -> Any:
    pool = redis.ConnectionPool(
        redis.UnixDomainSocketConnection,
        path=settings.pop("redis"),
        decode_responses=True,  # the view compares with text
        socket_read_size=1,  # what redis-py reads ahead, `select` does not see
    )
    redis.StrictRedis = partial(redis.StrictRedis, connection_pool=pool)  # so that the view is as it was written
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.add_route("chat", "/chat/")
        config.add_view(chat, route_name="chat")
    return config.make_wsgi_app()
