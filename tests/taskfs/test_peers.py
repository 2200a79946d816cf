"""Many-to-many: what tasks are told of each other, and what they can do with the session that runs them."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from nsh import errors
from nsh.kern.mnt import MBEFORE
from nsh.net import sync
from nsh.p9.const import ORCLOSE, ORDWR, OREAD, OWRITE
from nsh.p9.stat import Dir
from taskfs import guard
from tests.taskfs.world import SESSION_FILES, World, until, world

pytestmark = pytest.mark.usefixtures("nothing_stays")

T = TypeVar("T")

TELL = "exec sh -c 'echo $TASK_ADDR; exec cat'"
"""A task that says how to come to its session, and then repeats what it is told."""


async def address(w: World, s: str, rank: int = 0) -> str:
    """The address that the task of this rank was given, which it prints first."""
    fd = await w.p.open(f"{s}/{rank}/stdout")
    try:
        return (await w.p.read(fd)).decode().splitlines()[0]
    finally:
        w.p.close(fd)


async def call(where: str, do: Callable[[sync.Client], T]) -> T:
    """What ``do`` returns, done with the tree at ``where`` by a client like any task's."""

    def in_thread() -> T:
        with sync.connect(where) as fs:
            return do(fs)

    return await asyncio.to_thread(in_thread)


@asynccontextmanager
async def open_for_writing(where: str, name: str) -> AsyncIterator[None]:
    """While the file is open, and nothing is written to it."""
    fs = await asyncio.to_thread(sync.connect, where)
    try:
        await asyncio.to_thread(fs.open, name, OWRITE)
        yield
    finally:
        await asyncio.to_thread(fs.close)


def said(fs: sync.Client, name: str, text: str) -> str:
    """The error that writing ``text`` to the file gives; '' if it gives none."""
    try:
        fs.write(name, text.encode())
    except OSError as e:
        return str(e)
    return ""


def exists(path: str) -> bool:
    return os.path.exists(path)


def sockets() -> str:
    """What Linux tells everybody of sockets."""
    return Path("/proc/net/unix").read_text()


# --- the environment ---------------------------------------------------------------------------


async def test_a_task_is_told_its_place() -> None:
    async with world() as w:
        s = await w.team(3, "exec sh -c 'echo $TASK_RANK $TASK_SIZE $TASK_HOST $TASK_SESSION'")
        here = os.uname().nodename
        assert await w.cat(f"{s}/stdout") == "".join(f"{rank} 3 {here} /\n" for rank in range(3))


async def test_a_task_of_a_session_without_children_is_alone_in_it() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec sh -c 'echo $TASK_RANK $TASK_SIZE %r %n; 9p ls | xargs'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "0 1 0 1\n" + " ".join(SESSION_FILES) + "\n"


