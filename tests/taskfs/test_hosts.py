"""Sessions whose children run on other hosts: real programs, joined by TCP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import py9p
import pytest

from nsh.kern.mnt import MBEFORE, MREPL
from nsh.p9.const import ORDWR, OREAD, OWRITE
from taskfs import hosts
from tests.taskfs import host
from tests.taskfs.world import SESSION_FILES, World, until, world

TOP = Path(__file__).parents[2]

EMPTY = ["arch", "clone", "env", "fs", "ns", "status"]
"""What is in remote/ of a host that has no sessions."""


def running(pid: int) -> bool:
    """Is there a process ``pid``? One that is dead, and only waits to be waited for, is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False


class Remote:
    """A running host program. ``port``: where it exports /task."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, directory: str) -> None:
        self.process = process
        self.port = port
        self.directory = directory

    def sockets(self) -> int:
        """How many it has open."""
        fds = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(os.readlink(fd).startswith("socket:") for fd in fds)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wake(self) -> None:
        """Let it go on if it was stopped."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)


@asynccontextmanager
async def remote(
    directory: os.PathLike[str], *mounts: str, module: str = "tests.taskfs.host"
) -> AsyncIterator[Remote]:
    """A host that stands in ``directory``; ``module``: the program that it is."""
    where = os.fspath(directory)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, where, *mounts, cwd=TOP,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    r = Remote(process, int(await process.stdout.readline()), where)
    try:
        yield r
    finally:
        process.stdin.close()
        r.wake()
        await process.wait()


class Client:
    """A 9P client that is not ours, below remote/ of a host's export."""

    def __init__(self, port: int) -> None:
        self._client = py9p.Client.connect_tcp("127.0.0.1", port, timeout=20)
        self._client.negotiate()
        self._client.attach(0, uname="glenda")
        self._fid = 0

    def _open(self, name: str, mode: int) -> int:
        self._fid += 1
        self._client.walk(0, self._fid, f"remote/{name}")
        self._client.open(self._fid, mode)
        return self._fid

    def clone(self, message: str) -> str:
        """A new session that has been told ``message``; its number."""
        fid = self._open("clone", ORDWR)
        number = bytes(self._client.read(fid, 100))
        self._client.write(fid, message.encode())
        return number.decode()

    def read(self, name: str) -> str:
        """What one read of the file gives."""
        fid = self._open(name, OREAD)
        return bytes(self._client.read(fid, 4000)).decode()

    def write(self, name: str, text: str) -> None:
        self._client.write(self._open(name, OWRITE), text.encode())

    def close(self) -> None:
        """Hang up, without a word."""
        self._client.close()


@asynccontextmanager
async def three_hosts(tmp_path: os.PathLike[str]) -> AsyncIterator[tuple[World, list[Remote]]]:
    """A world with host1, host2 and host3 mounted in that order."""
    async with contextlib.AsyncExitStack() as stack:
        remotes = []
        for n in (1, 2, 3):
            os.mkdir(os.path.join(tmp_path, f"host{n}"))
            remotes.append(await stack.enter_async_context(remote(os.path.join(tmp_path, f"host{n}"))))  # type: ignore[arg-type]
        w = await stack.enter_async_context(world())
        for n, r in enumerate(remotes, 1):
            await host.mount(w.p, f"host{n}", r.port)
        yield w, remotes
        for r in remotes:
            r.wake()
        for n in range(1, 4):
            await w.p.unmount(None, f"/remote/host{n}")


