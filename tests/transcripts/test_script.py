"""nsh/replay/script.py: what the lines of a transcript are, and how outputs are rewritten in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import FileFormatError
from nsh.replay.compare import ELLIPSIS, Edit
from nsh.replay.script import Host, Where, parse


def commands(text: str) -> list[tuple[int, str, list[str]]]:
    """The commands of a transcript: line, what was typed with its prompt, recorded output."""
    return [(c.line, str(c), [line.text for line in c.output]) for c in parse(text).commands]


def test_each_prompt_types_to_its_shell_and_other_lines_are_output() -> None:
    text = "; bind a b\n% ns\nbind a b\n$ cat x\none\n  two\n"
    assert commands(text) == [
        (1, "; bind a b", []),
        (2, "% ns", ["bind a b"]),
        (4, "$ cat x", ["one", "  two"]),
    ]


def test_before_the_first_prompt_lines_are_typed_and_sentences_are_prose() -> None:
    text = "mount -A tcp!1.2.3.4!5 /x\n\nNow, $ is the Linux shell prompt.\nmount a /b\n$ ls\nEnd."
    transcript = parse(text)
    assert [str(c) for c in transcript.commands] == [
        "mount -A tcp!1.2.3.4!5 /x",
        "mount a /b",
        "$ ls",
    ]
    assert [(line.line, line.text) for line in transcript.prose] == [(3, "Now, $ is the Linux shell prompt.")]
    assert transcript.commands[2].output[0].text == "End."


def test_a_lone_prompt_is_an_empty_command_that_ends_the_output_before_it() -> None:
    assert commands("$ ls\na\n$\n") == [(1, "$ ls", ["a"]), (3, "$ ", [])]
    assert commands("$ ls\n$ \n;") == [(1, "$ ls", []), (2, "$ ", []), (3, "; ", [])]


def test_a_prompt_stands_in_the_first_column_before_a_blank() -> None:
    assert commands("; cat x\n ; a\n;b\n$HOME\n ...\n") == [(1, "; cat x", [" ; a", ";b", "$HOME", " ..."])]


def test_comments_are_ignored_wherever_they_stand_but_not_what_is_none() -> None:
    text = "# a\n#\n; cat x\n# b\n#T\n#!/bin/rc\n# host h at tcp!a!1\n#\nend\n"
    transcript = parse(text)
    assert [line.text for line in transcript.commands[0].output] == ["#T", "#!/bin/rc", "end"]
    assert transcript.hosts == []


def test_blank_lines_are_ignored_and_an_ellipsis_may_have_blanks_behind_it() -> None:
    assert commands("\n; a\n\n  \t\none\n... \n") == [(2, "; a", ["one", ELLIPSIS])]


def test_directives_give_hosts_and_substitutions() -> None:
    text = (
        "# The session.\n"
        "# host a at tcp!1.2.3.4!6666 hostname Pearl root /x//y/\n"
        "#  host  b  at tcp!b!1  root /y \n"
        "# host c at tcp!c!1 hostname Pearl over a,b\n"
        "# where /home/me is $home/me\n"
        "# where 17:12 is any word\n"
        "; a\n"
    )
    transcript = parse(text)
    assert transcript.hosts == [
        Host(2, "a", "tcp!1.2.3.4!6666", "Pearl", "/x//y/"),
        Host(3, "b", "tcp!b!1", "", "/y"),
        Host(4, "c", "tcp!c!1", "Pearl", "", ("a", "b")),
    ]
    assert transcript.wheres == [Where(5, "/home/me", "$home/me"), Where(6, "17:12", None)]
    assert transcript.wheres[0].meaning({"home": "/tmp/h"}) == "/tmp/h/me"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("# host a", "a host line reads: # host NAME at DIALSTRING [hostname H] [root DIR] [over NAME,...]"),
        (
            "# host a at b root",
            "a host line reads: # host NAME at DIALSTRING [hostname H] [root DIR] [over NAME,...]",
        ),
        (
            "# host a at b root /c d",
            "a host line reads: # host NAME at DIALSTRING [hostname H] [root DIR] [over NAME,...]",
        ),
        ("# where", "a where line reads: # where TEXT is VALUE (or: is any word)"),
        ("# where x is any words", "a where line reads: # where TEXT is VALUE (or: is any word)"),
        ("# where x is $nobody", "unknown $nobody (known: $home, $user, $group, $scratch, $here)"),
        ("# host ../a at b", "not a name for a host: ../a"),
        ("# host a at b hostname x_y", "not a host name: x_y"),
        ("# host a at b root c", "the root of a host begins with a slash: c"),
        ("# host first at c", "a second host first (the first is in line 1)"),
        ("# host a at tcp!1!2", "a second host at tcp!1!2 (the first is in line 1)"),
        ("# host a at b over first,c", "no host c above this line"),
        ("# where t is u", "t has a meaning already (line 2)"),
    ],
)
def test_a_bad_directive_is_named_with_file_and_line(line: str, message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        parse(f"# host first at tcp!1!2\n# where t is any word\n{line}\n; a\n", "x.transcript")
    assert str(caught.value) == f"x.transcript:3: {message}"


@pytest.mark.parametrize("line", ["for(i in a b) {", "$ echo 'a", "; cat <<end"])
def test_a_command_is_one_line(line: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        parse(f"echo a\n{line}\n", "x.transcript")
    assert str(caught.value) == "x.transcript:2: the command is not complete"


@given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=20)))
def test_every_text_without_directives_is_a_transcript(lines: list[str]) -> None:
    text = "\n".join(["; a", *lines])
    transcript = parse(text)
    assert transcript.commands[0].line == 1
    assert transcript.rewritten({}) == text


def rewritten(text: str, *edits: Edit) -> str:
    transcript = parse(text)
    return transcript.rewritten({transcript.commands[0]: edits})


def test_rewriting_keeps_everything_else_byte_for_byte() -> None:
    text = "# x\n; a \none  1\n# comment\n\n two\t\nthree\n$ b\nkept\n"
    assert rewritten(text, Edit(1, 2, ["2"])) == text.replace(" two\t\n", "2\n")
    assert rewritten(text, Edit(0, 2, ["2"])) == "# x\n; a \n2\n# comment\n\nthree\n$ b\nkept\n"
    assert rewritten(text, Edit(3, 3, ["four"])) == text.replace("three\n", "three\nfour\n")
    assert rewritten(text, Edit(0, 0, ["zero"]), Edit(2, 3, [])) == text.replace(
        "; a \n", "; a \nzero\n"
    ).replace("three\n", "")


def test_an_output_can_be_recorded_where_there_was_none() -> None:
    assert rewritten("; a\n; b\n", Edit(0, 0, ["1", "2"])) == "; a\n1\n2\n; b\n"
    assert rewritten("; a", Edit(0, 0, ["1"])) == "; a\n1"


def test_rewriting_keeps_the_line_endings_of_the_file() -> None:
    assert rewritten("; a\r\none\r\n", Edit(0, 1, ["two"])) == "; a\r\ntwo\r\n"


@pytest.mark.parametrize("line", ["; a", "$", "% b", "# c", "#", "...", "... "])
def test_what_looks_like_another_line_is_written_so_that_it_is_read_as_output(line: str) -> None:
    text = rewritten("; a\n", Edit(0, 0, [line]))
    assert commands(text) == [(1, "; a", [" " + line.rstrip()])]
