"""The class that applications subclass: messages become calls of its methods."""

from __future__ import annotations

import functools
import inspect
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final, TypeVar, cast

import gevent
from pyramid.httpexceptions import HTTPException
from pyramid.security import Denied

from .adapters import Audience
from .addressing import Target, checked_rooms, event_data, named_rooms, plain_json, pyramid_json, send_event
from .errors import CloseReason, ConnectRefused, SessionClosed, SocketIOError
from .messagelog import log_message
from .namespace import FAILURES, NamespaceSocket
from .protocol.http import escape

__all__ = [
    "KeyAssertError",
    "SocketIOContext",
    "is_lazy",
    "let_in",
    "message",
    "refusal",
    "require_connection",
]

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

#: What reads as ``_`` in a name, so that "cursor:move" finds ``msg_cursor_move``.
_FOLD: Final = str.maketrans(dict.fromkeys("-:./ ", "_"))

#: The later ones win.
_PREFIXES: Final = ("event_", "msg_")

#: Methods that the package calls besides the handlers.
_HOOKS: Final = ("connect", "disconnect", "unknown")

#: What a context that takes over from another one takes along.
_OPTIONS: Final = ("_in_type", "_out_type", "_debug", "_json_dumps", "_json_loads")

#: A fixed text: what went wrong inside is for the log, not for the client.
_INTERNAL_ERROR: Final = ("internal_error", "The server could not handle this message")


