"""The table that tasks(1) shows: no command itself. It is filled here; where it appears is not known."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from nsh.cmd.files import Identity, identity
from nsh.cmd.progress import clock, word
from nsh.cmd.taskfiles import TASK, Session, Task, each, is_number, together
from nsh.errors import P9Error
from nsh.hostnames import fold
from nsh.kern.ctlmsg import words
from nsh.kern.proc import Proc

Key = tuple[str, Identity]
"""The name of a session, and which one it is: a name is used again."""


class Row(NamedTuple):
    """Tasks of a session of which the same can be said."""

    session: str
    state: str
    tasks: str
    time: str
    command: str
    hosts: str
    ranks: str


class Since(NamedTuple):
    """Since when a task runs; ``seen``: it was seen to start, and has not only been found running."""

    time: float
    seen: bool


_HEADER = Row("SESSION", "STATE", "TASKS", "TIME", "COMMAND", "HOSTS", "RANKS")
_GOOD = ("new", "running", "done")
_HOSTS_HEADER = ("HOSTS", "STATE", "TASKS")


class Table:
    """The sessions of taskfs, and its hosts.

    ``names``: of the sessions that are wanted; none: all but those that are resources of others.
    ``folded``: a row for all tasks of a session that are alike; ``took``: seconds that the last look took.
    """

    def __init__(self, p: Proc, names: Iterable[str], folded: bool) -> None:
        self.took = 0.0
        self._p = p
        self._names = set(names)
        self._folded = folded
        self._sessions: dict[Key, Session] = {}
        self._reserved: set[Identity | None] = set()
        self._tasks: dict[Key, list[Task]] = {}
        self._running: dict[tuple[Key, str], Since] = {}
        self._hosts: dict[str, tuple[list[str], int]] = {}
        self._looked = False

    # --- looking -------------------------------------------------------------------------------

    async def look(self) -> None:
        """Read how it stands. Errors: of reading; at first, `P9Error` for a session that is not there."""
        begun = time.monotonic()
        await self._find_sessions()
        shown = {key: session for key, session in self._sessions.items() if self._wanted(key)}
        seen = zip(shown, await each(shown.values(), Session.look), strict=True)
        self._tasks = {key: tasks for key, tasks in seen if not isinstance(tasks, OSError)}
        self._note_running(time.monotonic())
        self._hosts = await self._read_hosts()
        self._looked = True
        self.took = time.monotonic() - begun

    async def _find_sessions(self) -> None:
        """Learn which sessions there are, and which of them are resources of others."""
        entries = [entry for entry in await self._p.readdir(TASK) if is_number(entry.name)]
        missing = self._names.difference(entry.name for entry in entries)
        if missing and not self._looked:
            raise P9Error(f"no session {' '.join(sorted(missing, key=int))}")
        keys = [(entry.name, identity(entry)) for entry in entries]
        self._sessions = {key: self._sessions.get(key) or Session(self._p, key[0]) for key in keys}
        found = await each(self._sessions.values(), Session.resources)
        self._reserved = {one for some in found if isinstance(some, dict) for one in some.values()}

    def _wanted(self, key: Key) -> bool:
        name, which = key
        return name in self._names if self._names else which not in self._reserved

    def _note_running(self, now: float) -> None:
        """Remember since when tasks run."""
        running = [(key, task.rank) for key, tasks in self._tasks.items() for task in tasks if task.running]
        self._running = {which: self._running.get(which) or Since(now, self._looked) for which in running}

    async def _read_hosts(self) -> dict[str, tuple[list[str], int]]:
        """For each state of hosts: which are in it, and how many tasks they have. None if we may not know."""
        try:
            text = (await self._p.readfile(f"{TASK}/status/hosts")).decode("utf-8", "surrogateescape")
        except OSError:
            return {}
        found: dict[str, tuple[list[str], int]] = {}
        for given in map(words, text.split("\n")):
            if len(given) == 3 and is_number(given[2]):
                name, state, tasks = given
                names, count = found.get(state, ([], 0))
                found[state] = [*names, name], count + int(tasks)
        return found

    # --- showing -------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """A row for each task, or for all that are alike, in the order of sessions and ranks."""
        now = time.monotonic()
        made = []
        for key in sorted(self._tasks, key=lambda key: int(key[0])):
            alike: dict[tuple[str, ...], list[Task]] = {}
            for task in self._tasks[key]:
                what = word(task), task.command
                alike.setdefault(what if self._folded else (*what, task.rank), []).append(task)
            groups = sorted(alike.values(), key=_order) if self._folded else alike.values()
            made += [self._row(key, tasks, now) for tasks in groups]
        return made

    def _row(self, key: Key, tasks: list[Task], now: float) -> Row:
        hosts = {task.host for task in tasks if task.host}
        ranks = together([task.rank for task in tasks]) if self._sessions[key].flat else ""
        row = (
            key[0], word(tasks[0]), str(len(tasks)), self._time(key, tasks, now), tasks[0].command,
            fold(hosts), ranks,
        )  # fmt: skip
        return Row(*(text or "-" for text in row))

    def _time(self, key: Key, tasks: list[Task], now: float) -> str:
        """How long they took, or run already; of several the longest."""
        if not tasks[0].running:
            real = max(task.real for task in tasks)
            return span(real / 1000) if real >= 0 else ""
        first = min(self._running[key, task.rank] for task in tasks)
        seconds = now - first.time
        if first.seen:
            return span(seconds)
        return f">{span(seconds)}" if seconds >= 1 else ""

    def lines(self) -> list[str]:
        """The whole table, and that of the hosts."""
        table = _columns([_HEADER, *self.rows()], right={2, 3})
        hosts = [(fold(names), state, str(tasks)) for state, (names, tasks) in sorted(self._hosts.items())]
        return table + (["", *_columns([_HOSTS_HEADER, *hosts], right={2})] if hosts else [])


def _order(tasks: list[Task]) -> tuple[int, str]:
    """What goes on comes first, and what is well before what is not."""
    state = word(tasks[0])
    return (_GOOD.index(state) if state in _GOOD else len(_GOOD)), state


def span(seconds: float) -> str:
    """``0.4s``, ``12s``, ``1:02``."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    return clock(seconds)


def _columns(rows: list[tuple[str, ...]], right: set[int]) -> list[str]:
    """Rows as lines with aligned columns, some of which at their right ends."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if i in right else text.ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
