"""What was recorded against what was printed: when they agree, where they differ, how to record it anew.

Blanks count as little as they do for a reader of a web page: a run of them equals any other, and lines of
nothing else are not there. A `Substitution` is what ``# where`` lines say: a text of the file stands for a
value of this run, or for any one word. Everything here is text in, text out; what the lines of a file are is
script.py's business, and what a shell printed is world.py's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

__all__ = ["ELLIPSIS", "Edit", "Substitution", "differences", "fits", "rewrite", "without_count"]

ELLIPSIS: Final = "..."
"""The recorded line that stands for any number of lines, none included."""

_COUNT = re.compile(r"\d+ director(y|ies)(, \d+ files?)?")


class Edit(NamedTuple):
    """The recorded lines `start` to `end` (as in a slice) have to become `printed`."""

    start: int
    end: int
    printed: list[str]


_NAME = r"[\w.-]"
"""What makes a path that goes on behind a directory one of a file in it, or of another directory."""


def _bounded(text: str, in_paths: bool) -> str:
    """A regular expression for ``text`` where it is not a part of a longer name.

    Nor may it be a part of a path, unless it is a path itself or `in_paths`.
    """
    slash = "" if in_paths or "/" in text else "/"
    before = rf"(?<![\w.{slash}-])" if re.match(r"[\w/]", text) else ""
    after = rf"(?![\w{slash}-]|\.\w)" if re.search(r"[\w/]$", text) else ""
    return f"{before}{re.escape(text)}{after}"


def _directory(text: str, typed: bool) -> str:
    """A regular expression for a directory written with a slash at its end, as the root of a host may be.

    The slash belongs to it, unless a path leads on from there. Who types it may leave the slash out.
    """
    name, slashes = text.rstrip("/"), text[len(text.rstrip("/")) :]
    before = r"(?<![\w.-])" if re.match(r"[\w/]", text) else ""
    without = rf"(?!{_NAME})" if typed else rf"(?=/+{_NAME})"
    return f"{before}{re.escape(name)}(?:{slashes}(?!/*{_NAME})|{without})"


class Substitution:
    """All that stands for something else in one transcript: pairs of a text and what it stands for.

    That is a value, or None for any one word. The longest text wins, and of several with one value the first
    is what the value is recorded as.
    """

    def __init__(self, wheres: Sequence[tuple[str, str | None]] = ()) -> None:
        self._any: set[str] = set()
        self._values: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        for text, value in wheres:
            if value is None:
                self._any.add(text)
                continue
            if text.endswith("/"):
                value = value.rstrip("/") or value
            self._values.setdefault(text, value)
            if value:
                self._texts.setdefault(value, text)
        self._directories = [text for text in self._values if text.rstrip("/") not in (text, "")]
        for text in self._directories:
            self._values.setdefault(text.rstrip("/"), self._values[text])
        texts = [text for text, _ in wheres]
        self._forward = _alternatives(texts, lambda text: self._expression(text, typed=False))
        self._typed = _alternatives(texts, lambda text: self._expression(text, typed=True))
        self._backward = _alternatives(self._texts, self._value_expression)

    def _expression(self, text: str, typed: bool) -> str:
        if text in self._directories:
            return _directory(text, typed)
        return _bounded(text, text in self._any or "/" in self._values[text])

    def _value_expression(self, value: str) -> str:
        """As a directory it is recorded with a slash, behind which a dot would be the name of a file."""
        dot = r"(?!\.)" if self._texts[value] in self._directories else ""
        return _bounded(value, in_paths=False) + dot

    def expand(self, text: str) -> str:
        """A command of the file as it is meant in this run; what stands for any word is left as it is."""
        return self._read(self._typed, text)

    def _read(self, texts: re.Pattern[str] | None, text: str) -> str:
        return texts.sub(lambda match: self._value(match[0]) or match[0], text) if texts else text

    def record(self, text: str) -> str:
        """A text of this run as the file writes it: `expand` undone.

        It is left as it is where that would be read as something else: a value and what follows it may
        look like a longer text.
        """
        if self._backward is None:
            return text

        def recorded(match: re.Match[str]) -> str:
            found = self._texts[match[0]]
            leads_on = re.compile(f"/+{_NAME}").match(text, match.end())
            return found.rstrip("/") if found in self._directories and leads_on else found

        written = self._backward.sub(recorded, text)
        return written if self._read(self._forward, written) == text else text

    def _value(self, text: str) -> str | None:
        return None if text in self._any else self._values.get(text)

    def pattern(self, word: str) -> str:
        """The regular expression for what a recorded word may be in this run."""
        parts, end = [], 0
        for match in self._forward.finditer(word) if self._forward else ():
            value = self._value(match[0])
            parts += [re.escape(word[end : match.start()]), r"\S+" if value is None else re.escape(value)]
            end = match.end()
        return "".join([*parts, re.escape(word[end:])])

    def is_any(self, word: str) -> bool:
        """Does ``word``, or a part of it, stand for any word?"""
        return self._forward is not None and any(m[0] in self._any for m in self._forward.finditer(word))


def _alternatives(texts: Iterable[str], expression: Callable[[str], str]) -> re.Pattern[str] | None:
    """The regular expression for any of ``texts``, the longest first."""
    each = [f"(?:{expression(text)})" for text in sorted(set(texts), key=len, reverse=True)]
    return re.compile("|".join(each)) if each else None


class _Line:
    """A recorded line, ready to be compared. `key` is equal for lines that ask for the same."""

    __slots__ = ("_regex", "key")

    def __init__(self, text: str, where: Substitution) -> None:
        self.key = text if text == ELLIPSIS else r"\ ".join(map(where.pattern, text.split()))
        self._regex = re.compile(self.key) if r"\S+" in self.key else None

    @property
    def loose(self) -> bool:
        """Is there a word in it that stands for any?"""
        return self._regex is not None

    def fits(self, printed: str) -> bool:
        """Does it agree with a printed line, given as `_words` does?"""
        if self._regex is not None:
            return self._regex.fullmatch(printed) is not None
        return self.key == re.escape(printed)


def _words(printed: str) -> str:
    """A line with one space for each run of blanks."""
    return " ".join(printed.split())


def without_count(recorded: Sequence[str], printed: Sequence[str]) -> Sequence[str]:
    """``printed`` by tree, without its closing count where the recording leaves that out."""
    if printed and _COUNT.fullmatch(printed[-1].strip()):
        last = next((line for line in reversed(recorded) if line.strip()), "")
        if not _COUNT.fullmatch(last.strip()):
            return printed[:-1]
    return printed


def _lines(printed: Sequence[str]) -> list[str]:
    return [line for line in printed if line.strip()]


def fits(recorded: Sequence[str], printed: Sequence[str], where: Substitution) -> bool:
    """Does ``printed`` agree with ``recorded``, none of whose lines is blank?"""
    shown = [_words(line) for line in _lines(printed)]
    parts: list[list[_Line]] = [[]]
    for text in recorded:
        if text == ELLIPSIS:
            parts.append([])
        else:
            parts[-1].append(_Line(text, where))

    def at(start: int, part: list[_Line]) -> bool:
        return all(line.fits(shown[start + i]) for i, line in enumerate(part))

    first, *middle = parts
    if not middle:
        return len(shown) == len(first) and at(0, first)
    last = middle.pop()
    position, end = len(first), len(shown) - len(last)
    if position > end or not at(0, first) or not at(end, last):
        return False
    for part in middle:  # each where it first fits: that leaves the most for those behind it
        start = next((n for n in range(position, end - len(part) + 1) if at(n, part)), None)
        if start is None:
            return False
        position = start + len(part)
    return True


def differences(recorded: Sequence[str], printed: Sequence[str], where: Substitution) -> list[Edit]:
    """What has to change in ``recorded``, which does not fit ``printed``, to make it fit.

    Lines that agree stay, and so does an ELLIPSIS as long as it alone stands for what is in its place. Lines
    are taken to be in their places, where as many are printed as were recorded and half of them agree so:
    of several that are alike, the one that was changed is named. Else the longest runs that agree stay.
    """
    expected, shown = [_Line(text, where) for text in recorded], _lines(printed)
    words = [_words(line) for line in shown]
    if len(expected) == len(words) and ELLIPSIS not in recorded:
        wrong = [n for n, line in enumerate(expected) if not line.fits(words[n])]
        if 2 * len(wrong) <= len(words):
            return [Edit(n, n + 1, [shown[n]]) for n in wrong]
    start, end = _agreeing_ends(expected, words)
    middle, words = expected[start : len(expected) - end], words[start : len(words) - end]
    edits = []
    for what, first, last, low, high in _opcodes(middle, words):
        stands = first < last and all(line.key == ELLIPSIS for line in middle[first:last])
        if what != "equal" and not stands:
            edits.append(Edit(start + first, start + last, shown[start + low : start + high]))
    return edits


def _agreeing_ends(expected: Sequence[_Line], words: Sequence[str]) -> tuple[int, int]:
    """How many lines agree from the beginning on, none of them an ELLIPSIS, and how many up to the end."""

    def agreeing(pairs: Iterable[tuple[_Line, str]]) -> int:
        agree = (line.key != ELLIPSIS and line.fits(text) for line, text in pairs)
        return sum(takewhile(bool, agree))

    start = agreeing(zip(expected, words, strict=False))
    return start, agreeing(zip(reversed(expected[start:]), reversed(words[start:]), strict=False))


def _opcodes(expected: Sequence[_Line], words: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """How the lines become those that were printed, as `difflib` says it."""
    keys = [line.key for line in expected]
    loose = [line for line in expected if line.loose]

    def key(text: str) -> str:
        """The key of a recorded line that agrees, or one that no recorded line has."""
        exact = re.escape(text)
        return exact if exact in keys else next((line.key for line in loose if line.fits(text)), exact)

    return difflib.SequenceMatcher(None, keys, [key(text) for text in words], autojunk=False).get_opcodes()


def _shape(word: str) -> str:
    """A word with each number and each run of letters made the same: dates look like dates."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", word))


def rewrite(printed: str, like: Iterable[str], where: Substitution) -> str:
    """The line to record for ``printed``: values become what stands for them in the file.

    A word for which the file has a word that stands for any is replaced by that one, so that a date is not
    recorded as if it mattered. Which word that is, is seen from the lines in ``like``: the first one with as
    many words, and with such a word in the same place that looks alike.
    """
    words = re.split(r"(\s+)", printed.rstrip())
    texts = {index: word for index, word in enumerate(words) if word.strip()}
    kept: dict[int, str] = {}
    for line in like:
        others = line.split()
        if len(others) != len(texts):
            continue
        for (index, word), other in zip(texts.items(), others, strict=True):
            if index not in kept and where.is_any(other) and _shape(word) == _shape(other):
                kept[index] = other
    # What is kept must not be taken for a value, so that only the pieces between are recorded.
    pieces, end = [], 0
    for index, word in sorted(kept.items()):
        pieces += [where.record("".join(words[end:index])), word]
        end = index + 1
    return "".join([*pieces, where.record("".join(words[end:]))])
