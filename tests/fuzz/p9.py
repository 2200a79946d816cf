"""The fuzzer of the serving side: bytes as a peer might send them, through framing, decoding and a Session,
to an export of memfs, all in this process.

Each execution is one connection (`Conversation`). A reply that no rule allows, a request that stays without
one, an exception, and a fault that `nsh.p9.server` logs are failures. With atheris (``pip install atheris``)
the inputs are led by what code they reach; without it, `Mutator` changes conversations at random.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nsh.dev import TABLE
from nsh.errors import ProtocolError
from nsh.kern.chan import Chan
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc, System, current
from nsh.kern.stream import Receiver
from nsh.net.serve import Server
from nsh.p9 import msg
from nsh.p9.const import DEFMSIZE, DMDIR, MAXMSIZE, MINMSIZE, OREAD, OWRITE
from nsh.p9.frame import Framer
from nsh.p9.msg import Message
from nsh.p9.server import _understood
from tests.fuzz.ledger import Broken, Ledger
from tests.fuzz.records import CORPUS, Mutator, pack, segments

TURNS = 50
"""Turns of the event loop in which everything that can be answered is."""


class Wire:
    """A Stream whose other end is in this process, and keeps what it gets."""

    address = "fuzz"

    def __init__(self) -> None:
        self.replies = bytearray()
        self.receiver: Receiver | None = None

    def start(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        self.replies += b"".join(parts)

    def backlog(self) -> int:
        return 0

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def drain(self) -> None: ...

    def close(self) -> None:
        """The server hangs up."""
        self.receiver = None


class Conversation:
    """One connection to a fresh server, and the judgement on it."""

    def __init__(self, p: Proc, root: Chan) -> None:
        self._wire = Wire()
        self._server = Server(p, root, self._wire)
        self._ledger = Ledger()
        self._sent = Framer(DEFMSIZE)  # what the server must have understood
        self._came = Framer(MAXMSIZE)
        self._over = False  # something was sent after which nothing has a meaning

    async def hold(self, data: bytes) -> None:
        """Send it all, in its segments; then end whatever waits, and hang up."""
        try:
            for segment in segments(data):
                self._send(segment)
                await self._listen()
            farewell = self._ledger.farewell()
            expected = self.requests + len(farewell)
            self._send(b"".join(map(msg.encode, farewell)))
            await self._listen()
            if not self._over and self.requests == expected:  # else they are part of an unfinished message
                self._ledger.settled()
        finally:
            self._server.close()
            await asyncio.sleep(0)

    @property
    def requests(self) -> int:
        return self._ledger.requests

    def _send(self, data: bytes) -> None:
        if self._over:
            return
        for message in self._understood(data):
            self._ledger.sent(message)
        if self._wire.receiver is not None:
            self._wire.receiver.received(data)

    def _understood(self, data: bytes) -> Iterator[Message]:
        """The requests in ``data``, up to the first thing that is none."""
        try:
            for frame in self._sent.feed(data):
                message = msg.decode(frame)
                if not isinstance(message, msg.Tmsg):
                    raise ProtocolError("a reply")
                yield message
                if isinstance(message, msg.Tversion):
                    self._sent.msize = self._agreed(message)
        except ProtocolError:
            self._over = True

    def _agreed(self, m: msg.Tversion) -> int:
        """The msize that the server has to agree to, or the one that stays."""
        agreed = _understood(m.version) and m.msize >= MINMSIZE
        return min(m.msize, MAXMSIZE) if agreed else self._sent.msize

    async def _listen(self) -> None:
        """Take the replies that there are, and wait for those that need not wait for us."""
        for _ in range(TURNS):
            replies, self._wire.replies = bytes(self._wire.replies), bytearray()
            for frame in self._came.feed(replies):
                self._ledger.came(msg.decode(frame))
            if self._wire.receiver is None or not (self._over or self._ledger.waiting):
                break
            await asyncio.sleep(0)
        if (self._wire.receiver is None) != self._over:
            raise Broken("senseless bytes were taken" if self._over else "the server hung up")


class World:
    """The system that is served. Each conversation finds the same files, and a server that is new."""

    def __init__(self) -> None:
        self.executions = self.requests = 0
        self._faults: list[str] = []
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> World:
        self._log = logging.getLogger("nsh")
        self._propagates = self._log.propagate
        self._handler = _Faults(self._faults)
        self._log.addHandler(self._handler)
        self._log.propagate = False  # a line about each bad message would be many
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self._handler)
        self._log.propagate = self._propagates
        self._loop.close()

    def told(self, seconds: float) -> str:
        """What was done, in a line."""
        return f"p9: {self.executions:,} executions, {self.requests:,} requests in {seconds:g} s"

    def execute(self, data: bytes) -> None:
        """One conversation. Raises what is wrong."""
        self.executions += 1
        self._loop.run_until_complete(self._execute(data))
        if self._faults:
            raise Broken(self._faults[0])
        if left := asyncio.all_tasks(self._loop):
            raise Broken(f"tasks are left: {left}")

    async def _execute(self, data: bytes) -> None:
        p = await System(TABLE, eve="glenda").boot()
        current.set(p)
        try:
            await p.bind("#R", "/mnt", MREPL | MCREATE)
            for name in ("pipe", "gen", "d"):
                p.close(await p.create("/mnt/" + name, OREAD, DMDIR | 0o777))
            fd = await p.create("/mnt/file", OWRITE, 0o666)
            await p.write(fd, b"hello\n")
            p.close(fd)
            await p.bind("#|", "/mnt/pipe", MREPL)
            await p.bind("#m", "/mnt/gen", MREPL)
            conversation = Conversation(p, await namec(p, "/mnt", Access.TODIR))
            await conversation.hold(data)
            self.requests += conversation.requests
        finally:
            p.exit()
            await asyncio.sleep(0)


class _Faults(logging.Handler):
    """Keeps what is said about faults of our own; that a peer is senseless is none."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        self._faults.append(record.getMessage())


def fuzz(seconds: float, seed: int = 0, guided: bool = True) -> int:
    """Fuzz for so long and say what was done; 1 if something was found, with the input in a file."""
    if guided and importlib.util.find_spec("atheris") is not None:
        return _guided(seconds, seed)
    if guided:
        print("atheris is not installed: inputs are changed at random, not led by coverage", flush=True)
    return _at_random(seconds, seed)


def _at_random(seconds: float, seed: int) -> int:
    """Inputs from the `Mutator`."""
    mutator = Mutator(seed)
    end = time.monotonic() + seconds
    found = 0
    with World() as world:
        while time.monotonic() < end and not found:
            data = mutator.next()
            try:
                world.execute(data)
            except Exception as e:
                with tempfile.NamedTemporaryFile(prefix="nsh-fuzz-", delete=False) as file:
                    file.write(data)
                print(f"{type(e).__name__}: {e}; the input is in {file.name}")
                found = 1
    print(world.told(seconds))
    return found


def _guided(seconds: float, seed: int) -> int:
    """Inputs from atheris, in a child (`tests.fuzz.guided`): it has to see our modules being imported."""
    with tempfile.TemporaryDirectory(prefix="nsh-fuzz-") as corpus:
        for i, messages in enumerate(CORPUS):
            Path(corpus, str(i)).write_bytes(pack(messages))
            Path(corpus, f"{i}cut").write_bytes(pack(messages, cut=True))
        argv = [sys.executable, "-P", "-m", "tests.fuzz.guided", str(seconds), str(seed), corpus]
        return 1 if subprocess.run(argv).returncode else 0
