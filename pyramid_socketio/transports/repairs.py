"""Repairs of old clients, which travel with the answers of JSONP: those are scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..protocol.revisions import Revision

__all__ = ["repairs_for"]

#: To be read; ``compat.js`` begins with them.
_SOURCE: Final = Path(__file__).parents[1] / "static" / "mend.js"

_COMMENTS: Final = ("//", "/*", "*")


def _compact(source: str) -> bytes:
    lines = map(str.strip, source.splitlines())
    return b"".join(f"{line}\n".encode() for line in lines if line and not line.startswith(_COMMENTS))


#: Whatever a page calls `io`: the packets behind them arrive.
_REPAIRS: Final = b"try {\n%b} catch (error) {}\n" % _compact(_SOURCE.read_text(encoding="utf-8"))


def repairs_for(revision: Revision, headers: Mapping[str, str]) -> bytes:
    """What goes in front of the first script of a session: before the client knows that it is connected.

    Args:
        headers: of the request. Browsers, which run what they get, say for what page or what element they ask; others
            get what the reference sends.
    """
    element = headers.get("sec-fetch-dest", "script" if "referer" in headers else "")
    return _REPAIRS if revision.has_repairs and element == "script" else b""
