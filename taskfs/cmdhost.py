"""A host that has but Inferno's cmd(3), the ancestor of taskfs: its programs are tasks like any others.

What such a host lacks is made up for here. A resource of it is a session of this device, whose task is a
program there: `Line` makes the connections (cmd/N), one for each program; `FarTask` feeds the program, and
takes what it prints at once, so that it can be read late, twice and by many, as the output of any task;
`FarSession` and `FarLeaf` refuse what cannot be had: an environment, a name space, signals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, Path, settle
from nsh.kern.namec import Access, namec, quote
from nsh.p9.const import ORDWR, OREAD, OWRITE
from taskfs import ctl
from taskfs.child import Child
from taskfs.guard import Guard, Job
from taskfs.many import each
from taskfs.run import Ending, Leaf, Task
from taskfs.session import Session
from taskfs.spool import Feed, Spool

if TYPE_CHECKING:
    from nsh.kern.proc import Proc
    from taskfs.dev import TaskDevice
    from taskfs.hosts import Host
    from taskfs.owner import Owner
    from taskfs.post import Role
    from taskfs.room import Room
    from taskfs.space import Space

PIECE = 64 << 10
"""Bytes of output that are asked for at a time."""
LEVELS = 3
"""Degrees of niceness that cmd(3) knows, for our nineteen."""


class Connection:
    """One directory cmd/N of a host, where one program can be run. ``p`` is who uses it."""

    def __init__(self, host: Host, p: Proc, number: str, control: Chan) -> None:
        self.number = number
        self.used = False
        self._host = host
        self._proc = p
        self._files = {"ctl": control}

    async def control(self, text: str) -> None:
        """Write a control message. Errors: `Lost`, and those of the host."""
        c = self._files["ctl"]
        await self._host.ask(c.dev.write(c, text.encode("utf-8", "surrogateescape"), 0))

    async def start(self, job: Job) -> None:
        """Start the program. Errors: `Lost`, and those of the host."""
        self.used = True
        await self._open("wait", OREAD)  # else nobody is told of the end
        if job.directory:
            await self.control(f"dir {quote(job.directory)}")
        if job.nice:
            await self.control(f"nice {1 + (job.nice - 1) * LEVELS // ctl.MAXNICE}")
        await self.control("exec " + " ".join(map(quote, job.argv)))
        for result in await each((("data", OWRITE), ("data", OREAD), ("stderr", OREAD)), self._open_all):
            if isinstance(result, OSError):
                raise result

    async def _open_all(self, what: tuple[str, int]) -> None:
        await self._open(*what)

    async def _open(self, name: str, mode: int) -> None:
        opening: Maybe[Chan] = namec(self._proc, f"{self._host.base}/{self.number}/{name}", Access.OPEN, mode)
        key = "stdin" if mode == OWRITE else "stdout" if name == "data" else name
        self._files[key] = await self._host.ask(opening)

    def file(self, name: str) -> Chan:
        """The open file for ``stdin``, ``stdout``, ``stderr`` or ``wait``."""
        return self._files[name]

    def close_file(self, name: str) -> None:
        """Close one of them: of stdin, the program sees the end."""
        c = self._files.pop(name, None)
        if c is not None:
            c.close()

    def close(self) -> None:
        """Close all: a program that still runs is ended by that."""
        for name in list(self._files):
            self.close_file(name)


async def _connect(host: Host, p: Proc) -> Connection:
    opening: Maybe[Chan] = namec(p, f"{host.base}/clone", Access.OPEN, ORDWR)
    control = await host.ask(opening)
    try:
        number = await host.ask(control.dev.read(control, 32, 0))
    except BaseException:
        control.close()
        raise
    return Connection(host, p, number.decode("ascii", "replace"), control)


class Line:
    """The way to the programs of a host for one session: a connection at a time, each for one program."""

    def __init__(self, host: Host, p: Proc, connection: Connection, directory: str) -> None:
        """``connection``: the first, which makes it a reservation; ``directory``: where programs run."""
        self.directory = directory
        self._host = host
        self._proc = p
        self._connection = connection

    @property
    def number(self) -> str:
        return self._connection.number

    async def fresh(self) -> Connection:
        """A connection on which nothing was run. Errors: `Lost`, and those of the host."""
        if self._connection.used:
            self._connection.close()
            self._connection = await _connect(self._host, self._proc)
        return self._connection

    async def look(self) -> None:
        """Have the host look at all that it was asked; some of it waits for the program (`Host._stat`)."""
        await self._host.check()

    def close(self) -> None:
        """Give it back, and end what runs there."""
        self._connection.close()


async def child(host: Host, session: Session, number: str, control: Chan) -> Child:
    """A resource of ``host`` for ``session``, of which a connection is open: its ``number``, its ``control``.

    Errors: those of the host, and of making a session here.
    """
    p = session.proc
    words = ctl.split((await p.readfile(f"{host.base}/{number}/status")).decode("utf-8", "surrogateescape"))
    directory = words[0][3] if words and len(words[0]) > 3 else ""
    line = Line(host, p, Connection(host, p, number, control), directory)
    made = session.device.new_session(p, session.place, session.owner, partial(FarSession, line=line))
    return Child(host, int(number), made.chan(), {"ctl": made.open_ctl(ORDWR)})


class FarTask(Task):
    """A program of another host."""

    def __init__(
        self, guard: Guard, changed: Callable[[Task], None], tell: Callable[[str], None], line: Line
    ) -> None:
        super().__init__(guard, changed, tell)
        self._line = line
        self._connection: Connection | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def start(self, job: Job, pipes: tuple[Feed, Spool, Spool], space: Space | None) -> None:
        """Run a command with ``pipes`` as its standard files. Errors: `P9Error` "exec failed: WHY"."""
        try:
            connection = self._connection = await self._line.fresh()
            await connection.start(job)
        except OSError as e:
            text = str(e).removeprefix("exec failed: ")
            self._tell(f"exec {quote(job.argv[0])}: {text}")
            raise P9Error(f"exec failed: {text}") from None
        self._tell(f"exec {quote(job.argv[0])} cmd/{connection.number}")
        stdin, stdout, stderr = pipes
        self._do(self._feed(connection, stdin))
        outputs = [
            self._do(self._drain(connection, "stdout", stdout)),
            self._do(self._drain(connection, "stderr", stderr)),
        ]
        self._do(self._wait(connection, outputs))
        self._do(self._line.look())

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def _feed(self, connection: Connection, feed: Feed) -> None:
        """Give the program its input, and its end."""
        c = connection.file("stdin")
        try:
            while data := await feed.get():
                while data:
                    data = data[await settle(c.dev.write(c, data, 0)) :]
        except OSError:
            feed.close()  # it does not want any more
        finally:
            connection.close_file("stdin")

    async def _drain(self, connection: Connection, name: str, spool: Spool) -> None:
        """Keep what the program prints. A host that is lost is waited for: it tells nothing twice."""
        c = connection.file(name)
        at = 0
        try:
            while not spool.eof and (data := await settle(c.dev.read(c, PIECE, at))):
                at += len(data)
                await spool.put(data)
        except OSError:
            pass  # its connection is gone, and with that it has ended
        spool.finish()

    async def _wait(self, connection: Connection, outputs: list[asyncio.Task[None]]) -> None:
        c = connection.file("wait")
        try:
            line = (await settle(c.dev.read(c, 1024, 0))).decode("utf-8", "replace")
        except OSError:
            line = "0 0 0 0 lost"
        self._end(_ending(line, self._why))
        await asyncio.wait(outputs)
        self.gone()

    def signal(self, number: int) -> None:
        """Errors: `P9Error`, always."""
        raise P9Error("cmd(3) knows no signals; kill ends the program")

    def kill(self) -> None:
        """End the program, as the host does that."""
        if self.ending is None and self._connection is not None:
            self._do(self._kill(self._connection))

    async def _kill(self, connection: Connection) -> None:
        try:
            await connection.control("kill")
        except OSError:
            pass  # it has ended, or its host is lost

    def abandon(self) -> None:
        """Nobody wants to know any more."""
        for task in list(self._work):
            task.cancel()
        self._stop_limit()
        self.gone()


def _ending(line: str, why: str) -> Ending:
    """How a program ended by the line of its wait file; ``why``: what we have done to it."""
    words = [*(ctl.split(line.replace("\n", " ")) or [[]])[0], "", "", "", "", ""]
    pid, user, system, real = (int(word) if word.isdecimal() else 0 for word in words[:4])
    return Ending(pid, user, system, real, why or words[4].replace("'", '"'))


def _missing(what: str) -> P9Error:
    return P9Error(f"exec failed: {what}: cmd(3) has nothing of the kind")


class FarLeaf(Leaf):
    """What a session does whose tasks are programs of another host, at the end of ``line``."""

    def __init__(self, session: Session, line: Line) -> None:
        super().__init__(session)
        self._line = line

    def resting(self) -> bool:
        """Has the task ended? Of one that runs it cannot be told what it waits for."""
        return self.used and not self.running

    def _new_task(self) -> Task:
        return FarTask(self._guard, self._changed, self._tell, self._line)

    async def _room(self, role: Role) -> Room:
        raise _missing("peers")

    def _job(self, argv: list[str], role: Role, room: Room | None) -> Job:
        options = self._options
        if options.env or options.ns:
            raise _missing("ns" if options.ns else "env")
        return Job(argv, options.dir, {}, options.nice)

    def _space(self) -> Space | None:
        return None

    @property
    def _directory(self) -> str:
        return self._options.dir or self._line.directory

    def status(self, number: int | str, opens: int, open_again: bool) -> str:
        """The line of the status file, with the number that the program has on its host."""
        return super().status(self._line.number, opens, open_again)

    def free(self) -> None:
        super().free()
        for task in list(self._left):
            if isinstance(task, FarTask):
                task.abandon()


class FarSession(Session):
    """A session that stands for a resource of a host that has cmd(3)."""

    def __init__(
        self,
        device: TaskDevice,
        number: int,
        proc: Proc,
        place: Path,
        owner: Owner,
        *,
        reserved: bool,
        line: Line,
    ) -> None:
        super().__init__(device, number, proc, place, owner, reserved=reserved)
        self._line = line

    def _make_leaf(self) -> Leaf:
        return FarLeaf(self, self._line)

    def reserve(self, n: int, system: str, arch: str) -> Maybe[None]:
        """Errors: `P9Error`, always."""
        raise P9Error("cmd(3) reserves nothing for others, and does not say of what kind its host is")

    def release(self) -> None:
        """End what runs, and give the resource back."""
        if not self.gone:
            super().release()
            self._line.close()
