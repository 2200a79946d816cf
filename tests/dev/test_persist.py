"""mount -P: a server that went and came back."""

from __future__ import annotations

import asyncio
import pathlib
import random

import pytest

from nsh.dev import persist
from nsh.errors import P9Error
from nsh.kern.chan import Chan
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import RFNAMEG, Proc
from nsh.p9 import msg
from nsh.p9.const import ORDWR, OTRUNC, OWRITE, QTDIR
from nsh.p9.stat import Dir, Qid, unpack_dirs
from tests.dev.rogue import Rogue
from tests.kern.world import failure, listing, world
from tests.net.peers import Host, command, quiet

TEXT = random.Random(5).randbytes(100_000)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persist, "FIRST", 0.002)
    monkeypatch.setattr(persist, "LAST", 0.01)


async def kept(data: bytes = TEXT) -> Rogue:
    """A server that is dialled again."""
    rogue = Rogue(await world("a/"), data, 8216)
    await rogue.mount(persist.keep(rogue.p, await rogue.dial(), rogue.dial))
    return rogue


async def exported(path: pathlib.Path, port: int = 0) -> Host:
    owner = await world()
    await owner.bind(f"#U{path}", "/mnt", MREPL | MCREATE)
    return await Host.start(owner, address=f"tcp!127.0.0.1!{port}")


async def mounted(host: Host) -> Proc:
    p = await world("h/")
    assert await command(p, "mount", "-cAP", host.address, "/mnt/h") == ("", "")
    return p


async def test_files_and_directories_of_a_server_that_was_restarted(tmp_path: pathlib.Path) -> None:
    deep = "/".join("abcdefghijklmnopqrstuvwxyz")
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "f").write_bytes(TEXT)
    host = await exported(tmp_path)
    p = await mounted(host)
    fd = await p.open(f"/mnt/h/{deep}/f", ORDWR)
    await p.chdir("/mnt/h/a/b")
    first = await p.read(fd, 1000)
    await host.stop()
    waiting = asyncio.create_task(p.read(fd, 1000))
    await quiet()
    assert not waiting.done()
    host = await exported(tmp_path, host.port)
    assert first + await waiting + await p.readall(fd) == TEXT
    await p.pwrite(fd, b"new", 5)
    assert (tmp_path / deep / "f").read_bytes() == TEXT[:5] + b"new" + TEXT[8:]
    assert await listing(p, ".") == ["c"]
    assert await listing(p, "/mnt/h") == ["a"]
    p.exit()
    await quiet()
    await host.stop()


