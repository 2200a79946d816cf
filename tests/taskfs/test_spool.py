"""Spool keeps every byte at its offset; Feed passes every byte on, in order."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh import errors
from taskfs import spool
from taskfs.spool import Feed, Spool
from taskfs.watch import Watch


def watching() -> Watch:
    """A watch that is ready."""
    watch = Watch()
    watch.open()
    return watch


async def _spooled(pieces: list[bytes], quota: int = spool.QUOTA) -> Spool:
    """A spool into which these pieces have come through a pipe, up to its end."""
    s = Spool(quota)
    ours, theirs = os.pipe()
    s.drain(ours, watching())
    for piece in pieces:
        os.write(theirs, piece)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    os.close(theirs)
    while not s.eof:
        await s.more()
    return s


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=12), st.integers(1, 200), st.integers(1, 400))
def test_a_spool_gives_back_what_came_wherever_it_is_kept(
    pieces: list[bytes], memory: int, segment: int
) -> None:
    async def run() -> None:
        s = await _spooled(pieces)
        whole = b"".join(pieces)
        got = b""
        while data := s.read(37, len(got)):
            got += data
        assert got == whole
        for offset in range(0, len(whole), 91):
            data = s.read(50, offset)
            assert data and whole[offset:].startswith(data)
        s.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "MEMORY", memory)
        patch.setattr(spool, "SEGMENT", segment)
        asyncio.run(run())


async def test_a_read_past_what_came_waits_or_is_at_the_end() -> None:
    s = Spool()
    ours, theirs = os.pipe()
    s.drain(ours, watching())
    assert s.read(10, 0) is None
    os.write(theirs, b"abc")
    await s.more()
    assert s.read(10, 0) == b"abc"
    assert s.read(10, 3) is None
    os.close(theirs)
    await s.more()
    assert s.read(10, 3) == b""
    s.close()


async def test_at_its_quota_a_spool_takes_no_more_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY", 100)
    monkeypatch.setattr(spool, "SEGMENT", 100)
    monkeypatch.setattr(spool, "PIECE", 100)
    s = Spool(400)
    ours, theirs = os.pipe()
    os.write(theirs, bytes(range(250)) * 8)
    s.drain(ours, watching())
    for _ in range(50):
        await asyncio.sleep(0)
    assert s.end == 400
    got = b""
    while len(got) < 2000:
        data = s.read(70, len(got))
        if data is None:
            await s.more()
        else:
            got += data
            s.advance("reader", len(got))
            assert s.end - s.start <= 400
    assert got == bytes(range(250)) * 8
    with pytest.raises(OSError, match="output no longer kept"):
        s.read(1, 0)
    os.close(theirs)
    s.close()


def full() -> int:
    """The descriptor of a file on a disk that has no room."""
    return os.open("/dev/full", os.O_RDWR)


async def test_while_the_disk_is_full_the_task_is_held_back_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = spool.temporary
    monkeypatch.setattr(spool, "MEMORY", 10)
    monkeypatch.setattr(spool, "PIECE", 100)
    monkeypatch.setattr(spool, "RETRY", 0.01)
    monkeypatch.setattr(spool, "temporary", full)
    whole = bytes(range(250)) * 4
    s = Spool()
    ours, theirs = os.pipe()
    os.write(theirs, whole)
    os.close(theirs)
    s.drain(ours, watching())
    await asyncio.sleep(0.05)
    assert s.end == 100 and not s.eof
    assert s.read(1000, 0) == whole[:100]
    s.advance("reader", 100)
    while s.end == 100:
        await s.more()
    assert s.read(1000, 100) == whole[100:200]
    monkeypatch.setattr(spool, "temporary", real)  # there is room again, and nobody reads
    while not s.eof:
        await s.more()
    got = b""
    while data := s.read(70, 100 + len(got)):
        got += data
    assert got == whole[100:]
    s.close()


async def test_a_feed_keeps_the_order_and_ends_behind_what_is_queued() -> None:
    feed = Feed()
    assert feed.write(b"before ")
    theirs, ours = os.pipe()
    feed.attach(ours)
    data = os.urandom(300_000)
    assert not feed.write(data)
    feed.end()
    waiting = asyncio.create_task(feed.wait())
    got = b""
    while piece := await asyncio.to_thread(os.read, theirs, 65536):
        got += piece
    assert got == b"before " + data
    await waiting
    with pytest.raises(errors.Ewclosed):
        feed.write(b"late")
    os.close(theirs)


async def test_a_feed_whose_reader_has_gone_says_so() -> None:
    feed = Feed()
    theirs, ours = os.pipe()
    feed.attach(ours)
    os.close(theirs)
    with pytest.raises(errors.Ewclosed):
        feed.write(b"x")
