"""The soak: several clients that send what they like to one real server, over sockets, until time is up.

hypothesis makes the conversations: messages that make sense, messages that do not, bytes that are none, cut
anywhere, on connections that come and go. After each one a `Ledger` must be content. After each round
everything is removed, and the server must have as many descriptors as in the beginning and hardly
more memory, and must have said one line for each connection that it closed.
"""

from __future__ import annotations

import socket
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import nsh
from nsh.errors import ProtocolError
from nsh.p9 import msg
from nsh.p9.const import DMDIR, MAXMSIZE, NOFID, NOTAG, OREAD, OWRITE
from nsh.p9.frame import Framer
from nsh.p9.msg import Message
from tests.fuzz.ledger import Broken, Ledger
from tests.fuzz.process import MSIZE, PATIENCE, Served
from tests.p9 import strategies

CLIENTS = 4
LEAK = 8 << 20
"""Bytes by which the server may have grown after its first round: the allocator's affairs."""

_fids = st.sampled_from([0, 1, 2, 3, 4, NOFID])
_tags = st.integers(0, 12)
_names = st.sampled_from(["file", "d", "pipe", "data", "data1", "gen", "..", "", ".", "a/b", "new", "é"])
_modes = st.sampled_from([0, 1, 2, 3, 0x10, 0x11, 0x40, 0x42, 0x20, 0xFF])
_perms = st.sampled_from([0o666, 0o444, DMDIR | 0o777, 0xFFFFFFFF])
_offsets = st.sampled_from([0, 0, 0, 6, 140, 1 << 40, (1 << 64) - 1])
_counts = st.sampled_from([0, 1, 100, 8192, 65536, 65537, 0xFFFFFFFF])

likely: st.SearchStrategy[Message] = st.one_of(
    st.builds(msg.Tattach, _tags, _fids, st.just(NOFID), st.just("glenda"), st.just("")),
    st.builds(msg.Twalk, _tags, _fids, _fids, st.lists(_names, max_size=4).map(tuple)),
    st.builds(msg.Topen, _tags, _fids, _modes),
    st.builds(msg.Tcreate, _tags, _fids, _names, _perms, _modes),
    st.builds(msg.Tread, _tags, _fids, _offsets, _counts),
    st.builds(msg.Twrite, _tags, _fids, st.integers(0, 9000), st.binary(max_size=2000)),
    st.builds(msg.Tclunk, _tags, _fids),
    st.builds(msg.Tremove, _tags, _fids),
    st.builds(msg.Tstat, _tags, _fids),
    st.builds(msg.Twstat, _tags, _fids, strategies.dirs(_names).map(lambda d: d.pack())),
    st.builds(msg.Tflush, _tags, _tags),
)
"""Requests about few fids and names, so that many of them mean something."""
requests: st.SearchStrategy[Message] = st.one_of(
    likely,
    likely,
    *(
        strategies.message(kind)
        for kind in msg.NUMBER
        if kind.__name__[0] == "T" and kind is not msg.Tversion
    ),
)


