"""The Socket.IO side of one session: what arrives is decoded and handed to the sockets of the namespaces."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from .errors import (
    AttachmentError,
    CloseReason,
    ConnectRefused,
    LimitExceeded,
    NoNamespace,
    PacketError,
    PayloadTooLarge,
    ProtocolError,
)
from .evented.timers import Timer
from .namespace import CONNECTED, Connector, NamespaceSocket
from .protocol.attachments import PendingPacket
from .protocol.http import escape
from .protocol.packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, EncodedPacket, SocketPacket
from .session import BaseSession

if TYPE_CHECKING:
    from .socketio import SocketIO

__all__ = ["Connection"]

log = logging.getLogger(__name__)

#: Longer names are no namespace, whatever the patterns say.
_MAX_NAMESPACE_LENGTH: Final = 256

#: Nor are names with control characters: a pattern's ``$`` matches before a newline too.
_CONTROL_CHARACTER: Final = re.compile("[\x00-\x1f\x7f]")

#: For the log: who begins has often forgotten one of them.
_NO_CONTEXT: Final = ", no context answers it: config.add_socketio_context and config.scan() register contexts"


def _hint(unknown: NoNamespace) -> str:
    return f", no context answers it; there are {escape(' '.join(unknown.served))}" if unknown.served else _NO_CONTEXT


class _Violation(PacketError):
    """A packet that can be read and is not allowed where it comes (Engine.IO 4, section 10.4, rule 5).

    By POST, that is answered like a good one, as recorded with the reference; the next poll tells of the end.
    """


class Connection:
    """The Socket.IO side of one session: decodes what arrives and hands it to the sockets of the namespaces."""

    __slots__ = (
        "_attachments_timer",
        "_closed",
        "_connect",
        "_full",
        "_pending",
        "_refusals",
        "_timer",
        "_waiting",
        "leaving",
        "owner",
        "session",
        "sockets",
    )

    def __init__(
        self, owner: SocketIO, session: BaseSession, connect: Connector | None, closed: Callable[[], None] | None
    ) -> None:
        self._closed = closed
        self.owner = owner
        self.session = session
        self.sockets: dict[str, NamespaceSocket] = {}
        self._connect = connect
        self._pending: PendingPacket | None = None
        #: Runs while attachments are to come.
        self._attachments_timer: Timer | None = None
        #: What the client wants to connect to, while it is not decided whether it may be in "/": "the server waits with
        #: it until / is connected" (Engine.IO 3, Socket.IO 4, section 8.1).
        self._waiting: list[SocketPacket] | None = [] if session.revision.joins_main else None
        #: Since the last time that a namespace let the client in.
        self._refusals = 0
        #: Workers that still run the application's code for sockets that have ended.
        self.leaving = 0
        #: How many sockets have a full inbox.
        self._full = 0
        # "No namespace joined within 45 s: the server closes the EIO connection."
        self._timer: Timer | None = owner.timers.schedule(owner.settings.connect_timeout, self._connect_timed_out)

    # What the session tells

    def opened(self) -> None:
        if self.session.revision.joins_main:
            self._join(SocketPacket(CONNECT))

    def messages(self, messages: list[str | bytes]) -> ProtocolError | None:
        ready: list[NamespaceSocket] = []
        error: ProtocolError | None = None
        decode = self.session.revision.socket.decode_packet
        limit = self.session.settings.max_attachments
        sockets = self.sockets
        packet: SocketPacket | None
        try:
            for message in messages:
                if self._pending is None and message.__class__ is str:
                    packet = decode(message, limit)
                    if packet is None:
                        continue
                    if packet.attachments:
                        self._expect(packet)
                        continue
                else:
                    packet = self._attach(message)
                    if packet is None:
                        continue
                socket = sockets.get(packet.namespace)
                if socket is not None and packet.type == EVENT and socket.state is CONNECTED:
                    if socket.put(packet):
                        ready.append(socket)
                else:
                    self._control(packet, socket, ready)
        except ProtocolError as wrong:
            error = wrong.without_frames()
        for socket in ready:
            self.owner.workers.run_from_hub(socket.drain)
        if isinstance(error, _Violation):
            self._end_session(error)
            return None
        return error

    def _end_session(self, error: ProtocolError) -> None:
        """End the session in order: a client that polls is told by its next poll."""
        if self.session.connected:
            log.info("session %s: %s", self.session.sid[:6], error)
            self.session.close(error.reason, error.close_code)

    def _expect(self, packet: SocketPacket) -> None:
        """A packet whose attachments are to come; for a namespace that is not connected none is kept."""
        if packet.namespace not in self.sockets and not self.session.revision.joins_main:
            raise _Violation("an event for a namespace that is not connected")
        self._pending = PendingPacket(packet)
        self._time_attachments()

    def _attach(self, message: str | bytes) -> SocketPacket | None:
        """A binary message; gives the packet that it completes."""
        pending = self._pending
        if pending is None:
            raise AttachmentError("got binary data when not reconstructing a packet")
        if isinstance(message, str):
            raise AttachmentError("got plaintext data when reconstructing a packet")
        whole = pending.add(message)
        limit = self.session.settings.max_message_size
        if pending.size > limit:
            raise PayloadTooLarge(
                f"a packet with attachments of {pending.size} bytes, over socketio.max_message_size = {limit}"
            )
        if whole is not None:
            self._pending = None
            self._time_attachments()
        return whole

    def _time_attachments(self) -> None:
        """Give the attachments that are to come ``ping_timeout`` from now on, all together.

        No time runs while an inbox is full, because then nothing is read.
        """
        if self._attachments_timer is not None:
            self._attachments_timer.cancel()
            self._attachments_timer = None
        if self._pending is not None and not self._full and self.session.connected:
            delay = self.owner.settings.ping_timeout
            self._attachments_timer = self.owner.timers.schedule(delay, self._attachments_missing)

    def _attachments_missing(self) -> None:
        self._attachments_timer = None
        delay = self.owner.settings.ping_timeout
        self._end_session(LimitExceeded(f"attachments are missing after socketio.ping_timeout = {delay:g} s"))

    def _control(self, packet: SocketPacket, socket: NamespaceSocket | None, ready: list[NamespaceSocket]) -> None:
        """A packet that is not an event of a connected namespace."""
        if self.session.revision.joins_main:
            self._forgive(packet, socket, ready)
        elif packet.type == CONNECT and socket is None:
            self._join(packet)
        elif socket is None or packet.type == CONNECT or packet.type == CONNECT_ERROR or socket.state is not CONNECTED:
            if packet.type == DISCONNECT and socket is not None:
                socket.end(CloseReason.CLIENT)
                return
            raise _Violation("a packet that is not allowed in this state of its namespace")
        elif packet.type == DISCONNECT:
            socket.end(CloseReason.CLIENT)
        elif packet.type == ACK and socket.acknowledged(packet):
            ready.append(socket)

    def _forgive(self, packet: SocketPacket, socket: NamespaceSocket | None, ready: list[NamespaceSocket]) -> None:
        """The same in a revision whose clients do not wait for answers: nothing that comes too early is an error."""
        if packet.type == CONNECT:
            if len(packet.namespace) > _MAX_NAMESPACE_LENGTH:
                raise LimitExceeded(f"a namespace of more than {_MAX_NAMESPACE_LENGTH} characters")
            if socket is None and packet.namespace != "/":
                if self._waiting is None:
                    self._join(packet)
                elif len(self._waiting) < self.owner.settings.max_namespaces:
                    self._waiting.append(packet)
            elif socket is not None and socket.state is CONNECTED:
                self.send(self.session.revision.socket.encode_connect(packet.namespace, socket.id))
        elif socket is None:
            log.debug("session %s: ignored a packet for %s", self.session.sid[:6], escape(packet.namespace, 100))
        elif packet.type == DISCONNECT and packet.namespace == "/" and self.session.revision.main_is_connection:
            self.session.close(CloseReason.CLIENT)
        elif packet.type == DISCONNECT:
            socket.end(CloseReason.CLIENT)
        elif packet.type == EVENT:
            socket.put(packet)  # not connected yet: handled when it is
        elif packet.type == ACK and socket.state is CONNECTED and socket.acknowledged(packet):
            ready.append(socket)

    def _join(self, packet: SocketPacket) -> None:
        limit = self.owner.settings.max_namespaces
        if len(self.sockets) + self.leaving >= limit or self._refusals >= limit:
            raise LimitExceeded(f"more than {limit} namespaces")
        name = packet.namespace
        if self._connect is None or len(name) > _MAX_NAMESPACE_LENGTH or _CONTROL_CHARACTER.search(name):
            self.refuse(name, NoNamespace())
            return
        socket = self.sockets[name] = NamespaceSocket(self, name)
        self.owner.workers.run(partial(socket.connect, self._connect, packet.data))

    def refuse(self, namespace: str, refused: ConnectRefused, client: str = "-") -> None:
        """Send CONNECT_ERROR; the session lives.

        Args:
            client: the id that the client would have had, for the log.
        """
        revision = self.session.revision
        if namespace == "/" and revision.joins_main and isinstance(refused, NoNamespace):
            # The client did not ask for it: there is just nobody who answers.
            self.send(revision.socket.encode_connect(namespace, client))
            self.joined()
            return
        self._refusals += 1
        log.info(
            "session %s: refused client %s in namespace %s: %s%s",
            self.session.sid[:6],
            client,
            escape(namespace, 100),
            escape(str(refused.message)),
            _hint(refused) if isinstance(refused, NoNamespace) else "",
        )
        encode = revision.socket.encode_connect_error
        try:
            packet = encode(namespace, refused.message, refused.data)
        except (TypeError, ValueError):
            log.exception("the data of a refusal of %s cannot be sent", namespace)
            packet = encode(namespace, refused.message)
        self.send(packet)
        if namespace == "/" and revision.main_is_connection:
            self._waiting = None  # who may not be in "/" is in no other
            self.joined()
            if revision.refusal_delay:
                self._timer = self.owner.timers.schedule(revision.refusal_delay, self._end_refused)
            else:
                self._end_refused()

    def _end_refused(self) -> None:
        self.session.close(CloseReason.SERVER)

    def pause(self) -> None:
        """The inbox of a socket is full: nothing more is read until none is."""
        self._full += 1
        self.session.pause()

    def resume(self) -> None:
        """An inbox that was full is empty."""
        self._full -= 1
        if not self._full:
            self.session.resume()
            self._time_attachments()

    def send(self, encoded: EncodedPacket | None) -> None:
        """Send a packet that is for this client alone; ``None`` where its revision has no such packet."""
        if encoded is not None:
            session = self.session
            session.transport.send(session.revision.engine.Message(encoded))

    def joined(self) -> None:
        """A namespace let the client in."""
        self._refusals = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, None
        try:
            for packet in waiting or ():
                if packet.namespace not in self.sockets:
                    self._join(packet)
        except LimitExceeded as error:
            self._end_session(error)

    def _connect_timed_out(self) -> None:
        self._timer = None
        log.info(
            "session %s: connected to no namespace within socketio.connect_timeout = %g s",
            self.session.sid[:6],
            self.owner.settings.connect_timeout,
        )
        self.session.close(CloseReason.CONNECT_TIMEOUT, 1008)

    def closed(self, reason: str) -> None:
        self._waiting = None
        self.joined()
        self._pending = None
        self._time_attachments()
        for socket in tuple(self.sockets.values()):
            socket.end(reason)
        # What they belong to may hold this connection: the circle ends here.
        closed, self._closed, self._connect = self._closed, None, None
        if closed is not None:
            closed()
