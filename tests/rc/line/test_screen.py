"""The prompt as a person sees it: nsh at a pseudo terminal, and the screen that comes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rc.line.editing import DOWN, ENTER, ESCAPE, RIGHT, TAB, UP, ctrl
from tests.rc.line.terminal import ROOT, Terminal

pytestmark = [pytest.mark.requires("a terminal"), pytest.mark.limit(40)]

Start = Callable[..., Terminal]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a directory for work, in which nsh is started."""
    (tmp_path / "work").mkdir()
    return tmp_path


@pytest.fixture
def start(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts nsh at a terminal of its own."""
    monkeypatch.chdir(home / "work")
    started: list[Terminal] = []

    def begin(*program: str, **environ: str) -> Terminal:
        started.append(Terminal(home, program or ("-m", "nsh"), **environ))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


def config(home: Path, text: str) -> None:
    """Write a startup file."""
    directory = home / ".config" / "nsh"
    directory.mkdir(parents=True)
    (directory / "nshrc").write_text(text)


# --- the prompt ----------------------------------------------------------------------------------


def test_the_prompt_tells_the_directory(start: Start) -> None:
    t = start()
    t.until("~/work% ")
    t.type("cd /usr/share/doc" + ENTER)
    t.until("/usr/share/doc% ")
    assert t.title == "nsh /usr/share/doc"


def test_prompt_says_otherwise(start: Start) -> None:
    t = start()
    t.type("prompt=('first> ' 'more> ')" + ENTER)
    t.until("\nfirst> ")
    t.type("if(~ a a){" + ENTER)
    t.until("\nmore> ")
    t.type("echo in^side" + ENTER + "}" + ENTER)
    t.until("\ninside\nfirst> ")


def test_further_lines_stand_below_the_first(start: Start) -> None:
    t = start()
    t.until("~/work% ")
    t.type("{" + ENTER + "echo a")
    t.until("~/work% {\n        echo a")


def test_a_function_prints_the_prompt_or_sets_it(start: Start, home: Path) -> None:
    config(home, "fn prompt { count=($count x); prompt='set '^$#count^'> ' }\n")
    t = start()
    t.until("set 1> ")
    t.type("~ a b" + ENTER)
    t.until("set 2> ")
    t.type("echo '<'^$status^'>'" + ENTER)  # which the function has not changed
    t.until("\n<no match>\n")
    t.type("fn prompt { echo two; echo lines $status^'> ' }" + ENTER)
    t.until("\ntwo\nlines > ")


def test_a_function_that_goes_wrong_leaves_the_prompt_as_it_is(start: Start, home: Path) -> None:
    config(home, "prompt='plain> '; fn prompt { echo (1 2)^(1 2 3) }\n")
    t = start()
    t.until("mismatched list lengths")
    t.until("plain> ")


def test_a_function_that_takes_for_ever_is_ended_by_control_c(start: Start, home: Path) -> None:
    config(home, "prompt='plain> '; fn prompt { echo wait^ing >[1=2]; sleep 1000 }\n")
    t = start()
    t.until("waiting")
    t.type(ctrl("c"))
    t.until("plain> ")


def test_at_the_right_stands_how_the_last_command_failed(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("~ a b" + ENTER)
    assert t.until("no match").splitlines()[-1].endswith("no match")
    assert t.colour("no match") == "red"
    t.type("true" + ENTER)
    t.until(lambda: t.lines[-1] == "~/work%")


def test_a_function_says_what_stands_at_the_right(start: Start, home: Path) -> None:
    config(home, "fn rprompt { echo 'right '^$status }\n")
    t = start()
    t.until(lambda: t.lines[-1:] and t.lines[-1].endswith("right"))
    t.type("~ a b" + ENTER)
    t.until("right no match")


def test_what_was_printed_without_a_newline_is_not_lost(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("printf abc" + ENTER)
    t.until("\nabc\N{RETURN SYMBOL}\n~/work%")
    t.type("echo abcd" + ENTER)
    t.until("\nabcd\n~/work%")


def test_the_terminal_is_not_asked_where_its_cursor_is(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("echo a" + ENTER)
    t.until("\na\n")
    t.still()
    assert b"\x1b[6n" not in t.raw


def test_the_title_tells_what_runs(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("echo go^ing; sleep 1000 # for long" + ENTER)
    t.until("\ngoing")
    assert t.title == "echo go^ing; sleep 1000 # for long"
    t.type(ctrl("c"))
    t.until(lambda: t.title == "nsh ~/work")


# --- what is typed -------------------------------------------------------------------------------


def test_colours_tell_what_exists(start: Start, home: Path) -> None:
    (home / "work" / "notes").touch()
    t = start()
    t.until("% ")
    t.type("ls notes /no/such | nosuchcommand 'q' $x ")
    t.until(lambda: t.colour("nosuchcommand") == "red" and t.colour("/no") == "red")
    assert t.colour("ls") == "green"
    assert t.colour("notes") == "default_"
    assert t.colour("'q'") == "brown"
    assert t.colour("$x") == "cyan"


def test_no_colour_where_none_is_wanted(start: Start) -> None:
    t = start(NO_COLOR="1")
    t.until("% ")
    t.type("nosuchcommand 'q' /etc ")
    t.until(lambda: t.colour("/etc") == "default_")
    assert t.colour("nosuchcommand") == t.colour("'q'") == t.colour("~/work") == "default"


def test_a_syntax_error_is_shown_with_its_place_and_nothing_is_run(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("\x1b[200~echo not^run\necho a)b\necho nor^this\x1b[201~" + ENTER)
    screen = t.until("unexpected ')'")
    t.until("\n        echo a)b\n              ^ nothing was opened")
    assert "notrun" not in screen and "northis" not in t.still()


def test_control_c_ends_all_that_was_typed_at_once(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("\x1b[200~echo go^ing; sleep 1000\necho not^run\x1b[201~" + ENTER)
    t.until("\ngoing")
    t.type(ctrl("c"))
    t.until("interrupted")
    assert "notrun" not in t.still()


def test_what_is_pasted_waits_for_enter(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("\x1b[200~echo one\recho two\r\x1b[201~")
    t.until("% echo one\n        echo two")
    assert "\none\n" not in t.still()
    t.type(ENTER)
    t.until("\none\ntwo\n")


def test_a_suggestion_is_seen_and_taken(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("echo some thing" + ENTER)
    t.until("\nsome thing\n")
    t.type("ec")
    t.until(lambda: t.colour("ho some") == "brightblack")
    t.type(RIGHT + " else" + ENTER)
    t.until("\nsome thing else\n")


def test_of_a_suggestion_of_several_lines_the_first_is_seen(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("{" + ENTER + "echo a^b" + ENTER + "}" + ENTER)
    t.until("\nab\n")
    t.type("{")
    t.until("% { ...")
    t.type(RIGHT + ENTER)
    t.until(lambda: t.screen.count("\nab\n") == 2)


# --- completion ----------------------------------------------------------------------------------


def test_the_menu_tells_what_its_words_mean(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("mount -" + TAB)
    t.until("-A     do not ask the server for proof of who it is")
    t.type(TAB + TAB + ENTER)
    t.until(lambda: t.lines[-1] == "~/work% mount -A")


def test_files_stand_in_columns(start: Start, home: Path) -> None:
    for letter in "abcdefgh":
        (home / "work" / f"file-of-some-length-{letter}").touch()
    t = start()
    t.until("% ")
    t.type("ls f" + TAB)
    t.until("% ls file-of-some-length-\n file-of-some-length-a file-of-some-length-d file-of-some-length-g\n")
    t.type(TAB + RIGHT)
    t.until("% ls file-of-some-length-d")


def test_a_narrow_terminal_and_one_of_another_size(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("echo a command that takes more than one line of a narrow terminal")
    t.until("narrow terminal")
    t.resize(30, 8)
    t.until(
        lambda: (
            t.lines[-3:]
            == ["~/work% echo a command that ta", "kes more than one line of a na", "rrow terminal"]
        )
    )
    t.type(ctrl("a") + ctrl("k") + "mount -" + TAB)
    t.until("-9     the")
    t.type(ctrl("r"))
    t.until("search:")
    t.resize(9, 3)
    t.still()
    t.type(ESCAPE)
    t.still()
    t.resize(80, 24)
    t.type(ctrl("a") + ctrl("k") + "echo still^here" + ENTER)
    t.until("\nstillhere\n")


def test_a_server_that_is_dead_does_not_hold_up_a_key(start: Start, home: Path) -> None:
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "nsh",
            "-c",
            f"styxlisten 'unix!{home}/s' export {home}; echo ready; sleep 1000",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None and server.stdout.readline()
        t = start()
        t.until("% ")
        t.type(f"mount 'unix!{home}/s' /n/dead; echo moun^ted" + ENTER)
        t.until("\nmounted\n")
        t.type("ls /n/dead/wo" + TAB)
        t.until("% ls /n/dead/work/")
        os.killpg(server.pid, signal.SIGSTOP)
        t.type(ctrl("a") + ctrl("k") + "cat /n/dead/work/" + TAB + "x")
        t.until("% cat /n/dead/work/x")
        t.type(ctrl("a") + ctrl("k") + "cat /n/dead/wor" + TAB)
        t.until("% cat /n/dead/work/\n/n/dead does not answer")  # but it is known from before
        t.type(TAB)
        t.until("/n/dead/work does not answer")
        t.type(ctrl("a") + ctrl("k") + "exit" + ENTER)
        assert t.end() == 0
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


# --- the history ---------------------------------------------------------------------------------


def test_sessions_share_what_was_typed(start: Start) -> None:
    one, two = start(), start()
    one.until("% ")
    two.until("% ")
    one.type("cd /usr; ~ alpha^beta gamma" + ENTER)
    one.until("no match")
    two.type("echo mine" + ENTER)
    two.until("\nmine\n")
    two.type(ctrl("r") + "gamma ~")
    screen = two.until("search: gamma ~")
    screen = two.until("cd /usr; ~ alpha^beta gamma\nsearch:")
    row = screen.splitlines()[-2]
    assert "no match" in row and "~/work" in row and "now" in row
    assert "no match, took" in screen.splitlines()[-1]
    two.type(ESCAPE)
    two.until(lambda: "search" not in two.screen)
    two.type(UP)
    two.until("% echo mine")


def test_a_command_of_several_lines_is_one_entry(start: Start, home: Path) -> None:
    t = start()
    t.until("% ")
    t.type("{" + ENTER + "echo a^b" + ENTER + "}" + ENTER)
    t.until("\nab\n")
    t.type(" echo sec^ret" + ENTER)
    t.until("\nsecret\n")
    t.type(UP)
    t.until("% {\n        echo a^b\n        }")
    t.type(DOWN + "exit 3" + ENTER)
    assert t.end() == 3
    lines = (home / ".local" / "state" / "nsh" / "history").read_text().splitlines()
    assert ["secret" in line for line in lines] == [False, False]
    assert '"text":"exit 3"' in lines[1]


def test_a_command_that_still_runs_when_the_terminal_goes_is_kept(start: Start, home: Path) -> None:
    t = start()
    t.until("% ")
    t.type("echo go^ing; sleep 1000" + ENTER)
    t.until("\ngoing")
    os.kill(t.pid, signal.SIGHUP)
    t.end()
    assert "sleep 1000" in (home / ".local" / "state" / "nsh" / "history").read_text()


def test_history_prints_what_was_typed(start: Start) -> None:
    t = start()
    t.until("% ")
    t.type("~ a b" + ENTER + "echo one" + ENTER)
    t.until("\none\n")
    t.type("history" + ENTER)
    t.until("\n~ a b\necho one\n")
    t.type("history -l '~' | sed 's/ .*ms / /'" + ENTER)
    t.until("'no match' ")


def test_a_history_that_cannot_be_kept_is_told_of_once(start: Start, home: Path) -> None:
    (home / "file").touch()
    t = start(XDG_STATE_HOME=str(home / "file"))
    t.until("nsh: nothing is kept in the history: ")
    t.type("echo one" + ENTER)
    t.until("\none\n")
    t.type(UP)
    t.until("% echo one")
    assert t.screen.count("nothing is kept") == 1


# --- how it is set up ----------------------------------------------------------------------------


def test_the_startup_file_is_run_for_a_person_only(start: Start, home: Path) -> None:
    config(home, "echo star^ted\nabbr gs='echo git status'\nediting=vi\n")
    t = start()
    t.until("started")
    t.until("[I] ~/work% ")
    t.type("gs now" + ENTER)
    t.until("\ngit status now\n")
    t.type("x" + ESCAPE)
    t.until("[N] ~/work% x")
    script = subprocess.run(
        [sys.executable, "-m", "nsh", "-c", "echo script"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)},
        capture_output=True,
    )
    assert script.stdout == b"script\n"


def test_a_mistake_in_it_is_told_and_one_has_a_prompt(start: Start, home: Path) -> None:
    config(home, "echo before\necho )\n")
    t = start()
    t.until("before")
    t.until(f"{home}/.config/nsh/nshrc:2:6: unexpected ')'"[:70])
    t.until("% ")


def test_what_fails_in_it_has_its_file_and_line(start: Start, home: Path) -> None:
    config(home, "fn f {\ncat <nosuch\n}\nf\ncat <missing\necho $(a b)\n")
    t = start()
    t.resize(200, 24)
    for line, what in ((2, "cannot open nosuch"), (5, "cannot open missing"), (6, "variable")):
        t.until(f"nsh: {home}/.config/nsh/nshrc:{line}: {what}")
    t.until("% ")
    t.type("cat <typed" + ENTER)
    t.until("nsh: cannot open typed: ")


def test_exit_in_it_ends_the_shell(start: Start, home: Path) -> None:
    config(home, "exit 5\n")
    assert start().end() == 5


def test_dumb_terminals_get_plain_lines(start: Start) -> None:
    t = start(TERM="dumb")
    t.until("% ")
    t.type("echo a^b" + ENTER)
    t.until("\nab\n% ")
    assert b"\x1b" not in t.raw


@pytest.mark.parametrize("key", ["\x03", "\x1c"], ids=["Ctrl-C", "Ctrl-backslash"])
def test_a_key_gives_a_plain_line_up_and_the_shell_asks_anew(start: Start, key: str) -> None:
    t = start(TERM="dumb", prompt="ready> \1more> ")
    t.until("ready>")
    t.type("echo given_up")
    t.until("ready> echo given_up")
    t.type(key)
    t.until("\nready>")
    t.type("x=$status; echo s^et" + ENTER)
    t.until("\nset\nready>")
    t.type("{ echo given_up" + ENTER)
    t.until("\nmore>")
    t.type(key)
    t.until(lambda: t.lines[-1] == "ready>")
    t.type("echo $x still^here" + ENTER)
    t.until("\ninterrupted stillhere\nready>")
    assert "\ngiven_up" not in t.screen
    t.type("exit 4" + ENTER)
    assert t.end() == 4


def test_the_function_of_a_signal_is_run_at_a_plain_prompt(start: Start) -> None:
    t = start(TERM="dumb")
    t.until("% ")
    t.type("fn sigint { echo no^ted $status }" + ENTER)
    t.until("}\n% ")
    t.type("echo x\x03")
    t.until("\nnoted interrupted\n% ")
    t.type("echo still^here" + ENTER)
    t.until("\nstillhere\n% ")


def test_plain_lines_where_prompt_toolkit_is_missing(start: Start, home: Path) -> None:
    missing = "raise ModuleNotFoundError('no such module', name='prompt_toolkit')\n"
    (home / "prompt_toolkit.py").write_text(missing)
    t = start(PYTHONPATH=f"{home}:{ROOT}")
    t.until("% ")
    t.type("fn prompt { echo 'mine> ' }" + ENTER)
    t.until("\nmine> ")
    t.type("echo a^b" + ENTER)
    t.until("\nab\nmine> ")


def test_prompt_toolkit_is_imported_at_a_terminal_only(home: Path) -> None:
    (home / "prompt_toolkit.py").write_text("raise SystemExit('imported')\n")
    environ = {**os.environ, "PYTHONPATH": f"{home}:{ROOT}", "HOME": str(home)}
    for arguments, text in ((["-c", "echo yes"], ""), ([], "echo yes\n"), (["-i"], "echo yes\n")):
        done = subprocess.run(
            [sys.executable, "-m", "nsh", *arguments], env=environ, input=text, capture_output=True, text=True
        )
        assert done.stdout == "yes\n"


def test_an_editor_is_called_with_the_line(start: Start, home: Path) -> None:
    script = home / "editor"
    script.write_text("#!/bin/sh\necho editing; echo 'echo edit^ed' >$1\n")
    script.chmod(0o755)
    t = start(EDITOR=str(script))
    t.until("% ")
    t.type("echo old" + ctrl("x") + ctrl("e"))
    t.until("editing")
    t.until("% echo edit^ed")
    t.type(ENTER)
    t.until("\nedited\n")
