"""How sessions of clients 0.7 to 0.9 live: polls, heartbeats, and transports that change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from pyramid_socketio import classic_session
from pyramid_socketio.protocol import payload_v1
from pyramid_socketio.transports import classic_polling
from tests.conftest import wait_for
from tests.functional.browsers import Hixie, Keys
from tests.functional.classic import JSONP09, Polling09, Socket09, handshake
from tests.functional.classic_app import ENDED, application, for_one_test
from tests.functional.raw import Connection, WebSocket, encode_request, request
from tests.functional.serving import ThreadServer


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(application()) as server:
        yield server


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


BOTH = pytest.mark.parametrize("kind", [Polling09, JSONP09])


def test_the_query_is_the_applications(server: ThreadServer) -> None:
    """A page's own parameters come with every request; one of them may have a name that newer clients use."""
    with Polling09(server.port).open() as client, Connection(server.port) as other:
        other.ask("GET", f"{client.get_path}&sid=theirs")
        assert other.is_silent(0.05)
        client.post("3:::x")
        assert client.read(other.response()) == ["3:::re:x"]


@BOTH
class TestPolling:
    def test_the_first_poll_is_answered_with_the_first_packet_alone(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port) as client:
            # Whoever is in sends at once.
            client.post("3:::ignored, the client is not in yet")
            assert client.poll() == ["1::"]
            client.post("3:::a", "3:::b", "3:::c")
            assert client.receive(3) == ["3:::re:a", "3:::re:b", "3:::re:c"]

    def test_a_poll_is_held_until_there_is_something(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port).open() as client:
            client.start_poll()
            assert client.gets.is_silent(0.05)
            client.post("3:::x")
            assert client.finish_poll() == ["3:::re:x"]

    def test_a_poll_is_held_for_a_while(self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert payload_v1.POLL_DURATION == 20.0
        monkeypatch.setattr(payload_v1, "POLL_DURATION", 0.1)
        with kind(server.port).open() as client:
            since = time.monotonic()
            assert client.poll() == ["8::"]
            assert time.monotonic() - since >= 0.1

    def test_a_client_that_does_not_poll_again(
        self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert payload_v1.CLOSE_TIMEOUT == 25.0
        monkeypatch.setattr(payload_v1, "CLOSE_TIMEOUT", 0.1)
        with kind(server.port).open():
            assert wait_for(lambda: ENDED) == ["transport close"]
            wait_for(server.has_settled)

    def test_overlapping_polls(self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The older one ends; and the newer one is not taken for missing."""
        with kind(server.port).open() as client, Connection(server.port) as newer:
            client.start_poll()
            assert client.gets.is_silent(0.05)
            monkeypatch.setattr(payload_v1, "CLOSE_TIMEOUT", 0.1)
            newer.ask("GET", client.get_path)
            assert client.finish_poll() == ["8::"]
            assert newer.is_silent(0.3)
            client.post("3:::x")
            assert "3:::re:x" in newer.response().text
            assert ENDED == []

    def test_a_poll_that_breaks_off_is_not_the_end(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port).open() as client:
            client.break_off()
            client.post("3:::x")
            assert client.receive() == ["3:::re:x"]
            assert ENDED == []

    def test_a_client_that_breaks_its_poll_off_and_does_not_come_again(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port).open() as client:
            since = time.monotonic()
            client.break_off()
            assert wait_for(lambda: ENDED) == ["transport close"]
            assert 1.5 < time.monotonic() - since < 7
            wait_for(server.has_settled)

    def test_a_client_that_leaves_while_it_is_answered(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port).open() as client:
            client.post("3:::x")
            assert client.poll() == ["3:::re:x"]
            since = time.monotonic()
            client.gets.close()
            assert wait_for(lambda: ENDED) == ["transport close"]
            assert 1.5 < time.monotonic() - since < 7
            wait_for(server.has_settled)

    def test_a_client_may_break_its_polls_off(
        self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who has come again after one gets the usual time after the next."""
        with kind(server.port).open() as client:
            client.break_off()
            client.post("3:::x")
            assert client.receive() == ["3:::re:x"]
            monkeypatch.setattr(classic_session, "_RETRY_TIMEOUT", 0.05)
            client.break_off()
            assert client.posts.is_silent(0.3)
            assert ENDED == []

    def test_a_connection_for_each_poll(self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """As proxies have them, which close it while the client is still reading."""
        monkeypatch.setattr(classic_session, "_RETRY_TIMEOUT", 0.05)
        with kind(server.port).open() as client:
            for _ in range(3):
                client.gets.close()
                client.gets = Connection(server.port)
                client.post("3:::x")
                assert client.poll() == ["3:::re:x"]
                assert client.posts.is_silent(0.2)
            assert ENDED == []

    def test_a_connection_that_is_closed_when_the_next_poll_is_there(
        self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(classic_session, "_RETRY_TIMEOUT", 0.05)
        with kind(server.port).open() as client:
            client.post("3:::x")
            assert client.poll() == ["3:::re:x"]
            before, client.gets = client.gets, Connection(server.port)
            client.start_poll()
            assert client.gets.is_silent(0.05)
            before.close()
            assert client.gets.is_silent(0.3)
            client.post("3:::x")
            assert client.finish_poll() == ["3:::re:x"]
            assert ENDED == []

    def test_a_connection_that_another_request_came_on(
        self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A browser has several for a host, and takes any: the end of this one says nothing about the polls."""
        monkeypatch.setattr(classic_session, "_RETRY_TIMEOUT", 0.05)
        with kind(server.port).open() as client:
            assert client.gets.request("GET", "/page").status == 404
            client.gets.close()
            assert client.posts.is_silent(0.3)
            assert ENDED == []
            client.gets = Connection(server.port)

    def test_no_heartbeats(self, server: ThreadServer, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with ThreadServer(application(ping_interval="0.05", ping_timeout="0.05")) as short:
            with kind(short.port).open() as client:
                assert [client.poll() for _ in range(4)] == [["8::"]] * 4
                client.post("2::")  # "must simply be tolerated"
                client.leave()

    def test_the_end_answers_the_poll_that_waits(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port).open() as client:
            client.start_poll()
            assert client.gets.is_silent(0.05)
            client.leave()
            assert client.finish_poll() == ["8::"]
            assert client.poll() == ["7:::1+0"]

    def test_last_words_are_fetched(self, server: ThreadServer, kind: Any) -> None:
        with kind(server.port).open() as client:
            client.post('5:::{"name":"bye"}')
            assert wait_for(lambda: ENDED) == ["server"]
            assert client.poll() == ["3:::bye", "0::"]
            wait_for(server.has_settled)

    def test_a_client_that_sends_only(self, kind: Any) -> None:
        ENDED.clear()
        with ThreadServer(application(max_queue_packets="10")) as server, kind(server.port).open() as client:
            client.post('5:::{"name":"flood","args":[{"count":11}]}')
            assert wait_for(lambda: ENDED) == ["slow consumer"]
            assert client.poll() == ["7:::1+0"]

    def test_limits_of_a_post(self, kind: Any) -> None:
        with ThreadServer(application(max_message_size="1000", max_payload_packets="5")) as server:
            with kind(server.port).open() as client:
                assert client.try_post(b"3:::" + b"x" * 1000).status == 413
                client.posts.close()
                client.posts = Connection(server.port)
                client.post(*["3:::x"] * 5)
                assert client.try_post("\ufffd3\ufffd2::".encode() * 6).status == 400
                assert client.poll()[-1] == "7:::1+0"


def test_what_is_said_before_the_poll_breaks_off(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take long to arrive, and there may be more behind it."""
    monkeypatch.setattr(classic_session, "_RETRY_TIMEOUT", 0.05)
    with Polling09(server.port).open() as client:
        words = encode_request("POST", client.post_path, {"Content-Type": "text/plain;charset=UTF-8"}, b"3:::words")
        client.start_poll()
        assert client.gets.is_silent(0.05)
        client.posts.send(words[:-3])
        client.gets.reset()
        assert client.posts.is_silent(0.3)
        client.posts.send(words[-3:])
        assert client.posts.response().body == b"1"
        client.post("0::")
        assert wait_for(lambda: ENDED) == ["client"]


def test_what_follows_a_post_after_the_poll_broke_off(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classic_session, "_RETRY_TIMEOUT", 0.05)
    monkeypatch.setattr(classic_session, "_LAST_WORDS", 60.0)
    with Polling09(server.port).open() as client:
        client.start_poll()
        client.post("3:::words")
        client.gets.reset()
        assert client.posts.is_silent(0.3)
        client.post("0::")
        assert wait_for(lambda: ENDED) == ["client"]


def test_an_answer_waits_whether_the_client_leaves(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a POST, a GET that breaks off says that the client has sent and left in one breath."""
    monkeypatch.setattr(classic_polling, "_LEAVING", 0.3)
    with Polling09(server.port).open() as client:
        client.start_poll()
        assert client.gets.is_silent(0.05)
        since = time.monotonic()
        client.post("3:::a")
        (session,) = server.sessions.values()
        assert session.transport.writable  # what is volatile goes along
        client.post("3:::b")
        assert client.finish_poll() == ["3:::re:a", "3:::re:b"]
        assert 0.25 < time.monotonic() - since
        monkeypatch.setattr(classic_polling, "_LEAVING", 60.0)
        client.start_poll()
        assert client.gets.is_silent(0.05)
        client.post("3:::bye")
        since = time.monotonic()
        client.gets.reset()
        assert wait_for(lambda: ENDED) == ["transport close"]
        assert time.monotonic() - since < 7


class TestTransportsChange:
    def test_what_waits_goes_along(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            client.post("3:::a")
            wait_for(lambda: server.sessions[client.sid].transport._queue)
            with WebSocket(server.port, f"/socket.io/1/websocket/{client.sid}") as socket:
                assert socket.receive_text() == "3:::re:a"
                socket.send_text('5:::{"name":"about"}')
                assert socket.receive_text() == '5:::{"name":"about","args":["0.9","websocket"]}'
                client.post("3:::b")  # POSTs are taken beside any transport
                assert socket.receive_text() == "3:::re:b"
                client.start_poll()
                assert socket.close_code() == 1000
                client.post('5:::{"name":"about"}')
                assert client.finish_poll() == ['5:::{"name":"about","args":["0.9","xhr-polling"]}']
            assert ENDED == []
            client.leave()

    def test_a_poll_that_waits_is_ended(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            client.start_poll()
            assert client.gets.is_silent(0.05)
            with WebSocket(server.port, f"/socket.io/1/websocket/{client.sid}") as socket:
                assert client.finish_poll() == ["8::"]
                socket.send_text("3:::x")
                assert socket.receive_text() == "3:::re:x"

    def test_a_second_websocket(self, server: ThreadServer) -> None:
        with Socket09(server.port) as first, WebSocket(server.port, f"/socket.io/1/websocket/{first.sid}") as second:
            assert first.close_code() == 1000
            second.send_text("3:::x")
            assert second.receive_text() == "3:::re:x"
            assert ENDED == []

    def test_xhr_and_jsonp_by_turns(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as xhr, JSONP09(server.port, sid=xhr.sid) as jsonp:
            for _ in range(3):
                for client in (xhr, jsonp):
                    client.post("3:::x")
                    assert client.receive() == ["3:::re:x"]

    def test_a_websocket_for_last_words(self, server: ThreadServer) -> None:
        with Polling09(server.port).open() as client:
            client.post('5:::{"name":"bye"}')
            assert wait_for(lambda: ENDED) == ["server"]
            with WebSocket(server.port, f"/socket.io/1/websocket/{client.sid}") as socket:
                assert [socket.receive_text(), socket.receive_text()] == ["3:::bye", "0::"]
                assert socket.close_code() == 1000
            wait_for(server.has_settled)
            assert ENDED == ["server"]

    def test_a_session_that_takes_nothing_at_the_moment(self, server: ThreadServer) -> None:
        """Its application is behind: that holds for the next transport, too."""
        with Socket09(server.port) as first:
            session = server.sessions[first.sid]
            server.call(session.pause)
            with WebSocket(server.port, f"/socket.io/1/websocket/{first.sid}") as second:
                assert first.close_code() == 1000
                second.send_text("3:::x")
                assert second.is_silent(0.1)
                server.call(session.resume)
                assert second.receive_text() == "3:::re:x"


class TestUnfinishedWebSocket:
    """A WebSocket of hixie-76 whose key does not come, because a proxy holds it back."""

    @pytest.fixture
    def server(self) -> Iterator[ThreadServer]:
        ENDED.clear()
        with ThreadServer(application(hixie="true", allowed_origins="http://example.com")) as server:
            yield server
        assert server.failures == []

    def begin(self, port: int) -> tuple[Hixie, str]:
        sid = handshake(port).sid
        client = Hixie(port, f"/socket.io/1/websocket/{sid}")
        client.send(client.handshake)
        client.read_head()
        return client, sid

    def test_the_client_falls_back_to_polling(self, server: ThreadServer) -> None:
        socket, sid = self.begin(server.port)
        socket.close()
        with Polling09(server.port, sid=sid).open() as client:
            client.post("3:::x")
            assert client.receive() == ["3:::re:x"]

    def test_the_session_ends_before_it(self, server: ThreadServer) -> None:
        socket, sid = self.begin(server.port)
        with socket:
            assert request(server.port, "GET", f"/socket.io/1//{sid}/?disconnect=1").status == 200
            assert server.has_settled()
            socket.send(Keys().key3)
            assert socket.read_to_end() == Keys().digest + b"\xff\x00"


class TestHeartbeat:
    @pytest.fixture
    def server(self) -> Iterator[ThreadServer]:
        ENDED.clear()
        with ThreadServer(application(ping_interval="0.1", ping_timeout="0.3")) as server:
            yield server
            wait_for(server.has_settled)
        assert server.failures == []

    def test_answered(self, server: ThreadServer) -> None:
        with Socket09(server.port) as socket:
            for _ in range(5):
                assert socket.ask("3:::x") == "3:::re:x"
                assert socket.receive_text() == "2::"
                socket.send_text("2::")
            assert ENDED == []

    def test_not_answered_l22(self, server: ThreadServer) -> None:
        with Socket09(server.port) as socket:
            assert socket.receive_text() == "2::"
            assert socket.receive_text() == "0::"
            assert socket.close_code() == 1011
        assert wait_for(lambda: ENDED) == ["ping timeout"]

    def test_a_change_to_polling_ends_it(self, server: ThreadServer) -> None:
        with Socket09(server.port) as socket, Polling09(server.port, sid=socket.sid) as client:
            assert socket.receive_text() == "2::"
            for _ in range(6):
                assert client.poll() == ["8::"]
            client.leave()
        assert wait_for(lambda: ENDED) == ["client"]
