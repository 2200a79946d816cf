"""TaskDevice: the device `#T`. It has one directory, remote, with a clone file and the sessions.

Here is the table of sessions. What the owner of this host may see beside them is in `about`, and what a
session does in `session`, which is imported with the first one, as is all that only sessions need: every nsh
has this device, few use it.
"""

from __future__ import annotations

import asyncio
import heapq
import os
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, Path
from nsh.kern.dev import Device, Directory, File, up
from nsh.kern.namec import quote
from nsh.kern.proc import RFCFDG
from nsh.p9.stat import Qid
from taskfs.about import Files, about
from taskfs.descriptors import more_files

if TYPE_CHECKING:
    from nsh.dev.launch import Foresight
    from nsh.kern.proc import Proc, System
    from taskfs.back import Exchanges
    from taskfs.door import Doors
    from taskfs.guard import Guard
    from taskfs.hosts import Hosts
    from taskfs.journal import Journal
    from taskfs.owner import Owner
    from taskfs.session import Session

_ARCHS = {
    "amd64": "x86_64 x86-64 x64",
    "arm64": "aarch64",
    "386": "i386 i486 i586 i686 x86",
    "arm": "armv5tel armv6l armv7l armhf",
    "power64": "ppc64",
}
"""What Plan 9 calls machines, and what others call the same."""
_ARCH_OF = {name: arch for arch, names in _ARCHS.items() for name in names.split()}


