"""Output of many tasks: lines get their names, equal outputs are found, and memory is bounded."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from nsh.cmd import outputs
from nsh.cmd.outputs import OWN, RED, Labels, Outputs

texts = st.lists(st.sampled_from([b"a", b"b", b"0: x", b"", b"\xff\0\r"]), max_size=4)


def test_labels_become_names() -> None:
    named = Labels({"0": "host1", "10": "host2"}.__getitem__)
    assert named(b"0: 10: x\n10: \n0: a: b\n") == b"host1: 10: x\nhost2: \nhost1: a: b\n"
    assert Labels(str.upper)(b"a:b: x y\nno label\n\na:b: a:b: \n") == b"A:B: x y\nno label\n\nA:B: a:b: \n"


@given(
    st.lists(
        st.tuples(st.sampled_from([b"1", b"2", b"12"]), st.sampled_from([b"", b"2: x", b"\r1: ", b"\0"]))
    )
)
def test_every_line_gets_its_name_and_no_other(lines: list[tuple[bytes, bytes]]) -> None:
    came = b"".join(b"%b: %b\n" % line for line in lines)
    assert Labels(lambda rank: f"host{rank}")(came) == b"".join(b"host%b: %b\n" % line for line in lines)


def test_names_have_colours_if_that_is_wanted() -> None:
    assert Labels(str, RED)(b"7: x\n") == b"\x1b[31m7:\x1b[m x\n"
    own = Labels(str, OWN)
    assert own(b"1: x\n") == own(b"1: x\n") != own(b"2: x\n").replace(b"2", b"1")
    assert own(b"1" * 5000 + b": x\n").endswith(b":\x1b[m x\n")


def test_no_more_names_are_remembered_than_there_can_be_tasks() -> None:
    asked: list[str] = []
    labels = Labels(lambda label: asked.append(label) or label)  # type: ignore[func-returns-value]
    for n in range(outputs.NAMES + 1):
        labels(b"%d: x\n" % n)
    labels(b"0: x\n")
    assert asked.count("0") == 2


@given(st.dictionaries(st.integers(0, 12), texts, min_size=1), st.randoms(use_true_random=False))
def test_tasks_with_equal_output_are_together(printed: dict[int, list[bytes]], random: object) -> None:
    todo = {rank: list(lines) for rank, lines in printed.items()}
    kept = Outputs(20)
    while ranks := [rank for rank, lines in todo.items() if lines]:
        rank = random.choice(ranks)  # type: ignore[attr-defined]
        kept.add(b"%d: %b\n" % (rank, todo[rank].pop(0)))
    groups = kept.groups()
    assert [len(group) for group in groups] == sorted((len(group) for group in groups), reverse=True)
    assert sorted(int(rank) for group in groups for rank in group) == sorted(r for r in printed if printed[r])
    whole = {rank: b"".join(line + b"\n" for line in lines) for rank, lines in printed.items()}
    for group in groups:
        assert {whole[int(rank)] for rank in group} == {b"".join(kept.text(group[0]))}
    assert len({b"".join(kept.text(group[0])) for group in groups}) == len(groups)
    kept.close()


def test_much_output_is_not_kept_in_memory() -> None:
    kept = Outputs(20)
    line = b"x" * 10_000 + b"\n"
    for _ in range(100):
        kept.add(b"".join(b"%d: %b" % (rank, line) for rank in range(20)))
    assert sum(sys.getsizeof(output.buffer) for output in kept._kept.values()) < 20 * 2 * outputs.PIECE
    assert kept.groups() == [[str(rank) for rank in range(20)]]
    assert b"".join(kept.text("7")) == line * 100
    kept.close()


def test_what_has_no_rank_that_there_is_is_nobodys() -> None:
    kept = Outputs(20)
    kept.add(b"junk\nhost1: x\n3: y\n20: z\n")
    assert kept.groups() == [["3"]]
    kept.close()
