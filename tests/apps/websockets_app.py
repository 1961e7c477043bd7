"""WebSocket views: echo, ping, and the chat with name and colour, each a page and a socket on one URL.

Open ``/chat`` in several windows. The views that select are written as for django-gevent-websocket.
"""

from __future__ import annotations

import html
from select import select
from typing import Any

import gevent
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_socketio.websocket import WebSocketClosed, websocket, websocket_loop
from tests.apps.pubsub import Publisher

PAGE = """<!doctype html><title>Chat</title><link rel="icon" href="data:,">
<form><input name=user value=Guest> <input name=colour type=color value="#0000ff"> <input name=text autofocus>
<button>Send</button></form>
<div></div>
<script>
var ws = new WebSocket("%s"), form = document.forms[0];
form.onsubmit = function () {
  ws.send(JSON.stringify({user: form.user.value, colour: form.colour.value, text: form.text.value}));
  form.text.value = "";
  return false;
};
ws.onmessage = function (event) {
  var message = JSON.parse(event.data), name = document.createElement("b"), line = document.createElement("p");
  name.textContent = message.user + ": ";
  name.style.color = message.colour;
  line.append(name, message.text);
  document.querySelector("div").append(line);
};
</script>
"""

redis = Publisher()


@websocket
def echo(request: Any, websocket: Any) -> None:
    while not websocket.closed:
        message = websocket.receive()
        websocket.send(message)


@websocket_loop
def ping(request: Any, websocket: Any, message: str) -> None:
    answers = {"ping": "pong", "pong": "ping"}
    if message in answers:
        websocket.send(answers[message])


def chat_page(request: Any) -> Response:
    return Response(PAGE % html.escape(request.websocket_url("chat")))


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

    sockets = {websocket.handler.socket.fileno(): incoming, subs.connection._sock.fileno(): outgoing}
    try:
        while not websocket.closed:
            fd = select(sockets.keys(), [], [])[0][0]
            sockets[fd]()
    finally:
        subs.close()


@websocket
def two_sources(request: Any, websocket: Any) -> None:
    """The seed's view: `closed` is called here, and the descriptors are compared."""
    subs = redis.StrictRedis().pubsub()
    subs.subscribe("NEWS")
    ws_sock = websocket.handler.socket.fileno()
    other_sock = subs.connection._sock.fileno()
    while not websocket.closed():
        fd = select([ws_sock, other_sock], [], [])[0][0]
        if fd == ws_sock:
            data = websocket.receive()
            if data:
                redis.StrictRedis().publish("NEWS", data.upper())
        else:
            websocket.send(subs.parse_response()[2])
    subs.close()


@websocket
def endless(request: Any, websocket: Any) -> None:
    """Never looks at its client; finds out by sending."""
    try:
        while True:
            websocket.send("tick")
            gevent.sleep(0.01)
    except WebSocketClosed:
        print("endless is over", flush=True)
        raise


@websocket
def stubborn(request: Any, websocket: Any) -> None:
    websocket.send("here")
    try:
        gevent.sleep(1000)
    finally:
        print("stubborn is over", flush=True)


def main(global_config: dict[str, str], **settings: str) -> Any:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        for view in (echo, ping, two_sources, endless, stubborn):
            config.add_route(view.__name__, f"/{view.__name__}/")
            config.add_view(view, route_name=view.__name__)
        config.add_route("chat", "/chat/")
        config.add_view(chat_page, route_name="chat")
        config.add_view(chat, route_name="chat", websocket=True)
    return config.make_wsgi_app()
