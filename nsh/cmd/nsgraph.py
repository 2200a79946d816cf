"""The name space of a process as `nsh.picture` draws it: no command itself, but what ``ns -g`` shows."""

from __future__ import annotations

from collections.abc import Hashable

from nsh import picture
from nsh.dev.mnt import Fid
from nsh.kern.chan import Chan
from nsh.kern.mnt import MCREATE, Mhead, Mount
from nsh.kern.proc import Proc, System

FORMATS = tuple(picture.FORMATS)


def graph(p: Proc, title: str, form: str) -> str:
    """The name space of ``p`` in one of `FORMATS`."""
    return picture.FORMATS[form](space(p, title))


def space(p: Proc, title: str) -> picture.Space:
    """What is bound and mounted where, for whoever draws it."""
    origins = Origins(p.system)
    heads = {head.covered.key: head for head, _ in p.pgrp.mounts()}
    places = tuple(_place(head, origins) for head in heads.values())
    return picture.Space(title, p.getwd(), places, tuple(origins.found))


def _place(head: Mhead, origins: Origins) -> picture.Place:
    members = tuple(_member(head, mount, origins) for mount in head.mounts)
    return picture.Place(str(head.covered.path), members)


def _member(head: Mhead, mount: Mount, origins: Origins) -> picture.Member:
    number = origins.number(mount.to)
    source = str(mount.to.path)
    mounted = source == "#M" and mount.to.mchan is not None
    if mounted:
        source = f"{origins.found[number].label} {mount.spec}".rstrip()
    own = mount.to.same(head.covered)
    return picture.Member(source, number, mounted, bool(mount.flag & MCREATE), own)


class Origins:
    """The servers and devices that files come from, numbered in the order in which they are met."""

    def __init__(self, system: System) -> None:
        self.found: list[picture.Origin] = []
        self._system = system
        self._numbers: dict[Hashable, int] = {}

    def number(self, c: Chan) -> int:
        """That of the origin of ``c``: all files of a server have one, and all of a device or memfs."""
        tree = c.instance if c.dev.letter == "R" else 0
        key: Hashable = c.aux.link if isinstance(c.aux, Fid) else (c.dev, tree)
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            self.found.append(self._origin(c))
        return self._numbers[key]

    def _origin(self, c: Chan) -> picture.Origin:
        if isinstance(c.aux, Fid):
            return picture.Origin("server", self._served_by(c.aux.link.connection) or c.aux.link.address)
        if c.dev.letter == "R":
            count = sum(origin.kind == "memory" for origin in self.found)
            return picture.Origin("memory", f"memfs {count + 1}")
        if c.dev.letter == "U":
            return picture.Origin("host", "the host's files")
        return picture.Origin("device", c.dev.name)

    def _served_by(self, connection: Chan) -> str:
        """The command that serves at the other end of a pipe, if one does."""
        if connection.dev.letter != "|":
            return ""
        for p in self._system.procs.values():
            ends = [c for fd, c in p.fgrp.items() if fd == 0]
            if ends and (ends[0].dev, ends[0].instance) == (connection.dev, connection.instance):
                return " ".join(p.args)
        return ""
