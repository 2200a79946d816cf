"""The tree of a command, and its two printed forms.

The parser builds these nodes, the interpreter walks them; nothing here evaluates anything. A node is a
plain object that names its parts and the line it began on. Two nodes are equal when their parts are: the
line does not count, nor does where among its arguments a command had its redirections.

An *expression* has a list of strings as its value: `Word`, `List`, `Concat`, `Var`, `Count`, `Flat`,
`Sub`, `Backquote`, `ProcSub`. A *redirection* is `Redir`, `Dup` or `HereDoc`. All others are *commands*. An
empty command is None; rc allows one nearly everywhere.

`unparse` prints a command as rc's whatis(1) prints functions, on one line, and what it prints parses to an
equal tree. `dump` prints the shape of the tree as plan9port's ``rc -D`` does; it is for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from nsh.rc.glob import mark

__all__ = [
    "And", "Assign", "Async", "Backquote", "Block", "Case", "Concat", "Count", "Dup", "Flat", "Fn", "For",
    "HereDoc", "If", "IfNot", "List", "Match", "Node", "Not", "Or", "Pipe", "ProcSub", "Redir", "Redirected",
    "Seq", "Simple", "Sub", "Subshell", "Switch", "Var", "While", "Word", "dump", "quote", "unparse",
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


# --- rc -D -------------------------------------------------------------------------------------


def quote(text: str) -> str:
    """The text between quotes, each quote in it doubled."""
    return "'" + text.replace("'", "''") + "'"


def dump(node: Node | None) -> str:
    """The tree in the form of plan9port's ``rc -D``, its blind spots included (bodies of backquotes)."""
    return "<nil>" if node is None else _dumpers[type(node)](node)


def _dump_words(words: tuple[Node, ...]) -> str:
    text = "<nil>"
    for word in words:
        text = f"(words {text} {dump(word)})"
    return text


def _dump_redir(redir: Any, body: str) -> str:
    if isinstance(redir, Dup):
        return f"(>[{redir.fd}={'' if redir.source is None else redir.source}] {body})"
    arrow = "<<" if isinstance(redir, HereDoc) else redir.arrow
    target = "HERE" if isinstance(redir, HereDoc) else dump(redir.target)
    return f"({arrow}{_descriptor(arrow, redir.fd)}{target} {body})"


def _dump_simple(node: Simple) -> str:
    words = [dump(word) for word in node.words]
    for place in sorted((place for place in node.places if place), reverse=True):
        words.insert(place, "<nil>")
    text = words[0]
    for word in words[1:]:
        text = f"(arglist {text} {word})"
    text = f"(simple {text})"
    for redir in reversed(node.redirs):
        text = _dump_redir(redir, text)
    return text


def _dump_pipe(node: Pipe) -> str:
    ends = f"[{node.left_fd}={node.right_fd}]" if node.right_fd else f"[{node.left_fd}]"
    # plan9port forgets the closing parenthesis.
    return f"(|{'' if ends == '[1]' else ends} {dump(node.left)} {dump(node.right)}"


def _dump_sequence(items: list[str]) -> str:
    text = items[-1] if items else "<nil>"
    for item in reversed(items[:-1]):
        text = f"(; {item} {text})"
    return text


def _dump_switch(node: Switch) -> str:
    items: list[str] = []
    for case in node.cases:
        first = Word("case", quoted=False, line=case.line)
        items.append(_dump_simple(Simple((first, *case.patterns), (), (), case.line)))
        body = case.body.items if isinstance(case.body, Seq) else (case.body,) if case.body else ()
        items += [dump(item) for item in body]
    return f"(switch {dump(node.subject)} (brace {_dump_sequence(items)}))"


def _descriptor(arrow: str, fd: int) -> str:
    """``[fd]``, or nothing where the arrow implies it."""
    return "" if fd == (1 if arrow.startswith(">") else 0) else f"[{fd}]"


