"""`#s`, srv(3): a place where processes post open files, for others to open by name.

Create a file, write the number of a descriptor to it, and whoever opens the file has the open file
itself: the connection to a 9P server, as a rule, which can then be mounted. An attach without a name
makes a directory of its own; `#sNAME` is the same one for all who say NAME.
"""

from __future__ import annotations

from nsh import errors
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory, File, up
from nsh.kern.proc import System
from nsh.p9.const import DMDIR, ORDWR


class Posted(File):
    """A posted open file, or the empty place for one."""

    chan: Chan | None = None

    def open(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        if self.chan is None:
            return None
        have, want = self.chan.mode & 3, mode & 3
        if have != ORDWR and have != want:
            raise errors.Eperm()
        return self.chan.incref()

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        if self.chan is not None:
            raise errors.Ebadusefd()
        try:
            fd = int(data)
        except ValueError:
            raise errors.Ebadarg() from None
        self.chan = up().fgrp.get(fd).incref()
        return len(data)

    def remove(self, c: Chan) -> None:
        posted, self.chan = self.chan, None
        if self.parent is not None:
            self.parent.discard(self.name)
        if posted is not None:
            posted.close()


class Services(Directory):
    """A directory of posted files."""

    def create(self, c: Chan, name: str, mode: int, perm: int) -> File:
        if perm & DMDIR:
            raise errors.Eperm()
        if name in self._entries:
            raise errors.Eexist()
        node = Posted(name, perm & 0o777, uid=up().user)
        self.add(node)
        return node


class SrvDevice(Device):
    """`#s`: posted files."""

    letter, name = "s", "srv"
    harmless = True

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._shared: dict[str, Services] = {}

    def attach(self, spec: str) -> Chan:
        root = self._shared.get(spec) or Services("#s", perm=0o777)
        if spec:
            self._shared[spec] = root
        return Chan(self, root.qid, self.rootpath(spec), root)
