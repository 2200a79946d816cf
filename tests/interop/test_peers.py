"""plan9port and Inferno, where they are: their clients work on our exports, and ours on what they serve.

9pserve on the PATH means plan9port (what lies beside it is meant where a name is also ours), emu means a
hosted Inferno that finds its files by itself.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.export import TOP, exported

EXPORTS = pytest.mark.parametrize("kind", ["memory", "host"])
TEXT = "".join(f"line {i}\n" for i in range(20_000))
"""More than a message holds."""

WORK = """
mkdir {0}/d; cp /dev/stdin {0}/d/big; cat {0}/d/big | wc -c
echo one >{0}/f; echo two >>{0}/f; cat {0}/f
mv {0}/f {0}/g; ls {0} {0}/d; rm {0}/g; rm -r {0}/d; ls {0}; cat {0}/nosuch
"""


def run(*argv: str | Path, text: str = "", check: bool = True) -> str:
    """What a program prints; ``text``: what it finds on its standard input."""
    out = subprocess.PIPE
    done = subprocess.run(argv, input=text, stdout=out, stderr=subprocess.STDOUT, text=True, cwd=TOP)
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout


def nsh(command: str, text: str = "") -> str:
    return run(sys.executable, "-m", "nsh", "-c", command, text=text, check=False)


@contextmanager
def export(kind: str, tmp_path: Path) -> Iterator[int]:
    """An empty memfs, or an empty directory of the host."""
    with exported("#Rpeers" if kind == "memory" else f"#U{tmp_path}") as (port,):
        yield port


@contextmanager
def running(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server of theirs, which stays until it is killed."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until_it_answers(port: int) -> None:
    """Wait for a server to announce; the limit of the test is the limit here."""
    while True:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# --- plan9port ------------------------------------------------------------------------------------------


@EXPORTS
@pytest.mark.requires("9pserve")
def test_plan9ports_9p_on_ours(kind: str, tmp_path: Path) -> None:
    program = Path(shutil.which("9pserve") or "").with_name("9p")
    with export(kind, tmp_path) as port:

        def ninep(*words: str, text: str = "", check: bool = True) -> str:
            return run(program, "-na", f"tcp!127.0.0.1!{port}", *words, text=text, check=check)

        assert ninep("create", "f", "g") == ""
        assert ninep("write", "f", text=TEXT) == ""
        assert ninep("read", "f") == TEXT
        assert ninep("ls", "/") == "f\ng\n"
        assert ninep("stat", "f").startswith("'f' ")
        assert ninep("rm", "f") == ""
        assert "f: file does not exist" in ninep("read", "f", check=False)
        assert ninep("ls", "/") == "g\n"


@EXPORTS
@pytest.mark.requires("9pfuse", "fusermount3", "/dev/fuse")
def test_9pfuse_on_ours(kind: str, tmp_path: Path) -> None:
    point, files = tmp_path / "point", tmp_path / "files"
    point.mkdir()
    files.mkdir()
    with export(kind, files) as port:
        # it goes on in the background, with the descriptors that it was given
        subprocess.run(["9pfuse", f"tcp!127.0.0.1!{port}", point], check=True, stdout=subprocess.DEVNULL)
        try:
            found = run("sh", "-c", WORK.format(point), text=TEXT, check=False)
        finally:
            run("fusermount3", "-u", point)
    lines = found.splitlines()
    assert lines[:8] == [str(len(TEXT)), "one", "two", f"{point}:", "d", "g", "", f"{point}/d:"]
    assert lines[8] == "big" and lines[9].endswith("nosuch: No such file or directory") and len(lines) == 10


@pytest.mark.requires("9pserve")
def test_ours_on_plan9ports_ramfs() -> None:
    work = WORK.format("/n/ram").replace("cp /dev/stdin", "cat >")
    out = nsh(f"mount -cA 'exec!ramfs -i' /n/ram; {work}", TEXT)
    assert out.split()[:4] == [str(len(TEXT)), "one", "two", "/n/ram/d"]


# --- Inferno --------------------------------------------------------------------------------------------


NONE = "cat: cannot open nosuch: 'nosuch' file does not exist"
"""What cat says where nothing is left, theirs and ours."""


def inferno(command: str) -> str:
    """What Inferno's shell prints; its emu has no exit code to speak of."""
    return run("emu", "/dis/sh.dis", "-c", command, check=False)


