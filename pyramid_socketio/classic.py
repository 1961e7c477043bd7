"""Where the requests of the clients 0.5 to 0.9 go; what :mod:`~pyramid_socketio.engine` is for the newer ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from .classic_session import ClassicSession
from .errors import (
    BadHandshakeMethod,
    BadRequest,
    Forbidden,
    HandshakeError,
    NoUpgrade,
    RefusedTransport,
    UnknownTransport,
    UnsupportedRevision,
)
from .handshake import UPGRADE_KEY, Answer, parse_query
from .origins import check_origin, check_script, cors_headers, preflight_headers
from .protocol.hixie import Handshake
from .protocol.http import encode_head
from .protocol.paths import ClassicRequest
from .protocol.revisions import Revision
from .protocol.scripts import encode_script_error
from .protocol.websocket import TEXT, HandshakeRefused, check_handshake, encode_close, encode_frame
from .session import BaseSession
from .transports.base import Exchange
from .transports.classic_polling import parse_callback, script_headers
from .transports.classic_websocket import ClassicWebSocketTransport
from .transports.hixie import HixieTransport, PendingHandshake
from .transports.hixie import recognise as recognise_draft
from .transports.polling import NO_STORE, Headers
from .transports.stream import StreamTransport

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Classic"]

log = logging.getLogger(__name__)

_WEBSOCKETS: Final = frozenset({"websocket", "flashsocket"})
_POLLING: Final = frozenset({"xhr-polling", "jsonp-polling"})

_TEXT: Final = ("Content-Type", "text/plain; charset=UTF-8")

#: Of a handshake by JSONP; "digits only, else ignored".
_JSONP: Final = re.compile("[0-9]{1,10}")

#: Makes the transport of a connection that has been taken over, in one go with the answer: ``open(exchange, head)``.
Opener = Callable[[Exchange, bytes], None]
#: What is done with an open transport: it becomes that of a session.
Attach = Callable[[], ClassicSession]


class Classic:
    """The requests of classic clients to one application.

    A request that opens a session goes through the application (:meth:`answer`), one of a session comes here straight
    from the server's connection (:meth:`handle`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._settings = engine.settings

    # Requests to the application

    def answer(
        self,
        request: ClassicRequest,
        query: Mapping[str, str],
        environ: dict[str, Any],
        exchange: Exchange,
        hint: Any,
    ) -> Answer:
        """Answer a request that belongs to no session; see :meth:`Engine.answer <.engine.Engine.answer>`."""
        cors: Headers = []
        try:
            cors = self._judge_origin(exchange, environ, environ["REQUEST_METHOD"])
            if environ["REQUEST_METHOD"] == "OPTIONS":
                return Answer(204, cors, b"")
            if request.transport == "jsonp-polling" or "jsonp" in query:
                own = environ["wsgi.url_scheme"], environ.get("HTTP_HOST", "")
                check_script(self._settings, exchange.head.headers, *own)
            revision = self._served(request)
            if request.sid:
                return self._unknown(revision, request, query, environ, exchange, cors)
            if environ["REQUEST_METHOD"] != "GET":
                raise BadHandshakeMethod
            refusal = self._engine.refusal(cors)
            if refusal is not None:
                return refusal
            if not request.transport:
                return self._shake_hands(revision, query, environ, exchange, cors, hint)
            return self._open(revision, request, query, environ, exchange, cors, hint)
        except HandshakeRefused as refused:
            log.info("refused a WebSocket: %s", refused)
            return Answer(refused.status, [("Connection", "close"), _TEXT, *refused.headers], str(refused).encode())
        except HandshakeError as error:
            self._engine.log_refusal(exchange, error, environ)
            if exchange.wants_websocket:
                cors = [("Connection", "close"), *cors]
            return self._error(error, query, cors)

    def _judge_origin(self, exchange: Exchange, own: Mapping[str, Any], method: str) -> Headers:
        """The CORS headers of the answer.

        Raises:
            Forbidden, BadRequest: see :func:`~pyramid_socketio.origins.check_origin`.
        """
        headers = exchange.head.headers
        origin = headers.get("origin")
        scheme = own["wsgi.url_scheme"]
        if origin and "://" not in origin and origin != "null":
            origin = f"{scheme}://{origin}"  # as clients 0.7 to 0.9 in Node write it
        foreign = check_origin(self._settings, origin, scheme, own.get("HTTP_HOST", ""))
        if method == "OPTIONS":
            return preflight_headers(self._settings, headers, foreign, sends_credentials=True)
        return cors_headers(self._settings, origin, foreign, sends_credentials=True)

    def _served(self, request: ClassicRequest) -> Revision:
        settings = self._settings
        revision = request.revision
        if revision is None or revision.name not in settings.revisions:
            asked = "that protocol" if revision is None else str(revision)
            raise UnsupportedRevision(f"{asked} is not one of socketio.revisions = {' '.join(settings.revisions)}")
        if request.transport and (
            request.transport not in settings.transports or request.transport not in revision.engine.TRANSPORTS
        ):
            raise self._unknown_transport(request.transport, revision)
        return revision

    def _unknown_transport(self, name: str, revision: Revision) -> UnknownTransport:
        if name in self._settings.transports:
            return UnknownTransport(f"{revision} has no transport {name}")
        served = " ".join(self._settings.transports)
        return RefusedTransport(f"{name} of revision {revision.name} is not one of socketio.transports = {served}")

    def _error(self, error: HandshakeError, query: Mapping[str, str], cors: Headers) -> Answer:
        """The texts that clients 0.7 to 0.9 show; older ones show none."""
        if isinstance(error, UnsupportedRevision):
            text = "Protocol version not supported."
        elif isinstance(error, Forbidden):
            text = "handshake bad origin"
        else:
            text = error.message
        jsonp = query.get("jsonp", "")
        if _JSONP.fullmatch(jsonp):
            # A script that does not come with 200 is not run.
            return Answer(200, script_headers(cors), encode_script_error(f"io.j[{jsonp}]", text))
        return Answer(error.http_status, [_TEXT, *cors], text.encode())

    def _shake_hands(
        self,
        revision: Revision,
        query: Mapping[str, str],
        environ: dict[str, Any],
        exchange: Exchange,
        cors: Headers,
        hint: Any,
    ) -> Answer:
        """A session without a transport yet (Socket.IO 0.7 to 0.9, section 2)."""
        engine, settings = revision.engine, self._settings
        names = [name for name in engine.TRANSPORTS if name in settings.transports]
        if "flashsocket" in names and not exchange.serves_flash_policy:
            names.remove("flashsocket")
        if not names:
            raise self._unknown_transport("any transport", revision)
        session = self._open_session(environ, revision, hint)
        interval = min(engine.HEARTBEAT_INTERVAL, settings.ping_interval)
        text = engine.encode_handshake(
            session.sid,
            interval + min(engine.HEARTBEAT_TIMEOUT, settings.ping_timeout),
            interval + engine.CLOSE_MARGIN,
            names,
        )
        jsonp = query.get("jsonp", "")
        callback = jsonp if _JSONP.fullmatch(jsonp) else None
        return _packet_answer(revision, callback, text.encode(), cors, opens=True)

    def _open(
        self,
        revision: Revision,
        request: ClassicRequest,
        query: Mapping[str, str],
        environ: dict[str, Any],
        exchange: Exchange,
        cors: Headers,
        hint: Any,
    ) -> Answer:
        """A session whose first request is its handshake (Socket.IO 0.5 and 0.6, section 1)."""
        if request.transport in _POLLING:
            callback = self._callback(request, query)
            session = self._open_session(environ, revision, hint)
            headers, body = session.open_by_poll(exchange, cors, request.transport, callback)
            return Answer(200, headers, body, opens=True)

        def attach() -> ClassicSession:
            return self._open_session(environ, revision, hint)

        status, headers, opener = self._opener(revision, request, exchange, cors, environ, attach)
        environ[UPGRADE_KEY] = opener
        return Answer(status, headers, b"", opens=True)

    def _open_session(self, environ: Mapping[str, Any], revision: Revision, hint: Any) -> ClassicSession:
        return self._engine.open_session(ClassicSession, environ, revision, hint)

    def _unknown(
        self,
        revision: Revision,
        request: ClassicRequest,
        query: Mapping[str, str],
        environ: dict[str, Any],
        exchange: Exchange,
        cors: Headers,
    ) -> Answer:
        """A session that is over, perhaps because the server was started anew: the client shall come again."""
        packet: bytes | None = revision.engine.UNKNOWN_SESSION
        # After it has connected anew, jsonp-polling of 0.6 goes on to post with its first session id (section 5.2).
        if environ["REQUEST_METHOD"] == "POST" and (packet is not None or request.transport == "jsonp-polling"):
            return Answer(200, [_TEXT, *cors], revision.engine.POST_ANSWER)
        if not request.transport or "disconnect" in query:
            return Answer(200, [_TEXT, *cors], b"")
        if packet is None:
            return Answer(404, [_TEXT, *cors], b"Session ID unknown")
        if request.transport in _WEBSOCKETS:
            words = encode_frame(TEXT, packet) + encode_close(1000)

            def tell(exchange: Exchange, head: bytes) -> None:
                wire, _ = exchange.take_over()
                wire.send(head)
                wire.close(last_words=words)

            accept = check_handshake(exchange.head.method, exchange.head.version, exchange.head.headers)
            environ[UPGRADE_KEY] = tell
            return Answer(101, _switching(accept, cors), b"")
        framing = revision.engine.STREAMS.get(request.transport)
        if framing is not None:
            body = framing.begin + framing.encode([packet])
            return Answer(200, [("Content-Type", framing.content_type), *cors, NO_STORE], body)
        return _packet_answer(revision, self._callback(request, query), packet, cors)

    @staticmethod
    def _callback(request: ClassicRequest, query: Mapping[str, str]) -> str | None:
        """The number of the client's callback, where it wants a script."""
        if request.transport != "jsonp-polling":
            return None
        return parse_callback(request.callback or query.get("i", ""))

    # Requests of sessions

    def handle(self, request: ClassicRequest, session: BaseSession, exchange: Exchange) -> None:
        """Answer a request of a session, which may be one of another revision."""
        method = exchange.head.method
        cors: Headers = []
        try:
            query = parse_query(exchange.head.query)
            cors = self._judge_origin(exchange, session.environ, method)
            if method == "OPTIONS":
                exchange.respond(204, cors)
                return
            revision = self._served(request)
            if revision is not session.revision or not isinstance(session, ClassicSession):
                raise BadRequest("the session was opened by another revision")
            if not request.transport or "disconnect" in query:
                session.end_by_client()
                exchange.respond(200, [_TEXT, *cors])
            elif method == "POST" and "content-encoding" in exchange.head.headers:
                exchange.respond(415, cors, close=True)
            elif method == "POST":
                session.post(exchange, cors, form=request.transport == "jsonp-polling")
            elif method != "GET":
                raise BadHandshakeMethod
            elif request.transport in _POLLING:
                session.poll(exchange, cors, request.transport, self._callback(request, query))
            else:
                status, headers, opener = self._opener(
                    revision, request, exchange, cors, session.environ, lambda: session
                )
                opener(exchange, encode_head(status, headers))
        except HandshakeRefused as refused:
            log.info("refused a WebSocket: %s", refused)
            exchange.respond(refused.status, [_TEXT, *refused.headers], str(refused).encode(), close=True)
        except HandshakeError as error:
            self._engine.log_refusal(exchange, error, session.environ, session.sid)
            answer = self._error(error, {}, cors)
            exchange.respond(answer.status, answer.headers, answer.body, close=exchange.wants_websocket)

    # Transports that keep the connection

    def _opener(
        self,
        revision: Revision,
        request: ClassicRequest,
        exchange: Exchange,
        cors: Headers,
        own: Mapping[str, Any],
        attach: Attach,
    ) -> tuple[int, Headers, Opener]:
        """How a connection becomes a WebSocket or a stream: status and headers of the answer, and what is to be called.

        Args:
            own: the WSGI environ that names the scheme of the URL.
            attach: gives the session, when the application has let the client in.
        """
        name = request.transport
        if name not in _WEBSOCKETS:
            framing = revision.engine.STREAMS[name]
            version = exchange.head.version

            def stream(exchange: Exchange, head: bytes) -> None:
                session = attach()
                wire, early = exchange.take_over()
                session.attach(StreamTransport(wire, framing, self._settings, session, version, head, early))

            return 200, [*framing.headers(version), *cors], stream
        if not exchange.wants_websocket:
            raise NoUpgrade(f"{name} without an Upgrade header; a proxy in front has to pass Upgrade and Connection on")
        draft = recognise_draft(exchange.head, own["wsgi.url_scheme"], self._settings)
        if draft is not None:
            return 101, [], self._draft_opener(name, revision, draft, attach)
        accept = check_handshake(exchange.head.method, exchange.head.version, exchange.head.headers)

        def websocket(exchange: Exchange, head: bytes) -> None:
            session = attach()
            wire, early = exchange.take_over()
            transport = ClassicWebSocketTransport(wire, name, revision, self._settings, session, early)
            wire.send(head)
            session.attach(transport)

        return 101, _switching(accept, cors), websocket

    def _draft_opener(self, name: str, revision: Revision, draft: Handshake, attach: Attach) -> Opener:
        def open(exchange: Exchange, head: bytes) -> None:
            session = attach()
            wire, early = exchange.take_over()

            def ready(early: bytes) -> None:
                session.attach(HixieTransport(wire, name, revision, self._settings, session, early))

            PendingHandshake(wire, draft, head, early, ready, session.never_opened)

        return open


def _packet_answer(
    revision: Revision, callback: str | None, packet: bytes, cors: Headers, opens: bool = False
) -> Answer:
    """A packet as it is, or as a script for the client's callback."""
    if callback is None:
        return Answer(200, [_TEXT, *cors, NO_STORE], packet, opens)
    script = revision.engine.encode_poll_script(callback, packet.decode())
    return Answer(200, script_headers(cors), script, opens)


def _switching(accept: str, cors: Headers) -> Headers:
    return [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept), *cors]
