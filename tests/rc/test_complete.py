"""Completion at the prompt: what is offered for a text before the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device
from nsh.kern.proc import current
from nsh.rc import complete
from nsh.rc.complete import CommandCompleter, split_word, unquoted
from tests.rc.shell import World, world


@asynccontextmanager
async def booted() -> AsyncIterator[World]:
    w = await world()
    try:
        yield w
    finally:
        await w.close()


async def offered(w: World, text: str) -> list[str]:
    """The texts that would come of the offers: each in the place of the word before the cursor."""
    completer = CommandCompleter(w.shell)
    token = current.set(w.proc)
    try:
        found = completer.get_completions_async(Document(text), CompleteEvent(completion_requested=True))
        return [text[: len(text) + c.start_position] + c.text async for c in found]
    finally:
        current.reset(token)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ls /a/b", "/a/b"),
        ("ls 'a b", "'a b"),
        ("ls 'a b'c", "'a b'c"),
        ("x=", ""),
        ("echo $", ""),
        ("a|b", "b"),
    ],
)
def test_the_word_before_the_cursor(text: str, word: str) -> None:
    assert split_word(text) == (text.removesuffix(word), word)


@pytest.mark.parametrize(
    ("written", "meant"), [("a", "a"), ("'a b", "a b"), ("'a''b'c", "a'bc"), ("", ""), ("'", "")]
)
def test_what_a_word_means(written: str, meant: str) -> None:
    assert unquoted(written) == meant


async def test_commands_builtins_and_functions_are_offered_where_a_command_begins() -> None:
    async with booted() as w:
        await w.run("fn mounts { ns }; PATH=()\n")
        for text in ("mou", "echo a; mou", "a | mou", "{mou", "if(mou", "x=`{mou", "! mou"):
            before = text.removesuffix("mou")
            assert await offered(w, text) == [before + "mount", before + "mounts"]
        assert await offered(w, "wha") == ["whatis"]


async def test_programs_of_the_host_are_offered_and_new_ones_too(tmp_path: Path) -> None:
    (tmp_path / "zzrun").touch(0o755)
    (tmp_path / "zzread").touch(0o644)
    (tmp_path / "zzdir").mkdir()
    async with booted() as w:
        await w.run(f"PATH=/nosuch:{tmp_path}\n")
        assert await offered(w, "zz") == ["zzrun"]
        (tmp_path / "zzz").touch(0o755)
        assert await offered(w, "zz") == ["zzrun", "zzz"]
        await w.run("path=()\n")
        assert await offered(w, "zz") == []


async def test_file_names_are_offered_elsewhere_and_quoted_as_rc_wants(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    (tmp_path / "two words").touch()
    (tmp_path / "dir").mkdir()
    async with booted() as w:
        await w.run(f"bind {tmp_path} /n/here; cd /n/here\n")
        assert await offered(w, "cat pl") == ["cat plain"]
        assert await offered(w, "cat tw") == ["cat 'two words'"]
        assert await offered(w, "cat 'tw") == ["cat 'two words'"]
        assert await offered(w, "cat <di") == ["cat <dir/"]
        assert await offered(w, "./p") == ["./plain"]
        assert await offered(w, "cat /n/here/") == [
            "cat /n/here/dir/",
            "cat /n/here/plain",
            "cat '/n/here/two words'",
        ]
        assert await offered(w, "cat /no/such") == []


class Dead(Device):
    """A directory that never answers."""

    letter, name = "Q", "dead"

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        return self._never()

    async def _never(self) -> bytes:
        await asyncio.Event().wait()
        return b""


async def test_a_directory_that_does_not_answer_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "PATIENCE", 0.05)
    async with booted() as w:
        w.proc.system.register(Dead)
        await w.run("bind '#Q' /n/dead\n")
        assert await offered(w, "cat /n/dead/") == []