async def test_a_renamed_file_is_found_again(tmp_path: pathlib.Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(TEXT)
    host = await exported(tmp_path)
    p = await mounted(host)
    fd = await p.open("/mnt/h/d/f")
    await p.wstat("/mnt/h/d", Dir.dont_touch(name="e"))
    await host.stop()
    host = await exported(tmp_path, host.port)
    assert await p.readall(fd) == TEXT
    p.exit()
    await quiet()
    await host.stop()


async def half_read(tmp_path: pathlib.Path) -> tuple[Host, Proc, int, list[str]]:
    """A directory of 300 files, some of which were listed before its server stopped."""
    for n in range(300):
        (tmp_path / f"file{n:03}").touch()
    host = await exported(tmp_path)
    p = await mounted(host)
    fd = await p.open("/mnt/h")
    first = [d.name for _ in range(2) for d in unpack_dirs(await p.read(fd, 4000))]
    assert 10 < len(first) < 290
    await host.stop()
    return host, p, fd, first


async def test_the_listing_of_a_directory_goes_on(tmp_path: pathlib.Path) -> None:
    host, p, fd, first = await half_read(tmp_path)
    host = await exported(tmp_path, host.port)
    rest = [d.name for d in unpack_dirs(await p.readall(fd))]
    assert sorted(first + rest) == [f"file{n:03}" for n in range(300)]
    await p.seek(fd, 0)
    assert len(unpack_dirs(await p.readall(fd))) == 300
    p.exit()
    await quiet()
    await host.stop()


async def test_it_does_not_where_the_directory_has_changed(tmp_path: pathlib.Path) -> None:
    host, p, fd, _ = await half_read(tmp_path)
    for n in range(1, 300):
        (tmp_path / f"file{n:03}").unlink()
    host = await exported(tmp_path, host.port)
    assert await failure(p.readall(fd)) == "i/o on hungup channel"
    assert await listing(p, "/mnt/h") == ["file000"]
    p.exit()
    await quiet()
    await host.stop()


async def test_ns_says_how_it_was_mounted(tmp_path: pathlib.Path) -> None:
    host = await exported(tmp_path)
    p = await mounted(host)
    _, text = await command(p, "ns")
    assert f"mount -Pc {host.address} /mnt/h" in text
    await p.unmount(None, "/mnt/h")
    await quiet()
    assert host.servers[0].proc.status is not None
    p.exit()
    await host.stop()


@pytest.mark.parametrize("what", ["{export /}", "/srv"])
async def test_what_cannot_be_dialled_cannot_be_kept(what: str) -> None:
    p = await world("h/", "pipe")
    name = "/mnt/pipe" if what == "/srv" else what
    kind = "a file" if what == "/srv" else "a command"
    _, said = await command(p, "mount", "-P", name, "/mnt/h")
    assert said == f"mount: cannot persistently mount {kind}\n"
    p.exit()


async def test_a_file_that_became_another_is_lost_until_it_is_opened_again() -> None:
    rogue = await kept()
    fd = await rogue.open()
    assert await rogue.p.read(fd, 10) == TEXT[:10]
    rogue.qid = Qid(0, 1, 2)
    await rogue.hangup()
    assert await failure(rogue.p.read(fd, 10)) == "i/o on hungup channel"
    assert await failure(rogue.p.write(fd, b"x")) == "i/o on hungup channel"
    rogue.p.close(fd)
    assert await rogue.p.readfile("/mnt/a/f") == TEXT
    await rogue.stop()


async def test_a_synthetic_file_is_lost() -> None:
    rogue = await kept()
    rogue.length = 0
    fd = await rogue.open()
    rogue.held = lambda m: isinstance(m, msg.Tread)
    reader = asyncio.create_task(failure(rogue.p.read(fd, 10)))
    await quiet()
    await rogue.hangup()
    assert await reader == "i/o on hungup channel"
    await rogue.stop()


async def test_a_write_without_an_answer_is_told_and_not_done_twice() -> None:
    rogue = await kept()
    fd = await rogue.open()
    rogue.held = lambda m: isinstance(m, msg.Twrite)
    writer = asyncio.create_task(failure(rogue.p.write(fd, b"x")))
    await quiet()
    rogue.asked.clear()
    await rogue.hangup()
    assert await writer == "mount rpc error"
    rogue.held = lambda m: False
    await quiet()
    assert rogue.count(msg.Twrite) == 0
    assert await rogue.p.write(fd, b"new") == 3
    assert rogue.count(msg.Twrite) == 1
    await rogue.stop()


async def test_an_open_that_truncates_is_not_done_twice() -> None:
    rogue = await kept()
    fd = await rogue.open(OWRITE | OTRUNC)
    rogue.asked.clear()
    await rogue.hangup()
    await rogue.p.pwrite(fd, b"x", 0)
    assert [m.mode for m in rogue.asked if isinstance(m, msg.Topen)] == [OWRITE]
    rogue.held = lambda m: isinstance(m, msg.Topen)
    opener = asyncio.create_task(failure(rogue.open(OWRITE | OTRUNC)))
    await quiet()
    await rogue.hangup()
    rogue.held = lambda m: False
    assert await opener == "mount rpc error"
    await rogue.stop()


async def test_a_window_of_reads_goes_on_where_it_was() -> None:
    rogue = await kept()
    fd = await rogue.open()
    data = await rogue.p.read(fd, 8192)
    await quiet()
    rogue.held = lambda m: isinstance(m, msg.Tread)
    rest = asyncio.create_task(rogue.p.readall(fd))
    await quiet()
    assert len(rogue.waiting) > 1
    await rogue.hangup()
    rogue.held = lambda m: False
    await quiet()
    while rogue.waiting:
        await rogue.answer()
    assert data + await rest == TEXT
    await rogue.stop()


async def test_who_waits_for_a_server_that_is_away_can_be_interrupted() -> None:
    rogue = Rogue(await world("a/"), TEXT, 8216)
    away = True

    async def dial() -> Chan:
        if away:
            raise P9Error("Connection refused")
        return await rogue.dial()

    await rogue.mount(persist.keep(rogue.p, await rogue.dial(), dial))
    fd, other = await rogue.open(), await rogue.open()
    await rogue.hangup()
    reader = asyncio.create_task(rogue.p.read(fd, 10))
    await quiet()
    reader.cancel()
    await asyncio.wait([reader])
    rogue.p.close(other)
    later = asyncio.create_task(rogue.p.write(fd, b"later"))
    await quiet()
    away = False
    assert await later == 5
    assert rogue.data.startswith(b"later")
    await rogue.stop()


async def test_unmount_ends_the_attempts() -> None:
    rogue = Rogue(await world("a/"), TEXT, 8216)

    async def dial() -> Chan:
        raise P9Error("Connection refused")

    await rogue.mount(persist.keep(rogue.p, await rogue.dial(), dial))
    await rogue.hangup()
    await rogue.p.unmount(None, "/mnt/a")
    await quiet()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await listing(rogue.p, "/mnt/a") == []
    rogue.p.exit()


@pytest.mark.parametrize("name", ["/mnt/a", "/mnt/a/sub"])
async def test_unmount_ends_the_waiting(name: str) -> None:
    rogue = Rogue(await world("a/", "b/"), TEXT, 8216)

    async def dial() -> Chan:
        raise P9Error("Connection refused")

    await rogue.mount(persist.keep(rogue.p, await rogue.dial(), dial))
    fd = await rogue.open()
    rogue.qid = Qid(QTDIR, 1, 2)
    await rogue.p.bind(name, "/mnt/b", MREPL)
    rogue.held = lambda m: isinstance(m, msg.Tread)
    waiting = [asyncio.create_task(failure(rogue.p.read(fd, 10)))]
    await quiet()
    await rogue.hangup()
    waiting += [asyncio.create_task(failure(rogue.p.pread(fd, 10, 10)))]
    waiting += [asyncio.create_task(failure(rogue.p.open("/mnt/a/other")))]
    await quiet()
    await rogue.p.unmount(None, "/mnt/a")
    await quiet()
    assert not any(task.done() for task in waiting), "some of it is still bound to another name"
    await rogue.p.unmount(None, "/mnt/b")
    told = await asyncio.gather(*waiting)
    assert told == ["mount rpc error", "mount rpc error", "'/mnt/a/other' mount rpc error"]
    assert await failure(rogue.p.read(fd, 10)) == "i/o on hungup channel"
    rogue.p.close(fd)
    await quiet()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    rogue.p.exit()


async def test_the_mount_of_another_name_space_is_waited_for() -> None:
    rogue = Rogue(await world("a/"), TEXT, 8216)
    back = asyncio.Event()

    async def dial() -> Chan:
        await back.wait()
        return await rogue.dial()

    await rogue.mount(persist.keep(rogue.p, await rogue.dial(), dial))
    other = rogue.p.fork(RFNAMEG)
    fd = await rogue.open()
    await rogue.hangup()
    waiting = asyncio.create_task(rogue.p.read(fd, 10))
    await rogue.p.unmount(None, "/mnt/a")
    await quiet()
    back.set()
    assert await waiting == TEXT[:10]
    assert await other.readfile("/mnt/a/f") == TEXT
    other.exit()
    rogue.p.close(fd)
    await rogue.stop()


async def test_an_open_file_may_be_read_after_unmount_while_the_server_is_there() -> None:
    rogue = await kept()
    fd = await rogue.open()
    await rogue.p.unmount(None, "/mnt/a")
    await quiet()
    assert await rogue.p.readall(fd) == TEXT
    await rogue.hangup()
    assert await rogue.p.pread(fd, 10, 0) == TEXT[:10]
    rogue.p.close(fd)
    await quiet()
    await rogue.stop()
