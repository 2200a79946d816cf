"""cmp: compare two files byte by byte."""

from __future__ import annotations

from nsh.cmd import complain
from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import READSIZE
from nsh.kern.proc import Proc

USAGE = "[-lsL] file1 file2 [offset1 [offset2] ]"


class ReadError(Exception):
    """A file could not be read; the text is its name."""


class Side:
    """One of the two files: ``data`` is what was read and not compared yet."""

    def __init__(self, p: Proc, fd: int, name: str) -> None:
        self._p = p
        self.fd = fd
        self.name = name
        self.data = b""

    async def fill(self) -> None:
        """Have some data, unless the file is at its end."""
        if not self.data:
            try:
                self.data = await self._p.read(self.fd, READSIZE)
            except OSError:
                raise ReadError(self.name) from None


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "lsL", USAGE)
    names, offsets = options.args[:2], options.args[2:]
    if len(names) < 2 or len(offsets) > 2 or not all(word.isdecimal() for word in offsets):
        raise Usage(USAGE)
    sides: list[Side] = []
    try:
        for name in names:
            try:
                sides.append(Side(p, await p.open(name), name))
            except OSError as e:
                await complain(p, f"cmp: can't open {name}: {e}")
                return "open"
        for i, offset in enumerate(offsets):
            try:
                await p.seek(sides[i].fd, int(offset))
            except OSError as e:
                await complain(p, f"cmp: seek by offset{i + 1} failed: {e}")
                return f"seek {i + 1}"
        comparison = Comparison(p, *sides, silent="s" in options, every="l" in options, lines="L" in options)
        return await comparison.run()
    finally:
        for side in sides:
            p.close(side.fd)


class Comparison:
    """Reads both files side by side and says where they differ."""

    def __init__(self, p: Proc, a: Side, b: Side, *, silent: bool, every: bool, lines: bool) -> None:
        self._p = p
        self._a, self._b = a, b
        self._silent, self._every, self._count_lines = silent, every, lines
        self._done = 0  # bytes compared
        self._lines = 1

    async def run(self) -> str:
        """Compare to the end, or without -l to the first difference; returns the exit status."""
        a, b = self._a, self._b
        status = ""
        try:
            while True:
                await a.fill()
                await b.fill()
                count = min(len(a.data), len(b.data))
                if count == 0:
                    break
                if a.data[:count] != b.data[:count]:
                    status = "differ"
                    if not self._every:
                        await self._first_difference()
                        return status
                    await self._every_difference(count)
                self._advance(count)
        except ReadError as e:
            await self._say(f"error on {e} after {self._done} bytes")
            return "read error"
        if a.data or b.data:
            shorter = b.name if a.data else a.name
            await self._say(f"EOF on {shorter} after {self._done} bytes")
            return "EOF"
        return status

    def _advance(self, count: int) -> None:
        a, b = self._a, self._b
        if self._count_lines:
            self._lines += a.data.count(b"\n", 0, count)
        self._done += count
        a.data, b.data = a.data[count:], b.data[count:]

    async def _first_difference(self) -> None:
        a, b = self._a, self._b
        at = next(i for i, (x, y) in enumerate(zip(a.data, b.data, strict=False)) if x != y)
        line = f" line {self._lines + a.data.count(10, 0, at + 1)}" if self._count_lines else ""
        await self._say(f"{a.name} {b.name} differ: char {self._done + at + 1}{line}")

    async def _every_difference(self, count: int) -> None:
        pairs = enumerate(zip(self._a.data[:count], self._b.data[:count], strict=True), self._done + 1)
        lines = [f"{i:6} 0x{x:02x} 0x{y:02x}" for i, (x, y) in pairs if x != y]
        await self._p.print("\n".join(lines) + "\n")

    async def _say(self, text: str) -> None:
        if not self._silent:
            await self._p.print(text + "\n")
