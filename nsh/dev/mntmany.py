"""Requests that travel together: several files of one server are walked to, or opened, in one round trip.

What is asked here is what the mount device asks (`nsh.dev.mnt`), in the same messages; only that the next
request does not wait for the answer to the one before. Nothing is mounted on the way: that is for who asks to
know. A server may do in any order what is asked of it at once. So what uses a file that is being opened may
be refused, and is then asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from nsh import errors
from nsh.dev.mnt import MntDevice
from nsh.dev.mntlink import Begun, Fid, Link
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Path
from nsh.p9 import msg
from nsh.p9.client import Op
from nsh.p9.stat import Qid

T = TypeVar("T")
Walk: TypeAlias = Begun[tuple[int | None, list[Qid]]]


async def walk_all(c: Chan, path: Path, ways: Sequence[Sequence[str]]) -> list[Chan | P9Error]:
    """The files at the end of ``ways`` from the directory ``c``, or why they are not to be had.

    ``path``: the name by which ``c`` was reached; the Chan of a mount point has another. Errors: `Ehungup`.
    """
    begun = [_begin_walk(c, path, names) for names in ways]
    found: list[Chan | P9Error] = []
    try:
        for made, walk in begun:
            found.append(await _walked(made, walk))
    except BaseException:
        left = begun[len(found) + 1 :]
        c.aux.link.give_up(walk for _, walk in left)  # which clunks what they make
        for made, _ in left:
            made.aux.gone()
        raise
    return found


def _begin_walk(c: Chan, path: Path, names: Sequence[str]) -> tuple[Chan, Walk]:
    fid: Fid = c.aux
    link = fid.link
    walk = link.begin(link.client.walk(fid.number, names))
    assert isinstance(walk.call.message, msg.Twalk)
    for name in names:
        path = Path(path, name)
    return Chan(c.dev, c.qid, path, Fid(link, walk.call.message.newfid), c.instance), walk


async def _walked(made: Chan, walk: Walk) -> Chan | P9Error:
    fid: Fid = made.aux
    try:
        number, qids = await fid.link.finish(walk)
    except P9Error as e:
        fid.gone()
        return e.with_traceback(None)  # which would keep what it came through
    except BaseException:
        fid.gone()
        raise
    if number is None:
        fid.gone()
        return errors.Enonexist()
    if qids:
        made.qid = qids[-1]
    return made


async def open_all(files: Sequence[tuple[Chan, int]]) -> list[Chan | P9Error]:
    """Open each of these with its mode; what is returned is the same Chans, or why they cannot be opened.

    Errors: `Ehungup`.
    """
    begun = [_begin_open(c, mode) for c, mode in files]
    found: list[Chan | P9Error] = []
    try:
        for (c, mode), opening in zip(files, begun, strict=True):
            fid: Fid = c.aux
            try:
                found.append(_device(c).opened(c, await fid.link.finish(opening), mode))
            except P9Error as e:
                found.append(e.with_traceback(None))
    except BaseException:
        files[0][0].aux.link.give_up(begun[len(found) + 1 :])
        raise
    return found


def _begin_open(c: Chan, mode: int) -> Begun[tuple[Qid, int]]:
    fid: Fid = c.aux
    return fid.link.begin(fid.link.client.open(fid.number, mode))


def _device(c: Chan) -> MntDevice:
    assert isinstance(c.dev, MntDevice)
    return c.dev


async def clone(c: Chan, mode: int, data: bytes, count: int) -> tuple[Chan, int | P9Error, bytes | P9Error]:
    """Open the file ``c`` once more, write ``data``, and read at most ``count`` bytes from its start.

    Returns the open file, and what came of the write and of the read. Errors: those of the open.
    """
    made, walk = _begin_walk(c, c.path, ())
    fid: Fid = made.aux
    link, client = fid.link, fid.link.client
    opening = _begin_open(made, mode)
    writing = link.begin(client.write(fid.number, data, 0))
    reading = link.begin(client.read(fid.number, count, 0))
    try:
        walked = await _walked(made, walk)
        if isinstance(walked, P9Error):
            raise walked
        opened = await _surely(link, opening, lambda: client.open(fid.number, mode))
        if isinstance(opened, P9Error):
            raise opened
        wrote = await _surely(link, writing, lambda: client.write(fid.number, data, 0))
        read = await _surely(link, reading, lambda: client.read(fid.number, count, 0))
    except BaseException:
        link.give_up((opening, writing, reading))
        raise
    return _device(made).opened(made, opened, mode), wrote, read


async def _surely(link: Link, begun: Begun[T], again: Callable[[], Op[T]]) -> T | P9Error:
    """What comes of an operation; if it was refused it may have come before its time, and is done again."""
    try:
        return await link.finish(begun)
    except P9Error:
        pass
    try:
        return await link.run(again())
    except P9Error as e:
        return e.with_traceback(None)
