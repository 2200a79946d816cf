"""What several commands do with files and names: no command itself.

Is it the same file, which entries does a listing keep, copying bytes from one descriptor to another.
"""

from __future__ import annotations

from collections.abc import Iterable

from nsh import errors
from nsh.cmd import complain
from nsh.kern.proc import Proc
from nsh.p9.stat import Dir

READSIZE = 1 << 17
"""Bytes that a command reads at a time."""

Identity = tuple[int, int, int]


def identity(d: Dir) -> Identity:
    """What two Dirs have in common if and only if they describe the same file."""
    return (d.type, d.dev, d.qid.path)


def compact(entries: Iterable[Dir]) -> list[Dir]:
    """The entries without those whose name came before: what can be reached by name in a union."""
    first: dict[str, Dir] = {}
    for d in entries:
        first.setdefault(d.name, d)
    return list(first.values())


def join(directory: str, name: str) -> str:
    """The name of ``name`` in ``directory``, with one slash between them."""
    return directory + name if directory.endswith("/") else f"{directory}/{name}"


def basename(name: str) -> str:
    """The last element of a name; of ``/`` the name itself."""
    return name.rstrip("/").rpartition("/")[2] or name


async def read_directory(p: Proc, name: str) -> tuple[Identity, list[Dir]]:
    """Which directory ``name`` is, and its entries. Errors: `Enotdir`, and those of open and read."""
    fd = await p.open(name)
    try:
        d = await p.fstat(fd)
        if not d.isdir:
            raise errors.Enotdir()
        return identity(d), await p.dirreadall(fd)
    finally:
        p.close(fd)


class CopyError(Exception):
    """Copying failed; the text says on which side and why."""


async def copy(p: Proc, source: int, target: int, names: tuple[str, str]) -> None:
    """Copy from descriptor ``source`` to ``target`` until the end. ``names``: of both, for `CopyError`."""
    while True:
        try:
            data = await p.read(source, READSIZE)
        except OSError as e:
            raise CopyError(f"error reading {names[0]}: {e}") from None
        if not data:
            return
        try:
            await p.write(target, data)
        except OSError as e:
            raise CopyError(f"error writing {names[1]}: {e}") from None


class Complaints:
    """The complaints of one command, which goes on after each: ``name: text`` on standard error."""

    def __init__(self, p: Proc, name: str) -> None:
        self._p = p
        self._name = name
        self.count = 0

    async def say(self, text: str) -> None:
        self.count += 1
        await complain(self._p, f"{self._name}: {text}")

    def status(self, text: str = "errors") -> str:
        """The exit status: ``text`` if there was a complaint."""
        return text if self.count else ""
