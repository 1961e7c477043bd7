"""The settings table: the one source of names, defaults, units and help of every ``socketio.*`` setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .protocol.revisions import NAMES

__all__ = ["PREFIX", "TABLE", "Setting", "Settings", "parse_settings", "settings_page"]

PREFIX = "socketio."


def _number(value: Any) -> float:
    """NaN where it is no number: no comparison is true of that."""
    try:
        return float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        return float("nan")


def _seconds(value: Any) -> float:
    seconds = _number(value)
    if not 0 < seconds < float("inf"):
        raise ValueError("must be a number of seconds greater than 0")
    return seconds


def _count(value: Any) -> int:
    number = _number(value)
    if not 1 <= number < 2**53 or number != int(number):
        raise ValueError("must be a whole number of at least 1")
    return int(number)


_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text in _TRUE


def _words(value: Any) -> tuple[str, ...]:
    words = tuple(value.replace(",", " ").split() if isinstance(value, str) else value or ())
    if not all(isinstance(word, str) for word in words):
        raise ValueError("must be words with blanks or commas between them, or a list of words")
    return words


def _text(value: Any) -> str:
    return str(value).strip()


def _resource(value: Any) -> str:
    return _text(value).strip("/")


def _optional_text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return None if text.lower() in ("", "none") else text


def _cookie(value: Any) -> str | None:
    name = _optional_text(value)
    # RFC 6265, section 4.1.1: a token.
    if name is not None and not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII):
        raise ValueError("must be the name of a cookie: letters, digits, - and _")
    return name


_TRANSPORTS = (
    "polling",
    "websocket",
    "flashsocket",
    "htmlfile",
    "xhr-multipart",
    "xhr-polling",
    "jsonp-polling",
)


def _transports(value: Any) -> tuple[str, ...]:
    names = _words(value)
    if set(names) - set(_TRANSPORTS) or not names:
        raise ValueError(f"must be some of: {' '.join(_TRANSPORTS)}")
    return names


def _revisions(value: Any) -> tuple[str, ...]:
    names = _words(value)
    if set(names) - NAMES.keys() or not names:
        raise ValueError(f"must be some of: {' '.join(NAMES)}")
    return names


def _unbound_handlers(value: Any) -> str:
    when = _text(value)
    if when not in ("outside", "always"):
        raise ValueError("must be outside or always")
    return when


def _origins(value: Any) -> tuple[str, ...]:
    origins = tuple(origin.rstrip("/").lower() for origin in _words(value))
    for origin in origins:
        # A path or a wildcard in it would never match.
        if origin not in ("*", "null") and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+", origin):
            raise ValueError(f"{origin!r} must look like https://example.com or https://example.com:8080")
    return origins


def _websocket_server(value: Any) -> str | None:
    url = _optional_text(value)
    if url is not None and not re.fullmatch(r"wss?://[^/?#@*\s]+(?:/[^?#\s]*)?", url):
        raise ValueError("must look like wss://ws.example.org or wss://example.org/prefix")
    return url.rstrip("/") if url else None


#: What a line of the message log is made of: text, ``%%``, and ``%(KEY)s``, which may have a width and be cut.
_LOG_KEY = re.compile(r"%(?:%|\(([^()]+)\)-?\d{0,3}(?:\.\d{1,3})?s)")

#: Those of the message itself, those of CGI (RFC 3875, section 4.1), and what servers add with a dot in its name.
_LOG_KEYS = re.compile(
    r"TIME|MESSAGE|TYPE|AUTH_TYPE|CONTENT_LENGTH|CONTENT_TYPE|GATEWAY_INTERFACE|PATH_INFO|QUERY_STRING|REQUEST_METHOD"
    r"|(?:REMOTE|SERVER|SSL|HTTP)_[A-Z0-9_]+|SCRIPT_NAME|HTTPS|[\w-]+(?:\.[\w-]+)+",
    re.ASCII,
)


def _message_log_format(value: Any) -> str | None:
    line = _optional_text(value)
    if line is None:
        return None
    if "%" in _LOG_KEY.sub("", line):
        raise ValueError(
            "must have %(KEY)s for each value and %% for a percent sign (in .ini files every % is doubled)"
        )
    for key in filter(None, _LOG_KEY.findall(line)):
        if not _LOG_KEYS.fullmatch(key):
            raise ValueError(f"unknown key {key}; known are TIME, MESSAGE, TYPE and the environ's, such as REMOTE_ADDR")
    return line


class Setting(NamedTuple):
    """One row of the table."""

    name: str
    convert: Callable[[Any], Any]
    default: Any
    unit: str
    help: str


TABLE: tuple[Setting, ...] = (
    Setting("resource", _resource, "socket.io", "", "first segment of the URL path that clients connect to"),
    Setting(
        "transports",
        _transports,
        _TRANSPORTS,
        "",
        "transports that clients may use: `polling` is that of clients from 1.0 on, those behind it are of older ones,"
        " `websocket` is everybody's",
    ),
    Setting(
        "revisions",
        _revisions,
        tuple(NAMES),
        "",
        f"clients that are served: {', '.join(f'`{name}` stands for {clients}' for name, clients in NAMES.items())}",
    ),
    Setting(
        "hixie",
        _boolean,
        False,
        "",
        "whether clients up to 0.9 may open WebSockets by the drafts hixie-75 and hixie-76, as Flash does",
    ),
    Setting("allow_upgrades", _boolean, True, "", "whether a polling client may change to WebSocket"),
    Setting("ping_interval", _seconds, 25.0, "seconds", "time between two pings to a client"),
    Setting("ping_timeout", _seconds, 20.0, "seconds", "time that a client has to answer a ping"),
    Setting("upgrade_timeout", _seconds, 10.0, "seconds", "time that a change to WebSocket may take"),
    Setting("connect_timeout", _seconds, 45.0, "seconds", "time that a client has to connect to a namespace"),
    Setting(
        "close_timeout",
        _seconds,
        5.0,
        "seconds",
        "time that a client has to answer a closing handshake, and that a handler which still runs may delay"
        " `disconnect()` and the shutdown",
    ),
    Setting("write_timeout", _seconds, 10.0, "seconds", "time that unsent bytes may wait for the client to read"),
    Setting("drain_timeout", _seconds, 30.0, "seconds", "time that a shutdown may take"),
    Setting("max_message_size", _count, 1_000_000, "bytes", "biggest message, POST body or set of attachments taken"),
    Setting("max_fragments", _count, 4096, "frames", "most WebSocket frames that one message may come in"),
    Setting("max_payload_packets", _count, 1000, "packets", "most packets in the body of one POST"),
    Setting("max_attachments", _count, 10, "attachments", "most binary attachments of one event"),
    Setting("max_namespaces", _count, 32, "namespaces", "most namespaces that one client may be connected to"),
    Setting("max_pending_acks", _count, 1000, "acks", "most acknowledgements of one client waited for at a time"),
    Setting("max_inbox_packets", _count, 1000, "packets", "messages waiting for handlers, above which reading stops"),
    Setting("max_inbox_bytes", _count, 4_000_000, "bytes", "size of them, above which reading stops"),
    Setting("max_queue_packets", _count, 1000, "packets", "most packets waiting to be sent to a polling client"),
    Setting(
        "max_queue_bytes",
        _count,
        1_048_576,
        "bytes",
        "most bytes waiting to be sent to one client; a single message may be bigger",
    ),
    Setting(
        "raise_no_socket",
        _boolean,
        True,
        "",
        "whether sending from anywhere raises `NoSocket` when nobody is there to receive",
    ),
    Setting("max_channels", _count, 128, "channels", "most channels that one client may ask for"),
    Setting(
        "unbound_handlers",
        _unbound_handlers,
        "outside",
        "",
        "when event handlers that are bound to no channel run: `outside`, for clients that are in none, or `always`",
    ),
    Setting("max_sessions", _count, 10_000, "sessions", "most clients at a time; a further one is answered 503"),
    Setting(
        "allowed_origins",
        _origins,
        (),
        "",
        "origins of pages that may connect, besides the server's own; `*` allows every page",
    ),
    Setting(
        "allow_no_origin", _boolean, True, "", "whether requests without an Origin header (no browser) may connect"
    ),
    Setting("cors_credentials", _boolean, False, "", "whether pages of allowed origins may send cookies"),
    Setting("cookie", _cookie, None, "", "name of a cookie that carries the session id, for load balancers"),
    Setting(
        "message_log_format",
        _message_log_format,
        None,
        "",
        "line of the logger `pyramid_socketio.messages` for each message of a client, with `%(TIME)s`, `%(TYPE)s`,"
        " `%(MESSAGE)s` and keys of the environ, such as `%(REMOTE_ADDR)s`; empty: no such log",
    ),
    Setting(
        "websocket_server",
        _websocket_server,
        None,
        "",
        "where pages find WebSocket views, `wss://ws.example.org`, in place of the request's own scheme, host and mount"
        " point in `request.websocket_url`",
    ),
    Setting(
        "client",
        _optional_text,
        None,
        "",
        "directory or asset specification of socket.io-client's `dist`, served as /socket.io/socket.io.js",
    ),
    Setting(
        "swf",
        _optional_text,
        None,
        "",
        "file or asset specification of web-socket-js's `WebSocketMain.swf`, for old clients that use Flash",
    ),
)


class Settings:
    """The settings of one application; every attribute is a row of :data:`TABLE`.

    Args:
        values: attribute name to value; missing ones have their default.

    Raises:
        ValueError: an unknown name or a bad value; the text names the setting.
    """

    resource: str
    transports: tuple[str, ...]
    revisions: tuple[str, ...]
    hixie: bool
    allow_upgrades: bool
    ping_interval: float
    ping_timeout: float
    upgrade_timeout: float
    connect_timeout: float
    close_timeout: float
    write_timeout: float
    drain_timeout: float
    max_message_size: int
    max_fragments: int
    max_payload_packets: int
    max_attachments: int
    max_namespaces: int
    max_pending_acks: int
    max_inbox_packets: int
    max_inbox_bytes: int
    max_queue_packets: int
    max_queue_bytes: int
    raise_no_socket: bool
    max_channels: int
    unbound_handlers: str
    max_sessions: int
    allowed_origins: tuple[str, ...]
    allow_no_origin: bool
    cors_credentials: bool
    cookie: str | None
    message_log_format: str | None
    websocket_server: str | None
    client: str | None
    swf: str | None

    def __init__(self, **values: Any) -> None:
        for row in TABLE:
            value = values.pop(row.name, row.default)
            try:
                setattr(self, row.name, row.convert(value))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{PREFIX}{row.name} = {value}: {error}") from None
        if values:
            known = ", ".join(row.name for row in TABLE)
            raise ValueError(f"unknown setting {PREFIX}{min(values)}: remove or correct it; known are: {known}")
        if self.cors_credentials and "*" in self.allowed_origins:
            raise ValueError(
                f"{PREFIX}cors_credentials needs the origins by name: {PREFIX}allowed_origins must not be *"
            )


def parse_settings(mapping: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Settings:
    """Read the keys that start with ``socketio.`` of an application's settings.

    Args:
        defaults: attribute name to value, for what the application does not set.

    Raises:
        ValueError: see :class:`Settings`.
    """
    found = {key[len(PREFIX) :]: value for key, value in mapping.items() if key.startswith(PREFIX)}
    return Settings(**{**(defaults or {}), **found})


def settings_page() -> str:
    """The page of the documentation that lists the settings, in Markdown."""
    lines = [
        "# Settings",
        "",
        "Keys of the application's section of the `.ini` file (`[app:main]`), or of the settings of its "
        "`Configurator`.",
        "An unknown key under `socketio.` is an error. This page is made from the table in "
        "`pyramid_socketio/settings.py`.",
        "",
        "| key | default | unit | what it is |",
        "|---|---|---|---|",
    ]
    for row in TABLE:
        default = " ".join(row.default) if isinstance(row.default, tuple) else row.default
        if isinstance(default, bool):
            default = str(default).lower()
        shown = "" if default in (None, "") else f"`{default}`"
        lines.append(f"| `{PREFIX}{row.name}` | {shown} | {row.unit} | {row.help} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(settings_page(), end="")
