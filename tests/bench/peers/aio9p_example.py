"""``aio9p_example PORT DIRECTORY``: aio9p's example, a server in memory, with a copy of DIRECTORY.

It keeps one tree for all connections, where the example starts each attach with an empty one. Otherwise a
tree of 10,000 files could not be had: its `create` looks through all there are.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import Any

constant = importlib.import_module("aio9p.constant")
example = importlib.import_module("aio9p.example.simple")
helper = importlib.import_module("aio9p.helper")
protocol = importlib.import_module("aio9p.protocol")
stat = importlib.import_module("aio9p.stat")

MSIZE = 1 << 20


def implementation(directory: str) -> Any:
    """The example, with its tables filled as its `create` and `write` would."""
    simple = example.Simple9P2000(MSIZE)
    fill(simple, directory, example.BASEQID, "/")

    async def attach(fid: bytes, *_: object) -> Any:
        simple._fid[fid] = example.BASEQID
        return example.BASEQID

    async def version(msize: int, name: bytes) -> tuple[int, bytes]:
        return min(msize, MSIZE), name  # the example's own holds all to the first client's msize

    simple.attach, simple.version = attach, version
    return simple


def fill(simple: Any, directory: str, qid: bytes, name: str) -> None:
    """Copy a directory of the host into the tables."""
    entries: dict[bytes, bytes] = {}
    enter(simple, qid, name, constant.DMDIR | 0o777, 0)
    simple._direntry[qid] = entries
    for entry in os.scandir(directory):
        mode = constant.DMDIR if entry.is_dir() else 0
        child = helper.mkqid(mode, len(simple._stat) + 1)
        entries[entry.name.encode()] = child
        if mode:
            fill(simple, entry.path, child, entry.name)
        else:
            simple._content[child] = content = open(entry.path, "rb").read()
            enter(simple, child, entry.name, 0o666, len(content))


def enter(simple: Any, qid: bytes, name: str, mode: int, length: int) -> None:
    simple._stat[qid] = stat.Py9P2000Stat(
        p9type=0,
        p9dev=0,
        p9qid=qid,
        p9mode=mode,
        p9atime=0,
        p9mtime=0,
        p9length=length,
        p9name=name.encode(),
        p9uid=b"root",
        p9gid=b"root",
        p9muid=b"root",
    )


async def serve(port: int, directory: str) -> None:
    simple = implementation(directory)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol.Py9PServer(simple), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
