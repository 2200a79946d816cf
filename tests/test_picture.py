"""The picture of a name space: everything is in it, in its order, and fits; all forms are well-formed."""

from __future__ import annotations

import itertools
import re
import subprocess
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.picture import (
    BOX,
    CELL,
    Drawing,
    Member,
    Origin,
    Place,
    Space,
    cells,
    colors,
    dot,
    mermaid,
    shortened,
    svg,
    tree,
)

HOST, ALPHA, BETA, CONS, MEMORY = range(5)
ORIGINS = (
    Origin("host", "the host's files"),
    Origin("server", "tcp!alpha!564"),
    Origin("server", "tcp!beta!564"),
    Origin("device", "cons"),
    Origin("memory", "memfs 1"),
)
UNION = Place(
    "/bin",
    (
        Member("/n/alpha/bin", ALPHA),
        Member("/bin", HOST, own=True),
        Member("/usr/local/bin", HOST, create=True),
        Member("/n/beta/bin", BETA, create=True),
    ),
)
SPACE = Space(
    "name space of glenda",
    "/usr/glenda",
    (
        Place("/n/alpha", (Member("tcp!alpha!564", ALPHA, mounted=True),)),
        Place("/", (Member("#U", HOST),)),
        UNION,
        Place("/dev", (Member("#c", CONS),)),
        Place("/n/beta", (Member("tcp!beta!564 main", BETA, mounted=True, create=True),)),
        Place("/tmp", (Member("memfs 1", MEMORY, mounted=True, create=True),)),
    ),
    ORIGINS,
)

names = st.text(st.characters(codec=None), max_size=60)
members = st.builds(Member, names, st.integers(0, 4), st.booleans(), st.booleans(), st.booleans())
places = st.builds(Place, names, st.lists(members, min_size=1, max_size=4).map(tuple))
origins = st.tuples(*(st.builds(Origin, st.just(origin.kind), names) for origin in ORIGINS))
spaces = st.builds(Space, names, names, st.lists(places, max_size=8).map(tuple), origins)


def test_places_stand_below_the_nearest_one_that_their_name_leads_through() -> None:
    wanted = ["/n", "/usr/bin", "/", "/n/a/b", "/n/a", "/na", "#p/1", "/n/a/b/c/d", "/n"]
    branches = tree(tuple(Place(name, ()) for name in wanted))
    shown = [(branch.place.name, branch.depth, branch.parent) for branch in branches]
    assert shown == [
        ("#p/1", 0, None),
        ("/", 0, None),
        ("/n", 1, 1),
        ("/n", 2, 2),
        ("/n/a", 2, 2),
        ("/n/a/b", 3, 4),
        ("/n/a/b/c/d", 4, 5),
        ("/na", 1, 1),
        ("/usr/bin", 1, 1),
    ]


def test_servers_have_colours_of_their_own() -> None:
    tints = colors(SPACE)
    assert len(set(tints)) == len(ORIGINS)
    assert len(set(colors(SPACE._replace(origins=(ORIGINS[ALPHA],) * 20)))) > 4


def test_long_names_lose_their_middle() -> None:
    assert shortened("short") == "short"
    text = shortened("/usr/glenda/" + "x" * 90 + "/last", 30)
    assert len(text) == 30 and text.startswith("/usr/glen…") and text.endswith("xx/last")


def test_wide_letters_take_two_columns_and_combining_ones_none() -> None:
    assert [cells(text) for text in ("abc", "日本", "e\u0301", "")] == [3, 4, 1, 0]


# --- SVG -----------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


class Label(NamedTuple):
    x: float
    y: float
    text: str


def labels(root: ElementTree.Element) -> list[Label]:
    """Every text of the picture, without what is only shown where the pointer rests."""
    found = []
    for element in root.iter(f"{SVG}text"):
        spans = "".join(span.text or "" for span in element.iter(f"{SVG}tspan"))
        found.append(
            Label(float(element.get("x", "")), float(element.get("y", "")), (element.text or "") + spans)
        )
    return found


def test_the_tree_and_the_members_of_a_union_are_in_order() -> None:
    found = labels(ElementTree.fromstring(svg(SPACE)))
    heights = {label.text: label.y for label in reversed(found)}
    in_order = ["/", "/bin", "/dev", "/n/alpha", "/n/beta", "/tmp"]
    assert sorted(in_order, key=lambda name: heights[name]) == in_order
    union = ["/n/alpha/bin", "(itself)", "/usr/local/bin", "/n/beta/bin"]
    assert sorted(union, key=lambda name: heights[name]) == union
    numbers = [label for label in found if label.text in "1234" and label.text]
    assert [label.text for label in numbers[:4]] == ["1", "2", "3", "4"]
    assert [label.y for label in numbers[:4]] == pytest.approx([heights[name] for name in union], abs=1)


