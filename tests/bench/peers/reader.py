"""``reader copy|file ADDRESS [NAME]``: read all there is, and print how many bytes in how many seconds.

With ``copy`` that is what `tests.bench.peers.stream` sends; with ``file`` the file NAME of a 9P server, as
any program reads it with nsh.
"""

from __future__ import annotations

import asyncio
import sys
import time

import nsh

CHUNK = 1 << 20
"""Bytes to ask for at a time."""


async def copy(address: str) -> tuple[int, float]:
    """Take bytes from a socket."""
    bytearray(1 << 24)  # as in `tests.bench.peers.canned`
    host, _, port = address.partition(":")
    start, size = time.perf_counter(), 0
    reader, writer = await asyncio.open_connection(host, int(port))
    while piece := await reader.read(CHUNK):
        size += len(piece)
    seconds = time.perf_counter() - start
    writer.close()
    await writer.wait_closed()
    return size, seconds


async def file(address: str, name: str) -> tuple[int, float]:
    """Read a file with our client."""
    async with nsh.Namespace() as ns:
        await ns.mount("tcp!" + address.replace(":", "!"), "/n/server")
        async with ns.open(f"/n/server/{name}") as f:
            start, size = time.perf_counter(), 0
            while piece := await f.read(CHUNK):
                size += len(piece)
            return size, time.perf_counter() - start


if __name__ == "__main__":
    print(*asyncio.run(copy(sys.argv[2]) if sys.argv[1] == "copy" else file(*sys.argv[2:])))
