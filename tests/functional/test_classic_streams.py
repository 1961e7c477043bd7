"""The endless documents of clients 0.5 to 0.9, as the browsers of the time see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from pyramid_socketio import SocketIOContext, message
from pyramid_socketio.engine import UPGRADE_KEY
from pyramid_socketio.interfaces import CONNECTION
from pyramid_socketio.protocol import payload_v1
from pyramid_socketio.settings import Settings
from pyramid_socketio.transports.stream import StreamTransport
from tests.conftest import wait_for
from tests.functional.browsers import Document, HTMLFile06, HTMLFile09, Multipart06, handshake_0_9
from tests.functional.raw import Connection, EngineSocket, request
from tests.functional.serving import ThreadServer

PAGES: Any = (HTMLFile09, HTMLFile06, Multipart06)

#: Why contexts, or streams, have ended; and the transports of clients.
ENDED: list[str | None] = []
NAMES: list[str] = []


class Context(SocketIOContext):
    def connect(self) -> None:
        NAMES.append(self.io.transport)
        self.send("wörld 😀")
        self.send({"a": [1, None, True], "b": "</script>&\u2028"})

    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    @message("message")
    def echo(self, value: Any) -> None:
        self.send(f"re:{value}")

    def msg_shout(self, msg: dict[str, Any]) -> None:
        self.send_and_broadcast({"type": "heard", "text": msg["text"]})

    def msg_flood(self, msg: dict[str, Any]) -> None:
        for _ in range(msg["count"]):
            self.send("x" * 10_000)

    def msg_leave(self, msg: dict[str, Any]) -> None:
        self.send("bye")
        self.io.disconnect()


def application(**settings: str) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Context, "/")
        config.add_tween(f"{__name__}.gate_factory")
    return config.make_wsgi_app()


def gate_factory(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween that lets nobody in who says so himself."""

    def gate(request: Any) -> Any:
        response = handler(request)
        verdict = request.headers.get("X-Verdict")
        if verdict == "forbidden":
            return HTTPForbidden("not you")
        if verdict == "page":
            return Response("another page", content_type="text/html")
        return response

    return gate


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    settings = {"write_timeout": "1", "max_queue_bytes": "100000", "allowed_origins": "http://a.example"}
    with ThreadServer(application(**settings)) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    ENDED.clear()
    NAMES.clear()
    serving.forget()
    yield serving
    wait_for(serving.has_settled)
    assert serving.failures == []


def greeted(page: Any) -> Any:
    """The page, when it has read what the context says at first."""
    assert page.receive() == "wörld 😀"
    assert page.receive() == {"a": [1, None, True], "b": "</script>&\u2028"}
    return page


