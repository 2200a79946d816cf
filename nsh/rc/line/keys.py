"""What each key does while a line is edited, beyond what it does in every program with such an editor.

prompt_toolkit brings the keys of emacs and of vi. Those that concern a shell are here, and come on top.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition, emacs_mode, has_focus, vi_insert_mode, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

if TYPE_CHECKING:
    from nsh.rc.line.editor import Editor

ENDS_WORD = " ;|&)}"
"""Characters behind which an abbreviation is over."""

_next_word = re.compile(r"\s*[^\s/]*/?")
"""What one key takes of a suggestion."""


def bindings(editor: Editor) -> KeyBindings:
    """The keys of the line."""
    keys = KeyBindings()
    line, here = editor.line, has_focus(editor.line)
    inserting = here & (emacs_mode | vi_insert_mode)
    menu = here & Condition(lambda: line.complete_state is not None)
    empty = here & Condition(lambda: not line.text)
    suggested = (
        ~menu & inserting & Condition(lambda: bool(line.suggestion and line.document.is_cursor_at_the_end))
    )
    abbreviating = inserting & Condition(lambda: bool(editor.abbreviations))

    @keys.add("enter", filter=here)
    def enter(event: KeyPressEvent) -> None:
        editor.enter()

    @keys.add("escape", "enter", filter=inserting)
    def newline(event: KeyPressEvent) -> None:
        line.insert_text("\n")

    @keys.add("c-c", filter=here)
    @keys.add("<sigint>")
    def interrupt(event: KeyPressEvent) -> None:
        event.app.exit(exception=KeyboardInterrupt())

    @keys.add("c-d", filter=empty)
    def end(event: KeyPressEvent) -> None:
        event.app.exit(exception=EOFError())

    @keys.add("tab", filter=inserting)
    def complete(event: KeyPressEvent) -> None:
        editor.completing.tab()

    @keys.add("s-tab", filter=menu)
    def back(event: KeyPressEvent) -> None:
        editor.completing.tab(back=True)

    @keys.add("escape", filter=menu & emacs_mode)
    @keys.add("c-g", filter=menu)
    def close_menu(event: KeyPressEvent) -> None:
        line.cancel_completion()

    @keys.add("c-r", filter=here)
    @keys.add("/", filter=here & vi_navigation_mode)
    @keys.add("?", filter=here & vi_navigation_mode)
    def search(event: KeyPressEvent) -> None:
        editor.search.begin()

    @keys.add("right", filter=suggested)
    @keys.add("end", filter=suggested)
    @keys.add("c-e", filter=suggested)
    @keys.add("c-f", filter=suggested)
    def take(event: KeyPressEvent) -> None:
        if line.suggestion is not None:
            line.insert_text(line.suggestion.text)

    @keys.add("escape", "f", filter=suggested)
    @keys.add("c-right", filter=suggested)
    def take_word(event: KeyPressEvent) -> None:
        word = _next_word.match(line.suggestion.text if line.suggestion is not None else "")
        if word is not None:
            line.insert_text(word[0])

    for char in ENDS_WORD:

        @keys.add(char, filter=abbreviating)
        def end_word(event: KeyPressEvent) -> None:
            editor.expand()
            line.insert_text(event.data)

    @keys.add("c-x", "c-e", filter=inserting)
    @keys.add("v", filter=here & vi_navigation_mode)
    def edit(event: KeyPressEvent) -> None:
        event.app.create_background_task(editor.edit())

    @keys.add(Keys.BracketedPaste, filter=inserting)
    def paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        line.insert_text(text if line.document.text_after_cursor else text.rstrip("\n"))

    @keys.add("c-z", filter=here)
    def nothing(event: KeyPressEvent) -> None:
        """There is nothing in front that could be stopped."""

    return keys
