"""With ``peers on`` tasks have their neighbours as files: real mounts, and any program."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from nsh.kern.namec import quote
from nsh.p9.const import OWRITE
from tests.ordinary import environment, ordinary, python
from tests.taskfs import host
from tests.taskfs.test_hosts import running, three_hosts
from tests.taskfs.world import SESSION_FILES, world

pytestmark = [pytest.mark.requires("FUSE in a name space"), pytest.mark.usefixtures("nothing_stays")]


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


async def test_a_task_stands_in_its_own_directory_of_the_session() -> None:
    async with world() as w:
        s = await w.team(2, "peers on", "exec sh -c 'pwd; echo $TASK_SESSION/%r; ls; ls .. | xargs; ls ../1'")
        lines = (await w.cat(f"{s}/0/stdout")).splitlines()
        assert lines[0] == lines[1]
        assert lines[2:12] == SESSION_FILES
        assert lines[12].split() == ["0", "1", *SESSION_FILES]
        assert lines[13:] == SESSION_FILES
        assert (await w.cat(f"{s}/status")).splitlines()[0].split()[3] == lines[0]
        assert "fuse.nsh" not in mounts()


async def test_without_children_it_stands_in_the_sessions_own() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("peers on\nexec sh -c 'test $PWD = $TASK_SESSION && ls'", f"{s}/ctl")
        assert (await w.cat(f"{s}/stdout")).split() == SESSION_FILES


async def test_it_stands_where_the_owner_wants_and_finds_its_session_all_the_same(tmp_path: Path) -> None:
    async with world() as w:
        s = await w.team(1, "peers on", f"dir {tmp_path}", "exec sh -c 'pwd; cat $TASK_SESSION/0/status'")
        where, line = (await w.cat(f"{s}/stdout")).splitlines()
        assert where == str(tmp_path)
        assert line.split()[2:4] == ["Execute", str(tmp_path)]


RING = "exec sh -c 'echo from %r > ../$(((%r+1)%TASK_SIZE))/stdin; read a; echo %r: $a'"


async def test_a_ring_of_many() -> None:
    async with world() as w:
        s = await w.team(16, "peers on", RING)
        assert await w.cat(f"{s}/stdout") == "".join(f"{r}: from {(r - 1) % 16}\n" for r in range(16))


async def test_a_ring_of_one() -> None:
    async with world() as w:
        task = "echo a >../0/stdin; read x; sleep 0.3; echo b >../0/stdin; read y; echo $x $y; cat"
        s = await w.team(1, "peers on", f"exec sh -c {quote(task)}")
        assert await w.cat(f"{s}/stdout") == "a b\n"
        assert (await w.cat(f"{s}/wait")).endswith("''\n")


async def test_a_ring_over_three_hosts(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(7, "peers on", RING)
        assert await w.cat(f"{s}/stdout") == "".join(f"{r}: from {(r - 1) % 7}\n" for r in range(7))
        assert "fuse.nsh" not in mounts()
        await w.echo("release", f"{s}/ctl")


async def test_a_host_remembers_nothing_of_the_sessions_that_it_has_shown() -> None:
    async with world() as far, world() as w:
        await host.mount(w.p, "far", await host.serve(far.p))
        known = set()
        for _ in range(3):
            s = await w.team(1, "peers on", "exec ls ../0")
            assert await w.cat(f"{s}/stdout") == "".join(f"{name}\n" for name in SESSION_FILES)
            await w.echo("release", f"{s}/ctl")
            await w.device.settled()
            known.add(len(far.p.system.qids._trees))
        assert len(known) == 1
        await w.p.unmount(None, "/remote/far")


async def test_status_and_output_of_neighbours_are_files_like_any_other() -> None:
    script = """
        echo hello from %r
        [ %r = 1 ] || exec cat
        head -n 1 ../0/stdout; grep -c Execute ../0/status; wc -l <../status; stat -c %A,%s ../2/stdin
        dd if=/dev/zero bs=1000 count=3 status=none >../0/stdin; printf done >>../2/stdin
        cp ../status ../0/stdin && mv ../0 ../x 2>/dev/null; rm ../0/ctl 2>/dev/null; mkdir ../new 2>/dev/null
        ls ..; echo closein >../ctl
    """
    async with world() as w:
        s = await w.team(3, "peers on", f"exec sh -c {quote(script)}")
        got = (await w.cat(f"{s}/1/stdout")).splitlines()
        assert got[:5] == ["hello from 1", "hello from 0", "1", "3", "--w--w--w-,0"]
        assert got[5:] == ["0", "1", "2", *SESSION_FILES]
        assert await w.cat(f"{s}/2/stdout") == "hello from 2\ndone"
        zeros, _, text = (await w.cat(f"{s}/0/stdout")).removeprefix("hello from 0\n").partition("cmd/")
        assert zeros == "\0" * 3000
        assert text.count("Execute") == 3


async def test_who_waits_for_a_neighbour_can_be_killed() -> None:
    async with world() as w:
        s = await w.team(
            2, "peers on", "exec sh -c 'test %r = 0 && exec sleep 100; echo up; exec cat ../0/stdout'"
        )
        fd = await w.p.open(f"{s}/1/stdout")
        assert await w.p.read(fd) == b"up\n"
        await w.echo("signal INT", f"{s}/1/ctl")
        assert (await w.cat(f"{s}/1/wait")).endswith(" 'signal: 2'\n")
        w.p.close(fd)


async def test_what_cannot_be_started_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    async with world() as w:
        s = await w.team(2, "peers on")
        refused = await w.refusal("exec /nowhere/to/be/found", f"{s}/ctl")
        assert refused == "0-1: exec failed: No such file or directory"
        await w.echo("dir /nowhere", f"{s}/ctl")
        refused = await w.refusal("exec true", f"{s}/ctl")
        assert refused == "0-1: exec failed: /nowhere: No such file or directory"
        await w.echo(f"dir {tmp_path}\nexec true", f"{s}/ctl")
        assert (await w.cat(f"{s}/wait")).count("''") == 2
        await w.echo("bind /usr /mnt", f"{s}/ns")
        refused = await w.refusal("exec true", f"{s}/ctl")
        assert refused == "0-1: exec failed: peers: not in a name space of ns"


async def test_a_task_in_a_room_is_like_any_other() -> None:
    async with world() as w:
        s = await w.team(2, "peers on", "nice 7", "timeout 1", "exec sh -c 'nice; exec sleep 100'")
        assert await w.cat(f"{s}/stdout") == "7\n7\n"
        assert (await w.cat(f"{s}/wait")).count("'timeout'") == 2
        await w.echo("timeout 0\nexec sh -c 'ulimit -n; exit 3'", f"{s}/ctl")
        limits = (await w.cat(f"{s}/stdout")).split()
        t = await w.team(1, "exec sh -c 'ulimit -n'")
        assert limits == [(await w.cat(f"{t}/stdout")).strip()] * 2
        assert (await w.cat(f"{s}/wait")).count("'exit: 3'") == 2
        await w.echo("peers off\nexec pwd", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == f"{os.getcwd()}\n" * 2


async def test_the_files_end_with_the_session() -> None:
    async with world() as w:
        script = (
            "trap '' TERM; echo $$; while test -e ../status; do sleep 0.02; done; echo gone; exec sleep 100"
        )
        s = await w.team(1, "peers on", f"exec sh -c {quote(script)}")
        fd = await w.p.open(f"{s}/stdout")
        pid = int(await w.p.read(fd))
        await w.echo("release", f"{s}/ctl")
        w.p.close(fd)
        await w.device.settled()
        assert not running(pid)


async def test_who_is_starting_when_the_session_ends_does_not_run(tmp_path: Path) -> None:
    async with world() as w:
        for delay in (0, 0.005, 0.02, 0.03, 0.04, 0.06):
            s = await w.team(4, "peers on")
            starting = asyncio.create_task(
                w.refusal(f"exec sh -c 'echo >{tmp_path}/$$; exec sleep 100'", f"{s}/ctl")
            )
            await asyncio.sleep(delay)
            await w.echo("release", f"{s}/ctl")
            await starting
        await w.device.settled()
        assert not any(running(int(name)) for name in os.listdir(tmp_path))


async def test_an_exec_that_nobody_waits_for_any_more_is_done_or_not() -> None:
    async with world() as w:
        s = await w.team(1, "peers on")
        fd = await w.p.open(f"{s}/ctl", OWRITE)
        starting = asyncio.create_task(w.p.write(fd, b"exec cat"))
        await asyncio.sleep(0.01)
        starting.cancel()
        await asyncio.wait([starting])
        w.p.close(fd)
        await w.echo("all", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == "all\n"


# --- ordinary users ----------------------------------------------------------------------------

SESSION = """
d=/task/remote/`{cat /task/remote/clone}
echo res 2 >$d/ctl
echo peers on >$d/ctl
if(echo 'exec sh -c ''test %r = 0 || exec cat; echo $(id -u) hello >../1/stdin''' >$d/ctl) cat $d/stdout
"""


@pytest.mark.requires("an ordinary user")
async def test_an_ordinary_user_has_peers_too() -> None:
    argv = ordinary(python(), "-P", "-m", "nsh", "-c", SESSION)
    done = await asyncio.to_thread(
        subprocess.run, argv, env=environment(), cwd="/", capture_output=True, text=True
    )
    assert (done.stdout.split()[1:], done.stderr) == (["hello"], "")


@pytest.mark.requires("an ordinary user")
async def test_where_linux_does_not_allow_it_exec_says_so() -> None:
    argv = ordinary(python(), "-P", "-m", "nsh", "-c", SESSION)
    without = "f=$(mktemp) && chmod 0 $f && mount --bind $f /dev/fuse && rm $f; "
    argv = [word.replace("exec setpriv", f"{without} exec setpriv") for word in argv]
    done = await asyncio.to_thread(
        subprocess.run, argv, env=environment(), cwd="/", capture_output=True, text=True
    )
    assert done.stdout == ""
    assert done.stderr.endswith("0-1: exec failed: peers: /dev/fuse: Permission denied\n")
