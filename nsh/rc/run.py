"""The interpreter: a `Shell` walks the tree of a command and does what it says.

A shell acts through a `Proc`: descriptors, current directory and name space are that process's. Whatever
rc runs in a child (``@``, ``&``, command substitution, all stages of a pipeline but the last) is another
`Shell` with a copy of the variables and a forked Proc, in a task of its own. The name space is shared
with it, as on Plan 9, until ``rfork n``; current directory, descriptors and variables are not.

What words mean is in `words`, redirections in `redir`, how a name becomes a program in `find`, builtin
commands in `builtins`. This file has the commands of the language, and `Shell.script`, which takes commands
from a text as it is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any

from nsh import errors
from nsh.dev import spawn
from nsh.dev.hostfd import HostFdDevice
from nsh.kern.chan import Chan, settle
from nsh.kern.fgrp import Fgrp
from nsh.kern.noteg import INTERRUPT, SIGNALS
from nsh.kern.proc import RFENVG, RFFDG, Proc, Program
from nsh.p9.const import OREAD
from nsh.rc import glob, tree, words
from nsh.rc.builtins import BUILTINS
from nsh.rc.fault import CommandError, Exit, RcError
from nsh.rc.job import Job, Jobs
from nsh.rc.parse import END, Parser, RcSyntaxError
from nsh.rc.redir import Saved, redirect
from nsh.rc.source import Read, command
from nsh.rc.var import Function, Variables, quoted

if TYPE_CHECKING:
    from nsh.rc.line.history import History
    from nsh.rc.timings import Timings

BREATH = 0.005
"""Seconds after which everything else gets a chance to run, whatever a shell does."""

DEEPEST = 300
"""Processes inside each other (subshells, scripts) from which on a shell starts no more."""

ROOM = 200
"""Frames of the stack that must be free when a function or a script begins, so that all can be cleaned up."""

READSIZE = 65536

_USUAL = ("signal: interrupt", "signal: broken pipe")
"""What a program may well die of; of other signals a person at a terminal is told."""

TOO_DEEP = "too many commands inside each other"

DEFAULTS = {"path": [".", "/bin"], "ifs": [" \t\n"], "prompt": ["% ", "\t"]}

Run = Callable[["Shell", Any], Coroutine[Any, Any, None]]


async def _no_more(inside: bool) -> str:
    """Where a text that is there as a whole goes on: nowhere."""
    return ""


class Shell:
    """One shell.

    ``proc``: the process it acts as; ``var``: variables and functions; ``flags``: the letters of -e -x ...
    that are set; ``file``, ``line``: where the last simple command came from, for messages ('' if it was
    typed); ``interactive``: it prompts, and errors return to the prompt; ``abbreviations``: what words become
    when they are typed; ``history``: what was typed, if somebody types; ``jobs``: what runs beside it, not
    waited for yet; ``notes``: names of the signals that have arrived and have functions;
    ``substituted``: for each ``<{...}`` in use, our descriptor, who is at its other end, and whether to wait
    for that one; ``timings``: keeps the time of its commands.
    """

    __slots__ = (
        "_due",
        "_failed_if",
        "_tested",
        "abbreviations",
        "file",
        "flags",
        "history",
        "interactive",
        "jobs",
        "line",
        "notes",
        "proc",
        "substituted",
        "timings",
        "var",
    )

    def __init__(self, p: Proc, name: str = "nsh", args: list[str] | None = None) -> None:
        self.proc = p
        self.var = Variables()
        self.flags: set[str] = set()
        self.file, self.line = name, 1
        self.interactive = False
        self.abbreviations: dict[str, str] = {}
        self.timings: Timings | None = None
        self.history: History | None = None
        self.jobs = Jobs()
        self.notes: list[str] = []
        self.substituted: list[tuple[int, Proc, bool]] = []
        self._failed_if = False
        self._tested = 0
        self._due = 0.0
        self.var.load(p.egrp)
        for variable, value in DEFAULTS.items():
            if variable not in self.var.values:
                self.var.set(variable, value)
        if "home" not in self.var.values:
            self.var.set("home", self.var.get("HOME") or ["/"])
        self.var.set("0", [name])
        self.var.set("rcname", ["nsh"])
        self.var.set("*", args or [])
        self.var.set("pid", [str(p.pid)])
        self.status = ""

    @property
    def status(self) -> str:
        """``$status``, '' when the last command succeeded."""
        return " ".join(self.var.get("status"))

    @status.setter
    def status(self, text: str) -> None:
        self.var.values["status"] = [text]

    @property
    def true(self) -> bool:
        """Did the last command succeed? Zeros and bars only count as success, too."""
        return not self.status.strip("0|")

    # --- commands ------------------------------------------------------------------------------

    async def run(self, node: tree.Node | None) -> None:
        """Run a command; `status` tells how it went. Errors: `RcError`, `Exit`."""
        if node is None:
            return
        mark = len(self.substituted)
        try:
            if monotonic() >= self._due:
                await self._breathe()
            await _RUN[type(node)](self, node)
        except RecursionError:
            e = RcError(TOO_DEEP)
            e.where = self.place(node.line)
            raise e from None
        except RcError as e:
            e.where = e.where or self.place(node.line)
            if not isinstance(e, CommandError):
                raise
            await self.complain(str(e))
            self.status = "error"
            self._exit_if_failed()
        except OSError as e:
            # a builtin whose reader has gone ends as quietly as a program
            self.status = str(e if isinstance(e, errors.P9Error) else errors.from_os(e))
            if not isinstance(e, errors.Ewclosed):
                await self.complain(f"{self.place(node.line)}{self.status}")
            self._exit_if_failed()
        except asyncio.CancelledError as e:
            if not self.notes or not e.args or e.args[0] not in SIGNALS:
                raise
            spawn.forgive()  # the key has a function: it ends one command, and the shell goes on
            self.status = "interrupted"
            await self.run_notes()
        finally:
            if len(self.substituted) > mark:
                await self._end_substitutions(mark)

    async def _seq(self, node: tree.Seq) -> None:
        for item in node.items:
            await self.run(item)

    async def _block(self, node: tree.Block) -> None:
        await self.run(node.body)

    async def _simple(self, node: tree.Simple) -> None:
        if self.notes:
            await self.run_notes()
        self.line = node.line
        saved = await redirect(self, node.redirs) if node.redirs else None
        try:
            args = words.plain(self, node.words)
            if args is None:
                args = await words.arguments(self, node.words)
            if not args:
                raise RcError("empty argument list")
            if "x" in self.flags:
                await self.print_error(" ".join(quoted(word) for word in args))
            await self.call(args)
        finally:
            if saved is not None:
                saved.restore()
        self._exit_if_failed()

    async def call(self, args: list[str], functions: bool = True) -> None:
        """Run a command that has been evaluated: a function, a builtin, or a program."""
        name = args[0]
        function = self.var.functions.get(name) if functions else None
        if function is not None:
            await self._function(function, args[1:])
        elif name in BUILTINS:
            status = await BUILTINS[name](self, args)
            if status is not None:
                self.status = status
        else:
            await self.execute(args)

    async def execute(self, args: list[str]) -> None:
        """Run a program: a command of nsh, a script, or a program of the host."""
        from nsh.rc.find import program

        await self.store()
        try:
            run = await program(self, args)
        except OSError as e:
            from nsh.rc.redir import about

            await self.complain(f"{self.place(self.line)}{about(args[0], e)}")
            self.status = "1"
            return
        child = self._fork(RFFDG)
        child.args = args
        self.status = await self.finish(child, run)
        if self.status.startswith("signal: ") and self.proc.noteg.control and self.status not in _USUAL:
            await self.print_error(f"{args[0]}: {self.status}")

    async def store(self) -> None:
        """Bring the environment up to date, and tell of what is too big for it."""
        await self.tell_too_big(self.var.store(self.proc.egrp))

    async def tell_too_big(self, names: list[str]) -> None:
        for name in names:
            await self.complain(f"{quoted(name)} is too big for the environment: programs do not get it")

    async def _function(self, function: Function, args: list[str]) -> None:
        """Call a function with ``args`` as ``$*``. What -e means to it is not the caller's business."""
        _check_room()
        await self.turn()
        self.var.push("*", args)
        file, tested = self.file, self._tested
        self.file = function.file
        self._tested = 0
        try:
            await self.run(function.body)
        except RcSyntaxError as e:  # of a function that came with the environment
            raise RcError(str(e)) from None
        finally:
            self.file, self._tested = file, tested
            self.var.pop()

    async def _redirected(self, node: tree.Redirected) -> None:
        saved = await redirect(self, (node.redir,))
        try:
            await self.run(node.body)
        finally:
            saved.restore()

    async def _assign(self, node: tree.Assign) -> None:
        value = await words.arguments(self, (node.value,))
        name = await words.single(self, node.name, words.NOT_SINGLE)
        if _for_good(node):
            self.var.set(name, value)
            await self.run(node.body)
            return
        self.var.push(name, value)
        try:
            await self.run(node.body)
        finally:
            self.var.pop()

    async def _fn(self, node: tree.Fn) -> None:
        for name in await words.arguments(self, node.names):
            self.var.define(name, Function(node.body, file=self.file) if node.body is not None else None)

    # --- control -------------------------------------------------------------------------------

    async def _condition(self, node: tree.Node | None) -> bool:
        """Run a command whose failure is no failure (-e)."""
        self._tested += 1
        try:
            await self.run(node)
        finally:
            self._tested -= 1
        return self.true

    async def _if(self, node: tree.If) -> None:
        if node.test is None or await self._condition(node.test):
            await self.run(node.body)
            self._failed_if = False
        else:
            self._failed_if = True

    async def _if_not(self, node: tree.IfNot) -> None:
        if self._failed_if:
            await self.run(node.body)

    async def _while(self, node: tree.While) -> None:
        while True:
            if node.test is not None and not await self._condition(node.test):
                return
            await self.run(node.body)
            await self.turn()

    async def _for(self, node: tree.For) -> None:
        values = self.var.get("*") if node.words is None else await words.arguments(self, node.words)
        name = await words.single(self, node.name, words.NOT_SINGLE)
        self.var.push(name, None)
        try:
            for value in values:
                self.var.set(name, [value])
                await self.run(node.body)
                await self.turn()
        finally:
            self.var.pop()

    async def _switch(self, node: tree.Switch) -> None:
        subject = " ".join(await words.strings(self, node.subject))
        for case in node.cases:
            if any(glob.match(pattern, subject) for pattern in await words.patterns(self, case.patterns)):
                await self.run(case.body)
                return

    async def _match(self, node: tree.Match) -> None:
        patterns = await words.patterns(self, node.patterns)
        subject = " ".join(await words.strings(self, node.subject))
        found = any(glob.match(pattern, subject) for pattern in patterns)
        self.status = "" if found else "no match"
        self._exit_if_failed()

    async def _and_or(self, node: tree.And) -> None:
        """``a && b || c ...``: a chain of any length hangs on its left sides."""
        chain = [node]
        while isinstance(left := chain[-1].left, tree.And):
            chain.append(left)
        good = await self._condition(left)
        for link in reversed(chain):
            if good == isinstance(link, tree.Or):
                continue
            if link is node:
                await self.run(link.right)
            else:
                good = await self._condition(link.right)

    async def _not(self, node: tree.Not) -> None:
        body: tree.Node | None = node
        negations = 0
        while isinstance(body, tree.Not):
            body = body.body
            negations += 1
        good = await self._condition(body)
        self.status = "" if good == (negations % 2 == 0) else "false"

    def _exit_if_failed(self) -> None:
        if "e" in self.flags and not self._tested and not self.true:
            raise Exit([self.status], self.var.get("*"))

    async def turn(self) -> None:
        """Called in every turn of a loop, which need not run any command."""
        if monotonic() >= self._due:
            await self._breathe()
        if self.notes:
            await self.run_notes()

    async def _breathe(self) -> None:
        """One who never waits must not keep everything else waiting, signals among that."""
        await asyncio.sleep(0)
        self._due = monotonic() + BREATH

    # --- children ------------------------------------------------------------------------------

    def _fork(self, flags: int) -> Proc:
        """A process below ours. Errors: `RcError` when it would be too far below."""
        if self.proc.depth >= DEEPEST:
            raise RcError("too many processes inside each other")
        return self.proc.fork(flags)

    def child(self) -> Shell:
        """A shell with copies of everything, for what rc runs in another process. Errors: `RcError`."""
        proc = self._fork(RFFDG | RFENVG)
        sh = Shell.__new__(Shell)
        sh.proc = proc
        sh.proc.args = self.proc.args
        sh.var = self.var.copy()
        sh.flags = set(self.flags)
        sh.file, sh.line, sh.interactive = self.file, self.line, False
        sh.abbreviations, sh.history, sh.timings = self.abbreviations, self.history, None
        sh.jobs, sh.notes, sh.substituted = Jobs(), [], []
        sh._failed_if, sh._tested, sh._due = self._failed_if, self._tested, self._due
        return sh

    def typed(self) -> Shell:
        """This shell as one line has it that is typed: all is shared, and `split` can part them."""
        sh = Shell.__new__(Shell)
        for slot in Shell.__slots__:
            setattr(sh, slot, getattr(self, slot))
        sh.substituted = []
        return sh

    def split(self, line: Shell, fgrp: Fgrp) -> None:
        """``line`` has been stopped: what it will still do it does as a process of its own.

        What it has changed for as long as it runs is undone here: local variables, and descriptors, of which
        ``fgrp`` has those that were there before.
        """
        line.proc = self._fork(RFENVG)
        line.proc.args = ["nsh"]
        self.proc.fgrp.release()
        self.proc.fgrp = fgrp
        self.var = line.var.uncovered()
        line.flags, line.jobs, line.notes = set(self.flags), Jobs(), []

    def join(self, line: Shell) -> None:
        """``line`` has come to its end."""
        self._failed_if = line._failed_if

    def begin(self, node: tree.Node | None) -> Proc:
        """Start a command in this shell, which is a child; returns its process."""
        self.proc.start(lambda p: self.whole(lambda: self.run(node)))
        return self.proc

    async def finish(self, child: Proc, run: Program) -> str:
        """Run a program as ``child`` and wait for its end."""
        return await self.wait_for(child, child.start(run))

    async def wait_for(self, child: Proc, task: asyncio.Task[str]) -> str:
        """The exit status of a child. If it has been killed, that is no reason to end here, too."""
        me = asyncio.current_task()
        try:
            status = await task
        except asyncio.CancelledError:
            if me is not None and me.cancelling():
                self.status = "interrupted"
                raise
            return child.status or "killed"
        except Exception:  # a bug, which the process has logged: that command has failed, and no more
            return "i/o error"
        if me is not None and me.cancelling() and not self.notes:
            self.status = status  # it ended in its own way when we were told to end
            raise asyncio.CancelledError(INTERRUPT)
        spawn.forgive()
        return status

    async def whole(self, program: Callable[[], Coroutine[Any, Any, None]]) -> str:
        """Run all that this shell will ever run; returns its exit status. Errors are printed."""
        try:
            await program()
        except Exit as e:
            self.var.values["status"] = e.status
        except RcError as e:
            await self.complain(str(e))
            self.status = "error"
        return self.status

    async def _subshell(self, node: tree.Subshell) -> None:
        sh = self.child()
        self.status = exit_code(await self.wait_for(sh.proc, _task(sh.begin(node.body))))
        self._exit_if_failed()

    async def _pipe(self, node: tree.Pipe) -> None:
        """The left side in a child, the right side here."""
        sh = self.child()
        reading = self._pipe_from(sh, node.left_fd)
        saved = Saved(self.proc)
        saved.put(node.right_fd, reading)
        try:
            async with _beside(sh, node.left) as left:
                self.proc.noteg.begin(left)
                await self.run(node.right)
        finally:
            saved.restore()
        status = await self.wait_for(sh.proc, left)
        self.status = f"{status}|{self.status}"

    async def _async(self, node: tree.Async) -> None:
        sh = self.child()
        sh.proc.noteg = job = Job([node.body], front=False, control=self.proc.noteg.control)
        if _is_terminal(sh.proc, 0) and not job.control:  # else it is stopped when it reads, and fg helps
            fd = await sh.proc.open("/dev/null", OREAD)
            sh.proc.dup(fd, 0)
            sh.proc.close(fd)
        job.task = _task(sh.begin(node.body))
        job.begin(job.task)
        self.jobs.add(job, sh.proc)
        self.var.set("apid", [str(sh.proc.pid)])

    async def capture(self, node: tree.Node | None) -> str:
        """What a command prints; `status` is set."""
        sh = self.child()
        sh._tested += 1  # -e is not meant for it
        reading = self._pipe_from(sh, 1)
        parts = []
        try:
            async with _beside(sh, node) as task:
                while data := await settle(reading.dev.read(reading, READSIZE, 0)):
                    parts.append(data)
                self.status = exit_code(await self.wait_for(sh.proc, task))
        finally:
            reading.close()
        return b"".join(parts).decode("utf-8", "surrogateescape")

    async def substitute(self, arrow: str, body: tree.Node | None) -> list[str]:
        """``<{body}``: start the body, and return the names of the files that lead to it."""
        sh = self.child()
        ours = []
        if arrow != ">":
            reading, writing = self.host_pipe()
            sh.proc.fgrp.put(1, writing)
            ours.append(reading)
        if arrow != "<":
            reading, writing = self.host_pipe()
            sh.proc.fgrp.put(0, reading)
            ours.append(writing)
        child = sh.begin(body)
        self.proc.noteg.begin(_task(child))
        names = []
        for c in ours:
            fd = self.proc.fgrp.new(c)
            self.substituted.append((fd, child, arrow == ">"))
            names.append(f"/fd/{fd}")
        return names

    async def _end_substitutions(self, mark: int) -> None:
        """The command that used them is over: close them, and wait for those who still read what it wrote."""
        status = self.var.values.get("status", [])
        done = self.substituted[mark:]
        del self.substituted[mark:]
        for fd, _, _ in done:
            self.proc.close(fd)
        for _, child, wait in done:
            if wait:
                await self.wait_for(child, _task(child))
        self.var.values["status"] = status

    def _pipe_from(self, child: Shell, fd: int) -> Chan:
        """The other end of a pipe into which ``child`` writes by its descriptor ``fd``."""
        try:
            reading, writing = self.host_pipe()
        except BaseException:
            child.proc.exit()
            raise
        child.proc.fgrp.put(fd, writing)
        return reading

    def host_pipe(self) -> tuple[Chan, Chan]:
        """A pipe that programs of the host can have as a descriptor: its end to read, its end to write."""
        return HostFdDevice.of(self.proc.system).pipe()

    # --- scripts -------------------------------------------------------------------------------

    async def script(self, parser: Parser, read: Read = _no_more) -> None:
        """Run commands as they are read, each before the next is parsed.

        A syntax error ends it, with a message and `status`. Errors: `RcError`, `Exit`.
        """
        _check_room()
        tested, self._tested = self._tested, 0
        try:
            while (node := await command(parser, read)) is not END:
                with self.timed(node):
                    await self.run(node)
                await self.tell_status()
        except RcSyntaxError as e:
            await self.syntax_error(e)
        finally:
            self._tested = tested

    async def syntax_error(self, e: RcSyntaxError) -> None:
        await self.print_error(f"nsh: {e.report()}")
        self.status = e.what

    async def read_file(self, name: str) -> str:
        """The text of a script, its line ends as they are. Errors: `Eisdir`, those of open and read."""
        if (await self.proc.stat(name)).isdir:
            raise errors.Eisdir()
        return (await self.proc.readfile(name)).decode("utf-8", "surrogateescape")

    def timed(self, node: tree.Node) -> contextlib.AbstractContextManager[None]:
        """While a whole command runs: with --timings its time is kept, and told."""
        if self.timings is None:
            return contextlib.nullcontext()
        return self.timings.command(self.place(node.line), node)

    async def tell_status(self) -> None:
        """After a whole command, with -s: say what its status is, if that is not success."""
        if "s" in self.flags and not self.true:
            await self.print_error(f"status={quoted(self.status)}")

    async def run_notes(self) -> None:
        """Run the functions of the signals that have arrived."""
        while self.notes:
            name = self.notes.pop(0)
            function = self.var.functions.get(name)
            if function is not None:
                status = self.var.values.get("status", [])
                await self._function(function, self.var.get("*"))
                self.var.values["status"] = status

    # --- messages ------------------------------------------------------------------------------

    def place(self, line: int) -> str:
        """``FILE:LINE: ``, to begin a message with; nothing when what was typed stands above it."""
        return f"{self.file}:{line}: " if self.file else ""

    async def complain(self, text: str) -> None:
        """Say on standard error what is wrong, in one line."""
        await self.print_error(f"nsh: {text}")

    async def print_error(self, text: str) -> None:
        try:
            await self.proc.print(text + "\n", 2)
        except OSError:
            pass  # there is nobody to tell


