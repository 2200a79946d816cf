"""Proc and System: the processes, and the machine they run on.

A `Proc` is who acts: a user, a root, a current directory, and the groups that it shares with others
(name space, open files, environment). Code that runs on its behalf finds it as ``up()``. A Proc may
run a coroutine as its program, as a command of the shell does, or have none, as the Proc that acts
for one client of a 9P server.

A `System` has the devices and the table of processes. There is one in a program, as a rule, but
nothing is global: a test may have as many as it likes.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import itertools
import logging
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from nsh import errors
from nsh.kern.chan import Chan, Path, settle
from nsh.kern.dev import Device
from nsh.kern.env import Egrp
from nsh.kern.fgrp import Fgrp
from nsh.kern.noteg import INTERRUPT as INTERRUPT
from nsh.kern.noteg import QUIT as QUIT
from nsh.kern.noteg import Noteg
from nsh.kern.pgrp import Pgrp
from nsh.kern.qidmap import QidMap
from nsh.kern.stream import Stream
from nsh.kern.sys import Syscalls
from nsh.kern.user import whoami
from nsh.p9.const import ORDWR

log = logging.getLogger("nsh")

# rfork(2): what a new process has of its own; what is not named here is shared with its parent
RFNAMEG = 1 << 0  # a copy of the name space
RFENVG = 1 << 1  # a copy of the environment
RFFDG = 1 << 2  # a copy of the descriptors
RFNOTEG = 1 << 3  # a leader: what belongs to it ends with it, not with its parent's leader
RFCNAMEG = 1 << 10  # an empty name space
RFCENVG = 1 << 11  # an empty environment
RFCFDG = 1 << 12  # no descriptors
RFNOMNT = 1 << 14  # no mount(2), and no devices by name but the harmless ones

ABOVE = 5_000_000
"""Processes after the first have numbers above this; those of the host's processes stay below (2**22)."""

current: contextvars.ContextVar[Proc] = contextvars.ContextVar("up")

Program = Callable[["Proc"], Coroutine[Any, Any, str | None]]


