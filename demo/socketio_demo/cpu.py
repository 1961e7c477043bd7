"""The live CPU graph: a greenlet that belongs to the context pushes points until its page is closed."""

from __future__ import annotations

import os
from pathlib import Path

import gevent

from pyramid_socketio import SocketIOContext, socketio_context

#: Seconds between two points.
INTERVAL = 0.5

STAT = Path("/proc/stat")


@socketio_context("/cpu")
class Cpu(SocketIOContext):
    def connect(self) -> None:
        # A greenlet that the context spawned ends with the context: nothing to clean up.
        self.spawn(self.send_points)

    def send_points(self) -> None:
        """Push ``{type: "showdata", point, system, cores}``; the shares are percentages of all cores."""
        try:
            before = read_ticks()
        except OSError:
            self.error("no_data", f"The server cannot read {STAT}: the graph needs a Linux machine.")
            return
        while True:
            gevent.sleep(INTERVAL)
            now = read_ticks()
            busy, system, total = (after - earlier for after, earlier in zip(now, before, strict=True))
            if total:
                point, share = 100 * busy / total, 100 * system / total
                self.msg("showdata", point=round(point, 1), system=round(share, 1), cores=os.cpu_count())
                before = now


def read_ticks() -> tuple[int, int, int]:
    """Clock ticks of all cores since the machine started: busy, busy in the kernel, all.

    The first line of ``/proc/stat`` (proc(5)): ``cpu user nice system idle iowait irq softirq steal ...``. The file
    is made in memory, so reading it does not block.
    """
    with STAT.open() as lines:
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, lines.readline().split()[1:9])
    kernel = system + irq + softirq
    busy = user + nice + kernel + steal
    return busy, kernel, busy + idle + iowait
