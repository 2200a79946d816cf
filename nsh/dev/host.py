"""`#U`, fs(3): the files of the host, as they are.

A Chan of this device holds the file's name on the host, which follows when the file, or a directory above
it, is renamed through this device. When others rename files nothing is mistaken: before anything is done
to a file, what has its name is compared with what was walked to (`HostDevice._there`).

Symbolic links are followed, except where the link itself is meant (remove, rename) or leads nowhere;
``..`` takes the last element of the name off, so it leads back out of a link. Owners and groups are
shown by name. A name that is not UTF-8 keeps its bytes; a control character, which no name may have in
9P, is shown as its symbol (`_SHOWN`), and found by that.

Nothing here waits in the event loop: a regular file is read at once when its pages are in memory and
in a thread when not; a FIFO, a terminal or another device is opened without blocking and read when
the loop says that it is ready. How a file is opened and read is told in `OpenFile`; this module knows
nothing of other devices, nor how a program is started in a directory (`host_path` is all it takes).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import select
import stat as unix
from collections.abc import Callable, Generator, Iterator
from types import CoroutineType
from typing import Any, ParamSpec, TypeVar, cast

from nsh import errors
from nsh.dev.hostid import HostQids, Node, Nodes
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import AEXEC, AWRITE, Device, DirReader, access_needed, check_permission
from nsh.kern.proc import System
from nsh.p9.const import DMDIR, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR
from nsh.p9.stat import Dir, Qid

_FLAGS = {OREAD: os.O_RDONLY, OWRITE: os.O_WRONLY, ORDWR: os.O_RDWR, OEXEC: os.O_RDONLY}
_ALWAYS = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_KEPT = DMDIR | 0o777
"""Those bits of a mode that the host can keep, and that do not endanger it."""
_SHOWN = {c: 0x2400 + c for c in range(0x20)} | {0x7F: 0x2421}
"""The symbol, as Unicode has it, that stands for each control character in a name."""
_MEANT = {symbol: c for c, symbol in _SHOWN.items() if c}
_END = (1 << 63) - 1
"""Where the host's offsets end."""

P = ParamSpec("P")
T = TypeVar("T")
RETRY = 0.05
"""Seconds between two attempts to open a FIFO for writing that nobody reads yet."""


def host_path(c: Chan) -> str | None:
    """The name on the host of the file ``c``, None if it is not a host file."""
    return c.aux.node.path if isinstance(c.dev, HostDevice) else None


