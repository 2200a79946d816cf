"""`#I`, ip(3): the connections of this system as files.

    tcp/clone        opening it makes a connection that leads nowhere yet, and opens its ctl
    tcp/0/ctl        connect host!port, announce host!port, hangup
    tcp/0/listen     opening it waits for a caller, and opens the ctl of the new connection
    tcp/0/data       the bytes
    tcp/0/status     Established, Announced or Closed
    tcp/0/local      this end: 127.0.0.1!6666
    tcp/0/remote     and the other
    unix/...         the same, for unix sockets; an address is a path

So who has another machine's `#I` in its name space calls, and is called, from there. A connection is hung
up when its last file is closed. The sockets are the business of `nsh.net.dial` and `nsh.net.conn`, which are
imported with the first connection: every nsh has this device, few use it.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from nsh import errors
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, Path
from nsh.kern.ctlmsg import parse
from nsh.kern.dev import Device, Directory, File, Text, up
from nsh.kern.proc import System
from nsh.p9.const import ORDWR

if TYPE_CHECKING:
    from nsh.net.address import Address
    from nsh.net.conn import Conn
    from nsh.net.dial import Listener

_WORDS = {"connect": 0, "announce": 0, "hangup": 1, "keepalive": 0}
_NOWHERE = "::!0"


class Held(File):
    """A file that keeps its conversation while it is open."""

    def __init__(self, conversation: Conversation, name: str, perm: int) -> None:
        super().__init__(name, perm)
        self.conversation = conversation

    def open(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        self.conversation.opens += 1
        return None

    def close(self, c: Chan) -> None:
        self.conversation.closed()


class Ctl(Held):
    """ctl: reads as the number of the conversation, takes the control messages."""

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self.conversation.name.encode()[offset : offset + count]

    async def write(self, c: Chan, data: bytes, offset: int) -> int:
        await self.conversation.control(bytes(data).decode("utf-8", "surrogateescape"))
        return len(data)


class Data(Held):
    """data: the bytes of a connection."""

    @property
    def conn(self) -> Conn:
        """Errors: `Ehungup` where there is no connection."""
        if self.conversation.conn is None:
            raise errors.Ehungup()
        return self.conversation.conn

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        return self.conn.read(count)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        return self.conn.send(bytes(data))


class Listen(File):
    """listen: opening it waits for a caller, and opens the ctl of the new conversation."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__("listen", 0o660)
        self._conversation = conversation

    async def open(self, c: Chan, mode: int) -> None:
        caller = await self._conversation.accept()
        c.aux, c.qid = caller.ctl, caller.ctl.qid


class Clone(File):
    """clone: opening it opens the ctl of a new conversation."""

    def __init__(self, network: Protocol) -> None:
        super().__init__("clone", 0o666)
        self._network = network

    def open(self, c: Chan, mode: int) -> None:
        new = self._network.converse(up().user)
        new.opens += 1
        c.aux, c.qid = new.ctl, new.ctl.qid


