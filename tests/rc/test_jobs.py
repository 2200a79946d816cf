"""Jobs: what is stopped, continued, put in front and into the background, by somebody at a real terminal."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from nsh.rc.job import STOPPED
from tests.rc.screen import NSH, PROMPT, Terminal

pytestmark = pytest.mark.requires("a terminal")

STOP, INTERRUPT, QUIT, END = "\x1a", "\x03", "\x1c", "\x04"
"""Ctrl-Z, Ctrl-C, Ctrl-backslash, Ctrl-D."""

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts nsh, or another program, on a terminal of its own, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    started = []

    def start(*argv: str) -> Terminal:
        started.append(Terminal(tmp_path, list(argv) or None))
        return started[-1]

    nsh = tmp_path / "nsh"
    nsh.write_text(f'#!/bin/sh\nexec {NSH[0]} -m nsh "$@"\n')
    nsh.chmod(0o755)
    yield start
    for terminal in started:
        terminal.close()


@pytest.fixture
def terminal(start: Start) -> Terminal:
    return start()


def state(pid: int) -> str:
    """The letter of a process's state; '' when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def gone(pid: int) -> bool:
    """Wait until a process is over."""
    while state(pid) not in ("", "Z"):
        time.sleep(0.01)
    return True


def group(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[2])


RUNNING = {
    "a command of nsh": "echo on; sleep 1000",
    "a program": "sh -c 'echo on; exec sleep 1000'",
    "programs": "env sleep 1000 | sh -c 'echo on; exec cat'",
    "a command into a program": "{echo on; sleep 1000} | env cat",
    "a program into a command": "sh -c 'echo on; exec sleep 1000' | cat",
    "a loop": "for(i in 1 2) {echo on; env sleep 1000}",
    "a loop that never waits": "echo on; while() {}",
    "a function": "fn f {echo on; sleep 1000}; f",
    "a subshell": "@{echo on; env sleep 1000}",
    "the output of a command": "echo on; x=`{sleep 1000}",
    "what a command starts": "time sh -c 'echo on; exec sleep 1000'",
    "one who reads": "echo on; cat",
    "one who reads for a program": "echo on; cat | grep x",
    "a substitution": "cat <{echo on; sleep 1000}",
    "a pipe that is opened": "mkfifo p; echo on; cat <p",
    "one who does not listen": "{echo on; sleep 1000} | env tee -i out",
}


@pytest.mark.parametrize("command", RUNNING.values(), ids=RUNNING)
def test_what_runs_is_stopped_resumed_and_interrupted(terminal: Terminal, command: str) -> None:
    terminal.command(command)
    terminal.see("on")
    terminal.key(STOP)
    terminal.see(r"\[1\]\+ stopped +.*")
    terminal.prompt()
    assert terminal.front == terminal.pid
    terminal.fg()
    terminal.key(INTERRUPT)
    assert terminal.output("jobs") == []


def test_what_is_stopped_again_is_told_again(terminal: Terminal) -> None:
    terminal.command("echo on; sleep 1000")
    terminal.see("on")
    for _ in range(3):
        terminal.key(STOP)
        terminal.see(r"\[1\]\+ stopped .*")
        terminal.clear()
        terminal.fg()


def test_a_program_that_is_about_to_start_is_stopped_like_any_other(terminal: Terminal) -> None:
    """What is stopped before it is a program at all would keep us waiting for ever."""
    terminal.command("for(i in `{seq 100000}) {env true; echo $i}")
    for _ in range(10):
        terminal.see(r"\d+")
        terminal.type(STOP)
        terminal.see(r"\[1\]\+ stopped .*")
        terminal.clear()
        terminal.command("fg")
    terminal.see(r"\d+")
    terminal.type(INTERRUPT)
    assert terminal.output("jobs") == []


def test_no_key_is_lost_between_two_programs(terminal: Terminal) -> None:
    for _ in range(10):
        terminal.clear()
        terminal.command("for(i in `{seq 100000}) {env true; echo $i}")
        terminal.see(r"\d+")
        terminal.type(INTERRUPT)
        terminal.prompt()


