"""kill: end processes, by number, job, or the name of their command; with -signal, send that signal.

A process of nsh is no process of the host. A signal for it goes to the programs of the host that it runs, and
what would end a program interrupts the process itself, too. A number that is no process of nsh is the host's.
What a shell with job control has typed or put into the background (``%1``) can be stopped as well.
"""

from __future__ import annotations

import asyncio
import os
import signal as host

from nsh import errors
from nsh.cmd import complain
from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import Complaints
from nsh.kern.proc import Proc

USAGE = "[-g] pid|%job|module [...]"
USAGE_SIGNAL = "-signal pid|%job ..."

_NOBODY = (1 << 31) - 1
"""A number that no process has, and no signal."""

_STOPPING = frozenset((host.SIGSTOP, host.SIGTSTP, host.SIGTTIN, host.SIGTTOU))
_HARMLESS = frozenset((0, host.SIGCHLD, host.SIGCONT, host.SIGURG, host.SIGWINCH))


async def main(p: Proc, argv: list[str]) -> str:
    signal = _signal(argv[1]) if len(argv) > 1 else None
    if signal is not None:
        return await _send(p, signal, argv[2:])
    options = parse(argv, "g", USAGE)
    if not all(options.args) or not options.args:
        raise Usage(USAGE)
    complaints = Complaints(p, "kill")
    victims: dict[Proc, None] = {}
    for word in options.args:
        found = _processes(p, word)
        if not found:
            await complaints.say(_not_found(word))
        for victim in found:
            if p.user not in (victim.user, p.system.eve):
                await complaints.say(f"cannot kill {victim.pid}: {errors.Eperm.text}")
                continue
            victims.update(dict.fromkeys(_group(victim, p) if "g" in options else [victim]))
        if found and not word.isdecimal() and not word.startswith("%"):
            await p.print("".join(f"{victim.pid} " for victim in found) + "\n")
    for victim in victims:
        victim.kill()
    return "" if victims else "nothing killed"


def _not_found(word: str) -> str:
    """The complaint about a word that means no process: what begins with a digit was to be a number."""
    if word[0] in "0123456789":
        return f"cannot open /prog/{word}/ctl: '/prog/{word}' file does not exist"
    return f"cannot find {word}"


def _signal(word: str) -> int | None:
    """The number of the signal that an option names: ``-9``, ``-HUP``, ``-SIGHUP``."""
    name = word.removeprefix("-").removeprefix("SIG")
    if word.startswith("-") and name.isdecimal():
        return _number(name)
    found = host.Signals.__members__.get(f"SIG{name}") if word.startswith("-") else None
    return None if found is None else int(found)


def _number(word: str) -> int:
    """What ``word`` says; nothing has the number that is none, or has very many digits."""
    return _NOBODY if len(word) > 9 or word.startswith("%") else int(word)


def _victim(p: Proc, word: str) -> Proc | None:
    """The process with this number, or that carries out this job."""
    if word.startswith("%"):
        return p.system.job(word)
    return p.system.find(_number(word)) if word.isdecimal() else None


async def _send(p: Proc, signal: int, pids: list[str]) -> str:
    """Send a signal to processes of nsh or, if there are none of these numbers, of the host."""
    if not pids or not all(pid.startswith("%") or pid.removeprefix("-").isdecimal() for pid in pids):
        raise Usage(USAGE_SIGNAL)
    status = ""
    for pid in pids:
        victim = _victim(p, pid)
        number = _number(pid) if victim is None else victim.pid
        try:
            if victim is None or number == os.getpid():
                os.kill(number, signal)
            else:
                _interrupt(p, victim, signal)
        except OSError as e:
            status = f"cannot kill {pid}: {e if isinstance(e, errors.P9Error) else errors.from_os(e)}"
            await complain(p, f"kill: {status}")
        if number == os.getpid():
            await _arrival()
    return status


def _interrupt(p: Proc, victim: Proc, signal: int) -> None:
    """Send a signal to what ``victim`` runs, and end, stop or continue it if the signal is for that."""
    if p.user not in (victim.user, p.system.eve):
        raise errors.Eperm()
    if signal and signal not in host.valid_signals():
        raise errors.Ebadarg()
    programs = [proc for proc in _family(victim) if proc.program]
    noteg = victim.noteg
    whole = noteg.control and victim.parent is not None and victim.parent.noteg is not noteg  # of a job
    if signal in _STOPPING and whole:
        noteg.suspend(signal)
    elif signal in _STOPPING and not programs:
        raise errors.P9Error("only a program of the host can be stopped")
    elif signal == host.SIGCONT and whole:
        noteg.go_on()
    elif whole:
        noteg.send(signal)
    else:
        for proc in programs:
            proc.noteg.send(signal, proc.program)
    if signal not in _HARMLESS | _STOPPING:
        if whole and noteg.stopped:
            noteg.send(host.SIGCONT)  # or the signal would wait until then
        victim.kill(signal if programs or (whole and noteg.programs) else None)


def _family(victim: Proc) -> list[Proc]:
    """A process and all below it."""
    found = [victim]
    for proc in found:
        found += proc.children
    return found


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
    if word.isdecimal() or word.startswith("%"):
        found = _victim(p, word)
        return [] if found is None else [found]
    return [proc for proc in p.system.procs.values() if proc.args and proc.args[0] == word and proc is not p]


def _group(victim: Proc, me: Proc) -> list[Proc]:
    """All processes that belong to the same leader, but not the one that asks."""
    return [proc for proc in me.system.procs.values() if proc.leader is victim.leader and proc is not me]
