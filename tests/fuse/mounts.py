"""What the tests of FUSE share: a system with a server, mounted by the kernel of this machine.

A test that mounts in its own process must touch the mount only from other threads or processes: `shell` and
`apart` are for that; `#U` does so by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nsh.boot import boot
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc, current
from nsh.net.fuse import Mounted, mount

T = TypeVar("T")

NSH = (sys.executable, "-m", "nsh")
TOP = Path(__file__).parents[2]


@asynccontextmanager
async def mounted(where: Path, spec: str = "#R", **options: Any) -> AsyncIterator[Mounted]:
    """The tree of a device, mounted by this process."""
    p = await boot()
    token = current.set(p)
    try:
        root = await tree(p, spec)
        m = await mount(p, root, str(where), **options)
        try:
            yield m
        finally:
            await m.unmount()
    finally:
        p.exit()
        current.reset(token)


@contextmanager
def unanswered(where: Path) -> Iterator[None]:
    """A mount whose server never answers. Whoever waits there is let go in the end."""
    script = (
        "import sys, time; from nsh.net.fuse.mount import attach; a = attach(sys.argv[1], True, 'it', False)"
    )
    argv = [sys.executable, "-c", f"{script}; print(flush=True); time.sleep(1000)", str(where)]
    with subprocess.Popen(argv, cwd=TOP, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        try:
            yield
        finally:
            program.kill()
            program.wait()
            subprocess.run(["fusermount3", "-u", "-z", str(where)], check=True)


async def tree(p: Proc, spec: str) -> Chan:
    """The device ``#R``, or ``#U`` and the name of something of the host."""
    if spec.startswith("#U"):
        return await namec(p, spec, Access.MOUNT)
    return await p.system.attach(spec[1], spec[2:])


async def shell(command: str, directory: Path) -> str:
    """What /bin/sh prints on both outputs, with ``[N]`` behind it if the status is not 0."""
    program = await asyncio.create_subprocess_shell(
        command,
        cwd=TOP,
        env={**os.environ, "M": str(directory), "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await program.communicate()
    return output.decode() + (f"[{program.returncode}]" if program.returncode else "")


async def apart(function: Callable[..., T], *args: Any) -> T:
    """Call a function that uses the mount, in a thread."""
    return await asyncio.to_thread(function, *args)


# --- servers and mounts that are programs ------------------------------------------------------


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def server(script: str = "memfs /tmp", tree: str = "/tmp") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A program that exports ``tree`` after running ``script``: its address, and the program."""
    address = f"tcp!127.0.0.1!{free_port()}"
    text = f"{script}; styxlisten -A {address} export {tree}; echo ready; sleep 1000"
    program = subprocess.Popen([*NSH, "-c", text], cwd=TOP, stdout=subprocess.PIPE)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        yield address, program
    finally:
        program.kill()
        program.wait()
        assert program.stdout is not None
        program.stdout.close()


@contextmanager
def ninepfuse(address: str, where: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program 9pfuse in the foreground, ready; afterwards it is told to end, and nothing is mounted."""
    program = subprocess.Popen([*NSH, "9pfuse", "-f", address, str(where)], cwd=TOP, stderr=subprocess.PIPE)
    assert program.stderr is not None
    try:
        until(lambda: is_mounted(where) or program.poll() is not None)
        assert program.poll() is None, program.stderr.read()
        os.stat(where)  # now it answers
        yield program
    finally:
        program.terminate()
        program.wait()
        program.stderr.close()
        assert not is_mounted(where)


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def is_mounted(where: Path) -> bool:
    return f" {where} " in Path("/proc/self/mountinfo").read_text()


def interrupted(where: Path) -> subprocess.Popen[bytes]:
    """A cat of ``where``, which Ctrl-C will reach."""
    return subprocess.Popen(
        ["cat", str(where)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
