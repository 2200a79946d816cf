"""Noteg: what is interrupted and stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from nsh.kern.noteg import INTERRUPT, Noteg
from nsh.kern.proc import RFNOTEG
from tests.kern.world import world


async def count(numbers: list[int]) -> str:
    """Something that never ends, and can be seen to go on."""
    while True:
        numbers.append(len(numbers))
        await asyncio.sleep(0)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def gated(noteg: Noteg, numbers: list[int]) -> asyncio.Task[str]:
    async def run() -> str:
        return await noteg.gated(count(numbers))

    task = asyncio.create_task(run())
    noteg.begin(task)
    return task


async def test_a_coroutine_rests_while_its_group_is_stopped() -> None:
    noteg = Noteg(control=True)
    numbers: list[int] = []
    task = gated(noteg, numbers)
    await turns()
    noteg.stop(signal.SIGTSTP)
    await turns()
    stopped = len(numbers)
    await turns()
    assert len(numbers) == stopped > 1
    noteg.go_on()
    await turns()
    assert len(numbers) > stopped
    task.cancel()
    await asyncio.wait([task])


async def test_what_is_stopped_can_be_ended_and_cleans_up() -> None:
    noteg = Noteg(control=True)
    left = []

    async def work() -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0)
            left.append("cleaned")
        return ""

    async def run() -> str:
        return await noteg.gated(work())

    task = asyncio.create_task(run())
    await turns()
    noteg.stop(signal.SIGTSTP)
    task.cancel()
    await asyncio.wait([task])
    assert left == ["cleaned"] and task.cancelled()


async def test_a_gate_is_nothing_to_what_comes_through_it() -> None:
    async def work() -> str:
        try:
            await asyncio.wait_for(asyncio.sleep(1000), 0)
        except TimeoutError:
            return await asyncio.sleep(0, "done")
        return ""

    assert await Noteg().gated(work()) == "done"
    with pytest.raises(ZeroDivisionError):
        await Noteg().gated(asyncio.wait_for(_fail(), 1))


async def _fail() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def test_an_interrupt_is_for_all_that_run_beside_each_other() -> None:
    noteg = Noteg()
    tasks = [gated(noteg, []), gated(noteg, [])]
    await turns()
    noteg.interrupt(INTERRUPT)
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    assert noteg.tasks == set()


def test_a_signal_for_one_program_reaches_what_it_has_started_if_it_is_the_only_one() -> None:
    noteg = Noteg(front=False)
    assert noteg.place() == 0
    program = os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 1000; true"], {}, setpgroup=0)
    noteg.add(program, 0)
    assert noteg.place() == program
    noteg.send(signal.SIGKILL, program)
    os.waitpid(program, 0)
    while True:  # until nobody is left of its group
        try:
            os.killpg(program, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    noteg.remove(program, -signal.SIGKILL)
    assert (noteg.pgid, noteg.programs) == (0, {})


async def test_rfnoteg_is_a_group_of_its_own() -> None:
    p = await world()
    assert p.fork().noteg is p.noteg
    child = p.fork(RFNOTEG)
    assert child.noteg is not p.noteg and not child.noteg.front


def test_a_key_is_for_the_programs_alone_as_long_as_one_of_them_takes_it() -> None:
    noteg = Noteg(control=True)
    assert not noteg.heard(signal.SIGTSTP)
    pid = os.posix_spawn("/bin/cat", ["cat", "/dev/zero"], {}, file_actions=[(os.POSIX_SPAWN_CLOSE, 1)])
    noteg.add(pid, None)
    assert noteg.heard(signal.SIGTSTP)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert noteg.heard(signal.SIGTSTP)  # it has ended, and nobody knows yet
    os.waitpid(pid, 0)
    noteg.remove(pid, 1)
    assert not noteg.heard(signal.SIGTSTP)


def test_who_is_left_may_have_been_stopped_already() -> None:
    noteg = Noteg(control=True)
    for pid in (1, 2):
        noteg.add(pid, None)
    noteg.noticed(1, signal.SIGTSTP)
    assert not noteg.stopped
    noteg.remove(2, 0)
    assert noteg.stopped != 0
