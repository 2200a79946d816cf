"""`#p`: processes as files."""

from __future__ import annotations

import asyncio

import pytest

from nsh.kern.mnt import MAFTER, MREPL
from nsh.kern.proc import RFENVG, RFNAMEG, RFNOTEG, Proc, current
from nsh.p9.const import OREAD, OWRITE
from tests.kern.world import content, failure, listing, world
from tests.rc.shell import rc


async def processes() -> Proc:
    p = await world()
    await p.bind("#p", "/prog", MREPL)
    return p


async def sleep(p: Proc) -> str:
    """A program that does not end."""
    await asyncio.get_running_loop().create_future()
    return ""


def started(p: Proc, flags: int = 0) -> Proc:
    """A child that waits for ever."""
    child = p.fork(flags)
    child.args = ["sleeper", "long"]
    child.start(sleep)
    return child


async def kill(p: Proc) -> None:
    p.kill()
    await p.wait()


async def test_each_process_has_a_directory_while_it_runs() -> None:
    p = await processes()
    child = started(p)
    assert await listing(p, "/prog") == [str(p.pid), str(child.pid)]
    files = ["ctl", "fd", "ns", "nsgrp", "pgrp", "status", "wait"]
    assert await listing(p, f"/prog/{child.pid}") == files
    await kill(child)
    assert await listing(p, "/prog") == [str(p.pid)]
    for name in (f"/prog/{child.pid}", "/prog/x", f"/prog/0{p.pid}"):
        assert await failure(p.stat(name)) == f"'{name}' file does not exist"


async def test_the_files_tell_about_the_process() -> None:
    p = await processes()
    child = started(p, RFNAMEG | RFENVG)
    await child.bind("/prog", "/mnt", MAFTER)
    await child.chdir("/prog")
    here = f"/prog/{child.pid}"
    assert await content(p, f"{here}/ns") == (
        "bind -c '#R' /mnt\nbind '#p' /prog\nbind -a '#p' /mnt\ncd /prog\n"
    )
    assert (await content(p, f"{here}/status")).split() == [
        str(child.pid), str(p.pid), "eve", "waiting", "sleeper", "long",
    ]  # fmt: skip
    assert await content(p, f"{here}/pgrp") == str(p.pid)
    assert await content(p, f"{here}/nsgrp") != await content(p, f"/prog/{p.pid}/nsgrp")
    fd = await child.open("/prog")
    assert (await content(p, f"{here}/fd")).split()[:3] == [str(fd), "r", "p"]
    child.close(fd)
    await kill(child)


async def test_a_process_is_killed_by_its_ctl() -> None:
    p = await processes()
    child = started(p)
    await p.writefile(f"/prog/{child.pid}/ctl", b"kill\n", OWRITE)
    assert await child.wait() == "killed"


async def test_killgrp_kills_the_group_but_not_the_one_who_asks() -> None:
    p = await processes()
    leader = started(p, RFNOTEG)
    members = [started(leader) for _ in range(2)]
    bystander = started(p)
    await p.writefile(f"/prog/{members[0].pid}/ctl", b"killgrp", OWRITE)
    assert [await victim.wait() for victim in (leader, *members)] == ["killed"] * 3
    assert (p.status, bystander.status) == (None, None)

    async def ask(q: Proc) -> str:
        await q.writefile(f"/prog/{q.pid}/ctl", b"killgrp", OWRITE)
        return "still here"

    asking = p.fork(RFNOTEG)
    member = started(asking)
    assert await asking.start(ask) == "still here"
    assert await member.wait() == "killed"
    await kill(bystander)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"", "empty control message"),
        (b"restart 'at once'", "unknown control message \"restart 'at once'\""),
        (b"kill now", 'wrong #args in control message "kill now"'),
    ],
)
async def test_other_messages_are_refused(message: bytes, text: str) -> None:
    p = await processes()
    child = started(p)
    fd = await p.open(f"/prog/{child.pid}/ctl", OWRITE)
    assert await failure(p.pwrite(fd, message, 0)) == text
    await kill(child)
    assert await failure(p.pwrite(fd, b"kill", 0)) == "thread exited"
    p.close(fd)


async def test_files_of_a_process_that_has_ended_say_so() -> None:
    p = await processes()
    child = started(p)
    fds = [await p.open(f"/prog/{child.pid}/{name}") for name in ("ns", "status", "fd")]
    await kill(child)
    for fd in fds:
        assert await failure(p.pread(fd, 100, 0)) == "thread exited"
        p.close(fd)


async def test_wait_tells_of_each_child_that_ends() -> None:
    p = await processes()
    wait = await p.open(f"/prog/{p.pid}/wait", OREAD)
    reading = asyncio.create_task(p.read(wait))
    first, second = started(p), started(p)
    await kill(first)
    assert await reading == f'{first.pid} "sleeper":killed'.encode()

    async def fail(q: Proc) -> str:
        return "no luck"

    third = p.fork()
    third.start(fail)
    await third.wait()
    await kill(second)
    assert await p.read(wait) == f'{third.pid} "":no luck'.encode()
    assert await p.read(wait) == f'{second.pid} "sleeper":killed'.encode()
    p.close(wait)


async def test_what_can_only_be_read_or_written_is_refused_when_opened_otherwise() -> None:
    p = await processes()
    child = started(p)
    for name in ("fd", "ns", "nsgrp", "pgrp", "status", "wait"):
        assert await failure(p.open(f"/prog/{child.pid}/{name}", OWRITE)) == "permission denied"
    assert await failure(p.open(f"/prog/{child.pid}/ctl", OREAD)) == "permission denied"
    await kill(child)


async def test_another_user_may_look_but_not_touch() -> None:
    p = await processes()
    child = started(p)
    other = p.fork()
    other.user = "other"
    here = f"/prog/{child.pid}"
    current.set(other)
    assert await failure(other.open(f"{here}/ctl", OWRITE)) == "permission denied"
    for name in ("ns", "fd", "wait"):
        assert await failure(other.open(f"{here}/{name}")) == "permission denied"
    for name in ("status", "pgrp", "nsgrp"):
        assert await content(other, f"{here}/{name}")
    assert await failure(other.remove(f"{here}/ctl")) == "permission denied"
    mine = started(other)
    await other.writefile(f"/prog/{mine.pid}/ctl", b"kill", OWRITE)
    assert await mine.wait() == "killed"
    strange = started(other)
    current.set(p)
    await p.writefile(f"/prog/{strange.pid}/ctl", b"kill", OWRITE)
    assert await strange.wait() == "killed", "the host owner may"
    other.exit()
    await kill(child)


async def test_the_shell_kills_by_files_too() -> None:
    out, err, _ = await rc("cat '#|/data' & echo kill >/prog/$apid/ctl; wait; echo done")
    assert (out, err) == ("done\n", "")
