"""The same again and again, and what it leaves: nothing. Run by test_soak.py, and by hand a thousand times.

``python -m tests.taskfs.soak CYCLES on|off``: a cycle is a session that runs a task here, and one with two
resources of another host, with peers or without; each is cloned, told what to do, read and released. What
the two programs have in the end is compared with what they had after a fifth of the cycles.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from taskfs import journal
from tests.taskfs import host
from tests.taskfs.test_hosts import EMPTY, remote
from tests.taskfs.world import World, world

MEGABYTES = 6.0
"""By how much the memory of a program may vary; the log of the other host takes a part of this."""
OBJECTS = 200
"""By how many objects what we have ourselves may vary."""


class Has(NamedTuple):
    """What a program has: what is open, the programs that it has started, and its memory in megabytes."""

    descriptors: Counter[str]
    children: int
    memory: float


def has(pid: int) -> Has:
    opened, children = Counter[str](), 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists
            opened[os.readlink(f"/proc/{pid}/fd/{fd}").partition("[")[0]] += 1
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            children += Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1] == str(pid)
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Has(opened, children, round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1))


async def cycle(w: World, peers: str) -> None:
    s = await w.clone()
    await w.echo("exec cat", f"{s}/ctl")
    await w.echo("hi", f"{s}/stdin")
    assert await w.cat(f"{s}/stdout") == "hi\n"
    t = await w.team(2, f"peers {peers}")
    await w.echo("A=b", f"{t}/env")
    await w.echo("exec sh -c 'echo $A %r; echo no >&2'", f"{t}/ctl")
    assert await w.cat(f"{t}/stdout") == "b 0\nb 1\n"
    assert await w.cat(f"{t}/stderr") == "no\nno\n"
    assert (await w.cat(f"{t}/wait")).count("''") == 2
    for session in (s, t):
        await w.echo("release", f"{session}/ctl")


async def quiet(w: World) -> None:
    """Return when all that was released is gone, here and there."""
    await w.device.settled()
    while await w.ls("/remote/far/remote") != EMPTY:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    gc.collect()


async def main(cycles: int, peers: str, directory: Path) -> None:
    journal.LINES = 30  # it is bounded, but would grow for longer than this takes
    async with remote(directory) as far, world() as w:
        await host.mount(w.p, "far", far.port)
        pids = os.getpid(), far.process.pid
        for _ in range(cycles // 5):
            await cycle(w, peers)
        await quiet(w)
        objects, tasks, before = len(gc.get_objects()), len(asyncio.all_tasks()), [has(pid) for pid in pids]
        for _ in range(cycles - cycles // 5):
            await cycle(w, peers)
        await quiet(w)
        more, after = len(gc.get_objects()) - objects, [has(pid) for pid in pids]
        megabytes = [f"{was.memory}, {now.memory}" for was, now in zip(before, after, strict=True)]
        print(f"objects: {more} more; megabytes here: {megabytes[0]}, there: {megabytes[1]}", file=sys.stderr)
        assert more < OBJECTS
        assert len(asyncio.all_tasks()) == tasks
        for was, now in zip(before, after, strict=True):
            assert (now.descriptors, now.children) == (was.descriptors, was.children)
            assert now.memory < was.memory + MEGABYTES
        await w.p.unmount(None, "/remote/far")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(name)))
    print("as promised")
