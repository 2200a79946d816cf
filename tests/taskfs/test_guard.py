"""All that comes of a task is known to the helper, and ended with it, wherever it has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taskfs import keeper
from taskfs.rest import children
from tests.fuse.mounts import mounted, ninepfuse, server
from tests.taskfs.test_hosts import running
from tests.taskfs.world import World, until, world

DAEMON = """
import os, signal, sys
os.fork() or (signal.pause(), os._exit(0))
for step in os.setsid, lambda: None:
    if os.fork():
        os._exit(0)
    step()
for fd in 0, 1, 2:
    os.close(fd)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else signal.SIG_DFL)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
os.execve("/bin/sleep", ["sleep", "1000"], {})
"""
"""Leaves a process behind that has a session of its own, no descriptors and no environment of ours, and one
more in the process group of the task."""


class Daemons:
    """The processes that `DAEMON` has left behind, as they have written it down in a file."""

    def __init__(self, tmp_path: Path) -> None:
        self._file = tmp_path / "daemons"
        self._file.touch()
        program = tmp_path / "daemon.py"
        program.write_text(DAEMON)
        self.command = f"{sys.executable} {program} {self._file}"

    def pids(self) -> list[int]:
        """Those that are there."""
        return [pid for pid in map(int, self._file.read_text().split()) if running(pid)]

    async def come(self, n: int) -> None:
        """Wait until there are ``n``."""
        await until(lambda: len(self.pids()) == n)


@pytest.fixture
def daemons(tmp_path: Path) -> Daemons:
    return Daemons(tmp_path)


def helpers(w: World) -> list[int]:
    """The process ids of the keepers."""
    return [helper._pid for helper in w.device.guard._helpers]


@pytest.mark.parametrize("manner", ["", " stubborn"])
async def test_daemons_end_with_their_session_and_no_other(daemons: Daemons, manner: str) -> None:
    async with world() as w:
        one, other = await w.team(2), await w.team(1)
        for s in (one, other):
            await w.echo(f"exec {daemons.command}{manner}", f"{s}/ctl")
        await daemons.come(3)
        await w.echo("release", f"{one}/ctl")
        await daemons.come(1)
        await w.echo("release", f"{other}/ctl")
        await w.device.settled()
        assert not daemons.pids()


async def test_what_was_left_by_every_task_of_a_session_ends_with_it(daemons: Daemons) -> None:
    async with world() as w:
        s = await w.clone()
        for n in range(1, 4):
            await w.echo(f"exec {daemons.command}", f"{s}/ctl")
            assert await w.cat(f"{s}/wait")
            await daemons.come(n)
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        assert not daemons.pids()


@pytest.mark.parametrize(("before", "after"), [("timeout 0.5\n", ""), ("", "kill")])
async def test_kill_and_timeout_reach_daemons(daemons: Daemons, before: str, after: str) -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo(f"{before}exec sh -c '{daemons.command} & exec sleep 1000'", f"{s}/ctl")
        if after:
            await daemons.come(1)
            await w.echo(after, f"{s}/ctl")
        assert await w.cat(f"{s}/wait")
        await daemons.come(0)


async def test_nothing_survives_an_nsh_that_is_killed(daemons: Daemons) -> None:
    script = f"""
        cd /task/remote/`{{cat /task/remote/clone}}
        echo res 3 > ctl
        echo exec {daemons.command} stubborn > ctl
        sleep 1000
    """
    argv = [sys.executable, "-P", "-m", "nsh", "-c", script]
    nsh = await asyncio.create_subprocess_exec(*argv, cwd=Path(__file__).parents[2])
    await daemons.come(3)
    nsh.kill()
    await nsh.wait()
    await daemons.come(0)


async def test_who_is_killed_hands_on_what_he_has_to_be_killed(tmp_path: Path) -> None:
    """A tree of processes that ignore SIGTERM, each with a session of its own."""
    (tmp_path / "tree").write_text("""
        trap "" TERM
        echo $$ >> pids
        test $1 = 0 || for i in 1 2; do setsid sh $0 $(($1 - 1)) & done
        while :; do sleep 1; done
    """)
    pids = tmp_path / "pids"
    async with world() as w:
        s = await w.clone()
        await w.echo(f"dir {tmp_path}\nexec sh tree 3", f"{s}/ctl")
        await until(lambda: pids.exists() and len(pids.read_text().split()) == 15)
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        assert not any(running(int(pid)) for pid in pids.read_text().split())


async def test_a_helper_that_is_killed_takes_its_tasks_along_and_is_replaced() -> None:
    async with world() as w:
        s = await w.team(2, "exec sh -c 'echo $$; exec sleep 1000'")
        fds = [await w.p.open(f"{s}/{rank}/stdout") for rank in range(2)]
        pids = [int(await w.p.read(fd)) for fd in fds]
        victims = helpers(w)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        assert (await w.cat(f"{s}/wait")).count("'lost'") == 2
        await until(lambda: not any(map(running, [*pids, *victims])))
        await w.echo("exec echo again", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "again\nagain\n"
        for fd in fds:
            w.p.close(fd)


@pytest.mark.parametrize("which", [0, 1])
async def test_of_two_helpers_the_other_one_goes_on(which: int) -> None:
    async with world() as w:
        s = await w.team(8, "exec sh -c 'echo $$; exec sleep 1000'")
        fds = [await w.p.open(f"{s}/{rank}/stdout") for rank in range(8)]
        pids = [int(await w.p.read(fd)) for fd in fds]
        victim = helpers(w)[which]
        lost = children(victim) & set(pids)
        assert lost and lost < set(pids)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: not any(map(running, lost)))
        assert all(running(pid) for pid in pids if pid not in lost)
        await w.echo("exec echo again", f"{await w.team(8)}/ctl")
        await w.echo("signal USR1", f"{s}/ctl")
        waits = await w.cat(f"{s}/wait")
        assert (waits.count("'lost'"), waits.count("'signal: 10'")) == (len(lost), 8 - len(lost))
        for fd in fds:
            w.p.close(fd)


async def test_signals_for_everybody_leave_the_helper_alone_and_reach_tasks() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec true", f"{s}/ctl")
        assert await w.cat(f"{s}/wait")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            for pid in helpers(w):
                os.kill(pid, number)
            await w.echo(f"exec sh -c 'kill -{number.value} $$'", f"{s}/ctl")
            assert (await w.cat(f"{s}/wait")).endswith(f"'signal: {number.value}'\n")


async def test_an_exec_that_is_given_up_leaves_nothing_running() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec true", f"{s}/ctl")
        assert await w.cat(f"{s}/wait")
        starting = asyncio.create_task(w.echo("exec sleep 1000", f"{s}/ctl"))
        await until(lambda: bool(w.device.guard._starting))
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()
        await w.device.guard.idle()
        await w.echo("exec echo next", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "next\n"


async def test_a_session_that_is_freed_while_its_task_starts_leaves_nothing_running() -> None:
    async with world() as w:
        s = await w.clone()
        starting = asyncio.create_task(w.refusal("exec sleep 1000", f"{s}/ctl"))
        await until(lambda: bool(w.device.guard._starting))
        await w.p.remove(s)
        assert await starting == "i/o on hungup channel"
        await w.device.settled()


async def test_a_start_that_is_given_up_when_the_helper_dies_kills_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = list[int]()
    monkeypatch.setattr(os, "killpg", lambda group, _: killed.append(group))
    async with world() as w:
        s = await w.clone()
        await w.echo("exec true", f"{s}/ctl")
        assert await w.cat(f"{s}/wait")
        for pid in helpers(w):
            os.kill(pid, signal.SIGSTOP)
        starting = asyncio.create_task(w.echo("exec sleep 1000", f"{s}/ctl"))
        await until(lambda: bool(w.device.guard._starting))
        starting.cancel()
        await asyncio.wait([starting])
        for pid in helpers(w):
            os.kill(pid, signal.SIGKILL)
        await w.device.guard.idle()
        await w.echo("exec echo next", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "next\n"
    assert killed == []


async def test_the_directory_goes_though_the_helpers_have_died() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec true", f"{s}/ctl")
        assert await w.cat(f"{s}/wait")
        directory = w.device.guard.directory()
        for pid in helpers(w):
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not w.device.guard._helpers)
        assert os.access(directory, os.R_OK)
    assert not os.access(directory, os.F_OK)


@pytest.mark.requires("fusermount3", "/dev/fuse")
async def test_a_task_starts_in_a_directory_that_this_very_process_serves(tmp_path: Path) -> None:
    async with mounted(tmp_path, "#U"), world() as w:
        s = await w.team(2, f"dir {tmp_path}/usr", "exec sh -c 'pwd; ls -d share'")
        assert await w.cat(f"{s}/stdout") == f"{tmp_path}/usr\nshare\n" * 2
        assert await w.cat(f"{s}/wait")
        refused = await w.refusal(f"dir {tmp_path}/nosuch\nexec true", f"{s}/0/ctl")
        assert refused == f"exec failed: {tmp_path}/nosuch: No such file or directory"
        assert await w.refusal("exec nosuch", f"{s}/1/ctl") == "exec failed: No such file or directory"
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()


@pytest.mark.limit(60)
@pytest.mark.requires("fusermount3", "/dev/fuse")
async def test_a_directory_that_does_not_answer_holds_up_nobody_else(tmp_path: Path) -> None:
    hung = tmp_path / "hung"
    hung.mkdir()
    many = range(20)  # more than the helpers are told of at a time
    directories = " ".join(f"/tmp/{i}" for i in many)
    with server(f"memfs /tmp; mkdir {directories}") as (address, _), ninepfuse(address, hung) as mount:
        async with world() as w:
            mount.send_signal(signal.SIGSTOP)
            try:
                stuck = [await w.clone() for _ in many]
                # not the same: who waits for another one to look a name up cannot even be killed
                waiting = [
                    asyncio.create_task(w.refusal(f"dir {hung}/{i}\nexec true", f"{s}/ctl"))
                    for i, s in enumerate(stuck)
                ]
                await until(lambda: len(w.device.guard._starting) == len(stuck))
                s = await w.clone()
                await w.echo("exec echo runs", f"{s}/ctl")
                assert await w.cat(f"{s}/stdout") == "runs\n"
                assert not any(task.done() for task in waiting)
                await w.p.remove(stuck[0])
                for task in waiting[1:]:
                    task.cancel()
                assert await waiting[0] == "i/o on hungup channel"
                await asyncio.wait(waiting)
                await w.device.guard.idle()
            finally:
                mount.send_signal(signal.SIGCONT)


async def test_the_helper_goes_when_it_is_not_wanted_and_nothing_runs() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec sleep 1000", f"{s}/ctl")
        pids = helpers(w)
        w.device.guard.unwanted()
        assert all(map(running, pids))
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        await until(lambda: not any(map(running, pids)))


IGNORES = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-P", "-m", "nsh", "-c", *sys.argv[1:]])
"""


def test_whoever_started_us_may_ignore_the_death_of_children() -> None:
    session = "s=/task/remote/`{cat /task/remote/clone}"
    script = f"{session}; echo exec grep SigIgn /proc/self/status >$s/ctl; cat $s/stdout $s/wait"
    done = subprocess.run([sys.executable, "-c", IGNORES, script], capture_output=True, text=True, check=True)
    ignored, wait = done.stdout.splitlines()
    assert not int(ignored.split()[1], 16) >> (signal.SIGCHLD - 1) & 1
    assert wait.endswith(" ''")


