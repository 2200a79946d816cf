"""Reading a union directory: its members one after the other, as they are while it is read.

The list of members is the live one, addressed by index, as in both systems: a member mounted or
unmounted in the meantime is seen or skipped. Nothing is merged, sorted or left out, and one read
never gives entries of two members. A member that cannot be opened or read is passed over. Reading
at offset 0 starts again with the first member.
"""

from __future__ import annotations

from collections.abc import Callable

from nsh import errors
from nsh.kern.chan import Chan, Key, settle
from nsh.kern.pgrp import Pgrp
from nsh.p9.const import OREAD


class Union:
    """The reading position in one open union directory; ``member`` is the one being read, open."""

    __slots__ = ("_index", "_key", "_pgrp", "member", "prepare")

    def __init__(self, pgrp: Pgrp, key: Key) -> None:
        self._pgrp = pgrp
        self._key = key
        self._index = 0
        self.member: Chan | None = None
        self.prepare: Callable[[Chan], None] = _nothing  # is told of each member that was opened

    async def read(self, count: int, offset: int) -> bytes:
        """At most ``count`` bytes of packed stat entries; empty at the end of the last member."""
        if offset == 0:
            self._leave()
            self._index = 0
        while (member := await self._open()) is not None:
            try:
                data = await settle(member.dev.read(member, count, member.offset))
            except errors.Ecount:
                raise
            except OSError:
                data = b""
            if data:
                member.offset += len(data)
                return bytes(data)
            self._leave()
            self._index += 1
        return b""

    async def after(self, member: Chan | None) -> Chan | None:
        """The member behind ``member``, which is closed, or the first one; None behind the last one."""
        self._leave()
        self._index = 0 if member is None else self._index + 1
        return await self._open()

    async def _open(self) -> Chan | None:
        """The member to read from, opened if it is not yet; None behind the last one."""
        while self.member is None:
            head = self._pgrp.find_key(self._key)
            if head is None or self._index >= len(head.mounts):
                return None
            to = head.mounts[self._index].to
            try:
                copy = await clone(to)
                self.member = await settle(copy.dev.open(copy, OREAD))
                self.member.mode = OREAD
                self.prepare(self.member)
            except OSError:
                self._index += 1
        return self.member

    def _leave(self) -> None:
        member, self.member = self.member, None
        if member is not None:
            member.close()

    def close(self) -> None:
        """The directory is closed: let go of the member that was being read."""
        self._leave()


def _nothing(member: Chan) -> None:
    """The entries of a union are read as the devices give them."""


async def clone(c: Chan) -> Chan:
    """A Chan of its own for the same file (walk with no names). Errors: `Ecloned` when it is gone."""
    try:
        copy, _ = await settle(c.dev.walk(c, []))
    except OSError:
        raise errors.Ecloned() from None
    if copy is None:
        raise errors.Ecloned()
    copy.path = c.path
    copy.mchan = c.mchan
    return copy