async def test_every_level_sees_its_own_session() -> None:
    async with world() as w:
        s = await w.team(2)
        await w.echo("res 3", f"{s}/1/ctl")
        await w.echo("exec sh -c 'echo $TASK_RANK/$TASK_SIZE; 9p ls | grep [0-9] | xargs'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "0/2\n0 1\n" + "".join(f"{r}/3\n0 1 2\n" for r in range(3))


async def test_the_variables_of_the_owner_win_and_the_path_is_only_added_to() -> None:
    async with world() as w:
        s = await w.team(1)
        await w.echo("TASK_HOST=other", f"{s}/env")
        await w.echo("exec sh -c 'echo $TASK_HOST $PATH'", f"{s}/ctl")
        host, path = (await w.cat(f"{s}/stdout")).split()
        assert host == "other"
        assert path.startswith(os.environ["PATH"])


# --- the address -------------------------------------------------------------------------------


async def test_the_address_opens_the_session_and_nothing_else() -> None:
    async with world() as w:
        s, other = await w.team(2, TELL), await w.team(2, TELL)
        where, elsewhere = await address(w, s), await address(w, other)
        assert where != elsewhere
        assert where == await address(w, s, 1)
        assert sorted(await call(where, sync.Client.listdir)) == sorted([*SESSION_FILES, "0", "1"])
        assert await call(where, lambda fs: fs.read("ctl")) == s.rpartition("/")[2].encode()
        up = await call(where, lambda fs: fs.listdir("../0/../.."))
        assert "clone" not in up
        with pytest.raises(errors.Enonexist):
            await call(where, lambda fs: fs.stat("../clone"))
        with pytest.raises(OSError):
            await call(where[:-1] + ("0" if where[-1] != "0" else "1"), sync.Client.listdir)


async def test_nobody_else_finds_the_address() -> None:
    async with world() as w:
        s, other = await w.team(1, TELL), await w.team(1, "exec env")
        path = (await address(w, s)).removeprefix("unix!")
        token = os.path.basename(path)
        assert token not in await w.cat(f"{other}/stdout")
        assert token not in sockets()
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        await call(f"unix!{path}", sync.Client.listdir)
        assert token not in await w.cat("/prog/1/ns")


async def test_with_the_session_its_address_goes() -> None:
    async with world() as w:
        s = await w.team(1, TELL)
        where = await address(w, s)
        fs = await asyncio.to_thread(sync.connect, where)
        await w.echo("release", f"{s}/ctl")
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(fs.listdir)
        with pytest.raises(FileNotFoundError):
            await call(where, sync.Client.listdir)
        directory = os.path.dirname(where.removeprefix("unix!"))
        assert exists(directory)
    assert not exists(directory)


async def test_tasks_that_write_to_all_at_the_same_time_end_their_own_lines() -> None:
    def take_turns(one: sync.Client, two: sync.Client) -> None:
        with one.open("stdin", OWRITE) as first, two.open("stdin", OWRITE) as second:
            for file, text in ((first, b"fi"), (second, b"sec"), (first, b"rst\n"), (second, b"ond\n")):
                file.write(text)

    async with world() as w:
        s = await w.team(2, "inmode lines", TELL)
        where = await address(w, s)

        def both(one: sync.Client) -> None:
            with sync.connect(where) as two:
                take_turns(one, two)

        await call(where, both)
        await w.echo("closein", f"{s}/ctl")
        got = [(await w.cat(f"{s}/{rank}/stdout")).splitlines()[1:] for rank in range(2)]
        assert got == [["first"], ["second"]]


# --- what tasks may do -------------------------------------------------------------------------


async def test_a_task_reads_everything_of_its_session() -> None:
    async with world() as w:
        s = await w.team(2, TELL)
        where = await address(w, s)
        status = await w.cat(f"{s}/status")
        assert (await call(where, lambda fs: fs.read("status"))).decode() == status
        assert (await call(where, lambda fs: fs.read("1/status"))).decode() == status.splitlines(True)[1]
        await w.echo("closein", f"{s}/ctl")
        for name in ("wait", "stdout", "0/stdout", "1/wait", "stderr", "ns"):
            assert (await call(where, lambda fs: fs.read(name))).decode() == await w.cat(f"{s}/{name}")  # noqa: B023


@pytest.mark.parametrize("name", ["ctl", "1/ctl"])
async def test_a_task_does_nothing_in_the_name_of_the_owner(name: str) -> None:
    refused = ["exec date", "release", "res 1", "splice /etc/passwd", "xsplice 0 1", "detach", "dir /",
               "killonclose", "kill\nrelease", "peers off", "nonsense"]  # fmt: skip
    async with world() as w:
        s = await w.team(2, TELL)
        where = await address(w, s)
        for text in refused:
            word = text.split("\n")[-1].split()[0]
            assert await call(where, lambda fs: said(fs, name, text)) == f"not for tasks: {word}"  # noqa: B023
        for file in ("args", "env", "ns", "1/args", "1/env", "1/ns", "status"):
            assert await call(where, lambda fs: said(fs, file, "X=1")) == "permission denied"  # noqa: B023
        for do in (
            lambda fs: fs.remove("1"),
            lambda fs: fs.create("1/new"),
            lambda fs: fs.open("stdin", ORDWR),
            lambda fs: fs.open("stdout", OREAD | ORCLOSE),
        ):
            with pytest.raises(PermissionError):
                await call(where, do)
        with pytest.raises(PermissionError):
            await call(where, lambda fs: fs.wstat("1/ns", Dir.dont_touch(length=0)))
        await call(where, lambda fs: fs.wstat("1/stdin", Dir.dont_touch(length=0)))
        assert (await w.cat(f"{s}/status")).count("Execute") == 2


async def test_what_the_owner_has_bound_in_the_session_is_not_for_its_tasks() -> None:
    async with world() as w:
        s = await w.team(2, TELL)
        where = await address(w, s)
        await w.p.bind("#U/etc", f"{s}/1", MBEFORE)
        await w.p.bind("#U/etc", s, MBEFORE)
        assert "passwd" in await w.ls(f"{s}/1")
        assert sorted(await call(where, lambda fs: fs.listdir("1"))) == SESSION_FILES
        assert "passwd" not in await call(where, sync.Client.listdir)


async def test_a_task_stops_its_neighbours() -> None:
    async with world() as w:
        s = await w.team(3, TELL)
        where = await address(w, s)
        assert await call(where, lambda fs: said(fs, "1/ctl", "signal KILL")) == ""
        await until_states(w, s, "Execute Done Execute")
        assert await call(where, lambda fs: said(fs, "ctl", "kill")) == ""
        whys = [line.split(" ", 6)[-1] for line in (await w.cat(f"{s}/wait")).splitlines()]
        assert whys == ["'signal: 15'", "'signal: 9'", "'signal: 15'"]


async def until_states(w: World, s: str, states: str) -> None:
    """Wait until the tasks of a session are in these states."""
    while " ".join(line.split()[2] for line in (await w.cat(f"{s}/status")).splitlines()) != states:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_to_read_or_write_ctl_is_not_to_close_the_owners() -> None:
    async with world() as w:
        s = await w.team(2)
        fd = await w.p.open(f"{s}/ctl", ORDWR)
        await w.p.write(fd, f"killonclose\n{TELL}".encode())
        where = await address(w, s)
        for name in ("ctl", "1/ctl"):
            assert (await call(where, lambda fs: fs.read(name))).isdigit()  # noqa: B023
            assert await call(where, lambda fs: said(fs, name, "signal CONT")) == ""  # noqa: B023
        assert (await w.cat(f"{s}/status")).count("Execute") == 2
        w.p.close(fd)
        await until_states(w, s, "Done Done")


# --- input -------------------------------------------------------------------------------------


async def test_input_does_not_end_because_one_neighbour_has_closed_it() -> None:
    async with world() as w:
        say = "echo one | 9p write 1/stdin; sleep 0.3; echo two | 9p write 1/stdin; exec cat"
        s = await w.team(2, f"exec sh -c 'test %r = 1 && exec cat; {say}'")
        assert await w.cat(f"{s}/1/stdout") == "one\ntwo\n"
        await w.echo("closein", f"{s}/ctl")
        assert await w.cat(f"{s}/0/stdout") == ""


async def test_input_ends_when_the_sessions_has_and_no_neighbour_has_it_open() -> None:
    async with world() as w:
        s = await w.team(2, TELL)
        where = await address(w, s)
        fs = await asyncio.to_thread(sync.connect, where)
        f = await asyncio.to_thread(fs.open, "1/stdin", OWRITE)
        await w.echo("all", f"{s}/stdin")  # opens, writes and closes
        await until_states(w, s, "Done Execute")
        await asyncio.to_thread(f.write, b"more\n")
        await asyncio.to_thread(f.close)
        await until_states(w, s, "Done Done")
        assert (await w.cat(f"{s}/1/stdout")).splitlines()[1:] == ["all", "more"]
        await asyncio.to_thread(fs.close)


async def test_a_neighbour_that_dies_has_closed_what_it_had_open() -> None:
    async with world() as w:
        s = await w.team(2, TELL)
        where = await address(w, s)
        fs = await asyncio.to_thread(sync.connect, where)
        await asyncio.to_thread(fs.open, "1/stdin", OWRITE)
        await w.echo("all", f"{s}/stdin")
        await until_states(w, s, "Done Execute")
        await asyncio.to_thread(fs.close)  # without a word
        await until_states(w, s, "Done Done")


async def test_the_last_task_sees_the_end_when_all_who_wrote_to_it_have_ended() -> None:
    async with world() as w:
        script = (
            "if [ %r = 0 ]; then sort; else echo %r | 9p write 0/stdin; echo %r again | 9p write 0/stdin; fi"
        )
        s = await w.team(4, f"exec sh -c '{script}'")
        assert await w.cat(f"{s}/stdout") == "1\n1 again\n2\n2 again\n3\n3 again\n"


async def test_a_task_may_write_before_its_neighbour_has_started() -> None:
    async with world() as w:
        s = await w.team(2, "exec sh -c 'test %r = 1 && exec cat; echo early | 9p write 1/stdin'")
        assert await w.cat(f"{s}/stdout") == "early\n"
        await w.echo("exec sh -c 'test %r = 1 && exec cat; echo again | 9p write 1/stdin'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "again\n"


async def test_what_is_written_at_once_arrives_in_one_piece_and_in_order() -> None:
    async with world() as w:
        s = await w.team(2, TELL)
        where = await address(w, s)
        lines = [[f"{writer} {n} ".ljust(50_000, "x") for n in range(8)] for writer in range(4)]

        def write_all(mine: list[str], fs: sync.Client) -> None:
            with fs.open("1/stdin", OWRITE) as f:
                for line in mine:
                    assert f.write(f"{line}\n".encode()) == len(line) + 1

        async with open_for_writing(where, "1/stdin"):  # else all might wait before the last one begins
            await asyncio.gather(*(call(where, partial(write_all, mine)) for mine in lines))
        await w.echo("closein", f"{s}/ctl")
        got = (await w.cat(f"{s}/1/stdout")).splitlines()[1:]
        assert sorted(got) == sorted(line for mine in lines for line in mine)
        for writer, mine in enumerate(lines):
            assert [line for line in got if line.startswith(f"{writer} ")] == mine


async def test_who_writes_to_a_task_that_has_ended_is_told() -> None:
    async with world() as w:
        s = await w.team(2, TELL)
        where = await address(w, s)
        await w.echo("closein", f"{s}/1/ctl")
        await until_states(w, s, "Execute Done")
        with pytest.raises(BrokenPipeError):
            await call(where, lambda fs: fs.write("1/stdin", b"too late"))


async def test_a_writer_waits_for_the_reader_and_can_be_interrupted() -> None:
    async with world() as w:
        s = await w.team(2, "exec sh -c 'echo $TASK_ADDR; exec sleep 100'")
        where = await address(w, s)
        fs = await asyncio.to_thread(sync.connect, where)
        f = await asyncio.to_thread(fs.open, "1/stdin", OWRITE)
        writing = asyncio.create_task(asyncio.to_thread(f.write, b"x" * 1_000_000))
        await call(where, lambda fs: fs.read("0/status"))  # others are served meanwhile
        assert not writing.done()
        await w.echo("signal KILL", f"{s}/1/ctl")
        with pytest.raises(BrokenPipeError):
            await writing
        await asyncio.to_thread(fs.close)


async def spare(w: World) -> Path:
    """The door that is made ahead when a session is given back."""
    s = await w.clone()
    await w.echo("exec true", f"{s}/ctl")
    assert await w.cat(f"{s}/wait")
    await w.echo("release", f"{s}/ctl")
    await until(lambda: w.device.doors._spare is not None)
    (name,) = os.listdir(w.device.guard.place)
    return Path(w.device.guard.place, name)


async def test_who_calls_before_a_door_is_anybodys_waits() -> None:
    async with world() as w:
        door = await spare(w)
        calls = [await asyncio.open_unix_connection(door) for _ in range(2)]
        for _ in range(9):
            await asyncio.sleep(0)
        s = await w.clone()
        await w.echo("exec 9p read status", f"{s}/ctl")
        assert "Execute" in await w.cat(f"{s}/stdout")
        assert os.listdir(door.parent) == [door.name]
        for _, writer in calls:
            writer.close()


async def test_a_door_that_was_tidied_away_is_nobodys() -> None:
    async with world() as w:
        (await spare(w)).unlink()
        s = await w.clone()
        await w.echo("exec 9p read status", f"{s}/ctl")
        assert "Execute" in await w.cat(f"{s}/stdout")


async def test_a_door_that_was_made_ahead_stays_for_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LINGER", 0.05)
    async with world() as w:
        await spare(w)
        s = await w.clone()
        await w.p.writefile(f"{s}/ns", b"bind /nosuch /mnt\n")
        assert await w.refusal("exec true", f"{s}/ctl")
        await asyncio.sleep(0.1)
        await w.p.writefile(f"{s}/ns", b"")
        await w.echo("exec 9p read status", f"{s}/ctl")
        assert "Execute" in await w.cat(f"{s}/stdout")
