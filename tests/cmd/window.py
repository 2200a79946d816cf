"""A window: a terminal whose screen is kept by pyte, with nsh in it, as a person would see and use it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pyte

TOP = Path(__file__).parents[2]

_CHILD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "nsh", *sys.argv[1:]])
"""


class Window:
    """A terminal of this size, in which nsh runs in ``directory`` with these arguments."""

    def __init__(self, size: tuple[int, int], directory: Path, *argv: str) -> None:
        columns, lines = size
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000)
        self._stream = pyte.ByteStream(self._screen)
        environ = {
            **os.environ, "PYTHONPATH": str(TOP), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1",
            "XDG_STATE_HOME": str(directory), "prompt": "ready> \1more> ",
        }  # fmt: skip
        environ.pop("NO_COLOR", None)
        self._fd, theirs = pty.openpty()
        self.resize(columns, lines)
        self._pid = os.posix_spawn(
            "/usr/bin/env",
            ["env", f"--chdir={directory}", sys.executable, "-c", _CHILD, *argv],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, number) for number in range(3)],
            setsid=True,
        )
        os.close(theirs)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self._stream.feed(data)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def command(self, text: str) -> None:
        self.type(text + "\r")

    @property
    def lines(self) -> list[str]:
        """What the screen shows."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def everything(self) -> list[str]:
        """What it has shown and shows: the lines that have left it at the top, and those on it."""
        gone = [
            "".join(line[column].data for column in range(self._screen.columns)).rstrip()
            for line in self._screen.history.top
        ]
        return gone + self.lines

    def colour(self, text: str) -> str:
        """That of the first place on the screen where ``text`` is."""
        for y, line in enumerate(self._screen.display):
            if text in line:
                colour: str = self._screen.buffer[y][line.index(text)].fg
                return colour
        raise AssertionError(f"{text!r} is not shown")

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for what is to be seen; the limit of the test is the limit here."""
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def shows(self, pattern: str) -> None:
        """Wait for a line that begins with what a regular expression says."""
        await self.until(lambda: any(re.match(pattern, line) for line in self.lines))

    async def end(self) -> int:
        """Wait for the end; returns the exit code."""
        await self.until(lambda: os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, os.WNOHANG)[1])  # noqa: ASYNC222

    def close(self) -> None:
        """Make an end of it, if that has not come."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        try:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


@asynccontextmanager
async def window(size: tuple[int, int], directory: Path, *argv: str) -> AsyncIterator[Window]:
    """A `Window`, and what it has shown if a test fails."""
    w = Window(size, directory, *argv)
    try:
        yield w
    except BaseException:
        print(*w.everything, sep="\n")
        raise
    finally:
        w.close()
