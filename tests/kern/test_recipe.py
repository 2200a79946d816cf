"""What ns prints makes the same name space again, whatever was bound, covered, carried and unmounted.

The world of the property test is a directory of the host with odd names in it. Hypothesis binds and unmounts
there; then the recipe is read by `nsh.nsfile`, run in an empty name space, and the mount tables are
compared, file by file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsh import nsfile
from nsh.dev import TABLE
from nsh.kern.chan import Chan
from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE, MREPL
from nsh.kern.proc import RFCFDG, RFCNAMEG, RFNAMEG, Proc, System, current
from nsh.kern.recipe import recipe
from tests.kern.world import listing, world
from tests.net.peers import Host, command

TOPS = ("a", "b c", "it's", "#c")
ODD = ("$home", "-x", "'", ";|&", "grün", "\udcff", "{*}", "\\", "=", "~")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories with directories in them, which have the same names everywhere, and files."""
    top = tmp_path_factory.mktemp("tree")
    for name in TOPS:
        for below in TOPS:
            (top / name / below).mkdir(parents=True)
            (top / name / below / "f").write_text(name)
    for name in ODD:
        (top / name / "a").mkdir(parents=True)
    return top


async def hosted(top: Path) -> Proc:
    """A process that sees the host's files behind the built-in root, and stands in ``top``."""
    p = await System(TABLE, eve="eve").boot()
    current.set(p)
    await p.bind("#U", "/", MAFTER | MCREATE)
    await p.chdir(str(top))
    return p


def table(p: Proc) -> dict[object, list[tuple[object, int]]]:
    """The mount table: for each mount point its members, and which of them take new files."""
    heads = {head.covered.key: head for head, _ in p.pgrp.mounts()}
    return {
        _file(head.covered): [(_file(m.to), m.flag & MCREATE) for m in head.mounts] for head in heads.values()
    }


def _file(c: Chan) -> object:
    """Which file it is; the same server mounted again is the same."""
    return (c.aux.link.address, c.qid.path) if c.dev.letter == "M" else c.key


async def rebuilt(p: Proc) -> tuple[Proc, list[str]]:
    """A process for which the recipe of ``p`` was run in an empty name space, and what went wrong."""
    text = "".join(line + "\n" for line in recipe(p))
    q = p.fork(RFCNAMEG | RFCFDG)
    q.dot = q.slash
    told: list[str] = []

    async def tell(line: str) -> None:
        told.append(line)

    await nsfile.run(q, nsfile.parse(text, "ns", lambda name: None), tell)
    return q, told


# --- whatever was bound ------------------------------------------------------------------------


class Bind(NamedTuple):
    new: str
    old: str
    flag: int


class Unmount(NamedTuple):
    new: str | None
    old: str


first = st.sampled_from(TOPS[:3])
second = st.builds("{}/{}".format, first, first)
third = st.builds("{}/{}/{}".format, first, first, st.sampled_from([*TOPS, "f", "f"]))
others = st.sampled_from([*ODD, *TOPS, "=/a", "~/..", "#c/#c", "/", "#U", "#e", "/bin"])
names = first | second | second | third | others
orders = (MREPL, MBEFORE, MAFTER, MREPL | MCREATE, MBEFORE | MCREATE, MAFTER | MCREATE)
binds = st.builds(Bind, names, names, st.sampled_from(orders))
unmounts = st.builds(Unmount, st.none() | names, names)


async def carry_out(p: Proc, steps: Iterable[Bind | Unmount]) -> None:
    """Do what can be done."""
    for step in steps:
        try:
            if isinstance(step, Bind):
                if step.old not in ("/", "#U"):  # without the host's files there is nothing to compare
                    await p.bind(_relative(step.new), _relative(step.old), step.flag)
            elif step.old != "/":
                new = None if step.new is None else _relative(step.new)
                await p.unmount(new, _relative(step.old))
        except OSError:
            pass


def _relative(name: str) -> str:
    """One of the tree's names; there is one that looks like a device's."""
    return name if name.startswith("/") or name in ("#U", "#e") else f"./{name}"


@settings(max_examples=500)
@given(steps=st.lists(binds | binds | binds | unmounts, min_size=6, max_size=16))
def test_a_recipe_makes_the_same_name_space_again(tree: Path, steps: list[Bind | Unmount]) -> None:
    async def check() -> None:
        p = await hosted(tree)
        await carry_out(p, steps)
        q, told = await rebuilt(p)
        lines = recipe(p)
        assert told == [], lines
        assert table(q) == table(p), lines
        assert recipe(q) == lines
        assert q.getwd() == p.getwd()

    asyncio.run(check())


# --- each kind of line -------------------------------------------------------------------------


async def lines(p: Proc) -> list[str]:
    """The recipe without what all name spaces here begin with; it must make the same name space again."""
    q, told = await rebuilt(p)
    assert told == []
    assert table(q) == table(p)
    assert recipe(q) == recipe(p)
    assert recipe(p)[:2] == ["bind / /", "bind -ac '#U' /"]
    here = p.getwd() + "/"
    return [line.replace(f"#U{here}", "#U/.../").replace(here, "") for line in recipe(p)[2:-1]]


async def test_a_bound_union_is_listed_member_by_member(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("a/a", "a", MAFTER), Bind("a", "=", MREPL)])
    assert await lines(p) == ["bind a a", "bind -a a/a a", "bind -u a =", "bind -a a/a ="]


