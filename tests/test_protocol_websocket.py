"""The WebSocket codec. W02, V01, ... name rows of the list of bad inputs; masks of 0 keep payloads readable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyramid_socketio.errors import HTTPError, ProtocolError
from pyramid_socketio.protocol import websocket
from pyramid_socketio.protocol.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    HandshakeRefused,
    accept_key,
    check_handshake,
    encode_close,
    encode_frame,
    parse_close,
    unmask,
)

Messages = list[tuple[int, "str | bytes"]]
Result = tuple[Messages, "int | None", bool]

FIN = 0x80
LIMIT = 1_000_000
NO_MASK = b"\0\0\0\0"


def client_frame(first: int, payload: bytes, mask: bytes = NO_MASK) -> bytes:
    """What a client sends; ``first`` is the whole first byte."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + mask + unmask(payload, mask)


def parse(pieces: list[bytes], max_message_size: int = LIMIT, max_fragments: int = 4096) -> Result:
    """Everything that comes out, the close code of the error, and whether a close frame came."""
    parser = FrameParser(max_message_size, max_fragments)
    messages: Messages = []
    for piece in pieces:
        messages += parser.feed(piece)
    return messages, parser.error.close_code if parser.error else None, parser.closed


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("limit", [0, 1, 3, 124, 125, 126])
def test_a_small_max_message_size(limit: int) -> None:
    text = b"x" * limit
    frame = client_frame(FIN | TEXT, text)
    assert parse([frame], limit) == ([(TEXT, text.decode())], None, False)
    assert parse([frame, frame], limit) == ([(TEXT, text.decode())] * 2, None, False)
    assert parse([client_frame(FIN | TEXT, text + b"x")], limit) == ([], 1009, False)


# Frames of the server


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x82\x00"),
        (5, b"\x82\x05"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65535, b"\x82\x7e\xff\xff"),
        (65536, b"\x82\x7f\0\0\0\0\0\x01\0\0"),
    ],
)
def test_encode_frame_lengths(size: int, header: bytes) -> None:
    assert encode_frame(BINARY, b"x" * size) == header + b"x" * size


@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
def test_encode_frame_opcodes(opcode: int) -> None:
    assert encode_frame(opcode, b"hi") == bytes((FIN | opcode, 2)) + b"hi"


def test_encode_close() -> None:
    assert encode_close(None) == b"\x88\x00"
    assert encode_close(1000) == b"\x88\x02\x03\xe8"
    assert encode_close(1001, "bye") == b"\x88\x05\x03\xe9bye"


def test_encode_close_cuts_the_reason_between_characters() -> None:
    assert encode_close(1000, "a" * 500) == b"\x88\x7d\x03\xe8" + b"a" * 123
    assert encode_close(1000, "a" * 122 + "\u20ac") == b"\x88\x7c\x03\xe8" + b"a" * 122
    assert encode_close(1000, "\ud800") == b"\x88\x03\x03\xe8?"


# Masks


@pytest.fixture
def speedups() -> Any:
    """That it is built in CI is ``test_package.py``'s to see."""
    return pytest.importorskip("pyramid_socketio._speedups")


@pytest.fixture(params=["C", "Python"])
def function(request: pytest.FixtureRequest) -> Callable[[bytes | bytearray, bytes | bytearray], bytes]:
    unmask = request.getfixturevalue("speedups").unmask if request.param == "C" else websocket._unmask_in_python
    return unmask


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 125, 126, 4095, 4096, 4097, 8192, 12_289])
def test_unmask(function: Callable[[bytes | bytearray, bytes | bytearray], bytes], size: int) -> None:
    mask = b"\x01\x80\xff\x5a"
    data = bytes(number % 251 for number in range(size))
    expected = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    assert function(data, mask) == expected
    result = function(bytearray(data), bytearray(mask))
    assert result == expected
    assert type(result) is bytes


@pytest.mark.parametrize("offset", range(8))
def test_unmask_at_any_address(speedups: Any, offset: int) -> None:
    data, mask = bytes(range(256)), b"\x01\x80\xff\x5a"
    assert speedups.unmask(memoryview(data)[offset:], mask) == websocket._unmask_in_python(data[offset:], mask)


