"""The start of a file that was asked for when it was opened, before anybody read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nsh.dev import mntahead
from nsh.dev.mntmany import begin_walks, end_walks, open_and_tell
from nsh.errors import P9Error
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.p9 import msg
from nsh.p9.const import OREAD, OWRITE
from nsh.p9.stat import Qid
from tests.dev.test_mnt import mounted, rogue, stop, version_then
from tests.kern.world import content, world
from tests.net.peers import Host, quiet


class Foreseen:
    """``file``: one of ``owner``'s, opened over a connection to ``host``, its start asked for."""

    def __init__(self, owner: Proc, host: Host, p: Proc, file: Chan) -> None:
        self.owner, self.host, self.p, self.file = owner, host, p, file

    async def read(self, count: int, offset: int) -> bytes:
        return await settle(self.file.dev.read(self.file, count, offset))

    async def change(self, text: str) -> None:
        """Give the file another content, unseen by us."""
        await self.owner.writefile("/mnt/f", text.encode())

    @property
    def waiting(self) -> int:
        """Requests that the server has not answered."""
        return self.host.servers[0]._session.outstanding


@asynccontextmanager
async def foreseen(name: str = "f", text: str = "before") -> AsyncIterator[Foreseen]:
    """A `Foreseen` of the file ``name`` whose start has come, if it has one."""
    owner = await world("f", "g", "p/")
    await owner.writefile("/mnt/f", text.encode())
    await owner.bind("#|", "/mnt/p", MREPL)
    host = await Host.start(owner)
    p = await mounted(host)
    top = await namec(p, "/mnt/h", Access.BIND)
    [c] = await end_walks(begin_walks(top, top.path, [tuple(name.split("/"))]))
    assert isinstance(c, Chan)
    control = await namec(p, "/mnt/h/g", Access.OPEN, OWRITE)
    assert await open_and_tell(c, OREAD, control, b"go") == (c, 2)
    await quiet()
    yield Foreseen(owner, host, p, c)
    c.close()
    control.close()
    await quiet()
    assert host.servers[0]._session.outstanding == 0
    del c, top, control
    await stop(p, host)


async def test_what_has_come_is_read_once_and_then_the_server_is_asked() -> None:
    async with foreseen() as f:
        await f.change("after that")
        assert [await f.read(n, at) for n, at in ((2, 0), (3, 2), (100, 5))] == [b"be", b"for", b"e"]
        assert await f.read(100, 6) == b"that"
        assert await f.read(100, 0) == b"after that"


async def test_only_the_start_is_asked_for_and_once_more_when_somebody_reads() -> None:
    size = mntahead.SIZE
    async with foreseen(text="x" * (4 * size)) as f:
        await f.change("y" * (4 * size))
        assert await f.read(1 << 20, 0) == b"x" * size
        await quiet()
        await f.change("z" * (4 * size))
        assert [await f.read(1 << 20, size), await f.read(size, 2 * size)] == [b"y" * size, b"z" * size]


@pytest.mark.parametrize("offset", [0, 3])
async def test_who_reads_elsewhere_asks_the_server(offset: int) -> None:
    async with foreseen() as f:
        assert await f.read(1, 0) == b"b"
        await f.change("after")
        assert await f.read(100, offset) == b"after"[offset:]
        assert await f.read(100, 1) == b"fter"


async def test_what_came_long_ago_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mntahead, "FRESH", 0.0)
    async with foreseen() as f:
        await f.change("after")
        assert await f.read(100, 0) == b"after"


async def test_what_came_before_something_was_written_is_not_believed() -> None:
    async with foreseen() as f:
        await f.change("after")
        await f.p.writefile("/mnt/h/g", b"do it")
        assert await f.read(100, 0) == b"after"


async def test_who_has_begun_to_read_gets_all_that_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async with foreseen() as f:
        await f.change("after that")
        assert await f.read(2, 0) == b"be"
        monkeypatch.setattr(mntahead, "FRESH", 0.0)
        await f.p.writefile("/mnt/h/g", b"do it")
        assert (await f.read(100, 2)).startswith(b"fore")


