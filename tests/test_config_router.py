"""Connecting to a namespace as a Pyramid request: who gets in, what a refusal says, what the context keeps."""

from __future__ import annotations

import gc
import logging
import weakref
from contextlib import suppress
from typing import Any

import gevent
import pytest
from pyramid.authorization import ACLDenied, Allow
from pyramid.config import Configurator
from pyramid.events import NewRequest, NewResponse
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPNotFound, HTTPTooManyRequests, HTTPUnprocessableEntity
from pyramid.interfaces import IExecutionPolicy
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED, Denied
from pyramid.threadlocal import get_current_request

from pyramid_socketio.config import socketio_for
from pyramid_socketio.config.router import ConnectRouter
from pyramid_socketio.context import SocketIOContext
from pyramid_socketio.errors import ConnectRefused, NoNamespace

HANDSHAKE = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/socket.io/",
    "QUERY_STRING": "EIO=4&transport=polling&token=t",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "6543",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "example.com",
    "HTTP_COOKIE": "user=ann",
    "wsgi.url_scheme": "https",
    "wsgi.input": object(),
}


class FakeSession:
    def __init__(self) -> None:
        self.environ: dict[str, Any] = dict(HANDSHAKE)


class FakeSocket:
    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.id = "id"
        self.engine_session = FakeSession()
        self.forgotten = 0

    def forget(self) -> None:
        self.forgotten += 1


class Recorder(SocketIOContext):
    """Notes what happened to its instances."""

    made: list[Recorder]
    stopped: list[Recorder]

    def connect(self) -> Any:
        type(self).made.append(self)

    def stop(self) -> None:
        type(self).stopped.append(self)
        super().stop()


@pytest.fixture
def context_class() -> type[Recorder]:
    class Chat(Recorder):
        made = []
        stopped = []

    return Chat


@pytest.fixture
def config() -> Configurator:
    config = Configurator(settings={})
    config.include("pyramid_socketio")
    return config


def connect(config: Configurator, namespace: str, auth: Any = None) -> SocketIOContext:
    config.commit()
    return ConnectRouter(config.registry).connect(FakeSocket(namespace), auth)


def refused(config: Configurator, namespace: str, auth: Any = None) -> tuple[str, Any]:
    with pytest.raises(ConnectRefused) as info:
        connect(config, namespace, auth)
    return info.value.message, info.value.data


def refusing(error: BaseException) -> type[Recorder]:
    class Refusing(Recorder):
        made = []
        stopped = []

        def connect(self) -> Any:
            super().connect()
            raise error

    return Refusing


class HeaderPolicy:
    """Knows the user by a cookie; asks the resource's ``allowed``."""

    def identity(self, request: Request) -> str | None:
        return request.cookies.get("user")

    authenticated_userid = identity

    def permits(self, request: Request, context: Any, permission: str) -> bool:
        return (self.identity(request), permission) in getattr(context, "allowed", ())

    def remember(self, request: Request, userid: str, **kw: Any) -> list[tuple[str, str]]:
        return []

    def forget(self, request: Request, **kw: Any) -> list[tuple[str, str]]:
        return []


class Room:
    allowed = (("ann", "enter"),)

    def __init__(self, request: Request) -> None:
        pass


# Which namespace, with what


def test_the_namespace_is_matched_and_the_handshake_is_seen(config: Configurator) -> None:
    seen: dict[str, Any] = {}

    class Chat(SocketIOContext):
        def connect(self) -> None:
            request = self.request
            seen.update(
                matchdict=request.matchdict,
                method=request.method,
                token=request.params["token"],
                cookie=request.cookies["user"],
                url=request.path_url,
                auth=request.environ["pyramid_socketio.auth"],
                namespace=request.environ["socketio"].namespace,
                current=get_current_request() is request,
                body=request.body,
                context=request.context.__class__.__name__,
            )

    config.add_socketio_context(Chat, "/chat/{room}")
    context = connect(config, "/chat/blå", {"name": "Ann"})
    assert isinstance(context, Chat)
    assert seen == {
        "matchdict": {"room": "blå"},
        "method": "GET",
        "token": "t",
        "cookie": "ann",
        "url": "https://example.com/chat/bl%C3%A5",
        "auth": {"name": "Ann"},
        "namespace": "/chat/blå",
        "current": True,
        "body": b"",
        "context": "DefaultRootFactory",
    }
    assert get_current_request() is None


def test_the_application_connects_clients_with_one_router(config: Configurator, context_class: type[Recorder]) -> None:
    config.add_socketio_context(context_class, "/chat")
    config.add_request_method(lambda request: 1, "one", property=True)
    config.make_wsgi_app()
    socketio = socketio_for(config.registry)
    assert socketio is not None and socketio.connect is not None
    first, second = (socketio.connect(FakeSocket("/chat"), None) for _ in range(2))  # type: ignore[arg-type]
    assert context_class.made == [first, second]
    assert type(first.request) is type(second.request)


def test_unknown_namespace(config: Configurator, context_class: type[Recorder]) -> None:
    config.add_socketio_context(context_class, "/chat")
    assert refused(config, "/") == ("Invalid namespace", None)
    assert refused(config, "/chat/") == ("Invalid namespace", None)
    assert context_class.made == []
    config.add_socketio_context(context_class, "/room/{name}")
    with pytest.raises(NoNamespace) as info:
        connect(config, "/rooms/1")
    assert info.value.served == ("/chat", "/room/{name}")


def test_without_any_namespace(config: Configurator) -> None:
    assert refused(config, "/") == ("Invalid namespace", None)


def test_http_views_are_no_namespaces(config: Configurator) -> None:
    config.add_route("page", "/page")
    config.add_view(lambda request: Response("page"), route_name="page")
    config.add_view(lambda request: Response("traversed"), name="traversed")
    assert refused(config, "/page") == ("Invalid namespace", None)
    assert refused(config, "/traversed") == ("Invalid namespace", None)


def test_catch_all_route_of_the_application(config: Configurator, context_class: type[Recorder]) -> None:
    config.add_route("everything", "/*remaining")
    config.add_view(lambda request: Response("page"), route_name="everything")
    config.add_socketio_context(context_class, "/chat")
    assert isinstance(connect(config, "/chat"), context_class)


def test_namespaces_are_tried_in_the_order_of_registration(config: Configurator) -> None:
    # More than a few: the order of configuration actions must not depend on their names.
    classes = [type(f"Chat{n}", (SocketIOContext,), {}) for n in range(20)]
    for n, cls in enumerate(classes):
        config.add_socketio_context(cls, f"/chat{{number:[{n % 10}-9]}}{{rest:.{{{n}}}}}" if n else "/chat9")
    assert type(connect(config, "/chat9")) is classes[0]
    config.add_socketio_context(classes[0], "/{everything}")
    assert type(connect(config, "/chat91234")) is classes[4]
    assert type(connect(config, "/chat01234")) is classes[0]


def test_predicate_mismatch(config: Configurator, context_class: type[Recorder]) -> None:
    config.add_socketio_context(context_class, "/chat", request_param="token=other")
    config.add_socketio_context(context_class, "/room", request_param="token=t")
    assert refused(config, "/chat") == ("Invalid namespace", None)
    assert isinstance(connect(config, "/room"), context_class)


def test_traversal_below_a_namespace(config: Configurator, context_class: type[Recorder]) -> None:
    seen = []
    tree = {"a": {"b": {}}}

    class Node(context_class):  # type: ignore[misc, valid-type]
        def connect(self) -> None:
            seen.append(self.request.context)

    config.add_socketio_context(Node, "/tree/*traverse", factory=lambda request: tree)
    connect(config, "/tree/a/b")
    assert seen == [tree["a"]["b"]]
    assert refused(config, "/tree/a/missing") == ("Invalid namespace", None)


# Security


def test_permission_is_asked_of_the_root_factory(config: Configurator, context_class: type[Recorder]) -> None:
    config.set_security_policy(HeaderPolicy())
    config.add_socketio_context(context_class, "/open", permission="enter", factory=Room)
    config.add_socketio_context(context_class, "/shut", permission="rule", factory=Room)
    config.add_socketio_context(context_class, "/rootless", permission="enter")
    assert isinstance(connect(config, "/open"), context_class)
    assert refused(config, "/shut") == ("Forbidden", {"status": 403})
    assert refused(config, "/rootless") == ("Forbidden", {"status": 403})
    assert len(context_class.made) == 1


