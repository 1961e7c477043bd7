"""The processes of a measurement: servers on one core, load generators on another, and what they cost."""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

__all__ = [
    "BenchError",
    "Cores",
    "Floor",
    "Load",
    "Server",
    "build_programs",
    "busy_seconds",
    "choose_cores",
    "has_extension",
    "pinned",
    "raise_file_limit",
]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = HERE / "build"
PROGRAMS = ("websocket_load", "polling_load", "floor")
#: Seconds for a server to listen, and for either side to say the next word; generous, they only end what hangs.
START_TIMEOUT, LINE_TIMEOUT, STOP_TIMEOUT = 60.0, 120.0, 10.0
COMMANDS = {
    "ours": [sys.executable, "servers/ours.py"],
    "node": ["node", "servers/node.js"],
    "gevent": [sys.executable, "servers/python_socketio_gevent.py"],
    "uvicorn": [sys.executable, "servers/python_socketio_uvicorn.py"],
}


class BenchError(Exception):
    """A measurement could not be made; the text is for the user."""


def build_programs() -> None:
    """Compile the load generators, and the floor, into ``build/`` where they are missing or older than their sources.

    Raises:
        BenchError: no C compiler, or it refuses.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise BenchError("needs a C compiler for the load generators (Debian: apt-get install gcc libc6-dev)")
    BUILD.mkdir(exist_ok=True)
    headers = max(header.stat().st_mtime for header in (HERE / "load").glob("*.h"))
    for name in PROGRAMS:
        source, target = HERE / "load" / f"{name}.c", BUILD / name
        if target.exists() and target.stat().st_mtime > max(source.stat().st_mtime, headers):
            continue
        # Under a name of its own first: two runs at a time must not see half a program.
        unfinished = BUILD / f"{name}.{os.getpid()}"
        command = [compiler, "-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", str(unfinished), str(source), "-lm"]
        if subprocess.run(command).returncode:
            raise BenchError(f"could not compile {source}")
        unfinished.replace(target)


def raise_file_limit(files: int) -> None:
    """Let this process and its children open so many files.

    Raises:
        BenchError: the system does not allow that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(hard, files)))
        except (ValueError, OSError):
            raise BenchError(f"needs {files} open files, the limit is {hard}: raise it with `ulimit -Hn`") from None


class Cores(NamedTuple):
    """The core that servers run on, and the one for load generators and this program."""

    server: int
    load: int


def choose_cores() -> Cores:
    """Two cores that this process may use, of two physical cores where the system tells and there are two.

    Raises:
        BenchError: there is only one.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchError("needs two cores: one for the server, one for the load")
    server = usable[-1]
    siblings = _siblings(server)
    return Cores(server, next((core for core in usable if core not in siblings), usable[0]))


def _siblings(core: int) -> set[int]:
    """The hardware threads of the same physical core, itself included: a busy one slows down the others."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return {core}
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _python_path() -> str:
    """This checkout first, so that it is what gets measured, whatever is installed."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def has_extension() -> bool:
    """Whether our server runs with its C extension, built for this Python."""
    return (ROOT / f"pyramid_socketio/_speedups{sysconfig.get_config_var('EXT_SUFFIX')}").exists()


def busy_seconds(core: int) -> float:
    """Time that programs, whichever, have used of a core since the start of the system, and time stolen by the host."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            # proc(5): user, nice, system, idle, iowait, irq, softirq, steal
            return sum(int(ticks[at]) for at in (0, 1, 2, 7)) / os.sysconf("SC_CLK_TCK")
    raise BenchError(f"/proc/stat does not list core {core}")


_Child = TypeVar("_Child", bound="Child")


class Child:
    """A process of ours that prints lines; it is killed when the `with` block ends."""

    def __init__(self, command: list[str], core: int) -> None:
        self.name = Path(command[-1] if command[0] in (sys.executable, "node") else command[0]).name
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                command,
                cwd=HERE,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, "NODE_ENV": "production", "PYTHONPATH": _python_path()},
                # Before the program starts, so that threads it makes are on that core, too.
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        except FileNotFoundError:
            raise BenchError(f"{command[0]} is not installed") from None
        self._pending = b""

    def __enter__(self: _Child) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.communicate()
        self._errors.close()

    def read_line(self, timeout: float) -> str:
        """The next line of its output.

        Raises:
            BenchError: it ended or said nothing for `timeout` seconds; the text has the end of its error output.
        """
        assert self.process.stdout is not None
        stdout = self.process.stdout.fileno()
        deadline = time.monotonic() + timeout
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                raise BenchError(f"{self.name} hangs: {self._last_words()}")
            data = os.read(stdout, 65536)
            if not data:
                raise BenchError(f"{self.name} ended: {self._last_words()}")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next line, which must be that event.

        Raises:
            BenchError: it failed, or said something else.
        """
        line: dict[str, Any] = json.loads(self.read_line(LINE_TIMEOUT))
        if line.pop("event") != event:
            raise BenchError(f"{self.name} said {line} instead of {event!r}")
        return line

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode(errors="replace").strip() or "no error output"


class Server(Child):
    """A server under test, listening on a free port of 127.0.0.1."""

    def __init__(self, name: str, cores: Cores) -> None:
        super().__init__(COMMANDS[name], cores.server)
        try:
            self.port = int(self.read_line(START_TIMEOUT).rpartition(" ")[2])
        except BaseException:
            self.__exit__()
            raise

    def _tree(self) -> Iterator[int]:
        """The ids of the process and of its descendants."""
        found = [self.process.pid]
        while found:
            pid = found.pop()
            yield pid
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found.extend(int(child) for child in children.read_text().split())

    def cpu_seconds(self) -> float:
        """User and system time of the process, its threads and its children, also of those that have ended."""
        ticks = 0
        for pid in self._tree():
            # proc(5): the name, in parentheses, may hold blanks; utime, stime, cutime, cstime are fields 14 to 17.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_kib(self) -> float:
        """Resident memory of the process and its children, as the kernel counts it page by page (not estimated)."""
        total = 0
        for pid in self._tree():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    total += int(line.split()[1])
        return total

    def settled_memory_kib(self, timeout: float = 5.0) -> float:
        """Resident memory once it has stayed within 0.1 % for half a second, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        memory, since = self.memory_kib(), time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < 0.5:
            time.sleep(0.05)
            now = self.memory_kib()
            if abs(now - memory) > memory / 1000:
                memory, since = now, time.monotonic()
        return self.memory_kib()


class Load(Child):
    """A running load generator."""

    def __init__(self, generator: str, cores: Cores, **options: object) -> None:
        arguments = [f"--{name}={value}" for name, value in options.items()]
        super().__init__([str(BUILD / generator), *arguments], cores.load)

    def finish(self) -> dict[str, Any]:
        """End its standard input, which is the sign to stop for those who wait for one, and take the result.

        Raises:
            BenchError: a connection was lost, or an answer was not the expected one.
        """
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None
        result = self.wait_for("result")
        if result["errors"]:
            raise BenchError(f"{result['errors']} connections or answers were not as expected: {self._last_words()}")
        return result


class Floor(Child):
    """The program that measures what the kernel alone takes for a broadcast; it sends on the servers' core."""

    def __init__(self, clients: int, size: int, seconds: float, cores: Cores) -> None:
        super().__init__([str(BUILD / "floor"), *map(str, (clients, size, seconds, cores.load))], cores.server)

    def cost(self) -> float:
        """Microseconds of CPU time for one message to one client.

        Raises:
            BenchError: it failed.
        """
        cost: float = self.wait_for("result")["cost"]
        return cost


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run this process itself on one core, away from the server."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
