"""Several packets in one frame: as if each had come in a frame of its own."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_socketio.errors import BinaryRefused, LimitExceeded, PacketError, PayloadTooLarge, ProtocolError
from pyramid_socketio.evented.timers import Timers
from pyramid_socketio.evented.wire import Wire
from pyramid_socketio.protocol import payload_v1, socketio_v1
from pyramid_socketio.protocol.packets import MESSAGE, PONG, EnginePacket
from pyramid_socketio.protocol.revisions import Revision
from pyramid_socketio.protocol.websocket import PING, TEXT, FrameParser
from pyramid_socketio.settings import Settings
from pyramid_socketio.transports.classic_websocket import ClassicWebSocketTransport, PacketParser
from pyramid_socketio.transports.connected import BUDGET
from tests.functional import raw
from tests.timing import turn_until

V1 = Revision("0.9", "0.7 to 0.9", payload_v1, socketio_v1)


def framed(*packets: str) -> str:
    return "".join(f"\ufffd{len(packet)}\ufffd{packet}" for packet in packets)


def text(data: str) -> bytes:
    return raw.frame(TEXT, data.encode())


def parser(max_message_size: int = 1000) -> PacketParser:
    return PacketParser(FrameParser(max_message_size, 10), payload_v1.split, 1000)


class TestParser:
    def test_one_packet(self) -> None:
        assert parser().feed(text("3:::a")) == [(TEXT, "3:::a")]

    def test_several_packets(self) -> None:
        data = text(framed("3:::a", "2::")) + text("3:::b")
        assert parser().feed(data) == [(TEXT, "3:::a"), (TEXT, "2::"), (TEXT, "3:::b")]

    def test_other_frames_are_left_as_they_are(self) -> None:
        data = raw.frame(PING, b"x") + raw.frame(raw.BINARY, b"y")
        assert parser().feed(data) == [(PING, b"x"), (raw.BINARY, b"y")]

    @given(st.lists(st.lists(st.text("aé:", min_size=1), min_size=1)), st.integers(1, 50))
    def test_in_pieces(self, frames: list[list[str]], size: int) -> None:
        data = b"".join(text(framed(*packets)) for packets in frames)
        subject = parser(100_000)
        got = [item for at in range(0, len(data), size) for item in subject.feed(data[at : at + size])]
        assert got == [(TEXT, packet) for packets in frames for packet in packets]
        assert subject.error is None

    @pytest.mark.parametrize(
        ("bad", "kind"),
        [
            (text("\ufffd9\ufffdabc"), PacketError),
            (text(framed(*"x" * 1001)), PayloadTooLarge),
            (raw.frame(3), PacketError),
        ],
    )
    def test_what_was_good_counts_and_what_follows_does_not(self, bad: bytes, kind: type[ProtocolError]) -> None:
        subject = parser()
        assert subject.feed(text("3:::a") + bad + text("3:::b")) == [(TEXT, "3:::a")]
        assert type(subject.error) is kind
        assert subject.error.__traceback__ is None
        assert subject.feed(text("3:::c")) == []
        assert type(subject.error) is kind

    def test_too_many_packets(self) -> None:
        subject = parser(100_000)
        assert subject.feed(text(framed(*"x" * 1001))) == []
        assert isinstance(subject.error, LimitExceeded)


class Session:
    """Remembers what a transport told."""

    sid = "the sid"

    def __init__(self) -> None:
        self.packets: list[EnginePacket] = []
        self.errors: list[ProtocolError] = []
        #: How many packets came at a time.
        self.turns: list[int] = []

    def received(self, transport: Any, packets: Any) -> None:
        self.turns.append(len(packets))
        self.packets += packets

    def failed(self, transport: Any, error: ProtocolError) -> None:
        self.errors.append(error)

    def gone(self, transport: Any, reason: str) -> None:
        raise AssertionError(reason)


class Open:
    """A WebSocket, its session, and the socket of its client."""

    def __init__(self, timers: Timers) -> None:
        ours, self.client = socket.socketpair()
        wire = Wire(_socket.socket(fileno=ours.detach()), timers, lambda data: None, lambda error: None)
        self.session = Session()
        self.transport = ClassicWebSocketTransport(wire, "flashsocket", V1, Settings(), self.session)


@pytest.fixture
def websocket() -> Iterator[Open]:
    timers = Timers()
    websocket = Open(timers)
    yield websocket
    websocket.transport.abort()
    websocket.client.close()
    timers.close()


def test_the_name_is_that_of_the_url(websocket: Open) -> None:
    assert websocket.transport.name == "flashsocket"


def test_packets_of_one_frame_arrive_in_order(websocket: Open) -> None:
    websocket.client.send(text(framed("3:::a", "2::", "3:::b")))
    turn_until(lambda: websocket.session.packets)
    assert websocket.session.packets == [(MESSAGE, "3:::a"), (PONG, ""), (MESSAGE, "3:::b")]


def test_a_frame_with_many_packets_leaves_others_their_turn(websocket: Open) -> None:
    packets = [f"3:::{number}" for number in range(500)]
    websocket.client.send(text(framed(*packets)))
    turn_until(lambda: len(websocket.session.packets) == 500)
    assert websocket.session.packets == [(MESSAGE, packet) for packet in packets]
    assert max(websocket.session.turns) <= BUDGET


def test_binary_data_l19(websocket: Open) -> None:
    websocket.client.send(raw.frame(raw.BINARY, b"x"))
    turn_until(lambda: websocket.session.errors)
    assert [type(error) for error in websocket.session.errors] == [BinaryRefused]


def test_a_frame_that_ends_too_early(websocket: Open) -> None:
    websocket.client.send(text(framed("3:::a") + "\ufffd9\ufffdb"))
    turn_until(lambda: websocket.session.errors)
    assert [type(error) for error in websocket.session.errors] == [PacketError]
