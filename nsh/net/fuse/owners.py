"""Users and groups: 9P has names, Linux has numbers.

A name that this machine knows has its number here. All others are shown as whoever mounted, and so is a
number that the user name space has no place for: Linux would let nobody use such a file.
"""

from __future__ import annotations

import grp
import os
import pwd

from nsh.p9.stat import Dir


class Owners:
    """The numbers of the owners of files, as this process may see them."""

    def __init__(self) -> None:
        self._me, self._mine = os.getuid(), os.getgid()
        self._uids, self._gids = _mapped("uid"), _mapped("gid")
        self._known: dict[tuple[str, str], tuple[int, int]] = {}
        self._mapped: dict[tuple[int, int], tuple[int, int]] = {}

    def numbers(self, d: Dir) -> tuple[int, int]:
        """The uid and the gid of a file."""
        key = (d.uid, d.gid)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = (self._uid(d.uid), self._gid(d.gid))
        return found

    def _uid(self, name: str) -> int:
        try:
            uid = int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):
            return self._me
        return self.mapped(uid, self._mine)[0]

    def _gid(self, name: str) -> int:
        try:
            gid = int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return self._mine
        return self.mapped(self._me, gid)[1]

    def mapped(self, uid: int, gid: int) -> tuple[int, int]:
        """The numbers that the host has for the owners of a file, as the user name space has them."""
        key = (uid, gid)
        found = self._mapped.get(key)
        if found is None:
            found = self._mapped[key] = (
                uid if _within(uid, self._uids) else self._me,
                gid if _within(gid, self._gids) else self._mine,
            )
        return found

    def group(self, gid: int) -> str:
        """What a group is called."""
        try:
            return grp.getgrgid(gid).gr_name
        except KeyError:
            return str(gid)


def _mapped(kind: str) -> list[tuple[int, int]]:
    """The numbers that exist in our user name space: the first of each range, and how many."""
    with open(f"/proc/self/{kind}_map") as file:
        return [(int(first), int(count)) for first, _, count in map(str.split, file)]


def _within(number: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= number < first + count for first, count in ranges)