_dumpers: dict[type[Node], Callable[[Any], str]] = {
    Word: lambda n: quote(n.text) if n.quoted else n.text,
    List: lambda n: f"(paren {_dump_words(n.items)})",
    Concat: lambda n: f"(^ {dump(n.left)} {dump(n.right)})",
    Var: lambda n: f"($ {dump(n.name)})",
    Count: lambda n: f"($# {dump(n.name)})",
    Flat: lambda n: f'($" {dump(n.name)})',
    Sub: lambda n: f"($sub {dump(n.name)} {_dump_words(n.index)})",
    Backquote: lambda n: f"(` {dump(n.split)})",
    ProcSub: lambda n: f"({n.arrow}(brace {dump(n.body)}) <nil>)",
    Simple: _dump_simple,
    Redirected: lambda n: _dump_redir(n.redir, dump(n.body)),
    Assign: lambda n: f"({dump(n.name)}={dump(n.value)} {dump(n.body)})",
    Pipe: _dump_pipe,
    And: lambda n: f"(&& {dump(n.left)} {dump(n.right)})",
    Or: lambda n: f"(|| {dump(n.left)} {dump(n.right)})",
    Seq: lambda n: _dump_sequence([dump(item) for item in n.items]),
    Async: lambda n: f"(& {dump(n.body)})",
    Block: lambda n: f"(brace {dump(n.body)})",
    Not: lambda n: f"(! {dump(n.body)})",
    Subshell: lambda n: f"(@ {dump(n.body)})",
    If: lambda n: f"(if (paren {dump(n.test)}) {dump(n.body)})",
    IfNot: lambda n: f"(if not {dump(n.body)})",
    While: lambda n: f"(while (paren {dump(n.test)}) {dump(n.body)})",
    For: lambda n: f"(for {dump(n.name)} {_dump_words(n.words or ())} {dump(n.body)})",
    Switch: _dump_switch,
    Fn: lambda n: f"(fn {_dump_words(n.names)} {dump(n.body)})",
    Match: lambda n: f"(~ {dump(n.subject)} {_dump_words(n.patterns)})",
}


# --- whatis ------------------------------------------------------------------------------------


def unparse(node: Node | None) -> str:
    """The command as text, on one line and without the newline at its end.

    Only here documents need more lines: their text follows that line, as it would in any script.
    """
    printer = _Printer()
    printer.command(node)
    if printer.out and printer.out[-1].startswith(_OPEN):
        printer.put(";")  # a newline here would not end an empty command: it would be skipped
    if printer.here:
        printer.put("\n", *(f"{here.text}{here.tag}\n" for here in printer.here))
    return "".join(printer.out).removesuffix("\n")


_OPEN = (" &&", " ||", "|", ")", "if not")  # after these the grammar skips newlines


