"""Requests that travel together, with servers that do in order what they are asked, and with others."""

from __future__ import annotations

import asyncio
import gc

import pytest

from nsh.dev.mntmany import begin_clone, begin_walks, end_clone, end_walks, open_and_tell
from nsh.errors import P9Error
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9 import msg
from nsh.p9.const import ORDWR, OREAD, OWRITE
from tests.dev.test_mnt import mounted, rogue, stop, version_then
from tests.kern.world import content, world
from tests.net.peers import Host, quiet


async def found(p: Proc, name: str) -> Chan:
    return await namec(p, name, Access.BIND)


def fids(host: Host) -> int:
    """How many the only client of this host has there."""
    return len(host.servers[0]._session._fids)


async def settled(host: Host) -> int:
    """The same, when nothing of a test is left."""
    gc.collect()
    await quiet()
    return fids(host)


async def test_several_files_are_walked_to() -> None:
    host = await Host.start(await world("d/", "d/f", "d/g"))
    p = await mounted(host)
    top = await found(p, "/mnt/h")
    named = (await found(p, "/mnt/h/d")).path.parent
    assert named is not None
    d, f, none, half = await end_walks(begin_walks(top, named, [("d",), ("d", "f"), ("x",), ("d", "x")]))
    assert isinstance(d, Chan) and isinstance(f, Chan) and str(f.path) == "/mnt/h/d/f"
    assert f.qid == (await p.stat("/mnt/h/d/f")).qid
    assert isinstance(none, P9Error) and isinstance(half, P9Error)
    assert await settled(host) == 3  # the root, and the two
    f = await settle(f.dev.open(f, OREAD))
    assert await settle(f.dev.read(f, 10, 0)) == b"f"
    f.close()
    del d, f, top
    assert await settled(host) == 1
    await stop(p, host)


async def test_a_file_is_opened_again_written_and_read() -> None:
    host = await Host.start(await world("f"))
    p = await mounted(host)
    file = await found(p, "/mnt/h/f")
    c, wrote, read = await end_clone(begin_clone(file, ORDWR, b"new", 10))
    assert (wrote, read) == (3, b"new")
    assert await settle(c.dev.write(c, b"er", 3)) == 2
    c.close()
    assert await content(host.p, "/mnt/f") == "newer"
    await host.p.remove("/mnt/f")
    with pytest.raises(P9Error):
        await end_clone(begin_clone(file, ORDWR, b"x", 10))
    del c, file
    assert await settled(host) == 1
    await stop(p, host)


async def test_a_file_is_opened_and_another_written_to_at_once() -> None:
    host = await Host.start(await world("d/", "d/f", "h"))
    p = await mounted(host)
    top = await found(p, "/mnt/h")
    h = await namec(p, "/mnt/h/h", Access.OPEN, OWRITE)
    [f] = await end_walks(begin_walks(top, top.path, [("d", "f")]))
    assert isinstance(f, Chan)
    opened, wrote = await open_and_tell(f, OREAD, h, b"22")
    assert opened is f and wrote == 2
    assert await settle(f.dev.read(f, 10, 0)) == b"f" and await content(host.p, "/mnt/h") == "22"
    [g] = await end_walks(begin_walks(top, top.path, [("d", "f")]))
    assert isinstance(g, Chan)
    opened, wrote = await open_and_tell(g, OREAD, f, b"333")
    assert opened is g and isinstance(wrote, P9Error)
    for c in (f, g, h):
        c.close()
    del c, f, g, h, opened, wrote, top
    assert await settled(host) == 1
    await stop(p, host)


@pytest.mark.parametrize("work", ["walk", "open", "clone"])
async def test_what_is_cancelled_at_any_moment_leaves_no_fid(work: str) -> None:
    host = await Host.start(await world("d/", "d/f", "g"))
    p = await mounted(host)

    async def do() -> None:
        top = await found(p, "/mnt/h/d")
        if work == "clone":
            await end_clone(begin_clone(await found(p, "/mnt/h/d/f"), ORDWR, b"text", 10))
        else:
            files = await end_walks(begin_walks(top, top.path, [("f",), ("x",), ("f",)]))
            if work == "open" and isinstance(files[0], Chan):
                control = await namec(p, "/mnt/h/g", Access.OPEN, OWRITE)
                await open_and_tell(files[0], OREAD, control, b"text")

    for turns in range(24):
        doing = asyncio.create_task(do())
        for _ in range(turns):
            await asyncio.sleep(0.0003 * (turns % 3))
        doing.cancel()
        await asyncio.wait([doing])
        del doing
        assert await settled(host) == 1
    await stop(p, host)


async def test_a_server_may_do_it_in_another_order() -> None:
    opens = 0
    asked: list[str] = []

    def reply(m: msg.Message) -> msg.Message:
        if opens < 2:
            return msg.Rerror(m.tag, "fid is not open")
        return msg.Rwrite(m.tag, len(m.data)) if isinstance(m, msg.Twrite) else msg.Rread(m.tag, b"7")

    in_order = version_then(reply)

    def answer(m: msg.Message) -> bytes:
        nonlocal opens
        asked.append(type(m).__name__)
        if isinstance(m, msg.Topen):
            opens += 1
            if opens == 1:
                return msg.encode(msg.Rerror(m.tag, "unknown fid"))
        return in_order(m)

    p = await world("a/")
    fd, server = await rogue(p, answer)
    await p.mount(fd, "/mnt/a", MREPL)
    p.close(fd)
    file = await found(p, "/mnt/a/clone")
    c, wrote, read = await end_clone(begin_clone(file, ORDWR, b"below", 32))
    assert (wrote, read) == (5, b"7")
    assert asked[-7:] == ["Twalk", "Topen", "Twrite", "Tread", "Topen", "Twrite", "Tread"]
    c.close()
    del c, file
    await p.unmount(None, "/mnt/a")
    await server
    await stop(p)
