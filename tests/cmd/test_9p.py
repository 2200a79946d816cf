"""9p: the same arguments, output and complaints as plan9port's command, in the shell and as a program."""

from __future__ import annotations

import asyncio
import getpass
import os
import pathlib
import shutil
import sys

import pytest

from nsh.cmd.ninep import USAGE
from nsh.kern.proc import Proc
from nsh.p9.const import DMDIR, MAXMSIZE
from nsh.p9.stat import Dir
from tests.cmd.session import Result, session
from tests.kern.world import content, listing, make, world
from tests.net.peers import Host

OURS = (sys.executable, "-m", "nsh", "9p")


async def program(*argv: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[str, str, int]:
    """Run a program of the host; what it writes to 1 and 2, and its exit code."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | (env or {}),
    )
    out, err = await child.communicate(stdin)
    assert child.returncode is not None
    return out.decode(errors="surrogateescape"), err.decode(), child.returncode


async def peer(*args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[str, str]:
    """What plan9port's 9p says, which lies beside its 9pserve: one called 9p may be ours."""
    serve = shutil.which("9pserve")
    assert serve is not None
    name = str(pathlib.Path(serve).with_name("9p"))
    out, err, _ = await program(name, *args, stdin=stdin, env=env)
    return out, err.replace(f"{name}: ", "9p: ")


async def files() -> Proc:
    """A world with something of everything in it."""
    p = await world("f", "d/", "d/g", "empty/", "it 's", "ünï", "a=b", "locked", "big")
    for i, name in enumerate(await listing(p, "/mnt")):
        await p.wstat(f"/mnt/{name}", Dir.dont_touch(mtime=1_000_000_000 + i))
    await p.wstat("/mnt/locked", Dir.dont_touch(mode=0o000))
    await p.wstat("/mnt/empty", Dir.dont_touch(mode=DMDIR | 0o700))
    await p.writefile("/mnt/big", bytes(range(256)) * 400)
    await p.wstat("/mnt/big", Dir.dont_touch(mtime=1_200_000_000))
    return p


# --- beside plan9port's --------------------------------------------------------------------------------


@pytest.mark.requires("9pserve")
@pytest.mark.parametrize(
    "words",
    [
        "ls",
        "ls /",
        "ls -l",
        "ls -n",
        "ls -d d",
        "ls -ld d",
        "ls f a=b",  # of several, theirs does not get past one that is a directory
        "ls -l f",
        "ls nosuch f",
        "read locked",
        "ls d/nosuch/x",
        "read f",
        "read /d/../d/./g",
        "read d",
        "read nosuch",
        "read d/nosuch",
        "read f/x",
        "stat f",
        "stat d",
        "stat nosuch",
        "write nosuch",
        "write d",
        "rdwr nosuch",
        "rm nosuch",
        "rm d/nosuch f/x",
        "create f",
        "create nosuch/x",
        "-A nosuch read f",
    ],
)
async def test_it_says_what_plan9ports_says(words: str) -> None:
    host = await Host.start(await files())
    s = await session()
    result = await s.run("9p", "-na", host.address, *words.split())
    assert (result.out, result.err) == await peer("-na", host.address, *words.split())
    await host.stop()


@pytest.mark.requires("9pserve")
@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        ("write f", b"one\ntwo"),
        ("write f", b""),
        ("write -l f", b"one\ntwo\n\nthree"),
        ("write big", b"x" * 100_000),
        ("rdwr f", b"one\ntwo\n"),
        ("rdwr f", b"one"),
        ("rdwr f", b""),
        ("create new d/new", b""),
        ("rm f d/g empty", b""),
    ],
)
async def test_it_does_what_plan9ports_does(words: str, stdin: bytes) -> None:
    hosts = [await Host.start(await files()) for _ in range(2)]
    s = await session()
    result = await s.run("9p", "-a", hosts[0].address, *words.split(), stdin=stdin)
    assert (result.out, result.err) == await peer("-a", hosts[1].address, *words.split(), stdin=stdin)
    assert await _held(hosts[0].p) == await _held(hosts[1].p)
    for host in hosts:
        await host.stop()


async def _held(p: Proc) -> dict[str, bytes | list[str]]:
    """What is in the files and directories of /mnt."""
    held: dict[str, bytes | list[str]] = {}
    for d in await p.readdir("/mnt"):
        name = f"/mnt/{d.name}"
        if d.mode & 0o400:
            held[name] = await listing(p, name) if d.isdir else await p.readfile(name)
    return held


