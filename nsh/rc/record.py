"""nsh --record: a session with a person, written down as a transcript that can be replayed (transcript(6)).

While it is recorded the standard output and standard error of all commands are one pipe, so that there is one
order of what they write, and they find no terminal there, as they will not when the session is replayed.
What comes out of it is shown, and written below the command that was typed before. A command of several lines
is written as one that does the same; what has been interrupted or stopped is written as a comment, since it
would not be interrupted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import struct
import termios
from typing import TYPE_CHECKING

from nsh.dev.hostfd import HostFdDevice
from nsh.kern.chan import settle
from nsh.kern.stream import write_all
from nsh.rc.oneline import one_line
from nsh.rc.parse import RcSyntaxError, parse
from nsh.rc.var import quoted

if TYPE_CHECKING:
    from nsh.rc.run import Shell
    from nsh.rc.source import Read

READSIZE = 65536

_LOOKS_TYPED = re.compile(r"[;%$#]([ \t]|$)|\.\.\.\s*$")
_CUT_SHORT = ("interrupted", "stopped")
"""The status of what would go on longer when it is replayed."""


def as_output(text: str) -> str:
    """A printed line in a form that is read as output; a leading blank hides what looks like a prompt."""
    return f" {text}" if _LOOKS_TYPED.match(text) else text


class Recorder:
    """Writes down what is typed to a shell, and what comes of it.

    From when it is made until `close`, descriptors 1 and 2 of the shell lead to it. Errors: those of opening
    the file ``name`` of the host, `OSError`.
    """

    def __init__(self, sh: Shell, name: str) -> None:
        self._shell = sh
        self._file = open(name, "w", encoding="utf-8", errors="surrogateescape", newline="", buffering=1)
        self._typed: list[str] = []  # the lines of the command that runs, or is being typed
        self._printed = bytearray()  # since then; or the beginning of a line, if nothing runs
        self._cut_short = False
        fgrp = sh.proc.fgrp
        self._saved = [fgrp.get(fd).incref() for fd in (1, 2)]
        self._reading, writing = HostFdDevice.of(sh.proc.system).pipe()
        fgrp.put(1, writing)
        fgrp.put(2, writing.incref())
        self._shown = asyncio.Event()
        self._copying = False
        self._copier = asyncio.create_task(self._copy())
        self._header()

    def _header(self) -> None:
        """What brings who replays it to where we are; it prints nothing."""
        self._file.write("# a session of nsh\n")
        for word in self._shell.var.get("home")[:1]:
            self._file.write(f"home={quoted(word)}\n")
        self._file.write(f"cd {quoted(self._shell.proc.getwd())}\n")

    # --- what is typed -------------------------------------------------------------------------

    def heard(self, read: Read) -> Read:
        """``read``, with an ear to what is typed."""

        async def line(inside: bool) -> str:
            if not inside:
                await self._over()
            try:
                text = await read(inside)
            except KeyboardInterrupt:  # what there is of the command is given up
                self._typed.clear()
                raise
            self._typed.append(text)
            return text

        return line

    async def say(self, text: str) -> None:
        """Write to standard error as it was before: a prompt is not recorded."""
        await write_all(self._saved[1], text.encode("utf-8", "surrogateescape"))

    async def _over(self) -> None:
        """The command has come to its end: write it down, with all that it has printed."""
        await self._all_shown()
        text = "".join(self._typed).strip()
        self._typed.clear()
        if not text:
            return
        self._cut_short = self._shell.status in _CUT_SHORT
        if "\n" in text:
            try:
                text = one_line(list(parse(text)))
            except RcSyntaxError:  # a mistake in several lines cannot be made on one
                text, self._cut_short = text.replace("\n", "\n# "), True
        self._file.write(f"{'# ' if self._cut_short else ''}; {text}\n")
        if self._printed:
            self._write(bytes(self._printed).removesuffix(b"\n"))
            self._printed.clear()

    # --- what is printed -----------------------------------------------------------------------

    async def _copy(self) -> None:
        """Take what is printed, show it and keep it, until nobody can print any more."""
        reading = self._reading
        try:
            while data := await settle(reading.dev.read(reading, READSIZE, 0)):
                self._copying = True
                self._printed += data
                if not self._typed:  # it is printed in the background
                    lines, newline, rest = bytes(self._printed).rpartition(b"\n")
                    self._printed[:] = rest
                    if newline:
                        self._write(lines)
                with contextlib.suppress(OSError):  # nobody is there to see it
                    await write_all(self._saved[0], data)
                self._copying = False
                self._shown.set()
        finally:
            reading.close()

    def _write(self, lines: bytes) -> None:
        for line in lines.decode("utf-8", "surrogateescape").split("\n"):
            self._file.write(f"# {line}\n" if self._cut_short else f"{as_output(line)}\n")

    async def _all_shown(self) -> None:
        """Wait until everything that has been printed is on the screen."""
        while self._copying or self._waiting():
            self._shown.clear()
            await self._shown.wait()

    def _waiting(self) -> int:
        """How many bytes are in the pipe."""
        fd = self._reading.dev.fileno(self._reading)
        assert fd is not None
        (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
        return int(count)

    # --- the end -------------------------------------------------------------------------------

    async def close(self) -> None:
        """Write the last command down, and leave the descriptors as they were."""
        await self._over()
        for fd, c in enumerate(self._saved, 1):
            self._shell.proc.fgrp.put(fd, c)
        self._copier.cancel()
        self._file.close()