def test_acl(config: Configurator, context_class: type[Recorder]) -> None:
    from pyramid.authorization import ACLHelper

    class Policy(HeaderPolicy):
        def permits(self, request: Request, context: Any, permission: str) -> Any:
            return ACLHelper().permits(context, [self.identity(request)], permission)

    class Root:
        def __init__(self, request: Request) -> None:
            user = "ann" if request.matchdict["room"] == "blue" else "bob"
            self.__acl__ = [(Allow, user, "enter")]

    config.set_security_policy(Policy())
    config.set_root_factory(Root)
    config.add_socketio_context(context_class, "/{room}", permission="enter")
    assert isinstance(connect(config, "/blue"), context_class)
    assert refused(config, "/red") == ("Forbidden", {"status": 403})


def test_default_permission_holds_for_namespaces(config: Configurator, context_class: type[Recorder]) -> None:
    config.set_security_policy(HeaderPolicy())
    config.set_default_permission("enter")
    config.add_socketio_context(context_class, "/shut")
    config.add_socketio_context(context_class, "/room", factory=Room)
    config.add_socketio_context(context_class, "/open", permission=NO_PERMISSION_REQUIRED)
    assert refused(config, "/shut") == ("Forbidden", {"status": 403})
    assert isinstance(connect(config, "/room"), context_class)
    assert isinstance(connect(config, "/open"), context_class)


def test_a_login_redirect_is_still_forbidden(config: Configurator, context_class: type[Recorder]) -> None:
    config.set_security_policy(HeaderPolicy())
    config.add_forbidden_view(lambda request: HTTPFound("/login"))
    config.add_socketio_context(context_class, "/", permission="enter")
    assert refused(config, "/") == ("Forbidden", {"status": 403})


# Refusals


def test_the_application_refuses_with_its_own_words(config: Configurator) -> None:
    context_class = refusing(ConnectRefused("Room is full", {"room": 1}))
    config.add_socketio_context(context_class, "/")
    assert refused(config, "/") == ("Room is full", {"room": 1})
    assert len(context_class.stopped) == 1


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (HTTPForbidden("secret"), ("Forbidden", {"status": 403})),
        (HTTPNotFound("secret"), ("Not Found", {"status": 404})),
        (HTTPFound("/secret"), ("Found", {"status": 302})),
        (HTTPTooManyRequests("secret"), ("Too Many Requests", {"status": 429})),
        (HTTPUnprocessableEntity("secret"), ("Unprocessable Entity", {"status": 422})),
    ],
)
@pytest.mark.parametrize("exception_view", [True, False])
@pytest.mark.parametrize("returned", [True, False])
def test_http_exceptions(error: Exception, answer: Any, exception_view: bool, returned: bool) -> None:
    class Refusing(refusing(error)):  # type: ignore[misc]
        def connect(self) -> Any:
            return error if returned else super().connect()

    extra = {} if exception_view else {"exceptionresponse_view": None}
    config = Configurator(settings={}, **extra)
    config.include("pyramid_socketio")
    config.add_socketio_context(Refusing, "/")
    assert refused(config, "/") == answer
    assert len(Refusing.stopped) == 1


@pytest.mark.parametrize("result", [False, ACLDenied("ace", "acl", "enter", [], None), Denied("no")])
def test_false_is_a_refusal(config: Configurator, result: Any) -> None:
    """Also that of ``request.has_permission``, which is another object."""

    class Refusing(SocketIOContext):
        def connect(self) -> Any:
            return result

    config.add_socketio_context(Refusing, "/")
    assert refused(config, "/") == ("Connection refused", None)


def test_a_context_whose_init_forgets_its_parents(config: Configurator, caplog: pytest.LogCaptureFixture) -> None:
    class Forgetful(SocketIOContext):
        def __init__(self, request: Any) -> None:
            self.count = 0

    config.add_socketio_context(Forgetful, "/")
    assert refused(config, "/") == ("Internal server error", {"status": 500})
    assert "Forgetful.__init__ must take the request and call super().__init__(request)" in caplog.text


