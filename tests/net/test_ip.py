"""`#I`: connections made, taken and used through their files, here and on another machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nsh.dev.srv import file2chan
from nsh.errors import P9Error
from nsh.kern.chan import Chan
from nsh.kern.dev import File
from nsh.kern.mnt import MAFTER, MCREATE, MREPL
from nsh.kern.proc import Proc, current
from nsh.kern.recipe import recipe
from nsh.net.dial import announce, call, dial
from nsh.p9.const import ORDWR, OREAD
from tests.conformance import check_tree
from tests.kern.world import content, failure, listing, world
from tests.net.peers import Host, command, quiet


async def networked() -> Proc:
    p = await world()
    await p.bind("#I", "/net", MAFTER)
    return p


async def clone(p: Proc, net: str = "/net/tcp") -> tuple[int, str]:
    """A conversation of one's own: its ctl, open, and its directory."""
    ctl = await p.open(f"{net}/clone", ORDWR)
    return ctl, f"{net}/{(await p.read(ctl)).decode()}"


async def announced(p: Proc, message: str = "announce 127.0.0.1!0") -> tuple[int, str, str]:
    """An announced conversation: its ctl, its directory, and where it is."""
    ctl, here = await clone(p)
    await p.write(ctl, message.encode())
    return ctl, here, (await content(p, f"{here}/local")).strip()


async def test_it_conforms() -> None:
    p = await networked()
    ctl, here = await clone(p)
    await check_tree(p, "/net")
    assert await listing(p, here) == ["ctl", "data", "listen", "local", "remote", "status"]
    p.close(ctl)
    await check_tree(p, "/net")


async def test_a_call_and_its_answer_by_files_alone() -> None:
    p = await networked()
    server, there, where = await announced(p)
    assert await content(p, f"{there}/status") == "Announced\n"
    ctl, here = await clone(p)
    assert await content(p, f"{here}/status") == "Closed\n"
    assert await content(p, f"{here}/local") == await content(p, f"{here}/remote") == "::!0\n"
    listening = asyncio.create_task(p.open(f"{there}/listen", ORDWR))
    await p.write(ctl, f"connect {where}".encode())
    caller = await listening
    accepted = f"/net/tcp/{(await p.read(caller)).decode()}"
    assert await content(p, f"{here}/status") == await content(p, f"{accepted}/status") == "Established\n"
    assert (await content(p, f"{here}/remote")).strip() == where
    assert await content(p, f"{accepted}/remote") == await content(p, f"{here}/local")
    one, other = [await p.open(f"{name}/data", ORDWR) for name in (here, accepted)]
    await p.write(one, b"question")
    assert await p.read(other) == b"question"
    p.close(ctl)
    await p.write(other, b"answer")
    assert await p.read(one) == b"answer"
    p.close(caller)
    p.close(other)
    assert await p.read(one) == b""
    for fd in (one, server):
        p.close(fd)
    assert await listing(p, "/net/tcp") == ["clone"]


async def test_a_conversation_has_the_lowest_free_number() -> None:
    p = await networked()
    opened = [await clone(p) for _ in range(4)]
    assert [here for _, here in opened] == [f"/net/tcp/{n}" for n in range(4)]
    for n in 2, 0:
        p.close(opened[n][0])
    again = [await clone(p) for _ in range(3)]
    assert [here for _, here in again] == [f"/net/tcp/{n}" for n in (0, 2, 4)]
    for fd in opened[1][0], opened[3][0], *(fd for fd, _ in again):
        p.close(fd)
    assert await listing(p, "/net/tcp") == ["clone"]
    fd, here = await clone(p)
    assert here == "/net/tcp/0"
    p.close(fd)


async def test_hangup_ends_a_connection() -> None:
    p = await networked()
    _, there, where = await announced(p)
    ctl, here = await clone(p)
    await p.write(ctl, f"connect {where}".encode())
    caller = await p.open(f"{there}/listen", ORDWR)
    data = await p.open(f"{here}/data", OREAD)
    await p.write(caller, b"hangup")
    assert await p.read(data) == b""
    p.exit()
    await quiet()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("", "empty control message"),
        ("bypass", 'unknown control message "bypass"'),
        ("connect", "bad args to connect"),
        ("announce 1 2", "bad args to announce"),
        ("connect 127.0.0.1", "bad network address"),
        ("connect 127.0.0.1!here", "non-numeric port number"),
        ("connect 127.0.0.1!1", "Connection refused"),
        ("hangup", "i/o on hungup channel"),
    ],
)
async def test_what_cannot_be_done_is_said(message: str, text: str) -> None:
    p = await networked()
    ctl, here = await clone(p)
    assert await failure(p.write(ctl, message.encode())) == text
    data = await p.open(f"{here}/data", ORDWR)
    assert await failure(p.read(data)) == "i/o on hungup channel"
    assert await failure(p.open(f"{here}/listen")) == "not announced"
    p.exit()


