"""Events of clients and channels, for applications that write functions instead of a context class.

::

    from pyramid_socketio.events import on_message


    @on_message(channel="^room-")
    def said(request, socket, context, message):
        socket.broadcast_channel(message)

``config.scan()`` finds them. Every handler gets the client's request; the ``socket``, an :class:`EventsContext`; and
``context``, a dictionary that lives as long as the client's connection. Some get one argument more:

=================  =============  ====================================================================================
``on_connect``                    the client asks to come in; returning ``False`` or raising refuses it
``on_message``     ``message``    a message, of the type that it has in JavaScript; another event of the client is
                                  ``{"type": name, ...}``
``on_subscribe``   ``channel``    the client is about to enter a channel; returning ``False`` or raising refuses that
``on_unsubscribe`` ``channel``    it has left the channel; when it is gone, for each channel that it was in
``on_error``       ``exception``  a handler has raised it; it has been logged, and the client told with a fixed text
``on_disconnect``                 the client is gone; ``socket.disconnect_reason`` says why
``on_finish``                     the end, also at a shutdown; nothing comes after it
=================  =============  ====================================================================================

``channel`` binds a handler to the channels whose names a regular expression matches, from their beginning: it runs for
clients that are in one of them, and with ``on_subscribe`` and ``on_unsubscribe`` where the channel itself matches.
``socket.channel_match`` is the match. A handler of ``on_message``, ``on_error``, ``on_disconnect`` and ``on_finish``
that is not bound runs for clients that are in no channel (setting ``unbound_handlers``).

Handlers run in the order of their registration; a scan goes by the names of modules and functions. They run one after
the other for a client, in a greenlet, so they may block; where one of ``on_message`` raises, those behind it do not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import gevent
import venusian
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPException

from .channels import ChannelContext
from .context import let_in
from .errors import ConnectRefused, SessionClosed
from .interfaces import IEventHandlers
from .namespace import FAILURES
from .protocol.packets import as_message

__all__ = [
    "EVENTS",
    "Event",
    "EventHandlers",
    "EventsContext",
    "Handler",
    "on_connect",
    "on_disconnect",
    "on_error",
    "on_finish",
    "on_message",
    "on_subscribe",
    "on_unsubscribe",
]

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

#: Those that are about one channel. They run unbound, too: one that guards all channels must not be passed over.
_OF_CHANNELS: Final = ("on_subscribe", "on_unsubscribe")

#: Words of the original's client script: each is followed by a message that it is about, because clients 0.6 send an
#: array as that many messages.
_SUBSCRIBE, _UNSUBSCRIBE, _ARRAY = _PREFIXES = ("__subscribe__", "__unsubscribe__", "__array__")


class Event:
    """An event, as the decorator of its handlers: ``@on_message``, or ``@on_message(channel="^room-")``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<event {self.name}>"

    def __call__(self, handler: Function | None = None, channel: str | None = None) -> Any:
        """Make a function a handler; found by ``config.scan()``.

        Raises:
            TypeError: no function, or a method: there is no object that it could be called on.
        """
        if handler is None:
            return partial(self, channel=channel)
        if not callable(handler):
            raise TypeError(f"@{self.name}: it takes one argument, channel={handler!r}, which needs its name")

        def register(scanner: Any, _name: str, _handler: Any) -> None:
            config = scanner.config.with_package(info.module)
            if not hasattr(config, "add_socketio_handler"):
                raise ConfigurationError(
                    f"@{self.name}: config.include('pyramid_socketio') must come before config.scan()"
                )
            config.add_socketio_handler(self.name, handler, channel, _info=info.codeinfo)

        # depth 1: the module that holds the function; a partial object has no frame of its own.
        info = venusian.attach(handler, register, category="pyramid", depth=1)
        if info.scope == "class":
            raise TypeError(f"@{self.name}: handlers are functions, and {handler.__qualname__} is a method")
        return handler


on_connect = Event("on_connect")
on_message = Event("on_message")
on_subscribe = Event("on_subscribe")
on_unsubscribe = Event("on_unsubscribe")
on_error = Event("on_error")
on_disconnect = Event("on_disconnect")
on_finish = Event("on_finish")

#: Their names, in the order in which they happen.
EVENTS: Final = tuple(
    event.name for event in (on_connect, on_message, on_subscribe, on_unsubscribe, on_error, on_disconnect, on_finish)
)


class Handler(NamedTuple):
    """A function, and the channels that it is bound to."""

    function: Callable[..., Any]
    pattern: re.Pattern[str] | None


class EventHandlers(dict[str, list[Handler]]):
    """The handlers of an application: event name to them, in the order of their registration."""

    def add(self, event: str, handler: Handler) -> None:
        self.setdefault(event, []).append(handler)

    def matching(
        self, event: str, channels: tuple[str, ...], always: bool
    ) -> list[tuple[Callable[..., Any], re.Match[str] | None]]:
        """The functions to call, each once, and what matched.

        Args:
            channels: those that the event is about.
            always: whether handlers that are not bound run where there are channels.
        """
        found: list[tuple[Callable[..., Any], re.Match[str] | None]] = []
        for function, pattern in self.get(event, ()):
            if pattern is None:
                if always or not channels:
                    found.append((function, None))
            else:
                match = next(filter(None, map(pattern.match, channels)), None)
                if match is not None:
                    found.append((function, match))
        return found


