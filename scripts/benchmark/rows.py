"""What is measured, of whom, and what must hold: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CONNECTED", "OURS", "PEERS", "ROWS", "SERVERS", "Limits", "Row"]

OURS = "ours"
#: The other servers, with what a reader of the table should know about them.
PEERS = {
    "node": "Node, socket.io",
    "gevent": "python-socketio on gevent with gevent-websocket",
    "uvicorn": "python-socketio on uvicorn with uvloop",
}
SERVERS = (OURS, *PEERS)


@dataclass(frozen=True)
class Limits:
    """What the first version must reach: largest ratios of ours to a peer, by the peer's name."""

    cost: dict[str, float]
    median: dict[str, float] = field(default_factory=dict)
    #: Largest cost of ours by itself, in the row's unit; None: no such limit.
    own_cost: float | None = None


@dataclass(frozen=True)
class Row:
    """One load, the same for every server.

    `text` is the title, with ``{clients}`` for their number. `generator` is the program in `load/`, `mode`, `clients`,
    `window` (messages in flight of each client) and `payload` (characters of padding in each message) are its options.
    The cost is the server's CPU time in microseconds for one `unit`, or in mode ``hold`` its memory in KiB for one
    client.
    """

    text: str
    unit: str
    limits: Limits
    generator: str = "websocket_load"
    mode: str = "echo"
    clients: int = 100
    window: int = 1
    payload: int = 16

    @property
    def title(self) -> str:
        return self.text.format(clients=f"{self.clients:,}")

    @property
    def measures_memory(self) -> bool:
        return self.mode == "hold"

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

#: The row behind ``--idle N``: the clients are silent until a broadcast, which each of them answers with an echo.
CONNECTED = Row("broadcast to idle clients, and an echo from each", "client", Limits({}), mode="answer", clients=15_000)
