"""An export: the live name space below one directory, with qids that are unique."""

from __future__ import annotations

import gc
import tracemalloc
import warnings

import pytest

from nsh import errors
from nsh.dev.root import RootDevice
from nsh.kern.chan import Chan, Maybe, settle
from nsh.kern.export import Export, File
from nsh.kern.mnt import MAFTER, MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.kern.qidmap import QidMap
from nsh.p9.const import DMDIR, OREAD, OWRITE
from nsh.p9.stat import Dir, Qid, unpack_dirs
from tests.kern.world import world


async def exported(p: Proc, name: str) -> Export:
    return Export(p, await namec(p, name, Access.TODIR))


async def walk(e: Export, *names: str) -> File:
    found, _ = await settle(e.walk(e.attach("glenda", ""), names))
    assert found is not None
    return found


async def entries(e: Export, *names: str) -> list[Dir]:
    f = await settle(e.open(await walk(e, *names), OREAD))
    out: list[Dir] = []
    offset = 0
    while data := await settle(e.read(f, 8192, offset)):
        offset += len(data)
        out.extend(unpack_dirs(data))
    e.clunk(f)
    return out


async def test_dotdot_stops_at_the_root_of_the_export() -> None:
    p = await world("x/", "x/y/", "x/y/f", "secret")
    e = await exported(p, "/mnt/x")
    found, qids = await settle(e.walk(e.attach("", ""), ["..", "..", "y", "..", ".."]))
    assert found is not None
    assert len(qids) == 5
    assert qids[0] == qids[3] == qids[4] == e.attach("", "").qid
    assert [d.name for d in await entries(e, "..", "..")] == ["y"]


async def test_a_partial_walk_gives_the_qids_that_were_reached() -> None:
    p = await world("x/", "x/y/", "x/y/f")
    e = await exported(p, "/mnt/x")
    found, qids = await settle(e.walk(e.attach("", ""), ["y", "nosuch", "z"]))
    assert found is None
    assert len(qids) == 1
    with pytest.raises(errors.Enonexist):
        await settle(e.walk(e.attach("", ""), ["nosuch"]))


async def test_a_device_that_must_wait_to_walk_leaves_no_coroutine_behind() -> None:
    class Slow(RootDevice):
        def walk(self, c: Chan, names: list[str]) -> Maybe[tuple[Chan | None, list[Qid]]]:
            async def later() -> tuple[Chan | None, list[Qid]]:
                raise errors.Enonexist()

            return later()

    p = await world()
    c = Slow(p.system).attach("")
    assert isinstance(c, Chan)
    e = Export(p, c)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        e.walk(File(c, c.qid), [])
        with pytest.raises(errors.Enonexist):
            await settle(e.walk(File(c, c.qid), ["x"]))
        gc.collect()
    assert not told


async def test_mounts_made_later_are_seen() -> None:
    p = await world("x/", "x/m/", "a/", "a/f")
    e = await exported(p, "/mnt/x")
    await p.bind("/mnt/a", "/mnt/x/m", MREPL)
    assert [d.name for d in await entries(e, "m")] == ["f"]
    await p.bind("/mnt/a", "/mnt/x", MREPL)
    assert [d.name for d in await entries(e)] == ["f"]


async def test_files_of_different_trees_have_different_qids_everywhere() -> None:
    """walk, stat and directory entries agree, and no two files are the same."""
    p = await world("x/", "x/m/", "x/f")
    await p.bind("#R", "/mnt/x/m", MREPL | MCREATE)
    for name in ("one", "two"):
        p.close(await p.create(f"/mnt/x/m/{name}", OWRITE, 0o666))
    e = await exported(p, "/mnt/x")
    paths = {}
    for names in (("f",), ("m",), ("m", "one"), ("m", "two")):
        f = await walk(e, *names)
        paths[names] = f.qid.path
        if names != ("m",):  # the walk gives the covered directory, stat what is mounted on it
            assert (await settle(e.stat(f))).qid.path == f.qid.path
    assert len(set(paths.values())) == 4
    assert {d.name: d.qid.path for d in await entries(e, "m")} == {
        "one": paths["m", "one"],
        "two": paths["m", "two"],
    }


async def test_unions_are_listed_with_the_qids_of_their_members() -> None:
    p = await world("x/", "x/f")
    await p.bind("#R", "/mnt/x", MAFTER | MCREATE)
    p.close(await p.create("/mnt/x/g", OWRITE, 0o666))
    e = await exported(p, "/mnt/x")
    listed = {d.name: d.qid.path for d in await entries(e)}
    assert listed == {n: (await walk(e, n)).qid.path for n in ("f", "g")}


async def test_every_client_sees_the_same_qids_in_whatever_order_it_looks() -> None:
    p = await world("x/", "x/m/", "x/n/")
    for name in ("m", "n"):
        await p.bind("#R", f"/mnt/x/{name}", MREPL | MCREATE)
        p.close(await p.create(f"/mnt/x/{name}/f", OWRITE, 0o666))
    one, other = await exported(p, "/mnt/x"), await exported(p, "/mnt/x")
    seen = [(await walk(one, name, "f")).qid for name in ("m", "n")]
    assert [(await walk(other, name, "f")).qid for name in ("n", "m")] == seen[::-1]


