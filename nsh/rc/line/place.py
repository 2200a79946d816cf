"""What stands at the cursor: which part of which command, as far as an unfinished text can tell.

The tokens of the text up to the cursor are followed through its brackets; of what comes after the cursor only
the files are of interest that the command writes to. Nothing here knows what could be offered.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

from nsh.rc.lex import KEYWORDS, Token
from nsh.rc.parse import tokens
from nsh.rc.tree import Word


class Role(enum.Enum):
    """What a word is there for."""

    COMMAND = "the name of a command"
    ARGUMENT = "an argument of a command, or an element of a list"
    SOURCE = "the file that a redirection reads"
    TARGET = "the file that a redirection writes"
    VALUE = "the value of a variable"
    VARIABLE = "the name of a variable"
    DESCRIPTOR = "a descriptor in the brackets of a redirection"
    FUNCTION = "the name of a function that is defined"
    TEXT = "text that means nothing to the shell, or a name that is new: nothing to offer"


class Piece(NamedTuple):
    """A part of a word, and where it begins. ``kind``: `PLAIN`, `QUOTED`, `NAME` (a variable), `OTHER`."""

    kind: str
    text: str
    start: int


PLAIN, QUOTED, NAME, OTHER = "plain", "quoted", "name", "other"


class Said(NamedTuple):
    """A word that is over: its role, where it is, and what it stands for, None if that depends."""

    role: Role
    start: int
    end: int
    text: str | None


class Place(NamedTuple):
    """Where the cursor is.

    ``start``: the offset at which the word before the cursor begins; ``pieces``: what there is of it;
    ``words``: those of the command before it, None where a word is not known from the text alone;
    ``targets``: the files that the command writes to.
    """

    role: Role
    start: int
    pieces: list[Piece]
    words: list[str | None]
    targets: list[str]


def literal(pieces: list[Piece]) -> str | None:
    """What a word stands for; None if that depends on more than the text."""
    if any(piece.kind in (NAME, OTHER) for piece in pieces):
        return None
    return "".join(piece.text for piece in pieces)


_ENDS = frozenset(("_NL", "_SEMI", "AMP", "AND", "OR", "PIPE"))
_WORDS = {"FN": "fn", "SWITCH": "switch", "TWIDDLE": "~"}
_KEYWORDS = frozenset(KEYWORDS.values())
_PIECES = frozenset(("WORD", "QUOTED", "DOLLAR", "COUNT", "FLAT", "_RPAREN", "_RBRACE"))
_blank = re.compile(r"(?:[ \t]|\\\n)*")
_brackets = re.compile(r"(?:<<|>>|<>|[<>|])\[(?:[0-9]*=)?([0-9]*)\Z")


class _Frame:
    """What is open at one level of brackets: a command, or a list in it.

    ``words``: the words of the command so far; ``word``: the pieces of the one that is not over, with its
    ``role`` and ``end``; ``due``: the role of the next one, where it is not that of a command's word, and
    ``always`` that of every one; ``targets``: the files that are written to.
    """

    def __init__(self, due: Role | None = None, words: list[str | None] | None = None) -> None:
        self.words = words or []
        self.word: list[Piece] | None = None
        self.role, self.end = Role.COMMAND, 0
        self.due = due
        self.always = due
        self.targets: list[str] = []

    def next_role(self) -> Role:
        return self.due or (Role.ARGUMENT if self.words else Role.COMMAND)

    def end_word(self, said: list[Said]) -> None:
        """The word is over."""
        if self.word is None:
            return
        text = literal(self.word)
        said.append(Said(self.role, self.word[0].start, self.end, text))
        if self.role in (Role.COMMAND, Role.ARGUMENT):
            self.words.append(text)
        elif self.role is Role.TARGET and text:
            self.targets.append(text)
        self.word, self.due = None, self.always

    def end_command(self, said: list[Said], words: list[str | None] | None = None) -> None:
        """Another command begins, with these words."""
        self.end_word(said)
        self.words, self.targets, self.due = words or [], [], self.always


class _Scan:
    """Follows tokens through their brackets. ``said``: the words that are over."""

    def __init__(self) -> None:
        self.frames = [_Frame()]
        self.said: list[Said] = []
        self._joins = False
        self._head = ""

    def take(self, token: Token) -> None:
        frame, type = self.frames[-1], token.type
        joins, self._joins = self._joins, False
        if type in ("_FREE", "_CARET", "BACKQUOTE", "PROC"):
            self._joins = True
            if type in ("BACKQUOTE", "PROC"):
                self._piece(Piece(OTHER, "", token.start), token.end, joins)
        elif type in ("WORD", "QUOTED"):
            assert isinstance(token.value, Word)
            kind, text = PLAIN if type == "WORD" else QUOTED, token.value.text
            if frame.word and frame.word[-1] == (NAME, "", token.start - 1):
                frame.word[-1] = Piece(NAME, text, token.start - 1)
                frame.end = token.end
            else:
                self._piece(Piece(kind, text, token.start), token.end, joins)
        elif type in ("DOLLAR", "COUNT", "FLAT"):
            self._piece(Piece(NAME, "", token.end - 1), token.end, joins)
        elif type == "_EQ":
            frame.word, frame.due = None, Role.VALUE
        elif type == "ARROW":
            frame.end_word(self.said)
            assert isinstance(token.value, tuple)
            frame.due = Role.SOURCE if token.value[0] == "<" else Role.TARGET
        elif type in _ENDS:
            frame.end_command(self.said)
        elif type in _KEYWORDS:
            self._keyword(type)
        else:
            self._bracket(token, joins)

    def _piece(self, piece: Piece, end: int, joins: bool) -> None:
        frame = self.frames[-1]
        if frame.word is None or not joins:
            frame.end_word(self.said)
            frame.role, frame.word = frame.next_role(), []
        frame.word.append(piece)
        frame.end = end

    def _keyword(self, type: str) -> None:
        frame = self.frames[-1]
        if type == "_IN":
            frame.end_command(self.said, ["for"])
            frame.due = frame.always = Role.ARGUMENT
            return
        self._head = type
        frame.end_command(self.said, [_WORDS[type]] if type in _WORDS else [])
        if type == "FN":
            frame.due = Role.FUNCTION

    def _bracket(self, token: Token, joins: bool) -> None:
        frame = self.frames[-1]
        match token.type:
            case "LPAREN":
                self._piece(Piece(OTHER, "", token.start), token.end, joins)
                self.frames.append(_Frame(frame.role, list(frame.words)))
            case "_SUBSCRIPT":
                self.frames.append(_Frame(Role.TEXT))
            case "_HEAD":
                self.frames.append(_Frame(Role.TEXT if self._head == "FOR" else None))
            case "LBRACE":
                frame.end_command(self.said)
                self.frames.append(_Frame())
            case "_BRACE":
                self.frames.append(_Frame())
            case "_RPAREN" | "_RBRACE" if len(self.frames) > 1:
                frame.end_word(self.said)
                self.frames.pop()
                self.frames[-1].end = token.end


def words(found: list[Token]) -> list[Said]:
    """The words that tokens make, in the order in which they end."""
    scan = _Scan()
    for token in found:
        scan.take(token)
    for frame in reversed(scan.frames):
        frame.end_word(scan.said)
    return scan.said


def place(text: str, cursor: int) -> Place:
    """What stands at the offset ``cursor``."""
    before = text[:cursor]
    brackets = _brackets.search(before)
    found = tokens(before if brackets is None else before[: brackets.start()], whole=False)
    scan = _Scan()
    for token in found:
        scan.take(token)
    end = found[-1].end if found else 0
    blank = _blank.match(before, end)
    at = blank.end() if blank else end
    rest = before[at:]
    if brackets is not None and brackets.start() == at:
        return Place(Role.DESCRIPTOR, brackets.start(1), [], [], [])
    touches = bool(found) and at == end and found[-1].type in _PIECES
    if rest.startswith("'"):
        scan._piece(Piece(QUOTED, rest[1:].replace("''", "'"), at), cursor, touches)
    elif rest or (found and at == end and found[-1].type in ("HERE", "DUP")):
        return Place(Role.TEXT, cursor, [], [], [])  # a comment, a here document, or what begins one
    elif found and at == end and found[-1].type in _KEYWORDS:
        token = found[-1]
        return Place(Role.COMMAND, token.start, [Piece(PLAIN, before[token.start :], token.start)], [], [])
    elif not touches:
        scan.frames[-1].end_word(scan.said)
    return _at(scan, cursor, text[cursor:])


def _at(scan: _Scan, cursor: int, rest: str) -> Place:
    """The place that a scan has come to; ``rest`` is what follows it."""
    frame = scan.frames[-1]
    pieces = list(frame.word or [])
    role = frame.role if frame.word else frame.next_role()
    start = pieces[0].start if pieces else cursor
    words = list(frame.words)
    if pieces and pieces[-1].kind == NAME:
        role, start = Role.VARIABLE, cursor - len(pieces[-1].text)
    depth = len(scan.frames)
    for token in tokens(rest, whole=False):
        if len(scan.frames) == depth and token.type in _ENDS:
            break
        scan.take(token)
        if len(scan.frames) < depth:
            break
    frame.end_word(scan.said)
    return Place(role, start, pieces, words, list(frame.targets))
