"""How times, durations and directories are shown where there is little room."""

from __future__ import annotations

import time

from nsh.rc.lex import visible, width

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
NEWLINE = " \N{DOWNWARDS ARROW WITH CORNER LEFTWARDS} "

_UNITS = ((60, "s"), (60, "m"), (24, "h"), (7, "d"), (52, "w"))


def age(seconds: float) -> str:
    """How long ago, in four characters at most: ``now``, ``5m``, ``3d``, ``2y``."""
    if seconds < 10:
        return "now"
    for length, unit in _UNITS:
        if seconds < length:
            return f"{int(seconds)}{unit}"
        seconds /= length
    return f"{min(int(seconds), 999)}y"


def duration(seconds: float) -> str:
    """How long something took: ``12ms``, ``3.1s``, ``2m05s``, ``1h02m``."""
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes = int(seconds) // 60
    return f"{minutes}m{int(seconds) % 60:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def date(when: float) -> str:
    """A point in time, as the clock on the wall has it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
    except (OverflowError, ValueError, OSError):
        return "?"


def directory(path: str, home: str, columns: int) -> str:
    """A directory: ``~`` for the one at home, and only its last parts if it is too long."""
    if home not in ("", "/") and (path == home or path.startswith(home + "/")):
        path = "~" + path[len(home) :]
    path = visible(path)
    if len(path) <= columns:
        return path
    parts = path.split("/")
    while len(parts) > 1 and len("/".join(parts)) + 2 > columns:
        del parts[0]
    shown = f"{ELLIPSIS}/{'/'.join(parts)}"
    return shown if len(shown) <= columns else ELLIPSIS + shown[max(2, len(shown) - columns + 1) :]


def clipped(text: str, columns: int) -> str:
    """The beginning of a text, no wider than that; what the terminal would not show as it is is escaped."""
    text = visible(text.replace("\n", NEWLINE))
    room = columns
    for at, char in enumerate(text):
        room -= width(char)
        if room < 0:
            return text[: max(0, at - 1)] + ELLIPSIS
    return text


def padded(text: str, columns: int) -> str:
    """The text in exactly so many columns."""
    text = clipped(text, columns)
    return text + " " * (columns - sum(map(width, text)))
