"""The prompt, driven through a pseudo terminal as a person would."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.requires("a terminal")

_escape = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

ROOT = Path(__file__).parent.parent.parent


class Terminal:
    """nsh behind a pseudo terminal."""

    def __init__(self, home: Path) -> None:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "XDG_STATE_HOME": str(home)}
        environ["prompt"] = "ready> \1more> "
        ours, theirs = pty.openpty()
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", _CHILD],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, number) for number in range(3)],
            setsid=True,
        )
        os.close(theirs)
        self._fd = ours
        self._seen = ""

    def until(self, text: str) -> str:
        """Read until ``text`` appears; returns what came since the last call, without escape sequences."""
        while text not in (shown := _escape.sub("", self._seen)):
            data = os.read(self._fd, 4096).decode(errors="replace")
            if "\x1b[6n" in data:  # where is the cursor?
                os.write(self._fd, b"\x1b[1;1R")
            self._seen += data
        before, _, self._seen = shown.partition(text)
        return before + text

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def command(self, text: str) -> None:
        """Type a command at the prompt."""
        self.until("ready>")
        self.type(text + "\r")

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        try:
            while os.read(self._fd, 4096):
                pass
        except OSError:
            pass  # the other side is closed
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        os.close(self._fd)


_CHILD = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "nsh"])
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    t = Terminal(tmp_path)
    yield t
    t.close()


def test_commands_are_read_run_and_remembered(terminal: Terminal, tmp_path: Path) -> None:
    terminal.command("echo a^b")
    terminal.until("\nab\r\n")
    terminal.command("exit 3")
    assert terminal.end() == 3
    assert len((tmp_path / "nsh" / "history").read_text().splitlines()) == 2


def test_enter_goes_on_until_a_command_is_complete(terminal: Terminal) -> None:
    terminal.command("if(~ a a){")
    terminal.until("more>")
    terminal.type("echo in^side\r")
    terminal.until("more>")
    terminal.type("}\r")
    terminal.until("\ninside\r\n")
    terminal.command("exit")
    assert terminal.end() == 0


@pytest.mark.parametrize("key", ["\x03", "\x1c"], ids=["Ctrl-C", "Ctrl-backslash"])
@pytest.mark.parametrize(
    "command", ["sleep 1000", "env sleep 1000", "env sleep 1000 | cat", "x=`{sleep 1000}"]
)
def test_control_c_ends_what_runs_and_nothing_else(terminal: Terminal, command: str, key: str) -> None:
    terminal.command(f"echo go^ing; {command}; echo not^reached")
    terminal.until("\ngoing\r\n")
    terminal.type(key)
    assert "notreached" not in terminal.until("ready>")
    terminal.type("echo still^here\r")
    terminal.until("\nstillhere\r\n")
    terminal.until("ready>")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_an_error_comes_back_to_the_prompt(terminal: Terminal) -> None:
    terminal.command("echo (1 2)^(1 2 3)")
    terminal.until("nsh: mismatched list lengths in concatenation")
    terminal.command("exit")
    assert terminal.end() == 1


def test_a_closed_terminal_ends_the_shell(terminal: Terminal) -> None:
    terminal.until("ready>")
    os.kill(terminal.pid, signal.SIGHUP)
    terminal.end()


def test_a_quit_signal_at_the_prompt_is_nothing(terminal: Terminal) -> None:
    terminal.until("ready>")
    os.kill(terminal.pid, signal.SIGQUIT)
    terminal.type("echo still^here\r")
    terminal.until("\nstillhere\r\n")
    terminal.command("exit")
    assert terminal.end() == 0
