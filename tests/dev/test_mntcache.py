"""mount -C: data that was read is kept for the next reader, as long as it is the same version."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.dev import mntcache
from nsh.dev.mntcache import Cache
from nsh.kern.mnt import MCACHE
from nsh.kern.recipe import recipe
from nsh.p9 import msg
from nsh.p9.const import QTAPPEND, QTDIR
from nsh.p9.stat import Dir, Qid
from tests.dev.rogue import Rogue
from tests.kern.world import content
from tests.net.peers import quiet

TEXT = random.Random(3).randbytes(200_000)


def counted(rogue: Rogue) -> int:
    return rogue.count(msg.Tread)


async def cached(data: bytes = TEXT) -> Rogue:
    """A server whose file was read once."""
    rogue = await Rogue.start(data, flag=MCACHE)
    assert await rogue.p.readfile("/mnt/a/f") == data
    return rogue


async def test_a_second_reader_asks_only_for_the_end() -> None:
    rogue = await cached()
    before = counted(rogue)
    assert await rogue.p.readfile("/mnt/a/f") == TEXT
    assert counted(rogue) == before + 1
    await rogue.stop()


async def test_another_version_is_read_anew() -> None:
    rogue = await cached()
    rogue.data[:] = b"new"
    rogue.qid = Qid(0, 2, 1)
    assert await content(rogue.p, "/mnt/a/f") == "new"
    await rogue.stop()


@pytest.mark.parametrize(
    "change",
    [
        lambda rogue: setattr(rogue, "qid", Qid(0, 0, 1)),
        lambda rogue: setattr(rogue, "qid", Qid(QTAPPEND, 1, 1)),
        lambda rogue: setattr(rogue, "length", 0),
    ],
    ids=["version 0", "append-only", "length 0"],
)
async def test_what_is_no_plain_file_is_not_kept(change: Callable[[Rogue], None]) -> None:
    rogue = await Rogue.start(TEXT, flag=MCACHE)
    change(rogue)
    for _ in range(2):
        before = counted(rogue)
        assert await rogue.p.readfile("/mnt/a/f") == TEXT
        assert counted(rogue) > before + 1
    await rogue.stop()


async def test_without_the_flag_nothing_is_kept() -> None:
    rogue = await Rogue.start(TEXT)
    for _ in range(2):
        before = counted(rogue)
        assert await rogue.p.readfile("/mnt/a/f") == TEXT
        assert counted(rogue) > before + 1
    await rogue.stop()


async def test_a_write_from_here_is_seen_though_the_server_does_not_count_it() -> None:
    rogue = await cached()
    fd = await rogue.open()
    await rogue.p.write(fd, b"changed")
    assert await rogue.p.readfile("/mnt/a/f") == b"changed" + TEXT[7:]
    await rogue.stop()


async def test_a_file_that_grew_is_read_to_its_end() -> None:
    rogue = await cached()
    rogue.data += b"more"
    assert await rogue.p.readfile("/mnt/a/f") == TEXT + b"more"
    assert await rogue.p.readfile("/mnt/a/f") == TEXT + b"more"
    await rogue.stop()


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mntcache, "MOST", 3 * (mntcache.BLOCK + mntcache.EACH + mntcache.FILE))
    cache = Cache()
    for path in range(10):
        qid = Qid(0, 1, path)
        file = cache.enter(qid, Dir.dont_touch(length=mntcache.BLOCK)._replace(qid=qid))
        assert file is not None
        file.put(bytes(mntcache.BLOCK), 0)
    kept = [path for path in range(10) if (f := cache.find(Qid(0, 1, path))) and f.get(1, 0)]
    assert kept == [7, 8, 9]


def held(cache: Cache, path: int, data: bytes) -> None:
    """Let the cache hold a file."""
    qid = Qid(0, 1, path)
    file = cache.enter(qid, Dir.dont_touch(length=len(data))._replace(qid=qid))
    assert file is not None
    file.put(data, 0)


@pytest.mark.parametrize("size", [1, 100, mntcache.BLOCK + 1])
def test_memory_is_bounded_whatever_the_size_of_the_files(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(mntcache, "MOST", 1 << 20)
    cache = Cache()
    tracemalloc.start()
    try:
        for path in range(1 << 50, (1 << 50) + 5000):
            held(cache, path, bytes(size))
        # Python keeps 2000 tuples that were given back
        assert tracemalloc.get_traced_memory()[0] < mntcache.MOST + (1 << 19)
    finally:
        tracemalloc.stop()
    assert cache.find(Qid(0, 1, 1 << 50)) is None
    last = cache.find(Qid(0, 1, (1 << 50) + 4999))
    assert last is not None
    assert last.get(size, 0) == bytes(size)


def test_what_is_forgotten_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    room = mntcache.BLOCK + mntcache.EACH + mntcache.FILE
    monkeypatch.setattr(mntcache, "MOST", room)
    cache = Cache()
    for _ in range(3):
        held(cache, 1, bytes(mntcache.BLOCK))
        cache.forget(1)
    held(cache, 2, bytes(mntcache.BLOCK))
    kept = cache.find(Qid(0, 1, 2))
    assert kept is not None
    assert kept.get(mntcache.BLOCK, 0) is not None


async def test_an_open_file_whose_blocks_gave_way_is_still_told_of_changes() -> None:
    rogue = await Rogue.start(TEXT, flag=MCACHE)
    fd = await rogue.open()  # nothing is held of it yet
    await rogue.p.pwrite(fd, b"changed", 0)
    assert await rogue.p.pread(fd, 7, 0) == b"changed"
    assert await rogue.p.readfile("/mnt/a/f") == b"changed" + TEXT[7:]
    rogue.p.close(fd)
    await rogue.stop()


def test_a_directory_cannot_be_kept() -> None:
    assert not mntcache.cacheable(Qid(QTDIR, 1, 1))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 199_999), st.integers(1, 150_000)), max_size=40),
)
def test_what_is_given_back_is_what_was_put_in(steps: list[tuple[bool, int, int]]) -> None:
    qid = Qid(0, 1, 1)
    file = Cache().enter(qid, Dir.dont_touch(length=len(TEXT))._replace(qid=qid))
    assert file is not None
    for put, offset, count in steps:
        expected = TEXT[offset : offset + count]
        if put:
            file.put(expected, offset)
        else:
            assert file.get(count, offset) in (None, expected)


async def test_the_flag_is_shown_by_ns() -> None:
    rogue = await Rogue.start(TEXT, flag=MCACHE)
    text = "\n".join(recipe(rogue.p))
    assert "mount -cC " in text
    await quiet()
    await rogue.stop()
