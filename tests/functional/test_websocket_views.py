"""WebSocket views within a Pyramid application: what decides before the upgrade, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.authorization import Allow
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPConflict
from pyramid.response import Response
from pyramid.tweens import EXCVIEW
from pyramid.view import view_config

from pyramid_socketio.websocket import WebSocket as Socket
from pyramid_socketio.websocket import websocket, websocket_loop
from tests.conftest import wait_for
from tests.functional.raw import KEY, UPGRADE, WebSocket, encode_request, request
from tests.functional.raw import Connection as Client
from tests.functional.serving import ThreadServer

EVENTS: list[Any] = []


class Root:
    __acl__ = [(Allow, "anna", "chat")]

    def __init__(self, request: Any) -> None:
        """As Pyramid calls it."""


class Policy:
    """Whoever says who he is in a header, is that."""

    def authenticated_userid(self, request: Any) -> str | None:
        name: str | None = request.headers.get("User")
        return name

    def permits(self, request: Any, context: Any, permission: str) -> bool:
        return any(self.authenticated_userid(request) == who for _, who, what in context.__acl__ if what == permission)


def tween_factory(handler: Callable[[Any], Any], registry: object) -> Callable[[Any], Any]:
    """Notes what a transaction's tween would do."""

    def tween(request: Any) -> Any:
        EVENTS.append("begin")
        try:
            response = handler(request)
        except Exception as error:
            EVENTS.append(("abort", type(error).__name__))
            raise
        EVENTS.append("commit" if response.status_int < 400 else response.status_int)
        return response

    return tween


@view_config(route_name="room", permission="chat")
@websocket
def room(request: Any, websocket: Any, **matchdict: str) -> str:
    websocket.send(f"{request.authenticated_userid} in {matchdict['name']}")
    websocket.send(str(request.environ["wsgi.websocket"] is websocket))
    websocket.send(f"{websocket.path} {websocket.version} {websocket.origin} {websocket.protocol}")
    while websocket.receive() is not None:
        pass
    return "is ignored"


@view_config(route_name="both")
def page(request: Any) -> Response:
    return Response(request.websocket_url("both"))


@view_config(route_name="both", websocket=True)
@websocket_loop
def both(request: Any, websocket: Any, message: str) -> None:
    websocket.send(message[::-1])


class Views:
    """A view class: the socket is the method's argument behind ``self``."""

    def __init__(self, request: Any) -> None:
        self.request = request

    @view_config(route_name="method")
    @websocket
    def method(self, websocket: Any, name: str) -> None:
        websocket.send(f"method {name} {self.request.path}")

    @view_config(route_name="method_loop")
    @websocket_loop
    def loop(self, websocket: Any, message: str, name: str) -> None:
        websocket.send(f"{name}: {message}")


@view_config(route_name="subprotocols")
@websocket(subprotocols=("chat.v2", "chat.v1"))
def subprotocols(request: Any, websocket: Any) -> None:
    websocket.send(str(websocket.protocol))


@view_config(route_name="fails")
@websocket
def fails(request: Any, websocket: Any) -> None:
    websocket.send("before")
    raise {"value": ValueError("secret"), "http": HTTPConflict("secret")}[websocket.receive()]


def refusing(view: Callable[..., Any]) -> Callable[..., Any]:
    """What any decorator around a view may do before the upgrade."""

    def refuse(context: Any, request: Any) -> Any:
        raise HTTPConflict("not now")

    return refuse


@view_config(route_name="refused", decorator=refusing)
@websocket
def refused(request: Any, websocket: Any) -> None:
    raise AssertionError("it cannot be called")


@view_config(route_name="other")
@websocket
def other(request: Any, websocket: Any) -> None:
    """Sends to a client that is gone, and it is not this view's own."""
    gone = object.__new__(Socket)
    gone._closed = True
    gone.send("hello?")


@view_config(context=ValueError)
def value_error(request: Any) -> Response:
    raise AssertionError("nobody is there to be told")


ROUTES = {"room": "/room/{name}", "method": "/method/{name}", "method_loop": "/method_loop/{name}"}


def application(**settings: str) -> Any:
    """Every view of this module, as a scan finds it."""
    with Configurator(settings=settings, root_factory=Root, security_policy=Policy()) as config:
        config.include("pyramid_socketio")
        for name in ("room", "both", "method", "method_loop", "subprotocols", "fails", "refused", "other"):
            config.add_route(name, ROUTES.get(name, f"/{name}"))
        config.add_tween(f"{__name__}.tween_factory", under=EXCVIEW)
        config.scan(__name__)
    return config.make_wsgi_app()


