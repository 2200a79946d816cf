"""A blocking 9P client, for programs that have no event loop.

    with sync.connect("tcp!127.0.0.1!5555") as fs:
        print(fs.listdir("remote"))
        with fs.open("remote/clone") as clone:
            session = clone.read().decode()

It does the operations of `nsh.p9.client` over a socket of its own, one request at a time, and knows
nothing of name spaces or event loops. Names are separated by ``/`` and start at the root of the server's
tree. A `Client` must not be used by two threads at once.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import TypeVar

from nsh import errors
from nsh.errors import Emountrpc, ProtocolError
from nsh.kern.user import whoami
from nsh.net.address import Address, address, check_peer, failure, port
from nsh.p9 import client as p9
from nsh.p9.const import MAXMSIZE, OREAD, OTRUNC, OWRITE
from nsh.p9.msg import Rmsg, Tmsg
from nsh.p9.stat import Dir, unpack_dirs

T = TypeVar("T")


def connect(where: str, aname: str = "", uname: str = "", timeout: float | None = None) -> Client:
    """Dial ``where`` and attach to the tree ``aname`` as ``uname`` (default: the user of this program).

    ``timeout``: the seconds that any one request may take. Errors: the host's, and the server's.

        >>> with nsh.sync.connect(address) as fs:
        ...     print(fs.listdir("mnt"))
        []
    """
    sock = dial(address(where, net="tcp"), timeout)
    try:
        return Client(sock, aname, uname or whoami())
    except BaseException:
        sock.close()
        raise


def dial(a: Address, timeout: float | None = None) -> socket.socket:
    """A connection to ``a``. Errors: the host's."""
    try:
        if a.net != "unix":
            sock = socket.create_connection((a.host, port(a)), timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect(a.host)
            check_peer(sock)
        except BaseException:
            sock.close()
            raise
        return sock
    except OSError as e:
        raise failure(e) from None


class Client:
    """The tree of a 9P server. Close it, or use it as a context manager.

    ``client``: makes the operations, for those who `run` some of their own; ``root``: the fid of the tree.

    >>> with nsh.sync.connect(address) as fs:
    ...     fs.create("mnt/f").close()
    ...     print(fs.write("mnt/f", b"hello"), fs.read("mnt/f"))
    ...     fs.wstat("mnt/f", nsh.Dir.dont_touch(name="g"))
    ...     print([d.name for d in fs.readdir("mnt")], fs.stat("mnt/g").length)
    ...     fs.remove("mnt/g")
    5 b'hello'
    ['g'] 5
    """

    def __init__(self, sock: socket.socket, aname: str, uname: str) -> None:
        self._sock = sock
        self.client = p9.Client(MAXMSIZE)
        self.run(self.client.version())
        self.root, _ = self.run(self.client.attach(uname, aname))

    def close(self) -> None:
        """Hang up; the server gives back what this client held."""
        self.client.close()
        self._sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    # --- files by name -------------------------------------------------------------------------

    def open(self, name: str, mode: int = OREAD) -> File:
        """open(5). ``mode`` is OREAD, OWRITE, ORDWR or OEXEC, with OTRUNC or ORCLOSE."""
        fid = self._walk(name)
        try:
            _, iounit = self.run(self.client.open(fid, mode))
        except BaseException:
            self._clunk(fid)
            raise
        return File(self, fid, iounit)

    def create(self, name: str, perm: int = 0o666, mode: int = OWRITE) -> File:
        """open(5): make a file and open it; ``perm`` with DMDIR makes a directory, to be opened OREAD."""
        parent, _, last = name.rpartition("/")
        fid = self._walk(parent)
        try:
            _, iounit = self.run(self.client.create(fid, last, perm, mode))
        except BaseException:
            self._clunk(fid)
            raise
        return File(self, fid, iounit)

    def read(self, name: str) -> bytes:
        """The whole content of a file."""
        with self.open(name) as f:
            return f.read()

    def write(self, name: str, data: bytes, truncate: bool = False) -> int:
        """Write ``data`` to an existing file, in one message if it fits; returns the bytes taken."""
        with self.open(name, OWRITE | (OTRUNC if truncate else 0)) as f:
            return f.write(data)

    def readdir(self, name: str = "") -> list[Dir]:
        """The entries of a directory."""
        return unpack_dirs(self.read(name))

    def listdir(self, name: str = "") -> list[str]:
        """The names in a directory."""
        return [entry.name for entry in self.readdir(name)]

    def stat(self, name: str = "") -> Dir:
        """stat(5)."""
        fid = self._walk(name)
        try:
            return self.run(self.client.stat(fid))
        finally:
            self._clunk(fid)

    def wstat(self, name: str, d: Dir) -> None:
        """stat(5): change what ``d`` names (see `Dir.dont_touch`)."""
        fid = self._walk(name)
        try:
            self.run(self.client.wstat(fid, d))
        finally:
            self._clunk(fid)

    def remove(self, name: str) -> None:
        """remove(5)."""
        self.run(self.client.remove(self._walk(name)))

    # --- inside --------------------------------------------------------------------------------

    def _walk(self, name: str) -> int:
        names = [elem for elem in name.split("/") if elem not in ("", ".")]
        fid, qids = self.run(self.client.walk(self.root, names))
        if fid is None:
            raise errors.Enonexist(f"'{'/'.join(names[: len(qids) + 1])}' {errors.Edoesnotexist.text}")
        return fid

    def _clunk(self, fid: int) -> None:
        """Wait until the fid is gone; that it cannot be clunked is nothing to fail for."""
        try:
            self.run(self.client.clunk(fid))
        except OSError:
            pass

    def run(self, op: p9.Op[T]) -> T:
        """Do an operation of `client`. Errors: the server's, and `Emountrpc` when it is gone."""
        return p9.drive(op, self._rpc)

    def _rpc(self, message: Tmsg) -> Rmsg:
        """One request and its reply. Whatever goes wrong in between, the connection is of no more use."""
        tag = self.client.send(message)
        try:
            self._sock.sendall(b"".join(self.client.take()))
            while data := self._sock.recv(MAXMSIZE):
                for answered, reply in self.client.feed(data):
                    if answered == tag:
                        return reply
        except TimeoutError:
            self.close()
            raise errors.Etimedout() from None
        except (OSError, ProtocolError):
            pass
        except BaseException:  # interrupted between request and reply
            self.close()
            raise
        self.close()
        raise Emountrpc()


class File:
    """An open file of a server, with a position. Close it, or use it as a context manager.

    >>> with nsh.sync.connect(address) as fs, fs.create("mnt/f", mode=2) as f:
    ...     print(f.write(b"hello world"), f.seek(6), f.read(3), f.tell(), f.read(), f.stat().length)
    ...     fs.remove("mnt/f")
    11 6 b'wor' 9 b'ld' 11
    """

    def __init__(self, client: Client, fid: int, iounit: int) -> None:
        self._client = client
        self._fid = fid
        self._iounit = iounit
        self.offset = 0

    def read(self, count: int = -1) -> bytes:
        """What one read gives, at most ``count`` bytes; without ``count`` everything to the end."""
        if count >= 0:
            return self._read(min(count, self._iounit))
        pieces = []
        while piece := self._read(self._iounit):
            pieces.append(piece)
        return b"".join(pieces)

    def _read(self, count: int) -> bytes:
        client = self._client
        data = client.run(client.client.read(self._fid, count, self.offset))
        self.offset += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Write ``data``; returns the bytes taken."""
        client = self._client
        count = client.run(client.client.write(self._fid, data, self.offset))
        self.offset += count
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to ``offset`` from the start, from here (1) or from the end (2); returns where that is."""
        start = {0: 0, 1: self.offset, 2: self.stat().length if whence == 2 else 0}[whence]
        if start + offset < 0:
            raise errors.Enegoffset()
        self.offset = start + offset
        return self.offset

    def tell(self) -> int:
        """Where the next read or write begins, in bytes."""
        return self.offset

    def stat(self) -> Dir:
        """stat(5) of the open file."""
        return self._client.run(self._client.client.stat(self._fid))

    def close(self) -> None:
        """clunk(5). The server is told now: what it does when a file is closed should not wait."""
        fid, self._fid = self._fid, -1
        if fid >= 0:
            self._client._clunk(fid)

    def __enter__(self) -> File:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
