"""A name space as programs of the host see it, and what of it is plainly the host's own.

It is the name space itself, live, but for two devices: a program of Linux can do nothing with the commands
in `#B`, and has descriptors and a terminal of its own in place of those in `#c`. Where these are bound, it
finds the host's directories of that purpose. How it comes to see anything is the matter of `nsh.net.inside`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from nsh.dev.host import HostDevice, ask
from nsh.kern.chan import Chan, Key
from nsh.kern.mnt import MCREATE, Mhead, Mount
from nsh.kern.namec import WalkError, walk
from nsh.kern.pgrp import Pgrp
from nsh.kern.proc import System
from nsh.p9.const import QTDIR

STAND_INS = {"B": "bin", "c": "dev"}
"""Devices of ours, and the host's directory that a host program finds in the place of each."""

SYSTEM = (
    *("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix", "gnu"),  # programs and libraries
    *("dev", "proc", "sys", "run"),  # what only the kernel of the host can be asked for
)
"""Directories in the root of a host in which nobody keeps files of his own."""


class Shortcut(NamedTuple):
    """A directory or device of the host that is to be seen under ``name`` without us in between."""

    source: str
    name: str


class HostView(Pgrp):
    """The name space ``base`` as programs of the host see it. It is changed through ``base`` only."""

    __slots__ = ("_stand_ins", "base")

    linux = True

    def __init__(self, base: Pgrp, stand_ins: dict[Key, Chan]) -> None:
        super().__init__()
        self.nodevs = base.nodevs
        self.base = base
        self._stand_ins = stand_ins

    def find(self, c: Chan) -> Mhead | None:
        return self._shown(self.base.find(c))

    def find_key(self, key: Key) -> Mhead | None:
        return self._shown(self.base.find_key(key))

    def mounts(self) -> Iterator[tuple[Mhead, Mount]]:
        return self.base.mounts()

    def fork(self) -> HostView:
        return HostView(self.base.fork(), self._stand_ins)

    def _shown(self, head: Mhead | None) -> Mhead | None:
        """``head`` with the stand-ins, each member once."""
        if head is None or all(m.to.key not in self._stand_ins for m in head.mounts):
            return head
        members: dict[Key, Mount] = {}
        for m in head.mounts:
            to = self._stand_ins.get(m.to.key, m.to)
            before = members.get(to.key)
            if before is None:
                members[to.key] = m._replace(to=to)
            elif m.flag & MCREATE:
                members[to.key] = before._replace(flag=before.flag | MCREATE)
        return head._replace(mounts=tuple(members.values()))


async def host_view(system: System, base: Pgrp) -> HostView:
    """The name space ``base`` as programs of the host see it."""
    stand_ins = {}
    root = await system.attach("U", "")
    system.qids.qid(root)  # if this tree is the first to be shown, its files keep their inode numbers
    for letter, name in STAND_INS.items():
        if letter not in system.letters():
            continue
        try:
            stand_ins[(await system.attach(letter, "")).key] = await walk(root, [name], None)
        except WalkError:
            continue  # a host without /bin
    return HostView(base, stand_ins)


async def shortcuts(slash: Chan, view: HostView) -> list[Shortcut]:
    """What is plainly the host's own below ``slash``: the directories of SYSTEM, or parts of them.

    That is what has its place and its content from the host alone: nothing is bound on it or below it. A
    symbolic link, such as /lib often is, is followed by whoever uses it.
    """
    covered = [path for head, _ in view.mounts() if (path := await ask(head.covered, os.path.realpath))]
    found: list[Shortcut] = []
    for name in SYSTEM:
        try:
            c = await walk(slash, [name], view)
        except WalkError:
            continue
        is_link = view.find(c) is None and await ask(c, os.path.islink)
        if c.qid.type & QTDIR and not is_link:
            found += await _below(c, f"/{name}", view, covered)
    return found


async def _below(c: Chan, name: str, view: HostView, covered: list[str]) -> list[Shortcut]:
    """The shortcuts for ``c``, which is seen as ``name``: one for itself, or those for its entries.

    Files are only worth it when they are devices; and a link cannot have one, for it would be followed.
    """
    head = view.find(c)
    members = [c] if head is None else [m.to for m in head.mounts]
    host = HostDevice.of(c.dev.system)
    paths = [await ask(member, os.path.realpath) for member in members]
    own = await host.ask(os.path.realpath, name)
    if paths == [own]:
        if not any(path.startswith(f"{own}/") for path in covered):
            return [Shortcut(own, name)]
        if not c.qid.type & QTDIR:
            return []
    elif own not in paths:
        return []
    found: list[Shortcut] = []
    for entry in await host.ask(_entries, own, inside=True):
        try:
            below = await walk(c, [entry], view)
        except WalkError:
            continue
        found += await _below(below, f"{name}/{entry}", view, covered)
    return found


def _entries(directory: str) -> list[str]:
    """The entries of a directory of the host that are directories or devices."""
    try:
        with os.scandir(directory) as entries:
            kinds = {e.name: stat.S_IFMT(e.stat(follow_symlinks=False).st_mode) for e in entries}
    except OSError:
        return []
    return sorted(name for name, kind in kinds.items() if kind in (stat.S_IFDIR, stat.S_IFCHR, stat.S_IFBLK))
