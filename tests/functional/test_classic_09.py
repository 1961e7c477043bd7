"""Clients 0.7 to 0.9 over WebSocket, xhr-polling and jsonp-polling (their protocol reference)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_socketio.io import socketio_manage
from tests.conftest import wait_for
from tests.functional.classic import JSONP09, Polling09, Socket09, handshake
from tests.functional.classic_app import ENDED, Closed, Main, application, for_one_test
from tests.functional.raw import CLOSE, EngineSocket, WebSocket, request
from tests.functional.serving import ThreadServer


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(application()) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


EVERY = pytest.mark.parametrize("kind", [Polling09, JSONP09, Socket09])


class Client:
    """Any of the three, used in the same way."""

    def __init__(self, kind: Any, port: int) -> None:
        self.inner = kind(port)
        if kind is not Socket09:
            self.inner.open()
        self.is_socket = kind is Socket09

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *args: object) -> None:
        self.inner.__exit__(*args)

    def say(self, *packets: str) -> None:
        if self.is_socket:
            for packet in packets:
                self.inner.send_text(packet)
        else:
            self.inner.post(*packets)

    def hear(self, count: int = 1) -> list[str]:
        if self.is_socket:
            return [self.inner.receive_text() for _ in range(count)]
        received: list[str] = self.inner.receive(count)
        return received


@EVERY
class TestEveryTransport:
    def test_messages_both_ways(self, server: ThreadServer, kind: Any) -> None:
        with Client(kind, server.port) as client:
            client.say("3:::héllo 😀")
            assert client.hear() == ["3:::re:héllo 😀"]
            client.say("3:::a", '4:::{"b":1}')
            assert client.hear(2) == ["3:::re:a", "3:::re:{'b': 1}"]

    def test_events_and_acks(self, server: ThreadServer, kind: Any) -> None:
        with Client(kind, server.port) as client:
            client.say('5:1+::{"name":"echo","args":["é",[1]]}')
            assert client.hear(2) == ['5:::{"name":"back","args":["é",[1]]}', '6:::1+["é",[1]]']
            client.say('5:::{"name":"ask"}')
            assert client.hear() == ['5:0+::{"name":"question"}']
            client.say('6:::0+["because"]')
            assert client.hear() == ['5:::{"name":"answered","args":["because"]}']
            client.say("3:7::x")
            assert sorted(client.hear(2)) == ["3:::re:x", "6:::7"]

    def test_what_the_application_sees(self, server: ThreadServer, kind: Any) -> None:
        name = {Polling09: "xhr-polling", JSONP09: "jsonp-polling", Socket09: "websocket"}[kind]
        with Client(kind, server.port) as client:
            client.say('5:::{"name":"about"}')
            assert client.hear() == [f'5:::{{"name":"about","args":["0.9","{name}"]}}']

    def test_namespaces(self, server: ThreadServer, kind: Any) -> None:
        with Client(kind, server.port) as client:
            client.say("1::/chat:?my=a%20b")
            assert client.hear(2) == ["1::/chat", '5::/chat:{"name":"auth","args":[{"my":"a b"}]}']
            client.say("1::/closed", "1::/nope", "3::/chat:x")
            assert sorted(client.hear(3)) == ["3::/chat:re:x", "7::/closed:2", "7::/nope:2"]
            client.say("0::/chat", "3:::still here")
            assert client.hear() == ["3:::re:still here"]
            assert wait_for(lambda: ENDED) == ["client"]

    def test_a_broadcast_to_everybody(self, server: ThreadServer, kind: Any) -> None:
        with EngineSocket(server.port) as today, Client(kind, server.port) as client, Socket09(server.port) as other:
            client.say('5:::{"name":"shout","args":[{"value":"é"}]}')
            heard = {"type": "heard", "value": "é"}
            assert today.event() == ["message", heard]
            assert client.hear() == [other.receive_text()] == ['4:::{"type":"heard","value":"é"}']

    def test_the_client_leaves(self, server: ThreadServer, kind: Any) -> None:
        with Client(kind, server.port) as client:
            client.say("0::")
            assert wait_for(lambda: ENDED) == ["client"]

    def test_the_page_goes_away(self, server: ThreadServer, kind: Any) -> None:
        with Client(kind, server.port) as client:
            answer = request(server.port, "GET", f"/socket.io/1//{client.inner.sid}/?disconnect=1")
            assert (answer.status, answer.body) == (200, b"")
            assert wait_for(lambda: ENDED) == ["client"]

    def test_the_page_of_0_9_7_goes_away(self, server: ThreadServer, kind: Any) -> None:
        with Client(kind, server.port) as client:
            assert request(server.port, "GET", f"/socket.io/1/{client.inner.sid}").status == 200
            assert wait_for(lambda: ENDED) == ["client"]

    def test_the_server_ends_it(self, server: ThreadServer, kind: Any) -> None:
        with Client(kind, server.port) as client:
            client.say('5:::{"name":"bye"}')
            assert client.hear(2) == ["3:::bye", "0::"]
            assert wait_for(lambda: ENDED) == ["server"]
            if client.is_socket:
                assert client.inner.receive() == (CLOSE, b"\x03\xe8")
            else:
                assert client.inner.poll() == ["7:::1+0"]

    def test_shutdown(self, kind: Any) -> None:
        ENDED.clear()
        with ThreadServer(application()) as server:
            client = Client(kind, server.port)
            if not client.is_socket:
                client.inner.start_poll()
                assert client.inner.gets.is_silent(0.05)
        if client.is_socket:
            assert client.inner.close_code() == 1001
        else:
            assert client.inner.finish_poll() == ["8::"], "not the end: the client shall come again"
        client.__exit__()
        assert ENDED == ["shutdown"]

    def test_who_is_not_let_in(self, kind: Any) -> None:
        with Configurator(settings={}) as config:
            config.include("pyramid_socketio")
            config.add_socketio_context(Closed, "/")
        with ThreadServer(config.make_wsgi_app()) as server:
            if kind is Socket09:
                with WebSocket(server.port, f"/socket.io/1/websocket/{handshake(server.port).sid}") as socket:
                    assert [socket.receive_text(), socket.receive_text()] == ["7:::2", "0::"]
                    assert socket.close_code() == 1000
            else:
                with kind(server.port) as client:
                    assert client.poll() == ["7:::2", "0::"]
                    assert client.poll() == ["7:::1+0"]
            wait_for(server.has_settled)
            assert server.failures == []


class TestWhere:
    @pytest.mark.parametrize(
        "settings, base",
        [({"resource": "foo"}, "/foo"), ({"prefix": "app/v2"}, "/app/v2/socket.io")],
    )
    def test_resource_and_prefix(self, settings: dict[str, str], base: str) -> None:
        with ThreadServer(application(**settings)) as server:
            for kind in (Polling09, JSONP09):
                with kind(server.port, resource=base).open() as client:
                    client.post("3:::x")
                    assert client.receive() == ["3:::re:x"]
                    client.leave()
            with Socket09(server.port, resource=base) as socket:
                assert socket.ask("3:::x") == "3:::re:x"

    def test_requests_of_a_session_do_not_pass_through_the_application(self) -> None:
        asked: list[str] = []
        app = application()

        def counted(environ: dict[str, Any], start_response: Any) -> Any:
            asked.append(environ["PATH_INFO"])
            return app(environ, start_response)

        with ThreadServer(counted) as server:
            server.application = app
            with Polling09(server.port).open() as client:
                client.post("3:::x")
                client.receive()
                client.leave()
            assert asked == ["/socket.io/1/"]


class Viewed(Main):
    def msg_path(self) -> str:
        path: str = self.request.path
        return path


def view(request: Any) -> Response:
    return Response(socketio_manage(Viewed(request)))


@EVERY
def test_a_view_of_the_applications_own(kind: Any) -> None:
    """As of 2011, when these were the clients."""
    ENDED.clear()
    with Configurator(settings={}) as config:
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(view, route_name="socket_io")
    with ThreadServer(config.make_wsgi_app()) as server:
        with Client(kind, server.port) as client:
            client.say('5:1+::{"name":"path"}')
            assert client.hear() == ['6:::1+["/socket.io/1/"]']
            client.say("0::")
        assert wait_for(lambda: ENDED) == ["client"]
        wait_for(server.has_settled)
        assert server.failures == []
