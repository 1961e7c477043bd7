"""Clients for the tests of an application, in the same process: no server, no network.

::

    from pyramid_socketio.testing import TestClient

    with TestClient(app, "/chat/blue", auth={"token": "x"}) as client:
        client.emit("say", {"text": "hello"})
        assert client.receive() == ["said", {"text": "hello"}]

Nothing is faked above the transport: a client has a session like any other, of today's revision, and its CONNECT goes
through routes, root factory, security policy, predicates and tweens. The HTTP request of the handshake is left out, and
so is what it decides (origins, ``max_sessions``); clients that a view of its own serves need a server.

The application runs in the event loop of the thread that made its first client, while the test waits there: in a method
that waits, or in ``gevent.sleep``. The standard library need not be patched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult
from gevent.queue import Empty, Queue
from pyramid.registry import Registry
from pyramid.request import Request

from .errors import AckTimeout, CloseReason, ConnectRefused, PacketError, SessionClosed
from .handshake import parse_query
from .interfaces import socketio_for
from .protocol.attachments import PendingPacket
from .protocol.jsontext import dumps
from .protocol.packets import ACK, CLOSE, CONNECT, EVENT, MESSAGE, PING, PONG, EncodedPacket, EnginePacket, SocketPacket
from .protocol.revisions import by_query

if TYPE_CHECKING:
    from .namespace import NamespaceSocket
    from .session import Session
    from .transports.base import Outgoing

__all__ = ["TestClient"]

#: What today's clients ask for.
_QUERY = "EIO=4&transport=websocket"


class TestClient:
    """One client in one namespace, for as long as the ``with`` statement; or from :meth:`connect` to :meth:`close`.

    Args:
        app: what ``config.make_wsgi_app()`` returns, or the application's registry.
        namespace: begins with ``/``.
        auth: what the client gives with its CONNECT.
        headers: of its handshake, such as ``Cookie``.
        timeout: seconds for whatever is waited for.

    Raises:
        TypeError: ``app`` is something else, or does not include the package.
    """

    __test__ = False  # it begins with "Test", but pytest has nothing to collect here

    def __init__(
        self,
        app: Any,
        namespace: str = "/",
        auth: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        registry = getattr(app, "registry", app)
        socketio = socketio_for(registry) if isinstance(registry, Registry) else None
        if socketio is None:
            raise TypeError(f"give what config.make_wsgi_app() returns, with pyramid_socketio included, not {app!r}")
        self.namespace = namespace
        self.timeout = timeout
        #: Name of an event to the function of its arguments that answers where the application asks for that (``call``,
        #: ``ack=``): it returns the acknowledgement as handlers do. The event can be received all the same.
        self.answers: dict[str, Callable[..., Any]] = {}
        self._socketio = socketio
        self._auth = auth
        self._headers = dict(headers or {})
        self._revision: Any = by_query(parse_query(_QUERY))
        self._session: Session | None = None
        self._socket: NamespaceSocket | None = None
        self._joined: Any = AsyncResult()
        self._events: Any = Queue()
        #: What has been asked for, in order: the number of each is the id of its acknowledgement.
        self._acks: list[Any] = []
        #: What went wrong where nobody could be told; raised at the end.
        self._failure: Exception | None = None

    # The beginning and the end

    def connect(self) -> TestClient:
        """Connect to the namespace; once, because who comes back is another client.

        Raises:
            ConnectRefused: the application refuses, with its ``message`` and ``data``.
            ProtocolError: ``namespace`` or ``auth`` is nothing that a client may send.
            RuntimeError: it was connected already; or another thread serves the clients of the application.
            TimeoutError: the application's ``connect`` goes on.
        """
        if self._session is not None:
            raise RuntimeError("this client was connected: make another one")
        if not self._socketio.in_loop:
            raise RuntimeError("another thread serves the clients of this application: make one for each thread")
        path = f"/{self._socketio.settings.resource}/?{_QUERY}"
        environ = Request.blank(path, {"REMOTE_ADDR": "127.0.0.1"}, headers=self._headers).environ
        self._session = self._socketio.open_session(environ, self._revision)
        self._transport = self._session.transport = _Transport(self)
        self._session.opened()
        try:
            head = self._revision.socket.encode_head(CONNECT, self.namespace)
            self._send((head if self._auth is None else head + dumps(self._auth), ()))
            with gevent.Timeout(self.timeout, TimeoutError(f"connect() goes on after {self.timeout:g} s")):
                packet: SocketPacket | None = self._joined.get()
            if packet is None:
                raise self._gone()
            if packet.type != CONNECT:
                raise ConnectRefused(packet.data["message"], packet.data.get("data"))
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Leave, with the reason ``"client"``; returns when the application's ``disconnect`` has run.

        Raises:
            TimeoutError: it goes on.
            PacketError: the application has sent what today's clients do not take, past what checks it.
            Exception: a function of :attr:`answers` has raised it.
        """
        self._leave(lambda session: self._deliver([(CLOSE, "")]))

    def lose(self) -> None:
        """As :meth:`close`, but like a client whose connection breaks, with the reason ``"transport error"``."""
        self._leave(lambda session: session.gone(self._transport, CloseReason.TRANSPORT_ERROR))

    def _leave(self, way: Callable[[Session], None]) -> None:
        session = self._session
        if session is None:
            return
        gevent.get_hub().loop.run_callback(way, session)
        seconds = self.timeout + self._socketio.settings.close_timeout
        with gevent.Timeout(seconds, TimeoutError(f"disconnect() goes on after {seconds:g} s")):
            while session.connected or self.context is not None:
                gevent.sleep(0.001)
        self._ended()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> TestClient:
        return self.connect()

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def id(self) -> str | None:
        """The client's public id; ``None`` before it is in."""
        return None if self._socket is None else self._socket.id

    @property
    def context(self) -> Any:
        """The application's context, at this moment; ``None`` before the client is in, and after ``disconnect``."""
        return None if self._socket is None else self._socket.context

    @property
    def disconnect_reason(self) -> str | None:
        """Why the client is gone, one of :class:`~pyramid_socketio.errors.CloseReason`; ``None`` while it is there."""
        return None if self._socket is None else self._socket.reason

    # Sending

    def emit(self, name: str, *args: Any) -> None:
        """Send an event. It is handled when the test waits for something.

        Raises:
            SessionClosed: the client is gone.
            RuntimeError: it was not connected.
            TypeError, ValueError: the arguments cannot be JSON.
        """
        self._emit([name, *args])

    def send(self, message: Any) -> None:
        """Send ``message`` as the event ``message``; see :meth:`emit`."""
        self.emit("message", message)

    def call(self, name: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and wait for its acknowledgement. Everything that was sent before has been handled then.

        Returns:
            ``None`` where it has no argument, the argument itself where it has one, else a list.

        Raises:
            AckTimeout: it did not come within ``timeout`` seconds.
            SessionClosed, RuntimeError, TypeError, ValueError: as :meth:`emit`.
        """
        seconds = self.timeout if timeout is None else timeout
        self._emit([name, *args], len(self._acks))
        self._acks.append(result := AsyncResult())
        with gevent.Timeout(seconds, AckTimeout(f"no acknowledgement of {name!r} within {seconds:g} s")):
            answer: list[Any] | None = result.get()
        if answer is None:
            raise self._gone()
        return answer[0] if len(answer) == 1 else (answer or None)

    def _emit(self, data: list[Any], id: int | None = None) -> None:
        if self._socket is None:
            raise RuntimeError("this client is not connected: use it in a with statement, or call connect() first")
        if self._socket.reason is not None:
            raise self._gone()
        self._send(self._revision.socket.encode_event(self.namespace, data, id))

    def _send(self, encoded: EncodedPacket) -> None:
        text, attachments = encoded
        packets: list[EnginePacket] = [(MESSAGE, text.decode())]
        packets += [(MESSAGE, data) for data in attachments]
        self._deliver_soon(packets)

    def _deliver_soon(self, packets: list[EnginePacket]) -> None:
        """In the hub, where a session is told of what has arrived."""
        gevent.get_hub().loop.run_callback(self._deliver, packets)

    def _deliver(self, packets: Sequence[EnginePacket]) -> None:
        assert self._session is not None
        error = self._session.received(self._transport, packets)
        if error is not None:
            self._failure = error
            self._session.failed(self._transport, error)

    # Receiving

    @property
    def events(self) -> list[list[Any]]:
        """What has arrived and was not received yet."""
        return [data for data in self._events.queue if data is not None]

    def receive(self, timeout: float | None = None) -> list[Any]:
        """The next event, ``[name, *args]``; waits for it.

        Raises:
            TimeoutError: none came within ``timeout`` seconds.
            SessionClosed: the client is gone, and has received everything.
        """
        seconds = self.timeout if timeout is None else timeout
        try:
            data: list[Any] | None = self._events.get(timeout=seconds)
        except Empty:
            raise TimeoutError(f"no event came to this client of {self.namespace} within {seconds:g} s") from None
        if data is None:
            self._events.put(None)  # for the next call
            raise self._gone()
        return data

    def _arrived(self, packet: SocketPacket) -> None:
        if packet.type == EVENT:
            self._events.put(packet.data)
            function = self.answers.get(packet.data[0])
            if packet.id is not None and function is not None:
                gevent.spawn(self._answer, function, packet)
        elif packet.type == ACK:
            self._acks[packet.id].set(packet.data)
        elif self._joined.ready():
            self._ended()  # a DISCONNECT
        else:
            if packet.type == CONNECT:
                self._socket = self._socketio.members[self.namespace][packet.data["sid"]]
            self._joined.set(packet)

    def _answer(self, function: Callable[..., Any], packet: SocketPacket) -> None:
        try:
            result = function(*packet.data[1:])
            answer = list(result) if isinstance(result, tuple) else [] if result is None else [result]
            for encoded in self._revision.socket.encode_ack(self.namespace, packet.id, answer):
                self._send(encoded)
        except Exception as error:
            self._failure = error

    def _ended(self) -> None:
        """Nothing comes any more; who waits is told."""
        self._events.put(None)
        for result in (self._joined, *self._acks):
            if not result.ready():
                result.set(None)

    def _gone(self) -> SessionClosed:
        return SessionClosed(self.disconnect_reason or CloseReason.CLIENT)


class _Transport:
    """A :class:`~pyramid_socketio.transports.base.Transport` whose client takes everything at once, and never waits."""

    name = "websocket"
    reachable = writable = True
    direct_wire = None
    paused = False

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def send(self, message: Outgoing) -> None:
        revision = self._client._revision
        text, *attachments = [revision.engine.decode_packet(packet.decode())[1] for packet in message.packets()]
        try:
            packet = revision.socket.decode_packet(text, len(attachments))
        except PacketError as error:
            self._client._failure = error
            return
        if attachments:
            pending = PendingPacket(packet)
            for data in attachments:
                pending.add(data)
        self._client._arrived(packet)

    def send_packet(self, packet: bytes) -> None:
        if self._client._revision.engine.decode_packet(packet.decode())[0] == PING:
            self._client._deliver_soon([(PONG, "")])

    def cork(self) -> None: ...

    def uncork(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def client_closed(self) -> None: ...

    def close(self, code: int) -> None:
        self._client._ended()

    def abort(self) -> None:
        self._client._ended()
