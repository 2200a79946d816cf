"""The lines of a session's ns make the file tree of its tasks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nsh.p9.const import ORDWR, OTRUNC
from tests.fuse.mounts import server
from tests.ordinary import environment, ordinary, python
from tests.taskfs import host
from tests.taskfs.test_guard import Daemons, daemons
from tests.taskfs.test_hosts import remote
from tests.taskfs.world import until, world

__all__ = ["daemons"]

pytestmark = pytest.mark.requires("FUSE in a name space")


@pytest.fixture(autouse=True)
def leaves_nothing_mounted() -> Iterator[None]:
    yield
    with open("/proc/self/mounts") as file:
        assert "fuse.nsh" not in file.read()


async def test_a_task_sees_what_the_lines_have_bound_and_the_rest_of_its_owners_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "file").write_text("bound\n")
    async with world() as w:
        s = await w.clone()
        await w.echo(f"bind {tmp_path}/a {tmp_path}/b", f"{s}/ns")
        await w.echo(f"exec sh -c 'cat {tmp_path}/b/file; ls {tmp_path}; cat /task/remote/0/ctl'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "bound\na\nb\n0"
        assert (await w.cat(f"{s}/wait")).endswith(" ''\n")
        assert await w.ls(f"{tmp_path}/b") == []  # the owner's own name space is what it was


async def test_input_output_errors_status_and_priority_are_those_of_any_task() -> None:
    async with world() as w:
        s = await w.team(2, "nice 3")
        await w.echo("bind /usr /mnt", f"{s}/ns")
        await w.echo("exec sh -c 'cat; nice; echo $COLOUR >&2; exit 3'", f"{s}/ctl")
        await w.echo("in", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == f"in\n{os.nice(0) + 3}\n" * 2
        assert (await w.cat(f"{s}/wait")).count("'exit: 3'") == 2
        await w.echo("COLOUR=red", f"{s}/env")
        await w.echo("exec sh -c 'echo $COLOUR >&2'", f"{s}/ctl")
        assert await w.cat(f"{s}/stderr") == "red\n" * 2


async def test_a_server_is_mounted_for_the_task_alone(tmp_path: Path) -> None:
    with server("memfs /tmp; echo far >/tmp/file") as (address, _):
        async with world() as w:
            s = await w.clone()
            await w.echo(f"mount -A {address} {tmp_path}", f"{s}/ns")
            await w.echo(f"exec cat {tmp_path}/file", f"{s}/ctl")
            assert await w.cat(f"{s}/stdout") == "far\n"
            assert await w.ls(str(tmp_path)) == []
            await w.echo("release", f"{s}/ctl")
            await w.device.settled()


async def test_every_resource_makes_it_of_its_own_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "here").write_text(f"{name}\n")
    async with remote(tmp_path / "one") as one, remote(tmp_path / "two") as two, world() as w:
        await host.mount(w.p, "one", one.port)
        await host.mount(w.p, "two", two.port)
        s = await w.team(2)
        await w.echo("bind . /mnt", f"{s}/ns")
        await w.echo("exec cat /mnt/here", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "two\none\n"
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        for name in ("one", "two"):
            await w.p.unmount(None, f"/remote/{name}")


async def test_where_a_task_stands_is_said_by_dir_else_by_a_line_else_by_the_host() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("bind /usr /mnt", f"{s}/ns")
        await w.echo("exec pwd", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == f"{os.getcwd()}\n"
        await w.echo("bind /usr /mnt\ncd /mnt/share", f"{s}/ns")
        await w.echo("exec pwd", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "/mnt/share\n"
        await w.echo("dir /mnt/lib\nexec pwd", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "/mnt/lib\n"


async def test_the_lines_are_added_and_truncation_takes_them_away() -> None:
    async with world() as w:
        s = await w.team(1)
        fd = await w.p.open(f"{s}/ns", ORDWR | OTRUNC)
        for line in ("bind /usr /mnt\n", "cd /mnt\n"):
            await w.p.write(fd, line.encode())
        w.p.close(fd)
        assert await w.cat(f"{s}/ns") == "bind /usr /mnt\ncd /mnt\n"
        await w.echo("exec pwd", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "/mnt\n"
        w.p.close(await w.p.open(f"{s}/ns", ORDWR | OTRUNC))
        assert await w.cat(f"{s}/ns") == ""
        await w.echo("exec sh -c 'pwd; ls /mnt'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "".join(
            f"{line}\n" for line in (os.getcwd(), *sorted(os.listdir("/mnt")))
        )


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("bind /usr", "ns:1:10: a bind line reads: bind [-abcCqu] new old"),
        ("\nbind /nowhere /mnt", "ns:2: bind: '/nowhere' file does not exist"),
        ("cd /nowhere", "ns:1: cd: '/nowhere' file does not exist"),
        ("bind /usr /mnt\nclear", f"'/{os.getcwd().split('/')[1]}' file does not exist"),
    ],
)
async def test_lines_that_cannot_be_carried_out_start_nothing(lines: str, error: str) -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo(lines, f"{s}/ns")
        assert await w.refusal("exec true", f"{s}/ctl") == f"exec failed: {error}"
        assert " Closed " in await w.cat(f"{s}/status")
        w.p.close(await w.p.open(f"{s}/ns", ORDWR | OTRUNC))
        await w.echo("exec echo ok", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "ok\n"


async def test_a_program_that_is_not_there_is_told_of() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("bind /usr /mnt", f"{s}/ns")
        assert await w.refusal("exec nosuch", f"{s}/ctl") == "exec failed: file does not exist"
        await w.device.guard.idle()
        await w.echo("exec echo ok", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "ok\n"


async def test_what_is_left_in_a_name_space_ends_with_the_session(daemons: Daemons) -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("bind /usr /mnt", f"{s}/ns")
        await w.echo(f"exec {daemons.command} stubborn", f"{s}/ctl")
        await daemons.come(1)
        procs = len(w.p.system.procs)
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        assert not daemons.pids()
        await until(lambda: len(w.p.system.procs) < procs)


@pytest.mark.requires("an ordinary user")
def test_an_ordinary_user_has_it_too() -> None:
    script = """memfs /n/m; echo ours >/n/m/file
        cd /task/remote/`{cat /task/remote/clone}
        echo res 2 >ctl; echo 'bind /n/m /usr/local' >ns
        echo exec cat /usr/local/file >ctl; cat stdout wait"""
    argv = ordinary(python(), "-m", "nsh", "-c", script)
    done = subprocess.run(argv, env=environment(), cwd="/", capture_output=True, text=True)
    assert (done.stdout.split("\n")[:2], done.stderr) == (["ours", "ours"], "")
    assert done.stdout.count("''") == 2


async def test_more_lines_than_anybody_writes_are_refused() -> None:
    async with world() as w:
        s = await w.clone()
        fd = await w.p.open(f"{s}/ns", ORDWR)
        await w.p.write(fd, b"#\n" * (1 << 19))
        with pytest.raises(OSError, match="ns: more than 1048576 bytes"):
            await w.p.write(fd, b"#\n")
        w.p.close(fd)
