"""Every device goes through the suite for devices: as it is, and as a client of an export sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from nsh.dev import TABLE
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import RFFDG, Proc, current
from nsh.net.dial import dial
from nsh.p9.const import ORDWR, OWRITE
from tests.conformance import check_files, check_tree
from tests.kern.world import make, world
from tests.net.peers import Host, quiet

TREES = {
    "cons": "#c",
    "env": "#e",
    "dup": "#d",
    "pipe": "#|",
    "prog": "#p",
    "srv": "#sboard",
    "ram": "#Rtree",
    "cmd": "#C",
    "indir": "#*ram!tree",
    "ip": "#I",
    "bin": "#B",
}


async def furnished() -> Proc:
    """A world in which each device has something to show."""
    p = await world("d/")
    p.egrp.set("x", b"value")
    await p.open("/mnt/d")
    p.close(await p.create("#sboard/posted", OWRITE))
    await make(p, "#Rtree/d/")
    await make(p, "#Rtree/d/f", "text")
    await p.open("#C/cmd/clone", ORDWR)
    await p.open("#I/tcp/clone", ORDWR)
    p.fork().start(_waits)
    return p


async def _waits(p: Proc) -> str:
    await asyncio.get_running_loop().create_future()
    return ""


async def end(p: Proc) -> None:
    for child in list(p.children):
        child.kill()
        await child.wait()
    p.exit()
    await quiet()


@asynccontextmanager
async def seen_from_afar(p: Proc, name: str = "/mnt") -> AsyncIterator[Proc]:
    """A process of another system, with the export of ``name`` on its /mnt."""
    host = await Host.start(p, name)
    q = await world()
    fd = q.fgrp.new(await dial(q.system, host.address))
    await q.mount(fd, "/mnt", MREPL | MCREATE)
    q.close(fd)
    yield q
    q.exit()
    await quiet()
    current.set(p)
    await host.stop()


@pytest.mark.parametrize("device", TREES)
async def test_it_conforms(device: str) -> None:
    p = await furnished()
    await p.bind(TREES[device], "/mnt", MREPL)
    # the descriptors of the one who looks come and go; #d shows those of the process that it looks for
    await check_tree(p.fork(RFFDG), "/mnt")
    await end(p)


async def test_each_conforms_where_all_are_behind_one_export() -> None:
    p = await furnished()
    for device, tree in TREES.items():
        await make(p, f"/mnt/{device}/")
        await p.bind(tree, f"/mnt/{device}", MREPL)
    async with seen_from_afar(p) as q:
        for device in TREES:
            await check_tree(q, f"/mnt/{device}")
    await end(p)


async def test_root_conforms_here_and_through_an_export() -> None:
    p = await world()
    await p.unmount(None, "/mnt")
    await check_tree(p, "/")
    async with seen_from_afar(p, "/") as q:
        await check_tree(q, "/mnt")


async def test_mntgen_conforms_below_its_root() -> None:
    """At its root there is no name that does not exist."""
    p = await world()
    await p.bind("#m", "/n", MREPL)
    await p.chdir("/n/place")
    await check_tree(p, "/n/place")


@pytest.mark.parametrize("device", ["ram", "host"])
async def test_files_can_be_kept_through_an_export(device: str, tmp_path: Path) -> None:
    p = await world()
    await p.bind("#Rtree" if device == "ram" else f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        await check_files(q, "/mnt")


@pytest.mark.parametrize("letter", TABLE)
async def test_it_has_a_manual_page(letter: str) -> None:
    p = await world()
    name = p.system.device(letter).name
    page = (files("nsh") / "man" / f"{name}.3").read_text()
    assert f"\n{name} \\- " in page
    assert "\n.SH BUGS\n" in page
