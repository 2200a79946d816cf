"""Namespace files, namespace(6): what their lines are (grammar/namespace.lark), and running them.

`load` reads a file, and those that it includes, into commands whose words are ready: variables are
replaced, and what is wrong is told with file and line before anything has been changed. `run` has a process
carry the commands out, one after the other. ns(1) prints such a file.

lark is imported when the first file is read. Nothing here knows which file is read, or when: that is up to
`nsh.rc.session`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from nsh import grammars
from nsh.errors import FileFormatError, P9Error, from_os
from nsh.kern.mnt import MAFTER, MBEFORE, MCACHE, MCREATE
from nsh.kern.proc import RFCNAMEG, Proc
from nsh.kern.user import whoami

if TYPE_CHECKING:
    import lark

DEEPEST = 16
"""Files that may include one another."""

LARGEST = 1 << 20
"""Bytes of the longest namespace file."""

_USAGE = {
    "bind": "bind [-abcCqu] new old",
    "mount": "mount [-abcCAPq9] server old [spec]",
    "unmount": "unmount [new] old",
    "clear": "clear",
    "cd": "cd directory",
    ".": ". file",
}
_FLAGS = {"a": MAFTER, "b": MBEFORE, "c": MCREATE, "C": MCACHE}

Lookup = Callable[[str], "str | None"]
"""The value of a variable; None when it is not set."""


class Command(NamedTuple):
    """A line, ready to be run. ``flags``: the letters of its options."""

    name: str
    flags: str
    args: list[str]
    file: str
    line: int

    @property
    def mount_flag(self) -> int:
        """The options that are mount(2)'s business."""
        return sum(bit for letter, bit in _FLAGS.items() if letter in self.flags)


def environment(name: str) -> str | None:
    """A variable of the host's environment; home and user are known in any case."""
    if name == "home":
        return os.path.expanduser("~")
    if name == "user":
        return whoami()
    return os.environ.get(name)


def load(path: str, value: Lookup = environment, depth: int = 0) -> list[Command]:
    """The commands of the host's file ``path`` and of those it includes. Errors: `FileFormatError`."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as e:
        raise FileFormatError(f"cannot read: {from_os(e)}", path) from None
    if len(content) > LARGEST:
        raise FileFormatError(f"no namespace file: it is longer than {LARGEST} bytes", path)
    return complete(content.decode("utf-8", "surrogateescape"), path, value, depth)


def complete(text: str, path: str, value: Lookup = environment, depth: int = 0) -> list[Command]:
    """The commands of a text, as if it were that of the file ``path``, and of the files that it includes.

    Errors: `FileFormatError`.
    """
    loaded: list[Command] = []
    for command in parse(text, path, value):
        if command.name != ".":
            loaded.append(command)
            continue
        # a name that is not absolute begins where the file is that has it
        included = os.path.join(os.path.dirname(path), command.args[0])
        if depth == DEEPEST:
            raise FileFormatError(f"{included}: files include one another", path, command.line)
        if not os.path.exists(included):
            raise FileFormatError(f"{included}: file does not exist", path, command.line)
        loaded += load(included, value, depth + 1)
    return loaded


def parse(text: str, file: str, value: Lookup = environment) -> list[Command]:
    """The commands of a text, in which variables get their ``value``. Errors: `FileFormatError`."""
    import lark

    try:
        tree = _parser().parse(text if text.endswith("\n") else text + "\n")
    except lark.UnexpectedInput as e:
        raise _explained(e, text, file) from None
    commands = (_command(node.children, file, value) for node in tree.find_data("command"))
    return sorted(commands, key=lambda command: command.line)


@functools.cache
def _parser() -> lark.Lark:
    """The parser that the grammar makes."""
    import lark

    return lark.Lark(grammars.read("namespace"), parser="lalr", lexer="contextual")


def _explained(error: lark.UnexpectedInput, text: str, file: str) -> FileFormatError:
    """What is wrong with a line that the grammar refuses."""
    source = text.split("\n")[error.line - 1].rstrip()
    name = source.split()[0]
    rest = source[error.column - 1 :].lstrip(" \t")
    if name not in _USAGE:
        what = f"{name}: no such command (there are: {' '.join(_USAGE)})"
    elif rest.startswith("'"):
        what = "a quote is not closed"
    elif rest.startswith("$"):
        what = "a $ without a name; quote it if it is part of one"
    else:
        what = f"a {name} line reads: {_USAGE[name]}"
    return FileFormatError(what, file, error.line, len(source) - len(rest) + 1)


def _command(children: list[Any], file: str, value: Lookup) -> Command:
    """The command of a line of the tree. Errors: `FileFormatError`."""
    name = children[0]
    flags = ""
    args = []
    for child in children[1:]:
        if child is None:
            continue
        if isinstance(child, str):
            flags += child[1:]
        else:
            args.append("".join(_piece(token, file, value) for token in child.children))
    allowed = _USAGE[name].partition("[-")[2].partition("]")[0]
    for letter in flags:
        if letter not in allowed:
            raise FileFormatError(f"{name} has no option -{letter}", file, name.line)
    return Command(str(name), flags, args, file, name.line)


def _piece(token: lark.Token, file: str, value: Lookup) -> str:
    """What a part of a word stands for."""
    if token.type == "QUOTED":
        return token[1:-1].replace("''", "'")
    if token.type == "TEXT":
        return str(token)
    found = value(token[1:])
    if found is None:
        raise FileFormatError(f"{token} is not set", file, token.line or 0, token.column or 0)
    return found


async def run(p: Proc, commands: list[Command], tell: Callable[[str], Awaitable[None]]) -> bool:
    """Carry the commands out as ``p``; says whether one of them was a cd.

    One that fails is told of, with its place, and the rest is done all the same.
    """
    for command in commands:
        try:
            await _run(p, command)
        except OSError as e:
            if "q" not in command.flags:
                reason = e if isinstance(e, P9Error) else from_os(e)
                await tell(f"{command.file}:{command.line}: {command.name}: {reason}")
    return any(command.name == "cd" for command in commands)


async def newns(p: Proc, text: str, name: str) -> bool:
    """Carry out a text called ``name`` as ``p``; says whether it went to another directory.

    Errors: `FileFormatError`, before anything is done; `P9Error`, the first one, when all has been tried.
    """
    failures: list[str] = []

    async def tell(what: str) -> None:
        failures.append(what)

    moved = await run(p, complete(text, name), tell)
    if failures:
        raise P9Error(failures[0])
    return moved


async def _run(p: Proc, command: Command) -> None:
    args = command.args
    if command.name == "bind":
        await p.bind(args[0], args[1], command.mount_flag, under="u" in command.flags)
    elif command.name == "mount":
        await _mount(p, command)
    elif command.name == "unmount":
        await p.unmount(args[0] if len(args) == 2 else None, args[-1])
    elif command.name == "clear":
        p.rfork(RFCNAMEG)
    else:
        await p.chdir(args[0])


async def _mount(p: Proc, command: Command) -> None:
    """mount(1), without its words when something fails."""
    from nsh.cmd.mount import connect
    from nsh.net.address import address, is_local

    server, old, *spec = command.args
    if server.startswith("#|"):
        raise P9Error(f"{server}: nobody is at the other end of a new pipe")
    unasked = "A" in command.flags or is_local(address(server))
    service = "9fs" if "9" in command.flags else "styx"
    fd = p.fgrp.new(await connect(p, server, service, unasked, persistent="P" in command.flags))
    try:
        await p.mount(fd, old, command.mount_flag, "".join(spec))
    finally:
        p.close(fd)
