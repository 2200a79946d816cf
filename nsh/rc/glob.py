"""Patterns: ``*``, ``?`` and ``[set]``, against strings and against the names in directories.

A pattern character counts only where it stood unquoted in the source (rc(1)): the value of a variable
never becomes a pattern. So a word carries its marks with it while it is evaluated and concatenated:
each active ``*``, ``?`` and ``[`` is preceded by `MARK`, a lone surrogate that no decoded text can hold
(UTF-8 has no surrogates, and ``surrogateescape`` only makes U+DC80 to U+DCFF). `mark` puts the marks in,
when the word is read; `unmark` takes them out, when no pattern is wanted. Concatenating marked strings
needs no care at all.

What lives here is matching and the walk over directories. No file is touched: the caller hands in the
two questions that have to be asked of a name space. Nothing here knows about trees or variables.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache

__all__ = ["MARK", "active", "expand", "mark", "match", "unmark"]

MARK = "\ud800"

_MARKED = {ord(char): MARK + char for char in "*?["}
_CHARACTER = f"(?s){MARK}([*?[])|([^{MARK}])"
_NEVER = "(?!)"


def mark(text: str) -> str:
    """Unquoted source text, with its pattern characters marked as active."""
    return text.translate(_MARKED)


def unmark(word: str) -> str:
    """The plain text of a word: what it is when it is not a pattern."""
    return word.replace(MARK, "")


def active(word: str) -> bool:
    """Does the word hold a pattern character that counts?"""
    return MARK in word


def match(pattern: str, text: str) -> bool:
    """Does the marked `pattern` match the whole of `text`? ``/`` and dots are ordinary, as for ``~``."""
    if MARK not in pattern:
        return pattern == text
    return _compile(pattern)(text) is not None


async def expand(
    word: str,
    readdir: Callable[[str], Awaitable[list[str]]],
    exists: Callable[[str], Awaitable[bool]],
) -> list[str]:
    """The file names that a marked word stands for, sorted by bytes; the plain word when there are none.

    ``/`` matches only itself. Names that begin with a dot are as good as any other: Plan 9 hides nothing,
    but ``.`` and ``..`` are no entries. `readdir` is given a path (``.`` for an empty one) and may raise
    OSError, which means no names; `exists` must be false for ``file/`` when file is no directory.
    """
    if MARK not in word:
        return [word]
    parts = word.split("/")
    found = [""]
    for number, part in enumerate(parts):
        slash = "/" if number + 1 < len(parts) else ""
        if MARK in part:
            found = [head + name + slash for head in found for name in await _names(head, part, readdir)]
        else:
            found = [head + part + slash for head in found]
    if MARK not in parts[-1]:
        found = [name for name in found if await exists(name)]
    return sorted(found, key=_bytes) or [unmark(word)]


async def _names(directory: str, pattern: str, readdir: Callable[[str], Awaitable[list[str]]]) -> list[str]:
    try:
        names = await readdir(directory.rstrip("/") or directory[:1] or ".")
    except OSError:
        return []
    matches = _compile(pattern)
    return [name for name in names if name not in (".", "..") and matches(name)]


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=512)
def _compile(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """A regular expression for the pattern, in time linear in the text for each ``*``.

    After a ``*`` the first place where the rest up to the next ``*`` fits is as good as any later one,
    so it is found once and not reconsidered: that is what the atomic group says.
    """
    chars = [(m[1] or m[2], m[1] is not None) for m in re.finditer(_CHARACTER, pattern)]
    pieces = [""]
    pos = 0
    while pos < len(chars):
        char, is_active = chars[pos]
        pos += 1
        if not is_active:
            pieces[-1] += re.escape(char)
        elif char == "*":
            pieces.append("")
        elif char == "?":
            pieces[-1] += "."
        else:
            one, pos = _set([char for char, _ in chars], pos)
            pieces[-1] += one
    first, *rest = pieces
    regex = first + "".join(f"(?>.*?{piece})" for piece in rest[:-1]) + "".join(f".*{p}" for p in rest[-1:])
    return re.compile(regex, re.DOTALL).fullmatch


def _set(chars: list[str], pos: int) -> tuple[str, int]:
    """The expression for the set that begins after its ``[`` at `pos`, and where the pattern goes on.

    As in Plan 9, ``-`` takes whatever follows it as the end of a range, a closing bracket too; a set that
    is never closed matches nothing, nor does the empty one. A range may be written backwards.
    """
    complement = chars[pos : pos + 1] == ["~"]
    pos += complement
    members = ""
    while pos < len(chars) and chars[pos] != "]":
        low = high = chars[pos]
        pos += 1
        if chars[pos : pos + 1] == ["-"]:
            if pos + 1 >= len(chars):
                return _NEVER, len(chars)
            high = chars[pos + 1]
            pos += 2
        members += f"{re.escape(min(low, high))}-{re.escape(max(low, high))}"
    if pos >= len(chars):
        return _NEVER, pos
    if not members:
        return ("." if complement else _NEVER), pos + 1
    return f"[{'^' if complement else ''}{members}]", pos + 1
