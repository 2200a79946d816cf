"""What processes share: name space, environment, descriptors, the current directory; rfork(2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nsh import errors
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import (
    RFCENVG,
    RFCFDG,
    RFCNAMEG,
    RFENVG,
    RFFDG,
    RFNAMEG,
    RFNOMNT,
    RFNOTEG,
    Proc,
)
from nsh.kern.stream import stream
from nsh.net.serve import Server
from nsh.p9.const import DMDIR, OREAD
from tests.kern.world import content, failure, listing, make, world


async def test_a_name_space_is_shared_until_it_is_copied() -> None:
    p = await world("a/", "a/f", "b/", "c/")
    sharing, copying = p.fork(), p.fork(RFNAMEG)
    await sharing.bind("/mnt/a", "/mnt/b", MREPL)
    await copying.bind("/mnt/a", "/mnt/c", MREPL)
    for q, b, c in ((p, ["f"], []), (sharing, ["f"], []), (copying, [], ["f"])):
        assert (await listing(q, "/mnt/b"), await listing(q, "/mnt/c")) == (b, c)
        if q is not p:
            q.exit()


async def test_a_process_that_forks_its_own_name_space_leaves_the_others_theirs() -> None:
    p = await world("a/", "a/f", "b/")
    q = p.fork()
    await p.bind("/mnt/a", "/mnt/b", MREPL)
    q.rfork(RFNAMEG)
    await q.unmount(None, "/mnt/b")
    assert (await listing(p, "/mnt/b"), await listing(q, "/mnt/b")) == (["f"], [])
    q.exit()


async def test_a_clean_name_space_has_the_bare_root_and_the_old_current_directory() -> None:
    p = await world("a/", "a/f")
    await p.chdir("/mnt/a")
    q = p.fork(RFCNAMEG)
    assert len(q.pgrp) == 0 and await listing(q, "/mnt") == []
    assert q.getwd() == "/mnt/a" and await content(q, "f") == "f"
    await q.bind("#R", "/mnt", MREPL | MCREATE)
    assert await listing(p, "/mnt") == ["a"]
    q.exit()


async def test_open_files_and_directories_outlive_the_name_space_they_came_from() -> None:
    p = await world("a/", "a/f")
    await p.chdir("/mnt/a")
    fd = await p.open("/mnt/a/f")
    p.rfork(RFCNAMEG)
    assert await p.read(fd) == b"f"
    await make(p, "./g")
    assert await content(p, "g") == "g"
    p.close(fd)


async def test_an_environment_can_be_empty() -> None:
    p = await world()
    p.egrp.set("x", b"1")
    q = p.fork(RFCENVG)
    q.egrp.set("y", b"2")
    assert (list(p.egrp), list(q.egrp)) == (["x"], ["y"])
    q.exit()


async def test_the_same_cannot_be_copied_and_empty() -> None:
    p = await world()
    for both in (RFNAMEG | RFCNAMEG, RFENVG | RFCENVG, RFFDG | RFCFDG):
        with pytest.raises(errors.Ebadarg):
            p.fork(both)
        with pytest.raises(errors.Ebadarg):
            p.rfork(both)
    assert list(p.system.procs.values()) == [p]


async def test_the_current_directory_is_each_process_s_own_whatever_else_is_shared() -> None:
    p = await world("a/", "b/")
    await p.chdir("/mnt/a")
    q = p.fork()
    await q.chdir("../b")
    assert (p.getwd(), q.getwd()) == ("/mnt/a", "/mnt/b")
    q.exit()


async def test_the_current_directory_stays_when_it_is_removed_or_covered() -> None:
    p = await world("a/", "b/", "b/f")
    await p.chdir("/mnt/a")
    await p.bind("/mnt/b", "/mnt/a", MREPL)
    assert await listing(p, ".") == ["f"], "one stands on the covered side"
    await p.unmount(None, "/mnt/a")
    await p.remove("/mnt/a")
    assert p.getwd() == "/mnt/a"
    await p.chdir("..")
    assert p.getwd() == "/mnt"


# --- RFNOMNT -----------------------------------------------------------------------------------


async def nomnt() -> Proc:
    p = await world("a/")
    p.rfork(RFNOMNT)
    return p


@pytest.mark.parametrize("name", ["#c", "#p", "#U", "#I", "#m", "#R", "#sposted", "#M", "#/"])
async def test_without_mounts_there_are_no_devices_by_name(name: str) -> None:
    p = await nomnt()
    assert await failure(p.stat(name)) == "mount/attach disallowed"
    assert await failure(p.bind(name, "/mnt/a", MREPL)) == "mount/attach disallowed"


@pytest.mark.parametrize("name", ["#|", "#e", "#s", "#d"])
async def test_without_mounts_the_harmless_devices_remain(name: str) -> None:
    p = await nomnt()
    assert (await p.stat(name)).isdir
    await p.bind(name, "/mnt/a", MREPL)


async def test_without_mounts_what_is_bound_stays_and_can_be_bound_elsewhere() -> None:
    p = await nomnt()
    await make(p, "/mnt/a/f")
    p.close(await p.create("/mnt/b", OREAD, DMDIR | 0o777))
    await p.bind("/mnt/a", "/mnt/b", MREPL)
    assert await listing(p, "/mnt/b") == ["f"]
    one, other = await p.pipe()
    assert await failure(p.mount(one, "/mnt/a", MREPL)) == "mount/attach disallowed"
    p.close(one)
    p.close(other)


FORKS: list[Callable[[Proc], None]] = [
    lambda q: q.rfork(RFNAMEG),
    lambda q: q.rfork(RFCNAMEG),
    lambda q: q.rfork(RFNOTEG),
]


@pytest.mark.parametrize("fork", FORKS, ids=["copy", "clean", "leader"])
async def test_nothing_undoes_it(fork: Callable[[Proc], None]) -> None:
    p = await nomnt()
    q = p.fork()
    fork(q)
    assert await failure(q.stat("#c")) == "mount/attach disallowed"
    q.exit()


async def test_it_is_the_group_s_so_who_wants_it_alone_copies_first() -> None:
    p = await world()
    q = p.fork(RFNAMEG | RFNOMNT)
    assert (await p.stat("#c")).isdir
    assert await failure(q.stat("#c")) == "mount/attach disallowed"
    shared = p.fork(RFNOMNT)
    assert await failure(p.stat("#c")) == "mount/attach disallowed"
    for child in (q, shared):
        child.exit()


async def test_a_descriptor_table_can_be_left_behind() -> None:
    """RFFDG and RFCFDG without a new process: what others had in common with us they keep."""
    p = await world("f")
    fd = await p.open("/mnt/f")
    q = p.fork()
    q.rfork(RFFDG)
    q.close(fd)
    assert await p.read(fd) == b"f"
    q.rfork(RFCFDG)
    assert q.fgrp.items() == []
    q.exit()
    p.close(fd)


async def test_a_name_space_that_nobody_uses_any_more_lets_go_of_its_servers() -> None:
    p = await world("a/", "a/f", "b/")
    q = p.fork(RFNAMEG | RFCFDG)
    ours, theirs = await q.pipe()
    server = Server(p, await namec(p, "/mnt/a", Access.TODIR), stream(q.fgrp.get(theirs).incref()))
    await q.mount(ours, "/mnt/b", MREPL)
    q.close(ours)
    q.close(theirs)
    assert (await listing(q, "/mnt/b"), await listing(p, "/mnt/b")) == (["f"], [])
    q.exit()  # it may be remembered for long, by who has not waited for it
    await server.wait()


async def test_a_process_that_has_ended_stands_nowhere() -> None:
    p = await world("a/")
    await p.bind("#m", "/mnt/a", MREPL)
    q = p.fork()
    await q.chdir("/mnt/a/place")
    assert await listing(p, "/mnt/a") == ["place"]
    q.exit()
    assert await listing(p, "/mnt/a") == []
