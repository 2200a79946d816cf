"""Chan and Path: a file that was walked to, and the way that led there.

A `Chan` is what the kernel calls a channel: the handle of one file in one device, as walk, attach or
create returned it. Which *file* it is, is told by its `key` alone: (device, instance, qid.path). The
name is not part of it, so a mount on a file is seen through every name that the file has.

The way is a `Path`: a linked list with one node for each element. A node that is a mount point
remembers the Chan that the mount covers, and that is all that ``..`` needs to come out where one went
in (Plan 9's path->mtpt[]; Inferno compares names instead, and gets lost behind an alias).

Open Chans are counted (`incref`, `close`): descriptors share them. A Chan that was only walked to is
simply dropped; a device that holds something for it (a remote fid) keeps that in `Chan.aux` and gives
it back when the last reference is gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from nsh.p9.stat import Qid

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from nsh.kern.dev import Device
    from nsh.kern.mnt import Mhead
    from nsh.kern.union import Union as UnionReader

T = TypeVar("T")

Maybe: TypeAlias = T | Awaitable[T]
"""What a device member returns: the value itself, or an awaitable of it when it has to wait."""

Key: TypeAlias = "tuple[Device, int, int]"

CLOSED = -1
"""`Chan.mode` of a Chan that was walked to and not opened."""


def must_wait(result: Maybe[T]) -> TypeIs[Awaitable[T]]:
    """Must a device member's result be waited for? (inspect.isawaitable, ten times as fast)"""
    return hasattr(result, "__await__")


async def settle(result: Maybe[T]) -> T:
    """The value of a device member's result, waited for only if it has to be."""
    return await result if must_wait(result) else result


def soon(result: Maybe[T]) -> T | Coroutine[Any, Any, T]:
    """The same, but what has to be waited for is always a coroutine."""
    if type(result) is CoroutineType or not must_wait(result):
        return cast(T, result)
    return settle(result)


class Path:
    """One element of the way to a file; ``str()`` is the whole name. Nodes are never changed.

    Where the way leads through a mount point, ``covered`` is what was mounted on, ``via`` the Path of the
    member that the way went on in, and ``when`` the number of the newest mount there at that time.
    """

    __slots__ = ("covered", "elem", "parent", "via", "when")

    def __init__(
        self,
        parent: Path | None,
        elem: str,
        covered: Chan | None = None,
        via: Path | None = None,
        when: int = 0,
    ) -> None:
        self.parent = parent
        self.elem = elem
        self.covered = covered
        self.via = via
        self.when = when

    def child(self, elem: str) -> Path:
        return Path(self, elem)

    def over(self, head: Mhead, via: Path) -> Path:
        """The same name, as a mount point that was crossed into the member called ``via``."""
        return Path(self.parent, self.elem, head.covered, via, head.newest)

    def under(self) -> Path:
        """The same name, as it is before anything is crossed."""
        return Path(self.parent, self.elem)

    def __str__(self) -> str:
        elems: list[str] = []
        node = self
        while node.parent is not None:
            elems.append(node.elem)
            node = node.parent
        if not elems:
            return node.elem
        elems.append("" if node.elem == "/" else node.elem)
        return "/".join(reversed(elems))


class Chan:
    """A file of a device.

    ``dev`` and ``instance``: the device and which of its trees; ``qid``: the file in it; ``path``: how it
    was reached; ``mode``: OREAD.. when open, else `CLOSED`; ``offset``: bytes, of the descriptor;
    ``iounit``: most bytes that one read or write moves in one piece, 0 for no limit; ``aux``: the
    device's own (a node, a remote fid); ``head``: the mount head, when the Chan is the source of a bind
    and names a mount point; ``union``: the reading position in an open union directory; ``mchan``:
    the connection, when the Chan is the root of a mounted server; ``dirpos``: the reading
    position in an open directory; ``above``: what the top 16 bits of qid.path are to be in its entries,
    for an export (`nsh.kern.qidmap`).
    """

    __slots__ = (
        "__weakref__",
        "above",
        "aux",
        "dev",
        "dirpos",
        "head",
        "instance",
        "iounit",
        "mchan",
        "mode",
        "offset",
        "path",
        "qid",
        "ref",
        "shared",
        "union",
    )

    def __init__(self, dev: Device, qid: Qid, path: Path, aux: Any = None, instance: int = 0) -> None:
        self.dev = dev
        self.instance = instance
        self.qid = qid
        self.path = path
        self.aux = aux
        self.mode = CLOSED
        self.offset = 0
        self.iounit = 0
        self.ref = 1
        self.shared = False
        self.head: Mhead | None = None
        self.union: UnionReader | None = None
        self.mchan: Chan | None = None
        self.dirpos: Any = None
        self.above = 0

    @property
    def key(self) -> Key:
        """What says which file this is, everywhere in the mount table."""
        return (self.dev, self.instance, self.qid.path)

    def same(self, other: Chan) -> bool:
        """Do both stand for the same file? (eqchan; versions and names do not count)"""
        return self.key == other.key

    def alias(self, path: Path) -> Chan:
        """The same file under another name, without asking the device.

        An alias shares the device's part (`aux`) with this Chan, so it must be cloned before it is
        opened; `shared` says so.
        """
        c = Chan(self.dev, self.qid, path, self.aux, self.instance)
        c.mchan = self.mchan
        c.shared = True
        return c

    @property
    def opened(self) -> bool:
        return self.mode != CLOSED

    def incref(self) -> Chan:
        """One more descriptor holds this open Chan."""
        self.ref += 1
        return self

    def close(self) -> None:
        """Give one reference back; with the last one an open file is closed. Never fails or waits."""
        self.ref -= 1
        if self.ref > 0 or self.mode == CLOSED:
            return
        if self.union is not None:
            self.union.close()
        self.dev.close(self)
        self.mode = CLOSED

    def __repr__(self) -> str:
        return f"<Chan {self.path} #{self.dev.letter}{self.instance} qid {self.qid.path:#x}>"
