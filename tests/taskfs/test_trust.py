"""Whom a host trusts, what it says of that, and how much one client can make it keep."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import py9p
import pytest

from nsh.errors import Elimit
from nsh.kern.namec import quote
from nsh.kern.proc import RFNOTEG
from nsh.net import sync
from nsh.p9.const import OWRITE
from taskfs import files, owner, session, spool
from tests.conftest import available
from tests.fuse.mounts import free_port
from tests.taskfs import host
from tests.taskfs.test_data import small_quota
from tests.taskfs.test_hosts import Client, remote
from tests.taskfs.test_peers import TELL, address, call
from tests.taskfs.world import World, until, world

TOP = Path(__file__).parents[2]


# --- who one is --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "runs"), [("/task", True), ("/", True), ("'#C'", True), ("/dev", False), ("/usr", False)]
)
def test_the_announcement_says_when_strangers_may_run_programs(tree: str, runs: bool) -> None:
    address = f"tcp!*!{free_port()}"
    argv = [sys.executable, "-P", "-m", "nsh", "-c", f"styxlisten -A {address} export {tree}"]
    said = subprocess.run(argv, cwd=TOP, capture_output=True, text=True).stderr
    user, name = getpass.getuser(), tree.strip("'")
    may = f"everybody who can reach {address} may now do to {name} what {user} may"
    assert said == f"styxlisten: {may}{f', and run programs as {user}' if runs else ''}\n"


async def test_whoever_a_client_says_he_is_his_tasks_are_those_of_who_serves(tmp_path: Path) -> None:
    def ask(port: int) -> list[str]:
        client = Client(port)  # it says that it is glenda
        number = client.clone("exec id -un")
        client.read(f"{number}/wait")
        told = client.read(f"{number}/stdout")
        client.close()
        return [told]

    async with remote(tmp_path) as r:
        assert await asyncio.to_thread(ask, r.port) == [f"{getpass.getuser()}\n"]


# --- the address of a session ------------------------------------------------------------------


def files_of_processes(name: str) -> dict[int, bytes]:
    """What every process has to say in its file ``name`` of /proc."""
    found = {}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found[int(pid)] = Path(f"/proc/{pid}/{name}").read_bytes()
    return found


@pytest.mark.parametrize("peers", ["off", "on"])
@pytest.mark.parametrize("where", ["here", "there"])
async def test_only_the_environment_of_its_own_tasks_has_the_address_of_a_session(
    where: str, peers: str, tmp_path: Path
) -> None:
    if peers == "on" and not available("FUSE in a name space"):
        pytest.skip("needs FUSE in a name space")
    script = quote("9p read status >&2; 9p ls >&2; echo $$ $TASK_ADDR; read line")
    async with contextlib.AsyncExitStack() as stack:
        if where == "there":
            r = await stack.enter_async_context(remote(tmp_path))
        w = await stack.enter_async_context(world())
        if where == "there":
            await host.mount(w.p, "there", r.port)
        tokens: dict[str, set[int]] = {}
        sessions = [await w.team(2, f"peers {peers}", f"exec sh -c {script}") for _ in range(2)]
        for s in sessions:
            told = [(await first_line(w, f"{s}/{rank}/stdout")).split() for rank in range(2)]
            assert len({at for _, at in told}) == 1
            tokens[os.path.basename(told[0][1])] = {int(pid) for pid, _ in told}
        assert len(tokens) == 2
        environments, arguments = files_of_processes("environ"), files_of_processes("cmdline")
        log = await w.cat("/task/remote/status/log")
        for token, tasks in tokens.items():
            assert tasks == {pid for pid, environ in environments.items() if token.encode() in environ}
            assert not [line for line in arguments.values() if token.encode() in line]
            assert token not in log
        for s in sessions:
            await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        if where == "there":
            await w.p.unmount(None, "/remote/there")


async def first_line(w: World, name: str) -> str:
    fd = await w.p.open(name)
    try:
        return (await w.p.read(fd)).decode()
    finally:
        w.p.close(fd)


async def test_the_address_of_one_session_is_no_way_to_another() -> None:
    async with world() as w:
        mine, other = await w.team(1, TELL), await w.team(1, TELL)
        where, elsewhere = await address(w, mine), await address(w, other)
        number, another = mine.rpartition("/")[2].encode(), other.rpartition("/")[2].encode()
        for aname in ("", "/", other, another.decode(), "/task"):
            with contextlib.suppress(OSError):  # it is refused, or means nothing
                assert await asyncio.to_thread(session_at, where, aname) == number
        token = os.path.basename(where)
        for guess in (f"{elsewhere}/{token}", elsewhere[:-1], f"{os.path.dirname(elsewhere)}/{token[::-1]}"):
            with pytest.raises(OSError):
                await asyncio.to_thread(session_at, guess, "")
        assert await asyncio.to_thread(session_at, elsewhere, "") == another
        for name in (f"../{another.decode()}/ctl", f"../../remote/{another.decode()}/ctl", other):
            with pytest.raises(FileNotFoundError):
                await call(where, lambda fs: fs.read(name))  # noqa: B023


def session_at(where: str, aname: str) -> bytes:
    """The number of the session to which an address leads."""
    with sync.connect(where, aname) as fs:
        return fs.read("ctl")


# --- what one keeps ----------------------------------------------------------------------------


def refusal(client: Client, name: str, text: str) -> str:
    """What a host says that refuses what is written."""
    try:
        client.write(name, text)
    except py9p.RemoteError as e:
        return str(e)
    return ""


def refused_clone(client: Client) -> str:
    try:
        client.clone("detach")
    except py9p.RemoteError as e:
        return str(e)
    return ""


def reach_all_bounds(client: Client) -> list[str]:
    """Have as much as one connection may, and ask for more; what the host says."""
    first = client.clone("exec seq 300000")
    other = client.clone("nice")
    return [
        refusal(client, f"{other}/ctl", "res 4"),
        refusal(client, f"{other}/env", "a=" + "x" * 1000),
        refusal(client, f"{first}/env", "a=" + "x" * 800) + refusal(client, f"{other}/env", "a=" + "x" * 800),
        refusal(client, f"{other}/ctl", "res 3"),
        refusal(client, f"{other}/ctl", "res 2") + refused_clone(client),
    ]


def work(client: Client) -> str:
    number = client.clone("res 2")
    client.write(f"{number}/env", "a=" + "x" * 400)
    client.write(f"{number}/ctl", "exec echo ok")
    return client.read(f"{number}/wait")[-3:] + client.read(f"{number}/stdout")


async def test_who_has_reached_all_bounds_is_told_and_others_have_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "MAXCHILDREN", 3)
    monkeypatch.setattr(owner, "MAXSESSIONS", 4)
    monkeypatch.setattr(files, "MAXSETTING", 1000)
    monkeypatch.setattr(owner, "MAXSETTINGS", 1500)
    limits(monkeypatch, 1 << 16, 1 << 17)
    async with world() as w:
        port = await host.serve(w.p)
        greedy, modest = await asyncio.to_thread(lambda: (Client(port), Client(port)))
        assert await asyncio.to_thread(reach_all_bounds, greedy) == [
            "too many resources: 4, at most 3 in a session",
            "env: more than 1000 bytes",
            "too much in args, env and ns: at most 1500 bytes together",
            "too many sessions: 5, at most 4 together",
            "too many sessions: 5, at most 4 together",
        ]
        await held_back(w, 1)
        assert await asyncio.to_thread(work, modest) == "''\nok\nok\n"
        for client in (greedy, modest):
            client.close()
        await until(lambda: not w.device.sessions)
        assert not w.device._owners


@pytest.mark.parametrize("name", ["args", "env", "ns"])
async def test_settings_are_bounded_in_a_session_and_for_all_of_its_owner(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAXSETTING", 1000)
    monkeypatch.setattr(owner, "MAXSETTINGS", 1500)
    async with world() as w:
        s, t = await w.clone(), await w.clone()

        async def write(session: str, text: str) -> str:
            fd = await w.p.open(f"{session}/{name}", OWRITE)
            try:
                await w.p.write(fd, text.encode())
            except Elimit as e:
                return str(e)
            finally:
                w.p.close(fd)
            return ""

        assert await write(s, "a=" + "x" * 800) == ""
        if name != "args":
            assert await write(s, "\nb=" + "x" * 300) == f"{name}: more than 1000 bytes"
        together = "too much in args, env and ns: at most 1500 bytes together"
        assert await write(t, "a=" + "x" * 900) == together
        await w.echo("release", f"{s}/ctl")
        assert await write(t, "a=" + "x" * 900) == ""
        line_end = name == "env"  # each variable is a line
        assert sum(o.settings for o in w.device._owners.values()) == 902 + line_end


async def test_an_environment_that_is_written_again_and_again_does_not_grow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "MAXSETTING", 1000)
    async with world() as w:
        s = await w.clone()
        for n in range(500):
            await w.echo(f"COUNT={n}", f"{s}/env")
        await w.echo("exec sh -c 'echo $COUNT'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "499\n"


def limits(monkeypatch: pytest.MonkeyPatch, memory: int, disk: int) -> None:
    """Let so much be kept of the output of all tasks of one owner, in small pieces."""
    monkeypatch.setattr(spool, "MEMORY", 1 << 16)
    monkeypatch.setattr(spool, "SEGMENT", 1 << 16)
    monkeypatch.setattr(spool, "RETRY", 0.05)
    monkeypatch.setattr(owner, "MAXMEMORY", memory)
    monkeypatch.setattr(owner, "MAXDISK", disk)


def numbers(n: int) -> str:
    return "".join(f"{i}\n" for i in range(1, n + 1))


async def held_back(w: World, tasks: int) -> None:
    """Wait until so many tasks are held back."""
    await until(lambda: w.device.journal.text().count("held back") >= tasks)


@pytest.mark.parametrize(("memory", "disk"), [(1 << 18, 1 << 20), (0, 1 << 20), (1 << 18, 0), (0, 0)])
async def test_at_the_bound_of_their_owner_tasks_are_held_back_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, memory: int, disk: int
) -> None:
    limits(monkeypatch, memory, disk)
    async with world() as w:
        s = await w.team(8, "exec seq 300000")
        await held_back(w, 8)
        budget = w.device.sessions[0].owner.budget
        assert budget.disk <= disk + 8 * spool.PIECE and budget.memory <= memory + 8 * spool.PIECE
        assert await w.cat(f"{s}/stdout") == numbers(300000) * 8
        assert (await w.cat(f"{s}/wait")).count("''") == 8
        await w.echo("release", f"{s}/ctl")
        assert (budget.disk, budget.memory) == (0, 0)


async def test_one_owner_at_his_bound_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    limits(monkeypatch, 1 << 18, 1 << 20)
    async with world() as w:
        full = await w.team(4, "exec seq 300000")
        await held_back(w, 4)
        other = w.p.fork(RFNOTEG)
        o = World(other)
        t = await o.on_behalf_of(other, o.clone())
        await w.echo("exec seq 100000", f"{t}/ctl")
        assert (await w.cat(f"{t}/wait")).endswith("''\n")
        assert await w.cat(f"{t}/stdout") == numbers(100000)
        other.exit()
        await w.echo("release", f"{full}/ctl")


async def test_what_is_given_up_makes_room_for_others_of_the_same_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits(monkeypatch, 0, 1 << 18)
    async with world() as w:
        one, other = await w.clone(), await w.clone()
        await w.echo("exec seq 300000", f"{one}/ctl")
        await held_back(w, 1)
        await w.echo("exec seq 300000", f"{other}/ctl")
        await held_back(w, 2)
        await w.echo("release", f"{one}/ctl")
        reader = asyncio.create_task(w.cat(f"{other}/stdout"))
        assert await reader == numbers(300000)


async def test_the_files_on_the_disk_go_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    small_quota(monkeypatch)
    made: list[int] = []
    real = spool.temporary

    def counted() -> int:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(spool, "temporary", counted)

    def still(fds: Sequence[int]) -> list[str]:
        found = (os.readlink(f"/proc/self/fd/{fd}") for fd in fds if os.path.exists(f"/proc/self/fd/{fd}"))
        return [name for name in found if name.endswith("(deleted)")]

    async with world() as w:
        s = await w.team(2, "exec seq 100000")
        await held_back(w, 2)
        assert len(still(made)) == len(made) > 2
        await w.echo("release", f"{s}/ctl")
        assert still(made) == []
