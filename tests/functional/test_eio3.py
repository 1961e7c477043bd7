"""Clients 1.x and 2.x, by raw bytes: what differs from the newer revision (protocol reference for Engine.IO 3)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden

from pyramid_socketio import SocketIOContext
from tests.conftest import wait_for
from tests.functional.raw import BINARY, Connection, Response, WebSocket, request
from tests.functional.serving import ThreadServer

PATH = "/socket.io/?EIO=3&transport=polling"


class Main(SocketIOContext):
    ended: list[str] = []  # noqa: RUF012

    def msg_echo(self, *args: Any) -> Any:
        self.emit("back", *args)
        return args

    def msg_about(self) -> Any:
        return [self.io.revision, self.io.transport]

    def msg_ask(self) -> None:
        self.emit("answered", self.call("question"))

    def msg_all(self, value: Any) -> None:
        self.broadcast_event("all", value)

    def msg_bye(self) -> None:
        self.io.disconnect()

    def disconnect(self) -> None:
        self.ended.append(str(self.disconnect_reason))


class Chat(Main):
    def connect(self) -> None:
        auth = self.request.environ["pyramid_socketio.auth"]
        if auth == {"token": "bad"}:
            raise HTTPForbidden
        self.emit("auth", auth)


def app(*contexts: tuple[type[SocketIOContext], str], **settings: Any) -> Any:
    with Configurator(settings={f"socketio.{name}": value for name, value in settings.items()}) as config:
        config.include("pyramid_socketio")
        for context, namespace in contexts:
            config.add_socketio_context(context, namespace)
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    with ThreadServer(app((Main, "/"), (Chat, "/chat"))) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_ended(server: ThreadServer) -> None:
    """What the clients of the test before leave behind is over."""
    for session in list(server.sessions.values()):
        server.call(partial(session.gone, session.transport, "transport close"))
    wait_for(server.has_settled)
    Main.ended.clear()


class OldSocket(WebSocket):
    """A WebSocket of a 2.x client, connected to the main namespace, which nobody has to ask for."""

    def __init__(self, port: int, query: str = "EIO=3") -> None:
        super().__init__(port, f"/socket.io/?{query}&transport=websocket")
        self.opened = json.loads(self.receive_text()[1:])
        assert self.receive_text() == "40"

    def ask(self, text: str) -> str:  # type: ignore[override]
        self.send_text(text)
        return self.receive_text()


class OldPolling:
    """The polling of a 1.x or 2.x client."""

    def __init__(self, port: int, path: str = PATH) -> None:
        self.port = port
        opened = request(port, "GET", path).body.replace(b'\\"', b'"')
        self.opened = json.loads(opened[opened.index(b"{") : opened.index(b"}") + 1])
        self.path = f"{path}&sid={self.opened['sid']}"

    def poll(self) -> Response:
        return request(self.port, "GET", self.path)

    def post(self, body: bytes, content_type: str = "text/plain;charset=UTF-8") -> Response:
        return request(self.port, "POST", self.path, {"Content-Type": content_type}, body)


def test_a_ping_with_binary_data_is_answered_with_it(server: ThreadServer) -> None:
    with OldSocket(server.port) as client:
        client.send_frame(BINARY, b"\x02\xff\x01")
        assert client.receive() == (BINARY, b"\x03\xff\x01")
        assert client.ask("2") == "3"
    with OldSocket(server.port, "EIO=3&b64=1") as client:
        client.send_frame(BINARY, b"\x02\xff\x01")
        assert client.receive_text() == "b3/wE="
    polling = OldPolling(server.port)
    assert polling.poll().body == b"2:40"
    assert polling.post(b"\x01\x03\xff\x02\xff\x01", "application/octet-stream").text == "ok"
    answer = polling.poll()
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.body == b"\x01\x03\xff\x03\xff\x01"


def test_the_client_pings(server: ThreadServer) -> None:
    with OldSocket(server.port) as client:
        assert client.ask("2") == "3"
        assert client.ask("2probe") == "3probe"


def test_a_silent_client_is_ended_and_a_client_that_pings_is_not() -> None:
    application = app((Main, "/"), ping_interval=0.2, ping_timeout=0.2)
    with ThreadServer(application) as server, OldSocket(server.port) as silent, OldSocket(server.port) as client:
        since = time.monotonic()
        while silent.is_silent(0.05):
            assert client.ask("2") == "3"
        assert time.monotonic() - since > 0.35
        assert silent.close_code() == 1011
        assert client.ask("2") == "3"
        wait_for(lambda: "ping timeout" in Main.ended)


def test_a_pong_from_the_client_e3_09(server: ThreadServer) -> None:
    with OldSocket(server.port) as client:
        client.send_text("3")
        assert client.close_code() == 1002


def test_events_acks_and_binary(server: ThreadServer) -> None:
    with OldSocket(server.port) as client:
        client.send_text('427["echo","é😀"]')
        assert client.receive_text() == '42["back","\\u00e9\\ud83d\\ude00"]'
        assert client.receive_text() == '437["\\u00e9\\ud83d\\ude00"]'
        client.send_text('451-["echo",{"_placeholder":true,"num":0}]')
        client.send_frame(BINARY, b"\x04\x01\x02")
        assert client.receive_text() == '451-["back",{"_placeholder":true,"num":0}]'
        assert client.receive() == (BINARY, b"\x04\x01\x02")
        client.send_text('42["ask"]')
        assert client.receive_text() == '420["question"]'
        client.send_text("430[[1,2]]")
        assert client.receive_text() == '42["answered",[1,2]]'
        assert client.ask('421["about"]') == '431[["2","websocket"]]'


def test_attachments_that_do_not_come() -> None:
    with ThreadServer(app((Main, "/"), ping_timeout="0.1")) as server, OldSocket(server.port) as client:
        client.send_text('451-["echo",{"_placeholder":true,"num":0}]')
        assert client.close_code() == 1008
        assert wait_for(lambda: Main.ended) == ["limit exceeded"]


def test_base64_where_the_client_wants_it(server: ThreadServer) -> None:
    with OldSocket(server.port, "EIO=3&b64=1") as client:
        client.send_text('451-["echo",{"_placeholder":true,"num":0}]')
        client.send_text("b4AQI=")
        assert client.receive_text() == '451-["back",{"_placeholder":true,"num":0}]'
        assert client.receive_text() == "b4AQI="


def test_namespaces(server: ThreadServer) -> None:
    with OldSocket(server.port) as client:
        assert client.ask("40/chat?token=a%20b&x=1,") == "40/chat,"
        assert client.receive_text() == '42/chat,["auth",{"token":"a b","x":"1"}]'
        assert client.ask("40/chat") == "40/chat,"  # once more is no error
        assert client.ask("40/nope,") == '44/nope,"Invalid namespace"'
        client.send_text('42/nope,["echo",1]')  # nor are packets for a namespace that nobody is in
        client.send_text('451-/nope,["echo",{"_placeholder":true,"num":0}]')
        client.send_frame(BINARY, b"\x04x")
        assert client.ask('42/chat,["echo",1]') == '42/chat,["back",1]'
        client.send_text("41/chat,")
        wait_for(lambda: "client" in Main.ended)
        assert client.ask('42["echo",1]') == '42["back",1]'


def test_refusals(server: ThreadServer) -> None:
    with OldSocket(server.port) as client:
        assert client.ask("40/chat?token=bad,") == '44/chat,{"status":403}'


def test_events_before_the_answer_are_handled_after_it(server: ThreadServer) -> None:
    with WebSocket(server.port, "/socket.io/?EIO=3&transport=websocket") as client:
        client.send_text('42["echo",1]')
        client.send_text("40/chat,")
        client.send_text('42/chat,["echo",2]')
        received = [client.receive_text() for _ in range(6)]
    assert [text for text in received[1:] if "/chat" not in text] == ["40", '42["back",1]']
    assert [text for text in received if "/chat" in text] == [
        "40/chat,",
        '42/chat,["auth",null]',
        '42/chat,["back",2]',
    ]


def test_an_application_without_the_main_namespace() -> None:
    with ThreadServer(app((Chat, "/chat"), connect_timeout=0.3)) as server, OldSocket(server.port) as client:
        client.send_text('42["echo",1]')
        client.send_text('42["echo",{"big":true}]')
        assert client.ask("40/chat,") == "40/chat,"
        assert client.receive_text() == '42/chat,["auth",null]'
        assert client.is_silent(0.4)


def test_who_is_not_let_into_the_main_namespace_gets_nowhere() -> None:
    class Closed(SocketIOContext):
        def connect(self) -> None:
            raise HTTPForbidden

    with ThreadServer(app((Closed, "/"), (Chat, "/chat"))) as server:
        with WebSocket(server.port, "/socket.io/?EIO=3&transport=websocket") as client:
            client.send_text("40/chat,")
            assert client.receive_text()[0] == "0"
            assert client.receive_text() == '44{"status":403}'
            assert client.is_silent(0.1)


def test_the_server_disconnects(server: ThreadServer) -> None:
    with OldSocket(server.port) as client:
        assert client.ask('42["bye"]') == "41"
        wait_for(lambda: "server" in Main.ended)
        assert client.ask("2") == "3"  # "transport stays until the client closes it"


def test_polling_in_both_forms(server: ThreadServer) -> None:
    client = OldPolling(server.port, PATH + "&t=Q7xpg-1")
    assert client.poll().body == b"2:40"
    # 1.x posts bytes, and is answered with text as long as that is ASCII.
    assert client.post(b"\x00\x01\x04\xff" + b'42["echo","x"]', "application/octet-stream").text == "ok"
    assert client.poll().body == b'14:42["back","x"]'
    # Two layers of UTF-8, as clients up to 1.7 send it.
    doubled = '42["echo","é😀"]'.encode().decode("latin-1")
    assert client.post(f"{len(doubled)}:{doubled}".encode()).text == "ok"
    assert client.poll().body == b'31:42["back","\\u00e9\\ud83d\\ude00"]'
    # Lengths are UTF-16 code units.
    assert client.post('16:42["echo","é😀"]'.encode()).text == "ok"
    assert client.poll().body == b'31:42["back","\\u00e9\\ud83d\\ude00"]'
    body = b'\x00\x04\x02\xff451-["echo",{"_placeholder":true,"num":0}]' + b"\x01\x03\xff\x04\x01\x02"
    assert client.post(body, "application/octet-stream").text == "ok"
    answer = client.poll()
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.body == body.replace(b"echo", b"back")


@pytest.mark.parametrize("first", [PATH + "&t=1795226034745-0", PATH.replace("EIO=3", "EIO=2")])
def test_the_oldest_clients_read_bytes_only(server: ThreadServer, first: str) -> None:
    answer = request(server.port, "GET", first)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.body[0] == 0 and b'\xff0{"sid"' in answer.body
    client = OldPolling(server.port, first)
    assert client.poll().body == b"\x00\x02\xff40"
    # An ack in both forms: 1.0.0 to 1.0.2 hang on the one, 1.0.3 to 1.3 drop the other.
    client.post(b'13:421["echo",1]')
    assert client.poll().body == b'\x00\x01\x02\xff42["back",1]\x00\x08\xff430-1[1]\x00\x08\xff460-1[1]'


BAD_BODIES: list[bytes] = [
    b"",
    b"5:4abc",
    b"2:4abc",
    b":4a",
    b"-1:4a",
    b"1e1:4aaaaaaaaa",
    b" 2:4a",
    b"2 :4a",
    b"0x2:4a",
    "٢:4a".encode(),
    b"0:" * 100_000,
    "3:4😀x".encode(),
    b"5:b4!!!",
    b"1:9",
    b"2:4\xff",
    b"3:abc",
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:20]))
def test_bad_payloads_e3_02_to_e3_08(server: ThreadServer, body: bytes) -> None:
    client = OldPolling(server.port)
    assert client.poll().body == b"2:40"
    assert client.post(body).status == 400
    assert client.poll().text == '{"code":1,"message":"Session ID unknown"}'


#: Payloads of packets that can be read, and mean nothing from a client.
WRONG_PACKETS = [(b"1:3", ""), (b"4:42x7", ""), (b"2:4x1:2", ""), (b"\x00\x01\xff3", "application/octet-stream")]


@pytest.mark.parametrize(("body", "content_type"), WRONG_PACKETS)
@pytest.mark.parametrize("waits", [True, False])
def test_wrong_packets_by_post_e3_09(server: ThreadServer, body: bytes, content_type: str, waits: bool) -> None:
    client = OldPolling(server.port)
    assert client.poll().body == b"2:40"
    with Connection(server.port) as waiting:
        if waits:
            waiting.ask("GET", client.path)
            wait_for(lambda: server.sessions[client.opened["sid"]].transport.reachable)
        answer = client.post(body, content_type)
        assert (answer.status, answer.json) == (400, {"code": 3, "message": "Bad request"})
        if waits:
            assert waiting.response().text.endswith("1:1")
    assert client.poll().json["code"] == 1
    assert wait_for(lambda: Main.ended) == ["protocol error"]


def test_wrong_packets_by_form_e3_09(server: ThreadServer) -> None:
    client = OldPolling(server.port, PATH + "&j=3")
    assert client.poll().text == '___eio[3]("2:40");'
    assert client.post(b"d=1:3", "application/x-www-form-urlencoded").json["code"] == 3
    assert client.poll().json["code"] == 1


def test_what_came_before_a_wrong_packet_counts(server: ThreadServer) -> None:
    with OldSocket(server.port) as other:
        client = OldPolling(server.port)
        assert client.poll().body == b"2:40"
        assert client.post(b'11:42["all",1]1:31:3').status == 400
        assert other.receive_text() == '42["all",1]'


@pytest.mark.parametrize(
    "body",
    [
        b"\x00",
        b"\x00\x01",
        b"\x00\x05\xff4a",
        b"\x00\xff4",
        b"\x02\x01\xff4",
        b"\x01\x02\xff\x09x",
        b"\x00\x02\xff4\xff",
    ],
)
def test_bad_payloads_of_bytes(server: ThreadServer, body: bytes) -> None:
    client = OldPolling(server.port)
    assert client.poll().body == b"2:40"
    assert client.post(body, "application/octet-stream").status == 400
    assert client.poll().status == 400


def test_an_empty_payload_of_bytes(server: ThreadServer) -> None:
    client = OldPolling(server.port)
    assert client.poll().body == b"2:40"
    assert client.post(b"", "application/octet-stream").text == "ok"
    assert client.post(b"", "text/plain;charset=UTF-8").status == 400


def test_a_good_payload_e3_06(server: ThreadServer) -> None:
    client = OldPolling(server.port)
    assert client.post('15:42["echo","😀"]'.encode()).text == "ok"


@pytest.mark.parametrize("index", ["0];alert(1)//", "1%0a", "-1", "1e3", "12345678901", "%D9%A2", ""])
def test_jsonp_indexes_e3_11_e3_12(server: ThreadServer, index: str) -> None:
    answer = request(server.port, "GET", f"{PATH}&j={index}")
    assert answer.status == 400
    assert "alert" not in answer.text


def test_jsonp(server: ThreadServer) -> None:
    client = OldPolling(server.port, PATH + "&j=3")
    assert client.poll().text == '___eio[3]("2:40");'
    answer = client.post(b"d=14%3A42%5B%22echo%22%2C1%5D", "application/x-www-form-urlencoded")
    assert answer.status == 400  # one character less than it says
    client = OldPolling(server.port, PATH + "&j=3")
    assert client.poll().text == '___eio[3]("2:40");'
    assert client.post(b"d=12%3A42%5B%22echo%22%2C1%5D", "application/x-www-form-urlencoded").text == "ok"
    assert client.poll().text == '___eio[3]("12:42[\\"back\\",1]");'


def test_upgrade(server: ThreadServer) -> None:
    client = OldPolling(server.port)
    assert client.poll().body == b"2:40"
    with Connection(server.port) as waiting:
        waiting.ask("GET", client.path)
        with WebSocket(server.port, client.path.replace("polling", "websocket")) as websocket:
            websocket.send_text("2probe")
            assert websocket.receive_text() == "3probe"
            assert waiting.response().body == b"1:6"
            websocket.send_text("5")
            websocket.send_text('42["echo",1]')
            assert websocket.receive_text() == '42["back",1]'


def test_closing_from_the_client(server: ThreadServer) -> None:
    client = OldPolling(server.port)
    assert client.poll().body == b"2:40"
    with Connection(server.port) as waiting:
        waiting.ask("GET", client.path)
        assert waiting.is_silent(0.05)
        assert client.post(b"1:1").text == "ok"
        assert waiting.response().body == b"1:6"
    wait_for(lambda: "client" in Main.ended)


def test_a_broadcast_reaches_all_revisions(server: ThreadServer) -> None:
    with OldSocket(server.port) as old, OldSocket(server.port, "EIO=2") as oldest, OldSocket(server.port) as sender:
        polling = OldPolling(server.port)
        assert polling.poll().body == b"2:40"
        sender.send_text('42["all","é"]')
        assert old.receive_text() == oldest.receive_text() == '42["all","\\u00e9"]'
        assert polling.poll().body == b'18:42["all","\\u00e9"]'


def test_revisions_can_be_refused() -> None:
    with ThreadServer(app((Main, "/"), revisions="4 0.9")) as server:
        answer = request(server.port, "GET", PATH)
        assert (answer.status, answer.json) == (400, {"code": 5, "message": "Unsupported protocol version"})
        (record,) = [record for record in server.records if record.levelname == "WARNING"]
        assert record.getMessage() == (
            "refused /socket.io/ of 127.0.0.1: "
            "revision 2 (clients 1.x and 2.x) is not one of socketio.revisions = 4 0.9"
        )


@pytest.mark.parametrize(("origins", "credentials"), [("http://a.example", "true"), ("*", None)])
def test_pages_of_other_origins(origins: str, credentials: str | None) -> None:
    """Old clients always send cookies along, and browsers want that allowed."""
    page = {"Origin": "http://a.example"}
    with ThreadServer(app((Main, "/"), allowed_origins=origins)) as server:
        answer = request(server.port, "GET", PATH, page)
        assert answer.headers["access-control-allow-origin"] == "http://a.example"
        assert answer.headers.get("access-control-allow-credentials") == credentials
        preflight = request(server.port, "OPTIONS", PATH, page)
        assert preflight.headers.get("access-control-allow-credentials") == credentials
        newer = request(server.port, "GET", PATH.replace("EIO=3", "EIO=4"), page)
        assert "access-control-allow-credentials" not in newer.headers
