"""More output than is kept: held back while nobody reads, then read to the last byte; run by test_soak.py.

``python -m tests.taskfs.stream LINES here|there [QUOTA]``: a task, here or on another host, prints that many
numbers. QUOTA: the bytes that are kept of it, where it is here, if not as many as always. Memory is that
which each of the two programs has needed at most beyond what it had before the task was started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from taskfs import spool
from tests.taskfs import host
from tests.taskfs.test_hosts import remote
from tests.taskfs.world import World, until, world

MEGABYTES = 24.0
"""Most memory that this may cost a program."""


class Memory:
    """How much memory a program has needed since this was made, in megabytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the most that it had is now what it has
        self._before = self._most()

    def _most(self) -> int:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    @property
    def more(self) -> float:
        return round((self._most() - self._before) / 1024, 1)


def expected(lines: int) -> tuple[int, int]:
    """The size and the checksum of what is printed."""
    with subprocess.Popen(["seq", str(lines)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        size = total = 0
        while data := program.stdout.read(1 << 20):
            size, total = size + len(data), zlib.crc32(data, total)
    return size, total


def written(pid: int) -> int:
    """The bytes that a process has written."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


async def stream(w: World, lines: int, pids: list[int]) -> None:
    s = await w.team(1)
    memory = [Memory(pid) for pid in pids]
    begun = time.monotonic()
    await w.echo(f"exec sh -c 'echo $$ >&2; exec seq {lines}'", f"{s}/ctl")
    fd = await w.p.open(f"{s}/stderr")
    pid = int(await w.p.read(fd))
    w.p.close(fd)
    await until(lambda: written(pid) >= spool.QUOTA)
    kept = time.monotonic()
    await asyncio.sleep(0.3)
    assert written(pid) < spool.QUOTA + (1 << 20)
    assert " Execute " in await w.cat(f"{s}/status")
    size = total = 0
    fd = await w.p.open(f"{s}/stdout")
    while data := await w.p.read(fd, 1 << 20):
        size, total = size + len(data), zlib.crc32(data, total)
    w.p.close(fd)
    read = time.monotonic()
    assert (await w.cat(f"{s}/wait")).endswith("''\n")
    assert (size, total) == expected(lines)
    print(
        f"{spool.QUOTA} bytes kept in {kept - begun:.1f} s, {size} read in {read - kept:.1f} s;"
        f" megabytes of memory, here and there: {' '.join(str(m.more) for m in memory)}",
        file=sys.stderr,
    )
    assert all(m.more < MEGABYTES for m in memory)
    await w.echo("release", f"{s}/ctl")
    await w.device.settled()


async def main(lines: int, where: str, quota: int) -> None:
    spool.QUOTA = quota
    with tempfile.TemporaryDirectory() as directory:
        async with contextlib.AsyncExitStack() as stack:
            pids = [os.getpid()]
            far = await stack.enter_async_context(remote(Path(directory))) if where == "there" else None
            w = await stack.enter_async_context(world())
            if far is not None:
                await host.mount(w.p, "far", far.port)
                pids.append(far.process.pid)
            await stream(w, lines, pids)
            if far is not None:
                await w.p.unmount(None, "/remote/far")
    print("as promised")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else spool.QUOTA))
