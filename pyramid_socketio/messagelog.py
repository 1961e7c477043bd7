"""The log of what clients send: one line per message, as the setting ``socketio.message_log_format`` words it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from .protocol.http import escape

__all__ = ["MAX_MESSAGE", "log_message"]

log = logging.getLogger("pyramid_socketio.messages")

#: Characters of a message in its line; a log is no copy of the traffic.
MAX_MESSAGE: Final = 1000


class _Values(dict[str, str]):
    """What the format may name: ``TIME``, ``TYPE``, ``MESSAGE``, and the environ, whose texts come from clients too."""

    def __init__(self, values: dict[str, str], environ: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._environ = environ

    def __missing__(self, key: str) -> str:
        # As in access logs: a request need not have the header.
        return escape(str(self._environ.get(key, "-")))


def log_message(format: str, environ: Mapping[str, Any], data: list[Any], in_type: str) -> None:
    """Log an event of a client, at ``INFO``.

    ``TYPE`` is the type of a message that has one, else the event's name. ``MESSAGE`` is a text as it is, and JSON of
    everything else; several arguments of an event are a list. All is escaped to one line of ASCII, and cut.

    Args:
        format: checked by the settings.
        environ: of the context's request.
        data: ``[name, *args]``.
        in_type: the key that has a message's type.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    kind, *args = data
    message = args[0] if len(args) == 1 else args
    if kind == "message" and isinstance(message, dict) and isinstance(message.get(in_type), str):
        kind = message[in_type]
    values = {
        "TIME": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "TYPE": escape(str(kind), 100),
        "MESSAGE": escape(message if isinstance(message, str) else _json(message), MAX_MESSAGE),
    }
    log.info("%s", format % _Values(values, environ))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_binary)


def _binary(data: bytes) -> str:
    return f"<{len(data)} bytes>"
