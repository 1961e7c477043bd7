"""A WSGI application of views that do what applications do, good and bad."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
from gevent.event import Event

from pyramid_socketio.engine import UPGRADE_KEY
from pyramid_socketio.errors import HTTPError
from pyramid_socketio.interfaces import CONNECTION
from tests.conftest import DEADLINE
from tests.functional.serving import ThreadServer

Environ = dict[str, Any]


StartResponse = Callable[..., Any]


BIG = bytes(range(256)) * 40_000  # 10 MB: more than the kernel takes at once


#: What applications have seen.
SEEN: list[Any] = []

#: While it is clear, a stream waits with its second piece.
GO_ON = Event()


class Views:
    """A WSGI application: ``/name`` is answered by the method ``name``."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        name = environ["PATH_INFO"].strip("/")
        return getattr(self, name)(environ, start_response)  # type: ignore[no-any-return]

    @staticmethod
    def _answer(start_response: StartResponse, body: bytes, status: str = "200 OK") -> list[bytes]:
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def hello(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, b"hello " + environ["QUERY_STRING"].encode())

    def no_length(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [b"one", b"", b"two"]

    def echo(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, environ["wsgi.input"].read())

    def echo_by_length(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))

    def pieces(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        stream = environ["wsgi.input"]
        parts = [stream.read(0), stream.read(3), stream.readline(), stream.readline(2), stream.readline(), *stream]
        parts += [stream.read(), stream.readline(), stream.read(5)]
        return self._answer(start_response, repr(parts).encode())

    def lines(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, repr(environ["wsgi.input"].readlines()).encode())

    def digest(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        digest = hashlib.sha256()
        stream = environ["wsgi.input"]
        while piece := stream.read(10_000):
            digest.update(piece)
        return self._answer(start_response, digest.hexdigest().encode())

    def catches(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            SEEN.append(error)
            raise
        return []

    @staticmethod
    def _until_gone(environ: Environ) -> None:
        with gevent.Timeout(DEADLINE):
            while not environ[CONNECTION].wire.closed:
                gevent.sleep(0.001)

    def late(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        return self._answer(start_response, b"too late")

    def late_stream(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        self._until_gone(environ)
        yield b"too late"

    def late_second_piece(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        self._until_gone(environ)
        yield b"too late"

    def late_failure(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        raise RuntimeError("a secret detail")

    def late_refusal(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        raise HTTPError(413, "the body is too long")

    def late_read(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self._until_gone(environ)
        try:
            with gevent.Timeout(DEADLINE / 4):
                SEEN.append(environ["wsgi.input"].read())
        except OSError as error:
            SEEN.append(error)
            raise
        return self._answer(start_response, b"too late")

    def switch(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "chat")])
        return []

    def failing_upgrade(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        def upgrade(exchange: Any, head: bytes) -> None:
            raise RuntimeError("a secret detail")

        environ[UPGRADE_KEY] = upgrade
        if "early" in environ["QUERY_STRING"]:
            environ[CONNECTION].answer_early(environ, 101, [], b"")
        return self.switch(environ, start_response)

    def fails_behind_its_answer(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ[CONNECTION].answer_early(environ, 200, [], b"early")
        raise RuntimeError("a secret detail")

    def loses_its_database(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise BrokenPipeError(errno.EPIPE, "the database")

    def empty(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("204 No Content", [])
        return []

    def not_modified(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("304 Not Modified", [("ETag", '"x"')])
        return [b""]

    def stream(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        GO_ON.wait()
        yield b"second"

    def big(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return self._answer(start_response, BIG)

    def big_stream(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(len(BIG)))])
        for at in range(0, len(BIG), 100_000):
            yield BIG[at : at + 100_000]

    def endless(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 100_000
        finally:
            SEEN.append("closed")

    def write(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"abc")
        return [b"def"]

    def fails(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise RuntimeError("a secret detail")

    def refused(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        raise ConnectionRefusedError("the database")

    def fails_late(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        raise RuntimeError("a secret detail")

    def closes(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])

        class Body:
            def __iter__(self) -> Iterator[bytes]:
                yield b"ok"

            def close(self) -> None:
                SEEN.append("closed")

        return Body()

    def environ(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        wanted = {key: value for key, value in environ.items() if isinstance(value, str)}
        return self._answer(start_response, repr(wanted).encode())


def for_one_test(serving: ThreadServer) -> Iterator[ThreadServer]:
    """The body of a fixture: a log that is the test's own, and without failures at its end."""
    serving.call(GO_ON.set)  # and an answer is out before its line is in the log
    serving.forget()
    SEEN.clear()
    yield serving
    assert serving.failures == []
