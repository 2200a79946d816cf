"""Namespace: a name space of one's own in any asyncio program, and `mount`, for just the files of a server.

This is the Python interface to everything below it: it boots a kernel, acts as its first process, and ends
all of it again. What a call means is decided there (`nsh.kern.sys`); here it only gets Python's manners:
context managers, pathlib's paths, open modes as strings. It starts no event loop and no thread, and
touches nothing of the program around it. `nsh.sync` is for programs without an event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from nsh import boot, errors
from nsh.dev import TABLE
from nsh.kern import chan, proc
from nsh.kern.dev import Device
from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE
from nsh.kern.namec import Access, namec
from nsh.kern.stream import stream
from nsh.kern.sys import MountDriver
from nsh.net import dial
from nsh.net.serve import Server, listen, permitted
from nsh.p9.const import DMDIR, OEXCL, ORDWR, OREAD, OTRUNC
from nsh.p9.stat import Dir
from nsh.path import PurePath, open_mode, pattern_parts

log = logging.getLogger("nsh")

PATIENCE = 2.0
"""Seconds that devices may take at the end to give back what they hold elsewhere."""

_FLAGS = {"a": MAFTER, "b": MBEFORE, "c": MCREATE}

T = TypeVar("T")


class Closable(Protocol):
    """What can be closed."""

    async def close(self) -> None:
        """Give it back."""


C = TypeVar("C", bound=Closable)


class Opening(Generic[C]):
    """What will be opened: ``await`` it, and close it yourself, or use it in ``async with``."""

    __slots__ = ("_opened", "_work")

    def __init__(self, work: Coroutine[Any, Any, C]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, None, C]:
        return self._work.__await__()

    async def __aenter__(self) -> C:
        self._opened = await self._work
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._opened.close()


class Namespace:
    """A name space, and a process that acts in it. Names are strings or paths; errors are `nsh.P9Error`.

    It begins as that of a fresh nsh does: `#c` on /dev, `#e` on /env, and so on, before the host's files.
    ``binds``: what to make instead, as (source, target, flags of `bind`); ``devices``: a class, or
    "module:Class", for each letter, instead of nsh's own, the installed and the registered ones.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("#R", "/n/mem", "c")             # a file system in memory
        ...     await ns.mkdir("/n/mem/d")
        ...     await ns.write("/n/mem/d/greeting", b"hello")
        ...     await ns.bind("/n/mem/d", "/n/mem", "b")       # a union
        ...     print(await ns.listdir("/n/mem"))
        ...     print(await ns.read("/n/mem/greeting"))
        ...     await ns.unmount("/n/mem")
        ['greeting', 'd']
        b'hello'
    """

    def __init__(
        self,
        binds: Sequence[tuple[str, str, str]] | None = None,
        devices: Mapping[str, str | type[Device]] | None = None,
    ) -> None:
        self._binds = binds
        self._devices = devices
        self._proc: proc.Proc | None = None
        self._callers: set[asyncio.Task[Any]] = set()  # those who wait for something that is done here

    @property
    def proc(self) -> proc.Proc:
        """The process that acts here, with all system calls there are. Errors: RuntimeError when it is over.

        >>> async with nsh.Namespace() as ns:
        ...     print(ns.proc.pid == ns.proc.leader.pid)
        True
        """
        if self._proc is None:
            raise RuntimeError("the name space is not open: use it in 'async with'")
        return self._proc

    async def __aenter__(self) -> Self:
        if self._proc is None:
            binds: Sequence[tuple[str, str, int]] = boot.NAMESPACE
            if self._binds is not None:
                binds = [(source, target, mount_flags(flags)) for source, target, flags in self._binds]
            self._proc = await boot.boot(self._devices, binds)
            self._proc.args = ["nsh.Namespace"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        p, self._proc = self.proc, None
        callers, self._callers = self._callers, set()
        for caller in callers:
            caller.cancel()
        await _end(p)

    def fork(self) -> Namespace:
        """A copy, to be used in ``async with``: what is mounted in one of the two is not seen in the other.

        >>> async with nsh.Namespace() as ns:
        ...     async with ns.fork() as other:
        ...         await other.bind("#R", "/n/mem", "c")
        ...         await other.write("/n/mem/f", b"")
        ...         print(await other.listdir("/n/mem"), await ns.listdir("/n/mem"))
        ['f'] []
        """
        child = Namespace()
        child._proc = self.proc.fork(proc.RFNAMEG | proc.RFENVG | proc.RFFDG | proc.RFNOTEG)
        return child

    # --- what is seen where --------------------------------------------------------------------

    async def bind(self, source: Name, target: Name, flags: str = "") -> None:
        """bind(1): see ``source`` at ``target``; flags "a" after, "b" before what is there, "c" create.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("/dev/null", "/dev/zero")
        ...     print(await ns.read("/dev/zero"))
        b''
        """
        await self._as(self.proc.bind(str(source), str(target), mount_flags(flags)))

    async def mount(self, server: Name, target: Name, flags: str = "", aname: str = "") -> None:
        """mount(1): see the files of a 9P server at ``target``.

        ``server``: an address ("tcp!host!port", "unix!path"), or a file that is a connection;
        ``aname``: which of its trees. Nothing is authenticated. Errors: the network's, the server's.

        >>> async with nsh.Namespace() as ns, ns.serve("tcp!127.0.0.1!0", "/dev") as service:
        ...     await ns.mount(service.address, "/n/other")
        ...     print(await ns.read("/n/other/null"))
        b''
        """
        p = self.proc
        fd = p.fgrp.new(await self._as(self._connect(str(server))))
        try:
            await self._as(p.mount(fd, str(target), mount_flags(flags), aname))
        finally:
            p.close(fd)

    async def unmount(self, target: Name, source: Name | None = None) -> None:
        """unmount(1): see again what was at ``target``; with ``source``, take that away from the union.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("/env", "/dev", "a")
        ...     await ns.unmount("/dev", "/env")
        """
        await self._as(self.proc.unmount(str(source) if source is not None else None, str(target)))

    def serve(self, address: str, name: Name = "/") -> Opening[Service]:
        """Serve the files below ``name``, as they are here at any time, to all who connect to ``address``.

        Clients are not asked who they are and may do what you may; a "unix!path" lets only you in.
        Errors: the network's; those of the name.

        >>> async with nsh.Namespace() as ns:
        ...     async with ns.serve("tcp!127.0.0.1!0", "/dev") as service:
        ...         async with nsh.mount(service.address) as root:
        ...             print(await (root / "user").read_text() == await ns.path("/dev/user").read_text())
        True
        """
        return Opening(self._as(self._serve(address, str(name))))

    async def chdir(self, name: Name) -> None:
        """Stand in a directory: names that begin neither with / nor with # start there.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.chdir("/dev")
        ...     print(ns.getwd(), await ns.read("null"))
        /dev b''
        """
        await self._as(self.proc.chdir(str(name)))

    def getwd(self) -> str:
        """The name of the current directory: see `chdir`."""
        return self.proc.getwd()

    # --- files ---------------------------------------------------------------------------------

    def path(self, name: str = "/") -> Path:
        """The file ``name`` as a `Path`.

        >>> async with nsh.Namespace() as ns:
        ...     print(await (ns.path("/dev") / "null").read_bytes())
        b''
        """
        return Path(self, name)

    def open(self, name: Name, mode: str = "rb", perm: int = 0o666) -> Opening[OpenFile]:
        """Open a file, in ``async with`` or with ``await``; ``mode`` as in Python, but always of bytes.

        >>> async with nsh.Namespace() as ns:
        ...     async with ns.open("/dev/zero") as f:
        ...         print(await f.read(3))
        b'\\x00\\x00\\x00'
        """
        return Opening(self._as(self._open(str(name), mode, perm)))

    async def read(self, name: Name) -> bytes:
        """The whole content of a file: see `Namespace`."""
        return await self._as(self.proc.readfile(str(name)))

    async def write(self, name: Name, data: bytes) -> None:
        """Make ``data`` the content of a file, which is created if it is not there. To a ctl file: a command.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.write("/env/greeting", b"hello")
        ...     print(await ns.read("/env/greeting"))
        b'hello'
        """
        async with self.open(name, "wb") as f:
            await f.write(data)

    async def listdir(self, name: Name = ".") -> list[str]:
        """The names in a directory, in its own order; one that two members of a union have is there twice.

        >>> async with nsh.Namespace() as ns:
        ...     print(await ns.listdir("/srv"))
        []
        """
        return [d.name for d in await self.readdir(name)]

    async def readdir(self, name: Name = ".") -> list[Dir]:
        """The entries of a directory.

        >>> async with nsh.Namespace() as ns:
        ...     print([d.uid == ns.proc.user for d in await ns.readdir("#c") if d.name == "null"])
        [True]
        """
        return await self._as(self.proc.readdir(str(name)))

    async def stat(self, name: Name) -> Dir:
        """stat(2).

        >>> async with nsh.Namespace() as ns:
        ...     print(f"{(await ns.stat('/dev/null')).mode:o}")
        666
        """
        return await self._as(self.proc.stat(str(name)))

    async def wstat(self, name: Name, d: Dir) -> None:
        """wstat(2): change what `Dir.dont_touch` was given: mode, mtime, length, name, gid.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("#R", "/n/mem", "c")
        ...     await ns.write("/n/mem/f", b"text")
        ...     await ns.wstat("/n/mem/f", nsh.Dir.dont_touch(length=1, name="g"))
        ...     print(await ns.read("/n/mem/g"))
        b't'
        """
        await self._as(self.proc.wstat(str(name), d))

    async def mkdir(self, name: Name, perm: int = 0o777) -> None:
        """Make a directory: see `Namespace`. Errors: `Eexist`."""
        p = self.proc
        p.close(await self._as(p.create(str(name), OREAD | OEXCL, DMDIR | perm)))

    async def remove(self, name: Name) -> None:
        """remove(2): a file or an empty directory.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.write("/env/x", b"1")
        ...     await ns.remove("/env/x")
        ...     await ns.read("/env/x")
        Traceback (most recent call last):
        nsh.errors.Enonexist: '/env/x' file does not exist
        """
        await self._as(self.proc.remove(str(name)))

    # --- inside --------------------------------------------------------------------------------

    async def _as(self, work: Awaitable[T]) -> T:
        """Await ``work`` on behalf of our process; whoever calls may act as another one in between.

        Errors: those of ``work``; `Ebadfd` when the name space ends meanwhile.
        """
        token = proc.current.set(self.proc)
        caller = cast("asyncio.Task[Any]", asyncio.current_task())
        others = caller.cancelling()
        self._callers.add(caller)
        try:
            return await work
        except asyncio.CancelledError:
            if caller in self._callers or caller.uncancel() > others:
                raise
            raise errors.Ebadfd() from None
        finally:
            self._callers.discard(caller)
            proc.current.reset(token)

    async def _connect(self, server: str) -> chan.Chan:
        """The connection to ``server``, open."""
        if server.startswith(("/", "#")):
            return await namec(self.proc, server, Access.OPEN, ORDWR)
        return await dial.call(self.proc, server)

    async def _attach(self, address: str, aname: str) -> None:
        """Have the tree of a server, and nothing else, as the name space."""
        p = self.proc
        connection = await dial.call(p, address)
        try:
            root = await cast(MountDriver, p.system.device("M")).connect(connection, p.user, aname)
        finally:
            connection.close()
        p.slash = p.dot = root.alias(chan.Path(None, "/"))

    async def _open(self, name: str, mode: str, perm: int) -> OpenFile:
        p = self.proc
        flags, create, append = open_mode(mode)
        if not create:
            fd = await p.open(name, flags)
        elif not append:
            fd = await p.create(name, flags & ~OTRUNC, perm)
        else:
            try:
                fd = await p.open(name, flags)
            except FileNotFoundError:
                fd = await p.create(name, flags, perm)
            await p.seek(fd, 0, 2)
        return OpenFile(self, fd)

    async def _serve(self, address: str, name: str) -> Service:
        p = self.proc
        root = await namec(p, name, Access.TODIR)
        listener = await dial.answer(p, address)
        if listener.public:
            log.warning("everybody who can reach %s %s", listener.address, permitted(p, root, name))

        async def welcome(q: proc.Proc, connection: chan.Chan) -> None:
            Server(q, root, stream(connection))

        server = listen(p, ["nsh.serve", address, name], listener, welcome)
        server.authenticated = listener.address.net == "unix"
        server.rfork(proc.RFNOTEG)  # its clients end with it
        return Service(str(listener.address), server)


Name = str | PurePath


def mount_flags(letters: str) -> int:
    """The flags of bind(2) for the letters of bind(1). Errors: `Ebadarg`."""
    flags = 0
    for letter in letters:
        if letter not in _FLAGS:
            raise errors.Ebadarg()
        flags |= _FLAGS[letter]
    return flags


async def _end(p: proc.Proc) -> None:
    """End a process, what belongs to it, and with the first one the system; wait until it is so."""
    whole = p.parent is None
    procs = list(p.system.procs.values()) if whole else [q for q in p.system.procs.values() if q.leader is p]
    before = asyncio.all_tasks()
    p.exit()
    farewells = asyncio.all_tasks() - before
    if farewells:
        await asyncio.wait(farewells, timeout=PATIENCE)
    for q in procs:
        q.kill()
    tasks = [q.task for q in procs if q.task is not None]
    if tasks:
        await asyncio.wait(tasks)
    p.slash = p.dot = cast(chan.Chan, None)  # what is left of the servers' files goes now
    p.pgrp.clear()
    await asyncio.sleep(0)  # connections that were told to close are closed


class OpenFile:
    """An open file: bytes, with a position. `Namespace.open` and `Path.open` make it.

    Reads and writes go to the file as they are asked for: nothing is buffered, because in many files
    each one means something.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("#R", "/n/mem", "c")
        ...     async with ns.open("/n/mem/f", "w+") as f:
        ...         await f.write(b"hello world")
        ...         await f.seek(6)
        ...         print(await f.read(3), f.tell(), await f.read(), (await f.stat()).length)
        ...     f = await ns.open("/n/mem/f", "a")
        ...     print(await f.write(b"!"))
        ...     await f.close()
        ...     print(await ns.read("/n/mem/f"))
        11
        6
        b'wor' 9 b'ld' 11
        1
        b'hello world!'
    """

    __slots__ = ("_fd", "_ns")

    def __init__(self, ns: Namespace, fd: int) -> None:
        self._ns = ns
        self._fd = fd

    async def read(self, count: int = -1) -> bytes:
        """What one read gives, at most ``count`` bytes; without ``count`` everything to the end."""
        p = self._ns.proc
        return await self._ns._as(p.read(self._fd, count) if count >= 0 else p.readall(self._fd))

    async def write(self, data: bytes) -> int:
        """Write all of ``data``; returns its length."""
        return await self._ns._as(self._ns.proc.write(self._fd, data))

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Go to ``offset`` from the start, from here (1) or from the end (2); returns where that is."""
        return await self._ns._as(self._ns.proc.seek(self._fd, offset, whence))

    def tell(self) -> int:
        """Where the next read or write begins, in bytes."""
        return self._ns.proc.fgrp.get(self._fd).offset

    async def stat(self) -> Dir:
        """stat(2) of the open file."""
        return await self._ns._as(self._ns.proc.fstat(self._fd))

    async def close(self) -> None:
        """Close it; more than once does no harm."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and self._ns._proc is not None:
            self._ns._proc.run(self._ns._proc.close, fd)


class Service:
    """Files that are being served: `Namespace.serve` starts it.

    ``address``: where, as a dial string, with the port that was chosen for 0.

        >>> async with nsh.Namespace() as ns:
        ...     service = await ns.serve("tcp!127.0.0.1!0", "/dev")
        ...     print(service.address.startswith("tcp!127.0.0.1!"))
        ...     await service.close()
        ...     await service.wait()
        True
    """

    __slots__ = ("_server", "address")

    def __init__(self, address: str, server: proc.Proc) -> None:
        self.address = address
        self._server = server

    async def wait(self) -> None:
        """Wait until it ends."""
        await self._server.wait()

    async def close(self) -> None:
        """Take no more connections, and hang up on those there are."""
        self._server.kill()
        await self._server.wait()


class Path(PurePath):
    """A file of a name space, in the manner of pathlib, for asyncio: whatever asks the file is awaited.

    `mount` gives the root of a server, `Namespace.path` a path in a name space.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("#R", "/n/mem", "c")
        ...     mem = ns.path("/n/mem")
        ...     await (mem / "d").mkdir()
        ...     f = mem / "d" / "f"
        ...     await f.write_text("hello")
        ...     print(f, f.name, f.parts, f.parent == mem / "d", await f.read_text())
        ...     await f.rename("g")
        ...     print(await f.exists(), [await g.read_bytes() async for g in f.parent.iterdir()])
        ...     await f.with_suffix(".txt").touch()
        ...     print([g async for g in mem.glob("*/f*")], [g.stem async for g in mem.rglob("*.txt")])
        ...     await f.with_name("g").unlink()
        ...     await f.with_suffix(".txt").unlink()
        ...     await f.parent.rmdir()
        5
        /n/mem/d/f f ('/', 'n', 'mem', 'd', 'f') True hello
        Path('/n/mem/d/g')
        False [b'hello']
        [Path('/n/mem/d/f.txt')] ['f']
    """

    __slots__ = ()

    _files: Namespace

    async def read_bytes(self) -> bytes:
        """The whole content."""
        return await self._files.read(self)

    async def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content, decoded."""
        return (await self.read_bytes()).decode(encoding)

    async def write_bytes(self, data: bytes) -> int:
        """Make ``data`` the content; the file is created if need be. To a ctl file: a command."""
        await self._files.write(self, data)
        return len(data)

    async def write_text(self, text: str, encoding: str = "utf-8") -> int:
        """The same, encoded."""
        return await self.write_bytes(text.encode(encoding))

    def open(self, mode: str = "rb", perm: int = 0o666) -> Opening[OpenFile]:
        """Open it, in ``async with`` or with ``await``.

        >>> async with nsh.Namespace() as ns:
        ...     async with ns.path("/dev/zero").open() as f:
        ...         print(await f.read(2))
        b'\\x00\\x00'
        """
        return self._files.open(self, mode, perm)

    async def iterdir(self) -> AsyncIterator[Path]:
        """The files in this directory, with ``async for``."""
        for name in await self._files.listdir(self):
            yield self / name

    async def stat(self) -> Dir:
        """stat(2).

        >>> async with nsh.Namespace() as ns:
        ...     print((await ns.path("/dev/null").stat()).name)
        null
        """
        return await self._files.stat(self)

    async def exists(self) -> bool:
        """Is there such a file?"""
        try:
            await self.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    async def is_dir(self) -> bool:
        """Is there such a directory?

        >>> async with nsh.Namespace() as ns:
        ...     print(await ns.path("/dev").is_dir(), await ns.path("/dev").is_file())
        True False
        """
        try:
            return (await self.stat()).isdir
        except (FileNotFoundError, NotADirectoryError):
            return False

    async def is_file(self) -> bool:
        """Is there such a file, and it is no directory?"""
        return await self.exists() and not await self.is_dir()

    async def mkdir(self, mode: int = 0o777, exist_ok: bool = False) -> None:
        """Make the directory. Errors: `Eexist`."""
        try:
            await self._files.mkdir(self, mode)
        except FileExistsError:
            if not exist_ok or not await self.is_dir():
                raise

    async def chmod(self, mode: int) -> None:
        """Change the permissions.

        >>> async with nsh.Namespace() as ns:
        ...     await ns.bind("#R", "/n/mem", "c")
        ...     f = ns.path("/n/mem/f")
        ...     await f.write_bytes(b"")
        ...     await f.chmod(0o600)
        ...     print(f"{(await f.stat()).mode:o}")
        ...     await f.unlink()
        0
        600
        """
        kind = (await self.stat()).mode & ~0o777
        await self._files.wstat(self, Dir.dont_touch(mode=kind | mode))

    async def rename(self, target: str | Path) -> Path:
        """Give it another name in its directory, one that is free; returns the path. Errors: `Efilename`."""
        name = self._beside(target)
        await self._files.wstat(self, Dir.dont_touch(name=name))
        return self.with_name(name)

    async def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Make the file, or say that it has been modified now. Errors: `Eexist`."""
        if not await self.exists():
            await (await self.open("xb", mode)).close()
        elif not exist_ok:
            raise errors.Eexist()
        else:
            await self._files.wstat(self, Dir.dont_touch(mtime=int(time.time())))

    async def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file. Errors: `Eisdir` for a directory, which `rmdir` removes."""
        if await self.is_dir():
            raise errors.Eisdir()
        try:
            await self._files.remove(self)
        except FileNotFoundError:
            if not missing_ok:
                raise

    async def rmdir(self) -> None:
        """Remove the empty directory. Errors: `Enotdir`, `Enotempty`."""
        if not (await self.stat()).isdir:
            raise errors.Enotdir()
        await self._files.remove(self)

    async def glob(self, pattern: str) -> AsyncIterator[Path]:
        """The files below that match; ``**`` is this directory and those below it, each once."""
        found = [self]
        for part in pattern_parts(pattern):
            found = [below for path in found async for below in path._matching(part)]
        for path in dict.fromkeys(found):
            yield path

    async def rglob(self, pattern: str) -> AsyncIterator[Path]:
        """The same, in all directories from here on."""
        async for path in self.glob(f"**/{pattern}"):
            yield path

    async def _matching(self, part: str, above: tuple[tuple[int, int, int], ...] = ()) -> AsyncIterator[Path]:
        """What one element of a pattern stands for; a directory is not looked for below itself."""
        try:
            d = await self.stat()
            entries = await self._files.readdir(self) if d.isdir else []
        except (FileNotFoundError, PermissionError):
            return
        if part != "**":
            for entry in entries:
                if fnmatchcase(entry.name, part):
                    yield self / entry.name
        elif d.isdir and (d.type, d.dev, d.qid.path) not in above:
            yield self
            for entry in entries:
                if entry.isdir:
                    async for path in (self / entry.name)._matching(
                        part, (*above, (d.type, d.dev, d.qid.path))
                    ):
                        yield path


@asynccontextmanager
async def mount(address: str, aname: str = "") -> AsyncIterator[Path]:
    """The files of the 9P server at ``address``, as the `Path` of its root.

    ``aname``: which of its trees. Nothing is authenticated. At the end everything is closed.
    Errors: the network's, the server's.

        >>> async with nsh.Namespace() as ns, ns.serve("tcp!127.0.0.1!0", "/task") as service:
        ...     async with nsh.mount(service.address) as root:
        ...         async with (root / "remote" / "clone").open() as clone:
        ...             session = root / "remote" / (await clone.read()).decode()
        ...             await (session / "ctl").write_bytes(b"exec echo hello")
        ...             print(await (session / "stdio").read_text())
        15
        hello
        <BLANKLINE>
    """
    async with Namespace(binds=(), devices=TABLE) as ns:
        await ns._as(ns._attach(address, aname))
        yield ns.path()
