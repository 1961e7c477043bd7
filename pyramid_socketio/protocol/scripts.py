"""Scripts and pages that hand text to a client, none of which can be broken out of."""

from __future__ import annotations

from .jsontext import dumps

__all__ = ["encode_script", "encode_script_error", "markup_literal", "script_literal"]


def script_literal(text: str) -> str:
    """``text`` as a JavaScript string that cannot end a script element, nor begin a comment."""
    # The two separators are JSON but end a line in old JavaScript.
    json = dumps(text).decode()
    return json.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def encode_script(callback: str, text: str) -> bytes:
    """A script that hands ``text`` to a function of the client (Socket.IO 0.7 to 0.9, sections 2 and 7.2).

    Args:
        callback: ``io.j[5]``; never text of a client, its index has been checked to be digits.
    """
    return f"{callback}({script_literal(text)});".encode()


def encode_script_error(callback: str, message: str) -> bytes:
    """The script that refuses a handshake (the same, section 2)."""
    return f"{callback}(new Error({script_literal(message)}));".encode()


def markup_literal(text: str) -> str:
    """The same for a script inside of a document."""
    return script_literal(text).replace("/", "\\/").replace(">", "\\u003e").replace("&", "\\u0026")
