"""The tree of a command.

The parser builds these nodes, the interpreter walks them; nothing here evaluates anything. A node is a
plain object that names its parts and the line it began on. Two nodes are equal when their parts are: the
line does not count, nor does where among its arguments a command had its redirections.

An *expression* has a list of strings as its value: `Word`, `List`, `Concat`, `Var`, `Count`, `Flat`,
`Sub`, `Backquote`, `ProcSub`. A *redirection* is `Redir`, `Dup` or `HereDoc`. All others are *commands*. An
empty command is None; rc allows one nearly everywhere.

How a tree is printed as a command is `unparse`'s business.
"""

from __future__ import annotations

from typing import ClassVar

from nsh.rc.glob import mark

__all__ = [
    "And", "Assign", "Async", "Backquote", "Block", "Case", "Concat", "Count", "Dup", "Flat", "Fn", "For",
    "HereDoc", "If", "IfNot", "List", "Match", "Node", "Not", "Or", "Pipe", "ProcSub", "Redir", "Redirected",
    "Seq", "Simple", "Sub", "Subshell", "Switch", "Var", "While", "Word", "quote",
]  # fmt: skip


class Node:
    """Any part of a command. `line` is the line of the source it began on, counted from 1."""

    __slots__ = ("line",)
    parts: ClassVar[tuple[str, ...]] = ()
    line: int

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, part) == getattr(other, part) for part in self.parts)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, part) for part in self.parts)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(getattr(self, part)) for part in self.parts)})"


# --- expressions -------------------------------------------------------------------------------


class Word(Node):
    """One piece of literal text. `value` is the text with its active pattern characters marked (glob)."""

    __slots__ = ("quoted", "text", "value")
    parts = ("text", "quoted")

    def __init__(self, text: str, quoted: bool, line: int) -> None:
        self.text, self.quoted, self.line = text, quoted, line
        self.value = text if quoted else mark(text)


class List(Node):
    """``(a b c)``."""

    __slots__ = ("items",)
    parts = __slots__

    def __init__(self, items: tuple[Node, ...], line: int) -> None:
        self.items, self.line = items, line


class Concat(Node):
    """``a^b``, whether the caret was written or is free."""

    __slots__ = ("left", "right")
    parts = __slots__

    def __init__(self, left: Node, right: Node) -> None:
        self.left, self.right, self.line = left, right, left.line


class Var(Node):
    """``$name``; the name is an expression, usually a `Word`."""

    __slots__ = ("name",)
    parts = __slots__

    def __init__(self, name: Node, line: int) -> None:
        self.name, self.line = name, line


class Count(Var):
    """``$#name``, the number of elements."""

    __slots__ = ()


class Flat(Var):
    """``$"name``, the elements as one string, joined by blanks."""

    __slots__ = ()


class Sub(Node):
    """``$name(index ...)``, some of the elements."""

    __slots__ = ("index", "name")
    parts = __slots__

    def __init__(self, name: Node, index: tuple[Node, ...], line: int) -> None:
        self.name, self.index, self.line = name, index, line


class Backquote(Node):
    """```{body}``, the output of a command in pieces; `split` says at which characters, None at $ifs."""

    __slots__ = ("body", "split")
    parts = __slots__

    def __init__(self, split: Node | None, body: Node | None, line: int) -> None:
        self.split, self.body, self.line = split, body, line


class ProcSub(Node):
    """``<{body}``, ``>{body}`` or ``<>{body}``: the name of a file that leads to a running command."""

    __slots__ = ("arrow", "body")
    parts = __slots__

    def __init__(self, arrow: str, body: Node | None, line: int) -> None:
        self.arrow, self.body, self.line = arrow, body, line


# --- redirections ------------------------------------------------------------------------------


class Redir(Node):
    """``<`` ``>`` ``>>`` ``<>`` a file; `fd` is the descriptor, given or implied by the arrow."""

    __slots__ = ("arrow", "fd", "target")
    parts = __slots__

    def __init__(self, arrow: str, fd: int, target: Node, line: int) -> None:
        self.arrow, self.fd, self.target, self.line = arrow, fd, target, line


class Dup(Node):
    """``>[fd=source]``: `fd` becomes a copy of `source`, or is closed when that is None."""

    __slots__ = ("fd", "source")
    parts = __slots__

    def __init__(self, fd: int, source: int | None, line: int) -> None:
        self.fd, self.source, self.line = fd, source, line


class HereDoc(Node):
    """``<<tag``: the text is whole lines. Variables in it are replaced unless the tag was quoted."""

    __slots__ = ("fd", "quoted", "tag", "text")
    parts = __slots__

    def __init__(self, fd: int, tag: str, quoted: bool, line: int) -> None:
        self.fd, self.tag, self.quoted, self.line = fd, tag, quoted, line
        self.text = ""


