"""The LALR(1) tables of the grammar, built by lark once and kept in the user's cache.

Importing lark and letting it build the tables takes ten times as long as all the rest of a shell start. So
the tables go, as plain lists and dictionaries, into a file below $XDG_CACHE_HOME/nsh, and lark is imported
only when there is no such file, or one made from another grammar or Python. The directory must be the
user's own and closed to others; else nothing is read from it or written to it, and the tables are built in
memory. The file is marshalled, which can hold data but not run code when it is read.

Nothing here knows what the grammar says.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys
from binascii import crc32
from typing import Any, NamedTuple

from nsh import xdg
from nsh.grammars import read as _grammar

__all__ = ["Tables", "load"]


class Tables(NamedTuple):
    """What an LALR(1) automaton needs. States and rules are numbers.

    `moves[state][symbol]` is the state after a token or a finished nonterminal, or ``~rule`` where that rule
    has to be reduced first. `rules` has, for each, the nonterminal, the length, the builder's method ('' to
    keep the only value as it is) and which of the values it is given. In `accept`, reached after the start
    symbol, the input is whole.
    """

    moves: list[dict[str, int]]
    rules: list[tuple[str, int, str, tuple[int, ...]]]
    start: int
    accept: int


def load(name: str) -> Tables:
    """The tables of ``NAME.lark``."""
    grammar = _grammar(name)
    key = f"{sys.implementation.cache_tag}\n{grammar}"
    directory = _cache_directory()
    path = directory and os.path.join(directory, f"{name}-{crc32(key.encode()):08x}.tables")
    if path:
        try:
            with open(path, "rb") as file:
                found, tables = marshal.loads(file.read())
            if found == key:  # the number in the name might be shared; the whole key is not
                return Tables(*tables)
        except (OSError, EOFError, ValueError, TypeError):
            pass
    tables = _build(grammar)
    if path:
        _write(path, marshal.dumps((key, tuple(tables))))
    return tables


def _cache_directory() -> str:
    """The directory of the tables, made if need be; '' when there is none that is private."""
    base = xdg.base("XDG_CACHE_HOME", ".cache")
    directory = os.path.join(base, "nsh")
    try:
        os.makedirs(base, mode=0o700, exist_ok=True)
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        found = os.lstat(directory)
    except OSError:
        return ""
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return directory if private else ""


def _write(path: str, data: bytes) -> None:
    """Put the file there whole or not at all; a cache that cannot be written is no reason to fail."""
    part = f"{path}.{os.getpid()}"
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(data)
            os.replace(part, path)
        except OSError:
            os.unlink(part)
    except OSError:
        pass


def _build(grammar: str) -> Tables:
    import lark
    from lark.lexer import Lexer
    from lark.parsers.lalr_analysis import Shift

    class NoLexer(Lexer):
        """The grammar only declares its terminals; lark is never given a text."""

        def __init__(self, conf: Any) -> None:
            pass

        def lex(self, *args: Any) -> Any:
            raise NotImplementedError

    made: Any = lark.Lark(grammar, parser="lalr", lexer=NoLexer)
    table = made.parser.parser._parse_table
    numbers: dict[Any, int] = {}
    rules = []
    for number, rule in enumerate(made.rules):
        numbers[rule] = number
        keep = tuple(i for i, part in enumerate(rule.expansion) if not part.name.startswith("_"))
        rules.append((str(rule.origin.name), len(rule.expansion), str(rule.alias or ""), keep))
    moves: list[dict[str, int]] = [{} for _ in table.states]
    for state, actions in table.states.items():
        for symbol, (action, target) in actions.items():
            moves[state][str(symbol)] = target if action is Shift else ~numbers[target]
    return Tables(moves, rules, table.start_states["start"], table.end_states["start"])
