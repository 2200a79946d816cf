"""tasks: the table of what taskfs runs, and how it follows what changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nsh import cmd
from nsh.cmd import tasks
from nsh.cmd.tasktable import span
from nsh.kern.proc import INTERRUPT, RFCFDG
from tests.cmd.hosts import hosts, mount, unmount
from tests.cmd.session import Result, Session
from tests.taskfs.world import World, world


def table(text: str) -> list[list[str]]:
    """The words of the lines of a table, without its header."""
    return [line.split() for line in text.splitlines()[1:]]


async def ended(w: World, session: str, count: int) -> None:
    """Wait until so many tasks of a session have ended."""
    while (await w.cat(f"{session}/status")).count(" Done ") < count:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_tasks_that_are_alike_are_one_line() -> None:
    async with world() as w:
        s = Session(w.p)
        assert await s.out("tasks") == "SESSION  STATE  TASKS  TIME  COMMAND  HOSTS  RANKS\n"
        first = await w.team(6, "exec sh -c 'case %r in [02]) exit;; [13]) exit 4;; esac; exec sleep 100'")
        await ended(w, first, 4)
        await w.clone()
        lines = table(await s.out("tasks"))
        assert [line[:2] for line in lines] == [["0", "running"], ["0", "done"], ["0", "exit:"], ["7", "new"]]
        assert [line[-1] for line in lines] == ["4-5", "0,2", "1,3", "-"]
        await w.echo("kill", f"{first}/ctl")
        await w.cat(f"{first}/wait")
        assert "signal: 15" in await s.out("tasks")


async def test_every_task_can_have_its_line_and_some_sessions_can_be_chosen() -> None:
    async with world() as w:
        s = Session(w.p)
        for _ in range(2):
            await w.cat(await w.team(2, "exec true") + "/wait")
        lines = table(await s.out("tasks", "-a"))
        assert [(line[0], line[2], line[-1]) for line in lines] == [
            (session, "1", rank) for session in "03" for rank in "01"
        ]
        assert [line[0] for line in table(await s.out("tasks", "3"))] == ["3"]
        assert [line[0] for line in table(await s.out("tasks", "1", "3"))] == [
            "1",
            "3",
        ]  # 1 is a resource of 0
        assert await s.run("tasks", "3", "17", "16") == Result(
            "", "tasks: no session 16 17\n", "no session 16 17"
        )


async def test_of_a_tree_every_task_is_shown_though_not_its_place() -> None:
    async with world() as w:
        session = await w.team(2)
        for rank in "01":
            await w.echo("res 2", f"{session}/{rank}/ctl")
        await w.cat(await w.team(1, "exec true") + "/wait")
        await w.echo("exec sh -c 'exit %r'", f"{session}/ctl")
        await w.cat(f"{session}/wait")
        lines = table(await Session(w.p).out("tasks"))
        assert [(line[0], line[-1]) for line in lines] == [("0", "-"), ("0", "-"), ("7", "0")]
        assert [line[1:-4] for line in lines[:2]] == [["done", "2"], ["exit:", "1", "2"]]


async def test_sessions_can_be_released() -> None:
    async with world() as w:
        s = Session(w.p)
        await w.team(2, "exec sleep 100")
        await w.clone()
        assert await s.run("tasks", "-k", "0", "9", "3") == Result("", "tasks: no session 9\n", "errors")
        assert table(await s.out("tasks")) == []


@pytest.mark.parametrize("argv", [["-k"], ["-kf", "0"], ["x"], ["-x"], ["٣"], ["-1"]])
async def test_a_wrong_call_gives_the_usage(argv: list[str]) -> None:
    async with world() as w:
        assert await Session(w.p).run("tasks", *argv) == Result("", f"usage: tasks {tasks.USAGE}\n", "usage")


async def test_hosts_and_what_is_lost_with_them(tmp_path: Path) -> None:
    async with hosts(tmp_path, 3) as some, world() as w:
        await mount(w.p, some)
        s = Session(w.p)
        session = await w.team(6, "exec sleep 100")
        out = await s.out("tasks")
        assert table(out)[0] == ["0", "running", "6", "-", "sleep", "host[1-3]", "0-5"]
        assert out.endswith("\n\nHOSTS      STATE  TASKS\nhost[1-3]  up         6\n")
        await some[1].kill()
        while "Lost" not in await w.cat(f"{session}/status"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        out = await s.out("tasks")
        assert [line[:2] + line[5:6] for line in table(out)[:2]] == [
            ["0", "running", "host[1,3]"],
            ["0", "lost", "host2"],
        ]
        assert out.endswith("HOSTS      STATE  TASKS\nhost2      dead       2\nhost[1,3]  up         4\n")
        await w.echo("release", f"{session}/ctl")
        await w.device.settled()
        await unmount(w.p, some)


async def test_a_taskfs_elsewhere_is_shown_as_far_as_it_may_be_seen(tmp_path: Path) -> None:
    async with hosts(tmp_path, 1) as (host,), world() as w:
        await cmd.find("mount")(w.p, ["mount", "-A", host.address, "/task"])
        s = Session(w.p)
        session = await w.team(3, "exec sh -c 'test %r = 0 || exec sleep 100'")
        await ended(w, session, 1)
        lines = table(await s.out("tasks"))
        assert [line[:3] + line[4:] for line in lines] == [
            ["0", "running", "2", "sh", "-", "1-2"],
            ["0", "done", "1", "sh", "-", "0"],
        ]
        await w.echo("release", f"{session}/ctl")
        await w.p.unmount(None, "/task")


async def test_without_a_terminal_changes_are_told_as_they_come() -> None:
    async with world() as w:
        p = w.p.fork(RFCFDG)
        for name in ("in", "out", "err"):
            await p.create(f"#Rstdio/{name}")
        task = p.start(lambda p: cmd.run(cmd.find("tasks"), p, ["tasks", "-f"]))

        async def told(count: int) -> list[list[str]]:
            while (await w.p.readfile("#Rstdio/out")).count(b"\n") < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            return [line.split() for line in (await w.p.readfile("#Rstdio/out")).decode().splitlines()]

        session = await w.team(2, "exec sh -c 'test %r = 0 || exec sleep 100'")
        await ended(w, session, 1)
        lines = await told(2)
        assert ["0", "running", "1", "-", "sh"] in [line[:5] for line in lines]
        assert ["0", "done", "1"] in [line[:3] for line in lines]
        before = len(lines)
        await w.echo("release", f"{session}/ctl")
        assert (await told(before + 1))[-1] == ["0", "released"]
        task.cancel(INTERRUPT)
        assert await p.wait() == "interrupted"


def test_times() -> None:
    assert [span(seconds) for seconds in (0.04, 9.94, 12.3, 59.4, 75, 3700)] == [
        "0.0s", "9.9s", "12s", "59s", "1:15", "1:01:40",
    ]  # fmt: skip
