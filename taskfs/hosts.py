"""Where resources come from: the hosts under /remote, and what is reserved on them.

A host is a directory of the name space that holds a clone file; that it is another machine, only the
mount knows. A host that dies or hangs is found out here, by a stat that is not answered, and whoever
waits for it is told. What is done with the sessions that are cloned there is `child`'s business.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from nsh import errors
from nsh.errors import P9Error
from nsh.hostnames import fold
from nsh.kern.chan import Chan, Maybe, must_wait, settle
from nsh.kern.namec import Access, namec, quote, step
from nsh.net.step import begun
from nsh.p9.const import ORDWR
from nsh.p9.stat import Dir
from taskfs.child import FIRST, Child
from taskfs.many import Lost, each, looked_at
from taskfs.near import NearChild
from taskfs.numbers import Numbers

if TYPE_CHECKING:
    from nsh.dev.mnt import MntDevice
    from nsh.dev.mntmany import Walked
    from nsh.kern.proc import Proc
    from taskfs.back import Operator
    from taskfs.journal import Journal
    from taskfs.session import Session

T = TypeVar("T")

REMOTE = "/remote"
FORMS = ("", "remote/", "local/", "cmd/")
"""Where in a host's directory the clone file may be."""
PATIENCE = 10.0
"""Seconds without an answer to a stat after which a host counts as lost."""
BRIEFLY = 1.0
"""The same for a host that is known to be lost, when it is looked at once more for a reservation."""
KNOCK = 0.1
"""Seconds after which a host that has but cmd(3), and has not answered, is asked again."""
INTERVAL = 2.0
"""Seconds between two looks at a host that is in use."""
NUMBER = 32
"""Bytes in which the number of a session fits."""
LINGER = 10.0
"""Seconds that the way to a host is kept for the next session, if it stays mounted."""


class Cloned(NamedTuple):
    """A session's ctl; what became of a message to it, and of asking it for its number; and what was found in
    it, if that was foreseen.
    """

    ctl: Chan
    told: int | OSError
    number: bytes | OSError
    found: list[Chan | P9Error]


