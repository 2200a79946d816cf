"""A pseudo terminal and somebody in front of it, who sees a screen and types: to test what is interactive."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyte

ROOT = Path(__file__).parent.parent.parent
NSH = [sys.executable, "-m", "nsh"]
PROMPT = "ready>"

ROWS, COLUMNS = 24, 120

_CHILD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class _Screen(pyte.Screen):
    """pyte, which does not know that private sequences may end in m."""

    def select_graphic_rendition(self, *attrs: int, private: bool = False) -> None:
        if not private:
            super().select_graphic_rendition(*attrs)


class Terminal:
    """A terminal and the program that leads its session: nsh, if no other is named."""

    def __init__(self, home: Path, argv: list[str] | None = None) -> None:
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "XDG_STATE_HOME": str(home / "state"),
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "prompt": f"{PROMPT} \1more> ",
            "PS1": f"{PROMPT} ",
        }
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _CHILD, *(argv or NSH)],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, number) for number in range(3)],
            setsid=True,
        )
        self._theirs = theirs
        self._screen = _Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._code: int | None = None

    # --- the screen ----------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """What is seen, without empty lines at the end."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, seen: str | Callable[[], bool]) -> str:
        """Look until ``seen`` is true, or a line that matches it is there; returns the screen."""

        def found() -> bool:
            return any(re.fullmatch(str(seen), line) for line in self.lines)

        condition = seen if callable(seen) else found
        try:
            while not condition():
                self._look(0.02)
        except BaseException as e:
            e.add_note(f"on the screen:\n{self.text}")
            raise
        return self.text

    def _look(self, seconds: float) -> None:
        if select.select([self._fd], [], [], seconds)[0]:
            self._stream.feed(os.read(self._fd, 65536))

    def clear(self) -> None:
        """Forget what there is beside the prompt."""
        self.prompt()
        self._screen.reset()
        self.type("\r")

    # --- the keyboard --------------------------------------------------------------------------

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def key(self, key: str) -> None:
        """Type a key that the terminal itself takes notice of, as soon as it does."""
        self.until(lambda: bool(self.modes[3] & termios.ISIG))
        self.type(key)

    @property
    def before(self) -> str:
        """What stands before the cursor."""
        cursor = self._screen.cursor
        return self._screen.display[cursor.y][: cursor.x]

    def prompt(self) -> None:
        """Look until the shell waits for a command."""
        self.until(lambda: self.before.rstrip() == PROMPT)

    def command(self, text: str) -> None:
        """Type a command at the prompt, and look until the shell has taken it. It must fit into a line."""
        self.prompt()
        self.type(text)
        self.until(lambda: self.before.endswith(text))
        self.type("\r")
        self.until(lambda: not self.before.endswith(text))

    def fg(self) -> None:
        """Put the latest job in front, and look until it is there."""
        self.command("fg")
        self.until(lambda: not self.lines[-1].startswith(PROMPT))

    def output(self, text: str) -> list[str]:
        """The lines that a command prints."""
        self.clear()
        self.command(f"{text}; echo en''d")
        self.until("end")
        self.prompt()
        end = self.lines.index("end")
        start = max(at for at, line in enumerate(self.lines[:end]) if line.endswith("en''d"))
        return self.lines[start + 1 : end]

    # --- behind it -----------------------------------------------------------------------------

    @property
    def modes(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    @property
    def front(self) -> int:
        """The process group that is in front."""
        return os.tcgetpgrp(self._fd)

    def hang_up(self) -> None:
        """Pull the plug."""
        os.close(self._fd)
        os.close(self._theirs)
        self._fd = self._theirs = -1

    def end(self) -> int:
        """Wait for the end; returns the exit code, negative for a signal."""
        while self._code is None:
            if self._fd >= 0:
                self._look(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG if self._fd >= 0 else 0)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def close(self) -> None:
        if self._fd >= 0:
            self.hang_up()
        if self._code is None:
            os.kill(self.pid, signal.SIGHUP)
            self.end()
