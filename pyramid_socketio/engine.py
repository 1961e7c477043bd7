"""Engine.IO: the sessions of one application, their handshakes, and where each of their requests goes."""

from __future__ import annotations

import io
import logging
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

from .errors import (
    BadHandshakeMethod,
    BadRequest,
    CloseReason,
    HandshakeError,
    UnknownSid,
    UnknownTransport,
    UnsupportedRevision,
)
from .evented.timers import Timers
from .interfaces import CONNECTION
from .origins import check_origin, cors_headers, preflight_headers
from .protocol.http import Head, encode_head, escape
from .protocol.revisions import Revision, by_query
from .protocol.websocket import TEXT, HandshakeRefused, check_handshake, encode_close, encode_frame
from .session import BaseSession, Session, SessionListener
from .settings import Settings
from .transports.base import CLOSED_TRANSPORT, Exchange
from .transports.jsonp import JSONPTransport, parse_index
from .transports.polling import PollingTransport
from .transports.websocket import WebSocketTransport

__all__ = ["UPGRADE_KEY", "Answer", "Engine"]

log = logging.getLogger(__name__)

#: WSGI environ: what the server calls, as ``upgrade(exchange, head)``, when the application has let that answer
#: pass which gives the connection away: a 101 for a WebSocket, or an empty 200 for a stream.
UPGRADE_KEY: Final = "pyramid_socketio.upgrade"

#: A path beyond these is no reason to answer at once; its sessions are found all the same.
_MAX_PATHS: Final = 100

#: Query parameters that mean something here; given twice they mean nothing.
_OURS: Final = frozenset({"EIO", "transport", "sid", "j"})

#: Of the handshake's environ a session keeps the headers and these.
_KEPT: Final = frozenset(
    {
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
        "REMOTE_ADDR",
        "REMOTE_PORT",
        "REMOTE_USER",
        "wsgi.url_scheme",
        "wsgi.version",
    }
)
_HOP_BY_HOP: Final = frozenset({"HTTP_CONNECTION", "HTTP_UPGRADE"})
_NO_INPUT: Final = io.BytesIO()


