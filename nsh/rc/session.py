"""A session: the shell that a program run of nsh is, from its first command to the last thing it must end.

It joins the kernel to the outside: the descriptors 0, 1 and 2, the console, the signals, the exit code. It
reads commands from a file, a text, standard input, or a person (`repl`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from nsh import garbage, xdg
from nsh.dev.bin import BinDevice
from nsh.dev.bin import command as command_of
from nsh.dev.cons import ConsDevice
from nsh.dev.hostfd import HostFdDevice
from nsh.dev.spawn import ABANDON
from nsh.errors import FileFormatError
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.noteg import SIGNALS, in_front
from nsh.kern.proc import Proc, current
from nsh.p9.const import ORDWR, OREAD
from nsh.rc.builtins import BUILTINS
from nsh.rc.fault import Exit, RcError
from nsh.rc.job import STOPPED, Job
from nsh.rc.options import Options
from nsh.rc.parse import Parser, RcSyntaxError
from nsh.rc.prompt import Plain
from nsh.rc.redir import about
from nsh.rc.run import Shell, exit_number
from nsh.rc.signals import Signals
from nsh.rc.source import Lines, typed

if TYPE_CHECKING:
    from nsh import nsfile
    from nsh.rc.record import Recorder
    from nsh.rc.repl import Prompt
    from nsh.rc.tree import Node

PATIENCE = 2.0
"""Seconds that devices may take at the end to give back what they hold elsewhere."""


async def main(options: Options) -> int:
    """Boot, run what the options say, end everything that was started; returns the exit code."""
    from nsh.boot import NAMESPACE, boot

    try:
        commands = _namespace(options.namespace)
    except FileFormatError as e:
        os.write(2, f"nsh: {e}\n".encode("utf-8", "surrogateescape"))  # names keep their bytes
        if options.namespace is not None:
            return 1
        commands = None  # the user's own file is no reason to have no shell to mend it with
    p = await boot(namespace=NAMESPACE if commands is None else ())
    if options.timings is not None:
        options.timings.mark("the name space")
    garbage.look_seldom()
    if "D" in options.flags:
        from nsh.kern.tap import trace

        trace(p.system)
    return await Session(p, options, commands).run()


def _namespace(path: str | None) -> list[nsfile.Command] | None:
    """The commands of the namespace file ``path``, or else of the user's own, None if there is none.

    Errors: `FileFormatError`.
    """
    if path is None:
        path = xdg.config("namespace")
        if not os.path.exists(path):
            return None
    from nsh import nsfile

    return nsfile.load(path)


def connect(p: Proc) -> None:
    """Give a freshly booted process the descriptors of this program, the commands, and a shell."""
    from nsh import cmd

    fds = HostFdDevice.of(p.system)
    commands, cons = (p.system.device(letter) for letter in "Bc")
    assert isinstance(commands, BinDevice) and isinstance(cons, ConsDevice)
    fds.inherit(p)

    def console(mode: int) -> Chan:
        """The terminal; without one, standard input or output."""
        flags = {OREAD: os.O_RDONLY, ORDWR: os.O_RDWR}.get(mode & 3, os.O_WRONLY)
        try:
            return fds.chan(os.open("/dev/tty", flags | os.O_NOCTTY | os.O_CLOEXEC), "/dev/cons")
        except OSError:
            return fds.chan(0 if flags == os.O_RDONLY else 1, "/dev/cons", own=False)

    commands.commands = cmd.names
    cons.console = console
    p.system.shell = run_text


async def run_text(p: Proc, text: str, flags: frozenset[str] = frozenset()) -> str:
    """Run commands as the process ``p``; returns the status. For commands that are given commands."""
    sh = Shell(p)
    sh.flags, sh.file = set(flags), ""  # one line of somebody's, as if it were typed
    token = current.set(p)
    try:
        return await sh.whole(lambda: sh.script(Parser(text + "\n", file="-c")))
    finally:
        current.reset(token)


class Session:
    """The main shell of a program run."""

    def __init__(self, p: Proc, options: Options, namespace: list[nsfile.Command] | None = None) -> None:
        connect(p)
        self.options = options
        self.namespace = namespace
        name = options.file or "nsh"
        self.shell = sh = Shell(p, name, options.args)
        sh.flags = set(options.flags)
        sh.timings = options.timings
        p.system.shell = functools.partial(run_text, flags=frozenset(options.flags & {"N"}))
        p.system.job = sh.jobs.process
        sh.var.set("pid", [str(os.getpid())])
        if options.text is not None:
            sh.var.set("cflag", [options.text])
            sh.file = "-c"
        elif options.file is None:
            sh.file = "stdin"
        p.args = ["nsh", *([options.file] if options.file else []), *options.args]
        self.signals = Signals(sh)
        self._before: set[asyncio.Task[Any]] = set()

    async def run(self) -> int:
        """Run all of it; returns the exit code, or minus the number of the signal to die of."""
        sh = self.shell
        task = sh.proc.start(lambda p: self._whole())
        self.signals.watch(task)
        try:
            status = await task
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                raise
            number = self.signals.ended_by
            if not number:
                return exit_number(sh.proc.status or "")
            if sh.true:  # as rc does: what counts is whether the signal cut something short
                return 0
            if number == signal.SIGINT and in_front():
                return -number  # a shell that runs us is to see that it was a key, and end its loop
            return 128 + number
        finally:
            await self._end()
        return exit_number(status)

    async def _whole(self) -> str:
        """Everything until the program ends."""
        try:
            status = await self._all_commands()
            if not self.shell.interactive:
                await self._outlived()
            return status
        finally:
            self._before = asyncio.all_tasks()

    async def _all_commands(self) -> str:
        """Everything until the shell ends, sigexit included."""
        sh = self.shell
        try:
            try:
                if self.namespace is not None:
                    await self._in_front(self._enter(self.namespace))
                if "l" in self.options.flags:
                    await self._profile()
                await self._commands()
            except Exit as e:
                sh.var.values["status"], sh.var.values["*"] = e.status, e.star
                if not e.handler:
                    return sh.status
            sh.notes = ["sigexit"]
            await sh.run_notes()
        except Exit as e:
            sh.var.values["status"] = e.status
        except RcError as e:
            await sh.complain(str(e))
            sh.status = "error"
        return sh.status

    async def _outlived(self) -> None:
        """Wait for what a script has left in the background.

        In rc that is processes of their own, which go on when the script has ended. Here all but the programs
        of the host would end with us.
        """
        for job in self.shell.jobs:
            await job.released(functools.partial(self._is_program, job))

    def _is_program(self, job: Job) -> bool:
        """Is it a program of the host that runs, and nothing else?"""
        from nsh.rc import tree

        command = job.nodes[0]
        word = command.words[0] if isinstance(command, tree.Simple) else None
        name = word.text if isinstance(word, tree.Word) else ""
        return bool(name and job.programs and name not in self.shell.var.functions and name not in BUILTINS)

    async def _enter(self, commands: list[nsfile.Command]) -> None:
        """Make the name space, and stand where the host's program stands if nothing else was asked for."""
        from nsh import nsfile

        p = self.shell.proc
        if not await nsfile.run(p, commands, lambda text: p.print(f"nsh: {text}\n", 2)):
            with contextlib.suppress(OSError):
                await p.chdir(os.getcwd())

    async def _profile(self) -> None:
        home = "".join(self.shell.var.get("home")[:1])
        try:
            text = await self.shell.read_file(f"{home}/lib/profile")
        except OSError:
            return
        await self.shell.script(Parser(text, file=f"{home}/lib/profile"))

    async def _commands(self) -> None:
        """Run the commands of the text, the file or standard input."""
        sh, options = self.shell, self.options
        if options.text is not None:
            await sh.script(Parser(options.text + "\n", file="-c"))
        elif options.file is not None:
            try:
                text = await self._read_script(options.file)
            except OSError as e:
                raise RcError(f"cannot open {about(options.file, e)}") from None
            await sh.script(Parser(text, file=options.file))
        elif "i" in options.flags or options.record is not None or (os.isatty(0) and os.isatty(2)):
            sh.interactive, sh.file = True, ""
            await self._interactive()
        else:
            await sh.script(Parser(file="stdin"), self.signals.undisturbed(Lines(sh.proc).next))

    async def _read_script(self, name: str) -> str:
        """The text of a script, which is looked for in $path unless its name says where it is."""
        if not name.startswith(("/", "./", "../", "#")):
            for directory in self.shell.var.get("path"):
                file = f"{directory or '.'}/{name}"
                try:
                    text = await self.shell.read_file(file)
                except OSError:
                    continue
                if command_of(await namec(self.shell.proc, file, Access.ACCESS)) is not None:
                    raise RcError(f"{name} is a command, not a script: nsh -c '{name} ...'")
                return text
        return await self.shell.read_file(name)

    # --- a person, or a program that stands in for one --------------------------------------------

    async def _interactive(self) -> None:
        """Prompt, read, run; errors come back here."""
        sh = self.shell
        if os.isatty(0):
            self.signals.control_jobs()
        await self._startup()
        record = self._recorder()
        prompt = self._prompt(record)
        read = record.heard(prompt.line) if record is not None else prompt.line
        if isinstance(prompt, Plain):
            self.signals.prompting = prompt.interrupt
        parser = Parser(file="stdin")
        try:
            while True:
                for news in sh.jobs.news():
                    await sh.print_error(news)
                sh.jobs.next_line()
                try:
                    nodes = await typed(parser, read)
                except RcSyntaxError as e:
                    await sh.syntax_error(e)
                except KeyboardInterrupt:
                    parser = Parser(file="stdin")
                    sh.status = "interrupted"
                    await self._in_front(sh.run_notes())
                else:
                    if nodes:
                        await self._typed(nodes)
                    elif sh.jobs.hold():
                        await sh.complain(STOPPED)
                        parser = Parser(file="stdin")
                    else:
                        return
        finally:
            await prompt.close()
            if record is not None:
                await record.close()

    def _recorder(self) -> Recorder | None:
        """What writes the session down, if that was asked for. Errors: `RcError`."""
        if self.options.record is None:
            return None
        from nsh.rc.record import Recorder

        try:
            return Recorder(self.shell, self.options.record)
        except OSError as e:
            raise RcError(f"cannot record: {about(self.options.record, e)}") from None

    async def _startup(self) -> None:
        """Run the file in which a user says how a shell for typing is to be."""
        file = xdg.config("nshrc")
        try:
            with open(file, encoding="utf-8", errors="surrogateescape", newline="") as source:
                text = source.read()
        except FileNotFoundError:
            return
        except OSError as e:
            await self.shell.complain(about(file, e))
            return
        sh = self.shell
        sh.file = file
        await self._in_front(sh.script(Parser(text, file=file)))
        sh.file = ""

    def _prompt(self, record: Recorder | None) -> Prompt | Plain:
        """What asks for commands: the line editor, where there is a terminal and prompt_toolkit."""
        if _on_terminal():
            try:
                from nsh.rc.repl import Prompt

                return Prompt(self.shell, self._in_front)
            except ModuleNotFoundError as e:
                if (e.name or "").partition(".")[0] not in ("prompt_toolkit", "wcwidth"):
                    raise
        proc = self.shell.proc
        return Plain(self.shell, self._in_front, record.say if record else lambda text: proc.print(text, 2))

    async def _typed(self, nodes: list[Node]) -> None:
        """Run what was typed at once, as one job. What ends one command ends them all. Errors: `Exit`.

        If it is stopped it becomes a process of its own.
        """
        sh = self.shell
        line = sh.typed()
        before = sh.proc.fgrp.fork()
        job = Job(nodes, control=sh.jobs.terminal is not None)

        async def run() -> str:
            for node in nodes:
                try:
                    with sh.timed(node):
                        await line.run(node)
                except RcError as e:
                    await line.complain(str(e))
                    line.status = "error"
                except Exit as e:
                    if line.proc is sh.proc:
                        raise
                    line.var.values["status"] = e.status
                    break
                except asyncio.CancelledError as e:
                    if line.proc is sh.proc or not e.args or e.args[0] not in SIGNALS:
                        raise
                    line.status = "interrupted"
                    break
                await line.tell_status()
            return line.status

        try:
            await self._run(job, run())
        finally:
            if job.stopped:
                sh.split(line, before)
                line.proc.noteg = job
            else:
                before.release()
                sh.join(line)
        if job.stopped:
            assert job.task is not None
            line.proc.adopt(job.task)
            sh.jobs.add(job, line.proc)

    async def _in_front(self, command: Coroutine[Any, Any, None]) -> None:
        """Run something of the shell's own: the keys that interrupt end it, and nothing else. Errors: `Exit`.

        It cannot be stopped.
        """
        sh = self.shell

        async def run() -> str:
            await command
            return ""

        try:
            await self._run(Job(control=sh.jobs.terminal is not None, stoppable=False), run())
        except RcError as e:
            await sh.complain(str(e))
            sh.status = "error"

    async def _run(self, job: Job, work: Coroutine[Any, Any, str]) -> None:
        """Have a coroutine in front, as a job, until it has ended or is stopped. Errors: its own."""
        sh = self.shell

        async def gated() -> str:
            return await job.gated(work)

        job.task = asyncio.create_task(gated())
        job.begin(job.task)
        before, sh.proc.noteg = sh.proc.noteg, job
        try:
            await sh.jobs.run(job)
        finally:
            sh.proc.noteg = before
        if job.stopped:
            sh.status = "stopped"
            await sh.print_error("")
        elif job.task.cancelled():
            sh.status = "interrupted"
            await sh.print_error("")
        else:
            job.task.result()

    # --- the end -------------------------------------------------------------------------------

    async def _end(self) -> None:
        """End what this shell has started; programs of the host that run in the background go on."""
        p, jobs = self.shell.proc, self.shell.jobs
        jobs.hang_up(self.shell.interactive and self.signals.ended_by != 0)
        for job in jobs:
            if job.task is not None:
                job.task.cancel(ABANDON)
        p.exit(self.shell.status)
        me = asyncio.current_task()
        farewells = asyncio.all_tasks() - self._before - {me}
        if farewells:
            await asyncio.wait(farewells, timeout=PATIENCE)
        for other in list(p.system.procs.values()):
            other.kill()
        while tasks := [task for task in asyncio.all_tasks() if task is not me]:
            # first let each take a step: one that is cancelled before it could not even clean up
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if jobs.terminal is not None:
            jobs.terminal.close()


def _on_terminal() -> bool:
    """Can lines be edited?"""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
