"""The history: what is kept, how it is shared, and what a damaged file does."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from nsh.rc.line import history
from nsh.rc.line.history import Entry, History, path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "nsh" / "history"


async def opened(file: Path) -> History:
    h = History(str(file))
    await h.open()
    return h


async def ran(h: History, text: str, directory: str = "/d", status: str = "", duration: float = 0.0) -> None:
    """A command was typed, and is over."""
    h.begin(text, directory)
    await h.end(status, duration)


async def loaded(file: Path) -> History:
    h = await opened(file)
    await h.load()
    return h


def content(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def written(file: Path, text: str) -> None:
    """The file was there before."""
    file.parent.mkdir(parents=True)
    file.write_text(text)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def texts(h: History) -> list[str]:
    return [entry.text for entry in h.entries]


async def test_an_entry_is_a_line_of_json_with_all_that_is_known(file: Path) -> None:
    await ran(await opened(file), "echo 'a\nb'\n", "/tmp/w", "no match", 1.23456)
    (line,) = content(file).splitlines()
    found = json.loads(line)
    assert found.pop("time") > 1.7e9
    assert found == {"duration": 1.235, "status": "no match", "dir": "/tmp/w", "text": "echo 'a\nb'"}


async def test_it_is_nobody_elses_to_read(file: Path) -> None:
    written(file, "")
    os.chmod(file, 0o644)
    await ran(await opened(file), "secret")
    assert mode(file) == 0o600


async def test_a_new_directory_for_it_is_private(file: Path) -> None:
    await opened(file)
    assert mode(file.parent) == 0o700
    assert mode(file) == 0o600


async def test_what_was_kept_comes_back(file: Path) -> None:
    h = await opened(file)
    await ran(h, "one", "/a", "", 0.5)
    await ran(h, "two\nlines", "/b", "1", 2.0)
    found = (await loaded(file)).entries
    assert [e._replace(time=0.0) for e in found] == [
        Entry("one", 0.0, "/a", "", 0.5),
        Entry("two\nlines", 0.0, "/b", "1", 2.0),
    ]
    assert found == h.entries


async def test_it_is_read_in_blocks_from_its_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BLOCK", 100)
    h = await opened(file)
    for number in range(50):
        await ran(h, f"echo {number} '# a\n{{b\n+c'")
    assert (await loaded(file)).entries == h.entries


@pytest.mark.parametrize("text", [" secret", "\tsecret", "", "\n"])
async def test_what_begins_with_a_blank_is_not_kept(file: Path, text: str) -> None:
    h = await opened(file)
    await ran(h, text)
    assert h.entries == []
    assert content(file) == ""


@pytest.mark.parametrize("text", ["caf\u00e9 \u65e5\u672c", "a\udcffb", "tab\there", "\ud800"])
async def test_any_text_comes_back_as_it_was(file: Path, text: str) -> None:
    await ran(await opened(file), text, "/" + text, text)
    (entry,) = (await loaded(file)).entries
    assert (entry.text, entry.directory, entry.status) == (text, "/" + text, text)


async def test_what_can_be_read_is_written_so_that_it_can_be_read(file: Path) -> None:
    await ran(await opened(file), "caf\u00e9")
    assert "caf\u00e9" in content(file)


async def test_live_sessions_see_each_other(file: Path) -> None:
    a, b = await opened(file), await opened(file)
    await ran(a, "one")
    b.begin("slow", "/")
    await ran(a, "two")
    await b.end("", 1.0)
    await a.refresh()
    assert texts(a) == texts(b) == ["one", "two", "slow"]
    assert [e.text for e in a.own] == ["one", "two"]
    assert texts(await loaded(file)) == ["one", "two", "slow"]


async def test_the_commands_of_this_session_come_back_first(file: Path) -> None:
    a, b = await opened(file), await opened(file)
    await ran(a, "mine")
    await ran(b, "theirs")
    await a.refresh()
    assert [e.text for e in a.latest()][:2] == ["mine", "theirs"]


async def test_the_old_format_is_understood_and_gone_on_with(file: Path) -> None:
    written(file, "\n# 2024-05-06 07:08:09.101112\n+echo old\n\n# 2024-05-06 07:08:10\n+for(i){\n+}\n")
    await ran(await opened(file), "new")
    first, second, third = (await loaded(file)).entries
    assert (first.text, second.text, third.text) == ("echo old", "for(i){\n}", "new")
    assert second.time - first.time == pytest.approx(0.898888)
    assert first.status is None


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "{",
        "[1]",
        "{}",
        '{"text": 3}',
        '{"text": ""}',
        "{" * 5000,
        '{"text":"x"',
        "# no date\n+",
        "\x00\xff",
    ],
)
async def test_a_damaged_line_costs_no_more_than_itself(file: Path, line: str) -> None:
    h = await opened(file)
    await ran(h, "before")
    with file.open("a", encoding="latin-1") as f:
        f.write(line + "\n")
    await ran(await opened(file), "after")
    assert texts(await loaded(file)) == ["before", "after"]


@pytest.mark.parametrize(
    "fields", ['"time":1e999', '"time":"x"', '"time":-5', '"duration":[]', '"dir":1,"status":2']
)
async def test_odd_values_are_no_values(file: Path, fields: str) -> None:
    written(file, f'{{"text":"x",{fields}}}\n')
    assert (await loaded(file)).entries == [Entry("x", 0.0)]


async def test_a_write_that_was_cut_short_does_not_harm_the_next(file: Path) -> None:
    h = await opened(file)
    await ran(h, "one")
    with file.open("a") as f:
        f.write('{"time":1,"tex')
    await ran(h, "two")
    assert texts(await loaded(file)) == ["one", "two"]


async def test_of_a_large_file_the_end_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h = await opened(file)
    for number in range(200):
        await ran(h, f"echo {number}")
    monkeypatch.setattr(history, "LARGEST", 5000)
    monkeypatch.setattr(history, "BLOCK", 1024)
    found = texts(await loaded(file))
    assert found == texts(h)[-len(found) :]
    assert 30 < len(found) < 100


async def test_a_file_that_cannot_be_used_is_told_of_and_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "nsh").write_text("in the way")
    h = await opened(tmp_path / "nsh" / "history")
    await ran(h, "one")
    await h.refresh()
    assert texts(h) == ["one"]
    assert h.trouble == f"{tmp_path}/nsh/history: File exists"


async def test_a_file_system_that_does_not_answer_is_not_waited_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h = await opened(file)
    gate = threading.Event()
    monkeypatch.setattr(history, "PATIENCE", 0.02)
    monkeypatch.setattr("nsh.rc.line.history.os.write", lambda fd, data: gate.wait(10))
    await ran(h, "one")
    monkeypatch.undo()
    gate.set()
    await ran(h, "two")
    assert texts(h) == ["one", "two"]
    assert h.trouble == f"{file}: does not answer"


async def test_a_file_that_goes_while_we_live_is_made_again(file: Path) -> None:
    h = await opened(file)
    await ran(h, "one")
    os.unlink(file)
    await ran(h, "two")
    assert texts(await loaded(file)) == ["two"]
    assert texts(h) == ["one", "two"]


async def test_a_file_that_somebody_cuts_is_gone_on_with(file: Path) -> None:
    h = await opened(file)
    await ran(h, "one")
    await ran(h, "two")
    os.truncate(file, 0)
    await ran(h, "three")
    await ran(await opened(file), "four")
    await h.refresh()
    assert texts(h) == ["one", "two", "three", "four"]


async def test_who_links_it_to_nothing_has_nothing_kept(file: Path) -> None:
    os.makedirs(os.path.dirname(file))
    os.symlink("/dev/null", file)
    before = os.stat("/dev/null").st_mode
    h = await opened(file)
    await ran(h, "one")
    assert texts(h) == ["one"]
    assert h.trouble == ""
    assert os.stat("/dev/null").st_mode == before


def test_words_are_found_in_any_order_each_text_once_the_latest_first() -> None:
    h = History(None)
    h.entries += [
        Entry(text) for text in ("echo Alpha beta", "beta only", "echo beta gamma Alpha", "beta only")
    ]
    assert [e.text for e in h.matching(["beta"])] == ["beta only", "echo beta gamma Alpha", "echo Alpha beta"]
    assert [e.text for e in h.matching(["alpha", "BETA"])] == []
    assert [e.text for e in h.matching(["alpha", "echo"])] == ["echo beta gamma Alpha", "echo Alpha beta"]
    assert [e.text for e in h.matching(["Alpha", "gam"])] == ["echo beta gamma Alpha"]
    assert len(list(h.matching([]))) == 3


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert path() == "/home/u/.local/state/nsh/history"
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert path() == "/s/nsh/history"
