"""The Flash policy: its text, how the request is recognised, and the listener on a port of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import gevent
import pytest
from gevent import socket

from pyramid_socketio.server import flash_policy
from pyramid_socketio.server.flash_policy import REQUEST, PolicyListener, is_policy_request, policy_file

HEAD = (
    b'<?xml version="1.0"?>'
    b'<!DOCTYPE cross-domain-policy SYSTEM "http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd">'
)
POLICY = policy_file(["https://example.com"], [8080])

# What policyfile 0.0.4, the module of Socket.IO 0.7 to 0.9, writes for the same origins; it sends no NUL.
REFERENCE = [
    (["*"], [8443], b'<allow-access-from domain="*" to-ports="8443"/>'),
    (["http://example.com:8080"], [8080], b'<allow-access-from domain="example.com" to-ports="8080"/>'),
    (
        ["http://example.com", "http://*.example.org"],
        [80],
        b'<allow-access-from domain="example.com" to-ports="80"/>'
        b'<allow-access-from domain="*.example.org" to-ports="80"/>',
    ),
]


@pytest.mark.parametrize(("origins", "ports", "rules"), REFERENCE)
def test_text_is_that_of_the_reference(origins: list[str], ports: list[int], rules: bytes) -> None:
    assert policy_file(origins, ports) == HEAD + b"<cross-domain-policy>" + rules + b"</cross-domain-policy>\0"


def rules_of(policy: bytes) -> list[tuple[str | None, str | None]]:
    document = ElementTree.fromstring(policy.removesuffix(b"\0"))
    return [(rule.get("domain"), rule.get("to-ports")) for rule in document]


@pytest.mark.parametrize(
    ("origins", "ports", "rules"),
    [
        ([], [80], []),
        (["null"], [80], []),
        (["https://a.example", "http://a.example:81", "null"], [81, 80, 81], [("a.example", "80,81")]),
        (["https://a.example", "*"], [80], [("*", "80")]),
        (['https://a"<&.example'], [80], [('a"<&.example', "80")]),
        (["https://[::1]:8080"], [80], [("::1", "80")]),
    ],
)
def test_text_allows_no_more_than_the_origins(
    origins: list[str], ports: list[int], rules: list[tuple[str, str]]
) -> None:
    assert rules_of(policy_file(origins, ports)) == rules


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"", None),
        (b"<", None),
        (b"<policy-file-", None),
        (b"<policy-file-request/>", None),
        (REQUEST, True),
        (REQUEST + b"GET / HTTP/1.1\r\n\r\n", False),
        (b"<policy-file-request />\0", False),
        (b"<POLICY-FILE-REQUEST/>\0", False),
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b" " + REQUEST, False),
        (b"<policy-file-request/>\n", False),
    ],
)
def test_recognition(data: bytes, verdict: bool | None) -> None:
    assert is_policy_request(data) is verdict


@pytest.fixture
def listener() -> Iterator[PolicyListener]:
    listener = PolicyListener(("127.0.0.1", 0), POLICY)
    assert listener.try_start()
    yield listener
    listener.stop(timeout=0)


def connect(listener: PolicyListener) -> socket.socket:
    return socket.create_connection((listener.server_host, listener.server_port), timeout=10)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the other side closes; closing on unread bytes resets the connection, which ends it as well."""
    data = b""
    try:
        while received := sock.recv(4096):
            data += received
    except ConnectionResetError:
        pass
    return data


def test_answers_and_closes(listener: PolicyListener) -> None:
    with connect(listener) as sock:
        sock.sendall(REQUEST)
        assert read_all(sock) == POLICY


def test_answers_a_request_in_pieces(listener: PolicyListener) -> None:
    with connect(listener) as sock:
        for byte in REQUEST:
            sock.sendall(bytes([byte]))
            gevent.sleep(0)
        assert read_all(sock) == POLICY


@pytest.mark.parametrize("garbage", [b"x" * 128, b"<" * 128, b"<policy-file-request />" * 50_000], ids=len)
def test_closes_on_anything_else(listener: PolicyListener, garbage: bytes) -> None:
    with connect(listener) as sock:
        try:
            sock.sendall(garbage)
        except OSError:
            pass
        assert read_all(sock) == b""


def test_closes_when_the_player_goes(listener: PolicyListener) -> None:
    with connect(listener) as sock:
        sock.sendall(b"<pol")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b""


def test_time_limit_is_for_the_whole_exchange(listener: PolicyListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_policy, "TIME_LIMIT", 0.1)

    def dribble(sock: socket.socket) -> None:
        for byte in REQUEST * 100:
            gevent.sleep(0.01)
            sock.sendall(bytes([byte]))

    with connect(listener) as sock:
        greenlet = gevent.spawn(dribble, sock)
        assert read_all(sock) == b""
        greenlet.kill()


def test_a_limited_number_at_a_time(monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., object]) -> None:
    monkeypatch.setattr(flash_policy, "MAX_CONNECTIONS", 2)
    listener = PolicyListener(("127.0.0.1", 0), POLICY)
    assert listener.try_start()
    waiting = [connect(listener) for _ in range(3)]
    with gevent.Timeout(10):
        while listener.pool.free_count():
            gevent.sleep(0.001)
    waiting[2].sendall(REQUEST)
    gevent.sleep(0.01)
    assert len(listener.pool) == 2
    waiting[0].close()
    assert read_all(waiting[2]) == POLICY
    for sock in waiting:
        sock.close()
    listener.stop(timeout=0)


def test_an_occupied_port_is_one_warning(listener: PolicyListener, caplog: pytest.LogCaptureFixture) -> None:
    second = PolicyListener(listener.address, POLICY)
    assert not second.try_start()
    assert not second.started
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(listener.server_port) in record.getMessage() and "\n" not in record.getMessage()
    assert record.exc_info is None
