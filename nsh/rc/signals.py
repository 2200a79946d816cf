"""Signals: what the main shell of a program run does when one comes, and when a key was typed that sends one.

A signal with a function (``fn sighup``) runs that function before the next command. Without one, an
interactive shell interrupts what is in front when SIGINT or SIGQUIT comes, and any other shell ends. With
job control not all keys reach us (`nsh.rc.tty`), and we hear from the host which programs have stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

from nsh.dev.hostfd import HostFdDevice
from nsh.dev.spawn import Interrupts
from nsh.kern.dev import up
from nsh.kern.noteg import INTERRUPT, QUIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from nsh.rc.run import Shell
    from nsh.rc.source import Read

_NOTES = {
    signal.SIGINT: "sigint",
    signal.SIGHUP: "sighup",
    signal.SIGTERM: "sigterm",
    signal.SIGQUIT: "sigquit",
    signal.SIGALRM: "sigalrm",
    signal.SIGUSR1: "sigusr1",
    signal.SIGUSR2: "sigusr2",
}

_KEYS = {signal.SIGINT: INTERRUPT, signal.SIGQUIT: QUIT}

_ENDING = (signal.SIGHUP, signal.SIGTERM, signal.SIGALRM)
"""Other signals that end a shell which has no function for them."""


class Signals:
    """What the signals of this program mean for its main shell.

    ``ended_by``: the one that has ended the shell, or 0; ``prompting``: is called for a key that interrupts
    while the shell itself reads from the terminal.
    """

    def __init__(self, sh: Shell) -> None:
        self.ended_by = 0
        self.prompting: Callable[[], None] = lambda: None
        self._shell = sh
        self._loop = asyncio.get_running_loop()
        self._reading = False
        for number in _NOTES:
            if number not in _KEYS:
                signal.signal(number, self._sent)
        for number in _KEYS:
            signal.signal(number, self._interrupted)

    def watch(self, main: asyncio.Task[Any]) -> None:
        """``main`` is what a signal ends."""
        self._main = main
        self._group = self._shell.proc.noteg
        self._group.begin(main)

    def undisturbed(self, read: Read) -> Read:
        """``read``, which a signal with a function does not disturb."""

        async def line(inside: bool) -> str:
            self._reading = True
            try:
                return await read(inside)
            finally:
                self._reading = False

        return line

    def control_jobs(self) -> None:
        """Have job control, if there is a terminal that controls us."""
        from nsh.rc.tty import Keys, Terminal

        jobs = self._shell.jobs
        jobs.terminal = Terminal.control(Keys(self._key, self._also, self._too))
        if jobs.terminal is None:
            return
        HostFdDevice.of(self._shell.proc.system).reading = lambda: up().noteg.reading()
        for number in (signal.SIGTSTP, signal.SIGCHLD):
            signal.signal(number, self._interrupted)

    def _interrupted(self, number: int, frame: object) -> None:
        """The handler, which may be called in the middle of anything."""
        if number in _KEYS:
            Interrupts.count += 1
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._child if number == signal.SIGCHLD else self._key, number)

    def _sent(self, number: int, frame: object) -> None:
        """The handler of signals that no key sends. To have the loop's own for all of them takes 1 ms."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._came, number)

    def _came(self, number: int) -> None:
        """A signal has come that no key sends."""
        if not self._function(number) and number in _ENDING:
            self.ended_by = number
            self._main.cancel()

    def _function(self, number: int) -> bool:
        """Is there a function for this signal? Then it runs soon."""
        sh, name = self._shell, _NOTES[signal.Signals(number)]
        if name not in sh.var.functions:
            return False
        sh.notes.append(name)
        sh.jobs.wake()
        return True

    # --- keys ----------------------------------------------------------------------------------

    def _key(self, number: int, told: bool = False) -> None:
        """The signal of a key has come; ``told``: the programs in front have it, too."""
        sh, front = self._shell, self._shell.jobs.front
        if number == signal.SIGTSTP:
            if front is not None:
                try:
                    front.suspend(number)
                except PermissionError:  # a program that runs as somebody else goes on
                    front.stop(number)
            return
        function = self._function(number)
        if sh.interactive:
            if front is not None:
                front.interrupt(_KEYS[signal.Signals(number)], told)
            else:
                self.prompting()
        elif not (function and self._reading):
            self.ended_by = 0 if function else number
            self._group.interrupt(_KEYS[signal.Signals(number)])

    def _also(self, number: int) -> None:
        """Programs in front have got the signal of a key."""
        front = self._shell.jobs.front
        if front is not None and not front.heard(number):
            self._too(number)

    def _too(self, number: int) -> None:
        """Programs in front have got the signal of a key, which is for all of their job."""
        self._key(number, told=True)

    # --- programs ------------------------------------------------------------------------------

    def _child(self, number: int) -> None:
        """Something has happened to a program: was it stopped, or continued?"""
        for p in list(self._shell.proc.system.procs.values()):
            if not p.program:
                continue
            try:
                found = os.waitid(os.P_PID, p.program, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
            except ChildProcessError:  # it has ended, and its end will be noticed elsewhere
                continue
            if found is not None:
                p.noteg.noticed(p.program, 0 if found.si_code == os.CLD_CONTINUED else found.si_status)
