"""Who reads and writes what resources do finds the same here and on another host, where files are opened late
and output is asked for ahead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from nsh.dev import mntahead
from nsh.p9.const import OWRITE
from taskfs import gather
from tests.taskfs import host
from tests.taskfs.test_data import small_quota
from tests.taskfs.test_hosts import EMPTY
from tests.taskfs.world import World, world


@asynccontextmanager
async def resources(where: str) -> AsyncIterator[World]:
    """A world whose resources are ``here``, or on another host, that is in this process, too.

    Of that it is known that it does in order what it is asked at once.
    """
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(world())
        w = await stack.enter_async_context(world())
        if where == "there":
            await host.mount(w.p, "far", await host.serve(far.p))
            for _ in range(2):
                await w.echo("release", f"{await w.team(1)}/ctl")
                while await w.ls("/remote/far/remote") != EMPTY:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            [known] = w.device.hosts.met()
            assert known.orderly
        yield w
        if where == "there":
            await w.p.unmount(None, "/remote/far")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_who_stops_reading_holds_no_task_back(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small_quota(monkeypatch)
    async with resources(where) as w:
        s = await w.team(1, "exec seq 200000")
        fd = await w.p.open(f"{s}/stdout")
        assert await w.p.read(fd, 4) == b"1\n2\n"
        w.p.close(fd)
        text = await w.cat(f"{s}/0/stdout")
        assert text.endswith("\n199999\n200000\n")
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_who_never_reads_holds_no_task_back(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SOON", 0.05)
    small_quota(monkeypatch)
    async with resources(where) as w:
        s = await w.team(2, "exec seq 200000")
        whole = "".join(f"{n}\n" for n in range(1, 200001))
        assert await w.cat(f"{s}/1/stdout") == whole
        assert await w.cat(f"{s}/0/stdout") == whole
        assert (await w.cat(f"{s}/stdout")).count("\n200000\n") == 2
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_who_reads_later_finds_what_a_child_runs_now(where: str) -> None:
    async with resources(where) as w:
        s = await w.team(2, "exec true")
        assert await w.cat(f"{s}/wait")
        await w.echo("exec echo itself", f"{s}/1/ctl")
        assert await w.cat(f"{s}/1/wait")
        assert await w.cat(f"{s}/stdout") == "itself\n"
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_who_reads_later_finds_what_all_run_now(where: str) -> None:
    async with resources(where) as w:
        s = await w.team(2, "exec echo one")
        assert await w.cat(f"{s}/wait")
        await w.echo("exec echo two", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "two\ntwo\n"
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_an_exec_that_fails_leaves_nobody_who_reads(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_quota(monkeypatch)
    async with resources(where) as w:
        s = await w.team(1)
        assert await w.refusal("exec /no/such/program", f"{s}/ctl")
        await w.echo("exec seq 200000", f"{s}/0/ctl")
        assert (await w.cat(f"{s}/0/stdout")).endswith("\n199999\n200000\n")
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_all_files_of_a_task_count_as_open_once_whether_they_are_used_or_not(where: str) -> None:
    async with resources(where) as w:
        s = await w.team(1, "exec sh -c 'cat; echo that >&2'")

        async def opens() -> int:
            return int((await w.cat(f"{s}/status")).split()[1])

        assert await opens() == 5
        await w.echo("this", f"{s}/stdin")
        assert await opens() == 5
        assert [await w.cat(f"{s}/{name}") for name in ("stdout", "stderr")] == ["this\n", "that\n"]
        assert await opens() == 5
        assert (await w.cat(f"{s}/wait")).endswith(" ''\n")
        assert await opens() == 5
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_task_whose_input_nobody_has_used_sees_its_end(where: str) -> None:
    async with resources(where) as w:
        s = await w.team(2, "exec cat")
        w.p.close(await w.p.open(f"{s}/stdin", OWRITE))
        assert await w.cat(f"{s}/stdout") == ""
        assert (await w.cat(f"{s}/wait")).count("''\n") == 2
        await w.echo("exec cat", f"{s}/ctl")
        await w.echo("again", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == "again\n" * 2
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_children_are_connected_before_they_run(where: str) -> None:
    async with resources(where) as w:
        s = await w.team(2, "xsplice 0 1")
        await w.echo("exec sh -c 'test %r = 0 && echo through || cat'", f"{s}/ctl")
        assert await w.cat(f"{s}/1/stdout") == "through\n"
        assert [line.split()[1] for line in (await w.cat(f"{s}/status")).splitlines()] == ["5", "5"]
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_first_write_that_is_cut_short_leaves_no_writer_behind(where: str) -> None:
    async with resources(where) as w:
        for turns in range(16):
            s = await w.team(1, "exec cat")
            fd = await w.p.open(f"{s}/stdin", OWRITE)
            writing = asyncio.create_task(w.p.write(fd, b"x"))
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
            w.p.close(fd)
            assert (await w.cat(f"{s}/wait")).endswith("''\n")
            await w.echo("release", f"{s}/ctl")


async def test_who_reads_slowly_what_a_host_merges_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with resources("there") as w:
        s = await w.team(1)
        await w.echo("res 2", f"{s}/0/ctl")
        await w.echo("exec seq 1000", f"{s}/ctl")
        fd = await w.p.open(f"{s}/stdout")
        begun = await w.p.read(fd, 100)
        monkeypatch.setattr(mntahead, "FRESH", 0.0)
        await w.echo("COLOUR=red", f"{s}/0/env")
        assert begun + await w.p.readall(fd) == b"".join(b"%d\n" % n for n in range(1, 1001)) * 2
        w.p.close(fd)
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("below", [0, 2])
async def test_who_reads_later_finds_what_all_run_though_a_child_ran_something_before(
    below: int, where: str
) -> None:
    async with resources(where) as w:
        s = await w.team(1)
        await w.echo(f"res {below}", f"{s}/0/ctl")
        await w.echo("exec echo before", f"{s}/0/ctl")
        assert await w.cat(f"{s}/0/stdout") == "before\n" * max(below, 1)
        await w.echo("exec echo now", f"{s}/ctl")
        await asyncio.sleep(0.05)
        assert await w.cat(f"{s}/stdout") == "now\n" * max(below, 1)
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_silent_task_is_connected_before_it_runs(where: str) -> None:
    async with resources(where) as w:
        s = await w.team(2)
        await w.echo("xsplice 0 1", f"{s}/ctl")
        await asyncio.sleep(0.05)
        await w.echo("exec sh -c 'test %r = 0 && sleep 0.1 && exec seq 5000; exec cat'", f"{s}/ctl")
        assert [line.split()[1] for line in (await w.cat(f"{s}/status")).splitlines()] == ["5", "5"]
        assert await w.cat(f"{s}/1/stdout") == "".join(f"{n}\n" for n in range(1, 5001))
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("where", ["here", "there"])
async def test_who_has_said_that_he_reads_no_more_holds_no_task_back(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_quota(monkeypatch)
    async with resources(where) as w:
        s = await w.team(1, "exec sh -c 'read line; seq 200000'")
        fd = await w.p.open(f"{s}/0/stdout")
        waiting = asyncio.create_task(w.p.pread(fd, 4, 0))
        await asyncio.sleep(0.05)
        assert await w.p.pread(fd, 0, 0) == b""
        await w.echo("go", f"{s}/stdin")
        assert await waiting == b"1\n2\n"
        assert (await w.cat(f"{s}/0/stdout")).endswith("\n200000\n")
        w.p.close(fd)
        await w.echo("release", f"{s}/ctl")


@pytest.mark.parametrize("name", ["stdin", "stderr"])
async def test_a_file_that_was_being_opened_when_its_host_was_lost_counts_once(name: str) -> None:
    async with resources("there") as w:
        [known] = w.device.hosts.met()
        for turns in range(12):
            s = await w.team(1, "exec cat")
            use = w.echo("text", f"{s}/stdin") if name == "stdin" else w.cat(f"{s}/stderr")
            using = asyncio.create_task(use)
            for _ in range(turns):
                await asyncio.sleep(0)
            known.lose()
            assert await known.check()
            await w.echo("closein", f"{s}/ctl")
            await asyncio.gather(using, return_exceptions=True)
            assert (await w.cat(f"{s}/wait")).endswith("''\n")
            assert (await w.cat(f"{s}/status")).split()[1] == "5"
            await w.echo("release", f"{s}/ctl")
