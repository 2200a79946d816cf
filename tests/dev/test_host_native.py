"""`#U` for programs of Linux: what the host knows of its files is told and changed as it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nsh import errors
from nsh.dev.host import host_path
from nsh.dev.hostnative import NativeHostDevice
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.native import NOW, Change, Entry
from nsh.kern.proc import Proc
from nsh.p9.const import OREAD
from tests.kern.world import world


async def found(p: Proc, path: Path) -> Chan:
    return await namec(p, f"#U{path}", Access.MOUNT)


def device(c: Chan) -> NativeHostDevice:
    assert isinstance(c.dev, NativeHostDevice)
    return c.dev


async def test_only_a_device_of_the_hosts_files_is_native() -> None:
    p = await world()
    assert (await p.system.attach("R", "")).dev.native is None
    root = await p.system.attach("U", "")
    assert root.dev.native is device(root)


async def test_a_link_is_itself_or_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "l").symlink_to("f")
    p = await world()
    f, link = await found(p, tmp_path / "f"), await found(p, tmp_path / "l")
    for follow in (True, False):
        assert device(f).known(f, follow).host == os.stat(tmp_path / "f")
    itself, file = device(link).known(link, False), device(link).known(link, True)
    assert itself.host == os.lstat(tmp_path / "l")
    assert itself.dir.name == file.dir.name == "l"
    assert (file.host, file.number) == (os.stat(tmp_path / "f"), device(f).known(f, True).number)
    assert itself.number != file.number and itself.dir.qid != file.dir.qid
    assert device(link).readlink(link) == "f"


async def test_a_file_with_the_name_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "g").touch()
    p = await world()
    c = await found(p, tmp_path / "f")
    os.rename(tmp_path / "g", tmp_path / "f")
    for use in (lambda: device(c).known(c, False), lambda: device(c).change(c, Change(mode=0))):
        with pytest.raises(errors.Enonexist):
            use()
    with pytest.raises(errors.Enonexist):
        device(c).rename(c, None, "h", True)
    assert os.listdir(tmp_path) == ["f"]


async def test_an_open_directory_is_listed_with_names_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "a\tb").touch()
    (tmp_path / "l").symlink_to("d")
    os.mkfifo(tmp_path / "p")
    p = await world()
    c = await namec(p, f"#U{tmp_path}", Access.OPEN, OREAD)
    entries = device(c).listing(c)
    c.close()
    mask = (1 << 48) - 1
    assert sorted((name, number & mask, kind) for name, number, kind in entries) == sorted(
        Entry(name, os.lstat(tmp_path / name).st_ino, kind)
        for name, kind in (("d", stat.S_IFDIR), ("a\tb", stat.S_IFREG), ("l", 0), ("p", 0))
    )


async def test_a_file_moves_with_all_that_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "d").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "d" / "f").write_text("kept")
    p = await world()
    d, b, f = [await found(p, tmp_path / name) for name in ("a/d", "b", "a/d/f")]
    device(d).rename(d, b, "e", True)
    assert (tmp_path / "b" / "e" / "f").read_text() == "kept"
    assert device(f).known(f, False).host == os.stat(tmp_path / "b" / "e" / "f")
    assert host_path(d) == str(tmp_path / "b" / "e")


async def test_what_has_the_name_is_replaced_if_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("new")
    (tmp_path / "g").write_text("old")
    p = await world()
    f, g = await found(p, tmp_path / "f"), await found(p, tmp_path / "g")
    with pytest.raises(errors.Eexist):
        device(f).rename(f, None, "g", False)
    device(f).rename(f, None, "g", True)
    assert (tmp_path / "g").read_text() == "new"
    with pytest.raises(errors.Enonexist):
        device(g).known(g, False)


async def test_two_names_of_one_file_are_not_one_by_a_rename(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    p = await world()
    f, top = await found(p, tmp_path / "f"), await found(p, tmp_path)
    device(f).link(f, top, "g")
    device(f).rename(f, None, "g", True)
    assert sorted(os.listdir(tmp_path)) == ["f", "g"]
    assert host_path(f) == str(tmp_path / "f")
    assert device(f).known(f, False).host == os.stat(tmp_path / "f")


async def test_every_bit_and_nanosecond_is_set(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "l").symlink_to("nowhere")
    p = await world()
    f, link = await found(p, tmp_path / "f"), await found(p, tmp_path / "l")
    device(f).change(f, Change(mode=0o6711, atime=-1, mtime=10**18 + 1))
    device(link).change(link, Change(uid=os.getuid(), gid=os.getgid(), mtime=7))
    status = os.stat(tmp_path / "f")
    assert (stat.S_IMODE(status.st_mode), status.st_atime_ns, status.st_mtime_ns) == (0o6711, -1, 10**18 + 1)
    assert os.lstat(tmp_path / "l").st_mtime_ns == 7
    device(f).change(f, Change(atime=NOW, mtime=NOW))
    assert os.stat(tmp_path / "f").st_mtime_ns > 10**18 + 1


async def test_special_files_and_links_are_made(tmp_path: Path) -> None:
    p = await world()
    top = await found(p, tmp_path)
    device(top).mknod(top, "p", stat.S_IFIFO | 0o600, 0)
    device(top).mknod(top, "s", stat.S_IFSOCK | 0o600, 0)
    device(top).symlink(top, "l", "x" * 300)
    assert (tmp_path / "p").is_fifo() and (tmp_path / "s").is_socket()
    assert os.readlink(tmp_path / "l") == "x" * 300
    c = await found(p, tmp_path / "l")
    assert device(c).readlink(c) == "x" * 300
    with pytest.raises(errors.Eexist):
        device(top).symlink(top, "l", "y")


async def test_the_file_system_is_that_of_the_file(tmp_path: Path) -> None:
    p = await world()
    top = await found(p, tmp_path)
    told, real = device(top).statvfs(top), os.statvfs(tmp_path)
    assert (told.f_blocks, told.f_files, told.f_fsid) == (real.f_blocks, real.f_files, real.f_fsid)