async def sessions(w: World, n: int, count: int) -> None:
    """Wait until host ``n`` has ``count`` sessions."""
    while len(await w.ls(f"/remote/host{n}/remote")) - len(EMPTY) != count:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_the_session_of_the_seed(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, (one, two, three)):
        s = await w.clone()
        assert s == "/task/remote/0"
        await w.echo("res 4", f"{s}/ctl")
        assert await w.ls(s) == sorted(["0", "1", "2", "3", *SESSION_FILES])
        for rank in range(4):
            assert await w.ls(f"{s}/{rank}") == SESSION_FILES
        places = [(0, three), (0, two), (0, one), (1, three)]
        closed = [f"cmd/{n} 1 Closed {r.directory} ''\n" for n, r in places]
        assert await w.cat(f"{s}/3/status") == closed[3]
        assert await w.cat(f"{s}/status") == "".join(closed)
        await w.echo("exec pwd", f"{s}/ctl")
        assert await w.cat(f"{s}/stdio") == "".join(f"{r.directory}\n" for _, r in places)
        assert await w.cat(f"{s}/stderr") == ""
        assert await w.cat(f"{s}/status") == "".join(f"cmd/{n} 5 Done {r.directory} pwd\n" for n, r in places)
        names = [line.split()[:2] for line in (await w.cat(f"{s}/wait")).splitlines()]
        assert names == [["0", "host3"], ["1", "host2"], ["2", "host1"], ["3", "host3"]]