class Answer(NamedTuple):
    """What a handshake request is to be answered with.

    ``status`` 101 means: the application lets the client have its WebSocket; the server makes it one. ``opens`` tells
    whether there is a session as soon as the answer is out.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    opens: bool = False

    @property
    def reason(self) -> str:
        return HTTPStatus(self.status).phrase


def parse_query(query: str) -> dict[str, str]:
    """The query string as a dict; of a repeated key that is not ours the last value counts.

    Raises:
        BadRequest: one of our own parameters is repeated.
    """
    values: dict[str, str] = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key in values and key in _OURS:
            raise BadRequest(f"{key} is given twice")
        values[key] = unquote_plus(value) if "%" in value or "+" in value else value
    return values


class Engine:
    """The Engine.IO server of one application.

    Args:
        accept: called with each new session; returns who listens to it.
    """

    def __init__(self, settings: Settings, timers: Timers, accept: Callable[[Session, Any], SessionListener]) -> None:
        self.settings = settings
        self.timers = timers
        self.sessions: dict[str, Session] = {}
        #: Where sessions were opened; only the first few, because clients may choose among many.
        self.paths: set[str] = set()
        #: No new sessions: the server is shutting down.
        self.closing = False
        self._accept = accept

    # Handshakes: ordinary requests to the application, whose view asks here

    def answer(self, environ: dict[str, Any], hint: Any = None) -> Answer:
        """Answer a request that belongs to no session, by opening one or with the error of its revision.

        Args:
            environ: with the server's connection under ``pyramid_socketio.connection``.
            hint: handed to ``accept`` with the session.
        """
        exchange: Exchange = environ[CONNECTION]
        headers: Mapping[str, str] = exchange.head.headers
        websocket = exchange.wants_websocket
        cors: list[tuple[str, str]] = []
        try:
            query = parse_query(environ.get("QUERY_STRING", ""))
            transport = self._transport(query, websocket)
            foreign = self._is_foreign(headers, environ)
            asked = by_query(query)
            credentials = asked is not None and asked.sends_credentials
            cors = cors_headers(self.settings, headers.get("origin"), foreign, credentials)
            if "sid" in query:
                raise UnknownSid
            method = environ["REQUEST_METHOD"]
            if method == "OPTIONS" and self.settings.allowed_origins:
                return Answer(204, preflight_headers(self.settings, headers, foreign, credentials), b"")
            if method != "GET":
                raise BadHandshakeMethod
            revision = self._served(asked, query)
            if self.closing or len(self.sessions) >= self.settings.max_sessions:
                why = "shutting down" if self.closing else "socketio.max_sessions"
                log.warning("refused a client with 503: %s", why)
                return Answer(503, [("Retry-After", "5"), ("Content-Type", "text/plain"), *cors], b"Too many clients")
            if len(self.paths) < _MAX_PATHS:
                self.paths.add(exchange.head.path)
            if websocket:
                return self._answer_websocket(environ, exchange, revision, transport, cors, hint)
            return self._answer_polling(environ, revision, query, cors, hint)
        except HandshakeRefused as refused:
            log.info("refused a WebSocket: %s", refused)
            fields = [("Connection", "close"), ("Content-Type", "text/html"), *refused.headers]
            return Answer(refused.status, fields, str(refused).encode())
        except HandshakeError as error:
            # A client that is too old never gets in: that is for somebody to change.
            level = logging.WARNING if isinstance(error, UnsupportedRevision) else logging.INFO
            peer = environ.get("REMOTE_ADDR", "a local client")
            log.log(level, "refused %s of %s: %s", escape(exchange.head.path), peer, escape(str(error)))
            return self._error(error, websocket, cors)

    def _transport(self, query: Mapping[str, str], websocket: bool) -> str:
        transport = query.get("transport", "")
        if transport not in self.settings.transports:
            served = " ".join(self.settings.transports)
            raise UnknownTransport(f"transport={transport[:40]} is not one of socketio.transports = {served}")
        if transport == "websocket" and not websocket:
            raise BadRequest(
                "transport=websocket without an Upgrade header; a proxy in front has to pass Upgrade and Connection on"
            )
        return transport

    def _served(self, revision: Revision | None, query: Mapping[str, str]) -> Revision:
        if revision is None or revision.name not in self.settings.revisions:
            asked = f"EIO={query.get('EIO', '')[:20]}" if revision is None else f"revision {revision.name}"
            served = " ".join(self.settings.revisions)
            raise UnsupportedRevision(f"{asked} is not one of socketio.revisions = {served}")
        return revision

    def _is_foreign(self, headers: Mapping[str, str], own: Mapping[str, Any]) -> bool:
        """Judge the origin of a request; ``own`` is the WSGI environ that names the server's scheme and host."""
        return check_origin(self.settings, headers.get("origin"), own["wsgi.url_scheme"], own.get("HTTP_HOST", ""))

    @staticmethod
    def _error(error: HandshakeError, websocket: bool, cors: list[tuple[str, str]]) -> Answer:
        if websocket:
            # "written as a bare HTTP answer on the socket", then the connection is closed.
            headers = [("Connection", "close"), ("Content-Type", "text/html"), *cors]
            return Answer(error.http_status, headers, error.message.encode())
        body = b'{"code":%d,"message":"%b"}' % (error.code, error.message.encode())
        return Answer(error.http_status, [("Content-Type", "application/json"), *cors], body)

    def _answer_polling(
        self,
        environ: dict[str, Any],
        revision: Revision,
        query: Mapping[str, str],
        cors: list[tuple[str, str]],
        hint: Any,
    ) -> Answer:
        index = parse_index(query["j"]) if "j" in query else None
        session = self._open(environ, revision)
        if index is None:
            transport = PollingTransport(revision, self.settings, session)
        else:
            transport = JSONPTransport(revision, self.settings, session, index)
        session.transport = transport
        session.listener = self._accept(session, hint)
        session.opened()
        upgrades = ["websocket"] if self.settings.allow_upgrades and "websocket" in self.settings.transports else []
        if self.settings.cookie:
            cookie = f"{self.settings.cookie}={session.sid}; Path=/; HttpOnly; SameSite=Lax"
            cors = [*cors, ("Set-Cookie", cookie)]
        fields, body = transport.wrap([session.open_packet(upgrades)], cors)
        return Answer(200, fields, body, opens=True)

    def _answer_websocket(
        self,
        environ: dict[str, Any],
        exchange: Exchange,
        revision: Revision,
        transport: str,
        cors: list[tuple[str, str]],
        hint: Any,
    ) -> Answer:
        headers = self._accept_websocket(exchange, cors)
        if transport != "websocket":
            # "A request with Upgrade but transport=polling is accepted and closed"
            environ[UPGRADE_KEY] = _accept_and_close
        else:

            def open_websocket(exchange: Exchange, head: bytes) -> None:
                session = self._open(environ, revision)
                wire, early = exchange.take_over()
                session.listener = self._accept(session, hint)
                if wire.closed:
                    # While the application was deciding; the wire has told its earlier owner, and tells nobody again.
                    session.transport = CLOSED_TRANSPORT
                    session.gone(session.transport, CloseReason.TRANSPORT_ERROR)
                    return
                session.transport = WebSocketTransport(wire, revision, self.settings, session, early)
                # One segment for the answer and the first packet.
                wire.send(head + encode_frame(TEXT, session.open_packet([])))
                session.opened()

            environ[UPGRADE_KEY] = open_websocket
        return Answer(101, headers, b"", opens=transport == "websocket")

    @staticmethod
    def _accept_websocket(exchange: Exchange, cors: list[tuple[str, str]]) -> list[tuple[str, str]]:
        head = exchange.head
        accept = check_handshake(head.method, head.version, head.headers)
        return [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept), *cors]

    def _open(self, environ: Mapping[str, Any], revision: Revision) -> Session:
        kept = {
            key: value
            for key, value in environ.items()
            if key in _KEPT or (key[:5] == "HTTP_" and key not in _HOP_BY_HOP and key[:14] != "HTTP_SEC_WEBSO")
        }
        kept["wsgi.input"] = _NO_INPUT
        # 160 bits: nobody guesses one (CVE-2017-16031).
        sid = secrets.token_urlsafe(20)
        session = Session(sid, revision, self.settings, self.timers, kept, self._forget)
        self.sessions[sid] = session
        return session

    def _forget(self, session: BaseSession) -> None:
        self.sessions.pop(session.sid, None)

    # Requests of sessions: straight from the server's connection, past WSGI and Pyramid

    def owns(self, head: Head) -> bool:
        """Whether a request whose query has a ``sid`` belongs here: by its path, or because there is such a session."""
        if head.path in self.paths:
            return True
        try:
            return parse_query(head.query).get("sid") in self.sessions
        except BadRequest:
            return False

    def handle(self, exchange: Exchange, scheme: str) -> None:
        """Answer a request whose query names a session.

        Args:
            scheme: of the connection; for a session, what counts is what the application said at its handshake.
        """
        head: Head = exchange.head
        websocket = exchange.wants_websocket
        cors: list[tuple[str, str]] = []
        try:
            query = parse_query(head.query)
            transport = self._transport(query, websocket)
            session = self.sessions.get(query.get("sid", ""))
            if session is None:
                own: Mapping[str, Any] = {"wsgi.url_scheme": scheme, "HTTP_HOST": head.headers.get("host", "")}
            else:
                own = session.environ
            foreign = self._is_foreign(head.headers, own)
            asked = by_query(query)
            credentials = asked is not None and asked.sends_credentials
            cors = cors_headers(self.settings, head.headers.get("origin"), foreign, credentials)
            if head.method == "OPTIONS" and self.settings.allowed_origins:
                exchange.respond(204, preflight_headers(self.settings, head.headers, foreign, credentials))
                return
            if session is None:
                raise UnknownSid
            if asked is None or asked.name != session.revision.name:
                raise BadRequest("the session was opened with another EIO")
            if websocket:
                self._upgrade(exchange, session, transport, cors)
            elif transport != session.transport.name:
                raise BadRequest("the session uses another transport")
            elif head.method == "GET":
                session.handle_get(exchange, cors)
            elif head.method == "POST":
                if "content-encoding" in head.headers:
                    exchange.respond(415, cors, close=True)
                else:
                    session.handle_post(exchange, cors, head.headers.get("content-type", ""))
            else:
                exchange.respond(500, cors)
        except HandshakeRefused as refused:
            log.info("refused a WebSocket: %s", refused)
            headers = [("Content-Type", "text/html"), *refused.headers]
            exchange.respond(refused.status, headers, str(refused).encode(), close=True)
        except HandshakeError as error:
            log.info("refused %s: %s", escape(head.path), escape(str(error)))
            answer = self._error(error, websocket, cors)
            exchange.respond(answer.status, answer.headers, answer.body, close=websocket)

    def _upgrade(self, exchange: Exchange, session: Session, transport: str, cors: list[tuple[str, str]]) -> None:
        head = encode_head(101, self._accept_websocket(exchange, cors))
        if transport != "websocket" or not self.settings.allow_upgrades:
            _accept_and_close(exchange, head)
            return
        wire, early = exchange.take_over()
        wire.send(head)
        session.upgrade(wire, early)


def _accept_and_close(exchange: Exchange, head: bytes) -> None:
    wire, _ = exchange.take_over()
    wire.send(head + encode_close(1002))
    wire.close()
