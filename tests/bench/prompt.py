"""How long one waits for a prompt: from the start of nsh at a terminal until it is on the screen.

The yardstick is what a program cannot do without that edits lines with prompt_toolkit: to import it. Both are
seconds on the clock, of which the shortest counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nsh.rc.line.history import Entry, line
from tests.bench.table import Row, Target
from tests.rc.line.terminal import Terminal

COMMANDS = 30_000
LONGEST = 0.25


def bench(commands: int = COMMANDS, rounds: int = 15) -> Iterator[Row]:
    """Without a history, and with so many commands in it."""
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as full:
        _fill(Path(full), commands)
        homes = {"a prompt": Path(empty), f"a prompt, {commands:,} commands in the history": Path(full)}
        best = dict.fromkeys(homes, float("inf"))
        base = float("inf")
        for _ in range(rounds):
            base = min(base, _importing())
            for what, home in homes.items():
                best[what] = min(best[what], _prompting(home))
    for what, seconds in best.items():
        yield Row(what, seconds, "import prompt_toolkit", base, "ms", Target("figure", most=LONGEST))


def _fill(home: Path, commands: int) -> None:
    state = home / ".local" / "state" / "nsh"
    state.mkdir(parents=True)
    entries = (
        Entry(f"echo {i} >/tmp/{i % 97}", 1.7e9 + i, f"/src/{i % 31}", "", 0.1) for i in range(commands)
    )
    (state / "history").write_bytes(b"".join(map(line, entries)))


def _importing() -> float:
    begin = time.perf_counter()
    environ = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", "import prompt_toolkit"], check=True, env=environ)
    return time.perf_counter() - begin


def _prompting(home: Path) -> float:
    begin = time.perf_counter()
    terminal = Terminal(home, PYTHONDONTWRITEBYTECODE="")
    try:
        terminal.until("%")
        return time.perf_counter() - begin
    finally:
        terminal.close()
