"""Watch: which of many descriptors have something to read, found out with one that the event loop watches.

Most tasks print little, and soon: to enter each of their pipes into the loop, to have a handle for every time
it has something, and to take it out again would cost more than to read them.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable


class Watch:
    """Descriptors, and what is to be called when they can be read."""

    def __init__(self) -> None:
        self._readers: dict[int, Callable[[], None]] = {}
        self._epoll: select.epoll | None = None
        self._wanted = False

    def open(self) -> None:
        """Be ready for `add`. Errors: OSError."""
        self._wanted = True
        if self._epoll is None:
            self._epoll = select.epoll()

    def close(self) -> None:
        """Nothing will be added soon: once there is nothing to watch any more, keep nothing open."""
        self._wanted = False
        if self._epoll is not None and not self._readers:
            self._epoll.close()
            self._epoll = None

    def add(self, fd: int, readable: Callable[[], None]) -> None:
        """Call ``readable`` from now on whenever there is something to read, or the end. Errors: OSError."""
        assert self._epoll is not None
        if fd not in self._readers:
            self._epoll.register(fd, select.EPOLLIN)
            if not self._readers:
                asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)
            self._readers[fd] = readable

    def remove(self, fd: int) -> None:
        """Call nobody any more for this one, which is still open."""
        assert self._epoll is not None
        if self._readers.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            if not self._readers:
                asyncio.get_running_loop().remove_reader(self._epoll.fileno())
                if not self._wanted:
                    self.close()

    def _look(self) -> None:
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(0):
            readable = self._readers.get(fd)
            if readable is not None:
                readable()
