"""A small world for the tests of the kernel: `#/` as root, a memfs on /mnt, and a few directories in it."""

from __future__ import annotations

from nsh.dev import TABLE
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import Proc, System, current
from nsh.p9.const import DMDIR, OREAD, OWRITE


async def world(*names: str) -> Proc:
    """A process in a fresh system; ``names`` are made below /mnt, those that end in / as directories."""
    p = await System(TABLE, eve="eve").boot()
    current.set(p)
    await p.bind("#R", "/mnt", MREPL | MCREATE)
    for name in names:
        await make(p, "/mnt/" + name)
    return p


async def make(p: Proc, name: str, text: str | None = None) -> None:
    """Make a directory (a name that ends in /) or a file, which holds its own last element."""
    if name.endswith("/"):
        p.close(await p.create(name, OREAD, DMDIR | 0o777))
        return
    fd = await p.create(name, OWRITE, 0o666)
    await p.write(fd, (text if text is not None else name.rsplit("/", 1)[1]).encode())
    p.close(fd)


async def listing(p: Proc, name: str) -> list[str]:
    """The names in a directory, as it gives them."""
    return [d.name for d in await p.readdir(name)]


async def content(p: Proc, name: str) -> str:
    return (await p.readfile(name)).decode()


async def failure(work: object) -> str:
    """The text of the error that awaiting ``work`` raises."""
    try:
        await work  # type: ignore[misc]
    except OSError as e:
        return str(e)
    raise AssertionError("no error")
