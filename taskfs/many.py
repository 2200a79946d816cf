"""Many at a time: the same work for each child or host, and what is said of one that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from nsh.errors import P9Error
from taskfs.owner import AFEW, Turn

T = TypeVar("T")
A = TypeVar("A")

TOGETHER = 64
"""Children that are spoken to at a time."""


class Lost(P9Error, ConnectionError):
    """A host does not answer, or its connection is broken."""

    text = "host is lost"


async def each(
    items: Iterable[A], work: Callable[[A], Awaitable[T]], together: int = TOGETHER
) -> list[T | OSError]:
    """Do ``work`` for every item, at most ``together`` at a time; an OSError is a result too.

    Work that never waits gives way to others between the items.
    """
    todo = list(items)
    results: list[T | OSError] = [Lost()] * len(todo)
    numbers = iter(range(len(todo)))
    turn = Turn()

    async def worker() -> None:
        for i in numbers:
            if turn.over():
                await turn.give()
            try:
                results[i] = await work(todo[i])
            except OSError as e:
                results[i] = e

    if min(together, len(todo)) <= 1:
        await worker()
    else:
        async with asyncio.TaskGroup() as group:
            for n in range(min(together, len(todo))):
                if n and n % AFEW == 0:
                    await asyncio.sleep(0)  # more would but find that this turn is over
                group.create_task(worker())
    return results


def looked_at(task: asyncio.Future[Any]) -> None:
    """Whoever asked for this may have gone; then its error is nobody's."""
    if not task.cancelled():
        task.exception()