class Proc(Syscalls):
    """A process.

    ``user``: in whose name it acts; ``authenticated``: whether that was proved (a client that came
    in with ``-A`` was not asked); ``leader``: the process with whose end everything started here
    should end: the shell, or the one that stands for a client's connection; ``args``: what it
    runs, for ps; ``status``: '' or why it failed, None while it runs; ``watchers``: are told of each
    child that ends, in a line; ``depth``: how many forks it is away from the first; ``program``: the
    number of the host's program that it is running, or 0; ``noteg``: who is interrupted and stopped together
    with it.
    """

    __slots__ = (
        "__weakref__",
        "_exiting",
        "_how",
        "args",
        "authenticated",
        "children",
        "depth",
        "dot",
        "egrp",
        "fgrp",
        "leader",
        "noteg",
        "parent",
        "pgrp",
        "pid",
        "program",
        "slash",
        "status",
        "system",
        "task",
        "user",
        "watchers",
    )

    def __init__(self, system: System, parent: Proc | None = None) -> None:
        self.system = system
        self.pid = system.newpid(self)
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent else 0
        self.leader: Proc = parent.leader if parent else self
        self.user = parent.user if parent else system.eve
        self.authenticated: bool = parent.authenticated if parent else True
        self.noteg: Noteg = parent.noteg if parent else Noteg()
        self.args: list[str] = []
        self.status: str | None = None
        self.program = 0
        self.calls = 0
        self.task: asyncio.Task[str] | None = None
        self.children: set[Proc] = set()
        self.watchers: list[Callable[[str], object]] = []
        self._exiting: list[Callable[[], None]] = []
        self._how = ""  # ended, if not by itself
        if parent is not None:
            parent.children.add(self)

    def fork(self, flags: int = 0) -> Proc:
        """A new process that shares with this one what ``flags`` (RFNAMEG, ...) do not say otherwise.

        Errors: `Ebadarg`.
        """
        _check(flags)
        child = Proc(self.system, self)
        child.slash, child.dot = self.slash, self.dot
        child.pgrp, child.egrp, child.fgrp = self.pgrp, self.egrp, self.fgrp
        self.fgrp.users += 1
        child.rfork(flags)
        if flags & RFNOTEG:
            child.noteg = Noteg(front=False)
        return child

    def rfork(self, flags: int) -> None:
        """rfork(2) without RFPROC: have what ``flags`` name for oneself from now on. Errors: `Ebadarg`."""
        _check(flags)
        if flags & RFCNAMEG:
            nodevs, self.pgrp = self.pgrp.nodevs, Pgrp()
            self.pgrp.nodevs = nodevs
        elif flags & RFNAMEG:
            self.pgrp = self.pgrp.fork()
        if flags & RFNOMNT:
            self.pgrp.nodevs = True
        if flags & RFCENVG:
            self.egrp = Egrp()
        elif flags & RFENVG:
            self.egrp = self.egrp.fork()
        if flags & (RFFDG | RFCFDG):
            fgrp = Fgrp() if flags & RFCFDG else self.fgrp.fork()
            self.fgrp.release()
            self.fgrp = fgrp
        if flags & RFNOTEG:
            self.leader = self

    # --- running -------------------------------------------------------------------------------

    def start(self, program: Program) -> asyncio.Task[str]:
        """Run ``program(self)`` as this process; the task's result is the exit status, never an error.

        If it cannot be started (`RecursionError`) the process is over.
        """
        context = contextvars.copy_context()
        context.run(current.set, self)
        main = self._main(program)
        try:
            task = asyncio.get_running_loop().create_task(main, context=context)
        except BaseException:
            main.close()
            self.exit("not started")
            raise
        self.task = task
        # not in a finally of the coroutine: a task that is cancelled before its first step never runs it
        task.add_done_callback(self._done)
        return task

    def adopt(self, task: asyncio.Task[str]) -> None:
        """What this process runs is running already."""
        self.task = task
        task.add_done_callback(self._done)

    async def _main(self, program: Program) -> str:
        try:
            work = program(self)
            return await (self.noteg.gated(work) if self.noteg.control else work) or ""
        except OSError as e:
            return str(e if isinstance(e, errors.P9Error) else errors.from_os(e))
        except asyncio.CancelledError as e:
            if e.args in ((INTERRUPT,), (QUIT,)):
                self._how = self._how or "interrupted"
            raise

    def _done(self, task: asyncio.Task[str]) -> None:
        if task.cancelled():
            self.exit(self._how or "killed")
            return
        bug = task.exception()
        if bug is not None:
            log.error("process %d %s failed", self.pid, self.args, exc_info=bug)
        self.exit("i/o error" if bug is not None else task.result())

    async def wait(self) -> str:
        """The exit status of this process, once it is over."""
        if self.status is None:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            forget = self.atexit(lambda: None if ended.done() else ended.set_result(None))
            try:
                await ended
            finally:
                forget()
        return self.status or ""

    def kill(self, why: object = None) -> None:
        """End the program, wherever it waits; ``why`` is the message of the cancellation.

        The exit status is ``killed``, or ``interrupted`` if that came from the terminal.
        """
        if self.task is not None and not self.task.done():
            self._how = "killed"
            self.task.cancel(why)
        elif self.task is None:
            self.exit("killed")

    def exit(self, status: str = "") -> None:
        """The process is over: its files are closed, and what was asked for with `atexit` is done.

        It may be remembered for long, by a shell that has not waited for it; it holds no server any more.
        """
        if self.status is not None:
            return
        self.status = status
        self.fgrp.release()
        callbacks, self._exiting = self._exiting, []
        for callback in reversed(callbacks):
            callback()
        if self.parent is not None:
            self.dot = self.slash
            if self.leader is not self:  # farewells of a leader need the names that it had
                self.pgrp = Pgrp()
            self.parent.children.discard(self)
            for tell in self.parent.watchers:
                tell(f'{self.pid} "{self.args[0] if self.args else ""}":{status}')
        self.system.forget(self)

    def atexit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when this process ends; returns a function that takes that back."""
        self._exiting.append(callback)

        def forget() -> None:
            if callback in self._exiting:
                self._exiting.remove(callback)

        return forget

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call ``function`` on behalf of this process."""
        token = current.set(self)
        try:
            return function(*args)
        finally:
            current.reset(token)

    def __repr__(self) -> str:
        return f"<Proc {self.pid} {' '.join(self.args)}>"


def _check(flags: int) -> None:
    """Raise `Ebadarg` when something should be both copied and empty."""
    for copied, empty in ((RFNAMEG, RFCNAMEG), (RFENVG, RFCENVG), (RFFDG, RFCFDG)):
        if flags & copied and flags & empty:
            raise errors.Ebadarg()


