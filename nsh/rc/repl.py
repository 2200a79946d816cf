"""The prompt on a terminal: the line editor, put together for one shell.

prompt_toolkit is imported here, by way of `nsh.rc.line.editor`, and only when there is a terminal. Here is
decided what a line looks like: the prompt, and at its right end how the command before it ended, if that is
worth knowing. And here it is noted what was typed, and what became of it.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from nsh.rc import prompt
from nsh.rc.line import history, shown
from nsh.rc.line.editor import Editor, Look
from nsh.rc.line.history import History
from nsh.rc.prompt import Front
from nsh.rc.run import DEFAULTS

if TYPE_CHECKING:
    from nsh.rc.run import Shell

LONG = 3.0
"""Seconds from which on it is told how long a command took."""


class Prompt:
    """Reads commands from the terminal for one shell. ``front``: see `nsh.rc.prompt.Front`."""

    def __init__(self, sh: Shell, front: Front) -> None:
        self._shell = sh
        self._front = front
        self._history = History(history.path())
        self._editor = Editor(sh, self._history, front)
        self._loading: asyncio.Task[None] | None = None
        self._began: float | None = None
        sh.history = self._history
        self._told = False
        self._given_up = False

    async def line(self, inside: bool) -> str:
        """A command with its newline; '' at the end. Raises KeyboardInterrupt."""
        if self._loading is None:
            await self._history.open()
            self._loading = asyncio.ensure_future(self._history.load())
        right = await self._end()
        if self._history.trouble and not self._told:
            self._told = True
            await self._shell.complain(f"nothing is kept in the history: {self._history.trouble}")
        look = await self._look(right)
        try:
            text = await self._editor.read(look, vi=self._shell.var.get("editing") == ["vi"])
        except EOFError:
            return ""
        except KeyboardInterrupt:
            self._given_up = True
            raise
        self._history.begin(text, self._shell.proc.getwd())
        if text.strip():
            self._began = time.monotonic()
        return text + "\n"

    async def close(self) -> None:
        """No more is read: what still runs belongs into the history, too."""
        if self._loading is not None:
            self._loading.cancel()
        await self._end()

    # --- what became of the last one -----------------------------------------------------------

    async def _end(self) -> str:
        """The command is over. Returns what is worth knowing about it."""
        if self._began is None:
            await self._history.refresh()
            if self._given_up:  # the terminal itself has shown what was typed since
                self._given_up = False
                self._editor.fresh_line()
            return ""
        sh, took = self._shell, time.monotonic() - self._began
        self._began = None
        await self._history.end(sh.status, took)
        self._editor.fresh_line()
        failed = [] if sh.true else [f"\x1b[31m{shown.clipped(sh.status, self._editor.columns // 3)}\x1b[m"]
        return " ".join([*failed, *([shown.duration(took)] if took >= LONG else [])])

    # --- what a line looks like ----------------------------------------------------------------

    async def _look(self, right: str) -> Look:
        """The prompts of a line. ``right``: what stands at its end, if no function says otherwise."""
        sh = self._shell
        printed = await prompt.printed(sh, "prompt", self._front)
        printed_right = await prompt.printed(sh, "rprompt", self._front)
        if printed_right is not None:
            right = printed_right
        place = shown.directory(sh.proc.getwd(), "".join(sh.var.get("home")[:1]), self._editor.columns // 3)
        self._editor.title(f"nsh {place}")
        if sh.var.get("prompt") != DEFAULTS["prompt"]:
            asked, more = (prompt.text(sh, inside).expandtabs() for inside in (False, True))
            return Look(printed or asked, more, right)
        host = f"{os.uname().nodename}:" if sh.var.get("SSH_CONNECTION") else ""
        return Look(printed or f"\x1b[36m{host}{place}\x1b[m% ", None, right)