class TaskDevice(Device):
    """#T: sessions that run commands, here and on the hosts under /remote. See taskfs(3)."""

    letter, name = "T", "taskfs"
    runs = True

    def __init__(self, system: System) -> None:
        super().__init__(system)
        more_files()
        self.home = os.getcwd()
        self._boot = next(iter(system.procs.values()), None)
        self.sessions: dict[int, Session] = {}
        self._free: list[int] = []
        self._owners: dict[Proc, Owner] = {}
        self._detached: dict[str, Owner] = {}
        self._files = Files(self)
        self._remote = Remote(self, Clone(self), *about(self, self._files))
        self._background: set[asyncio.Future[Any]] = set()

    def tree(self) -> Directory:
        return Directory("#T", self._remote)

    @cached_property
    def guard(self) -> Guard:
        """The helper that ends what we leave running should we die."""
        from taskfs.guard import Guard

        guard = Guard()
        if self._boot is not None:
            self._boot.atexit(guard.unwanted)
        return guard

    @cached_property
    def doors(self) -> Doors:
        """Where tasks call."""
        from taskfs.door import Doors

        return Doors(self.system, self.guard)

    @cached_property
    def foresight(self) -> Foresight:
        """Tells for which programs one may have to wait."""
        from nsh.dev.launch import Foresight

        return Foresight(self.system)

    @cached_property
    def identity(self) -> str:
        """A word that no other device has, anywhere."""
        return os.urandom(8).hex()

    @cached_property
    def exchanges(self) -> Exchanges:
        """Where those who have reserved sessions here take the calls of their tasks."""
        from taskfs.back import Exchanges

        return Exchanges(self)

    @cached_property
    def hosts(self) -> Hosts:
        """The hosts that were met."""
        from taskfs.hosts import Hosts

        hosts = Hosts(self.journal)
        if self._boot is not None:
            self._boot.atexit(hosts.unwanted)
        return hosts

    @cached_property
    def journal(self) -> Journal:
        """What has happened here."""
        from taskfs.journal import Journal

        return Journal()

    # --- files of the host ---------------------------------------------------------------------

    def walk(self, c: Chan, names: list[str]) -> Maybe[tuple[Chan | None, list[Qid]]]:
        """As any device, but below fs are files of the host."""
        return self._files.walk(c, names) or super().walk(c, names)

    def create(self, c: Chan, name: str, mode: int, perm: int) -> Maybe[Chan]:
        """As any device, but in fs it is a file of the host."""
        if c.aux is not self._files:
            return super().create(c, name, mode, perm)
        self._files.check()
        made: Maybe[Chan] = self._files.tree.create(c, name, mode, perm)
        return made

    # --- sessions ------------------------------------------------------------------------------

    def new_session(
        self, p: Proc, place: Path, owner: Owner | None = None, make: Callable[..., Session] | None = None
    ) -> Session:
        """Make the session with the lowest free number, for ``p``, who sees it below ``place``.

        It belongs to p's leader, or else to ``owner``, for whom p has reserved it; ``make``: if it is not a
        plain `Session`. Errors: `Elimit` if the owner has too many.
        """
        from taskfs.session import Session

        reserved = owner is not None
        owner = owner or self._owner(p.leader)
        owner.check_room(1)
        number = heapq.heappop(self._free) if self._free else len(self.sessions)
        if not reserved:
            p = p.fork(RFCFDG)
            p.args = ["taskfs", str(number)]
        session = (make or Session)(self, number, p, place, owner, reserved=reserved)
        owner.add(session)
        session.diary.tell(f"clone {quote(p.user)}")
        self.sessions[number] = session
        self._remote.add(session)
        return session

    def _owner(self, leader: Proc) -> Owner:
        """What belongs to ``leader``, and is released when that ends."""
        from taskfs.owner import Owner

        owner = self._owners.get(leader)
        if owner is None:
            owner = self._owners[leader] = Owner()
            leader.atexit(lambda: self._left(leader))
        return owner

    def _left(self, leader: Proc) -> None:
        """The leader has ended: release what it had, some of it at once, the rest in the background."""
        from taskfs.owner import ATONCE

        owner = self._owners.pop(leader)
        for _ in range(min(ATONCE, len(owner))):
            if owner:
                owner.first().release()
        if owner:
            self.background(_release_all(owner))

    def detached(self, user: str) -> Owner:
        """What ``user`` has detached."""
        from taskfs.owner import Owner

        return self._detached.setdefault(user, Owner())

    def forget(self, session: Session) -> None:
        """The session is freed; its number may be used again."""
        session.owner.discard(session)
        del self.sessions[session.number]
        self._remote.discard(session.name)
        heapq.heappush(self._free, session.number)
        if not self.sessions:
            self._free.clear()
            if self._boot is None or self._boot.status is not None:
                self.guard.unwanted()
            else:
                self.guard.unwanted_soon()

    def background(self, work: Awaitable[Any]) -> None:
        """Let ``work`` be done by nobody in particular; what becomes of it does not matter."""
        future = asyncio.ensure_future(work)
        self._background.add(future)
        future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._background.discard(future)
        if not future.cancelled() and not isinstance(future.exception(), OSError | None):
            asyncio.get_running_loop().call_exception_handler(
                {"message": "taskfs: work in the background failed", "exception": future.exception()}
            )

    async def settled(self) -> None:
        """Wait until what was released is really gone: tasks, and resources of other hosts."""
        while self._background:
            await asyncio.wait(self._background)
        await self.guard.idle()

    # --- this host -----------------------------------------------------------------------------

    def check_host(self, system: str, arch: str) -> None:
        """Raise unless this host is of the wanted kind; ``*`` is any."""
        mine = os.uname()
        if system != "*" and system.lower() != mine.sysname.lower():
            raise P9Error(f"this host runs {mine.sysname}, not {system}")
        if arch != "*" and _arch(arch) != _arch(mine.machine):
            raise P9Error(f"this host is {mine.machine}, not {arch}")


def _arch(name: str) -> str:
    """The one name of a kind of machine that has several."""
    return _ARCH_OF.get(name.lower(), name.lower())


async def _release_all(owner: Owner) -> None:
    from taskfs.owner import Turn

    turn = Turn()
    while owner:
        await turn.give()
        if owner:
            owner.first().release()


class Remote(Directory):
    """remote: the top directory; it also holds the file of `back`, which is in no listing."""

    def __init__(self, device: TaskDevice, *entries: File) -> None:
        super().__init__("remote", *entries)
        self._device = device
        self._back: File | None = None

    def lookup(self, name: str) -> Maybe[File]:
        if name != "peers":
            return super().lookup(name)
        if self._back is None:
            from taskfs.back import Back

            self._back = Back(self._device.exchanges)
            self._back.parent = self
        return self._back


class Clone(File):
    """clone: opening it makes a session; the descriptor is the session's ctl."""

    def __init__(self, device: TaskDevice) -> None:
        super().__init__("clone", 0o666)
        self._device = device

    def open(self, c: Chan, mode: int) -> Chan:
        place = c.path.parent or c.path
        return self._device.new_session(up(), place).open_ctl(mode)
