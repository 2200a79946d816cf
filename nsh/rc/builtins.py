"""The commands that a shell carries out itself, because they change the shell.

Each takes the shell and its arguments (``args[0]`` is the name) and returns the status, or None to leave
it as it is. What programs can do as well is not here: echo, test and kill are programs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from nsh.kern.noteg import INTERRUPT
from nsh.kern.proc import RFCENVG, RFCFDG, RFCNAMEG, RFENVG, RFFDG, RFNAMEG, RFNOMNT, RFNOTEG
from nsh.rc.fault import Exit, RcError
from nsh.rc.job import INTERRUPTED, STOPPED, Job
from nsh.rc.var import Function, number, quoted

if TYPE_CHECKING:
    from nsh.rc.run import Shell

Builtin = Callable[["Shell", list[str]], Coroutine[Any, Any, str | None]]

_RFORK = {
    "n": RFNAMEG,
    "N": RFCNAMEG,
    "e": RFENVG,
    "E": RFCENVG,
    "s": RFNOTEG,
    "f": RFFDG,
    "F": RFCFDG,
    "m": RFNOMNT,
}


async def _usage(sh: Shell, args: list[str], synopsis: str) -> str:
    await sh.print_error(f"Usage: {args[0]} {synopsis}")
    return f"{args[0]} usage"


async def abbr(sh: Shell, args: list[str]) -> str:
    """abbr [-d name ...] [name=expansion ...]: words that become others when they are typed."""
    from nsh.rc.line.commands import abbr

    return await abbr(sh, args)


async def builtin(sh: Shell, args: list[str]) -> str | None:
    """builtin c: run c, but not the function of that name."""
    if len(args) < 2:
        await sh.complain(f"{sh.place(sh.line)}builtin: empty argument list")
        return "empty arg list"
    await sh.call(args[1:], functions=False)
    return None


async def cd(sh: Shell, args: list[str]) -> str:
    """cd [directory]: stand elsewhere; $home without an argument; $cdpath is searched."""
    from nsh.rc.redir import about

    if len(args) > 2:
        await _usage(sh, args, "[directory]")
        return "can't cd"
    target = args[1] if len(args) == 2 else "".join(sh.var.get("home")[:1])
    if len(args) < 2 and not target:
        await sh.print_error("cd: $home is empty")
        return "can't cd"
    searched = [] if target.startswith(("/", "./", "../", "#")) or len(args) < 2 else sh.var.get("cdpath")
    reason: OSError | None = None
    for directory in searched or [""]:
        name = f"{directory.rstrip('/')}/{target}" if directory not in ("", ".") else target
        try:
            await sh.proc.chdir(name)
        except OSError as e:
            reason = reason or e.with_traceback(None)
            continue
        if name != target:
            await sh.print_error(name)
        return ""
    assert reason is not None
    await sh.print_error(f"cd: {about(target, reason)}")
    return "can't cd"


async def dot(sh: Shell, args: list[str]) -> str | None:
    """. file [arg ...]: run the commands of a file in this shell."""
    from nsh.rc.parse import Parser
    from nsh.rc.redir import about

    words = args[2:] if args[1:2] == ["-i"] else args[1:]
    if not words:
        raise RcError("Usage: . [-i] file [arg ...]")
    name = words[0]
    places = [""] if name.startswith(("/", "./", "../", "#")) else sh.var.get("path")
    reason: OSError | None = None
    for place in places:
        try:
            text = await sh.read_file(f"{place}/{name}" if place else name)
            break
        except OSError as e:
            reason = reason or e.with_traceback(None)
    else:
        raise RcError(f". cannot open {about(name, reason)}" if reason else f". cannot find {name}")
    sh.var.push("0", [name])
    sh.var.push("*", words[1:])
    file, sh.file = sh.file, name
    try:
        await sh.script(Parser(text, file=name))
    finally:
        sh.file = file
        sh.var.pop()
        sh.var.pop()
    return None


async def eval_(sh: Shell, args: list[str]) -> None:
    """eval arg ...: run the arguments, joined by blanks, as a command."""
    from nsh.rc.parse import Parser

    if len(args) < 2:
        raise RcError("Usage: eval cmd ...")
    await sh.script(Parser(" ".join(args[1:]) + "\n", file=sh.file, line=sh.line))


async def exec_(sh: Shell, args: list[str]) -> str | None:
    """exec c: run c, and nothing after it."""
    from nsh.rc.find import find
    from nsh.rc.redir import about

    if len(args) < 2:
        raise RcError("exec: empty argument list")
    if args[1] not in BUILTINS:
        try:
            await find(sh, args[1])
        except OSError as e:
            await sh.complain(f"{sh.place(sh.line)}{about(args[1], e)}")
            return "1"
    await sh.call(args[1:], functions=False)
    raise Exit([sh.status], sh.var.get("*"), handler=False)


async def exit_(sh: Shell, args: list[str]) -> None:
    """exit [status]: end this shell, with the status of the last command if none is given."""
    if len(args) > 2:
        await sh.print_error("Usage: exit [status]\nExiting anyway")
    if sh.jobs.hold():
        await sh.complain(STOPPED)
        return
    raise Exit(args[1:2] if len(args) > 1 else [sh.status], sh.var.get("*"))


async def flag(sh: Shell, args: list[str]) -> str:
    """flag f [+-]: is the flag f set? With + or -, set or clear it."""
    match args[1:]:
        case [letter] if len(letter) == 1:
            return "" if letter in sh.flags else "flag not set"
        case [letter, "+"] if len(letter) == 1:
            sh.flags.add(letter)
        case [letter, "-"] if len(letter) == 1:
            sh.flags.discard(letter)
        case _:
            raise RcError("Usage: flag f [+-]")
    return ""


async def history(sh: Shell, args: list[str]) -> str:
    """history [-ls] [-n count] [word ...]: what was typed."""
    from nsh.rc.line.commands import history

    return await history(sh, args)


async def rfork(sh: Shell, args: list[str]) -> str:
    """rfork [nNeEsfFm]: no longer share name space (n), environment (e), ... with the parent; default ens."""
    letters = args[1] if len(args) == 2 else "ens"
    if len(args) > 2 or set(letters) - set(_RFORK):
        return await _usage(sh, args, "[nNeEsfFm]")
    for letter in letters:
        sh.proc.rfork(_RFORK[letter])
    return ""


async def shift(sh: Shell, args: list[str]) -> str:
    """shift [n]: drop the first n (1) of $*."""
    count = args[1] if len(args) == 2 else "1"
    if len(args) > 2 or not (count.isascii() and count.isdecimal()):
        return await _usage(sh, args, "[n]")
    sh.var.set("*", sh.var.get("*")[number(count) :])
    return ""


async def wait(sh: Shell, args: list[str]) -> str | None:
    """wait [pid|%job]: wait for all that runs in the background, or for one, whose status is the status."""
    from nsh.rc.run import exit_code

    if len(args) > 2:
        raise RcError("Usage: wait [pid|%job]")
    found = sh.jobs.find(args[1]) if len(args) == 2 else None
    if found is None and args[1:] and args[1].startswith("%"):
        await sh.print_error(f"wait {args[1]}: no such job")
        return "no such job"
    status = None
    for job in sh.jobs if len(args) == 1 else [found] if found else []:
        assert job.proc is not None
        if job.halted or not await sh.jobs.wait(job):
            if not job.halted:
                await sh.run_notes()
                return "interrupted"
            await sh.print_error(f"wait: %{job.number} is stopped")
            status = "stopped"
            continue
        status = exit_code(job.proc.status or "")
        sh.jobs.remove(job)
    return status if len(args) == 2 else None


async def jobs(sh: Shell, args: list[str]) -> str:
    """jobs: show what runs in the background, and what is stopped."""
    if len(args) > 1:
        return await _usage(sh, args, "")
    await sh.proc.print("".join(f"{line}\n" for line in sh.jobs.lines()))
    return ""


async def fg(sh: Shell, args: list[str]) -> str:
    """fg [job]: have a job in front until it ends or is stopped; its status is the status."""
    if len(args) > 2:
        return await _usage(sh, args, "[%job]")
    job = await _chosen(sh, args)
    if isinstance(job, str):
        return job
    await sh.proc.print(f"{job.text}\n", 2)
    status = await sh.jobs.run(job)
    if status == "stopped":
        await sh.print_error("")
    elif status in INTERRUPTED:
        raise asyncio.CancelledError(INTERRUPT)  # and so is the line that called for it
    return status


async def bg(sh: Shell, args: list[str]) -> str:
    """bg [job ...]: let jobs that were stopped go on in the background."""
    status = ""
    for word in args[1:] or ["%"]:
        job = await _chosen(sh, [args[0], word])
        if isinstance(job, str):
            status = job
            continue
        sh.jobs.back(job)
        await sh.proc.print(f"{job.line()}\n", 2)
    return status


async def _chosen(sh: Shell, args: list[str]) -> Job | str:
    """The job that is meant, or why there is none; the user knows already."""
    job = sh.jobs.find(*args[1:])
    if sh.jobs.terminal is not None and job is not None and job.number:
        return job
    status = "no such job" if sh.jobs.terminal is not None else "no job control here"
    await sh.print_error(f"{' '.join(args)}: {status}")
    return status


async def whatis(sh: Shell, args: list[str]) -> str:
    """whatis name ...: what a name stands for, as it would be written in rc."""
    if len(args) < 2:
        raise RcError("Usage: whatis name ...")
    status = ""
    for name in args[1:]:
        lines = await _meanings(sh, name)
        for line in lines:
            await sh.proc.print(line + "\n")
        if not lines:
            await sh.print_error(f"{name}: not found")
            status = "not found"
    return status


async def _meanings(sh: Shell, name: str) -> list[str]:
    from nsh.rc.find import find

    lines = []
    value = sh.var.values.get(name)
    if value:
        words = " ".join(quoted(word) for word in value)
        lines.append(f"{quoted(name)}={words if len(value) == 1 else f'({words})'}")
    function: Function | None = sh.var.functions.get(name)
    if function is not None:
        lines.append(f"fn {quoted(name)} {function.text}")
    elif name in BUILTINS:
        lines.append(f"builtin {name}")
    else:
        try:
            found = await find(sh, name)
        except OSError:
            return lines
        lines.append(found if isinstance(found, str) else str(found.path))
    return lines


BUILTINS: dict[str, Builtin] = {
    ".": dot,
    "abbr": abbr,
    "bg": bg,
    "builtin": builtin,
    "cd": cd,
    "eval": eval_,
    "exec": exec_,
    "exit": exit_,
    "fg": fg,
    "flag": flag,
    "history": history,
    "jobs": jobs,
    "rfork": rfork,
    "shift": shift,
    "wait": wait,
    "whatis": whatis,
}
