"""Forms, in which old clients post what they send (``application/x-www-form-urlencoded``)."""

from __future__ import annotations

import re
from binascii import a2b_qp
from typing import Final

from ..errors import PacketError

__all__ = ["form_field", "form_value"]

#: No browser writes it; Python's decoder takes such signs as they are.
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_MAX_BAD_ESCAPES: Final = 1000


def form_field(body: bytes, name: str) -> str:
    """The value of the one field of a form.

    Raises:
        PacketError: it is no form, has another field, or is not UTF-8.
    """
    found, equals, value = body.partition(b"=")
    if not equals or found != name.encode() or b"&" in value:
        raise PacketError(f"not a form with the one field {name}")
    if _BAD_ESCAPE.search(value):
        raise PacketError("a form with a bad escape")
    try:
        return _unquote(value.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise PacketError("a form that is not UTF-8") from None


def form_value(body: bytes, name: str) -> str | None:
    """The value of a field, read as Node does: other fields do not matter, and a bad escape stands for itself.

    Args:
        name: letters.

    Returns:
        ``None`` where the field is missing, or there more than once.

    Raises:
        PacketError: it is not UTF-8, or has more than 1,000 bad escapes.
    """
    values = re.findall(b"(?:^|&)%b=([^&]*)" % name.encode(), body)
    if len(values) != 1:
        return None
    # Each takes its time, and nobody means many.
    value = _BAD_ESCAPE.sub(b"%25", values[0], count=_MAX_BAD_ESCAPES)
    return form_field(b"%b=%b" % (name.encode(), value), name)


def _unquote(value: bytes) -> bytes:
    """Undo the escapes, none of which is bad; 20 times as fast as ``urllib.parse.unquote_to_bytes``, a loop in Python.

    Quoted-printable (RFC 2045, section 6.7) is the same with another sign, and decoded in C.
    """
    return a2b_qp(value.replace(b"=", b"=3D").replace(b"%", b"="))
