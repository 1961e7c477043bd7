"""Socket.IO of clients 0.7 to 0.9: ``<type>:<id>[+]:<endpoint>[:<data>]`` (their protocol reference, section 4).

The default endpoint is empty on the wire and ``/`` above. There is no binary data.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from ..errors import LimitExceeded, PacketError
from .attachments import text_only
from .jsontext import Default, loads, utf8
from .packets import ACK, CONNECT, DISCONNECT, EVENT, RESERVED_EVENTS, EncodedPacket, SocketPacket

__all__ = ["decode_packet", "encode_ack", "encode_connect", "encode_connect_error", "encode_disconnect", "encode_event"]

# [0-9], because \d and int() take the digits of every script. An id has the digits of 2**53 at most, after which
# JavaScript cannot count.
_HEAD: Final = re.compile(r"([0-8]):([0-9]{0,16}\+?):([^:]*)(?::|\Z)")

#: Some clients leave the plus out, or send it without arguments.
_ACK: Final = re.compile(r"([0-9]+)\+?")

_MAX_ID_DIGITS: Final = 16

#: For the errors.
_CLIENTS: Final = "0.7 to 0.9"

#: In characters; about what servers take in a URL. Each field of a query takes time.
_MAX_QUERY: Final = 8192

#: In characters. No application has such a namespace.
_MAX_ENDPOINT: Final = 256


def decode_packet(text: str, max_attachments: int) -> SocketPacket | None:
    """Read a packet. A message, be it text or JSON, is the event ``message``.

    An EVENT's ``id`` is the field as it came, ``1`` or ``1+``: :func:`encode_ack` needs to know which. The data of
    CONNECT is the query as a dict, a repeated field having its last value, or ``None``.

    Args:
        max_attachments: of no meaning; no packet has any.

    Returns:
        ``None`` for what is ignored: heartbeats, errors and noops (a client has nothing to say by them), reserved event
        names (servers from 0.8 on drop them), acks with an id that was never given, and namespaces without a slash,
        because "unknown namespace: no answer at all".

    Raises:
        PacketError: no packet. The reference ignores most of that; no client sends it.
        LimitExceeded: an endpoint or a query that is too long.
    """
    match = _HEAD.match(text)
    if match is None:
        raise PacketError("no packet")
    type, asked, endpoint = match.groups()
    if len(endpoint) > _MAX_ENDPOINT:
        raise LimitExceeded(f"an endpoint of more than {_MAX_ENDPOINT} characters")
    decoded = _DECODERS[type](text[match.end() :], None if asked in ("", "+") else asked)
    if decoded is None or endpoint[:1] not in ("", "/"):
        return None
    kind, data, id = decoded
    return SocketPacket(kind, endpoint or "/", data, id, 0, len(text))


#: Type, data and id of a packet; ``None`` where it is ignored.
_Decoded = tuple[int, Any, Any] | None


def _decode_disconnect(data: str, asked: str | None) -> _Decoded:
    return (DISCONNECT, None, None)


def _decode_connect(data: str, asked: str | None) -> _Decoded:
    if len(data) > _MAX_QUERY:
        raise LimitExceeded(f"a query of more than {_MAX_QUERY} characters")
    query = data.removeprefix("?")
    return (CONNECT, dict(parse_qsl(query, keep_blank_values=True)) if query else None, None)


def _decode_message(data: str, asked: str | None) -> _Decoded:
    return (EVENT, ["message", data], asked)


def _decode_json(data: str, asked: str | None) -> _Decoded:
    return (EVENT, ["message", loads(data)], asked)


def _decode_event(data: str, asked: str | None) -> _Decoded:
    event = loads(data)
    name = event.get("name") if event.__class__ is dict else None
    if name.__class__ is not str:
        raise PacketError("an event is an object with a name")
    args = event.get("args")
    if args is None:
        args = []
    elif args.__class__ is not list:
        raise PacketError("the arguments of an event are an array")
    return None if name in RESERVED_EVENTS else (EVENT, [name, *args], asked)


def _decode_ack(data: str, asked: str | None) -> _Decoded:
    match = _ACK.match(data)
    if match is None:
        raise PacketError("an ack without an id")
    json = data[match.end() :]
    args = loads(json) if json else []
    if args.__class__ is not list:
        raise PacketError("the arguments of an ack are an array")
    # int() takes long for thousands of digits.
    return None if len(match[1]) > _MAX_ID_DIGITS else (ACK, args, int(match[1]))


def _ignore(data: str, asked: str | None) -> _Decoded:
    return None


_DECODERS: Final = {
    "0": _decode_disconnect,
    "1": _decode_connect,
    "2": _ignore,
    "3": _decode_message,
    "4": _decode_json,
    "5": _decode_event,
    "6": _decode_ack,
    "7": _ignore,
    "8": _ignore,
}


def _endpoint(namespace: str) -> bytes:
    return b"" if namespace == "/" else namespace.encode()


def encode_event(
    namespace: str, data: list[Any], id: int | None = None, default: Default | None = None
) -> EncodedPacket:
    """An event: ``data`` is ``[name, *args]``; ``id`` asks for an ack with arguments.

    ``message`` with one argument goes as a message: text if it is a ``str``, else JSON. (Clients up to 0.8.2 lose a
    text message with a newline.)

    Raises:
        TypeError, ValueError: the data cannot be JSON.
        NotCarried: binary data.
    """
    if len(data) == 2 and data[0] == "message":
        message = data[1]
        if isinstance(message, str):
            type, body = b"3", utf8(message)
        else:
            type, body = b"4", text_only(message, default, _CLIENTS)
    else:
        name, *args = data
        type, body = b"5", text_only({"name": name, "args": args} if args else {"name": name}, default, _CLIENTS)
    if body and id is None and namespace == "/":  # nearly every packet
        return (type + b":::" + body, ())
    wanted = b"" if id is None else b"%d+" % id
    where = _endpoint(namespace)
    # "Without data, the third colon is left out."
    return (b"%b:%b:%b:%b" % (type, wanted, where, body) if body else b"%b:%b:%b" % (type, wanted, where), ())


def encode_ack(namespace: str, id: str, data: list[Any], default: Default | None = None) -> list[EncodedPacket]:
    """The answer to an event; ``data`` is the list of arguments.

    Args:
        id: as it came. Without a plus the client wants to know that the event arrived, and gets no arguments.

    Raises:
        TypeError, ValueError: the data cannot be JSON.
        NotCarried: binary data.
    """
    # "Ack without arguments is 6:::1 (no +[])."
    args = b"+" + text_only(data, default, _CLIENTS) if data and id[-1] == "+" else b""
    return [(b"6::%b:%b%b" % (_endpoint(namespace), id.removesuffix("+").encode(), args), ())]


def encode_connect(namespace: str, sid: str) -> EncodedPacket:
    """The client is in. It is not told the id."""
    return (b"1::" + _endpoint(namespace), ())


def encode_connect_error(namespace: str, message: str, data: Any = None) -> EncodedPacket:
    """The client is not let in. Reasons are numbers: 2, *unauthorized*, makes it fire ``connect_failed``."""
    return (b"7::%b:2" % _endpoint(namespace), ())


def encode_disconnect(namespace: str) -> EncodedPacket:
    """The server ends the namespace, or the whole connection where it is ``/``."""
    return (b"0::" + _endpoint(namespace), ())
