"""A terminal with somebody in front of it who works with jobs: the screen of the editor's tests, and keys."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
from pathlib import Path

from tests.rc.line import terminal

NSH = [sys.executable, "-m", "nsh"]
PROMPT = "ready>"

_EXEC = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


class Terminal(terminal.Terminal):
    """A terminal in which nsh runs, or another program, and asks with `PROMPT`."""

    def __init__(self, home: Path, argv: list[str] | None = None) -> None:
        environ = {"prompt": f"{PROMPT} \1more> ", "PS1": f"{PROMPT} ", "XDG_STATE_HOME": str(home / "state")}
        super().__init__(home, ("-I", "-S", "-c", _EXEC, *argv) if argv else ("-m", "nsh"), **environ)
        self.resize(120, 24)

    def see(self, pattern: str) -> None:
        """Look until there is a line that matches this as a whole."""
        self.until(lambda: any(re.fullmatch(pattern, line) for line in self.lines))

    # --- the keyboard --------------------------------------------------------------------------

    @property
    def before(self) -> str:
        """What stands before the cursor."""
        y, x = self.cursor
        return self._screen.display[y][:x]

    def key(self, key: str) -> None:
        """Type a key that the terminal itself takes notice of, as soon as it does."""
        while not termios.tcgetattr(self._fd)[3] & termios.ISIG:
            self.read(0.02)
        self.type(key)

    def prompt(self) -> None:
        """Look until the shell waits for a command."""
        self.until(lambda: self.before.rstrip() == PROMPT)

    def clear(self) -> None:
        """Forget what there is beside the prompt."""
        self.prompt()
        self._screen.reset()
        self.type("\r")

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
        self.see("end")
        self.prompt()
        end = self.lines.index("end")
        start = max(at for at, line in enumerate(self.lines[:end]) if line.endswith("en''d"))
        return self.lines[start + 1 : end]

    # --- behind it -----------------------------------------------------------------------------

    @property
    def front(self) -> int:
        """The process group that is in front."""
        return os.tcgetpgrp(self._fd)

    def hang_up(self) -> None:
        """Pull the plug."""
        os.close(self._fd)
        self._fd = -1

    def end(self) -> int:
        """Wait for the end; returns the exit code, negative for a signal."""
        while True:
            if self._fd >= 0:  # others may have the terminal still: its end says nothing
                self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG if self._fd >= 0 else 0)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Pull the plug if it is still in: the shell ends its jobs."""
        if self._fd >= 0:
            self.hang_up()
        if self.pid:
            os.kill(self.pid, signal.SIGHUP)
            self.end()