DeviceTable = Mapping[str, str | type[Device]]


class Dialled(NamedTuple):
    """A connection that was made by the files of another machine, and is mounted with ``options``.

    ``network``: how one came to the directory with these files; ``where``: the host and port dialled there.
    """

    options: str
    network: Path
    where: str


class System:
    """The devices and the processes of one kernel.

    ``devices``: for each device letter a `Device` class, or where to find it ("module:Class"), which
    is then imported when the device is first attached. ``eve``: the user who owns the devices.
    ``shell``: runs a command text as a process, for those who are given commands (mount, styxlisten);
    ``newns``: changes a process's name space as a namespace(6) text says, for those who are given one, and
    says whether it went to another directory; the name of the text is for errors;
    ``job``: the process that a shell calls ``%...``;
    ``qids``: how qids look to clients of exports;
    ``ndb``: a file that says which addresses there are, and where; None: the real network;
    ``tap``: is given every Stream that is to carry 9P, and returns the one to use; None: leave it;
    ``dialled``: how the connections were made that another machine made for us, by their data files.
    """

    def __init__(self, devices: DeviceTable, eve: str = "") -> None:
        self.eve = eve or whoami()
        self.boottime = int(time.time())
        self.shell: Callable[[Proc, str], Coroutine[Any, Any, str]] | None = None
        self.newns: Callable[[Proc, str, str], Coroutine[Any, Any, bool]] | None = None
        self.job: Callable[[str], Proc | None] = lambda word: None
        self.ndb: str | None = None
        self.tap: Callable[[Stream], Stream] | None = None
        self.dialled: WeakKeyDictionary[Chan, Dialled] = WeakKeyDictionary()
        self.qids = QidMap()
        self.procs: dict[int, Proc] = {}
        self._classes: dict[str, str | type[Device]] = dict(devices)
        self._devices: dict[str, Device] = {}
        self._first = os.getpid()
        self._pids = itertools.chain([self._first], itertools.count(ABOVE + 1))

    def newpid(self, p: Proc) -> int:
        """A number for a process. No process of the host has it; the first has that of this program."""
        pid = next(self._pids)
        self.procs[pid] = p
        return pid

    def find(self, pid: int) -> Proc | None:
        """The process with this number; 1 means the first one, as everywhere."""
        return self.procs.get(self._first if pid == 1 else pid)

    def forget(self, p: Proc) -> None:
        self.procs.pop(p.pid, None)

    def letters(self) -> list[str]:
        """The letters of the devices there are."""
        return list(self._classes)

    def device(self, letter: str) -> Device:
        """The device ``#letter``. Errors: `Enodev`."""
        dev = self._devices.get(letter)
        if dev is None:
            where = self._classes.get(letter)
            if where is None:
                raise errors.Enodev()
            if isinstance(where, str):
                module, name = where.split(":")
                where = getattr(importlib.import_module(module), name)
            dev = self._devices[letter] = where(self)
        return dev

    def register(self, device: type[Device]) -> None:
        """Add a device, or put it in the place of the one with the same letter."""
        self._classes[device.letter] = device
        self._devices.pop(device.letter, None)

    async def attach(self, letter: str, spec: str, nodevs: bool = False) -> Chan:
        """The root of ``#letterspec``. Errors: `Enodev`, `Enoattach`, `Ebadspec`."""
        if letter == "M":
            raise errors.Enoattach()
        dev = self.device(letter)
        if nodevs and not (dev.harmless and not (letter == "s" and spec)):
            raise errors.Enoattach()
        return await settle(dev.attach(spec))

    async def pipe(self) -> tuple[Chan, Chan]:
        """The two ends of a new pipe, open for reading and writing."""
        dev = self.device("|")
        root = await settle(dev.attach(""))
        ends = []
        for name in ("data", "data1"):
            c, _ = await settle(dev.walk(root, [name]))
            assert c is not None
            c.path = root.path.child(name)
            ends.append(await settle(dev.open(c, ORDWR)))
        return ends[0], ends[1]

    async def boot(self) -> Proc:
        """The first process: root and current directory are `#/`, the groups are empty."""
        p = Proc(self)
        p.pgrp, p.egrp, p.fgrp = Pgrp(), Egrp(), Fgrp()
        p.slash = (await self.attach("/", "")).alias(Path(None, "/"))
        p.dot = p.slash
        return p
