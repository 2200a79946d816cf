"""nsh --timings: where the time of a start went, and how long each command took.

A start is told in CPU time, since hardly anything in it waits; of a command the clock counts as well.
What is told goes to the standard error of the program, wherever commands are redirected to.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # not from typing, which belongs to what is timed here
if TYPE_CHECKING:
    from nsh.rc.tree import Node

WIDTH = 60
"""Characters of a command that are shown."""


class Timings:
    """Keeps the time of one program run. It is made when Python itself has started."""

    def __init__(self) -> None:
        self._marks = [("Python", time.process_time())]
        self._told = False
        self.inside = False

    def mark(self, what: str) -> None:
        """``what`` is done now, and was begun when the thing before was done."""
        if not self._told:
            self._marks.append((what, time.process_time()))

    def command(self, place: str, node: Node) -> Command:
        """For as long as a command runs; one that runs in it counts for it."""
        return Command(self, place, node)

    def tell(self) -> None:
        """Say where the start-up time went, the first time that this is called."""
        if self._told:
            return
        self.mark("until the first command")
        self._told = True
        _print(f"{'CPU, ms':>9}  start-up")
        before = 0.0
        for what, at in self._marks:
            _print(f"{(at - before) * 1e3:9.1f}  {what}")
            before = at
        _print(f"{before * 1e3:9.1f}  in all")
        _print(f"{'ms':>9} {'CPU, ms':>9}  command")


class Command:
    """Keeps the time of one command, as a context."""

    def __init__(self, timings: Timings, place: str, node: Node) -> None:
        self._timings, self._place, self._node = timings, place, node
        self._inner = timings.inside

    def __enter__(self) -> None:
        self._timings.tell()
        self._timings.inside = True
        self._clock, self._cpu = time.perf_counter(), _cpu()

    def __exit__(self, *_: object) -> None:
        if self._inner:
            return
        self._timings.inside = False
        clock, cpu = time.perf_counter() - self._clock, _cpu() - self._cpu
        _print(f"{clock * 1e3:9.1f} {cpu * 1e3:9.1f}  {self._place}{_shown(self._node)}")


def _cpu() -> float:
    """CPU time of this program and of those it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _shown(node: Node) -> str:
    from nsh.rc.unparse import unparse

    text = unparse(node).partition("\n")[0]
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _print(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody is there to be told
