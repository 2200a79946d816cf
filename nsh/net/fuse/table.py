"""Which files the kernel knows: the table of one mount's nodes and handles, and how a name comes into it.

A `Node` stays until the kernel has forgotten it as often as it was told of it, a `Handle` until it is
released. What is asked of files here is only what that takes: walk, open, clunk, and what they are.
"""

from __future__ import annotations

import itertools
import os
import time
from errno import EBADF, ENOENT, EPIPE, ESTALE

from nsh.kern.chan import settle
from nsh.kern.export import File
from nsh.kern.native import Known
from nsh.kern.tree import Tree
from nsh.net.fuse import abi
from nsh.net.fuse.attr import kind
from nsh.net.fuse.errnos import number
from nsh.net.fuse.node import Handle, Node, same
from nsh.p9.files import Soon


class Table:
    """The files of ``files`` that the kernel knows. ``root``, which is mounted, is taken over.

    ``trust``: seconds for which a name is believed to stand for the file that it was walked to, as long as
    that file is there and has this name, which spares a server walks.
    """

    def __init__(self, files: Tree, root: File, trust: float) -> None:
        self._files = files
        self._trust = trust
        self._nodes: dict[int, Node] = {abi.ROOT: Node(abi.ROOT, root, (0, ""), 0)}
        self._names: dict[tuple[int, str], Node] = {}
        self._handles: dict[int, Handle] = {}
        self._number = itertools.count(abi.ROOT + 1).__next__

    def get(self, nodeid: int) -> Node | None:
        """The node with this number, if the kernel may still use it."""
        return self._nodes.get(nodeid)

    def node(self, nodeid: int) -> Node:
        """The same. Errors: ESTALE."""
        node = self._nodes.get(nodeid)
        if node is None:
            raise OSError(ESTALE, os.strerror(ESTALE))
        return node

    # --- files ---------------------------------------------------------------------------------

    async def walk(self, node: Node, *names: str) -> File:
        """A File for what is called ``names`` below a node; without names, another one for the node's."""
        try:
            file, _ = await settle(self._files.walk(node.file, names))
        except OSError as e:
            raise (_hungup(node, e) if names else _missing(node, e)) from None
        if file is None:
            raise OSError(ENOENT, os.strerror(ENOENT))
        return file

    async def open_as(self, file: File, mode: int) -> File:
        """``file`` opened; it is taken over."""
        try:
            opened = await settle(self._files.open(file, mode))
        except BaseException:
            self._files.clunk(file)
            raise
        if opened is not file:
            self._files.clunk(file)
        return opened

    def known(self, node: Node) -> Soon[Known]:
        """What a file is, also when it was removed and is still open."""
        try:
            known = self._files.known(node.file)
        except OSError:
            if not node.handles:
                raise
            return self._files.known(node.any_handle.file)
        return known if type(known) is Known else self._known_later(node, known)

    async def _known_later(self, node: Node, work: Soon[Known]) -> Known:
        try:
            known = await settle(work)
        except OSError as e:
            if not node.handles:
                raise _missing(node, e) from None
            return await settle(self._files.known(node.any_handle.file))
        if node.named and known.dir.name != node.key[1] and not node.handles and _is_believed(node):
            raise OSError(ESTALE, os.strerror(ESTALE))
        return known

    # --- names ---------------------------------------------------------------------------------

    async def find(self, parent: Node, name: str) -> tuple[Node, Known]:
        """The node of what is called ``name`` in a directory, referred to once more, and what it is."""
        node = self._names.get((parent.number, name))
        if node is not None and time.monotonic() < node.walked + self._trust:
            known = await self._still(node, name)
            if known is not None:
                node.lookups += 1
                return node, known
        file = await self.walk(parent, name)
        try:
            known = await settle(self._files.known(file))
        except BaseException:
            self._files.clunk(file)
            raise
        node = self._enter(parent, name, file, kind(known))
        node.named = known.dir.name == name
        return node, known

    async def _still(self, node: Node, name: str) -> Known | None:
        """What a known file is, if it is there and still called ``name``."""
        try:
            known = await settle(self._files.known(node.file))
        except OSError:
            return None
        d = known.dir
        there = self._nodes.get(node.number) is node
        return known if there and d.name == name and same(d.qid, node.file.qid) else None

    def _enter(self, parent: Node, name: str, file: File, kind: int) -> Node:
        """The node of ``file``, which is taken over: the newest way to a file is the best one."""
        key = (parent.number, name)
        node = self._names.get(key)
        if node is None or node.kind != kind or not same(node.file.qid, file.qid):
            made = self._number()
            node = self._nodes[made] = self._names[key] = Node(made, file, key, kind)
        elif node.busy:
            self._files.clunk(file)
        else:
            old, node.file = node.file, file
            self._files.clunk(old)
        node.lookups += 1
        node.walked = time.monotonic()
        return node

    def removed(self, parent: Node, name: str) -> None:
        """No file has this name any more."""
        self._names.pop((parent.number, name), None)

    def renamed(self, parent: Node, old: str, newdir: int, new: str) -> None:
        """What was called ``old`` in ``parent`` is called ``new`` in the directory ``newdir``."""
        self._names.pop((newdir, new), None)
        moved = self._names.pop((parent.number, old), None)
        if moved is not None:
            moved.key = (newdir, new)
            self._names[moved.key] = moved

    def forget(self, nodeid: int, count: int) -> None:
        """The kernel gives back ``count`` references."""
        node = self._nodes.get(nodeid)
        if node is None or nodeid == abi.ROOT:
            return
        node.lookups -= count
        if node.lookups <= 0:
            del self._nodes[nodeid]
            if self._names.get(node.key) is node:
                del self._names[node.key]
            self._files.clunk(node.file)

    # --- open files ----------------------------------------------------------------------------

    def opened(self, file: File, node: Node) -> int:
        """The number of a new handle."""
        fh = self._number()
        self._handles[fh] = node.handles[fh] = Handle(file, node)
        return fh

    def handle(self, fh: int) -> Handle:
        """The handle with this number. Errors: EBADF."""
        handle = self._handles.get(fh)
        if handle is None:
            raise OSError(EBADF, os.strerror(EBADF))
        return handle

    def release(self, fh: int) -> None:
        """The kernel does not use this handle any more. Errors: EBADF."""
        handle = self.handle(fh)
        del self._handles[fh], handle.node.handles[fh]
        self._files.clunk(handle.file)

    def close(self) -> None:
        """Clunk everything."""
        nodes, self._nodes = self._nodes, {}
        handles, self._handles = self._handles, {}
        for file in [handle.file for handle in handles.values()] + [node.file for node in nodes.values()]:
            self._files.clunk(file)


def _missing(node: Node, error: OSError) -> OSError:
    """The error with which a file is not there; of a name that the kernel believes, it is that of the name.

    Then Linux asks for all names on the way, and tries again.
    """
    return OSError(ESTALE, os.strerror(ESTALE)) if number(error) == ENOENT and _is_believed(node) else error


def _hungup(node: Node, error: OSError) -> OSError:
    """The error with which a directory has no such name; if the directory is no more, that of its own name.

    A synthetic one may be: another has its name then, as when the number of a session is used again.
    """
    return OSError(ESTALE, os.strerror(ESTALE)) if number(error) == EPIPE and _is_believed(node) else error


def _is_believed(node: Node) -> bool:
    """May the kernel have used the name of a file without asking whether it still is its name?"""
    return time.monotonic() < node.believed