class KeyAssertError(SocketIOError):
    """Raised by :meth:`SocketIOContext.assert_keys`, after the client was told; the message is skipped.

    Args:
        answer: what the client was told.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["msg"])
        self.answer = answer


def message(name: str) -> Callable[[F], F]:
    """Make a method of a context the handler of the messages and events called exactly ``name``.

    A subclass may have another method for the name; the same class may not.

    Raises:
        TypeError: it stands there without its parentheses; and, from the class, a second method for the name.
    """
    if not isinstance(name, str):
        where = getattr(name, "__qualname__", repr(name))
        raise TypeError(f'write @message("name") above {where}: it needs the name of a message in parentheses')

    def decorate(method: F) -> F:
        names = (*getattr(method, "_socketio_names", ()), name)
        method._socketio_names = names  # type: ignore[attr-defined]
        return method

    return decorate


def require_connection(method: F) -> F:
    """End the greenlet that calls the method when the client is gone."""

    @functools.wraps(method)
    def checked(self: SocketIOContext, *args: Any, **kwargs: Any) -> Any:
        if self.io is None or self.disconnect_reason is not None:
            raise gevent.GreenletExit
        return method(self, *args, **kwargs)

    return cast(F, checked)


class SocketIOContext:
    """One client in one namespace, for as long as it is connected.

    Subclass it and write methods. In the order in which they run:

    - ``connect()``: the client asks to come in; refuse with :class:`~pyramid_socketio.ConnectRefused` or an
      ``HTTPException``, raised or returned, or with ``return False`` or ``return request.has_permission(...)``. Runs
      inside the CONNECT request, with its transaction.
    - ``msg_<type>(msg)`` for ``{type: "<type>", ...}``, and ``msg_<name>(*args)`` for other events. What it returns is
      the acknowledgement (a tuple: several arguments); a context that it returns takes over. ``event_<name>`` means the
      same; where a class has both, ``msg_`` wins.
    - ``unknown(name, *args)``: messages that no method handles.
    - ``disconnect()``: once, however it ended; ``disconnect_reason`` says how.

    Handlers of one context run one after the other, each in a greenlet, so they may block. Everything that sends
    never blocks. Native threads may send, ``join``, ``leave`` and ``kill()``, too: what they do happens in its turn in
    the thread that serves the clients.

    Args:
        request: the CONNECT request; later ``self.request`` is a slim copy of it.
        in_type: the key of incoming messages that names their type.
        out_type: the key of outgoing messages that names their type.
        debug: whether :meth:`debug` logs.
        json_dumps: what writes outgoing data instead of the package's own encoder; slower.
        json_loads: what reads incoming data likewise.
    """

    #: Wire name to method name; made once per class, so that a name from the wire never reaches ``getattr``.
    _handlers: ClassVar[dict[str, str]] = {}

    #: The socket: ``io.session_id``, ``io.transport``, ``io.revision``, ``io.connected()``.
    io: Any = None
    _parent: SocketIOContext | None = None
    _greenlets: set[gevent.Greenlet] | None = None
    #: One of them that ended the context, and so has to live a little longer than the others.
    _spared: gevent.Greenlet | None = None
    _callbacks: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] | None = None
    _in_type = "type"
    _out_type = "type"
    _debug = False
    _json_dumps: Callable[[Any], str | bytes] | None = None
    _json_loads: Callable[[str], Any] | None = None
    #: What the last handler was called for.
    _handling: str | None = None
    _over = False
    _finished = False
    #: Whether ``disconnect`` is over.
    _told = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        methods: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            own: dict[str, str] = {}
            for prefix in _PREFIXES:
                for attribute in vars(base):
                    if attribute.startswith(prefix) and len(attribute) > len(prefix):
                        own[attribute[len(prefix) :]] = attribute
            for attribute, value in vars(base).items():
                for name in getattr(value, "_socketio_names", ()):
                    other = getattr(base, own.get(name, attribute), None)
                    # Not a conflict: `msg_a = None`, which takes back a parent's, and one function under two names,
                    # be it wrapped.
                    if callable(other) and inspect.unwrap(other) is not inspect.unwrap(getattr(base, attribute)):
                        raise TypeError(
                            f"{base.__qualname__}.{own[name]} and {base.__qualname__}.{attribute} are both for the "
                            f"message {name!r}: remove one of them, or give it another name"
                        )
                    own[name] = attribute
            methods.update(own)
        cls._handlers = {name: method for name, method in methods.items() if callable(getattr(cls, method, None))}
        for method in (*_HOOKS, *cls._handlers.values()):
            # Calling one of these runs nothing of it: a `connect` would let everybody in.
            if is_lazy(getattr(cls, method)):
                raise TypeError(
                    f"{cls.__qualname__}.{method} must not be `async def` nor contain `yield`: "
                    "handlers are plain functions; they may block"
                )

    def __init__(
        self,
        request: Any,
        in_type: str = "type",
        out_type: str = "type",
        debug: bool = False,
        json_dumps: Callable[[Any], str | bytes] | None = None,
        json_loads: Callable[[str], Any] | None = None,
    ) -> None:
        self.request = request
        io = request.environ.get("socketio")
        if io is not None:
            self.io = io
        # Most contexts keep the defaults, which cost no memory on the class.
        if in_type != "type":
            self._in_type = in_type
        if out_type != "type":
            self._out_type = out_type
        if debug:
            self._debug = True
        if json_dumps is not None:
            self._json_dumps = json_dumps
        if json_loads is not None:
            self._json_loads = json_loads

    # To be written by applications

    def connect(self) -> Any:
        """Hook: the client asks to come in. What it returns may refuse; see :func:`let_in`."""

    def disconnect(self) -> None:
        """Hook: the client is gone."""

    def unknown(self, name: str, *args: Any) -> Any:
        """Hook: no method handles the message ``name``. By default the client gets the error ``unknown_command``."""
        if self.io.connection.owner.is_news(type(self), name):
            method = escape(f"msg_{name.translate(_FOLD)}", 50)
            log.warning(
                "%s has no %s for the message %s (said once)", type(self).__name__, method, escape(repr(name), 100)
            )
        return self.error("unknown_command", f"Command unknown: {escape(name, 100)}")

    # Who and what

    @property
    def id(self) -> str | None:
        """The client's public id."""
        return None if self.io is None else str(self.io.id)

    @property
    def disconnect_reason(self) -> str | None:
        """Why the client is gone, one of :class:`~pyramid_socketio.errors.CloseReason`; ``None`` while it is there."""
        return None if self.io is None else cast("str | None", self.io.reason)

    def debug(self, msg: str, *args: Any) -> None:
        """Log ``msg % args`` with the client's id, where the context was made with ``debug=True``."""
        if self._debug:
            log.info("%s: %s", self.id, msg % args if args else msg)

    # Sending

    def json_default(self, value: Any) -> Any:
        """JSON for a value that has none: by ``__json__`` or an adapter of Pyramid's renderer, else its own form."""
        return pyramid_json(self.request, value)

    def _event(self, name: str, args: Iterable[Any]) -> list[Any]:
        return event_data(name, args, self._json_dumps)

    def msg(self, msg_type: str, dictobj: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Send ``{"type": msg_type, ...}``; ``dictobj`` is merged in first, then the keywords."""
        out = {self._out_type: msg_type}
        if dictobj:
            out.update(dictobj)
        out.update(kwargs)
        self.send(out)

    def error(self, code: str, msg: str, **more: Any) -> dict[str, Any]:
        """Send ``{"type": "error", "error": code, "msg": msg, **more}``.

        Returns:
            What was sent, so that a handler may return it as the acknowledgement too.
        """
        out = {**more, self._out_type: "error", "error": code, "msg": msg}
        self.send(out)
        return out

    def send(self, msg: Any) -> None:
        """Send ``msg`` as the event ``message``: what the client gets by ``socket.on("message", ...)``."""
        send_event(self.io, self._event("message", (msg,)), self.json_default)

    def send_event(self, name: str, *args: Any) -> None:
        """Send the event ``name``."""
        send_event(self.io, self._event(name, args), self.json_default)

    def emit(self, event: str, *args: Any, ack: Callable[..., None] | None = None) -> None:
        """Send an event.

        Args:
            ack: called with the client's answer, in its turn among this context's messages. Not called when the client
                goes away before, nor when it is so old that it has no acks.

        Raises:
            TypeError, ValueError: no name of an event; see :func:`~pyramid_socketio.addressing.event_data`.
            SessionClosed: the client is gone and ``ack`` was asked for; otherwise nothing happens.
            LimitExceeded: ``max_pending_acks`` are waited for.
            RuntimeError: ``ack`` was asked for in a native thread.
        """
        data = event_data(event, args, self._json_dumps)
        if ack is None:
            send_event(self.io, data, self.json_default)
        else:
            self.io.connection.owner.require_loop()
            self.io.send_with_ack(data, ack, self.json_default)

    def call(self, event: str, *args: Any, timeout: float = 60.0) -> Any:
        """Send an event and wait for the client's answer.

        Returns:
            ``None`` where the answer has no argument, the argument itself where it has one, else a list.

        Raises:
            AckTimeout: no answer within ``timeout`` seconds.
            SessionClosed: the client is gone.
            NotCarried: the client is so old that it has no acks, or no binary data.
            RuntimeError: called by :meth:`connect`, before the client can answer, or in a native thread.
        """
        self.io.connection.owner.require_loop()
        answer = self.io.call(self._event(event, args), timeout, self.json_default)
        return answer[0] if len(answer) == 1 else (answer or None)

    def broadcast(self, msg: Any) -> None:
        """Send ``msg`` to all other clients of the namespace."""
        self.broadcast_event("message", msg)

    def broadcast_event(self, name: str, *args: Any) -> None:
        """Send an event to all other clients of the namespace."""
        self._broadcast(name, args, self.io)

    def send_and_broadcast(self, msg: Any) -> None:
        """Send ``msg`` to all clients of the namespace, this one included."""
        self._broadcast("message", (msg,), None)

    # Rooms

    def join(self, *rooms: str) -> None:
        """Enter rooms; the end of the client's connection to the namespace leaves them.

        Raises:
            TypeError, ValueError: a name that no room can have.
        """
        owner = self.io.connection.owner
        owner.run_in_loop(functools.partial(owner.adapter.join, self.io, checked_rooms(rooms)))

    def leave(self, *rooms: str) -> None:
        """Leave rooms; nothing happens for those that the client is not in."""
        owner = self.io.connection.owner
        owner.run_in_loop(functools.partial(owner.adapter.leave, self.io, checked_rooms(rooms)))

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that the client is in, its own included, which its id names."""
        io = self.io
        return frozenset() if io is None or io.reason is not None else frozenset(named_rooms(io))

    def _target(self) -> Target:
        io = self.io
        audience = Audience(without=(io.id,))
        owner = io.connection.owner
        return Target(owner, io.namespace, audience, self.json_default, self._out_type, self._json_dumps)

    def to(self, *rooms: str) -> Target:
        """The other clients in these rooms: ``self.to("blue").msg("said", text="hi")``."""
        return self._target().to(*rooms)

    def to_user(self, userid: Any) -> Target:
        """The other clients of a user; nobody for ``None``."""
        return self._target().to_user(userid)

    def to_channel(self, *channels: str) -> Target:
        """The other clients in these channels; see :class:`~pyramid_socketio.channels.ChannelContext`."""
        return self._target().to_channel(*channels)

    def except_(self, *rooms: str) -> Target:
        """The other clients of the namespace, without those in these rooms."""
        return self._target().except_(*rooms)

    @property
    def volatile(self) -> Target:
        """The other clients of the namespace, as far as they can be sent something right now."""
        return self._target().volatile

    @property
    def local(self) -> Target:
        """The other clients of the namespace that are connected to this process."""
        return self._target().local

    def _broadcast(self, name: str, args: tuple[Any, ...], skip: NamespaceSocket | None) -> None:
        io, default = self.io, self.json_default
        owner = io.connection.owner
        data = self._event(name, args)
        if not owner.in_loop:
            data = plain_json(data, default)
        owner.run_in_loop(functools.partial(owner.broadcast, io.namespace, data, skip, default))

    # Greenlets

    def spawn(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> gevent.Greenlet:
        """Run a function in a greenlet that the context owns: it is killed when the client is gone.

        An error in it is logged, and told to the client as a fixed text.
        """
        if self._over:
            raise SessionClosed(self.disconnect_reason or CloseReason.CLIENT)
        if self._greenlets is None:
            self._greenlets = set()
        greenlet = gevent.spawn(self._run_owned, callable, args, kwargs)
        self._greenlets.add(greenlet)
        greenlet.rawlink(self._greenlets.discard)
        return greenlet

    def _run_owned(self, callable: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return callable(*args, **kwargs)
        except KeyAssertError:
            pass
        except FAILURES as error:
            self.fail("a greenlet", error)
        return None

    def kill(self, recursive: bool = True) -> SocketIOContext | None:
        """End the context: its greenlets are killed, its ``disconnect`` runs.

        Args:
            recursive: end the contexts below it too, and the namespace for this client. Otherwise the context that it
                was switched from takes over, and is returned.
        """
        parent = self._parent
        if not recursive and parent is not None:
            if not self._finished:
                (self.io.context or self)._take_over(parent)
            return parent
        if self.io is not None:
            self.io.connection.owner.run_in_loop(self.io.disconnect)
        if self.io is None or self.io.context is None:
            self.stop()  # not connected: there is nothing else to end
        return None

    def switch(self, new_context: type[SocketIOContext], *args: Any, **kwargs: Any) -> SocketIOContext:
        """Make the context that is to handle the next messages; return it from the handler.

        This one lies below it until :meth:`kill` with ``recursive=False`` ends the new one, which inherits the keywords
        that this one was made with.
        """
        context = new_context(self.request, *args, **kwargs)
        context.io = self.io
        context._parent = self
        mine, its = vars(self), vars(context)
        its.update({option: mine[option] for option in _OPTIONS if option in mine and option not in its})
        return context

    def _chain(self) -> Iterator[SocketIOContext]:
        """This context and those below it."""
        context: SocketIOContext | None = self
        while context is not None:
            yield context
            context = context._parent

    def _take_over(self, context: SocketIOContext) -> None:
        """From now on ``context`` handles the messages. If it lies below this one, those above it end."""
        chain = list(self._chain())
        if context in chain:
            for left in chain[: chain.index(context)]:
                left._stop()
                left._finish()
        elif context._parent is None:
            context._parent = self
        io = self.io
        context.io = io
        if io.connected():
            io.context = context
        else:
            # The client went away while the handler ran.
            context.stop()
            context.finish(io.reason)

    def on_disconnect(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call ``callback`` when the client is gone, after :meth:`disconnect`; at once when that is over."""
        if self._told:
            self._guarded(callback, *args, **kwargs)
            return
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append((callback, args, kwargs))

    # Receiving

    def assert_keys(self, msg: Any, elements: str | Iterable[str]) -> None:
        """Skip the message, and tell the client, unless it has all these keys.

        Raises:
            KeyAssertError: let it pass through the handler, or the greenlet.
        """
        keys = (elements,) if isinstance(elements, str) else tuple(elements)
        if not isinstance(msg, dict) or any(key not in msg for key in keys):
            kind = msg.get(self._in_type) if isinstance(msg, dict) else None
            if kind is None and gevent.getcurrent() not in (self._greenlets or ()):
                kind = self._handling  # an event has its name elsewhere
            what = "The message" if kind is None else f"Msg type '{escape(str(kind), 100)}'"
            raise KeyAssertError(self.error("bad_request", f"{what} should include all those keys: {', '.join(keys)}"))

    def handle_event(self, data: list[Any], wants_ack: bool) -> list[Any] | None:
        """Call the handler of an event; see :class:`pyramid_socketio.namespace.Context`."""
        try:
            log_format = self.io.connection.owner.settings.message_log_format
            if log_format is not None:
                log_message(log_format, self.request.environ, data, self._in_type)
            result = self._dispatch(data)
            if isinstance(result, SocketIOContext):
                self._take_over(result)
                return None
            if not wants_ack or result is None:
                return None
            answer = list(result) if isinstance(result, tuple) else [result]
            return answer if self._json_dumps is None else self._event("", answer)[1:]
        except KeyAssertError as error:
            return [error.answer]
        except gevent.GreenletExit:
            return None
        except FAILURES as error:
            return self.fail(f"the handler of {escape(repr(data[0]), 100)}", error)

    def fail(self, what: str, error: BaseException) -> list[Any]:
        """An error in the application's code; see :class:`pyramid_socketio.namespace.Context`."""
        gone = self.io is None or self.disconnect_reason is not None
        if gone and isinstance(error, SessionClosed):
            return []  # it waited for the client
        where = "-" if self.io is None else self.io.namespace
        log.error("%s failed in %s, client %s, namespace %s", what, type(self).__name__, self.id, where, exc_info=error)
        if gone:
            return []
        try:
            return [self.error(*_INTERNAL_ERROR)]
        except FAILURES:
            log.exception("%s cannot tell an error to client %s", type(self).__name__, self.id)
            return []

    def _dispatch(self, data: list[Any]) -> Any:
        name, *args = data
        if self._json_loads is not None:
            args = [self._json_loads(json.dumps(value)) for value in args]
        if name == "message":
            # What `socket.send(obj)` sends: the type is inside.
            msg = args[0] if len(args) == 1 else None
            kind = msg.get(self._in_type) if type(msg) is dict else None
            if type(kind) is str:
                name = kind
            elif "message" not in self._handlers:
                if type(msg) is not dict:
                    return self.error(
                        "bad_request",
                        "Your message needs to be JSON-formatted: send an object, or handle it with msg_message",
                    )
                return self.error("bad_request", f"You need a '{self._in_type}' attribute in your message")
        elif type(name) is not str:
            return self.error("bad_request", "The name of an event is a text")
        self._handling = name
        method = self._handlers.get(name) or self._handlers.get(name.translate(_FOLD))
        if method is None:
            return self.unknown(name, *args)
        return getattr(self, method)(*args)

    # The end

    def stop(self) -> None:
        """Kill what was spawned, here and in the contexts below; see :class:`pyramid_socketio.namespace.Context`."""
        for context in self._chain():
            context._stop()

    def finish(self, reason: str) -> None:
        """Run ``disconnect`` and the callbacks, here and then in the contexts below."""
        for context in self._chain():
            context._finish()

    def _stop(self) -> None:
        if self._over:
            return
        self._over = True
        current = gevent.getcurrent()
        for greenlet in tuple(self._greenlets or ()):
            if greenlet is current:
                self._spared = greenlet
            else:
                greenlet.kill(block=False)

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        current = gevent.getcurrent()
        if self._spared is not None and self._spared is not current:
            self._spared.kill(block=False)
        owned = [greenlet for greenlet in self._greenlets or () if greenlet is not current]
        if owned:
            gevent.joinall(owned, timeout=self.io.connection.owner.settings.close_timeout)
        self._guarded(self.disconnect)
        self._told = True
        callbacks, self._callbacks = self._callbacks, None
        for callback, args, kwargs in callbacks or ():
            self._guarded(callback, *args, **kwargs)

    def _guarded(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            callback(*args, **kwargs)
        except gevent.GreenletExit:
            pass
        except FAILURES:
            log.exception("%s failed while ending, client %s", type(self).__name__, self.id)


def is_lazy(function: Any) -> bool:
    """Whether a call of it gives a coroutine or a generator."""
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    )


def let_in(result: Any, why: str = "Connection refused") -> None:
    """Judge what a hook has returned. Views may return refusals: none must be overlooked.

    Args:
        result: ``False``, what ``request.has_permission`` gives instead of it, or an exception refuses.
        why: the client is told where the result does not say.

    Raises:
        ConnectRefused, HTTPException: the client is not let in.
    """
    if result is False or isinstance(result, Denied):
        raise ConnectRefused(why)
    if isinstance(result, (HTTPException, ConnectRefused)):
        try:
            raise result
        finally:
            result = None  # an exception holds this frame: the circle ends here


def refusal(error: HTTPException) -> ConnectRefused:
    """What a client is told for an HTTP status: a fixed text, and the status."""
    return ConnectRefused(error.title, {"status": error.status_int})
