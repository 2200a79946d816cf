"""What a name space costs: resolving names, forking it, listing unions, as it grows.

Nothing but the size differs between a figure and its yardstick. CPU time, as nothing here waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from nsh.kern.mnt import MAFTER, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import RFNAMEG, Proc
from tests.bench.table import Row, Target, side_by_side
from tests.kern.world import make, world

FEW = 10
MANY = 10_000
DIRECTORIES = 100
FILES = 1_000

Work = Callable[[], Awaitable[object]]


def bench(
    few: int = FEW, many: int = MANY, directories: int = DIRECTORIES, files: int = FILES
) -> Iterator[Row]:
    """Names and forks with ``few`` and ``many`` mounts; unions of so many ``directories`` of ``files``."""
    yield from asyncio.run(_mounts(few, many))
    yield asyncio.run(_unions(directories, files))


async def _mounts(few: int, many: int) -> list[Row]:
    small, large = await _mounted(few), await _mounted(many)
    base, figure = await side_by_side([_resolving(small), _resolving(large)], [1000, 1000])
    rows = [_row("resolve a name", few, base, many, figure, Target("ratio", most=1.2))]
    base, figure = await side_by_side([_forking(small), _forking(large)], [1000, 1000])
    rows.append(_row("fork a name space", few, base, many, figure, Target("figure", most=1e-3)))
    base, figure = await side_by_side([_changing(small), _changing(large)], [100, 10])
    rows.append(_row("the first bind after a fork", few, base, many, figure))
    return rows


def _row(what: str, few: int, base: float, many: int, figure: float, target: Target | None = None) -> Row:
    return Row(f"{what}, {many:,} binds", figure, f"the same, {few:,} binds", base, "us", target)


async def _mounted(count: int) -> Proc:
    """A name space with ``count`` binds that have nothing to do with /mnt/u, which is a union itself."""
    p = await world("a/", "a/b/", "a/b/c/", "a/b/c/f", "d/", "u/", "x/")
    await p.bind("/mnt/a", "/mnt/u", MREPL)
    await p.bind("/mnt/d", "/mnt/u", MAFTER)
    for i in range(count):
        await make(p, f"/mnt/x/{i}/")
        await p.bind("/mnt/d", f"/mnt/x/{i}", MREPL)
    return p


def _resolving(p: Proc) -> Work:
    return lambda: namec(p, "/mnt/u/b/c/f", Access.ACCESS)


def _forking(p: Proc) -> Work:
    async def fork() -> None:
        p.fork(RFNAMEG).exit()

    return fork


def _changing(p: Proc) -> Work:
    async def change() -> None:
        child = p.fork(RFNAMEG)
        await child.bind("/mnt/d", "/mnt/a", MREPL)
        child.exit()

    return change


async def _unions(directories: int, files: int) -> Row:
    """Listing a union, the time for each entry, against one with a tenth of the directories."""
    p = await world("large/", "small/", *(f"{i}/" for i in range(directories)))
    tenth = max(1, directories // 10)
    for i in range(directories):
        for j in range(files):
            await make(p, f"/mnt/{i}/file-{j}", "")
        await p.bind(f"/mnt/{i}", "/mnt/large", MAFTER if i else MREPL)
        if i < tenth:
            await p.bind(f"/mnt/{i}", "/mnt/small", MAFTER if i else MREPL)
    works: list[Work] = [lambda: p.readdir("/mnt/small"), lambda: p.readdir("/mnt/large")]
    base, figure = await side_by_side(works, [10, 1], rounds=5)
    return Row(
        f"list a union of {directories} x {files:,} files, per file",
        figure / (directories * files),
        f"the same, {tenth} x {files:,}",
        base / (tenth * files),
        "us",
        Target("ratio", most=1.2),
    )
