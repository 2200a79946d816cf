"""The tokens of rc.

rc's lexical rules lean on the grammar: a keyword is one only where a command may begin, ``=`` assigns only
after the first word of a command. So the parser asks for one token at a time, and `wants` is the lexer's
way to ask back whether a token would be welcome. What lives here is text into tokens: words, quotes,
comments, the carets that rc thinks between pieces that touch, descriptors in brackets, and here documents,
whose text is read when the newline after them is met. What may stand where is the grammar's business.

The text may come in parts, each of whole lines. Where it ends too soon, `Lexer.next` says None and can be
asked again when there is more.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nsh.errors import FileFormatError
from nsh.rc.tree import Dup, HereDoc, Word

__all__ = ["KEYWORDS", "Lexer", "RcSyntaxError", "Token"]


class RcSyntaxError(FileFormatError):
    """A command that is not rc. `str` is ``FILE:LINE:COLUMN: what``; `report` shows the place too.

    `source` is the line, `hint` says what to do about it ('' for nothing).
    """

    def __init__(self, what: str, file: str, line: int, column: int, source: str, hint: str = "") -> None:
        super().__init__(what, file, line, column)
        self.source, self.hint = source, hint

    def report(self) -> str:
        """The message, the source line, and a caret under the place with the hint; no newline at the end."""
        at = self.column - 1
        begin, end = max(0, at - _SHOWN), at + _SHOWN
        before = ("..." if begin else "") + visible(self.source[begin:at])
        after = visible(self.source[at:end]) + ("..." if end < len(self.source) else "")
        indent = "".join(char if char == "\t" else " " * width(char) for char in before)
        return f"{self}\n\t{before}{after}\n\t{indent}^ {self.hint}".rstrip()


_SHOWN = 60
"""Characters of the line that are shown on either side of the place."""


def visible(text: str) -> str:
    """The text with everything escaped that a terminal would not show as it stands, but tabs."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isprintable() or char == "\t":
        return char
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return ascii(char)[1:-1]


def width(char: str) -> int:
    """Columns of a terminal that a character takes."""
    if char < "\u0300":
        return 1
    import unicodedata

    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Token:
    """A token: its `type` in the grammar, the `value` that the parser hands on, and where it stands.

    The value is a finished node for WORD, QUOTED, DUP and HERE, arrow and descriptor for ARROW, arrow and
    line for PROC, two descriptors and the line for PIPE, line and offset for a keyword, and the line for all
    others. `start` and `end` are offsets.
    """

    __slots__ = ("end", "line", "start", "type", "value")

    def __init__(self, type: str, value: object, line: int, start: int, end: int) -> None:
        self.type, self.value, self.line, self.start, self.end = type, value, line, start, end

    def __repr__(self) -> str:
        return f"Token({self.type}, {self.value!r}, {self.line}, {self.start}, {self.end})"


KEYWORDS = {
    "if": "IF",
    "not": "_NOT",
    "for": "FOR",
    "in": "_IN",
    "while": "WHILE",
    "switch": "SWITCH",
    "fn": "FN",
    "~": "TWIDDLE",
    "!": "BANG",
    "@": "AT",
}

_PUNCTUATION = {
    ";": "_SEMI",
    "&": "AMP",
    "&&": "AND",
    "||": "OR",
    "^": "_CARET",
    "$": "DOLLAR",
    "$#": "COUNT",
    '$"': "FLAT",
}

_blanks = re.compile(r"(?:[ \t]+|\\\n|#[^\n]*)*")
# a backslash that follows one is of the word even at the end of a line
_token = re.compile(
    r"""(?P<word>(?:[^\n \t#;&|^$=`'{}()<>\\]|\\\\|\\(?!\n))+)
      | (?P<nl>\n)
      | (?P<name>\$[#"]?)
      | '(?P<quoted>(?:[^']|'')*+)'
      | (?P<open>[({])
      | (?P<close>[)}])
      | (?P<mark>;|&&?|\|\||\^)
      | (?P<backquote>`)
      | (?P<equal>=)
      | (?P<process><>|[<>])(?=(?:[ \t]|\\\n)*\{)
      | (?P<arrow><<|>>|<>|[<>]|\|)
        (?: \[(?P<fd>[0-9]{1,6})(?P<dup>=(?P<source>[0-9]{0,6}))?\] | (?P<bad>\[[^\s\]]*\]?) )?
    """,
    re.VERBOSE,
)
# any character of a word may begin a name, few may be in it
_name = re.compile(r"""[^\x00-\x20#;&|^$=`'{}()<>][^\x00-\x20!"\#$%&'()+,\-./:;<=>?@\[\\\]^`{|}~\x7f]*""")
_TAG = r"(?:[ \t]|\\\n)*(?:'((?:[^'\n]|'')*+)'|((?:[^\n \t#;&|^$=`'{}()<>\\]|\\\\|\\(?!\n))+))"
_PIECES = frozenset(("word", "quoted", "name", "backquote", "process", "equal"))

# What an opening bracket stands for. _BRACE is one still to come: that of a backquote or a `<{`.
_LIST, _SUBSCRIPT, _CONDITION, _BLOCK, _WORD, _BRACE = range(6)

