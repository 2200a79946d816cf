"""The commands that a shell carries out itself, because they change the shell.

Each takes the shell and its arguments (``args[0]`` is the name) and returns the status, or None to leave
it as it is. What programs can do as well is not here: echo, test and kill are programs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from nsh.kern.proc import RFCENVG, RFCFDG, RFCNAMEG, RFENVG, RFFDG, RFNAMEG, RFNOMNT, RFNOTEG
from nsh.rc.fault import Exit, RcError
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
        raise RcError("builtin: empty argument list")
    await sh.call(args[1:], functions=False)
    return None


async def cd(sh: Shell, args: list[str]) -> str:
    """cd [directory]: stand elsewhere; $home without an argument; $cdpath is searched."""
    from nsh.rc.redir import about

    if len(args) > 2:
        await _usage(sh, args, "[directory]")
        return "can't cd"
    target = args[1] if len(args) == 2 else "".join(sh.var.get("home")[:1]) or "/"
    searched = [] if target.startswith(("/", "./", "../", "#")) or len(args) < 2 else sh.var.get("cdpath")
    reason: OSError | None = None
    for directory in searched or [""]:
        name = f"{directory}/{target}" if directory not in ("", ".") else target
        try:
            await sh.proc.chdir(name)
        except OSError as e:
            reason = reason or e.with_traceback(None)
            continue
        if name != target:
            await sh.proc.print(f"{name}\n")
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
    saved = [("0", sh.var.swap("0", [name])), ("*", sh.var.swap("*", words[1:]))]
    file, sh.file = sh.file, name
    try:
        await sh.script(Parser(text, file=name))
    finally:
        sh.file = file
        for variable, value in saved:
            sh.var.swap(variable, value)
    return None


async def eval_(sh: Shell, args: list[str]) -> None:
    """eval arg ...: run the arguments, joined by blanks, as a command."""
    from nsh.rc.parse import Parser

    if len(args) < 2:
        raise RcError("Usage: eval cmd ...")
    await sh.script(Parser(" ".join(args[1:]) + "\n", file="eval"))


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
            await sh.complain(about(args[1], e))
            return "1"
    await sh.call(args[1:], functions=False)
    raise Exit([sh.status], handler=False)


async def exit_(sh: Shell, args: list[str]) -> None:
    """exit [status]: end this shell, with the status of the last command if none is given."""
    if len(args) > 2:
        await sh.print_error("Usage: exit [status]\nExiting anyway")
    raise Exit(args[1:2] if len(args) > 1 else [sh.status])


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
    """wait [pid]: wait for all that was started with &, or for one, whose status is the status."""
    from nsh.rc.run import exit_code

    if len(args) > 2:
        raise RcError("Usage: wait [pid]")
    pids = list(sh.jobs) if len(args) == 1 else [number(args[1])]
    status = None
    for pid in pids:
        job = sh.jobs.get(pid)
        if job is not None and job.task is not None:
            status = exit_code(await job.wait())
            del sh.jobs[pid]
    return status if len(args) == 2 else None


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
    value = sh.var.get(name)
    if value:
        words = " ".join(quoted(word) for word in value)
        lines.append(f"{quoted(name)}={words if len(value) == 1 else f'({words})'}")
    function: Function | None = sh.var.functions.get(name)
    if function is not None:
        lines.append(f"fn {quoted(name)} {function.text}")
    elif name in BUILTINS:
        lines.append(f"builtin {name}")
    elif not value:
        try:
            found = await find(sh, name)
        except OSError:
            return []
        lines.append(found if isinstance(found, str) else str(found.path))
    return lines


BUILTINS: dict[str, Builtin] = {
    ".": dot,
    "abbr": abbr,
    "builtin": builtin,
    "cd": cd,
    "eval": eval_,
    "exec": exec_,
    "exit": exit_,
    "flag": flag,
    "history": history,
    "rfork": rfork,
    "shift": shift,
    "wait": wait,
    "whatis": whatis,
}
