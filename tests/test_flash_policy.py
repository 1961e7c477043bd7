"""The Flash policy: its text, how the request is recognised, and the listener on a port of its own."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import gevent
import pytest
from gevent import socket
from pyramid.config import Configurator

from pyramid_socketio import SocketIOServer
from pyramid_socketio.server import flash_policy
from pyramid_socketio.server.flash_policy import REQUEST, PolicyListener, is_policy_request, policy_file
from tests.vectorfiles import load

POLICY = policy_file(["https://example.com"], [8080])

VECTORS = load("flash-policy")


def bytes_of(recorded: dict[str, str]) -> bytes:
    return base64.b64decode(recorded["utf8_base64"])


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["name"])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    chosen: dict[str, Any] = request.param
    return chosen


def policy_of(vector: dict[str, Any]) -> tuple[bytes, bytes]:
    """What the reference writes, and ours for the same origins.

    Theirs may allow every port. Ours always names those that are served: 8080 where the reference names none.
    """
    origins = vector["origins"] or "*:*"  # the default
    rules = [rule.split(":") for rule in ([origins] if isinstance(origins, str) else origins)]
    (port,) = [int(port) for _, port in rules if port != "*"] or [8080]
    reference = bytes_of(vector["reply"]).replace(b'to-ports="*"', b'to-ports="%d"' % port)
    return reference, policy_file([host if host == "*" else f"http://{host}" for host, _ in rules], [port])


def test_text_is_that_of_the_reference(vector: dict[str, Any]) -> None:
    reference, ours = policy_of(vector)
    # 0.6.18 writes every element on a line of its own. No reference sends the NUL.
    assert ours == reference.replace(b"\n", b"") + b"\0"
    assert rules_of(ours) == rules_of(reference)


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


def connect(listener: Any) -> socket.socket:
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


def test_answers_the_recorded_players_and_closes(vector: dict[str, Any]) -> None:
    """When they have asked: the reference does not wait for that on this port."""
    assert vector["connection_closed_after_reply"]
    _, policy = policy_of(vector)
    assert is_policy_request(bytes_of(vector["request"]))
    listener = PolicyListener(("127.0.0.1", 0), policy)
    assert listener.try_start()
    with connect(listener) as sock:
        sock.sendall(bytes_of(vector["request"]))
        assert read_all(sock) == policy
    listener.stop(timeout=0)


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


# On the main port, where HTTP is spoken as well


@pytest.fixture
def server() -> Iterator[SocketIOServer]:
    with Configurator(settings={"socketio.allowed_origins": "*"}) as config:
        config.include("pyramid_socketio")
    server = SocketIOServer(
        ("127.0.0.1", 0), config.make_wsgi_app(), policy_server=True, policy_listener=("127.0.0.1", 0)
    )
    server.start()
    yield server
    server.shutdown()


#: The reference compares the first chunk only, and takes these for HTTP: ours waits for the rest.
WAITED_FOR = {"without the NUL", "split into two chunks"}


@pytest.mark.parametrize(
    "recorded",
    [pytest.param(recorded, id=recorded["name"]) for recorded in load("flash-policy", "inline_recognition")],
)
def test_recognition_on_the_main_port(server: SocketIOServer, recorded: dict[str, Any]) -> None:
    name = recorded["name"]
    chunks = [bytes_of(chunk) for chunk in recorded["chunks"]]
    verdict = is_policy_request(b"".join(chunks))
    if name in WAITED_FOR:
        assert is_policy_request(chunks[0]) is None
    else:
        assert verdict is (recorded["reply"] is not None)
    with connect(server) as sock:
        for chunk in chunks:
            sock.sendall(chunk)
            gevent.sleep(0)
        if name in ("without the NUL", "leading space"):
            # Either might go on, as a policy request or as one of HTTP.
            sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
    if verdict:
        reference = bytes_of(recorded["reply"] or VECTORS[0]["reply"])
        assert answer == reference.replace(b'to-ports="*"', b'to-ports="%d"' % server.server_port) + b"\0"
    elif name == "HTTP request":
        assert answer.startswith(b"HTTP/1.1 400 "), "it names no host"
    else:
        assert answer == b""
