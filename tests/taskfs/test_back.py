"""Tasks of other hosts come to their session over the connection that its owner has, and over no other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import py9p
import pytest

from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory, File
from nsh.kern.namec import quote
from nsh.p9.const import ORDWR, OREAD
from taskfs import hosts
from taskfs.back import Operator
from tests.conftest import available
from tests.taskfs import host
from tests.taskfs.test_hosts import Client, remote, running, three_hosts
from tests.taskfs.world import World, until, world

pytestmark = pytest.mark.usefixtures("nothing_stays")

RING = """exec sh -c '
    echo from $TASK_RANK on $TASK_HOST | 9p write $(((TASK_RANK + 1) % TASK_SIZE))/stdin
    read a
    echo $TASK_RANK: $a'"""


def callers(w: World) -> int:
    """How many calls of tasks are being answered here."""
    return sum(len(s._callers.children) for s in w.device.sessions.values() if s._callers is not None)


# --- what goes right ---------------------------------------------------------------------------


async def test_a_ring_over_hosts(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(6, RING)
        names = ["host3", "host2", "host1"] * 2
        expected = [f"{(r + 1) % 6}: from {r} on {names[r]}\n" for r in range(6)]
        assert await w.cat(f"{s}/stdout") == "".join([expected[5], *expected[:5]])
        assert await w.cat(f"{s}/stderr") == ""
        await until(lambda: callers(w) == 0)


async def test_a_host_that_reserves_on_others_is_who_its_tasks_call(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    async with (
        remote(tmp_path / "a") as a,
        remote(tmp_path / "b") as b,
        remote(tmp_path / "c", f"a={a.port}", f"b={b.port}") as c,
        world() as w,
    ):
        await host.mount(w.p, "c", c.port)
        s = await w.team(1)
        await w.echo("res 4", f"{s}/0/ctl")
        await w.echo(RING, f"{s}/ctl")
        got = [line.split() for line in (await w.cat(f"{s}/stdout")).splitlines()]
        assert [words[:3] for words in got] == [[f"{r}:", "from", f"{(r - 1) % 4}"] for r in range(4)]
        assert {words[-1] for words in got} == {"a", "b"}
        assert callers(w) == 0
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        await w.p.unmount(None, "/remote/c")


ALL_TO_ALL = """
import os, sys
from nsh.net import sync
rank, size = int(os.environ["TASK_RANK"]), int(os.environ["TASK_SIZE"])
with sync.connect(os.environ["TASK_ADDR"]) as fs:
    for m in range(size):
        fs.write(f"{(rank + m) % size}/stdin", b"%d\\n" % rank)
got = sorted(int(sys.stdin.readline()) for _ in range(size))
print(rank, got == list(range(size)))
"""


async def all_to_all(w: World, n: int) -> None:
    s = await w.team(n)
    await w.echo(f"exec {sys.executable} -c {quote(ALL_TO_ALL)}", f"{s}/ctl")
    assert await w.cat(f"{s}/stdout") == "".join(f"{rank} True\n" for rank in range(n))


@pytest.mark.limit(180)
async def test_sixty_four_tasks_all_write_to_all() -> None:
    async with world() as w:
        await all_to_all(w, 64)


@pytest.mark.limit(180)
async def test_the_tasks_of_three_hosts_all_write_to_all(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, _):
        await all_to_all(w, 20)


PUMP = """
import os, sys
from nsh.net import sync
rank = int(os.environ["TASK_RANK"])
if rank == 0:
    with sync.connect(os.environ["TASK_ADDR"]) as fs, fs.open("1/stdin", 1) as f:
        for n in range(40):
            assert f.write(b"%7d\\n" % n * 125000) == 1000000
else:
    n = 0
    while line := sys.stdin.buffer.readline():
        assert int(line) == n // 125000
        n += 1
    print(n)
"""


async def test_much_data_from_one_host_to_another_comes_whole(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(2, f"exec {sys.executable} -c {quote(PUMP)}")
        assert await w.cat(f"{s}/stdout") == f"{40 * 125000}\n"
        assert await w.cat(f"{s}/stderr") == ""


# --- what goes wrong ---------------------------------------------------------------------------

CALL = """
import os, sys
from nsh.net import sync
with sync.connect(os.environ["TASK_ADDR"]) as fs:
    print(os.getpid(), fs.read("status").count(b"Execute"), flush=True)
    try:
        print(sys.stdin.readline().strip(), fs.read("status").count(b"Execute"), flush=True)
    except OSError as e:
        print(e)
"""


async def first_line(w: World, name: str) -> list[int]:
    fd = await w.p.open(name)
    try:
        return [int(word) for word in (await w.p.read(fd)).split()]
    finally:
        w.p.close(fd)


async def test_a_task_that_is_killed_hangs_up(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(3, f"exec {sys.executable} -c {quote(CALL)}")
        for rank in range(3):
            await first_line(w, f"{s}/{rank}/stdout")
        assert callers(w) == 3
        await w.echo("signal KILL", f"{s}/1/ctl")
        await until(lambda: callers(w) == 2)
        await w.cat(f"{s}/1/wait")
        await w.echo("go on", f"{s}/stdin")
        assert (await w.cat(f"{s}/stdout")).count("go on 2") == 2


async def test_a_host_that_dies_hangs_up_and_the_others_go_on(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, (_, two, _)):
        s = await w.team(3, f"exec {sys.executable} -c {quote(CALL)}")
        for rank in range(3):
            await first_line(w, f"{s}/{rank}/stdout")
        two.signal(signal.SIGKILL)
        await until(lambda: callers(w) == 2)
        await w.echo("go on", f"{s}/stdin")
        assert (await w.cat(f"{s}/0/stdout")).splitlines()[1] == "go on 2"
        assert (await w.cat(f"{s}/2/stdout")).splitlines()[1].startswith("go on ")


async def test_a_host_that_was_stopped_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with three_hosts(tmp_path) as (w, (one, _, _)):
        s = await w.team(3, f"exec {sys.executable} -c {quote(CALL)}")
        for rank in range(3):
            await first_line(w, f"{s}/{rank}/stdout")
        monkeypatch.setattr(hosts, "PATIENCE", 1.5)
        one.signal(signal.SIGSTOP)
        assert "Lost" in await w.cat(f"{s}/status")
        one.signal(signal.SIGCONT)
        monkeypatch.setattr(hosts, "PATIENCE", 10.0)
        for met in w.device.hosts.met():
            assert await met.check()
        await w.echo("go on", f"{s}/stdin")
        assert (await w.cat(f"{s}/2/stdout")).splitlines()[1].startswith("go on ")


@pytest.mark.parametrize("peers", ["off", "on"])
async def test_an_owner_that_is_killed_leaves_nothing_anywhere(
    tmp_path: Path, nothing_stays: str, peers: str
) -> None:
    if peers == "on" and not available("FUSE in a name space"):
        pytest.skip("needs FUSE in a name space")

    def start(client: Client) -> list[str]:
        number = client.clone(f"res 2\npeers {peers}")
        client.write(f"{number}/ctl", "exec sh -c 'echo $$ $(pwd); sleep 100; exec cat'")
        return [client.read(f"{number}/{rank}/stdout") for rank in range(2)]

    async with remote(tmp_path) as there:
        for mounts in ([], [f"there={there.port}"]):
            async with remote(tmp_path, *mounts) as owner:
                client = await asyncio.to_thread(Client, owner.port)
                lines = await asyncio.to_thread(start, client)
                assert os.listdir(nothing_stays)
                owner.signal(signal.SIGKILL)
                await owner.process.wait()
                client.close()
                pids = [int(line.split()[0]) for line in lines]
                await until(lambda: not any(running(pid) for pid in pids))  # noqa: B023


def listen_in(port: int) -> None:
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(contextlib.closing(Client(port))) for _ in range(2))
        line = one._open("peers", ORDWR)
        one._client.write(line, b"listen name")
        number = one.clone("task 0 1 h name 7")
        with pytest.raises(py9p.RemoteError, match="nobody listens"):
            other.clone("task 0 1 h name 7")
        with pytest.raises(py9p.RemoteError, match="nobody listens"):
            other.write(f"{number}/ctl", "task 0 1 h name 7")
        one.write(f"{number}/ctl", "exec sh -c 'echo $TASK_ADDR; exec sleep 100'")
        where = one.read(f"{number}/stdout").strip()
        with socket.socket(socket.AF_UNIX) as calling:
            calling.connect(where.removeprefix("unix!"))
            calling.sendall(b"hello")
            assert bytes(one._client.read(line, 10)) == b"7"
            assert bytes(one._client.read(line, 10)) == b"hello"
            one._client.write(line, b"who?")
            assert calling.recv(10) == b"who?"
            one._client.clunk(line)
            assert calling.recv(10) == b""


async def test_nobody_listens_in_on_another_connection(tmp_path: Path) -> None:
    async with remote(tmp_path) as r:
        await asyncio.to_thread(listen_in, r.port)


def misuse(port: int) -> None:
    with contextlib.closing(Client(port)) as client:
        listing = bytes(client._client.read(client._open("", OREAD), 8000))
        assert b"clone" in listing
        assert b"peers" not in listing
        for text in (b"", b"listen", b"listen ", b"\xff\0", b"x" * 5000):
            with pytest.raises(py9p.RemoteError, match="unknown control"):
                client._client.write(client._open("peers", ORDWR), text)
        line = client._open("peers", ORDWR)
        with pytest.raises(py9p.RemoteError, match="inappropriate use of fd"):
            client._client.read(line, 10)
        client._client.write(line, b"listen name")
        with pytest.raises(py9p.RemoteError, match="inappropriate use of fd"):
            client._client.write(line, b"listen again")


async def test_the_file_of_the_calls_is_not_listed_and_bears_misuse(tmp_path: Path) -> None:
    async with remote(tmp_path) as r:
        await asyncio.to_thread(misuse, r.port)


class Liar(File):
    """The file of a host that says whom it calls, which is not up to it, and begins a conversation."""

    def __init__(self) -> None:
        super().__init__("peers", 0o666)
        self.key = b""
        self.heard = b""
        self.closed = asyncio.Event()
        self._opens = 0

    def open(self, c: Chan, mode: int) -> None:
        tversion = b"\x13\0\0\0\x64\xff\xff\0\x20\0\0\x06\x009P2000"
        c.dirpos = [] if self._opens else [self.key, tversion]
        self._opens += 1

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        said: list[bytes] = c.dirpos
        return said.pop(0) if said else self._end()

    async def _end(self) -> bytes:
        await self.closed.wait()
        return b""

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        self.heard += data
        return len(data)

    def close(self, c: Chan) -> None:
        self.closed.set()


async def test_a_host_calls_only_sessions_that_it_is_a_part_of() -> None:
    class Hosts(Device):
        letter, name = "h", "hosts"

        def tree(self) -> Directory:
            return Directory("#h", Directory("one", mine), Directory("other", others))

    async with world() as w:
        s = await w.clone()
        session = w.device.sessions[int(s.rpartition("/")[2])]
        mine, others = Liar(), Liar()
        w.p.system.register(Hosts)
        one, other = Operator(w.p, "#h/one"), Operator(w.p, "#h/other")
        mine.key = others.key = one.enter(session).encode()
        await until(lambda: b"9P2000" in mine.heard)
        await others.closed.wait()
        assert others.heard.count(b"listen") == 2  # it is listened to again, and was not answered
        assert b"9P2000" not in others.heard
        for operator in (one, other):
            operator.close()
        await w.echo("release", f"{s}/ctl")
        await mine.closed.wait()
