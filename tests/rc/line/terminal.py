"""nsh at a pseudo terminal, and what a person would see there: pyte keeps the screen."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

import pyte

ROOT = Path(__file__).parent.parent.parent.parent

_CHILD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class _Screen(pyte.Screen):
    """pyte, which does not know that private sequences may end in m."""

    def select_graphic_rendition(self, *attrs: int, private: bool = False) -> None:
        if not private:
            super().select_graphic_rendition(*attrs)


class Terminal:
    """A terminal of 24 lines and 80 columns in which nsh runs, with ``home`` as home.

    ``environ``: what is set besides; ``program``: the arguments of Python that run it.
    """

    def __init__(self, home: Path, program: tuple[str, ...] = ("-m", "nsh"), **environ: str) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
        ours, theirs = pty.openpty()
        self._fd = ours
        self._screen = _Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.resize(80, 24)
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", _CHILD, *program],
            {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "HOME": str(home)} | environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, number) for number in range(3)],
            setsid=True,
        )
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size now."""
        self._screen.resize(rows, columns)
        ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def read(self, seconds: float) -> bool:
        """Take in what comes within that time; False if nothing comes any more."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other side is closed
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def until(self, seen: str | Callable[[], object]) -> str:
        """Wait until this text is on the screen, or what is asked is true; returns the screen.

        Blanks at the end of a line are not seen.
        """
        ask = seen if callable(seen) else lambda: seen.rstrip(" ") in self.screen
        try:
            while not ask():
                assert self.read(1), "nsh has gone"
        except BaseException as e:
            e.add_note(f"{seen!r} is not on the screen:\n{self.screen}")
            raise
        return self.screen

    def still(self) -> str:
        """The screen once nothing has been written to it for a moment."""
        raw = None
        while raw != self.raw:
            raw = self.raw
            end = time.monotonic() + 0.15
            while (left := end - time.monotonic()) > 0:
                self.read(left)
        return self.screen

    @property
    def lines(self) -> list[str]:
        """The lines of the screen up to the last that is not empty."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            del lines[-1]
        return lines

    @property
    def screen(self) -> str:
        return "\n".join(self.lines)

    @property
    def title(self) -> str:
        return self._screen.title

    @property
    def cursor(self) -> tuple[int, int]:
        """Line and column, counted from 0."""
        return self._screen.cursor.y, self._screen.cursor.x

    def colour(self, text: str) -> str:
        """The colour in which the last occurrence of a text begins, with a ``_`` behind it if underlined.

        '' if it is not on the screen.
        """
        for y in reversed(range(self._screen.lines)):
            x = self._screen.display[y].rfind(text)
            if x >= 0:
                char = self._screen.buffer[y][x]
                return char.fg + "_" * char.underscore
        return ""

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        while self.read(1):
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return code

    def close(self) -> None:
        """End it, whatever it does."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)
