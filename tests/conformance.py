"""What every device must do: a suite to run any tree of files through, ours or a user's.

`check_tree` needs nothing but a directory: it walks everything below it, and compares what walk, stat,
open and directory reading say. `check_files` is for trees that store files: create, write, rename,
truncate, remove. Both act as a process does, through the name space, so they test a tree over 9P as well
as one in this process. They return nothing and assert a lot.
"""

from __future__ import annotations

import pytest

from nsh import errors
from nsh.kern.chan import settle
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9.const import DMDIR, OEXCL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR
from nsh.p9.stat import Dir, unpack_dirs

DEPTH = 4
"""Levels of directories that `check_tree` goes down."""


async def check_tree(p: Proc, root: str) -> None:
    """Everything below ``root`` that can be read is consistent. Nothing is changed."""
    await _check_missing(p, root)
    pending = [(root, 0)]
    while pending:
        name, depth = pending.pop()
        try:
            entries = await p.readdir(name)
        except errors.Eperm:
            continue
        await _check_directory(p, name, entries)
        for d in entries:
            await _check_entry(p, name, d)
            if d.isdir and depth < DEPTH:
                pending.append((f"{name}/{d.name}", depth + 1))


async def _check_missing(p: Proc, root: str) -> None:
    """A name that is not there is an error that says so, in a directory as below it."""
    for name in (f"{root}/no such file", f"{root}/no such file/x"):
        with pytest.raises(FileNotFoundError):
            await p.stat(name)


async def _check_directory(p: Proc, name: str, entries: list[Dir]) -> None:
    """A directory reads the same twice, in whole entries however small the reads, and cannot be written."""
    fd = await p.open(name)
    try:
        assert (await p.fstat(fd)).isdir
        biggest = max((len(d.pack()) for d in entries), default=0)
        again: list[str] = []
        while data := await p.read(fd, biggest + 1):
            again += [d.name for d in unpack_dirs(data)]
        assert again == [d.name for d in entries]
        if entries:
            with pytest.raises(errors.Ecount):
                await p.pread(fd, 3, 0)
            first = unpack_dirs(await p.pread(fd, biggest, 0))
            assert first and first[0].name == entries[0].name, "offset 0 starts again"
        with pytest.raises(OSError):
            await p.write(fd, b"x")
    finally:
        p.close(fd)
    for mode in (OWRITE, ORDWR, OREAD | OTRUNC):
        with pytest.raises(OSError):
            await p.open(name, mode)


async def _check_entry(p: Proc, directory: str, d: Dir) -> None:
    """An entry says what stat says, and what walk says; ``..`` leads back."""
    name = f"{directory}/{d.name}"
    assert d.name and "/" not in d.name and d.name not in (".", "..")
    assert bool(d.mode & DMDIR) == bool(d.qid.type & QTDIR)
    c = await namec(p, name, Access.MOUNT)
    assert (c.qid.type, c.qid.path) == (d.qid.type, d.qid.path)
    stat = await settle(c.dev.stat(c))
    assert (stat.name, stat.qid.path, stat.uid, stat.gid) == (d.name, d.qid.path, d.uid, d.gid)
    if d.isdir:
        assert d.length == 0
        up = await namec(p, f"{name}/..", Access.MOUNT)
        assert up.same(await namec(p, directory, Access.MOUNT))
    else:
        with pytest.raises(NotADirectoryError):
            await p.stat(f"{name}/x")


async def check_files(p: Proc, root: str) -> None:
    """``root`` is an empty directory in which files can be made; it is empty again at the end."""
    for check in (_check_create, _check_data, _check_rename, _check_wstat, _check_remove, _check_orclose):
        await check(p, root)
        assert await p.readdir(root) == []


async def put(p: Proc, name: str, data: bytes = b"", perm: int = 0o666) -> None:
    """Make the file ``name`` with the content ``data``."""
    fd = await p.create(name, OWRITE, perm)
    try:
        await p.write(fd, data)
    finally:
        p.close(fd)


async def _check_create(p: Proc, root: str) -> None:
    await put(p, f"{root}/f", b"one")
    with pytest.raises(FileExistsError):
        await p.create(f"{root}/f", OWRITE | OEXCL)
    assert await p.readfile(f"{root}/f") == b"one"
    await put(p, f"{root}/f", b"2")
    assert await p.readfile(f"{root}/f") == b"2", "create truncates what is there"
    p.close(await p.create(f"{root}/d", OREAD, DMDIR | 0o755))
    assert (await p.stat(f"{root}/d")).isdir
    with pytest.raises(OSError):
        await p.create(f"{root}/e", OWRITE, DMDIR | 0o755)
    with pytest.raises(NotADirectoryError):
        await p.create(f"{root}/f/g", OWRITE)
    assert {d.name for d in await p.readdir(root)} == {"f", "d"}
    await p.remove(f"{root}/f")
    await p.remove(f"{root}/d")


