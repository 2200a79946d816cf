"""What the kernel asks for over FUSE, done with the files of an export; pure, like `nsh.p9.server`.

A `Session` is fed the requests of one mount and hands out the replies. It drives a `nsh.kern.tree.Tree`,
so whatever can be exported can be mounted. Reading /dev/fuse and mounting are not known here.

The kernel names a file by its nodeid, a `Node` here: a file that was walked to, by the name that it has in
its directory. A nodeid is not the file's qid, since what is bound in two places must be two directories
for Linux. An open file is a `Handle`, with a File of its own. Both stay until the kernel gives them back
(`nsh.net.fuse.table`).

Each request has a function. It returns the reply's data, or is a coroutine of it: that is stepped at once,
and only if it has to wait does it become a task, which FUSE_INTERRUPT cancels. Everything in a request is
taken out of it before anything is waited for, because its memory is used again.

Nothing is remembered of names and attributes, here or in the kernel, unless `Session` is told so: every use
of a name walks, every stat asks, every read reads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from errno import EACCES, EEXIST, EINVAL, EIO, EISDIR, ENOSYS, ENOTDIR, ESTALE, EXDEV
from types import CoroutineType
from typing import Any, TypeAlias

from nsh.kern.chan import settle
from nsh.kern.export import File
from nsh.kern.native import Change, Entry, Known
from nsh.kern.tree import Tree
from nsh.net.fuse import abi, attr
from nsh.net.fuse.errnos import number
from nsh.net.fuse.node import Handle, Node, open_mode, truncated_already
from nsh.net.fuse.table import Table
from nsh.p9.const import DMDIR, OREAD, QTAPPEND, QTDIR, QTTMP
from nsh.p9.files import Soon
from nsh.p9.msg import Buffer
from nsh.p9.server import Handle as Task
from nsh.p9.server import Start
from nsh.p9.stat import Dir

log = logging.getLogger("nsh.fuse")

MAXWRITE = 1 << 20
"""Bytes of the largest read or write; the kernel has no larger ones."""
BACKGROUND = 4096
"""Requests that the kernel may have under way for nobody in particular."""
NAMES = 0.1
"""Seconds for which the kernel may believe the name of a server's directory, if it may believe nothing else.

