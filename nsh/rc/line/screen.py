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
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.application.current import set_app
from prompt_toolkit.output import Output

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
            return run_in_terminal(lambda: os.write(fd, data + self.fresh.encode()))

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
        flush = output.flush
        loop = asyncio.get_running_loop()
        changes = _changes_of(output)
        if changes < 0:
            yield
            return

        def flush_and_forget() -> None:
            flush()
            _drain(changes)  # that was us

        def changed() -> None:
            _drain(changes)
            if self._lent:
                return
            if self._redraw is not None:
                self._redraw.cancel()
            self._redraw = loop.call_later(_QUIET, self._draw_anew)

        output.flush = flush_and_forget  # type: ignore[method-assign]
        loop.add_reader(changes, changed)
        try:
            yield
        finally:
            loop.remove_reader(changes)
            os.close(changes)
            del output.flush
            if self._redraw is not None:
                self._redraw.cancel()

    def _draw_anew(self) -> None:
        app = self._app
        app.renderer.reset()
        app.output.write_raw(self.fresh)
        app.invalidate()


def _changes_of(output: Output) -> int:
    """A descriptor that can be read when something was written to the terminal; -1 if there is no such."""
    import ctypes

    try:
        path = os.ttyname(output.fileno())
    except (OSError, NotImplementedError):
        return -1
    libc = ctypes.CDLL(None)
    changes: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if changes >= 0 and libc.inotify_add_watch(changes, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(changes)
        return -1
    return changes


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass
