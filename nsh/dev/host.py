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
import contextvars
import errno
import functools
import os
import stat as unix
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any, TypeVar, cast

from nsh import errors
from nsh.dev import libc
from nsh.dev.hostid import HostQids, Node, Nodes
from nsh.dev.hostmounts import Mounts
from nsh.dev.openfile import OpenFile
from nsh.dev.patience import Patience, Place, in_background, may_wait, patiently
from nsh.kern.chan import Chan, Maybe, settle
from nsh.kern.dev import AEXEC, AWRITE, Device, DirReader, access_needed, check_permission
from nsh.kern.proc import System, current
from nsh.p9.const import DMDIR, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR
from nsh.p9.stat import Dir, Qid

_FLAGS = {OREAD: os.O_RDONLY, OWRITE: os.O_WRONLY, ORDWR: os.O_RDWR, OEXEC: os.O_RDONLY}
_ALWAYS = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_KEPT = DMDIR | 0o777
"""Those bits of a mode that the host can keep, and that do not endanger it."""
_SHOWN = {c: 0x2400 + c for c in range(0x20)} | {0x7F: 0x2421}
"""The symbol, as Unicode has it, that stands for each control character in a name."""
_MEANT = {symbol: c for c, symbol in _SHOWN.items() if c}

T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])
_LATEST = 0xFFFFFFFE
RETRY = 0.05
"""Seconds between two attempts to open a FIFO for writing that nobody reads yet."""


def host_path(c: Chan) -> str | None:
    """The name on the host of the file ``c``, None if it is not a host file."""
    return c.aux.node.path if isinstance(c.dev, HostDevice) else None


async def ask(c: Chan, question: Callable[[str], T]) -> T | None:
    """What ``question`` says of the name on the host of the file ``c``, None if it is not a host file.

    Errors: those of the question.
    """
    return await c.dev.ask(question, c.aux.node.path) if isinstance(c.dev, HostDevice) else None


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


def _shown(name: str) -> str:
    """A name of the host as a name in 9P."""
    return name if name.isprintable() else name.translate(_SHOWN)


def check_own(status: os.stat_result, want: int) -> None:
    """Raise `Eperm` if the superuser lacks the permissions ``want`` for a file of his own.

    The host asks him for none. intro(5) makes no exception for an owner, nor does Inferno; a file of
    somebody else is his as the host decides, as it decides everything for others and for the programs that
    Linux runs in our name space.
    """
    if status.st_uid == 0 and os.geteuid() == 0 and not _for_linux():
        check_permission("", "", "", status.st_mode & 0o777, want)


def _for_linux() -> bool:
    p = current.get(None)
    return p is not None and p.pgrp.linux


def _check_mode(mode: int) -> None:
    """Raise for a mode that the host would not keep: append-only, exclusive use, setuid, ..."""
    if mode & ~_KEPT:
        raise errors.P9Error("mode not supported: the host keeps permissions only")


class HostFile:
    """What a Chan stands for: ``node``, its name; ``file`` when it is open.

    ``waits``: where one may have to wait for the entries of an open directory, if anywhere.
    """

    __slots__ = ("file", "node", "waits")

    def __init__(self, node: Node, file: OpenFile | None = None) -> None:
        self.node = node
        self.file = file
        self.waits: Place | None = None

    @property
    def target(self) -> int | str:
        """What a call of the host is told to mean this file: its descriptor, else its name."""
        return self.node.path if self.file is None else self.file.fd


def plan9_errors(member: M) -> M:
    """Let a member of the device raise Plan 9's errors in place of the host's, and wait if it has to.

    It is called once more, in a thread, when `Patience` says so: before that it has changed nothing.
    """

    @functools.wraps(member)
    def wrapped(*args: Any) -> Any:
        try:
            result = member(*args)
        except Patience as e:
            call = functools.partial(contextvars.copy_context().run, member, *args)
            return _patiently(e.place, call, args)
        except OSError as e:
            raise errors.from_os(e) from None
        except (OverflowError, ValueError):  # a number that is too large, a NUL in a name
            raise errors.Ebadarg() from None
        return _later(result) if type(result) is CoroutineType else result

    return cast(M, wrapped)


