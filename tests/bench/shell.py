"""What the shell costs: its start, its prompt, its parser, and a turn of a loop.

A start is that of a program, as a user meets it who has started it before: what Python compiles of its
files is there. The parser reads the recorded scripts of rc that have no mistakes, beside Python's own parser,
which is in C and reads this shell. Loops are run beside a walk through the same trees as anybody would write
it first: no coroutines, no files, no signals. All of it is CPU time, but for the prompt, for which one waits.
"""

from __future__ import annotations

import ast
import asyncio
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nsh.rc
from nsh.rc import glob, tree
from nsh.rc.parse import RcSyntaxError, parse
from nsh.rc.run import Shell
from tests.bench import prompt
from tests.bench.table import Row, Target
from tests.rc.shell import world

LINES = 20_000
SPEED = 20_000
"""Lines a second."""
TURNS = 100_000
LOOPS = {
    "flag $i": "for(i) flag $i",
    "{x=$i.c; ~ $x *.c; flag e}": "for(i) {x=$i.c; ~ $x *.c; flag e}",
}
"""What is done in each turn, and the loop."""

_SCRIPTS = Path(__file__).parent.parent / "corpus" / "rc" / "cases"
_START = ("-c", "true")


def bench(
    commands: int = prompt.COMMANDS, lines: int = LINES, turns: int = TURNS, rounds: int = 15
) -> Iterator[Row | str]:
    """Starts; prompts, also with ``commands`` in the history; ``lines`` parsed; loops of ``turns``."""
    yield from _starts(rounds)
    yield from prompt.bench(commands, rounds)
    yield _parsing(lines, rounds)
    yield from asyncio.run(_loops(turns, rounds))


# --- the start -----------------------------------------------------------------------------------


def _starts(rounds: int) -> Iterator[Row | str]:
    programs = {
        "nsh": [sys.executable, "-m", "nsh", *_START],
        "python3 -c pass": [sys.executable, "-c", "pass"],
    }
    xonsh = shutil.which("xonsh")
    if xonsh is not None:
        programs["xonsh --no-rc"] = [xonsh, "--no-rc", *_START]
    best = dict.fromkeys(programs, float("inf"))
    for turn in range(rounds + 1):
        for name, argv in programs.items():
            seconds = _cpu(argv)
            if turn:  # the first one is there to have the files compiled
                best[name] = min(best[name], seconds)
    what = " ".join(("nsh", *_START))
    yield Row(what, best["nsh"], "python3 -c pass", best["python3 -c pass"], "ms", Target("ratio", most=7))
    if xonsh is None:
        yield "not here: xonsh"
    else:
        yield Row(what, best["nsh"], "xonsh --no-rc", best["xonsh --no-rc"], "ms", Target("ratio", most=0.5))


def _cpu(argv: list[str]) -> float:
    """Seconds of CPU time that a program and what it runs take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# --- the parser ----------------------------------------------------------------------------------


def _parsing(lines: int, rounds: int) -> Row:
    scripts = _whole(_rc_scripts(), lines)
    sources = _whole([path.read_text() for path in Path(nsh.rc.__path__[0]).glob("*.py")], lines)

    def ours() -> None:
        for text in scripts:
            for _ in parse(text):
                pass

    def theirs() -> None:
        for text in sources:
            ast.parse(text)

    best = _best([ours, theirs], rounds)
    speed, base = (_lines(texts) / seconds for texts, seconds in zip((scripts, sources), best, strict=True))
    return Row("rc, parsed", speed, "ast.parse, of Python", base, "lines/s", Target("figure", least=SPEED))


def _rc_scripts() -> list[str]:
    found = []
    for path in sorted(_SCRIPTS.glob("*.rc")):
        text = path.read_text()
        try:
            list(parse(text))
        except RcSyntaxError:
            continue
        found.append(text)
    return found


def _whole(texts: list[str], lines: int) -> list[str]:
    """The texts, as often as it takes to have so many lines, or the first few of them."""
    found: list[str] = []
    while lines > 0:
        for text in texts:
            found.append(text)
            lines -= text.count("\n")
            if lines <= 0:
                break
    return found


def _best(works: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Seconds of CPU time that each takes: the best of ``rounds``, in which they take turns."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    return best


def _lines(texts: list[str]) -> int:
    return sum(text.count("\n") for text in texts)


# --- loops ---------------------------------------------------------------------------------------


async def _loops(turns: int, rounds: int) -> list[Row]:
    w = await world()
    rows = []
    try:
        for what, text in LOOPS.items():
            node = next(parse(text + "\n"))
            sh, walk = Shell(w.proc, args=["a"] * turns), Walk(["a"] * turns)
            best = [float("inf")] * 2
            for _ in range(rounds):
                start = time.process_time()
                await sh.run(node)
                middle = time.process_time()
                walk.run(node)
                best = [min(best[0], middle - start), min(best[1], time.process_time() - middle)]
            assert sh.status == walk.status
            target = Target("ratio", most=3)
            rows.append(Row(f"{turns:,} turns of {what}", best[0], "a tree walk", best[1], "ms", target))
    finally:
        await w.close()
    return rows


class Walk:
    """The walk that anybody would write first, with as much of rc as the loops need."""

    def __init__(self, args: list[str]) -> None:
        self.values = {"*": args}
        self.flags: set[str] = set()
        self.status = ""

    def run(self, node: tree.Node | None) -> None:
        if node is not None:
            _RUN[type(node)](self, node)

    def words(self, nodes: Sequence[tree.Node]) -> list[str]:
        return [word for node in nodes for word in _VALUE[type(node)](self, node)]

    def _seq(self, node: tree.Seq) -> None:
        for item in node.items:
            self.run(item)

    def _block(self, node: tree.Block) -> None:
        self.run(node.body)

    def _for(self, node: tree.For) -> None:
        (name,) = self.words([node.name])
        for value in self.values["*"]:
            self.values[name] = [value]
            self.run(node.body)

    def _assign(self, node: tree.Assign) -> None:
        (name,) = self.words([node.name])
        self.values[name] = self.words([node.value])

    def _match(self, node: tree.Match) -> None:
        subject = " ".join(self.words([node.subject]))
        found = any(glob.match(pattern, subject) for pattern in self.words(node.patterns))
        self.status = "" if found else "no match"

    def _simple(self, node: tree.Simple) -> None:
        args = self.words(node.words)
        self.status = _BUILTINS[args[0]](self, args)

    def _flag(self, args: list[str]) -> str:
        return "" if args[1] in self.flags else "flag not set"

    def _word(self, node: tree.Word) -> list[str]:
        return [node.value]

    def _variable(self, node: tree.Var) -> list[str]:
        (name,) = self.words([node.name])
        return self.values[name]

    def _concat(self, node: tree.Concat) -> list[str]:
        left, right = self.words([node.left]), self.words([node.right])
        return [a + b for a, b in zip(left, right, strict=True)]


_RUN: dict[type[tree.Node], Callable[[Walk, Any], None]] = {
    tree.Seq: Walk._seq,
    tree.Block: Walk._block,
    tree.For: Walk._for,
    tree.Assign: Walk._assign,
    tree.Match: Walk._match,
    tree.Simple: Walk._simple,
}
_VALUE: dict[type[tree.Node], Callable[[Walk, Any], list[str]]] = {
    tree.Word: Walk._word,
    tree.Var: Walk._variable,
    tree.Concat: Walk._concat,
}
_BUILTINS = {"flag": Walk._flag}
