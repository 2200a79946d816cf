"""What tasks may do with the session that runs them: `View`, its directory as they see it.

It is exported to them as any directory is, and all of it can be read. But who has the address of a session
is some program on some machine: it may speak to its neighbours and stop them, and it shall not come to
anything that is the owner's. It cannot start programs, have files copied, or free the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nsh import errors
from nsh.kern.chan import Chan, Key, Maybe, Path, settle, soon
from nsh.kern.dev import AREAD, AWRITE, access_needed
from nsh.kern.export import File
from nsh.kern.mnt import Mhead
from nsh.kern.pgrp import Pgrp
from nsh.kern.tree import Tree
from nsh.p9.const import ORCLOSE, OREAD
from nsh.p9.files import Soon
from nsh.p9.stat import Dir
from taskfs import ctl
from taskfs.lost import Place

if TYPE_CHECKING:
    from nsh.kern.proc import Proc
    from nsh.net.fuse import Mounted
    from taskfs.child import Child
    from taskfs.gather import Team
    from taskfs.session import Session

WRITTEN = ("stdin", "stdio", "ctl")
"""The files, of the session and of each child, to which a task may write."""
WORDS = ("kill", "signal", "closein")
"""The control messages that a task may write."""


class OnlyChildren(Pgrp):
    """The name space ``base`` without all that is mounted, but for the sessions that were reserved.

    Whatever else its owner may have bound there is his.
    """

    __slots__ = ("_base",)

    def __init__(self, base: Pgrp) -> None:
        super().__init__()
        self.nodevs = base.nodevs
        self._base = base

    def find(self, c: Chan) -> Mhead | None:
        return _of_children(self._base.find(c))

    def find_key(self, key: Key) -> Mhead | None:
        return _of_children(self._base.find_key(key))


def _of_children(head: Mhead | None) -> Mhead | None:
    place = head.covered.aux if head is not None else None
    if head is None or not isinstance(place, Place):
        return None
    own = tuple(m for m in head.mounts if m.to is place.child.directory)
    return head._replace(mounts=own) if own else None


class View(Tree):
    """The directory of ``session``, for its tasks; ``proc`` acts for them."""

    def __init__(self, proc: Proc, session: Session) -> None:
        super().__init__(proc, session.chan())
        self._session = session
        self._ours: dict[File, Target] = {}  # what is written here, and not to the file itself

    def open(self, f: File, mode: int) -> Soon[File]:
        """open(5)."""
        self._session.alive()
        *way, name = self._names(f.chan.path) or [""]
        access = access_needed(mode)
        if mode & ORCLOSE or (access & AWRITE and (name not in WRITTEN or len(way) > 1)):
            raise errors.Eperm()
        if name == "ctl" and len(way) <= 1:
            self._ours[f] = Control(self._session, self._child(way))
            return f
        if not access & AWRITE:
            return super().open(f, mode)
        if name == "stdio" and access & AREAD:
            return self._open_both(f, way)
        if access & AREAD:
            raise errors.Eperm()
        self._ours[f] = self._input(way)
        return f

    async def _open_both(self, f: File, way: list[str]) -> File:
        opened = await settle(super().open(f, OREAD))
        self._ours[opened] = self._input(way)
        return opened

    def _names(self, path: Path) -> list[str]:
        """The elements of ``path`` below the session's directory."""
        names: list[str] = []
        node: Path | None = path
        while node is not None and node is not self._root.path:
            names.append(node.elem)
            node = node.parent
        return names[::-1]

    def _child(self, way: list[str]) -> Child | None:
        """The child whose directory ``way`` leads to; None: it is the session's own."""
        team = self._session.team
        if not way or team is None:
            return None
        if not way[0].isdecimal() or int(way[0]) >= len(team.children):
            raise errors.Enonexist()
        return team.children[int(way[0])]

    def _input(self, way: list[str]) -> Target:
        team, child = self._session.team, self._child(way)
        if team is None:
            return OwnInput(self._session)
        return Input(team, child)

    def read(self, f: File, count: int, offset: int) -> Soon[bytes]:
        """read(5)."""
        target = self._ours.get(f)
        if isinstance(target, Control):
            return target.number[offset : offset + count]
        return super().read(f, count, offset)

    def write(self, f: File, data: bytes | memoryview, offset: int) -> Soon[int]:
        """write(5)."""
        return soon(self._ours[f].write(bytes(data)))

    def clunk(self, f: File) -> None:
        """clunk(5)."""
        super().clunk(f)
        target = self._ours.pop(f, None)
        if target is not None:
            target.close()

    async def create(self, f: File, name: str, perm: int, mode: int) -> File:
        """open(5)."""
        raise errors.Eperm()

    def remove(self, f: File) -> Soon[None]:
        """remove(5)."""
        raise errors.Eperm()

    def wstat(self, f: File, d: Dir) -> Soon[None]:
        """stat(5). Those who open a file to write it may truncate it first, which means nothing."""
        *_, name = self._names(f.chan.path) or [""]
        changed = d.touched() - {"atime", "mtime"}
        if changed and (changed != {"length"} or d.length or name not in WRITTEN):
            raise errors.Eperm()
        return None


def mounted(proc: Proc, files: Tree, device: int, trust: float = 0.0) -> Mounted:
    """Serve ``files`` to the kernel on a descriptor of /dev/fuse, in the name of ``proc``; see `Mounted`."""
    from nsh.net.fuse.mount import Elsewhere
    from nsh.net.fuse.serve import Mounted

    return Mounted(proc, files, files.attach("", ""), device, Elsewhere(), 0.0, trust)


class Target(Protocol):
    """What a task has open for writing."""

    def write(self, data: bytes) -> Maybe[int]:
        """Take all of ``data``."""

    def close(self) -> None:
        """It is closed."""


class Control:
    """The ctl of the session, or of a ``child``. It is not opened: that and closing it mean something."""

    def __init__(self, session: Session, child: Child | None) -> None:
        self._session = session
        self._child = child

    @property
    def number(self) -> bytes:
        return str((self._child or self._session).number).encode()

    def write(self, data: bytes) -> Maybe[int]:
        """Do the commands. Errors: `Eperm` for those that are not for tasks, and as of ctl."""
        text = data.decode("utf-8", "surrogateescape")
        for words in ctl.split(text):
            if words[0] not in WORDS:
                raise errors.Eperm(f"not for tasks: {words[0]}")
        return self._write(text, len(data))

    async def _write(self, text: str, count: int) -> int:
        done: Maybe[None] = self._child.command(text) if self._child else ctl.run(self._session, text)
        await settle(done)
        return count

    def close(self) -> None:
        pass


class Input:
    """The standard input of one ``child``, or of all; see `neighbours`."""

    def __init__(self, team: Team, child: Child | None) -> None:
        self._team = team
        self._child = child
        self._children = [child] if child is not None else list(team.children)
        for each in self._children:
            team.neighbours.came(each)

    async def write(self, data: bytes) -> int:
        """Errors: `Ewclosed`, `Lost`."""
        if self._child is not None:
            await self._team.neighbours.write(self._child, data)
        elif data:
            await settle(self._team.write(data, self))
        return len(data)

    def close(self) -> None:
        self._team.writer_left(self)
        for each in self._children:
            self._team.neighbours.left(each)


class OwnInput:
    """The standard input of a session without children: a task writes to itself."""

    def __init__(self, session: Session) -> None:
        self._session = session
        session.writer_came()

    def write(self, data: bytes) -> Maybe[int]:
        return self._session.work.write(data, self) if data else 0

    def close(self) -> None:
        self._session.writer_left(self)
