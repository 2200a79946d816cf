"""namec: from a name to a Chan, the one place where names are resolved.

A name is split into elements, and the elements are walked. At each step the Chan in hand is on the
*covered* side: if it is a mount point, the walk goes on in the members of the mount, the first one
that knows the next name. Many elements go to a device in one walk; the qids that come back tell where
a mount point was passed, and from there the walk starts again in what is mounted.

``..`` is walked, never cancelled in the text. Where the way came through a mount point, the Path
remembers the covered Chan, and ``..`` goes back to it, so that one comes out where one went in.

A mount point is crossed once. What is mounted may be a mount point itself; its mounts are not seen
through the first one (as in Plan 9; Inferno's walk crosses twice).

The last element is crossed or not according to what the name is for (`Access`): files are opened,
stat'ed and removed through the mount, but one binds onto, and stands in, what is covered.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias

from nsh import errors
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, Path, settle
from nsh.kern.mnt import MCREATE, Mhead
from nsh.kern.pgrp import Pgrp
from nsh.kern.union import Union, clone
from nsh.p9.const import DMDIR, MAXWELEM, OEXCL, OTRUNC, QTDIR
from nsh.p9.stat import Qid

if TYPE_CHECKING:
    from nsh.kern.proc import Proc

ERRMAX = 128
"""Bytes of an error string in the kernel, the final NUL included."""
NAMEMAX = 65535
"""Most bytes of a name."""


class Access(enum.Enum):
    """What a name is wanted for; says whether a mount point at its end is crossed."""

    ACCESS = "stat, wstat"
    BIND = "the source of a bind; the union comes along"
    OPEN = "open, and the source of unmount"
    REMOVE = "remove"
    TODIR = "a directory to stand in: stays on the covered side"
    MOUNT = "the target of bind, mount, unmount: stays on the covered side"


class Name(NamedTuple):
    """A name, taken apart: where to start, the elements, and where each of them ends in the text."""

    text: str
    start: str  # "/" or "." or "#..."
    elems: list[str]
    ends: list[int]
    mustbedir: bool


class WalkError(Exception):
    """A walk failed on the element with this index, for this reason."""

    def __init__(self, reason: OSError, index: int) -> None:
        super().__init__(reason, index)
        self.reason, self.index = reason, index


def parse(text: str) -> Name:
    """Take a name apart; ``.`` and empty elements are dropped, nothing else is cleaned.

    Errors: `Eemptyname`, `Enametoolong`, `Ebadchar`.
    """
    if not text:
        raise errors.Eemptyname()
    if len(text) > NAMEMAX // 4 and len(text.encode("utf-8", "surrogateescape")) > NAMEMAX:
        raise errors.Enametoolong()
    if not text.isprintable():
        check_characters(text, text)
    at = 0
    start = "."
    if text[0] == "/":
        start = "/"
    elif text[0] == "#":
        at = text.find("/", 2)
        at = len(text) if at < 0 else at
        start = text[:at]
    elems: list[str] = []
    ends: list[int] = []
    last = ""
    for last in text[at:].split("/"):
        at += len(last)
        if last and last != ".":
            elems.append(last)
            ends.append(at)
        at += 1
    return Name(text, start, elems, ends, last in ("", "."))


def check_characters(name: str, whole: str) -> None:
    """Raise `Ebadchar` if ``name`` has a control character in it; the error shows ``whole``."""
    if any(ch < " " or ch == "\x7f" for ch in name):
        raise errors.Ebadchar(f"{errors.Ebadchar.text}: {quote(whole)}")


def check_element(name: str) -> None:
    """Raise unless a file may be given this name; '' means that it keeps the one it has.

    Errors: `Ebadchar`, `Efilename`.
    """
    if name in (".", ".."):
        raise errors.Efilename()
    if "/" in name:
        raise errors.Ebadchar(f"{errors.Ebadchar.text}: {quote(name)}")
    check_characters(name, name)


_SPECIAL = frozenset("'#;&|^$=`{}()<>\x7f" + "".join(map(chr, range(ord(" ") + 1))))
"""The characters that no plain word of rc has."""


def quote(name: str) -> str:
    """``name`` as a word of rc: quoted only if it must be."""
    return name if name and _SPECIAL.isdisjoint(name) else "'" + name.replace("'", "''") + "'"


def prefix_error(e: OSError, name: str, end: int) -> OSError:
    """The same error with the part of the name in front that was reached: ``'PREFIX' TEXT``.

    A prefix of a third of ERRMAX bytes or more is cut down to its last element, and what is still too
    long is cut off.
    """
    if not isinstance(e, P9Error):
        e = errors.from_os(e)
    prefix = name[:end]
    if len(prefix.encode("utf-8", "surrogateescape")) >= ERRMAX // 3 and "/" in prefix[1:]:
        prefix = "..." + prefix[prefix.rindex("/") :]
    quoted = _cut("'" + prefix.replace("'", "''"), ERRMAX - 2) + "'"
    return type(e)(_cut(f"{quoted} {e}", ERRMAX - 1))


def _cut(text: str, size: int) -> str:
    """As much of ``text`` as fits into ``size`` bytes."""
    return text.encode("utf-8", "surrogateescape")[:size].decode("utf-8", "ignore")


async def walk(c: Chan, names: Sequence[str], pgrp: Pgrp | None) -> Chan:
    """Walk ``names`` from ``c``; the Chan that comes back is on the covered side.

    ``pgrp``: the mount table, None to see no mounts (names that begin with ``#``). Raises `WalkError`.
    """
    path = c.path
    here = c
    head: Mhead | None = None
    crossed = False
    done = 0
    while done < len(names):
        if not here.qid.type & QTDIR:
            raise WalkError(errors.Enotdir(), done - 1)
        batch = _batch(names, done)
        if batch[0] == "..":
            here, path = await _dotdot(here, path, done)
            head, crossed = None, False
            done += 1
            continue
        if not crossed:
            head = pgrp.find(here) if pgrp is not None else None
        members = (m.to for m in head.mounts) if head is not None else iter((here,))
        try:
            new, reached, base = await settle(_walk_members(members, list(batch), None))
        except OSError as e:
            raise WalkError(_bare(e), done) from None
        if head is not None:
            path = path.over(head, base.path)
        stop = _first_mount(pgrp, base, reached, len(batch) - 1)
        if stop is not None:
            at, head = stop
            for elem in batch[: at + 1]:
                path = Path(path, elem)
            here = head.mounts[0].to
            crossed = True
            done += at + 1
            continue
        if new is None:
            await _partial(base, batch, reached, done)
        for elem in batch:
            path = Path(path, elem)
        here, head, crossed = new, None, False
        done += len(batch)
    # a Chan that the walk did not make belongs to somebody else
    if here is c or here.shared or here.opened:
        return here.alias(path)
    here.path = path
    return here


def _batch(names: Sequence[str], done: int) -> Sequence[str]:
    """The names for the next walk message: at most 16, and ``..`` always alone."""
    end = min(done + MAXWELEM, len(names))
    if names[done] == "..":
        return names[done : done + 1]
    for i in range(done + 1, end):
        if names[i] == "..":
            return names[done:i]
    return names[done:end]


async def _dotdot(here: Chan, path: Path, done: int) -> tuple[Chan, Path]:
    """One step up: into the covered Chan that the Path remembers, else where the device says."""
    parent = path.parent or path
    if parent.covered is not None:
        path = parent.under()
        return parent.covered.alias(path), path
    try:
        up, _ = await settle(here.dev.walk(here, [".."]))
    except OSError as e:
        raise WalkError(e, done) from None
    if up is None:
        raise WalkError(errors.Enonexist(), done)
    return up, parent


def step(c: Chan, name: str, pgrp: Pgrp) -> Maybe[Chan]:
    """`walk` by one name, as a server does it; the Chan is there at once if no device has to wait.

    Errors: those of the devices on the way.
    """
    if name == ".." or not c.qid.type & QTDIR:
        return _step_any(c, name, pgrp)
    head = pgrp.find(c)
    members = iter((c,)) if head is None else (m.to for m in head.mounts)
    found = _walk_members(members, [name], None)
    if type(found) is tuple:
        return _stepped(c, name, head, found)
    return _step_later(c, name, head, found)


def _stepped(c: Chan, name: str, head: Mhead | None, found: Found) -> Chan:
    """The Chan that `step` found, under its name."""
    new, _, base = found
    if new is None:
        raise errors.Enonexist()
    path = Path(c.path if head is None else c.path.over(head, base.path), name)
    if new.shared or new.opened:
        return new.alias(path)
    new.path = path
    return new


async def _step_later(c: Chan, name: str, head: Mhead | None, found: Maybe[Found]) -> Chan:
    return _stepped(c, name, head, await settle(found))


async def _step_any(c: Chan, name: str, pgrp: Pgrp) -> Chan:
    try:
        return await walk(c, [name], pgrp)
    except WalkError as e:
        raise e.reason from None


Found: TypeAlias = "tuple[Chan | None, list[Qid], Chan]"
"""What a device's walk gave, and the Chan that it began with."""


def _walk_members(members: Iterator[Chan], names: list[str], reason: OSError | None) -> Maybe[Found]:
    """Walk in the first of ``members`` that knows the first name.

    ``reason``: why those before them did not; the last one's is raised.
    """
    try:
        for base in members:
            try:
                walked = base.dev.walk(base, names)
            except OSError as e:
                reason = _bare(e)
                continue
            if type(walked) is tuple:
                return walked[0], walked[1], base
            return _walk_members_later(walked, base, members, names)
        assert reason is not None
        raise reason
    finally:
        del reason  # an error holds the frames that it passed: with this one it would hold itself, and Chans


async def _walk_members_later(
    walked: Maybe[tuple[Chan | None, list[Qid]]], base: Chan, members: Iterator[Chan], names: list[str]
) -> Found:
    try:
        new, reached = await settle(walked)
        return new, reached, base
    except OSError as e:
        reason = _bare(e)
    try:
        return await settle(_walk_members(members, names, reason))
    finally:
        del reason


def _bare(e: OSError) -> OSError:
    """An error that can be kept: with its traceback it would keep every Chan of the failed walk, too."""
    return e.with_traceback(None)


def _first_mount(pgrp: Pgrp | None, base: Chan, reached: list[Qid], last: int) -> tuple[int, Mhead] | None:
    """The first element of a walk, its last one not counted, that is a mount point."""
    if pgrp is not None:
        for i, qid in enumerate(reached[:last]):
            head = pgrp.find_key((base.dev, base.instance, qid.path))
            if head is not None:
                return i, head
    return None


async def _partial(base: Chan, batch: Sequence[str], reached: list[Qid], done: int) -> NoReturn:
    """A walk message stopped half way, and no mount point explains it.

    The reply does not say why. "does not exist" it is for the kernel; but it may be a permission that is
    missing or a dead disk, which is worth a second question, where that costs no message to a server.
    """
    index = done + len(reached)
    if reached and not reached[-1].type & QTDIR:
        raise WalkError(errors.Enotdir(), index - 1)
    if reached and not base.dev.remote:
        there, _ = await settle(base.dev.walk(base, list(batch[: len(reached)])))
        try:
            if there is not None:
                await settle(there.dev.walk(there, [batch[len(reached)]]))
        except FileNotFoundError:
            pass
        except OSError as e:
            raise WalkError(_bare(e), index) from None
    raise WalkError(errors.Edoesnotexist(), index)


def cross(c: Chan, pgrp: Pgrp | None) -> tuple[Chan, Mhead | None]:
    """What is seen at ``c``: the first member of its mount, under c's name, and the mount head."""
    head = pgrp.find(c) if pgrp is not None else None
    if head is None:
        return c, None
    member = head.mounts[0].to
    return member.alias(c.path.over(head, member.path)), head


async def _start(p: Proc, name: Name) -> tuple[Chan, Pgrp | None]:
    """The Chan where a name starts, and the mount table to be used on its way."""
    if name.start == "/":
        return p.slash, p.pgrp
    if name.start == ".":
        return p.dot, p.pgrp
    return await p.system.attach(name.start[1:2], name.start[2:], p.pgrp.nodevs), None


async def _walk_name(start: Chan, pgrp: Pgrp | None, name: Name, elems: Sequence[str]) -> Chan:
    """Walk the first elements of a name; errors carry the part of the name that was reached."""
    try:
        c = await walk(start, elems, pgrp)
    except WalkError as e:
        end = name.ends[e.index] if e.index >= 0 else len(name.start)
        raise prefix_error(e.reason, name.text, end) from None
    if name.mustbedir and elems and len(elems) == len(name.elems) and not c.qid.type & QTDIR:
        raise prefix_error(errors.Enotdir(), name.text, name.ends[-1])
    return c


async def namec(p: Proc, text: str, access: Access, mode: int = 0) -> Chan:
    """Resolve ``text`` for process ``p``; ``mode`` is that of open, where ``access`` is OPEN.

    Errors: those of the devices on the way, with the reached part of the name in front; of the last
    step (open, remove, ...) bare.
    """
    name = parse(text)
    start, pgrp = await _start(p, name)
    c = await _walk_name(start, pgrp, name, name.elems)
    if not name.elems:
        c = await clone(c)  # nothing was walked to, so nothing has told yet whether it is still there
    if access is Access.MOUNT:
        return c
    if access is Access.TODIR:
        if not c.qid.type & QTDIR:
            raise errors.Enotdir()
        return c
    seen, head = cross(c, pgrp)
    if access is Access.OPEN:
        return await settle(open_chan(seen, mode, pgrp, head))
    if access is Access.REMOVE and head is not None:
        return await clone(seen)  # what is mounted may be gone
    if access is Access.BIND and head is not None:
        # a bind is listed by the name of what it shows, not by the name of the mount point
        seen = head.mounts[0].to.alias(head.mounts[0].to.path)
        seen.head = head
    return seen


def open_chan(c: Chan, mode: int, pgrp: Pgrp | None, head: Mhead | None) -> Maybe[Chan]:
    """Open ``c``, which was reached across ``head``; more than one member make it a union directory.

    As with a device's members, the Chan is there at once if nothing has to be waited for.
    """
    if c.shared:
        return _clone_and_open(c, mode, pgrp, head)
    path = c.path
    opened = c.dev.open(c, mode)
    if type(opened) is Chan:
        return _opened(opened, c, path, mode, pgrp, head)
    return _open_later(opened, c, path, mode, pgrp, head)


def _opened(opened: Chan, c: Chan, path: Path, mode: int, pgrp: Pgrp | None, head: Mhead | None) -> Chan:
    opened.mode = mode
    if opened is c:
        opened.path = path
    if pgrp is not None and head is not None and len(head.mounts) > 1:
        opened.union = Union(pgrp, head.covered.key)
    return opened


async def _open_later(
    opened: Maybe[Chan], c: Chan, path: Path, mode: int, pgrp: Pgrp | None, head: Mhead | None
) -> Chan:
    return _opened(await settle(opened), c, path, mode, pgrp, head)


async def _clone_and_open(c: Chan, mode: int, pgrp: Pgrp | None, head: Mhead | None) -> Chan:
    path, c = c.path, await clone(c)
    c.path = path
    return await settle(open_chan(c, mode, pgrp, head))


async def create(p: Proc, text: str, mode: int, perm: int) -> Chan:
    """Create the file ``text`` and open it; one that exists is truncated, or refused with OEXCL.

    A new file goes to the first member that was mounted with MCREATE. Errors: `Eexist`,
    `Enocreate`, `Ecreatedir`, and those of `namec`.
    """
    name = parse(text)
    start, pgrp = await _start(p, name)
    if name.mustbedir and not perm & DMDIR:
        raise prefix_error(errors.Ecreatedir(), name.text, name.ends[-1] if name.ends else len(text))
    if not name.elems:
        raise errors.Eexist()
    parent = await _walk_name(start, pgrp, name, name.elems[:-1])
    last = name.elems[-1]
    found = await _existing(parent, last, pgrp)
    if found is None:
        try:
            return await create_in(parent, pgrp, last, mode & ~OEXCL, perm)
        except OSError:
            # somebody else may have made it in the meantime
            found = await _existing(parent, last, pgrp)
            if found is None:
                raise
    if mode & OEXCL:
        raise errors.Eexist()
    seen, head = cross(found, pgrp)
    return await settle(open_chan(seen, mode & ~OEXCL | OTRUNC, pgrp, head))


async def _existing(parent: Chan, name: str, pgrp: Pgrp | None) -> Chan | None:
    try:
        return await walk(parent, [name], pgrp)
    except WalkError:
        return None


async def create_in(parent: Chan, pgrp: Pgrp | None, name: str, mode: int, perm: int) -> Chan:
    """Create in the directory, or in that member of a union that takes new files, and open what was made."""
    if not parent.qid.type & QTDIR:
        raise errors.Enotdir()
    path = parent.path
    head = pgrp.find(parent) if pgrp is not None else None
    if head is not None:
        parent = creating_member(head)
        path = path.over(head, parent.path)
    directory = await clone(parent)
    directory.path = path
    made = await settle(directory.dev.create(directory, name, mode, perm))
    made.mode = mode
    made.path = Path(path, name)
    return made


def creating_member(head: Mhead) -> Chan:
    """The member of a mount point that new files go to. Errors: `Enocreate`."""
    for m in head.mounts:
        if m.flag & MCREATE:
            return m.to
    raise errors.Enocreate()
