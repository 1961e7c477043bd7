"""The table of revisions: every record has what its users call."""

from __future__ import annotations

import pytest

from pyramid_socketio.protocol import engineio_v4, socketio_v5
from pyramid_socketio.protocol.revisions import ALL, Revision, by_query

ENGINE = ("encode_packet", "decode_packet", "encode_payload", "decode_payload", "Message")
SOCKET = (
    "decode_packet",
    "encode_event",
    "encode_ack",
    "encode_connect",
    "encode_connect_error",
    "encode_disconnect",
)


@pytest.mark.parametrize("revision", list(ALL), ids=lambda revision: revision.name)
def test_a_revision_is_whole(revision: Revision) -> None:
    assert all(callable(getattr(revision.engine, name)) for name in ENGINE)
    assert all(callable(getattr(revision.socket, name)) for name in SOCKET)


def test_clients_3_and_4() -> None:
    facts = (False, False, False, False, False, 0.0, False)
    assert by_query({"EIO": "4"}) == ("4", "3.x and 4.x", engineio_v4, socketio_v5, *facts)
    assert by_query({"EIO": "5"}) is None
    assert by_query({}) is None
    assert by_query({"EIO": "5", "b64": "1"}) is None


@pytest.mark.parametrize("query", [{"EIO": "3"}, {"EIO": "2"}, {"b64": "1"}, {"j": "0"}, {"t": "1795226034745-0"}])
def test_clients_1_and_2(query: dict[str, str]) -> None:
    revision = by_query(query)
    assert revision is not None
    assert revision.name == "2"
    assert revision.client_pings and revision.joins_main and not revision.main_is_connection
