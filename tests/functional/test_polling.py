"""Long-polling with a real application behind it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator

from pyramid_socketio import SocketIOContext, message
from pyramid_socketio.server import connection as server_connection
from pyramid_socketio.transports.polling import PollingTransport
from tests.conftest import wait_for
from tests.functional.raw import POLLING, Connection, PollingSession, encode_request, request
from tests.functional.serving import ThreadServer

#: What contexts have seen, and why they ended.
SEEN: list[Any] = []
ENDED: list[str | None] = []


class Context(SocketIOContext):
    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)

    @message("ack")
    def ack(self, *args: Any) -> Any:
        return args

    def msg_burst(self, count: int) -> None:
        for number in range(count):
            self.emit("number", number)

    def msg_large(self, size: int, count: int) -> None:
        for _ in range(count):
            self.emit("large", "x" * size)

    def msg_later(self, seconds: float) -> None:
        gevent.sleep(seconds)
        self.emit("later")

    def msg_see(self, value: Any) -> None:
        SEEN.append(value)
        gevent.sleep(0.001)

    def msg_leave_me(self) -> None:
        self.emit("bye")
        self.io.disconnect()

    def msg_end_session(self) -> None:
        self.emit("bye")
        self.io.connection.session.close("server")


def application(**settings: str) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Context, "/")
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer(application(max_inbox_packets="10", max_queue_packets="100", max_queue_bytes="100000")) as server:
        yield server


@pytest.fixture
def session(server: ThreadServer) -> Iterator[PollingSession]:
    SEEN.clear()
    ENDED.clear()
    server.forget()
    with PollingSession(server.port) as session:
        session.join()
        yield session
        if not session.is_gone:
            session.end()
    wait_for(server.has_settled)
    assert server.failures == []


def test_a_poll_that_waits(session: PollingSession) -> None:
    session.start_poll()
    assert session.gets.is_silent(0.05)
    session.emit("echo", "wörld 😀")
    assert session.finish_poll() == '42["echo","wörld 😀"]'


def test_what_is_ready_together_goes_out_together(session: PollingSession) -> None:
    session.start_poll()
    assert session.gets.is_silent(0.02)
    session.emit("burst", 20)
    assert session.finish_poll() == "\x1e".join(f'42["number",{number}]' for number in range(20))


def test_packets_of_one_post_are_handled_in_order(session: PollingSession) -> None:
    session.post(*(f'42["echo",{number}]' for number in range(50)))
    assert session.packets(50) == [f'42["echo",{number}]' for number in range(50)]


def test_binary(session: PollingSession) -> None:
    data = bytes(range(256))
    encoded = base64.b64encode(data).decode()
    packet = '451-7["ack",{"_placeholder":true,"num":0},"x"]'
    session.post(packet, f"b{encoded}")
    assert session.poll() == f'461-7[{{"_placeholder":true,"num":0}},"x"]\x1eb{encoded}'
    # The attachment may come by a POST of its own.
    session.post(packet)
    session.post(f"b{encoded}")
    assert session.poll().endswith(f"b{encoded}")


def test_acks(session: PollingSession) -> None:
    session.emit("ack", 1, 2, ack=0)
    assert session.poll() == "430[1,2]"
    session.emit("ack", ack=1)
    assert session.poll() == "431[]"


def test_a_handler_that_blocks_holds_nothing_up(session: PollingSession) -> None:
    session.emit("later", 0.2)
    session.emit("echo", 1)
    with PollingSession(session.port) as other:
        other.join()
        other.emit("echo", "other")
        assert other.poll() == '42["echo","other"]'
        other.end()
    assert session.packets(2) == ['42["later"]', '42["echo",1]']


def test_one_send_for_each_answer(session: PollingSession) -> None:
    """Head and body in one segment: Nagle's algorithm and delayed acknowledgements have nothing to wait for."""
    session.emit("echo", "x" * 1000)
    session.gets.ask("GET", session.path)
    session.gets.sock.settimeout(10)
    whole = session.gets.sock.recv(65536)
    assert whole.endswith(b'x"]')


def test_post_body_in_pieces(session: PollingSession) -> None:
    for byte in encode_request("POST", session.path, None, '42["echo","é"]'.encode()):
        session.posts.send(bytes([byte]))
    assert session.posts.response().body == b"ok"
    assert session.poll() == '42["echo","é"]'