# How the last token goes together with what touches it: not at all, by a caret, or (after a list) wrongly.
_APART, _JOINS, _CLASHES = range(3)

# More open brackets than this no one wrote on purpose; a tree is walked by recursion, which has its limits.
_DEEPEST = 100

Wants = Callable[[str], bool]


class Lexer:
    """Text that may grow at its end, and the position up to which it has been made into tokens.

    `line` is the line at `pos`. `opened` has kind, offset and line of each bracket that is still open,
    `closed` those of the one that was closed last, be it by the wrong bracket; None if there was none.
    """

    def __init__(self, file: str = "", line: int = 1) -> None:
        self.file = file
        self.text = ""
        self.pos = 0
        self.line = line
        self.eof = False
        self.reset()

    def reset(self) -> None:
        """Forget what has been read of a command; the position stays."""
        self.opened: list[tuple[int, int, int]] = []
        self.closed: tuple[int, int, int] | None = None
        self._here: list[HereDoc] = []
        self._here_at: tuple[int, int] | None = None
        self._touch = _APART
        self._after_dollar = False
        self._last = "_NL"

    def skip_line(self) -> None:
        """Go on after the end of the current line, as rc does after an error."""
        end = self.text.find("\n", self.pos) + 1 or len(self.text)
        self.line += self.text.count("\n", self.pos, end)
        self.pos = end

    def error(self, what: str, start: int, line: int, hint: str = "") -> RcSyntaxError:
        """The error for what stands at offset `start`."""
        begin = self.text.rfind("\n", 0, start) + 1
        end = self.text.find("\n", start)
        source = self.text[begin : end if end >= 0 else len(self.text)]
        return RcSyntaxError(what, self.file, line, start - begin + 1, source, hint)

    def next(self, wants: Wants) -> Token | None:
        """The next token, or None when more text has to be fed first. The last one is of type ``$END``.

        `wants(type)` must say whether the grammar could take such a token here. Raises RcSyntaxError.
        """
        text = self.text
        blank = _blanks.match(text, self.pos)
        if blank is not None and blank.end() != self.pos:
            self.line += text.count("\n", self.pos, blank.end())
            self.pos = blank.end()
            self._touch = _APART
        if self._after_dollar:
            self._after_dollar = False
            name = _name.match(text, self.pos)
            if name is not None:
                self._touch = _JOINS
                return self._token("WORD", Word(name[0], False, self.line), name.end())
        found = _token.match(text, self.pos)
        if found is None:
            return self._end_of_text()
        kind = found.lastgroup or ""
        if self._touch and kind in _PIECES and not (kind == "equal" and wants("_EQ")):
            if self._touch == _CLASHES:
                raise self._clash()
            self._touch = _APART
            return self._token("_FREE", self.line, self.pos)
        if kind == "word":
            return self._word(found[0], wants)
        return _handlers[kind](self, found, wants)

    def _token(self, type: str, value: object, end: int) -> Token:
        token = Token(type, value, self.line, self.pos, end)
        self.pos = end
        self._last = type
        return token

    def _clash(self) -> RcSyntaxError:
        return self.error(
            "a list in ( ) touches what stands next to it", self.pos, self.line, "put ^ or a blank between"
        )

    def _end_of_text(self) -> Token | None:
        if not self.eof:
            return None
        if self.pos < len(self.text):
            hint = "in a quotation '' stands for one '"
            raise self.error("this quote is never closed", self.pos, self.line, hint)
        if self._last != "_NL":
            return self._newline(None, None)
        return self._token("$END", self.line, self.pos)

    def _word(self, text: str, wants: Wants) -> Token:
        keyword = KEYWORDS.get(text)
        if keyword is not None and wants(keyword):
            self._touch = _APART
            return self._token(keyword, (self.line, self.pos), self.pos + len(text))
        self._touch = _JOINS
        return self._token("WORD", Word(text, False, self.line), self.pos + len(text))

    def _quoted(self, found: re.Match[str], wants: Wants) -> Token:
        self._touch = _JOINS
        token = self._token("QUOTED", Word(found["quoted"].replace("''", "'"), True, self.line), found.end())
        self.line += found[0].count("\n")
        return token

    def _name(self, found: re.Match[str], wants: Wants) -> Token:
        self._after_dollar = True
        self._touch = _APART
        return self._token(_PUNCTUATION[found[0]], self.line, found.end())

    def _mark(self, found: re.Match[str], wants: Wants) -> Token:
        self._touch = _APART
        return self._token(_PUNCTUATION[found[0]], self.line, found.end())

    def _backquote(self, found: re.Match[str], wants: Wants) -> Token:
        self.opened.append((_BRACE, self.pos, self.line))
        return self._token("BACKQUOTE", self.line, found.end())

    def _equal(self, found: re.Match[str], wants: Wants) -> Token:
        if wants("_EQ"):
            self._touch = _APART
            return self._token("_EQ", self.line, found.end())
        self._touch = _JOINS
        return self._token("WORD", Word("=", False, self.line), found.end())

    def _open(self, found: re.Match[str], wants: Wants) -> Token:
        kind, type = _BLOCK, "LBRACE"
        if found[0] == "{":
            if self.opened and self.opened[-1][0] == _BRACE:
                self.opened.pop()
                kind, type = _WORD, "_BRACE"
        elif self._touch == _CLASHES:
            raise self._clash()
        elif self._touch == _JOINS:
            kind, type = _SUBSCRIPT, "_SUBSCRIPT"
        elif self._last in ("IF", "FOR", "WHILE"):
            kind, type = _CONDITION, "_HEAD"
        elif self._last in ("DOLLAR", "COUNT", "FLAT"):
            kind, type = _SUBSCRIPT, "LPAREN"  # $(x) is a piece like $x, not a list
        else:
            kind, type = _LIST, "LPAREN"
        if len(self.opened) >= _DEEPEST:
            raise self.error("brackets are nested too deeply", self.pos, self.line)
        self.opened.append((kind, self.pos, self.line))
        self._touch = _APART
        return self._token(type, self.line, found.end())

    def _close(self, found: re.Match[str], wants: Wants) -> Token:
        self.closed = self.opened.pop() if self.opened else None
        kind = self.closed[0] if self.closed is not None else _BLOCK
        self._touch = _CLASHES if kind == _LIST else _JOINS if kind in (_SUBSCRIPT, _WORD) else _APART
        return self._token("_RPAREN" if found[0] == ")" else "_RBRACE", self.line, found.end())

    def _process(self, found: re.Match[str], wants: Wants) -> Token:
        self.opened.append((_BRACE, self.pos, self.line))
        return self._token("PROC", (found["process"], self.line), found.end())

    def _arrow(self, found: re.Match[str], wants: Wants) -> Token:
        """A redirection or a pipe, with the descriptors in brackets after it."""
        arrow, fd, source = found["arrow"], found["fd"], found["source"]
        if found["bad"] or (arrow == "|" and source == ""):
            hint = "in brackets stand descriptors, as in >[2] >[2=1] >[2=]"
            raise self.error(f"'{found[0]}' is no redirection", self.pos, self.line, hint)
        self._touch = _APART
        if arrow == "|":
            # |[a=b] leads b of the left side to a of the right one; |[a] leads a of the left side to 0.
            left, right = (fd or 1, 0) if source is None else (source, fd)
            return self._token("PIPE", (int(left), int(right), self.line), found.end())
        if found["dup"]:
            return self._token("DUP", Dup(int(fd), int(source) if source else None, self.line), found.end())
        number = int(fd) if fd else 1 if arrow[0] == ">" else 0
        if arrow != "<<":
            return self._token("ARROW", (arrow, number), found.end())
        return self._here_tag(number, found.end())

    def _here_tag(self, fd: int, pos: int) -> Token:
        found = re.compile(_TAG).match(self.text, pos)  # compiled with the first here document
        if found is None:
            raise self.error(
                "<< needs a word after it", self.pos, self.line, "one literal word, quoted or not"
            )
        quoted = found[1] is not None
        tag = found[1].replace("''", "'") if quoted else found[2]
        self._here.append(HereDoc(fd, tag, quoted, self.line))
        self._touch = _JOINS
        token = self._token("HERE", self._here[-1], found.end())
        self.line += found[0].count("\n")
        return token

    def _newline(self, found: re.Match[str] | None, wants: Wants | None) -> Token | None:
        """The end of a line, with the here documents that begin after it; None while their end is missing."""
        end = found.end() if found is not None else self.pos
        while self._here:
            begin, at = self._here_at or (end, end)
            tag_at, end = self._find_tag(self._here[0].tag, at)
            if end < 0:
                self._here_at = begin, tag_at
                return None
            self._here[0].text = self.text[begin:tag_at]
            if not self._here[0].text.endswith("\n") and begin < tag_at:
                self._here[0].text += "\n"
            self._here_at = None
            del self._here[0]
        self._touch = _APART
        token = self._token("_NL", self.line, end)
        self.line += self.text.count("\n", token.start, end)
        return token

    def _find_tag(self, tag: str, at: int) -> tuple[int, int]:
        """Where the line that is `tag` begins and ends; where to look on and -1 when it is yet to come."""
        while at < len(self.text):
            stop = self.text.find("\n", at)
            end = stop + 1 if stop >= 0 else len(self.text)
            if self.text[at:end].removesuffix("\n") == tag:
                return at, end
            at = end
        return (at, at) if self.eof else (at, -1)


_handlers: dict[str, Callable[[Lexer, re.Match[str], Wants], Token | None]] = {
    "quoted": Lexer._quoted,
    "nl": Lexer._newline,
    "name": Lexer._name,
    "mark": Lexer._mark,
    "backquote": Lexer._backquote,
    "equal": Lexer._equal,
    "open": Lexer._open,
    "close": Lexer._close,
    "process": Lexer._process,
    "arrow": Lexer._arrow,
    "fd": Lexer._arrow,
    "dup": Lexer._arrow,
    "bad": Lexer._arrow,
}
