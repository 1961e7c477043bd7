"""Wires on socket pairs: nothing blocks, nothing is lost or interleaved, and every end is told once."""

from __future__ import annotations

import _socket
import errno
import gc
import logging
import socket
import struct
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from pyramid_socketio.evented import wire as wire_module
from pyramid_socketio.evented.timers import Timers
from pyramid_socketio.evented.wire import LINGER_BYTES, READ_SIZE, Wire, send_to_all
from tests.timing import MS, turn_until

BIG = b"0123456789abcdef" * 65536


class Ends:
    """A wire, and the socket of its peer."""

    def __init__(self, timers: Timers, peer: socket.socket, sock: _socket.socket) -> None:
        self.peer = peer
        self.received: list[bytes] = []
        self.losses: list[BaseException | None] = []
        self.wire = Wire(sock, timers, self.received.append, self.losses.append)

    def read(self) -> bytes:
        """What is there for the peer now."""
        pieces: list[bytes] = []
        while True:
            try:
                data = self.peer.recv(1 << 20)
            except BlockingIOError:
                return b"".join(pieces)
            if not data:
                return b"".join(pieces)
            pieces.append(data)

    def at_end(self) -> bool:
        """Whether the peer has read all and sees the end."""
        try:
            return self.peer.recv(1) == b""
        except BlockingIOError:
            return False

    def read_all(self, size: int) -> bytes:
        """Read as slowly as the loop turns, until there are ``size`` bytes."""
        data = bytearray()

        def enough() -> bool:
            data.extend(self.read())
            return len(data) >= size

        turn_until(enough)
        return bytes(data)


Make = Callable[[], Ends]


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers()
    yield timers
    timers.close()


@pytest.fixture
def make(timers: Timers) -> Iterator[Make]:
    made: list[Ends] = []

    def make() -> Ends:
        """Over TCP, which resets and closes halfway as clients do; with small buffers, so that they are soon full."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            peer.connect(listener.getsockname())
            peer.setblocking(False)
            accepted, _ = listener.accept()
        made.append(Ends(timers, peer, _socket.socket(fileno=accepted.detach())))
        return made[-1]

    yield make
    for ends in made:
        ends.wire.abort()
        ends.peer.close()


@pytest.fixture
def ends(make: Make) -> Ends:
    return make()


def reset(peer: socket.socket) -> None:
    """Break the connection, with no goodbye."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def test_over_a_socketpair(timers: Timers) -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ends = Ends(timers, theirs, _socket.socket(fileno=ours.detach()))
    ends.wire.send(b"hello")
    assert ends.read() == b"hello"
    theirs.send(b"hi")
    turn_until(lambda: ends.received == [b"hi"])
    theirs.close()
    turn_until(lambda: ends.losses == [None])