@pytest.mark.parametrize("mask", [b"", b"abc", b"abcde"])
def test_a_mask_has_4_bytes(speedups: Any, mask: bytes) -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        speedups.unmask(b"data", mask)


def test_what_is_unmasked_are_bytes(speedups: Any) -> None:
    with pytest.raises(TypeError):
        speedups.unmask("text", b"mask")
    with pytest.raises(TypeError):
        speedups.unmask(b"data", "mask")
    with pytest.raises(TypeError, match="takes 2 arguments, 1 given"):
        speedups.unmask(b"data")


# Frames of clients


GOOD: list[tuple[bytes, Messages]] = [
    (b"", []),
    # RFC 6455 section 5.7, "A single-frame masked text message".
    (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", [(TEXT, "Hello")]),
    (client_frame(FIN | TEXT, b""), [(TEXT, "")]),
    (client_frame(FIN | TEXT, "\u20ac\U0001f600".encode(), b"mask"), [(TEXT, "\u20ac\U0001f600")]),
    (client_frame(FIN | BINARY, b"\xff\x00", b"mask"), [(BINARY, b"\xff\x00")]),
    (client_frame(FIN | TEXT, b"a" * 126, b"mask"), [(TEXT, "a" * 126)]),
    (client_frame(FIN | BINARY, b"a" * 70_000, b"mask"), [(BINARY, b"a" * 70_000)]),
    (client_frame(FIN | PING, b"a" * 125, b"mask"), [(PING, b"a" * 125)]),
    (client_frame(FIN | PONG, b""), [(PONG, b"")]),
    # A control frame between the frames of a message.
    (
        client_frame(TEXT, b"a") + client_frame(FIN | PING, b"p") + client_frame(FIN | CONTINUATION, b"b"),
        [(PING, b"p"), (TEXT, "ab")],
    ),
    (
        client_frame(BINARY, b"") + client_frame(CONTINUATION, b"\xff") + client_frame(FIN | CONTINUATION, b""),
        [(BINARY, b"\xff")],
    ),
    # W18: a character split over two frames.
    (b"\x01\x83\0\0\0\x004\xe2\x82\x80\x81\0\0\0\0\xac", [(TEXT, "4\u20ac")]),
    # The next message begins afresh.
    (
        client_frame(TEXT, b"a")
        + client_frame(FIN | CONTINUATION, b"b")
        + client_frame(FIN | TEXT, b"c")
        + client_frame(BINARY, b"d")
        + client_frame(FIN | CONTINUATION, b"e"),
        [(TEXT, "ab"), (TEXT, "c"), (BINARY, b"de")],
    ),
    (client_frame(FIN | TEXT, b"1", b"abcd") * 40, [(TEXT, "1")] * 40),
]


@pytest.mark.parametrize(("data", "messages"), GOOD)
def test_good_frames(data: bytes, messages: Messages) -> None:
    assert parse([data]) == (messages, None, False)
    assert parse(bytewise(data)) == (messages, None, False)


@pytest.mark.parametrize(("data", "messages"), GOOD)
def test_good_frames_with_half_a_frame_behind(data: bytes, messages: Messages) -> None:
    if data:
        assert parse([data + data[:-1], data[-1:]]) == (messages * 2, None, False)


def test_results_are_str_and_bytes_however_they_come() -> None:
    data = (
        client_frame(FIN | TEXT, b"t" * 200) + client_frame(FIN | BINARY, b"b" * 200) + client_frame(FIN | PING, b"p")
    )
    for pieces in ([data], bytewise(data), [data[:100], data[100:]]):
        assert [type(content) for _, content in parse(pieces)[0]] == [str, bytes, bytes]


BAD: dict[str, tuple[bytes, int]] = {
    "unmasked": (b"\x81\x02hi", 1002),
    "unmasked ping": (b"\x89\x00", 1002),
    "unmasked empty": (b"\x81\x00", 1002),
    "plain text": (b"test", 1002),  # V15
    "W02 RSV1": (b"\xc1\x82\0\0\0\0hi", 1002),
    "W02 RSV2": (b"\xa1\x82\0\0\0\0hi", 1002),
    "W02 RSV3": (b"\x91\x82\0\0\0\0hi", 1002),
    "W05 ping in pieces": (b"\x09\x80\0\0\0\0", 1002),
    "W05 close in pieces": (b"\x08\x80\0\0\0\0", 1002),
    "W06 long ping": (b"\x89\xfe\x00\x7e\0\0\0\0" + b"a" * 126, 1002),
    "W06 long close": (b"\x88\xff" + (1 << 20).to_bytes(8, "big"), 1002),
    "W07 close of one byte": (b"\x88\x81\0\0\0\0\x03", 1002),
    "W09 close reason": (b"\x88\x83\0\0\0\0\x03\xe8\xff", 1007),
    "W13 continuation of nothing": (b"\x80\x81\0\0\0\0a", 1002),
    "unfinished continuation of nothing": (b"\x00\x81\0\0\0\0a", 1002),
    "W14 text in a text": (b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b", 1002),
    "W14 binary in a text": (b"\x01\x81\0\0\0\0a\x02\x81\0\0\0\0b", 1002),
    "W16 bad UTF-8": (client_frame(FIN | TEXT, b"\xff"), 1007),
    "W17 cut UTF-8": (b"\x81\x82\0\0\0\0\xe2\x82", 1007),
    "W19 surrogate": (client_frame(FIN | TEXT, b"\xed\xa0\x80"), 1007),
    "overlong UTF-8": (client_frame(FIN | TEXT, b"\xc0\x80"), 1007),
    "cut UTF-8 at the end of fragments": (b"\x01\x82\0\0\0\0\xe2\x82\x80\x80\0\0\0\0", 1007),
    "bad UTF-8 in a fragment, no end": (b"\x01\x81\0\0\0\0\xff", 1007),
    "bad UTF-8 over two fragments, no end": (b"\x01\x82\0\0\0\0\xe2\x82\x00\x81\0\0\0\0a", 1007),
    "W20 two bytes as 16 bit": (b"\x81\xfe\x00\x02\0\0\0\0hi", 1002),
    "W20 125 as 16 bit": (b"\x81\xfe\x00\x7d", 1002),
    "W20 two bytes as 64 bit": (b"\x81\xff\0\0\0\0\0\0\0\x02\0\0\0\0hi", 1002),
    "W20 65535 as 64 bit": (b"\x81\xff\0\0\0\0\0\0\xff\xff", 1002),
    "W21 top bit": (b"\x82\xff\x80\0\0\0\0\0\0\x05\0\0\0\0hello", 1002),
    "W22 8 GiB": (b"\x82\xff" + (1 << 33).to_bytes(8, "big") + NO_MASK, 1009),
    "W23 one too many": (b"\x81\xff" + (LIMIT + 1).to_bytes(8, "big"), 1009),
    "size over fragments": (client_frame(TEXT, b"a") + b"\x80\xff" + LIMIT.to_bytes(8, "big"), 1009),
    **{
        f"W02 to W04 first byte {first:#x}": (bytes((first, 0x80)) + NO_MASK, 1002)
        for first in range(256)
        if first not in (0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A)
    },
    **{
        f"W08 close code {code}": (client_frame(FIN | CLOSE, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD.keys())
def test_bad_frames(data: bytes, code: int) -> None:
    before = client_frame(FIN | TEXT, b"before", b"mask") + client_frame(FIN | PING, b"", b"mask")
    good: Messages = [(TEXT, "before"), (PING, b"")]
    after = client_frame(FIN | TEXT, b"after")
    assert parse([before + data + after]) == (good, code, False)
    assert parse(bytewise(before + data + after)) == (good, code, False)
    assert parse([before, data, after]) == (good, code, False)


@pytest.mark.parametrize("data", [data for data, _ in BAD.values()])
def test_what_is_bad_is_found_before_anything_follows(data: bytes) -> None:
    assert parse([data])[1] is not None


def test_nothing_continues_after_the_last_fragment() -> None:
    data = client_frame(TEXT, b"a") + client_frame(FIN | CONTINUATION, b"b") * 2
    assert parse([data]) == ([(TEXT, "ab")], 1002, False)


def test_error_keeps_no_frames_alive() -> None:
    parser = FrameParser(10, 10)
    parser.feed(b"\x81\x00")
    assert parser.error is not None
    assert parser.error.__traceback__ is None


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])
def test_close_codes(code: int) -> None:
    payload = code.to_bytes(2, "big") + b"bye"
    assert parse([client_frame(FIN | CLOSE, payload)]) == ([(CLOSE, payload)], None, True)
    assert parse_close(payload) == (code, "bye")


def test_close_without_a_code() -> None:  # W12
    assert parse([b"\x88\x80\0\0\0\0"]) == ([(CLOSE, b"")], None, True)
    assert parse_close(b"") == (None, "")


def test_close_with_a_long_reason() -> None:  # W11
    payload = b"\x03\xe8" + "\u20ac".encode() * 41
    assert parse([client_frame(FIN | CLOSE, payload)]) == ([(CLOSE, payload)], None, True)
    assert parse_close(payload) == (1000, "\u20ac" * 41)


def test_everything_after_a_close_is_ignored() -> None:  # W15
    data = client_frame(TEXT, b"begun") + client_frame(FIN | CLOSE, b"")
    for after in (client_frame(FIN | TEXT, b"x"), b"\xff\xff", b"x"):
        assert parse([data + after, after]) == ([(CLOSE, b"")], None, True)
        assert parse(bytewise(data + after)) == ([(CLOSE, b"")], None, True)


def test_size_limit_is_inclusive_and_decided_on_the_header() -> None:  # W23
    assert parse([client_frame(FIN | BINARY, b"a" * LIMIT)]) == ([(BINARY, b"a" * LIMIT)], None, False)
    header = client_frame(FIN | BINARY, b"a" * (LIMIT + 1))[:10]
    assert parse([header]) == ([], 1009, False)
    assert parse([header[:9]]) == ([], None, False)


def test_size_limit_over_fragments() -> None:  # W24
    ten = client_frame(BINARY, b"a" * 100_000) + client_frame(CONTINUATION, b"a" * 100_000) * 9
    eleventh = client_frame(CONTINUATION, b"a" * 100_000)[:10]
    assert parse([ten]) == ([], None, False)
    assert parse([ten, eleventh]) == ([], 1009, False)
    assert parse([ten, client_frame(FIN | CONTINUATION, b"")])[1] is None


def test_size_limit_is_not_for_control_frames() -> None:
    ping = client_frame(FIN | PING, b"a" * 100)
    assert parse([ping], max_message_size=1) == ([(PING, b"a" * 100)], None, False)
    between = client_frame(TEXT, b"a") + ping + client_frame(FIN | CONTINUATION, b"")
    assert parse([between], max_message_size=1) == ([(PING, b"a" * 100), (TEXT, "a")], None, False)


def test_fragment_limit_counts_empty_ones() -> None:  # W25
    first, more, last = (client_frame(first, b"") for first in (TEXT, CONTINUATION, FIN | CONTINUATION))
    assert parse([first + more * 2 + last], max_fragments=4) == ([(TEXT, "")], None, False)
    assert parse([first + more * 3 + last[:2]], max_fragments=4) == ([], 1008, False)
    assert parse(bytewise(first + more * 4), max_fragments=4) == ([], 1008, False)
    # Every message has its own count.
    assert parse([(first + last) * 20], max_fragments=4) == ([(TEXT, "")] * 20, None, False)


def test_idle_parser_holds_nothing() -> None:
    parser = FrameParser(LIMIT, 10)
    parser.feed(b"".join(data for data, _ in GOOD))
    data = client_frame(FIN | BINARY, b"a" * 5000)
    parser.feed(data[:300])
    parser.feed(data[300:])
    assert parser._buffer == b""
    assert parser._message is None
    assert not hasattr(parser, "__dict__")
    assert sys.getsizeof(parser) <= 100


def test_a_big_message_in_pieces_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        data = client_frame(FIN | BINARY, b"a" * size)
        pieces = [data[at : at + 50] for at in range(0, len(data), 50)]
        start = time.perf_counter()
        assert len(parse(pieces, max_message_size=size)[0]) == 1
        return time.perf_counter() - start

    small = min(seconds(200_000) for _ in range(3))
    # 20 times for 20 times the bytes; 400 times if every piece copied what came before.
    assert min(seconds(4_000_000) for _ in range(2)) < 100 * small


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip(places, places[1:], strict=False)]


frames = st.builds(
    client_frame,
    st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A]),
    st.one_of(st.text(max_size=40).map(str.encode), st.binary(max_size=150)),
    st.binary(min_size=4, max_size=4),
)