# --- programs and the terminal -----------------------------------------------------------------


@pytest.mark.requires("vi")
def test_an_editor_is_left_and_comes_back_and_the_terminal_with_it(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "poem").write_text("roses are red\n")
    terminal.command("stty -a >before")
    terminal.command("vi poem")
    terminal.see("roses are red")
    terminal.type(STOP)
    terminal.see(r"\[1\]\+ stopped +vi poem")
    terminal.command("stty -a >between")
    terminal.fg()
    terminal.see("roses are red")
    terminal.type("Aer\x1b:wq\r")
    terminal.prompt()
    terminal.command("stty -a >after")
    terminal.prompt()
    assert (tmp_path / "poem").read_text() == "roses are reder\n"
    before = (tmp_path / "before").read_text()
    assert "icanon" in before and (tmp_path / "between").read_text() == before
    assert (tmp_path / "after").read_text() == before


@pytest.mark.requires("less")
@pytest.mark.parametrize("source", ["less numbers", "cat numbers | less", "env cat numbers | less"])
def test_a_pager_has_the_terminal_wherever_its_text_comes_from(
    terminal: Terminal, tmp_path: Path, source: str
) -> None:
    (tmp_path / "numbers").write_text("".join(f"line {number}\n" for number in range(100000)))
    terminal.command(source)
    terminal.see("line 5")
    terminal.type(" ")
    terminal.see("line 30")
    terminal.type(STOP)
    terminal.see(r"\[1\]\+ stopped +.*less.*")
    terminal.fg()
    terminal.type("/line 99\r")
    terminal.see("line 99")
    terminal.type("q")
    assert terminal.output("echo ba^ck") == ["back"]


@pytest.mark.requires("less")
def test_control_c_in_a_pager_is_also_for_the_command_that_feeds_it(
    terminal: Terminal, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "p")
    terminal.command("cat p | less")
    with open(tmp_path / "p", "w") as p:
        p.write("one line\n")
        p.flush()
        terminal.see("one line")
        terminal.key(INTERRUPT)
        terminal.see(r"\(END\)")
        terminal.type("q")
        terminal.prompt()


@pytest.mark.requires("top")
def test_top_is_stopped_resumed_and_quit(terminal: Terminal) -> None:
    terminal.command("top")
    terminal.see(r".* PID USER .*")
    terminal.type(STOP)
    terminal.see(r"\[1\]\+ stopped +top")
    terminal.clear()
    terminal.command("fg")
    terminal.see(r".* PID USER .*")
    terminal.type("q")
    assert terminal.output("echo ba^ck") == ["back"]


def test_a_program_that_crashes_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.prompt()
    assert terminal.output("stty -a | grep -c 'isig icanon iexten echo '") == ["1"]
    for end in ("kill -9 $$", "exit 1"):
        terminal.command(f"sh -c 'stty raw -echo; {end}'")
        assert terminal.output("stty -a | grep -c 'isig icanon iexten echo '") == ["1"]
    terminal.command("stty -echoctl")
    assert terminal.output("stty -a | grep -c -e '-echoctl'") == ["1"]


def test_the_programs_of_a_line_are_one_process_group_which_is_in_front(
    terminal: Terminal, tmp_path: Path
) -> None:
    one = "sh -c 'echo $$ >one; exec sleep 1000'"
    terminal.command(f"{one} | sh -c 'echo $$ >two; echo on; exec cat'")
    terminal.see("on")
    terminal.until(lambda: (tmp_path / "one").exists() and (tmp_path / "one").read_text().endswith("\n"))
    pids = [int((tmp_path / name).read_text()) for name in ("one", "two")]
    assert group(pids[0]) == group(pids[1]) != terminal.pid
    terminal.until(lambda: terminal.front == group(pids[0]))
    terminal.key(STOP)
    terminal.see(r"\[1\]\+ stopped .*")
    assert [state(pid) for pid in pids] == ["T", "T"]
    terminal.command("kill -9 %1")
    terminal.command("wait")
    assert all(gone(pid) for pid in pids)


