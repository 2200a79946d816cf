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
from nsh.kern.export import Export
from nsh.kern.proc import RFCFDG, RFNOTEG, Proc
from nsh.net import enter
from nsh.net.fuse.mount import Place
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
    if any("\0" in word for word in (path, *argv)):
        raise errors.P9Error("an argument has a NUL in it")
    words = [os.fsencode(word) for word in argv]
    directory = os.fsencode(str(p.dot.path))
    room = await _room(p)
    try:
        binds = [(os.fsencode(source), os.fsencode(name)) for source, name in room.shortcuts]
        job = marshal.dumps((binds, directory, os.fsencode(path), words, dict(environ)))
        return await _Entry(room).run(p, job)
    finally:
        room.leave()


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


class _Elsewhere(Place):
    """The place of a file system that is mounted where we cannot see it, and that ends with its programs."""

    def __init__(self) -> None:
        super().__init__("", "", "")

    def is_mounted(self) -> bool:
        return False


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

    def serve(self, device: int) -> None:
        """Answer what the kernel asks for on ``device``, which is ours from now on."""
        if self not in self._rooms:
            os.close(device)
            return
        os.set_blocking(device, False)
        export = Export(self._proc, self._proc.slash)
        self._mounted = Mounted(self._proc, export, export.attach("", ""), device, _Elsewhere(), 0.0)

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


class _Entry:
    """One program on its way into a room, and what is heard from it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._spaces: list[int] = []
        self._error: errors.P9Error | None = None

    async def run(self, p: Proc, job: bytes) -> str:
        """Start `nsh.net.enter` with this job, and see to the end what becomes of it."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        file = os.memfd_create("job")
        try:
            ours.setblocking(False)
            os.pwrite(file, job, 0)
            first = max([number for number, _ in p.fgrp.items()] + [2]) + 1
            more = dict(enumerate((file, theirs.fileno(), *self._room.spaces), first))
            argv = [sys.executable, "-I", "-S", enter.__file__, *map(str, more)]
            signals = (signal.SIGINT, signal.SIGQUIT)  # not while Python starts: it would tell of them
            loop.add_reader(ours, self._hear, ours)
            status = await run_as(p, Start(argv[0], argv, os.environb, None, more, signals))
        finally:
            loop.remove_reader(ours)
            self._hear(ours)
            ours.close()
            theirs.close()
            os.close(file)
            for fd in self._spaces:
                os.close(fd)
            if not self._room.spaces:
                self._room.close()
        if self._error is not None:
            raise self._error
        return status

    def _hear(self, ours: socket.socket) -> None:
        """Do what the messages ask for that are there."""
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(ours, _MESSAGE, 3, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            match marshal.loads(message):
                case ("fuse",):
                    self._spaces = fds[1:]
                    self._room.serve(fds[0])
                case ("built",):
                    self._room.built(self._spaces)
                case ("refused", step, number):
                    self._error = _refusal(step, os.strerror(number))
                case ("failed", number):
                    self._error = errors.from_os(OSError(number, os.strerror(number)))


def _refusal(step: str, why: str) -> Refused:
    """The error for a step of building that the kernel does not allow."""
    if step == "unshare":
        return Refused(f"user name spaces are not allowed here: {why}")
    if step == "/dev/fuse":
        return Refused(f"{step}: {why}")
    return Refused(f"user name spaces are not allowed here: {step}: {why}")