class TestReading:
    def test_what_arrives(self, ends: Ends) -> None:
        ends.peer.send(b"one")
        turn_until(lambda: ends.received == [b"one"])
        ends.peer.send(b"two")
        turn_until(lambda: ends.received == [b"one", b"two"])

    def test_in_pieces_that_keep_nobody_waiting(self, ends: Ends) -> None:
        left = memoryview(BIG)

        def all_there() -> bool:
            nonlocal left
            try:
                left = left[ends.peer.send(left) :]
            except BlockingIOError:
                pass
            return sum(map(len, ends.received)) == len(BIG)

        turn_until(all_there)
        assert b"".join(ends.received) == BIG
        assert max(map(len, ends.received)) <= READ_SIZE

    def test_pause_and_resume(self, ends: Ends) -> None:
        ends.wire.pause()
        ends.wire.pause()
        assert ends.wire.paused
        ends.peer.send(b"later")
        gevent.sleep(5 * MS)
        assert ends.received == []
        ends.wire.resume()
        ends.wire.resume()
        turn_until(lambda: ends.received == [b"later"])

    def test_a_pause_while_receiving(self, ends: Ends) -> None:
        def receive(data: bytes) -> None:
            ends.received.append(data)
            ends.wire.pause()

        ends.wire.receive = receive
        ends.peer.send(b"a")
        turn_until(lambda: ends.received)
        ends.peer.send(b"b")
        gevent.sleep(5 * MS)
        assert ends.received == [b"a"]

    def test_an_error_while_receiving_ends_this_connection_alone(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        ends, other = make(), make()
        error = RuntimeError("mine")

        def receive(data: bytes) -> None:
            raise error

        ends.wire.receive = receive
        ends.peer.send(b"a")
        turn_until(lambda: ends.losses)
        assert ends.losses == [error]
        assert ends.wire.closed
        assert [(record.levelno, record.message) for record in caplog.records] == [
            (logging.ERROR, "unexpected error while receiving")
        ]
        other.peer.send(b"b")
        turn_until(lambda: other.received == [b"b"])


class TestSending:
    def test_goes_out_at_once(self, ends: Ends) -> None:
        ends.wire.send(b"hello")
        assert ends.wire.outbox_bytes == 0
        turn_until(lambda: ends.read() == b"hello")

    def test_what_the_kernel_does_not_take_goes_later_and_in_order(self, ends: Ends) -> None:
        ends.wire.send(BIG)
        assert 0 < ends.wire.outbox_bytes < len(BIG)
        ends.wire.max_outbox_bytes = 10 * len(BIG)
        for number in range(100):
            ends.wire.send(b"<%d>" % number)
        tail = b"".join(b"<%d>" % number for number in range(100))
        assert ends.read_all(len(BIG) + len(tail)) == BIG + tail
        assert ends.wire.outbox_bytes == 0
        ends.wire.send(b"end")
        turn_until(lambda: ends.read() == b"end")
        assert ends.losses == []

    def test_a_peer_that_lets_too_much_wait(self, ends: Ends) -> None:
        ends.wire.max_outbox_bytes = 1000
        ends.wire.send(BIG)  # one message of any size may wait
        assert ends.losses == []
        ends.wire.send(b"x")
        (error,) = ends.losses
        assert isinstance(error, BufferError)
        assert ends.wire.closed
        assert ends.wire.outbox_bytes == 0

    def test_a_peer_that_does_not_read(self, ends: Ends) -> None:
        ends.wire.write_timeout = 20 * MS
        ends.wire.send(BIG)
        turn_until(lambda: ends.losses)
        assert isinstance(ends.losses[0], BufferError)
        assert str(ends.losses[0]) == "the peer does not read"

    def test_a_peer_that_reads_slowly_has_time(self, ends: Ends, timers: Timers) -> None:
        ends.wire.write_timeout = 1000 * MS
        ends.wire.send(BIG)
        size = 0

        def slowly() -> bool:
            nonlocal size
            gevent.sleep(2 * MS)
            try:
                size += len(ends.peer.recv(8192))
            except BlockingIOError:
                pass
            return size == len(BIG)

        turn_until(slowly)
        assert ends.losses == []
        assert len(timers) == 0

    def test_a_connection_that_breaks(self, ends: Ends) -> None:
        reset(ends.peer)
        turn_until(lambda: ends.losses)
        assert isinstance(ends.losses[0], OSError)
        ends.wire.send(b"x")
        assert len(ends.losses) == 1

    def test_a_connection_that_breaks_while_something_waits(self, ends: Ends, timers: Timers) -> None:
        ends.wire.pause()
        ends.wire.send(BIG)
        reset(ends.peer)
        turn_until(lambda: ends.losses)
        assert isinstance(ends.losses[0], OSError)
        assert len(timers) == 0

    def test_a_send_may_find_out_about_the_end(self, ends: Ends) -> None:
        ends.wire.pause()
        reset(ends.peer)

        def sent() -> bool:
            ends.wire.send(b"x")
            return bool(ends.losses)

        turn_until(sent)
        assert isinstance(ends.losses[0], OSError)


@pytest.fixture
def speedups() -> Any:
    """That it is built in CI is ``test_package.py``'s to see."""
    return pytest.importorskip("pyramid_socketio._speedups")


@pytest.fixture(params=["C", "Python"])
def send_all(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, int]]]:
    if request.param == "C":
        monkeypatch.setattr(wire_module, "send_all", request.getfixturevalue("speedups").send_all)
    else:
        monkeypatch.setattr(wire_module, "send_all", wire_module._send_all_in_python)
    return wire_module.send_all


