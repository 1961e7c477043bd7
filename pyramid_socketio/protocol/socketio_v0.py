"""Socket.IO of clients 0.5 and 0.6: messages, which are text or JSON behind ``~j~``; nothing else.

There is one namespace, and there are no events, acknowledgements or binary data. An event reaches such a client as the
message ``{"type": name, ...}``. (Protocol reference for Socket.IO 0.5 and 0.6, section 2.)
"""

from __future__ import annotations

from typing import Any, Final

from ..errors import NotCarried
from .attachments import text_only
from .jsontext import Default, loads, utf8
from .packets import EVENT, EncodedPacket, SocketPacket, as_message

__all__ = ["decode_packet", "encode_ack", "encode_connect", "encode_connect_error", "encode_disconnect", "encode_event"]

_JSON: Final = "~j~"

#: Text that starts like this would be read as something else; in JSON it is not.
_CONTROL: Final = ("~h~", _JSON)

#: As JavaScript writes them where a text is wanted.
_TEXTS: Final[dict[Any, str]] = {None: "", True: "true", False: "false"}


def decode_packet(text: str, max_attachments: int) -> SocketPacket:
    """Read a message; it is the event ``message``.

    Args:
        max_attachments: of no meaning; no message has any.

    Raises:
        PacketError: bad JSON. (Old servers gave the application an empty object.)
    """
    value = loads(text[3:]) if text[:3] == _JSON else text
    return SocketPacket(EVENT, "/", ["message", value], None, 0, len(text))


def encode_event(
    namespace: str, data: list[Any], id: int | None = None, default: Default | None = None
) -> EncodedPacket:
    """A message: the event's argument, or an object with its name as ``type``; see :func:`.packets.as_message`.

    Raises:
        TypeError, ValueError: the data cannot be JSON.
        NotCarried: binary data, an ack that is asked for, another namespace than ``/``.
    """
    if id is not None:
        raise NotCarried("clients 0.5 and 0.6 have no acknowledgements")
    if namespace != "/":
        raise NotCarried("clients 0.5 and 0.6 have no namespaces")
    message = as_message(data)
    if isinstance(message, str) and not message.startswith(_CONTROL):
        return (utf8(message), ())
    # By type, because 1 equals True and 1.0.
    if message is None or isinstance(message, bool):
        return (_TEXTS[message].encode(), ())
    json = text_only(message, default, "0.5 and 0.6")
    return (json if isinstance(message, (int, float)) else b"~j~" + json, ())


def encode_ack(namespace: str, id: Any, data: list[Any], default: Default | None = None) -> list[EncodedPacket]:
    """There are none, and nobody asks for one."""
    return []


def encode_connect(namespace: str, sid: str) -> EncodedPacket | None:
    """The session id has told the client that it is in."""
    return None


def encode_connect_error(namespace: str, message: str, data: Any = None) -> EncodedPacket | None:
    """The connection ends: "there is no error message in the protocol at all"."""
    return None


def encode_disconnect(namespace: str) -> EncodedPacket | None:
    """The connection ends."""
    return None
