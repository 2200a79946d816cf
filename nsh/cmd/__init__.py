"""The commands: one small module each, and how one is found and run.

A command is a module with ``async def main(p, argv) -> str``. ``p`` is the process it runs as, with
descriptors 0, 1 and 2 open; ``argv[0]`` is the name it was called by; what it returns is its exit
status, empty for success. What it raises as `OSError` is printed as ``name: error`` and becomes the
status. A module's docstring is its summary; the manual page has the rest.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from nsh import errors
from nsh.cmd.arg import Usage

if TYPE_CHECKING:
    from nsh.kern.proc import Proc

Main: TypeAlias = "Callable[[Proc, list[str]], Coroutine[Any, Any, str | None]]"

# commands whose names are no Python names; every other module of this package is called as it is named
_SPELLED = {"9p": "ninep", "9pfuse": "ninepfuse"}
_NOT_COMMANDS = {
    "arg", "child", "files", "hostgroups", "nsgraph", "outputs", "progress", "screen", "taskfiles", "taskrun",
    "tasktable",
}  # fmt: skip

# how usage lines begin where they do not begin as the others, in Inferno
_USAGE = dict.fromkeys(("cmp", "export", "rm", "tee", "unmount", "xargs"), "Usage: ") | {"cp": "usage: \t"}


class Fail(errors.P9Error):
    """A command fails: the text is printed after its name, and `status` is its exit status."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


def names() -> list[str]:
    """The names of all commands, sorted."""
    spelled = {module: name for name, module in _SPELLED.items()}
    files = os.listdir(os.path.dirname(__file__))
    found = (file.removesuffix(".py") for file in files if file.endswith(".py") and file != "__init__.py")
    return sorted(spelled.get(name, name.rstrip("_")) for name in found if name not in _NOT_COMMANDS)


def find(name: str) -> Main:
    """The ``main`` of the command ``name``. Errors: `Enonexist`."""
    module = _SPELLED.get(name, name)
    if not module.isidentifier() or module in _NOT_COMMANDS:
        raise errors.Enonexist()
    for spelling in (module, module + "_"):  # exec, import and the like need the trailing underscore
        try:
            main: Main = importlib.import_module(f"nsh.cmd.{spelling}").main
        except ModuleNotFoundError as e:
            if e.name != f"nsh.cmd.{spelling}":
                raise
        else:
            return main
    raise errors.Enonexist()


async def run(main: Main, p: Proc, argv: list[str]) -> str:
    """Run a command as process ``p``, print its error in one line, and return its exit status."""
    try:
        return await main(p, argv) or ""
    except Usage as e:
        await complain(p, f"{_USAGE.get(argv[0], 'usage: ')}{argv[0]} {e}".rstrip())
        return "usage"
    except OSError as e:
        text = str(e if isinstance(e, errors.P9Error) else errors.from_os(e))
        await complain(p, f"{argv[0]}: {text}")
        return e.status if isinstance(e, Fail) else text


async def complain(p: Proc, text: str) -> None:
    """Write one line to standard error; where there is none, nobody is told.

    Nor is anybody when standard output is a pipe that was found closed: the reader has had enough, as in
    ``yes | sed 1q``, and Plan 9 would have ended the process without a word.
    """
    from nsh.dev.hostfd import broken

    try:
        if broken(p.fgrp.get(1)):
            return
    except errors.Ebadfd:
        pass
    try:
        await p.print(text + "\n", 2)
    except OSError:
        pass
