"""dial(2): from an address to a connection, and from connections to an address that was announced.

How an address is written is told by `nsh.net.address`, what it means in a world with a table of its own by
`nsh.net.ndb`; what needs no dialling (``fd!``, ``exec!``) is in `nsh.net.handed`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
import stat
from collections.abc import Callable

from nsh import errors
from nsh.kern.chan import Chan, settle
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Dialled, Proc, System
from nsh.net import handed, ndb
from nsh.net.address import HANDED, Address, address, check_peer, failure, port
from nsh.net.conn import Conn, adopt, enter
from nsh.p9.const import ORDWR

log = logging.getLogger("nsh.net")

BACKLOG = 1024
"""Connections that the kernel keeps for us until they are accepted."""
LINE = 8192
"""Most bytes of an answer of a connection server."""
RETRY = 1.0
"""Seconds to wait before accepting again when there are no descriptors left."""
CALM = 60.0
"""Seconds without a shortage after which the next one is news."""
DESCRIPTORS = 1 << 16
"""Descriptors that are enough for a server. Not more, though the host may allow it: what is started from
here inherits the limit, and some programs close all that they might have, one by one."""
_SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


async def dial(system: System, text: str) -> Chan:
    """Connect to ``text`` from this machine; returns the open data file of the connection.

    Errors: the host's ("Connection refused"), `Ebadaddr`, or "address not in ndb: ...".
    """
    a = address(text)
    return enter(system, "unix" if a.net == "unix" else "tcp", await connect(system, a))


async def call(p: Proc, text: str) -> Chan:
    """dial(2): connect as process ``p`` does, by the network of its name space.

    That is this machine's, unless files of another are bound or mounted at /net, or the address begins
    with the name of such a network: ``/n/gateway/net/tcp!host!service``. There a connection server, cs,
    knows hosts and services by name. Errors: those of `dial`, of `handed.connection`, and of the files.
    """
    a = address(text)
    if a.net in HANDED:
        return await handed.connection(p, a.net, a.host)
    net = a.net if "/" in a.net else f"/net/{'tcp' if a.net == 'net' else a.net}"
    try:
        clone = await namec(p, f"{net}/clone", Access.ACCESS)
    except OSError:
        if net == a.net:
            raise
        return await dial(p.system, text)
    if a.net == "unix" or clone.dev is p.system.device("I"):
        return await dial(p.system, str(a._replace(net=net.rpartition("/")[2])))
    c = await _call_by_files(p, net, a)
    assert clone.path.parent is not None
    p.system.dialled[c] = Dialled("A", clone.path.parent, f"{a.host}!{a.service}")
    return c


async def _call_by_files(p: Proc, net: str, a: Address) -> Chan:
    """csdial: connect by the files in the directory ``net``, or as the connection server beside it says."""
    top, _, name = net.rpartition("/")
    try:
        cs = await namec(p, f"{top}/cs", Access.OPEN, ORDWR)
    except OSError:
        return await _connect_by_files(p, net, f"{a.host}!{port(a._replace(net='net'))}")
    try:
        question = f"{name}!{a.host}!{a.service}"
        await settle(cs.dev.write(cs, question.encode("utf-8", "surrogateescape"), 0))
        return await _connect_as_told(p, top, cs)
    finally:
        cs.close()


async def _connect_as_told(p: Proc, top: str, cs: Chan) -> Chan:
    """Try the answers of a connection server: lines with the name of a clone file and what to write there.

    Its names are those of its own name space, in which the networks are in /net; here they are in ``top``.
    """
    reason: OSError = errors.Ebadaddr()
    at = 0
    while line := await settle(cs.dev.read(cs, LINE, at)):
        at += len(line)
        clone, _, where = line.decode("utf-8", "surrogateescape").rstrip("\n").partition(" ")
        try:
            return await _connect_by_files(p, "/".join([top, *clone.split("/")[2:-1]]), where)
        except OSError as e:
            reason = e.with_traceback(None)
    raise reason


async def _connect_by_files(p: Proc, net: str, where: str) -> Chan:
    """Connect to ``where``, host and port, by the files of ip(3) in the directory ``net``."""
    ctl = await namec(p, f"{net}/clone", Access.OPEN, ORDWR)
    try:
        number = (await settle(ctl.dev.read(ctl, 32, 0))).decode("ascii", "replace").strip()
        await settle(ctl.dev.write(ctl, f"connect {where}".encode("utf-8", "surrogateescape"), 0))
        return await namec(p, f"{net}/{number}/data", Access.OPEN, ORDWR)
    finally:
        ctl.close()


async def connect(system: System, a: Address) -> Conn:
    """`dial`, for those who give the connection its files themselves."""
    if a.net == "unix":
        return await _connect_unix(a.host)
    host, number = a.host, port(a)
    remote = f"{host}!{number}"
    if system.ndb is not None:
        real = address(ndb.lookup(system.ndb, ndb.canonical("tcp", host, str(number))))
        host, number = real.host, int(real.service)
    reason: OSError = errors.Ebadaddr()
    for family, where in await _resolve(host, number):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            await _connect(sock, where)
            return await adopt(sock, "tcp", remote, _name(sock.getsockname()))
        except OSError as e:
            reason = e
    raise failure(reason)


async def _connect_unix(path: str) -> Conn:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await _connect(sock, path)
        check_peer(sock)
        return await adopt(sock, "unix", path, path)
    except OSError as e:
        raise failure(e) from None


async def _connect(sock: socket.socket, where: object) -> None:
    """Connect; the socket is closed if that does not come about."""
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, where)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise


async def _resolve(host: str, port: int, flags: int = 0) -> list[tuple[int, object]]:
    """The socket addresses of a host name or number, as (family, address)."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror as e:
        raise failure(e) from None
    except UnicodeError:
        raise errors.Ebadaddr() from None
    return [(family, where) for family, _, _, _, where in found]


