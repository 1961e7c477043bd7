"""Every bad input of the contract, sections 9.1 to 9.4, 9.6 and 9.9: each gets its documented answer, and nobody else
notices. A control client exchanges numbered messages all the while."""

from __future__ import annotations

import base64
import gc
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.event
import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_socketio import SocketIOContext
from tests.conftest import wait_for
from tests.functional.raw import (
    BINARY,
    CLOSE,
    KEY,
    PING,
    POLLING,
    PONG,
    TEXT,
    UPGRADE,
    WEBSOCKET,
    Connection,
    EngineSocket,
    PollingSession,
    encode_request,
    frame,
    request,
)
from tests.functional.serving import ThreadServer
from tests.timing import MS

#: Seconds that the control client may wait for an answer.
GAP = 500 * MS

#: Reasons of contexts that have ended, in order.
ENDED: list[str | None] = []

#: What ``hold`` waits for.
RELEASE = gevent.event.Event()


class Target(SocketIOContext):
    evaluated = False

    @property
    def session(self) -> None:
        type(self).evaluated = True

    def disconnect(self) -> None:
        ENDED.append(self.disconnect_reason)

    def msg_echo(self, *args: Any) -> None:
        self.emit("echo", *args)

    def msg_hello(self, msg: dict[str, Any]) -> None:
        self.msg("hello", got=msg)

    def msg_fails(self) -> None:
        raise ValueError("a secret detail")

    def msg_shout(self, *args: Any) -> None:
        self.broadcast_event("shouted", *args)

    def msg_hold(self) -> None:
        RELEASE.wait()

    def msg_end_session(self) -> None:
        self.io.connection.session.close("server")

    msg_number = 5


class Control(threading.Thread):
    """A client of good behaviour: exchanges numbered messages all the time."""

    def __init__(self, port: int) -> None:
        super().__init__(name="control")
        self.socket = EngineSocket(port, "/control")
        self.longest = 0.0
        self.count = 0
        self.error: Exception | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            while not (self.count and self.done.wait(0.005)):
                sent = time.monotonic()
                self.socket.send_text(f'42/control,["echo",{self.count}]')
                text = self.socket.receive_text()
                while text == "2":
                    self.socket.send_text("3")
                    text = self.socket.receive_text()
                assert text == f'42/control,["echo",{self.count}]', text
                self.longest = max(self.longest, time.monotonic() - sent)
                self.count += 1
        except Exception as error:
            self.error = error
        finally:
            self.socket.close()


def body_view(request: Any) -> Response:
    return Response(body=request.body, content_type="application/octet-stream")


def headers_view(request: Any) -> Response:
    return Response(json_body=dict(request.headers))


def application(**settings: str) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        config.add_socketio_context(Target, "/")
        config.add_socketio_context(Target, "/control")
        config.add_socketio_context(Target, "/many/{number}")
        config.add_route("body", "/body")
        config.add_route("headers", "/a")
        config.add_view(body_view, route_name="body")
        config.add_view(headers_view, route_name="headers")
    return config.make_wsgi_app()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def busy_greenlets(server: ThreadServer) -> set[gevent.Greenlet]:
    """Greenlets of this process that do not wait for work of this server."""
    gc.collect()
    idle = {*server.server.workers.idle, *server.socketio.workers.idle}
    greenlets = {thing for thing in gc.get_objects() if isinstance(thing, gevent.Greenlet)}
    return {greenlet for greenlet in greenlets if not greenlet.dead} - idle


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer(application(upgrade_timeout="0.5", close_timeout="1")) as server:
        before = descriptors()
        of_others = busy_greenlets(server)  # what other tests have left
        control = Control(server.port)
        control.start()
        yield server
        control.done.set()
        control.join()
        assert control.error is None
        assert control.longest < GAP
        # Nothing is left: no session, connection, timer or descriptor, and no greenlet but the pool's idle ones.
        wait_for(server.has_settled)
        wait_for(lambda: not server.server.connections)
        wait_for(lambda: not len(server.socketio.timers) and not len(server.server.timers))
        wait_for(lambda: descriptors() == before)
        assert busy_greenlets(server) <= of_others


@pytest.fixture(autouse=True)
def nothing_is_left(server: ThreadServer) -> Iterator[None]:
    """After each test only the session of the control client is there, and no traceback was logged."""
    server.forget()
    yield
    wait_for(lambda: server.has_settled(1))
    assert server.failures == []


# 9.1 HTTP

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*headers: str, body: str = "") -> bytes:
    return "\r\n".join(["POST /a HTTP/1.1", "Host: x", *headers, "", body]).encode("latin-1")


def get(*headers: str, line: str = "GET /a HTTP/1.1") -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode("latin-1")


