"""From polling to WebSocket, step by step and while messages flow both ways."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext
from tests.conftest import DEADLINE, wait_for
from tests.functional.raw import UPGRADE, PollingSession, WebSocket, encode_request, request
from tests.functional.serving import ThreadServer

ENDED: list[str | None] = []

#: What ``hold`` waits for.
RELEASE = gevent.event.Event()


class Context(SocketIOContext):
    def connect(self) -> None:
        self.numbers: list[int] = []

    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)

    def msg_hold(self) -> None:
        RELEASE.wait()

    def msg_transport(self) -> None:
        self.emit("transport", self.io.transport)

    def msg_count(self, count: int) -> None:
        self.spawn(self._count, count)

    def _count(self, count: int) -> None:
        for number in range(count):
            self.emit("number", number)
            if number % 3 == 0:
                gevent.sleep(0.001)

    def msg_number(self, number: int) -> None:
        self.numbers.append(number)

    def msg_numbers(self) -> list[int]:
        return self.numbers


def application(**settings: str) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Context, "/")
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer(application(upgrade_timeout="0.5")) as server:
        yield server
        assert server.failures == []


@pytest.fixture
def session(server: ThreadServer) -> Iterator[PollingSession]:
    ENDED.clear()
    with PollingSession(server.port) as session:
        session.join()
        yield session
    request(server.port, "POST", session.path, None, b"1")
    wait_for(server.has_settled)


def probe(session: PollingSession) -> WebSocket:
    candidate = session.candidate()
    candidate.send_text("2probe")
    assert candidate.receive_text() == "3probe"
    return candidate


def test_the_whole_way(session: PollingSession) -> None:
    session.start_poll()
    assert session.gets.is_silent(0.02)
    with probe(session) as websocket:
        assert session.finish_poll() == "6"
        websocket.send_text("5")
        websocket.send_text('42["transport"]')
        assert websocket.receive_text() == '42["transport","websocket"]'


def test_a_poll_behind_the_probe_is_answered_at_once(session: PollingSession) -> None:
    with probe(session) as websocket:
        for _ in range(3):
            assert session.poll() == "6"
        websocket.send_text("5")


def test_a_poll_that_waits_is_answered_again_and_again(session: PollingSession) -> None:
    """A GET that the server could not see yet when it sent the first noop."""
    with probe(session) as websocket:
        assert session.poll() == "6"
        assert session.poll() == "6"
        websocket.send_text("5")


def test_what_is_queued_goes_over_the_websocket(session: PollingSession) -> None:
    with probe(session) as websocket:
        session.post('42["echo",1]', '451-["echo",{"_placeholder":true,"num":0}]', "bAQID", '42["echo",2]')
        assert websocket.is_silent(0.05), "nothing before the upgrade packet"
        websocket.send_text("5")
        websocket.send_text('42["echo",3]')
        assert websocket.receive_text() == '42["echo",1]'
        assert websocket.receive_text() == '451-["echo",{"_placeholder":true,"num":0}]'
        assert websocket.receive() == (2, b"\1\2\3")
        assert websocket.receive_text() == '42["echo",2]'
        assert websocket.receive_text() == '42["echo",3]'


def test_packets_while_probing_may_still_be_polled(session: PollingSession) -> None:
    with probe(session) as websocket:
        session.emit("echo", 1)
        assert session.poll() == '42["echo",1]'
        websocket.send_text("5")
        websocket.send_text('42["echo",2]')
        assert websocket.receive_text() == '42["echo",2]'


def test_a_poll_that_still_waits_at_the_upgrade(session: PollingSession) -> None:
    with session.candidate() as websocket:
        websocket.send_text("2probe")
        websocket.send_text("5")
        session.start_poll()
        answer = session.gets.response()
        # Too late for the noop, or just in time for it.
        assert (answer.status, answer.text) in [(200, "6"), (400, '{"code":3,"message":"Bad request"}')]
        assert websocket.receive_text() == "3probe"
        websocket.send_text('42["echo",1]')
        assert websocket.receive_text() == '42["echo",1]'


def test_a_post_that_is_still_under_way_at_the_upgrade(session: PollingSession) -> None:
    """Clients finish it before. What comes too late to be handled is not answered like what was."""
    body = b'42["echo","late"]'
    whole = encode_request("POST", session.path, None, body)
    with probe(session) as websocket:
        session.posts.send(whole[:-5])
        assert session.posts.is_silent(0.02)
        websocket.send_text("5")
        websocket.send_text('42["echo",1]')
        assert websocket.receive_text() == '42["echo",1]'
        session.posts.send(whole[-5:])
        assert session.posts.response().status == 400
        websocket.send_text('42["echo",2]')
        assert websocket.receive_text() == '42["echo",2]'


def test_no_time_runs_while_a_post_is_held_back() -> None:
    """The client waits for its answer before it sends the upgrade packet."""
    RELEASE.clear()
    with (
        ThreadServer(application(max_inbox_packets="1")) as server,
        PollingSession(server.port) as session,
    ):
        session.join()
        session.posts.ask("POST", session.path, None, "\x1e".join(['42["hold"]', *['42["echo",1]'] * 3]).encode())
        upgrading = server.sessions[session.sid]
        wait_for(lambda: upgrading.transport.paused)
        with probe(session) as websocket:
            assert upgrading._upgrade_timer is None
            server.call(RELEASE.set)
            wait_for(lambda: upgrading._upgrade_timer)
            assert session.posts.response().body == b"ok"
            websocket.send_text("5")
            assert [websocket.receive_text() for _ in range(3)] == ['42["echo",1]'] * 3


def test_after_the_upgrade(session: PollingSession) -> None:
    with probe(session) as websocket:
        websocket.send_text("5")
        websocket.send_text('42["echo",1]')
        assert websocket.receive_text() == '42["echo",1]'
        for method, body in (("GET", None), ("POST", b"41")):
            answer = request(session.port, method, session.path, None, body)
            assert (answer.status, answer.json["code"]) == (400, 3)
        with session.candidate() as another:
            assert another.close_code() == 1002
        websocket.send_text('42["echo",2]')
        assert websocket.receive_text() == '42["echo",2]'
    assert wait_for(lambda: ENDED) == ["transport close"]


@pytest.mark.parametrize("sent", ["5", "2", "2Probe", "2probex", "4hello", "3probe", "x", ""])
def test_something_else_in_place_of_the_probe(session: PollingSession, sent: str) -> None:
    with session.candidate() as candidate:
        candidate.send_text(sent)
        assert candidate.close_code() == 1002
    session.emit("transport")
    assert session.poll() == '42["transport","polling"]'
    with probe(session) as websocket:  # it may try again
        websocket.send_text("5")
        websocket.send_text('42["echo",1]')
        assert websocket.receive_text() == '42["echo",1]'


@pytest.mark.parametrize("sent", ["4hello", "1", "3", "x"])
def test_something_else_in_place_of_the_upgrade(session: PollingSession, sent: str) -> None:
    with probe(session) as candidate:
        candidate.send_text(sent)
        assert candidate.close_code() == 1002
    session.emit("echo", 1)
    assert session.poll() == '42["echo",1]'


def test_binary_in_place_of_the_probe(session: PollingSession) -> None:
    with session.candidate() as candidate:
        candidate.send_frame(2, b"2probe")
        assert candidate.close_code() == 1002


def test_a_second_probe_is_answered_too(session: PollingSession) -> None:
    with probe(session) as websocket:
        websocket.send_text("2probe")
        assert websocket.receive_text() == "3probe"
        websocket.send_text("5")


@pytest.mark.parametrize("probed", [False, True])
@pytest.mark.parametrize("how", ["close", "reset", "close frame"])
def test_a_candidate_that_goes_away(session: PollingSession, probed: bool, how: str) -> None:
    candidate = probe(session) if probed else session.candidate()
    if how == "close frame":
        candidate.send_frame(8, b"\x03\xe8")
        assert candidate.close_code() == 1000
        candidate.close()
    elif how == "reset":
        candidate.reset()
    else:
        candidate.close()

    def back_on_polling() -> bool:
        # While it is being upgraded a poll is answered with a noop at once.
        session.emit("echo", 1)
        return session.poll() == '42["echo",1]'

    wait_for(back_on_polling)
    session.start_poll()
    assert session.gets.is_silent(0.15), "no more noops"
    session.emit("transport")
    assert session.finish_poll() == '42["transport","polling"]'


def test_upgrade_timeout(session: PollingSession) -> None:
    with session.candidate() as candidate:
        assert candidate.close_code() == 1008
    with probe(session) as candidate:
        assert candidate.close_code() == 1008
    session.emit("echo", 1)
    assert session.poll() == '42["echo",1]'


def test_the_session_ends_while_probing(session: PollingSession) -> None:
    with probe(session) as candidate:
        session.post("1")
        assert candidate.close_code() == 1000
    assert session.is_gone
    assert wait_for(lambda: ENDED) == ["client"]


def test_a_broken_poll_while_probing(session: PollingSession) -> None:
    with session.candidate() as candidate:
        session.start_poll()
        assert session.gets.is_silent(0.02)
        session.gets.reset()
        assert wait_for(lambda: ENDED) == ["transport error"]
        with pytest.raises(EOFError):
            candidate.close_code()


def test_without_upgrades() -> None:
    with ThreadServer(application(allow_upgrades="false")) as server, PollingSession(server.port) as session:
        assert session.opened["upgrades"] == []
        with session.candidate() as candidate:
            assert candidate.close_code() == 1002
        session.join()
        session.end()


@pytest.mark.parametrize("transports", ["polling", "websocket"])
def test_one_transport_only(transports: str) -> None:
    with ThreadServer(application(transports=transports)) as server:
        for name, headers in (("polling", {}), ("websocket", UPGRADE)):
            answer = request(server.port, "GET", f"/socket.io/?EIO=4&transport={name}", headers)
            good = 200 if name == "polling" else 101
            assert answer.status == (good if name == transports else 400)
            if name == "polling" == transports:
                assert '"upgrades":[]' in answer.text


@pytest.mark.parametrize("attempt", range(5))
def test_nothing_is_lost_doubled_or_out_of_order(session: PollingSession, attempt: int) -> None:
    """Messages flow both ways all the while; the client finishes its POST and its GET before it upgrades."""
    count = 300
    received: list[str] = []
    posted = 0
    upgrading = threading.Event()

    def take(packets: str) -> None:
        received.extend(packet for packet in packets.split("\x1e") if packet != "6")

    def poll() -> None:
        while True:
            last = upgrading.is_set()
            take(session.poll())
            if last:
                return

    session.emit("count", count)
    poller = threading.Thread(target=poll, daemon=True)
    poller.start()
    while posted < 20 + attempt * 10:
        session.emit("number", posted)
        posted += 1
    websocket = probe(session)
    upgrading.set()
    poller.join(DEADLINE)
    assert not poller.is_alive()
    websocket.send_text("5")
    for number in range(posted, count):
        websocket.send_text(f'42["number",{number}]')
    websocket.send_text('421["numbers"]')
    answer = ""
    with websocket:
        while len(received) < count or not answer:
            packet = websocket.receive_text()
            if packet.startswith("431"):
                answer = packet
            else:
                received.append(packet)
    assert received == [f'42["number",{number}]' for number in range(count)]
    assert answer == f"431[[{','.join(map(str, range(count)))}]]"
