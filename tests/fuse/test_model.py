"""Random uses of files, step by step in a mount and in a directory of the host: results and errors agree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuse.mounts import ninepfuse, server

pytestmark = [pytest.mark.requires("/dev/fuse", "fusermount3"), pytest.mark.limit(120)]

NAMES = ("a", "b", "d", "d/a", "d/b", "d/b/c")
FIRST = (("mkdir", "d"), ("open", 0, "a", os.O_RDWR | os.O_CREAT), ("open", 1, "d/a", os.O_RDWR | os.O_CREAT))
"""Without these, most steps would find nothing."""

names = st.sampled_from(NAMES)
numbers = st.integers(0, 1)
data = st.binary(max_size=5000)
offsets = st.integers(0, 9000)
flags = st.sampled_from(
    [
        os.O_RDWR | os.O_CREAT,
        os.O_RDWR | os.O_CREAT | os.O_EXCL,
        os.O_RDWR | os.O_CREAT | os.O_TRUNC,
        os.O_WRONLY | os.O_CREAT | os.O_APPEND,
        os.O_RDONLY,
        os.O_RDWR,
        os.O_RDONLY | os.O_DIRECTORY,
    ]
)

steps = st.one_of(
    st.tuples(st.just("open"), numbers, names, flags),
    st.tuples(st.just("open"), numbers, names, st.just(os.O_RDWR | os.O_CREAT)),
    st.tuples(st.just("read"), numbers, st.integers(0, 9000), offsets),
    st.tuples(st.just("write"), numbers, data, offsets),
    st.tuples(st.just("append"), numbers, data),
    st.tuples(st.just("size"), numbers),
    st.tuples(st.just("ftruncate"), numbers, offsets),
    st.tuples(st.just("close"), numbers),
    st.tuples(st.just("stat"), names),
    st.tuples(st.just("listdir"), names),
    st.tuples(st.just("mkdir"), names),
    st.tuples(st.just("rmdir"), names),
    st.tuples(st.just("unlink"), names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("truncate"), names, offsets),
    st.tuples(st.just("chmod"), names, st.sampled_from([0o600, 0o640, 0o755, 0o777])),
    st.tuples(st.just("utime"), names, st.integers(1, 2**31)),
    st.tuples(st.just("link"), names, names),
)


class World:
    """What the steps do below one directory."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._open: dict[int, int] = {}

    def do(self, step: tuple[Any, ...]) -> object:
        """What came of a step: its result, or the number of the error."""
        word, *args = step
        act: Callable[..., object] = getattr(self, word)
        try:
            return act(*args)
        except OSError as e:
            return f"errno {e.errno}"
        except KeyError:
            return "not open"

    def open(self, number: int, name: str, flags: int) -> None:
        if number in self._open:
            self.close(number)
        self._open[number] = os.open(self._top / name, flags, 0o644)

    def read(self, number: int, count: int, offset: int) -> bytes:
        return os.pread(self._open[number], count, offset)

    def write(self, number: int, data: bytes, offset: int) -> int:
        return os.pwrite(self._open[number], data, offset)

    def append(self, number: int, data: bytes) -> int:
        os.lseek(self._open[number], 0, os.SEEK_END)
        return os.write(self._open[number], data)

    def size(self, number: int) -> tuple[int, int] | str:
        d = os.fstat(self._open[number])
        return "directory" if d.st_mode & 0o40000 else (d.st_size, d.st_mode)

    def ftruncate(self, number: int, length: int) -> None:
        os.ftruncate(self._open[number], length)

    def close(self, number: int) -> None:
        os.close(self._open.pop(number))

    def stat(self, name: str) -> tuple[int, int]:
        d = os.stat(self._top / name)
        return d.st_mode, 0 if d.st_mode & 0o40000 else d.st_size

    def listdir(self, name: str) -> list[str]:
        return sorted(os.listdir(self._top / name))

    def mkdir(self, name: str) -> None:
        os.mkdir(self._top / name, 0o755)

    def rmdir(self, name: str) -> None:
        os.rmdir(self._top / name)

    def unlink(self, name: str) -> None:
        os.unlink(self._top / name)

    def rename(self, old: str, new: str) -> None:
        os.rename(self._top / old, self._top / new)

    def truncate(self, name: str, length: int) -> None:
        os.truncate(self._top / name, length)

    def chmod(self, name: str, mode: int) -> None:
        # of a directory 9P passes on what it forbids to what is made there, and asks its owner, too
        os.chmod(self._top / name, mode | 0o755 if (self._top / name).is_dir() else mode)

    def utime(self, name: str, when: int) -> float:
        os.utime(self._top / name, (when, when))
        return os.stat(self._top / name).st_mtime

    def link(self, old: str, new: str) -> None:
        os.link(self._top / old, self._top / new)

    def end(self) -> list[tuple[str, bytes]]:
        """Close everything; all files and what is in them, which are removed."""
        for number in list(self._open):
            self.close(number)
        found = [(str(path.relative_to(self._top)), path.read_bytes()) for path in self._files()]
        for entry in list(self._top.iterdir()):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        return sorted(found)

    def _files(self) -> Iterator[Path]:
        return (path for path in self._top.rglob("*") if path.is_file())


def cannot_be(step: tuple[Any, ...]) -> bool:
    """Is it something that 9P has not? A move to another directory, and links."""
    word, *args = step
    return word == "link" or (word == "rename" and Path(args[0]).parent != Path(args[1]).parent)


def test_steps(tmp_path: Path) -> None:
    where, host = tmp_path / "m", tmp_path / "host"
    where.mkdir()
    host.mkdir()
    os.umask(0o022)
    with server("memfs /tmp; chmod 777 /tmp") as (address, _), ninepfuse(address, where):

        @settings(max_examples=200, suppress_health_check=list(HealthCheck))
        @given(st.lists(steps, min_size=10, max_size=60))
        def compare(script: list[tuple[Any, ...]]) -> None:
            ours, theirs = World(where), World(host)
            try:
                for step in (*FIRST, *script):
                    if not cannot_be(step):
                        assert (step, ours.do(step)) == (step, theirs.do(step))
            finally:
                assert ours.end() == theirs.end()

        compare()
