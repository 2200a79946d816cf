"""Hosts for tests of the commands that use taskfs: each a program of its own, nsh, that exports its /task."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from nsh.cmd import find
from nsh.kern.proc import Proc

TOP = Path(__file__).parents[2]
NSH = (sys.executable, "-m", "nsh")


def free_port() -> int:
    """A port of the loopback interface that nobody uses, a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
        return port


class Host:
    """A running nsh. ``address``: where it serves its /task to everybody."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.address = address
        self._process = process

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def stop(self) -> None:
        """Let it hang."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """Let it end, as with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self.running:
            self.go_on()
        await self._process.wait()


async def start(directory: Path) -> Host:
    """An nsh that stands in ``directory`` and serves until its input ends."""
    address = f"tcp!127.0.0.1!{free_port()}"
    os.mkdir(directory)
    process = await asyncio.create_subprocess_exec(
        *NSH, "-c", f"styxlisten -A {address} export /task; echo up; cat",
        cwd=directory, env={**os.environ, "PYTHONPATH": str(TOP)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    return Host(process, address)


@asynccontextmanager
async def hosts(directory: Path, count: int) -> AsyncIterator[list[Host]]:
    """So many hosts."""
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(*(start(directory / f"host{n}") for n in range(1, count + 1)))
        for host in started:
            stack.push_async_callback(host.end)
        yield list(started)


async def mount(p: Proc, some: list[Host]) -> None:
    """Mount hosts as host1, host2, ..."""
    for n, host in enumerate(some, 1):
        await find("mount")(p, ["mount", "-A", host.address, f"/remote/host{n}"])


async def unmount(p: Proc, some: list[Host]) -> None:
    for n in range(1, len(some) + 1):
        await p.unmount(None, f"/remote/host{n}")
