"""What stands at the cursor, in texts that are not finished."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.rc.line.place import Place, Role, literal, place, words
from nsh.rc.parse import tokens

CURSOR = "\N{CARET}"
"""Where the cursor is, if not at the end."""


def at(text: str) -> tuple[Place, str]:
    """The place of the cursor, and the text from where it begins up to the cursor."""
    cursor = text.index(CURSOR) if CURSOR in text else len(text)
    text = text.replace(CURSOR, "")
    found = place(text, cursor)
    return found, text[found.start : cursor]


@pytest.mark.parametrize(
    "before",
    [
        *(
            "",
            "a; ",
            "a | ",
            "a && ",
            "a || ",
            "a & ",
            "{",
            "a\n",
            "if(",
            "while(",
            "if(a) ",
            "for(i in a b) ",
        ),
        *("x=`{", "cmp <{", "cmp <{a} <{", "! ", "@ ", "x=1 ", "fn f{", ">x ", "if not ", "switch(x){"),
        *("echo `{a}; ", "x=(a b) ", "a |[2] "),
    ],
)
def test_a_command_begins(before: str) -> None:
    found, written = at(before + "ls")
    assert (found.role, written) == (Role.COMMAND, "ls")


@pytest.mark.parametrize(
    ("text", "words", "written"),
    [
        ("ls a", ["ls"], "a"),
        ("ls ", ["ls"], ""),
        ("ls 'a b' $x c", ["ls", "a b", None], "c"),
        ("ls `{echo x} c", ["ls", None], "c"),
        ("ls >out a", ["ls"], "a"),
        ("ls (a b", ["ls", "a"], "b"),
        ("ls 'two w", ["ls"], "'two w"),
        ("it's a", ["it"], None),
        ("a; b c d", ["b", "c"], "d"),
        ("~ x pa", ["~", "x"], "pa"),
        ("for(i in a b", ["for", "a"], "b"),
        ("cat $home/sr", ["cat"], "$home/sr"),
        ("dd if=/dev", ["dd"], "if=/dev"),
        (f"echo re{CURSOR} x", ["echo"], "re"),
    ],
)
def test_an_argument_of_a_command(text: str, words: list[str | None], written: str | None) -> None:
    found, before = at(text)
    if written is None:  # a quote that is open in the first word
        assert found.role is Role.COMMAND
    else:
        assert (found.role, found.words, before) == (Role.ARGUMENT, words, written)


@pytest.mark.parametrize(
    ("text", "role", "written"),
    [
        ("echo $na", Role.VARIABLE, "na"),
        ("echo $", Role.VARIABLE, ""),
        ("echo $#na", Role.VARIABLE, "na"),
        ("echo a^$na", Role.VARIABLE, "na"),
        ("cat >fi", Role.TARGET, "fi"),
        ("cat >>fi", Role.TARGET, "fi"),
        ("cat >[2] fi", Role.TARGET, "fi"),
        ("cat <fi", Role.SOURCE, "fi"),
        ("x=va", Role.VALUE, "va"),
        ("x=(a va", Role.VALUE, "va"),
        ("cat >[2", Role.DESCRIPTOR, "2"),
        ("cat >[2=", Role.DESCRIPTOR, ""),
        ("a |[", Role.DESCRIPTOR, ""),
        ("fn na", Role.FUNCTION, "na"),
        ("echo # x", Role.TEXT, ""),
        ("cat <<E", Role.TEXT, ""),
        ("cat <<E\nsome te", Role.TEXT, ""),
        ("echo $x(1", Role.TEXT, "1"),
        ("for(na", Role.TEXT, "na"),
        ("while", Role.COMMAND, "while"),
        ("", Role.COMMAND, ""),
        ("echo '>[2", Role.ARGUMENT, "'>[2"),
    ],
)
def test_what_else_it_can_be(text: str, role: Role, written: str) -> None:
    found, before = at(text)
    assert (found.role, before) == (role, written)


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        (f"echo re{CURSOR} >ctl", ["ctl"]),
        (f"echo re{CURSOR} >'a b' >>c <in", ["a b", "c"]),
        (f">ctl echo {CURSOR}", ["ctl"]),
        (f"echo a{CURSOR} | cat >ctl", []),
        (f"echo a{CURSOR}; cat >ctl", []),
        (f"{{echo a{CURSOR}}} >ctl", []),
        (f"echo a{CURSOR} >$x", []),
    ],
)
def test_where_the_command_writes_to(text: str, targets: list[str]) -> None:
    assert at(text)[0].targets == targets


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("ls a'b c'^d", "ab cd"), ("ls 'it''s", "it's"), ("ls $x/a", None), ("ls `{a}b", None)],
)
def test_what_a_word_stands_for(text: str, meaning: str | None) -> None:
    assert literal(at(text)[0].pieces) == meaning


def test_the_words_of_a_whole_text_with_their_roles() -> None:
    text = "x=1 ls $y 'a b' >out; {cat <in}"
    found = [(w.role.name, text[w.start : w.end], w.text) for w in words(tokens(text))]
    assert found == [
        ("VALUE", "1", "1"),
        ("COMMAND", "ls", "ls"),
        ("ARGUMENT", "$y", None),
        ("ARGUMENT", "'a b'", "a b"),
        ("TARGET", "out", "out"),
        ("COMMAND", "cat", "cat"),
        ("SOURCE", "in", "in"),
    ]


@given(st.lists(st.sampled_from([*"ab $'`{}()<>|;&=^#!~@[]\\\n0", "fn ", "if(", "for(", " in ", "<<E"])))
def test_no_text_is_too_strange(parts: list[str]) -> None:
    text = "".join(parts)
    for cursor in range(len(text) + 1):
        found = place(text, cursor)
        assert 0 <= found.start <= cursor