HOST = "Host: x"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(post("Content-Length: 3", "Content-Length: 5", body="abcde"), 400, id="H01"),
        pytest.param(post("Content-Length: +3", body="abc"), 400, id="H02 plus"),
        pytest.param(post("Content-Length: 0_3", body="abc"), 400, id="H02 underscore"),
        pytest.param(post("Content-Length: 3 ", body="abc"), 400, id="H02 blank"),
        pytest.param(post("Content-Length: -1", body="abc"), 400, id="H02 minus"),
        pytest.param(post("Content-Length: 3,3", body="abc"), 400, id="H02 list"),
        pytest.param(post("Content-Length: 0x3", body="abc"), 400, id="H02 hexadecimal"),
        pytest.param(post("Content-Length: 30", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400, id="H04"),
        pytest.param(post("Transfer-Encoding: gzip, chunked", "Content-Length: 3", body="abc"), 501, id="H05"),
        pytest.param(post("Transfer-Encoding: chunked,", body="0\r\n\r\n"), 501, id="H05 comma"),
        pytest.param(post("Transfer-Encoding: xchunked", body="0\r\n\r\n"), 501, id="H05 xchunked"),
        pytest.param(post("Transfer-Encoding:\x0bchunked", "Content-Length: 5", body="0\r\n\r\n"), 400, id="H07"),
        pytest.param(post("Transfer-Encoding: chunked\x85", "Content-Length: 5", body="0\r\n\r\n"), 400, id="H08"),
        pytest.param(post("Transfer-Encoding : chunked", body="0\r\n\r\n"), 400, id="H09 blank before the colon"),
        pytest.param(get(HOST, "X-B: q\rX-A: injected"), 400, id="H10"),
        pytest.param(get(HOST, "X-A: a\x00b"), 400, id="H11"),
        pytest.param(get(HOST, "X-A: a", " folded"), 400, id="H12 folded"),
        pytest.param(b"GET /a HTTP/1.1\nHost: x\n\n", 400, id="H13"),
        pytest.param(get(), 400, id="H14 none"),
        pytest.param(get(HOST, HOST), 400, id="H14 two"),
        pytest.param(get(HOST, line="GET\x0b/a\x0bHTTP/1.1"), 400, id="H16"),
        pytest.param(get(HOST, line="GET /a\xa0HTTP/1.1"), 400, id="H17"),
        pytest.param(get(HOST, line="G\x00T /a HTTP/1.1"), 400, id="H18 method"),
        pytest.param(get(HOST, line="GET /a HTTP/2.0"), 505, id="H19 2.0"),
        pytest.param(get(HOST, line="GET /a HTTP/1"), 400, id="H19 1"),
        pytest.param(get(HOST, line="GET /a HTTP/1.9"), 400, id="H19 1.9"),
        pytest.param(get(HOST, line="GET /a"), 400, id="H19 0.9"),
        pytest.param(get(HOST, line=f"GET /{'a' * 9000} HTTP/1.1"), 414, id="H20"),
        pytest.param(get(HOST, *["X-A: b"] * 101), 431, id="H21"),
        pytest.param(get(HOST, f"X-A: {'a' * 70_000}"), 431, id="H22"),
        pytest.param(get(HOST, *[f"X-A: {'a' * 65_000}"] * 99), 431, id="H23"),
        pytest.param(post("Content-Length: 1000000000000"), 413, id="H25"),
        pytest.param(post("Content-Length: " + "9" * 100), 413, id="H25 long"),
        pytest.param(get(HOST, line="GET /a\x1b[31m HTTP/1.1"), 400, id="H29 escape"),
    ],
)
def test_http(server: ThreadServer, sent: bytes, status: int) -> None:
    with Connection(server.port) as connection:
        try:
            connection.send(sent + SMUGGLED)
        except OSError:
            pass  # refused before all of it was there
        answer = connection.response()
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert connection.read_to_end() == b"", "one request, one answer"
    lines = wait_for(lambda: server.log_lines("pyramid_socketio.server"))
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert "injected" not in answer.text


def test_one_byte_at_a_time_is_refused_just_as_well(server: ThreadServer) -> None:
    with Connection(server.port) as connection:
        for byte in b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: b\n":
            connection.send(bytes([byte]))
        assert connection.response().status == 400


def test_H28_upgrade_on_an_ordinary_view(server: ThreadServer) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    began = time.monotonic()
    answer = request(server.port, "POST", "/body", headers, b"abcde")
    assert (answer.status, answer.body) == (200, b"abcde")
    answer = request(server.port, "GET", "/a", UPGRADE)
    assert (answer.status, answer.json["Upgrade"]) == (200, "websocket")
    assert time.monotonic() - began < 1


def test_H29_the_access_log_is_one_line(server: ThreadServer) -> None:
    answer = request(server.port, "GET", "/nothing%0d%0aX-Evil:1%1b?sid=secret")
    assert answer.status == 404
    assert "x-evil" not in answer.headers
    lines = server.log_lines
    (line,) = wait_for(lambda: [line for line in lines("pyramid_socketio.access") if "nothing" in line])
    assert line.isprintable()
    assert "secret" not in line


def test_H31_policy_request_on_the_main_port(server: ThreadServer) -> None:
    with Connection(server.port) as connection:
        connection.send(b"<policy-file-request/>\0")
        assert connection.read_to_end() == b""


def test_H32_other_methods(server: ThreadServer) -> None:
    # The reference has no 405: the codes of the vectors count.
    answer = request(server.port, "DELETE", POLLING)
    assert (answer.status, answer.json["code"]) == (400, 2)
    with PollingSession(server.port) as session:
        for method in ("DELETE", "PUT", "PATCH", "HEAD", "BREW"):
            assert request(server.port, method, session.path).status == 500
        session.join()
        session.post("1")


def test_H34_content_encoding(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        assert request(server.port, "POST", session.path, {"Content-Encoding": "gzip"}, b"41").status == 415
        session.end()


# 9.2 WebSocket handshake


def handshake(**changes: str | None) -> dict[str, str]:
    fields: dict[str, str | None] = {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(handshake(Sec_WebSocket_Key=None), 400, id="V01"),
        pytest.param(handshake(Sec_WebSocket_Key="abcde"), 400, id="V02"),
        pytest.param(handshake(Sec_WebSocket_Key="\xff\xfe"), 400, id="V03"),
        pytest.param(handshake(Sec_WebSocket_Key="MTIzNDU2Nzg5MDEyMzQ1"), 400, id="V04"),
        pytest.param(handshake(Sec_WebSocket_Key=f"{KEY}\r\nSec-WebSocket-Key: {KEY}"), 400, id="V06"),
        pytest.param(handshake(Sec_WebSocket_Version="99"), 426, id="V07"),
        pytest.param(handshake(Sec_WebSocket_Version=None), 426, id="V07 none"),
        pytest.param(handshake(Connection="notupgradeable"), 400, id="V11"),
        pytest.param(
            handshake(
                Sec_WebSocket_Key=None,
                Sec_WebSocket_Version=None,
                Sec_WebSocket_Key1="4 @1 2",
                Sec_WebSocket_Key2="1 2",
            ),
            400,
            id="V12",
        ),
        pytest.param(handshake(Origin="http://evil.example"), 403, id="V16"),
        pytest.param(handshake(Origin="null"), 403, id="V17 null"),
        pytest.param(handshake(Origin="http://127.0.0.1\r\nOrigin: http://127.0.0.1"), 400, id="V19"),
        pytest.param(handshake(Origin="http://127.0.0.1\x7f"), 400, id="V19 control"),
    ],
)
def test_websocket_handshake(server: ThreadServer, headers: dict[str, str], status: int) -> None:
    with Connection(server.port) as connection:
        answer = connection.request("GET", WEBSOCKET, headers)
        assert answer.status == status
        if status == 426:
            assert answer.headers["sec-websocket-version"] == "13, 8, 7"
        connection.read_to_end()


