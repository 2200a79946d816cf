"""basename, cleanname and chmod."""

from __future__ import annotations

import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.cmd.chmod import parse_mode
from nsh.cmd.cleanname import cleaned
from nsh.p9.const import DMAPPEND, DMDIR, DMEXCL, DMTMP
from tests.cmd.session import Result, session


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        (["/a/b.c"], "b.c"),
        (["/a/b.c", ".c"], "b"),
        (["b.c", ".x"], "b.c"),
        (["b"], "b"),
        (["a/"], ""),
        (["-d", "/a/b"], "/a"),
        (["-d", "a/b/c"], "a/b"),
        (["-d", "/a"], "/"),
        (["-d", "/"], "/"),
        (["-d", "a"], "."),
        (["-d", ""], "."),
        (["--", "-d"], "-d"),
    ],
)
async def test_basename_prints_either_part_of_a_name(argv: list[str], printed: str) -> None:
    assert await (await session()).out("basename", *argv) == printed + "\n"


@pytest.mark.parametrize("argv", [[], ["a", "b", "c"], ["-d", "a", "b"], ["-x", "a"]])
async def test_the_usage_of_basename(argv: list[str]) -> None:
    assert await (await session()).run("basename", *argv) == Result(
        "", "usage: basename [-d] string [suffix]\n", "usage"
    )


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("", "."),
        (".", "."),
        ("/", "/"),
        ("//a/./b//", "/a/b"),
        ("/../a", "/a"),
        ("../../a/..", "../.."),
        ("a/../..", ".."),
        ("a/..", "."),
        ("./..a/b..", "..a/b.."),
        ("#", "#"),
        ("#c", "#c"),
        ("#c/../x//y", "#c/x/y"),
        ("#Rtmp/./a/../..", "#Rtmp"),
        ("#/", "#/"),
    ],
)
def test_a_name_is_cleaned_by_its_text_alone(name: str, clean: str) -> None:
    assert cleaned(name) == clean


@given(st.lists(st.sampled_from(["a", "b", ".", "..", ""])).map("/".join))
def test_host_and_nsh_agree_on_what_is_clean(name: str) -> None:
    expected = os.path.normpath(name)
    assert cleaned(name) == ("/" + expected.lstrip("/") if name.startswith("/") else expected)
    assert cleaned(cleaned(name)) == cleaned(name)


async def test_cleanname_puts_a_directory_before_what_is_relative() -> None:
    s = await session()
    assert await s.out("cleanname", "a/../b", "/x/") == "b\n/x\n"
    assert await s.out("cleanname", "-d", "/d", "a", "../b", "/c", "#x/", "") == "/d/a\n/b\n/c\n#x\n.\n"
    for wrong in ([], ["-d"], ["-x", "a"]):
        assert await s.run("cleanname", *wrong) == Result("", "usage: cleanname [-d pwd] name ...\n", "usage")


# --- chmod -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "before", "after"),
    [
        ("644", 0o777, 0o644),
        ("8r600", 0o777, 0o600),
        ("0", DMDIR | DMAPPEND | 0o777, DMDIR | DMAPPEND),
        ("+x", 0o644, 0o755),
        ("-w", 0o666, 0o444),
        ("=r", 0o777, 0o444),
        ("u+x", 0o644, 0o744),
        ("go-rw", 0o666, 0o600),
        ("u=rw", 0o777, 0o677),
        ("a=", 0o777, 0),
        ("+a", 0o644, DMAPPEND | 0o644),
        ("-a", DMAPPEND | 0o644, 0o644),
        ("+lt", 0, DMEXCL | DMTMP),
        ("u=r", DMEXCL | 0o777, 0o477),
    ],
)
def test_modes_are_numbers_or_changes(spec: str, before: int, after: int) -> None:
    change = parse_mode(spec)
    assert change is not None
    assert change.apply(before) == after


async def test_chmod_changes_the_modes_of_files() -> None:
    s = await session("f", "d/", "g")
    assert await s.out("chmod", "600", "f", "d") == ""
    assert [(await s.p.stat(f"/mnt/{n}")).mode for n in "fdg"] == [0o600, DMDIR | 0o600, 0o644]
    assert await s.out("chmod", "g+w", "f") == ""
    assert (await s.p.stat("/mnt/f")).mode == 0o620


async def test_chmod_goes_on_after_what_it_cannot_change() -> None:
    s = await session("f", "g")
    missing = "chmod: cannot stat nosuch: 'nosuch' file does not exist\n"
    assert await s.run("chmod", "600", "nosuch", "f") == Result("", missing, "errors")
    assert (await s.p.stat("/mnt/f")).mode == 0o600
    s.p.user = "other"
    denied = "chmod: cannot wstat g: permission denied\n"
    assert await s.run("chmod", "600", "g") == Result("", denied, "errors")


USAGE = "usage: chmod [8r]777 file ... or chmod [augo][+-=][rwxal] file ...\n"


@pytest.mark.parametrize("spec", ["", "8", "8r", "u", "u+z", "x+r", "+r+w", "0x1", "6 4"])
async def test_what_is_no_mode(spec: str) -> None:
    s = await session("f")
    assert await s.run("chmod", spec, "f") == Result("", f"chmod: bad mode '{spec}'\n{USAGE}", "usage")
    assert await s.run("chmod", "600") == Result("", USAGE, "usage")
