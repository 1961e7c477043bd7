"""Flash socket policy files: what a Flash movie asks for before it may open a connection of its own.

The exchange is 23 bytes of request and one XML text, on a port of its own (843) or on the main port. Everything else
about it is restriction: which origins, which ports, how many players, for how long.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

import gevent
from gevent.server import StreamServer

__all__ = ["REQUEST", "PolicyListener", "is_policy_request", "policy_file"]

log = logging.getLogger(__name__)

#: The whole request: 22 characters and one NUL. ``<`` starts no HTTP request, so the first byte tells the two apart.
REQUEST: Final = b"<policy-file-request/>\0"

#: Seconds for the whole exchange; scanners send one byte and nothing more.
TIME_LIMIT: Final = 3.0
#: Players answered at a time; the others wait in the kernel's queue.
MAX_CONNECTIONS: Final = 50
#: No more than this is read of whatever is not the request.
MAX_BYTES: Final = 64


def is_policy_request(data: bytes) -> bool | None:
    """Tell whether a connection that starts with ``data`` asks for the policy.

    Args:
        data: everything that came so far.

    Returns:
        ``True`` for exactly the 23 bytes, ``False`` where they cannot become it (also with more bytes behind them),
        ``None`` while the rest may still come: wait for it, for 3 s in total, then close.
    """
    if data == REQUEST:
        return True
    return None if REQUEST.startswith(data) else False


def policy_file(allowed_origins: Collection[str], ports: Iterable[int]) -> bytes:
    """Write the policy that lets pages of the allowed origins connect to the served ports, and nothing more.

    Args:
        allowed_origins: as in ``socketio.allowed_origins``: ``"https://example.com:8080"``, or ``"*"`` for all. A
            policy names hosts only; ``"null"`` has none and is left out. Without any origin it allows nobody.
        ports: those that the server listens on.

    Returns:
        UTF-8 text that ends with NUL, as Adobe's description of XML sockets wants it. Close the connection after it.

    Raises:
        ValueError: an origin that is no URL.
    """
    hosts = (urlsplit(origin).hostname for origin in allowed_origins)
    domains = ["*"] if "*" in allowed_origins else dict.fromkeys(host for host in hosts if host)
    to_ports = ",".join(str(port) for port in sorted(set(ports)))
    rules = (f'<allow-access-from domain={quoteattr(domain)} to-ports="{to_ports}"/>' for domain in domains)
    return (
        '<?xml version="1.0"?>'
        '<!DOCTYPE cross-domain-policy SYSTEM "http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd">'
        f"<cross-domain-policy>{''.join(rules)}</cross-domain-policy>\0"
    ).encode()


class PolicyListener(StreamServer):  # type: ignore[misc]
    """Answers the policy request, and only that, on a port of its own.

    Args:
        address: host and port; players ask 843, which needs privileges on Unix.
        policy: what :func:`policy_file` made.
    """

    def __init__(self, address: tuple[str, int], policy: bytes) -> None:
        super().__init__(address, spawn=MAX_CONNECTIONS)
        self.policy = policy

    def try_start(self) -> bool:
        """Start to listen; where that is not possible, say so in one warning and give ``False``.

        Nobody but Flash movies misses the listener, and they ask the main port next.
        """
        try:
            # Not left to gevent, which would not close the socket that could not be bound.
            listener = socket.create_server(self.address, family=self.family)
        except OSError as error:
            log.warning("no Flash policy listener: %s; the main port answers instead", error.strerror or error)
            return False
        listener.setblocking(False)
        self.set_listener(listener)
        self.start()
        return True

    def handle(self, sock: socket.socket, address: object) -> None:
        """Answer one player; the connection is closed afterwards."""
        with gevent.Timeout(TIME_LIMIT, False):
            try:
                self._answer(sock)
            except OSError as error:
                log.debug("Flash policy for %s: %s", address, error)

    def _answer(self, sock: socket.socket) -> None:
        data = b""
        while (verdict := is_policy_request(data)) is None:
            received = sock.recv(MAX_BYTES - len(data))
            if not received:
                return
            data += received
        if verdict:
            sock.sendall(self.policy)
            sock.shutdown(socket.SHUT_WR)
