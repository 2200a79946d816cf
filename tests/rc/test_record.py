"""nsh --record: what was typed and what came of it is written down, and replays."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given

from nsh.rc import parse
from nsh.rc.oneline import one_line
from nsh.rc.record import as_output
from tests.rc.line.terminal import ROOT
from tests.rc.screen import NSH, Terminal
from tests.rc.shell import rc
from tests.rc.strategies import lines

FILE = "s.transcript"

HEADER = "# a session of nsh\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory, with this source tree found from everywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(tmp_path))


def record(typed: str) -> list[str]:
    """What is written down of this, without the lines that lead to where it was typed."""
    subprocess.run([*NSH, "--record", FILE], input=typed, text=True, capture_output=True)
    written = Path(FILE).read_text()
    header = f"{HEADER}home={Path.cwd()}\ncd {Path.cwd()}\n"
    assert written.startswith(header)
    return written.removeprefix(header).splitlines()


def replayed() -> list[str]:
    """What a replay of that says of its commands."""
    done = subprocess.run([*NSH, "replay", "-k", FILE], text=True, capture_output=True)
    return done.stdout.splitlines()


@pytest.mark.limit(60)
def test_a_session_is_written_down_as_it_was_and_replays() -> None:
    typed = "echo hi\ncd /; pwd\nls nosuch\nnosuch\necho )\nx=(1 2)\n\n"
    assert record(f"{typed}sh -c 'echo a; echo b >&2; echo c'\nexit 3\n") == [
        "; echo hi",
        "hi",
        "; cd /; pwd",
        "/",
        "; ls nosuch",
        "ls: nosuch: 'nosuch' file does not exist",
        "; nosuch",
        "nsh: nosuch: file does not exist",
        "; echo )",
        "nsh: stdin:1:6: unexpected ')', expected a word, a redirection, an operator (; & | && ||) or the end"
        " of the line",
        "\techo )",
        "\t     ^ nothing was opened that it could close; quote it to use it in a word",
        "; x=(1 2)",
        "; sh -c 'echo a; echo b >&2; echo c'",
        "a",
        "b",
        "c",
        "; exit 3",
    ]
    assert replayed()[-1] == "10 commands, 0 differ"


@pytest.mark.limit(60)
def test_what_takes_several_lines_is_written_on_one_that_does_the_same() -> None:
    typed = "fn f {\n\techo got $*\n}\nx=(1 2)\ncat <<E\n$x and ; this\n\nE\nf 'a\nb' |\ncat\n"
    written = record(f"{typed}if(true) {{\necho '\n'}}\n")
    assert [line for line in written if line.startswith("; ")] == [
        "; fn f {echo got $*}",
        "; x=(1 2)",
        """; < <{echo -n $"x^' and ; this'^`''{echo}^`''{echo}} cat""",
        "; f 'a'^`''{echo}^'b'|cat",
        "; if(true){echo `''{echo}}",
    ]
    assert replayed()[-1] == "7 commands, 0 differ"


def test_what_looks_like_something_else_is_written_so_that_it_does_not() -> None:
    typed = "echo '; a'; echo '$ b'; echo '# c'; echo ...; echo '#T'; echo ';d'; echo -n e\necho f\n"
    assert record(typed)[1:] == [" ; a", " $ b", " # c", " ...", "#T", ";d", "e", "; echo f", "f"]
    assert [as_output(text) for text in ("% ", "%", "...", "... ", "....", "$")] == [
        " % ", " %", " ...", " ... ", "....", " $",
    ]  # fmt: skip


def test_a_mistake_in_several_lines_is_a_comment() -> None:
    assert record("{ echo a\n)\necho b\n")[:4] == [
        "# ; { echo a",
        "# )",
        "# nsh: stdin:2:1: unexpected ')', expected a command or '}'",
        "# \t)",
    ]


def test_what_the_background_prints_is_written_when_it_comes() -> None:
    typed = "mkfifo f; {cat f; echo done}&\necho one >f\nwait\n"
    assert sorted(record(typed)) == sorted(
        ["; mkfifo f; {cat f; echo done}&", "; echo one >f", "; wait", "one", "done"]
    )


def test_a_file_that_cannot_be_written_ends_the_session() -> None:
    done = subprocess.run([*NSH, "--record", "/no/such"], input="", text=True, capture_output=True)
    assert (done.stderr, done.returncode) == ("nsh: cannot record: /no/such: file does not exist\n", 1)
    done = subprocess.run([*NSH, "--record", FILE, "-c", "x"], text=True, capture_output=True)
    assert done.stderr.startswith("nsh: only a session is recorded, no script\nusage: ")


# --- at a terminal -----------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    started = []

    def start(term: str = "xterm") -> Terminal:
        started.append(Terminal(tmp_path, ["env", f"TERM={term}", *NSH, "--record", FILE]))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


@pytest.mark.requires("a terminal")
@pytest.mark.limit(60)
def test_what_is_typed_at_a_terminal_is_shown_and_written_down(start: Callable[..., Terminal]) -> None:
    t = start()
    assert t.output("sh -c 'test -t 1 || echo no terminal'") == ["no terminal"]
    assert t.output("echo one; cd nosuch; echo -n two; sh -c 'echo three >&2'") == [
        "one",
        "cd: nosuch: 'nosuch' file does not exist",
        "twothree",
    ]
    t.command("sleep 100")
    t.key("\x03")
    t.command("for(i in 1 2) {")
    t.type("echo turn $i\r}\r")
    t.until("turn 2")
    t.prompt()
    t.type("\x04")
    assert t.end() == 0
    written = Path(FILE).read_text()
    assert "\x1b" not in written and "ready>" not in written
    assert "\n; sh -c 'test -t 1 || echo no terminal'; echo en''d\nno terminal\nend\n" in written
    assert "\none\ncd: nosuch: 'nosuch' file does not exist\ntwothree\nend\n" in written
    assert "\n# ; sleep 100\n" in written
    assert written.endswith("\n; for(i in 1 2){echo turn $i}\nturn 1\nturn 2\n")
    assert replayed()[-1] == "5 commands, 0 differ"


@pytest.mark.requires("a terminal")
def test_a_command_that_is_given_up_is_not_written_down(start: Callable[..., Terminal]) -> None:
    t = start("dumb")
    t.command("for(i in 1 2) {")
    t.until("more>")
    t.key("\x03")
    t.command("echo here")
    t.see("here")
    t.prompt()
    t.type("\x04")
    assert t.end() == 0
    assert Path(FILE).read_text().endswith("\n; echo here\nhere\n")


# --- one line ----------------------------------------------------------------------------------


@given(lines)
def test_every_command_can_be_written_on_one_line(text: str) -> None:
    try:
        commands = list(parse.parse(text))
    except parse.RcSyntaxError:
        return
    if commands:
        line = one_line(commands)
        assert "\n" not in line
        assert len(list(parse.parse(line))) == 1


async def test_one_line_does_what_several_did() -> None:
    text = "x=(a b)\ncat <<E\n$x^c $x(1) $$ '`\n\n-n\nE\ncat <<'E' <<[3]F\n$x\nE\n3\nF\n"
    text += "echo 'two\nlines'^$x '\n'\n"
    assert await rc(one_line(list(parse.parse(text))) + "\n") == await rc(text)
