"""Socket.IO clients on sessions that write down what they are asked for; the handlers run in real workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from pyramid_socketio.connection import Connection
from pyramid_socketio.errors import CloseReason
from pyramid_socketio.namespace import NamespaceSocket
from pyramid_socketio.protocol.revisions import EIO4
from pyramid_socketio.settings import Settings
from pyramid_socketio.socketio import SocketIO

INTERNAL_ERROR = {"type": "error", "error": "internal_error"}

#: How a session ends whose client sends what is not allowed in the state of a namespace.
VIOLATION = (CloseReason.PROTOCOL_ERROR, 1002)


class RecordingTransport:
    """Keeps what is sent in ``packets``, as a polling client would read it; ``calls`` are the other calls."""

    name = "recording"
    direct_wire = None

    def __init__(self) -> None:
        self.packets: list[str] = []
        self.messages: list[Any] = []
        self.calls: list[str] = []
        #: Called with every message, before it is kept.
        self.on_send: Callable[[], None] = lambda: None

    def send(self, message: Any) -> None:
        self.on_send()
        self.messages.append(message)
        self.packets += [packet.decode() for packet in message.packets()]

    def cork(self) -> None:
        self.calls.append("cork")

    def uncork(self) -> None:
        self.calls.append("uncork")


class RecordingSession:
    """``closed_with`` is how the connection has ended it, and ``flow`` when it was to read and when not."""

    def __init__(self, settings: Settings) -> None:
        self.sid = "secret of session and server"
        self.revision = EIO4
        self.settings = settings
        self.transport = RecordingTransport()
        self.closed_with: tuple[str, int] | None = None
        self.flow: list[str] = []

    @property
    def connected(self) -> bool:
        return self.closed_with is None

    def pause(self) -> None:
        self.flow.append("pause")

    def resume(self) -> None:
        self.flow.append("resume")

    def close(self, reason: str, code: int = 1000) -> None:
        self.closed_with = (reason, code)


class RecordingContext:
    """Notes what the socket tells it; ``handler`` is called with each event."""

    def __init__(self, socket: NamespaceSocket) -> None:
        self.io = socket
        self.events: list[list[Any]] = []
        self.told: list[Any] = []
        self.handler: Callable[[list[Any]], Any] = lambda data: None

    def handle_event(self, data: list[Any], wants_ack: bool) -> list[Any] | None:
        self.events.append(data)
        return self.handler(data)

    def fail(self, what: str, error: BaseException) -> list[Any]:
        self.told.append((what, type(error)))
        return [INTERNAL_ERROR]

    def stop(self) -> None:
        self.told.append("stop")

    def finish(self, reason: str) -> None:
        self.told.append(f"finish: {reason}")


class Client:
    """One client of an application; ``receive`` is what it sends."""

    def __init__(self, owner: SocketIO) -> None:
        self.session = RecordingSession(owner.settings)
        self.transport = self.session.transport
        self.closed = 0
        self.connection = Connection(owner, self.session, owner.connect, self._count_closed)

    def _count_closed(self) -> None:
        self.closed += 1

    def receive(self, *messages: str | bytes) -> Any:
        """The error for the session, if any; the handlers have run as far as they get without waiting."""
        return in_hub(lambda: self.connection.messages(list(messages)))

    def join(self, namespace: str = "/") -> RecordingContext:
        assert self.receive("0" if namespace == "/" else f"0{namespace},") is None
        context = self.connection.sockets[namespace].context
        self.transport.packets.clear()
        return context

    def end(self, reason: str = CloseReason.TRANSPORT_CLOSE) -> None:
        in_hub(lambda: self.connection.closed(reason))

    @property
    def packets(self) -> list[str]:
        """What was sent since the last look."""
        packets, self.transport.packets = self.transport.packets, []
        return packets


def in_hub(function: Callable[[], Any]) -> Any:
    """Call it as a session does; its result."""
    results: list[Any] = []
    gevent.get_hub().loop.run_callback(lambda: results.append(function()))
    turns()
    return results[0]


def turns() -> None:
    """Let everything run that is ready."""
    for _ in range(5):
        gevent.sleep(0)


def make_owner(connect: Any = lambda socket, auth: RecordingContext(socket), **settings: Any) -> SocketIO:
    return SocketIO(Settings(**{"close_timeout": 0.05, **settings}), connect)
