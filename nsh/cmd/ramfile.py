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
LIMIT = 1 << 26
"""Bytes that a file may hold, holes included; memfs(1) is for more."""


class RamFile(File):
    """Bytes that a write at offset 0 replaces all of, and a later one a part."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(name, 0o666)
        self._content = content

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self._content[offset : offset + count]

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        if offset + len(data) > LIMIT:
            raise errors.Enospace()
        rest = self._content[offset + len(data) :] if offset else b""
        self._content = self._content[:offset].ljust(offset, b"\0") + data + rest
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
    path = argv[1].rstrip("/") or argv[1]
    if not path:
        raise errors.Eemptyname()
    directory, slash, name = path.rpartition("/")
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