@pytest.mark.requires("9pserve")
async def test_a_service_is_a_socket_in_the_directory_of_services(tmp_path: pathlib.Path) -> None:
    host = await Host.start(await files(), address=f"unix!{tmp_path}/ram")
    s = await session()
    s.p.egrp.set("NAMESPACE", str(tmp_path).encode())
    env = {"NAMESPACE": str(tmp_path)}
    for words in (["read", "ram/f"], ["ls", "ram"], ["ls", "ram/f"]):
        result = await s.run("9p", *words)
        assert (result.out, result.err) == await peer(*words, env=env)
    await host.stop()


@pytest.mark.requires("9pserve")
async def test_the_trace_is_worded_as_plan9ports() -> None:
    host = await Host.start(await files())
    s = await session()
    ours = (await s.run("9p", "-Da", host.address, "stat", "d/g")).err
    theirs = (await peer("-nDa", host.address, "stat", "d/g"))[1].replace(getpass.getuser(), "eve")
    # it numbers tags from 0, prints one that Tversion does not have, and asks for messages of 8192 bytes
    agreed = theirs.replace("tag 0 ", "tag 1 ").replace("Tversion tag 1", "Tversion tag 65535")
    agreed = agreed.replace("Rclunk tag 0", "Rclunk tag 1").replace("msize 8192", f"msize {MAXMSIZE}")
    assert _times_cut(ours) == _times_cut(agreed)
    await host.stop()


def _times_cut(trace: str) -> list[str]:
    return [line.partition(" at ")[0] for line in trace.splitlines()]


# --- what is ours ---------------------------------------------------------------------------------------


async def test_the_address_may_stand_in_front_of_the_path() -> None:
    host = await Host.start(await files())
    s = await session()
    assert await s.out("9p", "read", host.address, "f") == "f"
    assert await s.out("9p", "ls", host.address, "d") == "g\n"
    assert (await s.out("9p", "ls", host.address)).startswith("a=b\nbig\nd\n")
    assert await s.out("9p", "write", host.address, "f", stdin=b"hi") == ""
    assert await content(host.p, "/mnt/f") == "hi"
    assert (await s.out("9p", "stat", host.address, "f")).startswith("'f' 'eve' ")
    await host.stop()


async def test_an_address_may_lack_its_network_or_be_the_file_of_a_socket(tmp_path: pathlib.Path) -> None:
    s = await session()
    host = await Host.start(await files())
    assert await s.out("9p", "-a", f"127.0.0.1:{host.port}", "read", "f") == "f"
    await host.stop()
    host = await Host.start(await files(), address=f"unix!{tmp_path}/sock")
    assert await s.out("9p", "-a", f"{tmp_path}/sock", "read", "f") == "f"
    assert await s.out("9p", "read", f"unix!{tmp_path}/sock", "f") == "f"
    await host.stop()


@pytest.mark.parametrize(
    "words", ["", "frob f", "read", "read f g", "-x read f", "read -l f", "rm", "ls -x", "read tcp!h!1"]
)
async def test_its_usage(words: str) -> None:
    s = await session()
    s.p.egrp.set("NAMESPACE", b"/nosuch")
    assert await s.run("9p", *words.split()) == Result("", f"usage: 9p {USAGE}\n", "usage")


async def test_what_fails_is_in_the_status_though_the_rest_is_done() -> None:
    host = await Host.start(await files())
    s = await session()
    at = ("-a", host.address)
    assert await s.run("9p", *at, "rm", "nosuch", "f") == Result(
        "", "remove nosuch: file does not exist\n", "errors"
    )
    assert "f" not in await listing(host.p, "/mnt")
    assert (await s.run("9p", *at, "create", "d", "new")).status == "errors"
    assert "new" in await listing(host.p, "/mnt")
    assert (await s.run("9p", *at, "ls", "nosuch", "d")).status == "errors"
    assert (await s.run("9p", *at, "read", "nosuch")).status == "fsopen nosuch: file does not exist"
    await host.stop()


async def test_without_a_place_for_services_that_is_said() -> None:
    s = await session()
    result = await s.run("9p", "read", "ram/f")
    assert result.err == "9p: mount: no name space: neither $NAMESPACE nor $DISPLAY is set\n"


async def test_the_display_names_the_place_for_services() -> None:
    s = await session()
    s.p.egrp.set("DISPLAY", b"/tmp/launch:3.0")
    result = await s.run("9p", "read", "ram/f")
    place = f"/tmp/ns.{s.p.user}._tmp_launch:3/ram"
    assert result.err == f"9p: mount: dial unix!{place}: file does not exist\n"


