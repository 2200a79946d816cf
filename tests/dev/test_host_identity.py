"""`#U` never takes one file of the host for another: names change, and numbers are used again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nsh import errors
from nsh.dev.hostid import HostQids
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9.const import (
    DMAPPEND,
    DMAUTH,
    DMDIR,
    DMEXCL,
    DMTMP,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
)
from nsh.p9.stat import Dir
from tests.conformance import put
from tests.dev.test_conformance import seen_from_afar
from tests.kern.world import world


@pytest.fixture
def tmp(tmp_path: Path) -> str:
    """The scratch directory, as a name in the name space."""
    return f"#U{tmp_path}"


async def walked(p: Proc, name: str) -> Chan:
    """A Chan that was walked to and nothing else, as a fid of an export is."""
    return await namec(p, name, Access.ACCESS)


GONE = errors.Enonexist


async def assert_dead(c: Chan) -> None:
    """Whatever is tried with the file ``c`` is answered that there is no such file."""
    for mode in (OREAD, OWRITE | OTRUNC, OREAD | OTRUNC, OREAD | ORCLOSE):
        with pytest.raises(GONE):
            await settle(c.dev.open(c.alias(c.path), mode))
    for change in (Dir.dont_touch(length=0), Dir.dont_touch(name="elsewhere"), Dir.dont_touch(mtime=1)):
        with pytest.raises(GONE):
            await settle(c.dev.wstat(c, change))
    for call in (c.dev.stat, c.dev.remove):
        with pytest.raises(GONE):
            await settle(call(c))


# --- renaming ----------------------------------------------------------------------------------


async def test_a_file_that_was_renamed_is_still_the_file(tmp: str, tmp_path: Path) -> None:
    p = await world()
    await put(p, f"{tmp}/r1", b"the first")
    c = await walked(p, f"{tmp}/r1")
    await p.wstat(f"{tmp}/r1", Dir.dont_touch(name="r2"))
    await put(p, f"{tmp}/r1", b"precious")
    assert (await settle(c.dev.stat(c))).name == "r2"
    await settle(c.dev.wstat(c, Dir.dont_touch(length=3)))
    assert (tmp_path / "r2").read_bytes() == b"the"
    await settle(c.dev.remove(c))
    assert os.listdir(tmp_path) == ["r1"]
    assert (tmp_path / "r1").read_bytes() == b"precious"


async def test_what_is_below_a_renamed_directory_follows(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "sub" / "f").write_text("deep")
    directory, file = await walked(p, f"{tmp}/d"), await walked(p, f"{tmp}/d/sub/f")
    await p.wstat(f"{tmp}/d", Dir.dont_touch(name="e"))
    (tmp_path / "d").mkdir()
    assert (await settle(directory.dev.stat(directory))).name == "e"
    found, _ = await settle(directory.dev.walk(directory, ["sub", "f"]))
    assert found is not None and found.same(file)
    opened = await settle(file.dev.open(file, OREAD))
    assert await settle(opened.dev.read(opened, 10, 0)) == b"deep"
    opened.close()


async def test_it_follows_through_an_export_too(tmp_path: Path) -> None:
    """What 9pfuse does: it keeps the fid of a directory, and walks from it after a rename."""
    p = await world()
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("a")
    async with seen_from_afar(p) as q:
        await q.chdir("/mnt/d")
        await q.wstat("/mnt/d", Dir.dont_touch(name="e"))
        assert await q.readfile("f") == b"a"
        assert await q.readfile("/mnt/e/f") == b"a"


async def test_a_file_that_the_host_replaced_is_gone(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "f").write_text("the first")
    (tmp_path / "d").mkdir()
    file, directory = await walked(p, f"{tmp}/f"), await walked(p, f"{tmp}/d")
    for name in ("f", "d"):
        os.rename(tmp_path / name, tmp_path / f"old{name}")
    (tmp_path / "f").write_text("precious")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "g").touch()
    await assert_dead(file)
    for names in (["g"], []):
        with pytest.raises(GONE):
            await settle(directory.dev.walk(directory, names))
    with pytest.raises(GONE):
        await settle(directory.dev.create(directory, "h", OWRITE, 0o666))
    assert (tmp_path / "f").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["d", "f", "oldd", "oldf"]


async def test_one_may_leave_a_directory_that_is_gone(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "d").mkdir()
    await p.chdir(f"{tmp}/d")
    (tmp_path / "d").rmdir()
    await p.chdir("..")
    assert await p.readdir(".") == []


async def test_a_removed_file_is_not_the_next_of_its_name(tmp: str, tmp_path: Path) -> None:
    p = await world()
    for _ in range(20):
        await put(p, f"{tmp}/f", b"old")
        c = await walked(p, f"{tmp}/f")
        await p.remove(f"{tmp}/f")
        await put(p, f"{tmp}/f", b"precious")
        await assert_dead(c)
        assert (tmp_path / "f").read_bytes() == b"precious"
        await p.remove(f"{tmp}/f")


async def test_an_open_file_is_its_descriptor(tmp: str, tmp_path: Path) -> None:
    p = await world()
    fd = await p.create(f"{tmp}/f", ORDWR)
    await p.write(fd, b"0123456789")
    await p.fwstat(fd, Dir.dont_touch(name="g"))
    await put(p, f"{tmp}/f", b"precious")
    os.rename(tmp_path / "g", tmp_path / "moved")
    await p.fwstat(fd, Dir.dont_touch(mode=0o600, mtime=1000, length=4))
    status = (tmp_path / "moved").stat()
    assert (status.st_mode & 0o777, status.st_mtime, status.st_size) == (0o600, 1000, 4)
    c = p.fgrp.get(fd)
    with pytest.raises(GONE):
        await settle(c.dev.remove(c))
    os.rename(tmp_path / "moved", tmp_path / "g")
    await settle(c.dev.remove(c))
    p.close(fd)
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"precious"


async def test_after_a_wstat_that_failed_the_file_has_its_old_name(tmp: str, tmp_path: Path) -> None:
    p = await world()
    await put(p, f"{tmp}/w", b"12345")
    c = await walked(p, f"{tmp}/w")
    with pytest.raises(OSError):
        await settle(c.dev.wstat(c, Dir.dont_touch(name="w9", length=1 << 62)))
    assert (await settle(c.dev.stat(c))).name == "w"
    assert await p.readfile(f"{tmp}/w") == b"12345"
    await settle(c.dev.wstat(c, Dir.dont_touch(name="w9")))
    assert os.listdir(tmp_path) == ["w9"]


# --- removing at close -------------------------------------------------------------------------


async def test_closing_removes_the_file_that_was_opened_whatever_its_name(tmp: str, tmp_path: Path) -> None:
    p = await world()
    fd = await p.create(f"{tmp}/a", OWRITE | ORCLOSE)
    await p.wstat(f"{tmp}/a", Dir.dont_touch(name="b"))
    await put(p, f"{tmp}/a", b"precious")
    p.close(fd)
    assert os.listdir(tmp_path) == ["a"]
    fd = await p.open(f"{tmp}/a", OREAD | ORCLOSE)
    os.rename(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").write_text("of the host")
    p.close(fd)
    assert (tmp_path / "a").read_text() == "of the host"
    assert (tmp_path / "b").read_text() == "precious"


@contextmanager
def mortal() -> Iterator[None]:
    """Act without the rights of root, if that is who runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


