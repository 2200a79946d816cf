"""Numbers: which number a host will give to the next session that is cloned there.

What a session is called is told by its ctl, and to walk there takes one more round trip. But a host gives
away the lowest number that is free (taskfs(3)). Who keeps account of his own knows it beforehand as long as
nobody else has sessions come and go there, and so walks on trust while he still asks for the number.
"""

from __future__ import annotations

import heapq


class Numbers:
    """The numbers of our sessions on one host."""

    def __init__(self) -> None:
        self._trusted = False  # the last one was as expected
        self._next = 0
        self._freed: list[int] = []  # a heap: those below `_next` that are free again
        self._ending: list[int] = []  # of sessions that the host was asked to end, and has not said so

    def expect(self) -> int:
        """The number of the session that is asked for now."""
        if self._freed:
            return heapq.heappop(self._freed)
        self._next += 1
        return self._next - 1

    def sure(self, expected: int) -> bool:
        """Can the session of this number be no other than the one that is asked for now?"""
        return self._trusted and expected not in self._ending

    def learn(self, number: int, expected: int) -> None:
        """It was this one."""
        self._trusted = number == expected
        if not self._trusted:  # somebody else is there: what is below may be his
            self._next = number + 1
            self._freed.clear()

    def free(self, number: int) -> None:
        """This session is given back."""
        if number < self._next:
            heapq.heappush(self._freed, number)
        self._ending.append(number)

    def ended(self, number: int) -> None:
        """The host has said so, or never will."""
        self._ending.remove(number)
