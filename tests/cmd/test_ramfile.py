"""ramfile: a file in memory before a directory."""

from __future__ import annotations

from nsh.p9.const import ORDWR
from tests.cmd.session import session
from tests.kern.world import content, failure, listing, make


async def test_a_ramfile_hides_the_file_below_until_it_is_unmounted() -> None:
    s = await session("d/", "d/r")
    assert await s.out("ramfile", "/mnt/d/r", "hello") == ""
    assert await content(s.p, "/mnt/d/r") == "hello"
    await s.p.writefile("/mnt/d/r", b"x")
    assert await content(s.p, "/mnt/d/r") == "x"
    assert await failure(make(s.p, "/mnt/d/new")) == "mounted directory forbids creation"
    await s.p.unmount(None, "/mnt/d")
    assert await content(s.p, "/mnt/d/r") == "r"


async def test_a_ramfile_is_written_over_in_the_middle_and_anew_at_the_beginning() -> None:
    s = await session("d/")
    await s.out("ramfile", "/mnt/d/r", "abcdef")
    fd = await s.p.open("/mnt/d/r", ORDWR)
    await s.p.pwrite(fd, b"XY", 2)
    assert await content(s.p, "/mnt/d/r") == "abXYef"
    await s.p.pwrite(fd, b"Z", 8)
    assert await content(s.p, "/mnt/d/r") == "abXYef\0\0Z"
    await s.p.pwrite(fd, b"new", 0)
    assert await content(s.p, "/mnt/d/r") == "new"
    assert await failure(s.p.pwrite(fd, b"far", 1 << 40)) == "filesystem full"
    s.p.close(fd)


async def test_what_names_no_file_is_no_ramfile() -> None:
    s = await session("d/")
    assert (await s.run("ramfile", "")).err == "ramfile: empty file name\n"
    assert await s.out("ramfile", "d/r/", "text") == ""
    assert await content(s.p, "/mnt/d/r") == "text"


async def test_ramfiles_of_one_directory_are_in_one_place_and_hide_nothing_of_each_other() -> None:
    s = await session("d/")
    await s.out("ramfile", "/mnt/d/one")
    await s.out("ramfile", "/mnt/d/other")
    assert await listing(s.p, "/mnt/d") == ["one", "other"]
    assert (await s.run("ramfile", "/mnt/d/one")).err == "ramfile: file already exists\n"
    await s.p.remove("/mnt/d/one")
    assert await listing(s.p, "/mnt/d") == ["other"]
