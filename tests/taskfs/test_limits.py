"""What one client can make of sessions is bounded, and however much it is, others are served meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from nsh.cmd import find
from nsh.dev.mnt import Link, MntDevice
from nsh.errors import Elimit
from nsh.kern.proc import RFNOTEG
from nsh.p9.const import ORDWR
from taskfs import owner, session
from tests.taskfs import host
from tests.taskfs.test_hosts import remote
from tests.taskfs.world import SESSION_FILES, World, world


@pytest.mark.parametrize("n", ["4097", "20000000", "99999999999", "9" * 4000])
async def test_more_resources_than_a_session_may_have_are_refused_and_none_is_made(n: str) -> None:
    async with world() as w:
        s = await w.clone()
        why = await w.refusal(f"res {n}", f"{s}/ctl")
        assert why.startswith("too many resources: ") and why.endswith(", at most 4096 in a session")
        assert await w.ls(s) == SESSION_FILES
        assert len(w.device.sessions) == 1
        await w.echo("res 2", f"{s}/ctl")


async def test_the_bound_is_on_what_a_session_has_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAXCHILDREN", 3)
    async with world() as w:
        s = await w.team(2)
        assert await w.refusal("res 2", f"{s}/ctl") == "too many resources: 4, at most 3 in a session"
        assert await w.ls(s) == sorted([*SESSION_FILES, "0", "1"])
        await w.echo("res 1", f"{s}/ctl")


async def test_each_shell_or_connection_has_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "MAXSESSIONS", 4)
    async with world() as w:
        s = await w.team(2)
        assert await w.refusal("res 2", f"{s}/ctl") == "too many sessions: 5, at most 4 together"
        await w.clone()
        with pytest.raises(Elimit, match="too many sessions"):
            await w.clone()
        other = w.p.fork(RFNOTEG)
        await World(other).on_behalf_of(other, w.p.stat("/task/remote/0"))
        assert await w.on_behalf_of(other, other.readfile("/task/remote/clone")) == b"4"
        other.exit()
        await w.echo("release", f"{s}/ctl")
        await w.team(2)


async def test_what_a_user_has_detached_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "MAXSESSIONS", 4)
    async with world() as w:
        s, t = await w.team(2, "detach"), await w.team(1)
        assert await w.refusal("detach", f"{t}/ctl") == "too many sessions: 5, at most 4 together"
        await w.echo("release", f"{s}/ctl")
        await w.echo("detach", f"{t}/ctl")
        await w.echo("release", f"{t}/ctl")


async def test_a_detached_session_keeps_its_resources_when_its_connection_ends() -> None:
    async with world() as w:
        q = w.p.fork(RFNOTEG)
        s = await World(q).on_behalf_of(q, World(q).team(2, "detach"))
        q.exit()
        await w.device.settled()
        await w.echo("exec echo here", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "here\n" * 2
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        assert not w.device.sessions


async def under_way(w: World, n: int) -> None:
    """Return when ``n`` sessions have been made."""
    while len(w.device.sessions) < n:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_a_res_ends_when_its_session_is_released() -> None:
    async with world() as w:
        s = await w.clone()
        fd = await w.p.open(f"{s}/ctl", ORDWR)
        res = asyncio.create_task(w.refusal("res 4000", f"{s}/ctl"))
        await under_way(w, 50)
        await w.p.write(fd, b"release")
        made = len(w.device.sessions)
        assert await res == "i/o on hungup channel"
        assert made < 2000
        w.p.close(fd)
        await w.device.settled()
        assert not w.device.sessions


async def test_a_res_ends_with_its_connection_and_leaves_nothing() -> None:
    async with world() as w:
        await find("mount")(w.p, ["mount", "-A", f"tcp!127.0.0.1!{await host.serve(w.p)}", "/n/client"])
        fd = await w.p.open("/n/client/remote/clone", ORDWR)
        res = asyncio.create_task(w.p.write(fd, b"res 4000"))
        await under_way(w, 50)
        root = await w.p.open("/n/client")
        cast(MntDevice, w.p.fgrp.get(root).dev).hangup(w.p.fgrp.get(root))
        with pytest.raises(OSError):
            await res
        made = len(w.device.sessions)
        while w.device.sessions:
            made = max(made, len(w.device.sessions))
            await asyncio.sleep(0)
        assert made < 2000
        w.p.close(fd)
        w.p.close(root)
        await w.p.unmount(None, "/n/client")
    # what was cloned is given back in the background, many after many
    while rest := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(rest)


@pytest.mark.parametrize("message", ["res 2000", "release"])
async def test_others_are_served_while_much_is_reserved_or_given_back(message: str) -> None:
    async with world() as w:
        await find("mount")(w.p, ["mount", "-A", f"tcp!127.0.0.1!{await host.serve(w.p)}", "/n/client"])
        s = await w.team(4000) if message == "release" else await w.clone()
        sizes = set()
        change = asyncio.create_task(w.echo(message, f"{s}/ctl"))
        while not change.done() or (message == "release" and w.device.sessions):
            await w.p.stat("/n/client/remote/clone")
            sizes.add(len(w.device.sessions))
        await change
        assert len(sizes) > 5
        await w.p.unmount(None, "/n/client")


async def test_others_are_served_while_the_status_of_many_is_made() -> None:
    async with world() as w:
        s = await w.team(2000)
        report = asyncio.create_task(w.cat(f"{s}/status"))
        turns = 0
        while not report.done():
            await asyncio.sleep(0)
            turns += 1
        assert len((await report).splitlines()) == 2000
        assert turns > 5


async def test_work_that_gives_way_goes_on_in_each_turn_however_long_others_take() -> None:
    mine, others = owner.Turn(), 0

    async def step() -> None:
        await mine.give()
        time.sleep(2 * owner.SLICE)  # noqa: ASYNC251 - this is work, and waits for nothing

    steps = asyncio.gather(*(step() for _ in range(20)))
    while not steps.done():
        time.sleep(2 * owner.SLICE)  # noqa: ASYNC251
        await asyncio.sleep(0)
        others += 1
    assert 20 <= others < 30


async def calls(work: Coroutine[Any, Any, Any]) -> int:
    """How many functions are called until ``work`` is done."""
    count = Counter[str]()

    def profile(frame: object, event: str, arg: object) -> None:
        count[event] += 1

    sys.setprofile(profile)
    try:
        await work
    finally:
        sys.setprofile(None)
    return count["call"] + count["c_call"]


async def test_the_cost_of_a_child_does_not_grow_with_their_number() -> None:
    async with world() as w:
        few, many = await w.clone(), await w.clone()
        works: list[Callable[[str, int], Coroutine[Any, Any, Any]]] = [
            lambda s, n: w.echo(f"res {n}", f"{s}/ctl"),
            lambda s, n: w.cat(f"{s}/status"),
            lambda s, n: w.ls(s),
            lambda s, n: w.echo("release", f"{s}/ctl"),
        ]
        for work in works:
            assert await calls(work(many, 500)) / 500 < 1.5 * await calls(work(few, 50)) / 50 + 10


@pytest.mark.parametrize(
    "names", ["h[0-9999999999]", "h[0-10000]", "a[1-6000] b[1-6000]", "h[1-6000,1-6000]"]
)
async def test_names_of_hosts_are_counted_before_they_are_made(names: str) -> None:
    async with world() as w:
        s = await w.clone()
        assert await w.refusal(f"hosts {names}", f"{s}/ctl")


async def test_the_helpers_stay_for_the_next_task() -> None:
    async with world() as w:
        pids = []
        for _ in range(2):
            s = await w.clone()
            await w.echo("exec true", f"{s}/ctl")
            await w.cat(f"{s}/wait")
            await w.echo("release", f"{s}/ctl")
            pids.append(w.device.guard._helpers)
        assert pids[0] == pids[1]


async def test_one_task_on_one_host_takes_few_round_trips(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that are sent together are one round trip: res takes 4, exec 2, the output 2."""
    monkeypatch.setattr(owner, "SLICE", 1.0)
    async with remote(tmp_path) as r, world() as w:
        await host.mount(w.p, "h", r.port)
        await w.team(1)  # the host is known, and listened to, from now on
        trips = 0
        waiting = 0
        ask = Link._rpc

        async def counted(link: Link, message: Any) -> Any:
            nonlocal trips, waiting
            trips += waiting == 0
            waiting += 1
            try:
                return await ask(link, message)
            finally:
                waiting -= 1

        monkeypatch.setattr(Link, "_rpc", counted)
        s = await w.team(1, "exec echo hi")
        assert await w.cat(f"{s}/stdout") == "hi\n"
        assert trips <= 8
        await w.p.unmount(None, "/remote/h")