class Host:
    """A place where sessions can be cloned.

    ``here``: in this process; ``lost``: it did not answer; ``dead``: it never will again; ``orderly``: it
    does in order what it is asked at once, None: that is not known.
    """

    here = False

    def __init__(self, name: str, base: str, journal: Journal) -> None:
        self._journal = journal
        self.name = name
        self.base = base
        self.lost = False
        self.dead = False
        self.simple = False  # it has but cmd(3)
        self.children: set[Child] = set()
        self._asking: set[asyncio.Timeout] = set()  # those end when it is lost
        self._watcher: asyncio.Task[None] | None = None
        self._users = 0
        self._operator: Operator | None = None
        self._file: Chan | None = None  # its clone file; not when unmounted: its mount must be able to end
        self._directory: Chan | None = None  # in which that is, if it is simply a server's
        self._forget: list[Callable[[], None]] = []
        self._mounted = False
        self._numbers = Numbers()
        self.orderly: bool | None = None
        self._leaving: asyncio.TimerHandle | None = None

    async def clone(self, session: Session) -> Child:
        """Reserve one session there. Errors: `Lost`, and those of the host."""
        if self.lost:
            raise Lost()
        if self._leaving is not None and self._directory is not None and self._plain(session.proc) is None:
            self._let_go()  # it was kept for who sees the same
        self._enter()
        making = begun(self._make(session))
        try:
            return await self._ask(asyncio.shield(making), PATIENCE)
        except BaseException:
            # it goes on: the session may exist already, and whoever made it must give it back
            session.background(self._unmake(making, session))
            raise

    async def _unmake(self, making: asyncio.Future[Child], session: Session) -> None:
        """Give back what comes of a clone that nobody wants any more, however late."""
        try:
            child = await making
        except OSError:
            self._leave()
        else:
            session.background(child.release(session.proc))

    async def _make(self, session: Session) -> Child:
        self._listen(session.proc)
        ctl, told, number, found = await self._open_clone(session)
        try:
            # a host that does not know the word is none that could come round to itself, as far as it tells
            if isinstance(told, OSError) and not isinstance(told, errors.Ebadctl):
                raise told
            if isinstance(number, OSError):
                raise number
            child = await self._child(session, number.decode("ascii", "replace"), ctl, found)
        except BaseException:
            session.background(_give_up(ctl))
            raise
        self.children.add(child)
        return child

    def _listen(self, proc: Proc) -> None:
        """Begin to take the calls of its tasks, while one is reserved, so that no exec waits for it."""
        from taskfs.back import Operator

        if not self.simple and (self._operator is None or self._operator.listening is False):
            self._operator = Operator(proc, self.base)

    async def _open_clone(self, session: Session) -> Cloned:
        """Clone a session, and tell it which hosts have reserved it. Errors: those of the host."""
        below = " ".join(["below", *session.above, session.device.identity]).encode()
        file = await self._find(session.proc)
        above = self._plain(session.proc)
        if above is not None:
            return await self._clone_at_once(above, file, below)
        c = await namec(session.proc, f"{self.base}/clone", Access.OPEN, ORDWR)
        told, number = await _answer(c.dev.write(c, below, 0)), await _answer(c.dev.read(c, NUMBER, 0))
        return Cloned(c, told, number, [])

    async def _clone_at_once(self, above: Chan, file: Chan, below: bytes) -> Cloned:
        """The same in one round trip, and walk there in it if its number can be foreseen."""
        from nsh.dev.mntmany import begin_clone, end_clone, end_walks, give_up_walks

        expected = self._numbers.expect()
        foreseen = self.orderly is not False and self._numbers.sure(expected)
        cloning = begin_clone(file, ORDWR, below, NUMBER)
        walks = _begin_walks(above, file, str(expected)) if foreseen else []
        try:
            ctl, told, number = await end_clone(cloning)
        except BaseException:
            give_up_walks(walks)
            raise
        if isinstance(number, bytes) and number.isdigit():
            self._numbers.learn(int(number), expected)
        if not walks or number != str(expected).encode():
            give_up_walks(walks)  # there is somebody else's session, or none
            return Cloned(ctl, told, number, [])
        found = await end_walks(walks)
        self.orderly = isinstance(found[0], Chan)
        return Cloned(ctl, told, number, found if self.orderly else [])

    def _plain(self, proc: Proc) -> Chan | None:
        """Its directory, if that and the clone file are a server's, and ``proc`` sees nothing else there."""
        file, directory = self._file, self._directory
        if file is None or directory is None or proc.pgrp.find(file) is not None:
            return None
        # of what is mounted on its name itself that is known: it would be another host
        covered = self._below_its_name and proc.pgrp.find(directory) is not None
        return None if covered else directory

    @property
    def _below_its_name(self) -> bool:
        return self.base != f"{REMOTE}/{self.name}"

    async def _child(self, session: Session, number: str, ctl: Chan, found: list[Chan | P9Error]) -> Child:
        """The resource that was made. ``found``: what is in it, if that is known.

        Errors: those of the host.
        """
        if not number.isdigit():
            raise P9Error(f"clone gave {number!r}, which is no session")
        directory, first = await self._walk(session.proc, number, found)
        if first is None and await self._has(session.proc, f"{self.base}/{number}/data"):
            from taskfs import cmdhost

            self.simple = True
            return await cmdhost.child(self, session, number, ctl)
        return Child(self, int(number), directory, {"ctl": ctl}, first)

    async def introduce(self, session: Session, child: Child, size: int) -> list[str]:
        """The control messages that tell ``child`` its place among the ``size`` children of ``session``.

        Errors: `Lost`.
        """
        operator = self._operator
        if operator is None or not (operator.listening or await self.ask(operator.ready())):
            return []
        return [f"task {child.rank} {size} {quote(self.name)} {operator.name} {operator.enter(session)}"]

    async def _find(self, proc: Proc) -> Chan:
        """Walk to its clone file, and the directory of that."""
        if self._file is None:
            names = (self.base, f"{self.base}/clone")
            directory, file = await each(names, lambda name: namec(proc, name, Access.BIND))
            if isinstance(directory, OSError):
                raise directory
            if isinstance(file, OSError):
                raise file
            self._keep(directory, file)
            return file
        return self._file

    def _keep(self, directory: Chan, file: Chan) -> None:
        """These are its own."""
        self._forget_all()
        self._file = file
        if not file.dev.remote:
            return
        mounts = file.head is not None or file.shared or (self._below_its_name and directory.head is not None)
        if directory.instance == file.instance and not mounts:
            self._directory = directory
        self._mounted = True
        mnt = cast("MntDevice", file.dev)
        self._forget = [mnt.at_hangup(file, self._die), mnt.at_unmount(file, self.leave_soon)]

    async def meet(self, proc: Proc) -> None:
        """Look whether it answers, and where its clone file is. Errors: `Enonexist` if it has none."""
        patience = BRIEFLY if self.lost else PATIENCE
        self._enter()
        try:
            if not self.base:
                self.base = await self._find_clone(proc, patience)
            await self._ask(self._find(proc), patience)
            await self.check(patience)
        except Lost:
            pass  # and marked
        finally:
            self._leave()

    async def _find_clone(self, proc: Proc, patience: float) -> str:
        """The directory that the clone file is in. Errors: `Lost`, `Enonexist`."""
        for form in FORMS:
            base = f"{REMOTE}/{self.name}/{form}".rstrip("/")
            try:
                await self._ask(namec(proc, f"{base}/clone", Access.ACCESS), patience)
            except Lost:
                raise
            except OSError:
                continue
            return base
        raise errors.Enonexist()

    async def _has(self, proc: Proc, name: str) -> bool:
        try:
            await namec(proc, name, Access.ACCESS)
        except OSError:
            return False
        return True

    async def _walk(self, proc: Proc, number: str, found: list[Chan | P9Error]) -> tuple[Chan, Chan | None]:
        """The directory of a session, and, if it is a server's, the file there that exec will open.

        ``found``: both, if they were walked to.
        """
        above, file = self._plain(proc), self._file
        if above is None or file is None:
            return await namec(proc, f"{self.base}/{number}", Access.BIND), None
        if not found:
            from nsh.dev.mntmany import end_walks

            found = await end_walks(_begin_walks(above, file, number))
        directory, first = found
        if isinstance(directory, OSError):
            raise directory
        return directory, first if isinstance(first, Chan) else None

    async def ask(self, result: Maybe[T]) -> T:
        """The value of ``result``, however long that takes, unless the host is or gets lost first.

        Errors: `Lost`, and those of the host.
        """
        if not must_wait(result):
            return result
        if self.lost:
            _drop(result)
            raise Lost()
        return await self._ask(result)

    async def _ask(self, result: Awaitable[T], patience: float = 0.0) -> T:
        """As `ask`; a host that cannot be looked at yet has so many seconds for it, if it is not 0."""
        timer = asyncio.get_running_loop().call_later(patience, self._late) if patience else None
        try:
            async with asyncio.timeout(None) as asking:
                self._asking.add(asking)
                try:
                    return await result
                finally:
                    self._asking.discard(asking)
        except TimeoutError:
            if asking.expired():
                raise Lost() from None
            raise
        except (errors.Emountrpc, errors.Ehungup) as e:
            raise await self.why(e) from None
        finally:
            if timer is not None:
                timer.cancel()

    async def why(self, e: OSError) -> OSError:
        """What an error means that the host's connection has given: `Lost`, or what it says."""
        broken = isinstance(e, errors.Emountrpc | errors.Ehungup)
        if broken and self._users and not await self.check():
            return Lost(str(e))
        return e  # it was an answer: a session is gone there, but not the host

    def _late(self) -> None:
        """A request takes long. Of a host that can be looked at that proves nothing: `_watch` finds out, and
        who waits for what another host below it does not answer is told by that one.
        """
        if self._file is None:
            self.lose()

    def lose(self) -> None:
        """The host does not answer: all who wait for it are told, and it is seen at its resources."""
        if not self.lost:
            self.lost = True
            self._journal.tell(f"host {self.name} is {self.state}")
            for child in self.children:
                child.hide()
        now = asyncio.get_running_loop().time()
        asking, self._asking = self._asking, set()
        for one in asking:
            one.reschedule(now)

    def _die(self) -> None:
        """Its connection is gone."""
        self.dead = True
        self.lose()

    def _answers(self) -> None:
        """It is not lost, or not any more."""
        if self.lost:
            self._journal.tell(f"host {self.name} answers again")
            self.lost = False
            for child in self.children:
                child.show()

    async def check(self, patience: float = 0.0) -> bool:
        """Does it answer? Only of one in use; ``patience``: in seconds, 0: `PATIENCE`.

        Its clone file is asked for: sessions come and go, but that a living host has.
        """
        task = asyncio.ensure_future(self._stat())
        task.add_done_callback(looked_at)
        try:
            await asyncio.wait((task,), timeout=patience or PATIENCE)
            answered = task.done()
        finally:
            task.cancel()
        if not answered:
            self.lose()
        elif isinstance(task.exception(), errors.Emountrpc | errors.Ehungup):
            self._die()
        else:
            self._answers()
        return not self.lost

    async def _stat(self) -> None:
        """Wait until it answers.

        Inferno's export gives each request a process, and makes one when none is free; but of several
        requests that come at once, some may get none. When all processes then wait for programs, the others
        are left until one more request comes. So one that has but cmd(3) is asked again and again.
        """
        file = self._file
        if file is None:
            raise errors.Ehungup()
        pause = KNOCK if self.simple else None
        asked: set[asyncio.Task[Dir]] = set()
        answered: set[asyncio.Task[Dir]] = set()
        try:
            while not answered:
                asked.add(asyncio.create_task(settle(file.dev.stat(file))))
                answered, _ = await asyncio.wait(asked, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            answered.pop().result()
        finally:
            for one in asked:
                one.add_done_callback(looked_at)
                one.cancel()
            asked.clear()

    def _enter(self) -> None:
        """Something of the host is in use: from now on it is looked at from time to time."""
        self._users += 1
        self._stay()
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def _leave(self) -> None:
        """Something is not in use any more; of the last it is not known yet whether more comes soon."""
        self._users -= 1
        if self._users == 0:
            if self._mounted and not self.lost:
                self._leaving = asyncio.get_running_loop().call_later(LINGER, self._let_go)
            else:
                self._let_go()

    def leave_soon(self) -> None:
        """It is not mounted any more, or nothing will be: keep nothing of it that is not in use."""
        self._mounted = False
        if self._leaving is not None:
            self._let_go()

    def _let_go(self) -> None:
        """Keep nothing of the host."""
        self._stay()
        self._directory = self._file = None
        self._forget_all()
        if self._operator is not None:
            self._operator.close()
            self._operator = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def _stay(self) -> None:
        """Do not let go of it later."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _forget_all(self) -> None:
        for forget in self._forget:
            forget()
        self._forget = []

    @property
    def known(self) -> bool:
        """Has it been met, and nothing can have changed?"""
        return self.dead or (bool(self.base) and not self.lost)

    @property
    def state(self) -> str:
        """``up``, ``lost`` or ``dead``."""
        return "dead" if self.dead else "lost" if self.lost else "up"

    def leave(self, child: Child) -> None:
        """The child is given back."""
        self.children.discard(child)
        self._numbers.free(child.number)
        self._leave()

    def ended(self, child: Child) -> None:
        """The host has given the child back, or cannot be asked any more."""
        self._numbers.ended(child.number)

    async def _watch(self) -> None:
        while not self.dead:
            await asyncio.sleep(INTERVAL)
            if self._file is not None:
                await self.check()


class Here(Host):
    """This host itself: its children are sessions of the same device."""

    here = True

    def __init__(self, journal: Journal) -> None:
        super().__init__(os.uname().nodename, "", journal)

    async def clone(self, session: Session) -> Child:
        made = session.device.new_session(session.proc, session.place, session.owner)
        made.above = session.above
        return NearChild(self, made)

    async def ask(self, result: Maybe[T]) -> T:
        return await settle(result)


def _begin_walks(above: Chan, file: Chan, number: str) -> list[Walked]:
    """Walk to a session and the file that exec will open; ``above``: where it is, and the clone ``file``."""
    from nsh.dev.mntmany import begin_walks

    assert file.path.parent is not None
    return begin_walks(above, file.path.parent, [(number,), (number, FIRST)])


async def _answer(asked: Maybe[T]) -> T | OSError:
    try:
        return await settle(asked)
    except OSError as e:
        return e


async def _give_up(ctl: Chan) -> None:
    """Release a session of which nothing more is known than its ctl."""
    try:
        await settle(ctl.dev.write(ctl, b"release", 0))
    finally:
        ctl.close()


def _drop(result: Any) -> None:
    """Do without what would have come of a coroutine that was not started."""
    if asyncio.iscoroutine(result):
        result.close()


class Hosts:
    """The hosts that one device has met, and where its round robin stands."""

    def __init__(self, journal: Journal) -> None:
        self.here = Here(journal)
        self._journal = journal
        self._met: dict[tuple[str, int], Host] = {}
        self._meeting: dict[tuple[str, int], asyncio.Task[Host]] = {}
        self._cursor = 0

    async def choose(self, session: Session, n: int, system: str, arch: str) -> list[Host]:
        """The hosts for the next ``n`` resources, of the kind that is wanted (``*``: any).

        Errors: `P9Error` when none will do; `Elimit` when this one is full.
        """
        found = await self._find(session)
        wanted = _selected(found, session.options.hosts)
        if not found:
            session.device.check_host(system, arch)
            session.owner.check_room(n)
            return [self.here] * n
        if not wanted:
            raise P9Error(f"there is no host under {REMOTE} but those that are not wanted")
        alive = [host for host in wanted if not host.lost]
        if not alive:
            raise P9Error(f"no host answers: {' '.join(host.name for host in wanted)}")
        if (system, arch) != ("*", "*"):
            alive = await self._of_kind(session, alive, system, arch)
        return [alive[(self._cursor + i) % len(alive)] for i in range(n)]

    def met(self) -> list[Host]:
        """All hosts that were ever found."""
        return list(self._met.values())

    def unwanted(self) -> None:
        """No more will be reserved."""
        for host in self.met():
            host.leave_soon()

    def advance(self, n: int) -> None:
        """``n`` resources have been reserved."""
        self._cursor += n

    async def _of_kind(self, session: Session, hosts: list[Host], system: str, arch: str) -> list[Host]:
        """Those of ``hosts`` that say themselves that they are of the wanted kind."""

        async def try_out(host: Host) -> Host:
            child = await host.clone(session)
            try:
                await child.command(f"res 0 {quote(system)} {quote(arch)}")
            finally:
                session.background(child.release(session.proc))
            return host

        fit = [host for host in await each(hosts, try_out) if isinstance(host, Host)]
        if not fit:
            raise P9Error(f"no host of kind {system} {arch}: {' '.join(host.name for host in hosts)}")
        return fit

    async def _find(self, session: Session) -> list[Host]:
        """The hosts under /remote, newest mount first; those that are no mounts last, as listed."""
        proc = session.proc
        try:
            entries = await proc.readdir(REMOTE)
            above = await namec(proc, REMOTE, Access.MOUNT)
        except OSError:
            return []
        names = list(dict.fromkeys(entry.name for entry in entries if entry.isdir))
        ids = {name: await _mount_id(proc, above, name) for name in names}
        names.sort(key=lambda name: -ids[name])
        for name, mount in list(self._met):
            if ids.get(name) != mount and not self._met[name, mount].children:
                del self._met[name, mount]  # it was unmounted, or something else was mounted there
        found: dict[str, object] = {name: self._met.get((name, ids[name])) for name in names}
        new = [name for name, host in found.items() if not (isinstance(host, Host) and host.known)]
        found.update(zip(new, await each(new, lambda name: self._meet(proc, name, ids[name])), strict=True))
        return [host for host in found.values() if isinstance(host, Host)]

    async def _meet(self, proc: Proc, name: str, mount: int) -> Host:
        """The host called ``name``; all who want to meet it do that together.

        Errors: `Enonexist` if it is none.
        """
        key = name, mount
        meeting = self._meeting.get(key)
        if meeting is None:
            meeting = asyncio.get_running_loop().create_task(self._introduce(proc, key))
            meeting.add_done_callback(looked_at)
            self._meeting[key] = meeting
        return await asyncio.shield(meeting)

    async def _introduce(self, proc: Proc, key: tuple[str, int]) -> Host:
        host = self._met.get(key) or Host(key[0], "", self._journal)
        try:
            await host.meet(proc)
        finally:
            del self._meeting[key]
        self._met[key] = host
        return host


async def _mount_id(proc: Proc, above: Chan, name: str) -> int:
    """The number of the newest mount on ``name`` in the directory ``above``, 0 if it is no mount point."""
    try:
        covered = await settle(step(above, name, proc.pgrp))
    except OSError:
        return 0
    head = proc.pgrp.find(covered)
    return max(mount.id for mount in head.mounts) if head is not None else 0


def _selected(found: list[Host], names: list[str]) -> list[Host]:
    """The hosts that the word ``hosts`` has named: some names, or all but those with a minus in front.

    Errors: `P9Error` for a name that is no host.
    """
    known = {host.name for host in found}
    unknown = [name for name in names if name.removeprefix("-") not in known and name not in known]
    if unknown:
        raise P9Error(f"no such host under {REMOTE}: {fold(unknown)}")
    out = {name[1:] for name in names if name.startswith("-") and name not in known}
    only = {name for name in names if name in known}
    return [host for host in found if host.name not in out and (not only or host.name in only)]
