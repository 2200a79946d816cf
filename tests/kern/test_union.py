"""Reading union directories: one member after the other, live, from the start again at offset 0."""

from __future__ import annotations

from nsh.kern.mnt import MAFTER, MREPL
from nsh.p9.stat import unpack_dirs
from tests.kern.world import listing, world


async def test_members_are_listed_in_order_with_duplicates() -> None:
    p = await world("a/", "a/f", "b/", "b/f", "b/g", "m/")
    await p.bind("/mnt/b", "/mnt/m", MREPL)
    await p.bind("/mnt/a", "/mnt/m", MAFTER)
    assert await listing(p, "/mnt/m") == ["g", "f", "f"]


async def test_one_read_gives_entries_of_one_member() -> None:
    p = await world("a/", "a/f", "b/", "b/g", "m/")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    await p.bind("/mnt/b", "/mnt/m", MAFTER)
    fd = await p.open("/mnt/m")
    reads = [[d.name for d in unpack_dirs(await p.read(fd, 8192))] for _ in range(3)]
    p.close(fd)
    assert reads == [["f"], ["g"], []]


async def test_offset_zero_starts_again() -> None:
    p = await world("a/", "a/f", "b/", "b/g", "m/")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    await p.bind("/mnt/b", "/mnt/m", MAFTER)
    fd = await p.open("/mnt/m")
    first = await p.read(fd)
    await p.read(fd)
    await p.seek(fd, 0)
    assert await p.read(fd) == first
    p.close(fd)


async def test_members_that_come_and_go_while_it_is_read() -> None:
    p = await world("a/", "a/f", "b/", "b/g", "c/", "c/h", "m/")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    await p.bind("/mnt/b", "/mnt/m", MAFTER)
    fd = await p.open("/mnt/m")
    await p.read(fd)
    await p.bind("/mnt/c", "/mnt/m", MAFTER)
    assert [d.name for d in await p.dirreadall(fd)] == ["g", "h"]
    await p.seek(fd, 0)
    await p.read(fd)
    await p.unmount(None, "/mnt/m")
    assert await p.read(fd) == b""
    p.close(fd)


async def test_a_single_bind_that_was_opened_stays_single() -> None:
    p = await world("a/", "a/f", "b/", "b/g", "m/")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    fd = await p.open("/mnt/m")
    await p.bind("/mnt/b", "/mnt/m", MAFTER)
    assert [d.name for d in await p.dirreadall(fd)] == ["f"]
    p.close(fd)
