"""Streams: what goes out on a wire, and what the session is told of the other end."""

from __future__ import annotations

import _socket
import gc
import json
import re
import socket
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_socketio.errors import CloseReason, PacketError, ProtocolError
from pyramid_socketio.evented.timers import Timers
from pyramid_socketio.evented.wire import Wire
from pyramid_socketio.protocol import payload_v0, payload_v1
from pyramid_socketio.protocol.streams import Framing
from pyramid_socketio.settings import Settings
from pyramid_socketio.transports.connected import BUDGET
from pyramid_socketio.transports.stream import StreamTransport
from tests.timing import MS, turn_until

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
FRAMINGS = {
    "htmlfile-0.9": payload_v1.STREAMS["htmlfile"],
    "htmlfile-0.6": payload_v0.STREAMS["htmlfile"],
    "multipart": payload_v0.STREAMS["xhr-multipart"],
}


class Session:
    """Remembers what a transport told."""

    sid = "the sid"

    def __init__(self) -> None:
        self.errors: list[ProtocolError] = []
        self.reasons: list[str] = []

    def received(self, transport: Any, packets: Any) -> None:
        raise AssertionError("a stream brings no packets")

    def failed(self, transport: Any, error: ProtocolError) -> None:
        self.errors.append(error)

    def gone(self, transport: Any, reason: str) -> None:
        self.reasons.append(reason)


class Stream:
    """A stream, its session, and the socket of its client."""

    def __init__(self, timers: Timers, framing: Framing, version: str = "HTTP/1.1", **values: Any) -> None:
        ours, self.client = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.client.setblocking(False)
        wire = Wire(_socket.socket(fileno=ours.detach()), timers, lambda data: None, lambda error: None)
        self.session = Session()
        self.transport = StreamTransport(wire, framing, Settings(**values), self.session, version, HEAD)
        self.received = b""

    def read(self) -> bytes:
        """All that has come so far."""
        try:
            while data := self.client.recv(65536):
                self.received += data
        except BlockingIOError:
            pass
        return self.received

    def has_ended(self) -> bool:
        self.read()
        try:
            return self.client.recv(1) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.transport.abort()
        self.client.close()


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers()
    yield timers
    timers.close()


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> Framing:
    return FRAMINGS[request.param]


Make = Callable[..., Stream]


@pytest.fixture
def make(timers: Timers, framing: Framing) -> Iterator[Make]:
    made: list[Stream] = []

    def make(*args: Any, **values: Any) -> Stream:
        made.append(Stream(timers, framing, *args, **values))
        return made[-1]

    yield make
    for stream in made:
        stream.close()


@pytest.fixture
def stream(make: Make) -> Stream:
    return make()


def message(text: bytes) -> payload_v1.Message:
    return payload_v1.Message((text, []))


