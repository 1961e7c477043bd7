"""The table of revisions: every record has what its users call."""

from __future__ import annotations

import pytest

from pyramid_socketio.protocol import engineio_v4, socketio_v5
from pyramid_socketio.protocol.revisions import BY_EIO, Revision

ENGINE = ("encode_packet", "decode_packet", "encode_payload", "decode_payload", "encode_open", "Message")
SOCKET = (
    "decode_packet",
    "encode_event",
    "encode_ack",
    "encode_connect",
    "encode_connect_error",
    "encode_disconnect",
)


@pytest.mark.parametrize("revision", list(BY_EIO.values()), ids=list(BY_EIO))
def test_a_revision_is_whole(revision: Revision) -> None:
    assert revision.name
    assert set(ENGINE) <= set(revision.engine.__all__)
    assert set(SOCKET) <= set(revision.socket.__all__)


def test_clients_3_and_4() -> None:
    assert BY_EIO["4"] == ("engine.io 4, socket.io 5", engineio_v4, socketio_v5)
    assert "5" not in BY_EIO
