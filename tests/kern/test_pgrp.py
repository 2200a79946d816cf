"""The mount table: what bind and unmount do to it, who may create where, and what a fork shares."""

from __future__ import annotations

import pytest

from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE, MREPL
from nsh.kern.proc import RFCNAMEG, RFNAMEG, RFNOMNT, Proc
from tests.kern.world import content, failure, listing, make, world


async def members(p: Proc, name: str) -> list[str]:
    """The names by which the members of the mount point at ``name`` were bound, with their flags."""
    return [f"{m.flag}{m.to.path}" for h, m in p.pgrp.mounts() if str(h.covered.path) == name]


async def test_a_replacing_bind_does_not_stack() -> None:
    p = await world("a/", "b/", "m/", "m/orig")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    await p.bind("/mnt/b", "/mnt/m", MREPL)
    assert await members(p, "/mnt/m") == ["0/mnt/b"]
    await p.unmount(None, "/mnt/m")
    assert await listing(p, "/mnt/m") == ["orig"]


async def test_before_and_after_keep_the_original_in_the_union() -> None:
    p = await world("a/", "b/", "m/")
    await p.bind("/mnt/a", "/mnt/m", MBEFORE)
    await p.bind("/mnt/b", "/mnt/m", MAFTER)
    head = next(h for h, _ in p.pgrp.mounts() if str(h.covered.path) == "/mnt/m")
    assert [str(m.to.path) for m in head.mounts] == ["/mnt/a", "/mnt/m", "/mnt/b"]


async def test_a_file_and_a_directory_cannot_cover_each_other() -> None:
    p = await world("d/", "f", "g")
    assert await failure(p.bind("/mnt/d", "/mnt/f", MREPL)) == "inconsistent mount"
    assert await failure(p.bind("/mnt/f", "/mnt/d", MREPL)) == "inconsistent mount"
    assert await failure(p.bind("/mnt/f", "/mnt/g", MAFTER)) == "inconsistent mount"
    assert await failure(p.bind("/mnt/f", "/mnt/g", MBEFORE | MAFTER)) == "bad arg in system call"
    await p.bind("/mnt/f", "/mnt/g", MREPL | MCREATE)
    assert await content(p, "/mnt/g") == "f"


async def test_creation_goes_to_the_first_member_that_allows_it() -> None:
    p = await world("a/", "b/", "c/", "m/")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    assert await failure(make(p, "/mnt/m/x")) == "mounted directory forbids creation"
    await p.bind("/mnt/b", "/mnt/m", MAFTER | MCREATE)
    await p.bind("/mnt/c", "/mnt/m", MAFTER | MCREATE)
    await make(p, "/mnt/m/x")
    assert await listing(p, "/mnt/b") == ["x"]
    assert await listing(p, "/mnt/c") == []


async def test_a_union_without_c_takes_the_right_to_create_from_the_original() -> None:
    p = await world("a/", "m/", "m/sub/")
    await p.bind("/mnt/a", "/mnt/m", MAFTER)
    assert await failure(make(p, "/mnt/m/x")) == "mounted directory forbids creation"
    await make(p, "/mnt/m/sub/x")
    assert await listing(p, "/mnt/m/sub") == ["x"]


async def test_an_existing_name_is_written_where_it_is() -> None:
    p = await world("a/", "a/f", "b/", "m/")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    await p.bind("/mnt/b", "/mnt/m", MAFTER | MCREATE)
    await make(p, "/mnt/m/f", "new")
    assert await content(p, "/mnt/a/f") == "new"
    assert await listing(p, "/mnt/b") == []


async def test_a_bound_union_is_carried_as_it_is_now() -> None:
    p = await world("a/", "b/", "b/f", "late/", "late/g", "u/", "m/")
    await p.bind("/mnt/a", "/mnt/u", MREPL)
    await p.bind("/mnt/b", "/mnt/u", MAFTER)
    await p.bind("/mnt/u", "/mnt/m", MREPL)
    await p.bind("/mnt/late", "/mnt/u", MAFTER)
    assert await listing(p, "/mnt/m") == ["f"]
    assert await members(p, "/mnt/m") == ["0/mnt/a", "2/mnt/b"]


async def test_a_union_cannot_be_bound_with_c() -> None:
    p = await world("a/", "u/", "m/")
    await p.bind("/mnt/a", "/mnt/u", MAFTER)
    assert await failure(p.bind("/mnt/u", "/mnt/m", MREPL | MCREATE)) == "inconsistent mount"


async def test_unmount_takes_one_member_at_a_time() -> None:
    p = await world("a/", "a/f", "m/", "x/")
    assert await failure(p.unmount(None, "/mnt/m")) == "not mounted"
    await p.bind("/mnt/a", "/mnt/m", MAFTER)
    await p.bind("/mnt/a", "/mnt/m", MAFTER)
    assert await listing(p, "/mnt/m") == ["f", "f"]
    await p.unmount("/mnt/a", "/mnt/m")
    assert await listing(p, "/mnt/m") == ["f"]
    assert await failure(p.unmount("/mnt/x", "/mnt/m")) == "not in union"
    await p.unmount("/mnt/a", "/mnt/m")
    assert await failure(p.unmount("/mnt/a", "/mnt/m")) == "not in union"
    # the original is left alone, and still refuses creation
    assert await failure(make(p, "/mnt/m/new")) == "mounted directory forbids creation"


async def test_a_bind_is_seen_through_every_name_of_the_file() -> None:
    p = await world("a/", "a/sub/", "alias/", "src/", "src/f")
    await p.bind("/mnt/a", "/mnt/alias", MREPL)
    await p.bind("/mnt/src", "/mnt/alias/sub", MREPL)
    assert await listing(p, "/mnt/a/sub") == ["f"]


@pytest.mark.parametrize("changed", ["child", "parent"])
async def test_a_forked_name_space_does_not_see_later_changes(changed: str) -> None:
    p = await world("a/", "a/f", "m/")
    child = p.fork(RFNAMEG)
    changer, other = (child, p) if changed == "child" else (p, child)
    await changer.bind("/mnt/a", "/mnt/m", MREPL)
    assert await listing(changer, "/mnt/m") == ["f"]
    assert await listing(other, "/mnt/m") == []
    child.exit()


async def test_a_shared_name_space_sees_every_change() -> None:
    p = await world("a/", "a/f", "m/")
    child = p.fork()
    await child.bind("/mnt/a", "/mnt/m", MREPL)
    assert await listing(p, "/mnt/m") == ["f"]
    child.exit()


async def test_an_empty_name_space_has_no_mounts() -> None:
    p = await world()
    child = p.fork(RFCNAMEG)
    assert await listing(child, "/mnt") == []
    child.exit()


async def test_nomnt_forbids_devices_by_name() -> None:
    p = await world()
    child = p.fork(RFNAMEG | RFNOMNT)
    assert await failure(child.stat("#c")) == "mount/attach disallowed"
    assert await failure(child.mount(0, "/mnt", MREPL)) == "mount/attach disallowed"
    await child.stat("#e")
    child.exit()
