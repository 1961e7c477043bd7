"""Rooms against a model: a set of pairs."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyramid_socketio.rooms import Rooms

#: Few, so that they meet; "anna" is a client, too: a name that somebody joins may be the id of somebody else.
ROOMS = st.sampled_from(["red", "green", "blue", "anna"])
IDS = st.sampled_from(["anna", "ben", "carla", "dora"])
SOME_ROOMS = st.lists(st.one_of(ROOMS, IDS), max_size=4)


class RoomsAgainstAModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rooms: Rooms[str] = Rooms()
        self.everybody: dict[str, str] = {}
        self.pairs: set[tuple[str, str]] = set()

    @rule(id=IDS)
    def come(self, id: str) -> None:
        self.everybody[id] = f"socket of {id}"

    @rule(room=ROOMS, id=IDS)
    def join(self, room: str, id: str) -> None:
        """Also who is not in the namespace yet."""
        self.rooms.join(room, id, f"socket of {id}")
        self.pairs.add((room, id))

    @rule(room=ROOMS, id=IDS)
    def leave(self, room: str, id: str) -> None:
        self.rooms.leave(room, id)
        self.pairs.discard((room, id))

    @rule(id=IDS)
    def go(self, id: str) -> None:
        for room in {room for room, member in self.pairs if member == id}:
            self.leave(room, id)
        self.everybody.pop(id, None)

    def in_one_of(self, rooms: list[str]) -> set[str]:
        own = {id for id in self.everybody if id in rooms}
        return own | {id for room, id in self.pairs if room in rooms}

    @rule(rooms=st.one_of(st.none(), SOME_ROOMS), without=SOME_ROOMS)
    def find(self, rooms: list[str] | None, without: list[str]) -> None:
        addressed = set(self.everybody) if rooms is None else self.in_one_of(rooms)
        expected = addressed - self.in_one_of(without) - set(without)
        found = self.rooms.find(self.everybody, None if rooms is None else tuple(rooms), tuple(without))
        assert Counter(found) == Counter(f"socket of {id}" for id in expected), "each of them once"

    @invariant()
    def members_are_those_of_the_model(self) -> None:
        sizes = Counter(room for room, _ in self.pairs)
        assert self.rooms.sizes() == sizes, "an empty room is no room"
        assert len(self.rooms) == len(sizes)
        for room in ("red", "green", "blue", "anna"):
            assert set(self.rooms.members(room)) == {id for name, id in self.pairs if name == room}


TestRoomsAgainstAModel = RoomsAgainstAModel.TestCase


def test_who_is_not_in_the_namespace_yet_can_be_left_out_by_its_id() -> None:
    rooms: Rooms[str] = Rooms()
    rooms.join("blue", "new", "new")
    rooms.join("blue", "old", "old")
    assert rooms.find({"old": "old"}, ("blue",), ("new",)) == ["old"]


@pytest.mark.parametrize(
    "rooms, without", [(("room 1",), ()), (("room 1", "room 2"), ()), (("room 1",), ("big", "id 13")), (("id 7",), ())]
)
def test_others_cost_nothing(rooms: tuple[str, ...], without: tuple[str, ...]) -> None:
    """What is found, and what is left out, takes no memory for who is elsewhere; so no time for copying it."""
    town: Rooms[int] = Rooms()
    everybody = {f"id {number}": number for number in range(10_000)}
    for id, number in everybody.items():
        town.join("big", id, number)
        town.join(f"room {number // 10}", id, number)
    tracemalloc.start()
    try:
        town.find(everybody, rooms, without)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000, "bytes; a copy of the big room has hundreds of thousands"


def test_other_threads_may_look() -> None:
    rooms: Rooms[int] = Rooms()
    everybody = {str(number): number for number in range(1000)}
    for id, number in everybody.items():
        rooms.join("big", id, number)
        rooms.join(f"room {id}", id, number)
    errors: list[BaseException] = []
    over = threading.Event()

    def look() -> None:
        try:
            while not over.is_set():
                assert len(rooms.find(everybody, ("big",), ("1",))) >= 999
                assert rooms.sizes()["big"] >= 1000
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for number in range(20_000):
            rooms.join("big", "guest", number)
            # A hundred come, then they go: with a size that stays the same nobody would notice.
            if number // 100 % 2:
                rooms.leave(f"new {number % 100}", "guest")
            else:
                rooms.join(f"new {number % 100}", "guest", number)
            rooms.leave("big", "guest")
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert errors == []
