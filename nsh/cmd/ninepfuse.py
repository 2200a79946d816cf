"""9pfuse: mount a 9P server, as plan9port's command does, but in this name space; with -f for the host.

The host's mount is served by a program of its own (`nsh.ninepfuse`): if this one served it, it would wait
for itself whenever it looked at the host's directory. That program is given a connection that was made
here, by the rules of this name space, and ends with it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from nsh.cmd.arg import Options, Usage, parse
from nsh.dev.mnt import MntDevice
from nsh.errors import P9Error
from nsh.kern.chan import Chan
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import Proc
from nsh.net.conn import Conn
from nsh.net.dial import address, call, is_ours
from nsh.net.fuse import Mounted, mount

MOUNTED = "mounted"
"""What the host's program says when it has mounted; anything else is why it has not."""
PATIENCE = 5.0
"""Seconds that it may take to unmount."""

USAGE = "[-Df] [-A attrtimeout] [-a aname] address mtpt"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "DfA:a:", USAGE)
    check(options)
    if "f" in options:
        if is_ours(address(options.args[0], service="9fs")):
            raise P9Error(f"{options.args[0]}: served by this shell, which would wait for itself")
        await _mount_on_host(p, options, await dial(p, options))
        return ""
    conn = await connect(p, options)
    mtpt = options.args[1]
    fd = p.fgrp.new(conn)
    try:
        await p.mount(fd, mtpt, MREPL | MCREATE, options.value("a"))
    except OSError as e:
        raise P9Error(f"mount {mtpt}: {e}") from None
    finally:
        p.close(fd)
    return ""


def check(options: Options) -> None:
    """Raise `Usage` unless there are an address and a place, and what -A says is a time."""
    if len(options.args) != 2:
        raise Usage(USAGE)
    try:
        seconds = float(options.value("A", "0"))
    except ValueError:
        raise Usage(USAGE) from None
    if not 0 <= seconds < 1e9:
        raise Usage(USAGE)


async def dial(p: Proc, options: Options) -> Chan:
    """The connection to the server, open."""
    where = options.args[0]
    target = address(where, service="9fs")
    try:
        return await call(p, str(target))
    except OSError as e:
        raise P9Error(f"dial {where}: {e}") from None


async def connect(p: Proc, options: Options) -> Chan:
    """The same; with -D all that is said on it is printed."""
    conn = await dial(p, options)
    if "D" not in options:
        return conn
    from nsh.cmd.styxmon import watched

    return await watched(p, conn)


async def show(p: Proc, options: Options, conn: Chan) -> Mounted:
    """Mount the server at the other end of ``conn``, which is taken over, on the host."""
    where, mtpt = options.args
    driver = p.system.device("M")
    assert isinstance(driver, MntDevice)
    try:
        root = await driver.connect(conn, p.user, options.value("a"))
        return await mount(p, root, mtpt, source=where, timeout=float(options.value("A", "0")))
    except OSError as e:
        raise P9Error(f"mount {mtpt}: {e}") from None
    finally:
        conn.close()


async def _mount_on_host(p: Proc, options: Options, conn: Chan) -> None:
    """Start the program that mounts, and give it the connection. It ends with our leader."""
    stream = conn.dev.stream(conn)
    if not isinstance(stream, Conn):
        conn.close()
        raise P9Error(f"{options.args[0]}: not a connection that a program of the host can use")
    words = [f"-{letter}{value}" for letter, value in options.letters if letter != "f"]
    with stream.hand_over() as sock:
        stream.close()
        program = subprocess.Popen(  # noqa: ASYNC220  # of asyncio's, one would have to be awaited at the end
            [sys.executable, "-m", "nsh.ninepfuse", *words, "--", "fd!0", options.args[1]],
            stdin=sock.fileno(),
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    assert program.stdout is not None
    with program.stdout as answer:
        try:
            said = (await asyncio.to_thread(answer.readline)).decode(errors="replace").strip()
        except asyncio.CancelledError:
            _end(program)
            raise
    if said != MOUNTED:
        _end(program)
        raise P9Error(said or f"mount {options.args[1]}: i/o error")
    p.leader.atexit(lambda: _end(program))


def _end(program: subprocess.Popen[bytes]) -> None:
    """Have it unmount, and wait for that."""
    program.terminate()
    try:
        program.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
