"""The builtin commands that concern what is typed: abbr and history."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nsh.cmd.arg import Usage, parse
from nsh.rc.lex import visible
from nsh.rc.line import shown
from nsh.rc.line.history import Entry, History, containing, path
from nsh.rc.var import number, quoted

if TYPE_CHECKING:
    from nsh.rc.run import Shell

ABBR = "[-d name ...] [name=expansion ...]"
HISTORY = "[-ls] [-n count] [word ...]"


async def abbr(sh: Shell, args: list[str]) -> str:
    """Tell all abbreviations, make some, or delete some."""
    words = args[1:]
    if words[:1] == ["-d"]:
        unknown = [name for name in words[1:] if sh.abbreviations.pop(name, None) is None]
        for name in unknown:
            await sh.print_error(f"abbr: {name}: no such abbreviation")
        return "no such abbreviation" if unknown else ""
    made = [word.partition("=") for word in words]
    if any(not name or not equals or not expansion for name, equals, expansion in made):
        await sh.print_error(f"Usage: abbr {ABBR}")
        return "abbr usage"
    sh.abbreviations.update((name, expansion) for name, _, expansion in made)
    if not words:
        lines = (
            f"abbr {quoted(name)}={quoted(sh.abbreviations[name])}\n" for name in sorted(sh.abbreviations)
        )
        await sh.proc.print("".join(lines))
    return ""


async def history(sh: Shell, args: list[str]) -> str:
    """Print what was typed and has all the words, the latest last."""
    try:
        options = parse(args, "lsn:", HISTORY)
        count = options.value("n", str(sys.maxsize))
        if not number(count):
            raise Usage(HISTORY)
    except Usage as e:
        await sh.print_error(f"Usage: history {e}")
        return "history usage"
    kept = sh.history
    if kept is None:
        kept = History(path())
        await kept.open()
        await kept.load()
    await kept.refresh()
    wanted = containing(options.args)
    entries = [entry for entry in (kept.own if "s" in options else kept.entries) if wanted(entry.text)]
    line = _long if "l" in options else _short
    await sh.proc.print("".join(map(line, entries[-number(count) :])))
    return "" if entries or not options.args else "no match"


def _short(entry: Entry) -> str:
    return entry.text + "\n"


def _long(entry: Entry) -> str:
    """An entry in one line: when, how long, with which status ('' for success), where, what."""
    took = shown.duration(entry.duration) if entry.duration is not None else "-"
    status = "-" if entry.status is None else quoted(entry.status)
    return f"{shown.date(entry.time)} {took:>7} {status} {quoted(entry.directory)} {visible(entry.text)}\n"
