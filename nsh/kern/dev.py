"""Device: what serves files to the kernel, and the nodes from which most devices are made.

A device has Plan 9's members (attach walk stat open create close read write remove wstat), each
given a `Chan`. This class implements all of them for a tree of nodes: a device that builds its
tree out of `File` and `Directory` objects gets walking, permissions, stat and directory reading for
free, and writes only what is its own. A device over something else (a remote server, the host's
files) overrides the members themselves.

A member may be a plain function or ``async``. Return at once what is known; only what must wait
should be a coroutine, because only then does a request cost a task.

Members raise `nsh.errors.P9Error`, and must not block.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from nsh import errors
from nsh.kern.chan import Chan, Maybe, Path
from nsh.kern.qidmap import BITS
from nsh.p9.const import (
    DMDIR,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    STATFIXLEN,
)
from nsh.p9.stat import Dir, Qid

if TYPE_CHECKING:
    from nsh.kern.native import Native
    from nsh.kern.proc import Proc, System
    from nsh.kern.stream import Stream

_next_qidpath = itertools.count(1).__next__

AREAD, AWRITE, AEXEC = 4, 2, 1
_NEEDS = {OREAD: AREAD, OWRITE: AWRITE, ORDWR: AREAD | AWRITE, OEXEC: AEXEC}


def up() -> Proc:
    """The process on whose behalf this code runs: the kernel's ``up``."""
    from nsh.kern.proc import current

    return current.get()


def access_needed(mode: int) -> int:
    """The permission bits (AREAD, AWRITE, AEXEC) that opening with ``mode`` takes, as open(5) says."""
    return _NEEDS[mode & 3] | (AWRITE if mode & OTRUNC else 0)


def check_permission(user: str, uid: str, gid: str, perm: int, want: int) -> None:
    """Raise `Eperm` unless ``user`` has ``want``, as intro(5) says: others have what the last three bits
    grant, members of the group also what theirs do, and the owner what any of the bits do.

    A group has one member that is known here, the user of the same name.
    """
    have = perm
    if user in (gid, uid):
        have |= perm >> 3
    if user == uid:
        have |= perm >> 6
    if want & ~have & 7:
        raise errors.Eperm()


