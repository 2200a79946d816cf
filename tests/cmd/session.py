"""A shell without a language: runs one command as a shell would, and keeps what it writes.

The world is that of the kernel's tests: `#/` as root and a memfs on /mnt. Standard input, output and
error are files of a memfs of their own.
"""

from __future__ import annotations

from typing import NamedTuple

from nsh import cmd
from nsh.kern.proc import RFCFDG, Proc
from nsh.p9.const import DMDIR, ORDWR
from nsh.p9.stat import Dir
from tests.kern.world import world


class Result(NamedTuple):
    """What a command wrote to standard output and to standard error, and its exit status."""

    out: str
    err: str = ""
    status: str = ""


class Session:
    """Runs commands as processes of ``p``."""

    def __init__(self, p: Proc) -> None:
        self.p = p
        self._files = p.fork(RFCFDG)
        self._count = 0

    async def run(self, *argv: str, stdin: bytes = b"") -> Result:
        """Run a command to its end."""
        q = self.p.fork(RFCFDG)
        q.args = list(argv)
        self._count += 1
        names = [f"#Rstdio/{self._count}.{fd}" for fd in range(3)]
        for name in names:
            await q.create(name, ORDWR, 0o666)
        await q.write(0, stdin)
        await q.seek(0, 0)
        q.start(lambda q: cmd.run(cmd.find(argv[0]), q, list(argv)))
        status = await q.wait()
        out, err = [
            (await self._files.readfile(name)).decode("utf-8", "surrogateescape") for name in names[1:]
        ]
        return Result(out, err, status)

    async def out(self, *argv: str, stdin: bytes = b"") -> str:
        """What a command writes that is to succeed and to complain of nothing."""
        result = await self.run(*argv, stdin=stdin)
        assert (result.err, result.status) == ("", ""), result
        return result.out


async def session(*names: str) -> Session:
    """A session in a world where ``names`` were made below /mnt, in which it stands."""
    p = await world(*names)
    await p.chdir("/mnt")
    await p.wstat("#Rstdio", Dir.dont_touch(mode=DMDIR | 0o777))  # whoever runs the command
    return Session(p)
