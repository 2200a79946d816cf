"""Journal: what has happened, in lines, the last of which are kept: for this host, and for each session.

    2026-11-29T14:05:07 0 res 4 host[1-3]
    2026-11-29T14:05:09 - host2 lost

A line begins with the time, here, and the number of the session, if it is about one. What is told may come
from strangers, so that lines are cut. Who has something to tell is not known here.
"""

from __future__ import annotations

import time
from collections import deque

LINES = 5000
"""Lines of the host that are kept."""
OWN = 500
"""Lines of a session that are kept."""
LONGEST = 300
"""Characters of a line, behind the time."""


class Journal:
    """The lines about everything here."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)

    def tell(self, text: str, number: int | None = None) -> str:
        """Add a line, perhaps about the session ``number``; returns it."""
        about = "-" if number is None else number
        shown = "".join(ch if ch.isprintable() else "?" for ch in text[:LONGEST])
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {about} {shown}\n"
        self._lines.append(line)
        return line

    def text(self) -> str:
        """All that is kept."""
        return "".join(self._lines)


class Diary:
    """The lines about one session, which are lines of ``journal``, too."""

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal = journal
        self._number = number
        self._lines: deque[str] = deque(maxlen=OWN)

    def tell(self, text: str) -> None:
        """Add a line."""
        self._lines.append(self._journal.tell(text, self._number))

    def text(self) -> str:
        """All that is kept."""
        return "".join(self._lines)
