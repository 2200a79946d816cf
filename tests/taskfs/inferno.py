"""A small server of Inferno's cmd(3), written by its manual page and by nothing else.

``python -m tests.taskfs.inferno DIRECTORY`` stands in DIRECTORY, prints the port at which it serves, and
ends when its standard input does. What the manual leaves open is done in the way that is hardest for a
client: what a program prints before data is opened stays in the pipe, wait tells a reader once, and who has
not opened it before exec is told nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from typing import Any

from nsh.boot import boot
from nsh.dev import TABLE
from nsh.errors import Ebadctl, Ehungup, Einuse, P9Error
from nsh.kern.chan import Chan
from nsh.kern.dev import Device, Directory, File, Text
from nsh.kern.namec import Access, namec, quote
from nsh.kern.proc import current
from nsh.kern.stream import stream
from nsh.net.dial import announce
from nsh.net.serve import Server, listen
from nsh.p9.const import ORDWR, OREAD, OWRITE

_WORD = re.compile(r"(?:[^\s']|'(?:[^']|'')*')+")


def _unquoted(quoted: re.Match[str]) -> str:
    return quoted[1].replace("''", "'")


class Conversation(Directory):
    """cmd/N: "a distinct connection to the host's command interpreter"."""

    def __init__(self, number: int) -> None:
        self.opens = 0
        self.ctl = Ctl(self)
        files = (self.ctl, Data(self, "data", 0o666), Data(self, "stderr", 0o444), Wait(self))
        super().__init__(str(number), *files, Text("status", self._status))
        self._forget()

    def _forget(self) -> None:
        self.state = "Close"
        self.wdir = os.getcwd()
        self.argv: list[str] = []
        self.nice = 0
        self.killonclose = False
        self.waiters: list[asyncio.Future[str]] = []
        self.program: asyncio.subprocess.Process | None = None

    def _status(self) -> str:
        arg0 = self.argv[0] if self.argv else ""
        return f"cmd/{self.name} {self.opens} {self.state} {quote(self.wdir)} {quote(arg0)}\n"

    def opened(self) -> None:
        self.opens += 1
        if self.state == "Close":
            self.state = "Open"

    def closed(self, ctl: bool) -> None:
        self.opens -= 1
        running = self.program is not None and self.program.returncode is None
        if running and self.program is not None and (self.opens == 0 or (ctl and self.killonclose)):
            self.program.kill()
        if self.opens == 0 and not running:
            self._forget()

    async def control(self, text: str) -> None:
        word, *args = (re.sub(r"'((?:[^']|'')*)'", _unquoted, word) for word in _WORD.findall(text))
        match word, args:
            case "dir", [wdir]:
                self.wdir = wdir
            case "nice", _:
                self.nice = int(args[0]) if args else 1
            case "killonclose", []:
                self.killonclose = True
            case "kill", []:
                if self.program is None or self.program.returncode is not None:
                    raise P9Error("not started")
                self.program.kill()
            case "exec", [_, *_]:
                await self._exec(args)
            case _:
                raise Ebadctl(f'unknown control message "{text.strip()}"')

    async def _exec(self, argv: list[str]) -> None:
        if self.argv:
            raise Einuse()
        self.argv, self.state = argv, "Execute"
        pipe = asyncio.subprocess.PIPE
        try:
            self.program = await asyncio.create_subprocess_exec(
                *argv, cwd=self.wdir, stdin=pipe, stdout=pipe, stderr=pipe
            )
        except OSError as e:
            self.state = "Done"
            raise P9Error(e.strerror or "") from None
        asyncio.get_running_loop().create_task(self._wait(self.program))

    async def _wait(self, program: asyncio.subprocess.Process) -> None:
        began = time.monotonic()
        code = await program.wait()
        self.state = "Done"
        why = "" if code == 0 else f"status {code}" if code > 0 else "killed"
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(
                    f"{program.pid} 0 0 {round((time.monotonic() - began) * 1000)} {quote(why)}"
                )
        if self.opens == 0:
            self._forget()


class Ctl(File):
    def __init__(self, conversation: Conversation) -> None:
        super().__init__("ctl", 0o666)
        self.conversation = conversation

    def open(self, c: Chan, mode: int) -> None:
        self.conversation.opened()

    def close(self, c: Chan) -> None:
        self.conversation.closed(ctl=True)

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self.conversation.name.encode()[offset : offset + count]

    async def write(self, c: Chan, data: bytes, offset: int) -> int:
        await self.conversation.control(bytes(data).decode())
        return len(data)


class Data(File):
    """data and stderr; data "must be opened separately for reading and for writing"."""

    def __init__(self, conversation: Conversation, name: str, perm: int) -> None:
        super().__init__(name, perm)
        self.conversation = conversation

    def open(self, c: Chan, mode: int) -> None:
        if mode & 3 == ORDWR:
            raise P9Error("data must be opened separately for reading and for writing")
        c.mode = mode
        self.conversation.opened()

    def close(self, c: Chan) -> None:
        program = self.conversation.program
        if program is not None and program.stdin is not None and c.mode & 3 == OWRITE:
            program.stdin.close()
        self.conversation.closed(ctl=False)

    async def read(self, c: Chan, count: int, offset: int) -> bytes:
        program = self.conversation.program
        pipe = None if program is None else program.stderr if self.name == "stderr" else program.stdout
        return b"" if pipe is None or c.mode & 3 != OREAD else await pipe.read(count)

    async def write(self, c: Chan, data: bytes, offset: int) -> int:
        program = self.conversation.program
        if program is None or program.stdin is None or program.stdin.is_closing():
            raise Ehungup()
        try:
            program.stdin.write(bytes(data))
            await program.stdin.drain()
        except ConnectionError:
            raise Ehungup() from None
        return len(data)


class Wait(File):
    """wait "must be opened before starting a command"; then one read gives one line."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__("wait", 0o444)
        self.conversation = conversation

    def open(self, c: Chan, mode: int) -> None:
        self.conversation.opened()
        if self.conversation.argv:
            return
        c.dirpos = asyncio.get_running_loop().create_future()
        self.conversation.waiters.append(c.dirpos)

    def close(self, c: Chan) -> None:
        self.conversation.closed(ctl=False)

    async def read(self, c: Chan, count: int, offset: int) -> bytes:
        told, c.dirpos = c.dirpos, None
        return b"" if told is None else (await told).encode()[:count]


class Clone(File):
    def __init__(self) -> None:
        super().__init__("clone", 0o666)

    def open(self, c: Chan, mode: int) -> None:
        top: Any = self.parent
        free = next((e for e in top.entries() if isinstance(e, Conversation) and e.opens == 0), None)
        if free is None:
            free = Conversation(len(top.entries()) - 1)
            top.add(free)
        free.ctl.open(c, mode)
        c.aux, c.qid = free.ctl, free.ctl.qid


class InfernoDevice(Device):
    """`#C`, in place of ours."""

    letter, name = "C", "cmd"

    def tree(self) -> Directory:
        return Directory("#C", Directory("cmd", Clone()))


async def main(directory: str) -> None:
    os.chdir(directory)
    p = await boot({**TABLE, "C": InfernoDevice})
    current.set(p)
    root = await namec(p, "#C", Access.TODIR)
    listener = await announce(p.system, "tcp!127.0.0.1!0")

    async def welcome(q: Any, connection: Chan) -> None:
        Server(q, root, stream(connection))

    listen(p, ["listener"], listener, welcome)
    print(listener.address.service, flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
