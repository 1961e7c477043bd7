"""A server of ordinary views, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.raw import Connection
from tests.functional.serving import ThreadServer
from tests.functional.wsgi_app import Views, for_one_test


@pytest.fixture(scope="module")
def serving() -> Iterator[ThreadServer]:
    with ThreadServer(Views(), max_request_body_size=1_000_000) as serving:
        yield serving


@pytest.fixture
def server(serving: ThreadServer) -> Iterator[ThreadServer]:
    yield from for_one_test(serving)


@pytest.fixture
def client(server: ThreadServer) -> Iterator[Connection]:
    with Connection(server.port) as connection:
        yield connection
