"""The small devices: root, cons, env, dup, pipe, srv, mntgen."""

from __future__ import annotations

import asyncio
import gc

import pytest

from nsh.boot import boot
from nsh.dev.pipe import QUEUE
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import RFENVG, RFFDG, Proc, current
from nsh.kern.recipe import recipe
from nsh.p9.const import DMDIR, ORDWR, OREAD, OTRUNC, OWRITE
from nsh.p9.stat import Dir
from tests.kern.world import content, failure, listing, make, world


async def test_root_has_places_to_bind_onto_and_nothing_can_be_created() -> None:
    p = await world()
    assert {"bin", "dev", "n", "remote", "task"} <= set(await listing(p, "/"))
    assert await failure(make(p, "/x")) == "permission denied"


async def test_cons_tells_about_the_system() -> None:
    p = await world()
    await p.bind("#c", "/dev", MREPL)
    assert await content(p, "/dev/user") == "eve"
    assert int(await content(p, "/dev/time")) > 1_600_000_000_000_000
    assert "#c cons\n" in await content(p, "/dev/drivers")
    assert await content(p, "/dev/null") == ""
    await p.writefile("/dev/null", b"gone")
    fd = await p.open("/dev/random")
    assert len(await p.read(fd, 100)) == 100
    p.close(fd)
    assert await failure(p.open("/dev/user", OWRITE)) == "permission denied"


async def test_the_standard_files_are_those_of_whoever_opens_them() -> None:
    p = await world("f", "out")
    await p.bind("#c", "/dev", MREPL)
    p.fgrp.put(0, p.fgrp.get(await p.open("/mnt/f")).incref())
    p.fgrp.put(2, p.fgrp.get(await p.open("/mnt/out", OWRITE)).incref())
    assert await content(p, "/dev/stdin") == "f"
    await p.writefile("/dev/stderr", b"told")
    assert await content(p, "/mnt/out") == "told"
    assert await failure(p.open("/dev/stdin", OWRITE)) == "inappropriate use of fd"


async def test_a_fresh_name_space_has_the_hosts_devices_behind_ours() -> None:
    p = await boot()
    current.set(p)
    assert {"full", "tty", "stderr", "sysname"} <= set(await listing(p, "/dev"))
    assert (await p.stat("/dev/null")).type == ord("c")
    assert (await p.stat("/dev/full")).type == ord("U")
    assert {"bind '#c' /dev", "bind -a '#U/dev' /dev"} <= set(recipe(p))
    p.exit()


async def test_a_variable_is_no_directory_and_nothing_of_it_can_be_changed() -> None:
    p = await world()
    await p.bind("#e", "/env", MREPL | MCREATE)
    await make(p, "/env/x", "one")
    assert await failure(make(p, "/env/d/")) == "permission denied"
    for change in (Dir.dont_touch(mtime=1), Dir.dont_touch(mode=0o600), Dir.dont_touch(name="y")):
        assert await failure(p.wstat("/env/x", change)) == "permission denied"


@pytest.mark.parametrize("device", ["#|", "#s"])
async def test_pipes_and_posted_files_have_a_name_and_a_mode_and_are_touched_in_vain(device: str) -> None:
    p = await world("d/")
    await p.bind(device, "/mnt/d", MREPL | MCREATE)
    if device == "#s":
        for name in ("data", "data1"):
            p.close(await p.create(f"/mnt/d/{name}", OWRITE, 0o666))
    await p.wstat("/mnt/d/data", Dir.dont_touch(mtime=1, atime=1))
    assert await failure(p.wstat("/mnt/d/data", Dir.dont_touch(name="data1"))) == "file already exists"
    await p.wstat("/mnt/d/data", Dir.dont_touch(name="x", mode=0o600))
    assert await listing(p, "/mnt/d") == ["x", "data1"]
    assert (await p.stat("/mnt/d/x")).mode == 0o600
    for refused in (Dir.dont_touch(length=1), Dir.dont_touch(gid="g"), Dir.dont_touch(mode=DMDIR)):
        assert await failure(p.wstat("/mnt/d/x", refused)) == "permission denied"
    assert await failure(p.wstat("/mnt/d", Dir.dont_touch(mode=0o777))) == "permission denied"
    p.user = "glenda"
    assert await failure(p.wstat("/mnt/d/data1", Dir.dont_touch(mode=0o666))) == "permission denied"


async def test_env_shows_the_variables_of_whoever_looks() -> None:
    p = await world()
    await p.bind("#e", "/env", MREPL | MCREATE)
    await make(p, "/env/x", "one")
    child = p.fork(RFENVG)
    child.egrp.set("x", b"two")

    async def look(process: Proc) -> None:
        assert await content(process, "/env/x") == "two"

    await child.start(look)
    assert await content(p, "/env/x") == "one"
    assert await listing(p, "/env") == ["x"]
    await p.writefile("/env/x", b"replaced", OWRITE | OTRUNC)
    assert p.egrp.get("x") == b"replaced"
    await p.remove("/env/x")
    assert await failure(p.stat("/env/x")) == "'/env/x' file does not exist"


