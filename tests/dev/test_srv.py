"""`#s`: open files, 9P servers and files of one's own making that are posted for others."""

from __future__ import annotations

from nsh.dev.srv import file2chan
from nsh.kern.chan import Chan
from nsh.kern.dev import File, Text
from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE, MREPL
from nsh.kern.proc import current
from nsh.p9.const import ORDWR, OWRITE
from tests.kern.world import content, failure, world
from tests.rc.shell import rc


class Echo(File):
    """What is written is read, in capitals."""

    text = b""

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self.text[offset : offset + count]

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        self.text = data.upper()
        return len(data)


async def test_a_file_of_ones_own_making_answers_for_as_long_as_its_server_runs() -> None:
    p = await world("chan/")
    await p.bind("#s", "/mnt/chan", MBEFORE)
    server = p.fork()
    await file2chan(p, "/mnt/chan", Echo("echo", 0o600), server)
    fd = await p.open("/mnt/chan/echo", ORDWR)
    await p.write(fd, b"hello")
    assert await p.pread(fd, 100, 0) == b"HELLO"
    assert (await p.stat("/mnt/chan/echo")).uid == "eve"
    server.exit()
    assert await failure(p.pread(fd, 100, 0)) == "i/o on hungup channel"
    assert await failure(p.write(fd, b"x")) == "i/o on hungup channel"
    assert await failure(p.stat("/mnt/chan/echo")) == "'/mnt/chan/echo' file does not exist"
    p.close(fd)


async def test_the_directory_must_begin_with_one_of_the_device() -> None:
    p = await world("d/")
    node = Text("f", lambda: "")
    assert await failure(file2chan(p, "/mnt/d", node)) == "directory not a srv device"
    await p.bind("#s", "/mnt/d", MAFTER)
    assert await failure(file2chan(p, "/mnt/d", node)) == "directory not a srv device"
    await p.bind("#s", "/mnt/d", MBEFORE)
    await file2chan(p, "/mnt/d", node)
    assert await failure(file2chan(p, "/mnt/d", Text("f", lambda: ""))) == "file already exists"


async def test_what_is_posted_is_its_owners() -> None:
    p = await world("f")
    await p.bind("#s", "/srv", MREPL | MCREATE)
    fd = await p.open("/mnt/f")
    post = await p.create("/srv/f", OWRITE, 0o600)
    await p.write(post, str(fd).encode())
    p.close(post)
    p.close(fd)
    other = p.fork()
    other.user = "other"
    current.set(other)
    assert await failure(other.open("/srv/f")) == "permission denied"
    assert await failure(other.remove("/srv/f")) == "permission denied"
    current.set(p)
    assert await content(p, "/srv/f") == "f"
    await p.remove("/srv/f")


POSTED = """
bind '#|' /n/p
memfs -s <>/n/p/data &
echo 0 >/srv/mem <>/n/p/data1
mount -cA /srv/mem /mnt
echo kept >/mnt/f
cat /mnt/f
"""


async def test_a_server_that_is_posted_can_be_mounted_by_its_name() -> None:
    assert await rc(POSTED) == ("kept\n", "", "")


async def test_the_files_of_a_posted_server_that_has_ended_are_dead() -> None:
    out, err, _ = await rc(POSTED + "kill memfs >/dev/null; cat /mnt/f; cat /mnt/f")
    assert out == "kept\n"
    assert "i/o on hungup channel" in err


async def test_a_command_is_a_server_to_mount() -> None:
    assert await rc("mount -cA '{memfs -s}' /mnt; echo kept >/mnt/f; cat /mnt/f") == ("kept\n", "", "")
