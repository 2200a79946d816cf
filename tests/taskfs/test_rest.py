"""The end of the input of tasks that write to each other, where all of them read to the end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nsh.kern.namec import quote
from nsh.p9.const import OWRITE
from taskfs.rest import at_rest
from tests.taskfs.test_hosts import three_hosts
from tests.taskfs.world import World, world

pytestmark = pytest.mark.usefixtures("nothing_stays")

WRITE = "w() { 9p write $1/stdin; }; "
"""The word ``w RANK`` for the scripts below: what it reads goes to that task."""


async def outputs(n: int, script: str, *messages: str) -> list[str]:
    """What each of ``n`` tasks prints."""
    async with world() as w:
        s = await w.team(n, *messages, f"exec sh -c {quote(WRITE + script)}")
        return [await w.cat(f"{s}/{rank}/stdout") for rank in range(n)]


async def test_everybody_writes_to_the_next_and_reads_to_the_end() -> None:
    got = await outputs(4, "echo from %r | w $(((%r+1)%4)); cat")
    assert got == [f"from {(rank - 1) % 4}\n" for rank in range(4)]


@pytest.mark.requires("FUSE in a name space")
async def test_the_same_with_files_and_on_three_hosts(tmp_path: Path) -> None:
    async with three_hosts(tmp_path) as (w, _):
        s = await w.team(5, "peers on", "exec sh -c 'echo from %r >../$(((%r+1)%5))/stdin; cat'")
        assert await w.cat(f"{s}/stdout") == "".join(f"from {(r - 1) % 5}\n" for r in range(5))
        await w.echo("release", f"{s}/ctl")


async def test_the_tasks_of_a_tree_rest_when_all_of_them_do() -> None:
    async with world() as w:
        s = await w.team(2)
        await w.echo("res 3", f"{s}/1/ctl")
        script = WRITE + "case %n.%r in 2.0) echo below | w 1;; esac; sort"
        await w.echo(f"exec sh -c {quote(script)}", f"{s}/ctl")
        assert await w.cat(f"{s}/1/stdout") == "below\n" * 3


async def test_one_gathers_what_slow_ones_have_and_all_read_to_the_end() -> None:
    got = await outputs(4, "echo 0 | w %r; [ %r = 0 ] || { sleep 0.%r; echo %r | w 0; }; cat")
    assert [sorted(text.split()) for text in got] == [["0", "1", "2", "3"], ["0"], ["0"], ["0"]]


async def test_who_has_set_himself_a_time_is_not_at_rest() -> None:
    got = await outputs(2, "[ %r = 0 ] && { timeout 0.7 cat; echo bye | w 1; exit; }; echo a | w 0; cat")
    assert got == ["a\n", "bye\n"]


@pytest.mark.parametrize("how", ["(LATER) &", "(LATER) & (LATER) &", "( (LATER) & )"])
async def test_what_a_task_has_left_in_the_background_is_waited_for(how: str) -> None:
    background = how.replace("LATER", "sleep 0.6; echo late | w 0")
    got = await outputs(2, f"echo a | w 1; [ %r = 0 ] || {{ {background}\n}}; cat")
    assert got == ["late\n" * how.count("LATER"), "a\na\n"]


async def test_what_a_task_that_has_ended_has_left_is_waited_for() -> None:
    got = await outputs(3, "[ %r = 0 ] && exec sort; (sleep 0.6; echo %r late | w 0) & echo %r | w 0")
    assert got[0] == "1\n1 late\n2\n2 late\n"


async def test_who_reads_a_named_pipe_does_not_wait_for_input_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with world() as w:
        reading = f"read x <{tmp_path}/pipe; echo $x | w 0"
        s = await w.team(
            2, f"exec sh -c {quote(f'{WRITE}echo a | w 0; [ %r = 0 ] || {{ {reading}; }}; cat')}"
        )
        pipe = os.open(tmp_path / "pipe", os.O_RDWR)
        while await w.refusal("resting", f"{s}/ctl") != "1: not at rest":
            pass
        await asyncio.sleep(0.2)
        os.write(pipe, b"b\n")
        os.close(pipe)
        assert await w.cat(f"{s}/0/stdout") == "a\na\nb\n"


async def test_who_has_a_function_for_the_alarm_does_not_rest() -> None:
    alarm = """
import os, signal, sys
def late(*_): os.system("echo late | 9p write 0/stdin")
signal.signal(signal.SIGALRM, late)
os.system("echo a | 9p write 0/stdin")
if %r: signal.setitimer(signal.ITIMER_REAL, 0.6)
for line in sys.stdin:
    print(line, end="", flush=True)
