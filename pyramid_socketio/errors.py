"""Every exception of the package, and the reasons for which a connection ends.

What an error means on the wire sits on its class (``http_status``, ``code``, ``close_code``, ``reason``), so that one
``except`` at the edge answers all of them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeVar

__all__ = [
    "AckTimeout",
    "AttachmentError",
    "BadHandshakeMethod",
    "BadRequest",
    "BinaryRefused",
    "BindError",
    "CloseReason",
    "ConnectRefused",
    "Forbidden",
    "HandshakeError",
    "HTTPError",
    "LimitExceeded",
    "NoNamespace",
    "NoSocket",
    "NotCarried",
    "PacketError",
    "PayloadTooLarge",
    "ProtocolError",
    "SessionClosed",
    "SocketIOError",
    "TextError",
    "UnknownSid",
    "UnknownTransport",
    "UnsupportedRevision",
]

_Error = TypeVar("_Error", bound="ProtocolError")


class CloseReason:
    """Why a session or a namespace ended; the value of ``SocketIOContext.disconnect_reason``."""

    #: The client left the namespace or closed the session.
    CLIENT: Final = "client"
    #: The application disconnected the client.
    SERVER: Final = "server"
    PING_TIMEOUT: Final = "ping timeout"
    #: The connection was closed in an orderly way, without a word of the protocol.
    TRANSPORT_CLOSE: Final = "transport close"
    #: The connection broke.
    TRANSPORT_ERROR: Final = "transport error"
    #: More was waiting for the client than the limits allow.
    SLOW_CONSUMER: Final = "slow consumer"
    PAYLOAD_TOO_LARGE: Final = "payload too large"
    PROTOCOL_ERROR: Final = "protocol error"
    #: A count limit was passed (namespaces, attachments, fragments, ...).
    LIMIT: Final = "limit exceeded"
    #: No namespace was connected within ``connect_timeout``.
    CONNECT_TIMEOUT: Final = "connect timeout"
    SHUTDOWN: Final = "shutdown"


class SocketIOError(Exception):
    """Base of everything that this package raises on purpose."""


class ProtocolError(SocketIOError):
    """The peer is wrong: answered with HTTP 400 or a WebSocket close frame, logged at INFO, never with a traceback."""

    #: WebSocket close code, RFC 6455 section 7.4.
    close_code: ClassVar[int] = 1002
    reason: ClassVar[str] = CloseReason.PROTOCOL_ERROR

    def without_frames(self: _Error) -> _Error:
        """The same error, to be kept: the frames of its traceback, and of the error behind it, would hold a session.

        (``from None`` hides the error behind it, and keeps it.)
        """
        self.__context__ = None
        return self.with_traceback(None)


class PacketError(ProtocolError):
    """Bytes that no packet of the revision can be."""


class BinaryRefused(PacketError):
    """Binary data from a client whose revision has none."""

    close_code = 1003


class AttachmentError(PacketError):
    """Binary data that was announced and is missing, came unannounced, or is referred to wrongly."""


class TextError(ProtocolError):
    """Text that is not UTF-8."""

    close_code = 1007


class PayloadTooLarge(ProtocolError):
    """More bytes than ``max_message_size`` allows; found out before they were read."""

    close_code = 1009
    reason = CloseReason.PAYLOAD_TOO_LARGE


class LimitExceeded(ProtocolError):
    """More parts than a count limit allows: fragments, attachments, packets, namespaces."""

    close_code = 1008
    reason = CloseReason.LIMIT


class HTTPError(ProtocolError):
    """A request that HTTP/1.1 does not allow. The connection is closed after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HandshakeError(ProtocolError):
    """A request outside of any session, or one that does not fit its session.

    ``code`` and ``message`` are the reference server's (Engine.IO 4, "Errors before or outside a session").
    """

    http_status: ClassVar[int] = 400
    code: ClassVar[int] = 3
    message: ClassVar[str] = "Bad request"

    def __init__(self, detail: str = "") -> None:
        #: What happened, for the log; never sent to the client.
        super().__init__(detail or self.message)


class UnknownTransport(HandshakeError):
    code = 0
    message = "Transport unknown"


class RefusedTransport(UnknownTransport):
    """One that the setting ``transports`` keeps out: the client never gets in, which is for somebody to change."""


class UnknownSid(HandshakeError):
    code = 1
    message = "Session ID unknown"


class BadHandshakeMethod(HandshakeError):
    code = 2
    message = "Bad handshake method"


class BadRequest(HandshakeError):
    code = 3
    message = "Bad request"


class NoUpgrade(BadRequest):
    """A request for a WebSocket that does not ask for the protocol: mostly a proxy has kept the header."""


class Forbidden(HandshakeError):
    http_status = 403
    code = 4
    message = "Forbidden"


class UnsupportedRevision(HandshakeError):
    code = 5
    message = "Unsupported protocol version"


class SessionClosed(SocketIOError):
    """Something was asked of a client that is gone; ``reason`` is one of :class:`CloseReason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the client is gone: {reason}")
        self.reason = reason


class NotCarried(SocketIOError):
    """The client's revision of the protocol has no form for this: binary data, or acknowledgements."""


class ConnectRefused(SocketIOError):
    """Raised by the application while a client connects to a namespace; becomes a CONNECT_ERROR packet.

    Args:
        message: what the client sees as ``err.message``.
        data: any JSON value, ``err.data`` at the client; left out when ``None``.
    """

    def __init__(self, message: str = "Connection refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class NoNamespace(ConnectRefused):
    """No context answers this namespace.

    Args:
        served: the patterns of those that there are, for the log.
    """

    def __init__(self, served: tuple[str, ...] = ()) -> None:
        super().__init__("Invalid namespace")
        self.served = served


class NoSocket(SocketIOError):
    """Nobody is there to receive what was to be sent."""


class AckTimeout(SocketIOError, TimeoutError):
    """The client did not acknowledge in time."""


class BindError(SocketIOError):
    """The address cannot be listened on; the text says which and why."""
