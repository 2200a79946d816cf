"""A system that looks at mounts of Linux whose files it serves itself, or that nobody serves any more."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nsh import errors
from nsh.boot import boot
from nsh.dev import patience, spawn
from nsh.dev.hostfd import HostFdDevice
from nsh.dev.patience import settled
from nsh.kern.proc import RFFDG, Proc, current
from nsh.p9.const import DMDIR, ORDWR, OREAD, OWRITE
from tests.conformance import check_files, check_tree
from tests.fuse.mounts import (
    NSH,
    TOP,
    apart,
    free_port,
    is_mounted,
    mounted,
    ninepfuse,
    server,
    unanswered,
)

pytestmark = [pytest.mark.requires("/dev/fuse", "fusermount3"), pytest.mark.limit(60)]


@asynccontextmanager
async def looking() -> AsyncIterator[Proc]:
    """A process that looks at files of the host."""
    p = await boot()
    token = current.set(p)
    try:
        yield p
    finally:
        p.exit()
        current.reset(token)
        await settled()


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """The place for a mount, in a directory with other things."""
    (tmp_path / "beside").write_text("beside")
    (tmp_path / "m").mkdir()
    (tmp_path / "link").symlink_to("m")
    return tmp_path / "m"


async def test_its_own_files_conform(where: Path) -> None:
    async with looking() as p, mounted(where):
        await check_files(p, f"#U{where}")
        p.close(await p.create(f"#U{where}/f"))
        p.close(await p.create(f"#U{where}/d", OREAD, DMDIR | 0o755))
        p.close(await p.create(f"#U{where}/d/g"))
        await check_tree(p, f"#U{where}")


async def test_links_lead_there_and_dotdot_leads_out(where: Path) -> None:
    async with looking() as p, mounted(where):
        await p.write(await p.create(f"#U{where.parent}/link/f"), b"text")
        assert await p.readfile(f"#U{where}/f") == b"text"
        assert {d.name: d.isdir for d in await p.readdir(f"#U{where.parent}")} == {
            "beside": False,
            "link": True,
            "m": True,
        }
        await p.chdir(f"#U{where.parent}/link")
        assert await p.readfile("../beside") == b"beside"
        assert (await p.stat("../link/f")).length == 4


async def test_what_is_mounted_or_unmounted_meanwhile_is_noticed(where: Path) -> None:
    async with looking() as p:
        (where / "below").touch()
        await p.chdir(f"#U{where}")
        assert [d.name for d in await p.readdir(".")] == ["below"]
        async with mounted(where):
            p.close(await p.create("f"))
            assert [d.name for d in await p.readdir(".")] == ["f"]
        assert [d.name for d in await p.readdir(f"#U{where}")] == ["below"]


async def test_only_who_asks_a_server_that_never_answers_waits_for_it(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "MOST", 3)
    async with looking() as p:
        with unanswered(where):
            waiting: list[asyncio.Task[Any]] = [
                asyncio.create_task(p.stat(f"#U{where.parent}/{name}")) for name in ("m", "link", "m/x")
            ]
            waiting += [asyncio.create_task(p.readdir(f"#U{where}")) for _ in range(3)]
            listing = asyncio.create_task(p.readdir(f"#U{where.parent}"))
            await asyncio.sleep(0.05)
            assert await p.readfile(f"#U{where.parent}/beside") == b"beside"
            await p.chdir(f"#U{where.parent}")
            assert not any(task.done() for task in [*waiting, listing])
            for task in [*waiting, listing]:
                task.cancel()
            await asyncio.wait([*waiting, listing])
            assert all(task.cancelled() for task in [*waiting, listing])
        assert (await p.stat(f"#U{where}")).isdir, "and when it is gone, all is well"


async def test_a_read_that_is_given_up_is_taken_back(where: Path) -> None:
    with server("memfs /tmp; mkdir /tmp/p; bind '#|' /tmp/p") as (address, _), ninepfuse(address, where):
        async with looking() as p:
            reading = await p.open(f"#U{where}/p/data", OREAD)
            writing = await p.open(f"#U{where}/p/data1", OWRITE)
            for _ in range(3):
                waiting = asyncio.create_task(p.pread(reading, 100, 0))
                await asyncio.sleep(0.05)
                waiting.cancel()
                await asyncio.wait([waiting])
            await asyncio.sleep(0.2)  # until the server has heard of it
            waiting = asyncio.create_task(p.pread(reading, 100, 0))
            await p.write(writing, b"text")
            assert await waiting == b"text", "nobody else has got it"


async def test_when_its_server_dies_the_mount_tells_so_and_is_gone(where: Path) -> None:
    with server() as (address, served), ninepfuse(address, where) as program:
        async with looking() as p:
            fd = await p.create(f"#U{where}/f")
            served.kill()
            with pytest.raises(errors.P9Error):
                while True:
                    await p.write(fd, b"more")
            await apart(program.wait)
            assert await p.readdir(f"#U{where}") == []


async def test_a_mount_that_is_dead_is_an_error(where: Path) -> None:
    async with looking() as p:
        with server() as (address, _), ninepfuse(address, where) as program:
            assert await p.readdir(f"#U{where}") == []
            program.kill()
            program.wait()
            with pytest.raises(errors.P9Error, match="not connected"):
                await p.stat(f"#U{where}")
            assert (await p.stat(f"#U{where.parent}/beside")).length == 6
            await apart(lambda: subprocess.run(["fusermount3", "-u", str(where)], check=True))


# --- programs ----------------------------------------------------------------------------------


async def run(p: Proc, path: str, *words: str) -> tuple[str, str]:
    """Run a host program; its status, and what it has printed."""
    reading, writing = HostFdDevice.of(p.system).pipe()
    child = p.fork(RFFDG)
    child.fgrp.put(1, writing)
    child.start(lambda child: spawn.run(child, path, [path, *words], os.environb))
    number = p.fgrp.new(reading)
    output = (await p.readall(number)).decode()
    p.close(number)
    return await child.wait(), output


async def test_programs_start_there(where: Path) -> None:
    async with looking() as p, mounted(where):
        await p.chdir(f"#U{where}")
        assert await run(p, "/bin/sh", "-c", "echo text >f; cat f; pwd") == ("", f"text\n{where}\n")
        fd = await p.create("script", OWRITE, 0o777)
        await p.write(fd, b"#!/bin/sh\necho $1; exit 3\n")
        p.close(fd)
        assert await run(p, f"{where}/script", "word") == ("3", "word\n")
        fd = await p.create("true", OWRITE, 0o777)
        await p.write(fd, await apart(Path("/bin/true").read_bytes))
        p.close(fd)
        assert await run(p, f"{where}/true") == ("", "")
        for name, why in (("none", "does not exist"), ("f", "permission denied")):
            assert why in (await run(p, f"{where}/{name}"))[0]


async def test_its_files_are_descriptors_of_programs(where: Path) -> None:
    async with looking() as p, mounted(where):
        fd = await p.create(f"#U{where}/f", ORDWR)
        await p.write(fd, b"one\ntwo\n")
        await p.seek(fd, 4)
        child = p.fork(RFFDG)
        child.fgrp.put(0, p.fgrp.get(fd).incref())
        child.fgrp.put(1, p.fgrp.get(fd).incref())
        child.start(
            lambda child: spawn.run(child, "/bin/sh", ["sh", "-c", "read x; echo got $x"], os.environb)
        )
        assert await child.wait() == ""
        assert await p.pread(fd, 100, 0) == b"one\ntwo\ngot two\n"
        assert p.fgrp.get(fd).offset == 16


async def test_a_start_that_is_given_up_leaves_no_program(where: Path) -> None:
    async with looking() as p:
        with unanswered(where):
            start = spawn.Start("/bin/sleep", ["sleep", "1000"], os.environb, str(where))
            child = p.fork(RFFDG)
            child.start(lambda child: spawn.run_as(child, start))
            await asyncio.sleep(0.05)
            child.kill()
            assert await child.wait() == "killed"
        assert await run(p, "/bin/echo", "well") == ("", "well\n")


@pytest.mark.parametrize(("device", "clone"), [("#C", "cmd/clone"), ("#T", "remote/clone")])
async def test_devices_run_programs_there(where: Path, device: str, clone: str) -> None:
    async with looking() as p, mounted(where):
        await p.bind(device, "/n/d", 0)
        ctl = await p.open(f"/n/d/{clone}", ORDWR)
        here = f"/n/d/{os.path.dirname(clone)}/{(await p.read(ctl)).decode().strip()}"
        output = await p.open(f"{here}/{'data' if device == '#C' else 'stdout'}", OREAD)
        await p.write(ctl, f"dir {where}".encode())
        with pytest.raises(errors.P9Error, match="exec failed: No such file or directory"):
            await p.write(ctl, b"exec ./none")
        if device == "#C":
            p.close(ctl)
            p.close(output)
            ctl = await p.open(f"/n/d/{clone}", ORDWR)
            output = await p.open(f"{here}/data", OREAD)
            await p.write(ctl, f"dir {where}".encode())
        await p.write(ctl, b"exec sh -c 'echo text >f; cat f; pwd'")
        assert await p.readall(output) == f"text\n{where}\n".encode()


def test_what_a_shell_is_started_with_may_be_there(where: Path) -> None:
    with server() as (address, _), ninepfuse(address, where):
        (where / "script").write_text("echo one\ncat\nwhat follows\n")
        with open(where / "script") as script, open(where / "output", "wb") as output:
            subprocess.run(NSH, cwd=TOP, stdin=script, stdout=output, check=True, timeout=20)
        assert (where / "output").read_text() == "one\nwhat follows\n"


# --- a shell ------------------------------------------------------------------------------------


def shell(where: Path, script: str, **options: object) -> tuple[str, str]:
    """What a shell prints that serves files, and has mounted them at ``$m``."""
    address = f"tcp!127.0.0.1!{free_port()}"
    whole = f"memfs /n/s; styxlisten -A {address} export /n/s; m={where}; 9pfuse -f {address} $m; {script}"
    argv = [*NSH, "-c", whole]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, timeout=30, **options)  # type: ignore[call-overload]
    assert not is_mounted(where), "nothing is left"
    return done.stdout, done.stderr


def test_a_shell_works_in_its_own_mount(where: Path) -> None:
    script = """
        echo one >$m/f; cat $m/f /n/s/f; cp $m/f $m/g; cd $m; pwd; ls
        sh -c 'cat f >h; echo two >>h'; cat h; sed -i s/two/three/ h; cat h; mkdir d; mv h d/h; ls -p d
        du -a d; tar cf t f d; tar tf t; rm -r d t; ls; cd ..; cat m/g; rm m/g; ls m
    """
    expected = f"""\
