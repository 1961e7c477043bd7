"""Clients 0.5 and 0.6 over WebSocket, xhr-polling and jsonp-polling (their protocol reference)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_socketio.io import socketio_manage
from pyramid_socketio.protocol import payload_v0
from pyramid_socketio.protocol.revisions import V0
from pyramid_socketio.transports import classic_polling
from tests.conftest import DEADLINE, wait_for
from tests.functional.classic import JSONP06, Polling06, Socket06, split_0_6, unscript
from tests.functional.classic_app import ENDED, Closed, Main, application, for_one_test
from tests.functional.raw import UPGRADE, Connection, EngineSocket, request
from tests.functional.serving import ThreadServer


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(application()) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


BOTH = pytest.mark.parametrize("kind", [Polling06, JSONP06])
EVERY = pytest.mark.parametrize("kind", [Polling06, JSONP06, Socket06])

FIRST = "/socket.io/xhr-polling//1290000000000"


def say(client: Any, *messages: str) -> None:
    client.say(*messages) if isinstance(client, Socket06) else client.post(*messages)


def hear(client: Any, count: int = 1) -> list[str]:
    if isinstance(client, Socket06):
        return [client.hear() for _ in range(count)]
    received: list[str] = client.receive(count)
    return received


@EVERY
class TestEveryTransport:
    def test_messages_both_ways(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port) as client:
            assert client.sid in server.sessions
            say(client, "héllo 😀")
            assert hear(client) == ["re:héllo 😀"]
            say(client, "a", '~j~{"b":1}', "")
            assert hear(client, 3) == ["re:a", "re:{'b': 1}", "re:"]

    def test_messages_with_a_type(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port) as client:
            say(client, '~j~{"type":"about"}')
            name = {Polling06: "xhr-polling", JSONP06: "jsonp-polling", Socket06: "websocket"}[kind]
            assert hear(client) == [f'~j~{{"type":"about","args":["0.6","{name}"]}}']

    def test_a_broadcast_to_everybody(self, server: ThreadServer, kind: Any) -> None:
        with EngineSocket(server.port) as today, kind(server.port) as client, Socket06(server.port) as other:
            say(client, '~j~{"type":"shout","value":"é"}')
            heard = {"type": "heard", "value": "é"}
            assert today.event() == ["message", heard]
            (text,) = hear(client)
            assert text == other.hear()
            assert json.loads(text.removeprefix("~j~")) == heard

    def test_the_server_ends_it(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port) as client:
            say(client, '~j~{"type":"bye"}')
            assert hear(client) == ["bye"]
            assert wait_for(lambda: ENDED) == ["server"]
            if kind is Socket06:
                assert client.close_code() == 1000
            else:
                assert client.gets.request("GET", client.get_path).status == 404

    def test_shutdown(self, kind: Any) -> None:
        ENDED.clear()
        with ThreadServer(application()) as server:
            client = kind(server.port)
            if kind is not Socket06:
                client.start_poll()
                assert client.gets.is_silent(0.05)
        if kind is Socket06:
            assert client.close_code() == 1001
        else:
            assert client.finish_poll() == []
        client.__exit__()
        assert ENDED == ["shutdown"]

    def test_who_is_not_let_in(self, kind: Any) -> None:
        """There is no packet to say so: the connection ends."""
        with ThreadServer(application(Closed)) as server, kind(server.port) as client:
            if kind is Socket06:
                assert client.close_code() == 1000
            else:
                assert client.poll() == []
                assert client.gets.request("GET", client.get_path).status == 404
            wait_for(server.has_settled)
            assert server.failures == []


@BOTH
class TestPolling:
    def test_a_poll_is_held_until_there_is_something(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port) as client:
            client.start_poll()
            assert client.gets.is_silent(0.05)
            client.post("x")
            assert client.finish_poll() == ["re:x"]

    def test_a_poll_is_held_for_a_while(self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert payload_v0.POLL_DURATION == 20.0
        monkeypatch.setattr(payload_v0, "POLL_DURATION", 0.1)
        with kind(server.port) as client:
            since = time.monotonic()
            assert client.poll() == []
            assert time.monotonic() - since >= 0.1

    def test_a_client_that_does_not_poll_again(
        self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert payload_v0.CLOSE_TIMEOUT == 8.0
        monkeypatch.setattr(payload_v0, "CLOSE_TIMEOUT", 0.1)
        with kind(server.port):
            assert wait_for(lambda: ENDED) == ["transport close"]

    def test_a_poll_that_breaks_off_is_the_end(self, server: ThreadServer, kind: Any) -> None:
        """That is all that a client says when it goes (section 6)."""
        with kind(server.port) as client:
            client.break_off()
            assert wait_for(lambda: ENDED) == ["transport close"]

    def test_a_goodbye_that_comes_too_late(self, server: ThreadServer, kind: Any) -> None:
        """That of ``compat.js``; a page shows every other answer as an error."""
        with kind(server.port) as client:
            for _ in range(2):
                name = client.get_path.split("/")[2]
                goodbye = client.posts.request("GET", f"/socket.io/{name}/{client.sid}/?disconnect=1")
                assert (goodbye.status, goodbye.body) == (200, b"")
                assert wait_for(lambda: ENDED) == ["client"]

    def test_a_client_that_leaves_while_it_is_answered(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port) as client:
            for _ in range(2):
                client.post("x")
                assert client.poll() == ["re:x"]
            since = time.monotonic()
            client.gets.close()
            assert wait_for(lambda: ENDED) == ["transport close"]
            assert 1.5 < time.monotonic() - since < 7

    def test_overlapping_polls(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port) as client, Connection(server.port) as newer:
            client.start_poll()
            assert client.gets.is_silent(0.05)
            newer.ask("GET", client.get_path)
            assert client.finish_poll() == []
            client.post("x")
            assert "re:x" in newer.response().text

    def test_no_heartbeats(self, kind: Any) -> None:
        with ThreadServer(application(ping_interval="0.05", ping_timeout="0.05")) as server:
            with kind(server.port) as client:
                assert [client.poll() for _ in range(4)] == [[]] * 4
                client.post("~h~1")
                client.post("x")
                assert client.receive() == ["re:x"]

    def test_a_client_that_sends_only(self, kind: Any) -> None:
        ENDED.clear()
        with ThreadServer(application(max_queue_packets="10")) as server, kind(server.port) as client:
            client.post('~j~{"type":"flood","count":11}')
            assert wait_for(lambda: ENDED) == ["slow consumer"]

    def test_limits_of_a_post(self, kind: Any) -> None:
        with ThreadServer(application(max_message_size="1000", max_payload_packets="5")) as server:
            with kind(server.port) as client:
                assert client.try_post(b"data=~m~1000~m~" + b"x" * 1000).status == 413
                client.posts.close()
                client.posts = Connection(server.port)
                client.post(*["x"] * 5)
                assert client.try_post(b"data=" + b"~m~1~m~x" * 6).status == 400
                assert client.gets.request("GET", client.get_path).status == 404


def test_an_answer_waits_whether_the_client_leaves(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a POST, a GET that breaks off says that the client has sent and left in one breath."""
    monkeypatch.setattr(classic_polling, "_LEAVING", 0.3)
    with Polling06(server.port) as client:
        client.start_poll()
        assert client.gets.is_silent(0.05)
        since = time.monotonic()
        client.post("a")
        (session,) = server.sessions.values()
        assert session.transport.writable  # what is volatile goes along
        client.post("b")
        assert client.finish_poll() == ["re:a", "re:b"]
        assert 0.25 < time.monotonic() - since
        monkeypatch.setattr(classic_polling, "_LEAVING", 60.0)
        client.start_poll()
        assert client.gets.is_silent(0.05)
        client.post("bye")
        since = time.monotonic()
        client.gets.reset()
        assert wait_for(lambda: ENDED) == ["transport close"]
        assert time.monotonic() - since < 7


