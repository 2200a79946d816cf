"""on: what is run where, what is shown of it, how it ends; and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest

from nsh import cmd
from nsh.cmd import on, taskrun
from nsh.dev.hostfd import HostFdDevice
from nsh.kern.proc import INTERRUPT, RFCFDG, Proc
from tests.cmd.hosts import Host, hosts, mount, unmount
from tests.cmd.session import Result, Session
from tests.taskfs.test_hosts import running
from tests.taskfs.world import World, until, world

MACHINE = os.uname().nodename


async def sessions(w: World) -> list[str]:
    """The sessions that there are."""
    return [name for name in await w.ls("/task/remote") if name.isdecimal()]


@asynccontextmanager
async def here() -> AsyncIterator[Session]:
    """Where there are no hosts, and no session may be left when a test ends."""
    async with world() as w:
        yield Session(w.p)
        await w.device.settled()
        assert await sessions(w) == []


@asynccontextmanager
async def three(tmp_path: Path) -> AsyncIterator[tuple[Session, list[Host]]]:
    """Where host1, host2 and host3 are mounted, on which no session may be left."""
    async with hosts(tmp_path, 3) as some, world() as w:
        await mount(w.p, some)
        yield Session(w.p), some
        await w.device.settled()
        assert await sessions(w) == []
        for n, host in enumerate(some, 1):
            if host.running:
                entries = await w.ls(f"/remote/host{n}/remote")
                assert not [name for name in entries if name.isdecimal()]
        await unmount(w.p, some)


def lines(text: str) -> list[str]:
    return sorted(text.splitlines())


# --- what is shown -----------------------------------------------------------------------------


async def test_lines_have_the_name_of_their_task_and_errors_are_kept_apart() -> None:
    async with here() as s:
        result = await s.run("on", "-n", "3", "sh", "-c", "echo one; echo two >&2; printf %r")
        expected = [line for n in "012" for line in (f"{n}: one", f"{n}: {n}")]
        assert lines(result.out) == sorted(expected)
        assert lines(result.err) == [f"{n}: two" for n in "012"]
        assert result.status == ""


async def test_a_single_task_is_called_by_its_host() -> None:
    async with here() as s:
        assert await s.out("on", "-n", "1", "echo", "%r of %n on %h") == f"{MACHINE}: 0 of 1 on {MACHINE}\n"


async def test_without_names_output_is_passed_on_as_it_is() -> None:
    async with here() as s:
        assert await s.out("on", "-N", "-n", "1", "printf", "no end") == "no end"
        # but what one has not ended is no line of another's
        assert await s.out("on", "-N", "-n", "3", "printf", "no end") == "no end\nno end\nno end"
        data = bytes(range(256)) * 5000
        out = await s.out("on", "-N", "-n", "1", "cat", stdin=data)
        assert out.encode("utf-8", "surrogateescape") == data


async def test_equal_outputs_are_shown_once_with_the_names_of_their_tasks() -> None:
    async with here() as s:
        script = "test %r = 3 && { echo other; echo odd >&2; }; echo same; printf end"
        result = await s.run("on", "-b", "-n", "6", "sh", "-c", script)
        rule = "-" * 15
        assert result.out == (
            f"{rule}\n0-2,4-5 (5)\n{rule}\nsame\nend\n{rule}\n3\n{rule}\nother\nsame\nend\n"
        )
        assert result.err == f"{rule}\n3\n{rule}\nodd\n"


async def test_folded_output_can_be_shown_as_it_comes_as_well() -> None:
    async with here() as s:
        out = await s.out("on", "-bL", "-n", "2", "echo", "same")
        assert lines(out)[-3:] == ["0: same", "1: same", "same"]


async def test_much_output_of_many_tasks_comes_whole() -> None:
    async with here() as s:
        out = await s.out("on", "-n", "20", "seq", "5000")
        got = [re.fullmatch(r"(\d+): (\d+)", line) for line in out.splitlines()]
        by_task: dict[str, list[int]] = {}
        for found in got:
            assert found
            by_task.setdefault(found[1], []).append(int(found[2]))
        assert len(by_task) == 20
        assert all(numbers == list(range(1, 5001)) for numbers in by_task.values())
        folded = await s.out("on", "-b", "-n", "20", "seq", "20000")  # more than is kept in memory
        assert folded.splitlines()[1] == "0-19 (20)"
        assert folded.splitlines()[3:] == [str(n) for n in range(1, 20001)]


async def test_a_line_without_an_end_is_broken_and_everything_of_it_comes() -> None:
    async with here() as s:
        out = await s.out("on", "-n", "2", "head", "-c", "5000000", "/dev/zero")
        assert {line[:3] for line in out.splitlines()} == {"0: ", "1: "}
        assert out.count("\0") == 10_000_000


# --- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "status", "complaint"),
    [
        (["-n", "2", "true"], "", ""),
        (["-n", "4", "sh", "-c", "exit %r"], "3", "on: task 3: exit: 3; task 2: exit: 2; task 1: exit: 1\n"),
        (["-n", "4", "sh", "-c", "test %r -lt 2 || exit 7"], "7", "on: tasks 2-3: exit: 7\n"),
        (["-n", "1", "false"], "1", f"on: {MACHINE}: exit: 1\n"),
        (["-n", "2", "sh", "-c", "test %r = 0 && exit 200; kill -9 $$"], "signal: 9",
         "on: task 1: signal: 9; task 0: exit: 200\n"),
        (["-t", "1.5", "-n", "2", "sh", "-c", "test %r = 0 || exec sleep 100"], "timeout",
         "on: task 1: timeout\n"),
        (["-n", "2", "/no such"], "not started",
         "on: tasks 0-1: /no such: exec failed: No such file or directory\n"),
        (["-q", "-n", "2", "false"], "1", ""),
        (["-d", "/no where", "-n", "2", "true"], "not started",
         "on: tasks 0-1: true: exec failed: /no where: No such file or directory\n"),
        (["-t", "soon", "-n", "2", "true"], 'bad argument in control message "timeout soon"',
         'on: bad argument in control message "timeout soon"\n'),
        (["-n", "5000", "true"], "too many resources: 5000, at most 4096 in a session",
         "on: too many resources: 5000, at most 4096 in a session\n"),
    ],
)  # fmt: skip
async def test_the_worst_status_is_its_own_and_one_line_says_whose(
    argv: list[str], status: str, complaint: str
) -> None:
    async with here() as s:
        assert await s.run("on", *argv) == Result("", complaint, status)


async def test_what_was_for_others_does_not_run_here() -> None:
    async with here() as s:
        why = "no such host under /remote: host9"
        assert await s.run("on", "-h", "host9", "echo", "hi") == Result("", f"on: {why}\n", why)


async def test_those_that_can_be_started_run_though_others_cannot(tmp_path: Path) -> None:
    (tmp_path / "tool1").symlink_to("/bin/echo")
    async with here() as s:
        assert await s.run("on", "-n", "3", f"{tmp_path}/tool%r", "hello") == Result(
            "1: hello\n",
            f"on: tasks 0,2: {tmp_path}/tool%r: exec failed: No such file or directory\n",
            "not started",
        )


@pytest.mark.parametrize(
    "argv",
    [[], ["true"], ["-n", "0", "true"], ["-n", "x", "true"], ["-n", "2"], ["-x"], ["-n", "9" * 9, "true"]],
)
async def test_a_wrong_call_gives_the_usage(argv: list[str]) -> None:
    async with here() as s:
        assert await s.run("on", *argv) == Result("", f"usage: on {on.USAGE}\n", "usage")


# --- input -------------------------------------------------------------------------------------


async def test_every_task_gets_the_input() -> None:
    async with here() as s:
        assert lines(await s.out("on", "-n", "2", "cat", stdin=b"a\nb")) == ["0: a", "0: b", "1: a", "1: b"]


async def test_lines_can_be_dealt_out() -> None:
    async with here() as s:
        text = b"".join(b"%d\n" % n for n in range(100))
        out = await s.out("on", "-lN", "-n", "4", "cat", stdin=text)
        assert sorted(map(int, out.split())) == list(range(100))


async def test_tasks_that_do_not_read_do_not_hold_anybody_up() -> None:
    async with here() as s:
        assert lines(await s.out("on", "-n", "2", "echo", "done", stdin=b"x" * 300_000)) == [
            "0: done",
            "1: done",
        ]


# --- interrupted, or left alone ----------------------------------------------------------------


class Running:
    """An `on` in the background, which can be interrupted."""

    def __init__(self, s: Session, proc: Proc) -> None:
        self.proc = proc
        self._p = s.p

    @classmethod
    async def start(cls, s: Session, *argv: str) -> Running:
        proc = s.p.fork(RFCFDG)
        for name in ("in", "out", "err"):
            await proc.create(f"#Rstdio/{name}")
        proc.start(lambda p: cmd.run(cmd.find("on"), p, ["on", *argv]))
        return cls(s, proc)

    def interrupt(self) -> None:
        assert self.proc.task is not None
        self.proc.task.cancel(INTERRUPT)

    async def written(self) -> tuple[str, str]:
        """What it has written to standard output, and to standard error."""
        out, err = [(await self._p.readfile(f"#Rstdio/{name}")).decode() for name in ("out", "err")]
        return out, err

    async def until(self, lines: int) -> list[str]:
        """Wait for so many lines of output."""
        while len(out := (await self.written())[0].splitlines()) < lines:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return out


async def test_an_interrupt_kills_all_tasks_and_says_so() -> None:
    async with here() as s:
        script = "trap 'echo bye; exit' TERM; echo $$; while :; do sleep 0.05; done"
        r = await Running.start(s, "-N", "-n", "2", "sh", "-c", script)
        pids = [int(line) for line in await r.until(2)]
        r.interrupt()
        assert await r.proc.wait() == "interrupted"
        assert not any(map(running, pids))
        out, err = await r.written()
        assert out.count("bye\n") == 2
        assert err.startswith("on: interrupted: killing 0-1\n")


async def test_a_host_that_hangs_keeps_no_task_of_others_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taskrun, "GRACE", 60.0)
    async with three(tmp_path) as (s, some):
        r = await Running.start(s, "-N", "-n", "3", "sh", "-c", "echo $$; exec sleep 1000")
        pids = [int(line) for line in await r.until(3)]
        some[0].stop()
        try:
            r.interrupt()
            await until(lambda: sum(map(running, pids)) == 1)
            assert (await r.written())[1] == "on: interrupted: killing all\n"
        finally:
            some[0].go_on()
        assert await r.proc.wait() == "interrupted"


async def test_what_was_kept_is_shown_after_an_interrupt() -> None:
    async with here() as s:
        r = await Running.start(s, "-bL", "-n", "2", "sh", "-c", "echo same; exec sleep 100")
        await r.until(2)
        r.interrupt()
        await r.proc.wait()
        assert (await r.written())[0].splitlines()[3:] == ["0-1 (2)", "-" * 15, "same"]


async def test_a_second_interrupt_does_not_wait_for_those_that_do_not_want_to_end() -> None:
    async with here() as s:
        script = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
        r = await Running.start(s, "-N", "-n", "2", "sh", "-c", script)
        pids = [int(line) for line in await r.until(2)]
        r.interrupt()
        while "killing" not in (await r.written())[1]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        r.interrupt()
        assert await r.proc.wait() == "interrupted"
        assert all(map(running, pids))  # taskfs sees to them
        await until(lambda: not any(map(running, pids)))


async def test_an_interrupt_before_anything_runs_leaves_nothing() -> None:
    async with here() as s:
        r = await Running.start(s, "-n", "1000", "true")
        await until(lambda: any(proc.args[:1] == ["taskfs"] for proc in s.p.system.procs.values()))
        r.interrupt()
        assert await r.proc.wait() == "interrupted"
        assert await r.written() == ("", "on: interrupted\n")


async def test_output_that_nobody_reads_ends_it_and_the_tasks() -> None:
    async with here() as s:
        r = s.p.fork(RFCFDG)
        await r.create("#Rstdio/in")
        reading, writing = os.pipe()
        os.close(reading)
        r.fgrp.put(1, HostFdDevice.of(s.p.system).chan(writing))
        await r.create("#Rstdio/err")
        r.start(lambda p: cmd.run(cmd.find("on"), p, ["on", "-n", "3", "yes"]))
        assert await r.wait() == "write on closed pipe"
        assert await s.p.readfile("#Rstdio/err") == b""


async def test_a_session_that_somebody_has_released_is_told() -> None:
    async with here() as s:
        r = await Running.start(s, "-n", "2", "sh", "-c", "echo up; exec sleep 100")
        await r.until(2)
        assert await s.out("tasks", "-k", "0") == ""
        assert await r.proc.wait() == "session 0 is gone"
        assert (await r.written())[1] == "on: session 0 is gone\n"


async def test_output_that_is_held_open_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskrun, "LINGER", 0.3)
    async with here() as s:
        result = await s.run("on", "-n", "2", "sh", "-c", "sleep 100 & echo up")
        assert lines(result.out) == ["0: up", "1: up"]
        assert "holds their output open" in result.err
        assert result.status == ""


# --- hosts -------------------------------------------------------------------------------------

HOSTS = [
    ("host1 host3 echo %h", "host1 host3"),
    ("host[1-3] echo %h", "host1 host2 host3"),
    ("host3,host1 echo %h", "host1 host3"),
    ("-h host[1-3],-host2 echo %h", "host1 host3"),
    ("-h -host3 -h -host1 echo %h", "host2"),
    ("-g all echo %h", "host1 host2 host3"),
    ("-g odd echo %h", "host1 host3"),
    ("-g odd,last echo %h", "host1 host2 host3"),
    ("-g all,-odd echo %h", "host2"),
    ("-g part[1,2] echo %h", "host1 host2"),
    ("@odd echo %h", "host1 host3"),
    ("@odd,-host1 echo %h", "host3"),
    ("host2 -- echo %h", "host2"),
    ("-n 3 host1 echo %h", "host1 host1 host1"),
    ("-n 6 echo %h", "host1 host1 host2 host2 host3 host3"),
]
"""Arguments, and where the command is to run."""

REFUSED = [
    ("-h host[1-4] true", "no such host under /remote: host4", "no such host under /remote: host4"),
    ("host[3-4] true", "no such host under /remote: host4", "no such host under /remote: host4"),
    ("host1 host4 true", "no such host under /remote: host4", "no such host under /remote: host4"),
    ("host[7-8] true", "no such host under /remote: host[7-8]", "no such host under /remote: host[7-8]"),
    ("host1 -- host4 true", "host1: host4: exec failed: No such file or directory", "not started"),
    ("host1 ghost true", "host1: ghost: exec failed: No such file or directory", "not started"),
    ("-- host1", "usage", "usage"),
    ("-n 1 -- host1", "host*: host1: exec failed: No such file or directory", "not started"),
    ("-h host[ true", "no names of hosts: host[", "no names of hosts: host["),
    ("-h host1,-host1 true", "no hosts are left of host1,-host1", "no hosts are left of host1,-host1"),
    ("-g even true", "no group even in {}/nsh/groups", "no group even in {}/nsh/groups"),
    ("-g bad true", "{}/nsh/groups:2: no names of hosts: host[", "format"),
]
"""Arguments that lead nowhere, the complaint, and the status."""


async def test_where_a_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nsh").mkdir()
    (tmp_path / "nsh" / "groups").write_text(
        "odd=host1 host3\nbad=host[ # sic\nlast=host2\npart1=host1\npart2=host2\n"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with three(tmp_path) as (s, _):
        for argv, ran in HOSTS:
            result = await s.run("on", "-N", *argv.split())
            assert (sorted(result.out.split()), result.err) == (ran.split(), ""), argv
        for argv, complaint, status in REFUSED:
            result = await s.run("on", *argv.split())
            assert fnmatch(result.err, f"*{complaint.format(tmp_path)}*".replace("[", "[[]")), argv
            assert result.status == status.format(tmp_path), argv
        out = await s.out("on", "-n", "5", "echo", "%h/%r")
        assert all(re.fullmatch(r"(\S+): \1|(host\d): \2/\d", line) for line in out.splitlines())
        result = await s.run("on", "-b", "-n", "6", "sh", "-c", "test %h = host2 && exit 4; echo %h | tr 3 1")
        assert result.out.splitlines()[1] == "host[1,3] (4)"
        assert result.err == "on: host2: exit: 4\n"


async def test_a_host_that_is_killed_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    async with three(tmp_path) as (s, some):
        script = "echo up; while test -e %h; do sleep 0.05; done; echo end"
        for n in (1, 2, 3):
            (tmp_path / f"host{n}" / f"host{n}").touch()
        r = await Running.start(s, "-n", "6", "sh", "-c", script)
        await r.until(6)
        await some[1].kill()
        for n in (1, 3):
            (tmp_path / f"host{n}" / f"host{n}").unlink()
        assert await r.proc.wait() == "lost"
        out, err = await r.written()
        assert out.count("up\n") == 6 and out.count("end\n") == 4
        assert err == "on: host2: lost\n"
        # what is known to be dead is not asked to run anything, and has failed again
        result = await s.run("on", "host[1-3]", "echo", "%h")
        assert lines(result.out) == ["host1: host1", "host3: host3"]
        assert (result.err, result.status) == ("on: host2: lost\n", "lost")


async def test_a_host_that_hangs_has_failed_and_its_work_is_not_done_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on, "PATIENCE", 0.5)
    async with three(tmp_path) as (s, some):
        some[1].stop()
        result = await s.run("on", "host[1-3]", "echo", "%h")
        assert lines(result.out) == ["host1: host1", "host3: host3"]
        assert (result.err, result.status) == ("on: host2: lost: no answer in 0.5 s\n", "lost")
        some[1].go_on()


async def test_a_host_that_was_killed_before_is_found_out_and_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskfs.hosts.LINGER", 0.0)  # else its end is seen at once
    async with three(tmp_path) as (s, some):
        assert await s.out("on", "-n", "3", "true") == ""
        await some[2].kill()
        result = await s.run("on", "-N", "-n", "4", "echo", "%h")
        assert set(result.out.split()) == {"host1", "host2"} and result.status == ""
        assert re.fullmatch("on: res: host3: .*; once more, without\n", result.err)


async def test_the_taskfs_of_another_machine_serves_as_well(tmp_path: Path) -> None:
    async with hosts(tmp_path, 1) as (host,), world() as w:
        await cmd.find("mount")(w.p, ["mount", "-A", host.address, "/task"])
        s = Session(w.p)
        out = await s.out("on", "-n", "3", "sh", "-c", "pwd; exit")
        assert out == f"{MACHINE}: {tmp_path}/host1\n" * 3
        assert (await s.out("on", "-b", "-n", "3", "pwd")).splitlines()[1] == "0-2 (3)"
        assert (await s.run("on", "-n", "3", "sh", "-c", "exit %r")).status == "2"
        assert await sessions(w) == []
        await w.p.unmount(None, "/task")
