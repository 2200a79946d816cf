"""Paths answer as pathlib's do: of names always, of files where a name space has such a thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

import pytest

import nsh
from nsh import errors

NAMES = ["/", "/a", "/a/b.c", "/a/b.tar.gz", "/a/.rc", "/a/b."]
FILES = ["a/f.txt", "a/b/g.txt", "a/b/c/h", "i.txt"]
PATTERNS = ["*", "*.txt", "*/*", "**", "**/*.txt", "a/**/*", "a/b", "nosuch/*", "i.txt/*", "**/b/**", "[ai]*"]


@asynccontextmanager
async def memory() -> AsyncIterator[nsh.Path]:
    """An empty directory."""
    async with nsh.Namespace() as ns:
        await ns.bind("#R", "/n/mem", "c")
        yield ns.path("/n/mem")


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_taken_apart_as_in_pathlib(name: str) -> None:
    async with nsh.Namespace() as ns:
        path, pure = ns.path(name), PurePosixPath(name)
        for attribute in ("name", "stem", "suffix", "suffixes", "parts"):
            assert getattr(path, attribute) == getattr(pure, attribute), attribute
        assert [str(p) for p in path.parents] == [str(p) for p in pure.parents]
        for pattern in ("*.gz", "a/*", "/a", "b"):
            assert path.match(pattern) == pure.match(pattern)
        assert path.relative_to("/") == pure.relative_to("/")
        assert path.is_relative_to(ns.path("/a")) == pure.is_relative_to("/a")
        if pure.name:
            for change, text in (("with_name", "x.y"), ("with_stem", "x"), ("with_suffix", ".y")):
                assert str(getattr(path, change)(text)) == str(getattr(pure, change)(text))


def of_pathlib(root: Path, pattern: str) -> list[str]:
    """What pathlib finds among `FILES`, made below ``root``."""
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    found = root.glob(pattern)
    if pattern.endswith("**"):  # from Python 3.13 on that is every file, too
        found = (path for path in found if path.is_dir())
    return sorted(str(p.relative_to(root)) for p in found)


async def test_patterns_find_what_pathlib_finds(tmp_path: Path) -> None:
    async with memory() as mem:
        for directory in ("a", "a/b", "a/b/c"):
            await (mem / directory).mkdir()
        for file in FILES:
            await (mem / file).touch()
        async with mem._files.serve("tcp!127.0.0.1!0", "/n/mem") as service:
            for pattern in PATTERNS:
                want = of_pathlib(tmp_path, pattern)
                got = sorted([str(p.relative_to(mem)) async for p in mem.glob(pattern)])
                assert got == want, pattern
                assert await asyncio.to_thread(blocking, service.address, pattern) == want, pattern
        assert sorted([p.name async for p in mem.rglob("*.txt")]) == ["f.txt", "g.txt", "i.txt"]
        for pattern in ("", "/a"):
            with pytest.raises(ValueError, match="unacceptable pattern"):
                [p async for p in mem.glob(pattern)]


def blocking(address: str, pattern: str) -> list[str]:
    """The same without asyncio."""
    with nsh.sync.mount(address) as root:
        return sorted(str(p.relative_to("/")) for p in root.glob(pattern))


async def test_a_pattern_ends_where_a_directory_is_below_itself() -> None:
    async with memory() as mem:
        await (mem / "a").mkdir()
        await mem._files.bind("/n/mem", "/n/mem/a")
        assert [str(p) async for p in mem.glob("**")] == ["/n/mem"]


async def test_files_and_directories_are_made_and_removed_each_in_its_way() -> None:
    async with memory() as mem:
        f, d = mem / "f", mem / "d"
        await f.touch()
        await f.touch()
        with pytest.raises(FileExistsError):
            await f.touch(exist_ok=False)
        await d.mkdir()
        with pytest.raises(IsADirectoryError):
            await d.unlink()
        with pytest.raises(NotADirectoryError):
            await f.rmdir()
        await (d / "g").touch()
        with pytest.raises(errors.Enotempty):
            await d.rmdir()
        await (d / "g").unlink()
        await d.rmdir()
        await f.unlink()
        with pytest.raises(FileNotFoundError):
            await f.unlink()
        await f.unlink(missing_ok=True)
        assert [p async for p in mem.iterdir()] == []
