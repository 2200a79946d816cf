"""Which names a few typed letters mean."""

from __future__ import annotations

import pytest

from nsh.rc.line.match import best

NAMES = ["README.md", "readme.txt", "src", "scripts", "setup.cfg", "my file", "x[1]"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("s", ["scripts", "setup.cfg", "src"]),
        ("READ", ["README.md"]),
        ("Read", ["README.md", "readme.txt"]),
        ("tup", ["setup.cfg"]),
        ("TUP", ["setup.cfg"]),
        ("scp", ["scripts"]),
        ("[", ["x[1]"]),
        ("zz", []),
        ("", sorted(NAMES)),
    ],
)
def test_the_surest_way_in_which_any_is_meant_counts(typed: str, meant: list[str]) -> None:
    assert best(typed, NAMES, str) == meant
