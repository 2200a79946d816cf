"""Requests that travel together: all that one thing takes, which is done with a server, in one round trip.

What is asked here is what the mount device asks (`nsh.dev.mnt`), in the same messages; only that the next
request does not wait for the answer to the one before. Nothing is mounted on the way: that is for who asks to
know. A server may do in any order what is asked of it at once. So what uses a file that is being opened may
be refused, and is then asked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar, cast

from nsh import errors
from nsh.dev.mnt import MntDevice
from nsh.dev.mntahead import Ahead
from nsh.dev.mntlink import Begun, Fid, Link
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Path
from nsh.p9 import msg
from nsh.p9.client import Op
from nsh.p9.stat import Qid

T = TypeVar("T")
Walk: TypeAlias = Begun[tuple[int | None, list[Qid]]]
Walked: TypeAlias = tuple[Chan, Walk]


def begin_walks(c: Chan, path: Path, ways: Sequence[Sequence[str]]) -> list[Walked]:
    """Walk from the directory ``c`` to the end of each of ``ways``; `end_walks` tells what is there.

    ``path``: the name by which ``c`` was reached; the Chan of a mount point has another. Errors: `Ehungup`.
    """
    return [_begin_walk(c, path, names) for names in ways]


async def end_walks(begun: Sequence[Walked]) -> list[Chan | P9Error]:
    """The files that were walked to, or why they are not to be had. Errors: `Ehungup`."""
    found: list[Chan | P9Error] = []
    try:
        for made, walk in begun:
            found.append(await _walked(made, walk))
    except BaseException:
        give_up_walks(begun[len(found) + 1 :])
        raise
    return found


def give_up_walks(begun: Sequence[Walked]) -> None:
    """Nobody wants to know what is there."""
    for made, walk in begun:
        fid: Fid = made.aux
        fid.link.give_up((walk,))  # which clunks what it makes
        fid.gone()


def _begin_walk(c: Chan, path: Path, names: Sequence[str]) -> Walked:
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


async def open_and_tell(
    c: Chan, mode: int, control: Chan, data: bytes
) -> tuple[Chan | P9Error, int | P9Error]:
    """Open the file ``c``, write ``data`` to ``control``, an open file of the same server, and ask for the
    start of ``c``, which will be read (`nsh.dev.mntahead`).

    Returns the same Chan, or why it cannot be opened; and how many bytes were taken, or why the write was
    refused. Errors: `Ehungup`.
    """
    link: Link = c.aux.link
    opening, writing = _begin_open(c, mode), _begin_write(control, data)
    ahead = Ahead(link, c.aux.number)
    try:
        opened = await _outcome(link.finish(opening))
        wrote = await _outcome(link.finish(writing))
    except BaseException:
        ahead.drop()
        link.give_up((opening, writing))
        raise
    if isinstance(opened, P9Error):
        ahead.drop()
        return opened, wrote
    _device(c).opened(c, opened, mode).aux.io.expect(ahead)
    return c, wrote


def write_now(c: Chan, data: bytes) -> Awaitable[int]:
    """Write to an open file; it has been asked for when this returns, not when that is waited for."""
    return cast("Awaitable[int]", c.aux.link.finish(_begin_write(c, data)))


def _begin_write(c: Chan, data: bytes) -> Begun[int]:
    fid: Fid = c.aux
    return fid.link.begin(fid.link.client.write(fid.number, data, 0))


def _begin_open(c: Chan, mode: int) -> Begun[tuple[Qid, int]]:
    fid: Fid = c.aux
    return fid.link.begin(fid.link.client.open(fid.number, mode))


def _device(c: Chan) -> MntDevice:
    assert isinstance(c.dev, MntDevice)
    return c.dev


class Cloning(NamedTuple):
    """A file that is being opened once more, written to and read from; see `begin_clone`."""

    made: Chan
    mode: int
    data: bytes
    most: int
    walk: Walk
    opening: Begun[tuple[Qid, int]]
    writing: Begun[int]
    reading: Begun[bytes]


def begin_clone(c: Chan, mode: int, data: bytes, count: int) -> Cloning:
    """Open the file ``c`` once more, write ``data``, and read at most ``count`` bytes from its start."""
    made, walk = _begin_walk(c, c.path, ())
    fid: Fid = made.aux
    opening, writing = _begin_open(made, mode), _begin_write(made, data)
    reading = fid.link.begin(fid.link.client.read(fid.number, count, 0))
    return Cloning(made, mode, data, count, walk, opening, writing, reading)


async def end_clone(begun: Cloning) -> tuple[Chan, int | P9Error, bytes | P9Error]:
    """The open file, and what came of the write and of the read. Errors: those of the open."""
    made = begun.made
    fid: Fid = made.aux
    link, client = fid.link, fid.link.client
    try:
        walked = await _walked(made, begun.walk)
        if isinstance(walked, P9Error):
            raise walked
        opened = await _surely(link, begun.opening, partial(client.open, fid.number, begun.mode))
        if isinstance(opened, P9Error):
            raise opened
        wrote = await _surely(link, begun.writing, partial(client.write, fid.number, begun.data, 0))
        read = await _surely(link, begun.reading, partial(client.read, fid.number, begun.most, 0))
    except BaseException:
        link.give_up((begun.opening, begun.writing, begun.reading))
        raise
    return _device(made).opened(made, opened, begun.mode), wrote, read


async def _surely(link: Link, begun: Begun[T], again: Callable[[], Op[T]]) -> T | P9Error:
    """What comes of an operation; if it was refused, and may have come before its time, it is done again."""
    came = await _outcome(link.finish(begun))
    return await _outcome(link.run(again())) if isinstance(came, P9Error) else came


async def _outcome(work: Awaitable[T]) -> T | P9Error:
    """What comes of an operation, or why it was refused."""
    try:
        return await work
    except P9Error as e:
        return e.with_traceback(None)  # which would keep what it came through
