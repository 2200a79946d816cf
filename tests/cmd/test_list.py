"""ls, tree, du, pwd, ps: the commands that show what there is."""

from __future__ import annotations

import time

import pytest

from nsh import draw
from nsh.cmd.ls import modes
from nsh.kern.mnt import MAFTER, MREPL
from nsh.p9.const import DMAPPEND, DMAUTH, DMDIR, DMEXCL
from nsh.p9.stat import Dir
from tests.cmd.session import Result, session
from tests.kern.world import make


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """ls -l shows local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


# --- ls ----------------------------------------------------------------------------------------


async def test_ls_sorts_by_name_and_shows_files_as_they_were_named() -> None:
    s = await session("b", "a", "d/", "d/x")
    assert await s.out("ls") == "a\nb\nd\n"
    assert await s.out("ls", "/mnt") == "/mnt/a\n/mnt/b\n/mnt/d\n"
    assert await s.out("ls", "/mnt/") == "/mnt/a\n/mnt/b\n/mnt/d\n"
    assert await s.out("ls", "-p", "/mnt/d") == "x\n"
    assert await s.out("ls", "d/x", "a") == "a\nd/x\n"
    assert await s.out("ls", "-d", "/mnt/d", ".") == "/mnt/d\nmemfs\n"


async def test_ls_n_keeps_the_order_of_the_directory_and_r_reverses() -> None:
    s = await session("b", "c", "a")
    assert await s.out("ls", "-n") == "a\nc\nb\n"
    assert await s.out("ls", "-r") == "c\nb\na\n"


async def test_ls_sorts_by_time_and_by_size() -> None:
    s = await session()
    for name, size, mtime, atime in (("x", 30, 100, 3), ("y", 10, 300, 2), ("z", 20, 200, 1)):
        await make(s.p, f"/mnt/{name}", "." * size)
        await s.p.wstat(f"/mnt/{name}", Dir.dont_touch(mtime=mtime, atime=atime))
    assert await s.out("ls", "-t") == "y\nz\nx\n"
    assert await s.out("ls", "-tu") == "x\ny\nz\n"
    assert await s.out("ls", "-tr") == "x\nz\ny\n"
    assert await s.out("ls", "-s") == "y\nz\nx\n"


async def test_ls_l_has_the_columns_of_the_recorded_session() -> None:
    s = await session()
    await make(s.p, "/mnt/args", "")
    await make(s.p, "/mnt/long", "." * 1500)
    await s.p.wstat("/mnt/args", Dir.dont_touch(mode=0o222, mtime=1263489120))
    await s.p.wstat("/mnt/long", Dir.dont_touch(mtime=1263489120))
    assert await s.out("ls", "-l") == (
        "total 2\n"
        "--w--w--w- 1 eve eve    0 2010-01-14 17:12 args\n"
        "-rw-r--r-- 1 eve eve 1500 2010-01-14 17:12 long\n"
    )
    assert await s.out("ls", "-le", "args") == "--w--w--w- 1 eve eve 0 1263489120 args\n"


async def test_ls_shows_qids_owners_kilobytes_and_kinds() -> None:
    s = await session("d/", "f")
    assert await s.out("ls", "-q") == "(0000000000000001 0 80) d\n(0000000000000002 1 00) f\n"
    assert await s.out("ls", "-mk") == "0 [eve] d\n1 [eve] f\n"
    await s.p.wstat("/mnt/f", Dir.dont_touch(mode=0o755))
    assert await s.out("ls", "-FT") == "- d/\n- f*\n"


async def test_ls_shows_duplicates_of_a_union_unless_told_not_to() -> None:
    s = await session("a/", "a/f", "b/", "b/f")
    await s.p.bind("/mnt/b", "/mnt/a", MAFTER)
    assert await s.out("ls", "/mnt/a") == "/mnt/a/f\n/mnt/a/f\n"
    assert await s.out("ls", "-c", "/mnt/a") == "/mnt/a/f\n"


async def test_ls_complains_first_and_goes_on() -> None:
    s = await session("f", "d/", "d/g")
    assert await s.run("ls", "f", "nosuch", "d", "f/x") == Result(
        "f\nd/g\n",
        "ls: nosuch: 'nosuch' file does not exist\nls: f/x: 'f' not a directory\n",
        "errors",
    )
    assert await s.run("ls", "-x") == Result("", "usage: ls [-delmnpqrstucFT] [files]\n", "usage")


def test_modes_are_shown_in_ten_letters() -> None:
    assert modes(0o640) == "-rw-r-----"
    assert modes(DMDIR | 0o751) == "drwxr-x--x"
    assert [modes(bit)[0] for bit in (DMAPPEND, DMAUTH, DMEXCL)] == ["a", "A", "l"]


# --- tree --------------------------------------------------------------------------------------


def test_a_branch_has_the_margin_of_what_is_below_it() -> None:
    assert draw.branch("", False) == ("|-- ", "|   ")
    assert draw.branch("|   ", True) == ("|   `-- ", "|       ")


def test_the_summary_counts_in_the_singular_too() -> None:
    assert draw.summary(0, 0) == "0 directories, 0 files"
    assert draw.summary(1, 1) == "1 directory, 1 file"
    assert draw.summary(6, 11) == "6 directories, 11 files"
    assert draw.summary(2, None) == "2 directories"


async def test_tree_draws_as_in_the_recorded_session() -> None:
    s = await session("0/", "0/ctl", "0/args", "arch/", "clone", "status/", ".hidden")
    for name in ("arch", "status"):
        await s.p.wstat(f"/mnt/{name}", Dir.dont_touch(mode=DMDIR))
    await s.p.chdir("/mnt/0")
    assert await s.out("tree", "../") == (
        "../\n"
        "|-- 0\n"
        "|   |-- args\n"
        "|   `-- ctl\n"
        "|-- arch [error opening dir]\n"
        "|-- clone\n"
        "`-- status [error opening dir]\n"
        "\n"
        "3 directories, 3 files\n"
    )


async def test_tree_options_choose_what_is_drawn() -> None:
    s = await session("d/", "d/e/", "d/e/f", "x", ".h")
    assert await s.out("tree", "-d") == ".\n`-- d\n    `-- e\n\n2 directories\n"
    assert await s.out("tree", "-a", "-L", "1") == ".\n|-- .h\n|-- d\n`-- x\n\n1 directory, 2 files\n"
    for wrong in (("-L", "0"), ("-L", "x"), ("-x",)):
        assert (await s.run("tree", *wrong)).status == "usage"


async def test_tree_of_what_cannot_be_opened_says_so_and_fails() -> None:
    s = await session("f")
    for name in ("f", "nosuch"):
        out = f"{name} [error opening dir]\n\n0 directories, 0 files\n"
        assert await s.run("tree", name) == Result(out, "", "errors")


async def test_tree_does_not_follow_a_name_space_that_contains_itself() -> None:
    s = await session("a/", "a/b/")
    await s.p.bind("/mnt/a", "/mnt/a/b", MREPL)
    assert await s.out("tree", "a") == "a\n`-- b [recursive, not followed]\n\n1 directory, 0 files\n"


async def test_tree_and_du_and_rm_are_not_stopped_by_depth() -> None:
    s = await session()
    depth = 350  # a recursion of three Python calls for each level would not get there
    await s.out("mkdir", "-p", "/mnt" + "/d" * depth)
    assert (await s.out("tree", "/mnt")).endswith(f"\n{depth} directories, 0 files\n")
    assert len((await s.out("du", "/mnt/d")).splitlines()) == depth
    await s.out("rm", "-r", "/mnt/d")
    assert await s.out("ls", "/mnt") == ""


async def test_du_quotes_blanks_and_quotes_only() -> None:
    s = await session()
    for name in ("x y", "x;y", "x'y", "#x"):
        await s.out("touch", f"/mnt/{name}")
    assert (await s.out("du", "-n", "/mnt")).splitlines() == [
        "/mnt/#x",
        "'/mnt/x y'",
        "'/mnt/x''y'",
        "/mnt/x;y",
    ]


# --- du, pwd, ps -------------------------------------------------------------------------------


async def test_du_adds_up_in_kilobytes() -> None:
    s = await session("d/", "d/e/", "d/one", "it's")
    await make(s.p, "/mnt/d/e/big", "." * 3000)
    assert await s.out("du") == "3    d/e\n3    d\n3    .\n"
    assert await s.out("du", "-a", "/mnt/d") == (
        "3    /mnt/d/e/big\n3    /mnt/d/e\n1    /mnt/d/one\n3    /mnt/d\n"
    )
    assert await s.out("du", "-s", "/mnt/d", "it's") == "3    /mnt/d\n1    'it''s'\n"
    assert await s.out("du", "-n", "/mnt/d") == "/mnt/d/e/big\n/mnt/d/one\n"
    assert await s.out("du", "-s", "-b", "4k", "/mnt/d") == "4    /mnt/d\n"
    assert (await s.run("du", "nosuch")).err == "du: can't stat nosuch: 'nosuch' file does not exist\n"
    assert (await s.run("du", "-b", "x")).status == "usage"


async def test_du_counts_no_directory_twice() -> None:
    s = await session("a/", "a/b/", "a/f")
    await s.p.bind("/mnt/a", "/mnt/a/b", MREPL)
    assert await s.out("du", "/mnt/a") == "1    /mnt/a/b\n1    /mnt/a\n"


async def test_pwd_prints_the_way_one_came_and_fails_where_one_cannot_stay() -> None:
    s = await session("a/", "b/")
    await s.p.bind("/mnt/a", "/mnt/b", MREPL)
    await s.p.chdir("/mnt/b")
    assert await s.out("pwd") == "/mnt/b\n"
    await s.p.chdir("/mnt/a")
    await s.p.remove("/mnt/a")
    assert (await s.run("pwd")).err == "pwd: clone failed\n"


async def test_ps_shows_who_runs_what() -> None:
    s = await session()
    lines = (await s.out("ps")).splitlines()
    assert len(lines) == 3
    pid, _, user, state, command = lines[-1].split()
    assert (user, state, command) == ("eve", "running", "ps")
    assert int(pid) == max(int(line.split()[0]) for line in lines)