class _Printer:
    """Prints one command into `out`, and remembers in `here` which here documents must follow it."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.here: list[HereDoc] = []

    def put(self, *texts: str) -> None:
        self.out += texts

    def body(self, node: Node | None, before: str, after: str) -> None:
        self.put(before)
        self.command(node)
        self.put(after)

    def words(self, words: tuple[Node, ...]) -> None:
        for number, word in enumerate(words):
            if number:
                self.put(" ")
            self.expr(word)

    def expr(self, node: Any) -> None:
        match node:
            case Word():
                if node.text.startswith("[") and self.out and self.out[-1].endswith(("|", "<", ">")):
                    self.put(" ")  # else the brackets would be read as descriptors
                self.put(quote(node.text) if node.quoted else node.text)
            case List():
                self.put("(")
                self.words(node.items)
                self.put(")")
            case Concat():
                self.expr(node.left)
                self.put("^")
                self.expr(node.right)
            case Var():
                self.put("$#" if type(node) is Count else '$"' if type(node) is Flat else "$")
                self.expr(node.name)
            case Sub():
                self.put("$")
                self.expr(node.name)
                self.put("(")
                self.words(node.index)
                self.put(")")
            case Backquote():
                self.put("`")
                if node.split is not None:
                    self.expr(node.split)
                self.body(node.body, "{", "}")
            case ProcSub():
                self.body(node.body, node.arrow + "{", "}")

    def redir(self, node: Any) -> None:
        match node:
            case Dup():
                self.put(f">[{node.fd}={'' if node.source is None else node.source}]")
            case HereDoc():
                self.put("<<" + _descriptor("<<", node.fd), quote(node.tag) if node.quoted else node.tag)
                self.here.append(node)
            case Redir():
                self.put(node.arrow + _descriptor(node.arrow, node.fd))
                if isinstance(_first(node.target), ProcSub):
                    self.put(" ")  # > >{...} is not >>
                self.expr(node.target)

    def leading(self, redirs: tuple[Node, ...]) -> None:
        for redir in redirs:
            self.redir(redir)
            if not isinstance(redir, Dup):
                self.put(" ")

    def trailing(self, redirs: tuple[Node, ...]) -> None:
        for redir in redirs:
            self.put(" ")
            self.redir(redir)

    def command(self, node: Any) -> None:
        if node is not None:
            _printers[type(node)](self, node)

    def stage(self, node: Node | None) -> None:
        """The left side of a pipe: a redirection in front would be taken for the whole pipeline's."""
        if isinstance(node, Simple):
            self.interspersed(node, 1 if _assigns(node.words) else len(node.words))
        elif isinstance(node, Redirected):
            redirs = []
            body: Node | None = node
            while isinstance(body, Redirected):
                redirs.append(body.redir)
                body = body.body
            self.command(body)
            self.trailing(tuple(redirs))
        elif isinstance(node, Pipe):
            self.connect(node)
            self.stage(node.right)
        else:
            self.command(node)

    def simple(self, node: Simple) -> None:
        if _assigns(node.words):
            self.interspersed(node, 1)
        else:
            self.leading(node.redirs)
            self.words(node.words)

    def interspersed(self, node: Simple, place: int) -> None:
        """The command with its redirections after so many words."""
        self.words(node.words[:place])
        self.trailing(node.redirs)
        if place < len(node.words):
            self.put(" ")
            self.words(node.words[place:])

    def redirected(self, node: Redirected) -> None:
        self.leading((node.redir,))
        self.command(node.body)

    def assign(self, node: Assign) -> None:
        self.expr(node.name)
        self.put("=")
        self.expr(node.value)
        if node.body is not None:
            self.put(" ")
            self.command(node.body)

    def pipe(self, node: Pipe) -> None:
        self.connect(node)
        self.command(node.right)

    def connect(self, node: Pipe) -> None:
        """The left side and the pipe itself."""
        self.stage(node.left)
        if self.out and self.out[-1].startswith("|"):
            self.put(" ")  # an empty stage: | | is not ||
        ends = f"[{node.right_fd}={node.left_fd}]" if node.right_fd else f"[{node.left_fd}]"
        self.put("|" if ends == "[1]" else f"|{ends}")

    def logical(self, node: And) -> None:
        chain = [node]
        while isinstance(left := chain[-1].left, And):
            chain.append(left)
        self.command(left)
        for link in reversed(chain):
            self.put(" || " if isinstance(link, Or) else " && ")
            self.command(link.right)

    def seq(self, node: Seq) -> None:
        for number, item in enumerate(node.items):
            if number:
                self.put(" " if self.out[-1] == "&" else ";")
            self.command(item)

    def background(self, node: Async) -> None:
        self.command(node.body)
        self.put("&")

    def prefix(self, node: _Wrapper) -> None:
        body: Node | None = node
        while isinstance(body, Not | Subshell | IfNot):
            self.put({Not: "! ", Subshell: "@ ", IfNot: "if not "}[type(body)])
            body = body.body
        self.command(body)

    def condition(self, node: If) -> None:
        self.put("while" if isinstance(node, While) else "if")
        self.body(node.test, "(", ")")
        self.command(node.body)

    def loop(self, node: For) -> None:
        self.put("for(")
        self.expr(node.name)
        if node.words is not None:
            self.put(" in ")
            self.words(node.words)
        self.put(")")
        self.command(node.body)

    def switch(self, node: Switch) -> None:
        self.put("switch ")
        self.expr(node.subject)
        word = Word("case", quoted=False, line=node.line)
        items: list[Node] = []
        for case in node.cases:
            items.append(Simple((word, *case.patterns), (), (), case.line))
            items += case.body.items if isinstance(case.body, Seq) else [case.body] if case.body else []
        self.body(Seq(tuple(items)), " {", "}")

    def function(self, node: Fn) -> None:
        self.put("fn ")
        self.words(node.names)
        if node.body is not None:
            self.put(" ")
            self.command(node.body)

    def match(self, node: Match) -> None:
        self.put("~ ")
        self.words((node.subject, *node.patterns))


def _first(node: Node) -> Node:
    while isinstance(node, Concat):
        node = node.left
    return node


def _assigns(words: tuple[Node, ...]) -> bool:
    """Would the words, one after the other, be an assignment? Then a redirection stood between them."""
    return len(words) > 1 and not isinstance(words[0], Concat) and _first(words[1]) == _EQUALS


_EQUALS = Word("=", quoted=False, line=0)

_printers: dict[type[Node], Callable[[_Printer, Any], None]] = {
    Simple: _Printer.simple,
    Redirected: _Printer.redirected,
    Assign: _Printer.assign,
    Pipe: _Printer.pipe,
    And: _Printer.logical,
    Or: _Printer.logical,
    Seq: _Printer.seq,
    Async: _Printer.background,
    Block: lambda p, n: p.body(n.body, "{", "}"),
    Not: _Printer.prefix,
    Subshell: _Printer.prefix,
    If: _Printer.condition,
    IfNot: _Printer.prefix,
    While: _Printer.condition,
    For: _Printer.loop,
    Switch: _Printer.switch,
    Fn: _Printer.function,
    Match: _Printer.match,
}