one
one
{where}
f
g
one
two
one
three
h
1	d/h
1	d
f
d/
d/h
f
g
one
m/f
"""
    output, complaints = shell(where, script)
    assert (output.replace("    ", "\t"), complaints) == (expected, "")


def test_a_shell_ends_with_the_mount_in_use(where: Path) -> None:
    script = "cd $m; cat /dev/null >f; sh -c 'exec sleep 1000 <f >/dev/null >[2=1]' & ls; kill $apid"
    assert shell(where, script.replace(">[2=1]", "2>&1")) == ("f\n", "")


def test_fusermount_ends_what_the_shell_has_mounted(where: Path) -> None:
    script = "echo x >$m/f; cat $m/f; cd $m; cd ..; fusermount -u m; ls m; fusermount -u m"
    assert shell(where, script) == ("x\n", "fusermount: m: not mounted\n")


def test_a_shell_looks_at_programs_that_live_in_its_name_space(where: Path) -> None:
    script = """
        os -n sh -c 'echo $$; exec sleep 1000' |
            { pid=`{read}; ls -d /proc/$pid/root/n/s; cat /proc/$pid/root/n/s/f; kill -9 $pid }
    """
    output, complaints = shell(where, f"echo x >$m/f; {script}")
    assert output.split("root")[1:] == ["/n/s\nx\n"]
    assert complaints == ""