def test_post_in_chunks(session: PollingSession) -> None:
    chunks = b'5\r\n42["e\r\n8\r\ncho",1]\x1e\r\n1\r\n6\r\n0\r\n\r\n'
    answer = session.posts.request("POST", session.path, {"Transfer-Encoding": "chunked"}, chunks)
    assert (answer.status, answer.body) == (200, b"ok")
    assert session.poll() == '42["echo",1]'


def test_expect_continue(session: PollingSession) -> None:
    body = b'42["echo",1]'
    session.posts.ask("POST", session.path, {"Expect": "100-continue", "Content-Length": str(len(body))})
    assert session.posts.read_line() == b"HTTP/1.1 100 Continue"
    assert session.posts.read_line() == b""
    session.posts.send(body)
    assert session.posts.response().body == b"ok"
    assert session.poll() == '42["echo",1]'


def test_a_full_inbox_holds_the_post_back(session: PollingSession) -> None:
    """TCP cannot push back on a POST that has arrived; its answer can."""
    session.post(*(f'42["see",{number}]' for number in range(100)))
    assert len(SEEN) > 50, "answered when the handlers had caught up"
    wait_for(lambda: SEEN == list(range(100)))


def test_a_client_that_does_not_poll(server: ThreadServer, session: PollingSession) -> None:
    session.emit("burst", 101)
    assert wait_for(lambda: ENDED) == ["slow consumer"]
    assert session.is_gone
    (line,) = [line for line in server.log_lines() if "slow consumer" in line]
    assert line.startswith(f"session {session.sid[:6]}: slow consumer: more than socketio.max_queue_bytes = ")


def test_a_client_that_does_not_poll_for_large_messages(session: PollingSession) -> None:
    session.emit("large", 40_000, 3)
    assert wait_for(lambda: ENDED) == ["slow consumer"]
    assert session.is_gone


def test_one_message_of_any_size_may_wait(session: PollingSession) -> None:
    session.emit("large", 900_000, 1)
    assert len(session.poll()) > 900_000


def test_leaving_the_namespace(session: PollingSession) -> None:
    session.emit("leave_me")
    assert session.packets(2) == ['42["bye"]', "41"]
    assert wait_for(lambda: ENDED) == ["server"]
    session.join()


def test_the_server_ends_the_session_while_a_poll_waits(session: PollingSession) -> None:
    session.start_poll()
    assert session.gets.is_silent(0.02)
    session.emit("end_session")
    assert session.finish_poll() == '42["bye"]\x1e1'
    assert wait_for(lambda: ENDED) == ["server"]
    assert session.is_gone


def test_the_server_ends_the_session_while_none_waits(session: PollingSession) -> None:
    session.emit("end_session")
    wait_for(lambda: ENDED)
    session.post('42["echo",1]')  # too late, and no error
    assert session.poll() == '42["bye"]\x1e6\x1e1'
    assert session.is_gone


def test_the_client_ends_the_session(session: PollingSession) -> None:
    session.start_poll()
    assert session.gets.is_silent(0.02)
    session.post('42["echo",1]', "1", '42["echo",2]')
    assert session.finish_poll() in ('42["echo",1]', '42["echo",1]\x1e6', "6")
    assert wait_for(lambda: ENDED) == ["client"]


@pytest.mark.parametrize("reset", [False, True])
def test_a_broken_poll_ends_the_session(session: PollingSession, reset: bool) -> None:
    session.start_poll()
    assert session.gets.is_silent(0.02)
    if reset:
        session.gets.reset()
    else:
        session.gets.close()
    assert wait_for(lambda: ENDED, timeout=1) == ["transport error"]


