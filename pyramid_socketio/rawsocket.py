"""A WebSocket of an application's own: messages in and out, with the methods that gevent-websocket's object has."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.select import select
from geventwebsocket.exceptions import WebSocketError

from .errors import CloseReason, PacketError, SessionClosed
from .evented.readiness import Readiness
from .evented.timers import Timer
from .evented.wire import Wire
from .protocol.websocket import BINARY, CLOSE, PING, PONG, TEXT, FrameParser, encode_close, encode_frame, parse_close
from .settings import Settings
from .transports.connected import BUDGET

__all__ = ["WebSocket", "WebSocketClosed"]

_NORMAL: Final = 1000
_SLOW_CONSUMER: Final = 1008
_PING_TIMEOUT: Final = 1011


class WebSocketClosed(SessionClosed, WebSocketError):  # type: ignore[misc]
    """Something was sent on a WebSocket that is closed. It is gevent-websocket's ``WebSocketError`` too."""


class _Closed(int):
    """True or false, and a function that says the same: the one is gevent-websocket's way, the other django's."""

    def __call__(self) -> bool:
        return bool(self)

    def __repr__(self) -> str:
        return repr(bool(self))


class _Handler:
    """What is left of gevent-websocket's request handler."""

    def __init__(self, socket: Readiness, environ: Mapping[str, Any]) -> None:
        #: Its ``fileno()`` is for ``select``; it cannot be read from.
        self.socket = socket
        self.environ = environ