async def _patiently(place: Place, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
    """Call a member with ``args`` in a thread that may wait; a file that it opens in vain is closed."""
    file: OpenFile | None = args[1].aux.file if isinstance(args[1], Chan) else None
    after = file.hold() if file is not None else None
    return await _later(patiently(place, call, _give_back, after))


def _give_back(result: object) -> None:
    if isinstance(result, Chan | CoroutineType):
        result.close()


async def _later(result: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await settle(await result)
    except OSError as e:
        raise errors.from_os(e) from None
    except (OverflowError, ValueError):
        raise errors.Ebadarg() from None


class HostDevice(Device):
    """`#U` and `#U*`: the host's files from its root on."""

    letter, name = "U", "fs"
    any_buffer = True
    small_qids = False

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._qids = HostQids()
        self._nodes = Nodes()
        self._mounts = Mounts(self._qids.look_again)

    @classmethod
    def of(cls, system: System) -> HostDevice:
        """The one of ``system``, for those who have questions to the host about its files."""
        device = system.device("U")
        assert isinstance(device, cls)
        return device

    def place(self, path: str) -> Place | None:
        """Where one may have to wait for what has the whole name ``path`` on the host, if anywhere."""
        self._mounts.refresh()
        return self._mounts.resolve(path)[1]

    def has_places(self) -> bool:
        """Is there anything on the host for which one may have to wait?"""
        self._mounts.refresh()
        return bool(self._mounts.places)

    async def ask(self, question: Callable[[str], T], path: str, *, inside: bool = False) -> T:
        """What ``question`` says of the whole name ``path`` on the host, and perhaps of what is ``inside``.

        Errors: those of the question.
        """
        place = self.place(path)
        if place is None and inside and self._mounts.holds_slow(path):
            place = self._mounts.mixed
        return question(path) if place is None else await patiently(place, functools.partial(question, path))

    def wait_in(self, path: str) -> Callable[[], None]:
        """From now on one may have to wait in ``path``, a name without links: a mount will come there.

        Returns a function that takes that back.
        """
        self._mounts.add(path)
        return functools.partial(self._mounts.discard, path)

    # --- names ---------------------------------------------------------------------------------

    @plan9_errors
    def attach(self, spec: str) -> Maybe[Chan]:
        if spec not in ("", "*"):
            raise errors.Ebadspec()
        self._mounts.refresh()
        qid = self._qids.qid(self._status(self._nodes.root, "/"), "/")
        return Chan(self, qid, self.rootpath(), HostFile(self._nodes.root))

    @plan9_errors
    def walk(self, c: Chan, names: list[str]) -> Maybe[tuple[Chan | None, list[Qid]]]:
        node: Node = c.aux.node
        qid, status = c.qid, None
        if names[:1] != [".."]:  # one may leave what is gone
            status, qid = self._there(c)
        else:
            self._mounts.refresh()
        qids: list[Qid] = []
        for name in names:
            try:
                if status is not None and name != "..":
                    check_own(status, AEXEC)
                node, status, qid = self._below(node, qid, name)
            except OSError:
                if not qids:
                    raise
                return None, qids
            qids.append(qid)
        return Chan(self, qid, c.path, HostFile(node), c.instance), qids

    def _below(self, node: Node, qid: Qid, name: str) -> tuple[Node, os.stat_result, Qid]:
        """``name``, or what is shown as that, in the directory ``node``: its node, its state and its qid."""
        if not qid.type & QTDIR:
            raise errors.Enotdir()
        if "/" in name or "\0" in name:
            raise errors.Enonexist()
        found = self._nodes.child(node, name)
        path = found.path
        try:
            status = self._status_below(node, found, path)
        except FileNotFoundError:
            meant = name.translate(_MEANT)
            if meant == name:
                raise
            found = self._nodes.child(node, meant)
            path = found.path
            status = self._status_below(node, found, path)
        return found, status, self._qids.qid(status, path)

    def _status_below(self, node: Node, found: Node, path: str) -> os.stat_result:
        """`_status` of ``found``, one step from ``node``, of which it is known that it is at hand."""
        mounts = self._mounts
        if found.sure is not mounts.token:
            if found.name in mounts.names or found.parent is not node:
                mounts.check(found)
            else:
                found.sure = node.sure
        status = os.lstat(path)
        if unix.S_ISLNK(status.st_mode):
            return self._followed(found, path, status)
        return status

    def _status(self, node: Node, path: str) -> os.stat_result:
        """The state of a file by its name; a link that cannot be followed stands for itself."""
        if node.sure is not self._mounts.token:
            self._mounts.check(node)
        status = os.lstat(path)
        if unix.S_ISLNK(status.st_mode):
            return self._followed(node, path, status)
        return status

    def _followed(self, node: Node, path: str, status: os.stat_result) -> os.stat_result:
        """The state of what the link ``node`` leads to, or else, if it cannot be followed, its ``status``."""
        node.sure = None  # what is below it can be elsewhere at any time
        self._mounts.check_path(path)
        try:
            return os.stat(path)
        except OSError:
            return status

    def _there(self, c: Chan) -> tuple[os.stat_result, Qid]:
        """The state of what has the name of ``c``, and its qid, if that is still the file of ``c``.

        Errors: `Enonexist`, also when another file has the name now.
        """
        self._mounts.refresh()
        host: HostFile = c.aux
        if host.node.gone:
            raise errors.Enonexist()
        path = host.node.path
        status = self._status(host.node, path)
        qid = self._qids.qid(status, path)
        if host.file is not None:
            same = os.path.samestat(status, host.file.status())
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
        self._mounts.refresh()
        if node.sure is not self._mounts.token:
            self._mounts.check(node)
        path = node.path
        if mode & ORCLOSE:
            if not os.access(os.path.dirname(path), os.W_OK | os.X_OK, effective_ids=True):
                raise errors.Eperm()
            check_own(os.stat(os.path.dirname(path)), AWRITE)
        if c.qid.type & QTDIR:
            if mode & ~ORCLOSE not in (OREAD, OEXEC):
                raise errors.Eperm()
            return self._reopened(c, self._open_path(path, os.O_RDONLY | os.O_DIRECTORY), mode)
        if mode & 3 == OEXEC:
            self._status(node, path)  # a link may lead to where one waits
            if not os.access(path, os.X_OK, effective_ids=True):
                raise errors.Eperm()
        opened = self._open_file(c, mode)
        return self._open_fifo(c, mode) if opened is None else opened

    def _open_path(self, path: str, flags: int) -> int:
        """open(2) of the name of something that is there, which may be a link."""
        flags |= _ALWAYS
        if may_wait():
            return libc.open(path, flags)
        try:
            return os.open(path, flags | os.O_NOFOLLOW)
        except OSError as e:
            if e.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
        self._mounts.check_path(path)
        return os.open(path, flags)

    def _open_file(self, c: Chan, mode: int) -> Chan | None:
        """``c``, opened; None if it is a FIFO to be written to that nobody reads."""
        path = c.aux.node.path
        try:
            return self._reopened(c, self._open_path(path, _FLAGS[mode & 3]), mode)
        except OSError as e:
            if e.errno == errno.ENXIO and unix.S_ISFIFO(os.stat(path).st_mode):
                return None
            raise

    async def _open_fifo(self, c: Chan, mode: int) -> Chan:
        """Open a FIFO for writing; waits until somebody has it open for reading."""
        while True:
            await asyncio.sleep(RETRY)
            opened = await settle(self._open_again(c, mode))
            if opened is not None:
                return opened

    @plan9_errors
    def _open_again(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        self._mounts.refresh()
        self._mounts.check(c.aux.node)
        return self._open_file(c, mode)

    def _make_directory(self, path: str, perm: int) -> int:
        """Make a directory and open it, which open(5) allows whatever ``perm`` is."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        os.mkdir(path, perm)
        made = unix.S_IMODE(os.lstat(path).st_mode)
        if made & 0o400:
            return os.open(path, flags)
        os.chmod(path, made | 0o400)
        fd = os.open(path, flags)
        os.fchmod(fd, made)
        return fd

    def _reopened(self, c: Chan, fd: int, mode: int) -> Chan:
        """``c``, opened with ``fd``: which is looked at before anything is done to the file."""
        try:
            status = os.fstat(fd)
            qid = self._qids.qid(status, fd)
            if not self._same(c, status, qid):
                raise errors.Enonexist()
            check_own(status, access_needed(mode))
            if mode & OTRUNC and unix.S_ISREG(status.st_mode):
                self._qids.changed(c.qid.path)
                os.truncate(fd if mode & 3 in (OWRITE, ORDWR) else c.aux.node.path, 0)
                qid = self._qids.qid(os.fstat(fd), fd)
        except BaseException:
            os.close(fd)
            raise
        node, file = c.aux.node, self._file(fd, status)
        if may_wait():  # who asked for it may be gone, and c be used for something else
            c = Chan(self, c.qid, c.path, None, c.instance)
        c.qid, c.aux, c.mode = qid, HostFile(node, file), mode
        return c

    def _file(self, fd: int, status: os.stat_result) -> OpenFile:
        place = self._mounts.of_descriptor(fd) if may_wait() else None
        return OpenFile(fd, status.st_mode, place)

    @plan9_errors
    def create(self, c: Chan, name: str, mode: int, perm: int) -> Maybe[Chan]:
        """Create a file; it gets those of the permissions that the directory has and the umask leaves."""
        if name in ("", ".", "..") or "/" in name:
            raise errors.Efilename()
        _check_mode(perm)
        status = self._there(c)[0]
        check_own(status, AWRITE)
        allowed = status.st_mode & 0o777
        parent: Node = c.aux.node
        path = os.path.join(parent.path, name)
        if perm & DMDIR:
            if mode & ~ORCLOSE not in (OREAD, OEXEC):
                raise errors.Eperm()
            fd = self._make_directory(path, perm & allowed)
        else:
            flags = _FLAGS[mode & 3] | _ALWAYS | os.O_CREAT | os.O_EXCL
            create = libc.open if may_wait() else os.open
            fd = create(path, flags, perm & 0o777 & (~0o666 | allowed))
        status = os.fstat(fd)
        host = HostFile(self._nodes.new(parent, name), self._file(fd, status))
        made = Chan(self, self._qids.qid(status, fd), c.path, host, c.instance)
        made.mode = mode
        return made

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
        assert host.file is not None
        starts = offset == 0 or c.dirpos is None
        if not may_wait():
            if starts:
                host.waits = host.file.place or self._waits_inside(host)
            if host.waits is not None:
                raise Patience(host.waits)
        # it is taken away meanwhile: a thread may be at it still when the next read comes
        reader, c.dirpos = c.dirpos, None
        if starts:
            reader = DirReader(self._entries(host.file.fd, host.waits is not None or not self._mounts.places))
        try:
            return cast(DirReader, reader).read(count, offset)
        finally:
            c.dirpos = reader

    def _waits_inside(self, host: HostFile) -> Place | None:
        """Where one may have to wait for what is said of the entries of a directory, if anywhere."""
        assert host.file is not None
        if not self._mounts.places:
            return None
        if not self._mounts.holds_slow(host.node.path):
            with os.scandir(host.file.fd) as entries:
                if not any(entry.is_symlink() for entry in entries):
                    return None
        return self._mounts.mixed

    def _entries(self, fd: int, follow: bool) -> Generator[bytes, None, None]:
        """The packed entries of the open directory ``fd``, one by one; what has just gone is left out.

        ``follow``: a link is shown as what it leads to.
        """
        with os.scandir(fd) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=follow)
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
        return file.write_at(data, offset)

    def close(self, c: Chan) -> None:
        c.dirpos = None
        file: OpenFile | None = c.aux.file
        assert file is not None
        if c.mode & ORCLOSE:  # while it is open no other file can be taken for it
            try:
                self._remove_silently(c)
            except Patience as e:
                in_background(e.place, functools.partial(self._remove_silently, c), after=file.close)
                return
        file.close()

    def _remove_silently(self, c: Chan) -> None:
        with contextlib.suppress(OSError):
            self._remove(c)

    def fileno(self, c: Chan) -> int | None:
        """The descriptor of an open file; that of a FIFO or a device does not block."""
        return None if c.aux.file is None or c.qid.type & QTDIR else c.aux.file.fd

    def seekable(self, c: Chan) -> bool:
        return c.aux.file is not None and c.aux.file.regular

    # --- what describes a file -----------------------------------------------------------------

    def _stat(self, c: Chan) -> Dir:
        host: HostFile = c.aux
        if host.file is None:
            return self._dir(host.node.name, *self._there(c))
        status = host.file.status()
        return self._dir(host.node.name, status, self._qids.qid(status, host.file.fd))

    stat: Callable[..., Maybe[Dir]] = plan9_errors(_stat)

    @plan9_errors
    def remove(self, c: Chan) -> None:
        self._mounts.refresh()
        parent = c.aux.node.parent or c.aux.node
        check_own(self._status(parent, parent.path), AWRITE)
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
        old = self._stat(c)
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
            self._free_name(c.aux.node, d.name)
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
        was = self._status(host.node, host.node.path) if host.file is None else host.file.status()
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
        fd = self._open_path(host.node.path, os.O_WRONLY)
        stack.callback(os.close, fd)
        check_own(os.fstat(fd), AWRITE)
        return fd

    def _free_name(self, node: Node, name: str) -> None:
        """Raise unless a file may be given this name, in the directory where it is."""
        if name in (".", "..") or "/" in name or node.parent is None:
            raise errors.Efilename()
        above = node.parent.path
        check_own(self._status(node.parent, above), AWRITE)
        if name in self._mounts.names:
            self._mounts.check(self._nodes.child(node.parent, name))
        if os.path.lexists(os.path.join(above, name)):
            raise errors.Eexist()

    def _rename(self, node: Node, name: str) -> None:
        assert node.parent is not None
        os.rename(node.path, os.path.join(node.parent.path, name))
        self._nodes.move(node, name)


def _set_times(file: str | int, d: Dir, changes: set[str], was: os.stat_result) -> None:
    atime = d.atime * 10**9 if "atime" in changes else was.st_atime_ns
    mtime = d.mtime * 10**9 if "mtime" in changes else was.st_mtime_ns
    os.utime(file, ns=(atime, mtime))


def _seconds(time: float) -> int:
    """A time as a Dir can hold it; the last number means "don't touch"."""
    seconds = int(time)
    return seconds if 0 <= seconds <= _LATEST else 0 if seconds < 0 else _LATEST