async def test_an_error_is_told_to_who_reads_once() -> None:
    errors = iter(["out of paper"])

    def answer(m: msg.Message) -> bytes:
        match m:
            case msg.Topen():
                return msg.encode(msg.Ropen(m.tag, Qid(0, 0, 1), 0))
            case msg.Twrite():
                return msg.encode(msg.Rwrite(m.tag, len(m.data)))
            case msg.Tread():
                error = next(errors, "")
                return msg.encode(msg.Rerror(m.tag, error) if error else msg.Rread(m.tag, b"more"))
        return version_then(lambda m: msg.Rflush(m.tag))(m)

    p = await world("h/")
    fd, server = await rogue(p, answer)
    await p.mount(fd, "/mnt/h", MREPL)
    p.close(fd)
    top = await namec(p, "/mnt/h", Access.BIND)
    control = await namec(p, "/mnt/h/g", Access.OPEN, OWRITE)
    [c] = await end_walks(begin_walks(top, top.path, [("f",)]))
    assert isinstance(c, Chan)
    await open_and_tell(c, OREAD, control, b"go")
    with pytest.raises(P9Error, match="out of paper"):
        await settle(c.dev.read(c, 100, 0))
    assert await settle(c.dev.read(c, 100, 0)) == b"more"
    c.close()
    control.close()
    del c, control, top
    await p.unmount(None, "/mnt/h")
    await stop(p)
    await server


async def test_who_reads_nothing_does_without() -> None:
    async with foreseen() as f:
        await f.change("after")
        assert await f.read(0, 0) == b""
        assert await f.read(100, 0) == b"after"


async def test_a_reader_waits_for_what_is_under_way() -> None:
    async with foreseen("p/data") as f:
        assert f.waiting == 1
        first = asyncio.create_task(f.read(100, 0))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait([first])
        assert f.waiting == 1  # for who comes next
        second = asyncio.create_task(f.read(100, 0))
        out = await f.owner.open("/mnt/p/data1", OWRITE)
        await f.owner.write(out, b"one")
        assert await second == b"one"
        await f.owner.write(out, b"two")
        assert await f.read(100, 3) == b"two"


@pytest.mark.parametrize("how", ["elsewhere", "nothing", "close"])
async def test_what_is_under_way_and_not_wanted_is_flushed(how: str) -> None:
    async with foreseen("p/data") as f:
        assert f.waiting == 1
        if how == "close":
            return
        reader = asyncio.create_task(f.read(100, 7) if how == "elsewhere" else f.read(0, 0))
        out = await f.owner.open("/mnt/p/data1", OWRITE)
        await quiet()
        assert f.waiting == (how == "elsewhere")
        await f.owner.write(out, b"text")
        assert await reader == (b"text" if how == "elsewhere" else b"")


async def test_a_file_that_cannot_be_opened_is_not_read() -> None:
    owner = await world("d/", "g")
    host = await Host.start(owner)
    p = await mounted(host)
    top = await namec(p, "/mnt/h", Access.BIND)
    control = await namec(p, "/mnt/h/g", Access.OPEN, OWRITE)
    [c] = await end_walks(begin_walks(top, top.path, [("d",)]))
    assert isinstance(c, Chan)
    opened, wrote = await open_and_tell(c, OWRITE, control, b"go")
    assert isinstance(opened, P9Error) and wrote == 2
    await quiet()
    assert host.servers[0]._session.outstanding == 0
    assert await content(owner, "/mnt/g") == "go"
    control.close()
    del c, top, control, opened
    await stop(p, host)


async def test_a_lost_connection_is_told_to_who_reads() -> None:
    async with foreseen("p/data") as f:
        reader = asyncio.create_task(f.read(100, 0))
        await asyncio.sleep(0.01)
        await f.host.stop()
        with pytest.raises(P9Error, match="hungup"):
            await reader
