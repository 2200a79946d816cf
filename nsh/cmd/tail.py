"""tail: print the end of a file, or everything from some place on, and what is added to it."""

from __future__ import annotations

import asyncio
import re

from nsh.cmd import complain
from nsh.cmd.arg import Usage
from nsh.cmd.files import READSIZE
from nsh.kern.proc import Proc

USAGE = "[-n N] [-c N] [-f] [-r] [+-N[bc][fr]] [file]"
INTERVAL = 0.5
"""Seconds between two looks at a file that is followed."""

_OLD = re.compile(r"([+-]?)(\d+)([lbc]?)([rf]*)")
_NUMBER = re.compile(r"([+-]?)(\d+)")


class Wrong(Exception):
    """The options contradict each other; the text says how."""


class Request:
    """What is asked for. ``count``: lines, or bytes; None: nothing was said."""

    def __init__(self, args: list[str]) -> None:
        """Raises `Usage` and `Wrong`."""
        self.count: int | None = None
        self.from_start = self.bytes = self.reverse = self.follow = False
        args = list(args)
        while args and self._option(args):
            pass
        if len(args) > 1:
            raise Usage(USAGE)
        self.file = args[0] if args and args[0] != "-" else ""
        if self.reverse and (self.bytes or self.follow or self.from_start):
            raise Wrong("incompatible options")

    def _option(self, args: list[str]) -> bool:
        """Take one option off ``args``; False: there is none any more."""
        if old := _OLD.fullmatch(args[0]):
            del args[0]
            sign, number, unit, flags = old.groups()
            self._number(sign, int(number) * (1024 if unit == "b" else 1))
            self.bytes = unit in ("b", "c")
            self.reverse |= "r" in flags
            self.follow |= "f" in flags
            return True
        if not args[0].startswith("-") or args[0] == "-":
            return False
        letters = args.pop(0)[1:]
        if letters == "-":
            return False
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "cn":
                self.bytes |= letter == "c"
                number = _NUMBER.fullmatch(letters or (args.pop(0) if args else ""))
                if number is None:
                    raise Usage(USAGE)
                self._number(number[1], int(number[2]))
                break
            if letter not in "rf":
                raise Usage(USAGE)
            self.reverse |= letter == "r"
            self.follow |= letter == "f"
        return True

    def _number(self, sign: str, count: int) -> None:
        if self.count is not None:
            raise Wrong("excess option")
        self.count, self.from_start = count, sign == "+"


async def main(p: Proc, argv: list[str]) -> str:
    name = "<stdin>"
    try:
        request = Request(argv[1:])
        if not request.file:
            await Tail(p, 0, request).run()
            return ""
        name = request.file
        fd = await p.open(name)
        try:
            await Tail(p, fd, request).run()
        finally:
            p.close(fd)
    except Wrong as e:
        return await _fail(p, str(e))
    except OSError as e:
        return await _fail(p, f"{name}: {e}")
    return ""


async def _fail(p: Proc, text: str) -> str:
    await complain(p, f"tail: {text}")
    return "error"


class Tail:
    """Prints what was asked for of the open file ``fd``."""

    def __init__(self, p: Proc, fd: int, request: Request) -> None:
        self._p = p
        self._fd = fd
        self._request = request

    async def run(self) -> None:
        request = self._request
        if request.from_start:
            await self._skip(request.count or 0)
            await self._copy()
        elif request.reverse:
            everything = request.count is None
            data = await (self._p.readall(self._fd) if everything else self._end(request.count or 0))
            await self._p.write(1, reversed_lines(data))
        else:
            data = await self._end(10 if request.count is None else request.count)
            if data:
                await self._p.write(1, data)
        if request.follow:
            await self._follow()

    async def _skip(self, count: int) -> None:
        """Pass over ``count`` bytes, or to line ``count``, of which the first is 1."""
        if self._request.bytes:
            while count > 0 and (data := await self._p.read(self._fd, min(count, READSIZE))):
                count -= len(data)
            return
        lines = max(count - 1, 0)
        while lines and (data := await self._p.read(self._fd, READSIZE)):
            *passed, rest = data.split(b"\n", lines)
            lines -= len(passed)
            if not lines and rest:
                await self._p.write(1, rest)

    async def _end(self, count: int) -> bytes:
        """The last ``count`` lines or bytes."""
        if self._request.file and (length := (await self._p.fstat(self._fd)).length) > READSIZE:
            await self._p.seek(self._fd, await self._near_end(count, length))
        kept: list[bytes] = []
        size, limit = 0, READSIZE
        while data := await self._p.read(self._fd, READSIZE):
            kept.append(data)
            size += len(data)
            if size > limit:
                kept = [self._last(b"".join(kept), count)]
                size = len(kept[0])
                limit = 2 * size + READSIZE
        return self._last(b"".join(kept), count)

    async def _near_end(self, count: int, length: int) -> int:
        """From where on a file of ``length`` bytes has at least ``count`` lines or bytes, if it has."""
        if self._request.bytes:
            return max(length - count, 0)
        start, lines = length, 0
        while start > 0 and lines <= count:
            size = min(READSIZE, start)
            start -= size
            lines += (await self._p.pread(self._fd, size, start)).count(b"\n")
        return start

    def _last(self, data: bytes, count: int) -> bytes:
        if self._request.bytes:
            return data[max(len(data) - count, 0) :]
        return last_lines(data, count)

    async def _copy(self) -> None:
        while data := await self._p.read(self._fd, READSIZE):
            await self._p.write(1, data)

    async def _follow(self) -> None:
        """Print what is added, for ever; a file that became shorter is read from its beginning again."""
        length = 0
        while True:
            before, length = length, (await self._p.fstat(self._fd)).length
            if length < before:
                await self._p.seek(self._fd, 0)
            await self._copy()
            await asyncio.sleep(INTERVAL)


def last_lines(data: bytes, count: int) -> bytes:
    """The last ``count`` lines of ``data``; what follows the last newline is a line as well."""
    start = len(data)
    for _ in range(count):
        if start == 0:
            break
        start = data.rfind(b"\n", 0, start - 1) + 1
    return data[start:]


def reversed_lines(data: bytes) -> bytes:
    """The lines of ``data``, the last one first, each with a newline."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return b"".join(line + b"\n" for line in reversed(lines))
