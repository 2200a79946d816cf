"""Pgrp: a name space, that is a table of mount points which a group of processes shares.

bind(2) and mount(2) put Chans into the table, `nsh.kern.namec` consults it for every name. The
table is keyed by file, never by name. A fork shares it until either side changes something: it
costs the same for one mount and for ten thousand.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from nsh import errors
from nsh.kern.chan import Chan, Key
from nsh.kern.mnt import (
    MAFTER,
    MBEFORE,
    MCREATE,
    MMASK,
    MORDER,
    Mhead,
    Mount,
    next_mountid,
)
from nsh.p9.const import QTDIR

_next_pgrpid = itertools.count(1).__next__


class Pgrp:
    """A name space group. ``nodevs``: RFNOMNT, only harmless devices may be attached by name."""

    __slots__ = ("_borrowed", "_table", "id", "nodevs")

    linux = False
    """Is it Linux that looks, for programs of the host, by the rules of the host alone?"""

    def __init__(self) -> None:
        self.id = _next_pgrpid()
        self.nodevs = False
        self._table: dict[Key, Mhead] = {}
        self._borrowed = False

    def __len__(self) -> int:
        """The number of mount points."""
        return len(self._table)

    def fork(self) -> Pgrp:
        """A copy with the same mounts; changes on one side are not seen on the other (RFNAMEG)."""
        child = Pgrp()
        child.nodevs = self.nodevs
        child._table = self._table
        child._borrowed = self._borrowed = True
        return child

    def find(self, c: Chan) -> Mhead | None:
        """The mount head that covers this file, if it is a mount point."""
        return self._table.get((c.dev, c.instance, c.qid.path))

    def find_key(self, key: Key) -> Mhead | None:
        """`find`, for a file of which no Chan was made."""
        return self._table.get(key)

    def mount(self, new: Chan, old: Chan, flag: int, spec: str = "") -> int:
        """Let ``new`` be seen at ``old``, as bind(2) says; returns the mount id (> 0).

        If ``new`` was itself named as a mount point (``new.head``), the other members of its union
        come along, as they are now. Errors: `Emount`, `Ebadarg`.
        """
        if flag & ~MMASK or flag & MORDER == MORDER:
            raise errors.Ebadarg()
        directory = bool(new.qid.type & QTDIR)
        if directory != bool(old.qid.type & QTDIR) or (flag & MORDER and not directory):
            raise errors.Emount()
        carried = new.head.mounts if new.head is not None else ()
        if carried:
            spec = carried[0].spec
        if flag & MCREATE and carried and (len(carried) > 1 or not carried[0].flag & MCREATE):
            raise errors.Emount()

        order = flag & MORDER
        head = self.find(old) or Mhead(old, (Mount(old, 0, "", next_mountid()),) if order else (), 0)
        top = Mount(new, flag, spec, next_mountid())
        more = tuple(m._replace(flag=order or MAFTER, id=next_mountid()) for m in carried[1:])
        if order == MBEFORE:
            members = (top, *more, *head.mounts)
        elif order == MAFTER:
            members = (*head.mounts, top, *more)
        else:
            members = (top, *more)
        self._own()[old.key] = Mhead(head.covered, members, (top, *more)[-1].id)
        return top.id

    def unmount(self, old: Chan, new: Chan | None = None) -> None:
        """Uncover ``old``, or take the first member that is ``new`` away from it (unmount(2)).

        ``new`` may also be the connection over which a member was mounted. Errors: `Eunmount`,
        `Eunion`.
        """
        head = self.find(old)
        if head is None:
            raise errors.Eunmount()
        left: tuple[Mount, ...] = ()
        gone = head.mounts
        if new is not None:
            which = next((i for i, m in enumerate(head.mounts) if _is_member(m.to, new)), None)
            if which is None:
                raise errors.Eunion()
            left = head.mounts[:which] + head.mounts[which + 1 :]
            gone = head.mounts[which : which + 1]
        table = self._own()
        if left:
            table[old.key] = head._replace(mounts=left)
        else:
            del table[old.key]
        for mount in gone:
            mount.to.dev.unmounted(mount.to)

    def mounts(self) -> Iterator[tuple[Mhead, Mount]]:
        """Every member of every mount point, in the order in which they were mounted."""
        pairs = [(h, m) for h in self._table.values() for m in h.mounts]
        return iter(sorted(pairs, key=lambda pair: pair[1].id))

    def clear(self) -> None:
        """Forget every mount (RFCNAMEG)."""
        self._table, self._borrowed = {}, False

    def _own(self) -> dict[Key, Mhead]:
        """The table, made this group's own before the first change after a fork."""
        if self._borrowed:
            self._table, self._borrowed = dict(self._table), False
        return self._table


def _is_member(member: Chan, new: Chan) -> bool:
    return member.same(new) or (member.mchan is not None and member.mchan.same(new))
