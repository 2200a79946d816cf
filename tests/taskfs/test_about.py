"""What the owner of a host sees of it, and nobody else: its files, the name space of tasks, what goes on."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from nsh.cmd import find
from nsh.kern.mnt import MREPL
from nsh.p9.const import OWRITE
from taskfs import journal, spool
from tests.conformance import check_tree
from tests.taskfs import host
from tests.taskfs.test_data import small_quota
from tests.taskfs.test_hosts import remote, three_hosts
from tests.taskfs.world import until, world

FS = "/task/remote/fs"


def shown(text: str) -> list[str]:
    """The lines of a log without their times."""
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d ", line) for line in text.splitlines())
    return [line.split(" ", 1)[1] for line in text.splitlines()]


# --- fs ----------------------------------------------------------------------------------------


async def test_fs_is_the_files_of_the_host(tmp_path: Path) -> None:
    async with world() as w:
        assert await w.ls(FS) == sorted(os.listdir("/"))
        here = f"{FS}{tmp_path}"
        w.p.close(await w.p.create(f"{here}/file", OWRITE))
        await w.echo("hello", f"{here}/file")
        assert (tmp_path / "file").read_text() == "hello\n"
        assert await w.cat(f"{here}/file") == "hello\n"
        assert await w.ls(here) == ["file"]
        d = await w.p.stat(f"{here}/file")
        assert (d.name, d.length) == ("file", 6)
        await w.p.remove(f"{here}/file")
        assert await w.ls(here) == []
        with pytest.raises(FileNotFoundError, match="does not exist"):
            await w.cat(f"{here}/nosuch")


async def test_the_way_out_of_fs_leads_to_where_one_came_in() -> None:
    async with world() as w:
        assert "clone" in await w.ls(f"{FS}/..")
        assert "clone" in await w.ls(f"{FS}/usr/bin/../../..")
        assert await w.ls(f"{FS}/usr/..") == sorted(os.listdir("/"))
        await w.p.chdir(f"{FS}/usr")
        assert await w.ls("bin/..") == sorted(os.listdir("/usr"))
        await w.p.chdir("../..")
        assert "clone" in await w.ls(".")


async def test_fs_passes_what_every_tree_must_pass(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("text")
    async with world() as w:
        await check_tree(w.p, f"{FS}{tmp_path}")


async def test_the_owners_directories_are_closed_to_who_has_not_proved_who_he_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with world() as w:
        await w.clone()
        await find("mount")(w.p, ["mount", "-A", f"tcp!127.0.0.1!{await host.serve(w.p)}", "/n/client"])
        top = "/n/client/remote"
        assert await w.ls(top) == ["0", "arch", "clone", "env", "fs", "ns", "status"]
        for name in ("arch", "env", "fs", "ns", "status"):
            with pytest.raises(PermissionError, match="permission denied"):
                await w.ls(f"{top}/{name}")
        for name in (f"fs{tmp_path}/file", "fs/etc", "ns/task", "status/log", "status/0/log", "env/PATH"):
            with pytest.raises(OSError, match=r"permission denied|does not exist"):
                await w.p.stat(f"{top}/{name}")
        with pytest.raises(PermissionError, match="permission denied"):
            await w.p.create(f"{top}/fs/file", OWRITE)
        assert "file" not in await w.ls(FS)
        await w.p.unmount(None, "/n/client")


# --- ns ----------------------------------------------------------------------------------------


async def test_ns_task_makes_the_name_space_that_tasks_start_from(tmp_path: Path) -> None:
    async with world() as w:
        await w.p.bind("/usr", "/mnt", MREPL)
        lines = (await w.cat("/task/remote/ns/task")).splitlines()
        assert "bind /usr /mnt" in lines and "bind -ac '#U' /" in lines


# --- status ------------------------------------------------------------------------------------


async def test_the_log_tells_what_happened_to_a_session_and_to_all() -> None:
    async with world() as w:
        s = await w.clone()
        await w.refusal("exec /no/such/program", f"{s}/ctl")
        await w.echo("exec sh -c 'exit 3'", f"{s}/ctl")
        pid = (await w.cat(f"{s}/wait")).split()[0]
        t = await w.team(2, "exec cat", "kill")
        await w.cat(f"{t}/wait")
        user = w.p.user
        mine = shown(await w.cat("/task/remote/status/0/log"))
        assert mine == [
            f"0 clone {user}",
            "0 exec /no/such/program: exec failed: No such file or directory",
            f"0 exec sh {pid}",
            f"0 exit {pid} 'exit: 3'",
        ]
        theirs = shown(await w.cat("/task/remote/status/1/log"))
        assert theirs == [f"1 clone {user}", f"1 res 2 {os.uname().nodename}", "1 exec cat on 2", "1 kill"]
        await w.echo("release", f"{s}/ctl")
        everything = shown(await w.cat("/task/remote/status/log"))
        assert everything[-1] == "0 release"
        assert set(mine + theirs) < set(everything)
        assert sum(" exit " in line for line in everything) == 3
        await w.echo("release", f"{t}/ctl")


async def test_the_log_is_bounded_and_nobody_can_break_its_lines() -> None:
    j = journal.Journal()
    j.tell("a\nb" + "x" * 1000, journal.Diary(j, 7))
    line = j.text()
    assert line.count("\n") == 1 and " 7 a?b" in line and len(line) < 350
    for n in range(journal.LINES + 5):
        j.tell(str(n))
    assert j.text().count("\n") == journal.LINES
    assert j.text().splitlines()[0].endswith(" - 5")


async def test_the_log_tells_when_a_task_is_held_back_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    small_quota(monkeypatch)
    async with world() as w:
        s = await w.clone()
        await w.echo("exec seq 100000", f"{s}/ctl")
        d = w.device.sessions[0].diary
        await until(lambda: "held back" in d.text())
        assert re.search(r" 0 stdout held back: \d{6} bytes are kept, and not read\n", d.text())


async def test_the_log_tells_when_a_task_is_held_back_by_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> int:
        raise OSError(28, "")

    small_quota(monkeypatch)
    monkeypatch.setattr(spool, "temporary", fails)
    async with world() as w:
        s = await w.clone()
        await w.echo("exec seq 100000", f"{s}/ctl")
        d = w.device.sessions[0].diary
        await until(lambda: "stdout held back: No space left on device" in d.text())


async def test_exit_tells_of_those_that_have_ended_and_does_not_wait() -> None:
    async with world() as w:
        s = await w.team(3)
        exits = "/task/remote/status/0/exit"
        assert await w.cat(exits) == ""
        await w.echo("exec sh -c 'test %r = 1 && exec cat; exit %r'", f"{s}/ctl")
        for rank in (0, 2):
            await w.cat(f"{s}/{rank}/wait")
        lines = (await w.cat(exits)).splitlines()
        assert [(line.split()[0], line.partition("'")[2]) for line in lines] == [
            ("0", "'"),
            ("2", "exit: 2'"),
        ]
        await w.echo("closein", f"{s}/ctl")
        whole = await w.cat(f"{s}/wait")
        assert await w.cat(exits) == whole
        t = await w.clone()
        assert await w.cat("/task/remote/status/4/exit") == ""
        await w.echo("exec true", f"{t}/ctl")
        assert await w.cat(f"{t}/wait") == await w.cat("/task/remote/status/4/exit")


async def test_topology_shows_the_resources_of_resources(tmp_path: Path) -> None:
    async with remote(tmp_path) as leaf, remote(tmp_path, f"below={leaf.port}") as middle, world() as w:
        await host.mount(w.p, "middle", middle.port)
        s = await w.team(2)
        topology = "/task/remote/status/0/topology"
        assert await w.cat(topology) == "0 middle up 0\n1 middle up 1\n"
        await w.echo("res 2", f"{s}/1/ctl")
        assert await w.cat(topology) == "0 middle up 0\n1 middle up 1\n  0 - - 0\n  1 - - 1\n"
        assert await w.cat("/task/remote/status/0/hosts") == "0 middle 0\n1 middle 1\n"
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        await w.p.unmount(None, "/remote/middle")


async def test_hosts_that_are_lost_are_told_of(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, (_, two, _)):
        s = await w.team(3)
        two.signal(signal.SIGKILL)
        await two.process.wait()
        await until(lambda: any(h.dead for h in w.device.hosts.met()))
        assert "- host host2 is dead" in shown(await w.cat("/task/remote/status/log"))
        assert (await w.cat("/task/remote/status/0/topology")).splitlines()[1] == "1 host2 dead 0"
        states = {
            line.split()[0]: line.split()[1]
            for line in (await w.cat("/task/remote/status/hosts")).splitlines()
        }
        assert states == {"host1": "up", "host2": "dead", "host3": "up"}
        await w.echo("release", f"{s}/ctl")
