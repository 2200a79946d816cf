"""Task: one command run as a process of this host, and `Leaf`: a session's work when it has no children.

A task is a process group of its own, started without a shell and waited for through a pidfd, so that
nothing here ever blocks the loop or takes part in anybody else's SIGCHLD. How sessions look, and
where children come from, is not known here.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nsh import errors
from nsh.dev.launch import Launch, Pipes, launch, launch_patiently, unwanted, waits
from nsh.dev.patience import Place, patiently
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe
from taskfs import status
from taskfs.descriptors import give_back
from taskfs.guard import Guard
from taskfs.spool import Bell, Feed, Spool

if TYPE_CHECKING:
    from nsh.kern.proc import System
    from taskfs.ctl import Options

T = TypeVar("T")

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
    """A running process. ``ended`` is called once, with how it went."""

    def __init__(self, guard: Guard, ended: Callable[[Ending], None]) -> None:
        self.pid = 0
        self.why = ""
        self._guard = guard
        self._ended = ended
        self._pidfd = -1
        self._began = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._finished = False  # the process group has gone, or will have

    def start(self, command: Launch, nice: int) -> None:
        """Run a command with a priority lower by ``nice``. Errors: OSError, ValueError."""
        self._guard.start()
        self._began = time.monotonic()
        self._run(_lowered(nice, partial(launch, command)) if nice else launch(command))

    async def start_patiently(
        self, command: Launch, nice: int, place: Place, after: Callable[[], None]
    ) -> None:
        """The same where one may have to wait for it; ``after`` is called when that is over (`patiently`)."""
        self._guard.start()
        self._began = time.monotonic()
        start = partial(launch_patiently, command)
        call = partial(_lowered, nice, start) if nice else start
        self._run(await patiently(place, call, partial(unwanted, place), after))

    def _run(self, pid: int) -> None:
        """The process is there."""
        self.pid = pid
        self._guard.add(pid)
        give_back(pid)
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError:  # too many are open; what nobody could wait for must not run on
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._guard.remove(pid)
            raise
        asyncio.get_running_loop().add_reader(self._pidfd, self._exited)

    def limit(self, seconds: float) -> None:
        """Kill the task when it has run this long; `Ending.why` is then "timeout"."""
        self._timers.append(asyncio.get_running_loop().call_later(seconds, self._timed_out))

    def signal(self, number: int) -> None:
        """Send a signal to the process group, as far as there still is one."""
        if self._finished:
            return  # the number may be somebody else's by now
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """SIGTERM, and SIGKILL after `GRACE` seconds for what is left of the process group then."""
        if self._finished:
            return
        self.signal(signal.SIGTERM)
        self._timers.append(asyncio.get_running_loop().call_later(GRACE, self._finish_off))

    def _timed_out(self) -> None:
        if self._pidfd >= 0:
            self.why = "timeout"
            self.kill()

    def _finish_off(self) -> None:
        self.signal(signal.SIGKILL)
        self._finished = True
        if self._pidfd < 0:
            self._guard.remove(self.pid)

    def _exited(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        _, code, usage = os.wait4(self.pid, 0)
        for timer in self._timers:
            timer.cancel()
        self._sweep()
        elapsed = time.monotonic() - self._began
        why = self.why or status.reason(code)
        user, system, real = (round(seconds * 1000) for seconds in (usage.ru_utime, usage.ru_stime, elapsed))
        self._ended(Ending(self.pid, user, system, real, why))

    def _sweep(self) -> None:
        """See to the rest of the process group, which may have outlived its leader."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            self._finished = True
        except PermissionError:
            pass
        if self._finished:
            self._guard.remove(self.pid)
        elif self._timers:  # it was killed, not left to itself
            self._timers = [asyncio.get_running_loop().call_later(GRACE, self._finish_off)]


def _lowered(n: int, start: Callable[[], T]) -> T:
    """What ``start`` returns, called with a priority lower by ``n``, which a process that it starts inherits.

    Linux gives every thread a priority of its own, and a thread of ours could not raise it again: so one
    is made for this. To lower it when the process is there could fail, and the process would run.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, initializer=os.nice, initargs=(n,)) as thread:
        return thread.submit(start).result()


def _failed(e: Exception, directory: str) -> P9Error:
    """Why a process could not be started, in the host's words; names the directory if that is at fault."""
    if not isinstance(e, OSError):
        return P9Error(f"exec failed: {e}")
    why = os.strerror(e.errno or errors.P9Error.code)
    return P9Error(f"exec failed: {directory}: {why}" if e.filename == directory else f"exec failed: {why}")


