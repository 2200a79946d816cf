"""Getting a FUSE file system into the tree of the host, and out of it again.

Whoever may mount (the superuser, also the one of a user name space) does it with mount(2); for others the
set-uid program fusermount3 does. Both end with a descriptor of /dev/fuse. These functions block, and one
that resolves a name may wait for a file system that this very process serves: call them in a thread.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from typing import TYPE_CHECKING

from nsh.dev.mountinfo import mounts
from nsh.errors import P9Error, from_os

if TYPE_CHECKING:
    import ctypes

DEVICE = "/dev/fuse"
HELPERS = ("fusermount3", "fusermount")
TYPE = "fuse.9pfuse"

_MS_NOSUID, _MS_NODEV = 2, 4
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8


class Place:
    """Where a file system was mounted: ``path``, and the number of the device that tells it from others."""

    def __init__(self, path: str, device: str, helper: str) -> None:
        self.path = path
        self._device = device
        self._helper = helper  # the program that mounted it, or ''

    def is_mounted(self) -> bool:
        return device_at(self.path) == self._device

    def detach(self) -> None:
        """Unmount it, even if it is in use; nothing happens when somebody else has done so. Never fails."""
        if not self.is_mounted():
            return
        if self._helper:
            argv = [self._helper, "-u", "-z", "--", self.path]
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        else:
            _libc().umount2(os.fsencode(self.path), _MNT_DETACH | _UMOUNT_NOFOLLOW)


class Elsewhere(Place):
    """The place of a file system that is mounted where we cannot see it, and that ends with its programs."""

    def __init__(self) -> None:
        super().__init__("", "", "")

    def is_mounted(self) -> bool:
        return False


def attach(where: str, directory: bool, source: str, allow_other: bool) -> tuple[int, Place]:
    """Mount at ``where``; returns the descriptor on which the kernel asks, and the place.

    ``directory``: whether what will be served is one; ``source``: what mount(8) and df(1) show. Errors:
    `P9Error`.
    """
    try:
        path = os.path.realpath(where)
        if stat.S_ISDIR(os.stat(path).st_mode) != directory:
            raise P9Error("inconsistent mount")
        try:
            fd, helper = _mount(path, directory, source, allow_other), ""
        except PermissionError:
            fd, helper = _ask_helper(path, source, allow_other)
    except OSError as e:
        raise from_os(e) from None
    os.set_blocking(fd, False)
    return fd, Place(path, device_at(path), helper)


def _mount(path: str, directory: bool, source: str, allow_other: bool) -> int:
    """mount(2)."""
    fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    kind = stat.S_IFDIR if directory else stat.S_IFREG
    options = [f"fd={fd}", f"rootmode={kind:o}", f"user_id={os.getuid()}", f"group_id={os.getgid()}"]
    if allow_other:
        options.append("allow_other")
    words = [word.encode("utf-8", "surrogateescape") for word in (source, path, TYPE, ",".join(options))]
    try:
        if _libc().mount(words[0], words[1], words[2], _MS_NOSUID | _MS_NODEV, words[3]):
            import ctypes

            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _libc() -> ctypes.CDLL:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    string = ctypes.c_char_p
    libc.mount.argtypes = (string, string, string, ctypes.c_ulong, string)
    libc.umount2.argtypes = (string, ctypes.c_int)
    return libc


def _ask_helper(path: str, source: str, allow_other: bool) -> tuple[int, str]:
    """Have fusermount3 mount; it sends the descriptor over a socket."""
    helper = find_helper()
    if helper is None:
        raise P9Error(f"not permitted to mount, and there is no {HELPERS[0]}")
    escaped = source.replace("\\", "\\\\").replace(",", "\\,")
    options = f"fsname={escaped},subtype={TYPE.partition('.')[2]},nosuid,nodev"
    if allow_other:
        options += ",allow_other"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [helper, "-o", options, "--", path],
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    if done.returncode or not fds:
        said = done.stderr.decode(errors="replace").strip().removeprefix("fusermount3: ")
        raise P9Error(said or f"{helper} failed")
    os.set_inheritable(fds[0], False)
    return fds[0], helper


def find_helper() -> str | None:
    """The host's program that mounts and unmounts for those who may not themselves, where there is one."""
    return next(filter(None, map(shutil.which, HELPERS)), None)


def is_fuse(path: str) -> bool:
    """Is a FUSE file system mounted at ``path``, a name without links?"""
    kinds = [mount.kind for mount in mounts() if mount.point == path]
    return bool(kinds) and kinds[-1].startswith("fuse.")


def device_at(path: str) -> str:
    """The number of the device that is mounted at ``path``, as /proc shows it; '' if none is."""
    devices = [mount.device for mount in mounts() if mount.point == path]
    return devices[-1] if devices else ""  # the last one is on top
