"""What is measured, of whom, and what must hold: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

__all__ = ["CONNECTED", "FEWER", "OURS", "PEERS", "REVISION_ROWS", "ROWS", "SERVERS", "TODAY", "Limits", "Row"]

OURS = "ours"
#: The other servers, with what a reader of the table should know about them.
PEERS = {
    "node": "Node, socket.io",
    "gevent": "python-socketio on gevent with gevent-websocket",
    "uvicorn": "python-socketio on uvicorn with uvloop",
}
SERVERS = (OURS, *PEERS)
#: In the rows of the older revisions, what stands in for the peers: our own server with clients of this revision.
TODAY, TODAYS_REVISION = "today", "4"
#: In the row of the rooms: our own server with a tenth of the clients.
FEWER = "fewer"


@dataclass(frozen=True)
class Limits:
    """What must be reached: largest ratios of ours to a peer, by the peer's name."""

    cost: dict[str, float]
    median: dict[str, float] = field(default_factory=dict)
    #: Largest cost of ours by itself, in the row's unit; None: no such limit.
    own_cost: float | None = None


@dataclass(frozen=True)
class Row:
    """One load, the same for all that are compared.

    `text` is the title, with ``{clients}`` for their number. `generator` is the program in `load/`, `mode`, `clients`,
    `window` (messages in flight of each client) and `payload` (characters of padding in each message) are its options.
    The cost is the server's CPU time in microseconds for one `unit`, or in mode ``hold`` its memory in KiB for one
    client. `revision` is what the clients speak, by its name in the setting ``socketio.revisions``. With `floor`, what
    the kernel takes for a unit in any case is measured beside it.
    """

    text: str
    unit: str
    limits: Limits
    generator: str = "websocket_load"
    mode: str = "echo"
    clients: int = 100
    window: int = 1
    payload: int = 16
    revision: str = TODAYS_REVISION
    floor: bool = False

    @property
    def title(self) -> str:
        return self.text.format(clients=f"{self.clients:,}")

    @property
    def measures_memory(self) -> bool:
        return self.mode == "hold"

    @property
    def standins(self) -> dict[str, Row]:
        """Where our server is compared with itself: the load by the name of what it stands in for."""
        if TODAY in self.limits.cost:
            return {TODAY: replace(self, revision=TODAYS_REVISION)}
        if FEWER in self.limits.cost:
            return {FEWER: replace(self, clients=self.clients // 10)}
        return {}

    @property
    def cost_unit(self) -> str:
        return "KiB" if self.measures_memory else "CPU us"


ROWS = {
    "echo1": Row("echo, {clients} clients, 1 in flight", "message", Limits({"node": 0.95, "gevent": 0.22})),
    "echo16": Row("echo, {clients} clients, 16 in flight", "message", Limits({"node": 0.8, "gevent": 0.2}), window=16),
    "echo10k": Row(
        "echo of 10 kB, {clients} clients, 1 in flight",
        "message",
        Limits({"node": 1.2, "gevent": 0.06}),
        clients=10,
        payload=10_000,
    ),
    "broadcast": Row(
        "broadcast to {clients} clients",
        "delivery",
        Limits({"node": 0.5, "gevent": 0.2}),
        mode="broadcast",
        clients=1000,
        floor=True,
    ),
    "rooms": Row(
        "message to a room of 10, {clients} clients, 10 in flight",
        "delivery",
        Limits({FEWER: 1.1}),
        mode="rooms",
        clients=10_000,
        window=10,
    ),
    "churn": Row(
        'connect, join "/", leave, {clients} at a time',
        "cycle",
        Limits({"node": 1.4, "gevent": 0.7}),
        mode="churn",
        clients=20,
    ),
    "memory": Row(
        "memory of {clients} idle WebSocket clients",
        "client",
        Limits({"node": 0.5, "gevent": 0.16}, own_cost=8),
        mode="hold",
        clients=5000,
    ),
    "polling": Row(
        "long-polling echo, {clients} clients, POST + GET",
        "cycle",
        Limits({"node": 2.5, "gevent": 0.3}, median={"gevent": 0.1}),
        generator="polling_load",
    ),
}

_OLD_CLIENTS = {"2": "clients 1.x and 2.x", "0.9": "clients 0.7 to 0.9", "0.6": "clients 0.5 and 0.6"}

#: Of our server alone: what clients of the older revisions cost, compared with those of today.
REVISION_ROWS = {
    f"{name}-{revision}": replace(
        ROWS[like], text=f"{ROWS[like].text}, {who}", revision=revision, limits=Limits({TODAY: 1.5})
    )
    for name, like in (("echo", "echo1"), ("broadcast", "broadcast"), ("polling", "polling"))
    for revision, who in _OLD_CLIENTS.items()
}

#: The row behind ``--idle N``: the clients are silent until a broadcast, which each of them answers with an echo.
CONNECTED = Row("broadcast to idle clients, and an echo from each", "client", Limits({}), mode="answer", clients=15_000)