def _name(where: object) -> str:
    """``host!port`` of a socket address; of an IPv4 address that came in over IPv6, the IPv4 form."""
    if not isinstance(where, tuple):
        return str(where)
    return f"{str(where[0]).removeprefix('::ffff:')}!{where[1]}"


class Listener:
    """An announced address: `accept` its connections, then `close` it.

    ``address``: what was announced, with the port that it got; ``public``: can be reached from
    other machines.
    """

    def __init__(self, system: System, sock: socket.socket, a: Address, cleanup: Callable[[], None]) -> None:
        self.address = a
        self._system = system
        self._sock = sock
        self._cleanup = cleanup
        self._short = -math.inf  # when descriptors were last missing
        host = sock.getsockname()[0] if a.net == "tcp" else ""
        self.public = a.net == "tcp" and not host.startswith("127.") and host != "::1"

    async def accept(self) -> Chan:
        """The next connection, as its open data file."""
        return enter(self._system, self.address.net, await self.take())

    async def take(self) -> Conn:
        """The next connection. What fails on the way is not our caller's."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, where = await loop.sock_accept(self._sock)
            except OSError as e:
                if e.errno in _SHORTAGE:
                    self._tell_shortage(e)
                    await asyncio.sleep(RETRY)
                elif e.errno not in (errno.ECONNABORTED, errno.EPERM):
                    raise errors.from_os(e) from None
                continue
            try:
                return await self._welcome(sock, where)
            except OSError as e:
                log.warning("%s: connection not taken: %s", self.address, e)

    def _tell_shortage(self, e: OSError) -> None:
        """Log it, unless it is the one that was told of and has not passed."""
        now = asyncio.get_running_loop().time()
        if now - self._short > CALM:
            log.warning("%s: cannot accept for now: %s", self.address, e.strerror)
        self._short = now

    async def _welcome(self, sock: socket.socket, where: object) -> Conn:
        if self.address.net == "unix":
            check_peer(sock)
            return await adopt(sock, "unix", self.address.host, self.address.host)
        return await adopt(sock, "tcp", _name(where), _name(sock.getsockname()))

    def close(self) -> None:
        """Announce no more; connections that were accepted stay."""
        # else asyncio does, a turn after who waits here was cancelled, with a number that others may have
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()
        self._cleanup()


class Single:
    """In the place of a `Listener`: one connection, which is there already."""

    public = False

    def __init__(self, a: Address, connection: Chan) -> None:
        self.address = a
        self._connection: Chan | None = connection

    async def accept(self) -> Chan | None:
        """The connection; the second time None."""
        connection, self._connection = self._connection, None
        return connection

    def close(self) -> None:
        """Hang up, if nobody has taken it."""
        if self._connection is not None:
            self._connection.close()


async def answer(p: Proc, text: str) -> Listener | Single:
    """`announce`, as process ``p`` does it, and for connections that are handed over, too.

    Errors: those of `announce` and of `handed.connection`.
    """
    a = address(text, net="tcp")
    if a.net in HANDED:
        return Single(a, await handed.connection(p, a.net, a.host))
    return await announce(p.system, text)


async def announce(system: System, text: str) -> Listener:
    """Take connections at ``text``; host ``*`` is every address of the machine, port 0 any free one.

    Errors: the host's ("Address already in use"), `Ebadaddr`.
    """
    a = address(text, net="tcp")
    _prepare()
    try:
        if a.net == "unix":
            return announce_unix(system, a.host)
        number = port(a)
        if system.ndb is not None:
            return _announce_in_ndb(system, system.ndb, a, number)
        sock = await _tcp_socket(a.host, number)
        return Listener(system, sock, _as_bound(a, sock), _nothing)
    except OSError as e:
        raise failure(e) from None


def _prepare() -> None:
    """Make this process fit for many clients: more descriptors, and the modules to be had without one."""
    import grp  # noqa: F401  # whose files are served is shown by name
    import pwd  # noqa: F401
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _as_bound(a: Address, sock: socket.socket) -> Address:
    """The address, with the port that was given for 0."""
    return Address("tcp", a.host, str(sock.getsockname()[1]))


def _announce_in_ndb(system: System, table: str, a: Address, number: int) -> Listener:
    sock = _bound(socket.AF_INET, (ndb.LOOPBACK, 0))
    real = sock.getsockname()[1]
    ndb.enter(table, ndb.canonical("tcp", a.host, str(number or real)), f"tcp!{ndb.LOOPBACK}!{real}")
    return Listener(system, sock, Address("tcp", a.host, str(number or real)), _nothing)


async def _tcp_socket(host: str, port: int) -> socket.socket:
    if host != "*":
        family, where = (await _resolve(host, port, socket.AI_PASSIVE))[0]
        return _bound(family, where)
    if not socket.has_dualstack_ipv6():
        return _bound(socket.AF_INET, ("0.0.0.0", port))
    return _bound(socket.AF_INET6, ("::", port), both=True)


def _bound(family: int, where: object, both: bool = False) -> socket.socket:
    """A listening socket; ``both``: one of IPv6 that takes IPv4 connections too."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        sock.bind(where)  # type: ignore[arg-type]
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def announce_unix(system: System, path: str) -> Listener:
    """A socket that only its owner can connect to; one that a dead server left is replaced.

    Errors: the host's.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        # nobody can connect before listen, so nobody comes in under the first mode
        os.chmod(path, 0o600)
        made = os.lstat(path).st_ino
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return Listener(system, sock, Address("unix", path, ""), lambda: _remove_socket(path, made))


def _remove_stale(path: str) -> None:
    """Remove the socket ``path`` if nobody listens there any more."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            pass


def _remove_socket(path: str, made: int) -> None:
    """Remove the socket file that was made, unless another has taken its place."""
    try:
        if os.lstat(path).st_ino == made:
            os.unlink(path)
    except OSError:
        pass


def _nothing() -> None:
    """A TCP port needs no cleaning up."""
