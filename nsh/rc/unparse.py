"""A tree printed as a command again.

It comes out on one line, as rc's whatis(1) prints functions, and parses to an equal tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nsh.rc.tree import (
    And,
    Assign,
    Async,
    Backquote,
    Block,
    Concat,
    Count,
    Dup,
    Flat,
    Fn,
    For,
    HereDoc,
    If,
    IfNot,
    List,
    Match,
    Node,
    Not,
    Or,
    Pipe,
    ProcSub,
    Redir,
    Redirected,
    Seq,
    Simple,
    Sub,
    Subshell,
    Switch,
    Var,
    While,
    Word,
    quote,
)


def descriptor(arrow: str, fd: int) -> str:
    """``[fd]``, or nothing where the arrow implies it."""
    return "" if fd == (1 if arrow.startswith(">") else 0) else f"[{fd}]"


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
                self.put("<<" + descriptor("<<", node.fd), quote(node.tag) if node.quoted else node.tag)
                self.here.append(node)
            case Redir():
                self.put(node.arrow + descriptor(node.arrow, node.fd))
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

    def prefix(self, node: Not | Subshell | IfNot) -> None:
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
