"""9pfuse: mount a 9P server, as plan9port's command does, but in this name space; with -f for the host.

The host's mount is served by a program of its own (`nsh.ninepfuse`), which is given a connection that was
made here, by the rules of this name space, and ends with this shell. If the shell served it, Linux could make
the whole of it wait for itself, whenever one of its threads has a page fault in a file there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from nsh.cmd.arg import Options, Usage, parse
from nsh.dev.host import HostDevice, ask
from nsh.dev.hostfd import HostFdDevice
from nsh.dev.mnt import MntDevice
from nsh.dev.spawn import Start, run_as
from nsh.errors import Ebadfd, P9Error
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.namec import Access, namec
from nsh.kern.noteg import Noteg
from nsh.kern.proc import RFCFDG, Proc
from nsh.net.address import address
from nsh.net.conn import Conn
from nsh.net.dial import call
from nsh.net.fuse import Mounted, mount

MOUNTED = "mounted"
"""What the host's program says when it has mounted; anything else is why it has not."""
USAGE = "[-Df] [-A attrtimeout] [-a aname] address mtpt"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "DfA:a:", USAGE)
    check(options)
    if "f" in options:
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
    where, mtpt = options.args
    stream = conn.dev.stream(conn)
    if not isinstance(stream, Conn):
        conn.close()
        raise P9Error(f"{where}: not a connection that a program of the host can use")
    fds = HostFdDevice.of(p.system)
    child = p.leader.fork(RFCFDG)
    with stream.hand_over() as sock:
        stream.close()
        sock.setblocking(True)  # as programs expect it
        child.fgrp.put(0, fds.chan(sock.detach(), "9pfuse"))
    answer, told = fds.pipe()
    child.fgrp.put(1, told)
    try:
        with contextlib.suppress(Ebadfd):
            child.fgrp.put(2, p.fgrp.get(2).incref())
        words = [f"-{letter}{value}" for letter, value in options.letters if letter != "f"]
        path = await _host_name(p, mtpt)
        # known before it is there: if we looked at it in the moment between, it would ask us in vain
        child.atexit(HostDevice.of(p.system).wait_in(path))
        argv = [sys.executable, "-m", "nsh.ninepfuse", *words, "--", where, path]
        start = Start(argv[0], argv, os.environb, _own_directory())
        child.noteg, child.args = Noteg(front=False), ["9pfuse", where, mtpt]
        child.start(lambda child: run_as(child, start))
        said = await _line(answer)
    except BaseException:
        child.kill()
        raise
    finally:
        answer.close()
    if said != MOUNTED:
        raise P9Error(said or f"mount {mtpt}: i/o error")
    child.atexit(p.leader.atexit(lambda: _end(child)))


def _own_directory() -> str | None:
    """Where this program stands: Python may have found us from there."""
    try:
        return os.getcwd()
    except OSError:
        return None


async def _host_name(p: Proc, name: str) -> str:
    """The host's name, without links, of a file of the name space. Errors: `P9Error`."""
    try:
        path = await ask(await namec(p, name, Access.MOUNT), os.path.realpath)
    except OSError as e:
        raise P9Error(f"mount {name}: {e}") from None
    if path is None:
        raise P9Error(f"mount {name}: not a file of the host")
    return path


async def _line(c: Chan) -> str:
    """What a program writes up to the end of its line, or of its output."""
    line = b""
    while not line.endswith(b"\n") and (data := await settle(c.dev.read(c, 8192, 0))):
        line += data
    return line.decode(errors="replace").strip()


def _end(child: Proc) -> None:
    """Have it unmount; the shell that ends waits for that (`nsh.rc.session`)."""
    child.kill()
    farewell = asyncio.get_running_loop().create_task(child.wait())
    _farewells.add(farewell)
    farewell.add_done_callback(_farewells.discard)


_farewells: set[asyncio.Task[str]] = set()
