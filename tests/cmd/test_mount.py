"""mount, 9pfuse, fusermount, export, styxlisten, listen and dial: 9P between two systems."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nsh.cmd.mount import USAGE
from nsh.kern.proc import Proc
from nsh.net.dial import announce
from nsh.p9.const import OREAD
from nsh.rc.session import connect
from tests.kern.world import content, failure, listing, make, world
from tests.net.peers import Host, command, quiet

UNKNOWN = "no key to authenticate"


async def free_port(p: Proc) -> int:
    listener = await announce(p.system, "tcp!127.0.0.1!0")
    listener.close()
    return int(listener.address.service)


async def served(p: Proc, *what: str) -> str:
    """The address at which styxlisten serves ``what``."""
    address = f"tcp!127.0.0.1!{await free_port(p)}"
    assert await command(p, "styxlisten", "-A", address, *what) == ("", "")
    return address


async def end(*procs: Proc) -> None:
    for p in procs:
        p.exit()
        await quiet()


async def test_mount_shows_what_styxlisten_exports() -> None:
    a, b = await world("d/", "d/f"), await world("m/")
    address = await served(a, "export", "/mnt")
    assert await command(b, "mount", "-A", address, "/mnt/m") == ("", "")
    assert await content(b, "/mnt/m/d/f") == "f"
    assert await failure(b.create("/mnt/m/new")) == "mounted directory forbids creation"
    assert f"mount {address} /mnt/m\n" in (await command(b, "ns"))[1]
    assert "mount /net/tcp/0/data /mnt/m\n" in (await command(b, "ns", "-r"))[1]
    assert await command(b, "unmount", "/mnt/m") == ("", "")
    assert await listing(b, "/mnt/m") == []
    await end(b, a)


async def test_mount_in_a_union_that_takes_new_files() -> None:
    a, b = await world("f"), await world("m/", "m/g")
    address = await served(a, "export", "/mnt")
    assert await command(b, "mount", "-acA", address, "/mnt/m", "aname") == ("", "")
    assert await listing(b, "/mnt/m") == ["g", "f"]
    await make(b, "/mnt/m/new")
    assert await content(a, "/mnt/new") == "new"
    assert f"mount -ac {address} /mnt/m aname\n" in (await command(b, "ns"))[1]
    await end(b, a)


async def test_binds_made_after_the_export_are_seen() -> None:
    a, b = await world("d/", "x/", "x/f"), await world("m/")
    address = await served(a, "export", "/mnt")
    await command(b, "mount", "-A", address, "/mnt/m")
    await a.bind("/mnt/x", "/mnt/d", 0)
    assert await content(b, "/mnt/m/d/f") == "f"
    await end(b, a)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-A", "tcp!127.0.0.1!1", "/mnt"], "mount: can't dial tcp!127.0.0.1!1: Connection refused"),
        (["-A", "foo!h!17", "/mnt"], "mount: can't dial foo!h!17: '/net/foo' file does not exist"),
        (["/mnt/nosuch", "/mnt"], "mount: can't open /mnt/nosuch: '/mnt/nosuch' file does not exist"),
        (["{x}", "/mnt"], "mount: no shell to run a command"),
        (["-A", "", "/mnt"], "mount: can't dial net!!styx: bad format request"),
        (["-o9", "x", "/mnt"], "mount: cannot combine -o and -9 options"),
        (["-ov", "x", "/mnt"], "mount: the Styx of 1995 is not spoken here"),
        (["-A", "x"], f"usage: mount {USAGE}"),
    ],
)
async def test_a_mount_that_fails_changes_nothing_and_says_why(argv: list[str], text: str) -> None:
    p = await world()
    before = len(p.pgrp)
    status, output = await command(p, "mount", *argv)
    assert output == text + "\n"
    assert status
    assert len(p.pgrp) == before


async def test_a_mount_point_that_is_missing() -> None:
    a, b = await world(), await world()
    address = await served(a, "export", "/mnt")
    status, output = await command(b, "mount", "-A", address, "/mnt/nosuch")
    assert output == "mount: mount failed: '/mnt/nosuch' file does not exist\n"
    assert status
    assert await command(b, "mount", "-qA", address, "/mnt/nosuch") == ("", "")
    status, output = await command(b, "mount", "-abA", address, "/mnt")
    assert output == "mount: mount failed: bad arg in system call\n"
    await quiet()
    await b.bind("#I", "/mnt", 0)
    assert await listing(b, "/mnt/tcp") == ["clone"]
    await end(b, a)


async def test_without_a_key_nobody_is_served_or_mounted_unasked(tmp_path: Path) -> None:
    a, b = await world("f"), await world("m/")
    status, output = await command(a, "styxlisten", "tcp!127.0.0.1!0", "export", "/mnt")
    assert UNKNOWN in output and status
    address = await served(a, "export", "/mnt")
    status, output = await command(b, "mount", address, "/mnt/m")
    assert UNKNOWN in output and status
    socket = f"unix!{tmp_path / 's'}"
    assert await command(a, "styxlisten", socket, "export", "/mnt") == ("", "")
    assert await command(b, "mount", socket, "/mnt/m") == ("", "")
    assert await listing(b, "/mnt/m") == ["f"]
    await end(b, a)
    assert not (tmp_path / "s").exists()


async def test_serving_everybody_is_announced_in_one_line(tmp_path: Path) -> None:
    p = await world()
    port = await free_port(p)
    status, output = await command(p, "styxlisten", "-A", f"tcp!*!{port}", "export", "/mnt")
    whom = f"everybody who can reach tcp!*!{port} may now do to /mnt what eve may"
    assert (status, output) == ("", f"styxlisten: {whom}\n")
    p.system.ndb = str(tmp_path / "ndb")
    assert await command(p, "styxlisten", "-A", "tcp!*!5555", "export", "/mnt") == ("", "")
    await end(p)


async def test_a_styxlisten_that_fails_says_why() -> None:
    p = await world()
    address = await served(p, "export", "/mnt")
    assert (await command(p, "styxlisten", "-A", address, "export", "/mnt"))[1] == (
        f"styxlisten: cannot announce on {address}: Address already in use\n"
    )
    assert (await command(p, "styxlisten", "-A", "foo!*!17", "export", "/mnt"))[1] == (
        "styxlisten: cannot announce on foo!*!17: '/net/foo' file does not exist\n"
    )
    free = f"tcp!127.0.0.1!{await free_port(p)}"
    assert (await command(p, "styxlisten", "-A", free, "export", "/nosuch"))[1] == (
        "styxlisten: can't export: '/nosuch' file does not exist\n"
    )
    assert await command(p, "styxlisten", "-A", free) == (
        "usage",
        "usage: styxlisten [-a alg]... [-Atsv] [-k keyfile] address cmd [arg...]\n",
    )
    assert len(p.system.procs) == 2  # the one that serves
    await end(p)


async def test_a_client_that_was_not_asked_who_it_is_is_not_authenticated() -> None:
    a = await world()
    address = await served(a, "export", "/mnt")
    b = await world("m/")
    await command(b, "mount", "-A", address, "/mnt/m")
    [client] = [q for q in a.system.procs.values() if q.args[:1] == ["export"]]
    assert not client.authenticated
    assert client.leader is client
    await end(b, a)


async def test_9pfuse_mounts_and_fusermount_ends_it() -> None:
    a, b = await world("d/", "d/f"), await world("m/")
    address = await served(a, "export", "/mnt")
    assert await command(b, "9pfuse", f"127.0.0.1:{address.rsplit('!', 1)[1]}", "/mnt/m") == ("", "")
    await make(b, "/mnt/m/d/new")
    assert sorted(await listing(a, "/mnt/d")) == ["f", "new"]
    await b.chdir("/mnt/m/d")
    fd = await b.open("f", OREAD)
    assert await command(b, "fusermount", "-u", "/mnt/m") == ("", "")
    await quiet()
    assert await listing(b, "/mnt/m") == []
    assert [q for q in a.system.procs.values() if q.args[:1] == ["export"]] == []
    assert await failure(b.read(fd)) == "i/o on hungup channel"
    b.close(fd)
    status, output = await command(b, "fusermount", "-u", "/mnt/m")
    assert (status, output) == ("/mnt/m: not mounted", "fusermount: /mnt/m: not mounted\n")
    await end(b, a)


async def test_9pfuse_of_a_closed_port() -> None:
    p = await world("m/")
    status, output = await command(p, "9pfuse", "localhost:1", "/mnt/m")
    assert (status, output) == (
        "dial localhost:1: Connection refused",
        "9pfuse: dial localhost:1: Connection refused\n",
    )
    assert (await command(p, "9pfuse"))[1] == "usage: 9pfuse [-Df] [-A attrtimeout] [-a aname] address mtpt\n"


# --- with a shell ------------------------------------------------------------------------------


async def with_shell(*names: str) -> Proc:
    """A world whose system can run commands that are given as text."""
    p = await world(*names)
    connect(p)
    for fd in 0, 1, 2:
        p.close(fd)
    await p.bind("#B", "/bin", 0)
    return p


async def test_what_a_command_serves_on_its_descriptor_0_can_be_mounted() -> None:
    p = await with_shell("d/", "d/f", "m/")
    assert await command(p, "mount", "{export /mnt/d}", "/mnt/m") == ("", "")
    assert await content(p, "/mnt/m/f") == "f"
    assert "mount '#|/data1' /mnt/m\n" in (await command(p, "ns"))[1]
    await command(p, "unmount", "/mnt/m")
    await quiet()
    assert list(p.system.procs) == [p.pid]
    await end(p)


async def test_one_command_serves_all_clients_of_styxlisten() -> None:
    a, b = await with_shell(), await world("m/", "n/")
    address = await served(a, "{memfs -s}")
    assert await command(b, "mount", "-Ac", address, "/mnt/m") == ("", "")
    assert await command(b, "mount", "-A", address, "/mnt/n") == ("", "")
    await make(b, "/mnt/m/shared")
    assert await content(b, "/mnt/n/shared") == "shared"
    await end(b, a)


async def test_styxlisten_ends_with_the_command_that_serves() -> None:
    p = await with_shell()
    await served(p, "{sleep 0.1}")
    [listener] = [q for q in p.system.procs.values() if q.args[:1] == ["styxlisten"]]
    async with asyncio.timeout(5):
        await listener.wait()
    await end(p)


async def test_listen_runs_a_command_for_each_caller_at_once() -> None:
    a, b = await with_shell(), await with_shell()
    address = f"tcp!127.0.0.1!{await free_port(a)}"
    assert await command(a, "listen", "-A", address, "{echo $net $user; cat}") == ("", "")
    others = f"tcp!127.0.0.1!{await free_port(a)}"
    assert await command(a, "listen", "-A", others, "echo", "it's") == ("", "")
    idle, writer = await asyncio.open_connection("127.0.0.1", int(address.rsplit("!", 1)[1]))
    for _ in range(2):
        assert await command(b, "dial", "-A", others, "{cat >[1=2]}") == ("", "it's\n")
    assert await idle.readline() == b"/net/tcp/0 eve\n"
    writer.write(b"echoed\n")
    assert await idle.readline() == b"echoed\n"
    writer.close()
    await writer.wait_closed()
    await end(b, a)


async def test_dial_and_listen_say_what_failed() -> None:
    p = await with_shell()
    assert (await command(p, "dial", "-A", "tcp!127.0.0.1!1", "cat"))[1] == (
        "dial: cannot dial tcp!127.0.0.1!1:: Connection refused (connect 127.0.0.1!1 )\n"
    )
    assert (await command(p, "listen", "-A", "foo!*!17", "cat"))[1] == (
        "listen: failed to announce on 'foo!*!17': '/net/foo' file does not exist\n"
    )
    await end(p)


async def test_export_says_what_failed_and_serves_a_file_that_is_a_connection() -> None:
    p = await with_shell("d/", "d/f")
    assert (await command(p, "export"))[1] == "Usage: export [-a] dir [connection]\n"
    assert (await command(p, "export", "/nosuch"))[1] == (
        "export: can't export: '/nosuch' file does not exist\n"
    )
    assert (await command(p, "export", "/mnt", "/nosuch"))[1] == (
        "export: can't open /nosuch: '/nosuch' file does not exist\n"
    )
    await make(p, "/mnt/p/")
    await make(p, "/mnt/m/")
    await p.bind("#|", "/mnt/p", 0)
    assert await command(p, "export", "-a", "/mnt/d", "/mnt/p/data") == ("", "")
    assert await command(p, "mount", "/mnt/p/data1", "/mnt/m") == ("", "")
    assert await content(p, "/mnt/m/f") == "f"
    await end(p)


async def test_a_host_that_dies_leaves_the_other_mounts_alone() -> None:
    a, c = await Host.start(await world("f")), await Host.start(await world("g"))
    b = await world("m/", "n/")
    await command(b, "mount", "-A", a.address, "/mnt/m")
    await command(b, "mount", "-A", c.address, "/mnt/n")
    await a.stop()
    assert await failure(b.readfile("/mnt/m/f")) == "'/mnt/m/f' i/o on hungup channel"
    assert await content(b, "/mnt/n/g") == "g"
    await end(b)
    await c.stop()


async def test_memfs_does_not_look_at_a_second_operand() -> None:
    p = await world("d/", "e/")
    assert await command(p, "memfs", "/mnt/d", "/mnt/e") == ("", "")
    await make(p, "/mnt/d/f")
    assert await listing(p, "/mnt/d") == ["f"]
