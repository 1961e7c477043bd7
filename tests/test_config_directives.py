"""``config.add_socketio_context`` and ``@socketio_context``: what is checked, found, overridden and shown."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from pyramid.interfaces import IRoutesMapper

from pyramid_socketio.config import ISocketIONamespaces, socketio_context
from pyramid_socketio.context import SocketIOContext


class Chat(SocketIOContext):
    pass


class OtherChat(SocketIOContext):
    pass


def root_factory(request: Any) -> object:
    return object()


@socketio_context("/decorated/{room}", permission="enter")
@socketio_context("/second")
class Decorated(SocketIOContext):
    pass


class NotDecorated(Decorated):
    pass


@pytest.fixture
def config() -> Configurator:
    config = Configurator(settings={})
    config.include("pyramid_socketio")
    return config


def contexts(config: Configurator) -> dict[str, type]:
    """pattern -> context class, of what is committed."""
    entries = config.introspector.get_category("socketio contexts", default=())
    return {entry["introspectable"]["pattern"]: entry["introspectable"]["context"] for entry in entries}


def includes_chat(config: Configurator) -> None:
    config.add_socketio_context(Chat, "/chat")


def test_introspection(config: Configurator) -> None:
    config.add_socketio_context(
        Chat, "/chat/{room}", permission="enter", factory=f"{__name__}.root_factory", request_param="token"
    )
    config.commit()
    (entry,) = config.introspector.get_category("socketio contexts")
    intr = entry["introspectable"]
    assert dict(intr) == {
        "context": Chat,
        "pattern": "/chat/{room}",
        "permission": "enter",
        "factory": root_factory,
        "predicates": {"request_param": "token"},
    }
    assert intr.title == "Chat at /chat/{room}"
    assert intr.action_info.file == __file__
    (route,) = entry["related"]
    assert route["pattern"] == "/chat/{room}"
    views = [related for related in config.introspector.related(route) if related.category_name == "views"]
    assert [view.action_info.file for view in views] == [__file__]


def test_the_decorator_needs_its_parentheses() -> None:
    with pytest.raises(TypeError, match=r'write @socketio_context\("/pattern"\) above Forgotten'):

        @socketio_context  # type: ignore[arg-type]
        class Forgotten(SocketIOContext):
            pass


def test_dotted_name_and_default_pattern(config: Configurator) -> None:
    config.add_socketio_context(f"{__name__}.Chat")
    config.commit()
    assert contexts(config) == {"/": Chat}


@pytest.mark.parametrize("context", [object, Chat.__init__, "os.path", None])
def test_context_must_be_one(config: Configurator, context: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a subclass of SocketIOContext"):
        config.add_socketio_context(context, "/chat")


@pytest.mark.parametrize("pattern", ["", "chat", "chat/{room}", None, Chat])
def test_pattern_must_start_with_a_slash(config: Configurator, pattern: Any) -> None:
    with pytest.raises(ConfigurationError, match="must start with '/', as in"):
        config.add_socketio_context(Chat, pattern)


def test_pattern_must_compile(config: Configurator) -> None:
    with pytest.raises(ConfigurationError, match=r"'/\{room:\(\}' is no pattern"):
        config.add_socketio_context(Chat, "/{room:(}")


def test_unknown_predicate(config: Configurator) -> None:
    config.add_socketio_context(Chat, "/chat", moon="full")
    with pytest.raises(ConfigurationError, match="moon"):
        config.commit()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/chat", "/chat"),
        ("/chat/{room}", "/chat/{name}"),
        (r"/chat/{room:\d{4}}", r"/chat/{number:\d{4}}"),
        ("/files/*traverse", "/files/*rest"),
    ],
)
def test_one_namespace_twice_is_a_conflict(config: Configurator, first: str, second: str) -> None:
    config.add_socketio_context(Chat, first)
    config.add_socketio_context(OtherChat, second, request_param="x")
    with pytest.raises(ConfigurationConflictError) as info:
        config.commit()
    text = str(info.value)
    assert text.count("For: ") == 1
    assert "add_socketio_context(Chat, first)" in text
    assert "add_socketio_context(OtherChat, second" in text


@pytest.mark.parametrize(
    ("first", "second"), [("/chat", "/chat/"), ("/{room}", r"/{room:\d+}"), ("/{a}", "/*a"), ("/{a}/b", "/{a}/c")]
)
def test_different_namespaces_do_not_conflict(config: Configurator, first: str, second: str) -> None:
    config.add_socketio_context(Chat, first)
    config.add_socketio_context(OtherChat, second)
    config.commit()
    assert contexts(config) == {first: Chat, second: OtherChat}


def test_the_application_overrides_what_it_includes(config: Configurator) -> None:
    config.include(includes_chat)
    config.add_socketio_context(OtherChat, "/chat", request_param="x")
    config.commit()
    assert contexts(config) == {"/chat": OtherChat}
    views = [entry["introspectable"] for entry in config.introspector.get_category("views")]
    assert len([view for view in views if view["route_name"] == "socketio:/chat"]) == 1


@pytest.mark.parametrize("autocommit", [True, False])
def test_namespaces_are_apart_from_http_routes(autocommit: bool) -> None:
    config = Configurator(settings={}, autocommit=autocommit)
    config.include("pyramid_socketio")
    config.add_socketio_context(Chat, "/chat")
    config.commit()
    names = [route.name for route in config.registry.getUtility(IRoutesMapper).get_routes(include_static=True)]
    assert names == ["pyramid_socketio.client", "pyramid_socketio.resource"]
    assert [route.pattern for route in config.registry.getUtility(ISocketIONamespaces).get_routes()] == ["/chat"]
    assert contexts(config) == {"/chat": Chat}


def test_a_route_prefix_is_not_for_namespaces(config: Configurator) -> None:
    config.include(includes_chat, route_prefix="prefix")
    config.commit()
    assert contexts(config) == {"/chat": Chat}


def test_decorator(config: Configurator) -> None:
    config.scan(sys.modules[__name__], ignore=["conftest"])
    config.commit()
    assert contexts(config) == {"/decorated/{room}": Decorated, "/second": Decorated}
    intr = config.introspector.get("socketio contexts", "/decorated/{room}")
    assert intr["permission"] == "enter"
    assert intr.action_info.file == __file__
    assert "Decorated" in intr.action_info.src or "socketio_context" in intr.action_info.src


def test_decorator_needs_the_include() -> None:
    config = Configurator()
    with pytest.raises(ConfigurationError, match=r"config.include\('pyramid_socketio'\) must come before"):
        config.scan(sys.modules[__name__])
