"""`#m`, mntgen(4): a directory in which every name exists, as an empty directory to mount something on.

A name springs into being when it is walked to, and is listed for as long as somebody holds it: a
process that stands in it, or a mount on it. The newest name is listed first. Since a client of an export
can hold many names that it has made up, they must not be long.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from weakref import WeakValueDictionary

from nsh import errors
from nsh.kern.chan import Chan
from nsh.kern.dev import Device, Directory, File

NAMEMAX = 255
"""Most bytes of a name, as on the host."""

_instances = itertools.count(1)


class Places(Directory):
    """The root: whatever is looked up is there."""

    def __init__(self) -> None:
        super().__init__("#m")
        self._held: WeakValueDictionary[str, Directory] = WeakValueDictionary()

    def lookup(self, name: str) -> File:
        place = self._held.get(name)
        if place is None:
            if len(name.encode("utf-8", "surrogateescape")) > NAMEMAX:
                raise errors.Enametoolong()
            place = Directory(name)
            place.parent = self
            self._held[name] = place
        return place

    def entries(self) -> Iterable[File]:
        return list(self._held.values())[::-1]


class MntgenDevice(Device):
    """`#m`: each attach a directory of its own."""

    letter, name = "m", "mntgen"
    fresh = True

    def attach(self, spec: str) -> Chan:
        if spec:
            raise errors.Ebadspec()
        root = Places()
        return Chan(self, root.qid, self.rootpath(), root, next(_instances))
