"""What the kernel asks for over FUSE, done with the files of a 9P server; pure, like `nsh.p9.server`.

A `Session` is fed the requests of one mount and hands out the replies. It drives the same interface
`nsh.p9.files.Files` as a session of 9P does, so whatever can be exported can be mounted. Reading
/dev/fuse and mounting are not known here.

The kernel names a file by its nodeid, a `Node` here: a file that was walked to, by the name that it has in
its directory. A nodeid is not the file's qid, since what is bound in two places must be two directories
for Linux. An open file is a `Handle`, with an F of its own. Both stay until the kernel gives them back.

Each request has a function. It returns the reply's data, or is a coroutine of it: that is stepped at once,
and only if it has to wait does it become a task, which FUSE_INTERRUPT cancels. Everything in a request is
taken out of it before anything is waited for, because its memory is used again.

Nothing is remembered of names and attributes, here or in the kernel, unless `Session` is told so: every use
of a name walks, every stat asks, every read reads.
"""

from __future__ import annotations

import itertools
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from errno import EBADF, EEXIST, EINVAL, EIO, EISDIR, ENOENT, ENOSYS, ENOTDIR, EPERM, ESTALE, EXDEV
from types import CoroutineType
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from nsh.kern.chan import settle
from nsh.net.fuse import abi
from nsh.net.fuse.errnos import number
from nsh.net.fuse.node import Handle, Node, file_type, inode, open_mode, same, truncated_already
from nsh.p9.const import DMDIR, OREAD, QTAPPEND, QTDIR, QTTMP
from nsh.p9.files import F, Files, Soon
from nsh.p9.msg import Buffer
from nsh.p9.server import Handle as Task
from nsh.p9.server import Start
from nsh.p9.stat import Dir, unpack_dirs

T = TypeVar("T")

log = logging.getLogger("nsh.fuse")

MAXWRITE = 1 << 20
"""Bytes of the largest read or write; the kernel has no larger ones."""
BACKGROUND = 4096
"""Requests that the kernel may have under way for nobody in particular."""
SECOND = 1_000_000_000
"""Nanoseconds; 9P counts time in seconds."""
SAME = 0.001
"""Seconds in which a second question of a process, with no other in between, belongs to the first."""
BLOCK = 4096
"""Bytes of a block, as stat and statfs tell it."""
FREE = 1 << 30
"""Blocks and files that a server is said to have room for: 9P does not tell."""
LISTING = 1 << 16
"""Bytes of directory entries that are asked for at a time."""

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


class Numbers(Protocol):
    """Who a file belongs to, in numbers."""

    def numbers(self, d: Dir) -> tuple[int, int]:
        """The uid and the gid."""

    def group(self, gid: int) -> str:
        """The name of a group."""


class _Waiting:
    """A request whose coroutine is under way."""

    __slots__ = ("ended", "node", "session", "task", "unique")

    def __init__(self, session: Session[Any], unique: int, node: Node[Any] | None) -> None:
        self.session = session
        self.unique = unique
        self.node = node
        self.task: Task | None = None
        self.ended = False

    def done(self, value: Any, error: BaseException | None) -> None:
        self.ended = True
        self.session._finished(self, value, error)