@pytest.mark.parametrize("kind", PAGES)
class TestPage:
    def test_messages_both_ways(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port)) as page:
            assert page.status == 200
            assert page.headers["content-type"] == kind.content_type
            assert page.headers["connection"] == "keep-alive"
            assert page.chunked == (kind is not Multipart06)
            assert "content-length" not in page.headers
            assert kind.transport == NAMES[0]
            page.say("héllo 😀")
            assert page.receive() == "re:héllo 😀"
            page.say("a", "b", {"type": "shout", "text": "c"})
            assert [page.receive() for _ in range(3)] == ["re:a", "re:b", {"type": "heard", "text": "c"}]

    def test_a_broadcast_to_everybody(self, server: ThreadServer, kind: Any) -> None:
        with EngineSocket(server.port) as today, greeted(kind(server.port)) as page:
            pages = [greeted(other(server.port)) for other in PAGES]
            assert [today.event()[0] for _ in range(2)] == ["message", "message"]
            page.say({"type": "shout", "text": "é"})
            for other in (page, *pages):
                assert other.receive() == {"type": "heard", "text": "é"}
            assert today.event() == ["message", {"type": "heard", "text": "é"}]
            for other in pages:
                other.close()

    def test_behind_a_proxy_that_speaks_http_1_0(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port, version="HTTP/1.0")) as page:
            assert not page.chunked
            page.say("a")
            assert page.receive() == "re:a"

    def test_the_page_goes_away(self, server: ThreadServer, kind: Any) -> None:
        greeted(kind(server.port)).close()
        assert wait_for(lambda: ENDED) == ["transport close"]

    def test_the_connection_breaks(self, server: ThreadServer, kind: Any) -> None:
        greeted(kind(server.port)).reset()
        assert wait_for(lambda: ENDED) == ["transport error"]

    def test_the_server_ends_it(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port)) as page:
            page.say({"type": "leave"})
            assert page.receive() == "bye"
            rest = page.end()
            # Clients 0.6 have no packet for it.
            assert rest == ('<script>_("0::");</script>' if kind is HTMLFile09 else "")
        assert wait_for(lambda: ENDED) == ["server"]

    def test_a_request_behind_the_stream(self, server: ThreadServer, kind: Any) -> None:
        """It would never be answered."""
        with greeted(kind(server.port)) as page:
            page.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert page.end() == ""
        assert wait_for(lambda: ENDED) == ["protocol error"]

    def test_a_client_that_does_not_read(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port)) as page:
            page.say(*[{"type": "flood", "count": 500}] * 2)
            assert wait_for(lambda: ENDED) == ["slow consumer"]

    def test_an_origin_that_is_allowed(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port, {"Origin": "http://a.example"})) as page:
            assert page.headers["access-control-allow-origin"] == "http://a.example"
            assert page.headers["access-control-allow-credentials"] == "true"

    def test_a_bad_post_ends_the_stream(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port)) as page:
            request(server.port, "POST", page.path, {}, b"abc")
            assert page.end() == ""
        assert wait_for(lambda: ENDED) == ["protocol error"]

    def test_shutdown(self, kind: Any) -> None:
        ENDED.clear()
        with ThreadServer(application()) as server:
            page = greeted(kind(server.port))
        assert page.end() == ""
        page.close()
        assert ENDED == ["shutdown"]


@pytest.mark.parametrize("kind", PAGES)
class TestHeartbeat:
    @pytest.fixture
    def server(self) -> Iterator[ThreadServer]:
        ENDED.clear()
        with ThreadServer(application(ping_interval="0.1", ping_timeout="0.3")) as server:
            yield server
            wait_for(server.has_settled)
        assert server.failures == []

    def test_answered(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port)) as page:
            for number in range(1, 6):
                heartbeat = page.message()
                assert heartbeat == ("2::" if kind is HTMLFile09 else f"~m~4~m~~h~{number}")
                page.post("2::" if kind is HTMLFile09 else f"~h~{number}")
            assert ENDED == []

    def test_not_answered(self, server: ThreadServer, kind: Any) -> None:
        with greeted(kind(server.port)) as page:
            rest = page.end()
            assert ('"0::"' in rest) == (kind is HTMLFile09)
        assert wait_for(lambda: ENDED) == ["ping timeout"]


@pytest.mark.parametrize("path", ["/socket.io/htmlfile//1290000000000", "/socket.io/xhr-multipart/"])
class TestApplication:
    """The first request of 0.6 goes through the application, which may have its own idea."""

    def test_refuses(self, server: ThreadServer, path: str) -> None:
        with Connection(server.port) as client:
            for _ in range(2):
                answer = client.request("GET", path, {"X-Verdict": "forbidden"})
                assert answer.status == 403
                assert b"not you" in answer.body
        assert ENDED == []

    def test_puts_a_page_in_its_place(self, server: ThreadServer, path: str) -> None:
        with Connection(server.port) as client:
            for _ in range(2):
                answer = client.request("GET", path, {"X-Verdict": "page"})
                assert (answer.status, answer.body) == (200, b"another page")
        assert ENDED == []

    def test_a_foreign_page_p14(self, server: ThreadServer, path: str) -> None:
        answer = request(server.port, "GET", path, {"Origin": "http://evil.example"})
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers


