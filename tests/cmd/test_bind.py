"""bind, unmount and ns."""

from __future__ import annotations

import pytest

from nsh.kern.mnt import MREPL
from nsh.kern.proc import RFNAMEG
from tests.kern.world import content, listing, world
from tests.net.peers import command


async def test_bind_shows_the_source_at_the_target() -> None:
    p = await world("a/", "a/f", "b/", "b/g")
    assert await command(p, "bind", "/mnt/a", "/mnt/b") == ("", "")
    assert await content(p, "/mnt/b/f") == "f"


@pytest.mark.parametrize(
    ("options", "names"),
    [(["-a"], ["g", "f"]), (["-b"], ["f", "g"]), (["-ac"], ["g", "f"]), (["-c", "-b"], ["f", "g"])],
)
async def test_the_options_of_bind_give_order(options: list[str], names: list[str]) -> None:
    p = await world("a/", "a/f", "b/", "b/g")
    assert await command(p, "bind", *options, "/mnt/a", "/mnt/b") == ("", "")
    assert await listing(p, "/mnt/b") == names


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("/mnt/nosuch", "/mnt/a", "bind: /mnt/nosuch: '/mnt/nosuch' file does not exist"),
        ("/mnt/a", "/mnt/a/x", "bind: /mnt/a/x: '/mnt/a/x' does not exist"),
        ("/mnt/a", "/mnt/f", "bind: cannot bind /mnt/a onto /mnt/f: inconsistent mount"),
        ("#z", "/mnt/a", "bind: #z: unknown device in # filename"),
        ("", "/mnt/a", "bind: : empty file name"),
    ],
)
async def test_a_bind_that_fails_names_the_culprit(source: str, target: str, text: str) -> None:
    p = await world("a/", "f")
    before = len(p.pgrp)
    status, output = await command(p, "bind", source, target)
    assert output == text + "\n"
    assert status
    assert await command(p, "bind", "-q", source, target) == ("", "")
    assert len(p.pgrp) == before


@pytest.mark.parametrize(
    "argv", [[], ["/a"], ["-", "/a"], ["/a", "/b", "/c"], ["-a", "-b", "/a", "/b"], ["-x", "/a", "/b"]]
)
async def test_the_usage_of_bind(argv: list[str]) -> None:
    p = await world()
    assert await command(p, "bind", *argv) == (
        "usage",
        "usage: bind [-a|-b|-c|-ac|-bc] [-q] source target\n",
    )


async def test_a_bind_with_u_shows_what_lies_under_a_mount() -> None:
    p = await world("a/", "a/f", "b/", "b/g", "c/")
    await command(p, "bind", "-b", "/mnt/b", "/mnt/a")
    assert await command(p, "bind", "-u", "/mnt/a", "/mnt/c") == ("", "")
    assert await listing(p, "/mnt/c") == ["f"]


async def test_unmount_takes_away_all_or_one() -> None:
    p = await world("a/", "a/f", "b/", "b/g", "c/", "c/h")
    for source in "ab":
        await command(p, "bind", "-a", f"/mnt/{source}", "/mnt/c")
    assert await listing(p, "/mnt/c") == ["h", "f", "g"]
    assert await command(p, "unmount", "/mnt/a", "/mnt/c") == ("", "")
    assert await listing(p, "/mnt/c") == ["h", "g"]
    assert await command(p, "unmount", "/mnt/a", "/mnt/c") == ("not in union", "unmount: not in union\n")
    assert await command(p, "unmount", "/mnt/c") == ("", "")
    assert await listing(p, "/mnt/c") == ["h"]
    assert await command(p, "unmount", "/mnt/c") == ("not mounted", "unmount: not mounted\n")
    assert await command(p, "unmount") == ("usage", "Usage: unmount [source] target\n")


async def test_ns_prints_the_commands_that_make_the_name_space() -> None:
    names = ["a", "it's", "cost$", "b c", "x=y", "*"]
    p = await world("d/", *(f"{name}/" for name in names))
    for name in names:
        await command(p, "bind", "-a", f"/mnt/{name}", "/mnt/d")
    await command(p, "bind", "-bc", "#c", "/mnt/d")
    await p.chdir("/mnt/d")
    status, output = await command(p, "ns")
    assert status == ""
    assert output.splitlines() == [
        "bind -c '#R' /mnt",
        "bind /mnt/d /mnt/d",
        "bind -a /mnt/a /mnt/d",
        "bind -a '/mnt/it''s' /mnt/d",
        "bind -a '/mnt/cost$' /mnt/d",
        "bind -a '/mnt/b c' /mnt/d",
        "bind -a /mnt/x=y /mnt/d",
        "bind -a '/mnt/*' /mnt/d",
        "bind -bc '#c' /mnt/d",
        "cd /mnt/d",
    ]


async def test_ns_of_another_process() -> None:
    p = await world("a/", "b/")
    await p.bind("#p", "/prog", MREPL)
    q = p.fork(RFNAMEG)
    await q.bind("/mnt/b", "/mnt/a", 0)
    assert "bind /mnt/b /mnt/a\n" in (await command(p, "ns", str(q.pid)))[1]
    assert "bind /mnt/b /mnt/a\n" not in (await command(p, "ns"))[1]
    q.exit()
    status, output = await command(p, "ns", "999")
    assert output == "ns: can't open /prog/999/ns: '/prog/999' file does not exist\n"
    assert status
    assert (await command(p, "ns", "1", "2"))[0] == "usage"
