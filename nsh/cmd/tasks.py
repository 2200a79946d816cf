"""tasks: show what taskfs runs: its sessions, their tasks, its hosts; once, or as it goes on.

All is read from the files of taskfs(3), as one could do it with cat.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import Complaints
from nsh.cmd.outputs import RED
from nsh.cmd.screen import coloured, cut, size, terminal
from nsh.cmd.taskfiles import TASK, is_number, pause
from nsh.cmd.tasktable import Row, Table
from nsh.kern.proc import Proc
from nsh.p9.const import OWRITE

USAGE = "[-af] [session ...]\n       tasks -k session ..."

INTERVAL = 0.25
"""Seconds between two looks, if looking takes no time."""
SHARE = 20
"""Looking takes one part in so many of the time."""
TICK = 0.25
"""Seconds after which a new size of the terminal is noticed."""

_GOOD = ("", "new", "running", "done", "up")
_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\r\n\x1b[?25h\x1b[?1049l"
"""The other screen of the terminal, without a cursor; and back, or, if it has no other, below the table."""


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "afk", USAGE)
    names = options.args
    if not all(map(is_number, names)):
        raise Usage(USAGE)
    if "k" in options:
        if not names or len(options.letters) > 1:
            raise Usage(USAGE)
        return await _release(p, names)
    table = Table(p, names, "a" not in options)
    await table.look()
    if "f" not in options:
        await p.print("".join(line + "\n" for line in table.lines()))
    elif terminal(p, 1) is None:
        await _tell_changes(p, table)
    else:
        await Live(p, table).run()
    return ""


async def _release(p: Proc, names: list[str]) -> str:
    """Kill what runs in sessions, and free them."""
    complaints = Complaints(p, "tasks")
    for name in names:
        try:
            await p.writefile(f"{TASK}/{name}/ctl", b"release", OWRITE)
        except FileNotFoundError:
            await complaints.say(f"no session {name}")
        except OSError as e:
            await complaints.say(f"{name}: {e}")
    return complaints.status()


async def _look_again(table: Table) -> None:
    """Look once more when it is time to."""
    await asyncio.sleep(pause(table.took, INTERVAL, SHARE))
    await table.look()


async def _tell_changes(p: Proc, table: Table) -> None:
    """Print the rows, and from then on those that have become others, for ever."""
    known: set[Row] = set()
    while True:
        rows = [row if row.state != "running" else row._replace(time="-") for row in table.rows()]
        gone = {row.session for row in known} - {row.session for row in rows}
        lines = [" ".join(row) for row in rows if row not in known]
        lines += [f"{session} released" for session in sorted(gone, key=int)]
        if lines:
            await p.print("".join(line + "\n" for line in lines))
        known = set(rows)
        await _look_again(table)


class Live:
    """The table on a terminal, as it changes, until q is typed."""

    def __init__(self, p: Proc, table: Table) -> None:
        self._p = p
        self._table = table
        self._coloured = coloured(p, 1)

    async def run(self) -> None:
        """Errors: of reading and of writing."""
        work = [asyncio.create_task(part) for part in (self._look(), self._draw(), self._keys())]
        try:
            with _keys_at_once(terminal(self._p, 0)):
                await self._p.print(_ENTER)
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for part in done:
                    part.result()
        finally:
            for part in work:
                part.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self._p.print(_LEAVE)

    async def _look(self) -> None:
        while True:
            await _look_again(self._table)

    async def _draw(self) -> None:
        """Draw what has changed, in what there is or the room for it."""
        host = terminal(self._p, 1)
        shown = ""
        while host is not None:
            frame = self._frame(*size(host))
            if frame != shown:
                await self._p.print(frame)
                shown = frame
            await asyncio.sleep(TICK)

    def _frame(self, columns: int, height: int) -> str:
        """The whole screen."""
        lines = self._table.lines()
        room = height - (len(lines) > height)
        drawn = [self._painted(cut(line, columns - 1)) for line in lines[:room]]
        if (more := len(lines) - room) > 0:
            drawn.append(f"... {more} lines more")
        return "\x1b[H" + "\x1b[K\r\n".join(drawn) + "\x1b[K\x1b[J"

    def _painted(self, line: str) -> str:
        """A line in the colour of its state, which is the second word in both tables."""
        state = "".join(line.split()[1:2])
        if not self._coloured:
            return line
        if state == "STATE":
            return f"\x1b[1m{line}\x1b[m"
        return line if state in _GOOD else f"\x1b[{RED}m{line}\x1b[m"

    async def _keys(self) -> None:
        """Wait for a q."""
        if terminal(self._p, 0) is None:
            await asyncio.Event().wait()
        while (typed := await self._p.read(0)) and b"q" not in typed:
            pass


@contextlib.contextmanager
def _keys_at_once(host: int | None) -> Iterator[None]:
    """Have keys read as they are typed, and not shown, on the terminal ``host``, if there is one."""
    if host is None:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(host)
    tty.setcbreak(host, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(host, termios.TCSANOW, before)
