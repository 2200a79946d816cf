"""The engine and the model of its rules (`tests.kern.model`) answer alike, whatever one does.

Hypothesis drives both: it binds, mounts, unmounts, makes, removes, renames, changes directory, and looks, in
several processes, with names that are right, wrong, untidy or odd. After every step the answers are
compared, texts and classes of errors included, and so are the mount table and the current directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nsh.dev import TABLE
from nsh.kern.mnt import MAFTER, MBEFORE, MCACHE, MCREATE, MREPL
from nsh.kern.proc import RFCFDG, RFCNAMEG, RFNAMEG, Proc, System, current
from nsh.kern.stream import stream
from nsh.net.serve import Server
from nsh.p9.const import DMDIR, OEXCL, OREAD, OWRITE, QTDIR
from nsh.p9.stat import Dir, unpack_dirs
from tests.kern import model

LONG = "a-name-of-more-than-forty-two-bytes-is-cut-from-the-front"


class Route(NamedTuple):
    """A name that is found by going: from ``start`` on, each number chooses one of the names there."""

    start: str
    turns: list[int]
    end: str


Name = str | Route


def spell(m: model.Process, name: Name) -> str:
    """The name, as the model's process sees the world at this moment."""
    if isinstance(name, str):
        return name
    text = name.start
    for turn in name.turns:
        try:
            listed = m.look(text or ".")
        except OSError:
            break
        if not listed or isinstance(listed, str):
            break
        text += listed[turn % len(listed)][0] + "/"
    return (text.rstrip("/") or text) + name.end


elements = st.sampled_from(["a", "b", "c", "a", "b", "..", "f", "g", ".", "it's", LONG, "nosuch", "x\ty"])
starts = st.sampled_from(["/mnt/", "/mnt/", "/mnt/", "", "/", "/n/", "#Rw/", "#Rserved/"])
ends = st.sampled_from(["", "", "", "", "/", "/."])
typed = st.builds(
    lambda start, elems, end: start + "/".join(elems) + (end if elems else ""),
    starts,
    st.lists(elements, max_size=5),
    ends,
)
tails = st.sampled_from(["", "", "", "", "", "", "/..", "/new", "/it's", "/../a", "/"])
routes = st.builds(Route, starts, st.lists(st.integers(0, 11), max_size=4), tails)
directories = st.sampled_from(["/mnt/a", "/mnt/b", "/mnt/c", "/mnt/a/a", "/mnt"])
files = st.sampled_from(["/mnt/a/f", "/mnt/b/f"])
here = st.sampled_from([".", "..", "./a", "../c"])
names = directories | directories | files | routes | routes | typed
plain_names = st.sampled_from(["a", "b", "c", "f", "g", "it's", LONG])
flags = st.sampled_from(
    [
        MREPL,
        MBEFORE,
        MAFTER,
        MREPL | MCREATE,
        MBEFORE | MCREATE,
        MAFTER | MCREATE,
        MAFTER | MCACHE,
        MBEFORE | MAFTER,
        8,
    ]
)
unions = st.sampled_from([MREPL, MBEFORE, MAFTER, MBEFORE | MCREATE, MAFTER | MCREATE])
indices = st.integers(0, 2)


