"""Task: one command run on this host, and `Leaf`: a session's work when it has no children.

A task is a process group of its own, started without a shell, and all that comes of it; how it is started and
ended is the `guard`'s business. How sessions look, and where children come from, is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nsh import errors
from nsh.errors import P9Error
from nsh.kern.chan import Maybe, settle
from nsh.kern.namec import quote
from taskfs import status
from taskfs.guard import Guard, Job, NoDirectory
from taskfs.spool import Bell, Feed, Spool

if TYPE_CHECKING:
    from taskfs.post import Role
    from taskfs.room import Room
    from taskfs.session import Session
    from taskfs.space import Space

GRACE = 2.0
"""Seconds between the SIGTERM and the SIGKILL of a task that is not wanted any more."""


class Ending(NamedTuple):
    """How a task ended: process id, milliseconds of user, system and real time, and '' or what went wrong."""

    pid: int
    user: int
    system: int
    real: int
    why: str


class Task:
    """A running process, and all that comes of it.

    ``number``: what the guard calls it; ``pid``: the process; ``ending``: how that ended, None while it runs;
    ``changed`` is called when this is known, and when nothing is ``left`` of the task.
    """

    __slots__ = ("_changed", "_guard", "_limit", "_name", "_space", "_tell", "_why",
                 "ending", "left", "number", "pid")  # fmt: skip

    def __init__(self, guard: Guard, changed: Callable[[Task], None], tell: Callable[[str], None]) -> None:
        """``tell`` is told what happens, see `journal`."""
        self.pid = 0
        self.left = True
        self.ending: Ending | None = None
        self._why = ""
        self.number = 0
        self._guard = guard
        self._space: Space | None = None
        self._changed = changed
        self._tell = tell
        self._name = ""
        self._limit: asyncio.TimerHandle | None = None

    async def start(self, job: Job, pipes: tuple[Feed, Spool, Spool], space: Space | None) -> None:
        """Run a command with ``pipes`` as its standard files.

        ``space``: the name space that it is to have as its file tree, if it is not the host's own. Errors:
        `P9Error` "exec failed: WHY".
        """
        self._space = space
        ours: list[int] = []
        self._name = quote(job.argv[0])
        try:
            await self._start(job, ours)
        except BaseException as e:
            _close(ours)
            if self.pid:
                self._guard.end(self.number, 0.0)
            elif not (self.number and isinstance(e, asyncio.CancelledError)):
                self._close_space()  # else that happens when it is gone
            if isinstance(e, OSError | errors.FileFormatError):
                refused = _refused(e, job.directory)
                self._tell(f"exec {self._name}: {refused}")
                raise refused from None
            raise
        stdin, *outputs = pipes
        stdin.attach(ours[0])
        for output, fd in zip(outputs, ours[1:], strict=True):
            output.drain(fd, self._guard.outputs)

    async def _start(self, job: Job, ours: list[int]) -> None:
        """Run a command; what is put into ``ours`` are our ends of its standard files."""
        if self._space is not None:
            job = await self._space.enter(job)
        theirs: list[int] = []
        try:
            for number in range(3):
                ends = os.pipe()
                ours.append(ends[number == 0])
                theirs.append(ends[number != 0])
        except OSError:
            _close([*theirs, *job.files.values()])
            raise
        await self._guard.start(self, job, theirs)
        if self._space is not None:
            await self._space.begun()

    def limit(self, seconds: float) -> None:
        """Kill the task when it has run this long; `Ending.why` is then "timeout"."""
        if self.ending is None:
            self._limit = asyncio.get_running_loop().call_later(seconds, self._timed_out)

    @property
    def over(self) -> bool:
        """The process has ended; it may have left others behind."""
        return self.ending is not None

    def signal(self, number: int) -> None:
        """Send a signal to the process group, as long as the process runs."""
        if self.ending is None:
            self._guard.signal(self.number, number)

    def kill(self) -> None:
        """SIGTERM to all that came of the task, and SIGKILL after `GRACE` seconds to what is left then."""
        if self.left:
            self._guard.end(self.number, GRACE)

    def _timed_out(self) -> None:
        self._why = "timeout"
        self.kill()

    # --- what the guard says -------------------------------------------------------------------

    def started(self, pid: int) -> None:
        """It runs."""
        self.pid = pid
        self._tell(f"exec {self._name} {pid}")

    def ended(self, code: int, user: float, system: float, real: float) -> None:
        """The process has ended."""
        times = [round(seconds * 1000) for seconds in (user, system, real)]
        self._end(Ending(self.pid, times[0], times[1], times[2], self._why or status.reason(code)))

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self._tell(f"exit {ending.pid} '{ending.why}'")
        self._stop_limit()
        self._changed(self)

    def _stop_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()

    def gone(self) -> None:
        """Nothing is left."""
        self.left = False
        self._close_space()
        self._changed(self)

    def _close_space(self) -> None:
        if self._space is not None:
            self._space.close()
            self._space = None

    def lost(self) -> None:
        """Nobody watches it any more; it must not run on unseen, as far as that can be helped."""
        if self.pid and self.ending is None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            self._end(Ending(self.pid, 0, 0, 0, "lost"))
        self.gone()


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _refused(e: OSError | errors.FileFormatError, directory: str) -> P9Error:
    """Why a task could not be started, in the host's words; names the directory if that is at fault."""
    if isinstance(e, P9Error | errors.FileFormatError):
        return P9Error(f"exec failed: {e}")
    why = os.strerror(e.errno or P9Error.code)
    return P9Error(f"exec failed: {f'{directory}: ' if isinstance(e, NoDirectory) else ''}{why}")


