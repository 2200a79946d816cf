"""ps: list the processes."""

from __future__ import annotations

import asyncio

from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    lines = [_line(proc) for _, proc in sorted(p.system.procs.items())]
    await p.print("\n".join(lines) + "\n")
    return ""


def _line(p: Proc) -> str:
    """Number, name space group, user, state, and what it runs."""
    return f"{p.pid:8} {p.pgrp.id:8} {p.user:>10} {_state(p):>8} {' '.join(p.args)}".rstrip()


def _state(p: Proc) -> str:
    """A process without a program acts when a client of a server asks for something."""
    if p.task is None:
        return "serving"
    return "running" if p.task is asyncio.current_task() else "waiting"