A program uses the same directories again and again on its way to its files, and each time for each of them
is a message to the server, or two: more than half of all that there are.
"""
SAME = 0.001
"""Seconds in which a second question of a process, with no other in between, belongs to the first."""

_WANTED = (
    abi.ASYNC_READ
    | abi.ATOMIC_O_TRUNC
    | abi.BIG_WRITES
    | abi.PARALLEL_DIROPS
    | abi.MAX_PAGES
    | abi.INIT_EXT
    | abi.DIRECT_IO_ALLOW_MMAP
)
_OPEN_FLAGS = abi.FOPEN_DIRECT_IO | abi.FOPEN_PARALLEL_DIRECT_WRITES

Reply: TypeAlias = "Buffer | bytearray"
Message: TypeAlias = "list[Buffer | bytearray]"
Send = Callable[[Message], None]
"""Takes one reply, in parts."""


class _Waiting:
    """A request whose coroutine is under way."""

    __slots__ = ("ended", "node", "session", "task", "unique")

    def __init__(self, session: Session, unique: int, node: Node | None) -> None:
        self.session = session
        self.unique = unique
        self.node = node
        self.task: Task | None = None
        self.ended = False

    def done(self, value: Any, error: BaseException | None) -> None:
        self.ended = True
        self.session._finished(self, value, error)


class Session:
    """One mount: `feed` it requests; each reply goes to ``send``, at once or later.

    ``root``: what is mounted, taken over; ``timeout``: seconds for which the kernel may believe what it was
    told of names and attributes; ``trust``: that of the `Table`, for a server that is far away. Neither
    `feed` nor `close` waits.
    """

    def __init__(
        self,
        files: Tree,
        root: File,
        start: Start,
        send: Send,
        owners: attr.Numbers,
        timeout: float = 0.0,
        trust: float = 0.0,
    ) -> None:
        self._files = files
        self._start = start
        self._send = send
        self._owners = owners
        self._timeout = _time(timeout)
        self._believed = max(timeout, NAMES) if trust else timeout
        self._directories = _time(self._believed)
        self._table = Table(files, root, trust)
        self._pending: dict[int, _Waiting] = {}
        self._closed = False
        self._asker = 0  # the process that made the request which is looked at
        self._last: tuple[int, int, Known, float] | None = None

    @property
    def outstanding(self) -> int:
        """How many requests wait."""
        return len(self._pending)

    # --- what the driver calls -----------------------------------------------------------------

    def feed(self, request: memoryview) -> None:
        """Do one request. ``request`` may be used again afterwards."""
        _, opcode, unique, nodeid, _, _, self._asker, _ = abi.HEADER.unpack_from(request)
        do = _REQUESTS.get(opcode)
        if do is None:
            if opcode in _SILENT:
                _SILENT[opcode](self, nodeid, request)
            else:
                self._fail(unique, ENOSYS)
            return
        if opcode not in (abi.GETATTR, abi.SETATTR, abi.ACCESS):
            self._last = None
        node = self._table.get(nodeid)
        if node is None and opcode != abi.INIT:
            self._fail(unique, ESTALE)
            return
        try:
            value = do(self, node, request)
        except Exception as e:
            self._fail(unique, self._number_of(e))
            return
        if type(value) is CoroutineType:
            self._wait(unique, node, value)
        else:
            self._answer(unique, value)

    def close(self) -> None:
        """The mount is gone: end what waits, then give every file back."""
        self._closed = True
        for waiting in list(self._pending.values()):
            if waiting.task is not None:
                waiting.task.cancel()
        if not self._pending:
            self._table.close()

    # --- requests and replies ------------------------------------------------------------------

    def _wait(self, unique: int, node: Node | None, work: Any) -> None:
        waiting = self._pending[unique] = _Waiting(self, unique, node)
        if node is not None:
            node.busy += 1
        task = self._start(work, waiting.done)
        if not waiting.ended:
            waiting.task = task

    def _finished(self, waiting: _Waiting, value: Any, error: BaseException | None) -> None:
        del self._pending[waiting.unique]
        if waiting.node is not None:
            waiting.node.busy -= 1
        if self._closed:
            if not self._pending:
                self._table.close()
        elif error is None:
            self._answer(waiting.unique, value)
        else:
            self._fail(waiting.unique, self._number_of(error))

    def _answer(self, unique: int, data: Reply) -> None:
        self._send([abi.REPLY.pack(abi.REPLY.size + len(data), 0, unique), data])

    def _fail(self, unique: int, error: int) -> None:
        self._send([abi.REPLY.pack(abi.REPLY.size, -error, unique)])

    def _number_of(self, error: BaseException) -> int:
        if isinstance(error, Exception) and not isinstance(error, OSError):
            log.error("a file's code failed: %s", repr(error), exc_info=log.isEnabledFor(logging.DEBUG))
        return number(error)

    def _interrupt(self, nodeid: int, request: memoryview) -> None:
        """FUSE_INTERRUPT: the one who made a request got a signal. What was answered is left alone."""
        (unique,) = abi.INTERRUPT_IN.unpack_from(request, abi.BODY)
        waiting = self._pending.get(unique)
        if waiting is not None and waiting.task is not None:
            waiting.task.cancel()

    def _forget(self, nodeid: int, request: memoryview) -> None:
        (count,) = abi.FORGET_IN.unpack_from(request, abi.BODY)
        self._table.forget(nodeid, count)

    def _forget_many(self, nodeid: int, request: memoryview) -> None:
        count, _ = abi.BATCH_FORGET_IN.unpack_from(request, abi.BODY)
        at = abi.BODY + abi.BATCH_FORGET_IN.size
        for nodeid, lookups in abi.FORGET_ONE.iter_unpack(request[at : at + count * abi.FORGET_ONE.size]):
            self._table.forget(nodeid, lookups)

    # --- what the kernel is told of a file ---------------------------------------------------------

    def _attr_out(self, node: Node, known: Known) -> bytes:
        return abi.ATTR_OUT.pack(*self._timeout, 0) + self._attr(node, known)

    def _entry(self, node: Node, known: Known) -> bytes:
        names = self._timeout
        if node.kind == stat.S_IFDIR and self._believed:
            names = self._directories
            node.believed = time.monotonic() + self._believed
        times = (names[0], self._timeout[0], names[1], self._timeout[1])
        return abi.ENTRY.pack(node.number, 0, *times) + self._attr(node, known)

    def _attr(self, node: Node, known: Known) -> bytes:
        node.inode = known.number
        return attr.attr(known, self._owners)

    # --- the requests: the mount itself --------------------------------------------------------

    def _init(self, node: None, request: memoryview) -> bytes:
        kernel = abi.init_in(request)
        if kernel.major != abi.MAJOR or kernel.minor < abi.OLDEST:
            log.error("the kernel speaks FUSE %d.%d, which is too old", kernel.major, kernel.minor)
            raise OSError(EIO, os.strerror(EIO))
        return abi.init_out(kernel, kernel.flags & _WANTED, MAXWRITE, BACKGROUND, 1)

    def _statfs(self, node: Node, request: memoryview) -> Soon[bytes]:
        found = self._files.statvfs(node.file)
        if isinstance(found, os.statvfs_result | None):
            return attr.statfs(found)
        return self._statfs_later(found)

    async def _statfs_later(self, found: Soon[os.statvfs_result | None]) -> bytes:
        return attr.statfs(await settle(found))

    def _nothing(self, node: Node, request: memoryview) -> bytes:
        return b""

    # --- names ---------------------------------------------------------------------------------

    async def _lookup(self, parent: Node, request: memoryview) -> bytes:
        (name,) = abi.names_in(request, abi.BODY)
        asker = self._asker
        node, known = await self._table.find(parent, name)
        self._last = (asker, node.number, known, time.monotonic())
        return self._entry(node, known)

    async def _make(self, parent: Node, name: str, mode: int, how: int) -> File:
        """A new file, opened as ``how`` says. ``mode`` has S_IFDIR for a directory."""
        directory = await self._table.walk(parent)
        kind = DMDIR if stat.S_ISDIR(mode) else 0
        try:
            perm = mode & 0o777 if self._files.is_native(directory) else attr.keepable(mode)
            made = await self._files.create(directory, name, kind | perm, how)
        except BaseException:
            self._files.clunk(directory)
            raise
        if made is not directory:
            self._files.clunk(directory)
        return made

    async def _made(self, parent: Node, name: str, mode: int) -> tuple[Node, Known]:
        """The node of a file that was just made, and what it is.

        Of what open(5) and our umask have taken away, the host's file gets that back which Linux allows.
        """
        node, known = await self._table.find(parent, name)
        if known.host is not None:
            has = stat.S_IMODE(known.host.st_mode)
            wanted = has & ~0o777 | mode & 0o7777
            if wanted != has:
                with contextlib.suppress(OSError):  # some disks of the host keep no modes
                    await settle(self._files.change(node.file, Change(mode=wanted)))
                    known = await settle(self._files.known(node.file))
        return node, known

    async def _mkdir(self, parent: Node, request: memoryview) -> bytes:
        mode, _ = abi.MKDIR_IN.unpack_from(request, abi.BODY)
        (name,) = abi.names_in(request, abi.BODY + abi.MKDIR_IN.size)
        self._files.clunk(await self._make(parent, name, stat.S_IFDIR | mode, OREAD))
        return self._entry(*await self._made(parent, name, mode))

    async def _mknod(self, parent: Node, request: memoryview) -> bytes:
        mode, device, _, _ = abi.MKNOD_IN.unpack_from(request, abi.BODY)
        (name,) = abi.names_in(request, abi.BODY + abi.MKNOD_IN.size)
        if stat.S_ISREG(mode):
            self._files.clunk(await self._make(parent, name, mode, OREAD))
        else:
            await settle(self._files.mknod(parent.file, name, mode, abi.device_in(device)))
        return self._entry(*await self._made(parent, name, mode))

    async def _create(self, parent: Node, request: memoryview) -> bytes:
        flags, mode, _, _ = abi.CREATE_IN.unpack_from(request, abi.BODY)
        (name,) = abi.names_in(request, abi.BODY + abi.CREATE_IN.size)
        made = True
        try:
            file = await self._make(parent, name, mode, open_mode(flags))
        except OSError as e:
            if flags & os.O_EXCL or number(e) != EEXIST:
                raise
            made = False  # but by somebody else, since the kernel looked
            file = await self._table.open_as(await self._table.walk(parent, name), open_mode(flags))
        try:
            node, known = await (self._made(parent, name, mode) if made else self._table.find(parent, name))
        except BaseException:
            self._files.clunk(file)
            raise
        return self._entry(node, known) + abi.OPEN_OUT.pack(self._table.opened(file, node), _OPEN_FLAGS, 0)

    async def _symlink(self, parent: Node, request: memoryview) -> bytes:
        name, target = abi.names_in(request, abi.BODY)
        await settle(self._files.symlink(parent.file, name, target))
        return self._entry(*await self._table.find(parent, name))

    async def _link(self, parent: Node, request: memoryview) -> bytes:
        (old,) = abi.LINK_IN.unpack_from(request, abi.BODY)
        (name,) = abi.names_in(request, abi.BODY + abi.LINK_IN.size)
        await settle(self._files.link(self._table.node(old).file, parent.file, name))
        return self._entry(*await self._table.find(parent, name))

    async def _readlink(self, node: Node, request: memoryview) -> bytes:
        target = await settle(self._files.readlink(node.file))
        return target.encode("utf-8", "surrogateescape")

    async def _remove(self, parent: Node, request: memoryview) -> bytes:
        """UNLINK and RMDIR; the kernel has looked which of them is right."""
        (name,) = abi.names_in(request, abi.BODY)
        file = await self._table.walk(parent, name)
        try:
            await settle(self._files.remove(file))
        finally:
            self._files.clunk(file)
        self._table.removed(parent, name)
        return b""

    def _rename(self, parent: Node, request: memoryview) -> Soon[bytes]:
        (newdir,) = abi.RENAME_IN.unpack_from(request, abi.BODY)
        old, new = abi.names_in(request, abi.BODY + abi.RENAME_IN.size)
        return self._change_name(parent, newdir, old, new, replace=True)

    def _rename2(self, parent: Node, request: memoryview) -> Soon[bytes]:
        newdir, flags, _ = abi.RENAME2_IN.unpack_from(request, abi.BODY)
        old, new = abi.names_in(request, abi.BODY + abi.RENAME2_IN.size)
        if flags & ~abi.RENAME_NOREPLACE:
            raise OSError(EINVAL, os.strerror(EINVAL))
        return self._change_name(parent, newdir, old, new, replace=not flags)

    async def _change_name(self, parent: Node, newdir: int, old: str, new: str, replace: bool) -> bytes:
        """Rename a file. mv(1) copies it when it hears EXDEV."""
        directory = None if newdir == parent.number else self._table.node(newdir).file
        file = await self._table.walk(parent, old)
        try:
            if not await self._files.rename(file, directory, new, replace):
                if directory is not None:
                    raise OSError(EXDEV, os.strerror(EXDEV))
                await self._rename_by_wstat(parent, file, new, replace)
        finally:
            self._files.clunk(file)
        self._table.renamed(parent, old, newdir, new)
        return b""

    async def _rename_by_wstat(self, parent: Node, file: File, new: str, replace: bool) -> None:
        """Rename in one directory, which is all that 9P can (stat(5))."""
        change = Dir.dont_touch(name=new)
        try:
            await settle(self._files.wstat(file, change))
        except OSError as e:
            if not replace or number(e) != EEXIST:
                raise
            await self._make_room(parent, file, new)
            await settle(self._files.wstat(file, change))

    async def _make_room(self, parent: Node, file: File, name: str) -> None:
        """Remove what has the name that ``file`` shall get, if Linux lets the one replace the other."""
        target = await self._table.walk(parent, name)
        try:
            if (target.qid.type ^ file.qid.type) & QTDIR:
                wrong = EISDIR if target.qid.type & QTDIR else ENOTDIR
                raise OSError(wrong, os.strerror(wrong))
            await settle(self._files.remove(target))
        finally:
            self._files.clunk(target)

    # --- attributes ----------------------------------------------------------------------------

    def _just_told(self, node: Node) -> Known | None:
        """What its LOOKUP has told of a file, if a question of the same process about that comes next.

        Linux makes one stat(2), access(2) or chmod(2) of the two.
        """
        last, self._last = self._last, None
        if last is not None and last[:2] == (self._asker, node.number) and time.monotonic() < last[3] + SAME:
            return last[2]
        return None

    def _getattr(self, node: Node, request: memoryview) -> Soon[bytes]:
        just = self._just_told(node)
        if just is not None:
            return self._attr_out(node, just)
        known = self._table.known(node)
        return self._attr_out(node, known) if type(known) is Known else self._getattr_later(node, known)

    async def _getattr_later(self, node: Node, known: Soon[Known]) -> bytes:
        return self._attr_out(node, await settle(known))

    async def _setattr(self, node: Node, request: memoryview) -> bytes:
        values = abi.SETATTR_IN.unpack_from(request, abi.BODY)
        valid, fh = values[0], values[2]
        file = self._table.handle(fh).file if valid & abi.FATTR_FH else node.file
        just = self._just_told(node)
        try:
            before = await settle(self._files.known(file)) if just is None else just
        except OSError:
            if file is not node.file or not node.handles:
                raise
            file = node.any_handle.file  # it was removed, and is still open
            before = await settle(self._files.known(file))
        if await self._change(file, values, before):
            before = await settle(self._files.known(file))
        return self._attr_out(node, before)

    async def _change(self, file: File, values: Sequence[int], before: Known) -> bool:
        """Do what a SETATTR asks for; returns whether that was anything."""
        if before.host is None:
            change, more = attr.by_wstat(values, before, self._owners), Change()
        else:
            change, more = attr.length(values), attr.by_host(values)
        if change.touched():
            try:
                await settle(self._files.wstat(file, change))
            except OSError:
                if not truncated_already(change, before.dir):
                    raise
        if more != Change():
            await settle(self._files.change(file, more))
            return True
        return bool(change.touched())

    async def _access(self, node: Node, request: memoryview) -> bytes:
        """access(2) and chdir(2); open(2) asks for itself."""
        mask, _ = abi.ACCESS_IN.unpack_from(request, abi.BODY)
        _, _, _, _, uid, _, _, _ = abi.HEADER.unpack_from(request)
        just = self._just_told(node)
        known = await settle(self._table.known(node)) if just is None else just
        if known.host is None:
            allowed = not mask & ~attr.granted(known, uid == 0)
        else:
            allowed = await settle(self._files.access(node.file, mask))
        if not allowed:
            raise OSError(EACCES, os.strerror(EACCES))
        return b""

    # --- open files ----------------------------------------------------------------------------

    async def _open(self, node: Node, request: memoryview) -> bytes:
        flags, _ = abi.OPEN_IN.unpack_from(request, abi.BODY)
        file = await self._table.open_as(await self._table.walk(node), open_mode(flags))
        return abi.OPEN_OUT.pack(self._table.opened(file, node), _OPEN_FLAGS, 0)

    async def _opendir(self, node: Node, request: memoryview) -> bytes:
        file = await self._table.open_as(await self._table.walk(node), OREAD)
        return abi.OPEN_OUT.pack(self._table.opened(file, node), 0, 0)

    def _release(self, node: Node, request: memoryview) -> bytes:
        fh, _, _, _ = abi.RELEASE_IN.unpack_from(request, abi.BODY)
        self._table.release(fh)
        return b""

    def _read(self, node: Node, request: memoryview) -> Soon[Reply]:
        fh, offset, size, _, _, _, _ = abi.READ_IN.unpack_from(request, abi.BODY)
        file = self._table.handle(fh).file
        data = self._files.read(file, size, offset)
        if 0 < file.iounit < size and not file.qid.type & ~QTTMP:
            return self._read_on(file, size, offset, data)
        return data

    async def _read_on(self, file: File, size: int, offset: int, first: Soon[Reply]) -> Reply:
        """A read that takes several messages; one that is too short would mean the end of a plain file."""
        data: Reply = await settle(first)
        if not file.iounit <= len(data) < size:
            return data
        d = await settle(self._files.stat(file))
        out = bytearray(data)
        while len(out) < size and offset + len(out) < d.length:
            piece: Reply = await settle(self._files.read(file, size - len(out), offset + len(out)))
            if not piece:
                break
            out += piece
        return out

    def _write(self, node: Node, request: memoryview) -> Soon[bytes]:
        fh, offset, size, _, _, flags, _ = abi.WRITE_IN.unpack_from(request, abi.BODY)
        at = abi.BODY + abi.WRITE_IN.size
        data = memoryview(bytes(request[at : at + size]))
        file = self._table.handle(fh).file
        if flags & os.O_APPEND and not file.qid.type & QTAPPEND:
            return self._append(file, data)
        written = self._files.write(file, data, offset)
        return abi.WRITE_OUT.pack(written, 0) if type(written) is int else self._written(written)

    async def _written(self, written: Soon[int]) -> bytes:
        return abi.WRITE_OUT.pack(await settle(written), 0)

    async def _append(self, file: File, data: memoryview) -> bytes:
        """The kernel's idea of where the end is may be old."""
        d = await settle(self._files.stat(file))
        return await self._written(self._files.write(file, data, d.length))

    async def _fsync(self, node: Node, request: memoryview) -> bytes:
        """A wstat that changes nothing asks for this (stat(5)); a server that refuses it has no disk."""
        fh, _, _ = abi.FSYNC_IN.unpack_from(request, abi.BODY)
        file = self._table.handle(fh).file
        try:
            await settle(self._files.wstat(file, Dir.dont_touch()))
        except PermissionError:
            pass
        return b""

    # --- directories ---------------------------------------------------------------------------

    async def _readdir(self, node: Node, request: memoryview) -> bytes:
        """Entries from the one with the number ``offset`` on, of those that there were at the beginning."""
        fh, offset, size, _, _, _, _ = abi.READ_IN.unpack_from(request, abi.BODY)
        handle = self._table.handle(fh)
        if handle.entries is None or offset == 0:
            handle.entries = self._entries(handle, await self._files.listing(handle.file))
        out = bytearray()
        for cookie, (ino, kind, name) in enumerate(handle.entries[offset:], offset + 1):
            if len(out) + abi.DIRENT.size + (len(name) + 7 & ~7) > size:
                break
            out += abi.dirent(ino, cookie, kind, name)
        return bytes(out)

    def _entries(self, handle: Handle, found: list[Entry]) -> list[tuple[int, int, bytes]]:
        """All of a directory. What a union has twice is seen once, and what has no possible name is not."""
        above = self._table.get(handle.node.key[0]) or handle.node
        entries = {b".": (handle.node.inode, stat.S_IFDIR), b"..": (above.inode, stat.S_IFDIR)}
        for name, ino, kind in found:
            if name and "/" not in name and "\0" not in name:
                entries.setdefault(name.encode("utf-8", "surrogateescape"), (ino, kind))
        return [(ino, kind, name) for name, (ino, kind) in entries.items()]


