"""The way back: how a task's call comes from a host to the session that runs the task, wherever that is.

There need not be a route from the host to the one who has reserved its resources, but there is a connection,
over which he uses the host's files. One of them, ``remote/peers``, carries the calls. He keeps it open, and
says under which name he listens (`Operator`); the sessions are told the same name, and of whom they are a
part (the control message ``task``). When a task dials, a read of the open file gives the number of the
session that it wants, and from then on what is read from it and written to it are the bytes of that call, a
9P conversation in which he is the server. Each call takes an open file of its own, as in listen(2).

`Exchanges` are the host's side. A name counts only for the connection on which it is listened to.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

from nsh import errors
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, settle
from nsh.kern.dev import File, up
from nsh.kern.namec import Access, namec
from nsh.kern.proc import RFCFDG, RFNOTEG
from nsh.kern.qidmap import QidMap
from nsh.kern.stream import stream
from nsh.kern.tree import Tree
from nsh.p9.const import ORDWR
from taskfs.peers import mounted
from taskfs.post import Post

if TYPE_CHECKING:
    from nsh.dev.mnt import MntDevice
    from nsh.kern.proc import Proc
    from nsh.net.fuse import Mounted
    from taskfs.dev import TaskDevice
    from taskfs.session import Session

FILE = "peers"
"""The file, beside clone, that carries the calls."""
_number = itertools.count(1)
TRUST = 1.0
"""Seconds for which a name in a session that is elsewhere is believed to stand for the file it did."""
KEYMAX = 64
"""Bytes in which the number of a session fits."""


class Call(Protocol):
    """The bytes of a task's conversation: a connection (`nsh.net.conn.Conn`) is one."""

    def read(self, count: int) -> Maybe[bytes]:
        """What has come from the task, at most ``count`` bytes; empty at the end."""

    def send(self, data: bytes) -> Maybe[int]:
        """Send to the task; waits while too much is queued."""

    def close(self) -> None:
        """End it."""


class PipeCall:
    """A call from within this process, over one end of a pipe of ours."""

    def __init__(self, end: Chan) -> None:
        self._end = end

    def read(self, count: int) -> Maybe[bytes]:
        return self._end.dev.read(self._end, count, 0)

    def send(self, data: bytes) -> Maybe[int]:
        return self._end.dev.write(self._end, data, 0)

    def close(self) -> None:
        self._end.close()


# --- the host's side ---------------------------------------------------------------------------


class Exchange:
    """Calls of the tasks that one has started here, and who listens for them."""

    def __init__(self, device: TaskDevice, leader: Proc, vanish: Callable[[], object]) -> None:
        self._device = device
        self._leader = leader
        self._vanish = vanish
        self._lines = 0
        self._posts: dict[str, Post] = {}
        self._calls: deque[tuple[str, Call]] = deque()
        self._listening: deque[asyncio.Future[tuple[str, Call]]] = deque()

    def post(self, key: str) -> Post:
        """The way to the session ``key`` for its tasks here."""
        post = self._posts.get(key)
        if post is None:

            def closed() -> None:
                del self._posts[key]
                self._vanish_if_unused()

            answer, tree = partial(self.call, key), partial(self._tree, key)
            post = self._posts[key] = Post(self._device, answer, tree, closed)
        return post

    async def _tree(self, key: str) -> Callable[[int], Mounted]:
        """What shows the session ``key`` to its tasks here as files: we call it ourselves. Errors: its."""
        ours, theirs = await self._device.system.pipe()
        self.call(key, PipeCall(theirs))
        driver = cast("MntDevice", self._device.system.device("M"))
        try:
            root = await driver.connect(ours, self._leader.user, "")
        finally:
            ours.close()

        def show(device: int) -> Mounted:
            proc = self._leader.fork(RFNOTEG | RFCFDG)
            made = mounted(proc, Tree(proc, root, QidMap()), device, TRUST)
            made.undo_at_end(driver.at_hangup(root, made.close))
            return made

        return show

    def call(self, key: str, call: Call) -> None:
        """Somebody calls the session ``key``: it is for the next who listens."""
        while self._listening:
            listener = self._listening.popleft()
            if not listener.done():
                listener.set_result((key, call))
                return
        self._calls.append((key, call))

    async def next(self) -> tuple[str, Call]:
        """The next call, and whom it is for."""
        if self._calls:
            return self._calls.popleft()
        listener: asyncio.Future[tuple[str, Call]] = asyncio.get_running_loop().create_future()
        self._listening.append(listener)
        try:
            return await listener
        except asyncio.CancelledError:
            if listener.done() and not listener.cancelled():
                self.call(*listener.result())
            raise

    def line_came(self) -> None:
        """One more has the file open under our name."""
        self._lines += 1

    def line_left(self) -> None:
        self._lines -= 1
        self._vanish_if_unused()

    def _vanish_if_unused(self) -> None:
        if not self._lines and not self._posts:
            for _, call in self._calls:
                call.close()
            self._vanish()