class Engine:
    """The real thing: a system in an event loop of its own, and the server that can be mounted."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.first = self.run(self._boot())

    async def _boot(self) -> Proc:
        p = await System(TABLE, eve="eve").boot()
        current.set(p)
        ours, theirs = await p.pipe()
        server = p.fork(RFCNAMEG | RFCFDG)
        root = await p.system.attach("R", "served")
        self.server = Server(server, root, stream(p.fgrp.get(theirs).incref()))
        p.close(theirs)
        self.connection = ours
        return p

    def run(self, work: Awaitable[Any]) -> Any:
        async def done() -> Any:
            return await work

        return self.loop.run_until_complete(done())

    def call(self, p: Proc, work: Callable[[], Awaitable[Any]]) -> Any:
        """The result of a system call of ``p``."""

        async def done() -> Any:
            current.set(p)
            return await work()

        return self.loop.run_until_complete(done())

    def end(self) -> None:
        """End everything that runs, and the loop."""

        async def done() -> None:
            for p in list(self.first.system.procs.values()):
                p.exit()
            me = asyncio.current_task()
            while rest := asyncio.all_tasks() - {me}:
                for task in rest:
                    task.cancel()
                await asyncio.wait(rest)

        self.loop.run_until_complete(done())
        self.loop.close()


async def look(p: Proc, name: str) -> str | list[tuple[str, bool]]:
    fd = await p.open(name, OREAD)
    try:
        data = await p.readall(fd)
        if not p.fgrp.get(fd).qid.type & QTDIR:
            return data.decode()
        return [(d.name, d.isdir) for d in unpack_dirs(data)]
    finally:
        p.close(fd)


async def create(p: Proc, name: str, directory: bool, exclusive: bool, text: str) -> None:
    mode = (OREAD if directory else OWRITE) | (OEXCL if exclusive else 0)
    fd = await p.create(name, mode, DMDIR | 0o777 if directory else 0o666)
    try:
        if not directory:
            await p.write(fd, text.encode())
    finally:
        p.close(fd)


class NameSpaces(RuleBasedStateMachine):
    """Does everything twice. A process is a pair: the real one and the model's."""

    @initialize()
    def world(self) -> None:
        self.engine = Engine()
        self.processes = [(self.engine.first, model.Process.first())]
        self.texts = 0
        self.files: dict[tuple[str, int, int], model.File] = {}
        self.keys: dict[model.File, tuple[str, int, int]] = {}
        for tree in ("#Rw", "#Rserved"):
            for directory in ("a", "b", "c", "a/a", "a/b", "b/a", "a/b/c", "it's"):
                self.create(0, f"{tree}/{directory}", True, False)
            for file in ("f", "a/f", "b/f", "b/g", "c/it's"):
                self.create(0, f"{tree}/{file}", False, False)
        self.bind(0, "#Rw", "/mnt", MREPL | MCREATE)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.end()

    def pair(self, number: int) -> tuple[Proc, model.Process]:
        return self.processes[number % len(self.processes)]

    def both(self, p: Proc, real: Callable[[], Awaitable[Any]], modelled: Callable[[], Any]) -> Any:
        """Do it in both; the answers, if there are any."""
        got = outcome(lambda: self.engine.call(p, real))
        want = outcome(modelled)
        if isinstance(got, Failure) or isinstance(want, Failure):
            assert got == want
            return None
        return got, want

    # --- what is done --------------------------------------------------------------------------

    @rule(number=indices, new=names, old=names, flag=flags)
    def bind(self, number: int, new: Name, old: Name, flag: int) -> None:
        p, m = self.pair(number)
        args = (spell(m, new), spell(m, old), flag)
        self.both(p, lambda: p.bind(*args), lambda: m.bind(*args))

    @rule(number=indices, new=directories, old=directories, flag=unions)
    def unite(self, number: int, new: Name, old: Name, flag: int) -> None:
        """A bind that succeeds, as a rule: unions grow, and are bound elsewhere as they are."""
        self.bind(number, new, old, flag)

    @rule(number=indices, old=names, flag=flags)
    def mount(self, number: int, old: Name, flag: int) -> None:
        p, m = self.pair(number)
        args = (spell(m, old), flag)
        self.both(p, lambda: p.mount(self.engine.connection, *args), lambda: m.mount(*args))

    @rule(number=indices, new=st.none() | names, old=names)
    def unmount(self, number: int, new: Name | None, old: Name) -> None:
        p, m = self.pair(number)
        args = (None if new is None else spell(m, new), spell(m, old))
        self.both(p, lambda: p.unmount(*args), lambda: m.unmount(*args))

    @rule(number=indices, choice=st.integers(0, 99), whole=st.booleans())
    def unmount_something(self, number: int, choice: int, whole: bool) -> None:
        """Unmount what is mounted, by the names that ns lists: a random name rarely is one of them."""
        _, m = self.pair(number)
        listed = list(m.mounts())
        if listed:
            _, new, old = listed[choice % len(listed)]
            self.unmount(number, None if whole or new == "#M" else new, old)

    @rule(number=indices, name=names, directory=st.booleans(), exclusive=st.booleans())
    def create(self, number: int, name: Name, directory: bool, exclusive: bool) -> None:
        p, m = self.pair(number)
        self.texts += 1
        args = (spell(m, name), directory, exclusive, f"text {self.texts}")
        self.both(p, lambda: create(p, *args), lambda: m.create(*args))

    @rule(number=indices, name=names)
    def remove(self, number: int, name: Name) -> None:
        p, m = self.pair(number)
        text = spell(m, name)
        self.both(p, lambda: p.remove(text), lambda: m.remove(text))

    @rule(number=indices, name=names, new=plain_names)
    def rename(self, number: int, name: Name, new: str) -> None:
        p, m = self.pair(number)
        text = spell(m, name)
        self.both(p, lambda: p.wstat(text, Dir.dont_touch(name=new)), lambda: m.rename(text, new))

    @rule(number=indices, name=names)
    def chdir(self, number: int, name: Name) -> None:
        p, m = self.pair(number)
        text = spell(m, name)
        self.both(p, lambda: p.chdir(text), lambda: m.chdir(text))

    @rule(number=indices, copy=st.booleans())
    def fork(self, number: int, copy: bool) -> None:
        """A process more, up to three."""
        if len(self.processes) < 3:
            p, m = self.pair(number)
            self.processes.append((p.fork(RFNAMEG if copy else 0), m.fork(copy)))

    @rule(number=indices, name=here)
    def lose_the_ground(self, number: int, name: Name) -> None:
        """Remove what one stands in, or make sure that one stands somewhere."""
        self.remove(number, name)
        self.stat(number, name)
        self.look(number, name)
        self.bind(number, name, "/mnt/c", MREPL)

    @rule(number=indices, name=names)
    def look(self, number: int, name: Name) -> None:
        p, m = self.pair(number)
        text = spell(m, name)
        answers = self.both(p, lambda: look(p, text), lambda: m.look(text))
        if answers is not None:
            assert answers[0] == answers[1]

    @rule(number=indices, name=names)
    def stat(self, number: int, name: Name) -> None:
        """Files are the same file, or not, in both."""
        p, m = self.pair(number)
        text = spell(m, name)
        answers = self.both(p, lambda: p.stat(text), lambda: m.stat(text))
        if answers is not None:
            d, file = answers
            assert (d.name, d.isdir) == (file.shown, file.node.directory)
            key = (chr(d.type), d.dev, d.qid.path)
            assert self.files.setdefault(key, file) == file
            assert self.keys.setdefault(file, key) == key

    # --- what can be seen at any time ----------------------------------------------------------

    @invariant()
    def mount_tables_and_directories_agree(self) -> None:
        for p, m in self.processes:
            listed = [(mt.flag, str(mt.to.path), str(head.covered.path)) for head, mt in p.pgrp.mounts()]
            assert listed == list(m.mounts())
            assert p.getwd() == str(m.dot)


class Failure(tuple[str, str]):
    """Class and text of an error."""


def outcome(work: Callable[[], Any]) -> Any:
    """What ``work`` returns, or how it fails."""
    try:
        return work()
    except OSError as e:
        return Failure((type(e).__name__, str(e)))


EXAMPLES, STEPS = 400, 50
"""Twenty thousand steps, which take some ten seconds."""
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""What is found is shown as it was found: with Phase.shrink it gets shorter, but that takes minutes."""

NameSpaces.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, phases=PHASES
)
TestNameSpaces = pytest.mark.limit(60)(NameSpaces.TestCase)
