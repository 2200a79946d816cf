"""`#M`: a 9P server as a device, over real connections to real and to badly behaved servers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Sequence

import pytest

from nsh import errors
from nsh.dev.mnt import Link, MntDevice
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MAFTER, MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.net.dial import dial
from nsh.p9 import msg
from nsh.p9.const import NOTAG, ORDWR, OREAD, QTDIR
from nsh.p9.frame import Framer
from nsh.p9.stat import Dir, Qid
from tests.kern.world import content, failure, listing, make, world
from tests.net.peers import Host, quiet


async def mounted(host: Host, *names: str, aname: str = "") -> Proc:
    """A process in a system of its own, with the host's files on /mnt/h."""
    p = await world("h/", *names)
    await mount(p, host, "/mnt/h", aname)
    return p


async def mount(p: Proc, host: Host, name: str, aname: str = "") -> None:
    fd = p.fgrp.new(await dial(p.system, host.address))
    await p.mount(fd, name, MREPL | MCREATE, aname)
    p.close(fd)


def link(p: Proc) -> Link:
    """The only connection that is mounted."""
    driver = p.system.device("M")
    assert isinstance(driver, MntDevice)
    [only] = driver._links.values()
    return only


async def stop(*procs: Proc | Host) -> None:
    for p in procs:
        if isinstance(p, Host):
            await p.stop()
        else:
            p.exit()
    await quiet()


async def test_the_files_of_a_server_can_be_used_like_any_other() -> None:
    host = await Host.start(await world("d/", "d/f"))
    p = await mounted(host)
    assert await content(p, "/mnt/h/d/f") == "f"
    await make(p, "/mnt/h/d/new", "text")
    await make(p, "/mnt/h/d/sub/")
    assert sorted(await listing(p, "/mnt/h/d")) == ["f", "new", "sub"]
    await p.writefile("/mnt/h/d/f", b"changed")
    assert await content(host.p, "/mnt/d/f") == "changed"
    await p.wstat("/mnt/h/d/f", Dir.dont_touch(name="g"))
    await p.remove("/mnt/h/d/new")
    assert sorted(await listing(host.p, "/mnt/d")) == ["g", "sub"]
    await p.chdir("/mnt/h/d/sub")
    assert await listing(p, "../..") == ["d"]
    await stop(p, host)


async def test_entries_and_stat_are_marked_as_ours() -> None:
    host = await Host.start(await world("d/", "d/f"))
    p = await mounted(host)
    [entry] = await p.readdir("/mnt/h/d")
    found = await p.stat("/mnt/h/d/f")
    assert (entry.type, entry.dev) == (found.type, found.dev) == (ord("M"), found.dev)
    assert entry.dev > 0
    await stop(p, host)


async def test_errors_are_the_servers_with_our_name_in_front() -> None:
    host = await Host.start(await world("d/"))
    p = await mounted(host)
    assert await failure(p.stat("/mnt/h/d/nosuch")) == "'/mnt/h/d/nosuch' does not exist"
    assert await failure(p.create("/mnt/h/d", OREAD | 0x1000, 0o666)) == "file already exists"
    await stop(p, host)


async def test_more_than_sixteen_names_and_a_large_file() -> None:
    deep = "/".join("abcdefghijklmnopqrstuvwxyz")
    names = ["/".join(deep.split("/")[: i + 1]) + "/" for i in range(26)]
    host = await Host.start(await world(*names))
    p = await mounted(host)
    text = "0123456789" * 50_000
    await make(p, f"/mnt/h/{deep}/big", text)
    assert await content(host.p, f"/mnt/{deep}/big") == text
    assert await content(p, f"/mnt/h/{deep}/big") == text
    await stop(p, host)


async def test_a_directory_of_many_entries_is_whole() -> None:
    owner = await world()
    for i in range(2000):
        await make(owner, f"/mnt/a-file-with-a-long-name-{i}", "")
    host = await Host.start(owner)
    p = await mounted(host)
    names = [d.name for d in await p.readdir("/mnt/h")]
    assert names == await listing(owner, "/mnt")
    await stop(p, host)


