"""FUSE: a part of a name space, mounted where every program of the host sees it. 9pfuse(4).

`mount` is all that others need. `nsh.net.fuse.session` says what the requests of the kernel mean,
`nsh.net.fuse.abi` how they look, `nsh.net.fuse.mount` how to come to a mount, and `nsh.net.fuse.serve`
keeps it going.
"""

from __future__ import annotations

import asyncio
import os

from nsh.dev.mnt import MntDevice
from nsh.kern.chan import Chan
from nsh.kern.proc import RFCFDG, RFNOTEG, Proc
from nsh.kern.tree import Tree
from nsh.net.fuse.mount import Place, attach
from nsh.net.fuse.serve import Mounted
from nsh.p9.const import QTDIR

TRUST = 1.0
"""Seconds for which a name of a server is believed to stand for the file that it was walked to."""

__all__ = ["Mounted", "mount"]


async def mount(
    p: Proc,
    root: Chan,
    where: str,
    *,
    allow_other: bool = False,
    source: str = "9pfuse",
    timeout: float = 0.0,
) -> Mounted:
    """Show the tree at ``root``, as ``p`` sees it, at the host's directory ``where`` (or file, if it is one).

    The mount belongs to p's leader, and ends with it; it acts as a process of its own, a fork of ``p``. If
    ``root`` is of a server, it ends with the connection. ``source``: what mount(8) shows; ``timeout``:
    seconds for which the kernel may believe what it knows of names and attributes. Errors: `P9Error`.

    A program that touches ``where`` waits for this one: never do so from the thread of the event loop.
    """
    directory = bool(root.qid.type & QTDIR)
    attaching = asyncio.ensure_future(asyncio.to_thread(attach, where, directory, source, allow_other))
    try:
        fd, place = await asyncio.shield(attaching)
    except asyncio.CancelledError:
        await asyncio.wait([attaching])  # a thread cannot be cancelled, and may be about to succeed
        _take_back(attaching)
        raise
    proc = p.fork(RFNOTEG | RFCFDG)
    proc.args = ["9pfuse", source, place.path]
    files = Tree(proc, root)
    mounted = Mounted(
        proc, files, files.attach("", ""), fd, place, timeout, TRUST if root.dev.remote else 0.0
    )
    mounted.undo_at_end(p.leader.atexit(mounted.close))
    if isinstance(root.dev, MntDevice):
        mounted.undo_at_end(root.dev.at_hangup(root, mounted.close))
    return mounted


def _take_back(attaching: asyncio.Future[tuple[int, Place]]) -> None:
    """Nobody wants the mount that has just been made."""
    if attaching.exception() is None:
        fd, place = attaching.result()
        os.close(fd)
        place.detach()
