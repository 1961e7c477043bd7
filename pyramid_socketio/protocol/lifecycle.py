"""The life of an Engine.IO session as data: its states, and its heartbeat with time as an argument."""

from __future__ import annotations

from typing import Final

__all__ = ["CLOSED", "CLOSING", "OPEN", "UPGRADING", "ClientHeartbeat", "Heartbeat", "transition"]

# States.
OPEN: Final = "open"
#: A WebSocket has sent its probe beside the polling transport.
UPGRADING: Final = "upgrading"
#: The session is over, but its client has yet to fetch the last packets.
CLOSING: Final = "closing"
CLOSED: Final = "closed"

# What happens to a session: "probe", "upgrade" and "abandon" (Engine.IO 4, "WebSocket upgrade of a polling session"),
# "close" (either side ends it in order), "lost" (nothing more can be sent).
_TRANSITIONS: Final[dict[str, dict[str, str]]] = {
    OPEN: {"probe": UPGRADING, "close": CLOSING, "lost": CLOSED},
    UPGRADING: {"upgrade": OPEN, "abandon": OPEN, "close": CLOSING, "lost": CLOSED},
    CLOSING: {"lost": CLOSED},
    CLOSED: {},
}


def transition(state: str, event: str) -> str | None:
    """The state after ``event``, or ``None`` where that cannot happen in ``state``."""
    return _TRANSITIONS[state].get(event)


class Heartbeat:
    """Server side of the heartbeat (Engine.IO 4, "Heartbeat"): the server pings, the client answers.

    Times are seconds of one monotonic clock.

    Args:
        interval: from the opening, and from each pong, to the next ping.
        timeout: from a ping to its pong.
    """

    __slots__ = ("_next_ping", "_pong_by", "heard", "interval", "timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self.interval = interval
        self.timeout = timeout
        self._next_ping = now + interval
        self._pong_by: float | None = None
        #: Set when something else than a pong came from the client.
        self.heard = False

    def next_deadline(self) -> float:
        """When to call :meth:`on_deadline`. It may be called later or earlier."""
        return self._next_ping if self._pong_by is None else self._pong_by

    def on_pong(self, now: float) -> None:
        """The client answered; a pong that nobody asked for changes nothing."""
        if self._pong_by is not None:
            self._pong_by = None
            self._next_ping = now + self.interval

    def on_deadline(self, now: float, deaf: bool = False) -> str:
        """What is to be done now.

        Args:
            deaf: the server itself has stopped reading from the client, so that no pong can arrive.

        Returns:
            ``"ping"``: send one; ``"timeout"``: end the session; ``"wait"``: nothing.
        """
        if self._pong_by is None:
            if now < self._next_ping:
                return "wait"
            self.heard = False
            self._pong_by = now + self.timeout
            return "ping"
        if now < self._pong_by:
            return "wait"
        # Engine.IO 6.6: a client that was heard of in the meantime gets the time once more.
        if deaf or self.heard:
            self.heard = False
            self._pong_by = now + self.timeout
            return "wait"
        return "timeout"


class ClientHeartbeat:
    """The heartbeat of Engine.IO 3 (section 5), seen by the server: the client pings, silence ends the session.

    Args:
        interval: the client's, from one of its pings to the next.
        timeout: what it may take longer.
    """

    __slots__ = ("_deadline", "_patience", "heard")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._patience = interval + timeout
        self._deadline = now + self._patience
        #: Set when something else than a ping came from the client.
        self.heard = False

    def next_deadline(self) -> float:
        """When to call :meth:`on_deadline`. It may be called later or earlier."""
        return self._deadline

    def on_ping(self, now: float) -> None:
        """The client is alive."""
        self._deadline = now + self._patience

    def on_deadline(self, now: float, deaf: bool = False) -> str:
        """What is to be done now; see :meth:`Heartbeat.on_deadline`."""
        if now < self._deadline:
            return "wait"
        # The clock is not read for every message: who was heard of since the last look gets the time once more.
        if deaf or self.heard:
            self.heard = False
            self._deadline = now + self._patience
            return "wait"
        return "timeout"
