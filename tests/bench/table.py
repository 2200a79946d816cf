"""What the benches have in common: how to measure side by side, and the table of what was measured.

A figure says little by itself: machines differ, and a shared one differs from minute to minute. So each
is measured beside a yardstick, in turn with it and in the same run, and the table gives the ratio.
What is measured is said in the module of each bench, of which there is one for each area.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

WHAT, YARDSTICK = 50, 26
"""Columns of the table, in characters."""

_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class Target(NamedTuple):
    """What a figure should be: ``of`` "ratio" or "figure", at ``most`` or at ``least`` so much."""

    of: str
    most: float = float("inf")
    least: float = 0.0

    def met(self, row: Row) -> bool:
        return self.least <= (row.ratio if self.of == "ratio" else row.figure) <= self.most


class Row(NamedTuple):
    """A figure beside its yardstick, both in seconds or both in ``unit`` if that is a rate ("MB/s")."""

    what: str
    figure: float
    yardstick: str
    base: float
    unit: str
    target: Target | None = None

    @property
    def ratio(self) -> float:
        return self.figure / self.base

    @property
    def met(self) -> bool:
        return self.target is None or self.target.met(self)


def line(row: Row) -> str:
    """One line of the table."""
    parts = (
        f"{row.what:{WHAT}}{_quantity(row.figure, row.unit):>12}",
        f"{row.yardstick:{YARDSTICK}}{_quantity(row.base, row.unit):>12}{row.ratio:8.2f} x",
        _judged(row),
    )
    return "  ".join(parts).rstrip()


def heading() -> str:
    """The machine and the day, and the names of the columns."""
    columns = f"{'what':{WHAT}}{'figure':>12}  {'yardstick':{YARDSTICK}}{'figure':>12}{'ratio':>10}  target"
    return f"{machine()}, {time.strftime('%Y-%m-%d')}\n\n{columns}"


def machine() -> str:
    """What this runs on."""
    cpu = platform.machine()
    with open("/proc/cpuinfo") as f:
        for entry in f:
            if entry.startswith("model name"):
                cpu = entry.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{cpu}, {cores} cores, {platform.system()} {platform.release()}, {python}"


def _quantity(value: float, unit: str) -> str:
    return f"{value * _UNITS.get(unit, 1.0):,.2f} {unit}"


def _judged(row: Row) -> str:
    if row.target is None:
        return ""
    of, most, least = row.target
    if of == "ratio":
        wanted = f"<= {most:g} x" if least == 0 else f">= {least:g} x"
    else:
        wanted = f"<= {_quantity(most, row.unit)}" if least == 0 else f">= {_quantity(least, row.unit)}"
    return f"{wanted}  {'ok' if row.met else 'MISSED'}"


async def side_by_side(
    works: Sequence[Callable[[], Awaitable[object]]],
    times: Sequence[int],
    rounds: int = 7,
    clock: Callable[[], float] = time.process_time,
) -> list[float]:
    """Seconds that each of ``works`` takes once: the best of ``rounds``, in which they take turns.

    ``times``: how often each is done in one round.
    """
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for i, (work, count) in enumerate(zip(works, times, strict=True)):
            gc.collect()
            start = clock()
            for _ in range(count):
                await work()
            best[i] = min(best[i], (clock() - start) / count)
    return best
