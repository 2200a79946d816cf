"""The 9P servers there are to measure: ours, the ceiling, and what others this machine has.

Of the others only those take part that can be found: Python packages where ``import`` finds them
(``pip install --target DIR aio9p py9p pyroute2 uvloop`` and DIR in PYTHONPATH), programs in PATH,
plan9port where PLAN9 says. All have the same files, in memory or in a directory of the host that is.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.peers.program import Program, free_address

FILE, DIRECTORY = "d/file", "d/dir"
"""What every server has."""
SIZE = 4 << 20
"""Bytes of the file."""
BINDS = 50

HALVES = ("1", "2")
"""Directories with half of the entries each, for unions."""

_START = "del sys.argv[0]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
_UVLOOP = f"import runpy, sys, uvloop; uvloop.install(); {_START}"
_PLAIN = f"import runpy, sys; sys.modules['uvloop'] = None; {_START}"
"""Without uvloop, though it may be installed: nsh uses it when it is."""
_BARE = """
memfs /n/mem
cp -r {tree}/d /n/mem
styxlisten -As tcp!{where} export /n/mem
"""
_EMPTY = """
memfs /n/mem
styxlisten -As tcp!{where} export /n/mem
"""
_BOUND = """
memfs /n/mem; memfs /n/a; memfs /n/b
cp {tree}/d/file /n/a
cp -r {tree}/1 {tree}/2 /n/b
mkdir /n/mem/d /n/a/dir {points}
for(i in {points}) bind /n/b $i
bind /n/a /n/mem/d; bind -a /n/b /n/mem/d
bind /n/b/1 /n/mem/d/dir; bind -a /n/b/2 /n/mem/d/dir
styxlisten -As tcp!{where} export /n/mem
"""


def make_tree(directory: Path, entries: int) -> None:
    """The files that all servers have, in a directory of the host."""
    (directory / DIRECTORY).mkdir(parents=True)
    (directory / FILE).write_bytes(bytes(SIZE))
    for half in HALVES:
        (directory / half).mkdir()
    for i in range(entries):
        (directory / DIRECTORY / f"entry{i:05}").touch()
        (directory / HALVES[2 * i // entries] / f"entry{i:05}").touch()


def have(module: str) -> bool:
    """Can it be imported?"""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def canned(entries: int, uvloop: bool = False) -> list[Program]:
    """The ceiling: one that has the file, and one that has the directory."""
    module = "tests.bench.peers.canned"
    return [
        _python("canned", module, ["{port}", "file", str(SIZE)], uvloop),
        _python("canned", module, ["{port}", "dir", str(entries)], uvloop),
    ]


def stream(size: int) -> Program:
    """What reading ``size`` bytes is compared with."""
    return _python("asyncio copy", "tests.bench.peers.stream", ["{port}", str(size)])


def bare(tree: Path, uvloop: bool = False) -> Program:
    """Ours: nsh with a memfs, exported."""
    return _nsh("memfs", _BARE, tree, uvloop)._replace(optional=uvloop)


def empty() -> Program:
    """Ours: nsh with a memfs that has no files yet, exported."""
    return _nsh("memfs", _EMPTY, Path())


def bound(tree: Path) -> Program:
    """Ours: the same files in a union of two memfs, the directory one of two halves, among binds."""
    points = " ".join(f"/n/mem/{i}" for i in range(BINDS - 4))
    return _nsh(f"{BINDS} binds", _BOUND.replace("{points}", points), tree)


def others(tree: Path, sockets: Path) -> Iterator[Program | str]:
    """Those of other people that are here; of the others, their names. ``sockets``: an empty directory."""
    modules = "tests.bench.peers."
    args = ["{port}", str(tree)]
    if have("aio9p.example.simple"):
        yield _python("aio9p", modules + "aio9p_example", args)._replace(optional=True, python=True)
    else:
        yield "aio9p"
    if have("py9p.py9p"):
        args_py9p = ["-w", "-a", "127.0.0.1", "-p", "{port}", "-r", str(tree)]
        yield _python("py9p", "py9p", args_py9p)._replace(optional=True, python=True)
    else:
        yield "py9p"
    if have("pyroute2.plan9.server"):
        yield _python("pyroute2", modules + "pyroute2_plan9", args)._replace(optional=True, python=True)
    else:
        yield "pyroute2"
    yield _diod(tree) or "diod"
    yield ramfs(sockets) or "plan9port's ramfs"


def _python(name: str, module: str, args: list[str], uvloop: bool = False) -> Program:
    """A Python program; ``{port}`` among its arguments stands for its port."""
    address = free_address()
    port = address.rpartition(":")[2]
    start = _UVLOOP if uvloop else _PLAIN
    argv = [sys.executable, "-P", "-c", start, module, *(arg.replace("{port}", port) for arg in args)]
    return Program(name + ", uvloop" * uvloop, argv, address)


def _nsh(name: str, script: str, tree: Path, uvloop: bool = False) -> Program:
    program = _python(name, "nsh", ["-c", script.replace("{tree}", str(tree))], uvloop)
    where = program.address.replace(":", "!")
    return program._replace(argv=[arg.replace("{where}", where) for arg in program.argv])


def _diod(tree: Path) -> Program | None:
    """diod exports directories of the host, in the Linux dialect of 9P."""
    program = shutil.which("diod")
    if program is None:
        return None
    address = free_address()
    argv = [program, "-f", "-n", "-N", "-L", "/dev/null", "-c", "/dev/null", "-e", str(tree), "-l", address]
    user = getpass.getuser()
    return Program("diod", argv, address, ["-V", "9P2000.L", "-a", str(tree), "-u", user], optional=True)


def ramfs(sockets: Path) -> Program | None:
    """plan9port's ramfs behind its 9pserve. It starts empty, so 9pload has to make the files itself."""
    plan9 = os.environ.get("PLAN9", "/usr/local/plan9")
    path = f"{os.environ['PATH']}:{plan9}/bin"
    program = shutil.which("ramfs", path=path)
    if program is None or shutil.which("9pserve", path=path) is None:
        return None
    options = ["-p", "-u", getpass.getuser()]
    environ = {"PATH": path, "NAMESPACE": str(sockets), "PLAN9": plan9}
    return Program("ramfs", [program, "-s", "ramfs"], f"unix:{sockets}/ramfs", options, environ, True)
