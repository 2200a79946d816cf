"""`#R`: what a memfs promises beyond the suite that every device goes through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh import errors
from nsh.dev.ram import BLOCK, CHUNK, Content
from nsh.kern.chan import settle
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9.const import (
    DMAPPEND,
    DMAUTH,
    DMDIR,
    DMEXCL,
    DMTMP,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
)
from nsh.p9.stat import Dir
from tests.conformance import check_files, check_tree, put
from tests.kern.world import listing, world


async def as_user(p: Proc, name: str) -> Proc:
    """A process like ``p``, of another user, on whose behalf the test goes on."""
    from nsh.kern.proc import current

    q = p.fork()
    q.user = name
    current.set(q)
    return q


async def test_it_conforms() -> None:
    p = await world("a/", "a/b/", "a/b/f", "g")
    await check_tree(p, "/mnt")
    await p.bind("#R", "/mnt/a", MREPL | MCREATE)
    await check_files(p, "/mnt/a")


async def test_every_attach_is_a_new_tree_and_a_named_one_is_shared() -> None:
    p = await world("f")
    assert await listing(p, "#R") == []
    await put(p, "#Rshared/x")
    assert await listing(p, "#Rshared") == ["x"]
    assert await listing(p, "#Rother") == []


async def test_the_newest_entry_comes_first_and_a_renamed_one_keeps_its_place() -> None:
    p = await world("a", "b", "c")
    await p.wstat("/mnt/b", Dir.dont_touch(name="z"))
    assert await listing(p, "/mnt") == ["c", "z", "a"]


async def test_qids_count_from_the_root_in_order_of_creation() -> None:
    p = await world("a", "d/", "d/x")
    assert [(await p.stat(name)).qid.path for name in ("/mnt", "/mnt/a", "/mnt/d", "/mnt/d/x")] == [
        0,
        1,
        2,
        3,
    ]


async def test_versions_count_the_writes() -> None:
    p = await world("f")
    vers = (await p.stat("/mnt/f")).qid.vers
    fd = await p.open("/mnt/f", OWRITE)
    for _ in range(3):
        await p.write(fd, b"x")
    assert (await p.stat("/mnt/f")).qid.vers == vers + 3


async def test_append_only_files_ignore_offsets_and_truncation() -> None:
    p = await world()
    await put(p, "/mnt/log", b"one ", DMAPPEND | 0o666)
    fd = await p.open("/mnt/log", OWRITE | OTRUNC)
    await p.pwrite(fd, b"two", 0)
    assert await p.readfile("/mnt/log") == b"one two"
    d = await p.stat("/mnt/log")
    assert d.mode == DMAPPEND | 0o644
    assert d.qid.type == DMAPPEND >> 24


async def test_an_exclusive_file_is_open_once() -> None:
    p = await world()
    fd = await p.create("/mnt/lock", ORDWR, DMEXCL | 0o666)
    with pytest.raises(errors.Elocked):
        await p.open("/mnt/lock")
    p.close(fd)
    p.close(await p.open("/mnt/lock"))


async def test_new_files_get_no_permission_that_the_directory_does_not_have() -> None:
    p = await world()
    await put(p, "/mnt/f", perm=0o777)
    p.close(await p.create("/mnt/d", OREAD, DMDIR | 0o777))
    assert (await p.stat("/mnt/f")).mode == 0o755
    assert (await p.stat("/mnt/d")).mode == DMDIR | 0o755


async def test_permissions_are_those_of_the_owner_else_of_others() -> None:
    p = await world("d/", "d/f")
    await p.wstat("/mnt/d/f", Dir.dont_touch(mode=0o604))
    q = await as_user(p, "glenda")
    assert await q.readfile("/mnt/d/f") == b"f"
    for refused in (
        q.open("/mnt/d/f", OWRITE),
        q.open("/mnt/d/f", OEXEC),
        q.create("/mnt/d/g"),
        q.remove("/mnt/d/f"),
        q.wstat("/mnt/d/f", Dir.dont_touch(name="g")),
        q.wstat("/mnt/d/f", Dir.dont_touch(mode=0o777)),
        q.wstat("/mnt/d/f", Dir.dont_touch(mtime=1)),
        q.wstat("/mnt/d/f", Dir.dont_touch(length=0)),
    ):
        with pytest.raises(errors.Eperm):
            await refused


async def test_to_walk_in_a_directory_takes_the_permission_to_execute_it() -> None:
    """walk(5), intro(5): a walk is regarded as executing the directory; ``..`` leads out of any."""
    p = await world("d/", "d/e/", "d/f")
    await p.chdir("/mnt/d/e")
    await p.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR | 0o666))
    with pytest.raises(errors.Eperm):
        await p.stat("/mnt/d/f")
    with pytest.raises(errors.Eperm):
        await p.stat("../f")
    await p.stat("..")
    assert len(await p.readdir("/mnt/d")) == 2
    await p.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR))
    for refused in (p.readdir("/mnt/d"), p.create("/mnt/d/g"), p.remove("/mnt/d/f")):
        with pytest.raises(errors.Eperm):
            await refused
    await p.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR | 0o100))
    assert await p.readfile("/mnt/d/f") == b"f"


async def test_an_owner_may_do_what_any_of_the_bits_allow() -> None:
    """intro(5), access permissions: the owner's, the group's and the others' are consulted."""
    p = await world("f")
    for mode in (0o400, 0o040, 0o004):
        await p.wstat("/mnt/f", Dir.dont_touch(mode=mode))
        assert await p.readfile("/mnt/f") == b"f"
    await p.wstat("/mnt/f", Dir.dont_touch(mode=0o333))
    with pytest.raises(errors.Eperm):
        await p.readfile("/mnt/f")