@pytest.fixture(scope="module")
def running() -> Iterator[ThreadServer]:
    with ThreadServer(application(**{"socketio.allowed_origins": "https://good.example"})) as server:
        yield server


@pytest.fixture
def server(running: ThreadServer) -> Iterator[ThreadServer]:
    EVENTS.clear()
    running.forget()
    yield running
    # What the views of one test do at their end is nothing that another one looks at.
    wait_for(lambda: len(EVENTS) == 2 * EVENTS.count("begin"))


def test_the_whole_cycle_has_run(server: ThreadServer) -> None:
    with WebSocket(server.port, "/room/blue", {"User": "anna", "Origin": "http://127.0.0.1"}) as client:
        assert client.receive_text() == "anna in blue"
        assert client.receive_text() == "True"
        assert client.receive_text() == "/room/blue 13 http://127.0.0.1 None"
        assert EVENTS == ["begin"]
        client.send_frame(8, b"\x03\xe8")
        assert client.close_code() == 1000
    wait_for(lambda: EVENTS == ["begin", "commit"])
    assert server.failures == []


def test_a_403_is_a_403(server: ThreadServer) -> None:
    with Client(server.port) as client:
        answer = client.request("GET", "/room/blue", {**UPGRADE, "User": "ben"})
        assert answer.status == 403
        assert "upgrade" not in answer.headers
        assert EVENTS == ["begin", ("abort", "HTTPForbidden")]
        # It was an ordinary answer, so the connection goes on.
        assert client.request("GET", "/both").status == 200


def test_a_404_is_a_404(server: ThreadServer) -> None:
    assert request(server.port, "GET", "/nowhere", UPGRADE).status == 404


def test_a_decorator_around_the_view_may_refuse(server: ThreadServer) -> None:
    answer = request(server.port, "GET", "/refused", UPGRADE)
    assert answer.status == 409
    assert "not now" in answer.text


def test_one_url_serves_a_page_and_a_socket(server: ThreadServer) -> None:
    assert request(server.port, "GET", "/both").text == "ws://127.0.0.1/both"
    with WebSocket(server.port, "/both") as client:
        client.send_text("abc")
        assert client.receive_text() == "cba"


def test_methods_of_view_classes(server: ThreadServer) -> None:
    with WebSocket(server.port, "/method/x") as client:
        assert client.receive_text() == "method x /method/x"
        assert client.close_code() == 1000
    with WebSocket(server.port, "/method_loop/y") as client:
        client.send_text("hello")
        assert client.receive_text() == "y: hello"


@pytest.mark.parametrize(
    "offer, chosen",
    [
        (None, None),
        ("chat.v1", "chat.v1"),
        ("chat.v1, chat.v2", "chat.v1"),
        ("other,chat.v2", "chat.v2"),
        ("other", None),
        ("chat.v", None),
        ("CHAT.V1", None),
        ("a," * 30_000, None),
    ],
)
def test_subprotocols(server: ThreadServer, offer: str | None, chosen: str | None) -> None:
    headers = {} if offer is None else {"Sec-WebSocket-Protocol": offer}
    with WebSocket(server.port, "/subprotocols", headers) as client:
        assert client.handshake.headers.get("sec-websocket-protocol") == chosen
        assert client.receive_text() == str(chosen)


@pytest.mark.parametrize("origin", ["http://127.0.0.1", "https://good.example", "HTTPS://GOOD.EXAMPLE:443", None])
def test_origins_that_may(server: ThreadServer, origin: str | None) -> None:
    with WebSocket(server.port, "/both", {} if origin is None else {"Origin": origin}) as client:
        client.send_text("ab")
        assert client.receive_text() == "ba"


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://good.example.evil.com", "http://good.example", "https://good.example:444", "null"],
)
def test_origins_that_may_not(server: ThreadServer, origin: str) -> None:
    assert request(server.port, "GET", "/both", {**UPGRADE, "Origin": origin}).status == 403
    assert any(origin in line for line in server.log_lines())


def test_subprotocols_are_several() -> None:
    """Of a text each letter would be one."""
    with pytest.raises(TypeError, match="subprotocols"):
        websocket(subprotocols="chat")


def test_a_plain_request_gets_426(server: ThreadServer) -> None:
    with Client(server.port) as client:
        for method in ("GET", "POST"):
            answer = client.request(method, "/fails")
            assert answer.status == 426
            assert answer.headers["upgrade"] == "websocket"
            assert "upgrade" in answer.headers["connection"].lower()
            assert answer.headers["sec-websocket-version"] == "13, 8, 7"


