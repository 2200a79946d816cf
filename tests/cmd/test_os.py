"""os: programs of the host, of this one or of another whose cmd device is mounted."""

from __future__ import annotations

import pytest

from nsh.cmd import find, run
from nsh.dev.cmd import CmdDevice
from nsh.kern.mnt import MREPL
from nsh.kern.proc import RFCFDG
from nsh.net.dial import dial
from tests.cmd.session import Result, session
from tests.kern.world import listing, world
from tests.net.peers import Host, opened, quiet


async def test_output_errors_and_input_are_those_of_the_program() -> None:
    s = await session()
    assert await s.run("os", "sh", "-c", "cat; echo trouble >&2", stdin=b"in\n") == Result(
        "in\n", "trouble\n"
    )


async def test_the_status_is_that_of_the_program() -> None:
    s = await session()
    assert (await s.run("os", "sh", "-c", "exit 3")).status == "host: exit: 3"
    assert (await s.run("os", "sh", "-c", "kill -9 $$")).status == "host: killed"


async def test_the_device_is_bound_for_the_command_alone() -> None:
    s = await session()
    assert await s.out("os", "-d", "/tmp", "pwd") == "/tmp\n"
    assert "cmd" not in await listing(s.p, "/")


async def test_words_arrive_as_they_were_written() -> None:
    s = await session()
    words = ["it's", "two words", "", "#;'", "a\nb"]
    assert await s.out("os", "printf", "%s|", *words) == "|".join(words) + "|"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["/no such program"], "cannot exec: exec failed: No such file or directory"),
        (
            ["-d", "/no such place", "true"],
            "cannot exec: can't chdir to /no such place: No such file or directory",
        ),
        (["-m", "/mnt/x", "true"], "cannot open /mnt/x/clone: '/mnt/x' file does not exist"),
    ],
)
async def test_what_goes_wrong_is_said(argv: list[str], text: str) -> None:
    s = await session()
    assert await s.run("os", *argv) == Result("", f"os: {text}\n", text)


async def test_without_a_command_it_tells_its_usage() -> None:
    s = await session()
    assert (await s.run("os")).err.startswith("usage: os [-d dir]")


async def test_a_level_that_there_is_not_is_only_warned_of() -> None:
    s = await session()
    assert await s.run("os", "-N", "x", "echo", "done") == Result(
        "done\n", "os: warning: can't set nice priority: bad arg in system call\n"
    )


async def test_an_interrupted_command_ends_its_program() -> None:
    s = await session()
    q = s.p.fork(RFCFDG)
    for fd in (0, 1, 2):
        q.fgrp.put(fd, await opened(s.p, "#|/data"))
    q.start(lambda q: run(find("os"), q, ["os", "sleep", "100"]))
    dev = s.p.system.device("C")
    assert isinstance(dev, CmdDevice)
    while not any(c.program for c in dev._commands.commands):
        await quiet()
    program = dev._commands.commands[0].program
    assert program is not None
    q.kill()
    assert await q.wait() == "killed"
    await program.gone.wait()


async def test_a_device_far_away_is_used_through_its_mount() -> None:
    far = await world("cmd/")
    await far.bind("#C/cmd", "/mnt/cmd", MREPL)
    host = await Host.start(far)
    s = await session("far/")
    fd = s.p.fgrp.new(await dial(s.p.system, host.address))
    await s.p.mount(fd, "/mnt/far", MREPL)
    s.p.close(fd)
    far_device = far.system.device("C")
    assert isinstance(far_device, CmdDevice)
    far_device.home = "/usr"
    assert await s.out("os", "-m", "/mnt/far/cmd", "sh", "-c", "pwd; cat", stdin=b"x" * 200000) == (
        "/usr\n" + "x" * 200000
    )
    await s.p.unmount(None, "/mnt/far")
    s.p.exit()
    await quiet()
    await host.stop()
