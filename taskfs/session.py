"""Session: a directory with ten files (`files`), and the life of what is done through them.

A session begins as a `Leaf`, which runs a task here; ``res`` makes a `Team` of it. The files pass what
is read and written on to either. What is kept here is who owns the session, which of its files are
open, and its end: a session is freed, with all that it runs and all that it has reserved, when the
connection or the shell that cloned it ends.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nsh import errors
from nsh.errors import P9Error
from nsh.hostnames import fold
from nsh.kern.chan import Chan, Maybe, Path, must_wait, settle
from nsh.kern.dev import Device, Directory, File, up
from nsh.kern.namec import quote
from nsh.kern.proc import RFCFDG, RFNOTEG, Proc
from nsh.p9.const import OREAD
from nsh.p9.stat import Dir
from taskfs import ctl, status
from taskfs.child import Child
from taskfs.files import FILES
from taskfs.gather import Team
from taskfs.hosts import Host
from taskfs.journal import Diary
from taskfs.lost import Place
from taskfs.many import TOGETHER, each
from taskfs.owner import ATONCE, Turn
from taskfs.post import Post, Role
from taskfs.run import Leaf
from taskfs.signs import substitute

if TYPE_CHECKING:
    from nsh.kern.stream import Stream
    from nsh.net.fuse import Mounted
    from taskfs.dev import TaskDevice
    from taskfs.owner import Owner

MAXCHILDREN = 4096
"""Most resources that one session may have."""
MAXCALLERS = 4096
"""Most calls of tasks that one session answers at a time."""
IDLE = 600.0
"""Seconds after which a session that has been used, and is not any more, is freed."""


class Session(Directory):
    """A session; ``number`` is its name. ``place``: the directory that the sessions are in, as its owner
    came to it; ``proc``: who acts for the session in the name space of its owner, for that session too for
    which it was ``reserved``, if it was; ``owner``: which sessions it ends with.
    """

    __slots__ = ("_callers", "_leaf_made", "_lock", "_opened_again", "_post", "_reaper",
                 "_reserved", "_splices", "_team", "_users", "_writers", "about", "above",
                 "device", "diary", "fed_above", "gone", "number", "opens", "options",
                 "owner", "path", "place", "proc", "role", "sizes")  # fmt: skip

    def __init__(
        self, device: TaskDevice, number: int, proc: Proc, place: Path, owner: Owner, *, reserved: bool
    ) -> None:
        super().__init__(str(number), uid=proc.user)
        self.device = device
        self.number = number
        self.place = place
        self.path = place.child(self.name)
        self.owner = owner
        self.options = ctl.Options()
        self.above: tuple[str, ...] = ()  # the hosts that have reserved this session, one through the other
        self.about: Directory | None = None  # what the owner of the host sees of it under status
        self.diary = Diary(device.journal, number)
        self.sizes: dict[str, int] = {}  # the bytes in args, env and ns
        self.opens = 0
        self.gone = False
        self._users = 0
        self._reaper: asyncio.TimerHandle | None = None
        self.proc = proc
        self._reserved = reserved
        self._opened_again = False
        self._writers = 0
        self.fed_above = False
        self._lock = asyncio.Lock()
        self._splices: dict[asyncio.Task[None], int] = {}  # and the descriptor of what is copied, or -1
        self._leaf_made: Leaf | None = None
        self._team: Team | None = None
        self.role: Role | None = None
        self._post: Post | None = None
        self._callers: Proc | None = None

    # --- its directory -------------------------------------------------------------------------

    def stat(self, dev: Device) -> Dir:
        """What it is. Errors: `Enonexist` if it was freed: its number may be another session's by now."""
        if self.gone:
            raise errors.Enonexist()
        return super().stat(dev)

    def lookup(self, name: str) -> Maybe[File]:
        self.alive()
        return self._file(name) if name in FILES else super().lookup(name)

    def entries(self) -> Iterable[File]:
        files = [self._file(name) for name in FILES]
        return [*files, *(entry for entry in self._entries.values() if entry.directory)]

    def _file(self, name: str) -> File:
        """The file ``name``, made when it is first asked for: of most resources, few files are used."""
        file = self._entries.get(name)
        if file is None:
            file = FILES[name](self)
            self.add(file)
        return file

    # --- its Chans, and how many are open ------------------------------------------------------

    def chan(self) -> Chan:
        """The session's directory, walked to."""
        return Chan(self.device, self.qid, self.path, self)

    def open_ctl(self, mode: int) -> Chan:
        """The session's ctl, open, as the clone file gives it away."""
        file = self._file("ctl")
        c = Chan(self.device, file.qid, self.path.child("ctl"), file)
        c.mode = mode
        self.kept_open(1)
        return c

    def kept_open(self, n: int) -> None:
        """So many files more are open for who has made the session."""
        self._users += n
        self.opens += n

    def opened(self, counts: bool) -> None:
        """A file was opened; ``counts``: one of those that status counts."""
        self._users += 1
        if counts:
            self._opened_again = self._opened_again or self.opens == 0
            self.opens += 1
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None

    def closed(self, counts: bool) -> None:
        self._users -= 1
        if counts:
            self.opens -= 1
            self._opened_again = self._opened_again and self.opens > 0
        if self._users == 0 and not self.gone and self.work.used:
            self._reap_later()

    def _reap_later(self) -> None:
        self._reaper = asyncio.get_running_loop().call_later(IDLE, lambda: self.background(self._reap()))

    async def _reap(self) -> None:
        """Nothing has been open for long: free the session, unless a task still runs."""
        lines = await settle(self.status())
        if self._users or self.gone:
            return
        if status.all_ended(lines):
            self.release()
        else:
            self._reap_later()

    def writer_came(self) -> None:
        self._writers += 1
        if self._writers == 1:
            self._claim()

    def feed_above(self, on: bool) -> None:
        """Somebody may write through the standard input that who has reserved this session holds open."""
        self.fed_above = on
        if on:
            self._claim()

    def _claim(self) -> None:
        if self._team is not None:
            self._team.claim()

    def writer_left(self, writer: object = None) -> None:
        """A writer of the standard input has gone; with the last one it ends."""
        self._writers -= 1
        if self._team is not None:
            self._team.writer_left(writer)
        self.end_unwritten()

    def writer_waits(self) -> None:
        """One who was counted as a writer only keeps the file open."""
        self._writers -= 1

    def end_unwritten(self) -> None:
        """End of file on the standard input, if nobody is left to write to it."""
        if self._writers == 0 and not self.fed_above and not self.gone:
            self.background(self.work.last_writer_left())

    def background(self, work: Any) -> None:
        """See to it that ``work``, if it is not done yet, gets done; its errors are nobody's."""
        if must_wait(work):
            self.device.background(work)

    # --- what the files say --------------------------------------------------------------------

    @property
    def _leaf(self) -> Leaf:
        """What runs tasks here; made when it is first asked for, which of a team it seldom is.

        Errors: `Ehungup`.
        """
        if self._leaf_made is None:
            self.alive()
            self._leaf_made = self._make_leaf()
        return self._leaf_made

    def _make_leaf(self) -> Leaf:
        return Leaf(self)

    @property
    def work(self) -> Leaf | Team:
        """What does the session's work: its children, or itself."""
        return self._team or self._leaf

    @property
    def fed(self) -> bool:
        """May somebody still write to its standard input?"""
        return self._writers > 0 or self.fed_above

    @property
    def astir(self) -> bool:
        """Is that so, or is something on its way from one child to another?"""
        return self.fed or bool(self._splices)

    def alive(self) -> None:
        """Raise `Ehungup` if the session was freed."""
        if self.gone:
            raise errors.Ehungup()

    def status(self) -> Maybe[str]:
        if self._team is not None:
            return self._team.status()
        return self._leaf.status(self.number, self.opens, self._opened_again)

    async def wait(self) -> str:
        lines = await self.work.wait()
        self.alive()
        return lines

    def hosts(self) -> str:
        """A line for each child: its rank, its host, and its number there."""
        return "".join(f"{c.rank} {quote(c.host.name)} {c.number}\n" for c in self._children())

    def _children(self) -> list[Child]:
        return self._team.children if self._team is not None else []

    async def exits(self) -> str:
        """The lines of wait, of those tasks that have ended."""
        if self._team is not None:
            return await self._team.exits()
        return await self._leaf.wait() if self._leaf.used and not self._leaf.running else ""

    async def topology(self) -> str:
        """What was reserved for it, and there, and so on: see `topology`."""
        from taskfs.topology import topology

        return await topology(self.proc, str(self.path), self._children())

    # --- its tasks -----------------------------------------------------------------------------

    @property
    def team(self) -> Team | None:
        """Its children, if it has any."""
        return self._team

    @property
    def post(self) -> Post:
        """How tasks of this host come to this session."""
        if self._post is None:
            self._post = Post(self.device, self.serve, self._tree).hold()
        return self._post

    def take(self, role: Role) -> None:
        """Have this place among others from the next exec on."""
        role.post.hold()
        self._leave_place()
        self.role = role

    def _leave_place(self) -> None:
        if self.role is not None:
            self.role.post.drop()
            self.role = None

    def serve(self, stream: Stream) -> None:
        """Show this session to a task that calls; if too many do, hang up."""
        if self.gone or (self._callers is not None and len(self._callers.children) >= MAXCALLERS):
            stream.close()
            return
        from nsh.net.serve import Server
        from taskfs.peers import View

        Server(self._acting(), self.chan(), stream, lambda proc, _: View(proc, self))

    async def _tree(self) -> Callable[[int], Mounted]:
        """What shows this session to the tasks of this host as files."""
        from taskfs.peers import View, mounted

        def show(device: int) -> Mounted:
            proc = self._acting().fork(RFNOTEG | RFCFDG)
            return mounted(proc, View(proc, self), device)

        return show

    def _acting(self) -> Proc:
        """Who acts for our tasks, in the name of our owner."""
        from taskfs.peers import OnlyChildren

        self.alive()
        if self._callers is None:
            self._callers = self.proc.fork(RFNOTEG | RFCFDG)
            self._callers.args = ["taskfs", self.name, "tasks"]
            self._callers.pgrp = OnlyChildren(self.proc.pgrp)
        return self._callers

    # --- control words -------------------------------------------------------------------------

    def exec(self, argv: list[str]) -> Maybe[None]:
        """Start a task on every child, or here. Errors: `P9Error` with the ranks and why."""
        if self._team is not None:
            self._team.expect()
            return self._to_the_end(self._exec(self._team, argv))
        role = self.role or Role(0, 1, self.device.hosts.here.name, self.post, "")
        return self._leaf.exec([substitute(arg, role.rank, role.size, role.host) for arg in argv], role)

    def _to_the_end(self, work: Awaitable[None]) -> Awaitable[None]:
        """``work``, which is not left half done when nobody waits for it any more."""
        task = asyncio.ensure_future(work)
        self.device.background(task)
        return asyncio.shield(task)

    async def _exec(self, team: Team, argv: list[str]) -> None:
        try:
            async with self._lock:
                self.alive()
                self.diary.tell(f"exec {quote(argv[0])} on {len(team.children)}")
                await team.exec(argv)
        finally:
            team.expected()

    @property
    def settings(self) -> int:
        """The bytes in args, env and ns together."""
        return sum(self.sizes.values())

    def resize(self, name: str, size: int) -> None:
        """There are to be so many bytes in the file ``name``. Errors: `Elimit` if the owner has too many."""
        more = size - self.sizes.get(name, 0)
        if more > 0:
            self.owner.check_settings(more)
        self.sizes[name] = size
        self.owner.settings += more

    def put_below(self, hosts: tuple[str, ...]) -> None:
        """Who has reserved this session is here: on these hosts, from the top. Errors: `P9Error`."""
        if self.device.identity in hosts:
            raise P9Error("a circle of hosts: this one is above itself")
        self.above = hosts

    def reserve(self, n: int, system: str, arch: str) -> Maybe[None]:
        """Reserve ``n`` resources, all or none.

        Errors: `Elimit` for more than `MAXCHILDREN`; `P9Error`, which names the hosts that failed.
        """
        if n == 0:
            self.device.check_host(system, arch)
            return None
        if self._leaf.running:
            raise errors.Einuse("a task is running here already")
        return self._reserve(n, system, arch)

    async def _reserve(self, n: int, system: str, arch: str) -> None:
        async with self._lock:
            self.alive()
            before = len(self._team.children) if self._team is not None else 0
            if before + n > MAXCHILDREN:
                raise errors.Elimit(f"too many resources: {before + n}, at most {MAXCHILDREN} in a session")
            hosts = self.device.hosts
            chosen = await hosts.choose(self, n, system, arch)
            got: list[Child] = []
            try:
                together = 1 if chosen[0].here else TOGETHER  # what never waits is not done many at a time
                results = await each(chosen, lambda host: self._clone(host, got), together)
                self.alive()
                failed = {h.name: str(e) for h, e in zip(chosen, results, strict=True) if e is not None}
                if failed:
                    raise P9Error("res: " + "; ".join(f"{name}: {why}" for name, why in failed.items()))
                await self._adopt(_ranked(got, chosen))
            except BaseException as e:
                self.diary.tell(f"res {n} failed: {e}")
                self._disown(before)
                self._give_back(got)
                raise
            hosts.advance(n)
            self.diary.tell(f"res {n} {fold(host.name for host in chosen)}")

    async def _clone(self, host: Host, got: list[Child]) -> None:
        self.alive()  # many may be left to do when the session is freed
        got.append(await host.clone(self))

    async def _adopt(self, children: list[Child]) -> None:
        turn = Turn()
        for child in children:
            if turn.over():
                await turn.give()
                self.alive()
            if self._team is None:
                self._team = Team(self, self._leaf.early_input())
            self._enter(self._team, child)

    def _enter(self, team: Team, child: Child) -> None:
        """Enter a child, and let its directory be seen as a subdirectory of ours."""
        child.rank = len(team.children)
        team.children.append(child)
        node = Place(self, child)
        self.add(node)
        covered = Chan(self.device, node.qid, self.path.child(node.name), node)
        child.bind(self.proc, covered)

    def _disown(self, before: int) -> None:
        """Forget the children that came last: keep as many as there were before them."""
        if self._team is None or self.gone:
            return
        for child in self._team.children[before:]:
            self.discard(str(child.rank))
        del self._team.children[before:]
        if not before:
            self._team.free()
            self._team = None

    def _give_back(self, children: list[Child]) -> None:
        """Release children: some at once, the others, if there are any, in the background."""
        for child in children[:ATONCE]:
            self.background(child.release(self.proc))
        if left := children[ATONCE:]:
            self.background(self._give_back_in_turn(left))

    async def _give_back_in_turn(self, children: list[Child]) -> None:
        turn = Turn()
        for child in children:
            if turn.over():
                await turn.give()
            self.background(child.release(self.proc))  # one whose host hangs keeps nobody up

    def signal(self, number: signal.Signals) -> Maybe[None]:
        """Send a signal to the process group of every task."""
        self.diary.tell(f"signal {number.name}")
        if self._team is not None:
            return self._team.command(f"signal {number.name}")  # other machines may have other numbers
        self._leaf.signal(number)
        return None

    def kill(self) -> Maybe[None]:
        """Kill every task: SIGTERM, then SIGKILL."""
        self.diary.tell("kill")
        if self._team is not None:
            return self._team.command("kill")
        self._leaf.kill()
        return None

    def close_input(self) -> Maybe[None]:
        """End of file on the standard input of every task."""
        return self.work.close_input()

    def check_resting(self) -> Maybe[None]:
        """Do nothing. Errors: `P9Error` if a task may go on before there is more input; see `rest`."""
        if self._team is not None:
            return self._team.command("resting")
        if not self._leaf.resting():
            raise P9Error("not at rest")
        return None

    async def splice(self, path: str) -> None:
        """Copy the file ``path`` of the owner's name space into the standard input.

        Errors: of opening it; `Ewclosed` if all that could read it has ended.
        """
        if status.all_over(await settle(self.status())):
            raise errors.Ewclosed()
        fd = await self.proc.open(path, OREAD)
        self.writer_came()
        self._spliced(self._splice(fd), fd)

    def _spliced(self, work: Any, fd: int = -1) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._splices[task] = fd
        task.add_done_callback(self._splice_over)

    def _splice_over(self, task: asyncio.Task[None]) -> None:
        fd = self._splices.pop(task)
        if fd >= 0 and self.proc.status is None:
            self.proc.close(fd)

    async def _splice(self, fd: int) -> None:
        writer = object()
        try:
            while data := await self.proc.read(fd, 65536):
                taken = self.work.write(data, writer)
                if must_wait(taken):
                    await taken
        except OSError:
            pass  # who reads the session's output sees that input is missing; there is nobody else to tell
        finally:
            self.writer_left(writer)

    async def xsplice(self, a: int, b: int) -> None:
        """Connect the output of child ``a`` to the input of child ``b``, until end of file.

        Errors: `P9Error` if one of them is not there, or they are the same: that would never end; or if
        ``b`` has ended.
        """
        team = self._team
        if team is None or max(a, b) >= len(team.children):
            raise P9Error(f"xsplice: no child {max(a, b)}")
        if a == b:
            raise P9Error(f"xsplice: child {a} would read what it writes")
        if status.all_over(await team.children[b].status()):
            raise P9Error(f"xsplice: child {b} has ended")
        team.neighbours.came(team.children[b])
        self._spliced(self._xsplice(team, team.children[a], team.children[b]))

    async def _xsplice(self, team: Team, a: Child, b: Child) -> None:
        source = team.source(a, "stdout")
        try:
            await a.hold()
            await b.hold()
            at = 0
            while data := await settle(source.read(65536, at)):
                await settle(b.write("stdin", data))
                at += len(data)
        except OSError:
            pass  # one of the two has ended
        finally:
            source.close()
            team.neighbours.fed(b, last=not self._writers)

    # --- the end -------------------------------------------------------------------------------

    def detach(self) -> None:
        """Outlive the connection that cloned the session. Errors: `Elimit` if the user has too many such."""
        detached = self.device.detached(self.uid)
        mine = [self, *self._below()]
        new = [session for session in mine if session.owner is not detached]
        detached.check_room(len(new))
        detached.check_settings(sum(session.settings for session in new))
        for session in mine:
            session.owner.discard(session)
            session.owner = detached
            detached.add(session)

    def _below(self) -> Iterator[Session]:
        """The sessions of this host that were reserved for this one, those that they reserved, and so on."""
        for child in self._children():
            session = child.directory.aux
            if isinstance(session, Session) and not session.gone:
                yield session
                yield from session._below()

    def release(self) -> None:
        """Give everything back, kill what runs, and be gone."""
        if self.gone:
            return
        self.gone = True
        self.diary.tell("release")
        if self._reaper is not None:
            self._reaper.cancel()
        self.device.forget(self)
        for task in list(self._splices):
            task.cancel()
        if self._leaf_made is not None:
            self._leaf_made.free()
        if self._post is not None:
            self._post.drop()
        self._leave_place()
        if self._callers is not None:
            self._callers.exit()
        if self._team is not None:
            self._team.free()
            self._give_back(self._team.children)
        if not self._reserved:
            self.proc.exit()
        # no circle of references is left, so that all this goes now, and not when such are looked for
        self._team = self._leaf_made = None
        self._entries.clear()

    def remove(self, c: Chan) -> None:
        """remove(5) of the directory is `release`. Errors: `Eperm` for anybody but the owner."""
        if up().user != self.uid:
            raise errors.Eperm()
        self.release()


def _ranked(got: list[Child], chosen: list[Host]) -> list[Child]:
    """The children in the order in which their hosts were chosen; those of one host by their numbers."""
    got.sort(key=lambda child: child.number)
    waiting: dict[Host, deque[Child]] = {}
    for child in got:
        waiting.setdefault(child.host, deque()).append(child)
    return [waiting[host].popleft() for host in chosen]
