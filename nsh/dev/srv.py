"""`#s`, srv(3): a place where processes post open files, for others to open by name.

Create a file, write the number of a descriptor to it, and whoever opens the file has the open file
itself: the connection to a 9P server, as a rule, which can then be mounted. An attach without a name
makes a directory of its own; `#sNAME` is the same one for all who say NAME.

A program of this kernel can also put a file of its own making there (`file2chan`), and answer the reads
and writes itself for as long as it runs.
"""

from __future__ import annotations

from weakref import WeakSet

from nsh import errors
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory, File, change_name_and_mode, up
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc, System
from nsh.p9.const import DMDIR, ORDWR
from nsh.p9.stat import Dir


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
        if up().user not in (self.uid, c.dev.eve):
            raise errors.Eperm()
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
        node = Posted(name, perm & 0o777, uid=up().user)
        self.post(node)
        return node

    def post(self, node: File) -> None:
        """Enter a file. Errors: `Eexist`."""
        if node.name in self._entries:
            raise errors.Eexist()
        self.add(node)


class SrvDevice(Device):
    """`#s`: posted files."""

    letter, name = "s", "srv"
    fresh = True
    harmless = True

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._shared: dict[str, Services] = {}
        self._hungup: WeakSet[File] = WeakSet()

    def attach(self, spec: str) -> Chan:
        root = self._shared.get(spec) or Services("#s", perm=0o777)
        if spec:
            self._shared[spec] = root
        return Chan(self, root.qid, self.rootpath(spec), root)

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        self._check_served(c)
        return super().read(c, count, offset)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        self._check_served(c)
        return super().write(c, data, offset)

    def wstat(self, c: Chan, d: Dir) -> None:
        change_name_and_mode(c, d)

    def _check_served(self, c: Chan) -> None:
        if c.aux in self._hungup:
            raise errors.Ehungup()

    def serve(self, directory: Services, node: File, server: Proc) -> None:
        """Show ``node`` in a directory of this device until the process ``server`` ends. Errors: `Eexist`."""
        directory.post(node)

        def gone() -> None:
            self._hungup.add(node)
            directory.discard(node.name)

        server.atexit(gone)


async def file2chan(p: Proc, name: str, node: File, server: Proc | None = None) -> None:
    """file2chan(2): put a file of one's own making into the directory ``name`` of `#s`.

    It is there until ``server``, which is ``p`` if it is not said, ends; who still has it open then is told
    "i/o on hungup channel". Errors: `Enotsrv` unless the directory, or the first member of its
    union, is one of `#s`; `Eexist`.
    """
    directory = await namec(p, name, Access.ACCESS)
    if not isinstance(directory.dev, SrvDevice) or not isinstance(directory.aux, Services):
        raise errors.Enotsrv()
    node.uid = p.user
    directory.dev.serve(directory.aux, node, server or p)
