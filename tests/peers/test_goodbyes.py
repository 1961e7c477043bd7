"""Goodbyes of 0.6 to 0.9 over polling, in Chromium: what repairs mend of them, and what is seen without.

JSONP brings the repairs along; over XMLHttpRequest they are for pages that have ``compat.js``. Of 1.0.6 see
``test_matrix.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pyramid_socketio.transports import classic_polling
from tests.apps import oldclients_app
from tests.conftest import wait_for
from tests.functional.raw import request
from tests.functional.serving import ThreadServer
from tests.peers.oldclients import Client, NodeClients, PageClients

if TYPE_CHECKING:
    from tests.conftest import ServerProcess

pytestmark = [pytest.mark.peer, pytest.mark.browser]

VERSIONS = ("0.6.17", "0.6.18", "0.7.11", "0.8.7", "0.9.17")  # inside, the first two have other names for everything

#: With the last word: whether the page has ``compat.js``.
MENDED = [
    (version, *how)
    for version in VERSIONS
    for how in (("xhr-polling", True), ("jsonp-polling", True), ("jsonp-polling", False))
]


@pytest.fixture(scope="module")
def url(start_server: Callable[..., ServerProcess]) -> str:
    return start_server("oldclients_app").url


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageClients]:
    with closing(PageClients(tmp_path_factory.mktemp("chromium"))) as pages:
        yield pages


@pytest.fixture
def today(url: str) -> Iterator[Client]:
    with closing(NodeClients()) as nodes:
        client = nodes.start("4.8.4", "websocket", url)
        client.wait_for(lambda entry: entry.kind == "connect")
        yield client


#: Seconds: less than after which a poll of any client is missed.
AT_ONCE = 5.0


def name_of(client: Client) -> str:
    """Its own, while it lives."""
    return f"{client} {id(client)}"


def said(value: Any) -> dict[str, Any]:
    return {"type": "said", "value": value}


def saying(*values: str) -> list[dict[str, Any]]:
    return [{"type": "say", "value": value} for value in values]


def say(client: Client, value: str) -> None:
    """Say it, with the name that the end is to be told for, and wait for the answer."""
    client.send({"type": "name", "value": name_of(client)})
    client.send(*saying(value))
    client.hears("message", said(value))


def ends(client: Client, url: str) -> int:
    """How many sessions of the client the server has seen end, all of them for a good reason."""
    port = urlsplit(url).port
    assert port is not None
    reasons = [reason for name, reason in request(port, "GET", "/peers/ended").json if name == name_of(client)]
    # What 0.6 breaks off may be there before its goodbye.
    broken = (
        {"transport close", "transport error"}
        if client.version.startswith("0.6.") and client.transport == "xhr-polling"
        else set()
    )
    assert set(reasons) <= {"client"} | broken
    return len(reasons)


def connects(client: Client) -> int:
    return sum(entry.kind == "connect" for entry in client.heard())


@pytest.mark.parametrize(("version", "transport", "compat"), MENDED)
def test_the_same_socket_leaves_and_comes_back(
    pages: PageClients, today: Client, url: str, version: str, transport: str, compat: bool
) -> None:
    old = pages.start(version, transport, url, compat=compat)
    try:
        old.wait_for(lambda entry: entry.kind == "connect")
        say(old, "first")
        old.run("sendAndDisconnectAndAgain")
        wait_for(lambda: connects(old) == 2)
        wait_for(lambda: ends(old, url) == 1)
        say(old, "heard after it came back")
        # What was said before the goodbye arrives before it, also what had to wait for the end of a POST; but 0.6
        # throws that away, and breaks the POST off.
        old.run("sendAndDisconnect", *saying("last", "words"))
        if not version.startswith("0.6."):
            today.hears("message", said("last"))
            today.hears("message", said("words"))
        wait_for(lambda: ends(old, url) == 2)
        old.run("again")
        wait_for(lambda: connects(old) == 3)
        say(old, "and again")
        # The goodbye to the session before is not one to that which follows at once.
        old.run("sendAndDisconnectAndAgain", *saying("more", "words"))
        wait_for(lambda: connects(old) == 4)
        wait_for(lambda: ends(old, url) == 3)
        say(old, "and still there")
        assert ends(old, url) == 3
        assert not [entry for entry in old.heard() if entry.kind == "error"]
    finally:
        pages.close_clients()


@pytest.mark.parametrize("version", VERSIONS)
def test_without_help_its_poll_breaks_off(pages: PageClients, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the server sees of a client that sends and leaves in one breath, if it does not answer first."""
    # Far more than that takes on a machine that is busy.
    monkeypatch.setattr(classic_polling, "_LEAVING", 0.5)
    with ThreadServer(oldclients_app.main({})) as server:
        old = pages.start(version, "xhr-polling", f"http://127.0.0.1:{server.port}")
        try:
            old.wait_for(lambda entry: entry.kind == "connect")
            old.send({"type": "say", "value": "first"})
            old.hears("message", said("first"))
            (session,) = server.sessions.values()
            wait_for(lambda: session.transport.reachable)
            old.run("sendAndDisconnect", *saying("last"))
            wait_for(lambda: not server.sessions, AT_ONCE)
        finally:
            pages.close_clients()


