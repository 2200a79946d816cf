"""`#U`: the host's files, tested on real ones in a scratch directory."""

from __future__ import annotations

import asyncio
import os
import pty
import threading
from pathlib import Path

import pytest

from nsh import errors
from nsh.dev.host import HostDevice, group_name, host_path, user_name
from nsh.dev.hostid import HostQids
from nsh.dev.openfile import OpenFile
from nsh.dev.patience import settled
from nsh.kern.chan import settle
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9.const import DMDIR, OEXEC, OREAD, OTRUNC, OWRITE, QTDIR
from nsh.p9.stat import Dir, unpack_dirs
from tests.conformance import check_files, check_tree, put
from tests.kern.world import failure, world


@pytest.fixture
def tmp(tmp_path: Path) -> str:
    """The scratch directory, as a name in the name space."""
    return f"#U{tmp_path}"


async def test_it_conforms(tmp: str, tmp_path: Path) -> None:
    p = await world()
    await check_files(p, tmp)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").write_text("f")
    (tmp_path / "empty").touch()
    await check_tree(p, tmp)


async def test_it_conforms_where_one_may_have_to_wait(tmp: str, tmp_path: Path) -> None:
    p = await world()
    HostDevice.of(p.system).wait_in(str(tmp_path))
    await check_files(p, tmp)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").write_text("f")
    (tmp_path / "a" / "link").symlink_to("b")
    (tmp_path / "nowhere").symlink_to("none")
    await check_tree(p, tmp)
    await settled()


async def test_only_the_root_can_be_attached() -> None:
    p = await world()
    assert (await p.stat("#U")).name == "/"
    assert (await p.stat("#U*")).qid == (await p.stat("#U")).qid
    with pytest.raises(errors.Ebadspec):
        await p.stat("#Ufoo")


async def test_a_file_is_described_as_the_host_describes_it(tmp: str, tmp_path: Path) -> None:
    p = await world()
    file = tmp_path / "f"
    file.write_bytes(b"12345")
    os.chmod(file, 0o640)
    os.utime(file, (1000, 2000))
    d = await p.stat(f"{tmp}/f")
    assert (d.name, d.mode, d.length, d.atime, d.mtime) == ("f", 0o640, 5, 1000, 2000)
    assert (d.uid, d.gid) == (user_name(os.getuid()), group_name(file.stat().st_gid))
    assert d.qid.path & (1 << 32) - 1 == file.stat().st_ino & (1 << 32) - 1


async def test_what_a_directory_that_may_only_be_read_lists_is_shown_with_what_is_known(
    tmp: str, tmp_path: Path
) -> None:
    p = await world()
    closed = tmp_path / "closed"
    (closed / "d").mkdir(parents=True)
    (closed / "f").write_text("f")
    assert user_name(0) and group_name(0)  # who is not the superuser may be kept from the modules for that
    inodes = {entry.name: entry.inode() for entry in os.scandir(closed)}
    closed.chmod(0o604)
    fd = await p.open(f"{tmp}/closed", OREAD)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        entries = unpack_dirs(await p.read(fd))
    finally:
        os.seteuid(user)
        p.close(fd)
        closed.chmod(0o700)
    shown = {d.name: (d.mode, d.qid.type, d.length, d.uid) for d in entries}
    assert shown == {"d": (DMDIR, QTDIR, 0, "?"), "f": (0, 0, 0, "?")}
    assert {d.name: d.qid.path & (1 << 32) - 1 for d in entries} == inodes


async def test_a_control_character_in_a_name_is_shown_as_its_symbol(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "a\nb").write_text("text")
    (tmp_path / "d\x7f").mkdir()
    (tmp_path / "d\x7f" / "\x01").touch()
    assert {d.name for d in await p.readdir(tmp)} == {"a\u240ab", "d\u2421"}
    assert (await p.stat(f"{tmp}/a\u240ab")).name == "a\u240ab"
    assert await p.readfile(f"{tmp}/a\u240ab") == b"text"
    await p.wstat(f"{tmp}/a\u240ab", Dir.dont_touch(name="c"))
    await p.remove(f"{tmp}/d\u2421/\u2401")
    await p.remove(f"{tmp}/d\u2421")
    assert os.listdir(tmp_path) == ["c"]


