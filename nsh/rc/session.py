"""A session: the shell that a program run of nsh is, from its first command to the last thing it must end.

It joins the kernel to the outside: the descriptors 0, 1 and 2, the console, the signals, the exit code. It
reads commands from a file, a text, standard input, or a person (`repl`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from nsh import xdg
from nsh.dev.bin import BinDevice
from nsh.dev.bin import command as command_of
from nsh.dev.cons import ConsDevice
from nsh.dev.hostfd import HostFdDevice
from nsh.dev.spawn import ABANDON, Interrupts
from nsh.errors import FileFormatError
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.proc import INTERRUPT, QUIT, Proc, current
from nsh.p9.const import ORDWR, OREAD
from nsh.rc.fault import Exit, RcError
from nsh.rc.parse import Parser, RcSyntaxError
from nsh.rc.prompt import Plain
from nsh.rc.redir import about
from nsh.rc.run import Shell, exit_number
from nsh.rc.source import Lines, typed

if TYPE_CHECKING:
    from nsh import nsfile
    from nsh.rc.repl import Prompt
    from nsh.rc.tree import Node

_NOTES = {
    "sigint": signal.SIGINT,
    "sighup": signal.SIGHUP,
    "sigterm": signal.SIGTERM,
    "sigquit": signal.SIGQUIT,
    "sigalrm": signal.SIGALRM,
    "sigusr1": signal.SIGUSR1,
    "sigusr2": signal.SIGUSR2,
}
_ENDING = ("sigint", "sighup", "sigterm", "sigquit", "sigalrm")
"""Signals that end a shell which has no function for them."""


PATIENCE = 2.0
"""Seconds that devices may take at the end to give back what they hold elsewhere."""


class Options(NamedTuple):
    """How nsh was called. ``text``: of -c; ``file``: the script; ``args``: what is then ``$*``.

    ``namespace``: the file that says what the name space is, of -n.
    """

    flags: frozenset[str]
    text: str | None
    file: str | None
    args: list[str]
    namespace: str | None = None


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
    gc.freeze()  # what there is now stays: no collection need look at it again
    gc.enable()
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
    sh.flags = set(flags)
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
        p.system.shell = functools.partial(run_text, flags=options.flags & {"N"})
        sh.var.set("pid", [str(os.getpid())])
        if options.text is not None:
            sh.var.set("cflag", [options.text])
            sh.file = "-c"
        elif options.file is None:
            sh.file = "stdin"
        p.args = ["nsh", *([options.file] if options.file else []), *options.args]
        self._front: asyncio.Task[None] | None = None
        self._ended_by: int | None = None
        self._before: set[asyncio.Task[Any]] = set()

    async def run(self) -> int:
        """Run all of it; returns the exit code."""
        sh = self.shell
        self._watch_signals()
        task = sh.proc.start(lambda p: self._whole())
        self._main = task
        try:
            status = await task
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                raise
            if self._ended_by is None:
                return exit_number(sh.proc.status or "")
            # as rc does: what counts is whether the signal cut something short
            return 0 if sh.true else 128 + self._ended_by
        finally:
            await self._end()
        return exit_number(status)

    async def _whole(self) -> str:
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
                sh.var.values["status"] = e.status
                if not e.handler:
                    return sh.status
            sh.notes = ["sigexit"]
            await sh.run_notes()
        except Exit as e:
            sh.var.values["status"] = e.status
        except RcError as e:
            await sh.complain(str(e))
            sh.status = "error"
        finally:
            self._before = asyncio.all_tasks()
        return sh.status

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
        elif "i" in options.flags or (os.isatty(0) and os.isatty(2)):
            sh.interactive = True
            await self._interactive()
        else:
            await sh.script(Parser(file="stdin"), Lines(sh.proc).next)

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
        await self._startup()
        prompt = self._prompt()
        parser = Parser(file="stdin")
        try:
            while True:
                try:
                    nodes = await typed(parser, prompt.line)
                except RcSyntaxError as e:
                    await sh.syntax_error(e)
                except KeyboardInterrupt:
                    parser = Parser(file="stdin")
                else:
                    if not nodes:
                        return
                    await self._typed(nodes)
        finally:
            await prompt.close()

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
        await self._in_front(self.shell.script(Parser(text, file=file)))

    def _prompt(self) -> Prompt | Plain:
        """What asks for commands: the line editor, where there is a terminal and prompt_toolkit."""
        if _on_terminal():
            try:
                from nsh.rc.repl import Prompt

                return Prompt(self.shell, self._in_front)
            except ModuleNotFoundError as e:
                if (e.name or "").partition(".")[0] not in ("prompt_toolkit", "wcwidth"):
                    raise
        return Plain(self.shell, self._in_front)

    async def _typed(self, nodes: list[Node]) -> None:
        """Run what was typed at once. What ends one command ends them all."""
        for node in nodes:
            await self._in_front(self.shell.run(node))
            if self.shell.status == "interrupted":
                return

    async def _in_front(self, command: Coroutine[Any, Any, None]) -> None:
        """Run a command in such a way that SIGINT and SIGQUIT end it, and nothing else. Errors: `Exit`."""
        sh = self.shell
        self._front = asyncio.create_task(command)
        try:
            await self._front
        except RcError as e:
            await sh.complain(str(e))
            sh.status = "error"
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                raise
            sh.status = "interrupted"
            await sh.print_error("")
        finally:
            self._front = None

    # --- signals -------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name, number in _NOTES.items():
            if number not in (signal.SIGINT, signal.SIGQUIT):
                loop.add_signal_handler(number, self._signalled, name)

        def interrupted(number: int, _: object) -> None:
            Interrupts.count += 1
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._signalled, "sigint" if number == signal.SIGINT else "sigquit")

        signal.signal(signal.SIGINT, interrupted)
        signal.signal(signal.SIGQUIT, interrupted)

    def _signalled(self, name: str) -> None:
        sh = self.shell
        function = sh.var.functions.get(name)
        if function is not None:
            sh.notes.append(name)
        elif name in ("sigint", "sigquit") and sh.interactive:
            if self._front is not None:
                self._front.cancel(INTERRUPT if name == "sigint" else QUIT)
        elif name in _ENDING:
            self._ended_by = int(_NOTES[name])
            self._main.cancel(INTERRUPT if name == "sigint" else None)

    # --- the end -------------------------------------------------------------------------------

    async def _end(self) -> None:
        """End what this shell has started; programs of the host that run in the background go on."""
        p = self.shell.proc
        for job in self.shell.jobs.values():
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


def _on_terminal() -> bool:
    """Can lines be edited?"""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
