"""Long-polling through script elements, for clients that are forced to it (Engine.IO 3 and 4, "JSONP")."""

from __future__ import annotations

import re
from typing import Final

from ..errors import BadRequest, PacketError
from ..protocol.forms import form_value
from ..protocol.jsontext import dumps
from ..protocol.packets import EnginePacket
from ..protocol.revisions import Revision
from ..settings import Settings
from .base import SessionCallbacks
from .polling import Headers, PollingTransport

__all__ = ["JSONPTransport", "parse_index"]

# fullmatch, because $ also matches before a newline; [0-9], because \d takes the digits of every script.
_INDEX: Final = re.compile("[0-9]{1,10}")


def parse_index(value: str) -> str:
    """The parameter ``j``: the number of the client's callback.

    Raises:
        BadRequest: anything but digits, so that nothing from the URL gets into a script.
    """
    if not _INDEX.fullmatch(value):
        raise BadRequest("j is not a number")
    return value


class JSONPTransport(PollingTransport):
    """Polling whose answers are scripts and whose POSTs are forms."""

    __slots__ = ("_index", "_repairs")

    def __init__(
        self, revision: Revision, settings: Settings, session: SessionCallbacks, index: str, repairs: bytes = b""
    ) -> None:
        super().__init__(revision, settings, session)
        self._index = index
        #: Script in front of the first one; see :mod:`.repairs`.
        self._repairs = repairs

    def wrap(self, packets: list[bytes], headers: Headers) -> tuple[Headers, bytes]:
        _, body = self._revision.engine.encode_payload(packets)
        fields = [
            ("Content-Type", "text/javascript; charset=UTF-8"),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
            ("Cache-Control", "no-store"),
        ]
        repairs, self._repairs = self._repairs, b""
        return fields, repairs + self._script(body)

    def _script(self, body: bytes) -> bytes:
        # "<" so that no text of a client can end a script element; the two separators end a line in old JavaScript.
        text = dumps(body.decode()).decode()
        text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return f"___eio[{self._index}]({text});".encode()

    def _decode(self, body: bytes, binary: bool) -> list[EnginePacket | PacketError]:
        if binary:
            raise PacketError("not a form")
        payload = form_value(body, "d")
        if payload is None:
            return []  # "missing d, d twice, other body types: ignored" (Engine.IO 3, section 7)
        # Form fields cannot carry a newline: the client writes backslash and n, and two backslashes where the text has
        # one before an n.
        unescaped = "\\n".join(part.replace("\\n", "\n") for part in payload.split("\\\\n"))
        return super()._decode(unescaped.encode(), binary)
