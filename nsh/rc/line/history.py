"""What was typed: the history file, which all sessions of a user share.

The file has an entry a line, each a JSON object::

    {"time":1732880000.123,"duration":0.012,"status":"","dir":"/tmp","text":"echo hello"}

``time`` (seconds since 1970) is when the command began, ``duration`` is in seconds, ``status`` is its status
in the end, ``dir`` was the current directory. An entry is written when its command is over, in one write at
the end of the file, so that sessions do not disturb each other; each looks before it prompts for what others
have added. The history files of prompt_toolkit, as nsh once wrote them, are understood as well. A line that
is neither is skipped.

Of a large file the last `LARGEST` bytes are read, from the end backwards: what is new is there first.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from nsh import xdg
from nsh.dev.patience import Place, patiently

LARGEST = 4 << 20
"""Bytes of the file, counted from its end, that are read; some 30,000 entries."""

BLOCK = 1 << 17
"""Bytes that are read and understood at a time."""

PATIENCE = 1.0
"""Seconds that the file may take; if it takes longer nothing more is kept there."""

_begins = re.compile(rb"^(?:\{|# )", re.MULTILINE)
"""Where an entry begins in the file, of this format or of the old one."""


class Entry(NamedTuple):
    """A command that was typed. ``status``: '' for success; ``duration``: seconds; None where not known."""

    text: str
    time: float = 0.0
    directory: str = ""
    status: str | None = None
    duration: float | None = None


class _Known(NamedTuple):
    """How much of the file is known: which file it was (device and inode), and up to where."""

    file: tuple[int, int] = (0, 0)
    size: int = 0


class History:
    """The commands of all sessions, and those of this one.

    ``entries`` has all that is known, the oldest first; ``own`` what this session has added. Without a path,
    or with one that cannot be used, this session remembers its own and no more; ``trouble`` then says why.
    The file is only touched by threads, since the file system that it is on may not answer, or be our own.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.own: list[Entry] = []
        self.trouble = ""
        self._running: Entry | None = None
        self._known = _Known()
        self._place = Place("history")

    async def _ask(self, call: Callable[[str, _Known], tuple[_Known, list[Entry]]]) -> None:
        """Have something done with the file, and take in what comes of it."""
        if self.path is None:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                self._known, found = await patiently(self._place, partial(call, self.path, self._known))
        except TimeoutError:
            self.trouble, self.path = f"{self.path}: does not answer", None
        except OSError as e:
            self.trouble, self.path = f"{self.path}: {e.strerror}", None
        else:
            self.entries += found

    # --- reading -------------------------------------------------------------------------------

    async def open(self) -> None:
        """See to it that the file is there, and that nobody else can read it."""
        await self._ask(_open)
        if self._known == _Known():  # a link to /dev/null, say, of one who wants nothing kept
            self.path = None

    async def load(self) -> None:
        """Read what there was when the file was opened, a block after the other."""
        if self.path is None:
            return
        blocks = _blocks(self.path, self._known.size)
        while (block := await patiently(self._place, partial(next, blocks, None))) is not None:
            self.entries[:0] = block

    async def refresh(self) -> None:
        """Take in what other sessions have written since the last look."""
        await self._ask(_news)

    # --- writing -------------------------------------------------------------------------------

    def begin(self, text: str, directory: str) -> None:
        """A command was typed and is about to run. One that begins with a blank is not kept."""
        text = text.rstrip("\n")
        private = not text or text[0].isspace()
        self._running = None if private else Entry(text, round(time.time(), 3), directory)

    async def end(self, status: str, duration: float) -> None:
        """The command that ran is over: keep it."""
        if self._running is None:
            return
        entry = self._running._replace(status=status, duration=round(duration, 3))
        self._running = None
        await self._ask(partial(_append, line(entry)))
        self.own.append(entry)
        self.entries.append(entry)

    # --- asking --------------------------------------------------------------------------------

    def latest(self) -> Iterator[Entry]:
        """All entries, what this session typed last before everything else. Those come a second time.

        It is as they are now: entries may be added meanwhile, before and behind.
        """
        yield from self.own[::-1]
        yield from self.entries[::-1]

    def matching(self, words: Iterable[str]) -> Iterator[Entry]:
        """The entries that have all ``words`` in any order, each text once, the latest first."""
        wanted = containing(words)
        seen = set()
        for entry in reversed(self.entries):
            if entry.text not in seen and wanted(entry.text):
                seen.add(entry.text)
                yield entry