def dechunk(data: bytes) -> tuple[bytes, bool]:
    """The chunks of a body joined, and whether the last one was there."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        assert data[length : length + 2] == b"\r\n"
        if not length:
            assert data == b"\r\n"
            return body, True
        body, data = body + data[:length], data[length + 2 :]
    return body, False


def document(stream: Stream) -> bytes:
    """What a browser has read of the document."""
    data = stream.read()
    assert data.startswith(HEAD)
    data = data[len(HEAD) :]
    return data if stream.transport._end == b"" else dechunk(data)[0]


class TestSending:
    def test_the_head_goes_out_with_the_first_packet(self, stream: Stream, framing: Framing) -> None:
        assert stream.read() == b""
        stream.transport.send(message(b"1::"))
        stream.transport.uncork()
        assert document(stream) == framing.begin + framing.encode([b"1::"])

    def test_the_head_does_not_wait_for_a_packet(self, stream: Stream, framing: Framing) -> None:
        turn_until(stream.read)
        assert document(stream) == framing.begin

    def test_messages_and_packets_in_order(self, stream: Stream, framing: Framing) -> None:
        turn_until(stream.read)
        stream.transport.send(message(b"3:::a"))
        stream.transport.send_packet(b"2::")
        stream.transport.send(message(b"3:::b"))
        assert document(stream) == framing.begin + framing.encode([b"3:::a", b"2::", b"3:::b"])

    def test_what_is_corked_goes_out_in_order(self, stream: Stream, framing: Framing) -> None:
        turn_until(stream.read)
        stream.transport.cork()
        stream.transport.send(message(b"3:::a"))
        stream.transport.send_packet(b"2::")
        assert document(stream) == framing.begin
        stream.transport.uncork()
        assert document(stream) == framing.begin + framing.encode([b"3:::a", b"2::"])

    def test_no_more_is_corked_than_is_useful(self, stream: Stream) -> None:
        turn_until(stream.read)
        before = len(stream.read())
        stream.transport.cork()
        for _ in range(BUDGET):
            stream.transport.send_packet(b"2::")
        assert len(stream.read()) > before

    def test_a_message_is_framed_once_for_all(self, make: Make, framing: Framing) -> None:
        shouted = message(b"3:::all")
        streams = [make() for _ in range(3)]
        forms = set()
        for stream in streams:
            stream.transport.send(shouted)
            forms.add(id(shouted.form(stream.transport._encode)))
            assert len(forms) == 1


class TestFraming:
    def test_chunked_for_http_1_1(self, framing: Framing) -> None:
        headers = dict(framing.headers("HTTP/1.1"))
        assert headers["Content-Type"] == framing.content_type
        assert headers["Connection"] == "keep-alive"
        assert ("Transfer-Encoding" in headers) == (framing.encode_chunk is not None)
        assert "Content-Length" not in headers

    def test_http_1_0_has_no_chunks(self, make: Make, framing: Framing) -> None:
        headers = dict(framing.headers("HTTP/1.0"))
        assert headers["Connection"] == "close" and "Transfer-Encoding" not in headers
        stream = make("HTTP/1.0")
        stream.transport.send(message(b"1::"))
        stream.transport.close(1000)
        assert stream.read() == HEAD + framing.begin + framing.encode([b"1::"])

    def test_htmlfile_of_0_9(self) -> None:
        """Section 7.3: "The spaces fill the 256 bytes that IE buffers"."""
        script = "<html><body><script>var _ = function (msg) { parent.s._(msg, document); };</script>"
        assert payload_v1.STREAMS["htmlfile"].begin == (script + " " * 173).encode()
        assert payload_v1.STREAMS["htmlfile"].encode([b"1::"]) == b'<script>_("1::");</script>'
        assert payload_v1.STREAMS["htmlfile"].encode_chunk is not None
        assert payload_v1.STREAMS["htmlfile"].encode_chunk([b"1::"]) == b'1a\r\n<script>_("1::");</script>\r\n'

    def test_htmlfile_of_0_6(self) -> None:
        """Section 5.4: 244 spaces, so that there are 256 bytes here, too."""
        assert payload_v0.STREAMS["htmlfile"].begin == b"<html><body>" + b" " * 244
        part = rb'<script>parent.s._("~m~3~m~\u003c\/a", document);</script>'
        assert payload_v0.STREAMS["htmlfile"].encode([b"~m~3~m~</a"]) == part
        assert payload_v0.STREAMS["htmlfile"].encode_chunk is not None
        assert payload_v0.STREAMS["htmlfile"].encode_chunk([b"~m~3~m~</a"]) == b"%x\r\n%b\r\n" % (len(part), part)

    def test_multipart(self) -> None:
        """Section 5.3: "The closing ``--socketio`` is what makes the browser deliver the part"."""
        headers = dict(payload_v0.STREAMS["xhr-multipart"].headers("HTTP/1.1"))
        assert headers["Content-Type"] == 'multipart/x-mixed-replace;boundary="socketio"'
        assert payload_v0.STREAMS["xhr-multipart"].begin == b"--socketio\n"
        part = b"Content-Type: text/plain\n\n~m~1~m~%c\n--socketio\n"
        assert payload_v0.STREAMS["xhr-multipart"].encode([b"~m~1~m~a", b"~m~1~m~b"]) == part % b"a" + part % b"b"

    @pytest.mark.parametrize(
        ("htmlfile", "tail"), [(payload_v0.STREAMS["htmlfile"], ", document"), (payload_v1.STREAMS["htmlfile"], "")]
    )
    @given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=3))
    def test_no_text_of_a_client_gets_out_of_its_script_t31(
        self, htmlfile: Framing, tail: str, texts: list[str]
    ) -> None:
        parts = htmlfile.encode([text.encode() for text in texts]).decode()
        script = rf"<script>(?:parent\.s\.)?_\((\"[^<>&\u2028\u2029\r\n]*\"){tail}\);</script>"
        assert re.fullmatch(f"(?:{script})+", parts)
        assert [json.loads(literal) for literal in re.findall(script, parts)] == texts


class TestFlow:
    def test_a_client_that_does_not_read(self, make: Make, framing: Framing) -> None:
        stream = make(max_queue_bytes=100_000)
        turn_until(stream.read)
        for _ in range(100):
            stream.transport.send(message(b"3:::" + b"x" * 10_000))
        assert stream.session.reasons == [CloseReason.SLOW_CONSUMER]
        assert stream.transport.wire.outbox_bytes < 150_000

    def test_a_client_that_reads_slowly(self, make: Make, framing: Framing) -> None:
        stream = make()
        texts = [b"3:::%d" % number + b"x" * 5_000 for number in range(100)]
        for text in texts:
            stream.transport.send(message(text))
        expected = framing.begin + framing.encode(texts)
        stream.transport.close(1000)
        turn_until(stream.has_ended)
        assert document(stream) == expected
        assert stream.session.reasons == []

    def test_write_timeout(self, make: Make, framing: Framing) -> None:
        stream = make(write_timeout=5 * MS)
        stream.transport.send(message(b"3:::" + b"x" * 500_000))
        turn_until(lambda: stream.session.reasons)
        assert stream.session.reasons == [CloseReason.SLOW_CONSUMER]

    def test_a_paused_session_hears_of_the_end(self, stream: Stream) -> None:
        stream.transport.pause()
        assert stream.transport.paused
        stream.client.close()
        turn_until(lambda: stream.session.reasons)
        stream.transport.resume()
        assert not stream.transport.paused


class TestEnd:
    def test_the_client_goes(self, stream: Stream) -> None:
        turn_until(stream.read)
        stream.client.close()
        turn_until(lambda: stream.session.reasons)
        assert stream.session.reasons == [CloseReason.TRANSPORT_CLOSE]
        stream.transport.send(message(b"3:::too late"))
        stream.transport.send_packet(b"2::")
        gevent.sleep(0)
        assert stream.session.reasons == [CloseReason.TRANSPORT_CLOSE]

    def test_the_client_says_something(self, stream: Stream) -> None:
        stream.client.send(b"GET / HTTP/1.1\r\n")
        turn_until(lambda: stream.session.errors)
        assert [type(error) for error in stream.session.errors] == [PacketError]

    def test_the_client_said_something_with_its_request(self, make: Make, framing: Framing) -> None:
        stream = make()
        other = StreamTransport(stream.transport.wire, framing, Settings(), stream.session, "HTTP/1.1", HEAD, b"more")
        assert stream.session.errors == []
        turn_until(lambda: stream.session.errors)
        other.abort()

    def test_what_was_sent_goes_out_first(self, stream: Stream, framing: Framing) -> None:
        stream.transport.cork()
        stream.transport.send(message(b"3:::bye"))
        stream.transport.close(1001)
        assert stream.has_ended()
        body = stream.read()[len(HEAD) :]
        if framing.encode_chunk is not None:
            body, whole = dechunk(body)
            assert whole
        assert body == framing.begin + framing.encode([b"3:::bye"])
        stream.transport.close(1001)
        stream.client.close()
        gevent.sleep(5 * MS)
        assert stream.session.reasons == stream.session.errors == []

    def test_abort(self, stream: Stream) -> None:
        turn_until(stream.read)
        stream.transport.abort()
        assert stream.has_ended()
        assert stream.session.reasons == []

    def test_nothing_is_left_of_a_stream_on_a_dead_wire(self, stream: Stream, framing: Framing) -> None:
        wire, session = stream.transport.wire, Session()
        stream.transport.abort()
        late = StreamTransport(wire, framing, Settings(), session, "HTTP/1.1", HEAD)
        late.send(message(b"1::"))
        late.close(1000)
        gevent.sleep(0)
        holder = weakref.ref(session)
        gc.disable()
        try:
            del late, session
            assert holder() is None
        finally:
            gc.enable()

    def test_a_client_that_says_it_goes_is_told_nothing(self, stream: Stream) -> None:
        stream.transport.client_closed()
        assert stream.transport.reachable
        assert not stream.has_ended()