async def test_a_name_that_has_such_a_symbol_comes_first(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "\t").write_text("tab")
    (tmp_path / "\u2409").write_text("symbol")
    assert await p.readfile(f"{tmp}/\u2409") == b"symbol"
    await p.remove(f"{tmp}/\u2409")
    assert await p.readfile(f"{tmp}/\u2409") == b"tab"
    await p.remove(f"{tmp}/\u2409")
    assert "does not exist" in await failure(p.stat(f"{tmp}/\u2409"))


async def test_times_before_1970_and_far_ahead_fit(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", (-5, 1 << 33))
    d = await p.stat(f"{tmp}/f")
    assert (d.atime, d.mtime) == (0, 0xFFFFFFFE)


def test_files_of_different_disks_have_different_qids() -> None:
    qids = HostQids()
    status = list(os.stat("/"))
    paths = set()
    for ino, disk in ((7, 1), (7, 2), (7 | 1 << 60, 1), (7 | 1 << 61, 1), (7 | 1 << 60, 2)):
        status[1], status[2] = ino, disk
        file = os.stat_result(status, {"st_mtime_ns": 0})
        paths.add(qids.qid(file, "/").path)
        assert qids.qid(file, "/").path in paths, "the same file, the same qid"
    assert len(paths) == 5


async def test_a_removed_directory_can_be_left(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("f")
    await p.chdir(f"{tmp}/d")
    (tmp_path / "d").rmdir()
    assert await p.readfile("../f") == b"f"
    await p.chdir("..")
    assert p.getwd() == tmp


async def test_links_are_followed_and_dotdot_leads_back_out(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "real" / "f").write_text("through the link")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "link").symlink_to("../real")
    assert await p.readfile(f"{tmp}/there/link/f") == b"through the link"
    assert (await p.stat(f"{tmp}/there/link")).isdir
    assert {d.name for d in await p.readdir(f"{tmp}/there/link/..")} == {"link"}
    assert (await p.readdir(f"{tmp}/there"))[0].isdir


async def test_removing_or_renaming_a_link_leaves_what_it_leads_to(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("kept")
    (tmp_path / "link").symlink_to("d")
    await p.wstat(f"{tmp}/link", Dir.dont_touch(name="moved"))
    assert (tmp_path / "moved").is_symlink()
    await p.remove(f"{tmp}/moved")
    assert sorted(os.listdir(tmp_path)) == ["d"]
    assert (tmp_path / "d" / "f").read_text() == "kept"


async def test_links_that_lead_nowhere_are_listed_and_can_be_removed(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "nowhere").symlink_to("no such file")
    (tmp_path / "circle").symlink_to("circle")
    assert {d.name for d in await p.readdir(tmp)} == {"nowhere", "circle"}
    with pytest.raises(errors.Enonexist):
        await p.open(f"{tmp}/nowhere")
    with pytest.raises(OSError):
        await p.open(f"{tmp}/circle")
    for name in ("nowhere", "circle"):
        await p.remove(f"{tmp}/{name}")


async def test_names_that_are_no_utf8_keep_their_bytes(tmp: str, tmp_path: Path) -> None:
    p = await world()
    raw = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.close(os.open(raw, os.O_CREAT | os.O_WRONLY))
    (d,) = await p.readdir(tmp)
    assert d.name == "\udcff\udcfe"
    assert Dir.unpack(d.pack()).name.encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert await p.readfile(f"{tmp}/{d.name}") == b""
    await put(p, f"{tmp}/copy{d.name}")
    assert b"copy\xff\xfe" in os.listdir(os.fsencode(tmp_path))


async def test_large_files_are_read_and_written_at_any_offset(tmp: str, tmp_path: Path) -> None:
    p = await world()
    fd = await p.create(f"{tmp}/f", 2)
    assert await p.pwrite(fd, b"far", 5 << 40) == 3
    assert await p.pread(fd, 10, 5 << 40) == b"far"
    assert await p.pread(fd, 10, 1 << 40) == bytes(10)
    assert (await p.fstat(fd)).length == (5 << 40) + 3
    with pytest.raises(errors.P9Error):
        await p.pwrite(fd, b"x", 1 << 63)
    for end in ((1 << 63) - 1, 1 << 63):
        assert await p.pread(fd, 1, end) == b""
    p.close(fd)


async def test_a_file_of_unknown_length_is_read_to_its_end() -> None:
    p = await world()
    assert b"Pid:" in await p.readfile("#U/proc/self/status")
    fd = await p.open("#U/proc/self/status")
    assert await p.pread(fd, 10, (1 << 63) - 1) == b""
    p.close(fd)


async def test_what_a_thread_reads_is_whole_and_survives_a_close(tmp_path: Path) -> None:
    """Where the file system does not know RWF_NOWAIT, or the pages are not there."""
    (tmp_path / "f").write_bytes(b"0123456789")
    file = OpenFile(os.open(tmp_path / "f", os.O_RDONLY), os.stat(tmp_path / "f").st_mode)
    file._nowait = False
    assert await settle(file.read_at(4, 3)) == b"3456"
    reading = asyncio.ensure_future(settle(file.read_at(4, 0)))
    await asyncio.sleep(0)
    reading.cancel()
    file.close()
    await asyncio.get_running_loop().shutdown_default_executor()
    await asyncio.sleep(0)
    with pytest.raises(OSError):
        os.fstat(file.fd)


async def test_the_host_errors_have_plan_9_texts(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "d" / "sub").mkdir(parents=True)
    await put(p, f"{tmp}/f")
    await p.chdir(tmp)
    cases = {
        "'nosuch' file does not exist": p.open("nosuch"),
        "'f' not a directory": p.stat("f/x"),
        "Directory not empty": p.remove("d"),
        "permission denied": p.open("d", OWRITE),
        "file already exists": p.wstat("f", Dir.dont_touch(name="d")),
        "not a directory": p.create("f/g"),
        "'" + "x" * 125 + "'": p.stat("x" * 300),
    }
    for text, call in cases.items():
        with pytest.raises(errors.P9Error) as caught:
            await call
        assert str(caught.value) == text


async def test_a_program_is_opened_for_execution_only_if_it_may_be_executed(tmp: str, tmp_path: Path) -> None:
    p = await world()
    await put(p, f"{tmp}/f", b"#!/bin/sh\n", 0o644)
    with pytest.raises(errors.Eperm):
        await p.open(f"{tmp}/f", OEXEC)
    os.chmod(tmp_path / "f", 0o755)
    p.close(await p.open(f"{tmp}/f", OEXEC))


async def test_new_files_have_the_directory_s_permissions_at_most(tmp: str, tmp_path: Path) -> None:
    p = await world()
    os.chmod(tmp_path, 0o750)
    old = os.umask(0)
    try:
        await put(p, f"{tmp}/f", perm=0o666)
        p.close(await p.create(f"{tmp}/d", OREAD, DMDIR | 0o777))
    finally:
        os.umask(old)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750


async def test_a_failing_wstat_is_undone(tmp: str, tmp_path: Path) -> None:
    p = await world()
    (tmp_path / "f").write_text("12345")
    (tmp_path / "g").touch()
    os.utime(tmp_path / "f", (5, 5))
    before = await p.stat(f"{tmp}/f")
    with pytest.raises(errors.Eexist):
        await p.wstat(f"{tmp}/f", Dir.dont_touch(name="g", mode=0o600, mtime=1, length=0))
    assert await p.stat(f"{tmp}/f") == before


async def test_listing_a_directory_does_not_depend_on_when_it_changes(tmp: str, tmp_path: Path) -> None:
    p = await world()
    for i in range(50):
        (tmp_path / f"f{i}").touch()
    fd = await p.open(tmp)
    first = await p.read(fd, 300)
    for i in range(50):
        (tmp_path / f"f{i}").unlink()
    while await p.read(fd, 300):  # what has gone meanwhile is left out
        pass
    assert first
    await p.seek(fd, 0)
    assert await p.read(fd, 300) == b""
    p.close(fd)


# --- files that may make one wait --------------------------------------------------------------


async def test_a_fifo_makes_its_reader_wait_and_nobody_else(tmp: str, tmp_path: Path) -> None:
    p = await world()
    os.mkfifo(tmp_path / "fifo")
    fd = await p.open(f"{tmp}/fifo")
    reading = asyncio.ensure_future(p.read(fd, 100))
    await asyncio.sleep(0.01)
    assert not reading.done(), "there is no writer yet"
    writer = await p.open(f"{tmp}/fifo", OWRITE)
    await p.write(writer, b"hello")
    assert await reading == b"hello"
    p.close(writer)
    assert await p.read(fd, 100) == b"", "the writer has gone"
    p.close(fd)


async def test_opening_a_fifo_for_writing_waits_for_a_reader(tmp: str, tmp_path: Path) -> None:
    p = await world()
    os.mkfifo(tmp_path / "fifo")
    opening = asyncio.ensure_future(p.open(f"{tmp}/fifo", OWRITE))
    await asyncio.sleep(0.01)
    assert not opening.done()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    fd = await opening
    big = bytes(range(256)) * 1024  # more than the pipe holds: the writer waits for the reader
    await p.write(fd, big)
    p.close(fd)
    reader.join()
    assert got == [big]


async def test_a_read_that_is_cancelled_loses_nothing(tmp: str, tmp_path: Path) -> None:
    p = await world()
    os.mkfifo(tmp_path / "fifo")
    fd = await p.open(f"{tmp}/fifo", 2)
    reading = asyncio.ensure_future(p.read(fd, 100))
    await asyncio.sleep(0.01)
    reading.cancel()
    await p.write(fd, b"kept")
    assert await p.read(fd, 100) == b"kept"
    p.close(fd)


@pytest.mark.requires("a terminal")
async def test_a_terminal_is_read_when_a_line_is_there() -> None:
    p = await world()
    ours, theirs = pty.openpty()
    try:
        fd = await p.open(f"#U{os.ttyname(theirs)}", 2)
        reading = asyncio.ensure_future(p.read(fd, 100))
        await asyncio.sleep(0.01)
        assert not reading.done()
        os.write(ours, b"typed\n")
        assert await reading == b"typed\n"
        p.close(fd)
    finally:
        os.close(ours)
        os.close(theirs)


async def test_devices_that_never_wait_are_read_at_once() -> None:
    p = await world()
    fd = await p.open("#U/dev/zero")
    assert await p.read(fd, 10) == bytes(10)
    p.close(fd)
    await p.writefile("#U/dev/null", b"gone", OWRITE | OTRUNC)
    assert await p.readfile("#U/dev/null") == b""


# --- what the shell asks -----------------------------------------------------------------------


async def test_the_host_knows_its_files_by_their_own_names(tmp: str, tmp_path: Path) -> None:
    p = await world("d/", "f")
    await p.bind(tmp, "/mnt/d", 0)
    (tmp_path / "sub").mkdir()

    async def name(of: str, p: Proc = p) -> str | None:
        return host_path(await namec(p, of, Access.ACCESS))

    assert await name("/mnt/d/sub") == str(tmp_path / "sub")
    assert await name("/mnt/d") == str(tmp_path)
    assert await name("/mnt/f") is None


async def test_open_files_have_a_descriptor_and_directories_have_none(tmp: str, tmp_path: Path) -> None:
    p = await world()
    fd = await p.create(f"{tmp}/f")
    c = p.fgrp.get(fd)
    number = c.dev.fileno(c)
    assert number is not None
    assert os.path.samestat(os.fstat(number), (tmp_path / "f").stat())
    p.close(fd)
    fd = await p.open(tmp)
    c = p.fgrp.get(fd)
    assert c.dev.fileno(c) is None
    p.close(fd)


async def test_a_directory_without_permissions_is_open_to_its_maker(tmp: str, tmp_path: Path) -> None:
    """open(5): the mode of a create is not checked against its permissions."""
    p = await world()
    for mode in (0, 0o200, 0o555):
        fd = await p.create(f"{tmp}/d{mode}", OREAD, DMDIR | mode)
        assert await p.read(fd, 1000) == b""
        p.close(fd)
        assert (tmp_path / f"d{mode}").stat().st_mode & 0o777 == mode & 0o700


async def test_an_owner_is_held_to_the_mode_even_the_superuser(tmp: str, tmp_path: Path) -> None:
    """intro(5) knows no user whom the permissions do not concern."""
    p = await world()
    d = tmp_path / "d"
    d.mkdir()
    (d / "f").write_text("text")
    (d / "f").chmod(0o200)
    with pytest.raises(errors.Eperm):
        await p.open(f"{tmp}/d/f", OREAD)
    (d / "f").chmod(0o400)
    assert await p.readfile(f"{tmp}/d/f") == b"text"
    with pytest.raises(errors.Eperm):
        await p.open(f"{tmp}/d/f", OWRITE | OTRUNC)
    with pytest.raises(errors.Eperm):
        await p.wstat(f"{tmp}/d/f", Dir.dont_touch(length=0))
    d.chmod(0o500)
    for refused in (
        p.create(f"{tmp}/d/g", OWRITE),
        p.remove(f"{tmp}/d/f"),
        p.wstat(f"{tmp}/d/f", Dir.dont_touch(name="g")),
    ):
        with pytest.raises(errors.Eperm):
            await refused
    d.chmod(0o600)
    with pytest.raises(errors.Eperm):
        await p.stat(f"{tmp}/d/f")
    d.chmod(0o700)
    assert (d / "f").read_text() == "text"