async def test_each_attach_is_a_tree_of_its_own_on_one_connection() -> None:
    host = await Host.start(await world("f"))
    p = await world("a/", "b/")
    fd = p.fgrp.new(await dial(p.system, host.address))
    await p.mount(fd, "/mnt/a", MREPL)
    await p.mount(fd, "/mnt/b", MREPL)
    p.close(fd)
    assert len(host.servers) == 1
    a, b = await p.stat("/mnt/a"), await p.stat("/mnt/b")
    assert a.qid == b.qid
    assert a.dev != b.dev
    await p.bind("/mnt/a", "/mnt/a", MAFTER)
    assert await listing(p, "/mnt/a") == ["f", "f"]
    assert await listing(p, "/mnt/b") == ["f"]
    await stop(p, host)


async def test_a_mounted_connection_is_no_file_any_more() -> None:
    host = await Host.start(await world())
    p = await world("a/")
    fd = p.fgrp.new(await dial(p.system, host.address))
    await p.mount(fd, "/mnt/a", MREPL)
    assert await failure(p.read(fd)) == "inappropriate use of fd"
    assert await failure(p.write(fd, b"x")) == "inappropriate use of fd"
    p.close(fd)
    await stop(p, host)


async def test_after_the_last_unmount_the_connection_is_hung_up() -> None:
    host = await Host.start(await world("d/"))
    p = await mounted(host)
    await p.bind("/mnt/h/d", "/srv", MREPL)
    await p.unmount(None, "/mnt/h")
    await quiet()
    assert host.servers[0].proc.status is None  # the bind still shows a file of the server
    await p.unmount(None, "/srv")
    await quiet()
    assert host.servers[0].proc.status is not None
    await stop(p, host)


async def test_names_that_were_missing_do_not_keep_the_connection() -> None:
    """An error that is caught must not hold on to the files of the walk until the collector runs."""
    host = await Host.start(await world("d/"))
    p = await mounted(host)
    gc.disable()
    try:
        for name in ("/mnt/h/nosuch", "/mnt/h/d/nosuch", "/mnt/h/nosuch/x"):
            assert "exist" in await failure(p.stat(name))
        await make(p, "/mnt/h/new")
        await p.unmount(None, "/mnt/h")
        async with asyncio.timeout(5):
            await host.servers[0].proc.wait()
    finally:
        gc.enable()
    await stop(p, host)


@pytest.mark.parametrize("unmount_first", [True, False])
async def test_an_open_descriptor_keeps_the_connection(unmount_first: bool) -> None:
    host = await Host.start(await world())
    p = await world("a/")
    fd = p.fgrp.new(await dial(p.system, host.address))
    await p.mount(fd, "/mnt/a", MREPL)
    if unmount_first:
        await p.unmount(None, "/mnt/a")
        await quiet()
        await p.mount(fd, "/mnt/a", MREPL)
        assert await listing(p, "/mnt/a") == []
        await p.unmount(None, "/mnt/a")
        await quiet()
        p.close(fd)
    else:
        p.close(fd)
        await p.unmount(None, "/mnt/a")
    await quiet()
    assert len(host.servers) == 1
    assert host.servers[0].proc.status is not None
    await stop(p, host)


async def test_files_that_nobody_holds_are_clunked() -> None:
    host = await Host.start(await world("d/", "d/f"))
    p = await mounted(host)
    for _ in range(50):
        await p.stat("/mnt/h/d/f")
        assert await content(p, "/mnt/h/d/f") == "f"
    await quiet()
    assert len(host.servers[0]._session._fids) == 1
    await stop(p, host)


async def test_a_clunk_travels_with_another_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsh.dev.mntlink.LINGER", 1000)
    host = await Host.start(await world("d/", "d/f"))
    p = await mounted(host)
    stream, sent = link(p)._stream, []

    def write(parts: Sequence[bytes | memoryview]) -> None:
        sent.append(b"".join(parts))
        type(stream).write(stream, parts)

    monkeypatch.setattr(stream, "write", write)
    for _ in range(3):
        p.close(await p.open("/mnt/h/d/f", OREAD))
    messages = [[type(msg.decode(frame)) for frame in Framer().feed(data)] for data in sent]
    together = [kinds for kinds in messages if msg.Tclunk in kinds]
    assert len(together) > 1
    assert [msg.Tclunk] not in together
    monkeypatch.undo()
    await stop(p, host)


async def test_removing_a_mount_point_leaves_the_mount() -> None:
    owner = await world("d/")
    host = await Host.start(owner, "/mnt/d")
    p = await mounted(host)
    await p.remove("/mnt/h")
    assert await listing(owner, "/mnt") == []
    assert await failure(p.readdir("/mnt/h")) == "clone failed"
    await p.unmount(None, "/mnt/h")
    assert await listing(p, "/mnt/h") == []
    await stop(p, host)


