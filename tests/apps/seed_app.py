"""The application of the page that ``compat.js`` keeps alive: messages with a type inside, and subscriptions."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.router import Router

from pyramid_socketio import SocketIOContext, socketio_context


@socketio_context("/")
class Seed(SocketIOContext):
    def msg_connect(self, msg: dict[str, Any]) -> None:
        self.msg("connected", userid=msg["userid"])

    def msg_subscribe(self, msg: dict[str, Any]) -> None:
        self.msg("subscribed", channel=msg["channel"])

    def msg_unsubscribe(self, msg: dict[str, Any]) -> None:
        self.msg("unsubscribed", channel=msg["channel"])


def main(global_config: dict[str, str], **settings: str) -> Router:
    with Configurator(settings=settings) as config:
        config.include("pyramid_socketio")
        config.scan(__name__)
    return config.make_wsgi_app()
