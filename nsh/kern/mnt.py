"""Mount and Mhead: what the mount table of a name space holds. The table itself is a Pgrp's.

A `Mhead` says: here, at ``covered``, these Chans are to be seen. Both are values: a change of the
table puts a new Mhead in place of the old one, so that forked name spaces can share them.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from nsh.kern.chan import Chan

MREPL, MBEFORE, MAFTER, MCREATE, MCACHE = 0, 1, 2, 4, 16
MORDER = MBEFORE | MAFTER
MMASK = MORDER | MCREATE | MCACHE

next_mountid = itertools.count(1).__next__
"""Mount ids order the lines of ns: every Mount, of every name space, gets the next number."""


class Mount(NamedTuple):
    """One member of a mount point: the Chan to be seen, with what flags, from which attach name."""

    to: Chan
    flag: int
    spec: str
    id: int


class Mhead(NamedTuple):
    """A mount point: the Chan it covers, and its members in the order in which they are searched.

    ``newest``: the id of the last Mount that was put there.
    """

    covered: Chan
    mounts: tuple[Mount, ...]
    newest: int