def test_V09_post(server: ThreadServer) -> None:
    # Not a WebSocket then, and transport=websocket without one is code 3 (section 5 of the protocol).
    answer = request(server.port, "POST", WEBSOCKET, UPGRADE, b"")
    assert (answer.status, answer.json["code"]) == (400, 3)


def test_V10_http_1_0(server: ThreadServer) -> None:
    with Connection(server.port) as connection:
        connection.send(encode_request("GET", WEBSOCKET, UPGRADE).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert connection.response().status == 400


def test_V13_V14_extensions_and_protocols_are_not_spoken(server: ThreadServer) -> None:
    headers = {"Sec-WebSocket-Protocol": "a," * 30_000, "Sec-WebSocket-Extensions": "constructor, permessage-deflate"}
    with EngineSocket(server.port, None, headers=headers) as websocket:
        assert not {"sec-websocket-protocol", "sec-websocket-extensions"} & websocket.handshake.headers.keys()


def test_V15_rubbish_behind_the_handshake(server: ThreadServer) -> None:
    with EngineSocket(server.port, None, early=b"test") as websocket:
        assert websocket.close_code() == 1002


def test_frames_right_behind_the_handshake_count(server: ThreadServer) -> None:
    early = frame(TEXT, b"40") + frame(TEXT, b'42["echo",1]')
    with EngineSocket(server.port, None, early=early) as websocket:
        assert websocket.receive_text().startswith("40{")
        assert websocket.event() == ["echo", 1]


# 9.3 WebSocket frames

FRAMES: list[tuple[str, bytes, int | None]] = [
    ("W01 without a mask", frame(TEXT, b"hi", mask=None), 1002),
    ("W02 RSV1", b"\xc1\x82\0\0\0\0hi", 1002),
    ("W02 RSV2", b"\xa1\x82\0\0\0\0hi", 1002),
    ("W02 RSV3", b"\x91\x82\0\0\0\0hi", 1002),
    *((f"W03 opcode {opcode}", frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("W05 fragmented ping", frame(PING, fin=False), 1002),
    ("W06 long ping", frame(PING, b"a" * 126), 1002),
    *(
        (f"W08 close {code}", frame(CLOSE, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    ("W09 close reason not UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ("W10 close of one byte", frame(CLOSE, b"\x03"), 1002),
    ("W11 close", frame(CLOSE, b"\x03\xe8bye"), 1000),
    ("W11 close with the longest reason", frame(CLOSE, b"\x03\xe8" + b"a" * 123), 1000),
    ("W11 close 4000", frame(CLOSE, b"\x0f\xa0"), 4000),
    ("W12 close without a code", frame(CLOSE), None),
    ("W13 continuation of nothing", frame(0, b"a"), 1002),
    ("W14 new message in a message", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    ("W15 text behind close", frame(CLOSE, b"\x03\xe8") + frame(TEXT, b'42["shout",1]') * 100, 1000),
    ("W16 not UTF-8", frame(TEXT, b"4\xff"), 1007),
    ("W17 cut UTF-8", frame(TEXT, b"\xe2\x82"), 1007),
    ("W19 not UTF-8 in the first of two", frame(TEXT, b"4\xff", fin=False), 1007),
    ("W20 length in 2 bytes", b"\x81\xfe\x00\x02\0\0\0\0hi", 1002),
    ("W20 length in 8 bytes", b"\x81\xff\0\0\0\0\0\0\0\x02\0\0\0\0hi", 1002),
    ("W21 negative length", b"\x82\xff\x80\0\0\0\0\0\0\x05\0\0\0\0hello", 1002),
    ("W22 8 GiB", b"\x82\xff\0\0\0\x02\0\0\0\0\0\0\0\0", 1009),
    ("W23 over max_message_size", b"\x81\xff" + (1_000_001).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    (
        "W24 11 fragments",
        frame(BINARY, b"a" * 100_000, fin=False)
        + frame(0, b"a" * 100_000, fin=False) * 9
        + b"\x00\xff\0\0\0\0\0\1\x86\xa0\0\0\0\0",
        1009,
    ),
    ("W25 4097 empty fragments", frame(TEXT, fin=False) + frame(0, fin=False) * 4096, 1008),
]


@pytest.mark.parametrize(("sent", "code"), [pytest.param(*row[1:], id=row[0]) for row in FRAMES])
def test_frames(server: ThreadServer, sent: bytes, code: int | None) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.send(sent)
        assert websocket.close_code() == code


def test_frames_byte_by_byte(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        for byte in frame(TEXT, b'42["echo","x"]') + frame(PING, b"p") + b"\x81\x05":
            websocket.send(bytes([byte]))
        assert websocket.event() == ["echo", "x"]
        assert websocket.receive() == (PONG, b"p")
        assert websocket.close_code() == 1002


def test_W18_a_character_in_two_fragments(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        euro = "€".encode()
        websocket.send_frame(TEXT, b'42["echo","' + euro[:2], fin=False)
        websocket.send_frame(PING, b"between")
        assert websocket.receive() == (PONG, b"between")
        websocket.send_frame(0, euro[2:] + b'"]')
        assert websocket.event() == ["echo", "€"]


@pytest.mark.parametrize("opcode", [PING, PONG, 0, TEXT])
def test_W26_a_flood_does_not_keep_others_waiting(server: ThreadServer, opcode: int) -> None:
    """K3: the control client measures."""
    with EngineSocket(server.port) as websocket:
        if opcode == 0:
            websocket.send_frame(TEXT, b"", fin=False)
        flood = frame(opcode, b"3" if opcode == TEXT else b"") * 20_000
        end = time.monotonic() + 1
        try:
            while time.monotonic() < end:
                websocket.send(flood)
        except (TimeoutError, ConnectionError):
            assert opcode == 0, "only the fragments have a limit"


@pytest.mark.parametrize("reset", [False, True])
def test_W27_the_end_in_the_middle_of_a_frame(server: ThreadServer, reset: bool) -> None:
    ENDED.clear()
    websocket = EngineSocket(server.port)
    websocket.send(frame(TEXT, b'42["echo","x"]')[:9])
    if reset:
        websocket.reset()
    else:
        websocket.close()
    wait_for(lambda: server.has_settled(1))
    assert wait_for(lambda: ENDED) == ["transport error" if reset else "transport close"]
    assert set(server.log_lines()) <= set(server.log_lines("pyramid_socketio.access"))


def test_W29_pings_from_a_client_that_does_not_read(server: ThreadServer) -> None:
    with EngineSocket(server.port, receive_buffer=4096) as websocket:
        websocket.send(frame(PING, b"p" * 125) * 100_000)
        (session,) = [session for session in server.sessions.values() if session.sid == websocket.sid]
        assert session.transport.wire.outbox_bytes <= 127


# 9.4 Engine.IO 4


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param("?EIO=4&transport=tobi", 0, id="E4-01"),
        pytest.param("?EIO=4&transport=constructor", 0, id="E4-02"),
        pytest.param("?EIO=4&transport=__class__&sid=x", 0, id="E4-02 sid"),
        pytest.param("?EIO=4&transport=polling&sid=test", 1, id="E4-03"),
        pytest.param("?EIO=4&transport=polling&sid=__class__", 1, id="E4-04 __class__"),
        pytest.param("?EIO=4&transport=polling&sid=%00", 1, id="E4-04 NUL"),
        pytest.param("?EIO=4&transport=polling&sid=../x", 1, id="E4-04 path"),
        pytest.param("?EIO=4&transport=polling&sid=", 1, id="E4-04 empty"),
        pytest.param("?EIO=4&transport=polling&sid=" + "a" * 8000, 1, id="E4-04 long"),
        pytest.param("?EIO=4&transport=polling&sid=a&sid=b", 3, id="E4-04 twice"),
        pytest.param("?EIO=4&transport=websocket", 3, id="E4-06"),
        pytest.param("?EIO=5&transport=polling", 5, id="E4-07"),
        pytest.param("?EIO=abc&transport=polling", 5, id="E4-07 letters"),
        pytest.param("?EIO=%D9%A4&transport=polling", 5, id="E4-07 Arabic 4"),
        pytest.param("?EIO=4&EIO=3&transport=polling", 3, id="E4-07 twice"),
        pytest.param("?EIO=4&transport=polling&j=abc", 3, id="E4-31"),
        pytest.param("?EIO=4&transport=polling&j=0];alert(1)//", 3, id="E3-11"),
    ],
)
def test_handshakes(server: ThreadServer, path: str, code: int) -> None:
    answer = request(server.port, "GET", f"/socket.io/{path}")
    assert (answer.status, answer.json["code"]) == (400, code)
    assert answer.headers["content-type"] == "application/json"
    assert "alert" not in answer.text


def test_E4_08_a_key_that_ends_with_sid_is_the_applications(server: ThreadServer) -> None:
    for query in ("&basid=1", "&xsid=2&sidx=3"):
        with PollingSession(server.port, POLLING + query) as session:
            session.end()


def test_E4_09_two_polls(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        session.start_poll()
        assert session.gets.is_silent(0.05)
        began = time.monotonic()
        second = request(server.port, "GET", session.path)
        assert (second.status, second.body) == (400, b"")
        assert session.finish_poll() == "1"
        assert time.monotonic() - began < 1
        assert session.is_gone


def test_E4_10_two_posts(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        head = f"POST {session.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n".encode()
        session.posts.send(head + b"4")
        assert session.posts.is_silent(0.05)
        assert request(server.port, "POST", session.path, None, b"6").status == 400
        assert session.is_gone
        session.posts.send(b"0")
        assert session.posts.response().status == 400


@pytest.mark.parametrize("chunked", [False, True])
def test_E4_12_a_post_that_is_too_long(server: ThreadServer, chunked: bool) -> None:
    """413; the vectors say that the session lives."""
    with PollingSession(server.port) as session:
        with Connection(server.port) as connection:
            if chunked:
                connection.send(
                    f"POST {session.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                )
                try:
                    for _ in range(200):
                        connection.send(b"2710\r\n" + b"4" * 10_000 + b"\r\n")
                except OSError:
                    pass
            else:
                connection.send(encode_request("POST", session.path, {"Content-Length": "1000001"}))
            answer = connection.response()
            assert (answer.status, answer.body, answer.headers["connection"]) == (413, b"", "close")
        size = "too many" if chunked else "1000001"
        line = f"refused a POST of {size} bytes, over socketio.max_message_size = 1000000"
        assert f"session {session.sid[:6]}: {line}" in server.log_lines()
        session.join()
        session.end()


def test_the_longest_post(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        session.join()
        packet = f'42["echo","{"x" * 999_987}"]'
        assert len(packet) == 1_000_000
        session.post(packet)
        assert session.poll() == packet
        session.end()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="E4-13"),
        pytest.param(b"\x1e", id="E4-14"),
        pytest.param(b"6\x1e", id="E4-14 behind"),
        pytest.param(b"\x1e6", id="E4-14 before"),
        pytest.param(b"9abc", id="E4-15 9"),
        pytest.param(b"x", id="E4-15 x"),
        pytest.param(b"-1", id="E4-15 -1"),
        pytest.param("²".encode(), id="E4-15 superscript"),
        pytest.param("٢".encode(), id="E4-15 Arabic"),
        pytest.param(b"b!!!notbase64", id="E4-16"),
        pytest.param(b"bAAA", id="E4-16 padding"),
        pytest.param(b"4\xff", id="E4-18"),
        pytest.param(b"6\x1e" * 1000 + b"6", id="too many packets"),
    ],
)
def test_bodies(server: ThreadServer, body: bytes) -> None:
    with PollingSession(server.port) as session:
        answer = session.try_post(body)
        assert (answer.status, answer.json["code"]) == (400, 3)
        assert session.is_gone


def test_E4_11_binary_content_type(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        assert session.try_post(b"\x04\x01", {"Content-Type": "application/octet-stream"}).status == 400
        assert session.is_gone


def test_E4_20_pongs_that_nobody_asked_for(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.send(frame(TEXT, b"3") * 10_000)
        websocket.emit("echo", 1)
        assert websocket.event() == ["echo", 1]


def test_E4_21_a_message_in_place_of_the_probe(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        with session.candidate() as candidate:
            candidate.send_text("4hello")
            assert candidate.close_code() == 1002
        session.join()
        session.end()


def test_E4_22_a_probe_and_then_nothing(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        with session.candidate() as candidate:
            candidate.send_text("2probe")
            assert candidate.receive_text() == "3probe"
            assert candidate.close_code() == 1008
        session.join()
        session.end()


def test_E4_23_a_second_candidate(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        with session.candidate() as candidate, session.candidate() as second:
            assert second.close_code() == 1002
            candidate.send_text("2probe")
            assert candidate.receive_text() == "3probe"
        session.join()
        session.end()


def test_E4_24_websocket_of_an_unknown_session(server: ThreadServer) -> None:
    answer = request(server.port, "GET", f"{WEBSOCKET}&sid=test", UPGRADE)
    assert (answer.status, answer.body) == (400, b"Session ID unknown")


def test_E4_25_packets_that_mean_nothing(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        for packet in ("5", "6", "0{}", "6xyz", "5probe"):
            websocket.send_text(packet)
        websocket.emit("echo", 1)
        assert websocket.event() == ["echo", 1]


def test_E4_28_upgrade_headers_with_polling(server: ThreadServer) -> None:
    """The vectors say: accepted and closed at once."""
    with Connection(server.port) as connection:
        assert connection.request("GET", POLLING, UPGRADE).status == 101
        assert connection.read_to_end() == b"\x88\x02\x03\xea"
    with PollingSession(server.port) as session:
        with Connection(server.port) as connection:
            assert connection.request("GET", session.path, UPGRADE).status == 101
            assert connection.read_to_end() == b"\x88\x02\x03\xea"
        session.join()
        session.end()


def test_E4_30_reset_while_a_poll_waits(server: ThreadServer) -> None:
    ENDED.clear()
    session = PollingSession(server.port)
    session.join()
    session.start_poll()
    assert session.gets.is_silent(0.05)
    session.gets.reset()
    assert wait_for(lambda: ENDED, timeout=1) == ["transport error"]
    assert session.is_gone
    session.posts.close()


def test_reset_in_the_middle_of_a_post(server: ThreadServer) -> None:
    session = PollingSession(server.port)
    session.posts.send(f"POST {session.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4".encode())
    assert session.posts.is_silent(0.05)
    session.posts.reset()
    wait_for(lambda: session.is_gone, timeout=1)
    session.gets.close()


def test_the_log_says_how_large_a_message_was(server: ThreadServer) -> None:
    limit = "over socketio.max_message_size = 1000000"
    with EngineSocket(server.port) as websocket:
        websocket.send(b"\x81\xff" + (1_000_001).to_bytes(8, "big") + b"\0\0\0\0")
        assert websocket.close_code() == 1009
        assert f"session {websocket.sid[:6]}: a message of 1000001 bytes, {limit}" in server.log_lines()
    with EngineSocket(server.port) as websocket:
        websocket.send_text('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        websocket.send_frame(BINARY, 999_990 * b"x")
        websocket.send_frame(BINARY, 99 * b"x")
        assert websocket.close_code() == 1009
        assert server.log_lines()[-1].startswith(f"session {websocket.sid[:6]}: a packet with attachments of 1000")
        assert server.log_lines()[-1].endswith(limit)


@pytest.mark.parametrize(
    ("query", "who"), [("EIO=4", " of revision 4"), ("EIO=3", " of revision 2"), ("EIO=99", "")], ids=["4", "2", "none"]
)
def test_the_log_says_which_setting_keeps_a_transport_out(query: str, who: str) -> None:
    with ThreadServer(application(transports="websocket")) as server:
        answer = request(server.port, "GET", f"/socket.io/?{query}&transport=polling")
        assert answer.json == {"code": 0, "message": "Transport unknown"}
        (record,) = [record for record in server.records if record.levelname == "WARNING"]
        why = f"transport=polling{who} is not one of socketio.transports = websocket"
        assert record.getMessage() == f"refused /socket.io/ of 127.0.0.1: {why}"


def test_a_session_whose_next_transport_is_kept_out() -> None:
    with ThreadServer(application(transports="polling xhr-polling")) as server:
        sid = request(server.port, "GET", "/socket.io/?EIO=4&transport=polling").text.split('"')[3]
        request(server.port, "GET", f"/socket.io/?EIO=4&transport=websocket&sid={sid}", UPGRADE)
        classic = request(server.port, "GET", "/socket.io/1/").text.partition(":")[0]
        request(server.port, "GET", f"/socket.io/1/jsonp-polling/{classic}?i=0")
        of = "is not one of socketio.transports = polling xhr-polling"
        assert [record.getMessage() for record in server.records if record.levelname == "WARNING"] == [
            f"refused /socket.io/ of 127.0.0.1: transport=websocket of revision 4 {of}",
            f"refused /socket.io/1/jsonp-polling/{classic[:6]} of 127.0.0.1: jsonp-polling of revision 0.9 {of}",
        ]


def test_what_a_proxy_does_wrong_is_a_warning_once() -> None:
    with ThreadServer(application()) as server:
        sid = request(server.port, "GET", "/socket.io/1/").text.partition(":")[0]
        paths = {
            "/socket.io/?EIO=4&transport=polling": {"Origin": "http://a.example"},
            "/socket.io/?EIO=4&transport=websocket": {},
            "/socket.io/1/": {"Origin": "http://b.example"},
            f"/socket.io/1/websocket/{sid}": {},
        }
        for _ in range(2):
            for path, headers in paths.items():
                assert request(server.port, "GET", path, headers).status in (400, 403)
        refusals = [record for record in server.records if record.getMessage().startswith("refused ")]
        assert [record.levelname for record in refusals] == ["WARNING"] * 4 + ["INFO"] * 4
        assert all("proxy in front has to pass" in record.getMessage() for record in refusals)


def test_warnings_of_origins_that_clients_think_of_end() -> None:
    with ThreadServer(application()) as server, Connection(server.port) as client:
        for number in range(150):
            origin = {"Origin": f"http://{number}.example"}
            assert client.request("GET", "/socket.io/?EIO=4&transport=polling", origin).status == 403
            assert client.request("GET", "/socket.io/?EIO=9&transport=polling").status == 400
        warnings = [record.getMessage() for record in server.records if record.levelname == "WARNING"]
        assert sum("EIO=9" in text for text in warnings) == 150
        assert sum("origin http://" in text for text in warnings) == 100
        assert sum(text.startswith("refusals for reasons that are new") for text in warnings) == 1


@pytest.mark.parametrize(
    ("query", "level", "why"),
    [
        ("EIO=99&transport=polling", "WARNING", "EIO=99 is not one of socketio.revisions = 0.6 0.9 2 4"),
        (
            "EIO=4&transport=tobi%0A",
            "INFO",
            "transport=tobi\\n of revision 4 is not one of socketio.transports = polling websocket",
        ),
        ("EIO=4&transport=htmlfile", "INFO", "revision 4 (clients 3.x and 4.x) has no transport htmlfile"),
        ("EIO=99&transport=htmlfile", "INFO", "an unknown revision has no transport htmlfile"),
        ("EIO=4", "INFO", "transport= of revision 4 is not one of socketio.transports = polling websocket"),
    ],
)
def test_the_log_says_what_to_do_about_a_refusal(server: ThreadServer, query: str, level: str, why: str) -> None:
    assert request(server.port, "GET", f"/socket.io/?{query}").status == 400
    (record,) = [record for record in server.records if record.name == "pyramid_socketio.engine"]
    assert record.levelname == level
    assert record.getMessage().startswith(f"refused /socket.io/ of 127.0.0.1: {why}")


# 9.6 Socket.IO 5

SOCKETIO: list[tuple[str, list[str | bytes], int]] = [
    ("S5-01 empty message", ["4"], 1002),
    ("S5-02 type 9", ["49"], 1002),
    ("S5-02 type 7", ['47["a"]'], 1002),
    ("S5-02 x", ["4x"], 1002),
    ("S5-04 connected twice", ["40"], 1002),
    ("S5-05 text", ['40/admin,"invalid"'], 1002),
    ("S5-05 array", ["40/admin,[]"], 1002),
    ("S5-05 cut", ["40/admin,{"], 1002),
    ("S5-09 with data", ["41/control,{}"], 1002),
    ("S5-09 not joined", ["41/other,"], 1002),
    ("S5-10 name is an object", ['42[{"a":1}]'], 1002),
    ("S5-10 name is an array", ["42[[1]]"], 1002),
    ("S5-10 no name", ["42[]"], 1002),
    ("S5-10 no array", ["42{}"], 1002),
    ("S5-10 nothing", ["42"], 1002),
    ("S5-11 connect", ['42["connect"]'], 1002),
    ("S5-11 disconnect", ['42["disconnect","123"]'], 1002),
    ("S5-11 connect_error", ['42["connect_error"]'], 1002),
    ("S5-11 disconnecting", ['42["disconnecting"]'], 1002),
    ("S5-12 newListener", ['42["newListener"]'], 1002),
    ("S5-13 CONNECT_ERROR", ['44{"message":"x"}'], 1002),
    ("S5-14 no array", ["43{}"], 1002),
    ("S5-17 endless id", ["42" + "1" * 400 + '["a"]'], 1002),
    ("S5-17 id beyond 2^53", ['429007199254740993["a"]'], 1002),
    ("S5-18 superscript id", ['42²["a"]'], 1002),
    ("S5-20 11 attachments", ['4511-["x"]'], 1008),
    ("S5-21 12 digits", ['45999999999999-["x"]'], 1008),
    ("S5-21 5000 digits", ["45" + "9" * 5000 + '-["x"]'], 1002),
    ("S5-22 no dash", ['451["x"]'], 1002),
    *(
        (f"S5-23 num {num}", ['451-["x",{"_placeholder":true%s}]' % num, b"x"], 1002)  # noqa: UP031
        for num in ("", *(f',"num":{value}' for value in ("-1", "1", '"0"', '"splice"', "0.5", "true", "null")))
    ),
    ("S5-25 text in place of an attachment", ['451-["x",{"_placeholder":true,"num":0}]', '42["a"]'], 1002),
    ("S5-25 attachment of nothing", [b"x"], 1002),
    ("S5-26 never joined", ['451-/never,["x",{"_placeholder":true,"num":0}]'], 1002),
    (
        "S5-28 attachments over max_message_size",
        ['452-["x",{"_placeholder":true,"num":0},1]', b"x" * 999_990, b"x" * 99],
        1009,
    ),
    ("S5-29 deep", ['42["a",' + "[" * 100_000], 1002),
    ("S5-29 deep and closed", ['42["a",' + "[" * 10_000 + "]" * 10_001], 1002),
    ("S5-30 NaN", ['42["shout",NaN]'], 1002),
    ("S5-30 Infinity", ['42["shout",Infinity]'], 1002),
    ("S5-30 1e999", ['42["shout",1e999]'], 1002),
    ("S5-32 5000 digits", ['42["a",' + "9" * 5000 + "]"], 1002),
    ("E4-19 ping", ["2"], 1002),
    ("E4-27 empty", [""], 1002),
    ("binary text frame", ["b!!!"], 1002),
]


@pytest.mark.parametrize(("sent", "code"), [pytest.param(*row[1:], id=row[0]) for row in SOCKETIO])
def test_packets(server: ThreadServer, sent: list[str | bytes], code: int) -> None:
    with EngineSocket(server.port) as websocket, EngineSocket(server.port) as other:
        for message in sent:
            if isinstance(message, bytes):
                websocket.send_frame(BINARY, message)
            else:
                websocket.send_text(message)
        assert websocket.close_code() == code
        other.emit("echo", "alive")
        assert other.event() == ["echo", "alive"]


# By POST: 400 and the end, but for two kinds of packets that can be read. What the vectors record counts for them.

#: Rule 5 of section 10.4: the POST is answered like a good one, and the session ends in order.
VIOLATIONS = {"S5-04 connected twice", "S5-09 not joined", "S5-13 CONNECT_ERROR", "S5-26 never joined"}

REFUSED = [
    pytest.param(messages, id=name)
    for name, messages, code in SOCKETIO
    if name not in VIOLATIONS | {"E4-19 ping"} and code != 1009
]


def payload(messages: list[str | bytes]) -> bytes:
    packets = [f"b{base64.b64encode(item).decode()}" if isinstance(item, bytes) else item for item in messages]
    return "\x1e".join(packets).encode()


def start_waiting_poll(server: ThreadServer, session: PollingSession) -> None:
    session.start_poll()
    wait_for(lambda: server.sessions[session.sid].transport.reachable)


@pytest.mark.parametrize("messages", REFUSED)
def test_packets_by_post(server: ThreadServer, messages: list[str | bytes]) -> None:
    ENDED.clear()
    with PollingSession(server.port) as session:
        session.join()
        answer = session.try_post(payload(messages))
        assert (answer.status, answer.json) == (400, {"code": 3, "message": "Bad request"})
        assert session.is_gone
    assert wait_for(lambda: ENDED)[0] in ("protocol error", "limit exceeded")


def test_packets_by_post_while_a_poll_waits(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        session.join()
        start_waiting_poll(server, session)
        assert session.try_post(b"4x").status == 400
        assert session.finish_poll() == "1"
        assert session.is_gone


def test_packets_by_form(server: ThreadServer) -> None:
    path = f"{POLLING}&j=0"
    opened = request(server.port, "GET", path).text
    path += "&sid=" + json.loads(json.loads(opened[len("___eio[0](") : -len(");")])[1:])["sid"]
    answer = request(server.port, "POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, b"d=4x")
    assert (answer.status, answer.json["code"]) == (400, 3)
    answer = request(server.port, "GET", path)
    assert (answer.status, answer.json["code"]) == (400, 1)


@pytest.mark.parametrize("bad", ["4x", "x"])
def test_what_came_before_a_bad_packet_counts(server: ThreadServer, bad: str) -> None:
    with EngineSocket(server.port) as other, PollingSession(server.port) as session:
        session.join()
        assert session.try_post(payload(['42["shout",1]', "3", bad, '42["shout",2]'])).status == 400
        assert other.event() == ["shouted", 1]
        assert session.is_gone
        other.emit("echo", "alive")
        assert other.event() == ["echo", "alive"]


def test_S5_28_attachments_over_max_message_size_by_post(server: ThreadServer) -> None:
    with PollingSession(server.port) as session:
        session.join()
        session.post('452-["x",{"_placeholder":true,"num":0},1]', f"b{base64.b64encode(b'x' * 700_000).decode()}")
        assert session.try_post(payload([b"x" * 300_000])).status == 413
        assert session.is_gone


@pytest.mark.parametrize("waits", [True, False])
def test_an_end_that_the_application_wants_is_no_bad_request(server: ThreadServer, waits: bool) -> None:
    with PollingSession(server.port) as session:
        session.join()
        if waits:
            start_waiting_poll(server, session)
        session.post('42["end_session"]', '42["echo",1]', "3")
        assert (session.finish_poll() if waits else session.poll()) == ("1" if waits else "6\x1e1")
        assert session.is_gone


def test_E4_19_a_ping_by_post(server: ThreadServer) -> None:
    with EngineSocket(server.port) as other, PollingSession(server.port) as session:
        session.join()
        session.post('42["shout",1]', "2", '42["shout",2]')
        assert session.is_gone
        assert other.event() == ["shouted", 1]
        other.emit("echo", "alive")
        assert other.event() == ["echo", "alive"]


def test_nothing_prolongs_a_session_that_is_over() -> None:
    """A client that does not fetch its last packets has a time for that, whatever it posts."""
    with ThreadServer(application(ping_interval="5", ping_timeout="10")) as server:
        with PollingSession(server.port) as session:
            session.join()
            session.post("41/other,")
            last_call = server.sessions[session.sid]._timer
            session.post("3")
            assert server.sessions[session.sid]._timer is last_call
            assert last_call.callback is not None
            assert session.poll() == "6\x1e1"
            assert session.is_gone
        wait_for(lambda: not len(server.socketio.timers))


@pytest.mark.parametrize("messages", [pytest.param(row[1], id=row[0]) for row in SOCKETIO if row[0] in VIOLATIONS])
def test_violations_by_post(server: ThreadServer, messages: list[str | bytes]) -> None:
    ENDED.clear()
    with PollingSession(server.port) as session:
        session.join()
        session.post(*payload(messages).decode().split("\x1e"))
        assert session.poll() == "6\x1e1"
        assert session.is_gone
    assert wait_for(lambda: ENDED) == ["protocol error"]


@pytest.mark.parametrize(
    "packet", ['42["a"]', "43[]", "41", '44{"message":"x"}', '451-["x",{"_placeholder":true,"num":0}]', "42/never,[1]"]
)
@pytest.mark.parametrize("polling", [True, False])
def test_S5_03_before_connect(server: ThreadServer, packet: str, polling: bool) -> None:
    if polling:
        with PollingSession(server.port) as session:
            session.post(packet, "40", "2")
            assert session.poll() == "6\x1e1"
            assert session.is_gone
        return
    with EngineSocket(server.port, None) as websocket:
        websocket.send_text(packet)
        assert websocket.close_code() == 1002


@pytest.mark.parametrize(
    "namespace",
    ["/nope", "/" + "a" * 300, "/" + "a" * 10_000, "/../etc", "/chat?token=x", "/%2e%2e", "/__class__", "//"],
)
def test_S5_06_unknown_namespaces(server: ThreadServer, namespace: str) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.send_text(f"40{namespace},")
        assert websocket.receive_text() == f'44{namespace},{{"message":"Invalid namespace"}}'
        websocket.emit("echo", 1)
        assert websocket.event() == ["echo", 1]


def test_S5_07_too_many_unknown_namespaces(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        for number in range(33):
            websocket.send_text(f"40/nope{number},")
        assert websocket.close_code() == 1008


def test_S5_07_too_many_namespaces(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        for number in range(31):
            websocket.join(f"/many/{number}")
        websocket.send_text("40/many/31,")
        assert websocket.close_code() == 1008


@pytest.mark.parametrize("packet", ['43["x"]', '43999["x"]', "430[]"])
def test_S5_14_S5_15_acks_of_nothing(server: ThreadServer, packet: str) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.send_text(packet)
        websocket.emit("echo", 1)
        assert websocket.event() == ["echo", 1]


@pytest.mark.parametrize("name", ["error", "__proto__", "a" * 10_000, "", "msg_echo", "\x1b[31m", "💥"])
def test_S5_12_S5_33_unknown_events(server: ThreadServer, name: str) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.emit(name, "x")
        event, error = websocket.event()
        assert (event, error["type"], error["error"]) == ("message", "error", "unknown_command")
        assert len(error["msg"]) < 300


def test_S5_24_no_attachments(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.send_text('450-["echo","x"]')
        websocket.send_frame(BINARY, b"x")
        assert websocket.close_code() == 1002


def test_S5_27_an_event_that_never_gets_its_attachments(server: ThreadServer) -> None:
    for _ in range(50):
        with EngineSocket(server.port) as websocket:
            websocket.send_text('452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
            websocket.send_frame(BINARY, b"x" * 1000)


UNFINISHED = '452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'


@pytest.mark.parametrize("polling", [True, False])
def test_T24_attachments_that_do_not_come(polling: bool) -> None:
    ENDED.clear()
    with ThreadServer(application(ping_timeout="0.1")) as server:
        if polling:
            with PollingSession(server.port) as session:
                session.join()
                session.post(UNFINISHED, "bAAAA")
                assert session.poll() in ("1", "6\x1e1")
                assert session.is_gone
        else:
            with EngineSocket(server.port) as websocket:
                websocket.send_text(UNFINISHED)
                websocket.send_frame(BINARY, b"x")
                assert websocket.close_code() == 1008
        assert wait_for(lambda: ENDED) == ["limit exceeded"]
        why = "attachments are missing after socketio.ping_timeout = 0.1 s"
        assert [line for line in server.log_lines() if line.endswith(why)]
        wait_for(lambda: not len(server.socketio.timers))


def test_T24_time_runs_while_attachments_are_missing(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        connection = server.sessions[websocket.sid].listener
        for _ in range(2):
            assert connection._attachments_timer is None
            websocket.send_text(UNFINISHED)
            running = wait_for(lambda: connection._attachments_timer)
            websocket.send_frame(BINARY, b"x")
            websocket.send_frame(PING)
            assert websocket.receive() == (PONG, b"")
            assert connection._attachments_timer is running, "they have that time all together"
            websocket.send_frame(BINARY, b"y")
            assert websocket.receive_text() == UNFINISHED
            assert websocket.receive() == (BINARY, b"x")
            assert websocket.receive() == (BINARY, b"y")
            assert running.callback is None


def test_T24_no_time_runs_while_the_server_does_not_read() -> None:
    RELEASE.clear()
    with ThreadServer(application(max_inbox_packets="1")) as server, EngineSocket(server.port) as websocket:
        connection = server.sessions[websocket.sid].listener
        texts = ['42["hold"]', *['42["echo",1]'] * 3, UNFINISHED]
        websocket.send(b"".join(frame(TEXT, text.encode()) for text in texts))
        wait_for(lambda: connection._pending)
        assert server.call(lambda: connection._full and connection._attachments_timer is None)
        server.call(RELEASE.set)
        wait_for(lambda: connection._attachments_timer)
        websocket.send_frame(BINARY, b"x")
        websocket.send_frame(BINARY, b"y")
        assert [websocket.event() for _ in range(3)] == [["echo", 1]] * 3
        assert websocket.receive_text() == UNFINISHED


def test_S5_31_lone_surrogates_are_echoed(server: ThreadServer) -> None:
    with EngineSocket(server.port) as websocket:
        websocket.send_text('42["echo","\\ud83d"]')
        assert websocket.event() == ["echo", "\ud83d"]


# 9.9 Dispatch


def dispatch(server: ThreadServer, *packets: str) -> Any:
    with EngineSocket(server.port) as websocket:
        for packet in packets:
            websocket.send_text(packet)
        event, answer = websocket.event()
        assert event == "message"
        websocket.emit("echo", "alive")
        assert websocket.event() == ["echo", "alive"]
        return answer


@pytest.mark.parametrize(
    "kind",
    [
        *("__init__", "__class__", "__call__", "__delattr__", "__reduce__", "__dir__"),
        *("", "msg_hello", "msg___init__", "number", "hello\n", "ｈello", "HELLO"),
        *("request", "io", "session", "kill", "spawn", "broadcast", "disconnect", "connect"),
    ],
)
def test_D02_D03_D09_types_that_are_no_handler(server: ThreadServer, kind: str) -> None:
    answer = dispatch(server, "42" + json.dumps(["message", {"type": kind, "data": "io"}]))
    assert (answer["type"], answer["error"]) == ("error", "unknown_command")
    assert not Target.evaluated


@pytest.mark.parametrize(
    "data",
    ['{"type":null}', '{"type":1}', '{"type":true}', '{"type":[]}', '{"type":{}}', "{}", "[]", '"text"', "5", "null"],
)
def test_D05_D06_no_type(server: ThreadServer, data: str) -> None:
    answer = dispatch(server, f'42["message",{data}]')
    assert (answer["type"], answer["error"]) == ("error", "bad_request")


def test_D06_not_one_argument(server: ThreadServer) -> None:
    assert dispatch(server, '42["message"]')["error"] == "bad_request"
    assert dispatch(server, '42["message",{"type":"hello"},1]')["error"] == "bad_request"


def test_event_names_that_are_numbers(server: ThreadServer) -> None:
    assert dispatch(server, '42[5,"x"]')["error"] == "bad_request"


@pytest.mark.parametrize("packet", ['42["hello"]', '42["hello",1,2,3]', '42["fails"]'])
def test_D08_handlers_that_fail(server: ThreadServer, packet: str) -> None:
    answer = dispatch(server, packet)
    assert answer["error"] == "internal_error"
    assert "secret" not in str(answer) and "argument" not in str(answer)
    assert len(server.failures) == 1
    server.forget()


def test_D11_no_keywords(server: ThreadServer) -> None:
    msg = {"type": "hello", "self": 1, "data": {"self": 1}}
    assert dispatch(server, f'42["message",{json.dumps(msg)}]') == {"type": "hello", "got": msg}
