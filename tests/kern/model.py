"""The rules of the name space, once more, in the fewest words: what the engine is compared with.

Nothing here is fast, asynchronous or shared with the engine but the names of its errors and flags. A file
is a node of a tree; a `Place` is what a name leads to, remembered as all the files on the way there; a name
space is a dictionary from files to lists of members. Each method of `Process` is a system call and
answers what that should answer, or raises the error that it should raise.

The trees are those of the test's world: `#/`, which nobody can change, memfs trees, and the same served
over 9P, where every mount is an attach, and every attach makes other files of the same nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from nsh import errors
from nsh.kern.mnt import MAFTER, MBEFORE, MCACHE, MCREATE

_number = itertools.count(1).__next__


class Node:
    """A file or directory. ``fixed``: of `#/`. Without a parent it was removed; a root is its own."""

    def __init__(self, name: str, parent: Node | None, directory: bool, fixed: bool = False) -> None:
        self.name, self.directory, self.fixed = name, directory, fixed
        self.parent = parent or self
        self.born = _number()
        self.gone = False
        self.text = ""
        self.children: dict[str, Node] = {}

    def make(self, name: str, directory: bool = True) -> Node:
        node = self.children[name] = Node(name, self, directory, self.fixed)
        return node

    def listing(self) -> list[tuple[str, bool]]:
        """What reading the directory gives; a memfs has the newest first."""
        nodes = sorted(self.children.values(), key=lambda node: node.born, reverse=not self.fixed)
        return [(node.name, node.directory) for node in nodes]


class File(NamedTuple):
    """A node as seen in a tree: two attaches to one server are two trees."""

    tree: str
    node: Node

    @property
    def shown(self) -> str:
        """The name in stat: a server's root is called ``/``."""
        return "/" if self.tree.startswith("M") and self.node.parent is self.node else self.node.name

    def lost(self) -> type[errors.P9Error]:
        """Why a name is not found here: a server says so when already the directory is gone."""
        return errors.Ecloned if self.tree.startswith("M") and self.node.gone else errors.Enonexist


class Member(NamedTuple):
    """A member of a mount point. ``name``: how it was come by."""

    file: File
    flag: int
    name: str
    order: int


class Head(NamedTuple):
    """A mount point: the name under which it became one, and its members."""

    name: str
    members: list[Member]


Table = dict[File, Head]


class Place(NamedTuple):
    """What a name leads to: the covered file at each element, from the start (``/``, ``#...``) on."""

    start: str
    elems: tuple[str, ...]
    files: tuple[File, ...]
    crossed: tuple[bool, ...]  # was the way on from each of these through a mount?

    @property
    def file(self) -> File:
        return self.files[-1]

    def down(self, elem: str, file: File, crossed: bool) -> Place:
        return Place(self.start, (*self.elems, elem), (*self.files, file), (*self.crossed, crossed))

    def up(self) -> Place:
        if not self.elems:
            return self
        return Place(self.start, self.elems[:-1], self.files[:-1], self.crossed[:-1])

    def __str__(self) -> str:
        if not self.elems:
            return self.start
        return "/".join([self.start.rstrip("/"), *self.elems])


class Missing(Exception):
    """A walk failed at an element, for a reason."""

    def __init__(self, reason: type[errors.P9Error], at: int) -> None:
        self.reason, self.at = reason, at


def explain(name: str, reason: type[errors.P9Error], end: int) -> errors.P9Error:
    """The error with the part of the name that was reached; a third of 128 bytes is too long for it."""
    reached = name[:end]
    if len(reached.encode()) >= 42 and "/" in reached[1:]:
        reached = "..." + reached[reached.rindex("/") :]
    quoted = reached.replace("'", "''")
    return reason(f"'{quoted}' {reason.text}")


def split(name: str) -> tuple[str, list[tuple[str, int]], bool]:
    """Where a name starts, its elements with their ends, and whether it must be a directory."""
    if not name:
        raise errors.Eemptyname()
    if "\t" in name:
        doubled = name.replace("'", "''")
        raise errors.Ebadchar(f"bad character in file name: '{doubled}'")
    start = name.split("/")[0] if name[0] == "#" else name[0] if name[0] == "/" else "."
    at = len(start) if name[0] == "#" else 0
    elems = []
    elem = ""
    for elem in name[at:].split("/"):
        at += len(elem)
        if elem not in ("", "."):
            elems.append((elem, at))
        at += 1
    return start, elems, elem in ("", ".")