# --- requests that wait ------------------------------------------------------------------------


async def test_a_cancelled_read_is_flushed_and_the_file_can_be_read_again() -> None:
    owner = await world("p/")
    await owner.bind("#|", "/mnt/p", MREPL)
    host = await Host.start(owner)
    p = await mounted(host)
    fd = await p.open("/mnt/h/p/data")
    reader = asyncio.create_task(p.read(fd))
    await asyncio.sleep(0.01)
    session = host.servers[0]._session
    assert session.outstanding == 1
    reader.cancel()
    await asyncio.wait([reader])
    assert reader.cancelled()
    await quiet()
    assert session.outstanding == 0
    out = await owner.open("/mnt/p/data1", 1)
    await owner.write(out, b"kept")
    assert await p.read(fd) == b"kept"
    await stop(p, host)


async def test_a_waiting_read_holds_up_no_other() -> None:
    owner = await world("p/", "f")
    await owner.bind("#|", "/mnt/p", MREPL)
    host = await Host.start(owner)
    p = await mounted(host)
    fd = await p.open("/mnt/h/p/data")
    readers = [asyncio.create_task(p.read(fd)) for _ in range(100)]
    await asyncio.sleep(0.01)
    assert await content(p, "/mnt/h/f") == "f"
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    await stop(p, host)


async def test_walks_cancelled_at_any_moment_leave_no_fid() -> None:
    host = await Host.start(await world("d/", "d/e/", "d/e/f"))
    p = await mounted(host)
    for turns in range(12):
        work = asyncio.create_task(p.readfile("/mnt/h/d/e/f"))
        for _ in range(turns):
            await asyncio.sleep(0.0003 * (turns % 3))
        work.cancel()
        await asyncio.wait([work])
        await quiet()
        del work
        gc.collect()
        await quiet()
        assert len(host.servers[0]._session._fids) == 1
    assert await content(p, "/mnt/h/d/e/f") == "f"
    await stop(p, host)


# --- servers that go, and servers that are none ------------------------------------------------


async def test_a_lost_connection_is_told_once_to_all_who_wait() -> None:
    owner = await world("p/", "f")
    await owner.bind("#|", "/mnt/p", MREPL)
    host = await Host.start(owner)
    p = await mounted(host)
    fd = await p.open("/mnt/h/p/data")
    waiting = [asyncio.create_task(failure(p.read(fd))) for _ in range(3)]
    await asyncio.sleep(0.01)
    await host.stop()
    assert [await w for w in waiting] == ["mount rpc error"] * 3
    assert await failure(p.read(fd)) == "i/o on hungup channel"
    assert await failure(p.stat("/mnt/h/f")) == "'/mnt/h/f' i/o on hungup channel"
    assert await failure(p.readdir("/mnt/h")) == "clone failed"
    await p.unmount(None, "/mnt/h")
    assert await listing(p, "/mnt/h") == []
    p.close(fd)
    await stop(p)


async def test_who_has_asked_is_told_when_the_connection_is_lost() -> None:
    host = await Host.start(await world("f"))
    p = await mounted(host)
    root = await namec(p, "/mnt/h", Access.BIND)
    driver = p.system.device("M")
    assert isinstance(driver, MntDevice)
    told: list[str] = []
    driver.at_hangup(root, lambda: told.append("asked"))
    driver.at_hangup(root, lambda: told.append("asked, and took it back"))()
    await content(p, "/mnt/h/f")
    assert not told
    driver.hangup(root)
    assert told == ["asked"]
    await stop(p, host)


async def test_a_connection_that_died_cannot_be_mounted_again() -> None:
    host = await Host.start(await world())
    p = await world("a/")
    fd = p.fgrp.new(await dial(p.system, host.address))
    await p.mount(fd, "/mnt/a", MREPL)
    await host.stop()
    assert await failure(p.mount(fd, "/mnt/a", MREPL)) == "i/o on hungup channel"
    p.close(fd)
    await stop(p)


Answer = Callable[[msg.Message], bytes]