class TestWebSocket:
    def test_the_client_goes(self, server: ThreadServer) -> None:
        with Socket06(server.port):
            pass
        assert wait_for(lambda: ENDED) == ["transport close"]

    def test_the_client_closes(self, server: ThreadServer) -> None:
        with Socket06(server.port) as socket:
            socket.send_frame(8, b"\x03\xe8")
            assert socket.close_code() == 1000
        assert wait_for(lambda: ENDED) == ["transport close"]

    def test_early_messages(self, server: ThreadServer) -> None:
        with Socket06(server.port, early=b"\x81\x88\0\0\0\0~m~1~m~x") as socket:
            assert socket.hear() == "re:x"

    @pytest.mark.parametrize("answers", [True, False])
    def test_heartbeats(self, answers: bool) -> None:
        ENDED.clear()
        with ThreadServer(application(ping_interval="0.1", ping_timeout="0.3")) as server:
            with Socket06(server.port) as socket:
                if answers:
                    for number in range(1, 6):
                        assert socket.hear() == f"~h~{number}"
                        socket.say(f"~h~{number}")
                    assert ENDED == []
                else:
                    assert socket.hear() == "~h~1"
                    assert socket.close_code() == 1011
                    assert wait_for(lambda: ENDED) == ["ping timeout"]
            wait_for(server.has_settled)

    def test_heartbeats_whose_interval_is_shorter_than_their_timeout(self) -> None:
        with (
            ThreadServer(application(ping_interval="0.05", ping_timeout="8")) as server,
            Socket06(server.port) as socket,
        ):
            began = time.monotonic()
            for number in range(1, 4):
                assert socket.hear() == f"~h~{number}"
                socket.say(f"~h~{number}")
            assert time.monotonic() - began < DEADLINE / 2


