"""What taskfs(4) says of each fault, row by row."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskfs import hosts
from tests.conftest import TAG
from tests.ordinary import environment, ordinary, python
from tests.taskfs.test_guard import helpers
from tests.taskfs.test_hosts import EMPTY, remote, running, three_hosts
from tests.taskfs.world import until, world

TOP = Path(__file__).parents[2]

TASK = "sh -c 'trap \"\" TERM; echo $$; setsid sleep 1000 & setsid sh -c ''echo $$; exec sleep 1000'' & wait'"
"""A task that ignores SIGTERM, with two processes that have left its group; prints two of their numbers."""


def test_every_row_of_the_manual_has_a_test() -> None:
    """The rows are tested here, the last in test_guard.py; one that is added there must be added here."""
    page = (TOP / "nsh" / "man" / "taskfs.4").read_text()
    faults = page.partition(".SS Faults")[2].partition(".SH EXAMPLES")[0].split(".TP\n")[1:]
    assert [row.split("\n")[0] for row in faults] == [
        "a host is stopped, hangs, or is cut off",
        "it answers again",
        "a host is killed",
        "we are killed",
        "the helper of a host is killed",
        "the disk is full",
        "no more processes can be had, or fork fails",
        "descriptors are used up",
        "a directory, or a disk, does not answer",
    ]


# --- hosts -------------------------------------------------------------------------------------


async def test_a_host_that_is_stopped_is_lost_until_it_answers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    monkeypatch.setattr(hosts, "INTERVAL", 0.3)
    async with three_hosts(tmp_path) as (w, (_, two, _)):
        s = await w.team(3, "exec sh -c 'echo %h; read line; echo $line'")
        two.signal(signal.SIGSTOP)
        await until(lambda: any(host.lost for host in w.device.hosts.met()))
        assert [line.split()[2] for line in (await w.cat(f"{s}/status")).splitlines()] == [
            "Execute", "Lost", "Execute"
        ]  # fmt: skip
        assert await w.cat(f"{s}/1/wait") == "0 0 0 0 'lost'\n"
        assert (await w.refusal("closein", f"{s}/1/ctl")).endswith("host2: host is lost")
        assert "1: host2: host is lost" in await w.refusal("exec true", f"{s}/ctl")
        await w.echo("go on", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == "host3\ngo on\nhost1\ngo on\n"
        t = await w.team(3, "exec echo %h")
        assert "host2" not in await w.cat(f"{t}/stdout")
        two.signal(signal.SIGCONT)
        await until(lambda: not any(host.lost for host in w.device.hosts.met()))
        await w.echo("here, too", f"{s}/1/stdin")
        assert await w.cat(f"{s}/1/stdout") == "host2\nhere, too\n"
        u = await w.team(3, "exec echo %h")
        assert "host2" in await w.cat(f"{u}/stdout")
        for session in (s, t, u):
            await w.echo("release", f"{session}/ctl")


@pytest.mark.limit(90)
@pytest.mark.requires("a network of its own", "ip", "nsenter")
def test_a_host_that_is_cut_off_is_lost_and_comes_back_with_every_byte() -> None:
    options = ["--net", "--fork", "--kill-child"]
    if subprocess.run(["unshare", *options, "true"], capture_output=True).returncode:
        options.append("--map-root-user")
    argv = ["unshare", *options, sys.executable, "-P", "-m", "tests.taskfs.cutoff"]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
    assert done.stdout == "as promised\n", done.stderr


async def test_a_host_that_is_killed_is_lost_at_once_and_a_new_mount_brings_it_back(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, (_, two, _)):
        s = await w.team(3, f"exec {TASK}")
        fd = await w.p.open(f"{s}/1/stdout")
        printed = b""
        while printed.count(b"\n") < 2:
            printed += await w.p.read(fd)
        pids = [int(word) for word in printed.split()]
        w.p.close(fd)
        two.signal(signal.SIGKILL)
        await until(lambda: any(host.dead for host in w.device.hosts.met()))
        assert " Lost " in await w.cat(f"{s}/status")
        await until(lambda: not any(map(running, pids)))
        assert "1: host2: host is lost" in await w.refusal("exec true", f"{s}/ctl")
        async with remote(tmp_path) as new:
            from tests.taskfs import host

            await w.p.unmount(None, "/remote/host2")
            await host.mount(w.p, "host2", new.port)
            t = await w.team(3, "exec echo %h")
            assert "host2\n" in await w.cat(f"{t}/stdout")
            for session in (s, t):
                await w.echo("release", f"{session}/ctl")
            await w.device.settled()


PARENT = """
    for(n in 1 2 3) mount -A tcp!127.0.0.1!$ports($n) /remote/host$n
    fn run { cd /task/remote/`{cat /task/remote/clone}; echo res 4 > ctl; echo $1 > ctl }
    run 'exec TASK'
    unmount /remote/host1; unmount /remote/host2; unmount /remote/host3
    run 'exec TASK'
    echo ready
    sleep 1000
"""


def descendants_of_the_test() -> set[int]:
    """The processes that carry the mark of this run of the tests, wherever they have gone; sleeping ones."""
    found = set()
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            ours = name.isdecimal() and TAG.encode() in Path(f"/proc/{name}/environ").read_bytes()
            if ours and Path(f"/proc/{name}/comm").read_text() in ("sleep\n", "sh\n"):
                found.add(int(name))
    return found


async def test_when_we_are_killed_nothing_is_left_on_any_host(tmp_path: Path) -> None:
    before = descendants_of_the_test()
    async with contextlib.AsyncExitStack() as stack:
        remotes = [await stack.enter_async_context(remote(tmp_path)) for _ in range(3)]
        ports = " ".join(str(r.port) for r in remotes)
        script = f"ports=({ports})\n" + PARENT.replace("TASK", TASK.replace("'", "''"))
        argv = [sys.executable, "-P", "-m", "nsh", "-c", script]
        parent = await asyncio.create_subprocess_exec(*argv, cwd=TOP, stdout=asyncio.subprocess.PIPE)
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"ready\n"
        await until(lambda: len(descendants_of_the_test() - before) == 8 * 3)
        parent.kill()
        await parent.wait()
        await until(lambda: not any(map(running, descendants_of_the_test() - before)))
        async with world() as w:
            from tests.taskfs import host

            for n, r in enumerate(remotes):
                await host.mount(w.p, f"h{n}", r.port)
                assert await w.ls(f"/remote/h{n}/remote") == EMPTY
                await w.p.unmount(None, f"/remote/h{n}")


async def test_a_helper_that_is_killed_loses_its_tasks_and_is_replaced() -> None:
    async with world() as w:
        s = await w.team(1, f"exec {TASK}")
        fd = await w.p.open(f"{s}/stdout")
        pid = int((await w.p.read(fd)).split()[0])
        w.p.close(fd)
        victims = helpers(w)
        for helper in victims:
            os.kill(helper, signal.SIGKILL)
        assert (await w.cat(f"{s}/wait")).endswith("'lost'\n")
        await until(lambda: not any(map(running, [pid, *victims])))
        await w.echo("exec echo again", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "again\n"


# --- what a host runs out of -------------------------------------------------------------------


def nsh(script: str, *prefix: str) -> list[str]:
    """What an nsh prints that is started by the command ``prefix``; its errors are among it."""
    argv = [*prefix, sys.executable, "-P", "-m", "nsh", "-c", script]
    done = subprocess.run(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[list[str]]:
    """The command that runs another where temporary files are on a disk of 300 kilobytes."""
    script = f'mount -t tmpfs -o size=300k none {tmp_path} && TMPDIR={tmp_path} exec "$@"'
    options = ["--mount", "--propagation", "private"]
    if os.geteuid():
        options.append("--map-root-user")
    yield ["unshare", *options, "sh", "-c", script, "sh"]


@pytest.mark.requires("a user name space")
def test_while_the_disk_is_full_tasks_are_held_back_and_lose_nothing(small_disk: list[str]) -> None:
    script = """
        cd /task/remote/`{cat /task/remote/clone}
        echo res 2 > ctl
        echo exec seq 400000 > ctl
        sleep 1
        cat status | awk '{print $3}'
        cat /task/remote/status/log | grep 'held back' | sed 's/.*held/held/' | sort -u
        cat stdout | cksum; cat wait | awk '{print $NF}'
    """
    whole = "".join(f"{n}\n" for n in range(1, 400001)) * 2
    checksum = subprocess.run(["cksum"], input=whole, capture_output=True, text=True).stdout.strip()
    assert nsh(script, *small_disk) == [
        "Execute", "Execute", "held back: No space left on device", checksum, "''", "''",
    ]  # fmt: skip


@pytest.mark.requires("an ordinary user")
def test_what_cannot_be_forked_is_refused_and_the_rest_runs() -> None:
    argv = ordinary(python(), "-P", "-m", "tests.taskfs.scarce", "processes")
    done = subprocess.run(argv, cwd="/", env=environment(), capture_output=True, text=True)
    assert done.stdout == "as promised\n", done.stderr


def test_with_no_descriptors_left_exec_says_so_and_what_runs_goes_on() -> None:
    argv = [sys.executable, "-P", "-m", "tests.taskfs.scarce", "descriptors"]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
    assert done.stdout == "as promised\n", done.stderr
