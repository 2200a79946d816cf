"""Abbreviations: words that become longer ones when they are typed as the name of a command."""

from __future__ import annotations

from collections.abc import Mapping

from nsh.rc.line.place import PLAIN, Role, place


def expanded(text: str, cursor: int, abbreviations: Mapping[str, str]) -> tuple[str, int] | None:
    """The text and the cursor once the word before it is expanded; None if it is no abbreviation."""
    if not abbreviations:
        return None
    where = place(text, cursor)
    if where.role is not Role.COMMAND or len(where.pieces) != 1 or where.pieces[0].kind != PLAIN:
        return None
    expansion = abbreviations.get(where.pieces[0].text)
    if expansion is None or (cursor < len(text) and text[cursor].isalnum()):
        return None
    return text[: where.start] + expansion + text[cursor:], where.start + len(expansion)
