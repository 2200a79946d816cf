"""Text into trees: the parser of rc.

rc runs a script command by command: what a line defines holds for the next one, and a syntax error on line
9 does not keep line 8 from running. So a `Parser` is asked for one top-level command at a time. It does no
I/O: whoever reads the script, the terminal or the wire feeds it text, and asks again::

    parser = Parser(file="script.rc")
    parser.feed(text)
    parser.eof()
    while (command := parser.next()) is not END:
        ...

At a prompt, feed a line at a time; `MORE` says that another one is due, and `Parser.inside` whether it
continues a command (the second prompt) or begins one (the first). `is_complete` answers for a line editor
whether Enter should run what is there.

`Parser` drives the tables of grammar/rc.lark; `_Builder` makes the nodes, and the two checks that a grammar
cannot make: `if not` has an `if` before it, and the body of a switch begins with a case.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterator
from typing import Any, Final, Literal

from nsh.rc import tables, tree
from nsh.rc.lex import Lexer, RcSyntaxError, Token

__all__ = ["END", "MORE", "Parser", "RcSyntaxError", "is_complete", "parse", "tokens"]


class Signal(enum.Enum):
    """What `Parser.next` says when it has no command."""

    MORE = "more text is needed"
    END = "the text is at its end"


MORE: Final = Signal.MORE
END: Final = Signal.END


class Parser:
    """One source of commands. `file` is for messages ('' for none), `line` the number of its first line.

    With `text`, that is all of it; without, it comes through `feed`.
    """

    def __init__(self, text: str | None = None, *, file: str = "", line: int = 1) -> None:
        self._lexer = Lexer(file, line)
        self._tables = _tables()
        self._builder = _Builder(self._lexer)
        self._actions = [
            getattr(self._builder, name) if name else None for _, _, name, _ in self._tables.rules
        ]
        self._partial = ""
        self._begin()
        if text is not None:
            self.feed(text)
            self.eof()

    def _begin(self) -> None:
        self._states = [self._tables.start]
        self._values: list[Any] = []

    @property
    def inside(self) -> bool:
        """Has a command begun that is not finished? If not, the next line is a new one."""
        lexer = self._lexer
        return bool(self._values) or bool(self._partial) or lexer.pos < len(lexer.text)

    def feed(self, text: str) -> None:
        """Add text, in pieces of any size. Only whole lines are looked at before `eof`."""
        whole = text.rfind("\n") + 1
        if not whole:
            self._partial += text
            return
        lexer = self._lexer
        if not self._values and lexer.pos:
            lexer.text = lexer.text[lexer.pos :]
            lexer.pos = 0
        lexer.text += self._partial + text[:whole]
        self._partial = text[whole:]

    def eof(self) -> None:
        """No more text will come."""
        self._lexer.text += self._partial
        self._lexer.eof = True
        self._partial = ""

    def renumber(self) -> None:
        """The next line is the first one of a text."""
        self._lexer.line = 1

    def drop(self) -> None:
        """Forget what has been fed and not been looked at."""
        lexer = self._lexer
        lexer.line += lexer.text.count("\n", lexer.pos)
        lexer.pos = len(lexer.text)

    def next(self) -> tree.Node | Literal[Signal.MORE, Signal.END]:
        """The next top-level command, MORE when text has to be fed first, or END.

        Raises RcSyntaxError; the rest of that line is then dropped, and one may go on after it.
        """
        token = None
        try:
            while (token := self._lexer.next(self._wants)) is not None:
                if token.type == "$END" and not self._values:
                    return END
                self._take(token)
                if self._at_end(token):
                    command = self._finish()
                    if command is not None:
                        return command
                token = None
        except RcSyntaxError:
            if token is None or token.type not in ("_NL", "$END"):
                self._lexer.skip_line()
            self._lexer.reset()
            self._begin()
            raise
        return MORE

    def tokens(self) -> Iterator[Token]:
        """What the lexer makes of the text that has been fed; see the function `tokens`."""
        lexer = self._lexer
        while True:
            pos = lexer.pos
            try:
                token = lexer.next(self._wants)
                if token is None or token.type == "$END":
                    return
                yield token
                self._take(token)
                if self._at_end(token):
                    self._finish()
            except RcSyntaxError:
                if lexer.pos == pos:  # the lexer itself is stuck at this character
                    lexer.pos += 1
                lexer.reset()
                self._begin()

    def _take(self, token: Token) -> None:
        """One step of an LALR(1) automaton: reduce what the token ends, then shift it."""
        moves, states, type = self._tables.moves, self._states, token.type
        move = moves[states[-1]].get(type)
        before = None if move is not None and move >= 0 else states[:]
        while move is None or move < 0:
            if move is None:
                from nsh.rc.mistake import unexpected

                # some reduces are made that the token does not justify: what it could follow is told by the
                # states before them
                self._states = before or states
                raise unexpected(self._lexer, token, self._wants)
            self._reduce(~move)
            move = moves[states[-1]].get(type)
        states.append(move)
        self._values.append(token.value)

    def _reduce(self, rule: int) -> None:
        """Replace the values of a rule's right side by the one that the builder makes of them."""
        origin, length, _, keep = self._tables.rules[rule]
        action = self._actions[rule]
        states, values = self._states, self._values
        if length:
            del states[-length:]
        if action is not None:
            base = len(values) - length
            value = action(*[values[base + i] for i in keep])
            values[base:] = [value]
        elif length != 1:  # skipped newlines
            values[len(values) - length :] = [None]
        states.append(self._tables.moves[states[-1]][origin])

    def _at_end(self, token: Token) -> bool:
        """Does this newline end a command, rather than being skipped or separating some in brackets?"""
        return token.type == "_NL" and "$END" in self._tables.moves[self._states[-1]]

    def _finish(self) -> tree.Node | None:
        """The command of the line that has been read."""
        while self._states[-1] != self._tables.accept:
            self._reduce(~self._tables.moves[self._states[-1]]["$END"])
        command: tree.Node | None = self._values[0]
        self._begin()
        if command is not None:
            self._builder.after_if = _awaits_if_not(command)
        return command

    def _wants(self, type: str) -> bool:
        """Could the grammar take such a token now?

        The states of an LALR automaton are merged, so that a state has moves for tokens which, some reduces
        later, turn out to be wrong. The reduces are tried on a copy of the states.
        """
        moves, rules = self._tables.moves, self._tables.rules
        move = moves[self._states[-1]].get(type)
        states = self._states
        while move is not None and move < 0:
            origin, length, _, _ = rules[~move]
            states = states[: len(states) - length]
            states.append(moves[states[-1]][origin])
            move = moves[states[-1]].get(type)
        return move is not None