async def test_the_mode_bits_are_in_the_qid_and_unknown_ones_refused() -> None:
    """stat(5): append-only, exclusive and temporary are echoed in qid.type."""
    p = await world()
    for bit in (DMAPPEND, DMEXCL, DMTMP):
        p.close(await p.create("/mnt/f", ORDWR, bit | 0o600))
        assert (await p.stat("/mnt/f")).qid.type == bit >> 24
        await p.wstat("/mnt/f", Dir.dont_touch(mode=0o600))
        assert (await p.stat("/mnt/f")).qid.type == 0
        await p.remove("/mnt/f")
    p.close(await p.create("/mnt/f", ORDWR))
    p.close(await p.create("/mnt/d", OREAD, DMDIR | DMTMP | 0o700))
    assert (await p.stat("/mnt/d")).qid.type == (DMDIR | DMTMP) >> 24
    for name, mode in (("f", DMAUTH), ("f", 0o4755), ("d", DMDIR | DMAPPEND), ("d", DMDIR | DMEXCL)):
        before = await p.stat(f"/mnt/{name}")
        with pytest.raises(errors.Eperm):
            await p.wstat(f"/mnt/{name}", Dir.dont_touch(mode=mode))
        with pytest.raises(errors.Eperm):
            await p.create(f"/mnt/new {name}", OREAD, mode)
        assert await p.stat(f"/mnt/{name}") == before


async def test_open_tells_the_version_that_the_file_has_now() -> None:
    """intro(5): the version changes with the file; truncation by open(5) is such a change."""
    p = await world("f")
    c = await namec(p, "/mnt/f", Access.ACCESS)
    fd = await p.open("/mnt/f", OWRITE)
    await p.write(fd, b"more")
    opened = await settle(c.dev.open(c, OREAD))
    assert opened.qid == (await p.stat("/mnt/f")).qid
    other = await p.open("/mnt/f", OWRITE | OTRUNC)
    assert (await p.fstat(other)).qid.vers != opened.qid.vers
    opened.close()
    p.close(fd)
    p.close(other)


async def test_a_wstat_that_fails_in_one_thing_changes_nothing() -> None:
    p = await world("f", "g")
    before = await p.stat("/mnt/f")
    for change in ({"name": "g"}, {"length": 1 << 40}, {"uid": "glenda"}, {"gid": "others"}):
        with pytest.raises(errors.P9Error):
            await p.wstat("/mnt/f", Dir.dont_touch(mode=0o600, mtime=5, **change))
        assert await p.stat("/mnt/f") == before


