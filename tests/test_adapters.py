"""The adapter of one process."""

from __future__ import annotations

import pytest

from pyramid_socketio.adapters import Adapter
from pyramid_socketio.adapters.memory import MemoryAdapter
from pyramid_socketio.socketio import SocketIO
from tests.adapters import AdapterConformance, Member, make_node


class TestMemoryAdapter(AdapterConformance):
    @pytest.fixture
    def nodes(self) -> list[SocketIO]:
        node = make_node(max_pending_acks=5, max_queue_packets=10)
        assert isinstance(node.adapter, MemoryAdapter), "what a server has unless it is told otherwise"
        return [node]


def test_empty_rooms_cost_nothing() -> None:
    node = make_node()
    adapter = node.adapter
    assert isinstance(adapter, MemoryAdapter)
    anna, ben = Member(node), Member(node)
    anna.enter("red", "blue")
    ben.enter("red")
    anna.leave("red", "blue")
    assert set(adapter._rooms) == {"/"}
    adapter.close_room("/", "red")
    assert adapter._rooms == {}
    anna.enter("red")
    ben.enter("green")
    anna.end()
    ben.end()
    assert adapter._rooms == {}


def test_it_is_an_adapter() -> None:
    adapter: Adapter = make_node().adapter
    missing = {name for name in vars(Adapter) if name[0] != "_"} - set(dir(adapter))
    assert missing == set()
