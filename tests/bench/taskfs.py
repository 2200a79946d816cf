"""What taskfs costs: a command on many resources, beside plain asyncio and the tools that do the same.

Each figure is the time from ``clone`` to the last byte of output and the end of the session, in an nsh that
runs: it is warm, all that taskfs needs has been imported, and what is measured has been done once before. So
are the yardsticks in Python, in the same process. The tools are the programs that they are, with their own
start-up: that is how their users meet them. How the users of on(1) meet that is in rows of its own: "cold" is
a whole ``nsh -c 'on ...'``, from its start to its end, "warm" the command in an nsh that runs.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from nsh import garbage
from tests.bench.table import Row, Target
from tests.cmd.session import Session
from tests.taskfs.host import mount
from tests.taskfs.world import World, world

NUMBERS = (1, 4, 16, 64, 256, 1024)
COMMAND = "hostname"
TYPED = 4
"""Tasks of a command that is typed."""
HOSTS = 3
TREE = (8, 8)
"""Hosts of the first level of the tree, and hosts below each of them."""
ROUNDS = 5
SECONDS = 1.0
"""More rounds are done if they fit into as many seconds as were asked for: what takes little varies most."""
LARGE = 100 << 20
"""Bytes that go through one task."""
BROADCAST, CHILDREN = 10 << 20, 16
LINES, TAKERS = 100_000, 3
"""Lines that are dealt out, and the tasks that get them."""
PIECE = 1 << 16
SESSIONS = 1000
"""Idle sessions that are weighed."""
QUICK = 256
"""Up to so many tasks the factor to asyncio is promised; with more the tools alone count."""

Work = Callable[[], Awaitable[object]]


def bench(
    numbers: Sequence[int] = NUMBERS,
    rounds: int = ROUNDS,
    tree: tuple[int, int] = TREE,
    large: int = LARGE,
    broadcast: int = BROADCAST,
    sessions: int = SESSIONS,
    lines: int = LINES,
) -> Iterator[Row | str]:
    """Tasks by number, here and on hosts; bytes through tasks; memory."""
    for name in TOOLS:
        if not _installed(name):
            yield f"not here: {name}"
    rows: list[Row] = []
    asyncio.run(_all(rows, numbers, rounds, tree, large, broadcast, sessions, lines))
    yield from rows


async def _all(
    rows: list[Row],
    numbers: Sequence[int],
    rounds: int,
    tree: tuple[int, int],
    large: int,
    broadcast: int,
    sessions: int,
    lines: int,
) -> None:
    gc.collect()
    garbage.look_seldom()  # as an nsh does when it is there
    async with world() as w:
        rows.append(await _memory(w, sessions))
        rows += await _here(w, numbers, rounds)
        rows += await _typed(w, rounds)
        rows += await _bytes(w, large, broadcast, rounds)
        rows.append(await _lines(w, "here", lines, rounds))
    async with world() as w, _hosts(w, (HOSTS, 0)):
        await _run(w, HOSTS)
        rows += await _over_9p(w, f"{HOSTS} hosts", numbers, rounds, Target("ratio", most=3))
        rows.append(
            await _stream(w, "100 MB through cat, over 9P", large, rounds, Target("figure", least=60))
        )
        rows.append(await _lines(w, f"{HOSTS} hosts", lines, rounds))
    async with world() as w, _hosts(w, tree):
        level, below = tree
        rows += await _over_9p(w, f"{level * below} hosts in a tree", [level * below], rounds, None, tree)


# --- many tasks ----------------------------------------------------------------------------------


async def _here(w: World, numbers: Sequence[int], rounds: int) -> list[Row]:
    rows = []
    for n in numbers:
        works: dict[str, Work] = {
            "taskfs": partial(_run, w, n),
            "asyncio": partial(_asyncio, n),
            "posix_spawn": partial(asyncio.to_thread, _posix_spawn, n),
        }
        for name, argv in TOOLS.items():
            if _installed(name):
                command = argv.format(n=n, jobs=min(n, JOBS))
                works[name] = partial(asyncio.to_thread, _tool, command)
        found = await _in_turn(w, works, rounds)
        for name, seconds in found.items():
            if name != "taskfs":
                target = _target(n, name)
                rows.append(Row(f"{n} tasks, here", found["taskfs"], name, seconds, "ms", target))
    return rows


def _target(n: int, name: str) -> Target | None:
    if name == "asyncio":
        return Target("ratio", most=2) if n <= QUICK else None
    return Target("ratio", most=1) if name in TOOLS and n >= 4 else None


async def _over_9p(
    w: World,
    where: str,
    numbers: Sequence[int],
    rounds: int,
    target: Target | None,
    tree: tuple[int, int] | None = None,
) -> list[Row]:
    rows = []
    for n in numbers:
        works: dict[str, Work] = {
            "taskfs": partial(_run, w, n, tree),
            "asyncio": partial(_asyncio, n),
        }
        found = await _in_turn(w, works, rounds)
        wanted = target if n <= QUICK else None
        rows.append(Row(f"{n} tasks, {where}", found["taskfs"], "asyncio", found["asyncio"], "ms", wanted))
    return rows


async def _typed(w: World, rounds: int) -> list[Row]:
    """What one would type, with nsh's own start and without, beside the tools with theirs."""
    words = ["on", "-n", str(TYPED), COMMAND]
    cold = [sys.executable, "-P", "-m", "nsh", "-c", " ".join(words)]
    tools = {name: argv for name, argv in TOOLS.items() if name in ("xargs", "clush") and _installed(name)}
    works: dict[str, Work] = {
        "cold": partial(asyncio.to_thread, _program, cold),
        "warm": partial(Session(w.p).out, *words),
    }
    for name, argv in tools.items():
        works[name] = partial(asyncio.to_thread, _tool, argv.format(n=TYPED, jobs=TYPED))
    found = await _in_turn(w, works, rounds)
    return [
        Row(f"{' '.join(words)}, {how}", found[how], f"{name}, cold", found[name], "ms")
        for how in ("cold", "warm")
        for name in tools
    ]


