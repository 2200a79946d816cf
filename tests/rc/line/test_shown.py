"""How times, durations and directories are shown in little room."""

from __future__ import annotations

import pytest

from nsh.rc.line.shown import age, clipped, date, directory, duration, padded


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((-5, "now"), (3, "now"), (59, "59s"), (60, "1m"), (7199, "1h")),
        *((86400 * 3, "3d"), (86400 * 30, "4w"), (86400 * 800, "2y"), (1e15, "999y")),
    ],
)
def test_an_age_takes_four_characters(seconds: float, shown: str) -> None:
    assert age(seconds) == shown
    assert len(shown) <= 4


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0124, "12ms"), (3.14, "3.1s"), (65, "1m05s"), (3600 + 120, "1h02m"), (360000, "100h00m")],
)
def test_a_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("path", "columns", "shown"),
    [
        ("/home/u", 20, "~"),
        ("/home/u/src", 20, "~/src"),
        ("/home/us", 20, "/home/us"),
        ("/usr/share/doc/python", 12, "\u2026/doc/python"),
        ("/usr/share/doc/python", 8, "\u2026/python"),
        ("/averylongname", 6, "\u2026gname"),
        ("/a\x1b[31m", 20, "/a\\x1b[31m"),
        ("/", 5, "/"),
    ],
)
def test_a_directory_is_shown_by_its_end(path: str, columns: int, shown: str) -> None:
    assert directory(path, "/home/u", columns) == shown


@pytest.mark.parametrize("home", ["", "/"])
def test_the_root_is_nobodys_home(home: str) -> None:
    assert directory("/etc", home, 20) == "/etc"


def test_a_text_is_cut_by_columns_not_by_characters() -> None:
    assert clipped("abcdef", 6) == "abcdef"
    assert clipped("abcdefg", 6) == "abcde\u2026"
    assert clipped("\u65e5\u672c\u8a9e", 5) == "\u65e5\u2026"
    assert padded("\u65e5", 4) == "\u65e5  "
    assert clipped("a\nb\x1b", 20) == "a \u21b5 b\\x1b"


def test_a_date_that_is_none() -> None:
    assert date(1e18) == "?"
    assert date(0)[:2] in ("19", "20")
