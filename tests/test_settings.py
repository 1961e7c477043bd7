"""The settings table: defaults, conversion, and what a wrong setting says."""

from __future__ import annotations

from typing import Any

import pytest

from pyramid_socketio.settings import PREFIX, TABLE, Settings, parse_settings, settings_page


def parse(**values: Any) -> Settings:
    return parse_settings({PREFIX + name: value for name, value in values.items()})


def test_the_defaults() -> None:
    settings = parse_settings({})
    assert settings.resource == "socket.io"
    assert settings.transports[:2] == ("polling", "websocket")
    assert settings.transports[2:] == ("flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling")
    assert settings.revisions == ("0.6", "0.9", "2", "4")
    assert (settings.ping_interval, settings.ping_timeout) == (25.0, 20.0)
    assert settings.max_message_size == 1_000_000
    assert settings.allowed_origins == ()
    assert settings.allow_no_origin is True
    assert settings.cookie is settings.client is None


def test_every_row_is_an_attribute_with_a_type_and_a_help() -> None:
    assert list(Settings.__annotations__) == [row.name for row in TABLE]
    assert vars(Settings()) == {row.name: row.default for row in TABLE}
    assert all(row.help for row in TABLE)


def test_other_keys_are_none_of_its_business() -> None:
    mapping = {"pyramid.reload_templates": "true", "socketio.ping_timeout": "3", "socketiox": "", "sqlalchemy.url": "x"}
    assert parse_settings(mapping).ping_timeout == 3.0


def test_what_the_application_sets_is_stronger_than_a_default_of_the_caller() -> None:
    mapping = {"socketio.resource": "a"}
    assert parse_settings(mapping, {"resource": "b", "max_sessions": 5}).resource == "a"
    assert parse_settings(mapping, {"resource": "b", "max_sessions": 5}).max_sessions == 5


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("resource", "/ws/", "ws"),
        ("transports", "websocket", ("websocket",)),
        ("transports", ["polling"], ("polling",)),
        ("transports", " websocket\n polling ", ("websocket", "polling")),
        ("transports", "polling,websocket", ("polling", "websocket")),
        ("allow_upgrades", "off", False),
        ("allow_upgrades", " Yes ", True),
        ("allow_upgrades", False, False),
        ("ping_interval", "0.3", 0.3),
        ("ping_interval", 1, 1.0),
        ("max_sessions", " 12 ", 12),
        ("max_sessions", 1e6, 1_000_000),
        ("allowed_origins", "https://A.example/ null", ("https://a.example", "null")),
        ("allowed_origins", "*", ("*",)),
        ("allowed_origins", "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ("allowed_origins", "http://[::1]:8080 capacitor://localhost", ("http://[::1]:8080", "capacitor://localhost")),
        ("allowed_origins", "", ()),
        ("allowed_origins", None, ()),
        ("cookie", "io", "io"),
        ("cookie", "None", None),
        ("cookie", "", None),
        ("client", "node_modules/socket.io-client/dist", "node_modules/socket.io-client/dist"),
    ],
)
def test_conversion(name: str, text: Any, value: Any) -> None:
    converted = getattr(parse(**{name: text}), name)
    assert (type(converted), converted) == (type(value), value)


SECONDS = "must be a number of seconds greater than 0"
COUNT = "must be a whole number of at least 1"
ORIGIN = "must look like https://example.com or https://example.com:8080"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ping_interval", "0", SECONDS),
        ("ping_interval", "-1", SECONDS),
        ("ping_interval", "soon", SECONDS),
        ("ping_interval", "nan", SECONDS),
        ("ping_interval", "inf", SECONDS),
        ("ping_interval", None, SECONDS),
        ("ping_interval", True, SECONDS),
        ("max_sessions", "0", COUNT),
        ("max_sessions", "1.5", COUNT),
        ("max_sessions", "many", COUNT),
        ("max_sessions", "inf", COUNT),
        ("max_sessions", None, COUNT),
        ("max_sessions", True, COUNT),
        ("allow_upgrades", "perhaps", "must be true or false"),
        ("allow_upgrades", "", "must be true or false"),
        ("allow_upgrades", 2, "must be true or false"),
        (
            "transports",
            "",
            "must be some of: polling websocket flashsocket htmlfile xhr-multipart xhr-polling jsonp-polling",
        ),
        (
            "transports",
            "flash",
            "must be some of: polling websocket flashsocket htmlfile xhr-multipart xhr-polling jsonp-polling",
        ),
        ("revisions", "", "must be some of: 0.6 0.9 2 4"),
        ("revisions", "4 5", "must be some of: 0.6 0.9 2 4"),
        ("transports", [1], "must be words with blanks or commas between them, or a list of words"),
        ("allowed_origins", "example.com", f"'example.com' {ORIGIN}"),
        ("allowed_origins", "https://a.example/path", f"'https://a.example/path' {ORIGIN}"),
        ("allowed_origins", "https://*.example", f"'https://*.example' {ORIGIN}"),
        ("allowed_origins", "https://me@a.example", f"'https://me@a.example' {ORIGIN}"),
        ("allowed_origins", 5, "'int' object is not iterable"),
        ("cookie", "my cookie", "must be the name of a cookie: letters, digits, - and _"),
        ("cookie", "io;Secure", "must be the name of a cookie: letters, digits, - and _"),
        ("cookie", "io\r\nX: y", "must be the name of a cookie: letters, digits, - and _"),
    ],
)
def test_a_bad_value_names_its_setting(name: str, value: Any, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(**{name: value})
    assert str(caught.value) == f"socketio.{name} = {value}: {why}"


def test_an_unknown_setting() -> None:
    words = r"^unknown setting socketio\.ping_intervall: remove or correct it; known are: resource, .*swf$"
    with pytest.raises(ValueError, match=words):
        parse(ping_intervall="5")
    with pytest.raises(ValueError, match="unknown setting socketio.a:"):
        Settings(b=1, a=2)


def test_credentials_for_everybody_t03() -> None:
    with pytest.raises(ValueError, match=r"^socketio\.cors_credentials needs the origins by name"):
        parse(cors_credentials="true", allowed_origins="*")
    assert parse(cors_credentials="true", allowed_origins="https://a.example").cors_credentials


def test_the_page_has_a_row_for_each_setting() -> None:
    page = settings_page()
    assert page.count("| `socketio.") == len(TABLE)
    assert "| `socketio.allow_upgrades` | `true` |  | whether" in page
    assert "| `socketio.transports` | `polling websocket flashsocket" in page