@pytest.mark.usefixtures("send_all")
class TestSendingToAll:
    def test_everybody_gets_it_at_once(self, make: Make) -> None:
        everybody = [make() for _ in range(20)]
        send_to_all((ends.wire for ends in everybody), b"hello")
        for ends in everybody:
            assert ends.wire.outbox_bytes == 0
            turn_until(lambda ends=ends: ends.read() == b"hello")

    def test_to_nobody(self) -> None:
        send_to_all([], b"hello")

    def test_what_the_kernel_does_not_take_goes_later_and_in_order(self, make: Make) -> None:
        slow, quick, full = everybody = [make() for _ in range(3)]
        for ends in everybody:
            ends.wire.max_outbox_bytes = 10 * len(BIG)
        while not full.wire.outbox_bytes:
            full.wire.send(b"before" * 1000)
        sent_to_full = full.wire.outbox_bytes
        wires = [ends.wire for ends in everybody]
        send_to_all(wires, BIG)
        assert full.wire.outbox_bytes == sent_to_full + len(BIG)
        assert 0 < slow.wire.outbox_bytes < len(BIG)
        assert quick.read_all(len(BIG)) == BIG
        send_to_all(wires, b"<1>")
        send_to_all(wires, b"<2>")
        assert slow.read_all(len(BIG) + 6) == BIG + b"<1><2>"
        assert quick.read_all(6) == b"<1><2>"
        turn_until(lambda: full.read().endswith(b"<1><2>"))
        assert [ends.losses for ends in everybody] == [[], [], []]

    def test_a_kernel_that_can_take_nothing(self, ends: Ends) -> None:
        ends.wire.pause()
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += ends.wire.sock.send(b"x" * 1000)
        last = b"<this is the end>"
        send_to_all([ends.wire], last)
        assert ends.wire.outbox_bytes == len(last)
        assert ends.read_all(sent + len(last))[sent:] == last

    def test_who_is_gone_disturbs_nobody(self, make: Make) -> None:
        before, closed, aborted, broken, after = everybody = [make() for _ in range(5)]
        closed.wire.close()
        aborted.wire.abort()
        broken.wire.pause()
        reset(broken.peer)

        def sent() -> bool:
            send_to_all([ends.wire for ends in everybody], b"x")
            return bool(broken.losses)

        turn_until(sent)
        (error,) = broken.losses
        assert isinstance(error, (ConnectionResetError, BrokenPipeError))
        assert broken.wire.closed
        turn_until(lambda: before.read().startswith(b"x"))
        turn_until(lambda: after.read().startswith(b"x"))
        assert closed.read() == b""
        assert [ends.losses for ends in (before, closed, aborted, after)] == [[], [], [], []]

    def test_who_hears_of_a_loss_may_send_to_those_who_wait(self, make: Make) -> None:
        broken, slow = make(), make()
        slow.wire.max_outbox_bytes = 10 * len(BIG)
        broken.wire.lost = lambda _: slow.wire.send(b"<lost>")
        broken.wire.pause()
        reset(broken.peer)

        def noticed() -> bool:
            try:
                broken.wire.sock.send(b"")
            except OSError:
                return True
            return False

        turn_until(noticed)
        # The kernel reports an error once, and from then on that nothing can be sent.
        send_to_all([broken.wire, slow.wire], BIG)
        assert slow.read_all(len(BIG) + 6) == BIG + b"<lost>"

    def test_who_hears_of_a_slow_peer_may_send_to_all_others(self, make: Make) -> None:
        ready, slow = make(), make()
        ready.wire.max_outbox_bytes = 10 * len(BIG)
        slow.wire.max_outbox_bytes = 10
        slow.wire.send(BIG)
        slow.wire.lost = lambda _: ready.wire.send(BIG)
        send_to_all([ready.wire, slow.wire], b"<message>")
        assert ready.read_all(len(BIG) + 9) == b"<message>" + BIG

    def test_what_it_sends_goes_behind_for_those_who_wait_too(self, make: Make) -> None:
        slow, waiting = make(), make()
        for ends in (slow, waiting):
            ends.wire.send(BIG)
        slow.wire.max_outbox_bytes = 10
        waiting.wire.max_outbox_bytes = 10 * len(BIG)
        slow.wire.lost = lambda _: waiting.wire.send(b"<end>")
        send_to_all([slow.wire, waiting.wire], b"<message>")
        assert waiting.read_all(len(BIG) + 14) == BIG + b"<message><end>"

    def test_who_hears_of_a_slow_peer_may_close_others(self, make: Make) -> None:
        ready, slow = make(), make()
        slow.wire.max_outbox_bytes = 10
        slow.wire.send(BIG)
        slow.wire.lost = lambda _: ready.wire.close(last_words=b"bye")
        send_to_all([ready.wire, slow.wire], b"<message>")
        assert not ready.wire.closed, "it waits for the goodbye of its peer"
        assert ready.read_all(12) == b"<message>bye"

    def test_a_peer_that_lets_too_much_wait(self, make: Make) -> None:
        slow, other = make(), make()
        slow.wire.max_outbox_bytes = 1000
        send_to_all([slow.wire], BIG)  # one message of any size may wait
        assert slow.losses == []
        send_to_all([slow.wire, other.wire], b"x")
        (error,) = slow.losses
        assert isinstance(error, BufferError)
        turn_until(lambda: other.read() == b"x")