def test_an_error_is_logged_once_and_tells_nothing(config: Configurator, caplog: pytest.LogCaptureFixture) -> None:
    context_class = refusing(ValueError("secret"))
    config.add_socketio_context(context_class, "/")
    with caplog.at_level(logging.DEBUG):
        assert refused(config, "/") == ("Internal server error", {"status": 500})
    records = [record for record in caplog.records if record.exc_info]
    assert len(records) == 1
    assert "secret" in caplog.text
    assert len(context_class.stopped) == 1


@pytest.mark.parametrize("fails_in", ["connect", "factory"])
def test_an_error_is_logged_with_its_own_chain(
    config: Configurator, context_class: type[Recorder], caplog: pytest.LogCaptureFixture, fails_in: str
) -> None:
    def fail(*args: Any) -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904

    if fails_in == "connect":
        context_class.connect = fail  # type: ignore[method-assign]
        config.add_socketio_context(context_class, "/")
    else:
        config.add_socketio_context(context_class, "/", factory=fail)
    assert refused(config, "/") == ("Internal server error", {"status": 500})
    assert "HTTPNotFound" not in caplog.text
    assert caplog.text.count("During handling of the above exception") == 1
    assert caplog.text.index("KeyError: 'first'") < caplog.text.index("ValueError: second")


def test_an_error_in_the_constructor(config: Configurator, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SocketIOContext):
        def __init__(self, request: Request) -> None:
            raise ValueError("secret")

    config.add_socketio_context(Broken, "/")
    assert refused(config, "/") == ("Internal server error", {"status": 500})
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("view_status", "answer"),
    [(422, ("Unprocessable Entity", {"status": 422})), (200, ("Internal Server Error", {"status": 500}))],
)
def test_an_exception_view_gives_the_status(config: Configurator, view_status: int, answer: Any) -> None:
    config.add_exception_view(lambda request: Response("secret", status=view_status), context=ValueError)
    context_class = refusing(ValueError("secret"))
    config.add_socketio_context(context_class, "/")
    assert refused(config, "/") == answer
    assert len(context_class.stopped) == 1


def test_an_exception_view_does_not_hide_a_refusal(config: Configurator) -> None:
    config.add_exception_view(lambda request: Response("oops", status=500), context=Exception)
    config.add_socketio_context(refusing(ConnectRefused("Room is full")), "/")
    assert refused(config, "/") == ("Room is full", None)
    assert refused(config, "/unknown") == ("Invalid namespace", None)


def test_what_a_refused_context_spawned_is_killed(config: Configurator) -> None:
    spawned = []

    class Chat(SocketIOContext):
        def connect(self) -> None:
            spawned.append(self.spawn(gevent.sleep, 600))
            raise ConnectRefused

    config.add_socketio_context(Chat, "/")
    assert refused(config, "/") == ("Connection refused", None)
    spawned[0].join(timeout=10)
    assert spawned[0].dead


class Interrupted(BaseException):
    """As a greenlet's exit, and a time limit that is not ours."""


def test_an_interruption_passes_and_ends_the_context(config: Configurator) -> None:
    context_class = refusing(Interrupted())
    config.add_socketio_context(context_class, "/")
    with pytest.raises(Interrupted):
        connect(config, "/")
    assert len(context_class.stopped) == 1


@pytest.mark.parametrize("fails_in", ["add_response_callback", "add_finished_callback"])
def test_a_failure_after_the_view_ends_the_context(config: Configurator, fails_in: str) -> None:
    class Chat(Recorder):
        made = []
        stopped = []

        def connect(self) -> None:
            def fail(*args: Any) -> None:
                raise HTTPForbidden

            getattr(self.request, fails_in)(fail)

    config.add_socketio_context(Chat, "/")
    assert refused(config, "/") == ("Forbidden", {"status": 403})
    assert len(Chat.stopped) == 1


# Tweens and other parts of Pyramid


def recording_tween(handler: Any, registry: Any) -> Any:
    def tween(request: Request) -> Response:
        registry.seen.append(request.path)
        response = handler(request)
        registry.seen.append(response.status_int)
        return response

    return tween


def closed_tween(handler: Any, registry: Any) -> Any:
    return lambda request: Response("closed", status=registry.settings["status"])


def copying_tween(handler: Any, registry: Any) -> Any:
    return lambda request: handler(request).copy()


