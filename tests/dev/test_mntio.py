"""Reading and writing the files of a server with a window of requests under way."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsh.dev import mntio
from nsh.p9 import msg
from nsh.p9.const import QTAPPEND
from nsh.p9.stat import Qid
from tests.dev.rogue import Rogue
from tests.dev.test_mnt import mounted, stop
from tests.kern.world import content, failure, world
from tests.net.peers import Host, command, quiet

MSIZE = 8192 + 24
IOUNIT = 8192
BIG = random.Random(9).randbytes(300_000)


def reads(m: msg.Message) -> bool:
    return isinstance(m, msg.Tread)


def writes(m: msg.Message) -> bool:
    return isinstance(m, msg.Twrite)


async def started(rogue: Rogue) -> tuple[int, bytes]:
    """The file, open, after so many reads that the next one is made in advance; and what was read."""
    fd = await rogue.open()
    data = await rogue.p.read(fd, IOUNIT)
    await quiet()
    assert rogue.count(msg.Tstat) == 1
    return fd, data


async def test_a_plain_file_is_read_with_many_requests_under_way() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, data = await started(rogue)
    rogue.held = reads
    more = asyncio.create_task(rogue.p.read(fd, IOUNIT))
    await quiet()
    assert len(rogue.waiting) > 1
    rogue.held = lambda m: False
    while rogue.waiting:
        await rogue.answer()
    data += await more
    data += await rogue.p.readall(fd)
    assert data == BIG
    await rogue.stop()


async def test_replies_may_come_in_any_order() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, data = await started(rogue)
    rogue.held = reads
    rest = asyncio.create_task(rogue.p.readall(fd))
    order = random.Random(1)
    while not rest.done():
        await asyncio.sleep(0)
        if rogue.waiting:
            await rogue.answer(order.randrange(len(rogue.waiting)))
    assert data + rest.result() == BIG
    await rogue.stop()


@pytest.mark.parametrize(("kind", "length"), [(0, 0), (QTAPPEND, None)])
async def test_files_that_are_not_plain_are_read_when_somebody_reads(kind: int, length: int | None) -> None:
    """Of length 0, or append-only: there is never more than one Tread, and none that nobody waits for."""
    rogue = await Rogue.start(BIG, MSIZE)
    rogue.qid, rogue.length = Qid(kind, 1, 1), length
    fd = await rogue.open()
    for n in range(1, 20):
        await rogue.p.read(fd, IOUNIT)
        await quiet()
        assert rogue.count(msg.Tread) == n
    await rogue.stop()


async def test_a_small_file_costs_no_stat() -> None:
    rogue = await Rogue.start(b"small", MSIZE)
    assert await content(rogue.p, "/mnt/a/f") == "small"
    assert rogue.count(msg.Tstat) == 0
    assert rogue.count(msg.Tread) == 2
    await rogue.stop()


async def test_what_was_asked_in_advance_is_flushed_when_the_reader_goes_elsewhere() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, _ = await started(rogue)
    rogue.held = lambda m: isinstance(m, msg.Tread) and m.offset > IOUNIT
    await rogue.p.read(fd, IOUNIT)
    await quiet()
    under_way = len(rogue.waiting)
    assert under_way > 0
    rogue.held = lambda m: False
    assert await rogue.p.pread(fd, 10, 100_000) == BIG[100_000:100_010]
    await quiet()
    assert rogue.count(msg.Tflush) == under_way
    assert not rogue.waiting
    await rogue.stop()


async def test_a_file_that_shrinks_ends_where_it_ends() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, data = await started(rogue)
    del rogue.data[20_000:]
    assert data + await rogue.p.readall(fd) == BIG[:20_000]
    rogue.data[:] = BIG
    assert await rogue.p.readall(fd) == BIG[20_000:]
    await rogue.stop()


async def test_a_short_reply_in_the_middle_is_no_end() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    order = random.Random(2)

    def shorter(m: msg.Message, reply: msg.Message) -> msg.Message:
        if isinstance(reply, msg.Rread) and len(reply.data) > 1 and order.random() < 0.2:
            return reply._replace(data=reply.data[: order.randrange(1, len(reply.data))])
        return reply

    rogue.twist = shorter
    assert await rogue.p.readfile("/mnt/a/f") == BIG
    await rogue.stop()


async def test_an_error_is_that_of_its_place_and_can_be_tried_again() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, data = await started(rogue)

    def bad(m: msg.Message, reply: msg.Message) -> msg.Message:
        if isinstance(m, msg.Tread) and m.offset <= 100_000 < m.offset + m.count:
            return msg.Rerror(m.tag, "bad block")
        return reply

    rogue.twist = bad
    with pytest.raises(OSError, match="bad block"):
        while True:
            data += await rogue.p.read(fd, IOUNIT)
    assert BIG.startswith(data)
    assert len(data) > 100_000 - IOUNIT
    rogue.twist = lambda m, r: r
    assert data + await rogue.p.readall(fd) == BIG
    await rogue.stop()


async def test_a_reader_that_is_cancelled_flushes_all_and_can_go_on() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, data = await started(rogue)
    rogue.held = reads
    reader = asyncio.create_task(rogue.p.read(fd, IOUNIT))
    await quiet()
    under_way = len(rogue.waiting)
    reader.cancel()
    await asyncio.wait([reader])
    await quiet()
    assert rogue.count(msg.Tflush) == under_way > 1
    rogue.held = lambda m: False
    assert data + await rogue.p.readall(fd) == BIG
    await rogue.stop()


async def test_two_readers_of_one_descriptor_are_cancelled_apart() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, _ = await started(rogue)
    rogue.held = reads
    one, other = (asyncio.create_task(rogue.p.pread(fd, 4096, IOUNIT + n * 4096)) for n in range(2))
    await quiet()
    one.cancel()
    await asyncio.wait([one])
    rogue.held = lambda m: False
    await quiet()
    while rogue.waiting:
        await rogue.answer()
    assert await other == BIG[IOUNIT + 4096 : IOUNIT + 8192]
    await rogue.stop()


async def test_the_second_half_of_a_piece_that_came_short_is_asked_for_again() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, _ = await started(rogue)
    rogue.held = reads
    halves = [asyncio.create_task(rogue.p.pread(fd, 4096, IOUNIT + n * 4096)) for n in range(2)]
    await quiet()
    rogue.twist = lambda m, r: msg.Rread(m.tag, BIG[IOUNIT : IOUNIT + 100])
    await rogue.answer()
    rogue.twist = lambda m, r: r
    rogue.held = lambda m: False
    await quiet()
    assert [await half for half in halves] == [BIG[IOUNIT:][:100], BIG[IOUNIT + 4096 :][:4096]]
    await rogue.stop()


async def test_what_was_read_in_advance_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mntio, "FRESH", 0.01)
    rogue = await Rogue.start(BIG, MSIZE)
    fd, _ = await started(rogue)
    await rogue.p.read(fd, IOUNIT)
    await quiet()
    rogue.data[:] = bytes(len(BIG))
    assert await rogue.p.read(fd, IOUNIT) == bytes(IOUNIT)
    await rogue.stop()


async def test_a_write_from_here_is_seen_by_those_who_read_ahead() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, _ = await started(rogue)
    await rogue.p.read(fd, IOUNIT)
    await quiet()
    other = await rogue.open()
    await rogue.p.pwrite(other, bytes(50_000), 0)
    assert await rogue.p.read(fd, IOUNIT) == bytes(IOUNIT)
    await rogue.stop()


async def test_a_connection_lost_in_the_middle_of_a_window_is_told_at_once() -> None:
    rogue = await Rogue.start(BIG, MSIZE)
    fd, _ = await started(rogue)
    rogue.held = lambda m: reads(m) or writes(m)
    work = [rogue.p.read(fd, IOUNIT), rogue.p.pwrite(fd, BIG, 0), rogue.p.pwrite(fd, b"x", 0)]
    told = [asyncio.create_task(failure(w)) for w in work]
    await quiet()
    await rogue.hangup()
    assert [await t for t in told] == ["mount rpc error"] * 3
    assert await failure(rogue.p.read(fd)) == "i/o on hungup channel"
    assert await failure(rogue.p.pwrite(fd, BIG, 0)) == "i/o on hungup channel"
    rogue.p.exit()
    await quiet()


# --- writing -----------------------------------------------------------------------------------


async def test_a_long_write_has_many_requests_under_way() -> None:
    rogue = await Rogue.start(b"", MSIZE)
    fd = await rogue.open()
    rogue.held = lambda m: isinstance(m, msg.Twrite) and m.offset > 0
    writer = asyncio.create_task(rogue.p.pwrite(fd, BIG, 0))
    await quiet()
    assert len(rogue.waiting) > 1
    rogue.held = lambda m: False
    while rogue.waiting:
        await rogue.answer(-1)
    assert await writer == len(BIG)
    assert rogue.data == BIG
    await rogue.stop()


async def test_a_long_write_to_a_file_without_length_goes_piece_by_piece() -> None:
    rogue = await Rogue.start(b"", MSIZE)
    rogue.length = 0
    fd = await rogue.open()
    rogue.held = writes
    writer = asyncio.create_task(rogue.p.pwrite(fd, BIG, 0))
    while not writer.done():
        await asyncio.sleep(0)
        assert len(rogue.waiting) <= 1
        if rogue.waiting:
            await rogue.answer()
    assert writer.result() == len(BIG)
    await rogue.stop()


async def test_the_first_error_of_a_window_is_reported_when_all_of_it_has_ended() -> None:
    rogue = await Rogue.start(b"", MSIZE)
    fd = await rogue.open()

    def full(m: msg.Message, reply: msg.Message) -> msg.Message:
        if isinstance(m, msg.Twrite) and m.offset >= 5 * IOUNIT:
            return msg.Rerror(m.tag, f"no room at {m.offset}")
        return reply

    rogue.twist = full
    rogue.held = lambda m: isinstance(m, msg.Twrite) and m.offset == 9 * IOUNIT
    writer = asyncio.create_task(failure(rogue.p.pwrite(fd, BIG, 0)))
    await quiet()
    assert not writer.done()
    await rogue.answer()
    assert await writer == f"no room at {5 * IOUNIT}"
    await rogue.stop()


async def test_a_write_that_was_taken_in_part_is_counted_up_to_there() -> None:
    rogue = await Rogue.start(b"", MSIZE)
    fd = await rogue.open()

    def part(m: msg.Message, reply: msg.Message) -> msg.Message:
        if isinstance(m, msg.Twrite) and m.offset == 5 * IOUNIT:
            return msg.Rwrite(m.tag, 7)
        return reply

    rogue.twist = part
    assert await rogue.p.pwrite(fd, BIG, 0) == 5 * IOUNIT + 7
    rogue.twist = lambda m, r: r
    assert await rogue.p.write(fd, BIG) == len(BIG)
    assert rogue.data == BIG
    await rogue.stop()


async def test_a_writer_that_is_cancelled_flushes_what_is_under_way() -> None:
    rogue = await Rogue.start(b"", MSIZE)
    fd = await rogue.open()
    rogue.held = lambda m: isinstance(m, msg.Twrite) and m.offset > 0
    writer = asyncio.create_task(rogue.p.pwrite(fd, BIG, 0))
    await quiet()
    under_way = len(rogue.waiting)
    writer.cancel()
    await asyncio.wait([writer])
    await quiet()
    assert rogue.count(msg.Tflush) == under_way > 1
    rogue.held = lambda m: False
    assert await rogue.p.pwrite(fd, b"again", 0) == 5
    await rogue.stop()


# --- anything, in any order --------------------------------------------------------------------

OFFSETS = st.integers(0, 120_000)
STEPS = st.one_of(
    st.tuples(st.just("read"), st.sampled_from([100, 4096, 5000, IOUNIT, 20_000, 70_000])),
    st.tuples(st.just("seek"), OFFSETS),
    st.tuples(st.just("write"), st.integers(0, 40_000)),
    st.tuples(st.just("elsewhere"), OFFSETS),
    st.tuples(st.just("cut"), OFFSETS),
)


@given(
    steps=st.lists(STEPS, max_size=25),
    size=st.sampled_from([0, 10, 60_000, 120_000]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_any_reads_seeks_and_writes_do_what_they_do_to_bytes(
    steps: list[tuple[str, int]], size: int, seed: int
) -> None:
    """Also with replies in any order, and some of them short."""

    async def run() -> None:
        chance = random.Random(seed)
        rogue = await Rogue.start(BIG[:size], MSIZE)
        model = bytearray(rogue.data)
        fd, other = await rogue.open(), await rogue.open()
        rogue.held = reads
        at = 0

        def shorter(m: msg.Message, reply: msg.Message) -> msg.Message:
            if isinstance(reply, msg.Rread) and len(reply.data) > 1 and chance.random() < 0.1:
                return reply._replace(data=reply.data[: chance.randrange(1, len(reply.data))])
            return reply

        rogue.twist = shorter

        async def answering() -> None:
            while True:
                await asyncio.sleep(0)
                if rogue.waiting:
                    await rogue.answer(chance.randrange(len(rogue.waiting)))

        server = asyncio.create_task(answering())
        for what, n in steps:
            if what == "read":
                data = await rogue.p.read(fd, n)
                assert data == model[at : at + len(data)]
                assert data or at >= len(model)
                at += len(data)
            elif what == "seek":
                at = await rogue.p.seek(fd, n)
            elif what == "write":
                data = chance.randbytes(n)
                assert await rogue.p.write(fd, data) == n
                put(model, at, data)
                at += n
            elif what == "elsewhere":
                await rogue.p.pwrite(other, b"elsewhere", n)
                put(model, n, b"elsewhere")
            else:
                # by somebody else: a reader may see for a while what was there, so let it start anew
                del rogue.data[n:]
                del model[n:]
                await rogue.p.pread(fd, 1, at + 1)
        assert rogue.data == model
        server.cancel()
        await asyncio.wait([server])
        await rogue.stop()

    asyncio.run(run())


def put(model: bytearray, at: int, data: bytes) -> None:
    if data:
        model.extend(bytes(max(0, at - len(model))))
        model[at : at + len(data)] = data


# --- with our own server -----------------------------------------------------------------------


async def test_cat_and_cp_through_a_window() -> None:
    owner = await world("d/")
    text = BIG * 12
    fd = await owner.create("/mnt/d/big")
    await owner.write(fd, text)
    owner.close(fd)
    host = await Host.start(owner)
    p = await mounted(host)
    assert await p.readfile("/mnt/h/d/big") == text
    assert await command(p, "cp", "/mnt/h/d/big", "/mnt/h/d/copy") == ("", "")
    assert await owner.readfile("/mnt/d/copy") == text
    fd = await p.open("/mnt/h/d/copy", 1)
    assert await p.pwrite(fd, text + text, 5) == 2 * len(text)
    assert await owner.readfile("/mnt/d/copy") == text[:5] + text + text
    p.close(fd)
    await stop(p, host)
