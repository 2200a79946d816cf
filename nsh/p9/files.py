"""What a 9P server asks of the files that it serves: the one interface between protocol and name space.

`nsh.p9.server.Session` calls it and `nsh.kern.export` provides it. Only the interface is here. What a
`Files` need not look after: fid numbers, tags, whether a file is open in the right mode, the bits of a
mode, impossible names, counts, offsets in directories. What it must: permissions, and all that a file is.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from .msg import Buffer
from .stat import Dir, Qid

T = TypeVar("T")
Soon: TypeAlias = T | Coroutine[Any, Any, T]
"""What a method of `Files` returns: the value, or a coroutine that will."""


class File(Protocol):
    """What a fid stands for. The session looks at these two and passes the rest through unseen."""

    @property
    def qid(self) -> Qid: ...

    @property
    def iounit(self) -> int:
        """Once open: the bytes that move in one piece, 0 for as many as a message holds."""


F = TypeVar("F", bound=File)


class Files(Protocol[F]):
    """A tree of files, as a server sees it. Errors are raised as `P9Error`, or any other `OSError`.

    Every F that a method hands out is given back to ``clunk`` exactly once: also after ``remove``
    (whether it failed or not), and when ``open`` or ``create`` put another F in its place.
    """

    def attach(self, uname: str, aname: str) -> Soon[F]:
        """The root of the tree ``aname``, for the user ``uname``."""

    def walk(self, f: F, names: Sequence[str]) -> Soon[tuple[F | None, Sequence[Qid]]]:
        """A new F for what lies at ``names`` below ``f``, and a qid for each name (walk(5)).

        When a name after the first fails: None and the qids so far; when the first does, its error. No
        names: another F for the same file. ``f`` itself stays where it is. No name is empty or ``.``, or
        has a ``/`` or a NUL in it.
        """

    def open(self, f: F, mode: int) -> Soon[F]:
        """``f`` made ready for reading and writing, or another F that is (open(5))."""

    def create(self, f: F, name: str, perm: int, mode: int) -> Soon[F]:
        """A new file in the directory ``f``, open (open(5)). ``name`` is a possible one."""

    def read(self, f: F, count: int, offset: int) -> Soon[Buffer | bytearray]:
        """At most ``count`` bytes, which must not change afterwards; none at the end of the file.

        Of a directory: as many whole packed `Dir` as fit; ``offset`` is 0 to begin again, else where the
        last read ended.
        """

    def write(self, f: F, data: memoryview, offset: int) -> Soon[int]:
        """How many bytes of ``data`` were written. ``data`` stays as it is for as long as it is held."""

    def stat(self, f: F) -> Soon[Dir]: ...

    def wstat(self, f: F, d: Dir) -> Soon[None]:
        """Change what ``d.touched()`` names: all of it, or nothing and raise (stat(5))."""

    def remove(self, f: F) -> Soon[None]: ...

    def clunk(self, f: F) -> None:
        """``f`` is used no more. Never raises, never waits."""
