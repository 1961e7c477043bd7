"""The server's side of reloading: it looks whether its files change, and tells its monitor which ones they are."""

from __future__ import annotations

import glob
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from paste import reloader

__all__ = ["CHANGED", "ChangeWatch", "MonitorLink", "config_path", "sources", "statuses"]

#: Exit code of a server that saw a change; Paste's.
CHANGED: Final = 3

#: Seconds that a server may take to end when it saw a change: somebody waits for the next one.
END_TIMEOUT: Final = 3.0

#: Compiled message catalogues, relative to the .ini file: they are data, so no module names them.
CATALOGUES: Final = ("*/locale/*/LC_MESSAGES/*.mo", "*/i18n/*/LC_MESSAGES/*.mo")

#: Directories that hold no code of the application.
FOREIGN: Final = {"__pycache__", "node_modules", "site-packages"}


def config_path(uri: str) -> Path:
    """The file of ``development.ini#name``, absolute."""
    return Path(uri.partition("#")[0]).absolute()


def statuses(names: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
    """The files that are there; editors make and remove others at any time."""
    for name in names:
        with suppress(OSError):
            yield name, os.stat(name)


def sources(directory: Path) -> Iterator[str]:
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


class ChangeWatch(reloader.Monitor):  # type: ignore[misc]
    """Paste's reloader, except that a server ends in order when a loaded file changes. Start it before loading.

    Args:
        uri: the .ini file, which is watched too.
        patterns: more files, relative to it; they may appear later.
        interval: seconds between two looks.
    """

    def __init__(self, uri: str, patterns: Sequence[str], interval: float) -> None:
        super().__init__(interval)
        #: Whether a change is what ended the server.
        self.changed = False
        self._end: Callable[[], None] | None = None
        config = config_path(uri)
        absolute = [str(config.parent / pattern) for pattern in (*CATALOGUES, *patterns)]
        self.watch_file(str(config))
        self.add_file_callback(lambda: [name for pattern in absolute for name in glob.glob(pattern, recursive=True)])
        # What is saved from here on is a change, also when that happens before the module is imported.
        self.module_mtimes.update((name, status.st_mtime) for name, status in statuses(sources(config.parent)))

    def start(self) -> None:
        """Look from now on, beside whatever else the process does."""
        threading.Thread(target=self.periodic_reload, daemon=True).start()

    def note_loaded(self) -> None:
        """Note the files that are loaded by now, and not only at the next look."""
        self.check_reload()

    def serving(self, end: Callable[[], None]) -> None:
        """There may be clients from now on: at a change call ``end``, and leave the exit code to who serves."""
        self._end = end

    def periodic_reload(self) -> None:
        while self.check_reload():
            time.sleep(self.poll_interval)
        if self._end is None:
            os._exit(CHANGED)
        # A thread of the system's: it runs also while something that ends blocks.
        from gevent import monkey

        monkey.get_original("_thread", "start_new_thread")(self._end_late, (monkey.get_original("time", "sleep"),))
        self.changed = True
        self._end()

    @staticmethod
    def _end_late(sleep: Callable[[float], None]) -> None:
        sleep(END_TIMEOUT)
        os._exit(CHANGED)


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
