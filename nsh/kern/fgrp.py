"""Fgrp: a table of open files, numbered from 0, that a group of processes shares."""

from __future__ import annotations

from nsh import errors
from nsh.kern.chan import Chan

FDMAX = 65536
"""Most descriptors of one group."""


class Fgrp:
    """File descriptors: small numbers that stand for open Chans."""

    __slots__ = ("_chans", "users")

    def __init__(self) -> None:
        self._chans: list[Chan | None] = []
        self.users = 1

    def get(self, fd: int) -> Chan:
        """The open file ``fd``. Errors: `Ebadfd`."""
        try:
            c = self._chans[fd] if fd >= 0 else None
        except IndexError:
            c = None
        if c is None:
            raise errors.Ebadfd()
        return c

    def new(self, c: Chan) -> int:
        """Enter an open Chan, whose reference is taken over, at the lowest free number."""
        for fd, slot in enumerate(self._chans):
            if slot is None:
                self._chans[fd] = c
                return fd
        if len(self._chans) >= FDMAX:
            raise errors.Enofd()
        self._chans.append(c)
        return len(self._chans) - 1

    def put(self, fd: int, c: Chan) -> None:
        """Enter an open Chan, whose reference is taken over, at ``fd``; what was there is closed."""
        if not 0 <= fd < FDMAX:
            raise errors.Ebadfd()
        while len(self._chans) <= fd:
            self._chans.append(None)
        old, self._chans[fd] = self._chans[fd], c
        if old is not None:
            old.close()

    def close(self, fd: int) -> None:
        """Errors: `Ebadfd`."""
        c = self.get(fd)
        self._chans[fd] = None
        c.close()

    def fork(self) -> Fgrp:
        """A table of its own with the same open files (RFFDG)."""
        child = Fgrp()
        child._chans = [c.incref() if c is not None else None for c in self._chans]
        return child

    def release(self) -> None:
        """One process less uses this table; with the last one all files are closed."""
        self.users -= 1
        if self.users == 0:
            chans, self._chans = self._chans, []
            for c in chans:
                if c is not None:
                    c.close()

    def items(self) -> list[tuple[int, Chan]]:
        """(number, Chan) of every open file, in the order of the numbers."""
        return [(fd, c) for fd, c in enumerate(self._chans) if c is not None]
