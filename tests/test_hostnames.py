"""Names of hosts are folded into short expressions, which stand for these names and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.hostnames import MOST, expand, fold, ranges

numbers = st.integers(0, 120).flatmap(lambda n: st.sampled_from([str(n), f"{n:02d}", f"{n:03d}"]))
long_numbers = st.from_regex(r"[0-9]{9,12}", fullmatch=True)
texts = st.sampled_from(["", "host", "gpu-", ".example.org", "é"])
names = st.lists(texts | numbers | long_numbers, min_size=1, max_size=4).map("".join).filter(bool)


@given(st.lists(names, min_size=1, max_size=40))
def test_what_is_folded_expands_to_the_same_names(some: list[str]) -> None:
    expanded = expand(fold(some))
    assert len(expanded) == len(set(expanded))
    assert set(expanded) == set(some)


@given(st.lists(names, min_size=1, max_size=20))
def test_the_order_of_the_names_does_not_matter(some: list[str]) -> None:
    assert fold(some) == fold(reversed(some)) == fold(expand(fold(some)))


@given(st.integers(0, 2000), st.integers(1, 300), st.sampled_from([1, 3, 5]))
def test_a_row_of_names_is_one_range(first: int, count: int, width: int) -> None:
    row = [str(n).zfill(width) for n in range(first, first + count)]
    assert ranges(row) == (row[0] if count == 1 else f"{row[0]}-{row[-1]}")


@pytest.mark.parametrize(
    ("some", "expression"),
    [
        ("host1", "host1"),
        ("host1 host2 host3 host7", "host[1-3,7]"),
        ("host2 host1 host1", "host[1-2]"),
        ("n8 n9 n10", "n[8-10]"),
        ("n08 n09 n10", "n[08-10]"),
        ("n1 n01", "n[1,01]"),
        ("gpu1 gpu2 cpu1", "cpu1,gpu[1-2]"),
        ("r1n1 r1n2 r2n1 r2n2 r3n1", "r[1-2]n[1-2],r3n1"),
        ("gpu1-ib0 gpu2-ib0", "gpu[1-2]-ib0"),
        ("a.example.org b.example.org", "a.example.org,b.example.org"),
        ("0 1 2 5", "[0-2,5]"),
        ("x1234567890 x1234567891", "x1234567890,x1234567891"),
        ("", ""),
    ],
)
def test_names_as_a_person_would_write_them(some: str, expression: str) -> None:
    assert fold(some.split()) == expression


@pytest.mark.parametrize(
    ("expression", "some"),
    [
        ("a", "a"),
        ("gpu[1-3,7]x", "gpu1x gpu2x gpu3x gpu7x"),
        ("n[08-10]", "n08 n09 n10"),
        ("-host[1-2]", "-host1 -host2"),
        ("b,a[2,1],b", "b a2 a1 b"),
        ("r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2"),
    ],
)
def test_an_expression_stands_for_names_in_its_order(expression: str, some: str) -> None:
    assert expand(expression) == some.split()


@pytest.mark.parametrize(
    "expression",
    ["", "a,", ",a", "a[", "a]", "a[[1]]", "a[x]", "a[1-]", "a[]", "a[2-1]", "a[1,]", "a[٣]", "a[1 - 2]"],
)
def test_an_expression_that_makes_no_sense_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        expand(expression)


@pytest.mark.parametrize(
    "expression",
    ["h[0-9999999]", "h[0-9999999999]", "[1-101][1-100]", "[1-6000],[1-6000]", "[1-6000,1-6000]"],
)
def test_names_are_counted_before_they_are_made(expression: str) -> None:
    assert len(expand(f"h[1-{MOST}]")) == MOST
    with pytest.raises(ValueError):
        expand(expression)
