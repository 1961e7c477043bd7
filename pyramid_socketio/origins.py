"""Which pages may connect: the Origin check, and what CORS says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .errors import BadRequest, Forbidden
from .settings import Settings

__all__ = ["check_origin", "check_script", "cors_headers", "preflight_headers"]

_ORIGIN: Final = re.compile(r"(https?)://([^]/:?#@[\s]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

# RFC 6454, section 7: visible ASCII.
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,512}")

# A list of header names, RFC 9110, sections 5.1 and 5.6.2.
_NAMES: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*", re.ASCII)


def _parts(origin: str) -> tuple[str, str, str] | None:
    """Scheme, host and port of an origin in lower case; ``None`` where it is none."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    scheme, host, port = match.groups()
    return scheme, host, port or _DEFAULT_PORTS[scheme]


def check_origin(settings: Settings, origin: str | None, scheme: str, host: str) -> bool:
    """Judge the page that a request comes from. CORS does not protect WebSockets; this does.

    Args:
        origin: the Origin header, ``None`` where there is none.
        scheme, host: of the server as the request names it; ``host`` as in the Host header.

    Returns:
        Whether the page is another one than the server's own, so that CORS headers are needed.

    Raises:
        BadRequest: not visible ASCII.
        Forbidden: not allowed; the text says by which setting it would be.
    """
    if origin is None:
        if not settings.allow_no_origin:
            raise Forbidden("no Origin header, and socketio.allow_no_origin is off")
        return False
    if not _VISIBLE.fullmatch(origin):
        raise BadRequest("illegal characters in the Origin header")
    asked = origin.lower()
    parts = _parts(asked)
    if parts is not None and parts == _parts(f"{scheme}://{host}".lower()):
        return False
    for allowed in settings.allowed_origins:
        if allowed == "*" or allowed == asked or (parts is not None and parts == _parts(allowed)):
            return True
    raise Forbidden(
        f"origin {origin} is neither the server's own ({scheme}://{host}) nor in socketio.allowed_origins;"
        " a proxy in front has to pass the Host header on"
    )


def check_script(settings: Settings, headers: Mapping[str, str], scheme: str, host: str) -> None:
    """Judge the page that asks for an answer as a script, which any page may: such a request names no origin.

    Browsers that say neither where it comes from nor that this is another site are not kept out.

    Raises:
        Forbidden, BadRequest: see :func:`check_origin`.
    """
    referer = headers.get("referer", "").split("/", 3)
    if len(referer) >= 3 and referer[0] in ("http:", "https:"):
        check_origin(settings, "/".join(referer[:3]), scheme, host)
    elif headers.get("sec-fetch-site") == "cross-site" and "*" not in settings.allowed_origins:
        raise Forbidden("a script for a page of another site, whose origin is not known")


def cors_headers(
    settings: Settings, origin: str | None, foreign: bool, sends_credentials: bool = False
) -> list[tuple[str, str]]:
    """The headers that let a page of another origin read the answer.

    Args:
        foreign: what :func:`check_origin` said.
        sends_credentials: the client is so old that it always sends cookies, and reads no answer that does not allow
            that. For an origin that is allowed by its name, it is; never for ``*``.
    """
    if not settings.allowed_origins:
        return []
    headers = []
    if foreign and origin is not None:
        headers.append(("Access-Control-Allow-Origin", origin))
        if settings.cors_credentials or (sends_credentials and "*" not in settings.allowed_origins):
            headers.append(("Access-Control-Allow-Credentials", "true"))
    return [*headers, ("Vary", "Origin")]


def preflight_headers(
    settings: Settings, headers: Mapping[str, str], foreign: bool, sends_credentials: bool = False
) -> list[tuple[str, str]]:
    """The answer to a preflight request (204); see :func:`cors_headers`."""
    cors = cors_headers(settings, headers.get("origin"), foreign, sends_credentials)
    answer = [header for header in cors if header[0] != "Vary"]
    answer.append(("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE"))
    wanted = headers.get("access-control-request-headers")
    if wanted and len(wanted) <= 1000 and _NAMES.fullmatch(wanted):
        answer.append(("Access-Control-Allow-Headers", wanted))
    return [*answer, ("Vary", "Origin, Access-Control-Request-Headers")]
