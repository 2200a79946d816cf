"""A process that does nothing but get the signals of keys, where nobody else must get them, or can tell us.

It is a child of the shell, in the shell's session, and the shell moves it from one process group to another.
There are two of them:

* A program of the host is started with vfork(2): we do not go on until the new process is a program. At first
  it is in our process group. If Ctrl-Z were typed then, and we in front, it would stop before it is anything,
  and we would wait for ever. So for that moment a sentry is in front instead of us.
* Where programs have the terminal, another is in their process group. It tells us of keys that should
  interrupt also what runs beside the programs, or that came when these had just ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

KEYS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)


class Sentry:
    """The process. ``typed`` is called with the signal of each key that it gets."""

    def __init__(self, typed: Callable[[int], None]) -> None:
        self._typed = typed
        theirs, self._lifeline = os.pipe()
        self._news, report = os.pipe()
        self.pgid = os.fork()
        if self.pgid == 0:
            _stand(theirs, report)
        os.close(theirs)
        os.close(report)
        self.join(self.pgid)
        os.set_blocking(self._news, False)
        asyncio.get_running_loop().add_reader(self._news, self._hear)
        self._known: list[int] = []  # keys that it will tell of, and we know

    def join(self, pgid: int) -> None:
        """Be in this process group, if it is there still."""
        with contextlib.suppress(OSError):
            os.setpgid(self.pgid, pgid)

    def leave(self) -> None:
        """Be in a process group of its own."""
        self.join(self.pgid)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Be in a process group of its own meanwhile."""
        before = os.getpgid(self.pgid)
        self.leave()
        try:
            yield
        finally:
            self.join(before)

    def _hear(self) -> None:
        for number in self._told():
            self._typed(number)

    def keys(self) -> set[int]:
        """The keys that it has got and not told of, even if it had no time yet to notice."""
        keys = set[int]()
        with contextlib.suppress(OSError), open(f"/proc/{self.pgid}/status") as status:
            pending = next(int(line.split()[1], 16) for line in status if line.startswith("ShdPnd:"))
            unnoticed = [key for key in KEYS if pending >> (key - 1) & 1 and key not in self._known]
            self._known += unnoticed
            keys.update(unnoticed)
        return keys | set(self._told())  # only now: it may have told of some meanwhile

    def _told(self) -> list[int]:
        """The keys of which it has told, except for those that we know."""
        try:
            numbers = os.read(self._news, 64)
        except BlockingIOError:
            return []
        if not numbers:  # somebody has killed it
            asyncio.get_running_loop().remove_reader(self._news)
        news = []
        for number in numbers:
            if number in self._known:
                self._known.remove(number)
            elif number in KEYS:
                news.append(number)
        return news

    def close(self) -> None:
        """It ends."""
        asyncio.get_running_loop().remove_reader(self._news)
        os.close(self._lifeline)
        os.close(self._news)
        os.waitpid(self.pgid, 0)


def _stand(lifeline: int, report: int) -> NoReturn:
    """What the process does, as long as somebody holds the other end of ``lifeline``."""
    try:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN if number not in KEYS else lambda *_: None)
        os.setpgid(0, 0)
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd not in (lifeline, report):
                with contextlib.suppress(OSError):
                    os.close(fd)
        os.set_blocking(report, False)
        signal.set_wakeup_fd(report)  # to which Python writes the number of each signal
        os.read(lifeline, 1)
    finally:
        os._exit(0)
