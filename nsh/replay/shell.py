"""The programs that a transcript is typed to: nsh, and for ``--host`` the bash of this machine.

A shell is typed to through a pipe, and its prompt, a random word, tells that a command has ended. What it
prints is read by the World (world.py), which waits for all of them at once.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

import nsh
from nsh.replay.remains import PATIENCE

__all__ = ["Bash", "Nsh", "Shell", "nsh_command"]

# How nsh is started: the one that runs now, whatever directory the shell works in or a variable says.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from nsh.__main__ import main; sys.exit(main())"


def nsh_command() -> list[str]:
    """The command that runs the nsh that runs now, but for its arguments."""
    return [sys.executable, "-P", "-c", _START, os.path.dirname(os.path.dirname(nsh.__file__))]


class Shell:
    """One shell that is typed to, started by ``argv``; ``ask``: the command that sets its prompt to ``{}``.

    ``prepare`` is called in the new process first of all.
    """

    hangs_up = signal.SIGTERM
    """The signal that ends it in order."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        ask: str,
        directory: str,
        environ: Mapping[str, str],
        prepare: Callable[[], None],
    ) -> None:
        self.name = name
        self.printed = bytearray()
        self.ended = False
        """Has its output been closed? Then nothing more can be typed to it."""
        self.busy = False
        """Has something been typed that its prompt has not followed yet?"""
        self._prompt = f"<{secrets.token_hex(8)}>"
        self.process = subprocess.Popen(
            argv,
            cwd=directory,
            env={**environ, "HOME": directory, "PWD": directory},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=prepare,
            start_new_session=True,  # so that Ctrl-C reaches this process only, which then ends all in order
        )
        assert self.process.stdin and self.process.stdout
        self._stdin, self.stdout = self.process.stdin, self.process.stdout
        self.type(ask.format(self._prompt))

    def type(self, text: str) -> None:
        """Type one line."""
        self.busy = True
        try:
            self._stdin.write(os.fsencode(text) + b"\n")
            self._stdin.flush()
        except BrokenPipeError:
            self.ended = True

    def hangup(self) -> None:
        """End its standard input."""
        try:
            self._stdin.close()
        except BrokenPipeError:
            pass

    def prompted(self) -> bytes | None:
        """What it printed up to its prompt, or None as long as that has not come; what follows is kept."""
        before, prompt, after = self.printed.partition(self._prompt.encode())
        if not prompt:
            return None
        self.printed, self.busy = after, False
        return bytes(before)

    def running(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, as a terminal or the machine would; nothing happens when it has ended."""
        self.process.send_signal(number)

    def status(self) -> str:
        """How it ended, in a few words."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "it has closed its output"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


class Nsh(Shell):
    """A name space shell, or one that plays a Linux shell."""

    def __init__(
        self, name: str, directory: str, environ: Mapping[str, str], prepare: Callable[[], None]
    ) -> None:
        super().__init__(name, [*nsh_command(), "-i"], "prompt=('{}' '')", directory, environ, prepare)


class Bash(Shell):
    """The bash of this machine. What it runs gets its signals too: they are one group without a terminal."""

    hangs_up = signal.SIGHUP  # by SIGTERM it is not impressed

    def __init__(
        self, name: str, directory: str, environ: Mapping[str, str], prepare: Callable[[], None]
    ) -> None:
        argv = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"]
        super().__init__(name, argv, "PS1='{}' PS2=", directory, environ, prepare)

    def send(self, number: signal.Signals) -> None:
        if self.running():
            os.killpg(self.process.pid, number)
