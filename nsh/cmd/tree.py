"""tree: draw a directory and everything below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nsh import draw
from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import Identity, compact, join, read_directory
from nsh.kern.proc import Proc
from nsh.p9.stat import Dir

USAGE = "[-ad] [-L levels] [directory ...]"
BATCH = 500
"""Lines that are written at a time."""

UNREADABLE = " [error opening dir]"
LOOP = " [recursive, not followed]"


class Level(NamedTuple):
    """A directory that is being drawn: what is left of it, and where it is drawn."""

    name: str
    entries: Iterator[tuple[Dir, bool]]
    margin: str
    file: Identity


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "adL:", USAGE)
    levels = options.value("L", "0")
    if not levels.isdecimal() or ("L" in options and int(levels) == 0):
        raise Usage(USAGE)
    drawing = Drawing(p, "a" in options, "d" in options, int(levels))
    for name in options.args or ["."]:
        await drawing.draw(name)
    await drawing.finish()
    return "errors" if drawing.failed else ""


class Drawing:
    """The tree as it grows: the lines not yet written, and the counts."""

    def __init__(self, p: Proc, hidden: bool, only_directories: bool, levels: int) -> None:
        self._p = p
        self._hidden = hidden
        self._only_directories = only_directories
        self._levels = levels
        self._lines: list[str] = []
        self._directories = self._files = 0
        self.failed = False

    async def draw(self, name: str) -> None:
        """Draw the tree of one directory."""
        try:
            stack = [await self._level(name, "")]
        except OSError:
            self.failed = True
            self._lines.append(name + UNREADABLE)
            return
        self._lines.append(name)
        while stack:
            entry, last = next(stack[-1].entries, (None, False))
            if entry is None:
                stack.pop()
                continue
            await self._draw_entry(entry, last, stack)
            if len(self._lines) >= BATCH:
                await self._write()

    async def _draw_entry(self, d: Dir, last: bool, stack: list[Level]) -> None:
        level = stack[-1]
        before, margin = draw.branch(level.margin, last)
        note = ""
        if not d.isdir:
            self._files += 1
        else:
            self._directories += 1
            if not self._levels or len(stack) < self._levels:
                note = await self._descend(join(level.name, d.name), margin, stack)
        self._lines.append(f"{before}{d.name}{note}")

    async def _descend(self, name: str, margin: str, stack: list[Level]) -> str:
        """Go on with the directory ``name``; returns what is to be said when that is not possible."""
        try:
            level = await self._level(name, margin)
        except OSError:
            return UNREADABLE
        if any(level.file == above.file for above in stack):
            return LOOP
        stack.append(level)
        return ""

    async def _level(self, name: str, margin: str) -> Level:
        file, entries = await read_directory(self._p, name)
        shown = sorted((d for d in compact(entries) if self._shown(d)), key=lambda d: d.name)
        with_last = ((d, i == len(shown) - 1) for i, d in enumerate(shown))
        return Level(name, with_last, margin, file)

    def _shown(self, d: Dir) -> bool:
        return (self._hidden or not d.name.startswith(".")) and (d.isdir or not self._only_directories)

    async def _write(self) -> None:
        lines, self._lines = self._lines, []
        await self._p.print("".join(line + "\n" for line in lines))

    async def finish(self) -> None:
        """Write what is left, and the counts."""
        counts = draw.summary(self._directories, None if self._only_directories else self._files)
        self._lines += ["", counts]
        await self._write()
