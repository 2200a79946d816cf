"""ls: list files and directories."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterable
from typing import NamedTuple

from nsh.cmd import complain
from nsh.cmd.arg import Options, parse
from nsh.cmd.files import basename, compact, join
from nsh.kern.proc import Proc
from nsh.p9.const import DMAPPEND, DMAUTH, DMDIR, DMEXCL, DMTMP, QTDIR
from nsh.p9.stat import Dir

USAGE = "[-delmnpqrstucFT] [files]"


class Entry(NamedTuple):
    """A line to be: the name to print, and the file."""

    name: str
    dir: Dir


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "cdeklmnpqrstuFT", USAGE)
    bare = "p" in options or not options.args
    lines: list[str] = []
    waiting: list[Entry] = []
    failed = False
    for name in options.args or ["."]:
        try:
            d = await p.stat(name)
            if "d" in options or not d.isdir:
                waiting.append(Entry(_file_name(name, d, bare), d))
                continue
            entries = await _entries(p, name, options, bare)
        except OSError as e:
            await complain(p, f"ls: {name}: {e}")
            failed = True
            continue
        lines += _format(_sorted(waiting, options), options)
        waiting = []
        if "l" in options:
            lines.append(f"total {sum(_kilobytes(e.dir) for e in entries)}")
        lines += _format(_sorted(entries, options), options)
    lines += _format(_sorted(waiting, options), options)
    # all in one go and at the end: complaints come first
    if lines:
        await p.print("\n".join(lines) + "\n")
    return "errors" if failed else ""


def _file_name(name: str, d: Dir, bare: bool) -> str:
    """A file is called as it was named; one that was named without a directory, as it calls itself."""
    if "/" not in name:
        return d.name
    return basename(name) if bare else name


async def _entries(p: Proc, name: str, options: Options, bare: bool) -> list[Entry]:
    entries = await p.readdir(name)
    if "c" in options:
        entries = compact(entries)
    return [Entry(d.name if bare else join(name, d.name), d) for d in entries]


# --- order -------------------------------------------------------------------------------------


def _sorted(entries: list[Entry], options: Options) -> list[Entry]:
    """In the order that the options ask for; sorting is stable, so duplicates keep theirs."""
    if "n" in options:
        return entries
    if "t" in options:  # the newest first
        times = operator.attrgetter("dir.atime" if "u" in options else "dir.mtime")
        return sorted(entries, key=lambda e: -times(e), reverse="r" in options)
    key = operator.attrgetter("dir.length" if "s" in options else "name")
    return sorted(entries, key=key, reverse="r" in options)


# --- lines -------------------------------------------------------------------------------------


def _format(entries: list[Entry], options: Options) -> list[str]:
    """The lines of some entries, their columns aligned."""
    columns: list[list[str]] = []
    if "k" in options:
        columns.append(_right(str(_kilobytes(e.dir)) for e in entries))
    if "m" in options:
        columns.append(_left(f"[{e.dir.muid}]" for e in entries))
    if "q" in options:
        vers = _right(str(e.dir.qid.vers) for e in entries)
        qids = [e.dir.qid for e in entries]
        columns.append([f"({q.path:016x} {v} {q.type:02x})" for q, v in zip(qids, vers, strict=True)])
    if "T" in options:
        columns.append(["t" if e.dir.mode & DMTMP else "-" for e in entries])
    if "l" in options:
        columns += _long(entries, options)
    columns.append([e.name + (_flag(e.dir) if "F" in options else "") for e in entries])
    return [" ".join(row) for row in zip(*columns, strict=True)]


def _long(entries: list[Entry], options: Options) -> list[list[str]]:
    """Mode, links (of which there is one), owner, group, length, time."""
    times = [e.dir.atime if "u" in options else e.dir.mtime for e in entries]
    return [
        [modes(e.dir.mode) for e in entries],
        ["1"] * len(entries),
        _left(e.dir.uid for e in entries),
        _left(e.dir.gid for e in entries),
        _right(str(e.dir.length) for e in entries),
        [str(t) if "e" in options else time.strftime("%Y-%m-%d %H:%M", time.localtime(t)) for t in times],
    ]


def modes(mode: int) -> str:
    """The mode of a file in ten letters: what it is, and what its owner, its group and others may do."""
    kinds = ((DMDIR, "d"), (DMAPPEND, "a"), (DMAUTH, "A"), (DMEXCL, "l"))
    kind = next((letter for bit, letter in kinds if mode & bit), "-")
    return kind + "".join(letter if mode >> (8 - i) & 1 else "-" for i, letter in enumerate("rwxrwxrwx"))


def _flag(d: Dir) -> str:
    if d.qid.type & QTDIR:
        return "/"
    return "*" if d.mode & 0o111 else ""


def _kilobytes(d: Dir) -> int:
    return (d.length + 1023) // 1024


def _left(words: Iterable[str]) -> list[str]:
    listed = list(words)
    width = max(map(len, listed), default=0)
    return [word.ljust(width) for word in listed]


def _right(words: Iterable[str]) -> list[str]:
    listed = list(words)
    width = max(map(len, listed), default=0)
    return [word.rjust(width) for word in listed]
