"""``socketio-serve-reload development.ini``: the server, restarted whenever a file of the application changes.

A monitor, which is never patched, holds the listening sockets and runs the server as its child. The child leaves with
exit code 3 when Paste's reloader sees a change; the monitor starts the next one, and meanwhile connections wait in the
kernel's queue. After any other failure the monitor itself waits for the next change. The child ends with its monitor.
"""

from __future__ import annotations

import glob
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from .paste import Address, bind, explain, open_browser, parse_arguments, read_section, stop_signals, url_of

__all__ = ["Monitor", "MonitorLink", "main", "note_loaded", "watch"]

#: Exit code of a server that saw a change; Paste's.
CHANGED: Final = 3

#: Compiled message catalogues, relative to the .ini file: they are data, so no module names them.
CATALOGUES: Final = ("*/locale/*/LC_MESSAGES/*.mo", "*/i18n/*/LC_MESSAGES/*.mo")

#: Directories that hold no code of the application.
FOREIGN: Final = {"__pycache__", "node_modules", "site-packages"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    return Monitor(parse_arguments("socketio-serve-reload", argv), argv).run()


def config_path(uri: str) -> Path:
    """The file of ``development.ini#name`` or ``config:development.ini``, absolute."""
    return Path(uri.removeprefix("config:").partition("#")[0]).absolute()


# In the monitor


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
            open_browser(url_of(next(iter(self.listeners.values()))))
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
            addresses = read_section(arguments.config_uri, arguments.server_name, arguments.variables).addresses
            for address in self.listeners.keys() - set(addresses):
                self.listeners.pop(address).close()
            for address in addresses:
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
        files = {*self.files, *_sources(self.config.parent)}
        return {name: (status.st_mtime_ns, status.st_size) for name, status in _statuses(files)}


def _statuses(names: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
    """The files that are there; editors make and remove others at any time."""
    for name in names:
        with suppress(OSError):
            yield name, os.stat(name)


def _sources(directory: Path) -> Iterator[str]:
    """Every Python file below the directory: one that could not be imported is named by no module."""
    for parent, directories, files in os.walk(directory):
        directories[:] = [
            name
            for name in directories
            if name not in FOREIGN
            and not name.startswith(".")
            and not os.path.exists(os.path.join(parent, name, "pyvenv.cfg"))
        ]
        yield from (os.path.join(parent, name) for name in files if name.endswith(".py"))


def _say(text: str) -> None:
    print(f"socketio-serve-reload: {text}", file=sys.stderr, flush=True)


# In the server


class MonitorLink:
    """What a server has of its monitor.

    Args:
        lifeline_fd: a pipe that ends when the monitor does, however that happens; the server ends then, at once.
        report_fd: a file for the names of the files that are loaded.
    """

    def __init__(self, lifeline_fd: int, report_fd: int) -> None:
        # A thread of the system's: it runs also while a greenlet blocks.
        from gevent import monkey

        self.report_fd = report_fd
        for fd in (lifeline_fd, report_fd):
            os.set_inheritable(fd, False)
        # Ctrl-C reaches the whole group of processes; it is the monitor's to answer.
        signal.signal(signal.SIGINT, lambda number, frame: None)
        monkey.get_original("_thread", "start_new_thread")(self._end_with_monitor, (lifeline_fd,))

    @staticmethod
    def _end_with_monitor(lifeline_fd: int) -> None:
        os.read(lifeline_fd, 1)
        os._exit(1)

    def report(self, error: BaseException | None = None) -> None:
        """Tell which files are loaded, and which ones an error comes from: what could not be loaded is there only."""
        names = {getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())}
        while error is not None:
            names.update(frame.filename for frame in traceback.extract_tb(error.__traceback__))
            if isinstance(error, SyntaxError):
                names.add(error.filename)
            error = error.__cause__ or error.__context__
        os.ftruncate(self.report_fd, 0)
        os.pwrite(self.report_fd, b"\0".join(os.fsencode(name) for name in names if isinstance(name, str)), 0)


def watch(uri: str, patterns: Sequence[str], interval: float) -> None:
    """Let Paste's reloader end this process with exit code 3 when a loaded file changes; call it before loading.

    Args:
        uri: the .ini file, which is watched too.
        patterns: more files, relative to it; they may appear later.
        interval: seconds between two looks.
    """
    from paste import reloader

    config = config_path(uri)
    absolute = [str(config.parent / pattern) for pattern in (*CATALOGUES, *patterns)]
    reloader.watch_file(str(config))
    reloader.add_file_callback(lambda: [name for pattern in absolute for name in glob.glob(pattern, recursive=True)])
    reloader.install(interval)
    # What is saved from here on is a change, also when that happens before the module is imported and first looked at.
    for monitor in reloader.Monitor.instances:
        monitor.module_mtimes.update((name, status.st_mtime) for name, status in _statuses(_sources(config.parent)))


def note_loaded() -> None:
    """Let Paste's reloader note the files that are loaded by now, and not only at its next look."""
    from paste import reloader

    for monitor in reloader.Monitor.instances:
        monitor.check_reload()


if __name__ == "__main__":
    sys.exit(main())
