"""Deal: lines of input are given out one by one, each to the next child that has room.

What is for the same child is put together: a round trip for each line would cost more than all the rest. Who
writes, and when the input ends, is not known here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from nsh import errors
from nsh.kern.chan import must_wait
from taskfs.child import Child
from taskfs.spool import Bell

SHARE = 8 << 10
"""Bytes that a child is given at a time, or one line that is longer."""


class Dealer:
    """Deals out what several writers write at the same time, each of whom ends his own lines."""

    def __init__(self) -> None:
        self._begun: dict[object, bytearray] = {}  # what each writer has not ended yet
        self._left: deque[bytearray] = deque()  # the same of writers that have gone
        self._busy: set[Child] = set()  # those that have no room, or may have none
        self._last = -1  # the rank of whom the last line was for
        self._bell = Bell()

    async def deal(self, writer: object, data: bytes, children: Sequence[Child]) -> None:
        """Give out the lines that ``data`` ends. Errors: `Ewclosed` when no child takes any."""
        begun = self._begun.pop(writer, None)
        if begun is None:
            begun = self._left.popleft() if self._left else bytearray()
        looked = len(begun)
        begun += data
        end = begun.rfind(b"\n", looked) + 1
        if end < len(begun):
            self._begun[writer] = begun[end:]
        await self._give_out(bytes(begun[:end]).split(b"\n")[:-1], b"\n", children)

    def leave(self, writer: object) -> None:
        """The writer has gone; who begins a line next goes on with what he has not ended."""
        begun = self._begun.pop(writer, None)
        if begun is not None:
            self._left.append(begun)

    async def finish(self, children: Sequence[Child]) -> None:
        """Give out what nobody has ended; the last of it stays as it is. Errors: as of `deal`."""
        for writer in list(self._begun):
            self.leave(writer)
        if self._left:
            *others, last = map(bytes, self._left)
            self._left.clear()
            await self._give_out(others, b"\n", children)
            await self._give_out([last], b"", children)

    async def _give_out(self, lines: Sequence[bytes], end: bytes, children: Sequence[Child]) -> None:
        """Give out lines, with ``end`` behind each of them."""
        todo, takers = deque(lines), list(children)
        writing: dict[asyncio.Future[int], tuple[Child, list[bytes]]] = {}
        try:
            while todo or writing:
                if todo and not takers:
                    raise errors.Ewclosed()
                shares = self._shares(todo, takers)
                for child, share in shares.items():
                    try:
                        task = self._write(child, b"".join(line + end for line in share))
                    except OSError:
                        _take_back(child, share, todo, takers)
                        continue
                    if task is not None:
                        writing[task] = child, share
                if not shares:
                    await self._bell.wait()
                for task in [task for task in writing if task.done()]:
                    child, share = writing.pop(task)
                    if isinstance(task.exception(), OSError):
                        _take_back(child, share, todo, takers)
                    else:
                        task.result()
        finally:
            for task in writing:
                task.cancel()

    def _shares(self, todo: deque[bytes], takers: list[Child]) -> dict[Child, list[bytes]]:
        """What each child that has room gets now, of what is taken from ``todo``."""
        free = [child for child in takers if child not in self._busy]
        ring = deque(sorted(free, key=lambda child: (child.rank <= self._last, child.rank)))
        shares: dict[Child, list[bytes]] = {}
        sizes: dict[Child, int] = {}
        while todo and ring:
            child, line = ring.popleft(), todo.popleft()
            shares.setdefault(child, []).append(line)
            sizes[child] = sizes.get(child, 0) + len(line) + 1
            if sizes[child] < SHARE:
                ring.append(child)
            self._last = child.rank
        return shares

    def _write(self, child: Child, data: bytes) -> asyncio.Future[int] | None:
        """Begin to give a child ``data``; None if it has taken it. Errors: those of the child."""
        taken = child.write("stdin", data)
        if not must_wait(taken):
            return None

        def free(_: object) -> None:
            self._busy.discard(child)
            self._bell.ring()

        self._busy.add(child)
        task = asyncio.ensure_future(taken)
        task.add_done_callback(free)
        return task


def _take_back(child: Child, share: list[bytes], todo: deque[bytes], takers: list[Child]) -> None:
    """The child has not taken its share, and takes no more: it is for others."""
    takers.remove(child)
    todo.extendleft(reversed(share))