def test_the_stream_of_nobody(server: ThreadServer) -> None:
    """The packet that makes a client shake hands again, in a document that ends."""
    answer = request(server.port, "GET", "/socket.io/1/htmlfile/nosuch")
    assert (answer.status, answer.headers["content-type"]) == (200, HTMLFile09.content_type)
    assert answer.text == HTMLFile09.beginning.ljust(256) + '<script>_("7:::1+0");</script>'


def test_a_newer_transport_ends_the_stream(server: ThreadServer) -> None:
    with greeted(HTMLFile09(server.port)) as page:
        page.say("a")
        assert page.receive() == "re:a"
        with Connection(server.port) as polling:
            polling.ask("GET", f"/socket.io/1/xhr-polling/{page.sid}?t=1")
            assert page.end() == ""
            page.say("b")
            assert polling.response().text == "3:::re:b"
        page.post("0::")


def test_transports_that_are_switched_off() -> None:
    with ThreadServer(application(transports="polling websocket")) as server:
        assert handshake_0_9(server.port)[1] == ["websocket"]
        for path in ("/socket.io/htmlfile//1290000000000", "/socket.io/xhr-multipart/"):
            assert request(server.port, "GET", path).status == 400


# What the server does when an answer gives the connection away, without the rest of the package.


class Session:
    """Keeps the stream open until the client goes."""

    sid = "the sid"

    def received(self, transport: Any, packets: Any) -> None:
        raise AssertionError("a stream brings no packets")

    def failed(self, transport: Any, error: Exception) -> None:
        transport.close(1002)

    def gone(self, transport: Any, reason: str) -> None:
        ENDED.append(reason)


class Views:
    """``/passes`` answers with a stream, ``/early`` does so before it returns."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def begin(exchange: Any, head: bytes) -> None:
            wire, early = exchange.take_over()
            version = exchange.head.version
            stream = StreamTransport(wire, payload_v1.STREAMS["htmlfile"], Settings(), Session(), version, head, early)
            stream.send_packet(b"1::")

        environ[UPGRADE_KEY] = begin
        headers = payload_v1.STREAMS["htmlfile"].headers(environ["SERVER_PROTOCOL"])
        if environ["PATH_INFO"] == "/early":
            environ[CONNECTION].answer_early(environ, 200, headers, b"")
            start_response("500 Too Late", [])
        else:
            start_response("200 OK", [*headers, ("Content-Length", "0"), ("Set-Cookie", "a=b")])
        return []


class TestServer:
    @pytest.fixture
    def server(self) -> Iterator[ThreadServer]:
        ENDED.clear()
        with ThreadServer(Views()) as server:
            yield server
        assert server.failures == []

    @pytest.mark.parametrize("path", ["/passes", "/early"])
    def test_an_answer_that_gives_the_connection_away(self, server: ThreadServer, path: str) -> None:
        with Document(server.port, path) as document:
            assert document.status == 200
            assert document.chunked and "content-length" not in document.headers
            assert document.headers["content-type"] == "text/html; charset=UTF-8"
            assert document.headers.get("set-cookie") == ("a=b" if path == "/passes" else None)
            while not document.text.endswith('<script>_("1::");</script>'):
                assert document.grow()
            assert document.is_silent(0.05)
        assert wait_for(lambda: ENDED) == ["transport close"]

    def test_a_request_behind_it(self, server: ThreadServer) -> None:
        with Connection(server.port) as client:
            client.send(b"GET /passes HTTP/1.1\r\nHost: a\r\n\r\nGET /passes HTTP/1.1\r\nHost: a\r\n\r\n")
            everything = client.read_to_end()
            assert everything.endswith(b"</script>\r\n0\r\n\r\n"), "the document ends in order"
            assert everything.count(b"HTTP/1.1") == 1