async def test_big_qids_are_unique_and_stay_the_same() -> None:
    p = await world("f")
    c = await namec(p, "/mnt/f", Access.ACCESS)
    qids = QidMap()
    assert qids.path(c, 5) == 5
    big = [1 << 60, 1 << 61, (1 << 60) + 1, *((n << 48) + 7 for n in range(1, 70000))]
    seen = [qids.path(c, path) for path in big]
    assert len({*seen, 5}) == len(big) + 1
    assert [qids.path(c, path) for path in big] == seen


async def test_a_server_that_makes_up_qids_does_not_fill_our_memory() -> None:
    p = await world("f")
    c = await namec(p, "/mnt/f", Access.ACCESS)
    qids = QidMap()
    for n in range(1, 70000):
        qids.path(c, n << 48)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for n in range(70000, 90000):
            qids.path(c, n << 48)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20000


async def test_a_file_cannot_be_renamed_to_what_could_not_be_created() -> None:
    p = await world("x/", "x/f")
    e = await exported(p, "/mnt/x")
    with pytest.raises(errors.Ebadchar):
        await settle(e.wstat(await walk(e, "f"), Dir.dont_touch(name="a\nb")))


async def test_creation_follows_the_flags_of_the_exporter() -> None:
    p = await world("x/", "x/m/", "a/")
    await p.bind("/mnt/a", "/mnt/x/m", MREPL)
    e = await exported(p, "/mnt/x")
    with pytest.raises(errors.Enocreate):
        await e.create(await walk(e, "m"), "new", 0o666, OWRITE)
    with pytest.raises(errors.Efilename):
        await e.create(await walk(e), "..", 0o666, OWRITE)
    made = await e.create(await walk(e), "new", 0o666, OWRITE)
    assert await settle(e.write(made, memoryview(b"hello"), 0)) == 5
    e.clunk(made)
    assert await p.readfile("/mnt/x/new") == b"hello"


async def test_a_directory_that_was_removed_cannot_be_walked_from() -> None:
    """Inferno clones a fid to walk from it, and says that this failed."""
    p = await world("x/", "x/s/")
    e = await exported(p, "/mnt/x")
    s = await walk(e, "s")
    await p.remove("/mnt/x/s")
    for names in [], ["nosuch"]:
        with pytest.raises(errors.Ecloned):
            await settle(e.walk(s, names))
    with pytest.raises(errors.Enonexist):
        await settle(e.walk(e.attach("", ""), ["s"]))
    await p.remove("/mnt/x")
    with pytest.raises(errors.Ecloned):
        await settle(e.walk(e.attach("", ""), ["s"]))


async def test_the_root_is_called_slash_and_cannot_be_renamed() -> None:
    """stat(5): the name must be / if the file is the root directory of the server."""
    p = await world("x/", "x/y/")
    e = await exported(p, "/mnt/x")
    for names in ((), ("..",), ("y", "..")):
        root = await walk(e, *names)
        assert (await settle(e.stat(root))).name == "/"
    await settle(e.wstat(root, Dir.dont_touch(name="/")))
    with pytest.raises(errors.Eperm):
        await settle(e.wstat(root, Dir.dont_touch(name="z")))
    assert (await settle(e.stat(await walk(e, "y")))).name == "y"


async def test_a_mount_point_is_told_alike_by_walk_open_and_stat() -> None:
    """intro(5): two files are the same if and only if their qids are, the root of the export too."""
    p = await world("x/", "x/y/")
    e = await exported(p, "/mnt/x")
    await p.bind("#R", "/mnt/x/y", MREPL)
    await p.bind("#R", "/mnt/x", MREPL | MCREATE)
    p.close(await p.create("/mnt/x/y", OREAD, DMDIR | 0o777))
    await p.bind("#R", "/mnt/x/y", MREPL)
    for names, name in (((), "/"), (("y",), "y")):
        f = await walk(e, *names)
        d = await settle(e.stat(f))
        walked = f.qid
        opened = await settle(e.open(f, OREAD))
        assert walked.path == d.qid.path == opened.qid.path
        assert d.name == (await settle(e.stat(opened))).name == name
        e.clunk(opened)


async def test_what_stat_told_can_be_written_back() -> None:
    """stat(5): only changes are refused, and the qid that a client was told is no change."""
    p = await world("x/", "x/f")
    await exported(p, "/")
    e = await exported(p, "/mnt/x")
    f = await walk(e, "f")
    d = await settle(e.stat(f))
    assert d.qid != (await p.stat("/mnt/x/f")).qid, "the export shows another"
    await settle(e.wstat(f, d._replace(mode=0o640)))
    assert (await p.stat("/mnt/x/f")).mode == 0o640
    with pytest.raises(errors.Eperm):
        await settle(e.wstat(f, Dir.dont_touch()._replace(qid=d.qid._replace(path=d.qid.path + 1))))
