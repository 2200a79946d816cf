"""sync: the files of a 9P server, for programs that have no event loop.

    with nsh.sync.mount("tcp!127.0.0.1!5555") as root:
        print([f.name for f in (root / "remote").iterdir()])

`mount` and `Path` are those of `nsh`, blocking; `connect` gives the client below them, for what they leave
out. A root and its paths must not be used by two threads at once. In the examples, ``address`` is where a
server listens.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

from nsh import errors
from nsh.net.sync import Client, File, connect
from nsh.p9.const import DMDIR, OEXCL, OREAD
from nsh.p9.stat import Dir
from nsh.path import PurePath, open_mode, pattern_parts

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
    ...     g = mem / "d" / "g.txt"
    ...     g.touch()
    ...     print(list(mem.glob("*/*.txt")) == list(mem.rglob("*.txt")) == [g])
    ...     (mem / "d" / "g").unlink()
    ...     g.unlink()
    ...     (mem / "d").rmdir()
    5
    /mnt/d/f f ('/', 'mnt', 'd', 'f') True hello
    600 True False
    Path('/mnt/d/g')
    False [Path('/mnt/d/g')]
    b'hell' b'o'
    b'' 1
    True
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

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Make the file, or say that it has been modified now. Errors: `Eexist`."""
        if not self.exists():
            self.open("xb", mode).close()
        elif not exist_ok:
            raise errors.Eexist()
        else:
            self._files.wstat(str(self), Dir.dont_touch(mtime=int(time.time())))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file. Errors: `Eisdir` for a directory, which `rmdir` removes."""
        if self.is_dir():
            raise errors.Eisdir()
        try:
            self._files.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        """Remove the empty directory. Errors: `Enotdir`, `Enotempty`."""
        if not self.stat().isdir:
            raise errors.Enotdir()
        self._files.remove(str(self))

    def glob(self, pattern: str) -> Iterator[Path]:
        """The files below that match; ``**`` is this directory and those below it, each once."""
        found = [self]
        for part in pattern_parts(pattern):
            found = [below for path in found for below in path._matching(part)]
        yield from dict.fromkeys(found)

    def rglob(self, pattern: str) -> Iterator[Path]:
        """The same, in all directories from here on."""
        yield from self.glob(f"**/{pattern}")

    def _matching(self, part: str, above: tuple[tuple[int, int, int], ...] = ()) -> Iterator[Path]:
        """What one element of a pattern stands for; a directory is not looked for below itself."""
        try:
            d = self.stat()
            entries = self._files.readdir(str(self)) if d.isdir else []
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
                    yield from (self / entry.name)._matching(part, (*above, (d.type, d.dev, d.qid.path)))
