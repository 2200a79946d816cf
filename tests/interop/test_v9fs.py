"""The Linux kernel's own client on our exports: file work as in a host's directory, and the seed's session.

A mount needs a kernel that has the client and lets us use it, so a small virtual machine brings its own:
see v9fs.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.export import exported
from tests.taskfs.test_hosts import remote
from tests.taskfs.world import SESSION_FILES

HERE = Path(__file__).parent
WORK = (HERE / "work.sh").read_text()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

pytestmark = [
    pytest.mark.limit(100),
    # the last is what `v9fs --setup` fetches
    pytest.mark.requires("qemu-system-x86_64", "busybox", "cpio", str(CACHE / "v9fs/kernel/vmlinuz")),
]


async def guest(tmp_path: Path, port: int, options: str, script: str) -> str:
    """What ``script`` prints in a guest that has mounted our ``port`` on /mnt, its working directory."""
    file = tmp_path / "guest.sh"
    file.write_text(script)
    process = await asyncio.create_subprocess_exec(
        HERE / "v9fs", str(port), file, f"version=9p2000,uname=root,{options}",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"V9FS_SECONDS": "90"},
    )  # fmt: skip
    out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, text
    return text.removeprefix("== mounted\n").removesuffix("== unmounted\n")


def on_the_host(directory: Path) -> str:
    """What the file work prints in a directory of this machine, with the same programs."""
    programs = directory.with_name("bin")
    programs.mkdir()
    subprocess.run(["busybox", "--install", "-s", programs], check=True)
    directory.mkdir()
    done = subprocess.run(
        [programs / "sh", "-c", f"umask 22\n{WORK}", "work"],
        cwd=directory, env={"PATH": str(programs)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
    )  # fmt: skip
    return done.stdout.decode()


def held(directory: Path) -> dict[str, tuple[int, bytes]]:
    """The modes and contents of all files below ``directory``."""
    return {
        str(path.relative_to(directory)): (path.stat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in directory.rglob("*")
    }


def in_its_words(text: str) -> str:
    """What the host printed, as the guest prints it: its kernel has no number for these words of memfs."""
    return text.replace("Directory not empty", "Unknown error 526")


def works(ports: list[int], options: list[str]) -> str:
    """A script that does the file work on each port in turn, with a line between."""
    each = "".join(
        f"mount -t 9p -o trans=tcp,version=9p2000,uname=root,port={port},{option} 10.0.2.2 /tmp || exit\n"
        f"(cd /tmp && sh -c \"$(cat /work)\" work)\numount /tmp\necho '== done'\n"
        for port, option in zip(ports, options, strict=True)
    )
    return f"cat >/work <<'END OF WORK'\numask 22\n{WORK}END OF WORK\ncd /\n{each}"


async def test_file_work_in_memory(tmp_path: Path) -> None:
    options = ["cache=none,msize=65536", "cache=loose,msize=1048576"]
    with exported("#Rfirst", "#Rsecond") as ports:
        out = await guest(tmp_path, ports[0], options[0], works(ports, options))
    expected = in_its_words(on_the_host(tmp_path / "reference"))
    assert out.split("== done\n") == [expected, expected, ""]


async def test_file_work_in_a_directory_of_the_host(tmp_path: Path) -> None:
    options = ["cache=none,msize=65536", "cache=mmap,msize=131072"]
    directories = [tmp_path / "first", tmp_path / "second"]
    for directory in directories:
        directory.mkdir()
        directory.chmod(0o755)
    with exported(*(f"#U{directory}" for directory in directories)) as ports:
        out = await guest(tmp_path, ports[0], options[0], works(ports, options))
    reference = tmp_path / "reference"
    expected = on_the_host(reference)
    assert out.split("== done\n") == [expected, expected, ""]
    assert [held(directory) for directory in directories] == [held(reference)] * 2


SESSION = """
cd remote; cat clone; echo; cd 0; ls -1
echo '== res'; echo res 4 >ctl; ls -1 -d [0-9]; ls -1 3; cat status
echo '== exec'; echo exec hostname >ctl; cat stdio; cat stderr; cat status
echo '== one'; cd 3; cat status
"""


async def test_the_session_of_the_seed(tmp_path: Path) -> None:
    """cat clone, echo res 4, echo exec hostname, cat stdio: on four resources of three hosts."""
    places = [tmp_path / name for name in ("host1", "host2", "host3", "front")]
    async with AsyncExitStack() as stack:
        mounts: list[str] = []
        for place in places:
            place.mkdir()
            host = await stack.enter_async_context(remote(place, *mounts if place == places[-1] else ()))
            mounts.append(f"{place.name}={host.port}")
        out = await guest(tmp_path, host.port, "cache=none", SESSION)
    begun, after_res, after_exec, one = re.split("== .*\n", out)
    assert begun.split() == ["0", *SESSION_FILES]
    lines = after_res.splitlines()
    assert lines[: 4 + len(SESSION_FILES)] == ["0", "1", "2", "3", *SESSION_FILES]
    status = [re.fullmatch(r"cmd/\d+ 1 Closed (\S+) ''", line) for line in lines[4 + len(SESSION_FILES) :]]
    used = [match[1] for match in status if match]
    assert len(used) == len(status) == 4 and set(used) == set(map(str, places[:3]))
    lines = after_exec.splitlines()
    assert lines[:4] == [socket.gethostname()] * 4
    done = [re.fullmatch(r"cmd/\d+ 5 Done (\S+) hostname", line) for line in lines[4:]]
    assert [match[1] for match in done if match] == used
    assert one == lines[-1] + "\n"
