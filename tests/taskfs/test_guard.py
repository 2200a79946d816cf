"""What an nsh leaves running when it dies is killed; what has ended is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

from taskfs.guard import Guard


async def _gone(process: subprocess.Popen[bytes]) -> int:
    """Wait for the process; its exit code, negative for a signal."""
    return await asyncio.to_thread(process.wait)


def _sleeper(script: str = "exec sleep 100") -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", script], process_group=0)


async def test_when_the_pipe_closes_the_groups_that_run_are_killed() -> None:
    guard = Guard()
    guard.start()
    one, stubborn, ended = _sleeper(), _sleeper("trap '' TERM; while :; do sleep 1; done"), _sleeper()
    for process in (one, stubborn, ended):
        guard.add(process.pid)
    guard.remove(ended.pid)
    await asyncio.sleep(0.2)  # the trap takes a moment
    guard._close()  # as the death of this process would
    assert await _gone(one) == -signal.SIGTERM
    assert await _gone(stubborn) == -signal.SIGKILL
    assert ended.poll() is None
    os.killpg(ended.pid, signal.SIGKILL)
    ended.wait()


async def test_the_helper_goes_when_it_is_not_wanted_and_nothing_runs() -> None:
    guard = Guard()
    guard.start()
    process = _sleeper()
    guard.add(process.pid)
    guard.unwanted()
    idle = asyncio.create_task(guard.idle())
    await asyncio.sleep(0)
    assert not idle.done()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    guard.remove(process.pid)
    await idle


async def test_it_can_be_had_again() -> None:
    guard = Guard()
    for _ in range(3):
        guard.start()
        guard.add(1 << 22)
        guard.remove(1 << 22)
        guard.unwanted()
