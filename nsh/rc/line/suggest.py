"""What is suggested behind the cursor while a command is typed: the latest one that began so.

One that was typed in this directory is preferred, as what one does in a directory one does again. A command
that no longer exists is not suggested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

from nsh.rc.lex import visible
from nsh.rc.line.place import Role, words
from nsh.rc.parse import tokens

if TYPE_CHECKING:
    from nsh.rc.line.history import History
    from nsh.rc.line.known import Known

TRIED = 20
"""Commands of other directories that are looked at before there is no suggestion."""


class Suggestions(AutoSuggest):
    """Suggests from a history; ``directory`` tells where the shell is."""

    def __init__(self, history: History, known: Known, directory: Callable[[], str]) -> None:
        self._history = history
        self._known = known
        self._directory = directory
        self._nothing = ("", -1)  # a text for which there was nothing in a history of this length

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        """The rest of the command that is suggested for a text."""
        text, length = document.text, len(self._history.entries)
        if not text.strip() or text[0].isspace() or not document.is_cursor_at_the_end:
            return None
        if self._nothing[1] == length and text.startswith(self._nothing[0]):
            return None
        found = next(filter(self._exists, self._beginning(text)), None)
        if found is None:
            self._nothing = text, length
            return None
        return Suggestion(found[len(text) :])

    def _beginning(self, text: str) -> Iterator[str]:
        """Commands that begin so: those of this directory, then some others."""
        here = self._directory()
        seen = {text}
        for entry in self._history.latest():
            if entry.directory == here and entry.text.startswith(text) and entry.text not in seen:
                seen.add(entry.text)
                yield entry.text
        tried = 0
        for entry in self._history.latest():
            if entry.text.startswith(text) and entry.text not in seen:
                seen.add(entry.text)
                yield entry.text
                tried += 1
                if tried == TRIED:
                    return

    def _exists(self, text: str) -> bool:
        """Can the command be run, as far as is known?"""
        first = next((word for word in words(tokens(text)) if word.role is Role.COMMAND), None)
        return first is None or not first.text or self._known.command(first.text) is not False


class ShowSuggestion(Processor):
    """Shows the suggestion behind the text; of one that goes on in another line, that it does."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document, buffer = transformation_input.document, transformation_input.buffer_control.buffer
        fragments = transformation_input.fragments
        if (
            buffer.suggestion
            and document.is_cursor_at_the_end
            and transformation_input.lineno == document.line_count - 1
        ):
            first, newline, _ = buffer.suggestion.text.partition("\n")
            shown = visible(first) + (" ..." if newline else "")
            fragments = [*fragments, ("class:auto-suggestion", shown)]
        return Transformation(fragments=fragments)
