"""The descriptor of something in memory, as ``select`` sees it."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from pyramid_socketio.evented.readiness import Readiness


@pytest.fixture
def readiness() -> Iterator[Readiness]:
    readiness = Readiness()
    yield readiness
    readiness.close()


def is_readable(readiness: Readiness) -> bool:
    return select.select([readiness], [], [], 0)[0] == [readiness]


def test_readable_while_it_is_set(readiness: Readiness) -> None:
    assert not is_readable(readiness)
    for _ in range(3):
        readiness.set(True)
        assert is_readable(readiness)
    readiness.set(False)
    assert not is_readable(readiness), "set three times, cleared once"
    readiness.set(False)
    readiness.set(True)
    assert is_readable(readiness)


def test_closed(readiness: Readiness) -> None:
    readiness.set(True)
    readiness.close()
    assert readiness.fileno() == -1
    readiness.set(False)
    readiness.close()
