"""Users and groups: 9P has names, Linux has numbers.

A name that this machine knows has its number here. All others are shown as whoever mounted, and so is a
number that the user name space has no place for: Linux would let nobody use such a file.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat

from nsh.p9.stat import Dir


class Owners:
    """The numbers of the owners of files, as they may be seen where the files are.

    ``alone``: that is a user name space which has nobody but this user. Linux does not let him change there
    what is nobody's; so a file of others that he may be able to write is shown as his, and his own as of his
    own group.
    """

    def __init__(self, alone: bool = False) -> None:
        self._alone = alone
        self._me, self._mine = os.getuid(), os.getgid()
        self._uids, self._gids = _mapped("uid"), _mapped("gid")
        self._known: dict[tuple[str, str], tuple[int, int]] = {}
        self._seen: dict[tuple[int, int, int], tuple[int, int]] = {}

    def numbers(self, d: Dir) -> tuple[int, int]:
        """The uid and the gid of a file."""
        key = (d.uid, d.gid)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = (self._uid(d.uid), self._gid(d.gid))
        return self.seen(*found, d.mode)

    def _uid(self, name: str) -> int:
        try:
            return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):
            return self._me

    def _gid(self, name: str) -> int:
        try:
            return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return self._mine

    def seen(self, uid: int, gid: int, mode: int) -> tuple[int, int]:
        """How the owners of a file of this mode are shown that have these numbers on the host."""
        key = (uid, gid, 0 if stat.S_ISLNK(mode) else mode & 0o022)
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._shown(*key)
        return found

    def _shown(self, uid: int, gid: int, writable: int) -> tuple[int, int]:
        if self._alone:
            return (self._me, self._mine) if writable or uid == self._me else (uid, gid)
        return uid if _within(uid, self._uids) else self._me, gid if _within(gid, self._gids) else self._mine

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