class File:
    """A synthetic file: a node of a device's tree.

    Override the members that the file has. The rest answer as the kernel's devices do: reading or
    writing is refused, length is 0, nothing can be renamed or removed.

        >>> class Squares(nsh.File):
        ...     def read(self, c, count, offset):
        ...         return b"".join(b"%d\\n" % (i * i) for i in range(1, 6))[offset : offset + count]
        >>> @nsh.register
        ... class Mathematics(nsh.Device):
        ...     letter, name = "S", "mathematics"
        ...     def tree(self):
        ...         return nsh.Directory("#S", Squares("squares"))
        >>> async with nsh.Namespace() as ns:
        ...     print(await ns.read("#S/squares"))
        b'1\\n4\\n9\\n16\\n25\\n'
    """

    __slots__ = ("__weakref__", "gid", "name", "parent", "perm", "qid", "uid")

    directory: ClassVar[bool] = False

    def __init__(self, name: str, perm: int = 0o444, *, uid: str = "", gid: str = "", path: int = -1) -> None:
        self.name = name
        self.perm = perm
        self.uid = uid
        self.gid = gid
        self.parent: Directory | None = None
        bits = (perm >> 24) & 0xFF | (QTDIR if self.directory else 0)
        self.qid = Qid(bits, 0, _next_qidpath() if path < 0 else path)

    def open(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        """Called when the permissions allow it. May return another Chan to be used instead."""
        return None

    def close(self, c: Chan) -> None:
        """The last reference to the open file is gone."""

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        """At most ``count`` bytes from ``offset``; empty at the end."""
        raise errors.Eperm()

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        """Take ``data``; returns how many bytes were taken."""
        raise errors.Eperm()

    def length(self) -> int:
        """Size in bytes, as stat shows it."""
        return 0

    def remove(self, c: Chan) -> Maybe[None]:
        raise errors.Eperm()

    def wstat(self, c: Chan, d: Dir) -> Maybe[None]:
        raise errors.Eperm()

    def stat(self, dev: Device) -> Dir:
        """The Dir of this node as a file of ``dev``."""
        mode = self.perm | (DMDIR if self.directory else 0)
        uid = self.uid or dev.eve
        t = dev.mtime
        length = 0 if self.directory else self.length()
        return Dir(ord(dev.letter), 0, self.qid, mode, t, t, length, self.name, uid, self.gid or uid, uid)

    def packed(self, dev: Device, above: int = 0) -> bytes:
        """The Dir, packed, as the directory that it is in lists it; ``above``: see `Chan`."""
        d = self.stat(dev)
        if above:
            d = d._replace(qid=d.qid._replace(path=above << BITS | d.qid.path))
        return d.pack()


class Text(File):
    """A file whose content is made by a function when reading starts, and stays until offset 0 is read.

    So a reader in small pieces sees one state, whatever happens in the meantime. ``make`` returns str
    or bytes, or an awaitable of them: a reader waits until it is there.

        >>> @nsh.register
        ... class Soon(nsh.Device):
        ...     letter, name = "w", "soon"
        ...     def tree(self):
        ...         return nsh.Directory("#w", nsh.Text("wait", lambda: asyncio.sleep(0.01, "done\\n")))
        >>> async with nsh.Namespace() as ns:
        ...     print(await ns.read("#w/wait"))
        b'done\\n'
    """

    def __init__(self, name: str, make: Callable[[], Any], perm: int = 0o444) -> None:
        super().__init__(name, perm)
        self._make = make

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        if offset == 0 or c.dirpos is None:
            made = self._make()
            if isinstance(made, Awaitable):
                return self._read_later(c, made, count, offset)
            c.dirpos = as_bytes(made)
        return _slice(c.dirpos, count, offset)

    async def _read_later(self, c: Chan, made: Any, count: int, offset: int) -> bytes:
        c.dirpos = as_bytes(await made)
        return _slice(c.dirpos, count, offset)


class Ctl(File):
    """A file that takes commands: ``do`` is called with the text of each write.

    With ``status`` the file can be read too: it is made and kept as `Text` makes it. What is wrong with a
    command is said by raising `P9Error` or one of its subclasses.

        >>> @nsh.register
        ... class Lamp(nsh.Device):
        ...     letter, name = "l", "lamp"
        ...     state = "off"
        ...     def tree(self):
        ...         return nsh.Directory("#l", nsh.Ctl("ctl", self.switch, 0o666, lambda: self.state))
        ...     def switch(self, text):
        ...         if text.strip() not in ("on", "off"):
        ...             raise nsh.errors.Ebadctl()
        ...         self.state = text.strip()
        >>> async with nsh.Namespace() as ns:
        ...     await ns.write("#l/ctl", b"on\\n")
        ...     print(await ns.read("#l/ctl"))
        b'on'
        >>> async with nsh.Namespace() as ns:
        ...     await ns.write("#l/ctl", b"of\\n")
        Traceback (most recent call last):
        nsh.errors.Ebadctl: unknown control message
    """

    def __init__(
        self, name: str, do: Callable[[str], Any], perm: int = 0o222, status: Callable[[], Any] | None = None
    ) -> None:
        super().__init__(name, perm)
        self._do = do
        self._text = Text(name, status) if status else None

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        done = self._do(bytes(data).decode("utf-8", "surrogateescape"))
        return self._written(done, len(data)) if isinstance(done, Awaitable) else len(data)

    async def _written(self, done: Any, count: int) -> int:
        await done
        return count

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        return self._text.read(c, count, offset) if self._text else super().read(c, count, offset)


class Directory(File):
    """A synthetic directory: a node with named nodes below it, given at once or by `add`.

    >>> @nsh.register
    ... class Rooms(nsh.Device):
    ...     letter, name = "r", "rooms"
    ...     def tree(self):
    ...         return nsh.Directory("#r", *(nsh.Directory(room) for room in ("hall", "attic")))
    >>> async with nsh.Namespace() as ns:
    ...     print(await ns.listdir("#r"))
    ['hall', 'attic']
    """

    __slots__ = ("_entries",)

    directory = True

    def __init__(
        self, name: str, *entries: File, perm: int = 0o555, uid: str = "", gid: str = "", path: int = -1
    ) -> None:
        super().__init__(name, perm, uid=uid, gid=gid, path=path)
        self._entries: dict[str, File] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: File) -> None:
        """Put a node into the directory, at the end."""
        entry.parent = self
        self._entries[entry.name] = entry

    def discard(self, name: str) -> None:
        """Take a node out of the directory, if it is there."""
        self._entries.pop(name, None)

    def rename(self, entry: File, name: str) -> None:
        """Give a node of the directory another name; it keeps its place. Errors: `Eexist`."""
        if name != entry.name and name in self._entries:
            raise errors.Eexist()
        entry.name = name
        self._entries = {node.name: node for node in self._entries.values()}

    def lookup(self, name: str) -> Maybe[File]:
        """The node called ``name``. Errors: `Enonexist`."""
        try:
            return self._entries[name]
        except KeyError:
            raise errors.Enonexist() from None

    def entries(self) -> Iterable[File]:
        """The nodes, in the order in which a listing shows them."""
        return self._entries.values()

    def create(self, c: Chan, name: str, mode: int, perm: int) -> Maybe[File]:
        """Make and enter a node; the caller opens it. ``perm`` has DMDIR for a directory."""
        raise errors.Eperm()


