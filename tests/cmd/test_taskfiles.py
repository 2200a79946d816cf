"""What the files of taskfs say is read as it is meant, and what they could not say is refused."""

from __future__ import annotations

import asyncio

import pytest

from nsh.cmd.progress import bar, clock, line
from nsh.cmd.taskfiles import TOGETHER, Ending, Places, Session, Task, each, endings, states, together
from nsh.errors import Eio, P9Error
from tests.taskfs.world import world

STATUS = "cmd/3 5 Execute '/a b' sh\ncmd/0 5 Done /x\u2028y ''\ncmd/? 1 Lost '' 'it''s'\n"


def test_the_lines_of_status_and_of_wait() -> None:
    assert states(STATUS) == [
        Task("0", "", "Execute", "sh"),
        Task("1", "", "Done", ""),
        Task("2", "", "Lost", "it's"),
    ]
    assert endings("7 1 2 300 ''\n") == [Ending("", "", 300, "")]
    assert endings("0 host1 7 1 2 300 'exit: 3'\n1 'h 2' 0 0 0 0 'lost'\n") == [
        Ending("0", "host1", 300, "exit: 3"),
        Ending("1", "h 2", 0, "lost"),
    ]
    assert endings("0 host1 2 far 7 1 2 300 ''\n") == [Ending("0.2", "far", 300, "")]


@pytest.mark.parametrize(
    "text", ["x\n", "1 2 3 4\n", "0 host1 7 1 2 long ''\n", "\0\n", "x host1 7 1 2 3 ''\n"]
)
def test_other_lines_are_refused(text: str) -> None:
    with pytest.raises(P9Error, match="odd line of wait"):
        endings(text)
    with pytest.raises(P9Error, match="odd line of status"):
        states(text[:7])


def test_tasks_are_called_by_their_hosts_as_far_as_these_tell_them_apart() -> None:
    places = Places({"0": "a", "1": "b", "2": "b", "3": "c"})
    assert [places.name(rank) for rank in ("0", "1", "2", "9")] == ["a", "b/1", "b/2", "9"]
    assert sorted(places.names(["0", "2", "3"])) == ["a", "b/2", "c"]
    assert sorted(places.names(["1", "2"])) == ["b"]
    assert places.hosts(["1", "2", "3"]) == {"b", "c"}
    assert not places.by_rank
    alone = Places({"0": "a", "1": "a"})
    assert (alone.name("1"), sorted(alone.names(["0", "1"])), alone.by_rank) == ("1", ["0", "1"], True)
    assert Places({"0": "a"}).name("0") == "a"
    assert Places({}).names(["3"]) == ["3"]


def test_names_are_written_together() -> None:
    assert together(["host2", "host1", "host7"]) == "host[1-2,7]"
    assert together(["2", "0", "1"]) == "0-2"
    assert together({"host1", "host2/3", "host2/4"}) == "host1,host2/[3-4]"


def test_how_it_stands_in_a_line() -> None:
    hosts = {str(rank): f"host{rank % 4 + 1}" for rank in range(8)}
    tasks = [Task(str(rank), hosts[str(rank)], "Execute", "sh") for rank in range(8)]
    tasks[0] = tasks[0]._replace(state="Done")
    tasks[1] = tasks[1]._replace(state="Done", why="exit: 3")
    tasks[2], tasks[6] = (tasks[rank]._replace(state="Lost", why="lost") for rank in (2, 6))
    assert line(tasks, Places(hosts), 72) == (
        "[#.x.!!..]  1:12  2 lost: host3  1 failed: host2  4 running: host[1-2,4]  1 done"
    )
    assert line([Task("0", "", "Open", "")], Places({}), 0) == "[x]  0:00  1 failed: 0"


def test_a_cell_of_the_bar_shows_the_worst_of_its_share() -> None:
    assert bar(["running"] * 1000) == "." * 32
    assert bar(["done"] * 63 + ["lost"]) == "#" * 31 + "!"
    assert bar(["failed", *["running"] * 63]) == "x" + "." * 31
    assert clock(3725.9) == "1:02:05"


async def test_work_for_many_is_bounded() -> None:
    busy = most = 0

    async def work(n: int) -> int:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        if n == 5:
            raise Eio()
        return n

    done = await each(range(500), work)
    assert most == TOGETHER
    assert isinstance(done[5], Eio) and done[:5] == [0, 1, 2, 3, 4]


async def test_a_session_is_looked_at_through_its_files() -> None:
    async with world() as w:
        s = await w.team(3, "exec sh -c 'test %r = 2 && exec sleep 100; exit %r'")
        session = Session(w.p, s.rpartition("/")[2])
        tasks = await session.look()
        while sum(task.real >= 0 for task in tasks) < 2:
            await asyncio.sleep(0.02)
            tasks = await session.look()
        assert [(task.state, task.why, task.command) for task in tasks] == [
            ("Done", "", "sh"),
            ("Done", "exit: 1", "sh"),
            ("Execute", "", "sh"),
        ]
        assert [task.host for task in tasks] == list((await session.hosts()).values())
        await w.echo("kill", f"{s}/ctl")
        await w.cat(f"{s}/wait")
        assert (await session.look())[2].why == "signal: 15"
        await w.echo("exec true", f"{s}/ctl")
        await w.cat(f"{s}/wait")
        assert [task.why for task in await session.look()] == ["", "", ""]
        w.p.authenticated = False
        other = Session(w.p, session.name)
        assert await other.hosts() == {}
        assert [task.state for task in await other.look()] == ["Done"] * 3


async def test_a_report_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsh.cmd.taskfiles.PATIENCE", 0.1)
    async with world() as w:
        s = await w.team(2, "exec sh -c 'test %r = 1 && exec sleep 100'")
        await w.cat(f"{s}/0/wait")
        session = Session(w.p, "0")

        async def never(rank: str) -> list[Ending]:
            await asyncio.Event().wait()
            return []

        monkeypatch.setattr(session, "_ending", never)
        assert [task.state for task in await session.look()] == ["Done", "Execute"]
