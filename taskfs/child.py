"""Child: one session that was cloned on a host for us.

It is a directory, and the files of it that are held open: nothing here knows on which machine it is. Asking
goes through its host, who knows whether an answer can come; `near` has those of which nobody need be asked.
How children are made to look like one session is `gather`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nsh import errors
from nsh.kern.chan import Chan, Maybe, must_wait, settle
from nsh.kern.mnt import MBEFORE, MREPL
from nsh.kern.namec import quote
from nsh.net.step import begun
from nsh.p9.const import OREAD, OTRUNC, OWRITE
from taskfs import status
from taskfs.many import Lost, looked_at
from taskfs.signs import literal, substitute

if TYPE_CHECKING:
    from nsh.kern.pgrp import Pgrp
    from nsh.kern.proc import Proc
    from taskfs.hosts import Host
    from taskfs.session import Session

Opened: TypeAlias = tuple[Chan | OSError, int | OSError]

HELD = {"stdin": OWRITE, "stdout": OREAD, "stderr": OREAD, "wait": OREAD}
"""The files of a child that are open from exec to release, or count as that, besides its ctl."""
FIRST = "stdout"
"""The one of them that exec opens. The others are never used by most: the child is told that they are kept
open, and counts them as if they were, until they are opened to be used.
"""

PIECE = 32 << 10
"""Bytes on their way to one child at a time, where others may have to wait for them."""


class Order(NamedTuple):
    """What those ``size`` children are told who are to run something for ``session``: the contents of their
    ``files`` args, env and ns, and control messages; ``fed``: somebody may write to their standard input.
    """

    session: Session
    size: int
    files: Mapping[str, bytes]
    settings: Sequence[str]
    fed: bool


class Child:
    """A session on a host, reserved for us.

    ``number``: what its host calls it; ``directory``: its directory, walked to, as may be the file of it that
    is opened ``first``; ``held``: those that are open, as its ctl is; ``rank``: its place among the children;
    ``started``: an exec has been successful; ``foreseen``: the host takes us for a reader of stdout, which
    nobody is yet.
    """

    __slots__ = ("_covered", "_fed", "_first", "_given", "_held", "_hidden", "_kept", "_last", "_opening",
                 "_pgrp", "_turn", "arg0", "directory", "foreseen", "host", "number",
                 "rank", "started")  # fmt: skip

    def __init__(
        self,
        host: Host,
        number: int,
        directory: Chan,
        held: dict[str, Chan],
        first: Chan | None = None,
    ) -> None:
        self.host = host
        self.number = number
        self.directory = directory
        self.rank = 0
        self.started = False
        self.arg0 = ""
        self._given: dict[str, bytes] = {"args": b"", "env": b"", "ns": b""}
        self._held = held
        self._first = first
        self._kept = 0  # of those files it was told that they are open, and they are not
        self._fed = False  # as far as it knows
        self._turn = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._covered: Chan | None = None
        self._pgrp: Pgrp | None = None
        self._hidden = False
        self._last = ""
        self.foreseen = False

    @property
    def here(self) -> bool:
        """Does it run in this process?"""
        return self.host.here

    # --- its place in the name space -----------------------------------------------------------

    def bind(self, proc: Proc, covered: Chan) -> None:
        """Let the child be seen at the directory ``covered``, which itself tells when the host is lost."""
        self._pgrp, self._covered = proc.pgrp, covered
        self._hidden = True
        if not self.host.lost:
            self.show()

    def show(self) -> None:
        """Let it be seen again after `hide`."""
        if self._pgrp is not None and self._covered is not None and self._hidden:
            # what its user has bound there in the meantime stays
            order = MBEFORE if self._pgrp.find(self._covered) else MREPL
            self._pgrp.mount(self.directory, self._covered, order)
            self._hidden = False

    def hide(self) -> None:
        """Let what it covers be seen."""
        if self._pgrp is not None and self._covered is not None and not self._hidden:
            try:
                self._pgrp.unmount(self._covered, self.directory)
                self._hidden = True
            except OSError:
                pass  # somebody has unmounted it already

    def unbind(self) -> None:
        self.hide()
        self._covered = None

    # --- its files -----------------------------------------------------------------------------

    @property
    def _reached(self) -> Host:
        """The host, which is not lost, so that it is worth to ask for something. Errors: `Lost`."""
        if self.host.lost:
            raise Lost()
        return self.host

    async def open(self, name: str, mode: int) -> Chan:
        """Open a file of the child. Errors: `Lost`, and those of the host."""
        return await self._reached.ask(self._open(name, mode))

    async def _open(self, name: str, mode: int) -> Chan:
        return await _opened(await self._walk(name), mode)

    async def _walk(self, name: str) -> Chan:
        walked, _ = await settle(self.directory.dev.walk(self.directory, [name]))
        if walked is None:
            raise errors.Enonexist()
        return walked

    async def hold(self) -> None:
        """Hold open what is held open while a task runs. Errors: `Lost`, and those of the host."""
        await self._open_first()
        for message in self._keep():
            await self.command(message)

    async def exec(self, order: Order, words: list[str]) -> None:
        """Start a task, with all held open that it needs. Errors: as of `hold`."""
        await self.equip(order.files)
        place = await self.host.introduce(order.session, self, order.size)
        try:
            await self._exec(order, words, place)
        except Lost:
            self._kept = 0  # it may not have heard it
            raise

    async def _exec(self, order: Order, words: list[str], place: list[str]) -> None:
        if await self._open_and_exec(order, words, place):
            return
        await self._open_first()
        await self.command(self._message(order, words, place))
        if self.foreseen:
            self.leave(FIRST)

    def _message(self, order: Order, words: list[str], place: list[str]) -> str:
        """What its ctl is told to start a task."""
        if not place:  # it does not know it, and finds no sign that it would replace
            here = self.rank, order.size, self.host.name
            words = [literal(substitute(word, *here)) for word in words]
        fed = [] if order.fed == self._fed else [f"fed {'on' if order.fed else 'off'}"]
        self._fed = order.fed
        if not self.host.lost:
            self._last = ""  # it would tell of what has ended, should the host be lost from now on
        return "\n".join(
            [*self._keep(), *order.settings, *fed, *place, f"exec {' '.join(map(quote, words))}"]
        )

    def _keep(self, opening: str = FIRST) -> list[str]:
        """The control messages that tell it how many of its files are held open, and are not really."""
        kept = sum(name not in (*self._held, FIRST, opening) for name in HELD)
        if kept == self._kept:
            return []
        self._kept = kept
        return [f"keep {kept}"]

    async def _open_and_exec(self, order: Order, words: list[str], place: list[str]) -> bool:
        """Open `FIRST`, start the task and ask for its output, in one round trip. False: not this time."""
        async with self._opening:
            if self._first is None or not self.host.orderly:
                return False
            from nsh.dev.mntmany import open_and_tell

            host = self._reached
            first, self._first = self._first, None
            message = self._message(order, words, place).encode("utf-8", "surrogateescape")
            self.foreseen = True
            doing: Maybe[Opened] = open_and_tell(first, HELD[FIRST], self._file("ctl"), message)
            opened, wrote = await host.ask(doing)
            if isinstance(opened, Chan):
                self._held[FIRST] = opened
        if isinstance(wrote, OSError):
            self.leave(FIRST)
            raise await host.why(wrote)
        try:
            await self._open_first()  # if that was refused
        except OSError:
            await self.command("kill")
            raise
        return True

    async def _open_first(self) -> None:
        async with self._opening:
            if FIRST not in self._held:
                host = self._reached
                first, self._first = self._first, None
                opening = _opened(first, HELD[FIRST]) if first else self._open(FIRST, HELD[FIRST])
                self._held[FIRST] = await host.ask(opening)

    async def _really(self, name: str) -> Chan:
        """The file ``name``, open. Errors: `Ehungup` when the child was given back; as of `open`."""
        c = self._held.get(name)
        if c is None:
            opening = begun(self._open_late(name))
            opening.add_done_callback(looked_at)
            # who is cut short leaves it to others: half opened, it would be a writer whose end nobody tells
            c = await asyncio.shield(opening)
        return c

    async def _open_late(self, name: str) -> Chan:
        async with self._opening:
            c = self._held.get(name)
            if c is None:
                self._file("ctl")
                c = self._held[name] = await self._reached.ask(self._open_kept(name))
                if "ctl" not in self._held:
                    self._held.pop(name).close()
                    raise errors.Ehungup()
                if HELD[name] == OWRITE:
                    self._do(settle(self._tell_now(c, b"")))  # we only hold it open: see files.Writer
        return c

    async def _open_kept(self, name: str) -> Chan:
        walked = await self._walk(name)
        if not self._kept:
            return await _opened(walked, HELD[name])
        self._tell_kept(name)  # which goes with the open: nobody sees it counted twice
        try:
            return await _opened(walked, HELD[name])
        except BaseException:
            self._tell_kept()
            raise

    def _tell_kept(self, opening: str = FIRST) -> None:
        """Let it know what `_keep` says; a lost one, too, which hears it when it goes on."""
        for message in self._keep(opening):
            self._do(self._tell(message))

    async def _tell(self, message: str) -> None:
        await settle(self._tell_now(self._file("ctl"), message.encode()))

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        """See to ``work``, of which nobody wants to know any more."""
        begun(work).add_done_callback(looked_at)

    def _file(self, name: str) -> Chan:
        """The open file ``name``. Errors: `Ehungup` when the child was given back."""
        c = self._held.get(name)
        if c is None:
            raise errors.Ehungup()
        return c

    async def command(self, text: str) -> None:
        """Write to the child's ctl. Errors: `Lost`, and what the child says."""
        await self._reached.ask(self._tell_now(self._file("ctl"), text.encode("utf-8", "surrogateescape")))

    def read(self, name: str, count: int, offset: int) -> Maybe[bytes]:
        """Read a file that is held open. Errors: `Lost`, and those of the host."""
        c = self._held.get(name)
        if c is None:
            return self._read_late(name, count, offset)
        host = self._reached
        self.foreseen = self.foreseen and name != FIRST
        result = c.dev.read(c, count, offset)
        return host.ask(result) if must_wait(result) else result

    async def _read_late(self, name: str, count: int, offset: int) -> bytes:
        await self._really(name)
        return await settle(self.read(name, count, offset))

    def leave(self, name: str) -> None:
        """Who has read a file that is held open, or was to, does not go on: nothing is kept back for him."""
        self.foreseen = self.foreseen and name != FIRST
        c = self._held.get(name)
        if c is not None:
            self._do(_nothing(c))

    def write(self, name: str, data: bytes) -> Maybe[int]:
        """Write all of ``data`` to a file that is held open. Errors: `Lost`, and those of the host."""
        if not data:
            self._fed = False  # it was the last
        return self._write_in_turn(name, data, max(len(data), 1))

    def feed(self, data: bytes) -> Maybe[int]:
        """The same with the standard input, little at a time: what is for others may wait at the host."""
        return self._write_in_turn("stdin", data, PIECE)

    async def _write_in_turn(self, name: str, data: bytes, size: int) -> int:
        async with self._turn:
            c = await self._really(name)
            for at in range(0, max(len(data), 1), size):
                await self._write_all(c, data[at : at + size])
        return len(data)

    def claim(self) -> Maybe[None]:
        """Tell it that somebody may write to its standard input from now on. Errors: as of `command`."""
        if self._fed:
            return None
        self._fed = True
        return self.command("fed on")

    async def _write_all(self, c: Chan, data: bytes) -> int:
        done = await self._reached.ask(c.dev.write(c, data, 0))
        while done < len(data):
            more = await self._reached.ask(c.dev.write(c, data[done:], done))
            if more <= 0:
                raise errors.Ewclosed()
            done += more
        return done

    async def put(self, name: str, data: bytes) -> None:
        """Let a small file of the child, that is not held open, have this content."""
        c = await self.open(name, OWRITE | OTRUNC)
        try:
            await self._write_all(c, data)
        finally:
            c.close()

    async def equip(self, files: Mapping[str, bytes]) -> None:
        """Let args, env and ns have these contents, those that have not got them."""
        for name, data in files.items():
            if data != self._given[name]:
                # what is written to env is added
                gone = _taken_back(self._given[name], data) if name == "env" else b""
                await self.put(name, gone + data)
                self._given[name] = data

    async def get(self, name: str) -> str:
        """The content of a small file of the child."""
        c = await self.open(name, OREAD)
        try:
            return await self._whole(c)
        finally:
            c.close()

    async def _whole(self, c: Chan) -> str:
        parts = bytearray()
        while data := await self._reached.ask(c.dev.read(c, 8192, len(parts))):
            parts += data
        return parts.decode("utf-8", "surrogateescape")

    # --- its reports ---------------------------------------------------------------------------

    async def status(self) -> str:
        """Its status lines; of a lost one the last that are known, as Lost."""
        try:
            self._last = await self._status()
        except OSError:
            return self.last_status()
        return self._last

    async def _status(self) -> str:
        # the host is asked directly, that one which is slow is not waited for longer than others
        return await self._reached.ask(self.get("status"))

    async def has_ended(self) -> bool:
        """Has its task come to its end, or is it lost?"""
        return status.all_ended(await self.status())

    def last_status(self) -> str:
        """The status lines of a lost one: the last that are known."""
        return status.as_lost(
            self._last or status.status_line(self.number, self.opens, status.LOST, "", self.arg0)
        )

    @property
    def opens(self) -> int:
        """How many files are held open."""
        return len(self._held) + self._kept

    async def wait(self) -> str:
        """Its wait lines, once it has ended; a lost one has."""
        try:
            return await self._wait()
        except OSError:
            return self.last_wait()

    async def _wait(self) -> str:
        return await self._whole(await self._really("wait"))

    def last_wait(self) -> str:
        """The wait line of a lost one."""
        return status.wait_line(0, 0, 0, 0, "lost")

    # --- its end -------------------------------------------------------------------------------

    def release(self, proc: Proc) -> Awaitable[None] | None:
        """Give it back, once. What must be waited for is returned: as long as a lost host does not answer."""
        ctl = self._held.pop("ctl", None)
        if ctl is None:
            return None
        self.unbind()
        self.host.leave(self)
        try:
            done = self._tell_now(ctl, b"release")
        except OSError:
            done = 0
        if must_wait(done):
            return self._release_later(ctl, done)
        self._close(ctl)
        self.host.ended(self)
        return None

    def _tell_now(self, ctl: Chan, word: bytes) -> Maybe[int]:
        if not ctl.dev.remote:
            return ctl.dev.write(ctl, word, 0)
        from nsh.dev.mntmany import write_now

        return write_now(ctl, word)

    async def _release_later(self, ctl: Chan, done: Any) -> None:
        try:
            # a lost host is told, too, and not in vain: it reads this when it goes on
            await done
        finally:
            self._close(ctl)
            self.host.ended(self)

    def _close(self, ctl: Chan) -> None:
        ctl.close()
        self._first = None
        held, self._held = self._held, {}
        for c in held.values():
            c.close()


def _taken_back(before: bytes, now: bytes) -> bytes:
    """The lines for env that take away those names that are in ``before`` and not in ``now``."""
    kept = {line.partition(b"=")[0] for line in now.split(b"\n")}
    names = (line.partition(b"=")[0] for line in before.split(b"\n"))
    return b"".join(name + b"\n" for name in names if name not in kept)


async def _opened(walked: Chan, mode: int) -> Chan:
    try:
        opened = await settle(walked.dev.open(walked, mode))
    except asyncio.CancelledError:
        if walked.dev.remote:
            walked.dev.close(walked)  # now: at the host it may be open, and be taken for a writer
        raise
    opened.mode = mode
    return opened


async def _nothing(c: Chan) -> bytes:
    """Read no bytes, which says that no more will be read: see files.Output."""
    return await settle(c.dev.read(c, 0, 0))
