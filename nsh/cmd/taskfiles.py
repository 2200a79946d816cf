"""What the files of taskfs(3) say, for commands that show it: no command itself.

A session is a directory of the name space, wherever its device is. How all this is shown is not known here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from nsh.cmd.files import Identity, identity
from nsh.errors import P9Error
from nsh.hostnames import fold, ranges
from nsh.kern.ctlmsg import words
from nsh.kern.proc import Proc
from nsh.p9.stat import Dir

A = TypeVar("A")
T = TypeVar("T")

TASK = "/task/remote"
PATIENCE = 1.0
"""Seconds that the report of one task is waited for: that its host hangs, taskfs finds out later."""
TOGETHER = 64
"""Reports that are read at a time."""
SELDOM = 2.0
"""Seconds between two looks that take long: it may have been one host, for once."""


def pause(took: float, least: float, share: int) -> float:
    """Seconds until the next look, after one that took so many: it is to take one part in ``share`` of the
    time, as far as `SELDOM` lets it; ``least``: if looking takes no time.
    """
    return min(max(least, share * took), SELDOM)


class Ending(NamedTuple):
    """A line of wait. ``rank`` and ``host``: '' for a session without resources; ``real``: milliseconds."""

    rank: str
    host: str
    real: int
    why: str


class Task(NamedTuple):
    """What is known of one task. ``real``: milliseconds that it took, -1 if that is not known (yet)."""

    rank: str
    host: str
    state: str
    command: str
    why: str = ""
    real: int = -1

    @property
    def running(self) -> bool:
        return self.state == "Execute"

    @property
    def ended(self) -> bool:
        return self.state in ("Done", "Lost")


def endings(text: str) -> list[Ending]:
    """The lines of a wait file, ``[RANK HOST] PID USER SYS REAL 'WHY'``; in a tree, the ranks of all levels.

    Errors: `P9Error` for what is no such file.
    """
    found = []
    for line in _lines(text):
        given = words(line)
        *places, _, _, _, real, why = given if len(given) >= 5 else [""] * 5
        if not all(map(is_number, [*places[::2], real])):
            raise P9Error(f"odd line of wait: {line}")
        found.append(Ending(".".join(places[::2]), places[-1] if places else "", int(real), why))
    return found


def states(text: str) -> list[Task]:
    """The lines of a status file, ``cmd/N OPENS STATE DIR ARG0``, as tasks in order. Errors: `P9Error`."""
    found = []
    for rank, line in enumerate(_lines(text)):
        given = words(line)
        if len(given) < 5:
            raise P9Error(f"odd line of status: {line}")
        found.append(Task(str(rank), "", given[2], given[-1]))
    return found


def is_number(text: str) -> bool:
    """Is this how a session, a rank or a count is written?"""
    return re.fullmatch("[0-9]{1,9}", text) is not None


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


class Places:
    """On which hosts tasks are (``hosts``: by rank, as far as it is known), and what they are called.

    A task is called by its host if no other one is there, else ``HOST/RANK``; where all are on one host
    only the ranks tell them apart (``by_rank``).
    """

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self._hosts = hosts
        self._ranks: dict[str, list[str]] = {}
        for rank, host in hosts.items():
            self._ranks.setdefault(host, []).append(rank)
        if len(self._ranks) == 1 < len(hosts):
            self._hosts = {}
            self._ranks = {}
        self.by_rank = not self._hosts

    def name(self, rank: str) -> str:
        """What one task is called."""
        host = self._hosts.get(rank)
        if host is None:
            return rank
        return host if len(self._ranks[host]) == 1 else f"{host}/{rank}"

    def names(self, ranks: Iterable[str]) -> list[str]:
        """What tasks are called together: all those of a host by its name alone."""
        rest = set(ranks)
        named = []
        for host, its in self._ranks.items():
            if rest.issuperset(its):
                named.append(host)
                rest.difference_update(its)
        return named + [self.name(rank) for rank in rest]

    def hosts(self, ranks: Iterable[str]) -> set[str]:
        """The hosts that tasks are on; of those that are told apart by their ranks, these."""
        return {self._hosts.get(rank, rank) for rank in ranks}

    def order(self, rank: str) -> tuple[str, int]:
        """Sorts tasks by their hosts, and by rank."""
        return self._hosts.get(rank, ""), int(rank)


def together(names: Collection[str]) -> str:
    """Names of tasks as one expression; without a bracket if they are nothing but ranks."""
    return ranges(names) if all(map(is_number, names)) else fold(names)


class Session:
    """A session, seen through its files. What does not change any more is not asked for again.

    ``flat``: each line of its status is about the resource of that rank, none about one further down.
    """

    def __init__(self, p: Proc, name: str) -> None:
        self.name = name
        self.directory = f"{TASK}/{name}"
        self.flat = True
        self._p = p
        self._last: list[Task] = []
        self._hosts: dict[str, str] = {}
        self._resources: dict[str, Identity | None] = {}

    async def hosts(self) -> dict[str, str]:
        """The host of each rank, as the owner of the session's host is told; to others it is not known."""
        try:
            lines = _lines(await self._text(f"{TASK}/status/{self.name}/hosts"))
        except OSError:
            return {}
        return {rank: host for rank, host, *_ in map(words, lines) if is_number(rank)}

    async def resources(self) -> dict[str, Identity | None]:
        """The session that each of its resources is, by rank; None where that cannot be learned soon."""
        entries = await self._p.readdir(self.directory)
        ranks = [entry.name for entry in entries if entry.isdir and is_number(entry.name)]
        fresh = [rank for rank in ranks if self._resources.get(rank) is None]
        found = await each(fresh, lambda rank: _in_time(self._p.stat(f"{self.directory}/{rank}")))
        read = zip(fresh, found, strict=True)
        known = self._resources | {rank: identity(d) if isinstance(d, Dir) else None for rank, d in read}
        self._resources = {rank: known[rank] for rank in ranks}
        return self._resources

    async def wait(self) -> list[Ending]:
        """How the tasks have ended, once all have. Errors: those of the file."""
        return endings(await self._text(f"{self.directory}/wait"))

    async def look(self) -> list[Task]:
        """How it stands with the tasks. Errors: those of the status file."""
        now = states(await self._text(f"{self.directory}/status"))
        if len(now) != len(self._last):
            self._last = []
            await self._find_places(len(now))
        before = {task.rank: task for task in self._last}
        now = [self._as_before(task, before.get(task.rank)) for task in now]
        if any(task.state == "Done" and task.real < 0 for task in now):
            now = await self._with_endings(now)
        self._last = now
        return now

    async def _find_places(self, count: int) -> None:
        """Learn which hosts the tasks are on, if we may know."""
        hosts = await self.hosts()
        self.flat = count == (len(hosts) or len(self._resources))
        self._hosts = hosts if self.flat else {}

    def _as_before(self, now: Task, before: Task | None) -> Task:
        if before is not None and (before.state, before.command) == (now.state, now.command):
            return before
        return now._replace(host=self._hosts.get(now.rank, ""))

    async def _with_endings(self, now: list[Task]) -> list[Task]:
        """The tasks, with what is said of their ends."""
        if all(task.ended for task in now):
            found = await _in_time(self.wait()) or []
            ends = dict(enumerate(found)) if len(found) == len(now) else {}
        elif self.flat:
            ends = await self._read_endings([task for task in now if task.state == "Done" and task.real < 0])
        else:
            ends = {}
        return [_ended(task, ends.get(i)) for i, task in enumerate(now)]

    async def _read_endings(self, tasks: list[Task]) -> dict[int, Ending]:
        """What each of these tasks, which have ended, says of that itself."""
        reports = await each(tasks, lambda task: _in_time(self._ending(task.rank)))
        read = zip(tasks, reports, strict=True)
        return {int(task.rank): report[0] for task, report in read if isinstance(report, list) and report}

    async def _ending(self, rank: str) -> list[Ending]:
        return endings(await self._text(f"{self.directory}/{rank}/wait"))

    async def _text(self, name: str) -> str:
        return (await self._p.readfile(name)).decode("utf-8", "surrogateescape")


def _ended(task: Task, ending: Ending | None) -> Task:
    if ending is None or not task.ended:
        return task
    real = ending.real if task.state == "Done" else -1
    return task._replace(host=ending.host or task.host, why=ending.why, real=real)


async def _in_time(reading: Coroutine[Any, Any, T]) -> T | None:
    """What is read, unless it cannot be, or not soon."""
    try:
        return await asyncio.wait_for(reading, PATIENCE)
    except OSError:  # TimeoutError is one
        return None


async def each(items: Iterable[A], work: Callable[[A], Awaitable[T]]) -> list[T | OSError]:
    """Do ``work`` for every item, at most `TOGETHER` at a time; an OSError is a result, too."""
    turn = asyncio.Semaphore(TOGETHER)

    async def one(item: A) -> T | OSError:
        async with turn:
            try:
                return await work(item)
            except OSError as e:
                return e

    return await asyncio.gather(*map(one, items))
