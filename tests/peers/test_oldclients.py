"""Official clients in Node and in Chromium against our server: what the drivers themselves have to be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.peers.oldclients import IN_NODE, IN_PAGES, Client, NodeClients, PageClients

if TYPE_CHECKING:
    from tests.conftest import ServerProcess

VERSIONS = ("3.1.3", "4.8.4")
TEXT = "<né €\U0001d11e>"
BYTES = b"\0\xff\x80~"

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def url(start_server: Callable[..., ServerProcess]) -> str:
    return start_server("oldclients_app").url


@pytest.fixture
def in_node() -> Iterator[NodeClients]:
    clients = NodeClients()
    yield clients
    clients.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageClients]:
    clients = PageClients(tmp_path_factory.mktemp("profile"))
    yield clients
    clients.close()


@pytest.fixture
def in_pages(pages: PageClients) -> Iterator[PageClients]:
    yield pages
    pages.close_clients()


def must_do_all(client: Client) -> None:
    if client.transport == "upgrade":
        client.wait_for(lambda entry: entry.kind == "connect")
        client.hears("upgrade", "websocket")
    else:
        client.hears("connect", client.transport)
    client.send({"type": "say", "value": TEXT})
    client.hears("message", {"type": "said", "value": TEXT})
    client.emit("shout", 1, TEXT)
    client.hears("event", ["shouted", 1, TEXT])
    assert client.ask("ask", {"a": [TEXT]}, 2) == [{"a": [TEXT]}, 2]
    client.emit("quiz", TEXT)
    client.hears("event", ["answered", TEXT])
    client.emit("blob", BYTES)
    client.hears("event", ["blob", BYTES])
    client.disconnect()
    client.wait_for(lambda entry: entry.kind == "disconnect")
    assert [entry for entry in client.entries if entry.kind == "error"] == []


@pytest.mark.parametrize("namespace", ["/", "/room"])
@pytest.mark.parametrize(("version", "transport"), [(v, t) for v in VERSIONS for t in IN_NODE[v]])
def test_in_node(in_node: NodeClients, url: str, version: str, transport: str, namespace: str) -> None:
    must_do_all(in_node.start(version, transport, url, namespace))


@pytest.mark.browser
@pytest.mark.parametrize("namespace", ["/", "/room"])
@pytest.mark.parametrize(("version", "transport"), [(v, t) for v in VERSIONS for t in IN_PAGES[v]])
def test_in_pages(in_pages: PageClients, url: str, version: str, transport: str, namespace: str) -> None:
    must_do_all(in_pages.start(version, transport, url, namespace))


@pytest.mark.browser
def test_all_in_one_room(in_node: NodeClients, in_pages: PageClients, url: str) -> None:
    # More that poll than a browser has connections for one host.
    ways = [(in_pages, "3.1.3", transport) for transport in ("polling", "jsonp-polling") for _ in range(4)]
    ways += [(in_pages, "4.8.4", "websocket"), (in_node, "4.8.4", "polling"), (in_node, "3.1.3", "websocket")]
    room = [clients.start(version, transport, url) for clients, version, transport in ways]
    for client in room:
        client.wait_for(lambda entry: entry.kind == "connect")
    for number, client in enumerate(room):
        client.send({"type": "say", "value": number})
    for client in room:
        for number in range(len(room)):
            client.hears("message", {"type": "said", "value": number})


def test_an_error_of_the_client_is_an_entry(in_node: NodeClients, url: str) -> None:
    client = in_node.start("4.8.4", "polling", url, "/nobody answers this")
    client.hears("error", "connect_error: Invalid namespace")