class Client:
    """One connection, from its Tversion on."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=PATIENCE)
        self._ledger = Ledger()
        self._framer = Framer(MAXMSIZE)
        self.send([msg.Tversion(NOTAG, MSIZE, "9P2000")], [])
        self.hear()
        self.send([msg.Tattach(0, 0, NOFID, "glenda", "")], [])

    def send(self, messages: list[Message], cuts: list[int]) -> None:
        """Send these, whole or cut where ``cuts`` says: bytes from the last cut on."""
        for message in messages:
            self._ledger.sent(message)
        data = b"".join(map(msg.encode, messages))
        for cut in cuts:
            self._socket.sendall(data[:cut])
            data = data[cut:]
            time.sleep(0)
        self._socket.sendall(data)

    def hear(self) -> None:
        """Take replies as long as some are due."""
        while self._ledger.waiting:
            data = self._socket.recv(1 << 16)
            if not data:
                raise Broken("the server hung up")
            for frame in self._framer.feed(data):
                self._ledger.came(msg.decode(frame))

    def end(self) -> int:
        """Flush what waits, hear all, hang up; returns how many requests were sent."""
        try:
            self.send(self._ledger.farewell(), [])
            self.hear()
        finally:
            self._socket.close()
        return self._ledger.requests

    def offend(self, data: bytes) -> int:
        """Send what is no message; the server has to hang up."""
        self._socket.sendall(data)
        try:
            while self._socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass  # it did not read all before it hung up
        self._socket.close()
        return self._ledger.requests

    def vanish(self) -> int:
        """Hang up in the middle."""
        self._socket.close()
        return self._ledger.requests


class Count:
    """What was done in all."""

    def __init__(self) -> None:
        self.connections = self.requests = self.offences = self.examples = 0


def senseless(data: bytes) -> bool:
    """Does this end a connection, wherever a message may begin?"""
    try:
        for frame in Framer(MSIZE).feed(data):
            if not isinstance(msg.decode(frame), msg.Tmsg):
                return True
    except ProtocolError:
        return True
    return False


offences = st.one_of(
    st.binary(min_size=7, max_size=40).filter(senseless),
    st.sampled_from(
        [
            b"\xff\xff\xff\xff",
            b"\0\0\0\0",
            b"\x07\0\0\0\xff\0\0",
            msg.encode(msg.Rclunk(1)),
            b"GET / HTTP/1.0\r\n",
        ]
    ),
)


def machine(address: tuple[str, int], count: Count) -> type[RuleBasedStateMachine]:
    """The clients of one server, as hypothesis drives them."""

    class Clients(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.clients: list[Client] = []
            count.examples += 1

        @precondition(lambda self: len(self.clients) < CLIENTS)
        @rule()
        def connect(self) -> None:
            self.clients.append(Client(address))
            count.connections += 1

        @precondition(lambda self: self.clients)
        @rule(
            which=st.integers(0, CLIENTS - 1),
            messages=st.lists(requests, min_size=1, max_size=12),
            cuts=st.lists(st.integers(1, 200), max_size=4),
        )
        def send(self, which: int, messages: list[Message], cuts: list[int]) -> None:
            self.clients[which % len(self.clients)].send(messages, cuts)

        @precondition(lambda self: self.clients)
        @rule(which=st.integers(0, CLIENTS - 1))
        def end(self, which: int) -> None:
            count.requests += self.clients.pop(which % len(self.clients)).end()

        @precondition(lambda self: self.clients)
        @rule(which=st.integers(0, CLIENTS - 1))
        def vanish(self, which: int) -> None:
            count.requests += self.clients.pop(which % len(self.clients)).vanish()

        @precondition(lambda self: self.clients)
        @rule(which=st.integers(0, CLIENTS - 1), data=offences)
        def offend(self, which: int, data: bytes) -> None:
            count.requests += self.clients.pop(which % len(self.clients)).offend(data)
            count.offences += 1

        def teardown(self) -> None:
            while self.clients:
                count.requests += self.clients.pop().end()

    return Clients


def soak(seconds: float, number: int = 0, examples: int = 40) -> int:
    """Soak for so long, in rounds of ``examples``, at least two, and say what was done.

    Raises what is found.
    """
    count = Count()
    start = time.monotonic()
    profile = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    with Served() as server:
        descriptors, memory = server.descriptors(), 0
        rounds = 0
        while rounds < 2 or time.monotonic() - start < seconds:
            driven = seed(number * 1_000_003 + rounds)(machine(server.address, count))
            run_state_machine_as_test(driven, settings=profile)
            _clean(server.address)
            rounds += 1
            _check(server, descriptors, memory, count)
            memory = memory or server.memory()
        grown = server.memory() - memory
    print(
        f"soak: {count.requests:,} requests on {count.connections:,} connections in {count.examples:,} "
        f"conversations, {time.monotonic() - start:.0f} s; {count.offences:,} closed for senseless bytes, "
        f"a line each; descriptors {descriptors} as before; memory {memory / 1e6:.1f} MB after the first "
        f"of {rounds} rounds, {grown / 1e6:+.1f} MB after the last"
    )
    return 0


def _check(server: Served, descriptors: int, memory: int, count: Count) -> None:
    if not server.settled(descriptors):
        raise Broken(
            f"{server.descriptors()} descriptors, {descriptors} before" if server.alive else "it is dead"
        )
    if memory and server.memory() > memory + LEAK:
        raise Broken(f"{server.memory()} bytes of memory, {memory} after the first round")
    log = server.log()
    if len(log) != count.offences or not all(line.endswith("; connection closed") for line in log):
        raise Broken(f"{count.offences} connections were closed, and the log says: {log[-20:]}")


def _clean(address: tuple[str, int]) -> None:
    """Have the tree as it was."""
    with nsh.sync.connect("tcp!{}!{}".format(*address)) as files:
        _empty(files, "")
        for name in ("d", "gen", "pipe"):
            if name not in files.listdir():
                files.create(name, DMDIR | 0o777, OREAD).close()
        with files.create("file", 0o666, OWRITE) as file:
            file.write(b"hello\n")


def _empty(files: nsh.sync.Client, name: str) -> None:
    for d in files.readdir(name):
        inner = f"{name}/{d.name}"
        if d.isdir and inner not in ("/gen", "/pipe"):
            files.wstat(inner, nsh.Dir.dont_touch(mode=DMDIR | 0o777))
            _empty(files, inner)
        if inner not in ("/gen", "/pipe", "/d"):
            files.remove(inner)
