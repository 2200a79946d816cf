"""sync: the files of a 9P server, for programs that have no event loop.

    with nsh.sync.mount("tcp!127.0.0.1!5555") as root:
        print([f.name for f in (root / "remote").iterdir()])

`mount` and `Path` are those of `nsh`, blocking; `connect` gives the client below them, for what they leave
out. A root and its paths must not be used by two threads at once. In the examples, ``address`` is where a
server listens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nsh.net.sync import Client, File, connect
from nsh.p9.const import DMDIR, OEXCL, OREAD
from nsh.p9.stat import Dir
from nsh.path import PurePath, open_mode

__all__ = ["Client", "File", "Path", "connect", "mount"]


@contextmanager
def mount(address: str, aname: str = "", timeout: float | None = None) -> Iterator[Path]:
    """The files of the 9P server at ``address``, as the `Path` of its root.

    ``aname``: which of its trees; ``timeout``: the seconds that any one request may take. Nothing is
    authenticated. At the end everything is closed. Errors: the network's, the server's.

        >>> with nsh.sync.mount(address) as root:
        ...     print((root / "dev" / "null").read_bytes())
        b''
    """
    with connect(address, aname, timeout=timeout) as client:
        yield Path(client)


class Path(PurePath):
    """A file of a 9P server, in the manner of pathlib. `mount` gives the root.

    >>> with nsh.sync.mount(address) as root:
    ...     mem = root / "mnt"
    ...     (mem / "d").mkdir()
    ...     f = mem / "d" / "f"
    ...     f.write_text("hello")
    ...     print(f, f.name, f.parts, f.parent == mem / "d", f.read_text())
    ...     f.chmod(0o600)
    ...     print(f"{f.stat().mode:o}", f.is_file(), f.is_dir())
    ...     f.rename("g")
    ...     print(f.exists(), list(f.parent.iterdir()))
    ...     with (mem / "d" / "g").open() as g:
    ...         print(g.read(4), g.read())
    ...     print((root / "dev" / "null").read_bytes(), (root / "dev" / "null").write_bytes(b"x"))
    ...     (mem / "d" / "g").unlink()
    5
    /mnt/d/f f ('/', 'mnt', 'd', 'f') True hello
    600 True False
    Path('/mnt/d/g')
    False [Path('/mnt/d/g')]
    b'hell' b'o'
    b'' 1
    """

    __slots__ = ()

    _files: Client

    def read_bytes(self) -> bytes:
        """The whole content."""
        return self._files.read(str(self))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content, decoded."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes) -> int:
        """Make ``data`` the content; the file is created if need be. To a ctl file: a command."""
        with self.open("wb") as f:
            return f.write(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        """The same, encoded."""
        return self.write_bytes(text.encode(encoding))

    def open(self, mode: str = "rb", perm: int = 0o666) -> File:
        """Open it; ``mode`` as Python's open has it, always of bytes."""
        flags, create, append = open_mode(mode)
        f = self._open(flags, perm) if create else self._files.open(str(self), flags)
        if append:
            f.seek(0, 2)
        return f

    def _open(self, flags: int, perm: int) -> File:
        """Open or else create; with OEXCL create."""
        if not flags & OEXCL:
            try:
                return self._files.open(str(self), flags)
            except FileNotFoundError:
                pass
        return self._files.create(str(self), perm, flags & 3)

    def iterdir(self) -> Iterator[Path]:
        """The files in this directory."""
        for name in self._files.listdir(str(self)):
            yield self / name

    def stat(self) -> Dir:
        """stat(5)."""
        return self._files.stat(str(self))

    def exists(self) -> bool:
        """Is there such a file?"""
        try:
            self.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def is_dir(self) -> bool:
        """Is there such a directory?"""
        try:
            return self.stat().isdir
        except (FileNotFoundError, NotADirectoryError):
            return False

    def is_file(self) -> bool:
        """Is there such a file, and it is no directory?"""
        return self.exists() and not self.is_dir()

    def mkdir(self, mode: int = 0o777, exist_ok: bool = False) -> None:
        """Make the directory. Errors: `Eexist`."""
        try:
            self._files.create(str(self), DMDIR | mode, OREAD).close()
        except FileExistsError:
            if not exist_ok or not self.is_dir():
                raise

    def chmod(self, mode: int) -> None:
        """Change the permissions."""
        self._files.wstat(str(self), Dir.dont_touch(mode=self.stat().mode & ~0o777 | mode))

    def rename(self, target: str | Path) -> Path:
        """Give it another name in its directory, one that is free; returns the path. Errors: `Efilename`."""
        name = self._beside(target)
        self._files.wstat(str(self), Dir.dont_touch(name=name))
        return self.with_name(name)

    def unlink(self) -> None:
        """Remove the file, or the empty directory."""
        self._files.remove(str(self))
