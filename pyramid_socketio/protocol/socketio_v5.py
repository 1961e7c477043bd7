"""Socket.IO protocol 5: ``<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`` (section "Text form")."""

from __future__ import annotations

import re
from typing import Any, Final

from ..errors import AttachmentError, LimitExceeded, PacketError
from .attachments import extract
from .jsontext import Default, dumps, loads, plain_dumps
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

__all__ = [
    "HEAD",
    "check_ack",
    "decode_packet",
    "encode_ack",
    "encode_connect",
    "encode_connect_error",
    "encode_disconnect",
    "encode_event",
    "encode_head",
]

#: Type, attachments, namespace with its comma, ack id; the JSON follows.
# [0-9], because \d and str.isdigit() take the digits of every script. The counts are cut at 15 and 17 digits: more is
# an error anyway, and int() takes long for thousands of them.
HEAD: Final = re.compile(r"([0-6])(?:([0-9]{1,15})-)?(/[^,]*(?:,|\Z))?([0-9]{1,17})?")


def decode_packet(text: str, max_attachments: int) -> SocketPacket:
    """Read the text of a packet.

    Returns:
        The packet; where ``attachments`` is not 0 its data has placeholders for the binary messages to come.

    Raises:
        PacketError: see "What the decoder refuses"; also an event or an ack without JSON, and ack ids over 2**53-1.
        LimitExceeded: more than ``max_attachments``.
    """
    if text[:2] == "2[":  # nearly every packet is an event in the main namespace that asks for no ack
        event = loads(text[1:])
        if not event or event[0].__class__ is not str or event[0] in RESERVED_EVENTS:
            _check_event(event)
        return SocketPacket(EVENT, "/", event, None, 0, len(text))
    match = HEAD.match(text)
    if match is None:
        raise PacketError("unknown packet type")
    digit, count, namespace, number = match.groups()
    kind = int(digit)
    attachments = 0
    if kind >= BINARY_EVENT:
        attachments = _attachments(count, max_attachments)
        kind = EVENT if kind == BINARY_EVENT else ACK
    elif count is not None:
        raise PacketError("attachments on a packet that has none")
    id = None if number is None else int(number)
    if id is not None and id > MAX_ACK_ID:
        raise PacketError("ack id out of range")
    rest = text[match.end() :]
    data = None
    if rest:
        data = loads(rest)
        _CHECKS[kind](data)
    elif kind is not CONNECT and kind is not DISCONNECT:
        raise PacketError("a packet without JSON")
    return SocketPacket(kind, namespace.rstrip(",") if namespace else "/", data, id, attachments, len(text))


def _attachments(count: str | None, limit: int) -> int:
    # A count of 0 would leave a decoder waiting for ever (CVE-2026-69185).
    if count is None or int(count) == 0:
        raise AttachmentError("illegal attachments")
    if int(count) > limit:
        raise LimitExceeded(f"more than {limit} attachments")
    return int(count)


def _check_event(data: Any) -> None:
    name = data[0] if type(data) is list and data else None
    # A bool is an int in Python, but no name.
    if not (type(name) is str and name not in RESERVED_EVENTS) and type(name) is not int and type(name) is not float:
        raise PacketError("an event is an array that starts with its name")


def check_ack(data: Any) -> None:
    """Raises PacketError where ``data`` is not the arguments of an ack."""
    if type(data) is not list:
        raise PacketError("an ack is an array")


def _check_connect(data: Any) -> None:
    if type(data) is not dict:
        raise PacketError("the data of CONNECT is an object")


def _check_disconnect(data: Any) -> None:
    raise PacketError("DISCONNECT has no data")


def _check_connect_error(data: Any) -> None:
    if type(data) is not dict and type(data) is not str:
        raise PacketError("the data of CONNECT_ERROR is an object or a text")


_CHECKS: Final = {
    CONNECT: _check_connect,
    DISCONNECT: _check_disconnect,
    EVENT: _check_event,
    ACK: check_ack,
    CONNECT_ERROR: _check_connect_error,
}


def encode_head(type: int, namespace: str, id: int | None = None) -> bytes:
    """What comes before the JSON of a packet that has no attachments."""
    # On output the comma is always written.
    where = b"" if namespace == "/" else namespace.encode() + b","
    return b"%d%b%b" % (type, where, b"" if id is None else b"%d" % id)


def _encode(type: int, namespace: str, id: int | None, data: list[Any], default: Default | None) -> EncodedPacket:
    json, attachments = extract(data, default)
    if attachments:
        where = encode_head(type + 3, namespace, id)
        return (b"%b%d-%b%b" % (where[:1], len(attachments), where[1:], json), attachments)
    return (encode_head(type, namespace, id) + json, attachments)


def encode_event(
    namespace: str, data: list[Any], id: int | None = None, default: Default | None = None
) -> EncodedPacket:
    """An event: ``data`` is ``[name, *args]``; ``id`` asks for an ack.

    Raises:
        TypeError, ValueError: the data cannot be JSON.
    """
    if id is None:
        # Most events are plain JSON; those that are not are written a second time, with what they need.
        json = plain_dumps(data)
        if json is not None:
            return (b"2" + json if namespace == "/" else encode_head(EVENT, namespace) + json, ())
    return _encode(EVENT, namespace, id, data, default)


def encode_ack(namespace: str, id: int, data: list[Any], default: Default | None = None) -> list[EncodedPacket]:
    """The answer to an event; ``data`` is the list of arguments."""
    return [_encode(ACK, namespace, id, data, default)]


def encode_connect(namespace: str, sid: str) -> EncodedPacket:
    """The client is in. The suites want ``sid`` to be the only key."""
    return (encode_head(CONNECT, namespace) + dumps({"sid": sid}), ())


def encode_connect_error(namespace: str, message: str, data: Any = None) -> EncodedPacket:
    """The client is not let in; ``data`` is left out when ``None``."""
    body = {"message": message} if data is None else {"message": message, "data": data}
    return (encode_head(CONNECT_ERROR, namespace) + dumps(body), ())


def encode_disconnect(namespace: str) -> EncodedPacket:
    """The server ends the namespace; the client does not come back by itself."""
    return (encode_head(DISCONNECT, namespace), ())


assert BINARY_EVENT == EVENT + 3 and BINARY_ACK == ACK + 3
