"""man: pages are found, and set as plain text."""

from __future__ import annotations

import pathlib
import re
import shutil

import pytest

from nsh import cmd
from nsh.cmd.man import DIRECTORY, render
from tests.cmd.session import Result, session
from tests.rc.shell import rc

PAGE = r"""
.TH EXAMPLE 1 "" nsh
.SH NAME
example \- show how
.SH SYNOPSIS
.B example
[
.B \-ab
]
.IR file ...
.SH DESCRIPTION
.I Example
shows
.B bold
text and
.BR fonts (7),
.RB ( mixed )
with ``\fBescapes\fP'' \(em and a line that is long enough to be broken.
.TP
.B \-a
Short tags have their text beside them.
.TP
.B \-\-a\-long\-one
Long tags above it.
.PP
.EX
kept   as
  it is
.EE
.SH BUGS
None.
"""

SET = """\
EXAMPLE(1)

NAME
       example - show how

SYNOPSIS
       example [ -ab ] file...

DESCRIPTION
       Example shows bold text and fonts(7), (mixed) with ``escapes'' -- and a
       line that is long enough to be broken.

       -a      Short tags have their text beside them.

       --a-long-one
               Long tags above it.

       kept   as
         it is

BUGS
       None.
"""

PAGES = pathlib.Path(DIRECTORY)


def test_a_page_is_set_as_plain_text() -> None:
    assert render(PAGE.lstrip()) == SET


@pytest.mark.parametrize("name", cmd.names())
async def test_every_command_has_a_page_with_the_usual_sections(name: str) -> None:
    text = await (await session()).out("man", name)
    title = re.search(r"^(\S+)\([14]\)\n\nNAME\n +(.*) - ", text, re.MULTILINE)
    assert title and name in title[2].split(", ")
    for heading in ("SYNOPSIS", "DESCRIPTION", "SEE ALSO", "BUGS"):
        assert f"\n\n{heading}\n" in text


@pytest.mark.parametrize("page", sorted(PAGES.iterdir()), ids=lambda page: page.name)
def test_what_a_page_refers_to_is_there(page: pathlib.Path) -> None:
    name, _, section = page.name.rpartition(".")
    source = page.read_text(encoding="utf-8")
    assert source.startswith(f".TH {name.upper()} {section} ")
    for other, number in re.findall(r"^\.IR (\S+) \((\d)\)", source, re.MULTILINE):
        assert (PAGES / f"{other.lower()}.{number}").exists(), f"{other}({number})"


async def test_a_section_can_be_asked_for() -> None:
    s = await session()
    assert (await s.out("man", "3", "ram")).startswith("RAM(3)")
    assert (await s.run("man", "1", "ram")).status == "no manual entry"


async def test_a_builtin_is_found_on_the_page_that_names_it() -> None:
    s = await session()
    for name in ("rfork", "~", "rc"):
        assert (await s.out("man", name)).startswith("RC(1)")
    assert (await s.run("man", "3", "rfork")).status == "no manual entry"


async def test_pages_are_found_by_words_of_their_summary() -> None:
    s = await session()
    assert (
        await s.out("man", "-k", "standard", "several") == "tee - copy standard input to several files (1)\n"
    )
    assert await s.out("man", "-k", "dead mount") == (
        "mount - let the files of a server be seen at a name (1)\n"
    )
    assert (await s.run("man", "-k", "no such word")).status == "no manual entry"


async def test_what_neither_nsh_nor_the_host_has_is_said() -> None:
    s = await session()
    s.p.egrp.set("PATH", b"/nonexistent")
    assert await s.run("man", "nosuch") == Result("", "man: nosuch: no manual entry\n", "no manual entry")
    assert (await s.run("man")).status == "usage"


async def test_a_page_that_nsh_does_not_have_is_left_to_the_man_of_the_host(tmp_path: pathlib.Path) -> None:
    """One of our own, which says what it is asked: what pages are installed is another matter."""
    program = tmp_path / "man"
    program.write_text('#!/bin/sh\ntest $1 != none || { echo No entry >&2; exit 16; }\necho the host: "$*"\n')
    program.chmod(0o755)
    result = await rc(f"PATH={tmp_path}; man less; man 7 rc; man nosuch 3 >[2=1]\nman none; echo $status\n")
    assert result.out == "the host: less\nthe host: 7 rc\nthe host: nosuch\nthe host: 3\nno manual entry\n"
    assert result.err == "No entry\n"


@pytest.mark.skipif(shutil.which("man") is None, reason="the host has no man")
async def test_the_man_of_the_host_says_that_it_has_no_page_either() -> None:
    result = await rc("man nosuch-page; echo $status\n")
    assert result.out == "no manual entry\n"
    assert "nosuch-page" in result.err