async def test_a_conversation_is_used_once_and_by_its_owner() -> None:
    p = await networked()
    ctl, here, _ = await announced(p)
    assert await failure(p.write(ctl, b"announce 127.0.0.1!0")) == "device or object already in use"
    other = p.fork()
    other.user = "other"
    current.set(other)
    assert await failure(other.open(f"{here}/ctl", ORDWR)) == "permission denied"
    assert await failure(other.open(f"{here}/listen", ORDWR)) == "permission denied"
    fd, there = await clone(other)
    assert (await other.stat(f"{there}/ctl")).uid == "other"
    other.close(fd)
    other.exit()
    current.set(p)
    p.exit()
    await quiet()


async def test_unix_sockets_have_the_same_files(tmp_path: Path) -> None:
    p = await networked()
    ctl, there = await clone(p, "/net/unix")
    where = f"{tmp_path}/a socket"
    await p.write(ctl, f"announce '{where}'".encode())
    caller, here = await clone(p, "/net/unix")
    await p.write(caller, f"connect '{where}'".encode())
    accepted = await p.open(f"{there}/listen", ORDWR)
    assert await content(p, f"{here}/remote") == where + "\n"
    for fd in (accepted, caller, ctl):
        p.close(fd)
    await quiet()


async def test_a_call_uses_the_network_of_the_name_space() -> None:
    """Another machine's /net, mounted: the connection is made there."""
    gateway = await world()
    await gateway.bind("#I", "/net", MAFTER)
    host = await Host.start(gateway, "/net")
    service = await world("f")
    server = await Host.start(service)
    p = await world("net/", "far/")
    fd = p.fgrp.new(await dial(p.system, host.address))
    await p.mount(fd, "/mnt/net", MREPL)
    p.close(fd)
    before = await listing(gateway, "/net/tcp")
    c = await call(p, f"/mnt/net/{server.address}")
    assert c.dev is p.system.device("M")
    assert len(await listing(gateway, "/net/tcp")) == len(before) + 1
    fd = p.fgrp.new(c)
    await p.mount(fd, "/mnt/far", MREPL | MCREATE)
    p.close(fd)
    assert await content(p, "/mnt/far/f") == "f"
    await p.unmount(None, "/mnt/far")
    await p.bind("/mnt/net", "/net", MREPL)
    assert await command(p, "mount", "-A", server.address, "/mnt/far") == ("", "")
    assert await content(p, "/mnt/far/f") == "f"
    assert len(await listing(gateway, "/net/tcp")) == len(before) + 1
    assert f"mount -A {server.address} /mnt/far" in recipe(p)
    assert "mount /net/tcp/1/data /mnt/far" in recipe(p, raw=True)
    assert await command(p, "mount", "-AP", server.address, "/mnt/far") == ("", "")
    await p.unmount(None, "/net")
    assert f"mount -AP /mnt/net/{server.address} /mnt/far" in recipe(p)
    p.exit()
    await quiet()
    await server.stop()
    await host.stop()


class ConnectionServer(File):
    """/net/cs, which knows one host, at two addresses."""

    def __init__(self, port: int) -> None:
        super().__init__("cs", 0o666)
        self._port = port
        self.asked: list[str] = []

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        self.asked.append(bytes(data).decode())
        if not self.asked[-1].startswith("tcp!alpha!"):
            raise P9Error("cs: can't translate address")
        return len(data)

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        lines = [f"/net/tcp/clone 127.0.0.1!{port}\n".encode() for port in (0, self._port)]
        return b"".join(lines)[offset:].partition(b"\n")[0] + b"\n" if offset < sum(map(len, lines)) else b""


async def test_the_connection_server_of_another_network_knows_names() -> None:
    gateway = await world()
    await gateway.bind("#I", "/net", MAFTER)
    await gateway.bind("#scs", "/net", MAFTER)
    server = await Host.start(await world("f"))
    cs = ConnectionServer(server.port)
    await file2chan(gateway, "#scs", cs)
    host = await Host.start(gateway, "/net")
    p = await world("net/", "far/")
    assert await command(p, "mount", "-A", host.address, "/mnt/net") == ("", "")
    await p.bind("/mnt/net", "/net", MREPL)
    assert await command(p, "mount", "-A", "alpha", "/mnt/far") == ("", "")
    assert await content(p, "/mnt/far/f") == "f"
    assert cs.asked == ["tcp!alpha!styx"]
    assert "mount -A tcp!alpha!styx /mnt/far" in recipe(p)
    _, said = await command(p, "mount", "-A", "/mnt/net/tcp!beta!9fs", "/mnt/far")
    assert said == "mount: can't dial /mnt/net/tcp!beta!9fs: cs: can't translate address\n"
    cs._port = 0
    _, said = await command(p, "mount", "-A", "alpha", "/mnt/far")
    assert said == "mount: can't dial net!alpha!styx: Connection refused\n"
    p.exit()
    await quiet()
    await server.stop()
    await host.stop()


async def test_a_call_without_another_network_is_made_from_here() -> None:
    p = await networked()
    listener = await announce(p.system, "tcp!127.0.0.1!0")
    here = await call(p, str(listener.address))
    assert here.dev is p.system.device("I")
    here.close()
    listener.close()
    assert await failure(call(p, "/n/nowhere/tcp!127.0.0.1!1")) == "'/n/nowhere' does not exist"
    await quiet()
