"""Which argument comes next, by the synopsis of a command."""

from __future__ import annotations

import pytest

from nsh.rc.line.manual import BOLD, ITALIC, ROMAN, Usage, usages
from nsh.rc.line.usage import following


def synopsis(text: str) -> list[Usage]:
    """Usages in a notation for tests: ``_kind`` is in italics, brackets and bars in roman, all else bold."""
    fonts = [(ROMAN if w in "[]|" else ITALIC if w[0] == "_" else BOLD, w.lstrip("_")) for w in text.split()]
    return list(usages([(font, word + " ") for font, word in fonts]))


MOUNT = synopsis("mount [ -a | -b ] [ -cA ] [ -k _keyfile ] _server _mountpoint [ _spec ]")
MAN = synopsis("man [ _section ] _title ...") + synopsis("man -k _word ...")
NS = synopsis("ns [ -r ] [ _pid ]") + synopsis("ns -g [ dot | svg ] [ _pid ]")
OS = synopsis("os [ -b ] [ -d _dir ] _command [ _arg ... ]")
NINEP = synopsis("9p read _path") + synopsis("9p ls [ -d ] [ _path ... ]")
KILL = synopsis("kill [ -g ] _pid | _command ...")


@pytest.mark.parametrize(
    ("usages", "words", "literals", "kinds"),
    [
        (MOUNT, "mount", (), ("server",)),
        (MOUNT, "mount -A", (), ("server",)),
        (MOUNT, "mount -cA -k", (), ("keyfile",)),
        (MOUNT, "mount -cAk", (), ("keyfile",)),
        (MOUNT, "mount -k x -A", (), ("server",)),
        (MOUNT, "mount -A a", (), ("mountpoint",)),
        (MOUNT, "mount a b", (), ("spec",)),
        (MOUNT, "mount a b c", (), ()),
        (MOUNT, "mount -- -a", (), ("mountpoint",)),
        (MAN, "man", (), ("section", "title")),
        (MAN, "man 3", (), ("title",)),
        (MAN, "man 3 a", (), ("title",)),
        (NS, "ns", ("dot", "svg"), ("pid",)),
        (NS, "ns -g svg", (), ("pid",)),
        (NINEP, "9p", ("read", "ls"), ()),
        (NINEP, "9p ls a", (), ("path",)),
        (NINEP, "9p read a", (), ()),
        (KILL, "kill 1 2", (), ("pid", "command")),
        (OS, "os -d", (), ("dir",)),
        (OS, "os", (), ("command",)),
    ],
)
def test_what_may_follow(
    usages: list[Usage], words: str, literals: tuple[str, ...], kinds: tuple[str, ...]
) -> None:
    found = following(usages, words.split())
    assert (found.argument.literals, found.argument.kinds, found.inner) == (literals, kinds, 0)


@pytest.mark.parametrize(("words", "inner"), [("os ls", 1), ("os -d /x ls -l", 3), ("os -b ls a b", 2)])
def test_a_command_inside_has_arguments_of_its_own(words: str, inner: int) -> None:
    assert following(OS, words.split()).inner == inner


def test_a_word_that_is_not_known_fits_where_anything_does() -> None:
    assert following(MOUNT, ["mount", None]).argument.kinds == ("mountpoint",)
    assert following(NINEP, ["9p", None]).argument == following([], ["x"]).argument
