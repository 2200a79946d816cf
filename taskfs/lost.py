"""What is seen of a resource while its host is lost: the files of a session, most of which only say so.

The directory lies below the binding through which the resource is seen, and comes to light when that is
taken away. Who takes it away, and puts it back when the host answers, is `hosts`' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nsh import errors
from nsh.kern.chan import Chan
from nsh.kern.dev import Directory, File, Text
from taskfs.child import Child
from taskfs.many import Lost

if TYPE_CHECKING:
    from taskfs.session import Session


class Place(Directory):
    """The place of ``child`` among the files of ``session``. Empty, unless the child's host is lost."""

    __slots__ = ("_session", "child")

    def __init__(self, session: Session, child: Child) -> None:
        super().__init__(str(child.rank), uid=session.uid)
        self._session = session
        self.child = child

    def lookup(self, name: str) -> File:
        for file in self.entries():
            if file.name == name:
                return file
        raise errors.Enonexist()

    def entries(self) -> Iterable[File]:
        if not self.child.host.lost:
            return []
        if not self._entries:
            # a resource has the files that its session has
            for like in self._session.entries():
                if not like.directory:
                    self.add(self._file(like))
        return self._entries.values()

    def _file(self, like: File) -> File:
        child = self.child
        reports = {"status": child.last_status, "wait": child.last_wait}
        if like.name in reports:
            file: File = Text(like.name, reports[like.name], like.perm)
            file.uid = like.uid
            return file
        return Unreachable(child, like)

    def remove(self, c: Chan) -> None:
        raise lost(self.child)


class Unreachable(File):
    """A file of a resource whose host is lost: opening it says which host."""

    def __init__(self, child: Child, like: File) -> None:
        super().__init__(like.name, like.perm, uid=like.uid)
        self._child = child

    def open(self, c: Chan, mode: int) -> None:
        raise lost(self._child)


def lost(child: Child) -> Lost:
    """The error that says which host is lost."""
    return Lost(f"{child.host.name}: {Lost.text}")
