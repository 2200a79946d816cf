"""du: how much space files and directories take."""

from __future__ import annotations

from collections.abc import Iterator

from nsh.cmd.arg import Options, Usage, parse
from nsh.cmd.files import Complaints, Identity, identity, join
from nsh.kern.proc import Proc
from nsh.p9.stat import Dir

USAGE = "[-anstu] [-b bsize] [file ...]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "anstub:", USAGE)
    account = Account(p, options)
    for name in options.args or ["."]:
        await account.total(name)
    await account.finish()
    return account.complaints.status()


class Level:
    """A directory that is being added up: ``sum`` in bytes."""

    def __init__(self, name: str, dir: Dir, entries: list[Dir]) -> None:
        self.name = name
        self.dir = dir
        self.entries: Iterator[Dir] = iter(sorted(entries, key=lambda d: d.name))
        self.sum = 0


class Account:
    """Adds up, and prints according to the options."""

    def __init__(self, p: Proc, options: Options) -> None:
        self.complaints = Complaints(p, "du")
        self._p = p
        self._names_only = "n" in options
        self._all = "a" in options or self._names_only
        self._summary = "s" in options
        self._accessed = "u" in options
        self._times = "t" in options or self._accessed
        self._block = _block_size(options.value("b", "1024"))
        self._seen: set[Identity] = set()
        self._lines: list[str] = []

    async def total(self, name: str) -> None:
        """One argument: a file, or a directory and what is below it."""
        try:
            d = await self._p.stat(name)
        except OSError as e:
            await self.complaints.say(f"can't stat {_quoted(name)}: {e}")
            return
        length = await self._directory(name, d) if d.isdir else d.length
        if not (d.isdir and self._names_only and not self._summary):
            self._report(name, d, length)

    async def _directory(self, name: str, d: Dir) -> int:
        """The bytes below a directory. A directory that was met before is not counted again."""
        stack = [Level(name, d, await self._read(name))]
        while True:
            level = stack[-1]
            entry = next(level.entries, None)
            if entry is None:
                stack.pop()
                if not stack:
                    return level.sum
                stack[-1].sum += level.sum
                if not self._summary and not self._names_only:
                    self._report(level.name, level.dir, level.sum)
                continue
            path = entry.name if level.name == "." else join(level.name, entry.name)
            if not entry.isdir:
                level.sum += entry.length
                if self._all:
                    self._report(path, entry, entry.length)
            elif identity(entry) not in self._seen:
                self._seen.add(identity(entry))
                stack.append(Level(path, entry, await self._read(path)))

    async def _read(self, name: str) -> list[Dir]:
        try:
            return await self._p.readdir(name)
        except OSError as e:
            await self.complaints.say(f"can't read {_quoted(name)}: {e}")
            return []

    def _report(self, name: str, d: Dir, length: int) -> None:
        time = d.atime if self._accessed else d.mtime
        if self._names_only:
            self._lines.append(f"{_quoted(name)} {time} {length} 0" if self._times else _quoted(name))
        elif self._times:
            self._lines.append(f"{time} {_quoted(name)}")
        else:
            self._lines.append(f"{self._kilobytes(length):<4} {_quoted(name)}")

    def _kilobytes(self, length: int) -> int:
        """``length`` in whole blocks, shown in units of 1024 bytes."""
        return -(-length // self._block) * self._block // 1024

    async def finish(self) -> None:
        """Print what was found."""
        if self._lines:
            await self._p.print("\n".join(self._lines) + "\n")


def _quoted(name: str) -> str:
    """A name as Inferno's du shows it: in quotes if it has blanks or quotes, whatever the shell may need."""
    return "'" + name.replace("'", "''") + "'" if not name or set(name) & set(" \t\n'") else name


def _block_size(text: str) -> int:
    number, unit = (text[:-1], 1024) if text.endswith("k") else (text, 1)
    if not number.isdecimal():
        raise Usage(USAGE)
    return max(int(number) * unit, 1)
