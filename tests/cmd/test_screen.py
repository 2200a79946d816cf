"""What on and tasks show on a terminal: looked at on a screen, with real hosts, some of which are killed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cmd.hosts import Host, hosts
from tests.cmd.window import Window, window

pytestmark = pytest.mark.requires("a terminal")

JOB = "echo start; cat go; echo end"
"""Waits until the FIFO of its host is opened for writing, and closed."""

COUNT = 8


def release(directory: Path) -> None:
    """Let the tasks of a host go on."""
    os.close(os.open(directory / "go", os.O_WRONLY))


def write_script(directory: Path, some: list[Host]) -> None:
    """Commands that mount the hosts, and let others see what they run."""
    lines = [f"mount -A {host.address} /remote/host{n}\n" for n, host in enumerate(some, 1)]
    (directory / "begin").write_text("".join(lines) + f"styxlisten unix!{directory}/task export /task\n")


@pytest.mark.limit(60)
async def test_64_tasks_on_8_hosts_two_of_which_are_killed_on_the_way(tmp_path: Path) -> None:
    async with hosts(tmp_path, COUNT) as some, window((100, 30), tmp_path) as run:
        for n in range(1, COUNT + 1):
            os.mkfifo(tmp_path / f"host{n}" / "go")
        write_script(tmp_path, some)
        await run.shows("ready>")
        run.command(". ./begin; echo moun^ted")
        await run.shows("mounted$")
        watching = f"mount unix!{tmp_path}/task /task; tasks -f"
        async with window((100, 20), tmp_path, "-c", watching) as watch:
            await watch.shows("SESSION")
            run.command(f"on -n 64 sh -c '{JOB}'")
            await watched(tmp_path, some, run, watch)
            watch.type("q")
            assert await watch.end() == 0
        run.command("exit $status")
        assert await run.end() == 1
        shown = [line for line in run.everything if line and not line.startswith(("ready>", "mounted"))]
        started = [line.removesuffix(": start") for line in shown if line.endswith(": start")]
        assert len(set(started)) == 64 and all(re.fullmatch(r"host\d/\d+", name) for name in started)
        assert sum(line.endswith(": end") for line in shown) == 48
        assert [line for line in shown if not re.fullmatch(r"host\d/\d+: (start|end)", line)] == [
            "on: host[3,6]: lost"
        ]


async def watched(tmp_path: Path, some: list[Host], run: Window, watch: Window) -> None:
    """What is to be seen in the two windows from the start of the tasks to their end."""
    await run.shows(r"\[\.{32}\]  0:0\d  64 running: host\[1-8\]$")
    await watch.shows(r"0 +running +64 +\S+ +sh +host\[1-8\] +0-63$")
    await watch.shows(r"host\[1-8\] +up +64$")
    assert not any("more" in line for line in watch.lines)

    for n in (3, 6):
        await some[n - 1].kill()
    await run.shows(
        r"\[\.{8}!{4}\.{8}!{4}\.{8}\]  \d:\d\d  16 lost: host\[3,6\]  48 running: host\[1-2,4-5,7-8\]$"
    )
    await watch.shows(r"0 +lost +16 +- +sh +host\[3,6\] +2,")
    await watch.shows(r"host\[3,6\] +dead +16$")
    assert watch.colour("lost") == watch.colour("dead") == "red"
    assert watch.colour("running") == watch.colour("up") == "default"

    watch.resize(50, 4)
    await watch.until(lambda: watch.lines[3].startswith("... ") and watch.lines[1].endswith("..."))
    watch.resize(100, 20)
    await watch.shows(r"host\[1-2,4-5,7-8\] +up +48$")

    for n in (1, 2, 4, 5, 7):
        release(tmp_path / f"host{n}")
    await run.shows(
        r"\[#{8}!{4}#{8}!{4}#{4}\.{4}\]  \d:\d\d  16 lost: host\[3,6\]  8 running: host8  40 done$"
    )
    await watch.shows(r"0 +done +40 ")
    release(tmp_path / "host8")
    await run.shows(r"on: host\[3,6\]: lost$")
    await watch.until(lambda: not any(line.startswith("0 ") for line in watch.lines))


async def test_an_interrupt_comes_back_to_the_prompt(tmp_path: Path) -> None:
    async with window((80, 20), tmp_path) as run:
        await run.shows("ready>")
        run.command("on -n 3 sh -c 'echo out; echo err >&2; exec sleep 100'")
        await run.shows(r"\[\.\.\.\]  0:0\d  3 running: 0-2$")
        assert run.colour("1: out") not in ("default", run.colour("2: out"), "red")
        assert run.colour("1: err") == "red"
        run.type("\x03")
        await run.shows("on: interrupted: killing 0-2")
        await run.shows("ready>$|ready> .*interrupted$")
        run.command("echo status $status; ls -p /task/remote")
        await run.shows("status interrupted")
        await run.shows("clone$")
        assert "0" not in run.lines
        run.command("exit")
        await run.end()


async def test_what_is_typed_goes_to_the_tasks_and_the_line_goes(tmp_path: Path) -> None:
    async with window((80, 20), tmp_path, "-c", "NO_COLOR=1 on -n 2 cat") as run:
        await run.shows(r"\[\.\.\]  0:0\d  2 running: 0-1")
        run.type("hello\r")
        await run.shows("0: hello")
        await run.shows("1: hello")
        assert run.colour("1: hello") == "default"
        run.type("\x04")
        assert await run.end() == 0
        assert sorted(line for line in run.lines[1:] if line) == ["0: hello", "1: hello"]


async def test_no_line_is_shown_where_it_would_be_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "test.rc").write_text(
        "TERM=dumb on -n 1 sleep 1\non -n 1 sleep 1 | cat\non -q -n 1 sleep 1\non -n 1 sleep 1 &\nwait\n"
    )
    async with window((80, 20), tmp_path, "./test.rc") as run:
        assert await run.end() == 0
        assert not any(run.everything)


async def test_what_is_stopped_shows_nothing_until_it_goes_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    async with window((80, 20), tmp_path) as run:
        await run.shows("ready>")
        run.command(f"on -n 2 sh -c 'echo start; test %r = 1 || cat {tmp_path}/go; echo e%r'")
        await run.shows(r"\[\.#\] .* 1 running: 0")
        run.type("\x1a")
        await run.shows(r"\[1\]\+ stopped")
        release(tmp_path)
        run.command("sleep 0.5; echo he^re")
        await run.shows("^here")
        assert not any(line.endswith(": e0") for line in run.lines)
        run.command("fg")
        await run.shows("0: e0$")
        run.command("exit")
        assert await run.end() == 0


async def test_the_terminal_is_as_before_when_tasks_has_been_left(tmp_path: Path) -> None:
    async with window((80, 20), tmp_path) as run:
        await run.shows("ready>")
        for n, key in enumerate(("q", "\x03")):
            run.command("tasks -f")
            await run.shows("SESSION")
            run.type(key)
            await run.shows("ready>")
            run.command(f"clear; stty -a | grep -c ' icanon.* echo '; echo af^ter {n}")
            await run.shows(f"after {n}")
            assert run.lines[run.lines.index(f"after {n}") - 1] == "1"
        run.command("exit")
        assert await run.end() == 0
