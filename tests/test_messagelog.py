"""The log of what clients send: the format of the settings, and a line per message."""

from __future__ import annotations

import logging
import re
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.paster import get_appsettings
from pyramid.testing import DummyRequest

from pyramid_socketio import SocketIOContext
from pyramid_socketio.messagelog import MAX_MESSAGE, log_message
from pyramid_socketio.settings import Settings, parse_settings

LOGGER = "pyramid_socketio.messages"
ENVIRON = {
    "REMOTE_ADDR": "192.0.2.1",
    "PATH_INFO": "/chat",
    "HTTP_USER_AGENT": "a\r\nb\x1b[31m",
    "wsgi.url_scheme": "http",
}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [record for record in caplog.records if record.name == LOGGER]
    assert all(record.levelno == logging.INFO for record in records)
    return [record.getMessage() for record in records]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (["message", "h\u00e4?\n"], "message h\\xe4?\\n"),
        (["message", "100 %(TIME)s %"], "message 100 %(TIME)s %"),
        (["message", {"type": "say", "text": 'a"'}], 'say {"type": "say", "text": "a\\\\""}'),
        (["message", {"type": 1}], 'message {"type": 1}'),
        (["message", {"type": "say"}, 2], 'message [{"type": "say"}, 2]'),
        (["message"], "message []"),
        (["move", 1.5], "move 1.5"),
        (["move", {"type": "say"}], 'move {"type": "say"}'),
        (["move", 1, None], "move [1, null]"),
        (["picture", b"\x89PNG", "p"], 'picture ["<4 bytes>", "p"]'),
        (["picture", bytearray(3)], 'picture "<3 bytes>"'),
        ([7, "\ud800"], "7 \\ud800"),
        (["a\nb\x1b"], "a\\nb\\x1b []"),
    ],
)
def test_type_and_message(data: list[Any], line: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    log_message("%(TYPE)s %(MESSAGE)s", ENVIRON, data, "type")
    assert lines(caplog) == [line]


def test_the_key_of_types_is_the_context_s(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    log_message("%(TYPE)s", {}, ["message", {"type": "a", "cmd": "b"}], "cmd")
    assert lines(caplog) == ["b"]


def test_environ(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    keys = ("REMOTE_ADDR", "PATH_INFO", "HTTP_USER_AGENT", "HTTP_REFERER", "wsgi.url_scheme")
    log_message(" ".join(f"%({key})s" for key in keys) + " 5%%", ENVIRON, ["x"], "type")
    assert lines(caplog) == ["192.0.2.1 /chat a\\r\\nb\\x1b[31m - http 5%"]


def test_what_a_client_calls_type_is_not_what_the_environ_calls_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    log_message("%(TYPE)s", {"TYPE": "environ"}, ["x"], "type")
    assert lines(caplog) == ["x"]


def test_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    before = datetime.now().astimezone()
    log_message("%(TIME)s", {}, ["x"], "type")
    (line,) = lines(caplog)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line)
    logged = datetime.fromisoformat(line)
    assert before.replace(microsecond=before.microsecond // 1000 * 1000) <= logged <= datetime.now().astimezone()


def test_long_texts_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    long = "\x00" * 100_000
    log_message("%(MESSAGE)s|%(TYPE)s|%(HTTP_COOKIE)s", {"HTTP_COOKIE": long}, [long, long], "type")
    log_message("%(MESSAGE)s", {}, ["x", [long]], "type")
    (first, second) = lines(caplog)
    assert [len(part) for part in first.split("|")] == [MAX_MESSAGE, 100, 200]
    assert all(part.endswith("...") for part in first.split("|"))
    assert len(second) == MAX_MESSAGE


def test_nothing_is_made_where_nobody_reads_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    log_message("%(MESSAGE)s", {}, ["x", object()], "type")  # no JSON: it would raise
    assert lines(caplog) == []


# The setting


@pytest.mark.parametrize("value", [None, "", "  ", "none", "None"])
def test_off(value: Any) -> None:
    assert Settings(message_log_format=value).message_log_format is None
    assert Settings().message_log_format is None


@pytest.mark.parametrize(
    "value",
    [
        "a line",
        "100%% %(TIME)s %(TYPE)-10s %(MESSAGE).80s %(MESSAGE)-100.100s",
        "%(REMOTE_ADDR)s %(REMOTE_USER)s %(HTTP_X_FORWARDED_FOR)s %(SERVER_NAME)s %(PATH_INFO)s %(HTTPS)s",
        "%(wsgi.url_scheme)s %(repoze.who.identity)s",
    ],
)
def test_good_format(value: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    settings = Settings(message_log_format=value)
    assert settings.message_log_format == value
    log_message(value, {}, ["x"], "type")
    assert len(lines(caplog)) == 1


@pytest.mark.parametrize("value", ["%(MESAGE)s", "%(message)s", "%(TIME)s %(USER)s", "%(HTTP_)s", "%(TIME )s"])
def test_unknown_key(value: str) -> None:
    with pytest.raises(
        ValueError, match=r"socketio\.message_log_format = .*: unknown key .*known are TIME, MESSAGE, TYPE"
    ):
        Settings(message_log_format=value)


@pytest.mark.parametrize(
    "value",
    ["%s", "100 %", "%()s", "%(MESSAGE)d", "%(MESSAGE)", "%(MESSAGE", "%%%", "%(MESSAGE)99999s", "%(MESSAGE)*s"],
)
def test_bad_format(value: str) -> None:
    with pytest.raises(ValueError, match=r"must have %\(KEY\)s for each value and %% for a percent sign"):
        Settings(message_log_format=value)


def test_a_bad_format_is_an_error_at_the_start() -> None:
    config = Configurator(settings={"socketio.message_log_format": "%(WHO)s"})
    config.include("pyramid_socketio")
    with pytest.raises(ConfigurationError, match="unknown key WHO"):
        config.make_wsgi_app()


def test_in_an_ini_file_percent_signs_are_doubled(tmp_path: Path) -> None:
    ini = tmp_path / "development.ini"
    ini.write_text(
        "[app:main]\npaste.app_factory = builtins:dict\nsocketio.message_log_format = %%(TIME)s %%(MESSAGE)s 5%%%%\n"
    )
    settings = parse_settings(get_appsettings(str(ini), "main"))
    assert settings.message_log_format == "%(TIME)s %(MESSAGE)s 5%%"


# Where messages are handled


class Echo(SocketIOContext):
    def msg_say(self, msg: Any) -> Any:
        logging.getLogger(LOGGER).info("handled")
        return msg

    def msg_other(self, msg: Any) -> Any:
        return Other(self.request)


class Other(SocketIOContext):
    def msg_say(self, msg: Any) -> Any:
        return "other"


class RecordingSocket:
    """What these contexts need of a socket."""

    id = "me"
    namespace = "/"
    reason = None
    context: Any = None

    def __init__(self, format: str) -> None:
        settings = Settings(message_log_format=format)
        owner = SimpleNamespace(settings=settings, in_loop=True, catch_up=lambda: None, is_news=lambda *_: False)
        self.connection = SimpleNamespace(owner=owner)
        self.sent: list[Any] = []

    def connected(self) -> bool:
        return True

    def send_event(self, data: list[Any], default: Any = None) -> None:
        self.sent.append(data)


def connected(format: str, **options: Any) -> Any:
    socket = RecordingSocket(format)
    socket.context = Echo(DummyRequest(environ={**ENVIRON, "socketio": socket}), **options)
    return socket


def test_messages_are_logged_before_they_are_handled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    socket = connected("%(REMOTE_ADDR)s %(TYPE)s %(MESSAGE)s")
    assert socket.context.handle_event(["say", "hello"], True) == ["hello"]
    assert lines(caplog) == ["192.0.2.1 say hello", "handled"]


def test_so_are_those_that_nothing_handles(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    socket = connected("%(TYPE)s %(MESSAGE)s", in_type="cmd")
    socket.context.handle_event(["message", {"cmd": "nobody"}], False)
    socket.context.handle_event(["message", 5], False)
    assert lines(caplog) == ['nobody {"cmd": "nobody"}', "message 5"]
    assert [data[1]["error"] for data in socket.sent] == ["unknown_command", "bad_request"]


def test_so_are_those_that_another_context_handles(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    socket = connected("%(TYPE)s")
    socket.context.handle_event(["other", 1], False)
    assert socket.context.handle_event(["say", 1], True) == ["other"]
    assert lines(caplog) == ["other", "say"]


def test_nothing_is_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    assert connected("").context.handle_event(["say", "hello"], True) == ["hello"]
    assert lines(caplog) == ["handled"]