async def test_members_that_were_carried_to_the_front_keep_their_order(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("a/a", "a", MAFTER), Bind("~", "a", MAFTER), Bind("a", "=", MBEFORE)])
    assert (await lines(p))[3:] == ["bind = =", "bind -b ~ =", "bind -b a/a =", "bind -bu a ="]


async def test_a_member_that_is_put_in_front_early_does_not_catch_a_name(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("a", "a", MBEFORE), Bind("#c/a", "a/b c", MREPL)])
    await carry_out(p, [Bind("~", "=", MREPL), Bind("it's", "=", MAFTER), Bind("=", "a", MBEFORE)])
    assert "bind -b 'it''s' a" in (made := await lines(p))
    assert made.index("bind -b 'it''s' a") < made.index("bind '#c/a' '#U/.../a/b c'")


async def test_a_union_may_have_lost_the_directory_itself(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("~", "a", MAFTER | MCREATE), Unmount("a", "a")])
    assert await lines(p) == ["bind -c ~ a"]


async def test_a_name_through_what_was_unmounted_is_replaced(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("a", "=", MREPL), Bind("=/a", "~", MREPL), Bind("~", "=/b c", MREPL)])
    assert (await lines(p))[1:] == ["bind =/a ~", "bind =/a '=/b c'"]
    await carry_out(p, [Unmount(None, "=")])
    assert await lines(p) == ["bind a/a ~", "bind a/a 'a/b c'"]


async def test_a_name_that_something_was_mounted_on_since_is_that_of_the_device(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("a/a", "=", MREPL), Bind("~", "a", MREPL), Bind("=", "\\", MREPL)])
    assert await lines(p) == ["bind a/a =", "bind ~ a", "bind '#U/.../a/a' '\\'"]


async def test_a_device_file_of_the_host_is_named_from_the_root_where_that_is_the_same(tree: Path) -> None:
    p = await hosted(tree)
    await p.bind(f"#U{tree}/a", "=", MREPL)
    await p.bind(f"#U*{tree}/a", "a/a", MREPL)
    await p.bind("#//bin", "~", MREPL)
    assert await lines(p) == ["bind a =", "bind a a/a", "bind /bin ~"]


async def test_the_built_in_root_is_told_from_the_union_that_begins_with_it(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("/", "a", MREPL)])
    await p.bind("#/", "=", MREPL)
    assert await lines(p) == ["bind -u / a", "bind -a '#U' a", "bind '#/' ="]
    await p.bind(f"{tree}/~", "#//bin", MREPL)
    assert (await lines(p))[3:] == ["bind ~ /bin"]


async def test_a_name_of_a_device_leads_through_no_mount(tree: Path) -> None:
    p = await hosted(tree)
    await p.bind("#R", f"#U{tree}/a", MREPL | MCREATE)
    await p.chdir("/")
    assert recipe(p)[2] == f"bind -c '#R' {tree}/a"


async def test_names_in_a_server_lead_through_where_it_is_mounted(tree: Path) -> None:
    host = await Host.start(await world("d/", "d/e/", "d/e/f", "g/"))
    p = await hosted(tree)
    assert await command(p, "mount", "-A", host.address, "a", "some tree") == ("", "")
    await carry_out(p, [Bind("a", "=", MREPL), Bind("=/d", "~", MREPL), Bind("=/g", "=/d", MAFTER)])
    mount = f"mount {host.address}"
    assert await lines(p) == [
        f"{mount} a 'some tree'",
        f"{mount} = 'some tree'",
        "bind =/d ~",
        "bind =/d =/d",
        "bind -a =/g =/d",
    ]
    p.exit()
    await host.stop()


async def test_a_far_server_is_mounted_without_proof_if_it_was(tree: Path, tmp_path: Path) -> None:
    host_p, p = await world("f"), await hosted(tree)
    host_p.system.ndb = p.system.ndb = str(tmp_path / "ndb")
    host = await Host.start(host_p, address="tcp!192.0.2.7!6666")
    assert await command(p, "mount", "-Ac", "tcp!192.0.2.7!6666", "a") == ("", "")
    assert await lines(p) == ["mount -Ac tcp!192.0.2.7!6666 a"]
    q, _ = await rebuilt(p)
    assert await listing(q, f"{tree}/a") == ["f"]
    p.exit()
    await host.stop()


async def test_what_is_in_a_server_on_a_pipe_is_listed_as_it_was_bound() -> None:
    p = await world()
    await p.bind("#U", "/", MAFTER | MCREATE)
    assert await command(p, "memfs", "/n") == ("", "")
    for name in ("a", "a/b", "c"):
        await command(p, "mkdir", f"/n/{name}")
    await p.bind("/n/a", "/task", MREPL)
    await p.bind("/task/b", "/n/a", MBEFORE)
    await p.unmount(None, "/task")
    await p.bind("/", "/n/c", MREPL)
    assert recipe(p)[3:] == [
        "mount -c '#|/data' /n",
        "bind /n/a /n/a",
        "bind -b /task/b /n/a",
        "bind / /n/c",
        "bind -a '#U' /n/c",
        "cd /",
    ]


async def test_a_process_that_shares_the_table_has_the_same_recipe(tree: Path) -> None:
    p = await hosted(tree)
    await carry_out(p, [Bind("a", "=", MREPL)])
    assert recipe(p.fork(RFNAMEG)) == recipe(p)