def swallowing_tween(handler: Any, registry: Any) -> Any:
    def tween(request: Request) -> Response:
        try:
            return handler(request)
        except ConnectRefused:
            return Response("never mind")

    return tween


def test_tweens_run_around_the_connect(config: Configurator, context_class: type[Recorder]) -> None:
    config.registry.seen = []
    config.add_tween(f"{__name__}.recording_tween")
    config.add_socketio_context(context_class, "/chat")
    connect(config, "/chat")
    assert config.registry.seen == ["/chat", 200]


@pytest.mark.parametrize(
    ("status", "answer"),
    [(503, ("Service Unavailable", {"status": 503})), (200, ("Connection refused", {"status": 200}))],
)
def test_a_tween_may_answer_in_place_of_the_namespace(
    config: Configurator, context_class: type[Recorder], status: int, answer: Any
) -> None:
    config.registry.settings["status"] = status
    config.add_tween(f"{__name__}.closed_tween")
    config.add_socketio_context(context_class, "/")
    assert refused(config, "/") == answer
    assert context_class.made == []


def test_a_tween_may_give_another_response(config: Configurator, context_class: type[Recorder]) -> None:
    config.add_tween(f"{__name__}.copying_tween")
    config.add_socketio_context(context_class, "/")
    assert isinstance(connect(config, "/"), context_class)


def test_a_tween_that_swallows_a_refusal_lets_nobody_in(config: Configurator) -> None:
    config.add_tween(f"{__name__}.swallowing_tween")
    context_class = refusing(ConnectRefused())
    config.add_socketio_context(context_class, "/")
    assert refused(config, "/") == ("Connection refused", {"status": 200})
    assert len(context_class.stopped) == 1


def test_events_and_finished_callbacks(config: Configurator) -> None:
    seen = []

    class Chat(SocketIOContext):
        def connect(self) -> None:
            self.request.add_finished_callback(lambda request: seen.append("finished"))

    config.add_subscriber(lambda event: seen.append("request"), NewRequest)
    config.add_subscriber(lambda event: seen.append("response"), NewResponse)
    config.add_socketio_context(Chat, "/")
    connect(config, "/")
    assert seen == ["request", "response", "finished"]


def test_an_execution_policy_may_try_again(config: Configurator) -> None:
    class Chat(Recorder):
        made = []
        stopped = []

        def connect(self) -> None:
            super().connect()
            if len(self.made) == 1:
                raise KeyError

    def retry(environ: dict[str, Any], router: Any) -> Response:
        with router.request_context(environ) as request:
            try:
                return router.invoke_request(request)
            except KeyError:
                pass
        with router.request_context(environ) as request:
            return router.invoke_request(request)

    config.registry.registerUtility(retry, IExecutionPolicy)
    config.add_socketio_context(Chat, "/")
    config.commit()
    socket = FakeSocket("/")
    context = ConnectRouter(config.registry).connect(socket, None)
    assert Chat.stopped == [Chat.made[0]]
    assert context is Chat.made[1]
    assert socket.forgotten == 1, "what the first one sent and joined"


def test_subrequests_go_to_http_views(config: Configurator) -> None:
    class Chat(SocketIOContext):
        def connect(self) -> None:
            self.answer = self.request.invoke_subrequest(Request.blank("/page")).text

    config.add_route("page", "/page")
    config.add_view(lambda request: Response("page"), route_name="page")
    config.add_socketio_context(Chat, "/")
    context = connect(config, "/")
    assert context.answer == "page"
    assert context.request.invoke_subrequest(Request.blank("/page")).text == "page"


# The request that the context keeps


class OwnRequest(Request):
    own = "own"


def test_request_factory_and_extensions(config: Configurator) -> None:
    calls = []

    def user(request: Request) -> str:
        calls.append(request)
        return str(request.cookies["user"])

    config.set_request_factory(OwnRequest)
    config.add_request_method(user, reify=True)
    config.add_request_method(lambda request: request.path, "place", property=True)
    config.add_request_method(lambda request, word: word + request.own, "say")
    seen = []

    class Chat(SocketIOContext):
        def connect(self) -> None:
            request = self.request
            seen.append((request.user, request.user, request.place, request.say("my ")))

    config.add_route("page", "/page/{n}")
    config.add_socketio_context(Chat, "/chat")
    request = connect(config, "/chat").request
    assert seen == [("ann", "ann", "/chat", "my own")]
    assert len(calls) == 1
    assert (request.user, request.place, request.say("your ")) == ("ann", "/chat", "your own")
    assert len(calls) == 2, "nothing reified while connecting is kept"
    assert isinstance(request, OwnRequest)
    assert request.registry is config.registry
    assert request.route_url("page", n=1) == "https://example.com/page/1"


