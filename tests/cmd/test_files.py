"""cp, mv, rm, mkdir, touch: the commands that change the tree. Messages are compared to the letter."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from nsh.kern.mnt import MAFTER, MCREATE, MREPL
from nsh.p9.const import DMDIR
from nsh.p9.stat import Dir
from tests.cmd.session import Result, session
from tests.kern.world import content, listing, world
from tests.net.peers import Host, command

# --- mkdir, touch ------------------------------------------------------------------------------


async def test_mkdir_makes_directories_and_says_what_is_in_the_way() -> None:
    s = await session("f")
    assert await s.out("mkdir") == ""
    await s.out("mkdir", "a", "/mnt/b")
    assert (await s.run("mkdir", "a", "c", "f/g")) == Result(
        "", "mkdir: a already exists\nmkdir: can't create f/g: not a directory\n", "error"
    )
    assert sorted(await listing(s.p, "/mnt")) == ["a", "b", "c", "f"]


async def test_mkdir_p_makes_what_is_missing() -> None:
    s = await session("f")
    await s.out("mkdir", "-p", "a/b/c", "/mnt/a/b", "/mnt/x//y/")
    assert await listing(s.p, "/mnt/a/b") == ["c"]
    assert await listing(s.p, "/mnt/x") == ["y"]
    assert (await s.run("mkdir", "-p", "f/g")).err == "mkdir: can't create f/g: ./f not a directory\n"


async def test_touch_makes_files_and_sets_times() -> None:
    s = await session("f")
    await s.out("touch", "-t", "1234", "f", "new")
    assert [(await s.p.stat(f"/mnt/{name}")).mtime for name in ("f", "new")] == [1234, 1234]
    assert await content(s.p, "/mnt/f") == "f"


async def test_touch_says_what_it_cannot_do() -> None:
    s = await session("d/")
    await s.p.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR | 0o555))
    assert await s.run("touch", "d/new", "-c") == Result(
        "", "touch: d/new: cannot create: permission denied\n", "touch"
    )
    assert (await s.run("touch", "-c", "nosuch")).err == (
        "touch: nosuch: cannot change time: 'nosuch' file does not exist\n"
    )
    assert (await s.run("touch")).err == "usage: touch [-c] [-t time] file ...\n"


# --- cp ----------------------------------------------------------------------------------------


async def test_cp_copies_content_and_permissions() -> None:
    s = await session("f", "d/")
    await s.p.wstat("/mnt/f", Dir.dont_touch(mode=0o755, mtime=99))
    await s.out("cp", "f", "g")
    await s.out("cp", "-x", "f", "d")
    assert await content(s.p, "/mnt/g") == "f"
    assert (await s.p.stat("/mnt/g")).mode == 0o755
    assert (await s.p.stat("/mnt/d/f")).mtime == 99


async def test_cp_says_what_it_cannot_copy() -> None:
    s = await session("f", "g", "d/")
    cases = {
        ("nosuch", "x"): "cp: nosuch: 'nosuch' file does not exist\n",
        ("d", "x"): "cp: d is a directory\n",
        ("f", "/mnt/f"): "cp: f and /mnt/f are the same file\n",
        ("f", "nosuch/x"): "cp: cannot create nosuch/x: 'nosuch' file does not exist\n",
        ("f", "g", "g"): "cp: g  not a directory\n",
    }
    for args, message in cases.items():
        assert await s.run("cp", *args) == Result("", message, "error")
    assert (await s.run("cp", "f")).status == "usage"


async def test_cp_goes_on_after_a_complaint() -> None:
    s = await session("f", "g", "d/")
    result = await s.run("cp", "f", "nosuch", "g", "d")
    assert result.err == "cp: nosuch: 'nosuch' file does not exist\n"
    assert sorted(await listing(s.p, "/mnt/d")) == ["f", "g"]


async def test_cp_r_copies_directories() -> None:
    s = await session("a/", "a/b/", "a/b/f", "a/g", "into/")
    await s.p.wstat("/mnt/a/b", Dir.dont_touch(mode=DMDIR | 0o555))
    await s.out("cp", "-r", "a", "copy")
    assert await s.out("tree", "copy") == ("copy\n|-- b\n|   `-- f\n`-- g\n\n1 directory, 2 files\n")
    assert (await s.p.stat("/mnt/copy/b")).mode == DMDIR | 0o555
    await s.out("cp", "-r", "a", "a/g", "into")
    assert sorted(await listing(s.p, "/mnt/into")) == ["a", "g"]


async def test_cp_r_copies_in_the_order_of_names() -> None:
    """Seen in memfs, which lists the newest file first."""
    s = await session("a/", "a/b/", "a/z", "a/m", "a/d")
    await s.out("cp", "-r", "a", "copy")
    assert await listing(s.p, "/mnt/copy") == ["z", "m", "d", "b"]


async def test_cp_r_refuses_what_would_not_end() -> None:
    s = await session("a/", "a/f")
    assert (await s.run("cp", "-r", "a", "a")).err == "cp: cannot copy a into itself\n"
    await s.out("cp", "-r", "a", "a/copy")
    assert await listing(s.p, "/mnt/a/copy") == ["f"]
    assert (await s.run("cp", "-r", "a", "/mnt")).err == "cp: cannot copy a onto another directory\n"


# --- mv ----------------------------------------------------------------------------------------


async def test_mv_renames_in_place_and_moves_elsewhere() -> None:
    s = await session("f", "d/", "d/x")
    qid = (await s.p.stat("/mnt/f")).qid
    await s.out("mv", "f", "g")
    assert (await s.p.stat("/mnt/g")).qid.path == qid.path
    await s.out("mv", "d/x", "/mnt")
    assert sorted(await listing(s.p, "/mnt")) == ["d", "g", "x"]
    assert await listing(s.p, "/mnt/d") == []


async def test_mv_replaces_a_file_in_the_way() -> None:
    s = await session("f", "g")
    await s.out("mv", "f", "g")
    assert await listing(s.p, "/mnt") == ["g"] and await content(s.p, "/mnt/g") == "f"


async def test_mv_removes_the_name_from_all_members_of_a_union() -> None:
    s = await session("a/", "a/f", "b/", "b/f", "b/g")
    await s.p.bind("/mnt/b", "/mnt/a", MAFTER)
    await s.out("mv", "/mnt/a/g", "/mnt/a/f")
    assert await content(s.p, "/mnt/b/f") == "g"
    assert await listing(s.p, "/mnt/a") == ["f"]


async def test_mv_says_what_it_cannot_move() -> None:
    s = await session("f", "d/", "e/", "m/")
    await s.p.bind("#R", "/mnt/m", MREPL | MCREATE)
    cases = {
        ("nosuch", "x"): "mv: can't stat nosuch: 'nosuch' file does not exist\n",
        ("f", "f"): "mv: ./f and ./f are the same\n",
        ("d", "e"): "mv: can't rename a directory to an existing name\n",
        ("/mnt/d", "/mnt/m/d"): "mv: /mnt/d is a directory, not copied to /mnt/m/d\n",
        ("d", "f", "x"): "mv: x not a directory\n",
        ("f", "nosuch/x"): "mv: can't create nosuch/x: 'nosuch' file does not exist\n",
        ("f/", "d"): "mv: can't stat f/: 'f' not a directory\n",
    }
    for args, message in cases.items():
        assert await s.run("mv", *args) == Result("", message, "error")
    assert (await s.run("mv", "f")).err == "usage: mv fromfile tofile\n       mv fromfile ... todir\n"
    await s.out("mv", "f", "m")
    assert (await listing(s.p, "/mnt/m"), await content(s.p, "/mnt/m/f")) == (["f"], "f")


async def test_mv_stops_when_what_is_in_the_way_stays() -> None:
    s = await session("d/", "d/f", "d/g")
    await s.p.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR | 0o555))
    assert await s.run("mv", "d/f", "d/g") == Result("", "mv: can't remove d/g: permission denied\n", "mv")


# --- rm ----------------------------------------------------------------------------------------


async def test_rm_removes_files_and_empty_directories_only() -> None:
    s = await session("f", "d/", "e/", "e/f")
    assert await s.run("rm", "f", "nosuch", "e", "d") == Result(
        "", "rm: nosuch: 'nosuch' file does not exist\nrm: e: directory not empty\n", "errors"
    )
    assert await listing(s.p, "/mnt") == ["e"]
    assert (await s.run("rm", "-f", "nosuch", "e")) == Result("")


async def test_rm_r_removes_everything_below() -> None:
    s = await session("d/", "d/e/", "d/e/f", "d/g", "x")
    await s.out("rm", "-r", "d", "x")
    assert await listing(s.p, "/mnt") == []


async def test_rm_r_of_a_union_takes_each_name_once_and_then_the_first_member() -> None:
    s = await session("a/", "a/f", "b/", "b/f", "b/g")
    await s.p.bind("/mnt/b", "/mnt/a", MAFTER)
    assert (await s.run("rm", "-r", "/mnt/a")).status == ""
    await s.p.unmount(None, "/mnt/a") if "a" in await listing(s.p, "/mnt") else None
    assert await listing(s.p, "/mnt") == ["b"]
    assert await listing(s.p, "/mnt/b") == ["f"]


async def test_rm_r_takes_links_away_and_not_what_they_lead_to(tmp_path: Path) -> None:
    s = await session()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to(tmp_path / "precious")
    await s.out("rm", "-r", f"#U{tmp_path}/d")
    assert os.listdir(tmp_path) == ["precious"] and os.listdir(tmp_path / "precious") == ["file"]


async def test_rm_r_empties_a_directory_that_it_may_not_remove() -> None:
    s = await session("d/", "d/e/", "d/e/f", "d/g")
    await s.p.wstat("/mnt/d", Dir.dont_touch(mode=DMDIR | 0o555))
    result = await s.run("rm", "-r", "d")
    assert result.err == "".join(
        f"rm: {name}: {why}\n"
        for name, why in (
            ("d/g", "permission denied"),
            ("d/e", "permission denied"),
            ("d", "directory not empty"),
        )
    )
    assert await listing(s.p, "/mnt/d/e") == []


async def test_rm_r_follows_no_link_of_the_host_that_it_may_not_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "precious")

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "no", path)

    s = await session()
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(os, "rmdir", refuse)
    result = await s.run("rm", "-r", f"#U{tmp_path}/link", f"#U{tmp_path}/precious")
    monkeypatch.undo()
    names = ("link", "precious/file", "precious")
    assert result.err == "".join(f"rm: #U{tmp_path}/{name}: permission denied\n" for name in names)
    assert os.listdir(tmp_path / "precious") == ["file"]


async def test_rm_r_does_not_empty_what_a_server_refuses_to_remove() -> None:
    host = await Host.start(await world("d/", "d/f", "e/", "e/f"), "/mnt")
    await host.p.wstat("/mnt", Dir.dont_touch(mode=DMDIR | 0o555))
    s = await session("m/")
    assert await command(s.p, "mount", "-A", host.address, "/mnt/m") == ("", "")
    assert (await s.run("rm", "-r", "m/d")).err == "rm: m/d: permission denied\n"
    assert await listing(host.p, "/mnt/d") == ["f"]
    s.p.exit()
    await host.stop()


async def test_cp_r_skips_a_fifo_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("text")
    os.mkfifo(tmp_path / "a" / "fifo")
    s = await session()
    result = await s.run("cp", "-r", f"#U{tmp_path}/a", f"#U{tmp_path}/b")
    assert result.err == f"cp: #U{tmp_path}/a/fifo is not a regular file: skipped\n"
    assert os.listdir(tmp_path / "b") == ["file"]


async def test_rm_says_once_that_a_tree_is_too_deep(tmp_path: Path) -> None:
    s = await session()
    home = os.getcwd()
    depth = 4096 // 250 + 2
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        got = await s.run("rm", "-r", f"#U{tmp_path}/{'d' * 250}")
        assert got.err == f"rm: #U{tmp_path}/{'d' * 250}: what is deep down in it has too long a name\n"
        assert got.status
    finally:
        for _ in range(depth):
            os.chdir("..")
            with contextlib.suppress(FileNotFoundError):
                os.rmdir("d" * 250)
        os.chdir(home)
