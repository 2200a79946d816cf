"""The recipe of a name space: the commands that make it, as ns(1) prints them and namespace(6) reads them.

There is a line for each member of each mount point, in the order of mounting, as Inferno prints them: the
name that the member was bound by, and the name that was bound onto. But a name need not mean any more what
it meant: something was mounted on the way since, or something on the way was unmounted. So the
commands are gone through here as they will be, and where a name would lead elsewhere another one is found
for the file:

* the name in its device, ``#U/usr``, which no mount can change;
* a name through another mount point that shows the file, or a directory above it;
* for the source of a bind, ``bind -u``: the file under what is mounted there.

No file is asked for anything, so this neither waits nor fails. A line about the tree of a server at the end
of a pipe, which cannot be had again, is left as Inferno prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from nsh import errors
from nsh.kern.chan import Chan, Key, Path
from nsh.kern.dev import Directory
from nsh.kern.mnt import MAFTER, MBEFORE, MCACHE, MCREATE, MORDER, Mhead, Mount
from nsh.kern.proc import Proc

_LETTERS = ((MAFTER, "a"), (MBEFORE, "b"), (MCREATE, "c"), (MCACHE, "C"))
_SPECIAL = frozenset(" \t\n'\\$#;&|^`{}()<>*?[]")

Origin: TypeAlias = "tuple[str | Path, tuple[str, ...]]"
"""Where a file is, apart from all mounts: the root of its tree, and the way from there."""


def recipe(p: Proc, raw: bool = False) -> list[str]:
    """The lines that make the name space of ``p``, the last one a cd. ``raw``: servers by their files."""
    lines = [" ".join(map(quote, words)) for words in _Cook(p, raw).commands()]
    return [*lines, f"cd {quote(p.getwd())}"]


def quote(word: str) -> str:
    """``word``, quoted if rc or namespace(6) would not read it as it stands."""
    if word and not _SPECIAL & set(word):
        return word
    return "'" + word.replace("'", "''") + "'"


class Step(NamedTuple):
    """A member to be put into a mount point. ``order``: its place among all the steps."""

    order: int
    head: Mhead
    mount: Mount
    flag: int


def as_made(head: Mhead) -> list[Step]:
    """The binds by which the members of a mount point came there."""
    return [Step(m.id, head, m, m.flag) for m in sorted(head.mounts, key=lambda m: m.id)]


def steps(head: Mhead) -> list[Step]:
    """The steps that make a mount point: the binds as they were made, if these still give the same."""
    made = as_made(head)
    if _result(made) == list(head.mounts):
        return made
    first = next((i for i, m in enumerate(head.mounts) if m.to.same(head.covered)), 0)
    again = [(head.mounts[first], 0)]
    again += [(m, MBEFORE) for m in reversed(head.mounts[:first])]
    again += [(m, MAFTER) for m in head.mounts[first + 1 :]]
    return [
        Step(step.order, head, m, m.flag & ~MORDER | order)
        for step, (m, order) in zip(made, again, strict=True)
    ]


def _result(made: list[Step]) -> list[Mount] | None:
    """The members after these steps where nothing was mounted before; None if others would join them."""
    if made[0].flag & MORDER:
        return None
    members: list[Mount] = []
    for step in made:
        members = _with(members, step)
    return members


def _with(members: list[Mount], step: Step) -> list[Mount]:
    order = step.flag & MORDER
    if not order:
        return [step.mount]
    return [step.mount, *members] if order == MBEFORE else [*members, step.mount]


class _Cook:
    """Goes through the steps of a name space, and knows at each what has been made so far."""

    def __init__(self, p: Proc, raw: bool) -> None:
        self._system = p.system
        self._raw = raw
        self._heads = {head.covered.key: head for head, _ in p.pgrp.mounts()}
        self._pipes = {m.to.path for head in self._heads.values() for m in head.mounts if _piped(m.to)}
        self._made: dict[Key, list[Mount]] = {}
        self._places: dict[Origin, Key] = {}
        self._called: dict[Key, str] = {}

    def commands(self) -> Iterator[list[str]]:
        """The commands as words."""
        todo: list[Step] = []
        for head in self._heads.values():
            todo += as_made(head) if self._lost(head.covered.path) else steps(head)
        for step in sorted(todo, key=lambda step: step.order):
            yield self._command(step)
            self._make(step)

    def _command(self, step: Step) -> list[str]:
        mount = step.mount
        letters = "".join(letter for bit, letter in _LETTERS if step.flag & bit)
        target = self._target(step.head.covered)
        if str(mount.to.path) == "#M" and mount.to.mchan is not None:
            return self._mount(mount, mount.to.mchan, letters, target)
        source = str(mount.to.path)
        if not self._lost(mount.to.path) and not self._lost(step.head.covered.path):
            source, under = self._source(mount.to)
            letters += "u" if under else ""
        return ["bind", *([f"-{letters}"] if letters else []), source, target]

    def _mount(self, mount: Mount, connection: Chan, letters: str, target: str) -> list[str]:
        """How a server is mounted again; the spec matters only where that is possible."""
        again = None if self._raw else self._again(connection)
        options, source = again or ("", str(connection.path))
        letters = options + letters
        spec = [mount.spec] if mount.spec and not self._raw and not _piped(mount.to) else []
        return ["mount", *([f"-{letters}"] if letters else []), source, target, *spec]

    def _again(self, connection: Chan) -> tuple[str, str] | None:
        """Device.redial; of a connection that another machine made, with the network that is there."""
        dialled = self._system.dialled.get(connection)
        if dialled is None:
            return connection.dev.redial(connection)
        network = next(self._names(dialled.network), str(dialled.network))
        if "!" in network or self._lost(dialled.network):
            return None  # that is no address, or it leads nowhere
        return dialled.options, f"{network.removeprefix('/net/')}!{dialled.where}"

    def _make(self, step: Step) -> None:
        """What a name space is like after this step."""
        key = step.head.covered.key
        self._made[key] = _with(self._made.get(key, []), step)
        self._places[self._origin(step.head.covered.path)] = key

    # --- names ---------------------------------------------------------------------------------

    def _source(self, c: Chan) -> tuple[str, bool]:
        """A name for what is to be bound, and whether it must be found under a mount."""
        name = next(self._names(c.path), str(c.path))
        return name, c.key in self._made and not name.startswith("#")

    def _target(self, c: Chan) -> str:
        """A name for what is to be bound onto; the same for all members, if it can be."""
        if self._lost(c.path):
            return str(c.path)
        names = self._names(c.path)
        first = next(names, str(c.path))
        usual = self._called.setdefault(c.key, first)
        return usual if usual == first or usual in names else first

    def _names(self, path: Path) -> Iterator[str]:
        """The names that lead to a file in what has been made, the one that was used first of all."""
        name = str(path)
        origin = self._origin(path)
        if not name.startswith("#") and self._leads(path):
            yield name
        short = self._from_the_root(origin)
        if short is not None:
            yield short
        root, elems = origin
        if isinstance(root, str):
            yield "/".join([root, *elems])
        elif name.startswith("#"):
            yield name
        yield from self._through_mounts(origin)

    def _leads(self, path: Path) -> bool:
        """Does the name that was used lead to the same file? It must go on in the same members."""
        node = path
        while node.parent is not None:
            node = node.parent
            if not self._goes_on(node):
                return False
        return True

    def _goes_on(self, node: Path) -> bool:
        """Does the way through this element go on where it did?

        At a mount point, members in front of the one that it went on in were asked before it, and did
        not have the name. Those that were mounted later might have it.
        """
        here = self._origin(node)
        via = here if node.via is None else self._origin(node.via)
        key = self._places.get(here)
        if key is None:
            return via == here
        for mount in self._made[key]:
            if self._origin(mount.to.path) == via:
                return True
            if node.via is None or mount.id > node.when:
                return False
        return False

    def _from_the_root(self, origin: Origin) -> str | None:
        """The name without ``#U`` or ``#/``, where the root shows that tree, and no other file first."""
        root, elems = origin
        key = self._places.get(("#/", ()))
        if root not in ("#U", "#/") or not elems or key is None or self._obstructed(origin):
            return None
        for mount in self._made[key]:
            if self._origin(mount.to.path) == (root, ()):
                return "/" + "/".join(elems)
            if not isinstance(mount.to.aux, Directory):
                return None
            try:
                mount.to.aux.lookup(elems[0])
            except errors.Enonexist:
                continue
            return None
        return None

    def _obstructed(self, origin: Origin, above: int = 0) -> bool:
        """Does a mount on the way to this file, below its first ``above`` elements, show another?"""
        root, elems = origin
        ways = ((root, elems[:n]) for n in range(above + 1, len(elems)))
        keys = ((way, self._places.get(way)) for way in ways)
        return any(key is not None and self._shown(key) != way for way, key in keys)

    def _shown(self, key: Key) -> Origin:
        """What is seen first at a mount point."""
        return self._origin(self._made[key][0].to.path)

    def _through_mounts(self, origin: Origin) -> Iterator[str]:
        """Names that begin with a mount point that shows the file, or a directory above it."""
        root, elems = origin
        for key in self._made:
            shown, above = self._shown(key)
            covered = self._heads[key].covered
            if shown != root or above != elems[: len(above)] or len(above) == len(elems):
                continue
            if str(covered.path).startswith("#"):
                continue  # such a name passes by all mounts
            if self._leads(covered.path) and not self._obstructed(origin, len(above)):
                yield "/".join([str(covered.path).rstrip("/"), *elems[len(above) :]])

    def _origin(self, path: Path) -> Origin:
        elems: list[str] = []
        node = path
        while node.parent is not None:
            elems.append(node.elem)
            node = node.parent.via or node.parent
        root: str | Path = "#/" if node.elem == "/" else node.elem
        return (node if self._is_fresh(node.elem) else root), tuple(reversed(elems))

    def _is_fresh(self, root: str) -> bool:
        """Is this the name of a tree that nobody can have again by saying it?"""
        return root == "#M" or (len(root) == 2 and self._system.device(root[1]).fresh)

    def _lost(self, path: Path) -> bool:
        """Is the file in the tree of a server that cannot be mounted again?"""
        return self._origin(path)[0] in self._pipes


def _piped(c: Chan) -> bool:
    """Is this the root of a server at the end of a pipe?"""
    return c.path.elem == "#M" and c.mchan is not None and str(c.mchan.path).startswith("#|")
