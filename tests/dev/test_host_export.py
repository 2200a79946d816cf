"""The host's files as a client of an export has them: nothing about them is lost on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nsh.dev.host import HostDevice, group_name, user_name
from nsh.dev.patience import settled
from nsh.kern.mnt import MCREATE, MREPL
from nsh.p9.const import DMDIR, ORDWR, OREAD
from nsh.p9.stat import Dir
from tests.conformance import check_files, check_tree, put
from tests.dev.test_conformance import seen_from_afar
from tests.kern.world import failure, listing, world

GIGABYTE = 1 << 30


async def test_modes_and_owners_are_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for mode in (0o000, 0o400, 0o640, 0o755, 0o777):
        (tmp_path / f"{mode:o}").touch()
        os.chmod(tmp_path / f"{mode:o}", mode)
    p = await world()
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        for d in await q.readdir("/mnt"):
            real = os.stat(tmp_path / d.name)
            assert d.mode & 0o777 == real.st_mode & 0o777
            assert (d.uid, d.gid) == (user_name(real.st_uid), group_name(real.st_gid))
            assert d.isdir == (d.name == "d")
            assert (await q.stat(f"/mnt/{d.name}"))._replace(type=d.type, dev=d.dev) == d
        await q.wstat("/mnt/640", Dir.dont_touch(mode=0o604))
        await q.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR | 0o711))
        assert await failure(q.wstat("/mnt/640", Dir.dont_touch(uid="somebody"))) == "permission denied"
        unknown = await failure(q.wstat("/mnt/640", Dir.dont_touch(gid="no such group")))
        assert unknown == "unknown user or group id"
    assert os.stat(tmp_path / "640").st_mode & 0o7777 == 0o604
    assert os.stat(tmp_path / "d").st_mode & 0o7777 == 0o711


async def test_files_that_may_take_long_are_served_all_the_same(tmp_path: Path) -> None:
    p = await world()
    HostDevice.of(p.system).wait_in(str(tmp_path))
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        await check_files(q, "/mnt")
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "f").write_text("f")
        await check_tree(q, "/mnt")
    await settled()


async def test_links_are_followed_wherever_they_lead(tmp_path: Path) -> None:
    served, outside = tmp_path / "served", tmp_path / "outside"
    (served / "d").mkdir(parents=True)
    outside.mkdir()
    (outside / "f").write_text("through two links")
    (served / "near").symlink_to("d")
    (served / "d" / "far").symlink_to(outside)
    (served / "d" / "f").symlink_to(outside / "f")
    (served / "nowhere").symlink_to("nothing")
    p = await world()
    await p.bind(f"#U{served}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        assert await q.readfile("/mnt/near/far/f") == b"through two links"
        assert await q.readfile("/mnt/d/f") == b"through two links"
        assert (await q.stat("/mnt/near")).isdir
        assert (await q.stat("/mnt/near")).qid.path == (await q.stat("/mnt/d")).qid.path
        assert sorted(await listing(q, "/mnt/near/far/..")) == ["f", "far"]
        assert await failure(q.open("/mnt/nowhere")) == "file does not exist"
        await q.remove("/mnt/near")
        await q.remove("/mnt/nowhere")
    assert sorted(os.listdir(served)) == ["d"]


async def test_files_of_many_gigabytes_are_read_and_written_anywhere(tmp_path: Path) -> None:
    p = await world()
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        fd = await q.create("/mnt/f", ORDWR)
        for offset in (2 * GIGABYTE - 2, 4 * GIGABYTE - 2, 5000 * GIGABYTE):
            assert await q.pwrite(fd, b"here", offset) == 4
            assert await q.pread(fd, 6, offset - 1) == b"\0here"[:6]
        assert (await q.fstat(fd)).length == 5000 * GIGABYTE + 4
        await q.seek(fd, 4, 2)
        await q.write(fd, b"end")
        assert await q.pread(fd, 100, 5000 * GIGABYTE) == b"here" + bytes(4) + b"end"
        await q.fwstat(fd, Dir.dont_touch(length=6 * GIGABYTE))
        q.close(fd)
        assert (await q.stat("/mnt/f")).length == 6 * GIGABYTE == os.stat(tmp_path / "f").st_size
        await q.remove("/mnt/f")


NAMES = [
    "x" * 255,
    "ä" * 127,
    os.fsdecode(b"\xff\xfe latin \xe4"),
    os.fsdecode(b"\xed\xa0\x80 half a pair"),
    os.fsdecode("名前 \U0001f600".encode()),
    "blank and 'quote' and \\ and #",
    "\x85\xa0",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_keeps_its_bytes(name: str, tmp_path: Path) -> None:
    p = await world()
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        await put(q, f"/mnt/{name}", b"text")
        assert os.listdir(os.fsencode(tmp_path)) == [os.fsencode(name)]
        assert await listing(q, "/mnt") == [name]
        assert (await q.stat(f"/mnt/{name}")).name == name
        assert await q.readfile(f"/mnt/{name}") == b"text"
        await q.wstat(f"/mnt/{name}", Dir.dont_touch(name="plain"))
        await q.wstat("/mnt/plain", Dir.dont_touch(name=name))
        await q.remove(f"/mnt/{name}")
        q.close(await q.create(f"/mnt/{name}", OREAD, DMDIR | 0o777))
        await put(q, f"/mnt/{name}/{name}")
        assert await listing(q, f"/mnt/{name}") == [name]
        await q.remove(f"/mnt/{name}/{name}")
    assert os.listdir(os.fsencode(tmp_path)) == [os.fsencode(name)]


async def test_a_name_that_the_host_cannot_have_is_refused(tmp_path: Path) -> None:
    p = await world()
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        assert await failure(put(q, "/mnt/" + "x" * 256)) == "File name too long"
        assert await failure(put(q, "/mnt/a\nb")) == "bad character in file name: '/mnt/a\nb'"


async def test_directories_can_be_nested_deeply(tmp_path: Path) -> None:
    p = await world()
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        name = "/mnt"
        for _ in range(40):
            name += "/" + "d" * 40
            q.close(await q.create(name, OREAD, DMDIR | 0o777))
        await put(q, f"{name}/f", b"deep")
        assert await q.readfile(f"{name}/f") == b"deep"
        assert await listing(q, f"{name}/../..") == ["d" * 40]


async def test_many_entries_are_all_listed_once(tmp_path: Path) -> None:
    names = {f"{n} " + "x" * 200 for n in range(2000)}
    for name in names:
        (tmp_path / name).touch()
    p = await world()
    await p.bind(f"#U{tmp_path}", "/mnt", MREPL | MCREATE)
    async with seen_from_afar(p) as q:
        listed = await listing(q, "/mnt")
        assert len(listed) == len(names)
        assert set(listed) == names
