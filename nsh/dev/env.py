"""`#e`, env(3): the variables of the environment as files.

The directory shows the variables of the process that looks at it, so one mount of `#e` serves every
process, each with its own environment group. Creating a file makes a variable.
"""

from __future__ import annotations

from collections.abc import Iterable

from nsh import errors
from nsh.kern.chan import Chan
from nsh.kern.dev import Device, Directory, File, up
from nsh.kern.env import VALUEMAX
from nsh.p9.const import DMDIR, OTRUNC


class Variable(File):
    """One variable: its bytes."""

    def _value(self) -> bytes:
        value = up().egrp.get(self.name)
        if value is None:
            raise errors.Enonexist()
        return value

    def open(self, c: Chan, mode: int) -> None:
        if mode & OTRUNC:
            up().egrp.set(self.name, b"")

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self._value()[offset : offset + count]

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        if offset + len(data) > VALUEMAX:
            raise errors.Etoobig()
        old = self._value()
        up().egrp.set(self.name, old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :])
        return len(data)

    def length(self) -> int:
        return len(up().egrp.get(self.name) or b"")

    def remove(self, c: Chan) -> None:
        self._value()
        up().egrp.unset(self.name)


class Environment(Directory):
    """The variables of the current process."""

    def __init__(self) -> None:
        super().__init__("#e", perm=0o775)
        self._known: dict[str, Variable] = {}

    def _variable(self, name: str) -> Variable:
        # a name keeps its qid for as long as the system runs
        node = self._known.get(name)
        if node is None:
            node = self._known[name] = Variable(name, 0o666)
            node.parent = self
        return node

    def lookup(self, name: str) -> File:
        if name not in up().egrp:
            raise errors.Enonexist()
        return self._variable(name)

    def entries(self) -> Iterable[File]:
        return [self._variable(name) for name in up().egrp]

    def create(self, c: Chan, name: str, mode: int, perm: int) -> File:
        if perm & DMDIR:
            raise errors.Eperm()
        if len(name.encode("utf-8", "surrogateescape")) > 127:
            raise errors.Enametoolong()
        if name in up().egrp:
            raise errors.Eexist()
        up().egrp.set(name, b"")
        return self._variable(name)


class EnvDevice(Device):
    """`#e`: one file for each variable."""

    letter, name = "e", "env"
    harmless = True

    def tree(self) -> Directory:
        return Environment()
