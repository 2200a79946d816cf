"""kill: end processes, by number or by the name of their command; with -signal, processes of the host."""

from __future__ import annotations

import asyncio
import os

from nsh import errors
from nsh.cmd import complain
from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import Complaints
from nsh.kern.proc import Proc

USAGE = "[-g | -signal] pid|command ..."


async def main(p: Proc, argv: list[str]) -> str:
    signal = _signal(argv[1]) if len(argv) > 1 else None
    if signal is not None:
        return await _kill_on_host(p, signal, argv[2:])
    options = parse(argv, "g", USAGE)
    if not all(options.args) or not options.args:
        raise Usage(USAGE)
    complaints = Complaints(p, "kill")
    victims: dict[Proc, None] = {}
    for word in options.args:
        found = _processes(p, word)
        if not found:
            why = f"cannot kill {word}: {errors.Enoproc.text}" if word.isdecimal() else f"cannot find {word}"
            await complaints.say(why)
        for victim in found:
            if p.user not in (victim.user, p.system.eve):
                await complaints.say(f"cannot kill {victim.pid}: {errors.Eperm.text}")
                continue
            victims.update(dict.fromkeys(_group(victim, p) if "g" in options else [victim]))
        if found and not word.isdecimal():
            await p.print(" ".join(str(victim.pid) for victim in found) + "\n")
    for victim in victims:
        victim.kill()
    return "" if victims else "nothing killed"


def _signal(word: str) -> int | None:
    """The number of the host's signal that an option names: ``-9``, ``-HUP``, ``-SIGHUP``."""
    import signal

    name = word.removeprefix("-").removeprefix("SIG")
    if word.startswith("-") and name.isdecimal():
        return int(name)
    found = signal.Signals.__members__.get(f"SIG{name}") if word.startswith("-") else None
    return None if found is None else int(found)


async def _kill_on_host(p: Proc, signal: int, pids: list[str]) -> str:
    """Send a signal to processes of the host, such as the ``$pid`` of a shell."""
    if not pids or not all(pid.removeprefix("-").isdecimal() for pid in pids):
        raise Usage(USAGE)
    status = ""
    for pid in pids:
        try:
            os.kill(int(pid), signal)
        except OSError as e:
            status = f"cannot kill {pid}: {errors.from_os(e)}"
            await complain(p, f"kill: {status}")
    if str(os.getpid()) in pids:
        await _arrival()
    return status


async def _arrival() -> None:
    """Let a signal to this very program arrive before the next command begins.

    That may end the shell, and us with it; but the signal was sent, and so we have not failed.
    """
    try:
        for _ in range(3):
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        pass


def _processes(p: Proc, word: str) -> list[Proc]:
    """Those that ``word`` means: one number, or every process that runs the command of that name."""
    procs = p.system.procs
    if word.isdecimal():
        return [procs[int(word)]] if int(word) in procs else []
    return [proc for proc in procs.values() if proc.args and proc.args[0] == word and proc is not p]


def _group(victim: Proc, me: Proc) -> list[Proc]:
    """All processes that belong to the same leader, but not the one that asks."""
    return [proc for proc in me.system.procs.values() if proc.leader is victim.leader and proc is not me]