@EXPORTS
@pytest.mark.requires("emu")
def test_inferno_on_ours(kind: str, tmp_path: Path) -> None:
    with export(kind, tmp_path) as port:
        out = inferno(
            f"mount -cA tcp!127.0.0.1!{port} /n/remote; cd /n/remote; mkdir d; cp /dis/ls.dis d; d/ls -d d;"
            "cmp /dis/ls.dis d/ls.dis; echo one >f; echo two >>f; cat f;"
            "mv f g; ls; rm -r g d; ls; cat nosuch"
        )
    assert out.splitlines() == ["d", "one", "two", "d", "g", NONE]


@pytest.mark.requires("emu")
def test_inferno_runs_commands_by_our_taskfs() -> None:
    with exported("#T") as (port,):
        out = inferno(
            f"mount -A tcp!127.0.0.1!{port} /n/remote; cd /n/remote/remote;"
            "{ echo res 2 >0/ctl; echo exec sh -c '''echo rank %r; cat; exit %r''' >0/ctl;"
            "echo input >0/stdin; cat 0/stdout 0/wait 0/status; ls 0/1; rm 0; ls 0 } <clone"
        )
    lines = out.splitlines()
    assert lines[:4] == ["rank 0", "input", "rank 1", "input"]
    assert [(line[0], line.split(" ", 6)[6]) for line in lines[4:6]] == [("0", "''"), ("1", "'exit: 1'")]
    assert [line.split()[2] for line in lines[6:8]] == ["Done", "Done"]
    files = "args ctl env ns status stderr stdin stdio stdout wait"
    assert lines[8:] == [*(f"0/1/{name}" for name in files.split()), "ls: 0: '0' file does not exist"]


@pytest.mark.requires("emu")
def test_inferno_runs_programs_by_our_cmd() -> None:
    """By its files: Inferno's os(1) kills what copies its output, too early, and hangs now and then."""
    with exported("#C") as (port,):
        out = inferno(
            f"mount -A tcp!127.0.0.1!{port} /n/remote; cd /n/remote/cmd;"
            "{ echo dir /usr >0/ctl; echo exec sh -c '''pwd; cat; echo oops >&2; exit 3''' >0/ctl;"
            "echo in >0/data; cat 0/data 0/stderr 0/wait; echo; cat 0/status } <clone;"
            "{ echo exec no-such-program >0/ctl } <clone"
        )
    lines = out.splitlines()
    assert lines[:3] == ["/usr", "in", "oops"] and lines[3].endswith(" 'exit: 3'")
    refusal = "echo: write error: exec failed: No such file or directory"
    assert lines[4:] == ["cmd/0 1 Done /usr sh", refusal]


@pytest.mark.requires("emu")
@pytest.mark.parametrize("tree", ["memfs /n/local", "bind -c '#U*{}' /n/local"])
def test_ours_on_infernos(tree: str, tmp_path: Path) -> None:
    port = free_port()
    script = f"{tree.format(tmp_path)}; styxlisten -A tcp!127.0.0.1!{port} export /n/local"
    with running("emu", "/dis/sh.dis", "-c", script):
        until_it_answers(port)
        out = nsh(
            f"mount -cA tcp!127.0.0.1!{port} /n/remote; cd /n/remote; mkdir d; cat >d/big; wc -c d/big;"
            "echo one >f; echo two >>f; cat f; mv f g; ls; rm -r g d; ls; cat nosuch",
            TEXT,
        )
    assert out.splitlines() == [f" {len(TEXT)} d/big", "one", "two", "d", "g", NONE]