class TestSendAll:
    def test_says_what_was_not_taken(self, make: Make, send_all: Callable[..., list[tuple[int, int]]]) -> None:
        one, two = make(), make()
        fds = [one.wire.fd, two.wire.fd]
        assert send_all(fds, b"a") == []
        assert send_all([], b"a") == []
        (first, nobody, second) = send_all([fds[0], -1, fds[1]], BIG)
        assert (first[0], second[0]) == (0, 2)
        assert 0 < first[1] < len(BIG)
        assert 0 < second[1] < len(BIG)
        assert nobody == (1, -errno.EBADF)
        while send_all(fds[:1], BIG) != [(0, -errno.EAGAIN)]:
            pass

    @pytest.mark.parametrize(
        "arguments",
        [(), ([],), ([], b"", 1), ((), b""), ([], "text"), (["1"], b""), ([True], b""), ([-2], b""), ([1 << 32], b"")],
    )
    def test_refuses_what_it_cannot_send(self, speedups: Any, arguments: tuple[object, ...]) -> None:
        with pytest.raises(TypeError):
            speedups.send_all(*arguments)

    def test_a_number_that_is_no_descriptor(self, speedups: Any) -> None:
        with pytest.raises(OverflowError):
            speedups.send_all([1 << 70], b"")


class TestDrained:
    def test_at_once_when_nothing_waits(self, ends: Ends) -> None:
        called: list[bool] = []
        ends.wire.when_drained(lambda: called.append(True))
        assert called == [True]

    def test_later_when_something_waits(self, ends: Ends) -> None:
        called: list[int] = []
        ends.wire.send(BIG)
        ends.wire.when_drained(lambda: called.append(ends.wire.outbox_bytes))
        gevent.sleep(MS)
        assert called == []
        ends.read_all(len(BIG))
        turn_until(lambda: called == [0])

    def test_a_callback_may_send(self, ends: Ends) -> None:
        ends.wire.send(BIG)
        ends.wire.when_drained(lambda: ends.wire.send(b"more"))
        assert ends.read_all(len(BIG) + 4) == BIG + b"more"

    @pytest.mark.parametrize("end", ["abort", "lost"])
    def test_nobody_waits_for_a_wire_that_is_closed(self, ends: Ends, end: str) -> None:
        called: list[bool] = []
        ends.wire.send(BIG)
        ends.wire.when_drained(lambda: called.append(ends.wire.closed))
        if end == "abort":
            ends.wire.abort()
        else:
            reset(ends.peer)
        turn_until(lambda: called)
        assert called == [True]

    def test_of_a_wire_that_is_closing(self, ends: Ends) -> None:
        called: list[bool] = []
        ends.wire.send(BIG)
        ends.wire.when_drained(lambda: called.append(ends.wire.closed))
        ends.wire.close()
        ends.read_all(len(BIG))
        turn_until(lambda: called == [False])
        ends.wire.when_drained(lambda: called.append(True))
        assert called == [False, True]


