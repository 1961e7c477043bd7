"""From measurements to a table and to JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from measure import Measurement
from rows import OURS, Row

__all__ = ["Result", "render", "to_json"]

#: A generator that is busier than this may itself be what limits the rate and adds to the latencies.
BUSY_LOAD = 0.8
#: More than this of the server's core used by other programs makes its latencies worthless, and its costs less certain.
BUSY_CORE = 0.1
HEADER = f"{'':10}{'per s':>10}{'median ms':>11}{'p99 ms':>9}{{:>10}}{'ours is':>10}   limit"


class Result:
    """What one row gave: for each server one measurement per repetition, in the order in which they were made."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.measurements: dict[str, list[Measurement]] = {}
        self.failures: dict[str, str] = {}
        #: The least that the cost can be, if that was measured: once per repetition.
        self.floors: list[float] = []

    def median(self, server: str, figure: str) -> float | None:
        values = [getattr(measurement, figure) for measurement in self.measurements.get(server, ())]
        present = [value for value in values if value is not None]
        return median(present) if present else None

    @property
    def floor(self) -> float | None:
        return median(self.floors) if self.floors else None

    def ratio(self, peer: str, figure: str) -> float | None:
        """The median of ours divided by the peer's, repetition by repetition: what slows down both cancels out."""
        pairs = zip(self.measurements.get(OURS, ()), self.measurements.get(peer, ()), strict=False)
        ratios = [
            getattr(ours, figure) / getattr(theirs, figure)
            for ours, theirs in pairs
            if getattr(ours, figure) is not None and getattr(theirs, figure)
        ]
        return median(ratios) if ratios else None

    def verdicts(self, server: str) -> list[tuple[str, bool]]:
        """The limits that can be judged from the figures of that server: a text, and whether it holds."""
        limits = self.row.limits
        if server == OURS:
            cost = self.median(OURS, "cost")
            if limits.own_cost is None or cost is None:
                return []
            return [(f"{limits.own_cost:g} {self.row.cost_unit}", cost <= limits.own_cost)]
        found = []
        for figure, label, by_peer in (("cost", "", limits.cost), ("median_ms", " of median", limits.median)):
            ratio = self.ratio(server, figure)
            if server in by_peer and ratio is not None:
                found.append((f"{by_peer[server]:g}{label}", ratio <= by_peer[server]))
        return found

    @property
    def missed(self) -> bool:
        return bool(self.failures) or any(
            not holds for server in self.measurements for _, holds in self.verdicts(server)
        )


def render(result: Result) -> str:
    """One row as lines of text, without a newline at the end."""
    row = result.row
    lines = [
        f"{row.title}: {row.cost_unit} per {row.unit}",
        HEADER.format(row.cost_unit),
    ]
    for server in result.measurements:
        ratio = result.ratio(server, "cost") if server != OURS else None
        verdicts = ", ".join(f"{text} {'ok' if holds else 'MISSED'}" for text, holds in result.verdicts(server))
        lines.append(
            f"  {server:8}"
            f"{_number(result.median(server, 'rate'), 10, _count)}"
            f"{_number(result.median(server, 'median_ms'), 11, _figure)}"
            f"{_number(result.median(server, 'p99_ms'), 9, _figure)}"
            f"{_number(result.median(server, 'cost'), 10, _figure)}"
            f"{_number(ratio, 10, '{:.3f}'.format)}   {verdicts}".rstrip()
        )
        lines.extend(f"  warning: {text}" for text in _warnings(result, server))
    lines.extend(f"  {server:8} failed: {why}" for server, why in result.failures.items())
    if result.floor is not None:
        lines.append(f"  the kernel's send alone: {_figure(result.floor)} us")
    return "\n".join(lines)


def _warnings(result: Result, server: str) -> Iterator[str]:
    """What makes the figures of that server doubtful."""
    load, foreign = result.median(server, "load_share"), result.median(server, "foreign_share")
    if load is not None and load > BUSY_LOAD:
        yield f"the load generator used {load:.0%} of its core; it may be what limits {server}"
    if foreign is not None and foreign > BUSY_CORE:
        yield f"other programs used {foreign:.0%} of the core of {server}"


def _number(value: float | None, width: int, text: Callable[[float], str]) -> str:
    return ("" if value is None else text(value)).rjust(width)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _figure(value: float) -> str:
    """Three digits that count, not more: the rest is noise."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def to_json(results: Sequence[tuple[str, Result]]) -> dict[str, Any]:
    """Every measurement, the ratios to each peer and whether the limits hold, by the row's short name."""
    return {
        name: {
            "title": result.row.title,
            "cost_unit": f"{result.row.cost_unit} per {result.row.unit}",
            "measurements": {
                server: [dataclasses.asdict(measurement) for measurement in measurements]
                for server, measurements in result.measurements.items()
            },
            "ratios": {
                server: {"cost": result.ratio(server, "cost"), "median_ms": result.ratio(server, "median_ms")}
                for server in result.measurements
                if server != OURS
            },
            "floor": result.floor,
            "failures": result.failures,
            "missed": result.missed,
        }
        for name, result in results
    }
