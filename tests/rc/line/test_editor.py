"""What the keys do: an editor that is typed to through a pipe."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nsh.rc.line.history import Entry
from tests.rc.line.editing import DOWN, ENTER, ESCAPE, RIGHT, TAB, UP, ctrl, editing

ALT_ENTER, ALT_F, ALT_DOT, SHIFT_TAB = "\x1b\r", "\x1bf", "\x1b.", "\x1b[Z"


# --- when a line is over -------------------------------------------------------------------------


async def test_enter_runs_what_is_complete() -> None:
    async with editing() as e:
        await e.type("echo hi", ENTER)
        assert await e.result() == "echo hi"


@pytest.mark.parametrize(
    "text", ["if(a){", "echo 'a", "a |", "cat <<E", "for(i in a)", "x=`{a", "a \\", "fn f {"]
)
async def test_enter_begins_another_line_of_what_is_not(text: str) -> None:
    async with editing() as e:
        await e.type(text, ENTER)
        assert e.text == text + "\n"


async def test_enter_hands_over_a_mistake_at_once() -> None:
    async with editing() as e:
        await e.type("echo )", ENTER)
        assert await e.result() == "echo )"


async def test_enter_in_the_middle_of_a_complete_command_runs_all_of_it() -> None:
    async with editing() as e:
        await e.type("echo hi", ctrl("a"), ENTER)
        assert await e.result() == "echo hi"


@pytest.mark.parametrize("vi", [False, True])
async def test_alt_enter_begins_another_line_all_the_same(vi: bool) -> None:
    async with editing(vi=vi) as e:
        await e.type("echo a", ALT_ENTER, "echo b", ENTER)
        assert await e.result() == "echo a\necho b"


async def test_control_c_gives_up_the_line() -> None:
    async with editing() as e:
        await e.type("echo", ctrl("c"))
        with pytest.raises(KeyboardInterrupt):
            await e.result()


async def test_control_d_ends_on_an_empty_line_only() -> None:
    async with editing() as e:
        await e.type("ab", ctrl("a"), ctrl("d"))
        assert e.text == "b"
        await e.type(ctrl("d"), ctrl("d"))
        with pytest.raises(EOFError):
            await e.result()


async def test_what_is_pasted_is_not_run() -> None:
    async with editing() as e:
        await e.type("\x1b[200~echo a\r\necho b\n\x1b[201~")
        assert e.text == "echo a\necho b"
        await e.type(ENTER)
        assert await e.result() == "echo a\necho b"


async def test_the_next_line_begins_empty() -> None:
    async with editing() as e:
        await e.type("echo a", ENTER)
        await e.result()
        e.begin()
        await e.type("b", ENTER)
        assert await e.result() == "b"


# --- what was typed before -----------------------------------------------------------------------


async def test_up_finds_what_began_so_each_once_and_down_comes_back() -> None:
    async with editing("echo 1", "ls", "echo 2", "ls", "echo 1") as e:
        await e.type("ec", UP)
        assert e.text == "echo 1"
        await e.type(UP)
        assert e.text == "echo 2"
        await e.type(UP)
        assert e.text == "echo 2"
        await e.type(DOWN, DOWN)
        assert e.text == "ec"
        await e.type(DOWN)
        assert e.text == "ec"


async def test_up_on_an_empty_line_finds_all() -> None:
    async with editing("one", "two\nlines") as e:
        await e.type(UP)
        assert e.text == "two\nlines"
        await e.type(UP, UP)
        assert e.text == "one"
        await e.type("x", DOWN)
        assert e.text == "onex"  # which is a new line, that nothing comes after


async def test_commands_of_this_session_come_first() -> None:
    async with editing("theirs") as e:
        e.history.own.append(Entry("mine"))
        e.history.entries.insert(0, Entry("mine"))
        await e.type(UP)
        assert e.text == "mine"


async def test_the_last_word_of_the_command_before() -> None:
    async with editing("ls /some/where") as e:
        await e.type("cd ", ALT_DOT)
        assert e.text == "cd /some/where"


@pytest.mark.parametrize("vi", [False, True])
async def test_vi_and_emacs_have_their_own_keys_for_it(vi: bool) -> None:
    async with editing("one", "two", vi=vi) as e:
        if vi:
            await e.type(ESCAPE, "k", "k")
        else:
            await e.type(ctrl("p"), ctrl("p"))
        assert e.text == "one"


# --- suggestions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("vi", [False, True])
@pytest.mark.parametrize("key", [RIGHT, ctrl("e"), ctrl("f"), "\x1b[F"], ids=["right", "C-e", "C-f", "end"])
async def test_a_suggestion_is_taken(key: str, vi: bool) -> None:
    async with editing("echo one two", vi=vi) as e:
        await e.type("ech")
        await e.until(lambda: e.suggestion == "o one two")
        await e.type(key)
        assert e.text == "echo one two"


@pytest.mark.parametrize("vi", [False, True])
async def test_a_word_of_it_is_taken(vi: bool) -> None:
    async with editing("echo one two/three", vi=vi) as e:
        await e.type("ech")
        await e.until(lambda: e.suggestion)
        for text in ("echo", "echo one", "echo one two/", "echo one two/three"):
            await e.type(ALT_F)
            assert e.text == text
            await e.until(lambda: e.suggestion or e.text.endswith("three"))


async def test_what_was_typed_here_is_suggested_before_what_was_typed_elsewhere() -> None:
    async with editing(prepare="cd /etc") as e:
        e.history.entries += [Entry("echo here", 1.0, "/etc"), Entry("echo elsewhere", 2.0, "/tmp")]
        await e.type("echo")
        await e.until(lambda: e.suggestion == " here")
        await e.type(" e")
        await e.until(lambda: e.suggestion == "lsewhere")


async def test_nothing_is_suggested_that_cannot_be_run() -> None:
    async with editing("echo before", "echonosuch") as e:
        await e.type("ech")
        await e.until(lambda: e.editor._known.command("echonosuch") is False)
        await e.type("o")
        await e.until(lambda: e.suggestion == " before")


async def test_nothing_is_suggested_for_nothing() -> None:
    async with editing("echo a", " echo b") as e:
        await e.type(" ")
        await asyncio.sleep(0.05)
        assert e.suggestion == ""


# --- completion ----------------------------------------------------------------------------------


async def test_tab_puts_in_what_is_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "two words").touch()
    (tmp_path / "folder").mkdir()
    async with editing(prepare=f"cd {tmp_path}") as e:
        await e.type("cat tw", TAB)
        await e.shows("cat 'two words' ")
        await e.type("fo", TAB)
        await e.shows("cat 'two words' folder/")


async def test_tab_puts_in_what_all_have_in_common_and_shows_them(tmp_path: Path) -> None:
    for name in ("alpha", "alpine", "beta"):
        (tmp_path / name).touch()
    async with editing(prepare=f"cd {tmp_path}") as e:
        await e.type("cat a", TAB)
        await e.shows("cat alp")
        assert e.menu == ["alpha", "alpine"]
        await e.type(TAB)
        assert e.text == "cat alpha"
        await e.type(TAB)
        assert e.text == "cat alpine"
        await e.type(SHIFT_TAB)
        assert e.text == "cat alpha"
        await e.type(ENTER)  # which closes the menu
        assert (e.text, e.menu) == ("cat alpha", [])
        await e.type(ENTER)
        assert await e.result() == "cat alpha"


async def test_the_menu_is_closed_by_control_g(tmp_path: Path) -> None:
    (tmp_path / "a1").touch()
    (tmp_path / "a2").touch()
    async with editing(prepare=f"cd {tmp_path}") as e:
        await e.type("cat a", TAB)
        await e.until(lambda: e.menu)
        await e.type(TAB, ctrl("g"))
        assert (e.text, e.menu) == ("cat a", [])


async def test_who_types_on_has_less_in_the_menu(tmp_path: Path) -> None:
    for name in ("alpha", "alpine", "also", "beta"):
        (tmp_path / name).touch()
    async with editing(prepare=f"cd {tmp_path}") as e:
        await e.type("cat al", TAB)
        await e.until(lambda: e.menu == ["alpha", "alpine", "also"])
        await e.type("p")
        await e.until(lambda: e.menu == ["alpha", "alpine"])
        await e.type("i")
        await e.until(lambda: e.menu == ["alpine"])
        await e.type(TAB)
        await e.shows("cat alpine ")
        assert e.menu == []


async def test_another_word_has_nothing_to_do_with_the_menu(tmp_path: Path) -> None:
    (tmp_path / "a1").touch()
    (tmp_path / "a2").touch()
    async with editing(prepare=f"cd {tmp_path}") as e:
        await e.type("cat a", TAB)
        await e.until(lambda: e.menu)
        await e.type(" ")
        await asyncio.sleep(0.05)
        assert (e.text, e.menu) == ("cat a ", [])


async def test_who_types_on_does_not_get_a_menu(tmp_path: Path) -> None:
    (tmp_path / "a1").touch()
    (tmp_path / "a2").touch()
    async with editing(prepare=f"cd {tmp_path}") as e:
        await e.type("cat a" + TAB + "b")
        await asyncio.sleep(0.05)
        assert (e.text, e.menu) == ("cat ab", [])


async def test_a_completion_can_be_undone() -> None:
    async with editing() as e:
        await e.type("cat /et", TAB)
        await e.shows("cat /etc/")
        await e.type(ctrl("_"))
        assert e.text == "cat /et"


# --- searching -----------------------------------------------------------------------------------


async def test_control_r_finds_words_in_any_order_and_enter_runs() -> None:
    async with editing("echo alpha beta", "echo gamma") as e:
        await e.type(ctrl("r"), "beta ech")
        assert e.text == "echo alpha beta"
        await e.type(ENTER)
        assert await e.result() == "echo alpha beta"


async def test_one_goes_through_what_is_found_and_takes_it_to_be_changed() -> None:
    async with editing("echo 1", "echo 2", "echo 3") as e:
        await e.type(ctrl("r"), "echo", ctrl("r"), UP)
        assert e.text == "echo 1"
        await e.type(ctrl("s"))
        assert e.text == "echo 2"
        await e.type(RIGHT, "x", ENTER)
        assert await e.result() == "echo 2x"


@pytest.mark.parametrize("key", [ESCAPE, ctrl("c"), ctrl("g")])
async def test_escape_gives_back_the_line(key: str) -> None:
    async with editing("echo 1") as e:
        await e.type("ec", ctrl("r"), "1", key)
        assert e.text == "ec"
        await e.type("ho")
        assert e.text == "echo"


async def test_where_nothing_is_found_enter_runs_nothing() -> None:
    async with editing("echo 1") as e:
        await e.type("rm x", ctrl("r"), "zzz", ENTER)
        assert e.text == "rm x"


async def test_vi_searches_too() -> None:
    async with editing("echo 1", "ls", vi=True) as e:
        await e.type(ESCAPE, "/", "echo", ENTER)
        assert await e.result() == "echo 1"


# --- abbreviations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("gs ", "git status "),
        ("gs;", "git status;"),
        ("ls; gs ", "ls; git status "),
        ("{gs}", "{git status}"),
        ("echo gs ", "echo gs "),
        ("'gs' ", "'gs' "),
        ("gst ", "gst "),
        ("x=gs ", "x=gs "),
        ("gs", "gs"),
    ],
)
async def test_an_abbreviation_is_expanded_where_it_is_a_command(typed: str, text: str) -> None:
    async with editing(prepare="abbr gs='git status'") as e:
        await e.type(typed)
        assert e.text == text


async def test_enter_expands_an_abbreviation_too() -> None:
    async with editing(prepare="abbr gs='git status'") as e:
        await e.type("gs", ENTER)
        assert await e.result() == "git status"


async def test_nothing_is_expanded_while_one_searches() -> None:
    async with editing("gs is this", prepare="abbr gs='git status'") as e:
        await e.type(ctrl("r"), "gs this")
        assert e.text == "gs is this"


# --- an editor of one's own ----------------------------------------------------------------------


@pytest.mark.parametrize(("vi", "keys"), [(False, (ctrl("x"), ctrl("e"))), (True, (ESCAPE, "v"))])
async def test_an_editor_changes_the_line(tmp_path: Path, vi: bool, keys: tuple[str, str]) -> None:
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\n[ "$1" = -w ] && printf "echo new\\necho lines\\n\\n" >"$2"\n')
    script.chmod(0o755)
    async with editing(vi=vi, prepare=f"EDITOR='{script} -w'; ~ a b") as e:
        await e.type("echo old", *keys)
        await e.shows("echo new\necho lines")
        assert e.world.shell.status == "no match"  # as it was


async def test_visual_is_asked_before_editor_and_one_that_fails_changes_nothing() -> None:
    async with editing(prepare="VISUAL=false EDITOR=/no/such; VISUAL=false; EDITOR=/no/such") as e:
        await e.type("echo old", ctrl("x"), ctrl("e"))
        await e.until(lambda: not e.editor.app._running_in_terminal)
        assert e.text == "echo old"


async def test_an_editor_that_leaves_no_file_changes_nothing() -> None:
    async with editing(prepare="EDITOR='rm -f'; VISUAL=''") as e:
        await e.type("echo old", ctrl("x"), ctrl("e"))
        await e.until(lambda: "No such file" in e.editor.completing.notice)
        assert e.text == "echo old"


# --- modes ---------------------------------------------------------------------------------------


async def test_escape_acts_at_once_in_vi() -> None:
    async with editing(vi=True) as e:
        await e.type("echo ab", ESCAPE, "x")
        assert e.text == "echo a"


async def test_the_keys_of_a_sequence_may_take_their_time() -> None:
    async with editing(vi=True) as e:
        await e.type("echo ab", ESCAPE, "d")
        await asyncio.sleep(0.2)
        await e.type("d")
        assert e.text == ""
