"""on: run a command on many hosts at once, by way of taskfs, and show what it prints there.

Here are the arguments, which hosts they mean, and how the command ends. The run itself is in
`nsh.cmd.taskrun`.
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

from nsh.cmd import Fail, complain
from nsh.cmd.arg import Options, Usage, parse
from nsh.cmd.hostgroups import select
from nsh.cmd.taskfiles import together
from nsh.cmd.taskrun import Run
from nsh.errors import FileFormatError, P9Error
from nsh.hostnames import expand
from nsh.kern.proc import Proc

USAGE = "[-bLlNq] [-n tasks] [-t seconds] [-d dir] [-h hosts] [-g group] [host ...] [--] command [arg ...]"

REMOTE = "/remote"
PATIENCE = 10.0
"""Seconds that a host may take to answer before anything is run on it."""

_NOT_STARTED, _LOST = 3, 4
"""Degrees of failure, as `_severity` has them."""


class Wanted(NamedTuple):
    """What is asked for. ``hosts``: expressions, none: taskfs chooses; ``tasks``: 0 for one on each."""

    options: Options
    hosts: list[str]
    tasks: int
    command: list[str]


async def main(p: Proc, argv: list[str]) -> str:
    there = await _there(p)
    options, words, tasks, command = _wanted(argv, there)
    failures = Failures()
    hosts = await _hosts(p, words, there) if words else []
    if hosts:
        hosts = await _answering(p, hosts, there, failures)
        tasks = tasks if tasks and hosts else len(hosts)
    if tasks:
        await Run(p, options, failures.add).whole(hosts, tasks, command)
    if failures and "q" not in options:
        await complain(p, f"{argv[0]}: {failures}")
    return failures.status()


async def _there(p: Proc) -> list[str]:
    """The names of the hosts that are mounted."""
    try:
        return [entry.name for entry in await p.readdir(REMOTE) if entry.isdir]
    except OSError:
        return []


def _wanted(argv: list[str], there: list[str]) -> Wanted:
    """Take the arguments apart. Raises `Usage`."""
    options = parse(argv, "bd:g:h:lLn:Nqt:", USAGE)
    command = options.args
    hosts = [*options.values("h"), *map(_as_hosts, options.values("g"))]
    if not hosts and argv[-len(command) - 1] != "--":
        while command and _are_hosts(command[0], there):
            hosts.append(command.pop(0))
        if hosts and command[:1] == ["--"]:
            del command[0]
    count = options.value("n", "0")
    if not re.fullmatch("[1-9][0-9]{0,6}", count) and "n" in options:
        raise Usage(USAGE)
    if not command or not (hosts or int(count)):
        raise Usage(USAGE)
    return Wanted(options, hosts, int(count), command)


def _as_hosts(groups: str) -> str:
    """The expression for hosts that means groups, of which the names may be an expression, too."""
    return re.sub(r"(^|,)(-?)(?![^\[]*\])", r"\1\2@", groups)


def _are_hosts(word: str, there: list[str]) -> bool:
    """Does a word name hosts, where it could be the command?

    Of several, one that is there is enough, or that is called as they are but for its numbers: who has host1
    and asks for host9 shall hear that this is not there, and not that it is no command.
    """
    if word in there or word.startswith("@"):
        return True
    try:
        return not set(map(_shape, there)).isdisjoint(map(_shape, expand(word)))
    except ValueError:
        return False


def _shape(name: str) -> str:
    """A name without its numbers."""
    return re.sub("[0-9]+", "0", name)


async def _hosts(p: Proc, words: list[str], there: list[str]) -> list[str]:
    """The names of the hosts that expressions and groups stand for. Errors: `P9Error`."""
    try:
        names = await select(p, words, there)
    except FileFormatError as e:
        raise Fail("format", str(e)) from None
    except ValueError as e:
        raise P9Error(f"no names of hosts: {e}") from None
    if not names:
        raise P9Error(f"no hosts are left of {' '.join(words)}")
    return names


async def _answering(p: Proc, hosts: list[str], there: list[str], failures: Failures) -> list[str]:
    """Those of ``hosts`` that answer, as far as they are mounted here; the others have failed.

    For taskfs would pass them by, and have others run more than their share.
    """
    mounted = [host for host in hosts if host in there]
    answers = await asyncio.gather(*(_answer(p, f"{REMOTE}/{host}") for host in mounted))
    silent = {host: why for host, why in zip(mounted, answers, strict=True) if why}
    for host, why in silent.items():
        failures.add(why, [host])
    return [host for host in hosts if host not in silent]


async def _answer(p: Proc, host: str) -> str:
    """'' if a host answers, else why that is not so."""
    try:
        await asyncio.wait_for(p.stat(host), PATIENCE)
    except TimeoutError:
        return f"lost: no answer in {PATIENCE:g} s"
    except ConnectionError:
        return "lost"
    except OSError as e:
        return str(e)
    return ""


# --- who has failed --------------------------------------------------------------------------------------


class Failures:
    """Who has failed, and why. True if anybody has; as text it is one line."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._ranks = False

    def add(self, why: str, names: list[str], ranks: bool = False) -> None:
        """These have failed; ``ranks``: tasks that have no other names than those."""
        self._names.setdefault(why, []).extend(names)
        self._ranks = ranks

    def __bool__(self) -> bool:
        return bool(self._names)

    def __str__(self) -> str:
        worst_first = sorted(self._names, key=_severity, reverse=True)
        return "; ".join(f"{self._who(self._names[why])}: {why}" for why in worst_first)

    def _who(self, names: list[str]) -> str:
        kind = "" if not self._ranks else "tasks " if len(names) > 1 else "task "
        return kind + together(names)

    def status(self) -> str:
        """The exit status: the worst reason; of a task that has exited, its number."""
        worst = max(self._names, key=_severity, default="")
        known = {_NOT_STARTED: "not started", _LOST: "lost"}
        return known.get(_severity(worst)[0], worst.removeprefix("exit: "))


def _severity(why: str) -> tuple[int, int]:
    """Reasons from the harmless to the bad: exit codes, signals, out of time, not started, lost."""
    kind, _, rest = why.partition(": ")
    if kind in ("exit", "signal") and re.fullmatch("[0-9]{1,9}", rest):
        return ("exit", "signal").index(kind), int(rest)
    return {"": -1, "timeout": 2, "lost": _LOST}.get(kind, _NOT_STARTED), 0
