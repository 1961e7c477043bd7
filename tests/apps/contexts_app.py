"""Handlers that block in every way, for servers in a process of their own; each end is a line on standard output."""

from __future__ import annotations

from typing import Any

from gevent import sleep, subprocess
from pyramid.config import Configurator
from pyramid.router import Router

from pyramid_socketio import SocketIOContext, socketio_context


@socketio_context("/")
class Blocking(SocketIOContext):
    def disconnect(self) -> None:
        print(f"disconnect {self.id}: {self.disconnect_reason}", flush=True)

    def msg_echo(self, value: Any) -> None:
        self.emit("echo", value)

    def msg_sleep(self, seconds: float) -> str:
        self.emit("blocked")
        sleep(seconds)
        return "awake"

    def msg_subprocess(self, seconds: float) -> int:
        self.emit("blocked")
        return int(subprocess.call(["sleep", str(seconds)]))


@socketio_context("/slow")
class SlowToLeave(SocketIOContext):
    """Its end takes a while, and a greenlet of it too."""

    def msg_spawn(self) -> None:
        self.spawn(self._work)

    def _work(self) -> None:
        self.emit("working")
        try:
            sleep(1000)
        finally:
            print(f"greenlet ended {self.id}", flush=True)

    def disconnect(self) -> None:
        sleep(0.1)
        print(f"disconnect {self.id}: {self.disconnect_reason}", flush=True)


def main(global_config: dict[str, str], **settings: str) -> Router:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.scan(__name__)
    return config.make_wsgi_app()
