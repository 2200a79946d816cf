"""9p: read and write files of a 9P server without mounting it, as plan9port's command does.

What the commands do is here, for whoever calls: a process of ours, or a program of the host that has no
event loop (`nsh.tool`). A `Caller` knows how a server is called.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from nsh import errors
from nsh.cmd.arg import Options, Usage, parse
from nsh.errors import P9Error
from nsh.net.address import address
from nsh.p9.client import Client, Op
from nsh.p9.const import ORDWR, OREAD, OTRUNC, OWRITE
from nsh.p9.stat import Dir

if TYPE_CHECKING:
    from nsh.dev.mnt import Fid, MntDevice
    from nsh.kern.chan import Chan
    from nsh.kern.proc import Proc

T = TypeVar("T")

USAGE = """[-Dn] [-a address] [-A aname] cmd args...
possible cmds:
	read name
	readfd name
	write [-l] name
	writefd name
	stat name
	rdwr name
	ls [-ldn] [name...]
	create name...
	rm name...
a first arg with a ! in it is the address, too; without any it is $TASK_ADDR;
without that name elem/path means /path on server unix!$ns/elem"""

READSIZE = 8192
"""Bytes of standard input that go into one write."""
LINE = 4096
"""Bytes that rdwr reads at a time."""
RECENT = 6 * 30 * 86400
"""Seconds for which ls -l tells the time of day and not the year."""


class Server(Protocol):
    """A server that was called: does operations of ``client``, to which the fid ``root`` is known."""

    client: Client
    root: int

    async def run(self, op: Op[T]) -> T:
        """Errors: the server's."""

    def close(self) -> None:
        """Hang up."""


class Caller(Protocol):
    """Who has given the command."""

    @property
    def user(self) -> str: ...

    def getenv(self, name: str) -> bytes | None: ...

    async def read(self, fd: int, count: int) -> bytes: ...

    async def write(self, fd: int, data: bytes) -> int: ...

    async def complain(self, text: str) -> None:
        """Write one line to standard error."""

    async def call(self, where: str, aname: str, trace: bool, complaint: str) -> Server:
        """Call the server at ``where``, and attach to the tree ``aname``; ``trace``: print what is said.

        Errors: `P9Error`; ``complaint`` is put in front of one of calling, and "mount: " of any other.
        """


async def main(p: Proc, argv: list[str]) -> str:
    return await work(Process(p), argv)


async def work(p: Caller, argv: list[str]) -> str:
    """Do the command; returns its exit status. Errors: `Usage`, `P9Error`."""
    options = parse(argv, "a:A:nD", USAGE)
    words = options.args
    if not words or words[0] not in _COMMANDS:
        raise Usage(USAGE)
    do, letters, least, most = _COMMANDS[words[0]]
    own = parse(words, letters, USAGE)
    servers = Servers(p, options)
    if "a" not in options and own.args and "!" in own.args[0].partition("/")[0]:
        servers.address = _complete(own.args.pop(0))
    elif not servers.address and (task := p.getenv("TASK_ADDR")):
        servers.address = os.fsdecode(task)  # we are in a task of taskfs(3): its session
    if len(own.args) < least or (most and len(own.args) > most):
        raise Usage(USAGE)
    try:
        return await do(p, servers, own)
    finally:
        servers.close()


def _complete(text: str) -> str:
    """A dial string with all its parts; a socket's file may be named alone."""
    if "!" not in text and os.path.exists(text):
        return f"unix!{text}"
    return str(address(text, net="tcp", service="9fs"))


# --- servers and their files ----------------------------------------------------------------------------


class Servers:
    """The servers that the names lead to, each called once. ``address``: of the one that all lead to."""

    def __init__(self, p: Caller, options: Options) -> None:
        self.address = _complete(options.value("a")) if "a" in options else ""
        self._p = p
        self._aname = options.value("A")
        self._trace = "D" in options
        self._called: dict[str, Tree] = {}

    async def find(self, name: str) -> tuple[Tree, str]:
        """The tree that ``name`` is in, and its path there. Errors: could not be called or attached to."""
        if self.address:
            return await self._tree(self.address, "dial: "), name
        service, _, path = name.partition("/")
        where = f"unix!{_services(self._p)}/{service}"
        return await self._tree(where, f"mount: dial {where}: "), path

    async def _tree(self, where: str, complaint: str) -> Tree:
        tree = self._called.get(where)
        if tree is None:
            tree = Tree(await self._p.call(where, self._aname, self._trace, complaint))
            self._called[where] = tree
        return tree

    def close(self) -> None:
        for tree in self._called.values():
            tree.close()


def _services(p: Caller) -> str:
    """The host's directory where plan9port's servers have their sockets (intro(4) there)."""
    if given := p.getenv("NAMESPACE"):
        return os.fsdecode(given)
    display = os.fsdecode(p.getenv("DISPLAY") or b"")
    if not display:
        raise P9Error("mount: no name space: neither $NAMESPACE nor $DISPLAY is set")
    display = display.removesuffix(".0").replace("/", "_")
    return f"/tmp/ns.{p.user}.{display}"