class DirReader:
    """The position in a directory that is being read: a snapshot, handed out in whole entries.

    ``packed``: the stat records of the entries, packed. Offsets go on where the last read ended, or
    back to 0, which the owner answers with a new reader.
    """

    __slots__ = ("_have", "_offset", "_packed", "_ready", "above")

    def __init__(self, packed: Iterator[bytes], above: int = 0) -> None:
        self.above = above  # with what the entries were packed
        self._packed = packed
        self._ready: list[bytes] = []  # taken from there, a batch at a time, and not yet handed out
        self._have = 0  # their bytes
        self._offset = 0

    def read(self, count: int, offset: int) -> bytes:
        """As many entries as fit into ``count`` bytes. Errors: `Edirseek`, `Ecount`."""
        if offset != self._offset:
            raise errors.Edirseek()
        ready = self._ready
        while self._have < count and (batch := list(itertools.islice(self._packed, count // _SMALL + 1))):
            ready += batch
            self._have += sum(map(len, batch))
        if self._have <= count:
            fitting = len(ready)
        else:
            fitting = bisect_right(list(itertools.accumulate(map(len, ready))), count)
        if ready and not fitting:
            raise errors.Ecount()
        data = b"".join(ready[:fitting])
        del ready[:fitting]
        self._have -= len(data)
        self._offset += len(data)
        return data


_SMALL = STATFIXLEN
"""Bytes of the smallest entry: of no more of them than would fit is a `DirReader` to keep what does not."""


class Device:
    """A device of the kernel: subclass it, name it, give it a tree.

    ``letter``: what stands behind ``#``; ``name``: what ``#*`` calls it. One object serves all name
    spaces of a `System`.

        >>> @nsh.register
        ... class Clock(nsh.Device):
        ...     letter, name = "t", "clock"
        ...     def tree(self):
        ...         return nsh.Directory("#t", nsh.Text("boottime", lambda: f"{self.mtime}\\n"))
        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("#t", "/dev", "a")
        ...     print(int(await ns.read("/dev/boottime")) > 1_600_000_000)
        True
    """

    letter: ClassVar[str] = "?"
    name: ClassVar[str] = ""
    harmless: ClassVar[bool] = False
    """May a process attach it by name after RFNOMNT? (section 2 of the name space rules)"""
    fresh: ClassVar[bool] = False
    """Does each attach without a name make a new tree? Then none of them can be named again."""
    remote: ClassVar[bool] = False
    """Does a walk cost messages to a server? Then none is repeated only to learn why it failed."""
    any_buffer: ClassVar[bool] = False
    """May `write` be given a memoryview of bytes that never change? It saves a copy of large data."""
    runs: ClassVar[bool] = False
    """Do programs of the host start when its files are written?"""
    small_qids: ClassVar[bool] = True
    """All qid.path values of this device are below 2**48, so an export need not look at them."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.eve = system.eve
        self.mtime = system.boottime
        self._root: Directory | None = None

    @property
    def native(self) -> Native | None:
        """The device itself, where its files are the host's and Linux can be told all of them."""
        return None

    def tree(self) -> Directory:
        """The root of the device's nodes, built at the first attach."""
        return Directory(f"#{self.letter}")

    @property
    def root(self) -> Directory:
        if self._root is None:
            self._root = self.tree()
        return self._root

    def rootpath(self, spec: str = "") -> Path:
        return Path(None, f"#{self.letter}{spec}")

    def attach(self, spec: str) -> Maybe[Chan]:
        """The root of the tree that ``spec`` names. A device with one tree, as this one, ignores it.

        The path is without a spec that is ignored, so that the tree has one name. Errors: `Ebadspec`.
        """
        return Chan(self, self.root.qid, self.rootpath(), self.root)

    def walk(self, c: Chan, names: list[str]) -> Maybe[tuple[Chan | None, list[Qid]]]:
        """Walk from ``c``, which stays as it is; no names: a clone.

        Returns the new Chan and a qid for each name; (None, qids) if only some names were reached;
        raises if not even the first was.
        """
        node: File = c.aux
        qids: list[Qid] = []
        for i, name in enumerate(names):
            try:
                found = self._step(node, name)
                if not isinstance(found, File):
                    return self._walk_later(c, names, i, found, qids)
                node = found
            except OSError:
                if not qids:
                    raise
                return None, qids
            qids.append(node.qid)
        return Chan(self, node.qid, c.path, node, c.instance), qids

    async def _walk_later(
        self, c: Chan, names: list[str], i: int, found: Any, qids: list[Qid]
    ) -> tuple[Chan | None, list[Qid]]:
        """The rest of a walk, from the first directory on that had to wait for its answer."""
        try:
            node: File = await found
            qids.append(node.qid)
            for name in names[i + 1 :]:
                step: Any = self._step(node, name)
                node = await step if isinstance(step, Awaitable) else step
                qids.append(node.qid)
        except OSError:
            if not qids:
                raise
            return None, qids
        return Chan(self, node.qid, c.path, node, c.instance), qids

    def _step(self, node: File, name: str) -> Maybe[File]:
        if not isinstance(node, Directory):
            raise errors.Enotdir()
        if name == "..":
            return node.parent or node
        return node.lookup(name)

    def open(self, c: Chan, mode: int) -> Maybe[Chan]:
        """Open ``c``, which nobody shares, with ``mode`` (OREAD.., OTRUNC..). May return another Chan."""
        node: File = c.aux
        self.check(node, mode)
        replaced = node.open(c, mode)
        if isinstance(replaced, Awaitable):
            return self._opened_later(c, replaced, mode)
        c.mode = mode
        return replaced or c

    async def _opened_later(self, c: Chan, replaced: Any, mode: int) -> Chan:
        other: Chan | None = await replaced
        c.mode = mode
        return other or c

    def check(self, node: File, mode: int) -> None:
        """Raise unless the current process may open ``node`` with ``mode``."""
        if node.directory and mode & ~ORCLOSE not in (OREAD, OEXEC):
            raise errors.Eperm()
        uid = node.uid or self.eve
        check_permission(up().user, uid, node.gid or uid, node.perm, access_needed(mode))

    def create(self, c: Chan, name: str, mode: int, perm: int) -> Maybe[Chan]:
        """Create ``name`` in the directory ``c`` and open it. Errors: `Eperm`, `Eexist`, ..."""
        parent: File = c.aux
        if not isinstance(parent, Directory):
            raise errors.Enotdir()
        uid = parent.uid or self.eve
        check_permission(up().user, uid, parent.gid or uid, parent.perm, AWRITE)
        made = parent.create(c, name, mode, perm)
        return self._created(c, made, mode)

    def _created(self, c: Chan, made: Any, mode: int) -> Maybe[Chan]:
        if isinstance(made, Awaitable):
            return self._created_later(c, made, mode)
        new = Chan(self, made.qid, c.path, made, c.instance)
        replaced = made.open(new, mode)
        if isinstance(replaced, Awaitable):
            return self._opened_later(new, replaced, mode)
        new.mode = mode
        return replaced or new

    async def _created_later(self, c: Chan, made: Any, mode: int) -> Chan:
        result = self._created(c, await made, mode)
        return await result if isinstance(result, Awaitable) else result

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        """At most ``count`` bytes at ``offset``; of a directory, whole packed stat entries."""
        node: File = c.aux
        if isinstance(node, Directory):
            return self.read_directory(c, node, count, offset)
        return node.read(c, count, offset)

    def read_directory(self, c: Chan, node: Directory, count: int, offset: int) -> bytes:
        if offset == 0 or c.dirpos is None:
            above = c.above
            c.dirpos = DirReader((entry.packed(self, above) for entry in list(node.entries())), above)
        reader: DirReader = c.dirpos
        return reader.read(count, offset)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        """Write ``data`` at ``offset``; returns the number of bytes taken."""
        node: File = c.aux
        if node.directory:
            raise errors.Eisdir()
        return node.write(c, data, offset)

    def close(self, c: Chan) -> None:
        """The last reference to the open Chan is gone. Never fails, never waits."""
        c.aux.close(c)

    def stat(self, c: Chan) -> Maybe[Dir]:
        """The Dir of the file."""
        node: File = c.aux
        return node.stat(self)

    def wstat(self, c: Chan, d: Dir) -> Maybe[None]:
        """Change what ``d`` does not leave at its "don't touch" value; all or nothing."""
        return c.aux.wstat(c, d)  # type: ignore[no-any-return]

    def remove(self, c: Chan) -> Maybe[None]:
        """Remove the file."""
        return c.aux.remove(c)  # type: ignore[no-any-return]

    def stream(self, c: Chan) -> Stream | None:
        """The open Chan as a Stream, where it is one (a network connection); it then owns the Chan."""
        return None

    def redial(self, c: Chan) -> tuple[str, str] | None:
        """With which options, and which address, mount(1) makes this connection again, if it is one."""
        return None

    def unmounted(self, c: Chan) -> None:
        """``c`` was taken away from a mount point; it may be at others still."""

    def away(self, c: Chan) -> bool:
        """Is the other end of this connection gone, and may come back, so that who asks it waits?"""
        return False

    def fileno(self, c: Chan) -> int | None:
        """The host's descriptor behind the open Chan, for a host program to inherit, where there is one."""
        return None

    def seekable(self, c: Chan) -> bool:
        """Is `fileno` the descriptor of a regular file, with a position in it?"""
        return False


def change_name_and_mode(c: Chan, d: Dir) -> None:
    """wstat(2) of a node that has no times: its owner changes name and mode, and may touch it in vain.

    Errors: `Eperm`, `Eexist`.
    """
    node: File = c.aux
    changes = d.touched() - {"mtime", "atime"}
    if changes - {"name", "mode"} or node.parent is None:
        raise errors.Eperm()
    if up().user not in (node.uid or c.dev.eve, c.dev.eve):
        raise errors.Eperm()
    if "mode" in changes and d.mode & ~0o777:
        raise errors.Eperm()
    if "name" in changes:
        node.parent.rename(node, d.name)
    if "mode" in changes:
        node.perm = d.mode


def as_bytes(content: str | bytes) -> bytes:
    """Content as it goes over the wire."""
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else bytes(content)


def _slice(content: bytes, count: int, offset: int) -> bytes:
    return content[offset : offset + count]
