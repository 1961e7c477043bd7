"""Every official client over every transport that it has in Chromium or Node: all at once, in one room of one process.

Everything runs once, for all tests of this module: what a client did wrong is its own test's to tell. The table in the
README is what was seen here.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.conftest import wait_for
from tests.functional.raw import request
from tests.peers.oldclients import IN_NODE, IN_PAGES, Client, NodeClients, PageClients

if TYPE_CHECKING:
    from tests.conftest import ServerProcess

pytestmark = [pytest.mark.peer, pytest.mark.browser, pytest.mark.timeout(600)]

README = Path(__file__).parents[2] / "README.md"

#: Seconds: sixty clients share this machine.
PATIENCE = 20.0

#: Seconds: 0.7 takes a connection for lost when its heartbeats are missed.
RETURN = 45.0

#: Seconds in which the server knows at once: less than after which it misses a poll or a heartbeat of any client.
AT_ONCE = 5.0

#: Beyond the basic plane, and in two bytes.
TEXT = "é😀"


class Who(NamedTuple):
    """A client in the room."""

    runtime: str
    version: str
    transport: str

    def __str__(self) -> str:
        return " ".join(self)

    @property
    def age(self) -> float:
        return float(".".join(self.version.split(".")[:2]))

    @property
    def has_events(self) -> bool:
        return self.age >= 0.7

    @property
    def has_binary(self) -> bool:
        return self.age >= 1


EVERYBODY = [
    Who(runtime, version, transport)
    for runtime, versions in (("Chromium", IN_PAGES), ("Node", IN_NODE))
    for version, transports in versions.items()
    for transport in transports
]

MESSAGES, EVENTS, ACKS, BINARY, GOODBYE = "messages", "events", "acknowledgements", "binary", "goodbye"

#: Who did what: ``None`` where it went well, else what was wrong.
Results = dict[tuple[Who, str], str | None]


def said(value: Any) -> dict[str, Any]:
    return {"type": "said", "value": value}


class Room:
    """All clients, and what they did."""

    def __init__(self, clients: dict[Who, Client], port: int) -> None:
        self.clients = clients
        self.port = port
        self.results: Results = {}

    def run(self) -> Results:
        for who in self.clients:
            self.note(who, MESSAGES, lambda who=who: self.arrive(who))
        for who, client in self.clients.items():
            client.send({"type": "name", "value": str(who)})
            client.send({"type": "say", "value": [str(who), TEXT, {"n": [1, None, True]}]})
        for who in self.clients:
            self.note(who, MESSAGES, lambda who=who: self.hears_everybody(who))
        for who in filter(lambda who: who.has_events, self.clients):
            self.clients[who].emit("shout", str(who), TEXT)
        for who in self.clients:
            self.note(who, EVENTS, lambda who=who: self.hears_events(who))
        for who in filter(lambda who: who.has_events, self.clients):
            self.note(who, ACKS, lambda who=who: self.acknowledges(who))
        for who in filter(lambda who: who.has_binary, self.clients):
            self.note(who, BINARY, lambda who=who: self.has_bytes(who))
        blobber = self.clients[EVERYBODY[-1]]
        blobber.emit("blob", b"\x00\xff")
        blobber.send({"type": "say", "value": "behind the blob"})
        for who in self.clients:
            self.note(who, BINARY, lambda who=who: self.hears_bytes(who))
        for who in self.clients:
            self.note(who, GOODBYE, lambda who=who: self.leaves(who))
        return self.results

    def note(self, who: Who, what: str, check: Callable[[], None]) -> None:
        """Run a check, unless the client has failed before: then that is what was wrong."""
        failed = next((error for (other, _), error in self.results.items() if other == who and error), None)
        try:
            if failed is None:
                check()
        except AssertionError as error:
            failed = str(error)
        self.results[who, what] = failed

    def arrive(self, who: Who) -> None:
        client = self.clients[who]
        client.wait_for(lambda entry: entry.kind == "connect", PATIENCE)
        if who.transport == "upgrade":
            client.hears("upgrade", "websocket", PATIENCE)

    def hears_everybody(self, who: Who) -> None:
        """Each once."""
        expected = [said([str(other), TEXT, {"n": [1, None, True]}]) for other in self.clients]
        client = self.clients[who]
        for message in expected:
            client.hears("message", message, PATIENCE)
        heard = [str(entry.data) for entry in client.entries if entry.kind == "message" and "said" in str(entry.data)]
        assert Counter(heard) == Counter(map(str, expected))

    def hears_events(self, who: Who) -> None:
        client = self.clients[who]
        for other in filter(lambda other: other.has_events, self.clients):
            if who.has_events:
                client.hears("event", ["shouted", str(other), TEXT], PATIENCE)
            else:
                client.hears("message", {"type": "shouted", "args": [str(other), TEXT]}, PATIENCE)

    def acknowledges(self, who: Who) -> None:
        client = self.clients[who]
        assert client.ask("ask", TEXT, {"a": [1]}) == [TEXT, {"a": [1]}]
        client.emit("quiz", f"{who}?")
        client.hears("event", ["answered", f"{who}?"], PATIENCE)

    def has_bytes(self, who: Who) -> None:
        assert self.clients[who].ask("ask", b"\x00\x80\xff", {"deep": [b"x"]}) == [b"\x00\x80\xff", {"deep": [b"x"]}]

    def hears_bytes(self, who: Who) -> None:
        """Who has no binary data is not disturbed by that of others."""
        client = self.clients[who]
        client.hears("message", said("behind the blob"), PATIENCE)
        heard = [entry for entry in client.entries if entry == ("event", ["blob", b"\x00\xff"])]
        assert len(heard) == who.has_binary

    def leaves(self, who: Who) -> None:
        """The server knows at once, and why; and the client does not come back."""
        self.clients[who].disconnect()
        # The word of 0.6 for it is one that our answers teach it over JSONP.
        says_so = who.has_events or who.transport == "jsonp-polling"
        reasons = ("client",) if says_so else ("transport close", "transport error")

        def seen() -> bool:
            ended = request(self.port, "GET", "/peers/ended").json
            return any(name == str(who) and reason in reasons for name, reason in ended)

        wait_for(seen, AT_ONCE)
        assert [entry.kind for entry in self.clients[who].heard()].count("connect") == 1


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageClients]:
    with closing(PageClients(tmp_path_factory.mktemp("chromium"))) as pages:
        yield pages


@pytest.fixture(scope="module")
def results(start_server: Callable[..., ServerProcess], pages: PageClients) -> Results:
    server = start_server("oldclients_app")
    with closing(NodeClients()) as nodes:
        clients: dict[Who, Client] = {}
        for who in EVERYBODY:
            if who.runtime == "Node":
                clients[who] = nodes.start(who.version, who.transport, server.url)
            else:
                clients[who] = pages.start(who.version, who.transport, server.url)
        try:
            return Room(clients, server.port).run()
        finally:
            pages.close_clients()


def must_be_ok(results: Results, who: Who, what: str) -> None:
    if (error := results[who, what]) is not None:
        pytest.fail(error, pytrace=False)


@pytest.mark.parametrize("who", EVERYBODY, ids=str)
def test_hears_everybody_once(results: Results, who: Who) -> None:
    must_be_ok(results, who, MESSAGES)
    must_be_ok(results, who, EVENTS)


@pytest.mark.parametrize("who", [who for who in EVERYBODY if who.has_events], ids=str)
def test_acknowledges_and_is_acknowledged(results: Results, who: Who) -> None:
    must_be_ok(results, who, ACKS)


@pytest.mark.parametrize("who", EVERYBODY, ids=str)
def test_binary_data_or_none(results: Results, who: Who) -> None:
    must_be_ok(results, who, BINARY)


@pytest.mark.parametrize("who", EVERYBODY, ids=str)
def test_the_server_sees_its_end(results: Results, who: Who) -> None:
    must_be_ok(results, who, GOODBYE)


@pytest.fixture(scope="module")
def returned(start_server: Callable[..., ServerProcess], pages: PageClients) -> dict[Who, str | None]:
    """Who came back to a server on the same port after it ended in order, and after it was killed.

    ``None``, or what was wrong.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start_server("oldclients_app", port=port)
    with closing(NodeClients()) as nodes:
        clients: dict[Who, Client] = {}
        for who in EVERYBODY:
            if who.runtime == "Node":
                clients[who] = nodes.start(who.version, who.transport, server.url, reconnect=True)
            else:
                clients[who] = pages.start(who.version, who.transport, server.url, reconnect=True)
        try:
            for client in clients.values():
                client.wait_for(lambda entry: entry.kind == "connect", PATIENCE)
            assert server.stop() == 0
            server.start()
            found = {who: _comes_back(who, client, "back") for who, client in clients.items()}
            server.kill()
            server.start()
            return {who: found[who] or _comes_back(who, client, "back again") for who, client in clients.items()}
        finally:
            pages.close_clients()


