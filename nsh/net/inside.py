"""Programs of the host inside the name space: ``os -n`` and ``nsh -N``.

A `Room` is a mount name space of Linux in which a name space of ours is the file tree: its root is a FUSE
file system that we serve, and what is plainly the host's own (`nsh.dev.hostview.shortcuts`) is mounted
over it from the host itself, so that loading a library does not take a detour through us. Later binds are
seen at once by everybody in a room.

The first program of a room makes it, on its way from a fresh process to itself (`nsh.net.enter`); those
behind it enter. The room of a shell's own name space is kept as long as the shell lives, another one until
the last program in it has ended. What still runs when its room is closed has lost its files.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import signal
import socket
import sys
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from nsh import errors
from nsh.dev.host import HostDevice
from nsh.dev.hostview import HostView, Shortcut, host_view, shortcuts
from nsh.dev.spawn import Start, run_as
from nsh.kern.proc import RFCFDG, RFNOTEG, Proc
from nsh.kern.tree import Tree
from nsh.net import enter as entering
from nsh.net.fuse.mount import Elsewhere
from nsh.net.fuse.owners import Owners
from nsh.net.fuse.serve import Mounted

_rooms: WeakKeyDictionary[Proc, list[Room]] = WeakKeyDictionary()
"""The rooms of each leader."""

_MESSAGE = 4096
"""More bytes than a message of `nsh.net.enter` has."""


class Refused(errors.P9Error):
    """The kernel does not let us have what it takes: a name space, or FUSE."""


async def run(p: Proc, path: str, argv: list[str], environ: Mapping[bytes, bytes]) -> str:
    """Run a host program with the open files of ``p``, and with its name space as the file tree.

    ``path`` is a name in that tree, or looked for there in the $PATH of ``environ``; the rest is as with
    `nsh.dev.spawn.run`. Errors: `Refused`; those of starting.
    """
    entry = await enter(p, path, argv, environ)
    try:
        first = max([number for number, _ in p.fgrp.items()] + [2]) + 1
        words = entry.command(first)
        more = dict(enumerate(entry.files, first))
        signals = (signal.SIGINT, signal.SIGQUIT)  # not while Python starts: it would tell of them
        status = await run_as(p, Start(words[0], words, os.environb, None, more, signals))
    finally:
        entry.close()
    if entry.error is not None:
        raise entry.error
    return status


async def enter(p: Proc, path: str, argv: list[str], environ: Mapping[bytes, bytes]) -> Entry:
    """Let a host program enter the name space of ``p``, as of `run`; the caller starts it."""
    if any("\0" in word for word in (path, *argv)):
        raise errors.P9Error("an argument has a NUL in it")
    words = [os.fsencode(word) for word in argv]
    directory = os.fsencode(str(p.dot.path))
    room = await _room(p)
    try:
        binds = [(os.fsencode(source), os.fsencode(name)) for source, name in room.shortcuts]
        job = marshal.dumps((b"/", binds, directory, os.fsencode(path), words, dict(environ)))
        return Entry(room, job)
    except BaseException:
        room.leave()
        raise


async def _room(p: Proc) -> Room:
    """A room for a program of ``p``, who is counted among its users: one that is ready, or a new one."""
    view = await host_view(p.system, p.pgrp)
    wanted = await shortcuts(p.slash, view)
    rooms = _rooms.setdefault(p.leader, [])
    for room in list(rooms):
        if room.view.base is p.pgrp:
            if room.shortcuts == wanted and await room.enter():
                return room
            room.tidy()
        elif room.view.base is not p.leader.pgrp:
            room.tidy()
    room = Room(p, view, wanted, rooms)
    rooms.append(room)
    return room


class Room:
    """A mount name space in which ``view`` is the file tree, except for ``shortcuts``.

    It belongs to the leader of ``p``, and is one of its ``rooms``. `spaces`: descriptors of the name spaces
    of Linux that a program enters; none as long as they are not built.
    """

    def __init__(self, p: Proc, view: HostView, shortcuts: list[Shortcut], rooms: list[Room]) -> None:
        self.view, self.shortcuts = view, shortcuts
        self.spaces: list[int] = []
        self._leader, self._rooms = p.leader, rooms
        self._proc = p.leader.fork(RFNOTEG | RFCFDG)
        self._proc.args = ["os", "-n"]
        self._proc.pgrp, self._proc.slash, self._proc.dot = view, p.slash, p.slash
        self._users = 1
        self._settled = asyncio.Event()
        self._mounted: Mounted | None = None
        self._forget = p.leader.atexit(self.close)
        HostDevice.of(p.system).wait_in("/proc")  # which leads to the root of every program, so to us

    async def enter(self) -> bool:
        """Wait until it is built, and become a user of it; False if that did not succeed."""
        self._users += 1
        try:
            await self._settled.wait()
        except BaseException:
            self.leave()
            raise
        if not self.spaces:
            self.leave()
        return bool(self.spaces)

    def leave(self) -> None:
        """One user less."""
        self._users -= 1
        if self.view.base is not self._leader.pgrp:
            self.tidy()

    def tidy(self) -> None:
        """Close it if it has no users."""
        if self._users == 0:
            self.close()

    def serve(self, device: int, owners: Owners) -> None:
        """Answer what the kernel asks for on ``device``, which is ours from now on."""
        if self not in self._rooms:
            os.close(device)
            return
        os.set_blocking(device, False)
        files = Tree(self._proc, self._proc.slash)
        root = files.attach("", "")
        self._mounted = Mounted(self._proc, files, root, device, Elsewhere(), 0.0, owners=owners)

    def built(self, spaces: list[int]) -> None:
        """It can be entered."""
        if self in self._rooms:
            self.spaces = list(spaces)
            spaces.clear()
            self._settled.set()

    def close(self) -> None:
        """End it; what runs there still is not ended, but has no files any more."""
        if self not in self._rooms:
            return
        self._rooms.remove(self)
        self._forget()
        self._settled.set()
        spaces, self.spaces = self.spaces, []
        for fd in spaces:
            os.close(fd)
        if self._mounted is not None:
            self._mounted.close()
        else:
            self._proc.exit()


class Entry:
    """One program on its way into a room, and what is heard from it.

    It is on its way when `command` is run with the descriptors ``files``, and until `close`. ``error``: why
    it did not come to be the program.
    """

    def __init__(self, room: Room, job: bytes) -> None:
        """Errors: OSError."""
        self.error: errors.P9Error | None = None
        self._room = room
        self._spaces: list[int] = []
        self._over = asyncio.Event()
        self._given = [os.memfd_create("job")]
        try:
            os.pwrite(self._given[0], job, 0)
            self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            self._give_away()
            raise
        self._ours.setblocking(False)
        self._given.append(theirs.detach())
        self.files = [*self._given, *room.spaces]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ours, self._hear)

    def command(self, first: int) -> list[str]:
        """The command to run instead of the program, if its ``files`` have numbers from ``first`` on."""
        numbers = range(first, first + len(self.files))
        return [sys.executable, "-I", "-S", entering.__file__, *map(str, numbers)]

    async def begun(self) -> None:
        """Wait until the command, once it is started, is the program. Errors: its ``error``."""
        self._give_away()
        await self._over.wait()
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """The program has ended."""
        self._hear()
        self._give_away()
        self._hang_up()
        for fd in self._spaces:
            os.close(fd)
        if not self._room.spaces:
            self._room.close()
        self._room.leave()

    def _give_away(self) -> None:
        """Whoever the descriptors are for has them."""
        while self._given:
            os.close(self._given.pop())

    def _hang_up(self) -> None:
        if self._ours.fileno() >= 0:
            self._loop.remove_reader(self._ours)
            self._ours.close()
            self._over.set()

    def _hear(self) -> None:
        """Do what the messages ask for that are there."""
        while self._ours.fileno() >= 0:
            try:
                message, fds, _, _ = socket.recv_fds(self._ours, _MESSAGE, 3, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            if not message:
                self._hang_up()
                return
            match marshal.loads(message):
                case ("fuse",):
                    self._spaces = fds[1:]
                    self._room.serve(fds[0], Owners(alone=len(self._spaces) > 1))  # with a user name space
                case ("built",):
                    self._room.built(self._spaces)
                case ("refused", step, number):
                    self.error = refusal(step, os.strerror(number))
                case ("failed", number):
                    self.error = errors.from_os(OSError(number, os.strerror(number)))


def refusal(step: str, why: str) -> Refused:
    """The error for a step of building that the kernel does not allow."""
    if step == "unshare":
        return Refused(f"user name spaces are not allowed here: {why}")
    if step == "/dev/fuse":
        return Refused(f"{step}: {why}")
    return Refused(f"user name spaces are not allowed here: {step}: {why}")
