"""Socket.IO protocols 4 and 3: the packets of clients 1.x and 2.x (protocol reference for Engine.IO 3, section 8).

The form is that of Socket.IO 5. What is written has ASCII only, because clients up to 1.7 encode text as UTF-8 twice
and clients from 2.0 do not: escaped, both are the same bytes (section 3.4).
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

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
    EncodedPacket,
    SocketPacket,
)

__all__ = ["NEW", "OLD", "Codec"]

# As in Socket.IO 5; only acks of clients 1.0.0 to 1.0.2 have a count without being binary.
_HEAD: Final = re.compile(r"([0-6])(?:([0-9]{1,15})-)?(/[^,]*(?:,|\Z))?([0-9]{1,17})?")

_NOT_ASCII: Final = re.compile("[^\x00-\x7f]+")

#: In characters; about what servers take in a URL. Each field of a query takes time.
_MAX_QUERY: Final = 8192


class Codec:
    """The codec of one kind of client.

    Args:
        old: clients up to 1.3; among them are 1.0.0 to 1.0.2, whose acks have another form.
    """

    def __init__(self, old: bool) -> None:
        self._old = old

    def decode_packet(self, text: str, max_attachments: int) -> SocketPacket:
        """Read the text of a packet. The data of CONNECT is its query string as a dict, or ``None``.

        Raises:
            PacketError: no packet; the newest parsers of these clients' time end the connection, too.
            LimitExceeded: more than ``max_attachments``, or a query that is too long.
        """
        if text[:2] == "2[":  # nearly every packet is an event in the main namespace that asks for no ack
            event = loads(text[1:])
            _check_event(event)
            return SocketPacket(EVENT, "/", event, None, 0, len(text))
        match = _HEAD.match(text)
        if match is None:
            raise PacketError("unknown packet type")
        digit, count, where, number = match.groups()
        kind, attachments = _kind(int(digit), count, max_attachments)
        id = None if number is None else int(number)
        if id is not None and id > MAX_ACK_ID:
            raise PacketError("ack id out of range")
        namespace, _, query = (where.rstrip(",") if where else "/").partition("?")
        rest = text[match.end() :]
        if kind == EVENT or kind == ACK:
            if not rest:
                raise PacketError("a packet without JSON")
            data = loads(rest)
            (_check_event if kind == EVENT else _check_ack)(data)
        else:
            # These carry no JSON; what a client sends all the same has no meaning.
            data = _query(query) if kind == CONNECT else None
        return SocketPacket(kind, namespace, data, id, attachments, len(text))

    def encode_event(
        self, namespace: str, data: list[Any], id: int | None = None, default: Default | None = None
    ) -> EncodedPacket:
        """An event: ``data`` is ``[name, *args]``; ``id`` asks for an ack.

        Raises:
            TypeError, ValueError: the data cannot be JSON.
        """
        if id is None:
            json = plain_dumps(data)
            if json is not None:
                return ((b"2" if namespace == "/" else _head(EVENT, namespace)) + _ascii(json), ())
        json, attachments = extract(data, default)
        if attachments:
            return (_binary_head(BINARY_EVENT, len(attachments), namespace, id) + _ascii(json), attachments)
        return (_head(EVENT, namespace, id) + _ascii(json), ())

    def encode_ack(
        self, namespace: str, id: int, data: list[Any], default: Default | None = None
    ) -> list[EncodedPacket]:
        """The answer to an event; ``data`` is the list of arguments.

        Clients 1.0.0 to 1.0.2 hang on an ack without a count, and cannot be told from 1.0.3 to 1.3. So all of these get
        the ack in two forms; each takes one of them and drops the other (section 8.3).
        """
        json, attachments = extract(data, default)
        json = _ascii(json)
        if attachments:
            return [(_binary_head(BINARY_ACK, len(attachments), namespace, id) + json, attachments)]
        if self._old:
            return [(_binary_head(type, 0, namespace, id) + json, ()) for type in (ACK, BINARY_ACK)]
        return [(_head(ACK, namespace, id) + json, ())]

    def encode_connect(self, namespace: str, sid: str) -> EncodedPacket:
        """The client is in. It makes the id itself."""
        return (_head(CONNECT, namespace), ())

    def encode_connect_error(self, namespace: str, message: str, data: Any = None) -> EncodedPacket:
        """The client is not let in: "``data`` of the error object instead of the text if it has one"."""
        return (_head(CONNECT_ERROR, namespace) + _ascii(dumps(message if data is None else data)), ())

    def encode_disconnect(self, namespace: str) -> EncodedPacket:
        """The server ends the namespace; the client does not come back by itself."""
        return (_head(DISCONNECT, namespace), ())


NEW: Final = Codec(old=False)
OLD: Final = Codec(old=True)


def _kind(kind: int, count: str | None, limit: int) -> tuple[int, int]:
    """The type without its binary form, and the number of attachments."""
    if kind >= BINARY_EVENT:
        if count is None:
            raise AttachmentError("illegal attachments")
        kind = EVENT if kind == BINARY_EVENT else ACK
    elif count is not None and kind != ACK:
        raise PacketError("attachments on a packet that has none")
    attachments = int(count or 0)
    if attachments > limit:
        raise LimitExceeded(f"more than {limit} attachments")
    return kind, attachments


def _query(query: str) -> dict[str, str] | None:
    if len(query) > _MAX_QUERY:
        raise LimitExceeded(f"a query of more than {_MAX_QUERY} characters")
    return dict(parse_qsl(query, keep_blank_values=True)) or None


def _check_event(data: Any) -> None:
    if type(data) is not list or not data or type(data[0]) is not str:
        raise PacketError("an event is an array that starts with its name")


def _check_ack(data: Any) -> None:
    if type(data) is not list:
        raise PacketError("an ack is an array")


def _head(type: int, namespace: str, id: int | None = None) -> bytes:
    where = b"" if namespace == "/" else namespace.encode() + b","
    return b"%d%b%b" % (type, where, b"" if id is None else b"%d" % id)


def _binary_head(type: int, attachments: int, namespace: str, id: int | None) -> bytes:
    head = _head(type, namespace, id)
    return b"%b%d-%b" % (head[:1], attachments, head[1:])


def _ascii(json: bytes) -> bytes:
    if json.isascii():
        return json
    return _NOT_ASCII.sub(_escape, json.decode()).encode()


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be").hex()
    return "".join([f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4)])