class TestEnd:
    def test_the_peer_closes(self, ends: Ends) -> None:
        ends.peer.close()
        turn_until(lambda: ends.losses)
        assert ends.losses == [None]
        assert ends.wire.closed and ends.wire.closing

    def test_close_says_goodbye_and_waits_for_the_peers(self, ends: Ends, timers: Timers) -> None:
        ends.wire.send(b"bye")
        ends.wire.close()
        ends.wire.close()
        assert ends.wire.closing and not ends.wire.closed
        turn_until(lambda: ends.read() == b"bye")
        turn_until(ends.at_end)
        ends.peer.send(b"what nobody reads")
        ends.peer.close()
        turn_until(lambda: ends.wire.closed)
        assert ends.received == []
        assert ends.losses == []
        assert len(timers) == 0

    def test_what_waits_goes_out_before(self, ends: Ends) -> None:
        ends.wire.send(BIG)
        ends.wire.close()
        ends.wire.send(b"too late")
        assert ends.read_all(len(BIG)) == BIG
        turn_until(ends.at_end)
        assert ends.losses == []

    def test_also_where_the_peer_has_said_goodbye_before(self, ends: Ends) -> None:
        ends.wire.send(BIG)
        ends.wire.close()
        ends.peer.shutdown(socket.SHUT_WR)
        gevent.sleep(5 * MS)
        assert ends.read_all(len(BIG)) == BIG
        turn_until(lambda: ends.wire.closed)

    def test_a_wire_that_is_paused_reads_on_when_it_closes(self, ends: Ends) -> None:
        ends.wire.pause()
        ends.wire.close()
        ends.peer.close()
        turn_until(lambda: ends.wire.closed)
        assert ends.losses == []

    def test_a_send_after_the_close_does_not_reset_it(self, ends: Ends) -> None:
        ends.peer.send(b"unread")
        ends.wire.send(b"last words")
        ends.wire.close()
        ends.wire.send(b"too late")
        assert not ends.wire.closed
        turn_until(lambda: ends.read() == b"last words")
        turn_until(ends.at_end)

    def test_a_peer_that_does_not_say_goodbye(self, ends: Ends, timers: Timers) -> None:
        ends.wire.close(linger=20 * MS)
        assert not ends.wire.closed
        turn_until(lambda: ends.wire.closed)
        assert ends.losses == []
        assert len(timers) == 0

    def test_the_linger_time_counts_from_the_goodbye(self, ends: Ends) -> None:
        ends.wire.send(BIG)
        ends.wire.close(linger=20 * MS)
        gevent.sleep(40 * MS)
        assert not ends.wire.closed
        ends.read_all(len(BIG))
        turn_until(lambda: ends.wire.closed)

    def test_a_peer_that_sends_on_and_on(self, ends: Ends) -> None:
        ends.wire.close(linger=3600.0)
        sent = 0

        def flood() -> bool:
            nonlocal sent
            try:
                sent += ends.peer.send(bytes(4096))
            except (BlockingIOError, ConnectionError):
                pass
            return ends.wire.closed

        turn_until(flood)
        assert sent > LINGER_BYTES

    def test_a_peer_that_sends_on_and_on_while_something_waits(self, ends: Ends) -> None:
        ends.wire.send(BIG)
        ends.wire.close()

        def flood() -> bool:
            try:
                ends.peer.send(bytes(4096))
            except BlockingIOError:
                return ends.wire.paused
            return False

        turn_until(flood)
        assert ends.read_all(len(BIG)) == BIG

    def test_a_peer_that_breaks_the_connection_meanwhile(self, ends: Ends) -> None:
        ends.wire.close()
        reset(ends.peer)
        turn_until(lambda: ends.wire.closed)
        assert ends.losses == []

    def test_abort(self, ends: Ends, timers: Timers) -> None:
        ends.wire.send(BIG)
        ends.wire.abort()
        ends.wire.abort()
        assert ends.wire.closed and ends.wire.closing
        assert ends.wire.outbox_bytes == 0
        ends.wire.send(b"x")
        ends.wire.pause()
        ends.wire.resume()
        ends.wire.close()
        assert ends.losses == []
        assert len(timers) == 0

    def test_abort_of_a_wire_that_is_paused(self, ends: Ends) -> None:
        """Who asks whether it is the pause that keeps data away must not wait for its end."""
        ends.wire.pause()
        ends.wire.abort()
        assert not ends.wire.paused

    def test_abort_while_receiving(self, ends: Ends) -> None:
        ends.wire.receive = lambda data: ends.wire.abort()
        ends.peer.send(b"a")
        turn_until(lambda: ends.wire.closed)
        assert ends.losses == []

    def test_the_circle_of_a_wire_and_its_owner_ends_with_the_connection(self, make: Make, timers: Timers) -> None:
        class Owner:
            def __init__(self, wire: Wire) -> None:
                self.wire = wire
                self.losses = 0
                wire.receive = self.receive
                wire.lost = self.lost

            def receive(self, data: bytes) -> None:
                raise AssertionError(data)

            def lost(self, error: BaseException | None) -> None:
                self.losses += 1

        ends = make()
        owners = [Owner(ends.wire)]
        alive = weakref.ref(owners[0])
        gc.disable()
        try:
            ends.wire.send(BIG)
            reset(ends.peer)
            turn_until(lambda: owners[0].losses)
            owners.clear()
            turn_until(lambda: alive() is None)
        finally:
            gc.enable()
        assert len(timers) == 0


def test_an_error_in_a_deferred_call_ends_the_connection(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    def fail(text: str) -> None:
        raise ValueError(text)

    ends.wire.defer(ends.received.append, b"fine")
    ends.wire.defer(fail, "a mistake")
    assert ends.received == []
    turn_until(lambda: ends.losses)
    assert ends.received == [b"fine"]
    assert ends.wire.closed
    assert [str(error) for error in ends.losses] == ["a mistake"]
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]
