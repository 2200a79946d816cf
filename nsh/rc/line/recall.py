"""The text that is being edited, and how earlier commands come back to it: up and down, by what was typed.

`Up` looks for commands that begin with what stands before the cursor, first among those of this session, and
shows no command twice. The line that was begun comes back in the end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.history import History as Strings

if TYPE_CHECKING:
    from nsh.rc.line.history import History

WORDS = 1000
"""Commands in which the key for the last word of earlier ones looks."""


class Line(Buffer):
    """A buffer that recalls from `History`. The arguments are a Buffer's."""

    def __init__(self, history: History, **options: Any) -> None:
        self._history = history
        self._found: list[str] = []
        self._more: Iterator[str] = iter(())
        self._at = -1
        self._typed = Document()
        self._shown: str | None = None
        super().__init__(history=_Strings(history), **options)

    @property
    def recalled(self) -> bool:
        """Is this a command as it was, and not what somebody has typed?"""
        return self._at >= 0 and self.text == self._shown

    def history_backward(self, count: int = 1) -> None:
        """Show the command before this one."""
        if self.text != self._shown:
            self._typed = self.document
            self._found, self._at = [], -1
            self._more = _beginning(self.document.text_before_cursor, self.text, self._history)
        for _ in range(count):
            if self._at + 1 == len(self._found):
                found = next(self._more, None)
                if found is None:
                    break
                self._found.append(found)
            self._at += 1
        if self._at >= 0:
            self._show(Document(self._found[self._at]))

    def history_forward(self, count: int = 1) -> None:
        """Show the command after this one, or what was typed."""
        if not self.recalled:
            return
        self._at = max(-1, self._at - count)
        self._show(Document(self._found[self._at]) if self._at >= 0 else self._typed)

    def _show(self, document: Document) -> None:
        self.document = document
        self._shown = document.text


def _beginning(prefix: str, text: str, history: History) -> Iterator[str]:
    """The commands that begin so, but for this one, each once, the latest first."""
    seen = {text}
    for entry in history.latest():
        if entry.text.startswith(prefix) and entry.text not in seen:
            seen.add(entry.text)
            yield entry.text


class _Strings(Strings):
    """What prompt_toolkit wants to know of a history: words of earlier commands (Alt-.)."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def get_strings(self) -> list[str]:
        """The latest commands, the oldest first."""
        return [entry.text for entry in self._history.entries[-WORDS:]]

    async def load(self) -> AsyncGenerator[str, None]:
        """Nothing: `Line` finds what it needs itself."""
        return
        yield ""

    def append_string(self, string: str) -> None:
        pass

    def load_history_strings(self) -> Iterable[str]:
        return ()

    def store_string(self, string: str) -> None:
        pass
