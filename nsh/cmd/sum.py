"""sum: print a checksum and the length of files."""

from __future__ import annotations

import zlib

from nsh.cmd.files import READSIZE, Complaints
from nsh.kern.proc import Proc

_ALL = 0xFFFFFFFF


async def main(p: Proc, argv: list[str]) -> str:
    complaints = Complaints(p, "sum")
    if not argv[1:]:
        await _report(p, 0, "", complaints)
    for name in argv[1:]:
        try:
            if (await p.stat(name)).isdir:
                continue
        except OSError as e:
            await complaints.say(f"cannot get status of {name}: {e}")
            continue
        try:
            fd = await p.open(name)
        except OSError as e:
            await complaints.say(f"cannot open {name}: {e}")
            continue
        try:
            await _report(p, fd, name, complaints)
        finally:
            p.close(fd)
    return complaints.status("error")


async def _report(p: Proc, fd: int, name: str, complaints: Complaints) -> None:
    checksum = Checksum()
    try:
        while data := await p.read(fd, READSIZE):
            checksum.add(data)
    except OSError as e:
        await complaints.say(f"error reading {name or '<stdin>'}: {e}")
        return
    await p.print(f"{checksum.value():08x} {checksum.length:6} {name}".rstrip(" ") + "\n")


class Checksum:
    """Plan 9's: the usual CRC-32, but begun with zeros, over the data and over their length."""

    def __init__(self) -> None:
        self.length = 0
        self._crc = 0

    def add(self, data: bytes) -> None:
        self.length += len(data)
        self._crc = _continued(self._crc, data)

    def value(self) -> int:
        """The length has some bits turned over, so that no data at all do not sum up to 0."""
        return _continued(self._crc, (self.length & _ALL ^ 0xCC55CC55).to_bytes(4, "big"))


def _continued(crc: int, data: bytes) -> int:
    """zlib turns all bits over before and after; here they are as they are."""
    return zlib.crc32(data, crc ^ _ALL) ^ _ALL