async def test_to_remove_at_close_one_must_be_allowed_to_remove() -> None:
    p = await world()
    with TemporaryDirectory() as scratch:
        (Path(scratch) / "f").touch()
        os.chmod(scratch, 0o555)
        with mortal():
            for mode in (OREAD | ORCLOSE, OREAD):
                try:
                    p.close(await p.open(f"#U{scratch}/f", mode))
                except errors.Eperm:
                    assert mode & ORCLOSE
                else:
                    assert not mode & ORCLOSE
        os.chmod(scratch, 0o755)


# --- what the host cannot keep -----------------------------------------------------------------


@pytest.mark.parametrize("bit", [DMAPPEND, DMEXCL, DMTMP, DMAUTH, 0o4000, 0o2000, 0o1000])
async def test_a_mode_that_cannot_be_kept_is_refused(bit: int, tmp: str, tmp_path: Path) -> None:
    p = await world()
    for name, perm in (("f", bit | 0o666), ("d", DMDIR | bit | 0o777)):
        with pytest.raises(errors.P9Error, match="mode not supported"):
            await p.create(f"{tmp}/{name}", OREAD, perm)
    assert os.listdir(tmp_path) == []
    await put(p, f"{tmp}/f")
    before = await p.stat(f"{tmp}/f")
    with pytest.raises(errors.P9Error, match="mode not supported"):
        await p.wstat(f"{tmp}/f", Dir.dont_touch(mode=bit | 0o400, mtime=1))
    assert await p.stat(f"{tmp}/f") == before


# --- numbers -----------------------------------------------------------------------------------


async def test_a_file_made_again_has_another_qid(tmp: str) -> None:
    p = await world()
    await put(p, f"{tmp}/f")
    before = (await p.stat(f"{tmp}/f")).qid
    await p.remove(f"{tmp}/f")
    await asyncio.sleep(0.02)  # the clock of many hosts ticks every 4 or 10 ms
    await put(p, f"{tmp}/f")
    assert (await p.stat(f"{tmp}/f")).qid.path != before.path


async def test_a_file_keeps_its_qid_whatever_is_done_to_it(tmp: str, tmp_path: Path) -> None:
    p = await world()
    await put(p, f"{tmp}/f", b"text")
    qid = (await p.stat(f"{tmp}/f")).qid
    os.chmod(tmp_path / "f", 0o600)
    os.utime(tmp_path / "f", (1, 1))
    (tmp_path / "f").write_text("another text")
    os.rename(tmp_path / "f", tmp_path / "g")
    (tmp_path / "link").symlink_to("g")
    fd = await p.open(f"{tmp}/g")
    entries = await p.readdir(tmp)
    for d in (await p.stat(f"{tmp}/g"), await p.fstat(fd), await p.stat(f"{tmp}/link"), *entries):
        assert d.qid.path == qid.path
    p.close(fd)


def test_a_disk_that_forgets_its_numbers_is_not_held_to_them() -> None:
    qids = HostQids()
    assert not qids.lasting(os.stat("/proc/self"))
    assert qids.lasting(os.stat("/tmp"))
