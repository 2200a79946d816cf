"""The colours of a line: its tokens, what exists, and what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.rc.line.colour import LONGEST, Colours
from nsh.rc.line.known import Known

CURSOR = "\N{CARET}"


class Told(Known):
    """Knows what it was told."""

    def __init__(self) -> None:
        pass

    def command(self, name: str) -> bool | None:
        return {"ls": True, "echo": True, "cat": True, "nosuch": False}.get(name)

    def file(self, name: str) -> bool | None:
        return {"/etc": True, "notes": True, "a b": True, "/no": False, "no": False}.get(name)


def coloured(text: str) -> list[tuple[str, str]]:
    """(style, text) of what has one; the cursor is nowhere unless it is marked."""
    cursor = text.index(CURSOR) if CURSOR in text else -1
    text = text.replace(CURSOR, "")
    found = [(fragment[0], fragment[1]) for fragment in Colours(Told(), lambda: cursor).coloured(text)]
    assert "".join(piece for _, piece in found) == text
    return [(style.replace("class:nsh.", "").strip(), piece) for style, piece in found if style]


@pytest.mark.parametrize(
    ("text", "styles"),
    [
        ("ls $x 'q'", [("command", "ls"), ("variable", "$x"), ("string", "'q'")]),
        ("if(~ a b) ls", [("keyword", "if"), ("keyword", "~"), ("command", "ls")]),
        (
            "ls | cat >[2=1] &",
            [
                ("command", "ls"),
                ("operator", "|"),
                ("command", "cat"),
                ("operator", ">[2=1]"),
                ("operator", "&"),
            ],
        ),
        ('echo $#x $"y', [("command", "echo"), ("variable", "$#x"), ("variable", '$"y')]),
        ("ls # why", [("command", "ls"), ("comment", "# why")]),
        ("x=1 ls", [("operator", "="), ("command", "ls")]),
        (
            "cat <<E\nin\nE\nls",
            [("command", "cat"), ("operator", "<<E"), ("string", "\nin\nE\n"), ("command", "ls")],
        ),
        ("nosuch; other", [("unknown", "nosuch"), ("operator", ";")]),
        ("ls /etc notes", [("command", "ls"), ("file", "/etc"), ("file", "notes")]),
        ("ls /no no", [("command", "ls"), ("missing", "/no")]),
        ("cat <no >/no", [("command", "cat"), ("operator", "<"), ("missing", "no"), ("operator", ">")]),
        ("ls 'a b'", [("command", "ls"), ("string file", "'a b'")]),
        ("ls -/no /no*", [("command", "ls")]),
        ("echo in fn", [("command", "echo")]),
    ],
)
def test_what_is_what(text: str, styles: list[tuple[str, str]]) -> None:
    assert coloured(text) == styles


@pytest.mark.parametrize(
    ("text", "styles"),
    [
        ("ls 'open", [("command", "ls"), ("string", "'open")]),
        ("cat <<E\nin", [("command", "cat"), ("operator", "<<E"), ("string", "\nin")]),
        ("for(i in ", [("keyword", "for"), ("keyword", "in")]),
        ("x=`{ls", [("operator", "=`"), ("command", "ls")]),
        ("ls &&", [("command", "ls"), ("operator", "&&")]),
        ("ls \\", [("command", "ls")]),
    ],
)
def test_what_is_not_finished_is_not_wrong(text: str, styles: list[tuple[str, str]]) -> None:
    assert coloured(text) == styles


def test_a_mistake_is_shown_where_it_is() -> None:
    assert coloured("ls ) x") == [("command", "ls"), ("error", ")")]
    assert coloured("ls\nls a{b}")[-1] == ("error", "{")
    assert coloured("if not ls") == [("keyword", "if"), ("keyword", "not"), ("command", "ls")]


def test_nothing_is_wrong_with_a_word_while_it_is_typed() -> None:
    assert coloured(f"nosuch{CURSOR}") == []
    assert coloured(f"nosuch {CURSOR}") == [("unknown", "nosuch")]
    assert coloured(f"ls /no{CURSOR}") == [("command", "ls")]
    assert coloured(f"ls ){CURSOR}") == [("command", "ls")]
    assert coloured(f"ls /etc{CURSOR}") == [("command", "ls"), ("file", "/etc")]


@pytest.mark.parametrize("text", [f"{CURSOR}(a '(' b)", f"(a '(' b){CURSOR}", f"(a '(' b{CURSOR})"])
def test_the_bracket_at_the_cursor_and_its_partner(text: str) -> None:
    assert [(s, t) for s, t in coloured("ls " + text) if s == "bracket"] == [
        ("bracket", "("),
        ("bracket", ")"),
    ]


def test_a_very_long_text_is_left_alone() -> None:
    assert coloured("ls " * LONGEST) == []


@given(st.text("ls 'x$`{}()<>|;&=^#~\n/", max_size=30), st.integers(-1, 30))
def test_any_text_can_be_coloured(text: str, cursor: int) -> None:
    found = Colours(Told(), lambda: cursor).coloured(text)
    assert "".join(fragment[1] for fragment in found) == text
