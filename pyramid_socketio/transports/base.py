"""What a session and its transport need of each other, and of the HTTP connection below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import ProtocolError
from ..evented.wire import Wire
from ..protocol.http import Head
from ..protocol.packets import EnginePacket

__all__ = ["CLOSED_TRANSPORT", "Exchange", "Outgoing", "SessionCallbacks", "Transport"]


class Outgoing(Protocol):
    """A message on its way out, framed once for each kind of transport (``revision.engine.Message``)."""

    frames: bytes

    def packets(self) -> list[bytes]: ...


class SessionCallbacks(Protocol):
    """What a transport tells its session. None of it runs application code, and none raises."""

    #: A secret; its first characters are for the log.
    sid: str

    def received(self, transport: Any, packets: Sequence[EnginePacket]) -> ProtocolError | None:
        """Packets arrived, in order.

        Returns:
            What is wrong with one of them; those before it have been handled. The transport tells the client in its
            way, and calls :meth:`failed`, as it does for bytes that are no packet.
        """

    def failed(self, transport: Any, error: ProtocolError) -> None:
        """The client broke a rule: the session ends."""

    def gone(self, transport: Any, reason: str) -> None:
        """Nothing can be sent or received any more; ``reason`` is a :class:`~pyramid_socketio.errors.CloseReason`."""


class Transport(Protocol):
    """How a session's packets travel.

    ``name`` is the word of the protocol. Sending never blocks.
    """

    name: str

    @property
    def reachable(self) -> bool:
        """Whether the client can be told something now: a polling client only while its GET waits."""

    @property
    def writable(self) -> bool:
        """Whether what is sent goes out at once, with nothing waiting before it but what goes along."""

    @property
    def direct_wire(self) -> Wire | None:
        """Where to write ``message.frames`` instead of calling :meth:`send`, for a broadcast; ``None``: nowhere."""

    def send(self, message: Outgoing) -> None:
        """Send a Socket.IO packet."""

    def send_packet(self, packet: bytes) -> None:
        """Send an Engine.IO packet other than a message."""

    def cork(self) -> None:
        """Gather what is sent until :meth:`uncork`, at most until the next turn of the loop."""

    def uncork(self) -> None: ...

    def pause(self) -> None:
        """Take nothing more from the client until :meth:`resume`."""

    def resume(self) -> None: ...

    @property
    def paused(self) -> bool: ...

    def client_closed(self) -> None:
        """The client said that it goes; :meth:`close` follows."""

    def close(self, code: int) -> None:
        """End in order: what was sent goes out first. ``code`` is a WebSocket close code."""

    def abort(self) -> None:
        """End at once."""


class ClosedTransport:
    """The transport of a session that is over: nothing reaches the client."""

    name = "closed"
    paused = False
    reachable = True
    writable = False
    direct_wire = None

    def send(self, message: Outgoing) -> None:
        """Too late."""

    def send_packet(self, packet: bytes) -> None:
        """Too late."""

    def cork(self) -> None: ...

    def uncork(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def client_closed(self) -> None: ...

    def close(self, code: int) -> None: ...

    def abort(self) -> None: ...


#: It has no state, so one serves all.
CLOSED_TRANSPORT = ClosedTransport()


class Exchange(Protocol):
    """One HTTP request and its answer, on a connection that is watched in the hub."""

    head: Head
    #: Called once, in the hub, when the request is lost before its answer; ``None`` for "nobody cares".
    on_abort: Callable[[], None] | None
    #: Called once, in the hub, when the client closes the connection after the answer and before another request;
    #: ``None`` for "nobody cares". To be set before :meth:`respond`.
    on_leave: Callable[[], None] | None

    @property
    def wants_websocket(self) -> bool:
        """Whether the request asks for a WebSocket (a GET with ``Upgrade: websocket``)."""

    @property
    def serves_flash_policy(self) -> bool:
        """Whether Flash may connect to the server's port."""

    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes = b"", close: bool = False) -> None:
        """Answer, with one ``send``; the connection goes on with its next request unless ``close``."""

    def read_body(self, limit: int, done: Callable[[bytes | None], None]) -> None:
        """Call ``done`` with the whole body, or with ``None`` as soon as it is known to be over ``limit`` bytes.

        Where it comes malformed or too slowly, the request is refused here and ``on_abort`` is called instead.
        """

    def take_over(self) -> tuple[Wire, bytes]:
        """The wire itself, for a WebSocket, and what the client sent behind its request; HTTP is over on it.

        ``receive`` and ``lost`` of the wire are the caller's to set.
        """

    def mount(self, engine: Any, shutdown: Callable[[], None]) -> None:
        """From now on requests go to ``engine.handle`` first, which answers those of its sessions.

        What no engine wants goes to ``engine.handle_unknown`` before the application.

        ``shutdown`` is called, and waited for, before the server stops.
        """