def _comes_back(who: Who, client: Client, word: str) -> str | None:
    """Not every client says when it has connected anew, but then it hears what it sends."""
    back = said(f"{who} is {word}")

    def hears_itself() -> bool:
        client.send({"type": "say", "value": back["value"]})
        return ("message", back) in client.heard()

    try:
        wait_for(hears_itself, RETURN)
    except AssertionError:
        return f"heard nothing again: {client.entries}"
    return None


@pytest.mark.parametrize("who", EVERYBODY, ids=str)
def test_comes_back_after_a_restart(returned: dict[Who, str | None], who: Who) -> None:
    if (error := returned[who]) is not None:
        pytest.fail(error, pytrace=False)


def table(results: Results, returned: dict[Who, str | None]) -> str:
    """What was seen, in Markdown."""
    lines = [
        "| client | in Chromium over | in Node over | events | acks | binary | comes back |",
        "|---|---|---|---|---|---|---|",
    ]
    for version in IN_PAGES:
        them = [who for who in EVERYBODY if who.version == version]
        well = {what: all(results.get((who, what)) is None for who in them) for what in (EVENTS, ACKS, BINARY)}
        over = {
            runtime: ", ".join(
                who.transport for who in them if who.runtime == runtime and results[who, MESSAGES] is None
            )
            for runtime in ("Chromium", "Node")
        }
        who = them[0]
        cells = [
            f"socket.io {version}" if who.age < 0.7 else f"socket.io-client {version}",
            over["Chromium"],
            over["Node"] or "does not run",
            ("yes" if who.has_events else "as messages") if well[EVENTS] else "NO",
            ("yes" if who.has_events else "has none") if well[ACKS] else "NO",
            ("yes" if who.has_binary else "has none") if well[BINARY] else "NO",
            "yes" if all(returned[who] is None for who in them) else "NO",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_table_in_the_readme_is_what_was_seen(results: Results, returned: dict[Who, str | None]) -> None:
    expected = table(results, returned)
    assert expected in README.read_text(encoding="utf-8"), f"the README should have this table:\n\n{expected}\n"
