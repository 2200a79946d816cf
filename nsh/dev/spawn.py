"""Running a program of the host, with the open files of a process as its descriptors.

A Chan that is a descriptor of the host (`Device.fileno`) is handed on as it is. Any other gets a pipe, and
a task that carries the bytes between the two. The program stands in the host directory that the process's
current directory is (of a union the first member, and the program sees no other), or in an empty directory of
ours where that is no directory of the host. Where one may have to wait for the program or the directory,
a thread starts it (`nsh.dev.patience`).

Nothing waits here but coroutines: the end of a program is seen by its pidfd. When the one who waits is
cancelled the program is told (SIGINT, SIGTERM, at last SIGKILL), and it has ended when `run` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, NamedTuple

from nsh import errors
from nsh.dev import libc
from nsh.dev.host import HostDevice, host_path
from nsh.dev.hostfd import HostFdDevice
from nsh.dev.patience import Place, in_background, patiently, settled
from nsh.errors import P9Error
from nsh.kern import noteg
from nsh.kern.chan import Chan, settle
from nsh.kern.env import Egrp
from nsh.kern.namec import cross
from nsh.kern.noteg import SIGNALS, Noteg
from nsh.kern.proc import Proc
from nsh.kern.stream import write_all
from nsh.p9.const import OWRITE

PUMPSIZE = 65536
"""Bytes that are carried at a time between a Chan and a pipe."""

GRACE = 2.0
"""Seconds that a program may take to end after it was asked to, before it is killed."""

_KEPT_EMPTY = "/proc/tty/ldisc"
"""A directory of the kernel that has had no files for long, and in which nobody can make one."""

ABANDON = "abandon"
"""The message of a cancellation that leaves the program running: the shell exits, its job goes on."""

_STAND = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

_HOSTMAX = 128 * 1024 - 2
"""The host takes fewer bytes in the name and the value of one variable (execve(2))."""

_RESET = [
    signal.SIGPIPE,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGXFSZ,
    signal.SIGTTIN,
    signal.SIGTTOU,
]


class Interrupts:
    """How many interrupts this whole program has got; counted by the handler of the signals itself.

    A terminal sends SIGINT or SIGQUIT to us and to the programs in front alike. Whether one that is just
    being started was there in time is told by whether the count has changed since.
    """

    count: ClassVar[int] = 0


class Plan(NamedTuple):
    """The descriptors of a program to be: where each comes from, and what must be done around its run."""

    targets: dict[int, int]  # number in the program -> descriptor here
    pumps: list[Pump]
    files: list[tuple[Chan, int]]  # Chans whose offset follows the descriptor's
    seekable: set[int]  # descriptors here of regular files


class Pump:
    """Carries bytes between a Chan and the pipe that stands for it in a program; ``theirs`` is its end.

    ``refused``: why the Chan did not take what the program has written, which may not know that.
    """

    def __init__(self, c: Chan) -> None:
        self._chan = c
        self._input = c.mode & 3 != OWRITE
        reading, writing = os.pipe()
        self.theirs, self._ours = (reading, writing) if self._input else (writing, reading)
        os.set_blocking(self._ours, False)
        self._task: asyncio.Task[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False
        self.refused = ""

    def drop(self) -> None:
        """There will be no program."""
        os.close(self.theirs)
        os.close(self._ours)

    def start(self) -> None:
        """The program has its end: carry."""
        os.close(self.theirs)
        self._task = asyncio.create_task(self._carry())

    async def finish(self) -> None:
        """The program has ended: what it has written still arrives, what it did not read is dropped."""
        assert self._task is not None
        self._ended = True
        if self._input:
            self._task.cancel()
        elif self._waiting is not None:
            _wake(self._waiting)
        await asyncio.wait([self._task])

    def abort(self) -> None:
        """Stop carrying, if it goes on still."""
        if self._task is not None:
            self._task.cancel()

    async def _carry(self) -> None:
        try:
            await (self._feed() if self._input else self._drain())
        except OSError as e:  # the program sees the end of its input, or gets SIGPIPE
            if not self._input and not isinstance(e, errors.Ewclosed | BrokenPipeError):
                self.refused = str(e)
        finally:
            os.close(self._ours)

    async def _feed(self) -> None:
        c, loop = self._chan, asyncio.get_running_loop()
        while data := await settle(c.dev.read(c, PUMPSIZE, c.offset)):
            c.offset += len(data)
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(self._ours, view) :]
                except BlockingIOError:
                    await self._ready(loop.add_writer, loop.remove_writer)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = os.read(self._ours, PUMPSIZE)
            except BlockingIOError:
                if self._ended:  # a process that the program left behind may hold the pipe for ever
                    return
                await self._ready(loop.add_reader, loop.remove_reader)
                continue
            if not data:
                return
            await write_all(self._chan, data)

    async def _ready(self, watch: Callable[..., object], unwatch: Callable[[int], object]) -> None:
        self._waiting = waiting = asyncio.get_running_loop().create_future()
        watch(self._ours, _wake, waiting)
        try:
            await waiting
        finally:
            unwatch(self._ours)


class Start(NamedTuple):
    """How a program is started: the file of the host, its arguments, the environment, where it stands.

    ``more``: descriptors that it gets besides the open files of the process, by their number there;
    ``blocked``: the signals that have to wait until it lets them through.
    """

    path: str
    argv: list[str]
    environ: Mapping[bytes, bytes]
    directory: str | None
    more: Mapping[int, int] = {}
    blocked: tuple[int, ...] = ()


async def run(p: Proc, path: str, argv: list[str], environ: Mapping[bytes, bytes]) -> str:
    """Run the host file ``path`` with the open files of ``p``, to its end.

    Returns '' for success, else the exit code or ``signal: NAME``. Errors: those of starting it
    (`Enonexist`, `Eperm`, ...); `P9Error` "write error: WHY" if not all that it wrote was taken.
    """
    return await run_as(p, Start(path, argv, environ, host_directory(p)))


async def run_as(p: Proc, start: Start) -> str:
    """The same for a program that is started as ``start`` says."""
    plan = _plan(p)
    try:
        pid, group = await _launch(p, start, plan)
    except BaseException:
        for pump in plan.pumps:
            pump.drop()
        raise
    for pump in plan.pumps:
        pump.start()
    try:
        code = await _wait(p, pid, group)
        for pump in plan.pumps:
            await pump.finish()
    finally:
        for pump in plan.pumps:
            pump.abort()
    for c, fd in plan.files:
        c.offset = os.lseek(fd, 0, os.SEEK_CUR)
    for pump in plan.pumps:
        if pump.refused:
            raise P9Error(f"write error: {pump.refused}")
    return _status(code)


def host_directory(p: Proc) -> str | None:
    """The directory of the host that is seen at the current directory of ``p``; None if there is none."""
    seen, _ = cross(p.dot, p.pgrp)
    return host_path(seen)


def host_environment(egrp: Egrp) -> tuple[dict[bytes, bytes], list[str]]:
    """The environment as a program of the host gets it, and the names of what is too big for the host."""
    found = {}
    too_big = []
    for name in egrp:
        if name and "=" not in name and "\0" not in name:
            key, value = os.fsencode(name), egrp.get(name) or b""
            if len(key) + len(value) < _HOSTMAX:
                found[key] = value.removesuffix(b"\0").replace(b"\0", b"\1")
            else:
                too_big.append(name)
    return found, too_big


def _status(code: int) -> str:
    if code < 0:
        return f"signal: {(signal.strsignal(-code) or str(-code)).lower()}"
    return str(code) if code else ""


def _plan(p: Proc) -> Plan:
    """What becomes of each open file of ``p``."""
    plan = Plan({}, [], [], set())
    pumps: dict[Chan, Pump] = {}
    for number, c in p.fgrp.items():
        fd = c.dev.fileno(c)
        if fd is None:
            if c not in pumps:
                pumps[c] = Pump(c)
                plan.pumps.append(pumps[c])
            fd = pumps[c].theirs
        elif c.dev.seekable(c):
            plan.seekable.add(fd)
            if not isinstance(c.dev, HostFdDevice):
                os.lseek(fd, c.offset, os.SEEK_SET)
                plan.files.append((c, fd))
        plan.targets[number] = fd
    return plan


async def _launch(p: Proc, start: Start, plan: Plan) -> tuple[int, int | None]:
    """Start a program; returns its process id, and its process group, see `Noteg.place`."""
    await settled()
    if any("\0" in word for word in (start.path, *start.argv)):
        raise errors.P9Error("an argument has a NUL in it")
    group = p.noteg.place()
    targets = {**plan.targets, **start.more}
    place = _place(p, start)
    descriptors: list[tuple[int, int]] = []
    top = max(targets, default=2) + 1
    with contextlib.ExitStack() as stack:
        try:
            for number, source in targets.items():
                moved = source
                if source not in plan.seekable and not os.get_blocking(source):
                    moved = _reopen(source)
                # it could be overwritten before its turn comes, or closed before a thread comes to it
                elif (source < top and source != number) or place is not None:
                    moved = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, top)
                if moved != source:
                    stack.callback(os.close, moved)
                descriptors.append((moved, number))
            closed = [number for number in range(3) if number not in targets]
            if place is None:
                return _spawn(start, descriptors, closed, group), group
            spawn = functools.partial(_spawn_patiently, start, descriptors, closed, group)
            unwanted = functools.partial(_unwanted, place)
            return await patiently(place, spawn, unwanted, after=stack.pop_all().close), group
        except OSError as e:
            raise errors.from_os(e) from None


def _place(p: Proc, start: Start) -> Place | None:
    """Where one may have to wait for the program, for the directory where it is to stand, or for ours."""
    try:
        ours = os.getcwd()
    except OSError:
        return Place("a directory that has gone")
    host = HostDevice.of(p.system)
    places = (host.place(path) for path in {start.path, start.directory or ours, ours})
    return next((place for place in places if place is not None), None)


def _spawn(start: Start, descriptors: list[tuple[int, int]], closed: list[int], group: int | None) -> int:
    """Start a program with these ``descriptors``: those here, and its own; returns its process id."""
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, *pair) for pair in descriptors]
    actions += [(os.POSIX_SPAWN_CLOSE, number) for number in closed]
    spawn = os.posix_spawn if group is None else functools.partial(os.posix_spawn, setpgroup=group)
    with _standing_in(start.directory), noteg.starting():
        return spawn(
            start.path,
            [os.fsencode(word) for word in start.argv],
            start.environ,
            file_actions=actions,
            setsigdef=_RESET,
            setsigmask=start.blocked,
        )


def _spawn_patiently(
    start: Start, descriptors: list[tuple[int, int]], closed: list[int], group: int | None
) -> int:
    """The same in a thread that may wait: nothing of the whole process changes meanwhile."""
    with _directory(start.directory) as directory:
        return libc.spawn(
            start.path,
            [os.fsencode(word) for word in start.argv],
            start.environ,
            directory=directory,
            descriptors=descriptors,
            closed=closed,
            group=group,
            default=_RESET,
            blocked=start.blocked,
        )


def _unwanted(place: Place, pid: int) -> None:
    """The program has begun at last, and nobody waits for it."""
    os.kill(pid, signal.SIGKILL)
    in_background(place, functools.partial(os.waitpid, pid, 0))


def _reopen(fd: int) -> int:
    """The same FIFO or device opened again, blocking as programs expect it, and not shared with us."""
    access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    again = os.open(f"/proc/self/fd/{fd}", access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    os.set_blocking(again, True)
    return again


@functools.cache
def _nowhere(process: int) -> str:
    """An empty directory that is not writable, and is there until this ``process`` ends."""
    import atexit
    import tempfile

    directory = tempfile.mkdtemp(prefix="nsh-nowhere-")
    os.chmod(directory, stat.S_IRUSR | stat.S_IXUSR)

    def remove() -> None:
        if os.getpid() == process:
            with contextlib.suppress(OSError):
                os.rmdir(directory)

    atexit.register(remove)
    return directory


def _open_nowhere() -> int:
    """A directory where no relative name is a file, and none can be made.

    The superuser can make files everywhere but where the kernel takes none: in a directory of /proc, of
    which Linux keeps an empty one, or, where there is no such, in one that has been removed.
    """
    if os.geteuid() != 0:
        return os.open(_nowhere(os.getpid()), _STAND)
    with contextlib.suppress(OSError):
        if not os.listdir(_KEPT_EMPTY) and os.statvfs(_KEPT_EMPTY).f_blocks == 0:
            return os.open(_KEPT_EMPTY, _STAND)
    import tempfile

    directory = tempfile.mkdtemp(prefix="nsh-nowhere-")
    fd = os.open(directory, _STAND)
    os.rmdir(directory)
    return fd


@contextlib.contextmanager
def _directory(path: str | None) -> Iterator[int]:
    """The directory ``path``, as a descriptor.

    None is an empty directory: what a program that is started there reads from its descriptors it can still
    filter, but a relative name is nothing, instead of a file of another place.
    """
    fd = _open_nowhere() if path is None else os.open(path, _STAND)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _standing_in(path: str | None) -> Iterator[None]:
    """Have `_directory` as the working directory of the whole process, which posix_spawn cannot set.

    Nothing else runs in between but threads, and they use whole names only.
    """
    with _directory(".") as home, _directory(path) as directory:
        os.fchdir(directory)
        try:
            yield
        finally:
            os.fchdir(home)


async def _wait(p: Proc, pid: int, group: int | None) -> int:
    """Wait for the end of the program of ``p``, and end it when cancelled. Negative: what signal killed it.

    An interrupt at the terminal has reached a program in front already, and so has a signal of kill(1), the
    number of which is then the message; and an editor, an interpreter or a server may decide to go on. So
    there the cancellation counts only if it is what the program died of.
    """
    interrupts = Interrupts.count
    pidfd = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(pidfd, _wake, ended)
    interrupt: asyncio.CancelledError | None = None
    number: int = signal.SIGINT
    code = 0
    p.program = pid
    p.noteg.add(pid, group)
    try:
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError as e:
                if e.args == (ABANDON,):
                    raise
                why = e.args[0] if e.args else ""
                if isinstance(why, int):
                    interrupt, number = e, why
                    continue
                if why not in SIGNALS or not p.noteg.reached:
                    await _end(p.noteg, pid, ended, SIGNALS.get(why, signal.SIGTERM))
                    raise
                interrupt, number = e, SIGNALS[why]
                if group is None and Interrupts.count == interrupts:
                    os.kill(pid, number)  # it came before the program was there
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        if ended.done():
            code = _reap(pid)
        p.program = 0
        p.noteg.remove(pid, code)
    if interrupt is not None:
        if code == -number:
            raise interrupt
        forgive()
    return code


async def _end(members: Noteg, pid: int, ended: asyncio.Future[None], number: signal.Signals) -> None:
    """Make a program end: ask, and after a while, or when cancelled once more, kill.

    One that belongs to somebody else, whom we may not tell, goes on.
    """
    try:
        members.send(number, pid)
        members.send(signal.SIGCONT, pid)  # it may be stopped
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([ended], timeout=GRACE)
        if not ended.done():
            members.send(signal.SIGKILL, pid)
    except PermissionError:
        return
    while not ended.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([ended])


def forgive() -> None:
    """The cancellation of the current task did not come through: it is as if it had not been asked for."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _reap(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