class World:
    """The trees, and how often the server was attached to."""

    def __init__(self) -> None:
        self.root = Node("/", None, True, fixed=True)
        for name in ("bin", "dev", "env", "fd", "mnt", "n", "net", "prog", "remote", "srv", "task"):
            self.root.make(name)
        self.trees = {"#Rw": Node("memfs", None, True), "#Rserved": Node("memfs", None, True)}
        self.attaches = 0
        self.mounts = itertools.count(1)


class Process:
    """A process: its name space, which it may share, and where it stands."""

    def __init__(self, world: World, table: Table, dot: Place) -> None:
        self.world, self.table, self.dot = world, table, dot

    @classmethod
    def first(cls) -> Process:
        world = World()
        return cls(world, {}, Place("/", (), (File("/", world.root),), (False,)))

    def fork(self, copy: bool) -> Process:
        """A process with a copy of the name space, or with the same one."""
        return Process(self.world, dict(self.table) if copy else self.table, self.dot)

    # --- names ---------------------------------------------------------------------------------

    def start(self, start: str) -> tuple[Place, Table]:
        """Where a name starts; names of devices see no mounts."""
        if start == ".":
            return self.dot, self.table
        if start == "/":
            return Place("/", (), (File("/", self.world.root),), (False,)), self.table
        return Place(start, (), (File(start, self.world.trees[start]),), (False,)), {}

    def walk(self, place: Place, elems: list[str], table: Table) -> Place:
        """Step by step; the text for a missing name depends on its place in its walk message."""
        sent = 0
        for i, elem in enumerate(elems):
            here = place.file
            if not here.node.directory:
                raise Missing(errors.Enotdir, i - 1)
            if elem == "..":
                crossed = len(place.elems) > 0 and place.crossed[-1]
                if here.node.gone and not crossed:
                    raise Missing(here.lost(), i)
                place = place.up()
                sent = 0
                continue
            head = table.get(here)
            if head is not None or sent == 16:
                sent = 0
            choices = [member.file for member in head.members] if head else [here]
            found = next((c for c in choices if not c.node.gone and elem in c.node.children), None)
            if found is None:
                raise Missing(errors.Edoesnotexist if sent else choices[-1].lost(), i)
            place = place.down(elem, File(found.tree, found.node.children[elem]), head is not None)
            sent += 1
        return place

    def resolve(self, name: str, last: bool = True) -> tuple[Place, Table]:
        """The place that a name leads to, or (``last`` false) the directory of its last element."""
        start, elems, mustbedir = split(name)
        words = [elem for elem, _ in elems]
        place, table = self.start(start)
        try:
            place = self.walk(place, words if last else words[:-1], table)
        except Missing as e:
            raise explain(name, e.reason, elems[e.at][1] if e.at >= 0 else len(start)) from None
        if last and not elems and place.file.node.gone:
            raise errors.Ecloned()
        if last and mustbedir and elems and not place.file.node.directory:
            raise explain(name, errors.Enotdir, elems[-1][1])
        return place, table

    def seen(self, place: Place, table: Table) -> File:
        """What is seen at a place: the first member of its mount."""
        head = table.get(place.file)
        return head.members[0].file if head else place.file

    def opened(self, name: str) -> tuple[File, list[File]]:
        """The file that opening gives, and all members if it is a union."""
        place, table = self.resolve(name)
        file = self.seen(place, table)
        if file.node.gone:
            raise errors.Ecloned()
        head = table.get(place.file)
        return file, [member.file for member in head.members] if head else [file]

    # --- the system calls ----------------------------------------------------------------------

    def look(self, name: str) -> str | list[tuple[str, bool]]:
        """What a file holds, or what a directory lists: every member, nothing merged or left out."""
        file, members = self.opened(name)
        if not file.node.directory:
            return file.node.text
        return [entry for member in members if not member.node.gone for entry in member.node.listing()]

    def stat(self, name: str) -> File:
        place, table = self.resolve(name)
        return self._there(self.seen(place, table))

    def chdir(self, name: str) -> None:
        place, _ = self.resolve(name)
        if not place.file.node.directory:
            raise errors.Enotdir()
        self.dot = place

    def bind(self, new: str, old: str, flag: int) -> None:
        place, table = self.resolve(new)
        head = table.get(place.file)
        target, _ = self.resolve(old)
        if head is None:
            self._mount(place.file, str(place), (), target, flag)
        else:
            first, *others = head.members
            if flag & MCREATE and (others or not first.flag & MCREATE):
                flag |= _UNCREATABLE
            self._mount(first.file, first.name, tuple(others), target, flag)

    def mount(self, old: str, flag: int) -> None:
        """Mount the server."""
        self.world.attaches += 1
        tree = f"M{self.world.attaches}"
        target, _ = self.resolve(old)
        self._mount(File(tree, self.world.trees["#Rserved"]), "#M", (), target, flag)

    def _mount(self, new: File, name: str, carried: tuple[Member, ...], place: Place, flag: int) -> None:
        asked = flag & ~_UNCREATABLE
        order = asked & (MBEFORE | MAFTER)
        if asked & ~(MBEFORE | MAFTER | MCREATE | MCACHE) or order == MBEFORE | MAFTER:
            raise errors.Ebadarg()
        old = place.file
        if new.node.directory != old.node.directory or (order and not old.node.directory):
            raise errors.Emount()
        if flag & _UNCREATABLE:
            raise errors.Emount()
        head = self.table.get(old)
        was = head.members if head else []
        if order and head is None:
            was = [Member(old, 0, str(place), next(self.world.mounts))]
        added = [Member(new, asked, name, next(self.world.mounts))]
        for member in carried:
            number = next(self.world.mounts)
            added.append(Member(member.file, order or MAFTER, member.name, number))
        members = {0: added, MBEFORE: added + was, MAFTER: was + added}[order]
        self.table[old] = Head(head.name if head else str(place), members)

    def unmount(self, new: str | None, old: str) -> None:
        place, _ = self.resolve(old)
        source = self.opened(new)[0] if new is not None else None
        head = self.table.get(place.file)
        if head is None:
            raise errors.Eunmount()
        left = list(head.members)
        if source is None:
            left = []
        else:
            which = next((m for m in left if m.file == source), None)
            if which is None:
                raise errors.Eunion()
            left.remove(which)
        del self.table[place.file]
        if left:
            self.table[place.file] = Head(head.name, left)

    def create(self, name: str, directory: bool, exclusive: bool, text: str) -> None:
        """Make a file that holds ``text``, or a directory; a file that is there is written anew."""
        _, elems, mustbedir = split(name)
        if mustbedir and not directory:
            raise explain(name, errors.Ecreatedir, elems[-1][1] if elems else len(name))
        if not elems:
            raise errors.Eexist()
        parent, table = self.resolve(name, last=False)
        last = elems[-1][0]
        try:
            place = self.walk(parent, [last], table)
        except Missing:
            self._make(parent, table, last, directory, text)
            return
        if exclusive:
            raise errors.Eexist()
        file = self.seen(place, table)
        if file.node.gone:
            raise errors.Ecloned()
        if file.node.directory:
            raise errors.Eperm()
        file.node.text = "" if directory else text

    def _make(self, parent: Place, table: Table, name: str, directory: bool, text: str) -> None:
        file = parent.file
        if not file.node.directory:
            raise errors.Enotdir()
        head = table.get(file)
        if head is not None:
            able = [member.file for member in head.members if member.flag & MCREATE]
            if not able:
                raise errors.Enocreate()
            file = able[0]
        if file.node.gone:
            raise errors.Ecloned()
        if file.node.fixed:
            raise errors.Eperm()
        if name in file.node.children:
            raise errors.Eexist()
        file.node.make(name, directory).text = "" if directory else text

    def remove(self, name: str) -> None:
        place, table = self.resolve(name)
        if table.get(place.file) is not None and self.seen(place, table).node.gone:
            raise errors.Ecloned()
        node = self._changed(name)
        if node.children:
            raise errors.Enotempty()
        if node.parent is node:
            raise errors.P9Error("root directory")
        del node.parent.children[node.name]
        node.gone = True

    def rename(self, name: str, new: str) -> None:
        node = self._changed(name)
        if node.name == new:
            return
        if node.parent is node:
            raise errors.Eperm()
        if new in node.parent.children:
            raise errors.Eexist()
        del node.parent.children[node.name]
        node.name = new
        node.parent.children[new] = node

    def _changed(self, name: str) -> Node:
        """The node that removing or renaming ``name`` is about: of a mount point, what is mounted."""
        place, table = self.resolve(name)
        node = self._there(self.seen(place, table)).node
        if node.fixed:
            raise errors.Eperm()
        return node

    def _there(self, file: File) -> File:
        if file.node.gone:
            raise errors.Enonexist()
        return file

    def mounts(self) -> Iterator[tuple[int, str, str]]:
        """What ns lists: flags, source and target, in the order in which it was mounted."""
        pairs = [(m.order, m.flag, m.name, head.name) for head in self.table.values() for m in head.members]
        return ((flag, name, target) for _, flag, name, target in sorted(pairs))


_UNCREATABLE = 1 << 20
"""Marks a bind that asks for creation in what does not allow it, until the flags have been looked at."""
