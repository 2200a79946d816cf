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
ON = synopsis("on [ -q ] [ -n _tasks ] [ _host ... ] [ -- ] _command [ _arg ... ]")
CP = synopsis("cp _file1 _file2") + synopsis("cp _file ... _directory")
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
        (CP, "cp", (), ("file1", "file")),
        (CP, "cp a", (), ("file2", "file", "directory")),
        (CP, "cp a b", (), ("file", "directory")),
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


@pytest.mark.parametrize(
    ("words", "kinds", "inner"),
    [
        ("on", ("host", "command"), 0),
        ("on one", ("host", "command"), 0),
        ("on one gpu[1-3] @all", ("host", "command"), 0),
        ("on one ls", (), 2),
        ("on -q ls -l x", (), 2),
        ("on -n 3 one two ls one", (), 5),
    ],
)
def test_what_is_known_of_a_kind_tells_it_from_others(words: str, kinds: tuple[str, ...], inner: int) -> None:
    found = following(ON, words.split(), {"host": ("one", "two")})
    assert (found.argument.kinds, found.inner) == (kinds, inner)


def test_a_word_that_is_not_known_fits_where_anything_does() -> None:
    assert following(MOUNT, ["mount", None]).argument.kinds == ("mountpoint",)
    assert following(NINEP, ["9p", None]).argument.kinds == ("path",)
