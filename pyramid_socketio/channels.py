"""Channels: rooms of their own kind, which a client may ask for."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from pyramid.httpexceptions import HTTPException

from .context import SocketIOContext, let_in, refusal
from .errors import ConnectRefused
from .namespace import channel_room

__all__ = ["MAX_NAME", "ChannelContext"]

#: Characters of a channel's name; the limit that namespaces have.
MAX_NAME: Final = 256

#: What a name must not have: control characters, and halves of surrogate pairs, which are no UTF-8.
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_BAD_NAME: Final = f"The name of a channel is a text of 1 to {MAX_NAME} characters, none of them a control character"


class ChannelContext(SocketIOContext):
    """A context whose client may ask for channels.

    The client enters with the message ``{type: "subscribe", channel: ...}`` or the event ``subscribe`` with the name,
    and leaves with ``unsubscribe``; ``compat.js`` gives the sockets of every client methods for that. It may name
    **any** channel: where some are not for everybody, :meth:`subscribing` has to refuse.

    A channel is a room of its own kind: not the one of the same name that :meth:`join` enters, and no client's or
    user's. ``to_channel(channel)`` of a context and of ``request.socketio`` reaches it.

    Hooks besides those of :class:`~pyramid_socketio.context.SocketIOContext`, in the order in which they run:

    - ``subscribing(channel)``: before the client enters.
    - ``unsubscribed(channel)``: after it has left; at its end, for each channel that is left. A subclass that has a
      ``disconnect`` of its own calls ``super().disconnect()`` for that. Each ``subscribing`` that has let the client in
      is followed by one: behind everything else where it takes longer than ``close_timeout`` to find that the client
      has gone.
    """

    #: The channels in the order of their subscription, and whether ``unsubscribed`` has to follow: not as long as
    #: ``subscribing`` runs.
    _channels: dict[str, bool] | None = None
    #: ``disconnect`` has told ``unsubscribed``, or begins to.
    _left = False

    # To be written by applications

    def subscribing(self, channel: str) -> Any:
        """Hook: the client is about to enter, and already counts it among its ``channels``. Raising refuses.

        The client is told :class:`~pyramid_socketio.ConnectRefused` and ``HTTPException`` as for a namespace; other
        exceptions are errors. Returning one of these, or ``False``, refuses as well: a guard must not be overlooked.
        """

    def unsubscribed(self, channel: str) -> None:
        """Hook: the client has left."""

    def disconnect(self) -> None:
        """Hook: the client is gone. Tells ``unsubscribed`` of the channels that are left."""
        self._left = True
        channels = self._channels or {}
        for channel in tuple(channels):
            if channels.get(channel):
                self._leave(channel)  # a client that goes back to the context below is still in them
                self._guarded(self.unsubscribed, channel)

    # Who and what

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that the client is in, in the order in which it came; at its end, those that it was in."""
        return tuple(self._channels or ())

    def subscribe(self, channel: str) -> bool:
        """Enter a channel.

        Returns:
            Whether it is a new one for the client.

        Raises:
            TypeError, ValueError: a name that no channel can have; see :data:`MAX_NAME`.
            Exception: whatever ``subscribing`` raises; the client is not in the channel.
            ConnectRefused, HTTPException: or returns.
        """
        _check(channel)
        if self._channels is None:
            self._channels = {}
        channels = self._channels
        if channel in channels:
            return False
        channels[channel] = False
        try:
            answer = self.subscribing(channel)
            let_in(answer, "Subscription refused")
        except BaseException:
            channels.pop(channel, None)
            raise
        finally:
            answer = None  # an exception holds this frame: the circle ends here
        # Not before: what is said in the channel meanwhile is not for a client that is refused.
        if channel not in channels:
            return False  # the hook has called `unsubscribe`
        if self._left:
            self._guarded(self.unsubscribed, channel)
            return False
        channels[channel] = True
        owner = self.io.connection.owner
        owner.run_in_loop(partial(owner.adapter.join, self.io, (channel_room(channel),)))
        return True

    def unsubscribe(self, channel: str) -> bool:
        """Leave a channel.

        Returns:
            Whether the client was in it.
        """
        channels = self._channels
        if channels is None or channel not in channels:
            return False
        del channels[channel]
        self._leave(channel)
        self.unsubscribed(channel)
        return True

    def _leave(self, channel: str) -> None:
        # Another context of the client, which has been switched from or to, may be in it, too.
        for context in (self.io.context or self)._chain():
            others = context._channels if isinstance(context, ChannelContext) and not context._left else None
            if context is not self and others is not None and others.get(channel):
                return
        owner = self.io.connection.owner
        owner.run_in_loop(partial(owner.adapter.leave, self.io, (channel_room(channel),)))

    # Sending

    def broadcast_channel(self, msg: Any, channel: str | None = None) -> None:
        """Send ``msg`` to all other clients in a channel; without a name, to those in any of this client's channels.

        A client that is in several of them gets it once.
        """
        self.to_channel(*(self.channels if channel is None else (channel,))).send(msg)

    def send_and_broadcast_channel(self, msg: Any, channel: str | None = None) -> None:
        """As :meth:`broadcast_channel`, and to this client, whether it is in the channel or not."""
        self.send(msg)
        self.broadcast_channel(msg, channel)

    # What clients ask for

    def msg_subscribe(self, msg: Any = None, *_: Any) -> dict[str, Any] | None:
        """The client asks for a channel.

        Returns:
            What it was told where it is not in; the acknowledgement of success has no argument.
        """
        channel = _named(msg)
        try:
            _check(channel)
        except (TypeError, ValueError) as error:
            return self.error("bad_request", str(error))
        limit = self.io.connection.owner.settings.max_channels
        if len(self.channels) >= limit and channel not in self.channels:
            return self.error("limit_exceeded", f"You are in {limit} channels", channel=channel)
        try:
            self.subscribe(channel)
        except ConnectRefused as refused:
            return self.error("subscription_refused", refused.message, channel=channel)
        except HTTPException as error:
            return self.error("subscription_refused", refusal(error).message, channel=channel)
        return None

    def msg_unsubscribe(self, msg: Any = None, *_: Any) -> None:
        """The client leaves a channel; nothing happens where it is not in it."""
        channel = _named(msg)
        if isinstance(channel, str):
            self.unsubscribe(channel)


def _check(channel: Any) -> None:
    if not isinstance(channel, str):
        raise TypeError(_BAD_NAME)
    if not 0 < len(channel) <= MAX_NAME or _FORBIDDEN.search(channel):
        raise ValueError(_BAD_NAME)


def _named(msg: Any) -> Any:
    """The channel of a message ``{type: ..., channel: ...}``, or of an event whose argument is the name."""
    return msg.get("channel") if isinstance(msg, dict) else msg
