"""rm: remove files, with -r directories and everything below them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from nsh import errors
from nsh.cmd.arg import parse
from nsh.cmd.files import Complaints, Identity, compact, join, read_directory
from nsh.dev.host import ask
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9.stat import Dir


class Level(NamedTuple):
    """A directory that is being emptied."""

    name: str
    entries: Iterator[Dir]
    file: Identity


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "fr", "[-fr] file ...")
    removal = Removal(p, "f" in options)
    for name in options.args:
        error = await removal.remove(name)
        if error is None:
            continue
        if "r" in options and await _is_directory(p, name) and await removal.may_empty(name, error):
            await removal.empty(name)
        else:
            await removal.complain(name, error)
    return removal.status()


async def _is_directory(p: Proc, name: str) -> bool:
    try:
        return (await p.stat(name)).isdir
    except OSError:
        return False


class Removal:
    """Removes things, and counts what could not be removed."""

    def __init__(self, p: Proc, quiet: bool) -> None:
        self._p = p
        self._quiet = quiet
        self._too_deep = False
        self._complaints = Complaints(p, "rm")

    async def remove(self, name: str) -> OSError | None:
        """Remove one file or empty directory; returns why it was not possible."""
        try:
            await self._p.remove(name)
        except OSError as e:
            return e
        return None

    async def may_empty(self, name: str, error: OSError) -> bool:
        """Is it a directory to be emptied, that was not removed because of ``error``?

        Where permission is missing it may be a symbolic link that one may not remove, and what that leads to
        must not be emptied. A server does not say whether it is one.
        """
        if not isinstance(error, PermissionError):
            return True
        try:
            c = await namec(self._p, name, Access.ACCESS)
        except OSError:
            return False
        return c.dev is not self._p.system.device("M") and not await ask(c, os.path.islink)

    async def complain(self, name: str, error: object) -> None:
        if not self._quiet:
            await self._complaints.say(f"{name}: {error}")

    def status(self) -> str:
        return self._complaints.status()

    async def empty(self, name: str) -> None:
        """Remove a directory and everything below it, as far down as names reach.

        That something is too deep down is said once, and not again of every directory above it.
        """
        self._too_deep = False
        stack: list[Level] = []
        await self._enter(name, stack)
        while stack:
            level = stack[-1]
            d = next(level.entries, None)
            if d is not None:
                path = join(level.name, d.name)
                error = await self.remove(path)
                if error is not None and d.isdir and await self.may_empty(path, error):
                    await self._enter(path, stack)
                elif error is not None:
                    await self._complain_below(path, error)
                continue
            stack.pop()
            error = await self.remove(level.name)
            if error is not None:
                await self._complain_below(level.name, error)
        if self._too_deep:
            await self.complain(name, "what is deep down in it has too long a name")

    async def _complain_below(self, name: str, error: OSError) -> None:
        if isinstance(error, errors.Enametoolong):
            self._too_deep = True
        elif not (self._too_deep and isinstance(error, errors.Enotempty)):
            await self.complain(name, error)

    async def _enter(self, name: str, stack: list[Level]) -> None:
        try:
            file, entries = await read_directory(self._p, name)
        except OSError as e:
            await self._complain_below(name, e)
            return
        if any(file == level.file for level in stack):
            await self.complain(name, "directory loop found")
            return
        stack.append(Level(name, iter(compact(entries)), file))
