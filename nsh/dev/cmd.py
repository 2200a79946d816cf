"""`#C`, cmd(3): programs of the host, run by writing to files.

Opening `cmd/clone` takes a free directory `cmd/N` and gives its ctl. A program that is started there
with ``exec`` reads what is written to data, and what it prints is read from data and stderr; status
tells how far it is, and reading wait waits for its end. The files are Inferno's, one for one, so that
each side can use the other's.

Running many programs on many machines is another device's business (taskfs); running the programs that
a shell is asked for is done by `nsh.dev.spawn`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from nsh import errors
from nsh.dev.launch import Launch, Pipes, launch, launch_patiently, unwanted, waits
from nsh.dev.openfile import OpenFile
from nsh.dev.patience import Place, patiently
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe
from nsh.kern.ctlmsg import parse
from nsh.kern.dev import AREAD, Device, Directory, File, Text, check_permission, up
from nsh.kern.namec import quote
from nsh.kern.proc import System
from nsh.p9.const import ORDWR, OREAD, OWRITE
from nsh.p9.stat import Dir

MAXCOMMANDS = 1000
"""Most directories cmd/N."""
GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL for a program that is killed."""
NICE = 5
"""What one level of ``nice`` adds to the priority of a program."""

_WORDS = {"dir": 2, "exec": 0, "kill": 1, "nice": 0, "killonclose": 1}
_FREE = "cmd"  # the owner of what nobody uses


