"""Looking for an earlier command, of all sessions: what Ctrl-R brings up.

Below the line stands a list of the commands that have all the words that one types, in any order, each with
its age, its status and its directory. The one that is chosen is shown in the line itself, where Enter runs
it, and a key that moves the cursor takes it to be changed. Escape gives back the line as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import has_focus, is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout.containers import ConditionalContainer, HSplit, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.processors import BeforeInput

from nsh.rc.line.shown import age, clipped, date, directory, duration, padded

if TYPE_CHECKING:
    from nsh.rc.line.history import Entry, History
    from nsh.rc.line.recall import Line

ROWS = 10
"""Lines of the list."""

MOST = 500
"""Commands that one can go through."""

WIDE = 60
"""Columns of a terminal from which on the list has status and directory."""

STATUS, PLACE = 10, 20
"""Columns of the two."""

STYLE = {
    "nsh.search-query": "bold",
    "nsh.search-age": "ansicyan",
    "nsh.search-failed": "ansired",
    "nsh.search-directory": "ansibrightblack",
    "nsh.search-chosen": "reverse",
    "nsh.search-about": "ansibrightblack",
}


class Search:
    """The list below the line that is edited in ``line``. ``found``: what is in it; ``home``: shown as ~."""

    def __init__(self, history: History, line: Line, home: Callable[[], str]) -> None:
        self._history = history
        self._line = line
        self._home = home
        self._before = Document()
        self._mode = InputMode.INSERT
        self.found: list[Entry] = []
        self._chosen = 0
        self.query = Buffer(name="search", multiline=False, on_text_changed=lambda _: self._look())
        control = BufferControl(
            self.query, input_processors=[BeforeInput("search: ", "class:nsh.search-query")]
        )
        self.active = has_focus(self.query)
        self.container = ConditionalContainer(
            HSplit(
                [
                    Window(control, height=1, dont_extend_height=True),
                    Window(FormattedTextControl(self._rows), dont_extend_height=True, wrap_lines=False),
                ]
            ),
            filter=self.active & ~is_done,
        )

    # --- what happens --------------------------------------------------------------------------

    def begin(self) -> None:
        """Look for what has been typed so far."""
        app, line = get_app(), self._line
        self._before, self._mode = line.document, app.vi_state.input_mode
        self.query.document = Document("" if line.recalled else " ".join(line.text.split()))
        self._look()
        app.create_background_task(self._refresh())
        app.layout.focus(self.query)
        app.vi_state.input_mode = InputMode.INSERT

    def end(self, keep: bool) -> None:
        """Go back to the line: to what was chosen, or as it was."""
        if not keep:
            self._line.document = self._before
        app = get_app()
        app.layout.focus(self._line)
        app.vi_state.input_mode = self._mode

    def move(self, by: int) -> None:
        """Choose another one; further ones are older."""
        self._choose(min(max(self._chosen + by, 0), max(len(self.found) - 1, 0)))

    async def _refresh(self) -> None:
        """Look again, with what other sessions have typed meanwhile."""
        before = len(self._history.entries)
        await self._history.refresh()
        if len(self._history.entries) > before and self._chosen == 0:
            self._look()

    def _look(self) -> None:
        self.found = list(islice(self._history.matching(self.query.text.split()), MOST))
        self._choose(0)

    def _choose(self, at: int) -> None:
        self._chosen = at
        self._line.document = Document(self.found[at].text) if self.found else self._before

    # --- what is seen --------------------------------------------------------------------------

    def _rows(self) -> StyleAndTextTuples:
        """The list, the latest command first, and a line about the one that is chosen."""
        if not self.found:
            return [("class:nsh.search-about", "no command has these words")]
        size = get_app().output.get_size()
        rows = max(1, min(ROWS, size.rows - 4))
        first = max(0, self._chosen - rows + 1)
        shown: StyleAndTextTuples = []
        for at, entry in enumerate(self.found[first : first + rows], first):
            chosen = " class:nsh.search-chosen" if at == self._chosen else ""
            shown += [(style + chosen, text) for style, text in self._row(entry, size.columns - 1)]
            shown.append(("", "\n"))
        about = _about(self.found[self._chosen])
        shown.append(("class:nsh.search-about", clipped(about, size.columns - 1)))
        return shown

    def _row(self, entry: Entry, columns: int) -> Iterator[tuple[str, str]]:
        """A command in one line."""
        yield "class:nsh.search-age", f"{age(time.time() - entry.time) if entry.time else '':>4} "
        left = columns - 5
        if columns >= WIDE:
            yield "class:nsh.search-failed", padded(entry.status or "", STATUS) + " "
            place = directory(entry.directory, self._home(), PLACE)
            yield "class:nsh.search-directory", padded(place, PLACE) + " "
            left -= STATUS + PLACE + 2
        yield "", padded(entry.text, left)


def _about(entry: Entry) -> str:
    """All that is known of a command."""
    parts = [date(entry.time)] if entry.time else []
    if entry.status is not None:
        parts.append(entry.status or "succeeded")
    if entry.duration is not None:
        parts.append(f"took {duration(entry.duration)}")
    if entry.directory:
        parts.append(f"in {entry.directory}")
    return ", ".join(parts)


def keys(search: Search, run: Callable[[], None]) -> KeyBindings:
    """What the keys do while one searches. ``run``: runs what stands in the line."""
    found = KeyBindings()

    def on(names: str, act: Callable[[], None]) -> None:
        for name in names.split():
            found.add(name, filter=search.active, eager=True)(lambda event: act())

    def accept() -> None:
        search.end(keep=True)
        if search.found:
            run()

    on("c-r up c-p", lambda: search.move(1))
    on("c-s down c-n", lambda: search.move(-1))
    on("pageup", lambda: search.move(ROWS))
    on("pagedown", lambda: search.move(-ROWS))
    on("tab left right home end c-a c-b c-e c-f", lambda: search.end(keep=True))
    on("escape c-c c-g c-d", lambda: search.end(keep=False))
    on("enter", accept)
    return found
