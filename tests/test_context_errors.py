"""What a client is told, and what is logged, when a handler fails or refuses a message."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from pyramid.httpexceptions import HTTPForbidden

from pyramid_socketio import SocketIOContext
from pyramid_socketio.context import KeyAssertError, refusal
from pyramid_socketio.errors import CloseReason, SessionClosed
from tests.conftest import DEADLINE
from tests.contexts import INTERNAL_ERROR, Chat, connected, logged


def test_an_error_is_logged_once_and_told_with_a_fixed_text(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    assert context.handle_event(["fail"], True) == [INTERNAL_ERROR]
    assert socket.sent == [["message", INTERNAL_ERROR]]
    assert logged(caplog) == ["the handler of 'fail' failed in Chat, client me, namespace /room"]
    assert context.handle_event(["say"], True) == ["say"]


def test_another_signature_is_an_error_of_the_message_alone(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    assert context.handle_event(["two", 1], True) == [INTERNAL_ERROR]
    assert len(logged(caplog)) == 1


def test_a_timeout_that_leaves_a_handler_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(SocketIOContext):
        def msg_wait(self) -> None:
            with gevent.Timeout(0.001):
                gevent.sleep(DEADLINE)

    context, _ = connected(Slow)
    assert context.handle_event(["wait"], True) == [INTERNAL_ERROR]
    assert len(logged(caplog)) == 1


def test_a_handler_that_cannot_even_tell(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(Chat):
        def send(self, msg: Any) -> None:
            raise OSError("no")

    context, _ = connected(Mute)
    assert context.handle_event(["fail"], True) == []
    assert context.handle_event(["nobody"], True) == []
    assert len(logged(caplog)) == 4


def test_what_waits_for_a_client_that_goes_away_ends_silently(caplog: pytest.LogCaptureFixture) -> None:
    class Asking(SocketIOContext):
        def msg_ask(self) -> None:
            self.io.reason = CloseReason.CLIENT
            raise SessionClosed(CloseReason.CLIENT)

        def msg_other(self) -> None:
            raise SessionClosed("somebody else is gone")

    context, socket = connected(Asking)
    assert context.handle_event(["other"], True) == [INTERNAL_ERROR]
    assert len(logged(caplog)) == 1
    caplog.clear()
    assert context.handle_event(["ask"], True) == []
    assert logged(caplog) == []
    assert len(socket.sent) == 1


def test_an_error_after_the_end_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    socket.end()
    assert context.handle_event(["fail"], True) == []
    assert socket.sent == []
    assert len(logged(caplog)) == 1


def test_greenlet_exit_ends_the_message(caplog: pytest.LogCaptureFixture) -> None:
    class Leaving(SocketIOContext):
        def msg_leave(self) -> None:
            raise gevent.GreenletExit

    context, socket = connected(Leaving)
    assert context.handle_event(["leave"], True) is None
    assert logged(caplog) == [] and socket.sent == []


def test_system_exit_goes_through() -> None:
    class Exiting(SocketIOContext):
        def msg_exit(self) -> None:
            raise SystemExit

    with pytest.raises(SystemExit):
        connected(Exiting)[0].handle_event(["exit"], False)


@pytest.mark.parametrize("error", [ValueError("a secret"), gevent.Timeout(1)])
def test_an_error_in_a_greenlet_is_logged_and_told(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise error

    context, socket = connected(Chat)
    context.spawn(fail).join(DEADLINE)
    assert socket.sent == [["message", INTERNAL_ERROR]]
    assert logged(caplog) == ["a greenlet failed in Chat, client me, namespace /room"]


def test_refusal_tells_the_status_and_nothing_else() -> None:
    refused = refusal(HTTPForbidden("a secret"))
    assert (refused.message, refused.data) == ("Forbidden", {"status": 403})


# Missing keys


@pytest.mark.parametrize("elements", ["a", ("a",), ["a", "b"], iter(["b", "a"])])
def test_assert_keys(elements: Any) -> None:
    class Careful(SocketIOContext):
        def msg_do(self, msg: Any) -> str:
            self.assert_keys(msg, elements)
            return "done"

    context, socket = connected(Careful)
    names = list(elements) if isinstance(elements, (str, list, tuple)) else None
    told = context.handle_event(["message", {"type": "do", "c": 1}], True)[0]
    assert told["error"] == "bad_request"
    assert told["msg"].startswith("Msg type 'do' should include all those keys: ")
    assert socket.sent == [["message", told]]
    if names:
        assert told["msg"].endswith(", ".join(names))
        assert context.handle_event(["message", {"type": "do", "a": 1, "b": None}], True) == ["done"]
        assert context.handle_event(["do", "no dict"], True)[0]["error"] == "bad_request"


def test_assert_keys_in_a_greenlet_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    context, socket = connected(Chat)
    context.spawn(context.assert_keys, {}, "a").join(DEADLINE)
    assert [sent[1]["error"] for sent in socket.sent] == ["bad_request"]
    assert logged(caplog) == []


def test_assert_keys_names_the_event() -> None:
    class Careful(SocketIOContext):
        def msg_keys(self, msg: Any) -> None:
            self.assert_keys(msg, "a")

        def msg_later(self, msg: Any) -> None:
            self.spawn(self.assert_keys, msg, "a").join(DEADLINE)

    context, socket = connected(Careful)
    for data in (["keys", {}], ["keys", "text"], ["later", {}], ["keys", {"type": "own"}]):
        context.handle_event(data, False)
    assert [sent[1]["msg"] for sent in socket.sent] == [
        "Msg type 'keys' should include all those keys: a",
        "Msg type 'keys' should include all those keys: a",
        # By the time that it runs, another event may be handled.
        "The message should include all those keys: a",
        "Msg type 'own' should include all those keys: a",
    ]


def test_key_assert_error_has_a_text() -> None:
    with pytest.raises(KeyAssertError, match="should include all those keys: a"):
        connected(Chat)[0].assert_keys({}, "a")
