"""Endless documents: how packets become parts of the answer to a GET that stays open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = ["NO_STORE", "Framing", "encode_chunk"]

NO_STORE: Final = ("Cache-Control", "no-store")

Encode = Callable[[list[bytes]], bytes]


class Framing(NamedTuple):
    """How packets become parts of a document.

    Attributes:
        name: of the transport, as in the URL.
        begin: what the document begins with.
        encode: packets to parts. Always the same function: a message is encoded once for all clients of a framing.
        encode_chunk: the same, as one chunk of HTTP; ``None`` where the end of the connection ends the document.
    """

    name: str
    content_type: str
    begin: bytes
    encode: Encode
    encode_chunk: Encode | None = None

    def headers(self, http_version: str) -> list[tuple[str, str]]:
        """Headers of the answer to a request of this version."""
        if http_version == "HTTP/1.0":
            return [("Content-Type", self.content_type), NO_STORE, ("Connection", "close")]
        headers = [("Content-Type", self.content_type), NO_STORE, ("Connection", "keep-alive")]
        if self.encode_chunk is not None:
            headers.append(("Transfer-Encoding", "chunked"))
        return headers


def encode_chunk(data: bytes) -> bytes:
    """RFC 9112, section 7.1; ``data`` is not empty, which would be the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)
