"""One measurement: a fresh server, one load, the figures."""

from __future__ import annotations

from dataclasses import dataclass

from processes import BenchError, Cores, Floor, Load, Server, busy_seconds
from rows import Row

__all__ = ["Measurement", "Timing", "answer_of_idle_clients", "floor_cost", "measure"]

#: Clients that come and go before memory is measured, so that what a server loads once is not counted per client.
WARMUP_CLIENTS = 100
#: What a broadcast of the smallest messages sends to each client: a frame of about so many bytes.
FLOOR_BYTES = 80


@dataclass(frozen=True)
class Timing:
    """Seconds before figures count (just-in-time compilers, caches, full queues) and during which they do."""

    warmup: float
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """The figures of one row on one server. Those that the row does not have are None.

    `cost` is in microseconds of CPU time, or KiB, per unit. `server_share` and `load_share` are parts of a core;
    `foreign_share` is the part of the server's core that other programs used.
    """

    cost: float
    rate: float | None = None
    median_ms: float | None = None
    p99_ms: float | None = None
    server_share: float | None = None
    load_share: float | None = None
    foreign_share: float | None = None


def measure(name: str, row: Row, timing: Timing, cores: Cores) -> Measurement:
    """Start the server `name`, put the load of `row` on it and stop both.

    Raises:
        BenchError: either side failed, or an answer was not the expected one.
    """
    with Server(name, cores) as server:
        return _memory(server, row, cores) if row.measures_memory else _cpu(server, row, timing, cores)


def _cpu(server: Server, row: Row, timing: Timing, cores: Cores) -> Measurement:
    with _load(row, server, cores, warmup=timing.warmup, seconds=timing.seconds) as load:
        load.wait_for("ready")
        load.wait_for("start")
        before, busy_before = server.cpu_seconds(), busy_seconds(cores.server)
        load.wait_for("stop")
        cpu, busy = server.cpu_seconds() - before, busy_seconds(cores.server) - busy_before
        result = load.finish()
    if not result["units"]:
        raise BenchError("the server answered nothing")
    return Measurement(
        cost=cpu / result["units"] * 1e6,
        rate=result["units"] / result["seconds"],
        median_ms=result["median_ms"],
        p99_ms=result["p99_ms"],
        server_share=cpu / result["seconds"],
        load_share=result["load_share"],
        foreign_share=max(0.0, busy - cpu) / result["seconds"],
    )


def _memory(server: Server, row: Row, cores: Cores) -> Measurement:
    _hold(server, row, cores, WARMUP_CLIENTS)
    before = server.settled_memory_kib()
    after = _hold(server, row, cores, row.clients)
    return Measurement(cost=(after - before) / row.clients)


def _hold(server: Server, row: Row, cores: Cores, clients: int) -> float:
    """Memory of the server in KiB while so many clients are connected."""
    with _load(row, server, cores, clients=clients) as load:
        load.wait_for("ready")
        memory = server.settled_memory_kib()
        result = load.finish()
    if result["clients"] != clients:
        raise BenchError(f"only {result['clients']} of {clients} clients stayed")
    return memory


def floor_cost(row: Row, timing: Timing, cores: Cores) -> float:
    """CPU time in microseconds that the kernel takes to send one small message to one of the row's clients.

    Raises:
        BenchError: the program that measures it failed.
    """
    with Floor(row.clients, FLOOR_BYTES, timing.seconds, cores) as floor:
        return floor.cost()


def answer_of_idle_clients(name: str, row: Row, timing: Timing, cores: Cores) -> tuple[float, float]:
    """Seconds from a broadcast until the last of many idle clients has it, and until all have had an echo answered."""
    with Server(name, cores) as server, _load(row, server, cores, warmup=timing.warmup) as load:
        load.wait_for("ready")
        result = load.finish()
    return result["delivered_ms"] / 1e3, result["answered_ms"] / 1e3


def _load(row: Row, server: Server, cores: Cores, **options: object) -> Load:
    known: dict[str, object] = {
        "mode": row.mode,
        "port": server.port,
        "clients": row.clients,
        "window": row.window,
        "payload": row.payload,
        "revision": row.revision,
    }
    return Load(row.generator, cores, **(known | options))