class WebSocket:
    """An open WebSocket; its methods are for greenlets of the server's thread, any number of them.

    What the client sends is read in the hub, which also answers pings, and waits here in a queue with bounds
    (``socketio.max_inbox_packets``, ``max_inbox_bytes``): when it is full, reading stops. What is sent goes straight
    out; a client that does not read it, by ``socketio.write_timeout`` and ``max_queue_bytes``, is closed with 1008.
    A client that does not answer a ping within ``ping_timeout`` is closed with 1011.

    When the client says goodbye, or breaks the protocol, the messages before that can still be received and answered:
    the close frame goes out with the ``receive()`` behind the last one, at most ``socketio.close_timeout`` later.

    Args:
        wire: of the connection, with the answer to the handshake sent; from now on the socket's.
        early: bytes that the client sent behind its handshake; handled at the next turn of the loop.
        environ: the WSGI environ of the handshake.
        protocol: the subprotocol that was agreed upon.
    """

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_bytes",
        "_closed",
        "_drained",
        "_goodbye",
        "_heard",
        "_messages",
        "_parser",
        "_readiness",
        "_released",
        "_settings",
        "_taken",
        "_timer",
        "_wire",
        "close_code",
        "close_reason",
        "environ",
        "protocol",
    )

    def __init__(
        self,
        wire: Wire,
        early: bytes,
        settings: Settings,
        environ: Mapping[str, Any],
        protocol: str | None = None,
    ) -> None:
        self.environ = environ
        self.protocol = protocol
        #: Of the close frame that the client sent; ``None`` without one, or without a code in it.
        self.close_code: int | None = None
        self.close_reason = ""
        self._wire = wire
        self._settings = settings
        self._parser = FrameParser(settings.max_message_size, settings.max_fragments)
        self._messages: deque[str | bytes] = deque()
        self._bytes = 0
        #: Messages taken since others had their turn.
        self._taken = 0
        #: Set when there is something to receive, or never will be.
        self._arrived = Event()
        self._drained: Event | None = None
        self._readiness: Readiness | None = None
        self._released = False
        #: The close frame to be sent when all messages have been taken: nothing comes behind these.
        self._goodbye: bytes | None = None
        #: Nothing can be sent any more.
        self._closed = wire.closing
        self._heard = True
        self._timer: Timer | None = None
        if self._closed:  # while the application was deciding; the wire tells nobody again
            return
        wire.receive = self._receive
        wire.lost = self._lost
        wire.max_outbox_bytes = settings.max_queue_bytes
        wire.write_timeout = settings.write_timeout
        wire.resume()
        self._set_timer(settings.ping_interval, self._ping)
        if early:
            wire.defer(self._receive, early)

    # What gevent-websocket has

    @property
    def closed(self) -> _Closed:
        """Whether nothing is left to be received; also callable, ``closed()``."""
        return _Closed((self._closed or self._goodbye is not None) and not self._messages)

    @property
    def origin(self) -> str | None:
        return self.environ.get("HTTP_ORIGIN")

    @property
    def path(self) -> str | None:
        return self.environ.get("PATH_INFO")

    @property
    def version(self) -> str | None:
        return self.environ.get("HTTP_SEC_WEBSOCKET_VERSION")

    @property
    def handler(self) -> _Handler:
        """For ``websocket.handler.socket.fileno()``; see :meth:`fileno`."""
        return _Handler(self._descriptor(), self.environ)

    def receive(self) -> str | bytes | None:
        """The next message, text or binary; ``None`` when the WebSocket is closed. Blocks its greenlet."""
        if self._taken >= BUDGET:
            self._taken = 0
            gevent.sleep(0)
        while not self._messages:
            if self._goodbye is not None:
                self._finish(self._goodbye)
            if self._closed:
                return None
            self._taken = 0
            self._arrived.clear()
            self._arrived.wait()
        message = self._messages.popleft()
        self._bytes -= len(message)
        self._taken += 1
        if self._wire.paused and not self._is_full(2):
            self._heard = True  # by now the answer to a ping may wait in the kernel
            self._wire.resume()
        self._signal()
        return message

    def send(self, message: str | bytes | bytearray | memoryview, binary: bool | None = None) -> None:
        """Send a message. Never blocks; see :meth:`drain`.

        Args:
            binary: whether it goes as binary data; by default, what is not ``str`` does.

        Raises:
            WebSocketClosed: it is closed.
            TypeError: neither text nor bytes.
            ValueError: bytes that shall be sent as text are not UTF-8.
        """
        if self._closed:
            raise WebSocketClosed(CloseReason.TRANSPORT_CLOSE)
        if isinstance(message, str):
            payload = message.encode()
        elif isinstance(message, (bytes, bytearray, memoryview)):
            payload = bytes(message)
            if binary is False:
                payload.decode()
        else:
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        if binary is None:
            binary = not isinstance(message, str)
        self._wire.send(encode_frame(BINARY if binary else TEXT, payload))

    def close(self, code: int = _NORMAL, message: str | bytes = "") -> None:
        """Say goodbye; what was sent before goes out first, and messages not yet received are dropped.

        Nothing happens where it is closed already.

        Args:
            message: the reason that the client is told, cut to 123 bytes.

        Raises:
            ValueError: not a code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.
        """
        try:
            parse_close(code.to_bytes(2, "big"))
        except (PacketError, OverflowError):
            raise ValueError(f"{code} is not a close code that may be sent") from None
        reason = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self._messages.clear()
        self._bytes = 0
        self._finish(encode_close(code, reason))

    # What it has not

    def fileno(self) -> int:
        """A descriptor for ``select``, readable while :meth:`receive` does not block; -1 when the view has ended.

        Not the connection's own: what has been read from that and waits here would not wake anybody.
        """
        return self._descriptor().fileno()

    def select(self, others: list[Any], timeout: float | None = None) -> list[Any]:
        """Wait until this or one of ``others`` can be read from, by gevent's ``select`` whether patched or not.

        Args:
            others: descriptors, or objects with ``fileno()``.
            timeout: seconds; forever where it is not given.

        Returns:
            Those of ``[self, *others]`` that can.
        """
        ready: list[Any] = select([self, *others], [], [], timeout)[0]
        return ready

    def drain(self) -> None:
        """Wait until the client has taken what was sent. Call it between the pieces of something big.

        Raises:
            WebSocketClosed: there is nobody who could.
        """
        if self._wire.outbox_bytes:
            if self._drained is None:
                self._drained = Event()
                self._wire.when_drained(self._wake_drained)
            self._drained.wait()
        if self._closed:
            raise WebSocketClosed(CloseReason.TRANSPORT_CLOSE)

    def release(self, code: int) -> None:
        """The view has ended: close with a code, unless it is closed, and give the descriptor back."""
        self.close(code)
        self._released = True
        if self._readiness is not None:
            self._readiness.close()

    # In the hub

    def _receive(self, data: bytes) -> None:
        if self._closed or self._goodbye is not None:
            return
        self._heard = True
        parser = self._parser
        ping: Any = None
        close: Any = None
        for opcode, payload in parser.feed(data):
            if opcode <= BINARY:
                self._messages.append(payload)
                self._bytes += len(payload)
            elif opcode == PING:
                ping = payload
            elif opcode == CLOSE:
                close = payload
        if ping is not None and not self._wire.outbox_bytes:
            # RFC 6455, 5.5.3: of several pings the last one may be answered alone; to a client that does not read, none
            # needs to be. So a flood of pings fills nothing.
            self._wire.send(encode_frame(PONG, ping))
        if parser.error is not None:
            self._end(encode_close(parser.error.close_code))
        elif close is not None:
            self.close_code, self.close_reason = parse_close(close)
            self._end(encode_close(self.close_code))
        elif self._is_full():
            self._wire.pause()
        self._wake()

    def _is_full(self, share: int = 1) -> bool:
        """Whether the queue is full; with ``share`` 2, whether it is half full."""
        settings = self._settings
        return (
            len(self._messages) * share >= settings.max_inbox_packets or self._bytes * share >= settings.max_inbox_bytes
        )

    def _wake(self) -> None:
        self._arrived.set()
        self._signal()

    def _wake_drained(self) -> None:
        # Before any of those who wait goes on: the first may have sent more, and wait anew.
        drained, self._drained = self._drained, None
        assert drained is not None
        drained.set()

    def _lost(self, error: BaseException | None) -> None:
        if isinstance(error, BufferError) and not self._wire.closed:
            # A client that reads again within `write_timeout` finds out why; otherwise the wire resets it.
            self._wire.close(last_words=encode_close(_SLOW_CONSUMER))
        self._closed = True
        self._set_timer(None)
        self._wake()

    def _ping(self) -> None:
        self._heard = False
        self._wire.send(encode_frame(PING, b""))
        if not self._closed:  # that may have found out
            self._set_timer(self._settings.ping_timeout, self._check)

    def _check(self) -> None:
        settings = self._settings
        if self._heard or self._wire.paused:
            self._set_timer(max(settings.ping_interval - settings.ping_timeout, 0.0), self._ping)
        else:
            self._finish(encode_close(_PING_TIMEOUT))

    # The end

    def _end(self, goodbye: bytes) -> None:
        """Nothing more comes from the client."""
        if self._closed:
            return
        self._goodbye = goodbye
        self._set_timer(self._settings.close_timeout, self._give_up)

    def _give_up(self) -> None:
        """The view does not ask for what is left, and the client has waited long enough."""
        assert self._goodbye is not None
        self._finish(self._goodbye)

    def _finish(self, last_words: bytes) -> None:
        if self._closed:
            return
        self._closed = True
        self._set_timer(None)
        self._wire.close(self._settings.close_timeout, last_words)
        self._wake()

    # Tools

    def _descriptor(self) -> Readiness:
        if self._readiness is None:
            self._readiness = Readiness()
            if self._released:
                self._readiness.close()
            self._signal()
        return self._readiness

    def _signal(self) -> None:
        if self._readiness is not None:
            self._readiness.set(bool(self._messages) or self._closed or self._goodbye is not None)

    def _set_timer(self, delay: float | None, callback: Any = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay is not None:
            self._timer = self._wire.timers.schedule(delay, callback)