class Conversation(Directory):
    """N: one connection, or a place where connections are announced or will be made.

    It goes when none of ctl, data and listen is open any more; ``opens`` counts them.
    """

    def __init__(self, network: Protocol, name: str, owner: str) -> None:
        self.conn: Conn | None = None
        self.opens = 0
        self._listener: Listener | None = None
        self._network = network
        self.ctl = Ctl(self, "ctl", 0o660)
        self.data = Data(self, "data", 0o660)
        super().__init__(
            name,
            self.ctl,
            self.data,
            Listen(self),
            Text("local", lambda: self._local() + "\n"),
            Text("remote", lambda: (self.conn.remote if self.conn else _NOWHERE) + "\n"),
            Text("status", lambda: self._status() + "\n"),
            uid=owner,
        )
        for node in self.entries():
            node.uid = owner

    def closed(self) -> None:
        """One of the files was closed."""
        self.opens -= 1
        if self.opens == 0:
            self.hangup()

    def hangup(self) -> None:
        """End the connection, and take the directory away."""
        if self.conn is not None:
            self.conn.close()
        if self._listener is not None:
            self._listener.close()
        if self.parent is not None:
            self.parent.discard(self.name)

    async def control(self, text: str) -> None:
        """Do a control message. Errors: those of `parse`, of the host's network, `Einuse`."""
        from nsh.net.dial import announce, connect

        word, *args = parse(text, _WORDS)
        match word:
            case "connect":
                self._check_unused()
                self.conn = await connect(self._network.device.system, self._address(word, args))
            case "announce":
                self._check_unused()
                self._listener = await announce(self._network.device.system, str(self._address(word, args)))
            case "hangup" if self.conn is not None:
                self.conn.close()
            case "hangup":
                raise errors.Ehungup()
        if self.opens == 0:  # all was closed while we waited
            self.hangup()

    def _check_unused(self) -> None:
        if self.conn is not None or self._listener is not None:
            raise errors.Einuse()

    def _address(self, word: str, args: list[str]) -> Address:
        """The address of a control message; one to announce may be the port alone."""
        from nsh.net.address import Address

        if len(args) != 1:
            raise P9Error(f"bad args to {word}")
        if self._network.name == "unix":
            return Address("unix", args[0], "")
        host, bang, port = args[0].rpartition("!")
        if not bang and word == "connect":
            raise errors.Ebadaddr()
        return Address(self._network.name, host or "*", port)

    async def accept(self) -> Conversation:
        """The conversation of the next caller; its ctl counts as open."""
        if self._listener is None:
            raise P9Error("not announced")
        user = up().user
        self.opens += 1  # while we wait
        try:
            conn = await self._listener.take()
        finally:
            self.closed()
        new = self._network.converse(user)
        new.conn = conn
        new.opens += 1
        return new

    def _local(self) -> str:
        if self.conn is not None:
            return self.conn.local
        if self._listener is None:
            return _NOWHERE
        _, host, port = self._listener.address
        return f"{host.replace('*', '::')}!{port}" if port else host

    def _status(self) -> str:
        """The state, in ip(3)'s words."""
        if self.conn is not None:
            return self.conn.status
        return "Closed" if self._listener is None else "Announced"


class Protocol(Directory):
    """tcp or unix: the conversations of one kind of network."""

    def __init__(self, device: NetDevice, name: str) -> None:
        self.device = device
        self._free: list[int] = []  # a heap: the numbers that were given back, and not given again
        super().__init__(name, Clone(self))

    def converse(self, owner: str) -> Conversation:
        """A new conversation, with the lowest free number."""
        number = heappop(self._free) if self._free else len(self._entries) - 1  # beside clone
        conversation = Conversation(self, str(number), owner)
        self.add(conversation)
        return conversation

    def discard(self, name: str) -> None:
        """The conversation ``name`` is over; a second time nothing is done."""
        if name in self._entries:
            super().discard(name)
            heappush(self._free, int(name))


class NetDevice(Device):
    """`#I`: the connections of this system, below the name of their network."""

    letter, name = "I", "ip"

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._networks = {name: Protocol(self, name) for name in ("tcp", "unix")}
        first = system.find(1)
        if first is not None:
            first.atexit(self._shutdown)

    def tree(self) -> Directory:
        return Directory("#I", *self._networks.values())

    def stream(self, c: Chan) -> Conn:
        """The connection behind an open data file. Errors: `Ebadusefd`, `Einuse`, `Ehungup`."""
        if not isinstance(c.aux, Data):
            raise errors.Ebadusefd()
        conn = c.aux.conn
        conn.hold(c)
        return conn

    def redial(self, c: Chan) -> tuple[str, str] | None:
        from nsh.net.address import address, is_local

        if not isinstance(c.aux, Data):
            return None
        text = c.aux.conn.address
        return ("" if is_local(address(text)) else "A"), text

    def enter(self, net: str, conn: Conn) -> Chan:
        """Give a connection its directory; returns its data file, open for reading and writing."""
        conversation = self._networks[net].converse(self.eve)
        conversation.conn = conn
        data = conversation.data
        c = Chan(self, data.qid, Path(None, f"/net/{net}/{conversation.name}/data"), data)
        data.open(c, ORDWR)
        c.mode = ORDWR
        return c

    def _shutdown(self) -> None:
        """Hang up all connections; the first process, and with it the system, has ended."""
        for network in self._networks.values():
            for conversation in list(network.entries()):
                if isinstance(conversation, Conversation):
                    conversation.hangup()
