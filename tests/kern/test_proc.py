"""Processes: their program, their end, what belongs to them, and what forks share."""

from __future__ import annotations

import asyncio

import pytest

from nsh import errors
from nsh.kern.dev import up
from nsh.kern.proc import INTERRUPT, RFCFDG, RFENVG, RFFDG, RFNOTEG, Proc
from nsh.p9.const import OREAD, OWRITE
from tests.kern.world import failure, world


async def test_a_program_runs_as_its_process_and_leaves_a_status() -> None:
    p = await world()
    seen: list[Proc] = []

    async def program(child: Proc) -> str:
        seen.append(up())
        await asyncio.sleep(0)
        return "no match"

    child = p.fork(RFFDG)
    assert await child.start(program) == "no match"
    assert await child.wait() == "no match"
    assert seen == [child]
    assert child.pid not in p.system.procs


async def test_an_error_that_is_not_caught_is_the_status() -> None:
    p = await world()

    async def program(child: Proc) -> None:
        raise errors.Enonexist()

    child = p.fork(RFFDG)
    assert await child.start(program) == "file does not exist"
    await child.wait()


@pytest.mark.logs("process .* failed")
async def test_a_bug_in_a_program_is_logged_and_ends_only_that_process() -> None:
    p = await world()

    async def program(child: Proc) -> None:
        raise KeyError("bug")

    child = p.fork(RFFDG)
    with pytest.raises(KeyError):
        await child.start(program)
    assert await child.wait() == "i/o error"


async def test_a_process_that_was_interrupted_says_so_and_one_that_was_then_killed_says_that() -> None:
    p = await world()

    async def program(child: Proc) -> None:
        await asyncio.sleep(100)

    for then_killed, status in ((False, "interrupted"), (True, "killed")):
        child = p.fork()
        task = child.start(program)
        await asyncio.sleep(0)
        task.cancel(INTERRUPT)
        if then_killed:
            child.kill()
        assert await child.wait() == status


async def test_kill_interrupts_and_closes_the_files() -> None:
    """Also a program that has not made its first step yet."""
    p = await world()
    for steps in (0, 2):
        child = p.fork(RFCFDG)
        here, there = await child.pipe()
        other = child.fgrp.get(there).incref()

        async def program(child: Proc, fd: int = here) -> None:
            await child.read(fd)

        child.start(program)
        for _ in range(steps):
            await asyncio.sleep(0)
        child.kill()
        assert await child.wait() == "killed"
        assert other.dev.read(other, 10, 0) == b""  # the end of the file: the far end is closed
        other.close()


async def test_descriptors_are_copied_or_shared() -> None:
    p = await world("f")
    fd = await p.open("/mnt/f")
    sharing, copying, empty = p.fork(), p.fork(RFFDG), p.fork(RFCFDG)
    p.close(fd)
    with pytest.raises(errors.Ebadfd):
        sharing.fgrp.get(fd)
    with pytest.raises(errors.Ebadfd):
        empty.fgrp.get(fd)
    assert await copying.read(fd) == b"f"
    for child in (sharing, copying, empty):
        child.exit()


async def test_environments_are_copied_or_shared() -> None:
    p = await world()
    sharing, copying = p.fork(), p.fork(RFENVG)
    p.egrp.set("x", b"1")
    assert (sharing.egrp.get("x"), copying.egrp.get("x")) == (b"1", None)
    for child in (sharing, copying):
        child.exit()


async def test_what_belongs_to_a_leader_ends_with_it() -> None:
    p = await world()
    leader = p.fork(RFNOTEG)
    follower = leader.fork()
    ended: list[str] = []
    follower.leader.atexit(lambda: ended.append("all"))
    taken_back = leader.atexit(lambda: ended.append("never"))
    taken_back()
    follower.exit()
    assert ended == []
    leader.exit()
    leader.exit()
    assert ended == ["all"]


async def test_dup_and_close() -> None:
    p = await world("f")
    fd = await p.open("/mnt/f")
    assert p.dup(fd, 7) == 7
    p.close(fd)
    assert await p.read(7) == b"f"
    p.close(7)
    with pytest.raises(errors.Ebadfd, match="fd out of range or not open"):
        p.close(7)


async def test_reading_and_writing_need_the_right_mode() -> None:
    p = await world("f", "d/")
    fd = await p.open("/mnt/f", OWRITE)
    assert await failure(p.read(fd)) == "inappropriate use of fd"
    p.close(fd)
    fd = await p.open("/mnt/d", OREAD)
    assert await failure(p.write(fd, b"x")) == "file is a directory"
    assert await failure(p.seek(fd, 5)) == "file is a directory"
    p.close(fd)


async def test_a_program_whose_calls_never_wait_leaves_room_for_others() -> None:
    """What a file of memory is asked can be answered at once, always."""
    p = await world("f")
    empty = await p.open("/mnt/f")

    async def reader(p: Proc) -> str:
        while True:
            await p.read(empty)

    async def asker(p: Proc) -> str:
        while True:
            await p.stat("/mnt/f")

    for program in (reader, asker):
        child = p.fork()
        child.start(program)
        await asyncio.sleep(0)
        child.kill()
        assert await child.wait() == "killed"