# --- commands ----------------------------------------------------------------------------------


class Simple(Node):
    """A command with arguments (at least one word) and the redirections that were written with it.

    They are made from left to right, before the words are evaluated. `places` says for each how many
    words stood before it, which only `dump` wants to know.
    """

    __slots__ = ("places", "redirs", "words")
    parts = ("words", "redirs")

    def __init__(
        self, words: tuple[Node, ...], redirs: tuple[Node, ...], places: tuple[int, ...], line: int
    ) -> None:
        self.words, self.redirs, self.places, self.line = words, redirs, places, line


class Redirected(Node):
    """A redirection in force for a block or a whole pipeline (or for nothing: the file is made)."""

    __slots__ = ("body", "redir")
    parts = __slots__

    def __init__(self, redir: Node, body: Node | None) -> None:
        self.redir, self.body, self.line = redir, body, redir.line


class Assign(Node):
    """``name=value body``: local to the body, or for good when there is none."""

    __slots__ = ("body", "name", "value")
    parts = __slots__

    def __init__(self, name: Node, value: Node, body: Node | None) -> None:
        self.name, self.value, self.body, self.line = name, value, body, name.line


class Pipe(Node):
    """``left | right``: descriptor `left_fd` of the left side feeds `right_fd` of the right one."""

    __slots__ = ("left", "left_fd", "right", "right_fd")
    parts = __slots__

    def __init__(self, left: Node | None, right: Node | None, left_fd: int, right_fd: int, line: int) -> None:
        self.left, self.right, self.left_fd, self.right_fd, self.line = left, right, left_fd, right_fd, line


class And(Node):
    """``left && right``."""

    __slots__ = ("left", "right")
    parts = __slots__

    def __init__(self, left: Node | None, right: Node | None, line: int) -> None:
        self.left, self.right, self.line = left, right, line


class Or(And):
    """``left || right``."""

    __slots__ = ()


class Seq(Node):
    """``a; b; c``: two commands or more, none of them empty."""

    __slots__ = ("items",)
    parts = __slots__

    def __init__(self, items: tuple[Node, ...]) -> None:
        self.items, self.line = items, items[0].line


class _Wrapper(Node):
    """A command around one other."""

    __slots__ = ("body",)
    parts = __slots__

    def __init__(self, body: Node | None, line: int) -> None:
        self.body, self.line = body, line


class Async(_Wrapper):
    """``body &``."""

    __slots__ = ()


class Block(_Wrapper):
    """``{body}``."""

    __slots__ = ()


class Not(_Wrapper):
    """``! body``."""

    __slots__ = ()


class Subshell(_Wrapper):
    """``@ body``."""

    __slots__ = ()


class IfNot(_Wrapper):
    """``if not body``; the parser has seen to it that an `If` comes before it in the same list."""

    __slots__ = ()


class If(Node):
    """``if(test) body``."""

    __slots__ = ("body", "test")
    parts = __slots__

    def __init__(self, test: Node | None, body: Node | None, line: int) -> None:
        self.test, self.body, self.line = test, body, line


class While(If):
    """``while(test) body``."""

    __slots__ = ()


class For(Node):
    """``for(name in words) body``; `words` is None without ``in``: the loop is over ``$*``."""

    __slots__ = ("body", "name", "words")
    parts = __slots__

    def __init__(self, name: Node, words: tuple[Node, ...] | None, body: Node | None, line: int) -> None:
        self.name, self.words, self.body, self.line = name, words, body, line


class Case(Node):
    """One case of a switch: its patterns and the commands up to the next."""

    __slots__ = ("body", "patterns")
    parts = __slots__

    def __init__(self, patterns: tuple[Node, ...], body: Node | None, line: int) -> None:
        self.patterns, self.body, self.line = patterns, body, line


class Switch(Node):
    """``switch(subject){case ...}``; there is at least one case."""

    __slots__ = ("cases", "subject")
    parts = __slots__

    def __init__(self, subject: Node, cases: tuple[Case, ...], line: int) -> None:
        self.subject, self.cases, self.line = subject, cases, line


class Fn(Node):
    """``fn names {body}``; with `body` None the functions are removed, else it is a `Block`."""

    __slots__ = ("body", "names")
    parts = __slots__

    def __init__(self, names: tuple[Node, ...], body: Block | None, line: int) -> None:
        self.names, self.body, self.line = names, body, line


class Match(Node):
    """``~ subject patterns``."""

    __slots__ = ("patterns", "subject")
    parts = __slots__

    def __init__(self, subject: Node, patterns: tuple[Node, ...], line: int) -> None:
        self.subject, self.patterns, self.line = subject, patterns, line


def quote(text: str) -> str:
    """The text between quotes, each quote in it doubled."""
    return "'" + text.replace("'", "''") + "'"
