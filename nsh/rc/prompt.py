"""What a shell asks with: the variables and functions by which a user says what the prompt is.

``$prompt`` has the text that asks for a command, and the one that asks for more of it. If there is a function
``prompt`` it is run before each command; it may set the variable, or print a prompt of its own.

`Plain` asks where lines cannot be edited; the line editor is `nsh.rc.repl`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from nsh.dev.hostfd import HostFdDevice
from nsh.rc.redir import Saved
from nsh.rc.source import Lines

if TYPE_CHECKING:
    from nsh.rc.run import Shell

LARGEST = 1 << 16
"""Bytes that a function may print."""

Front = Callable[[Coroutine[Any, Any, None]], Awaitable[object]]
"""Has something in front, so that the keys of the terminal end it. What goes wrong is told."""


def text(sh: Shell, inside: bool) -> str:
    """What asks for a line: ``$prompt(1)``, inside a command ``$prompt(2)``."""
    words = sh.var.get("prompt")
    return words[inside] if len(words) > inside else ""


async def printed(sh: Shell, function: str, front: Front) -> str | None:
    """What a function of the user prints, without the last newline; None if there is none, or it is ended.

    It is run in the shell itself, and leaves no status.
    """
    if function not in sh.var.functions:
        return None
    found: list[str] = []

    async def run() -> None:
        found.append(await _output(sh, function))

    status = sh.status
    await front(run())
    sh.status = status
    return found[0] if found else None


async def _output(sh: Shell, function: str) -> str:
    fd = os.memfd_create(function)  # not a pipe: what the function leaves running may keep it open
    saved = Saved(sh.proc)
    try:
        saved.put(1, HostFdDevice.of(sh.proc.system).chan(os.dup(fd), function))
        try:
            await sh.call([function])
        finally:
            saved.restore()
        return os.pread(fd, LARGEST, 0).decode("utf-8", "surrogateescape").removesuffix("\n")
    finally:
        os.close(fd)


class Plain:
    """Reads commands as lines. ``say``: prints what asks for them."""

    def __init__(self, sh: Shell, front: Front, say: Callable[[str], Awaitable[None]]) -> None:
        self._shell = sh
        self._front = front
        self._say = say
        self._lines = Lines(sh.proc)
        self._reading: asyncio.Task[str] | None = None

    async def line(self, inside: bool) -> str:
        """A line of a command with its newline; '' at the end. Raises KeyboardInterrupt; those of reading."""
        sh = self._shell
        asked = None if inside else await printed(sh, "prompt", self._front)
        await self._say(asked or text(sh, inside))
        self._reading = reading = asyncio.ensure_future(self._lines.next())
        try:
            return await reading
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                raise
        finally:
            self._reading = None
        await self._say("\n")
        raise KeyboardInterrupt

    def interrupt(self) -> None:
        """A key has been typed for which the terminal has thrown away what stood in the line."""
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """No more is read."""
