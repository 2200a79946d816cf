"""`#C`: programs of the host by way of files, as Inferno's cmd(3) has them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest

from nsh.dev import cmd
from nsh.dev.cmd import CmdDevice
from nsh.kern.mnt import MAFTER
from nsh.kern.proc import Proc, current
from nsh.p9.const import DMDIR, ORDWR, OREAD, OWRITE
from nsh.p9.stat import Dir
from tests.conformance import check_tree
from tests.kern.world import content, failure, listing, world


@contextlib.asynccontextmanager
async def commands() -> AsyncIterator[Proc]:
    """A process that has `#C` behind its root; what it starts has ended when it has."""
    p = await world()
    await p.bind("#C", "/", MAFTER)
    yield p
    programs = [c.program for c in device(p)._commands.commands if c.program is not None]
    p.exit()
    for program in programs:
        await program.gone.wait()


def device(p: Proc) -> CmdDevice:
    dev = p.system.device("C")
    assert isinstance(dev, CmdDevice)
    return dev


async def clone(p: Proc) -> tuple[int, str]:
    """A command of one's own: its ctl, open, and its directory."""
    ctl = await p.open("/cmd/clone", ORDWR)
    return ctl, f"/cmd/{(await p.read(ctl)).decode()}"


async def output(p: Proc, name: str) -> bytes:
    fd = await p.open(name)
    try:
        return await p.readall(fd)
    finally:
        p.close(fd)


async def test_the_files_are_those_of_inferno() -> None:
    async with commands() as p:
        assert "cmd" in await listing(p, "/")
        assert await listing(p, "/cmd") == ["clone"]
        _, here = await clone(p)
        assert here == "/cmd/0"
        assert await listing(p, "/cmd") == ["0", "clone"]
        assert await listing(p, "/cmd/0") == ["data", "stderr", "ctl", "status", "wait"]
        await check_tree(p, "/cmd")
        assert (await p.stat("/cmd")).mode == DMDIR | 0o555


async def test_a_program_reads_its_input_and_its_output_and_errors_are_read() -> None:
    async with commands() as p:
        ctl, here = await clone(p)
        wait = await p.open(f"{here}/wait")
        await p.write(ctl, b"exec sh -c 'cat; echo trouble >&2; exit 3'\n")
        to = await p.open(f"{here}/data", OWRITE)
        await p.write(to, b"through a cat")
        p.close(to)
        assert await output(p, f"{here}/data") == b"through a cat"
        assert await output(p, f"{here}/stderr") == b"trouble\n"
        pid, user, system, real, status = (await p.readall(wait)).decode().split(" ", 4)
        assert status == "'exit: 3'"
        assert int(pid) > 0
        assert all(int(time) >= 0 for time in (user, system, real))


async def test_more_than_a_pipe_holds_goes_through_both_ways() -> None:
    data = bytes(range(256)) * 4096
    async with commands() as p:
        ctl, here = await clone(p)
        await p.write(ctl, b"exec cat")
        out = await p.open(f"{here}/data", OREAD)
        to = await p.open(f"{here}/data", OWRITE)

        async def feed() -> None:
            await p.write(to, data)
            p.close(to)

        feeding = asyncio.create_task(feed())
        assert await p.readall(out) == data
        await feeding


async def test_ctl_reads_as_the_number_once() -> None:
    async with commands() as p:
        await clone(p)
        ctl, _ = await clone(p)
        assert await p.pread(ctl, 10, 0) == b"1"
        assert await p.pread(ctl, 10, 1) == b""


async def test_status_tells_how_far_it_is() -> None:
    async with commands() as p:
        home = os.getcwd()
        ctl, here = await clone(p)
        assert await content(p, "/cmd/0/status") == f"cmd/0 1 Closed {home} ''\n"
        wait = await p.open(f"{here}/wait")
        await p.write(ctl, b"dir /tmp\n")
        await p.write(ctl, b"exec cat")
        assert await content(p, "/cmd/0/status") == "cmd/0 2 Execute /tmp cat\n"
        to = await p.open(f"{here}/data", OWRITE)
        p.close(to)
        assert (await p.read(wait)).endswith(b" ''")
        p.close(wait)
        assert await content(p, "/cmd/0/status") == "cmd/0 1 Done /tmp cat\n"
        p.close(ctl)
        assert await content(p, "/cmd/0/status") == f"cmd/0 0 Closed {home} ''\n"
        reopened = await p.open("/cmd/0/ctl", ORDWR)
        assert await content(p, "/cmd/0/status") == f"cmd/0 1 Open {home} ''\n"
        p.close(reopened)


async def test_what_is_closed_is_used_again() -> None:
    async with commands() as p:
        first, _ = await clone(p)
        second, _ = await clone(p)
        p.close(first)
        assert (await clone(p))[1] == "/cmd/0"
        assert (await clone(p))[1] == "/cmd/2"
        p.close(second)