def _time(seconds: float) -> tuple[int, int]:
    """A time in seconds and nanoseconds."""
    return divmod(round(seconds * attr.SECOND), attr.SECOND)


_REQUESTS: dict[int, Callable[[Any, Any, memoryview], Any]] = {
    abi.INIT: Session._init,
    abi.DESTROY: Session._nothing,
    abi.STATFS: Session._statfs,
    abi.LOOKUP: Session._lookup,
    abi.GETATTR: Session._getattr,
    abi.SETATTR: Session._setattr,
    abi.MKNOD: Session._mknod,
    abi.MKDIR: Session._mkdir,
    abi.CREATE: Session._create,
    abi.UNLINK: Session._remove,
    abi.RMDIR: Session._remove,
    abi.RENAME: Session._rename,
    abi.RENAME2: Session._rename2,
    abi.LINK: Session._link,
    abi.SYMLINK: Session._symlink,
    abi.READLINK: Session._readlink,
    abi.ACCESS: Session._access,
    abi.OPEN: Session._open,
    abi.OPENDIR: Session._opendir,
    abi.RELEASE: Session._release,
    abi.RELEASEDIR: Session._release,
    abi.READ: Session._read,
    abi.WRITE: Session._write,
    abi.FSYNC: Session._fsync,
    abi.READDIR: Session._readdir,
}
"""What is answered. For anything else ENOSYS tells the kernel to do without."""

_SILENT: dict[int, Callable[[Any, int, memoryview], None]] = {
    abi.FORGET: Session._forget,
    abi.BATCH_FORGET: Session._forget_many,
    abi.INTERRUPT: Session._interrupt,
}
"""What gets no reply."""
