"""A full inbox stops reading from its client, and an empty one reads on."""

from __future__ import annotations

from typing import Any

import pytest
from gevent.event import Event

from pyramid_socketio.errors import AckTimeout
from tests.clients import Client, make_owner, turns
from tests.conftest import DEADLINE


def test_a_full_inbox_stops_reading_until_it_is_empty() -> None:
    client = Client(make_owner(max_inbox_packets=3))
    context = client.join()
    release = Event()
    context.handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["m",0]')
    client.receive(*(f'2["m",{n}]' for n in range(1, 4)))
    assert client.session.flow == []
    client.receive('2["m",4]')
    client.receive('2["m",5]')
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]
    assert [data[1] for data in context.events] == [0, 1, 2, 3, 4, 5]
    client.receive('2["m",6]')
    assert client.session.flow == ["pause", "resume"]


def test_bytes_fill_an_inbox_too() -> None:
    client = Client(make_owner(max_inbox_bytes=1000))
    release = Event()
    client.join().handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["small"]')
    client.receive(f'2["{2000 * "a"}"]')
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]


def test_acknowledgements_fill_an_inbox_too() -> None:
    client = Client(make_owner(max_inbox_packets=2, max_inbox_bytes=1000))
    context = client.join()
    release = Event()

    def handler(data: list[Any]) -> None:
        release.wait(DEADLINE)

    context.handler = handler
    called: list[Any] = []
    for _ in range(4):
        context.io.request_ack(["q"], lambda *args: called.append(args))
    client.receive('2["a"]')
    client.receive("30[]", "31[]", "32[]")
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert len(called) == 3
    assert client.session.flow == ["pause", "resume"]
    release.clear()
    client.receive('2["a"]')
    client.receive(f'33["{2000 * "a"}"]')
    assert client.session.flow == ["pause", "resume", "pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume", "pause", "resume"]


def test_a_call_reads_on_behind_a_full_inbox() -> None:
    client = Client(make_owner(max_inbox_packets=2))
    context = client.join()
    release = Event()
    answers: list[Any] = []

    def handler(data: list[Any]) -> None:
        if data == ["ask"]:
            release.wait(DEADLINE)
            answers.append(context.io.call(["q"], DEADLINE))

    context.handler = handler
    client.receive('2["ask"]', *3 * ('2["m"]',))
    client.receive('2["m"]')
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"], "the answer is behind what waits"
    client.receive('2["m"]')
    assert client.session.flow == ["pause", "resume", "pause"], "twice the limit is the end of it"
    with pytest.raises(AckTimeout):
        context.io.call(["again"], 0.001)
    assert client.session.flow == ["pause", "resume", "pause"]
    client.receive("30[1]")
    assert answers == [[1]]
    assert client.session.flow == ["pause", "resume", "pause", "resume"]


def test_another_namespace_does_not_open_what_a_full_inbox_has_closed() -> None:
    client = Client(make_owner(max_inbox_packets=1))
    slow, fast = client.join(), client.join("/fast")
    release, tick = Event(), Event()
    slow.handler = lambda data: release.wait(DEADLINE) and None
    fast.handler = lambda data: tick.wait(DEADLINE) and None
    client.receive('2["a"]', '2["b"]', '2["c"]', '2/fast,["a"]')
    client.receive('2/fast,["b"]')
    tick.set()
    turns()
    assert len(fast.events) == 2
    assert client.session.flow == ["pause"]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]


def test_a_namespace_that_ended_does_not_keep_the_others_waiting() -> None:
    client = Client(make_owner(max_inbox_packets=1))
    slow, fast = client.join(), client.join("/fast")
    release = Event()
    slow.handler = lambda data: release.wait(DEADLINE) and None
    client.receive('2["a"]', '2["b"]', '2["c"]')
    slow.io.disconnect()
    assert client.session.flow == ["pause", "resume"]
    client.receive('2/fast,["a"]')
    assert fast.events == [["a"]]
    release.set()
    turns()
    assert client.session.flow == ["pause", "resume"]