async def test_the_owner_is_who_opened_it_and_nobody_else_may() -> None:
    async with commands() as p:
        other = p.fork()
        other.user = "other"
        ctl, here = await clone(p)
        d = await p.stat(f"{here}/ctl")
        assert (d.uid, d.mode) == ("eve", 0o660)
        current.set(other)
        for name in ("ctl", "data", "stderr", "wait"):
            assert await failure(other.open(f"{here}/{name}")) == "permission denied"
        assert (await content(other, f"{here}/status")).startswith("cmd/0 1 ")
        assert await failure(other.wstat(f"{here}/ctl", Dir.dont_touch(mode=0o666))) == "permission denied"
        current.set(p)
        await p.wstat(f"{here}/ctl", Dir.dont_touch(mode=0o666))
        current.set(other)
        other.close(await other.open(f"{here}/ctl", ORDWR))
        other.exit()
        current.set(p)
        p.close(ctl)
        d = await p.stat(f"{here}/data")
        assert (d.uid, d.mode) == ("cmd", 0o666)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("", "empty control message"),
        ("jump 'very high'", "unknown control message \"jump 'very high'\""),
        ("dir", 'wrong #args in control message "dir"'),
        ("exec", 'wrong #args in control message "exec"'),
        ("kill", "not started"),
        ("nice x", "bad arg in system call"),
        ("exec '/no such program'", "exec failed: No such file or directory"),
        ("exec /etc/passwd", "exec failed: Permission denied"),
    ],
)
async def test_what_cannot_be_done_is_said(message: str, text: str) -> None:
    async with commands() as p:
        ctl, _ = await clone(p)
        assert await failure(p.pwrite(ctl, message.encode(), 0)) == text


async def test_a_directory_that_is_not_there_is_said_by_exec() -> None:
    async with commands() as p:
        ctl, _ = await clone(p)
        await p.write(ctl, b"dir '/no such place'")
        text = "can't chdir to /no such place: No such file or directory"
        assert await failure(p.write(ctl, b"exec true")) == text


async def test_one_program_while_the_files_are_open() -> None:
    async with commands() as p:
        ctl, here = await clone(p)
        await p.write(ctl, b"exec true")
        assert (await output(p, f"{here}/wait")).endswith(b" ''")
        assert await failure(p.write(ctl, b"exec true")) == "device or object already in use"


async def test_without_a_program_data_is_empty_and_cannot_be_written() -> None:
    async with commands() as p:
        _, here = await clone(p)
        assert await output(p, f"{here}/data") == b""
        to = await p.open(f"{here}/data", OWRITE)
        assert await failure(p.write(to, b"x")) == "i/o on hungup channel"
        p.close(to)
        assert await failure(p.open(f"{here}/stderr", OWRITE)) == "permission denied"


async def test_kill_ends_the_program() -> None:
    async with commands() as p:
        ctl, here = await clone(p)
        await p.write(ctl, b"exec sleep 100")
        await p.write(ctl, b"kill")
        assert (await output(p, f"{here}/wait")).endswith(b" killed")


async def test_a_program_that_does_not_listen_is_killed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmd, "GRACE", 0.01)
    async with commands() as p:
        ctl, here = await clone(p)
        await p.write(ctl, b"exec sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done'")
        out = await p.open(f"{here}/data")
        assert await p.read(out) == b"ready\n"
        await p.write(ctl, b"kill")
        assert (await output(p, f"{here}/wait")).endswith(b" killed")


async def test_closing_the_last_file_ends_the_program() -> None:
    async with commands() as p:
        ctl, here = await clone(p)
        await p.write(ctl, b"exec sleep 100")
        program = device(p)._commands.commands[0].program
        assert program is not None
        p.close(ctl)
        await program.gone.wait()
        assert (await content(p, f"{here}/status")).startswith("cmd/0 0 Closed ")
        assert (await clone(p))[1] == here


async def test_killonclose_ends_the_program_with_the_last_ctl() -> None:
    async with commands() as p:
        ctl, here = await clone(p)
        wait = await p.open(f"{here}/wait")
        await p.write(ctl, b"killonclose")
        await p.writefile(f"{here}/ctl", b"exec sleep 100", OWRITE)
        assert (await content(p, f"{here}/status")).startswith("cmd/0 2 Execute ")
        p.close(ctl)
        assert (await p.read(wait)).endswith(b" killed")


@pytest.mark.parametrize(("level", "lower"), [("1", 5), ("2", 10), ("99", 15)])
async def test_nice_lowers_the_priority_and_more_than_3_is_3(level: str, lower: int) -> None:
    async with commands() as p:
        ctl, here = await clone(p)
        await p.write(ctl, f"nice {level}".encode())
        await p.write(ctl, b"exec sh -c 'read x; nice'")
        to = await p.open(f"{here}/data", OWRITE)
        await p.write(to, b"go\n")
        assert int(await output(p, f"{here}/data")) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + lower)


async def test_words_that_are_no_utf8_reach_the_program_as_they_are() -> None:
    async with commands() as p:
        ctl, here = await clone(p)
        await p.write(ctl, b"exec printf %s '\xff it''s'")
        assert await output(p, f"{here}/data") == b"\xff it's"