async def test_each_read_of_the_input_is_one_write_and_no_input_is_an_empty_one() -> None:
    host = await Host.start(await files())
    s = await session()
    assert _writes(await s.run("9p", "-Da", host.address, "write", "f", stdin=b"a\nb\n")) == ["4 '610a620a'"]
    assert _writes(await s.run("9p", "-Da", host.address, "write", "f")) == ["0 ''"]
    lines = await s.run("9p", "-Da", host.address, "write", "-l", "f", stdin=b"a\n\nb")
    assert _writes(lines) == ["2 '610a'", "1 '0a'", "1 'b'"]
    await host.stop()


def _writes(result: Result) -> list[str]:
    return [line.partition(" count ")[2] for line in result.err.splitlines() if " Twrite " in line]


async def test_a_line_that_is_refused_is_not_the_last() -> None:
    p = await world("f")
    await p.bind("#e", "/mnt", 0)
    host = await Host.start(p, "#p")
    s = await session()
    words = ("-a", host.address, "write", "-l", f"{p.pid}/ctl")
    result = await s.run("9p", *words, stdin=b"frob\n\nfrob\n")
    assert result.err.count("write: ") == len(result.err.splitlines()) >= 2
    assert result.status == "errors"
    await host.stop()


async def test_nothing_is_left_behind() -> None:
    host = await Host.start(await files())
    s = await session()
    before = len(s.p.system.procs)
    await s.out("9p", "-a", host.address, "read", "f")
    await s.run("9p", "-Da", host.address, "read", "nosuch")
    for _ in range(20):
        await asyncio.sleep(0.002)
    assert len(s.p.system.procs) == before
    assert [server.proc.status for server in host.servers] == ["", ""]
    await host.stop()


# --- as a program ---------------------------------------------------------------------------------------


async def test_it_is_a_program_of_the_host_too() -> None:
    host = await Host.start(await files())
    assert await program(*OURS, "write", host.address, "f", stdin=b"from outside") == ("", "", 0)
    assert await program(*OURS, "-a", host.address, "read", "f") == ("from outside", "", 0)
    out, err, code = await program(*OURS, "read", host.address, "nosuch")
    assert (out, err, code) == ("", "9p: fsopen nosuch: file does not exist\n", 1)
    assert (await program(*OURS))[1:] == (f"usage: 9p {USAGE}\n", 1)
    await host.stop()


async def test_a_reader_that_has_enough_ends_it_without_a_word() -> None:
    host = await Host.start(await files())
    line = " ".join([*OURS, "read", host.address.replace("!", "\\!"), "big | head -c 3 | od -An -tx1"])
    assert await program("sh", "-c", line.replace("\\!", "!")) == (" 00 01 02\n", "", 0)
    await host.stop()


async def test_it_starts_without_a_shell() -> None:
    text = (
        "import sys; from nsh.tool import run; run('9p', ['read', 'tcp!127.0.0.1!1', 'f']);"
        "print(*sorted({'lark', 'prompt_toolkit', 'nsh.rc', 'importlib.metadata'} & set(sys.modules)))"
    )
    out, err, _ = await program(sys.executable, "-c", text)
    assert (out, err) == ("\n", "9p: dial: Connection refused\n")


async def test_it_can_be_interrupted_while_a_read_waits() -> None:
    host = await Host.start(await world(), "#|")
    child = await asyncio.create_subprocess_exec(
        *OURS, "-D", "read", host.address, "data", stderr=asyncio.subprocess.PIPE
    )
    assert child.stderr is not None
    await child.stderr.readuntil(b"Tread")
    child.send_signal(2)
    assert (await child.wait(), b"Traceback" in await child.stderr.read()) == (130, False)
    await host.stop()


async def test_a_path_with_a_bang_in_it_is_no_address(tmp_path: pathlib.Path) -> None:
    """A ! behind the first slash belongs to the name of the file."""
    p = await world("what!")
    host = await Host.start(p, address=f"unix!{tmp_path}/ram")
    s = await session()
    s.p.egrp.set("NAMESPACE", str(tmp_path).encode())
    assert await s.out("9p", "read", "ram/what!") == "what!"
    await make(p, "/mnt/other")
    assert await s.out("9p", "ls", "ram", "ram/other") == "other\nwhat!\nother\n"
    await host.stop()
