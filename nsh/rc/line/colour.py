"""Colours for a line that is being typed: what our own lexer makes of it, and what exists.

What is wrong is shown only once the
cursor has left it: nobody wants to be told of a word that is not finished.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import split_lines
from prompt_toolkit.lexers import Lexer

from nsh.rc.lex import KEYWORDS, Token
from nsh.rc.line.place import Role, Said, words
from nsh.rc.parse import mistake, tokens

if TYPE_CHECKING:
    from nsh.rc.line.known import Known

LONGEST = 20_000
"""Characters of a text that is coloured; in a longer one it would be felt."""

STYLE = {
    "nsh.keyword": "ansimagenta",
    "nsh.command": "ansigreen",
    "nsh.unknown": "ansired",
    "nsh.string": "ansiyellow",
    "nsh.variable": "ansicyan",
    "nsh.operator": "ansiblue",
    "nsh.comment": "ansibrightblack",
    "nsh.file": "underline",
    "nsh.missing": "ansired",
    "nsh.error": "ansired reverse",
    "nsh.bracket": "bold underline",
}

_OPERATORS = ("ARROW", "DUP", "HERE", "PIPE", "AND", "OR", "AMP", "_SEMI", "_EQ", "PROC", "BACKQUOTE")
_STYLES = {
    **dict.fromkeys(KEYWORDS.values(), "keyword"),
    **dict.fromkeys(_OPERATORS, "operator"),
    **dict.fromkeys(("DOLLAR", "COUNT", "FLAT"), "variable"),
    "QUOTED": "string",
    "_NL": "string",  # the text of a here document is part of it
}
_OPENING = frozenset(("LPAREN", "_SUBSCRIPT", "_HEAD", "LBRACE", "_BRACE"))
_CLOSING = frozenset(("_RPAREN", "_RBRACE"))
_PATTERN = frozenset("*?[")
_PATHS = ("/", "./", "../", "#")


class Colours(Lexer):
    """The colours of what one buffer holds; ``cursor`` tells where the cursor is."""

    def __init__(self, known: Known, cursor: Callable[[], int]) -> None:
        self._known = known
        self._cursor = cursor
        self.generation = 0

    def invalidation_hash(self) -> Hashable:
        return self.generation, self._cursor()

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines = list(split_lines(self.coloured(document.text)))
        return lambda number: lines[number] if number < len(lines) else []

    def coloured(self, text: str) -> StyleAndTextTuples:
        """The text in pieces, each with its style."""
        if len(text) > LONGEST:
            return [("", text)]
        styles = [""] * len(text)
        for start, end, style in self._spans(text, self._cursor()):
            for at in range(start, min(end, len(text))):
                styles[at] = f"{styles[at]} class:nsh.{style}"
        found: StyleAndTextTuples = []
        begin = 0
        for at in range(1, len(text) + 1):
            if at == len(text) or styles[at] != styles[begin]:
                found.append((styles[begin], text[begin:at]))
                begin = at
        return found

    def _spans(self, text: str, cursor: int) -> Iterator[tuple[int, int, str]]:
        """(start, end, what is there); what comes later is seen where both say the same."""
        found = tokens(text, whole=False)
        yield from _between(text, found)
        name = False
        for token in found:
            style = "variable" if name else _STYLES.get(token.type, "")
            name = token.type in ("DOLLAR", "COUNT", "FLAT")
            if style:
                yield token.start, token.end, style
        for word in words(found):
            if style := self._word(word, word.start <= cursor <= word.end):
                yield word.start, word.end, style
        yield from _mistake(text, found, cursor)
        for at in _brackets(found, cursor):
            yield at, at + 1, "bracket"

    def _word(self, word: Said, typing: bool) -> str:
        """What there is to say of a word, from what is known of it so far."""
        text = word.text
        if not text or word.role is Role.TEXT:
            return ""
        if word.role is Role.COMMAND:
            there = self._known.command(text)
            return "command" if there else "unknown" if there is False and not typing else ""
        if text.startswith("-") or not _PATTERN.isdisjoint(text):
            return ""
        there = self._known.file(text)
        if there:
            return "file"
        must = word.role is Role.SOURCE or (word.role is Role.ARGUMENT and text.startswith(_PATHS))
        return "missing" if there is False and must and not typing else ""


def _between(text: str, found: list[Token]) -> Iterator[tuple[int, int, str]]:
    """What stands between tokens: comments, and at the end a quote or a here document that is not over."""
    ends = [0, *(token.end for token in found)]
    starts = [*(token.start for token in found), len(text)]
    for end, start in zip(ends, starts, strict=True):
        comment = text.find("#", end, start)
        if comment >= 0:
            yield comment, start, "comment"
    rest = text[ends[-1] :].lstrip(" \t")
    if rest.startswith(("'", "\n")):
        yield len(text) - len(rest), len(text), "string"


def _mistake(text: str, found: list[Token], cursor: int) -> Iterator[tuple[int, int, str]]:
    """The first syntax error, unless the cursor is there, or it is that something has not come yet."""
    error = mistake(text)
    if error is None:
        return
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: error.line - 1]) + error.column - 1
    end = max((token.end for token in found if token.start == start), default=start + 1)
    if start < len(text) and not start <= cursor <= end:
        yield start, end, "error"


def _brackets(found: list[Token], cursor: int) -> tuple[int, ...]:
    """Where the bracket at the cursor, or else the one before it, and its partner are."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for token in found:
        if token.type in _OPENING:
            opened.append(token.end - 1)
        elif token.type in _CLOSING and opened:
            partner = opened.pop()
            pairs[partner], pairs[token.start] = token.start, partner
    for at in (cursor, cursor - 1):
        if at in pairs:
            return at, pairs[at]
    return ()