"""
    async with world() as w:
        s = await w.team(2, f"exec {sys.executable} -c {quote(alarm)}")
        fd = await w.p.open(f"{s}/0/stdout")
        printed = b""
        while data := await w.p.read(fd):
            printed += data
            if b"late" in printed:
                await w.echo("closein", f"{s}/ctl")
        assert printed == b"a\na\nlate\n"
        w.p.close(fd)


async def test_programs_joined_by_pipes_rest_like_one() -> None:
    assert await outputs(2, "echo %r | w $((1-%r)); cat | sort | cat") == ["1\n", "0\n"]


async def test_one_that_is_not_written_to_is_left_alone() -> None:
    async with world() as w:
        s = await w.team(2, f"exec sh -c {quote(WRITE + 'echo a | w 0; cat')}")
        assert await w.cat(f"{s}/0/stdout") == "a\na\n"
        await w.echo("b", f"{s}/1/stdin")
        assert await w.cat(f"{s}/1/stdout") == "b\n"


async def test_the_owner_may_have_more_to_say() -> None:
    async with world() as w:
        s = await w.team(2)
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        await w.p.write(fd, b"one\n")
        await w.echo(f"exec sh -c {quote(WRITE + 'echo a | w %r; cat')}", f"{s}/ctl")
        while await w.refusal("resting", f"{s}/ctl"):
            pass
        await w.p.write(fd, b"two\n")
        w.p.close(fd)
        assert sorted((await w.cat(f"{s}/0/stdout")).split()) == ["a", "one", "two"]


@pytest.mark.parametrize("hosts", [False, True])
async def test_a_neighbour_that_has_the_input_open_is_a_writer_like_the_owner(
    hosts: bool, tmp_path: Path
) -> None:
    script = "[ %r = 1 ] && exec cat; 9p write 1/stdin; :"
    async with three_hosts(tmp_path) if hosts else alone() as (w, _):
        s = await w.team(2, f"exec sh -c {quote(script)}")
        fd = await w.p.open(f"{s}/0/stdin", OWRITE)
        await w.p.write(fd, b"one\n")
        out = await w.p.open(f"{s}/1/stdout")
        assert await w.p.read(out) == b"one\n"
        await w.echo("two", f"{s}/1/stdin")
        assert await w.p.read(out) == b"two\n"
        await w.p.write(fd, b"three\n")
        w.p.close(fd)
        assert await w.p.readall(out) == b"three\n"
        w.p.close(out)
        await w.echo("release", f"{s}/ctl")


@asynccontextmanager
async def alone() -> AsyncIterator[tuple[World, None]]:
    async with world() as w:
        yield w, None


@pytest.mark.parametrize("before", [False, True])
async def test_in_a_tree_the_owner_who_has_the_input_open_may_write(before: bool) -> None:
    async with world() as w:
        s = await w.team(1)
        await w.echo("res 2", f"{s}/0/ctl")
        fd = await w.p.open(f"{s}/stdin", OWRITE) if before else -1
        await w.echo(f"exec sh -c {quote(WRITE + 'head -n 1; echo %r | w $((1-%r)); cat')}", f"{s}/ctl")
        if not before:
            fd = await w.p.open(f"{s}/stdin", OWRITE)
        await w.p.write(fd, b"go\n")
        while await w.refusal("resting", f"{s}/ctl"):
            pass
        await asyncio.sleep(0.2)
        await w.p.write(fd, b"more\n")
        w.p.close(fd)
        assert await w.cat(f"{s}/stdout") == "go\n1\nmore\ngo\n0\nmore\n"


LONG = """
import os
from nsh.net import sync
with sync.connect(os.environ["TASK_ADDR"]) as fs, fs.open("0/stdin", 1) as f:
    for _ in range(20):
        f.write(b"x" * 299999 + b"\\n")
"""


async def test_what_all_get_does_not_tear_what_one_gets() -> None:
    async with world() as w:
        long = f"exec {sys.executable} -c {quote(LONG)}"
        short = "i=0; while [ $((i+=1)) -le 20 ]; do echo XX | 9p write stdin; done"
        s = await w.team(3, f"exec sh -c {quote(f'case %r in 0) cat;; 1) {long};; 2) {short};; esac')}")
        lines = (await w.cat(f"{s}/0/stdout")).splitlines()
        assert sorted(map(len, lines)) == [2] * 20 + [299999] * 20


async def test_resting_is_a_question_that_ctl_answers() -> None:
    async with world() as w:
        s = await w.team(2)
        assert await w.refusal("resting", f"{s}/ctl") == "0-1: not at rest"
        await w.echo("exec sh -c '[ %r = 0 ] && read a; sleep 100'", f"{s}/ctl")
        while (answer := await w.refusal("resting", f"{s}/ctl")) != "1: not at rest":
            assert answer == "0-1: not at rest"


def test_a_process_rests_while_its_children_do() -> None:
    with subprocess.Popen(["sh", "-c", "cat; true"], stdin=subprocess.PIPE) as shell:
        while not at_rest([shell.pid]):
            pass
        assert shell.stdin is not None
        shell.stdin.close()
    assert not at_rest([shell.pid])  # there is none


@pytest.mark.requires("ps", "pkill")
@pytest.mark.parametrize("command", ["sleep 9", "sleep 9 | cat", "timeout 9 cat", "yes >/dev/null"])
def test_what_goes_on_by_itself_does_not_rest(command: str) -> None:
    with subprocess.Popen(["setsid", "sh", "-c", f"{command}; :"], stdin=subprocess.PIPE) as shell:
        session = str(shell.pid)
        while command.split()[0] not in _output("ps", "-s", session, "-o", "comm="):
            pass
        assert not any(at_rest([shell.pid]) for _ in range(100))
        _output("pkill", "-s", session)


def _output(*command: str) -> list[str]:
    return subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True).stdout.split()
