"""Redirections: which open file stands behind which descriptor while a command runs.

They are made in the process of the shell itself, one after the other, and taken back in the end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nsh import errors
from nsh.dev.hostfd import HostFdDevice
from nsh.kern.chan import Chan
from nsh.p9.const import ORDWR, OREAD, OWRITE
from nsh.rc import tree, words
from nsh.rc.fault import CommandError, RcError
from nsh.rc.glob import MARK

if TYPE_CHECKING:
    from nsh.kern.proc import Proc
    from nsh.rc.run import Shell

VARIABLE = r"""\$(?:\$|([^\x00-\x20!"\#$%&'()+,\-./:;<=>?@\[\\\]^`{|}~\x7f]*)\^?)"""


class Saved:
    """The descriptors of a process as they were before some were changed."""

    def __init__(self, p: Proc) -> None:
        self._fgrp = p.fgrp
        self._old: list[tuple[int, Chan | None]] = []

    def put(self, fd: int, c: Chan | None) -> None:
        """Let ``fd`` be the open Chan, whose reference is taken over; None closes it."""
        try:
            old: Chan | None = self._fgrp.get(fd).incref()
        except errors.Ebadfd:
            old = None
        self._old.append((fd, old))
        if c is not None:
            self._fgrp.put(fd, c)
        elif old is not None:
            self._fgrp.close(fd)

    def restore(self) -> None:
        """Take all changes back."""
        while self._old:
            fd, c = self._old.pop()
            if c is not None:
                self._fgrp.put(fd, c)
                continue
            try:
                self._fgrp.close(fd)
            except errors.Ebadfd:
                pass  # the command has closed it


async def redirect(sh: Shell, nodes: Iterable[tree.Node]) -> Saved:
    """Make redirections, from left to right. Errors: `RcError`; nothing is changed then."""
    saved = Saved(sh.proc)
    try:
        for node in nodes:
            match node:
                case tree.Redir():
                    saved.put(node.fd, await _open(sh, node))
                case tree.HereDoc():
                    saved.put(node.fd, _here_document(sh, node))
                case tree.Dup():
                    saved.put(node.fd, _duplicate(sh.proc, node.source))
    except BaseException:
        saved.restore()
        raise
    return saved


async def _open(sh: Shell, node: tree.Redir) -> Chan:
    """The file of a redirection, opened."""
    names = await words.arguments(sh, (node.target,))
    if len(names) != 1:
        raise RcError(f"{node.arrow} requires {'singleton' if names else 'file'}")
    p, name = sh.proc, names[0]
    await sh.store()  # the file may be one of /env
    try:
        if node.arrow == "<":
            fd = await p.open(name, OREAD)
        elif node.arrow == "<>":
            fd = await p.open(name, ORDWR)
        elif node.arrow == ">":
            fd = await _create(p, name)
        else:
            fd = await _append(p, name)
    except OSError as e:
        raise CommandError(f"cannot open {about(name, e)}") from None
    c = p.fgrp.get(fd).incref()
    p.close(fd)
    return c


async def _create(p: Proc, name: str) -> int:
    """A file to write from the start. One that may be written, but not made or emptied, is just opened."""
    try:
        return await p.create(name, OWRITE, 0o666)
    except errors.Eperm as e:
        try:
            return await p.open(name, OWRITE)
        except OSError:
            raise e from None


async def _append(p: Proc, name: str) -> int:
    """A file to write at its end."""
    try:
        fd = await p.open(name, OWRITE)
    except FileNotFoundError:
        return await _create(p, name)
    await p.seek(fd, 0, 2)
    return fd


def about(name: str, e: OSError) -> str:
    """What an error says about a file: its name as it was given, and why."""
    return f"{name}: {e if isinstance(e, errors.P9Error) else errors.from_os(e)}"


def _duplicate(p: Proc, source: int | None) -> Chan | None:
    if source is None:
        return None
    try:
        return p.fgrp.get(source).incref()
    except errors.Ebadfd as e:
        raise CommandError(f"{source}: {e}") from None


def _here_document(sh: Shell, node: tree.HereDoc) -> Chan:
    """The text of a here document, as a file of the host that has no name."""
    text = node.text
    if not node.quoted:
        text = re.sub(VARIABLE, lambda found: _replacement(sh, found), text)
    fd = os.memfd_create("here")
    with open(fd, "wb", closefd=False) as file:
        file.write(text.replace(MARK, "").encode("utf-8", "surrogateescape"))
    os.lseek(fd, 0, os.SEEK_SET)
    return HostFdDevice.of(sh.proc.system).chan(fd, "here")


def _replacement(sh: Shell, found: re.Match[str]) -> str:
    if found[0] == "$$":
        return "$"
    return " ".join(sh.var.get(found[1])) if found[1] else ""