def test_a_factory_that_is_a_function(config: Configurator, context_class: type[Recorder]) -> None:
    config.set_request_factory(lambda environ: OwnRequest(environ))
    config.add_request_method(lambda request: 1, "one", property=True)
    config.add_socketio_context(context_class, "/")
    config.commit()
    router = ConnectRouter(config.registry)
    first, second = (router.connect(FakeSocket("/"), None).request for _ in range(2))
    assert first.one == 1
    assert isinstance(first, OwnRequest)
    assert type(first) is type(second), "one class for all requests"


def test_the_slim_request(config: Configurator) -> None:
    full = []

    class Chat(SocketIOContext):
        def connect(self) -> None:
            self.request.adhoc = "tied to the request"
            self.request.response.status = 201
            full.append(weakref.ref(self.request))

    config.add_socketio_context(Chat, "/chat/{room}")
    context = connect(config, "/chat/blue")
    request = context.request
    assert full[0]() is not request
    assert all(isinstance(value, str) for value in request.environ.values())
    assert request.matchdict == {"room": "blue"}
    assert request.matched_route.pattern == "/chat/{room}"
    assert request.method == "GET"
    assert request.params["token"] == "t"
    assert request.cookies["user"] == "ann"
    for name in ("adhoc", "context", "root", "request_iface"):
        assert name not in request.__dict__
    assert request.body == b""


def test_the_full_request_is_freed_without_the_garbage_collector(config: Configurator) -> None:
    full = []

    class Chat(SocketIOContext):
        def connect(self) -> None:
            full.append(weakref.ref(self.request))

    config.add_socketio_context(Chat, "/")
    gc.disable()
    try:
        context = connect(config, "/")
        assert full[0]() is None
    finally:
        gc.enable()
    assert context.request is not None


class Broken(Exception):
    """An error of the application, for which the test below has an exception view or not."""


@pytest.mark.parametrize("returned", [False, True])
@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("kind", [ConnectRefused, HTTPForbidden, HTTPNotFound, Broken])
def test_who_is_refused_is_freed_without_the_garbage_collector(
    config: Configurator, kind: type[Exception], view: bool, returned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a client that is refused again and again fills the memory until that runs."""
    # pytest keeps what is logged, and so the traceback.
    monkeypatch.setattr(logging.getLogger("pyramid_socketio.config.router"), "disabled", True)
    kept: list[weakref.ref[Any]] = []

    class Chat(SocketIOContext):
        def connect(self) -> Any:
            error = kind()
            kept.extend(map(weakref.ref, (self, self.request, error)))
            if returned:
                return error
            raise error

    if view:
        config.add_exception_view(lambda error, request: Response(status=409), context=kind)
    config.add_socketio_context(Chat, "/")
    config.commit()
    router = ConnectRouter(config.registry)
    gc.collect()
    gc.disable()
    try:
        with suppress(ConnectRefused):
            router.connect(FakeSocket("/"), None)
        assert [reference() for reference in kept] == [None] * 3
    finally:
        gc.enable()


def test_the_handshake_is_not_changed(config: Configurator, context_class: type[Recorder]) -> None:
    config.add_socketio_context(context_class, "/")
    config.commit()
    socket = FakeSocket("/")
    context = ConnectRouter(config.registry).connect(socket, None)
    context.request.environ["mine"] = "x"
    assert socket.engine_session.environ == HANDSHAKE


def test_the_slim_request_knows_what_the_client_gave_as_auth(config: Configurator) -> None:
    """A security policy may judge by it, in a handler too."""
    config.add_socketio_context(SocketIOContext, "/")
    context = connect(config, "/", auth={"token": "x"})
    assert context.request.environ["pyramid_socketio.auth"] == {"token": "x"}
