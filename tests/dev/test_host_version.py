"""The version of a host file tells of every change, also where the host's times do not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nsh.dev import hostid
from nsh.dev.hostid import HostQids
from nsh.kern.mnt import MCACHE, MCREATE, MREPL
from nsh.kern.proc import Proc
from nsh.net.dial import dial
from nsh.p9.const import OTRUNC, OWRITE
from nsh.p9.stat import Dir
from tests.kern.world import world
from tests.net.peers import Host, quiet

LONG_AGO = 10**18 + 5
"""A time of a file, in nanoseconds."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "f"
    rewrite(file, b"one")
    return file


def set_back(file: Path, mtime: int = LONG_AGO) -> None:
    """Let the file look as if it had not changed, as a clock with long ticks does."""
    os.utime(file, ns=(mtime, mtime))


def rewrite(file: Path, data: bytes, mtime: int = LONG_AGO) -> None:
    """Change the file from outside, at that time."""
    file.write_bytes(data)
    set_back(file, mtime)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> int:
    """The time, which stands still."""
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    return now


async def version(p: Proc, file: Path) -> int:
    return (await p.stat(f"#U{file}")).qid.vers


async def test_a_write_is_another_version_in_the_same_tick(file: Path) -> None:
    p = await world()
    seen = {await version(p, file)}
    fd = await p.open(f"#U{file}", OWRITE)
    for _ in range(10):
        await p.pwrite(fd, b"two", 0)
        set_back(file)
        seen.add(await version(p, file))
        seen.add((await p.fstat(fd)).qid.vers)
    assert len(seen) == 11
    p.close(fd)


async def test_so_is_a_truncation(file: Path) -> None:
    p = await world()
    before = await version(p, file)
    p.close(await p.open(f"#U{file}", OWRITE | OTRUNC))
    rewrite(file, b"two")
    assert await version(p, file) != before


@pytest.mark.parametrize("change", [Dir.dont_touch(length=2), Dir.dont_touch(mtime=10**9 + 1)])
async def test_so_is_a_wstat(file: Path, change: Dir) -> None:
    p = await world()
    before = await version(p, file)
    await p.wstat(f"#U{file}", change)
    rewrite(file, b"two")
    assert await version(p, file) != before


async def test_a_change_of_the_name_is_none(file: Path) -> None:
    p = await world()
    before = await version(p, file)
    await p.wstat(f"#U{file}", Dir.dont_touch(name="g"))
    assert await version(p, file.with_name("g")) == before != 0


@pytest.mark.parametrize("tick", [1, 10**9])
async def test_what_others_may_change_once_more_has_no_version_yet(file: Path, now: int, tick: int) -> None:
    p = await world()
    set_back(file, now - now % tick)
    assert await version(p, file) == 0
    set_back(file, now - 5 * 10**9)
    assert await version(p, file) != 0


async def test_what_we_have_changed_has_one_but_not_for_long(
    file: Path, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = await world()
    fd = await p.open(f"#U{file}", OWRITE)
    await p.write(fd, b"two")
    p.close(fd)
    young = await version(p, file)
    assert young == await version(p, file) != 0
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**10)
    assert await version(p, file) not in (0, young)


async def test_no_stale_data_is_kept_of_a_file_that_others_change(file: Path, now: int) -> None:
    owner = await world()
    await owner.bind(f"#U{file.parent}", "/mnt", MREPL | MCREATE)
    host = await Host.start(owner)
    p = await world("h/")
    fd = p.fgrp.new(await dial(p.system, host.address))
    await p.mount(fd, "/mnt/h", MREPL | MCACHE)
    p.close(fd)
    for data in (b"two", b"six", b"ten"):
        rewrite(file, data, now)
        assert await p.readfile("/mnt/h/f") == data
    p.exit()
    await quiet()
    await host.stop()


def test_the_changes_that_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr(hostid, "_CHANGES", 3)
    qids = HostQids()
    status = os.stat(file)
    before = qids.qid(status, str(file))
    for path in (*range(5), before.path, 5, 6):
        qids.changed(path)
    assert qids.qid(status, str(file)) != before
    qids.changed(7)
    assert qids.qid(status, str(file)) == before, "it was forgotten, as the oldest"
