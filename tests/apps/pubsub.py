"""What redis-py's publish and subscribe look like to a program, within one process: a connection is a socket."""

from __future__ import annotations

import json
import socket
from types import SimpleNamespace

__all__ = ["Publisher"]


class _PubSub:
    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        # Datagrams: one is one message, however many wait.
        ours, self._other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.connection = SimpleNamespace(_sock=ours)

    def subscribe(self, channel: str) -> None:
        self._publisher.subscribers.setdefault(channel, []).append(self._other_end)

    def parse_response(self) -> list[str]:
        parts: list[str] = json.loads(self.connection._sock.recv(65536))
        return parts

    def close(self) -> None:
        for subscribers in self._publisher.subscribers.values():
            if self._other_end in subscribers:
                subscribers.remove(self._other_end)
        self.connection._sock.close()
        self._other_end.close()


class Publisher:
    """Stands for the module ``redis`` and its server."""

    def __init__(self) -> None:
        self.subscribers: dict[str, list[socket.socket]] = {}

    def StrictRedis(self) -> Publisher:
        return self

    def pubsub(self) -> _PubSub:
        return _PubSub(self)

    def publish(self, channel: str, message: str) -> None:
        for subscriber in self.subscribers.get(channel, ()):
            subscriber.sendall(json.dumps(["message", channel, message]).encode())