async def test_a_full_tree_refuses_and_gives_space_back() -> None:
    p = await world()
    ram = p.system.device("R")
    tree = ram.new(10 * BLOCK)  # type: ignore[attr-defined]
    p.pgrp.mount(ram.served(tree), p.slash, MREPL | MCREATE)  # type: ignore[attr-defined]
    await put(p, "/f", bytes(4 * BLOCK))
    free = tree.free
    with pytest.raises(errors.Enospace, match=r"^filesystem full$"):
        await put(p, "/g", bytes(8 * BLOCK))
    with pytest.raises(errors.Enospace):
        await p.wstat("/f", Dir.dont_touch(length=1 << 60))
    await p.remove("/g")
    assert tree.free == free
    fd = await p.open("/f")
    await p.remove("/f")
    assert tree.free == free, "an open file keeps its space"
    p.close(fd)
    assert tree.free == 10


async def test_a_hole_takes_no_memory() -> None:
    p = await world()
    fd = await p.create("/mnt/f", ORDWR)
    await p.pwrite(fd, b"end", 1 << 30)
    content: Content = p.fgrp.get(fd).aux.content
    assert content.length == (1 << 30) + 3
    assert sum(map(len, content._chunks.values())) == 3
    with pytest.raises(errors.Enospace):
        await p.pwrite(fd, b"x", 1 << 63)


async def test_a_removed_directory_is_gone_for_those_who_stand_in_it() -> None:
    p = await world("d/")
    await p.chdir("/mnt/d")
    await p.remove("/mnt/d")
    for refused in (p.open("."), p.create("f"), p.stat("."), p.stat("f")):
        with pytest.raises(errors.P9Error):
            await refused


async def test_a_removed_directory_is_left_only_where_the_way_is_remembered() -> None:
    p = await world("d/", "d/e/")
    await p.chdir("/mnt/d/e")
    await p.remove("/mnt/d/e")
    with pytest.raises(errors.Enonexist, match=r"^'\.\.' file does not exist$"):
        await p.chdir("..")
    await p.chdir("/mnt/d")
    await p.remove("/mnt/d")
    await p.chdir("..")  # /mnt is a mount point: nobody is asked (Inferno asks)
    assert p.getwd() == "/mnt"


async def test_the_root_cannot_be_removed_or_renamed() -> None:
    p = await world()
    with pytest.raises(errors.P9Error, match="root directory"):
        await p.remove("/mnt")
    with pytest.raises(errors.Eperm):
        await p.wstat("/mnt", Dir.dont_touch(name="x"))


async def test_orclose_needs_the_right_to_remove() -> None:
    p = await world("d/", "d/f")
    await p.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR | 0o555))
    with pytest.raises(errors.Eperm):
        await p.open("/mnt/d/f", OREAD | ORCLOSE)


async def test_long_names_are_refused() -> None:
    p = await world()
    with pytest.raises(errors.Enametoolong):
        await p.create("/mnt/" + "x" * 1025)
    await put(p, "/mnt/" + "é" * 500)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 3 * CHUNK), st.integers(0, 2 * CHUNK)),
            st.tuples(st.just("truncate"), st.integers(0, 3 * CHUNK), st.just(0)),
        ),
        max_size=8,
    ),
    st.integers(0, 4 * CHUNK),
    st.integers(0, 4 * CHUNK),
)
def test_content_is_what_a_plain_byte_string_would_be(
    steps: list[tuple[str, int, int]], offset: int, count: int
) -> None:
    content, model = Content(), bytearray()
    for i, (what, at, size) in enumerate(steps):
        if what == "write":
            data = bytes([i + 1]) * size
            content.write(data, at)
            if data:
                model.extend(bytes(max(0, at + size - len(model))))
                model[at : at + size] = data
        else:
            content.truncate(at)
            model = model[:at].ljust(at, b"\0")
    assert content.length == len(model)
    assert content.read(count, offset) == model[offset : offset + count]
