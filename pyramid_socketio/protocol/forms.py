"""Forms, in which old clients post what they send (``application/x-www-form-urlencoded``)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from ..errors import PacketError

__all__ = ["form_field"]

#: No browser writes it; Python's decoder takes such signs as they are, and long for many of them.
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def form_field(body: bytes, name: str) -> str:
    """The value of the one field of a form.

    Raises:
        PacketError: it is no form, or has another field.
    """
    if _BAD_ESCAPE.search(body):
        raise PacketError("a form with a bad escape")
    try:
        ((found, value),) = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=1
        )
    except ValueError:
        found = value = ""
    if found != name:
        raise PacketError(f"not a form with the one field {name}")
    return value
