"""Single requests of clients 0.7 to 0.9: handshakes, origins, what is refused, what belongs to no session."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from pyramid_socketio import classic_session as sessions
from pyramid_socketio.protocol import payload_v1
from tests.conftest import wait_for
from tests.functional.classic import JSONP09, Polling09, handshake, read_handshake, unscript
from tests.functional.classic_app import ENDED, application, for_one_test
from tests.functional.raw import EngineSocket, WebSocket, request
from tests.functional.serving import ThreadServer


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(application()) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


class TestHandshake:
    def test_the_answer(self, server: ThreadServer) -> None:
        answer = request(server.port, "GET", "/socket.io/1/?tok=a%20b&t=1290000000000")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        opened = read_handshake(answer.text)
        assert opened.sid in server.sessions
        # The server's heartbeats and polls have to come before these are over.
        assert 25 < opened.heartbeat_timeout <= 60
        assert 20 < opened.close_timeout <= 60
        assert opened.transports == ["websocket", "htmlfile", "xhr-polling", "jsonp-polling"]

    @pytest.mark.parametrize("path", ["/socket.io/1/", "/socket.io/1", "/socket.io/1?t=1", "/socket.io/1/?jsonp=alert"])
    def test_forms_of_the_url(self, server: ThreadServer, path: str) -> None:
        assert read_handshake(request(server.port, "GET", path).text).sid in server.sessions

    def test_by_jsonp(self, server: ThreadServer) -> None:
        answer = request(server.port, "GET", "/socket.io/1/?t=1&jsonp=12")
        assert read_handshake(unscript(answer, r"io\.j\[12\]\((.*)\);")).sid in server.sessions

    def test_session_ids(self, server: ThreadServer) -> None:
        sids = {handshake(server.port).sid for _ in range(20)}
        assert len(sids) == 20
        assert not any(sid.isdigit() or set(sid) & set(":/") for sid in sids)

    def test_the_application_may_refuse(self, server: ThreadServer) -> None:
        assert request(server.port, "GET", "/socket.io/1/", {"X-Forbidden": "yes"}).status == 403
        assert not server.sessions

    def test_shorter_times(self) -> None:
        with ThreadServer(application(ping_interval="2", ping_timeout="3")) as server:
            opened = handshake(server.port)
            assert opened.heartbeat_timeout == 5
            assert opened.close_timeout == 2 + payload_v1.CLOSE_MARGIN

    def test_too_many_clients(self) -> None:
        with ThreadServer(application(max_sessions="1")) as server:
            handshake(server.port)
            answer = request(server.port, "GET", "/socket.io/1/")
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")

    def test_no_transport_follows(self, server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
        assert sessions._HANDSHAKE_TIMEOUT == 30.0
        monkeypatch.setattr(sessions, "_HANDSHAKE_TIMEOUT", 0.05)
        opened = handshake(server.port)
        wait_for(lambda: opened.sid not in server.sessions)
        assert ENDED == [], "nobody was ever connected"

    def test_a_post_is_none(self, server: ThreadServer) -> None:
        assert request(server.port, "POST", "/socket.io/1/", {}, b"").status == 400


class TestRefusals:
    def refused(self, path: str, text: str, status: int = 400, headers: Any = None, **settings: Any) -> list[str]:
        with ThreadServer(application(**settings)) as server:
            answer = request(server.port, "GET", path, headers)
            assert (answer.status, answer.text) == (status, text)
            if "?" not in path:
                script = request(server.port, "GET", f"{path}?jsonp=5", headers)
                assert (script.status, script.text) == (200, f'io.j[5](new Error("{text}"));')
            assert not server.sessions
            return [r.getMessage() for r in server.records if r.levelno == logging.WARNING]

    def test_a_revision_that_is_switched_off(self) -> None:
        text = "Protocol version not supported."
        warnings = self.refused("/socket.io/1/", text, revisions="0.6 2 4")
        assert len(warnings) == 2
        assert "127.0.0.1" in warnings[0]
        assert "revision 0.9 (clients 0.7 to 0.9) is not one of socketio.revisions = 0.6 2 4" in warnings[0]

    def test_a_revision_that_never_was_l01(self) -> None:
        assert self.refused("/socket.io/2/", "Protocol version not supported.")

    def test_a_transport_that_is_switched_off(self) -> None:
        with ThreadServer(application(transports="polling websocket jsonp-polling")) as server:
            opened = handshake(server.port)
            assert opened.transports == ["websocket", "jsonp-polling"]
            answer = request(server.port, "GET", f"/socket.io/1/xhr-polling/{opened.sid}")
            assert (answer.status, answer.text) == (400, "Transport unknown")

    def test_no_transport_at_all(self) -> None:
        (first, *_) = self.refused("/socket.io/1/", "Transport unknown", transports="polling xhr-multipart")
        assert "any transport of revision 0.9 is not one of socketio.transports = polling xhr-multipart" in first

    def test_a_foreign_page(self) -> None:
        headers = {"Origin": "http://evil.example"}
        self.refused("/socket.io/1/", "handshake bad origin", 403, headers, allowed_origins="http://a.example")


class TestOrigins:
    """Clients from 0.9.0 on always send credentials (section 8)."""

    def test_an_origin_that_is_allowed_by_name(self) -> None:
        headers = {"Origin": "http://a.example"}
        with ThreadServer(application(allowed_origins="http://a.example")) as server:
            answer = request(server.port, "GET", "/socket.io/1/", headers)
            sid = read_handshake(answer.text).sid
            path = f"/socket.io/1/xhr-polling/{sid}"
            answers = [
                answer,
                request(server.port, "GET", path, headers),
                request(server.port, "POST", path, headers, b"2::"),
                request(server.port, "GET", f"/socket.io/1//{sid}/?disconnect=1", headers),
                request(server.port, "GET", path, headers),
            ]
            for answer in answers:
                assert answer.status == 200
                assert answer.headers["access-control-allow-origin"] == "http://a.example"
                assert answer.headers["access-control-allow-credentials"] == "true"

    def test_every_page(self) -> None:
        with ThreadServer(application(allowed_origins="*")) as server:
            answer = request(server.port, "GET", "/socket.io/1/", {"Origin": "http://a.example"})
            assert answer.headers["access-control-allow-origin"] == "http://a.example"
            assert "access-control-allow-credentials" not in answer.headers

    def test_every_request_is_judged(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            headers = {"Origin": "http://evil.example"}
            for method, body in (("GET", None), ("POST", b"3:::x")):
                answer = request(server.port, method, client.get_path, headers, body)
                assert (answer.status, answer.text) == (403, "handshake bad origin")
            client.post("3:::y")
            assert client.receive() == ["3:::re:y"]

    def test_clients_in_node_name_no_scheme(self, server: ThreadServer) -> None:
        headers = {"Host": "example.com:8080", "Origin": "example.com:8080"}
        sid = handshake(server.port).sid
        with WebSocket(server.port, f"/socket.io/1/websocket/{sid}", {"Origin": "127.0.0.1"}) as socket:
            assert socket.receive_text() == "1::"
        assert request(server.port, "GET", "/socket.io/1/", headers).status == 200
        assert request(server.port, "GET", "/socket.io/1/", {**headers, "Origin": "evil.example"}).status == 403

    @pytest.mark.parametrize("known", [False, True])
    def test_preflight(self, known: bool) -> None:
        with ThreadServer(application(allowed_origins="http://a.example")) as server:
            path = f"/socket.io/1/xhr-polling/{handshake(server.port).sid if known else 'nosuch'}"
            answer = request(server.port, "OPTIONS", path, {"Origin": "http://a.example"})
            assert answer.status == 204
            assert answer.headers["access-control-allow-credentials"] == "true"


class TestRequests:
    def test_no_content_type(self, server: ThreadServer) -> None:
        """As from XDomainRequest."""
        with Polling09(server.port).open() as client:
            assert request(server.port, "POST", client.post_path, {}, b"3:::x").body == b"1"
            assert client.receive() == ["3:::re:x"]

    @pytest.mark.parametrize("query", ["", "?t1290000000000", "/?t=1&i=0", "?tok=a%20b&t=1"])
    def test_urls_of_all_versions(self, server: ThreadServer, query: str) -> None:
        sid = handshake(server.port).sid
        assert request(server.port, "GET", f"/socket.io/1/xhr-polling/{sid}{query}").body == b"1::"

    def test_jsonp_of_0_7_posts_raw_text(self, server: ThreadServer) -> None:
        with JSONP09(server.port).open() as client:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            assert request(server.port, "POST", client.post_path, headers, b"d=3%3A%3A%3Ax").body == b"1"
            assert client.receive() == ["3:::re:x"]

    def test_scripts_are_harmless(self, server: ThreadServer) -> None:
        with JSONP09(server.port).open() as client:
            client.post("3:::</script>\u2028'\"\n")
            client.start_poll()
            answer = client.gets.response()
            assert client.read(answer) == ["3:::re:</script>\u2028'\"\n"]
            assert "<" not in answer.text and "\u2028" not in answer.text
            assert answer.headers["x-xss-protection"] == "0"
            assert answer.headers["x-content-type-options"] == "nosniff"

    def test_an_encoded_body(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            assert client.try_post(b"3:::x", {"Content-Encoding": "gzip"}).status == 415

    def test_another_method(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            assert request(server.port, "DELETE", client.get_path).status == 400
            client.post("3:::x")
            assert client.receive() == ["3:::re:x"]

    def test_a_session_of_another_revision(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            assert request(server.port, "GET", f"/socket.io/xhr-polling/{client.sid}/1").status == 400
            query = f"/socket.io/?EIO=4&transport=polling&sid={client.sid}"
            assert request(server.port, "GET", query).status == 400
            with EngineSocket(server.port) as today:
                assert request(server.port, "GET", f"/socket.io/1/xhr-polling/{today.sid}").status == 400
            client.post("3:::x")
            assert client.receive() == ["3:::re:x"]

    def test_a_websocket_path_without_upgrade(self, server: ThreadServer) -> None:
        sid = handshake(server.port).sid
        assert request(server.port, "GET", f"/socket.io/1/websocket/{sid}").status == 400


class TestUnknownSession:
    def test_polls(self, server: ThreadServer) -> None:
        answer = request(server.port, "GET", "/socket.io/1/xhr-polling/nosuch?t=1")
        assert (answer.status, answer.body) == (200, b"7:::1+0")
        answer = request(server.port, "GET", "/socket.io/1/jsonp-polling/nosuch?t=1&i=3")
        assert (answer.status, answer.body) == (200, b'io.j[3]("7:::1+0");')

    def test_posts(self, server: ThreadServer) -> None:
        answer = request(server.port, "POST", "/socket.io/1/xhr-polling/nosuch?t=1", {}, b"2::")
        assert (answer.status, answer.body) == (200, b"1")

    def test_websockets(self, server: ThreadServer) -> None:
        with WebSocket(server.port, "/socket.io/1/websocket/nosuch") as socket:
            assert socket.receive_text() == "7:::1+0"
            assert socket.close_code() == 1000

    def test_the_page_goes_away(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            assert request(server.port, "GET", "/socket.io/1//nosuch/?disconnect=1").body == b""
            assert request(server.port, "GET", "/socket.io/1/nosuch").body == b""
            client.post("3:::x")
            assert client.receive() == ["3:::re:x"]
