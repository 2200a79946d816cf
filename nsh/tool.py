"""The program ``9p`` of the host: ``nsh 9p ...`` anywhere, and ``9p`` where nsh is installed.

A script may call it for each line that it has to say, so it is quick to start: there is no shell, no name
space and no event loop, only a socket and the three descriptors. What that is not enough for (a trace, an
address that is no socket, one that means something else in a world with a table of its own) is done by the
command of the shell.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from nsh import errors
from nsh.cmd import ninep as command
from nsh.cmd.arg import Usage
from nsh.errors import P9Error
from nsh.kern.user import whoami
from nsh.net import sync
from nsh.net.address import address
from nsh.p9.client import Client, Op

T = TypeVar("T")


def ninep() -> int:
    """The program ``9p``."""
    return run("9p", sys.argv[1:])


def run(name: str, args: Sequence[str]) -> int:
    """Do ``9p``; returns the exit code."""
    try:
        try:
            return _finish(_run([name, *args]))
        except _Elsewhere:
            import asyncio

            return asyncio.run(_run_as_shell([name, *args]))
    except KeyboardInterrupt:
        return 130


class _Elsewhere(Exception):
    """It takes the command of the shell."""


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("it waits")


async def _run(argv: list[str]) -> int:
    p = _Program()
    try:
        status = await command.work(p, argv)
    except Usage as e:
        await p.complain(f"usage: {argv[0]} {e}")
        return 1
    except OSError as e:
        await p.complain(f"{argv[0]}: {e if isinstance(e, P9Error) else errors.from_os(e)}")
        return 1
    return 1 if status else 0


class _Program:
    """The `Caller` that a program of the host is."""

    def __init__(self) -> None:
        self._broken = False

    @property
    def user(self) -> str:
        return whoami()

    def getenv(self, name: str) -> bytes | None:
        return os.environb.get(os.fsencode(name))

    async def read(self, fd: int, count: int) -> bytes:
        while True:
            try:
                return os.read(fd, count)
            except BlockingIOError:
                _wait_for(fd, reading=True)

    async def write(self, fd: int, data: bytes) -> int:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                _wait_for(fd, reading=False)
            except BrokenPipeError:
                self._broken = self._broken or fd == 1
                raise errors.Ewclosed() from None
        return len(data)

    async def complain(self, text: str) -> None:
        """A reader that has had enough of our output is not told of it."""
        if not self._broken:
            try:
                await self.write(2, os.fsencode(f"{text}\n"))
            except OSError:
                pass

    async def call(self, where: str, aname: str, trace: bool, complaint: str) -> _Server:
        a = address(where)
        if trace or a.net not in ("unix", "tcp", "net") or (a.net != "unix" and "NSH_NDB" in os.environ):
            raise _Elsewhere
        try:
            sock = sync.dial(a)
        except OSError as e:
            raise P9Error(f"{complaint}{e}") from None
        try:
            return _Server(sync.Client(sock, aname, self.user))
        except OSError as e:
            sock.close()
            raise P9Error(f"mount: {e}") from None


def _wait_for(fd: int, reading: bool) -> None:
    """Wait until a descriptor is ready that somebody who has it, too, has told not to wait."""
    import select

    select.select([fd] if reading else [], [] if reading else [fd], [])


class _Server:
    """The `Server` behind a socket."""

    def __init__(self, client: sync.Client) -> None:
        self._sync = client
        self.client: Client = client.client
        self.root = client.root

    async def run(self, op: Op[T]) -> T:
        return self._sync.run(op)

    def close(self) -> None:
        self._sync.close()


async def _run_as_shell(argv: list[str]) -> int:
    import asyncio

    from nsh import cmd
    from nsh.boot import boot
    from nsh.dev import TABLE
    from nsh.dev.hostfd import HostFdDevice

    p = await boot(TABLE, ())
    HostFdDevice.of(p.system).inherit(p)
    try:
        status = await p.start(lambda p: cmd.run(command.main, p, argv))
        await asyncio.sleep(0)  # for what was closed last
    finally:
        p.exit()
    return 1 if status else 0