@functools.cache
def user_name(uid: int) -> str:
    """The name of a user of the host, its number if it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@functools.cache
def group_name(gid: int) -> str:
    """The name of a group of the host, its number if it has none."""
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _group_number(name: str) -> int:
    import grp

    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise errors.P9Error("unknown user or group id") from None


def _status(file: str | int) -> os.stat_result:
    """The state of a file; a link that leads nowhere, or in a circle, stands for itself."""
    try:
        return os.stat(file)
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        return os.stat(file, follow_symlinks=False)


def _shown(name: str) -> str:
    """A name of the host as a name in 9P."""
    return name if name.isprintable() else name.translate(_SHOWN)


def _check_own(status: os.stat_result, want: int) -> None:
    """Raise `Eperm` if the superuser lacks the permissions ``want`` for a file of his own.

    The host asks him for none. intro(5) makes no exception for an owner, nor does Inferno; a file of
    somebody else is his as the host decides, as it decides everything for others.
    """
    if status.st_uid == 0 and os.geteuid() == 0:
        check_permission("", "", "", status.st_mode & 0o777, want)


def _check_mode(mode: int) -> None:
    """Raise for a mode that the host would not keep: append-only, exclusive use, setuid, ..."""
    if mode & ~_KEPT:
        raise errors.P9Error("mode not supported: the host keeps permissions only")


class OpenFile:
    """An open descriptor of the host, with the ways to read and write it that never hold up the loop."""

    def __init__(self, fd: int, mode: int) -> None:
        self.fd = fd
        self.regular = unix.S_ISREG(mode)
        self._fifo = unix.S_ISFIFO(mode)
        self._nowait = True
        self._users = 1
        self._reading = asyncio.Lock()
        self._writing = asyncio.Lock()

    def close(self) -> None:
        """Give up the descriptor; it is closed when no thread uses it any more."""
        self._users -= 1
        if self._users == 0:
            os.close(self.fd)

    # --- regular files -------------------------------------------------------------------------

    def read_at(self, count: int, offset: int) -> Maybe[bytes]:
        """Bytes of a regular file: at once if they are in memory, else by a thread."""
        size = os.fstat(self.fd).st_size
        count = min(count, _END - offset)
        if count <= 0:
            return b""
        if not size:  # a file of /proc, say, that is as long as it turns out to be
            return os.pread(self.fd, count, offset)
        count = min(count, size - offset)
        if count <= 0:
            return b""
        if self._nowait:
            buffer = bytearray(count)
            try:
                done = os.preadv(self.fd, [buffer], offset, os.RWF_NOWAIT)
                if done == count:
                    return bytes(buffer)
            except BlockingIOError:
                pass
            except OSError as e:
                if e.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
                self._nowait = False
        return self._pread_in_thread(count, offset)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep the descriptor open, so that its number cannot come to mean another file."""
        self._users += 1
        try:
            yield
        finally:
            self.close()

    async def _pread_in_thread(self, count: int, offset: int) -> bytes:
        self._users += 1
        running = asyncio.get_running_loop().run_in_executor(None, os.pread, self.fd, count, offset)
        running.add_done_callback(self._thread_done)
        # the thread goes on when the reader is cancelled, and must find its descriptor open
        return await asyncio.shield(running)

    def _thread_done(self, running: asyncio.Future[bytes]) -> None:
        if not running.cancelled():
            running.exception()  # seen here, in case that nobody waits for it any more
        self.close()

    # --- what has no offsets -------------------------------------------------------------------

    async def read(self, count: int) -> bytes:
        """The next bytes of a FIFO or a device, once there are some."""
        with self._in_use():
            async with self._reading:
                if self._fifo and not self._ready(select.POLLIN | select.POLLHUP):
                    await self._wait("reader")  # without a writer a read would not wait
                while True:
                    try:
                        return os.read(self.fd, count)
                    except BlockingIOError:
                        await self._wait("reader")

    async def write(self, data: bytes) -> int:
        """Write to a FIFO or a device as much as it takes at once; waits until it takes something."""
        with self._in_use():
            async with self._writing:
                while True:
                    try:
                        return os.write(self.fd, data)
                    except BlockingIOError:
                        await self._wait("writer")

    def _ready(self, events: int) -> bool:
        poll = select.poll()
        poll.register(self.fd, events)
        return bool(poll.poll(0))

    async def _wait(self, as_what: str) -> None:
        """Wait, as "reader" or "writer", until the descriptor is ready."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Event = asyncio.Event()
        fd = os.dup(self.fd)  # the loop has room for one reader and one writer of a number
        getattr(loop, f"add_{as_what}")(fd, ready.set)
        try:
            await ready.wait()
        finally:
            getattr(loop, f"remove_{as_what}")(fd)
            os.close(fd)


class HostFile:
    """What a Chan stands for: ``node``, its name, ``file`` when it is open, ``entries`` being read."""

    __slots__ = ("entries", "file", "node")

    def __init__(self, node: Node, file: OpenFile | None = None) -> None:
        self.node = node
        self.file = file
        self.entries: Generator[bytes, None, None] | None = None

    @property
    def target(self) -> int | str:
        """What a call of the host is told to mean this file: its descriptor, else its name."""
        return self.node.path if self.file is None else self.file.fd


def plan9_errors(member: Callable[P, T]) -> Callable[P, T]:
    """Let a member of the device raise Plan 9's errors in place of the host's."""

    @functools.wraps(member)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = member(*args, **kwargs)
        except OSError as e:
            raise errors.from_os(e) from None
        except (OverflowError, ValueError):  # a number that is too large, a NUL in a name
            raise errors.Ebadarg() from None
        return cast(T, _later(result)) if isinstance(result, CoroutineType) else result

    return wrapped


async def _later(result: CoroutineType[Any, Any, Any]) -> Any:
    try:
        return await result
    except OSError as e:
        raise errors.from_os(e) from None


class HostDevice(Device):
    """`#U` and `#U*`: the host's files from its root on."""

    letter, name = "U", "fs"
    any_buffer = True
    small_qids = False

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._qids = HostQids()
        self._nodes = Nodes()

    # --- names ---------------------------------------------------------------------------------

    @plan9_errors
    def attach(self, spec: str) -> Chan:
        if spec not in ("", "*"):
            raise errors.Ebadspec()
        qid = self._qids.qid(os.stat("/"), "/")
        return Chan(self, qid, self.rootpath(), HostFile(self._nodes.root))

    @plan9_errors
    def walk(self, c: Chan, names: list[str]) -> tuple[Chan | None, list[Qid]]:
        node: Node = c.aux.node
        qid = c.qid
        if names[:1] != [".."]:  # one may leave what is gone
            status, qid = self._there(c)
            if names:
                _check_own(status, AEXEC)
        qids: list[Qid] = []
        for name in names:
            try:
                if qids and name != "..":
                    _check_own(os.stat(node.path), AEXEC)
                node, qid = self._below(node, qid, name)
            except OSError:
                if not qids:
                    raise
                return None, qids
            qids.append(qid)
        return Chan(self, qid, c.path, HostFile(node), c.instance), qids

    def _below(self, node: Node, qid: Qid, name: str) -> tuple[Node, Qid]:
        """The node and the qid of ``name``, or of what is shown as that, in the directory ``node``."""
        if not qid.type & QTDIR:
            raise errors.Enotdir()
        if "/" in name or "\0" in name:
            raise errors.Enonexist()
        found = self._nodes.child(node, name)
        path = found.path
        try:
            status = _status(path)
        except FileNotFoundError:
            meant = name.translate(_MEANT)
            if meant == name:
                raise
            found = self._nodes.child(node, meant)
            path = found.path
            status = _status(path)
        return found, self._qids.qid(status, path)

    def _there(self, c: Chan) -> tuple[os.stat_result, Qid]:
        """The state of what has the name of ``c``, and its qid, if that is still the file of ``c``.

        Errors: `Enonexist`, also when another file has the name now.
        """
        host: HostFile = c.aux
        if host.node.gone:
            raise errors.Enonexist()
        path = host.node.path
        status = _status(path)
        qid = self._qids.qid(status, path)
        if host.file is not None:
            same = os.path.samestat(status, os.fstat(host.file.fd))
        else:
            same = self._same(c, status, qid)
        if not same:
            raise errors.Enonexist()
        return status, qid

    def _same(self, c: Chan, status: os.stat_result, qid: Qid) -> bool:
        """Is the file with this state and ``qid`` the one that ``c`` walked to? As far as its disk knows."""
        return qid.path == c.qid.path or not self._qids.lasting(status)

    def _dir(self, name: str, status: os.stat_result, qid: Qid) -> Dir:
        mode = status.st_mode & 0o777 | (DMDIR if unix.S_ISDIR(status.st_mode) else 0)
        length = status.st_size if unix.S_ISREG(status.st_mode) else 0
        times = (_seconds(status.st_atime), _seconds(status.st_mtime))
        uid = user_name(status.st_uid)
        gid = group_name(status.st_gid)
        return Dir(ord(self.letter), 0, qid, mode, *times, length, _shown(name), uid, gid, uid)

    # --- open files ----------------------------------------------------------------------------

    @plan9_errors
    def open(self, c: Chan, mode: int) -> Maybe[Chan]:
        node: Node = c.aux.node
        if node.gone:
            raise errors.Enonexist()
        path = node.path
        if mode & ORCLOSE and not os.access(os.path.dirname(path), os.W_OK | os.X_OK, effective_ids=True):
            raise errors.Eperm()
        if mode & ORCLOSE:
            _check_own(os.stat(os.path.dirname(path)), AWRITE)
        if c.qid.type & QTDIR:
            return self._reopened(c, self._open_directory(path, mode), mode)
        if mode & 3 == OEXEC and not os.access(path, os.X_OK, effective_ids=True):
            raise errors.Eperm()
        try:
            return self._reopened(c, os.open(path, _FLAGS[mode & 3] | _ALWAYS), mode)
        except OSError as e:
            if e.errno == errno.ENXIO and unix.S_ISFIFO(os.stat(path).st_mode):
                return self._open_fifo(c, mode)
            raise

    def _make_directory(self, path: str, perm: int) -> int:
        """Make a directory and open it, which open(5) allows whatever ``perm`` is."""
        os.mkdir(path, perm)
        made = unix.S_IMODE(os.lstat(path).st_mode)
        if made & 0o400:
            return self._open_directory(path, OREAD)
        os.chmod(path, made | 0o400)
        fd = self._open_directory(path, OREAD)
        os.fchmod(fd, made)
        return fd

    def _open_directory(self, path: str, mode: int) -> int:
        if mode & ~ORCLOSE not in (OREAD, OEXEC):
            raise errors.Eperm()
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    async def _open_fifo(self, c: Chan, mode: int) -> Chan:
        """Open a FIFO for writing; waits until somebody has it open for reading."""
        while True:
            await asyncio.sleep(RETRY)
            try:
                fd = os.open(c.aux.node.path, _FLAGS[mode & 3] | _ALWAYS)
            except OSError as e:
                if e.errno != errno.ENXIO:
                    raise
            else:
                return self._reopened(c, fd, mode)

    def _reopened(self, c: Chan, fd: int, mode: int) -> Chan:
        """``c``, opened with ``fd``: which is looked at before anything is done to the file."""
        try:
            status = os.fstat(fd)
            if not self._same(c, status, self._qids.qid(status, fd)):
                raise errors.Enonexist()
            _check_own(status, access_needed(mode))
            if mode & OTRUNC and unix.S_ISREG(status.st_mode):
                self._qids.changed(c.qid.path)
                os.truncate(fd if mode & 3 in (OWRITE, ORDWR) else c.aux.node.path, 0)
        except BaseException:
            os.close(fd)
            raise
        return self._opened(c, c.aux.node, fd, mode)

    def _opened(self, c: Chan, node: Node, fd: int, mode: int) -> Chan:
        status = os.fstat(fd)
        c.qid = self._qids.qid(status, fd)
        c.aux = HostFile(node, OpenFile(fd, status.st_mode))
        c.mode = mode
        return c

    @plan9_errors
    def create(self, c: Chan, name: str, mode: int, perm: int) -> Maybe[Chan]:
        """Create a file; it gets those of the permissions that the directory has and the umask leaves."""
        if name in ("", ".", "..") or "/" in name:
            raise errors.Efilename()
        _check_mode(perm)
        status = self._there(c)[0]
        _check_own(status, AWRITE)
        allowed = status.st_mode & 0o777
        parent: Node = c.aux.node
        path = os.path.join(parent.path, name)
        if perm & DMDIR:
            if mode & ~ORCLOSE not in (OREAD, OEXEC):
                raise errors.Eperm()
            fd = self._make_directory(path, perm & allowed)
        else:
            flags = _FLAGS[mode & 3] | _ALWAYS | os.O_CREAT | os.O_EXCL
            fd = os.open(path, flags, perm & 0o777 & (~0o666 | allowed))
        made = Chan(self, c.qid, c.path, None, c.instance)
        return self._opened(made, self._nodes.new(parent, name), fd, mode)

    @plan9_errors
    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        file: OpenFile = c.aux.file
        if c.qid.type & QTDIR:
            return self._read_directory(c, count, offset)
        if file.regular:
            return file.read_at(count, offset)
        return file.read(count)

    def _read_directory(self, c: Chan, count: int, offset: int) -> bytes:
        host: HostFile = c.aux
        if offset == 0 or c.dirpos is None:
            if host.entries is not None:
                host.entries.close()
            assert host.file is not None
            host.entries = self._entries(host.file.fd)
            c.dirpos = DirReader(host.entries)
        reader: DirReader = c.dirpos
        return reader.read(count, offset)

    def _entries(self, fd: int) -> Generator[bytes, None, None]:
        """The packed entries of the open directory ``fd``, one by one; what has just gone is left out."""
        with os.scandir(fd) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    except OSError:
                        yield self._listed(entry, fd).pack()
                        continue
                yield self._dir(entry.name, status, self._qids.qid(status, entry.name, fd)).pack()

    def _listed(self, entry: os.DirEntry[str], fd: int) -> Dir:
        """What the directory ``fd`` alone says of a file, where it may be read but not searched."""
        mode = unix.S_IFDIR if entry.is_dir(follow_symlinks=False) else unix.S_IFREG
        status = os.stat_result((mode, entry.inode(), os.fstat(fd).st_dev, *[0] * 13))
        return self._dir(entry.name, status, self._qids.qid(status, entry.name, fd))._replace(
            uid="?", gid="?", muid="?"
        )

    @plan9_errors
    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        if c.qid.type & QTDIR:
            raise errors.Eisdir()
        file: OpenFile = c.aux.file
        if not file.regular:
            return file.write(data)
        self._qids.changed(c.qid.path)
        return os.pwrite(file.fd, data, offset)

    def close(self, c: Chan) -> None:
        host: HostFile = c.aux
        if host.entries is not None:
            host.entries.close()
        if c.mode & ORCLOSE:  # while it is open no other file can be taken for it
            with contextlib.suppress(OSError):
                self._remove(c)
        if host.file is not None:
            host.file.close()

    def fileno(self, c: Chan) -> int | None:
        """The descriptor of an open file; that of a FIFO or a device does not block."""
        return None if c.aux.file is None or c.qid.type & QTDIR else c.aux.file.fd

    # --- what describes a file -----------------------------------------------------------------

    @plan9_errors
    def stat(self, c: Chan) -> Dir:
        host: HostFile = c.aux
        if host.file is None:
            return self._dir(host.node.name, *self._there(c))
        status = os.fstat(host.file.fd)
        return self._dir(host.node.name, status, self._qids.qid(status, host.file.fd))

    @plan9_errors
    def remove(self, c: Chan) -> None:
        _check_own(os.stat(os.path.dirname(c.aux.node.path)), AWRITE)
        self._remove(c)

    def _remove(self, c: Chan) -> None:
        self._there(c)
        node: Node = c.aux.node
        if unix.S_ISDIR(os.lstat(node.path).st_mode):
            os.rmdir(node.path)
        else:
            os.unlink(node.path)
        self._nodes.remove(node)

    @plan9_errors
    def wstat(self, c: Chan, d: Dir) -> None:
        """All of it or nothing: what was done is undone when a later part fails."""
        old = self.stat(c)
        changes = {field for field in d.touched() if getattr(d, field) != getattr(old, field)}
        if changes & {"type", "dev", "qid", "uid", "muid"}:
            raise errors.Eperm()
        if "mode" in changes:
            if (d.mode ^ old.mode) & DMDIR:
                raise errors.Eperm()
            _check_mode(d.mode)
        if "length" in changes and old.mode & DMDIR:
            raise errors.Eperm()
        if "name" in changes:
            self._there(c)
        undo: list[Callable[[], object]] = []
        try:
            self._change(c, d, changes, undo)
        except BaseException:
            for back in reversed(undo):
                with contextlib.suppress(OSError):
                    back()
            raise

    def _change(self, c: Chan, d: Dir, changes: set[str], undo: list[Callable[[], object]]) -> None:
        host: HostFile = c.aux
        file = host.target
        was = _status(file)
        with contextlib.ExitStack() as stack:
            if "length" in changes:
                fd = self._writable(c, stack)
            if "gid" in changes:
                os.chown(file, -1, _group_number(d.gid))
                undo.append(lambda: os.chown(file, -1, was.st_gid))
            if "mode" in changes:
                os.chmod(file, unix.S_IMODE(was.st_mode) & ~0o777 | d.mode & 0o777)
                undo.append(lambda: os.chmod(file, unix.S_IMODE(was.st_mode)))
            if changes & {"atime", "mtime"}:
                _set_times(file, d, changes, was)
                undo.append(lambda: os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns)))
            if "name" in changes:
                name = host.node.name
                self._rename(host.node, d.name)
                undo.append(lambda: self._rename(host.node, name))
            if changes & {"length", "mtime"}:
                self._qids.changed(c.qid.path)
            if "length" in changes:
                os.ftruncate(fd, d.length)
                if changes & {"atime", "mtime"}:
                    _set_times(host.target, d, changes, was)

    def _writable(self, c: Chan, stack: contextlib.ExitStack) -> int:
        """A descriptor for changing the length of ``c``: its own, or one that ``stack`` closes."""
        host: HostFile = c.aux
        if host.file is not None and c.mode & 3 in (OWRITE, ORDWR):
            return host.file.fd
        self._there(c)
        fd = os.open(host.node.path, os.O_WRONLY | _ALWAYS)
        stack.callback(os.close, fd)
        _check_own(os.fstat(fd), AWRITE)
        return fd

    def _rename(self, node: Node, name: str) -> None:
        if name in (".", "..") or "/" in name or node.parent is None:
            raise errors.Efilename()
        _check_own(os.stat(node.parent.path), AWRITE)
        to = os.path.join(node.parent.path, name)
        if os.path.lexists(to):
            raise errors.Eexist()
        os.rename(node.path, to)
        self._nodes.move(node, name)


def _set_times(file: str | int, d: Dir, changes: set[str], was: os.stat_result) -> None:
    atime = d.atime * 10**9 if "atime" in changes else was.st_atime_ns
    mtime = d.mtime * 10**9 if "mtime" in changes else was.st_mtime_ns
    os.utime(file, ns=(atime, mtime))


def _seconds(time: float) -> int:
    """A time as a Dir can hold it; the last number means "don't touch"."""
    return min(max(int(time), 0), 0xFFFFFFFE)
