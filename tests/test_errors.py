"""errors: what a peer worded becomes a class, and one line that can be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import MAXTEXT, Enonexist, Eperm, from_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("disk on fire", "disk on fire"),
        ("'/n/a  b' is odd", "'/n/a  b' is odd"),
        ("größer als 学 '\udcff'", "größer als 学 '\udcff'"),
        ("first\nsecond\r\n", "first second"),
        ("\x1b[2J\x1b]0;title\x07gone", "\ufffd[2J\ufffd]0;title\ufffdgone"),
        ("a\u202eb\u2028c\x9bd\0", "a\ufffdb c\ufffdd\ufffd"),
        ("a\tb", "a b"),
        ("", "i/o error"),
        (" \n ", "i/o error"),
    ],
)
def test_the_text_of_a_peer_is_one_line_that_a_terminal_does_not_obey(text: str, shown: str) -> None:
    assert str(from_text(text)) == shown


def test_the_class_is_found_in_what_is_left_after_cleaning() -> None:
    assert type(from_text("permission denied\n")) is Eperm
    assert type(from_text("'/n/\x1bx' file does not exist")) is Enonexist


def test_a_text_that_is_too_long_keeps_its_ends_where_the_words_are() -> None:
    e = from_text(f"'/{'é' * 5000}' file does not exist")
    assert isinstance(e, Enonexist)
    assert str(e).startswith("'/éé")
    assert str(e).endswith("éé' file does not exist")
    assert "é...é" in str(e)


@given(st.text(max_size=3000))
def test_whatever_a_peer_sends_the_line_is_short_and_not_empty(text: str) -> None:
    shown = str(from_text(text))
    assert shown.isprintable()
    assert 0 < len(shown.encode()) <= MAXTEXT