async def _in_turn(w: World, works: dict[str, Work], rounds: int) -> dict[str, float]:
    """The median of the seconds that each takes, when it has been done before.

    None pays for what the one before has left to be cleared away. Each round begins with another one, for who
    starts the same program before has warmed the machine up; and nsh has just run something, so that its
    helper is there, which goes when nothing is run for 10 seconds: some of the others take longer.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    order = deque(works.items())
    until = time.monotonic() + rounds * SECONDS
    for turn in itertools.count():
        if turn > rounds and time.monotonic() > until:
            break
        order.rotate(-1)
        for name, work in order:
            await _run(w, 1)
            await w.device.settled()
            gc.collect()
            start = time.perf_counter()
            await work()
            if turn:
                found[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in found.items()}


async def _run(w: World, n: int, tree: tuple[int, int] | None = None) -> None:
    """The session of the seed: reserve, exec, read all, release."""
    session = await w.clone()
    if tree is None:
        await w.echo(f"res {n}", f"{session}/ctl")
    else:
        level, below = tree
        await w.echo(f"res {level}", f"{session}/ctl")
        await asyncio.gather(*(w.echo(f"res {below}", f"{session}/{i}/ctl") for i in range(level)))
    await w.echo(f"exec {COMMAND}", f"{session}/ctl")
    output = await w.p.readfile(f"{session}/stdout")
    if output.count(b"\n") != n:
        raise SystemExit(f"taskfs: {len(output.splitlines())} lines of {n} tasks")
    await w.echo("release", f"{session}/ctl")


async def _asyncio(n: int) -> None:
    """What a programmer would write with asyncio."""

    async def one() -> bytes:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe)
        output, _ = await process.communicate()
        return output

    await asyncio.gather(*(one() for _ in range(n)))


def _posix_spawn(n: int) -> None:
    """The least that starting n programs and reading their output can cost, one after the other."""
    started = []
    for _ in range(n):
        out, end = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, end, 1)]
        started.append((os.posix_spawnp(COMMAND, [COMMAND], os.environ, file_actions=actions), out))
        os.close(end)
    for pid, out in started:
        while os.read(out, PIECE):
            pass
        os.close(out)
        os.waitpid(pid, 0)


JOBS = 200
"""As many as GNU parallel runs at once without asking for more slots."""
TOOLS = {
    # prints what comes as it comes, and keeps no ends: what that alone costs, and no target
    "xargs": "seq {n} | xargs -P {n} -I N " + COMMAND,
    # the output of each task kept apart and read in order, which is what the others do
    "xargs apart": "d=$(mktemp -d); seq {n} | xargs -P {n} -n 1 sh -c 'exec " + COMMAND + " >$0/$1' $d; "
    "(cd $d && cat $(seq {n})); rm -r $d",
    "pdsh": "pdsh -R exec -f {n} -w 'n[1-{n}]' " + COMMAND,
    "clush": "clush -R exec -f {n} -w 'n[1-{n}]' " + COMMAND,
    "parallel": "seq {n} | parallel -j {jobs} " + COMMAND + " '#'{{}}",
}
"""The tools, each with what makes it run n times the same on this machine."""


def _installed(tool: str) -> bool:
    return shutil.which(tool.split()[0]) is not None


def _tool(command: str) -> None:
    _program(["sh", "-c", command])


def _program(argv: list[str]) -> None:
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


# --- bytes ---------------------------------------------------------------------------------------


async def _bytes(w: World, large: int, broadcast: int, rounds: int) -> list[Row]:
    through: dict[str, Work] = {"taskfs": partial(_cat, w, 0, large), "asyncio": partial(_pipe, 1, large)}
    one = await _in_turn(w, through, rounds)
    many: dict[str, Work] = {
        "taskfs": partial(_cat, w, CHILDREN, broadcast),
        "asyncio": partial(_pipe, CHILDREN, broadcast),
    }
    all_ = await _in_turn(w, many, rounds)
    speed = [large / seconds / 1e6 for seconds in (one["taskfs"], one["asyncio"])]
    return [
        Row("100 MB through cat, here", speed[0], "asyncio", speed[1], "MB/s", Target("ratio", least=0.5)),
        Row(
            f"10 MB to {CHILDREN} tasks",
            *(all_["taskfs"], "asyncio", all_["asyncio"], "ms"),
            Target("ratio", most=3),
        ),
    ]


async def _stream(w: World, what: str, large: int, rounds: int, target: Target) -> Row:
    works: dict[str, Work] = {"taskfs": partial(_cat, w, 1, large), "asyncio": partial(_pipe, 1, large)}
    found = await _in_turn(w, works, rounds)
    rates = [large / found[name] / 1e6 for name in ("taskfs", "asyncio")]
    return Row(what, rates[0], "asyncio", rates[1], "MB/s", target)


async def _cat(w: World, n: int, size: int) -> None:
    """Write ``size`` bytes to a session that runs cat on n resources, and read what comes back."""
    session = await w.clone()
    if n:
        await w.echo(f"res {n}", f"{session}/ctl")
    await w.echo("exec cat", f"{session}/ctl")

    async def fill() -> None:
        fd = await w.p.open(f"{session}/stdin", 1)
        piece = bytes(PIECE)
        for _ in range(size // PIECE):
            await w.p.write(fd, piece)
        w.p.close(fd)

    writer = asyncio.create_task(fill())
    fd = await w.p.open(f"{session}/stdout", 0)
    left = size // PIECE * PIECE * max(n, 1)
    while data := await w.p.read(fd, 1 << 18):
        left -= len(data)
    w.p.close(fd)
    await writer
    if left:
        raise SystemExit(f"taskfs: {left} bytes are missing")
    await w.echo("release", f"{session}/ctl")


async def _pipe(n: int, size: int) -> None:
    """The same with n asyncio subprocesses."""
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe, limit=1 << 18) for _ in range(n)
    ]

    async def fill() -> None:
        piece = bytes(PIECE)
        for _ in range(size // PIECE):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(piece)
            for process in processes:
                assert process.stdin is not None
                await process.stdin.drain()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()

    async def drain(process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while await process.stdout.read(1 << 18):
            pass
        await process.wait()

    await asyncio.gather(fill(), *(drain(process) for process in processes))


async def _lines(w: World, where: str, lines: int, rounds: int) -> Row:
    text = b"".join(b"the quick brown fox jumps over line %d\n" % n for n in range(lines))
    works: dict[str, Work] = {"taskfs": partial(_deal, w, text), "asyncio": partial(_deal_asyncio, text)}
    found = await _in_turn(w, works, rounds)
    rates = [len(text) / found[name] / 1e6 for name in ("taskfs", "asyncio")]
    return Row(f"{lines:,} lines to {TAKERS} tasks, {where}", rates[0], "asyncio", rates[1], "MB/s")


async def _deal(w: World, text: bytes) -> None:
    """Deal the lines of ``text`` out to tasks that count them."""
    session = await w.team(TAKERS, "inmode lines", "exec wc -l")
    fd = await w.p.open(f"{session}/stdin", 1)
    for at in range(0, len(text), PIECE):
        await w.p.write(fd, text[at : at + PIECE])
    w.p.close(fd)
    _check_counts(await w.p.readfile(f"{session}/stdout"), text)
    await w.echo("release", f"{session}/ctl")


async def _deal_asyncio(text: bytes) -> None:
    """The same with asyncio subprocesses, one line after the other."""
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec("wc", "-l", stdin=pipe, stdout=pipe) for _ in range(TAKERS)
    ]
    inputs = [process.stdin for process in processes if process.stdin is not None]
    for at in range(0, len(text), PIECE):
        for i, line in enumerate(text[at : at + PIECE].splitlines(keepends=True)):
            inputs[i % TAKERS].write(line)
        for stdin in inputs:
            await stdin.drain()
    for stdin in inputs:
        stdin.close()
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    _check_counts(b"".join(output for output, _ in outputs), text)


def _check_counts(output: bytes, text: bytes) -> None:
    if sum(map(int, output.split())) != text.count(b"\n"):
        raise SystemExit(f"lines are missing: {output!r}")


# --- memory --------------------------------------------------------------------------------------


async def _memory(w: World, sessions: int) -> Row:
    """Bytes of an idle session, beside those that are promised."""
    await w.echo("release", f"{await w.clone()}/ctl")
    gc.collect()
    before = _resident()
    names = [await w.clone() for _ in range(sessions)]
    each = (_resident() - before) / sessions
    for name in names:
        await w.echo("release", f"{name}/ctl")
    return Row("an idle session", each / 1024, "promised", 100, "KiB", Target("ratio", most=1))


def _resident() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- hosts ---------------------------------------------------------------------------------------


@asynccontextmanager
async def _hosts(w: World, tree: tuple[int, int]) -> AsyncIterator[None]:
    """So many hosts, each a program with so many hosts below it, mounted under /remote."""
    level, below = tree
    async with AsyncExitStack() as stack:
        ports = await asyncio.gather(*(stack.enter_async_context(_host([])) for _ in range(level * below)))
        for i in range(level):
            mounts = [f"h{j}={port}" for j, port in enumerate(ports[i * below : (i + 1) * below])]
            await mount(w.p, f"host{i}", await stack.enter_async_context(_host(mounts)))
        yield


@asynccontextmanager
async def _host(mounts: list[str]) -> AsyncIterator[int]:
    with tempfile.TemporaryDirectory(prefix="nsh-bench-") as directory:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tests.taskfs.host", directory, *mounts),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(await process.stdout.readline())
        finally:
            process.stdin.close()
            await process.wait()
