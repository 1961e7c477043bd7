"""The other end of every test with a real client: echoes, questions, refusals, and what it saw of a disconnect."""

from __future__ import annotations

from typing import Any

from gevent import sleep
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.router import Router

from pyramid_socketio import ConnectRefused, SocketIOContext, message, socketio_context
from pyramid_socketio.errors import AckTimeout

#: context id -> reason, of every context of ``/`` that has ended.
ENDED: dict[str, str] = {}


@socketio_context("/")
class Echo(SocketIOContext):
    def connect(self) -> None:
        self.numbers: list[int] = []

    def disconnect(self) -> None:
        ENDED[self.id] = self.disconnect_reason

    # What comes back as it was sent: as an event, and as an ack.

    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)

    @message("echo:ack")
    def echo_ack(self, value: Any = None) -> Any:
        return value

    def msg_slow(self, seconds: float) -> str:
        sleep(seconds)
        return "at last"

    # socket.send({type: ...})

    def msg_say(self, msg: dict[str, Any]) -> None:
        self.msg("said", text=msg["text"])

    # The server asks.

    def msg_ask(self, question: Any) -> None:
        self.emit("answered", self.call("question", question, timeout=5))

    def msg_ask_with_callback(self, question: Any) -> None:
        def answered(answer: Any) -> None:
            self.emit("answered", answer)

        self.emit("question", question, ack=answered)

    def msg_ask_in_vain(self) -> None:
        try:
            self.call("question nobody answers", timeout=0.1)
        except AckTimeout:
            self.emit("no answer")

    # Who hears it.

    def msg_to_others(self, value: Any) -> None:
        self.broadcast_event("heard", value)

    def msg_to_all(self, value: Any) -> None:
        self.send_and_broadcast({"type": "heard", "value": value})

    # Numbered messages in both directions at the same time.

    def msg_count_to(self, last: int, pause: float) -> None:
        self.spawn(self._count, last, pause)

    def _count(self, last: int, pause: float) -> None:
        for number in range(last):
            self.emit("number", number)
            sleep(pause)

    def msg_number(self, number: int) -> None:
        self.numbers.append(number)

    def msg_numbers_seen(self) -> list[int]:
        return self.numbers

    # The end.

    def msg_leave_me(self) -> None:
        self.io.disconnect()

    def msg_why_ended(self, context_id: str) -> str | None:
        return ENDED.get(context_id)


@socketio_context("/members")
class Members(SocketIOContext):
    def connect(self) -> None:
        auth = self.request.environ["pyramid_socketio.auth"]
        if not isinstance(auth, dict) or auth.get("token") != "open sesame":
            raise ConnectRefused("Not a member", {"code": "E1", "seen": auth})

    def msg_whoami(self) -> str:
        return "a member"


@socketio_context("/forbidden")
class Nobody(SocketIOContext):
    def connect(self) -> None:
        raise HTTPForbidden("a secret detail")


@socketio_context("/broken")
class Broken(SocketIOContext):
    def connect(self) -> None:
        raise RuntimeError("a secret detail")


@socketio_context("/chat/{room}")
class Chat(SocketIOContext):
    def msg_where(self) -> dict[str, str]:
        return self.request.matchdict

    def msg_say(self, *args: Any) -> None:
        self.emit("said", self.request.matchdict["room"], *args)


def main(global_config: dict[str, str], **settings: str) -> Router:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.scan(__name__)
    return config.make_wsgi_app()
