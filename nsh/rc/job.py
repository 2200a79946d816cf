"""Jobs: what a shell has started with ``&``, and the lines that were stopped while they ran.

A `Job` is a note group with a name: its number, and the command that was typed. `Jobs` is the table of one
shell, and knows which job is in front. The terminal is `nsh.rc.tty`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nsh.kern.noteg import Noteg

if TYPE_CHECKING:
    from collections.abc import Callable

    from nsh.kern.proc import Proc
    from nsh.rc import tree
    from nsh.rc.tty import Terminal

JOBS = 1000
"""Jobs from which on those that have ended are forgotten, should nobody wait for them."""

STOPPED = "there are stopped jobs; once more, and they end"
"""What is said to who wants to leave."""

INTERRUPTED = ("interrupted", "signal: interrupt")
"""The status of what the keys of the terminal have ended."""

_WIDTH = 60
"""Characters of a command that are shown."""

_WHY = {signal.SIGTTIN: "stopped (tty input)", signal.SIGTTOU: "stopped (tty output)"}


class Job(Noteg):
    """A command and what it runs.

    ``nodes``: the commands; ``stoppable``: Ctrl-Z stops it; ``number``: what it is called by, or 0; ``proc``:
    the process that carries it out, once that is not the shell itself; ``task``: the coroutine that does;
    ``modes``: of the terminal, when it was stopped; ``told``: the state that the user knows of;
    ``changed``: is called when it stops.
    """

    def __init__(
        self,
        nodes: Sequence[tree.Node | None] = (),
        *,
        front: bool = True,
        control: bool = False,
        stoppable: bool = True,
    ) -> None:
        super().__init__(front, control)
        self.nodes = nodes
        self.stoppable = stoppable
        self.number = 0
        self.proc: Proc | None = None
        self.task: asyncio.Task[Any] | None = None
        self.modes: list[Any] | None = None
        self.told = "running"
        self.changed: Callable[[], None] = lambda: None
        self._halted: asyncio.Future[None] | None = None
        self._begun: asyncio.Future[None] | None = None

    @property
    def text(self) -> str:
        """The command, in one line that is not too long."""
        from nsh.rc.unparse import unparse

        text = "; ".join(" ".join(unparse(node).split("\n")[0].split()) for node in self.nodes)
        return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."

    @property
    def state(self) -> str:
        """``running``, ``stopped``, or how it has ended."""
        status = self.proc.status if self.proc is not None else None
        if status is not None:
            return (f"exit {status}" if status.isdecimal() else status) or "done"
        return _WHY.get(signal.Signals(self.stopped), "stopped") if self.stopped else "running"

    @property
    def halted(self) -> bool:
        """Is it stopped, and could go on?"""
        return self.stopped != 0 and not self.ended

    @property
    def ended(self) -> bool:
        return self.proc is not None and self.proc.status is not None

    def stop(self, number: int) -> None:
        super().stop(number)
        if not self.stoppable:
            self.go_on()
            return
        if self._halted is not None and not self._halted.done():
            self._halted.set_result(None)
        self.changed()

    async def settled(self) -> None:
        """Wait until it has ended or is stopped. Who is cancelled meanwhile has cancelled it."""
        assert self.task is not None
        while not (self.task.done() or self.stopped):
            self._halted = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait([self.task, self._halted], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError as e:
                self.task.cancel(*e.args[:1])
                await asyncio.wait([self.task])
                raise

    def add(self, pid: int, place: int | None) -> None:
        super().add(pid, place)
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)

    async def released(self, alone: Callable[[], bool]) -> None:
        """Wait until it has ended, or until, with a program that it has begun, it may be left ``alone``."""
        assert self.task is not None
        while not (self.task.done() or alone()):
            self._begun = asyncio.get_running_loop().create_future()
            await asyncio.wait([self.task, self._begun], return_when=asyncio.FIRST_COMPLETED)

    def line(self, mark: str = " ") -> str:
        """It as `jobs` shows it."""
        return f"[{self.number}]{mark} {self.state:<9} {self.text}"


class Jobs:
    """The jobs of one shell.

    ``terminal``: set where there is job control; ``front``: the job that is in front; ``changed``: is called
    when one that is not has ended or stopped.
    """

    def __init__(self, terminal: Terminal | None = None) -> None:
        self.terminal = terminal
        self.front: Job | None = None
        self.changed: Callable[[], None] = lambda: None
        self._jobs: dict[int, Job] = {}
        self._recent: list[Job] = []  # the one that % means is the last
        self._woken: asyncio.Future[None] | None = None
        self._lines = 0
        self._warned = -2

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def add(self, job: Job, proc: Proc) -> None:
        """A job goes on beside us, as ``proc``; with job control it gets a number."""
        if len(self._jobs) >= JOBS:
            self._jobs = {pid: job for pid, job in self._jobs.items() if not job.ended}
        job.proc = proc
        self._jobs[proc.pid] = job
        proc.atexit(lambda: self._ended(job))
        if self.terminal is not None:
            job.number = max([other.number for other in self], default=0) + 1
            job.changed = lambda: self._changed(job)
            self._recent.append(job)

    def remove(self, job: Job) -> None:
        """Somebody knows how it has ended: it is forgotten."""
        assert job.proc is not None
        self._jobs.pop(job.proc.pid, None)
        self._unlist(job)

    def find(self, word: str = "%") -> Job | None:
        """The job that is meant: its process (``$apid``), ``%n``, ``%`` (the last one), ``%name``."""
        if not word.startswith("%"):
            return self._jobs.get(int(word)) if word.isdecimal() and len(word) < 10 else None
        name = word[1:]
        if name in ("", "%", "+"):
            return self._recent[-1] if self._recent else None
        if name == "-":
            return self._recent[-2] if len(self._recent) > 1 else None
        if name.isdecimal():
            return next((job for job in self._recent if job.number == int(name[:9])), None)
        return next((job for job in reversed(self._recent) if job.text.startswith(name)), None)

    def process(self, word: str) -> Proc | None:
        """The process that carries out the job ``%...``, if it runs."""
        job = self.find(word)
        return None if job is None or job.ended else job.proc

    async def wait(self, job: Job) -> bool:
        """Wait for the end of a job; False if something else came: a note (see `wake`), or it was stopped."""
        assert job.proc is not None
        ended = asyncio.ensure_future(job.proc.wait())
        self._woken = woken = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([ended, woken], return_when=asyncio.FIRST_COMPLETED)
            return ended.done()
        finally:
            ended.cancel()

    def wake(self) -> None:
        """A note has come for who waits."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def lines(self) -> list[str]:
        """All of them that have numbers, as `jobs` shows them; those that have ended for the last time."""
        return [self._told(job) for job in sorted(self._recent, key=lambda job: job.number)]

    def news(self) -> list[str]:
        """The same of those only that have ended or stopped, and nobody was told."""
        return [self._told(job) for job in list(self._recent) if job.state not in (job.told, "running")]

    def _told(self, job: Job) -> str:
        line = job.line("+" if job is self._recent[-1] else " ")
        job.told = job.state
        if job.ended:
            self._unlist(job)
        return line

    def _unlist(self, job: Job) -> None:
        job.number = 0
        with contextlib.suppress(ValueError):
            self._recent.remove(job)

    def _changed(self, job: Job) -> None:
        """It has stopped: it is the one that % means."""
        if job in self._recent:
            self._recent.remove(job)
            self._recent.append(job)
        if job is not self.front:
            self.wake()
            self.changed()

    def _ended(self, job: Job) -> None:
        if job is not self.front:
            self.changed()

    # --- in front ------------------------------------------------------------------------------

    async def run(self, job: Job) -> str:
        """Have a job in front until it has ended or is stopped; returns its status."""
        outer, self.front = self.front, job
        if outer is not None:
            outer.terminal = None
        job.told = "running"
        try:
            with self._terminal_for(job):
                if job.stopped:
                    job.go_on()
                await job.settled()
        finally:
            self.front = outer
            if outer is not None:
                outer.terminal = self.terminal
        if job.stopped:
            return "stopped"
        if job.proc is None:
            return ""
        self.remove(job)
        return job.proc.status or ""

    @contextlib.contextmanager
    def _terminal_for(self, job: Job) -> Iterator[None]:
        """Let a job have the terminal meanwhile, in the state in which it had it before."""
        terminal = self.terminal
        if terminal is None:
            yield
            return
        modes = terminal.modes
        if job.modes is not None:
            terminal.put(job.modes)
        job.front, job.terminal = True, terminal
        job.balance()
        try:
            yield
        finally:
            job.front, job.terminal = False, None
            terminal.take()
            terminal.forget()
            if job.proc is not None:  # what it restores is what it found when it began: how a line is edited
                terminal.modes = modes
            if job.proc is not None or job.stopped:
                job.modes = terminal.keep()

    def back(self, job: Job) -> None:
        """Let a job that was stopped go on in the background."""
        job.told = "running"
        job.go_on()

    # --- the end -------------------------------------------------------------------------------

    def next_line(self) -> None:
        """Another line is read."""
        self._lines += 1

    def hold(self) -> bool:
        """Are there stopped jobs? Asked once more for the next line it is no, and the shell may end."""
        if self._warned >= self._lines - 1 or not any(job.halted for job in self):
            return False
        self._warned = self._lines
        return True

    def hang_up(self, all_of_them: bool) -> None:
        """The shell ends: tell the programs of stopped jobs, or of all, that nobody is there any more."""
        for job in self:
            if all_of_them or job.halted:
                with contextlib.suppress(OSError):
                    job.send(signal.SIGHUP)
                    job.send(signal.SIGCONT)
