"""Whether commands and files exist: asked in the background, answered from what is known so far.

The answers are for one line: what a command does may change them. As everywhere in the editor nothing is
waited for: the answer to a new question is None, and `changed` is called when it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nsh.kern.namec import Access, namec
from nsh.rc.builtins import BUILTINS
from nsh.rc.find import find

if TYPE_CHECKING:
    from nsh.rc.run import Shell

PATIENCE = 1.0
"""Seconds after which nothing is known."""

MOST = 8
"""Questions that may be open at a time."""


class Known:
    """What is known, for one shell."""

    def __init__(self, sh: Shell, changed: Callable[[], None]) -> None:
        self._shell = sh
        self._changed = changed
        self._answers: dict[tuple[str, str], bool | None] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """Another line begins, or nobody looks any more."""
        for task in self._asking:
            task.cancel()
        self._answers.clear()

    def command(self, name: str) -> bool | None:
        """Can this be run?"""
        if name in self._shell.var.functions or name in BUILTINS:
            return True
        return self._answer("command", name, self._find)

    def file(self, name: str) -> bool | None:
        """Does this file exist?"""
        return self._answer("file", name, self._walk)

    def _answer(self, what: str, name: str, ask: Callable[[str], Awaitable[object]]) -> bool | None:
        question = what, name
        if question not in self._answers and len(self._asking) < MOST:
            self._answers[question] = None
            task = asyncio.ensure_future(self._ask(question, ask))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return self._answers.get(question)

    async def _ask(self, question: tuple[str, str], ask: Callable[[str], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await ask(question[1])
        except TimeoutError:
            return
        except OSError:
            self._answers[question] = False
        else:
            self._answers[question] = True
        self._changed()

    async def _find(self, name: str) -> None:
        await find(self._shell, name)

    async def _walk(self, name: str) -> None:
        await namec(self._shell.proc, name, Access.ACCESS)
