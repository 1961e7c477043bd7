"""Socket.IO protocols 4 and 3: the packets of clients 1.x and 2.x (protocol reference for Engine.IO 3, section 8).

The form is that of Socket.IO 5. What is written has ASCII only, because clients up to 1.7 encode text as UTF-8 twice
and clients from 2.0 do not: escaped, both are the same bytes (section 3.4).
"""

from __future__ import annotations

import json
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
from .socketio_v5 import HEAD, check_ack, encode_head

__all__ = ["NEW", "OLD", "Codec"]

# What json.dumps writes as the same text, but for the characters that are not ASCII: one match for many of them.
_NOT_ASCII: Final = re.compile(r'[^\x00-\x7f][^"\\]*')

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
            if not event or event[0].__class__ is not str:
                _check_event(event)
            return SocketPacket(EVENT, "/", event, None, 0, len(text))
        match = HEAD.match(text)
        if match is None:
            raise PacketError("unknown packet type")
        digit, count, where, number = match.groups()
        kind, attachments = _kind(int(digit), count, max_attachments)
        id = None if number is None else int(number)
        if id is not None and id > MAX_ACK_ID:
            raise PacketError("ack id out of range")
        namespace, _, query = (where.rstrip(",") if where else "/").partition("?")
        rest = text[match.end() :]
        data = loads(rest) if rest else None
        if kind == EVENT:
            _check_event(data)
        elif kind == ACK:
            check_ack(data)
        elif kind == CONNECT:
            # The newest parsers take JSON here, too, but no client of these protocols means anything by it.
            data = _query(query)
        elif kind == DISCONNECT and rest:
            raise PacketError("DISCONNECT has no data")
        return SocketPacket(kind, namespace, data, id, attachments, len(text))

    def encode_event(
        self, namespace: str, data: list[Any], id: int | None = None, default: Default | None = None
    ) -> EncodedPacket:
        """An event: ``data`` is ``[name, *args]``; ``id`` asks for an ack.

        Raises:
            TypeError, ValueError: the data cannot be JSON.
        """
        if id is None:
            text = plain_dumps(data)
            if text is not None:
                return ((b"2" if namespace == "/" else encode_head(EVENT, namespace)) + _ascii(text), ())
        text, attachments = extract(data, default)
        if attachments:
            return (_binary_head(BINARY_EVENT, len(attachments), namespace, id) + _ascii(text), attachments)
        return (encode_head(EVENT, namespace, id) + _ascii(text), ())

    def encode_ack(
        self, namespace: str, id: int, data: list[Any], default: Default | None = None
    ) -> list[EncodedPacket]:
        """The answer to an event; ``data`` is the list of arguments.

        Clients 1.0.0 to 1.0.2 hang on an ack without a count, and cannot be told from 1.0.3 to 1.3. So all of these get
        the ack in two forms; each takes one of them and drops the other (section 8.3).
        """
        text, attachments = extract(data, default)
        text = _ascii(text)
        if attachments:
            return [(_binary_head(BINARY_ACK, len(attachments), namespace, id) + text, attachments)]
        if self._old:
            return [(_binary_head(type, 0, namespace, id) + text, ()) for type in (ACK, BINARY_ACK)]
        return [(encode_head(ACK, namespace, id) + text, ())]

    def encode_connect(self, namespace: str, sid: str) -> EncodedPacket:
        """The client is in. It makes the id itself."""
        return (encode_head(CONNECT, namespace), ())

    def encode_connect_error(self, namespace: str, message: str, data: Any = None) -> EncodedPacket:
        """The client is not let in: "``data`` of the error object instead of the text if it has one"."""
        return (encode_head(CONNECT_ERROR, namespace) + _ascii(dumps(message if data is None else data)), ())

    def encode_disconnect(self, namespace: str) -> EncodedPacket:
        """The server ends the namespace; the client does not come back by itself."""
        return (encode_head(DISCONNECT, namespace), ())


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
    # No name is reserved here. A bool is an int in Python, but no name.
    if type(data) is not list or not data or type(data[0]) not in (str, int, float):
        raise PacketError("an event is an array that starts with its name")


def _binary_head(type: int, attachments: int, namespace: str, id: int | None) -> bytes:
    head = encode_head(type, namespace, id)
    return b"%b%d-%b" % (head[:1], attachments, head[1:])


def _ascii(text: bytes) -> bytes:
    if text.isascii():
        return text
    return _NOT_ASCII.sub(_escape, text.decode()).encode()


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
