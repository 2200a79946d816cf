"""Noteg: the processes that a note reaches together, and what Linux has instead: a process group.

A process of nsh has a note group as it has a name space group and an environment group (RFNOTEG). With it
go the programs of the host that these processes run: all are interrupted, stopped and continued as one.
Where there is job control, the shell gives each line that is typed a note group (`nsh.rc.job`), and its
programs are in a process group of the host's that belongs to it alone. A script on a terminal leaves
its programs in the process group that it is in itself, and what is typed reaches both.

Coroutines cannot be stopped by the host. `Noteg.gated` stops them where they wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

INTERRUPT = "interrupt"
"""The message of a cancellation that comes from the terminal (``task.cancel(INTERRUPT)``)."""

QUIT = "quit"
"""The same for the other key of the terminal, SIGQUIT."""

starting: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
"""What must be done around the start of any program of the host; a shell on a terminal sets it."""

SIGNALS = {INTERRUPT: signal.SIGINT, QUIT: signal.SIGQUIT}


_EXITING = 0x4
"""The flag PF_EXITING of proc_pid_stat(5)."""


class Terminal(Protocol):
    """What the note group in front needs of the terminal; see `nsh.rc.tty`."""

    def give(self, pgid: int) -> None:
        """Let a process group of programs have the terminal."""

    def take(self) -> None:
        """Have it ourselves."""

    def left(self, code: int) -> None:
        """The last program has ended, and may have left the terminal in some state."""

    def keys(self) -> set[int]:
        """The signals of keys that the programs have got, and of which nobody was told yet."""

    def unheard(self) -> contextlib.AbstractContextManager[None]:
        """What the programs are sent meanwhile is no key, and nobody is told of it."""

    def typed(self, number: int) -> None:
        """A key was typed that sends this signal, the programs have got it, and it is for all of us."""

    async def ours(self) -> None:
        """Wait until we have it."""


class Noteg:
    """A note group.

    ``front``: it may use the terminal, if there is one; ``control``: its programs have a process group of
    their own even so, since there is a shell that gives the terminal to one group and another; ``terminal``:
    that of this shell, while it is this group's; ``pgid``: the process group of its programs, 0 while there
    are none, and where they are in ours; ``programs``: their numbers, and by which signal each is stopped,
    or 0; ``tasks``: what runs of it at the same time, as the sides of a pipeline do; ``stopped``: by which
    signal it was stopped, or 0.
    """

    def __init__(self, front: bool = True, control: bool = False) -> None:
        self.front = front
        self.control = control
        self.terminal: Terminal | None = None
        self.pgid = 0
        self.programs: dict[int, int] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.stopped = 0
        self._wanted = False  # a program has asked for the terminal
        self._alone = False  # they have it, and nothing else runs
        self._late: set[int] = set()  # the signals of keys that came when they were over already
        self._going = asyncio.Event()

    # --- programs of the host ------------------------------------------------------------------

    def place(self) -> int | None:
        """The process group for a program that is to be started: 0 for a new one, None for our own."""
        if self.front and not self.control and _terminal() is not None:
            return None
        return self.pgid

    def add(self, pid: int, place: int | None) -> None:
        """A program was started at its ``place``."""
        if place == 0:
            self.pgid = pid
        self.programs[pid] = 0
        self.balance()

    def remove(self, pid: int, code: int) -> None:
        """It has ended; ``code`` is negative for the signal that it died of."""
        del self.programs[pid]
        if self.terminal is not None:
            keys = {-code} & set(SIGNALS.values()) if self._alone else set[int]()
            if not self.programs:
                self.terminal.take()  # the keys that come from now on are ours
                keys |= self._late | self.terminal.keys()
            for number in keys:
                asyncio.get_running_loop().call_soon(self.terminal.typed, number)
        if not self.programs:
            self.pgid = 0
            self._wanted = False
            self._late.clear()
            if self.terminal is not None:
                self.terminal.left(code)
        self.balance()
        self._stop_with_them()  # those that are left may have been stopped while this one ended

    @property
    def reached(self) -> bool:
        """Do the keys of the terminal reach its programs, or does `interrupt` see to that?"""
        return self.control or self.pgid == 0

    def send(self, number: int, pid: int = 0) -> None:
        """Send a signal to the program ``pid``, or to all of them (0).

        It reaches what they have started, too, unless they are several and only one is meant. Errors: OSError
        (EPERM: the program belongs to somebody else).
        """
        targets = [pid] if pid else list(self.programs)
        if self.pgid and len(targets) == len(self.programs):
            terminal = self.terminal
            unheard = contextlib.nullcontext() if terminal is None else terminal.unheard()
            with contextlib.suppress(ProcessLookupError), unheard:
                os.killpg(self.pgid, number)
            targets = [one for one in targets if _group_of(one) != self.pgid]
        for one in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

    # --- who has the terminal ------------------------------------------------------------------

    def begin(self, task: asyncio.Task[Any]) -> None:
        """``task`` runs beside the others of this group: an interrupt is for it as well."""
        self.tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        self.balance()

    def balance(self) -> None:
        """Let those have the terminal who need it.

        These are the programs while nothing but programs runs, or when one of them has asked for it (it was
        stopped with SIGTTIN or SIGTTOU). Else it is ours: a command of nsh may read it, and what is typed
        has to reach those as well who are no processes of the host.
        """
        if self.terminal is None:
            return
        self._alone = len(self.programs) >= max(len(self.tasks), 1)
        if self._alone or (self._wanted and self.programs):
            self.terminal.give(self.pgid)
        else:
            self.terminal.take()

    def heard(self, number: int) -> bool:
        """A key has sent this signal to the programs. Is it their business alone what becomes of it?

        Not if other things run beside them that it should interrupt. What came too late for the programs is
        seen to when we learn that they have ended.
        """
        if not self.programs or (not self._alone and number in SIGNALS.values()):
            return False
        if not any(map(_runs, self.programs)):
            self._late.add(number)
        return True

    async def reading(self) -> None:
        """Called before one of our processes reads the terminal: returns when it may."""
        while self.control:
            if self.terminal is not None:
                await self.terminal.ours()
                return
            self.suspend(signal.SIGTTIN)
            await self._going.wait()

    # --- notes ---------------------------------------------------------------------------------

    def interrupt(self, message: str, told: bool = False) -> None:
        """Interrupt everything that runs; ``told``: the programs of the host have got the signal."""
        if self.control and not told:
            try:
                self.send(SIGNALS[message])
            except PermissionError:  # one that runs as somebody else, whom only the terminal itself may tell
                self._wanted = True
                self.balance()
        for task in list(self.tasks):
            task.cancel(message)

    def suspend(self, number: int) -> None:
        """Stop everything: programs by the signal ``number``, coroutines where they wait."""
        self.send(number)
        self.stop(number)

    def stop(self, number: int) -> None:
        """The programs are stopped by the signal ``number``: nothing else goes on, either."""
        if not self.stopped:
            self.stopped = number
            self._going.clear()

    def go_on(self) -> None:
        """It is no longer stopped: programs and coroutines go on."""
        self.programs = dict.fromkeys(self.programs, 0)
        self.stopped = 0
        self._going.set()
        self.send(signal.SIGCONT)

    def noticed(self, pid: int, number: int) -> None:
        """The host says that a program was stopped by the signal ``number``, or continued (0)."""
        asks = number in (signal.SIGTTIN, signal.SIGTTOU) and _group_of(pid) == self.pgid
        if asks and self.terminal is not None:
            self._wanted = True
            self.balance()
            self.send(signal.SIGCONT)
            return
        self.programs[pid] = number
        self._stop_with_them()
        if not number and self.stopped:
            self.go_on()

    def _stop_with_them(self) -> None:
        """If all programs are stopped, everything is."""
        numbers = self.programs.values()
        if numbers and all(numbers):
            self.stop(next(iter(numbers)))

    @types.coroutine
    def gated(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Run ``coroutine``, which rests where it waits while the group is stopped.

        A cancellation gets through, and then it is left to clean up.
        """
        step: Any = coroutine.send
        given: BaseException | None = None
        while True:
            try:
                waiting = step(given)
            except StopIteration as e:
                result: T = e.value
                return result
            step, given = coroutine.send, None
            try:
                yield waiting
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as e:
                step, given = coroutine.throw, e
            try:
                while self.stopped and not _cancelling():
                    yield from self._going.wait().__await__()
            except asyncio.CancelledError as e:
                step, given = coroutine.throw, e


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _runs(pid: int) -> bool:
    """Does a program take signals still? One that has begun to end does not, even if none can wait for it."""
    try:
        threads = [f"/proc/{pid}/task/{thread}/stat" for thread in os.listdir(f"/proc/{pid}/task")]
        return not all(map(_is_ending, threads))
    except OSError:
        return True


def _is_ending(thread: str) -> bool:
    with open(thread) as stat:
        flags = int(stat.read().rpartition(")")[2].split()[6])
    return bool(flags & _EXITING)


def _group_of(pid: int) -> int:
    """The process group of a program; 0 if there is no such program."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _terminal() -> int | None:
    """The process group that is in front on the terminal that controls us; None if there is no such."""
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.tcgetpgrp(fd)
    finally:
        os.close(fd)


def in_front() -> bool:
    """Is it for us what is typed at the terminal that controls us?"""
    return _terminal() == os.getpgrp()