@pytest.mark.parametrize("how", ["reset", "a second one", "bad chunks", "too slow"])
def test_a_broken_post_ends_the_session(session: PollingSession, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The waiting poll is told."""
    monkeypatch.setattr(server_connection, "BODY_GRACE", 0.1 if how == "too slow" else 5.0)
    session.start_poll()
    assert session.gets.is_silent(0.02)
    session.posts.ask("POST", session.path, {"Transfer-Encoding": "chunked"}, b"1\r\n")
    if how == "reset":
        assert session.posts.is_silent(0.02)
        session.posts.reset()
    elif how == "a second one":
        assert session.posts.is_silent(0.02)
        assert request(session.port, "POST", session.path, None, b"6").status == 400
    elif how == "bad chunks":
        session.posts.send(b"6xxx")
        assert session.posts.response().status == 400
    else:
        assert session.posts.response().status == 408
    assert session.finish_poll() == "1"
    assert wait_for(lambda: ENDED) == ["transport error"]
    assert session.is_gone


def test_an_idle_connection_may_end_without_harm(session: PollingSession) -> None:
    session.posts.close()
    session.gets.close()
    session.posts = Connection(session.port)
    session.gets = Connection(session.port)
    session.emit("echo", 1)
    assert session.poll() == '42["echo",1]'


def test_many_sessions_at_a_time(server: ThreadServer) -> None:
    sessions = [PollingSession(server.port) for _ in range(50)]
    ids = {session.join() for session in sessions}
    assert len(ids) == 50 and not ids & {session.sid for session in sessions}
    for number, session in enumerate(sessions):
        session.start_poll()
        session.emit("echo", number)
    assert [session.finish_poll() for session in sessions] == [f'42["echo",{number}]' for number in range(50)]
    for session in sessions:
        with session:
            session.end()


def test_numbered_messages_in_both_directions(session: PollingSession) -> None:
    """A poller and a poster at the same time, as a client is."""
    received: list[str] = []

    def poll() -> None:
        while len(received) < 300:
            received.extend(session.poll().split("\x1e"))

    poller = threading.Thread(target=poll, daemon=True)
    poller.start()
    for number in range(300):
        session.emit("echo", number)
    poller.join(20)
    assert received == [f'42["echo",{number}]' for number in range(300)]


def test_503_above_max_sessions() -> None:
    with ThreadServer(application(max_sessions="1")) as server, PollingSession(server.port) as session:
        answer = request(server.port, "GET", POLLING)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        session.end()
        assert request(server.port, "GET", POLLING).status == 200


def test_connect_timeout() -> None:
    with ThreadServer(application(connect_timeout="0.1")) as server, PollingSession(server.port) as session:
        assert session.poll() == "1"
        assert session.is_gone


def test_shutdown_answers_waiting_polls() -> None:
    server = ThreadServer(application())
    ENDED.clear()
    with server:
        session = PollingSession(server.port)
        session.join()
        session.start_poll()
        assert session.gets.is_silent(0.02)
    assert session.finish_poll() == "1"
    assert session.gets.read_to_end() == b""
    assert ENDED == ["shutdown"]
    session.gets.close()
    session.posts.close()


def start_waiting_poll(server: ThreadServer, session: PollingSession) -> None:
    session.start_poll()
    wait_for(lambda: server.sessions[session.sid].transport.reachable)


def test_a_waiting_poll_takes_what_is_over_the_limit_at_once(server: ThreadServer, session: PollingSession) -> None:
    """More than the limit in one turn of the loop: a part goes out, and the rest waits for the next poll."""
    start_waiting_poll(server, session)
    session.emit("burst", 150)
    first = session.finish_poll().split("\x1e")
    assert len(first) < 150
    assert len(first) + len(session.packets(150 - len(first))) == 150


def test_an_error_that_strikes_again(
    server: ThreadServer, session: PollingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise ValueError("a mistake")

    start_waiting_poll(server, session)
    monkeypatch.setattr(PollingTransport, "wrap", fail)
    session.emit("echo", 1)
    assert session.gets.response().status == 500
    assert wait_for(lambda: ENDED) == ["transport error"]
    monkeypatch.undo()
    assert session.is_gone
    assert server.failures == ["unexpected error while answering a poll"]
    server.forget()


@pytest.mark.parametrize("name", ["_take_packets", "wrap"])
def test_an_error_inside_ends_the_session(
    server: ThreadServer, session: PollingSession, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*args: Any) -> None:
        monkeypatch.undo()
        raise ValueError("a mistake")

    start_waiting_poll(server, session)
    monkeypatch.setattr(PollingTransport, name, fail)
    session.emit("echo", 1)
    assert session.finish_poll() == "1"
    assert wait_for(lambda: ENDED) == ["transport error"]
    assert session.is_gone
    assert server.failures == ["unexpected error while answering a poll"]
    server.forget()