class _Builder:
    """Makes the nodes; each method is named after ``->`` in the grammar and is given what it kept there.

    `after_if` says whether the commands before this one end with an `if` that an `if not` may follow.
    """

    def __init__(self, lexer: Lexer) -> None:
        self._lexer = lexer
        self._if_not = 0, 0
        self.after_if = False

    # Lists of commands keep the empty ones, as None, until they are whole: `a; &` is not `a &`.

    def line(self, items: list[Any]) -> tree.Node | None:
        return self.body(items)

    def body(self, items: list[Any]) -> tree.Node | None:
        commands = tuple(item for item in items if item is not None)
        return tree.Seq(commands) if len(commands) > 1 else commands[0] if commands else None

    def first(self, item: Any) -> list[Any]:
        return self._append([], item, self.after_if)

    def then(self, items: list[Any], item: Any) -> list[Any]:
        return self._append(items, item, self.after_if)

    def then_async(self, items: list[Any], line: int, item: Any) -> list[Any]:
        items[-1] = tree.Async(items[-1], items[-1].line if items[-1] else line)
        return self._append(items, item, self.after_if)

    def inner_first(self, item: Any) -> list[Any]:
        return self._append([], item, False)

    def inner_then(self, items: list[Any], item: Any) -> list[Any]:
        return self._append(items, item, False)

    def inner_then_async(self, items: list[Any], line: int, item: Any) -> list[Any]:
        items[-1] = tree.Async(items[-1], items[-1].line if items[-1] else line)
        return self._append(items, item, False)

    def _append(self, items: list[Any], item: Any, after_if: bool) -> list[Any]:
        if type(item) is tree.IfNot:
            before = next((item for item in reversed(items) if item is not None), None)
            if not (_awaits_if_not(before) if before else after_if):
                line, start = self._if_not
                raise self._lexer.error("'if not' does not follow 'if(...)'", start, line)
        items.append(item)
        return items

    # Commands.

    def nothing(self) -> None:
        return None

    def command_simple(self, made: tuple[list[tree.Node], list[tree.Node], list[int]]) -> tree.Node:
        words, redirs, places = made
        return tree.Simple(tuple(words), tuple(redirs), tuple(places), words[0].line)

    def simple(self, word: tree.Node) -> tuple[list[tree.Node], list[tree.Node], list[int]]:
        return [word], [], []

    def argument(self, made: tuple[list[Any], list[Any], list[int]], word: tree.Node) -> Any:
        made[0].append(word)
        return made

    def redirect(self, made: tuple[list[Any], list[Any], list[int]], redir: tree.Node) -> Any:
        made[1].append(redir)
        made[2].append(len(made[0]))
        return made

    def block(self, line: int, body: tree.Node | None) -> list[tree.Node]:
        return [tree.Block(body, line)]

    def block_redirected(self, made: list[tree.Node], redir: tree.Node) -> list[tree.Node]:
        made.append(redir)
        return made

    def command_block(self, made: list[tree.Node]) -> tree.Node:
        command, *redirs = made
        for redir in reversed(redirs):
            command = tree.Redirected(redir, command)
        return command

    def redirected(self, redir: tree.Node, body: tree.Node | None) -> tree.Node:
        if type(body) is tree.Simple:
            return tree.Simple(body.words, (redir, *body.redirs), (0, *body.places), redir.line)
        return tree.Redirected(redir, body)

    def assign(self, name: tree.Node, value: tree.Node, body: tree.Node | None) -> tree.Node:
        return tree.Assign(name, value, body)

    def pipe(self, left: tree.Node | None, ends: tuple[int, int, int], right: tree.Node | None) -> tree.Node:
        left_fd, right_fd, line = ends
        return tree.Pipe(left, right, left_fd, right_fd, left.line if left else line)

    def and_(self, left: tree.Node | None, line: int, right: tree.Node | None) -> tree.Node:
        return tree.And(left, right, left.line if left else line)

    def or_(self, left: tree.Node | None, line: int, right: tree.Node | None) -> tree.Node:
        return tree.Or(left, right, left.line if left else line)

    def not_(self, at: tuple[int, int], body: tree.Node | None) -> tree.Node:
        return tree.Not(body, at[0])

    def subshell(self, at: tuple[int, int], body: tree.Node | None) -> tree.Node:
        return tree.Subshell(body, at[0])

    def if_(self, at: tuple[int, int], test: tree.Node | None, body: tree.Node | None) -> tree.Node:
        return tree.If(test, body, at[0])

    def if_not(self, at: tuple[int, int], body: tree.Node | None) -> tree.Node:
        self._if_not = at
        return tree.IfNot(body, at[0])

    def while_(self, at: tuple[int, int], test: tree.Node | None, body: tree.Node | None) -> tree.Node:
        return tree.While(test, body, at[0])

    def for_arguments(self, at: tuple[int, int], name: tree.Node, body: tree.Node | None) -> tree.Node:
        return tree.For(name, None, body, at[0])

    def for_(
        self, at: tuple[int, int], name: tree.Node, words: list[tree.Node], body: tree.Node | None
    ) -> tree.Node:
        return tree.For(name, tuple(words), body, at[0])

    def switch(self, at: tuple[int, int], subject: tree.Node, _brace: int, items: list[Any]) -> tree.Node:
        cases: list[tuple[tree.Simple, list[tree.Node]]] = []
        commands = [item for item in items if item is not None]
        for item in commands:
            if _is_case(item):
                cases.append((item, []))
            elif cases:
                cases[-1][1].append(item)
            else:
                break
        if not cases or len(commands) == 1:
            raise self._lexer.error("case missing in switch", at[1], at[0])
        made = [tree.Case(case.words[1:], self.body(body), case.line) for case, body in cases]
        return tree.Switch(subject, tuple(made), at[0])

    def fn(self, at: tuple[int, int], names: list[tree.Node], line: int, body: tree.Node | None) -> tree.Node:
        return tree.Fn(tuple(names), tree.Block(body, line), at[0])

    def fn_remove(self, at: tuple[int, int], names: list[tree.Node]) -> tree.Node:
        return tree.Fn(tuple(names), None, at[0])

    def match(self, at: tuple[int, int], subject: tree.Node, patterns: list[tree.Node]) -> tree.Node:
        return tree.Match(subject, tuple(patterns), at[0])

    # Words and redirections.

    def redirection(self, arrow: tuple[str, int], target: tree.Node) -> tree.Node:
        return tree.Redir(arrow[0], arrow[1], target, target.line)

    def no_words(self) -> list[tree.Node]:
        return []

    def more_words(self, words: list[tree.Node], word: tree.Node) -> list[tree.Node]:
        words.append(word)
        return words

    def concat(self, left: tree.Node, right: tree.Node) -> tree.Node:
        return tree.Concat(left, right)

    def list_(self, line: int, words: list[tree.Node]) -> tree.Node:
        return tree.List(tuple(words), line)

    def variable(self, line: int, name: tree.Node) -> tree.Node:
        return tree.Var(name, line)

    def subscript(self, line: int, name: tree.Node, index: list[tree.Node]) -> tree.Node:
        return tree.Sub(name, tuple(index), line)

    def count(self, line: int, name: tree.Node) -> tree.Node:
        return tree.Count(name, line)

    def flat(self, line: int, name: tree.Node) -> tree.Node:
        return tree.Flat(name, line)

    def backquote(self, line: int, body: tree.Node | None) -> tree.Node:
        return tree.Backquote(None, body, line)

    def backquote_split(self, line: int, split: tree.Node, body: tree.Node | None) -> tree.Node:
        return tree.Backquote(split, body, line)

    def process(self, arrow: tuple[str, int], body: tree.Node | None) -> tree.Node:
        return tree.ProcSub(arrow[0], body, arrow[1])


