"""What others write to the terminal while a line is edited there.

Output of nsh's own processes in the background comes above the line, which is drawn again below it. A program
of the host writes to the terminal itself: that this has happened is told by inotify(7), and the line is then
drawn anew where the cursor is left, below what the program has written. News of jobs is told as soon as the
line is empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.application.current import set_app
from prompt_toolkit.output.vt100 import Vt100_Output

from nsh.dev.hostfd import HostFd, HostFdDevice

if TYPE_CHECKING:
    from nsh.rc.run import Shell

_QUIET = 0.05
"""Seconds in which nothing is written by a program before the line is drawn anew."""

_IN_MODIFY = 2


class Screen:
    """The terminal on which ``app`` edits lines for a shell."""

    def __init__(self, sh: Shell, app: Application[Any]) -> None:
        self._shell = sh
        self._app = app
        self._telling: Awaitable[int] | None = None
        self._redraw: asyncio.TimerHandle | None = None
        self._lent = False
        self._changes = -1  # inotify's descriptor

    @property
    def fresh(self) -> str:
        """What takes the cursor to the first column, behind a mark if what was printed last had no newline.

        The mark and as many blanks as make a line with it end up in the next line, unless we stood at
        the beginning of this one; so what follows always begins a line, and nothing printed is lost.
        """
        output = self._app.output
        mark = "\N{RETURN SYMBOL}" if output.encoding().lower().startswith("utf") else "~"
        blanks = " " * (output.get_size().columns - 1)
        return f"\x1b[2m{mark}\x1b[m{blanks}\r\x1b[K"

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """For as long as a line is edited."""
        sh = self._shell
        device = HostFdDevice.of(sh.proc.system)
        device.screen = self._above
        sh.jobs.changed = self._news
        self._news()  # what has come since it was told
        try:
            with self._watched():
                yield
        finally:
            device.screen = None
            sh.jobs.changed = lambda: None

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """For as long as a program has the terminal that was called in the middle of a line."""
        device = HostFdDevice.of(self._shell.proc.system)
        self._lent, device.screen = True, None
        try:
            yield
        finally:
            self._lent, device.screen = False, self._above

    # --- what goes through us ------------------------------------------------------------------

    async def _above(self, host: HostFd, data: bytes) -> int:
        await self._write(host.fd, data)
        return len(data)

    def _write(self, fd: int, data: bytes) -> Awaitable[int]:
        """Write something above the line."""
        with set_app(self._app):
            return run_in_terminal(lambda: self._written(fd, data + self.fresh.encode()))

    def _written(self, fd: int, data: bytes) -> int:
        taken = os.write(fd, data)
        if self._changes >= 0:
            _drained(self._changes)  # that was us
        return taken

    def _news(self) -> None:
        """A job has ended or stopped: tell, unless somebody is typing."""
        if self._app.current_buffer.text or self._lent:
            return
        text = "".join(f"{line}\n" for line in self._shell.jobs.news())
        if text:
            self._telling = self._write(1, text.encode("utf-8", "surrogateescape"))

    # --- what does not -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Have the line drawn anew after programs have written."""
        output = self._app.output
        if not isinstance(output, Shared) or (changes := _changes()) < 0:
            yield
            return
        self._changes = changes
        loop = asyncio.get_running_loop()

        def disturbed() -> bool:
            """Has somebody written, so that we do not know where the cursor is?"""
            if _drained(changes) and not self._lent:
                if self._redraw is not None:
                    self._redraw.cancel()
                self._redraw = loop.call_later(_QUIET, self._draw_anew)
            return self._redraw is not None

        output.disturbed = disturbed
        loop.add_reader(changes, disturbed)
        try:
            yield
        finally:
            output.disturbed, self._changes = _undisturbed, -1
            loop.remove_reader(changes)
            os.close(changes)
            if self._redraw is not None:
                self._redraw.cancel()
                self._redraw = None

    def _draw_anew(self) -> None:
        self._redraw = None
        app = self._app
        app.renderer.reset()
        app.output.write_raw(self.fresh)
        app.invalidate()


def _undisturbed() -> bool:
    return False


class Shared(Vt100_Output):
    """A terminal to which others write as well. Where they have, what is drawn would be at the wrong place.

    We write by way of /dev/tty. What inotify(7) tells of the terminal's own file is thus never about us.
    """

    disturbed: Callable[[], bool] = staticmethod(_undisturbed)

    @classmethod
    def open(cls) -> Shared:
        """The terminal that controls us; if there is none, standard output."""
        file: TextIO = sys.stdout
        with contextlib.suppress(OSError):
            file = open("/dev/tty", "w", encoding=file.encoding, errors="replace")
        output = cls.from_pty(file, os.environ.get("TERM"))
        assert isinstance(output, cls)
        return output

    def flush(self) -> None:
        if self.disturbed():
            self._buffer.clear()
        else:
            super().flush()


def _changes() -> int:
    """A descriptor that can be read when something was written to the terminal; -1 if there is no such."""
    import ctypes

    try:
        path = os.ttyname(1)
    except OSError:
        return -1
    libc = ctypes.CDLL(None)
    changes: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if changes >= 0 and libc.inotify_add_watch(changes, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(changes)
        return -1
    return changes


def _drained(fd: int) -> bool:
    """Take what there is to read; was there anything?"""
    found = False
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            found = True
    return found
