"""The screen of the line editor, and the loop that reads one command.

An `Editor` lives as long as its shell. It runs in the loop in which the devices run, so that mounts and
exports stay alive while somebody thinks about what to type. The terminal is never asked where its cursor is:
some do not answer, and of others the answer would end up in what the next program reads.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from prompt_toolkit.application import Application, in_terminal
from prompt_toolkit.cursor_shapes import (
    CursorShape,
    CursorShapeConfig,
    ModalCursorShapeConfig,
    SimpleCursorShapeConfig,
)
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, has_focus, is_done
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.formatted_text.utils import fragment_list_width, split_lines
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    MultiColumnCompletionsMenu,
    Window,
)
from prompt_toolkit.layout.processors import (
    ConditionalProcessor,
    DisplayMultipleCursors,
    HighlightSelectionProcessor,
    TabsProcessor,
)
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from nsh.rc.line import colour, search
from nsh.rc.line.abbr import expanded
from nsh.rc.line.complete import Completing
from nsh.rc.line.keys import bindings
from nsh.rc.line.known import Known
from nsh.rc.line.recall import Line
from nsh.rc.line.screen import Screen, Shared
from nsh.rc.line.suggest import ShowSuggestion, Suggestions
from nsh.rc.parse import is_complete
from nsh.rc.prompt import Front

if TYPE_CHECKING:
    from prompt_toolkit.input import Input

    from nsh.rc.line.history import History
    from nsh.rc.run import Shell

MENU = 12
"""Lines of the menu."""

COLUMN = 20
"""Characters of a column of a menu that has several; wider ones are cut where two then have room."""

MARGIN = 3
"""Characters that such a menu has at its sides."""

ESCAPE = 0.05
"""Seconds after which an escape was the key, and not the beginning of what another key sends."""

SEQUENCE = 1.0
"""Seconds between the keys of one sequence; while vi inserts it is `ESCAPE`, for Esc must act at once."""

STYLE = {
    "prompt": "",
    "mode": "ansibrightblack",
    "right": "ansibrightblack",
    "notice": "ansibrightblack",
    "auto-suggestion": "ansibrightblack",
    "completion-menu": "noinherit",
    "completion-menu.completion": "noinherit",
    "completion-menu.completion.current": "noinherit reverse",
    "completion-menu.meta.completion": "noinherit ansibrightblack",
    "completion-menu.meta.completion.current": "noinherit ansibrightblack",
    **colour.STYLE,
    **search.STYLE,
}

TITLE = 100
"""Characters of a window's title."""

_MODES = {
    InputMode.INSERT: "[I] ",
    InputMode.NAVIGATION: "[N] ",
    InputMode.REPLACE: "[R] ",
    InputMode.REPLACE_SINGLE: "[R] ",
    InputMode.INSERT_MULTIPLE: "[I] ",
}


class Look(NamedTuple):
    """What stands around a line: before it, before its further lines (None: blanks), and at its right end.

    All may have colours, as escape sequences.
    """

    prompt: str
    more: str | None = None
    right: str = ""