def changed(**headers: str | None) -> dict[str, str]:
    fields: dict[str, str | None] = {**UPGRADE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize(
    "headers, status",
    [
        (changed(Sec_WebSocket_Key=None), 400),
        (changed(Sec_WebSocket_Key="\xff\xfe"), 400),
        (changed(Sec_WebSocket_Key=KEY[1:]), 400),
        (changed(Sec_WebSocket_Version="99"), 426),
        (changed(Connection="notupgradeable"), 400),
        (changed(Origin="http://127.0.0.1, http://127.0.0.1"), 400),
    ],
)
def test_bad_handshakes(server: ThreadServer, headers: dict[str, str], status: int) -> None:
    assert request(server.port, "GET", "/fails", headers).status == status
    assert server.failures == []


def test_another_method(server: ThreadServer) -> None:
    answer = request(server.port, "POST", "/fails", UPGRADE)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("message", ["value", "http"])
def test_an_exception_is_logged_once_and_ends_with_1011(server: ThreadServer, message: str) -> None:
    with WebSocket(server.port, "/fails") as client:
        assert client.receive_text() == "before"
        client.send_text(message)
        opcode, payload = client.receive()
        assert (opcode, payload) == (8, (1011).to_bytes(2, "big")), "nothing of what went wrong"
        assert client.read_to_end() == b""
    # A transaction around it does not get committed; nor is anything tried again.
    wait_for(lambda: EVENTS == ["begin", ("abort", "HTTPInternalServerError")])
    assert server.failures == ["the WebSocket view of /fails failed"]


def test_that_somebody_else_is_gone_is_an_error(server: ThreadServer) -> None:
    with WebSocket(server.port, "/other") as client:
        assert client.close_code() == 1011
    wait_for(lambda: EVENTS == ["begin", ("abort", "HTTPInternalServerError")])
    assert server.failures == ["the WebSocket view of /other failed"]


def test_a_client_that_is_gone_before_the_upgrade(server: ThreadServer) -> None:
    client = Client(server.port)
    client.send(encode_request("GET", "/both", UPGRADE))
    client.reset()
    wait_for(lambda: EVENTS == ["begin", "commit"])
    assert server.failures == []


# Without the include, and with limits


def plain_application(settings: dict[str, str] | None = None) -> Any:
    """Only the decorator."""

    @websocket_loop
    def echo(request: Any, websocket: Any, message: Any) -> None:
        websocket.send(message)

    with Configurator(settings=settings) as config:
        config.add_view(echo, name="echo")
    return config.make_wsgi_app()


@pytest.mark.parametrize("settings", [None, {"socketio.max_message_size": "200"}])
def test_without_the_include(settings: dict[str, str] | None) -> None:
    """The settings count all the same."""
    with ThreadServer(plain_application(settings)) as server, WebSocket(server.port, "/echo") as client:
        client.send_text("x" * 200)
        assert client.receive_text() == "x" * 200
        client.send_text("x" * 201)
        if settings is None:
            assert client.receive_text() == "x" * 201
        else:
            assert client.close_code() == 1009


def test_behind_a_proxy_that_speaks_https() -> None:
    """A filter in front of the application knows scheme and host; URL and origin check believe it."""
    app = application()

    def filtered(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.url_scheme"] = "https"
        environ["HTTP_HOST"] = "chat.example"
        return app(environ, start_response)

    with ThreadServer(filtered) as server:
        assert request(server.port, "GET", "/both").text == "wss://chat.example/both"
        WebSocket(server.port, "/both", {"Origin": "https://chat.example"}).close()
        assert request(server.port, "GET", "/both", {**UPGRADE, "Origin": "http://127.0.0.1"}).status == 403


def test_the_access_log_tells_what_was_sent() -> None:
    """And not what the application made of it when the view had ended."""
    with ThreadServer(application()) as server:
        WebSocket(server.port, "/both").close()
        (line,) = wait_for(lambda: server.log_lines("pyramid_socketio.access"))
        assert '"GET /both" 101 ' in line


def test_max_sessions() -> None:
    with ThreadServer(plain_application({"socketio.max_sessions": "2"})) as server:
        with WebSocket(server.port, "/echo"), WebSocket(server.port, "/echo"):
            answer = request(server.port, "GET", "/echo", UPGRADE)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")

        def has_room() -> bool:
            with Client(server.port) as client:
                return client.request("GET", "/echo", UPGRADE).status == 101

        wait_for(has_room)