class Leaf:
    """What a session without children does: it runs one task after the other, here.

    ``arg0``: what was run last; ``used``: something was.
    """

    __slots__ = ("_bell", "_freed", "_guard", "_home", "_left", "_options", "_place",
                 "_reading", "_session", "_starting", "_stderr", "_stdin", "_stdout",
                 "_task", "_tell", "arg0")  # fmt: skip

    def __init__(self, session: Session) -> None:
        self._session = session
        self._guard = session.device.guard
        self._tell = session.diary.tell
        self._options = session.options
        self._home = session.device.home
        self._stdin, self._stdout, self._stderr = self._pipes()
        self._task: Task | None = None
        self._starting: Task | None = None
        self._left: list[Task] = []
        self._reading: dict[object, tuple[Spool, int]] = {}  # and the offset there of what is 0 to the reader
        self._bell = Bell()
        self._freed = False
        self._place = ""  # where tasks run that have peers
        self.arg0 = ""

    @property
    def used(self) -> bool:
        return self._task is not None

    @property
    def _directory(self) -> str:
        if self._options.dir:
            return os.path.join(self._home, self._options.dir)
        return self._place or self._home

    @property
    def running(self) -> bool:
        return self._starting is not None or (self._task is not None and self._task.ending is None)

    # --- the task ------------------------------------------------------------------------------

    async def exec(self, argv: list[str], role: Role) -> None:
        """Start a task, whose place among others is ``role``.

        Errors: `P9Error` "exec failed: WHY"; `Einuse` while one runs; `Ehungup`.
        """
        self._alive()
        if self.running:
            raise errors.Einuse("exec failed: a task is running already")
        options = self._options
        # what the task before has left stays, until another has really started
        pipes = self._stdin, self._stdout, self._stderr
        if self._task is not None:
            pipes = self._pipes()
        task = self._starting = self._new_task()
        try:
            room = await self._room(role) if options.peers == "on" else None
            job = self._job([*argv, *options.args], role, room)
            await task.start(job, pipes, self._space())
        finally:
            self._starting = None
            self._bell.ring()  # who has come to the end of the output waits if there is to be more
        if self._freed:
            task.kill()
            for pipe in pipes:
                pipe.close()
            raise errors.Ehungup()
        self._left.append(task)
        if self._task is not None:
            self._stdout.close()
            self._stderr.close()
        self._stdin, self._stdout, self._stderr = pipes
        self._task, self.arg0 = task, argv[0]
        self._changed(task)  # it may have ended already
        if options.timeout:
            task.limit(options.timeout)

    def _new_task(self) -> Task:
        return Task(self._guard, self._changed, self._tell)

    def _pipes(self) -> tuple[Feed, Spool, Spool]:
        budget = self._session.owner.budget
        stdout = Spool(name="stdout", tell=self._tell, budget=budget)
        stderr = Spool(name="stderr", tell=self._tell, budget=budget)
        return Feed(), stdout, stderr

    async def _room(self, role: Role) -> Room:
        """Where the task runs, that has peers. Errors: `P9Error` "exec failed: peers: WHY"."""
        try:
            if self._options.ns:
                raise P9Error("not in a name space of ns")
            return await role.post.room()
        except OSError as e:
            raise P9Error(f"exec failed: peers: {errors.from_os(e)}") from None

    def _job(self, argv: list[str], role: Role, room: Room | None) -> Job:
        self._place = os.path.join(room.path, role.directory) if room else ""
        try:
            environ = role.environ(room.path if room else "/")
        except OSError as e:
            raise P9Error(f"exec failed: {errors.from_os(e)}") from None
        options = self._options
        for name, value in options.env.items():
            environ[os.fsencode(name)] = os.fsencode(value)
        directory = self._directory
        slow = self._session.device.foresight.waits(argv[0], directory, environ[b"PATH"])
        return Job(argv, directory, environ, options.nice, slow, spaces=room.spaces if room else ())

    def _space(self) -> Space | None:
        options = self._options
        if not options.ns:
            return None
        from taskfs.space import Space

        return Space(self._session.proc, options.ns, self._home, options.dir)

    def _alive(self) -> None:
        if self._freed:
            raise errors.Ehungup()

    def _changed(self, task: Task) -> None:
        """More is known of the end of a task."""
        if not task.left and task in self._left:
            self._left.remove(task)
        if task is self._task and task.ending is not None:
            self._stdin.close()
            self._bell.ring()

    def signal(self, number: int) -> None:
        if self._task is not None:
            self._task.signal(number)

    def kill(self) -> None:
        """Kill the task, one that is about to start, and what is left of those before."""
        for task in [self._starting, *self._left]:
            if task is not None:
                task.kill()

    def free(self) -> None:
        """Kill what runs and let go of everything; who waits for the end of a task is told."""
        self._freed = True
        self.kill()
        self._task = None
        self._stdin.close()
        self._stdout.close()
        self._stderr.close()
        self._bell.ring()

    # --- its files -----------------------------------------------------------------------------

    def read(self, reader: object, name: str, count: int, offset: int) -> Maybe[bytes]:
        """What the task has printed to ``name`` (stdout, stderr), for ``reader``; 0 is the start of what is
        still kept.
        """
        if offset == 0 and self._starting is not None and self.used:
            return self._read_anew(reader, name, count)
        if offset == 0 or reader not in self._reading:
            # who does not begin anew reads on in what the task before has left, and finds its end
            spool = self._spool(name)
            self._reading[reader] = spool, spool.start
        spool, start = self._reading[reader]
        # he has got what is before it, and not yet what is now given to him: he may be asked to read it again
        spool.advance(reader, start + offset)
        data = self._printed(spool, count, start + offset)
        return self._read_later(spool, count, start + offset) if data is None else data

    async def _read_anew(self, reader: object, name: str, count: int) -> bytes:
        """A read from the start while another task starts: it is of what that prints, if it does start."""
        while self._starting is not None:
            await self._bell.wait()
        self._alive()
        return await settle(self.read(reader, name, count, 0))

    async def _read_later(self, spool: Spool, count: int, offset: int) -> bytes:
        while (data := self._printed(spool, count, offset)) is None:
            await (self._bell.wait() if spool.eof else spool.more())
        return data

    def _printed(self, spool: Spool, count: int, offset: int) -> bytes | None:
        """What a spool has, None if it may come. The end comes with that of the task: who has read all of
        its output may start the next one."""
        data = spool.read(count, offset)
        unfinished = self.running and not self._freed and spool in (self._stdout, self._stderr)
        return None if data == b"" and count and unfinished else data

    def forget(self, reader: object) -> None:
        """``reader``, who may have read output, has gone."""
        reading = self._reading.pop(reader, None)
        if reading is not None:
            reading[0].forget(reader)

    def _spool(self, name: str) -> Spool:
        return self._stderr if name == "stderr" else self._stdout

    def write(self, data: bytes, writer: object = None) -> Maybe[int]:
        """Give ``data`` to the task's standard input, whoever writes. Errors: `Ewclosed`."""
        return len(data) if self._stdin.write(data) else self._write_later(len(data))

    async def _write_later(self, count: int) -> int:
        await self._stdin.wait()
        return count

    def early_input(self) -> Feed:
        """What was written for a task that there was not: children are to get it now."""
        return self._stdin if self._task is None else Feed()

    def close_input(self) -> None:
        """End of file on the task's standard input."""
        self._stdin.end()

    last_writer_left = close_input

    def resting(self) -> bool:
        """Has the task ended, or read all its input, and can only more of that make it go on? See `rest`."""
        task = self._task
        if task is None or self._starting is not None:
            return False
        return (task.over or self._stdin.drained) and all(map(self._guard.at_rest, self._left))

    def status(self, number: int | str, opens: int, open_again: bool) -> str:
        """The line of the status file."""
        begun = self._starting is not None and self._starting.pid > 0
        if begun or (self._task is not None and self._task.ending is None):
            state = status.EXECUTE
        elif self._task is not None:
            state = status.DONE
        else:
            state = status.OPEN if open_again else status.CLOSED
        return status.status_line(number, opens, state, self._directory, self.arg0)

    async def wait(self) -> str:
        """The line of the wait file, once a task has ended. Errors: `Ehungup` if the session is freed."""
        self._alive()
        while self._task is None or self._task.ending is None:
            await self._bell.wait()
            self._alive()
        return status.wait_line(*self._task.ending)
