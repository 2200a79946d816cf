"""The output of many tasks, as taskfs hands it out: lines with a label in front. No command itself.

It is shown as it comes, each line with the name of its task, or kept, to be shown once for all tasks that
have printed the same.
"""

from __future__ import annotations

import functools
import os
import re
import zlib
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import hashlib

# lines in a row with the same label, which come and are dealt with together
_LABELLED = re.compile(rb"^((\S+?): ).*+\n(?:\1.*+\n)*+", re.MULTILINE)
_RANKED = re.compile(rb"^(([0-9]{1,9}): ).*+\n(?:\1.*+\n)*+", re.MULTILINE)

PIECE = 64 << 10
"""Bytes of a task's output that are kept in memory; the rest goes to a file."""
NAMES = 8192
"""Labels whose names are remembered."""

OWN, RED = 0, 31
"""Colours: a different one for each name; a number of SGR."""
_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)


class Labels:
    """Puts the name of a task in the place of the label, ``RANK: `` or ``HOST: ``, that its lines have.

    ``name``: for a label; ``colour``: of the names, None for none.
    """

    def __init__(self, name: Callable[[str], str], colour: int | None = None) -> None:
        self._name = name
        self._colour = colour
        self._named = functools.lru_cache(NAMES)(self._make)

    def __call__(self, lines: bytes) -> bytes:
        """Whole lines, with the names."""
        return _LABELLED.sub(lambda found: _relabelled(found, self._named(found[2])), lines)

    def _make(self, label: bytes) -> bytes:
        name = self._name(label.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if self._colour is None:
            return b"%b: " % name
        number = int(label[-9:]) if label.isdigit() else zlib.crc32(label)
        return b"\x1b[%dm%b:\x1b[m " % (self._colour or _COLOURS[number % len(_COLOURS)], name)


def _relabelled(found: re.Match[bytes], label: bytes) -> bytes:
    """Lines that have the same label, with another one."""
    old = found[1]
    return label + found[0][len(old) :].replace(b"\n" + old, b"\n" + label)


class Outputs:
    """What each of some tasks has printed, kept in bounded memory; digests tell which long ones are equal."""

    def __init__(self, tasks: int) -> None:
        self._tasks = tasks
        self._kept: dict[bytes, _Output] = {}
        self._file: IO[bytes] | None = None

    def add(self, lines: bytes) -> None:
        """Keep whole lines, which have ``RANK: `` in front, for their tasks. Errors: OSError, of the disk."""
        for found in _RANKED.finditer(lines):
            rank = found[2]
            output = self._kept.get(rank)
            if output is None:
                if int(rank) >= self._tasks:
                    continue
                output = self._kept[rank] = _Output()
            output.buffer += _relabelled(found, b"")
            if len(output.buffer) >= PIECE:
                self._put_away(output)

    def _put_away(self, output: _Output) -> None:
        if self._file is None:
            import tempfile

            self._file = tempfile.TemporaryFile()
        if output.digest is None:
            from hashlib import blake2b  # which takes longer to import than most commands to run

            output.digest = blake2b()
        output.digest.update(output.buffer)
        output.pieces.append((self._file.seek(0, os.SEEK_END), len(output.buffer)))
        self._file.write(output.buffer)
        output.buffer.clear()

    def groups(self) -> list[list[str]]:
        """The ranks of the tasks that have printed something, equal outputs together, most tasks first."""
        alike: dict[tuple[bool, bytes], list[str]] = {}
        for rank, output in sorted(self._kept.items(), key=lambda item: int(item[0])):
            alike.setdefault(output.identity(), []).append(rank.decode())
        return sorted(alike.values(), key=lambda ranks: -len(ranks))

    def text(self, rank: str) -> Iterator[bytes]:
        """What a task has printed, in pieces."""
        output = self._kept[rank.encode()]
        for at, size in output.pieces:
            assert self._file is not None
            self._file.seek(at)
            yield self._file.read(size)
        yield bytes(output.buffer)

    def close(self) -> None:
        """Nothing of it is wanted any more."""
        if self._file is not None:
            self._file.close()


class _Output:
    """What one task has printed: pieces of the file, as (offset, size), and then the buffer."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.pieces: list[tuple[int, int]] = []
        self.digest: hashlib.blake2b | None = None  # of what is in the file

    def identity(self) -> tuple[bool, bytes]:
        """What only equal outputs have: whether they are long, and the bytes, or their digest."""
        if self.digest is None:
            return False, bytes(self.buffer)
        whole = self.digest.copy()
        whole.update(self.buffer)
        return True, whole.digest()
