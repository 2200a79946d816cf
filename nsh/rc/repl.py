"""The prompt on a terminal: one line editor for the whole session.

prompt_toolkit is imported here and in `complete`, and only when there is a terminal. It runs in the loop in
which the devices run, so that mounts and exports stay alive while somebody thinks about what to type.
Enter runs a command when it is complete, and otherwise begins another line of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from nsh.rc.complete import CommandCompleter
from nsh.rc.parse import is_complete
from nsh.rc.session import prompt

if TYPE_CHECKING:
    from prompt_toolkit.history import History

    from nsh.rc.run import Shell


class Prompt:
    """Reads commands from the terminal for one shell."""

    def __init__(self, sh: Shell) -> None:
        self._shell = sh
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            completer=CommandCompleter(sh),
            auto_suggest=AutoSuggestFromHistory(),
            key_bindings=_keys(),
            multiline=True,
            complete_while_typing=False,
            enable_history_search=True,
            prompt_continuation=lambda width, line, wrapped: _shown(sh, True),
        )

    async def line(self, inside: bool) -> str:
        """One command, or what there is of it, with a newline; '' at the end. Raises KeyboardInterrupt."""
        try:
            text = await self._session.prompt_async(_shown(self._shell, inside), handle_sigint=False)
        except EOFError:
            return ""
        return text + "\n"


def _shown(sh: Shell, inside: bool) -> ANSI:
    """The prompt as the editor takes it: colours by escape sequences, no tabs."""
    return ANSI(prompt(sh, inside).expandtabs())


def _keys() -> KeyBindings:
    """Enter runs what is complete; Alt-Enter begins a new line all the same."""
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    @keys.add("escape", "enter")
    def newline(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    return keys


def _history() -> History:
    """The history file of the user, or one in memory where there is no place for it."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    directory = os.path.join(state, "nsh")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        return FileHistory(os.path.join(directory, "history"))
    except OSError:
        return InMemoryHistory()
