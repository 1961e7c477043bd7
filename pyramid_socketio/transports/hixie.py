"""WebSockets of the drafts before RFC 6455, hixie-76 and hixie-75: what Flash and the browsers of 2010 open.

(Protocol reference for Socket.IO 0.5 and 0.6, section 8.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..evented.wire import Wire
from ..protocol.hixie import KEY3_SIZE, Handshake, HixieParser, check_handshake, encode_close, encode_frame
from ..protocol.http import Head
from ..protocol.revisions import Revision
from ..protocol.websocket import HandshakeRefused
from ..settings import Settings
from .base import SessionCallbacks
from .classic_websocket import ClassicWebSocketTransport

__all__ = ["HixieTransport", "PendingHandshake", "recognise"]

#: Seconds that a client has for the part of its key that comes behind its request.
KEY_TIMEOUT: Final = 10.0


def recognise(head: Head, scheme: str, settings: Settings) -> Handshake | None:
    """Judge a request to open a WebSocket by its headers; its origin is the caller's to judge.

    Args:
        scheme: of the URL that the client has opened, ``http`` or ``https``.

    Returns:
        ``None`` for the handshake of RFC 6455, which is to be judged as such.

    Raises:
        HandshakeRefused: 400 for bad keys, and for every such handshake where the setting ``hixie`` is off.
    """
    headers = head.headers
    if "sec-websocket-key" in headers or "sec-websocket-version" in headers:
        return None
    if not settings.hixie:
        raise HandshakeRefused(
            400, "not a WebSocket of RFC 6455; those before it (hixie-75, hixie-76) need socketio.hixie = true"
        )
    if head.version != "HTTP/1.1":
        raise HandshakeRefused(400, "a WebSocket handshake needs HTTP/1.1")
    query = f"?{head.query}" if head.query else ""
    location = f"{'wss' if scheme == 'https' else 'ws'}://{headers['host']}{head.path}{query}"
    return check_handshake(headers, location)


class PendingHandshake:
    """A handshake between the head of its answer and the first frame.

    The head goes out at once, the digest when the client has sent the last part of its key: some proxies hold that back
    until they see an answer.

    Args:
        wire: of the connection; from ``ready`` on it is no longer used here, and before ``lost`` it is closed.
        head: of the application's answer, status 101; its headers go behind those of the draft.
        early: bytes that the client sent behind its request.
        ready: called once when frames may be sent, perhaps at once, with the bytes behind the key.
        lost: called once, instead of that, perhaps at once, when the client has gone or did not send its key in time.
    """

    __slots__ = ("_handshake", "_key3", "_lost", "_ready", "_timer", "_wire")

    def __init__(
        self,
        wire: Wire,
        handshake: Handshake,
        head: bytes,
        early: bytes,
        ready: Callable[[bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._wire = wire
        self._handshake = handshake
        self._key3 = b""
        self._ready = ready
        self._lost = lost
        if wire.closed:  # while the application was deciding; it has told its earlier owner
            lost()
            return
        self._timer = wire.timers.schedule(KEY_TIMEOUT, self._timed_out)
        wire.receive = self._receive
        wire.lost = self._gone
        wire.resume()
        wire.send(handshake.head[: -len(b"\r\n")] + head[head.index(b"\r\n") + 2 :])
        if not wire.closed:
            self._receive(early)

    def _receive(self, data: bytes) -> None:
        received = self._key3 + data
        if self._handshake.keys is not None:
            if len(received) < KEY3_SIZE:
                self._key3 = received
                return
            key3, received = received[:KEY3_SIZE], received[KEY3_SIZE:]
            self._wire.send(self._handshake.digest(key3))
            if self._wire.closed:  # that has found the client gone, and said so
                return
        self._timer.cancel()
        self._ready(received)

    def _gone(self, error: BaseException | None) -> None:
        self._timer.cancel()
        self._lost()

    def _timed_out(self) -> None:
        self._wire.abort()
        self._lost()


def _encode(packets: list[bytes]) -> bytes:
    return b"".join([encode_frame(packet) for packet in packets])


class HixieTransport(ClassicWebSocketTransport):
    """An open WebSocket of a draft.

    Args:
        wire: of the connection; from now on the transport's.
        name: of the transport, as in the URL: ``websocket`` or ``flashsocket``.
        early: bytes that the client sent behind its handshake.
    """

    __slots__ = ()

    def __init__(
        self,
        wire: Wire,
        name: str,
        revision: Revision,
        settings: Settings,
        session: SessionCallbacks,
        early: bytes = b"",
    ) -> None:
        super().__init__(wire, name, revision, settings, session, early, HixieParser(settings.max_message_size))

    @property
    def direct_wire(self) -> Wire | None:
        return None  # its frames are not those of RFC 6455

    def send(self, message: Any) -> None:
        self._send(message.form(_encode))

    def send_packet(self, packet: bytes) -> None:
        self._send(encode_frame(packet))

    def _last_words(self, code: int | None) -> bytes:
        # In hixie-75 this is a frame without content, which clients drop.
        return encode_close()
