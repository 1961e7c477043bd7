"""Measure our server and its peers side by side; see docs/benchmark.md. Started by scripts/bench."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from measure import Timing, answer_of_idle_clients, floor_cost, measure
from processes import BenchError, Cores, build_programs, choose_cores, has_extension, pinned, raise_file_limit
from report import Result, render, to_json
from rows import CONNECTED, OURS, PEERS, REVISION_ROWS, ROWS, SERVERS, Row

#: Files that either side needs besides one socket per client.
SPARE_FILES = 1000
#: Seconds within which the last of 15,000 idle clients must have a broadcast.
IDLE_LIMIT = 2.0
SECONDS, WARMUP = 3.0, 1.0
#: ``--quick``: enough to see that everything runs, and roughly how fast.
QUICK_SECONDS, QUICK_WARMUP, QUICK_CLIENTS = 1.0, 0.5, 1000
ALL_ROWS = ROWS | REVISION_ROWS


def main(argv: list[str] | None = None) -> int:
    """Run what `argv` asks for; returns the exit status."""
    options = _parse(argv)
    timing = Timing(QUICK_WARMUP if options.quick else WARMUP, options.seconds)
    rows = {name: _scaled(ALL_ROWS[name], options.quick) for name in options.rows}
    idle = replace(CONNECTED, clients=options.idle) if options.idle else None
    try:
        build_programs()
        raise_file_limit(max(row.clients for row in (*rows.values(), *([idle] if idle else ()))) + SPARE_FILES)
        cores = choose_cores()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    python = f"Python {platform.python_version()} {'with' if has_extension() else 'WITHOUT'} our C extension"
    print(f"{platform.machine()}, {python}; servers on core {cores.server}, load on core {cores.load}")
    with pinned(cores.load):
        if idle:
            return _idle(idle, options.servers, timing, cores)
        try:
            results = [
                (name, _compare(row, options.servers, timing, options.repeat, cores)) for name, row in rows.items()
            ]
        except BenchError as error:
            sys.exit(f"bench: {error}")
    if options.json:
        options.json.write_text(json.dumps(to_json(results), indent=2) + "\n")
    missed = [name for name, result in results if result.missed]
    if missed:
        print(f"\nmissed: {' '.join(missed)}")
    return 1 if any(result.failures for _, result in results) or (options.check and missed) else 0


def _compare(row: Row, servers: list[str], timing: Timing, repeat: int, cores: Cores) -> Result:
    """Measure one row, server after server, `repeat` times over, and print it.

    Raises:
        BenchError: the floor could not be measured. What goes wrong with a server is in the result.
    """
    result = Result(row)
    standins = row.standins
    if standins:
        contenders = {name: (OURS, load) for name, load in ({OURS: row} | standins).items()}
    else:
        contenders = {server: (server, row) for server in servers}
    for _ in range(repeat):
        for name, (server, load) in contenders.items():
            if name in result.failures:
                continue
            try:
                measurement = measure(server, load, timing, cores)
            except BenchError as error:
                result.failures[name] = str(error)
                result.measurements.pop(name, None)
            else:
                result.measurements.setdefault(name, []).append(measurement)
        if row.floor:
            result.floors.append(floor_cost(row, timing, cores))
    print(f"\n{render(result)}", flush=True)
    return result


def _idle(row: Row, servers: list[str], timing: Timing, cores: Cores) -> int:
    """Let many clients idle, broadcast, and print how long the slowest of them waits."""
    print(f"\n{row.title}: {row.clients:,} clients, seconds until the last one has it")
    status = 0
    for server in servers:
        try:
            delivered, answered = answer_of_idle_clients(server, row, timing, cores)
        except BenchError as error:
            print(f"  {server:8} failed: {error}")
            status = 1
            continue
        holds = answered < IDLE_LIMIT
        print(
            f"  {server:8} broadcast {delivered:.3f}, with everybody's echo {answered:.3f}"
            f" (limit {IDLE_LIMIT:g}: {'ok' if holds else 'MISSED'})",
            flush=True,
        )
        if server not in PEERS and not holds:
            status = 1
    return status


def _scaled(row: Row, quick: bool) -> Row:
    return replace(row, clients=min(row.clients, QUICK_CLIENTS)) if quick else row


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--rows",
        type=_names(ALL_ROWS),
        default=list(ROWS),
        metavar="ROW,...",
        help=f"of: {' '.join(ROWS)} (the default), {' '.join(REVISION_ROWS)}",
    )
    rows.add_argument(
        "--revisions",
        dest="rows",
        action="store_const",
        const=list(REVISION_ROWS),
        help="the rows of the older revisions, which compare our server with itself",
    )
    parser.add_argument(
        "--servers", type=_names(SERVERS), default=list(SERVERS), metavar="SERVER,...", help=f"of: {' '.join(SERVERS)}"
    )
    parser.add_argument("--seconds", type=_positive, help="length of each measurement (default: 3, or 1 when quick)")
    parser.add_argument("--repeat", type=int, default=1, help="rounds over all servers; medians of them are printed")
    parser.add_argument("--quick", action="store_true", help="short measurements, at most 1,000 clients")
    parser.add_argument("--idle", type=int, metavar="N", help="instead: N idle clients and a broadcast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements there")
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a limit is missed")
    options = parser.parse_args(argv)
    if options.repeat < 1 or (options.idle is not None and options.idle < 2):
        parser.error("--repeat must be at least 1, --idle at least 2")
    if options.seconds is None:
        options.seconds = QUICK_SECONDS if options.quick else SECONDS
    return options


def _positive(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 3600:
        raise argparse.ArgumentTypeError("must be a number of seconds")
    return seconds


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A conversion of ``a,b`` to a list of known names."""

    def convert(text: str) -> list[str]:
        names = text.split(",")
        unknown = set(names).difference(known)
        if unknown:
            raise argparse.ArgumentTypeError(f"{min(unknown)!r} is none of: {' '.join(known)}")
        return names

    return convert


if __name__ == "__main__":
    sys.exit(main())
