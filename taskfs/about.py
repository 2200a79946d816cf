"""What the owner of a host sees of it beside the sessions: arch, env, fs, ns and status.

All of this is told to nobody else, not even that something is there: to look into one of these directories is
refused, as the original did. A client that came in without authentication is nobody in particular.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from nsh import errors
from nsh.kern.chan import Chan, Maybe, Path
from nsh.kern.dev import Directory, File, Text, up
from nsh.kern.namec import quote

if TYPE_CHECKING:
    from nsh.p9.stat import Qid
    from taskfs.dev import TaskDevice
    from taskfs.hosttree import HostTree, Walked
    from taskfs.session import Session


class OwnerDirectory(Directory):
    """A directory that only the owner of the host, and only if he has proved who he is, may look into."""

    def __init__(self, name: str, owner: str, *entries: File) -> None:
        super().__init__(name, *entries, perm=0o500, uid=owner)

    def check(self) -> None:
        """Raise `Eperm` unless it is he."""
        p = up()
        if not p.authenticated or p.user != self.uid:
            raise errors.Eperm()

    def open(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        self.check()
        return None

    def lookup(self, name: str) -> Maybe[File]:
        self.check()
        return super().lookup(name)


def about(device: TaskDevice, files: Files) -> tuple[OwnerDirectory, ...]:
    """These directories of ``device``."""
    owner = device.eve
    return (
        OwnerDirectory("arch", owner, *(Text(name, fact, 0o400) for name, fact in _facts().items())),
        Environment("env", owner),
        files,
        OwnerDirectory("ns", owner, Text("task", _namespace, 0o400)),
        Status(device),
    )


def _facts() -> dict[str, Callable[[], str]]:
    mine = os.uname()
    return {
        "os": lambda: mine.sysname,
        "machine": lambda: mine.machine,
        "cpus": lambda: str(os.cpu_count() or 1),
        "memory": lambda: str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
    }


def _namespace() -> str:
    """The lines that make what a task starts from whose session has lines of its own."""
    from nsh.kern.recipe import recipe

    return "".join(f"{line}\n" for line in recipe(up()))


class Environment(OwnerDirectory):
    """env: the environment that tasks start with, a file for each variable."""

    def lookup(self, name: str) -> File:
        self.check()
        if name not in os.environ:
            raise errors.Enonexist()
        return self._file(name)

    def entries(self) -> Iterable[File]:
        return [self._file(name) for name in os.environ]

    def _file(self, name: str) -> File:
        file = self._entries.get(name)
        if file is None:
            self.add(Text(name, lambda: os.environ.get(name, ""), 0o400))
            file = self._entries[name]
        return file


class Files(OwnerDirectory):
    """fs: the files of the host. What is below it is another device's (`HostTree`)."""

    def __init__(self, device: TaskDevice) -> None:
        super().__init__("fs", device.eve)
        self._device = device

    @cached_property
    def tree(self) -> HostTree:
        """What is below."""
        from taskfs.hosttree import HostTree

        return HostTree(self._device.system, self._device, self)

    def open(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        self.check()
        return self.tree.open_top(c, mode)

    def walk(self, c: Chan, names: list[str]) -> Awaitable[Walked] | None:
        """The walk from ``c``, if it leads to what is below; else None. Errors: `Eperm`."""
        remote = self.parent
        assert remote is not None
        way = [remote.parent, remote, self]
        if c.aux not in way:
            return None
        here = [node for node in way[way.index(c.aux) + 1 :] if node is not None]
        inside = names[len(here) :]
        if names[: len(here)] != [node.name for node in here] or inside[:1] in ([], [".."]):
            return None
        self.check()
        return self._walk_on(c.path, [node.qid for node in here], inside)

    async def _walk_on(self, path: Path, qids: list[Qid], names: list[str]) -> Walked:
        try:
            found, more = await self.tree.enter(path, names)
        except OSError:
            if not qids:
                raise
            return None, qids
        return found, [*qids, *more]


class Status(OwnerDirectory):
    """status: what goes on here, and a directory for each session."""

    def __init__(self, device: TaskDevice) -> None:
        super().__init__(
            "status",
            device.eve,
            Text("load", lambda: "{:.2f} {:.2f} {:.2f}\n".format(*os.getloadavg()), 0o400),
            Text("sessions", self._list_sessions, 0o400),
            Text("hosts", self._list_hosts, 0o400),
            Text("log", lambda: device.journal.text(), 0o400),  # made when it is first needed
        )
        self._device = device

    def lookup(self, name: str) -> Maybe[File]:
        self.check()
        known = name.isascii() and name.isdecimal()
        session = self._device.sessions.get(int(name)) if known else None
        return super().lookup(name) if session is None else self._about(session)

    def entries(self) -> Iterable[File]:
        sessions = [self._about(session) for _, session in sorted(self._device.sessions.items())]
        return [*self._entries.values(), *sessions]

    def _about(self, session: Session) -> Directory:
        """The directory that tells of a session: made once, and gone with it."""
        if session.about is None:
            session.about = OwnerDirectory(
                session.name,
                self.uid,
                Text("exit", session.exits, 0o400),
                Text("hosts", session.hosts, 0o400),
                Text("log", session.diary.text, 0o400),
                Text("topology", session.topology, 0o400),
            )
            session.about.parent = self
        return session.about

    def _list_sessions(self) -> str:
        return "".join(f"{n} {s.uid} {s.opens}\n" for n, s in sorted(self._device.sessions.items()))

    def _list_hosts(self) -> str:
        return "".join(
            f"{quote(host.name)} {host.state} {len(host.children)}\n" for host in self._device.hosts.met()
        )
