"""From a fresh process to a host program that sees files of ours: what runs in between.

This is a program of its own. `nsh.net.inside` starts it, in the place of the host program, as
``python -I -S enter.py JOB TALK [SPACE ...]``, and it becomes that program in the end: it must be there in
milliseconds, and imports nothing of nsh. The arguments are descriptors: JOB is a file with what is to be
done (PLACE, BINDS, DIRECTORY, PROGRAM, ARGV, ENVIRON, by marshal), TALK a socket to nsh, and each SPACE a
name space of Linux to enter. Without any SPACE new ones are made, with a FUSE file system at PLACE, whose
other end is sent to nsh; at ``/`` it is the root, with BINDS of the host's own on it.

The messages on TALK, each a tuple by marshal: ``("fuse",)`` with the descriptors of /dev/fuse, of the mount
name space and perhaps of the user name space; ``("built",)`` when others may enter these; ``("refused",
STEP, ERRNO)``; ``("exec",)``; and, if that failed, ``("failed", ERRNO)``. Without a PROGRAM it ends when
all is built.
"""

from __future__ import annotations

import _socket
import ctypes
import marshal
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_NOSUID, MS_BIND, MS_REC, MS_PRIVATE = 2, 4096, 16384, 1 << 18
MNT_DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "i686": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}
"""The number of pivot_root(2), which libc has no function for; 41 on all newer machines."""

ROOT = "/tmp"
"""A directory that is everywhere. What has the new root mounted on it sees nobody else."""

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The kernel does not let us: at which step, with which errno."""


def main(job: int, talk: int, *spaces: int) -> NoReturn:
    """Do the job, see above."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # what Python does about them
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for fd in (job, talk, *spaces):
        os.set_inheritable(fd, False)
    with open(job, "rb") as file:
        place, binds, directory, program, argv, environ = marshal.load(file)
    nowhere = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    socket = _socket.socket(fileno=talk)
    try:
        if spaces:
            _enter(spaces)
        else:
            _build(socket, os.fsdecode(place), binds)
            _tell(socket, "built")
    except Refused as e:
        _tell(socket, "refused", *e.args)
        os._exit(1)
    if not program:
        os._exit(0)
    try:
        os.chdir(directory)
    except OSError:
        os.fchdir(nowhere)
    _tell(socket, "exec")
    _tell(socket, "failed", _execute(program, argv, environ))
    os._exit(1)


def _tell(socket: _socket.socket, *message: str | int, fds: Sequence[int] = ()) -> None:
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds))]
    socket.sendmsg([marshal.dumps(message)], rights if fds else [])


def _execute(program: bytes, argv: list[bytes], environ: dict[bytes, bytes]) -> int:
    """Become ``program``, which is looked for in $PATH as execvp(3) does; returns why not."""
    error = 0
    for directory in [b""] if b"/" in program else environ.get(b"PATH", b"/usr/bin:/bin").split(b":"):
        try:
            os.execve(os.path.join(directory, program), argv, environ)
        except OSError as e:
            if e.errno not in _ELSEWHERE or not error:
                error = e.errno or 0
            if e.errno not in _ELSEWHERE and e.errno != _EACCES:
                break
    return error


_EACCES = 13
_ELSEWHERE = (2, 20)
"""ENOENT, ENOTDIR: the next directory may have it."""


# --- name spaces of Linux ----------------------------------------------------------------------


def _check(result: int, step: str) -> None:
    if result < 0:
        raise Refused(step, ctypes.get_errno())


def _enter(spaces: Sequence[int]) -> None:
    """Join name spaces that another of us has made."""
    for fd in spaces:
        _check(_libc.setns(fd, 0), "setns")


def _build(socket: _socket.socket, place: str, binds: list[tuple[bytes, bytes]]) -> None:
    """Be in a mount name space in which what nsh serves is at ``place``."""
    user = _unshare()
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)  # in the user name space that is to mount it
    except OSError as e:
        raise Refused("/dev/fuse", e.errno) from None
    _mount("none", "/", "", MS_REC | MS_PRIVATE, "")
    options = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    # with a user name space it has no devices, either
    _mount("nsh", ROOT if place == "/" else place, "fuse.nsh", MS_NOSUID, options)
    names = ["user", "mnt"] if user else ["mnt"]
    spaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in names]
    _tell(socket, "fuse", fds=[device, *spaces])
    for fd in (device, *spaces):
        os.close(fd)  # the file system is to end with nsh
    if place == "/":
        _change_root(binds)


def _change_root(binds: list[tuple[bytes, bytes]]) -> None:
    """Let what is mounted at ROOT be the root, with ``binds`` of the host's own."""
    for source, name in binds:
        try:
            _mount(os.fsdecode(source), ROOT + os.fsdecode(name), "", MS_BIND | MS_REC, "")
        except Refused:
            continue  # it is seen through nsh then, only slower
    os.chdir(ROOT)
    number = PIVOT_ROOT.get(os.uname().machine, 41)
    _check(_libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")


def _unshare() -> bool:
    """Get a mount name space; returns whether that took a user name space, in which one is oneself."""
    if _libc.unshare(CLONE_NEWNS) == 0:
        return False
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        except OSError as e:
            raise Refused(name, e.errno) from None
    return True


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    names = (os.fsencode(text) for text in (source, target, kind))
    done = _libc.mount(*names, ctypes.c_ulong(flags), os.fsencode(options) or None)
    _check(done, "mount")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
