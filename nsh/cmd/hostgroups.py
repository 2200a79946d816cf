"""Which hosts a person means: expressions, and groups of the file groups(6). No command itself.

The file is read in the name space, and only when a group is asked for. Whether the hosts are there is for
others to know.
"""

from __future__ import annotations

from nsh.errors import FileFormatError, P9Error
from nsh.hostnames import expand
from nsh.kern.proc import Proc
from nsh.xdg import config

ALL = "all"
"""The group of all hosts that there are, where the file has none of this name."""


async def select(p: Proc, words: list[str], there: list[str]) -> list[str]:
    """The names of the hosts that ``words`` stand for, each once.

    A word is an expression; an item of it may be a group, ``@gpu``, and one with ``-`` in front is left out:
    of the others, or else of all that are ``there``. Errors: ValueError when an expression makes no
    sense, `P9Error` when there is no such group, `FileFormatError`, those of reading the file.
    """
    groups = Groups(there)
    if any("@" in word for word in words):
        groups.read(*await _load(p))
    return groups.select(words)


async def _load(p: Proc) -> tuple[str, str]:
    """The text of the user's own file, which need not exist, and its name."""
    file = config("groups")
    try:
        return (await p.readfile(file)).decode("utf-8", "surrogateescape"), file
    except FileNotFoundError:
        return "", file
    except OSError as e:
        raise P9Error(f"cannot read {file}: {e}") from None


class Groups:
    """The groups of a file. ``there``: the hosts that there are."""

    def __init__(self, there: list[str]) -> None:
        self._there = there
        self._file = ""
        self._lines: dict[str, list[tuple[int, list[str]]]] = {}  # for each group: number and words of a line

    def read(self, text: str, file: str) -> None:
        """Take the groups from lines ``name=word ...``. Errors: `FileFormatError`."""
        self._file = file
        for number, line in enumerate(text.split("\n"), 1):
            name, equals, rest = line.partition("#")[0].partition("=")
            words = rest.split()
            if not (name.strip() or equals):
                continue
            if len(name.split()) != 1 or not words:
                raise FileFormatError("a group is NAME=HOST ...", file, number)
            self._lines.setdefault(name.strip(), []).append((number, words))

    def select(self, words: list[str], above: tuple[str, ...] = ()) -> list[str]:
        """As the function `select`; ``above``: the groups that this is to be a part of."""
        items = [item for word in words for item in expand(word)]
        wanted: dict[str, None] = {}
        unwanted: set[str] = set()
        for item in items:
            name = item.removeprefix("-")
            names = self._members(name[1:], above) if name.startswith("@") else [name]
            if item.startswith("-"):
                unwanted.update(names)
            else:
                wanted.update(dict.fromkeys(names))
        if all(item.startswith("-") for item in items):
            wanted = dict.fromkeys(self._there)
        return [name for name in wanted if name not in unwanted]

    def _members(self, group: str, above: tuple[str, ...]) -> list[str]:
        if group in above:
            raise P9Error(f"group {group} is a part of itself")
        if group not in self._lines:
            if group == ALL:
                return self._there
            raise P9Error(f"no group {group} in {self._file}" if not above else f"no group {group}")
        found: dict[str, None] = {}
        for number, words in self._lines[group]:
            try:
                found.update(dict.fromkeys(self.select(words, (*above, group))))
            except ValueError as e:
                raise FileFormatError(f"no names of hosts: {e}", self._file, number) from None
            except P9Error as e:
                raise FileFormatError(str(e), self._file, number) from None
        return list(found)