@pytest.mark.requires("FUSE in a name space")
def test_a_program_inside_the_name_space_is_a_job_like_any_other(terminal: Terminal) -> None:
    terminal.command("os -n sh -c 'echo on; exec cat'")
    terminal.see("on")
    terminal.key(STOP)
    terminal.see(r"\[1\]\+ stopped +os -n .*")
    terminal.fg()
    terminal.type("heard\r")
    terminal.until(lambda: terminal.lines.count("heard") == 2)
    terminal.type(END)
    terminal.prompt()


# --- what a job is -----------------------------------------------------------------------------


def test_nothing_of_a_stopped_job_goes_on(terminal: Terminal, tmp_path: Path) -> None:
    terminal.command("echo x >>out; echo on; while() {echo x >>out; sleep 0.01}")
    terminal.see("on")
    terminal.key(STOP)
    terminal.see(r"\[1\]\+ stopped .*")
    terminal.prompt()
    length = (tmp_path / "out").stat().st_size
    terminal.command("sleep 0.2")
    terminal.prompt()
    assert (tmp_path / "out").stat().st_size == length
    terminal.command("bg")
    terminal.see(r"\[1\] +running .*")
    terminal.until(lambda: (tmp_path / "out").stat().st_size > length)
    terminal.command("kill %1")
    terminal.command("wait")
    terminal.prompt()


def test_a_job_keeps_its_variables_and_descriptors_and_the_prompt_has_its_own(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.command("fn f {sh -c 'echo on >/dev/tty; read x'; echo $1 $y}")
    terminal.command("y=outer; mkdir d; cd d; for(i in 1 2) y=inner f $i >>../out")
    terminal.see("on")
    terminal.key(STOP)
    terminal.see(r"\[1\]\+ stopped .*")
    assert terminal.output("echo $#i $y; pwd") == ["0 outer", str(tmp_path / "d")]
    terminal.command("cd /; fg")
    terminal.key("\r")
    terminal.until(lambda: (tmp_path / "out").read_text() == "1 inner\n")
    terminal.key("\r")
    assert terminal.output("pwd") == ["/"]
    assert (tmp_path / "out").read_text() == "1 inner\n2 inner\n"


def test_jobs_are_told_by_number_name_and_process(terminal: Terminal) -> None:
    terminal.command("env sleep 1001 &")
    terminal.command("sleep 1002 & sleep 1003 &")
    assert terminal.output("jobs") == [
        "[1]  running   env sleep 1001",
        "[2]  running   sleep 1002",
        "[3]+ running   sleep 1003",
    ]
    assert terminal.output("kill -STOP %env; jobs") == [
        "[1]+ stopped   env sleep 1001",
        "[2]  running   sleep 1002",
        "[3]  running   sleep 1003",
    ]
    assert terminal.output("kill -CONT %1; kill -9 %1; wait %1; echo $status") == ["1"]
    assert terminal.output("kill %-; kill $apid; wait; jobs; echo $#status") == ["1"]
    assert terminal.output("wait %7; fg %7; bg") == [
        "wait %7: no such job",
        "fg %7: no such job",
        "bg %: no such job",
    ]


TRAPS = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: open("out", "a").write("heard"))
open("ready", "w").close()
while True:
    signal.pause()
