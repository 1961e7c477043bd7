"""What an error means on the wire sits on its class."""

from __future__ import annotations

import pytest

from pyramid_socketio import errors
from pyramid_socketio.errors import (
    AckTimeout,
    AttachmentError,
    BadHandshakeMethod,
    BadRequest,
    CloseReason,
    ConnectRefused,
    Forbidden,
    HandshakeError,
    HTTPError,
    LimitExceeded,
    PacketError,
    PayloadTooLarge,
    ProtocolError,
    SessionClosed,
    SocketIOError,
    TextError,
    UnknownSid,
    UnknownTransport,
    UnsupportedRevision,
)


def test_everything_has_one_base() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name != "CloseReason"]
    assert all(issubclass(error, SocketIOError) for error in classes)


@pytest.mark.parametrize(
    ("error", "close_code", "reason"),
    [
        (ProtocolError, 1002, CloseReason.PROTOCOL_ERROR),
        (PacketError, 1002, CloseReason.PROTOCOL_ERROR),
        (AttachmentError, 1002, CloseReason.PROTOCOL_ERROR),
        (TextError, 1007, CloseReason.PROTOCOL_ERROR),
        (LimitExceeded, 1008, CloseReason.LIMIT),
        (PayloadTooLarge, 1009, CloseReason.PAYLOAD_TOO_LARGE),
    ],
)
def test_how_a_websocket_is_closed(error: type[ProtocolError], close_code: int, reason: str) -> None:
    assert issubclass(error, ProtocolError)
    assert (error.close_code, error.reason) == (close_code, reason)


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (UnknownTransport, 400, 0, "Transport unknown"),
        (UnknownSid, 400, 1, "Session ID unknown"),
        (BadHandshakeMethod, 400, 2, "Bad handshake method"),
        (BadRequest, 400, 3, "Bad request"),
        (Forbidden, 403, 4, "Forbidden"),
        (UnsupportedRevision, 400, 5, "Unsupported protocol version"),
    ],
)
def test_the_table_of_the_reference(error: type[HandshakeError], status: int, code: int, message: str) -> None:
    assert (error.http_status, error.code, error.message) == (status, code, message)
    # What happened is for the log and stays out of the answer.
    assert str(error("why")) == "why"
    assert str(error()) == error("why").message == message


def test_the_reasons_differ() -> None:
    reasons = [reason for name, reason in vars(CloseReason).items() if name.isupper()]
    assert len(set(reasons)) == len(reasons) == 11


def test_errors_for_the_application() -> None:
    assert SessionClosed(CloseReason.CLIENT).reason == "client"
    assert str(SessionClosed(CloseReason.CLIENT)) == "the client is gone: client"
    refused = ConnectRefused("no", {"code": 7})
    assert (refused.message, refused.data, str(refused)) == ("no", {"code": 7}, "no")
    assert ConnectRefused().data is None
    assert issubclass(AckTimeout, TimeoutError)
    assert HTTPError(431, "too long").status == 431