@given(
    st.lists(st.one_of(frames, frames, frames, st.binary(max_size=12)), max_size=8),
    st.lists(st.integers(0), max_size=8),
)
def test_any_split_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    whole = parse([data], max_message_size=300, max_fragments=3)
    assert parse(split(data, cuts), max_message_size=300, max_fragments=3) == whole
    assert parse(bytewise(data), max_message_size=300, max_fragments=3) == whole


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), st.text(max_size=60), st.lists(st.integers(0), max_size=3))))
@settings(max_examples=50)
def test_messages_in_fragments_come_back(messages: list[tuple[int, str, list[int]]]) -> None:
    data = b""
    expected: Messages = []
    for opcode, text, cuts in messages:
        parts = split(text.encode(), cuts)
        for number, part in enumerate(parts):
            first = (0 if number else opcode) | (FIN if number == len(parts) - 1 else 0)
            data += client_frame(first, part, b"\x01\x02\xfe\xff")
        expected.append((opcode, text if opcode == TEXT else text.encode()))
    assert parse([data]) == (expected, None, False)


@given(st.binary(max_size=300))
@example(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff")
def test_random_bytes_give_messages_or_a_documented_error(data: bytes) -> None:
    parser = FrameParser(200, 3)
    for opcode, content in parser.feed(data):
        assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)
        assert isinstance(content, str) == (opcode == TEXT)
    assert parser.error is None or isinstance(parser.error, ProtocolError)
    assert parser.error is None or parser.error.close_code in (1002, 1007, 1008, 1009)