class Tree:
    """An attached tree: the operations on its files that the commands are made of, by fid."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.client = server.client

    def close(self) -> None:
        self._server.close()

    async def run(self, op: Op[T]) -> T:
        return await self._server.run(op)

    async def walk(self, name: str) -> int:
        """A fid for the file. Errors: the server's, or that it is not there."""
        names = [elem for elem in name.split("/") if elem not in ("", ".")]
        fid, _ = await self.run(self.client.walk(self._server.root, names))
        if fid is None:
            raise errors.Enonexist(f"file '{name}' not found")
        return fid

    async def open(self, name: str, mode: int) -> File:
        fid = await self.walk(name)
        await self.run(self.client.open(fid, mode))
        return File(self, fid)

    async def create(self, name: str) -> None:
        directory, _, last = name.rpartition("/")
        fid = await self.walk(directory)
        await self.run(self.client.create(fid, last, 0o666, OREAD))
        await self.run(self.client.clunk(fid))

    async def stat(self, name: str) -> Dir:
        fid = await self.walk(name)
        d = await self.run(self.client.stat(fid))
        await self.run(self.client.clunk(fid))
        return d

    async def remove(self, name: str) -> None:
        await self.run(self.client.remove(await self.walk(name)))


class File:
    """An open file, with a position."""

    def __init__(self, tree: Tree, fid: int) -> None:
        self._tree = tree
        self._fid = fid
        self.offset = 0

    async def read(self, count: int) -> bytes:
        """What one Tread gives, at most ``count`` bytes."""
        data = await self._tree.run(self._tree.client.read(self._fid, count, self.offset))
        self.offset += len(data)
        return data

    async def readdir(self) -> list[Dir]:
        return await self._tree.run(self._tree.client.readdir(self._fid))

    async def write(self, data: bytes) -> None:
        """Write all of it, in one Twrite if it fits and the server takes it. Errors: nothing was taken."""
        while True:
            taken = await self._tree.run(self._tree.client.write(self._fid, data, self.offset))
            self.offset += taken
            if taken == len(data):
                return
            if taken == 0:
                raise errors.Eshortwrite()
            data = data[taken:]

    async def close(self) -> None:
        await self._tree.run(self._tree.client.clunk(self._fid))


async def _told(what: str, work: Awaitable[T]) -> T:
    """Await ``work``; ``what`` goes in front of the error's text."""
    try:
        return await work
    except OSError as e:
        raise P9Error(f"{what}: {e}") from None


async def _open(servers: Servers, name: str, mode: int) -> File:
    tree, path = await servers.find(name)
    return await _told(f"fsopen {path}", tree.open(path, mode))


# --- the commands ---------------------------------------------------------------------------------------


async def _read(p: Caller, servers: Servers, own: Options) -> str:
    f = await _open(servers, own.args[0], OREAD)
    while data := await _told("read error", f.read(1 << 30)):
        await _told("write error", p.write(1, data))
    await f.close()
    return ""


async def _write(p: Caller, servers: Servers, own: Options) -> str:
    f = await _open(servers, own.args[0], OWRITE | OTRUNC)
    status = ""
    empty = True
    async for data in _lines(p) if "l" in own else _blocks(p):
        empty = False
        try:
            await f.write(data)
        except OSError as e:
            if "l" not in own:
                raise P9Error(f"write error: {e}") from None
            status = await _go_on(p, f"write: {e}")
    if empty:
        await _told("write error", f.write(b""))
    await f.close()
    return status


async def _blocks(p: Caller) -> AsyncIterator[bytes]:
    """Standard input, as it comes."""
    while data := await _told("read error", p.read(0, READSIZE)):
        yield data


async def _lines(p: Caller) -> AsyncIterator[bytes]:
    """Standard input, line by line, each with its end."""
    rest = b""
    async for data in _blocks(p):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


async def _stat(p: Caller, servers: Servers, own: Options) -> str:
    from nsh.p9.trace import dir_text

    tree, path = await servers.find(own.args[0])
    await p.write(1, _bytes(dir_text(await _told("dirstat", tree.stat(path))) + "\n"))
    return ""


async def _rdwr(p: Caller, servers: Servers, own: Options) -> str:
    f = await _open(servers, own.args[0], ORDWR)
    lines = _lines(p)
    status = ""
    while True:
        f.offset = 0
        try:
            data = await f.read(LINE)
        except OSError as e:
            status = await _go_on(p, f"read: {e}")
        else:
            await _told("write error", p.write(1, data + b"\n"))
        line = await anext(lines, None)
        if line is None:
            break
        try:
            await f.write(line.removesuffix(b"\n"))
        except OSError as e:
            status = await _go_on(p, f"write: {e}")
    await f.close()
    return status


async def _create(p: Caller, servers: Servers, own: Options) -> str:
    return await _each(p, servers, own.args, "create", Tree.create)


