"""abbr and history, in a shell that nobody types to, and in one with a history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nsh.rc.line.history import Entry, History, line
from tests.rc.shell import World, world


@asynccontextmanager
async def booted(*entries: Entry) -> AsyncIterator[World]:
    w = await world()
    if entries:
        w.shell.history = History(None)
        w.shell.history.entries += entries
        w.shell.history.own += entries[-1:]
    try:
        yield w
    finally:
        await w.close()


ENTRIES = (
    Entry("echo one two", 1.7e9, "/a", "", 0.25),
    Entry("{\necho three\n}", 1.7e9, "/a b", "no match", 75.0),
    Entry("Echo Three", 0.0, "/a"),
)


async def test_abbreviations_are_made_told_and_deleted() -> None:
    async with booted() as w:
        assert await w.run("abbr\n") == ("", "", "")
        assert await w.run("abbr gs='git status' ll='ls -l'; abbr ll='ls -la'\n") == ("", "", "")
        told = "abbr gs='git status'\nabbr ll='ls -la'\n"
        assert (await w.run("abbr\n")).out == told
        assert (await w.run("abbr -d gs nosuch\n")) == (
            "",
            "abbr: nosuch: no such abbreviation\n",
            "no such abbreviation",
        )
        assert w.shell.abbreviations == {"ll": "ls -la"}


@pytest.mark.parametrize("words", ["x", "x=", "'=y'", "a=b x"])
async def test_what_is_no_abbreviation_is_refused(words: str) -> None:
    async with booted() as w:
        found = await w.run(f"abbr {words}\n")
        assert found.status == "abbr usage" and found.err.startswith("Usage: abbr ")
        assert w.shell.abbreviations == {}


async def test_a_subshell_has_the_abbreviations_of_its_shell() -> None:
    async with booted() as w:
        assert (await w.run("abbr a=b; abbr | cat\n")).out == "abbr a=b\n"


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ("", "echo one two\n{\necho three\n}\nEcho Three\n"),
        ("two echo", "echo one two\n"),
        ("three", "{\necho three\n}\nEcho Three\n"),
        ("Three", "Echo Three\n"),
        ("-n 1", "Echo Three\n"),
        ("-n 1 echo", "Echo Three\n"),
        ("-n 9 one", "echo one two\n"),
        ("-s", "Echo Three\n"),
        ("-s one", ""),
    ],
)
async def test_history_prints_what_has_the_words(words: str, texts: str) -> None:
    async with booted(*ENTRIES) as w:
        found = await w.run(f"history {words}\n")
        assert (found.out, found.err) == (texts, "")
        assert found.status == ("" if texts else "no match")


async def test_history_tells_all_in_a_line_each() -> None:
    async with booted(*ENTRIES) as w:
        lines = (await w.run("history -l\n")).out.splitlines()
    assert [text[20:] for text in lines] == [
        "  250ms '' /a echo one two",
        "  1m15s 'no match' '/a b' {\\necho three\\n}",
        "      - - /a Echo Three",
    ]


@pytest.mark.parametrize("words", ["-x", "-n", "-n 0", "-n x"])
async def test_history_says_how_it_is_called(words: str) -> None:
    async with booted(*ENTRIES) as w:
        found = await w.run(f"history {words}\n")
        assert found.status == "history usage"
        assert found.err == "Usage: history [-ls] [-n count] [word ...]\n"


async def test_a_script_reads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "nsh").mkdir()
    (tmp_path / "nsh" / "history").write_bytes(b"".join(map(line, ENTRIES)))
    async with booted() as w:
        assert (await w.run("history two\n")).out == "echo one two\n"