def containing(words: Iterable[str]) -> Callable[[str], bool]:
    """A function that tells whether a text has all these words. One in lower case stands for both cases."""
    plain: list[str] = []
    lower: list[str] = []
    for word in words:
        (lower if word == word.lower() else plain).append(word)

    def contains(text: str) -> bool:
        folded = text.lower()
        return all(word in folded for word in lower) and all(word in text for word in plain)

    return contains


def path() -> str:
    """The history file of the user."""
    return os.path.join(xdg.base("XDG_STATE_HOME", ".local/state"), "nsh", "history")


# --- the file ------------------------------------------------------------------------------------


def _open(path: str, known: _Known) -> tuple[_Known, list[Entry]]:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return known, []
        if info.st_mode & 0o077:
            os.fchmod(fd, 0o600)
        return _Known((info.st_dev, info.st_ino), info.st_size), []
    finally:
        os.close(fd)


def _blocks(path: str, end: int) -> Iterator[list[Entry]]:
    """The entries before ``end``, in blocks from there backwards."""
    stop, rest = max(0, end - LARGEST), b""
    try:
        with open(path, "rb") as file:
            while end > stop:
                begin = max(stop, end - BLOCK)
                file.seek(begin)
                data = file.read(end - begin) + rest
                # what stands before the first entry that begins here belongs to one that begins before
                found = _begins.search(data, data.find(b"\n") + 1 if begin else 0)
                at = found.start() if found else len(data)
                rest = data[:at]
                yield parse(data[at:])
                end = begin
    except OSError:
        return  # what has been read is better than nothing


def _news(path: str, known: _Known) -> tuple[_Known, list[Entry]]:
    """What others have written."""
    try:
        with open(path, "rb") as file:
            return _between(file.fileno(), known, os.fstat(file.fileno()).st_size)
    except OSError:
        return known, []  # it may be back the next time


def _append(data: bytes, path: str, known: _Known) -> tuple[_Known, list[Entry]]:
    """Write a line at the end, and take in what others have written before it."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":  # a write was cut short, perhaps by a full disk
            data = b"\n" + data
        os.write(fd, data)
        end = os.lseek(fd, 0, os.SEEK_CUR)
        known, found = _between(fd, known, end - len(data))
        return known._replace(size=end), found
    finally:
        os.close(fd)


def _between(fd: int, known: _Known, end: int) -> tuple[_Known, list[Entry]]:
    """What stands in the file from where it is known up to ``end``."""
    info = os.fstat(fd)
    file = (info.st_dev, info.st_ino)
    if (
        file != known.file or known.size >= end
    ):  # there is nothing new, or this is not the file that was known
        return _Known(file, end), []
    begin = max(known.size, end - LARGEST)
    data = os.pread(fd, end - begin, begin)
    end = begin + data.rfind(b"\n") + 1
    return _Known(file, end), parse(data[: end - begin])


# --- the formats ---------------------------------------------------------------------------------


def parse(data: bytes) -> list[Entry]:
    """The entries in a part of the file that begins with one."""
    entries = []
    old: Entry | None = None
    for raw in data.split(b"\n"):
        if raw.startswith(b"+"):
            if old is not None:
                text = raw[1:].decode("utf-8", "surrogateescape")
                old = old._replace(text=f"{old.text}\n{text}" if old.text else text)
            continue
        if old is not None and old.text:
            entries.append(old)
        old = None
        if raw.startswith(b"{"):
            entry = _entry(raw)
            if entry is not None:
                entries.append(entry)
        elif raw.startswith(b"# "):
            old = Entry("", _old_time(raw[2:].decode("ascii", "replace")))
    if old is not None and old.text:
        entries.append(old)
    return entries


def _entry(raw: bytes) -> Entry | None:
    """The entry of a line; None when that is damaged."""
    import json

    try:
        found = json.loads(raw.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    text, directory, status = (found.get(key) for key in ("text", "dir", "status"))
    if not isinstance(text, str) or not text:
        return None
    return Entry(
        sys.intern(text),  # most of it has been typed before
        _seconds(found.get("time")) or 0.0,
        sys.intern(directory) if isinstance(directory, str) else "",
        sys.intern(status) if isinstance(status, str) else None,
        _seconds(found.get("duration")),
    )


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e11 else None


def _old_time(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def line(entry: Entry) -> bytes:
    """An entry as it stands in the file."""
    import json

    fields = {
        "time": entry.time,
        "duration": entry.duration,
        "status": entry.status,
        "dir": entry.directory,
        "text": entry.text,
    }
    separators = (",", ":")
    try:
        return json.dumps(fields, separators=separators, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # there are bytes in it that are no UTF-8
        return json.dumps(fields, separators=separators).encode() + b"\n"
