"""The lines in which taskfs reports: status, wait, and the words in them. Only text is made here."""

from __future__ import annotations

import os

from nsh.hostnames import ranges
from nsh.kern.namec import quote

CLOSED, OPEN, EXECUTE, DONE, LOST = "Closed", "Open", "Execute", "Done", "Lost"


def status_line(number: int | str, opens: int, state: str, directory: str, arg0: str) -> str:
    """``cmd/N OPENS STATE DIR ARG0``, the names quoted as rc does."""
    names = " ".join(quote(name.replace("\n", "?")) for name in (directory, arg0))
    return f"cmd/{number} {opens} {state} {names}\n"


def wait_line(pid: int, user: int, system: int, real: int, why: str) -> str:
    """``PID USER SYS REAL 'WHY'``, times in milliseconds; the last word is always quoted."""
    return f"{pid} {user} {system} {real} '{why}'\n"


def reason(code: int) -> str:
    """What a status of wait(2) says: '' for success, ``exit: 3``, ``signal: 9``."""
    if os.WIFSIGNALED(code):
        return f"signal: {os.WTERMSIG(code)}"
    exit_code = os.WEXITSTATUS(code)
    return f"exit: {exit_code}" if exit_code else ""


def each_line(lines: str) -> list[str]:
    """The lines of a report. Names in it may have characters that Python, too, takes for ends of lines."""
    return lines.split("\n")[:-1]


def as_lost(lines: str) -> str:
    """Status lines that were true once, of tasks that cannot be asked any more."""
    made = []
    for line in each_line(lines):
        name, opens, state, rest = line.split(" ", 3)
        made.append(f"{name} {opens} {state if state == DONE else LOST} {rest}\n")
    return "".join(made)


def all_ended(lines: str) -> bool:
    """Do these status lines tell of no task that still runs?"""
    return all(line.split(" ", 3)[2] != EXECUTE for line in each_line(lines))


def all_over(lines: str) -> bool:
    """Do these status lines tell of tasks that have all run?"""
    return all(line.split(" ", 3)[2] in (DONE, LOST) for line in each_line(lines))


def prefixed(lines: str, prefix: str) -> str:
    """Every line with ``prefix`` in front."""
    return "".join(f"{prefix}{line}\n" for line in each_line(lines))


def failures(failed: dict[int, str]) -> str:
    """``2,5: exec failed: ...; 3: ...``: what went wrong at which rank, equal reasons together."""
    by_reason: dict[str, list[int]] = {}
    for rank, why in failed.items():
        by_reason.setdefault(why, []).append(rank)
    return "; ".join(f"{ranges(map(str, at))}: {why}" for why, at in by_reason.items())