# The handshake


HANDSHAKE = {
    "host": "server.example.com",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}


def refused(method: str = "GET", version: str = "HTTP/1.1", **changes: str | None) -> HandshakeRefused:
    headers = dict(HANDSHAKE)
    for name, value in changes.items():
        header = name.replace("_", "-")
        if value is None:
            del headers[header]
        else:
            headers[header] = value
    with pytest.raises(HandshakeRefused) as caught:
        check_handshake(method, version, headers)
    assert isinstance(caught.value, HTTPError)
    return caught.value


def test_accept_key() -> None:
    # RFC 6455 section 1.3.
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_good_handshakes() -> None:
    for changes in (
        {},
        {"upgrade": "WebSocket", "connection": "keep-alive, UPGRADE"},
        {"upgrade": "h2c ,\twebsocket"},
        {"sec-websocket-version": "8"},
        {"sec-websocket-version": "7"},
        {"sec-websocket-protocol": "a," * 30_000},
    ):
        assert check_handshake("GET", "HTTP/1.1", HANDSHAKE | changes) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "key",
    [
        None,  # V01
        "",
        "\xff\xfe",  # V03
        "dGhlIHNhbXBsZSBub25j",  # V04: 15 bytes
        "dGhlIHNhbXBsZSBub25jZWVl",  # 18 bytes
        "dGhlIHNhbXBsZSBub25jZWU=",  # 17 bytes
        "abcde",
        "dGhl!IHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==\n",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",  # V06: twice
        "\u0661" * 22 + "==",
    ],
)
def test_bad_keys(key: str | None) -> None:
    assert refused(sec_websocket_key=key).status == 400


@pytest.mark.parametrize("version", [None, "", "99", "13, 13", "0", "6", "13.0", "\u0661\u0663"])  # V07
def test_bad_versions(version: str | None) -> None:
    error = refused(sec_websocket_version=version)
    assert error.status == 426
    assert error.headers == (("Sec-WebSocket-Version", "13, 8, 7"),)


def test_hixie_76_is_a_bad_request() -> None:  # V12
    assert refused(sec_websocket_key=None, sec_websocket_version=None, sec_websocket_key1="4 @1").status == 400


def test_other_bad_handshakes() -> None:
    error = refused(method="POST")  # V09
    assert error.status == 405
    assert error.headers == (("Allow", "GET"),)
    assert refused(version="HTTP/1.0").status == 400  # V10
    for connection in (None, "", "keep-alive", "notupgradeable", "close, xupgrade"):
        assert refused(connection=connection).status == 400
    for upgrade in (None, "", "websockets", "h2c", "web socket"):
        assert refused(upgrade=upgrade).status == 400
