"""Engine.IO: the sessions of one application, their handshakes, and where each of their requests goes."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from .classic import Classic
from .classic_session import ClassicSession
from .errors import (
    BadHandshakeMethod,
    BadRequest,
    CloseReason,
    Forbidden,
    HandshakeError,
    NoUpgrade,
    RefusedTransport,
    UnknownSid,
    UnknownTransport,
    UnsupportedRevision,
)
from .evented.timers import Timers
from .handshake import UPGRADE_KEY, Answer, kept_environ, parse_query
from .interfaces import CONNECTION
from .origins import check_origin, check_script, cors_headers, preflight_headers
from .protocol.http import Head, encode_head, escape
from .protocol.paths import ClassicRequest, recognise
from .protocol.revisions import Revision, by_query
from .protocol.websocket import TEXT, HandshakeRefused, check_handshake, encode_close, encode_frame
from .session import BaseSession, Session, SessionListener
from .settings import Settings
from .transports.base import CLOSED_TRANSPORT, Exchange
from .transports.jsonp import JSONPTransport, parse_index
from .transports.polling import PollingTransport
from .transports.repairs import repairs_for
from .transports.websocket import WebSocketTransport

__all__ = ["UPGRADE_KEY", "Answer", "Engine"]

log = logging.getLogger(__name__)

AnySession = TypeVar("AnySession", bound=BaseSession)

#: Of the clients from 1.0 on; a request of theirs names its transport in the query.
_TRANSPORTS: Final = ("polling", "websocket")

#: A path beyond these is no reason to answer at once; its sessions are found all the same.
_MAX_PATHS: Final = 100

#: Clients may also think of many origins.
_MAX_WARNED: Final = 100


class Engine:
    """The Engine.IO server of one application.

    Args:
        accept: called with each new session; returns who listens to it.
    """

    def __init__(
        self, settings: Settings, timers: Timers, accept: Callable[[BaseSession, Any], SessionListener]
    ) -> None:
        self.settings = settings
        self.timers = timers
        self.sessions: dict[str, BaseSession] = {}
        self._classic = Classic(self)
        self._resource = f"/{settings.resource}/"
        #: How many of the sessions are of classic clients; mostly none, and then no path has to be read.
        self._classic_sessions = 0
        #: Where sessions were opened; only the first few, because clients may choose among many.
        self.paths: set[str] = set()
        #: Reasons for refusals that have been warned of: clients may repeat them for ever.
        self._warned: set[str] = set()
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
            if "transport" not in query and "EIO" not in query:
                request = self._classic_request(exchange.head.path)
                if request is not None:
                    return self._classic.answer(request, query, environ, exchange, hint)
            transport = self._transport(query, websocket)
            foreign = self._is_foreign(headers, environ)
            if "j" in query:
                check_script(self.settings, headers, environ["wsgi.url_scheme"], environ.get("HTTP_HOST", ""))
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
            refusal = self.refusal(cors)
            if refusal is not None:
                return refusal
            if len(self.paths) < _MAX_PATHS:
                self.paths.add(exchange.head.path)
            if websocket:
                return self._answer_websocket(environ, exchange, revision, transport, cors, hint)
            return self._answer_polling(environ, revision, query, cors, exchange.head.headers, hint)
        except HandshakeRefused as refused:
            log.info("refused a WebSocket: %s", refused)
            fields = [("Connection", "close"), ("Content-Type", "text/html"), *refused.headers]
            return Answer(refused.status, fields, str(refused).encode())
        except HandshakeError as error:
            self.log_refusal(exchange, error, environ)
            return self._error(error, websocket, cors)

    def log_refusal(
        self, exchange: Exchange, error: HandshakeError, own: Mapping[str, Any] | None, sid: str = ""
    ) -> None:
        """Log why a request is refused; as a warning where a setting, or a proxy, is to be changed.

        Args:
            own: the WSGI environ of the request, or of the session that it names, ``None`` where there is none.
            sid: of that session.
        """
        path, text = escape(exchange.head.path), escape(str(error))
        if sid:
            path = path.replace(sid, sid[:6])
        if own is None:
            log.info("refused %s: %s", path, text)
            return
        warned = self._warned
        news = isinstance(error, (Forbidden, NoUpgrade)) and text not in warned and len(warned) < _MAX_WARNED
        if news:
            warned.add(text)
        is_warning = news or isinstance(error, (UnsupportedRevision, RefusedTransport))
        peer = escape(own.get("REMOTE_ADDR", "a local client"), 100)
        log.log(logging.WARNING if is_warning else logging.INFO, "refused %s of %s: %s", path, peer, text)
        if news and len(warned) == _MAX_WARNED:
            log.warning("refusals for reasons that are new, such as other origins, are no warnings from now on")

    def _classic_request(self, path: str) -> ClassicRequest | None:
        """What a classic client asks for; what stands before the resource is the application's, whatever its name."""
        _, found, rest = path.partition(self._resource)
        return recognise(f"/{rest}" if found else path)

    def refusal(self, cors: list[tuple[str, str]]) -> Answer | None:
        """The answer to a handshake while no client can be taken."""
        if not self.closing and len(self.sessions) < self.settings.max_sessions:
            return None
        if self.closing:
            body = b"The server is shutting down"
            log.info("refused a client with 503: shutting down")
        else:
            body = b"Too many clients"
            log.warning("refused a client with 503: socketio.max_sessions")
        return Answer(503, [("Retry-After", "5"), ("Content-Type", "text/plain"), *cors], body)

    def _transport(self, query: Mapping[str, str], websocket: bool) -> str:
        transport = query.get("transport", "")
        if transport not in _TRANSPORTS or transport not in self.settings.transports:
            revision = by_query(query)
            if transport in self.settings.transports:
                raise UnknownTransport(f"{revision or 'an unknown revision'} has no transport {transport}")
            served = " ".join(self.settings.transports)
            of = f" of revision {revision.name}" if revision else ""
            refusal = RefusedTransport if transport in _TRANSPORTS else UnknownTransport
            raise refusal(f"transport={transport[:40]}{of} is not one of socketio.transports = {served}")
        if transport == "websocket" and not websocket:
            raise NoUpgrade(
                "transport=websocket without an Upgrade header; a proxy in front has to pass Upgrade and Connection on"
            )
        return transport

    def _served(self, revision: Revision | None, query: Mapping[str, str]) -> Revision:
        if revision is None or revision.name not in self.settings.revisions:
            asked = f"EIO={query.get('EIO', '')[:20]}" if revision is None else str(revision)
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
        headers: Mapping[str, str],
        hint: Any,
    ) -> Answer:
        index = parse_index(query["j"]) if "j" in query else None
        session = self.open_session(Session, environ, revision, hint)
        if index is None:
            transport = PollingTransport(revision, self.settings, session)
        else:
            transport = JSONPTransport(revision, self.settings, session, index, repairs_for(revision, headers))
        session.transport = transport
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
                session = self.open_session(Session, environ, revision, hint)
                wire, early = exchange.take_over()
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

    def open_session(
        self, kind: type[AnySession], environ: Mapping[str, Any], revision: Revision, hint: Any
    ) -> AnySession:
        """A new session, and who listens to it. Its transport is the caller's to set."""
        # 160 bits: nobody guesses one (CVE-2017-16031).
        sid = secrets.token_urlsafe(20)
        session = kind(sid, revision, self.settings, self.timers, kept_environ(environ), self._forget)
        self.sessions[sid] = session
        self._classic_sessions += kind is ClassicSession
        session.listener = self._accept(session, hint)
        return session

    def _forget(self, session: BaseSession) -> None:
        if self.sessions.pop(session.sid, None) is not None:
            self._classic_sessions -= isinstance(session, ClassicSession)

    # Requests of sessions: straight from the server's connection, past WSGI and Pyramid

    def handle(self, exchange: Exchange, scheme: str) -> bool:
        """Answer a request that names one of the sessions: by its query, or by its path as classic clients do.

        Args:
            scheme: of the connection; for a session, what counts is what the application said at its handshake.

        Returns:
            Whether the request belongs here. If not, nothing was done.
        """
        head: Head = exchange.head
        if _has_sid(head.query):
            try:
                query = parse_query(head.query)
            except BadRequest:
                query = {}
            if query.get("sid") in self.sessions:
                self._handle(exchange, head, scheme, query)
                return True
        request = self._classic_request(head.path) if self._classic_sessions else None
        session = self.sessions.get(request.sid) if request is not None else None
        if request is None or session is None:
            return False
        self._classic.handle(request, session, exchange)
        return True

    def handle_unknown(self, exchange: Exchange, scheme: str) -> bool:
        """Answer a request for a session that no engine of the server has, where earlier handshakes had its path.

        The application would come to the same answer, for more. See :meth:`handle`.
        """
        head: Head = exchange.head
        if not _has_sid(head.query) or head.path not in self.paths:
            return False
        self._handle(exchange, head, scheme)
        return True

    def _handle(self, exchange: Exchange, head: Head, scheme: str, query: Mapping[str, str] | None = None) -> None:
        """Answer a request whose query has a ``sid``; ``query`` is that, where it has been parsed."""
        websocket = exchange.wants_websocket
        cors: list[tuple[str, str]] = []
        try:
            if query is None:
                query = parse_query(head.query)
            transport = self._transport(query, websocket)
            session = self.sessions.get(query["sid"])
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
            if asked is None or asked.name != session.revision.name or not isinstance(session, Session):
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
            session = self.sessions.get(query["sid"]) if query and "sid" in query else None
            self.log_refusal(exchange, error, session.environ if session else None)
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


def _has_sid(query: str) -> bool:
    # Other keys may end with "sid" too.
    return "&sid=" in query or query[:4] == "sid="


def _accept_and_close(exchange: Exchange, head: bytes) -> None:
    wire, _ = exchange.take_over()
    wire.send(head + encode_close(1002))
    wire.close()
