"""nsh/replay/compare.py: when a recorded output and a printed one agree, and how it is recorded anew."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nsh.replay.compare import ELLIPSIS, Edit, Substitution, differences, fits, rewrite, without_count

SAME = Substitution()


def test_runs_of_blanks_are_equal_and_blank_lines_are_not_there() -> None:
    assert fits(["| |-- args"], ["|   |-- args"], SAME)
    assert fits(["`-- remote"], ["    `--\u00a0remote  "], SAME)
    assert fits(["a", "b"], ["", "a", "\t", "b", ""], SAME)
    assert not fits(["ab"], ["a b"], SAME)


def test_every_line_counts_in_its_place() -> None:
    assert fits([], [], SAME)
    assert not fits([], ["a"], SAME)
    assert not fits(["a"], [], SAME)
    assert not fits(["a", "b"], ["b", "a"], SAME)
    assert not fits(["a"], ["a", "a"], SAME)


@pytest.mark.parametrize("printed", [["a", "z"], ["a", "b", "z"], ["a", "b", "c", "z"], ["a", "a", "z", "z"]])
def test_an_ellipsis_is_any_number_of_lines_none_included(printed: list[str]) -> None:
    assert fits(["a", ELLIPSIS, "z"], printed, SAME)


def test_an_ellipsis_leaves_the_lines_around_it_to_be_compared() -> None:
    assert not fits(["a", ELLIPSIS, "z"], ["a"], SAME)
    assert not fits(["a", ELLIPSIS, "a"], ["a"], SAME)
    assert not fits(["a", ELLIPSIS, "z"], ["a", "z", "b"], SAME)
    assert not fits([ELLIPSIS, "m", "n", ELLIPSIS], ["m", "x", "n"], SAME)
    assert fits([ELLIPSIS, "m", "n", ELLIPSIS], ["m", "m", "n"], SAME)
    assert fits([ELLIPSIS], [], SAME)
    assert fits([" ..."], ["..."], SAME)
    assert not fits([" ..."], ["x"], SAME)


def test_a_count_that_a_tree_ends_with_may_be_left_out_but_not_be_wrong() -> None:
    tree = ["x", "`-- a", "", "1 directory, 0 files"]
    assert without_count(["x", "`-- a"], tree) == tree[:3]
    assert without_count(["x", "`-- a", "1 directory, 1 file"], tree) == tree
    assert without_count(["x", "`-- a"], ["x", "`-- a"]) == ["x", "`-- a"]


WHERE = Substitution(
    [
        ("/home/pravin/projects", "/tmp/w/home"),
        ("/home/pravin/projects/host3//", "/tmp/w/host3"),
        ("pravin", "root"),
        ("2010-01-14", None),
        ("17:12", None),
        ("321", None),
    ]
)


def test_a_text_stands_for_its_value_the_longest_first() -> None:
    assert WHERE.expand("/home/pravin/projects/mpoint/remote") == "/tmp/w/home/mpoint/remote"
    assert WHERE.expand("cd '/home/pravin/projects'") == "cd '/tmp/w/home'"
    assert WHERE.expand("cmd/0 1 Closed /home/pravin/projects/host3// ''") == "cmd/0 1 Closed /tmp/w/host3 ''"
    assert WHERE.expand("ls /home/pravin/projects/host3/f '/home/pravin/projects/host3//'") == (
        "ls /tmp/w/host3/f '/tmp/w/host3'"
    )
    assert WHERE.expand("1 pravin pravin 0") == "1 root root 0"


@pytest.mark.parametrize(
    ("recorded", "printed"),
    [
        ("/home/pravin/projects/host3//", "/tmp/w/host3"),
        ("'/home/pravin/projects/host3//': x", "'/tmp/w/host3': x"),
        ("/home/pravin/projects/host3///", "/tmp/w/host3/"),
        ("/home/pravin/projects/host3/f", "/tmp/w/host3/f"),
        ("/home/pravin/projects/host3/..", "/tmp/w/host3/.."),
        ("/home/pravin/projects", "/tmp/w/home"),
        ("/home/pravin/projects/", "/tmp/w/home/"),
    ],
)
def test_each_slash_behind_a_directory_counts(recorded: str, printed: str) -> None:
    assert fits([recorded], [printed], WHERE)
    assert rewrite(printed, [], WHERE) == recorded
    for more in ("/", "//"):
        assert not fits([recorded], [printed + more], WHERE)
        assert not fits([recorded + more], [printed], WHERE)
    if recorded.endswith("/"):
        assert not fits([recorded[:-1]], [printed], WHERE)


def test_a_directory_may_be_typed_without_its_slash() -> None:
    assert WHERE.expand("cd /home/pravin/projects/host3; ls /home/pravin/projects/host3/") == (
        "cd /tmp/w/host3; ls /tmp/w/host3/"
    )


@pytest.mark.parametrize(
    "text",
    ["/home/pravin/projects2", "/x/home/pravin/projects", "/home/pravin", "pravin-x", "pravin.c", "apravin"],
)
def test_a_text_stands_for_nothing_as_part_of_a_longer_name(text: str) -> None:
    assert WHERE.expand(text) == text


def test_a_text_may_stand_for_any_one_word_also_within_a_word() -> None:
    recorded = ["-rw-rw---- 1 pravin pravin 0 2010-01-14 17:12 ctl", "cmd/321 is up"]
    printed = ["-rw-rw----  1 root root  0 2026-11-22 23:59 ctl", "cmd/7 is up"]
    assert fits(recorded, printed, WHERE)
    assert not fits(recorded, [printed[0].replace(" 23:59", ""), printed[1]], WHERE)
    assert not fits(recorded, [printed[0].replace("23:59", "23:59 1"), printed[1]], WHERE)
    assert not fits(recorded, [printed[0].replace("root root", "root bin"), printed[1]], WHERE)


def test_a_value_is_compared_to_the_letter() -> None:
    where = Substitution([("x", "a.b")])
    assert fits(["x"], ["a.b"], where)
    assert not fits(["x"], ["axb"], where)


def test_differences_are_the_lines_that_have_to_change() -> None:
    recorded = ["total 0", "-r 2010-01-14 a", "-r 2010-01-14 b", "end"]
    printed = ["total 0", "-r 2026-11-22 a", "-r 2026-11-22 c", "more", "", "end"]
    assert differences(recorded, printed, WHERE) == [Edit(2, 3, ["-r 2026-11-22 c", "more"])]


def test_differences_keep_an_ellipsis_that_still_stands_for_lines() -> None:
    assert differences(["a", ELLIPSIS, "y"], ["a", "b", "y", "z"], SAME) == [Edit(3, 3, ["z"])]
    assert differences(["a", ELLIPSIS, "y"], ["a", "b", "z"], SAME) == [Edit(1, 3, ["b", "z"])]


@given(st.lists(st.sampled_from("aab"), min_size=1), st.data())
def test_a_changed_line_is_the_one_that_is_named(printed: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(printed) - 1))
    recorded = [*printed]
    recorded[at] = data.draw(st.sampled_from("abz"))
    if not fits(recorded, printed, SAME):
        assert differences(recorded, printed, SAME) == [Edit(at, at + 1, [printed[at]])]


def test_changed_lines_are_named_among_others_that_are_like_them() -> None:
    changed = ["inferno", "inferno", "Pearl", "Pearl"]
    printed = ["Pearl", "inferno", "inferno", "Pearl"]
    assert differences(changed, printed, SAME) == [Edit(0, 1, ["Pearl"]), Edit(2, 3, ["inferno"])]


def test_lines_that_have_moved_are_not_all_named() -> None:
    assert differences(list("abcde"), list("bcdex"), SAME) == [Edit(0, 1, []), Edit(5, 5, ["x"])]


LINES = st.lists(st.sampled_from(["a", "b", "c", "d 17:12", "d 18:00"]), max_size=8)
RECORDED = st.lists(st.sampled_from(["a", "b", "c", "d 17:12", ELLIPSIS]), max_size=8)


@given(RECORDED, LINES)
def test_what_is_recorded_anew_fits(recorded: list[str], printed: list[str]) -> None:
    edits = differences(recorded, printed, WHERE)
    for edit in reversed(edits):
        recorded[edit.start : edit.end] = edit.printed
    assert fits(recorded, printed, WHERE)


@given(RECORDED, LINES)
def test_there_are_differences_just_when_it_does_not_fit(recorded: list[str], printed: list[str]) -> None:
    if not fits(recorded, printed, WHERE):
        assert differences(recorded, printed, WHERE)


def test_a_new_line_is_recorded_with_the_texts_of_the_file() -> None:
    assert rewrite("cmd/0 5 Done /tmp/w/host3 hostname", [], WHERE) == (
        "cmd/0 5 Done /home/pravin/projects/host3// hostname"
    )
    assert rewrite("  /tmp/w/host3/x  /tmp/w/home2 root ", [], WHERE) == (
        "  /home/pravin/projects/host3/x  /tmp/w/home2 pravin"
    )


def test_a_new_line_keeps_a_word_that_stands_for_any() -> None:
    like = ["total 0", "-rw-rw---- 1 pravin pravin 0 2010-01-14 17:12 ctl"]
    new = "-r--r--r-- 1 root root 12 2026-11-22 23:59 new"
    assert rewrite(new, like, WHERE) == "-r--r--r-- 1 pravin pravin 12 2010-01-14 17:12 new"
    assert rewrite("a b c d e f g h", like, WHERE) == "a b c d e f g h"
    assert rewrite(new + " x", like, WHERE) == "-r--r--r-- 1 pravin pravin 12 2026-11-22 23:59 new x"


@example(["/tmp/w", "/home", "/host3", "/x"])  # the text of the one, and /host3, is that of the other
@given(st.lists(st.sampled_from(["/tmp/w", "/home", "/host3", "/", "//", "/x", ".", " ", "'", ":", "root"])))
def test_what_is_recorded_of_a_path_fits_it(parts: list[str]) -> None:
    printed = "".join(parts)
    assert not printed.strip() or fits([rewrite(printed, [], WHERE)], [printed], WHERE)


@given(st.text("/homepravinjects3 \t.-", max_size=40))
def test_recording_what_was_expanded_means_the_same(text: str) -> None:
    assert WHERE.expand(WHERE.record(WHERE.expand(text))) == WHERE.expand(text)
