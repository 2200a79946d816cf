"""`#d`, dup(3): the open files of a process as files: N is the file itself, Nctl tells about it."""

from __future__ import annotations

from collections.abc import Iterable

from nsh import errors
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory, File, Text, up
from nsh.p9.const import ORDWR, OREAD, OWRITE

_LETTERS = {OREAD: "r", OWRITE: "w", ORDWR: "rw"}


class Descriptor(File):
    """N: opening it gives the open file itself, so what comes after is no file of this device."""

    def __init__(self, name: str, fd: int) -> None:
        super().__init__(name, 0o666)
        self._fd = fd

    def open(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        opened = up().fgrp.get(self._fd)
        have, want = opened.mode & 3, mode & 3
        if have != ORDWR and have != want:
            raise errors.Ebadusefd()
        return opened.incref()


class Descriptors(Directory):
    """The descriptors of the current process."""

    def __init__(self) -> None:
        super().__init__("#d")
        self._known: dict[int, tuple[File, File]] = {}

    def _nodes(self, fd: int) -> tuple[File, File]:
        pair = self._known.get(fd)
        if pair is None:
            pair = Descriptor(str(fd), fd), Text(f"{fd}ctl", lambda: describe(fd, up().fgrp.get(fd)))
            for node in pair:
                node.parent = self
            self._known[fd] = pair
        return pair

    def lookup(self, name: str) -> File:
        number = name.removesuffix("ctl")
        try:
            fd = int(number)
            up().fgrp.get(fd)
        except (ValueError, errors.Ebadfd):
            raise errors.Enonexist() from None
        node = self._nodes(fd)[number != name]
        if node.name != name:
            raise errors.Enonexist()
        return node

    def entries(self) -> Iterable[File]:
        return [node for fd, _ in up().fgrp.items() for node in self._nodes(fd)]


def describe(fd: int, c: Chan) -> str:
    """One line about a descriptor: number, mode, device and instance, qid, iounit, offset, name."""
    mode = _LETTERS.get(c.mode & 3, "x")
    return (
        f"{fd:3d} {mode:<2s} {c.dev.letter} {c.instance:4d} "
        f"({c.qid.path:016x} {c.qid.vers} {c.qid.type:02x}) {c.iounit:5d} {c.offset:8d} {c.path}\n"
    )


class FdDevice(Device):
    """`#d`: N and Nctl for each descriptor of the process that looks."""

    letter, name = "d", "dup"
    harmless = True

    def tree(self) -> Directory:
        return Descriptors()
