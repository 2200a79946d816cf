"""Journal: what has happened on this host, in lines, the last of which are kept.

    2026-11-29T14:05:07 0 res 4 host[1-3]
    2026-11-29T14:05:09 - host2 lost

A line begins with the time, here, and the number of the session, if it is about one. What is told may come
from strangers, so that lines are cut. Who has something to tell is not known here.
"""

from __future__ import annotations

import functools
import time
from collections import deque

LINES = 5000
"""Lines that are kept."""
LONGEST = 300
"""Characters of a line, behind the time."""


class Journal:
    """The lines about everything here."""

    def __init__(self) -> None:
        self._said: deque[tuple[float, Diary | None, str]] = deque(maxlen=LINES)

    def tell(self, text: str, about: Diary | None = None) -> None:
        """Add a line, perhaps ``about`` a session."""
        self._said.append((time.time(), about, text[:LONGEST]))

    def text(self, about: Diary | None = None) -> str:
        """All that is kept, or what is kept ``about`` a session."""
        return "".join(_line(*said) for said in self._said if about in (None, said[1]))


def _line(when: float, about: Diary | None, text: str) -> str:
    number = "-" if about is None else about.number
    shown = text if text.isprintable() else "".join(ch if ch.isprintable() else "?" for ch in text)
    return f"{_shown(int(when))} {number} {shown}\n"


@functools.lru_cache(maxsize=1)  # many are of the same second
def _shown(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(second))


class Diary:
    """The lines about one session. Its number may be that of another one later."""

    __slots__ = ("_journal", "number")

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal = journal
        self.number = number

    def tell(self, text: str) -> None:
        """Add a line."""
        self._journal.tell(text, self)

    def text(self) -> str:
        """All that is kept of them."""
        return self._journal.text(self)
