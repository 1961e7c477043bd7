"""What clients in a namespace and the application say to each other."""

from __future__ import annotations

import contextvars
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event

from pyramid_socketio.errors import (
    AckTimeout,
    AttachmentError,
    CloseReason,
    LimitExceeded,
    PayloadTooLarge,
    SessionClosed,
)
from pyramid_socketio.socketio import SocketIO
from tests.clients import VIOLATION, Client, make_owner, turns
from tests.conftest import DEADLINE
from tests.timing import turn_until


@pytest.fixture
def owner() -> SocketIO:
    return make_owner()


@pytest.fixture
def client(owner: SocketIO) -> Client:
    return Client(owner)


# Events


def test_events_arrive_in_order_and_are_acknowledged(client: Client) -> None:
    context = client.join()
    context.handler = lambda data: [data[0], b"\1"] if data[0] == "b" else None
    assert client.receive('2["a",1]', '27["b"]', '28["c"]') is None
    assert context.events == [["a", 1], ["b"], ["c"]]
    assert client.packets == ['461-7["b",{"_placeholder":true,"num":0}]', "bAQ==", "438[]"]


def test_answers_to_messages_that_came_together_go_out_together(client: Client) -> None:
    client.join()
    client.transport.calls.clear()
    client.receive('2["a"]')
    assert "cork" not in client.transport.calls
    client.transport.calls.clear()
    client.receive('2["a"]', '2["b"]')
    assert client.transport.calls == ["cork", "uncork"]


@pytest.mark.parametrize("answer", [[object()], [1j], [{1, 2}]])
def test_an_ack_that_cannot_be_sent(client: Client, answer: list[Any]) -> None:
    context = client.join()
    context.handler = lambda data: answer if data == ["a"] else ["fine"]
    assert client.receive('21["a"]', '22["b"]') is None
    assert context.told == [("the acknowledgement of 'a'", TypeError)]
    assert client.packets == ['431[{"type":"error","error":"internal_error"}]', '432["fine"]']


def test_attachments(client: Client) -> None:
    context = client.join()
    parts = '52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]'
    assert client.receive(parts, b"0") is None
    assert context.events == []
    assert client.receive(b"1", '2["b"]') is None
    assert context.events == [["a", b"1", b"0"], ["b"]]


@pytest.mark.parametrize(
    "messages, error",
    [
        ([b"unannounced"], AttachmentError),
        (['51-["a",{"_placeholder":true,"num":0}]', '2["b"]'], AttachmentError),
        (['51-["a",{"_placeholder":true,"num":1}]', b"0"], AttachmentError),
        (['511-["a"]'], LimitExceeded),
        (['52-["a"]', 60 * b"a", 60 * b"b"], PayloadTooLarge),
    ],
)
def test_bad_attachments(messages: list[str | bytes], error: type[Exception]) -> None:
    client = Client(make_owner(max_message_size=100))
    context = client.join()
    assert type(client.receive('2["before"]', *messages)) is error
    assert context.events == [["before"]]


def test_attachments_for_a_namespace_that_the_client_is_not_in(client: Client) -> None:
    context = client.join()
    assert client.receive('2["before"]', '51-/other,["a",{"_placeholder":true,"num":0}]') is None
    assert client.session.closed_with == VIOLATION
    assert context.events == [["before"]]


def test_attachments_that_never_come_are_forgotten_at_the_end(client: Client) -> None:
    client.join()
    client.receive('52-["a"]', b"0")
    client.end()
    assert client.connection._pending is None


def test_an_event_of_a_namespace_that_ended_while_its_attachments_came(client: Client) -> None:
    context = client.join()
    client.receive('51-["a",{"_placeholder":true,"num":0}]')
    context.io.disconnect()
    assert client.receive(b"0") is None
    assert client.session.closed_with == VIOLATION


def test_one_message_at_a_time_and_other_clients_do_not_wait(owner: SocketIO) -> None:
    slow, other = Client(owner), Client(owner)
    context, context2 = slow.join(), other.join()
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    slow.receive('2["a"]', '2["b"]')
    slow.receive('2["c"]')
    assert context.events == [["a"]]
    other.receive('2["d"]')
    assert context2.events == [["d"]]
    release.set()
    turns()
    assert context.events == [["a"], ["b"], ["c"]]


def test_context_variables_do_not_last_from_one_message_to_the_next(client: Client) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []

    def handler(data: list[Any]) -> None:
        seen.append(variable.get())
        variable.set(data[0])
        gevent.sleep(0)
        seen.append(variable.get())

    client.join().handler = handler
    client.receive('2["a"]', '2["b"]')
    turn_until(lambda: len(seen) == 4)
    client.receive('2["c"]')
    turn_until(lambda: len(seen) == 6)
    assert seen == ["nothing", "a", "nothing", "b", "nothing", "c"]


