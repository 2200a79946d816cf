"""An editor without a terminal: what is typed comes through a pipe, what is shown goes nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from nsh.kern.proc import current
from nsh.rc.line.editor import Editor, Look
from nsh.rc.line.history import Entry, History
from tests.rc.shell import World, world

ENTER, ESCAPE, TAB, UP, DOWN, RIGHT = "\r", "\x1b", "\t", "\x1b[A", "\x1b[B", "\x1b[C"


def ctrl(letter: str) -> str:
    """What the key sends with Ctrl."""
    return chr(ord(letter.upper()) - ord("@"))


async def front(work: Coroutine[Any, Any, None]) -> None:
    """Nobody sends signals here."""
    await work


class Editing:
    """An editor in which somebody types."""

    def __init__(self, w: World, history: History, pipe: PipeInput) -> None:
        self.world = w
        self.history = history
        self.editor = Editor(w.shell, history, front, pipe, DummyOutput())
        self._pipe = pipe

    def begin(self, vi: bool = False) -> None:
        """Begin to read a line."""
        self._read = asyncio.create_task(self._reading(vi))

    async def _reading(self, vi: bool) -> str | BaseException:
        """The line, or what was raised: a task that raises KeyboardInterrupt ends the loop."""
        try:
            return await self.editor.read(Look("% "), vi)
        except (KeyboardInterrupt, EOFError) as e:
            return e

    async def type(self, *keys: str) -> None:
        """Type; each of ``keys`` is seen before the next is typed."""
        for key in keys:
            processor = self.editor.app.key_processor
            seen = asyncio.get_running_loop().create_future()

            def note(_: object, seen: asyncio.Future[None] = seen) -> None:
                if not seen.done():
                    seen.set_result(None)

            processor.after_key_press += note
            self._pipe.send_text(key)
            await asyncio.wait([seen, self._read], return_when=asyncio.FIRST_COMPLETED)
            processor.after_key_press -= note
            await asyncio.sleep(0)

    async def until(self, what: Callable[[], object]) -> None:
        """Wait until this is true."""
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def shows(self, text: str) -> None:
        """Wait until the line is this."""
        while self.text != text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    @property
    def text(self) -> str:
        return self.editor.line.text

    @property
    def suggestion(self) -> str:
        found = self.editor.line.suggestion
        return found.text if found else ""

    @property
    def menu(self) -> list[str]:
        """What the menu shows."""
        state = self.editor.line.complete_state
        return [c.display_text for c in state.completions] if state else []

    async def result(self) -> str:
        """What was read. Raises what the editor raises."""
        found = await self._read
        if isinstance(found, BaseException):
            raise found
        return found

    async def close(self) -> None:
        self._read.cancel()
        await asyncio.wait([self._read])


@asynccontextmanager
async def editing(*entries: Entry | str, vi: bool = False, prepare: str = "") -> AsyncIterator[Editing]:
    """An editor that reads, with a history; ``prepare``: commands that the shell has run before."""
    w = await world()
    history = History(None)
    history.entries += [e if isinstance(e, Entry) else Entry(e) for e in entries]
    token = current.set(w.proc)
    try:
        if prepare:
            assert (await w.run(prepare + "\n")).err == ""
        with create_pipe_input() as pipe, create_app_session(pipe, DummyOutput()):
            e = Editing(w, history, pipe)
            e.begin(vi)
            yield e
            await e.close()
    finally:
        current.reset(token)
        await w.close()