class TestFirstRequest:
    @pytest.mark.parametrize(
        "path",
        [
            FIRST,
            "/socket.io/xhr-polling",
            "/socket.io/xhr-polling/",
            "/socket.io/xhr-polling/1290000000000",  # a proxy has made one slash of two
        ],
    )
    def test_forms_of_the_url(self, server: ThreadServer, path: str) -> None:
        answer = request(server.port, "GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        (sid,) = split_0_6(answer.text)
        assert sid in server.sessions
        assert not sid.isdigit(), "times are digits"

    def test_by_jsonp(self, server: ThreadServer) -> None:
        answer = request(server.port, "GET", "/socket.io/jsonp-polling//1290000000000/3")
        (sid,) = split_0_6(unscript(answer, r"io\.JSONP\[3\]\._\((.*)\);"))
        assert sid in server.sessions

    @pytest.mark.parametrize("path, headers", [(FIRST, {}), ("/socket.io/websocket", UPGRADE)])
    def test_the_application_may_refuse(self, server: ThreadServer, path: str, headers: dict[str, str]) -> None:
        assert request(server.port, "GET", path, {"X-Forbidden": "yes", **headers}).status == 403
        assert not server.sessions

    @pytest.mark.parametrize("path, headers", [(FIRST, {}), ("/socket.io/websocket", UPGRADE)])
    def test_a_foreign_page_p14(self, server: ThreadServer, path: str, headers: dict[str, str]) -> None:
        assert request(server.port, "GET", path, {"Origin": "http://evil.example", **headers}).status == 403
        assert not server.sessions

    def test_an_origin_that_is_allowed(self) -> None:
        headers = {"Origin": "http://a.example"}
        with ThreadServer(application(allowed_origins="http://a.example")) as server:
            first = request(server.port, "GET", FIRST, headers)
            (sid,) = split_0_6(first.text)
            path = f"/socket.io/xhr-polling/{sid}/send"
            for answer in (first, request(server.port, "POST", path, headers, b"data=~m~1~m~x")):
                assert answer.status == 200
                assert answer.headers["access-control-allow-origin"] == "http://a.example"
                assert answer.headers["access-control-allow-credentials"] == "true"
            assert request(server.port, "POST", path, {"Origin": "http://b.example"}, b"data=").status == 403

    @pytest.mark.parametrize(
        "settings, why",
        [
            ({"revisions": "0.9 2 4"}, "revision 0.6 (clients 0.5 and 0.6) is not one of socketio.revisions = 0.9 2 4"),
            ({"transports": "polling websocket"}, "xhr-polling of revision 0.6 is not one of socketio.transports = "),
        ],
    )
    def test_switched_off(self, settings: dict[str, str], why: str) -> None:
        with ThreadServer(application(**settings)) as server:
            assert request(server.port, "GET", FIRST).status == 400
            (warning,) = [record for record in server.records if record.levelno == logging.WARNING]
            assert why in warning.getMessage()
            assert "127.0.0.1" in warning.getMessage()

    def test_a_websocket_that_is_refused_is_closed(self) -> None:
        with ThreadServer(application(transports="polling")) as server, Connection(server.port) as client:
            client.ask("GET", "/socket.io/websocket", UPGRADE)
            answer = client.response()
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert client.read_to_end() == b""

    def test_too_many_clients(self) -> None:
        with ThreadServer(application(max_sessions="1")) as server, Polling06(server.port):
            assert request(server.port, "GET", FIRST).status == 503


class TestRefusedByItsContext:
    """There is no word for that: the client has its session id and takes itself for connected."""

    def test_its_connection_lasts_a_while(self) -> None:
        """A client of 0.6 that loses it at once comes again more and more often."""
        assert V0.refusal_delay == 3.0
        with ThreadServer(application(Closed)) as server:
            since = time.monotonic()
            with Socket06(server.port) as socket, Polling06(server.port) as polling:
                socket.say("ignored")
                polling.post("ignored")
                polling.start_poll()
                assert polling.gets.is_silent(0.5)
                assert socket.close_code() is not None
                assert polling.finish_poll() == []
                assert 2.5 < time.monotonic() - since
            wait_for(server.has_settled)
            assert len([line for line in server.log_lines() if "refused client" in line]) == 2
            assert server.failures == []

    @EVERY
    def test_a_client_that_leaves_meanwhile(self, kind: Any) -> None:
        with ThreadServer(application(Closed)) as server:
            with kind(server.port) as client:
                if kind is not Socket06:
                    client.start_poll()
                    assert client.gets.is_silent(0.05)
            wait_for(server.has_settled)
            assert server.failures == []


class TestUnknownSession:
    @pytest.mark.parametrize("sid", ["999999", "nosuch", "kmk4Rbx1L4jXVsg4TSR_-Jc2Zm8"])
    def test_polls(self, server: ThreadServer, sid: str) -> None:
        assert request(server.port, "GET", f"/socket.io/xhr-polling/{sid}/1290000000000").status == 404
        assert request(server.port, "GET", f"/socket.io/jsonp-polling/{sid}/1290000000000/0").status == 404

    def test_posts(self, server: ThreadServer) -> None:
        assert request(server.port, "POST", "/socket.io/xhr-polling/nosuch/send", {}, b"data=").status == 404
        # "0.6 jsonp: stale sid in POSTs after reconnect" (pitfall 9); the iframe's content is not read.
        answer = request(server.port, "POST", "/socket.io/jsonp-polling/nosuch/1/0", {}, b"data=")
        assert (answer.status, answer.body) == (200, b"ok")

    def test_websockets(self, server: ThreadServer) -> None:
        assert request(server.port, "GET", "/socket.io/websocket/nosuch", UPGRADE).status == 404


@pytest.mark.parametrize("settings, base", [({"resource": "foo"}, "/foo"), ({"prefix": "app/v2"}, "/app/v2/socket.io")])
def test_resource_and_prefix(settings: dict[str, str], base: str) -> None:
    with ThreadServer(application(**settings)) as server:
        for kind in (Polling06, JSONP06, Socket06):
            with kind(server.port, resource=base) as client:
                say(client, "x")
                assert hear(client) == ["re:x"]


def view(request: Any) -> Response:
    return Response(socketio_manage(Main(request)))


@EVERY
def test_a_view_of_the_applications_own(kind: Any) -> None:
    """As of 2011, when these were the clients."""
    ENDED.clear()
    with Configurator(settings={}) as config:
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(view, route_name="socket_io")
    with ThreadServer(config.make_wsgi_app()) as server:
        with kind(server.port) as client:
            say(client, "x", '~j~{"type":"bye"}')
            assert hear(client, 2) == ["re:x", "bye"]
        assert wait_for(lambda: ENDED) == ["server"]
        wait_for(server.has_settled)
        assert server.failures == []