# Acknowledgements of the client


def test_acks_of_the_client(client: Client) -> None:
    context = client.join()
    answers: list[Any] = []
    context.io.request_ack(["a"], lambda *args: answers.append(args))
    result = AsyncResult()
    context.io.request_ack(["b"], result)
    assert client.packets == ['420["a"]', '421["b"]']
    client.receive("31[1,2]", "30[]", "30[3]", '39["unknown"]')
    assert answers == [()]
    assert result.get(block=False) == [1, 2]


def test_an_ack_comes_in_its_turn(client: Client) -> None:
    context = client.join()
    release = Event()
    order: list[str] = []

    def handler(data: list[Any]) -> None:
        release.wait(DEADLINE)
        order.append(data[0])

    context.handler = handler
    context.io.request_ack(["q"], lambda: order.append("ack"))
    client.receive('2["a"]', "30[]", '2["b"]')
    assert order == []
    release.set()
    turns()
    assert order == ["a", "ack", "b"]


def test_a_failing_callback(client: Client) -> None:
    def fail() -> None:
        raise ValueError

    def leave() -> None:
        raise gevent.GreenletExit

    context = client.join()
    for callback in (fail, leave):
        context.io.request_ack(["q"], callback)
    client.receive("30[]", "31[]", '2["a"]')
    assert context.told == [("the callback of an acknowledgement", ValueError)]
    assert context.events == [["a"]]


def test_call(client: Client) -> None:
    context = client.join()
    answer = gevent.spawn(context.io.call, ["q"], DEADLINE)
    turns()
    client.receive("30[1,2]")
    assert answer.get(timeout=DEADLINE) == [1, 2]
    with pytest.raises(AckTimeout, match="no acknowledgement of 'q' within 0.001 s"):
        context.io.call(["q"], 0.001)
    assert context.io._acks == {}
    with gevent.Timeout(0.001, False):
        context.io.call(["q"], DEADLINE)
        raise AssertionError("the timeout around it was not let through")
    assert context.io._acks == {}


def test_calls_fail_when_the_client_goes_away(client: Client) -> None:
    context = client.join()
    called: list[Any] = []
    context.io.request_ack(["q"], called.append)
    answer = gevent.spawn(context.io.call, ["q"], DEADLINE)
    turns()
    client.end("transport error")
    answer.join(DEADLINE)
    assert isinstance(answer.exception, SessionClosed)
    assert answer.exception.reason == "transport error"
    with pytest.raises(SessionClosed):
        context.io.request_ack(["q"], called.append)
    assert called == []
    context.io.forget_ack(0)


def test_too_many_acks() -> None:
    client = Client(make_owner(max_pending_acks=2))
    socket = client.join().io
    first = socket.request_ack(["a"], print)
    socket.request_ack(["a"], print)
    with pytest.raises(LimitExceeded, match="socketio.max_pending_acks"):
        socket.request_ack(["a"], print)
    socket.forget_ack(first)
    socket.request_ack(["a"], print)
    with pytest.raises(TypeError):
        socket.forget_ack(1)
        socket.request_ack([object()], print)
    assert list(socket._acks) == [2]


# Broadcasting


def test_broadcast_encodes_once(owner: SocketIO) -> None:
    clients = [Client(owner) for _ in range(3)]
    contexts = [client.join() for client in clients]
    elsewhere = Client(owner)
    elsewhere.join("/other")
    owner.broadcast("/", ["a", b"\1"])
    assert [client.packets for client in clients] == 3 * [['451-["a",{"_placeholder":true,"num":0}]', "bAQ=="]]
    assert len({id(client.transport.messages[-1]) for client in clients}) == 1
    contexts[0].io.broadcast("hi")
    assert [client.packets for client in clients] == [[], ['42["message","hi"]'], ['42["message","hi"]']]
    contexts[0].io.send("me")
    assert [client.packets for client in clients] == [['42["message","me"]'], [], []]
    assert elsewhere.packets == []
    owner.broadcast("/nobody", ["a"])
    with pytest.raises(TypeError):
        owner.broadcast("/", ["a", object()])


def test_a_client_that_is_lost_during_a_broadcast(owner: SocketIO) -> None:
    clients = [Client(owner) for _ in range(3)]
    contexts = [client.join() for client in clients]
    clients[0].transport.on_send = lambda: clients[1].connection.closed(CloseReason.SLOW_CONSUMER)
    owner.broadcast("/", ["a"])
    turns()
    assert clients[2].packets == ['42["a"]']
    assert contexts[1].told == ["stop", "finish: slow consumer"]


# The log


def test_what_clients_could_repeat_for_ever_is_said_once(owner: SocketIO) -> None:
    assert owner.is_news("subject", "name")
    assert not owner.is_news("subject", "name")
    assert sum(owner.is_news("another", number) for number in range(1000)) == 99
