"""fd! and exec!: connections that are there already, or are a program that is started."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nsh.kern.proc import Proc
from nsh.net import handed
from nsh.rc.var import quoted
from tests.kern.world import content, failure, listing, make, world
from tests.net.peers import command, quiet


async def end(*procs: Proc) -> None:
    for p in procs:
        p.exit()
        await quiet()


async def test_a_socket_that_was_inherited_is_mounted_and_exported() -> None:
    a, b = await world("f"), await world("m/")
    here, there = socket.socketpair()
    with here, there:
        for end_ in (here, there):
            os.set_inheritable(end_.fileno(), True)
        assert await command(a, "export", "-a", "/mnt", f"fd!{here.fileno()}") == ("", "")
        assert await command(b, "mount", "-c", f"fd!{there.fileno()}", "/mnt/m") == ("", "")
    assert await content(b, "/mnt/m/f") == "f"
    await make(b, "/mnt/m/g")
    assert await listing(a, "/mnt") == ["g", "f"]
    await end(b, a)


async def test_two_pipes_are_one_connection() -> None:
    a, b = await world("f"), await world("m/")
    to_a, from_b = os.pipe()
    to_b, from_a = os.pipe()
    for fd in (to_a, from_b, to_b, from_a):
        os.set_inheritable(fd, True)
    assert await command(a, "export", "-a", "/mnt", f"fd!{to_a}!{from_a}") == ("", "")
    assert await command(b, "mount", f"fd!{to_b}!{from_b}", "/mnt/m") == ("", "")
    for fd in (to_a, from_b, to_b, from_a):
        os.close(fd)
    large = "x" * 300_000
    await make(a, "/mnt/large", large)
    assert await content(b, "/mnt/m/large") == large
    await end(a)
    assert "hungup channel" in await failure(b.readfile("/mnt/m/f"))
    await end(b)


async def test_styxlisten_serves_one_handed_connection_and_ends() -> None:
    a, b = await world("f"), await world("m/")
    here, there = socket.socketpair()
    with here, there:
        for end_ in (here, there):
            os.set_inheritable(end_.fileno(), True)
        status, said = await command(a, "styxlisten", f"fd!{here.fileno()}", "export", "/mnt")
        assert "no key to authenticate clients with" in said
        assert status == "error"
        assert await command(a, "styxlisten", "-A", f"fd!{here.fileno()}", "export", "/mnt") == ("", "")
        assert await command(b, "mount", f"fd!{there.fileno()}", "/mnt/m") == ("", "")
    assert "styxlisten" in (await command(a, "ps"))[1]
    assert await content(b, "/mnt/m/f") == "f"
    assert await command(b, "unmount", "/mnt/m") == ("", "")
    await end(b)
    await quiet()
    assert "styxlisten" not in (await command(a, "ps"))[1]
    await end(a)


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("fd!x", "bad network address"),
        ("fd!1!2!3", "bad network address"),
        ("fd!99999", "fd out of range or not open"),
        ("fd!99999999999999999999", "fd out of range or not open"),
    ],
)
async def test_what_is_no_open_descriptor_is_refused(where: str, why: str) -> None:
    p = await world("m/")
    status, said = await command(p, "mount", where, "/mnt/m")
    assert (status, said) == ("dial failed", f"mount: can't dial {where}: {why}\n")
    await end(p)


async def test_a_descriptor_that_is_ours_alone_is_not_handed_out() -> None:
    p = await world("m/")
    here, there = socket.socketpair()
    with here, there:
        assert "not open" in (await command(p, "mount", f"fd!{here.fileno()}", "/mnt/m"))[1]
    await end(p)


async def refused(fd: int) -> None:
    p = await world("m/")
    os.set_inheritable(fd, True)
    assert "inappropriate use of fd" in (await command(p, "mount", f"fd!{fd}", "/mnt/m"))[1]
    await end(p)


@pytest.mark.parametrize("name", ["f", "/", "/dev/null", "/dev/zero"])
async def test_what_cannot_be_waited_for_is_no_connection(tmp_path: Path, name: str) -> None:
    (tmp_path / "f").touch()
    fd = os.open(tmp_path / name, os.O_RDONLY)
    await refused(fd)
    os.close(fd)


async def test_one_end_of_a_pipe_is_no_connection() -> None:
    for fd in os.pipe():
        await refused(fd)
        os.close(fd)


async def test_a_program_whose_connection_is_gone_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given the time to end by itself; this one does not listen."""
    monkeypatch.setattr(handed, "GRACE", 0.05)
    p = await world("m/")
    running: list[Proc] = []

    async def deaf(program: Proc, text: str) -> str:
        running.append(program)
        await asyncio.sleep(100)
        return ""

    p.system.shell = deaf
    mounting = asyncio.create_task(command(p, "mount", "exec!deaf", "/mnt/m"))
    await quiet()
    for child in list(p.children):
        child.kill()
    assert (await mounting)[0] == "killed"
    assert await running[0].wait() == "killed"
    await end(p)


def test_a_program_is_a_server_and_a_client() -> None:
    """A host program, a whole nsh of its own, speaks on its standard input and output."""
    nsh = f"exec!{sys.executable} -P -m nsh -c"
    there = quoted(nsh + " " + quoted("memfs /n/x; echo there >/n/x/f; export /n/x fd!0!1"))
    client = quoted(nsh + " " + quoted("mount fd!0!1 /n/x; cat /n/x/f >[1=2]"))
    script = f"""
        mount {there} /n/m
        cat /n/m/f
        memfs /n/y
        echo here >/n/y/f
        export /n/y {client}
        styxlisten -As {client} export /n/y
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "nsh", "-c", script], capture_output=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"there\n", b"here\nhere\n", 0)


async def test_without_a_shell_no_program_is_started() -> None:
    p = await world("m/")
    assert "no shell to run a command" in (await command(p, "mount", "exec!cat", "/mnt/m"))[1]
    await end(p)


def test_pipes_of_a_parent_serve_as_standard_input_and_output(tmp_path: Path) -> None:
    """As under sshd or inetd: nothing but descriptors 0 and 1, which are two pipes."""
    nsh = [sys.executable, "-P", "-m", "nsh", "-c"]
    (tmp_path / "f").write_text("f")
    server = subprocess.Popen(
        [*nsh, f"export {tmp_path} fd!0!1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None and server.stdout is not None
    client = subprocess.run(
        [*nsh, "mount fd!0!1 /n/x; cat /n/x/f >[1=2]"],
        stdin=server.stdout,
        stdout=server.stdin,
        stderr=subprocess.PIPE,
        timeout=20,
        check=True,
    )
    assert client.stderr == b"f"
    server.stdin.close()
    server.stdout.close()
    assert server.wait(timeout=20) == 0