class Session(Generic[F]):
    """One mount: `feed` it requests; each reply goes to ``send``, at once or later.

    ``root``: what is mounted, taken over; ``timeout``: seconds for which the kernel may believe what it was
    told of names and attributes; ``trust``: seconds for which we believe that a name still stands for the
    file that it was walked to, as long as that file is there and has this name, which spares a server
    walks. Neither `feed` nor `close` waits.
    """

    def __init__(
        self,
        files: Files[F],
        root: F,
        start: Start,
        send: Send,
        owners: Numbers,
        timeout: float = 0.0,
        trust: float = 0.0,
    ) -> None:
        self._files = files
        self._trust = trust
        self._start = start
        self._send = send
        self._owners = owners
        self._timeout = divmod(round(timeout * SECOND), SECOND)
        top = Node(abi.ROOT, root, (0, ""))
        self._nodes: dict[int, Node[F]] = {abi.ROOT: top}
        self._names: dict[tuple[int, str], Node[F]] = {}
        self._handles: dict[int, Handle[F]] = {}
        self._number = itertools.count(abi.ROOT + 1).__next__
        self._pending: dict[int, _Waiting] = {}
        self._closed = False
        self._asker = 0  # the process that made the request which is looked at
        self._last: tuple[int, int, Dir, float] | None = None

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
        if opcode != abi.GETATTR:
            self._last = None
        node = self._nodes.get(nodeid)
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
            self._give_back()

    # --- requests and replies ------------------------------------------------------------------

    def _wait(self, unique: int, node: Node[F] | None, work: Any) -> None:
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
                self._give_back()
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
            log.error("a file's code failed: %r", error, exc_info=log.isEnabledFor(logging.DEBUG))
        return number(error)

    def _give_back(self) -> None:
        """Clunk everything."""
        nodes, self._nodes = self._nodes, {}
        handles, self._handles = self._handles, {}
        for file in [handle.file for handle in handles.values()] + [node.file for node in nodes.values()]:
            self._files.clunk(file)

    def _interrupt(self, nodeid: int, request: memoryview) -> None:
        """FUSE_INTERRUPT: the one who made a request got a signal. What was answered is left alone."""
        (unique,) = abi.INTERRUPT_IN.unpack_from(request, abi.BODY)
        waiting = self._pending.get(unique)
        if waiting is not None and waiting.task is not None:
            waiting.task.cancel()

    def _forget(self, nodeid: int, request: memoryview) -> None:
        (count,) = abi.FORGET_IN.unpack_from(request, abi.BODY)
        self._unreference(nodeid, count)

    def _forget_many(self, nodeid: int, request: memoryview) -> None:
        count, _ = abi.BATCH_FORGET_IN.unpack_from(request, abi.BODY)
        at = abi.BODY + abi.BATCH_FORGET_IN.size
        for nodeid, lookups in abi.FORGET_ONE.iter_unpack(request[at : at + count * abi.FORGET_ONE.size]):
            self._unreference(nodeid, lookups)

    def _unreference(self, nodeid: int, count: int) -> None:
        node = self._nodes.get(nodeid)
        if node is None or nodeid == abi.ROOT:
            return
        node.lookups -= count
        if node.lookups <= 0:
            del self._nodes[nodeid]
            if self._names.get(node.key) is node:
                del self._names[node.key]
            self._files.clunk(node.file)

    # --- what all have in common ---------------------------------------------------------------

    async def _walk(self, node: Node[F], *names: str) -> F:
        """An F for the file called ``names`` below a node; without names, another F for the node's."""
        file, _ = await settle(self._files.walk(node.file, names))
        if file is None:
            raise OSError(ENOENT, os.strerror(ENOENT))
        return file

    async def _open_as(self, file: F, mode: int) -> F:
        """``file`` opened; it is taken over."""
        try:
            opened = await settle(self._files.open(file, mode))
        except BaseException:
            self._files.clunk(file)
            raise
        if opened is not file:
            self._files.clunk(file)
        return opened

    async def _find(self, parent: Node[F], name: str) -> tuple[Node[F], Dir]:
        """The node of what is called ``name`` in a directory, referred to once more, and what it is."""
        node = self._names.get((parent.number, name))
        if node is not None and time.monotonic() < node.walked + self._trust:
            d = await self._still(node, name)
            if d is not None:
                node.lookups += 1
                return node, d
        file = await self._walk(parent, name)
        try:
            d = await settle(self._files.stat(file))
        except BaseException:
            self._files.clunk(file)
            raise
        return self._enter(parent, name, file), d

    async def _still(self, node: Node[F], name: str) -> Dir | None:
        """What a known file is, if it is there and still called ``name``."""
        try:
            d = await settle(self._files.stat(node.file))
        except OSError:
            return None
        known = self._nodes.get(node.number) is node
        return d if known and d.name == name and same(d.qid, node.file.qid) else None

    def _enter(self, parent: Node[F], name: str, file: F) -> Node[F]:
        """The node of ``file``, which is taken over: the newest way to a file is the best one."""
        key = (parent.number, name)
        node = self._names.get(key)
        if node is None or not same(node.file.qid, file.qid):
            made = self._number()
            node = self._nodes[made] = self._names[key] = Node(made, file, key)
        elif node.busy:
            self._files.clunk(file)
        else:
            old, node.file = node.file, file
            self._files.clunk(old)
        node.lookups += 1
        node.walked = time.monotonic()
        return node

    def _opened(self, file: F, node: Node[F]) -> int:
        """The number of a new handle."""
        fh = self._number()
        self._handles[fh] = node.handles[fh] = Handle(file, node)
        return fh

    def _handle(self, fh: int) -> Handle[F]:
        handle = self._handles.get(fh)
        if handle is None:
            raise OSError(EBADF, os.strerror(EBADF))
        return handle

    def _stat(self, node: Node[F]) -> Soon[Dir]:
        """What a file is, also when it was removed and is still open."""
        try:
            d = self._files.stat(node.file)
        except OSError:
            if not node.handles:
                raise
            return self._files.stat(next(iter(node.handles.values())).file)
        if type(d) is not Dir and node.handles:
            return self._stat_removed(node, d)
        return d

    async def _stat_removed(self, node: Node[F], work: Soon[Dir]) -> Dir:
        try:
            return await settle(work)
        except OSError:
            if not node.handles:
                raise
            return await settle(self._files.stat(next(iter(node.handles.values())).file))

    def _attr(self, d: Dir) -> bytes:
        """What the kernel wants to know of a file."""
        uid, gid = self._owners.numbers(d)
        kind = stat.S_IFDIR if d.mode & DMDIR else stat.S_IFREG
        blocks = (d.length + BLOCK - 1) // BLOCK * (BLOCK // 512)
        return abi.ATTR.pack(
            *(inode(d.qid), d.length, blocks, d.atime, d.mtime, d.mtime, 0, 0, 0),
            *(kind | d.mode & 0o777, 1, uid, gid, 0, BLOCK, 0),
        )

    def _attr_out(self, d: Dir) -> bytes:
        seconds, nanoseconds = self._timeout
        return abi.ATTR_OUT.pack(seconds, nanoseconds, 0) + self._attr(d)

    def _entry(self, node: Node[F], d: Dir) -> bytes:
        seconds, nanoseconds = self._timeout
        times = (seconds, seconds, nanoseconds, nanoseconds)
        return abi.ENTRY.pack(node.number, 0, *times) + self._attr(d)

    # --- the requests: the mount itself --------------------------------------------------------

    def _init(self, node: None, request: memoryview) -> bytes:
        kernel = abi.init_in(request)
        if kernel.major != abi.MAJOR or kernel.minor < abi.OLDEST:
            log.error("the kernel speaks FUSE %d.%d, which is too old", kernel.major, kernel.minor)
            raise OSError(EIO, os.strerror(EIO))
        return abi.init_out(kernel, kernel.flags & _WANTED, MAXWRITE, BACKGROUND, SECOND)

    def _statfs(self, node: Node[F], request: memoryview) -> bytes:
        return abi.STATFS_OUT.pack(FREE, FREE, FREE, FREE, FREE, BLOCK, 255, BLOCK, 0)

    def _nothing(self, node: Node[F], request: memoryview) -> bytes:
        return b""

    # --- names ---------------------------------------------------------------------------------

    async def _lookup(self, parent: Node[F], request: memoryview) -> bytes:
        (name,) = abi.names_in(request, abi.BODY)
        asker = self._asker
        node, d = await self._find(parent, name)
        self._last = (asker, node.number, d, time.monotonic())
        return self._entry(node, d)

    async def _make(self, parent: Node[F], name: str, perm: int, mode: int) -> F:
        """A new file, open."""
        directory = await self._walk(parent)
        try:
            made = await settle(self._files.create(directory, name, perm, mode))
        except BaseException:
            self._files.clunk(directory)
            raise
        if made is not directory:
            self._files.clunk(directory)
        return made

    async def _mkdir(self, parent: Node[F], request: memoryview) -> bytes:
        mode, _ = abi.MKDIR_IN.unpack_from(request, abi.BODY)
        (name,) = abi.names_in(request, abi.BODY + abi.MKDIR_IN.size)
        self._files.clunk(await self._make(parent, name, DMDIR | mode & 0o777, OREAD))
        return self._entry(*await self._find(parent, name))

    async def _mknod(self, parent: Node[F], request: memoryview) -> bytes:
        mode, _, _, _ = abi.MKNOD_IN.unpack_from(request, abi.BODY)
        (name,) = abi.names_in(request, abi.BODY + abi.MKNOD_IN.size)
        if not stat.S_ISREG(mode):
            raise OSError(EPERM, os.strerror(EPERM))
        self._files.clunk(await self._make(parent, name, mode & 0o777, OREAD))
        return self._entry(*await self._find(parent, name))

    async def _create(self, parent: Node[F], request: memoryview) -> bytes:
        flags, mode, _, _ = abi.CREATE_IN.unpack_from(request, abi.BODY)
        (name,) = abi.names_in(request, abi.BODY + abi.CREATE_IN.size)
        try:
            file = await self._make(parent, name, mode & 0o777, open_mode(flags))
        except OSError as e:
            if flags & os.O_EXCL or number(e) != EEXIST:
                raise
            # somebody else has made it since the kernel looked
            file = await self._open_as(await self._walk(parent, name), open_mode(flags))
        try:
            node, d = await self._find(parent, name)
        except BaseException:
            self._files.clunk(file)
            raise
        return self._entry(node, d) + abi.OPEN_OUT.pack(self._opened(file, node), _OPEN_FLAGS, 0)

    async def _remove(self, parent: Node[F], request: memoryview) -> bytes:
        """UNLINK and RMDIR; the kernel has looked which of them is right."""
        (name,) = abi.names_in(request, abi.BODY)
        file = await self._walk(parent, name)
        try:
            await settle(self._files.remove(file))
        finally:
            self._files.clunk(file)
        self._names.pop((parent.number, name), None)
        return b""

    def _rename(self, parent: Node[F], request: memoryview) -> Soon[bytes]:
        (newdir,) = abi.RENAME_IN.unpack_from(request, abi.BODY)
        old, new = abi.names_in(request, abi.BODY + abi.RENAME_IN.size)
        return self._change_name(parent, newdir, old, new, replace=True)

    def _rename2(self, parent: Node[F], request: memoryview) -> Soon[bytes]:
        newdir, flags, _ = abi.RENAME2_IN.unpack_from(request, abi.BODY)
        old, new = abi.names_in(request, abi.BODY + abi.RENAME2_IN.size)
        if flags & ~abi.RENAME_NOREPLACE:
            raise OSError(EINVAL, os.strerror(EINVAL))
        return self._change_name(parent, newdir, old, new, replace=not flags)

    async def _change_name(self, parent: Node[F], newdir: int, old: str, new: str, replace: bool) -> bytes:
        """Rename in one directory, which is all that 9P can (stat(5)); mv(1) copies when it hears EXDEV."""
        if newdir != parent.number:
            raise OSError(EXDEV, os.strerror(EXDEV))
        file = await self._walk(parent, old)
        change = Dir.dont_touch(name=new)
        try:
            try:
                await settle(self._files.wstat(file, change))
            except OSError as e:
                if not replace or number(e) != EEXIST:
                    raise
                await self._make_room(parent, file, new)
                await settle(self._files.wstat(file, change))
        finally:
            self._files.clunk(file)
        self._names.pop((newdir, new), None)
        moved = self._names.pop((newdir, old), None)
        if moved is not None:
            moved.key = (newdir, new)
            self._names[moved.key] = moved
        return b""

    async def _make_room(self, parent: Node[F], file: F, name: str) -> None:
        """Remove what has the name that ``file`` shall get, if Linux lets the one replace the other."""
        target = await self._walk(parent, name)
        try:
            if (target.qid.type ^ file.qid.type) & QTDIR:
                wrong = EISDIR if target.qid.type & QTDIR else ENOTDIR
                raise OSError(wrong, os.strerror(wrong))
            await settle(self._files.remove(target))
        finally:
            self._files.clunk(target)

    def _no_links(self, node: Node[F], request: memoryview) -> bytes:
        """9P2000 has neither symbolic nor hard links."""
        raise OSError(EPERM, os.strerror(EPERM))

    # --- attributes ----------------------------------------------------------------------------

    def _getattr(self, node: Node[F], request: memoryview) -> Soon[bytes]:
        """Linux makes one stat(2) a LOOKUP and a GETATTR; the answer of the first will do for both."""
        last, self._last = self._last, None
        if last is not None and last[:2] == (self._asker, node.number) and time.monotonic() < last[3] + SAME:
            return self._attr_out(last[2])
        d = self._stat(node)
        return self._attr_out(d) if type(d) is Dir else self._getattr_later(d)

    async def _getattr_later(self, d: Soon[Dir]) -> bytes:
        return self._attr_out(await settle(d))

    async def _setattr(self, node: Node[F], request: memoryview) -> bytes:
        values = abi.SETATTR_IN.unpack_from(request, abi.BODY)
        valid, fh = values[0], values[2]
        handle = self._handles.get(fh) if valid & abi.FATTR_FH else None
        file = node.file if handle is None else handle.file
        try:
            before = await settle(self._files.stat(file))
        except OSError:
            if handle is not None or not node.handles:
                raise
            file = next(iter(node.handles.values())).file  # it was removed, and is still open
            before = await settle(self._files.stat(file))
        change = self._change(valid, values, before)
        if change.touched():
            try:
                await settle(self._files.wstat(file, change))
            except OSError:
                if not truncated_already(change, before):
                    raise
            before = await settle(self._files.stat(file))
        return self._attr_out(before)

    def _change(self, valid: int, values: Sequence[int], d: Dir) -> Dir:
        """The wstat for a SETATTR of the file ``d``. Errors: EPERM for what 9P cannot change."""
        _, _, _, size, _, atime, mtime, _, _, _, _, mode, _, uid, gid, _ = values
        now = int(time.time())
        new: dict[str, Any] = {}
        if valid & abi.FATTR_MODE:
            new["mode"] = d.mode & ~0o777 | mode & 0o777
        if valid & abi.FATTR_SIZE:
            new["length"] = size
        if valid & abi.FATTR_ATIME:
            new["atime"] = now if valid & abi.FATTR_ATIME_NOW else _seconds(atime)
        if valid & abi.FATTR_MTIME:
            new["mtime"] = now if valid & abi.FATTR_MTIME_NOW else _seconds(mtime)
        owner, group = self._owners.numbers(d)
        if valid & abi.FATTR_UID and uid != owner:
            raise OSError(EPERM, os.strerror(EPERM))
        if valid & abi.FATTR_GID and gid != group:
            new["gid"] = self._owners.group(gid)
        return Dir.dont_touch(**new)

    # --- open files ----------------------------------------------------------------------------

    async def _open(self, node: Node[F], request: memoryview) -> bytes:
        flags, _ = abi.OPEN_IN.unpack_from(request, abi.BODY)
        file = await self._open_as(await self._walk(node), open_mode(flags))
        return abi.OPEN_OUT.pack(self._opened(file, node), _OPEN_FLAGS, 0)

    async def _opendir(self, node: Node[F], request: memoryview) -> bytes:
        file = await self._open_as(await self._walk(node), OREAD)
        return abi.OPEN_OUT.pack(self._opened(file, node), 0, 0)

    def _release(self, node: Node[F], request: memoryview) -> bytes:
        fh, _, _, _ = abi.RELEASE_IN.unpack_from(request, abi.BODY)
        handle = self._handle(fh)
        del self._handles[fh], handle.node.handles[fh]
        self._files.clunk(handle.file)
        return b""

    def _read(self, node: Node[F], request: memoryview) -> Soon[Reply]:
        fh, offset, size, _, _, _, _ = abi.READ_IN.unpack_from(request, abi.BODY)
        file = self._handle(fh).file
        data = self._files.read(file, size, offset)
        if 0 < file.iounit < size and not file.qid.type & ~QTTMP:
            return self._read_on(file, size, offset, data)
        return data

    async def _read_on(self, file: F, size: int, offset: int, first: Soon[Reply]) -> Reply:
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

    def _write(self, node: Node[F], request: memoryview) -> Soon[bytes]:
        fh, offset, size, _, _, flags, _ = abi.WRITE_IN.unpack_from(request, abi.BODY)
        at = abi.BODY + abi.WRITE_IN.size
        data = memoryview(bytes(request[at : at + size]))
        file = self._handle(fh).file
        if flags & os.O_APPEND and not file.qid.type & QTAPPEND:
            return self._append(file, data)
        written = self._files.write(file, data, offset)
        return abi.WRITE_OUT.pack(written, 0) if type(written) is int else self._written(written)

    async def _written(self, written: Soon[int]) -> bytes:
        return abi.WRITE_OUT.pack(await settle(written), 0)

    async def _append(self, file: F, data: memoryview) -> bytes:
        """The kernel's idea of where the end is may be old."""
        d = await settle(self._files.stat(file))
        return await self._written(self._files.write(file, data, d.length))

    async def _fsync(self, node: Node[F], request: memoryview) -> bytes:
        """A wstat that changes nothing asks for this (stat(5)); a server that refuses it has no disk."""
        fh, _, _ = abi.FSYNC_IN.unpack_from(request, abi.BODY)
        file = self._handle(fh).file
        try:
            await settle(self._files.wstat(file, Dir.dont_touch()))
        except PermissionError:
            pass
        return b""

    # --- directories ---------------------------------------------------------------------------

    async def _readdir(self, node: Node[F], request: memoryview) -> bytes:
        """Entries from the one with the number ``offset`` on, of those that there were at the beginning."""
        fh, offset, size, _, _, _, _ = abi.READ_IN.unpack_from(request, abi.BODY)
        handle = self._handle(fh)
        if handle.entries is None or offset == 0:
            handle.entries = await self._list(handle)
        out = bytearray()
        for cookie, (ino, kind, name) in enumerate(handle.entries[offset:], offset + 1):
            if len(out) + abi.DIRENT.size + (len(name) + 7 & ~7) > size:
                break
            out += abi.dirent(ino, cookie, kind, name)
        return bytes(out)

    async def _list(self, handle: Handle[F]) -> list[tuple[int, int, bytes]]:
        """All of a directory. What a union has twice is seen once, and what has no possible name is not."""
        above = self._nodes.get(handle.node.key[0], handle.node)
        found = {b".": handle.file.qid, b"..": above.file.qid}
        at = 0
        while data := await settle(self._files.read(handle.file, LISTING, at)):
            at += len(data)
            for d in unpack_dirs(bytes(data)):
                if d.name and "/" not in d.name and "\0" not in d.name:
                    found.setdefault(d.name.encode("utf-8", "surrogateescape"), d.qid)
        return [(inode(qid), file_type(qid), name) for name, qid in found.items()]


def _seconds(time: int) -> int:
    """A time of Linux, 64 bits with a sign, as 9P can tell it: from 1970 to 2106."""
    return min(max(time - (time >> 63 << 64), 0), 0xFFFFFFFE)  # one more would mean "as it is"


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
    abi.LINK: Session._no_links,
    abi.SYMLINK: Session._no_links,
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