class Program:
    """A program of the host that runs, as a process group of its own.

    ``ends``: our ends of its standard input, output and error; ``ended`` is called when it has ended, with
    what the wait file says of it: ``PID USER SYS REAL STATUS``, times in milliseconds.
    """

    def __init__(self, pid: int, ends: list[int], nice: int, ended: Callable[[str], None]) -> None:
        for fd in ends:
            os.set_blocking(fd, False)
        self.ends = [OpenFile(fd, os.fstat(fd).st_mode) for fd in ends]
        self.gone = asyncio.Event()
        self._pid = pid
        self._began = time.monotonic()
        self._ended = ended
        self._killer: asyncio.TimerHandle | None = None
        if nice:
            os.setpriority(os.PRIO_PGRP, self._pid, nice * NICE)
        self._pidfd = os.pidfd_open(self._pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._exited)

    def kill(self) -> None:
        """Ask the program to end, and make it if it has not after `GRACE` seconds."""
        if self._killer is None and not self.gone.is_set():
            self._signal(signal.SIGTERM)
            self._killer = asyncio.get_running_loop().call_later(GRACE, self._signal, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # the number is the group's until the program was waited for
        with contextlib.suppress(PermissionError):
            os.killpg(self._pid, number)

    def _exited(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._killer is not None:
            self._killer.cancel()
            self._signal(signal.SIGKILL)  # what else there is of the group
        _, code, usage = os.wait4(self._pid, 0)
        real = time.monotonic() - self._began
        times = " ".join(str(round(seconds * 1000)) for seconds in (usage.ru_utime, usage.ru_stime, real))
        self.gone.set()
        self._ended(f"{self._pid} {times} {quote(_reason(code))}")


def _refused(e: BaseException, argv: list[str], directory: str) -> P9Error:
    """Why a program could not be started, in the words of devcmd."""
    if not isinstance(e, OSError):
        return P9Error(f"exec failed: {e}")
    why = os.strerror(e.errno or P9Error.code)
    if e.filename == directory != argv[0]:
        return P9Error(f"can't chdir to {directory}: {why}")
    return P9Error(f"exec failed: {why}")


def _reason(code: int) -> str:
    """What a status of wait(2) says: '' for success, ``exit: 3``, ``killed``, ``signal: 11``."""
    if os.WIFSIGNALED(code):
        number = os.WTERMSIG(code)
        return "killed" if number in (signal.SIGTERM, signal.SIGKILL) else f"signal: {number}"
    exit_code = os.WEXITSTATUS(code)
    return f"exit: {exit_code}" if exit_code else ""


class Part(File):
    """A file of cmd/N that keeps N in use while it is open."""

    def __init__(self, command: Command, name: str, perm: int) -> None:
        super().__init__(name, perm)
        self.command = command

    def open(self, c: Chan, mode: int) -> None:
        self.command.opened()

    def close(self, c: Chan) -> None:
        self.command.closed()


class Ctl(Part):
    """ctl: reads as N, takes the control messages."""

    def open(self, c: Chan, mode: int) -> None:
        self.command.opened()
        self.command.ctls += 1

    def close(self, c: Chan) -> None:
        self.command.ctls -= 1
        self.command.closed()

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self.command.name.encode()[offset : offset + count]

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        done = self.command.control(bytes(data).decode("utf-8", "surrogateescape"))
        return len(data) if done is None else self._written(done, len(data))

    async def _written(self, done: Awaitable[None], count: int) -> int:
        await done
        return count

    def wstat(self, c: Chan, d: Dir) -> None:
        self.command.give(d)


class Pipe(Part):
    """data and stderr: the way to the program's standard input, and from its output or its errors."""

    def __init__(self, command: Command, name: str, perm: int, output: int) -> None:
        super().__init__(command, name, perm)
        self._output = output

    def _used(self, c: Chan) -> list[int]:
        """The standard descriptors of the program that an open Chan stands for."""
        mode = c.mode & 3
        return [0] * (mode in (OWRITE, ORDWR)) + [self._output] * (mode in (OREAD, ORDWR))

    def open(self, c: Chan, mode: int) -> None:
        c.mode = mode
        self.command.opened()
        for n in self._used(c):
            self.command.users[n] += 1

    def close(self, c: Chan) -> None:
        for n in self._used(c):
            self.command.let_go(n)
        self.command.closed()

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        end = self.command.ends[self._output]
        return b"" if end is None else end.read(count)

    async def write(self, c: Chan, data: bytes, offset: int) -> int:
        end = self.command.ends[0]
        view = memoryview(data)
        while view:
            if end is None or end is not self.command.ends[0]:
                raise errors.Ehungup()
            view = view[await end.write(bytes(view)) :]
        return len(data)

    def wstat(self, c: Chan, d: Dir) -> None:
        self.command.give(d)


class Wait(Part):
    """wait: how the program has ended; a read waits until it has."""

    async def read(self, c: Chan, count: int, offset: int) -> bytes:
        return (await self.command.ending())[offset : offset + count]


class Command(Directory):
    """cmd/N: one program at a time, and between programs a directory for whoever takes it.

    ``opens``: how often its ctl, data, stderr and wait are open; ``ctls``: how often its ctl is;
    ``users``: how often each standard descriptor of the program is; ``ends``: our end of each.
    """

    def __init__(self, device: CmdDevice, number: int) -> None:
        self.device = device
        self.opens = self.ctls = 0
        self.users = [0, 0, 0]
        self.ends: list[OpenFile | None] = [None, None, None]
        self.program: Program | None = None
        self.ctl = Ctl(self, "ctl", 0o666)
        self._data = Pipe(self, "data", 0o666, 1)
        self._guarded = (Pipe(self, "stderr", 0o444, 2), Wait(self, "wait", 0o444))
        stderr, wait = self._guarded
        super().__init__(str(number), self._data, stderr, self.ctl, Text("status", self._status), wait)
        self._free()

    # --- who has it ----------------------------------------------------------------------------

    def _free(self) -> None:
        """Nobody uses it any more."""
        for n in range(3):
            self._close_end(n)
        self._own(_FREE, 0o666)
        self._state = "Closed"
        self._directory = self.device.home
        self._argv: list[str] = []
        self._nice = 0
        self._killonclose = False
        self._ending: str | None = None
        self._bell = asyncio.Event()

    def _own(self, owner: str, perm: int) -> None:
        self.uid = owner
        for node in self.entries():
            node.uid = owner
        self.ctl.perm = self._data.perm = perm

    def give(self, d: Dir) -> None:
        """Change owner and permissions, by wstat of one of the files."""
        if up().user not in (self.uid, self.device.eve) or d.touched() - {"uid", "mode"}:
            raise errors.Eperm()
        touched = d.touched()
        owner = d.uid if "uid" in touched else self.uid
        self._own(owner, d.mode & 0o777 if "mode" in touched else self.ctl.perm)

    def reserve(self) -> None:
        """The clone file was opened: who did it owns this directory now."""
        self.opens = self.ctls = 1
        self._own(up().user, 0o660)

    def opened(self) -> None:
        self.opens += 1
        if self.opens == 1:
            self._state = "Open"
            self._own(up().user, 0o660)

    def closed(self) -> None:
        """A file was closed: that may end the program, or the use of this directory."""
        self.opens -= 1
        if self.program is not None:
            if self.opens == 0 or (self._killonclose and self.ctls == 0):
                self.program.kill()
        elif self.opens == 0:
            self._free()

    def check(self, node: File) -> None:
        """Raise `Eperm` for the files that anybody could read by their mode, but that are the owner's."""
        if node in self._guarded:
            check_permission(up().user, self.uid, self.uid, self.ctl.perm, AREAD)

    def let_go(self, n: int) -> None:
        """One user less of a standard descriptor; the program sees when it was the last."""
        self.users[n] -= 1
        if self.users[n] == 0:
            self._close_end(n)

    def _close_end(self, n: int) -> None:
        end, self.ends[n] = self.ends[n], None
        if end is not None:
            end.close()

    # --- the program ---------------------------------------------------------------------------

    def control(self, text: str) -> Maybe[None]:
        """Do a control message. Errors: those of `parse`, `Einuse`, and why a program cannot be started."""
        word, *args = parse(text, _WORDS)
        match word:
            case "dir":
                self._directory = args[0]
            case "nice":
                self._nice = _level(args)
            case "killonclose":
                self._killonclose = True
            case "kill":
                if self.program is None:
                    raise P9Error("not started")
                self.program.kill()
            case "exec":
                return self._exec(args)
        return None

    def _exec(self, argv: list[str]) -> Maybe[None]:
        """Start a program. Errors: `P9Error` "exec failed: WHY", "can't chdir to DIR: WHY"."""
        if self.program is not None or self._argv:
            raise errors.Einuse()
        if not argv:
            raise errors.Ectlargs(f'{errors.Ectlargs.text} "exec"')
        self._argv, self._state = argv, "Execute"
        pipes = Pipes()
        start = Launch(argv, self._directory, os.environ, pipes.theirs)
        place = waits(self.device.system, start)
        if place is not None:
            return self._exec_patiently(start, pipes, place)
        try:
            pid = launch(start)
        except (OSError, ValueError) as e:
            raise self._failed(pipes, e) from None
        finally:
            pipes.close_theirs()
        self._begin(pid, pipes)
        return None

    async def _exec_patiently(self, start: Launch, pipes: Pipes, place: Place) -> None:
        """The rest where one may have to wait for it; meanwhile nobody may use the directory any more."""
        self.opens += 1
        try:
            call, dispose = partial(launch_patiently, start), partial(unwanted, place)
            pid = await patiently(place, call, dispose, after=pipes.close_theirs)
            self._begin(pid, pipes)
        except (OSError, ValueError, asyncio.CancelledError) as e:
            failed = self._failed(pipes, e)
            raise e if isinstance(e, asyncio.CancelledError) else failed from None
        finally:
            self.closed()

    def _begin(self, pid: int, pipes: Pipes) -> None:
        self.program = Program(pid, pipes.ours, self._nice, self._exited)
        self.ends[:] = self.program.ends

    def _failed(self, pipes: Pipes, e: BaseException) -> P9Error:
        """There is no program, because of ``e``."""
        pipes.close_ours()
        self._state = "Done"
        return _refused(e, self._argv, self._directory)

    def _exited(self, ending: str) -> None:
        self.program = None
        if self.opens == 0:
            self._free()
            return
        self._state, self._ending = "Done", ending
        self._bell.set()

    async def ending(self) -> bytes:
        """How the program has ended, once it has."""
        if self._ending is None:
            await self._bell.wait()
        return (self._ending or "").encode()

    def _status(self) -> str:
        arg0 = self._argv[0] if self._argv else ""
        return f"cmd/{self.name} {self.opens} {self._state} {quote(self._directory)} {quote(arg0)}\n"


def _level(args: list[str]) -> int:
    """The level of a ``nice`` message, 1 if it does not say; more than 3 is 3."""
    if len(args) > 1 or not all(arg.isdecimal() for arg in args):
        raise errors.Ebadarg()
    return min(int(args[0]), 3) if args else 1


class Clone(File):
    """clone: opening it opens the ctl of a directory that nobody uses."""

    def __init__(self, device: CmdDevice) -> None:
        super().__init__("clone", 0o666, uid=_FREE)
        self._device = device

    def open(self, c: Chan, mode: int) -> None:
        command = self._device.unused()
        command.reserve()
        c.aux, c.qid = command.ctl, command.ctl.qid


class Commands(Directory):
    """cmd: the directories there are, and clone."""

    def __init__(self, clone: Clone) -> None:
        super().__init__("cmd", uid=_FREE)
        self.commands: list[Command] = []
        self._clone = clone
        clone.parent = self

    def lookup(self, name: str) -> Maybe[File]:
        return self._clone if name == "clone" else super().lookup(name)

    def entries(self) -> list[File]:
        return [*self.commands, self._clone]

    def make(self, device: CmdDevice) -> Command:
        command = Command(device, len(self.commands))
        self.commands.append(command)
        self.add(command)
        return command


class CmdDevice(Device):
    """`#C`: cmd/clone and cmd/N/{ctl data stderr status wait}.

    ``home``: the directory of the host in which programs run when it is not said otherwise.
    """

    letter, name = "C", "cmd"
    runs = True

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self.home = os.getcwd()
        self._commands = Commands(Clone(self))
        self._farewells: set[asyncio.Task[Any]] = set()
        first = system.find(1)
        if first is not None:
            first.atexit(self._shutdown)

    def tree(self) -> Directory:
        return Directory("#C", self._commands)

    def unused(self) -> Command:
        """A directory that nobody uses, a new one if need be. Errors: `P9Error` "no free devices"."""
        for command in self._commands.commands:
            if command.opens == 0 and command.program is None:
                return command
        if len(self._commands.commands) >= MAXCOMMANDS:
            raise P9Error("no free devices")
        return self._commands.make(self)

    def check(self, node: File, mode: int) -> None:
        super().check(node, mode)
        if isinstance(node, Part):
            node.command.check(node)

    def _shutdown(self) -> None:
        """The system ends: so do the programs, and it waits for them a moment."""
        for command in self._commands.commands:
            if command.program is not None:
                command.program.kill()
                farewell = asyncio.get_running_loop().create_task(command.program.gone.wait())
                self._farewells.add(farewell)
                farewell.add_done_callback(self._farewells.discard)
