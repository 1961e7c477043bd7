"""``socketio-serve-reload development.ini``: the server, restarted whenever a file of the application changes.

A monitor, which is never patched, holds the listening sockets and runs the server as its child. When the child sees a
change (``watch.py``) it ends in order, with exit code 3; the monitor starts the next one, and connections wait in the
kernel's queue meanwhile. After any other failure the monitor itself waits for the next change. The child ends with its
monitor.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence

from .command import explain, parse_arguments
from .run import bind, open_browser, stop_signals, url_of
from .section import Address, read_section
from .watch import CHANGED, config_path, sources, statuses

__all__ = ["Monitor", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    return Monitor(parse_arguments("socketio-serve-reload", argv), argv).run()


class Monitor:
    """Starts the server again and again.

    Args:
        arguments: the parsed command line.
        argv: the same as it was given; every server gets it.
    """

    def __init__(self, arguments: Namespace, argv: Sequence[str]) -> None:
        self.arguments = arguments
        self.argv = list(argv)
        self.config = config_path(arguments.config_uri)
        self.listeners: dict[Address, socket.socket] = {}
        self.open_url: str | None = None
        self.server: subprocess.Popen[bytes] | None = None
        #: Files that a server had loaded.
        self.files: set[str] = {str(self.config)}
        self.stopping = False

    def run(self) -> int:
        """Run servers until one ends by itself or a signal comes; the exit code for the process."""
        with stop_signals(self.stop):
            try:
                return self._run()
            finally:
                for listener in self.listeners.values():
                    listener.close()

    def stop(self) -> None:
        """Let the server end in an orderly way, and start no other one."""
        self.stopping = True
        if self.server:
            self.server.terminate()

    def _run(self) -> int:
        if not self._listen():
            return 1
        if self.arguments.browser:
            open_browser(self.open_url or url_of(next(iter(self.listeners.values()))))
        while True:
            before = self._stamps()
            # The file may say another port than before.
            code = self._run_server() if self._listen() else 1
            if self.stopping:
                # SIGTERM ends at once what has not begun to serve yet, and a change may have come first.
                return 0 if code in (-signal.SIGTERM, CHANGED) else abs(code)
            if code == 0:
                return 0
            if code != CHANGED:
                ending = f"exit code {code}" if code > 0 else signal.Signals(-code).name
                _say(f"the server ended with {ending}; waiting for a change")
                # A file that the monitor hears of only now counts as it is now.
                if not self._wait_for_change({**self._stamps(), **before}):
                    return 0

    def _listen(self) -> bool:
        """Listen on what the file says; where that is not possible, say why and give ``False``."""
        arguments = self.arguments
        try:
            section = read_section(arguments.config_uri, arguments.server_name, arguments.variables)
            self.open_url = section.open_url
            for address in self.listeners.keys() - set(section.addresses):
                self.listeners.pop(address).close()
            for address in section.addresses:
                if address not in self.listeners:
                    self.listeners[address] = bind(address)
        except Exception as error:
            sentence = explain(error, arguments.config_uri)
            if sentence is None:
                raise
            _say(sentence)
            return False
        return True

    def _run_server(self) -> int:
        """Run one server to its end; its exit code, negative for a signal."""
        theirs, ours = os.pipe()
        with open(ours, "wb"), open(theirs, "rb"), tempfile.TemporaryFile() as report:
            fds = [listener.fileno() for listener in self.listeners.values()]
            command = [sys.executable, "-m", "pyramid_socketio.server.serve", "--watch"]
            command += ["--monitor", str(theirs), str(report.fileno())]
            command += [word for fd in fds for word in ("--fd", str(fd))]
            self.server = subprocess.Popen(
                [*command, *self.argv], pass_fds=(theirs, report.fileno(), *fds), close_fds=True
            )
            if self.stopping:
                self.server.terminate()
            code = self.server.wait()
            self.server = None
            self.files.update(os.fsdecode(name) for name in report.read().split(b"\0") if name)
        return code

    def _wait_for_change(self, before: dict[str, tuple[int, int]]) -> bool:
        """``True`` when a file has changed, ``False`` when a signal came first."""
        while not self.stopping and self._stamps() == before:
            time.sleep(min(self.arguments.reload_interval, 0.5))
        return not self.stopping

    def _stamps(self) -> dict[str, tuple[int, int]]:
        """Time of change in nanoseconds, and size in bytes, of every file that is there."""
        files = {*self.files, *sources(self.config.parent)}
        return {name: (status.st_mtime_ns, status.st_size) for name, status in statuses(files)}


def _say(text: str) -> None:
    print(f"socketio-serve-reload: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
