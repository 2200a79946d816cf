"""ramfile: put a file that lives in memory before the files of a directory."""

from __future__ import annotations

from nsh import errors
from nsh.cmd.arg import Usage
from nsh.dev.srv import file2chan
from nsh.kern.chan import Chan
from nsh.kern.dev import File, up
from nsh.kern.mnt import MBEFORE
from nsh.kern.proc import Proc

USAGE = "path [data]"


class RamFile(File):
    """Bytes that a write at offset 0 replaces and a later one continues."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(name, 0o666)
        self._content = content

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self._content[offset : offset + count]

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        self._content = self._content[:offset].ljust(offset, b"\0") + data
        return len(data)

    def length(self) -> int:
        return len(self._content)

    def remove(self, c: Chan) -> None:
        if up().user not in (self.uid, c.dev.eve):
            raise errors.Eperm()
        if self.parent is not None:
            self.parent.discard(self.name)


async def main(p: Proc, argv: list[str]) -> str:
    if len(argv) not in (2, 3):
        raise Usage(USAGE)
    directory, slash, name = argv[1].rpartition("/")
    data = "".join(argv[2:]).encode("utf-8", "surrogateescape")
    directory = directory or slash or "."
    node = RamFile(name, data)
    # the file stays when this command has ended, and goes with the shell
    try:
        await file2chan(p, directory, node, p.leader)  # beside others that were put there before
    except errors.Enotsrv:
        await p.bind("#s", directory, MBEFORE)
        await file2chan(p, directory, node, p.leader)
    return ""
