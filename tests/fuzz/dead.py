"""Peers that vanish without a word: how long until the server, and our client, know.

The machine is played by network name spaces that a wire (veth) joins; the peer vanishes when the other one
sends everything into a black hole. Needs unshare(1), nsenter(1) and ip(8), and the right to use them.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import nsh
from nsh.net.conn import KEEPCOUNT, KEEPIDLE, KEEPINTERVAL
from nsh.p9 import msg
from nsh.p9.const import NOFID, NOTAG
from tests.fuzz.process import MSIZE, Served

HERE, THERE = "10.99.0.1", "10.99.0.2"
LIMIT = KEEPIDLE + KEEPINTERVAL * KEEPCOUNT + 10
"""Seconds in which a dead peer must have been found."""
PROMPT = 2.0
"""Seconds in which an interrupt must have its effect."""

_VISITOR = f"""
import socket, sys, time
s = socket.create_connection(("{HERE}", int(sys.argv[1])))
s.sendall(bytes.fromhex(sys.argv[2]))
s.recv(9)
print("attached", flush=True)
time.sleep(1000)
"""


def dead() -> int:
    """Make the name spaces, and try; 1 if a peer is not found, or if the machine does not allow it."""
    missing = [need for need in ("unshare", "nsenter", "ip") if shutil.which(need) is None]
    if missing:
        print(f"dead: needs {' and '.join(missing)}, which this machine lacks")
        return 1
    options = ["--net", "--kill-child"]
    if subprocess.run(["unshare", *options, "--fork", "true"], capture_output=True).returncode:
        options.append("--map-root-user")
        if subprocess.run(["unshare", *options, "--fork", "true"], capture_output=True).returncode:
            print("dead: this machine grants no network name space")
            return 1
    return subprocess.run(["unshare", *options, "--fork", sys.executable, "-P", "-m", __name__]).returncode


@contextmanager
def wire() -> Iterator[list[str]]:
    """A second network, joined to ours; the value is the command that runs others in it."""
    peer = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 1000"], stdout=subprocess.PIPE
    )
    try:
        assert peer.stdout is not None
        peer.stdout.readline()
        inside = ["nsenter", "--net", "--target", str(peer.pid)]
        ip(["link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(peer.pid)])
        for prefix, name, address in ([], "here", HERE), (inside, "there", THERE):
            ip(["address", "add", f"{address}/24", "dev", name], prefix)
            ip(["link", "set", name, "up"], prefix)
            ip(["link", "set", "lo", "up"], prefix)
        yield inside
    finally:
        peer.kill()
        peer.communicate()


def ip(words: list[str], prefix: list[str] | None = None) -> None:
    subprocess.run([*(prefix or []), "ip", *words], check=True)


def mend(inside: list[str]) -> None:
    """Let it come through again."""
    ip(["route", "del", "blackhole", f"{HERE}/32"], inside)


def cut(inside: list[str]) -> float:
    """From now on nothing comes from the other side; returns when that was."""
    ip(["route", "add", "blackhole", f"{HERE}/32"], inside)
    return time.monotonic()


def _try() -> int:
    with wire() as inside, Served(host=HERE) as ours, Served(host=THERE, prefix=inside) as theirs:
        before = ours.descriptors()
        with _visit(inside, ours):
            return asyncio.run(_vanish(inside, before, ours, theirs))


@contextmanager
def _visit(inside: list[str], server: Served) -> Iterator[None]:
    """A client of our server, on the other side, that is attached and does nothing."""
    hello: list[msg.Message] = [msg.Tversion(NOTAG, MSIZE, "9P2000"), msg.Tattach(1, 0, NOFID, "glenda", "")]
    words = [str(server.address[1]), b"".join(map(msg.encode, hello)).hex()]
    visitor = subprocess.Popen([*inside, sys.executable, "-c", _VISITOR, *words], stdout=subprocess.PIPE)
    try:
        assert visitor.stdout is not None
        visitor.stdout.readline()
        yield
    finally:
        visitor.kill()
        visitor.communicate()


async def _vanish(inside: list[str], before: int, ours: Served, theirs: Served) -> int:
    address = "tcp!{}!{}".format(*theirs.address)
    script = f"mount -A {address} /n/x && cat /n/x/pipe/data"
    async with nsh.Namespace() as ns:
        await ns.mount(address, "/n/far")
        reader = asyncio.create_task(ns.read("/n/far/pipe/data"))
        shell = await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", "nsh", "-c", script)
        await asyncio.sleep(2)
        assert not reader.done() and shell.returncode is None and ours.descriptors() > before
        when = cut(inside)
        interrupted = await _interrupted(asyncio.create_task(ns.stat("/n/far/file")), shell)
        (text, told), closed = await asyncio.gather(_failure(reader), _settled(ours, before))
    client_after, server_after = told - when, closed - when
    print(f"dead: an interrupt of who waits for the dead server took {interrupted:.2f} s")
    print(f"dead: our client told its waiter '{text}' after {client_after:.0f} s")
    print(f"dead: our server closed the dead client's connection after {server_after:.0f} s")
    return 0 if interrupted < PROMPT and max(client_after, server_after) < LIMIT else 1


async def _interrupted(call: asyncio.Task[object], shell: asyncio.subprocess.Process) -> float:
    """Interrupt a call that waits, and a shell, a moment later; how long that took."""
    await asyncio.sleep(1)
    start = time.monotonic()
    call.cancel()
    await asyncio.wait([call])
    shell.send_signal(signal.SIGINT)
    await asyncio.wait_for(shell.wait(), LIMIT)
    return time.monotonic() - start


async def _failure(reader: asyncio.Task[bytes]) -> tuple[str, float]:
    """What the reader is told, and when."""
    await asyncio.wait([reader], timeout=2 * LIMIT)
    return (str(reader.exception()) if reader.done() else "nothing"), time.monotonic()


async def _settled(server: Served, descriptors: int) -> float:
    """When the server had no more descriptors than that."""
    end = time.monotonic() + 2 * LIMIT
    while server.descriptors() > descriptors and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(_try())
