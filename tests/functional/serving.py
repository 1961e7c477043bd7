"""A server in a thread of the test's own process, where its constants can be changed and its insides looked at."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from pyramid_socketio import SocketIOServer
from pyramid_socketio.interfaces import socketio_for
from tests.conftest import DEADLINE


class ThreadServer(logging.Handler):
    """Serves an application on 127.0.0.1, from a thread with an event loop of its own; a context manager.

    What the process logs meanwhile is kept in ``records``; ``failures`` are those with a traceback, and errors that
    reached the event loop, which knows no logging.
    """

    def __init__(self, application: Any, **options: Any) -> None:
        super().__init__()
        self.application = application
        self.options = options
        self.records: list[logging.LogRecord] = []
        self.loop_errors: list[str] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def failures(self) -> list[str]:
        return [record.getMessage() for record in self.records if record.exc_info] + self.loop_errors

    def forget(self) -> None:
        """Start the records anew."""
        self.records.clear()
        self.loop_errors.clear()

    def log_lines(self, name: str = "pyramid_socketio") -> list[str]:
        return [record.getMessage() for record in self.records if record.name.startswith(name)]

    def __enter__(self) -> ThreadServer:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.INFO)
        root.addHandler(self)
        self._thread.start()
        assert self._ready.wait(DEADLINE), "the server did not start"
        return self

    def __exit__(self, *args: object) -> None:
        self._jobs_waiting.clear()
        self._stopping = True
        self._wake.send()
        self._thread.join(2 * DEADLINE)
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
        assert not self._thread.is_alive(), "the server did not stop"

    def _run(self) -> None:
        hub = gevent.get_hub()
        hub.print_exception = self._note_loop_error
        server = self.server = SocketIOServer(("127.0.0.1", 0), self.application, **self.options)
        server.start()
        self.port: int = server.server_port
        awake = Event()
        self._stopping = False
        self._jobs_waiting: list[Callable[[], None]] = []
        self._wake = hub.loop.async_()
        self._wake.start(awake.set)
        self._ready.set()
        while not self._stopping:
            awake.wait()
            awake.clear()
            while self._jobs_waiting:
                self._jobs_waiting.pop(0)()
        server.shutdown()
        self._wake.close()
        hub.destroy()

    def _note_loop_error(self, context: object, kind: type, value: BaseException, traceback: object) -> None:
        self.loop_errors.append(f"{context!r}: {value!r}")

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a function in the server's thread, where sockets and timers may be touched; its result."""
        done = threading.Event()
        results: list[Any] = []

        def job() -> None:
            try:
                results.append(function())
            finally:
                done.set()

        self._jobs_waiting.append(job)
        self._wake.send()
        assert done.wait(DEADLINE), "the server is stuck"
        return results[0]

    @property
    def socketio(self) -> Any:
        """The Socket.IO server of the Pyramid application."""
        return socketio_for(self.application.registry)

    @property
    def engine(self) -> Any:
        """The Engine.IO server of the Pyramid application."""
        return self.socketio.engine

    def has_settled(self, sessions: int = 0) -> bool:
        """Whether so many sessions are left, and every ``disconnect`` of the others has run."""
        return len(self.sessions) == sessions and not self.socketio.ending

    @property
    def sessions(self) -> dict[str, Any]:
        """The Engine.IO sessions of the Pyramid application."""
        sessions: dict[str, Any] = self.engine.sessions
        return sessions