class Editor:
    """Edits lines for one shell.

    ``line``: what is edited; ``search``, ``completing``: what Ctrl-R and Tab do; ``abbreviations``: what
    words become; ``front``: has a program in front, for $EDITOR; ``input``, ``output``: if not the terminal.
    """

    def __init__(
        self,
        sh: Shell,
        history: History,
        front: Front,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self._shell = sh
        self._front = front
        self._look = Look("")
        self._prompt: list[StyleAndTextTuples] = [[]]
        self.abbreviations = sh.abbreviations
        known = self._known = Known(sh, self._changed)
        suggestions = Suggestions(history, known, lambda: sh.proc.getwd())
        self.line = Line(history, name="line", multiline=True, auto_suggest=suggestions)
        self._colours = colour.Colours(known, self._cursor)
        self.completing = Completing(sh, history, self.line)
        self.search = search.Search(history, self.line, lambda: "".join(sh.var.get("home")[:1]))
        self.app: Application[str] = Application(
            layout=self._layout(),
            key_bindings=merge_key_bindings([bindings(self), search.keys(self.search, self.run)]),
            style=Style.from_dict(STYLE),
            include_default_pygments_style=False,
            color_depth=self._color_depth,
            cursor=_Cursor(),
            input=input,
            output=output or _terminal(),
        )
        self._screen = Screen(sh, self.app)
        self.app.ttimeoutlen = ESCAPE
        self.app.key_processor.before_key_press += lambda _: self.completing.cancel()
        self.app.key_processor.after_key_press += lambda _: self._set_patience()

    # --- reading -------------------------------------------------------------------------------

    async def read(self, look: Look, vi: bool = False) -> str:
        """A command, without the last newline. Raises EOFError and KeyboardInterrupt, when that was typed."""
        self._look = look
        self._prompt = list(split_lines(to_formatted_text(ANSI(look.prompt), style="class:prompt")))
        self.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
        self._known.forget()
        self.line.reset()
        self.app.layout.focus(self.line)
        self._set_patience()
        try:
            with self._screen.shared():
                return await self.app.run_async(handle_sigint=False, set_exception_handler=False)
        finally:
            self.completing.cancel()
            self._known.forget()

    @property
    def columns(self) -> int:
        """Of the terminal."""
        return self.app.output.get_size().columns

    def fresh_line(self) -> None:
        """Have the cursor at the beginning of a line, see `Screen.fresh`."""
        output = self.app.output
        output.write_raw(self._screen.fresh)
        with contextlib.suppress(OSError):  # the terminal is gone
            output.flush()

    def enter(self) -> None:
        """Run the command if it is complete, else begin another line of it. A menu is closed first."""
        line = self.line
        if line.complete_state is not None and line.complete_state.current_completion is not None:
            line.complete_state = None
            return
        self.expand()
        self.run()

    def run(self) -> None:
        """Have the shell run the line, or begin another line of it."""
        text = self.line.text
        if not is_complete(text):
            self.line.insert_text("\n")
            return
        if text.strip():
            self.title(text.strip().partition("\n")[0])
        self.app.exit(result=text)

    def expand(self) -> None:
        """Expand the abbreviation before the cursor, if there is one."""
        line = self.line
        found = expanded(line.text, line.cursor_position, self.abbreviations)
        if found is not None:
            line.save_to_undo_stack()
            line.document = Document(*found)

    def title(self, text: str) -> None:
        """Have the window called so."""
        self.app.output.set_title("".join(char for char in text if char.isprintable())[:TITLE])

    async def edit(self) -> None:
        """Have what was typed edited with $VISUAL, $EDITOR or vi."""
        line = self.line
        try:
            with tempfile.TemporaryDirectory(prefix="nsh") as directory:
                name = f"{directory}/line.rc"
                with open(name, "w", errors="surrogateescape") as file:
                    file.write(line.text + "\n")
                await self._call_editor(name)
                with open(name, errors="surrogateescape") as file:
                    text = file.read().rstrip("\n")
        except OSError as e:
            self.completing.notice = str(e)
            return
        line.save_to_undo_stack()
        line.document = Document(text)

    async def _call_editor(self, file: str) -> None:
        """Have the user's editor in front, as if it had been typed, but that it leaves no status."""
        sh = self._shell
        command = ["vi"]
        for name in ("EDITOR", "VISUAL"):
            words = sh.var.get(name)
            command = (
                words if len(words) > 1 else "".join(words).split()
            ) or command  # of the host it is one
        status = sh.var.values["status"]
        async with in_terminal():
            with self._screen.lent():
                await self._front(sh.call([*command, file]))
        sh.var.values["status"] = status

    def _set_patience(self) -> None:
        app = self.app
        typing = app.editing_mode is EditingMode.VI and app.vi_state.input_mode is InputMode.INSERT
        app.timeoutlen = ESCAPE if typing else SEQUENCE

    def _cursor(self) -> int:
        """Where the cursor is; once the line is finished it is nowhere."""
        return -1 if self.app.is_done else self.line.cursor_position

    def _changed(self) -> None:
        """More is known of what stands in the line."""
        self._colours.generation += 1
        self.app.invalidate()

    def _color_depth(self) -> ColorDepth | None:
        return ColorDepth.MONOCHROME if self._shell.var.get("NO_COLOR") not in ([], [""]) else None

    # --- the screen ----------------------------------------------------------------------------

    def _layout(self) -> Layout:
        line = self.line
        control = BufferControl(
            line,
            lexer=self._colours,
            include_default_input_processors=False,
            input_processors=[
                HighlightSelectionProcessor(),
                DisplayMultipleCursors(),
                TabsProcessor(char1=" ", char2=" "),
                ConditionalProcessor(ShowSuggestion(), has_focus(line) & ~is_done),
            ],
        )
        window = Window(
            control,
            height=self._height,
            get_line_prefix=self._prefix,
            wrap_lines=True,
            dont_extend_height=True,
        )
        described = Condition(lambda: self._described)
        above = Window(FormattedTextControl(self._above), dont_extend_height=True, wrap_lines=True)
        notice = Window(FormattedTextControl(lambda: self.completing.notice), height=1, style="class:notice")
        body = HSplit(
            [
                ConditionalContainer(above, Condition(lambda: bool(self._above()))),
                FloatContainer(
                    window,
                    [
                        Float(
                            CompletionsMenu(MENU, scroll_offset=1, extra_filter=described),
                            xcursor=True,
                            ycursor=True,
                        ),
                        Float(
                            MultiColumnCompletionsMenu(1, COLUMN, show_meta=False, extra_filter=~described),
                            left=0,
                            right=0,
                            ycursor=True,
                        ),
                        Float(
                            Window(FormattedTextControl(self._right), dont_extend_width=True, height=1),
                            right=0,
                            top=0,
                            hide_when_covering_content=True,
                        ),
                    ],
                ),
                ConditionalContainer(notice, Condition(lambda: bool(self.completing.notice)) & ~is_done),
                self.search.container,
            ]
        )
        return Layout(body, focused_element=line)

    def _height(self) -> Dimension:
        """Room for the menu below the line, as far as there is any."""
        menu = self.line.complete_state
        if menu is None or self.app.is_done:
            return Dimension()
        lines = len(menu.completions)
        if not self._described:
            widest = max(get_cwidth(each.display_text) for each in menu.completions) + 1
            lines = -(-lines // max(1, (self.columns - MARGIN) // widest))
        wanted = self.line.document.line_count + min(lines, MENU)
        return Dimension(min=max(1, min(wanted, self.app.output.get_size().rows - len(self._prompt))))

    @property
    def _described(self) -> bool:
        """Does the menu tell what its words mean? Then each has a line of its own."""
        menu = self.line.complete_state
        return menu is not None and any(each.display_meta_text for each in menu.completions)

    def _above(self) -> StyleAndTextTuples:
        """The lines of the prompt but the last, in which stands what is typed."""
        found: StyleAndTextTuples = []
        for line in self._prompt[:-1]:
            found += [*([("", "\n")] if found else []), *line]
        return found

    def _prefix(self, number: int, wrapped: int) -> StyleAndTextTuples:
        """What stands in front of a line on the screen."""
        if wrapped:
            return []
        if number and self._look.more is not None:
            return to_formatted_text(ANSI(self._look.more), style="class:prompt")
        prompt = self._prompt[-1]
        if self.app.editing_mode is EditingMode.VI:
            prompt = [("class:mode", _MODES.get(self.app.vi_state.input_mode, "")), *prompt]
        return [("", " " * fragment_list_width(prompt))] if number else prompt

    def _right(self) -> StyleAndTextTuples:
        return to_formatted_text(ANSI(self._look.right), style="class:right")


class _Cursor(CursorShapeConfig):
    """The shape of the cursor tells the mode of vi; otherwise it is the user's own."""

    def __init__(self) -> None:
        self._shapes = {
            EditingMode.VI: ModalCursorShapeConfig(),
            EditingMode.EMACS: SimpleCursorShapeConfig(),
        }

    def get_cursor_shape(self, application: Application[Any]) -> CursorShape:
        return self._shapes[application.editing_mode].get_cursor_shape(application)


def _terminal() -> Output:
    output = create_output()
    if isinstance(output, Vt100_Output):
        output = Shared.open()
        output.enable_cpr = False
    return output
