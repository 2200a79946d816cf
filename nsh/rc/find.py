"""From the name of a command to what is run: a command of nsh, a script, or a program of the host.

The directories of ``$path`` are searched in the name space. A command of nsh is a file of the device `#B`,
so it is found wherever that is bound. A file of the host is run by the host, and so is a name that is
found nowhere but on the host, by its whole name or in the host's own ``$PATH``. A script for rc is run by
nsh itself, so that it sees this name space and not a fresh one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nsh import errors
from nsh.dev.bin import command
from nsh.dev.host import HostDevice, host_path
from nsh.kern.chan import Chan, settle
from nsh.kern.namec import Access, namec
from nsh.kern.proc import RFENVG, RFNAMEG, Proc, Program
from nsh.p9.const import DMDIR

if TYPE_CHECKING:
    from nsh.rc.run import Shell

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where the host's programs are looked for when there is no ``$PATH``."""

_INSIDE = "N"
"""The flag of a shell whose host programs have its name space as their file tree."""

_HEADSIZE = 256
"""Bytes of a file that may hold its ``#!`` line."""


async def program(sh: Shell, args: list[str]) -> Program:
    """What running ``args`` means. Errors: `Enonexist`, `Eperm`, and those of the file."""
    found = await find(sh, args[0])
    if isinstance(found, str):
        return _host_program(sh, found, args)
    name = command(found)
    if name is not None:
        return _command(name, args)
    host = host_path(found)
    flags = _script_flags(await _head(sh, found))
    if flags is not None:
        return _script(sh, str(found.path), flags, args)
    if _INSIDE in sh.flags and str(found.path).startswith("/"):
        return _host_program(sh, str(found.path), args)
    if host is None:
        raise errors.P9Error("exec header invalid")
    return _host_program(sh, host, args)


async def find(sh: Shell, name: str) -> Chan | str:
    """The file that the command ``name`` stands for, or the path of a program of the host.

    Errors: `Enonexist`; for a name that is no matter of searching, also `Eperm`, `Eisdir`, ...
    """
    if name.startswith(("/", "./", "../", "#")) or name in (".", ".."):
        try:
            return await executable(sh, name)
        except FileNotFoundError:
            if name.startswith("/") and await _runnable(sh, name):  # /bin/sh, say, which our own /bin hides
                return name
            raise
    path = sh.var.get("path")
    for directory in path:
        try:
            return await executable(sh, f"{directory or '.'}/{name}")
        except OSError:
            continue
    # an empty $path means that nothing is to be found, there either; and where a command of ours is hidden,
    # the host's of the same name must not take its place, for it would work on other files
    if not path or "/" in name or ours(sh.proc, name):
        raise errors.Enonexist()
    for directory in host_directories(sh):
        found = os.path.join(directory, name)
        if await _runnable(sh, found):
            return found
    raise errors.Enonexist()


async def _runnable(sh: Shell, name: str) -> bool:
    return await HostDevice.of(sh.proc.system).ask(runnable, name)


def ours(p: Proc, name: str) -> bool:
    """Is there a command of nsh called ``name``, wherever the name space has it?"""
    try:
        p.system.device("B").root.lookup(name)
    except OSError:
        return False
    return True


async def executable(sh: Shell, name: str) -> Chan:
    """The file ``name``, if it can be run. Errors: `Eisdir`, `Eperm`, those of the walk."""
    c = await namec(sh.proc, name, Access.ACCESS)
    d = await settle(c.dev.stat(c))
    if d.mode & DMDIR:
        raise errors.Eisdir()
    if not d.mode & 0o111:
        raise errors.Eperm()
    return c


def host_directories(sh: Shell) -> list[str]:
    """Where the host's programs are looked for: its ``$PATH``, which may be not set at all."""
    path = ":".join(sh.var.get("PATH")) if "PATH" in sh.var.values else DEFAULT_PATH
    return [directory for directory in path.split(":") if directory.startswith("/")]


def runnable(path: str) -> bool:
    """Is this a file of the host that the user may run?"""
    return "\0" not in path and os.access(path, os.X_OK) and not os.path.isdir(path)


async def _head(sh: Shell, c: Chan) -> bytes:
    """The beginning of a file; nothing if it may be run, but not read."""
    try:
        fd = await sh.proc.open(str(c.path))
    except OSError:
        return b""
    try:
        return await sh.proc.read(fd, _HEADSIZE)
    finally:
        sh.proc.close(fd)


def _script_flags(head: bytes) -> list[str] | None:
    """The arguments on the ``#!`` line, if it names this shell."""
    if not head.startswith(b"#!"):
        return None
    words = os.fsdecode(head[2:].partition(b"\n")[0]).split()
    while words and os.path.basename(words[0]) in ("env", "-S"):
        del words[0]
    return words[1:] if words and os.path.basename(words[0]) in ("rc", "nsh") else None


def _command(name: str, args: list[str]) -> Program:
    from nsh import cmd

    main = cmd.find(name)
    return lambda p: cmd.run(main, p, args)


def _host_program(sh: Shell, path: str, args: list[str]) -> Program:
    from nsh.dev.spawn import host_environment, run

    if _INSIDE in sh.flags:
        from nsh.net.inside import run

    environ, too_big = host_environment(sh.proc.egrp)

    async def program(p: Proc) -> str:
        await sh.tell_too_big(sh.var.untold(too_big))
        try:
            return await run(p, path, [_for_host(p, word) for word in args], environ)
        except OSError as e:
            from nsh.cmd import complain

            await complain(p, f"nsh: {args[0]}: {e}")
            return "1"

    return program


def _for_host(p: Proc, word: str) -> str:
    """An argument; the name of a descriptor is another for the host."""
    number = word.removeprefix("/fd/")
    if number == word or not number.isdecimal():
        return word
    return f"/dev{word}"


def _script(by: Shell, file: str, flags: list[str], args: list[str]) -> Program:
    async def run(p: Proc) -> str:
        from nsh.rc.parse import Parser
        from nsh.rc.run import Shell

        p.rfork(RFENVG | RFNAMEG)
        sh = Shell(p, args[0], args[1:])
        sh.flags = {letter for flag in flags for letter in flag.removeprefix("-")} | by.flags & {_INSIDE}

        async def commands() -> None:
            await sh.script(Parser(await sh.read_file(file), file=args[0]))

        return await sh.whole(commands)

    return run
