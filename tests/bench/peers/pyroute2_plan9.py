"""``pyroute2_plan9 PORT DIRECTORY``: the 9P server of pyroute2, with a copy of DIRECTORY in its memory."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import Any

plan9 = importlib.import_module("pyroute2.plan9.server")

QTDIR = 0x80


def fill(files: Any, directory: str, name: str) -> None:
    """Copy a directory of the host to ``name``."""
    for entry in os.scandir(directory):
        path = os.path.join(name, entry.name)
        if entry.is_dir():
            files.create(path, qtype=QTDIR)
            fill(files, entry.path, path)
        else:
            files.create(path, data=open(entry.path).read())


async def serve(port: int, directory: str) -> None:
    server = plan9.Plan9ServerSocket(address=("127.0.0.1", port))
    fill(server.filesystem, directory, "")
    await (await server.async_run())


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
