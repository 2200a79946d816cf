"""How fast Linux uses what is mounted, beside plan9port's 9pfuse over plan9port's ramfs.

Each load is one program that makes one system call after another. Nothing is remembered by Linux: where
plan9port's 9pfuse would let it, it is told not to (-A 0).
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.peers import programs
from tests.bench.peers.program import Program, Running
from tests.bench.table import Row, Target

SECONDS = 0.3
ROUNDS = 3
SIZE = 1 << 22
"""Bytes of the file that is used."""
PATIENCE = 10.0
"""Seconds for a mount to come and to go."""

AHEAD = 5.0
"""How much faster a name space shall be than plan9port's."""
BULK = 300.0
"""MB/s that reads of 64 KiB shall reach."""

YARDSTICK = "plan9port"

Call = Callable[[int, Path, int], int]
"""Makes one call on an open file that has this name, the so manyth; returns how many bytes moved."""


def _stat(fd: int, file: Path, turn: int) -> int:
    os.stat(file)
    return 0


def _read(size: int) -> Call:
    return lambda fd, file, turn: len(os.pread(fd, size, turn * size % SIZE))


LOADS: tuple[tuple[str, Call, str], ...] = (
    ("stat", _stat, "k/s"),
    ("read of 4 KiB", _read(4096), "k/s"),
    ("read of 64 KiB", _read(1 << 16), "MB/s"),
)


def bench(seconds: float = SECONDS, rounds: int = ROUNDS) -> Iterator[Row | str]:
    """Each load in turn on all mounts, ``rounds`` of ``seconds``; the medians."""
    with tempfile.TemporaryDirectory(prefix="nsh-bench-") as scratch, ExitStack() as stack:
        mounts = {
            "memfs": stack.enter_context(_memfs(Path(scratch))),
            "9pfuse over memfs": stack.enter_context(_served(Path(scratch))),
        }
        peers = stack.enter_context(_peers(Path(scratch)))
        if not peers:
            yield "not here: plan9port's 9pfuse"
        mounts |= peers
        for file in mounts.values():
            _fill(file)
        for what, call, unit in LOADS:
            found: dict[str, list[float]] = {name: [] for name in mounts}
            for _ in range(rounds):
                for name, file in mounts.items():
                    found[name].append(_rate(call, file, seconds, unit))
            rates = {name: statistics.median(values) for name, values in found.items()}
            base = rates.get(YARDSTICK, rates["memfs"])
            for name, rate in rates.items():
                if name != YARDSTICK or not peers:
                    yield Row(f"{what}: {name}", rate, YARDSTICK, base, unit, _target(name, unit, peers))


def _target(name: str, unit: str, peers: dict[str, Path]) -> Target | None:
    if name != "memfs":
        return None
    if unit == "MB/s":
        return Target("figure", least=BULK)
    return Target("ratio", least=AHEAD) if peers else None


def _fill(file: Path) -> None:
    with open(file, "wb", 0) as f:
        for _ in range(SIZE >> 12):
            f.write(bytes(4096))


def _rate(call: Call, file: Path, seconds: float, unit: str) -> float:
    fd = os.open(file, os.O_RDONLY)
    turn = moved = 0
    start = time.perf_counter()
    end = start + seconds
    while (now := time.perf_counter()) < end:
        moved += call(fd, file, turn)
        turn += 1
    os.close(fd)
    return (moved / 1e6 if unit == "MB/s" else turn / 1e3) / (now - start)


# --- the mounts ----------------------------------------------------------------------------------


@contextmanager
def _memfs(scratch: Path) -> Iterator[Path]:
    """A memfs of ours that is mounted by itself."""
    where = scratch / "memfs"
    where.mkdir()
    argv = [sys.executable, "-P", "-m", "tests.bench.peers.mounted", str(where)]
    with _running(argv, where):
        yield where / "file"


@contextmanager
def _served(scratch: Path) -> Iterator[Path]:
    """A memfs that another nsh exports, mounted by our 9pfuse."""
    where = scratch / "served"
    where.mkdir()
    server = programs.empty()
    with Running([server]), _running(_ours(server, where), where):
        yield where / "file"


def _ours(server: Program, where: Path) -> list[str]:
    """Our 9pfuse, in the foreground."""
    address = server.address.replace("unix:", "unix!")
    return [sys.executable, "-P", "-m", "nsh", "9pfuse", "-f", address, str(where)]


@contextmanager
def _peers(scratch: Path) -> Iterator[dict[str, Path]]:
    """plan9port's ramfs, mounted by its 9pfuse and by ours; nothing where it is not installed."""
    plan9 = os.environ.get("PLAN9", "/usr/local/plan9")
    theirs = shutil.which("9pfuse", path=f"{plan9}/bin")
    sockets, one, two = (scratch / name for name in ("ns", "9pfuse", "ours"))
    for directory in (sockets, one, two):
        directory.mkdir()
    server = programs.ramfs(sockets)
    if theirs is None or server is None:
        yield {}
        return
    address = server.address.replace(":", "!")
    with Running([server]):
        subprocess.run(
            [theirs, "-A", "0", address, str(one)], env={**os.environ, **server.environ}, check=True
        )
        try:
            with _running(_ours(server, two), two):
                yield {"9pfuse over ramfs": two / "ours", YARDSTICK: one / "theirs"}
        finally:
            subprocess.run(["fusermount3", "-u", "-z", str(one)], check=False)


@contextmanager
def _running(argv: list[str], where: Path) -> Iterator[None]:
    program = subprocess.Popen(argv)
    try:
        _until(lambda: os.path.ismount(where))
        yield
    finally:
        program.terminate()
        program.wait(PATIENCE)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("fuse: something did not start")
        time.sleep(0.01)
