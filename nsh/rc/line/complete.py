"""Tab: asks for offers in the background, and puts them into the line or into the menu.

Whatever is typed meanwhile ends the asking. A single offer is put in; of several, what they have in
common, and the menu shows them. Who types on while it is open has less in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import Completion
from prompt_toolkit.document import Document

if TYPE_CHECKING:
    from nsh.rc.line.history import History
    from nsh.rc.line.offers import Completer, Offers
    from nsh.rc.run import Shell

MOST = 1000
"""Lines of a menu; more nobody looks through."""


class Completing:
    """Completes what stands in a buffer. ``notice``: what there is to say about it, '' for nothing."""

    def __init__(self, sh: Shell, history: History, buffer: Buffer) -> None:
        self._shell = sh
        self._history = history
        self._buffer = buffer
        self._completer: Completer | None = None
        self._asking: asyncio.Task[None] | None = None
        self._start = 0
        self._open = False
        self.notice = ""
        buffer.on_text_insert += lambda _: self._narrow()

    def tab(self, back: bool = False) -> None:
        """Go through the menu, or begin to ask what there is."""
        menu, self._open = self._buffer.complete_state, False
        if menu is None or len(menu.completions) == 1:
            self._buffer.complete_state = None
            self._begin(self._put_in)
        elif back:
            self._buffer.complete_previous()
        else:
            self._buffer.complete_next()

    def cancel(self) -> None:
        """A key was pressed: nobody waits for an answer any more."""
        menu = self._buffer.complete_state
        self._open = menu is not None and menu.complete_index is None
        self.notice = ""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _narrow(self) -> None:
        """Something was typed. If the menu was open, and nothing chosen in it, it has what is left."""
        if self._open:
            self._open = False
            self._begin(self._show_again)

    def _begin(self, then: Callable[[Document, Offers], None]) -> None:
        self._asking = get_app().create_background_task(self._ask(self._buffer.document, then))

    async def _ask(self, document: Document, then: Callable[[Document, Offers], None]) -> None:
        if self._completer is None:
            from nsh.rc.line.offers import Completer

            self._completer = Completer(self._shell, self._history)
        offers = await self._completer.offers(document.text, document.cursor_position)
        if self._buffer.document == document:
            then(document, offers)
            if offers.silent:
                self.notice = f"{offers.silent} does not answer"
            get_app().invalidate()

    def _show_again(self, document: Document, offers: Offers) -> None:
        """Show what is left, unless another word was begun."""
        if offers.found and offers.start == self._start:
            self._show(document, offers)

    def _put_in(self, document: Document, offers: Offers) -> None:
        """Put into the line what is certain, and the rest into the menu."""
        found = offers.found
        written = document.text[offers.start : document.cursor_position]
        if not found:
            return
        if len(found) == 1:
            ends = found[0].ends and not document.text_after_cursor.startswith(" ")
            self._replace(written, found[0].text + " " * ends)
            return
        common = _common([offer.text for offer in found])
        if common.startswith(written) and common != written:
            self._replace(written, common)
        self._show(self._buffer.document, offers)

    def _show(self, document: Document, offers: Offers) -> None:
        """Open the menu."""
        self._start = offers.start
        at = offers.start - document.cursor_position
        menu = [Completion(o.text, at, display=o.shown, display_meta=o.about) for o in offers.found[:MOST]]
        self._buffer.complete_state = CompletionState(document, menu)

    def _replace(self, written: str, text: str) -> None:
        """Have ``text`` in the place of what is written before the cursor."""
        self._buffer.save_to_undo_stack()
        self._buffer.delete_before_cursor(len(written))
        self._buffer.insert_text(text)


def _common(texts: list[str]) -> str:
    """The beginning that all of them have."""
    first, last = min(texts), max(texts)
    same = next((at for at, char in enumerate(first) if last[at : at + 1] != char), len(first))
    return first[:same]