class Leaf:
    """What a session without children does: it runs one task after the other, here.

    ``home``: the host's directory in which tasks run if it is not said otherwise; ``arg0``: what was run
    last; ``used``: something was.
    """

    def __init__(self, system: System, guard: Guard, options: Options, home: str) -> None:
        self._system = system
        self._guard = guard
        self._options = options
        self._home = home
        self._stdin, self._stdout, self._stderr = Feed(), Spool(), Spool()
        self._task: Task | None = None
        self._ending: Ending | None = None
        self._reading: dict[Chan, tuple[Spool, int]] = {}  # and the offset there of what is 0 to the reader
        self._bell = Bell()
        self._freed = False
        self._starting = False
        self.arg0 = ""

    @property
    def used(self) -> bool:
        return self._task is not None

    @property
    def _directory(self) -> str:
        return os.path.join(self._home, self._options.dir) if self._options.dir else self._home

    @property
    def running(self) -> bool:
        return self._task is not None and self._ending is None

    # --- the task ------------------------------------------------------------------------------

    def exec(self, argv: list[str]) -> Maybe[None]:
        """Start a task. Errors: `P9Error` "exec failed: WHY"; `Einuse` while one runs; `Ehungup`."""
        if self._freed:
            raise errors.Ehungup()
        if self.running or self._starting:
            raise errors.Einuse("exec failed: a task is running already")
        options = self._options
        env = {**os.environ, **options.env} if options.env else os.environ
        if not argv[0]:
            raise _failed(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)), self._directory)
        try:
            pipes = Pipes()
        except OSError as e:
            raise _failed(e, self._directory) from None
        command = Launch([*argv, *options.args], self._directory, env, pipes.theirs)
        place = waits(self._system, command)
        if place is not None:
            return self._exec_patiently(command, pipes, place)
        task = Task(self._guard, self._ended)
        try:
            task.start(command, options.nice)
        except (OSError, ValueError) as e:  # ValueError: a NUL in an argument
            pipes.close_ours()
            raise _failed(e, command.directory) from None
        finally:
            pipes.close_theirs()
        self._begin(task, argv[0], pipes)
        return None

    async def _exec_patiently(self, command: Launch, pipes: Pipes, place: Place) -> None:
        """The rest where one may have to wait for the program to start."""
        task = Task(self._guard, self._ended)
        self._starting = True
        try:
            await task.start_patiently(command, self._options.nice, place, pipes.close_theirs)
        except BaseException as e:
            pipes.close_ours()
            if isinstance(e, OSError | ValueError):
                raise _failed(e, command.directory) from None
            raise
        finally:
            self._starting = False
        self._begin(task, command.argv[0], pipes)
        if self._freed:
            task.kill()
            raise errors.Ehungup()

    def _begin(self, task: Task, arg0: str, pipes: Pipes) -> None:
        """The task runs. What the one before has left stayed until now."""
        if self._task is not None:
            self._stdout.close()
            self._stderr.close()
            self._stdin, self._stdout, self._stderr = Feed(), Spool(), Spool()
        stdin, stdout, stderr = pipes.ours
        self._stdin.attach(stdin)
        self._stdout.drain(stdout)
        self._stderr.drain(stderr)
        self._task, self._ending, self.arg0 = task, None, arg0
        if self._options.timeout:
            task.limit(self._options.timeout)

    def _ended(self, ending: Ending) -> None:
        self._ending = ending
        self._stdin.close()
        self._bell.ring()

    def signal(self, number: int) -> None:
        if self._task is not None and self.running:
            self._task.signal(number)

    def kill(self) -> None:
        if self._task is not None and self.running:
            self._task.kill()

    def free(self) -> None:
        """Kill what runs and let go of everything; who waits for the end of a task is told."""
        self._freed = True
        if self._task is not None:
            self._task.kill()
        self._stdin.close()
        self._stdout.close()
        self._stderr.close()
        self._bell.ring()

    # --- its files -----------------------------------------------------------------------------

    def read(self, c: Chan, name: str, count: int, offset: int) -> Maybe[bytes]:
        """What the task has printed to ``name`` (stdout, stderr); 0 is the start of what is still kept."""
        if offset == 0 or c not in self._reading:
            # who does not begin anew reads on in what the task before has left, and finds its end
            spool = self._spool(name)
            self._reading[c] = spool, spool.start
        spool, start = self._reading[c]
        data = spool.read(count, start + offset)
        if data is None:
            return self._read_later(c, spool, count, start + offset)
        spool.advance(c, start + offset + len(data))
        return data

    async def _read_later(self, c: Chan, spool: Spool, count: int, offset: int) -> bytes:
        spool.advance(c, offset)
        while (data := spool.read(count, offset)) is None:
            await spool.more()
        spool.advance(c, offset + len(data))
        return data

    def forget(self, c: Chan) -> None:
        """The Chan ``c``, on which output was read, is closed."""
        reading = self._reading.pop(c, None)
        if reading is not None:
            reading[0].forget(c)

    def _spool(self, name: str) -> Spool:
        return self._stderr if name == "stderr" else self._stdout

    def write(self, data: bytes) -> Maybe[int]:
        """Give ``data`` to the task's standard input. Errors: `Ewclosed`."""
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

    def status(self, number: int, opens: int, open_again: bool) -> str:
        """The line of the status file."""
        if self._task is None:
            state = status.OPEN if open_again else status.CLOSED
        else:
            state = status.EXECUTE if self._ending is None else status.DONE
        return status.status_line(number, opens, state, self._directory, self.arg0)

    async def wait(self) -> str:
        """The line of the wait file, once a task has ended. Errors: `Ehungup` if the session is freed."""
        while self._ending is None:
            await self._bell.wait()
            if self._freed:
                raise errors.Ehungup()
        return status.wait_line(*self._ending)
