"""Official clients of all ages, driven from a test: in Node, and in frames of pages in Chromium.

``page.js`` says what a client does and hears. The server under test has to be ``tests/apps/oldclients_app.py``, which
serves the pages: browsers want them of the same origin as the server.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from selenium.webdriver import Chrome

from tests.browser.conftest import Browser
from tests.conftest import DEADLINE, wait_for

DRIVER = Path(__file__).parent / "driver.cjs"

_CLASSIC = ("websocket", "xhr-polling", "jsonp-polling")
_WITH_JSONP = ("websocket", "polling", "upgrade", "jsonp-polling")
_WITHOUT_JSONP = ("websocket", "polling", "upgrade")

#: Version -> transports that its browser build has in Chromium.
IN_PAGES: dict[str, tuple[str, ...]] = {
    "0.6.18": _CLASSIC,
    "0.7.11": _CLASSIC,
    "0.8.7": _CLASSIC,
    "0.9.17": _CLASSIC,
    "1.0.6": _WITH_JSONP,
    "1.7.4": _WITH_JSONP,
    "2.0.4": _WITH_JSONP,
    "2.5.0": _WITH_JSONP,
    "3.1.3": _WITH_JSONP,
    "4.8.4": _WITHOUT_JSONP,
}

#: Version -> transports that its package has in Node. JSONP needs a document, and the WebSocket package of 0.7 and 0.8
#: wants Node 0.4. Here 1.0 sends zeros for bytes over polling; and text beyond ASCII encoded twice over a WebSocket
#: that is its first request, by which no server can tell it from its successors.
IN_NODE: dict[str, tuple[str, ...]] = {
    "0.7.11": ("xhr-polling",),
    "0.8.7": ("xhr-polling",),
    "0.9.17": ("websocket", "xhr-polling"),
    "1.0.6": ("upgrade",),
    "1.7.4": _WITHOUT_JSONP,
    "2.0.4": _WITHOUT_JSONP,
    "2.5.0": _WITHOUT_JSONP,
    "3.1.3": _WITHOUT_JSONP,
    "4.8.4": _WITHOUT_JSONP,
}

#: What a client listens for, for the handlers of ``oldclients_app``.
EVENTS = ("shouted", "blob", "question", "answered")


class Entry(NamedTuple):
    """Something that a client heard.

    Attributes:
        kind: ``connect``, ``upgrade``, ``message``, ``event``, ``ack``, ``disconnect`` or ``error``.
        data: see ``page.js``; binary data as ``bytes``.
    """

    kind: str
    data: Any


class Client:
    """One client; :class:`NodeClients` and :class:`PageClients` make them.

    Attributes:
        version: of the client's package.
        transport: as ``page.js`` names them.
        entries: what it has heard so far, in that order.
    """

    def __init__(self, version: str, transport: str) -> None:
        self.version = version
        self.transport = transport
        self.entries: list[Entry] = []
        self._acks = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.version} {self.transport}>"

    def wait_for(self, predicate: Callable[[Entry], object], timeout: float = DEADLINE) -> Entry:
        """The first entry for which ``predicate`` is true, waited for.

        Raises:
            AssertionError: there is none within ``timeout`` seconds; its text has all entries.
        """

        def found() -> Entry | None:
            # Reading asks Chromium, which takes a while.
            heard = next(filter(predicate, self.entries), None)
            if heard is None:
                self._read()
                heard = next(filter(predicate, self.entries), None)
            return heard

        try:
            return wait_for(found, timeout)
        except AssertionError as late:
            raise AssertionError(f"{self!r} heard only {self.entries}") from late

    def hears(self, kind: str, data: Any, timeout: float = DEADLINE) -> Entry:
        """Wait for just this entry."""
        return self.wait_for(lambda entry: entry == (kind, data), timeout)

    def heard(self) -> list[Entry]:
        """All entries up to now."""
        self._read()
        return self.entries

    def send(self, value: Any) -> None:
        """``socket.send(value)``: a text, or an object."""
        self._command("send", value)

    def emit(self, name: str, *args: Any) -> None:
        """``socket.emit(name, ...args)``; clients 0.6 have none."""
        self._command("emit", name, list(args))

    def ask(self, name: str, *args: Any) -> list[Any]:
        """``socket.emit(name, ...args, callback)``: what the callback is called with."""
        self._acks += 1
        number = self._acks
        self._command("emit", name, list(args), number)
        return list(self.wait_for(lambda entry: entry.kind == "ack" and entry.data[0] == number).data[1:])

    def disconnect(self) -> None:
        """``socket.disconnect()``."""
        self._command("disconnect")

    def run(self, command: str, *args: Any) -> None:
        """Another command of ``page.js``."""
        self._command(command, *args)

    def close(self) -> None:
        """End it without a word to the server, as far as its runtime allows that."""
        raise NotImplementedError

    def _connect(self, url: str, namespace: str, reconnect: bool) -> None:
        options = {
            "transport": self.transport,
            "namespace": namespace,
            "events": list(EVENTS),
            "reconnect": reconnect,
        }
        self._command("connect", url, options)

    def _command(self, *command: Any) -> None:
        self._write(json.dumps(command, default=_to_base64))

    def _heard(self, texts: list[str]) -> None:
        for text in texts:
            entry = json.loads(text, object_hook=_from_base64)
            self.entries.append(Entry(entry["kind"], entry["data"]))

    def _write(self, text: str) -> None:
        raise NotImplementedError

    def _read(self) -> None:
        """Bring ``entries`` up to date."""
        raise NotImplementedError


class NodeClient(Client):
    """``driver.cjs`` in a process of its own."""

    def __init__(self, version: str, transport: str, url: str, namespace: str, reconnect: bool) -> None:
        super().__init__(version, transport)
        self._process = subprocess.Popen(
            ["node", str(DRIVER), version], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._reader = Thread(target=self._read_lines)
        self._reader.start()
        self._connect(url, namespace, reconnect)

    def close(self) -> None:
        # Leaving the process closes its pipes; the reader sees their end before.
        with self._process:
            self._process.kill()
            self._reader.join(DEADLINE)

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        while not self._lines.empty():
            self._heard([self._lines.get()])


class PageClient(Client):
    """The page of ``oldclients_app`` in a frame."""

    def __init__(
        self,
        driver: Chrome,
        name: str,
        version: str,
        transport: str,
        url: str,
        namespace: str,
        reconnect: bool,
        compat: bool,
    ) -> None:
        super().__init__(version, transport)
        self._driver = driver
        self._name = name
        driver.switch_to.default_content()
        driver.execute_script(
            "const frame = document.createElement('iframe');"
            "[frame.name, frame.src] = arguments; document.body.append(frame)",
            name,
            f"{url}/peers/page/{version}{'?compat' if compat else ''}",
        )
        # The scripts of a page run in their order, so that the client is there, too.
        wait_for(lambda: self._run("return document.readyState === 'complete' && 'command' in window"))
        self._connect(url, namespace, reconnect)

    def close(self) -> None:
        self._driver.switch_to.default_content()
        self._driver.execute_script("document.getElementsByName(arguments[0])[0].remove()", self._name)

    def _run(self, script: str, *args: Any) -> Any:
        self._driver.switch_to.default_content()
        self._driver.switch_to.frame(self._name)
        return self._driver.execute_script(script, *args)

    def _write(self, text: str) -> None:
        self._run("window.command(arguments[0])", text)

    def _read(self) -> None:
        for entry in json.loads(self._run("return window.entriesFrom(arguments[0])", len(self.entries))):
            self._heard([json.dumps(entry)])


class NodeClients:
    """Starts clients in Node, and ends them."""

    def __init__(self) -> None:
        self._clients: list[NodeClient] = []

    def start(self, version: str, transport: str, url: str, namespace: str = "/", reconnect: bool = False) -> Client:
        """Start a client and let it connect; wait for its entry ``connect``.

        Args:
            version: one of :data:`IN_NODE`.
            transport: one of those that it has there.
            url: of the server, without a path.
            namespace: ``/`` or ``/room``.
            reconnect: whether it comes back by itself.
        """
        client = NodeClient(version, transport, url, namespace, reconnect)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """End all clients."""
        while self._clients:
            self._clients.pop().close()


class PageClients:
    """Starts clients in frames of one Chromium, and ends them.

    Args:
        profile: an empty directory for it.
    """

    def __init__(self, profile: Path) -> None:
        self._browser = Browser(profile)
        self._clients: list[PageClient] = []
        self._started = 0

    def start(
        self,
        version: str,
        transport: str,
        url: str,
        namespace: str = "/",
        reconnect: bool = False,
        compat: bool = False,
    ) -> Client:
        """As :meth:`NodeClients.start`, with :data:`IN_PAGES`.

        Args:
            url: of a server on 127.0.0.1; only its port counts.
            compat: whether the page has ``compat.js``, too.
        """
        port = urlsplit(url).port
        if not self._started:
            # Frames of a blank page may not ask this machine for anything. The page may outlive its server.
            self._browser.driver.get(f"http://peers.localhost:{port}/peers/")
        self._started += 1
        name = f"client-{self._started}"
        # Chromium has six connections for all frames that share a host, and each client that polls keeps one. Below one
        # domain they still are one site, and one process.
        url = f"http://{name}.peers.localhost:{port}"
        client = PageClient(self._browser.driver, name, version, transport, url, namespace, reconnect, compat)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """Remove all frames; Chromium stays."""
        while self._clients:
            self._clients.pop().close()

    def close(self) -> None:
        """End all clients, and Chromium."""
        self._browser.driver.quit()


def _to_base64(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{value!r} cannot be sent")


def _from_base64(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value
