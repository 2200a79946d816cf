"""A host that has but cmd(3) is a host: ours, one that does what the manual says, and a real Inferno.

emu on the PATH means a hosted Inferno that finds its files by itself.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nsh.kern.mnt import MREPL
from nsh.kern.namec import Access, namec
from nsh.p9.const import OWRITE
from nsh.p9.msg import Tstat
from taskfs import hosts
from taskfs.journal import Journal
from tests.dev.rogue import Rogue
from tests.fuse.mounts import free_port, server
from tests.taskfs import host
from tests.taskfs.test_hosts import Remote, remote, running
from tests.taskfs.world import SESSION_FILES, World, until, world

INFERNO = "tests.taskfs.inferno"


@asynccontextmanager
async def inferno(tmp_path: Path) -> AsyncIterator[tuple[World, Remote]]:
    """A world with the small server as its only host, far."""
    async with remote(tmp_path, module=INFERNO) as r, world() as w:
        await host.mount(w.p, "far", r.port)
        yield w, r
        await w.p.unmount(None, "/remote/far")


@asynccontextmanager
async def ours(tmp_path: Path) -> AsyncIterator[World]:
    """A world with the device `#C` of another nsh as its only host, far, mounted as /cmd is in Inferno."""
    with server("cd /", "'#C'") as (address, _):
        async with world() as w:
            await host.mount(w.p, "far", int(address.rpartition("!")[2]))
            yield w
            await w.p.unmount(None, "/remote/far")


@asynccontextmanager
async def emu() -> AsyncIterator[World]:
    """A world with an Inferno as its only host, far."""
    port = free_port()
    # styxlisten exports a mount of an export, and Inferno's client and server lose requests between them
    script = f"bind -a '#C' /; listen -A tcp!127.0.0.1!{port} {{export -a /}}"
    nothing = asyncio.subprocess.DEVNULL
    argv = ("emu", "/dis/sh.dis", "-c", script)
    process = await asyncio.create_subprocess_exec(*argv, stdin=nothing, stdout=nothing)
    try:
        await until(lambda: answers(port))
        async with world() as w:
            await host.mount(w.p, "far", port)
            yield w
            await w.p.unmount(None, "/remote/far")
    finally:
        process.kill()
        await process.wait()


def answers(port: int) -> bool:
    """Does anybody take calls there?"""
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["inferno", "ours", pytest.param("emu", marks=pytest.mark.requires("emu"))])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """One of the three worlds."""

    @asynccontextmanager
    async def made() -> AsyncIterator[World]:
        if request.param == "ours":
            async with ours(tmp_path) as w:
                yield w
        elif request.param == "emu":
            async with emu() as w:
                yield w
        else:
            async with inferno(tmp_path) as (w, _):
                yield w

    return made


async def test_its_programs_are_tasks(far: object) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(3, "dir /usr")
        assert await w.ls(s) == sorted(["0", "1", "2", *SESSION_FILES])
        assert await w.ls(f"{s}/1") == SESSION_FILES
        assert [line.split()[0:3] for line in (await w.cat(f"{s}/status")).splitlines()] == [
            [f"cmd/{n}", "1", "Closed"] for n in range(3)
        ]
        await w.echo("exec sh -c 'pwd; echo rank %r of %n on %h; echo oops >&2; exit %r'", f"{s}/ctl")
        for _ in range(2):
            assert await w.cat(f"{s}/stdout") == "".join(f"/usr\nrank {r} of 3 on far\n" for r in range(3))
        assert await w.cat(f"{s}/stderr") == "oops\n" * 3
        assert await w.cat(f"{s}/status") == "".join(f"cmd/{n} 5 Done /usr sh\n" for n in range(3))
        ends = [line.split(" ", 6) for line in (await w.cat(f"{s}/wait")).splitlines()]
        assert [end[:2] for end in ends] == [[str(rank), "far"] for rank in range(3)]
        assert ends[0][6] == "''" and ends[1][6] in ("'exit: 1'", "'status 1'")
        assert all(int(end[2]) > 1 for end in ends)


async def test_input_goes_there_and_ends(far: object) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(2)
        text = "".join(f"{n} bottles\n" for n in range(20000))
        await w.echo("early", f"{s}/stdin")
        await w.echo("exec cat", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "early\n" * 2
        await w.echo("exec cat", f"{s}/ctl")
        await w.echo(text, f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == (text + "\n") * 2
        await w.echo("outmode line\ninmode lines\nexec sh -c 'read line; echo $line; cat'", f"{s}/ctl")
        await w.echo("a\nb\nc\nd", f"{s}/stdin")
        assert sorted((await w.cat(f"{s}/stdout")).split()) == ["a", "b", "c", "d"]
        await w.echo("exec cat\nclosein", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == ""
        assert await w.refusal("late", f"{s}/stdin") == "write on closed pipe"


async def test_args_nice_and_timeout_work(far: object) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(1, "nice 10")
        await w.echo("'two words' 'it''s'", f"{s}/args")
        await w.echo("exec printf '%s|'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "two words|it's|"
        await w.echo("", f"{s}/args")
        await w.echo("timeout 0.3\nexec sleep 100", f"{s}/ctl")
        assert (await w.cat(f"{s}/wait")).endswith(" 'timeout'\n")


async def test_what_cmd3_has_not_is_refused(far: object) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(1)
        assert await w.refusal("res 1", f"{s}/0/ctl") == (
            "cmd(3) reserves nothing for others, and does not say of what kind its host is"
        )
        t = await w.clone()
        assert await w.refusal("res 1 Linux", f"{t}/ctl") == "no host of kind Linux *: far"
        await w.echo("COLOUR=red", f"{s}/env")
        assert await w.refusal("exec true", f"{s}/ctl") == (
            "0: exec failed: env: cmd(3) has nothing of the kind"
        )
        u = await w.team(1)
        await w.echo("bind /usr /mnt", f"{u}/ns")
        assert (
            await w.refusal("exec true", f"{u}/ctl") == "0: exec failed: ns: cmd(3) has nothing of the kind"
        )
        v = await w.team(1, "exec sleep 100")
        assert await w.refusal("signal USR1", f"{v}/ctl") == (
            "0: cmd(3) knows no signals; kill ends the program"
        )
        assert (await w.refusal("exec true", f"{v}/ctl")) == "0: exec failed: a task is running already"
        await w.echo("kill", f"{v}/ctl")
        assert "'killed'" in await w.cat(f"{v}/wait")


async def test_a_program_that_is_not_there_is_told_of(far: object) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(2)
        assert await w.refusal("exec /no/such/program", f"{s}/ctl") == (
            "0-1: exec failed: No such file or directory"
        )
        await w.echo("exec echo ok", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "ok\nok\n"


async def pids(w: World, s: str, n: int) -> list[int]:
    """What each of ``n`` tasks has printed in its first line."""
    found = []
    for rank in range(n):
        fd = await w.p.open(f"{s}/{rank}/stdout")
        found.append(int((await w.p.read(fd)).split()[0]))
        w.p.close(fd)
    return found


@pytest.mark.parametrize("word", ["kill", "release"])
async def test_kill_and_release_end_the_programs(far: object, word: str) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(2, "exec sh -c 'echo $$; exec sleep 1000'")
        programs = await pids(w, s, 2)
        assert all(map(running, programs))
        await w.echo(word, f"{s}/ctl")
        await until(lambda: not any(map(running, programs)))
        if word == "kill":
            assert (await w.cat(f"{s}/wait")).count("'killed'") == 2
            await w.echo("exec echo again", f"{s}/ctl")
            assert await w.cat(f"{s}/stdout") == "again\n" * 2
        else:
            await w.device.settled()
            assert "0" not in await w.ls("/task/remote")
            free = [
                line.split()[1] for n in range(2) for line in [await w.cat(f"/remote/far/cmd/{n}/status")]
            ]
            assert free == ["0", "0"]


async def test_detached_resources_outlive_the_connection(far: object) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(1, "detach", "exec echo still")
        assert {session.owner for session in w.device.sessions.values()} == {w.device.detached(w.p.user)}
        assert await w.cat(f"{s}/stdout") == "still\n"
        await w.echo("release", f"{s}/ctl")


async def test_a_killed_host_loses_its_programs_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with inferno(tmp_path) as (w, r), remote(tmp_path / "other") as other:
        await host.mount(w.p, "other", other.port)
        s = await w.team(2)
        await w.echo("exec sh -c 'echo up; read line; echo $line'", f"{s}/ctl")
        fd = await w.p.open(f"{s}/1/stdout")
        assert await w.p.read(fd) == b"up\n"
        w.p.close(fd)
        r.signal(signal.SIGKILL)
        await r.process.wait()
        await w.echo("on", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") in ("up\non\n", "up\non\nup\n")
        ends = [
            line.split(" ")[1] + line[line.index("'") :] for line in (await w.cat(f"{s}/wait")).splitlines()
        ]
        assert ends == ["other''", "far'lost'"]
        assert [line.split()[2] for line in (await w.cat(f"{s}/status")).splitlines()] == ["Done", "Lost"]
        assert (await w.refusal("exec true", f"{s}/ctl")).startswith("1: far: ")
        t = await w.team(2, "exec echo %h")
        assert await w.cat(f"{t}/stdout") == "other\nother\n"
        for session in (s, t):
            await w.echo("release", f"{session}/ctl")
        await w.device.settled()
        await w.p.unmount(None, "/remote/other")


async def test_a_host_that_hangs_loses_no_byte_of_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "PATIENCE", 1.5)
    monkeypatch.setattr(hosts, "INTERVAL", 0.2)
    async with inferno(tmp_path) as (w, r):
        s = await w.team(1, "exec sh -c 'seq 30000; read line; seq 30000'")
        r.signal(signal.SIGSTOP)
        await until(lambda: any(h.lost for h in w.device.hosts.met()))
        assert " Lost " in await w.cat(f"{s}/status")
        assert (await w.cat(f"{s}/wait")).endswith("'lost'\n")
        r.signal(signal.SIGCONT)
        await until(lambda: not any(h.lost for h in w.device.hosts.met()))
        assert " Execute " in await w.cat(f"{s}/status")
        await w.echo("go", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == "".join(f"{n}\n" for n in range(1, 30001)) * 2


async def test_one_whose_processes_all_wait_is_asked_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Inferno's export does, this one leaves a request alone until more come."""
    monkeypatch.setattr(hosts, "KNOCK", 0.01)
    server = await Rogue.start()
    server.held = lambda m: isinstance(m, Tstat) and server.count(Tstat) < 3
    far = hosts.Host("far", "", Journal())
    far._file = await namec(server.p, "/mnt/a", Access.BIND)
    far.simple = True
    assert await far.check()
    assert server.count(Tstat) == 3
    far._file = None
    await server.stop()


async def test_output_that_nobody_reads_is_kept_and_the_program_goes_on(far: object) -> None:
    async with far() as w:  # type: ignore[operator]
        s = await w.team(1, "exec sh -c 'seq 200000; echo done >&2'")
        assert (await w.cat(f"{s}/wait")).endswith("''\n")
        assert await w.cat(f"{s}/stderr") == "done\n"
        assert len(await w.cat(f"{s}/stdout")) == sum(len(f"{n}\n") for n in range(1, 200001))


async def test_the_directory_of_the_connections_itself_is_a_host_too(tmp_path: Path) -> None:
    async with remote(tmp_path, module=INFERNO) as r, world() as w:
        await host.mount(w.p, "x", r.port, "/n/x")
        await w.p.bind("/n/x/cmd", "/remote/far", MREPL)
        s = await w.team(1, "exec pwd")
        assert await w.cat(f"{s}/stdout") == f"{tmp_path}\n"
        assert (await w.cat(f"{s}/status")) == f"cmd/0 5 Done {tmp_path} pwd\n"
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        w.p.close(fd)
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        for name in ("/remote/far", "/n/x"):
            await w.p.unmount(None, name)
        await asyncio.sleep(0)
