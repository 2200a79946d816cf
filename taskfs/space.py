"""Space: the name space that a task has as its file tree, where its session has lines for one.

The lines are namespace(6), and what they begin with is the name space of whoever owns the session: of its
shell, or of the nsh that exports it. How a program of the host comes to live in a name space of ours is the
business of `nsh.net.inside`. A task whose session has no lines has the host's own files, and none of this.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from typing import TYPE_CHECKING

from nsh.errors import P9Error
from nsh.kern.proc import RFCFDG, RFENVG, RFNAMEG, RFNOTEG, Proc, current
from taskfs.guard import Job

if TYPE_CHECKING:
    from nsh.net.inside import Entry

FIRST = 3
"""The number of the first descriptor that a program needs on its way into a name space."""


class Space:
    """A name space for one task. `close` it when nothing of the task is left."""

    def __init__(self, p: Proc, lines: bytes, home: str, directory: str) -> None:
        """``p``: who owns the session; ``lines``: what the session has for its tasks. They stand in
        ``directory``, if the session names one, else where the lines say, else in ``home``.
        """
        self._proc = p.fork(RFNAMEG | RFENVG | RFCFDG | RFNOTEG)
        self._proc.args = [*p.args, "ns"]
        self._lines = lines.decode("utf-8", "surrogateescape")
        self._home, self._directory = home, directory
        self._entry: Entry | None = None

    async def enter(self, job: Job) -> Job:
        """Make the name space, and of ``job`` one that runs there.

        Errors: `FileFormatError`; those of the lines, of the directory, and of the host.
        """
        context = contextvars.copy_context()
        context.run(current.set, self._proc)
        await asyncio.get_running_loop().create_task(self._build(), context=context)
        from nsh.net import inside

        environ = {**os.environb, **job.environ}
        self._entry = entry = await inside.enter(self._proc, job.argv[0], list(job.argv), environ)
        files = {number: os.dup(fd) for number, fd in enumerate(entry.files, FIRST)}
        return Job(entry.command(FIRST), "/", {}, job.nice, files=files)

    async def _build(self) -> None:
        p = self._proc
        newns = p.system.newns
        if newns is None:
            raise P9Error("ns: namespace files are not known here")
        moved = await newns(p, self._lines, "ns")
        if self._directory or not moved:
            await p.chdir(os.path.join(self._home, self._directory))

    async def begun(self) -> None:
        """Wait until the program runs that was started. Errors: why it does not."""
        assert self._entry is not None
        await self._entry.begun()

    def close(self) -> None:
        """The task is gone, or has not come to be."""
        if self._entry is not None:
            self._entry.close()
        self._proc.exit()
