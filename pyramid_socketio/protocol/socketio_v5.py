"""Socket.IO protocol 5: ``<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`` (section "Text form")."""

from __future__ import annotations

import re
from typing import Any, Final

from ..errors import AttachmentError, LimitExceeded, PacketError
from .attachments import extract
from .jsontext import Default, dumps, loads
from .packets import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    MAX_ACK_ID,
    RESERVED_EVENTS,
    EncodedPacket,
    SocketPacket,
)

__all__ = ["decode_packet", "encode_ack", "encode_connect", "encode_connect_error", "encode_disconnect", "encode_event"]

# [0-9], because \d and str.isdigit() take the digits of every script. The counts are cut at 15 and 17 digits: more is
# an error anyway, and int() takes long for thousands of them.
_HEAD: Final = re.compile(r"([0-6])(?:([0-9]{1,15})-)?(/[^,]*(?:,|\Z))?([0-9]{1,17})?")


def decode_packet(text: str, max_attachments: int) -> SocketPacket:
    """Read the text of a packet.

    Returns:
        The packet; where ``attachments`` is not 0 its data has placeholders for the binary messages to come.

    Raises:
        PacketError: see "What the decoder refuses"; also an event or an ack without JSON, and ack ids over 2**53-1.
        LimitExceeded: more than ``max_attachments``.
    """
    if text[:2] == "2[":  # nearly every packet is an event in the main namespace that asks for no ack
        return SocketPacket(EVENT, "/", _event(loads(text[1:])), None, 0, len(text))
    match = _HEAD.match(text)
    if match is None:
        raise PacketError("unknown packet type")
    digit, count, namespace, number = match.groups()
    type = int(digit)
    attachments = 0
    if type >= BINARY_EVENT:
        attachments = _attachments(count, max_attachments)
        type = EVENT if type == BINARY_EVENT else ACK
    elif count is not None:
        raise PacketError("attachments on a packet that has none")
    id = None if number is None else int(number)
    if id is not None and id > MAX_ACK_ID:
        raise PacketError("ack id out of range")
    rest = text[match.end() :]
    data = loads(rest) if rest else None
    _CHECKS[type](data)
    return SocketPacket(type, namespace.rstrip(",") if namespace else "/", data, id, attachments, len(text))


def _attachments(count: str | None, limit: int) -> int:
    # A count of 0 would leave a decoder waiting for ever (CVE-2026-69185).
    if count is None or int(count) == 0:
        raise AttachmentError("illegal attachments")
    if int(count) > limit:
        raise LimitExceeded(f"more than {limit} attachments")
    return int(count)


def _event(data: Any) -> Any:
    if type(data) is list and data:
        name = data[0]
        kind = type(name)
        if (kind is str and name not in RESERVED_EVENTS) or kind is int or kind is float:
            return data
    raise PacketError("an event is an array that starts with its name")


def _ack(data: Any) -> None:
    if type(data) is not list:
        raise PacketError("an ack is an array")


def _connect(data: Any) -> None:
    if data is not None and type(data) is not dict:
        raise PacketError("the data of CONNECT is an object")


def _disconnect(data: Any) -> None:
    if data is not None:
        raise PacketError("DISCONNECT has no data")


def _connect_error(data: Any) -> None:
    if type(data) is not dict and type(data) is not str:
        raise PacketError("the data of CONNECT_ERROR is an object or a text")


_CHECKS: Final = {
    CONNECT: _connect,
    DISCONNECT: _disconnect,
    EVENT: _event,
    ACK: _ack,
    CONNECT_ERROR: _connect_error,
}


def _head(type: int, namespace: str, id: int | None = None) -> bytes:
    # On output the comma is always written.
    where = b"" if namespace == "/" else namespace.encode() + b","
    return b"%d%b%b" % (type, where, b"" if id is None else b"%d" % id)


def _encode(type: int, namespace: str, id: int | None, data: list[Any], default: Default | None) -> EncodedPacket:
    json, attachments = extract(data, default)
    if attachments:
        where = _head(type + 3, namespace, id)
        return EncodedPacket(b"%b%d-%b%b" % (where[:1], len(attachments), where[1:], json), attachments)
    return EncodedPacket(_head(type, namespace, id) + json, attachments)


def encode_event(
    namespace: str, data: list[Any], id: int | None = None, default: Default | None = None
) -> EncodedPacket:
    """An event: ``data`` is ``[name, *args]``; ``id`` asks for an ack.

    Raises:
        TypeError, ValueError: the data cannot be JSON.
    """
    return _encode(EVENT, namespace, id, data, default)


def encode_ack(namespace: str, id: int, data: list[Any], default: Default | None = None) -> EncodedPacket:
    """The answer to an event; ``data`` is the list of arguments."""
    return _encode(ACK, namespace, id, data, default)


def encode_connect(namespace: str, sid: str) -> EncodedPacket:
    """The client is in. The suites want ``sid`` to be the only key."""
    return EncodedPacket(_head(CONNECT, namespace) + dumps({"sid": sid}), [])


def encode_connect_error(namespace: str, message: str, data: Any = None) -> EncodedPacket:
    """The client is not let in; ``data`` is left out when ``None``."""
    body = {"message": message} if data is None else {"message": message, "data": data}
    return EncodedPacket(_head(CONNECT_ERROR, namespace) + dumps(body), [])


def encode_disconnect(namespace: str) -> EncodedPacket:
    """The server ends the namespace; the client does not come back by itself."""
    return EncodedPacket(_head(DISCONNECT, namespace), [])


assert BINARY_EVENT == EVENT + 3 and BINARY_ACK == ACK + 3
