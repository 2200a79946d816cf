"""How fast 9P is served, beside a server that has only ready answers, and beside those of others.

Each load is put on all servers in turn, several times; a figure is the median of its rounds, since other
programs disturb all alike. With one request outstanding client and server take turns, so they share a
processor; with 16 each has one. The load comes from 9pload.c, which is compiled when it is first needed.
What the servers are is told in `tests.bench.peers.programs`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nsh
from nsh.p9.stat import Dir
from tests.bench.peers import programs
from tests.bench.peers.program import Program, Running
from tests.bench.table import Row, Target

SECONDS = 0.2
ROUNDS = 3
ENTRIES = 10_000
SIZE = 1 << 30

SOURCE = Path(__file__).with_name("9pload.c")
HEADER = 24
"""What a message needs besides its data, at most (IOHDRSZ)."""
BOUND = 0.8
"""What a name space with binds and unions must reach of a bare one."""
LISTING = 100.0
"""MB/s of directory entries, which are enough whatever the ceiling is."""
CLIENT = 0.5
"""What our client must reach of a plain copy."""
LARGE = "large"
"""The file that it reads."""


class Load(NamedTuple):
    """What 9pload does; ``least``: what we must reach of the ceiling."""

    what: str
    work: str
    least: float
    outstanding: int = 1
    size: int = 8192

    @property
    def unit(self) -> str:
        return "k/s" if self.work in ("stat", "walk") else "MB/s"


LOADS = (
    Load("stat", "stat", 0.7),
    Load("walk", "walk", 0.7),
    Load("read of 8 KiB", "read", 0.7),
    Load("read of 64 KiB", "read", 0.7, size=1 << 16),
    Load("stat, 16 at once", "stat", 0.35, 16),
    Load("walk, 16 at once", "walk", 0.35, 16),
    Load("read of 8 KiB, 16 at once", "read", 0.35, 16),
    Load("write of 8 KiB, 16 at once", "write", 0.35, 16),
    Load("read of 1 MiB", "read", 0.6, size=1 << 20),
    Load("write of 1 MiB", "write", 0.6, size=1 << 20),
    Load("directory of {entries:,}", "dir", 0.35, size=1 << 16),
)


class Missed(Exception):
    """A server does not do what was asked of it; the text is the reason."""


def bench(
    seconds: float = SECONDS, rounds: int = ROUNDS, entries: int = ENTRIES, size: int = SIZE
) -> Iterator[Row | str]:
    """All loads on all servers, ``rounds`` of ``seconds`` each; then our client, reading ``size`` bytes."""
    generator = Generator(compiled(), seconds, entries)
    with tempfile.TemporaryDirectory(prefix="nsh-bench-") as scratch:
        tree, sockets = Path(scratch) / "tree", Path(scratch) / "ns"
        sockets.mkdir()
        programs.make_tree(tree, entries)
        field = Field(tree, sockets, entries)
        with Running(field.programs()) as running:
            if field.absent:
                yield f"not here: {', '.join(field.absent)}"
            for load in LOADS:
                with running.placed(together=load.outstanding == 1):
                    rows = list(_compared(generator, field, load, rounds))
                yield from rows
            yield _client(field.bare, size, rounds)


class Field:
    """The servers of one run."""

    def __init__(self, tree: Path, sockets: Path, entries: int) -> None:
        self.canned, self.listing = programs.canned(entries)
        self.bare = programs.bare(tree)
        self.bound = programs.bound(tree)
        self.uvloop: list[Program] = []
        found = list(programs.others(tree, sockets))
        self.others = [each for each in found if isinstance(each, Program)]
        self.absent = [each for each in found if isinstance(each, str)]
        if programs.have("uvloop"):
            self.uvloop = [*programs.canned(entries, uvloop=True), programs.bare(tree, uvloop=True)]
        else:
            self.absent.append("uvloop")

    def programs(self) -> list[Program]:
        return [self.canned, self.listing, self.bare, self.bound, *self.uvloop, *self.others]


class Generator:
    """9pload, to be put on servers."""

    def __init__(self, program: Path, seconds: float, entries: int) -> None:
        self._program = program
        self._seconds = seconds
        self.entries = entries

    def rate(self, load: Load, server: Program) -> float:
        """What ``server`` reaches, in the unit of ``load``. Raises `Missed`."""
        found = self._run(load, server)
        ops, entries = found["ops"], found["entries"]
        if not ops:
            raise Missed(f"not done once in {self._seconds:g} s")
        if load.work == "dir" and entries < (ops - 1) * self.entries:  # the first may have begun before
            raise Missed(f"{ops} listings had {entries:,} entries")
        return float(found["mb_s"] if load.unit == "MB/s" else found["ops_s"] / 1000)

    def _run(self, load: Load, server: Program) -> dict[str, Any]:
        path = programs.DIRECTORY if load.work == "dir" else programs.FILE
        if "-p" in server.options:
            path = ""
        numbers = {
            "-m": load.size + HEADER,
            "-q": load.outstanding,
            "-s": programs.SIZE,
            "-n": self.entries,
            "-t": self._seconds,
            "-w": self._seconds / 5,
            "-T": 3,
        }
        options = [word for option, value in numbers.items() for word in (option, str(value))]
        argv = [str(self._program), "-j", *options, *server.options, server.address, load.work, path]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=self._seconds + 10)
        except subprocess.TimeoutExpired:
            raise Missed("no end") from None
        if done.returncode:
            raise Missed(done.stderr.strip().removeprefix("9pload: "))
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def compiled() -> Path:
    """9pload, from the user's cache or compiled now. Exits with the reason when that cannot be."""
    source = SOURCE.read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nsh"
    program = cache / f"9pload-{hashlib.sha256(source).hexdigest()[:16]}"
    if program.exists():
        return program
    cc = shutil.which("cc")
    if cc is None:
        sys.exit("9p: 9pload.c cannot be compiled: there is no cc")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        made = Path(scratch) / "9pload"
        done = subprocess.run([cc, "-O2", "-o", made, SOURCE, "-lpthread"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"9p: 9pload.c cannot be compiled:\n{done.stderr}")
        made.rename(program)
    return program


def _compared(generator: Generator, field: Field, load: Load, rounds: int) -> Iterator[Row | str]:
    """One load on all servers, and what came of it."""
    listing = load.work == "dir"
    ceiling = field.listing if listing else field.canned
    fast = [field.uvloop[listing], field.uvloop[2]] if field.uvloop else []
    others = [each for each in field.others if not (listing and "-p" in each.options)]
    rates, missed = _medians(generator, load, [ceiling, field.bare, field.bound, *fast, *others], rounds)

    def row(server: Program, beside: Program, target: Target | None = None) -> Row:
        what = f"{load.what.format(entries=generator.entries)}: {server.name}"
        return Row(what, rates[server.name], beside.name, rates[beside.name], load.unit, target)

    bare = rates[field.bare.name]
    enough = listing and bare >= LISTING
    target = Target("figure", least=LISTING) if enough else Target("ratio", least=load.least)
    yield row(field.bare, ceiling, target)
    yield row(field.bound, field.bare, Target("ratio", least=BOUND))
    for server in (*fast[1:], *others):
        if server.name in missed:
            yield f"{load.what.format(entries=generator.entries)}: {server.name}: {missed[server.name]}"
            if server in fast:
                field.uvloop = []  # it will not do the rest either
        elif server in fast:
            yield row(server, fast[0])
        else:
            yield row(server, ceiling, Target("figure", most=bare) if server.python else None)


def _medians(
    generator: Generator, load: Load, servers: Sequence[Program], rounds: int
) -> tuple[dict[str, float], dict[str, Missed]]:
    """The rate of each server by its name; or why there is none, which is fatal unless that is optional."""
    found: dict[str, list[float]] = {server.name: [] for server in servers}
    missed: dict[str, Missed] = {}
    for _ in range(rounds):
        for server in servers:
            if server.name not in missed:
                try:
                    found[server.name].append(generator.rate(load, server))
                except Missed as e:
                    if not server.optional:
                        raise
                    missed[server.name] = e
    return {name: statistics.median(rates) for name, rates in found.items() if name not in missed}, missed


def _client(server: Program, size: int, rounds: int) -> Row:
    """Our client, reading a file of ``server``, beside bytes from a bare socket; each in a new process."""
    _make_large(server, size)
    source = programs.stream(size)
    copies, reads = [], []
    with Running([source]):
        for _ in range(rounds):
            copies.append(_seconds(size, "copy", source.address))
            reads.append(_seconds(size, "file", server.address, LARGE))
    figure, base = (size / statistics.median(times) / 1e6 for times in (reads, copies))
    what = f"client: read of a file of {size >> 20:,} MiB"
    return Row(what, figure, "asyncio copy", base, "MB/s", Target("ratio", least=CLIENT))


def _make_large(server: Program, size: int) -> None:
    """Have a file of ``size`` bytes, all of them a hole, which takes no memory."""
    with nsh.sync.connect("tcp!" + server.address.replace(":", "!")) as files:
        files.create(LARGE).close()
        files.wstat(LARGE, Dir.dont_touch(length=size))


def _seconds(size: int, *args: str) -> float:
    """What `tests.bench.peers.reader` needs for ``size`` bytes."""
    argv = [sys.executable, "-P", "-m", "tests.bench.peers.reader", *args]
    found, seconds = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    if int(found) != size:
        raise Missed(f"{found} bytes were read, not {size}")
    return float(seconds)