async def _rm(p: Caller, servers: Servers, own: Options) -> str:
    return await _each(p, servers, own.args, "remove", Tree.remove)


async def _each(
    p: Caller, servers: Servers, names: list[str], what: str, do: Callable[[Tree, str], Awaitable[None]]
) -> str:
    status = ""
    for name in names:
        tree, path = await servers.find(name)
        try:
            await do(tree, path)
        except OSError as e:
            status = await _go_on(p, f"{what} {name}: {e}")
    return status


async def _go_on(p: Caller, text: str) -> str:
    """Complain as plan9port does of what does not end the command; returns the status at the end."""
    await p.complain(text)
    return "errors"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# --- ls -------------------------------------------------------------------------------------------------


async def _ls(p: Caller, servers: Servers, own: Options) -> str:
    status = ""
    for name in own.args or ["."]:
        tree, path = await servers.find(name)
        try:
            d = await _told(f"dirstat {name}", tree.stat(path))
            entries = await _entries(tree, path, name, own) if d.isdir and "d" not in own else [d]
        except OSError as e:
            status = await _go_on(p, str(e))
            continue
        lines = _long(entries) if "l" in own else [_quoted(d.name) for d in entries]
        if lines:
            await p.write(1, _bytes("\n".join(lines) + "\n"))
    return status


async def _entries(tree: Tree, path: str, name: str, own: Options) -> list[Dir]:
    f = await _told(f"open {name}", tree.open(path, OREAD))
    try:
        entries = await _told(f"dirreadall {name}", f.readdir())
    finally:
        await f.close()
    return entries if "n" in own else sorted(entries, key=lambda d: os.fsencode(d.name))


def _long(entries: list[Dir]) -> list[str]:
    """Mode, device, owner, group, length, time and name, the columns aligned."""
    import time

    from nsh.p9.trace import mode_text

    now = time.time()
    uid = max((len(d.uid) for d in entries), default=0)
    gid = max((len(d.gid) for d in entries), default=0)
    length = max((len(str(d.length)) for d in entries), default=0)
    return [
        f"{mode_text(d.mode)} M 0 {d.uid:{uid}} {d.gid:{gid}} {d.length:{length}}"
        f" {_when(d.mtime, now)} {_quoted(d.name)}"
        for d in entries
    ]


def _when(mtime: int, now: float) -> str:
    import time

    t = time.localtime(mtime)
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * t.tm_mon - 3 : 3 * t.tm_mon]
    clock = f"{t.tm_hour:02}:{t.tm_min:02}" if now - mtime < RECENT else f"{t.tm_year:5}"
    return f"{month} {t.tm_mday:2} {clock}"


def _quoted(name: str) -> str:
    """``name`` as plan9port's %q has it."""
    if name and not any(c <= " " or c == "'" for c in name):
        return name
    return "'" + name.replace("'", "''") + "'"


# --- a process of ours ----------------------------------------------------------------------------------


class Process:
    """The `Caller` that a process is."""

    def __init__(self, p: Proc) -> None:
        self._p = p
        self.read, self.write = p.read, p.write

    @property
    def user(self) -> str:
        return self._p.user

    def getenv(self, name: str) -> bytes | None:
        return self._p.egrp.get(name)

    async def complain(self, text: str) -> None:
        from nsh.cmd import complain

        await complain(self._p, text)

    async def call(self, where: str, aname: str, trace: bool, complaint: str) -> Server:
        from nsh.net.dial import call

        p = self._p
        try:
            conn = await call(p, where)
        except OSError as e:
            raise P9Error(f"{complaint}{e}") from None
        if trace:
            from nsh.cmd.styxmon import watched

            conn = await watched(p, conn)
        driver = cast("MntDevice", p.system.device("M"))
        try:
            return Mount(driver, await _told("mount", driver.connect(conn, p.user, aname)))
        finally:
            conn.close()


class Mount:
    """The `Server` at the root of a mount."""

    def __init__(self, driver: MntDevice, root: Chan) -> None:
        self._driver = driver
        self._chan = root
        fid: Fid = root.aux
        self._link = fid.link
        self.client, self.root = fid.link.client, fid.number

    async def run(self, op: Op[T]) -> T:
        return await self._link.run(op)

    def close(self) -> None:
        self._driver.hangup(self._chan)


Command = Callable[[Caller, Servers, Options], Awaitable[str]]

_COMMANDS: dict[str, tuple[Command, str, int, int]] = {
    "read": (_read, "", 1, 1),
    "readfd": (_read, "", 1, 1),
    "write": (_write, "l", 1, 1),
    "writefd": (_write, "", 1, 1),
    "stat": (_stat, "", 1, 1),
    "rdwr": (_rdwr, "", 1, 1),
    "ls": (_ls, "ldn", 0, 0),
    "create": (_create, "", 1, 0),
    "rm": (_rm, "", 1, 0),
}
"""Each with its options, and how many names it takes at least and at most (0: any number)."""
