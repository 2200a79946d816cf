"""Directories, as completion reads them: in the name space, never for long, and better late than never.

A directory that has been read before is offered as it was then when it does not answer at once. One that has
not is waited for, but no longer than `PATIENCE`, and the next key ends that (whoever waits is cancelled). A
large one is read in pieces, so that a key comes through, and only when its version is another than before.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nsh import errors
from nsh.dev.patience import Place, patiently
from nsh.p9.const import DMDIR, QTDIR
from nsh.p9.stat import unpack_dirs
from nsh.rc.find import host_directories, runnable

if TYPE_CHECKING:
    from nsh.rc.run import Shell

PATIENCE = 1.0
"""Seconds in which a directory must answer that has not been read before."""

AT_ONCE = 0.1
"""Seconds in which one must that has."""

PIECE = 8192
"""Bytes that are read at a time, some hundred entries."""

MOST = 50_000
"""Entries of a directory that are read."""

REMEMBERED = 64
"""Directories whose entries are kept."""


class Name(NamedTuple):
    """An entry of a directory."""

    name: str
    directory: bool
    runnable: bool


class Directories:
    """Reads directories for a shell. ``silent``: the last one that did not answer in time, '' for none."""

    def __init__(self, sh: Shell) -> None:
        self._shell = sh
        self._known: OrderedDict[str, tuple[int, list[Name]]] = OrderedDict()
        self._programs: dict[str, tuple[int, frozenset[str]]] = {}
        self._place = Place("$PATH")
        self.silent = ""

    async def names(self, directory: str) -> list[Name]:
        """The entries of a directory, none if there is no such thing."""
        p = self._shell.proc
        key = directory if directory.startswith(("/", "#")) else f"{p.getwd()}/{directory}"
        before = self._known.get(key)
        try:
            self._known[key] = found = await self._read(directory, before)
        except TimeoutError:
            self.silent = directory
            return before[1] if before is not None else []
        except OSError:
            self._known.pop(key, None)
            return []
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found[1]

    async def _read(self, directory: str, before: tuple[int, list[Name]] | None) -> tuple[int, list[Name]]:
        """The version and the entries. Errors: TimeoutError when nothing comes; those of open and read."""
        p, found = self._shell.proc, list[Name]()
        clock = asyncio.get_running_loop().time
        patience = PATIENCE if before is None else AT_ONCE
        async with asyncio.timeout(patience) as limit:
            fd = await p.open(directory)
            try:
                c = p.fgrp.get(fd)
                if not c.qid.type & QTDIR:
                    raise errors.Enotdir()
                version = c.qid.vers if c.union is None else 0
                if version and before is not None and version == before[0]:
                    return before
                while len(found) < MOST and (data := await p.read(fd, PIECE)):
                    for d in unpack_dirs(data):
                        found.append(Name(d.name, bool(d.mode & DMDIR), bool(d.mode & 0o111)))
                    await asyncio.sleep(0)
                    limit.reschedule(clock() + patience)
            finally:
                p.close(fd)
        return version, found

    async def programs(self) -> dict[str, str]:
        """The programs in the host's $PATH, and in which directory each is."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await patiently(self._place, partial(self._of_host, host_directories(self._shell)))
        except TimeoutError:
            return {}

    def _of_host(self, directories: list[str]) -> dict[str, str]:
        """Those in directories of the host, of which each is read again only when it has changed."""
        found: dict[str, str] = {}
        for directory in reversed(directories):
            try:
                changed = os.stat(directory).st_mtime_ns
                if self._programs.get(directory, (0, ()))[0] != changed:
                    with os.scandir(directory) as entries:
                        names = frozenset(entry.name for entry in entries if runnable(entry.path))
                    self._programs[directory] = changed, names
            except OSError:
                continue
            found.update(dict.fromkeys(self._programs[directory][1], directory))
        return found
