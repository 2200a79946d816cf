"""mount -C: data that was read is kept for the next reader, as long as it is the same version."""

from __future__ import annotations

import random
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
    monkeypatch.setattr(mntcache, "MOST", 3 * mntcache.BLOCK)
    cache = Cache()
    for path in range(10):
        qid = Qid(0, 1, path)
        file = cache.enter(qid, Dir.dont_touch(length=mntcache.BLOCK)._replace(qid=qid))
        assert file is not None
        file.put(bytes(mntcache.BLOCK), 0)
    kept = [path for path in range(10) if (f := cache.find(Qid(0, 1, path))) and f.get(1, 0)]
    assert kept == [7, 8, 9]


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
