"""Calls that may take long: who waits for them, who does not, and what comes of them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from nsh.dev import libc, patience
from nsh.dev.patience import Place, in_background, may_wait, patiently, settled


@contextmanager
def closed_gate() -> Iterator[tuple[threading.Event, Callable[[], str]]]:
    """What opens a gate, and a call that waits before it; it is open in the end."""
    gate = threading.Event()

    def wait() -> str:
        gate.wait()
        return "through"

    try:
        yield gate, wait
    finally:
        gate.set()


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.001)


async def test_a_call_returns_what_it_returns_and_raises_what_it_raises() -> None:
    place = Place("here")
    assert await patiently(place, lambda: 7) == 7
    with pytest.raises(NotADirectoryError):
        await patiently(place, lambda: os.stat("/dev/null/x"))


async def test_only_the_threads_may_wait() -> None:
    assert not may_wait()
    assert await patiently(Place("here"), may_wait)
    assert not await asyncio.to_thread(may_wait)


async def test_the_loop_turns_while_a_call_waits() -> None:
    with closed_gate() as (gate, wait):
        waiting = asyncio.create_task(patiently(Place("here"), wait))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        assert await waiting == "through"


async def test_who_is_cancelled_goes_at_once_and_what_comes_later_is_disposed_of() -> None:
    disposed: list[str] = []
    after: list[str] = []
    with closed_gate() as (gate, wait):
        call = patiently(Place("here"), wait, disposed.append, lambda: after.append("after"))
        waiting = asyncio.create_task(call)
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (disposed, after) == ([], [])
        gate.set()
        await until(lambda: disposed)
        assert (disposed, after) == (["through"], ["after"])


async def test_who_is_cancelled_when_the_answer_is_there_has_it_disposed_of() -> None:
    disposed: list[int] = []

    async def one() -> None:
        await patiently(Place("here"), lambda: 1, disposed.append)

    for steps in range(8):  # at whatever step it is
        waiting = asyncio.create_task(one())
        for _ in range(steps):
            await asyncio.sleep(0)
        before = len(disposed)
        if waiting.cancel():
            await asyncio.wait([waiting])
            if waiting.cancelled() and steps > 0:
                await until(lambda before=before: len(disposed) > before)  # type: ignore[misc]


async def test_a_place_has_a_limited_number_of_threads_and_others_have_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "MOST", 2)
    hung, well = Place("hung"), Place("well")
    with closed_gate() as (gate, wait):
        first = [asyncio.create_task(patiently(hung, wait)) for _ in range(2)]
        await asyncio.sleep(0)
        made: list[int] = []
        behind = asyncio.create_task(patiently(hung, lambda: made.append(1)))
        given_up = asyncio.create_task(patiently(hung, lambda: made.append(2)))
        assert await patiently(well, lambda: "well") == "well"
        assert made == []
        given_up.cancel()
        await asyncio.wait([given_up])
        gate.set()
        assert await asyncio.gather(*first) == ["through"] * 2
        await behind
    assert made == [1], "what was given up before it began is never done"


async def test_a_call_that_is_given_up_is_interrupted() -> None:
    reading, writing = os.pipe()
    try:
        done = asyncio.Event()
        waiting = asyncio.create_task(
            patiently(Place("a pipe"), lambda: libc.read(reading, 10), after=done.set)
        )
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        await done.wait()  # which without an interrupt would be never
    finally:
        os.close(reading)
        os.close(writing)


async def test_what_is_done_in_the_background_is_done_before_what_comes_after_in_the_same_place() -> None:
    place = Place("here")
    done: list[str] = []
    with closed_gate() as (gate, wait):
        in_background(place, lambda: done.append(wait()))
        asyncio.get_running_loop().call_later(0.01, gate.set)
        assert await patiently(Place("there"), lambda: list(done)) == []
        assert await patiently(place, lambda: list(done)) == ["through"]
    in_background(place, lambda: os.close(-1), after=lambda: done.append("after"))
    await settled()
    assert done == ["through", "after"], "an error is nobody's"


async def test_nobody_waits_long_for_what_is_done_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOMENT", 0.01)
    place = Place("hung")
    with closed_gate() as (_, wait):
        in_background(place, wait)
        assert await patiently(place, lambda: 1) == 1


def test_a_thread_that_waits_does_not_keep_the_program_from_ending() -> None:
    import subprocess
    import sys

    script = """if True:
        import asyncio, threading
        from nsh.dev.patience import Place, patiently
        async def main():
            waiting = asyncio.create_task(patiently(Place("hung"), threading.Event().wait))
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """
    assert subprocess.run([sys.executable, "-c", script], timeout=20).returncode == 0