"""


@pytest.mark.parametrize("started", ["&", "Ctrl-Z"])
def test_signals_reach_the_program_of_a_job(terminal: Terminal, tmp_path: Path, started: str) -> None:
    (tmp_path / "traps.py").write_text(TRAPS)
    terminal.command(f"env python3 traps.py{' &' if started == '&' else ''}")
    terminal.until(lambda: (tmp_path / "ready").exists())
    if started == "Ctrl-Z":
        terminal.key(STOP)
        terminal.see(r"\[1\]\+ stopped .*")
    assert terminal.output("kill -CONT %1; jobs") == ["[1]+ running   env python3 traps.py"]
    terminal.command("kill -USR1 %1")
    terminal.until(lambda: (tmp_path / "out").exists())
    assert terminal.output("kill -STOP %1; jobs") == ["[1]+ stopped   env python3 traps.py"]
    assert terminal.output("kill -CONT %1; kill -KILL %1; wait %1; echo $#status; jobs") == ["1"]


def test_tab_completes_a_job(terminal: Terminal) -> None:
    terminal.command("sleep 1001 & env sleep 1002 &")
    terminal.prompt()
    terminal.type("kill %env\t")
    terminal.see(f"{PROMPT} kill %2")
    terminal.type("\r")
    terminal.command("wait %2")
    assert terminal.output("jobs") == ["[1]+ running   sleep 1001"]
    terminal.prompt()
    terminal.type("fg %\t")
    terminal.see(f"{PROMPT} fg %1")
    terminal.type("\r")
    terminal.see("sleep 1001")
    terminal.key(INTERRUPT)
    assert terminal.output("jobs") == []


def test_digits_are_the_number_of_a_job_and_no_name(terminal: Terminal) -> None:
    terminal.command("fn 2nd {sleep 1003}")
    terminal.command("sleep 1001 & sleep 1002 & 2nd &")
    assert terminal.output("kill %2; wait %2; jobs") == [
        "[1]  running   sleep 1001",
        "[3]+ running   2nd",
    ]
    assert terminal.output("kill %2; kill %2n; wait %2n; jobs") == [
        "kill: cannot find %2",
        "[1]+ running   sleep 1001",
    ]


def test_a_line_that_is_given_up_leaves_its_status(terminal: Terminal) -> None:
    terminal.command("~ a a")
    terminal.prompt()
    terminal.type(f"echo x{INTERRUPT}")
    assert terminal.output("echo $status") == ["interrupted"]


def test_the_function_of_a_signal_ends_one_command_and_the_line_goes_on(terminal: Terminal) -> None:
    terminal.command("fn sigint {echo noted}")
    terminal.command("fn f {sh -c 'echo on; exec sleep 1000'}; f; echo $status; f; echo e^nd")
    terminal.see("on")
    terminal.key(INTERRUPT)
    terminal.see("interrupted")
    terminal.until(lambda: terminal.lines.count("on") == 2)
    terminal.key(INTERRUPT)
    terminal.see("end")


def test_the_status_of_a_job_is_that_of_fg(terminal: Terminal) -> None:
    terminal.command("sh -c 'read x; exit 3' &")
    terminal.see(r"\[1\]\+ stopped \(tty input\) sh .*")
    terminal.fg()
    terminal.key("\r")
    assert terminal.output("echo $status") == ["3"]


def test_the_end_of_a_job_is_told_at_once_to_who_does_not_type(terminal: Terminal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    terminal.command("cat p; sh -c 'exit 4' &")
    (tmp_path / "p").write_text("")
    terminal.command("env cat p &")
    (tmp_path / "p").write_text("")
    terminal.see(r"\[\d\]\+ done +env cat p")
    terminal.prompt()


# --- the background ----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["cat", "env cat", "cat /dev/cons", "env cat /dev/tty"])
def test_who_reads_the_terminal_in_the_background_is_stopped_until_it_is_in_front(
    terminal: Terminal, command: str
) -> None:
    terminal.command(f"{command} &")
    terminal.see(rf"\[1\]\+ stopped \(tty input\) {command}")
    assert terminal.output("echo mi^ne") == ["mine"]
    terminal.fg()
    terminal.type("theirs\r")
    terminal.until(lambda: terminal.lines.count("theirs") == 2)
    terminal.type(END)
    terminal.prompt()


def test_on_in_the_background_does_not_wait_for_the_terminal(terminal: Terminal) -> None:
    terminal.command("on -N -n 1 cat &")
    terminal.see(r"\[1\]\+ done +on -N -n 1 cat")
    terminal.command("on -qN -n 1 sh -c 'echo up; cat'")
    terminal.see("up")
    terminal.type("theirs\r")
    terminal.until(lambda: terminal.lines.count("theirs") == 2)
    terminal.type(END)
    terminal.prompt()


def test_output_of_nsh_comes_above_the_line_that_is_edited(terminal: Terminal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    terminal.command("cat p &")
    terminal.prompt()
    terminal.type("echo edi")
    terminal.see("ready> echo edi")
    (tmp_path / "p").write_text("one\ntwo")
    terminal.see("two.")  # and a mark, for there was no newline
    terminal.see("ready> echo edi")
    assert terminal.lines[-3:-1] == ["one", "two⏎"]
    terminal.type("ted\r")
    terminal.see("edited")


def test_a_line_is_drawn_anew_below_what_a_program_has_written(terminal: Terminal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    terminal.command("env cat p &")
    terminal.prompt()
    terminal.type("echo edi")
    terminal.see("ready> echo edi")
    (tmp_path / "p").write_text("one\ntwo")
    terminal.see("ready> echo edione")
    terminal.see("ready> echo edi")
    assert terminal.lines[-2:] == ["two⏎", "ready> echo edi"]
    terminal.type("ted\r")
    terminal.see("edited")


# --- the end -----------------------------------------------------------------------------------


def _told(terminal: Terminal, times: int) -> bool:
    return terminal.lines.count(f"nsh: {STOPPED}") == times


@pytest.mark.parametrize("leave", ["exit\r", END])
def test_who_leaves_stopped_jobs_is_warned_once(terminal: Terminal, tmp_path: Path, leave: str) -> None:
    terminal.command("sh -c 'echo $$ >pid; echo on; exec sleep 1000'")
    terminal.see("on")
    terminal.key(STOP)
    terminal.see(r"\[1\]\+ stopped .*")
    for times in (1, 2):
        terminal.command("true")
        terminal.prompt()
        terminal.type(leave)
        terminal.until(partial(_told, terminal, times))
    terminal.prompt()
    terminal.type(leave)
    terminal.end()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_program_in_the_background_goes_on_when_its_shell_ends(terminal: Terminal, tmp_path: Path) -> None:
    terminal.command("sh -c 'trap : HUP; echo $$ >pid; sleep 1000' >/dev/null &")
    terminal.until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    terminal.command("exit")
    assert terminal.end() == 0
    pid = int((tmp_path / "pid").read_text())
    assert state(pid) in ("S", "R")
    os.killpg(group(pid), signal.SIGKILL)


@pytest.mark.parametrize("how", ["hang up", "SIGHUP", "SIGTERM"])
def test_jobs_end_with_a_shell_that_is_hung_up_or_told_to_end(
    terminal: Terminal, tmp_path: Path, how: str
) -> None:
    for name in ("stopped", "front"):
        terminal.command(f"sh -c 'echo $$ >{name}; echo on {name}; exec sleep 1000'")
        terminal.see(f"on {name}")
        if name == "stopped":
            terminal.key(STOP)
            terminal.see(r"\[1\]\+ stopped .*")
            terminal.command("sh -c 'echo $$ >back; exec sleep 1000' &")
            terminal.until(lambda: (tmp_path / "back").exists() and (tmp_path / "back").read_text() != "")
    if how == "hang up":
        terminal.hang_up()
    else:
        os.kill(terminal.pid, getattr(signal, how))
    assert terminal.end() == 128 + (signal.SIGTERM if how == "SIGTERM" else signal.SIGHUP)
    for name in ("stopped", "front", "back"):
        assert gone(int((tmp_path / name).read_text()))


# --- other shells, and scripts -----------------------------------------------------------------

COUNTS = "import signal,sys; signal.signal(signal.SIGINT, lambda *_: open('hits','a').write('x')); "
WAITS = COUNTS + "print('on', flush=True); sys.stdin.read()"


def test_control_c_reaches_a_script_and_its_programs_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    script = "fn sigint {echo heard}; env python3 waits.py; echo over"
    terminal = start(*NSH, "-c", script)
    terminal.see("on")
    terminal.key(INTERRUPT)
    terminal.until(lambda: (tmp_path / "hits").exists() and (tmp_path / "hits").read_text() != "")
    terminal.type(END)
    assert terminal.end() == 0
    assert [line.removeprefix("^C") for line in terminal.lines[-2:]] == ["heard", "over"]
    assert (tmp_path / "hits").read_text() == "x"


@pytest.mark.parametrize(
    "command",
    [
        "{echo on; sleep 1000}",
        "env cat fifo",
        "{echo on; sleep 1000} | env cat",
        "cat fifo",
    ],
)
def test_control_c_ends_a_script_that_has_no_function_for_it(
    start: Start, tmp_path: Path, command: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "fifo", "r+b", 0) as fifo:
        fifo.write(b"on\n")
        terminal = start(*NSH, "-c", f"{command}; echo not^reached")
        terminal.see("on")  # it runs: no key comes between two commands
        terminal.key(INTERRUPT)
        assert terminal.end() == -signal.SIGINT
    assert "notreached" not in terminal.screen


@pytest.mark.parametrize(
    "command",
    ["cat p", "env cat p", "cat p | env cat", "env cat p | cat", "x=`{cat p}", "cat p & wait", "cat <p"],
)
def test_a_function_for_control_c_ends_one_command_of_a_script(
    start: Start, tmp_path: Path, command: str
) -> None:
    os.mkfifo(tmp_path / "p")
    terminal = start(*NSH, "-c", f"fn sigint {{echo heard}}; {command}; echo next")
    with open(tmp_path / "p", "w"):  # now somebody reads it
        terminal.type(INTERRUPT)
        terminal.see("next")
    assert terminal.end() == 0
    assert [line.removeprefix("^C") for line in terminal.lines[-2:]] == ["heard", "next"]


@pytest.mark.requires("bash")
def test_bash_stops_and_resumes_a_script_with_its_programs(start: Start, tmp_path: Path) -> None:
    terminal = start("bash", "--norc")
    script = "sh -c 'echo $$ >pid; echo on; exec sleep 1000'"
    (tmp_path / "script").write_text(script)
    terminal.command("./nsh script")
    terminal.see("on")
    terminal.key(STOP)
    terminal.see(r"\[1\]\+  Stopped .*")
    terminal.until(lambda: state(int((tmp_path / "pid").read_text())) == "T")  # bash tells when nsh has
    terminal.fg()
    terminal.key(INTERRUPT)
    assert gone(int((tmp_path / "pid").read_text()))
    assert terminal.output("echo $?") == ["130"]


@pytest.mark.requires("bash")
def test_a_loop_of_bash_ends_when_a_script_is_interrupted(start: Start, tmp_path: Path) -> None:
    terminal = start("bash", "--norc")
    (tmp_path / "script").write_text("echo on; sleep 1000")
    terminal.command("for i in 1 2; do ./nsh script; echo turn; done")
    terminal.see("on")
    terminal.key(INTERRUPT)
    terminal.prompt()
    assert "turn" not in terminal.lines


@pytest.mark.requires("bash")
def test_a_shell_in_the_background_waits_until_it_is_in_front(start: Start) -> None:
    terminal = start("bash", "--norc")
    terminal.command("./nsh &")
    terminal.see(r"\[1\] \d+")
    terminal.until(lambda: state(int(re.findall(r"\[1\] (\d+)", terminal.screen)[0])) == "T")
    terminal.fg()
    terminal.command("echo $status^nsh; exit")
    terminal.see("nsh")
    terminal.command("echo $0")
    terminal.see("bash")


def test_a_shell_inside_a_shell_has_jobs_of_its_own(terminal: Terminal) -> None:
    terminal.command("prompt=('inner> ' '') ./nsh")
    terminal.until(lambda: terminal.before == "inner> ")
    terminal.type("sh -c 'echo on; exec sleep 1000'\r")
    terminal.see("on")
    terminal.key(STOP)
    terminal.see(r"\[1\]\+ stopped +sh .*")
    terminal.until(lambda: terminal.before == "inner> ")
    terminal.type("kill -STOP $pid\r")
    terminal.see(r"\[1\]\+ stopped +prompt=.*")
    assert terminal.front == terminal.pid
    terminal.fg()
    terminal.type("\rfg\r")
    terminal.see("sh -c 'echo on; exec sleep 1000'")
    terminal.key(INTERRUPT)
    terminal.until(lambda: terminal.before == "inner> ")
    terminal.type(END)
    assert terminal.output("jobs") == []
