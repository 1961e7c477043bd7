"""Contexts in native threads: what they send there arrives, whatever the transport of the client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from pyramid.config import Configurator

from pyramid_socketio.channels import ChannelContext
from tests.conftest import wait_for
from tests.functional.events import Today, channels, happened, serve, socketio_server
from tests.functional.raw import EngineSocket, PollingSession
from tests.functional.serving import ThreadServer


@pytest.fixture
def enter() -> Iterator[Callable[[Any], Any]]:
    """Ends servers and clients with the test, the latest first."""
    with ExitStack() as stack:
        yield stack.enter_context


class Point:
    def __json__(self, request: Any) -> int:
        return threading.get_native_id()


class Worker(ChannelContext):
    """Does everything in a thread of the pool."""

    def msg_work(self, *args: Any) -> None:
        gevent.get_hub().threadpool.apply(self.work)

    def work(self) -> None:
        for number in range(3):
            self.send(number)
        self.send_event("point", [Point()])
        self.emit("event", b"\1")
        self.msg("progress", percent=100)
        self.broadcast("to the others")
        self.send_and_broadcast("to all")
        self.send_and_broadcast_channel("to the channel", "news")
        happened.append(threading.get_native_id())

    def msg_enter(self, *args: Any) -> None:
        def work() -> None:
            self.join("red", "blue")
            self.leave("red")
            self.subscribe("news")
            self.subscribe("old")
            self.unsubscribe("old")

        gevent.get_hub().threadpool.apply(work)

    def msg_fail(self, *args: Any) -> None:
        def work() -> None:
            for fail in (
                lambda: self.call("question"),
                lambda: self.emit("question", ack=print),
                lambda: self.send(object()),
                lambda: self.broadcast(object()),
            ):
                try:
                    fail()
                except (RuntimeError, TypeError) as error:
                    happened.append(type(error))

        gevent.get_hub().threadpool.apply(work)

    def msg_progress(self, *args: Any) -> str:
        def work() -> None:
            for percent in range(0, 101, 10):
                self.emit("progress", percent)

        gevent.get_hub().threadpool.apply(work)
        if args:
            self.emit("done")
            gevent.get_hub().threadpool.apply(work)
        return "the answer"

    def msg_end(self, *args: Any) -> None:
        gevent.get_hub().threadpool.apply(self.kill)


@pytest.fixture
def server(enter: Any) -> ThreadServer:
    server: ThreadServer = enter(serve(contexts=[(Worker, "/")]))
    return server


@pytest.mark.parametrize("handler_sends", [True, False])
def test_what_a_thread_has_sent_comes_before_what_follows(
    server: ThreadServer, enter: Any, handler_sends: bool
) -> None:
    websocket = enter(EngineSocket(server.port))
    websocket.send_text('427["progress",1]' if handler_sends else '427["progress"]')
    progress = [f'42["progress",{percent}]' for percent in range(0, 101, 10)]
    expected = [*progress, '42["done"]', *progress] if handler_sends else progress
    assert [websocket.receive_text() for _ in range(len(expected) + 1)] == [*expected, '437["the answer"]']


def test_what_a_thread_sends_arrives(server: ThreadServer, enter: Any) -> None:
    polling, other = enter(PollingSession(server.port)), enter(Today(server.port))
    polling.join()
    polling.start_poll()  # has to be answered by what the thread sends
    other.subscribe("news")
    wait_for(lambda: channels(server) == {"news": 1})
    polling.emit("work")
    packets: list[str] = polling.finish_poll().split("\x1e")
    while packets[-1] != '42["message","to the channel"]':
        packets += polling.poll().split("\x1e")
    assert packets == [
        '42["message",0]',
        '42["message",1]',
        '42["message",2]',
        f'42["point",[{happened[0]}]]',
        '451-["event",{"_placeholder":true,"num":0}]',
        "bAQ==",
        '42["message",{"type":"progress","percent":100}]',
        '42["message","to all"]',
        '42["message","to the channel"]',
    ]
    assert [other.hear() for _ in range(3)] == ["to the others", "to all", "to the channel"]
    assert server.failures == []


def test_what_a_thread_of_a_blocking_view_sends_arrives(enter: Any) -> None:
    def view(request: Any) -> None:
        socketio = request.environ["socketio"]
        for message in socketio:
            gevent.get_hub().threadpool.apply(socketio.send, (message,))

    with Configurator() as config:
        config.add_route("socket_io", "socket.io/*remaining")
        config.add_view(view, route_name="socket_io")
    server = enter(ThreadServer(config.make_wsgi_app()))
    polling = enter(PollingSession(server.port))
    polling.join()
    polling.start_poll()
    polling.emit("message", "hello")
    assert polling.finish_poll() == '42["message","hello"]'


def test_a_thread_joins_and_leaves(server: ThreadServer, enter: Any) -> None:
    client = enter(Today(server.port))
    client.emit("enter")
    wait_for(lambda: channels(server) == {"news": 1})
    assert server.call(lambda: socketio_server(server).rooms) == {"blue": 1}
    client.close()
    wait_for(server.has_settled)
    assert server.socketio.adapter._rooms == {}
    assert server.failures == []


def test_a_thread_sends_the_client_away(server: ThreadServer, enter: Any) -> None:
    client = enter(Today(server.port))
    client.emit("end")
    assert client.receive_text() == "41"
    wait_for(lambda: server.socketio.members == {} and not server.socketio.ending)
    assert server.failures == []


def test_a_thread_is_told_at_once_what_it_cannot_do(server: ThreadServer, enter: Any) -> None:
    client = enter(Today(server.port))
    client.emit("fail", ack=1)
    assert client.receive_text() == "431[]", "and nothing before"
    assert happened == [RuntimeError, RuntimeError, TypeError, TypeError]
    assert server.failures == []