async def test_fd_gives_the_open_file_itself() -> None:
    p = await world("f")
    fd = await p.open("/mnt/f")
    assert await p.read(fd, 1) == b"f"
    again = await p.open(f"#d/{fd}")
    assert p.fgrp.get(again) is p.fgrp.get(fd)
    assert await failure(p.open(f"#d/{fd}", OWRITE)) == "inappropriate use of fd"
    assert (await content(p, f"#d/{fd}ctl")).split()[:2] == [str(fd), "r"]
    p.close(again)
    p.close(fd)
    assert await failure(p.stat(f"#d/{fd}")) == f"'#d/{fd}' file does not exist"


async def test_a_pipe_keeps_writes_apart_and_ends_when_the_other_end_is_closed() -> None:
    p = await world()
    one, other = await p.pipe()
    await p.write(one, b"first")
    await p.write(one, b"second")
    assert await p.read(other, 100) == b"first"
    assert await p.read(other, 3) == b"sec"
    assert await p.read(other, 100) == b"ond"
    await p.write(other, b"back")
    p.close(other)
    assert await p.read(one, 100) == b"back"
    assert await p.read(one, 100) == b""
    assert await failure(p.write(one, b"x")) == "write on closed pipe"
    p.close(one)


async def test_a_writer_waits_for_a_slow_reader_and_nothing_is_lost() -> None:
    p = await world()
    one, other = await p.pipe()
    data = bytes(range(256)) * 1024 * 4
    blocks = [data[i : i + 5000] for i in range(0, len(data), 5000)]

    async def fill(child: Proc) -> None:
        child.close(other)
        for block in blocks:
            await child.write(one, block)
            assert (await child.fstat(one)).length == 0

    child = p.fork(RFFDG)
    task = child.start(fill)
    p.close(one)
    got = []
    while block := await p.read(other, 3000):
        assert (await p.fstat(other)).length <= QUEUE + 5000
        got.append(block)
        await asyncio.sleep(0)
    assert b"".join(got) == data
    assert await task == ""
    p.close(other)


async def test_a_cancelled_reader_leaves_its_turn_to_the_next() -> None:
    p = await world()
    one, other = await p.pipe()
    first, second = (asyncio.create_task(p.read(other, 10)) for _ in range(2))
    await asyncio.sleep(0)
    await p.write(one, b"x")
    first.cancel()
    assert await second == b"x"
    with pytest.raises(asyncio.CancelledError):
        await first
    p.close(one)
    p.close(other)


async def test_each_attach_of_the_pipe_device_is_a_new_pipe_and_a_bind_keeps_it() -> None:
    p = await world("a/", "b/", "c/")
    await p.bind("#|", "/mnt/a", MREPL)
    await p.bind("/mnt/a", "/mnt/b", MREPL)
    await p.bind("#|", "/mnt/c", MREPL)
    here, there, other = [await p.open(n, ORDWR) for n in ("/mnt/a/data", "/mnt/b/data1", "/mnt/c/data1")]
    await p.write(here, b"x")
    assert await p.read(there) == b"x"
    assert (await p.fstat(other)).length == 0
    for fd in (here, there, other):
        p.close(fd)


async def test_srv_gives_whoever_opens_a_name_the_posted_file() -> None:
    p = await world("f")
    await p.bind("#s", "/srv", MREPL | MCREATE)
    fd = await p.open("/mnt/f")
    post = await p.create("/srv/f", OWRITE, 0o600)
    assert await failure(p.write(post, b"x")) == "bad arg in system call"
    await p.write(post, str(fd).encode())
    p.close(post)
    p.close(fd)
    assert await content(p, "/srv/f") == "f"
    await p.remove("/srv/f")
    assert await listing(p, "/srv") == []


async def test_srv_directories_are_private_unless_they_are_named() -> None:
    p = await world()
    p.close(await p.create("#sboard/x", OWRITE, 0o600))
    assert await listing(p, "#sboard") == ["x"]
    assert await listing(p, "#s") == []
    await p.remove("#sboard/x")


async def test_mntgen_makes_places_when_they_are_named_and_forgets_them() -> None:
    p = await world("a/", "a/fa")
    await p.bind("#m", "/n", MREPL)
    assert await listing(p, "/n") == []
    assert (await p.stat("/n/foo")).name == "foo"
    assert await listing(p, "/n/foo") == []
    gc.collect()
    assert await listing(p, "/n") == []
    await p.bind("/mnt/a", "/n/bar", MREPL)
    assert await listing(p, "/n") == ["bar"]
    assert await listing(p, "/n/bar") == ["fa"]
    await p.unmount(None, "/n/bar")
    gc.collect()
    assert await listing(p, "/n") == []
    assert await failure(p.remove("/n/x")) == "permission denied"


async def test_the_environment_of_descriptors_is_that_of_the_reader() -> None:
    p = await world("f")
    fd = await p.open("/mnt/f", OREAD)
    child = p.fork(RFFDG)
    child.close(fd)

    async def look(process: Proc) -> str:
        return await failure(process.stat(f"#d/{fd}"))

    assert "file does not exist" in await child.start(look)
    p.close(fd)
