"""The variables and functions of a shell, and how they get into the environment and out of it.

A variable is a list of strings. A list is never changed in place, so that copies of a whole table (a
subshell, a pipeline stage) cost one dict. Scoping is dynamic: a local value stands in the table
while its command runs, and the old one is put back (`Variables.push`, `Variables.pop`).

In the environment (`#e`, /env) a variable is a file of its words with NUL between them, and a function a
file ``fn#name``. A host program gets the same, but \\001 for NUL, as plan9port's rc has it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from nsh import errors
from nsh.kern.env import Egrp
from nsh.rc import tree

_PRIVATE = frozenset(("*", "0", "apid", "pid", "status"))
"""What belongs to one shell, and means nothing to the programs that it runs."""

_FUNCTION = "fn#"
_DIGITS = frozenset("0123456789")

NOTHING: list[str] = []
"""The value of a variable that is not set. Nobody changes it."""


class Function:
    """A function: its text, and the tree once it is needed. ``file``: where it was defined, for messages."""

    __slots__ = ("_body", "_text", "file")

    def __init__(self, body: tree.Node | None = None, text: str = "", file: str = "") -> None:
        self._body = body
        self._text = text
        self.file = file

    @property
    def text(self) -> str:
        """The body as whatis(1) prints it, in braces."""
        if not self._text:
            from nsh.rc.unparse import unparse

            self._text = unparse(self._body)
        return self._text

    @property
    def body(self) -> tree.Node | None:
        """The tree of the body. Errors: RcSyntaxError, when the text came from elsewhere."""
        if self._body is None:
            from nsh.rc.parse import Parser

            command = Parser(self._text, file=self.file).next()
            self._body = command if isinstance(command, tree.Node) else None
        return self._body


class Variables:
    """The variables and functions of one shell."""

    __slots__ = ("_changed", "_covered", "_told", "functions", "values")

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.functions: dict[str, Function] = {}
        self._changed: set[str] = set()
        self._covered: list[tuple[str, list[str] | None]] = []
        self._told: set[str] = set()

    def copy(self) -> Variables:
        """The table for a subshell; no change on either side is seen on the other."""
        child = Variables()
        child.values = dict(self.values)
        child.functions = dict(self.functions)
        child._changed = set(self._changed)
        child._told = self._told
        return child

    def get(self, name: str) -> list[str]:
        """The value; empty when not set. A number is an element of ``$*``; what is assigned to it is lost."""
        if name[:1] in _DIGITS and (at := number(name)):
            return self.values.get("*", NOTHING)[at - 1 : at]
        return self.values.get(name, NOTHING)

    def set(self, name: str, value: list[str]) -> None:
        self.values[name] = value
        self._changed.add(name)

    def uncovered(self) -> Variables:
        """The same, but what is local now has the value again that it will have afterwards."""
        table = self.copy()
        for name, old in reversed(self._covered):
            table.swap(name, old)
        return table

    def push(self, name: str, value: list[str] | None) -> None:
        """Give a variable a local value (None: it is not set), until `pop`."""
        self._covered.append((name, self.swap(name, value)))

    def pop(self) -> None:
        """End the latest local value."""
        self.swap(*self._covered.pop())

    def swap(self, name: str, value: list[str] | None) -> list[str] | None:
        """Set a variable (None: unset it) and return what it was."""
        old = self.values.get(name)
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value
        self._changed.add(name)
        return old

    def define(self, name: str, function: Function | None) -> None:
        """Define a function, or with None remove it."""
        if function is None:
            self.functions.pop(name, None)
        else:
            self.functions[name] = function
        self._changed.add(_FUNCTION + name)

    # --- the environment -----------------------------------------------------------------------

    def load(self, egrp: Egrp) -> None:
        """Take over what the environment holds."""
        for name in egrp:
            value = _decode(egrp.get(name) or b"")
            if name.startswith(_FUNCTION):
                self.functions[name.removeprefix(_FUNCTION)] = Function(text=value.strip("\0\n"), file=name)
            elif name not in _PRIVATE:
                self.values[name] = value.removesuffix("\0").replace("\1", "\0").split("\0")

    def store(self, egrp: Egrp) -> list[str]:
        """Bring the environment up to date.

        Returns the names of what is too big for it, and left out, as far as nobody was told.
        """
        too_big = []
        for name in self._changed - _PRIVATE:
            try:
                value = self._stored(name)
                if value is not None:
                    egrp.set(name, _encode(value))
                    continue
            except (errors.Etoobig, RecursionError):  # or a function too deep to print
                too_big.append(name)
            egrp.unset(name)
        self._changed.clear()
        return self.untold(too_big)

    def _stored(self, name: str) -> str | None:
        """What the environment has under this name."""
        if name.startswith(_FUNCTION):
            function = self.functions.get(name.removeprefix(_FUNCTION))
            return None if function is None else function.text
        words = self.values.get(name)
        return "\0".join(words) if words else None

    def untold(self, names: Iterable[str]) -> list[str]:
        """Those of the names that were not asked for before, here or in a subshell."""
        new = sorted(set(names) - self._told)
        self._told.update(new)
        return new


def number(text: str) -> int:
    """A decimal number, or 0; of one with very many digits only that it is large."""
    if not (text.isascii() and text.isdecimal()):
        return 0
    return int(text) if len(text) < 20 else sys.maxsize


def quoted(word: str) -> str:
    """A word as it must be written in rc."""
    plain = word and not any(char <= " " or char in "'#;&|^$=`{}()<>\x7f" for char in word)
    return word if plain and not any(char in "*?[" for char in word) else tree.quote(word)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