def _check_room() -> None:
    """Raise `RcError` when the stack is nearly full."""
    try:
        sys._getframe(sys.getrecursionlimit() - ROOM)
    except ValueError:
        return  # it is not that deep
    raise RcError(TOO_DEEP)


def exit_code(status: str) -> str:
    """A status as another process sees it: a number that is not 0, or nothing."""
    code = exit_number(status)
    return str(code) if code else ""


def exit_number(status: str) -> int:
    """The exit code for a status: its number, when it begins with digits, else 1 for any text."""
    if not status.strip("0|"):
        return 0
    digits = status[: len(status) - len(status.lstrip("0123456789"))]
    return int(digits[-9:]) % 256 if digits and digits.isascii() else 1


def _for_good(node: tree.Assign) -> bool:
    """Is nothing but assignments what follows?"""
    while isinstance(node.body, tree.Assign):
        node = node.body
    return node.body is None


def _task(p: Proc) -> asyncio.Task[str]:
    assert p.task is not None
    return p.task


@contextlib.asynccontextmanager
async def _beside(sh: Shell, node: tree.Node | None) -> AsyncIterator[asyncio.Task[str]]:
    """Have the child ``sh`` run a command meanwhile. What ends us ends it first."""
    task = _task(sh.begin(node))
    try:
        yield task
    except BaseException as e:
        if not task.cancelling():  # else it knows, and is cleaning up
            task.cancel(*(e.args[:1] if isinstance(e, asyncio.CancelledError) else ()))
        await asyncio.wait([task])
        raise


def _is_terminal(p: Proc, fd: int) -> bool:
    import os

    try:
        c = p.fgrp.get(fd)
    except errors.Ebadfd:
        return False
    host = c.dev.fileno(c)
    return host is not None and not c.dev.seekable(c) and os.isatty(host)


_RUN: dict[type[tree.Node], Run] = {
    tree.Simple: Shell._simple,
    tree.Seq: Shell._seq,
    tree.Block: Shell._block,
    tree.Assign: Shell._assign,
    tree.Redirected: Shell._redirected,
    tree.Fn: Shell._fn,
    tree.If: Shell._if,
    tree.IfNot: Shell._if_not,
    tree.While: Shell._while,
    tree.For: Shell._for,
    tree.Switch: Shell._switch,
    tree.Match: Shell._match,
    tree.And: Shell._and_or,
    tree.Or: Shell._and_or,
    tree.Not: Shell._not,
    tree.Pipe: Shell._pipe,
    tree.Subshell: Shell._subshell,
    tree.Async: Shell._async,
}