def test_what_is_said_on_disconnect_is_for_the_next_session(pages: PageClients, today: Client, url: str) -> None:
    old = pages.start("0.9.17", "xhr-polling", url, compat=True)
    try:
        old.wait_for(lambda entry: entry.kind == "connect")
        say(old, "first")
        old.run("sendWhenDisconnected", *saying("from the listener"))
        old.run("sendAndDisconnect", *saying("last", "words"))
        today.hears("message", said("words"))
        wait_for(lambda: ends(old, url) == 1)
        old.run("againAndDisconnectWhileConnecting")
        old.hears("event", ["given up"])
        old.run("again")
        today.hears("message", said("from the listener"))
        say(old, "and still there")
        assert ends(old, url) == 1
    finally:
        pages.close_clients()


@pytest.mark.parametrize("version", ["0.6.17", "0.6.18"])
def test_another_socket_of_the_page_takes_over(pages: PageClients, url: str, version: str) -> None:
    """Made while the first one had its script in the page, which it takes along."""
    old = pages.start(version, "jsonp-polling", url)
    try:
        old.wait_for(lambda entry: entry.kind == "connect")
        say(old, "first")
        old.run("leaveToAnother", "jsonp-polling", {"type": "say", "value": "the other"})
        old.hears("message", said("the other"))
        wait_for(lambda: ends(old, url) == 1)
        old.send({"type": "say", "value": "goes on"})
        old.hears("message", said("goes on"))
        assert not [entry for entry in old.heard() if entry.kind == "error"]
    finally:
        pages.close_clients()


def test_06_is_heard_after_its_connection_was_lost(pages: PageClients, url: str) -> None:
    old = pages.start("0.6.18", "xhr-polling", url, reconnect=True, compat=True)
    try:
        old.wait_for(lambda entry: entry.kind == "connect")
        old.run("sendAndLoseConnection", *saying("into the void"))
        wait_for(lambda: connects(old) == 2)
        say(old, "back")
    finally:
        pages.close_clients()


def test_what_waits_when_the_server_has_forgotten_the_session(pages: PageClients) -> None:
    """The next session gets it, and no goodbye."""
    with ThreadServer(oldclients_app.main({})) as server:
        old = pages.start("0.9.17", "xhr-polling", f"http://127.0.0.1:{server.port}", reconnect=True, compat=True)
        try:
            old.wait_for(lambda entry: entry.kind == "connect")
            (session,) = server.sessions.values()
            old.run("holdPosts")
            for message in saying("held", "waits", "waits, too"):
                old.send(message)
            server.call(lambda: session.gone(session.transport, "transport close"))
            wait_for(lambda: server.sessions and session.sid not in server.sessions)
            old.run("releasePosts")
            old.hears("message", said("waits"))
            old.hears("message", said("waits, too"))
            assert len(server.sessions) == 1
        finally:
            pages.close_clients()
