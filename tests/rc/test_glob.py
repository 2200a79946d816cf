"""glob: patterns match as Plan 9's do, and only where a pattern character was not quoted."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.rc import glob


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("abc", "abc", True),
        ("abc", "abd", False),
        ("a*", "abc", True),
        ("a*", "a", True),
        ("a?c", "abc", True),
        ("??", "abc", False),
        ("*", "", True),
        ("*", ".x", True),
        ("a*", "a/b", True),
        ("*\n*", "a\nb", True),
        ("ABC", "abc", False),
        ("*.tar.*", "foo.tar.gz", True),
        ("a*b*c", "aXbYbZc", True),
        ("a*b*c", "acb", False),
        ("*ab", "aab", True),
        ("[abc]", "b", True),
        ("[abc]", "d", False),
        ("[~abc]", "d", True),
        ("[~abc]", "a", False),
        ("[a-c]x", "bx", True),
        ("[c-a]x", "bx", True),
        ("[~1-5]", "9", True),
        ("[a-ce]", "e", True),
        ("[-]", "-", True),
        ("[-a]", "a", True),
        ("[a~]", "~", True),
        ("[^a]", "^", True),
        ("[.]", "x", False),
        ("[\\]", "\\", True),
        ("[*]", "*", True),
        ("[*]", "x", False),
        ("[[]", "[", True),
        ("é?", "éü", True),
        ("[à-ü]", "é", True),
        ("?", "𝄞", True),
        ("日*", "日本", True),
        ("a.c", "abc", False),
        ("a]", "a]", True),
        ("[~]", "x", True),
    ],
)
def test_unquoted_patterns(pattern: str, text: str, matches: bool) -> None:
    assert glob.match(glob.mark(pattern), text) is matches


@pytest.mark.parametrize("pattern", ["[a-]", "[]]", "[]", "[a", "[", "[~", "[a-", "x[ab"])
@pytest.mark.parametrize("text", ["a", "-", "]", "[", "", "[a-]", "x", "xa", "b", "[]]"])
def test_sets_that_match_nothing_at_all(pattern: str, text: str) -> None:
    assert not glob.match(glob.mark(pattern), text)


@given(st.text(alphabet="ab*?[]-~"), st.text(alphabet="ab*?[]-~"))
def test_quoted_pattern_characters_are_ordinary(pattern: str, text: str) -> None:
    assert glob.match(pattern, text) is (pattern == text)


def test_quoted_and_active_characters_mix() -> None:
    pattern = "*" + glob.mark("*") + "c"  # '*'*c
    assert glob.match(pattern, "*abc")
    assert not glob.match(pattern, "abc")


@given(st.text())
def test_marks_come_out_as_they_went_in(text: str) -> None:
    assert glob.unmark(glob.mark(text)) == text
    assert glob.active(glob.mark(text)) is bool(re.search(r"[*?[]", text))


def _reference(pattern: str, text: str) -> bool:
    """The definition of * and ? as it stands in rc(1), by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_reference(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and _reference(pattern[1:], text[1:])


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=8))
def test_star_and_question_mark_agree_with_their_definition(pattern: str, text: str) -> None:
    assert glob.match(glob.mark(pattern), text) is _reference(pattern, text)


def test_many_stars_take_no_exponential_time() -> None:
    assert not glob.match(glob.mark("a*" * 40 + "b"), "a" * 4000)


class Files:
    """A name space as `expand` sees it: directories and the names in them."""

    def __init__(self, *paths: str) -> None:
        self.paths = set(paths)
        self.asked: list[str] = []

    async def readdir(self, path: str) -> list[str]:
        self.asked.append(path)
        start = "" if path == "." else path.rstrip("/") + "/"
        below = {name[len(start) :].split("/")[0] for name in self.paths if name.startswith(start)} - {""}
        if not below:
            raise NotADirectoryError(path)
        return [".", "..", *below]

    async def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(path.rstrip("/") + "/") for name in self.paths)

    async def expand(self, word: str) -> list[str]:
        return await glob.expand(glob.mark(word), self.readdir, self.exists)


async def test_names_come_sorted_by_bytes_and_no_dot_name_is_hidden() -> None:
    files = Files("b", "a", "B", ".h", "é", "z", "\udcff")
    assert await files.expand("*") == [".h", "B", "a", "b", "z", "é", "\udcff"]
    assert await files.expand(".*") == [".h"]
    assert await files.expand("[~a-z]") == ["B", "é", "\udcff"]


async def test_no_match_leaves_the_text_itself() -> None:
    assert await Files("a").expand("z*/[b]?") == ["z*/[b]?"]
    assert await Files("a").expand("[a") == ["[a"]


async def test_a_word_without_active_characters_is_not_looked_for() -> None:
    files = Files("a")
    assert await glob.expand("*", files.readdir, files.exists) == ["*"]
    assert files.asked == []


async def test_a_slash_matches_only_itself() -> None:
    files = Files("a/x.c", "b/x.c", "b/y.c", "c")
    assert await files.expand("*") == ["a", "b", "c"]
    assert await files.expand("*/*.c") == ["a/x.c", "b/x.c", "b/y.c"]
    assert await files.expand("*/y.c") == ["b/y.c"]
    assert await files.expand("[a/b]*") == ["[a/b]*"]


async def test_a_slash_at_the_end_asks_for_directories() -> None:
    assert await Files("a/x", "b").expand("*/") == ["a/"]


async def test_the_way_to_a_pattern_is_kept_as_it_is_written() -> None:
    files = Files("/lib/a", "lib/b")
    assert await files.expand("/lib/*") == ["/lib/a"]
    assert await files.expand("lib//*") == ["lib//b"]
    assert await files.expand("/*") == ["/lib"]
    assert files.asked == ["/lib", "lib", "/"]