def test_what_the_kernel_lists_as_children_are_those_who_say_so() -> None:
    file = keeper.children_file(os.getpid())
    assert file is not None
    started = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    try:
        assert keeper.told(file) == keeper.children_by_search(os.getpid())
        assert keeper.told(file) >= {process.pid for process in started}
    finally:
        for process in started:
            process.kill()
            process.wait()
        os.close(file)


async def test_commands_that_are_longer_than_messages_start_like_others() -> None:
    long = "x" * 100_000
    async with world() as w:
        s = await w.team(20)
        await w.p.writefile(f"{s}/args", long.encode())
        await w.echo("exec echo %r", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "".join(f"{n} {long}\n" for n in range(20))


async def test_each_task_finds_the_program_of_its_own_directory(tmp_path: Path) -> None:
    async with world() as w:
        sessions = [await w.clone() for _ in range(20)]
        for n, s in enumerate(sessions):
            program = tmp_path / str(n) / ("bin" if n % 2 else ".") / "program"
            program.parent.mkdir(parents=True)
            program.write_text(f"#!/bin/sh\necho {n}\n")
            program.chmod(0o755)
            await w.p.writefile(f"{s}/env", b"PATH=.:bin:/bin\n")
            await w.echo(f"dir {tmp_path / str(n)}", f"{s}/ctl")
        await asyncio.gather(*(w.echo("exec program", f"{s}/ctl") for s in sessions))
        assert [await w.cat(f"{s}/stdout") for s in sessions] == [f"{n}\n" for n in range(20)]


async def test_whatever_is_asked_at_once_fits_into_messages() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec cat", f"{s}/ctl")
        pids = helpers(w)
        for _ in range(10_000):
            w.device.guard.signal(1, 0)
        await w.echo("exec echo next", f"{await w.clone()}/ctl")
        await w.echo("closein", f"{s}/ctl")
        assert (await w.cat(f"{s}/wait")).endswith("''\n")
        assert helpers(w) == pids


async def test_as_many_tasks_as_do_not_fit_into_the_socket_at_once() -> None:
    async with world() as w:
        sessions = [await w.team(100) for _ in range(7)]
        await asyncio.gather(*(w.echo("exec cat", f"{s}/ctl") for s in sessions))
        await asyncio.gather(*(w.echo("signal USR1", f"{s}/ctl") for s in sessions))
        for s in sessions:
            assert (await w.cat(f"{s}/wait")).count("'signal: 10'") == 100