def _awaits_if_not(command: tree.Node | None) -> bool:
    """Is the last command in it an `if`, also one after `if not`? All else that has one in it hides it."""
    while isinstance(command, tree.Seq | tree.IfNot):
        command = command.items[-1] if isinstance(command, tree.Seq) else command.body
    return type(command) is tree.If


def _is_case(command: tree.Node) -> bool:
    if not isinstance(command, tree.Simple) or command.redirs:
        return False
    first = command.words[0]
    return isinstance(first, tree.Word) and first.text == "case" and not first.quoted


@functools.cache
def _tables() -> tables.Tables:
    return tables.load("rc")


def parse(text: str, file: str = "", line: int = 1) -> Iterator[tree.Node]:
    """The commands of a whole text, each when it is asked for; raises RcSyntaxError at the first bad one."""
    parser = Parser(text, file=file, line=line)
    while isinstance(command := parser.next(), tree.Node):
        yield command


def is_complete(text: str) -> bool:
    """Would rc act on this now, rather than wait for another line? To tell of an error is to act, too."""
    parser = Parser()
    parser.feed(text + "\n")
    try:
        while parser.next() is not MORE:
            pass
    except RcSyntaxError:
        return True
    return not parser.inside


def mistake(text: str) -> RcSyntaxError | None:
    """The first syntax error in a text that may go on; it may begin with `if not`, for an `if` before it."""
    parser = Parser()
    parser._builder.after_if = True
    parser.feed(text + "\n")
    try:
        while parser.next() is not MORE:
            pass
    except RcSyntaxError as e:
        return e
    return None


def tokens(text: str, whole: bool = True) -> list[Token]:
    """All tokens of a text that may be wrong or unfinished, for colouring it.

    Past a mistake the rest is read as if a command began there. With ``whole`` false the text may go on: its
    last line has no end, and nothing is told of what an open quote or here document begins.
    """
    parser = Parser()
    parser._lexer.text, parser._lexer.eof = text, whole
    return list(parser.tokens())
