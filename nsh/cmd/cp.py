"""cp: copy files, with -r directories and everything below them."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Iterator
from typing import NamedTuple

from nsh.cmd.arg import Options, Usage, parse
from nsh.cmd.files import (
    Complaints,
    CopyError,
    Identity,
    basename,
    compact,
    copy,
    identity,
    join,
    read_directory,
)
from nsh.dev.host import ask
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9.const import DMDIR, OREAD, OWRITE
from nsh.p9.stat import Dir

USAGE = "[-gux] src target\n\tcp [-r] [-gux] src ... directory"


class Level(NamedTuple):
    """A directory that is being copied: ``entries`` are in the order of their names."""

    source: str
    target: str
    dir: Dir
    entries: Iterator[Dir]


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "rgux", USAGE)
    *sources, target = options.args or [""]
    if not sources:
        raise Usage(USAGE)
    copying = Copying(p, options)
    there = await _stat(p, target)
    if len(sources) > 1 and not (there is not None and there.isdir):
        await copying.complaints.say(f"{target}  not a directory")
    elif "r" in options:
        await copying.attempt(copying.trees(sources, target, there))
    else:
        for source in sources:
            into = there is not None and there.isdir
            await copying.attempt(copying.file(source, join(target, basename(source)) if into else target))
    return copying.complaints.status("error")


async def _stat(p: Proc, name: str) -> Dir | None:
    try:
        return await p.stat(name)
    except OSError:
        return None


async def _endless(p: Proc, name: str) -> bool:
    """Is this a FIFO or a device of the host, as far as it can be told?"""
    try:
        status = await ask(await namec(p, name, Access.ACCESS), os.stat)
        return status is not None and not stat.S_ISREG(status.st_mode)
    except OSError:
        return False


class Copying:
    """Copies things, and complains of what cannot be copied."""

    def __init__(self, p: Proc, options: Options) -> None:
        self.complaints = Complaints(p, "cp")
        self._p = p
        self._keep_time = "x" in options
        self._keep_user = "u" in options
        self._keep_group = "g" in options or self._keep_user
        self._seen: set[Identity] = set()

    async def attempt(self, part: Awaitable[None]) -> None:
        """Do a part of the work, and go on after a complaint if it fails."""
        try:
            await part
        except CopyError as e:
            await self.complaints.say(str(e))

    async def file(self, source: str, target: str) -> None:
        """Copy a file; the copy has the permissions of the original, if it is new. Raises `CopyError`."""
        p = self._p
        try:
            d = await p.stat(source)
        except OSError as e:
            raise CopyError(f"{source}: {e}") from None
        if d.isdir:
            raise CopyError(f"{source} is a directory")
        there = await _stat(p, target)
        if there is not None and identity(there) == identity(d):
            raise CopyError(f"{source} and {target} are the same file")
        try:
            reading = await p.open(source, OREAD)
        except OSError as e:
            raise CopyError(f"cannot open {source}: {e}") from None
        try:
            await self._content(reading, source, target, d)
        finally:
            p.close(reading)

    async def _content(self, reading: int, source: str, target: str, d: Dir) -> None:
        p = self._p
        try:
            writing = await p.create(target, OWRITE, d.mode & 0o777)
        except OSError as e:
            raise CopyError(f"cannot create {target}: {e}") from None
        try:
            await copy(p, reading, writing, (source, target))
            change = self._change(d)
            if change.touched():
                await p.fwstat(writing, change)
        except OSError as e:
            raise CopyError(f"can't wstat {target}: {e}") from None
        finally:
            p.close(writing)

    def _change(self, d: Dir, mode: bool = False) -> Dir:
        """The wstat that gives a copy what is to be kept of the original."""
        change = Dir.dont_touch()
        if self._keep_time:
            change = change._replace(mtime=d.mtime)
        if self._keep_time or mode:
            change = change._replace(mode=d.mode)
        if self._keep_user:
            change = change._replace(uid=d.uid)
        if self._keep_group:
            change = change._replace(gid=d.gid)
        return change

    # --- directories ---------------------------------------------------------------------------

    async def trees(self, sources: list[str], target: str, there: Dir | None) -> None:
        """Copy files and directories into ``target``, or one directory as ``target``. Raises `CopyError`."""
        if there is not None and not there.isdir:
            raise CopyError(f"{target}: destination not a directory")
        for source in sources:
            await self.attempt(self._one_of_trees(source, target, there))

    async def _one_of_trees(self, source: str, target: str, there: Dir | None) -> None:
        try:
            d = await self._p.stat(source)
        except OSError as e:
            raise CopyError(f"can't stat {source}: {e}") from None
        into = join(target, basename(source)) if there is not None else target
        if not d.isdir:
            await self.file(source, into)
        elif there is not None and identity(there) == identity(d):
            raise CopyError(f"cannot copy {source} into itself")
        else:
            await self._tree(source, into, d)

    async def _tree(self, source: str, target: str, d: Dir) -> None:
        stack: list[Level] = []
        await self._enter(stack, source, target, d)
        while stack:
            level = stack[-1]
            entry = next(level.entries, None)
            if entry is None:
                stack.pop()
                await self.attempt(self._leave(level))
                continue
            path, to = join(level.source, entry.name), join(level.target, entry.name)
            if entry.isdir:
                await self.attempt(self._enter(stack, path, to, entry))
            else:
                await self.attempt(self._below(path, to))

    async def _below(self, source: str, target: str) -> None:
        """Copy a file of a directory, where nobody asked for what has no end or waits for somebody."""
        if await _endless(self._p, source):
            raise CopyError(f"{source} is not a regular file: skipped")
        await self.file(source, target)

    async def _enter(self, stack: list[Level], source: str, target: str, d: Dir) -> None:
        """Make the directory ``target`` and go on with what is in ``source``."""
        if identity(d) in self._seen:
            raise CopyError(f"{source}: directory loop found")
        self._seen.add(identity(d))
        if await _stat(self._p, target) is not None:
            raise CopyError(f"cannot copy {source} onto another directory")
        try:
            # read first: the target may be going to be in it
            _, entries = await read_directory(self._p, source)
        except OSError as e:
            raise CopyError(f"cannot open {source}: {e}") from None
        try:
            self._p.close(await self._p.create(target, OREAD, DMDIR | 0o777))
        except OSError as e:
            raise CopyError(f"cannot make directory {target}: {e}") from None
        stack.append(Level(source, target, d, iter(sorted(compact(entries), key=lambda d: d.name))))

    async def _leave(self, level: Level) -> None:
        """A directory gets its mode when it is full: it may forbid writing."""
        try:
            await self._p.wstat(level.target, self._change(level.dir, mode=True))
        except OSError as e:
            raise CopyError(f"can't wstat {level.target}: {e}") from None
