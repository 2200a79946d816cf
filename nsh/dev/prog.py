"""`#p`, prog(3): the processes as directories, N/{ctl fd ns nsgrp pgrp status wait}.

Reading tells about a process, writing to ctl does something to it, and reading wait waits for its
children. The files of a process vanish with it; one that is held open says `thread exited`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from nsh import errors
from nsh.dev.fd import describe
from nsh.kern.chan import Chan, Maybe
from nsh.kern.ctlmsg import parse
from nsh.kern.dev import Ctl, Device, Directory, File, Text, access_needed, check_permission, up
from nsh.kern.proc import Proc, System

_DECIMAL = "0|[1-9][0-9]{0,17}"


def state(p: Proc) -> str:
    """What a process does: one without a program acts when a client of a server asks for something."""
    if p.task is None:
        return "serving"
    return "running" if p is up() else "waiting"


class Wait(File):
    """wait: one line for each child that ends, ``PID "NAME":STATUS``; a read waits for the next one."""

    def __init__(self, p: Proc) -> None:
        super().__init__("wait", 0o400, uid=p.user)
        self._proc = p

    def open(self, c: Chan, mode: int) -> None:
        c.dirpos = ended = asyncio.Queue[str]()
        self._proc.watchers.append(ended.put_nowait)

    def close(self, c: Chan) -> None:
        self._proc.watchers.remove(c.dirpos.put_nowait)

    async def read(self, c: Chan, count: int, offset: int) -> bytes:
        line: str = await c.dirpos.get()
        return line.encode()[:count]


class Process(Directory):
    """N: the files of one process."""

    def __init__(self, p: Proc) -> None:
        self._proc = p
        super().__init__(
            str(p.pid),
            Ctl("ctl", self._ctl, 0o200),
            Text("fd", self._alive(lambda: "".join(describe(fd, c) for fd, c in p.fgrp.items())), 0o400),
            Text("ns", self._alive(self._ns), 0o400),
            Text("nsgrp", self._alive(lambda: str(p.pgrp.id))),
            Text("pgrp", self._alive(lambda: str(p.leader.pid))),
            Text("status", self._alive(self._status)),
            Wait(p),
            uid=p.user,
        )
        for entry in self.entries():
            entry.uid = p.user

    def _alive(self, make: Callable[[], str]) -> Callable[[], str]:
        def made() -> str:
            if self._proc.status is not None:
                raise errors.Enoproc()
            return make()

        return made

    def _ns(self) -> str:
        from nsh.kern.recipe import recipe

        return "".join(line + "\n" for line in recipe(self._proc))

    def _status(self) -> str:
        p = self._proc
        return f"{p.pid:8} {p.leader.pid:8} {p.user:>10} {state(p):>10} {' '.join(p.args)}"

    def _ctl(self, text: str) -> None:
        p = self._proc
        if p.status is not None:
            raise errors.Enoproc()
        match parse(text, {"kill": 1, "killgrp": 1})[0]:
            case "kill":
                p.kill()
            case "killgrp":  # all but the one who asks
                for other in list(p.system.procs.values()):
                    if other.leader is p.leader and other is not up():
                        other.kill()


class Processes(Directory):
    """The root: one directory for each process there is; 1 is another name of the first one's."""

    def __init__(self, system: System) -> None:
        super().__init__("#p")
        self._system = system
        self._known: WeakKeyDictionary[Proc, Process] = WeakKeyDictionary()

    def _node(self, p: Proc) -> Process:
        node = self._known.get(p)
        if node is None:
            node = self._known[p] = Process(p)
            node.parent = self
        return node

    def lookup(self, name: str) -> File:
        p = self._system.find(int(name)) if re.fullmatch(_DECIMAL, name) else None
        if p is None:
            raise errors.Enonexist()
        return self._node(p)

    def entries(self) -> Iterable[File]:
        return [self._node(p) for p in self._system.procs.values()]


class ProgDevice(Device):
    """`#p`: the processes of this system."""

    letter, name = "p", "prog"

    def tree(self) -> Directory:
        return Processes(self.system)

    def check(self, node: File, mode: int) -> None:
        """A process is its owner's, and the host owner's, who may do what the owner may."""
        if node.directory or up().user != self.eve:
            super().check(node, mode)
        else:
            check_permission(node.uid, node.uid, "", node.perm, access_needed(mode))

    def remove(self, c: Chan) -> Maybe[None]:
        raise errors.Eperm()
