"""The blocking client, against a server in another thread's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from nsh import errors
from nsh.kern.mnt import MREPL
from nsh.net import sync
from nsh.p9.const import DMDIR, OREAD
from nsh.p9.stat import Dir
from tests.kern.world import content, make, world
from tests.net.peers import Host, quiet

T = TypeVar("T")


async def using(host: Host, work: Callable[[sync.Client], T]) -> T:
    """Run ``work`` with a client of ``host``, beside the loop."""

    def connected() -> T:
        with sync.connect(host.address, timeout=10) as fs:
            return work(fs)

    try:
        return await asyncio.to_thread(connected)
    finally:
        await quiet()


async def test_files_are_read_written_made_and_removed() -> None:
    p = await world("d/", "d/f")
    host = await Host.start(p)

    def work(fs: sync.Client) -> None:
        assert fs.listdir() == ["d"]
        assert fs.read("d/f") == b"f"
        assert fs.write("d/f", b"longer") == 6
        with fs.create("d/new") as f:
            f.write(b"a")
            f.write(b"b")
        with fs.create("d/sub", DMDIR | 0o755, OREAD):
            pass
        fs.wstat("d/sub", Dir.dont_touch(name="dir"))
        assert fs.stat("d/dir").isdir
        fs.remove("d/f")

    await using(host, work)
    assert await content(p, "/mnt/d/new") == "ab"
    assert sorted(d.name for d in await p.readdir("/mnt/d")) == ["dir", "new"]
    await host.stop()


async def test_large_files_go_in_pieces() -> None:
    p = await world()
    await make(p, "/mnt/big", "0123456789" * 30_000)
    host = await Host.start(p)
    assert await using(host, lambda fs: fs.read("big")) == b"0123456789" * 30_000
    await host.stop()


async def test_errors_are_the_classes_of_nsh() -> None:
    host = await Host.start(await world("d/"))

    def work(fs: sync.Client) -> None:
        with pytest.raises(FileNotFoundError, match="file does not exist"):
            fs.read("nosuch")
        with pytest.raises(FileNotFoundError, match="'d/nosuch' does not exist"):
            fs.read("d/nosuch/x")
        with pytest.raises(errors.Eperm):
            fs.write("d", b"x")
        assert fs.listdir() == ["d"]

    await using(host, work)
    await host.stop()
    with pytest.raises(ConnectionRefusedError):
        sync.connect(host.address)


async def test_no_fid_is_left_behind() -> None:
    host = await Host.start(await world("d/", "d/f"))

    def work(fs: sync.Client) -> int:
        for _ in range(10):
            fs.read("d/f")
            fs.stat("d/f")
            with pytest.raises(FileNotFoundError):
                fs.read("d/nosuch")
        return len(host.servers[0]._session._fids)

    assert await using(host, work) == 1
    await host.stop()


async def test_a_server_that_goes_is_an_rpc_error_and_then_a_hangup() -> None:
    p = await world("p/")
    await p.bind("#|", "/mnt/p", MREPL)
    host = await Host.start(p)

    def work(fs: sync.Client) -> None:
        with fs.open("p/data") as f:
            with pytest.raises(errors.Emountrpc):
                f.read()
            with pytest.raises(errors.Ehungup):
                f.read()

    task = asyncio.create_task(using(host, work))
    await asyncio.sleep(0.1)
    await host.stop()
    await task