class Exchanges:
    """Those of one device, each under a name and for the connection on which it is listened to."""

    def __init__(self, device: TaskDevice) -> None:
        self._device = device
        self._known: dict[tuple[Proc, str], Exchange] = {}

    def listen(self, name: str) -> Exchange:
        """The one called ``name``, which is made if there is none."""
        key = up().leader, name
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Exchange(self._device, key[0], partial(self._known.pop, key))
        return found

    def find(self, name: str) -> Exchange:
        """The one called ``name``. Errors: `P9Error` when nobody listens under this name."""
        found = self._known.get((up().leader, name))
        if found is None:
            raise P9Error("nobody listens")
        return found


class Back(File):
    """remote/peers, which is in no listing."""

    def __init__(self, exchanges: Exchanges) -> None:
        super().__init__(FILE, 0o666)
        self._exchanges = exchanges

    def open(self, c: Chan, mode: int) -> None:
        c.dirpos = Line(self._exchanges)

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        line: Line = c.dirpos
        return line.read(count)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        line: Line = c.dirpos
        return line.write(bytes(data))

    def close(self, c: Chan) -> None:
        c.dirpos.close()


class Line:
    """The file, opened once: it listens, and then carries one call."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._exchange: Exchange | None = None
        self._call: Call | None = None

    def write(self, data: bytes) -> Maybe[int]:
        """First ``listen NAME``, then the bytes of the call. Errors: `Ebadctl`, `Ebadusefd`."""
        if self._call is not None:
            return self._call.send(data)
        word, _, name = data.decode("utf-8", "replace").strip().partition(" ")
        if word != "listen" or not name:
            raise errors.Ebadctl()
        if self._exchange is not None:
            raise errors.Ebadusefd()
        self._exchange = self._exchanges.listen(name)
        self._exchange.line_came()
        return len(data)

    def read(self, count: int) -> Maybe[bytes]:
        """First the number of the session that is called, when one is, then the bytes of the call."""
        if self._call is not None:
            return self._call.read(count)
        if self._exchange is None:
            raise errors.Ebadusefd()
        return self._listen(self._exchange)

    async def _listen(self, exchange: Exchange) -> bytes:
        key, self._call = await exchange.next()
        return key.encode()

    def close(self) -> None:
        if self._call is not None:
            self._call.close()
        if self._exchange is not None:
            self._exchange.line_left()


# --- the side of who has reserved --------------------------------------------------------------


class Operator:
    """Takes the calls that come from one host, for the sessions that were entered here.

    ``base``: the directory of the host's clone file, as ``proc`` sees it; ``name``: under which we listen;
    ``listening``: whether we do; None as long as the host has not answered.
    """

    def __init__(self, proc: Proc, base: str) -> None:
        self.name = secrets.token_hex(16)
        self.listening: bool | None = None
        self._failure: OSError | None = None
        self._sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._keys: WeakKeyDictionary[Session, str] = WeakKeyDictionary()
        self._settled = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = loop.create_task(self._run(proc, f"{base}/{FILE}"))

    def enter(self, session: Session) -> str:
        """The number by which tasks of the host can call ``session`` from now on."""
        key = self._keys.get(session)
        if key is None:
            key = self._keys[session] = str(next(_number))
            self._sessions[key] = session
        return key

    async def ready(self) -> bool:
        """Do we listen? False if the host has no such file. Errors: those of the host."""
        await self._settled.wait()
        if self._failure is not None and not isinstance(self._failure, FileNotFoundError):
            raise self._failure
        return bool(self.listening)

    def close(self) -> None:
        """Take no more calls. Those that were taken go on."""
        task, self._task = self._task, None  # which, cancelled, remembers where it was, and us, and the file
        if task is not None:
            task.cancel()

    async def _run(self, proc: Proc, name: str) -> None:
        try:
            file = await namec(proc, name, Access.BIND)
            while True:
                await self._take(file)
        except OSError as e:
            self._failure = e.with_traceback(None)  # it has no such file, or its connection has ended
        finally:
            self.listening = False
            self._settled.set()

    async def _take(self, file: Chan) -> None:
        """Wait for one call, and let it be answered."""
        c, _ = await settle(file.dev.walk(file, []))
        assert c is not None  # a walk without names that does not fail
        c = await settle(c.dev.open(c, ORDWR))
        c.mode = ORDWR
        try:
            await settle(c.dev.write(c, f"listen {self.name}".encode(), 0))
            self.listening = True
            self._settled.set()
            key = (await settle(c.dev.read(c, KEYMAX, 0))).decode("ascii", "replace")
            if not key:
                raise errors.Ehungup()
        except BaseException:
            c.close()
            raise
        session = self._sessions.get(key)
        if session is None:
            c.close()
        else:
            session.serve(stream(c))
