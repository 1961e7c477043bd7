"""What ``[server:main]`` of an ``.ini`` file says about serving."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pyramid.exceptions import ConfigurationError
from pyramid.scripts.common import get_config_loader
from pyramid.settings import asbool, aslist

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "Address", "ServerSection", "parse_section", "read_section"]

Address = tuple[str, int]
"""Host and port to listen on; port 0 lets the system choose."""

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 6543

#: Keys of a server section that go to ``SocketIOServer``, with their conversion; gevent-socketio's names.
OPTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "resource": str,
    "transports": lambda value: aslist(str(value).replace(",", " ")),
    "heartbeat_interval": float,
    "heartbeat_timeout": float,
    "close_timeout": float,
    "policy_server": asbool,
    "policy_listener_host": str,
    "policy_listener_port": int,
    "max_connections": int,
}


class ServerSection(NamedTuple):
    """What ``[server:main]`` says."""

    #: At least one.
    addresses: tuple[Address, ...]
    #: Keywords of ``SocketIOServer``.
    options: dict[str, Any]
    #: Patterns, relative to the ``.ini`` file; a change of such a file restarts ``socketio-serve-reload``.
    watch_files: tuple[str, ...]
    #: What ``--browser`` opens; ``None`` is the first address.
    open_url: str | None = None


def parse_section(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> ServerSection:
    """Convert and check a server section.

    Args:
        values: ``host`` and ``port``, or ``listen = host:port host:port``; ``watch_files``; ``use``, which has no
            meaning here; and the keys of :data:`OPTIONS`.
        overrides: ``host`` and ``port`` that win over the section's, checked already.

    Raises:
        ConfigurationError: an unknown key, or a value that cannot be.
    """
    overrides = overrides or {}
    known = {"use", "host", "port", "listen", "watch_files", *OPTIONS}
    if unknown := sorted(set(values) - known):
        raise ConfigurationError(
            f"unknown key {unknown[0]!r} in the server section: remove or correct it;"
            f" known are {', '.join(sorted(known))}"
        )
    if "listen" in values and ("host" in values or "port" in values):
        raise ConfigurationError("the server section has listen beside host or port: use one of the two forms")
    addresses = [_parse_address(text) for text in aslist(values.get("listen", ""))]
    if not addresses or overrides:
        host, port = addresses[0] if addresses else (values.get("host", DEFAULT_HOST), values.get("port", DEFAULT_PORT))
        said = f"port = {port} in the server section"
        addresses = [(_host(overrides.get("host", host)), _port(overrides.get("port", port), said))]
    options = {}
    for key in OPTIONS.keys() & values.keys():
        try:
            options[key] = OPTIONS[key](values[key])
        except ValueError as error:
            raise ConfigurationError(f"{key} = {values[key]} in the server section: {error}") from None
    return ServerSection(tuple(addresses), options, tuple(aslist(values.get("watch_files", ""), flatten=False)))


def read_section(uri: str, name: str | None, variables: Mapping[str, str]) -> ServerSection:
    """Read ``[server:<name>]``, by default ``[server:main]``, of an ``.ini`` file.

    Host and port come from ``host=`` and ``port=`` on the command line, or else from the environment
    (``SOCKETIO_HOST``, ``SOCKETIO_PORT``), or else from the section. ``watch_files`` and ``open_url`` are also read
    from ``[pserve]``, as ``pserve`` does.

    Raises:
        ConfigurationError: no such section, a host or a port that cannot be, or see :func:`parse_section`.
        OSError, configparser.Error: the file cannot be read; :func:`explain` has the words.
    """
    loader = get_config_loader(uri)
    section = f"server:{name or 'main'}"
    sections = loader.get_sections()
    # An `egg:` has no sections: it is served with the defaults.
    if sections and section not in sections:
        raise ConfigurationError(
            f"{uri} has no section [{section}]: add it, with the lines `use = egg:pyramid_socketio#main`,"
            f" `host = {DEFAULT_HOST}` and `port = {DEFAULT_PORT}`"
        )
    values = loader.get_settings(section, dict(variables))
    parsed = parse_section(values, _overrides(variables))
    pserve = loader.get_settings("pserve", dict(variables))
    pserve_files = aslist(pserve.get("watch_files", ""), flatten=False)
    return parsed._replace(watch_files=(*parsed.watch_files, *pserve_files), open_url=pserve.get("open_url") or None)


def _overrides(variables: Mapping[str, str]) -> dict[str, Any]:
    """Host and port from the command line, or else from the environment, where an empty one counts as none."""
    overrides: dict[str, Any] = {}
    for key in ("host", "port"):
        name = f"SOCKETIO_{key.upper()}"
        if key in variables:
            value, said = variables[key], f"{key}={variables[key]} on the command line"
            # A variable hides the section's own line, so that an empty one would mean the default.
            if not value.strip():
                raise ConfigurationError(f"{said}: give a {key} behind the equals sign, or leave {key}= out")
        elif value := os.environ.get(name, "").strip():
            said = f"{name}={value} in the environment"
        else:
            continue
        overrides[key] = _port(value, said) if key == "port" else value
    return overrides


def _host(text: str) -> str:
    """``*`` is every interface, and the brackets around an IPv6 address go."""
    host = text.strip().strip("[]")
    return "0.0.0.0" if host in ("", "*") else host


def _port(value: Any, said: str) -> int:
    """Check a port; ``said`` quotes it with its place, for the one who has to correct it."""
    try:
        port = int(value)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"{said}: the port must be a whole number from 0 to 65535")
    return port


def _parse_address(text: str) -> Address:
    said = f"listen = {text} in the server section"
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ConfigurationError(f"{said}: must look like {DEFAULT_HOST}:{DEFAULT_PORT}")
    return _host(host), _port(port, said)
