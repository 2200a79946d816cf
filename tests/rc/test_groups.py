"""What the shell's subshells, pipelines and background commands share with it, and what rfork changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rc.shell import rc

MEM = "memfs /n/m; mkdir /n/m/a /n/m/b; >/n/m/a/f; cd /\n"
"""A file system in memory: two directories, a file in one of them."""


async def out(text: str) -> list[str]:
    """The words that a script writes after `MEM`, when all is well."""
    result = await rc(MEM + text + "\n")
    assert result.err == ""
    return result.out.split()


KINDS = {
    "subshell": "@{%s}",
    "pipeline": "{%s} | cat",
    "background": "{%s}& wait",
    "substitution": "echo `{%s}",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_name_space_is_shared(kind: str) -> None:
    work = KINDS[kind] % "bind /n/m/a /n/m/b"
    assert await out(f"{work}; ls -p /n/m/b") == ["f"]


@pytest.mark.parametrize("kind", KINDS)
async def test_after_rfork_n_it_is_not(kind: str) -> None:
    work = KINDS[kind] % "rfork n; bind /n/m/a /n/m/b; ls -p /n/m/b"
    assert await out(f"{work}; ls -p /n/m/b; echo end") == ["f", "end"]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_current_directory_is_each_one_s_own(kind: str) -> None:
    work = KINDS[kind] % "cd /n/m/a; pwd"
    assert await out(f"{work}; pwd") == ["/n/m/a", "/"]


@pytest.mark.parametrize("kind", KINDS)
async def test_variables_and_the_environment_are_each_one_s_own(kind: str) -> None:
    work = KINDS[kind] % "x=inside; echo inside > /env/y; cat /env/y"
    assert await out(f"x=outside; {work}; echo $x; ls /env/y >[2=1] | wc -l") == ["inside", "outside", "1"]


async def test_a_block_in_the_shell_itself_changes_the_shell() -> None:
    assert await out("{cd /n/m/a} > /dev/null; pwd; {x=1} < /dev/null; echo $x") == ["/n/m/a", "1"]


async def test_the_shell_that_forks_leaves_its_children_what_they_had() -> None:
    text = "{sleep 0.1; ls -p /n/m/b}& rfork n; bind /n/m/a /n/m/b; wait; echo then; ls -p /n/m/b"
    assert await out(text) == ["then", "f"]


async def test_rfork_capital_letters_begin_with_nothing() -> None:
    text = "y=1; ls /env/y; @{rfork E; '#B/ls' '#e'; echo end}; @{rfork N; '#B/ls' /n; '#B/echo' end}"
    assert await out(text) == ["/env/y", "end", "end"]


async def test_rfork_f_keeps_and_capital_f_closes_the_descriptors() -> None:
    assert await out("@{rfork f; echo here}") == ["here"]
    assert await out("@{rfork F; echo here}; ~ $status '' || echo closed") == ["closed"]


async def test_rfork_m_forbids_mounts_and_devices_to_a_subshell_that_has_its_own_name_space() -> None:
    result = await rc("@{rfork nm; ls '#c'; mount '{export /dev}' /mnt}; ls -d '#c'\n")
    assert result.out == "#c\n"
    assert result.err.splitlines() == [
        "ls: #c: mount/attach disallowed",
        "mount: mount failed: mount/attach disallowed",
    ]


async def test_what_a_leader_of_its_own_has_started_ends_with_it(tmp_path: Path) -> None:
    """rfork s: a server in the background goes when the subshell is over, instead of with the shell."""
    serve = f"styxlisten unix!{tmp_path}/s export /dev; echo up"
    look = "ps | grep -c '[s]tyxlisten'"
    assert await out(f"@{{{serve}}}; {look}") == ["up", "1"]
    assert await out(f"@{{rfork s; {serve}}}; {look}") == ["up", "0"]
