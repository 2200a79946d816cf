"""How control messages are read and reports are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh import errors
from nsh.kern.namec import quote
from taskfs import status
from taskfs.ctl import split
from taskfs.merge import LINEMAX, Lines
from taskfs.signs import literal, substitute


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=1), min_size=1))
def test_quoted_words_come_back_as_they_were(commands: list[list[str]]) -> None:
    text = "\n".join(" ".join(map(quote, words)) for words in commands)
    assert split(text) == commands


def test_words_are_split_as_in_rc() -> None:
    assert split("a  'b c'd 'it''s'\n\n\te ''\n") == [["a", "b cd", "it's"], ["e", ""]]
    with pytest.raises(errors.Ebadctl):
        split("a 'b\nc")


def test_failures_are_told_by_rank_with_equal_reasons_together() -> None:
    failed = {0: "exec failed: No such file or directory", 5: "host2: host is lost"}
    failed |= dict.fromkeys((2, 3, 4), failed[0])
    assert status.failures(failed) == "0,2-4: exec failed: No such file or directory; 5: host2: host is lost"


def test_the_status_of_a_lost_host_is_the_last_one_known() -> None:
    lines = "cmd/0 5 Execute /a 'x y'\ncmd/1 5 Done /a x\n"
    assert status.as_lost(lines) == "cmd/0 5 Lost /a 'x y'\ncmd/1 5 Done /a x\n"


def test_arguments_may_name_rank_count_and_host() -> None:
    assert substitute("%r of %n on %h, 100%", 2, 8, "gpu1") == "2 of 8 on gpu1, 100%"
    assert substitute("%%r is %r, %%%n, %d%% %% %%x %x", 2, 8, "gpu1") == "%r is 2, %8, %d%% %% %%x %x"


@given(st.text(alphabet="%rnhx", max_size=12))
def test_arguments_that_were_made_stay_as_they_are(arg: str) -> None:
    assert substitute(literal(arg), 2, 8, "gpu1") == arg


@given(st.binary(max_size=60), st.lists(st.integers(1, 20)))
def test_labelled_lines_do_not_depend_on_how_they_arrive(text: bytes, cuts: list[int]) -> None:
    lines, got, at = Lines(b"> "), b"", 0
    for cut in [*cuts, len(text)]:
        if piece := text[at : at + cut]:
            got += lines.feed(piece)
        at += cut
    got += lines.feed(b"")
    assert got == b"".join(b"> " + line + b"\n" for line in text.removesuffix(b"\n").split(b"\n") if text)


def test_a_labelled_line_that_has_no_end_is_broken() -> None:
    lines = Lines(b"> ")
    pieces = [lines.feed(b"x" * LINEMAX) for _ in range(4)] + [lines.feed(b"")]
    assert [len(piece) for piece in pieces if piece] == [2 * LINEMAX + 3] * 2
    assert all(piece.startswith(b"> ") and piece.endswith(b"\n") for piece in pieces if piece)