async def _check_data(p: Proc, root: str) -> None:
    """What is written is read, at any offset; what was skipped is zero; the version tells of changes."""
    name = f"{root}/f"
    fd = await p.create(name, ORDWR)
    before = await p.fstat(fd)
    await p.write(fd, b"hello world")
    assert await p.pread(fd, 100, 6) == b"world"
    assert await p.pread(fd, 5, 0) == b"hello"
    assert await p.pread(fd, 100, 11) == b""
    assert await p.pread(fd, 100, 5000) == b""
    await p.pwrite(fd, b"J", 0)
    await p.pwrite(fd, b"end", 300000)
    data = await _all(p, fd)
    assert data == b"Jello world".ljust(300000, b"\0") + b"end"
    after = await p.fstat(fd)
    assert after.length == len(data)
    assert after.qid.path == before.qid.path
    assert after.qid.vers != before.qid.vers
    p.close(fd)
    p.close(await p.open(name, OWRITE | OTRUNC))
    assert (await p.stat(name)).length == 0
    await p.remove(name)


async def _all(p: Proc, fd: int) -> bytes:
    await p.seek(fd, 0)
    return await p.readall(fd)


async def _check_rename(p: Proc, root: str) -> None:
    await put(p, f"{root}/a", b"a")
    await put(p, f"{root}/b", b"b")
    qid = (await p.stat(f"{root}/a")).qid
    with pytest.raises(OSError):
        await p.wstat(f"{root}/a", Dir.dont_touch(name="b"))
    await p.wstat(f"{root}/a", Dir.dont_touch(name="c"))
    assert (await p.stat(f"{root}/c")).qid.path == qid.path
    assert await p.readfile(f"{root}/b") == b"b"
    with pytest.raises(FileNotFoundError):
        await p.stat(f"{root}/a")
    for name in ("b", "c"):
        await p.remove(f"{root}/{name}")


async def _check_wstat(p: Proc, root: str) -> None:
    """Mode, time and length can be set; an impossible change leaves everything as it was."""
    name = f"{root}/f"
    await put(p, name, b"0123456789")
    await p.wstat(name, Dir.dont_touch(mode=0o600, mtime=1000000000, length=4))
    d = await p.stat(name)
    assert (d.mode, d.mtime, d.length) == (0o600, 1000000000, 4)
    assert await p.readfile(name) == b"0123"
    await p.wstat(name, Dir.dont_touch(length=6))
    assert await p.readfile(name) == b"0123\0\0"
    d = await p.stat(name)
    for impossible in ({"uid": "nobody in particular"}, {"mode": DMDIR | 0o700}, {"name": "x/y"}):
        with pytest.raises(OSError):
            await p.wstat(name, Dir.dont_touch(mtime=5, **impossible))
        now = await p.stat(name)
        # a version may tell for a while only that there could be another change
        assert now._replace(atime=d.atime, qid=now.qid._replace(vers=d.qid.vers)) == d
    await p.wstat(name, Dir.dont_touch())
    await p.remove(name)


async def _check_remove(p: Proc, root: str) -> None:
    """A directory with something in it stays; a removed file is gone, for all but those who have it open."""
    p.close(await p.create(f"{root}/d", OREAD, DMDIR | 0o755))
    await put(p, f"{root}/d/f", b"still here")
    with pytest.raises(OSError):
        await p.remove(f"{root}/d")
    fd = await p.open(f"{root}/d/f")
    await p.remove(f"{root}/d/f")
    with pytest.raises(FileNotFoundError):
        await p.stat(f"{root}/d/f")
    assert await p.read(fd, 100) == b"still here"
    p.close(fd)
    await p.remove(f"{root}/d")


async def _check_orclose(p: Proc, root: str) -> None:
    fd = await p.create(f"{root}/f", OWRITE | ORCLOSE)
    assert (await p.stat(f"{root}/f")).name == "f"
    p.close(fd)
    with pytest.raises(FileNotFoundError):
        await p.stat(f"{root}/f")