def test_everything_that_is_to_be_known_is_written() -> None:
    text = svg(SPACE)
    root = ElementTree.fromstring(text)
    written = {label.text for label in labels(root)}
    assert written >= {
        "name space of glenda",
        "6 mount points, 1 union; current directory /usr/glenda",
        "tcp!alpha!564",
        "tcp!beta!564 main",
        "the host's files",
        "#c",
        "cons",
        "memfs 1",
    }
    full, empty = ('rx="9" fill="#1a7f37"', 'rx="9" fill="#ffffff"')
    legend = 1
    assert (text.count(full), text.count(empty)) == (3 + legend, 1 + legend)
    assert text.count('stroke-width="3"') == 3 + legend  # mounts
    assert text.count('class="link"') == 8 + 2 * legend  # all but the device


def test_nothing_overlaps_or_hangs_out() -> None:
    drawing = Drawing(SPACE)
    root = ElementTree.fromstring("\n".join(filter(None, drawing.lines())))
    width, height = (float(root.get(name, "")) for name in ("width", "height"))
    for label in labels(root):
        assert 0 < label.x < width - cells(label.text) * CELL * 0.8
        assert 0 < label.y < height
    tops = sorted(drawing._box_tops.values())
    assert len(tops) == 4
    assert all(below - above > BOX for above, below in itertools.pairwise(tops))


@given(spaces)
def test_whatever_the_names_it_is_xml(space: Space) -> None:
    root = ElementTree.fromstring(svg(space))
    assert root.tag == f"{SVG}svg"


def test_a_name_space_of_nothing_can_be_drawn() -> None:
    empty = Space("empty", "/", (), ())
    assert ElementTree.fromstring(svg(empty)).tag == f"{SVG}svg"
    assert dot(empty).startswith("digraph namespace {\n") and dot(empty).endswith("}\n")
    assert mermaid(empty) == "flowchart LR\n"


# --- dot -----------------------------------------------------------------------------------------


def test_dot_has_a_table_for_each_place_and_an_edge_for_each_member() -> None:
    text = dot(SPACE)
    tables = [line for line in text.splitlines() if "<TABLE" in line]
    assert [re.findall("<B>(.*?)</B>", line) for line in tables] == [
        [name] for name in ("/", "/bin", "/dev", "/n/alpha", "/n/beta", "/tmp")
    ]
    cells_of_union = re.findall(r'<TD ALIGN="LEFT">(.*?)</TD><TD PORT="m\d">(.*?)</TD>', tables[1])
    assert cells_of_union == [
        ("/n/alpha/bin", " "),
        ("/bin (itself)", " "),
        ("/usr/local/bin", "-c"),
        ("/n/beta/bin", "-c"),
    ]
    assert len(re.findall(r"p\d:m\d:e -> o\d \[.*penwidth=2", text)) == 3
    assert len(re.findall(r"p\d:m\d:e -> o\d ", text)) == 8
    assert 'label="9P server\\ntcp!alpha!564"' in text
    assert "p0 -> p1 -> p2 -> p3 -> p4 -> p5 [style=invis]" in text


@given(spaces)
def test_strings_of_dot_end_where_they_should(space: Space) -> None:
    """Outside of quoted strings and HTML labels there is nothing that a name could have put there."""
    bare = re.sub(r"label=<.*>\]|\"(?:[^\"\\]|\\.)*\"", "", dot(space))
    assert re.fullmatch(r"[\w\s;:,.=<>\[\]{}-]*", bare)


@pytest.mark.requires("dot")
def test_graphviz_takes_it() -> None:
    awkward = SPACE._replace(places=(Place('/a"b\\<&>\n\x01', (Member("'é日\\", ALPHA),)), *SPACE.places))
    result = subprocess.run(["dot", "-Tsvg"], input=dot(awkward).encode(), capture_output=True, timeout=20)
    assert (result.returncode, result.stderr) == (0, b"")


# --- mermaid -------------------------------------------------------------------------------------


def test_mermaid_has_a_subgraph_for_each_place_and_numbers_the_members_of_a_union() -> None:
    text = mermaid(SPACE)
    assert text.startswith(
        'flowchart LR\n  subgraph p0["/"]\n    p0m0["#35;U"]\n  end\n'
        '  subgraph p1["/bin"]\n    p1m0["1: /n/alpha/bin"]\n    p1m1["2: /bin (itself)"]\n'
        '    p1m2["3: /usr/local/bin #45;c"]\n    p1m3["4: /n/beta/bin #45;c"]\n  end\n'
    )
    assert '  o1(["9P server: tcp#33;alpha#33;564"])\n' in text
    assert text.endswith("  p4m0 ==> o2\n  p5m0 ==> o4\n")


@given(spaces)
def test_names_cannot_end_a_string_of_mermaid(space: Space) -> None:
    for line in mermaid(space).splitlines():
        assert re.fullmatch(r'[\w\s#=>:,-]*(\(?\["[^"\[\]{}<>|;]*(?:#\d+;[^"\[\]{}<>|;]*)*"\]\)?)?', line)
