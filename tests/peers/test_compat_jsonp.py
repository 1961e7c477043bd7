"""What ``compat.js`` mends of 0.6 over jsonp-polling, in Chromium; of 1.0.6 see ``test_matrix.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import wait_for
from tests.functional.raw import request
from tests.peers.oldclients import Client, NodeClients, PageClients

if TYPE_CHECKING:
    from tests.conftest import ServerProcess

pytestmark = [pytest.mark.peer, pytest.mark.browser]

NAME = "0.6.18 over jsonp-polling"


@pytest.fixture(scope="module")
def url(start_server: Callable[..., ServerProcess]) -> str:
    return start_server("oldclients_app").url


@pytest.fixture
def old(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with closing(PageClients(tmp_path_factory.mktemp("chromium"))) as pages:
        client = pages.start("0.6.18", "jsonp-polling", url, compat=True)
        client.wait_for(lambda entry: entry.kind == "connect")
        yield client
        pages.close_clients()


@pytest.fixture
def today(url: str) -> Iterator[Client]:
    with closing(NodeClients()) as nodes:
        client = nodes.start("4.8.4", "websocket", url)
        client.wait_for(lambda entry: entry.kind == "connect")
        yield client


def said(value: Any) -> dict[str, Any]:
    return {"type": "said", "value": value}


def say(client: Client, value: str) -> None:
    """Say it, with the name that the end is to be told for, and wait for the answer."""
    client.send({"type": "name", "value": NAME})
    client.send({"type": "say", "value": value})
    client.hears("message", said(value))


def ends(url: str) -> list[str]:
    """The reasons for which the server has seen the client end."""
    port = urlsplit(url).port
    assert port is not None
    return [reason for name, reason in request(port, "GET", "/peers/ended").json if name == NAME]


def connects(client: Client) -> int:
    return sum(entry.kind == "connect" for entry in client.heard())


def test_the_same_socket_leaves_and_comes_back(old: Client, today: Client, url: str) -> None:
    say(old, "first")
    old.run("disconnectAndAgain")
    wait_for(lambda: connects(old) == 2)
    wait_for(lambda: ends(url) == ["client"])
    say(old, "heard after it came back")
    # What was said before the goodbye arrives before it.
    old.run("sendAndDisconnect", {"type": "say", "value": "last words"})
    today.hears("message", said("last words"))
    wait_for(lambda: ends(url) == ["client"] * 2)
    old.run("again")
    wait_for(lambda: connects(old) == 3)
    say(old, "and again")
    assert not [entry for entry in old.heard() if entry.kind == "error"]
