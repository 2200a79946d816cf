"""The terminal of a shell with job control: which process group is in front, and what state it is in.

There is one such group at a time (tcsetpgrp(3)): what is typed is for its programs, and so are the signals
of the keys. The shell, whose group it is between commands, ignores the signals by which the host stops those
who use a terminal from the background.

A program that succeeds has set the terminal as its user wants it (stty). One that fails may have crashed
before it could put things right, and that is done here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import termios
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nsh.kern import noteg
from nsh.rc.sentry import Sentry

_TRIES = 16
"""How often a shell that was started in the background asks to be put in front."""

_RESET = b"\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[0m"
"""The cursor is seen, the mouse, pasting and the keys are as usual, and there is no colour."""

_LEAVE = b"\x1b[?1047l\x1b[999;1H\n"
"""Back from a program's own screen. Nobody knows any more where we were before it came: to the last line."""


class Keys(NamedTuple):
    """Who is called, with its signal, for a key that did not reach us.

    ``instead``: nobody else has got it; ``too``: the programs in front have; ``ended``: one has died of it.
    """

    instead: Callable[[int], None]
    too: Callable[[int], None]
    ended: Callable[[int], None]


class Terminal:
    """The terminal that controls us.

    ``modes``: its state, as it is for the next program; ``typed``: is called for a key that the programs in
    front have got, with its signal.
    """

    def __init__(self, fd: int, before: int, keys: Keys) -> None:
        self.typed = keys.ended
        self._fd = fd
        self._aside, self._among = Sentry(keys.instead), Sentry(keys.too)
        self._pgid = os.getpgrp()
        self._before = before
        self.modes = termios.tcgetattr(fd)
        self._ours = asyncio.Event()
        self.take()
        noteg.starting = self._starting

    @classmethod
    def control(cls, keys: Keys) -> Terminal | None:
        """Take control of the terminal, in a process group of our own; None where there is no such thing."""
        try:
            fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return None
        for _ in range(_TRIES):
            if os.tcgetpgrp(fd) == os.getpgrp():
                break
            os.kill(0, signal.SIGTTIN)
        else:
            os.close(fd)
            return None
        for number in (signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        before = os.getpgrp()
        if before != os.getpid():
            os.setpgid(0, 0)
        return cls(fd, before, keys)

    def close(self) -> None:
        """Give it back to those who had it before us."""
        noteg.starting = contextlib.nullcontext
        self._aside.close()
        self._among.close()
        self._put_in_front(self._before)
        os.close(self._fd)

    # --- who is in front -----------------------------------------------------------------------

    def give(self, pgid: int) -> None:
        """Let a process group of programs have it."""
        self._ours.clear()
        self._among.join(pgid)
        self._put_in_front(pgid)

    def take(self) -> None:
        """Have it ourselves."""
        self._put_in_front(self._pgid)
        self._among.leave()
        self._ours.set()

    def _put_in_front(self, pgid: int) -> None:
        with contextlib.suppress(OSError):  # the group, or the terminal, has gone
            os.tcsetpgrp(self._fd, pgid)

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """A program is being started: what is typed now must not stop it before it is there."""
        ours = self._ours.is_set()
        if ours:
            self._put_in_front(self._aside.pgid)
        try:
            yield
        finally:
            if ours:
                self._put_in_front(self._pgid)

    def unheard(self) -> contextlib.AbstractContextManager[None]:
        """What the programs are sent meanwhile is no key, and nobody is told of it."""
        return self._among.away()

    async def ours(self) -> None:
        """Wait until we have it."""
        await self._ours.wait()

    def keys(self) -> set[int]:
        """The signals of keys that the programs have got, and of which nobody was told yet."""
        return self._among.keys()

    def forget(self) -> None:
        """The keys that we have not heard of were for what is in front no more."""
        self._aside.keys()
        self._among.keys()

    # --- its state -----------------------------------------------------------------------------

    def left(self, code: int) -> None:
        """A program has ended with this exit code; negative: it died of a signal."""
        with contextlib.suppress(termios.error):
            modes = termios.tcgetattr(self._fd)
            if code == 0:
                self.modes = modes
            elif modes != self.modes:
                self.put(self.modes)
                if os.environ.get("TERM", "dumb") != "dumb":
                    # one that was not killed may have said why it fails, on its own screen
                    os.write(self._fd, _RESET + (_LEAVE if code < 0 else b""))

    def keep(self) -> list[Any] | None:
        """The state in which a program has it, for `put` when that goes on; it has our own again."""
        try:
            modes = termios.tcgetattr(self._fd)
        except termios.error:
            return None
        self.put(self.modes)
        return modes

    def put(self, modes: list[Any]) -> None:
        """Have it in this state."""
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, modes)