async def test_round_robin_goes_on_where_it_stopped(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(4, "exec echo %h")
        assert (await w.cat(f"{s}/stdout")).split() == ["host3", "host2", "host1", "host3"]
        t = await w.team(2, "exec echo %h")
        assert (await w.cat(f"{t}/stdout")).split() == ["host2", "host1"]
        u = await w.team(3, "hosts host[1-2]", "res 4", "exec echo %h")
        assert "host3" in await w.cat(f"{u}/0/status")
        assert {*(await w.cat(f"{u}/stdout")).split()[3:]} == {"host1", "host2"}
        v = await w.clone()
        assert await w.refusal("hosts host7\nres 1", f"{v}/ctl") == "no such host under /remote: host7"


async def test_sessions_that_meet_a_host_at_the_same_time_share_it(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, _):
        await asyncio.gather(*(w.team(3) for _ in range(4)))
        assert sorted((await w.cat("/task/remote/status/hosts")).splitlines()) == [
            f"host{n} up 4" for n in (1, 2, 3)
        ]


async def test_input_and_output_cross_the_network_whole(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(5, "exec cat")
        text = "".join(f"{n} bottles\n" for n in range(20000))
        await w.echo(text, f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == (text + "\n") * 5


async def test_a_task_that_closes_its_input_does_not_lose_its_host(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(3, "exec sh -c 'test %r = 1 || cat'")
        await w.cat(f"{s}/1/wait")
        await w.echo("for the others", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == "for the others\n" * 2
        assert await w.refusal("late", f"{s}/stdin") == "write on closed pipe"
        assert "Lost" not in await w.cat(f"{s}/status")


async def test_release_frees_the_resources_on_their_hosts(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(6, "exec sleep 100")
        assert await w.ls("/remote/host2/remote") == ["0", "1", "arch", "clone", "env", "fs", "ns", "status"]
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        for n in (1, 2, 3):
            assert await w.ls(f"/remote/host{n}/remote") == EMPTY


async def test_a_host_that_is_killed_is_lost_and_the_others_go_on(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, (_, two, _)):
        s = await w.team(3)
        await w.echo("exec sh -c 'echo up; read line; echo $line'", f"{s}/ctl")
        two.signal(signal.SIGKILL)
        await two.process.wait()
        await w.echo("on", f"{s}/stdin")
        assert await w.cat(f"{s}/0/stdout") == "up\non\n"
        assert (await w.cat(f"{s}/stdout")).count("on\n") == 2
        ends = [line.split("'")[1] for line in (await w.cat(f"{s}/wait")).splitlines()]
        assert ends == ["", "lost", ""]
        states = [line.split()[2] for line in (await w.cat(f"{s}/status")).splitlines()]
        assert states == ["Done", "Lost", "Done"]
        assert (await w.refusal("exec true", f"{s}/ctl")).startswith("1: host2: ")
        t = await w.team(2, "exec echo %h")
        assert "host2" not in await w.cat(f"{t}/stdout")


async def test_a_host_that_hangs_keeps_no_other_from_getting_its_resources_back(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "INTERVAL", 1000.0)  # it is not found out
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        s = await w.team(300)
        one.signal(signal.SIGSTOP)
        await w.echo("release", f"{s}/ctl")
        for n in (2, 3):
            await sessions(w, n, 0)


async def test_a_session_of_somebody_else_is_never_taken_for_ours(tmp_path: os.PathLike[str]) -> None:
    """The number of the next one is foreseen, and walked to before it is known."""
    async with three_hosts(tmp_path) as (w, _):
        others: list[int] = []
        for turn in range(12):
            s = await w.team(5, "exec echo %r")
            assert await w.cat(f"{s}/stdout") == "0\n1\n2\n3\n4\n"
            for line in (await w.cat(f"/task/remote/status/{s.rpartition('/')[2]}/hosts")).splitlines():
                rank, name, number = line.split()
                there = await w.cat(f"/remote/{name}/remote/{number}/status")
                assert there == await w.cat(f"{s}/{rank}/status") and " Done " in there
            if turn % 3 == 1:
                others.append(await w.p.open("/remote/host2/remote/clone", ORDWR))
            if turn % 4 == 3:
                w.p.close(others.pop())
            await w.echo("release", f"{s}/ctl")
        for fd in others:
            w.p.close(fd)


async def test_a_host_that_hangs_is_lost_until_it_answers(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    monkeypatch.setattr(hosts, "INTERVAL", 0.2)
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        s = await w.team(3)
        await w.cat(f"{s}/status")
        one.signal(signal.SIGSTOP)
        lines = (await w.cat(f"{s}/status")).splitlines()
        assert lines[2] == f"cmd/0 1 Lost {one.directory} ''"
        assert (await w.refusal("exec echo ok", f"{s}/ctl")).startswith("2: host1: ")
        assert await w.cat(f"{s}/stdout") == "ok\nok\n"
        one.signal(signal.SIGCONT)
        await until(lambda: not any(h.lost for h in w.device.hosts.met()))
        await w.echo("exec echo again", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "again\n" * 3


async def test_a_host_that_hangs_is_found_out_by_res_too(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        s = await w.team(3, "release")
        await w.device.settled()
        one.signal(signal.SIGSTOP)
        s = await w.clone()
        assert await w.refusal("res 3", f"{s}/ctl") == "res: host1: host is lost"
        for n in (2, 3):
            await sessions(w, n, 0)
        await w.echo("res 3\nexec echo %h", f"{s}/ctl")
        assert "host1" not in await w.cat(f"{s}/stdout")


async def test_a_failed_reservation_keeps_nothing(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "LINGER", 0.0)  # it is found out when it is asked
    async with three_hosts(tmp_path) as (w, (_, two, _)):
        await w.team(1)  # the hosts are known from now on
        two.signal(signal.SIGKILL)
        await two.process.wait()
        s = await w.clone()
        assert (await w.refusal("res 3", f"{s}/ctl")).startswith("res: host2: ")
        assert await w.ls(s) == SESSION_FILES
        await w.device.settled()
        assert "0" not in await w.ls("/remote/host1/remote")
        await w.echo("res 3", f"{s}/ctl")
        assert "2" in await w.ls(s)


async def test_a_host_is_kept_for_the_next_session_as_long_as_it_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "LINGER", 1000.0)
    async with remote(tmp_path) as one, remote(tmp_path) as two, world() as w:
        await host.mount(w.p, "one", one.port)
        await host.mount(w.p, "two", two.port)
        s = await w.team(2, "exec true")
        await w.cat(f"{s}/wait")
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        two.signal(signal.SIGKILL)
        await until(lambda: any(h.dead for h in w.device.hosts.met()))  # nobody has to ask it
        before = one.sockets()
        await w.p.unmount(None, "/remote/one")
        await until(lambda: one.sockets() < before)


@pytest.mark.parametrize("front", ["nothing", "a server"])
async def test_a_host_behind_another_directory_of_a_union_is_looked_at(
    front: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    monkeypatch.setattr(hosts, "INTERVAL", 0.2)
    for name in ("one", "two", "empty"):
        os.mkdir(tmp_path / name)
    async with remote(tmp_path) as one, remote(tmp_path) as two, world() as w:
        for name, r in (("one", one), ("two", two)):
            await host.mount(w.p, "", r.port, f"{tmp_path}/{name}")
        await w.p.bind(f"{tmp_path}/two/remote", "/remote/u", MREPL)
        before = "empty" if front == "nothing" else "one"  # whose clone file is in another directory
        await w.p.bind(f"{tmp_path}/{before}", "/remote/u", MBEFORE)
        s = await w.team(2, "exec sleep 100")
        two.signal(signal.SIGSTOP)
        assert (await w.cat(f"{s}/wait")).count("'lost'") == 2
        assert await w.refusal("res 1", f"{s}/ctl") == "no host answers: u"
        two.wake()
        await until(lambda: not any(h.lost for h in w.device.hosts.met()))


async def test_what_is_connected_before_exec_has_an_end_on_hosts(tmp_path: Path) -> None:
    async with remote(tmp_path) as r, world() as w:
        await host.mount(w.p, "h", r.port)
        s = await w.team(2, "xsplice 0 1", "exec wc -l")
        await w.p.writefile(f"{s}/0/stdin", b"1\n2\n3\n")
        assert await w.cat(f"{s}/stdout") == "3\n1\n"


async def test_settings_hold_for_the_whole_tree(tmp_path: Path) -> None:
    async with remote(tmp_path) as one, remote(tmp_path) as two, world() as w:
        await host.mount(w.p, "one", one.port)
        await host.mount(w.p, "two", two.port)
        s = await w.team(2, "onfail stop", "inmode lines")
        for rank in range(2):
            await w.echo("res 2", f"{s}/{rank}/ctl")
        await w.echo("exec wc -l", f"{s}/ctl")
        await w.p.writefile(f"{s}/stdin", b"line\n" * 100)
        counts = (await w.cat(f"{s}/stdout")).split()
        assert len(counts) == 4 and sum(map(int, counts)) == 100
        await w.cat(f"{s}/wait")
        await w.echo(f"exec sh -c 'mkdir {tmp_path}/first && exit 3; exec sleep 100'", f"{s}/ctl")
        waits = await w.cat(f"{s}/wait")
        assert (waits.count("'exit: 3'"), waits.count("'signal: 15'")) == (1, 3)


async def test_what_is_bound_over_a_host_that_is_kept_is_seen(tmp_path: Path) -> None:
    for name in ("here", "there", "elsewhere"):
        os.mkdir(tmp_path / name)
    async with remote(tmp_path / "here") as here, remote(tmp_path / "there") as there, world() as w:
        await host.mount(w.p, "h", here.port)
        await host.mount(w.p, "", there.port, f"{tmp_path}/elsewhere")

        async def where() -> str:
            s = await w.team(2, "exec pwd")
            shown = set((await w.cat(f"{s}/stdout")).split())
            await w.echo("release", f"{s}/ctl")
            await w.device.settled()
            return os.path.basename(shown.pop())

        assert [await where(), await where()] == ["here", "here"]
        await w.p.bind(f"{tmp_path}/elsewhere/remote", "/remote/h/remote", MREPL)
        assert [await where(), await where()] == ["there", "there"]


async def test_sessions_meet_a_new_host_together(tmp_path: Path) -> None:
    async with remote(tmp_path) as r, world() as w:
        await host.mount(w.p, "h", r.port)
        sessions = [await w.clone() for _ in range(20)]
        await asyncio.gather(*(w.echo("res 1", f"{s}/ctl") for s in sessions))
        assert len(w.device.hosts.met()) == 1
        r.signal(signal.SIGKILL)
        await until(lambda: any(h.dead for h in w.device.hosts.met()))
        assert (await w.cat("/task/remote/status/log")).count("host h is dead") == 1


async def test_what_a_client_started_ends_with_its_connection(tmp_path: os.PathLike[str]) -> None:
    def start(port: int) -> tuple[Client, int]:
        client = Client(port)
        number = client.clone("exec sh -c 'echo $$; exec sleep 100'")
        return client, int(client.read(f"{number}/stdout"))

    async with remote(tmp_path) as r:
        mine, my_pid = await asyncio.to_thread(start, r.port)
        theirs, their_pid = await asyncio.to_thread(start, r.port)
        mine.close()
        await until(lambda: not running(my_pid))
        assert running(their_pid)
        theirs.close()


async def test_nothing_is_left_running_when_the_host_program_is_killed(tmp_path: os.PathLike[str]) -> None:
    async with remote(tmp_path) as r, world() as w:
        await host.mount(w.p, "h", r.port)
        s = await w.team(2, "exec sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done'")
        fds = [await w.p.open(f"{s}/{rank}/stdout") for rank in range(2)]
        pids = [int(await w.p.read(fd)) for fd in fds]
        r.signal(signal.SIGKILL)
        await until(lambda: not any(map(running, pids)))
        for fd in fds:
            w.p.close(fd)
        await w.p.unmount(None, "/remote/h")


async def test_trees_of_hosts_work(tmp_path: os.PathLike[str]) -> None:
    async with remote(tmp_path) as leaf, remote(tmp_path, f"below={leaf.port}") as middle, world() as w:
        await host.mount(w.p, "middle", middle.port)
        s = await w.team(2)
        for rank in range(2):
            await w.echo("res 3", f"{s}/{rank}/ctl")
        await w.echo("exec echo hi", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "hi\n" * 6
        assert len((await w.cat(f"{s}/status")).splitlines()) == 6
        assert (await w.cat(f"{s}/wait")).startswith("0 middle 0 below ")
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        await w.p.unmount(None, "/remote/middle")


async def test_a_leaf_that_hangs_does_not_lose_the_host_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    monkeypatch.setattr(hosts, "INTERVAL", 0.2)
    async with remote(tmp_path) as one, remote(tmp_path) as two:
        mounts = f"one={one.port}", f"two={two.port}"
        async with remote(tmp_path, *mounts, module="tests.taskfs.patient") as middle, world() as w:
            await host.mount(w.p, "middle", middle.port)
            s = await w.team(1)
            await w.echo("res 2", f"{s}/0/ctl")
            await w.echo("exec sh -c 'read line; echo $line %h'", f"{s}/ctl")
            await w.cat(f"{s}/status")
            one.signal(signal.SIGSTOP)
            states = [line.split()[2] for line in (await w.cat(f"{s}/status")).splitlines()]
            assert states == ["Execute", "Lost"]
            await w.echo("on", f"{s}/0/0/stdin")
            assert await w.cat(f"{s}/stdout") == "on two\n"
            ends = [line.split("'")[1] for line in (await w.cat(f"{s}/wait")).splitlines()]
            assert ends == ["", "lost"]
            assert not any(h.lost for h in w.device.hosts.met())
            one.wake()
            await w.echo("release", f"{s}/ctl")
            await w.device.settled()
            await w.p.unmount(None, "/remote/middle")


async def test_the_status_of_a_lost_task_is_not_that_of_the_one_before(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    monkeypatch.setattr(hosts, "INTERVAL", 0.2)
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        s = await w.team(3, "exec true")
        await w.cat(f"{s}/wait")
        assert (await w.cat(f"{s}/status")).count(" Done ") == 3
        await w.echo("exec sleep 100", f"{s}/ctl")
        one.signal(signal.SIGSTOP)
        await until(lambda: any(h.lost for h in w.device.hosts.met()))
        states = [line.split()[2] for line in (await w.cat(f"{s}/status")).splitlines()]
        assert states == ["Execute", "Execute", "Lost"]
        one.wake()
        await w.echo("release", f"{s}/ctl")


CIRCLE = "a circle of hosts: this one is above itself"


async def test_a_host_that_has_mounted_who_reserves_there_is_refused(tmp_path: os.PathLike[str]) -> None:
    async with world() as w, remote(tmp_path, f"top={await host.serve(w.p)}") as r:
        await host.mount(w.p, "below", r.port)
        s = await w.team(1)
        assert await w.refusal("res 1", f"{s}/0/ctl") == f"res: top: {CIRCLE}"
        assert await w.ls(f"{s}/0") == SESSION_FILES
        await w.echo("exec echo runs", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "runs\n"
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        assert await w.ls("/task/remote") == EMPTY
        await w.p.unmount(None, "/remote/below")


async def test_a_long_circle_is_refused_where_it_closes(tmp_path: os.PathLike[str]) -> None:
    async with (
        world() as w,
        remote(tmp_path, f"a={await host.serve(w.p)}") as c,
        remote(tmp_path, f"c={c.port}") as b,
    ):
        await host.mount(w.p, "b", b.port)
        s = await w.team(2, "release")
        s = await w.team(1)
        await w.echo("res 1", f"{s}/0/ctl")
        assert await w.refusal("res 1", f"{s}/0/0/ctl") == f"res: a: {CIRCLE}"
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        await w.p.unmount(None, "/remote/b")


async def test_a_host_that_has_mounted_itself_is_refused() -> None:
    async with world() as w:
        await host.mount(w.p, "me", await host.serve(w.p))
        s = await w.clone()
        assert await w.refusal("res 2", f"{s}/ctl") == f"res: me: {CIRCLE}"
        await w.echo("hosts -me", f"{s}/ctl")
        assert await w.refusal("res 2", f"{s}/ctl") == (
            "there is no host under /remote but those that are not wanted"
        )
        await w.p.unmount(None, "/remote/me")


async def test_an_independent_client_clones_reserves_executes_and_reads(tmp_path: os.PathLike[str]) -> None:
    def session(port: int) -> list[str]:
        client = Client(port)
        number = client.clone("res 3")
        client.write(f"{number}/ctl", "exec echo rank %r")
        client.read(f"{number}/wait")
        output = client.read(f"{number}/stdio")
        with pytest.raises(py9p.RemoteError, match="permission denied"):
            client.read("arch")
        client.close()
        return [number, output]

    async with remote(tmp_path) as r:
        assert await asyncio.to_thread(session, r.port) == ["0", "rank 0\nrank 1\nrank 2\n"]


async def test_a_host_outlives_the_sessions_that_are_removed_there(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(3)
        for rank in range(3):
            await w.p.remove(f"{s}/{rank}")
        refused = await w.refusal("exec true", f"{s}/ctl")
        assert refused.startswith("0: host3: ") and "1: host2: " in refused and "2: host1: " in refused
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        t = await w.team(3, "exec echo %h")
        assert (await w.cat(f"{t}/stdout")).split() == ["host3", "host2", "host1"]


async def test_the_watch_does_not_take_a_removed_session_for_a_lost_host(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "INTERVAL", 0.05)
    looks = 0
    check = hosts.Host.check

    async def counted(host: hosts.Host, patience: float = 0.0) -> bool:
        nonlocal looks
        looks += 1
        return await check(host, patience)

    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(3)
        await w.p.remove(f"{s}/0")
        monkeypatch.setattr(hosts.Host, "check", counted)
        await until(lambda: looks > 6)
        assert not any(h.lost for h in w.device.hosts.met())


async def test_a_release_reaches_a_host_that_was_lost(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        s = await w.team(3, "exec sh -c 'echo $$; exec sleep 100'")
        fd = await w.p.open(f"{s}/2/stdout")
        pid = int(await w.p.read(fd))
        w.p.close(fd)
        one.signal(signal.SIGSTOP)
        assert " Lost " in await w.cat(f"{s}/status")
        await w.echo("release", f"{s}/ctl")
        one.wake()
        await w.device.settled()
        assert await w.ls("/remote/host1/remote") == EMPTY
        await until(lambda: not running(pid))


async def test_a_reservation_that_is_cut_short_leaves_no_session_behind(tmp_path: os.PathLike[str]) -> None:
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        await w.team(3, "release")  # the hosts are known from now on
        s = await w.clone()
        one.signal(signal.SIGSTOP)
        reserving = asyncio.ensure_future(w.echo("res 6", f"{s}/ctl"))
        await sessions(w, 2, 2)
        reserving.cancel()
        await asyncio.wait((reserving,))
        one.wake()
        await w.device.settled()
        assert await w.ls(s) == SESSION_FILES
        for n in (1, 2, 3):
            assert await w.ls(f"/remote/host{n}/remote") == EMPTY


async def test_a_host_that_was_too_slow_for_res_gets_its_sessions_back(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        await w.team(3, "release")
        s = await w.clone()
        one.signal(signal.SIGSTOP)
        assert await w.refusal("res 6", f"{s}/ctl") == "res: host1: host is lost"
        one.wake()
        await w.device.settled()
        assert await w.ls("/remote/host1/remote") == EMPTY


async def test_a_reservation_does_not_wait_for_a_host_that_is_known_to_hang(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        one.signal(signal.SIGSTOP)
        await w.team(3, "release")  # the first time it is met
        monkeypatch.setattr(hosts, "PATIENCE", 1000.0)
        s = await w.team(3, "exec echo %h")
        assert "host1" not in await w.cat(f"{s}/stdout")
        one.wake()
        await w.echo("hosts host1\nres 1", f"{s}/ctl")
        assert "3" in await w.ls(s)


async def test_the_files_of_a_killed_host_say_at_once_which_it_was(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "INTERVAL", 1000.0)  # nobody looks
    async with three_hosts(tmp_path) as (w, (_, two, _)):
        s = await w.team(3, "exec sleep 100")
        line = (await w.cat(f"{s}/1/status")).replace("Execute", "Lost")
        await w.cat(f"{s}/status")
        two.signal(signal.SIGKILL)
        await two.process.wait()
        await until(lambda: any(h.dead for h in w.device.hosts.met()))
        assert await w.ls(f"{s}/1") == SESSION_FILES
        assert await w.cat(f"{s}/1/status") == line
        assert await w.cat(f"{s}/1/wait") == "0 0 0 0 'lost'\n"
        assert (await w.refusal("kill", f"{s}/1/ctl")).endswith("host2: host is lost")
        with pytest.raises(OSError, match="host2: host is lost"):
            await w.cat(f"{s}/1/stdout")
        with pytest.raises(OSError, match="host2: host is lost"):
            await w.p.remove(f"{s}/1")
        assert " Execute " in await w.cat(f"{s}/0/status")
        await w.echo("release", f"{s}/ctl")


async def test_the_files_of_a_hung_host_are_its_own_again_when_it_answers(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    monkeypatch.setattr(hosts, "INTERVAL", 0.1)
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        s = await w.team(3, "exec cat")
        one.signal(signal.SIGSTOP)
        await until(lambda: any(h.lost for h in w.device.hosts.met()))
        assert " Lost " in await w.cat(f"{s}/2/status")
        assert (await w.refusal("hi", f"{s}/2/stdin")).endswith("host1: host is lost")
        one.wake()
        await until(lambda: not any(h.lost for h in w.device.hosts.met()))
        assert " Execute " in await w.cat(f"{s}/2/status")
        await w.echo("hi", f"{s}/2/stdin")
        await w.echo("closein", f"{s}/2/ctl")
        assert await w.cat(f"{s}/2/stdout") == "hi\n"


async def test_readers_at_the_same_time_and_early_input_work_across_hosts(
    tmp_path: os.PathLike[str],
) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(4)
        await w.echo("early", f"{s}/stdin")
        readers = [asyncio.create_task(w.cat(f"{s}/stdout")) for _ in range(3)]
        await w.echo("exec sh -c 'cat; seq 50000'", f"{s}/ctl")
        whole = ("early\n" + "".join(f"{n}\n" for n in range(1, 50001))) * 4
        for reader in readers:
            assert await reader == whole
        assert await w.cat(f"{s}/wait")
        assert await w.refusal("exec /no/such/program", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == whole
        assert (await w.cat(f"{s}/status")).count(" 5 Done ") == 4