async def rogue(p: Proc, answer: Answer) -> tuple[int, asyncio.Task[None]]:
    """A descriptor with a server at its end that answers as it likes; b"" hangs up."""
    mine, theirs = await p.pipe()
    end: Chan = p.fgrp.get(theirs).incref()
    p.close(theirs)

    async def serve() -> None:
        framer = Framer(1 << 20)
        with contextlib.suppress(errors.Ewclosed):
            await converse(framer)
        end.close()

    async def converse(framer: Framer) -> None:
        while data := await settle(end.dev.read(end, 65536, 0)):
            for frame in framer.feed(data):
                reply = answer(msg.decode(frame))
                if not reply:
                    return
                await settle(end.dev.write(end, reply, 0))

    return mine, asyncio.create_task(serve())


def version_then(reply: Callable[[msg.Message], msg.Message]) -> Answer:
    """A server whose version and attach are in order."""

    def answer(m: msg.Message) -> bytes:
        if isinstance(m, msg.Tversion):
            return msg.encode(msg.Rversion(m.tag, 8192, "9P2000"))
        if isinstance(m, msg.Tattach):
            return msg.encode(msg.Rattach(m.tag, Qid(QTDIR, 0, 0)))
        if isinstance(m, msg.Twalk):
            return msg.encode(msg.Rwalk(m.tag, tuple(Qid(QTDIR, 0, 1) for _ in m.wname)))
        if isinstance(m, msg.Topen):
            return msg.encode(msg.Ropen(m.tag, Qid(QTDIR, 0, 1), 0))
        if isinstance(m, msg.Tclunk):
            return msg.encode(msg.Rclunk(m.tag))
        return msg.encode(reply(m))

    return answer


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda m: b"", "EOF receiving fversion reply"),
        (lambda m: msg.encode(msg.Rerror(m.tag, "go away")), "go away"),
        (lambda m: msg.encode(msg.Rclunk(m.tag)), "unexpected reply type in fversion"),
        (
            lambda m: msg.encode(msg.Rversion(NOTAG, 1 << 21, "9P2000")),
            "server tries to increase msize in fversion",
        ),
        (lambda m: msg.encode(msg.Rversion(NOTAG, 10, "9P2000")), "nonsense value of msize in fversion"),
        (lambda m: msg.encode(msg.Rversion(NOTAG, 8192, "9P1")), "bad 9P version returned from server"),
    ],
)
async def test_what_is_wrong_with_a_version_is_said(answer: Answer, error: str) -> None:
    p = await world("a/")
    fd, server = await rogue(p, answer)
    assert await failure(p.mount(fd, "/mnt/a", MREPL)) == error
    p.close(fd)
    await server
    await quiet()


@pytest.mark.logs("connection closed")
async def test_a_server_that_does_not_speak_9p() -> None:
    p = await world("a/")
    fd, server = await rogue(p, lambda m: b"HTTP/1.1 400 Bad Request\r\n")
    assert await failure(p.mount(fd, "/mnt/a", MREPL)) == "bad fversion conversion on reply"
    p.close(fd)
    await server
    await quiet()


def entry(name: str) -> bytes:
    return Dir(0, 0, Qid(0, 0, 5), 0o644, 0, 0, 0, name, "u", "g", "m").pack()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x05\0abc", "invalid directory entry received from server"),
        (entry(".."), "bad character in file name: .."),
        (entry("."), "bad character in file name: ."),
        (entry(""), "bad character in file name: ''"),
        (entry("a/b"), "bad character in file name: a/b"),
    ],
)
async def test_directory_entries_of_a_server_are_checked(data: bytes, error: str) -> None:
    p = await world("a/")
    fd, server = await rogue(p, version_then(lambda m: msg.Rread(m.tag, data)))
    await p.mount(fd, "/mnt/a", MREPL)
    p.close(fd)
    assert await failure(p.readdir("/mnt/a")) == error
    await p.unmount(None, "/mnt/a")
    await server
    await quiet()


async def test_a_reply_of_the_wrong_type_is_an_rpc_error() -> None:
    p = await world("a/")
    fd, server = await rogue(p, version_then(lambda m: msg.Rwstat(m.tag)))
    await p.mount(fd, "/mnt/a", MREPL)
    p.close(fd)
    assert await failure(p.stat("/mnt/a")) == "mount rpc error"
    await p.unmount(None, "/mnt/a")
    await server
    await quiet()


async def test_the_device_cannot_be_attached_by_name() -> None:
    p = await world()
    with pytest.raises(errors.Enoattach):
        await p.open("#M", ORDWR)