class EventsContext(ChannelContext):
    """Runs an application's handlers for one client, and is what they get as ``socket``.

    It answers ``/`` in an application that has handlers and no context there. A subclass may have methods as any
    context: what none of them handles is an ``on_message``. Its ``connect`` and ``disconnect`` call ``super()``'s.
    """

    #: Where the handler that runs is bound to channels: its match, with the groups of the expression.
    channel_match: re.Match[str] | None = None
    #: One of ``_PREFIXES``, which the last message was.
    _prefix: str | None = None
    #: ``on_disconnect`` has begun.
    _ending = False

    def __init__(self, request: Any, *args: Any, **options: Any) -> None:
        super().__init__(request, *args, **options)
        #: What handlers get as ``context``.
        self.context: dict[str, Any] = {}

    @property
    def session(self) -> Any:
        """For ``socket.session.session_id``: the client's public id, which is no ``request.session``."""
        return self.io.session

    def connected(self) -> bool:
        """Whether the client is there."""
        return self.io is not None and bool(self.io.connected())

    # The events

    def _calls(self, event: str, *args: Any) -> list[Callable[[], Any]]:
        """Calls of the handlers that are to run. All are chosen before the first of them joins or leaves a channel."""
        handlers: EventHandlers | None = self.request.registry.queryUtility(IEventHandlers)
        if handlers is None:
            return []
        about_channel = event in _OF_CHANNELS
        channels = args if about_channel else self.channels
        always = about_channel or self.io.connection.owner.settings.unbound_handlers == "always"
        return [
            partial(self._call, function, match, args) for function, match in handlers.matching(event, channels, always)
        ]

    def _call(self, function: Callable[..., Any], match: re.Match[str] | None, args: tuple[Any, ...]) -> Any:
        outer, self.channel_match = self.channel_match, match
        try:
            return function(self.request, self, self.context, *args)
        finally:
            self.channel_match = outer

    def _run_all(self, event: str, *args: Any) -> None:
        """Run handlers that are not to keep each other from running."""
        for call in self._calls(event, *args):
            try:
                call()
            except gevent.GreenletExit:
                pass
            except FAILURES as error:
                self.fail(f"a handler of {event}", error)

    def connect(self) -> None:
        """Runs ``on_connect``.

        Raises:
            ConnectRefused: a handler has returned ``False``.
        """
        for call in self._calls("on_connect"):
            try:
                result = call()
            except (ConnectRefused, HTTPException):
                raise
            except FAILURES as error:
                self._report(error)
                raise
            let_in(result)

    def subscribing(self, channel: str) -> Any:
        """Runs ``on_subscribe``, until a handler refuses."""
        for call in self._calls("on_subscribe", channel):
            let_in(call(), "Subscription refused")
        return None

    def unsubscribed(self, channel: str) -> None:
        """Runs ``on_unsubscribe``."""
        self._run_all("on_unsubscribe", channel)

    def disconnect(self) -> None:
        """Runs ``on_disconnect``, ``on_unsubscribe`` for each channel that is left, and ``on_finish``.

        Called by a handler, it does what ``socket.disconnect()`` does elsewhere: it ends the connection.
        """
        if not self._finished:
            self.kill()
        elif not self._ending:
            self._ending = True
            self._run_all("on_disconnect")
            super().disconnect()
            self._run_all("on_finish")

    def fail(self, what: str, error: BaseException) -> list[Any]:
        """Logs an error and tells the client, as any context does; then runs ``on_error``."""
        answer = super().fail(what, error)
        # A handler that waited for a client which has left: that is no error.
        if not (isinstance(error, SessionClosed) and self.disconnect_reason is not None):
            self._report(error)
        return answer

    def _report(self, error: BaseException) -> None:
        for call in self._calls("on_error", error):
            try:
                call()
            except gevent.GreenletExit:
                pass
            except FAILURES:
                log.exception("a handler of on_error failed, client %s", self.id)

    # Messages

    def msg_message(self, *args: Any) -> Any:
        """A message without a type, or what the original's script has made of an array or a subscription."""
        value = as_message(("message", *args))
        prefix, self._prefix = self._prefix, None
        if prefix is None:
            if isinstance(value, str) and value in _PREFIXES:
                self._prefix = value
                return None
            if isinstance(value, list) and len(value) == 2 and value[0] in _PREFIXES:
                # From 0.7 on, an array is one message.
                prefix, value = value
        if prefix == _SUBSCRIBE:
            return self.msg_subscribe(value)
        if prefix == _UNSUBSCRIBE:
            return self.msg_unsubscribe(value)
        return self._heard(value)

    def unknown(self, name: str, *args: Any) -> Any:
        """A message or an event that no method handles."""
        self._prefix = None
        (arg,) = args if len(args) == 1 else (None,)
        is_message = isinstance(arg, dict) and arg.get(self._in_type) == name
        return self._heard(arg if is_message else as_message((name, *args)))

    def _heard(self, value: Any) -> Any:
        """Run ``on_message``; the first result that is not ``None`` is the acknowledgement."""
        results = [call() for call in self._calls("on_message", value)]
        return next((result for result in results if result is not None), None)
