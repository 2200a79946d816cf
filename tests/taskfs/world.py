"""What the tests of taskfs share: a kernel with the device in it, used as a shell would use it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from nsh.boot import boot
from nsh.dev import TABLE
from nsh.kern.proc import Proc, current
from taskfs.dev import TaskDevice

T = TypeVar("T")

SESSION_FILES = ["args", "ctl", "env", "ns", "status", "stderr", "stdin", "stdio", "stdout", "wait"]


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that nobody reports; the limit of the test is the limit here."""
    pause = 0.0
    while not true():
        await asyncio.sleep(pause)
        pause = min(pause + 0.001, 0.02)


class World:
    """A process with the name space of a fresh nsh, and the words of a shell."""

    def __init__(self, p: Proc) -> None:
        self.p = p
        self.device = cast(TaskDevice, p.system.device("T"))

    async def on_behalf_of(self, p: Proc, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, done with ``p`` as the current process."""
        context = contextvars.copy_context()
        context.run(current.set, p)
        return await asyncio.get_running_loop().create_task(work, context=context)

    async def cat(self, name: str) -> str:
        return (await self.p.readfile(name)).decode()

    async def echo(self, text: str, name: str) -> None:
        await self.p.writefile(name, text.encode() + b"\n")

    async def ls(self, name: str) -> list[str]:
        return sorted(entry.name for entry in await self.p.readdir(name))

    async def clone(self) -> str:
        """The directory of a new session."""
        return f"/task/remote/{await self.cat('/task/remote/clone')}"

    async def team(self, n: int, *messages: str) -> str:
        """The directory of a new session with ``n`` children, after these control messages."""
        session = await self.clone()
        for message in (f"res {n}", *messages):
            await self.echo(message, f"{session}/ctl")
        return session

    async def refusal(self, text: str, name: str) -> str:
        """The error that writing ``text`` to ``name`` gives; '' if it gives none."""
        try:
            await self.echo(text, name)
        except OSError as e:
            return str(e)
        return ""


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A `World`; at the end the shell exits, and what it left running is waited for."""
    w = World(await boot({**TABLE, "T": TaskDevice}))
    token = current.set(w.p)
    try:
        yield w
    finally:
        w.p.exit()
        await w.device.settled()
        current.reset(token)
